/*
 * Hops that wait: for D1, or for a look-up. Two sides hold such a hop, the connection's and the
 * engine's (or reader's). Whichever speaks first moves its state, the one that is done last puts
 * the session back, and the last to let go frees it.
 *
 * A repeat that comes meanwhile waits behind the hop that it repeats and gets the same answer.
 */
#include "hop.h"

#include "tama/crash.h"

#define HOP_BYTES ((size_t)256 * 1024)

/* ---- the list ----------------------------------------------------------------------------------
 */

static bool waiting_in(struct gateway *g, struct hop *hop)
{
	bool is_draining;

	(void)pthread_mutex_lock(&g->lock);
	is_draining = atomic_load(&g->is_draining);
	if (!is_draining) {
		hop->next = g->waiting;
		hop->link = &g->waiting;
		if (hop->next != NULL)
			hop->next->link = &hop->next;
		g->waiting = hop;
	}
	(void)pthread_mutex_unlock(&g->lock);
	return !is_draining;
}

static void waiting_out(struct gateway *g, struct hop *hop)
{
	(void)pthread_mutex_lock(&g->lock);
	if (hop->link != NULL) {
		*hop->link = hop->next;
		if (hop->next != NULL)
			hop->next->link = hop->link;
		hop->link = NULL;
	}
	(void)pthread_mutex_unlock(&g->lock);
}

bool hops_wait(struct gateway *g)
{
	bool is_any;

	(void)pthread_mutex_lock(&g->lock);
	is_any = g->waiting != NULL;
	(void)pthread_mutex_unlock(&g->lock);
	return is_any;
}

/* ---- life --------------------------------------------------------------------------------------
 */

void hop_count_out(struct hop *hop)
{
	if (hop->is_counted)
		atomic_fetch_sub(&hop->gateway->in_flight[hop->call.channel->id % CHANNELS_MAX], 1);
	hop->is_counted = false;
}

void hop_release(struct hop *hop)
{
	if (atomic_fetch_sub(&hop->holders, 1) != 1)
		return;
	hop_count_out(hop);
	buf_fini(&hop->session.journal);
	arena_fini(&hop->event.arena);
	arena_fini(&hop->arena);
	config_unref(&hop->config);
	free(hop);
}

/* The session as it is now, in memory that lasts as long as the hop. */
static int move_session(struct hop *hop, const struct session *from)
{
	struct buf packed;
	struct str copy;
	int rc = TAMA_ENOMEM;

	buf_init(&packed, SESSION_PACKED_MAX);
	session_pack(from, &packed);
	if (!packed.overflowed) {
		copy = arena_str(&hop->arena, buf_str(&packed));
		rc = copy.p == NULL ? TAMA_ENOMEM : session_unpack(copy, &hop->session);
	}
	buf_fini(&packed);
	hop->session.text_mac = from->text_mac;
	hop->session.slot = from->slot;
	return rc;
}

/* The inputs stay behind: one of them may be an OTP. */
static void move_call(struct hop *hop, const struct hop_call *from)
{
	struct ussd_event *e = &hop->call.ussd;

	hop->call = *from;
	hop->call.inputs_len = 0;
	e->session = arena_str(&hop->arena, e->session);
	e->msisdn = arena_str(&hop->arena, e->msisdn);
	e->code = arena_str(&hop->arena, e->code);
	e->input = (struct str){NULL, 0};
	e->hop_id = arena_str(&hop->arena, e->hop_id);
	e->network = arena_str(&hop->arena, e->network);
	e->state = arena_str(&hop->arena, e->state);
	e->echo = arena_str(&hop->arena, e->echo);
}

struct hop *hop_new(const struct exchange *x, const struct session *session)
{
	const struct channel *channel = x->call->channel;
	struct gateway *g = x->gateway;
	unsigned flying = atomic_fetch_add(&g->in_flight[channel->id % CHANNELS_MAX], 1);
	struct hop *hop = calloc(1, sizeof(*hop));

