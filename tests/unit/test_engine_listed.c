/* What a row of a provider's list, or its absence there, makes of an attempt in each state. */
#include "reconcile_rig.h"

static void what_the_list_lacks_is_found_once(void **state)
{
	struct rig *r = *state;
	struct facts rows[2];

	bring_sold(r, rows);
	for (int run = 0; run < 2; run++) {
		(void)reconcile(r, XENTE, today(r));
		answer_page(r, 1, &rows[0], 1);
		answer_page(r, 2, NULL, 0);
		float_balance(r, XENTE, "5000");
		assert_int_equal(day_of(r).state, RECONCILE_DIFFERS);
		assert_int_equal(day_of(r).missing, 1);
		r->now_ms += 1000;
	}
	assert_int_equal(rig_verdicts(r, VERDICT_CONTRADICTION), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "reconcile_finding"), 1);
	assert_int_equal(rig_stats(r).findings, 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM inbox WHERE kind = 4", 0), 1);
	/* Nothing moves on a list's silence. */
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
}

/* A collection in doubt whose id never reached us. */
static struct attempt_row bring_doubt(struct rig *r, struct facts *row)
{
	struct attempt_row a;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	*row = listed(&a, "X1");
	rig_broken(r, &a, TRANSFER_BROKEN, 100);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	rig_forget(r);
	return rig_attempt(r, 0);
}

/* What the list says against an attempt's end, for a person. */
static unsigned parked(struct rig *r, enum leg_kind leg)
{
	return (unsigned)fx_sql(r->fx.store,
		"SELECT count(*) FROM inbox WHERE kind = 4 AND verdict = 5 AND attempt = ?1",
		rig_attempt(r, leg).id);
}

/* Paid, and the delivery refused 20 minutes ago: the refund is due in 10. */
static struct facts bring_refund(struct rig *r)
{
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-refund", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESS", "X1");
	a = rig_send(r);
	row = listed(&a, "X2");
	rig_reply(r, &a, "FAILED", "X2");
	rig_wait(r, 20 * MINUTE);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
	rig_forget(r);
	return row;
}

/* Lets time pass without remembering what was said meanwhile. */
static void pass(struct rig *r, int64_t ms)
{
	for (; ms > 0; ms -= HOUR) {
		rig_forget(r);
		rig_wait(r, ms < HOUR ? ms : HOUR);
	}
	rig_forget(r);
}

/* A refund is made when the delivery ends, and may be sent a day later. */
static void what_was_sent_long_after_it_was_made_is_looked_for(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	int64_t made;

	pass(r, 3 * HOUR);
	(void)bring_refund(r);
	made = rig_attempt(r, LEG_REFUND).created_ms;
	pass(r, 23 * HOUR);
	(void)rig_send(r);
	a = rig_attempt(r, LEG_REFUND);
	assert_true(a.sent_ms - made > 23 * HOUR && a.sent_ms / DAY > made / DAY);
	rig_reply(r, &a, "SUCCESS", "X3");
	r->now_ms += 1000;
	list_today(r, NULL, 0);
	rig_step(r);
	assert_int_equal(day_of(r).missing, 1);
	assert_int_equal(parked(r, LEG_REFUND), 1);
}

/* Class I: what was sent again days after it was made is of the day on which it went last. */
static void what_was_sent_again_is_looked_for(void **state)
{
	struct rig *r = *state;
	struct account *account = (struct account *)(uintptr_t)config_account(r->fx.config, XENTE);
	struct attempt_row a;
	struct facts row;

	account->keeps_ids_ms = 4 * (uint32_t)DAY;
	(void)bring_doubt(r, &row);
	pass(r, 3 * DAY);
	assert_int_equal(r->real->begin(r->fx.store, NULL), 0);
	a = rig_attempt(r, 0);
	a.sent_ms = r->now_ms;
	assert_int_equal(r->real->attempt_update(r->fx.store, &a), 0);
	assert_int_equal(r->real->commit(r->fx.store, NULL), 0);
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_REVIEW);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "SUCCESSFULL", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	r->now_ms += 1000;
	list_today(r, NULL, 0);
	rig_step(r);
	assert_int_equal(day_of(r).missing, 1);
}

