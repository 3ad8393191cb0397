/* The store on disk: lock, key, schema, pragmas, failing syncs, upgrades, and what its files show.
 */
#include "store_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "tama/embedded.h"

static int setup(void **state)
{
	static struct kit kit;

	kit_init(&kit);
	*state = &kit;
	return 0;
}

static int teardown(void **state)
{
	kit_fini(*state);
	return 0;
}

static void refuses_to_open(struct kit *kit, int code, const char *why)
{
	const struct store_config config = kit_config(kit);
	struct store *store = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(store_sqlite_open(&config, &store, &err), code);
	assert_null(store);
	if (strstr(err.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

/* Another hand on the file, while no store has it open. */
static sqlite3 *open_raw(struct kit *kit)
{
	sqlite3 *handle = NULL;
	char path[128];

	kit_path(kit, "tama.db", path);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(chmod(path, 0600), 0);
	return handle;
}

static void run_raw(struct kit *kit, const char *sql)
{
	sqlite3 *handle = open_raw(kit);

	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(handle));
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void commit_purchase(struct kit *kit, const struct purchase_row *row, int code)
{
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, row), 0);
	assert_int_equal(DO(commit, NULL), code);
}

static void keeps_across_lives(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = kit_purchase(1, 1);
	struct purchase_row got;

	kit_open(kit);
	const uint64_t first = DO(incarnation);
	assert_true(first > 0);
	commit_purchase(kit, &row, 0);
	assert_int_equal(DO(begin, NULL), 0);
	const struct purchase_row lost = kit_purchase(1, 2);
	assert_int_equal(DO(purchase_insert, &lost), 0);
	kit_close(kit);

	kit_open(kit);
	assert_true(DO(incarnation) > first);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), 0);
	check_str(got.payer, KIT_PAYER);
	assert_int_equal(DO(purchase_get, 1, lost.id, &kit->arena, &got), TAMA_ENOTFOUND);
}

/* Killed without a chance to close: what was committed is there. */
static void keeps_after_a_kill(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = kit_purchase(1, 1);
	struct purchase_row got;
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		kit_open(kit);
		commit_purchase(kit, &row, 0);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	kit_open(kit);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), 0);
	assert_int_equal(DO(incarnation), 2);
}

static void is_open_to_nobody_else(void **state)
{
	static const char *const names[] = {"", "lock", "tama.db", "tama.db-wal", "tama.db-shm"};
	struct kit *kit = *state;
	struct stat st;
	char path[128];

	assert_int_equal(rmdir(kit->dir), 0);
	const mode_t old = umask(0);
	kit_open(kit);
	umask(old);
	for (size_t i = 0; i < ROWS(names); i++) {
		kit_path(kit, names[i], path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, i == 0 ? 0700 : 0600);
	}
	kit_close(kit);
	kit_path(kit, "tama.db", path);
	assert_int_equal(chmod(path, 0640), 0);
	refuses_to_open(kit, TAMA_EINVAL, "no file of ours alone");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chmod(kit->dir, 0750), 0);
	refuses_to_open(kit, TAMA_EINVAL, "is open to others");
	assert_int_equal(chmod(kit->dir, 0700), 0);
	kit_open(kit);
}

static void refuses_a_directory_it_cannot_have(void **state)
{
	struct kit *kit = *state, other = {.dir = "/tmp/tama-none/data", .vault = kit->vault};

	refuses_to_open(&other, TAMA_EIO, "No such file");
	(void)snprintf(other.dir, sizeof(other.dir), "/dev/null");
	refuses_to_open(&other, TAMA_EIO, "Not a directory");
	other.dir[0] = '\0';
	refuses_to_open(&other, TAMA_EINVAL, "empty or too long");
}

