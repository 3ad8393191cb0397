/* Floats: what is asked, what is known, what may still be sold; and the books of chance. */
#include "float_rig.h"

#define MINUTE INT64_C(60000)

static void balances_are_asked_for_on_their_grid(void **state)
{
	struct rig *r = *state;

	rig_step(r);
	assert_int_equal(float_asked(r, "et-ci balance"), 1);
	assert_int_equal(float_asked(r, "xente-ug balance"), 1);
	float_balance(r, ET, "5000");
	/* Unanswered, it is asked again when its lease is over. */
	rig_wait(r, MINUTE + 1000);
	assert_int_equal(float_asked(r, "et-ci balance"), 1);
	assert_int_equal(float_asked(r, "xente-ug balance"), 2);
	float_balance(r, XENTE, "700.00");
	assert_int_equal(float_now(r, "xente-ug").balance, 700);
	/* Days begin with an observation: the grid is of the clock. */
	rig_wait(r, 15 * MINUTE - r->now_ms % (15 * MINUTE) + 1);
	assert_int_equal(float_asked(r, "et-ci balance"), 2);
	assert_int_equal(float_asked(r, "xente-ug balance"), 3);
}

static void a_balance_that_is_none_is_no_news(void **state)
{
	struct rig *r = *state;
	static const char *const amounts[] = {"", "12.5", "many", "1e9"};

	for (size_t i = 0; i < ROWS(amounts); i++)
		float_balance(r, ET, amounts[i]);
	float_told(r, ET, PROVIDER_BALANCE, "100")->currency = STR("UGX");
	float_told(r, ET, PROVIDER_BALANCE, "100")->outcome = ACCOUNT_SILENT;
	float_told(r, STR("et-two"), PROVIDER_BALANCE, "100")->partner = 1;
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ALARM, "float_unknown"), 6);
	assert_false(float_now(r, "et-ci").is_known);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM observation", 0), 0);
}

static void what_is_not_known_sells_unless_said_otherwise(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV, 1), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 2), ENGINE_NO_FLOAT);
	float_balance(r, XENTE, "500");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 3), ENGINE_DONE);
	assert_int_equal(rig_stats(r).no_float, 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 2);
}

/* A cost of 10 each, 100 that stay: of 125 two can be promised, within one second or later. */
static void what_is_promised_is_not_sold_again(void **state)
{
	struct rig *r = *state;

	float_balance(r, ET, "125");
	(void)rig_post_buy(r, "ci-airtime", MOOV, MOOV, 1);
	(void)rig_post_buy(r, "ci-airtime", MTN, MTN, 2);
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV2, MOOV2, 3), ENGINE_NO_FLOAT);
	assert_int_equal(float_now(r, "et-ci").reserved, 20);
	r->now_ms += 5000;
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV2, MOOV2, 4), ENGINE_NO_FLOAT);
	/* A payment needs nothing of ours. */
	assert_int_equal(rig_buy(r, "ci-payment", MOOV2, MOOV2, 5), ENGINE_DONE);
	/* What nobody pays for is not promised any more. */
	rig_wait(r, 11 * MINUTE);
	assert_int_equal(float_now(r, "et-ci").reserved, 0);
	assert_int_equal(rig_buy(r, "ci-airtime", MTN, MTN, 6), ENGINE_DONE);
}

/* One phone that is told to wait, asked "again?" or limited takes nothing from the others. */
static void what_is_refused_promises_nothing(void **state)
{
	struct rig *r = *state;
	struct buy_intent taken;
	struct engine_buy *buy;
	int64_t available;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	available = float_now(r, "xente-ug").available;
	for (uint64_t i = 0; i < 12; i++) {
		r->now_ms += 10;
		assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 50 + i), ENGINE_AGAIN);
		assert_int_equal(float_now(r, "xente-ug").available, available);
	}
	float_balance(r, ET, "125");
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV, 2), ENGINE_DONE);
	for (uint64_t i = 0; i < 2; i++)
		assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV, 70 + i), ENGINE_SPACED);
	/* The reference is somebody else's. */
	buy = rig_post_buy(r, "ci-airtime", MTN, MTN, 3);
	taken = *buy->intent;
	taken.ref = STR("R0000001");
	buy->intent = &taken;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_REF_TAKEN);
	assert_int_equal(float_now(r, "et-ci").reserved, 10);
	assert_int_equal(rig_buy(r, "ci-airtime", MTN, MTN, 4), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "ug-airtime", "256771234568", "256771234568", 90), ENGINE_DONE);
}

