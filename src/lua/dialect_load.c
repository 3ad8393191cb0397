/*
 * Reads a dialect's table into C once, at load. Every key is looked at: one that we do not know is
 * an error that says which there are, for a misspelt key would otherwise be silence. All of this
 * runs inside the gate, so it raises Lua errors; memory is the host's arena.
 */
#include "dialect_priv.h"

#include <lauxlib.h>

struct loader {
	lua_State *L;
	struct arena *memory;
	struct dialect *dialect;
	const char *where; /* "decode", for messages */
};

#define SOURCES_MAX 8
#define ROUTES_MAX 32
#define WORDS_MAX 32
#define HEADERS_MAX 16

static void *load_alloc(const struct loader *load, size_t n)
{
	void *p = arena_alloc(load->memory, n);
	if (p == NULL)
		luaL_error(load->L, "the dialects need more memory than there is");
	return p;
}

static struct str load_copy(const struct loader *load, int index)
{
	struct str s;
	s.p = lua_tolstring(load->L, index, &s.n);
	struct str copy = arena_str(load->memory, s);
	if (copy.p == NULL)
		luaL_error(load->L, "the dialects need more memory than there is");
	return copy;
}

/* Only the names in the blank-separated list may be keys of the table at index. */
static void check_keys(const struct loader *load, int index, const char *names)
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

/* t[name] as text, or {NULL, 0} if there is none. */
static struct str load_text(const struct loader *load, int index, const char *name)
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

/* t[name] as a registry reference to a function, or LUA_NOREF. */
static int load_function(const struct loader *load, int index, const char *name)
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

/* ---- Sources ----------------------------------------------------------------------------------
 */

static struct source plain_source(enum body_kind body, struct str name)
{
	enum source_kind kind = SOURCE_QUERY;
	if (body == BODY_FORM)
		kind = SOURCE_FORM;
	else if (body == BODY_JSON)
		kind = SOURCE_JSON;
	return (struct source){.kind = kind, .name = name};
}

static struct source load_source(const struct loader *load, int index, enum body_kind body)
{
	static const char *const kinds[] = {[SOURCE_QUERY] = "query",
		[SOURCE_FORM] = "form",
		[SOURCE_JSON] = "json",
		[SOURCE_HEADER] = "header",
		[SOURCE_COOKIE] = "cookie",
		[SOURCE_PATH] = "path",
		[SOURCE_BODY] = "body"};
	if (lua_type(load->L, index) != LUA_TSTRING)
		luaL_error(load->L, "%s: a source wants a name or \"kind:name\"", load->where);
	struct str rest = load_copy(load, index);
	if (str_find(rest, ':') < 0)
		return plain_source(body, rest);
	struct str kind = str_cut(&rest, ':');
	struct source source = {.name = rest};
	unsigned k = 0;
	while (k < sizeof(kinds) / sizeof(*kinds) && !str_eq(kind, str_c(kinds[k])))
		k++;
	int64_t place = 0;
	if (k == sizeof(kinds) / sizeof(*kinds))
		luaL_error(load->L,
			"%s: no source '%s'; there are: query form json header cookie "
			"path body",
			load->where, lua_tostring(load->L, index));
	source.kind = (enum source_kind)k;
	if (source.kind == SOURCE_PATH &&
		(str_to_i64(rest, &place) == false || place < 1 || place > OPENED_SEGMENTS))
		luaL_error(
			load->L, "%s: path: wants the number of a segment, 1 or more", load->where);
	if ((source.kind == SOURCE_FORM && body != BODY_FORM) ||
		(source.kind == SOURCE_JSON && body != BODY_JSON))
		luaL_error(load->L, "%s: source '%s' wants body = \"%s\"", load->where,
			lua_tostring(load->L, index), kinds[k]);
	source.index = (size_t)place;
	return source;
}

