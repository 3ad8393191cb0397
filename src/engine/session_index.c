/* The table's slots: two hash indices (by key, by number) and a list by time. */
#include "session_priv.h"

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
uint64_t slot_hash_of_key(const struct session_table *t, const struct session_key *key)
{
	if (key->id.n > 0)
		return hash_parts(t, key->channel, key->id, STR("i"));
	return hash_parts(t, key->channel, key->msisdn, STR("n"));
}

uint64_t slot_hash_of_number(const struct session_table *t, struct str channel, struct str number)
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

struct session_slot *slot_find(struct session_table *t, uint64_t key_hash)
{
	struct session_slot *s = t->by_key[key_hash & (t->buckets - 1)];

	while (s != NULL && s->key_hash != key_hash)
		s = s->next_key;
	return s;
}

struct session_slot *slot_new(struct session_table *t, uint64_t key_hash, uint64_t number_hash)
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

void slot_wipe(struct session_slot *slot)
{
	if (slot->packed != NULL)
		sodium_memzero(slot->packed, slot->packed_len);
	free(slot->packed);
	slot->packed = NULL;
	slot->packed_len = 0;
}

void slot_free(struct session_table *t, struct session_slot *s)
{
	chain_out(t, s);
	time_out(t, s);
	t->count--;
	slot_wipe(s);
	free(s);
}

/* A storm of redials may not fill the table: the oldest at rest of one number make room. */
void slot_trim_number(struct session_table *t, uint64_t number_hash)
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

void slot_touch(struct session_table *t, struct session_slot *slot)
{
	time_out(t, slot);
	time_in(t, slot);
}

int slot_unpack(const struct session_slot *slot, struct arena *arena, struct session *out)
{
	struct str copy = arena_str(arena, (struct str){slot->packed, slot->packed_len});

	if (copy.p == NULL)
		return TAMA_ENOMEM;
	if (session_unpack(copy, out) != 0)
		return TAMA_EINVAL;
	out->text_mac = slot->text_mac;
	return 0;
}
