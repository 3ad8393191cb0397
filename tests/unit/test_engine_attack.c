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

static void say(struct rig *r, const struct attempt_row *a, const char *word, const char *id)
{
	(void)rig_post_result(r, a, PROVIDER_STATUS, word, id);
	rig_step(r);
}

static void make_class_i(struct rig *r, const char *name)
{
	struct account *account =
		(struct account *)(uintptr_t)config_account(r->fx.config, str_c(name));

	account->keeps_ids_ms = (uint32_t)(24 * HOUR);
	account->absent_after_ms = (uint32_t)(10 * MINUTE);
	account->absent_answers = 3;
}

static void absent(struct rig *r, enum leg_kind leg)
{
	struct attempt_row a = of(r, leg);

	rig_wait(r, 6 * MINUTE);
	rig_post_result(r, &a, PROVIDER_STATUS, NULL, NULL)->transfer.status = 404;
	rig_step(r);
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

/* ---- hints that wait for their answer ----------------------------------------------------------
 */

/* It is said to have run although we believed it unsent: the same again waits for the answer. */
static void a_hint_about_an_unsent_request_holds_the_next(void **state)
{
	struct rig *r = *state;
	struct attempt_row first = bring_to_delivery(r, "ug-refund");

	rig_broken(r, &first, TRANSFER_CONNECT, 0);
	(void)rig_ipn(r, &first, "SUCCESS", "D1");
	assert_int_equal(rig_verdicts(r, VERDICT_HINT), 1);
	assert_int_equal(wait_and_prepare(r, LEG_DELIVER, 10 * MINUTE), 0);
	say(r, &first, "COMPLETED", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
}

/* Nor is the customer told meanwhile that nothing was debited. */
static void a_hint_about_an_unsent_payment_tells_nothing_yet(void **state)
{
	struct rig *r = *state;
	struct attempt_row first = bring_to_collect(r, "ug-refund");

	rig_broken(r, &first, TRANSFER_CONNECT, 0);
	(void)rig_ipn(r, &first, "SUCCESS", "C1");
	assert_int_equal(wait_and_prepare(r, LEG_COLLECT, 30 * MINUTE), 0);
	assert_int_equal(rig_count(r, SAID_SMS, "expired"), 0);
	assert_int_equal(of(r, LEG_COLLECT).state, ATTEMPT_READY);
	say(r, &first, "COMPLETED", "C1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_count(r, SAID_SMS, "expired"), 0);
}

/* But for ever it waits for nothing. */
static void a_hint_that_nobody_answers_lets_it_end(void **state)
{
	struct rig *r = *state;
	struct attempt_row first = bring_to_collect(r, "ug-refund");

	rig_broken(r, &first, TRANSFER_CONNECT, 0);
	(void)rig_ipn(r, &first, "SUCCESS", "C1");
	assert_int_equal(wait_and_prepare(r, LEG_COLLECT, 3 * HOUR), 0);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), LIMIT_ASK_TRIES - 1);
	assert_int_equal(rig_purchase_state(r), PURCHASE_EXPIRED);
}

/* And goes when the answer is that it did not. */
static void a_hint_that_was_wrong_lets_the_next_go(void **state)
{
	struct rig *r = *state;
	struct attempt_row first = bring_to_delivery(r, "ug-refund");

	rig_broken(r, &first, TRANSFER_CONNECT, 0);
	(void)rig_ipn(r, &first, "SUCCESS", "D1");
	say(r, &first, "FAILED", "D1");
	assert_int_equal(wait_and_prepare(r, LEG_DELIVER, 2 * MINUTE), 1);
}

/* The hint came first, the word that nothing left after it: no proof any more. */
static void what_the_provider_has_named_is_not_unsent(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_delivery(r, "ug-refund");

	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	rig_post_result(r, &a, PROVIDER_SUBMIT, NULL, NULL)->transfer.status = 401;
	rig_step(r);
	assert_int_equal(of(r, LEG_DELIVER).n, 1);
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_UNKNOWN);
	assert_int_equal(wait_and_prepare(r, LEG_DELIVER, 10 * MINUTE), 0);
}

