/* Lanes: what is held sells and sends nothing, through every restart, until persons release it. */
#include "engine_rig.h"

#define MINUTE INT64_C(60000)

/* A READY attempt whose provider speaks of it. */
static struct attempt_row bring_held(struct rig *r)
{
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	a = rig_attempt(r, 0);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(rig_stats(r).lanes_held, 1);
	return rig_attempt(r, 0);
}

static bool sells(const struct rig *r, const char *account)
{
	return engine_account_sells(r->engine, config_account(r->fx.config, str_c(account)));
}

/* ---- holds -------------------------------------------------------------------------------------
 */

static void a_hold_outlives_the_process(void **state)
{
	struct rig *r = *state;

	(void)bring_held(r);
	assert_false(sells(r, "et-ci"));
	assert_true(sells(r, "xente-ug"));
	rig_crash(r);
	assert_int_equal(rig_stats(r).lanes_held, 1);
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 2), ENGINE_CLOSED);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 3), ENGINE_DONE);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM hold", 0), 1);
	rig_release_holds(r);
	assert_true(sells(r, "et-ci"));
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 4), ENGINE_DONE);
}

/* What waits behind a held account is not sent, and what was on its way there is dropped. */
static void nothing_leaves_a_held_account(void **state)
{
	struct rig *r = *state;
	struct attempt_row other;

	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 9), ENGINE_DONE);
	other = rig_attempt(r, 0);
	(void)bring_held(r);
	rig_forget(r);
	(void)rig_post_prepared(r, &other, PREPARED_OK);
	rig_wait(r, 5 * MINUTE);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
}

/* The reason and the hold are one commit: when it is not kept, nothing is held. */
static void a_hold_is_kept_with_its_reason_or_not_at_all(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	a = rig_attempt(r, 0);
	r->commit_answers = TAMA_EIO;
	assert_int_equal(rig_ipn(r, &a, "SUCCESSFUL", "T"), ENGINE_NOT_DONE);
	r->commit_answers = 0;
	assert_int_equal(rig_stats(r).lanes_held, 0);
	assert_true(sells(r, "et-ci"));
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 2), ENGINE_DONE);
	/* Nor does an event that errs leave one behind. */
	r->purchase = (uint64_t)fx_sql(r->fx.store, "SELECT min(id) FROM purchase", 0);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(rig_stats(r).lanes_held, 1);
}

static void insert_hold(struct rig *r, uint32_t partner, const char *account, uint64_t id)
{
	const struct hold_row row = {.id = id,
		.partner = partner,
		.account = str_c(account),
		.reason = STR("told so"),
		.since_ms = r->now_ms};

	assert_int_equal(r->real->begin(r->fx.store, NULL), 0);
	assert_int_equal(r->real->hold_insert(r->fx.store, &row), 0);
	assert_int_equal(r->real->commit(r->fx.store, NULL), 0);
}

static void a_hold_on_the_node_holds_all(void **state)
{
	struct rig *r = *state;

	insert_hold(r, 0, "*", 1);
	rig_crash(r);
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 2), ENGINE_CLOSED);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 3), ENGINE_CLOSED);
	assert_int_equal(rig_stats(r).lanes_held, 1);
}

static void too_many_holds_hold_all(void **state)
{
	struct rig *r = *state;
	char name[16];

	for (uint64_t i = 1; i <= 40; i++) {
		(void)snprintf(name, sizeof(name), "gone-%u", (unsigned)i);
		insert_hold(r, 1, name, i);
	}
	rig_crash(r);
	assert_false(sells(r, "et-ci"));
	assert_false(sells(r, "xente-ug"));
}

/* Another partner's hold is not ours, and its star is no more than a name. */
static void a_hold_is_one_partners(void **state)
{
	struct rig *r = *state;

	insert_hold(r, 7, "et-ci", 1);
	insert_hold(r, 7, "*", 2);
	rig_crash(r);
	assert_true(sells(r, "et-ci"));
}

