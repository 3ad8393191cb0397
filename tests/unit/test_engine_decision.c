/* What persons decide: two of them, never against the facts, once (reliability.md 2.2, 2.5, 5.6).
 */
#include "engine_rig.h"

#define HOUR_MS INT64_C(3600000)

static const char *const AWA = "awa", *const KOFFI = "koffi";

/* The request of the leg is out and nobody knows; the deadline made it a person's. */
static struct attempt_row bring_to_review(struct rig *r, enum leg_kind leg)
{
	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	if (leg != LEG_COLLECT) {
		rig_reply(r, &a, "SUCCESSFUL", "C1");
		a = rig_send(r);
	}
	if (leg == LEG_REFUND) {
		rig_reply(r, &a, "FAILED", "D1");
		rig_wait(r, HOUR_MS / 2);
		a = rig_send(r);
	}
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	rig_wait(r, 7 * HOUR_MS);
	rig_forget(r);
	a = rig_attempt(r, leg);
	assert_int_equal(a.state, ATTEMPT_REVIEW);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	return a;
}

/* Delivered, and then said to have failed. */
static struct attempt_row bring_to_contradiction(struct rig *r)
{
	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 1);
	(void)rig_ipn(r, &a, "FAILED", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	rig_forget(r);
	return rig_attempt(r, LEG_DELIVER);
}

static int64_t decisions(struct rig *r, enum decision_state state)
{
	return fx_sql(
		r->fx.store, "SELECT count(*) FROM decision WHERE state = ?1", (uint64_t)state);
}

/* ---- two persons -------------------------------------------------------------------------------
 */

static void one_proposes_and_another_agrees(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);

	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, AWA), ENGINE_PROPOSED);
	uint64_t proposal = r->decision;
	assert_true(proposal > 0);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_REVIEW);
	/* Nobody agrees with himself, however often. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, AWA), ENGINE_SAME_PERSON);
		assert_string_equal(r->proposed_by, AWA);
		assert_int_equal(r->decision, proposal);
	}
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_REVIEW);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, KOFFI), ENGINE_DONE);
	assert_int_equal(r->decision, proposal);
	assert_string_equal(r->proposed_by, AWA);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 1);
	assert_int_equal(rig_stats(r).decisions, 1);
	assert_int_equal(fx_sql(r->fx.store,
				 "SELECT count(*) FROM event WHERE cause = 'decided_success'"
				 " AND evidence = (SELECT id FROM decision WHERE state = 2 AND"
				 " proposed_by = 'awa' AND agreed_by = 'koffi')",
				 0),
		1);
}

static void a_decision_redelivered_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);

	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, i ? AWA : KOFFI),
			ENGINE_NOT_DECIDABLE);
		assert_string_equal(r->reason, "it is no case, or not any more");
	}
	assert_int_equal(decisions(r, DECISION_APPLIED), 1);
	assert_int_equal(decisions(r, DECISION_PROPOSED), 0);
}

static void a_commit_that_failed_decided_nothing(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);

	(void)rig_decide(r, DECIDE_FAILED, a.id, AWA);
	r->commit_answers = TAMA_EIO;
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, AWA), ENGINE_NOT_DONE);
	r->commit_answers = 0;
	assert_int_equal(decisions(r, DECISION_PROPOSED), 1);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, KOFFI), ENGINE_PROPOSED);
}

/* The machine was faster, or another decision was. */
static void what_closes_otherwise_overtakes_the_proposals(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);

	(void)rig_decide(r, DECIDE_WRITE_OFF, a.id, AWA);
	(void)rig_decide(r, DECIDE_FAILED, a.id, KOFFI);
	assert_int_equal(decisions(r, DECISION_PROPOSED), 2);
	assert_int_equal(rig_decide(r, DECIDE_FAILED, a.id, AWA), ENGINE_DONE);
	assert_int_equal(decisions(r, DECISION_APPLIED), 1);
	assert_int_equal(decisions(r, DECISION_OVERTAKEN), 1);
}

