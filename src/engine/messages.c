/* Messages to the customer: one row each, in the commit of the state they tell. */
#include "engine_priv.h"

#include "tama/limits.h"

#include "tama/mutant.h"

/* Each text as a 16-bit length and its bytes, in the order of enum purchase_text. */
struct str texts_pack(const struct str texts[static PURCHASE_TEXTS], struct arena *arena)
{
	size_t n = 0, at = 0;
	char *p;

	for (int i = 0; i < PURCHASE_TEXTS; i++)
		n += 2 + texts[i].n;
	p = arena_alloc(arena, n);
	if (p == NULL)
		return (struct str){NULL, 0};
	for (int i = 0; i < PURCHASE_TEXTS; i++) {
		tama_assert(texts[i].n <= UINT16_MAX);
		p[at++] = (char)(texts[i].n & 0xff);
		p[at++] = (char)(texts[i].n >> 8);
		if (texts[i].n > 0)
			memcpy(p + at, texts[i].p, texts[i].n);
		at += texts[i].n;
	}
	return (struct str){p, n};
}

struct str texts_unpack(struct str packed, enum purchase_text which)
{
	size_t at = 0;

	for (int i = 0; at + 2 <= packed.n; i++) {
		size_t n = (unsigned char)packed.p[at] | (size_t)(unsigned char)packed.p[at + 1]
								 << 8;

		at += 2;
		if (at + n > packed.n)
			break;
		if (i == (int)which)
			return (struct str){packed.p + at, n};
		at += n;
	}
	return (struct str){NULL, 0};
}

static struct str route_of(struct engine *e, const struct purchase_row *purchase)
{
	const struct offer *offer = config_offer(e->config, purchase->offer);
	const struct channel *route =
		offer != NULL ? config_sms_route(e->config, purchase->partner, offer->country)
			      : NULL;

	return route != NULL ? route->name : (struct str){NULL, 0};
}

static void send_now(struct engine *e, const struct outbox_row *row)
{
	struct effect *effect;

	if (row->channel.n == 0) {
		engine_alarm(e, "no_sms_route", STR(""), "no SMS channel in service for a receipt");
		return;
	}
	effect = engine_effect(e, EFFECT_SMS);
	if (effect != NULL)
		effect->sms =
			(struct wire_sms){row->id, row->partner, row->channel, row->to, row->body};
}

/* TAMA_EEXIST: that seq was told already. */
static int queue(struct engine *e, const struct purchase_row *purchase, enum purchase_text which,
	uint32_t seq)
{
	struct outbox_row row = {
		.id = engine_next_id(e),
		.partner = purchase->partner,
		.kind = OUTBOX_SMS,
		.purchase = purchase->id,
		.seq = seq,
		.due_ms = e->now_ms + LIMIT_LEASE_MS,
		.channel = route_of(e, purchase),
		.to = purchase->payer,
		.body = texts_unpack(purchase->texts, which),
	};
	int rc;

	if (row.body.n == 0)
		return 0;
	rc = MUTANT(SMS_WITHOUT_ROW) ? 0 : STORE(e, outbox_insert, &row);
	if (rc != 0)
		return rc;
	e->stats.sms_rows++;
	send_now(e, &row);
	return 0;
}

int sms_queue(struct engine *e, const struct purchase_row *purchase, enum purchase_text which,
	uint32_t seq)
{
	int rc = queue(e, purchase, which, seq);

	return rc == TAMA_EEXIST ? 0 : rc; /* exactly one */
}

static enum purchase_text text_of(enum purchase_state state)
{
	switch ((int)state) {
	case PURCHASE_CANCELLED:
		return TEXT_CANCELLED;
	case PURCHASE_EXPIRED:
		return TEXT_EXPIRED;
	case PURCHASE_REFUND_DUE:
		return TEXT_REFUND_DUE;
	case PURCHASE_REFUNDED:
		return TEXT_REFUNDED;
	default: /* DELIVERED, or COLLECTED where that is the end */
		return TEXT_DELIVERED;
	}
}

/* The end that was told last (id 0: none was), and the seq under which another can be. */
static int last_told(struct engine *e, const struct purchase_row *p, struct outbox_row *last_out,
	uint32_t *free_out)
{
	uint32_t seq = SMS_SEQ_FINAL;
	int rc = 0;

	*last_out = (struct outbox_row){0};
	for (; seq <= SMS_SEQ_CORRECTION || rc == 0; seq++) {
		struct outbox_row row;

		rc = STORE(e, outbox_message, p->partner, p->id, seq, &e->arena, &row);
		if (rc != 0 && rc != TAMA_ENOTFOUND)
			return rc;
		if (rc == 0 && seq != SMS_SEQ_PROGRESS && row.id > last_out->id)
			*last_out = row;
	}
	*free_out = seq - 1;
	return 0;
}

/*
 * Another end was told before, and persons have found that it is not so: what is true now, however
 * often that has changed. But who paid and was told so is not told of a refund before it is there.
 */
