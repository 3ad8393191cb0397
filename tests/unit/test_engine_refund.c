/* The way back of the money (reliability.md 2.8), and what contradicts it on the way (2.6). */
#include "engine_rig.h"

#define HOUR_MS INT64_C(3600000)
#define DELAY_MS INT64_C(1800000)

/* Paid, and the deliver leg's request is out. */
static struct attempt_row bring_to_delivery(struct rig *r, const char *offer)
{
	const char *payer = offer[0] == 'u' ? UG : MOOV, *to = offer[0] == 'u' ? UG : MOOV2;

	assert_int_equal(rig_buy(r, offer, payer, to, 1), ENGINE_DONE);
	if (offer[0] == 'u')
		rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	return rig_send(r);
}

/* Paid, delivery refused: the refund is READY. */
static struct attempt_row bring_to_refund(struct rig *r, const char *offer)
{
	struct attempt_row a = bring_to_delivery(r, offer);

	rig_reply(r, &a, "FAILED", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	a = rig_attempt(r, LEG_REFUND);
	assert_int_equal(a.state, ATTEMPT_READY);
	return a;
}

/* And its request is out. */
static struct attempt_row bring_to_refunding(struct rig *r)
{
	(void)bring_to_refund(r, "ci-refund");
	rig_wait(r, DELAY_MS);
	struct attempt_row a = rig_send(r);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDING);
	return a;
}

static int64_t book(struct rig *r, int number)
{
	return fx_sql(
		r->fx.store, "SELECT sum(debit) FROM ledger WHERE book = ?1", (uint64_t)number);
}

static struct attempt_row deliver_of(struct rig *r)
{
	return rig_attempt(r, LEG_DELIVER);
}

/* ---- the machine's own -------------------------------------------------------------------------
 */

static void a_refused_delivery_is_refunded_after_a_while(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_refund(r, "ci-refund");

	check_str(a.number, MOOV);
	assert_int_equal(a.amount, 600);
	assert_int_equal(rig_count(r, SAID_ALARM, "refund_due"), 0);
	assert_int_equal(rig_count(r, SAID_SMS, "refund due"), 1);
	rig_forget(r);
	rig_wait(r, DELAY_MS - 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	rig_wait(r, 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, "et-ci cashin 124 " MOOV " 600 XOF"), 1);
	assert_int_equal(-book(r, LEDGER_REFUND_PAYABLE), 600);
	a = rig_send(r);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDING);
	assert_int_equal(-book(r, LEDGER_REFUND_PAYABLE), 600);
	rig_reply(r, &a, "PENDING", "R1");
	(void)rig_ipn(r, &a, "SUCCESSFUL", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
	assert_int_equal(book(r, LEDGER_REFUND_PAYABLE), 0);
	assert_int_equal(book(r, LEDGER_CUSTOMER), 0);
	assert_int_equal(rig_count(r, SAID_SMS, "sms-ci " MOOV " refunded"), 1);
	assert_int_equal(rig_stats(r).refunded, 1);
	assert_int_equal(rig_stats(r).sms_rows, 2);
}

/* Never sent, so nothing can contradict it: at once, but for the provider's pause. */
static void what_was_never_sent_is_refunded_at_once(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ug-refund", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = deliver_of(r);
	rig_forget(r);
	(void)rig_post_prepared(r, &a, PREPARED_NEVER);
	rig_step(r);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(rig_count(r, SAID_PREPARE, "xente-ug payout OUT/OUT " UG " 500 UGX"), 1);
}

static void the_pause_of_the_collection_holds_for_the_refund(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = deliver_of(r);
	(void)rig_post_prepared(r, &a, PREPARED_NEVER);
	rig_step(r);
	rig_forget(r);
	rig_wait(r, 14 * 60 * 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	rig_wait(r, 60 * 1000 + 500);
	assert_int_equal(rig_count(r, SAID_PREPARE, "cashin"), 1);
}

static void without_a_way_back_it_waits_for_a_person(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ci-refund"));
	struct offer kept = *offer;
	struct attempt_row a = bring_to_delivery(r, "ci-refund");

	offer->refund.services_len = 0;
	rig_reply(r, &a, "FAILED", "D1");
	*offer = kept;
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(rig_attempt(r, LEG_REFUND).id, 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "refund_due"), 1);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_attempt(r, LEG_REFUND).id, 0);
}

/* D6, and the same rule as for every leg: in doubt it is never sent again. */
static void a_refund_in_doubt_is_a_persons(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_refunding(r);

	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDING);
	rig_forget(r);
	rig_wait(r, 7 * HOUR_MS);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(-book(r, LEDGER_REFUND_PAYABLE), 600);
	assert_int_equal(book(r, LEDGER_SUSPENSE_UNKNOWN), 600);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
}

