/* What must hold when the faults have stopped and 48 hours have passed, and after each restart. */
#include "sim.h"

static int64_t number(struct sim *s, const char *text, uint64_t id)
{
	sqlite3_stmt *stmt = NULL;
	int64_t out = 0;

	if (sqlite3_prepare_v2(sim_handle(s), text, -1, &stmt, NULL) != SQLITE_OK) {
		(void)fprintf(stderr, "%s: %s\n", text, sqlite3_errmsg(sim_handle(s)));
		abort();
	}
	if (sqlite3_bind_parameter_count(stmt) > 0)
		(void)sqlite3_bind_int64(stmt, 1, (int64_t)id);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		out = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return out;
}

bool is_forgotten(const struct sim *s, const struct press *p)
{
	return s->restored_ms != 0 && p->is_acknowledged && p->acknowledged_ms > s->backup_ms;
}

/* ---- X3, X6: what a customer was told against what there is ------------------------------------
 */

static void check_presses(struct sim *s, bool is_end)
{
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sim_handle(s),
			    "SELECT id FROM purchase WHERE partner = 1"
			    " AND ref = ?1",
			    -1, &row, NULL) == SQLITE_OK);
	for (size_t i = 0; i < s->presses_len; i++) {
		const struct press *p = &s->presses[i];
		char ref[16];
		uint64_t id = 0;

		if (!is_end && !p->is_acknowledged)
			continue;
		(void)snprintf(ref, sizeof(ref), "R%07u", (unsigned)p->uid);
		(void)sqlite3_bind_text(row, 1, ref, -1, SQLITE_STATIC);
		if (sqlite3_step(row) == SQLITE_ROW)
			id = (uint64_t)sqlite3_column_int64(row, 0);
		(void)sqlite3_reset(row);
		if (is_forgotten(s, p) && id == 0)
			s->report->forgotten += is_end;
		else if (p->is_acknowledged && id == 0)
			sim_break(s, &s->report->lost, "X3: lost, though acknowledged");
		else if (p->is_acknowledged && id != p->purchase)
			sim_break(s, &s->report->unexplained,
				"X3: another purchase than the acknowledged one");
		if (p->is_refused && !p->is_acknowledged && !p->was_in_doubt && id != 0)
			sim_break(s, &s->report->unexplained, "X6: refused, and there is one");
	}
	(void)sqlite3_finalize(row);
}

/* ---- I8: the providers' access log against the inbox -------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#define SEALED_MAX 4096

/* The text of a row (id, partner, sealed text): bound to table, partner and id. */
static struct str open_row(struct sim *s, sqlite3_stmt *row, enum vault_purpose purpose, char table,
	unsigned char plain[static SEALED_MAX])
{
	unsigned char context[13] = {(unsigned char)table};
	uint64_t id = (uint64_t)sqlite3_column_int64(row, 0);
	uint32_t partner = (uint32_t)sqlite3_column_int64(row, 1);
	struct str sealed = {sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2)};

	for (int i = 0; i < 4; i++)
		context[1 + i] = (unsigned char)(partner >> (8 * i));
	for (int i = 0; i < 8; i++)
		context[5 + i] = (unsigned char)(id >> (8 * i));
	if (sealed.n > SEALED_MAX ||
		vault_open(s->shared->vault, purpose, (struct str){(char *)context, 13}, sealed,
			plain) != 0) {
		sim_break(s, &s->report->unexplained, "I8: a sealed row that does not open");
		return STR("");
	}
	return (struct str){(char *)plain, sealed.n - VAULT_OVERHEAD};
}

static uint64_t digest_of_row(struct sim *s, sqlite3_stmt *row)
{
	unsigned char plain[SEALED_MAX];

	return sim_digest(open_row(s, row, VAULT_INBOX, 'i', plain));
}