static void a_commit_that_fails_promises_nothing(void **state)
{
	struct rig *r = *state;

	float_balance(r, ET, "115");
	r->commit_answers = TAMA_EIO;
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV, 1), ENGINE_NOT_DONE);
	r->commit_answers = 0;
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV, 1), ENGINE_DONE);
	assert_int_equal(float_now(r, "et-ci").available, 5);
}

static void agents_spend_what_they_paid_in(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MOOV, 1), ENGINE_DONE);
	a = rig_send(r);
	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MTN, 2), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MOOV2, 3), ENGINE_NO_FLOAT);
	/* Proven undelivered: it is theirs again. */
	rig_reply(r, &a, "FAILED", "T1");
	r->now_ms += 11000;
	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MOOV2, 4), ENGINE_DONE);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T2");
	r->now_ms += 11000;
	rig_step(r);
	assert_int_equal(float_now(r, "float:agents").balance, 500);
	assert_int_equal(float_now(r, "float:agents").reserved, 500);
	assert_false(float_now(r, "float:agents").sells);
	assert_int_equal(float_now(r, "float:agents").seconds_left, 0);
}

/* Like an account's: at the pace of what was delivered. */
static void an_agents_float_is_forecast(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	rig_step(r);
	assert_int_equal(float_now(r, "float:agents").seconds_left, -1);
	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MOOV, 1), ENGINE_DONE);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	r->now_ms += 11000;
	rig_step(r);
	/* 500 left, at 500 an hour, then at 500 a day. */
	assert_int_equal(float_now(r, "float:agents").seconds_left, 3600);
	rig_wait(r, 90 * MINUTE);
	assert_int_equal(float_now(r, "float:agents").seconds_left, 24 * 3600);
	/* It was not delivered after all: nobody spends any more. */
	assert_int_equal(rig_ipn(r, &a, "FAILED", "T1"), ENGINE_DONE);
	r->now_ms += 11000;
	rig_step(r);
	assert_int_equal(float_now(r, "float:agents").seconds_left, -1);
}

static struct attempt_row bring_delivering(struct rig *r)
{
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_DONE);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	rig_wait(r, 1000);
	a = rig_send(r);
	assert_int_equal(a.leg, LEG_DELIVER);
	return a;
}

/* F-D26. */
static void a_refusal_for_lack_of_float_empties_it(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct engine_result *result;

	float_balance(r, ET, "5000");
	a = bring_delivering(r);
	rig_forget(r);
	result = rig_post_result(r, &a, PROVIDER_SUBMIT, "FAILED", "T2");
	result->facts.code = STR("Solde insuffisant");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_FAILED);
	assert_int_equal(rig_count(r, SAID_ALARM, "float_refused"), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "float_empty"), 1);
	/* It may have been a moment's lack: the balance tells. */
	assert_int_equal(float_asked(r, "et-ci balance"), 1);
	assert_false(float_now(r, "et-ci").sells);
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV2, MOOV2, 2), ENGINE_NO_FLOAT);
	float_balance(r, ET, "5000");
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV2, MOOV2, 3), ENGINE_DONE);
}

/* The same words about a collection are the customer's balance. */
static void a_customer_without_money_empties_nothing(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	float_balance(r, ET, "5000");
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_DONE);
	a = rig_send(r);
	rig_post_result(r, &a, PROVIDER_SUBMIT, "FAILED", "T1")->facts.code =
		STR("Solde insuffisant");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_FAILED);
	assert_int_equal(rig_count(r, SAID_ALARM, "float_refused"), 0);
	assert_true(float_now(r, "et-ci").sells);
}

static void what_is_in_doubt_is_not_counted_twice(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_DONE);
	a = rig_send(r);
	/* The collection may be in this balance already, and will be booked later. */
	float_balance(r, ET, "5000");
	assert_int_equal(float_now(r, "et-ci").balance, 5000 - 588);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	r->now_ms += 11000;
	rig_step(r);
	assert_int_equal(float_now(r, "et-ci").balance, 5000);
	a = rig_send(r);
	r->now_ms += 11000;
	rig_step(r);
	assert_int_equal(float_now(r, "et-ci").balance, 5000 - 10);
}

