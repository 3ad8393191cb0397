/*
 * The life of a hop: bytes to an event, the session it belongs to, what the person typed, the menu
 * replayed, the screen as bytes again. Nothing here waits.
 */
#include "hop.h"

#include "tama/crash.h"
#include "tama/gsm7.h"
#include "tama/limits.h"
#include "tama/screen.h"

#include <sodium.h>

/* ---- answers -----------------------------------------------------------------------------------
 */

enum http_verdict hop_encode(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, const struct hop_answer *answer, struct http_reply *reply)
{
	struct ussd_reply screen = {.text = answer->text,
		.is_end = answer->is_end,
		.is_error = answer->is_error,
		.is_alive = !answer->is_end};
	struct http_call second = {0};
	int rc;

	if (call->is_sms)
		rc = dialect_sms_reply(
			w->dialects, call->channel->dialect, answer->text, &turn->arena, reply);
	else
		rc = dialect_ussd_encode(w->dialects, call->channel->dialect, &call->ussd, &screen,
			&turn->arena, reply, &second);
	if (rc != 0) {
		g->stats.script_errors++;
		log_event(g->log, "warn", "dialect", call->channel->name, STR("cannot encode"));
		*reply = (struct http_reply){.status = 500};
	}
	return HTTP_NOW;
}

struct hop_answer hop_say(struct worker *w, struct http_turn *turn, const struct channel *channel,
	struct str lang, const char *key)
{
	return (struct hop_answer){
		.text = menu_text(w->menus, channel->service, lang.n > 0 ? lang : channel->lang,
			key, &turn->arena),
		.is_end = true,
	};
}

/* ---- the session's side ------------------------------------------------------------------------
 */

/* Ends the session with a sentence of the gateway's, which a repeat of the hop gets again. */
static enum http_verdict end_with(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *s, const char *key, struct http_reply *reply)
{
	struct hop_answer answer = hop_say(w, turn, call->channel, s->lang, key);

	s->is_ended = true;
	s->final_text = answer.text;
	session_put(g->sessions, s);
	return hop_encode(g, w, turn, call, &answer, reply);
}

static uint32_t keep_secret(void *ctx, struct str secret)
{
	return secrets_keep(ctx, secret, clock_wall_ms());
}

/* A menu's fault harms its own session only: a polite end, and a line for the partner. */
static enum http_verdict end_broken(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *s, int rc, const struct err *err,
	struct http_reply *reply)
{
	if (rc != TAMA_ECONFLICT) {
		g->stats.script_errors++;
		log_event(g->log, "alarm", "menu", call->channel->name, str_c(err->text));
	}
	return end_with(g, w, turn, call, s, rc == TAMA_ECONFLICT ? "changed" : "broken", reply);
}

/*
 * The screen after a turn of the menu. A session that has ended says the same again by replay; how
 * a parked one ended is kept, because a replay would go on behind it.
 */
static enum http_verdict finish(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *s, const struct menu_result *r,
	struct http_reply *reply)
{
	struct hop_answer answer = {
		.text = r->text, .is_end = r->outcome == MENU_END || r->outcome == MENU_PARK};

	s->is_ended = answer.is_end;
	s->is_parked = r->outcome == MENU_PARK;
	s->final_text = s->is_parked ? r->text : (struct str){NULL, 0};
	s->wants_secret = r->wants_secret;
	s->summary = r->summary;
	session_put(g->sessions, s);
	return hop_encode(g, w, turn, call, &answer, reply);
}

enum http_verdict hop_run(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *s, struct http_reply *reply)
{
	unsigned char chance[REF_LEN];
	char ref[REF_LEN + 1];
	size_t mark = s->journal.n;
	struct err err = ERR_INIT;
	struct menu_result result;
	struct menu_turn t = {
		.channel = call->channel,
		.service = call->channel->service,
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
		.ctx = g->secrets,
	};
	int rc;