/* ---- a store older than its mark ----------------------------------------------------------------
 */

static void distrust(struct rig *r)
{
	engine_free(&r->engine);
	fx_raise_incarnation(&r->fx);
	sqlite_store_of(r->fx.store)->mark.past.mark = MARK_BEHIND;
	rig_boot_engine(r);
}

static void a_store_behind_its_mark_sends_nothing(void **state)
{
	struct rig *r = *state;
	struct attempt_row sending;
	uint64_t ready;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	sending = rig_send(r);
	(void)rig_buy(r, "ci-payment", MTN, MTN, 2);
	ready = r->purchase;
	rig_forget(r);
	distrust(r);
	rig_wait(r, 30 * MINUTE);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "held"), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "frozen"), 1);
	r->purchase = ready;
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(rig_stats(r).lanes_held, 1);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 3), ENGINE_CLOSED);
	/* What was under way is asked about, and its IPN is taken. */
	assert_int_equal(rig_ipn(r, &sending, "SUCCESSFUL", "T"), ENGINE_DONE);
	/* Accepted once: the next life trusts the store and is still held. */
	rig_crash(r);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 4), ENGINE_CLOSED);
	assert_int_equal(rig_count(r, SAID_ALARM, "held"), 1);
}

/*
 * The copy knows of a payment under way; the forgotten life may have delivered it. So the goods are
 * a person's to decide about, even when the payment is proven long after the release.
 */
static void what_a_forgotten_life_may_have_gone_on_with_stays_frozen(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV2, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	a = rig_send(r);
	rig_reply(r, &a, "PENDING", "T");
	distrust(r);
	rig_step(r);
	rig_release_holds(r);
	rig_forget(r);
	a = rig_attempt(r, LEG_COLLECT);
	assert_int_equal(rig_ipn(r, &a, "SUCCESSFUL", "T"), ENGINE_DONE);
	a = rig_attempt(r, LEG_DELIVER);
	if (a.state == ATTEMPT_READY) {
		(void)rig_post_prepared(r, &a, PREPARED_OK);
		rig_step(r);
	}
	rig_wait(r, 90 * MINUTE);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_REVIEW);
	/* What is bought from now on is sold as ever. */
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 3), ENGINE_DONE);
	(void)rig_send(r);
}

/* More than one commit can take: nothing of it leaves in between, nor after a crash in between. */
static void freezing_goes_on_after_a_crash(void **state)
{
	struct rig *r = *state;
	char number[16];

	r->is_lax = true;
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(number, sizeof(number), "22501010%05u", i);
		assert_int_equal(rig_buy(r, "ci-payment", number, number, i + 1), ENGINE_DONE);
		rig_forget(r);
	}
	distrust(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE state = 1", 0), 0);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_null(fx_broken(&r->fx, 0));
}

/* However much was being sent: it is held by the first commit, not when the last is a doubt. */
static void many_orphans_do_not_put_the_hold_off(void **state)
{
	struct rig *r = *state;
	struct attempt_row ready;
	char number[16];

	r->is_lax = true;
	for (unsigned i = 0; i < 2 * LIMIT_OUTBOX_BATCH + 1; i++) {
		struct attempt_row a;

		(void)snprintf(number, sizeof(number), "22501010%05u", i);
		assert_int_equal(rig_buy(r, "ci-payment", number, number, i + 1), ENGINE_DONE);
		a = rig_attempt(r, 0);
		(void)rig_post_prepared(r, &a, PREPARED_OK);
		rig_step(r);
		rig_forget(r);
	}
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 9999), ENGINE_DONE);
	ready = rig_attempt(r, 0);
	distrust(r);
	r->now_ms += 6000;
	rig_step(r);
	assert_int_equal(rig_stats(r).lanes_held, 1);
	(void)rig_post_prepared(r, &ready, PREPARED_OK);
	rig_step(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "held"), 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE state < 3", 0), 0);
}

