/* USSD: a callback to an event, the session it belongs to, and what the person typed. */
#include "hop.h"

#include "tama/crash.h"

/* ---- what was typed ----------------------------------------------------------------------------
 */

/* Digits that came together: each an input that answers no confirmation and no secret. */
static void add_pretyped(struct hop_call *call, struct str text)
{
	while (text.n > 0) {
		struct str one = str_cut(&text, '*');

		if (one.n > 0)
			hop_add_input(call, one, true);
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

static void note_text(const struct exchange *x, struct session *s)
{
	const struct ussd_event *e = &x->call->ussd;

	s->hop_id = e->hop_id;
	s->last_ms = clock_wall_ms();
	if (!e->is_cumulative)
		return;
	s->text_len = (uint32_t)e->input.n;
	s->text_mac = x->call->input_mac;
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
	const struct exchange *x, const struct session *s, struct str *input_out)
{
	struct str text = x->call->ussd.input;
	struct str before = {text.p, s->text_len};
	size_t skip = s->text_len > 0 ? (size_t)s->text_len + 1 : 0;

	if (text.n < s->text_len)
		return TEXT_BROKEN;
	if (s->text_mac != 0 && session_text_mac(x->gateway->sessions, before) != s->text_mac)
		return TEXT_BROKEN;
	if (text.n == s->text_len)
		return TEXT_SAME;
	if (s->text_len > 0 && text.p[s->text_len] != '*')
		return TEXT_BROKEN;
	*input_out = str_from(text, skip);
	return TEXT_LONGER;
}

/* ---- which session -----------------------------------------------------------------------------
 */

static void session_init(const struct exchange *x, struct session *s)
{
	s->lang = x->call->channel->lang;
	s->code = x->call->ussd.code;
	s->network = x->call->ussd.network;
	memcpy(s->service_hash, x->call->service->hash, sizeof(s->service_hash));
}

static struct hop_answer lost(const struct exchange *x)
{
	x->gateway->stats.lost++;
	return hop_say(x, STR(""), "lost");
}

static struct hop_answer first_hop(const struct exchange *x, struct session *s)
{
	struct hop_call *call = x->call;
	struct str extra;

	/* A format that tells the number once only: what we knew of this one is gone. */
	if (s->msisdn.digits[0] == '\0') {
		session_drop(x->gateway->sessions, s);
		return lost(x);
	}
	session_init(x, s);
	note_text(x, s);
	if (call->ussd.code.n > 0 && !code_is_ours(call->channel, call->ussd.code, &extra)) {
		x->gateway->stats.unknown_code++;
		return hop_end(x, s, "unknown_code");
	}
	if (call->ussd.code.n > 0)
		add_pretyped(call, extra);
	if (call->ussd.is_cumulative)
		add_pretyped(call, call->ussd.input);
	if (call->channel->out_of_service)
		return hop_end(x, s, "closed");
	return hop_may_resume(x, s) ? hop_ask_resume(x, s) : hop_run(x, s);
}

static bool is_repeat(const struct hop_call *call, const struct session *s)
{
	const struct ussd_event *e = &call->ussd;

	/* A dialogue that has begun begins again only when it has gone on since (begins_anew). */
	if (e->event == HOP_NEW || s->is_ended)
		return true;
	/* Where nothing shows it, "1" twice may be two answers. */
	return e->hop_id.n > 0 && str_eq(e->hop_id, s->hop_id);
}

/* What does not go on from what we read: the session stays as it is, to be resumed. */
static struct hop_answer text_broken(const struct exchange *x, struct session *s)
{
	struct hop_answer answer = hop_say(x, s->lang, "lost");

	session_put(x->gateway->sessions, s);
	return answer;
}

static struct hop_answer next_hop(const struct exchange *x, struct session *s)
{
	struct str input = x->call->ussd.input;
	enum text_change change = TEXT_LONGER;

	if (x->call->ussd.is_cumulative)
		change = text_new(x, s, &input);
	if (change == TEXT_BROKEN)
		return text_broken(x, s);
	if (change == TEXT_SAME || is_repeat(x->call, s))
		return hop_say_again(x, s);
	note_text(x, s);
	/* One that is too long for us is an answer all the same, and a wrong one. */
	hop_add_input(x->call, input.n <= LIMIT_INPUT_BYTES ? input : STR(""), false);
	if (s->is_offering)
		return hop_answer_resume(x, s);
	return hop_has_changed(x, s) ? hop_end(x, s, "changed") : hop_run(x, s);
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

/* A hop that finds its session suspended may be the same again: it gets the same answer. */
static enum session_found take(const struct exchange *x, const struct session_key *key,
	struct session *s, struct hop_answer *answer)
{
	bool must_exist = x->call->ussd.event == HOP_INPUT;
	int64_t now_ms = clock_wall_ms();
	enum session_found found;
	enum hop_join join = JOIN_NONE;

	do {
		found = session_take(
			x->gateway->sessions, key, must_exist, false, now_ms, &x->turn->arena, s);
		if (found == SESSION_BUSY)
			join = hop_join(x, key, answer);
	} while (found == SESSION_BUSY && join == JOIN_NONE);
	if (found == SESSION_BUSY && join == JOIN_OTHER)
		*answer = hop_busy(x, "in_progress");
	if (found != SESSION_KNOWN || !begins_anew(x->call, s, now_ms))
		return found;
	session_drop(x->gateway->sessions, s);
	return session_take(
		x->gateway->sessions, key, must_exist, true, now_ms, &x->turn->arena, s);
}

static struct hop_answer hop_take(const struct exchange *x, const struct session_key *key)
{
	struct hop_answer answer = {.is_end = true};
	struct session s;
	enum session_found found = take(x, key, &s, &answer);

	CRASH_POINT("K2");
	switch (found) {
	case SESSION_NEW:
		return first_hop(x, &s);
	case SESSION_KNOWN:
		return next_hop(x, &s);
	case SESSION_BUSY:
		return answer;
	case SESSION_FULL:
		return hop_busy(x, "try_again");
	case SESSION_ABSENT:
		break;
	}
	return lost(x);
}

/* ---- the edge ----------------------------------------------------------------------------------
 */

/* Malformed: an end screen where the format has one without knowing more, else 400 (trap 13). */
static enum http_verdict refuse(
	const struct exchange *x, const struct err *err, struct http_reply *reply)
{
	const struct channel *channel = x->call->channel;
	struct hop_answer said = hop_say(x, STR(""), "broken");
	struct ussd_reply screen = {.text = said.text, .is_end = true, .is_error = true};
	struct http_call second = {0};

	x->gateway->stats.malformed++;
	log_event(x->gateway->log, "warn", "malformed", channel->name, str_c(err->text));
	if (dialect_ussd_encode(x->worker->dialects, channel->dialect, NULL, &screen,
		    &x->turn->arena, reply, &second) != 0)
		*reply = (struct http_reply){
			.status = 400, .type = STR("text/plain"), .body = STR("malformed\n")};
	return HTTP_NOW;
}

/*
 * Notices that want no screen. A session cancelled or timed out stays where it was, to be resumed.
 */
static struct hop_answer notice(const struct exchange *x, const struct session_key *key)
{
	struct hop_answer answer = {.text = STR(""), .is_end = true};
	struct session s;
	enum session_found found;

	if (x->call->ussd.event != HOP_PROBE)
		return answer;
	found = session_take(
		x->gateway->sessions, key, true, false, clock_wall_ms(), &x->turn->arena, &s);
	answer.is_end = found != SESSION_BUSY;
	if (found == SESSION_KNOWN) {
		answer.is_end = s.is_ended;
		session_put(x->gateway->sessions, &s);
	}
	return answer;
}

static int read_call(const struct exchange *x, struct str rest, struct err *err)
{
	struct hop_call *call = x->call;
	const struct channel *channel = call->channel;
	struct ussd_event *e = &call->ussd;
	int rc = dialect_ussd_decode(x->worker->dialects, channel->dialect, &x->turn->request, rest,
		&x->turn->arena, e, err);

	if (rc != 0)
		return rc;
	if (e->msisdn.n > 0 &&
		msisdn_parse_wire(e->msisdn, &channel->country->plan, &call->msisdn) != 0)
		return err_set(err, TAMA_EINVAL, "not an MSISDN");
	if (e->msisdn.n == 0 && e->session.n == 0)
		return err_set(err, TAMA_EINVAL, "neither a session nor an MSISDN");
	/* Nobody's session: it would be offered to the next nobody. */
	if (e->msisdn.n == 0 && e->event == HOP_NEW)
		return err_set(err, TAMA_EINVAL, "a session begins without an MSISDN");
	call->input_mac = session_text_mac(x->gateway->sessions, e->input);
	return 0;
}

enum http_verdict hop_ussd(const struct exchange *from, const struct channel *channel,
	struct str rest, struct http_reply *reply)
{
	struct exchange x = *from;
	struct session_key key;
	struct hop_answer answer;
	struct err err = ERR_INIT;

	CRASH_POINT("K1");
	x.call = hop_call_new(x.turn, channel, false);
	if (x.call == NULL)
		return HTTP_NOW;
	if (read_call(&x, rest, &err) != 0)
		return refuse(&x, &err, reply);
	x.gateway->stats.hops++;
	key = (struct session_key){
		channel->name, x.call->ussd.session, str_c(x.call->msisdn.digits)};
	switch (x.call->ussd.event) {
	case HOP_AUTO:
	case HOP_NEW:
	case HOP_INPUT:
		answer = hop_take(&x, &key);
		break;
	case HOP_CANCEL:
	case HOP_TIMEOUT:
	case HOP_REPORT:
	case HOP_PROBE:
		answer = notice(&x, &key);
		break;
	}
	return hop_reply(&x, &answer, reply);
}
