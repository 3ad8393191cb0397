/* A data directory out of a backup or a standby. */
#include "sqlite_copy.h"
#include "sqlite_standby.h"

#include "tama/file.h"
#include "tama/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct err *err, const char *path)
{
	return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static int copy_bytes(int from, int to)
{
	char block[64 * 1024];
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) > 0)
		if (file_write_all(to, block, (size_t)n) != 0)
			return TAMA_EIO;
	return n == 0 && fsync(to) == 0 ? 0 : TAMA_EIO;
}

/* Under another name until all of it is checked: a restore that broke off leaves no store. */
static int copy_file(const char *from, const char *to, struct err *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = in >= 0 ? open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	int rc = in < 0 ? fail(err, from) : out < 0 ? fail(err, to) : 0;

	if (rc == 0 && copy_bytes(in, out) != 0)
		rc = fail(err, to);
	if (in >= 0)
		(void)close(in);
	if (out >= 0)
		(void)close(out);
	return rc;
}

static int check_copy(const char *path, const struct manifest *manifest, struct err *err)
{
	unsigned char hash[MANIFEST_HASH];
	int64_t bytes = 0;
	int rc = file_digest(path, hash, &bytes, err);

	if (rc != 0)
		return rc;
	if (bytes != manifest->bytes || sodium_memcmp(hash, manifest->hash, MANIFEST_HASH) != 0)
		return err_set(err, TAMA_EAUTH,
			"the copy is not what its manifest says (%lld bytes of %lld)",
			(long long)bytes, (long long)manifest->bytes);
	return 0;
}

/* ---- the log of a standby ----------------------------------------------------------------------
 */

static int apply_pages(int fd, const struct standby_record *r, const unsigned char *pages)
{
	for (uint32_t i = 0; i < r->count; i++, pages += 4 + r->page_size) {
		uint32_t number = (uint32_t)pages[0] | (uint32_t)pages[1] << 8 |
				  (uint32_t)pages[2] << 16 | (uint32_t)pages[3] << 24;

		if (number == 0 || pwrite(fd, pages + 4, r->page_size,
					   (off_t)(number - 1) * r->page_size) != r->page_size)
			return TAMA_EIO;
	}
	return ftruncate(fd, (off_t)r->pages_after * r->page_size) == 0 ? 0 : TAMA_EIO;
}

struct applying {
	int fd;
	struct restored *out;
};

static int apply_record(void *ctx, const struct standby_record *r, const unsigned char *pages)
{
	struct applying *a = ctx;

	a->out->to_ms = r->made_ms;
	a->out->records++;
	return apply_pages(a->fd, r, pages);
}

static int apply_log(const char *source, const char *path, struct restored *out, struct err *err)
{
	struct applying a = {.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW), .out = out};
	int64_t reached = 0;
	int rc = a.fd >= 0 ? 0 : fail(err, path);

	if (rc == 0)
		rc = standby_read(source, out->manifest.life, out->manifest.first, apply_record, &a,
			&reached, err);
	if (rc == 0 && reached < out->manifest.needed)
		rc = err_set(err, TAMA_EINVAL,
			"the log ends at record %lld, and its base wants %lld: not whole",
			(long long)reached, (long long)out->manifest.needed);
	if (rc == 0 && fsync(a.fd) != 0)
		rc = fail(err, path);
	if (a.fd >= 0)
		(void)close(a.fd);
	return rc;
}

/* ---- the directory -----------------------------------------------------------------------------
 */

/* Beside the store's place; what SQLite keeps beside it begins with the same name. */
#define NEW "tama.db.new"

/* An earlier restore that broke off leaves these; the lock stays for ever. */
static bool is_leftover(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 ||
	       strncmp(name, NEW, sizeof(NEW) - 1) == 0;
}

/* Nothing there may be overwritten, so there is nothing but what a restore left. */
static int check_bare(const char *path, struct err *err)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool is_store = false, is_bare = true;

	if (dir == NULL)
		return fail(err, path);
	while ((entry = readdir(dir)) != NULL) {
		is_store |= strcmp(entry->d_name, "tama.db") == 0;
		is_bare &= is_leftover(entry->d_name);
	}
	(void)closedir(dir);
	if (is_store)
		return err_set(err, TAMA_EEXIST,
			"%s holds a store already: move it away, or restore to another directory",
			path);
	return is_bare ? 0 : err_set(err, TAMA_EEXIST, "%s is not empty", path);
}

static int remove_file(const char *path, const char *suffix, struct err *err)
{
	char name[PATH_MAX + 16];

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	return unlink(name) == 0 || errno == ENOENT ? 0 : fail(err, name);
}

static int remove_beside(const char *path, struct err *err)
{
	int rc = remove_file(path, "-wal", err);

	if (rc == 0)
		rc = remove_file(path, "-shm", err);
	return rc == 0 ? remove_file(path, "-journal", err) : rc;
}

/* Bare, ours alone and locked: asked before the lock too, which is a file in somebody's folder. */
static int take_directory(
	struct str dir, const char *path, const char *new_path, int *lock_fd, struct err *err)
{
	int rc = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : fail(err, path);

