/* Class I and class N: what goes out a second time, and what never does; the budget of queries. */
#include "engine_rig.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static struct account *account_of(struct rig *r, const char *name)
{
	return (struct account *)(uintptr_t)config_account(r->fx.config, str_c(name));
}

/* The live account has proven what class I needs. */
static int open_class_i(void **state)
{
	int rc = rig_open(state);
	struct account *account = account_of(*state, "xente-ug");

	account->keeps_ids_ms = (uint32_t)(24 * HOUR);
	account->absent_after_ms = (uint32_t)(10 * MINUTE);
	account->absent_answers = 3;
	return rc;
}

/* Sent, and nobody knows what became of it, nor has it an id. */
static struct attempt_row bring_doubt(struct rig *r)
{
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	rig_forget(r);
	return rig_attempt(r, 0);
}

/* Waits for the next query, at most so long, and answers it with this status and word. */
static bool answer_query(struct rig *r, int64_t for_ms, unsigned status, const char *word)
{
	int64_t until_ms = r->now_ms + for_ms;
	struct attempt_row a;

	rig_forget(r);
	while (rig_count(r, SAID_QUERY, NULL) == 0) {
		if (r->now_ms >= until_ms)
			return false;
		rig_wait(r, 1000);
	}
	a = rig_attempt(r, 0);
	rig_post_result(r, &a, PROVIDER_STATUS, word, "TX1")->transfer.status = status;
	rig_step(r);
	return true;
}

static void absent(struct rig *r)
{
	assert_true(answer_query(r, HOUR, 404, NULL));
}

/* F-D20: the same id, the same bytes, the same attempt. */
static void consistent_absence_sends_the_same_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row first = bring_doubt(r), again;
	int64_t from_ms = r->now_ms;

	for (int i = 0; i < 3; i++) {
		absent(r);
		if (i < 2)
			assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	}
	/* Three answers, but not over ten minutes yet: one more. */
	while (rig_count(r, SAID_PREPARE, NULL) == 0)
		absent(r);
	assert_true(r->now_ms - from_ms >= 12 * MINUTE);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	again = rig_attempt(r, 0);
	(void)rig_post_prepared(r, &again, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
	again = rig_attempt(r, 0);
	assert_int_equal(again.id, first.id);
	assert_int_equal(again.state, ATTEMPT_SENDING);
	assert_int_equal(again.epoch, 2);
	assert_int_equal(again.absent, 0);
	assert_int_equal(rig_stats(r).resent, 1);
	rig_reply(r, &again, "SUCCESSFUL", "TX1");
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE leg = 1", 0), 1);
}

/* What was found once is not absent; an answer that fails says nothing either way. */
static void answers_that_disagree_begin_anew(void **state)
{
	struct rig *r = *state;

	(void)bring_doubt(r);
	absent(r);
	absent(r);
	assert_true(answer_query(r, HOUR, 503, NULL));
	assert_int_equal(rig_attempt(r, 0).absent, 2);
	assert_true(answer_query(r, HOUR, 200, NULL));
	assert_int_equal(rig_attempt(r, 0).absent, 0);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_true(answer_query(r, 5 * HOUR, 200, "PENDING"));
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
}

static struct attempt_row bring_due(struct rig *r)
{
	(void)bring_doubt(r);
	do
		absent(r);
	while (rig_count(r, SAID_PREPARE, NULL) == 0);
	return rig_attempt(r, 0);
}

static void other_bytes_are_a_persons_case(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_due(r);

	rig_post_prepared(r, &a, PREPARED_OK)->body_hash[0] ^= 1;
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "resend_differs"), 1);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
}

/* F-D22: beyond its memory the provider would carry it out as new. */
static void nothing_is_sent_beyond_the_providers_memory(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	account_of(r, "xente-ug")->keeps_ids_ms = (uint32_t)HOUR;
	a = bring_due(r);
	r->now_ms = a.first_sent_ms + HOUR - MINUTE;
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	rig_forget(r);
	r->is_lax = true;
	for (int i = 0; i < 20; i++)
		if (!answer_query(r, 2 * HOUR, 404, NULL))
			break;
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	rig_wait(r, 24 * HOUR);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
}

/* Neither a connection that was refused nor a 400 says anything about the first time. */
static void proof_about_the_second_time_is_none_of_the_first(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_due(r);

	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	a = rig_attempt(r, 0);
	rig_broken(r, &a, TRANSFER_CONNECT, 0);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_attempt(r, 0).id, a.id);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE leg = 1", 0), 1);
}

/* F-D21: the provider has it after all. */
static void a_duplicate_is_asked_about(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_due(r);
	struct engine_result *result;

	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	a = rig_attempt(r, 0);
	result = rig_post_result(r, &a, PROVIDER_SUBMIT, NULL, NULL);
	result->transfer.status = 400;
	result->facts = (struct facts){.is_valid = true, .code = STR("Duplicate RequestId")};
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	assert_true(answer_query(r, HOUR, 200, "SUCCESSFUL"));
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
}

/* A crash in between forgets no answer, and sends nothing by itself. */
static void a_crash_in_between_counts_on(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	(void)bring_doubt(r);
	absent(r);
	absent(r);
	rig_crash(r);
	assert_int_equal(rig_attempt(r, 0).absent, 2);
	do
		absent(r);
	while (rig_count(r, SAID_PREPARE, NULL) == 0);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	a = rig_attempt(r, 0);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
}

