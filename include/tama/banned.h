/*
 * Functions that no file of ours may call: unbounded, or with hidden state. Included by the
 * compiler's command line before every source file.
 */
#ifndef TAMA_BANNED_H
#define TAMA_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* glibc makes it a macro, and a macro cannot be poisoned quietly. */
#undef alloca
#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atof gmtime     \
	localtime alloca

#endif
