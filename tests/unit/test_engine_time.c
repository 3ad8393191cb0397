/* What time does (deadlines, queries, messages) and what failure does (crashes, commits, bad rows).
 */
#include "engine_rig.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static struct attempt_row bring_accepted(struct rig *r, const char *offer, const char *payer)
{
	assert_int_equal(rig_buy(r, offer, payer, payer, 1), ENGINE_DONE);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "PENDING", "T");
	rig_forget(r);
	return rig_attempt(r, 0);
}

/* Answers every query with "pending" for so long; writes down when each came after the send. */
static size_t answer_queries(struct rig *r, int64_t for_ms, int64_t *at_ms, size_t max)
{
	int64_t until_ms = r->now_ms + for_ms;
	size_t n = 0;

	while (r->now_ms < until_ms) {
		struct attempt_row a = rig_attempt(r, 0);

		rig_step(r);
		if (rig_count(r, SAID_QUERY, NULL) > 0) {
			rig_forget(r);
			assert_true(n < max);
			at_ms[n++] = r->now_ms - a.sent_ms;
			(void)rig_post_result(r, &a, PROVIDER_STATUS, "PENDING", "T");
			rig_step(r);
		}
		r->now_ms += r->wait_ms > 0 ? r->wait_ms : 1;
	}
	return n;
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

static void sending_without_an_answer_becomes_a_doubt_then_a_persons(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	(void)rig_send(r);
	rig_wait(r, 84 * 1000);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
	rig_wait(r, 2 * 1000);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	/* Nobody knows the provider's id: six hours from the send, not from the last news. */
	rig_wait(r, 6 * HOUR - 90 * 1000);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	rig_wait(r, 10 * 1000);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	assert_int_equal(rig_purchase_state(r), PURCHASE_REVIEW);
	assert_int_equal(rig_count(r, SAID_GO, NULL), 1);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "review"), 1);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT sum(debit) FROM ledger WHERE book = 4", 0), 500);
}

/* 2.7: the account's table, never before 15 minutes, then daily to seven days. */
static void easytransfert_is_asked_by_its_table(void **state)
{
	static const int64_t want_ms[] = {15 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR,
		36 * HOUR, 60 * HOUR, 84 * HOUR, 108 * HOUR, 132 * HOUR, 156 * HOUR};
	struct rig *r = *state;
	int64_t at_ms[32];
	size_t n;

	(void)bring_accepted(r, "ci-payment", MOOV);
	r->is_lax = true;
	n = answer_queries(r, 14 * 24 * HOUR, at_ms, ROWS(at_ms));
	assert_int_equal(n, ROWS(want_ms));
	for (size_t i = 0; i < n; i++)
		assert_in_range(at_ms[i], want_ms[i], want_ms[i] + 30000);
	/* A person was called after a day, counted from the send, though each answer was "pending".
	 */
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	assert_true(fx_sql(r->fx.store, "SELECT max(at_ms) FROM event", 0) - FX_EPOCH <
		    24 * HOUR + 10 * 1000);
	assert_int_equal(rig_attempt(r, 0).polls, n);
	assert_null(fx_broken(&r->fx, 0));
}

static void a_late_success_closes_a_review(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);

	r->is_lax = true;
	rig_wait(r, 30 * HOUR);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	rig_forget(r);
	a = rig_attempt(r, 0);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "SUCCESSFUL", "T");
	rig_step(r);
	assert_int_equal(rig_purchase_state(r), PURCHASE_COLLECTED);
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 1);
	assert_null(fx_broken(&r->fx, 0));
}

static void a_status_failure_in_review_is_only_a_proposal(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);

	r->is_lax = true;
	rig_wait(r, 25 * HOUR);
	a = rig_attempt(r, 0);
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "FAILED", "T");
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	assert_int_equal(rig_verdicts(r, VERDICT_PROPOSAL), 1);
	assert_int_equal(rig_count(r, SAID_ALARM, "proposal"), 1);
}

/* A query that "has no such transaction" proves nothing (2.4). */
static void not_found_proves_nothing(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);

	for (int i = 0; i < 5; i++) {
		rig_post_result(r, &a, PROVIDER_STATUS, NULL, NULL)->transfer.status = 404;
		rig_step(r);
	}
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
	assert_int_equal(rig_attempt(r, 0).n, 1);
}

