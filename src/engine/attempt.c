/*
 * What happens to an attempt: the table applied, the books posted, and what follows started. What
 * it waits for is in schedule.c, the way back of the money in refund.c, what persons may do about
 * it in decision.c.
 */
#include "engine_priv.h"

#include "tama/limits.h"
#include "tama/msisdn.h"

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
	/*
	 * The row is the promise; the effect only saves the wait. What waits for as long as a lease
	 * would look handed out, and be called before its time (outbox_release).
	 */
	if (is_due)
		due_ms = e->now_ms + LIMIT_LEASE_MS;
	else if (due_ms == e->now_ms + LIMIT_LEASE_MS)
		due_ms++;
	if (!is_due && due_ms > attempt_expires_ms(attempt))
		due_ms = attempt_expires_ms(attempt);
	rc = attempt_wait(e, attempt, OUTBOX_SEND, due_ms);
	if (rc == 0)
		rc = pause_keep(e, attempt);
	return rc == 0 && is_due ? engine_ask(e, EFFECT_PREPARE, attempt, attempt->epoch + 1) : rc;
}

int case_post(struct engine *e, const struct engine_case *c, const struct purchase_legs *before,
	const struct purchase_legs *after)
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

int case_legs(struct engine *e, const struct purchase_row *p, struct purchase_legs *out)
{
	*out = (struct purchase_legs){.has_collect = p->has_collect, .has_deliver = p->has_deliver};
	return STORE(e, purchase_legs, p->partner, p->id, out);
}

int case_attempts(struct engine *e, const struct purchase_row *p, struct attempt_row **out)
{
	/* Room for all there may be only where a few are not enough: a batch has many purchases. */
	static const size_t most[] = {8, (size_t)3 * LIMIT_ATTEMPTS};
	int n = 0;

	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		*out = arena_alloc(&e->arena, sizeof(**out) * most[i]);
		if (*out == NULL)
			return TAMA_ENOMEM;
		n = STORE(e, attempt_list, p->partner, p->id, &e->arena, *out, most[i]);
		if (n < (int)most[i])
			break;
	}
	return n;
}

int case_event(struct engine *e, const struct engine_case *c, struct event_row row)
{
	row.partner = c->purchase.partner;
	row.purchase = c->purchase.id;
	row.incarnation = e->incarnation;
	row.at_ms = e->now_ms;
	return STORE(e, event_append, &row);
}

/*
 * The goods will not go out: the leg begins and ends in one commit, so that the money is owed, goes
 * back where the offer can do that, and the customer is told.
 */
static int give_up_deliver(struct engine *e, struct engine_case *c, struct attempt_row *attempt)
{
	struct engine_case undeliverable = {.purchase = c->purchase, .attempt = *attempt};
	struct attempt_step step;
	int rc;

	undeliverable.attempt.account = c->attempt.account;
	rc = leg_start(e, &c->purchase, &undeliverable.attempt, e->now_ms + LIMIT_LEASE_MS);
	if (rc == 0)
		rc = case_apply(e, &undeliverable, AEV_EXPIRE, 0, &step);
	c->purchase = undeliverable.purchase;
	return rc;
}

bool case_is_late(const struct engine *e, const struct purchase_row *p)
{
	const struct offer *offer = config_offer(e->config, p->offer);

	return offer != NULL && !offer->late_delivers &&
	       e->now_ms - p->created_ms >= offer->late_ms;
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
	if (attempt.service.n == 0) {
		engine_alarm(e, "undeliverable", p->ref, "paid, and its offer is gone");
		return give_up_deliver(e, c, &attempt);
	}
	if (case_is_late(e, p)) {
		engine_alarm(e, "late_collect", p->ref, "paid too late to deliver: to be refunded");
		return give_up_deliver(e, c, &attempt);
	}
	attempt.account = offer->deliver.account->name;
	attempt.verb = offer->deliver.verb;
	attempt.partner = p->partner;
	rc = pause_get(e, offer->deliver.account, &attempt, &free_ms);
	return rc == 0 ? leg_start(e, p, &attempt, free_ms) : rc;
}

