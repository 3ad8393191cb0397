/* IPNs against states: reliability.md 2.6, D4, and what comes twice, late, first or from strangers.
 */
#include "engine_rig.h"

/* ---- the table ---------------------------------------------------------------------------------
 */

/* Brings a new purchase (collect only, EasyTransfert) to a state; returns its first attempt. */
static struct attempt_row bring_to(struct rig *r, enum attempt_state state, uint64_t uid)
{
	char payer[16];
	struct attempt_row a;

	(void)snprintf(payer, sizeof(payer), "22501010%05u", (unsigned)uid);
	assert_int_equal(rig_buy(r, "ci-payment", payer, payer, uid), ENGINE_DONE);
	a = rig_attempt(r, 0);
	switch ((int)state) {
	case ATTEMPT_READY:
		return a;
	case ATTEMPT_EXPIRED:
		(void)rig_post_prepared(r, &a, PREPARED_SECRET_LOST);
		rig_step(r);
		return rig_attempt(r, 0);
	default:
		a = rig_send(r);
		break;
	}
	switch ((int)state) {
	case ATTEMPT_ACCEPTED:
		rig_reply(r, &a, "PENDING", "T");
		break;
	case ATTEMPT_SUCCEEDED:
		rig_reply(r, &a, "SUCCESSFUL", "T");
		break;
	case ATTEMPT_FAILED:
		rig_reply(r, &a, "FAILED", "T");
		break;
	case ATTEMPT_UNKNOWN:
		rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
		break;
	case ATTEMPT_REVIEW:
		rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
		rig_wait(r, 6 * 3600 * 1000 + 1000);
		break;
	case ATTEMPT_NOT_SENT: {
		uint64_t id = a.id;

		rig_broken(r, &a, TRANSFER_CONNECT, 0);
		assert_int_equal(r->real->attempt_get(r->fx.store, 1, id, &r->arena, &a), 0);
		return a;
	}
	default:
		break;
	}
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, state);
	return a;
}

struct cell {
	enum attempt_state state, after;
	const char *word;
	enum inbox_verdict verdict;
};

/* 2.6, row by row; the last column is "non-final word". */
static const struct cell CELLS[] = {
	{ATTEMPT_READY, ATTEMPT_REVIEW, "SUCCESSFUL", VERDICT_APPLIED},
	{ATTEMPT_READY, ATTEMPT_REVIEW, "FAILED", VERDICT_APPLIED},
	{ATTEMPT_READY, ATTEMPT_REVIEW, "PENDING", VERDICT_APPLIED},
	{ATTEMPT_SENDING, ATTEMPT_SUCCEEDED, "SUCCESSFUL", VERDICT_APPLIED},
	{ATTEMPT_SENDING, ATTEMPT_FAILED, "FAILED", VERDICT_APPLIED},
	{ATTEMPT_SENDING, ATTEMPT_ACCEPTED, "PENDING", VERDICT_APPLIED},
	{ATTEMPT_ACCEPTED, ATTEMPT_SUCCEEDED, "SUCCESSFUL", VERDICT_APPLIED},
	{ATTEMPT_ACCEPTED, ATTEMPT_FAILED, "FAILED", VERDICT_APPLIED},
	{ATTEMPT_ACCEPTED, ATTEMPT_ACCEPTED, "PENDING", VERDICT_IGNORED},
	{ATTEMPT_UNKNOWN, ATTEMPT_SUCCEEDED, "SUCCESSFUL", VERDICT_APPLIED},
	{ATTEMPT_UNKNOWN, ATTEMPT_FAILED, "FAILED", VERDICT_APPLIED},
	{ATTEMPT_UNKNOWN, ATTEMPT_ACCEPTED, "PENDING", VERDICT_APPLIED},
	{ATTEMPT_REVIEW, ATTEMPT_SUCCEEDED, "SUCCESSFUL", VERDICT_APPLIED},
	{ATTEMPT_REVIEW, ATTEMPT_REVIEW, "FAILED", VERDICT_PROPOSAL},
	{ATTEMPT_REVIEW, ATTEMPT_REVIEW, "PENDING", VERDICT_IGNORED},
	{ATTEMPT_SUCCEEDED, ATTEMPT_SUCCEEDED, "SUCCESSFUL", VERDICT_IGNORED},
	{ATTEMPT_SUCCEEDED, ATTEMPT_CONTRADICTED, "FAILED", VERDICT_CONTRADICTION},
	{ATTEMPT_SUCCEEDED, ATTEMPT_SUCCEEDED, "PENDING", VERDICT_IGNORED},
	{ATTEMPT_FAILED, ATTEMPT_CONTRADICTED, "SUCCESSFUL", VERDICT_CONTRADICTION},
	{ATTEMPT_FAILED, ATTEMPT_FAILED, "FAILED", VERDICT_IGNORED},
	{ATTEMPT_FAILED, ATTEMPT_FAILED, "PENDING", VERDICT_IGNORED},
	{ATTEMPT_NOT_SENT, ATTEMPT_CONTRADICTED, "SUCCESSFUL", VERDICT_CONTRADICTION},
	{ATTEMPT_NOT_SENT, ATTEMPT_NOT_SENT, "FAILED", VERDICT_IGNORED},
	{ATTEMPT_NOT_SENT, ATTEMPT_CONTRADICTED, "PENDING", VERDICT_CONTRADICTION},
	{ATTEMPT_EXPIRED, ATTEMPT_EXPIRED, "SUCCESSFUL", VERDICT_IMPOSSIBLE},
	{ATTEMPT_EXPIRED, ATTEMPT_EXPIRED, "FAILED", VERDICT_IMPOSSIBLE},
	{ATTEMPT_EXPIRED, ATTEMPT_EXPIRED, "PENDING", VERDICT_IMPOSSIBLE},
};

