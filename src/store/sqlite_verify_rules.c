/*
 * The rules about money, proofs and promises (I4 to I11, P2): reliability.md 2.1, 2.8 and 2.9 read
 * once more by somebody who has not read the engine.
 */
#include "sqlite_verify_states.h"

#include <stdio.h>
#include <string.h>

/* ---- I4, I5: money -----------------------------------------------------------------------------
 */

static bool check_intent(const struct v_purchase *p, struct violation *out)
{
	const int64_t amounts[] = {0, p->price, p->face_value, p->price};
	const int64_t persons[] = {0, p->payer, p->beneficiary, p->payer};

	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->amount != amounts[a->leg] || strcmp(a->currency, p->currency) != 0)
			return v_broken(out, "I4", "%s.%lld is of another amount than the intent's",
				v_leg_name(a->leg), (long long)a->n);
		if (a->person != persons[a->leg])
			return v_broken(out, "I4",
				"%s.%lld goes to another number than the intent's",
				v_leg_name(a->leg), (long long)a->n);
	}
	return true;
}

static bool check_postings(const struct v_purchase *p, struct violation *out)
{
	int64_t posting = 0, line = 0, sum = 0;

	for (size_t i = 0; i <= p->lines_len; i++) {
		const struct v_line *l = i < p->lines_len ? &p->lines[i] : NULL;

		if (l == NULL || l->posting != posting) {
			if (sum != 0)
				return v_broken(out, "I4", "posting %lld does not balance: %lld",
					(long long)posting, (long long)sum);
			if (l != NULL && l->posting != posting + 1)
				return v_broken(out, "I4", "posting %lld is missing",
					(long long)posting + 1);
			posting++;
			line = 0;
		}
		if (l == NULL)
			break;
		if (l->is_elsewhere)
			return v_broken(out, "I4", "posting %lld is booked to another account",
				(long long)posting);
		if (l->line <= line || strcmp(l->currency, p->currency) != 0)
			return v_broken(out, "I4", "posting %lld has a line of another kind",
				(long long)posting);
		line = l->line;
		sum += l->debit;
	}
	return true;
}

static bool is_in_doubt(int state)
{
	return state == SENDING || state == ACCEPTED || state == UNKNOWN || state == REVIEW ||
	       state == CONTRADICTED;
}

static bool is_closed(int state)
{
	return state == SUCCEEDED || state == WRITTEN_OFF;
}

/*
 * What the legs are worth. The customer's claim of P is met once: by goods, or turned into a claim
 * to a refund once that is owed or may have left; what goods cost beside a refund is loss, and so
 * is all that went out for a payment that persons wrote off.
 */
void v_worth(const struct v_purchase *p, int64_t of[static BOOKS])
{
	int collect = v_leg_state(p, COLLECT), deliver = v_leg_state(p, DELIVER);
	int refund = v_leg_state(p, REFUND);
	int64_t price = p->price, cost = p->cost;
	bool is_in = collect == SUCCEEDED;
	bool is_lost = collect == WRITTEN_OFF;
	bool refund_left = is_in_doubt(refund) || is_closed(refund);
	bool is_owed = (is_in || is_in_doubt(collect)) &&
		       (deliver == FAILED || deliver == EXPIRED || (deliver != 0 && refund_left));
	int claim = p->has_deliver || !is_in ? CUSTOMER : refund != 0 ? PAYABLE : REVENUE;

	memset(of, 0, sizeof(*of) * BOOKS);
	if (is_in) {
		of[FLOAT] += price - p->collect_fee;
		of[FEES] += p->collect_fee;
		of[claim] -= price;
	} else if (is_in_doubt(collect)) {
		of[SUSPENSE] += price;
		of[CUSTOMER] -= price;
	}
	if (is_in_doubt(deliver))
		of[SUSPENSE] += cost;
	if (is_closed(deliver))
		of[deliver == SUCCEEDED && !is_lost ? REVENUE : LOST] +=
			cost - (is_owed || is_lost ? 0 : price);
	if (is_in_doubt(deliver) || is_closed(deliver))
		of[FLOAT] -= cost;
	if (is_owed)
		of[PAYABLE] -= price;
	if (is_owed || (is_closed(deliver) && !is_lost))
		of[p->has_collect ? CUSTOMER : AGENT] += price;
	if (is_in_doubt(refund) || is_closed(refund))
		of[FLOAT] -= price;
	if (is_in_doubt(refund))
		of[SUSPENSE] += price;
	if (is_closed(refund))
		of[is_lost ? LOST : PAYABLE] += price;
}