static int64_t again_ms(const struct attempt_row *attempt)
{
	int64_t max_ms = attempt->leg == LEG_REFUND ? LIMIT_REFUND_PAUSE_MS : LIMIT_LEASE_MS;
	int64_t wait_ms = attempt->n < 16 ? INT64_C(2000) << attempt->n : max_ms;

	return wait_ms < max_ms ? wait_ms : max_ms;
}

/*
 * Proven that nothing left this host: the same leg tries again, a little later each time, while the
 * customer still expects it.
 */
static int start_again(
	struct engine *e, const struct purchase_row *p, const struct attempt_row *last)
{
	struct attempt_row again = *last;

	again.our_ref = engine_reference(e);
	again.n++;
	again.version = 0;
	again.epoch = 0;
	again.owner_incarnation = 0;
	again.provider_id = (struct str){NULL, 0};
	again.polls = 0;
	again.sent_ms = again.first_sent_ms = 0;
	again.absent = 0;
	again.absent_ms = 0;
	memset(again.body_hash, 0, sizeof(again.body_hash));
	return leg_start(e, p, &again, e->now_ms + again_ms(last));
}

/* Whether persons may have proposed a refund in it. */
static bool is_refundable(const struct purchase_row *p)
{
	return p->state == PURCHASE_REFUND_DUE || p->state == PURCHASE_REVIEW ||
	       (p->state == PURCHASE_COLLECTED && !p->has_deliver);
}

static bool is_over(const struct attempt_row *attempt)
{
	return attempt->state == ATTEMPT_FAILED || attempt->state == ATTEMPT_EXPIRED;
}

static int set_state(
	struct engine *e, struct engine_case *c, enum purchase_state state, const char *cause)
{
	struct purchase_row *p = &c->purchase;
	struct event_row event = {.from = (uint8_t)p->state, .to = (uint8_t)state, .cause = cause};
	bool was_refundable = is_refundable(p);
	int rc = STORE(e, purchase_set_state, p->partner, p->id, p->version, state, e->now_ms);

	if (rc == 0)
		rc = case_event(e, c, event);
	if (rc != 0)
		return rc;
	p->state = state;
	p->version++;
	if (state == PURCHASE_REVIEW && c->attempt.leg == LEG_REFUND && is_over(&c->attempt))
		engine_alarm(e, "refund_failed", p->ref, "still owed: a person decides");
	if (was_refundable)
		rc = decision_overtake_refund(e, p);
	return rc == 0 && purchase_is_settled(state, p->has_deliver) ? sms_settle(e, p) : rc;
}

/*
 * The rule of derive(): stored == derive(legs) at every write. A NOT_SENT attempt that starts again
 * leaves the purchase where a READY one would.
 */
int case_settle(struct engine *e, struct engine_case *c, const struct purchase_legs *legs,
	const char *cause)
{
	enum purchase_state state = purchase_derive(legs);
	int rc = state != c->purchase.state ? set_state(e, c, state, cause) : 0;

	if (rc == 0 && purchase_wants_deliver(legs))
		return start_deliver(e, c);
	return rc == 0 && purchase_wants_refund(legs) ? refund_start(e, &c->purchase, legs) : rc;
}

static void count(struct engine *e, const struct attempt_row *attempt)
{
	struct engine_stats *s = &e->stats;
	enum attempt_state state = attempt->state;

	s->sent += state == ATTEMPT_SENDING;
	s->not_sent += state == ATTEMPT_NOT_SENT;
	s->unknown += state == ATTEMPT_UNKNOWN;
	s->succeeded += state == ATTEMPT_SUCCEEDED;
	s->failed += state == ATTEMPT_FAILED;
	s->expired += state == ATTEMPT_EXPIRED;
	s->refunded += state == ATTEMPT_SUCCEEDED && attempt->leg == LEG_REFUND;
}

/* The attempt's row, its event and its books. */
static int move_attempt(struct engine *e, struct engine_case *c, enum attempt_state next,
	struct event_row event, struct purchase_legs *after_out)
{
	struct purchase_legs before;
	int rc = case_legs(e, &c->purchase, &before);

