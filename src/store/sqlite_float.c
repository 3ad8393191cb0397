/*
 * Balances, what providers said of floats, and the days reconciled against them. The sums are the
 * ledger's own: triggers of schema.sql keep them in the commit of each posting.
 */
#include "sqlite_priv.h"

static void bind_account(struct query *query, uint32_t partner, struct str account)
{
	query_i64(query, ":partner", partner);
	query_str(query, ":account", account);
}

/* Steps a bound query for up to n numbers of its one row, and ends it. */
static int read_numbers(struct query *query, int64_t *const *out, size_t n)
{
	int result = query_step(query);

	for (size_t i = 0; result == 1 && i < n; i++)
		*out[i] = query_get_i64(query);
	(void)query_end(query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

int sqlite_balance_get(struct store *base, uint32_t partner, struct str account,
	enum ledger_book book, struct str currency, int64_t *sum_out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_BALANCE_GET);
	int64_t *const out[] = {sum_out};

	bind_account(&query, partner, account);
	query_i64(&query, ":book", book);
	query_str(&query, ":currency", currency);
	int result = read_numbers(&query, out, 1);
	if (result != TAMA_ENOTFOUND)
		return result;
	*sum_out = 0;
	return 0;
}

int sqlite_flow_get(struct store *base, uint32_t partner, struct str account, int64_t since_ms,
	int64_t *taken_out, int64_t *added_out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_FLOW_GET);
	int64_t *const out[] = {taken_out, added_out};

	bind_account(&query, partner, account);
	query_i64(&query, ":since", since_ms);
	return read_numbers(&query, out, 2);
}

int sqlite_flow_trim(struct store *base, int64_t before_ms)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_FLOW_TRIM);

	query_i64(&query, ":before", before_ms);
	return query_run(&query, NULL);
}

int sqlite_doubt_get(
	struct store *base, uint32_t partner, struct str account, int64_t *in_out, int64_t *out_out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_DOUBT_GET);
	int64_t *const out[] = {in_out, out_out};

	bind_account(&query, partner, account);
	return read_numbers(&query, out, 2);
}

int sqlite_promises(struct store *base, struct arena *arena, struct promise_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_PROMISES);
	size_t n = 0;
	int result;

	query_i64(&query, ":max", (int64_t)max + 1);
	while ((result = query_step(&query)) == 1 && n < max) {
		out[n].partner = (uint32_t)query_get_i64(&query);
		out[n].kind = (int)query_get_i64(&query);
		out[n].name = query_get_str(&query, arena);
		out[n++].sum = query_get_i64(&query);
	}
	(void)query_end(&query);
	if (result < 0)
		return result;
	if (arena_overflowed(arena))
		return TAMA_ENOMEM;
	return result == 1 ? TAMA_EFULL : (int)n;
}

/* ---- observations ------------------------------------------------------------------------------
 */

int sqlite_observation_insert(struct store *base, const struct observation_row *row)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OBSERVATION_INSERT);

	query_i64(&query, ":id", (int64_t)row->id);
	bind_account(&query, row->partner, row->account);
	query_i64(&query, ":at_ms", row->at_ms);
	query_i64(&query, ":source", row->source);
	query_i64(&query, ":balance", row->balance);
	query_i64(&query, ":books", row->books);
	query_i64(&query, ":slack_low", row->slack_low);
	query_i64(&query, ":slack_high", row->slack_high);
	return query_run(&query, NULL);
}

static int observation_read(
	struct query *query, uint32_t partner, struct str account, struct observation_row *out)
{
	struct observation_row row = {.partner = partner, .account = account};
	int64_t id = 0, source = 0;
	int64_t *const to[] = {&id, &row.at_ms, &source, &row.balance, &row.books, &row.slack_low,
		&row.slack_high};
	int result = read_numbers(query, to, sizeof(to) / sizeof(to[0]));

	if (result != 0)
		return result;
	row.id = (uint64_t)id;
	row.source = (enum observation_source)source;
	*out = row;
	return 0;
}