static const char *book_name(int book)
{
	static const char *const names[] = {"?", "customer", "provider_float", "revenue",
		"suspense_unknown", "refund_payable", "agent_float", "provider_fees", "write_off"};

	return names[book];
}

static bool check_books(const struct v_purchase *p, int64_t is[static BOOKS], struct violation *out)
{
	int64_t should[BOOKS];

	memset(is, 0, sizeof(*is) * BOOKS);
	for (size_t i = 0; i < p->lines_len; i++) {
		if (p->lines[i].book < 1 || p->lines[i].book >= BOOKS)
			return v_broken(out, "I4", "a line is of no book");
		is[p->lines[i].book] += p->lines[i].debit;
	}
	v_worth(p, should);
	for (int book = 1; book < BOOKS; book++)
		if (is[book] != should[book])
			return v_broken(out, "I4",
				"%s holds %lld of it, and its legs are worth %lld", book_name(book),
				(long long)is[book], (long long)should[book]);
	/* The floor: nobody has more of us than was claimed. */
	if (is[CUSTOMER] + is[PAYABLE] > 0)
		return v_broken(out, "I4", "more was given for it than was claimed: %lld",
			(long long)is[CUSTOMER] + (long long)is[PAYABLE]);
	return true;
}

static bool ever(const struct v_purchase *p, int64_t leg, int64_t state, int64_t by_ms)
{
	for (size_t i = 0; i < p->events_len; i++) {
		const struct v_event *e = &p->events[i];

		for (size_t k = 0; e->to == state && e->at_ms <= by_ms && k < p->attempts_len; k++)
			if (p->attempts[k].id == e->attempt && p->attempts[k].leg == leg)
				return true;
	}
	return false;
}

/* 2.9 I5 for one purchase whose payment is in, from the attempts on one side, the books on the
 * other.
 */
static bool check_flow(
	const struct v_purchase *p, const int64_t is[static BOOKS], struct violation *out)
{
	int deliver = v_leg_state(p, DELIVER), refund = v_leg_state(p, REFUND);
	bool is_delivered = p->has_deliver ? is_closed(deliver) : refund == 0;
	bool is_refunded = is_closed(refund);
	int64_t out_of = (is_delivered + is_refunded) * p->price - is[PAYABLE] - is[CUSTOMER];
	bool has_deliver = deliver != 0;

	if (p->has_collect && has_deliver && !ever(p, COLLECT, SUCCEEDED, INT64_MAX))
		return v_broken(out, "I5", "delivered without having collected");
	if (!p->has_collect || v_leg_state(p, COLLECT) != SUCCEEDED ||
		(is_delivered && is_refunded))
		return true;
	if (out_of != p->price)
		return v_broken(out, "I5", "%lld were collected, and %lld are accounted for",
			(long long)p->price, (long long)out_of);
	return true;
}

/* ---- I6, I8, P2: proofs ------------------------------------------------------------------------
 */

/* Which decision of schema.sql a cause stands for; 0: none. */
static int64_t decision_of(const char *cause)
{
	static const char *const causes[] = {
		NULL, "decided_success", "decided_failure", "write_off", "decided_refund"};

	for (int64_t kind = 1; kind <= 4; kind++)
		if (strcmp(cause, causes[kind]) == 0)
			return kind;
	return 0;
}

/* An applied decision of that kind (0: any), which the event names as its evidence. */
static bool was_decided(const struct v_purchase *p, const struct v_event *e, int64_t kind)
{
	for (size_t i = 0; i < p->decided_len; i++) {
		const struct v_decided *d = &p->decided[i];

		if (d->id == e->evidence && (kind == 0 || d->kind == kind) &&
			(d->attempt == 0 || d->attempt == e->attempt))
			return true;
	}
	return false;
}

