/*
 * The rules, on their own tables: reliability.md 2.1, 2.2, 2.6, 2.8 and 2.9 read once more by
 * somebody who has not read the engine. Numbers are those that schema.sql says are stored.
 */
#include "sqlite_verify.h"

#include <sodium.h>
#include <stdarg.h>

/* Attempts. */
enum {
	READY = 1,
	SENDING,
	ACCEPTED,
	UNKNOWN,
	NOT_SENT,
	SUCCEEDED,
	FAILED,
	EXPIRED,
	REVIEW,
	CONTRADICTED,
	WRITTEN_OFF,
	ATTEMPT_LAST = WRITTEN_OFF,
};

/* Purchases. */
enum {
	P_CONFIRMED = 1,
	P_COLLECTING,
	P_COLLECTED,
	P_DELIVERING,
	P_DELIVERED,
	P_CANCELLED,
	P_EXPIRED,
	P_REFUND_DUE,
	P_REVIEW,
	P_REFUNDING,
	P_REFUNDED,
	P_CONTRADICTED,
	P_WRITTEN_OFF,
	P_LAST = P_WRITTEN_OFF,
};

enum { COLLECT = 1, DELIVER, REFUND };

enum { CUSTOMER = 1, FLOAT, REVENUE, SUSPENSE, PAYABLE, AGENT, FEES, LOST, BOOKS };

static bool broken(struct violation *out, const char *rule, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool broken(struct violation *out, const char *rule, const char *fmt, ...)
{
	va_list args;

	(void)snprintf(out->rule, sizeof(out->rule), "%s", rule);
	va_start(args, fmt);
	(void)vsnprintf(out->what, sizeof(out->what), fmt, args);
	va_end(args);
	return false;
}

static const char *attempt_name(int64_t state)
{
	static const char *const names[] = {"none", "READY", "SENDING", "ACCEPTED", "UNKNOWN",
		"NOT_SENT", "SUCCEEDED", "FAILED", "EXPIRED", "REVIEW", "CONTRADICTED",
		"WRITTEN_OFF"};

	return state >= 0 && state <= ATTEMPT_LAST ? names[state] : "?";
}

static const char *purchase_name(int64_t state)
{
	static const char *const names[] = {"none", "CONFIRMED", "COLLECTING", "COLLECTED",
		"DELIVERING", "DELIVERED", "CANCELLED", "EXPIRED", "REFUND_DUE", "REVIEW",
		"REFUNDING", "REFUNDED", "CONTRADICTED", "WRITTEN_OFF"};

	return state >= 0 && state <= P_LAST ? names[state] : "?";
}

static const char *leg_name(int64_t leg)
{
	static const char *const names[] = {"?", "collect", "deliver", "refund"};

	return leg >= COLLECT && leg <= REFUND ? names[leg] : "?";
}

/* ---- I1: moves ---------------------------------------------------------------------------------
 */

/* 2.2 and 2.6, a line each: from, to, and what may bring it about. */
static const struct move {
	int from, to;
	const char *causes; /* words between blanks */
} moves[] = {
	{READY, SENDING, " claim "},
	{READY, EXPIRED, " expire "},
	{READY, REVIEW, " accepted success failure freeze "},
	{SENDING, ACCEPTED, " accepted "},
	{SENDING, UNKNOWN, " doubt deadline "},
	{SENDING, NOT_SENT, " not_sent "},
	{SENDING, SUCCEEDED, " success "},
	{SENDING, FAILED, " failure "},
	{ACCEPTED, UNKNOWN, " deadline "},
	{ACCEPTED, SUCCEEDED, " success "},
	{ACCEPTED, FAILED, " failure "},
	{UNKNOWN, SENDING, " resend "},
	{UNKNOWN, ACCEPTED, " accepted "},
	{UNKNOWN, NOT_SENT, " not_sent "},
	{UNKNOWN, SUCCEEDED, " success "},
	{UNKNOWN, FAILED, " failure "},
	{UNKNOWN, REVIEW, " deadline "},
	{NOT_SENT, CONTRADICTED, " success accepted "},
	{SUCCEEDED, CONTRADICTED, " failure not_sent "},
	{FAILED, CONTRADICTED, " success "},
	{REVIEW, SUCCEEDED, " success decided_success "},
	{REVIEW, FAILED, " decided_failure "},
	{REVIEW, WRITTEN_OFF, " write_off "},
	{CONTRADICTED, SUCCEEDED, " decided_success "},
	{CONTRADICTED, FAILED, " decided_failure "},
	{CONTRADICTED, WRITTEN_OFF, " write_off "},
	{WRITTEN_OFF, SUCCEEDED, " decided_success "},
	{WRITTEN_OFF, FAILED, " decided_failure "},
};

static bool is_allowed(const struct v_event *e)
{
	char word[70];

	(void)snprintf(word, sizeof(word), " %s ", e->cause);
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].from == e->from && moves[i].to == e->to)
			return strstr(moves[i].causes, word) != NULL;
	return false;
}

