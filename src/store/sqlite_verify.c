/*
 * Reads a store purchase by purchase for the checker. A page of purchases is one read transaction:
 * what holds at each commit holds in it, and the writer is never kept waiting.
 */
#include "sqlite_verify.h"

#include "sqlite_priv.h"
#include "sqlite_verify_sums.h"

#include <limits.h>
#include <sodium.h>

#define PAGE 100
#define SCHEMA 3
#define ROWS_MAX 100000 /* of one purchase; more is a fault of its own */

enum look {
	LOOK_PAGE,
	LOOK_PURCHASE,
	LOOK_ATTEMPTS,
	LOOK_EVENTS,
	LOOK_LINES,
	LOOK_DECIDED,
	LOOKS,
};

/*
 * What is sealed begins with a random nonce and a tag, 40 bytes together: that all of them are
 * clean text is not chance (below 1 in 10^14).
 */
static void is_plain(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	const char *bytes = sqlite3_value_blob(argv[0]);
	int n = sqlite3_value_bytes(argv[0]);
	struct str head = {bytes, n < 40 ? (size_t)n : 40};

	/* A letter of several bytes may be cut at the end. */
	while (head.n > 37 && n >= 40 && ((unsigned char)head.p[head.n - 1] & 0x80) != 0)
		head.n--;
	sqlite3_result_int(context, n < 40 || str_is_clean_utf8(head));
	(void)argc;
}

/*
 * What falls due weeks from now waits for nobody: the longest that anything is put off is a week,
 * and the engine's clock may be a month ahead of the one kept, over a long pause.
 */
#define FALLS_DUE                                                                                  \
	"o.is_done = 0 AND o.due_ms <= (SELECT iif(clock_ms > 0, clock_ms + 3456000000,"           \
	" 9223372036854775807) FROM meta)"
#define MESSAGES "FROM outbox o WHERE o.purchase = q.id AND o.kind = 3"

/* Applied, and not by two persons; one suffices to say that evidence has been looked at. */
#define LONELY                                                                                     \
	"d.state = 2 AND d.kind <> 5 AND (d.agreed_by IS NULL OR d.agreed_by = d.proposed_by)"