/* The value on top of the stack: one source or a list of them. [-1, +0, e] */
static struct sources load_sources(const struct loader *load, enum body_kind body)
{
	lua_State *L = load->L;
	bool is_list = lua_istable(L, -1);
	size_t n = is_list ? lua_rawlen(L, -1) : 1;
	if (n == 0 || n > SOURCES_MAX)
		luaL_error(L, "%s: a list of sources has 1 to %d", load->where, SOURCES_MAX);
	struct source *list = load_alloc(load, n * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		if (is_list)
			lua_rawgeti(L, -1, (lua_Integer)i + 1);
		else
			lua_pushvalue(L, -1);
		list[i] = load_source(load, -1, body);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return (struct sources){list, n};
}

/* ---- Words ------------------------------------------------------------------------------------
 */

/* The word on top of the stack; nil gives `absent`. [-1, +0, e] */
static int load_word(const struct loader *load, enum reading_kind kind, int absent)
{
	lua_State *L = load->L;
	size_t n;
	const char *const *words = reading_words(kind, &n);
	int word = absent;
	if (!lua_isnil(L, -1)) {
		struct str s = STR("");
		if (lua_type(L, -1) == LUA_TSTRING)
			s.p = lua_tolstring(L, -1, &s.n);
		for (word = 0; (size_t)word < n && !str_eq(s, str_c(words[word])); word++)
			;
		if ((size_t)word == n)
			luaL_error(L, "%s: no such event or state: '%s'", load->where, s.p);
	}
	lua_pop(L, 1);
	return word;
}

static void load_word_values(
	const struct loader *load, int index, enum reading_kind kind, struct word_map *map)
{
	lua_State *L = load->L;
	if (lua_getfield(L, index, "values") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	luaL_argcheck(L, lua_istable(L, -1), 1, "values wants { value = \"word\", ... }");
	struct word_value *values = load_alloc(load, WORDS_MAX * sizeof(*values));
	int table = lua_gettop(L);
	lua_pushnil(L);
	while (lua_next(L, table) != 0) {
		if (lua_type(L, -2) != LUA_TSTRING || map->values_len == WORDS_MAX)
			luaL_error(L, "%s: values wants at most %d strings as names", load->where,
				WORDS_MAX);
		values[map->values_len].value = load_copy(load, -2);
		values[map->values_len++].word = load_word(load, kind, WORD_MALFORMED);
	}
	map->values = values;
	lua_pop(L, 1);
}

/* t[name]: a word, or where it is said. */
static struct word_map load_word_map(
	const struct loader *load, int index, enum reading_kind kind, enum body_kind body)
{
	lua_State *L = load->L;
	const char *name = kind == READING_DLR ? "state" : "event";
	struct word_map map = {.other = WORD_MALFORMED, .none = WORD_MALFORMED};
	if (lua_getfield(L, index, name) != LUA_TTABLE) {
		map.none = load_word(load, kind, kind == READING_USSD ? HOP_AUTO : WORD_MALFORMED);
		return map;
	}
	int table = lua_gettop(L);
	check_keys(load, table, "from values other none");
	if (lua_getfield(L, table, "from") == LUA_TNIL)
		luaL_error(L, "%s: %s wants from = \"field\"", load->where, name);
	map.from = load_sources(load, body);
	load_word_values(load, table, kind, &map);
	lua_getfield(L, table, "other");
	map.other = load_word(load, kind, WORD_MALFORMED);
	lua_getfield(L, table, "none");
	map.none = load_word(load, kind, WORD_MALFORMED);
	lua_pop(L, 1);
	return map;
}

/* ---- Mappings and routes ----------------------------------------------------------------------
 */

static const char *mapping_keys(enum reading_kind kind)
{
	switch (kind) {
	case READING_USSD:
		return "session msisdn code input hop network state echo cumulative required";
	case READING_MO:
		return "id from to text required";
	case READING_DLR:
		return "id ref state required";
	}
	return "";
}

static bool field_is_of(unsigned field, enum reading_kind kind)
{
	return (field_rules[field].kinds & (1u << kind)) != 0;
}

static unsigned load_required(const struct loader *load, int index, enum reading_kind kind)
{
	lua_State *L = load->L;
	unsigned bits = 0;
	if (lua_getfield(L, index, "required") == LUA_TNIL) {
		lua_pop(L, 1);
		return 0;
	}
	if (!lua_istable(L, -1))
		luaL_error(L, "%s.required wants a list of words", load->where);
	for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
		unsigned f = 0;
		struct str name = STR("");
		if (lua_rawgeti(L, -1, i) == LUA_TSTRING)
			name.p = lua_tolstring(L, -1, &name.n);
		while (f < FIELD_COUNT &&
			!(field_is_of(f, kind) && str_eq(name, str_c(field_rules[f].name))))
			f++;
		if (f == FIELD_COUNT)
			luaL_error(L, "%s.required: no such word '%s'", load->where, name.p);
		bits |= 1u << f;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return bits;
}

/* The mapping at index. */
static const struct mapping *load_mapping(
	const struct loader *load, int index, enum reading_kind kind, enum body_kind body)
{
	lua_State *L = load->L;
	struct mapping *mapping = load_alloc(load, sizeof(*mapping));
	check_keys(load, index, mapping_keys(kind));
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		/* "state" of a report is a word, not a field. */
		if (!field_is_of(f, kind))
			continue;
		if (lua_getfield(L, index, field_rules[f].name) == LUA_TNIL)
			lua_pop(L, 1);
		else
			mapping->fields[f] = load_sources(load, body);
	}
	mapping->required = load_required(load, index, kind);
	lua_getfield(L, index, "cumulative");
	mapping->is_cumulative = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return mapping;
}

static enum body_kind load_body(const struct loader *load, int index)
{
	struct str s = load_text(load, index, "body");
	if (s.p == NULL)
		return BODY_NONE;
	if (str_eq(s, STR("form")))
		return BODY_FORM;
	if (str_eq(s, STR("json")))
		return BODY_JSON;
	if (!str_eq(s, STR("text")))
		luaL_error(
			load->L, "%s.body: no '%s'; there are: form json text", load->where, s.p);
	return BODY_TEXT;
}

/* The route at index; decode may come from the table at `outer` (0: none). */
static void load_route(
	const struct loader *load, int index, int outer, enum reading_kind kind, struct route *out)
{
	lua_State *L = load->L;
	*out = (struct route){.function = LUA_NOREF, .body = load_body(load, index)};
	out->method = load_text(load, index, "method");
	if (out->method.p == NULL)
		out->method = STR("*");
	out->path = load_text(load, index, "path");
	if (out->path.p == NULL)
		out->path = STR("/");
	if (out->path.p[0] != '/' && !str_eq(out->path, STR("*")))
		luaL_error(L, "%s.path begins with '/', or is \"*\"", load->where);
	if (lua_getfield(L, index, "decode") == LUA_TNIL && outer != 0) {
		lua_pop(L, 1);
		lua_getfield(L, outer, "decode");
	}
	int decode = lua_gettop(L);
	if (lua_isfunction(L, decode)) {
		if (kind == READING_USSD)
			out->word = load_word_map(load, index, kind, out->body);
		out->function = luaL_ref(L, LUA_REGISTRYINDEX);
		return;
	}
	if (!lua_istable(L, decode))
		luaL_error(L, "%s.decode wants a mapping or a function", load->where);
	if (kind != READING_MO)
		out->word =
			load_word_map(load, kind == READING_DLR ? decode : index, kind, out->body);
	out->mapping = load_mapping(load, decode, kind, out->body);
	lua_pop(L, 1);
}

#define ROUTE_KEYS "method path body event decode"

/* The table at index is a list of routes, or has the fields of the only one. */
static struct routes load_routes(
	const struct loader *load, int index, int outer, enum reading_kind kind)
{
	lua_State *L = load->L;
	size_t n = lua_rawlen(L, index);
	if (n > ROUTES_MAX)
		luaL_error(L, "%s: at most %d routes", load->where, ROUTES_MAX);
	struct route *list = load_alloc(load, (n == 0 ? 1 : n) * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TTABLE)
			luaL_error(L, "%s: route %d wants a table", load->where, (int)i + 1);
		check_keys(load, lua_gettop(L), ROUTE_KEYS);
		load_route(load, lua_gettop(L), outer, kind, &list[i]);
		lua_pop(L, 1);
	}
	if (n == 0)
		load_route(load, index, 0, kind, &list[0]);
	return (struct routes){list, n == 0 ? 1 : n};
}

