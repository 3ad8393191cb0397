/*
 * Handing over what a commit wrote. The engine's thread alone writes and checkpoints (finding 5),
 * so between its commit and its next statement nobody else touches the WAL: its frames are read
 * back through SQLite's own file, without another descriptor (F-B12).
 */
#include "sqlite_ship.h"

#include <time.h>

#define WAL_HEADER 32
#define FRAME_HEADER 24

static uint32_t big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static sqlite3_file *wal_of(struct sqlite_store *store)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(store->db.handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) !=
			SQLITE_OK ||
		file == NULL || file->pMethods == NULL)
		return NULL;
	return file;
}

/* After a checkpoint the WAL begins anew, with another salt. */
static bool read_header(struct ship *ship, sqlite3_file *wal)
{
	unsigned char header[WAL_HEADER];

	if (wal->pMethods->xRead(wal, header, sizeof(header), 0) != SQLITE_OK)
		return false;
	if (memcmp(ship->salt, header + 16, sizeof(ship->salt)) != 0)
		ship->taken = 0;
	memcpy(ship->salt, header + 16, sizeof(ship->salt));
	ship->page_size = big_endian(header + 8);
	return ship->page_size >= 512 && ship->page_size <= 65536;
}

static bool read_frames(struct ship *ship, sqlite3_file *wal, int frames, struct ship_pages *out)
{
	size_t frame = FRAME_HEADER + ship->page_size;
	sqlite3_int64 at = WAL_HEADER + (sqlite3_int64)ship->taken * (sqlite3_int64)frame;

	for (int i = ship->taken; i < frames; i++, at += (sqlite3_int64)frame) {
		unsigned char header[FRAME_HEADER], *to = out->bytes + out->n;

		if (wal->pMethods->xRead(wal, header, sizeof(header), at) != SQLITE_OK ||
			memcmp(header + 8, ship->salt, sizeof(ship->salt)) != 0)
			return false;
		for (int k = 0; k < 4; k++)
			to[k] = header[3 - k];
		if (wal->pMethods->xRead(wal, to + 4, (int)ship->page_size, at + FRAME_HEADER) !=
			SQLITE_OK)
			return false;
		if (big_endian(header + 4) != 0)
			out->pages_after = big_endian(header + 4);
		out->n += 4 + ship->page_size;
		out->count++;
	}
	return true;
}

void ship_commit(struct sqlite_store *store)
{
	struct ship *ship = &store->ship;
	struct ship_pages pages = {0};
	sqlite3_file *wal = wal_of(store);
	int frames = store->wal_frames;
	bool is_read = wal != NULL && read_header(ship, wal);

	/* A commit that changed nothing. */
	if (is_read && frames <= ship->taken)
		return;
	pages.page_size = ship->page_size;
	if (is_read)
		pages.bytes = malloc((size_t)(frames - ship->taken) * (4 + ship->page_size));
	is_read = is_read && pages.bytes != NULL && read_frames(ship, wal, frames, &pages);
	ship->taken = frames;
	if (!is_read) {
		free(pages.bytes);
		pages = (struct ship_pages){0};
	}
	ship->take(ship->ctx, &pages);
}

void ship_settle(struct store *base)
{
	struct ship *ship = &sqlite_store_of(base)->ship;
	unsigned turn = atomic_load(&ship->turn);
	const struct timespec pause = {0, 1000 * 1000};

	while ((turn & 1) != 0 && atomic_load(&ship->turn) == turn)
		(void)nanosleep(&pause, NULL);
}

void store_sqlite_ship(
	struct store *base, void (*take)(void *ctx, struct ship_pages *pages), void *ctx)
{
	struct sqlite_store *store = sqlite_store_of(base);

	store->ship.take = take;
	store->ship.ctx = ctx;
	memset(store->ship.salt, 0, sizeof(store->ship.salt));
}
