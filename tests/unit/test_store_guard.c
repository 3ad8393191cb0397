/* What the store never lets happen: one partner at another's rows, history changed, half a write.
 */
#include "store_kit.h"

#include <signal.h>
#include <sys/wait.h>

/* SQL that a trigger or constraint must refuse; changes what a careless hand would. */
static void refused(struct kit *kit, const char *sql)
{
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;

	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_CONSTRAINT_TRIGGER)
		fail_msg("\"%s\" was not refused: %s", sql, sqlite3_errmsg(handle));
}

/* Runs a bug in a child, which must abort. */
static void aborts(struct kit *kit, void (*bug)(struct kit *))
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)freopen("/dev/null", "w", stderr);
		(void)signal(SIGABRT, SIG_DFL);
		bug(kit);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void posts_unbalanced(struct kit *kit)
{
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_SUSPENSE_UNKNOWN, 524}};
	const struct ledger_row row = {.partner = 1, .purchase = 1, .lines = lines, .lines_len = 2};

	(void)DO(ledger_post, &row);
}

static void writes_outside(struct kit *kit)
{
	const struct purchase_row row = kit_purchase(1, 1);

	DO(rollback);
	(void)DO(purchase_insert, &row);
}

static void begins_twice(struct kit *kit)
{
	(void)DO(begin, NULL);
}

static void releases_nothing(struct kit *kit)
{
	(void)DO(release);
}

static void aborts_on_our_bugs(void **state)
{
	struct kit *kit = *state;

	aborts(kit, posts_unbalanced);
	aborts(kit, writes_outside);
	aborts(kit, begins_twice);
	aborts(kit, releases_nothing);
}

static void undoes_to_the_savepoint(void **state)
{
	struct kit *kit = *state;
	struct purchase_row got;

	assert_int_equal(DO(savepoint), 0);
	const struct purchase_row kept = add_purchase(kit, 1, 1);
	assert_int_equal(DO(release), 0);

	assert_int_equal(DO(savepoint), 0);
	struct purchase_row undone = kit_purchase(1, 2);
	undone.payer = STR("2250100000009");
	assert_int_equal(DO(purchase_insert, &undone), 0);
	assert_int_equal(DO(rollback_to), 0);
	assert_int_equal(DO(purchase_get, 1, undone.id, &kit->arena, &got), TAMA_ENOTFOUND);
	/* The person made above is gone as well, from the cache too. */
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 2);
	assert_int_equal(DO(purchase_insert, &undone), 0);
	assert_int_equal(DO(purchase_get, 1, undone.id, &kit->arena, &got), 0);
	check_str(got.payer, "2250100000009");

	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(purchase_get, 1, kept.id, &kit->arena, &got), 0);
	assert_int_equal(DO(begin, NULL), 0);
	const struct purchase_row third = add_purchase(kit, 1, 3);
	DO(rollback);
	assert_int_equal(DO(purchase_get, 1, third.id, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(begin, NULL), 0);
}

/* A person met before a savepoint that is undone must not outlive the transaction in the cache. */
static void forgets_people_of_a_rollback(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = add_purchase(kit, 1, 1);

	assert_int_equal(DO(savepoint), 0);
	assert_int_equal(DO(rollback_to), 0);
	(void)add_purchase(kit, 1, 2);
	DO(rollback);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 2);
}

static void keeps_what_happened(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	const struct event_row event = kit_event(&attempt);
	const struct inbox_row inbox = kit_inbox(1, 21, 1);
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_SUSPENSE_UNKNOWN, 525}};
	const struct ledger_row ledger = {.partner = 1,
		.purchase = purchase.id,
		.account = STR("et-ci"),
		.currency = STR("XOF"),
		.lines = lines,
		.lines_len = 2};
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END")};

	memcpy(hop.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(hop_insert, &hop), 0);
	assert_int_equal(DO(event_append, &event), 0);
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	assert_int_equal(DO(ledger_post, &ledger), 0);
	static const char *const careless[] = {
		"UPDATE event SET to_state = 6",
		"DELETE FROM event",
		"REPLACE INTO event SELECT * FROM event",
		"UPDATE ledger SET debit = debit + 1",
		"DELETE FROM ledger",
		"UPDATE inbox SET verdict = 1",
		"UPDATE inbox SET raw = x'00'",
		"UPDATE inbox SET repeats = repeats",
		"UPDATE inbox SET repeats = repeats - 1",
		"DELETE FROM inbox",
		"UPDATE purchase SET price = 1, version = version + 1",
		"UPDATE purchase SET partner = 2, version = version + 1",
		"UPDATE purchase SET beneficiary = payer, version = version + 1",
		"UPDATE purchase SET state = 5",
		"DELETE FROM purchase",
		"UPDATE attempt SET amount = 1, version = version + 1",
		"UPDATE attempt SET person = 2, version = version + 1",
		"UPDATE attempt SET state = 6",
		"UPDATE attempt SET epoch = epoch - 1, version = version + 1",
		"DELETE FROM attempt",
		"UPDATE hop SET reply = x'00'",
	};
	for (size_t i = 0; i < ROWS(careless); i++)
		refused(kit, careless[i]);
}

