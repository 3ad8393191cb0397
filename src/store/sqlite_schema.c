/* What a connection must be set to and what its file must hold: pragmas, schema, upgrades, key. */
#include "sqlite_priv.h"

#include "tama/crash.h"
#include "tama/embedded.h"

#include "tama/mutant.h"

#define SCHEMA_VERSION 3
/* "Tama": marks the file as ours in SQLite's header. */
#define APPLICATION_ID 0x54616d61
#define KEY_CHECK STR("tama store")

/* One file for each older version, run in one transaction with the new number (K26). */
static const struct {
	int from;
	const char *file;
} upgrades[] = {
	{1, "store/upgrade_1.sql"},
	{2, "store/upgrade_2.sql"},
};

/* ---- pragmas
 * --------------------------------------------------------------------------------------- */

struct pragma {
	const char *set;
	const char *read;
	const char *want[DB_MEMORY + 1]; /* by mode; NULL: whatever it is */
};

static const struct pragma pragmas[] = {
	/* The reader meets the mode the writer chose. */
	{"PRAGMA journal_mode = WAL", "PRAGMA journal_mode", {"wal", "wal", "memory"}},
	/* Anything less loses acknowledged purchases at power loss (finding 4). */
	{MUTANT(SYNCHRONOUS_NORMAL) ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL",
		"PRAGMA synchronous", {MUTANT(SYNCHRONOUS_NORMAL) ? "1" : "2", "2", "2"}},
	{"PRAGMA foreign_keys = ON", "PRAGMA foreign_keys", {"1", "1", "1"}},
	/* So that INSERT OR REPLACE cannot pass by the triggers against DELETE. */
	{"PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers", {"1", "1", "1"}},
	{"PRAGMA trusted_schema = OFF", "PRAGMA trusted_schema", {"0", "0", "0"}},
	{"PRAGMA cell_size_check = ON", "PRAGMA cell_size_check", {"1", "1", "1"}},
	{"PRAGMA temp_store = MEMORY", "PRAGMA temp_store", {"2", "2", "2"}},
	{"PRAGMA mmap_size = 0", "PRAGMA mmap_size", {"0", "0", NULL}},
	/* KiB: the ends of all tables and the upper pages of the random indices stay in memory. */
	{"PRAGMA cache_size = -32768", "PRAGMA cache_size", {"-32768", NULL, "-32768"}},
	/* Nobody checkpoints but sqlite_commit, which looks at the result (finding 5). */
	{"PRAGMA wal_autocheckpoint = 0", "PRAGMA wal_autocheckpoint", {"0", "0", "0"}},
};

/* Set for readers only, who may write nothing at all. */
static const struct pragma query_only = {
	"PRAGMA query_only = ON", "PRAGMA query_only", {NULL, "1", NULL}};

int db_exec(struct db *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return err_set(err, TAMA_EIO, "the store does not take \"%.60s\": %s", sql,
		sqlite3_errmsg(db->handle));
}

int db_set_pragmas(struct db *db, enum db_mode mode, struct err *err)
{
	int result = 0;

	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && result == 0; i++)
		result = db_exec(db, pragmas[i].set, err);
	if (result == 0 && mode == DB_READER)
		result = db_exec(db, query_only.set, err);
	return result;
}

static int check_pragma(
	struct db *db, const struct pragma *pragma, enum db_mode mode, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int result = 0;

	if (pragma->want[mode] == NULL)
		return 0;
	if (sqlite3_prepare_v2(db->handle, pragma->read, -1, &stmt, NULL) != SQLITE_OK)
		return err_set(err, TAMA_EIO, "%s: %s", pragma->read, sqlite3_errmsg(db->handle));
	const char *got = NULL;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		got = (const char *)sqlite3_column_text(stmt, 0);
	if (got == NULL || strcmp(got, pragma->want[mode]) != 0)
		result = err_set(err, TAMA_EINVAL, "%s is %s and must be %s", pragma->read,
			got != NULL ? got : "unknown", pragma->want[mode]);
	sqlite3_finalize(stmt);
	return result;
}

int db_check_pragmas(struct db *db, enum db_mode mode, struct err *err)
{
	int result = check_pragma(db, &query_only, mode, err);

	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && result == 0; i++)
		result = check_pragma(db, &pragmas[i], mode, err);
	return result;
}

int db_number(struct db *db, const char *sql, int64_t *out, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int result = 0;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) == SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	else
		result = err_set(err, TAMA_EIO, "%s: %s", sql, sqlite3_errmsg(db->handle));
	sqlite3_finalize(stmt);
	return result;
}

/* ---- schema
 * ---------------------------------------------------------------------------------------- */

static int set_version(struct db *db, int version, struct err *err)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
	return db_exec(db, sql, err);
}