/* Hint of success, its query lost, then a reply that it failed: asked again before money leaves. */
static void a_hint_before_a_refusal_is_asked_about_before_the_refund(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_delivery(r, "ug-refund");

	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	rig_reply(r, &a, "FAILED", "D1");
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_READY);
	assert_int_equal(wait_and_prepare(r, LEG_REFUND, DELAY_MS + 5 * MINUTE), 0);
	assert_true(rig_count(r, SAID_QUERY, NULL) > 0);
	say(r, &a, "COMPLETED", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

/* "Pending" about what is settled settles nothing, nor does an answer about something else. */
static void a_hint_answered_without_an_end_is_asked_about_again(void **state)
{
	static const struct {
		const char *word, *id;
	} answers[] = {{"PENDING", "D1"}, {"PROCESSING", "D1"}, {"COMPLETED", "OTHER"}};
	struct rig *r = *state;
	struct attempt_row a;

	(void)bring_to_refund(r, "ug-refund");
	a = of(r, LEG_DELIVER);
	rig_wait(r, DELAY_MS - MINUTE);
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	for (size_t i = 0; i < ROWS(answers); i++) {
		say(r, &a, answers[i].word, answers[i].id);
		assert_int_equal(wait_and_prepare(r, LEG_REFUND, 10 * MINUTE), 0);
		assert_true(rig_count(r, SAID_QUERY, NULL) > 0);
	}
	say(r, &a, "COMPLETED", "D1");
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

/* Class I: nor is a refund in doubt sent once more while it is asked whether it was delivered. */
static void a_hint_holds_what_would_be_sent_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row deliver, refund;

	make_class_i(r, "xente-ug");
	refund = bring_to_refunding(r, "ug-refund");
	rig_broken(r, &refund, TRANSFER_TIMEOUT, 100);
	absent(r, LEG_REFUND);
	absent(r, LEG_REFUND);
	rig_forget(r);
	deliver = of(r, LEG_DELIVER);
	(void)rig_ipn(r, &deliver, "SUCCESS", "D1");
	absent(r, LEG_REFUND);
	assert_true(of(r, LEG_REFUND).absent >= 3);
	refund = of(r, LEG_REFUND);
	(void)rig_post_prepared(r, &refund, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	/* It was not: the refund goes on. */
	say(r, &deliver, "FAILED", "D1");
	absent(r, LEG_REFUND);
	assert_int_equal(rig_count(r, SAID_PREPARE, "payout"), 1);
}

/* A payment said to be reversed: neither goods nor a refund leave before the answer. */
static void a_hint_about_the_payment_holds_the_goods(void **state)
{
	struct rig *r = *state;
	struct attempt_row collect;

	(void)bring_to_paid(r, "ug-refund");
	collect = of(r, LEG_COLLECT);
	(void)rig_ipn(r, &collect, "REVERSED", "C1");
	assert_int_equal(wait_and_prepare(r, LEG_DELIVER, 5 * MINUTE), 0);
	say(r, &collect, "REVERSED", "C1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
}

static void a_hint_about_the_payment_holds_the_refund(void **state)
{
	struct rig *r = *state;
	struct attempt_row collect;

	(void)bring_to_refund(r, "ug-refund");
	collect = of(r, LEG_COLLECT);
	rig_wait(r, DELAY_MS - MINUTE);
	(void)rig_ipn(r, &collect, "REVERSED", "C1");
	assert_int_equal(wait_and_prepare(r, LEG_REFUND, 10 * MINUTE), 0);
	say(r, &collect, "REVERSED", "C1");
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

/* Two persons agree on a refund while it is asked about: theirs waits as well. */
static void a_hint_holds_what_persons_begin(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ug-refund"));
	size_t n = offer->refund.services_len;
	struct attempt_row a = bring_to_delivery(r, "ug-refund");

	offer->refund.services_len = 0;
	rig_reply(r, &a, "FAILED", "D1");
	offer->refund.services_len = n;
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, "awa"), ENGINE_PROPOSED);
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, "koffi"), ENGINE_DONE);
	assert_int_equal(wait_and_prepare(r, LEG_REFUND, 10 * MINUTE), 0);
	say(r, &a, "COMPLETED", "D1");
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_EXPIRED);
}

