/*
 * From READY to the provider's answer: asking the wire to encode, D2 (SENDING is durable before the
 * first byte), D3 (what came back), and the status queries in between.
 */
#include "engine_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"
#include "tama/mutant.h"

/* Never sent, and the time in which the customer expects it is over (or its secret is gone). */
static int expire(struct engine *e, struct engine_case *c)
{
	struct attempt_step step;

	return case_apply(e, c, AEV_EXPIRE, 0, &step);
}

int due_send(struct engine *e, const struct outbox_row *row)
{
	struct engine_case c;
	const struct account *account;
	int64_t free_ms;
	bool is_asked = false;
	int rc = case_load(e, row->partner, row->attempt, &c);

	if (rc != 0)
		return rc;
	if (c.attempt.state != ATTEMPT_READY)
		return STORE(e, outbox_done, row->partner, row->id);
	if (lane_is_frozen(e, c.purchase.id))
		return lane_freeze_case(e, &c);
	rc = poll_holds(e, &c.attempt, &is_asked);
	if (rc != 0)
		return rc;
	/* Nor does it end, and the customer is told so, while it may have been done after all. */
	if (!is_asked && e->now_ms >= attempt_expires_ms(&c.attempt))
		return expire(e, &c);
	account = engine_account(e, &c.attempt);
	if (is_asked || !lane_may_send(e, account, c.attempt.id) || !floats_may_send(e, &c.attempt))
		return STORE(e, outbox_set_due, row->partner, row->id, lane_look_ms(e, account),
			row->tries + 1);
	rc = pause_get(e, account, &c.attempt, &free_ms);
	if (rc != 0)
		return rc;
	if (free_ms > attempt_expires_ms(&c.attempt))
		free_ms = attempt_expires_ms(&c.attempt);
	if (free_ms > e->now_ms)
		return STORE(e, outbox_set_due, row->partner, row->id, free_ms, row->tries);
	rc = STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_LEASE_MS,
		row->tries + 1);
	return rc == 0 ? engine_ask(e, EFFECT_PREPARE, &c.attempt, c.attempt.epoch + 1) : rc;
}

/* D2. The claim: from here on the request may have executed. */
static int claim(struct engine *e, struct engine_case *c, const struct engine_prepared *p)
{
	struct attempt_step step;
	int rc;

	CRASH_POINT("K11");
	c->attempt.epoch = p->epoch;
	c->attempt.owner_incarnation = e->incarnation;
	c->attempt.sent_ms = c->attempt.first_sent_ms = e->now_ms;
	memcpy(c->attempt.body_hash, p->body_hash, sizeof(p->body_hash));
	rc = case_apply(e, c, AEV_CLAIM, 0, &step);
	if (rc == 0)
		rc = pause_begin(e, &c->attempt);
	return rc == 0 ? engine_ask(e, EFFECT_GO, &c->attempt, c->attempt.epoch) : rc;
}

/*
 * The last look before D2. What changed while the wire encoded (the expiry, a switch, somebody
 * else's call that began the provider's pause, a hint) is told by dropping it: its SEND row comes
 * again.
 */
static int try_claim(struct engine *e, struct engine_case *c, const struct engine_prepared *p)
{
	const struct account *account = engine_account(e, &c->attempt);
	bool is_asked = false;
	int64_t free_ms;
	int rc = pause_get(e, account, &c->attempt, &free_ms);

	if (rc == 0)
		rc = poll_holds(e, &c->attempt, &is_asked);
	if (rc != 0)
		return rc;
	if (is_asked || !lane_may_send(e, account, c->attempt.id) ||
		!floats_may_send(e, &c->attempt) || free_ms > e->now_ms ||
		lane_is_frozen(e, c->purchase.id) || e->now_ms >= attempt_expires_ms(&c->attempt))
		return engine_drop(e, p->attempt, p->epoch);
	return claim(e, c, p);
}

/* Class I: the same request once more, if all that allowed it still does. */
static int try_resend(struct engine *e, struct engine_case *c, const struct engine_prepared *p)
{
	int rc;

	if (p->outcome != PREPARED_OK)
		return 0;
	if (!resend_is_due(e, c) ||
		!lane_may_send(e, engine_account(e, &c->attempt), c->attempt.id))
		return engine_drop(e, p->attempt, p->epoch);
	rc = resend_claim(e, c, p);
	return rc == TAMA_ECONFLICT ? engine_drop(e, p->attempt, p->epoch) : rc;
}