static int64_t last_verdict(struct rig *r)
{
	return fx_sql(r->fx.store, "SELECT verdict FROM inbox ORDER BY id DESC LIMIT 1", 0);
}

static void every_state_meets_every_word(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < ROWS(CELLS); i++) {
		const struct cell *cell = &CELLS[i];
		struct attempt_row a = bring_to(r, cell->state, i + 1);
		uint64_t id = a.id;

		assert_int_equal(rig_ipn(r, &a, cell->word, "T"), ENGINE_DONE);
		if (last_verdict(r) != (int64_t)cell->verdict)
			fail_msg("row %zu: verdict %d", i, (int)last_verdict(r));
		assert_int_equal(r->real->attempt_get(r->fx.store, 1, id, &r->arena, &a), 0);
		if (a.state != cell->after)
			fail_msg("row %zu: %s", i, attempt_state_name(a.state));
		if (cell->state == ATTEMPT_EXPIRED) {
			assert_int_equal(rig_stats(r).lanes_held, 1);
			rig_release_holds(r);
		}
		if (cell->state == ATTEMPT_READY) {
			rig_forget(r);
			(void)rig_post_prepared(r, &a, PREPARED_OK);
			rig_wait(r, 15 * 60 * 1000);
			assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
			/* The lane is held until persons release it, whoever starts anew. */
			rig_crash(r);
			assert_int_equal(
				rig_buy(r, "ci-payment", MTN, MTN, 1000 + i), ENGINE_CLOSED);
			assert_int_equal(rig_stats(r).lanes_held, 1);
			rig_release_holds(r);
		}
	}
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE state = 10", 0), 4);
}

/* Taken for not sent (429, 401) and made again: when the first did run, the second must not. */
static void a_leg_that_ran_after_all_is_not_sent_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_NOT_SENT, 1);

	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	rig_forget(r);
	rig_wait(r, 6000);
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
}

/* The money of a contradiction goes back into doubt, and nobody is told anything. */
static void a_contradiction_freezes_the_money(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_FAILED, 1);

	rig_forget(r);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT sum(debit) FROM ledger WHERE book = 4", 0), a.amount);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONTRADICTED);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "contradiction"), 1);
}

/* ---- again, late, first ------------------------------------------------------------------------
 */

