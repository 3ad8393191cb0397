/*
 * What the files of the SQLite driver share. A struct db is a connection with its statements: the
 * store has the one that writes, a reader one that cannot. Statements are prepared once, from the
 * table in sqlite_statements.c, and bound by name.
 */
#ifndef TAMA_SQLITE_PRIV_H
#define TAMA_SQLITE_PRIV_H

#include <sqlite3.h>

#include "tama/store.h"

#include <limits.h>
#include <stdatomic.h>

#define BOOT_ID_MAX 63

enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_SAVEPOINT,
	ST_RELEASE,
	ST_ROLLBACK_TO,
	ST_META_RAISE,

	ST_PERSON_FIND,
	ST_PERSON_INSERT,

	ST_PURCHASE_INSERT,
	ST_PURCHASE_GET,
	ST_PURCHASE_BY_KEY,
	ST_PURCHASE_BY_REF,
	ST_PURCHASE_LAST,
	ST_PURCHASE_REPEATED,
	ST_PURCHASE_ID,
	ST_PURCHASE_EXISTS,
	ST_PURCHASE_LEGS,
	ST_PURCHASE_ASKED,
	ST_PURCHASE_SET_STATE,

	ST_ATTEMPT_INSERT,
	ST_ATTEMPT_GET,
	ST_ATTEMPT_BY_REF,
	ST_ATTEMPT_BY_PROVIDER_ID,
	ST_ATTEMPT_LIST,
	ST_ATTEMPT_ORPHANS,
	ST_ATTEMPT_UNSENT,
	ST_ATTEMPT_RECENT,
	ST_ATTEMPT_LIVE,
	ST_ATTEMPT_CONTRADICTED,
	ST_ATTEMPT_EXISTS,
	ST_ATTEMPT_UPDATE,

	ST_OUTBOX_INSERT,
	ST_OUTBOX_MESSAGE,
	ST_OUTBOX_DUE,
	ST_OUTBOX_NEXT_DUE,
	ST_OUTBOX_GET,
	ST_OUTBOX_SET_DUE,
	ST_OUTBOX_RELEASE,
	ST_OUTBOX_REMOVE,
	ST_OUTBOX_OVER,
	ST_OUTBOX_CANCEL,
	ST_OUTBOX_SET_DLR,

	ST_INBOX_INSERT,
	ST_INBOX_REPEAT,
	ST_INBOX_REPLIES,
	ST_INBOX_DISMISS,

	ST_DECISION_INSERT,
	ST_DECISION_OPEN,
	ST_DECISION_CLOSE,
	ST_HOLD_INSERT,
	ST_HOLD_RELEASE,

	ST_EVENT_LAST,
	ST_EVENT_INSERT,
	ST_LEDGER_LAST,
	ST_LEDGER_INSERT,

	ST_HOP_INSERT,
	ST_HOP_GET,
	ST_SPACING_GET,
	ST_SPACING_SET,
	ST_VELOCITY_PAYER,
	ST_VELOCITY_BENEFICIARY,
	ST_TALLY_ADD,
	ST_TALLY_DROP,
	ST_VELOCITY_TALLY,

	ST_COUNT_ATTEMPTS,
	ST_COUNT_PARKED,
	ST_COUNT_OUTBOX,
	ST_COUNT_REFUND_DUE,
	ST_COUNT_DOUBT,
	ST_HOLD_LIST,
	ST_DECISION_REFUNDS,

	ST_BALANCE_GET,
	ST_FLOW_GET,
	ST_FLOW_TRIM,
	ST_DOUBT_GET,
	ST_PROMISES,
	ST_OBSERVATION_INSERT,
	ST_OBSERVATION_LAST,
	ST_OBSERVATION_NEWEST,
	ST_OBSERVATION_OLDEST,
	ST_CHORE_FIND,
	ST_CHORES_WAKE,
	ST_RECONCILIATION_GET,
	ST_RECONCILIATION_PUT,
	ST_LISTING_GET,
	ST_LISTING_PUT,
	ST_LISTING_OF,
	ST_LISTING_TRIM,
	ST_ATTEMPTS_SUCCEEDED,
	ST_BOOKS_BALANCES,
	ST_BOOKS_FLOATS,
	ST_BOOKS_RECONCILIATIONS,
	ST_BOOKS_FINDINGS,

	STATEMENTS,
};