static const char *const looks[LOOKS] = {
	[LOOK_PAGE] = "SELECT id FROM purchase WHERE id > ?1 ORDER BY id LIMIT ?2",
	[LOOK_PURCHASE] =
		"SELECT q.partner, q.state, q.payer, q.beneficiary, q.price, q.face_value, q.cost,"
		" q.collect_fee, q.has_collect, q.has_deliver,"
		" (SELECT count(*) FROM purchase x WHERE x.partner = q.partner AND x.uid = q.uid"
		"  AND x.ordinal = q.ordinal),"
		" (SELECT count(*) FROM hop h WHERE h.purchase = q.id AND h.partner = q.partner),"
		" (SELECT count(*) " MESSAGES " AND o.seq = 1),"
		" (SELECT count(*) " MESSAGES " AND o.seq = 3),"
		" (SELECT count(*) " MESSAGES " AND o.seq > 3),"
		" (SELECT count(*) " MESSAGES " AND o.seq < 1),"
		" EXISTS (SELECT 1 FROM attempt a WHERE a.purchase = q.id AND a.sent_ms > 0"
		"  AND a.first_sent_ms = 0),"
		" (SELECT count(*) FROM inbox i JOIN attempt a ON i.attempt = a.id"
		"  WHERE a.purchase = q.id AND i.verdict = 1 AND i.kind < 4 AND NOT EXISTS (SELECT "
		"1"
		"  FROM event e WHERE e.purchase = q.id AND e.evidence = i.id)),"
		" (SELECT count(*) FROM decision d WHERE d.partner = q.partner AND d.purchase = "
		"q.id"
		"  AND " LONELY ") + (SELECT count(*) FROM attempt a JOIN decision d ON d.partner ="
		"  a.partner AND d.attempt = a.id WHERE a.purchase = q.id AND " LONELY "),"
		" (SELECT count(*) FROM person p WHERE p.id IN (q.payer, q.beneficiary)"
		"  AND is_plain(p.number)) + is_plain(q.texts) + (SELECT count(*) FROM hop h"
		" WHERE h.purchase = q.id AND is_plain(h.reply)) + (SELECT count(*) FROM outbox o"
		" WHERE o.purchase = q.id AND o.kind = 3 AND is_plain(o.body))"
		" + (SELECT count(*) FROM inbox i JOIN attempt a ON i.attempt = a.id"
		" WHERE a.purchase = q.id AND is_plain(i.raw)) + (SELECT count(*) FROM decision d"
		" WHERE d.partner = q.partner AND d.purchase = q.id AND (is_plain(d.proof)"
		" OR is_plain(d.agreed_proof) AND d.agreed_proof IS NOT NULL)),"
		" q.currency, q.ref FROM purchase q WHERE q.id = ?1",
	[LOOK_ATTEMPTS] =
		"SELECT a.id, a.leg, a.n, a.state, a.owner_incarnation, a.epoch, a.sent_ms, "
		"a.amount,"
		" a.person, a.created_ms, a.body_hash <> zeroblob(16),"
		" (SELECT coalesce(sum(DISTINCT 1 << o.kind), 0) FROM outbox o WHERE o.purchase ="
		"  a.purchase AND o.attempt = a.id AND " FALLS_DUE "),"
		" (SELECT count(*) FROM inbox i WHERE i.attempt = a.id AND i.kind = 2),"
		" a.currency FROM attempt a WHERE a.purchase = ?1 ORDER BY a.leg, a.n",
	[LOOK_EVENTS] = "SELECT e.seq, e.partner, ifnull(e.attempt, 0), e.from_state, e.to_state,"
			" ifnull(e.evidence, 0), e.incarnation, e.at_ms,"
			" EXISTS (SELECT 1 FROM inbox i WHERE i.id = e.evidence AND i.partner = "
			"e.partner AND"
			"  i.attempt IN (SELECT id FROM attempt WHERE purchase = e.purchase)),"
			" e.cause, e.hash FROM event e WHERE e.purchase = ?1 ORDER BY e.seq",
	/* In the book of agents' floats (6) it is who pays, where the offer names one. */
	[LOOK_LINES] = "SELECT l.posting, l.line, l.book, l.debit, l.account <> CASE WHEN"
		       " l.book = 6 AND q.paid_by <> '' THEN q.paid_by ELSE a.account END,"
		       " l.currency FROM ledger l JOIN purchase q ON q.id = l.purchase"
		       " LEFT JOIN attempt a ON a.id = l.attempt"
		       " WHERE l.purchase = ?1 ORDER BY l.posting, l.line",
	[LOOK_DECIDED] =
		"SELECT d.id, ifnull(d.attempt, 0), d.kind FROM purchase q JOIN decision d"
		" ON d.partner = q.partner AND d.purchase = q.id WHERE q.id = ?1 AND d.state = 2"
		" UNION SELECT d.id, d.attempt, d.kind FROM attempt a JOIN decision d"
		" ON d.partner = a.partner AND d.attempt = a.id WHERE a.purchase = ?1 AND d.state "
		"= 2",
};

struct verifier {
	struct db db;
	sqlite3_stmt *statements[LOOKS];
	const struct verify_options *options;
	struct verify_report *report;
	struct v_sums *sums;
	struct err *err;
};

static int sql_fail(struct verifier *v)
{
	return err_set(v->err, TAMA_EIO, "verify: %s", sqlite3_errmsg(v->db.handle));
}

/* ---- one purchase ------------------------------------------------------------------------------
 */

static void get_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static void read_purchase(sqlite3_stmt *stmt, struct v_purchase *p)
{
	int c = 0;

	p->partner = sqlite3_column_int64(stmt, c++);
	p->state = sqlite3_column_int64(stmt, c++);
	p->payer = sqlite3_column_int64(stmt, c++);
	p->beneficiary = sqlite3_column_int64(stmt, c++);
	p->price = sqlite3_column_int64(stmt, c++);
	p->face_value = sqlite3_column_int64(stmt, c++);
	p->cost = sqlite3_column_int64(stmt, c++);
	p->collect_fee = sqlite3_column_int64(stmt, c++);
	p->has_collect = sqlite3_column_int64(stmt, c++) != 0;
	p->has_deliver = sqlite3_column_int64(stmt, c++) != 0;
	p->same_press = sqlite3_column_int64(stmt, c++);
	p->has_hop = sqlite3_column_int64(stmt, c++) != 0;
	p->finals = sqlite3_column_int64(stmt, c++);
	p->refunded = sqlite3_column_int64(stmt, c++);
	p->corrections = sqlite3_column_int64(stmt, c++);
	p->strays = sqlite3_column_int64(stmt, c++);
	p->is_old = sqlite3_column_int64(stmt, c++) != 0;
	p->unmoved = sqlite3_column_int64(stmt, c++);
	p->lonely = sqlite3_column_int64(stmt, c++);
	p->plain = sqlite3_column_int64(stmt, c++);
	get_text(stmt, c++, p->currency, sizeof(p->currency));
	get_text(stmt, c++, p->ref, sizeof(p->ref));
}

