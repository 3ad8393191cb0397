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

/* Opened once as SQLite would: whole, of one piece, and without a WAL afterwards. */
static int check_store(const char *path, struct err *err)
{
	struct db db = {0};
	int rc = db_open(&db, path, SQLITE_OPEN_READWRITE, err);

	if (rc == 0)
		rc = check_integrity(&db, path, err);
	db_close(&db);
	return rc;
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

int store_restore(const char *source, struct str dir, struct restored *out, struct err *err)
{
	char from[PATH_MAX], path[PATH_MAX], data[PATH_MAX], beside[PATH_MAX + 8];
	int rc = find_source(source, from, sizeof(from), out, err);

	if (rc == 0)
		rc = db_path(dir, path, err);
	if (rc != 0)
		return rc;
	(void)snprintf(data, sizeof(data), "%.*s", STR_ARG(dir));
	(void)snprintf(beside, sizeof(beside), "%s.new", path);
	rc = directory_make(data, err);
	if (rc != 0)
		return rc;
	out->to_ms = out->manifest.made_ms;
	rc = copy_file(from, beside, err);
	if (rc == 0)
		rc = check_copy(beside, &out->manifest, err);
	if (rc == 0 && out->is_standby)
		rc = apply_log(source, beside, out, err);
	if (rc == 0)
		rc = check_store(beside, err);
	if (rc == 0 && rename(beside, path) != 0)
		rc = fail(err, path);
	return rc == 0 ? directory_sync(data, err) : rc;
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
 * By itself and not through the store's verbs: those want the key, and opening a store to work
 * begins a life of its own.
 */
int store_hold_all(struct str dir, const char *reason, struct err *err)
{
	struct db db = {0};
	char path[PATH_MAX];
	int lock = -1, rc = store_lock(dir, &lock, err);

	if (rc == 0)
		rc = db_path(dir, path, err);
	if (rc == 0)
		rc = db_open(&db, path, SQLITE_OPEN_READWRITE, err);
	if (rc == 0)
		rc = db_set_pragmas(&db, DB_WRITER, err);
	if (rc == 0 && hold(&db, reason) != 0)
		rc = err_set(err, TAMA_EIO, "%s: %s", path, sqlite3_errmsg(db.handle));
	db_close(&db);
	if (lock >= 0)
		(void)close(lock);
	return rc;
}
