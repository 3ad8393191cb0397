/* Balances, observations and reconciled days in the store. */
#include "store_kit.h"

#define ACCOUNT STR("et-ci")
#define XOF STR("XOF")

static void post(struct kit *kit, const struct attempt_row *a, enum ledger_book debit,
	enum ledger_book credit, int64_t amount, int64_t at_ms)
{
	const struct ledger_line lines[] = {{debit, amount}, {credit, -amount}};
	const struct ledger_row row = {.partner = a->partner,
		.purchase = a->purchase,
		.attempt = a->id,
		.account = a->account,
		.paid_by = STR("float:agents"),
		.currency = a->currency,
		.lines = lines,
		.lines_len = 2,
		.at_ms = at_ms};

	assert_int_equal(DO(ledger_post, &row), 0);
}

static int64_t balance(struct kit *kit, uint32_t partner, struct str account, enum ledger_book book)
{
	int64_t sum = -1;

	assert_int_equal(DO(balance_get, partner, account, book, XOF, &sum), 0);
	return sum;
}

static void balances_are_the_sums(void **state)
{
	struct kit *kit = *state;
	struct purchase_row p = add_purchase(kit, 1, 1), q = add_purchase(kit, 2, 2);
	struct attempt_row a = add_attempt(kit, &p, 1), b = add_attempt(kit, &q, 2);

	post(kit, &a, LEDGER_SUSPENSE_UNKNOWN, LEDGER_CUSTOMER, 525, KIT_NOW);
	post(kit, &a, LEDGER_PROVIDER_FLOAT, LEDGER_SUSPENSE_UNKNOWN, 525, KIT_NOW);
	post(kit, &a, LEDGER_AGENT_FLOAT, LEDGER_PROVIDER_FLOAT, 490, KIT_NOW);
	post(kit, &b, LEDGER_PROVIDER_FLOAT, LEDGER_CUSTOMER, 7, KIT_NOW);
	assert_int_equal(balance(kit, 1, ACCOUNT, LEDGER_PROVIDER_FLOAT), 35);
	assert_int_equal(balance(kit, 2, ACCOUNT, LEDGER_PROVIDER_FLOAT), 7);
	assert_int_equal(balance(kit, 1, ACCOUNT, LEDGER_SUSPENSE_UNKNOWN), 0);
	assert_int_equal(balance(kit, 1, ACCOUNT, LEDGER_WRITE_OFF), 0);
	/* The agents' book is the float's own, not the provider account's. */
	assert_int_equal(balance(kit, 1, ACCOUNT, LEDGER_AGENT_FLOAT), 0);
	assert_int_equal(balance(kit, 1, STR("float:agents"), LEDGER_AGENT_FLOAT), 490);
	assert_int_equal(
		number(kit, "SELECT count(*) FROM (SELECT partner, account, book, currency,"
			    " sum(debit) FROM ledger GROUP BY 1, 2, 3, 4 EXCEPT"
			    " SELECT * FROM balance)"),
		0);
}

static void a_posting_undone_leaves_its_balance(void **state)
{
	struct kit *kit = *state;
	struct purchase_row p = add_purchase(kit, 1, 1);
	struct attempt_row a = add_attempt(kit, &p, 1);

	post(kit, &a, LEDGER_PROVIDER_FLOAT, LEDGER_CUSTOMER, 100, KIT_NOW);
	assert_int_equal(DO(savepoint), 0);
	post(kit, &a, LEDGER_PROVIDER_FLOAT, LEDGER_CUSTOMER, 23, KIT_NOW);
	assert_int_equal(DO(rollback_to), 0);
	assert_int_equal(balance(kit, 1, ACCOUNT, LEDGER_PROVIDER_FLOAT), 100);
}