/* The account is gone from the configuration: nobody will answer, and what waits goes its way. */
static void nothing_waits_for_an_account_that_is_gone(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ug-refund"));
	struct account *account = (struct account *)(uintptr_t)offer->deliver.account;
	const struct account *refunds = offer->refund.account;
	struct str name = account->name;
	struct attempt_row a;

	offer->refund.account = config_account(r->fx.config, STR("et-ci"));
	(void)bring_to_refund(r, "ug-refund");
	offer->refund.account = refunds;
	a = of(r, LEG_DELIVER);
	rig_wait(r, DELAY_MS - MINUTE);
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	account->name = STR("xente-of-old");
	assert_int_equal(wait_and_prepare(r, LEG_REFUND, 10 * MINUTE), 1);
	account->name = name;
}

/* ---- class I -----------------------------------------------------------------------------------
 */

/* Answers about a request that never left say nothing of the one made in its place. */
static void a_request_made_again_counts_its_own_absences(void **state)
{
	struct rig *r = *state;
	struct attempt_row first, second;

	make_class_i(r, "xente-ug");
	first = bring_to_delivery(r, "ug-airtime");
	rig_wait(r, 2 * MINUTE); /* the process was stopped: its own end comes late */
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_UNKNOWN);
	absent(r, LEG_DELIVER);
	absent(r, LEG_DELIVER);
	rig_broken(r, &first, TRANSFER_NOT_STARTED, 0);
	second = of(r, LEG_DELIVER);
	assert_int_equal(second.n, 2);
	assert_int_equal(second.absent, 0);
	second = rig_send(r);
	rig_broken(r, &second, TRANSFER_TIMEOUT, 100);
	rig_forget(r);
	absent(r, LEG_DELIVER);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
}

/* News of a delivery that was never sent: the refund in doubt is not sent once more. */
static void news_of_what_expired_ends_sending_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row deliver, refund;

	make_class_i(r, "et-ci");
	deliver = bring_to_paid(r, "ci-refund");
	(void)rig_post_prepared(r, &deliver, PREPARED_NEVER);
	rig_step(r);
	rig_wait(r, 16 * MINUTE);
	refund = rig_send(r);
	rig_broken(r, &refund, TRANSFER_TIMEOUT, 100);
	deliver = of(r, LEG_DELIVER);
	(void)rig_ipn(r, &deliver, "SUCCESSFUL", "D1");
	assert_int_equal(rig_stats(r).lanes_held, 1);
	rig_release_holds(r);
	rig_forget(r);
	for (int i = 0; i < 4; i++)
		absent(r, LEG_REFUND);
	refund = of(r, LEG_REFUND);
	assert_int_equal(refund.state, ATTEMPT_UNKNOWN);
	(void)rig_post_prepared(r, &refund, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
}

/* The refund of a delivery that expired is called back by news of that delivery: it is not made
 * again, but held, as it would have been had it not been on its way. */