struct db {
	sqlite3 *handle;
	const struct vault *vault;
	sqlite3_stmt *statements[STATEMENTS];
	bool in_transaction;
	bool is_failed; /* the open transaction met the disk's refusal: it can only be rolled back
			 */
	struct err error; /* what SQLite said then */
};

#define PERSON_CACHE 4096

/*
 * Ids of people seen lately, by hash; direct-mapped. Ids made in a transaction that is rolled back
 * must not survive it, so a rollback after any was made forgets all.
 */
struct person_cache {
	struct {
		unsigned char hash[VAULT_HASH_LEN];
		int64_t id; /* 0: free */
	} slots[PERSON_CACHE];
	bool has_new; /* since the transaction began; savepoints do not reset it */
};

/* sqlite_mark.c */
struct store_mark {
	char path[PATH_MAX]; /* empty: none is kept */
	char boot_id[BOOT_ID_MAX + 1];
	struct mark now; /* as the last commit left the store */
	struct store_past past;
	uint64_t passed; /* a generation that the mark had and the store may not have had */
	uint64_t raising; /* by the transaction under way; 0: not */
	uint64_t raising_last_id, raising_frozen_id;
	int64_t raising_clock_ms, raising_boot_ms, raised_boot_ms;
	bool is_raised; /* in this life */
	bool is_owed; /* raised durably, and not written yet */
};

struct ship_pages;

/* Where each commit's pages go (sqlite_ship.h); take is NULL for nobody. */
struct ship {
	void (*take)(void *ctx, struct ship_pages *pages);
	void *ctx;
	unsigned char salt[8]; /* of the WAL whose frames were taken */
	int taken;
	uint32_t page_size;
	atomic_uint turn; /* odd from before a commit until it has been handed over */
};

struct sqlite_store {
	struct store base;
	struct db db;
	int lock_fd; /* -1 in memory */
	uint64_t incarnation;
	unsigned depth; /* of savepoints */
	int wal_frames; /* after the last commit */
	int changes_at_begin; /* rows, of the transaction under way */
	struct store_mark mark;
	bool is_in_doubt; /* a commit was: nothing more until the store is opened anew */
	bool is_disk_suspect; /* a checkpoint failed: the kernel may have dropped pages it could not
				 write */
	struct ship ship;
	struct person_cache persons;
};

static inline struct sqlite_store *sqlite_store_of(struct store *store)
{
	return (struct sqlite_store *)store;
}

/* ---- sqlite_statements.c ------------------------------------------------------------------------
 */

/* Prepares all. 0; TAMA_EIO with SQLite's message. */
int db_prepare(struct db *db, struct err *err);
/* Finalises all and closes; harmless on a half-opened db. */
void db_close(struct db *db);

/* TAMA_E... for an SQLite result code; notes in the db when it ends the transaction. */
int db_result(struct db *db, int rc);

/* One run of a statement. Binds keep the first failure; query_step then tells it. */
struct query {
	struct db *db;
	sqlite3_stmt *stmt;
	int rc;
	int column; /* the next that a query_ getter reads */
	int error; /* TAMA_E... of a getter: TAMA_ENOMEM, TAMA_EAUTH */
};

/* What a sealed value is bound to, so that it opens in its own row only. */
struct seal {
	enum vault_purpose purpose;
	unsigned char context[16];
	size_t context_len;
};
/* The table's letter, the partner, the row's id. */
struct seal seal_of(enum vault_purpose purpose, char table, uint32_t partner, uint64_t id);
/* A person's number is bound to the person's hash. */
struct seal seal_of_person(const unsigned char hash[static VAULT_HASH_LEN]);

struct tally_key {
	uint32_t partner;
	enum velocity_of of;
	struct str key;
	int64_t at_ms;
};

struct query query_begin(struct db *db, enum statement statement);
void query_i64(struct query *query, const char *name, int64_t value);
void query_id(struct query *query, const char *name, uint64_t id); /* 0 binds NULL */
void query_str(struct query *query, const char *name, struct str value);
void query_blob(struct query *query, const char *name, const void *bytes, size_t n);
void query_sealed(struct query *query, const char *name, const struct seal *seal, struct str plain);

/* 1: a row; 0: no more; TAMA_E... */
int query_step(struct query *query);

