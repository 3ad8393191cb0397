/* Balances and tallies against the rows that they are made of. schema.sql says what counts. */
#include "sqlite_verify_sums.h"

#include <stdio.h>
#include <string.h>

enum { CANCELLED = 6, EXPIRED_PURCHASE = 7, NOT_SENT = 5, EXPIRED = 8 };

/* What a tally is of; a balance is of its book. */
/* Books that are kept by the day as well. */
enum { REVENUE = 3, FEES = 7 };

enum { OF_ALL = 3, OF_ACCOUNT = 4, OF_CHANNEL = 5 };

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define ROWS_A_BREATH 200000

/* How finely is counted and how long that is kept, at least; 0: for ever. */
static const struct span {
	int64_t ms, kept_ms;
} spans[] = {{60000, 2 * HOUR_MS}, {HOUR_MS, 72 * HOUR_MS}, {DAY_MS, 0}};

/* Without gaps, and zero behind its texts: keys are compared as bytes. */
struct sum_key {
	int64_t is_tally, partner, of, span_ms, start_ms;
	char name[64], currency[8];
};

/* What there is, and what is kept of it. */
struct sum {
	struct sum_key key;
	int64_t count, value, kept_count, kept_value;
	bool is_used;
};

enum look {
	LOOK_NEWEST,
	LOOK_LINES,
	LOOK_PURCHASES,
	LOOK_ATTEMPTS,
	LOOK_BALANCES,
	LOOK_EARNED,
	LOOK_TALLIES,
	LOOKS,
};

#define OF_RANGE " BETWEEN ?1 AND ?2"

static const char *const looks[LOOKS] = {
	[LOOK_NEWEST] = "SELECT created_ms FROM purchase ORDER BY id DESC LIMIT 1",
	[LOOK_LINES] = "SELECT partner, account, book, currency, debit, at_ms FROM ledger"
		       " WHERE purchase" OF_RANGE,
	[LOOK_PURCHASES] = "SELECT partner, currency, channel, created_ms, price, state"
			   " FROM purchase WHERE id" OF_RANGE,
	[LOOK_ATTEMPTS] = "SELECT partner, account, created_ms, amount, state FROM attempt"
			  " WHERE purchase" OF_RANGE,
	[LOOK_BALANCES] = "SELECT partner, account, book, currency, sum FROM balance",
	[LOOK_EARNED] = "SELECT partner, account, book, currency, sum, day FROM earned",
	[LOOK_TALLIES] = "SELECT partner, of, key, span_ms, start_ms, count, value FROM tally",
};

struct v_sums {
	struct db *db;
	const struct verify_options *options;
	sqlite3_stmt *statements[LOOKS];
	struct sum *table; /* open addressing; cap is a power of two, at most half is used */
	size_t len, cap;
	int64_t *later;
	size_t later_len, later_cap;
	int64_t from_ms; /* the newest purchase when it began: spans gone by then are not counted */
	int64_t newest_ms; /* of all that was added */
	size_t rows; /* since the last breath */
};

/* ---- the table ---------------------------------------------------------------------------------
 */

static size_t slot_of(const struct v_sums *s, const struct sum_key *key)
{
	const unsigned char *bytes = (const unsigned char *)key;
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	size_t at;

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	at = (size_t)(hash ^ hash >> 32) & (s->cap - 1);
	while (s->table[at].is_used && memcmp(&s->table[at].key, key, sizeof(*key)) != 0)
		at = (at + 1) & (s->cap - 1);
	return at;
}

static void grow(struct v_sums *s)
{
	struct sum *old = s->table;
	size_t cap = s->cap;

	s->cap = cap > 0 ? 2 * cap : 256;
	s->table = calloc(s->cap, sizeof(*s->table));
	tama_assert(s->table != NULL);
	for (size_t i = 0; i < cap; i++)
		if (old[i].is_used)
			s->table[slot_of(s, &old[i].key)] = old[i];
	free(old);
}

static struct sum *sum_of(struct v_sums *s, const struct sum_key *key)
{
	struct sum *sum;