static void what_nobody_knows_and_what_differs_are_parked(void **state)
{
	struct rig *r = *state;
	struct facts rows[2], strange = {.id = STR("X9"),
				      .our_ref = STR("NOT-OURS"),
				      .amount = STR("-700.00"),
				      .is_valid = true};

	bring_sold(r, rows);
	rows[1].amount = STR("-501.00");
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, rows, 2);
	answer_page(r, 2, &strange, 1);
	answer_page(r, 3, NULL, 0);
	float_balance(r, XENTE, "5000");
	assert_int_equal(day_of(r).differing, 1);
	assert_int_equal(day_of(r).unknown, 1);
	assert_int_equal(day_of(r).missing, 0);
	assert_int_equal(day_of(r).state, RECONCILE_DIFFERS);
	assert_int_equal(rig_verdicts(r, VERDICT_MISMATCH), 1);
	assert_int_equal(rig_verdicts(r, VERDICT_ORPHAN), 1);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT amount FROM listing WHERE finding = 4", 0), -700);
}

/* Rows have no status: the list finds the id, and a query's answer is the evidence. */
static void what_no_reply_told_is_asked_about(void **state)
{
	struct rig *r = *state;
	struct facts row;
	struct attempt_row a = bring_doubt(r, &row);

	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, &row, 1);
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_UNKNOWN);
	check_str(a.provider_id, "X1");
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	assert_int_equal(rig_verdicts(r, VERDICT_HINT), 1);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "SUCCESSFULL", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(day_of(r).late, 1);
}

/* Where a list shows all that its provider's evidence demands, it is evidence. */
static void a_row_that_says_all_settles(void **state)
{
	struct rig *r = *state;
	struct facts row;

	(void)bring_doubt(r, &row);
	row.word = STR("SUCCESSFULL");
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, &row, 1);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(rig_purchase_state(r), PURCHASE_COLLECTED);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM inbox WHERE kind = 4 AND verdict = 1", 0),
		1);
}

/* Proven refused here, executed there: nobody but a person says which. */
static void what_was_refused_and_ran_is_parked(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	row = listed(&a, "X1");
	rig_reply(r, &a, "FAILED", "X1");
	r->now_ms += 1000;
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, &row, 1);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_FAILED);
	assert_int_equal(day_of(r).late, 1);
	assert_int_equal(rig_verdicts(r, VERDICT_CONTRADICTION), 1);
}

/* ---- what we believe never left ----------------------------------------------------------------
 */

static bool is_held(struct rig *r)
{
	return fx_sql(r->fx.store, "SELECT count(*) FROM hold WHERE released_ms IS NULL", 0) == 1;
}

/* 2.6, first row: the customer was told that nothing was taken. */
static void what_expired_unsent_and_ran_holds_its_account(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	a = rig_attempt(r, 0);
	row = listed(&a, "X1");
	rig_wait(r, 20 * MINUTE);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_EXPIRED);
	for (int run = 0; run < 2; run++) {
		list_today(r, &row, 1);
		float_balance(r, XENTE, "5000");
		assert_int_equal(day_of(r).late, 1);
		assert_int_equal(day_of(r).state, RECONCILE_DIFFERS);
		r->now_ms += 1000;
	}
	assert_true(is_held(r));
	assert_int_equal(rig_count(r, SAID_ALARM, "never_sent"), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "reconcile_finding"), 1);
	/* Parked until a person has looked. */
	assert_int_equal(rig_verdicts(r, VERDICT_IMPOSSIBLE), 1);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 2), ENGINE_CLOSED);
	/* Whoever has released the hold is not asked again by the next day's list, which overlaps.
	 */
	rig_release_holds(r);
	r->now_ms += DAY;
	list_today(r, &row, 1);
	assert_false(is_held(r));
	assert_int_equal(day_of(r).late, 0);
}

/* Whatever the row says of it, and of how much: the reference alone cannot have come there. */
static void what_waits_to_be_sent_and_is_there_is_a_persons(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	a = rig_attempt(r, 0);
	row = listed(&a, "X1");
	row.word = STR("FAILED");
	row.amount = STR("1.00");
	list_today(r, &row, 1);
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_REVIEW);
	check_str(a.provider_id, "X1");
	assert_true(is_held(r));
	rig_release_holds(r);
	rig_forget(r);
	rig_wait(r, HOUR);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	/* It is still there: the day never agrees, and nobody is called again. */
	list_today(r, &row, 1);
	assert_int_equal(day_of(r).late + day_of(r).differing, 1);
	assert_false(is_held(r));
}