/* Every verb, asked by partner 2 for what is partner 1's: finds nothing, changes nothing. */
static void shows_no_partner_anothers(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct outbox_row sms = kit_sms(&purchase, 11, 0), send = kit_send(&attempt, 12), got_row;
	const struct inbox_row inbox = kit_inbox(1, 21, 1);
	struct event_row event = kit_event(&attempt);
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END")}, got_hop;
	struct purchase_row got;
	struct attempt_row got_attempt;
	struct spacing spacing = {0, 0};

	attempt.provider_id = STR("TX-1");
	memcpy(hop.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(attempt_update, &attempt), 0);
	attempt.version++;
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_insert, &send), 0);
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	assert_int_equal(DO(event_append, &event), 0);
	assert_int_equal(DO(hop_insert, &hop), 0);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), STR(KIT_PAYER), 500,
				 &(struct spacing){KIT_NOW, 0}),
		0);
	const int64_t changes = number(kit, "SELECT total_changes()");

	assert_int_equal(DO(purchase_get, 2, purchase.id, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(purchase_by_key, 2, purchase.uid, 1, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_last, 2, purchase.payer, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_set_state, 2, purchase.id, 0, PURCHASE_DELIVERED, KIT_NOW),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_get, 2, attempt.id, &kit->arena, &got_attempt), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(attempt_by_ref, 2, attempt.our_ref, &kit->arena, &got_attempt), TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_by_provider_id, 2, attempt.account, attempt.provider_id,
				 &kit->arena, &got_attempt),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_list, 2, purchase.id, &kit->arena, &got_attempt, 1), 0);
	assert_int_equal(DO(outbox_get, 2, 11, &kit->arena, &got_row), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_set_due, 2, 12, KIT_NOW, 1), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_over, 2, 11, "", KIT_NOW), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_done, 2, 12), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_cancel, 2, attempt.id, OUTBOX_SEND), 0);
	assert_int_equal(DO(outbox_set_dlr, 2, 11, "delivered", KIT_NOW), TAMA_ENOTFOUND);
	int64_t first_ms;
	enum inbox_verdict verdict;
	assert_int_equal(
		DO(inbox_repeat, 2, inbox.account, inbox.key, &first_ms, &verdict), TAMA_ENOTFOUND);
	assert_int_equal(DO(hop_get, 2, hop.uid, 1, &kit->arena, &got_hop), TAMA_ENOTFOUND);
	assert_int_equal(DO(spacing_get, 2, STR("et-ci"), STR(KIT_PAYER), 500, &spacing), 0);
	assert_int_equal(spacing.free_ms, 0);
	attempt.partner = 2;
	assert_int_equal(DO(attempt_update, &attempt), TAMA_ENOTFOUND);
	hop.partner = 2;
	assert_int_equal(DO(hop_insert, &hop), TAMA_ENOTFOUND);
	assert_int_equal(number(kit, "SELECT total_changes()"), changes);
}

