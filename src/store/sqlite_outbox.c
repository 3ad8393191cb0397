/* What is still owed to the outside. */
#include "sqlite_priv.h"

static struct seal body_seal(uint32_t partner, uint64_t id)
{
	return seal_of(VAULT_OUTBOX, 'o', partner, id);
}

/* The columns of OUTBOX in sqlite_statements.c, in their order. */
static void read_row(struct query *query, struct arena *arena, struct outbox_row *out)
{
	memset(out, 0, sizeof(*out));
	out->id = (uint64_t)query_get_i64(query);
	out->partner = (uint32_t)query_get_i64(query);
	out->kind = (enum outbox_kind)query_get_i64(query);
	out->purchase = (uint64_t)query_get_i64(query);
	out->attempt = (uint64_t)query_get_i64(query);
	out->seq = (uint32_t)query_get_i64(query);
	out->due_ms = query_get_i64(query);
	out->tries = (uint32_t)query_get_i64(query);
	out->channel = query_get_str(query, arena);
	out->to = query_get_number(query, arena);
	struct seal seal = body_seal(out->partner, out->id);
	out->body = query_get_sealed(query, &seal, arena);
	out->dlr = query_get_str(query, arena);
}

static int read_many(struct query *query, struct arena *arena, struct outbox_row *out, size_t max)
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

int sqlite_outbox_insert(struct store *base, const struct outbox_row *row)
{
	struct sqlite_store *store = sqlite_store_of(base);
	struct seal seal = body_seal(row->partner, row->id);
	int64_t person = 0;
	int result = 0;

	if (row->to.n > 0)
		result = person_intern(store, row->partner, row->to, &person);
	if (result != 0)
		return result;
	struct query query = query_begin(&store->db, ST_OUTBOX_INSERT);
	query_i64(&query, ":id", (int64_t)row->id);
	query_i64(&query, ":partner", row->partner);
	query_i64(&query, ":kind", row->kind);
	query_id(&query, ":purchase", row->purchase);
	query_id(&query, ":attempt", row->attempt);
	query_i64(&query, ":seq", row->seq);
	query_i64(&query, ":due_ms", row->due_ms);
	query_i64(&query, ":tries", row->tries);
	query_str(&query, ":channel", row->channel);
	query_id(&query, ":person", (uint64_t)person);
	if (row->kind == OUTBOX_SMS)
		query_sealed(&query, ":body", &seal, row->body);
	query_str(&query, ":dlr", row->dlr);
	return query_run(&query, NULL);
}

int sqlite_outbox_due(
	struct store *base, int64_t now_ms, struct arena *arena, struct outbox_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_DUE);

	query_i64(&query, ":now", now_ms);
	query_i64(&query, ":max", (int64_t)max);
	return read_many(&query, arena, out, max);
}

int sqlite_outbox_next_due(struct store *base, int64_t after_ms, int64_t *due_ms_out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_NEXT_DUE);

	query_i64(&query, ":after", after_ms);
	int result = query_step(&query);
	if (result == 1)
		*due_ms_out = sqlite3_column_type(query.stmt, 0) != SQLITE_NULL
				      ? query_get_i64(&query)
				      : INT64_MAX;
	(void)query_end(&query);
	return result < 0 ? result : 0;
}

/* Runs a bound query of at most one row. */
static int read_one(struct query *query, struct arena *arena, struct outbox_row *out)
{
	struct outbox_row row;
	int n = read_many(query, arena, &row, 1);

	if (n < 0)
		return n;
	if (n == 0)
		return TAMA_ENOTFOUND;
	*out = row;
	return 0;
}

int sqlite_outbox_get(struct store *base, uint32_t partner, uint64_t id, struct arena *arena,
	struct outbox_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_GET);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	return read_one(&query, arena, out);
}

int sqlite_outbox_message(struct store *base, uint32_t partner, uint64_t purchase, uint32_t seq,
	struct arena *arena, struct outbox_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_MESSAGE);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":purchase", (int64_t)purchase);
	query_i64(&query, ":seq", seq);
	return read_one(&query, arena, out);
}

/* Runs a bound change of one row. */
static int run_one(struct query *query)
{
	int changes = 0;
	int result = query_run(query, &changes);

	if (result != 0)
		return result;
	return changes == 1 ? 0 : TAMA_ENOTFOUND;
}

int sqlite_outbox_set_due(
	struct store *base, uint32_t partner, uint64_t id, int64_t due_ms, uint32_t tries)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_SET_DUE);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	query_i64(&query, ":due_ms", due_ms);
	query_i64(&query, ":tries", tries);
	return run_one(&query);
}

int sqlite_outbox_release(struct store *base, int64_t now_ms, int64_t lease_ms, bool sends_only)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_RELEASE);

	query_i64(&query, ":now", now_ms);
	query_i64(&query, ":lease", lease_ms);
	query_i64(&query, ":last", sends_only ? OUTBOX_SEND : OUTBOX_SMS);
	return query_run(&query, NULL);
}

int sqlite_outbox_done(struct store *base, uint32_t partner, uint64_t id)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_REMOVE);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	return run_one(&query);
}

/* What became of a message, by one of two statements of the same parameters. */
static int set_dlr(struct store *base, enum statement how, uint32_t partner, uint64_t id,
	const char *dlr, int64_t now_ms)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, how);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	query_str(&query, ":dlr", str_c(dlr));
	query_i64(&query, ":now", now_ms);
	return run_one(&query);
}

int sqlite_outbox_over(
	struct store *base, uint32_t partner, uint64_t id, const char *dlr, int64_t now_ms)
{
	return set_dlr(base, ST_OUTBOX_OVER, partner, id, dlr, now_ms);
}

int sqlite_outbox_set_dlr(
	struct store *base, uint32_t partner, uint64_t id, const char *state, int64_t now_ms)
{
	return set_dlr(base, ST_OUTBOX_SET_DLR, partner, id, state, now_ms);
}

int sqlite_outbox_cancel(
	struct store *base, uint32_t partner, uint64_t attempt, enum outbox_kind kind)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OUTBOX_CANCEL);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":attempt", (int64_t)attempt);
	query_i64(&query, ":kind", kind);
	return query_run(&query, NULL);
}