/* The window of mark.h: while the mark cannot be written nothing new is sent. */
static void without_its_mark_nothing_new_is_sent(void **state)
{
	struct rig *r = *state;
	struct store_mark *mark = &sqlite_store_of(r->fx.store)->mark;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	a = rig_attempt(r, 0);
	(void)snprintf(mark->path, sizeof(mark->path), "/nowhere/at/all.mark");
	r->now_ms += 2000;
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 2), ENGINE_DONE);
	assert_int_equal(rig_count(r, SAID_ALARM, "mark"), 1);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV2, MOOV2, 3), ENGINE_CLOSED);
	assert_int_equal(rig_count(r, SAID_ALARM, "mark"), 1);
	mark->path[0] = '\0';
	mark->is_owed = false;
	rig_forget(r);
	rig_step(r);
	/* What waited for it does not wait out its minute, only the provider's pause. */
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 1);
	rig_wait(r, 6000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 2);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV2, MOOV2, 4), ENGINE_DONE);
}

/* ---- the breaker --------------------------------------------------------------------------------
 */

static enum engine_outcome buy_number(struct rig *r, unsigned i)
{
	char payer[] = "2250101020000";

	payer[11] = (char)('0' + i / 10);
	payer[12] = (char)('0' + i % 10);
	return rig_buy(r, "ci-payment", payer, payer, 100 + i);
}

/* One more send; in doubt, or answered with the word. */
static struct attempt_row send_number(struct rig *r, unsigned i, const char *word)
{
	struct attempt_row a;

	assert_int_equal(buy_number(r, i), ENGINE_DONE);
	a = rig_send(r);
	if (word == NULL)
		rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	else
		rig_reply(r, &a, word, "T");
	return rig_attempt(r, 0);
}

static void stop_lane(struct rig *r)
{
	for (unsigned i = 0; i < LIMIT_LANE_DOUBTS; i++)
		(void)send_number(r, i, NULL);
	assert_int_equal(rig_stats(r).lanes_stopped, 1);
}

static void five_doubts_of_twenty_stop_a_lane(void **state)
{
	struct rig *r = *state;
	struct attempt_row ready;
	unsigned i;

	for (i = 0; i < 4; i++)
		(void)send_number(r, i, NULL);
	/* Sixteen that went well push none of the four out; the next doubt is the fifth of twenty.
	 */
	for (; i < 19; i++)
		(void)send_number(r, i, "SUCCESSFUL");
	assert_true(sells(r, "et-ci"));
	assert_int_equal(buy_number(r, 30), ENGINE_DONE);
	ready = rig_attempt(r, 0);
	(void)send_number(r, 19, NULL);
	assert_int_equal(rig_stats(r).lanes_stopped, 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "lane_stopped"), 1);
	assert_false(sells(r, "et-ci"));
	assert_true(sells(r, "xente-ug"));
	assert_int_equal(buy_number(r, 31), ENGINE_CLOSED);
	/* What was prepared meanwhile stays here. */
	rig_forget(r);
	(void)rig_post_prepared(r, &ready, PREPARED_OK);
	rig_wait(r, 50 * 1000);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
}

static void old_doubts_do_not_count(void **state)
{
	struct rig *r = *state;
	unsigned i;

	for (i = 0; i < 4; i++)
		(void)send_number(r, i, NULL);
	for (; i < 24; i++)
		(void)send_number(r, i, "SUCCESSFUL");
	(void)send_number(r, i, NULL);
	assert_int_equal(rig_stats(r).lanes_stopped, 0);
}