static void evidence_overtakes_persons(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);

	(void)rig_decide(r, DECIDE_FAILED, a.id, AWA);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(decisions(r, DECISION_OVERTAKEN), 1);
	assert_int_equal(rig_decide(r, DECIDE_FAILED, a.id, KOFFI), ENGINE_NOT_DECIDABLE);
}

static void what_is_no_case_cannot_be_decided(void **state)
{
	static const enum decision_kind all[] = {DECIDE_SUCCEEDED, DECIDE_FAILED, DECIDE_WRITE_OFF};
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	for (size_t i = 0; i < ROWS(all); i++) {
		struct attempt_row a = rig_attempt(r, 0);

		assert_int_equal(rig_decide(r, all[i], a.id, AWA), ENGINE_NOT_DECIDABLE);
		assert_int_equal(rig_decide(r, all[i], 4711, AWA), ENGINE_NOT_DECIDABLE);
		assert_string_equal(r->reason, "there is none of that number");
	}
	assert_int_equal(rig_decide(r, DECIDE_REFUND, 4711, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide(r, DECIDE_DISMISS, 4711, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide(r, DECIDE_RELEASE, 4711, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM decision", 0), 0);
}

static void a_decision_says_who_and_why(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);
	static char longer[1001];
	static const struct str texts[] = {
		STR_INIT(""), STR_INIT("a\xff"), {longer, sizeof(longer)}};

	memset(longer, 'x', sizeof(longer));
	for (size_t i = 0; i < ROWS(texts) + 2; i++) {
		struct engine_decision *d = &rig_event(r, ENGINE_DECISION)->as.decision;

		*d = (struct engine_decision){.partner = 1,
			.kind = i == ROWS(texts) ? (enum decision_kind)7 : DECIDE_SUCCEEDED,
			.subject = a.id,
			.user = i == ROWS(texts) + 1 ? STR("") : STR("awa"),
			.proof = i < ROWS(texts) ? texts[i] : STR("why")};
		rig_step(r);
		assert_int_equal(r->outcome, ENGINE_NOT_DECIDABLE);
		assert_true(strlen(r->reason) > 0);
	}
	/* Nor of another partner's. */
	struct engine_decision *d = &rig_event(r, ENGINE_DECISION)->as.decision;
	*d = (struct engine_decision){.partner = 2,
		.kind = DECIDE_SUCCEEDED,
		.subject = a.id,
		.user = STR("awa"),
		.proof = STR("why")};
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_NOT_DECIDABLE);
}

/* ---- the owner-dead rule -----------------------------------------------------------------------
 */

/* In doubt by a deadline, the owner never having told the end of its transfer. */
static struct attempt_row bring_to_silent_review(struct rig *r)
{
	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	(void)rig_send(r);
	r->is_lax = true;
	rig_wait(r, 7 * HOUR_MS);
	r->is_lax = false;
	a = rig_attempt(r, LEG_DELIVER);
	assert_int_equal(a.state, ATTEMPT_REVIEW);
	return a;
}

static void an_owner_that_may_still_send_forbids_failure(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_silent_review(r);

	assert_int_equal(rig_decide(r, DECIDE_FAILED, a.id, AWA), ENGINE_NOT_DECIDABLE);
	assert_non_null(strstr(r->reason, "may still be sending"));
	/* Success and write-off need no such proof. */
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, AWA), ENGINE_PROPOSED);
	/* The end of its transfer, or of its life. */
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
}

static void a_dead_owner_allows_failure(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_silent_review(r);

	rig_crash(r);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
	rig_forget(r);
	rig_wait(r, HOUR_MS / 2);
	assert_int_equal(rig_count(r, SAID_PREPARE, "cashin"), 1);
	(void)rig_send(r);
}

/* Sent twice under one id (class I): each transfer must have ended. */
static void every_transfer_must_have_ended(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_DELIVER);
	const struct store_ops *ops = r->real;

	assert_int_equal(ops->begin(r->fx.store, NULL), 0);
	a.epoch++;
	assert_int_equal(ops->attempt_update(r->fx.store, &a), 0);
	assert_int_equal(ops->commit(r->fx.store, NULL), 0);
	assert_int_equal(rig_decide(r, DECIDE_FAILED, a.id, AWA), ENGINE_NOT_DECIDABLE);
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	assert_int_equal(rig_decide(r, DECIDE_FAILED, a.id, AWA), ENGINE_PROPOSED);
}

