/* From a confirmed press to the provider's answer: D1, D2, D3 and D5 of reliability.md 2.3. */
#include "engine_rig.h"

/* ---- D1 ----------------------------------------------------------------------------------------
 */

static void d1_writes_purchase_attempt_row_and_reply(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MOOV2, 1), ENGINE_DONE);
	assert_int_equal(rig_purchase_state(r), PURCHASE_CONFIRMED);
	struct attempt_row a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_READY);
	assert_int_equal(a.leg, LEG_COLLECT);
	assert_int_equal(a.amount, 600);
	check_str(a.number, MOOV);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM hop", 0), 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE kind = 1", 0), 1);
	/* The event is gone by now: what the wire is told must not lean on it. */
	assert_int_equal(r->said_len, 1);
	assert_int_equal(r->said[0].kind, SAID_PREPARE);
	assert_int_equal(r->said[0].epoch, 1);
	check_str(str_c(r->said[0].text), "et-ci cashout 123 " MOOV " 600 XOF");
}

static void a_deliver_only_offer_pays_from_the_float(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "agent-airtime", MOOV, MTN, 1), ENGINE_DONE);
	check_str(str_c(r->said[0].text), "et-ci airtime 221 " MTN " 500 XOF");
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT sum(debit) FROM ledger WHERE book = 6", 0), 500);
}

static void the_same_press_gets_the_stored_reply(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 7), ENGINE_DONE);
	uint64_t purchase = r->purchase;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 7), ENGINE_REPEATED);
		assert_string_equal(r->reply, "reply to 7");
		assert_string_equal(r->ref, "R0000007");
		assert_int_equal(r->purchase, purchase);
	}
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 1);
	/* Also within one batch, and after a crash. */
	(void)rig_post_buy(r, "ci-payment", MTN, MTN, 8);
	(void)rig_post_buy(r, "ci-payment", MTN, MTN, 8);
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_REPEATED);
	rig_crash(r);
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 8), ENGINE_REPEATED);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 2);
	/* Once in each life for the first; the other waits for its push. */
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 2);
}

static void a_deadline_that_was_first_cancels(void **state)
{
	struct rig *r = *state;
	atomic_int late = CLAIM_CANCELLED, waiting = CLAIM_WAITING;

	rig_post_buy(r, "ci-payment", MOOV, MOOV, 1)->claim = &late;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_CANCELLED);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 0);
	rig_post_buy(r, "ci-payment", MOOV, MOOV, 1)->claim = &waiting;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_DONE);
	assert_int_equal(atomic_load(&waiting), CLAIM_COMMITTING);
}

static void a_reference_that_is_taken_is_drawn_again(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	struct engine_buy *buy = rig_post_buy(r, "ci-payment", MTN, MTN, 2);
	((struct buy_intent *)(uintptr_t)buy->intent)->ref = STR("R0000001");
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_REF_TAKEN);
	/* Another partner has references of its own. */
	assert_int_equal(rig_buy(r, "two-payment", MTN, MTN, 1), ENGINE_DONE);
}

static void closed_switches_refuse(void **state)
{
	struct rig *r = *state;
	bool *switches[] = {
		(bool *)(uintptr_t)&config_offer(r->fx.config, STR("ci-airtime"))->out_of_service,
		(bool *)(uintptr_t)&config_account(r->fx.config, STR("et-ci"))->out_of_service,
		(bool *)(uintptr_t)&config_operator(r->fx.config, STR("moov-ci"))->out_of_service,
		(bool *)(uintptr_t)&config_operator(r->fx.config, STR("mtn-ci"))->out_of_service,
	};

	for (size_t i = 0; i < ROWS(switches); i++) {
		*switches[i] = true;
		assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_CLOSED);
		*switches[i] = false;
	}
	/* Sold to this operator no more, and another partner's offer. */
	struct offer_leg *leg =
		(struct offer_leg *)(uintptr_t)&config_offer(r->fx.config, STR("ci-airtime"))
			->collect;
	size_t services_len = leg->services_len;
	leg->services_len = 0;
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_CLOSED);
	leg->services_len = services_len;
	rig_post_buy(r, "ci-airtime", MOOV, MTN, 1)->partner = 2;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_CLOSED);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 0);
	assert_int_equal(rig_buy(r, "ci-airtime", MOOV, MTN, 1), ENGINE_DONE);
}