static void flows_are_by_the_minute(void **state)
{
	struct kit *kit = *state;
	struct purchase_row p = add_purchase(kit, 1, 1);
	struct attempt_row a = add_attempt(kit, &p, 1);
	int64_t taken, added;

	post(kit, &a, LEDGER_PROVIDER_FLOAT, LEDGER_CUSTOMER, 100, KIT_NOW - 7200000);
	post(kit, &a, LEDGER_CUSTOMER, LEDGER_PROVIDER_FLOAT, 40, KIT_NOW);
	post(kit, &a, LEDGER_CUSTOMER, LEDGER_PROVIDER_FLOAT, 5, KIT_NOW + 59999);
	assert_int_equal(DO(flow_get, 1, ACCOUNT, KIT_NOW - 3600000, &taken, &added), 0);
	assert_int_equal(taken, 45);
	assert_int_equal(added, 0);
	assert_int_equal(DO(flow_get, 1, ACCOUNT, 0, &taken, &added), 0);
	assert_int_equal(added, 100);
	assert_int_equal(DO(flow_get, 2, ACCOUNT, 0, &taken, &added), 0);
	assert_int_equal(taken, 0);
	assert_int_equal(DO(flow_trim, KIT_NOW), 0);
	assert_int_equal(DO(flow_get, 1, ACCOUNT, 0, &taken, &added), 0);
	assert_int_equal(taken + added, 45);
}

static struct attempt_row add_leg(struct kit *kit, const struct purchase_row *p, uint8_t n,
	enum leg_kind leg, enum attempt_state state)
{
	struct attempt_row row = kit_attempt(p, n);

	row.leg = leg;
	row.state = state;
	assert_int_equal(DO(attempt_insert, &row), 0);
	return row;
}

static void doubts_and_promises(void **state)
{
	struct kit *kit = *state;
	struct purchase_row p = add_purchase(kit, 1, 1), q = add_purchase(kit, 1, 2);
	struct purchase_row agent = kit_purchase(1, 3);
	struct promise_row rows[8];
	int64_t in = -1, out = -1;

	agent.has_collect = false;
	agent.paid_by = STR("float:agents");
	assert_int_equal(DO(purchase_insert, &agent), 0);
	(void)add_leg(kit, &p, 1, LEG_COLLECT, ATTEMPT_ACCEPTED);
	(void)add_leg(kit, &q, 2, LEG_COLLECT, ATTEMPT_SUCCEEDED);
	(void)add_leg(kit, &q, 3, LEG_DELIVER, ATTEMPT_READY);
	(void)add_leg(kit, &agent, 4, LEG_DELIVER, ATTEMPT_UNKNOWN);
	assert_int_equal(DO(doubt_get, 1, ACCOUNT, &in, &out), 0);
	assert_int_equal(in, 525);
	assert_int_equal(out, 490);
	assert_int_equal(DO(doubt_get, 2, ACCOUNT, &in, &out), 0);
	assert_int_equal(in + out, 0);
	assert_int_equal(DO(promises, &kit->arena, rows, 8), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rows[i].partner, 1);
		if (rows[i].kind == PROMISE_ACCOUNT)
			assert_true(rows[i].sum == 490 && str_eq(rows[i].name, ACCOUNT));
		else if (rows[i].kind == PROMISE_OFFER)
			assert_true(rows[i].sum == 490 && str_eq(rows[i].name, STR("ci-airtime")));
		else
			assert_true(rows[i].sum == 525 && str_eq(rows[i].name, agent.paid_by));
	}
	assert_int_equal(DO(promises, &kit->arena, rows, 2), TAMA_EFULL);
}

static void observe(struct kit *kit, uint64_t id, int64_t at_ms, enum observation_source source)
{
	const struct observation_row row = {.id = id,
		.partner = 1,
		.account = ACCOUNT,
		.at_ms = at_ms,
		.source = source,
		.balance = (int64_t)id * 100,
		.books = -5,
		.slack_low = 1,
		.slack_high = 2};

	assert_int_equal(DO(observation_insert, &row), 0);
}