static void lets_one_process_in(void **state)
{
	struct kit *kit = *state;

	kit_open(kit);
	refuses_to_open(kit, TAMA_ECONFLICT, "another tama");
	assert_int_equal(DO(begin, NULL), 0);
	DO(rollback);
	kit_close(kit);
	kit_open(kit);
	/* A child that lives on must not hold the lock. */
	assert_true(fcntl(sqlite_store_of(kit->store)->lock_fd, F_GETFD) & FD_CLOEXEC);
}

/* Nobody gets in between whoever locked the store and the store that he opens. */
static void takes_a_lock_over(void **state)
{
	struct kit *kit = *state;
	struct store_config config = kit_config(kit);
	int lock;

	kit_open(kit);
	kit_close(kit);
	assert_int_equal(store_lock(config.dir, &config.lock, NULL), 0);
	refuses_to_open(kit, TAMA_ECONFLICT, "another tama");
	assert_int_equal(store_sqlite_open(&config, &kit->store, NULL), 0);
	assert_int_equal(sqlite_store_of(kit->store)->lock_fd, config.lock);
	assert_int_equal(store_lock(config.dir, &lock, NULL), TAMA_ECONFLICT);
	kit_close(kit);
	/* Over, even when it does not open. */
	assert_int_equal(store_lock(config.dir, &config.lock, NULL), 0);
	run_raw(kit, "UPDATE meta SET key_check = zeroblob(500)");
	assert_int_equal(store_sqlite_open(&config, &kit->store, NULL), TAMA_EAUTH);
	assert_int_equal(store_lock(config.dir, &lock, NULL), 0);
	(void)close(lock);
}

static void refuses_another_key(void **state)
{
	struct kit *kit = *state;
	struct kit stranger = *kit;

	kit_open(kit);
	kit_close(kit);
	assert_int_equal(
		vault_new(STR("fedcba9876543210fedcba9876543210"), &stranger.vault, NULL), 0);
	refuses_to_open(&stranger, TAMA_EAUTH, "another master key");
	vault_free(&stranger.vault);
	run_raw(kit, "UPDATE meta SET key_check = zeroblob(500)");
	refuses_to_open(kit, TAMA_EAUTH, "another master key");
}

static void refuses_schemas_it_does_not_know(void **state)
{
	struct kit *kit = *state;

	kit_open(kit);
	kit_close(kit);
	run_raw(kit, "PRAGMA user_version = 4");
	refuses_to_open(kit, TAMA_EINVAL, "made by a newer tama");
	run_raw(kit, "PRAGMA user_version = 0");
	refuses_to_open(kit, TAMA_EINVAL, "another program's");
	run_raw(kit, "PRAGMA user_version = 2; PRAGMA application_id = 7");
	refuses_to_open(kit, TAMA_EINVAL, "another program's");
}

static void refuses_what_is_no_database(void **state)
{
	struct kit *kit = *state;
	char path[128];

	kit_path(kit, "tama.db", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "this is no database at all, sorry", 33), 33);
	close(fd);
	refuses_to_open(kit, TAMA_EIO, "not a database");
}