/* It cannot be sent. But as in due_send nothing ends while a hint about it is asked about: its SEND
 * row comes again. */
static int end_unsendable(struct engine *e, struct engine_case *c, int outcome)
{
	bool is_asked = false;
	int rc = poll_holds(e, &c->attempt, &is_asked);

	if (rc != 0 || is_asked)
		return rc;
	if (outcome == PREPARED_NEVER)
		engine_alarm(
			e, "unsendable", c->purchase.ref, "the dialect cannot say this request");
	return expire(e, c);
}

int handle_prepared(struct engine *e, struct engine_event *event)
{
	const struct engine_prepared *p = &event->as.prepared;
	struct engine_case c;
	int rc = case_load(e, p->partner, p->attempt, &c);

	event->outcome = ENGINE_DONE;
	if (rc != 0)
		return rc;
	if (c.attempt.state == ATTEMPT_UNKNOWN && p->epoch == c.attempt.epoch + 1)
		return try_resend(e, &c, p);
	/*
	 * Something else moved it meanwhile, or an older answer came late. Where nothing was
	 * prepared there is nothing to drop but what an earlier answer of this epoch let go.
	 */
	if (c.attempt.state != ATTEMPT_READY || p->epoch != c.attempt.epoch + 1)
		return p->outcome == PREPARED_OK ? engine_drop(e, p->attempt, p->epoch) : 0;
	switch (p->outcome) {
	case PREPARED_OK:
		return try_claim(e, &c, p);
	case PREPARED_LATER:
		return 0; /* the SEND row's lease brings it again */
	case PREPARED_NEVER:
	case PREPARED_SECRET_LOST:
		return end_unsendable(e, &c, p->outcome);
	}
	return TAMA_EINVAL;
}

static enum attempt_event event_of(enum reply_class class)
{
	switch (class) {
	case CLASS_NOT_SENT:
		return AEV_NOT_SENT;
	case CLASS_ACCEPTED:
		return AEV_ACCEPTED;
	case CLASS_SUCCEEDED:
		return AEV_SUCCESS;
	case CLASS_FAILED:
		return AEV_FAILURE;
	case CLASS_UNKNOWN:
	case CLASS_QUERY: /* evidence that it exists, not of what became of it */
		return MUTANT(RESEND_ON_TIMEOUT) ? AEV_NOT_SENT : AEV_DOUBT;
	}
	return AEV_DOUBT;
}

/* The raw answer, kept as evidence. Digest of what makes two answers the same. */
static int keep(struct engine *e, const struct engine_result *r, const struct attempt_row *a,
	enum inbox_verdict verdict, uint64_t *id_out)
{
	struct inbox_row row = {
		.id = engine_next_id(e),
		.partner = r->partner,
		.kind = r->call == PROVIDER_SUBMIT ? INBOX_REPLY : INBOX_STATUS,
		.account = a->account,
		.attempt = r->attempt,
		.raw = r->raw,
		.verdict = verdict,
		.detail = str_c(r->reason),
		.received_ms = e->now_ms,
	};
	/* Replies are never duplicates of each other: their own id is part of the key. */
	struct str key = arena_printf(&e->arena, "%llu", (unsigned long long)row.id);

	vault_digest(key, row.key);
	*id_out = row.id;
	return STORE(e, inbox_insert, &row);
}

static enum inbox_verdict verdict_of(const struct attempt_step *step, enum inbox_verdict otherwise)
{
	return step->kind == STEP_STAY ? otherwise : news_verdict(step);
}

/* Whether what was read is about another transaction than this attempt's. */
static bool is_mismatch(const struct engine *e, const struct engine_case *c,
	const struct engine_result *r, const struct provider_profile *profile, enum reply_word word)
{
	bool is_final = word == WORD_SUCCESS || word == WORD_FAILURE;
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];

	attempt_terms_of(e, &c->attempt, &terms, national);
	/* An id once known stays: an IPN may have named it before the reply came. */
	if (r->call == PROVIDER_SUBMIT)
		return provider_mismatch(profile, &r->facts, &terms,
			       profile->reply_must_match | MATCH_ID, false) != 0;
	return (is_final || word == WORD_PENDING) &&
	       provider_mismatch(profile, &r->facts, &terms, profile->ipn_must_match, true) != 0;
}