static void warnings_come_once_and_the_forecast_counts(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	float_balance(r, XENTE, "1500");
	assert_int_equal(float_now(r, "xente-ug").seconds_left, -1);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESS", "X1");
	a = rig_send(r);
	r->now_ms += 11000;
	rig_step(r);
	/* 500 came in and went out: nothing is lost. */
	assert_int_equal(float_now(r, "xente-ug").seconds_left, -1);
	rig_reply(r, &a, "SUCCESS", "X2");
	float_balance(r, ET, "1999");
	rig_wait(r, 11000);
	assert_int_equal(rig_count(r, SAID_ALARM, "float_low"), 1);
	float_balance(r, ET, "100000");
	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MTN, 2), ENGINE_DONE);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T2");
	r->now_ms += 11000;
	rig_step(r);
	/* 99,400 at 500 an hour. */
	assert_int_equal(float_now(r, "et-ci").available, 99400);
	assert_int_equal(float_now(r, "et-ci").seconds_left, 99400 * 3600 / 500);
}

static void another_life_asks_anew(void **state)
{
	struct rig *r = *state;

	rig_step(r);
	rig_forget(r);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(float_asked(r, "et-ci balance"), 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE kind = 7", 0), 3);
}

/* ---- the budget --------------------------------------------------------------------------------
 */

/* Requests that are being asked about, forty of them. */
static void bring_queried(struct rig *r)
{
	char number[16];

	for (unsigned i = 0; i < 40; i++) {
		struct attempt_row a;

		(void)snprintf(number, sizeof(number), "2567712%05u", i);
		assert_int_equal(rig_buy(r, "ug-airtime", number, number, i + 1), ENGINE_DONE);
		rig_wait(r, 6000);
		a = rig_send(r);
		rig_reply(r, &a, "PENDING", "T");
	}
	rig_forget(r);
	r->is_lax = true;
	r->now_ms += 60 * MINUTE;
}

/* The list never ends: each page that was asked for is answered with one more row. */
static void answer_lists(struct rig *r, uint32_t *page)
{
	char asked[32];
	struct facts *row;
	struct engine_account *told;

	(void)snprintf(asked, sizeof(asked), "xente-ug list %u", *page);
	if (float_asked(r, asked) == 0)
		return;
	told = float_told(r, XENTE, PROVIDER_LIST, "");
	row = arena_alloc(&r->first->arena, sizeof(*row));
	*row = (struct facts){.id = arena_printf(&r->first->arena, "X%u", *page), .is_valid = true};
	told->day = r->now_ms / (1440 * MINUTE);
	told->page = (*page)++;
	told->rows = row;
	told->rows_len = 1;
}

static void begin_day(struct rig *r)
{
	rig_event(r, ENGINE_RECONCILE)->as.reconcile = (struct engine_reconcile){
		.partner = 1, .account = XENTE, .day = r->now_ms / (1440 * MINUTE)};
	rig_step(r);
}

/* Whatever a provider is asked, it is not more than it allows; and queries do not wait for lists.
 */
static void all_that_is_asked_lives_on_one_budget(void **state)
{
	struct rig *r = *state;
	unsigned queries, lists;
	uint32_t page = 1;

	float_balance(r, XENTE, "500000");
	bring_queried(r);
	float_budget(r, XENTE, 6);
	begin_day(r);
	for (unsigned second = 1; second <= 600; second++) {
		answer_lists(r, &page);
		rig_wait(r, 1000);
		queries = rig_count(r, SAID_QUERY, NULL);
		lists = rig_count(r, SAID_ACCOUNT, "xente-ug");
		/* A bucket of a minute's queries was full. */
		assert_true(queries + lists <= 6 + 6 * second / 60 + 1);
		assert_true(queries >= 3 * (second / 60));
	}
	/* Nor does a list wait until everything is settled. */
	assert_in_range(lists, 2, 31);
}

/* With nothing else to ask a list takes every other share. */
static void a_list_alone_leaves_half_of_the_budget(void **state)
{
	struct rig *r = *state;
	uint32_t page = 1;

	float_balance(r, XENTE, "500000");
	float_budget(r, XENTE, 6);
	r->now_ms += MINUTE;
	begin_day(r);
	for (unsigned second = 1; second <= 300; second++) {
		answer_lists(r, &page);
		rig_wait(r, 1000);
	}
	assert_in_range(rig_count(r, SAID_ACCOUNT, "xente-ug list"), 14, 16);
	/* A new life asks no more at once than the last one left. */
	rig_crash(r);
	rig_forget(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ACCOUNT, "xente-ug"), 0);
	rig_wait(r, MINUTE);
	assert_int_equal(rig_count(r, SAID_ACCOUNT, "xente-ug"), 1);
}

