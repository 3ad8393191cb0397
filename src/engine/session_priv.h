/* The table's slots and the log's records: one packed form serves both. */
#ifndef TAMA_SESSION_PRIV_H
#define TAMA_SESSION_PRIV_H

#include "tama/limits.h"
#include "tama/session.h"

#include <pthread.h>
#include <sodium.h>

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

struct session_table {
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct session_config config;
	struct session_log *log;
	unsigned char hash_key[crypto_shorthash_KEYBYTES];
	struct session_slot **by_key, **by_number;
	size_t buckets;
	size_t count;
	struct session_slot *oldest, *newest;
};

/* ---- session_index.c: all with the table's lock held ---- */

uint64_t slot_hash_of_key(const struct session_table *t, const struct session_key *key);
uint64_t slot_hash_of_number(const struct session_table *t, struct str channel, struct str number);
struct session_slot *slot_find(struct session_table *t, uint64_t key_hash);
struct session_slot *slot_new(struct session_table *t, uint64_t key_hash, uint64_t number_hash);
void slot_free(struct session_table *t, struct session_slot *slot);
/* Empties it, and leaves nothing readable behind. */
void slot_wipe(struct session_slot *slot);
/* It is the newest now. */
void slot_touch(struct session_table *t, struct session_slot *slot);
/* Makes room for one more of that number: the oldest at rest go first. */
void slot_trim_number(struct session_table *t, uint64_t number_hash);
/* The session as it rests there, in the arena but for its journal. 0, or a negative error. */
int slot_unpack(const struct session_slot *slot, struct arena *arena, struct session *out);

/* ---- session_pack.c ---- */

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
