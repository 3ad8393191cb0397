/*
 * Plays an exchange against a dialect: a text file of what went over the wire and what it means.
 * docs/dialects.md "Testing by exchange" describes the format; the unit tests, `tama check` and the
 * documentation's own examples use the same player. Nothing is sent anywhere.
 */
#ifndef TAMA_DIALECT_PLAY_H
#define TAMA_DIALECT_PLAY_H

#include "tama/dialect.h"

/*
 * 0 when everything came out as written, with the number of comparisons in *checks_out; TAMA_EINVAL
 * with "line N: ..." of the first difference or of a mistake in the file itself; a file that
 * compares nothing is a mistake too.
 */
int dialect_play(struct dialect_host *host, enum dialect_kind kind, struct str dialect,
	struct str exchange, unsigned *checks_out, struct err *err);

#endif