static void read_attempt(sqlite3_stmt *stmt, void *out)
{
	struct v_attempt *a = out;
	int c = 0;

	a->id = sqlite3_column_int64(stmt, c++);
	a->leg = sqlite3_column_int64(stmt, c++);
	a->n = sqlite3_column_int64(stmt, c++);
	a->state = sqlite3_column_int64(stmt, c++);
	a->owner = sqlite3_column_int64(stmt, c++);
	a->epoch = sqlite3_column_int64(stmt, c++);
	a->sent_ms = sqlite3_column_int64(stmt, c++);
	a->amount = sqlite3_column_int64(stmt, c++);
	a->person = sqlite3_column_int64(stmt, c++);
	a->created_ms = sqlite3_column_int64(stmt, c++);
	a->has_hash = sqlite3_column_int64(stmt, c++) != 0;
	a->due = (unsigned)sqlite3_column_int64(stmt, c++);
	a->replies = sqlite3_column_int64(stmt, c++);
	get_text(stmt, c++, a->currency, sizeof(a->currency));
}

static void read_event(sqlite3_stmt *stmt, void *out)
{
	struct v_event *e = out;
	int c = 0;

	e->seq = sqlite3_column_int64(stmt, c++);
	e->partner = sqlite3_column_int64(stmt, c++);
	e->attempt = sqlite3_column_int64(stmt, c++);
	e->from = sqlite3_column_int64(stmt, c++);
	e->to = sqlite3_column_int64(stmt, c++);
	e->evidence = sqlite3_column_int64(stmt, c++);
	e->incarnation = sqlite3_column_int64(stmt, c++);
	e->at_ms = sqlite3_column_int64(stmt, c++);
	e->evidence_fits = sqlite3_column_int64(stmt, c++) != 0;
	get_text(stmt, c++, e->cause, sizeof(e->cause));
	e->cause_len = strlen(e->cause);
	if (sqlite3_column_bytes(stmt, c) == (int)sizeof(e->hash))
		memcpy(e->hash, sqlite3_column_blob(stmt, c), sizeof(e->hash));
}

static void read_line(sqlite3_stmt *stmt, void *out)
{
	struct v_line *l = out;

	l->posting = sqlite3_column_int64(stmt, 0);
	l->line = sqlite3_column_int64(stmt, 1);
	l->book = sqlite3_column_int64(stmt, 2);
	l->debit = sqlite3_column_int64(stmt, 3);
	l->is_elsewhere = sqlite3_column_int64(stmt, 4) != 0;
	get_text(stmt, 5, l->currency, sizeof(l->currency));
}

static void read_decided(sqlite3_stmt *stmt, void *out)
{
	struct v_decided *d = out;

	d->id = sqlite3_column_int64(stmt, 0);
	d->attempt = sqlite3_column_int64(stmt, 1);
	d->kind = sqlite3_column_int64(stmt, 2);
}

/* All rows of a look as an array of `size` each, malloc'ed. */
static int read_all(struct verifier *v, enum look look, int64_t id, size_t size,
	void (*read)(sqlite3_stmt *, void *), void **rows_out, size_t *n_out)
{
	sqlite3_stmt *stmt = v->statements[look];
	size_t cap = 0, n = 0;
	char *rows = NULL;
	int rc = sqlite3_bind_int64(stmt, 1, id);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW || n == ROWS_MAX)
			break;
		if (n == cap) {
			cap = cap > 0 ? 2 * cap : 8;
			char *grown = realloc(rows, cap * size);
			tama_assert(grown != NULL);
			rows = grown;
		}
		memset(rows + n * size, 0, size);
		read(stmt, rows + n++ * size);
	}
	(void)sqlite3_reset(stmt);
	*rows_out = rows;
	*n_out = n;
	return rc == SQLITE_DONE || n == ROWS_MAX ? 0 : sql_fail(v);
}

