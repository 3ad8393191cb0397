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
	out->is_collect = attempt->leg == LEG_COLLECT;
	memcpy(out->number.digits, attempt->number.p,
		attempt->number.n < MSISDN_MAX ? attempt->number.n : MSISDN_MAX);
	national[0] = '\0';
	for (size_t i = 0; i < e->config->countries_len && national[0] == '\0'; i++)
		msisdn_national(&out->number, &e->config->countries[i].plan, national);
	out->national = str_c(national);
}

int64_t attempt_expires_ms(const struct attempt_row *attempt)
{
	return attempt->created_ms +
	       (attempt->leg == LEG_COLLECT ? LIMIT_READY_MS : LIMIT_DELIVER_READY_MS);
}

bool attempt_is_queried(enum attempt_state state)
{
	return state == ATTEMPT_SENDING || state == ATTEMPT_ACCEPTED || state == ATTEMPT_UNKNOWN ||
	       state == ATTEMPT_REVIEW || state == ATTEMPT_CONTRADICTED;
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
	if (is_due)
		due_ms = e->now_ms + LIMIT_LEASE_MS;
	else if (due_ms > attempt_expires_ms(attempt))
		due_ms = attempt_expires_ms(attempt);
	rc = row_insert(e, attempt, OUTBOX_SEND, due_ms);
	if (rc == 0)
		rc = pause_keep(e, attempt);
	return rc == 0 && is_due ? engine_ask(e, EFFECT_PREPARE, attempt, attempt->epoch + 1) : rc;
}

static int post_books(struct engine *e, const struct engine_case *c,
	const struct purchase_legs *before, const struct purchase_legs *after)
{
	const struct purchase_row *p = &c->purchase;
	struct ledger_terms terms = {p->price, p->cost, p->collect_fee};
	struct ledger_line lines[LEDGER_LINES_MAX];
	struct ledger_row row = {
		.partner = p->partner,
		.purchase = p->id,
		.attempt = c->attempt.id,
		.account = c->attempt.account,
		.paid_by = p->paid_by,
		.currency = p->currency,
		.lines = lines,
		.at_ms = e->now_ms,
	};

	row.lines_len = ledger_move(before, after, &terms, lines);
	return row.lines_len == 0 ? 0 : STORE(e, ledger_post, &row);
}

