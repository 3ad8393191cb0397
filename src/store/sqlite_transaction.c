/*
 * Begin, savepoints, commit. The commit is where money is lost or not: its error is a doubt unless
 * SQLite proves that it wrote nothing (finding 2).
 */
#include "sqlite_ship.h"

#include "tama/crash.h"
#include "tama/mutant.h"

/* Pages in the WAL from which a commit is followed by a checkpoint: about 4 MiB. */
#define CHECKPOINT_FRAMES 1000

/* A statement without parameters or rows. An SQLite result code. */
static int run(struct db *db, enum statement statement)
{
	int rc = sqlite3_step(db->statements[statement]);

	(void)sqlite3_reset(db->statements[statement]);
	return rc;
}

int sqlite_begin(struct store *base, struct err *err)
{
	struct sqlite_store *store = sqlite_store_of(base);
	struct db *db = &store->db;

	tama_assert(!db->in_transaction);
	if (store->is_in_doubt)
		return err_set(
			err, TAMA_EDOUBT, "an earlier commit is in doubt: open the store anew");
	if (store->is_disk_suspect)
		return err_set(
			err, TAMA_EDOUBT, "the disk refused a checkpoint: open the store anew");
	int rc = run(db, ST_BEGIN);
	if (rc != SQLITE_DONE)
		return err_set(err, TAMA_EIO, "no transaction begins: SQLite %d: %s", rc,
			sqlite3_errmsg(db->handle));
	db->in_transaction = true;
	db->is_failed = false;
	db->error.text[0] = '\0';
	store->depth = 0;
	store->persons.has_new = false;
	store->changes_at_begin = sqlite3_total_changes(db->handle);
	store->mark.raising = 0;
	return 0;
}

/* A savepoint that cannot be made, kept or undone leaves a transaction that nobody may commit. */
static int run_savepoint(struct sqlite_store *store, enum statement statement)
{
	tama_assert(store->db.in_transaction);
	if (store->db.is_failed)
		return TAMA_EIO;
	return db_result(&store->db, run(&store->db, statement));
}

int sqlite_savepoint(struct store *base)
{
	struct sqlite_store *store = sqlite_store_of(base);
	int result = run_savepoint(store, ST_SAVEPOINT);

	if (result == 0)
		store->depth++;
	return result;
}

int sqlite_release(struct store *base)
{
	struct sqlite_store *store = sqlite_store_of(base);

	tama_assert(store->depth > 0 || store->db.is_failed);
	int result = run_savepoint(store, ST_RELEASE);
	if (result == 0)
		store->depth--;
	return result;
}

int sqlite_rollback_to(struct store *base)
{
	struct sqlite_store *store = sqlite_store_of(base);

	tama_assert(store->depth > 0 || store->db.is_failed);
	person_cache_rollback(&store->persons);
	int result = run_savepoint(store, ST_ROLLBACK_TO);
	if (result == 0)
		result = run_savepoint(store, ST_RELEASE);
	if (result == 0)
		store->depth--;
	return result;
}

void sqlite_rollback(struct store *base)
{
	struct sqlite_store *store = sqlite_store_of(base);

	tama_assert(store->db.in_transaction);
	person_cache_rollback(&store->persons);
	/* After some errors SQLite has rolled back by itself. */
	if (!sqlite3_get_autocommit(store->db.handle)) {
		int rc = run(&store->db, ST_ROLLBACK);
		tama_assert(rc == SQLITE_DONE || sqlite3_get_autocommit(store->db.handle));
	}
	store->db.in_transaction = false;
	store->db.is_failed = false;
}

/*
 * Only here are pages moved from the WAL to the database. If that fails, the kernel may have
 * dropped what it could not write while calling it clean, and the next checkpoint would believe it:
 * the commit stands, but no further transaction begins.
 */
static void checkpoint(struct sqlite_store *store)
{
	if (store->wal_frames < CHECKPOINT_FRAMES)
		return;
	CRASH_POINT("K25");
	int rc = sqlite3_wal_checkpoint_v2(
		store->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	CRASH_POINT("K25");
	if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
		store->is_disk_suspect = true;
	store->wal_frames = 0;
}

/* The turn is odd as long as a commit may be there that nobody has been told of. */
static int run_commit(struct sqlite_store *store)
{
	atomic_fetch_add(&store->ship.turn, 1);
	int rc = run(&store->db, ST_COMMIT);
	if (rc == SQLITE_DONE && store->ship.take != NULL)
		ship_commit(store);
	atomic_fetch_add(&store->ship.turn, 1);
	return rc;
}

int sqlite_commit(struct store *base, struct err *err)
{
	struct sqlite_store *store = sqlite_store_of(base);
	struct db *db = &store->db;

	tama_assert(db->in_transaction);
	tama_assert(store->depth == 0 || db->is_failed);
	if (db->is_failed) {
		(void)err_set(err, TAMA_EIO, "not committed: %s", db->error.text);
		sqlite_rollback(base);
		return TAMA_EIO;
	}
	int rc = run_commit(store);
	if (rc == SQLITE_DONE) {
		db->in_transaction = false;
		checkpoint(store);
		return 0;
	}
	(void)err_set(err, TAMA_EIO, "COMMIT: SQLite %d (%s): %s", rc, sqlite3_errstr(rc),
		sqlite3_errmsg(db->handle));
	/* Refused for a lock, with the transaction still open: no byte of it was written. */
	bool is_certainly_not = (rc == SQLITE_BUSY && !sqlite3_get_autocommit(db->handle)) ||
				MUTANT(COMMIT_ERROR_IS_ROLLBACK);
	sqlite_rollback(base);
	if (is_certainly_not)
		return TAMA_EIO;
	/* Closing must not tidy the evidence away: the next open looks at the WAL as it is. */
	store->is_in_doubt = true;
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return TAMA_EDOUBT;
}
