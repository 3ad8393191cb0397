/*
 * JSON into Lua through jansson, and out of Lua by our own writer.
 *
 * jansson reads every number with a '.' or an exponent into a double, and refuses integers beyond
 * 64 bits. So the text is scanned first: a number that is not an integer of 64 bits is put in
 * quotes and reaches jansson as a string of exactly its characters. The scan also counts levels,
 * members and values before anything is allocated for them. It changes nothing inside strings,
 * judges only the numbers that it quotes (RFC 8259 §6), and leaves every other judgement to
 * jansson.
 *
 * Writing is ours because jansson could neither write such a number back nor keep the order of a
 * Lua table's members.
 */
#include "dialect_priv.h"

#include <lauxlib.h>
#include <errno.h>

#define INT64_DIGITS 18 /* so many digits always fit */

struct scan {
	struct str in;
	size_t at;
	size_t copied; /* what of the input is in `out` */
	struct text out;
	unsigned depth;
	unsigned keys;
	unsigned values;
};

static bool is_digit(struct str s, size_t at)
{
	return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

static size_t skip_digits(struct str s, size_t at)
{
	while (is_digit(s, at))
		at++;
	return at;
}

bool lua_json_is_number(struct str s)
{
	size_t at = s.n > 0 && s.p[0] == '-';
	if (s.p == NULL || !is_digit(s, at))
		return false;
	at = s.p[at] == '0' ? at + 1 : skip_digits(s, at);
	if (at < s.n && s.p[at] == '.') {
		if (!is_digit(s, at + 1))
			return false;
		at = skip_digits(s, at + 1);
	}
	if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
		at++;
		if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
			at++;
		if (!is_digit(s, at))
			return false;
		at = skip_digits(s, at);
	}
	return at == s.n;
}

static bool is_int64(struct str s)
{
	size_t first = s.p[0] == '-';
	if (skip_digits(s, first) != s.n)
		return false;
	/* "-0" is a number of its own kind: kept as text, as Lua has no such integer. */
	if (first == 1 && s.n == 2 && s.p[1] == '0')
		return false;
	if (s.n - first <= INT64_DIGITS)
		return true;
	if (s.n - first > INT64_DIGITS + 1)
		return false;
	char digits[INT64_DIGITS + 3] = {0};
	memcpy(digits, s.p, s.n);
	errno = 0;
	(void)strtoll(digits, NULL, 10);
	return errno == 0;
}

