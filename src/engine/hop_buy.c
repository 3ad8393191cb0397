/* Hops that buy: handed to the engine, answered after its commit, their session settled. */
#include "hop.h"

#include "tama/crash.h"

#include <time.h>

/* ---- on the way there --------------------------------------------------------------------------
 */

/* On the engine's thread, after D1 (or its refusal). */
static void buy_done(struct engine_event *event)
{
	CRASH_POINT("K8");
	hop_decided(event->user);
}

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

static void fill_event(struct hop *hop)
{
	const struct hop_call *call = &hop->call;
	struct engine_event *event = &hop->event;
	struct engine_buy *buy = &event->as.buy;

	event->kind = ENGINE_BUY;
	event->done = buy_done;
	event->user = hop;
	arena_init(&event->arena, (size_t)8 * 1024);
	buy->partner = call->channel->partner->id;
	buy->ordinal = (uint8_t)(hop->session.buys + 1);
	buy->channel = call->channel->name;
	buy->lang = hop->session.lang;
	buy->intent = &hop->intent;
	buy->hop_reply = pack_reply(&hop->bought, &hop->arena);
	buy->claim = &hop->claim;
	memcpy(buy->uid, hop->session.uid, UID_LEN);
	memcpy(buy->menu_hash, call->service->hash, sizeof(buy->menu_hash));
}

int hop_wait_buy(const struct exchange *x, struct session *session, size_t journal_mark,
	const struct menu_result *result)
{
	struct hop *hop = hop_new(x, session);

	if (hop == NULL)
		return TAMA_EFULL;
	hop->is_buy = true;
	hop->journal_mark = journal_mark;
	hop->bought = (struct hop_answer){
		.text = arena_str(&hop->arena, result->text), .is_end = result->is_end};
	hop->summary = arena_str(&hop->arena, result->summary);
	copy_intent(hop, &result->intent);
	fill_event(hop);
	/* Everything must stand before the engine can speak: it may do so at once. */
	if (!hop_suspend(x, session, hop))
		return TAMA_EFULL;
	if (engine_thread_post(x->gateway->engine, &hop->event) != 0) {
		hop->event.outcome = ENGINE_NOT_DONE;
		buy_done(&hop->event);
	}
	return 0;
}

/* The entry that this hop appended in the belief that it would commit. */
static void drop_purchase(struct session *s, size_t journal_mark)
{
	struct str journal = buf_str(&s->journal);
	struct journal_entry entry;
	size_t end = journal.n;

	for (size_t at = journal_mark, begin = at; journal_next(journal, &at, &entry) == 1;
		begin = at)
		if (entry.kind == JOURNAL_BUY)
			end = begin;
	s->journal.n = end;
}

/* ---- and back ----------------------------------------------------------------------------------
 */

/* "14:05", or "23/11 14:05" when it is not today. */
static void time_say(time_t at, char out[static 16])
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm, today;

	(void)localtime_r(&at, &tm);
	(void)localtime_r(&now, &today);
	if (tm.tm_yday == today.tm_yday)
		(void)snprintf(out, 16, "%02d:%02d", tm.tm_hour % 24, tm.tm_min % 60);
	else
		(void)snprintf(out, 16, "%02d/%02d %02d:%02d", tm.tm_mday % 32, tm.tm_mon % 12 + 1,
			tm.tm_hour % 24, tm.tm_min % 60);
}

/* The words of that key, with the time from which it works again. */
static struct hop_answer not_before(
	const struct exchange *x, const struct hop *hop, const char *key)
{
	time_t at = (time_t)((hop->event.as.buy.until_ms + 59999) / 1000);
	struct menu_var vars[] = {{"time", {NULL, 0}}};
	char text[16];

	time_say(at, text);
	vars[0].value = str_c(text);
	return (struct hop_answer){
		.text = menu_text_with(x->worker->menus, hop->call.service, hop->session.lang, key,
			vars, 1, &x->turn->arena),
		.is_end = true,
	};
}

/* What the first delivery of this hop was told. */
static struct hop_answer repeated(const struct hop *hop)
{
	struct str packed = hop->event.as.buy.repeat_reply;

	return (struct hop_answer){
		.text = str_from(packed, 1), .is_end = packed.n == 0 || packed.p[0] == 'E'};
}

