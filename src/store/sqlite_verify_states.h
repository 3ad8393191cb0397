/* The numbers that schema.sql says are stored, once more, and what both files of rules look at. */
#ifndef TAMA_SQLITE_VERIFY_STATES_H
#define TAMA_SQLITE_VERIFY_STATES_H

#include "sqlite_verify.h"

/* Attempts. */
enum {
	READY = 1,
	SENDING,
	ACCEPTED,
	UNKNOWN,
	NOT_SENT,
	SUCCEEDED,
	FAILED,
	EXPIRED,
	REVIEW,
	CONTRADICTED,
	WRITTEN_OFF,
	ATTEMPT_LAST = WRITTEN_OFF,
};

/* Purchases. */
enum {
	P_CONFIRMED = 1,
	P_COLLECTING,
	P_COLLECTED,
	P_DELIVERING,
	P_DELIVERED,
	P_CANCELLED,
	P_EXPIRED,
	P_REFUND_DUE,
	P_REVIEW,
	P_REFUNDING,
	P_REFUNDED,
	P_CONTRADICTED,
	P_WRITTEN_OFF,
	P_LAST = P_WRITTEN_OFF,
};

enum { COLLECT = 1, DELIVER, REFUND };

enum { CUSTOMER = 1, FLOAT, REVENUE, SUSPENSE, PAYABLE, AGENT, FEES, LOST, BOOKS };

/* Says what is wrong, and is false. */
bool v_broken(struct violation *out, const char *rule, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

const char *v_leg_name(int64_t leg);
const char *v_attempt_name(int64_t state);

/* 2.5: a leg that was contradicted is; else what may have executed; else the last attempt. */
int v_leg_state(const struct v_purchase *p, int64_t leg);

/* Whether an attempt may go from there to there by that cause. */
bool v_is_allowed(const struct v_event *e);

/* What the purchase is, and what it is worth in each book, by its attempts. */
int v_derive(const struct v_purchase *p);
void v_worth(const struct v_purchase *p, int64_t of[static BOOKS]);

/* I1, I2, I3: sqlite_verify_moves.c. Replays the events; the other rules lean on it. */
bool v_check_moves(struct v_purchase *p, struct violation *out);

#endif