/* 2.5, class N: however often it says so, the request may be on its way still. */
static void not_found_sends_nothing_again(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_send(r);
	rig_broken(r, &a, TRANSFER_TIMEOUT, 100);
	rig_forget(r);
	for (int i = 0; i < 5; i++) {
		rig_post_result(r, &a, PROVIDER_STATUS, NULL, NULL)->transfer.status = 404;
		rig_step(r);
		rig_wait(r, HOUR);
	}
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_attempt(r, 0).n, 1);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
}

/* The provider's pause holds for queries too, between themselves and against other purchases. */
static void queries_keep_the_pause(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);

	rig_wait(r, 15 * MINUTE + 40 * 1000);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 2), ENGINE_SPACED);
	assert_true(r->until_ms - r->now_ms > 14 * MINUTE);
	/* No answer ever comes: the next call still waits its 15 minutes. */
	rig_wait(r, 14 * MINUTE);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
	rig_wait(r, 2 * MINUTE);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 2);
	/* An IPN cancels what is still to be asked. */
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	rig_forget(r);
	r->is_lax = true;
	rig_wait(r, 24 * HOUR);
	assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
}

static void a_long_sleep_wakes_to_query_and_deadline_at_once(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ug-airtime", UG);

	/* The query comes late, so that the deadline is the earlier of the two. */
	assert_int_equal(r->real->begin(r->fx.store, NULL), 0);
	assert_int_equal(sqlite3_exec(sqlite_store_of(r->fx.store)->db.handle,
				 "UPDATE outbox SET due_ms = due_ms + 90000000 WHERE kind = 2",
				 NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(r->real->commit(r->fx.store, NULL), 0);
	r->now_ms += 48 * HOUR;
	rig_step(r);
	assert_true(r->wait_ms >= 0);
	rig_wait(r, MINUTE);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
	assert_int_equal(rig_count(r, SAID_ALARM, "due_failed"), 0);
	assert_int_equal(a.n, 1);
}

/* ---- messages ----------------------------------------------------------------------------------
 */

static void progress_is_told_once_and_only_while_it_lasts(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);

	rig_wait(r, 3 * MINUTE + 1000);
	assert_int_equal(rig_count(r, SAID_SMS, "progress"), 1);
	(void)rig_ipn(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 1);
	rig_wait(r, HOUR);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 2);
	/* Settled before three minutes: nothing but the end. */
	rig_forget(r);
	(void)rig_buy(r, "ci-payment", MTN, MTN, 2);
	rig_wait(r, 5000);
	a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T2");
	rig_wait(r, HOUR);
	assert_int_equal(rig_count(r, SAID_SMS, "progress"), 0);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 1);
}

/* The rows that a verdict leaves due. */
static int64_t owed(struct rig *r)
{
	return fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE kind = 3 AND NOT is_done", 0);
}

static uint64_t settle_silently(struct rig *r)
{
	r->gateway_is_silent = true;
	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(r->said[r->said_len - 1].kind, SAID_SMS);
	return r->said[r->said_len - 1].id;
}

static void verdict(struct rig *r, uint64_t outbox, enum sms_verdict v)
{
	rig_event(r, ENGINE_SMS_RESULT)->as.sms = (struct engine_sms_result){outbox, 1, v};
	rig_step(r);
}

#define OVER_MS "SELECT over_ms FROM outbox WHERE id = ?1"

static void a_message_is_kept_until_the_gateway_has_it(void **state)
{
	struct rig *r = *state;
	uint64_t sms = settle_silently(r);

	/* No answer: again after the lease. */
	rig_wait(r, MINUTE + 1000);
	assert_int_equal(rig_count(r, SAID_SMS, "delivered"), 2);
	verdict(r, sms, SMS_RETRY);
	assert_int_equal(owed(r), 1);
	rig_wait(r, 6 * MINUTE);
	assert_true(rig_count(r, SAID_SMS, "delivered") > 2);
	verdict(r, sms, SMS_SENT);
	assert_int_equal(owed(r), 0);
	/* What was told, and when, is part of the history. */
	assert_int_equal(fx_sql(r->fx.store, OVER_MS, sms), r->now_ms);
	r->now_ms += 1000;
	/* The same answer again, and one for another partner's row, find nothing to do. */
	verdict(r, sms, SMS_SENT);
	verdict(r, sms, SMS_RETRY);
	rig_event(r, ENGINE_SMS_RESULT)->as.sms = (struct engine_sms_result){sms, 2, SMS_SENT};
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ALARM, "event_refused"), 0);
	rig_event(r, ENGINE_DLR)->as.dlr = (struct engine_dlr){sms, 1, DLR_DELIVERED};
	rig_event(r, ENGINE_DLR)->as.dlr = (struct engine_dlr){sms + 1, 1, DLR_FAILED};
	rig_step(r);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE dlr = 'delivered'", 0), 1);
	assert_int_equal(fx_sql(r->fx.store, OVER_MS, sms), r->now_ms - 1000);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT dlr_ms FROM outbox WHERE id = ?1", sms), r->now_ms);
	assert_int_equal(rig_stats(r).sms_rows, 1);
}

