/*
 * What the files of the listener share: http_in.c (life of a listener), http_in_turn.c (one
 * request, as libmicrohttpd calls us), http_in_check.c (what is refused), http_in_watch.c (late
 * connections), http_in_door.c (who gets in), http_in_peers.c (how many of one address).
 *
 * Who touches what. A worker is one libmicrohttpd daemon with one thread; its turns and its free
 * list are that thread's alone. Between threads there are only: a connection's `state` (worker and
 * watchdog), a turn's `stage` (worker and whoever answers), counters, and the list of connections
 * under its mutex, which also keeps a socket from being closed while the watchdog looks at it.
 */
#ifndef TAMA_HTTP_IN_PRIV_H
#define TAMA_HTTP_IN_PRIV_H

#include "tama/http_in.h"
#include "tama/limits.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

/* What libmicrohttpd calls a connection's "pool": head, field table, body buffer and reply head. */
#define POOL_BYTES (16 * 1024)

/*
 * What a connection is about, in the low two bits of its `state`; above them a number that grows
 * with each step, so that "the same state as before" means that nothing happened in between.
 */
enum conn_phase {
	CONN_AWAITS, /* idle, or a head is coming in */
	CONN_BODY,
	CONN_BUSY, /* the request is complete: all waiting is ours */
	CONN_SHUT, /* by the watchdog; final */
};

struct http_conn {
	struct http_conn *prev;
	struct http_conn *next;
	struct http_worker *worker;
	int fd;
	struct sockaddr_storage address;
	_Atomic uint64_t state;
	/* The watchdog's, under worker->lock. */
	uint64_t seen_state;
	uint64_t seen_bytes;
	int64_t late_from_ms; /* 0: the clock does not run */
	struct str peer;
	char peer_text[INET6_ADDRSTRLEN];
};

/*
 * In this order; what is RUNNING may become PARKED, ANSWERED or CONTINUED, what is PARKED the
 * latter two; CONTINUED becomes RUNNING again.
 */
enum turn_stage {
	TURN_HEAD,
	TURN_BODY,
	TURN_RUNNING, /* the handler has it */
	TURN_PARKED, /* suspended */
	TURN_ANSWERED, /* `reply` holds what http_in_answer was given */
	TURN_CONTINUED, /* the handler is to be called again */
	TURN_QUEUED, /* the library has the response */
};

struct turn {
	struct http_turn pub;
	struct turn *next_free;
	struct http_conn *conn;
	struct MHD_Connection *mhd;
	_Atomic int stage;
	bool was_handled; /* the handler saw it, so `done` is owed */
	bool is_chunked;
	const char *target_at; /* where the library keeps the request target */
	struct str head; /* and the head, once that is whole */
	struct str target; /* our copy of it, before the library cut it up */
	char *body;
	size_t body_cap;
	size_t body_seen; /* more than the limit when it will be refused */
	struct http_reply reply;
	struct http_field fields[LIMIT_HTTP_FIELDS];
};

struct http_worker {
	struct http_in *in;
	unsigned index;
	struct MHD_Daemon *daemon;
	struct turn *free;
	unsigned free_len;
	pthread_mutex_t lock; /* conns */
	struct http_conn *conns;
	/* Turns that the handler has and nobody has answered; zero before the daemon may stop. */
	_Atomic uint64_t owed;
	/* Turns that the handler has had and that have not ended. */
	_Atomic uint64_t busy;
	_Atomic uint64_t suspended;
	_Atomic uint64_t accepted;
	_Atomic uint64_t open; /* counted by the door before the worker knows of it */
	_Atomic uint64_t requests;
	_Atomic uint64_t refused;
	_Atomic uint64_t too_slow;
};

struct http_in {
	struct http_in_config config;
	uint16_t port;
	int listen_fd;
	_Atomic bool is_quiesced;
	_Atomic bool is_stopping;
	pthread_mutex_t lock; /* with `changed`: the waits of http_in_stop */
	pthread_cond_t changed;
	/* The door. */
	int wake_fd;
	_Atomic bool is_full; /* it waits for a connection to close */
	_Atomic bool door_ends;
	bool door_runs;
	pthread_t door;
	unsigned door_next; /* the worker it asks first */
	struct http_peers *peers;
	_Atomic uint64_t peer_full;
	struct http_worker workers[];
};

int64_t http_in_now_ms(void);

/* For http_in_stop: something that it waits for may be so now. */
void http_in_signal(struct http_in *in);

/*
 * http_in_check.c: once the head is in, fills turn->pub.request but for the body, and
 * turn->is_chunked. Returns 0, or the status with which the request is refused.
 */
unsigned http_in_check_head(struct turn *turn, const char *method, const char *version);

/* http_in_turn.c: the library's callbacks. cls is the worker. */
void *http_in_on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_in_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len,
	void **slot);
void http_in_on_completed(
	void *cls, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode why);
void http_in_worker_free_turns(struct http_worker *worker);

/* http_in_watch.c */
void http_in_on_connection(void *cls, struct MHD_Connection *mhd, void **slot,
	enum MHD_ConnectionNotificationCode code);

/* The connection enters a phase; false when the watchdog was faster, then it is to be closed. */
bool http_conn_enter(struct http_conn *conn, enum conn_phase phase);

/* Looks at every connection once; the door calls it every tick. */
void http_in_watch(struct http_in *in);
int64_t http_in_watch_tick_ms(const struct http_in *in);

/* http_in_door.c: the thread that accepts and watches. */
int http_in_door_start(struct http_in *in, struct err *err);
void http_in_door_stop(struct http_in *in);

/* No more connections, at once. */
void http_in_door_shut(struct http_in *in);

/* A worker has closed a connection: there is room for another. */
void http_in_door_closed(struct http_worker *worker);

/* http_in_watch.c: "127.0.0.1", "::1"; an IPv4 peer of an IPv6 socket as IPv4. Empty: of neither.
 */
struct str http_in_name_peer(const struct sockaddr *address, char out[static INET6_ADDRSTRLEN]);

/* http_in_peers.c: how many connections each address has. Enter gives the number, with this one. */
struct http_peers *http_peers_new(void);
void http_peers_free(struct http_peers *peers);
unsigned http_peers_enter(struct http_peers *peers, const struct sockaddr *address);
void http_peers_leave(struct http_peers *peers, const struct sockaddr *address);

#endif
