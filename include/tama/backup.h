/*
 * Copies of a store. A backup is taken of a running server or a store at rest, in one consistent
 * piece; a standby is kept current on another disk, commit by commit; both can be restored into an
 * empty data directory. The master key is in none of them, and what rests sealed stays sealed.
 *
 * The standby. After each commit the pages that it wrote to the WAL are handed over in memory and
 * written behind it to a log of records, each with its number and a digest, synced. A base is a
 * consistent copy taken while the log is already running; each record holds whole pages, so a base
 * and all records from its `first` on give the store as of the last record, whatever of them the
 * base has already. A base without the records up to `needed` is none. What is lost with the disk
 * is what was committed and not yet synced here: told as lag, in commits and milliseconds.
 */
#ifndef TAMA_BACKUP_H
#define TAMA_BACKUP_H

#include "tama/err.h"
#include "tama/store.h"

#define MANIFEST_HASH 32

struct manifest {
	char store_id[33]; /* hex */
	int64_t schema, generation, incarnation;
	int64_t last_id, purchases;
	int64_t bytes;
	unsigned char hash[MANIFEST_HASH]; /* BLAKE2b-256 of the file */
	int64_t made_ms;
	/* Of a standby's base only. */
	int64_t life, first, needed;
};

/* Called between pieces of a copy; true ends it with TAMA_EIO. May be NULL. */
typedef bool (*copy_pause_fn)(void *ctx);

/*
 * Copies DIR/tama.db to DEST, a directory that is made or empty, and writes DEST/manifest.json last
 * of all. The source is read through a connection that cannot write; its one read transaction lasts
 * as long as the copy. TAMA_EINVAL, TAMA_EEXIST (not empty), TAMA_EIO with a message.
 */
int store_backup(struct str dir, const char *dest, copy_pause_fn pause, void *ctx,
	struct manifest *out, struct err *err);

/* What a restore made of its source. */
struct restored {
	struct manifest manifest;
	int64_t to_ms; /* the newest commit in it */
	int64_t records; /* of a standby's log, applied */
	bool is_standby;
};

/*
 * Makes DIR/tama.db of a backup or a standby, held: before it gets its name, every account is held
 * (table `hold`, HOLD_ALL, with the reason) and the generation set behind any mark, because what it
 * calls READY or SENDING may have been sent since, however short the time. A run that breaks off
 * leaves no store, and the next begins anew. Refuses a data directory that holds anything else, a
 * copy without a manifest and one that differs from it; SQLite checks the store. Runs without the
 * key. TAMA_EEXIST, TAMA_EINVAL, TAMA_EAUTH (digest), TAMA_ECONFLICT (somebody holds the
 * directory's lock), TAMA_EIO.
 */
int store_restore(const char *source, struct str dir, const char *reason, struct restored *out,
	struct err *err);

/* ---- standby -----------------------------------------------------------------------------------
 */

struct standby;

struct standby_config {
	struct str dir; /* of the copy: there, and 0700 */
	struct str data_dir;
	struct store *store; /* a disk-based one, opened, not yet used by another thread */
	/* One line for the operator. */
	void (*alarm)(void *ctx, const char *what, const char *detail);
	void *ctx;
};

struct standby_stats {
	uint64_t commits; /* since the start */
	uint64_t shipped; /* of them, durable on the other disk */
	int64_t lag_ms; /* age of the oldest commit that is not; 0: none */
	uint64_t bases, bytes, failures;
	bool is_whole; /* a base and its log of this life are complete */
};

/*
 * From here on every commit of the store is handed over. A standby that fails, or whose directory
 * is not there, is told by alarm and begun anew; money never waits for it. TAMA_ECONFLICT, and *out
 * NULL, when the directory holds another store's standby or a later life of this one.
 */
int standby_start(const struct standby_config *config, struct standby **out, struct err *err);
/* Writes what waits, for at most some seconds; the store takes no more commits then. */
void standby_stop(struct standby **standby);
void standby_stats(struct standby *standby, struct standby_stats *out);

#endif
