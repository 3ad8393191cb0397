/*
 * A list of blocks, the newest first. Bytes of a block that were not given out are always zero:
 * blocks come from calloc and are wiped when a turn is forgotten, which also keeps numbers and
 * secrets of one turn out of the next and out of a core file.
 */
#include "tama/arena.h"

#include "tama/err.h"

#include <stdalign.h>
#include <stdarg.h>

#define FIRST_BLOCK_BYTES ((size_t)16 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t cap;
	size_t used;
	alignas(max_align_t) char bytes[];
};

static void *overflow(struct arena *arena)
{
	arena->overflowed = true;
	return NULL;
}

/* What is larger than a whole block gets one of its own size. */
static struct arena_block *block_push(struct arena *arena, size_t n)
{
	size_t cap = n > FIRST_BLOCK_BYTES ? n : FIRST_BLOCK_BYTES;
	struct arena_block *block = calloc(1, sizeof(*block) + cap);
	if (block == NULL)
		return NULL;
	block->cap = cap;
	block->next = arena->head;
	arena->head = block;
	return block;
}

static void block_wipe(struct arena_block *block)
{
	explicit_bzero(block->bytes, block->used);
	block->used = 0;
}

void arena_init(struct arena *arena, size_t max)
{
	tama_assert(max <= SIZE_MAX / 2); /* so that no sum of sizes below wraps round */
	*arena = (struct arena){.max = max};
}

void arena_fini(struct arena *arena)
{
	while (arena->head != NULL) {
		struct arena_block *block = arena->head;
		arena->head = block->next;
		block_wipe(block);
		free(block);
	}
	arena_init(arena, arena->max);
}

void arena_reset(struct arena *arena)
{
	while (arena->head != NULL && arena->head->next != NULL) {
		struct arena_block *block = arena->head;
		arena->head = block->next;
		block_wipe(block);
		free(block);
	}
	if (arena->head != NULL)
		block_wipe(arena->head);
	arena->used = 0;
	arena->overflowed = false;
}

void *arena_alloc(struct arena *arena, size_t n)
{
	const size_t align = alignof(max_align_t);
	if (n > arena->max - arena->used)
		return overflow(arena);
	/* Never zero bytes, so that two pointers are never the same. */
	size_t whole = (n / align + (n % align != 0 || n == 0)) * align;
	if (whole > arena->max - arena->used)
		return overflow(arena);
	struct arena_block *block = arena->head;
	if (block == NULL || whole > block->cap - block->used)
		block = block_push(arena, whole);
	if (block == NULL)
		return overflow(arena);
	void *p = block->bytes + block->used;
	block->used += whole;
	arena->used += whole;
	return p;
}

struct str arena_str(struct arena *arena, struct str s)
{
	tama_assert(s.n < SIZE_MAX);
	char *copy = arena_alloc(arena, s.n + 1);
	if (copy == NULL)
		return (struct str){NULL, 0};
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return (struct str){copy, s.n};
}

struct str arena_printf(struct arena *arena, const char *fmt, ...)
{
	char some[160]; /* most texts fit, and are then formatted only once */
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(some, sizeof(some), fmt, args);
	va_end(args);
	tama_assert(n >= 0);
	if ((size_t)n < sizeof(some))
		return arena_str(arena, (struct str){some, (size_t)n});
	char *text = arena_alloc(arena, (size_t)n + 1);
	if (text == NULL)
		return (struct str){NULL, 0};
	va_start(args, fmt);
	(void)vsnprintf(text, (size_t)n + 1, fmt, args);
	va_end(args);
	return (struct str){text, (size_t)n};
}
