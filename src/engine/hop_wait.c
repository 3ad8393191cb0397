/*
 * Hops that wait: for D1, or for a look-up. Two sides hold such a hop, the connection's and the
 * engine's (or reader's); whichever speaks first moves its state, and the last one frees it.
 */
#include "hop.h"

#include "tama/crash.h"
#include "tama/limits.h"

#include <sodium.h>

#define HOP_BYTES (256 * 1024)

static void waiting_in(struct gateway *g, struct hop *hop)
{
	(void)pthread_mutex_lock(&g->lock);
	hop->next = g->waiting;
	hop->link = &g->waiting;
	if (hop->next != NULL)
		hop->next->link = &hop->next;
	g->waiting = hop;
	(void)pthread_mutex_unlock(&g->lock);
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

static void hop_release(struct hop *hop)
{
	if (atomic_fetch_sub(&hop->holders, 1) != 1)
		return;
	atomic_fetch_sub(&hop->gateway->in_flight[hop->call.channel->id % CHANNELS_MAX], 1);
	config_unref(&hop->config);
	arena_fini(&hop->arena);
	free(hop);
}

/* The session as it is now, in memory that lasts as long as the hop. */
static int move_session(struct hop *hop, struct session *from)
{
	struct buf packed;
	struct str copy;

	buf_init(&packed, LIMIT_SESSION_JOURNAL + 4096);
	session_pack(from, &packed);
	copy = arena_str(&hop->arena, buf_str(&packed));
	buf_fini(&packed);
	if (copy.p == NULL || session_unpack(copy, &hop->session) != 0)
		return TAMA_ENOMEM;
	hop->session.text_mac = from->text_mac;
	hop->session.slot = from->slot;
	return 0;
}

static void move_call(struct hop *hop, const struct hop_call *from)
{
	struct ussd_event *e = &hop->call.ussd;

	hop->call = *from;
	e->session = arena_str(&hop->arena, e->session);
	e->msisdn = arena_str(&hop->arena, e->msisdn);
	e->code = arena_str(&hop->arena, e->code);
	e->input = (struct str){NULL, 0}; /* may hold an OTP, and is not needed again */
	e->hop_id = arena_str(&hop->arena, e->hop_id);
	e->network = arena_str(&hop->arena, e->network);
	e->state = arena_str(&hop->arena, e->state);
	e->echo = arena_str(&hop->arena, e->echo);
	for (size_t i = 0; i < hop->call.inputs_len; i++)
		hop->call.inputs[i].text = arena_str(&hop->arena, hop->call.inputs[i].text);
}

static struct hop *hop_new(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *session)
{
	unsigned flying = atomic_fetch_add(&g->in_flight[call->channel->id % CHANNELS_MAX], 1);
	struct hop *hop = calloc(1, sizeof(*hop));

	tama_assert(hop != NULL);
	hop->gateway = g;
	hop->turn = turn;
	hop->config = config_ref(w->config);
	atomic_init(&hop->holders, 1);
	arena_init(&hop->arena, HOP_BYTES);
	move_call(hop, call);
	if (flying >= call->channel->in_flight || move_session(hop, session) != 0) {
		hop_release(hop);
		return NULL;
	}
	hop->deadline_boot_ms = clock_boot_ms() + call->channel->hop_ms;
	return hop;
}

/* The session is the hop's now: the worker's copy lets go of its journal. */
static void commit_to_wait(
	struct gateway *g, struct http_turn *turn, struct session *from, struct hop *hop)
{
	buf_fini(&from->journal);
	from->slot = NULL;
	session_suspend(g->sessions, &hop->session);
	atomic_store(&hop->holders, 2);
	turn->user = hop;
	waiting_in(g, hop);
}

/* ---- buying ------------------------------------------------------------------------------------
 */

/* The reply that a repeat of this key gets: one byte for the end, then the text. */
static struct str pack_reply(const struct hop_answer *answer, struct arena *arena)
{
	return arena_printf(arena, "%c%.*s", answer->is_end ? 'E' : 'C', STR_ARG(answer->text));
}

static void copy_intent(struct hop *hop, const struct buy_intent *from)
{
	hop->intent = *from;
	hop->intent.ref = arena_str(&hop->arena, from->ref);
	for (int i = 0; i < PURCHASE_TEXTS; i++)
		hop->intent.texts[i] = arena_str(&hop->arena, from->texts[i]);
}

/* Puts the session back: with the purchase in its journal, or as it was before this hop. */
static void settle_session(struct hop *hop, enum engine_outcome outcome)
{
	struct session *s = &hop->session;

	if (hop->is_over)
		return;
	hop->is_over = true;
	if (outcome == ENGINE_DONE || outcome == ENGINE_REPEATED) {
		s->buys++;
		s->is_ended = hop->answer.is_end;
		s->is_parked = false;
		s->wants_secret = hop->wants_secret;
		s->summary = hop->answer.is_end ? (struct str){NULL, 0} : hop->summary;
		s->final_text = hop->answer.is_end ? hop->answer.text : (struct str){NULL, 0};
	} else
		s->journal.n = hop->journal_mark;
	session_put(hop->gateway->sessions, s);
}

/* On the engine's thread, after D1 (or its refusal). */
static void buy_done(struct engine_event *event)
{
	struct hop *hop = event->user;
	int waiting = HOP_WAITING;

	CRASH_POINT("K8");
	if (atomic_compare_exchange_strong(&hop->state, &waiting, HOP_DECIDED)) {
		waiting_out(hop->gateway, hop);
		http_in_continue(hop->turn);
	} else
		settle_session(hop, event->outcome); /* the phone was told "in progress" */
	hop_release(hop);
}

static void fill_event(struct hop *hop, const struct channel *channel)
{
	struct engine_event *event = &hop->event;
	struct engine_buy *buy = &event->as.buy;

	event->kind = ENGINE_BUY;
	event->done = buy_done;
	event->user = hop;
	arena_init(&event->arena, 8 * 1024);
	buy->partner = channel->partner->id;
	buy->ordinal = (uint8_t)(hop->session.buys + 1);
	buy->channel = channel->name;
	buy->lang = hop->session.lang;
	buy->intent = &hop->intent;
	buy->hop_reply = pack_reply(&hop->answer, &hop->arena);
	buy->claim = &hop->claim;
	memcpy(buy->uid, hop->session.uid, UID_LEN);
	memcpy(buy->menu_hash, channel->service->hash, sizeof(buy->menu_hash));
}

int hop_wait_buy(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *session, size_t journal_mark,
	const struct menu_result *result)
{
	struct hop *hop = hop_new(g, w, turn, call, session);

	if (hop == NULL)
		return TAMA_EFULL;
	hop->is_buy = true;
	hop->journal_mark = journal_mark;
	hop->answer =
		(struct hop_answer){arena_str(&hop->arena, result->text), result->is_end, false};
	hop->wants_secret = result->wants_secret;
	hop->summary = arena_str(&hop->arena, result->summary);
	copy_intent(hop, &result->intent);
	fill_event(hop, call->channel);
	if (arena_overflowed(&hop->arena)) {
		hop_release(hop);
		return TAMA_EFULL;
	}
	/* Everything must stand before the engine can speak: it may do so at once. */
	commit_to_wait(g, turn, session, hop);
	if (engine_thread_post(g->engine, &hop->event) == 0)
		return 0;
	hop->event.outcome = ENGINE_NOT_DONE;
	buy_done(&hop->event);
	return 0;
}

static struct hop_answer spaced(struct hop *hop, struct worker *w)
{
	time_t at = (time_t)((hop->event.as.buy.until_ms + 59999) / 1000);
	struct menu_var vars[] = {{"time", {NULL, 0}}};
	char text[8];
	struct tm tm;

	(void)localtime_r(&at, &tm);
	(void)snprintf(text, sizeof(text), "%02d:%02d", tm.tm_hour % 24, tm.tm_min % 60);
	vars[0].value = str_c(text);
	return (struct hop_answer){menu_text_with(w->menus, hop->call.channel->service,
					   hop->session.lang, "spaced", vars, 1, &hop->turn->arena),
		true, false};
}

static struct hop_answer repeated(struct hop *hop)
{
	struct str packed = hop->event.as.buy.repeat_reply;

	return (struct hop_answer){str_from(packed, 1), packed.n > 0 && packed.p[0] == 'E', false};
}

/* What the phone shows for each way a purchase can go at D1. */
static struct hop_answer buy_answer(struct gateway *g, struct worker *w, struct hop *hop)
{
	struct http_turn *turn = hop->turn;
	const struct channel *channel = hop->call.channel;
	struct str lang = hop->session.lang;

	switch (hop->event.outcome) {
	case ENGINE_DONE:
		return hop->answer;
	case ENGINE_REPEATED:
		hop->answer = repeated(hop);
		return hop->answer;
	case ENGINE_SPACED:
		return spaced(hop, w);
	case ENGINE_CLOSED:
		return hop_say(w, turn, channel, lang, "closed");
	case ENGINE_IN_DOUBT:
		return hop_say(w, turn, channel, lang, "in_progress");
	case ENGINE_PENDING:
	case ENGINE_REF_TAKEN:
	case ENGINE_CANCELLED:
	case ENGINE_NOT_DONE:
	case ENGINE_NOT_YET:
		break;
	}
	g->stats.busy++;
	return hop_say(w, turn, channel, lang, "try_again");
}

static enum http_verdict continue_buy(
	struct gateway *g, struct worker *w, struct hop *hop, struct http_reply *reply)
{
	struct http_turn *turn = hop->turn;
	struct hop_answer answer = buy_answer(g, w, hop);
	enum http_verdict verdict;

	CRASH_POINT("K9");
	answer.text = arena_str(&turn->arena, answer.text);
	settle_session(hop, hop->event.outcome);
	verdict = hop_encode(g, w, turn, &hop->call, &answer, reply);
	arena_fini(&hop->event.arena);
	return verdict;
}

/* ---- looking up --------------------------------------------------------------------------------
 */

static void look_up_done(struct reader_job *job)
{
	struct hop *hop = job->user;
	int waiting = HOP_WAITING;

	if (atomic_compare_exchange_strong(&hop->state, &waiting, HOP_DECIDED)) {
		waiting_out(hop->gateway, hop);
		http_in_continue(hop->turn);
	} else
		settle_session(hop, ENGINE_NOT_DONE);
	hop_release(hop);
}

int hop_wait_look_up(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *session, const struct menu_result *result)
{
	struct hop *hop = hop_new(g, w, turn, call, session);

	if (hop == NULL)
		return TAMA_EFULL;
	hop->journal_mark = session->journal.n;
	hop->inputs_used = result->inputs_used;
	hop->effect_name = arena_str(&hop->arena, result->effect_name);
	hop->look_up.partner = call->channel->partner->id;
	hop->look_up.msisdn = str_c(hop->session.msisdn.digits);
	hop->look_up.name = hop->effect_name;
	hop->look_up.done = look_up_done;
	hop->look_up.user = hop;
	commit_to_wait(g, turn, session, hop);
	if (reader_post(g->reader, &hop->look_up) != 0) {
		hop->look_up.value[0] = '\0';
		look_up_done(&hop->look_up);
	}
	return 0;
}

static enum http_verdict continue_look_up(
	struct gateway *g, struct worker *w, struct hop *hop, struct http_reply *reply)
{
	struct hop_call *call = arena_alloc(&hop->turn->arena, sizeof(*call));

	if (call == NULL)
		return HTTP_NOW;
	*call = hop->call;
	for (size_t i = 0; i < call->inputs_len; i++)
		call->inputs[i].text = arena_str(&hop->turn->arena, hop->call.inputs[i].text);
	memmove(call->inputs, call->inputs + hop->inputs_used,
		(call->inputs_len - hop->inputs_used) * sizeof(call->inputs[0]));
	call->inputs_len -= hop->inputs_used;
	call->effect_name = hop->effect_name;
	call->effect_value = str_c(hop->look_up.value);
	hop->is_over = true;
	return hop_run(g, w, hop->turn, call, &hop->session, reply);
}

/* ---- both --------------------------------------------------------------------------------------
 */

/* The deadline spoke first: "try again" if nothing has begun, else "in progress". */
static enum http_verdict too_late(
	struct gateway *g, struct worker *w, struct hop *hop, struct http_reply *reply)
{
	bool is_cancelled = !hop->is_buy || atomic_load(&hop->claim) == CLAIM_CANCELLED;
	struct hop_answer answer = hop_say(w, hop->turn, hop->call.channel, hop->session.lang,
		is_cancelled ? "try_again" : "in_progress");

	if (is_cancelled)
		g->stats.late_cancelled++;
	else
		g->stats.late_in_progress++;
	return hop_encode(g, w, hop->turn, &hop->call, &answer, reply);
}

enum http_verdict hop_continue(
	struct gateway *g, struct worker *w, struct http_turn *turn, struct http_reply *reply)
{
	struct hop *hop = turn->user;
	enum http_verdict verdict;

	turn->user = NULL;
	if (atomic_load(&hop->state) == HOP_TOO_LATE)
		verdict = too_late(g, w, hop, reply);
	else if (hop->is_buy)
		verdict = continue_buy(g, w, hop, reply);
	else
		verdict = continue_look_up(g, w, hop, reply);
	hop_release(hop);
	return verdict;
}

void hops_tick(struct gateway *g, int64_t boot_ms)
{
	struct hop *late = NULL, *next;

	(void)pthread_mutex_lock(&g->lock);
	for (struct hop *hop = g->waiting; hop != NULL; hop = next) {
		int waiting = HOP_WAITING, claim = CLAIM_WAITING;

		next = hop->next;
		if (hop->deadline_boot_ms > boot_ms)
			continue;
		(void)atomic_compare_exchange_strong(&hop->claim, &claim, CLAIM_CANCELLED);
		if (!atomic_compare_exchange_strong(&hop->state, &waiting, HOP_TOO_LATE))
			continue;
		*hop->link = hop->next;
		if (hop->next != NULL)
			hop->next->link = hop->link;
		hop->link = NULL;
		hop->next = late;
		late = hop;
	}
	(void)pthread_mutex_unlock(&g->lock);
	for (; late != NULL; late = next) {
		next = late->next;
		http_in_continue(late->turn);
	}
}