static void check_access_log(struct sim *s)
{
	sqlite3_stmt *row = NULL;
	uint64_t *kept = NULL;
	size_t len = 0, cap = 0, n;

	tama_assert(sqlite3_prepare_v2(sim_handle(s),
			    "SELECT id, partner, raw FROM inbox WHERE kind = 1", -1, &row,
			    NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		kept = sim_grow(kept, len, &cap, sizeof(*kept));
		kept[len++] = digest_of_row(s, row);
	}
	(void)sqlite3_finalize(row);
	if (len > 0)
		qsort(kept, len, sizeof(*kept), by_number);
	n = s->restored_ms != 0 ? s->acknowledged_at_backup : s->acknowledged_len;
	for (size_t i = 0; i < n; i++)
		if (len == 0 ||
			bsearch(&s->acknowledged[i], kept, len, sizeof(*kept), by_number) == NULL)
			sim_break(s, &s->report->lost, "I8: an IPN answered 200 is not there");
	free(kept);
}

/* ---- I7: what the customer was told ------------------------------------------------------------
 */

struct told {
	int64_t purchase;
	int state;
	bool has_deliver;
	uint64_t was; /* the states that it has been in */
	uint64_t ends; /* those that its messages tell */
};

#define END(state) (UINT64_C(1) << (state))

/* Each text is of one end. */
static uint64_t end_of(struct sim *s, struct str text, bool has_deliver)
{
	static const struct {
		const char *text;
		uint64_t ends;
	} texts[] = {{"delivered", END(5)}, {"cancelled", END(6)}, {"expired", END(7)},
		{"refund due", END(8)}, {"refunded", END(11)}, {"progress", 0}};

	for (size_t i = 0; i < SIM_ROWS(texts); i++)
		if (str_eq(text, str_c(texts[i].text)))
			return i == 0 && !has_deliver ? END(3) : texts[i].ends;
	sim_break(s, &s->report->unexplained, "I7: a message of nobody's words");
	return 0;
}

static void check_told(struct sim *s, const struct told *t)
{
	const uint64_t ends = END(5) | END(6) | END(7) | END(11) | (t->has_deliver ? 0 : END(3));

	if ((t->ends & ~t->was) != 0)
		sim_break(s, &s->report->unexplained, "I7: a message tells an end that never was");
	if ((ends & END(t->state)) != 0 && (t->ends & END(t->state)) == 0)
		sim_break(s, &s->report->unexplained, "I7: no message tells the end, %d", t->state);
}

/* A message of an end implies that end, and who has come to one was told of it. */
static void check_messages(struct sim *s)
{
	struct told t = {.purchase = 0};
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sim_handle(s),
			    "SELECT o.id, o.partner, o.body, p.id, p.state, p.has_deliver, (SELECT"
			    " sum(DISTINCT 1 << to_state) FROM event e WHERE e.purchase = p.id AND"
			    " e.attempt IS NULL) FROM purchase p LEFT JOIN outbox o ON o.purchase ="
			    " p.id AND o.kind = 3 ORDER BY p.id",
			    -1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		unsigned char plain[SEALED_MAX];

		if (sqlite3_column_int64(row, 3) != t.purchase && t.purchase != 0)
			check_told(s, &t);
		if (sqlite3_column_int64(row, 3) != t.purchase)
			t = (struct told){.purchase = sqlite3_column_int64(row, 3),
				.state = sqlite3_column_int(row, 4),
				.has_deliver = sqlite3_column_int(row, 5) != 0,
				.was = (uint64_t)sqlite3_column_int64(row, 6)};
		if (sqlite3_column_int64(row, 0) != 0)
			t.ends |= end_of(
				s, open_row(s, row, VAULT_OUTBOX, 'o', plain), t.has_deliver);
	}
	(void)sqlite3_finalize(row);
	if (t.purchase != 0)
		check_told(s, &t);
}

/* ---- X4: who contradicted ----------------------------------------------------------------------
 */

/* Two facts disagree only about what a provider has said something false of. */
static void check_contradictions(struct sim *s)
{
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sim_handle(s),
			    "SELECT DISTINCT attempt FROM event WHERE to_state = 10 AND attempt IS"
			    " NOT NULL",
			    -1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		const struct sent *sent = sim_sent_of(s, (uint64_t)sqlite3_column_int64(row, 0));

		if (!sent->has_lied && s->restored_ms == 0)
			sim_break(s, &s->report->unexplained,
				"X4: a contradiction that nobody made (press %u, leg %d)",
				sent->press, sent->leg);
	}
	(void)sqlite3_finalize(row);
}

/* ---- X5: where each purchase ended -------------------------------------------------------------
 */

