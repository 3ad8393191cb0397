/* The table's slots and the log's records: one packed form serves both. */
#ifndef TAMA_SESSION_PRIV_H
#define TAMA_SESSION_PRIV_H

#include "tama/limits.h"
#include "tama/session.h"

/* The journal, and all that is beside it: texts of a callback, each bounded by the dialect host. */
#define SESSION_PACKED_MAX (LIMIT_SESSION_JOURNAL + 4096)

/*
 * A session at rest in memory: a small head and its packed state. Everything variable is in
 * `packed`, so that an idle session costs two allocations.
 */
struct session_slot {
	struct session_slot *next_key, *next_number; /* chains of the two indices */
	struct session_slot *older, *newer; /* by time of the last hop */
	uint64_t key_hash, number_hash;
	int64_t last_ms;
	uint64_t text_mac;
	char *packed;
	uint32_t packed_len;
	bool is_taken;
	bool is_suspended;
};

/* Packs everything but text_mac. */
void session_pack(const struct session *session, struct buf *out);

/* The reverse; texts borrow from packed, the journal is copied. 0, or TAMA_EINVAL. */
int session_unpack(struct str packed, struct session *out);

/* ---- session_log.c ---- */

struct session_log;

typedef void (*session_record_fn)(void *ctx, struct str packed, bool is_dropped);

/* Opens DIR, reads every segment in order through `record`, then begins a new segment. */
int session_log_open(struct str dir, const struct vault *vault, session_record_fn record, void *ctx,
	struct session_log **out, struct err *err);
void session_log_close(struct session_log **log);

/* One write(2). Failing to write is counted, never fatal: a session lost is not money lost. */
void session_log_append(struct session_log *log, struct str packed, bool is_dropped);
uint64_t session_log_failures(struct session_log *log);

/* Begins a new segment now and then, and removes those last written before keep_ms ago. */
void session_log_rotate(struct session_log *log, int64_t now_ms, int64_t keep_ms);

#endif
