/* What happens to an attempt: the table applied, the books posted, and what follows started. */
#include "engine_priv.h"

#include "tama/limits.h"
#include "tama/msisdn.h"

/* UNIQUE(purchase, kind, seq) of rows that belong to one attempt. */
static uint32_t row_seq(const struct attempt_row *attempt)
{
	return (uint32_t)attempt->leg << 8 | attempt->n;
}

int case_load(struct engine *e, uint32_t partner, uint64_t attempt, struct engine_case *out)
{
	int rc = STORE(e, attempt_get, partner, attempt, &e->arena, &out->attempt);

	if (rc != 0)
		return rc;
	return STORE(e, purchase_get, partner, out->attempt.purchase, &e->arena, &out->purchase);
}

void attempt_terms_of(const struct engine *e, const struct attempt_row *attempt,
	struct attempt_terms *out, char national[static MSISDN_MAX + 2])
{
	memset(out, 0, sizeof(*out));
	out->our_ref = attempt->our_ref;
	out->provider_id = attempt->provider_id;
	out->amount = attempt->amount;
	out->currency = currency_find(attempt->currency);
	out->service = attempt->service;
	memcpy(out->number.digits, attempt->number.p,
		attempt->number.n < MSISDN_MAX ? attempt->number.n : MSISDN_MAX);
	national[0] = '\0';
	for (size_t i = 0; i < e->config->countries_len && national[0] == '\0'; i++)
		msisdn_national(&out->number, &e->config->countries[i].plan, national);
	out->national = str_c(national);
}

/* Copies: an effect outlives the event that caused it, whose owner may free it first. */
struct wire_attempt wire_attempt_of(struct engine *e, const struct attempt_row *attempt)
{
	struct arena *arena = &e->arena;

	return (struct wire_attempt){
		.attempt = attempt->id,
		.partner = attempt->partner,
		.epoch = attempt->epoch,
		.account = arena_str(arena, attempt->account),
		.verb = arena_str(arena, attempt->verb),
		.service = arena_str(arena, attempt->service),
		.our_ref = arena_str(arena, attempt->our_ref),
		.provider_id = arena_str(arena, attempt->provider_id),
		.number = arena_str(arena, attempt->number),
		.amount = attempt->amount,
		.currency = arena_str(arena, attempt->currency),
		.needs_secret = attempt->needs_secret,
		.secret = attempt->secret,
		.secret_is_ours = attempt->incarnation_made == e->incarnation,
	};
}

static int row_insert(
	struct engine *e, const struct attempt_row *attempt, enum outbox_kind kind, int64_t due_ms)
{
	struct outbox_row row = {
		.id = engine_next_id(e),
		.partner = attempt->partner,
		.kind = kind,
		.purchase = attempt->purchase,
		.attempt = attempt->id,
		.seq = row_seq(attempt),
		.due_ms = due_ms,
	};

	return STORE(e, outbox_insert, &row);
}

int leg_start(struct engine *e, const struct purchase_row *purchase, struct attempt_row *attempt,
	int64_t due_ms)
{
	bool is_due = due_ms <= e->now_ms;
	struct effect *effect;
	int rc;

	attempt->id = engine_next_id(e);
	attempt->partner = purchase->partner;
	attempt->purchase = purchase->id;
	attempt->state = ATTEMPT_READY;
	attempt->updated_ms = e->now_ms;
	if (attempt->created_ms == 0)
		attempt->created_ms =
			e->now_ms; /* else the leg's: an attempt made again keeps it */
	rc = STORE(e, attempt_insert, attempt);
	if (rc != 0)
		return rc;
	/* The row is the promise; the effect only saves the wait. */
	rc = row_insert(e, attempt, OUTBOX_SEND, is_due ? e->now_ms + LIMIT_LEASE_MS : due_ms);
	if (rc != 0 || !is_due)
		return rc;
	effect = engine_effect(e, EFFECT_PREPARE);
	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->wire = wire_attempt_of(e, attempt);
	effect->wire.epoch = attempt->epoch + 1;
	return 0;
}