static void a_thousand_duplicates_are_one(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_ACCEPTED, 1);

	r->is_lax = true;
	for (int i = 0; i < 10; i++) {
		for (int j = 0; j < 100; j++)
			(void)rig_post_ipn(r, &a, "SUCCESSFUL", "T");
		rig_step(r);
		assert_int_equal(r->done, 100);
		assert_int_equal(r->outcome, ENGINE_DONE);
	}
	assert_null(fx_broken(&r->fx, 0));
	assert_int_equal(rig_stats(r).ipn_duplicates, 999);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM inbox WHERE kind = 1", 0), 1);
	assert_int_equal(rig_stats(r).sms_rows, 1);
	assert_int_equal(rig_stats(r).succeeded, 1);
}

static void order_does_not_matter(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_SENDING, 1);

	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	(void)rig_ipn(r, &a, "PENDING", "T");
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(rig_stats(r).contradictions, 0);
}

static void an_ipn_before_the_reply_decides_and_the_reply_is_compared(void **state)
{
	static const struct {
		const char *word, *id;
		enum inbox_verdict verdict;
	} replies[] = {
		{"PENDING", "T", VERDICT_IGNORED},
		{"SUCCESSFUL", "T", VERDICT_IGNORED},
		{"FAILED", "T", VERDICT_CONTRADICTION},
		{"PENDING", "ANOTHER", VERDICT_MISMATCH},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ROWS(replies); i++) {
		struct attempt_row a = bring_to(r, ATTEMPT_SENDING, i + 1);

		(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
		assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SUCCEEDED);
		rig_reply(r, &a, replies[i].word, replies[i].id);
		assert_int_equal(last_verdict(r), replies[i].verdict);
		assert_int_equal(rig_attempt(r, 0).state,
			replies[i].verdict == VERDICT_CONTRADICTION ? ATTEMPT_CONTRADICTED
								    : ATTEMPT_SUCCEEDED);
	}
	/* A reply that never was says nothing either; "nothing left" contradicts. */
	struct attempt_row a = bring_to(r, ATTEMPT_SENDING, 10);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	assert_int_equal(last_verdict(r), VERDICT_IGNORED);
	rig_broken(r, &a, TRANSFER_CONNECT, 0);
	assert_int_equal(last_verdict(r), VERDICT_CONTRADICTION);
	assert_int_equal(rig_attempt(r, 0).n, 1);
}

static void an_id_learnt_from_a_pending_ipn_can_be_asked_for(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_SENDING, 1);

	/* Accepted, but the reply carried no id. */
	rig_reply(r, &a, "PENDING", "");
	assert_int_equal(rig_attempt(r, 0).provider_id.n, 0);
	(void)rig_ipn(r, &a, "PENDING", "T9");
	check_str(rig_attempt(r, 0).provider_id, "T9");
	rig_forget(r);
	rig_wait(r, 16 * 60 * 1000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
}

/* ---- strangers ---------------------------------------------------------------------------------
 */

static void what_differs_is_parked(void **state)
{
	static const struct {
		size_t offset;
		const char *value;
	} lies[] = {
		{offsetof(struct facts, amount), "501"},
		{offsetof(struct facts, amount), "5e2"},
		{offsetof(struct facts, amount), "-500"},
		{offsetof(struct facts, amount), ""},
		{offsetof(struct facts, number), "2250799999999"},
		{offsetof(struct facts, number), ""},
		{offsetof(struct facts, service), "121"},
		{offsetof(struct facts, service), ""},
		{offsetof(struct facts, id), "U"},
		{offsetof(struct facts, id), ""},
		{offsetof(struct facts, our_ref), "SOMEBODYELSES"},
		{offsetof(struct facts, currency), "UGX"},
	};
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_ACCEPTED, 1);

	for (size_t i = 0; i < ROWS(lies); i++) {
		struct engine_ipn *ipn = rig_post_ipn(r, &a, "SUCCESSFUL", "T");
		char raw[32];

		(void)snprintf(raw, sizeof(raw), "lie %zu", i);
		ipn->raw = str_c(raw);
		*(struct str *)(void *)((char *)&ipn->facts + lies[i].offset) =
			str_c(lies[i].value);
		rig_step(r);
		assert_int_equal(r->outcome, ENGINE_DONE);
		assert_int_equal(last_verdict(r), VERDICT_MISMATCH);
		assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
	}
	assert_int_equal(rig_stats(r).mismatches, ROWS(lies));
	assert_int_equal(rig_count(r, SAID_ALARM, "ipn_mismatch"), ROWS(lies));
	/* And the truth is still heard after all of them. */
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SUCCEEDED);
}

