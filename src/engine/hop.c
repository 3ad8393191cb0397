/* A hop and its session: the menu replayed, the answer, the ends that are the gateway's own. */
#include "hop.h"

#include "tama/crash.h"

#include <sodium.h>

/* ---- answers -----------------------------------------------------------------------------------
 */

struct hop_call *hop_call_new(struct http_turn *turn, const struct channel *channel, bool is_sms)
{
	struct hop_call *call = arena_alloc(&turn->arena, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->channel = channel;
	call->service = channel->service;
	call->is_sms = is_sms;
	return call;
}

static int encode(
	const struct exchange *x, const struct hop_answer *answer, struct http_reply *reply)
{
	struct ussd_reply screen = {
		.text = answer->text, .is_end = answer->is_end, .is_alive = !answer->is_end};
	struct dialect_host *dialects = x->worker->dialects;
	struct str dialect = x->call->channel->dialect;
	struct http_call second = {0};

	if (x->call->is_sms)
		return dialect_sms_reply(dialects, dialect, answer->text, &x->turn->arena, reply);
	return dialect_ussd_encode(
		dialects, dialect, &x->call->ussd, &screen, &x->turn->arena, reply, &second);
}

enum http_verdict hop_reply(
	const struct exchange *x, const struct hop_answer *answer, struct http_reply *reply)
{
	if (answer->is_later)
		return HTTP_LATER;
	if (encode(x, answer, reply) != 0) {
		x->gateway->stats.script_errors++;
		log_event(x->gateway->log, "warn", "dialect", x->call->channel->name,
			STR("cannot encode"));
		*reply = (struct http_reply){.status = 500};
	}
	return HTTP_NOW;
}

struct hop_answer hop_say(const struct exchange *x, struct str lang, const char *key)
{
	const struct channel *channel = x->call->channel;

	return (struct hop_answer){
		.text = menu_text(x->worker->menus, x->call->service,
			lang.n > 0 ? lang : channel->lang, key, &x->turn->arena),
		.is_end = true,
	};
}

struct hop_answer hop_busy(const struct exchange *x, const char *key)
{
	x->gateway->stats.busy++;
	return hop_say(x, STR(""), key);
}

/* ---- the session's side ------------------------------------------------------------------------
 */

struct hop_answer hop_end(const struct exchange *x, struct session *s, const char *key)
{
	struct hop_answer answer = hop_say(x, s->lang, key);

	s->is_ended = true;
	s->is_parked = false;
	s->said = answer.text;
	session_put(x->gateway->sessions, s);
	return answer;
}

struct hop_answer hop_pause(const struct exchange *x, struct session *s, const char *key)
{
	struct hop_answer answer = hop_say(x, s->lang, key);

	s->is_ended = s->is_parked = !x->call->is_sms;
	s->said = answer.text;
	session_put(x->gateway->sessions, s);
	return answer;
}

bool hop_has_changed(const struct exchange *x, const struct session *s)
{
	return memcmp(s->service_hash, x->call->service->hash, sizeof(s->service_hash)) != 0;
}

void hop_add_input(struct hop_call *call, struct str text, bool is_pretyped)
{
	if (call->inputs_len < HOP_INPUTS && text.n <= LIMIT_INPUT_BYTES)
		call->inputs[call->inputs_len++] = (struct menu_input){text, is_pretyped};
}

static uint32_t keep_secret(void *ctx, struct str secret)
{
	return secrets_keep(ctx, secret, clock_wall_ms());
}

/*
 * A menu's fault harms its own session only: a polite end, and a line for the partner. A journal
 * that is full (of what the person typed wrong) is nobody's fault.
 */
static struct hop_answer end_broken(
	const struct exchange *x, struct session *s, int rc, const struct err *err)
{
	if (rc == TAMA_ECONFLICT)
		return hop_end(x, s, "changed");
	x->gateway->stats.script_errors += rc != TAMA_ENOMEM;
	log_event(x->gateway->log, rc == TAMA_ENOMEM ? "warn" : "alarm",
		rc == TAMA_ENOMEM ? "session_full" : "menu", x->call->channel->name,
		str_c(err->text));
	return hop_end(x, s, "broken");
}

/* Whether anything has been answered since the last purchase: else there is nothing to resume. */
static bool has_answers(const struct exchange *x, const struct session *s)
{
	struct journal_steps steps;

	return journal_fold(buf_str(&s->journal), &x->turn->arena, &steps) == 0 &&
	       steps.can_go_back;
}

static struct hop_answer finish(
	const struct exchange *x, struct session *s, const struct menu_result *r)
{
	struct hop_answer answer = {
		.text = r->text, .is_end = r->outcome == MENU_END || r->outcome == MENU_PARK};

	s->is_ended = answer.is_end;
	s->is_parked = r->outcome == MENU_PARK;
	s->said = r->text;
	s->summary = has_answers(x, s) ? r->summary : (struct str){NULL, 0};
	session_put(x->gateway->sessions, s);
	return answer;
}

static bool account_is_closed(void *ctx, const struct account *account)
{
	struct gateway *g = ctx;

	return !gateway_has_room(g) || !engine_thread_sells(g->engine, account->name);
}

static int64_t float_available(void *ctx, struct str name)
{
	return engine_thread_available(((struct gateway *)ctx)->engine, name);
}

static struct menu_turn menu_turn_of(const struct exchange *x, struct session *s)
{
	const struct hop_call *call = x->call;

	return (struct menu_turn){
		.channel = call->channel,
		.service = call->service,
		.msisdn = s->msisdn,
		.network = s->network,
		.lang = s->lang,
		.is_sms = call->is_sms,
		.journal = &s->journal,
		.inputs = call->inputs,
		.inputs_len = call->inputs_len,
		.effect_name = call->effect_name,
		.effect_value = call->effect_value,
		.buys = s->buys,
		.now_ms = (uint64_t)clock_wall_ms(),
		.secret_keep = keep_secret,
		.ctx = x->gateway->secrets,
		.is_closed = account_is_closed,
		.closed_ctx = x->gateway,
		.available = float_available,
		.available_ctx = x->gateway,
	};
}

struct hop_answer hop_run(const struct exchange *x, struct session *s)
{
	unsigned char chance[REF_LEN];
	char ref[REF_LEN + 1];
	size_t mark = s->journal.n;
	struct err err = ERR_INIT;
	struct menu_turn t = menu_turn_of(x, s);
	struct menu_result result;
	int rc;

	randombytes_buf(chance, sizeof(chance));
	vault_reference(chance, ref);
	t.next_ref = str_c(ref);
	CRASH_POINT("K3");
	rc = menu_run(x->worker->menus, &t, &x->turn->arena, &result, &err);
	if (rc != 0)
		return end_broken(x, s, rc, &err);
	if (result.outcome == MENU_BUY)
		rc = hop_wait_buy(x, s, mark, &result);
	else if (result.outcome == MENU_LOOKUP)
		rc = hop_wait_look_up(x, s, mark, &result);
	else
		return finish(x, s, &result);
	if (rc == 0)
		return (struct hop_answer){.is_later = true};
	/* Full: an honest "try again", as if nothing had been typed. */
	x->gateway->stats.busy++;
	secrets_forget(x->gateway->secrets, result.intent.secret);
	s->journal.n = mark;
	return hop_pause(x, s, "try_again");
}

struct hop_answer hop_say_again(const struct exchange *x, struct session *s)
{
	struct hop_answer answer = {
		.text = arena_str(&x->turn->arena, s->said), .is_end = s->is_ended};

	x->gateway->stats.repeats++;
	session_put(x->gateway->sessions, s);
	return answer;
}