/* ---- Answers ----------------------------------------------------------------------------------
 */

/* The literal up to the next "${" or the field in "${field}"; *rest moves on. */
static struct piece cut_piece(const struct loader *load, struct str *rest)
{
	struct piece piece = {.field = FIELD_COUNT};
	size_t n = 0;
	while (n < rest->n && !(rest->p[n] == '$' && n + 1 < rest->n && rest->p[n + 1] == '{'))
		n++;
	if (n > 0) {
		piece.literal = (struct str){rest->p, n};
		*rest = str_from(*rest, n);
		return piece;
	}
	struct str name = str_from(*rest, 2);
	ptrdiff_t end = str_find(name, '}');
	if (end >= 0) {
		name.n = (size_t)end;
		unsigned f = 0;
		while (f < FIELD_COUNT && !str_eq(name, str_c(field_rules[f].name)))
			f++;
		piece.field = (enum field)f;
	}
	if (piece.field == FIELD_COUNT)
		luaL_error(load->L, "%s: no such ${word} in '%s'", load->where, rest->p);
	*rest = str_from(*rest, name.n + 3);
	return piece;
}

static struct template load_template(
	const struct loader *load, struct str source, enum escape escape)
{
	size_t max = 1;
	for (size_t i = 0; i < source.n; i++)
		max += 2 * (source.p[i] == '$');
	struct piece *pieces = load_alloc(load, max * sizeof(*pieces));
	size_t n = 0;
	for (struct str rest = source; rest.n > 0; n++)
		pieces[n] = cut_piece(load, &rest);
	return (struct template){pieces, n, escape};
}