#define TO(state) (1u << (state))

/* Where a purchase may go from each state: each is the shadow of a move of one of its legs. */
static const unsigned ways[P_LAST + 1] = {
	[0] = TO(P_CONFIRMED),
	[P_CONFIRMED] = TO(P_COLLECTING) | TO(P_DELIVERING) | TO(P_EXPIRED) | TO(P_REVIEW) |
			TO(P_CONTRADICTED),
	[P_COLLECTING] = TO(P_COLLECTED) | TO(P_CANCELLED) | TO(P_CONFIRMED) | TO(P_REVIEW) |
			 TO(P_CONTRADICTED),
	[P_COLLECTED] = TO(P_DELIVERING) | TO(P_REFUND_DUE) | TO(P_REVIEW) | TO(P_CONTRADICTED) |
			TO(P_REFUNDING),
	[P_DELIVERING] = TO(P_DELIVERED) | TO(P_REFUND_DUE) | TO(P_COLLECTED) | TO(P_CONFIRMED) |
			 TO(P_CANCELLED) | TO(P_REVIEW) | TO(P_CONTRADICTED),
	[P_DELIVERED] = TO(P_CONTRADICTED),
	[P_CANCELLED] = TO(P_CONTRADICTED),
	[P_EXPIRED] = TO(P_CONTRADICTED),
	[P_REFUND_DUE] = TO(P_REFUNDING) | TO(P_REVIEW) | TO(P_CONTRADICTED),
	[P_REVIEW] = TO(P_COLLECTED) | TO(P_DELIVERED) | TO(P_CANCELLED) | TO(P_REFUND_DUE) |
		     TO(P_REFUNDED) | TO(P_WRITTEN_OFF) | TO(P_CONTRADICTED) | TO(P_EXPIRED),
	[P_REFUNDING] = TO(P_REFUNDED) | TO(P_REFUND_DUE) | TO(P_REVIEW) | TO(P_CONTRADICTED),
	[P_REFUNDED] = TO(P_CONTRADICTED),
	[P_CONTRADICTED] = TO(P_COLLECTED) | TO(P_DELIVERED) | TO(P_CANCELLED) | TO(P_EXPIRED) |
			   TO(P_REFUND_DUE) | TO(P_REFUNDING) | TO(P_REFUNDED) | TO(P_REVIEW) |
			   TO(P_WRITTEN_OFF) | TO(P_DELIVERING) | TO(P_COLLECTING) |
			   TO(P_CONFIRMED),
	[P_WRITTEN_OFF] = TO(P_COLLECTED) | TO(P_DELIVERED) | TO(P_CANCELLED) | TO(P_REFUND_DUE) |
			  TO(P_REFUNDED) | TO(P_REVIEW) | TO(P_CONTRADICTED) | TO(P_WRITTEN_OFF),
};

static struct v_attempt *attempt_of(struct v_purchase *p, int64_t id)
{
	for (size_t i = 0; i < p->attempts_len; i++)
		if (p->attempts[i].id == id)
			return &p->attempts[i];
	return NULL;
}

static size_t put(unsigned char *out, int64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		out[i] = (unsigned char)((uint64_t)value >> (8 * i));
	return width;
}

