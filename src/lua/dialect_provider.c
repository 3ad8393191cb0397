/*
 * Providers: requests, replies and IPNs. What a dialect says about money are facts, text as it
 * came; provider.c decides what they prove.
 */
#include "dialect_priv.h"

#include <lauxlib.h>

/* ---- What every call has in common ------------------------------------------------------------
 */

struct provider_op {
	const struct dialect *dialect;
	enum dialect_function function;
	const struct account *account;
	const struct provider_terms *terms;
	enum provider_call call;
	const struct opened *opened;
	unsigned status;
	struct str body;
	json_t *json;
	const struct facts *told; /* to ipn_reply */
	struct facts *facts;
	size_t rows_max, rows_len; /* of facts, for rows */
	struct http_call *call_out;
	struct http_reply *reply_out;
	struct provider_token *token_out;
	struct str reason; /* set when the function said nil */
};

static const char *const call_names[] = {[PROVIDER_SUBMIT] = "submit",
	[PROVIDER_STATUS] = "status",
	[PROVIDER_BALANCE] = "balance",
	[PROVIDER_LIST] = "list"};

static const struct {
	const char *name;
	size_t at;
	size_t max;
	bool is_prose;
} fact_rules[] = {
	{"word", offsetof(struct facts, word), 64, false},
	{"id", offsetof(struct facts, id), 128, false},
	{"our_ref", offsetof(struct facts, our_ref), 128, false},
	{"amount", offsetof(struct facts, amount), 64, false},
	{"currency", offsetof(struct facts, currency), 64, false},
	{"number", offsetof(struct facts, number), 64, false},
	{"service", offsetof(struct facts, service), 64, false},
	{"code", offsetof(struct facts, code), 160, true},
	{"text", offsetof(struct facts, text), 4096, true},
};

#define FACTS (sizeof(fact_rules) / sizeof(*fact_rules))

static struct str *fact_at(struct facts *facts, size_t i)
{
	return (struct str *)(void *)((char *)facts + fact_rules[i].at);
}

static int provider_dialect(struct dialect_host *host, const struct account *account,
	const struct dialect **out, struct err *err)
{
	struct str name = str_c(account->profile->name);
	*out = dialect_find(host, DIALECT_PROVIDER, name);
	return *out != NULL ? 0 : err_set(err, TAMA_ENOTFOUND, "no provider dialect '%s'", name.p);
}

/* 0; TAMA_ENOTFOUND when the dialect has no such function. */
static int provider_run(struct dialect_host *host, lua_CFunction body, struct provider_op *op,
	struct arena *arena, struct err *err)
{
	if (op->dialect->functions[op->function] == LUA_NOREF)
		return err_set(err, TAMA_ENOTFOUND, "%s has no such call", op->dialect->name.p);
	return dialect_run(host, body, op, arena, err);
}

/* Pushes the function first, so that its arguments can follow. */
static struct provider_op *begin(lua_State *L)
{
	struct provider_op *op = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, op->dialect->functions[op->function]);
	return op;
}

static void push_account(lua_State *L, const struct account *account)
{
	lua_createtable(L, 0, 4);
	value_set(L, "name", account->name);
	value_set(L, "base_url", account->base_url);
	if (account->currency != NULL)
		value_set(L, "currency", str_c(account->currency->code));
	lua_createtable(L, 0, (int)account->fields_len);
	for (size_t i = 0; i < account->fields_len; i++) {
		lua_pushlstring(L, account->fields[i].name.p, account->fields[i].name.n);
		lua_pushboolean(L, true);
		lua_rawset(L, -3);
	}
	lua_setfield(L, -2, "has");
}

/* What is unknown is nil, not "". */
static void set_known(lua_State *L, const char *name, struct str s)
{
	if (s.n > 0)
		value_set(L, name, s);
}

static void push_page(lua_State *L, const struct provider_page *page)
{
	if (page->number == 0)
		return;
	lua_pushinteger(L, page->number);
	lua_setfield(L, -2, "page");
	set_known(L, "from", page->from);
	set_known(L, "to", page->to);
	set_known(L, "listed", page->listed);
}