/* No row of one partner can lean on another's. */
static void lets_no_partner_spend_anothers(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row theirs = add_purchase(kit, 1, 1), ours = add_purchase(kit, 2, 1);
	const struct attempt_row their_attempt = add_attempt(kit, &theirs, 1);
	const struct event_row their_event = kit_event(&their_attempt);
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_SUSPENSE_UNKNOWN, 525}};
	struct ledger_row ledger = {.partner = 1,
		.purchase = theirs.id,
		.account = STR("et-ci"),
		.currency = STR("XOF"),
		.lines = lines,
		.lines_len = 2};

	assert_int_equal(DO(event_append, &their_event), 0);
	assert_int_equal(DO(ledger_post, &ledger), 0);
	/* The same number is two persons. */
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 4);

	struct attempt_row attempt = kit_attempt(&theirs, 2);
	attempt.partner = 2;
	attempt.leg = LEG_DELIVER;
	assert_int_equal(DO(attempt_insert, &attempt), TAMA_ENOTFOUND);
	/* The leg that is taken, and with it whether it is, stays unseen too. */
	attempt.leg = LEG_COLLECT;
	assert_int_not_equal(DO(attempt_insert, &attempt), TAMA_ECONFLICT);

	struct outbox_row sms = kit_sms(&theirs, 11, 0);
	sms.partner = 2;
	assert_int_equal(DO(outbox_insert, &sms), TAMA_ENOTFOUND);
	struct outbox_row send = kit_send(&their_attempt, 12);
	send.partner = 2;
	send.purchase = ours.id;
	assert_int_equal(DO(outbox_insert, &send), TAMA_ENOTFOUND);

	struct inbox_row inbox = kit_inbox(2, 21, 1);
	inbox.attempt = their_attempt.id;
	assert_int_equal(DO(inbox_insert, &inbox), TAMA_ENOTFOUND);
	inbox.attempt = 0;
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	inbox.id = 22;
	inbox.partner = 1;
	assert_int_equal(DO(inbox_insert, &inbox), 0);

	struct event_row event = their_event;
	event.partner = 2;
	assert_int_equal(DO(event_append, &event), TAMA_ENOTFOUND);
	event.purchase = ours.id;
	assert_int_equal(DO(event_append, &event), TAMA_ENOTFOUND);
	ledger.partner = 2;
	assert_int_equal(DO(ledger_post, &ledger), TAMA_ENOTFOUND);
	ledger.purchase = ours.id;
	ledger.attempt = their_attempt.id;
	assert_int_equal(DO(ledger_post, &ledger), TAMA_ENOTFOUND);
	assert_int_equal(number(kit, "SELECT count(*) FROM event"), 1);
	assert_int_equal(number(kit, "SELECT count(*) FROM ledger"), 2);
}

static void tells_when_the_arena_is_full(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	const struct outbox_row sms = kit_sms(&purchase, 11, 0);
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END")};
	struct purchase_row got;
	struct attempt_row got_attempt;
	struct outbox_row got_row;
	struct arena tiny;

	memcpy(hop.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(hop_insert, &hop), 0);
	arena_init(&tiny, 1);
	assert_int_equal(DO(purchase_get, 1, purchase.id, &tiny, &got), TAMA_ENOMEM);
	assert_int_equal(DO(attempt_get, 1, attempt.id, &tiny, &got_attempt), TAMA_ENOMEM);
	assert_int_equal(DO(outbox_due, KIT_NOW + 1000, &tiny, &got_row, 1), TAMA_ENOMEM);
	assert_int_equal(DO(hop_get, 1, hop.uid, 1, &tiny, &hop), TAMA_ENOMEM);
	arena_fini(&tiny);
}

/* What was sealed for one row opens in no other. */
static bool ignore_row(void *ctx, const struct store_value *values, size_t n)
{
	(void)ctx;
	(void)values;
	return n > 0;
}

static int decisions_shown(struct kit *kit, const struct purchase_row *purchase)
{
	const struct store_config config = kit_config(kit);
	const struct store_ask ask = {.partner = purchase->partner, .purchase = purchase->id};
	struct store_reader *reader = NULL;
	int n;

	assert_int_equal(store_reader_open(&config, &reader, NULL), 0);
	n = store_reader_view(reader, VIEW_DECISIONS, &ask, ignore_row, NULL, NULL);
	store_reader_close(&reader);
	return n;
}

static void opens_nothing_moved_between_rows(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct outbox_row one = kit_sms(&purchase, 11, 0), two = kit_sms(&purchase, 12, 1), got;
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;

	assert_int_equal(DO(outbox_insert, &one), 0);
	assert_int_equal(DO(outbox_insert, &two), 0);
	assert_int_equal(sqlite3_exec(handle,
				 "UPDATE outbox SET body = (SELECT body FROM outbox"
				 " WHERE id = 11) WHERE id = 12",
				 NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &got), 0);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), TAMA_EAUTH);
	assert_int_equal(sqlite3_exec(handle, "UPDATE outbox SET body = x'00' WHERE id = 12", NULL,
				 NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), TAMA_EAUTH);
	assert_int_equal(sqlite3_exec(handle,
				 "UPDATE person SET number = (SELECT number FROM person"
				 " WHERE id = 1)",
				 NULL, NULL, NULL),
		SQLITE_OK);
	struct purchase_row row;
	assert_int_equal(DO(purchase_get, 1, purchase.id, &kit->arena, &row), TAMA_EAUTH);
}