/* EasyTransfert: 15 minutes between two calls for one number and amount. */
static void spacing_refuses_and_tells_until_when(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	r->now_ms += 1000;
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 2), ENGINE_SPACED);
	assert_true(r->until_ms == FX_EPOCH + 15 * 60 * 1000);
	/* Another number, another partner's account: nothing to do with it. */
	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 3), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "two-payment", MOOV, MOOV, 4), ENGINE_DONE);
	r->now_ms = FX_EPOCH + 15 * 60 * 1000;
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 2), ENGINE_DONE);
}

static void a_push_waits_until_the_session_is_over(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 1), ENGINE_DONE);
	assert_int_equal(r->said_len, 0);
	assert_int_equal(r->wait_ms, 5000);
	r->now_ms += 4999;
	rig_step(r);
	assert_int_equal(r->said_len, 0);
	r->now_ms += 1;
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 1);
}

/* ---- D2 ----------------------------------------------------------------------------------------
 */

static void go_comes_after_the_claim_is_durable(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	r->now_ms += 700;
	struct attempt_row a = rig_send(r);
	assert_int_equal(a.epoch, 1);
	assert_int_equal(a.owner_incarnation, r->fx.store->ops->incarnation(r->fx.store));
	assert_int_equal(a.body_hash[0], 0xAB);
	assert_true(a.sent_ms == r->now_ms);
	assert_int_equal(rig_purchase_state(r), PURCHASE_COLLECTING);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1); /* rig_step: never inside a commit */
	assert_true(r->said[r->said_len - 1].boot_ms == 700);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT sum(debit) FROM ledger WHERE book = 4", 0), 500);
}

static void a_claim_that_is_not_durable_sends_nothing(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_attempt(r, 0);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	r->commit_answers = TAMA_EIO;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_NOT_DONE);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_READY);
	assert_int_equal(rig_stats(r).sent, 0);
	r->commit_answers = 0;
	rig_forget(r);
	rig_wait(r, 61000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 1);
	(void)rig_send(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
}

static void late_and_foreign_preparations_are_dropped(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_attempt(r, 0);
	rig_post_prepared(r, &a, PREPARED_OK)->epoch = 2;
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_READY);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 2);
	rig_post_prepared(r, &a, PREPARED_OK)->partner = 2;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_NOT_DONE);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
}

/* The first to be bought keeps the pause, sent or not; what is never sent gives it back. */
static void spacing_is_kept_from_the_start(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 2), ENGINE_SPACED);
	assert_true(r->until_ms == FX_EPOCH + 15 * 60 * 1000);
	rig_wait(r, 10 * 60 * 1000 + 1000);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt WHERE state = 8", 0), 1);
	assert_int_equal(rig_count(r, SAID_SMS, "expired"), 1);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 2), ENGINE_DONE);
}

/* The gate holds for whatever was bought before it closed. */
static void spacing_holds_at_the_claim(void **state)
{
	struct rig *r = *state;
	const struct store_ops *ops = r->fx.store->ops;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_attempt(r, 0);
	const struct spacing spacing = {r->now_ms + 20 * 60 * 1000, 0};
	assert_int_equal(ops->begin(r->fx.store, NULL), 0);
	assert_int_equal(
		ops->spacing_set(r->fx.store, a.partner, a.account, a.number, a.amount, &spacing),
		0);
	assert_int_equal(ops->commit(r->fx.store, NULL), 0);
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_count(r, SAID_DROP, NULL), 1);
	/* The pause outlasts what the customer expects: told after ten minutes, not later. */
	rig_forget(r);
	rig_wait(r, 10 * 60 * 1000 + 1000);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_purchase_state(r), PURCHASE_EXPIRED);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_SMS, "expired"), 1);
}

static void a_switch_or_the_expiry_meets_it_at_the_claim(void **state)
{
	struct rig *r = *state;
	bool *closed =
		(bool *)(uintptr_t)&config_account(r->fx.config, STR("et-ci"))->out_of_service;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_attempt(r, 0);
	*closed = true;
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_READY);
	rig_forget(r);
	rig_wait(r, 120000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0); /* closed: not even asked */
	*closed = false;
	/* The process slept: the preparation is older than what the customer expects. */
	r->now_ms += 3 * 3600 * 1000;
	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_EXPIRED);
}

