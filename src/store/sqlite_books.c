/* What is only ever added to (events in a chain, the ledger in double entry), and the counts. */
#include "sqlite_priv.h"

struct chain {
	int64_t seq; /* of the last event; 0: none */
	unsigned char hash[VAULT_HASH_LEN];
};

/* Little-endian, so that a checker in any language finds the same. */
static size_t put(unsigned char *out, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		out[i] = (unsigned char)(value >> (8 * i));
	return width;
}

#define CAUSE_MAX 64

/* Moves the chain on by the event; schema.sql tells the format. */
static void chain_add(struct chain *chain, const struct event_row *row, struct str cause)
{
	unsigned char text[VAULT_HASH_LEN + 8 + 4 + 4 + 8 + 1 + 1 + 8 + 8 + 8 + CAUSE_MAX];
	size_t n = VAULT_HASH_LEN;

	chain->seq++;
	memcpy(text, chain->hash, VAULT_HASH_LEN);
	n += put(text + n, row->purchase, 8);
	n += put(text + n, (uint64_t)chain->seq, 4);
	n += put(text + n, row->partner, 4);
	n += put(text + n, row->attempt, 8);
	n += put(text + n, row->from, 1);
	n += put(text + n, row->to, 1);
	n += put(text + n, row->evidence, 8);
	n += put(text + n, row->incarnation, 8);
	n += put(text + n, (uint64_t)row->at_ms, 8);
	memcpy(text + n, cause.p, cause.n);
	vault_digest((struct str){(char *)text, n + cause.n}, chain->hash);
}

static int chain_read(struct db *db, uint32_t partner, uint64_t purchase, struct chain *out)
{
	struct query query = query_begin(db, ST_EVENT_LAST);

	memset(out, 0, sizeof(*out));
	query_i64(&query, ":partner", partner);
	query_i64(&query, ":purchase", (int64_t)purchase);
	int result = query_step(&query);
	if (result == 1) {
		out->seq = query_get_i64(&query);
		query_get_blob(&query, out->hash, sizeof(out->hash));
	}
	int ended = query_end(&query);
	return result < 0 ? result : ended;
}

int sqlite_event_append(struct store *base, const struct event_row *row)
{
	struct db *db = &sqlite_store_of(base)->db;
	struct str cause = str_c(row->cause);
	struct chain chain;

	tama_assert(cause.n > 0 && cause.n <= CAUSE_MAX);
	int result = chain_read(db, row->partner, row->purchase, &chain);
	if (result != 0)
		return result;
	chain_add(&chain, row, cause);
	struct query query = query_begin(db, ST_EVENT_INSERT);
	query_i64(&query, ":purchase", (int64_t)row->purchase);
	query_i64(&query, ":seq", chain.seq);
	query_i64(&query, ":partner", row->partner);
	query_id(&query, ":attempt", row->attempt);
	query_i64(&query, ":from", row->from);
	query_i64(&query, ":to", row->to);
	query_str(&query, ":cause", cause);
	query_id(&query, ":evidence", row->evidence);
	query_i64(&query, ":incarnation", (int64_t)row->incarnation);
	query_i64(&query, ":at_ms", row->at_ms);
	query_blob(&query, ":hash", chain.hash, sizeof(chain.hash));
	result = query_run(&query, NULL);
	/* Another partner's purchase: its events were not seen above, and are in the way here. */
	return result == TAMA_EEXIST ? TAMA_ENOTFOUND : result;
}

static int last_posting(struct db *db, const struct ledger_row *row, int64_t *posting_out)
{
	struct query query = query_begin(db, ST_LEDGER_LAST);

	query_i64(&query, ":partner", row->partner);
	query_i64(&query, ":purchase", (int64_t)row->purchase);
	int result = query_step(&query);
	*posting_out = result == 1 ? query_get_i64(&query) : 0;
	(void)query_end(&query);
	return result < 0 ? result : 0;
}