/* ---- each leg ----------------------------------------------------------------------------------
 */

static void a_collection_decided_done_buys_the_goods(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_COLLECT);

	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_READY);
	assert_int_equal(rig_count(r, SAID_PREPARE, "airtime"), 1);
}

static void a_collection_decided_failed_ends_it(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_COLLECT);

	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CANCELLED);
	assert_int_equal(rig_count(r, SAID_SMS, "cancelled"), 1);
}

static void a_refund_decided_done_tells_the_customer(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_REFUND);

	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
	assert_int_equal(rig_count(r, SAID_SMS, "refunded"), 1);
}

static void what_nobody_will_know_is_written_off(void **state)
{
	struct rig *r = *state;
	static const enum leg_kind legs[] = {LEG_COLLECT, LEG_DELIVER, LEG_REFUND};
	void *own = r;

	for (size_t i = 0; i < ROWS(legs); i++) {
		if (i > 0) {
			assert_int_equal(rig_close(&own), 0);
			assert_int_equal(rig_open(&own), 0);
			r = own;
		}
		struct attempt_row a = bring_to_review(r, legs[i]);
		assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, a.id), ENGINE_DONE);
		assert_int_equal(rig_purchase_state(r), PURCHASE_WRITTEN_OFF);
		assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
		assert_int_equal(rig_decide(r, DECIDE_WRITE_OFF, a.id, AWA), ENGINE_NOT_DECIDABLE);
		/* Proof that turns up is proposed to persons, who may still use it. */
		(void)rig_ipn(r, &a, "SUCCESSFUL", "T9");
		assert_int_equal(rig_verdicts(r, VERDICT_PROPOSAL), 1);
		assert_int_equal(rig_purchase_state(r), PURCHASE_WRITTEN_OFF);
		assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	}
	*state = own;
}

/* ---- contradictions ----------------------------------------------------------------------------
 */

static void a_reversal_decided_true_goes_back(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_contradiction(r);

	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	/* "Delivered" was told: now what is true. */
	assert_int_equal(rig_count(r, SAID_SMS, "refund due"), 1);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
}

/* The last word that the customer hears is the true one, however often it changed. */
static void an_end_that_changes_back_is_told_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_contradiction(r);

	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_count(r, SAID_SMS, "refund due"), 1);
	assert_int_equal(rig_ipn(r, &a, "SUCCESSFUL", "D1"), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	rig_forget(r);
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 1);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 1);
}

static void a_reversal_decided_untrue_tells_nothing_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_contradiction(r);

	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
}

/* Refused, then said to be delivered; the refund did not go. */
static void delivered_after_all_tells_so(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "D1");
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	rig_forget(r);
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 1);
}

/* The same, and decided not delivered: the refund expired with the contradiction. */
static void a_refund_that_expired_is_begun_again_by_persons(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "D1");
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	rig_wait(r, HOUR_MS);
	rig_forget(r);
	assert_int_equal(rig_decide_both(r, DECIDE_REFUND, r->purchase), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	a = rig_attempt(r, LEG_REFUND);
	assert_int_equal(a.n, 2);
	assert_int_equal(rig_count(r, SAID_PREPARE, "cashin 124 " MOOV " 600"), 1);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
}

/* Goods that arrived cannot be said to have been paid back, nor the other way round. */
static void goods_and_money_cannot_both_be_decided(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_review(r, LEG_REFUND);
	struct attempt_row a = rig_attempt(r, LEG_DELIVER);

	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_stats(r).paid_and_refunded, 1);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, AWA), ENGINE_NOT_DECIDABLE);
	assert_non_null(strstr(r->reason, "write one off"));
	/* The refund is found to have failed: then it can. */
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, refund.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	/* And then it turns out to have run. */
	(void)rig_ipn(r, &refund, "SUCCESSFUL", "R1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_stats(r).paid_and_refunded, 2);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, refund.id, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, refund.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
}

