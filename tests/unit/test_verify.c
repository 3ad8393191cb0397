/*
 * Two who read the specification apart from one another: the checker and the machine. And each rule
 * of the checker, broken by hand in a copy of a store that the engine has made, and named.
 */
#include "verify_rig.h"

#include "../../src/store/sqlite_verify_states.h"
#include "tama/ledger.h"

#define PRICE 600
#define COST 490
#define FEE 12

struct shape {
	struct purchase_legs legs;
	struct v_attempt attempts[3];
	struct v_purchase purchase;
};

/* One attempt for each leg that has a state. */
static void shape_of(struct shape *s, unsigned kind, const int64_t states[static 3])
{
	*s = (struct shape){.legs = {.has_collect = kind & 1, .has_deliver = kind & 2}};
	s->purchase = (struct v_purchase){.has_collect = kind & 1,
		.has_deliver = kind & 2,
		.price = PRICE,
		.cost = COST,
		.collect_fee = FEE,
		.attempts = s->attempts};
	for (int64_t leg = COLLECT; leg <= REFUND; leg++) {
		if (states[leg - 1] == 0)
			continue;
		s->attempts[s->purchase.attempts_len++] =
			(struct v_attempt){.leg = leg, .n = 1, .state = states[leg - 1]};
		purchase_legs_add(
			&s->legs, (enum leg_kind)leg, (enum attempt_state)states[leg - 1]);
	}
}

/* Goods or money go out only for what came in, or seemed to. */
static bool can_be(unsigned kind, const int64_t states[static 3])
{
	int64_t collect = states[0], deliver = states[1], refund = states[2];
	bool was_in = collect == SUCCEEDED || collect == CONTRADICTED || collect == WRITTEN_OFF;

	if ((kind & 1) == 0)
		return collect == 0 && refund == 0;
	if ((kind & 2) == 0 && deliver != 0)
		return false;
	return (deliver == 0 && refund == 0) || was_in;
}

static void both_agree(void **state)
{
	const struct ledger_terms terms = {.price = PRICE, .cost = COST, .collect_fee = FEE};
	unsigned n = 0;

	for (unsigned i = 0; i < 3u * 12 * 12 * 12; i++) {
		const unsigned kind = 1 + i % 3;
		const int64_t states[3] = {i / 3 % 12, i / 36 % 12, i / 432 % 12};
		int64_t is[BOOKS], should[LEDGER_BOOKS];
		struct shape s;

		if (!can_be(kind, states))
			continue;
		shape_of(&s, kind, states);
		if (v_derive(&s.purchase) != (int)purchase_derive(&s.legs))
			fail_msg("%u: %d %d %d is %d here, %d there", kind, (int)states[0],
				(int)states[1], (int)states[2], v_derive(&s.purchase),
				(int)purchase_derive(&s.legs));
		v_worth(&s.purchase, is);
		ledger_position(&s.legs, &terms, should);
		for (int book = 1; book < BOOKS; book++)
			if (is[book] != should[book])
				fail_msg("%u: %d %d %d, book %d: %lld here, %lld there", kind,
					(int)states[0], (int)states[1], (int)states[2], book,
					(long long)is[book], (long long)should[book]);
		n++;
	}
	assert_true(n > 400);
}

/* The table of moves is the machine's, cell by cell. */
static void every_move_is_known(void **state)
{
	for (int64_t from = READY; from <= ATTEMPT_LAST; from++)
		for (int event = 0; event < ATTEMPT_EVENTS; event++) {
			const struct attempt_step step =
				attempt_step((enum attempt_state)from, (enum attempt_event)event);
			struct v_event e = {.from = from, .to = step.next};

			(void)snprintf(e.cause, sizeof(e.cause), "%s",
				attempt_event_name((enum attempt_event)event));
			if (step.kind == STEP_MOVE && !v_is_allowed(&e))
				fail_msg("%s to %s by %s", v_attempt_name(from),
					v_attempt_name(e.to), e.cause);
			for (e.to = READY; e.to <= ATTEMPT_LAST; e.to++)
				if (v_is_allowed(&e))
					assert_true(step.kind == STEP_MOVE &&
						    e.to == (int64_t)step.next);
		}
}

/* ---- each rule, broken
 * ----------------------------------------------------------------------------
 */