static void observations_are_found_by_time(void **state)
{
	struct kit *kit = *state;
	struct observation_row o;

	assert_int_equal(DO(observation_last, 1, ACCOUNT, &o), TAMA_ENOTFOUND);
	observe(kit, 1, 1000, OBSERVATION_ASKED);
	observe(kit, 2, 2000, OBSERVATION_ASKED);
	observe(kit, 3, 3000, OBSERVATION_REFUSED);
	assert_int_equal(DO(observation_last, 1, ACCOUNT, &o), 0);
	assert_int_equal(o.source, OBSERVATION_REFUSED);
	assert_true(o.balance == 300 && o.books == -5 && o.slack_low == 1 && o.slack_high == 2);
	assert_int_equal(DO(observation_find, 1, ACCOUNT, 0, INT64_MAX, true, &o), 0);
	assert_int_equal(o.id, 2);
	assert_int_equal(DO(observation_find, 1, ACCOUNT, 1000, 2000, true, &o), 0);
	assert_int_equal(o.id, 1);
	assert_int_equal(DO(observation_find, 1, ACCOUNT, 1001, INT64_MAX, false, &o), 0);
	assert_int_equal(o.id, 2);
	assert_int_equal(
		DO(observation_find, 1, ACCOUNT, 2001, INT64_MAX, false, &o), TAMA_ENOTFOUND);
	assert_int_equal(DO(observation_last, 2, ACCOUNT, &o), TAMA_ENOTFOUND);
}

static void days_move_and_begin_anew(void **state)
{
	struct kit *kit = *state;
	struct reconciliation_row row = {.partner = 1,
		.account = ACCOUNT,
		.day = 20454,
		.state = RECONCILE_LISTING,
		.page = 1,
		.begun_ms = 5};
	struct reconciliation_row got;

	assert_int_equal(DO(reconciliation_get, 1, ACCOUNT, 20454, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(reconciliation_put, &row), 0);
	assert_int_equal(DO(reconciliation_get, 1, ACCOUNT, 20454, &got), 0);
	assert_false(got.has_balances);
	assert_int_equal(got.closed_ms, 0);
	row.state = RECONCILE_DIFFERS;
	row.has_balances = true;
	row.difference = -7;
	row.slack_low = -3;
	row.page_mark = -1234567890123;
	row.cursor = 99;
	row.missing = 2;
	row.closed_ms = 6;
	assert_int_equal(DO(reconciliation_put, &row), 0);
	assert_int_equal(DO(reconciliation_get, 1, ACCOUNT, 20454, &got), 0);
	assert_true(got.has_balances && got.difference == -7 && got.slack_low == -3);
	assert_true(got.page_mark == row.page_mark && got.cursor == 99 && got.missing == 2);
	assert_int_equal(DO(reconciliation_get, 2, ACCOUNT, 20454, &got), TAMA_ENOTFOUND);
	assert_int_equal(number(kit, "SELECT count(*) FROM reconciliation"), 1);
	row.state = 7;
	assert_int_equal(DO(reconciliation_put, &row), TAMA_EINVAL);
}

static void listings_are_told_once_a_run(void **state)
{
	struct kit *kit = *state;
	struct purchase_row p = add_purchase(kit, 1, 1);
	struct attempt_row a = add_attempt(kit, &p, 1);
	struct listing_row row = {.partner = 1,
		.account = ACCOUNT,
		.item = STR("EFB.1"),
		.day = 10,
		.attempt = a.id,
		.finding = LISTING_MISSING,
		.amount = 525,
		.at_ms = 100};
	enum listing_finding finding;

	assert_int_equal(DO(listing_put, &row, 90), 0);
	assert_int_equal(DO(listing_put, &row, 90), TAMA_EEXIST);
	assert_int_equal(DO(listing_of, 1, a.id, 90, &finding), 0);
	assert_int_equal(finding, LISTING_MISSING);
	/* A later run looks anew. */
	assert_int_equal(DO(listing_of, 1, a.id, 101, &finding), TAMA_ENOTFOUND);
	row.finding = LISTING_MATCHED;
	row.at_ms = 200;
	assert_int_equal(DO(listing_put, &row, 150), 0);
	assert_int_equal(DO(listing_of, 1, a.id, 150, &finding), 0);
	assert_int_equal(finding, LISTING_MATCHED);
	assert_int_equal(DO(listing_trim, 1, ACCOUNT, 10), 0);
	assert_int_equal(DO(listing_of, 1, a.id, 0, &finding), TAMA_ENOTFOUND);
	/* What nobody knows is one day's alone. */
	row.attempt = 0;
	row.finding = LISTING_UNKNOWN;
	assert_int_equal(DO(listing_put, &row, 150), 0);
	row.day = 11;
	row.at_ms = 900;
	assert_int_equal(DO(listing_put, &row, 800), TAMA_EEXIST);
	/* So is any other finding; only what matches then has matched twice. */
	row.finding = LISTING_LATE;
	row.attempt = a.id;
	assert_int_equal(DO(listing_put, &row, 800), 0);
	row.day = 12;
	assert_int_equal(DO(listing_put, &row, 1000), TAMA_EEXIST);
	row.finding = LISTING_MATCHED;
	assert_int_equal(DO(listing_put, &row, 1000), 0);
	row.day = 13;
	assert_int_equal(DO(listing_put, &row, 1000), 0);
	/* Another partner's attempt is none of this one's. */
	row.partner = 2;
	assert_int_equal(DO(listing_put, &row, 800), TAMA_ENOTFOUND);
}

static void chores_are_by_account(void **state)
{
	struct kit *kit = *state;
	struct outbox_row row = {.id = 5,
		.partner = 1,
		.kind = OUTBOX_FLOAT,
		.due_ms = 500,
		.tries = 1,
		.channel = ACCOUNT};
	uint64_t id = 0;
	int64_t due_ms;

	assert_int_equal(DO(chore_find, 1, OUTBOX_FLOAT, ACCOUNT, &id), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_insert, &row), 0);
	assert_int_equal(DO(chore_find, 1, OUTBOX_FLOAT, ACCOUNT, &id), 0);
	assert_int_equal(id, 5);
	assert_int_equal(DO(chore_find, 1, OUTBOX_RECONCILE, ACCOUNT, &id), TAMA_ENOTFOUND);
	assert_int_equal(DO(chore_find, 2, OUTBOX_FLOAT, ACCOUNT, &id), TAMA_ENOTFOUND);
	/* Only what was handed out is woken: the rest waits for its hour. */
	row.id = 6;
	row.kind = OUTBOX_RECONCILE;
	row.tries = 0;
	assert_int_equal(DO(outbox_insert, &row), 0);
	assert_int_equal(DO(chores_wake, 100), 0);
	assert_int_equal(DO(outbox_next_due, 0, &due_ms), 0);
	assert_int_equal(due_ms, 100);
	assert_int_equal(DO(outbox_next_due, 100, &due_ms), 0);
	assert_int_equal(due_ms, 500);
}

