/* One purchase as the checker sees it, and the rules that look at it. Shares no code with the
 * engine. */
#ifndef TAMA_SQLITE_VERIFY_H
#define TAMA_SQLITE_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tama/verify.h"

struct v_attempt {
	int64_t id, leg, n, state, owner, epoch, sent_ms, amount, person, created_ms;
	int64_t replies; /* ends of its transfers that the owner recorded */
	unsigned due; /* kinds of its outbox rows that will fall due, a bit each */
	bool has_hash; /* of a body */
	char currency[4];
	/* Filled by replaying its events. */
	int64_t replayed;
	int64_t claims; /* how often it was sent */
	int64_t claimed_by; /* incarnation of the last */
	bool has_event;
};

struct v_event {
	int64_t seq, partner, attempt, from, to, evidence, incarnation, at_ms;
	bool evidence_fits; /* an inbox row of this attempt */
	char cause[66];
	size_t cause_len;
	unsigned char hash[16];
};

struct v_line {
	int64_t posting, line, book, debit;
	bool is_elsewhere; /* of another account than its attempt's, or than who pays */
	char currency[4];
};

struct v_decided {
	int64_t id, attempt, kind; /* attempt 0: of the purchase */
};

struct v_purchase {
	int64_t id, partner, state, payer, beneficiary;
	int64_t price, face_value, cost, collect_fee;
	bool has_collect, has_deliver;
	char currency[4];
	char ref[40];
	int64_t same_press; /* purchases of the same session and ordinal, itself included */
	bool has_hop;
	int64_t finals, refunded; /* messages: of the end, of the money's return */
	int64_t corrections; /* messages that tell another end than was told before */
	int64_t strays; /* messages that are none of these, nor of progress */
	bool is_old; /* sent before messages of refunds were written when buying */
	int64_t unmoved; /* inbox rows said to have moved something that no event names */
	int64_t lonely; /* applied decisions that two persons did not make */
	int64_t plain; /* sealed columns that are not */
	struct v_attempt *attempts;
	size_t attempts_len;
	struct v_event *events;
	size_t events_len;
	struct v_line *lines;
	size_t lines_len;
	struct v_decided *decided; /* applied ones about it or its attempts */
	size_t decided_len;
};

/* Whether something of it is under way: an attempt that is READY, SENDING, ACCEPTED or UNKNOWN. */
bool v_is_open(const struct v_purchase *purchase);

/* True when every rule holds; else *out is the first that does not. */
bool v_check(struct v_purchase *purchase, struct violation *out);

#endif
