/*
 * The session table: two hash indices (by key, by number) over packed slots, and a list by time.
 * One lock, held for look-ups and copies only; a hop works on its own unpacked copy.
 */
#include "session_priv.h"

#include "tama/limits.h"

#include <pthread.h>
#include <sodium.h>

#define BUCKETS_FIRST 1024

struct session_table {
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct session_config config;
	struct session_log *log;
	unsigned char hash_key[crypto_shorthash_KEYBYTES];
	struct session_slot **by_key, **by_number;
	size_t buckets;
	size_t count;
	struct session_slot *oldest, *newest;
};

/* ---- indices -----------------------------------------------------------------------------------
 */

static uint64_t hash_parts(const struct session_table *t, struct str a, struct str b, struct str c)
{
	char bytes[1024];
	const struct str parts[] = {a, b, c};
	uint64_t hash;
	size_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		size_t len = parts[i].n < 300 ? parts[i].n : 300;

		if (len > 0)
			memcpy(bytes + n, parts[i].p, len);
		n += len;
		bytes[n++] = '\0';
	}
	(void)crypto_shorthash((unsigned char *)&hash, (unsigned char *)bytes, n, t->hash_key);
	return hash;
}

/* Keyed by the aggregator's id where there is one (numbers may come only once), else by number. */
static uint64_t hash_of_key(const struct session_table *t, const struct session_key *key)
{
	if (key->id.n > 0)
		return hash_parts(t, key->channel, key->id, STR("i"));
	return hash_parts(t, key->channel, key->msisdn, STR("n"));
}

static uint64_t hash_of_number(const struct session_table *t, struct str channel, struct str number)
{
	return hash_parts(t, channel, number, STR("m"));
}

static void chain_in(struct session_table *t, struct session_slot *s)
{
	struct session_slot **k = &t->by_key[s->key_hash & (t->buckets - 1)];
	struct session_slot **n = &t->by_number[s->number_hash & (t->buckets - 1)];

	s->next_key = *k;
	*k = s;
	s->next_number = *n;
	*n = s;
}

static void chain_out(struct session_table *t, struct session_slot *s)
{
	struct session_slot **k = &t->by_key[s->key_hash & (t->buckets - 1)];
	struct session_slot **n = &t->by_number[s->number_hash & (t->buckets - 1)];

	while (*k != s)
		k = &(*k)->next_key;
	*k = s->next_key;
	while (*n != s)
		n = &(*n)->next_number;
	*n = s->next_number;
}

static void time_out(struct session_table *t, struct session_slot *s)
{
	*(s->older != NULL ? &s->older->newer : &t->oldest) = s->newer;
	*(s->newer != NULL ? &s->newer->older : &t->newest) = s->older;
}

static void time_in(struct session_table *t, struct session_slot *s)
{
	s->older = t->newest;
	s->newer = NULL;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = s;
	t->newest = s;
}

/* Doubles the buckets; on failure the chains only grow longer. */
static void grow(struct session_table *t)
{
	struct session_slot **k = calloc(t->buckets * 2, sizeof(struct session_slot *));
	struct session_slot **n = calloc(t->buckets * 2, sizeof(struct session_slot *));

	if (k == NULL || n == NULL) {
		free(k);
		free(n);
		return;
	}
	free(t->by_key);
	free(t->by_number);
	t->by_key = k;
	t->by_number = n;
	t->buckets *= 2;
	for (struct session_slot *s = t->oldest; s != NULL; s = s->newer)
		chain_in(t, s);
}

static struct session_slot *find(struct session_table *t, uint64_t key_hash)
{
	struct session_slot *s = t->by_key[key_hash & (t->buckets - 1)];

	while (s != NULL && s->key_hash != key_hash)
		s = s->next_key;
	return s;
}

static struct session_slot *slot_new(
	struct session_table *t, uint64_t key_hash, uint64_t number_hash)
{
	struct session_slot *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->key_hash = key_hash;
	s->number_hash = number_hash;
	if (t->count >= t->buckets)
		grow(t);
	chain_in(t, s);
	time_in(t, s);
	t->count++;
	return s;
}

static void slot_wipe(struct session_slot *slot)
{
	if (slot->packed != NULL)
		sodium_memzero(slot->packed, slot->packed_len);
	free(slot->packed);
	slot->packed = NULL;
	slot->packed_len = 0;
}

static void slot_free(struct session_table *t, struct session_slot *s)
{
	chain_out(t, s);
	time_out(t, s);
	t->count--;
	slot_wipe(s);
	free(s);
}

/* A storm of redials may not fill the table: the oldest at rest of one number make room. */
static void trim_number(struct session_table *t, uint64_t number_hash)
{
	struct session_slot *oldest;
	size_t n;

	do {
		oldest = NULL;
		n = 0;
		for (struct session_slot *s = t->by_number[number_hash & (t->buckets - 1)];
			s != NULL; s = s->next_number) {
			if (s->number_hash != number_hash)
				continue;
			n++;
			if (!s->is_taken && (oldest == NULL || s->last_ms < oldest->last_ms))
				oldest = s;
		}
		if (n >= LIMIT_NUMBER_SESSIONS && oldest != NULL)
			slot_free(t, oldest);
	} while (n > LIMIT_NUMBER_SESSIONS && oldest != NULL);
}