static void one_tries_and_a_proven_answer_opens(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	stop_lane(r);
	rig_wait(r, 61 * 1000);
	assert_true(sells(r, "et-ci"));
	assert_int_equal(buy_number(r, 10), ENGINE_DONE);
	a = rig_attempt(r, 0);
	/* One, and no second with it. */
	assert_int_equal(buy_number(r, 11), ENGINE_CLOSED);
	r->purchase = a.purchase;
	a = rig_send(r);
	rig_wait(r, 70 * 1000);
	assert_int_equal(buy_number(r, 12), ENGINE_CLOSED);
	rig_reply(r, &a, "PENDING", "T");
	assert_int_equal(rig_count(r, SAID_ALARM, "lane_open"), 1);
	assert_int_equal(rig_stats(r).lanes_stopped, 0);
	(void)send_number(r, 13, "SUCCESSFUL");
	(void)send_number(r, 14, "SUCCESSFUL");
}

/* What was put off while it was stopped goes out with the answer that opens it. */
static void what_waited_goes_out_when_a_lane_opens(void **state)
{
	struct rig *r = *state;
	struct attempt_row waits, tries;

	assert_int_equal(buy_number(r, 30), ENGINE_DONE);
	waits = rig_attempt(r, 0);
	assert_int_equal(buy_number(r, 31), ENGINE_DONE);
	tries = rig_attempt(r, 0);
	stop_lane(r);
	rig_forget(r);
	(void)rig_post_prepared(r, &waits, PREPARED_OK);
	(void)rig_post_prepared(r, &tries, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 2);
	rig_wait(r, 61 * 1000);
	(void)rig_post_prepared(r, &tries, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
	rig_wait(r, 3 * 1000);
	rig_forget(r);
	r->purchase = tries.purchase;
	tries = rig_attempt(r, 0);
	rig_reply(r, &tries, "PENDING", "T");
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 1);
}

static void each_doubt_more_doubles_the_pause(void **state)
{
	static const int64_t pauses_s[] = {60, 120, 240, 480, 900, 900};
	struct rig *r = *state;

	stop_lane(r);
	r->is_lax = true;
	for (unsigned i = 0; i < ROWS(pauses_s); i++) {
		rig_wait(r, pauses_s[i] * 1000 - 1000);
		assert_int_equal(buy_number(r, 40 + i), ENGINE_CLOSED);
		rig_wait(r, 2000);
		(void)send_number(r, 20 + i, NULL);
	}
}

/* What never left says nothing of the provider: the next may try, after the same pause. */
static void a_try_that_never_left_is_tried_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	stop_lane(r);
	rig_wait(r, 61 * 1000);
	assert_int_equal(buy_number(r, 10), ENGINE_DONE);
	a = rig_send(r);
	rig_broken(r, &a, TRANSFER_CONNECT, 0);
	assert_int_equal(rig_stats(r).lanes_stopped, 1);
	rig_forget(r);
	rig_wait(r, 50 * 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	rig_wait(r, 90 * 1000);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(rig_stats(r).lanes_stopped, 0);
}

static void ipns_that_settle_all_doubts_open_a_lane(void **state)
{
	struct rig *r = *state;
	uint64_t bought[LIMIT_LANE_DOUBTS];
	struct attempt_row a;

	for (unsigned i = 0; i < LIMIT_LANE_DOUBTS; i++) {
		(void)send_number(r, i, NULL);
		bought[i] = r->purchase;
	}
	for (unsigned i = 0; i < LIMIT_LANE_DOUBTS; i++) {
		assert_false(sells(r, "et-ci"));
		r->purchase = bought[i];
		a = rig_attempt(r, 0);
		(void)rig_ipn(r, &a, "SUCCESSFUL", i == 0 ? "TA" : "TB");
	}
	assert_true(sells(r, "et-ci"));
}

/* When nothing comes but what is asked for, many wait for the budget: each is looked at once a
 * minute, not whenever one of them may go. */
