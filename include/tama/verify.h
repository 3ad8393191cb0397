/*
 * The invariants of reliability.md 2.9 that a store can show, checked by code that shares none with
 * the engine: SQL, and tables of its own written from the specification. Purchase by purchase, a
 * hundred in a transaction, so that a live store is never held.
 *
 *   I1    moves are in the table, events without gaps, the hash chain whole, state == derive(legs)
 *   I2    one attempt of a leg at most that may have executed
 *   I3    whatever was sent has its claim (D2), with owner, epoch and what was sent
 *   I4    postings balance; the books are what the legs are worth; amounts are the intent's; the
 *         balances kept are what all postings add up to (not on a live store)
 *   I5    collected = delivered + refunded + owed + with the customer; nothing goes out unpaid
 *   I6    a refund only after the delivery was proven not done, or two persons said so
 *   I7    a final message only of a settled purchase, and one at most
 *   I8    evidence that moved something is in the inbox, and did move it
 *   I9    whatever is open waits for something
 *   I10   one confirmed press is one purchase, with the reply that was given
 *   I11   what rests sealed is not plain
 *   P2    what persons decided was decided by two
 *   SQL   the database itself: pages, indices, references (not on a live store)
 */
#ifndef TAMA_VERIFY_H
#define TAMA_VERIFY_H

#include "tama/err.h"
#include "tama/str.h"

struct violation {
	char rule[8]; /* "I1" */
	char ref[40]; /* the purchase's reference; empty: of the whole store */
	char what[200];
};

struct verify_report {
	uint64_t purchases; /* looked at */
	uint64_t violations; /* purchases with one, and others */
	struct violation first; /* oldest purchase first */
};

struct verify_options {
	bool is_live; /* another connection writes: nothing that takes long in one transaction */
	/* Between transactions; true ends it with TAMA_EIO. May be NULL. */
	bool (*pause)(void *ctx);
	void *ctx;
};

/* Checks DIR/tama.db through a connection that cannot write. 0, also when there are violations;
 * TAMA_EIO, TAMA_EINVAL (another schema) with a message. No key is needed. */
int store_verify(struct str dir, const struct verify_options *options, struct verify_report *out,
	struct err *err);

#endif