	tama_assert(hop != NULL);
	hop->gateway = g;
	hop->turn = x->turn;
	hop->config = config_ref(x->worker->config);
	hop->is_counted = true;
	atomic_init(&hop->holders, 1);
	atomic_init(&hop->sides, 2);
	arena_init(&hop->arena, HOP_BYTES);
	move_call(hop, x->call);
	if (flying >= channel->in_flight || move_session(hop, session) != 0) {
		hop_release(hop);
		return NULL;
	}
	hop->deadline_boot_ms = clock_boot_ms() + channel->hop_ms;
	return hop;
}

bool hop_suspend(const struct exchange *x, struct session *session, struct hop *hop)
{
	struct turn_keep *keep = arena_alloc(&x->turn->arena, sizeof(*keep));

	if (keep == NULL || arena_overflowed(&hop->arena) || !waiting_in(x->gateway, hop)) {
		hop_release(hop);
		return false;
	}
	atomic_store(&hop->holders, 2);
	*keep = (struct turn_keep){.hop = hop, .turn = x->turn};
	x->turn->user = keep;
	/* The session is the hop's now: the worker's copy lets go of its journal. */
	buf_fini(&session->journal);
	session->slot = NULL;
	session_suspend(x->gateway->sessions, &hop->session);
	return true;
}

/* Of the two sides, the last. */
static void side_done(struct hop *hop)
{
	if (atomic_fetch_sub(&hop->sides, 1) != 1)
		return;
	if (!hop->is_over)
		hop_settle(hop);
	waiting_out(hop->gateway, hop);
}

void hop_decided(struct hop *hop)
{
	int waiting = HOP_WAITING;
	bool is_first = atomic_compare_exchange_strong(&hop->state, &waiting, HOP_DECIDED);

	side_done(hop);
	if (is_first)
		http_in_continue(hop->turn);
	hop_release(hop);
}

/* ---- repeats -----------------------------------------------------------------------------------
 */

static bool is_of_session(const struct hop *hop, const struct session_key *key)
{
	const struct session *s = &hop->session;

	if (!str_eq(s->channel, key->channel) || !str_eq(s->id, key->id))
		return false;
	return key->msisdn.n == 0 || str_eq(str_c(s->msisdn.digits), key->msisdn);
}

static bool is_same_hop(const struct hop_call *a, const struct hop_call *b)
{
	if (a->ussd.hop_id.n > 0 || b->ussd.hop_id.n > 0)
		return str_eq(a->ussd.hop_id, b->ussd.hop_id);
	return a->ussd.event == b->ussd.event && a->input_mac == b->input_mac;
}

/* With gateway->lock held. */
static enum hop_join join(const struct exchange *x, struct hop *hop, struct hop_answer *answer)
{
	struct turn_keep *keep;

	if (!is_same_hop(&hop->call, x->call))
		return JOIN_OTHER;
	if (hop->is_answered) {
		*answer = hop->answer;
		answer->text = arena_str(&x->turn->arena, answer->text);
		return JOINED;
	}
	keep = arena_alloc(&x->turn->arena, sizeof(*keep));
	if (keep == NULL)
		return JOIN_OTHER;
	*keep = (struct turn_keep){
		.hop = hop, .turn = x->turn, .call = x->call, .next = hop->repeats};
	hop->repeats = keep;
	atomic_fetch_add(&hop->holders, 1);
	x->turn->user = keep;
	*answer = (struct hop_answer){.is_later = true};
	return JOINED;
}

enum hop_join hop_join(
	const struct exchange *x, const struct session_key *key, struct hop_answer *answer)
{
	struct gateway *g = x->gateway;
	enum hop_join result = JOIN_NONE;
	struct hop *hop;

	(void)pthread_mutex_lock(&g->lock);
	hop = g->waiting;
	while (hop != NULL && !is_of_session(hop, key))
		hop = hop->next;
	if (hop != NULL)
		result = join(x, hop, answer);
	(void)pthread_mutex_unlock(&g->lock);
	g->stats.repeats += result == JOINED;
	return result;
}