enum {
	OF_STORE = 1, /* no purchase is named */
	KEEP_CHAIN = 2, /* the hashes stay */
	KEEP_SUMS = 4, /* balances and tallies stay */
	LIVE_ONLY = 8, /* SQLite would see it in the file */
	AT_REST = 16, /* only SQLite sees it */
	TWICE = 32, /* two purchases */
};

struct wrong {
	const char *name, *ref, *rule, *words, *sql;
	int flags;
};

#define P "(SELECT id FROM p)"
#define OF_P " WHERE purchase = " P " "
#define ATTEMPT(leg_) "(SELECT id FROM attempt" OF_P "AND leg = " leg_ " ORDER BY n LIMIT 1)"
#define LAST_LEG(leg_, to_)                                                                        \
	"(SELECT max(seq) FROM event" OF_P "AND attempt = " ATTEMPT(leg_) " AND to_state = " to_ ")"
/* After one was taken away or given a half for its number. */
#define RENUMBER                                                                                   \
	"; UPDATE event SET seq = seq + 1000" OF_P "; UPDATE event SET seq = (SELECT count(*)"     \
	" FROM event e WHERE e.purchase = event.purchase AND e.seq <= event.seq)" OF_P
#define LINE(n_, book_, debit_)                                                                    \
	"INSERT INTO ledger SELECT id, 1, " n_                                                     \
	", partner, " ATTEMPT("1") ", " book_ ", " debit_                                          \
				   ", currency, 'et-ci', created_ms FROM purchase WHERE id = " P   \
				   ";"
#define MESSAGE(seq_)                                                                              \
	"INSERT INTO outbox (id, partner, kind, purchase, seq, due_ms, tries, is_done, channel,"   \
	" person, body) SELECT max(o.id) + 1, o.partner, 3, " P ", " seq_                          \
	", due_ms, 0, 1, channel, person, body FROM outbox o WHERE kind = 3"
#define REFUND_OF_GOODS                                                                            \
	"INSERT INTO attempt SELECT id + 9, partner, purchase, 3, 1, account, 'X', verb, service," \
	" person, amount, currency, 0, 0, 1, 1, 0, 0, 0, zeroblob(16), '', 0, created_ms, 0,"      \
	" updated_ms, 0, 0, 0 FROM attempt" OF_P "AND leg = 1"