	randombytes_buf(chance, sizeof(chance));
	vault_reference(chance, ref);
	t.next_ref = str_c(ref);
	CRASH_POINT("K3");
	rc = menu_run(w->menus, &t, &turn->arena, &result, &err);
	if (rc != 0)
		return end_broken(g, w, turn, call, s, rc, &err, reply);
	if (result.outcome == MENU_BUY)
		rc = hop_wait_buy(g, w, turn, call, s, mark, &result);
	else if (result.outcome == MENU_LOOKUP)
		rc = hop_wait_look_up(g, w, turn, call, s, &result);
	else
		return finish(g, w, turn, call, s, &result, reply);
	if (rc == 0)
		return HTTP_LATER;
	/* Full: an honest "try again" before anything was confirmed. */
	g->stats.busy++;
	s->journal.n = mark;
	return end_with(g, w, turn, call, s, "try_again", reply);
}

/* The screen that is pending, or how the session ended, without taking any input. */
static enum http_verdict say_again(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct hop_call *call, struct session *s, struct http_reply *reply)
{
	g->stats.repeats++;
	call->inputs_len = 0;
	if (s->final_text.n > 0) {
		struct hop_answer answer = {
			.text = arena_str(&turn->arena, s->final_text), .is_end = true};

		session_put(g->sessions, s);
		return hop_encode(g, w, turn, call, &answer, reply);
	}
	return hop_run(g, w, turn, call, s, reply);
}

/* ---- resuming ----------------------------------------------------------------------------------
 */

static struct str resume_screen(struct worker *w, struct http_turn *turn,
	const struct hop_call *call, const struct session *s)
{
	const struct service *service = call->channel->service;
	struct arena *arena = &turn->arena;
	struct menu_var vars[] = {{"summary", s->summary}};
	struct str options[] = {
		menu_text(w->menus, service, s->lang, "resume_yes", arena),
		menu_text(w->menus, service, s->lang, "resume_no", arena),
	};
	struct screen screen = {
		.head = menu_text_with(w->menus, service, s->lang, "resume", vars, 1, arena),
		.options = options,
		.options_len = 2,
		.limit = call->channel->septets,
	};
	struct screen_page page;

	return screen_render(&screen, arena, &page) == 0 ? page.text : screen.head;
}

static enum http_verdict ask_resume(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *s, struct http_reply *reply)
{
	struct hop_answer answer = {.text = resume_screen(w, turn, call, s)};

	session_put(g->sessions, s);
	return hop_encode(g, w, turn, call, &answer, reply);
}

/* Offers the last unfinished session of this number, if there is one. */
static bool offer_resume(
	struct gateway *g, struct http_turn *turn, const struct hop_call *call, struct session *s)
{
	if (call->inputs_len > 0)
		return false; /* whoever dials a whole order wants a new one */
	s->is_offering =
		session_find_resumable(g->sessions, call->channel->name, str_c(s->msisdn.digits), s,
			s->last_ms, call->channel->resume_ms, &turn->arena, s->offer, &s->summary);
	return s->is_offering;
}

/* "1" goes on with the offered session, "2" begins anew, anything else asks again. */
static enum http_verdict answer_resume(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct hop_call *call, struct session *s, struct http_reply *reply)
{
	struct str typed = call->inputs_len > 0 ? str_trim(call->inputs[0].text) : STR("");

	if (str_eq(typed, STR("1"))) {
		if (!session_adopt(g->sessions, s, &turn->arena))
			s->is_offering = false;
	} else if (str_eq(typed, STR("2"))) {
		s->is_offering = false;
		s->summary = (struct str){NULL, 0};
	}
	if (s->is_offering)
		return ask_resume(g, w, turn, call, s, reply);
	if (memcmp(s->service_hash, call->channel->service->hash, sizeof(s->service_hash)) != 0)
		return end_with(g, w, turn, call, s, "changed", reply);
	call->inputs_len = 0;
	return hop_run(g, w, turn, call, s, reply);
}

/* ---- which session, which inputs ---------------------------------------------------------------
 */

static void add_input(struct hop_call *call, struct str text, bool is_pretyped)
{
	if (call->inputs_len < HOP_INPUTS && text.n <= LIMIT_INPUT_BYTES)
		call->inputs[call->inputs_len++] = (struct menu_input){text, is_pretyped};
}

/* Digits that came together: each an input that answers no confirmation and no secret. */
static void add_pretyped(struct hop_call *call, struct str text)
{
	while (text.n > 0) {
		struct str one = str_cut(&text, '*');

		if (one.n > 0)
			add_input(call, one, true);
	}
}

