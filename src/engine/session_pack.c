/* Sessions as bytes: fixed integers little-endian, texts with a 16-bit length, the journal last. */
#include "session_priv.h"

#include "tama/limits.h"

#define PACK_VERSION 1

enum pack_flag {
	PACK_ENDED = 1,
	PACK_PARKED = 2,
	PACK_OFFER = 4,
};

static void put_text(struct buf *out, struct str s)
{
	uint16_t n = s.n <= UINT16_MAX ? (uint16_t)s.n : 0;

	buf_add_u16(out, n);
	buf_add(out, s.p, n);
}

void session_pack(const struct session *s, struct buf *out)
{
	unsigned flags = (s->is_ended ? PACK_ENDED : 0) | (s->is_parked ? PACK_PARKED : 0) |
			 (s->is_offering ? PACK_OFFER : 0);

	buf_add_char(out, PACK_VERSION);
	buf_add_char(out, (char)flags);
	buf_add_char(out, (char)s->buys);
	buf_add(out, s->uid, UID_LEN);
	buf_add(out, s->service_hash, sizeof(s->service_hash));
	if (s->is_offering)
		buf_add(out, s->offer, UID_LEN);
	buf_add_u64(out, (uint64_t)s->begun_ms);
	buf_add_u64(out, (uint64_t)s->last_ms);
	buf_add_u32(out, s->text_len);
	put_text(out, s->channel);
	put_text(out, s->id);
	put_text(out, str_c(s->msisdn.digits));
	put_text(out, s->code);
	put_text(out, s->network);
	put_text(out, s->lang);
	put_text(out, s->hop_id);
	put_text(out, s->summary);
	put_text(out, s->said);
	put_text(out, buf_str(&s->journal));
}

/* A reader that remembers having run out. */
struct reader {
	struct str left;
	bool failed;
};

static struct str get_bytes(struct reader *r, size_t n)
{
	struct str s = {r->left.p, n};

	if (n > r->left.n) {
		r->failed = true;
		return (struct str){NULL, 0};
	}
	r->left = str_from(r->left, n);
	return s;
}

static uint64_t get_int(struct reader *r, size_t n)
{
	struct str s = get_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v |= (uint64_t)(unsigned char)s.p[i] << (8 * i);
	return v;
}

static struct str get_text(struct reader *r)
{
	return get_bytes(r, (size_t)get_int(r, 2));
}

static void get_fixed(struct reader *r, void *out, size_t n)
{
	struct str s = get_bytes(r, n);

	if (s.n == n)
		memcpy(out, s.p, n);
}

int session_unpack(struct str packed, struct session *out)
{
	struct reader r = {packed, false};
	struct str number, journal;
	unsigned flags;

	memset(out, 0, sizeof(*out));
	if (get_int(&r, 1) != PACK_VERSION)
		return TAMA_EINVAL;
	flags = (unsigned)get_int(&r, 1);
	out->buys = (uint8_t)get_int(&r, 1);
	get_fixed(&r, out->uid, UID_LEN);
	get_fixed(&r, out->service_hash, sizeof(out->service_hash));
	if (flags & PACK_OFFER)
		get_fixed(&r, out->offer, UID_LEN);
	out->begun_ms = (int64_t)get_int(&r, 8);
	out->last_ms = (int64_t)get_int(&r, 8);
	out->text_len = (uint32_t)get_int(&r, 4);
	out->channel = get_text(&r);
	out->id = get_text(&r);
	number = get_text(&r);
	out->code = get_text(&r);
	out->network = get_text(&r);
	out->lang = get_text(&r);
	out->hop_id = get_text(&r);
	out->summary = get_text(&r);
	out->said = get_text(&r);
	journal = get_text(&r);
	if (r.failed || number.n > MSISDN_MAX || journal.n > LIMIT_SESSION_JOURNAL)
		return TAMA_EINVAL;
	memcpy(out->msisdn.digits, number.p, number.n);
	out->is_ended = flags & PACK_ENDED;
	out->is_parked = flags & PACK_PARKED;
	out->is_offering = flags & PACK_OFFER;
	buf_init(&out->journal, LIMIT_SESSION_JOURNAL);
	buf_add_str(&out->journal, journal);
	return 0;
}