	if (2 * (s->len + 1) > s->cap)
		grow(s);
	sum = &s->table[slot_of(s, key)];
	if (!sum->is_used) {
		*sum = (struct sum){.key = *key, .is_used = true};
		s->len++;
	}
	return sum;
}

static void key_begin(struct sum_key *key, bool is_tally, int64_t partner)
{
	memset(key, 0, sizeof(*key));
	key->is_tally = is_tally;
	key->partner = partner;
}

static void put_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

/* ---- adding ------------------------------------------------------------------------------------
 */

/* Partner, account, book and currency as the ledger's lines and the balances have them. */
static void balance_key(sqlite3_stmt *row, struct sum_key *key)
{
	key_begin(key, false, sqlite3_column_int64(row, 0));
	key->of = sqlite3_column_int64(row, 2);
	put_text(row, 1, key->name, sizeof(key->name));
	put_text(row, 3, key->currency, sizeof(key->currency));
}

static void add_line(struct v_sums *s, sqlite3_stmt *row)
{
	int64_t debit = sqlite3_column_int64(row, 4), at_ms = sqlite3_column_int64(row, 5);
	struct sum_key key;

	balance_key(row, &key);
	sum_of(s, &key)->value += debit;
	if (key.of != REVENUE && key.of != FEES)
		return;
	key.span_ms = DAY_MS;
	key.start_ms = at_ms - at_ms % DAY_MS;
	sum_of(s, &key)->value += debit;
}

static void count(struct v_sums *s, struct sum_key *key, int64_t at_ms, int64_t value)
{
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		struct sum *sum;

		key->span_ms = spans[i].ms;
		key->start_ms = at_ms - at_ms % spans[i].ms;
		if (spans[i].kept_ms > 0 && key->start_ms < s->from_ms - spans[i].kept_ms)
			continue;
		sum = sum_of(s, key);
		sum->count++;
		sum->value += value;
	}
}

static void add_purchase(struct v_sums *s, sqlite3_stmt *row)
{
	int64_t at_ms = sqlite3_column_int64(row, 3), price = sqlite3_column_int64(row, 4);
	int64_t state = sqlite3_column_int64(row, 5);
	struct sum_key key;

	if (at_ms > s->newest_ms)
		s->newest_ms = at_ms;
	if (state == CANCELLED || state == EXPIRED_PURCHASE)
		return;
	key_begin(&key, true, sqlite3_column_int64(row, 0));
	key.of = OF_ALL;
	put_text(row, 1, key.name, sizeof(key.name));
	count(s, &key, at_ms, price);
	key_begin(&key, true, sqlite3_column_int64(row, 0));
	key.of = OF_CHANNEL;
	put_text(row, 2, key.name, sizeof(key.name));
	count(s, &key, at_ms, price);
}

static void add_attempt(struct v_sums *s, sqlite3_stmt *row)
{
	int64_t at_ms = sqlite3_column_int64(row, 2), state = sqlite3_column_int64(row, 4);
	struct sum_key key;

	if (at_ms > s->newest_ms)
		s->newest_ms = at_ms;
	if (state == NOT_SENT || state == EXPIRED)
		return;
	key_begin(&key, true, sqlite3_column_int64(row, 0));
	key.of = OF_ACCOUNT;
	put_text(row, 1, key.name, sizeof(key.name));
	count(s, &key, at_ms, sqlite3_column_int64(row, 3));
}

/* True to end. A transaction over everything takes seconds: whoever waits for its end may ask. */
static bool breathe(struct v_sums *s)
{
	if (++s->rows < ROWS_A_BREATH)
		return false;
	s->rows = 0;
	return s->options->pause != NULL && s->options->pause(s->options->ctx);
}

