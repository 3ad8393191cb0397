/*
 * What went wrong, for the person who can act on it. A function that can fail returns 0 or a
 * negative enum tama_err, and where a sentence helps it takes a struct err from its caller. The
 * first message wins, so cleaning up after a failure cannot hide its cause.
 */
#ifndef TAMA_ERR_H
#define TAMA_ERR_H

enum tama_err {
	TAMA_OK = 0,
	TAMA_EINVAL = -1, /* the input breaks a rule stated in the header */
	TAMA_ENOMEM = -2, /* an arena's or buffer's ceiling was reached */
	TAMA_ENOTFOUND = -3, /* nothing by that name or key */
	TAMA_EEXIST = -4, /* it is there already */
	TAMA_EFULL = -5, /* a bounded queue or table is full: try again later */
	TAMA_ELIMIT = -6, /* a script or message went past its budget */
	TAMA_ESCRIPT = -7, /* a Lua script erred */
	TAMA_EIO = -8, /* disk or network */
	TAMA_EAUTH = -9, /* wrong secret, signature or source */
	TAMA_EDOUBT = -10, /* it may or may not have happened: look, never guess */
	TAMA_ECONFLICT = -11, /* compare-and-set lost: somebody was here before */
};

struct err {
	char text[512];
};

/* An empty err to hand down. */
#define ERR_INIT                                                                                   \
	{                                                                                          \
		""                                                                                 \
	}

/* Formats the message unless one is there already; always returns code. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Aborts with file, line and the claim. Stays on in release; for our bugs, never for input. */
#define tama_assert(claim) ((claim) ? (void)0 : tama_assert_failed(#claim, __FILE__, __LINE__))
_Noreturn void tama_assert_failed(const char *claim, const char *file, int line);

#endif
