/* Limits of velocity: what counts, for whom, for how long (reliability.md 5.5, F-G12). */
#include "engine_rig.h"

#define UG2 "256771234568"
#define UG3 "256771234569"
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct limits limits;

static const struct velocity none;

/* The configuration is this test's own: it gets the limits that the test sets, for UGX or XOF. */
static struct limits *limits_of(struct rig *r, const char *currency)
{
	struct config *config = (struct config *)(uintptr_t)r->fx.config;

	limits = (struct limits){.name = STR("test"), .partner = config_partner(config, 1)};
	limits.currency = currency_find(str_c(currency));
	config->limits = &limits;
	config->limits_len = 1;
	return &limits;
}

static struct velocity *cap_of(struct rig *r, const char *account)
{
	struct account *found =
		(struct account *)(uintptr_t)config_account(r->fx.config, str_c(account));

	return &found->cap;
}

/* A press that says that it repeats what was bought minutes ago. */
static struct engine_buy *post_ug(struct rig *r, const char *payer, const char *to, uint64_t uid)
{
	struct engine_buy *b = rig_post_buy(r, "ug-airtime", payer, to, uid);

	((struct buy_intent *)(uintptr_t)b->intent)->is_repeat_confirmed = true;
	return b;
}

/* The provider of Uganda keeps no pause, and takes no fee: the price is the amount. */
static enum engine_outcome buy_ug(
	struct rig *r, const char *payer, const char *to, int64_t amount, uint64_t uid)
{
	struct engine_buy *b = post_ug(r, payer, to, uid);
	struct buy_intent *intent = (struct buy_intent *)(uintptr_t)b->intent;

	intent->face_value = intent->price = amount;
	rig_step(r);
	return r->outcome;
}

/* One that left for the provider: it stays whatever time passes. */
static void bought(struct rig *r, const char *payer, int64_t amount, uint64_t uid)
{
	assert_int_equal(buy_ug(r, payer, payer, amount, uid), ENGINE_DONE);
	(void)rig_send(r);
}

static void without_limits_all_is_let_through(void **state)
{
	struct rig *r = *state;

	for (uint64_t uid = 1; uid <= 50; uid++)
		assert_int_equal(buy_ug(r, UG, UG, 500, uid), ENGINE_DONE);
	assert_int_equal(rig_stats(r).limited, 0);
}

static void a_payer_is_stopped_until_the_oldest_is_over(void **state)
{
	struct rig *r = *state;
	int64_t begin_ms = r->now_ms;

	limits_of(r, "UGX")->payer.windows[VELOCITY_TEN_MINUTES].count = 3;
	for (uint64_t uid = 1; uid <= 3; uid++) {
		assert_int_equal(buy_ug(r, UG, UG2, 500, uid), ENGINE_DONE);
		r->now_ms += MINUTE;
	}
	assert_int_equal(buy_ug(r, UG, UG3, 500, 4), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, begin_ms + 10 * MINUTE);
	assert_int_equal(rig_stats(r).limited, 1);
	/* Nothing of it is there, and others are let through. */
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 3);
	assert_int_equal(buy_ug(r, UG2, UG3, 500, 5), ENGINE_DONE);
	/* To the millisecond: the time told is one at which it works. */
	r->now_ms = begin_ms + 10 * MINUTE - 1;
	assert_int_equal(buy_ug(r, UG, UG3, 500, 6), ENGINE_LIMITED);
	r->now_ms++;
	assert_int_equal(buy_ug(r, UG, UG3, 500, 7), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG, UG3, 500, 8), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, begin_ms + 11 * MINUTE);
}

/* 50 a second by one number (F-G12), in one commit: each sees those before it. */
static void a_storm_in_one_commit(void **state)
{
	struct rig *r = *state;

	limits_of(r, "UGX")->payer.windows[VELOCITY_TEN_MINUTES].count = 5;
	for (uint64_t uid = 1; uid <= 200; uid++)
		(void)post_ug(r, UG, UG2, uid);
	rig_step(r);
	assert_int_equal(r->done, 200);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 5);
	assert_int_equal(rig_stats(r).limited, 195);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0); /* its push waits */
	/* Who has been let through is answered as before. */
	(void)post_ug(r, UG, UG2, 5);
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_REPEATED);
}

static void value_counts_as_well(void **state)
{
	struct rig *r = *state;
	int64_t begin_ms = r->now_ms;

	limits_of(r, "UGX")->payer.windows[VELOCITY_DAY].value = 10000;
	bought(r, UG, 4000, 1);
	r->now_ms += HOUR;
	bought(r, UG, 4000, 2);
	/* All that is left may be used, and no more. */
	assert_int_equal(buy_ug(r, UG, UG, 2001, 3), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, begin_ms + DAY);
	/* More than both must be over before so much fits again. */
	assert_int_equal(buy_ug(r, UG, UG, 6001, 4), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, begin_ms + DAY + HOUR);
	assert_int_equal(buy_ug(r, UG, UG, 2000, 5), ENGINE_DONE);
	/* What alone is too much is never let through: no time is told. */
	assert_int_equal(buy_ug(r, UG3, UG, 10001, 6), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, 0);
}

