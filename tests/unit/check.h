/* What every unit test starts with: cmocka, and a comparison of struct str that prints both. */
#ifndef TAMA_CHECK_H
#define TAMA_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tama/str.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static inline void check_str_at(struct str got, struct str want, const char *file, int line)
{
	if (str_eq(got, want))
		return;
	print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(got), STR_ARG(want));
	_fail(file, line);
}

#define check_str(got, want) check_str_at((got), str_c(want), __FILE__, __LINE__)

#endif
