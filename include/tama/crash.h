/*
 * Named places where a process may die (K1 to K30 of reliability.md 3.1). In test builds the
 * environment arms one: TAMA_CRASH=K12 kills the process with SIGKILL the first time it gets there,
 * TAMA_CRASH=K12:3 the third time; TAMA_CRASH=stop:K12 stops it instead, as a suspended machine
 * would be, until SIGCONT. In release builds nothing is left of them.
 */
#ifndef TAMA_CRASH_H
#define TAMA_CRASH_H

#ifdef TAMA_TEST
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