/* "*384*22#" as "384*22": digits and stars, no marks at the ends (trap 3). */
static struct str code_bare(struct str code)
{
	while (code.n > 0 && code.p[0] == '*')
		code = str_from(code, 1);
	while (code.n > 0 && (code.p[code.n - 1] == '#' || code.p[code.n - 1] == '*'))
		code.n--;
	return code;
}

/* Whether the channel has the code; what was dialled behind it goes to *extra_out. */
static bool code_is_ours(const struct channel *channel, struct str dialled, struct str *extra_out)
{
	struct str bare = code_bare(dialled);
	size_t best = 0;

	for (size_t i = 0; i < channel->codes_len; i++) {
		struct str ours = code_bare(channel->codes[i]);

		if (!str_has_prefix(bare, ours) || ours.n < best)
			continue;
		if (bare.n > ours.n && bare.p[ours.n] != '*')
			continue;
		best = ours.n;
	}
	*extra_out = bare.n > best ? str_from(bare, best + 1) : (struct str){NULL, 0};
	return best > 0;
}

static void session_init(struct session *s, const struct hop_call *call)
{
	const struct channel *channel = call->channel;

	s->lang = channel->lang;
	s->code = call->ussd.code;
	s->network = call->ussd.network;
	memcpy(s->service_hash, channel->service->hash, sizeof(s->service_hash));
}

static void note_text(struct gateway *g, const struct hop_call *call, struct session *s)
{
	s->hop_id = call->ussd.hop_id;
	s->last_ms = clock_wall_ms();
	if (!call->ussd.is_cumulative)
		return;
	s->text_len = (uint32_t)call->ussd.input.n;
	s->text_mac = session_text_mac(g->sessions, call->ussd.input);
}

static enum http_verdict first_hop(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct hop_call *call, struct session *s, struct http_reply *reply)
{
	struct str extra;

	session_init(s, call);
	note_text(g, call, s);
	if (call->ussd.code.n > 0 && !code_is_ours(call->channel, call->ussd.code, &extra)) {
		g->stats.unknown_code++;
		return end_with(g, w, turn, call, s, "unknown_code", reply);
	}
	if (call->ussd.code.n > 0)
		add_pretyped(call, extra);
	if (call->ussd.is_cumulative)
		add_pretyped(call, call->ussd.input);
	if (call->channel->out_of_service)
		return end_with(g, w, turn, call, s, "closed", reply);
	if (offer_resume(g, turn, call, s))
		return ask_resume(g, w, turn, call, s, reply);
	return hop_run(g, w, turn, call, s, reply);
}

enum text_change {
	TEXT_SAME,
	TEXT_LONGER, /* *input_out is what was typed since */
	TEXT_BROKEN, /* not a continuation of what we read before */
};

/*
 * What is new in cumulative text. The earlier text itself is not kept (it may hold an OTP): its
 * length is, and a MAC of it while the process lives. Never split at the last '*': a person may
 * type stars.
 */
static enum text_change text_new(
	struct gateway *g, const struct session *s, struct str text, struct str *input_out)
{
	struct str before = {text.p, s->text_len};
	size_t skip = s->text_len > 0 ? (size_t)s->text_len + 1 : 0;

	if (text.n < s->text_len)
		return TEXT_BROKEN;
	if (s->text_mac != 0 && session_text_mac(g->sessions, before) != s->text_mac)
		return TEXT_BROKEN;
	if (text.n == s->text_len)
		return TEXT_SAME;
	if (s->text_len > 0 && text.p[s->text_len] != '*')
		return TEXT_BROKEN;
	*input_out = str_from(text, skip);
	return TEXT_LONGER;
}

static bool is_repeat(const struct hop_call *call, const struct session *s)
{
	const struct ussd_event *e = &call->ussd;

	if (e->hop_id.n > 0)
		return str_eq(e->hop_id, s->hop_id);
	/* Where nothing shows it, "1" twice may be two answers: only an ended session repeats. */
	return !e->is_cumulative && s->is_ended;
}

static enum http_verdict next_hop(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct hop_call *call, struct session *s, struct http_reply *reply)
{
	struct str input = call->ussd.input;
	enum text_change change = TEXT_LONGER;

