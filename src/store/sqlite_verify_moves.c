/*
 * The rules about moves (I1, I2, I3), on tables of their own: reliability.md 2.1, 2.2, 2.6 and 2.8
 * read once more by somebody who has not read the engine.
 */
#include "sqlite_verify_states.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool v_broken(struct violation *out, const char *rule, const char *fmt, ...)
{
	va_list args;

	(void)snprintf(out->rule, sizeof(out->rule), "%s", rule);
	va_start(args, fmt);
	(void)vsnprintf(out->what, sizeof(out->what), fmt, args);
	va_end(args);
	return false;
}

const char *v_attempt_name(int64_t state)
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

const char *v_leg_name(int64_t leg)
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

bool v_is_allowed(const struct v_event *e)
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
			  TO(P_REFUNDED) | TO(P_REVIEW) | TO(P_CONTRADICTED) | TO(P_WRITTEN_OFF) |
			  TO(P_EXPIRED) | TO(P_CONFIRMED) | TO(P_REFUNDING),
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
		return v_broken(out, "I1", "event %lld is of another purchase's attempt",
			(long long)e->seq);
	if (is_birth(a, e))
		return true;
	if (e->from != a->replayed)
		return v_broken(out, "I1", "event %lld leaves %s, and %s.%lld was %s",
			(long long)e->seq, v_attempt_name(e->from), v_leg_name(a->leg),
			(long long)a->n, v_attempt_name(a->replayed));
	if (!v_is_allowed(e))
		return v_broken(out, "I1", "event %lld: no way from %s to %s by %s",
			(long long)e->seq, v_attempt_name(e->from), v_attempt_name(e->to),
			e->cause);
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
		return v_broken(out, "I1", "event %lld leaves %s, and the purchase was %s",
			(long long)e->seq, purchase_name(e->from), purchase_name(*state));
	if (e->to < 1 || e->to > P_LAST || (ways[e->from] & TO(e->to)) == 0)
		return v_broken(out, "I1", "event %lld: no way from %s to %s", (long long)e->seq,
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
			return v_broken(out, "I1", "event %zu is missing", i + 1);
		if (e->partner != p->partner)
			return v_broken(out, "I1", "event %zu is another partner's", i + 1);
		chain(p, e, hash);
		if (memcmp(hash, e->hash, sizeof(hash)) != 0)
			return v_broken(out, "I1", "the hash chain breaks at event %zu", i + 1);
		if (!(e->attempt != 0 ? replay_attempt(p, e, out)
				      : replay_purchase(e, &state, out)))
			return false;
	}
	if (state != p->state)
		return v_broken(out, "I1", "is %s, and its events end in %s",
			purchase_name(p->state), purchase_name(state));
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct v_attempt *a = &p->attempts[i];

		if (a->state != a->replayed)
			return v_broken(out, "I1", "%s.%lld is %s, and its events end in %s",
				v_leg_name(a->leg), (long long)a->n, v_attempt_name(a->state),
				v_attempt_name(a->replayed));
	}
	return true;
}

/* ---- legs --------------------------------------------------------------------------------------
 */

int v_leg_state(const struct v_purchase *p, int64_t leg)
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
int v_derive(const struct v_purchase *p)
{
	int collect = v_leg_state(p, COLLECT), deliver = v_leg_state(p, DELIVER);
	int refund = v_leg_state(p, REFUND);

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
	int should = v_derive(p);

	if (p->state != should)
		return v_broken(out, "I1", "is %s, and its legs say %s", purchase_name(p->state),
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
			return v_broken(out, "I2", "an attempt is of no leg");
		if (a->n != last[a->leg] + 1)
			return v_broken(out, "I2", "%s.%lld follows %s.%lld", v_leg_name(a->leg),
				(long long)a->n, v_leg_name(a->leg), (long long)last[a->leg]);
		last[a->leg] = a->n;
		alive[a->leg] += may_have_run(a->state);
		if (alive[a->leg] > 1)
			return v_broken(out, "I2", "two attempts of the %s leg may have executed",
				v_leg_name(a->leg));
		/* One that was under way when the news came goes on. An id begins with its time. */
		if (may_have_run(a->state) && a->id >> 20 > frozen_ms[a->leg])
			return v_broken(out, "I2", "a %s leg that was contradicted goes on",
				v_leg_name(a->leg));
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
			return v_broken(out, "I3", "%s.%lld has an owner and no claim",
				v_leg_name(a->leg), (long long)a->n);
		if (was_sent && (a->sent_ms <= 0 || a->epoch < 1 || !a->has_hash))
			return v_broken(out, "I3",
				"%s.%lld was claimed without saying what is sent",
				v_leg_name(a->leg), (long long)a->n);
		if (was_sent && a->owner != a->claimed_by)
			return v_broken(out, "I3",
				"%s.%lld belongs to life %lld and was claimed by %lld",
				v_leg_name(a->leg), (long long)a->n, (long long)a->owner,
				(long long)a->claimed_by);
	}
	return true;
}

bool v_check_moves(struct v_purchase *p, struct violation *out)
{
	return check_events(p, out) && check_attempts(p, out) && check_derive(p, out) &&
	       check_claims(p, out);
}