	if (rc == 0)
		rc = directory_check(path, err);
	if (rc == 0)
		rc = check_bare(path, err);
	if (rc == 0)
		rc = store_lock(dir, lock_fd, err);
	if (rc == 0)
		rc = check_bare(path, err);
	if (rc == 0)
		rc = remove_file(new_path, "", err);
	return rc == 0 ? remove_beside(new_path, err) : rc;
}

/* ---- the store ---------------------------------------------------------------------------------
 */

static int check_integrity(struct db *db, const char *path, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *said = "no answer";
	int rc = TAMA_EIO;

	if (sqlite3_prepare_v2(db->handle, "PRAGMA integrity_check(1)", -1, &stmt, NULL) ==
			SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW)
		said = (const char *)sqlite3_column_text(stmt, 0);
	if (said != NULL && strcmp(said, "ok") == 0)
		rc = 0;
	else
		(void)err_set(err, rc, "%s: %s", path, said);
	(void)sqlite3_finalize(stmt);
	return rc;
}

/* In one commit. A generation behind any mark makes the next start take nothing for unsent. */
static int hold(struct db *db, const char *reason)
{
	static const char sql[] =
		"INSERT INTO hold (id, partner, account, reason, since_ms)"
		" SELECT max(?2 << 20, (SELECT ifnull(max(id), 0) + 1 FROM hold)), 0, '*', ?1, ?2"
		" WHERE NOT EXISTS (SELECT 1 FROM hold WHERE partner = 0 AND account = '*'"
		" AND released_ms IS NULL)";
	sqlite3_stmt *stmt = NULL;
	int rc = db_exec(db, "BEGIN IMMEDIATE", NULL);

	if (rc == 0)
		rc = db_exec(db, "UPDATE meta SET generation = max(1, generation - 1)", NULL);
	if (rc == 0 && (sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) != SQLITE_OK ||
			       sqlite3_bind_text(stmt, 1, reason, -1, SQLITE_STATIC) != SQLITE_OK ||
			       sqlite3_bind_int64(stmt, 2, clock_wall_ms()) != SQLITE_OK ||
			       sqlite3_step(stmt) != SQLITE_DONE))
		rc = TAMA_EIO;
	(void)sqlite3_finalize(stmt);
	return rc == 0 ? db_exec(db, "COMMIT", NULL) : rc;
}

/*
 * Checked and held while it has no place yet. By itself and not through the store's verbs: those
 * want the key, and opening a store to work begins a life of its own. All of it is in the one file
 * afterwards, because a rename takes no WAL along.
 */
static int hold_store(const char *path, const char *reason, struct err *err)
{
	struct db db = {0};
	int rc = db_open(&db, path, SQLITE_OPEN_READWRITE, err);

	if (rc == 0)
		rc = check_integrity(&db, path, err);
	if (rc == 0)
		rc = db_set_pragmas(&db, DB_WRITER, err);
	if (rc == 0 && (hold(&db, reason) != 0 ||
			       sqlite3_wal_checkpoint_v2(db.handle, NULL,
				       SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK))
		rc = err_set(err, TAMA_EIO, "%s: %s", path, sqlite3_errmsg(db.handle));
	db_close(&db);
	return rc == 0 ? remove_beside(path, err) : rc;
}

/* Until here there is no store, from here on there is one that is held. */
static int put_in_place(const char *dir, const char *from, const char *path, struct err *err)
{
	if (rename(from, path) != 0)
		return fail(err, path);
	if (directory_sync(dir, NULL) == 0)
		return 0;
	return err_set(err, TAMA_EIO,
		"%s: %s; the store stands there, held, but may be gone after a power cut: sync, "
		"then tama verify",
		dir, strerror(errno));
}

static int find_source(
	const char *source, char *file, size_t size, struct restored *out, struct err *err)
{
	char path[PATH_MAX];
	struct stat st;

	*out = (struct restored){0};
	(void)snprintf(path, sizeof(path), "%s/manifest.json", source);
	if (lstat(path, &st) == 0) {
		(void)snprintf(file, size, "%s/tama.db", source);
		int rc = manifest_read(path, &out->manifest, err);
		out->to_ms = out->manifest.made_ms;
		return rc;
	}
	out->is_standby = true;
	return standby_find(source, &out->manifest, file, size, err);
}

int store_restore(const char *source, struct str dir, const char *reason, struct restored *out,
	struct err *err)
{
	char from[PATH_MAX], path[PATH_MAX], data[PATH_MAX], new_path[PATH_MAX + 8];
	int lock_fd = -1, rc = find_source(source, from, sizeof(from), out, err);

	if (rc == 0)
		rc = db_path(dir, path, err);
	if (rc != 0)
		return rc;
	(void)snprintf(data, sizeof(data), "%.*s", STR_ARG(dir));
	(void)snprintf(new_path, sizeof(new_path), "%s.new", path);
	out->to_ms = out->manifest.made_ms;
	rc = take_directory(dir, data, new_path, &lock_fd, err);
	if (rc == 0)
		rc = copy_file(from, new_path, err);
	if (rc == 0)
		rc = check_copy(new_path, &out->manifest, err);
	if (rc == 0 && out->is_standby)
		rc = apply_log(source, new_path, out, err);
	if (rc == 0)
		rc = hold_store(new_path, reason, err);
	if (rc == 0)
		rc = put_in_place(data, new_path, path, err);
	if (lock_fd >= 0)
		(void)close(lock_fd);
	return rc;
}