static void asserts_its_pragmas(void **state)
{
	static const struct {
		const char *tamper, *why;
	} cases[] = {
		{"PRAGMA synchronous = NORMAL", "synchronous is 1 and must be 2"},
		{"PRAGMA foreign_keys = OFF", "foreign_keys is 0 and must be 1"},
		{"PRAGMA recursive_triggers = OFF", "recursive_triggers is 0"},
		{"PRAGMA trusted_schema = ON", "trusted_schema is 1"},
		{"PRAGMA cell_size_check = OFF", "cell_size_check is 0"},
		{"PRAGMA temp_store = FILE", "temp_store is 1"},
		{"PRAGMA mmap_size = 4096", "mmap_size is 4096"},
		{"PRAGMA cache_size = 10", "cache_size is 10"},
		{"PRAGMA wal_autocheckpoint = 1000", "wal_autocheckpoint is 1000"},
		{"PRAGMA journal_mode = DELETE", "journal_mode is delete and must be wal"},
	};
	struct kit *kit = *state;

	for (size_t i = 0; i < ROWS(cases); i++) {
		kit_open(kit);
		struct db *db = &sqlite_store_of(kit->store)->db;
		struct err err = ERR_INIT;
		assert_int_equal(db_check_pragmas(db, DB_WRITER, &err), 0);
		assert_int_equal(
			sqlite3_exec(db->handle, cases[i].tamper, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(db_check_pragmas(db, DB_WRITER, &err), TAMA_EINVAL);
		if (strstr(err.text, cases[i].why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].why);
		kit_close(kit);
	}
}

static void waits_for_no_lock_for_ever(void **state)
{
	struct kit *kit = *state;
	struct err err = ERR_INIT;

	kit_open(kit);
	sqlite3_busy_timeout(sqlite_store_of(kit->store)->db.handle, 1);
	sqlite3 *other = open_raw(kit);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(DO(begin, &err), TAMA_EIO);
	assert_non_null(strstr(err.text, "locked"));
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(DO(begin, NULL), 0);
	DO(rollback);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* ---- a disk that fails
 * ------------------------------------------------------------------------------- */

/* Files of a VFS around the real one, whose writes and syncs fail while armed. */
static struct {
	sqlite3_vfs vfs, *real;
	sqlite3_io_methods wal, db;
	int (*sync)(sqlite3_file *, int);
	int (*write)(sqlite3_file *, const void *, int, sqlite3_int64);
	int wal_sync, wal_write, db_sync; /* what each answers while armed; 0: the real thing */
	bool has_no_shm;
} faulty;

static int wal_sync(sqlite3_file *file, int flags)
{
	return faulty.wal_sync != 0 ? faulty.wal_sync : faulty.sync(file, flags);
}

static int wal_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	return faulty.wal_write != 0 ? faulty.wal_write : faulty.write(file, p, n, at);
}

static int db_sync(sqlite3_file *file, int flags)
{
	return faulty.db_sync != 0 ? faulty.db_sync : faulty.sync(file, flags);
}

static int faulty_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flags_out)
{
	int rc = faulty.real->xOpen(faulty.real, name, file, flags, flags_out);

	if (rc != SQLITE_OK || file->pMethods == NULL)
		return rc;
	faulty.sync = file->pMethods->xSync;
	faulty.write = file->pMethods->xWrite;
	if (flags & SQLITE_OPEN_WAL) {
		faulty.wal = *file->pMethods;
		faulty.wal.xSync = wal_sync;
		faulty.wal.xWrite = wal_write;
		file->pMethods = &faulty.wal;
	} else if (flags & SQLITE_OPEN_MAIN_DB) {
		faulty.db = *file->pMethods;
		faulty.db.xSync = db_sync;
		if (faulty.has_no_shm)
			faulty.db.iVersion = 1;
		file->pMethods = &faulty.db;
	}
	return rc;
}

static int setup_faulty(void **state)
{
	memset(&faulty, 0, sizeof(faulty));
	faulty.real = sqlite3_vfs_find(NULL);
	faulty.vfs = *faulty.real;
	faulty.vfs.zName = "faulty";
	faulty.vfs.pNext = NULL;
	faulty.vfs.xOpen = faulty_open;
	if (sqlite3_vfs_register(&faulty.vfs, 1) != SQLITE_OK)
		return -1;
	return setup(state);
}

static int teardown_faulty(void **state)
{
	faulty.wal_sync = faulty.wal_write = faulty.db_sync = 0;
	faulty.has_no_shm = false;
	int result = teardown(state);
	sqlite3_vfs_unregister(&faulty.vfs);
	sqlite3_vfs_register(faulty.real, 1);
	return result;
}

/* Finding 2: the failed commit may well be there after reopening. */
static void doubts_a_commit_whose_sync_failed(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = kit_purchase(1, 1);
	struct err err = ERR_INIT;
	struct purchase_row got;

	kit_open(kit);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	faulty.wal_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(DO(commit, &err), TAMA_EDOUBT);
	assert_non_null(strstr(err.text, "COMMIT: SQLite 1034"));
	faulty.wal_sync = 0;
	/* Going on could overwrite the very row in doubt. */
	assert_int_equal(DO(begin, NULL), TAMA_EDOUBT);
	kit_close(kit);
	kit_open(kit);
	/* All frames were written, so here the row is there: telling "failed" would have been a
	 * lie. */
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), 0);
	check_str(got.payer, KIT_PAYER);
}