static void who_waits_for_the_budget_waits_for_his_turn(void **state)
{
	struct rig *r = *state;
	sqlite3 *db = sqlite_store_of(r->fx.store)->db.handle;
	int before;

	for (unsigned i = 0; i < 90; i++) {
		struct attempt_row a;
		char id[8];

		assert_int_equal(buy_number(r, i), ENGINE_DONE);
		a = rig_send(r);
		(void)snprintf(id, sizeof(id), "T%u", i);
		rig_reply(r, &a, "PENDING", id);
	}
	/* All fall due while the machine sleeps, and then a balance is wanted, too. */
	((struct account *)(uintptr_t)config_account(r->fx.config, STR("et-ci")))->float_every_ms =
		60 * MINUTE;
	floats_forget(r->engine->floats);
	r->now_ms += 30 * MINUTE;
	rig_step(r);
	rig_forget(r);
	before = sqlite3_total_changes(db);
	rig_wait(r, MINUTE);
	assert_in_range(rig_count(r, SAID_QUERY, NULL), LIMIT_QUERIES_PER_MINUTE - 2,
		LIMIT_QUERIES_PER_MINUTE + 1);
	assert_in_range(sqlite3_total_changes(db) - before, 60, 60 * 6);
	assert_int_equal(rig_count(r, SAID_ACCOUNT, "et-ci balance"), 1);
}

static void a_crash_forgets_no_stop(void **state)
{
	struct rig *r = *state;

	stop_lane(r);
	rig_crash(r);
	assert_int_equal(rig_stats(r).lanes_stopped, 1);
	assert_int_equal(buy_number(r, 10), ENGINE_CLOSED);
	rig_wait(r, 61 * 1000);
	assert_int_equal(buy_number(r, 11), ENGINE_DONE);
}

/* Undone with the step that stopped it. */
static void a_stop_that_was_not_kept_is_none(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	for (unsigned i = 0; i < LIMIT_LANE_DOUBTS - 1; i++)
		(void)send_number(r, i, NULL);
	assert_int_equal(buy_number(r, 9), ENGINE_DONE);
	a = rig_send(r);
	r->commit_answers = TAMA_EIO;
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	r->commit_answers = 0;
	assert_int_equal(rig_stats(r).lanes_stopped, 0);
	assert_true(sells(r, "et-ci"));
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	assert_false(sells(r, "et-ci"));
}

/* F-D26: our float, on a leg that pays out; the same words about a customer's wallet stop nothing.
 */
static void want_of_float_stops_a_lane(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;
	struct engine_result *result;

	for (int leg = LEG_COLLECT; leg <= LEG_DELIVER; leg++) {
		(void)rig_buy(
			r, "ci-airtime", leg == LEG_COLLECT ? MOOV : MTN, MOOV2, (uint64_t)leg);
		rig_wait(r, 6000);
		a = rig_send(r);
		if (leg == LEG_DELIVER) {
			rig_reply(r, &a, "SUCCESSFUL", "T1");
			rig_wait(r, 1000);
			a = rig_send(r);
			assert_int_equal(a.leg, LEG_DELIVER);
		}
		result = rig_post_result(r, &a, PROVIDER_SUBMIT, NULL, NULL);
		result->facts = (struct facts){.is_valid = true, .code = STR("Solde insuffisant")};
		rig_step(r);
		assert_int_equal(rig_stats(r).lanes_stopped, leg == LEG_DELIVER);
	}
	rig_wait(r, 14 * MINUTE);
	assert_false(sells(r, "et-ci"));
	rig_wait(r, 2 * MINUTE);
	assert_true(sells(r, "et-ci"));
}

static void an_address_that_is_not_there_holds_the_account(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(buy_number(r, 1), ENGINE_DONE);
	a = rig_send(r);
	rig_post_result(r, &a, PROVIDER_SUBMIT, NULL, NULL)->transfer.status = 404;
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_stats(r).lanes_held, 1);
	assert_int_equal(buy_number(r, 2), ENGINE_CLOSED);
	/* A query's 404 is an answer about one transaction. */
	rig_release_holds(r);
	a = send_number(r, 3, "PENDING");
	rig_post_result(r, &a, PROVIDER_STATUS, NULL, NULL)->transfer.status = 404;
	rig_step(r);
	assert_int_equal(rig_stats(r).lanes_held, 0);
}

