/*
 * What the engine's tests and the simulation stand on: a store in memory, the configuration of
 * tests/fixtures/engine.lua, intents to buy, and the invariants of reliability.md 2.9 asked of the
 * store in SQL of their own. Nothing here shares code with the engine.
 */
#ifndef TAMA_ENGINE_FIXTURE_H
#define TAMA_ENGINE_FIXTURE_H

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../src/store/sqlite_priv.h"
#include "tama/engine.h"

#define FX_KEY "0123456789abcdef0123456789abcdef"
#define FX_EPOCH INT64_C(1767225600000)

/* ---- SQL of the tests' own ---------------------------------------------------------------------
 */

/*
 * Each counts what must not be. The state of a purchase (purchase.h has the numbers) is derived
 * here a second time, from the deciding attempt of each leg: one that is CONTRADICTED (10), else
 * the one that may have executed, else the last.
 */
#define FX_DECIDING(leg_)                                                                          \
	"coalesce((SELECT state FROM attempt WHERE purchase = q.id AND leg = " leg_                \
	" ORDER BY state <> 10, state IN (5, 7, 8), n DESC LIMIT 1), 0)"
#define FX_LEGS                                                                                    \
	"(SELECT *, " FX_DECIDING("1") " AS c, " FX_DECIDING("2") " AS d, " FX_DECIDING(           \
		"3") " AS f FROM purchase q WHERE (?1 = 0 OR q.id = ?1)) q "
#define FX_LEG(leg_, before, under_way, done, failed, expired)                                     \
	" CASE WHEN " leg_ " IN (0, 1, 5) THEN " before " WHEN " leg_                              \
	" IN (2, 3, 4) THEN " under_way " WHEN " leg_ " = 6 THEN " done " WHEN " leg_              \
	" = 7 THEN " failed " WHEN " leg_ " = 8 THEN " expired " WHEN " leg_                       \
	" = 11 THEN 13 ELSE 9 END "
#define FX_DERIVED                                                                                 \
	" CASE WHEN 10 IN (c, d, f) THEN 12"                                                       \
	" WHEN NOT has_collect THEN" FX_LEG(                                                       \
		"d", "1", "4", "5", "6", "7") " WHEN c <> 6 THEN" FX_LEG("c", "1", "2", "3", "6",  \
		"7") " WHEN f <> 0 AND d NOT IN (6, 11) THEN" FX_LEG("f", "8", "10", "11", "9",    \
		"9") " WHEN has_deliver THEN" FX_LEG("d", "3", "4", "5", "8", "8") " ELSE 3 END"
#define FX_IN_DOUBT(leg_) "(" leg_ " IN (2, 3, 4, 9, 10))"
#define FX_BOOK(books)                                                                             \
	"coalesce((SELECT sum(debit) FROM ledger WHERE purchase = q.id AND book IN (" books ")), " \
	"0)"
#define FX_IS_END "(q.state IN (5, 6, 7, 8, 11) OR q.state = 3 AND NOT q.has_deliver)"
#define FX_ONE " (?1 = 0 OR q.id = ?1) "

struct fx_rule {
	const char *name;
	const char *sql;
};

