/* Numbers become rows of one table; all else refers to those. */
#include "sqlite_priv.h"

static size_t slot_of(const unsigned char hash[static VAULT_HASH_LEN])
{
	/* The hash is keyed and uniform: any of its bits will do. */
	return (hash[0] | (size_t)hash[1] << 8) % PERSON_CACHE;
}

static int find(struct db *db, uint32_t partner, const unsigned char hash[static VAULT_HASH_LEN],
	int64_t *id_out)
{
	struct query query = query_begin(db, ST_PERSON_FIND);

	query_i64(&query, ":partner", partner);
	query_blob(&query, ":hash", hash, VAULT_HASH_LEN);
	int result = query_step(&query);
	if (result == 1)
		*id_out = query_get_i64(&query);
	(void)query_end(&query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

static int insert(struct db *db, uint32_t partner, struct str number,
	const unsigned char hash[static VAULT_HASH_LEN], int64_t *id_out)
{
	struct seal seal = seal_of_person(hash);
	struct query query = query_begin(db, ST_PERSON_INSERT);

	query_i64(&query, ":partner", partner);
	query_blob(&query, ":hash", hash, VAULT_HASH_LEN);
	query_sealed(&query, ":number", &seal, number);
	int result = query_run(&query, NULL);
	if (result == 0)
		*id_out = sqlite3_last_insert_rowid(db->handle);
	return result;
}

int person_find(struct db *db, uint32_t partner, struct str number, int64_t *id_out)
{
	unsigned char hash[VAULT_HASH_LEN];

	vault_hash_person(db->vault, partner, number, hash);
	return find(db, partner, hash, id_out);
}

int person_intern(struct sqlite_store *store, uint32_t partner, struct str number, int64_t *id_out)
{
	struct person_cache *cache = &store->persons;
	unsigned char hash[VAULT_HASH_LEN];

	vault_hash_person(store->db.vault, partner, number, hash);
	size_t slot = slot_of(hash);
	if (cache->slots[slot].id != 0 &&
		memcmp(cache->slots[slot].hash, hash, VAULT_HASH_LEN) == 0) {
		*id_out = cache->slots[slot].id;
		return 0;
	}
	int result = find(&store->db, partner, hash, id_out);
	if (result == TAMA_ENOTFOUND) {
		cache->has_new = true;
		result = insert(&store->db, partner, number, hash, id_out);
	}
	if (result != 0)
		return result;
	memcpy(cache->slots[slot].hash, hash, VAULT_HASH_LEN);
	cache->slots[slot].id = *id_out;
	return 0;
}

void person_cache_rollback(struct person_cache *cache)
{
	if (cache->has_new)
		memset(cache->slots, 0, sizeof(cache->slots));
}