static const struct wrong wrongs[] = {
	{"I1 an event changed", SOLD, "I1", "hash chain breaks at event 2",
		"UPDATE event SET at_ms = at_ms - 1" OF_P "AND seq = 2", KEEP_CHAIN},
	{"I1 an event gone", SOLD, "I1", "event 3 is missing",
		"DELETE FROM event" OF_P "AND seq = 3", 0},
	{"I1 an event of another's", SOLD, "I1", "another purchase's attempt",
		"UPDATE event SET attempt = (SELECT min(id) FROM attempt)" OF_P "AND seq = 2", 0},
	{"I1 a state of a purchase", REFUNDED, "I1", "its events end in REFUNDED",
		"UPDATE purchase SET state = 5 WHERE id = " P, 0},
	{"I1 a state of an attempt", SOLD, "I1", "its events end in SUCCEEDED",
		"UPDATE attempt SET state = 7" OF_P "AND leg = 2", 0},
	{"I1 a move that is none", DOUBT, "I1", "no way from SENDING to EXPIRED",
		"UPDATE event SET to_state = 8" OF_P "AND to_state = 4 AND attempt > 0;"
		"UPDATE attempt SET state = 8" OF_P,
		0},
	{"I1 a way that is none", SOLD, "I1", "no way from DELIVERING to REFUNDED",
		"UPDATE event SET to_state = 11" OF_P "AND to_state = 5 AND attempt IS NULL;"
		"UPDATE purchase SET state = 11 WHERE id = " P,
		0},
	{"I1 not derived", REFUNDED, "I1", "its legs say REFUNDED",
		"UPDATE event SET to_state = 9" OF_P "AND to_state = 11 AND attempt IS NULL;"
		"UPDATE purchase SET state = 9 WHERE id = " P,
		0},
	{"I2 a number left out", SOLD, "I2", "deliver.2 follows deliver.0",
		"UPDATE attempt SET n = 2" OF_P "AND leg = 2", 0},
	{"I2 two that may have run", PAID, "I2", "two attempts of the deliver leg",
		"DROP INDEX attempt_live; INSERT INTO attempt SELECT id + 9, partner, purchase, "
		"leg, 2,"
		" account, 'X', verb, service, person, amount, currency, 0, 0, 1, 1, 0, 0, 0,"
		" zeroblob(16), '', 0, created_ms, 0, updated_ms, 0, 0, 0 FROM attempt" OF_P
		"AND leg = 2",
		0},
	{"I3 sent without a time", SOLD, "I3", "without saying what is sent",
		"UPDATE attempt SET sent_ms = 0" OF_P "AND leg = 1", 0},
	{"I3 sent without a body", SOLD, "I3", "without saying what is sent",
		"UPDATE attempt SET body_hash = zeroblob(16)" OF_P "AND leg = 1", 0},
	{"I3 sent by another life", DOUBT, "I3", "belongs to life 99",
		"UPDATE attempt SET owner_incarnation = 99" OF_P, 0},
	{"I3 sent without a claim", PAID, "I3", "has an owner and no claim",
		"UPDATE attempt SET owner_incarnation = 1" OF_P "AND leg = 2", 0},
	{"I4 a posting that leans", SOLD, "I4", "does not balance",
		"UPDATE ledger SET debit = debit + 1" OF_P "AND posting = 1 AND line = 1", 0},
	{"I4 a posting gone", SOLD, "I4", "posting 2 is missing",
		"DELETE FROM ledger" OF_P "AND posting = 2", 0},
	{"I4 a posting twice", SOLD, "I4", "its legs are worth",
		"INSERT INTO ledger SELECT purchase, 5, line, partner, attempt, book, debit, "
		"currency,"
		" account, at_ms FROM ledger" OF_P "AND posting = 4",
		0},
	{"I4 another book", SOLD, "I4", "its legs are worth",
		"UPDATE ledger SET book = 8" OF_P "AND book = 3", 0},
	{"I4 another account", SOLD, "I4", "booked to another account",
		"UPDATE ledger SET account = 'xente-ug'" OF_P "AND posting = 2", 0},
	{"I4 another amount", SOLD, "I4", "deliver.1 is of another amount",
		"UPDATE attempt SET amount = 501" OF_P "AND leg = 2", 0},
	{"I4 another number", SOLD, "I4", "deliver.1 goes to another number",
		"UPDATE attempt SET person = (SELECT payer FROM purchase WHERE id = " P ")" OF_P
		"AND leg = 2",
		0},
	{"I4 below the floor", SOLD, "I4", "more was given for it than was claimed",
		"DELETE FROM event" OF_P "AND attempt IS NULL AND from_state > 2" RENUMBER ";"
		"UPDATE event SET to_state = 6" OF_P "AND attempt IS NULL AND from_state = 2;"
		"UPDATE event SET to_state = 7, cause = 'failure'" OF_P "AND attempt = " ATTEMPT(
			"1") " AND to_state = 6; UPDATE attempt SET state = 7" OF_P "AND leg = 1;"
			     "UPDATE purchase SET state = 6 WHERE id = " P
			     "; DELETE FROM ledger" OF_P ";" LINE("1", "3", "cost - price")
				     LINE("2", "2", "-cost") LINE("3", "1", "price"),
		0},
	{"I4 a balance", SOLD, "I4", "et-ci, book 2 is not what its postings add up to",
		"UPDATE balance SET sum = sum + 1 WHERE book = 2", OF_STORE | KEEP_SUMS},
	{"I4 a balance gone", SOLD, "I4", "book 3 is not what its postings add up to",
		"DELETE FROM balance WHERE book = 3", OF_STORE | KEEP_SUMS},
	{"I4 a balance of nothing", SOLD, "I4",
		"nowhere, book 2 is not what its postings add up to",
		"INSERT INTO balance VALUES (1, 'nowhere', 2, 'XOF', 5)", OF_STORE | KEEP_SUMS},
	{"I4 a day's part", SOLD, "I4", "a day's part of partner 1, et-ci, book 3",
		"UPDATE earned SET sum = sum - 1 WHERE book = 3", OF_STORE | KEEP_SUMS},
	{"I5 goods for nothing", PAID, "I5", "without having collected",
		"DELETE FROM event" OF_P "AND (attempt = " ATTEMPT(
			"1") " OR seq > 1)" RENUMBER ";"
			     "UPDATE attempt SET state = 1, sent_ms = 0, owner_incarnation = 0,"
			     " body_hash = zeroblob(16)" OF_P "AND leg = 1;"
			     "DELETE FROM ledger" OF_P
			     "; UPDATE purchase SET state = 1 WHERE id = " P,
		0},
	{"I6 a refund of what was delivered", SOLD, "I6", "not proven undone", REFUND_OF_GOODS, 0},
	{"I6 sent before the proof", REFUNDED, "I6",
		"a refund was sent, and the delivery was SENDING",
		"UPDATE event SET seq = seq + 100" OF_P
		"AND seq > " LAST_LEG("3", "2") ";"
						"UPDATE event SET seq = 90" OF_P
						"AND seq = " LAST_LEG("2", "7") RENUMBER,
		0},
	{"I6 failed while its owner lived", DECIDED, "I6", "while its owner lived",
		"UPDATE event SET evidence = NULL" OF_P "AND cause = 'doubt';"
		"DELETE FROM inbox WHERE attempt = " ATTEMPT("2") " AND kind = 2",
		0},
	{"I7 an end untold", SOLD, "I7", "no final message says so",
		"DELETE FROM outbox" OF_P "AND kind = 3 AND seq = 1", 0},
	{"I7 an end told twice", SOLD, "I7", "2 final messages",
		"DROP INDEX outbox_once;" MESSAGE("1"), 0},
	{"I7 no end yet", DOUBT, "I7", "nothing is settled", MESSAGE("1"), 0},
	{"I7 a refund untold", REFUNDED, "I7", "it was refunded, and no message",
		"DELETE FROM outbox" OF_P "AND kind = 3 AND seq = 3", 0},
	{"I7 a refund told twice", REFUNDED, "I7", "2 messages of a refund",
		"DROP INDEX outbox_once;" MESSAGE("3"), 0},
	{"I7 no refund", SOLD, "I7", "there was none", MESSAGE("3"), 0},
	{"I7 no such outcome", SOLD, "I7", "1 messages correct what did not change", MESSAGE("4"),
		0},
	{"I7 no such message", SOLD, "I7", "1 messages of no kind", MESSAGE("0"), 0},
	{"I8 evidence gone", SOLD, "I8", "is not in the inbox",
		"DELETE FROM inbox WHERE id = (SELECT max(evidence) FROM event" OF_P ")", 0},
	{"I8 a success out of nothing", SOLD, "I8", "by success without evidence",
		"UPDATE event SET evidence = NULL" OF_P "AND cause = 'success'", 0},
	{"I8 evidence of another's", SOLD, "I8", "is not in the inbox",
		"UPDATE event SET evidence = (SELECT min(id) FROM inbox)" OF_P
		"AND cause = 'success'",
		0},
	{"I8 it moved nothing", SOLD, "I8", "no event names it",
		"INSERT INTO inbox SELECT max(id) + 1, partner, kind, account, attempt, "
		"zeroblob(16), raw,"
		" 1, '', received_ms, 0, 0 FROM inbox WHERE attempt = " ATTEMPT("2"),
		0},
	{"I9 nothing is due", DOUBT, "I9", "is UNKNOWN and waits for nothing",
		"DELETE FROM outbox" OF_P "AND attempt > 0", 0},
	{"I9 it is done", DOUBT, "I9", "is UNKNOWN and waits for nothing",
		"UPDATE outbox SET is_done = 1" OF_P "AND attempt > 0", 0},
	{"I9 due when all are dead", DOUBT, "I9", "is UNKNOWN and waits for nothing",
		"UPDATE meta SET clock_ms = 1767225600000;"
		"UPDATE outbox SET due_ms = due_ms + 3600000000000" OF_P "AND attempt > 0",
		0},
	{"I9 nobody sends it", PAID, "I9", "deliver.1 is READY and waits for nothing",
		"UPDATE outbox SET kind = 2" OF_P "AND kind = 1", 0},
	{"I9 paid and forgotten", PAID, "I9", "nobody is asked",
		"DELETE FROM attempt" OF_P "AND leg = 2; DELETE FROM outbox" OF_P, 0},
	{"I10 no reply", SOLD, "I10", "the reply that was given is gone", "DELETE FROM hop" OF_P,
		0},
	{"I10 one press", SOLD, "I10", "2 purchases of one press",
		"CREATE TABLE twice AS SELECT * FROM purchase; DROP TABLE purchase;"
		"ALTER TABLE twice RENAME TO purchase; UPDATE purchase SET uid = (SELECT uid FROM "
		"purchase"
		" WHERE id = " P ") WHERE ref = '" DOUBT "'",
		LIVE_ONLY | TWICE},
	{"I11 a number", SOLD, "I11", "1 sealed columns are plain",
		"UPDATE person SET number = CAST('2250102030405' AS BLOB) WHERE id = (SELECT payer "
		"FROM"
		" purchase WHERE id = " P ")",
		0},
	{"I11 a message", SOLD, "I11", "1 sealed columns are plain",
		"UPDATE outbox SET body = CAST('Recharge de 500 F pour 07 01 02 03 04, réussie, "
		"merci.'"
		" AS BLOB)" OF_P "AND kind = 3",
		0},
	{"I11 what a provider said", SOLD, "I11", "1 sealed columns are plain",
		"UPDATE inbox SET raw = CAST('{\"status\":\"SUCCESSFUL\"}' AS BLOB) WHERE id = "
		"(SELECT"
		" max(evidence) FROM event" OF_P ")",
		0},
	{"I11 a proof", DECIDED, "I11", "1 sealed columns are plain",
		"UPDATE decision SET agreed_proof = CAST('the statement of the 3rd of May, line 7,"
		" shows that it failed' AS BLOB)" OF_P,
		0},
	{"I11 what nobody knows", SOLD, "I11", "1 sealed rows of no purchase",
		"INSERT INTO inbox SELECT max(id) + 1, partner, kind, account, NULL, zeroblob(16),"
		" CAST('{\"status\":\"SUCCESSFUL\"}' AS BLOB), 6, '', received_ms, 0, 0 FROM inbox",
		OF_STORE | AT_REST},
	{"P2 by one person", DECIDED, "P2", "two persons did not make",
		"UPDATE decision SET agreed_by = proposed_by" OF_P, LIVE_ONLY},
	{"P2 by nobody", DECIDED, "P2", "nobody decided it", "DELETE FROM decision" OF_P, 0},
	{"V1 a day", SOLD, "V1", "86400 s",
		"UPDATE tally SET count = count + 1 WHERE of = 3 AND"
		" span_ms = 86400000",
		OF_STORE | KEEP_SUMS},
	{"V1 a minute's worth", SOLD, "V1", "(5), 60 s",
		"UPDATE tally SET value = value - 1 WHERE of"
		" = 5 AND span_ms = 60000",
		OF_STORE | KEEP_SUMS},
	{"V1 an account", SOLD, "V1", "et-ci (4), 3600 s, 0 spans back",
		"DELETE FROM tally WHERE of = 4 AND span_ms = 3600000 AND start_ms = (SELECT"
		" max(start_ms) FROM tally WHERE span_ms = 3600000)",
		OF_STORE | KEEP_SUMS},
	{"SQL a row that leans on nothing", SOLD, "SQL", "leans on nothing",
		"UPDATE outbox SET person = 99" OF_P "AND kind = 3", OF_STORE | AT_REST},
};