static int post_books(struct engine *e, const struct engine_case *c, enum attempt_state from)
{
	const struct purchase_row *p = &c->purchase;
	struct ledger_terms terms = {
		p->face_value, p->fee, p->price, p->has_collect, p->has_deliver};
	struct ledger_line lines[LEDGER_LINES_MAX];
	struct ledger_row row = {
		.partner = p->partner,
		.purchase = p->id,
		.attempt = c->attempt.id,
		.account = c->attempt.account,
		.currency = p->currency,
		.lines = lines,
		.at_ms = e->now_ms,
	};

	row.lines_len = ledger_lines(c->attempt.leg, from, c->attempt.state, &terms, lines);
	return row.lines_len == 0 ? 0 : STORE(e, ledger_post, &row);
}

static int append_event(struct engine *e, const struct engine_case *c, uint8_t from, uint8_t to,
	const char *cause, uint64_t evidence, bool of_attempt)
{
	struct event_row row = {
		.partner = c->purchase.partner,
		.purchase = c->purchase.id,
		.attempt = of_attempt ? c->attempt.id : 0,
		.from = from,
		.to = to,
		.cause = cause,
		.evidence = evidence,
		.incarnation = e->incarnation,
		.at_ms = e->now_ms,
	};

	return STORE(e, event_append, &row);
}

/* The deciding attempt of each leg: the one that is not NOT_SENT, else the last. */
static int legs_load(struct engine *e, const struct purchase_row *p, struct purchase_legs *out)
{
	struct attempt_row *rows = arena_alloc(&e->arena, sizeof(*rows) * 2 * LIMIT_ATTEMPTS);
	int n;

	if (rows == NULL)
		return TAMA_ENOMEM;
	n = STORE(e, attempt_list, p->partner, p->id, &e->arena, rows, 2 * LIMIT_ATTEMPTS);
	if (n < 0)
		return n;
	*out = (struct purchase_legs){.has_collect = p->has_collect, .has_deliver = p->has_deliver};
	for (int i = 0; i < n; i++) {
		enum attempt_state *leg =
			rows[i].leg == LEG_COLLECT ? &out->collect : &out->deliver;

		if (*leg == 0 || *leg == ATTEMPT_NOT_SENT)
			*leg = rows[i].state;
	}
	return 0;
}

static int64_t poll_delay(const struct account *account, const struct attempt_row *attempt)
{
	const int64_t day_ms = 24 * 3600 * (int64_t)1000;

	if (attempt->polls < account->polls_len)
		return account->polls_ms[attempt->polls];
	return account->polls_len > 0
		       ? account->polls_ms[account->polls_len - 1] +
				 day_ms * (int64_t)(attempt->polls - account->polls_len + 1)
		       : day_ms * (int64_t)(attempt->polls + 1);
}

/* The next status query, where the provider's id is known and its rules allow one. */
static int schedule_poll(struct engine *e, const struct attempt_row *attempt)
{
	const struct account *account = engine_account(e, attempt);
	int64_t delay, jitter, due_ms;
	uint16_t chance;

	if (attempt->provider_id.n == 0)
		return 0;
	delay = account != NULL ? poll_delay(account, attempt) : LIMIT_READY_MS;
	if (account != NULL && delay < account->profile->first_poll_ms)
		delay = account->profile->first_poll_ms;
	if (delay > LIMIT_POLL_MS)
		return 0;
	e->world.random(e->world.ctx, &chance, sizeof(chance));
	jitter = chance % (1 + (delay < 120000 ? delay / 4 : 30000));
	due_ms = attempt->sent_ms + delay + jitter;
	if (due_ms <= e->now_ms)
		due_ms = e->now_ms + 1000;
	return row_insert(e, attempt, OUTBOX_POLL, due_ms);
}

