/*
 * HTTP messages as the rest of Tama sees them, without any library's types. All text borrows: a
 * request lives until its answer has been given, a reply until it has been queued.
 */
#ifndef TAMA_HTTP_H
#define TAMA_HTTP_H

#include "tama/str.h"

struct http_field {
	struct str name; /* as it came; compare without case */
	struct str value;
};

struct http_request {
	struct str method; /* "POST" */
	struct str path; /* raw, as on the request line, without the query: "/ussd/at/session/1" */
	struct str query; /* raw text after '?', may be empty */
	const struct http_field *fields;
	size_t fields_len;
	struct str body;
	struct str peer; /* numeric address: "127.0.0.1" */
};

struct http_reply {
	unsigned status;
	struct str type; /* Content-Type; empty sends none */
	const struct http_field *fields; /* further header fields */
	size_t fields_len;
	struct str body;
};

/* A request that we send. */
struct http_call {
	struct str method;
	struct str url; /* absolute */
	const struct http_field *fields;
	size_t fields_len;
	struct str body;
};

/* The value of the first field of that name (any case), or {NULL, 0}. */
struct str http_field_get(const struct http_field *fields, size_t len, struct str name);

#endif