static void push_terms(lua_State *L, const struct provider_terms *terms)
{
	const struct attempt_terms *t = &terms->terms;
	char amount[MONEY_TEXT_MAX];
	lua_createtable(L, 0, 20);
	set_known(L, "verb", terms->verb);
	set_known(L, "our_ref", t->our_ref);
	set_known(L, "provider_id", t->provider_id);
	set_known(L, "number", str_c(t->number.digits));
	set_known(L, "national", t->national);
	set_known(L, "service", t->service);
	set_known(L, "ipn_url", terms->ipn_url);
	value_set_bool(L, "has_otp", terms->has_otp);
	push_page(L, &terms->page);
	if (t->currency != NULL) {
		money_format_wire(t->amount, t->currency, amount);
		value_set(L, "amount", str_c(amount));
		value_set(L, "currency", str_c(t->currency->code));
		lua_pushinteger(L, t->amount);
		lua_setfield(L, -2, "amount_minor");
	}
	push_account(L, terms->account);
	lua_setfield(L, -2, "account");
	value_set(L, "base_url", terms->account->base_url);
}

static void push_response(lua_State *L, const struct provider_op *op)
{
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, op->status);
	lua_setfield(L, -2, "status");
	value_set(L, "body", op->body.p != NULL ? op->body : STR(""));
	if (op->json != NULL) {
		lua_json_push(L, op->json);
		lua_setfield(L, -2, "json");
	}
}

/* With a function's two results on top: true for a table; nil, reason is noted; else an error. */
static bool has_table(lua_State *L, struct provider_op *op, const char *what)
{
	if (lua_isnil(L, -2)) {
		op->reason = value_reason(L, -1);
		return false;
	}
	if (!lua_istable(L, -2))
		luaL_error(L, "%s.%s wants to return a table or nil, reason", op->dialect->name.p,
			what);
	return true;
}

/* ---- Requests ---------------------------------------------------------------------------------
 */

static int run_request(lua_State *L) /* [-1, +0, e] */
{
	struct provider_op *op = begin(L);
	if (op->terms != NULL)
		push_terms(L, op->terms);
	else
		push_account(L, op->account);
	lua_call(L, 1, 2);
	if (has_table(L, op, "request"))
		value_call(L, -2, op->call_out);
	return 0;
}

static int make_call(struct dialect_host *host, struct provider_op *op, struct arena *arena,
	struct http_call *out, struct err *err)
{
	struct http_call made = {.url = STR("")};
	op->call_out = &made;
	int rc = provider_run(host, run_request, op, arena, err);
	if (rc == 0 && op->reason.p != NULL)
		rc = err_set(err, TAMA_ENOTFOUND, "%.*s", STR_ARG(op->reason));
	op->call_out = NULL;
	if (rc == 0)
		*out = made;
	return rc;
}

int dialect_provider_request(struct dialect_host *host, enum provider_call call,
	const struct provider_terms *terms, struct arena *arena, struct http_call *out,
	struct err *err)
{
	static const enum dialect_function functions[] = {[PROVIDER_SUBMIT] = FUNCTION_SUBMIT,
		[PROVIDER_STATUS] = FUNCTION_STATUS,
		[PROVIDER_BALANCE] = FUNCTION_BALANCE,
		[PROVIDER_LIST] = FUNCTION_LIST};
	struct provider_op op = {.function = functions[call], .account = terms->account};
	if (call != PROVIDER_BALANCE)
		op.terms = terms;
	int rc = provider_dialect(host, terms->account, &op.dialect, err);
	return rc != 0 ? rc : make_call(host, &op, arena, out, err);
}

int dialect_provider_login(struct dialect_host *host, const struct account *account,
	struct arena *arena, struct http_call *out, struct err *err)
{
	struct provider_op op = {.function = FUNCTION_LOGIN, .account = account};
	int rc = provider_dialect(host, account, &op.dialect, err);
	return rc != 0 ? rc : make_call(host, &op, arena, out, err);
}

/* ---- Answers ----------------------------------------------------------------------------------
 */

