/*
 * What persons decide about cases that no machine may close (reliability.md 2.2, 2.5, 5.6). The
 * first person's decision is kept as a proposal; the same from another applies it in one commit, by
 * the machine's own table. What it moves is told in the purchase's chain: the event's cause is the
 * decision's word, its evidence the id of the row in `decision`, where the persons and their proofs
 * stand.
 */
#include "engine_priv.h"

#include "tama/mutant.h"

#define USER_MAX 64
#define PROOF_MAX 1000
#define ROWS_OF(list) (sizeof(list) / sizeof((list)[0]))

/* What a decision is about, as it stands in this commit. */
struct subject {
	const struct engine_decision *asked;
	struct decision_row row;
	struct engine_case c;
	struct purchase_legs legs;
	struct hold_row hold;
	const char *reason; /* why it cannot be decided; NULL: it can */
};

/* ---- attempts ----------------------------------------------------------------------------------
 */

static enum attempt_event event_of(enum decision_kind kind)
{
	if (kind == DECIDE_SUCCEEDED)
		return AEV_DECIDED_SUCCESS;
	return kind == DECIDE_FAILED ? AEV_DECIDED_FAILURE : AEV_WRITE_OFF;
}

/*
 * 2.5: "the provider does not have it" makes FAILED only when its owner can send no more: its life
 * is over, or it has recorded the end of each transfer that it began.
 */
static int check_owner(struct engine *e, struct subject *s)
{
	const struct attempt_row *a = &s->c.attempt;
	int n;

	if (a->owner_incarnation < e->incarnation || MUTANT(OWNER_DEAD_OFF))
		return 0;
	n = STORE(e, inbox_replies, a->partner, a->id);
	if (n >= 0 && (uint32_t)n < a->epoch)
		s->reason = "this process may still be sending it: wait for its end, or start the "
			    "gateway anew";
	return n < 0 ? n : 0;
}

/* As for a refund, so for any leg. */
static bool may_have_run(enum attempt_state s)
{
	return refund_may_have_run(s);
}

/* The store keeps one attempt of a leg that may have run, but for contradicted ones. */
static bool is_beside(const struct attempt_row *other, const struct attempt_row *a)
{
	return other->id != a->id && other->leg == a->leg &&
	       (may_have_run(other->state) || other->state == ATTEMPT_READY) &&
	       other->state != ATTEMPT_CONTRADICTED;
}

/* The legs as the decision would leave them: no decision may say what the others refute. */
static void check_legs(struct subject *s, enum attempt_state next)
{
	enum leg_kind leg = s->c.attempt.leg;
	const struct purchase_legs *legs = &s->legs;

	if (leg == LEG_COLLECT && next == ATTEMPT_FAILED && legs->collect != ATTEMPT_SUCCEEDED &&
		(may_have_run(legs->deliver) || refund_may_have_run(legs->refund)))
		s->reason = "the goods or a refund may have gone out for it: write it off";
	else if (next == ATTEMPT_SUCCEEDED && legs->deliver == ATTEMPT_SUCCEEDED &&
		 refund_may_have_run(legs->refund))
		s->reason = "goods and money cannot both have gone out: write one off";
}

static int check_others(struct engine *e, struct subject *s, enum attempt_state next)
{
	const struct attempt_row *a = &s->c.attempt;
	const struct purchase_row *p = &s->c.purchase;
	struct attempt_row *rows;
	int n = case_attempts(e, p, &rows);

	s->legs = (struct purchase_legs){
		.has_collect = p->has_collect, .has_deliver = p->has_deliver};
	for (int i = 0; i < n; i++) {
		if (next != ATTEMPT_FAILED && is_beside(&rows[i], a))
			s->reason = "another attempt of this leg may have run: only a failure can "
				    "be decided";
		purchase_legs_add(
			&s->legs, rows[i].leg, rows[i].id == a->id ? next : rows[i].state);
	}
	if (n >= 0 && s->reason == NULL)
		check_legs(s, next);
	return n < 0 ? n : 0;
}