/* What only a provider can say. */
static bool wants_evidence(const char *cause)
{
	return strcmp(cause, "success") == 0 || strcmp(cause, "failure") == 0 ||
	       strcmp(cause, "accepted") == 0;
}

/* 2.5: who may still send it cannot say that it failed, nor anybody else. */
static bool check_owner(const struct v_purchase *p, const struct v_event *e, struct violation *out)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->id == e->attempt && a->owner >= e->incarnation && a->replies < a->epoch)
			return v_broken(out, "I6",
				"%s.%lld was decided to have failed while its owner lived",
				v_leg_name(a->leg), (long long)a->n);
	}
	return true;
}

static bool check_event(const struct v_purchase *p, const struct v_event *e, struct violation *out)
{
	int64_t kind = decision_of(e->cause);
	bool is_known = e->evidence_fits || was_decided(p, e, kind);

	if (kind != 0 && !was_decided(p, e, kind))
		return v_broken(out, "P2", "event %lld is by %s, and nobody decided it",
			(long long)e->seq, e->cause);
	if (e->to == FAILED && kind != 0 && !check_owner(p, e, out))
		return false;
	if (wants_evidence(e->cause) && e->evidence == 0)
		return v_broken(out, "I8", "event %lld is by %s without evidence",
			(long long)e->seq, e->cause);
	if (e->evidence != 0 && (wants_evidence(e->cause) ? !e->evidence_fits : !is_known))
		return v_broken(out, "I8", "the evidence of event %lld is not in the inbox",
			(long long)e->seq);
	return true;
}

static bool check_evidence(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->events_len; i++)
		if (p->events[i].attempt != 0 && !check_event(p, &p->events[i], out))
			return false;
	if (p->unmoved > 0)
		return v_broken(
			out, "I8", "evidence is said to have moved it, and no event names it");
	return p->lonely == 0 ||
	       v_broken(out, "P2", "a decision was applied that two persons did not make");
}

static bool was_refund_decided(const struct v_purchase *p)
{
	for (size_t i = 0; i < p->decided_len; i++)
		if (p->decided[i].kind == 4)
			return true;
	return false;
}

static const struct v_attempt *attempt_of(const struct v_purchase *p, int64_t id)
{
	for (size_t i = 0; i < p->attempts_len; i++)
		if (p->attempts[i].id == id)
			return &p->attempts[i];
	return NULL;
}

/* Each time the money left again, the last that was known of the goods was that they did not. */
static bool check_refund_sent(const struct v_purchase *p, struct violation *out)
{
	int64_t goods = 0;

	for (size_t i = 0; i < p->events_len; i++) {
		const struct v_event *e = &p->events[i];
		const struct v_attempt *a = attempt_of(p, e->attempt);

		if (a != NULL && a->leg == DELIVER)
			goods = e->to;
		if (a == NULL || a->leg != REFUND || e->to != SENDING || !p->has_deliver)
			continue;
		if (goods != FAILED && goods != EXPIRED)
			return v_broken(out, "I6", "a refund was sent, and the delivery was %s",
				v_attempt_name(goods));
	}
	return true;
}

static bool check_refund(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->leg != REFUND || was_refund_decided(p))
			continue;
		if (!ever(p, DELIVER, FAILED, a->created_ms) &&
			!ever(p, DELIVER, EXPIRED, a->created_ms))
			return v_broken(out, "I6",
				"a refund began, and the delivery was not proven undone");
	}
	return check_refund_sent(p, out);
}

/* ---- I7, I9, I10, I11 --------------------------------------------------------------------------
 */

/* States with news that the customer is owed. */
static bool is_end(const struct v_purchase *p, int64_t state)
{
	return state == P_DELIVERED || state == P_CANCELLED || state == P_EXPIRED ||
	       state == P_REFUND_DUE || state == P_REFUNDED ||
	       (state == P_COLLECTED && !p->has_deliver);
}

static int64_t came_to_ends(const struct v_purchase *p, bool refunds)
{
	int64_t n = 0;

	for (size_t i = 0; i < p->events_len; i++) {
		const struct v_event *e = &p->events[i];

		n += e->attempt == 0 && is_end(p, e->to) && (e->to == P_REFUNDED) == refunds;
	}
	return n;
}