static void what_news_called_back_is_a_persons(void **state)
{
	struct rig *r = *state;
	struct attempt_row deliver = bring_to_paid(r, "ug-refund"), refund;

	(void)rig_post_prepared(r, &deliver, PREPARED_NEVER);
	rig_step(r);
	refund = rig_send(r);
	assert_int_equal(refund.leg, LEG_REFUND);
	rig_forget(r);
	deliver = of(r, LEG_DELIVER);
	assert_int_equal(deliver.state, ATTEMPT_EXPIRED);
	(void)rig_ipn(r, &deliver, "SUCCESS", "D1");
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	rig_broken(r, &refund, TRANSFER_NOT_STARTED, 0);
	refund = of(r, LEG_REFUND);
	assert_int_equal(refund.n, 2);
	assert_int_equal(refund.state, ATTEMPT_REVIEW);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	rig_release_holds(r);
	rig_wait(r, 5 * MINUTE);
	assert_int_equal(rig_count(r, SAID_PREPARE, "payout"), 0);
}

/* A refund that waits for a minute looks like one handed out: neither a new life nor a lane that
 * opens takes it before its time. */
static void a_delay_as_long_as_a_lease_is_kept(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ug-refund"));
	int64_t kept_ms = offer->refund_delay_ms;

	offer->refund_delay_ms = LIMIT_LEASE_MS;
	(void)bring_to_refund(r, "ug-refund");
	rig_wait(r, 1000);
	rig_crash(r);
	rig_wait(r, 50000);
	assert_int_equal(rig_count(r, SAID_PREPARE, "payout"), 0);
	rig_wait(r, 10000);
	assert_int_equal(rig_count(r, SAID_PREPARE, "payout"), 1);
	offer->refund_delay_ms = kept_ms;
}

/* What cannot be made again does not end either, and nobody is told, while a hint says that the
 * first one ran. */
static void what_cannot_be_prepared_waits_for_the_answer(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_collect(r, "ug-refund"), again;

	rig_broken(r, &a, TRANSFER_CONNECT, 0);
	rig_wait(r, 5000);
	again = of(r, LEG_COLLECT);
	assert_int_equal(again.n, 2);
	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESS", "C1");
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	(void)rig_post_prepared(r, &again, PREPARED_SECRET_LOST);
	rig_step(r);
	assert_int_equal(of(r, LEG_COLLECT).state, ATTEMPT_READY);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	/* It did not: then it ends. */
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "FAILED", "C1");
	rig_step(r);
	(void)rig_post_prepared(r, &again, PREPARED_SECRET_LOST);
	rig_step(r);
	assert_int_equal(of(r, LEG_COLLECT).state, ATTEMPT_EXPIRED);
}

/* What the provider has given an id was there: that it knows none of that id is no absence. */
static void what_the_provider_has_named_is_not_sent_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	make_class_i(r, "xente-ug");
	a = bring_to_delivery(r, "ug-airtime");
	(void)rig_ipn(r, &a, "SUCCESS", "D1");
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	rig_forget(r);
	for (int i = 0; i < 4; i++)
		absent(r, LEG_DELIVER);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
}

/* The end of the first is told while the second is on its way: that one is called back. */
static void what_was_sent_again_is_called_back_by_an_end(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	make_class_i(r, "xente-ug");
	a = bring_to_delivery(r, "ug-refund");
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	for (int i = 0; i < 3; i++)
		absent(r, LEG_DELIVER);
	a = of(r, LEG_DELIVER);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
	rig_forget(r);
	a = of(r, LEG_DELIVER);
	say(r, &a, "FAILED", "D1");
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	/* Which proves nothing of the first, nor starts anything. */
	rig_broken(r, &a, TRANSFER_NOT_STARTED, 0);
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_FAILED);
	assert_int_equal(of(r, LEG_REFUND).state, ATTEMPT_READY);
}

/* Beyond the time in which it would buy anything nobody is asked to pay once more. */
static void a_payment_that_would_come_too_late_is_not_sent_again(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ug-refund"));
	uint32_t late_ms = (uint32_t)offer->late_ms;
	struct attempt_row a;

	make_class_i(r, "xente-ug");
	offer->late_ms = (uint32_t)HOUR;
	a = bring_to_collect(r, "ug-refund");
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	rig_wait(r, HOUR);
	rig_forget(r);
	for (int i = 0; i < 4; i++)
		absent(r, LEG_COLLECT);
	offer->late_ms = late_ms;
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(of(r, LEG_COLLECT).state, ATTEMPT_UNKNOWN);
}