/* As schema.sql says above the table `event`. */
static void chain(
	const struct v_purchase *p, const struct v_event *e, unsigned char hash[static 16])
{
	unsigned char text[16 + 50 + sizeof(e->cause)];
	size_t n = 16;

	memcpy(text, hash, 16);
	n += put(text + n, p->id, 8);
	n += put(text + n, e->seq, 4);
	n += put(text + n, e->partner, 4);
	n += put(text + n, e->attempt, 8);
	n += put(text + n, e->from, 1);
	n += put(text + n, e->to, 1);
	n += put(text + n, e->evidence, 8);
	n += put(text + n, e->incarnation, 8);
	n += put(text + n, e->at_ms, 8);
	memcpy(text + n, e->cause, e->cause_len);
	(void)crypto_generichash(hash, 16, text, n + e->cause_len, NULL, 0);
}

/* A refund that persons began says so; what the machine begins is READY without an event. */
static bool is_birth(struct v_attempt *a, const struct v_event *e)
{
	bool is_first = !a->has_event;

	a->has_event = true;
	return is_first && a->leg == REFUND && e->from == 0 && e->to == READY &&
	       strcmp(e->cause, "decided_refund") == 0;
}

static bool replay_attempt(struct v_purchase *p, const struct v_event *e, struct violation *out)
{
	struct v_attempt *a = attempt_of(p, e->attempt);

	if (a == NULL)
		return broken(out, "I1", "event %lld is of another purchase's attempt",
			(long long)e->seq);
	if (is_birth(a, e))
		return true;
	if (e->from != a->replayed)
		return broken(out, "I1", "event %lld leaves %s, and %s.%lld was %s",
			(long long)e->seq, attempt_name(e->from), leg_name(a->leg), (long long)a->n,
			attempt_name(a->replayed));
	if (!is_allowed(e))
		return broken(out, "I1", "event %lld: no way from %s to %s by %s",
			(long long)e->seq, attempt_name(e->from), attempt_name(e->to), e->cause);
	a->replayed = e->to;
	if (e->to == SENDING) {
		a->claims++;
		a->claimed_by = e->incarnation;
	}
	return true;
}

static bool replay_purchase(const struct v_event *e, int64_t *state, struct violation *out)
{
	if (e->from != *state)
		return broken(out, "I1", "event %lld leaves %s, and the purchase was %s",
			(long long)e->seq, purchase_name(e->from), purchase_name(*state));
	if (e->to < 1 || e->to > P_LAST || (ways[e->from] & TO(e->to)) == 0)
		return broken(out, "I1", "event %lld: no way from %s to %s", (long long)e->seq,
			purchase_name(e->from), purchase_name(e->to));
	*state = e->to;
	return true;
}

static bool check_events(struct v_purchase *p, struct violation *out)
{
	unsigned char hash[16] = {0};
	int64_t state = 0;

	for (size_t i = 0; i < p->attempts_len; i++)
		p->attempts[i].replayed = READY;
	for (size_t i = 0; i < p->events_len; i++) {
		const struct v_event *e = &p->events[i];

		if (e->seq != (int64_t)i + 1)
			return broken(out, "I1", "event %zu is missing", i + 1);
		if (e->partner != p->partner)
			return broken(out, "I1", "event %zu is another partner's", i + 1);
		chain(p, e, hash);
		if (memcmp(hash, e->hash, sizeof(hash)) != 0)
			return broken(out, "I1", "the hash chain breaks at event %zu", i + 1);
		if (!(e->attempt != 0 ? replay_attempt(p, e, out)
				      : replay_purchase(e, &state, out)))
			return false;
	}
	if (state != p->state)
		return broken(out, "I1", "is %s, and its events end in %s", purchase_name(p->state),
			purchase_name(state));
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->state != a->replayed)
			return broken(out, "I1", "%s.%lld is %s, and its events end in %s",
				leg_name(a->leg), (long long)a->n, attempt_name(a->state),
				attempt_name(a->replayed));
	}
	return true;
}

/* ---- legs --------------------------------------------------------------------------------------
 */

/* 2.5: a leg that was contradicted is; else what may have executed; else the last attempt. */
static int leg_state(const struct v_purchase *p, int64_t leg)
{
	int64_t state = 0;

	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->leg != leg || state == CONTRADICTED)
			continue;
		if (a->state == CONTRADICTED || state == 0 || state == NOT_SENT ||
			state == FAILED || state == EXPIRED)
			state = a->state;
	}
	return (int)state;
}

