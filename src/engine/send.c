/*
 * From READY to the provider's answer: asking the wire to encode, D2 (SENDING is durable before the
 * first byte), D3 (what came back), and the status queries in between.
 */
#include "engine_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"

static int ask_wire(struct engine *e, const struct attempt_row *attempt, enum effect_kind kind)
{
	struct effect *effect = engine_effect(e, kind);

	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->wire = wire_attempt_of(e, attempt);
	effect->wire.epoch = attempt->epoch + (kind == EFFECT_PREPARE ? 1 : 0);
	return 0;
}

/* Never sent, and the time in which the customer expects it is over (or its secret is gone). */
static int expire(struct engine *e, struct engine_case *c)
{
	struct attempt_step step;

	return case_apply(e, c, AEV_EXPIRE, 0, &step);
}

static bool is_too_old(const struct engine *e, const struct attempt_row *attempt)
{
	int64_t limit_ms = attempt->leg == LEG_COLLECT ? LIMIT_READY_MS : LIMIT_DELIVER_READY_MS;

	return e->now_ms - attempt->created_ms > limit_ms;
}

int due_send(struct engine *e, const struct outbox_row *row)
{
	struct engine_case c;
	const struct account *account;
	int64_t free_ms;
	int rc = case_load(e, row->partner, row->attempt, &c);

	if (rc != 0)
		return rc;
	if (c.attempt.state != ATTEMPT_READY)
		return STORE(e, outbox_done, row->partner, row->id);
	if (is_too_old(e, &c.attempt))
		return expire(e, &c);
	account = engine_account(e, &c.attempt);
	if (account == NULL || account->out_of_service)
		return STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_LEASE_MS,
			row->tries + 1);
	rc = STORE(e, spacing_get, row->partner, c.attempt.account, c.attempt.number,
		c.attempt.amount, &free_ms);
	if (rc != 0)
		return rc;
	if (free_ms > e->now_ms)
		return STORE(e, outbox_set_due, row->partner, row->id, free_ms, row->tries);
	rc = STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_LEASE_MS,
		row->tries + 1);
	return rc == 0 ? ask_wire(e, &c.attempt, EFFECT_PREPARE) : rc;
}

/* D2. The claim: from here on the request may have executed. */
static int claim(struct engine *e, struct engine_case *c, const struct engine_prepared *p)
{
	const struct account *account = engine_account(e, &c->attempt);
	struct attempt_step step;
	struct effect *effect;
	int64_t free_ms;
	int rc = STORE(e, spacing_get, c->attempt.partner, c->attempt.account, c->attempt.number,
		c->attempt.amount, &free_ms);

	if (rc != 0)
		return rc;
	if (account == NULL || free_ms > e->now_ms)
		return TAMA_ECONFLICT;
	CRASH_POINT("K11");
	c->attempt.epoch = p->epoch;
	c->attempt.owner_incarnation = e->incarnation;
	c->attempt.sent_ms = e->now_ms;
	memcpy(c->attempt.body_hash, p->body_hash, sizeof(p->body_hash));
	rc = case_apply(e, c, AEV_CLAIM, 0, &step);
	if (rc == 0 && account->spacing_ms > 0)
		rc = STORE(e, spacing_set, c->attempt.partner, c->attempt.account,
			c->attempt.number, c->attempt.amount, e->now_ms + account->spacing_ms);
	if (rc != 0)
		return rc;
	effect = engine_effect(e, EFFECT_GO);
	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->wire.attempt = c->attempt.id;
	effect->wire.epoch = c->attempt.epoch;
	return 0;
}

static int drop(struct engine *e, const struct engine_prepared *p)
{
	struct effect *effect = engine_effect(e, EFFECT_DROP);

	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->wire.attempt = p->attempt;
	effect->wire.epoch = p->epoch;
	return 0;
}