/* The next column of the row. NULL reads as 0 or the empty str. */
int64_t query_get_i64(struct query *query);
struct str query_get_str(struct query *query, struct arena *arena);
void query_get_blob(struct query *query, void *out, size_t n);
struct str query_get_sealed(struct query *query, const struct seal *seal, struct arena *arena);
/* Two columns: person.hash and person.number. */
struct str query_get_number(struct query *query, struct arena *arena);

/* Resets. 0, or the first failure of getters. Every query_begin has its query_end. */
int query_end(struct query *query);

/* Runs to the end. 0 or TAMA_E...; *changes_out, when asked for, is how many rows it changed. */
int query_run(struct query *query, int *changes_out);

/* ---- sqlite_schema.c
 * ------------------------------------------------------------------------------ */

enum db_mode {
	DB_WRITER,
	DB_READER,
	DB_MEMORY,
};

/* Sets what each connection of ours must have. */
int db_set_pragmas(struct db *db, enum db_mode mode, struct err *err);
/* Reads it back: SQLite ignores what it does not know. TAMA_EINVAL naming the first that differs.
 */
int db_check_pragmas(struct db *db, enum db_mode mode, struct err *err);

/* SQL without results; TAMA_EIO with SQLite's message. */
int db_exec(struct db *db, const char *sql, struct err *err);
/* A number that an SQL text yields. */
int db_number(struct db *db, const char *sql, int64_t *out, struct err *err);

/*
 * Makes the schema in an empty file, or leads an older one to it. Refuses a newer one, another
 * program's file and a wrong key. A failure leaves its transaction open: closing rolls it back.
 */
int db_bring_schema(struct db *db, struct err *err);
/* For whoever cannot bring it: TAMA_EINVAL when the schema is not exactly this program's,
 * TAMA_EAUTH. */
int db_check_schema(struct db *db, struct err *err);

/* ---- sqlite_view.c ------------------------------------------------------------------------------
 */

struct store_reader {
	struct db db;
	sqlite3_stmt *views[STORE_VIEWS]; /* prepared when first asked for */
};

void views_close(struct store_reader *reader);

/* ---- sqlite_rewrite.c
 * -------------------------------------------------------------------------------- */

/* Makes the log of a database that nobody has open as durable as it is readable; TAMA_EIO. */
int db_rewrite_log(const char *path, struct err *err);

/* ---- sqlite_open.c
 * -------------------------------------------------------------------------------- */

/* Opens with flags, sets what no pragma can. The handle is to be closed even after a failure. */
int db_open(struct db *db, const char *path, int flags, struct err *err);
/* DIR/tama.db; out holds PATH_MAX. TAMA_EINVAL when the name is empty or too long. */
int db_path(struct str dir, char *out, struct err *err);

/* ---- sqlite_transaction.c
 * ------------------------------------------------------------------------- */

int sqlite_begin(struct store *store, struct err *err);
int sqlite_savepoint(struct store *store);
int sqlite_release(struct store *store);
int sqlite_rollback_to(struct store *store);
int sqlite_commit(struct store *store, struct err *err);
void sqlite_rollback(struct store *store);

/* ---- sqlite_person.c
 * ------------------------------------------------------------------------------ */

/* The row of a number, made if missing. 0 or TAMA_E... */
int person_intern(struct sqlite_store *store, uint32_t partner, struct str number, int64_t *id_out);
/* TAMA_ENOTFOUND when the partner has none. */
int person_find(struct db *db, uint32_t partner, struct str number, int64_t *id_out);
void person_cache_rollback(struct person_cache *cache);

/* ---- sqlite_mark.c
 * -------------------------------------------------------------------------------- */

/* Compares the store as found with its mark. 0; TAMA_EIO, TAMA_EINVAL. Changes nothing. */
int mark_open(struct sqlite_store *store, const struct store_config *config, struct err *err);
/* A new incarnation, larger than any that store or mark have seen, in a commit of its own. */
int mark_begin_life(struct sqlite_store *store, struct err *err);
/* At a close that is not a crash: the last raise. */
void mark_end_life(struct sqlite_store *store);

/* ---- the verbs, by file
 * ---------------------------------------------------------------------------- */