static void paid_and_refunded_is_written_off(void **state)
{
	struct rig *r = *state;
	struct attempt_row refund = bring_to_review(r, LEG_REFUND);
	struct attempt_row a = rig_attempt(r, LEG_DELIVER);

	(void)rig_ipn(r, &refund, "SUCCESSFUL", "R1");
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_decide_both(r, DECIDE_WRITE_OFF, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_WRITTEN_OFF);
	assert_int_equal(
		fx_sql(r->fx.store,
			"SELECT coalesce(sum(debit), 0) FROM ledger WHERE book IN (4, 5)", 0),
		0);
}

/* The money of goods that went out cannot be said never to have come. */
static void a_payment_that_was_used_cannot_fail(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row c = rig_send(r);
	rig_reply(r, &c, "SUCCESSFUL", "C1");
	struct attempt_row d = rig_send(r);
	(void)rig_ipn(r, &c, "FAILED", "C1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_decide(r, DECIDE_FAILED, c.id, AWA), ENGINE_NOT_DECIDABLE);
	assert_non_null(strstr(r->reason, "write it off"));
	/* Of an unsent request nothing is made again while the payment may not stand. */
	rig_broken(r, &d, TRANSFER_CONNECT, 0);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, c.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CANCELLED);
}

/* Decided to stand instead: what expired goes back. */
static void a_payment_decided_to_stand_goes_back(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row c = rig_send(r);
	rig_reply(r, &c, "SUCCESSFUL", "C1");
	(void)rig_ipn(r, &c, "FAILED", "C1");
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, c.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(rig_attempt(r, LEG_REFUND).state, ATTEMPT_READY);
}

/* Two requests of one leg ran: the store holds one of them, and only a failure clears the other. */
static void beside_another_that_ran_only_failure_can_be_decided(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row first = rig_send(r);
	rig_broken(r, &first, TRANSFER_CONNECT, 0);
	rig_wait(r, 5000);
	struct attempt_row second = rig_send(r);
	(void)rig_ipn(r, &first, "SUCCESSFUL", "C1");
	rig_reply(r, &second, "SUCCESSFUL", "C2");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, first.id, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide(r, DECIDE_WRITE_OFF, first.id, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, first.id), ENGINE_DONE);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_READY);
}

/* The second was under way when the first was contradicted, and proved unsent: the leg goes on. */
static void a_leg_goes_on_when_its_contradiction_is_over(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row first = rig_send(r);
	rig_broken(r, &first, TRANSFER_CONNECT, 0);
	rig_wait(r, 5000);
	struct attempt_row second = rig_send(r);
	(void)rig_ipn(r, &first, "SUCCESSFUL", "C1");
	rig_broken(r, &second, TRANSFER_CONNECT, 0);
	assert_int_equal(rig_attempt(r, 0).n, 2);
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, first.id), ENGINE_DONE);
	struct attempt_row third = rig_attempt(r, 0);
	assert_int_equal(third.n, 3);
	assert_int_equal(third.state, ATTEMPT_READY);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONFIRMED);
}

/* ---- refunds by decision -----------------------------------------------------------------------
 */

static void bring_to_refused_refund(struct rig *r)
{
	struct attempt_row a = bring_to_review(r, LEG_REFUND);

	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	rig_forget(r);
}

static int staff_open(void **state)
{
	static const struct config_setting settings[] = {{STR_INIT("staff"), STR_INIT("on")}};
	const struct config_options options = {.settings = settings, .settings_len = 1};
	const struct config *config = NULL;
	int rc = rig_open(state);
	struct rig *r = *state;

	assert_int_equal(config_load("tests/fixtures/engine.lua", &options, &config, NULL), 0);
	engine_set_config(r->engine, config);
	config_unref(&r->fx.config);
	r->fx.config = config;
	return rc;
}

#define STAFF_TEST(f) cmocka_unit_test_setup_teardown(f, staff_open, rig_close)

