/*
 * The purchase state machine of reliability.md section 2, pure: tables and functions of values, no
 * clock, no I/O. A purchase has up to two legs so far (COLLECT, DELIVER; REFUND has its number); a
 * leg has attempts; only attempts move. The purchase's state is derived, stored, and asserted
 * equal.
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

/* Whether a leg may have another attempt while one is in this state: NOT_SENT only (2.1, 2.5). */
bool attempt_allows_another(enum attempt_state state);

/* Whether something must be due for it (I9): READY, SENDING, ACCEPTED, UNKNOWN. */
bool attempt_is_open(enum attempt_state state);

enum purchase_state {
	PURCHASE_CONFIRMED = 1,
	PURCHASE_COLLECTING,
	PURCHASE_COLLECTED, /* final where the offer has no deliver leg */
	PURCHASE_DELIVERING,
	PURCHASE_DELIVERED, /* final */
	PURCHASE_CANCELLED, /* final: nothing collected, nothing delivered */
	PURCHASE_EXPIRED, /* final: never sent */
	PURCHASE_REFUND_DUE, /* collected, proven undelivered: parked until refunds exist */
	PURCHASE_REVIEW,
	PURCHASE_STATES,
};

/* The state of each leg's deciding attempt: the one not NOT_SENT, else the last; 0 for none yet. */
struct purchase_legs {
	bool has_collect, has_deliver;
	enum attempt_state collect, deliver;
};

/* derive(legs): the whole of the purchase's state. */
enum purchase_state purchase_derive(const struct purchase_legs *legs);

/* Whether the customer is owed the outcome now: final, or parked with news for the customer. */
bool purchase_is_settled(enum purchase_state state, bool has_deliver);

/* Whether the deliver leg must start now. */
bool purchase_wants_deliver(const struct purchase_legs *legs);

const char *attempt_state_name(enum attempt_state s);
const char *attempt_event_name(enum attempt_event e);
const char *purchase_state_name(enum purchase_state s);
const char *leg_kind_name(enum leg_kind l);

/* ---- the books ---------------------------------------------------------------------------------
 */

/* Accounts of reliability.md 2.1. Stored as these numbers. */
enum ledger_account {
	LEDGER_CUSTOMER = 1,
	LEDGER_PROVIDER_FLOAT,
	LEDGER_REVENUE,
	LEDGER_SUSPENSE_UNKNOWN,
	LEDGER_REFUND_PAYABLE,
	LEDGER_AGENT_FLOAT, /* an agent's money with us: pays where there is no collect leg */
};

struct ledger_line {
	enum ledger_account account;
	int64_t debit; /* negative: credit */
};

#define LEDGER_LINES_MAX 4

struct ledger_terms {
	int64_t face_value, fee, price;
	bool has_collect, has_deliver;
};

/*
 * The lines that a move of a leg posts; their sum is always zero. Returns how many (0 for moves
 * that change nothing of value). Entering SENDING puts the amount in suspense; leaving it for a
 * final state takes it out again one way or the other; UNKNOWN and REVIEW leave it there.
 */
size_t ledger_lines(enum leg_kind leg, enum attempt_state from, enum attempt_state to,
	const struct ledger_terms *terms, struct ledger_line out[static LEDGER_LINES_MAX]);

#endif