	if (call->ussd.is_cumulative)
		change = text_new(g, s, call->ussd.input, &input);
	if (change == TEXT_BROKEN)
		return end_with(g, w, turn, call, s, "lost", reply);
	if (change == TEXT_SAME || is_repeat(call, s) || s->is_ended)
		return say_again(g, w, turn, call, s, reply);
	note_text(g, call, s);
	add_input(call, input, false);
	if (call->inputs_len == 0)
		add_input(call, STR(""), false);
	if (s->is_offering)
		return answer_resume(g, w, turn, call, s, reply);
	if (memcmp(s->service_hash, call->channel->service->hash, sizeof(s->service_hash)) != 0)
		return end_with(g, w, turn, call, s, "changed", reply);
	return hop_run(g, w, turn, call, s, reply);
}

/* Another dialogue under an id seen before, as the event or an empty dial text shows. */
static bool begins_anew(const struct hop_call *call, const struct session *s, int64_t now_ms)
{
	if (s->last_ms + call->channel->timeout_ms < now_ms)
		return true;
	if (call->ussd.event == HOP_NEW)
		return s->is_ended || s->text_len > 0 || s->journal.n > 0;
	return call->ussd.is_cumulative && call->ussd.input.n == 0 && s->text_len > 0;
}

static enum http_verdict busy(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, const char *key, struct http_reply *reply)
{
	struct hop_answer answer = hop_say(w, turn, call->channel, STR(""), key);

	g->stats.busy++;
	return hop_encode(g, w, turn, call, &answer, reply);
}

static enum http_verdict hop_take(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct hop_call *call, const struct session_key *key, struct http_reply *reply)
{
	int64_t now_ms = clock_wall_ms();
	struct session s;
	bool must_exist = call->ussd.event == HOP_INPUT;
	enum session_found found =
		session_take(g->sessions, key, must_exist, false, now_ms, &turn->arena, &s);

	CRASH_POINT("K2");
	if (found == SESSION_KNOWN && begins_anew(call, &s, now_ms)) {
		session_drop(g->sessions, &s);
		found = session_take(g->sessions, key, must_exist, true, now_ms, &turn->arena, &s);
	}
	switch (found) {
	case SESSION_NEW:
		return first_hop(g, w, turn, call, &s, reply);
	case SESSION_KNOWN:
		return next_hop(g, w, turn, call, &s, reply);
	case SESSION_BUSY:
		return busy(g, w, turn, call, "in_progress", reply);
	case SESSION_FULL:
		return busy(g, w, turn, call, "try_again", reply);
	case SESSION_ABSENT:
		break;
	}
	return busy(g, w, turn, call, "lost", reply);
}

/* ---- USSD --------------------------------------------------------------------------------------
 */

static enum http_verdict refuse(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct channel *channel, const struct err *err, struct http_reply *reply)
{
	struct hop_answer said = hop_say(w, turn, channel, STR(""), "broken");
	struct ussd_reply screen = {.text = said.text, .is_end = true, .is_error = true};
	struct http_call second = {0};

	g->stats.malformed++;
	log_event(g->log, "warn", "malformed", channel->name, str_c(err->text));
	if (dialect_ussd_encode(w->dialects, channel->dialect, NULL, &screen, &turn->arena, reply,
		    &second) != 0)
		*reply = (struct http_reply){
			.status = 400, .type = STR("text/plain"), .body = STR("malformed\n")};
	return HTTP_NOW;
}

/* Notices that want no screen. A session cancelled or timed out stays where it was, to be resumed.
 */
static enum http_verdict notice(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, const struct session_key *key, struct http_reply *reply)
{
	struct hop_answer answer = {.text = STR(""), .is_end = true};
	struct session s;

	if (call->ussd.event == HOP_PROBE &&
		session_take(g->sessions, key, true, false, clock_wall_ms(), &turn->arena, &s) ==
			SESSION_KNOWN) {
		answer.is_end = s.is_ended;
		session_put(g->sessions, &s);
	}
	return hop_encode(g, w, turn, call, &answer, reply);
}

enum http_verdict hop_ussd(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct channel *channel, struct str rest, struct http_reply *reply)
{
	struct hop_call *call = arena_alloc(&turn->arena, sizeof(*call));
	struct session_key key;
	struct err err = ERR_INIT;
	int rc;