static void what_the_wire_cannot_send(void **state)
{
	static const struct {
		int outcome;
		enum attempt_state after;
		unsigned alarms, told;
	} rows[] = {
		{PREPARED_LATER, ATTEMPT_READY, 0, 0},
		{PREPARED_SECRET_LOST, ATTEMPT_EXPIRED, 0, 1},
		{PREPARED_NEVER, ATTEMPT_EXPIRED, 1, 1},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ROWS(rows); i++) {
		char payer[] = "2250101020300";

		payer[12] = (char)('0' + i);
		rig_forget(r);
		(void)rig_buy(r, "ci-payment", payer, payer, 10 + i);
		struct attempt_row a = rig_attempt(r, 0);
		(void)rig_post_prepared(r, &a, rows[i].outcome);
		rig_step(r);
		assert_int_equal(rig_attempt(r, 0).state, rows[i].after);
		assert_int_equal(rig_count(r, SAID_ALARM, "unsendable"), rows[i].alarms);
		assert_int_equal(rig_count(r, SAID_SMS, "expired"), rows[i].told);
		assert_int_equal(rig_count(r, SAID_GO, NULL), 0);
	}
}

/* ---- D3 ----------------------------------------------------------------------------------------
 */

struct answer {
	enum transfer_end end;
	uint64_t sent;
	unsigned status;
	const char *word, *code;
	enum attempt_state after; /* of this attempt */
	enum purchase_state purchase;
};

/* 2.4, each class with its consequence for a purchase that collects only. */
static const struct answer ANSWERS[] = {
	{TRANSFER_DNS, 0, 0, NULL, NULL, ATTEMPT_NOT_SENT, PURCHASE_CONFIRMED},
	{TRANSFER_CONNECT, 0, 0, NULL, NULL, ATTEMPT_NOT_SENT, PURCHASE_CONFIRMED},
	{TRANSFER_TLS, 0, 0, NULL, NULL, ATTEMPT_NOT_SENT, PURCHASE_CONFIRMED},
	{TRANSFER_NOT_STARTED, 0, 0, NULL, NULL, ATTEMPT_NOT_SENT, PURCHASE_CONFIRMED},
	{TRANSFER_TLS, 9, 0, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_BROKEN, 100, 0, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_TIMEOUT, 100, 0, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_TOO_LARGE, 100, 0, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 200, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 200, "PENDING", NULL, ATTEMPT_ACCEPTED, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 200, "WHATEVER", NULL, ATTEMPT_ACCEPTED, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 200, "SUCCESSFUL", NULL, ATTEMPT_SUCCEEDED, PURCHASE_COLLECTED},
	{TRANSFER_COMPLETE, 100, 200, "SUCCESSFUL", "oops", ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 200, "FAILED", NULL, ATTEMPT_FAILED, PURCHASE_CANCELLED},
	{TRANSFER_COMPLETE, 100, 302, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 406, "", "Solde insuffisant", ATTEMPT_FAILED, PURCHASE_CANCELLED},
	{TRANSFER_COMPLETE, 100, 400, "", "Transaction deja executee", ATTEMPT_UNKNOWN,
		PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 400, "", "never heard of", ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 404, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 401, NULL, NULL, ATTEMPT_NOT_SENT, PURCHASE_CONFIRMED},
	{TRANSFER_COMPLETE, 100, 429, NULL, NULL, ATTEMPT_NOT_SENT, PURCHASE_CONFIRMED},
	{TRANSFER_COMPLETE, 100, 500, NULL, NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 500, "FAILED", NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
	{TRANSFER_COMPLETE, 100, 503, "PENDING", NULL, ATTEMPT_UNKNOWN, PURCHASE_COLLECTING},
};

static void every_answer_has_its_consequence(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < ROWS(ANSWERS); i++) {
		const struct answer *row = &ANSWERS[i];
		char payer[] = "2250101020000";

		payer[11] = (char)('0' + i / 10);
		payer[12] = (char)('0' + i % 10);
		rig_calm_lanes(r);
		assert_int_equal(rig_buy(r, "ci-payment", payer, payer, i + 1), ENGINE_DONE);
		struct attempt_row a = rig_send(r);
		struct engine_result *result = rig_post_result(
			r, &a, PROVIDER_SUBMIT, row->word, row->word != NULL ? "T" : NULL);
		result->transfer = (struct transfer){row->end, row->sent, row->status};
		if (row->word != NULL && row->word[0] == '\0')
			result->facts = (struct facts){.is_valid = true};
		if (row->code != NULL)
			result->facts.code = str_c(row->code);
		rig_step(r);
		a = rig_attempt(r, 0);
		if (row->after == ATTEMPT_NOT_SENT) {
			assert_int_equal(a.n, 2);
			assert_int_equal(a.state, ATTEMPT_READY);
			assert_int_equal(
				fx_sql(r->fx.store,
					"SELECT state FROM attempt WHERE n = 1 AND purchase = ?1",
					r->purchase),
				ATTEMPT_NOT_SENT);
		} else {
			assert_int_equal(a.n, 1);
			if (a.state != row->after)
				fail_msg("row %zu: %s", i, attempt_state_name(a.state));
		}
		assert_int_equal(rig_purchase_state(r), row->purchase);
	}
	/* One raw answer each is kept. */
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM inbox WHERE kind = 2", 0), ROWS(ANSWERS));
}

