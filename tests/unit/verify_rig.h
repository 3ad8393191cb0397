/*
 * A store that the engine has made, with a purchase of each kind that `tama verify` is asked about,
 * and what it takes to break a copy of it unnoticed by SQLite, by the chain and by the sums.
 */
#ifndef TAMA_VERIFY_RIG_H
#define TAMA_VERIFY_RIG_H

#include "engine_rig.h"
#include "tama/verify.h"

#include <sodium.h>
#include <unistd.h>

/* ---- a store to break --------------------------------------------------------------------------
 */

/* Purchases, by their references. */
#define DECIDED "R0000001" /* two persons found that the delivery failed: a refund is READY */
#define CORRECTED "R0000002" /* told to be delivered; they found that it was not */
#define REFUNDED "R0000003"
#define SOLD "R0000004"
#define DOUBT "R0000005" /* the payment is UNKNOWN */
#define PAID "R0000006" /* the delivery is READY */
#define PURCHASES 6

static struct rig *shared; /* one for all tests: each breaks a copy */

static inline struct attempt_row begin(struct rig *r, unsigned uid)
{
	char payer[24], to[24];

	(void)snprintf(payer, sizeof(payer), "22501010203%02u", uid);
	(void)snprintf(to, sizeof(to), "22501010204%02u", uid);
	assert_int_equal(rig_buy(r, "ci-refund", payer, to, uid), ENGINE_DONE);
	return rig_send(r);
}

static inline struct attempt_row buy_and_pay(struct rig *r, unsigned uid)
{
	struct attempt_row a = begin(r, uid);
	char id[8];

	(void)snprintf(id, sizeof(id), "C%u", uid);
	rig_reply(r, &a, "SUCCESSFUL", id);
	return rig_attempt(r, LEG_DELIVER);
}

static inline void make_decided(struct rig *r)
{
	(void)buy_and_pay(r, 1);
	struct attempt_row a = rig_send(r);

	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	rig_wait(r, 7 * INT64_C(3600000));
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
}

static inline void make_corrected(struct rig *r)
{
	(void)buy_and_pay(r, 2);
	struct attempt_row a = rig_send(r);

	rig_reply(r, &a, "SUCCESSFUL", "D2");
	(void)rig_ipn(r, &a, "FAILED", "D2");
	assert_int_equal(rig_decide_both(r, DECIDE_FAILED, a.id), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
}

static inline void make_refunded(struct rig *r)
{
	(void)buy_and_pay(r, 3);
	struct attempt_row a = rig_send(r);

	rig_reply(r, &a, "FAILED", "D3");
	rig_wait(r, 1800000);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "R3");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUNDED);
}

static inline int make_world(void **state)
{
	void *made = NULL;

	(void)rig_open(&made);
	shared = made;
	make_decided(shared);
	make_corrected(shared);
	make_refunded(shared);
	(void)buy_and_pay(shared, 4);
	struct attempt_row a = rig_send(shared);
	rig_reply(shared, &a, "SUCCESSFUL", "D4");
	a = begin(shared, 5);
	rig_broken(shared, &a, TRANSFER_TIMEOUT, 100);
	(void)buy_and_pay(shared, 6);
	return 0;
}

static inline int unmake_world(void **state)
{
	void *made = shared;

	return rig_close(&made);
}

/* ---- breaking it -------------------------------------------------------------------------------
 */

struct copy {
	char dir[32], path[48];
	sqlite3 *db;
};

static inline void run_sql(sqlite3 *db, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
}

static inline void copy_open(struct copy *c)
{
	sqlite3_backup *backup;

	*c = (struct copy){.dir = "/tmp/tama-verify-XXXXXX"};
	assert_non_null(mkdtemp(c->dir));
	(void)snprintf(c->path, sizeof(c->path), "%s/tama.db", c->dir);
	assert_int_equal(sqlite3_open(c->path, &c->db), SQLITE_OK);
	run_sql(c->db, "PRAGMA synchronous = OFF"); /* for speed */
	backup = sqlite3_backup_init(
		c->db, "main", sqlite_store_of(shared->fx.store)->db.handle, "main");
	assert_non_null(backup);
	assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
	run_sql(c->db, "PRAGMA journal_mode = WAL");
}

