/* Copies by SQLite's own backup, inside one read transaction, so that no commit restarts them. */
#include "sqlite_copy.h"

#include "tama/crash.h"
#include "tama/file.h"
#include "tama/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_PAGES 256
#define MANIFEST_BYTES 4096
#define FORMAT "tama copy 1"

static int fail(struct err *err, const char *path)
{
	return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
}

/* ---- directories and files ---------------------------------------------------------------------
 */

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool is_bare = dir != NULL;

	while (is_bare && (entry = readdir(dir)) != NULL)
		is_bare = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir != NULL)
		(void)closedir(dir);
	return is_bare;
}

int directory_check(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return fail(err, path);
	if (!S_ISDIR(st.st_mode) || (st.st_mode & 077) != 0)
		return err_set(err, TAMA_EINVAL, "%s is no directory of ours alone (mode %03o)",
			path, st.st_mode & 0777u);
	return 0;
}

int directory_make(const char *path, struct err *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return fail(err, path);
	int rc = directory_check(path, err);
	if (rc == 0 && !is_empty(path))
		rc = err_set(err, TAMA_EEXIST, "%s is not empty", path);
	return rc;
}

int directory_sync(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd >= 0 && fsync(fd) == 0 ? 0 : fail(err, path);

	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int file_digest(const char *path, unsigned char out[static MANIFEST_HASH], int64_t *bytes_out,
	struct err *err)
{
	static const size_t block_len = 64 * 1024;
	unsigned char *block = malloc(block_len);
	crypto_generichash_state state;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	ssize_t n = 0;

	tama_assert(block != NULL && sodium_init() >= 0);
	*bytes_out = 0;
	(void)crypto_generichash_init(&state, NULL, 0, MANIFEST_HASH);
	while (fd >= 0 && (n = read(fd, block, block_len)) > 0) {
		(void)crypto_generichash_update(&state, block, (unsigned long long)n);
		*bytes_out += n;
	}
	if (fd < 0 || n < 0 || fsync(fd) != 0)
		rc = fail(err, path);
	(void)crypto_generichash_final(&state, out, MANIFEST_HASH);
	if (fd >= 0)
		(void)close(fd);
	free(block);
	return rc;
}

/* ---- the copy ----------------------------------------------------------------------------------
 */

static int sql_fail(struct err *err, sqlite3 *handle, const char *what)
{
	return err_set(err, TAMA_EIO, "%s: %s", what, sqlite3_errmsg(handle));
}

static int one_row(sqlite3 *handle, const char *sql, int64_t *values, int n, char *text)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	for (int i = 0; rc == SQLITE_ROW && i < n; i++)
		values[i] = sqlite3_column_int64(stmt, i);
	if (rc == SQLITE_ROW && text != NULL)
		(void)snprintf(text, 33, "%s", (const char *)sqlite3_column_text(stmt, n));
	(void)sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : TAMA_EIO;
}

/* The first look takes the snapshot: all that follows sees the same. */
static int read_facts(sqlite3 *handle, struct manifest *facts)
{
	int64_t v[6] = {0};
	int rc = one_row(handle,
		"SELECT generation, incarnation, (SELECT count(*) FROM purchase),"
		" ifnull((SELECT max(id) FROM purchase), 0), lower(hex(store_id)) FROM meta",
		v, 4, facts->store_id);

	if (rc == 0)
		rc = one_row(handle, "PRAGMA user_version", v + 4, 1, NULL);
	facts->generation = v[0];
	facts->incarnation = v[1];
	facts->purchases = v[2];
	facts->last_id = v[3];
	facts->schema = v[4];
	facts->made_ms = clock_wall_ms();
	return rc;
}

