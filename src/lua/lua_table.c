/*
 * The table library of scripts, with a bound on the elements that one call touches, and pairs. sort
 * is our own: Lua's draws its pivot from the clock, which a replay could notice, and takes a bad
 * comparison function amiss. Ours is a stable merge sort, which does neither.
 */
#include "lua_priv.h"

#include <lauxlib.h>
#include <lualib.h>

/* Units of the budget for one key of pairs: counting, sorting, making the list. */
#define PAIRS_UNITS_PER_KEY 8

/* Makes room for a call that touches the elements first to last. */
static void check_span(lua_State *L, lua_Integer first, lua_Integer last)
{
	if (last < first)
		return;
	lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)first;
	if (n >= LIMIT_LUA_ELEMENTS)
		lua_gate_stop(L, "more than %d elements of a table at once", LIMIT_LUA_ELEMENTS);
	lua_gate_charge(L, (size_t)n + 1);
}

static lua_Integer check_table(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	return luaL_len(L, 1);
}

/* [-0, +n, e] remove(table [, position]) moves what lies behind the position. */
static int table_remove(lua_State *L)
{
	check_span(L, 1, check_table(L));
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* [-0, +0, e] insert(table, value) touches one element only, but the table has its bound. */
static int table_insert(lua_State *L)
{
	lua_Integer n = check_table(L);
	if (n >= LIMIT_LUA_ELEMENTS)
		lua_gate_stop(L, "more than %d elements of a table at once", LIMIT_LUA_ELEMENTS);
	lua_gate_charge(L, lua_gettop(L) > 2 && n > 0 ? (size_t)n : 0);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* [-0, +1, e] concat(table [, separator [, first [, last]]]) */
static int table_concat(lua_State *L)
{
	size_t separator_len = 0;
	lua_Integer n = check_table(L);
	(void)luaL_optlstring(L, 2, "", &separator_len);
	lua_Integer first = luaL_optinteger(L, 3, 1);
	lua_Integer last = luaL_optinteger(L, 4, n);
	check_span(L, first, last);
	size_t bytes = 0;
	for (lua_Integer i = first; i <= last; i++) {
		bytes += lua_geti(L, 1, i) == LUA_TSTRING ? lua_rawlen(L, -1) : 0;
		bytes += i < last ? separator_len : 0;
		lua_pop(L, 1);
		if (bytes > LIMIT_LUA_STRING)
			lua_gate_stop(L, "concat makes more than %d bytes", LIMIT_LUA_STRING);
		if (i == LUA_MAXINTEGER)
			break;
	}
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* [-0, +n, e] unpack(table [, first [, last]]) */
static int table_unpack(lua_State *L)
{
	lua_Integer n = check_table(L);
	check_span(L, luaL_optinteger(L, 2, 1), luaL_optinteger(L, 3, n));
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* [-0, +1, e] move(from, first, last, at [, to]) */
static int table_move(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	check_span(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* True when the value on top belongs before the one below it. [-0, +0, e] */
static bool is_top_less(lua_State *L)
{
	if (!lua_isfunction(L, 2))
		return lua_compare(L, -1, -2, LUA_OPLT);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -2);
	lua_pushvalue(L, -4);
	lua_call(L, 2, 1);
	bool is_less = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return is_less;
}

/* Merges [left, middle) and [middle, right) of the table at from into the table at to. */
static void merge(lua_State *L, int from, int to, const lua_Integer bounds[static 3])
{
	lua_Integer left = bounds[0];
	lua_Integer right = bounds[1];
	for (lua_Integer i = bounds[0]; i < bounds[2]; i++) {
		bool takes_right = left >= bounds[1];
		if (left < bounds[1] && right < bounds[2]) {
			lua_rawgeti(L, from, left);
			lua_rawgeti(L, from, right);
			takes_right = is_top_less(L);
			lua_pop(L, 2);
		}
		lua_rawgeti(L, from, takes_right ? right++ : left++);
		lua_rawseti(L, to, i);
	}
}

/* What n log n comparisons cost: long strings more. */
static void charge_sort(lua_State *L, lua_Integer n)
{
	size_t units = 0;
	for (lua_Integer i = 1; i <= n; i++) {
		units += 1 + (lua_rawgeti(L, 3, i) == LUA_TSTRING ? lua_rawlen(L, -1) / 64 : 0);
		lua_pop(L, 1);
	}
	for (; n > 1; n /= 2)
		lua_gate_charge(L, units);
}

static lua_Integer smaller(lua_Integer a, lua_Integer b)
{
	return a < b ? a : b;
}

/* [-0, +0, e] sort(table [, is_before]) */
static int table_sort(lua_State *L)
{
	lua_Integer n = check_table(L);
	if (!lua_isnoneornil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	check_span(L, 1, n);
	/* 3 and 4: the elements, and the room they are merged into and back. */
	lua_createtable(L, (int)n, 0);
	lua_createtable(L, (int)n, 0);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_geti(L, 1, i);
		lua_rawseti(L, 3, i);
	}
	charge_sort(L, n);
	int from = 3;
	for (lua_Integer width = 1; width < n; width *= 2, from = 7 - from)
		for (lua_Integer left = 1; left <= n; left += 2 * width)
			merge(L, from, 7 - from,
				(lua_Integer[]){left, smaller(left + width, n + 1),
					smaller(left + 2 * width, n + 1)});
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, from, i);
		lua_seti(L, 1, i);
	}
	return 0;
}

struct key {
	int rank; /* integers, strings, booleans */
	lua_Integer number;
	struct str text;
};

static int key_compare(const void *left, const void *right)
{
	const struct key *a = left;
	const struct key *b = right;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
	int order = n > 0 ? memcmp(a->text.p, b->text.p, n) : 0;
	if (order != 0)
		return order;
	return (a->text.n > b->text.n) - (a->text.n < b->text.n);
}

/* The key at index -2, under its value. */
static struct key key_read(lua_State *L)
{
	struct key key = {.rank = 0};
	if (lua_isinteger(L, -2)) {
		key.number = lua_tointeger(L, -2);
	} else if (lua_type(L, -2) == LUA_TSTRING) {
		key.rank = 1;
		key.text.p = lua_tolstring(L, -2, &key.text.n);
	} else if (lua_type(L, -2) == LUA_TBOOLEAN) {
		key.rank = 2;
		key.number = lua_toboolean(L, -2);
	} else {
		luaL_error(L,
			"pairs: a key is a %s; only integers, strings and booleans have an order",
			luaL_typename(L, -2));
	}
	return key;
}

static void key_push(lua_State *L, const struct key *key)
{
	if (key->rank == 0)
		lua_pushinteger(L, key->number);
	else if (key->rank == 1)
		lua_pushlstring(L, key->text.p, key->text.n);
	else
		lua_pushboolean(L, (int)key->number);
}

/* Pushes the list of the keys of the table at index, in order. */
static void push_keys(lua_State *L, int index)
{
	size_t n = 0;
	size_t i = 0;
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
		n++;
	lua_gate_charge(L, n * PAIRS_UNITS_PER_KEY);
	struct key *keys = lua_newuserdatauv(L, n * sizeof(*keys), 0);
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
		keys[i++] = key_read(L);
	if (n > 1)
		qsort(keys, n, sizeof(*keys), key_compare);
	lua_createtable(L, (int)n, 0);
	for (i = 0; i < n; i++) {
		key_push(L, &keys[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_remove(L, -2);
}

/* [-0, +2, m] Upvalues: table, keys, how many of them were given out. Keys since gone are left out.
 */
static int pairs_next(lua_State *L)
{
	lua_Integer i = lua_tointeger(L, lua_upvalueindex(3));
	lua_settop(L, 0);
	while (lua_rawgeti(L, lua_upvalueindex(2), ++i) != LUA_TNIL) {
		lua_pushvalue(L, 1);
		if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
			break;
		lua_settop(L, 0);
	}
	int count = lua_gettop(L);
	lua_pushinteger(L, i);
	lua_replace(L, lua_upvalueindex(3));
	return count;
}

int lua_table_pairs(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_sandbox_push_target(L, 1);
	push_keys(L, 2);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, pairs_next, 3);
	return 1;
}

void lua_table_push_lib(lua_State *L)
{
	static const luaL_Reg wrapped[] = {{"insert", table_insert}, {"remove", table_remove},
		{"concat", table_concat}, {"unpack", table_unpack}, {"move", table_move},
		{NULL, NULL}};
	lua_pushcfunction(L, luaopen_table);
	lua_call(L, 0, 1);
	lua_createtable(L, 0, 8);
	for (const luaL_Reg *reg = wrapped; reg->name != NULL; reg++) {
		lua_getfield(L, -2, reg->name);
		lua_pushcclosure(L, reg->func, 1);
		lua_setfield(L, -2, reg->name);
	}
	lua_pushcfunction(L, table_sort);
	lua_setfield(L, -2, "sort");
	lua_getfield(L, -2, "pack");
	lua_setfield(L, -2, "pack");
	lua_remove(L, -2);
}