/*
 * The same was bought minutes ago. What was typed stands, the purchase does not; the menu goes on
 * with the news, and asks.
 */
static struct hop_answer ask_again(const struct exchange *x, struct hop *hop)
{
	struct str ref = hop->event.as.buy.repeat_ref;

	drop_purchase(&hop->session, hop->journal_mark);
	hop->call.inputs_len = hop->inputs_used = 0;
	hop->effect_name = STR(MENU_REPEAT);
	(void)snprintf(hop->look_up.value, sizeof(hop->look_up.value), "ref=%.*s", STR_ARG(ref));
	return hop_look_up_answer(x, hop);
}

struct hop_answer hop_buy_answer(const struct exchange *x, struct hop *hop)
{
	struct str lang = hop->session.lang;

	switch (hop->event.outcome) {
	case ENGINE_DONE:
		return hop->bought;
	case ENGINE_REPEATED:
		return repeated(hop);
	case ENGINE_AGAIN:
		return ask_again(x, hop);
	case ENGINE_SPACED:
		return not_before(x, hop, "spaced");
	case ENGINE_LIMITED:
		return hop->event.as.buy.until_ms > 0 ? not_before(x, hop, "limited_until")
						      : hop_say(x, lang, "limited");
	case ENGINE_CLOSED:
		return hop_say(x, lang, "closed");
	case ENGINE_NO_FLOAT:
		return hop_say(x, lang, "no_float");
	case ENGINE_IN_DOUBT:
		return hop_say(x, lang, "in_progress");
	case ENGINE_PENDING:
	case ENGINE_REF_TAKEN:
	case ENGINE_CANCELLED:
	case ENGINE_NOT_DONE:
	case ENGINE_NOT_YET:
	case ENGINE_PROPOSED:
	case ENGINE_SAME_PERSON:
	case ENGINE_NOT_DECIDABLE:
		break;
	}
	x->gateway->stats.busy++;
	return hop_say(x, lang, "try_again");
}

/* The purchase was made by an earlier delivery of this hop: its reference is the one that holds. */
static void correct_reference(struct session *s, struct str ref)
{
	struct str journal = buf_str(&s->journal), found = {NULL, 0};
	struct journal_entry entry;

	for (size_t at = 0; journal_next(journal, &at, &entry) == 1;)
		if (entry.kind == JOURNAL_BUY)
			found = entry.text;
	if (found.n > 0 && found.n == ref.n)
		memcpy(s->journal.p + (found.p - journal.p), ref.p, ref.n);
}

/*
 * The purchase exists. Who was told "in progress" meanwhile gets the real answer when asking again;
 * if the menu goes on behind the purchase, a redial does.
 */
static void settle_bought(struct hop *hop)
{
	struct session *s = &hop->session;
	bool is_repeated = hop->event.outcome == ENGINE_REPEATED;
	bool was_late = atomic_load(&hop->state) == HOP_TOO_LATE;
	struct hop_answer real = is_repeated ? repeated(hop) : hop->bought;

	if (is_repeated)
		correct_reference(s, hop->event.as.buy.repeat_ref);
	s->buys++;
	s->is_ended = real.is_end || (was_late && !hop->call.is_sms);
	s->is_parked = s->is_ended && !real.is_end;
	s->summary = real.is_end ? (struct str){NULL, 0} : hop->summary;
	s->said = was_late && !real.is_end ? hop->answer.text : real.text;
}

/* Nothing was bought, and the phone saw an end: the session goes on before this hop. */
static void settle_not_bought(struct hop *hop)
{
	struct session *s = &hop->session;

	s->journal.n = hop->journal_mark;
	s->is_ended = s->is_parked = !hop->call.is_sms;
	s->said = hop->answer.text;
	secrets_forget(hop->gateway->secrets, hop->intent.secret);
}

void hop_settle(struct hop *hop)
{
	enum engine_outcome outcome = hop->event.outcome;

	hop->is_over = true;
	if (hop->is_buy && (outcome == ENGINE_DONE || outcome == ENGINE_REPEATED))
		settle_bought(hop);
	else
		settle_not_bought(hop);
	session_put(hop->gateway->sessions, &hop->session);
}
