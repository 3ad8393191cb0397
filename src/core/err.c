/* Messages of failures, and the end of the program when a claim of ours does not hold. */
#include "tama/err.h"

#include <stdarg.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	if (err == NULL || err->text[0] != '\0')
		return code;
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}

_Noreturn void tama_assert_failed(const char *claim, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
	abort();
}