static void an_orphan_is_stored_and_parked(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_SENDING, 1);

	a.our_ref = STR("NOBODYSREFERENCE");
	assert_int_equal(rig_ipn(r, &a, "SUCCESSFUL", "T"), ENGINE_DONE);
	assert_int_equal(last_verdict(r), VERDICT_ORPHAN);
	assert_int_equal(rig_stats(r).orphans, 1);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
}

/* Without a path of its own an IPN is found by the provider's id: news once the id is known. */
static void an_orphan_that_becomes_known_is_news(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_to(r, ATTEMPT_SENDING, 1);

	rig_post_ipn(r, &a, "SUCCESSFUL", "T")->path_ref = (struct str){NULL, 0};
	rig_step(r);
	assert_int_equal(last_verdict(r), VERDICT_ORPHAN);
	rig_reply(r, &a, "PENDING", "T");
	rig_post_ipn(r, &a, "SUCCESSFUL", "T")->path_ref = (struct str){NULL, 0};
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SUCCEEDED);
}

static void one_partner_cannot_speak_of_anothers(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "two-payment", MOOV, MOOV, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	struct engine_ipn *ipn = rig_post_ipn(r, &a, "SUCCESSFUL", "T");
	ipn->account = config_account(r->fx.config, STR("et-ci"));
	rig_step(r);
	assert_int_equal(last_verdict(r), VERDICT_ORPHAN);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
	/* Nor one account of a partner of another's. */
	struct attempt_row mine = bring_to(r, ATTEMPT_SENDING, 2);
	ipn = rig_post_ipn(r, &mine, "SUCCESSFUL", "T");
	ipn->account = config_account(r->fx.config, STR("xente-ug"));
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_NOT_YET);
	assert_int_equal(last_verdict(r), VERDICT_ORPHAN);
}

/* ---- hints (Xente) -----------------------------------------------------------------------------
 */

static struct attempt_row bring_hinted(struct rig *r)
{
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "PENDING", "X1");
	rig_forget(r);
	return rig_attempt(r, 0);
}

static void xente_comes_again_for_a_quarter_of_an_hour(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_hinted(r);

	a.our_ref = STR("NOBODYSREFERENCE");
	for (int minute = 0; minute < 15; minute++) {
		assert_int_equal(rig_ipn(r, &a, "SUCCESS", "X9"), ENGINE_NOT_YET);
		r->now_ms += 60000;
	}
	assert_int_equal(rig_ipn(r, &a, "SUCCESS", "X9"), ENGINE_DONE);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM inbox WHERE kind = 1", 0), 1);
	assert_int_equal(rig_verdicts(r, VERDICT_ORPHAN), 1);
}

static void a_hint_asks_and_the_answer_is_the_evidence(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_hinted(r);

	assert_int_equal(rig_ipn(r, &a, "SUCCESS", "X1"), ENGINE_DONE);
	assert_int_equal(last_verdict(r), VERDICT_HINT);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	/* The hint again asks no more. */
	(void)rig_ipn(r, &a, "SUCCESS", "X1");
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_READY);
}

/* A word that we do not know may be of its end: asked as well. */
static void a_hint_of_unknown_words_asks_too(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_hinted(r);

	(void)rig_ipn(r, &a, "WHATEVER", "X1");
	assert_int_equal(last_verdict(r), VERDICT_HINT);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
}

/* One about what was settled: the answer to the question is what may contradict. */
static void a_hint_against_an_end_asks_before_it_contradicts(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_hinted(r);

	(void)rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1");
	rig_step(r);
	rig_forget(r);
	(void)rig_ipn(r, &a, "REVERSED", "X1");
	assert_int_equal(last_verdict(r), VERDICT_HINT);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "REVERSED", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_CONTRADICTED);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
}

