/*
 * The way back of the money (reliability.md 2.8): the price, to the number that paid, once. The
 * machine begins it where the offer says how and the delivery is proven not done; else persons do
 * (DECIDE_REFUND), be it through the provider or, where the offer has no refund leg, with their own
 * hands: then the attempt waits in REVIEW until two of them have seen that it is done.
 */
#include "engine_priv.h"

#include "tama/limits.h"

#define BY_HAND STR("by_hand")

/* The offer that can give it back as things are now; NULL: none. */
static const struct offer *refund_fill(
	struct engine *e, const struct purchase_row *p, struct attempt_row *out)
{
	const struct offer *offer = config_offer(e->config, p->offer);
	const struct operator_cfg *op = config_operator(e->config, p->payer_operator);

	*out = (struct attempt_row){
		.partner = p->partner,
		.leg = LEG_REFUND,
		.n = 1,
		.our_ref = engine_reference(e),
		.number = p->payer,
		.amount = p->price,
		.currency = p->currency,
		.incarnation_made = e->incarnation,
	};
	if (offer == NULL || op == NULL || offer->partner->id != p->partner ||
		offer->refund.account == NULL)
		return NULL;
	out->account = offer->refund.account->name;
	out->verb = offer->refund.verb;
	out->service = offer_leg_service(&offer->refund, op);
	return out->service.n > 0 ? offer : NULL;
}

/* After the provider's pause, and not before due_ms. */
static int start_after(struct engine *e, const struct purchase_row *p, const struct offer *offer,
	struct attempt_row *attempt, int64_t due_ms)
{
	int64_t free_ms;
	int rc = pause_get(e, offer->refund.account, attempt, &free_ms);

	if (rc != 0)
		return rc;
	return leg_start(e, p, attempt, free_ms > due_ms ? free_ms : due_ms);
}

int refund_start(struct engine *e, const struct purchase_row *p, const struct purchase_legs *legs)
{
	struct attempt_row attempt;
	const struct offer *offer = refund_fill(e, p, &attempt);
	int64_t due_ms = e->now_ms;

	if (offer == NULL) {
		engine_alarm(e, "refund_due", p->ref, "paid and not delivered: parked");
		return 0;
	}
	/* What was sent and refused may yet be contradicted; what was never sent cannot. */
	if (legs->deliver == ATTEMPT_FAILED)
		due_ms += offer->refund_delay_ms;
	return start_after(e, p, offer, &attempt, due_ms);
}

/* One more than any there is, and of a leg that nobody can carry out but persons: whose account. */
static int fill_next(
	struct engine *e, const struct purchase_row *p, bool by_hand, struct attempt_row *out)
{
	struct attempt_row *rows;
	int n = case_attempts(e, p, &rows);

	for (int i = 0; i < n; i++) {
		if (rows[i].leg == LEG_REFUND && rows[i].n >= out->n)
			out->n = (uint8_t)(rows[i].n + 1);
		if (rows[i].leg == LEG_COLLECT && by_hand)
			out->account = rows[i].account;
	}
	if (by_hand)
		out->verb = out->service = BY_HAND;
	return n < 0 ? n : 0;
}

/* The attempt is there: its birth, what it changes in the books, and the purchase's state. */
static int enter(struct engine *e, struct engine_case *c, const struct purchase_legs *before,
	uint64_t decision)
{
	const struct event_row born = {.attempt = c->attempt.id,
		.to = ATTEMPT_READY,
		.cause = REFUND_DECIDED,
		.evidence = decision};
	struct purchase_legs after;
	int rc = case_event(e, c, born);

	if (rc == 0)
		rc = case_legs(e, &c->purchase, &after);
	if (rc == 0)
		rc = case_post(e, c, before, &after);
	return rc == 0 ? case_settle(e, c, &after, REFUND_DECIDED) : rc;
}

int refund_decided(struct engine *e, struct engine_case *c, uint64_t decision)
{
	const struct purchase_row *p = &c->purchase;
	const struct offer *offer = refund_fill(e, p, &c->attempt);
	struct purchase_legs before;
	struct attempt_step step;
	int rc = case_legs(e, p, &before);

	if (rc == 0)
		rc = fill_next(e, p, offer == NULL, &c->attempt);
	if (rc == 0 && offer != NULL)
		rc = start_after(e, p, offer, &c->attempt, e->now_ms);
	else if (rc == 0)
		rc = leg_start(e, p, &c->attempt, e->now_ms + LIMIT_LEASE_MS);
	if (rc == 0)
		rc = enter(e, c, &before, decision);
	return rc == 0 && offer == NULL ? case_apply(e, c, AEV_FREEZE, decision, &step) : rc;
}