	CRASH_POINT("K1");
	if (call == NULL)
		return HTTP_NOW;
	call->channel = channel;
	rc = dialect_ussd_decode(w->dialects, channel->dialect, &turn->request, rest, &turn->arena,
		&call->ussd, &err);
	if (rc != 0)
		return refuse(g, w, turn, channel, &err, reply);
	if (call->ussd.msisdn.n > 0 &&
		msisdn_parse_wire(call->ussd.msisdn, &channel->country->plan, &call->msisdn) != 0) {
		(void)err_set(&err, TAMA_EINVAL, "not an MSISDN");
		return refuse(g, w, turn, channel, &err, reply);
	}
	g->stats.hops++;
	key = (struct session_key){channel->name, call->ussd.session, str_c(call->msisdn.digits)};
	switch (call->ussd.event) {
	case HOP_AUTO:
	case HOP_NEW:
	case HOP_INPUT:
		return hop_take(g, w, turn, call, &key, reply);
	case HOP_CANCEL:
	case HOP_TIMEOUT:
	case HOP_REPORT:
	case HOP_PROBE:
		break;
	}
	return notice(g, w, turn, call, &key, reply);
}

/* ---- SMS ---------------------------------------------------------------------------------------
 */

/*
 * An MO belongs to the open dialogue of its number unless it begins with a keyword: then it begins
 * a new one. The same message id again is the same message.
 */
static enum http_verdict sms_take(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct hop_call *call, const struct session_key *key, struct http_reply *reply)
{
	int64_t now_ms = clock_wall_ms();
	struct str text = call->ussd.input;
	struct session s;
	enum session_found found =
		session_take(g->sessions, key, false, false, now_ms, &turn->arena, &s);
	bool is_same = found == SESSION_KNOWN && call->ussd.hop_id.n > 0 &&
		       str_eq(call->ussd.hop_id, s.hop_id);

	if (is_same)
		return say_again(g, w, turn, call, &s, reply);
	if (found == SESSION_KNOWN &&
		(s.is_ended || s.last_ms + call->channel->timeout_ms < now_ms ||
			menu_is_keyword(w->menus, call->channel->service, text))) {
		session_drop(g->sessions, &s);
		found = session_take(g->sessions, key, false, true, now_ms, &turn->arena, &s);
	}
	if (found == SESSION_BUSY || found == SESSION_FULL || found == SESSION_ABSENT)
		return busy(g, w, turn, call, found == SESSION_BUSY ? "in_progress" : "try_again",
			reply);
	if (found == SESSION_NEW)
		session_init(&s, call);
	note_text(g, call, &s);
	add_input(call, text, found == SESSION_NEW);
	if (call->channel->out_of_service)
		return end_with(g, w, turn, call, &s, "closed", reply);
	if (memcmp(s.service_hash, call->channel->service->hash, sizeof(s.service_hash)) != 0)
		return end_with(g, w, turn, call, &s, "changed", reply);
	return hop_run(g, w, turn, call, &s, reply);
}

enum http_verdict hop_sms(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct channel *channel, struct str rest, struct http_reply *reply)
{
	struct hop_call *call = arena_alloc(&turn->arena, sizeof(*call));
	struct session_key key;
	struct sms_event event;
	struct err err = ERR_INIT;
	int rc;

	if (call == NULL)
		return HTTP_NOW;
	call->channel = channel;
	call->is_sms = true;
	rc = dialect_sms_decode(w->dialects, channel->dialect, SMS_MO, &turn->request, rest,
		&turn->arena, &event, &err);
	if (rc == 0)
		rc = msisdn_parse_wire(event.from, &channel->country->plan, &call->msisdn);
	if (rc != 0) {
		g->stats.malformed++;
		log_event(g->log, "warn", "malformed", channel->name, str_c(err.text));
		*reply = (struct http_reply){
			.status = 400, .type = STR("text/plain"), .body = STR("malformed\n")};
		return HTTP_NOW;
	}
	g->stats.mos++;
	call->ussd.input = str_trim(event.text);
	call->ussd.hop_id = event.id;
	call->ussd.code = event.to;
	key = (struct session_key){channel->name, {NULL, 0}, str_c(call->msisdn.digits)};
	return sms_take(g, w, turn, call, &key, reply);
}
