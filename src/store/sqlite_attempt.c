/* Attempts: one request of a leg that may have reached a provider. */
#include "sqlite_priv.h"

/* The columns of ATTEMPT in sqlite_statements.c, in their order. */
static void read_row(struct query *query, struct arena *arena, struct attempt_row *out)
{
	memset(out, 0, sizeof(*out));
	out->id = (uint64_t)query_get_i64(query);
	out->partner = (uint32_t)query_get_i64(query);
	out->purchase = (uint64_t)query_get_i64(query);
	out->leg = (enum leg_kind)query_get_i64(query);
	out->n = (uint8_t)query_get_i64(query);
	out->account = query_get_str(query, arena);
	out->our_ref = query_get_str(query, arena);
	out->verb = query_get_str(query, arena);
	out->service = query_get_str(query, arena);
	out->number = query_get_number(query, arena);
	out->amount = query_get_i64(query);
	out->currency = query_get_str(query, arena);
	out->needs_secret = query_get_i64(query) != 0;
	out->secret = (uint32_t)query_get_i64(query);
	out->incarnation_made = (uint64_t)query_get_i64(query);
	out->state = (enum attempt_state)query_get_i64(query);
	out->version = (uint32_t)query_get_i64(query);
	out->owner_incarnation = (uint64_t)query_get_i64(query);
	out->epoch = (uint32_t)query_get_i64(query);
	query_get_blob(query, out->body_hash, sizeof(out->body_hash));
	out->provider_id = query_get_str(query, arena);
	out->polls = (uint32_t)query_get_i64(query);
	out->created_ms = query_get_i64(query);
	out->sent_ms = query_get_i64(query);
	out->updated_ms = query_get_i64(query);
	out->absent = (uint32_t)query_get_i64(query);
	out->absent_ms = query_get_i64(query);
	out->first_sent_ms = query_get_i64(query);
}

/* Steps a bound query and ends it. How many rows, or negative. */
int attempts_read(struct query *query, struct arena *arena, struct attempt_row *out, size_t max)
{
	size_t n = 0;
	int result = 0;

	while (n < max && (result = query_step(query)) == 1)
		read_row(query, arena, &out[n++]);
	int ended = query_end(query);
	if (result < 0)
		return result;
	if (ended != 0)
		return ended;
	return arena_overflowed(arena) ? TAMA_ENOMEM : (int)n;
}

static int read_one(struct query *query, struct arena *arena, struct attempt_row *out)
{
	struct attempt_row row;
	int n = attempts_read(query, arena, &row, 1);

	if (n == 1)
		*out = row;
	if (n < 0)
		return n;
	return n == 1 ? 0 : TAMA_ENOTFOUND;
}

/* What moves, in an insert and in an update. */
static void bind_state(struct query *query, const struct attempt_row *row)
{
	query_i64(query, ":id", (int64_t)row->id);
	query_i64(query, ":partner", row->partner);
	query_i64(query, ":version", row->version);
	query_i64(query, ":state", row->state);
	query_i64(query, ":owner_incarnation", (int64_t)row->owner_incarnation);
	query_i64(query, ":epoch", row->epoch);
	query_blob(query, ":body_hash", row->body_hash, sizeof(row->body_hash));
	query_str(query, ":provider_id", row->provider_id);
	query_i64(query, ":polls", row->polls);
	query_i64(query, ":sent_ms", row->sent_ms);
	query_i64(query, ":updated_ms", row->updated_ms);
	query_i64(query, ":absent", row->absent);
	query_i64(query, ":absent_ms", row->absent_ms);
	query_i64(query, ":first_sent_ms", row->first_sent_ms);
}

static void bind_intent(struct query *query, const struct attempt_row *row)
{
	query_i64(query, ":purchase", (int64_t)row->purchase);
	query_i64(query, ":leg", row->leg);
	query_i64(query, ":n", row->n);
	query_str(query, ":account", row->account);
	query_str(query, ":our_ref", row->our_ref);
	query_str(query, ":verb", row->verb);
	query_str(query, ":service", row->service);
	query_i64(query, ":amount", row->amount);
	query_str(query, ":currency", row->currency);
	query_i64(query, ":needs_secret", row->needs_secret);
	query_i64(query, ":secret", row->secret);
	query_i64(query, ":incarnation_made", (int64_t)row->incarnation_made);
	query_i64(query, ":created_ms", row->created_ms);
}

/* Whether the leg has an attempt that may have executed (ST_ATTEMPT_LIVE) or is frozen: 0,
 * TAMA_ENOTFOUND or a failure. */
