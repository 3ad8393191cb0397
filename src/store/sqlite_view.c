/*
 * What persons look at, as rows of named values. The names are those of the answer's fields; how a
 * column rests is told by its name in the SQL text: "to!" is a person's hash and number in two
 * columns (the second is skipped), "text!oO" is sealed, with the letters of its table and purpose.
 */
#include "sqlite_priv.h"

#include "tama/limits.h"

_Static_assert(LIMIT_LEASE_MS == 60000, "as in VIEW_SMS");

#define COLUMNS_MAX 32
#define WINDOW 5000 /* purchases looked at in one transaction when a filter finds few */
#define ROW_BYTES ((size_t)1024 * 1024)

#define DECISION_COLUMNS                                                                           \
	"SELECT d.id, d.partner, d.kind, d.state, d.purchase, d.attempt, d.inbox, d.hold, a.leg,"  \
	" a.n, d.proposed_by, d.proposed_ms, d.proof AS \"proof!dD\", d.agreed_by, d.agreed_ms,"   \
	" d.agreed_proof AS \"agreed_proof!gD\""                                                   \
	" FROM decision d LEFT JOIN attempt a ON a.id = d.attempt "

#define HOLD_COLUMNS "SELECT h.id, h.partner, h.account, h.reason, h.since_ms FROM hold h "

#define PURCHASE_COLUMNS                                                                           \
	"SELECT q.id, q.partner, q.ref, q.state, q.channel, q.offer, a.hash AS \"payer!\","        \
	" a.number, q.payer_operator, b.hash AS \"beneficiary!\", b.number, q.operator,"           \
	" q.face_value, q.fee, q.price, q.cost, q.collect_fee, q.currency, q.has_collect, "        \
	"q.has_deliver, q.lang,"                                                                   \
	" q.version, q.created_ms, q.updated_ms FROM purchase q JOIN person a ON a.id = q.payer"   \
	" JOIN person b ON b.id = q.beneficiary "

#define ATTEMPT_COLUMNS                                                                            \
	"SELECT a.id, a.partner, a.purchase, q.ref, a.leg, a.n, a.state, a.account, a.our_ref,"    \
	" a.provider_id, a.verb, a.service, n.hash AS \"number!\", n.number, a.amount, "           \
	"a.currency,"                                                                              \
	" a.incarnation_made, a.owner_incarnation, a.epoch, a.polls, a.created_ms, a.sent_ms,"     \
	" a.updated_ms FROM attempt a JOIN person n ON n.id = a.person"                            \
	" JOIN purchase q ON q.id = a.purchase "

#define INBOX_COLUMNS                                                                              \
	"SELECT i.id, i.partner, i.kind, i.account, i.attempt, a.leg, a.n, q.ref, q.id AS"         \
	" purchase, i.verdict, i.detail, i.repeats, i.dismissed, i.received_ms, i.raw AS "         \
	"\"raw!iI\" FROM "                                                                         \
	"inbox i LEFT JOIN attempt a ON a.id = i.attempt"                                          \
	" LEFT JOIN purchase q ON q.id = a.purchase "

