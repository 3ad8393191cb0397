/* Loading a dialect: what all parts of it share, and its three kinds. */
#include "dialect_load_priv.h"

void *load_alloc(const struct loader *load, size_t n)
{
	void *p = arena_alloc(load->memory, n);
	if (p == NULL)
		luaL_error(load->L, "the dialects need more memory than there is");
	return p;
}

struct str load_copy(const struct loader *load, int index)
{
	struct str s;
	s.p = lua_tolstring(load->L, index, &s.n);
	struct str copy = arena_str(load->memory, s);
	if (copy.p == NULL)
		luaL_error(load->L, "the dialects need more memory than there is");
	return copy;
}

void load_check_keys(const struct loader *load, int index, const char *names)
{
	lua_State *L = load->L;
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "%s: entries want names, one of: %s", load->where, names);
		struct str rest = str_c(names);
		struct str key;
		key.p = lua_tolstring(L, -2, &key.n);
		bool is_known = false;
		while (rest.p != NULL && !is_known)
			is_known = str_eq(str_cut(&rest, ' '), key);
		if (!is_known)
			luaL_error(L, "%s: unknown key '%s'; there are: %s", load->where, key.p,
				names);
	}
}

struct str load_text(const struct loader *load, int index, const char *name)
{
	lua_State *L = load->L;
	struct str s = {NULL, 0};
	int type = lua_getfield(L, index, name);
	if (type == LUA_TSTRING)
		s = load_copy(load, -1);
	else if (type != LUA_TNIL)
		luaL_error(L, "%s.%s wants text", load->where, name);
	lua_pop(L, 1);
	return s;
}

int load_function(const struct loader *load, int index, const char *name)
{
	lua_State *L = load->L;
	int type = lua_getfield(L, index, name);
	if (type == LUA_TFUNCTION)
		return luaL_ref(L, LUA_REGISTRYINDEX);
	if (type != LUA_TNIL)
		luaL_error(L, "%s.%s wants a function", load->where, name);
	lua_pop(L, 1);
	return LUA_NOREF;
}

/* ---- The three kinds --------------------------------------------------------------------------
 */

static void load_ussd(struct loader *load, int index)
{
	lua_State *L = load->L;
	load_check_keys(load, index, "kind name title method path body event decode routes encode");
	if (lua_getfield(L, index, "routes") == LUA_TTABLE)
		load->dialect->routes = load_routes(load, lua_gettop(L), index, READING_USSD);
	else
		load->dialect->routes = load_routes(load, index, 0, READING_USSD);
	lua_pop(L, 1);
	if (lua_getfield(L, index, "encode") == LUA_TTABLE) {
		load_encode(load, lua_gettop(L));
	} else if (lua_isfunction(L, -1)) {
		load->dialect->functions[FUNCTION_ENCODE] = luaL_ref(L, LUA_REGISTRYINDEX);
		return;
	} else {
		luaL_error(L, "encode wants templates or a function");
	}
	lua_pop(L, 1);
}

/* t[name] as routes; none if it is not there. */
static struct routes load_named_routes(
	struct loader *load, int index, const char *name, enum reading_kind kind)
{
	lua_State *L = load->L;
	struct routes routes = {NULL, 0};
	load->where = name;
	int type = lua_getfield(L, index, name);
	if (type == LUA_TTABLE) {
		if (lua_rawlen(L, -1) == 0)
			load_check_keys(load, lua_gettop(L), ROUTE_KEYS);
		routes = load_routes(load, lua_gettop(L), 0, kind);
	} else if (type != LUA_TNIL) {
		luaL_error(L, "%s wants a route or a list of routes", name);
	}
	lua_pop(L, 1);
	return routes;
}

static void load_sms(struct loader *load, int index)
{
	lua_State *L = load->L;
	struct dialect *d = load->dialect;
	load_check_keys(load, index, "kind name title mo dlr reply submit verdict");
	d->routes = load_named_routes(load, index, "mo", READING_MO);
	d->dlr = load_named_routes(load, index, "dlr", READING_DLR);
	load->where = "dialect";
	d->functions[FUNCTION_SUBMIT] = load_function(load, index, "submit");
	d->functions[FUNCTION_VERDICT] = load_function(load, index, "verdict");
	d->answers[ANSWER_CONTINUE].status = 200;
	lua_getfield(L, index, "reply");
	bool is_function = lua_isfunction(L, -1);
	lua_pop(L, 1);
	if (is_function)
		d->functions[FUNCTION_REPLY] = load_function(load, index, "reply");
	else
		load_answer(load, index, "reply", &d->answers[ANSWER_CONTINUE]);
}

static void load_provider(struct loader *load, int index)
{
	struct dialect *d = load->dialect;
	load_check_keys(load, index,
		"kind name title body submit status balance list login token reply ipn "
		"ipn_reply");
	static const struct {
		enum dialect_function function;
		const char *name;
	} functions[] = {
		{FUNCTION_SUBMIT, "submit"},
		{FUNCTION_STATUS, "status"},
		{FUNCTION_BALANCE, "balance"},
		{FUNCTION_LIST, "list"},
		{FUNCTION_LOGIN, "login"},
		{FUNCTION_TOKEN, "token"},
		{FUNCTION_REPLY, "reply"},
		{FUNCTION_IPN, "ipn"},
		{FUNCTION_IPN_REPLY, "ipn_reply"},
	};
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		d->functions[functions[i].function] = load_function(load, index, functions[i].name);
	if (d->functions[FUNCTION_SUBMIT] == LUA_NOREF || d->functions[FUNCTION_REPLY] == LUA_NOREF)
		luaL_error(load->L, "a provider wants at least the functions submit and reply");
	if ((d->functions[FUNCTION_LOGIN] == LUA_NOREF) !=
		(d->functions[FUNCTION_TOKEN] == LUA_NOREF))
		luaL_error(load->L, "login and token go together");
	struct route *route = load_alloc(load, sizeof(*route));
	*route = (struct route){.method = STR("POST"), .path = STR("*"), .function = LUA_NOREF};
	route->body = load_body(load, index);
	d->routes = (struct routes){route, 1};
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", s.p[i]) == NULL)
			return false;
	return s.n > 0 && s.n <= 32;
}

void dialect_load(lua_State *L, struct dialect_host *host, struct dialect *out)
{
	struct loader load = {L, &host->memory, out, "dialect"};
	int index = lua_gettop(L);
	if (!lua_istable(L, index))
		luaL_error(L, "a dialect's file ends with: return dialect { ... }");
	for (unsigned i = 0; i < FUNCTION_COUNT; i++)
		out->functions[i] = LUA_NOREF;
	out->name = load_text(&load, index, "name");
	if (!is_name(out->name))
		luaL_error(L, "name wants 1 to 32 of a-z 0-9 _ -");
	struct str kind = load_text(&load, index, "kind");
	if (str_eq(kind, STR("ussd"))) {
		out->kind = DIALECT_USSD;
		load_ussd(&load, index);
	} else if (str_eq(kind, STR("sms"))) {
		out->kind = DIALECT_SMS;
		load_sms(&load, index);
	} else if (str_eq(kind, STR("provider"))) {
		out->kind = DIALECT_PROVIDER;
		load_provider(&load, index);
	} else {
		luaL_error(L, "kind wants \"ussd\", \"sms\" or \"provider\"");
	}
	lua_settop(L, index - 1);
}