/* 0 when the partner has a row of that id, by a statement of :partner and :id; TAMA_ENOTFOUND. */
int row_exists(struct db *db, enum statement statement, uint32_t partner, uint64_t id);
/* The id of a purchase by its key; TAMA_ENOTFOUND. */
int purchase_find(struct db *db, uint32_t partner, const unsigned char uid[UID_LEN],
	uint8_t ordinal, uint64_t *id_out);
int purchase_read_last(struct db *db, uint32_t partner, struct str payer, struct arena *arena,
	struct purchase_row *out);
int purchase_read_by_ref(struct db *db, uint32_t partner, struct str ref, struct arena *arena,
	struct purchase_row *out);

int sqlite_purchase_insert(struct store *store, const struct purchase_row *row);
int sqlite_purchase_get(struct store *store, uint32_t partner, uint64_t id, struct arena *arena,
	struct purchase_row *out);
int sqlite_purchase_by_key(struct store *store, uint32_t partner, const unsigned char uid[UID_LEN],
	uint8_t ordinal, struct arena *arena, struct purchase_row *out);
int sqlite_purchase_last(struct store *store, uint32_t partner, struct str payer,
	struct arena *arena, struct purchase_row *out);
int sqlite_purchase_repeated(struct store *store, const struct purchase_row *like, int64_t since_ms,
	struct arena *arena, struct str *ref_out);
int sqlite_purchase_asked(struct store *store, uint32_t partner, uint64_t id, uint64_t attempt);
int sqlite_purchase_legs(
	struct store *store, uint32_t partner, uint64_t id, struct purchase_legs *out);
int sqlite_purchase_set_state(struct store *store, uint32_t partner, uint64_t id, uint32_t version,
	enum purchase_state state, int64_t now_ms);

int sqlite_attempt_insert(struct store *store, const struct attempt_row *row);
int sqlite_attempt_get(struct store *store, uint32_t partner, uint64_t id, struct arena *arena,
	struct attempt_row *out);
int sqlite_attempt_by_ref(struct store *store, uint32_t partner, struct str our_ref,
	struct arena *arena, struct attempt_row *out);
int sqlite_attempt_by_provider_id(struct store *store, uint32_t partner, struct str account,
	struct str provider_id, struct arena *arena, struct attempt_row *out);
int sqlite_attempt_list(struct store *store, uint32_t partner, uint64_t purchase,
	struct arena *arena, struct attempt_row *out, size_t max);
int sqlite_attempt_update(struct store *store, const struct attempt_row *row);
int sqlite_attempt_orphans(
	struct store *store, struct arena *arena, struct attempt_row *out, size_t max);

int sqlite_attempt_recent(struct store *store, uint32_t partner, struct str account, uint64_t since,
	struct arena *arena, struct attempt_row *out, size_t max);
int sqlite_attempt_unsent(
	struct store *store, struct arena *arena, struct attempt_row *out, size_t max);

int sqlite_outbox_insert(struct store *store, const struct outbox_row *row);
int sqlite_outbox_message(struct store *store, uint32_t partner, uint64_t purchase, uint32_t seq,
	struct arena *arena, struct outbox_row *out);
int sqlite_outbox_due(struct store *store, int64_t now_ms, struct arena *arena,
	struct outbox_row *out, size_t max);
int sqlite_outbox_next_due(struct store *store, int64_t after_ms, int64_t *due_ms_out);
int sqlite_outbox_get(struct store *store, uint32_t partner, uint64_t id, struct arena *arena,
	struct outbox_row *out);
int sqlite_outbox_set_due(
	struct store *store, uint32_t partner, uint64_t id, int64_t due_ms, uint32_t tries);
int sqlite_outbox_release(struct store *store, int64_t now_ms, int64_t lease_ms, bool sends_only);
int sqlite_outbox_done(struct store *store, uint32_t partner, uint64_t id);
int sqlite_outbox_cancel(
	struct store *store, uint32_t partner, uint64_t attempt, enum outbox_kind kind);
int sqlite_outbox_over(
	struct store *store, uint32_t partner, uint64_t id, const char *dlr, int64_t now_ms);
int sqlite_outbox_set_dlr(
	struct store *store, uint32_t partner, uint64_t id, const char *state, int64_t now_ms);

