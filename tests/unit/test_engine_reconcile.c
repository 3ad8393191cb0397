/* A day against its provider: its pages, balances, hours and restarts. */
#include "reconcile_rig.h"

static void a_day_agrees_page_by_page(void **state)
{
	struct rig *r = *state;
	struct facts rows[2];
	struct reconciliation_row day;

	bring_sold(r, rows);
	assert_int_equal(reconcile(r, XENTE, today(r)), ENGINE_DONE);
	assert_int_equal(float_asked(r, "xente-ug list 1"), 1);
	answer_page(r, 1, &rows[0], 1);
	assert_int_equal(float_asked(r, "xente-ug list 2"), 1);
	answer_page(r, 2, &rows[1], 1);
	/* An answer twice is one. */
	answer_page(r, 2, &rows[1], 1);
	answer_page(r, 3, NULL, 0);
	assert_int_equal(day_of(r).state, RECONCILE_CLOSING);
	rig_step(r);
	assert_int_equal(float_asked(r, "xente-ug balance"), 1);
	float_balance(r, XENTE, "5000");
	day = day_of(r);
	assert_int_equal(day.state, RECONCILE_BALANCED);
	assert_int_equal(day.matched, 2);
	assert_true(day.has_list && day.has_balances && day.booked == 0 && day.difference == 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "reconcile"), 0);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM listing", 0), 0);
	assert_int_equal(rig_stats(r).reconciled, 1);
}

/* The page asked for was not heeded: the first again is the end. */
static void a_list_that_repeats_itself_has_ended(void **state)
{
	struct rig *r = *state;
	struct facts rows[2];

	bring_sold(r, rows);
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, rows, 2);
	answer_page(r, 2, rows, 2);
	assert_int_equal(day_of(r).state, RECONCILE_CLOSING);
	assert_int_equal(day_of(r).matched, 2);
	assert_int_equal(day_of(r).missing, 0);
}

static void a_restart_goes_on_with_its_page(void **state)
{
	struct rig *r = *state;
	struct facts rows[2];

	bring_sold(r, rows);
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, &rows[0], 1);
	rig_forget(r);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(float_asked(r, "xente-ug list 2"), 1);
	assert_int_equal(float_asked(r, "xente-ug list 1"), 0);
	answer_page(r, 2, &rows[1], 1);
	answer_page(r, 3, NULL, 0);
	float_balance(r, XENTE, "5000");
	assert_int_equal(day_of(r).state, RECONCILE_BALANCED);
	assert_int_equal(day_of(r).matched, 2);
}

/* Without a list the balances speak alone; what was in doubt at either end explains as much. */
static void balances_alone(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *closing;
		enum reconciliation_state state;
		int64_t difference;
	} days[] = {
		{"5000", RECONCILE_BALANCED, 0},
		{"5588", RECONCILE_EXPLAINED, 588}, /* the collection under way, less its fee */
		{"5589", RECONCILE_DIFFERS, 589},
		{"4999", RECONCILE_DIFFERS, -1},
	};

	float_balance(r, ET, "5000");
	r->now_ms += 1000;
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_DONE);
	(void)rig_send(r);
	for (size_t i = 0; i < ROWS(days); i++) {
		struct reconciliation_row day;

		r->now_ms += 1000;
		(void)reconcile(r, ET, today(r));
		float_told(r, ET, PROVIDER_LIST, "")->outcome = ACCOUNT_CANNOT;
		r->first->as.account.day = today(r);
		r->first->as.account.page = 1;
		rig_step(r);
		float_balance(r, ET, days[i].closing);
		day = day_row(r, ET, today(r));
		assert_int_equal(day.difference, days[i].difference);
		assert_int_equal(day.state, days[i].state);
		assert_false(day.has_list);
	}
	assert_int_equal(rig_count(r, SAID_ALARM, "reconcile_differs"), 2);
}

static void a_silent_provider_is_not_waited_for_for_ever(void **state)
{
	struct rig *r = *state;
	struct facts rows[2];

	bring_sold(r, rows);
	(void)reconcile(r, XENTE, today(r));
	page(r, 1, NULL, 0)->outcome = ACCOUNT_SILENT;
	rig_step(r);
	rig_wait(r, 20 * MINUTE);
	assert_int_equal(float_asked(r, "xente-ug list 1"), 5);
	assert_int_equal(day_of(r).state, RECONCILE_DIFFERS);
	assert_false(day_of(r).has_list);
	assert_int_equal(rig_count(r, SAID_ALARM, "list_unknown"), 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE kind = 8", 0), 1);
}

/* How often the list is asked for in so many minutes; balances go unanswered. */
static unsigned lists_within(struct rig *r, int64_t minutes)
{
	unsigned n = 0;

	for (; minutes > 0; minutes--) {
		rig_forget(r);
		rig_wait(r, MINUTE);
		n += float_asked(r, "xente-ug list 1");
	}
	return n;
}

/* Yesterday at three; the first day has none; what was slept through is done at once. */
static void each_day_has_its_hour(void **state)
{
	struct rig *r = *state;

	float_balance(r, XENTE, "5000");
	assert_int_equal(lists_within(r, 27 * 60 - 5), 0);
	/* Unanswered it is given up, and the next is planned for the next day. */
	assert_int_equal(lists_within(r, 60), 5);
	assert_int_equal(day_row(r, XENTE, FX_EPOCH / DAY).state, RECONCILE_DIFFERS);
	rig_forget(r);
	r->now_ms += 2 * DAY;
	rig_crash(r);
	assert_true(lists_within(r, 2) > 0);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE kind = 8", 0), 1);
}

static void nobodys_account_is_refused(void **state)
{
	struct rig *r = *state;

	assert_int_equal(reconcile(r, STR("nobody"), today(r)), ENGINE_CLOSED);
	assert_int_equal(reconcile(r, STR("et-two"), today(r)), ENGINE_CLOSED);
	assert_int_equal(reconcile(r, XENTE, today(r) + 1), ENGINE_CLOSED);
	assert_int_equal(reconcile(r, XENTE, -1), ENGINE_CLOSED);
	answer_page(r, 1, NULL, 0);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM reconciliation", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLOAT_TEST(a_day_agrees_page_by_page),
		FLOAT_TEST(a_list_that_repeats_itself_has_ended),
		FLOAT_TEST(a_restart_goes_on_with_its_page),
		FLOAT_TEST(balances_alone),
		FLOAT_TEST(a_silent_provider_is_not_waited_for_for_ever),
		FLOAT_TEST(each_day_has_its_hour),
		FLOAT_TEST(nobodys_account_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