static const char *const texts[STORE_VIEWS] = {
	/* Each step lands on the next partner's first entry of the index. */
	[VIEW_PARTNERS] = "WITH RECURSIVE p(id) AS (SELECT min(partner) FROM purchase UNION ALL"
			  " SELECT (SELECT min(partner) FROM purchase WHERE partner > p.id) FROM p"
			  " WHERE p.id IS NOT NULL) SELECT id FROM p WHERE id IS NOT NULL"
			  " LIMIT :max",
	[VIEW_PURCHASES] = PURCHASE_COLUMNS "WHERE q.id >= :floor AND q.id < :before"
					    " AND (:partner = 0 OR q.partner = :partner)"
					    " AND (:state = 0 OR q.state = :state) AND (:person = 0"
					    " OR q.payer = :person OR q.beneficiary = :person)"
					    " ORDER BY q.id DESC LIMIT :max",
	[VIEW_BY_REF] = PURCHASE_COLUMNS "WHERE q.partner = :partner AND q.ref = :text",
	[VIEW_BY_OUR_REF] = ATTEMPT_COLUMNS "WHERE a.our_ref = :text LIMIT :max",
	/* Account by account, so that the index is of use without knowing which. */
	[VIEW_BY_PROVIDER_ID] =
		"WITH RECURSIVE k(p, a) AS (SELECT partner, account FROM (SELECT partner, account"
		" FROM attempt WHERE provider_id <> '' ORDER BY partner, account LIMIT 1)"
		" UNION ALL SELECT (SELECT partner FROM attempt WHERE provider_id <> '' AND"
		" (partner, account) > (k.p, k.a) ORDER BY partner, account LIMIT 1),"
		" (SELECT account FROM attempt WHERE provider_id <> '' AND"
		" (partner, account) > (k.p, k.a) ORDER BY partner, account LIMIT 1)"
		" FROM k WHERE k.p IS NOT NULL) " ATTEMPT_COLUMNS
		" JOIN k ON a.partner = k.p AND a.account = k.a"
		" WHERE a.provider_id = :text AND a.provider_id <> '' LIMIT :max",
	[VIEW_PURCHASE] = PURCHASE_COLUMNS "WHERE q.partner = :partner AND q.id = :purchase",
	[VIEW_ATTEMPTS] = ATTEMPT_COLUMNS "WHERE +a.partner = :partner AND a.purchase = :purchase"
					  " ORDER BY +a.id LIMIT :max",
	[VIEW_EVENTS] =
		"SELECT e.seq, e.attempt, a.leg, a.n, e.from_state, e.to_state, e.cause, "
		"e.evidence,"
		" e.incarnation, e.at_ms FROM event e LEFT JOIN attempt a ON a.id = e.attempt"
		" WHERE e.partner = :partner AND e.purchase = :purchase ORDER BY e.seq LIMIT :max",
	[VIEW_INBOX] = INBOX_COLUMNS "WHERE i.attempt IN (SELECT id FROM attempt WHERE"
				     " +partner = :partner AND purchase = :purchase)"
				     " ORDER BY i.id LIMIT :max",
	[VIEW_LEDGER] =
		"SELECT l.posting, l.line, l.attempt, a.leg, a.n, l.book, l.debit, l.currency,"
		" l.account, l.at_ms FROM ledger l LEFT JOIN attempt a ON a.id = l.attempt"
		" WHERE l.partner = :partner AND l.purchase = :purchase"
		" ORDER BY l.posting, l.line LIMIT :max",
	[VIEW_HOP] = "SELECT h.purchase AS id, h.partner, h.reply AS \"reply!hH\", q.created_ms,"
		     " q.channel FROM hop h JOIN purchase q ON q.id = h.purchase"
		     " WHERE h.partner = :partner AND h.purchase = :purchase",
	[VIEW_SMS] = "SELECT o.id, o.partner, o.seq, o.id >> 20 AS queued_ms, o.due_ms, o.tries,"
		     " o.is_done, o.over_ms, o.channel,"
		     " p.hash AS \"to!\", p.number, o.body AS \"text!oO\", o.dlr, o.dlr_ms"
		     " FROM outbox o JOIN person p ON p.id = o.person WHERE o.partner = :partner"
		     " AND o.purchase = :purchase AND o.kind = 3 ORDER BY o.seq LIMIT :max",
	[VIEW_OWED] = "SELECT o.id, o.kind, o.attempt, a.leg, a.n, o.due_ms, o.tries FROM outbox o"
		      " LEFT JOIN attempt a ON a.id = o.attempt WHERE o.partner = :partner"
		      " AND o.purchase = :purchase AND o.kind <> 3 AND o.is_done = 0"
		      " ORDER BY o.due_ms LIMIT :max",
	[VIEW_DECISIONS] =
		DECISION_COLUMNS "WHERE d.partner = :partner AND (d.purchase = :purchase OR"
				 " d.attempt IN (SELECT id FROM attempt WHERE +partner = :partner"
				 " AND purchase = :purchase)) ORDER BY d.id LIMIT :max",
	/* As the conditions of attempt_open and inbox_parked in schema.sql. */
	[VIEW_OPEN_CASES] =
		ATTEMPT_COLUMNS "WHERE (a.state < 5 OR a.state = 9 OR a.state = 10) AND a.state > 8"
				" AND a.id > :after ORDER BY a.id LIMIT :max",
	[VIEW_PARKED] = INBOX_COLUMNS
	"WHERE (i.verdict BETWEEN 4 AND 6 OR i.verdict > 8) AND i.dismissed = 0"
	" AND i.id > :after ORDER BY i.id LIMIT :max",
	[VIEW_PURCHASE_BY_ID] = PURCHASE_COLUMNS "WHERE q.id = :after",
	[VIEW_ATTEMPT] = ATTEMPT_COLUMNS "WHERE a.id = :after",
	[VIEW_PARKED_ONE] = INBOX_COLUMNS "WHERE i.id = :after",
	[VIEW_HOLD] = HOLD_COLUMNS "WHERE h.id = :after",
	[VIEW_REFUNDS] = PURCHASE_COLUMNS
	"WHERE q.state = 8 AND q.id > :after AND NOT EXISTS (SELECT 1 FROM attempt x"
	" WHERE x.purchase = q.id AND x.leg = 3 AND x.state = 1) ORDER BY q.id LIMIT :max",
	[VIEW_HOLDS] = HOLD_COLUMNS "WHERE h.released_ms IS NULL AND h.id > :after"
				    " ORDER BY h.id LIMIT :max",
	[VIEW_PROPOSED] =
		DECISION_COLUMNS "WHERE d.state = 1 AND d.id > :after ORDER BY d.id LIMIT :max",
	[VIEW_META] = "SELECT lower(hex(store_id)) AS store_id, generation, incarnation,"
		      " (SELECT max(id) FROM purchase) AS last_id FROM meta",
};