/* The facts in the table at index. */
static void read_facts(lua_State *L, int index, struct facts *out)
{
	for (size_t i = 0; i < FACTS; i++) {
		struct str s = value_text(L, index, "facts", fact_rules[i].name);
		bool is_fit = s.n <= fact_rules[i].max &&
			      (fact_rules[i].is_prose ? text_is_utf8(s) : text_is_ascii(s));
		/* A fact nobody can compare is as good as garbage, and says nothing else either. */
		if (!is_fit) {
			*out = (struct facts){.is_valid = false};
			return;
		}
		*fact_at(out, i) = s;
	}
	out->is_valid = true;
}

/* 0 and the response's JSON (NULL if it is none); a dialect cannot hold a longer body. */
static int read_response(
	struct provider_op *op, unsigned status, struct str body, struct arena *arena)
{
	op->status = status;
	op->body = body;
	if (body.n > LIMIT_LUA_STRING)
		return TAMA_ELIMIT;
	int rc = lua_json_parse(body, arena, &op->json, NULL);
	return rc == TAMA_ENOMEM ? rc : 0;
}

static int run_facts(lua_State *L) /* [-1, +0, e] */
{
	struct provider_op *op = begin(L);
	lua_pushstring(L, call_names[op->call]);
	push_terms(L, op->terms);
	push_response(L, op);
	lua_call(L, 3, 2);
	if (has_table(L, op, "reply"))
		read_facts(L, lua_gettop(L) - 1, op->facts);
	return 0;
}

int dialect_provider_reply(struct dialect_host *host, enum provider_call call,
	const struct provider_terms *terms, unsigned status, struct str body, struct arena *arena,
	struct facts *out, struct err *err)
{
	struct facts facts = {.is_valid = false};
	struct provider_op op = {
		.function = FUNCTION_REPLY, .terms = terms, .call = call, .facts = &facts};
	int rc = provider_dialect(host, terms->account, &op.dialect, err);
	if (rc != 0)
		return rc;
	rc = read_response(&op, status, body, arena);
	/* Too long or too deep to be what the provider documents. */
	if (rc == 0)
		rc = provider_run(host, run_facts, &op, arena, err);
	else if (rc == TAMA_ELIMIT)
		rc = 0;
	json_decref(op.json);
	if (rc == 0)
		*out = facts;
	return rc;
}

/* The list at index: each entry a table of facts. [-0, +0, e] */
static void read_rows(lua_State *L, int index, struct provider_op *op)
{
	size_t n = lua_rawlen(L, index);
	if (n > op->rows_max)
		luaL_error(L, "%s.reply gives more rows than a page may have", op->dialect->name.p);
	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TTABLE)
			luaL_error(L, "%s.reply wants a table for each row", op->dialect->name.p);
		read_facts(L, lua_gettop(L), &op->facts[i]);
		lua_pop(L, 1);
	}
	op->rows_len = n;
}

static int run_rows(lua_State *L) /* [-1, +0, e] */
{
	struct provider_op *op = begin(L);
	lua_pushliteral(L, "rows");
	push_terms(L, op->terms);
	push_response(L, op);
	lua_call(L, 3, 2);
	if (has_table(L, op, "reply"))
		read_rows(L, lua_gettop(L) - 1, op);
	return 0;
}

int dialect_provider_rows(struct dialect_host *host, const struct provider_terms *terms,
	unsigned status, struct str body, struct arena *arena, struct facts *out, size_t max,
	struct err *err)
{
	struct provider_op op = {.function = FUNCTION_REPLY,
		.terms = terms,
		.call = PROVIDER_LIST,
		.facts = out,
		.rows_max = max};
	int rc = provider_dialect(host, terms->account, &op.dialect, err);
	if (rc == 0)
		rc = read_response(&op, status, body, arena);
	if (rc == 0)
		rc = provider_run(host, run_rows, &op, arena, err);
	json_decref(op.json);
	if (rc == 0 && op.reason.p != NULL)
		rc = err_set(err, TAMA_EINVAL, "%.*s", STR_ARG(op.reason));
	return rc == 0 ? (int)op.rows_len : rc;
}

