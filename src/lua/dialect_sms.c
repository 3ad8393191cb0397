/* SMS gateways: messages and reports in, the request that sends an SMS out. */
#include "dialect_priv.h"

#include <lauxlib.h>

static int sms_dialect(
	struct dialect_host *host, struct str name, const struct dialect **out, struct err *err)
{
	*out = dialect_find(host, DIALECT_SMS, name);
	return *out != NULL ? 0
			    : err_set(err, TAMA_ENOTFOUND, "no SMS dialect '%.*s'", STR_ARG(name));
}

int dialect_sms_decode(struct dialect_host *host, struct str name, enum sms_event_kind expect,
	const struct http_request *request, struct str rest, struct arena *arena,
	struct sms_event *out, struct err *err)
{
	const struct dialect *dialect;
	int rc = sms_dialect(host, name, &dialect, err);
	if (rc != 0)
		return rc;
	bool is_mo = expect == SMS_MO;
	struct decoding decoding = {host, dialect, is_mo ? &dialect->routes : &dialect->dlr,
		is_mo ? READING_MO : READING_DLR, arena};
	struct reading r;
	rc = dialect_decode(&decoding, request, rest, &r, err);
	if (rc != 0)
		return rc;
	*out = (struct sms_event){
		.kind = expect,
		.id = r.fields[FIELD_ID],
		.from = r.fields[FIELD_FROM],
		.to = r.fields[FIELD_TO],
		.text = r.fields[FIELD_TEXT],
		.ref = r.fields[FIELD_REF],
		.state = (enum dlr_state)r.word,
	};
	return 0;
}

/* ---- The answer to an MO ----------------------------------------------------------------------
 */

struct reply_op {
	const struct dialect *dialect;
	struct str text;
	struct http_reply *out;
};

static int run_reply(lua_State *L) /* [-1, +0, e] */
{
	struct reply_op *op = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, op->dialect->functions[FUNCTION_REPLY]);
	lua_pushlstring(L, op->text.p != NULL ? op->text.p : "", op->text.n);
	lua_call(L, 1, 1);
	value_reply(L, -1, op->out);
	return 0;
}

int dialect_sms_reply(struct dialect_host *host, struct str name, struct str text,
	struct arena *arena, struct http_reply *out)
{
	const struct dialect *dialect;
	int rc = sms_dialect(host, name, &dialect, NULL);
	if (rc != 0)
		return rc;
	if (dialect->functions[FUNCTION_REPLY] == LUA_NOREF) {
		struct reading reading = {.word = 0};
		reading.fields[FIELD_TEXT] = text;
		return answer_render(&dialect->answers[ANSWER_CONTINUE], &reading, arena, out);
	}
	struct http_reply made = {0};
	struct reply_op op = {dialect, text, &made};
	rc = dialect_run(host, run_reply, &op, arena, NULL);
	if (rc == 0)
		*out = made;
	return rc;
}

/* ---- Sending ----------------------------------------------------------------------------------
 */

struct submit_op {
	const struct dialect *dialect;
	const struct channel *channel;
	const struct sms_message *message;
	struct http_call *out;
};

/* url and sender are told; all other fields count as secrets, of which only the names are. */
static void push_channel(lua_State *L, const struct channel *channel)
{
	lua_createtable(L, 0, 4);
	value_set(L, "name", channel->name);
	lua_createtable(L, 0, (int)channel->fields_len);
	for (size_t i = 0; i < channel->fields_len; i++) {
		lua_pushlstring(L, channel->fields[i].name.p, channel->fields[i].name.n);
		lua_pushboolean(L, true);
		lua_rawset(L, -3);
	}
	lua_setfield(L, -2, "has");
	for (size_t i = 0; i < channel->fields_len; i++) {
		const struct account_field *field = &channel->fields[i];
		if (str_eq(field->name, STR("url")))
			value_set(L, "url", field->value);
		else if (str_eq(field->name, STR("sender")))
			value_set(L, "sender", field->value);
	}
}

static int run_submit(lua_State *L) /* [-1, +0, e] */
{
	struct submit_op *op = lua_touserdata(L, 1);
	const struct sms_message *m = op->message;
	lua_rawgeti(L, LUA_REGISTRYINDEX, op->dialect->functions[FUNCTION_SUBMIT]);
	lua_createtable(L, 0, 4);
	value_set(L, "to", m->to);
	value_set(L, "text", m->text.p != NULL ? value_unmarked(m->text, value_arena(L)) : STR(""));
	value_set(L, "ref", m->ref);
	value_set(L, "dlr_url", m->dlr_url);
	push_channel(L, op->channel);
	lua_call(L, 2, 1);
	value_call(L, -1, op->out);
	return 0;
}

int dialect_sms_submit(struct dialect_host *host, const struct channel *channel,
	const struct sms_message *message, struct arena *arena, struct http_call *out,
	struct err *err)
{
	const struct dialect *dialect;
	int rc = sms_dialect(host, channel->dialect, &dialect, err);
	if (rc != 0)
		return rc;
	if (dialect->functions[FUNCTION_SUBMIT] == LUA_NOREF)
		return err_set(err, TAMA_ENOTFOUND, "%s: cannot send", dialect->name.p);
	struct http_call made = {.url = STR("")};
	struct submit_op op = {dialect, channel, message, &made};
	rc = dialect_run(host, run_submit, &op, arena, err);
	if (rc == 0)
		*out = made;
	return rc;
}

/* ---- What the gateway answered ----------------------------------------------------------------
 */

struct verdict_op {
	const struct dialect *dialect;
	unsigned status;
	struct str body;
	enum sms_verdict verdict;
};

static int run_verdict(lua_State *L) /* [-1, +0, e] */
{
	static const char *const words[] = {[SMS_SENT] = "sent",
		[SMS_REFUSED] = "refused",
		[SMS_RETRY] = "retry",
		[SMS_DOUBT] = "doubt"};
	struct verdict_op *op = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, op->dialect->functions[FUNCTION_VERDICT]);
	lua_pushinteger(L, op->status);
	lua_pushlstring(L, op->body.p != NULL ? op->body.p : "", op->body.n);
	lua_call(L, 2, 1);
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), words[i]) == 0)
			op->verdict = (enum sms_verdict)i;
	return 0;
}

enum sms_verdict dialect_sms_verdict(
	struct dialect_host *host, struct str name, unsigned status, struct str body)
{
	const struct dialect *dialect = dialect_find(host, DIALECT_SMS, name);
	if (dialect == NULL || dialect->functions[FUNCTION_VERDICT] == LUA_NOREF)
		return SMS_DOUBT;
	/* No gateway says anything of worth past the first lines. */
	if (body.n > LIMIT_LUA_SUBJECT)
		body.n = LIMIT_LUA_SUBJECT;
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	struct verdict_op op = {dialect, status, body, SMS_DOUBT};
	int rc = dialect_run(host, run_verdict, &op, &arena, NULL);
	arena_fini(&arena);
	return rc == 0 ? op.verdict : SMS_DOUBT;
}