/*
 * The first end is told once, and so is that the money is back; each time that another end proved
 * true may have been told beside (not if the last message said the same).
 */
static bool check_messages(const struct v_purchase *p, struct violation *out)
{
	int64_t ends = came_to_ends(p, false), refunds = came_to_ends(p, true);

	if (p->finals > 1)
		return v_broken(out, "I7", "%lld final messages", (long long)p->finals);
	if (p->finals == 1 && ends == 0)
		return v_broken(out, "I7", "a final message, and nothing is settled");
	if (p->finals == 0 && ends > 0)
		return v_broken(out, "I7", "it came to an end, and no final message says so");
	if (p->refunded > 1)
		return v_broken(out, "I7", "%lld messages of a refund", (long long)p->refunded);
	if (p->refunded == 1 && refunds == 0)
		return v_broken(out, "I7", "a message of a refund, and there was none");
	if (p->refunded == 0 && refunds > 0 && !p->is_old)
		return v_broken(out, "I7", "it was refunded, and no message says so");
	if (p->finals + p->refunded + p->corrections > ends + refunds)
		return v_broken(out, "I7", "%lld messages correct what did not change",
			(long long)p->corrections);
	if (p->strays > 0)
		return v_broken(out, "I7", "%lld messages of no kind", (long long)p->strays);
	return true;
}

/* Kinds of outbox rows, as bits. */
#define SEND_ROW (1u << 1)
#define POLL_ROW (1u << 2)
#define DEADLINE_ROW (1u << 4)

/* One of these will move it. */
static unsigned wants_row(int64_t state)
{
	if (state == READY)
		return SEND_ROW;
	return state == SENDING ? DEADLINE_ROW : DEADLINE_ROW | POLL_ROW;
}

bool v_is_open(const struct v_purchase *p)
{
	for (size_t i = 0; i < p->attempts_len; i++)
		if (p->attempts[i].state <= UNKNOWN)
			return true;
	return false;
}

#define TRIES_MAX 250 /* of a leg; then a person is called */

static bool is_used_up(const struct v_purchase *p)
{
	for (size_t i = 0; i < p->attempts_len; i++)
		if (p->attempts[i].n >= TRIES_MAX && p->attempts[i].state == NOT_SENT)
			return true;
	return false;
}

/* Nothing is due of it, and nothing need be: an end, or persons have it on their list. */
static bool may_rest(const struct v_purchase *p)
{
	return is_used_up(p) || is_end(p, p->state) || p->state == P_REVIEW ||
	       p->state == P_CONTRADICTED || p->state == P_WRITTEN_OFF;
}

static bool check_waiting(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->state <= UNKNOWN && (a->due & wants_row(a->state)) == 0)
			return v_broken(out, "I9", "%s.%lld is %s and waits for nothing",
				v_leg_name(a->leg), (long long)a->n, v_attempt_name(a->state));
	}
	if (!v_is_open(p) && !may_rest(p))
		return v_broken(out, "I9",
			"it has not ended, nothing of it is under way and nobody "
			"is asked");
	return true;
}

static bool check_press(const struct v_purchase *p, struct violation *out)
{
	if (p->same_press != 1)
		return v_broken(
			out, "I10", "%lld purchases of one press", (long long)p->same_press);
	if (!p->has_hop)
		return v_broken(out, "I10", "the reply that was given is gone");
	return true;
}

static bool check_sealed(const struct v_purchase *p, struct violation *out)
{
	return p->plain == 0 ||
	       v_broken(out, "I11", "%lld sealed columns are plain", (long long)p->plain);
}

bool v_check(struct v_purchase *p, struct violation *out)
{
	int64_t books[BOOKS];

	/* Events first: later rules lean on what they replay. */
	return v_check_moves(p, out) && check_intent(p, out) && check_postings(p, out) &&
	       check_books(p, books, out) && check_flow(p, books, out) && check_evidence(p, out) &&
	       check_refund(p, out) && check_messages(p, out) && check_waiting(p, out) &&
	       check_press(p, out) && check_sealed(p, out);
}
