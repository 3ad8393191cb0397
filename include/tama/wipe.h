/*
 * An allocator for libraries that handle what is secret: what they give back is wiped first, so
 * that no key or code outlives its use in memory that nobody owns. Each is a drop-in for the
 * function of its name; any thread.
 */
#ifndef TAMA_WIPE_H
#define TAMA_WIPE_H

#include <stddef.h>

void *wipe_malloc(size_t n);
void *wipe_calloc(size_t n, size_t size);
/* Moves whenever it grows, because what is left behind must be ours to wipe. */
void *wipe_realloc(void *p, size_t n);
char *wipe_strdup(const char *text);
void wipe_free(void *p);

#endif
