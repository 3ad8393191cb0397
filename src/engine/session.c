/*
 * The session table: one lock, held for look-ups and copies only; a hop works on its own unpacked
 * copy.
 */
#include "session_priv.h"

#define BUCKETS_FIRST 1024

/* ---- taking and giving back --------------------------------------------------------------------
 */

/* Two keys of one 64-bit hash are told apart by what they hold; the table keeps one of them. */
static bool is_of_key(const struct session *s, const struct session_key *key)
{
	if (!str_eq(s->channel, key->channel) || !str_eq(s->id, key->id))
		return false;
	return key->msisdn.n == 0 || s->msisdn.digits[0] == '\0' ||
	       str_eq(str_c(s->msisdn.digits), key->msisdn);
}

static void session_begin(
	const struct session_key *key, int64_t now_ms, struct arena *arena, struct session *out)
{
	memset(out, 0, sizeof(*out));
	randombytes_buf(out->uid, UID_LEN);
	out->channel = arena_str(arena, key->channel);
	out->id = arena_str(arena, key->id);
	if (key->msisdn.n <= MSISDN_MAX && key->msisdn.n > 0)
		memcpy(out->msisdn.digits, key->msisdn.p, key->msisdn.n);
	out->begun_ms = out->last_ms = now_ms;
	buf_init(&out->journal, LIMIT_SESSION_JOURNAL);
}

/* Waits while a worker has it; false when it is suspended. The slot may be gone afterwards. */
static bool wait_for(struct session_table *t, uint64_t hash, struct session_slot **slot)
{
	while (*slot != NULL && (*slot)->is_taken) {
		if ((*slot)->is_suspended)
			return false;
		(void)pthread_cond_wait(&t->given_back, &t->lock);
		*slot = slot_find(t, hash);
	}
	return true;
}

static enum session_found take_known(struct session_slot *slot, const struct session_key *key,
	struct arena *arena, struct session *out)
{
	if (slot->packed == NULL || slot_unpack(slot, arena, out) != 0)
		return SESSION_ABSENT;
	if (!is_of_key(out, key)) {
		buf_fini(&out->journal);
		return SESSION_ABSENT;
	}
	slot->is_taken = true;
	out->slot = slot;
	return SESSION_KNOWN;
}

static enum session_found take_new(struct session_table *t, uint64_t hash,
	const struct session_key *key, int64_t now_ms, struct arena *arena, struct session *out)
{
	struct session_slot *slot;

	uint64_t number = slot_hash_of_number(t, key->channel, key->msisdn);

	if (key->msisdn.n > 0)
		slot_trim_number(t, number);
	if (t->count >= t->config.max)
		return SESSION_FULL;
	slot = slot_new(t, hash, number);
	if (slot == NULL)
		return SESSION_FULL;
	session_begin(key, now_ms, arena, out);
	slot->is_taken = true;
	slot->last_ms = now_ms;
	out->slot = slot;
	return SESSION_NEW;
}

enum session_found session_take(struct session_table *t, const struct session_key *key,
	bool must_exist, bool fresh, int64_t now_ms, struct arena *arena, struct session *out)
{
	enum session_found found = SESSION_ABSENT;
	uint64_t hash = slot_hash_of_key(t, key);
	struct session_slot *slot;

	(void)pthread_mutex_lock(&t->lock);
	slot = slot_find(t, hash);
	if (!wait_for(t, hash, &slot)) {
		(void)pthread_mutex_unlock(&t->lock);
		return SESSION_BUSY;
	}
	if (slot != NULL && !fresh)
		found = take_known(slot, key, arena, out);
	if (found == SESSION_ABSENT && !must_exist) {
		/* Another number under a reused id never sees the old one's state. */
		if (slot != NULL)
			slot_free(t, slot);
		found = take_new(t, hash, key, now_ms, arena, out);
	}
	(void)pthread_mutex_unlock(&t->lock);
	return found;
}

static void give_back(struct session_table *t, struct session_slot *slot)
{
	slot->is_taken = false;
	slot->is_suspended = false;
	(void)pthread_cond_broadcast(&t->given_back);
}

static void slot_keep(struct session_slot *slot, const struct session *session, struct str packed)
{
	char *copy = malloc(packed.n);

	/* Without memory the session is what it was before the hop. */
	if (copy == NULL)
		return;
	memcpy(copy, packed.p, packed.n);
	slot_wipe(slot);
	slot->packed = copy;
	slot->packed_len = (uint32_t)packed.n;
	slot->text_mac = session->text_mac;
	slot->last_ms = session->last_ms;
}

void session_put(struct session_table *t, struct session *session)
{
	struct session_slot *slot = session->slot;
	struct buf packed;

	buf_init(&packed, SESSION_PACKED_MAX);
	session_pack(session, &packed);
	tama_assert(!packed.overflowed);
	if (t->log != NULL)
		session_log_append(t->log, buf_str(&packed), false);
	(void)pthread_mutex_lock(&t->lock);
	slot_keep(slot, session, buf_str(&packed));
	slot_touch(t, slot);
	give_back(t, slot);
	(void)pthread_mutex_unlock(&t->lock);
	buf_fini(&packed);
	buf_fini(&session->journal);
	session->slot = NULL;
}

