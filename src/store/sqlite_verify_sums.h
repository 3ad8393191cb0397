/*
 * What the store keeps added up (balances, what limits of velocity count), added up once more by
 * the checker. Purchases whose course is over are added as they are passed; the rest, and what was
 * bought meanwhile, in the transaction that compares.
 */
#ifndef TAMA_SQLITE_VERIFY_SUMS_H
#define TAMA_SQLITE_VERIFY_SUMS_H

#include "sqlite_priv.h"
#include "tama/verify.h"

struct v_sums;

/* Whose lines and counts are wrong, if any. */
struct v_sums_found {
	struct violation balance, tally; /* rule empty: none */
};

int v_sums_new(
	struct db *db, const struct verify_options *options, struct v_sums **out, struct err *err);
void v_sums_free(struct v_sums **sums);

/* Adds what the purchases from first to last have booked and count for, as of this transaction. */
int v_sums_add(struct v_sums *sums, int64_t first, int64_t last, struct err *err);

/* One that will have moved: it is added when all is compared. */
void v_sums_later(struct v_sums *sums, int64_t purchase);

/*
 * Adds what was put off and all purchases behind `after`, and compares with what is kept, in one
 * transaction. If that differs, a purchase may have moved after it was passed: then everything is
 * added anew in one transaction (measured: five seconds a million purchases), and that is the
 * answer.
 */
int v_sums_compare(struct v_sums *sums, int64_t after, struct v_sums_found *out, struct err *err);

#endif
