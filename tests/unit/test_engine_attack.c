/*
 * Orders of events in which something was once sent, or left unended, that what had been said
 * meanwhile about other legs forbade (reliability.md 2.2, 2.6, 2.8).
 */
#include "engine_rig.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DELAY_MS ((int64_t)LIMIT_REFUND_DELAY_MS)

/* ---- the way there -----------------------------------------------------------------------------
 */

static struct attempt_row of(struct rig *r, enum leg_kind leg)
{
	return rig_attempt(r, leg);
}

/* The collection's request is out. */
static struct attempt_row bring_to_collect(struct rig *r, const char *offer)
{
	bool is_ug = offer[0] == 'u';

	assert_int_equal(rig_buy(r, offer, is_ug ? UG : MOOV, is_ug ? UG : MOOV2, 1), ENGINE_DONE);
	if (is_ug)
		rig_wait(r, 5000);
	return rig_send(r);
}

/* Paid; the deliver leg is READY. */
static struct attempt_row bring_to_paid(struct rig *r, const char *offer)
{
	struct attempt_row a = bring_to_collect(r, offer);

	rig_reply(r, &a, "SUCCESSFUL", "C1");
	rig_forget(r);
	return of(r, LEG_DELIVER);
}

/* Paid, and the delivery's request is out. */
static struct attempt_row bring_to_delivery(struct rig *r, const char *offer)
{
	struct attempt_row a;

	(void)bring_to_paid(r, offer);
	a = rig_send(r);
	rig_forget(r);
	return a;
}

/* Delivery refused; the refund is READY. */
static struct attempt_row bring_to_refund(struct rig *r, const char *offer)
{
	struct attempt_row a = bring_to_delivery(r, offer);

	rig_reply(r, &a, "FAILED", "D1");
	rig_forget(r);
	a = of(r, LEG_REFUND);
	assert_int_equal(a.state, ATTEMPT_READY);
	return a;
}

/* And its request is out. */
static struct attempt_row bring_to_refunding(struct rig *r, const char *offer)
{
	struct attempt_row a;

	(void)bring_to_refund(r, offer);
	rig_wait(r, DELAY_MS);
	a = rig_send(r);
	rig_forget(r);
	return a;
}

/* The wire answers whatever it is asked to prepare; how many claims of the leg went out meanwhile.
 */
static unsigned wait_and_prepare(struct rig *r, enum leg_kind leg, int64_t ms)
{
	int64_t until_ms = r->now_ms + ms;

	rig_forget(r);
	while (r->now_ms < until_ms) {
		struct attempt_row a = of(r, leg);

		if (a.state == ATTEMPT_READY && rig_count(r, SAID_PREPARE, NULL) > 0)
			(void)rig_post_prepared(r, &a, PREPARED_OK);
		rig_wait(r, 10000);
	}
	return rig_count(r, SAID_GO, NULL);
}

/* ---- what persons wrote off --------------------------------------------------------------------
 */

/* Nobody knows whether it was paid, and two persons have let it go: no goods for it any more. */
static void an_unsent_delivery_is_not_made_again_for_a_written_off_payment(void **state)
{
	struct rig *r = *state;
	struct attempt_row deliver = bring_to_delivery(r, "ci-refund");
	struct attempt_row collect = of(r, LEG_COLLECT);

	(void)rig_ipn(r, &collect, "FAILED", "C1");
	assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, collect.id), ENGINE_DONE);
	rig_broken(r, &deliver, TRANSFER_NOT_STARTED, 0);
	assert_int_equal(rig_purchase_state(r), PURCHASE_WRITTEN_OFF);
	assert_int_equal(wait_and_prepare(r, LEG_DELIVER, 2 * HOUR), 0);
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
	/* Should it prove paid, the money goes back. */
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, collect.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_READY);
}

static void an_unsent_refund_is_not_made_again_for_a_written_off_payment(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refunding(r, "ci-refund");
	struct attempt_row collect = of(r, LEG_COLLECT);

	(void)rig_ipn(r, &collect, "FAILED", "C1");
	assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, collect.id), ENGINE_DONE);
	rig_broken(r, &refund, TRANSFER_NOT_STARTED, 0);
	assert_int_equal(wait_and_prepare(r, LEG_REFUND, 3 * HOUR), 0);
	assert_int_equal(rig_purchase_state(r), PURCHASE_WRITTEN_OFF);
}

/* Its refund proved unsent while it was closed: found undelivered after all, persons are called. */
static void a_refund_left_unsent_is_a_persons_when_the_case_is_opened_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_refunding(r, "ci-refund");
	struct attempt_row deliver = of(r, LEG_DELIVER);

	(void)rig_ipn(r, &deliver, "SUCCESSFUL", "D1");
	assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, deliver.id), ENGINE_DONE);
	rig_broken(r, &refund, TRANSFER_NOT_STARTED, 0);
	assert_int_equal(rig_purchase_state(r), PURCHASE_WRITTEN_OFF);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, deliver.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(rig_decide_both(r, DECIDE_REFUND, r->purchase), ENGINE_DONE);
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(an_unsent_delivery_is_not_made_again_for_a_written_off_payment),
		RIG_TEST(an_unsent_refund_is_not_made_again_for_a_written_off_payment),
		RIG_TEST(a_refund_left_unsent_is_a_persons_when_the_case_is_opened_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