static void load_answer_headers(const struct loader *load, int index, struct answer *out)
{
	lua_State *L = load->L;
	if (lua_getfield(L, index, "headers") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	size_t n = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
	if (n == 0 || n > HEADERS_MAX)
		luaL_error(L, "%s.headers wants 1 to %d of { \"Name\", \"value\" }", load->where,
			HEADERS_MAX);
	struct answer_header *headers = load_alloc(load, n * sizeof(*headers));
	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TTABLE ||
			lua_rawgeti(L, -1, 1) != LUA_TSTRING ||
			lua_rawgeti(L, -2, 2) != LUA_TSTRING)
			luaL_error(L, "%s.headers wants { \"Name\", \"value\" }", load->where);
		headers[i].name = load_copy(load, -2);
		if (!value_is_header_name(headers[i].name))
			luaL_error(L, "%s.headers: '%s' is not a dialect's to set", load->where,
				headers[i].name.p);
		headers[i].value = load_template(load, load_copy(load, -1), ESCAPE_NONE);
		lua_pop(L, 3);
	}
	out->headers = headers;
	out->headers_len = n;
	lua_pop(L, 1);
}

/* What an answer and the whole of encode have in common. */
static void load_answer_head(const struct loader *load, int index, struct answer *out)
{
	lua_State *L = load->L;
	int is_integer = 1;
	if (lua_getfield(L, index, "status") != LUA_TNIL) {
		lua_Integer status = lua_tointegerx(L, -1, &is_integer);
		if (!is_integer || status < 200 || status > 599)
			luaL_error(L, "%s.status wants 200 to 599", load->where);
		out->status = (unsigned)status;
	}
	lua_pop(L, 1);
	struct str type = load_text(load, index, "type");
	if (type.p != NULL)
		out->type = type;
	if (!value_is_header_value(out->type))
		luaL_error(L, "%s.type wants printable ASCII", load->where);
	load_answer_headers(load, index, out);
}

static struct template load_answer_body(const struct loader *load, int index)
{
	lua_State *L = load->L;
	if (lua_getfield(L, index, "json") != LUA_TNIL) {
		struct text text = {.arena = load->memory};
		lua_json_write_top(L, -1, &text);
		lua_pop(L, 1);
		return load_template(load, (struct str){text.p, text.n}, ESCAPE_JSON);
	}
	lua_pop(L, 1);
	struct str xml = load_text(load, index, "xml");
	if (xml.p != NULL)
		return load_template(load, xml, ESCAPE_XML);
	struct str plain = load_text(load, index, "text");
	return load_template(load, plain, ESCAPE_NONE);
}

/* t[name] into out, which holds what is shared. */
static void load_answer(const struct loader *load, int index, const char *name, struct answer *out)
{
	lua_State *L = load->L;
	int type = lua_getfield(L, index, name);
	if (type == LUA_TSTRING) {
		out->body = load_template(load, load_copy(load, -1), ESCAPE_NONE);
	} else if (type == LUA_TTABLE) {
		int table = lua_gettop(L);
		check_keys(load, table, "status type headers text json xml");
		load_answer_head(load, table, out);
		out->body = load_answer_body(load, table);
	} else if (type != LUA_TNIL) {
		luaL_error(L, "%s.%s wants a template", load->where, name);
	}
	out->is_set = type != LUA_TNIL;
	lua_pop(L, 1);
}

static void load_encode(struct loader *load, int index)
{
	static const char *const names[] = {[ANSWER_CONTINUE] = "continue",
		[ANSWER_FINISH] = "finish",
		[ANSWER_ERROR] = "error",
		[ANSWER_ENDED] = "ended",
		[ANSWER_CANCEL] = "cancel",
		[ANSWER_TIMEOUT] = "timeout",
		[ANSWER_REPORT] = "report",
		[ANSWER_ALIVE] = "alive",
		[ANSWER_GONE] = "gone"};
	load->where = "encode";
	check_keys(load, index,
		"status type headers continue finish error ended cancel timeout "
		"report alive gone");
	struct answer shared = {.status = 200};
	load_answer_head(load, index, &shared);
	for (unsigned i = 0; i < ANSWER_COUNT; i++) {
		load->dialect->answers[i] = shared;
		load_answer(load, index, names[i], &load->dialect->answers[i]);
	}
	if (!load->dialect->answers[ANSWER_CONTINUE].is_set ||
		!load->dialect->answers[ANSWER_FINISH].is_set)
		luaL_error(load->L, "encode wants continue and finish");
}

/* ---- The three kinds --------------------------------------------------------------------------
 */

static void load_ussd(struct loader *load, int index)
{
	lua_State *L = load->L;
	check_keys(load, index, "kind name title method path body event decode routes encode");
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
			check_keys(load, lua_gettop(L), ROUTE_KEYS);
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
	check_keys(load, index, "kind name title mo dlr reply submit verdict");
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
	check_keys(load, index,
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