static void a_refused_refund_stays_owed(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_refunding(r);

	rig_forget(r);
	rig_reply(r, &a, "FAILED", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(-book(r, LEDGER_REFUND_PAYABLE), 600);
	assert_int_equal(book(r, LEDGER_SUSPENSE_UNKNOWN), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "refund_failed"), 1);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_attempt(r, LEG_REFUND).n, 1);
}

/* A switch thrown for a day: then it is a person's, and still owed. */
static void a_refund_that_cannot_be_sent_waits_a_day(void **state)
{
	struct rig *r = *state;
	bool *closed =
		(bool *)(uintptr_t)&config_account(r->fx.config, STR("et-ci"))->out_of_service;

	(void)bring_to_refund(r, "ci-refund");
	*closed = true;
	r->is_lax = true; /* for speed */
	rig_wait(r, 23 * HOUR_MS);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(rig_count(r, SAID_ALARM, "refund_failed"), 1);
	assert_null(fx_broken(&r->fx, 0));
	*closed = false;
}

/* Nothing left this host, again and again: ever rarer, and there is a number for each of a day. */
static void a_refund_is_tried_for_a_day(void **state)
{
	struct rig *r = *state;
	int64_t until_ms;
	unsigned tries = 0;

	(void)bring_to_refund(r, "ci-refund");
	rig_wait(r, DELAY_MS);
	r->is_lax = true;
	until_ms = r->now_ms + 25 * HOUR_MS;
	while (r->now_ms < until_ms) {
		struct attempt_row a = rig_attempt(r, LEG_REFUND);

		if (rig_count(r, SAID_PREPARE, NULL) > 0 && a.state == ATTEMPT_READY) {
			a = rig_send(r);
			rig_broken(r, &a, TRANSFER_CONNECT, 0);
			tries++;
		}
		rig_forget(r);
		rig_wait(r, 30000);
	}
	assert_in_range(tries, 40, 80);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
	assert_null(fx_broken(&r->fx, 0));
}

static void a_crash_while_refunding_is_a_doubt(void **state)
{
	struct rig *r = *state;

	(void)bring_to_refunding(r);
	rig_forget(r);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDING);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
}

/* ---- delivered after all -----------------------------------------------------------------------
 */

static void a_contradiction_stops_the_refund(void **state)
{
	struct rig *r = *state;

	(void)bring_to_refund(r, "ci-refund");
	struct attempt_row a = deliver_of(r);
	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_stats(r).paid_and_refunded, 0);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	/* Confirmed by one query, when the provider's rules allow, whose answer is for the persons.
	 */
	assert_in_range(rig_count(r, SAID_QUERY, NULL), 1, LIMIT_ASK_TRIES);
	a = deliver_of(r);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "SUCCESSFUL", "D1");
	rig_step(r);
	assert_int_equal(rig_verdicts(r, VERDICT_PROPOSAL), 1);
	rig_forget(r);
	rig_wait(r, 48 * HOUR_MS);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
}

/* A preparation that was under way when the news came goes nowhere. */
static void the_refund_prepared_meanwhile_is_dropped(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refund(r, "ci-refund");
	struct attempt_row a = deliver_of(r);

	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	rig_forget(r);
	(void)rig_post_prepared(r, &refund, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
}

static void paid_and_refunded_is_told_at_once(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refunding(r);
	struct attempt_row a = deliver_of(r);

	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_SENDING);
	assert_int_equal(rig_stats(r).paid_and_refunded, 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "paid_and_refunded"), 1);
	/* It is called back, should its first byte not have left; else its life goes on, and
	 * starts nothing.
	 */
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	rig_reply(r, &refund, "SUCCESSFUL", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_stats(r).paid_and_refunded, 1);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
}

static void after_a_refund_the_news_is_a_loss_too(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refunding(r);

	rig_reply(r, &refund, "SUCCESSFUL", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
	struct attempt_row a = deliver_of(r);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_stats(r).paid_and_refunded, 1);
	assert_int_equal(book(r, LEDGER_SUSPENSE_UNKNOWN),
		fx_sql(r->fx.store, "SELECT cost FROM purchase", 0));
}

/* The refund of a contradicted purchase proves unsent: it is not made again. */
static void an_unsent_refund_is_not_made_again_for_a_contradiction(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refunding(r);
	struct attempt_row a = deliver_of(r);

	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	rig_broken(r, &refund, TRANSFER_CONNECT, 0);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	rig_forget(r);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
}

/* 2.6, first row, for what expired: the store is behind, or somebody forges. */
/* Found by the model (tests/model/purchase.pml, RETRY_REGARDLESS): nobody is owed it any more. */
static void an_unsent_refund_is_not_made_again_for_what_was_written_off(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refunding(r);
	struct attempt_row a = deliver_of(r);

	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, a.id), ENGINE_DONE);
	rig_broken(r, &refund, TRANSFER_CONNECT, 0);
	rig_forget(r);
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