static int find_other(struct db *db, enum statement statement, const struct attempt_row *row)
{
	struct query query = query_begin(db, statement);

	query_i64(&query, ":partner", row->partner);
	query_i64(&query, ":purchase", (int64_t)row->purchase);
	query_i64(&query, ":leg", row->leg);
	int result = query_step(&query);
	(void)query_end(&query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

int sqlite_attempt_insert(struct store *base, const struct attempt_row *row)
{
	struct sqlite_store *store = sqlite_store_of(base);
	int64_t person = 0;
	int result = TAMA_ENOTFOUND;

	if (row->n > 1)
		result = find_other(&store->db, ST_ATTEMPT_CONTRADICTED, row);
	if (result != TAMA_ENOTFOUND)
		return result == 0 ? TAMA_ECONFLICT : result;
	result = person_intern(store, row->partner, row->number, &person);
	if (result != 0)
		return result;
	struct query query = query_begin(&store->db, ST_ATTEMPT_INSERT);
	bind_intent(&query, row);
	bind_state(&query, row);
	query_i64(&query, ":person", person);
	result = query_run(&query, NULL);
	if (result == 0 && row->state != ATTEMPT_NOT_SENT && row->state != ATTEMPT_EXPIRED)
		return tally_add(&store->db,
			&(struct tally_key){
				row->partner, VELOCITY_OF_ACCOUNT, row->account, row->created_ms},
			row->amount);
	if (result != TAMA_EEXIST)
		return result;
	result = find_other(&store->db, ST_ATTEMPT_LIVE, row);
	if (result == 0)
		return TAMA_ECONFLICT;
	return result == TAMA_ENOTFOUND ? TAMA_EEXIST : result;
}

int sqlite_attempt_get(struct store *base, uint32_t partner, uint64_t id, struct arena *arena,
	struct attempt_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPT_GET);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	return read_one(&query, arena, out);
}

int sqlite_attempt_by_ref(struct store *base, uint32_t partner, struct str our_ref,
	struct arena *arena, struct attempt_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPT_BY_REF);

	query_i64(&query, ":partner", partner);
	query_str(&query, ":our_ref", our_ref);
	return read_one(&query, arena, out);
}

int sqlite_attempt_by_provider_id(struct store *base, uint32_t partner, struct str account,
	struct str provider_id, struct arena *arena, struct attempt_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPT_BY_PROVIDER_ID);

	query_i64(&query, ":partner", partner);
	query_str(&query, ":account", account);
	query_str(&query, ":provider_id", provider_id);
	return read_one(&query, arena, out);
}

int sqlite_attempt_list(struct store *base, uint32_t partner, uint64_t purchase,
	struct arena *arena, struct attempt_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPT_LIST);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":purchase", (int64_t)purchase);
	query_i64(&query, ":max", (int64_t)max);
	return attempts_read(&query, arena, out, max);
}

int sqlite_attempt_orphans(
	struct store *base, struct arena *arena, struct attempt_row *out, size_t max)
{
	struct sqlite_store *store = sqlite_store_of(base);
	struct query query = query_begin(&store->db, ST_ATTEMPT_ORPHANS);

	query_i64(&query, ":incarnation", (int64_t)store->incarnation);
	query_i64(&query, ":max", (int64_t)max);
	return attempts_read(&query, arena, out, max);
}

int sqlite_attempt_recent(struct store *base, uint32_t partner, struct str account, uint64_t since,
	struct arena *arena, struct attempt_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPT_RECENT);

	query_i64(&query, ":partner", partner);
	query_str(&query, ":account", account);
	query_i64(&query, ":since", (int64_t)since);
	query_i64(&query, ":max", (int64_t)max);
	return attempts_read(&query, arena, out, max);
}

int sqlite_attempt_unsent(
	struct store *base, struct arena *arena, struct attempt_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPT_UNSENT);

	query_i64(&query, ":max", (int64_t)max);
	return attempts_read(&query, arena, out, max);
}

int sqlite_attempt_update(struct store *base, const struct attempt_row *row)
{
	struct db *db = &sqlite_store_of(base)->db;
	struct query query = query_begin(db, ST_ATTEMPT_UPDATE);
	int changes = 0;

	bind_state(&query, row);
	int result = query_run(&query, &changes);
	/* Back among those that may have executed, beside another: the index refuses it. */
	if (result == TAMA_EEXIST)
		return TAMA_ECONFLICT;
	if (result != 0 || changes == 1)
		return result;
	result = row_exists(db, ST_ATTEMPT_EXISTS, row->partner, row->id);
	return result == 0 ? TAMA_ECONFLICT : result;
}
