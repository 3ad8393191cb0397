/*
 * A piece of text with its length. Text inside Tama is a struct str; NUL-terminated strings exist
 * only at the edge of a library. A str borrows: it dies with whoever owns the bytes. Bytes from
 * outside may hold NUL (Kannel's %A does), so nothing here stops at one.
 */
#ifndef TAMA_STR_H
#define TAMA_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

/* A string literal as a str, in code and in static initialisers. */
#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_INIT(lit)                                                                              \
	{                                                                                          \
		"" lit, sizeof(lit) - 1                                                            \
	}

/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).n, (s).p != NULL ? (s).p : ""

/* The text of a C string; NULL gives the empty str. */
static inline struct str str_c(const char *c)
{
	return (struct str){c, c != NULL ? strlen(c) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equal but for the case of ASCII letters. */
bool str_eq_nocase(struct str a, struct str b);

bool str_has_prefix(struct str s, struct str prefix);

/* The part of s from offset on; empty when offset is beyond the end. */
static inline struct str str_from(struct str s, size_t offset)
{
	if (offset >= s.n)
		return (struct str){s.p != NULL ? s.p + s.n : NULL, 0};
	return (struct str){s.p + offset, s.n - offset};
}

/* Without ASCII white space at both ends. */
struct str str_trim(struct str s);

/* Offset of the first c in s, or -1. */
ptrdiff_t str_find(struct str s, char c);

/*
 * Cuts the text before the next sep off *rest and returns it; *rest is what follows the sep. At the
 * end returns what is left and sets *rest to {NULL, 0}; a loop ends when rest->p is NULL.
 */
struct str str_cut(struct str *rest, char sep);

/* A whole decimal number from 0 to INT64_MAX with digits only; false (and *out untouched) else. */
bool str_to_i64(struct str s, int64_t *out);

/*
 * True when the bytes are well-formed UTF-8 without NUL or other control characters but \n, and
 * without the marks that override the reading direction (reliability.md F-J3).
 */
bool str_is_clean_utf8(struct str s);

#endif
