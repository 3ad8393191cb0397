/*
 * The string library of scripts: find, match, gmatch and gsub on the bounded matcher, rep and
 * format with a bound on what they make, and the harmless rest of Lua's own. pack, unpack and dump
 * are absent.
 */
#include "lua_priv.h"

#include <lauxlib.h>
#include <lualib.h>

/* Bytes of a plain search that cost one unit. */
#define PLAIN_BYTES_PER_UNIT 16

/* One search: the compiled pattern and the run over the subject. */
struct search {
	struct pattern pattern;
	struct pattern_run run;
	struct str subject;
};

static struct str check_text(lua_State *L, int index)
{
	struct str s;
	s.p = luaL_checklstring(L, index, &s.n);
	return s;
}

/* Compiles the pattern at pattern_index for the subject; raises when one goes past its bound. */
static void search_init(lua_State *L, struct search *search, struct str subject, struct str pattern,
	bool has_anchor)
{
	if (pattern.n > LIMIT_LUA_PATTERN)
		lua_gate_stop(L, "a pattern is longer than %d bytes", LIMIT_LUA_PATTERN);
	if (subject.n > LIMIT_LUA_SUBJECT)
		lua_gate_stop(L, "a text searched by a pattern is longer than %d bytes",
			LIMIT_LUA_SUBJECT);
	const char *wrong = pattern_compile(&search->pattern, pattern, has_anchor);
	if (wrong != NULL)
		luaL_error(L, "%s", wrong);
	search->subject = subject;
	pattern_run_init(&search->run, &search->pattern, subject);
}

/* The end of the match at this offset, or PATTERN_NONE; pays for the steps. */
static ptrdiff_t search_at(lua_State *L, struct search *search, size_t offset)
{
	size_t before = search->run.steps;
	ptrdiff_t end = pattern_match_at(&search->run, offset);
	lua_gate_charge(L, search->run.steps - before);
	if (end == PATTERN_STEPS)
		lua_gate_stop(L, "a pattern takes more than %d steps", LIMIT_LUA_MATCH_STEPS);
	return end;
}

/* Where a search from the 1-based, perhaps negative position starts, 0-based; past the end as n
 * + 1. */
static size_t start_offset(lua_Integer position, size_t n)
{
	if (position > 0)
		return (size_t)position - 1 <= n ? (size_t)position - 1 : n + 1;
	if (position == 0 || position < -(lua_Integer)n)
		return 0;
	return n - (size_t)-position;
}

static void push_capture(lua_State *L, const struct search *search, unsigned i)
{
	const struct pattern_capture *capture = &search->run.captures[i];
	if (capture->is_position)
		lua_pushinteger(L, (lua_Integer)capture->start + 1);
	else
		lua_pushlstring(L, search->subject.p + capture->start, capture->n);
}

/* Pushes all captures; without any, the whole match if whole is asked for. Returns how many. */
static int push_captures(
	lua_State *L, const struct search *search, size_t start, size_t end, bool wants_whole)
{
	unsigned n = search->pattern.captures;
	if (n == 0 && wants_whole) {
		lua_pushlstring(L, search->subject.p + start, end - start);
		return 1;
	}
	luaL_checkstack(L, (int)n + 3, "too many captures");
	for (unsigned i = 0; i < n; i++)
		push_capture(L, search, i);
	return (int)n;
}

static int find_plain(lua_State *L, struct str subject, struct str text, size_t start)
{
	lua_gate_charge(L, (subject.n - start) / PLAIN_BYTES_PER_UNIT);
	const char *at = memmem(subject.p + start, subject.n - start, text.p, text.n);
	if (at == NULL) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, at - subject.p + 1);
	lua_pushinteger(L, at - subject.p + (lua_Integer)text.n);
	return 2;
}

static int find_or_match(lua_State *L, bool is_find)
{
	struct search search;
	struct str subject = check_text(L, 1);
	struct str pattern = check_text(L, 2);
	size_t start = start_offset(luaL_optinteger(L, 3, 1), subject.n);
	if (start > subject.n) {
		lua_pushnil(L);
		return 1;
	}
	if (is_find && (lua_toboolean(L, 4) || pattern_is_plain(pattern)))
		return find_plain(L, subject, pattern, start);
	search_init(L, &search, subject, pattern, true);
	for (size_t at = start; at <= subject.n; at++) {
		ptrdiff_t end = search_at(L, &search, at);
		if (end >= 0) {
			if (is_find) {
				lua_pushinteger(L, (lua_Integer)at + 1);
				lua_pushinteger(L, end);
			}
			int n = push_captures(L, &search, at, (size_t)end, !is_find);
			return is_find ? n + 2 : n;
		}
		if (search.pattern.anchored)
			break;
	}
	lua_pushnil(L);
	return 1;
}

