/* From a directory to a store that may be trusted: files, lock, connection, incarnation. */
#include "sqlite_priv.h"

#include "tama/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A backup tool or a shell may hold the lock for a moment (F-B7); beyond it the turn is refused. */
#define BUSY_MS 2000

/* ---- files
 * ----------------------------------------------------------------------------------------- */

static int check_private(const char *path, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	if ((st.st_mode & 077) != 0)
		return err_set(err, TAMA_EINVAL, "%s is open to others (mode %03o): chmod go= it",
			path, st.st_mode & 0777u);
	return 0;
}

static int open_dir(const char *path, int *fd_out, struct err *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	*fd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd_out < 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	return check_private(path, *fd_out, err);
}

/* The lock is held for life: whoever has it knows that no earlier process can still send (2.5). */
static int take_lock(int dir, int *fd_out, struct err *err)
{
	*fd_out = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd_out < 0 || file_give_to_owner(*fd_out, dir, ".") != 0)
		return err_set(err, TAMA_EIO, "the lock file: %s", strerror(errno));
	if (flock(*fd_out, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, TAMA_ECONFLICT, "another tama holds the data directory");
	return err_set(err, TAMA_EIO, "the lock file: %s", strerror(errno));
}

/*
 * SQLite would make the file readable to others; those beside it take its mode. Only a file that
 * was not there is opened here, under the lock: closing any other descriptor of a database drops
 * the locks that SQLite holds on it (F-B12).
 */
static int make_file(const char *path, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno != EEXIST || lstat(path, &st) != 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
		return err_set(err, TAMA_EINVAL, "%s is no file of ours alone (mode %03o)", path,
			st.st_mode & 0777u);
	return 0;
}

int db_path(struct str dir, char *out, struct err *err)
{
	if (dir.n == 0 || dir.n + sizeof("/tama.db") > PATH_MAX ||
		memchr(dir.p, '\0', dir.n) != NULL)
		return err_set(err, TAMA_EINVAL, "the data directory's name is empty or too long");
	(void)snprintf(out, PATH_MAX, "%.*s/tama.db", STR_ARG(dir));
	return 0;
}

int store_lock(struct str dir, int *fd_out, struct err *err)
{
	char path[PATH_MAX];
	int dir_fd, rc = db_path(dir, path, err);

	if (rc != 0)
		return rc;
	(void)snprintf(path, sizeof(path), "%.*s", STR_ARG(dir));
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	rc = take_lock(dir_fd, fd_out, err);
	(void)close(dir_fd);
	if (rc != 0 && *fd_out >= 0) {
		(void)close(*fd_out);
		*fd_out = -1;
	}
	return rc;
}

static int open_files(struct sqlite_store *store, struct str dir, char *path, struct err *err)
{
	char dir_path[PATH_MAX];
	int dir_fd = -1;
	int result = db_path(dir, path, err);

	if (result != 0)
		return result;
	(void)snprintf(dir_path, sizeof(dir_path), "%.*s", STR_ARG(dir));
	result = open_dir(dir_path, &dir_fd, err);
	if (result == 0 && store->lock_fd < 0)
		result = take_lock(dir_fd, &store->lock_fd, err);
	if (result == 0)
		result = make_file(path, err);
	if (dir_fd >= 0)
		close(dir_fd);
	return result;
}

/* ---- the store
 * ------------------------------------------------------------------------------------- */

static int note_wal_frames(void *ctx, sqlite3 *handle, const char *name, int frames)
{
	struct sqlite_store *store = ctx;

	store->wal_frames = frames;
	return SQLITE_OK;
}

int db_open(struct db *db, const char *path, int flags, struct err *err)
{
	int rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return err_set(err, TAMA_EIO, "%s: %s", path,
			db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	return 0;
}

static void sqlite_store_close(struct store *base)
{
	struct sqlite_store *store = sqlite_store_of(base);

	if (store->db.in_transaction)
		sqlite_rollback(base);
	mark_end_life(store);
	db_close(&store->db);
	/* Last: until here nobody else may open the file. */
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store);
}

static uint64_t sqlite_incarnation(const struct store *base)
{
	return ((const struct sqlite_store *)base)->incarnation;
}