struct judgement {
	enum attempt_event event;
	bool is_mismatch;
	bool is_end; /* it names one, and is about this attempt */
	bool is_nowhere; /* the address to send to is not there */
	bool has_id; /* the provider's id is in the facts and was unknown */
};

/* What the answer says about the attempt, as one event of the machine. */
static struct judgement judge(
	struct engine *e, const struct engine_case *c, const struct engine_result *r)
{
	const struct account *account = engine_account(e, &c->attempt);
	struct judgement j = {.event = AEV_DOUBT};
	enum reply_word word;
	bool alarm = false;

	if (account == NULL)
		return j;
	word = provider_word(account->profile, &r->facts);
	j.is_mismatch = is_mismatch(e, c, r, account->profile, word);
	if (j.is_mismatch) {
		e->stats.mismatches++;
		engine_alarm(e, "mismatch", c->purchase.ref, "an answer is not about this attempt");
		word = WORD_NONE;
	}
	j.is_end = word == WORD_SUCCESS || word == WORD_FAILURE;
	if (r->call == PROVIDER_SUBMIT)
		j.event = event_of(
			classify_submit(&r->transfer, word, &account->profile->rules, &alarm));
	else
		j.event = event_of(classify_status(&r->transfer, word));
	/* Of a request sent before, neither proof says anything about the first time. */
	if (r->call == PROVIDER_SUBMIT && c->attempt.epoch > 1 &&
		(j.event == AEV_NOT_SENT || word == WORD_REFUSED))
		j.event = AEV_DOUBT;
	/* Nor of one that the provider has named meanwhile: it did leave. */
	if (j.event == AEV_NOT_SENT && c->attempt.provider_id.n > 0 &&
		(c->attempt.state == ATTEMPT_SENDING || c->attempt.state == ATTEMPT_UNKNOWN))
		j.event = AEV_DOUBT;
	if (MUTANT(CLASS_N_RESENT) && r->call == PROVIDER_STATUS && r->transfer.status == 404)
		j.event = AEV_NOT_SENT;
	/* A configuration fault: whatever else is sent there is in doubt, too (2.4). */
	j.is_nowhere = r->call == PROVIDER_SUBMIT && r->transfer.end == TRANSFER_COMPLETE &&
		       r->transfer.status == 404 && j.event == AEV_DOUBT;
	if (alarm)
		engine_alarm(e, "provider_answer", c->purchase.ref, "redirect or unknown path");
	j.has_id = !j.is_mismatch && r->facts.is_valid && r->facts.id.n > 0 &&
		   c->attempt.provider_id.n == 0;
	return j;
}

/*
 * Proof that nothing was executed gives the provider's pause back, unless the provider answered: a
 * refused call counts against it (429).
 */
static int give_back_pause(
	struct engine *e, const struct attempt_row *a, const struct engine_result *r)
{
	return r->transfer.end == TRANSFER_COMPLETE ? 0 : pause_end(e, a);
}

/* An answer that moved nothing: an id learnt on the way is kept, and after a query comes the next.
 */
static int note(struct engine *e, struct engine_case *c, const struct engine_result *r,
	const struct judgement *j)
{
	int rc = 0;

	if (j->has_id)
		return learn_id(e, &c->attempt, arena_str(&e->arena, r->facts.id));
	if (r->call == PROVIDER_SUBMIT)
		return 0;
	rc = STORE(e, attempt_update, &c->attempt);
	if (rc != 0)
		return rc;
	c->attempt.version++;
	rc = poll_answered(e, &c->attempt, j->is_end);
	return rc == 0 ? resend_ask(e, c) : rc;
}

/*
 * What an answer to the request itself leaves to be asked: whether a contradiction is one, and
 * whether a refusal is one where a hint came before it, which may have told otherwise.
 */
static int confirm(struct engine *e, const struct attempt_row *a, bool was_named)
{
	const struct account *account = engine_account(e, a);

	if (a->state == ATTEMPT_CONTRADICTED)
		return poll_confirm(e, a);
	if (a->state == ATTEMPT_FAILED && was_named && account != NULL &&
		account->profile->ipn_needs_query)
		return poll_at(e, a, e->now_ms);
	return 0;
}