static inline void copy_close(struct copy *c)
{
	static const char *const endings[] = {"", "-wal", "-shm"};
	char path[64];

	assert_int_equal(sqlite3_close(c->db), SQLITE_OK);
	for (size_t i = 0; i < ROWS(endings); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", c->path, endings[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(c->dir), 0);
}

/* What refuses, and what the statements of this file speak of: the purchase is `p`. */
static inline void begin_breaking(struct copy *c, const char *ref)
{
	char sql[200];
	sqlite3_stmt *stmt = NULL;

	run_sql(c->db, "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON");
	while (sqlite3_prepare_v2(c->db,
		       "SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger'",
		       -1, &stmt, NULL) == SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW) {
		(void)snprintf(sql, sizeof(sql), "%s", (const char *)sqlite3_column_text(stmt, 0));
		(void)sqlite3_finalize(stmt);
		run_sql(c->db, sql);
	}
	(void)sqlite3_finalize(stmt);
	(void)snprintf(sql, sizeof(sql),
		"CREATE TEMP TABLE p AS SELECT id FROM purchase WHERE ref = '%s'", ref);
	run_sql(c->db, sql);
}

static inline size_t put(unsigned char *out, int64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		out[i] = (unsigned char)((uint64_t)value >> (8 * i));
	return width;
}

/* What somebody would do who knows of the chain. */
static inline void hash_again(struct copy *c)
{
	static const size_t widths[] = {8, 4, 4, 8, 1, 1, 8, 8, 8};
	sqlite3_stmt *row = NULL, *set = NULL;
	unsigned char text[200], hash[16] = {0};

	assert_int_equal(
		sqlite3_prepare_v2(c->db,
			"SELECT purchase, seq, partner, ifnull(attempt, 0), from_state,"
			" to_state, ifnull(evidence, 0), incarnation, at_ms, cause FROM event"
			" WHERE purchase IN (SELECT id FROM p) ORDER BY seq",
			-1, &row, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(c->db,
				 "UPDATE event SET hash = ?3 WHERE purchase = ?1 AND seq = ?2", -1,
				 &set, NULL),
		SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		size_t n = 16;

		memcpy(text, hash, 16);
		for (int i = 0; i < (int)ROWS(widths); i++)
			n += put(text + n, sqlite3_column_int64(row, i), widths[i]);
		memcpy(text + n, sqlite3_column_text(row, 9), (size_t)sqlite3_column_bytes(row, 9));
		n += (size_t)sqlite3_column_bytes(row, 9);
		(void)crypto_generichash(hash, 16, text, n, NULL, 0);
		(void)sqlite3_bind_int64(set, 1, sqlite3_column_int64(row, 0));
		(void)sqlite3_bind_int64(set, 2, sqlite3_column_int64(row, 1));
		(void)sqlite3_bind_blob(set, 3, hash, 16, SQLITE_TRANSIENT);
		assert_int_equal(sqlite3_step(set), SQLITE_DONE);
		(void)sqlite3_reset(set);
	}
	(void)sqlite3_finalize(row);
	(void)sqlite3_finalize(set);
}

/* And who makes the sums fit. */
static inline void add_up_again(struct copy *c)
{
	run_sql(c->db,
		"DELETE FROM earned; INSERT INTO earned SELECT partner, account, at_ms / 86400000,"
		" book, currency, sum(debit) FROM ledger WHERE book IN (3, 7) GROUP BY 1, 2, 3, 4,"
		" 5;"
		"DELETE FROM balance; INSERT INTO balance SELECT partner, account, book, currency,"
		" sum(debit) FROM ledger GROUP BY 1, 2, 3, 4; DELETE FROM tally;"
		"CREATE TEMP TABLE s AS VALUES (60000), (3600000), (86400000);"
		"CREATE TEMP TABLE t AS"
		" SELECT partner, 3 AS of, currency AS key, created_ms AS at, price AS value"
		" FROM purchase WHERE state NOT IN (6, 7) UNION ALL"
		" SELECT partner, 5, channel, created_ms, price FROM purchase"
		" WHERE state NOT IN (6, 7) UNION ALL"
		" SELECT partner, 4, account, created_ms, amount FROM attempt"
		" WHERE state NOT IN (5, 8);"
		"INSERT INTO tally SELECT partner, of, key, column1, at - at % column1, count(*),"
		" sum(value) FROM t, s GROUP BY 1, 2, 3, 4, 5");
}

static inline struct verify_report look(const struct copy *c, bool is_live)
{
	const struct verify_options options = {.is_live = is_live};
	struct verify_report report;
	struct err err = ERR_INIT;

	if (store_verify(str_c(c->dir), &options, &report, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(report.purchases, PURCHASES);
	return report;
}

#endif