void session_suspend(struct session_table *t, struct session *session)
{
	struct session_slot *slot = session->slot;

	(void)pthread_mutex_lock(&t->lock);
	slot->is_suspended = true;
	(void)pthread_cond_broadcast(&t->given_back);
	(void)pthread_mutex_unlock(&t->lock);
}

void session_drop(struct session_table *t, struct session *session)
{
	if (t->log != NULL) {
		struct buf packed;

		buf_init(&packed, SESSION_PACKED_MAX);
		session_pack(session, &packed);
		session_log_append(t->log, buf_str(&packed), true);
		buf_fini(&packed);
	}
	(void)pthread_mutex_lock(&t->lock);
	give_back(t, session->slot);
	slot_free(t, session->slot);
	(void)pthread_mutex_unlock(&t->lock);
	buf_fini(&session->journal);
	session->slot = NULL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void restore(void *ctx, struct str packed, bool is_dropped)
{
	struct session_table *t = ctx;
	struct session_key key;
	struct session s;
	struct session_slot *slot;
	uint64_t hash;

	if (session_unpack(packed, &s) != 0)
		return;
	buf_fini(&s.journal);
	key = (struct session_key){s.channel, s.id, str_c(s.msisdn.digits)};
	hash = slot_hash_of_key(t, &key);
	slot = slot_find(t, hash);
	if (slot != NULL)
		slot_free(t, slot);
	if (key.msisdn.n > 0)
		slot_trim_number(t, slot_hash_of_number(t, s.channel, key.msisdn));
	if (is_dropped || t->count >= t->config.max)
		return;
	slot = slot_new(t, hash, slot_hash_of_number(t, s.channel, key.msisdn));
	if (slot == NULL)
		return;
	slot->packed = malloc(packed.n);
	if (slot->packed == NULL) {
		slot_free(t, slot);
		return;
	}
	memcpy(slot->packed, packed.p, packed.n);
	slot->packed_len = (uint32_t)packed.n;
	slot->last_ms = s.last_ms;
}

int session_table_new(
	const struct session_config *config, struct session_table **out, struct err *err)
{
	struct session_table *t = calloc(1, sizeof(*t));
	int rc = 0;

	if (t == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	t->config = *config;
	t->buckets = BUCKETS_FIRST;
	t->by_key = calloc(t->buckets, sizeof(struct session_slot *));
	t->by_number = calloc(t->buckets, sizeof(struct session_slot *));
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_cond_init(&t->given_back, NULL);
	randombytes_buf(t->hash_key, sizeof(t->hash_key));
	if (t->by_key == NULL || t->by_number == NULL)
		rc = err_set(err, TAMA_ENOMEM, "out of memory");
	if (rc == 0 && config->dir.n > 0)
		rc = session_log_open(config->dir, config->vault, restore, t, &t->log, err);
	if (rc != 0) {
		session_table_free(&t);
		return rc;
	}
	*out = t;
	return 0;
}

void session_table_free(struct session_table **table)
{
	struct session_table *t = *table;

	if (t == NULL)
		return;
	while (t->oldest != NULL)
		slot_free(t, t->oldest);
	session_log_close(&t->log);
	free(t->by_key);
	free(t->by_number);
	(void)pthread_mutex_destroy(&t->lock);
	(void)pthread_cond_destroy(&t->given_back);
	free(t);
	*table = NULL;
}

void session_sweep(struct session_table *t, int64_t now_ms)
{
	int64_t keep_ms;

	(void)pthread_mutex_lock(&t->lock);
	keep_ms = t->config.keep_ms;
	for (struct session_slot *s = t->oldest, *next; s != NULL; s = next) {
		next = s->newer;
		if (s->last_ms + keep_ms >= now_ms)
			break;
		if (!s->is_taken)
			slot_free(t, s);
	}
	(void)pthread_mutex_unlock(&t->lock);
	if (t->log != NULL)
		session_log_rotate(t->log, now_ms, keep_ms);
}

void session_set_keep(struct session_table *t, int64_t keep_ms)
{
	(void)pthread_mutex_lock(&t->lock);
	t->config.keep_ms = keep_ms;
	(void)pthread_mutex_unlock(&t->lock);
}

void session_stats(struct session_table *t, struct session_stats *out)
{
	*out = (struct session_stats){0};
	(void)pthread_mutex_lock(&t->lock);
	out->sessions = t->count;
	(void)pthread_mutex_unlock(&t->lock);
	if (t->log != NULL)
		out->log_failures = session_log_failures(t->log);
}

uint64_t session_text_mac(const struct session_table *table, struct str text)
{
	uint64_t mac;

	(void)crypto_shorthash(
		(unsigned char *)&mac, (const unsigned char *)text.p, text.n, table->hash_key);
	return mac != 0 ? mac : 1;
}