static int post_line(struct db *db, const struct ledger_row *row, int64_t posting, size_t i)
{
	struct query query = query_begin(db, ST_LEDGER_INSERT);
	bool is_agents = row->lines[i].book == LEDGER_AGENT_FLOAT && row->paid_by.n > 0;

	query_i64(&query, ":purchase", (int64_t)row->purchase);
	query_i64(&query, ":posting", posting);
	query_i64(&query, ":line", (int64_t)i + 1);
	query_i64(&query, ":partner", row->partner);
	query_id(&query, ":attempt", row->attempt);
	query_i64(&query, ":book", row->lines[i].book);
	query_i64(&query, ":debit", row->lines[i].debit);
	query_str(&query, ":currency", row->currency);
	query_str(&query, ":account", is_agents ? row->paid_by : row->account);
	query_i64(&query, ":at_ms", row->at_ms);
	int result = query_run(&query, NULL);
	return result == TAMA_EEXIST ? TAMA_ENOTFOUND : result;
}

int sqlite_ledger_post(struct store *base, const struct ledger_row *row)
{
	struct db *db = &sqlite_store_of(base)->db;
	int64_t posting = 0, sum = 0;

	for (size_t i = 0; i < row->lines_len; i++)
		sum += row->lines[i].debit;
	tama_assert(sum == 0);
	if (row->lines_len == 0)
		return 0;
	int result = last_posting(db, row, &posting);
	for (size_t i = 0; i < row->lines_len && result == 0; i++)
		/* A line of nothing (no fee, say) says nothing. */
		if (row->lines[i].debit != 0)
			result = post_line(db, row, posting + 1, i);
	return result;
}

static int count(struct db *db, enum statement statement, uint64_t *out)
{
	struct query query = query_begin(db, statement);
	int result = query_step(&query);

	if (result == 1)
		*out = (uint64_t)query_get_i64(&query);
	(void)query_end(&query);
	return result < 0 ? result : 0;
}

static int count_doubt(struct db *db, struct arena *arena, struct store_counts *out)
{
	struct query query = query_begin(db, ST_COUNT_DOUBT);
	int result;

	while ((result = query_step(&query)) == 1 && out->doubts_len < STORE_DOUBTS_MAX) {
		struct store_doubt *doubt = &out->doubts[out->doubts_len++];
		struct str currency = query_get_str(&query, arena);
		int64_t since_ms;

		(void)snprintf(doubt->currency, sizeof(doubt->currency), "%.*s", STR_ARG(currency));
		doubt->amount = query_get_i64(&query);
		since_ms = query_get_i64(&query);
		if (out->doubt_since_ms == 0 || since_ms < out->doubt_since_ms)
			out->doubt_since_ms = since_ms;
	}
	(void)query_end(&query);
	return result < 0 ? result : 0;
}

int sqlite_counts(struct store *base, struct store_counts *out)
{
	struct db *db = &sqlite_store_of(base)->db;
	struct store_counts counts = {0};
	struct query query = query_begin(db, ST_COUNT_ATTEMPTS);
	int result;

	while ((result = query_step(&query)) == 1) {
		int64_t state = query_get_i64(&query);
		tama_assert(state > 0 && state < ATTEMPT_STATES);
		counts.attempts[state] = (uint64_t)query_get_i64(&query);
	}
	(void)query_end(&query);
	if (result == 0)
		result = count(db, ST_COUNT_PARKED, &counts.parked);
	if (result == 0)
		result = count(db, ST_COUNT_OUTBOX, &counts.outbox_due);
	if (result == 0)
		result = count(db, ST_COUNT_REFUND_DUE, &counts.refund_due);
	if (result == 0) {
		struct arena arena;

		arena_init(&arena, 4096);
		result = count_doubt(db, &arena, &counts);
		arena_fini(&arena);
	}
	if (result == 0)
		*out = counts;
	return result;
}