static int look_attempt(struct engine *e, struct subject *s)
{
	struct attempt_step step;
	int rc = case_load(e, s->asked->partner, s->asked->subject, &s->c);

	if (rc != 0)
		return rc;
	s->row.attempt = s->c.attempt.id;
	s->row.purchase = s->c.purchase.id;
	step = attempt_step(s->c.attempt.state, event_of(s->asked->kind));
	if (step.kind != STEP_MOVE) {
		s->reason = "it is no case, or not any more";
		return 0;
	}
	if (s->asked->kind == DECIDE_FAILED)
		rc = check_owner(e, s);
	return rc == 0 && s->reason == NULL ? check_others(e, s, step.next) : rc;
}

static int apply_attempt(struct engine *e, struct subject *s)
{
	struct attempt_step step;

	return case_apply(e, &s->c, event_of(s->asked->kind), s->row.id, &step);
}

/* ---- refunds -----------------------------------------------------------------------------------
 */

static const char *refund_reason(const struct purchase_legs *legs)
{
	enum attempt_state deliver = legs->deliver, refund = legs->refund;

	if (!legs->has_collect || legs->collect != ATTEMPT_SUCCEEDED)
		return "no money is proven to have come in";
	if (legs->has_deliver && deliver != ATTEMPT_FAILED && deliver != ATTEMPT_EXPIRED)
		return "the goods are not proven undelivered";
	if (refund == ATTEMPT_READY)
		return "a refund is on its way";
	if (refund_may_have_run(refund))
		return "a refund may have gone out";
	return NULL;
}

static int look_refund(struct engine *e, struct subject *s)
{
	const struct engine_decision *d = s->asked;
	struct purchase_row *p = &s->c.purchase;
	struct attempt_row *rows;
	int n;
	int rc = STORE(e, purchase_get, d->partner, d->subject, &e->arena, p);

	if (rc == 0)
		rc = case_legs(e, p, &s->legs);
	if (rc != 0)
		return rc;
	s->row.purchase = p->id;
	s->reason = refund_reason(&s->legs);
	n = case_attempts(e, p, &rows);
	for (int i = 0; i < n; i++)
		if (rows[i].leg == LEG_REFUND && rows[i].n == UINT8_MAX)
			s->reason = "too many refunds were tried";
	if (n >= 0 && s->reason == NULL)
		return staff_check_refund(e, p, d->user, &s->reason);
	return n < 0 ? n : 0;
}

static int apply_refund(struct engine *e, struct subject *s)
{
	return refund_decided(e, &s->c, s->row.id);
}

/* ---- evidence and holds ------------------------------------------------------------------------
 */

/* Whether it is parked shows when it is dismissed: there is nothing else to look at. */
static int look_inbox(struct engine *e, struct subject *s)
{
	s->row.inbox = s->asked->subject;
	return STORE(e, inbox_dismiss, s->asked->partner, s->row.inbox);
}

static int apply_dismissed(struct engine *e, struct subject *s)
{
	(void)e;
	(void)s;
	return 0;
}

static int look_hold(struct engine *e, struct subject *s)
{
	struct hold_row rows[LANES_HELD_MAX];
	int n = e->store->ops->hold_list(e->store, &e->arena, rows, LANES_HELD_MAX);

	for (int i = 0; i < n; i++)
		if (rows[i].id == s->asked->subject && rows[i].partner == s->asked->partner)
			s->hold = rows[i];
	s->row.hold = s->hold.id;
	if (n < 0)
		return n;
	return s->hold.id != 0 ? 0 : TAMA_ENOTFOUND;
}

static int apply_release(struct engine *e, struct subject *s)
{
	return lane_release(e, s->row.partner, s->row.hold);
}

/* ---- propose, agree, apply ---------------------------------------------------------------------
 */

struct kind {
	int (*look)(struct engine *e, struct subject *s);
	int (*apply)(struct engine *e, struct subject *s);
	bool needs_two;
};

static const struct kind kinds[] = {
	[DECIDE_SUCCEEDED] = {look_attempt, apply_attempt, true},
	[DECIDE_FAILED] = {look_attempt, apply_attempt, true},
	[DECIDE_WRITE_OFF] = {look_attempt, apply_attempt, true},
	[DECIDE_REFUND] = {look_refund, apply_refund, true},
	[DECIDE_DISMISS] = {look_inbox, apply_dismissed, false},
	[DECIDE_RELEASE] = {look_hold, apply_release, true},
};

static int refuse(struct engine_event *event, const char *reason)
{
	event->outcome = ENGINE_NOT_DECIDABLE;
	event->as.decision.reason = reason;
	return 0;
}