static int load(struct verifier *v, struct v_purchase *p)
{
	sqlite3_stmt *stmt = v->statements[LOOK_PURCHASE];
	void *attempts = NULL, *events = NULL, *lines = NULL, *decided = NULL;
	int rc = sqlite3_bind_int64(stmt, 1, p->id);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		read_purchase(stmt, p);
	(void)sqlite3_reset(stmt);
	if (rc != SQLITE_ROW)
		return sql_fail(v);
	rc = read_all(v, LOOK_ATTEMPTS, p->id, sizeof(*p->attempts), read_attempt, &attempts,
		&p->attempts_len);
	p->attempts = attempts;
	if (rc == 0)
		rc = read_all(v, LOOK_EVENTS, p->id, sizeof(*p->events), read_event, &events,
			&p->events_len);
	p->events = events;
	if (rc == 0)
		rc = read_all(
			v, LOOK_LINES, p->id, sizeof(*p->lines), read_line, &lines, &p->lines_len);
	p->lines = lines;
	if (rc == 0)
		rc = read_all(v, LOOK_DECIDED, p->id, sizeof(*p->decided), read_decided, &decided,
			&p->decided_len);
	p->decided = decided;
	return rc;
}

static void unload(struct v_purchase *p)
{
	free(p->attempts);
	free(p->events);
	free(p->lines);
	free(p->decided);
}

static void note(struct verifier *v, const struct violation *violation)
{
	if (v->report->violations++ == 0)
		v->report->first = *violation;
}

static int check_one(struct verifier *v, int64_t id, bool *is_open_out)
{
	struct v_purchase p = {.id = id};
	struct violation violation = {.what = ""};
	int rc = load(v, &p);

	if (rc == 0 && !v_check(&p, &violation)) {
		(void)snprintf(violation.ref, sizeof(violation.ref), "%s", p.ref);
		note(v, &violation);
	}
	*is_open_out = v_is_open(&p);
	unload(&p);
	return rc;
}

/* ---- the store ---------------------------------------------------------------------------------
 */

static int read_page(struct verifier *v, int64_t after, int64_t ids[static PAGE])
{
	sqlite3_stmt *stmt = v->statements[LOOK_PAGE];
	int n = 0, rc;

	(void)sqlite3_bind_int64(stmt, 1, after);
	(void)sqlite3_bind_int(stmt, 2, PAGE);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && n < PAGE)
		ids[n++] = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? n : sql_fail(v);
}

/* Each is checked, and what lies still is added up: all from one that is open to the next. */
static int check_ids(struct verifier *v, const int64_t *ids, int n)
{
	int from = 0, rc = 0;

	for (int i = 0; i < n && rc == 0; i++) {
		bool is_open;

		rc = check_one(v, ids[i], &is_open);
		if (rc != 0 || !is_open)
			continue;
		v_sums_later(v->sums, ids[i]);
		if (from < i)
			rc = v_sums_add(v->sums, ids[from], ids[i - 1], v->err);
		from = i + 1;
	}
	return rc == 0 && from < n ? v_sums_add(v->sums, ids[from], ids[n - 1], v->err) : rc;
}

/* Up to PAGE purchases behind *after. How many, or negative. */
static int check_page(struct verifier *v, int64_t *after)
{
	int64_t ids[PAGE];
	int n, rc = db_exec(&v->db, "BEGIN", v->err);

	if (rc != 0)
		return rc;
	n = read_page(v, *after, ids);
	rc = n > 0 ? check_ids(v, ids, n) : n;
	int ended = db_exec(&v->db, "COMMIT", v->err);

	if (rc == 0)
		rc = ended;
	v->report->purchases += n > 0 ? (uint64_t)n : 0;
	if (n > 0)
		*after = ids[n - 1];
	return rc == 0 ? n : rc;
}

static int check_pages(struct verifier *v, int64_t *after)
{
	int n;

	while ((n = check_page(v, after)) > 0)
		if (v->options->pause != NULL && v->options->pause(v->options->ctx))
			return err_set(v->err, TAMA_EIO, "ended before all was looked at");
	return n;
}

/* What is kept added up against the rows themselves. */
static int check_sums(struct verifier *v, int64_t after)
{
	struct v_sums_found found;
	int rc = v_sums_compare(v->sums, after, &found, v->err);

	if (rc == 0 && found.balance.rule[0] != '\0')
		note(v, &found.balance);
	if (rc == 0 && found.tally.rule[0] != '\0')
		note(v, &found.tally);
	return rc;
}

