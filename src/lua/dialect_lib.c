/* The functions a dialect file can call besides the sandbox's own: docs/dialects.md "Helpers". */
#include "dialect_priv.h"

#include "tama/gsm7.h"

#include <lauxlib.h>

static struct str check_str(lua_State *L, int arg)
{
	struct str s;
	s.p = luaL_checklstring(L, arg, &s.n);
	if (s.n > LIMIT_LUA_STRING)
		luaL_error(L, "text longer than %d bytes", LIMIT_LUA_STRING);
	return s;
}

static int push_text(lua_State *L, const struct text *text)
{
	if (text->has_failed)
		return luaL_error(L, "no room for the turn");
	if (text->n > LIMIT_LUA_STRING)
		return luaL_error(L, "text longer than %d bytes", LIMIT_LUA_STRING);
	lua_pushlstring(L, text->p != NULL ? text->p : "", text->n);
	return 1;
}

static int lib_dialect(lua_State *L) /* [-1, +1, e] */
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	return 1;
}

static int lib_mark(lua_State *L, const char *mark)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_json_mark(L, mark);
	return 1;
}

static int lib_object(lua_State *L) /* [-1, +1, e] */
{
	return lib_mark(L, LUA_JSON_OBJECT);
}

static int lib_array(lua_State *L) /* [-1, +1, e] */
{
	return lib_mark(L, LUA_JSON_ARRAY);
}

static int lib_number(lua_State *L) /* [-1, +1, e] */
{
	struct str s = STR("");
	if (lua_type(L, 1) == LUA_TSTRING || lua_isinteger(L, 1))
		s = check_str(L, 1);
	if (!lua_json_is_number(s))
		return luaL_error(
			L, "number wants the text of a JSON number, like number(\"12.50\")");
	lua_createtable(L, 1, 0);
	lua_pushlstring(L, s.p, s.n);
	lua_rawseti(L, -2, 1);
	lua_json_mark(L, LUA_JSON_NUMBER);
	return 1;
}

static int lib_json_encode(lua_State *L) /* [-1, +1, e] */
{
	struct text text = {.arena = value_arena(L)};
	luaL_checkany(L, 1);
	lua_json_write(L, 1, &text);
	return push_text(L, &text);
}

static int lib_json_decode(lua_State *L) /* [-1, +1 or +2, e] */
{
	struct dialect_host *host = lua_gate_context(L);
	struct err err = ERR_INIT;
	/* Held by the host, which lets go of it if making the tables raises. */
	tama_assert(host->json == NULL);
	int rc = lua_json_parse(check_str(L, 1), host->turn, &host->json, &err);
	if (rc == TAMA_ENOMEM)
		return luaL_error(L, "%s", err.text);
	if (rc != 0) {
		lua_pushnil(L);
		lua_pushstring(L, err.text);
		return 2;
	}
	lua_json_push(L, host->json);
	json_decref(host->json);
	host->json = NULL;
	return 1;
}

static int lib_xml_escape(lua_State *L) /* [-1, +1, e] */
{
	struct text text = {.arena = value_arena(L)};
	text_add_xml(&text, check_str(L, 1));
	return push_text(L, &text);
}

static void add_utf8(struct text *text, uint32_t c)
{
	char b[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};
	for (size_t i = n; i-- > 1; c >>= 6)
		b[i] = (char)(0x80 | (c & 0x3F));
	b[0] = (char)(first[n] | c);
	text_add(text, (struct str){b, n});
}

/* "#10" or "#xA" as a code point that XML 1.0 §2.2 allows; 0 if it is not one. */
static uint32_t character_reference(struct str name)
{
	uint32_t c = 0;
	bool is_hex = name.n > 1 && (name.p[1] == 'x' || name.p[1] == 'X');
	struct str digits = str_from(name, is_hex ? 2 : 1);
	if (name.n == 0 || name.p[0] != '#' || digits.n == 0 || digits.n > 7)
		return 0;
	for (size_t i = 0; i < digits.n; i++) {
		const char *all = "0123456789abcdef0123456789ABCDEF";
		const char *at = digits.p[i] != '\0' ? strchr(all, digits.p[i]) : NULL;
		unsigned v = at != NULL ? (unsigned)(at - all) % 16 : 16;
		if (v >= (is_hex ? 16u : 10u))
			return 0;
		c = c * (is_hex ? 16 : 10) + v;
	}
	bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
	return c > 0x10FFFF || is_surrogate ? 0 : c;
}

static uint32_t entity_value(struct str name)
{
	static const struct {
		const char *name;
		uint32_t c;
	} named[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		if (str_eq(name, str_c(named[i].name)))
			return named[i].c;
	return character_reference(name);
}

static int lib_xml_unescape(lua_State *L) /* [-1, +1, e] */
{
	struct text text = {.arena = value_arena(L)};
	struct str rest = check_str(L, 1);
	for (;;) {
		ptrdiff_t at = str_find(rest, '&');
		if (at < 0)
			break;
		text_add(&text, (struct str){rest.p, (size_t)at});
		rest = str_from(rest, (size_t)at);
		struct str name = str_from(rest, 1);
		ptrdiff_t end = str_find(name, ';');
		name.n = end >= 0 ? (size_t)end : 0;
		uint32_t c = entity_value(name);
		/* What is no entity stays as it is. */
		if (c != 0)
			add_utf8(&text, c);
		else
			text_add(&text, STR("&"));
		rest = str_from(rest, c != 0 ? name.n + 2 : 1);
	}
	text_add(&text, rest);
	return push_text(L, &text);
}

static int lib_url_escape(lua_State *L) /* [-1, +1, e] */
{
	struct str s = form_escape(check_str(L, 1), value_arena(L));
	if (s.p == NULL)
		return luaL_error(L, "no room for the turn");
	lua_pushlstring(L, s.p, s.n);
	return 1;
}

static int lib_url_unescape(lua_State *L) /* [-1, +1, e] */
{
	struct text pair = {.arena = value_arena(L)};
	struct str s = check_str(L, 1);
	/* As the value of a form field, whose separator must not end it. */
	text_add(&pair, STR("v="));
	for (size_t i = 0; i < s.n; i++)
		text_add(&pair, s.p[i] == '&' ? STR("%26") : (struct str){s.p + i, 1});
	struct form form;
	if (pair.has_failed || form_parse((struct str){pair.p, pair.n}, pair.arena, &form) != 0 ||
		form.n != 1) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushlstring(L, form.fields[0].value.p != NULL ? form.fields[0].value.p : "",
		form.fields[0].value.n);
	return 1;
}

static int lib_septets(lua_State *L) /* [-1, +1, e] */
{
	ptrdiff_t n = gsm7_septets(check_str(L, 1));
	if (n < 0)
		lua_pushnil(L);
	else
		lua_pushinteger(L, n);
	return 1;
}

void dialect_lib_push(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"dialect", lib_dialect},
		{"object", lib_object},
		{"array", lib_array},
		{"number", lib_number},
		{"json_encode", lib_json_encode},
		{"json_decode", lib_json_decode},
		{"xml_escape", lib_xml_escape},
		{"xml_unescape", lib_xml_unescape},
		{"url_escape", lib_url_escape},
		{"url_unescape", lib_url_unescape},
		{"septets", lib_septets},
		{NULL, NULL},
	};
	luaL_newlib(L, functions);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
}
