/*
 * The tables of the purchase state machine: reliability.md 2.2 (states), 2.6 (evidence against
 * state), 2.1 (books). Each reads as the page it comes from; the functions only look up.
 */
#include "tama/purchase.h"

#include "tama/err.h"

#define MOVE(state)                                                                                \
	{                                                                                          \
		STEP_MOVE, ATTEMPT_##state                                                         \
	}
#define STAY                                                                                       \
	{                                                                                          \
		STEP_STAY, 0                                                                       \
	}
#define CONTRADICTS                                                                                \
	{                                                                                          \
		STEP_CONTRADICTION, 0                                                              \
	}
#define PROPOSES                                                                                   \
	{                                                                                          \
		STEP_PROPOSAL, 0                                                                   \
	}
#define IMPOSSIBLE                                                                                 \
	{                                                                                          \
		STEP_IMPOSSIBLE, 0                                                                 \
	}

/* clang-format off */
static const struct attempt_step steps[ATTEMPT_STATES][ATTEMPT_EVENTS] = {
	/*
	 * Nothing was sent: news of it means a restored store or a forgery (2.6, first row). Were it
	 * still sent, a restored store would pay twice: so it is held for a person, whatever the word.
	 */
	[ATTEMPT_READY] = {
		[AEV_CLAIM] = MOVE(SENDING),     [AEV_EXPIRE] = MOVE(EXPIRED),
		[AEV_NOT_SENT] = IMPOSSIBLE,     [AEV_ACCEPTED] = MOVE(REVIEW),
		[AEV_DOUBT] = IMPOSSIBLE,        [AEV_SUCCESS] = MOVE(REVIEW),
		[AEV_FAILURE] = MOVE(REVIEW),    [AEV_DEADLINE] = IMPOSSIBLE,
	},
	/* It may have executed. No way leads back to READY. */
	[ATTEMPT_SENDING] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = MOVE(NOT_SENT), [AEV_ACCEPTED] = MOVE(ACCEPTED),
		[AEV_DOUBT] = MOVE(UNKNOWN),     [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = MOVE(FAILED),    [AEV_DEADLINE] = MOVE(UNKNOWN),
	},
	/* An IPN may have brought it here before the reply: a doubtful reply then says nothing new. */
	[ATTEMPT_ACCEPTED] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = CONTRADICTS,    [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,              [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = MOVE(FAILED),    [AEV_DEADLINE] = MOVE(UNKNOWN),
	},
	/* Only evidence leads out; the owner's late proof that nothing left is evidence. */
	[ATTEMPT_UNKNOWN] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = MOVE(NOT_SENT), [AEV_ACCEPTED] = MOVE(ACCEPTED),
		[AEV_DOUBT] = STAY,              [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = MOVE(FAILED),    [AEV_DEADLINE] = MOVE(REVIEW),
	},
	[ATTEMPT_NOT_SENT] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = STAY,           [AEV_ACCEPTED] = CONTRADICTS,
		[AEV_DOUBT] = STAY,              [AEV_SUCCESS] = CONTRADICTS,
		[AEV_FAILURE] = STAY,            [AEV_DEADLINE] = STAY,
	},
	/* A transaction reversed after success is known in the field (DT One): never acted upon. */
	[ATTEMPT_SUCCEEDED] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = CONTRADICTS,    [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,              [AEV_SUCCESS] = STAY,
		[AEV_FAILURE] = CONTRADICTS,     [AEV_DEADLINE] = STAY,
	},
	[ATTEMPT_FAILED] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = STAY,           [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,              [AEV_SUCCESS] = CONTRADICTS,
		[AEV_FAILURE] = STAY,            [AEV_DEADLINE] = STAY,
	},
	[ATTEMPT_EXPIRED] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = STAY,
		[AEV_NOT_SENT] = IMPOSSIBLE,     [AEV_ACCEPTED] = IMPOSSIBLE,
		[AEV_DOUBT] = IMPOSSIBLE,        [AEV_SUCCESS] = IMPOSSIBLE,
		[AEV_FAILURE] = IMPOSSIBLE,      [AEV_DEADLINE] = STAY,
	},
	/* Success closes the case; failure, which would release money, needs a person. */
	[ATTEMPT_REVIEW] = {
		[AEV_CLAIM] = IMPOSSIBLE,        [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = PROPOSES,       [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,              [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = PROPOSES,        [AEV_DEADLINE] = STAY,
	},
};
/* clang-format on */

struct attempt_step attempt_step(enum attempt_state state, enum attempt_event event)
{
	tama_assert(state >= ATTEMPT_READY && state < ATTEMPT_STATES);
	tama_assert((unsigned)event < ATTEMPT_EVENTS);
	return steps[state][event];
}

bool attempt_allows_another(enum attempt_state state)
{
	return state == ATTEMPT_NOT_SENT;
}

bool attempt_is_open(enum attempt_state state)
{
	return state == ATTEMPT_READY || state == ATTEMPT_SENDING || state == ATTEMPT_ACCEPTED ||
	       state == ATTEMPT_UNKNOWN;
}

static enum purchase_state derive_deliver(const struct purchase_legs *legs)
{
	enum purchase_state before = legs->has_collect ? PURCHASE_COLLECTED : PURCHASE_CONFIRMED;

	switch ((int)legs->deliver) {
	case 0:
	case ATTEMPT_READY:
	case ATTEMPT_NOT_SENT:
		return before;
	case ATTEMPT_SENDING:
	case ATTEMPT_ACCEPTED:
	case ATTEMPT_UNKNOWN:
		return PURCHASE_DELIVERING;
	case ATTEMPT_SUCCEEDED:
		return PURCHASE_DELIVERED;
	case ATTEMPT_FAILED:
		return legs->has_collect ? PURCHASE_REFUND_DUE : PURCHASE_CANCELLED;
	case ATTEMPT_EXPIRED:
		return legs->has_collect ? PURCHASE_REFUND_DUE : PURCHASE_EXPIRED;
	default:
		return PURCHASE_REVIEW;
	}
}

enum purchase_state purchase_derive(const struct purchase_legs *legs)
{
	tama_assert(legs->has_collect || legs->has_deliver);
	if (!legs->has_collect)
		return derive_deliver(legs);
	/* Delivering without having collected would give goods away. */
	tama_assert(legs->deliver == 0 || legs->collect == ATTEMPT_SUCCEEDED);
	switch ((int)legs->collect) {
	case 0:
	case ATTEMPT_READY:
	case ATTEMPT_NOT_SENT:
		return PURCHASE_CONFIRMED;
	case ATTEMPT_SENDING:
	case ATTEMPT_ACCEPTED:
	case ATTEMPT_UNKNOWN:
		return PURCHASE_COLLECTING;
	case ATTEMPT_SUCCEEDED:
		return legs->has_deliver ? derive_deliver(legs) : PURCHASE_COLLECTED;
	case ATTEMPT_FAILED:
		return PURCHASE_CANCELLED;
	case ATTEMPT_EXPIRED:
		return PURCHASE_EXPIRED;
	default:
		return PURCHASE_REVIEW;
	}
}

bool purchase_is_settled(enum purchase_state state, bool has_deliver)
{
	if (state == PURCHASE_COLLECTED)
		return !has_deliver;
	return state == PURCHASE_DELIVERED || state == PURCHASE_CANCELLED ||
	       state == PURCHASE_EXPIRED || state == PURCHASE_REFUND_DUE;
}

bool purchase_wants_deliver(const struct purchase_legs *legs)
{
	return legs->has_collect && legs->has_deliver && legs->deliver == 0 &&
	       legs->collect == ATTEMPT_SUCCEEDED;
}

const char *attempt_state_name(enum attempt_state s)
{
	static const char *const names[ATTEMPT_STATES] = {
		[ATTEMPT_READY] = "READY",
		[ATTEMPT_SENDING] = "SENDING",
		[ATTEMPT_ACCEPTED] = "ACCEPTED",
		[ATTEMPT_UNKNOWN] = "UNKNOWN",
		[ATTEMPT_NOT_SENT] = "NOT_SENT",
		[ATTEMPT_SUCCEEDED] = "SUCCEEDED",
		[ATTEMPT_FAILED] = "FAILED",
		[ATTEMPT_EXPIRED] = "EXPIRED",
		[ATTEMPT_REVIEW] = "REVIEW",
	};
	return s > 0 && s < ATTEMPT_STATES ? names[s] : "none";
}

const char *attempt_event_name(enum attempt_event e)
{
	static const char *const names[ATTEMPT_EVENTS] = {
		[AEV_CLAIM] = "claim",
		[AEV_EXPIRE] = "expire",
		[AEV_NOT_SENT] = "not_sent",
		[AEV_ACCEPTED] = "accepted",
		[AEV_DOUBT] = "doubt",
		[AEV_SUCCESS] = "success",
		[AEV_FAILURE] = "failure",
		[AEV_DEADLINE] = "deadline",
	};
	return (unsigned)e < ATTEMPT_EVENTS ? names[e] : "?";
}

const char *purchase_state_name(enum purchase_state s)
{
	static const char *const names[PURCHASE_STATES] = {
		[PURCHASE_CONFIRMED] = "CONFIRMED",
		[PURCHASE_COLLECTING] = "COLLECTING",
		[PURCHASE_COLLECTED] = "COLLECTED",
		[PURCHASE_DELIVERING] = "DELIVERING",
		[PURCHASE_DELIVERED] = "DELIVERED",
		[PURCHASE_CANCELLED] = "CANCELLED",
		[PURCHASE_EXPIRED] = "EXPIRED",
		[PURCHASE_REFUND_DUE] = "REFUND_DUE",
		[PURCHASE_REVIEW] = "REVIEW",
	};
	return s > 0 && s < PURCHASE_STATES ? names[s] : "none";
}

const char *leg_kind_name(enum leg_kind l)
{
	switch (l) {
	case LEG_COLLECT:
		return "collect";
	case LEG_DELIVER:
		return "deliver";
	case LEG_REFUND:
		return "refund";
	}
	return "?";
}

/* ---- the books ---------------------------------------------------------------------------------
 */

static bool is_in_suspense(enum attempt_state s)
{
	return s == ATTEMPT_SENDING || s == ATTEMPT_ACCEPTED || s == ATTEMPT_UNKNOWN ||
	       s == ATTEMPT_REVIEW;
}

static void move(struct ledger_line *out, size_t *n, enum ledger_account debit,
	enum ledger_account credit, int64_t amount)
{
	if (amount == 0)
		return;
	tama_assert(*n + 2 <= LEDGER_LINES_MAX);
	out[(*n)++] = (struct ledger_line){debit, amount};
	out[(*n)++] = (struct ledger_line){credit, -amount};
}

static size_t collect_lines(enum attempt_state from, enum attempt_state to,
	const struct ledger_terms *t, struct ledger_line *out)
{
	size_t n = 0;

	if (!is_in_suspense(from) && is_in_suspense(to))
		move(out, &n, LEDGER_SUSPENSE_UNKNOWN, LEDGER_CUSTOMER, t->price);
	else if (is_in_suspense(from) && to == ATTEMPT_SUCCEEDED) {
		move(out, &n, LEDGER_PROVIDER_FLOAT, LEDGER_SUSPENSE_UNKNOWN, t->price);
		/* Without a deliver leg the partner delivers: the customer's money is earned here.
		 */
		if (!t->has_deliver)
			move(out, &n, LEDGER_CUSTOMER, LEDGER_REVENUE, t->price);
	} else if (is_in_suspense(from) && !is_in_suspense(to))
		move(out, &n, LEDGER_CUSTOMER, LEDGER_SUSPENSE_UNKNOWN, t->price);
	return n;
}

static size_t deliver_lines(enum attempt_state from, enum attempt_state to,
	const struct ledger_terms *t, struct ledger_line *out)
{
	enum ledger_account payer = t->has_collect ? LEDGER_CUSTOMER : LEDGER_AGENT_FLOAT;
	bool gave_up = to == ATTEMPT_FAILED || to == ATTEMPT_EXPIRED;
	size_t n = 0;

	if (!is_in_suspense(from) && is_in_suspense(to)) {
		move(out, &n, LEDGER_SUSPENSE_UNKNOWN, LEDGER_PROVIDER_FLOAT, t->face_value);
		return n;
	}
	if (is_in_suspense(from) && to == ATTEMPT_SUCCEEDED) {
		move(out, &n, payer, LEDGER_SUSPENSE_UNKNOWN, t->face_value);
		move(out, &n, payer, LEDGER_REVENUE, t->fee);
		return n;
	}
	if (is_in_suspense(from) && !is_in_suspense(to))
		move(out, &n, LEDGER_PROVIDER_FLOAT, LEDGER_SUSPENSE_UNKNOWN, t->face_value);
	if (gave_up && t->has_collect)
		move(out, &n, LEDGER_CUSTOMER, LEDGER_REFUND_PAYABLE, t->price);
	return n;
}

size_t ledger_lines(enum leg_kind leg, enum attempt_state from, enum attempt_state to,
	const struct ledger_terms *terms, struct ledger_line out[static LEDGER_LINES_MAX])
{
	tama_assert(terms->price == terms->face_value + terms->fee);
	switch (leg) {
	case LEG_COLLECT:
		return collect_lines(from, to, terms, out);
	case LEG_DELIVER:
		return deliver_lines(from, to, terms, out);
	case LEG_REFUND:
		break;
	}
	tama_assert(leg == LEG_COLLECT || leg == LEG_DELIVER);
	return 0;
}
