/*
 * SMS: a message belongs to the open dialogue of its number unless it begins with a keyword; then
 * it begins a new one. The same message id again is the same message.
 */
#include "hop.h"

#include "tama/gsm7.h"

/* The service that the first word names on this channel, else the channel's own. */
static const struct service *service_named(const struct exchange *x, struct str text)
{
	const struct channel *channel = x->call->channel;
	struct str folded = gsm7_fold(text, &x->turn->arena);
	const struct service *service;
	char word[32] = "";
	size_t n = 0;

	while (n < folded.n && n < sizeof(word) - 1 &&
		((folded.p[n] >= 'A' && folded.p[n] <= 'Z') ||
			(folded.p[n] >= '0' && folded.p[n] <= '9'))) {
		word[n] = (char)(folded.p[n] >= 'A' ? folded.p[n] - 'A' + 'a' : folded.p[n]);
		n++;
	}
	service = channel_keyword(channel, (struct str){word, n});
	return service != NULL ? service : channel->service;
}

/* The service that the dialogue began with, if the channel still leads to that version of it. */
static const struct service *service_of(const struct channel *channel, const struct session *s)
{
	for (size_t i = 0; i < channel->keywords_len; i++)
		if (memcmp(channel->keywords[i].service->hash, s->service_hash,
			    sizeof(s->service_hash)) == 0)
			return channel->keywords[i].service;
	return channel->service;
}

static bool begins_anew(const struct exchange *x, const struct session *s, int64_t now_ms)
{
	struct str text = x->call->ussd.input;

	return s->is_ended || s->last_ms + x->call->channel->timeout_ms < now_ms ||
	       menu_is_keyword(x->worker->menus, service_named(x, text), text);
}

static enum session_found take(const struct exchange *x, const struct session_key *key,
	struct session *s, struct hop_answer *answer)
{
	int64_t now_ms = clock_wall_ms();
	struct str id = x->call->ussd.hop_id;
	enum session_found found;
	enum hop_join join = JOIN_NONE;

	do {
		found = session_take(
			x->gateway->sessions, key, false, false, now_ms, &x->turn->arena, s);
		if (found == SESSION_BUSY)
			join = hop_join(x, key, answer);
	} while (found == SESSION_BUSY && join == JOIN_NONE);
	if (found == SESSION_BUSY && join == JOIN_OTHER)
		*answer = hop_busy(x, "in_progress");
	if (found != SESSION_KNOWN || (id.n > 0 && str_eq(id, s->hop_id)) ||
		!begins_anew(x, s, now_ms))
		return found;
	session_drop(x->gateway->sessions, s);
	return session_take(x->gateway->sessions, key, false, true, now_ms, &x->turn->arena, s);
}

static struct hop_answer message(const struct exchange *x, struct session *s, bool is_new)
{
	struct hop_call *call = x->call;
	bool is_same = !is_new && call->ussd.hop_id.n > 0 && str_eq(call->ussd.hop_id, s->hop_id);

	call->service = is_new ? service_named(x, call->ussd.input) : service_of(call->channel, s);
	if (is_same)
		return hop_say_again(x, s);
	if (is_new) {
		s->lang = call->channel->lang;
		memcpy(s->service_hash, call->service->hash, sizeof(s->service_hash));
	}
	s->hop_id = call->ussd.hop_id;
	s->last_ms = clock_wall_ms();
	hop_add_input(
		call, call->ussd.input.n <= LIMIT_INPUT_BYTES ? call->ussd.input : STR(""), is_new);
	if (call->channel->out_of_service)
		return hop_end(x, s, "closed");
	return hop_has_changed(x, s) ? hop_end(x, s, "changed") : hop_run(x, s);
}

static struct hop_answer hop_take(const struct exchange *x, const struct session_key *key)
{
	struct hop_answer answer = {.is_end = true};
	struct session s;
	enum session_found found = take(x, key, &s, &answer);

	if (found == SESSION_NEW || found == SESSION_KNOWN)
		return message(x, &s, found == SESSION_NEW);
	return found == SESSION_BUSY ? answer : hop_busy(x, "try_again");
}

static int read_call(const struct exchange *x, struct str rest, struct err *err)
{
	struct hop_call *call = x->call;
	const struct channel *channel = call->channel;
	struct sms_event event;
	int rc = dialect_sms_decode(x->worker->dialects, channel->dialect, SMS_MO,
		&x->turn->request, rest, &x->turn->arena, &event, err);

	if (rc != 0)
		return rc;
	if (msisdn_parse_wire(event.from, &channel->country->plan, &call->msisdn) != 0)
		return err_set(err, TAMA_EINVAL, "not an MSISDN");
	call->ussd.input = str_trim(event.text);
	call->ussd.hop_id = event.id;
	call->ussd.code = event.to;
	call->input_mac = session_text_mac(x->gateway->sessions, call->ussd.input);
	return 0;
}

enum http_verdict hop_sms(const struct exchange *from, const struct channel *channel,
	struct str rest, struct http_reply *reply)
{
	struct exchange x = *from;
	struct session_key key;
	struct hop_answer answer;
	struct err err = ERR_INIT;

	x.call = hop_call_new(x.turn, channel, true);
	if (x.call == NULL)
		return HTTP_NOW;
	if (read_call(&x, rest, &err) != 0) {
		x.gateway->stats.malformed++;
		log_event(x.gateway->log, "warn", "malformed", channel->name, str_c(err.text));
		*reply = (struct http_reply){
			.status = 400, .type = STR("text/plain"), .body = STR("malformed\n")};
		return HTTP_NOW;
	}
	x.gateway->stats.mos++;
	key = (struct session_key){channel->name, {NULL, 0}, str_c(x.call->msisdn.digits)};
	answer = hop_take(&x, &key);
	return hop_reply(&x, &answer, reply);
}