static void succeeded_attempts_come_in_batches(void **state)
{
	struct kit *kit = *state;
	struct purchase_row p = add_purchase(kit, 1, 1), q = add_purchase(kit, 1, 2);
	struct attempt_row a = add_leg(kit, &p, 1, LEG_COLLECT, ATTEMPT_SUCCEEDED);
	struct attempt_row b = add_leg(kit, &q, 2, LEG_COLLECT, ATTEMPT_SUCCEEDED), rows[4];
	uint64_t end = UINT64_C(1) << 62;

	(void)add_leg(kit, &p, 3, LEG_DELIVER, ATTEMPT_UNKNOWN);
	assert_int_equal(DO(attempts_succeeded, 1, ACCOUNT, 0, end, &kit->arena, rows, 4), 2);
	assert_int_equal(DO(attempts_succeeded, 1, ACCOUNT, 0, end, &kit->arena, rows, 1), 1);
	assert_int_equal(
		DO(attempts_succeeded, 1, ACCOUNT, rows[0].id, end, &kit->arena, rows, 4), 1);
	assert_true(rows[0].id == a.id || rows[0].id == b.id);
	assert_int_equal(DO(attempts_succeeded, 2, ACCOUNT, 0, end, &kit->arena, rows, 4), 0);
	assert_int_equal(DO(attempts_succeeded, 1, STR("x"), 0, end, &kit->arena, rows, 4), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		TEST(balances_are_the_sums),
		TEST(a_posting_undone_leaves_its_balance),
		TEST(flows_are_by_the_minute),
		TEST(doubts_and_promises),
		TEST(observations_are_found_by_time),
		TEST(days_move_and_begin_anew),
		TEST(listings_are_told_once_a_run),
		TEST(chores_are_by_account),
		TEST(succeeded_attempts_come_in_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