int sqlite_inbox_insert(struct store *store, const struct inbox_row *row);
int sqlite_inbox_repeat(struct store *store, uint32_t partner, struct str account,
	const unsigned char key[VAULT_HASH_LEN], int64_t *first_ms_out,
	enum inbox_verdict *verdict_out);
int sqlite_hop_insert(struct store *store, const struct hop_row *row);
int sqlite_hop_get(struct store *store, uint32_t partner, const unsigned char uid[UID_LEN],
	uint8_t ordinal, struct arena *arena, struct hop_row *out);
/* One more, of that value. */
int tally_add(struct db *db, const struct tally_key *key, int64_t value);
int sqlite_velocity_over(
	struct store *store, const struct velocity_count *ask, int64_t *over_ms_out);
int sqlite_spacing_get(struct store *store, uint32_t partner, struct str account, struct str number,
	int64_t amount, struct spacing *out);
int sqlite_spacing_set(struct store *store, uint32_t partner, struct str account, struct str number,
	int64_t amount, const struct spacing *spacing);

void sqlite_past(const struct store *store, struct store_past *out);
int sqlite_mark_raise(struct store *store, const struct store_moment *moment, bool is_accepted);
int sqlite_mark_write(struct store *store, struct err *err);
int sqlite_inbox_replies(struct store *store, uint32_t partner, uint64_t attempt);
int sqlite_inbox_dismiss(struct store *store, uint32_t partner, uint64_t id);
int sqlite_decision_insert(struct store *store, const struct decision_row *row);
int sqlite_decision_open(struct store *store, const struct decision_row *like, struct arena *arena,
	struct decision_row *out);
int sqlite_decision_refunds(struct store *store, const struct purchase_row *p, struct str user,
	int64_t since_ms, struct staff_refunds *out);
int sqlite_decision_close(struct store *store, const struct decision_row *row);
int sqlite_hold_insert(struct store *store, const struct hold_row *row);
int sqlite_hold_release(struct store *store, uint32_t partner, uint64_t id, int64_t now_ms);
int sqlite_hold_list(struct store *store, struct arena *arena, struct hold_row *out, size_t max);
int sqlite_event_append(struct store *store, const struct event_row *row);
int sqlite_ledger_post(struct store *store, const struct ledger_row *row);
int sqlite_counts(struct store *store, struct store_counts *out);

/* ---- sqlite_float.c ---- */

int sqlite_balance_get(struct store *store, uint32_t partner, struct str account,
	enum ledger_book book, struct str currency, int64_t *sum_out);
int sqlite_flow_get(struct store *store, uint32_t partner, struct str account, int64_t since_ms,
	int64_t *taken_out, int64_t *added_out);
int sqlite_flow_trim(struct store *store, int64_t before_ms);
int sqlite_doubt_get(struct store *store, uint32_t partner, struct str account, int64_t *in_out,
	int64_t *out_out);
int sqlite_promises(struct store *store, struct arena *arena, struct promise_row *out, size_t max);
int sqlite_observation_insert(struct store *store, const struct observation_row *row);
int sqlite_observation_last(
	struct store *store, uint32_t partner, struct str account, struct observation_row *out);
int sqlite_observation_find(struct store *store, uint32_t partner, struct str account,
	int64_t from_ms, int64_t until_ms, bool is_newest, struct observation_row *out);
int sqlite_chore_find(struct store *store, uint32_t partner, enum outbox_kind kind,
	struct str account, uint64_t *id_out);
int sqlite_chores_wake(struct store *store, int64_t now_ms);
int sqlite_reconciliation_get(struct store *store, uint32_t partner, struct str account,
	int64_t day, struct reconciliation_row *out);
int sqlite_reconciliation_put(struct store *store, const struct reconciliation_row *row);
int sqlite_listing_put(struct store *store, const struct listing_row *row, int64_t since_ms);
int sqlite_listing_of(struct store *store, uint32_t partner, uint64_t attempt, int64_t since_ms,
	enum listing_finding *out);
int sqlite_listing_trim(struct store *store, uint32_t partner, struct str account, int64_t day);
int sqlite_attempts_succeeded(struct store *store, uint32_t partner, struct str account,
	uint64_t after, uint64_t until, struct arena *arena, struct attempt_row *out, size_t max);
/* The columns of ATTEMPT in sqlite_statements.c. */
int attempts_read(struct query *query, struct arena *arena, struct attempt_row *out, size_t max);

#endif