static const struct fx_rule FX_RULES[] = {
	{"I1 stored state is the derived one",
		"SELECT count(*) FROM " FX_LEGS "WHERE state <>" FX_DERIVED},
	{"I1 events are without gaps", "SELECT count(*) FROM purchase q WHERE" FX_ONE
				       "AND (SELECT max(seq) - count(*) FROM"
				       " event WHERE purchase = q.id) <> 0"},
	{"I1 the last event of each attempt tells its state",
		"SELECT count(*) FROM attempt a JOIN purchase q ON q.id = a.purchase WHERE" FX_ONE
		"AND a.state <> coalesce((SELECT to_state FROM event WHERE purchase = q.id AND"
		" attempt = a.id ORDER BY seq DESC LIMIT 1), 1)"},
	{"I2 one attempt of a leg may have executed, and it is the last",
		"SELECT count(*) FROM attempt a JOIN purchase q ON q.id = a.purchase WHERE" FX_ONE
		"AND a.state NOT IN (5, 10) AND NOT (a.leg = 3 AND a.state IN (7, 8))"
		" AND NOT EXISTS (SELECT 1 FROM event WHERE purchase = q.id AND attempt = a.id AND"
		" cause IN ('decided_success', 'decided_failure', 'write_off'))"
		" AND EXISTS (SELECT 1 FROM attempt b WHERE b.purchase = a.purchase"
		" AND b.leg = a.leg AND b.n > a.n)"},
	{"I2 deliver begins only with the money in",
		"SELECT count(*) FROM event e JOIN attempt a ON a.id = e.attempt JOIN purchase q"
		" ON q.id = e.purchase WHERE" FX_ONE
		"AND a.leg = 2 AND e.to_state = 2 AND q.has_collect AND NOT EXISTS (SELECT 1 FROM"
		" event x JOIN attempt c ON c.id = x.attempt WHERE x.purchase = q.id AND c.leg = 1"
		" AND x.to_state = 6 AND x.seq < e.seq)"},
	{"I4 postings balance",
		"SELECT count(*) FROM (SELECT 1 FROM ledger l JOIN purchase q ON q.id = l.purchase"
		" WHERE" FX_ONE "GROUP BY l.purchase, posting HAVING sum(debit) <> 0)"},
	{"I4 balances are what the postings add up to",
		"SELECT count(*) FROM (SELECT partner, account, book, currency, sum(debit)"
		" FROM ledger WHERE ?1 = ?1 GROUP BY 1, 2, 3, 4 EXCEPT SELECT * FROM balance)"},
	{"I5 suspense holds what is in doubt and nothing else",
		"SELECT count(*) FROM " FX_LEGS
		"WHERE " FX_BOOK("4") " <> " FX_IN_DOUBT("c") " * price + " FX_IN_DOUBT(
			"d") " * cost + " FX_IN_DOUBT("f") " * price"},
	{"I5 collected = delivered + refunded + owed + under way",
		"SELECT count(*) FROM " FX_LEGS "WHERE has_collect AND c = 6 AND price <>"
		" CASE WHEN f IN (6, 11) THEN price WHEN " FX_IN_DOUBT(
			"f") " THEN 0"
			     " WHEN d IN (6, 11) OR NOT has_deliver AND f = 0 THEN price ELSE 0 "
			     "END - " FX_BOOK("1, 5")},
	{"I6 a refund is sent only once the goods are proven not delivered, or persons say so",
		"SELECT count(*) FROM event e JOIN attempt a ON a.id = e.attempt JOIN purchase q"
		" ON q.id = e.purchase WHERE" FX_ONE
		"AND a.leg = 3 AND e.to_state = 2 AND CASE WHEN q.has_deliver"
		" THEN coalesce((SELECT x.to_state FROM event x JOIN attempt d ON d.id = x.attempt"
		" WHERE x.purchase = q.id AND d.leg = 2 AND x.seq < e.seq ORDER BY x.seq DESC"
		" LIMIT 1), 0) NOT IN (7, 8)"
		" ELSE NOT EXISTS (SELECT 1 FROM decision WHERE purchase = q.id AND kind = 4"
		" AND state = 2) END"},
	{"I6 a refund is the price, to who paid it",
		"SELECT count(*) FROM attempt a JOIN purchase q ON q.id = a.purchase WHERE" FX_ONE
		"AND a.leg = 3 AND (a.amount <> q.price OR a.person <> q.payer)"},
	{"X4 never delivered and refunded",
		"SELECT count(*) FROM purchase q WHERE" FX_ONE
		"AND EXISTS (SELECT 1 FROM attempt WHERE purchase = q.id AND leg = 2 AND state = 6)"
		" AND EXISTS (SELECT 1 FROM attempt WHERE purchase = q.id AND leg = 3 AND state ="
		" 6)"},
	{"2.6 nothing is sent of a purchase that is contradicted",
		"SELECT count(*) FROM attempt a JOIN purchase q ON q.id = a.purchase WHERE" FX_ONE
		"AND q.state = 12 AND a.state = 1"},
	{"5.6 persons decide in twos, and what is decided is told in the chain",
		"SELECT count(*) FROM decision d JOIN purchase q ON q.id = d.purchase WHERE" FX_ONE
		"AND d.state = 2 AND (d.agreed_by IS NULL OR d.agreed_by = d.proposed_by OR NOT"
		" EXISTS (SELECT 1 FROM event WHERE purchase = q.id AND evidence = d.id))"},
	{"5.6 an open proposal is about an open case",
		"SELECT count(*) FROM decision d JOIN attempt a ON a.id = d.attempt JOIN purchase q"
		" ON q.id = a.purchase WHERE" FX_ONE "AND d.state = 1 AND a.state NOT IN (9, 10,"
		" 11)"},
	{"I7 an end is told once, and only ends are",
		"SELECT count(*) FROM (SELECT *, (SELECT count(*) FROM outbox WHERE purchase = q.id"
		" AND kind = 3 AND seq = 1) AS told FROM purchase q WHERE" FX_ONE
		") q WHERE told > 1"
		" OR told = 0 AND " FX_IS_END
		" OR told = 1 AND NOT EXISTS (SELECT 1 FROM event WHERE"
		" purchase = q.id AND attempt IS NULL AND (to_state IN (5, 6, 7, 8) OR to_state = 3"
		" AND NOT has_deliver))"},
	{"I9 what is open waits for something",
		"SELECT count(*) FROM attempt a JOIN purchase q ON q.id = a.purchase WHERE" FX_ONE
		"AND a.state < 5 AND NOT EXISTS (SELECT 1 FROM outbox WHERE purchase = q.id AND"
		" attempt = a.id AND is_done = 0)"},
	{"I9 a purchase that has not ended has an open attempt or waits for a person",
		"SELECT count(*) FROM purchase q WHERE" FX_ONE
		"AND q.state NOT IN (9, 12, 13) AND NOT " FX_IS_END
		" AND NOT EXISTS (SELECT 1 FROM attempt WHERE purchase = q.id AND state < 5)"},
};

