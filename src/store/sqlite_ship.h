/* What commits write, handed to whoever keeps a copy. */
#ifndef TAMA_SQLITE_SHIP_H
#define TAMA_SQLITE_SHIP_H

#include "sqlite_priv.h"

/* Whole pages, each behind its number (u32, little-endian). */
struct ship_pages {
	unsigned char *bytes; /* malloc'ed, the taker's; NULL: the commit could not be read */
	size_t n, count;
	uint32_t page_size;
	uint32_t pages_after; /* length of the database after it */
};

/*
 * From the next commit on, take is called after each, on the committing thread, before anything of
 * it is checkpointed. NULL ends it.
 */
void store_sqlite_ship(
	struct store *store, void (*take)(void *ctx, struct ship_pages *pages), void *ctx);

/* Called by sqlite_commit after a commit that stands, where somebody takes. */
void ship_commit(struct sqlite_store *store);

/*
 * From another thread: returns once no commit that was under way at the call is still to be handed
 * over. A snapshot taken before it holds nothing that was not handed over after it.
 */
void ship_settle(struct store *store);

#endif