/*
 * Whatever state it is in, an open attempt waits for something that will happen (promise 4):
 * SENDING for its time to run out, ACCEPTED and UNKNOWN for a query or for the deadline that calls
 * a person.
 */
static int schedule(struct engine *e, const struct attempt_row *attempt)
{
	int64_t wait;
	int rc = STORE(e, outbox_cancel, attempt->partner, attempt->id, 0);

	if (rc != 0)
		return rc;
	switch (attempt->state) {
	case ATTEMPT_SENDING:
		return row_insert(e, attempt, OUTBOX_DEADLINE, e->now_ms + LIMIT_SENDING_MS);
	case ATTEMPT_ACCEPTED:
	case ATTEMPT_UNKNOWN:
		wait = attempt->provider_id.n > 0 ? LIMIT_REVIEW_MS : LIMIT_REVIEW_BLIND_MS;
		rc = row_insert(e, attempt, OUTBOX_DEADLINE, e->now_ms + wait);
		return rc == 0 ? schedule_poll(e, attempt) : rc;
	case ATTEMPT_READY:
	case ATTEMPT_NOT_SENT:
	case ATTEMPT_SUCCEEDED:
	case ATTEMPT_FAILED:
	case ATTEMPT_EXPIRED:
	case ATTEMPT_REVIEW:
	case ATTEMPT_STATES:
		break;
	}
	return 0;
}

/* Money is in: the goods go out, as soon as the provider's pause for this number and amount allows.
 */
static int start_deliver(struct engine *e, const struct purchase_row *p)
{
	const struct offer *offer = config_offer(e->config, p->offer);
	const struct operator_cfg *op = config_operator(e->config, p->operator_);
	struct attempt_row attempt = {.leg = LEG_DELIVER, .n = 1};
	char ref[2 * REF_LEN + 1];
	unsigned char chance[2 * REF_LEN];
	int64_t free_ms;
	int rc;

	if (offer == NULL || op == NULL || offer->deliver.account == NULL)
		return TAMA_ENOTFOUND;
	e->world.random(e->world.ctx, chance, sizeof(chance));
	vault_reference(chance, ref);
	vault_reference(chance + REF_LEN, ref + REF_LEN);
	attempt.our_ref = arena_str(&e->arena, str_c(ref));
	attempt.account = offer->deliver.account->name;
	attempt.verb = offer->deliver.verb;
	attempt.service = offer_leg_service(&offer->deliver, op);
	attempt.number = p->beneficiary;
	attempt.amount = p->face_value;
	attempt.currency = p->currency;
	attempt.incarnation_made = e->incarnation;
	rc = STORE(e, spacing_get, p->partner, attempt.account, attempt.number, attempt.amount,
		&free_ms);
	return rc == 0 ? leg_start(e, p, &attempt, free_ms) : rc;
}

/*
 * Proven that nothing left this host: the same leg tries again, a little later each time, while the
 * customer still expects it.
 */
static int start_again(struct engine *e, const struct engine_case *c)
{
	struct attempt_row again = c->attempt;
	unsigned char chance[2 * REF_LEN];
	char ref[2 * REF_LEN + 1];
	int64_t wait_ms = c->attempt.n < 5 ? INT64_C(2000) << c->attempt.n : 60000;

	e->world.random(e->world.ctx, chance, sizeof(chance));
	vault_reference(chance, ref);
	vault_reference(chance + REF_LEN, ref + REF_LEN);
	again.our_ref = arena_str(&e->arena, str_c(ref));
	again.n++;
	again.version = 0;
	again.epoch = 0;
	again.owner_incarnation = 0;
	again.provider_id = (struct str){NULL, 0};
	again.polls = 0;
	again.sent_ms = 0;
	memset(again.body_hash, 0, sizeof(again.body_hash));
	return leg_start(e, &c->purchase, &again, e->now_ms + wait_ms);
}