/* The report overtakes the gateway's own answer, which never comes. */
static void a_doubt_hides_no_report(void **state)
{
	struct rig *r = *state;
	uint64_t sms = settle_silently(r);

	verdict(r, sms, SMS_DOUBT);
	rig_wait(r, 20 * 1000);
	rig_event(r, ENGINE_DLR)->as.dlr = (struct engine_dlr){sms, 1, DLR_DELIVERED};
	rig_step(r);
	verdict(r, sms, SMS_DOUBT);
	assert_int_equal(owed(r), 0);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE dlr = 'delivered'", 0), 1);
}

static void a_message_in_doubt_is_tried_once_more(void **state)
{
	struct rig *r = *state;
	uint64_t sms = settle_silently(r);

	verdict(r, sms, SMS_DOUBT);
	assert_int_equal(owed(r), 1);
	rig_wait(r, 20 * 1000);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 2);
	verdict(r, sms, SMS_DOUBT);
	assert_int_equal(owed(r), 0);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE dlr = 'in_doubt'", 0), 1);
	rig_event(r, ENGINE_DLR)->as.dlr = (struct engine_dlr){sms, 1, DLR_BUFFERED};
	rig_step(r);
	assert_int_equal(
		fx_sql(r->fx.store, "SELECT count(*) FROM outbox WHERE dlr = 'buffered'", 0), 1);
}

static void a_message_refused_or_too_old_is_given_up_aloud(void **state)
{
	struct rig *r = *state;
	uint64_t sms = settle_silently(r);

	verdict(r, sms, SMS_REFUSED);
	assert_int_equal(owed(r), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "sms_refused"), 1);
	(void)rig_buy(r, "ci-payment", MTN, MTN, 2);
	rig_wait(r, 5000);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T2");
	r->is_lax = true;
	for (int i = 0; i < 25; i++) {
		rig_forget(r);
		rig_wait(r, HOUR);
	}
	assert_int_equal(owed(r), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "sms_too_old"), 1);
}

static void a_route_that_comes_later_is_taken(void **state)
{
	struct rig *r = *state;
	bool *closed =
		(bool *)(uintptr_t)&config_channel(r->fx.config, STR("sms-ci"))->out_of_service;

	*closed = true;
	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	struct attempt_row a = rig_send(r);
	rig_reply(r, &a, "SUCCESSFUL", "T");
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "no_sms_route"), 1);
	*closed = false;
	rig_wait(r, 2 * MINUTE);
	assert_int_equal(rig_count(r, SAID_SMS, "sms-ci " MOOV " delivered"), 1);
}

/* ---- crashes -----------------------------------------------------------------------------------
 */

static void what_an_earlier_life_was_sending_is_in_doubt(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	(void)rig_send(r);
	uint64_t sent = r->purchase;
	(void)rig_buy(r, "ci-payment", MTN, MTN, 2);
	rig_forget(r);
	rig_crash(r);
	rig_step(r);
	/* READY is claimed later, once; SENDING is never sent again. */
	r->purchase = sent;
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	assert_int_equal(rig_count(r, SAID_ALARM, "owner_dead"), 1);
	rig_wait(r, 2 * MINUTE);
	assert_int_equal(rig_count(r, SAID_PREPARE, MOOV), 0);
	assert_true(rig_count(r, SAID_PREPARE, MTN) > 0);
	/* And not in a doubt of this life's own. */
	rig_forget(r);
	rig_crash(r);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ALARM, "owner_dead"), 0);
}

static void recovery_that_did_not_commit_is_done_again(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	(void)rig_send(r);
	rig_crash(r);
	r->commit_answers = TAMA_EIO;
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SENDING);
	assert_int_equal(rig_stats(r).unknown, 0);
	r->commit_answers = 0;
	rig_step(r);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
}

