/* USSD callbacks and screens; and the decoding that SMS shares. */
#include "dialect_priv.h"

#include <lauxlib.h>

/* ---- Decoding ---------------------------------------------------------------------------------
 */

struct decode_op {
	const struct decoding *decoding;
	const struct route *route;
	const struct opened *opened;
	struct reading *out;
	struct str reason; /* set when the function said nil */
};

static int run_decode(lua_State *L) /* [-1, +0, e] */
{
	struct decode_op *op = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, op->route->function);
	value_push_request(L, op->opened);
	lua_call(L, 1, 2);
	if (lua_isnil(L, -2))
		op->reason = value_reason(L, -1);
	else if (!lua_istable(L, -2))
		luaL_error(L, "%s: decode wants to return a table or nil, reason",
			op->decoding->dialect->name.p);
	else
		value_reading(L, -2, op->decoding->kind, op->out);
	return 0;
}

static int decode_by_function(const struct decoding *decoding, const struct route *route,
	const struct opened *opened, struct reading *out, struct err *err)
{
	struct decode_op op = {decoding, route, opened, out, {NULL, 0}};
	int rc = dialect_run(decoding->host, run_decode, &op, decoding->arena, err);
	if (rc != 0)
		return rc;
	if (op.reason.p != NULL)
		return err_set(err, TAMA_EINVAL, "%.*s", STR_ARG(op.reason));
	if (decoding->kind == READING_USSD && !out->has_word)
		return word_read(&route->word, opened, &out->word, err);
	return 0;
}

int dialect_decode(const struct decoding *decoding, const struct http_request *request,
	struct str rest, struct reading *out, struct err *err)
{
	struct opened opened = {.http = request, .rest = rest, .arena = decoding->arena};
	const struct route *route = NULL;
	*out = (struct reading){.word = 0};
	int rc = opened_read(&opened, decoding->routes, &route, err);
	if (rc == 0 && route->mapping != NULL)
		rc = mapping_read(route, &opened, out, err);
	else if (rc == 0)
		rc = decode_by_function(decoding, route, &opened, out, err);
	if (rc == 0)
		rc = reading_check(decoding->kind, out, decoding->arena, err);
	opened_close(&opened);
	/* A body past the limits is the sender's fault; the dialect's own limits come from the
	 * gate. */
	if (rc == TAMA_ELIMIT && route == NULL)
		rc = TAMA_EINVAL;
	return rc;
}

int dialect_ussd_decode(struct dialect_host *host, struct str name,
	const struct http_request *request, struct str rest, struct arena *arena,
	struct ussd_event *out, struct err *err)
{
	const struct dialect *dialect = dialect_find(host, DIALECT_USSD, name);
	if (dialect == NULL)
		return err_set(err, TAMA_ENOTFOUND, "no USSD dialect '%.*s'", STR_ARG(name));
	struct decoding decoding = {host, dialect, &dialect->routes, READING_USSD, arena};
	struct reading r;
	int rc = dialect_decode(&decoding, request, rest, &r, err);
	if (rc != 0)
		return rc;
	*out = (struct ussd_event){
		.event = (enum hop_event)r.word,
		.session = r.fields[FIELD_SESSION],
		.msisdn = r.fields[FIELD_MSISDN],
		.code = r.fields[FIELD_CODE],
		.input = r.fields[FIELD_INPUT],
		.has_input = r.has[FIELD_INPUT],
		.is_cumulative = r.is_cumulative,
		.hop_id = r.fields[FIELD_HOP],
		.network = r.fields[FIELD_NETWORK],
		.state = r.fields[FIELD_STATE],
		.echo = r.fields[FIELD_ECHO],
	};
	return 0;
}

/* ---- Encoding ---------------------------------------------------------------------------------
 */

static void reading_set(struct reading *reading, enum field field, struct str s)
{
	reading->fields[field] = s;
	reading->has[field] = s.p != NULL;
}

static struct reading reading_of(const struct ussd_event *event, const struct ussd_reply *reply)
{
	struct reading r = {.word = HOP_AUTO};
	reading_set(&r, FIELD_TEXT, reply->text);
	if (event == NULL)
		return r;
	reading_set(&r, FIELD_SESSION, event->session);
	reading_set(&r, FIELD_MSISDN, event->msisdn);
	reading_set(&r, FIELD_CODE, event->code);
	reading_set(&r, FIELD_INPUT, event->input);
	reading_set(&r, FIELD_HOP, event->hop_id);
	reading_set(&r, FIELD_NETWORK, event->network);
	reading_set(&r, FIELD_STATE, event->state);
	reading_set(&r, FIELD_ECHO, event->echo);
	r.has[FIELD_INPUT] = event->has_input;
	r.word = event->event;
	r.is_cumulative = event->is_cumulative;
	return r;
}

