/*
 * What a provider's answer to a money request proves: the table of reliability.md 2.4, as data.
 * Pure. Every cell that is not proof of something is UNKNOWN; nothing here ever guesses "failed".
 */
#ifndef TAMA_CLASSIFY_H
#define TAMA_CLASSIFY_H

#include "tama/str.h"

/* How the transfer ended, in words of ours, so that core knows no curl. */
enum transfer_end {
	TRANSFER_COMPLETE, /* a whole HTTP response was read */
	TRANSFER_DNS, /* no address */
	TRANSFER_CONNECT, /* refused, unreachable, or not connected within the time */
	TRANSFER_TLS, /* handshake or certificate */
	TRANSFER_NOT_STARTED, /* refused by ourselves before any byte (address, abandoned claim) */
	TRANSFER_BROKEN, /* reset, closed or cut anywhere after the connect */
	TRANSFER_TIMEOUT, /* total time over after the connect */
	TRANSFER_TOO_LARGE, /* response past LIMIT_REPLY_BYTES */
};

struct transfer {
	enum transfer_end end;
	uint64_t bytes_sent; /* 0 proves that no byte of the request left; else about how many */
	unsigned status; /* HTTP status; 0 when none was read */
};

/* What the dialect read in a complete response. */
enum reply_word {
	WORD_NONE, /* no valid schema: garbage, wrong ids, wrong amount, unknown shape */
	WORD_PENDING,
	WORD_SUCCESS,
	WORD_FAILURE, /* a documented final failure */
	WORD_DUPLICATE, /* the provider says it has this id already */
	WORD_REFUSED, /* an error code on the provider's allow-list of "never executed" */
	WORD_NOT_FOUND, /* status query: it has no such transaction */
};

/* What a provider documents beyond the general table. */
struct classify_rules {
	bool auth_precedes_execution; /* 401 and 403 prove that nothing ran */
	bool too_many_precedes_execution; /* 429 proves that nothing ran */
};

enum reply_class {
	CLASS_NOT_SENT, /* proven: nothing was executed, may be tried again */
	CLASS_ACCEPTED,
	CLASS_SUCCEEDED,
	CLASS_FAILED, /* proven: refused for good */
	CLASS_UNKNOWN,
	CLASS_QUERY, /* a duplicate: ask by id, never failed */
};

/*
 * For a money request (submit). alarm_out tells whether a person must look: 3xx, 404, and TLS
 * failures (F-D3). An end or word outside its enum aborts.
 */
enum reply_class classify_submit(const struct transfer *transfer, enum reply_word word,
	const struct classify_rules *rules, bool *alarm_out);

/* For a status query: SUCCEEDED, FAILED, ACCEPTED (still pending) or UNKNOWN (says nothing). */
enum reply_class classify_status(const struct transfer *transfer, enum reply_word word);

const char *reply_class_name(enum reply_class c);
const char *transfer_end_name(enum transfer_end e);

#endif