static int legs_get(struct engine *e, const struct purchase_row *p, struct purchase_legs *out)
{
	*out = (struct purchase_legs){.has_collect = p->has_collect, .has_deliver = p->has_deliver};
	return STORE(e, purchase_legs, p->partner, p->id, out);
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

/* How long after the send the first query later than elapsed_ms is due: by the table, then daily.
 */
static int64_t poll_delay(const struct account *account, int64_t elapsed_ms)
{
	const int64_t day_ms = 24 * 3600 * (int64_t)1000;
	int64_t first_ms = account != NULL ? account->profile->first_poll_ms : LIMIT_READY_MS;
	size_t n = account != NULL ? account->polls_len : 0;
	int64_t delay_ms = first_ms;

	for (size_t i = 0; i < n; i++) {
		delay_ms = account->polls_ms[i] > first_ms ? account->polls_ms[i] : first_ms;
		if (delay_ms > elapsed_ms)
			return delay_ms;
	}
	if (delay_ms > elapsed_ms)
		return delay_ms;
	return delay_ms + ((elapsed_ms - delay_ms) / day_ms + 1) * day_ms;
}

/* Its rules may allow none any more, and without the provider's id there is nothing to ask for. */
static int poll_insert(struct engine *e, const struct attempt_row *attempt)
{
	const struct account *account = engine_account(e, attempt);
	int64_t delay_ms = poll_delay(account, e->now_ms - attempt->sent_ms);
	uint16_t chance;

	if (delay_ms > LIMIT_POLL_MS || attempt->provider_id.n == 0)
		return 0;
	e->world.random(e->world.ctx, &chance, sizeof(chance));
	delay_ms += chance % (delay_ms < 120000 ? delay_ms / 4 + 1 : 30000);
	return row_insert(e, attempt, OUTBOX_POLL, attempt->sent_ms + delay_ms);
}

int poll_next(struct engine *e, const struct attempt_row *attempt)
{
	int rc = STORE(e, outbox_cancel, attempt->partner, attempt->id, OUTBOX_POLL);

	return rc == 0 ? poll_insert(e, attempt) : rc;
}

int poll_at(struct engine *e, const struct attempt_row *attempt, int64_t due_ms)
{
	int rc = STORE(e, outbox_cancel, attempt->partner, attempt->id, OUTBOX_POLL);

	return rc == 0 ? row_insert(e, attempt, OUTBOX_POLL, due_ms) : rc;
}

/*
 * When a request under way becomes a doubt, and a doubt a person's: counted from the send, however
 * often the answers have changed since.
 */
static int64_t deadline_ms(const struct engine *e, const struct attempt_row *attempt)
{
	int64_t wait_ms = attempt->provider_id.n > 0 ? LIMIT_REVIEW_MS : LIMIT_REVIEW_BLIND_MS;
	int64_t at_ms;

	if (attempt->state == ATTEMPT_SENDING)
		wait_ms = LIMIT_SENDING_MS;
	at_ms = attempt->sent_ms + wait_ms;
	return at_ms > e->now_ms ? at_ms : e->now_ms;
}

/*
 * Whatever state it is in, an open attempt waits for something that will happen (promise 4):
 * SENDING for its time to run out, ACCEPTED and UNKNOWN for a query or for the deadline that calls
 * a person, who may be spared by a query still.
 */
static int schedule(struct engine *e, const struct attempt_row *attempt)
{
	int rc = STORE(e, outbox_cancel, attempt->partner, attempt->id, 0);

	if (rc != 0)
		return rc;
	switch (attempt->state) {
	case ATTEMPT_SENDING:
		return row_insert(e, attempt, OUTBOX_DEADLINE, deadline_ms(e, attempt));
	case ATTEMPT_ACCEPTED:
	case ATTEMPT_UNKNOWN:
		rc = row_insert(e, attempt, OUTBOX_DEADLINE, deadline_ms(e, attempt));
		return rc == 0 ? poll_insert(e, attempt) : rc;
	case ATTEMPT_REVIEW:
	case ATTEMPT_CONTRADICTED:
		return poll_insert(e, attempt);
	case ATTEMPT_READY:
	case ATTEMPT_NOT_SENT:
	case ATTEMPT_SUCCEEDED:
	case ATTEMPT_FAILED:
	case ATTEMPT_EXPIRED:
	case ATTEMPT_WRITTEN_OFF:
	case ATTEMPT_STATES:
		break;
	}
	return 0;
}

int learn_id(struct engine *e, struct attempt_row *attempt, struct str provider_id)
{
	int rc;

	attempt->provider_id = provider_id;
	rc = STORE(e, attempt_update, attempt);
	if (rc != 0)
		return rc;
	attempt->version++;
	return attempt_is_queried(attempt->state) ? schedule(e, attempt) : 0;
}

/*
 * The catalogue changed under a paid purchase, and nobody can carry the goods: the leg begins and
 * ends in one commit, so that the money is parked as owed and the customer is told.
 */
static int give_up_deliver(struct engine *e, struct engine_case *c, struct attempt_row *attempt)
{
	struct engine_case undeliverable = {.purchase = c->purchase, .attempt = *attempt};
	struct attempt_step step;
	int rc;

	undeliverable.attempt.account = c->attempt.account;
	engine_alarm(e, "undeliverable", c->purchase.ref, "paid, and its offer is gone");
	rc = leg_start(e, &c->purchase, &undeliverable.attempt, e->now_ms + LIMIT_LEASE_MS);
	if (rc == 0)
		rc = case_apply(e, &undeliverable, AEV_EXPIRE, 0, &step);
	c->purchase = undeliverable.purchase;
	return rc;
}

/* Money is in: the goods go out, as soon as the provider's pause for this number and amount allows.
 */
static int start_deliver(struct engine *e, struct engine_case *c)
{
	const struct purchase_row *p = &c->purchase;
	const struct offer *offer = config_offer(e->config, p->offer);
	const struct operator_cfg *op = config_operator(e->config, p->operator_);
	struct attempt_row attempt = {
		.leg = LEG_DELIVER,
		.n = 1,
		.our_ref = engine_reference(e),
		.number = p->beneficiary,
		.amount = p->face_value,
		.currency = p->currency,
		.incarnation_made = e->incarnation,
	};
	int64_t free_ms;
	int rc;

	if (offer != NULL && op != NULL && offer->partner->id == p->partner)
		attempt.service = offer_leg_service(&offer->deliver, op);
	if (attempt.service.n == 0)
		return give_up_deliver(e, c, &attempt);
	attempt.account = offer->deliver.account->name;
	attempt.verb = offer->deliver.verb;
	attempt.partner = p->partner;
	rc = pause_get(e, offer->deliver.account, &attempt, &free_ms);
	return rc == 0 ? leg_start(e, p, &attempt, free_ms) : rc;
}

/*
 * Proven that nothing left this host: the same leg tries again, a little later each time, while the
 * customer still expects it.
 */
static int start_again(struct engine *e, const struct engine_case *c)
{
	int64_t wait_ms = c->attempt.n < 5 ? INT64_C(2000) << c->attempt.n : 60000;
	struct attempt_row again = c->attempt;

	again.our_ref = engine_reference(e);
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
static int settle(struct engine *e, struct engine_case *c, const struct purchase_legs *legs,
	const char *cause)
{
	struct purchase_row *p = &c->purchase;
	enum purchase_state state = purchase_derive(legs);
	int rc = 0;

	if (state != p->state) {
		rc = STORE(e, purchase_set_state, p->partner, p->id, p->version, state, e->now_ms);
		if (rc == 0)
			rc = append_event(e, c, (uint8_t)p->state, (uint8_t)state, cause, 0, false);
		if (rc != 0)
			return rc;
		p->state = state;
		p->version++;
		if (state == PURCHASE_REFUND_DUE)
			engine_alarm(e, "refund_due", p->ref, "paid and not delivered: parked");
		if (purchase_is_settled(state, p->has_deliver))
			rc = sms_settle(e, p, state);
	}
	return rc == 0 && purchase_wants_deliver(legs) ? start_deliver(e, c) : rc;
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

/* A leg about which facts disagree is nobody's to repeat. */
static bool may_start_again(const struct engine_case *c, const struct purchase_legs *legs)
{
	enum attempt_state leg = c->attempt.leg == LEG_COLLECT	 ? legs->collect
				 : c->attempt.leg == LEG_DELIVER ? legs->deliver
								 : legs->refund;

	return leg == ATTEMPT_NOT_SENT && c->attempt.n < LIMIT_ATTEMPTS;
}

static int move(struct engine *e, struct engine_case *c, enum attempt_state next,
	enum attempt_event event, uint64_t evidence)
{
	enum attempt_state from = c->attempt.state;
	const char *cause = attempt_event_name(event);
	struct purchase_legs before, after;
	int rc = legs_get(e, &c->purchase, &before);

	if (rc != 0)
		return rc;
	c->attempt.state = next;
	c->attempt.updated_ms = e->now_ms;
	rc = STORE(e, attempt_update, &c->attempt);
	if (rc == 0)
		rc = append_event(e, c, (uint8_t)from, (uint8_t)next, cause, evidence, true);
	if (rc == 0)
		rc = legs_get(e, &c->purchase, &after);
	if (rc == 0)
		rc = post_books(e, c, &before, &after);
	if (rc != 0)
		return rc;
	c->attempt.version++;
	rc = schedule(e, &c->attempt);
	if (rc == 0 && next == ATTEMPT_EXPIRED)
		rc = pause_give_back(e, &c->attempt);
	if (rc == 0 && next == ATTEMPT_NOT_SENT && may_start_again(c, &after))
		rc = start_again(e, c);
	if (rc == 0)
		rc = settle(e, c, &after, cause);
	count(e, next);
	return rc;
}

/*
 * Two facts disagree about this purchase: what of it was never sent never will be, be it the same
 * leg made again (it ran after all), the goods of a payment that may not stand, or a refund.
 */
static int expire_unsent(struct engine *e, struct engine_case *c, uint64_t evidence)
{
	struct attempt_row *rows = arena_alloc(&e->arena, sizeof(*rows) * 2 * LIMIT_ATTEMPTS);
	int n;

	if (rows == NULL)
		return TAMA_ENOMEM;
	n = STORE(e, attempt_list, c->purchase.partner, c->purchase.id, &e->arena, rows,
		2 * LIMIT_ATTEMPTS);
	for (int i = 0; i < n; i++) {
		struct engine_case held = {.purchase = c->purchase, .attempt = rows[i]};
		struct attempt_step step;
		int rc;

		if (rows[i].state != ATTEMPT_READY)
			continue;
		rc = case_apply(e, &held, AEV_EXPIRE, evidence, &step);
		if (rc != 0)
			return rc;
		c->purchase = held.purchase;
	}
	return n < 0 ? n : 0;
}

/* 2.6: frozen. First the attempt, so that what is expired after it finds nothing to follow up. */
static int contradict(
	struct engine *e, struct engine_case *c, enum attempt_event event, uint64_t evidence)
{
	int rc = move(e, c, ATTEMPT_CONTRADICTED, event, evidence);

	e->stats.contradictions++;
	engine_alarm(e, "contradiction", c->purchase.ref, "two trustworthy facts disagree");
	return rc == 0 ? expire_unsent(e, c, evidence) : rc;
}

int case_apply(struct engine *e, struct engine_case *c, enum attempt_event event, uint64_t evidence,
	struct attempt_step *step_out)
{
	struct attempt_step step = attempt_step(c->attempt.state, event);

	*step_out = step;
	switch (step.kind) {
	case STEP_MOVE:
		if (step.next == ATTEMPT_CONTRADICTED)
			return contradict(e, c, event, evidence);
		return move(e, c, step.next, event, evidence);
	case STEP_STAY:
		return 0;
	case STEP_CONTRADICTION:
		e->stats.contradictions++;
		engine_alarm(e, "contradiction", c->purchase.ref, "two trustworthy facts disagree");
		return expire_unsent(e, c, evidence);
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