int handle_prepared(struct engine *e, struct engine_event *event)
{
	const struct engine_prepared *p = &event->as.prepared;
	struct engine_case c;
	int rc = case_load(e, p->partner, p->attempt, &c);

	event->outcome = ENGINE_DONE;
	if (rc != 0)
		return rc;
	/* Something else moved it meanwhile, or an older answer came late. */
	if (c.attempt.state != ATTEMPT_READY || p->epoch != c.attempt.epoch + 1)
		return drop(e, p);
	switch (p->outcome) {
	case PREPARED_OK:
		rc = claim(e, &c, p);
		return rc == TAMA_ECONFLICT ? drop(e, p) : rc;
	case PREPARED_LATER:
		return 0; /* the SEND row's lease brings it again */
	case PREPARED_NEVER:
		engine_alarm(
			e, "unsendable", c.purchase.ref, "the dialect cannot say this request");
		return expire(e, &c);
	case PREPARED_SECRET_LOST:
		return expire(e, &c);
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
		return AEV_DOUBT;
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
	switch (step->kind) {
	case STEP_MOVE:
		return VERDICT_APPLIED;
	case STEP_CONTRADICTION:
		return VERDICT_CONTRADICTION;
	case STEP_PROPOSAL:
		return VERDICT_PROPOSAL;
	case STEP_IMPOSSIBLE:
		return VERDICT_IMPOSSIBLE;
	case STEP_STAY:
		break;
	}
	return otherwise;
}

/* What the answer says about the attempt, as one event of the machine. */
static enum attempt_event judge(
	struct engine *e, struct engine_case *c, struct engine_result *r, bool *mismatch_out)
{
	const struct account *account = engine_account(e, &c->attempt);
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];
	enum reply_word word;
	bool alarm = false;
	enum reply_class class;

	*mismatch_out = false;
	if (account == NULL)
		return AEV_DOUBT;
	attempt_terms_of(e, &c->attempt, &terms, national);
	word = provider_word(account->profile, &r->facts);
	if (r->call == PROVIDER_SUBMIT)
		*mismatch_out = provider_mismatch(account->profile, &r->facts, &terms,
					account->profile->reply_must_match, false) != 0;
	else if (word == WORD_SUCCESS || word == WORD_FAILURE || word == WORD_PENDING)
		*mismatch_out = provider_mismatch(account->profile, &r->facts, &terms,
					account->profile->ipn_must_match, true) != 0;
	if (*mismatch_out) {
		e->stats.mismatches++;
		engine_alarm(e, "mismatch", c->purchase.ref, "an answer is not about this attempt");
		word = WORD_NONE;
	}
	if (r->call == PROVIDER_SUBMIT)
		class = classify_submit(&r->transfer, word, &account->profile->rules, &alarm);
	else
		class = classify_status(&r->transfer, word);
	if (alarm)
		engine_alarm(e, "provider_answer", c->purchase.ref, "redirect or unknown path");
	if (!*mismatch_out && r->facts.id.n > 0 && c->attempt.provider_id.n == 0)
		c->attempt.provider_id = arena_str(&e->arena, r->facts.id);
	return event_of(class);
}

/*
 * A claim that nothing was executed gives the provider's pause back, unless the provider answered:
 * a refused call counts against it (429).
 */
static int give_back_pause(struct engine *e, const struct attempt_row *a,
	const struct engine_result *r, enum attempt_event event)
{
	if (event != AEV_NOT_SENT || r->transfer.end == TRANSFER_COMPLETE)
		return 0;
	return STORE(e, spacing_set, a->partner, a->account, a->number, a->amount, e->now_ms);
}

/*
 * A query that moved nothing still has to be followed by the next one, and an id learnt on the way
 * has to be kept.
 */
