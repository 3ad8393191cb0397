/*
 * The HTTP listener: libmicrohttpd behind a door of ours. A listener has N workers; each is a
 * thread that polls (never epoll: reference libmicrohttpd.md trap 1) and calls one handler, so a
 * handler may keep state per worker without locks. One more thread accepts, deals connections
 * evenly to the workers, and closes late ones.
 *
 * What Debian's libmicrohttpd 0.9.75 lets through is refused here before any handler sees it, with
 * Connection: close and no body (reliability.md F-J1, F-J2, F-J8):
 *   400  two Content-Length; Content-Length with Transfer-Encoding; a coding other than "chunked",
 * or any in HTTP/1.0; no Host in HTTP/1.1, or two; more than 64 fields; folded lines, NUL and other
 *        control characters in the head; a name that is no token; a target without a leading slash;
 *        in the path a malformed escape, an escaped control character ("%00"), "%25" before two
 *        hexadecimal digits, and the segments "." and ".."
 *   413  past 64 KiB of body (chunks: once 256 KiB have come the connection just ends)
 *   431  past 8 KiB of head
 * The library itself refuses with a page of its own a line without a colon, a length that is no
 * number (both 400), heads that do not fit its memory (431, 414) and HTTP/0 and 2 (505).
 *
 * Time: a head must be complete 10 s after its first byte and a body 20 s after its head; a
 * watchdog shuts the socket of a connection that is later, give or take two rounds of at most a
 * second (the library's own time-out is inactivity, and only ends idle ones). A connection that
 * waits for an answer of ours is never shut.
 */
#ifndef TAMA_HTTP_IN_H
#define TAMA_HTTP_IN_H

#include "tama/arena.h"
#include "tama/err.h"
#include "tama/http.h"

struct http_in;

/*
 * One request on its way to an answer. Made by the listener, owned by it. Between the handler's
 * return of HTTP_LATER and http_in_answer the connection is suspended and the turn, its arena and
 * its request stay valid, for any thread.
 */
struct http_turn {
	struct http_request request;
	struct arena arena; /* LIMIT_TURN_BYTES; gone when the answer has left */
	unsigned worker; /* 0 to workers - 1 */
	void *user; /* the handler's own, NULL at first */
};

enum http_verdict {
	HTTP_NOW, /* *reply is filled; its text may live in the turn's arena */
	HTTP_LATER, /* somebody will call http_in_answer or http_in_continue exactly once */
};

/*
 * Called on a worker's thread with the whole request read. Must not block on disk or network.
 * Called once for each request. A reply that HTTP cannot carry (a status outside 200 to 599, a line
 * break or NUL in a field, a Content-Length of its own) leaves as 500.
 */
typedef enum http_verdict (*http_handler_fn)(
	void *ctx, struct http_turn *turn, struct http_reply *reply);

/*
 * Called on a worker's thread after an answer has been written, or the connection was lost before
 * (sent = false); once for each turn that the handler saw. The turn ends when it returns. May be
 * NULL.
 */
typedef void (*http_done_fn)(void *ctx, struct http_turn *turn, bool sent);

struct http_in_config {
	struct str address; /* "127.0.0.1", "0.0.0.0", "::1" */
	uint16_t port; /* 0: the kernel chooses, http_in_port tells */
	unsigned workers; /* 1 to LIMIT_HTTP_WORKERS */
	unsigned connections; /* 1 or more in all, dealt evenly; beyond it accept waits */
	unsigned header_ms; /* 0: LIMIT_HTTP_HEADER_MS; tests pass less */
	unsigned body_ms; /* 0: LIMIT_HTTP_BODY_MS */
	/*
	 * A reply of status 0 is its body, as bytes on the wire, after which the connection is
	 * closed: how a sandbox loses or cuts its answers. Without this it leaves as 500.
	 */
	bool allow_raw;
	/* Of one address; more are closed at once. 0: as many as there may be in all. */
	unsigned peer_connections;
	/* Whether the address is a proxy, which speaks for many. Called by one thread; may be NULL.
	 */
	bool (*is_proxy)(void *ctx, struct str address);
	http_handler_fn handler;
	http_done_fn done;
	void *ctx;
};

/* Counters since the start, for /metrics. Read at any time from any thread. */
struct http_in_stats {
	uint64_t connections; /* accepted */
	uint64_t open; /* open now */
	uint64_t requests; /* handed to the handler */
	uint64_t refused; /* malformed: 400, 413, 431, 505; not 414 */
	uint64_t too_slow; /* shut by the watchdog */
	uint64_t suspended; /* waiting for http_in_answer now */
	uint64_t peer_full; /* connections closed at once: their address had too many */
};

/* Binds, listens and starts the threads. 0; TAMA_EIO with a message; *out untouched on failure. */
int http_in_start(struct http_in **out, const struct http_in_config *config, struct err *err);

uint16_t http_in_port(const struct http_in *in);
void http_in_stats(const struct http_in *in, struct http_in_stats *out);

/*
 * Answers a turn that was HTTP_LATER, from any thread, once, even before the handler has returned.
 * Copies the reply into the turn's arena; when that has overflowed, 500 leaves. The turn belongs to
 * the listener again when this returns, even if the peer is gone.
 */
void http_in_answer(struct http_turn *turn, const struct http_reply *reply);

/*
 * Calls the handler again for a turn that was HTTP_LATER, on the turn's own worker: from any
 * thread, once for each HTTP_LATER. The handler tells a continued turn by turn->user, which it has
 * set. When the peer is gone by then the handler may not be called: `done` is, with turn->user as
 * it was.
 */
void http_in_continue(struct http_turn *turn);

/*
 * Draining: stops accepting connections (peers are refused at once), lets requests that a handler
 * has finish, answers every later one on a kept-alive connection 503 with Connection: close. May be
 * called again.
 */
void http_in_quiesce(struct http_in *in);

/*
 * Stops and frees; *in becomes NULL, and NULL is fine. Waits until no turn is suspended, so call it
 * when everybody who owes an answer has given it (the library aborts on a suspended connection,
 * trap 3); then at most LIMIT_HTTP_LEAVE_MS for the answers to leave. The port is free on return.
 */
void http_in_stop(struct http_in **in);

#endif