static void is_named(void **state)
{
	const struct wrong *w = *state;
	struct copy c;
	struct verify_report report;
	int last = (w->flags & AT_REST) != 0 ? 1 : 2;

	copy_open(&c);
	begin_breaking(&c, w->ref);
	run_sql(c.db, w->sql);
	assert_true(sqlite3_changes(c.db) > 0);
	if ((w->flags & KEEP_CHAIN) == 0)
		hash_again(&c);
	if ((w->flags & KEEP_SUMS) == 0)
		add_up_again(&c);
	for (int is_live = (w->flags & LIVE_ONLY) != 0; is_live < last; is_live++) {
		report = look(&c, is_live);
		if (strcmp(report.first.rule, w->rule) != 0 ||
			strstr(report.first.what, w->words) == NULL)
			fail_msg("%s: %s %s: %s", w->name, report.first.ref, report.first.rule,
				report.first.what);
		assert_string_equal(report.first.ref, (w->flags & OF_STORE) != 0 ? "" : w->ref);
		assert_int_equal(report.violations, (w->flags & TWICE) != 0 ? 2 : 1);
	}
	copy_close(&c);
}
static void it_is_whole(void **state)
{
	struct copy c;

	copy_open(&c);
	for (int is_live = 0; is_live < 2; is_live++) {
		struct verify_report report = look(&c, is_live);

		if (report.violations > 0)
			fail_msg("%s %s: %s", report.first.ref, report.first.rule,
				report.first.what);
	}
	/* Nor is it what the tests below do beside their breaking. */
	for (unsigned k = 1; k <= PURCHASES; k++) {
		char ref[16];

		(void)snprintf(ref, sizeof(ref), "R%07u", k);
		begin_breaking(&c, ref);
		hash_again(&c);
		add_up_again(&c);
		run_sql(c.db, "DROP TABLE p; DROP TABLE s; DROP TABLE t");
		assert_int_equal(look(&c, false).violations, 0);
	}
	copy_close(&c);
}

