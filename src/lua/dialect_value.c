/* The tables that dialect functions get and return. What they return is checked field by field. */
#include "dialect_priv.h"

#include <ctype.h>
#include <lauxlib.h>

#define HEADERS_MAX 16
#define HEADER_VALUE_MAX 1024
#define URL_MAX 2048
#define REASON_MAX 200

struct arena *value_arena(lua_State *L)
{
	struct dialect_host *host = lua_gate_context(L);
	tama_assert(host != NULL && host->turn != NULL);
	return host->turn;
}

static struct str keep(lua_State *L, struct str s)
{
	struct str copy = arena_str(value_arena(L), s);
	if (copy.p == NULL)
		luaL_error(L, "no room for the turn");
	return copy;
}

/* ---- To Lua -----------------------------------------------------------------------------------
 */

static void push_str(lua_State *L, struct str s)
{
	lua_pushlstring(L, s.p != NULL ? s.p : "", s.n);
}

void value_set(lua_State *L, const char *name, struct str s)
{
	if (s.p == NULL)
		return;
	push_str(L, s);
	lua_setfield(L, -2, name);
}

void value_set_bool(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

/* The first of a repeated name stays. */
static void set_first(lua_State *L, struct str name, struct str value)
{
	push_str(L, name);
	lua_pushvalue(L, -1);
	if (lua_rawget(L, -3) == LUA_TNIL) {
		lua_pop(L, 1);
		push_str(L, value);
		lua_rawset(L, -3);
	} else {
		lua_pop(L, 2);
	}
}

static void set_form(lua_State *L, const char *name, const struct form *form)
{
	lua_createtable(L, 0, (int)form->n);
	for (size_t i = 0; i < form->n; i++)
		set_first(L, form->fields[i].name, form->fields[i].value);
	lua_setfield(L, -2, name);
}

static void set_headers(lua_State *L, const struct http_request *http)
{
	lua_createtable(L, 0, (int)http->fields_len);
	for (size_t i = 0; i < http->fields_len; i++) {
		struct str name = keep(L, http->fields[i].name);
		char *p = arena_alloc(value_arena(L), name.n);
		if (p == NULL)
			luaL_error(L, "no room for the turn");
		for (size_t j = 0; j < name.n; j++)
			p[j] = (char)tolower((unsigned char)name.p[j]);
		set_first(L, (struct str){p, name.n}, http->fields[i].value);
	}
	lua_setfield(L, -2, "headers");
}

void value_push_request(lua_State *L, const struct opened *opened)
{
	const struct http_request *http = opened->http;
	lua_createtable(L, 0, 12);
	value_set(L, "method", http->method);
	value_set(L, "target", http->path);
	value_set(L, "rest", opened->rest.p != NULL ? opened->rest : STR(""));
	value_set(L, "peer", http->peer);
	value_set(L, "body", http->body.p != NULL ? http->body : STR(""));
	lua_createtable(L, (int)opened->segments_len, 0);
	for (size_t i = 0; i < opened->segments_len; i++) {
		push_str(L, opened->segments[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "path");
	set_form(L, "query", &opened->query);
	set_form(L, "cookies", &opened->cookies);
	set_headers(L, http);
	if (opened->body == BODY_FORM)
		set_form(L, "form", &opened->form);
	if (opened->json != NULL) {
		lua_json_push(L, opened->json);
		lua_setfield(L, -2, "json");
	}
}

void value_push_reading(lua_State *L, enum reading_kind kind, const struct reading *reading)
{
	size_t n;
	const char *const *words = reading_words(kind, &n);
	lua_createtable(L, 0, 12);
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		if (reading->has[f])
			value_set(L, field_rules[f].name,
				value_unmarked(reading->fields[f], value_arena(L)));
	tama_assert(kind == READING_USSD && (size_t)reading->word < n);
	value_set(L, "event", str_c(words[reading->word]));
	value_set_bool(L, "cumulative", reading->is_cumulative);
}

struct str value_unmarked(struct str s, struct arena *arena)
{
	struct text out = {.arena = arena};
	size_t from = 0;
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i - 1] != '{' || s.p[i] != '{')
			continue;
		text_add(&out, (struct str){s.p + from, i - from});
		text_add(&out, STR(" "));
		from = i;
	}
	if (from == 0)
		return s;
	text_add(&out, str_from(s, from));
	/* Out of room nothing is better than a mark. */
	return out.has_failed ? (struct str){"", 0} : (struct str){out.p, out.n};
}