/* Two keys of one 64-bit hash are told apart by what they hold; the table keeps one of them. */
static bool is_of_key(const struct session *s, const struct session_key *key)
{
	if (!str_eq(s->channel, key->channel) || !str_eq(s->id, key->id))
		return false;
	return key->msisdn.n == 0 || s->msisdn.digits[0] == '\0' ||
	       str_eq(str_c(s->msisdn.digits), key->msisdn);
}

/* ---- taking and giving back --------------------------------------------------------------------
 */

static int unpack_into(const struct session_slot *slot, struct arena *arena, struct session *out)
{
	struct str copy = arena_str(arena, (struct str){slot->packed, slot->packed_len});

	if (copy.p == NULL)
		return TAMA_ENOMEM;
	if (session_unpack(copy, out) != 0)
		return TAMA_EINVAL;
	out->text_mac = slot->text_mac;
	return 0;
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
		*slot = find(t, hash);
	}
	return true;
}

static enum session_found take_known(struct session_slot *slot, const struct session_key *key,
	struct arena *arena, struct session *out)
{
	if (slot->packed == NULL || unpack_into(slot, arena, out) != 0)
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

	uint64_t number = hash_of_number(t, key->channel, key->msisdn);

	if (key->msisdn.n > 0)
		trim_number(t, number);
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
	uint64_t hash = hash_of_key(t, key);
	struct session_slot *slot;

	(void)pthread_mutex_lock(&t->lock);
	slot = find(t, hash);
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
	time_out(t, slot);
	time_in(t, slot);
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

/* ---- resuming ----------------------------------------------------------------------------------
 */

static bool is_resumable(const struct session *s, const struct session_resume *how, int64_t now_ms)
{
	int64_t life_ms = s->is_parked ? how->parked_ms : how->dropped_ms;

	if (s->is_offering || s->summary.n == 0 || (s->is_ended && !s->is_parked))
		return false;
	return s->last_ms + life_ms >= now_ms;
}

/* The newest slot of a number that is at rest and can be resumed; unpacked into *out. */
static bool resumable(struct session_table *t, const struct session *besides,
	const struct session_resume *how, struct arena *arena, struct session *out)
{
	uint64_t hash = hash_of_number(t, besides->channel, str_c(besides->msisdn.digits));
	struct session_slot *s = t->by_number[hash & (t->buckets - 1)];
	bool is_found = false;

	for (; s != NULL; s = s->next_number) {
		struct session one;

		if (s->number_hash != hash || s->is_taken || s == besides->slot ||
			s->packed == NULL || (is_found && s->last_ms <= out->last_ms))
			continue;
		if (unpack_into(s, arena, &one) != 0)
			continue;
		buf_fini(&one.journal);
		if (!is_resumable(&one, how, besides->last_ms))
			continue;
		*out = one;
		is_found = true;
	}
	return is_found;
}

bool session_find_resumable(struct session_table *t, struct session *session,
	const struct session_resume *how, struct arena *arena)
{
	struct session found;
	bool is_there;

	if (session->msisdn.digits[0] == '\0')
		return false;
	(void)pthread_mutex_lock(&t->lock);
	is_there = resumable(t, session, how, arena, &found);
	(void)pthread_mutex_unlock(&t->lock);
	if (!is_there)
		return false;
	memcpy(session->offer, found.uid, UID_LEN);
	session->summary = found.summary;
	return true;
}

static void take_over(struct session *session, const struct session *old)
{
	memcpy(session->uid, old->uid, UID_LEN);
	memcpy(session->service_hash, old->service_hash, sizeof(session->service_hash));
	buf_fini(&session->journal);
	session->journal = old->journal;
	session->buys = old->buys;
	session->summary = old->summary;
	session->lang = old->lang;
	session->begun_ms = old->begun_ms;
	session->is_offering = false;
}

bool session_adopt(struct session_table *t, struct session *session, struct arena *arena)
{
	uint64_t hash = hash_of_number(t, session->channel, str_c(session->msisdn.digits));
	bool adopted = false;

	(void)pthread_mutex_lock(&t->lock);
	for (struct session_slot *s = t->by_number[hash & (t->buckets - 1)]; s != NULL && !adopted;
		s = s->next_number) {
		struct session old;

		if (s->number_hash != hash || s->is_taken || s->packed == NULL ||
			unpack_into(s, arena, &old) != 0)
			continue;
		if (memcmp(old.uid, session->offer, UID_LEN) != 0) {
			buf_fini(&old.journal);
			continue;
		}
		take_over(session, &old);
		/* Or a restart would bring it back and offer it once more. */
		if (t->log != NULL)
			session_log_append(t->log, (struct str){s->packed, s->packed_len}, true);
		slot_free(t, s);
		adopted = true;
		break;
	}
	(void)pthread_mutex_unlock(&t->lock);
	return adopted;
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
	hash = hash_of_key(t, &key);
	slot = find(t, hash);
	if (slot != NULL)
		slot_free(t, slot);
	if (key.msisdn.n > 0)
		trim_number(t, hash_of_number(t, s.channel, key.msisdn));
	if (is_dropped || t->count >= t->config.max)
		return;
	slot = slot_new(t, hash, hash_of_number(t, s.channel, key.msisdn));
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
