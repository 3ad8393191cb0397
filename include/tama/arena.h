/*
 * Memory of one turn (one hop, one IPN, one reply). Everything a turn allocates comes from its
 * arena and goes with it; nothing is freed singly. The arena has a ceiling: past it every call
 * returns NULL (or the empty str) and arena_overflowed() says so, which the turn tests once before
 * it answers.
 */
#ifndef TAMA_ARENA_H
#define TAMA_ARENA_H

#include "tama/str.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used;
	size_t max;
	bool overflowed;
};

/* Makes an empty arena that will never hold more than max bytes. Allocates nothing yet. */
void arena_init(struct arena *arena, size_t max);

/* Gives everything back; the arena is then as after arena_init. */
void arena_fini(struct arena *arena);

/* Forgets everything but keeps the first block for the next turn. Clears the overflow flag. */
void arena_reset(struct arena *arena);

/* n zeroed bytes aligned for any object; NULL on overflow. n may be 0. */
void *arena_alloc(struct arena *arena, size_t n);

/* A NUL-terminated copy (the NUL is not counted). {NULL, 0} on overflow. */
struct str arena_str(struct arena *arena, struct str s);
struct str arena_printf(struct arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static inline bool arena_overflowed(const struct arena *arena)
{
	return arena->overflowed;
}

#endif