/* Whoever has proven nothing is class N: not even asked without an id, and never sent again. */
static void class_n_is_never_sent_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_doubt(r);

	assert_false(answer_query(r, 5 * HOUR, 404, NULL));
	for (int i = 0; i < 5; i++) {
		rig_post_result(r, &a, PROVIDER_STATUS, NULL, NULL)->transfer.status = 404;
		rig_step(r);
		a = rig_attempt(r, 0);
	}
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	rig_wait(r, 2 * HOUR);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
}

/* A code is forgotten with its first byte. */
static void what_needs_a_secret_is_never_sent_again(void **state)
{
	struct rig *r = *state;
	struct engine_case c = {.attempt = {.needs_secret = true,
					.partner = 1,
					.account = STR("xente-ug"),
					.state = ATTEMPT_UNKNOWN,
					.first_sent_ms = FX_EPOCH,
					.absent = 9,
					.absent_ms = FX_EPOCH}};

	rig_wait(r, HOUR);
	c.purchase.id = UINT64_MAX;
	c.purchase.state = PURCHASE_COLLECTING;
	assert_false(resend_is_due(r->engine, &c));
	c.attempt.needs_secret = false;
	assert_true(resend_is_due(r->engine, &c));
	/* Nor what a forgotten life may have gone on with. */
	c.purchase.id = 0;
	assert_false(resend_is_due(r->engine, &c));
}

/* A payment that is said to have failed after all: its goods, which may not be there, stay unsent.
 */
static void what_is_contradicted_is_not_sent_again(void **state)
{
	struct rig *r = *state;
	struct account *account = account_of(r, "et-ci");
	struct attempt_row collect, deliver;

	account->keeps_ids_ms = (uint32_t)(24 * HOUR);
	account->absent_after_ms = (uint32_t)(10 * MINUTE);
	account->absent_answers = 3;
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV2, 1), ENGINE_DONE);
	collect = rig_send(r);
	rig_reply(r, &collect, "SUCCESSFUL", "C1");
	deliver = rig_send(r);
	rig_broken(r, &deliver, TRANSFER_TIMEOUT, 100);
	(void)rig_ipn(r, &collect, "FAILED", "C1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_UNKNOWN);
	rig_forget(r);
	for (int i = 0; i < 4; i++) {
		rig_wait(r, 10 * MINUTE);
		deliver = rig_attempt(r, LEG_DELIVER);
		rig_post_result(r, &deliver, PROVIDER_STATUS, NULL, NULL)->transfer.status = 404;
		rig_step(r);
	}
	assert_int_equal(rig_attempt(r, LEG_DELIVER).absent, 4);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	/* Nor if it had been asked for before the news came. */
	(void)rig_post_prepared(r, &deliver, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	rig_wait(r, 24 * HOUR);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_REVIEW);
}

/* ---- the budget --------------------------------------------------------------------------------
 */

/* Forty queries fall due at once: six a minute go. */
static void queries_keep_to_their_budget(void **state)
{
	struct rig *r = *state;
	char number[16];

	account_of(r, "xente-ug")->queries_per_minute = 6;
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
	r->now_ms += HOUR;
	rig_step(r);
	assert_in_range(rig_count(r, SAID_QUERY, NULL), 1, 6);
	for (unsigned minute = 1; minute <= 5; minute++) {
		rig_wait(r, MINUTE);
		assert_in_range(rig_count(r, SAID_QUERY, NULL), 6 * minute, 6 * minute + 6);
	}
	/* A new life asks no more at once than the last one left. */
	rig_crash(r);
	rig_forget(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	rig_wait(r, MINUTE);
	assert_in_range(rig_count(r, SAID_QUERY, NULL), 5, 6);
}

/* F-D24: refused, it asks less and less; an IPN settles it all the same. */
static void refused_queries_back_off(void **state)
{
	struct rig *r = *state;
	struct attempt_row a;

	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rig_reply(r, &a, "PENDING", "TX1");
	assert_true(answer_query(r, HOUR, 429, NULL));
	assert_int_equal(rig_count(r, SAID_ALARM, "queries_refused"), 1);
	rig_forget(r);
	a = rig_attempt(r, 0);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "TX1");
	rig_wait(r, 55 * 1000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	assert_true(answer_query(r, 10 * 1000, 403, NULL));
	(void)rig_ipn(r, &a, "SUCCESS", "TX1");
	rig_forget(r);
	rig_wait(r, 115 * 1000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	assert_true(answer_query(r, 10 * 1000, 200, "SUCCESSFUL"));
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
}

#define CLASS_I_TEST(f) cmocka_unit_test_setup_teardown(f, open_class_i, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLASS_I_TEST(consistent_absence_sends_the_same_again),
		CLASS_I_TEST(answers_that_disagree_begin_anew),
		CLASS_I_TEST(other_bytes_are_a_persons_case),
		CLASS_I_TEST(nothing_is_sent_beyond_the_providers_memory),
		CLASS_I_TEST(proof_about_the_second_time_is_none_of_the_first),
		CLASS_I_TEST(a_duplicate_is_asked_about),
		CLASS_I_TEST(a_crash_in_between_counts_on),
		RIG_TEST(class_n_is_never_sent_again),
		CLASS_I_TEST(what_needs_a_secret_is_never_sent_again),
		RIG_TEST(what_is_contradicted_is_not_sent_again),
		RIG_TEST(queries_keep_to_their_budget),
		RIG_TEST(refused_queries_back_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
