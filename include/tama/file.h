/*
 * Writing files that must be whole. A write may be cut short or interrupted (reliability.md F-B13):
 * neither is a failure, and nothing is durable before it is synced.
 */
#ifndef TAMA_FILE_H
#define TAMA_FILE_H

#include <stddef.h>

/* All n bytes, however often it takes. 0, or TAMA_EIO with errno as write() left it. */
int file_write_all(int fd, const void *bytes, size_t n);

/*
 * What root makes in a directory (a path below the descriptor `at`, as openat() takes it) belongs
 * to the directory's owner, who could not open it else. 0 also for everybody but root; TAMA_EIO.
 */
int file_give_to_owner(int fd, int at, const char *dir);

#endif