static int run_token(lua_State *L) /* [-1, +0, e] */
{
	struct provider_op *op = begin(L);
	push_response(L, op);
	push_account(L, op->account);
	lua_call(L, 2, 2);
	if (!has_table(L, op, "token"))
		return 0;
	struct str token = value_text(L, -2, "token", "token");
	if (token.n == 0 || token.n > 4096 || !text_is_ascii(token))
		luaL_error(L, "token.token wants 1 to 4096 printable characters");
	int is_integer = 0;
	lua_getfield(L, -2, "expires");
	lua_Integer expires = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || expires < 0 || expires > UINT32_MAX)
		luaL_error(L, "token.expires wants whole seconds");
	*op->token_out = (struct provider_token){token, (uint32_t)expires};
	return 0;
}

int dialect_provider_token(struct dialect_host *host, const struct account *account,
	unsigned status, struct str body, struct arena *arena, struct provider_token *out,
	struct err *err)
{
	struct provider_token token = {STR(""), 0};
	struct provider_op op = {
		.function = FUNCTION_TOKEN, .account = account, .token_out = &token};
	int rc = provider_dialect(host, account, &op.dialect, err);
	if (rc == 0)
		rc = read_response(&op, status, body, arena);
	if (rc == 0)
		rc = provider_run(host, run_token, &op, arena, err);
	json_decref(op.json);
	if (rc == 0 && op.reason.p != NULL)
		rc = err_set(err, TAMA_EINVAL, "%.*s", STR_ARG(op.reason));
	if (rc == 0)
		*out = token;
	return rc;
}

/* ---- IPN --------------------------------------------------------------------------------------
 */

static int run_ipn(lua_State *L) /* [-1, +0, e] */
{
	struct provider_op *op = begin(L);
	value_push_request(L, op->opened);
	push_account(L, op->account);
	lua_call(L, 2, 2);
	if (has_table(L, op, "ipn"))
		read_facts(L, lua_gettop(L) - 1, op->facts);
	return 0;
}

int dialect_provider_ipn(struct dialect_host *host, const struct account *account,
	const struct http_request *request, struct str rest, struct arena *arena, struct facts *out,
	struct err *err)
{
	struct facts facts = {.is_valid = false};
	struct provider_op op = {.function = FUNCTION_IPN, .account = account, .facts = &facts};
	int rc = provider_dialect(host, account, &op.dialect, err);
	if (rc != 0)
		return rc;
	struct opened opened = {.http = request, .rest = rest, .arena = arena};
	const struct route *route = NULL;
	rc = opened_read(&opened, &op.dialect->routes, &route, err);
	rc = rc == TAMA_ELIMIT ? TAMA_EINVAL : rc;
	op.opened = &opened;
	if (rc == 0)
		rc = provider_run(host, run_ipn, &op, arena, err);
	opened_close(&opened);
	if (rc == 0 && op.reason.p != NULL)
		rc = err_set(err, TAMA_EINVAL, "%.*s", STR_ARG(op.reason));
	if (rc == 0 && !facts.is_valid)
		rc = err_set(err, TAMA_EINVAL, "an IPN with a fact too long or not text");
	if (rc == 0)
		*out = facts;
	return rc;
}

static int run_ipn_reply(lua_State *L) /* [-1, +0, e] */
{
	struct provider_op *op = begin(L);
	struct facts told = *op->told;
	lua_createtable(L, 0, FACTS);
	for (size_t i = 0; i < FACTS; i++)
		set_known(L, fact_rules[i].name, *fact_at(&told, i));
	lua_call(L, 1, 1);
	value_reply(L, -1, op->reply_out);
	return 0;
}

int dialect_provider_ipn_reply(struct dialect_host *host, const struct account *account,
	const struct facts *facts, struct arena *arena, struct http_reply *out)
{
	struct http_reply made = {.status = 200, .body = STR("")};
	struct provider_op op = {.function = FUNCTION_IPN_REPLY,
		.account = account,
		.told = facts,
		.reply_out = &made};
	int rc = provider_dialect(host, account, &op.dialect, NULL);
	if (rc == 0)
		rc = provider_run(host, run_ipn_reply, &op, arena, NULL);
	/* A provider that wants no more than 200 needs no function. */
	if (rc == TAMA_ENOTFOUND && op.dialect != NULL)
		rc = 0;
	if (rc == 0)
		*out = made;
	return rc;
}