/* F-D24, of whatever was asked: nothing more is for a while, twice as long each time. */
static void refused_inquiries_stop_queries_too(void **state)
{
	struct rig *r = *state;

	float_balance(r, XENTE, "500000");
	bring_queried(r);
	float_told(r, XENTE, PROVIDER_BALANCE, "")->outcome = ACCOUNT_REFUSED;
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ALARM, "queries_refused"), 1);
	begin_day(r);
	rig_wait(r, MINUTE - 1000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ACCOUNT, "xente-ug"), 0);
	rig_wait(r, 2000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 40);
	assert_int_equal(float_asked(r, "xente-ug list"), 1);
	/* The list's page is asked for again by its row, when that is allowed. */
	float_told(r, XENTE, PROVIDER_LIST, "")->outcome = ACCOUNT_REFUSED;
	r->first->as.account.day = r->now_ms / (1440 * MINUTE);
	r->first->as.account.page = 1;
	rig_wait(r, 2 * MINUTE - 1000);
	assert_int_equal(float_asked(r, "xente-ug list"), 1);
	rig_wait(r, 2000);
	assert_int_equal(float_asked(r, "xente-ug list"), 2);
	assert_int_equal(rig_count(r, SAID_ALARM, "list_unknown"), 0);
	/* Told, it begins anew. */
	float_balance(r, XENTE, "500000");
	float_told(r, XENTE, PROVIDER_BALANCE, "")->outcome = ACCOUNT_REFUSED;
	rig_wait(r, MINUTE + 1000);
	assert_int_equal(float_asked(r, "xente-ug list"), 3);
}

/* ---- books of chance ---------------------------------------------------------------------------
 */

/*
 * What each purchase is worth in each book, a third time and in SQL: reliability.md 2.1 and 2.8
 * read by somebody who has not read ledger.c. c, d and f are the deciding attempts' states.
 */
#define DOUBT(x) "(" x " IN (2, 3, 4, 9, 10))"
#define SENT(x) "(" x " IN (2, 3, 4, 6, 9, 10, 11))"
#define DONE(x) "(" x " IN (6, 11))"
#define OWED "((c = 6 OR " DOUBT("c") ") AND d <> 0 AND (d IN (7, 8) OR " SENT("f") "))"
#define SOLD "(c = 6 AND NOT has_deliver)"
#define POSITION(book, what)                                                                       \
	"SELECT id, " #book " AS book, " what " AS worth FROM " FX_LEGS " UNION ALL "
static const char WRONG_BOOKS[] = "SELECT count(*) FROM (" POSITION(1,
	"has_collect * (-price * (" DOUBT("c") " OR c = 6 AND has_deliver"
					       " OR c = 11 AND d <> 0) + price * (" OWED
					       " OR " DONE("d") "))") POSITION(2,
	"(c = 6) * (price - collect_fee) - cost * (" DOUBT("d") " OR " DONE(
		"d") ")"
		     " - price * (" DOUBT("f") " OR " DONE("f") ")") POSITION(3,
	"-price * (" SOLD " AND f = 0) + (d = 6) * (cost - price * (NOT " OWED "))") POSITION(4,
	"price * " DOUBT("c") " + cost * " DOUBT("d") " + price * " DOUBT("f")) POSITION(5,
	"-price * (" SOLD " AND f <> 0) - price * " OWED
	" + price * " DONE("f")) POSITION(6, "(NOT has_collect) * price * " DONE("d")) POSITION(7,
	"(c = 6) * collect_fee") "SELECT id, 8, (c = 11 AND d <> 0) * price + (d = 11) * (cost - "
				 "price * (NOT " OWED "))"
				 " FROM " FX_LEGS
				 ") w WHERE worth <> coalesce((SELECT sum(debit) FROM ledger"
				 " WHERE purchase = w.id AND book = w.book), 0)";

static const char WRONG_BALANCES[] =
	"SELECT count(*) FROM (SELECT * FROM (SELECT partner, account, book, currency, sum(debit)"
	" FROM ledger GROUP BY 1, 2, 3, 4 EXCEPT SELECT * FROM balance)"
	" UNION ALL SELECT * FROM (SELECT * FROM balance EXCEPT SELECT partner, account, book,"
	" currency, sum(debit) FROM ledger GROUP BY 1, 2, 3, 4)"
	" UNION ALL SELECT partner, account, book, currency, sum FROM (SELECT * FROM (SELECT"
	" partner, account, at_ms / 86400000, book, currency, sum(debit) AS sum FROM ledger"
	" WHERE book IN (3, 7) GROUP BY 1, 2, 3, 4, 5 EXCEPT SELECT * FROM earned)))";