/* What SQLite finds wrong with its own file. */
static int check_file(struct verifier *v)
{
	static const char *const checks[] = {
		"PRAGMA integrity_check(1)", "PRAGMA foreign_key_check"};
	int rc = 0;

	for (size_t i = 0; i < 2 && rc == 0; i++) {
		struct violation violation = {.rule = "SQL"};
		sqlite3_stmt *stmt = NULL;
		int step = sqlite3_prepare_v2(v->db.handle, checks[i], -1, &stmt, NULL);

		if (step == SQLITE_OK)
			step = sqlite3_step(stmt);
		if (step == SQLITE_ROW) {
			get_text(stmt, 0, violation.what, sizeof(violation.what));
			if (i == 1)
				(void)snprintf(violation.what, sizeof(violation.what),
					"a row of %s leans on nothing",
					(const char *)sqlite3_column_text(stmt, 0));
			if (strcmp(violation.what, "ok") != 0)
				note(v, &violation);
		} else if (step != SQLITE_DONE)
			rc = sql_fail(v);
		(void)sqlite3_finalize(stmt);
	}
	return rc;
}

/* I11 of what belongs to no purchase. Nothing else leads there, so it is looked for everywhere. */
static int check_loose(struct verifier *v)
{
	static const char sql[] =
		"SELECT (SELECT count(*) FROM inbox WHERE attempt IS NULL AND is_plain(raw))"
		" + (SELECT count(*) FROM decision WHERE purchase IS NULL AND (is_plain(proof)"
		"  OR is_plain(agreed_proof) AND agreed_proof IS NOT NULL))"
		" + (SELECT count(*) FROM outbox WHERE purchase IS NULL AND kind = 3"
		"  AND is_plain(body)) + (SELECT count(*) FROM person p WHERE is_plain(p.number)"
		"  AND NOT EXISTS (SELECT 1 FROM purchase q WHERE q.payer = p.id)"
		"  AND NOT EXISTS (SELECT 1 FROM purchase q WHERE q.beneficiary = p.id))";
	struct violation violation = {.rule = "I11"};
	int64_t plain = 0;
	int rc = db_number(&v->db, sql, &plain, v->err);

	if (rc != 0 || plain == 0)
		return rc;
	(void)snprintf(violation.what, sizeof(violation.what),
		"%lld sealed rows of no purchase are plain", (long long)plain);
	note(v, &violation);
	return 0;
}

static int open_store(struct verifier *v, struct str dir)
{
	char path[PATH_MAX];
	int64_t version = 0;
	int rc = db_path(dir, path, v->err);

	if (rc == 0)
		rc = db_open(&v->db, path, SQLITE_OPEN_READONLY, v->err);
	if (rc != 0)
		return rc;
	(void)sqlite3_db_config(v->db.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	rc = db_set_pragmas(&v->db, DB_READER, v->err);
	if (rc == 0)
		rc = db_number(&v->db, "PRAGMA user_version", &version, v->err);
	if (rc == 0 && version != SCHEMA)
		rc = err_set(v->err, TAMA_EINVAL, "schema %lld: this checker knows %d",
			(long long)version, SCHEMA);
	if (rc == 0 && sqlite3_create_function(v->db.handle, "is_plain", 1, SQLITE_UTF8, NULL,
			       is_plain, NULL, NULL) != SQLITE_OK)
		rc = sql_fail(v);
	for (int i = 0; i < LOOKS && rc == 0; i++)
		if (sqlite3_prepare_v2(v->db.handle, looks[i], -1, &v->statements[i], NULL) !=
			SQLITE_OK)
			rc = sql_fail(v);
	return rc == 0 ? v_sums_new(&v->db, v->options, &v->sums, v->err) : rc;
}

int store_verify(struct str dir, const struct verify_options *options, struct verify_report *out,
	struct err *err)
{
	struct verifier v = {.options = options, .report = out, .err = err};
	int64_t last = 0;
	int rc;

	*out = (struct verify_report){0};
	tama_assert(sodium_init() >= 0);
	rc = open_store(&v, dir);
	if (rc == 0)
		rc = check_pages(&v, &last);
	if (rc == 0 && !options->is_live)
		rc = check_file(&v);
	if (rc == 0 && !options->is_live)
		rc = check_loose(&v);
	if (rc == 0)
		rc = check_sums(&v, last);
	v_sums_free(&v.sums);
	for (int i = 0; i < LOOKS; i++)
		(void)sqlite3_finalize(v.statements[i]);
	if (v.db.handle != NULL)
		(void)sqlite3_close(v.db.handle);
	return rc;
}