static int each_row(struct v_sums *s, enum look look, void (*add)(struct v_sums *, sqlite3_stmt *),
	struct err *err)
{
	sqlite3_stmt *stmt = s->statements[look];
	bool is_ended = false;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && !is_ended) {
		add(s, stmt);
		is_ended = breathe(s);
	}
	(void)sqlite3_reset(stmt);
	if (is_ended)
		return err_set(err, TAMA_EIO, "ended before all was added up");
	return rc == SQLITE_DONE
		       ? 0
		       : err_set(err, TAMA_EIO, "verify: %s", sqlite3_errmsg(s->db->handle));
}

int v_sums_add(struct v_sums *s, int64_t first, int64_t last, struct err *err)
{
	static void (*const adds[])(struct v_sums *, sqlite3_stmt *) = {[LOOK_LINES] = add_line,
		[LOOK_PURCHASES] = add_purchase,
		[LOOK_ATTEMPTS] = add_attempt};
	int rc = 0;

	for (int look = LOOK_LINES; look <= LOOK_ATTEMPTS && rc == 0; look++) {
		(void)sqlite3_bind_int64(s->statements[look], 1, first);
		(void)sqlite3_bind_int64(s->statements[look], 2, last);
		rc = each_row(s, (enum look)look, adds[look], err);
	}
	return rc;
}

void v_sums_later(struct v_sums *s, int64_t purchase)
{
	if (s->later_len == s->later_cap) {
		s->later_cap = s->later_cap > 0 ? 2 * s->later_cap : 64;
		s->later = realloc(s->later, s->later_cap * sizeof(*s->later));
		tama_assert(s->later != NULL);
	}
	s->later[s->later_len++] = purchase;
}

/* ---- comparing ---------------------------------------------------------------------------------
 */

static void see_balance(struct v_sums *s, sqlite3_stmt *row)
{
	struct sum_key key;

	balance_key(row, &key);
	sum_of(s, &key)->kept_value = sqlite3_column_int64(row, 4);
}

static void see_earned(struct v_sums *s, sqlite3_stmt *row)
{
	struct sum_key key;

	balance_key(row, &key);
	key.span_ms = DAY_MS;
	key.start_ms = sqlite3_column_int64(row, 5) * DAY_MS;
	sum_of(s, &key)->kept_value = sqlite3_column_int64(row, 4);
}

static void see_tally(struct v_sums *s, sqlite3_stmt *row)
{
	struct sum_key key;
	struct sum *sum;

	key_begin(&key, true, sqlite3_column_int64(row, 0));
	key.of = sqlite3_column_int64(row, 1);
	put_text(row, 2, key.name, sizeof(key.name));
	key.span_ms = sqlite3_column_int64(row, 3);
	key.start_ms = sqlite3_column_int64(row, 4);
	sum = sum_of(s, &key);
	sum->kept_count = sqlite3_column_int64(row, 5);
	sum->kept_value = sqlite3_column_int64(row, 6);
}

/* Minutes and hours go, and what comes late for one that has gone begins it anew. */
static bool is_kept(const struct v_sums *s, const struct sum_key *key)
{
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		if (key->span_ms == spans[i].ms)
			return spans[i].kept_ms == 0 ||
			       key->start_ms >= s->newest_ms - spans[i].kept_ms;
	return true; /* no such span is counted */
}

static void tell_balance(const struct sum *sum, struct violation *out)
{
	*out = (struct violation){.rule = "I4"};
	(void)snprintf(out->what, sizeof(out->what),
		"%s of partner %lld, %s, book %lld is not what its postings add up to",
		sum->key.span_ms > 0 ? "a day's part" : "the balance", (long long)sum->key.partner,
		sum->key.name, (long long)sum->key.of);
}

static void tell_tally(const struct v_sums *s, const struct sum *sum, struct violation *out)
{
	const struct sum_key *key = &sum->key;
	int64_t span_ms = key->span_ms > 0 ? key->span_ms : 1;

	*out = (struct violation){.rule = "V1"};
	(void)snprintf(out->what, sizeof(out->what),
		"the tally of partner %lld, %s (%lld), %lld s, %lld spans back, is %lld worth %lld,"
		" and there are %lld worth %lld",
		(long long)key->partner, key->name, (long long)key->of,
		(long long)key->span_ms / 1000,
		(long long)((s->newest_ms - key->start_ms) / span_ms), (long long)sum->kept_count,
		(long long)sum->kept_value, (long long)sum->count, (long long)sum->value);
}