	if (rc != 0)
		return rc;
	event.attempt = c->attempt.id;
	event.from = (uint8_t)c->attempt.state;
	event.to = (uint8_t)next;
	c->attempt.state = next;
	c->attempt.updated_ms = e->now_ms;
	rc = STORE(e, attempt_update, &c->attempt);
	if (rc == 0)
		rc = case_event(e, c, event);
	if (rc == 0)
		rc = case_legs(e, &c->purchase, after_out);
	if (rc == 0)
		rc = case_post(e, c, &before, after_out);
	c->attempt.version++;
	return rc;
}

/* An earlier life may know better: what is under way goes on, but never once more (resend.c). */
static int end_resending(struct engine *e, struct attempt_row *row)
{
	row->first_sent_ms = 0;
	return STORE(e, attempt_update, row);
}

/*
 * Two facts disagree about this purchase: what of it was never sent never will be, be it the same
 * leg made again (it ran after all), the goods of a payment that may not stand, or a refund
 * (EXPIRE); and what was told to go is called back, should no byte of it have left. Where another
 * life may have sent what this store never did, that is held as well (FREEZE).
 */
static int end_unsent(
	struct engine *e, struct engine_case *c, enum attempt_event how, uint64_t evidence)
{
	struct attempt_row *rows;
	int n = case_attempts(e, &c->purchase, &rows);

	for (int i = 0; i < n; i++) {
		struct engine_case held = {.purchase = c->purchase, .attempt = rows[i]};
		struct attempt_step step;
		int rc = 0;

		if (rows[i].state == ATTEMPT_SENDING && rows[i].id != c->attempt.id)
			rc = engine_drop(e, rows[i].id, rows[i].epoch);
		else if (rows[i].state == ATTEMPT_READY)
			rc = case_apply(e, &held, how, evidence, &step);
		if (rc == 0 && how == AEV_FREEZE && attempt_is_queried(rows[i].state))
			rc = end_resending(e, &rows[i]);
		if (rc != 0)
			return rc;
		c->purchase = held.purchase;
	}
	return n < 0 ? n : 0;
}

static enum attempt_state leg_of(const struct purchase_legs *legs, enum leg_kind leg)
{
	if (leg == LEG_COLLECT)
		return legs->collect;
	return leg == LEG_DELIVER ? legs->deliver : legs->refund;
}

static bool is_left_unsent(const struct attempt_row *a, const struct purchase_legs *legs)
{
	return a->state != ATTEMPT_EXPIRED && leg_of(legs, a->leg) == ATTEMPT_NOT_SENT;
}

/* Contradicted elsewhere, or closed by persons: no goods go out for a payment that they wrote off,
 * and nobody is owed a refund any more. */
static bool sends_nothing(enum purchase_state state)
{
	return state == PURCHASE_CONTRADICTED || state == PURCHASE_WRITTEN_OFF ||
	       state == PURCHASE_DELIVERED;
}

/*
 * A leg whose last attempt proved unsent goes on with another, be it now or when persons have found
 * that an earlier one failed. About one that facts disagree about nobody may; and of a purchase
 * that sends nothing the new one ends where it begins, so that the leg has an end should the case
 * be opened again.
 */
static int repeat_leg(struct engine *e, struct engine_case *c)
{
	const struct attempt_row *last = NULL;
	struct attempt_row *rows;
	int n = case_attempts(e, &c->purchase, &rows);

	for (int i = 0; i < n; i++)
		if (rows[i].leg == c->attempt.leg && (last == NULL || rows[i].n > last->n))
			last = &rows[i];
	if (n < 0 || last == NULL)
		return n < 0 ? n : 0;
	if (last->n >= LIMIT_ATTEMPTS) {
		engine_alarm(e, "tries_used_up", c->purchase.ref, "a person decides");
		return 0;
	}
	return start_again(e, &c->purchase, last);
}

/* How the first one ended is known before the second has left (class I), which could carry out anew
 * what failed. */
static bool is_needless(const struct attempt_row *a)
{
	return a->epoch > 1 && (a->state == ATTEMPT_SUCCEEDED || a->state == ATTEMPT_FAILED);
}

