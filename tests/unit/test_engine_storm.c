/*
 * Everything at once, by chance: answers, IPNs, queries, crashes and persons who decide whatever
 * they like, about purchases with all three legs. After every step the invariants hold, the books
 * are the position of the legs, and no event is one that the engine cannot apply. What each storm
 * leaves behind stands before `tama verify`, which knows nothing of the engine.
 */
#include "engine_rig.h"
#include "tama/verify.h"

#include <unistd.h>

#define STORMS 120
#define STEPS 60

static uint32_t chance(struct rig *r, uint32_t n)
{
	uint32_t x;

	rig_random(r, &x, sizeof(x));
	return x % n;
}

static const char *const WORDS[] = {"SUCCESSFUL", "FAILED", "PENDING"};

static struct attempt_row any_attempt(struct rig *r)
{
	static struct attempt_row rows[300];
	int n;

	arena_reset(&r->arena);
	n = r->real->attempt_list(r->fx.store, 1, r->purchase, &r->arena, rows, ROWS(rows));
	assert_true(n > 0);
	return rows[chance(r, (uint32_t)n)];
}

static void answer_one(struct rig *r, const struct attempt_row *a)
{
	static const enum transfer_end ends[] = {
		TRANSFER_COMPLETE, TRANSFER_COMPLETE, TRANSFER_TIMEOUT, TRANSFER_CONNECT};
	enum transfer_end end = ends[chance(r, ROWS(ends))];

	if (a->epoch == 0)
		return;
	if (end == TRANSFER_COMPLETE)
		(void)rig_post_result(r, a, chance(r, 3) == 0 ? PROVIDER_STATUS : PROVIDER_SUBMIT,
			WORDS[chance(r, 3)], "T");
	else
		rig_post_result(r, a, PROVIDER_SUBMIT, NULL, NULL)->transfer =
			(struct transfer){end, end == TRANSFER_CONNECT ? 0 : 100, 0};
}

static void decide(struct rig *r, const struct attempt_row *a)
{
	struct engine_decision *d = &rig_event(r, ENGINE_DECISION)->as.decision;

	d->partner = 1;
	d->kind = (enum decision_kind)(DECIDE_SUCCEEDED + chance(r, 4));
	d->subject = d->kind == DECIDE_REFUND ? r->purchase : a->id;
	d->user = chance(r, 2) == 0 ? STR("awa") : STR("koffi");
	d->proof = STR("seen");
}

static void blow(struct rig *r)
{
	static const int64_t waits[] = {
		0, 1000, 60000, 1800000, 7 * 3600000, 25 * INT64_C(3600000)};
	struct attempt_row a = any_attempt(r);

	switch (chance(r, 12)) {
	case 0:
	case 1:
	case 2:
		if (a.state == ATTEMPT_READY)
			(void)rig_post_prepared(r, &a, PREPARED_OK);
		break;
	case 3:
	case 4:
		answer_one(r, &a);
		break;
	case 5:
		(void)rig_post_ipn(r, &a, WORDS[chance(r, 3)], "T");
		break;
	case 6:
	case 7:
	case 8:
		decide(r, &a);
		break;
	case 9:
		if (chance(r, 4) == 0)
			rig_crash(r);
		break;
	case 10:
		if (a.state == ATTEMPT_READY && chance(r, 8) == 0)
			(void)rig_post_prepared(r, &a, PREPARED_NEVER);
		break;
	default:
		rig_wait(r, waits[chance(r, ROWS(waits))]);
		break;
	}
	rig_step(r);
}

/* Every posting together is what the legs are worth. */
static void check_books(struct rig *r)
{
	struct purchase_legs legs = {.has_collect = true, .has_deliver = true};
	struct purchase_row p;
	struct ledger_terms terms;
	int64_t want[LEDGER_BOOKS];

	arena_reset(&r->arena);
	assert_int_equal(r->real->purchase_get(r->fx.store, 1, r->purchase, &r->arena, &p), 0);
	legs.has_deliver = p.has_deliver;
	assert_int_equal(r->real->purchase_legs(r->fx.store, 1, p.id, &legs), 0);
	terms = (struct ledger_terms){p.price, p.cost, p.collect_fee};
	ledger_position(&legs, &terms, want);
	for (int book = 1; book < LEDGER_BOOKS; book++)
		assert_int_equal(fx_sql(r->fx.store,
					 "SELECT coalesce(sum(debit), 0) FROM ledger WHERE book ="
					 " ?1",
					 (uint64_t)book),
			want[book]);
}