/* The one row of meta, in a store just made. */
static int insert_meta(struct db *db, struct err *err)
{
	struct seal seal = seal_of(VAULT_MSISDN, 'k', 0, 0);
	unsigned char check[10 + VAULT_OVERHEAD];
	sqlite3_stmt *stmt = NULL;

	tama_assert(KEY_CHECK.n + VAULT_OVERHEAD == sizeof(check));
	vault_seal(db->vault, seal.purpose, (struct str){(char *)seal.context, seal.context_len},
		KEY_CHECK, check);
	if (sqlite3_prepare_v2(db->handle,
		    "INSERT INTO meta (id, store_id, generation, incarnation, key_check)"
		    " VALUES (1, randomblob(16), 0, 0, ?)",
		    -1, &stmt, NULL) != SQLITE_OK ||
		sqlite3_bind_blob(stmt, 1, check, sizeof(check), SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_step(stmt) != SQLITE_DONE)
		(void)err_set(err, TAMA_EIO, "meta: %s", sqlite3_errmsg(db->handle));
	return sqlite3_finalize(stmt) == SQLITE_OK ? 0 : TAMA_EIO;
}

static int create(struct db *db, struct err *err)
{
	const struct embedded_file *schema = embedded_find("store/schema.sql");
	char sql[64];

	tama_assert(schema != NULL);
	int result = db_exec(db, schema->data, err);
	if (result == 0)
		result = insert_meta(db, err);
	if (result == 0 && MUTANT(NO_LIVE_INDEX))
		result = db_exec(db, "DROP INDEX attempt_live", err);
	(void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
	if (result == 0)
		result = db_exec(db, sql, err);
	return result == 0 ? set_version(db, SCHEMA_VERSION, err) : result;
}

static int check_key(struct db *db, struct err *err)
{
	struct seal seal = seal_of(VAULT_MSISDN, 'k', 0, 0);
	struct str context = {(char *)seal.context, seal.context_len};
	unsigned char plain[64];
	sqlite3_stmt *stmt = NULL;
	int result = TAMA_EAUTH;

	if (sqlite3_prepare_v2(db->handle, "SELECT key_check FROM meta", -1, &stmt, NULL) ==
			SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW) {
		struct str sealed = {
			sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)};
		if (sealed.n <= sizeof(plain))
			result = vault_open(db->vault, seal.purpose, context, sealed, plain);
	}
	sqlite3_finalize(stmt);
	if (result != 0)
		return err_set(err, TAMA_EAUTH, "the store was sealed with another master key");
	return 0;
}

static int upgrade(struct db *db, int64_t version, struct err *err)
{
	int result = 0;

	for (size_t i = 0; i < sizeof(upgrades) / sizeof(upgrades[0]) && result == 0; i++) {
		if (upgrades[i].from != version)
			continue;
		const struct embedded_file *file = embedded_find(upgrades[i].file);
		tama_assert(file != NULL);
		/* An upgrade may widen a CHECK in the schema's own text. */
		(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
		result = db_exec(db, "BEGIN IMMEDIATE", err);
		if (result == 0)
			result = db_exec(db, file->data, err);
		if (result == 0)
			result = set_version(db, upgrades[i].from + 1, err);
		CRASH_POINT("K26");
		if (result == 0)
			result = db_exec(db, "COMMIT", err);
		(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		version++;
	}
	tama_assert(result != 0 || version == SCHEMA_VERSION);
	return result;
}

int db_bring_schema(struct db *db, struct err *err)
{
	int64_t version = 0, tables = 0, application = 0;

	if (db_number(db, "PRAGMA user_version", &version, err) != 0 ||
		db_number(db, "PRAGMA application_id", &application, err) != 0 ||
		db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err) != 0)
		return TAMA_EIO;
	if (tables == 0) {
		int result = db_exec(db, "BEGIN IMMEDIATE", err);
		if (result == 0)
			result = create(db, err);
		return result == 0 ? db_exec(db, "COMMIT", err) : result;
	}
	if (application != APPLICATION_ID || version < 1)
		return err_set(err, TAMA_EINVAL, "tama.db is another program's database");
	if (version > SCHEMA_VERSION)
		return err_set(err, TAMA_EINVAL,
			"tama.db has schema %lld, made by a newer tama: this one knows %d",
			(long long)version, SCHEMA_VERSION);
	int result = check_key(db, err);
	return result == 0 ? upgrade(db, version, err) : result;
}

int db_check_schema(struct db *db, struct err *err)
{
	int64_t version = 0;
	int result = db_number(db, "PRAGMA user_version", &version, err);

	if (result == 0 && version != SCHEMA_VERSION)
		result = err_set(err, TAMA_EINVAL, "tama.db has schema %lld and not %d",
			(long long)version, SCHEMA_VERSION);
	return result == 0 ? check_key(db, err) : result;
}