/* ---- From Lua ---------------------------------------------------------------------------------
 */

struct str value_text(lua_State *L, int index, const char *what, const char *name)
{
	struct str s = {NULL, 0};
	int type = lua_getfield(L, index, name);
	if (type == LUA_TSTRING || lua_isinteger(L, -1)) {
		s.p = lua_tolstring(L, -1, &s.n);
		s = keep(L, s);
	} else if (type != LUA_TNIL &&
		   !(type == LUA_TLIGHTUSERDATA && lua_touserdata(L, -1) == NULL)) {
		luaL_error(L, "%s.%s wants text, not a %s", what, name,
			type == LUA_TNUMBER ? "float" : luaL_typename(L, -1));
	}
	lua_pop(L, 1);
	return s;
}

static bool value_bool(lua_State *L, int index, const char *what, const char *name)
{
	int type = lua_getfield(L, index, name);
	if (type != LUA_TBOOLEAN && type != LUA_TNIL)
		luaL_error(L, "%s.%s wants true or false", what, name);
	bool value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

struct str value_reason(lua_State *L, int index)
{
	struct str s = STR("not of this format");
	if (lua_type(L, index) == LUA_TSTRING)
		s.p = lua_tolstring(L, index, &s.n);
	if (s.n > REASON_MAX)
		s.n = REASON_MAX;
	char *p = arena_alloc(value_arena(L), s.n + 1);
	if (p == NULL)
		luaL_error(L, "no room for the turn");
	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] < 0x20 || s.p[i] > 0x7E ? '?' : s.p[i];
	return (struct str){p, s.n};
}

void value_reading(lua_State *L, int index, enum reading_kind kind, struct reading *out)
{
	size_t n;
	const char *const *words = reading_words(kind, &n);
	index = lua_absindex(L, index);
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		if ((field_rules[f].kinds & (1u << kind)) == 0)
			continue;
		out->fields[f] = value_text(L, index, "event", field_rules[f].name);
		out->has[f] = out->fields[f].p != NULL;
	}
	if (n == 0)
		return;
	const char *name = kind == READING_DLR ? "state" : "event";
	struct str word = value_text(L, index, "event", name);
	out->is_cumulative = kind == READING_USSD && value_bool(L, index, "event", "cumulative");
	if (word.p == NULL)
		return;
	int w = 0;
	while ((size_t)w < n && !str_eq(word, str_c(words[w])))
		w++;
	if ((size_t)w == n)
		luaL_error(L, "event.%s: no such word", name);
	out->word = w;
	out->has_word = true;
}

bool value_is_header_name(struct str name)
{
	/* RFC 9110 §5.6.2: a token. */
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '\0' || (!isalnum((unsigned char)name.p[i]) &&
						 strchr("!#$%&'*+-.^_`|~", name.p[i]) == NULL))
			return false;
	static const char *const ours[] = {
		"Content-Length", "Transfer-Encoding", "Connection", "Host", "Content-Type"};
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (str_eq_nocase(name, str_c(ours[i])))
			return false;
	return name.n > 0 && name.n <= 64;
}

bool value_is_header_value(struct str value)
{
	return value.n <= HEADER_VALUE_MAX && text_is_ascii(value);
}