static bool is_number_char(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* A number used as a member's name must stay a mistake. */
static bool is_before_colon(const struct scan *scan, size_t at)
{
	while (at < scan->in.n && strchr(" \t\r\n", scan->in.p[at]) != NULL &&
		scan->in.p[at] != '\0')
		at++;
	return at < scan->in.n && scan->in.p[at] == ':';
}

static void scan_number(struct scan *scan)
{
	size_t begin = scan->at;
	while (scan->at < scan->in.n && is_number_char(scan->in.p[scan->at]))
		scan->at++;
	struct str number = {scan->in.p + begin, scan->at - begin};
	if (!lua_json_is_number(number) || is_int64(number) || is_before_colon(scan, scan->at))
		return;
	text_add(&scan->out, (struct str){scan->in.p + scan->copied, begin - scan->copied});
	text_add(&scan->out, STR("\""));
	text_add(&scan->out, number);
	text_add(&scan->out, STR("\""));
	scan->copied = scan->at;
}

static void scan_string(struct scan *scan)
{
	scan->at++;
	while (scan->at < scan->in.n && scan->in.p[scan->at] != '"')
		scan->at += scan->in.p[scan->at] == '\\' ? 2 : 1;
	scan->at++;
}

static void scan_one(struct scan *scan)
{
	char c = scan->in.p[scan->at];
	if (c == '"') {
		scan_string(scan);
		return;
	}
	if (c == '-' || (c >= '0' && c <= '9')) {
		scan_number(scan);
		return;
	}
	if (c == '{' || c == '[') {
		scan->depth++;
		scan->values++;
	}
	if ((c == '}' || c == ']') && scan->depth > 0)
		scan->depth--;
	scan->keys += c == ':';
	scan->values += c == ',';
	scan->at++;
}

/* 0 and the text for jansson, or TAMA_ELIMIT. */
static int scan_text(struct str text, struct arena *arena, struct str *out, struct err *err)
{
	struct scan scan = {.in = text, .out = {.arena = arena}};
	while (scan.at < text.n) {
		scan_one(&scan);
		if (scan.depth > LIMIT_JSON_DEPTH)
			return err_set(
				err, TAMA_ELIMIT, "JSON deeper than %d levels", LIMIT_JSON_DEPTH);
		if (scan.keys > LIMIT_JSON_KEYS)
			return err_set(err, TAMA_ELIMIT, "JSON with more than %d members",
				LIMIT_JSON_KEYS);
		if (scan.values > LIMIT_JSON_VALUES)
			return err_set(err, TAMA_ELIMIT, "JSON with more than %d values",
				LIMIT_JSON_VALUES);
	}
	*out = text;
	if (scan.copied == 0)
		return 0;
	text_add(&scan.out, str_from(text, scan.copied));
	if (scan.out.has_failed)
		return err_set(err, TAMA_ENOMEM, "JSON: no room");
	*out = (struct str){scan.out.p, scan.out.n};
	return 0;
}

int lua_json_parse(struct str text, struct arena *arena, json_t **out, struct err *err)
{
	struct str quoted = text;
	int rc = scan_text(text, arena, &quoted, err);
	if (rc != 0)
		return rc;
	json_error_t why;
	json_t *value = json_loadb(
		quoted.p != NULL ? quoted.p : "", quoted.n, JSON_REJECT_DUPLICATES, &why);
	/* jansson's text may quote the body, which is not for logs: only the place is told. */
	if (value == NULL)
		return err_set(
			err, TAMA_EINVAL, "not JSON: line %d, column %d", why.line, why.column);
	*out = value;
	return 0;
}

/* ---- Into Lua ---------------------------------------------------------------------------------
 */

void lua_json_open(lua_State *L)
{
	luaL_newmetatable(L, LUA_JSON_OBJECT);
	luaL_newmetatable(L, LUA_JSON_ARRAY);
	luaL_newmetatable(L, LUA_JSON_NUMBER);
	lua_pop(L, 3);
}

void lua_json_mark(lua_State *L, const char *mark)
{
	luaL_setmetatable(L, mark);
}

static void push_array(lua_State *L, const json_t *value)
{
	size_t n = json_array_size(value);
	lua_createtable(L, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		lua_json_push(L, json_array_get(value, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	/* An empty table would be written as {}. */
	if (n == 0)
		lua_json_mark(L, LUA_JSON_ARRAY);
}

static void push_object(lua_State *L, const json_t *value)
{
	lua_createtable(L, 0, (int)json_object_size(value));
	/* jansson's iterators take a pointer to non-const, but change nothing. */
	json_t *object = (json_t *)(uintptr_t)value;
	for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
		lua_pushlstring(L, json_object_iter_key(i), json_object_iter_key_len(i));
		lua_json_push(L, json_object_iter_value(i));
		lua_rawset(L, -3);
	}
}

void lua_json_push(lua_State *L, const json_t *value)
{
	luaL_checkstack(L, 4, "JSON");
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		push_object(L, value);
		return;
	case JSON_ARRAY:
		push_array(L, value);
		return;
	case JSON_STRING:
		lua_pushlstring(L, json_string_value(value), json_string_length(value));
		return;
	case JSON_INTEGER:
		lua_pushinteger(L, json_integer_value(value));
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		lua_pushboolean(L, json_is_true(value));
		return;
	case JSON_NULL:
		lua_pushlightuserdata(L, NULL);
		return;
	case JSON_REAL:
		break;
	}
	tama_assert(!"a real: the scan has quoted every one");
}

/* ---- Out of Lua -------------------------------------------------------------------------------
 */

static bool has_mark(lua_State *L, int index, const char *mark)
{
	if (!lua_getmetatable(L, index))
		return false;
	luaL_getmetatable(L, mark);
	bool is_same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return is_same;
}

static void write_value(lua_State *L, int index, struct text *out, unsigned depth);

static void write_string(lua_State *L, int index, struct text *out)
{
	struct str s;
	s.p = lua_tolstring(L, index, &s.n);
	if (!text_is_utf8(s))
		luaL_error(L, "JSON: a string is not UTF-8");
	text_add(out, STR("\""));
	text_add_json(out, s);
	text_add(out, STR("\""));
}

/* { "name", value } pairs, in their order; a pair without a value is left out. */
static void write_pairs(lua_State *L, int index, struct text *out, unsigned depth)
{
	bool is_first = true;
	text_add(out, STR("{"));
	for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, index); i++) {
		if (lua_rawgeti(L, index, i) != LUA_TTABLE || lua_rawgeti(L, -1, 1) != LUA_TSTRING)
			luaL_error(L, "JSON: object wants { \"name\", value } as entry %d", (int)i);
		if (lua_rawgeti(L, -2, 2) != LUA_TNIL) {
			text_add(out, is_first ? STR("") : STR(","));
			write_string(L, -2, out);
			text_add(out, STR(":"));
			write_value(L, lua_gettop(L), out, depth);
			is_first = false;
		}
		lua_pop(L, 3);
	}
	text_add(out, STR("}"));
}