static void an_answer_to_another_epoch_is_only_kept(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_send(r);
	rig_post_result(r, &a, PROVIDER_SUBMIT, "FAILED", "T1")->epoch = 2;
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
	assert_int_equal(rig_verdicts(r, VERDICT_IGNORED), 1);
}

static void an_answer_about_something_else_is_parked(void **state)
{
	static const struct {
		size_t offset;
		const char *value;
	} lies[] = {
		{offsetof(struct facts, amount), "501"},
		{offsetof(struct facts, amount), "500.5"},
		{offsetof(struct facts, number), MTN},
		{offsetof(struct facts, service), "999"},
		{offsetof(struct facts, our_ref), "SOMEBODYELSES"},
		{offsetof(struct facts, currency), "UGX"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ROWS(lies); i++) {
		char payer[] = "2250101020300";

		payer[12] = (char)('0' + i);
		rig_calm_lanes(r);
		(void)rig_buy(r, "ci-payment", payer, payer, i + 1);
		struct attempt_row a = rig_send(r);
		struct engine_result *result =
			rig_post_result(r, &a, PROVIDER_SUBMIT, "SUCCESSFUL", "T1");
		*(struct str *)(void *)((char *)&result->facts + lies[i].offset) =
			str_c(lies[i].value);
		rig_step(r);
		a = rig_attempt(r, 0);
		assert_int_equal(a.state, ATTEMPT_UNKNOWN);
		assert_int_equal(a.provider_id.n, 0); /* the id of a stranger is not ours */
	}
	assert_int_equal(rig_verdicts(r, VERDICT_MISMATCH), ROWS(lies));
	assert_int_equal(rig_count(r, SAID_ALARM, "mismatch"), ROWS(lies));
	assert_int_equal(rig_stats(r).mismatches, ROWS(lies));
}

static void money_in_starts_the_goods_in_the_same_commit(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-airtime", MOOV, MOOV2, 1);
	struct attempt_row a = rig_send(r);
	uint64_t commits = rig_stats(r).commits;
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	assert_int_equal(rig_stats(r).commits, commits + 1);
	assert_int_equal(rig_purchase_state(r), PURCHASE_COLLECTED);
	a = rig_attempt(r, LEG_DELIVER);
	assert_int_equal(a.state, ATTEMPT_READY);
	assert_int_equal(a.amount, 500);
	assert_int_equal(rig_count(r, SAID_PREPARE, "airtime 223 " MOOV2 " 500"), 1);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T2");
	assert_int_equal(rig_purchase_state(r), PURCHASE_DELIVERED);
	assert_int_equal(rig_count(r, SAID_SMS, "sms-ci " MOOV " delivered"), 1);
	assert_int_equal(rig_stats(r).sms_rows, 1);
}

static void goods_refused_leave_the_money_owed(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-airtime", MOOV, MOOV2, 1);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	a = rig_send(r);
	rig_reply(r, &a, "FAILED", "T2");
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(rig_count(r, SAID_SMS, "refund due"), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "refund_due"), 1);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT -sum(debit) FROM ledger WHERE book = 5", 0), 600);
}

/* The catalogue changed between money and goods: nobody can deliver, so the money is owed at once.
 */