static int correct(struct engine *e, const struct purchase_row *p, enum purchase_text which)
{
	struct outbox_row told;
	uint32_t seq;
	int rc = last_told(e, p, &told, &seq);

	if (rc != 0 || str_eq(told.body, texts_unpack(p->texts, which)))
		return rc;
	if (which == TEXT_REFUND_DUE && !p->has_deliver)
		return 0;
	return sms_queue(e, p, which, seq);
}

int sms_settle(struct engine *e, const struct purchase_row *p)
{
	enum purchase_text which = text_of(p->state);
	int rc = queue(e, p, which, which == TEXT_REFUNDED ? SMS_SEQ_REFUNDED : SMS_SEQ_FINAL);

	return rc == TAMA_EEXIST ? correct(e, p, which) : rc;
}

/* Past a day a message says nothing useful any more. */
static bool is_too_old(const struct engine *e, const struct outbox_row *row)
{
	return e->now_ms - (int64_t)(row->id >> 20) > LIMIT_SMS_MS;
}

/* Not known to be taken: where a report would stand is why, for whoever asks what was told. */
static int end_untold(struct engine *e, const struct outbox_row *row, const char *why)
{
	return STORE(e, outbox_over, row->partner, row->id, why, e->now_ms);
}

static int give_up(struct engine *e, const struct outbox_row *row)
{
	engine_alarm(e, "sms_too_old", STR(""), "a message was given up after a day");
	return end_untold(e, row, "too_old");
}

int due_sms(struct engine *e, const struct outbox_row *row)
{
	struct outbox_row copy = *row;
	int rc;

	if (is_too_old(e, row))
		return give_up(e, row);
	if (copy.channel.n == 0 && copy.purchase != 0) {
		struct purchase_row purchase;

		rc = STORE(e, purchase_get, row->partner, row->purchase, &e->arena, &purchase);
		if (rc != 0)
			return rc;
		copy.channel = route_of(e, &purchase);
	}
	rc = STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_LEASE_MS,
		row->tries + 1);
	if (rc == 0)
		send_now(e, &copy);
	return rc;
}

int due_progress(struct engine *e, const struct outbox_row *row)
{
	struct purchase_row p;
	struct outbox_row told;
	int rc = STORE(e, purchase_get, row->partner, row->purchase, &e->arena, &p);

	if (rc == 0 && !purchase_is_settled(p.state, p.has_deliver)) {
		rc = STORE(e, outbox_message, p.partner, p.id, SMS_SEQ_FINAL, &e->arena, &told);
		if (rc == TAMA_ENOTFOUND)
			rc = sms_queue(e, &p, TEXT_PROGRESS, SMS_SEQ_PROGRESS);
	}
	return rc == 0 ? STORE(e, outbox_done, row->partner, row->id) : rc;
}

/* Back-off with a cap. */
static int sms_again(struct engine *e, const struct outbox_row *row)
{
	int64_t wait_ms = row->tries < 6 ? INT64_C(5000) << row->tries : 300000;

	if (is_too_old(e, row))
		return give_up(e, row);
	return STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + wait_ms, row->tries + 1);
}

static int take_verdict(struct engine *e, const struct outbox_row *row, enum sms_verdict verdict)
{
	switch (verdict) {
	case SMS_SENT:
		e->stats.sms_sent++;
		return STORE(e, outbox_over, row->partner, row->id, "", e->now_ms);
	case SMS_REFUSED:
		engine_alarm(e, "sms_refused", STR(""), "the gateway will not take a message");
		return end_untold(e, row, "refused");
	case SMS_RETRY:
		return sms_again(e, row);
	case SMS_DOUBT:
		/* It may have been taken: one more try at most, the reference makes it
		 * recognisable. */
		if (row->tries >= 1)
			return end_untold(e, row, "in_doubt");
		return sms_again(e, row);
	}
	return TAMA_EINVAL;
}

/* A second answer about a message already done finds nothing to do. */
int handle_sms_result(struct engine *e, struct engine_event *event)
{
	const struct engine_sms_result *r = &event->as.sms;
	struct outbox_row row;
	int rc = STORE(e, outbox_get, r->partner, r->outbox, &e->arena, &row);

	event->outcome = ENGINE_DONE;
	if (rc == 0)
		rc = take_verdict(e, &row, r->verdict);
	return rc == TAMA_ENOTFOUND ? 0 : rc;
}

int handle_dlr(struct engine *e, struct engine_event *event)
{
	static const char *const names[] = {
		[DLR_BUFFERED] = "buffered",
		[DLR_DELIVERED] = "delivered",
		[DLR_FAILED] = "failed",
	};
	const struct engine_dlr *dlr = &event->as.dlr;
	int rc = STORE(e, outbox_set_dlr, dlr->partner, dlr->outbox, names[dlr->state], e->now_ms);

	event->outcome = ENGINE_DONE;
	return rc == TAMA_ENOTFOUND ? 0 : rc;
}