static int derive_leg(int leg, int state, bool has_collect)
{
	static const int under_way[] = {0, P_COLLECTING, P_DELIVERING, P_REFUNDING};
	static const int done[] = {0, P_COLLECTED, P_DELIVERED, P_REFUNDED};
	int before = leg == REFUND		     ? P_REFUND_DUE
		     : leg == DELIVER && has_collect ? P_COLLECTED
						     : P_CONFIRMED;

	switch (state) {
	case 0:
	case READY:
	case NOT_SENT:
		return before;
	case SENDING:
	case ACCEPTED:
	case UNKNOWN:
		return under_way[leg];
	case SUCCEEDED:
		return done[leg];
	case FAILED:
	case EXPIRED:
		if (leg == REFUND)
			return P_REVIEW;
		if (leg == DELIVER && has_collect)
			return P_REFUND_DUE;
		return state == FAILED ? P_CANCELLED : P_EXPIRED;
	case WRITTEN_OFF:
		return P_WRITTEN_OFF;
	default:
		return P_REVIEW;
	}
}

/* 2.2, last paragraph, and 2.8. */
static int derive(const struct v_purchase *p)
{
	int collect = leg_state(p, COLLECT), deliver = leg_state(p, DELIVER);
	int refund = leg_state(p, REFUND);

	if (collect == CONTRADICTED || deliver == CONTRADICTED || refund == CONTRADICTED)
		return P_CONTRADICTED;
	if (p->has_collect && collect != SUCCEEDED)
		return derive_leg(COLLECT, collect, true);
	if (refund != 0 && deliver != SUCCEEDED && deliver != WRITTEN_OFF)
		return derive_leg(REFUND, refund, true);
	if (!p->has_deliver)
		return P_COLLECTED;
	return derive_leg(DELIVER, deliver, p->has_collect);
}

static bool check_derive(const struct v_purchase *p, struct violation *out)
{
	int should = derive(p);

	if (p->state != should)
		return broken(out, "I1", "is %s, and its legs say %s", purchase_name(p->state),
			purchase_name(should));
	return true;
}

static bool may_have_run(int64_t state)
{
	return state != NOT_SENT && state != FAILED && state != EXPIRED && state != CONTRADICTED;
}

/* When it was contradicted for the first time; INT64_MAX: never. */
static int64_t contradicted_ms(const struct v_purchase *p, const struct v_attempt *a)
{
	for (size_t i = 0; i < p->events_len; i++)
		if (p->events[i].attempt == a->id && p->events[i].to == CONTRADICTED)
			return p->events[i].at_ms;
	return INT64_MAX;
}

static bool check_attempts(const struct v_purchase *p, struct violation *out)
{
	int64_t alive[REFUND + 1] = {0}, last[REFUND + 1] = {0};
	int64_t frozen_ms[REFUND + 1] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};

	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->leg < COLLECT || a->leg > REFUND)
			return broken(out, "I2", "an attempt is of no leg");
		if (a->n != last[a->leg] + 1)
			return broken(out, "I2", "%s.%lld follows %s.%lld", leg_name(a->leg),
				(long long)a->n, leg_name(a->leg), (long long)last[a->leg]);
		last[a->leg] = a->n;
		alive[a->leg] += may_have_run(a->state);
		if (alive[a->leg] > 1)
			return broken(out, "I2", "two attempts of the %s leg may have executed",
				leg_name(a->leg));
		/* One that was under way when the news came goes on. An id begins with its time. */
		if (may_have_run(a->state) && a->id >> 20 > frozen_ms[a->leg])
			return broken(out, "I2", "a %s leg that was contradicted goes on",
				leg_name(a->leg));
		if (a->state == CONTRADICTED && contradicted_ms(p, a) < frozen_ms[a->leg])
			frozen_ms[a->leg] = contradicted_ms(p, a);
	}
	return true;
}

/* ---- I3: D2 ------------------------------------------------------------------------------------
 */