/* [-0, +n, e] find(text, pattern [, from [, plain]]) */
static int string_find(lua_State *L)
{
	return find_or_match(L, true);
}

/* [-0, +n, e] match(text, pattern [, from]) */
static int string_match(lua_State *L)
{
	return find_or_match(L, false);
}

/* [-0, +n, e] Upvalues: text, pattern, offset to go on from, end of the last match or -1. */
static int gmatch_next(lua_State *L)
{
	struct search search;
	struct str subject = check_text(L, lua_upvalueindex(1));
	ptrdiff_t last = (ptrdiff_t)lua_tointeger(L, lua_upvalueindex(4));
	search_init(L, &search, subject, check_text(L, lua_upvalueindex(2)), false);
	for (size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(3)); at <= subject.n; at++) {
		ptrdiff_t end = search_at(L, &search, at);
		if (end < 0 || end == last)
			continue;
		lua_pushinteger(L, end);
		lua_copy(L, -1, lua_upvalueindex(3));
		lua_replace(L, lua_upvalueindex(4));
		return push_captures(L, &search, at, (size_t)end, true);
	}
	lua_pushinteger(L, (lua_Integer)subject.n + 1);
	lua_replace(L, lua_upvalueindex(3));
	return 0;
}

/* [-0, +1, e] gmatch(text, pattern [, from]) */
static int string_gmatch(lua_State *L)
{
	struct search search;
	struct str subject = check_text(L, 1);
	size_t start = start_offset(luaL_optinteger(L, 3, 1), subject.n);
	search_init(L, &search, subject, check_text(L, 2), false);
	lua_settop(L, 2);
	lua_pushinteger(L, (lua_Integer)start);
	lua_pushinteger(L, -1);
	lua_pushcclosure(L, gmatch_next, 4);
	return 1;
}

/* Adds the replacement text at index 3, with %0 to %9 filled in. */
static void add_template(
	lua_State *L, luaL_Buffer *out, const struct search *search, size_t start, size_t end)
{
	struct str text = check_text(L, 3);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '%') {
			luaL_addchar(out, text.p[i]);
			continue;
		}
		char c = ++i < text.n ? text.p[i] : '\0';
		unsigned index = (unsigned)(c - '1');
		if (c == '%') {
			luaL_addchar(out, c);
		} else if (c < '0' || c > '9') {
			luaL_error(L, "invalid use of '%%' in replacement string");
		} else if (c == '0' || (index == 0 && search->pattern.captures == 0)) {
			luaL_addlstring(out, search->subject.p + start, end - start);
		} else if (index >= search->pattern.captures) {
			luaL_error(L, "invalid capture index %%%c in replacement string", c);
		} else {
			push_capture(L, search, index);
			luaL_addvalue(out);
		}
	}
}

/* Adds what the table or function at index 3 gives for this match. */
static void add_answer(
	lua_State *L, luaL_Buffer *out, const struct search *search, size_t start, size_t end)
{
	if (lua_isfunction(L, 3)) {
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(L, search, start, end, true), 1);
	} else {
		if (search->pattern.captures > 0)
			push_capture(L, search, 0);
		else
			(void)push_captures(L, search, start, end, true);
		lua_gettable(L, 3);
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		luaL_addlstring(out, search->subject.p + start, end - start);
	} else if (!lua_isstring(L, -1)) {
		luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
	} else {
		luaL_addvalue(out);
	}
}