/* How it came to be, for whoever has to explain it. */
static void tell_chain(struct rig *r)
{
	sqlite3_stmt *stmt = NULL;

	(void)sqlite3_prepare_v2(sqlite_store_of(r->fx.store)->db.handle,
		"SELECT e.seq, coalesce(a.leg, 0), coalesce(a.n, 0), e.from_state, e.to_state,"
		" e.cause FROM event e LEFT JOIN attempt a ON a.id = e.attempt ORDER BY e.seq",
		-1, &stmt, NULL);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		print_message("%d: leg %d n %d: %d -> %d %s\n", sqlite3_column_int(stmt, 0),
			sqlite3_column_int(stmt, 1), sqlite3_column_int(stmt, 2),
			sqlite3_column_int(stmt, 3), sqlite3_column_int(stmt, 4),
			(const char *)sqlite3_column_text(stmt, 5));
	(void)sqlite3_finalize(stmt);
}

static void copy_store(struct rig *r, const char *path)
{
	sqlite3 *copy = NULL;
	sqlite3_backup *backup;

	assert_int_equal(sqlite3_open(path, &copy), SQLITE_OK);
	(void)sqlite3_exec(copy, "PRAGMA synchronous = OFF", NULL, NULL, NULL); /* for speed */
	backup = sqlite3_backup_init(copy, "main", sqlite_store_of(r->fx.store)->db.handle, "main");
	assert_non_null(backup);
	assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(copy, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(copy), SQLITE_OK);
}

static void check_by_verify(struct rig *r)
{
	const struct verify_options options = {.is_live = false};
	struct verify_report report;
	struct err err = ERR_INIT;
	char dir[] = "/tmp/tama-storm-XXXXXX", path[64];
	int rc;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/tama.db", dir);
	copy_store(r, path);
	rc = store_verify(str_c(dir), &options, &report, &err);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/tama.db-wal", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/tama.db-shm", dir);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
	if (rc != 0)
		fail_msg("%s", err.text);
	if (report.violations > 0) {
		tell_chain(r);
		fail_msg("%s: %s", report.first.rule, report.first.what);
	}
	assert_int_equal(report.purchases, 1);
}

static void nothing_breaks_by_chance(void **state)
{
	static const char *const offers[] = {
		"ci-refund", "ug-refund", "ci-payment", "ci-refund", "ci-airtime"};
	unsigned seen[PURCHASE_STATES] = {0};
	void *own = *state;

	for (unsigned storm = 0; storm < STORMS; storm++) {
		struct rig *r = own;

		*state = own;
		r->chance = storm + 1;
		r->is_lax = true;
		const char *offer = offers[storm % ROWS(offers)];
		bool is_ug = offer[0] == 'u';
		assert_int_equal(
			rig_buy(r, offer, is_ug ? UG : MOOV, is_ug ? UG : MOOV2, 1), ENGINE_DONE);
		for (unsigned i = 0; i < STEPS; i++) {
			const char *broken;

			rig_forget(r);
			blow(r);
			broken = fx_broken(&r->fx, 0);
			if (broken != NULL || rig_count(r, SAID_ALARM, "event_refused") > 0 ||
				rig_count(r, SAID_ALARM, "due_failed") > 0) {
				tell_chain(r);
				fail_msg("storm %u step %u: %s", storm, i,
					broken != NULL ? broken : "an event was refused");
			}
			check_books(r);
			seen[rig_purchase_state(r)]++;
		}
		check_by_verify(r);
		assert_int_equal(rig_close(&own), 0);
		assert_int_equal(rig_open(&own), 0);
	}
	*state = own;
	for (int i = PURCHASE_CONFIRMED; i < PURCHASE_STATES; i++)
		if (seen[i] == 0)
			fail_msg("%s never seen", purchase_state_name((enum purchase_state)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(nothing_breaks_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