/* ---- while it is written to --------------------------------------------------------------------
 */

struct meanwhile {
	struct copy copy;
	const char *sql; /* NULL: end it */
	unsigned n;
};

static bool write_meanwhile(void *ctx)
{
	struct meanwhile *m = ctx;

	if (m->n++ == 0 && m->sql != NULL)
		run_sql(m->copy.db, m->sql);
	return m->sql == NULL;
}

static int look_meanwhile(struct meanwhile *m, struct verify_report *report, struct err *err)
{
	const struct verify_options options = {.is_live = true, .pause = write_meanwhile, .ctx = m};
	int rc;

	copy_open(&m->copy);
	rc = store_verify(str_c(m->copy.dir), &options, report, err);
	copy_close(&m->copy);
	return rc;
}

/* What was passed and moves after all, and what is sold behind it, is no violation. */
static void a_live_store_is_never_wrong_for_being_live(void **state)
{
	static const char *const moves[] = {
		"INSERT INTO ledger SELECT purchase, 9, line, partner, attempt, book, debit, "
		"currency,"
		" account, at_ms FROM ledger WHERE posting = 2 AND purchase = (SELECT id FROM "
		"purchase"
		" WHERE ref = '" SOLD "')",
		"UPDATE purchase SET state = 6, version = version + 1 WHERE ref = '" SOLD "'",
		"UPDATE attempt SET state = 8, version = version + 1 WHERE leg = 2 AND purchase ="
		" (SELECT id FROM purchase WHERE ref = '" PAID "')",
	};

	for (size_t i = 0; i < ROWS(moves); i++) {
		struct meanwhile m = {.sql = moves[i]};
		struct verify_report report;

		assert_int_equal(look_meanwhile(&m, &report, NULL), 0);
		assert_true(m.n > 0);
		if (report.violations > 0)
			fail_msg("%zu: %s: %s", i, report.first.rule, report.first.what);
	}
}

