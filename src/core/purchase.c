/*
 * The tables of the purchase state machine: reliability.md 2.2 (states), 2.6 (evidence against
 * state). Each reads as the page it comes from; the functions only look up.
 */
#include "tama/purchase.h"

#include "tama/err.h"
#include "tama/mutant.h"

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
		[AEV_CLAIM] = MOVE(SENDING),                [AEV_EXPIRE] = MOVE(EXPIRED),
		[AEV_NOT_SENT] = IMPOSSIBLE,                [AEV_ACCEPTED] = MOVE(REVIEW),
		[AEV_DOUBT] = IMPOSSIBLE,                   [AEV_SUCCESS] = MOVE(REVIEW),
		[AEV_FAILURE] = MOVE(REVIEW),               [AEV_DEADLINE] = IMPOSSIBLE,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = MOVE(REVIEW),
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* It may have executed. No way leads back to READY. */
	[ATTEMPT_SENDING] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = MOVE(NOT_SENT),            [AEV_ACCEPTED] = MOVE(ACCEPTED),
		[AEV_DOUBT] = MOVE(UNKNOWN),                [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = MOVE(FAILED),               [AEV_DEADLINE] = MOVE(UNKNOWN),
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* An IPN may have brought it here before the reply: a doubtful reply then says nothing new. */
	[ATTEMPT_ACCEPTED] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = CONTRADICTS,               [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = MOVE(FAILED),               [AEV_DEADLINE] = MOVE(UNKNOWN),
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/*
	 * Only evidence leads out; the owner's late proof that nothing left is evidence. Sending again
	 * is for providers that honour ids, within the time they remember them (2.5).
	 */
	[ATTEMPT_UNKNOWN] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = MOVE(NOT_SENT),            [AEV_ACCEPTED] = MOVE(ACCEPTED),
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = MOVE(FAILED),               [AEV_DEADLINE] = MOVE(REVIEW),
		[AEV_RESEND] = MOVE(SENDING),               [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* We believed that nothing left. */
	[ATTEMPT_NOT_SENT] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = STAY,                      [AEV_ACCEPTED] = MOVE(CONTRADICTED),
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = MOVE(CONTRADICTED),
		[AEV_FAILURE] = STAY,                       [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* A transaction reversed after success is known in the field (DT One): never acted upon. */
	[ATTEMPT_SUCCEEDED] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = MOVE(CONTRADICTED),        [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = STAY,
		[AEV_FAILURE] = MOVE(CONTRADICTED),         [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* It was carried out after all, and a refund may be on its way. */
	[ATTEMPT_FAILED] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = STAY,                      [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = MOVE(CONTRADICTED),
		[AEV_FAILURE] = STAY,                       [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* Never sent, as far as this store knows. */
	[ATTEMPT_EXPIRED] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = STAY,
		[AEV_NOT_SENT] = IMPOSSIBLE,                [AEV_ACCEPTED] = IMPOSSIBLE,
		[AEV_DOUBT] = IMPOSSIBLE,                   [AEV_SUCCESS] = IMPOSSIBLE,
		[AEV_FAILURE] = IMPOSSIBLE,                 [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = IMPOSSIBLE,         [AEV_DECIDED_FAILURE] = IMPOSSIBLE,
		[AEV_WRITE_OFF] = IMPOSSIBLE,
	},
	/* Success closes the case; failure, which would release money, needs persons. */
	[ATTEMPT_REVIEW] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = PROPOSES,                  [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = MOVE(SUCCEEDED),
		[AEV_FAILURE] = PROPOSES,                   [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = MOVE(SUCCEEDED),    [AEV_DECIDED_FAILURE] = MOVE(FAILED),
		[AEV_WRITE_OFF] = MOVE(WRITTEN_OFF),
	},
	/* Frozen: further evidence is for the persons who decide. */
	[ATTEMPT_CONTRADICTED] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = PROPOSES,                  [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = PROPOSES,
		[AEV_FAILURE] = PROPOSES,                   [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = MOVE(SUCCEEDED),    [AEV_DECIDED_FAILURE] = MOVE(FAILED),
		[AEV_WRITE_OFF] = MOVE(WRITTEN_OFF),
	},
	/* Given up, and yet proof may turn up. */
	[ATTEMPT_WRITTEN_OFF] = {
		[AEV_CLAIM] = IMPOSSIBLE,                   [AEV_EXPIRE] = IMPOSSIBLE,
		[AEV_NOT_SENT] = PROPOSES,                  [AEV_ACCEPTED] = STAY,
		[AEV_DOUBT] = STAY,                         [AEV_SUCCESS] = PROPOSES,
		[AEV_FAILURE] = PROPOSES,                   [AEV_DEADLINE] = STAY,
		[AEV_RESEND] = IMPOSSIBLE,                  [AEV_FREEZE] = STAY,
		[AEV_DECIDED_SUCCESS] = MOVE(SUCCEEDED),    [AEV_DECIDED_FAILURE] = MOVE(FAILED),
		[AEV_WRITE_OFF] = STAY,
	},
};
/* clang-format on */

struct attempt_step attempt_step(enum attempt_state state, enum attempt_event event)
{
	tama_assert(state >= ATTEMPT_READY && state < ATTEMPT_STATES);
	tama_assert((unsigned)event < ATTEMPT_EVENTS);
	return steps[state][event];
}

bool attempt_is_open(enum attempt_state state)
{
	return state == ATTEMPT_READY || state == ATTEMPT_SENDING || state == ATTEMPT_ACCEPTED ||
	       state == ATTEMPT_UNKNOWN;
}

bool attempt_is_decidable(enum attempt_state state)
{
	return state == ATTEMPT_REVIEW || state == ATTEMPT_CONTRADICTED ||
	       state == ATTEMPT_WRITTEN_OFF;
}

/* Whether a later attempt of the leg says more about it than this one. */
static bool gives_way(enum attempt_state state)
{
	return state == 0 || state == ATTEMPT_NOT_SENT || state == ATTEMPT_FAILED ||
	       state == ATTEMPT_EXPIRED;
}

void purchase_legs_add(struct purchase_legs *legs, enum leg_kind leg, enum attempt_state state)
{
	enum attempt_state *of = &legs->collect;

	if (leg == LEG_DELIVER)
		of = &legs->deliver;
	else if (leg == LEG_REFUND)
		of = &legs->refund;
	if (gives_way(*of) || state == ATTEMPT_CONTRADICTED)
		*of = state;
}

bool refund_may_have_run(enum attempt_state refund)
{
	return refund == ATTEMPT_SENDING || refund == ATTEMPT_ACCEPTED ||
	       refund == ATTEMPT_UNKNOWN || refund == ATTEMPT_REVIEW ||
	       refund == ATTEMPT_SUCCEEDED || refund == ATTEMPT_CONTRADICTED ||
	       refund == ATTEMPT_WRITTEN_OFF;
}

/* 2.2 and 2.8, last column: by the state of the leg that the purchase is at. */
struct derived {
	enum purchase_state collect; /* with a collect leg */
	enum purchase_state deliver; /* after it */
	enum purchase_state alone; /* delivering without one */
	enum purchase_state refund;
};

/* clang-format off */
static const struct derived derived[ATTEMPT_STATES] = {
	[0] =                    {PURCHASE_CONFIRMED,   PURCHASE_COLLECTED,   PURCHASE_CONFIRMED,   PURCHASE_REFUND_DUE},
	[ATTEMPT_READY] =        {PURCHASE_CONFIRMED,   PURCHASE_COLLECTED,   PURCHASE_CONFIRMED,   PURCHASE_REFUND_DUE},
	[ATTEMPT_SENDING] =      {PURCHASE_COLLECTING,  PURCHASE_DELIVERING,  PURCHASE_DELIVERING,  PURCHASE_REFUNDING},
	[ATTEMPT_ACCEPTED] =     {PURCHASE_COLLECTING,  PURCHASE_DELIVERING,  PURCHASE_DELIVERING,  PURCHASE_REFUNDING},
	[ATTEMPT_UNKNOWN] =      {PURCHASE_COLLECTING,  PURCHASE_DELIVERING,  PURCHASE_DELIVERING,  PURCHASE_REFUNDING},
	[ATTEMPT_NOT_SENT] =     {PURCHASE_CONFIRMED,   PURCHASE_COLLECTED,   PURCHASE_CONFIRMED,   PURCHASE_REFUND_DUE},
	[ATTEMPT_SUCCEEDED] =    {PURCHASE_COLLECTED,   PURCHASE_DELIVERED,   PURCHASE_DELIVERED,   PURCHASE_REFUNDED},
	[ATTEMPT_FAILED] =       {PURCHASE_CANCELLED,   PURCHASE_REFUND_DUE,  PURCHASE_CANCELLED,   PURCHASE_REVIEW},
	[ATTEMPT_EXPIRED] =      {PURCHASE_EXPIRED,     PURCHASE_REFUND_DUE,  PURCHASE_EXPIRED,     PURCHASE_REVIEW},
	[ATTEMPT_REVIEW] =       {PURCHASE_REVIEW,      PURCHASE_REVIEW,      PURCHASE_REVIEW,      PURCHASE_REVIEW},
	[ATTEMPT_CONTRADICTED] = {PURCHASE_CONTRADICTED, PURCHASE_CONTRADICTED, PURCHASE_CONTRADICTED, PURCHASE_CONTRADICTED},
	[ATTEMPT_WRITTEN_OFF] =  {PURCHASE_WRITTEN_OFF, PURCHASE_WRITTEN_OFF, PURCHASE_WRITTEN_OFF, PURCHASE_WRITTEN_OFF},
};
/* clang-format on */

enum purchase_state purchase_derive(const struct purchase_legs *legs)
{
	tama_assert(legs->has_collect || legs->has_deliver);
	if (legs->collect == ATTEMPT_CONTRADICTED || legs->deliver == ATTEMPT_CONTRADICTED ||
		legs->refund == ATTEMPT_CONTRADICTED)
		return PURCHASE_CONTRADICTED;
	if (!legs->has_collect)
		return derived[legs->deliver].alone;
	if (legs->collect != ATTEMPT_SUCCEEDED)
		return derived[legs->collect].collect;
	/* A refund that was never begun, or gave way to a delivery that ran after all, says
	 * nothing.
	 */
	if (legs->refund != 0 && legs->deliver != ATTEMPT_SUCCEEDED &&
		legs->deliver != ATTEMPT_WRITTEN_OFF)
		return derived[legs->refund].refund;
	return legs->has_deliver ? derived[legs->deliver].deliver : PURCHASE_COLLECTED;
}

bool purchase_is_settled(enum purchase_state state, bool has_deliver)
{
	if (state == PURCHASE_COLLECTED)
		return !has_deliver;
	return state == PURCHASE_DELIVERED || state == PURCHASE_CANCELLED ||
	       state == PURCHASE_EXPIRED || state == PURCHASE_REFUND_DUE ||
	       state == PURCHASE_REFUNDED;
}

bool purchase_wants_deliver(const struct purchase_legs *legs)
{
	return legs->has_collect && legs->has_deliver && legs->deliver == 0 && legs->refund == 0 &&
	       legs->collect == ATTEMPT_SUCCEEDED;
}

bool purchase_wants_refund(const struct purchase_legs *legs)
{
	return legs->has_collect && legs->collect == ATTEMPT_SUCCEEDED && legs->refund == 0 &&
	       (legs->deliver == ATTEMPT_FAILED || legs->deliver == ATTEMPT_EXPIRED ||
		       (MUTANT(REFUND_ON_UNKNOWN) && legs->deliver == ATTEMPT_UNKNOWN));
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
		[ATTEMPT_CONTRADICTED] = "CONTRADICTED",
		[ATTEMPT_WRITTEN_OFF] = "WRITTEN_OFF",
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
		[AEV_RESEND] = "resend",
		[AEV_FREEZE] = "freeze",
		[AEV_DECIDED_SUCCESS] = "decided_success",
		[AEV_DECIDED_FAILURE] = "decided_failure",
		[AEV_WRITE_OFF] = "write_off",
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
		[PURCHASE_REFUNDING] = "REFUNDING",
		[PURCHASE_REFUNDED] = "REFUNDED",
		[PURCHASE_CONTRADICTED] = "CONTRADICTED",
		[PURCHASE_WRITTEN_OFF] = "WRITTEN_OFF",
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
