/*
 * What a script sees, by allow-list, and read-only tables. Nothing that compiles, catches errors,
 * switches threads, reaches metatables or the outside, tells the time or draws lots.
 */
#include "lua_priv.h"

#include <lauxlib.h>
#include <lualib.h>

static const char *const base_names[] = {"assert", "error", "ipairs", "select", "type", NULL};

static const char *const math_names[] = {"abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp",
	"floor", "fmod", "huge", "log", "max", "maxinteger", "min", "mininteger", "modf", "pi",
	"rad", "sin", "sqrt", "tan", "tointeger", "type", "ult", NULL};

static const char *const utf8_names[] = {
	"char", "charpattern", "codepoint", "codes", "len", "offset", NULL};

/* [-0, +n, e] Bytes of text per unit: the slowest of these functions take about 1 ns a byte. */
static int charged_call(lua_State *L)
{
	size_t bytes = 0;
	for (int i = lua_gettop(L); i > 0; i--)
		if (lua_type(L, i) == LUA_TSTRING)
			bytes += lua_rawlen(L, i);
	lua_gate_charge(L, bytes / 4);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void lua_sandbox_charge_for_text(lua_State *L)
{
	tama_assert(lua_iscfunction(L, -1));
	lua_pushcclosure(L, charged_call, 1);
}

/* [-0, +0, e] */
static int refuse_write(lua_State *L)
{
	return luaL_error(L, "this table is read-only");
}

/* [-1, +1] */
static int read_only_len(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)));
	return 1;
}

void lua_gate_read_only(lua_State *L)
{
	tama_assert(lua_istable(L, -1));
	lua_createtable(L, 0, 0);
	lua_createtable(L, 0, 4);
	lua_pushcfunction(L, refuse_write);
	lua_setfield(L, -2, "__newindex");
	lua_pushvalue(L, -3);
	lua_pushcclosure(L, read_only_len, 1);
	lua_setfield(L, -2, "__len");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_remove(L, -2);
}

void lua_sandbox_push_target(lua_State *L, int index)
{
	index = lua_absindex(L, index);
	if (luaL_getmetafield(L, index, "__newindex") != LUA_TNIL) {
		bool is_ours = lua_tocfunction(L, -1) == refuse_write;
		lua_pop(L, 1);
		if (is_ours) {
			(void)luaL_getmetafield(L, index, "__index");
			return;
		}
	}
	lua_pushvalue(L, index);
}

void lua_sandbox_push_text(lua_State *L, int index)
{
	switch (lua_type(L, index)) {
	case LUA_TNIL:
	case LUA_TBOOLEAN:
	case LUA_TNUMBER:
	case LUA_TSTRING:
		(void)luaL_tolstring(L, index, NULL);
		return;
	default:
		if (luaL_callmeta(L, index, "__tostring")) {
			if (lua_type(L, -1) != LUA_TSTRING)
				luaL_error(L, "__tostring must return a string");
			return;
		}
		lua_pushstring(L, luaL_typename(L, index));
	}
}

/* [-1, +1, e] */
static int base_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_sandbox_push_text(L, 1);
	return 1;
}

/* Copies the fields named from the table at index from to the one on top. */
static void copy_fields(lua_State *L, int from, const char *const *names)
{
	for (const char *const *name = names; *name != NULL; name++) {
		if (lua_getfield(L, from, *name) == LUA_TNIL)
			luaL_error(L, "this Lua has no %s", *name);
		lua_setfield(L, -2, *name);
	}
}

/* Pushes the named fields of a stock library. */
static void push_library(lua_State *L, lua_CFunction open, const char *const *names)
{
	lua_pushcfunction(L, open);
	lua_call(L, 0, 1);
	lua_createtable(L, 0, 16);
	copy_fields(L, lua_gettop(L) - 1, names);
	lua_remove(L, -2);
}

static void push_utf8(lua_State *L)
{
	push_library(L, luaopen_utf8, utf8_names);
	for (const char *const *name = utf8_names; *name != NULL; name++) {
		if (lua_getfield(L, -1, *name) == LUA_TFUNCTION)
			lua_sandbox_charge_for_text(L);
		lua_setfield(L, -2, *name);
	}
}

static void set_read_only(lua_State *L, const char *name)
{
	lua_gate_read_only(L);
	lua_setfield(L, -2, name);
}

void lua_sandbox_push_base(lua_State *L)
{
	lua_pushcfunction(L, luaopen_base);
	lua_call(L, 0, 1);
	lua_createtable(L, 0, 16);
	copy_fields(L, lua_gettop(L) - 1, base_names);
	lua_getfield(L, -2, "tonumber");
	lua_sandbox_charge_for_text(L);
	lua_setfield(L, -2, "tonumber");
	lua_remove(L, -2);
	lua_pushcfunction(L, base_tostring);
	lua_setfield(L, -2, "tostring");
	lua_pushcfunction(L, lua_table_pairs);
	lua_setfield(L, -2, "pairs");
	push_library(L, luaopen_math, math_names);
	set_read_only(L, "math");
	push_utf8(L);
	set_read_only(L, "utf8");
	lua_table_push_lib(L);
	set_read_only(L, "table");
	lua_string_push_lib(L);
	set_read_only(L, "string");
}