/*
 * The rule of derive(): stored == derive(legs) at every write. A NOT_SENT attempt that starts again
 * leaves the purchase where a READY one would.
 */
static int settle(struct engine *e, struct engine_case *c, const char *cause)
{
	struct purchase_row *p = &c->purchase;
	struct purchase_legs legs;
	enum purchase_state state;
	int rc = legs_load(e, p, &legs);

	if (rc != 0)
		return rc;
	if (purchase_wants_deliver(&legs)) {
		rc = start_deliver(e, p);
		if (rc == TAMA_ENOTFOUND) {
			/* The catalogue changed under a paid purchase: parked, never silently
			 * ended. */
			engine_alarm(e, "undeliverable", p->ref, "paid, and its offer is gone");
			rc = 0;
		}
		if (rc != 0)
			return rc;
	}
	state = purchase_derive(&legs);
	if (state == p->state)
		return 0;
	rc = STORE(e, purchase_set_state, p->partner, p->id, p->version, state, e->now_ms);
	if (rc == 0)
		rc = append_event(e, c, (uint8_t)p->state, (uint8_t)state, cause, 0, false);
	if (rc != 0)
		return rc;
	p->state = state;
	p->version++;
	if (state == PURCHASE_REFUND_DUE)
		engine_alarm(e, "refund_due", p->ref, "paid and not delivered: parked");
	return purchase_is_settled(state, p->has_deliver) ? sms_settle(e, p, state) : 0;
}

static void count(struct engine *e, enum attempt_state state)
{
	struct engine_stats *s = &e->stats;

	s->sent += state == ATTEMPT_SENDING;
	s->not_sent += state == ATTEMPT_NOT_SENT;
	s->unknown += state == ATTEMPT_UNKNOWN;
	s->succeeded += state == ATTEMPT_SUCCEEDED;
	s->failed += state == ATTEMPT_FAILED;
	s->expired += state == ATTEMPT_EXPIRED;
}

static int move(struct engine *e, struct engine_case *c, enum attempt_state next,
	enum attempt_event event, uint64_t evidence)
{
	enum attempt_state from = c->attempt.state;
	const char *cause = attempt_event_name(event);
	int rc;

	c->attempt.state = next;
	c->attempt.updated_ms = e->now_ms;
	rc = STORE(e, attempt_update, &c->attempt);
	if (rc == 0)
		rc = append_event(e, c, (uint8_t)from, (uint8_t)next, cause, evidence, true);
	if (rc == 0)
		rc = post_books(e, c, from);
	if (rc != 0)
		return rc;
	c->attempt.version++;
	rc = schedule(e, &c->attempt);
	if (rc == 0 && next == ATTEMPT_NOT_SENT && c->attempt.n < LIMIT_ATTEMPTS)
		rc = start_again(e, c);
	if (rc == 0)
		rc = settle(e, c, cause);
	count(e, next);
	return rc;
}

int case_apply(struct engine *e, struct engine_case *c, enum attempt_event event, uint64_t evidence,
	struct attempt_step *step_out)
{
	struct attempt_step step = attempt_step(c->attempt.state, event);

	*step_out = step;
	switch (step.kind) {
	case STEP_MOVE:
		return move(e, c, step.next, event, evidence);
	case STEP_STAY:
		return 0;
	case STEP_CONTRADICTION:
		e->stats.contradictions++;
		engine_alarm(e, "contradiction", c->purchase.ref, "two trustworthy facts disagree");
		return 0;
	case STEP_PROPOSAL:
		engine_alarm(e, "proposal", c->purchase.ref, "evidence that a person must confirm");
		return 0;
	case STEP_IMPOSSIBLE:
		engine_alarm(e, "impossible", c->purchase.ref,
			"news of a request that was never sent: restored store or forgery");
		return 0;
	}
	return 0;
}