static void write_array(lua_State *L, int index, struct text *out, unsigned depth)
{
	text_add(out, STR("["));
	for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, index); i++) {
		text_add(out, i == 1 ? STR("") : STR(","));
		lua_rawgeti(L, index, i);
		write_value(L, lua_gettop(L), out, depth);
		lua_pop(L, 1);
	}
	text_add(out, STR("]"));
}

static int compare_names(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
	return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

/* The names of the table at index, sorted; the strings stay alive with the table. */
static struct str *sorted_names(lua_State *L, int index, struct arena *arena, size_t *len_out)
{
	size_t n = 0;
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "JSON: a table has both names and places, or a name that is "
				      "no string");
		n++;
	}
	struct str *names = arena_alloc(arena, n * sizeof(*names));
	if (names == NULL)
		luaL_error(L, "JSON: no room");
	size_t at = 0;
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1), at++)
		names[at].p = lua_tolstring(L, -2, &names[at].n);
	qsort(names, n, sizeof(*names), compare_names);
	*len_out = n;
	return names;
}

static void write_sorted(lua_State *L, int index, struct text *out, unsigned depth)
{
	size_t n;
	struct str *names = sorted_names(L, index, out->arena, &n);
	text_add(out, STR("{"));
	for (size_t i = 0; i < n; i++) {
		text_add(out, i == 0 ? STR("") : STR(","));
		lua_pushlstring(L, names[i].p, names[i].n);
		write_string(L, -1, out);
		text_add(out, STR(":"));
		lua_rawget(L, index);
		write_value(L, lua_gettop(L), out, depth);
		lua_pop(L, 1);
	}
	text_add(out, STR("}"));
}

static void write_table(lua_State *L, int index, struct text *out, unsigned depth)
{
	luaL_checkstack(L, 6, "JSON");
	if (depth > LIMIT_JSON_DEPTH)
		luaL_error(L, "JSON deeper than %d levels", LIMIT_JSON_DEPTH);
	if (has_mark(L, index, LUA_JSON_NUMBER)) {
		lua_rawgeti(L, index, 1);
		struct str number = {NULL, 0};
		if (lua_type(L, -1) == LUA_TSTRING)
			number.p = lua_tolstring(L, -1, &number.n);
		if (!lua_json_is_number(number))
			luaL_error(L, "JSON: number(text) wants a JSON number");
		text_add(out, number);
		lua_pop(L, 1);
	} else if (has_mark(L, index, LUA_JSON_OBJECT)) {
		write_pairs(L, index, out, depth);
	} else if (lua_rawlen(L, index) > 0 || has_mark(L, index, LUA_JSON_ARRAY)) {
		write_array(L, index, out, depth);
	} else {
		write_sorted(L, index, out, depth);
	}
}

static void write_value(lua_State *L, int index, struct text *out, unsigned depth)
{
	index = lua_absindex(L, index);
	int type = lua_type(L, index);
	if (type == LUA_TTABLE) {
		write_table(L, index, out, depth + 1);
	} else if (type == LUA_TSTRING) {
		write_string(L, index, out);
	} else if (type == LUA_TBOOLEAN) {
		text_add(out, lua_toboolean(L, index) ? STR("true") : STR("false"));
	} else if (lua_isinteger(L, index)) {
		char digits[24];
		(void)snprintf(digits, sizeof(digits), "%lld", (long long)lua_tointeger(L, index));
		text_add(out, str_c(digits));
	} else if (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == NULL) {
		text_add(out, STR("null"));
	} else if (type == LUA_TNUMBER) {
		luaL_error(L, "JSON: a float: write number(\"12.50\") with the exact text");
	} else {
		luaL_error(L, "JSON: cannot write a %s", lua_typename(L, type));
	}
	if (out->has_failed)
		luaL_error(L, "JSON: no room");
	if (out->n > LIMIT_LUA_STRING)
		luaL_error(L, "JSON longer than %d bytes", LIMIT_LUA_STRING);
}

void lua_json_write(lua_State *L, int index, struct text *out)
{
	write_value(L, index, out, 0);
}

static bool is_pair_list(lua_State *L, int index)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, index);
	bool is_list = n > 0 && !has_mark(L, index, LUA_JSON_ARRAY);
	for (lua_Integer i = 1; i <= n && is_list; i++) {
		int top = lua_gettop(L);
		is_list = lua_rawgeti(L, index, i) == LUA_TTABLE && lua_rawlen(L, -1) <= 2 &&
			  lua_rawgeti(L, -1, 1) == LUA_TSTRING;
		lua_settop(L, top);
	}
	return is_list;
}

void lua_json_write_top(lua_State *L, int index, struct text *out)
{
	index = lua_absindex(L, index);
	luaL_checkstack(L, 6, "JSON");
	if (lua_istable(L, index) && is_pair_list(L, index))
		write_pairs(L, index, out, 1);
	else
		write_value(L, index, out, 0);
	if (out->has_failed)
		luaL_error(L, "JSON: no room");
}
