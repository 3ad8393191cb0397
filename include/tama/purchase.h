/*
 * The purchase state machine of reliability.md section 2, pure: tables and functions of values, no
 * clock, no I/O. A purchase has up to three legs (COLLECT, DELIVER, REFUND); a leg has attempts;
 * only attempts move. The purchase's state is derived from them, stored, and asserted equal. What
 * each state is worth in the books is in ledger.h; docs/machine.md is printed from these tables.
 */
#ifndef TAMA_PURCHASE_H
#define TAMA_PURCHASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum leg_kind {
	LEG_COLLECT = 1,
	LEG_DELIVER = 2,
	LEG_REFUND = 3,
};

/* Stored as these numbers: never renumber. */
enum attempt_state {
	ATTEMPT_READY = 1, /* durable, no byte has ever been sent */
	ATTEMPT_SENDING, /* from here on it may have executed */
	ATTEMPT_ACCEPTED,
	ATTEMPT_UNKNOWN,
	ATTEMPT_NOT_SENT, /* proven: nothing left this host */
	ATTEMPT_SUCCEEDED,
	ATTEMPT_FAILED, /* proven */
	ATTEMPT_EXPIRED, /* never sent and never will be */
	ATTEMPT_REVIEW, /* the deadline of UNKNOWN, or news of what was never sent: a person decides
			 */
	ATTEMPT_CONTRADICTED, /* two trustworthy facts disagree: a person decides */
	ATTEMPT_WRITTEN_OFF, /* closed by persons without anybody knowing */
	ATTEMPT_STATES,
};

enum attempt_event {
	AEV_CLAIM, /* D2 */
	AEV_EXPIRE, /* READY for too long, or its secret is lost */
	AEV_NOT_SENT, /* the owner's own proof */
	AEV_ACCEPTED,
	AEV_DOUBT, /* timeout, reset, garbage, owner dead */
	AEV_SUCCESS, /* evidence that matches */
	AEV_FAILURE, /* evidence that matches */
	AEV_DEADLINE, /* nobody could say in time */
	AEV_RESEND, /* class I: the same id and bytes once more */
	AEV_FREEZE, /* may have been sent by a life that this store does not remember */
	AEV_DECIDED_SUCCESS, /* by two persons, with proofs */
	AEV_DECIDED_FAILURE,
	AEV_WRITE_OFF,
	ATTEMPT_EVENTS,
};

enum step_kind {
	STEP_MOVE, /* to `next` */
	STEP_STAY, /* a duplicate or news of nothing: count and store */
	STEP_CONTRADICTION, /* two trustworthy facts disagree: park, count, never act */
	STEP_PROPOSAL, /* evidence that only a person may act upon (FAILED while in REVIEW) */
	STEP_IMPOSSIBLE, /* our bug, a restored store or a forgery: park and alarm */
};

struct attempt_step {
	enum step_kind kind;
	enum attempt_state next;
};

/* The table. */
struct attempt_step attempt_step(enum attempt_state state, enum attempt_event event);

/* Whether something must be due for it (I9): READY, SENDING, ACCEPTED, UNKNOWN. */
bool attempt_is_open(enum attempt_state state);

/* Whether a person may decide about it: REVIEW, CONTRADICTED, and WRITTEN_OFF should proof turn up.
 */
bool attempt_is_decidable(enum attempt_state state);

enum purchase_state {
	PURCHASE_CONFIRMED = 1,
	PURCHASE_COLLECTING,
	PURCHASE_COLLECTED, /* final where the offer has no deliver leg */
	PURCHASE_DELIVERING,
	PURCHASE_DELIVERED, /* final */
	PURCHASE_CANCELLED, /* final: nothing collected, nothing delivered */
	PURCHASE_EXPIRED, /* final: never sent */
	PURCHASE_REFUND_DUE, /* collected, proven undelivered: owed to the customer */
	PURCHASE_REVIEW,
	PURCHASE_REFUNDING,
	PURCHASE_REFUNDED, /* final */
	PURCHASE_CONTRADICTED,
	PURCHASE_WRITTEN_OFF, /* final */
	PURCHASE_STATES,
};

/*
 * The state of each leg; 0: not begun. A leg is CONTRADICTED if any of its attempts is; else it is
 * what its one attempt that may have executed is (store.h refuses a second); else its last.
 */
struct purchase_legs {
	bool has_collect, has_deliver;
	enum attempt_state collect, deliver, refund;
};

/* Takes in one more attempt of a leg; in order of their numbers. */
void purchase_legs_add(struct purchase_legs *legs, enum leg_kind leg, enum attempt_state state);

/* derive(legs): the whole of the purchase's state. */
enum purchase_state purchase_derive(const struct purchase_legs *legs);

/* Whether the customer is owed the outcome now: final, or parked with news for the customer. */
bool purchase_is_settled(enum purchase_state state, bool has_deliver);

/* Whether the deliver leg must start now. */
bool purchase_wants_deliver(const struct purchase_legs *legs);

/* Whether the refund leg must start now, by the machine: 2.8. Persons may start one besides. */
bool purchase_wants_refund(const struct purchase_legs *legs);

/* Whether a refund may have left: it was sent, whatever became of it but proven failure. */
bool refund_may_have_run(enum attempt_state refund);

const char *attempt_state_name(enum attempt_state s);
const char *attempt_event_name(enum attempt_event e);
const char *purchase_state_name(enum purchase_state s);
const char *leg_kind_name(enum leg_kind l);

#endif
