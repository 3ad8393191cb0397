/*
 * The books, in double entry (reliability.md 2.1). What a purchase is worth in them is a pure
 * function of its legs, the position; each move posts the difference of two positions. So the sum
 * of all that a purchase has posted is always its position, whatever way it took: a checker needs
 * nothing but the legs. Amounts are minor units of the purchase's currency; a debit is positive.
 */
#ifndef TAMA_LEDGER_H
#define TAMA_LEDGER_H

#include "tama/purchase.h"

/* Stored as these numbers: never renumber. */
enum ledger_book {
	LEDGER_CUSTOMER = 1, /* what we owe customers: credit */
	LEDGER_PROVIDER_FLOAT, /* our money at a provider: the line names the account */
	LEDGER_REVENUE, /* price less the provider's cost */
	LEDGER_SUSPENSE_UNKNOWN, /* may have moved: nobody knows yet */
	LEDGER_REFUND_PAYABLE, /* paid, proven undelivered, not yet given back */
	LEDGER_AGENT_FLOAT, /* an agent's money with us: pays where there is no collect leg */
	LEDGER_PROVIDER_FEES, /* what providers keep of what they collect for us */
	LEDGER_WRITE_OFF, /* what persons gave up, and what went out for a payment that they did */
	LEDGER_BOOKS,
};

struct ledger_line {
	enum ledger_book book;
	int64_t debit; /* negative: credit */
};

struct ledger_terms {
	int64_t price; /* what the customer pays */
	int64_t cost; /* what a delivery takes from our float */
	int64_t collect_fee; /* what the provider keeps of a collection */
};

#define LEDGER_LINES_MAX (LEDGER_BOOKS - 1)

/* By enum ledger_book; out[0] stays 0. Sums to zero. */
void ledger_position(const struct purchase_legs *legs, const struct ledger_terms *terms,
	int64_t out[static LEDGER_BOOKS]);

/*
 * The lines that lead from one position to the next; none where nothing of value changes. All lines
 * that name a provider's money are of the leg that moved.
 */
size_t ledger_move(const struct purchase_legs *before, const struct purchase_legs *after,
	const struct ledger_terms *terms, struct ledger_line out[static LEDGER_LINES_MAX]);

const char *ledger_book_name(enum ledger_book book);

#endif