static void a_hint_in_sending_teaches_the_id(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	(void)rig_ipn(r, &a, "SUCCESS", "X1");
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	/* A query that says nothing leaves the request under way. */
	rig_post_result(r, &a, PROVIDER_STATUS, NULL, NULL)->transfer =
		(struct transfer){TRANSFER_TIMEOUT, 100, 0};
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_UNKNOWN);
	check_str(a.provider_id, "X1");
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
}

/* Our own reply does not put off the question that a hint before it has made due. */
static void a_hint_before_the_reply_is_still_asked_about(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	/* Both in one commit. */
	(void)rig_post_ipn(r, &a, "SUCCESS", "X1");
	rig_reply(r, &a, "PENDING", "X1");
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
	rig_wait(r, 100);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	/* One question: its answer is waited for. */
	rig_wait(r, 60000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
}

/* Nor the loss of it, while the provider wants no queries: asked as soon as it does. */
static void a_hint_before_a_doubt_waits_for_the_provider_only(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	for (size_t i = 0; i < r->engine->lanes_len; i++)
		r->engine->lanes[i].refused_until_ms = r->now_ms + 60000;
	(void)rig_ipn(r, &a, "SUCCESS", "X1");
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	rig_wait(r, 59000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	rig_wait(r, 2000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
}

/* Nor does the end of the life that was to put it. */
static void a_hint_before_a_crash_is_still_asked_about(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	(void)rig_ipn(r, &a, "SUCCESS", "X1");
	rig_forget(r);
	rig_crash(r);
	rig_wait(r, 10000); /* a new life begins with no budget for queries */
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
}

static void a_hint_reopens_a_review(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_hinted(r);

	r->is_lax = true; /* for speed */
	rig_wait(r, 25 * 3600 * (int64_t)1000);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	rig_forget(r);
	a = rig_attempt(r, 0);
	(void)rig_ipn(r, &a, "SUCCESS", "X1");
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	a = rig_attempt(r, 0);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1");
	rig_step(r);
	assert_int_equal(rig_attempt(r, LEG_COLLECT).state, ATTEMPT_SUCCEEDED);
	assert_null(fx_broken(&r->fx, 0));
}

static void a_query_answer_about_something_else_is_parked(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_hinted(r);
	struct engine_result *result = rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1");

	result->facts.amount = STR("1");
	rig_step(r);
	assert_int_equal(last_verdict(r), VERDICT_MISMATCH);
	rig_post_result(r, &a, PROVIDER_STATUS, "COMPLETED", "X1")->facts.our_ref =
		(struct str){NULL, 0};
	rig_step(r);
	assert_int_equal(last_verdict(r), VERDICT_MISMATCH);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
	assert_int_equal(rig_attempt(r, 0).polls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(every_state_meets_every_word),
		RIG_TEST(a_leg_that_ran_after_all_is_not_sent_again),
		RIG_TEST(a_contradiction_freezes_the_money),
		RIG_TEST(a_thousand_duplicates_are_one),
		RIG_TEST(order_does_not_matter),
		RIG_TEST(an_ipn_before_the_reply_decides_and_the_reply_is_compared),
		RIG_TEST(an_id_learnt_from_a_pending_ipn_can_be_asked_for),
		RIG_TEST(what_differs_is_parked),
		RIG_TEST(an_orphan_is_stored_and_parked),
		RIG_TEST(an_orphan_that_becomes_known_is_news),
		RIG_TEST(one_partner_cannot_speak_of_anothers),
		RIG_TEST(xente_comes_again_for_a_quarter_of_an_hour),
		RIG_TEST(a_hint_asks_and_the_answer_is_the_evidence),
		RIG_TEST(a_hint_of_unknown_words_asks_too),
		RIG_TEST(a_hint_against_an_end_asks_before_it_contradicts),
		RIG_TEST(a_hint_in_sending_teaches_the_id),
		RIG_TEST(a_hint_before_the_reply_is_still_asked_about),
		RIG_TEST(a_hint_before_a_doubt_waits_for_the_provider_only),
		RIG_TEST(a_hint_before_a_crash_is_still_asked_about),
		RIG_TEST(a_hint_reopens_a_review),
		RIG_TEST(a_query_answer_about_something_else_is_parked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