/* A person may be asked only where no true and final word got through in time. */
static void check_reviews(struct sim *s)
{
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sim_handle(s),
			    "SELECT a.id, (SELECT max(at_ms) FROM event e WHERE e.purchase ="
			    " a.purchase AND e.attempt = a.id AND to_state = 9) FROM attempt a"
			    " WHERE a.state = 9",
			    -1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		const struct sent *sent = sim_sent_of(s, (uint64_t)sqlite3_column_int64(row, 0));

		if (sent->told_ms != 0 && sent->told_ms < sqlite3_column_int64(row, 1) &&
			!sent->has_lied && s->restored_ms == 0)
			sim_break(s, &s->report->unexplained,
				"X5: a person is asked what the provider had told");
	}
	(void)sqlite3_finalize(row);
}

static void check_purchases(struct sim *s)
{
	sqlite3_stmt *row = NULL;

	tama_assert(
		sqlite3_prepare_v2(sim_handle(s),
			"SELECT id, state, CAST(substr(ref, 2) AS INTEGER), EXISTS (SELECT 1 FROM"
			" decision d WHERE d.purchase = purchase.id) OR EXISTS (SELECT 1 FROM"
			" attempt a WHERE a.purchase = purchase.id AND a.leg = 3 AND a.state"
			" IN (7, 8)) FROM purchase",
			-1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		int state = sqlite3_column_int(row, 1);
		const struct press *p = sim_press(s, (uint32_t)sqlite3_column_int64(row, 2));

		check_purchase(s, (uint64_t)sqlite3_column_int64(row, 0));
		s->report->purchases++;
		s->report->faulted += p->is_faulted;
		s->report->states[state]++;
		s->report->reviews += state == PURCHASE_REVIEW;
		sim_trace(s, p->uid, (uint64_t)state);
		if (state == PURCHASE_REVIEW && !p->is_faulted && !sqlite3_column_int(row, 3))
			sim_break(s, &s->report->unexplained,
				"X5: a person is asked about press %u without a fault", p->uid);
	}
	(void)sqlite3_finalize(row);
}

/* ---- I11: nothing secret rests anywhere --------------------------------------------------------
 */

static void check_canaries(struct sim *s)
{
	const struct config *config = s->shared->config;

	if (disk_contains(s->disk, SIM_CANARY, sizeof(SIM_CANARY) - 1))
		sim_break(s, &s->report->unexplained, "I11: a code rests on the disk");
	for (size_t i = 0; i < config->accounts_len; i++)
		for (size_t j = 0; j < config->accounts[i].fields_len; j++) {
			struct str v = config->accounts[i].fields[j].value;

			if (v.n >= 8 && disk_contains(s->disk, v.p, v.n))
				sim_break(
					s, &s->report->unexplained, "I11: a key rests on the disk");
		}
}

static void check_nothing(struct sim *s, const char *text, const char *what)
{
	int64_t found = number(s, text, 0);

	if (found != 0)
		sim_break(s, &s->report->unexplained, "%s (%lld)", what, (long long)found);
}

/*
 * Whatever the last life was sending has met a fault: its own death. And what a restored copy did
 * not know the end of has met another.
 */
static void mark_orphans(struct sim *s)
{
	sqlite3_stmt *row = NULL;

	tama_assert(
		sqlite3_prepare_v2(sim_handle(s),
			"SELECT CAST(substr(p.ref, 2) AS INTEGER) FROM attempt a JOIN purchase p"
			" ON p.id = a.purchase WHERE a.state = 2 OR ?1 AND a.state < 5",
			-1, &row, NULL) == SQLITE_OK);
	(void)sqlite3_bind_int(row, 1, s->restored_ms != 0);
	while (sqlite3_step(row) == SQLITE_ROW)
		sim_mark(s, (uint32_t)sqlite3_column_int64(row, 0));
	(void)sqlite3_finalize(row);
}

/* What is still due for it, and what is held. */
static void tell_rows(struct sim *s, uint32_t uid, FILE *out)
{
	sqlite3_stmt *row = NULL;

	tama_assert(
		sqlite3_prepare_v2(sim_handle(s),
			"SELECT 'due, kind', kind, due_ms - ?2, tries FROM outbox o JOIN purchase p"
			" ON p.id = o.purchase WHERE p.ref = printf('R%07d', ?1) AND is_done = 0"
			" UNION ALL SELECT 'held ' || account || ' for ' || reason, partner,"
			" since_ms - ?2, released_ms IS NULL FROM hold",
			-1, &row, NULL) == SQLITE_OK);
	(void)sqlite3_bind_int64(row, 1, uid);
	(void)sqlite3_bind_int64(row, 2, SIM_EPOCH);
	while (sqlite3_step(row) == SQLITE_ROW)
		(void)fprintf(out, "%9.3f s  %s %d, %d\n",
			(double)sqlite3_column_int64(row, 2) / 1000,
			(const char *)sqlite3_column_text(row, 0), sqlite3_column_int(row, 1),
			sqlite3_column_int(row, 3));
	(void)sqlite3_finalize(row);
}

void check_tell(struct sim *s, uint32_t uid, FILE *out)
{
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sim_handle(s),
			    "SELECT e.at_ms, coalesce(a.leg, 0), coalesce(a.n, 0), e.from_state,"
			    " e.to_state, e.cause, coalesce(a.account, ''), p.offer FROM event e"
			    " JOIN purchase p ON p.id = e.purchase LEFT JOIN attempt a ON a.id ="
			    " e.attempt WHERE p.ref = printf('R%07d', ?1) ORDER BY e.seq",
			    -1, &row, NULL) == SQLITE_OK);
	(void)sqlite3_bind_int64(row, 1, uid);
	while (sqlite3_step(row) == SQLITE_ROW)
		(void)fprintf(out, "%9.3f s  leg %d.%d  %2d to %2d  %-14s %s %s\n",
			(double)(sqlite3_column_int64(row, 0) - SIM_EPOCH) / 1000,
			sqlite3_column_int(row, 1), sqlite3_column_int(row, 2),
			sqlite3_column_int(row, 3), sqlite3_column_int(row, 4),
			(const char *)sqlite3_column_text(row, 5),
			(const char *)sqlite3_column_text(row, 7),
			(const char *)sqlite3_column_text(row, 6));
	(void)sqlite3_finalize(row);
	tell_rows(s, uid, out);
}