static enum answer_case answer_for_screen(const struct ussd_reply *reply)
{
	if (reply->is_error)
		return ANSWER_ERROR;
	return reply->is_end ? ANSWER_FINISH : ANSWER_CONTINUE;
}

static enum answer_case answer_for(const struct ussd_event *event, const struct ussd_reply *reply)
{
	if (event == NULL)
		return ANSWER_ERROR;
	switch (event->event) {
	case HOP_AUTO:
	case HOP_NEW:
	case HOP_INPUT:
		break;
	case HOP_CANCEL:
		return ANSWER_CANCEL;
	case HOP_TIMEOUT:
		return ANSWER_TIMEOUT;
	case HOP_REPORT:
		return ANSWER_REPORT;
	case HOP_PROBE:
		return reply->is_alive ? ANSWER_ALIVE : ANSWER_GONE;
	}
	return answer_for_screen(reply);
}

static int encode_by_data(const struct dialect *dialect, const struct ussd_event *event,
	const struct ussd_reply *reply, struct arena *arena, struct http_reply *out)
{
	enum answer_case which = answer_for(event, reply);
	const struct answer *answer = &dialect->answers[which];
	if (!answer->is_set && which == ANSWER_ERROR) {
		if (event == NULL)
			return TAMA_EINVAL;
		answer = &dialect->answers[ANSWER_FINISH];
	} else if (!answer->is_set && which >= ANSWER_CANCEL && which <= ANSWER_REPORT) {
		answer = &dialect->answers[ANSWER_ENDED];
	}
	if (!answer->is_set) {
		*out = (struct http_reply){
			.status = which == ANSWER_GONE ? 404 : 200, .body = STR("")};
		return 0;
	}
	struct reading reading = reading_of(event, reply);
	return answer_render(answer, &reading, arena, out);
}

struct encode_op {
	const struct dialect *dialect;
	const struct ussd_event *event;
	const struct ussd_reply *reply;
	struct http_reply *out;
	struct http_call *call_out;
	bool has_no_way;
};

static void push_ussd_reply(lua_State *L, const struct ussd_reply *reply)
{
	lua_createtable(L, 0, 4);
	value_set(L, "text",
		reply->text.p != NULL ? value_unmarked(reply->text, value_arena(L)) : STR(""));
	value_set_bool(L, "finish", reply->is_end);
	value_set_bool(L, "error", reply->is_error);
	value_set_bool(L, "alive", reply->is_alive);
}

static int run_encode(lua_State *L) /* [-1, +0, e] */
{
	struct encode_op *op = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, op->dialect->functions[FUNCTION_ENCODE]);
	if (op->event != NULL) {
		struct reading reading = reading_of(op->event, op->reply);
		reading.has[FIELD_TEXT] = false;
		value_push_reading(L, READING_USSD, &reading);
	} else {
		lua_pushnil(L);
	}
	push_ussd_reply(L, op->reply);
	lua_call(L, 2, 1);
	op->has_no_way = lua_isnil(L, -1);
	if (op->has_no_way)
		return 0;
	value_reply(L, -1, op->out);
	if (lua_getfield(L, -1, "call") != LUA_TNIL)
		value_call(L, -1, op->call_out);
	return 0;
}

int dialect_ussd_encode(struct dialect_host *host, struct str name, const struct ussd_event *event,
	const struct ussd_reply *reply, struct arena *arena, struct http_reply *out,
	struct http_call *call_out)
{
	const struct dialect *dialect = dialect_find(host, DIALECT_USSD, name);
	if (dialect == NULL)
		return TAMA_ENOTFOUND;
	*call_out = (struct http_call){.url = STR("")};
	if (dialect->functions[FUNCTION_ENCODE] == LUA_NOREF)
		return encode_by_data(dialect, event, reply, arena, out);
	struct http_reply made = {0};
	struct http_call call = {.url = STR("")};
	struct encode_op op = {dialect, event, reply, &made, &call, false};
	int rc = dialect_run(host, run_encode, &op, arena, NULL);
	if (rc != 0)
		return rc;
	if (op.has_no_way)
		return TAMA_EINVAL;
	*out = made;
	*call_out = call;
	return 0;
}