static void doubts_a_commit_whose_write_failed(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row first = kit_purchase(1, 1), row = kit_purchase(1, 2);
	struct purchase_row got;

	kit_open(kit);
	commit_purchase(kit, &first, 0);
	faulty.wal_write = SQLITE_FULL;
	commit_purchase(kit, &row, TAMA_EDOUBT);
	faulty.wal_write = 0;
	kit_close(kit);
	kit_open(kit);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_get, 1, first.id, &kit->arena, &got), 0);
}

/* The commit stands, but a disk that refused a sync is not asked to believe itself. */
static void stops_after_a_checkpoint_that_failed(void **state)
{
	struct kit *kit = *state;
	struct err err = ERR_INIT;
	static char big[256 * 1024];
	struct purchase_row row = kit_purchase(1, 1), got;
	int begun = 0;

	memset(big, 'x', sizeof(big));
	row.texts = (struct str){big, sizeof(big)};
	kit_open(kit);
	faulty.db_sync = SQLITE_IOERR_FSYNC;
	for (uint64_t k = 1; k < 100 && (begun = DO(begin, &err)) == 0; k++) {
		const struct purchase_row next = kit_purchase(1, k);
		row.id = next.id;
		row.ref = next.ref;
		memcpy(row.uid, next.uid, UID_LEN);
		assert_int_equal(DO(purchase_insert, &row), 0);
		assert_int_equal(DO(commit, NULL), 0);
	}
	assert_int_equal(begun, TAMA_EDOUBT);
	assert_non_null(strstr(err.text, "checkpoint"));
	faulty.db_sync = 0;
	kit_close(kit);
	kit_open(kit);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), 0);
}

static void fails_to_open_on_a_disk_that_fails(void **state)
{
	struct kit *kit = *state;

	kit_open(kit);
	kit_close(kit);
	faulty.wal_sync = SQLITE_IOERR_FSYNC;
	refuses_to_open(kit, TAMA_EDOUBT, "COMMIT");
	faulty.wal_sync = 0;
	kit_open(kit);
}

/* SQLite answers "delete" and no error where WAL cannot be had: only reading back shows it. */
static void refuses_to_run_without_wal(void **state)
{
	struct kit *kit = *state;

	faulty.has_no_shm = true;
	refuses_to_open(kit, TAMA_EINVAL, "journal_mode is delete and must be wal");
	faulty.has_no_shm = false;
	kit_open(kit);
}

/* The WAL is moved into the database by commits alone, and does not grow for ever. */
static void checkpoints_as_it_commits(void **state)
{
	struct kit *kit = *state;
	static char big[256 * 1024];
	struct purchase_row row = kit_purchase(1, 1);
	struct stat st;
	char path[128];

	memset(big, 'x', sizeof(big));
	row.texts = (struct str){big, sizeof(big)};
	kit_open(kit);
	for (uint64_t k = 1; k < 200; k++) {
		const struct purchase_row next = kit_purchase(1, k);
		row.id = next.id;
		row.ref = next.ref;
		memcpy(row.uid, next.uid, UID_LEN);
		commit_purchase(kit, &row, 0);
	}
	kit_path(kit, "tama.db-wal", path);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 8 << 20);
	kit_path(kit, "tama.db", path);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 40 << 20);
}

/* ---- what the files show
 * ------------------------------------------------------------------------------ */