static int propose(struct engine *e, struct engine_event *event, struct subject *s)
{
	s->row.id = engine_next_id(e);
	s->row.proposed_by = s->asked->user;
	s->row.proposed_ms = e->now_ms;
	s->row.proof = s->asked->proof;
	event->as.decision.decision = s->row.id;
	event->outcome = ENGINE_PROPOSED;
	return STORE(e, decision_insert, &s->row);
}

/* Closed first: what it moves then overtakes only the others. */
static int apply(struct engine *e, struct engine_event *event, struct subject *s)
{
	int rc;

	s->row.agreed_ms = e->now_ms;
	s->row.state = DECISION_APPLIED;
	event->as.decision.decision = s->row.id;
	event->outcome = ENGINE_DONE;
	rc = STORE(e, decision_close, &s->row);
	if (rc == 0)
		rc = kinds[s->row.kind].apply(e, s);
	e->stats.decisions += rc == 0;
	return rc;
}

static int apply_alone(struct engine *e, struct engine_event *event, struct subject *s)
{
	int rc = propose(e, event, s);

	return rc == 0 ? apply(e, event, s) : rc;
}

static int agree(struct engine *e, struct engine_event *event, struct subject *s)
{
	struct engine_decision *d = &event->as.decision;

	d->proposed_by = arena_str(&event->arena, s->row.proposed_by);
	d->decision = s->row.id;
	if (str_eq(s->row.proposed_by, d->user)) {
		event->outcome = ENGINE_SAME_PERSON;
		return 0;
	}
	s->row.agreed_by = d->user;
	s->row.agreed_proof = d->proof;
	return apply(e, event, s);
}

static int decide(struct engine *e, struct engine_event *event, struct subject *s)
{
	int rc;

	if (!kinds[s->row.kind].needs_two)
		return apply_alone(e, event, s);
	rc = STORE(e, decision_open, &s->row, &e->arena, &s->row);
	if (rc == TAMA_ENOTFOUND)
		return propose(e, event, s);
	return rc == 0 ? agree(e, event, s) : rc;
}

static const char *form_reason(const struct engine_decision *d)
{
	if (d->kind < DECIDE_SUCCEEDED || (size_t)d->kind >= ROWS_OF(kinds))
		return "there is no such decision";
	if (d->user.n == 0 || d->user.n > USER_MAX)
		return "nobody said who decides";
	if (d->proof.n == 0 || d->proof.n > PROOF_MAX || !str_is_clean_utf8(d->proof))
		return "a decision needs a proof of 1 to 1000 bytes of clean text";
	return NULL;
}

int handle_decision(struct engine *e, struct engine_event *event)
{
	const struct engine_decision *d = &event->as.decision;
	struct subject s = {.asked = d, .row = {.partner = d->partner, .kind = d->kind}};
	int rc;

	s.reason = form_reason(d);
	if (s.reason != NULL)
		return refuse(event, s.reason);
	rc = kinds[d->kind].look(e, &s);
	if (rc == TAMA_ENOTFOUND)
		return refuse(event, "there is none of that number");
	if (rc != 0)
		return rc;
	if (s.reason != NULL)
		return refuse(event, s.reason);
	return decide(e, event, &s);
}

/* ---- what the course of things closes ----------------------------------------------------------
 */

static int overtake(struct engine *e, struct decision_row like)
{
	struct decision_row open;
	int rc = STORE(e, decision_open, &like, &e->arena, &open);

	if (rc != 0)
		return rc == TAMA_ENOTFOUND ? 0 : rc;
	open.state = DECISION_OVERTAKEN;
	open.agreed_ms = e->now_ms;
	return STORE(e, decision_close, &open);
}

int decision_overtake(struct engine *e, const struct attempt_row *attempt)
{
	static const enum decision_kind about[] = {
		DECIDE_SUCCEEDED, DECIDE_FAILED, DECIDE_WRITE_OFF};
	int rc = 0;

	for (size_t i = 0; i < ROWS_OF(about) && rc == 0; i++)
		rc = overtake(e, (struct decision_row){.partner = attempt->partner,
					 .kind = about[i],
					 .purchase = attempt->purchase,
					 .attempt = attempt->id});
	return rc;
}

int decision_overtake_refund(struct engine *e, const struct purchase_row *p)
{
	return overtake(
		e, (struct decision_row){
			   .partner = p->partner, .kind = DECIDE_REFUND, .purchase = p->id});
}