/* ---- encore ? (F-G3)
 * ----------------------------------------------------------------------------- */

static enum engine_outcome buy_ug(struct rig *r, const char *payer, const char *to, int64_t amount,
	uint64_t uid, bool is_confirmed)
{
	struct engine_buy *b = rig_post_buy(r, "ug-airtime", payer, to, uid);
	struct buy_intent *intent = (struct buy_intent *)(uintptr_t)b->intent;

	intent->face_value = intent->price = amount;
	intent->is_repeat_confirmed = is_confirmed;
	rig_step(r);
	return r->outcome;
}

static void the_same_within_minutes_is_asked_about(void **state)
{
	struct rig *r = *state;

	assert_int_equal(buy_ug(r, UG, UG, 500, 1, false), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG, UG, 500, 2, false), ENGINE_AGAIN);
	assert_string_equal(r->ref, "R0000001");
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 1);
	/* Another amount or number is no repeat, nor is what a person has been asked about. */
	assert_int_equal(buy_ug(r, UG, UG, 600, 3, false), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG, "256771234568", 500, 4, false), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG, UG, 500, 2, true), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG, UG, 500, 5, false), ENGINE_AGAIN);
	assert_string_equal(r->ref, "R0000002");
	/* The same press again is not asked: it gets its own reply. */
	assert_int_equal(buy_ug(r, UG, UG, 500, 2, false), ENGINE_REPEATED);
	rig_wait(r, LIMIT_REPEAT_MS + 1000);
	assert_int_equal(buy_ug(r, UG, UG, 500, 6, false), ENGINE_DONE);
	assert_int_equal(rig_stats(r).asked_again, 2);
}

/* What came to nothing may be bought anew unasked. */
static void what_was_called_off_is_no_repeat(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(buy_ug(r, UG, UG, 500, 1, false), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "T");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CANCELLED);
	assert_int_equal(buy_ug(r, UG, UG, 500, 2, false), ENGINE_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_hold_outlives_the_process),
		RIG_TEST(nothing_leaves_a_held_account),
		RIG_TEST(a_hold_is_kept_with_its_reason_or_not_at_all),
		RIG_TEST(a_hold_on_the_node_holds_all),
		RIG_TEST(too_many_holds_hold_all),
		RIG_TEST(a_hold_is_one_partners),
		RIG_TEST(a_store_behind_its_mark_sends_nothing),
		RIG_TEST(what_a_forgotten_life_may_have_gone_on_with_stays_frozen),
		RIG_TEST(freezing_goes_on_after_a_crash),
		RIG_TEST(many_orphans_do_not_put_the_hold_off),
		RIG_TEST(without_its_mark_nothing_new_is_sent),
		RIG_TEST(five_doubts_of_twenty_stop_a_lane),
		RIG_TEST(old_doubts_do_not_count),
		RIG_TEST(one_tries_and_a_proven_answer_opens),
		RIG_TEST(what_waited_goes_out_when_a_lane_opens),
		RIG_TEST(each_doubt_more_doubles_the_pause),
		RIG_TEST(a_try_that_never_left_is_tried_again),
		RIG_TEST(ipns_that_settle_all_doubts_open_a_lane),
		RIG_TEST(who_waits_for_the_budget_waits_for_his_turn),
		RIG_TEST(a_crash_forgets_no_stop),
		RIG_TEST(a_stop_that_was_not_kept_is_none),
		RIG_TEST(want_of_float_stops_a_lane),
		RIG_TEST(an_address_that_is_not_there_holds_the_account),
		RIG_TEST(the_same_within_minutes_is_asked_about),
		RIG_TEST(what_was_called_off_is_no_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