/* Paid, undelivered, and no way back by the machine. */
static uint64_t bring_to_owed(struct rig *r, uint64_t uid, int64_t amount)
{
	struct engine_buy *buy = rig_post_buy(r, "ci-airtime", MOOV, MOOV2, uid);
	struct buy_intent intent = *buy->intent;

	intent.is_repeat_confirmed = true;
	intent.face_value = amount;
	intent.price = amount + intent.fee;
	buy->intent = &intent;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	rig_wait(r, HOUR_MS / 2);
	return r->purchase;
}

/* 5.5: staff refunds are capped, by person and day, in number. */
static void a_person_begins_so_many_refunds_a_day(void **state)
{
	struct rig *r = *state;
	uint64_t owed[4];

	for (size_t i = 0; i < ROWS(owed); i++)
		owed[i] = bring_to_owed(r, 1 + i, 500);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[0], AWA), ENGINE_PROPOSED);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[1], AWA), ENGINE_PROPOSED);
	/* What stands proposed counts, and proposing it again is still the same person's. */
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[1], AWA), ENGINE_SAME_PERSON);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[2], AWA), ENGINE_NOT_DECIDABLE);
	assert_non_null(strstr(r->reason, "as many refunds by hand as one person may"));
	/* Agreeing is doing, too. */
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[0], KOFFI), ENGINE_DONE);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[2], KOFFI), ENGINE_PROPOSED);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[1], KOFFI), ENGINE_NOT_DECIDABLE);
	/* Others are not held up, and nor is the next day. */
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[1], "binta"), ENGINE_DONE);
	r->now_ms += 24 * HOUR_MS;
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[2], AWA), ENGINE_DONE);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[3], AWA), ENGINE_PROPOSED);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, owed[3], "binta"), ENGINE_DONE);
}

/* And in money. */
static void a_person_refunds_so_much_a_day(void **state)
{
	struct rig *r = *state;
	uint64_t small = bring_to_owed(r, 1, 500), large = bring_to_owed(r, 2, 1000),
		 fits = bring_to_owed(r, 3, 800), huge = bring_to_owed(r, 4, 1500);

	assert_int_equal(rig_decide(r, DECIDE_REFUND, small, AWA), ENGINE_PROPOSED);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, large, AWA), ENGINE_NOT_DECIDABLE);
	assert_non_null(strstr(r->reason, "more money than one person may refund"));
	assert_int_equal(rig_decide(r, DECIDE_REFUND, fits, AWA), ENGINE_PROPOSED);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, huge, KOFFI), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, large, KOFFI), ENGINE_PROPOSED);
}

static void a_refused_refund_is_tried_again_by_persons(void **state)
{
	struct rig *r = *state;

	bring_to_refused_refund(r);
	assert_int_equal(rig_decide_both(r, DECIDE_REFUND, r->purchase), ENGINE_DONE);
	struct attempt_row a = rig_attempt(r, LEG_REFUND);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.state, ATTEMPT_READY);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, KOFFI), ENGINE_NOT_DECIDABLE);
	assert_string_equal(r->reason, "a refund is on its way");
	rig_wait(r, 0);
	a = rig_send(r);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, KOFFI), ENGINE_NOT_DECIDABLE);
	rig_reply(r, &a, "SUCCESSFUL", "R2");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
	assert_int_equal(rig_count(r, SAID_SMS, "refunded"), 1);
}

/* No way back in the offer: persons pay with their own hands, and two must have seen it. */
static void a_refund_by_hand_is_proven_by_two(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	rig_forget(r);
	assert_int_equal(rig_decide_both(r, DECIDE_REFUND, r->purchase), ENGINE_DONE);
	a = rig_attempt(r, LEG_REFUND);
	assert_int_equal(a.state, ATTEMPT_REVIEW);
	check_str(a.verb, "by_hand");
	check_str(a.account, "et-ci");
	rig_wait(r, 2 * HOUR_MS);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
	assert_int_equal(rig_count(r, SAID_SMS, "refunded"), 1);
}