static void shows_nothing_of(const char *path, const char *canary)
{
	FILE *file = fopen(path, "rb");
	size_t n, len = strlen(canary);
	static char bytes[4 << 20];

	assert_non_null(file);
	n = fread(bytes, 1, sizeof(bytes), file);
	assert_true(n > 0 && n < sizeof(bytes));
	(void)fclose(file);
	if (memmem(bytes, n, canary, len) != NULL)
		fail_msg("%s shows \"%s\"", path, canary);
	/* The scan itself finds what is there. */
	assert_true(strstr(path, "-wal") == NULL || memmem(bytes, n, "ussd-ci", 7) != NULL);
}

static void shows_no_number_and_no_text(void **state)
{
	static const char *const canaries[] = {KIT_PAYER, KIT_BENEFICIARY, "0700000001",
		"0500000002", "canary-text", "canary-sms", "canary-raw", "canary-reply",
		"canary-proof", "canary-agreed"};
	static const char *const files[] = {"tama.db", "tama.db-wal"};
	struct kit *kit = *state;
	const struct purchase_row purchase = kit_purchase(1, 1);
	const struct attempt_row attempt = kit_attempt(&purchase, 1);
	const struct outbox_row sms = kit_sms(&purchase, 11, 0);
	const struct inbox_row inbox = kit_inbox(1, 21, 1);
	struct decision_row decision = kit_decision(&purchase, 31);
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END canary-reply")};
	char path[128];

	memcpy(hop.uid, purchase.uid, UID_LEN);
	kit_open(kit);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &purchase), 0);
	assert_int_equal(DO(attempt_insert, &attempt), 0);
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	assert_int_equal(DO(hop_insert, &hop), 0);
	assert_int_equal(DO(decision_insert, &decision), 0);
	decision.agreed_by = STR("koffi");
	decision.agreed_proof = STR("canary-agreed");
	decision.state = DECISION_APPLIED;
	assert_int_equal(DO(decision_close, &decision), 0);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), purchase.payer, 525,
				 &(struct spacing){KIT_NOW, 0}),
		0);
	assert_int_equal(DO(commit, NULL), 0);
	for (size_t f = 0; f < ROWS(files); f++) {
		kit_path(kit, files[f], path);
		for (size_t c = 0; c < ROWS(canaries); c++)
			shows_nothing_of(path, canaries[c]);
	}
	kit_close(kit);
	kit_path(kit, "tama.db", path);
	for (size_t c = 0; c < ROWS(canaries); c++)
		shows_nothing_of(path, canaries[c]);
}

/* ---- upgrades
 * ------------------------------------------------------------------------------------------- */

static void make_old(struct kit *kit)
{
	FILE *file = fopen("tests/fixtures/store/v1.sql", "rb");
	static char sql[64 * 1024];

	assert_non_null(file);
	size_t n = fread(sql, 1, sizeof(sql) - 1, file);
	(void)fclose(file);
	assert_true(n > 0 && n < sizeof(sql) - 1);
	sql[n] = '\0';
	run_raw(kit, sql);
}

/* One text of the whole schema, free of comments and of how it is laid out. */
static char *schema_text(struct kit *kit)
{
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;
	sqlite3_stmt *stmt = NULL;
	char *text = calloc(1, 64 * 1024), *to = text;

	assert_non_null(text);
	assert_int_equal(sqlite3_prepare_v2(handle,
				 "SELECT type || ' ' || name || ' ' || coalesce(sql, '')"
				 " FROM sqlite_schema ORDER BY type, name",
				 -1, &stmt, NULL),
		SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		for (const char *p = (const char *)sqlite3_column_text(stmt, 0); *p != '\0'; p++) {
			if (p[0] == '-' && p[1] == '-')
				p += strcspn(p, "\n");
			if (*p != ' ' && *p != '\t' && *p != '\n')
				*to++ = *p;
		}
		*to++ = '\n';
	}
	sqlite3_finalize(stmt);
	return text;
}