/* A delivery that was never sent, and was: the refund that it started waits for persons. */
static void no_refund_leaves_for_what_was_never_sent_and_ran(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-refund", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESS", "X1");
	a = rig_attempt(r, LEG_DELIVER);
	row = listed(&a, "X2");
	(void)rig_post_prepared(r, &a, PREPARED_NEVER);
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
	list_today(r, &row, 1);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_REVIEW);
}

/* Nothing left, and the same leg is about to be sent again: it must not. */
static void what_arrived_after_all_is_not_sent_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	row = listed(&a, "X1");
	rig_broken(r, &a, TRANSFER_CONNECT, 0);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_READY);
	list_today(r, &row, 1);
	assert_int_equal(rig_verdicts(r, VERDICT_CONTRADICTION), 1);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_EXPIRED);
	rig_forget(r);
	rig_wait(r, 20 * MINUTE);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	/* Its query says what became of it; no account is held for it. */
	assert_true(rig_count(r, SAID_QUERY, NULL) > 0);
	assert_false(is_held(r));
}

static void what_arrived_and_failed_contradicts_nothing(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct facts row;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	row = listed(&a, "X1");
	row.word = STR("FAILED");
	rig_broken(r, &a, TRANSFER_CONNECT, 0);
	list_today(r, &row, 1);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_READY);
	assert_int_equal(day_of(r).matched, 1);
}

/* A row without its state is a hint: asked about before the money goes back. */
static void no_refund_leaves_before_the_list_is_asked_about(void **state)
{
	struct rig *r = *state;
	struct facts row = bring_refund(r);
	struct attempt_row a;

	list_today(r, &row, 1);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	/* A person sees it, whatever the answer. */
	assert_int_equal(parked(r, LEG_DELIVER), 1);
	rig_wait(r, 15 * MINUTE);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	a = rig_attempt(r, LEG_DELIVER);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "SUCCESSFULL", "X2");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

static void a_refusal_that_is_confirmed_is_refunded(void **state)
{
	struct rig *r = *state;
	struct facts row = bring_refund(r);
	struct attempt_row a;

	list_today(r, &row, 1);
	a = rig_attempt(r, LEG_DELIVER);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "FAILED", "X2");
	rig_wait(r, 31 * MINUTE);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_FAILED);
	assert_true(rig_count(r, SAID_PREPARE, "payout") > 0);
}

/* One that says all that a query's answer would is that answer. */
static void a_row_that_says_all_contradicts(void **state)
{
	struct rig *r = *state;
	struct facts row = bring_refund(r);

	row.word = STR("SUCCESSFULL");
	list_today(r, &row, 1);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
	assert_int_equal(parked(r, LEG_DELIVER), 1);
	assert_int_equal(rig_stats(r).contradictions, 1);
}

static void a_failure_listed_is_no_execution(void **state)
{
	struct rig *r = *state;
	struct facts rows[2];
	struct attempt_row a;

	bring_sold(r, rows);
	rows[0].word = STR("FAILED");
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, rows, 2);
	assert_int_equal(day_of(r).differing, 1);
	assert_int_equal(day_of(r).matched, 1);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	/* Nor is it nothing: what was undone there since is for persons, once its query says so. */
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	a = rig_attempt(r, LEG_COLLECT);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "FAILED", "X1");
	rig_step(r);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLOAT_TEST(what_the_list_lacks_is_found_once),
		FLOAT_TEST(what_was_sent_long_after_it_was_made_is_looked_for),
		FLOAT_TEST(what_was_sent_again_is_looked_for),
		FLOAT_TEST(what_nobody_knows_and_what_differs_are_parked),
		FLOAT_TEST(what_no_reply_told_is_asked_about),
		FLOAT_TEST(a_row_that_says_all_settles),
		FLOAT_TEST(what_was_refused_and_ran_is_parked),
		FLOAT_TEST(what_expired_unsent_and_ran_holds_its_account),
		FLOAT_TEST(what_waits_to_be_sent_and_is_there_is_a_persons),
		FLOAT_TEST(no_refund_leaves_for_what_was_never_sent_and_ran),
		FLOAT_TEST(what_arrived_after_all_is_not_sent_again),
		FLOAT_TEST(what_arrived_and_failed_contradicts_nothing),
		FLOAT_TEST(no_refund_leaves_before_the_list_is_asked_about),
		FLOAT_TEST(a_refusal_that_is_confirmed_is_refunded),
		FLOAT_TEST(a_row_that_says_all_contradicts),
		FLOAT_TEST(a_failure_listed_is_no_execution),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