static void news_of_what_expired_holds_the_account_and_the_refund(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = deliver_of(r);
	(void)rig_post_prepared(r, &a, PREPARED_NEVER);
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(deliver_of(r).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_REVIEW);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(rig_stats(r).lanes_held, 1);
	assert_int_equal(rig_verdicts(r, VERDICT_IMPOSSIBLE), 1);
}

/* Xente: its IPN is a hint. The refund waits until the query has answered. */
static void a_hint_puts_the_refund_off_until_it_is_answered(void **state)
{
	struct rig *r = *state;

	(void)bring_to_refund(r, "ug-refund");
	struct attempt_row a = deliver_of(r);
	rig_wait(r, DELAY_MS - 60000);
	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	assert_int_equal(deliver_of(r).state, ATTEMPT_FAILED);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	rig_wait(r, 5 * 60 * 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	/* Asked again until there is an answer. */
	assert_in_range(rig_count(r, SAID_QUERY, NULL), 3, 5);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "D1");
	rig_step(r);
	assert_int_equal(deliver_of(r).state, ATTEMPT_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

/* Nor does what was being prepared when it came. */
static void a_hint_stops_what_is_being_prepared(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refund(r, "ug-refund");
	struct attempt_row a = deliver_of(r);

	rig_wait(r, DELAY_MS);
	assert_int_equal(rig_count(r, SAID_PREPARE, "payout"), 1);
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	rig_forget(r);
	(void)rig_post_prepared(r, &refund, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
}

static void a_hint_that_was_wrong_lets_the_refund_go(void **state)
{
	struct rig *r = *state;

	(void)bring_to_refund(r, "ug-refund");
	struct attempt_row a = deliver_of(r);
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	rig_forget(r);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "FAILED", "D1");
	rig_step(r);
	rig_wait(r, DELAY_MS + 500);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	assert_int_equal(rig_count(r, SAID_PREPARE, "payout"), 1);
}

/* ---- late money --------------------------------------------------------------------------------
 */

/* The collection proves done so long after the purchase. */
static void collect_late(struct rig *r, const char *offer, int64_t ms)
{
	assert_int_equal(rig_buy(r, offer, MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	r->is_lax = true;
	rig_wait(r, ms);
	r->is_lax = false;
	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "C1");
}

static void late_money_goes_back(void **state)
{
	struct rig *r = *state;

	collect_late(r, "ci-refund", 24 * HOUR_MS);
	assert_int_equal(deliver_of(r).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(rig_count(r, SAID_ALARM, "late_collect"), 1);
	assert_int_equal(rig_count(r, SAID_SMS, "refund due"), 1);
	assert_int_equal(rig_count(r, SAID_PREPARE, "airtime"), 0);
}

static void money_in_time_buys_the_goods(void **state)
{
	struct rig *r = *state;

	collect_late(r, "ci-refund", 23 * HOUR_MS);
	assert_int_equal(deliver_of(r).state, ATTEMPT_READY);
	assert_int_equal(rig_count(r, SAID_PREPARE, "airtime"), 1);
}

static void an_offer_may_deliver_however_late(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ci-refund"));

	offer->late_delivers = true;
	collect_late(r, "ci-refund", 6 * 24 * HOUR_MS);
	offer->late_delivers = false;
	assert_int_equal(deliver_of(r).state, ATTEMPT_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_refused_delivery_is_refunded_after_a_while),
		RIG_TEST(what_was_never_sent_is_refunded_at_once),
		RIG_TEST(the_pause_of_the_collection_holds_for_the_refund),
		RIG_TEST(without_a_way_back_it_waits_for_a_person),
		RIG_TEST(a_refund_in_doubt_is_a_persons),
		RIG_TEST(a_refused_refund_stays_owed),
		RIG_TEST(a_refund_that_cannot_be_sent_waits_a_day),
		RIG_TEST(a_refund_is_tried_for_a_day),
		RIG_TEST(a_crash_while_refunding_is_a_doubt),
		RIG_TEST(a_contradiction_stops_the_refund),
		RIG_TEST(the_refund_prepared_meanwhile_is_dropped),
		RIG_TEST(paid_and_refunded_is_told_at_once),
		RIG_TEST(after_a_refund_the_news_is_a_loss_too),
		RIG_TEST(an_unsent_refund_is_not_made_again_for_a_contradiction),
		RIG_TEST(an_unsent_refund_is_not_made_again_for_what_was_written_off),
		RIG_TEST(news_of_what_expired_holds_the_account_and_the_refund),
		RIG_TEST(a_hint_puts_the_refund_off_until_it_is_answered),
		RIG_TEST(a_hint_stops_what_is_being_prepared),
		RIG_TEST(a_hint_that_was_wrong_lets_the_refund_go),
		RIG_TEST(late_money_goes_back),
		RIG_TEST(money_in_time_buys_the_goods),
		RIG_TEST(an_offer_may_deliver_however_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