static void the_longest_wait_is_told(void **state)
{
	struct rig *r = *state;
	struct limits *own = limits_of(r, "UGX");
	int64_t begin_ms = r->now_ms;

	own->payer.windows[VELOCITY_TEN_MINUTES].count = 1;
	own->payer.windows[VELOCITY_MONTH].count = 2;
	bought(r, UG, 500, 1);
	assert_int_equal(buy_ug(r, UG, UG, 500, 2), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, begin_ms + 10 * MINUTE);
	r->now_ms += 10 * MINUTE;
	bought(r, UG, 500, 3);
	assert_int_equal(buy_ug(r, UG, UG, 500, 4), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, begin_ms + 30 * DAY);
}

static void a_beneficiary_is_counted_whoever_pays(void **state)
{
	struct rig *r = *state;

	limits_of(r, "UGX")->beneficiary.windows[VELOCITY_DAY].count = 2;
	assert_int_equal(buy_ug(r, UG, UG3, 500, 1), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG2, UG3, 500, 2), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG3, UG3, 500, 3), ENGINE_LIMITED);
	assert_int_equal(buy_ug(r, UG3, UG, 500, 4), ENGINE_DONE);
}

static void a_partner_is_counted_by_currency(void **state)
{
	struct rig *r = *state;

	limits_of(r, "UGX")->all.windows[VELOCITY_TEN_MINUTES] = (struct velocity_rule){2, 0};
	assert_int_equal(buy_ug(r, UG, UG, 500, 1), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV2, 2), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG2, UG2, 500, 3), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG3, UG3, 500, 4), ENGINE_LIMITED);
	/* When others will have bought less is not told. */
	assert_int_equal(r->until_ms, 0);
	/* The other partner and the other currency go on. */
	assert_int_equal(rig_buy(r, "two-payment", MOOV, MOOV, 5), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 6), ENGINE_DONE);
	/* Counted by minutes: never let through too early, and a minute late at most. */
	r->now_ms += 11 * MINUTE;
	assert_int_equal(buy_ug(r, UG3, UG3, 500, 7), ENGINE_DONE);
}