/* A payment: the partner delivers, so only persons know that the money must go back. */
static void a_payment_is_refunded_by_persons_only(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	rig_forget(r);
	assert_int_equal(rig_decide_both(r, DECIDE_REFUND, r->purchase), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(fx_sql(r->fx.store, "SELECT sum(debit) FROM ledger WHERE book = 3", 0), 0);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT -sum(debit) FROM ledger WHERE book = 5", 0), 500);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	a = rig_attempt(r, LEG_REFUND);
	assert_int_equal(rig_decide_both(r, DECIDE_SUCCEEDED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
	assert_int_equal(rig_count(r, SAID_SMS, "refunded"), 1);
}

static void money_is_not_given_back_against_the_facts(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-refund", MOOV, MOOV2, 1), ENGINE_DONE);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, AWA), ENGINE_NOT_DECIDABLE);
	assert_string_equal(r->reason, "no money is proven to have come in");
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, AWA), ENGINE_NOT_DECIDABLE);
	assert_string_equal(r->reason, "the goods are not proven undelivered");
	rig_reply(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, AWA), ENGINE_NOT_DECIDABLE);
}

static void a_proposed_refund_is_overtaken(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV2, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "C1");
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "D1");
	assert_int_equal(rig_decide(r, DECIDE_REFUND, r->purchase, AWA), ENGINE_PROPOSED);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "D1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(decisions(r, DECISION_OVERTAKEN), 1);
}

/* ---- evidence and holds ------------------------------------------------------------------------
 */

static void parked_evidence_is_dismissed_by_one(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_post_ipn(r, &a, "SUCCESSFUL", "C1")->facts.amount = STR("1");
	rig_step(r);
	uint64_t id = (uint64_t)fx_sql(r->fx.store, "SELECT id FROM inbox WHERE verdict = 4", 0);
	assert_int_equal(rig_decide(r, DECIDE_DISMISS, id, AWA), ENGINE_DONE);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT dismissed FROM inbox WHERE verdict = 4", 0), 1);
	assert_int_equal(fx_sql(r->fx.store,
				 "SELECT count(*) FROM decision WHERE kind = 5 AND state = 2 AND"
				 " proposed_by = 'awa' AND inbox = ?1",
				 id),
		1);
	assert_int_equal(rig_decide(r, DECIDE_DISMISS, id, KOFFI), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
}

static void a_hold_is_released_by_two(void **state)
{
	struct rig *r = *state;
	const struct hold_row hold = {.id = 77,
		.partner = 1,
		.account = STR("et-ci"),
		.reason = STR("news of what was never sent"),
		.since_ms = FX_EPOCH};

	assert_int_equal(r->real->begin(r->fx.store, NULL), 0);
	assert_int_equal(r->real->hold_insert(r->fx.store, &hold), 0);
	assert_int_equal(r->real->commit(r->fx.store, NULL), 0);
	assert_int_equal(rig_decide(r, DECIDE_RELEASE, 77, AWA), ENGINE_PROPOSED);
	assert_int_equal(rig_decide(r, DECIDE_RELEASE, 77, AWA), ENGINE_SAME_PERSON);
	assert_int_equal(rig_decide(r, DECIDE_RELEASE, 77, KOFFI), ENGINE_DONE);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT released_ms IS NOT NULL FROM hold WHERE id = 77", 0),
		1);
	assert_int_equal(rig_decide(r, DECIDE_RELEASE, 77, AWA), ENGINE_NOT_DECIDABLE);
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 2), ENGINE_DONE);
}

/* ---- with no server ----------------------------------------------------------------------------
 */

/* How often what waits was worked on, and when it falls due. */
static int64_t due_rows(struct rig *r)
{
	return fx_sql(r->fx.store,
		"SELECT sum(id % 1000003 * (tries + 1) + due_ms % 1000003) FROM outbox"
		" WHERE is_done = 0",
		0);
}