/* ---- a store that is behind --------------------------------------------------------------------
 */

/* An earlier life may have delivered: that this one cannot or will not is no proof of nothing. */
static void what_a_forgotten_life_may_have_sent_never_expires(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_collect(r, "ci-refund");

	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	r->engine->frozen_id = r->purchase;
	r->is_lax = true;
	rig_wait(r, 24 * HOUR);
	r->is_lax = false;
	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "C1");
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_REVIEW);
	assert_int_equal(of(r, LEG_REFUND).id, 0);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
}

static void what_a_forgotten_life_may_have_sent_is_never_unsendable(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_collect(r, "ci-refund");

	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	r->engine->frozen_id = r->purchase;
	(void)rig_ipn(r, &a, "SUCCESSFUL", "C1");
	a = of(r, LEG_DELIVER);
	assert_int_equal(a.state, ATTEMPT_READY);
	(void)rig_post_prepared(r, &a, PREPARED_NEVER);
	rig_step(r);
	rig_wait(r, 2 * MINUTE);
	assert_int_equal(of(r, LEG_DELIVER).state, ATTEMPT_REVIEW);
	assert_int_equal(of(r, LEG_REFUND).id, 0);
}

/* ---- asked twice -------------------------------------------------------------------------------
 */

/* A second answer of the wire, that it cannot now, calls nothing back that was told to go. */
static void a_late_refusal_to_prepare_calls_nothing_back(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MOOV2, 1), ENGINE_DONE);
	a = of(r, LEG_DELIVER);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	(void)rig_post_prepared(r, &a, PREPARED_LATER);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(an_unsent_delivery_is_not_made_again_for_a_written_off_payment),
		RIG_TEST(an_unsent_refund_is_not_made_again_for_a_written_off_payment),
		RIG_TEST(a_refund_left_unsent_is_a_persons_when_the_case_is_opened_again),
		RIG_TEST(a_hint_about_an_unsent_request_holds_the_next),
		RIG_TEST(a_hint_about_an_unsent_payment_tells_nothing_yet),
		RIG_TEST(a_hint_that_nobody_answers_lets_it_end),
		RIG_TEST(a_hint_that_was_wrong_lets_the_next_go),
		RIG_TEST(what_the_provider_has_named_is_not_unsent),
		RIG_TEST(a_hint_before_a_refusal_is_asked_about_before_the_refund),
		RIG_TEST(a_hint_answered_without_an_end_is_asked_about_again),
		RIG_TEST(a_hint_holds_what_would_be_sent_again),
		RIG_TEST(a_hint_about_the_payment_holds_the_goods),
		RIG_TEST(a_hint_about_the_payment_holds_the_refund),
		RIG_TEST(a_hint_holds_what_persons_begin),
		RIG_TEST(nothing_waits_for_an_account_that_is_gone),
		RIG_TEST(a_request_made_again_counts_its_own_absences),
		RIG_TEST(news_of_what_expired_ends_sending_again),
		RIG_TEST(what_news_called_back_is_a_persons),
		RIG_TEST(a_delay_as_long_as_a_lease_is_kept),
		RIG_TEST(what_cannot_be_prepared_waits_for_the_answer),
		RIG_TEST(what_the_provider_has_named_is_not_sent_again),
		RIG_TEST(what_was_sent_again_is_called_back_by_an_end),
		RIG_TEST(a_payment_that_would_come_too_late_is_not_sent_again),
		RIG_TEST(what_a_forgotten_life_may_have_sent_never_expires),
		RIG_TEST(what_a_forgotten_life_may_have_sent_is_never_unsendable),
		RIG_TEST(a_late_refusal_to_prepare_calls_nothing_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
