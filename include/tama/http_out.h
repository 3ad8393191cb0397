/*
 * Requests that we send: libcurl's multi interface on one thread that the caller owns. The caller
 * submits transfers and runs the loop; each ends in exactly one callback on that same thread.
 *
 * Money requests never reuse a connection and are never repeated by the library (reliability.md
 * finding 1 and 5.2): FRESH_CONNECT, FORBID_REUSE, HTTP/1.1, no redirects, no Expect, no
 * Accept-Encoding, no proxy, no netrc, TLS 1.2 or later with the peer verified. Queries may reuse.
 */
#ifndef TAMA_HTTP_OUT_H
#define TAMA_HTTP_OUT_H

#include "tama/classify.h"
#include "tama/err.h"
#include "tama/http.h"

struct http_out;

struct http_out_result {
	struct transfer transfer;
	struct str type; /* Content-Type of the response */
	struct str body; /* borrowed until the callback returns; at most LIMIT_REPLY_BYTES */
	uint64_t retry_after_s; /* Retry-After in seconds, 0 when absent or not a number */
	const char
		*reason; /* for the log: libcurl's words, no URL, no body; static or until return */
};

typedef void (*http_out_done_fn)(void *ctx, const struct http_out_result *result);

/*
 * Called just before the first byte can leave; false abandons the transfer as TRANSFER_NOT_STARTED.
 * The owner of a claim looks here whether the claim is still young (reliability.md 2.5).
 */
typedef bool (*http_out_ready_fn)(void *ctx);

struct http_out_request {
	const struct http_call *call; /* copied */
	bool is_money; /* fresh connection, never reused */
	unsigned connect_ms; /* 0: 5000 */
	unsigned total_ms; /* 0: 45000 */
	http_out_ready_fn ready; /* may be NULL */
	http_out_done_fn done;
	void *ctx;
};

struct http_out_config {
	/*
	 * Where a call may go (SSRF guard): unless allow_loopback, a resolved address that is
	 * loopback, private (RFC 1918, fc00::/7), link-local or a mapped form of these is refused
	 * at the socket and ends as TRANSFER_NOT_STARTED. Test and demo configurations allow
	 * loopback.
	 */
	bool allow_loopback;
	bool allow_http; /* else only https */
	const char *ca_file; /* NULL: the system's */
	unsigned max_transfers; /* at once; more wait in line */
};

int http_out_new(struct http_out **out, const struct http_out_config *config, struct err *err);

/* Ends every transfer still under way as TRANSFER_BROKEN, calls back, frees; *out becomes NULL. */
void http_out_free(struct http_out **out);

/*
 * Starts a transfer. 0; TAMA_EFULL beyond LIMIT_WIRE_TRANSFERS waiting; TAMA_EINVAL for a URL of a
 * forbidden scheme or a header with CR, LF or NUL. The callback never comes from inside this call.
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