static int note_only(struct engine *e, struct engine_case *c, const struct engine_result *r)
{
	const struct account *account = engine_account(e, &c->attempt);
	bool is_query = r->call == PROVIDER_STATUS;
	int64_t delay_ms;
	int rc = STORE(e, attempt_update, &c->attempt);

	if (rc != 0 || !is_query || account == NULL || !attempt_is_open(c->attempt.state))
		return rc;
	delay_ms = c->attempt.polls < account->polls_len ? account->polls_ms[c->attempt.polls]
							 : 24 * 3600 * (int64_t)1000;
	if (c->attempt.sent_ms + LIMIT_POLL_MS < e->now_ms)
		return STORE(e, outbox_cancel, r->partner, r->attempt, OUTBOX_POLL);
	rc = STORE(e, outbox_cancel, r->partner, r->attempt, OUTBOX_POLL);
	if (rc != 0)
		return rc;
	return STORE(e, outbox_insert,
		&(struct outbox_row){.id = engine_next_id(e),
			.partner = r->partner,
			.kind = OUTBOX_POLL,
			.purchase = c->attempt.purchase,
			.attempt = r->attempt,
			.seq = (uint32_t)c->attempt.leg << 8 | c->attempt.n,
			.due_ms = e->now_ms + delay_ms});
}

/* D3 (and a query's answer). */
int handle_result(struct engine *e, struct engine_event *event)
{
	struct engine_result *r = &event->as.result;
	struct attempt_step step = {STEP_STAY, 0};
	struct engine_case c;
	enum attempt_event what;
	bool mismatch;
	uint64_t evidence;
	int rc = case_load(e, r->partner, r->attempt, &c);

	event->outcome = ENGINE_DONE;
	if (rc != 0)
		return rc;
	CRASH_POINT("K18");
	if (r->call == PROVIDER_SUBMIT && r->epoch != c.attempt.epoch)
		return keep(e, r, &c.attempt, VERDICT_IGNORED, &evidence);
	what = judge(e, &c, r, &mismatch);
	if (r->call == PROVIDER_STATUS)
		c.attempt.polls++;
	step = attempt_step(c.attempt.state, what);
	rc = keep(e, r, &c.attempt,
		mismatch ? VERDICT_MISMATCH : verdict_of(&step, VERDICT_IGNORED), &evidence);
	if (rc == 0)
		rc = give_back_pause(e, &c.attempt, r, what);
	if (rc == 0)
		rc = case_apply(e, &c, what, evidence, &step);
	if (rc == 0 && step.kind != STEP_MOVE)
		rc = note_only(e, &c, r);
	return rc;
}

int due_poll(struct engine *e, const struct outbox_row *row)
{
	struct engine_case c;
	const struct account *account;
	int64_t free_ms;
	int rc = case_load(e, row->partner, row->attempt, &c);

	if (rc != 0)
		return rc;
	if (!attempt_is_open(c.attempt.state) || c.attempt.provider_id.n == 0)
		return STORE(e, outbox_done, row->partner, row->id);
	account = engine_account(e, &c.attempt);
	rc = STORE(e, spacing_get, row->partner, c.attempt.account, c.attempt.number,
		c.attempt.amount, &free_ms);
	if (rc != 0)
		return rc;
	if (account == NULL || free_ms > e->now_ms)
		return STORE(e, outbox_set_due, row->partner, row->id,
			account != NULL ? free_ms : e->now_ms + LIMIT_LEASE_MS, row->tries);
	if (account->spacing_ms > 0)
		rc = STORE(e, spacing_set, row->partner, c.attempt.account, c.attempt.number,
			c.attempt.amount, e->now_ms + account->spacing_ms);
	if (rc == 0)
		rc = STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_SENDING_MS,
			row->tries + 1);
	e->stats.polls++;
	return rc == 0 ? ask_wire(e, &c.attempt, EFFECT_QUERY) : rc;
}

int due_deadline(struct engine *e, const struct outbox_row *row)
{
	struct attempt_step step;
	struct engine_case c;
	int rc = case_load(e, row->partner, row->attempt, &c);

	if (rc != 0)
		return rc;
	rc = case_apply(e, &c, AEV_DEADLINE, 0, &step);
	if (rc == 0 && step.kind != STEP_MOVE)
		rc = STORE(e, outbox_done, row->partner, row->id);
	else if (rc == 0 && c.attempt.state == ATTEMPT_REVIEW)
		engine_alarm(
			e, "review", c.purchase.ref, "nobody could say in time: a person decides");
	return rc;
}