/* The lowest of the next so many ids below :before: what one look at PURCHASES goes through. */
static const char floor_text[] =
	"SELECT min(id) FROM (SELECT id FROM purchase WHERE id < ? ORDER BY id DESC LIMIT ?)";

/* ---- values
 * -------------------------------------------------------------------------------------- */

/* By the letter behind '!' in a column's name: which purpose its seal has (sqlite_*.c, seal_of). */
static enum vault_purpose purpose_of(char letter)
{
	switch (letter) {
	case 'I':
		return VAULT_INBOX;
	case 'H':
		return VAULT_HOP;
	case 'D':
		return VAULT_DECISION;
	default:
		return VAULT_OUTBOX;
	}
}

struct view_row {
	struct query *query;
	struct arena *arena;
	uint64_t id; /* the row's own, which seals are bound to */
	uint32_t partner;
	char names[COLUMNS_MAX][24];
	struct store_value values[COLUMNS_MAX];
	size_t n;
};

static void read_plain(struct view_row *row, struct store_value *value)
{
	sqlite3_stmt *stmt = row->query->stmt;

	switch (sqlite3_column_type(stmt, row->query->column)) {
	case SQLITE_INTEGER:
		value->kind = VALUE_NUMBER;
		value->number = query_get_i64(row->query);
		return;
	case SQLITE_NULL:
		value->kind = VALUE_NULL;
		row->query->column++;
		return;
	default:
		value->kind = VALUE_TEXT;
		value->text = query_get_str(row->query, row->arena);
	}
}

/* "to!": a number in two columns. "text!oO": sealed as table 'o', purpose 'O'; NULL stays it. */
static void read_marked(struct view_row *row, struct store_value *value, const char *mark)
{
	if (mark[1] == '\0') {
		value->kind = VALUE_MSISDN;
		value->text = query_get_number(row->query, row->arena);
		return;
	}
	if (sqlite3_column_type(row->query->stmt, row->query->column) == SQLITE_NULL) {
		read_plain(row, value);
		return;
	}
	struct seal seal = seal_of(purpose_of(mark[2]), mark[1], row->partner, row->id);

	value->kind = VALUE_SEALED;
	value->text = query_get_sealed(row->query, &seal, row->arena);
}

static void note_key(struct view_row *row, const struct store_value *value)
{
	if (strcmp(value->name, "id") == 0)
		row->id = (uint64_t)value->number;
	else if (strcmp(value->name, "partner") == 0)
		row->partner = (uint32_t)value->number;
}

static void read_values(struct view_row *row)
{
	int columns = sqlite3_column_count(row->query->stmt);

	row->n = 0;
	while (row->query->column < columns) {
		const char *name = sqlite3_column_name(row->query->stmt, row->query->column);
		const char *mark = strchr(name, '!');
		struct store_value *value = &row->values[row->n];
		char *copy = row->names[row->n];

		tama_assert(row->n < COLUMNS_MAX);
		(void)snprintf(copy, sizeof(row->names[0]), "%.*s",
			mark != NULL ? (int)(mark - name) : 23, name);
		*value = (struct store_value){.name = copy};
		if (mark != NULL)
			read_marked(row, value, mark);
		else
			read_plain(row, value);
		note_key(row, value);
		row->n++;
	}
}

/* ---- looks
 * --------------------------------------------------------------------------------------- */

static int view_prepare(struct store_reader *reader, enum store_view view)
{
	if (reader->views[view] != NULL)
		return 0;
	return db_result(
		&reader->db, sqlite3_prepare_v3(reader->db.handle, texts[view], -1,
				     SQLITE_PREPARE_PERSISTENT, &reader->views[view], NULL));
}