/* Nor one person's proof in another's place, be it in the same row. */
static void opens_no_proof_in_anothers_place(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct decision_row first = kit_decision(&purchase, 31), got;
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;

	assert_int_equal(DO(decision_insert, &first), 0);
	first.agreed_by = STR("koffi");
	first.agreed_proof = STR("seen too");
	first.state = DECISION_APPLIED;
	assert_int_equal(DO(decision_close, &first), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(decisions_shown(kit, &purchase), 1);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(sqlite3_exec(handle,
				 "DROP TRIGGER decision_once;"
				 "UPDATE decision SET agreed_proof = proof WHERE id = 31;"
				 "INSERT INTO decision (id, partner, kind, purchase, proposed_by,"
				 " proposed_ms, proof, state) SELECT 32, partner, kind, purchase,"
				 " 'eve', 1, proof, 1 FROM decision",
				 NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(decision_open, &first, &kit->arena, &got), TAMA_EAUTH);
	refused(kit, "UPDATE decision SET proof = zeroblob(41) WHERE id = 32");
	assert_int_equal(sqlite3_exec(handle,
				 "DROP TRIGGER decision_stays; DELETE FROM decision WHERE id = 32",
				 NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(decisions_shown(kit, &purchase), TAMA_EAUTH);
	assert_int_equal(DO(begin, NULL), 0);
}

/* A full disk ends the transaction: nothing after it may slip in by itself. */
static void ends_the_transaction_when_the_disk_fails(void **state)
{
	struct kit *kit = *state;
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;
	static char big[64 * 1024];
	struct err err = ERR_INIT;
	struct purchase_row row = kit_purchase(1, 1), got;

	(void)add_purchase(kit, 1, 2);
	assert_int_equal(
		sqlite3_exec(handle, "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK);
	memset(big, 'x', sizeof(big));
	row.texts = (struct str){big, sizeof(big)};
	assert_int_equal(DO(savepoint), 0);
	assert_int_equal(DO(purchase_insert, &row), TAMA_EIO);
	row.texts = STR("small");
	assert_int_equal(DO(purchase_insert, &row), TAMA_EIO);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), TAMA_EIO);
	assert_int_equal(DO(rollback_to), TAMA_EIO);
	assert_int_equal(DO(savepoint), TAMA_EIO);
	assert_int_equal(DO(release), TAMA_EIO);
	assert_int_equal(DO(commit, &err), TAMA_EIO);
	assert_non_null(strstr(err.text, "not committed: SQLite 13"));
	assert_int_equal(number(kit, "SELECT count(*) FROM purchase"), 0);

	assert_int_equal(sqlite3_exec(handle, "PRAGMA max_page_count = 100000", NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(begin, NULL), 0);
}

/* Every statement finds its rows by an index: the plan of none walks a table. */
static void walks_no_table(void **state)
{
	struct kit *kit = *state;
	struct db *db = &sqlite_store_of(kit->store)->db;

	for (int i = ST_PERSON_FIND; i < ST_COUNT_ATTEMPTS; i++) {
		char *sql =
			sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(db->statements[i]));
		sqlite3_stmt *plan = NULL;
		assert_int_equal(sqlite3_prepare_v2(db->handle, sql, -1, &plan, NULL), SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *line = (const char *)sqlite3_column_text(plan, 3);
			bool is_walk = strncmp(line, "SCAN", 4) == 0 &&
				       strcmp(line, "SCAN CONSTANT ROW") != 0;

			if (is_walk || strstr(line, "(partner=?)") != NULL)
				fail_msg("%s: %s", sqlite3_sql(db->statements[i]), line);
		}
		sqlite3_finalize(plan);
		sqlite3_free(sql);
	}
}

static int setup_on_disk(void **state)
{
	static struct kit kit_;
	struct kit *kit = &kit_;

	kit_init(kit);
	kit_open(kit);
	*state = kit;
	return DO(begin, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, kit_setup, kit_teardown)
#define ON_DISK(function) cmocka_unit_test_setup_teardown(function, setup_on_disk, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(aborts_on_our_bugs),
		TEST(undoes_to_the_savepoint),
		TEST(forgets_people_of_a_rollback),
		TEST(keeps_what_happened),
		TEST(shows_no_partner_anothers),
		TEST(lets_no_partner_spend_anothers),
		TEST(tells_when_the_arena_is_full),
		TEST(opens_nothing_moved_between_rows),
		ON_DISK(opens_no_proof_in_anothers_place),
		TEST(ends_the_transaction_when_the_disk_fails),
		TEST(walks_no_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