static void it_ends_when_told(void **state)
{
	struct meanwhile m = {.sql = NULL};
	struct verify_report report;
	struct err err = ERR_INIT;

	assert_int_equal(look_meanwhile(&m, &report, &err), TAMA_EIO);
	assert_non_null(strstr(err.text, "ended before"));
}

/* Minutes that have gone are not asked for; what came late for one of them began it anew. */
static void spans_that_have_gone_are_not_missed(void **state)
{
	struct copy c;

	copy_open(&c);
	begin_breaking(&c, SOLD);
	run_sql(c.db, "INSERT INTO tally SELECT partner, 3, currency, 60000, created_ms -"
		      " created_ms % 60000, 9, 9 FROM purchase WHERE ref = '" DECIDED "'");
	assert_int_equal(look(&c, true).violations, 0);
	assert_int_equal(look(&c, false).violations, 0);
	copy_close(&c);
}

int main(void)
{
	struct CMUnitTest broken[ROWS(wrongs)];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_agree),
		cmocka_unit_test(every_move_is_known),
	};
	const struct CMUnitTest whole[] = {
		cmocka_unit_test(it_is_whole),
		cmocka_unit_test(a_live_store_is_never_wrong_for_being_live),
		cmocka_unit_test(it_ends_when_told),
		cmocka_unit_test(spans_that_have_gone_are_not_missed),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	for (size_t i = 0; i < ROWS(wrongs); i++)
		broken[i] = (struct CMUnitTest){
			wrongs[i].name, is_named, NULL, NULL, (void *)(uintptr_t)&wrongs[i]};
	failed += cmocka_run_group_tests(whole, make_world, unmake_world);
	return failed + cmocka_run_group_tests(broken, make_world, unmake_world);
}
