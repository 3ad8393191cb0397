/*
 * The invariants of reliability.md 2.9 that a store can show, checked by code that shares none with
 * the engine: SQL, and tables of its own written from the specification. Purchase by purchase, a
 * hundred in a transaction, so that a live store is never held.
 *
 *   I1    moves are in the table, events without gaps, the hash chain whole, state == derive(legs)
 *   I2    one attempt of a leg at most that may have run; none begun after facts disagreed about it
 *   I3    whatever was sent has its claim (D2), with owner, epoch and what was sent
 *   I4    postings balance, are of the intent's amounts and the attempt's account, and add up to
 *         what the legs are worth; nobody has more of us than was claimed (the floor); the balances
 *         kept are what all postings add up to
 *   I5    collected = delivered + refunded + owed + with the customer; nothing goes out unpaid
 *   I6    a refund begins, and is sent, only while the last that is known of the goods is that they
 *         did not go, or two persons said so; no failure is decided while the owner may still send
 *   I7    what came to an end has its one final message, a refund its own; none tells what was not.
 *         (A refund of what was sent by a version that knew no such message has none.)
 *   I8    evidence that moved something is in the inbox, and did move it
 *   I9    whatever is open has a row that will fall due and move it; what has not ended is open, or
 *         waits for a person
 *   I10   one confirmed press is one purchase, with the reply that was given
 *   I11   what rests sealed is not plain
 *   P2    what persons decided was decided by two (5.6)
 *   V1    what limits of velocity are walked by is what was bought and asked for (5.5)
 *   SQL   the database itself: pages, indices, references
 *
 * At rest (is_live = false: a copy, or a store whose lock is held) all of it. On a live store, and
 * so in the hourly look, neither SQL nor I11 of what belongs to no purchase: they would take one
 * long transaction. Balances and tallies are added up as purchases are passed, those under way in
 * the transaction that compares. Only if that differs is all added up in one transaction, five
 * seconds a million purchases: the log grows meanwhile, and nobody waits.
 *
 * What no store can show, and who looks:
 *
 *   I3    the claim was durable before the first byte left: simulation, test_kill
 *   I4    an agent's float above its floor, which is configured: test_engine_float. What providers
 *         hold: the daily reconciliation (reconcile.c, test_reconcile.py)
 *   I7    which words a message has, and that it arrives: test_engine*, test_kill, simulation
 *   I8    an IPN answered 200 is there: simulation, test_kill
 *   I10   the reply is repeated byte for byte: test_engine, test_hops
 *   I11   codes and keys in logs, pages, a core and memory: test_security_canary
 *   X1 to X6 compare with the providers' ledgers and with what people saw: simulation
 *
 * The table `flow`, which only forecasts, is not checked.
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
	/* Between transactions and now and then in a long one; true: TAMA_EIO. May be NULL. */
	bool (*pause)(void *ctx);
	void *ctx;
};

/* Checks DIR/tama.db through a connection that cannot write. 0, also when there are violations;
 * TAMA_EIO, TAMA_EINVAL (another schema) with a message. No key is needed. */
int store_verify(struct str dir, const struct verify_options *options, struct verify_report *out,
	struct err *err);

#endif