void check_image(struct sim *s)
{
	check_presses(s, false);
	check_access_log(s);
	check_nothing(s, "SELECT integrity_check <> 'ok' FROM pragma_integrity_check",
		"F-B2: integrity_check");
}

void check_restart(struct sim *s)
{
	if (s->life < 2)
		return;
	mark_orphans(s);
	check_presses(s, false);
	if (s->disk != NULL)
		check_access_log(s);
}

/* With TAMA_SIM_STORES a directory: each world's store, for the reference model to replay. */
static void keep_store(struct sim *s)
{
	const char *dir = getenv("TAMA_SIM_STORES");
	char path[512];
	sqlite3_int64 n = 0;

	if (dir == NULL)
		return;
	unsigned char *bytes = sqlite3_serialize(sim_handle(s), "main", &n, 0);
	(void)snprintf(path, sizeof(path), "%s/%llu.db", dir, (unsigned long long)s->seed);
	FILE *file = bytes != NULL ? fopen(path, "wb") : NULL;
	if (file == NULL || fwrite(bytes, 1, (size_t)n, file) != (size_t)n || fclose(file) != 0)
		sim_break(s, &s->report->unexplained, "%s: not written", path);
	sqlite3_free(bytes);
}

void check_end(struct sim *s)
{
	keep_store(s);
	if (!s->is_up) {
		sim_break(s, &s->report->unexplained, "X5: the process is down after 48 hours");
		return;
	}
	check_presses(s, true);
	check_access_log(s);
	check_purchases(s);
	check_reviews(s);
	check_messages(s);
	check_contradictions(s);
	if (s->disk != NULL) {
		check_canaries(s);
		check_nothing(s, "SELECT integrity_check <> 'ok' FROM pragma_integrity_check",
			"F-B2: integrity_check");
	}
	check_nothing(s,
		"SELECT max(CAST(substr(p.ref, 2) AS INTEGER)) FROM attempt a JOIN purchase p ON"
		" p.id = a.purchase WHERE a.state < 5",
		"X5: the purchase of a press has no end after 48 hours");
	check_nothing(s, "SELECT count(*) FROM outbox WHERE kind = 3 AND is_done = 0",
		"X5: a message is still owed after 48 hours");
	check_nothing(s, "SELECT count(*) FROM outbox WHERE is_done = 0 AND kind NOT IN (2, 3)",
		"X5: something is still due of what has ended");
	if (s->lies == 0 && s->restored_ms == 0)
		check_nothing(s, "SELECT count(*) FROM inbox WHERE verdict = 5",
			"X4: a contradiction that nobody made");
}
