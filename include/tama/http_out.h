/*
 * Requests that we send: libcurl's multi interface on one thread that the caller owns. The caller
 * submits transfers and runs the loop; each ends in exactly one callback on that same thread.
 *
 * Money requests never reuse a connection and are never repeated by the library (reliability.md
 * finding 1 and 5.2): FRESH_CONNECT, FORBID_REUSE, HTTP/1.1, no redirects, no Expect, no
 * Accept-Encoding, no proxy, no netrc, TLS 1.2 or later with the peer verified. Queries may reuse,
 * and libcurl may then repeat them: whatever must not be repeated is a money request.
 *
 * A response without Content-Length or chunks ends where the server closes, so that a cut one
 * cannot be told from a whole one (RFC 9112 8): both are TRANSFER_COMPLETE, and the dialect must
 * insist on a body that is whole in itself.
 */
#ifndef TAMA_HTTP_OUT_H
#define TAMA_HTTP_OUT_H

#include "tama/address.h"
#include "tama/classify.h"
#include "tama/err.h"
#include "tama/http.h"

struct http_out;

struct http_out_result {
	struct transfer transfer;
	struct str type; /* Content-Type of the response */
	struct str body; /* borrowed until the callback returns; at most LIMIT_REPLY_BYTES */
	uint64_t retry_after_s; /* Retry-After, seconds or a date; 0 when absent, past or neither */
	const char *reason; /* for the log: no path, query or body in it; until return */
};

typedef void (*http_out_done_fn)(void *ctx, const struct http_out_result *result);

/*
 * Called just before the first byte can leave; false abandons the transfer as TRANSFER_NOT_STARTED.
 * The owner of a claim looks here whether the claim is still young (reliability.md 2.5). A request
 * that libcurl repeats (never a money request) is asked for again. Must not call back into
 * http_out.
 */
typedef bool (*http_out_ready_fn)(void *ctx);

struct http_out_request {
	const struct http_call *call; /* copied */
	bool is_money; /* fresh connection, never reused */
	unsigned connect_ms; /* 0: 5000 */
	unsigned total_ms; /* 0: 45000 */
	struct address_nets private_nets; /* copied: where the guard lets this peer be, too */
	http_out_ready_fn ready; /* may be NULL */
	http_out_done_fn done;
	void *ctx;
};

struct http_out_config {
	/*
	 * Where a call may go (SSRF guard): a resolved address that is neither public (address.h)
	 * nor in the request's own networks is refused at the socket, and when no other is left the
	 * transfer ends as TRANSFER_NOT_STARTED. A query that would go over a connection that
	 * another peer may use and it may not ends so as well. Test and demo configurations allow
	 * this machine to all; our own tools, which carry no secrets, the whole private space.
	 */
	bool allow_loopback, allow_private;
	bool allow_http; /* else only https */
	const char *ca_file; /* copied; NULL: the system's */
	unsigned max_transfers; /* at once, more wait in line; 0: LIMIT_WIRE_TRANSFERS */
};

/*
 * Once in a process, by main, before any thread and any other call here: sets libcurl up and
 * ignores SIGPIPE, which a TLS connection raises when its peer is gone. fini comes after the last
 * http_out.
 */
int http_out_global_init(struct err *err);
void http_out_global_fini(void);

/* 0; TAMA_ENOMEM; TAMA_EIO when libcurl does not know an option that safety rests on. */
int http_out_new(struct http_out **out, const struct http_out_config *config, struct err *err);

/*
 * Ends every transfer still under way or waiting, calls back, frees; *out becomes NULL. One whose
 * request may have begun to leave is TRANSFER_BROKEN, any other TRANSFER_NOT_STARTED. Callbacks
 * that submit get TAMA_EFULL.
 */
void http_out_free(struct http_out **out);

/*
 * Puts a transfer in line; the next http_out_run starts it. 0; TAMA_EFULL beyond
 * LIMIT_WIRE_TRANSFERS waiting; TAMA_EINVAL for a URL of a forbidden scheme or with a byte that
 * must be percent-encoded, a method other than GET, POST, PUT, PATCH and DELETE, a header with a
 * control character (CR, LF, NUL), or one that is ours to set (Connection, Content-Length,
 * Transfer-Encoding, TE, Upgrade, Expect, Accept-Encoding); TAMA_ELIMIT for a URL or header past
 * LIMIT_HTTP_HEADER_BYTES or a body past LIMIT_TURN_BYTES; TAMA_ENOMEM; TAMA_EIO when libcurl
 * refuses. The callback never comes from inside this call.
 */
int http_out_submit(struct http_out *out, const struct http_out_request *request);

/*
 * Runs transfers until wake_fd becomes readable (the caller drains it), something ended, or
 * max_wait_ms is over. wake_fd may be -1.
 */
void http_out_run(struct http_out *out, int wake_fd, int max_wait_ms);

/* Transfers under way or waiting. */
size_t http_out_busy(const struct http_out *out);

#endif