void views_close(struct store_reader *reader)
{
	for (int i = 0; i < STORE_VIEWS; i++) {
		(void)sqlite3_finalize(reader->views[i]);
		reader->views[i] = NULL;
	}
}

struct bounds {
	int64_t floor, before, person;
};

/* Each view names those it uses. */
static void bind(struct query *query, const struct store_ask *ask, const struct bounds *bounds)
{
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {
		{":partner", ask->partner},
		{":purchase", (int64_t)ask->purchase},
		{":after", (int64_t)ask->after},
		{":state", ask->state},
		{":max", ask->max > 0 && ask->max < STORE_VIEW_ROWS ? (int64_t)ask->max
								    : STORE_VIEW_ROWS},
		{":floor", bounds->floor},
		{":before", bounds->before},
		{":person", bounds->person},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sqlite3_bind_parameter_index(query->stmt, numbers[i].name) > 0)
			query_i64(query, numbers[i].name, numbers[i].value);
	if (sqlite3_bind_parameter_index(query->stmt, ":text") > 0)
		query_str(query, ":text", ask->text);
}

static int run(struct store_reader *reader, enum store_view view, const struct store_ask *ask,
	const struct bounds *bounds, store_row_fn fn, void *ctx)
{
	struct query query = {.db = &reader->db, .stmt = reader->views[view], .rc = SQLITE_OK};
	struct arena arena;
	struct view_row row = {.query = &query, .arena = &arena};
	int n = 0, result;

	arena_init(&arena, ROW_BYTES);
	bind(&query, ask, bounds);
	while ((result = query_step(&query)) == 1) {
		arena_reset(&arena);
		read_values(&row);
		if (query.error != 0 || arena_overflowed(&arena))
			break;
		n++;
		if (!fn(ctx, row.values, row.n))
			break;
	}
	if (result >= 0 && arena_overflowed(&arena))
		result = TAMA_ENOMEM;
	arena_fini(&arena);
	int ended = query_end(&query);
	if (result < 0)
		return result;
	return ended != 0 ? ended : n;
}

/* Where a look that begins below `before` has to stop. */
static int find_floor(struct store_reader *reader, int64_t before, int64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(reader->db.handle, floor_text, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 1, before);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, WINDOW);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	/* NULL, which reads as 0, when nothing is left. */
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return db_result(&reader->db, rc);
}

struct counted {
	store_row_fn fn;
	void *ctx;
	size_t n;
	int64_t last_id;
};

static bool count_row(void *ctx, const struct store_value *values, size_t n)
{
	struct counted *counted = ctx;

	counted->n++;
	counted->last_id = values[0].number;
	return counted->fn(counted->ctx, values, n);
}

static int purchases(struct store_reader *reader, const struct store_ask *ask, store_row_fn fn,
	void *ctx, uint64_t *more_out)
{
	size_t max = ask->max > 0 && ask->max < STORE_VIEW_ROWS ? ask->max : STORE_VIEW_ROWS;
	struct bounds bounds = {.before = ask->before > 0 ? (int64_t)ask->before : INT64_MAX};
	/* An id begins with the milliseconds at which it was made. */
	int64_t since = ask->since_ms > 0 ? ask->since_ms << 20 : 1;
	struct counted counted = {.fn = fn, .ctx = ctx};
	int result = find_floor(reader, bounds.before, &bounds.floor);

	*more_out = 0;
	if (result == 0 && ask->number.n > 0)
		result = person_find(&reader->db, ask->partner, ask->number, &bounds.person);
	if (result != 0 || bounds.floor == 0)
		return result == TAMA_ENOTFOUND ? 0 : result;
	bool has_more = bounds.floor > since;
	if (!has_more)
		bounds.floor = since;
	result = run(reader, VIEW_PURCHASES, ask, &bounds, count_row, &counted);
	if (result >= 0 && counted.n >= max)
		*more_out = (uint64_t)counted.last_id;
	else if (result >= 0 && has_more)
		*more_out = (uint64_t)bounds.floor;
	return result;
}

int store_reader_view(struct store_reader *reader, enum store_view view,
	const struct store_ask *ask, store_row_fn fn, void *ctx, uint64_t *more_out)
{
	const struct bounds none = {0};
	uint64_t more;
	int result = view_prepare(reader, view);

	if (result != 0)
		return result;
	if (view == VIEW_PURCHASES)
		return purchases(reader, ask, fn, ctx, more_out != NULL ? more_out : &more);
	return run(reader, view, ask, &none, fn, ctx);
}