/* Recovers, decides, and leaves to the next life all that falls due and all that goes out. */
static void a_life_that_sends_nothing_only_decides(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to_review(r, LEG_COLLECT);
	uint64_t first = r->purchase;

	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 2), ENGINE_DONE);
	(void)rig_send(r);
	rig_forget(r);
	r->sends_nothing = true;
	rig_crash(r);
	r->now_ms += 2 * HOUR_MS;
	rig_step(r);
	assert_int_equal(r->wait_ms, INT64_MAX);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_count(r, SAID_ALARM, "owner_dead"), 1);
	int64_t waiting = due_rows(r);
	assert_true(fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE due_ms <= ?1",
			    (uint64_t)r->now_ms) > 0);
	for (int i = 0; i < 3; i++)
		rig_step(r);
	assert_int_equal(due_rows(r), waiting);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, AWA), ENGINE_PROPOSED);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(due_rows(r), waiting);
	assert_int_equal(rig_decide(r, DECIDE_SUCCEEDED, a.id, KOFFI), ENGINE_DONE);
	r->purchase = first;
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_READY);
	assert_int_equal(rig_count(r, SAID_ALARM, NULL), r->said_len);

	r->sends_nothing = false;
	rig_crash(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, "airtime"), 1);
}

static void a_life_that_sends_nothing_says_when_all_is_recovered(void **state)
{
	struct rig *r = *state;

	r->is_lax = true;
	for (unsigned i = 0; i <= LIMIT_OUTBOX_BATCH; i++) {
		char payer[16];

		(void)snprintf(payer, sizeof(payer), "22501010%05u", i);
		(void)rig_buy(r, "ci-payment", payer, payer, i + 1);
		(void)rig_send(r);
	}
	r->sends_nothing = true;
	rig_crash(r);
	rig_step(r);
	assert_int_equal(r->wait_ms, 0);
	rig_step(r);
	assert_int_equal(r->wait_ms, INT64_MAX);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE state = 4", 0),
		LIMIT_OUTBOX_BATCH + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(one_proposes_and_another_agrees),
		RIG_TEST(a_decision_redelivered_changes_nothing),
		RIG_TEST(a_commit_that_failed_decided_nothing),
		RIG_TEST(what_closes_otherwise_overtakes_the_proposals),
		RIG_TEST(evidence_overtakes_persons),
		RIG_TEST(what_is_no_case_cannot_be_decided),
		RIG_TEST(a_decision_says_who_and_why),
		RIG_TEST(an_owner_that_may_still_send_forbids_failure),
		RIG_TEST(a_dead_owner_allows_failure),
		RIG_TEST(every_transfer_must_have_ended),
		RIG_TEST(a_collection_decided_done_buys_the_goods),
		RIG_TEST(a_collection_decided_failed_ends_it),
		RIG_TEST(a_refund_decided_done_tells_the_customer),
		RIG_TEST(what_nobody_will_know_is_written_off),
		RIG_TEST(a_reversal_decided_true_goes_back),
		RIG_TEST(an_end_that_changes_back_is_told_again),
		RIG_TEST(a_reversal_decided_untrue_tells_nothing_again),
		RIG_TEST(delivered_after_all_tells_so),
		RIG_TEST(a_refund_that_expired_is_begun_again_by_persons),
		RIG_TEST(goods_and_money_cannot_both_be_decided),
		RIG_TEST(paid_and_refunded_is_written_off),
		RIG_TEST(a_payment_that_was_used_cannot_fail),
		RIG_TEST(a_payment_decided_to_stand_goes_back),
		RIG_TEST(beside_another_that_ran_only_failure_can_be_decided),
		RIG_TEST(a_leg_goes_on_when_its_contradiction_is_over),
		STAFF_TEST(a_person_begins_so_many_refunds_a_day),
		STAFF_TEST(a_person_refunds_so_much_a_day),
		RIG_TEST(a_refused_refund_is_tried_again_by_persons),
		RIG_TEST(a_refund_by_hand_is_proven_by_two),
		RIG_TEST(a_payment_is_refunded_by_persons_only),
		RIG_TEST(money_is_not_given_back_against_the_facts),
		RIG_TEST(a_proposed_refund_is_overtaken),
		RIG_TEST(parked_evidence_is_dismissed_by_one),
		RIG_TEST(a_hold_is_released_by_two),
		RIG_TEST(a_life_that_sends_nothing_only_decides),
		RIG_TEST(a_life_that_sends_nothing_says_when_all_is_recovered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
