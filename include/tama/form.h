/*
 * application/x-www-form-urlencoded text: query strings, form bodies and cookies' cousins. Values
 * carry their length; "%00" decodes to a NUL byte like any other.
 */
#ifndef TAMA_FORM_H
#define TAMA_FORM_H

#include "tama/arena.h"
#include "tama/str.h"

struct form_field {
	struct str name;
	struct str value;
};

struct form {
	struct form_field *fields;
	size_t n;
};

/*
 * Splits and decodes. 0; TAMA_EINVAL on a broken %-escape; TAMA_ELIMIT past 64 fields; TAMA_ENOMEM.
 * Fields with an empty name are dropped (Flares sends "&=&=en"). Memory is the arena's.
 */
int form_parse(struct str text, struct arena *arena, struct form *out);

/* The first value of that name, or {NULL, 0}. Case matters. */
struct str form_get(const struct form *form, struct str name);

/* How many fields have that name: a repeated field is malformed where one is expected. */
size_t form_count(const struct form *form, struct str name);

/* %-decoding of one path segment ('+' stays '+'). 0, TAMA_EINVAL (also for %00), TAMA_ENOMEM. */
int form_unescape_path(struct str s, struct arena *arena, struct str *out);

/* %-encodes everything but unreserved characters (RFC 3986 §2.3). */
struct str form_escape(struct str s, struct arena *arena);

#endif