static bool check_claims(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];
		bool was_sent = a->claims > 0;

		if (!was_sent && (a->sent_ms != 0 || a->owner != 0 || a->has_hash))
			return broken(out, "I3", "%s.%lld has an owner and no claim",
				leg_name(a->leg), (long long)a->n);
		if (was_sent && (a->sent_ms <= 0 || a->epoch < 1 || !a->has_hash))
			return broken(out, "I3", "%s.%lld was claimed without saying what is sent",
				leg_name(a->leg), (long long)a->n);
		if (was_sent && a->owner != a->claimed_by)
			return broken(out, "I3",
				"%s.%lld belongs to life %lld and was claimed by %lld",
				leg_name(a->leg), (long long)a->n, (long long)a->owner,
				(long long)a->claimed_by);
	}
	return true;
}

/* ---- I4, I5: money -----------------------------------------------------------------------------
 */

static bool check_intent(const struct v_purchase *p, struct violation *out)
{
	const int64_t amounts[] = {0, p->price, p->face_value, p->price};
	const int64_t persons[] = {0, p->payer, p->beneficiary, p->payer};

	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->amount != amounts[a->leg] || strcmp(a->currency, p->currency) != 0)
			return broken(out, "I4", "%s.%lld is of another amount than the intent's",
				leg_name(a->leg), (long long)a->n);
		if (a->person != persons[a->leg])
			return broken(out, "I4", "%s.%lld goes to another number than the intent's",
				leg_name(a->leg), (long long)a->n);
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
				return broken(out, "I4", "posting %lld does not balance: %lld",
					(long long)posting, (long long)sum);
			if (l != NULL && l->posting != posting + 1)
				return broken(out, "I4", "posting %lld is missing",
					(long long)posting + 1);
			posting++;
			line = 0;
		}
		if (l == NULL)
			break;
		if (l->line <= line || strcmp(l->currency, p->currency) != 0)
			return broken(out, "I4", "posting %lld has a line of another kind",
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
 * to a refund once that is owed or may have left; what goods cost beside a refund is loss.
 */
static void worth(const struct v_purchase *p, int64_t of[static BOOKS])
{
	int collect = leg_state(p, COLLECT), deliver = leg_state(p, DELIVER);
	int refund = leg_state(p, REFUND);
	int64_t price = p->price, cost = p->cost;
	bool is_in = collect == SUCCEEDED;
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
	} else if (collect == WRITTEN_OFF && deliver != 0) {
		of[LOST] += price;
		of[CUSTOMER] -= price;
	}
	if (is_in_doubt(deliver))
		of[SUSPENSE] += cost;
	if (is_closed(deliver))
		of[deliver == SUCCEEDED ? REVENUE : LOST] += cost - (is_owed ? 0 : price);
	if (is_in_doubt(deliver) || is_closed(deliver))
		of[FLOAT] -= cost;
	if (is_owed)
		of[PAYABLE] -= price;
	if (is_owed || is_closed(deliver))
		of[p->has_collect ? CUSTOMER : AGENT] += price;
	if (is_in_doubt(refund) || is_closed(refund))
		of[FLOAT] -= price;
	if (is_in_doubt(refund))
		of[SUSPENSE] += price;
	if (is_closed(refund))
		of[PAYABLE] += price;
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
			return broken(out, "I4", "a line is of no book");
		is[p->lines[i].book] += p->lines[i].debit;
	}
	worth(p, should);
	for (int book = 1; book < BOOKS; book++)
		if (is[book] != should[book])
			return broken(out, "I4", "%s holds %lld of it, and its legs are worth %lld",
				book_name(book), (long long)is[book], (long long)should[book]);
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
	int deliver = leg_state(p, DELIVER), refund = leg_state(p, REFUND);
	bool is_delivered = p->has_deliver ? is_closed(deliver) : refund == 0;
	bool is_refunded = is_closed(refund);
	int64_t out_of = (is_delivered + is_refunded) * p->price - is[PAYABLE] - is[CUSTOMER];
	bool has_deliver = deliver != 0;

	if (p->has_collect && has_deliver && !ever(p, COLLECT, SUCCEEDED, INT64_MAX))
		return broken(out, "I5", "delivered without having collected");
	if (!p->has_collect || leg_state(p, COLLECT) != SUCCEEDED || (is_delivered && is_refunded))
		return true;
	if (out_of != p->price)
		return broken(out, "I5", "%lld were collected, and %lld are accounted for",
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

static bool check_event(const struct v_purchase *p, const struct v_event *e, struct violation *out)
{
	int64_t kind = decision_of(e->cause);
	bool is_known = e->evidence_fits || was_decided(p, e, kind);

	if (kind != 0 && !was_decided(p, e, kind))
		return broken(out, "P2", "event %lld is by %s, and nobody decided it",
			(long long)e->seq, e->cause);
	if (wants_evidence(e->cause) && e->evidence == 0)
		return broken(out, "I8", "event %lld is by %s without evidence", (long long)e->seq,
			e->cause);
	if (e->evidence != 0 && (wants_evidence(e->cause) ? !e->evidence_fits : !is_known))
		return broken(out, "I8", "the evidence of event %lld is not in the inbox",
			(long long)e->seq);
	return true;
}

static bool check_evidence(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->events_len; i++)
		if (p->events[i].attempt != 0 && !check_event(p, &p->events[i], out))
			return false;
	if (p->unmoved > 0)
		return broken(
			out, "I8", "evidence is said to have moved it, and no event names it");
	return p->lonely == 0 ||
	       broken(out, "P2", "a decision was applied that two persons did not make");
}