static void more_orphans_than_a_batch_are_all_recovered(void **state)
{
	struct rig *r = *state;

	r->is_lax = true;
	for (unsigned i = 0; i < LIMIT_OUTBOX_BATCH + 20; i++) {
		char payer[16];

		(void)snprintf(payer, sizeof(payer), "22501010%05u", i);
		(void)rig_buy(r, "ci-payment", payer, payer, i + 1);
		(void)rig_send(r);
	}
	rig_crash(r);
	rig_forget(r);
	rig_step(r);
	assert_int_equal(r->wait_ms, 0);
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ALARM, "owner_dead"), LIMIT_OUTBOX_BATCH + 20);
	assert_null(fx_broken(&r->fx, 0));
}

/* Two days of a full batch of answers fit a step: nothing grows with what has been. */
static void a_full_batch_of_answers_fits_a_step(void **state)
{
	struct rig *r = *state;
	struct attempt_row a[LIMIT_ENGINE_BATCH];

	r->is_lax = true;
	for (unsigned i = 0; i < ROWS(a); i++) {
		char payer[16];

		(void)snprintf(payer, sizeof(payer), "22501010%05u", i);
		(void)rig_buy(r, "ci-airtime", payer, MTN, i + 1);
		a[i] = rig_send(r);
		a[i].account = STR("et-ci");
		a[i].service = STR("123");
		a[i].number = (struct str){NULL, 0};
	}
	for (unsigned i = 0; i < ROWS(a); i++)
		(void)rig_post_result(r, &a[i], PROVIDER_SUBMIT, "SUCCESSFUL", "T");
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_DONE);
	assert_int_equal(rig_stats(r).succeeded, ROWS(a));
	assert_null(fx_broken(&r->fx, 0));
}

/* ---- commits -----------------------------------------------------------------------------------
 */

static void a_commit_that_failed_keeps_nothing(void **state)
{
	struct rig *r = *state;
	atomic_int claim = CLAIM_WAITING;

	r->commit_answers = TAMA_EIO;
	rig_post_buy(r, "ci-payment", MOOV, MOOV, 1)->claim = &claim;
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_NOT_DONE);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "commit"), 1);
	assert_int_equal(rig_stats(r).bought, 0);
	assert_int_equal(rig_stats(r).commits, 0);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 0);
	assert_int_equal(r->wait_ms, TAMA_EIO);
	r->commit_answers = 0;
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
}

static void a_commit_in_doubt_stops_the_engine(void **state)
{
	struct rig *r = *state;

	for (int happens = 0; happens < 2; happens++) {
		r->commit_answers = TAMA_EDOUBT;
		r->commit_happens = happens;
		assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_IN_DOUBT);
		assert_int_equal(r->wait_ms, TAMA_EDOUBT);
		assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
		/* The next life looks, and the redelivered hop gets the truth. */
		r->commit_answers = 0;
		rig_crash(r);
		if (happens)
			assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_REPEATED);
		rig_step(r);
	}
	rig_wait(r, 2 * MINUTE);
	/* At the first step of the next life, then by lease. */
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 3);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 1);
}

static void an_ipn_is_not_acknowledged_without_its_commit(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);

	r->commit_answers = TAMA_EIO;
	assert_int_equal(rig_ipn(r, &a, "SUCCESSFUL", "T"), ENGINE_NOT_DONE);
	assert_int_equal(rig_count(r, SAID_SMS, NULL), 0);
	r->commit_answers = 0;
	assert_int_equal(rig_ipn(r, &a, "SUCCESSFUL", "T"), ENGINE_DONE);
	assert_int_equal(rig_stats(r).ipn_duplicates, 0);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_SUCCEEDED);
}

static void an_event_that_errs_spoils_no_other(void **state)
{
	struct rig *r = *state;
	struct attempt_row a = bring_accepted(r, "ci-payment", MOOV);
	struct attempt_row nobody = a;

	nobody.id++;
	(void)rig_post_buy(r, "ci-payment", MTN, MTN, 2);
	(void)rig_post_result(r, &nobody, PROVIDER_STATUS, "SUCCESSFUL", "T");
	(void)rig_post_result(r, &a, PROVIDER_STATUS, "SUCCESSFUL", "T");
	rig_step(r);
	assert_int_equal(r->done, 3);
	assert_int_equal(rig_count(r, SAID_ALARM, "event_refused"), 1);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM purchase", 0), 2);
	assert_int_equal(rig_stats(r).succeeded, 1);
}