static uint32_t chance(struct rig *r, uint32_t below)
{
	uint32_t n;

	rig_random(r, &n, sizeof(n));
	return n % below;
}

/* Something happens to the purchase's newest attempt: what comes may fit its state or not. */
static void strike(struct rig *r)
{
	static const char *const words[] = {"SUCCESSFUL", "FAILED", "PENDING"};
	struct attempt_row a = rig_attempt(r, 0);
	uint32_t what = chance(r, 8);

	if (a.id == 0)
		return;
	if (a.state == ATTEMPT_READY && what < 6)
		(void)rig_post_prepared(r, &a, PREPARED_OK);
	else if (what < 3)
		(void)rig_post_result(
			r, &a, PROVIDER_SUBMIT, words[chance(r, 3)], chance(r, 2) ? "T1" : "T2");
	else if (what < 4)
		rig_post_result(r, &a, PROVIDER_SUBMIT, NULL, NULL)->transfer.end = TRANSFER_BROKEN;
	else if (what < 6 && a.sent_ms > 0)
		(void)rig_post_ipn(r, &a, words[chance(r, 2)], chance(r, 2) ? "T1" : "T2");
	else
		r->now_ms += (int64_t)chance(r, 2 * 3600 * 1000);
}

static void books_of_chance_are_what_the_legs_are_worth(void **state)
{
	static const char *const offers[] = {
		"ci-airtime", "ci-payment", "agent-airtime", "ug-airtime"};
	struct rig *r = *state;
	unsigned bought = 0;

	for (uint64_t uid = 1; uid <= 120; uid++) {
		const char *offer = offers[chance(r, 4)];
		bool is_ug = strcmp(offer, "ug-airtime") == 0;

		r->now_ms += 16 * MINUTE;
		bought +=
			rig_buy(r, offer, is_ug ? UG : MOOV, is_ug ? UG : MOOV, uid) == ENGINE_DONE;
		for (uint32_t n = chance(r, 12); n > 0; n--) {
			strike(r);
			rig_step(r);
		}
		assert_int_equal(fx_sql(r->fx.store, WRONG_BOOKS, 0), 0);
		assert_int_equal(fx_sql(r->fx.store, WRONG_BALANCES, 0), 0);
		rig_forget(r);
	}
	assert_true(bought > 60);
	/* It has seen what it should: books that are never touched prove nothing. */
	for (int book = LEDGER_CUSTOMER; book < LEDGER_REFUND_PAYABLE; book++)
		assert_true(fx_sql(r->fx.store, "SELECT count(*) FROM ledger WHERE book = ?1",
				    (uint64_t)book) > 0);
}

/* With or without a balance that is asked for. */
static void old_minutes_of_flows_go(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	assert_true(fx_sql(r->fx.store, "SELECT count(*) FROM flow", 0) > 0);
	r->is_lax = true;
	rig_wait(r, INT64_C(50) * 3600000);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM flow", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLOAT_TEST(balances_are_asked_for_on_their_grid),
		FLOAT_TEST(a_balance_that_is_none_is_no_news),
		FLOAT_TEST(what_is_not_known_sells_unless_said_otherwise),
		FLOAT_TEST(what_is_promised_is_not_sold_again),
		FLOAT_TEST(what_is_refused_promises_nothing),
		FLOAT_TEST(a_commit_that_fails_promises_nothing),
		FLOAT_TEST(agents_spend_what_they_paid_in),
		FLOAT_TEST(an_agents_float_is_forecast),
		FLOAT_TEST(a_refusal_for_lack_of_float_empties_it),
		FLOAT_TEST(a_customer_without_money_empties_nothing),
		FLOAT_TEST(what_is_in_doubt_is_not_counted_twice),
		FLOAT_TEST(warnings_come_once_and_the_forecast_counts),
		FLOAT_TEST(another_life_asks_anew),
		FLOAT_TEST(all_that_is_asked_lives_on_one_budget),
		FLOAT_TEST(a_list_alone_leaves_half_of_the_budget),
		FLOAT_TEST(refused_inquiries_stop_queries_too),
		RIG_TEST(old_minutes_of_flows_go),
		RIG_TEST(books_of_chance_are_what_the_legs_are_worth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