struct fx_store {
	struct vault *vault;
	struct store *store;
	const struct config *config;
	sqlite3_stmt *rules[ROWS(FX_RULES)];
};

static inline void fx_load(struct fx_store *fx)
{
	struct err err = ERR_INIT;

	if (config_load("tests/fixtures/engine.lua", NULL, &fx->config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(vault_new(STR(FX_KEY), &fx->vault, NULL), 0);
}

static inline void fx_unload(struct fx_store *fx)
{
	vault_free(&fx->vault);
	config_unref(&fx->config);
}

static inline void fx_open_memory(struct fx_store *fx)
{
	const struct store_config config = {.vault = fx->vault, .in_memory = true};
	struct err err = ERR_INIT;

	if (store_sqlite_open(&config, &fx->store, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < ROWS(FX_RULES); i++) {
		sqlite3 *handle = sqlite_store_of(fx->store)->db.handle;

		if (sqlite3_prepare_v2(handle, FX_RULES[i].sql, -1, &fx->rules[i], NULL) !=
			SQLITE_OK)
			fail_msg("%s: %s", FX_RULES[i].name, sqlite3_errmsg(handle));
	}
}

static inline void fx_close_memory(struct fx_store *fx)
{
	for (size_t i = 0; i < ROWS(FX_RULES); i++)
		(void)sqlite3_finalize(fx->rules[i]);
	fx->store->ops->close(fx->store);
}

/* What opening the store anew does on disk: the next life of the process. */
static inline void fx_raise_incarnation(struct fx_store *fx)
{
	sqlite_store_of(fx->store)->incarnation++;
}

static inline struct msisdn fx_number(const char *digits)
{
	struct msisdn number = {""};

	(void)snprintf(number.digits, sizeof(number.digits), "%s", digits);
	return number;
}

/* What a person confirmed: the offer's own rules make fee and price. */
static inline struct buy_intent fx_intent(
	const struct config *config, const char *offer, const char *payer, const char *beneficiary)
{
	struct buy_intent intent = {
		.offer = config_offer(config, str_c(offer)),
		.payer = fx_number(payer),
		.beneficiary = fx_number(beneficiary),
		.face_value = 500,
		.texts = {STR_INIT("delivered"), STR_INIT("cancelled"), STR_INIT("expired"),
			STR_INIT("refund due"), STR_INIT("progress"), STR_INIT("refunded")},
	};

	assert_non_null(intent.offer);
	intent.operator_ =
		config_operator_guess(config, intent.offer->country, &intent.beneficiary);
	if (intent.offer->collect.account != NULL)
		intent.payer_operator =
			config_operator_guess(config, intent.offer->country, &intent.payer);
	intent.fee = offer_fee(intent.offer, intent.face_value);
	intent.price = intent.face_value + intent.fee;
	return intent;
}

/* The number that a text yields; 0 for NULL. ?1 is the purchase asked about, or 0 for all. */
static inline int64_t fx_sql(struct store *store, const char *sql, uint64_t purchase)
{
	sqlite3_stmt *stmt = NULL;
	int64_t out = 0;

	if (sqlite3_prepare_v2(sqlite_store_of(store)->db.handle, sql, -1, &stmt, NULL) !=
		SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(sqlite_store_of(store)->db.handle));
	if (sqlite3_bind_parameter_count(stmt) > 0)
		(void)sqlite3_bind_int64(stmt, 1, (int64_t)purchase);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		out = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return out;
}

/* Every invariant, of one purchase or (0) of all. The name of the first that is broken, or NULL. */
static inline const char *fx_broken(struct fx_store *fx, uint64_t purchase)
{
	const char *broken = NULL;

	for (size_t i = 0; i < ROWS(FX_RULES) && broken == NULL; i++) {
		sqlite3_stmt *stmt = fx->rules[i];

		(void)sqlite3_bind_int64(stmt, 1, (int64_t)purchase);
		if (sqlite3_step(stmt) != SQLITE_ROW || sqlite3_column_int64(stmt, 0) != 0)
			broken = FX_RULES[i].name;
		(void)sqlite3_reset(stmt);
	}
	return broken;
}

#endif