/* The first in order of their keys, so that two looks at one store say the same. */
static void keep_first(const struct sum **first, const struct sum *sum)
{
	if (*first == NULL || memcmp(&sum->key, &(*first)->key, sizeof(sum->key)) < 0)
		*first = sum;
}

static int differences(struct v_sums *s, struct v_sums_found *out, struct err *err)
{
	const struct sum *balance = NULL, *tally = NULL;
	int rc = each_row(s, LOOK_BALANCES, see_balance, err);

	if (rc == 0)
		rc = each_row(s, LOOK_EARNED, see_earned, err);
	if (rc == 0)
		rc = each_row(s, LOOK_TALLIES, see_tally, err);
	for (size_t i = 0; i < s->cap && rc == 0; i++) {
		const struct sum *sum = &s->table[i];

		if (!sum->is_used ||
			(sum->count == sum->kept_count && sum->value == sum->kept_value))
			continue;
		if (!sum->key.is_tally)
			keep_first(&balance, sum);
		else if (is_kept(s, &sum->key))
			keep_first(&tally, sum);
	}
	memset(out, 0, sizeof(*out));
	if (balance != NULL)
		tell_balance(balance, &out->balance);
	if (tally != NULL)
		tell_tally(s, tally, &out->tally);
	return rc;
}

static int forget(struct v_sums *s, struct err *err)
{
	sqlite3_stmt *stmt = s->statements[LOOK_NEWEST];
	int rc = sqlite3_step(stmt);

	if (s->table != NULL)
		memset(s->table, 0, s->cap * sizeof(*s->table));
	s->len = s->later_len = 0;
	s->newest_ms = 0;
	s->from_ms = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
	(void)sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE
		       ? 0
		       : err_set(err, TAMA_EIO, "verify: %s", sqlite3_errmsg(s->db->handle));
}

static int in_transaction(
	struct v_sums *s, int64_t after, bool is_anew, struct v_sums_found *out, struct err *err)
{
	int rc = db_exec(s->db, "BEGIN", err);

	if (rc != 0)
		return rc;
	if (is_anew)
		rc = forget(s, err);
	for (size_t i = 0; i < s->later_len && rc == 0; i++)
		rc = v_sums_add(s, s->later[i], s->later[i], err);
	if (rc == 0)
		rc = v_sums_add(s, after + 1, INT64_MAX, err);
	if (rc == 0)
		rc = differences(s, out, err);
	int ended = db_exec(s->db, "COMMIT", err);

	return rc == 0 ? ended : rc;
}

int v_sums_compare(struct v_sums *s, int64_t after, struct v_sums_found *out, struct err *err)
{
	int rc = in_transaction(s, after, false, out, err);

	if (rc == 0 && (out->balance.rule[0] != '\0' || out->tally.rule[0] != '\0'))
		rc = in_transaction(s, 0, true, out, err);
	return rc;
}

int v_sums_new(
	struct db *db, const struct verify_options *options, struct v_sums **out, struct err *err)
{
	struct v_sums *s = calloc(1, sizeof(*s));

	tama_assert(s != NULL);
	s->db = db;
	s->options = options;
	*out = s;
	for (int i = 0; i < LOOKS; i++)
		if (sqlite3_prepare_v2(db->handle, looks[i], -1, &s->statements[i], NULL) !=
			SQLITE_OK)
			return err_set(err, TAMA_EIO, "verify: %s", sqlite3_errmsg(db->handle));
	return forget(s, err);
}

void v_sums_free(struct v_sums **sums)
{
	struct v_sums *s = *sums;

	if (s == NULL)
		return;
	for (int i = 0; i < LOOKS; i++)
		(void)sqlite3_finalize(s->statements[i]);
	free(s->table);
	free(s->later);
	free(s);
	*sums = NULL;
}