/* What the phone is told stands; whoever waited behind this hop is told the same. */
static void hop_answered(struct hop *hop, const struct hop_answer *answer)
{
	struct gateway *g = hop->gateway;
	struct turn_keep *repeats;

	(void)pthread_mutex_lock(&g->lock);
	hop->answer = *answer;
	hop->answer.text = arena_str(&hop->arena, answer->text);
	hop->is_answered = true;
	repeats = hop->repeats;
	hop->repeats = NULL;
	(void)pthread_mutex_unlock(&g->lock);
	side_done(hop);
	while (repeats != NULL) {
		struct http_turn *turn = repeats->turn;

		repeats = repeats->next; /* before the turn may end */
		http_in_continue(turn);
	}
}

void hop_hand_over(struct hop *from, struct hop *to)
{
	struct gateway *g = from->gateway;

	(void)pthread_mutex_lock(&g->lock);
	while (from->repeats != NULL) {
		struct turn_keep *keep = from->repeats;

		from->repeats = keep->next;
		keep->hop = to;
		keep->next = to->repeats;
		to->repeats = keep;
		atomic_fetch_add(&to->holders, 1);
		atomic_fetch_sub(&from->holders, 1);
	}
	(void)pthread_mutex_unlock(&g->lock);
	waiting_out(g, from);
}

/* ---- going on ----------------------------------------------------------------------------------
 */

/* The deadline spoke first: "try again" if nothing has begun, else "in progress". */
static struct hop_answer too_late(const struct exchange *x, const struct hop *hop)
{
	bool is_cancelled = !hop->is_buy || atomic_load(&hop->claim) == CLAIM_CANCELLED;

	if (is_cancelled)
		x->gateway->stats.late_cancelled++;
	else
		x->gateway->stats.late_in_progress++;
	return hop_say(x, hop->session.lang, is_cancelled ? "try_again" : "in_progress");
}

static struct hop_answer decide(const struct exchange *x, struct hop *hop, bool is_abandoned)
{
	struct hop_answer answer;

	if (atomic_load(&hop->state) == HOP_TOO_LATE)
		answer = too_late(x, hop);
	else if (hop->is_buy)
		answer = hop_buy_answer(x, hop);
	else if (is_abandoned)
		answer = hop_say(x, hop->session.lang, "try_again");
	else
		answer = hop_look_up_answer(x, hop);
	if (!answer.is_later)
		hop_answered(hop, &answer);
	return answer;
}

enum http_verdict hop_continue(
	struct gateway *g, struct worker *w, struct http_turn *turn, struct http_reply *reply)
{
	struct turn_keep *keep = turn->user;
	struct hop *hop = keep->hop;
	struct exchange x = {g, w, turn, keep->call != NULL ? keep->call : &hop->call};
	struct hop_answer answer;
	enum http_verdict verdict;

	CRASH_POINT("K9");
	turn->user = NULL;
	if (keep->call == NULL)
		answer = decide(&x, hop, false);
	else
		answer = hop->answer;
	verdict = hop_reply(&x, &answer, reply);
	hop_release(hop);
	return verdict;
}

void hop_abandon(struct gateway *g, struct worker *w, struct http_turn *turn)
{
	struct turn_keep *keep = turn->user;
	struct hop *hop = keep->hop;
	struct exchange x = {g, w, turn, &hop->call};

	turn->user = NULL;
	if (keep->call == NULL)
		(void)decide(&x, hop, true);
	hop_release(hop);
}

void hops_tick(struct gateway *g, int64_t boot_ms)
{
	struct hop *late = NULL;

	(void)pthread_mutex_lock(&g->lock);
	for (struct hop *hop = g->waiting; hop != NULL; hop = hop->next) {
		int waiting = HOP_WAITING, claim = CLAIM_WAITING;

		if (hop->deadline_boot_ms > boot_ms || atomic_load(&hop->state) != HOP_WAITING)
			continue;
		(void)atomic_compare_exchange_strong(&hop->claim, &claim, CLAIM_CANCELLED);
		if (!atomic_compare_exchange_strong(&hop->state, &waiting, HOP_TOO_LATE))
			continue;
		hop->next_late = late;
		late = hop;
	}
	(void)pthread_mutex_unlock(&g->lock);
	while (late != NULL) {
		struct http_turn *turn = late->turn;

		late = late->next_late; /* before the hop may end */
		http_in_continue(turn);
	}
}