static int apply(struct engine *e, struct engine_case *c, const struct engine_result *r)
{
	struct judgement j = judge(e, c, r);
	bool was_named = c->attempt.provider_id.n > 0;
	struct attempt_step step = attempt_step(c->attempt.state, j.event);
	uint64_t evidence;
	int rc;

	if (j.is_nowhere) {
		rc = lane_hold(e, c->attempt.partner, c->attempt.account,
			"404 to a request: the address is wrong");
		if (rc != 0)
			return rc;
	}
	c->attempt.polls += r->call == PROVIDER_STATUS;
	resend_note_answer(e, &c->attempt, r);
	lane_note_query(e, engine_account(e, &c->attempt), r);
	/* A query that says nothing changes nothing: the request itself may still be under way. */
	if (r->call == PROVIDER_STATUS && j.event == AEV_DOUBT)
		step.kind = STEP_STAY;
	rc = keep(e, r, &c->attempt,
		j.is_mismatch ? VERDICT_MISMATCH : verdict_of(&step, VERDICT_IGNORED), &evidence);
	if (rc != 0 || step.kind == STEP_STAY)
		return rc == 0 ? note(e, c, r, &j) : rc;
	if (step.kind == STEP_MOVE && step.next == ATTEMPT_NOT_SENT)
		rc = give_back_pause(e, &c->attempt, r);
	if (rc == 0 && step.kind == STEP_MOVE && j.has_id)
		c->attempt.provider_id = arena_str(&e->arena, r->facts.id);
	if (rc == 0)
		rc = case_apply(e, c, j.event, evidence, &step);
	lane_note_refusal(e, &c->attempt, &r->facts);
	if (rc == 0 && step.kind == STEP_MOVE && r->call == PROVIDER_SUBMIT)
		rc = confirm(e, &c->attempt, was_named);
	return rc == 0 && step.kind != STEP_MOVE ? note(e, c, r, &j) : rc;
}

/* D3 (and a query's answer). */
int handle_result(struct engine *e, struct engine_event *event)
{
	const struct engine_result *r = &event->as.result;
	struct engine_case c;
	uint64_t evidence;
	int rc = case_load(e, r->partner, r->attempt, &c);

	event->outcome = ENGINE_DONE;
	if (rc != 0)
		return rc;
	CRASH_POINT("K18");
	if (r->call == PROVIDER_SUBMIT && r->epoch != c.attempt.epoch)
		return keep(e, r, &c.attempt, VERDICT_IGNORED, &evidence);
	rc = floats_heard(e, &c, &r->facts);
	return rc == 0 ? apply(e, &c, r) : rc;
}

int due_poll(struct engine *e, const struct outbox_row *row)
{
	struct engine_case c;
	const struct account *account;
	int64_t free_ms;
	int rc = case_load(e, row->partner, row->attempt, &c);

	if (rc != 0)
		return rc;
	account = engine_account(e, &c.attempt);
	if (poll_is_over(account, &c.attempt, row))
		return STORE(e, outbox_done, row->partner, row->id);
	rc = pause_get(e, account, &c.attempt, &free_ms);
	if (rc != 0)
		return rc;
	if (account == NULL)
		free_ms = e->now_ms + LIMIT_LEASE_MS;
	else if (free_ms <= e->now_ms)
		free_ms = e->now_ms + lane_wait_query(e, account);
	if (free_ms > e->now_ms && !MUTANT(POLL_WITHOUT_BUDGET))
		return STORE(e, outbox_set_due, row->partner, row->id, free_ms, row->tries);
	rc = pause_begin(e, &c.attempt);
	if (rc == 0)
		rc = STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_SENDING_MS,
			row->tries + 1);
	e->stats.polls++;
	return rc == 0 ? engine_ask(e, EFFECT_QUERY, &c.attempt, c.attempt.epoch) : rc;
}

int due_deadline(struct engine *e, const struct outbox_row *row)
{
	struct attempt_step step;
	struct engine_case c;
	int rc = case_load(e, row->partner, row->attempt, &c);

	if (rc != 0)
		return rc;
	rc = case_apply(e, &c, MUTANT(DEADLINE_IS_FAILURE) ? AEV_FAILURE : AEV_DEADLINE, 0, &step);
	if (rc == 0 && step.kind != STEP_MOVE)
		rc = STORE(e, outbox_done, row->partner, row->id);
	else if (rc == 0 && c.attempt.state == ATTEMPT_REVIEW)
		engine_alarm(
			e, "review", c.purchase.ref, "nobody could say in time: a person decides");
	return rc;
}