static void upgrades_to_what_a_new_store_is(void **state)
{
	struct kit *kit = *state, fresh;

	make_old(kit);
	kit_open(kit);
	char *upgraded = schema_text(kit);
	kit_init(&fresh);
	kit_open(&fresh);
	char *made = schema_text(&fresh);
	assert_string_equal(upgraded, made);
	assert_non_null(strstr(made, "dlrTEXT"));
	int64_t version = 0;
	assert_int_equal(
		db_number(&sqlite_store_of(kit->store)->db, "PRAGMA user_version", &version, NULL),
		0);
	assert_int_equal(version, 3);
	free(made);
	free(upgraded);
	kit_fini(&fresh);
}

static void upgrades_without_losing_a_row(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row want = kit_purchase(1, 1);
	struct purchase_row purchase;
	struct attempt_row attempt;
	struct outbox_row sms;
	struct hop_row hop;
	struct spacing spacing = {0, 0};
	int64_t n = 0;

	make_old(kit);
	kit_open(kit);
	assert_int_equal(DO(incarnation), 2);
	assert_int_equal(DO(purchase_last, 1, STR(KIT_PAYER), &kit->arena, &purchase), 0);
	assert_int_equal(purchase.id, want.id);
	check_str(purchase.beneficiary, KIT_BENEFICIARY);
	check_str(purchase.texts, "Recharge canary-text OK");
	assert_int_equal(DO(attempt_list, 1, purchase.id, &kit->arena, &attempt, 1), 1);
	check_str(attempt.number, KIT_PAYER);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &sms), 0);
	check_str(sms.body, "Recharge canary-sms OK");
	check_str(sms.dlr, "");
	assert_int_equal(DO(hop_get, 1, purchase.uid, 1, &kit->arena, &hop), 0);
	check_str(hop.reply, "END Demande recue");
	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 525, &spacing), 0);
	assert_int_equal(spacing.free_ms, KIT_NOW + 900000);
	struct db *db = &sqlite_store_of(kit->store)->db;
	assert_int_equal(
		db_number(db,
			"SELECT (SELECT count(*) FROM event) * 10 +"
			" (SELECT count(*) FROM ledger) + (SELECT count(*) FROM inbox) * 100",
			&n, NULL),
		0);
	assert_int_equal(n, 122);

	/* The chain goes on where the older program left it. */
	const struct event_row event = kit_event(&attempt);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(event_append, &event), 0);
	assert_int_equal(DO(outbox_set_dlr, 1, 11, "delivered", KIT_NOW), 0);
	assert_int_equal(DO(commit, NULL), 0);
}

/* An upgrade that breaks off leaves the old store as it was (K26). */
static void upgrades_whole_or_not_at_all(void **state)
{
	struct kit *kit = *state;

	make_old(kit);
	run_raw(kit, "ALTER TABLE outbox ADD COLUMN dlr TEXT");
	refuses_to_open(kit, TAMA_EIO, "duplicate column");
	run_raw(kit, "ALTER TABLE outbox DROP COLUMN dlr");
	sqlite3 *handle = open_raw(kit);
	sqlite3_stmt *stmt = NULL;
	assert_int_equal(
		sqlite3_prepare_v2(handle, "PRAGMA user_version", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), 1);
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
	kit_open(kit);
}

/* ---- the reader
 * ------------------------------------------------------------------------------------------ */

