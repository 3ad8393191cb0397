/*
 * The HTTP listener: libmicrohttpd behind a door of ours. A listener has N workers; each is a thread
 * that polls (never epoll: reference libmicrohttpd.md trap 1) and calls one handler, so a handler may
 * keep state per worker without locks. What Debian's libmicrohttpd 0.9.75 lets through is refused
 * here before any handler sees it, with 400 and Connection: close: two Content-Length, Content-Length
 * with Transfer-Encoding, "%00" in a path, no Host, more than 64 fields; and 413 past 64 KiB of body,
 * 431 past 8 KiB of head.
 *
 * Time: a head must be complete 10 s after its first byte and a body 20 s after its head; a watchdog
 * thread shuts the socket of a connection that is later (the library's own time-out is inactivity, and
 * only ends idle ones). A connection that waits for an answer of ours is never shut.
 */
#ifndef TAMA_HTTP_IN_H
#define TAMA_HTTP_IN_H

#include "tama/arena.h"
#include "tama/err.h"
#include "tama/http.h"

struct http_in;

/*
 * One request on its way to an answer. Made by the listener, owned by it. Between the handler's return
 * of HTTP_LATER and http_in_answer the connection is suspended and the turn, its arena and its request
 * stay valid, for any thread.
 */
struct http_turn {
	struct http_request request;
	struct arena arena; /* LIMIT_TURN_BYTES; gone when the answer has left */
	unsigned worker;    /* 0 to workers - 1 */
	void *user;         /* the handler's own, NULL at first */
};

enum http_verdict {
	HTTP_NOW,   /* *reply is filled; its text may live in the turn's arena */
	HTTP_LATER, /* somebody will call http_in_answer exactly once */
};

/*
 * Called on a worker's thread with the whole request read. Must not block on disk or network. Called
 * once for each request.
 */
typedef enum http_verdict (*http_handler_fn)(
	void *ctx, struct http_turn *turn, struct http_reply *reply);

/*
 * Called on a worker's thread after an answer has been written, or the connection was lost before
 * (sent = false). The turn ends when it returns. May be NULL.
 */
typedef void (*http_done_fn)(void *ctx, struct http_turn *turn, bool sent);

struct http_in_config {
	struct str address; /* "127.0.0.1", "0.0.0.0", "::1" */
	uint16_t port;      /* 0: the kernel chooses, http_in_port tells */
	unsigned workers;   /* 1 to LIMIT_HTTP_WORKERS */
	unsigned connections; /* in all, shared evenly by the workers; beyond it accept waits */
	unsigned header_ms;   /* 0: LIMIT_HTTP_HEADER_MS; tests pass less */
	unsigned body_ms;     /* 0: LIMIT_HTTP_BODY_MS */
	http_handler_fn handler;
	http_done_fn done;
	void *ctx;
};

/* Counters since the start, for /metrics. Read at any time from any thread. */
struct http_in_stats {
	uint64_t connections; /* accepted */
	uint64_t open;        /* open now */
	uint64_t requests;    /* handed to the handler */
	uint64_t refused;     /* malformed: 400, 413, 431 */
	uint64_t too_slow;    /* shut by the watchdog */
	uint64_t suspended;   /* waiting for http_in_answer now */
};

/* Binds, listens and starts the threads. 0; TAMA_EIO with a message; *out untouched on failure. */
int http_in_start(struct http_in **out, const struct http_in_config *config, struct err *err);

uint16_t http_in_port(const struct http_in *in);
void http_in_stats(const struct http_in *in, struct http_in_stats *out);

/*
 * Answers a turn that was HTTP_LATER, from any thread, once. Copies the reply. The turn belongs to the
 * listener again when this returns, even if the peer is gone.
 */
void http_in_answer(struct http_turn *turn, const struct http_reply *reply);

/*
 * Draining: stops accepting connections, lets requests under way finish, answers every later request
 * on a kept-alive connection 503 with Connection: close.
 */
void http_in_quiesce(struct http_in *in);

/*
 * Stops and frees; *in becomes NULL. Waits until no turn is suspended, so call it when everybody who
 * owes an answer has given it (the library aborts on a suspended connection, trap 3).
 */
void http_in_stop(struct http_in **in);

#endif