int sqlite_observation_last(
	struct store *base, uint32_t partner, struct str account, struct observation_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_OBSERVATION_LAST);

	bind_account(&query, partner, account);
	return observation_read(&query, partner, account, out);
}

int sqlite_observation_find(struct store *base, uint32_t partner, struct str account,
	int64_t from_ms, int64_t until_ms, bool is_newest, struct observation_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db,
		is_newest ? ST_OBSERVATION_NEWEST : ST_OBSERVATION_OLDEST);

	bind_account(&query, partner, account);
	query_i64(&query, ":from", from_ms);
	query_i64(&query, ":until", until_ms);
	return observation_read(&query, partner, account, out);
}

/* ---- what is owed to an account ----------------------------------------------------------------
 */

int sqlite_chore_find(struct store *base, uint32_t partner, enum outbox_kind kind,
	struct str account, uint64_t *id_out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_CHORE_FIND);
	int64_t id = 0;
	int64_t *const out[] = {&id};

	bind_account(&query, partner, account);
	query_i64(&query, ":kind", kind);
	int result = read_numbers(&query, out, 1);
	if (result == 0)
		*id_out = (uint64_t)id;
	return result;
}

int sqlite_chores_wake(struct store *base, int64_t now_ms)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_CHORES_WAKE);

	query_i64(&query, ":now", now_ms);
	return query_run(&query, NULL);
}

/* ---- reconciliation ----------------------------------------------------------------------------
 */

int sqlite_reconciliation_get(struct store *base, uint32_t partner, struct str account, int64_t day,
	struct reconciliation_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_RECONCILIATION_GET);
	struct reconciliation_row row = {.partner = partner, .account = account, .day = day};
	int64_t state = 0, page = 0, cursor = 0, has_list = 0, has_balances = 0;
	int64_t *const to[] = {&state, &page, &row.page_mark, &cursor, &row.begun_ms,
		&row.closed_ms, &has_list, &has_balances, &row.opening, &row.closing, &row.booked,
		&row.difference, &row.slack_low, &row.slack_high, &row.matched, &row.late,
		&row.missing, &row.unknown, &row.differing};

	bind_account(&query, partner, account);
	query_i64(&query, ":day", day);
	int result = read_numbers(&query, to, sizeof(to) / sizeof(to[0]));
	if (result != 0)
		return result;
	row.state = (enum reconciliation_state)state;
	row.page = (uint32_t)page;
	row.cursor = (uint64_t)cursor;
	row.has_list = has_list != 0;
	row.has_balances = has_balances != 0;
	*out = row;
	return 0;
}

/* A parameter that is not bound is NULL. */
static void bind_balances(struct query *query, const struct reconciliation_row *row)
{
	query_i64(query, ":opening", row->opening);
	query_i64(query, ":closing", row->closing);
	query_i64(query, ":booked", row->booked);
	query_i64(query, ":difference", row->difference);
	query_i64(query, ":slack_low", row->slack_low);
	query_i64(query, ":slack_high", row->slack_high);
}

int sqlite_reconciliation_put(struct store *base, const struct reconciliation_row *row)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_RECONCILIATION_PUT);

	bind_account(&query, row->partner, row->account);
	query_i64(&query, ":day", row->day);
	query_i64(&query, ":state", row->state);
	query_i64(&query, ":page", row->page);
	query_i64(&query, ":page_mark", row->page_mark);
	query_i64(&query, ":cursor", (int64_t)row->cursor);
	query_i64(&query, ":begun_ms", row->begun_ms);
	query_id(&query, ":closed_ms", (uint64_t)row->closed_ms);
	query_i64(&query, ":has_list", row->has_list);
	if (row->has_balances)
		bind_balances(&query, row);
	query_i64(&query, ":matched", row->matched);
	query_i64(&query, ":late", row->late);
	query_i64(&query, ":missing", row->missing);
	query_i64(&query, ":unknown", row->unknown);
	query_i64(&query, ":differing", row->differing);
	return query_run(&query, NULL);
}