static const struct store_ops sqlite_ops = {
	.close = sqlite_store_close,
	.begin = sqlite_begin,
	.savepoint = sqlite_savepoint,
	.release = sqlite_release,
	.rollback_to = sqlite_rollback_to,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.incarnation = sqlite_incarnation,
	.past = sqlite_past,
	.mark_raise = sqlite_mark_raise,
	.mark_write = sqlite_mark_write,
	.purchase_insert = sqlite_purchase_insert,
	.purchase_get = sqlite_purchase_get,
	.purchase_by_key = sqlite_purchase_by_key,
	.purchase_last = sqlite_purchase_last,
	.purchase_repeated = sqlite_purchase_repeated,
	.purchase_legs = sqlite_purchase_legs,
	.purchase_asked = sqlite_purchase_asked,
	.purchase_set_state = sqlite_purchase_set_state,
	.attempt_insert = sqlite_attempt_insert,
	.attempt_get = sqlite_attempt_get,
	.attempt_by_ref = sqlite_attempt_by_ref,
	.attempt_by_provider_id = sqlite_attempt_by_provider_id,
	.attempt_list = sqlite_attempt_list,
	.attempt_update = sqlite_attempt_update,
	.attempt_orphans = sqlite_attempt_orphans,
	.attempt_recent = sqlite_attempt_recent,
	.attempt_unsent = sqlite_attempt_unsent,
	.outbox_insert = sqlite_outbox_insert,
	.outbox_message = sqlite_outbox_message,
	.outbox_due = sqlite_outbox_due,
	.outbox_next_due = sqlite_outbox_next_due,
	.outbox_get = sqlite_outbox_get,
	.outbox_set_due = sqlite_outbox_set_due,
	.outbox_release = sqlite_outbox_release,
	.outbox_done = sqlite_outbox_done,
	.outbox_over = sqlite_outbox_over,
	.outbox_cancel = sqlite_outbox_cancel,
	.outbox_set_dlr = sqlite_outbox_set_dlr,
	.inbox_insert = sqlite_inbox_insert,
	.inbox_repeat = sqlite_inbox_repeat,
	.inbox_replies = sqlite_inbox_replies,
	.inbox_dismiss = sqlite_inbox_dismiss,
	.decision_insert = sqlite_decision_insert,
	.decision_open = sqlite_decision_open,
	.decision_refunds = sqlite_decision_refunds,
	.decision_close = sqlite_decision_close,
	.hold_insert = sqlite_hold_insert,
	.hold_release = sqlite_hold_release,
	.hold_list = sqlite_hold_list,
	.event_append = sqlite_event_append,
	.ledger_post = sqlite_ledger_post,
	.hop_insert = sqlite_hop_insert,
	.hop_get = sqlite_hop_get,
	.velocity_over = sqlite_velocity_over,
	.spacing_get = sqlite_spacing_get,
	.spacing_set = sqlite_spacing_set,
	.counts = sqlite_counts,
	.balance_get = sqlite_balance_get,
	.flow_get = sqlite_flow_get,
	.flow_trim = sqlite_flow_trim,
	.doubt_get = sqlite_doubt_get,
	.promises = sqlite_promises,
	.observation_insert = sqlite_observation_insert,
	.observation_last = sqlite_observation_last,
	.observation_find = sqlite_observation_find,
	.chore_find = sqlite_chore_find,
	.chores_wake = sqlite_chores_wake,
	.reconciliation_get = sqlite_reconciliation_get,
	.reconciliation_put = sqlite_reconciliation_put,
	.listing_put = sqlite_listing_put,
	.listing_of = sqlite_listing_of,
	.listing_trim = sqlite_listing_trim,
	.attempts_succeeded = sqlite_attempts_succeeded,
};

static int open_db(struct sqlite_store *store, const char *path, const struct store_config *config,
	struct err *err)
{
	enum db_mode mode = config->in_memory ? DB_MEMORY : DB_WRITER;
	struct db *db = &store->db;
	int result = db_open(db, path,
		SQLITE_OPEN_READWRITE | (mode == DB_MEMORY ? SQLITE_OPEN_MEMORY : 0), err);

	if (result == 0)
		result = db_set_pragmas(db, mode, err);
	if (result == 0)
		result = db_check_pragmas(db, mode, err);
	if (result != 0)
		return result;
	(void)sqlite3_wal_hook(db->handle, note_wal_frames, store);
	result = db_bring_schema(db, err);
	if (result == 0)
		result = db_prepare(db, err);
	if (result == 0)
		result = mark_open(store, config, err);
	if (result == 0)
		result = mark_begin_life(store, err);
	/* Once more, as an upgrade may have changed what its author did not think of (F-B17). */
	return result == 0 ? db_check_pragmas(db, mode, err) : result;
}

int store_sqlite_open(const struct store_config *config, struct store **out, struct err *err)
{
	struct sqlite_store *store = calloc(1, sizeof(*store));
	char path[PATH_MAX] = ":memory:";
	int result = 0;

	tama_assert(store != NULL && config->vault != NULL);
	store->base.ops = &sqlite_ops;
	store->db.vault = config->vault;
	store->lock_fd = config->lock > 0 ? config->lock : -1;
	if (!config->in_memory)
		result = open_files(store, config->dir, path, err);
	if (result == 0 && !config->in_memory)
		result = db_rewrite_log(path, err);
	if (result == 0)
		result = open_db(store, path, config, err);
	if (result != 0) {
		sqlite_store_close(&store->base);
		return result;
	}
	*out = &store->base;
	return 0;
}