static bool was_refund_decided(const struct v_purchase *p)
{
	for (size_t i = 0; i < p->decided_len; i++)
		if (p->decided[i].kind == 4)
			return true;
	return false;
}

static bool check_refund(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->leg != REFUND || was_refund_decided(p))
			continue;
		if (!ever(p, DELIVER, FAILED, a->created_ms) &&
			!ever(p, DELIVER, EXPIRED, a->created_ms))
			return broken(out, "I6",
				"a refund began, and the delivery was not proven undone");
	}
	return true;
}

/* ---- I7, I9, I10, I11 --------------------------------------------------------------------------
 */

static bool was_settled(const struct v_purchase *p)
{
	for (size_t i = 0; i < p->events_len; i++) {
		const struct v_event *e = &p->events[i];

		if (e->attempt == 0 &&
			(e->to == P_DELIVERED || e->to == P_CANCELLED || e->to == P_EXPIRED ||
				e->to == P_REFUND_DUE || e->to == P_REFUNDED ||
				(e->to == P_COLLECTED && !p->has_deliver)))
			return true;
	}
	return false;
}

static bool check_messages(const struct v_purchase *p, struct violation *out)
{
	if (p->finals > 1)
		return broken(out, "I7", "%lld final messages", (long long)p->finals);
	if (p->finals == 1 && !was_settled(p))
		return broken(out, "I7", "a final message, and nothing is settled");
	return true;
}

static bool check_waiting(const struct v_purchase *p, struct violation *out)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->state <= UNKNOWN && !a->waits)
			return broken(out, "I9", "%s.%lld is %s and waits for nothing",
				leg_name(a->leg), (long long)a->n, attempt_name(a->state));
	}
	return true;
}

static bool check_press(const struct v_purchase *p, struct violation *out)
{
	if (p->same_press != 1)
		return broken(out, "I10", "%lld purchases of one press", (long long)p->same_press);
	if (!p->has_hop)
		return broken(out, "I10", "the reply that was given is gone");
	return true;
}

static bool check_sealed(const struct v_purchase *p, struct violation *out)
{
	return p->plain == 0 ||
	       broken(out, "I11", "%lld sealed columns are plain", (long long)p->plain);
}

bool v_check(struct v_purchase *p, struct violation *out)
{
	int64_t books[BOOKS];

	/* Events first: later rules lean on what they replay. */
	return check_events(p, out) && check_attempts(p, out) && check_derive(p, out) &&
	       check_claims(p, out) && check_intent(p, out) && check_postings(p, out) &&
	       check_books(p, books, out) && check_flow(p, books, out) && check_evidence(p, out) &&
	       check_refund(p, out) && check_messages(p, out) && check_waiting(p, out) &&
	       check_press(p, out) && check_sealed(p, out);
}