static int compare_fields(const void *a, const void *b)
{
	const struct http_field *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int order = memcmp(x->name.p, y->name.p, n);
	return order != 0 ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* The pair of strings on top of the stack. */
static void read_field(lua_State *L, const char *what, struct http_field *out)
{
	if (lua_type(L, -2) != LUA_TSTRING ||
		!(lua_type(L, -1) == LUA_TSTRING || lua_isinteger(L, -1)))
		luaL_error(L, "%s.headers wants { \"Name\", \"value\" }", what);
	struct str name, value;
	name.p = lua_tolstring(L, -2, &name.n);
	if (!value_is_header_name(name))
		luaL_error(
			L, "%s.headers: a name that is no token or not a dialect's to set", what);
	value.p = lua_tolstring(L, -1, &value.n);
	if (!value_is_header_value(value))
		luaL_error(L, "%s.headers: '%s' wants printable ASCII, at most %d bytes", what,
			name.p, HEADER_VALUE_MAX);
	*out = (struct http_field){keep(L, name), keep(L, value)};
}

/* The table on top of the stack into fields; returns how many. */
static size_t read_fields(lua_State *L, const char *what, struct http_field *fields)
{
	int table = lua_gettop(L);
	size_t n = lua_rawlen(L, table);
	bool is_list = n > 0;
	if (!is_list)
		for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
			n++;
	if (n > HEADERS_MAX)
		luaL_error(L, "%s.headers: more than %d", what, HEADERS_MAX);
	for (size_t i = 0; i < n && is_list; i++) {
		if (lua_rawgeti(L, table, (lua_Integer)i + 1) != LUA_TTABLE)
			luaL_error(L, "%s.headers wants { \"Name\", \"value\" }", what);
		lua_rawgeti(L, -1, 1);
		lua_rawgeti(L, -2, 2);
		read_field(L, what, &fields[i]);
		lua_pop(L, 3);
	}
	if (is_list)
		return n;
	size_t at = 0;
	for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
		read_field(L, what, &fields[at++]);
	qsort(fields, n, sizeof(*fields), compare_fields);
	return n;
}

/* Room for one more, which a call's Content-Type takes. */
static struct http_field *value_headers(lua_State *L, int index, const char *what, size_t *len_out)
{
	struct http_field *fields =
		arena_alloc(value_arena(L), (HEADERS_MAX + 1) * sizeof(*fields));
	if (fields == NULL)
		luaL_error(L, "no room for the turn");
	*len_out = 0;
	int type = lua_getfield(L, index, "headers");
	if (type == LUA_TTABLE)
		*len_out = read_fields(L, what, fields);
	else if (type != LUA_TNIL)
		luaL_error(L, "%s.headers wants a table", what);
	lua_pop(L, 1);
	return fields;
}

/* body or json; *type_out becomes JSON's where nothing else was said. */
static struct str value_body(lua_State *L, int index, const char *what, struct str *type_out)
{
	struct str body = value_text(L, index, what, "body");
	*type_out = value_text(L, index, what, "type");
	if (!value_is_header_value(*type_out))
		luaL_error(L, "%s.type wants printable ASCII", what);
	if (lua_getfield(L, index, "json") != LUA_TNIL) {
		struct text text = {.arena = value_arena(L)};
		if (body.p != NULL)
			luaL_error(L, "%s has both body and json", what);
		lua_json_write_top(L, -1, &text);
		body = (struct str){text.p, text.n};
		if (type_out->p == NULL)
			*type_out = STR("application/json");
	}
	lua_pop(L, 1);
	if (body.n > LIMIT_LUA_STRING)
		luaL_error(L, "%s.body is longer than %d bytes", what, LIMIT_LUA_STRING);
	return body.p != NULL ? body : STR("");
}

void value_reply(lua_State *L, int index, struct http_reply *out)
{
	index = lua_absindex(L, index);
	if (!lua_istable(L, index))
		luaL_error(L, "a reply wants a table, not a %s", luaL_typename(L, index));
	int is_integer = 1;
	out->status = 200;
	if (lua_getfield(L, index, "status") != LUA_TNIL) {
		lua_Integer status = lua_tointegerx(L, -1, &is_integer);
		if (!is_integer || status < 200 || status > 599)
			luaL_error(L, "reply.status wants 200 to 599");
		out->status = (unsigned)status;
	}
	lua_pop(L, 1);
	out->body = value_body(L, index, "reply", &out->type);
	out->fields = value_headers(L, index, "reply", &out->fields_len);
}

static bool is_method(struct str s)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (str_eq(s, str_c(methods[i])))
			return true;
	return false;
}

static bool is_url(struct str s)
{
	if (s.n > URL_MAX || !text_is_ascii(s) || str_find(s, ' ') >= 0)
		return false;
	return str_has_prefix(s, STR("https://")) || str_has_prefix(s, STR("http://"));
}

void value_call(lua_State *L, int index, struct http_call *out)
{
	index = lua_absindex(L, index);
	if (!lua_istable(L, index))
		luaL_error(L, "a call wants a table, not a %s", luaL_typename(L, index));
	out->method = value_text(L, index, "call", "method");
	if (!is_method(out->method))
		luaL_error(L, "call.method wants GET, POST, PUT, DELETE or PATCH");
	out->url = value_text(L, index, "call", "url");
	if (!is_url(out->url))
		luaL_error(L, "call.url wants http:// or https://, printable, at most %d bytes",
			URL_MAX);
	struct str type;
	out->body = value_body(L, index, "call", &type);
	struct http_field *fields = value_headers(L, index, "call", &out->fields_len);
	if (type.n > 0) {
		memmove(fields + 1, fields, out->fields_len * sizeof(*fields));
		fields[0] = (struct http_field){STR("Content-Type"), type};
		out->fields_len++;
	}
	out->fields = fields;
}