/* [-0, +2, e] gsub(text, pattern, replacement [, most]) */
static int string_gsub(lua_State *L)
{
	struct search search;
	struct str subject = check_text(L, 1);
	struct str pattern = check_text(L, 2);
	int kind = lua_type(L, 3);
	luaL_argexpected(L,
		kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TTABLE ||
			kind == LUA_TFUNCTION,
		3, "string/function/table");
	lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject.n + 1);
	search_init(L, &search, subject, pattern, true);
	luaL_Buffer out;
	luaL_buffinit(L, &out);
	size_t at = 0;
	ptrdiff_t last = -1;
	lua_Integer count = 0;
	while (count < most) {
		ptrdiff_t end = search_at(L, &search, at);
		if (end >= 0 && end != last) {
			count++;
			if (kind == LUA_TTABLE || kind == LUA_TFUNCTION)
				add_answer(L, &out, &search, at, (size_t)end);
			else
				add_template(L, &out, &search, at, (size_t)end);
			at = (size_t)end;
			last = end;
		} else if (at < subject.n) {
			luaL_addchar(&out, subject.p[at++]);
		} else {
			break;
		}
		if (luaL_bufflen(&out) > LIMIT_LUA_STRING)
			lua_gate_stop(L, "gsub makes more than %d bytes", LIMIT_LUA_STRING);
		if (search.pattern.anchored)
			break;
	}
	luaL_addlstring(&out, subject.p + at, subject.n - at);
	luaL_pushresult(&out);
	lua_pushinteger(L, count);
	return 2;
}

/* [-0, +1, e] rep(text, n [, separator]) */
static int string_rep(lua_State *L)
{
	struct str text = check_text(L, 1);
	lua_Integer n = luaL_checkinteger(L, 2);
	struct str separator;
	separator.p = luaL_optlstring(L, 3, "", &separator.n);
	size_t each = text.n + separator.n;
	if (n <= 0 || each == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if (each > LIMIT_LUA_STRING || (lua_Unsigned)n > LIMIT_LUA_STRING / each + 1)
		lua_gate_stop(L, "rep makes more than %d bytes", LIMIT_LUA_STRING);
	lua_gate_charge(L, (size_t)n / 4);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Puts text in the place of arguments for %s that would show an address; refuses %p. */
static void prepare_format(lua_State *L, struct str format)
{
	int argument = 1;
	for (size_t i = 0; i < format.n; i++) {
		if (format.p[i] != '%')
			continue;
		do
			i++;
		while (i < format.n && format.p[i] != '\0' &&
			strchr("-+ #0.123456789", format.p[i]));
		if (i >= format.n || format.p[i] == '%')
			continue;
		argument++;
		if (format.p[i] == 'p')
			luaL_error(L, "format: %%p would show an address");
		if (format.p[i] == 's' && argument <= lua_gettop(L)) {
			lua_sandbox_push_text(L, argument);
			lua_replace(L, argument);
		}
	}
}

/* [-0, +1, e] format(format, ...) */
static int string_format(lua_State *L)
{
	struct str format = check_text(L, 1);
	size_t bytes = format.n;
	for (int i = lua_gettop(L); i > 1; i--)
		bytes += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 1;
	lua_gate_charge(L, bytes / 4);
	if (bytes > LIMIT_LUA_STRING)
		lua_gate_stop(L, "format is given more than %d bytes", LIMIT_LUA_STRING);
	prepare_format(L, format);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* From the table on top of the stock library at index stock. */
static void set_wrapped(lua_State *L, int stock, const char *name, lua_CFunction wrapper)
{
	lua_getfield(L, stock, name);
	if (wrapper != NULL)
		lua_pushcclosure(L, wrapper, 1);
	else
		lua_sandbox_charge_for_text(L);
	lua_setfield(L, -2, name);
}

void lua_string_push_lib(lua_State *L)
{
	static const luaL_Reg ours[] = {{"find", string_find}, {"match", string_match},
		{"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
	static const char *const stock_names[] = {
		"byte", "char", "len", "lower", "reverse", "sub", "upper", NULL};
	lua_pushcfunction(L, luaopen_string);
	lua_call(L, 0, 1);
	int stock = lua_gettop(L);
	lua_createtable(L, 0, 16);
	luaL_setfuncs(L, ours, 0);
	for (const char *const *name = stock_names; *name != NULL; name++)
		set_wrapped(L, stock, *name, NULL);
	set_wrapped(L, stock, "rep", string_rep);
	set_wrapped(L, stock, "format", string_format);
	/* The metatable of strings, with arithmetic on numerals, is Lua's own; its index is ours.
	 */
	lua_pushliteral(L, "");
	(void)lua_getmetatable(L, -1);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
	lua_remove(L, stock);
}
