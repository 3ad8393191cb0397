/*
 * Sessions: one conversation with one phone. A session is its inputs (design.md idea 1): the
 * journal, who and where, and how far the aggregator's text was read. Of screens only the last is
 * kept, for a hop that is repeated: a replay would leave out why an answer was refused, and says
 * something else under another configuration.
 *
 * The table is shared by all workers behind one lock that is held for look-ups only. A hop takes
 * its session (session_take), works on it alone, and puts it back (session_put), which also appends
 * its whole state to the session log with one write(2): that survives kill -9. After a restart the
 * last record of each session wins.
 */
#ifndef TAMA_SESSION_H
#define TAMA_SESSION_H

#include "tama/arena.h"
#include "tama/buf.h"
#include "tama/config.h"
#include "tama/store.h"

struct session_table;

/* What a hop works on: an unpacked copy in the hop's arena, valid from take to put. */
struct session {
	unsigned char uid[UID_LEN]; /* random; a purchase's key is (uid, ordinal) */
	struct str channel; /* name */
	struct str id; /* the aggregator's; empty: keyed by the number */
	struct msisdn msisdn;
	struct str code; /* as dialled, digits and stars */
	struct str network;
	struct str lang;
	struct buf journal; /* grows by the hop; owned by the session */
	struct str hop_id; /* of the last hop answered */
	uint32_t text_len; /* cumulative text read so far, in bytes */
	uint64_t text_mac; /* of that text under a key of this process; 0 after a restart */
	struct str summary; /* tells the session apart when it is offered for resuming */
	struct str said; /* the last reply's text: a repeat gets it again, byte for byte */
	unsigned char offer[UID_LEN]; /* the session this one offers to resume; zeros for none */
	bool is_offering;
	unsigned char service_hash[16]; /* pins the version of menu, texts and catalogue */
	uint8_t buys;
	bool is_ended; /* END has been shown */
	bool is_parked; /* END has been shown, and a redial may go on */
	int64_t begun_ms, last_ms; /* wall clock */
	void *slot; /* the table's own */
};

struct session_config {
	struct str dir; /* holds sessions.*.log; empty: no log (tests, checks) */
	const struct vault *vault;
	size_t max; /* LIMIT_SESSIONS; of one number and channel LIMIT_NUMBER_SESSIONS */
	int64_t keep_ms; /* the longest time-out plus resume of any channel */
};

/* Reads the log back. 0; TAMA_EIO, TAMA_EAUTH (another key) with a message. */
int session_table_new(
	const struct session_config *config, struct session_table **out, struct err *err);
void session_table_free(struct session_table **table);

enum session_found {
	SESSION_NEW, /* made now, taken */
	SESSION_KNOWN, /* taken */
	SESSION_BUSY, /* another hop of it is suspended (a purchase is being committed) */
	SESSION_FULL, /* no room for another */
	SESSION_ABSENT, /* not known, and must_exist was set */
};

struct session_key {
	struct str channel;
	struct str id; /* the aggregator's session id; may be empty */
	struct str msisdn; /* E.164 digits; may be empty when the format sends it only once */
};

/*
 * Takes the session of that key, making it when unknown unless must_exist. Waits while another
 * worker has it for an ordinary hop (microseconds). `fresh` forgets a known one first: a new
 * dialogue under a reused id. Fills *out in the arena.
 */
enum session_found session_take(struct session_table *table, const struct session_key *key,
	bool must_exist, bool fresh, int64_t now_ms, struct arena *arena, struct session *out);

/* Gives it back as changed, and logs it. The journal's memory is the table's again. */
void session_put(struct session_table *table, struct session *session);

/*
 * Suspends: the session stays taken by a hop that waits for a commit; others of the same session
 * get SESSION_BUSY until session_put. The log is not written yet.
 */
void session_suspend(struct session_table *table, struct session *session);

/* Removes it (a taken one). */
void session_drop(struct session_table *table, struct session *session);

/* How long after its last hop a session can be resumed. */
struct session_resume {
	int64_t parked_ms; /* one that was shown its END */
	int64_t dropped_ms; /* one that was left in the middle */
};

/*
 * Looks for the newest session of the taken one's number and channel that can be resumed now: at
 * rest, with a summary, not ended unless parked. Fills session->offer and ->summary, or returns
 * false. A session without a number is never anybody else's.
 */
bool session_find_resumable(struct session_table *table, struct session *session,
	const struct session_resume *how, struct arena *arena);

/*
 * The taken session becomes the one offered: takes over its uid, journal, buys and version; the old
 * one is gone. False when it is not there any more.
 */
bool session_adopt(struct session_table *table, struct session *session, struct arena *arena);

/* Forgets what is older than its keep time; removes log segments that hold nothing of use. */
void session_sweep(struct session_table *table, int64_t now_ms);

/* After a reload: the longest time-out plus resume of any channel. */
void session_set_keep(struct session_table *table, int64_t keep_ms);

struct session_stats {
	size_t sessions;
	uint64_t log_failures; /* records that could not be written: menu positions lost by a crash
				*/
};

void session_stats(struct session_table *table, struct session_stats *out);

/* A MAC of cumulative text under the process's own key; never 0. */
uint64_t session_text_mac(const struct session_table *table, struct str text);

#endif