static void a_paid_purchase_without_an_offer_waits_on_nobody(void **state)
{
	struct rig *r = *state;
	struct offer *offer =
		(struct offer *)(uintptr_t)config_offer(r->fx.config, STR("ci-airtime"));
	size_t services_len = offer->deliver.services_len;

	(void)rig_buy(r, "ci-airtime", MOOV, MOOV2, 1);
	struct attempt_row a = rig_send(r);
	offer->deliver.services_len = 0;
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	offer->deliver.services_len = services_len;
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	assert_int_equal(rig_attempt(r, LEG_DELIVER).state, ATTEMPT_EXPIRED);
	assert_int_equal(rig_count(r, SAID_ALARM, "undeliverable"), 1);
	assert_int_equal(rig_count(r, SAID_SMS, "refund due"), 1);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 1);
}

/* ---- trying again ------------------------------------------------------------------------------
 */

/* Every try of the wire fails to connect, until the engine asks no more. Returns how many. */
static unsigned fail_to_connect(struct rig *r, int64_t for_ms)
{
	int64_t until_ms = r->now_ms + for_ms;
	unsigned tries = 0;

	while (r->now_ms < until_ms) {
		struct attempt_row a = rig_attempt(r, 0);
		unsigned asked = rig_count(r, SAID_PREPARE, NULL);

		if (asked > 0 && a.state == ATTEMPT_READY) {
			rig_forget(r);
			a = rig_send(r);
			rig_broken(r, &a, TRANSFER_CONNECT, 0);
			tries++;
		}
		r->now_ms += 1000;
		rig_step(r);
	}
	return tries;
}

static void what_was_not_sent_is_tried_again_until_it_expires(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	unsigned tries = fail_to_connect(r, 11 * 60 * 1000);
	/* 4, 8, 16, 32, then every 60 seconds: nine or ten more in ten minutes. */
	assert_in_range(tries, 12, 14);
	assert_int_equal(rig_purchase_state(r), PURCHASE_EXPIRED);
	assert_int_equal(rig_count(r, SAID_SMS, "sms-ci " MOOV " expired"), 1);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(DISTINCT our_ref) = count(*) FROM attempt", 0),
		1);
}

static void goods_are_tried_for_an_hour(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-airtime", MOOV, MOOV2, 1);
	struct attempt_row a = rig_send(r);
	rig_forget(r);
	rig_reply(r, &a, "SUCCESSFUL", "T1");
	(void)fail_to_connect(r, 59 * 60 * 1000);
	assert_int_equal(rig_purchase_state(r), PURCHASE_COLLECTED);
	(void)fail_to_connect(r, 2 * 60 * 1000);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REFUND_DUE);
	/* Nothing was answered, so the pause was given back each time; a 429 keeps it. */
	(void)rig_buy(r, "ci-payment", MTN, MTN, 2);
	rig_wait(r, 5000);
	a = rig_send(r);
	rig_post_result(r, &a, PROVIDER_SUBMIT, NULL, NULL)->transfer.status = 429;
	rig_step(r);
	rig_forget(r);
	rig_wait(r, 9 * 60 * 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	rig_wait(r, 2 * 60 * 1000);
	assert_int_equal(rig_purchase_state(r), PURCHASE_EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(d1_writes_purchase_attempt_row_and_reply),
		RIG_TEST(a_deliver_only_offer_pays_from_the_float),
		RIG_TEST(the_same_press_gets_the_stored_reply),
		RIG_TEST(a_deadline_that_was_first_cancels),
		RIG_TEST(a_reference_that_is_taken_is_drawn_again),
		RIG_TEST(closed_switches_refuse),
		RIG_TEST(spacing_refuses_and_tells_until_when),
		RIG_TEST(a_push_waits_until_the_session_is_over),
		RIG_TEST(go_comes_after_the_claim_is_durable),
		RIG_TEST(a_claim_that_is_not_durable_sends_nothing),
		RIG_TEST(late_and_foreign_preparations_are_dropped),
		RIG_TEST(spacing_is_kept_from_the_start),
		RIG_TEST(spacing_holds_at_the_claim),
		RIG_TEST(a_switch_or_the_expiry_meets_it_at_the_claim),
		RIG_TEST(what_the_wire_cannot_send),
		RIG_TEST(every_answer_has_its_consequence),
		RIG_TEST(an_answer_to_another_epoch_is_only_kept),
		RIG_TEST(an_answer_about_something_else_is_parked),
		RIG_TEST(money_in_starts_the_goods_in_the_same_commit),
		RIG_TEST(goods_refused_leave_the_money_owed),
		RIG_TEST(a_paid_purchase_without_an_offer_waits_on_nobody),
		RIG_TEST(what_was_not_sent_is_tried_again_until_it_expires),
		RIG_TEST(goods_are_tried_for_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