static void an_account_has_a_cap_of_requests(void **state)
{
	struct rig *r = *state;
	struct velocity *cap = cap_of(r, "xente-ug");

	cap->windows[VELOCITY_DAY].value = 2000;
	assert_int_equal(buy_ug(r, UG, UG, 900, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	/* Collected; the delivery counts too, and is not held back by the cap. */
	assert_int_equal(fx_sql(r->fx.store,
				 "SELECT sum(value) FROM tally WHERE of = 4 AND span_ms"
				 " = 86400000",
				 0),
		fx_sql(r->fx.store, "SELECT sum(amount) FROM attempt", 0));
	assert_int_equal(buy_ug(r, UG2, UG2, 1101, 2), ENGINE_LIMITED);
	assert_int_equal(r->until_ms, 0);
	*cap = none;
	assert_int_equal(buy_ug(r, UG2, UG2, 1101, 3), ENGINE_DONE);
}

static void a_channel_has_a_cap_of_purchases(void **state)
{
	struct rig *r = *state;
	struct channel *channel =
		(struct channel *)(uintptr_t)config_channel(r->fx.config, STR("sms-ug"));
	struct velocity_rule *rule = &channel->cap.windows[VELOCITY_TEN_MINUTES];

	*rule = (struct velocity_rule){2, 0};
	for (uint64_t uid = 1; uid <= 4; uid++) {
		post_ug(r, uid % 2 ? UG : UG2, UG3, uid)->channel = STR("sms-ug");
		rig_step(r);
		assert_int_equal(r->outcome, uid <= 2 ? ENGINE_DONE : ENGINE_LIMITED);
		assert_int_equal(r->until_ms, 0);
	}
	assert_int_equal(rig_count(r, SAID_ALARM, "limit"), 2);
	/* By another way it goes on; and what expires unsent makes room. */
	assert_int_equal(buy_ug(r, UG, UG, 500, 5), ENGINE_DONE);
	rig_wait(r, 12 * MINUTE);
	rule->count = 1;
	post_ug(r, UG, UG3, 6)->channel = STR("sms-ug");
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_DONE);
	*rule = (struct velocity_rule){0};
}

static void what_was_never_carried_out_does_not_count(void **state)
{
	struct rig *r = *state;
	struct limits *own = limits_of(r, "UGX");

	own->payer.windows[VELOCITY_DAY].count = 2;
	own->all.windows[VELOCITY_DAY].count = 2;
	/* Each wants two requests, its delivery's among them. */
	cap_of(r, "xente-ug")->windows[VELOCITY_DAY].count = 3;
	bought(r, UG, 500, 1);
	assert_int_equal(buy_ug(r, UG, UG, 500, 2), ENGINE_DONE);
	uint64_t unsent = r->purchase;
	assert_int_equal(buy_ug(r, UG, UG, 500, 3), ENGINE_LIMITED);
	/* The second is never sent and expires. The first may have been: it stays. */
	rig_wait(r, 30 * MINUTE);
	r->purchase = unsent;
	assert_int_equal(rig_purchase_state(r), PURCHASE_EXPIRED);
	assert_int_equal(buy_ug(r, UG, UG, 500, 4), ENGINE_DONE);
	assert_int_equal(buy_ug(r, UG, UG, 500, 5), ENGINE_LIMITED);
}

/* The counts are what a walk over all rows finds. */
static void tallies_are_what_the_rows_say(void **state)
{
	struct rig *r = *state;

	for (uint64_t uid = 1; uid <= 30; uid++) {
		assert_int_equal(buy_ug(r, uid % 3 ? UG : UG2, UG3, 500 + 100 * (int64_t)uid, uid),
			ENGINE_DONE);
		if (uid % 2 == 0) {
			struct attempt_row a = rig_send(r);
			rig_reply(r, &a, uid % 4 ? "SUCCESSFUL" : "FAILED", "T");
		}
		rig_wait(r, 7 * MINUTE);
	}
	rig_wait(r, 2 * HOUR);
	assert_true(
		fx_sql(r->fx.store, "SELECT count(*) FROM purchase WHERE state IN (6, 7)", 0) > 0);
	assert_int_equal(
		fx_sql(r->fx.store,
			"SELECT count(*) FROM (SELECT span_ms, sum(count) n, sum(value) v FROM "
			"tally"
			" WHERE of = 3 AND span_ms > 60000 GROUP BY span_ms) WHERE n <> (SELECT"
			" count(*) FROM purchase WHERE state NOT IN (6, 7)) OR v <> (SELECT"
			" sum(price) FROM purchase WHERE state NOT IN (6, 7))",
			0),
		0);
	assert_int_equal(
		fx_sql(r->fx.store,
			"SELECT count(*) FROM (SELECT span_ms, sum(count) n, sum(value) v FROM "
			"tally"
			" WHERE of = 4 AND span_ms > 60000 GROUP BY span_ms) WHERE n <> (SELECT"
			" count(*) FROM attempt WHERE state NOT IN (5, 8)) OR v <> (SELECT"
			" sum(amount) FROM attempt WHERE state NOT IN (5, 8))",
			0),
		0);
	assert_int_equal(
		fx_sql(r->fx.store,
			"SELECT count(*) FROM tally c JOIN tally a ON a.of = 3 AND a.span_ms = "
			"c.span_ms"
			" AND a.start_ms = c.start_ms WHERE c.of = 5 AND (a.count <> c.count OR"
			" a.value <> c.value)",
			0),
		0);
	/* Minutes that no window looks at any more are gone. */
	assert_true(
		fx_sql(r->fx.store, "SELECT count(*) FROM tally WHERE span_ms = 60000", 0) < 60);
}

static void limits_outlive_the_process(void **state)
{
	struct rig *r = *state;

	limits_of(r, "UGX")->payer.windows[VELOCITY_MONTH].count = 1;
	assert_int_equal(buy_ug(r, UG, UG, 500, 1), ENGINE_DONE);
	rig_crash(r);
	assert_int_equal(buy_ug(r, UG, UG, 500, 2), ENGINE_LIMITED);
}

/* The configuration's own words, with every field; whole units become minor ones. */
static void limits_are_read(void **state)
{
	struct err err = ERR_INIT;
	const struct config *config = NULL;

	assert_int_equal(config_load("tests/fixtures/velocity.lua", NULL, &config, &err), 0);
	const struct limits *own = config_limits(config, 1, STR("KES"));
	assert_non_null(own);
	assert_null(config_limits(config, 2, STR("KES")));
	assert_null(config_limits(config, 1, STR("XOF")));
	check_str(own->name, "one-kes");
	assert_int_equal(own->payer.windows[VELOCITY_TEN_MINUTES].count, 5);
	assert_int_equal(own->payer.windows[VELOCITY_TEN_MINUTES].value, 200000);
	assert_int_equal(own->payer.windows[VELOCITY_DAY].count, 0);
	assert_int_equal(own->beneficiary.windows[VELOCITY_DAY].value, 1000000);
	assert_int_equal(own->all.windows[VELOCITY_MONTH].count, 100000);
	const struct account *et = config_account(config, STR("et-ci"));
	assert_int_equal(et->cap.windows[VELOCITY_DAY].value, 50000000);
	config_unref(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(without_limits_all_is_let_through),
		RIG_TEST(a_payer_is_stopped_until_the_oldest_is_over),
		RIG_TEST(a_storm_in_one_commit),
		RIG_TEST(value_counts_as_well),
		RIG_TEST(the_longest_wait_is_told),
		RIG_TEST(a_beneficiary_is_counted_whoever_pays),
		RIG_TEST(a_partner_is_counted_by_currency),
		RIG_TEST(an_account_has_a_cap_of_requests),
		RIG_TEST(a_channel_has_a_cap_of_purchases),
		RIG_TEST(what_was_never_carried_out_does_not_count),
		RIG_TEST(tallies_are_what_the_rows_say),
		RIG_TEST(limits_outlive_the_process),
		cmocka_unit_test(limits_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
