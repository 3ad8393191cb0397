/*
 * One transfer of http_out: a libcurl easy handle with its request and what has been read so far.
 * Transfers are used again, because a new easy handle costs more than the request it carries.
 */
#ifndef TAMA_HTTP_TRANSFER_H
#define TAMA_HTTP_TRANSFER_H

#include "tama/buf.h"
#include "tama/http_out.h"

#include <curl/curl.h>
#include <sys/queue.h>

struct http_transfer {
	TAILQ_ENTRY(http_transfer) link;
	const struct http_out_config *config;
	CURL *easy;
	struct curl_slist *fields;
	struct buf line; /* scratch for the URL and one header line */
	struct buf sent; /* the request's body; libcurl reads it in place */
	struct buf body; /* the response's */
	struct address_net nets[ADDRESS_NETS_MAX];
	size_t nets_len;
	http_out_ready_fn ready;
	http_out_done_fn done;
	void *ctx;
	unsigned begun; /* times that a request was let go, 0: no byte can have left */
	unsigned sockets; /* opened */
	size_t head_bytes;
	bool is_money;
	bool is_head_whole; /* the blank line after a final status was read */
	bool is_too_large;
	bool is_abandoned; /* by `ready` */
	bool is_refused; /* an address, by the guard */
	const char *refusal; /* why we ended it ourselves */
	char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(http_transfer_list, http_transfer);

/* A transfer with every option that never changes; NULL when libcurl refuses one. */
struct http_transfer *http_transfer_new(const struct http_out_config *config);
void http_transfer_free(struct http_transfer **t);

/* Copies the request. The errors of http_out_submit, or TAMA_EIO when libcurl refuses an option. */
int http_transfer_prepare(struct http_transfer *t, const struct http_out_request *request);

/* What came of it, once the multi handle has let go of it. Borrows from t. */
struct http_out_result http_transfer_result(struct http_transfer *t, CURLcode code);

/* Wipes what was sent and read, and is ready for another request. */
void http_transfer_reset(struct http_transfer *t);

#endif