/* Whether this run has put it already, or it was found to be so on another day. */
static int listing_is_told(struct db *db, const struct listing_row *row, int64_t since_ms)
{
	struct query query = query_begin(db, ST_LISTING_GET);
	int64_t finding = 0, day = 0, at_ms = 0;
	int64_t *const out[] = {&finding, &day, &at_ms};

	bind_account(&query, row->partner, row->account);
	query_str(&query, ":item", row->item);
	int result = read_numbers(&query, out, 3);
	if (result != 0)
		return result == TAMA_ENOTFOUND ? 0 : result;
	if (day != row->day && finding == (int64_t)row->finding && finding != LISTING_MATCHED)
		return TAMA_EEXIST;
	return day == row->day && at_ms >= since_ms ? TAMA_EEXIST : 0;
}

int sqlite_listing_put(struct store *base, const struct listing_row *row, int64_t since_ms)
{
	struct db *db = &sqlite_store_of(base)->db;
	int result = listing_is_told(db, row, since_ms);

	if (result != 0)
		return result;
	struct query query = query_begin(db, ST_LISTING_PUT);
	bind_account(&query, row->partner, row->account);
	query_str(&query, ":item", row->item);
	query_i64(&query, ":day", row->day);
	query_id(&query, ":attempt", row->attempt);
	query_i64(&query, ":finding", row->finding);
	query_i64(&query, ":amount", row->amount);
	query_i64(&query, ":at_ms", row->at_ms);
	return query_run(&query, NULL);
}

int sqlite_listing_of(struct store *base, uint32_t partner, uint64_t attempt, int64_t since_ms,
	enum listing_finding *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_LISTING_OF);
	int64_t finding = 0;
	int64_t *const to[] = {&finding};

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":attempt", (int64_t)attempt);
	query_i64(&query, ":since", since_ms);
	int result = read_numbers(&query, to, 1);
	if (result == 0)
		*out = (enum listing_finding)finding;
	return result;
}

int sqlite_listing_trim(struct store *base, uint32_t partner, struct str account, int64_t day)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_LISTING_TRIM);

	bind_account(&query, partner, account);
	query_i64(&query, ":day", day);
	return query_run(&query, NULL);
}

int sqlite_attempts_succeeded(struct store *base, uint32_t partner, struct str account,
	uint64_t after, uint64_t until, struct arena *arena, struct attempt_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_ATTEMPTS_SUCCEEDED);

	bind_account(&query, partner, account);
	query_i64(&query, ":after", (int64_t)after);
	query_i64(&query, ":until", (int64_t)until);
	query_i64(&query, ":max", (int64_t)max);
	return attempts_read(&query, arena, out, max);
}

/* ---- for persons -------------------------------------------------------------------------------
 */

#define COLUMNS_MAX 24

static size_t values_read(sqlite3_stmt *stmt, struct books_value *values)
{
	int n = sqlite3_column_count(stmt);

	tama_assert(n <= COLUMNS_MAX);
	for (int i = 0; i < n; i++) {
		int type = sqlite3_column_type(stmt, i);

		values[i] = (struct books_value){.name = sqlite3_column_name(stmt, i),
			.is_null = type == SQLITE_NULL,
			.is_number = type == SQLITE_INTEGER};
		if (type == SQLITE_INTEGER)
			values[i].number = sqlite3_column_int64(stmt, i);
		else
			values[i].text = str_c((const char *)sqlite3_column_text(stmt, i));
	}
	return (size_t)n;
}

int store_reader_books(struct store_reader *reader, enum books_view view, uint32_t partner,
	size_t max, books_fn fn, void *ctx)
{
	static const enum statement statements[BOOKS_VIEWS] = {
		ST_BOOKS_BALANCES, ST_BOOKS_FLOATS, ST_BOOKS_RECONCILIATIONS, ST_BOOKS_FINDINGS};
	struct query query = query_begin(&reader->db, statements[view]);
	struct books_value values[COLUMNS_MAX];
	int result, n = 0;

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":max", (int64_t)max);
	while ((result = query_step(&query)) == 1) {
		fn(ctx, values, values_read(query.stmt, values));
		n++;
	}
	(void)query_end(&query);
	return result < 0 ? result : n;
}
