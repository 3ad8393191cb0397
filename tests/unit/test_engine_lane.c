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
	rig_step(r);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV2, MOOV2, 4), ENGINE_DONE);
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
		RIG_TEST(without_its_mark_nothing_new_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