static int open_source(struct copy *copy, struct str dir, struct manifest *facts, struct err *err)
{
	struct db db = {0};
	char path[PATH_MAX];
	int rc = db_path(dir, path, err);

	if (rc == 0)
		rc = db_open(&db, path, SQLITE_OPEN_READONLY, err);
	copy->from = db.handle;
	if (rc != 0)
		return rc;
	(void)sqlite3_db_config(db.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	rc = db_set_pragmas(&db, DB_READER, err);
	if (rc == 0)
		rc = db_exec(&db, "BEGIN", err);
	if (rc == 0 && read_facts(copy->from, facts) != 0)
		rc = sql_fail(err, copy->from, path);
	return rc;
}

int copy_begin(
	struct copy *copy, struct str dir, const char *to, struct manifest *facts, struct err *err)
{
	int rc, fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	*copy = (struct copy){0};
	if (fd < 0)
		return fail(err, to);
	(void)close(fd);
	rc = open_source(copy, dir, facts, err);
	if (rc != 0)
		return rc;
	if (sqlite3_open_v2(to, &copy->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
			SQLITE_OK ||
		sqlite3_exec(copy->to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL,
			NULL, NULL) != SQLITE_OK)
		return sql_fail(err, copy->to, to);
	copy->backup = sqlite3_backup_init(copy->to, "main", copy->from, "main");
	return copy->backup != NULL ? 0 : sql_fail(err, copy->to, to);
}

int copy_step(struct copy *copy, struct err *err)
{
	CRASH_POINT("K27");
	int rc = sqlite3_backup_step(copy->backup, STEP_PAGES);

	copy->bytes += STEP_PAGES * (int64_t)4096;
	if (rc == SQLITE_OK)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return err_set(err, TAMA_EIO, "copy: SQLite %d: %s", rc, sqlite3_errstr(rc));
}

void copy_end(struct copy *copy)
{
	if (copy->backup != NULL)
		(void)sqlite3_backup_finish(copy->backup);
	if (copy->to != NULL)
		(void)sqlite3_close(copy->to);
	if (copy->from != NULL)
		(void)sqlite3_close(copy->from);
	*copy = (struct copy){0};
}

/* ---- manifests ---------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	size_t offset;
} numbers[] = {
	{"schema", offsetof(struct manifest, schema)},
	{"generation", offsetof(struct manifest, generation)},
	{"incarnation", offsetof(struct manifest, incarnation)},
	{"last_id", offsetof(struct manifest, last_id)},
	{"purchases", offsetof(struct manifest, purchases)},
	{"bytes", offsetof(struct manifest, bytes)},
	{"made_ms", offsetof(struct manifest, made_ms)},
	{"life", offsetof(struct manifest, life)},
	{"first", offsetof(struct manifest, first)},
	{"needed", offsetof(struct manifest, needed)},
};

static char *manifest_text(const struct manifest *m)
{
	char hex[2 * MANIFEST_HASH + 1];
	json_t *object = json_pack("{s:s, s:s}", "format", FORMAT, "store_id", m->store_id);
	char *text;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const int64_t *value =
			(const int64_t *)(const void *)((const char *)m + numbers[i].offset);

		(void)json_object_set_new(object, numbers[i].name, json_integer(*value));
	}
	(void)sodium_bin2hex(hex, sizeof(hex), m->hash, sizeof(m->hash));
	(void)json_object_set_new(object, "blake2b", json_string(hex));
	text = json_dumps(object, JSON_INDENT(1));
	json_decref(object);
	tama_assert(text != NULL);
	return text;
}

static int write_synced(const char *path, const char *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t n = strlen(text);
	int rc = 0;

	if (fd < 0 || file_write_all(fd, text, n) != 0 || fsync(fd) != 0)
		rc = fail(err, path);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int manifest_write(
	const char *dir, const char *name, const struct manifest *manifest, struct err *err)
{
	char path[PATH_MAX], beside[PATH_MAX];
	char *text = manifest_text(manifest);
	int rc;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(beside, sizeof(beside), "%s/%s.new", dir, name);
	rc = write_synced(beside, text, err);
	free(text);
	if (rc == 0 && rename(beside, path) != 0)
		rc = fail(err, path);
	return rc == 0 ? directory_sync(dir, err) : rc;
}

int manifest_read(const char *path, struct manifest *out, struct err *err)
{
	json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	const char *id = json_string_value(json_object_get(object, "store_id"));
	const char *hex = json_string_value(json_object_get(object, "blake2b"));
	const char *format = json_string_value(json_object_get(object, "format"));
	size_t n = 0;
	bool is_right = id != NULL && strlen(id) == 32 && hex != NULL && format != NULL &&
			strcmp(format, FORMAT) == 0;

	*out = (struct manifest){0};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && is_right; i++) {
		const json_t *value = json_object_get(object, numbers[i].name);

		is_right = json_is_integer(value);
		*(int64_t *)(void *)((char *)out + numbers[i].offset) = json_integer_value(value);
	}
	is_right =
		is_right &&
		sodium_hex2bin(out->hash, MANIFEST_HASH, hex, strlen(hex), NULL, &n, NULL) == 0 &&
		n == MANIFEST_HASH;
	if (is_right)
		(void)snprintf(out->store_id, sizeof(out->store_id), "%s", id);
	json_decref(object);
	return is_right ? 0 : err_set(err, TAMA_EINVAL, "%s: no manifest of a whole copy", path);
}

/* ---- backup ------------------------------------------------------------------------------------
 */

static int copy_all(struct str dir, const char *to, copy_pause_fn pause, void *ctx,
	struct manifest *out, struct err *err)
{
	struct copy copy;
	int rc = copy_begin(&copy, dir, to, out, err);

	if (rc == 0)
		do {
			if (pause != NULL && pause(ctx))
				rc = err_set(err, TAMA_EIO, "ended before the copy was whole");
			else
				rc = copy_step(&copy, err);
		} while (rc == 1);
	copy_end(&copy);
	return rc;
}

int store_backup(struct str dir, const char *dest, copy_pause_fn pause, void *ctx,
	struct manifest *out, struct err *err)
{
	char path[PATH_MAX];
	int rc = directory_make(dest, err);

	*out = (struct manifest){0};
	(void)snprintf(path, sizeof(path), "%s/tama.db", dest);
	if (rc == 0)
		rc = copy_all(dir, path, pause, ctx, out, err);
	if (rc == 0)
		rc = file_digest(path, out->hash, &out->bytes, err);
	return rc == 0 ? manifest_write(dest, "manifest.json", out, err) : rc;
}
