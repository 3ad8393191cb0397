/* What each leg of a purchase is worth in the books, by its state; contract and books in ledger.h.
 */
#include "tama/ledger.h"

#include "tama/err.h"

#include <string.h>

/* Sent, and nobody can say yet whether the money moved. */
static bool is_in_doubt(enum attempt_state s)
{
	return s == ATTEMPT_SENDING || s == ATTEMPT_ACCEPTED || s == ATTEMPT_UNKNOWN ||
	       s == ATTEMPT_REVIEW || s == ATTEMPT_CONTRADICTED;
}

static void add(int64_t *out, enum ledger_book debit, enum ledger_book credit, int64_t amount)
{
	out[debit] += amount;
	out[credit] -= amount;
}

/* Whose claim the customer's money is once it is in, or may be. */
static enum ledger_book claim_of(const struct purchase_legs *legs)
{
	if (legs->has_deliver || legs->collect != ATTEMPT_SUCCEEDED)
		return LEDGER_CUSTOMER;
	/* Without a deliver leg the partner delivers: earned here, unless persons give it back. */
	return legs->refund != 0 ? LEDGER_REFUND_PAYABLE : LEDGER_REVENUE;
}

static void add_collect(
	const struct purchase_legs *legs, const struct ledger_terms *t, int64_t *out)
{
	enum ledger_book claim = claim_of(legs);

	if (is_in_doubt(legs->collect))
		add(out, LEDGER_SUSPENSE_UNKNOWN, claim, t->price);
	else if (legs->collect == ATTEMPT_SUCCEEDED) {
		add(out, LEDGER_PROVIDER_FLOAT, claim, t->price - t->collect_fee);
		add(out, LEDGER_PROVIDER_FEES, claim, t->collect_fee);
	}
}

/* Nobody will know whether it was paid: no claim stands, and what went out for it is lost. */
static bool is_given_up(const struct purchase_legs *legs)
{
	return legs->collect == ATTEMPT_WRITTEN_OFF;
}

/* The customer's claim turns into a refund: proven undelivered, or a refund that left already. */
static bool is_refund_owed(const struct purchase_legs *legs)
{
	bool is_paid = legs->collect == ATTEMPT_SUCCEEDED || is_in_doubt(legs->collect);
	bool is_undelivered = legs->deliver == ATTEMPT_FAILED || legs->deliver == ATTEMPT_EXPIRED;

	return is_paid &&
	       (is_undelivered || (legs->deliver != 0 && refund_may_have_run(legs->refund)));
}

static void add_deliver(
	const struct purchase_legs *legs, const struct ledger_terms *t, int64_t *out)
{
	enum ledger_book payer = legs->has_collect ? LEDGER_CUSTOMER : LEDGER_AGENT_FLOAT;
	bool is_closed = legs->deliver == ATTEMPT_SUCCEEDED || legs->deliver == ATTEMPT_WRITTEN_OFF;
	enum ledger_book gain = legs->deliver == ATTEMPT_SUCCEEDED && !is_given_up(legs)
					? LEDGER_REVENUE
					: LEDGER_WRITE_OFF;

	if (is_in_doubt(legs->deliver))
		add(out, LEDGER_SUSPENSE_UNKNOWN, LEDGER_PROVIDER_FLOAT, t->cost);
	if (is_closed)
		add(out, gain, LEDGER_PROVIDER_FLOAT, t->cost);
	if (is_refund_owed(legs))
		add(out, payer, LEDGER_REFUND_PAYABLE, t->price);
	else if (is_closed && !is_given_up(legs))
		add(out, payer, gain, t->price);
}

static void add_refund(const struct purchase_legs *legs, const struct ledger_terms *t, int64_t *out)
{
	enum ledger_book claim = is_given_up(legs) ? LEDGER_WRITE_OFF : LEDGER_REFUND_PAYABLE;

	if (is_in_doubt(legs->refund))
		add(out, LEDGER_SUSPENSE_UNKNOWN, LEDGER_PROVIDER_FLOAT, t->price);
	else if (legs->refund == ATTEMPT_SUCCEEDED || legs->refund == ATTEMPT_WRITTEN_OFF)
		add(out, claim, LEDGER_PROVIDER_FLOAT, t->price);
}

void ledger_position(const struct purchase_legs *legs, const struct ledger_terms *terms,
	int64_t out[static LEDGER_BOOKS])
{
	tama_assert(terms->price >= 0 && terms->cost >= 0 && terms->collect_fee >= 0);
	memset(out, 0, sizeof(*out) * LEDGER_BOOKS);
	add_collect(legs, terms, out);
	add_deliver(legs, terms, out);
	add_refund(legs, terms, out);
}

size_t ledger_move(const struct purchase_legs *before, const struct purchase_legs *after,
	const struct ledger_terms *terms, struct ledger_line out[static LEDGER_LINES_MAX])
{
	int64_t from[LEDGER_BOOKS], to[LEDGER_BOOKS];
	size_t n = 0;

	ledger_position(before, terms, from);
	ledger_position(after, terms, to);
	for (int book = LEDGER_CUSTOMER; book < LEDGER_BOOKS; book++)
		if (to[book] != from[book])
			out[n++] =
				(struct ledger_line){(enum ledger_book)book, to[book] - from[book]};
	return n;
}

const char *ledger_book_name(enum ledger_book book)
{
	static const char *const names[LEDGER_BOOKS] = {
		[LEDGER_CUSTOMER] = "customer",
		[LEDGER_PROVIDER_FLOAT] = "provider_float",
		[LEDGER_REVENUE] = "revenue",
		[LEDGER_SUSPENSE_UNKNOWN] = "suspense_unknown",
		[LEDGER_REFUND_PAYABLE] = "refund_payable",
		[LEDGER_AGENT_FLOAT] = "agent_float",
		[LEDGER_PROVIDER_FEES] = "provider_fees",
		[LEDGER_WRITE_OFF] = "write_off",
	};
	return book > 0 && book < LEDGER_BOOKS ? names[book] : "?";
}
