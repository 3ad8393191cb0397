/* What came from the outside and what it was answered: inbox, replies of hops, the spacing gate. */
#include "sqlite_priv.h"

int sqlite_inbox_insert(struct store *base, const struct inbox_row *row)
{
	struct seal seal = seal_of(VAULT_INBOX, 'i', row->partner, row->id);
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_INBOX_INSERT);

	query_i64(&query, ":id", (int64_t)row->id);
	query_i64(&query, ":partner", row->partner);
	query_i64(&query, ":kind", row->kind);
	query_str(&query, ":account", row->account);
	query_id(&query, ":attempt", row->attempt);
	query_blob(&query, ":digest", row->key, sizeof(row->key));
	query_sealed(&query, ":raw", &seal, row->raw);
	query_i64(&query, ":verdict", row->verdict);
	query_str(&query, ":detail", row->detail);
	query_i64(&query, ":received_ms", row->received_ms);
	return query_run(&query, NULL);
}

int sqlite_inbox_repeat(struct store *base, uint32_t partner, struct str account,
	const unsigned char key[VAULT_HASH_LEN], int64_t *first_ms_out,
	enum inbox_verdict *verdict_out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_INBOX_REPEAT);
	int result;

	query_i64(&query, ":partner", partner);
	query_str(&query, ":account", account);
	query_blob(&query, ":digest", key, VAULT_HASH_LEN);
	result = query_step(&query);
	if (result == 1) {
		*first_ms_out = query_get_i64(&query);
		*verdict_out = (enum inbox_verdict)query_get_i64(&query);
	}
	(void)query_end(&query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

int sqlite_inbox_replies(struct store *base, uint32_t partner, uint64_t attempt)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_INBOX_REPLIES);
	int64_t n = 0;

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":attempt", (int64_t)attempt);
	int result = query_step(&query);
	if (result == 1)
		n = query_get_i64(&query);
	(void)query_end(&query);
	return result < 0 ? result : (int)n;
}

/* Kept by the purchase's id, which grows, and not by the session's uid, which is random. */
int sqlite_hop_insert(struct store *base, const struct hop_row *row)
{
	struct db *db = &sqlite_store_of(base)->db;
	uint64_t purchase = 0;
	int result = purchase_find(db, row->partner, row->uid, row->ordinal, &purchase);

	if (result != 0)
		return result;
	struct seal seal = seal_of(VAULT_HOP, 'h', row->partner, purchase);
	struct query query = query_begin(db, ST_HOP_INSERT);
	query_id(&query, ":purchase", purchase);
	query_i64(&query, ":partner", row->partner);
	query_sealed(&query, ":reply", &seal, row->reply);
	return query_run(&query, NULL);
}

int sqlite_hop_get(struct store *base, uint32_t partner, const unsigned char uid[UID_LEN],
	uint8_t ordinal, struct arena *arena, struct hop_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_HOP_GET);
	struct hop_row row = {.partner = partner, .ordinal = ordinal};

	memcpy(row.uid, uid, UID_LEN);
	query_i64(&query, ":partner", partner);
	query_blob(&query, ":uid", uid, UID_LEN);
	query_i64(&query, ":ordinal", ordinal);
	int result = query_step(&query);
	if (result == 1) {
		struct seal seal =
			seal_of(VAULT_HOP, 'h', partner, (uint64_t)query_get_i64(&query));
		row.reply = query_get_sealed(&query, &seal, arena);
	}
	int ended = query_end(&query);
	if (result <= 0)
		return result == 0 ? TAMA_ENOTFOUND : result;
	if (ended != 0)
		return ended;
	if (arena_overflowed(arena))
		return TAMA_ENOMEM;
	*out = row;
	return 0;
}

int sqlite_spacing_get(struct store *base, uint32_t partner, struct str account, struct str number,
	int64_t amount, struct spacing *out)
{
	struct db *db = &sqlite_store_of(base)->db;
	struct spacing spacing = {0, 0};
	int64_t person = 0;
	int result = person_find(db, partner, number, &person);

	if (result == 0) {
		struct query query = query_begin(db, ST_SPACING_GET);
		query_i64(&query, ":partner", partner);
		query_str(&query, ":account", account);
		query_i64(&query, ":person", person);
		query_i64(&query, ":amount", amount);
		result = query_step(&query);
		if (result == 1) {
			spacing.free_ms = query_get_i64(&query);
			spacing.keeper = (uint64_t)query_get_i64(&query);
		}
		(void)query_end(&query);
	}
	if (result < 0 && result != TAMA_ENOTFOUND)
		return result;
	*out = spacing;
	return 0;
}

int sqlite_spacing_set(struct store *base, uint32_t partner, struct str account, struct str number,
	int64_t amount, const struct spacing *spacing)
{
	struct sqlite_store *store = sqlite_store_of(base);
	int64_t person = 0;
	int result = person_intern(store, partner, number, &person);

	if (result != 0)
		return result;
	struct query query = query_begin(&store->db, ST_SPACING_SET);
	query_i64(&query, ":partner", partner);
	query_str(&query, ":account", account);
	query_i64(&query, ":person", person);
	query_i64(&query, ":amount", amount);
	query_i64(&query, ":free_ms", spacing->free_ms);
	query_i64(&query, ":keeper", (int64_t)spacing->keeper);
	return query_run(&query, NULL);
}