static void reads_beside_the_writer(void **state)
{
	struct kit *kit = *state;
	const struct store_config config = kit_config(kit);
	const struct purchase_row row = kit_purchase(1, 1);
	struct store_reader *reader = NULL;
	struct purchase_row got;

	kit_open(kit);
	assert_int_equal(store_reader_open(&config, &reader, NULL), 0);
	assert_int_equal(store_reader_purchase_last(reader, 1, row.payer, &kit->arena, &got),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(store_reader_purchase_by_ref(reader, 1, row.ref, &kit->arena, &got),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(store_reader_purchase_by_ref(reader, 1, row.ref, &kit->arena, &got), 0);
	assert_int_equal(got.id, row.id);
	assert_int_equal(store_reader_purchase_last(reader, 1, row.payer, &kit->arena, &got), 0);
	check_str(got.payer, KIT_PAYER);
	assert_int_equal(store_reader_purchase_by_ref(reader, 2, row.ref, &kit->arena, &got),
		TAMA_ENOTFOUND);
	assert_int_equal(store_reader_purchase_last(reader, 2, row.payer, &kit->arena, &got),
		TAMA_ENOTFOUND);
	store_reader_close(&reader);
	assert_null(reader);
}

/* Closing last, after a crash of the writer, it neither checkpoints nor removes the WAL. */
static void reader_leaves_the_wal_alone(void **state)
{
	struct kit *kit = *state;
	const struct store_config config = kit_config(kit);
	struct store_reader *reader = NULL;
	struct stat before, after;
	char path[128];

	kit_open(kit);
	const struct purchase_row row = kit_purchase(1, 1);
	commit_purchase(kit, &row, 0);
	(void)sqlite3_db_config(
		sqlite_store_of(kit->store)->db.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	assert_int_equal(store_reader_open(&config, &reader, NULL), 0);
	kit_close(kit);
	kit_path(kit, "tama.db-wal", path);
	assert_int_equal(stat(path, &before), 0);
	assert_true(before.st_size > 0);
	store_reader_close(&reader);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
}

static void reader_refuses_what_it_cannot_trust(void **state)
{
	struct kit *kit = *state;
	struct store_config config = {.vault = kit->vault, .in_memory = true};
	struct store_reader *reader = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(store_reader_open(&config, &reader, &err), TAMA_EINVAL);
	config = kit_config(kit);
	assert_int_equal(store_reader_open(&config, &reader, NULL), TAMA_EIO);
	kit_open(kit);
	kit_close(kit);
	run_raw(kit, "PRAGMA user_version = 4");
	assert_int_equal(store_reader_open(&config, &reader, NULL), TAMA_EINVAL);
	run_raw(kit, "PRAGMA user_version = 3");
	struct vault *other = NULL;
	assert_int_equal(vault_new(STR("fedcba9876543210fedcba9876543210"), &other, NULL), 0);
	config.vault = other;
	assert_int_equal(store_reader_open(&config, &reader, NULL), TAMA_EAUTH);
	vault_free(&other);
	assert_null(reader);
	store_reader_close(&reader);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define TEST_FAULTY(function)                                                                      \
	cmocka_unit_test_setup_teardown(function, setup_faulty, teardown_faulty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_across_lives),
		TEST(keeps_after_a_kill),
		TEST(is_open_to_nobody_else),
		TEST(refuses_a_directory_it_cannot_have),
		TEST(lets_one_process_in),
		TEST(takes_a_lock_over),
		TEST(refuses_another_key),
		TEST(refuses_schemas_it_does_not_know),
		TEST(refuses_what_is_no_database),
		TEST(asserts_its_pragmas),
		TEST(waits_for_no_lock_for_ever),
		TEST_FAULTY(doubts_a_commit_whose_sync_failed),
		TEST_FAULTY(doubts_a_commit_whose_write_failed),
		TEST_FAULTY(stops_after_a_checkpoint_that_failed),
		TEST_FAULTY(fails_to_open_on_a_disk_that_fails),
		TEST_FAULTY(refuses_to_run_without_wal),
		TEST(checkpoints_as_it_commits),
		TEST(shows_no_number_and_no_text),
		TEST(upgrades_to_what_a_new_store_is),
		TEST(upgrades_without_losing_a_row),
		TEST(upgrades_whole_or_not_at_all),
		TEST(reads_beside_the_writer),
		TEST(reader_leaves_the_wal_alone),
		TEST(reader_refuses_what_it_cannot_trust),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