/* It had already asked the wire and counted itself when it failed. */
static void an_event_that_errs_leaves_no_effect(void **state)
{
	struct rig *r = *state;

	r->fail_hop = true;
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_NOT_DONE);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_count(r, SAID_ALARM, "event_refused"), 1);
	assert_int_equal(rig_stats(r).bought, 0);
	assert_int_equal(fx_sql(r->fx.store, "SELECT count(*) FROM attempt", 0), 0);
	r->fail_hop = false;
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 1), ENGINE_DONE);
}

/* An answer that can never be applied would be offered again for ever. */
static void an_answer_about_nothing_is_not_asked_for_again(void **state)
{
	struct rig *r = *state;
	struct attempt_row nobody = {.id = 7, .partner = 1, .account = STR("et-ci")};

	(void)rig_post_result(r, &nobody, PROVIDER_SUBMIT, NULL, NULL);
	rig_step(r);
	assert_int_equal(r->outcome, ENGINE_DONE);
	assert_int_equal(rig_count(r, SAID_ALARM, "event_refused"), 1);
}

static void a_row_that_fails_starves_no_other(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MTN, MTN, 1);
	(void)rig_buy(r, "two-payment", MTN, MTN, 2);
	r->now_ms += 5000;
	r->fail_verb = 1;
	rig_step(r);
	assert_int_equal(rig_count(r, SAID_ALARM, "due_failed"), 1);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 1);
	rig_wait(r, 61 * 1000);
	assert_int_equal(rig_count(r, SAID_PREPARE, "et-ci"), 1);
}

static void a_reload_acts_on_what_is_under_way(void **state)
{
	struct rig *r = *state;
	const struct config *other = NULL;

	assert_int_equal(config_load("tests/fixtures/engine.lua", NULL, &other, NULL), 0);
	*(bool *)(uintptr_t)&config_account(other, STR("et-ci"))->out_of_service = true;
	(void)rig_buy(r, "ci-payment", MTN, MTN, 1);
	engine_set_config(r->engine, other);
	rig_wait(r, MINUTE);
	assert_int_equal(rig_count(r, SAID_PREPARE, NULL), 0);
	assert_int_equal(rig_buy(r, "ci-payment", MOOV, MOOV, 2), ENGINE_CLOSED);
	engine_set_config(r->engine, r->fx.config);
	rig_wait(r, MINUTE);
	assert_true(rig_count(r, SAID_PREPARE, NULL) > 0);
	config_unref(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(sending_without_an_answer_becomes_a_doubt_then_a_persons),
		RIG_TEST(easytransfert_is_asked_by_its_table),
		RIG_TEST(a_late_success_closes_a_review),
		RIG_TEST(a_status_failure_in_review_is_only_a_proposal),
		RIG_TEST(not_found_proves_nothing),
		RIG_TEST(not_found_sends_nothing_again),
		RIG_TEST(queries_keep_the_pause),
		RIG_TEST(a_long_sleep_wakes_to_query_and_deadline_at_once),
		RIG_TEST(progress_is_told_once_and_only_while_it_lasts),
		RIG_TEST(a_message_is_kept_until_the_gateway_has_it),
		RIG_TEST(a_message_in_doubt_is_tried_once_more),
		RIG_TEST(a_doubt_hides_no_report),
		RIG_TEST(a_message_refused_or_too_old_is_given_up_aloud),
		RIG_TEST(a_route_that_comes_later_is_taken),
		RIG_TEST(what_an_earlier_life_was_sending_is_in_doubt),
		RIG_TEST(recovery_that_did_not_commit_is_done_again),
		RIG_TEST(more_orphans_than_a_batch_are_all_recovered),
		RIG_TEST(a_full_batch_of_answers_fits_a_step),
		RIG_TEST(a_commit_that_failed_keeps_nothing),
		RIG_TEST(a_commit_in_doubt_stops_the_engine),
		RIG_TEST(an_ipn_is_not_acknowledged_without_its_commit),
		RIG_TEST(an_event_that_errs_spoils_no_other),
		RIG_TEST(an_event_that_errs_leaves_no_effect),
		RIG_TEST(an_answer_about_nothing_is_not_asked_for_again),
		RIG_TEST(a_row_that_fails_starves_no_other),
		RIG_TEST(a_reload_acts_on_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