/* News of what was never sent came while it was on its way (end_resending): whatever follows it is
 * held as it would have been. */
static bool is_frozen(const struct attempt_row *a)
{
	return a->state == ATTEMPT_NOT_SENT && a->first_sent_ms == 0;
}

static int move(struct engine *e, struct engine_case *c, enum attempt_state next,
	enum attempt_event event, uint64_t evidence)
{
	const struct event_row row = {.cause = attempt_event_name(event), .evidence = evidence};
	bool was_a_case = attempt_is_decidable(c->attempt.state), is_unsent;
	bool was_sending = c->attempt.state == ATTEMPT_SENDING;
	struct purchase_legs after;
	int rc = move_attempt(e, c, next, row, &after);

	if (rc == 0 && was_a_case)
		rc = decision_overtake(e, &c->attempt);
	if (rc == 0)
		rc = attempt_schedule(e, &c->attempt);
	if (rc == 0 && next == ATTEMPT_EXPIRED)
		rc = pause_give_back(e, &c->attempt);
	if (rc == 0 && was_sending && is_needless(&c->attempt))
		rc = engine_drop(e, c->attempt.id, c->attempt.epoch);
	is_unsent = rc == 0 && is_left_unsent(&c->attempt, &after);
	if (is_unsent)
		rc = repeat_leg(e, c);
	if (rc == 0)
		rc = case_settle(e, c, &after, row.cause);
	if (rc == 0 && is_unsent && sends_nothing(c->purchase.state))
		rc = end_unsent(e, c, AEV_EXPIRE, evidence);
	else if (rc == 0 && is_unsent && is_frozen(&c->attempt))
		rc = end_unsent(e, c, AEV_FREEZE, evidence);
	count(e, &c->attempt);
	lane_note(e, &c->attempt, next);
	return rc;
}

/* The customer has the goods, or may have, and the money too: somebody must see it now. */
static int tell_loss(struct engine *e, const struct engine_case *c)
{
	struct purchase_legs legs;
	int rc = case_legs(e, &c->purchase, &legs);
	bool may_have_goods =
		legs.deliver == ATTEMPT_SUCCEEDED || legs.deliver == ATTEMPT_CONTRADICTED;

	if (rc != 0 || !may_have_goods || !refund_may_have_run(legs.refund))
		return rc;
	e->stats.paid_and_refunded++;
	engine_alarm(e, "paid_and_refunded", c->purchase.ref,
		"delivered after all, and the refund has left: in suspense");
	return 0;
}

/* 2.6: frozen. First the attempt, so that what is expired after it finds nothing to follow up. */
static int contradict(
	struct engine *e, struct engine_case *c, enum attempt_event event, uint64_t evidence)
{
	int rc = move(e, c, ATTEMPT_CONTRADICTED, event, evidence);

	e->stats.contradictions++;
	engine_alarm(e, "contradiction", c->purchase.ref, "two trustworthy facts disagree");
	if (rc == 0)
		rc = tell_loss(e, c);
	return rc == 0 ? end_unsent(e, c, AEV_EXPIRE, evidence) : rc;
}

int case_apply(struct engine *e, struct engine_case *c, enum attempt_event event, uint64_t evidence,
	struct attempt_step *step_out)
{
	struct attempt_step step;

	/* "Never sent" is nothing that a store behind another life can know. */
	if (event == AEV_EXPIRE && lane_is_frozen(e, c->purchase.id)) {
		event = AEV_FREEZE;
		engine_alarm(e, "frozen", c->purchase.ref,
			"an earlier life may have sent it: a person decides");
	}
	step = attempt_step(c->attempt.state, event);
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
		return end_unsent(e, c, AEV_EXPIRE, evidence);
	case STEP_PROPOSAL:
		engine_alarm(e, "proposal", c->purchase.ref, "evidence that a person must confirm");
		return 0;
	case STEP_IMPOSSIBLE:
		engine_alarm(e, "impossible", c->purchase.ref,
			"news of a request that was never sent: restored store or forgery");
		return c->attempt.state == ATTEMPT_EXPIRED ? end_unsent(e, c, AEV_FREEZE, evidence)
							   : 0;
	}
	return 0;
}
