/* The gate into Lua: what gets through, what is stopped (reliability.md F-I1 to F-I5, 5.3). */
#include "check.h"

#include "../../src/lua/lua_priv.h"

#include <lauxlib.h>
#include <time.h>

/* Processor time one hostile script may take; generous, for the sanitizers. */
#define STOPPED_WITHIN_MS 3000

static struct lua_gate *new_gate(void)
{
	struct err err = ERR_INIT;
	struct lua_gate *gate = NULL;
	assert_int_equal(lua_gate_new(&gate, &err), 0);
	return gate;
}

/* Loads, gives an environment, runs; one result on the stack when 0 comes back. */
static int run_script(struct lua_gate *gate, const char *text, struct err *err)
{
	int rc = lua_gate_load(gate, str_c(text), "=menu.lua", err);
	if (rc != 0)
		return rc;
	lua_gate_fresh_env(gate, 0);
	return lua_gate_call(gate, 0, 1, err);
}

/* The result of a script that must run, as text; valid until the next call. */
static const char *result_of(struct lua_gate *gate, const char *text)
{
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	lua_settop(L, 0);
	int rc = run_script(gate, text, &err);
	if (rc != 0)
		fail_msg("%s\ngave %d: %s", text, rc, err.text);
	return lua_isnil(L, -1) ? "nil" : luaL_tolstring(L, -1, NULL);
}

static void check_result(struct lua_gate *gate, const char *text, const char *want)
{
	const char *got = result_of(gate, text);
	if (strcmp(got, want) != 0)
		fail_msg("%s\ngave \"%s\", not \"%s\"", text, got, want);
}

static void check_error(struct lua_gate *gate, const char *text, int code, const char *message)
{
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	int top = lua_gettop(L);
	int rc = run_script(gate, text, &err);
	if (rc != code || (message != NULL && strcmp(err.text, message) != 0))
		fail_msg("%.200s\ngave %d \"%s\"", text, rc, err.text);
	assert_int_equal(lua_gettop(L), top);
}

static void runs_and_returns(void **state)
{
	struct lua_gate *gate = new_gate();
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	assert_int_equal(
		lua_gate_load(gate, STR("local a, b = ... return a + b, a * b, 'x'"), "=t", &err),
		0);
	lua_pushinteger(L, 6);
	lua_pushinteger(L, 7);
	assert_int_equal(lua_gate_call(gate, 2, 4, &err), 0);
	assert_int_equal(lua_gettop(L), 4);
	assert_int_equal(lua_tointeger(L, 1), 13);
	assert_int_equal(lua_tointeger(L, 2), 42);
	assert_true(lua_isnil(L, 4));
	check_result(gate, "return 1, 2, 3", "1");
	check_result(gate, "", "nil");
	check_result(gate, "local x <const> = 3; do local y <close> = nil end return x", "3");
	check_result(gate, "return '10' * 2", "20");
	struct lua_gate_stats stats;
	lua_gate_stats(gate, &stats);
	assert_int_equal(stats.calls, 5);
	assert_int_equal(stats.stopped, 0);
	lua_gate_free(&gate);
	assert_null(gate);
	lua_gate_free(&gate);
}

static void messages_have_a_place(void **state)
{
	struct lua_gate *gate = new_gate();
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{"x = 1\nreturn 1 + nil",
			"menu.lua:2: attempt to perform arithmetic on a nil value"},
		{"\nreturn )", "menu.lua:2: unexpected symbol near ')'"},
		{"\n\nerror('no offer')", "menu.lua:3: no offer"},
		{"error('no offer', 0)", "menu.lua:1: no offer"},
		{"\nlocal function f()\n  error('caller', 2)\nend\nf()", "menu.lua:5: caller"},
		{"error({ 1 })", "menu.lua:1: (error value is a table)"},
		{"error()", "menu.lua:1: (error value is a nil)"},
		{"error(tostring)", "menu.lua:1: (error value is a function)"},
		{"error(true)", "menu.lua:1: true"},
		{"error(42)", "menu.lua:1: 42"},
		{"error(1.5)", "menu.lua:1: 1.5"},
		{"assert(false)", "menu.lua:1: assertion failed!"},
		{"assert(nil, 'of mine')", "menu.lua:1: of mine"},
		{"\nlocal s = string.rep(nil)",
			"menu.lua:2: bad argument #1 to 'rep' (string expected, got nil)"},
		{"string.x = 1", "menu.lua:1: this table is read-only"},
		{"return ('x'):find('[a')", "menu.lua:1: malformed pattern (missing ']')"},
		{"return string.format('%p', {})", "menu.lua:1: format: %p would show an address"},
		{"for k in pairs({ [1.5] = 1 }) do end", "menu.lua:1: pairs: a key is a number; "
							 "only integers, strings and booleans have "
							 "an order"},
	};
	for (size_t i = 0; i < ROWS(rows); i++)
		check_error(gate, rows[i].text, TAMA_ESCRIPT, rows[i].want);
	assert_false(lua_gate_was_stopped(gate));
	check_error(gate, "local function f()\nwhile true do end\nend\nf()", TAMA_ELIMIT,
		"menu.lua:2: the script runs for too long (instructions)");
	assert_true(lua_gate_was_stopped(gate));
	check_error(gate, "local t = {}\nfor i = 1, 1e9 do t[i] = i end", TAMA_ELIMIT,
		"menu.lua:2: the script needs too much memory");
	check_error(gate, "\nlocal s = 'x' for i = 1, 99 do s = s .. s end", TAMA_ELIMIT,
		"menu.lua:2: the script makes a string that is too long");
	check_error(gate, "\nreturn ('x'):rep(1e9)", TAMA_ELIMIT,
		"menu.lua:2: rep makes more than 65536 bytes");
	lua_gate_free(&gate);
}

/* One line each; `deep` and `long` stand for texts made in the test. */
static const char *const hostile[] = {
	/* loops */
	"while true do end",
	"repeat until false",
	"::a:: goto a",
	"::a:: do local x = 1; goto b end ::b:: goto a",
	"for i = 1, math.huge do end",
	"for i = 1, math.maxinteger do local t = {} end",
	"local function f() return f() end f()",
	"local t = {} for i = 1, 1e9 do t.x = i end",
	"for i = 1, 1e9 do ipairs({}) end",
	/* recursion */
	"local function f() return 1 + f() end f()",
	"local function f(n) f(n + 1) f(n) end f(1)",
	"local function f() table.sort({ 2, 1 }, f) end f()",
	"local function f(s) return (s:gsub('.', f)) end f('x')",
	"local function f(s) for w in s:gmatch('.') do s:gsub('.', f) end end f('xy')",
	/* memory */
	"local s = 'x' while true do s = s .. s end",
	"local t = {} for i = 1, 1e9 do t[i] = {} end",
	"local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
	"local t = {} while true do t = { t, t } end",
	"local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
	"local s = ('x'):rep(60000) local t = {} for i = 1, 1e6 do t[i] = s .. i end",
	"local s = ('x'):rep(65000) while true do local u = s .. 'y' end",
	"local s = ('x'):rep(65000) while true do local u = s:upper() end",
	/* what makes much in one go */
	"return ('x'):rep(1e9)",
	"return ('x'):rep(1000):rep(1000):rep(1000)",
	"return ('x'):rep(1, ('y'):rep(9e9))",
	"return ('x'):rep(math.maxinteger, 'y')",
	"while true do (''):rep(math.maxinteger) end",
	"while true do local s = ('x'):rep(65536) end",
	"return string.format('%99999d', 1)",
	"return string.format('%s%s', ('x'):rep(4e4), ('x'):rep(4e4))",
	"while true do local s = string.format('%99.99f', 1e308) end",
	"local t = {} for i = 1, 4000 do t[i] = ('x'):rep(1000) end return table.concat(t)",
	"local t = {} for i = 1, 4000 do t[i] = 1 end return table.concat(t, ('x'):rep(1000))",
	"return table.concat({}, 'x', 1, 1e9)",
	"return table.concat({}, 'x', math.mininteger, math.maxinteger)",
	"return table.unpack({}, 1, 1e6)",
	"return table.unpack({}, math.mininteger, math.maxinteger)",
	"return table.move({}, 1, 1e9, 2)",
	"local t = {} for i = 1, 1e6 do table.insert(t, 1, i) end",
	"local t = {} for i = 1, 1e6 do t[i] = i end table.remove(t, 1)",
	"local t = {} for i = 1, 1e5 do t[i] = i end table.sort(t)",
	"local t = {} for i = 1, 4000 do t[i] = i end while true do table.sort(t) end",
	"local t = {} for i = 1, 4000 do t[i] = ('x'):rep(60000) end while true do table.sort(t) "
	"end",
	"local s = ('x'):rep(60000) local t = {} for i = 1, 4000 do t[i] = s end "
	"while true do table.sort(t) end",
	"local t = {} for i = 1, 4000 do t[i] = i end while true do table.insert(t, 1, 1) t[#t] = "
	"nil end",
	"local t = {} for i = 1, 4000 do t[i] = i end while true do for _ in pairs(t) do break end "
	"end",
	"local t = {} for i = 1, 1e5 do t['a' .. i] = i end while true do pairs(t) end",
	/* arguments */
	"local t = {} for i = 1, 4096 do t[i] = i end "
	"while true do local n = select('#', table.unpack(t)) end",
	"local function f(...) return f(1, ...) end f()",
	"local function f(...) local n = select('#', ...) return f(n, n, n, n, n, n, n, ...) end "
	"f()",
	"local function f(...) while true do local t = { ... } end end "
	"f(table.unpack({}, 1, 4096))",
	"local s = ('x'):rep(60000) while true do local n = #{ s:byte(1, -1) } end",
	/* patterns */
	"return ('a'):rep(160):find('.-.-.-.-b')",
	"return ('a'):rep(160):match('^(.-)%s*(.-)%s*(.-)%s*$x')",
	"return ('a'):rep(4096):find(('a*'):rep(30) .. 'b')",
	"return ('a'):rep(160):gsub('.-.-.-.-b', '')",
	"for w in ('a'):rep(160):gmatch('.-.-.-.-b') do end",
	"return ('x'):rep(5000):find('x-y')",
	"return ('x'):find(('x'):rep(65) .. '.')",
	"return ('('):rep(4000):find('%b()%b()')",
	"while true do (' '):rep(4000):find('%s-x') end",
	"while true do ('x'):rep(60000):find('y', 1, true) end",
	"return ('x'):rep(4000):gsub('x', ('y'):rep(100))",
	"return ('x'):rep(4000):gsub('', function() return ('y'):rep(1000) end)",
	"return ('x'):gsub('x', '%2')",
	"return ('x'):gsub('x', '%')",
	"return ('x'):gsub('x', '%z')",
	"return ('x'):gsub('x', function() return {} end)",
	"return ('x'):gsub('x', true)",
	"return ('x'):find(('()'):rep(33))",
	"return ('x'):rep(40):find(('(x)'):rep(20) .. '%9%0')",
	/* utf8 */
	"return utf8.char(-1)",
	"return utf8.codepoint('\\xff')",
	"local s = ('x'):rep(60000) while true do utf8.len(s) end",
	"local s = ('x'):rep(60000) while true do utf8.offset(s, -1, 1) utf8.offset(s, 59999) end",
	"local s = ('x'):rep(60000) while true do local t = { utf8.codepoint(s, 1, -1) } end",
	"for _ in utf8.codes('\\xff\\xff') do end",
	/* what only the clock sees */
	"local a, b = ('x'):rep(65000) .. 'y', ('x'):rep(65000) .. 'y' while true do local _ = a "
	"== b end",
	"local a, b = ('x'):rep(65000) .. 'y', ('x'):rep(65000) .. 'z' while true do local _ = a < "
	"b end",
	"local a = (' '):rep(65000) .. '1' while true do local _ = a + 1 end",
	"local a = (' '):rep(65000) .. '1' while true do local _ = a | 1 end",
	"local a = (' '):rep(65000) .. '1' while true do local _ = tonumber(a) end",
	/* what is not there */
	"pcall(error)",
	"xpcall(error, error)",
	"coroutine.wrap(function() end)",
	"load('return 1')",
	"dofile('x')",
	"require('os')",
	"loadstring('x')",
	"loadfile('x')",
	"os.exit()",
	"io.open('x')",
	"debug.sethook()",
	"package.loadlib('x', '*')",
	"print('x')",
	"collectgarbage()",
	"setmetatable({}, {})",
	"getmetatable('').__index = 1",
	"rawset(string, 'x', 1)",
	"rawget({}, 1)",
	"rawequal(1, 1)",
	"next({})",
	"math.random()",
	"math.randomseed(1)",
	"string.dump(function() end)",
	"return _G.string",
	"_G.x = 1",
	"return string.pack('z', 'x')",
	"return ('').dump(error)",
	/* changing what others see */
	"string.upper = nil",
	"function string.x() end",
	"math.pi = 3",
	"table.insert(string, 1)",

	"table.insert(table, 1, 1)",
	"utf8.char = nil",
	"table.move({ 1 }, 1, 1, 1, string)",
	"local s = pairs(string) s.x = 1",
	"('').x.y = 1",
	"local x <close> = {}",
	"local x <close> = string",
	"#string.x",
	/* odd values */
	"error(setmetatable)",
	"error({ {} })",
	"error(error)",
	"string.format('%s')",
	"string.format('%d', 'x')",
	"string.format('%q', {})",
	"string.format('%y', 1)",
	"local t = {} t[0 / 0] = 1",
	"local t = {} t[nil] = 1",
	"for i = 1, 10, 0 do end",
	"return 1 // 0",
	"return 1 % 0",
	"return 1 < 'x'",
	"return {} .. 'x'",
	"return #5",
	"for k in pairs({ [{}] = 1 }) do end",
	"for k in pairs({ [error] = 1 }) do end",
	"pairs()",
	"pairs(1)",
	"ipairs()",
	"table.concat({ {} })",
	"table.sort({ 1, 'x' })",
	"table.sort({ 3, 2, 1 }, 1)",
	"table.insert({}, 5, 1)",
	"table.insert({})",
	"select(0)",
	"tonumber('1', 99)",
	"tostring()",
	"table.unpack(1)",
	"local _ENV <const> = 1; return x.y",
	"_ENV = nil; return x",
	"\x1bLua",
	"return '",
	"return \"\\u{FFFFFFFFF}\"",
	"x = = 1",
	"goto nowhere",
	"break",
	"end",
};

static int64_t cpu_ms(void)
{
	struct timespec t;
	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void check_hostile(struct lua_gate *gate, const char *text)
{
	struct err err = ERR_INIT;
	struct lua_gate_stats stats;
	lua_State *L = lua_gate_state(gate);
	int64_t start = cpu_ms();
	lua_settop(L, 0);
	int rc = run_script(gate, text, &err);
	int64_t took = cpu_ms() - start;
	if (rc != TAMA_ESCRIPT && rc != TAMA_ELIMIT)
		fail_msg("%.120s\ngave %d: %s", text, rc, err.text);
	if (strncmp(err.text, "menu.lua:", 9) != 0)
		fail_msg("%.120s\nhas no place: %s", text, err.text);
	assert_int_equal(lua_gate_was_stopped(gate), rc == TAMA_ELIMIT);
	if (took > STOPPED_WITHIN_MS)
		fail_msg("%.120s\ntook %lld ms: %s", text, (long long)took, err.text);
	if (getenv("TAMA_TEST_SHOW") != NULL)
		print_message("%5lld ms  %.70s  ->  %s\n", (long long)took, text, err.text);
	assert_int_equal(lua_gettop(L), 0);
	check_result(gate, "local t = {} for i = 1, 100 do t[i] = i end return #t", "100");
	lua_gate_stats(gate, &stats);
	if (rc == TAMA_ELIMIT && stats.bytes > LIMIT_LUA_BYTES / 2)
		fail_msg("%.120s\nleft %zu bytes", text, stats.bytes);
}

static void stops_hostile_scripts(void **state)
{
	struct lua_gate *gate = new_gate();
	for (size_t i = 0; i < ROWS(hostile); i++)
		check_hostile(gate, hostile[i]);
	check_result(gate, "return ('x'):upper() .. string.format('%d', 5)", "X5");
	check_result(gate, "return tostring(string.x) .. tostring(x)", "nilnil");
	lua_gate_free(&gate);
}

/* head, then piece n times, then tail. */
static char *make_text(const char *head, const char *piece, size_t n, const char *tail)
{
	size_t size = strlen(head) + n * strlen(piece) + strlen(tail) + 1;
	char *text = malloc(size);
	assert_non_null(text);
	char *end = stpcpy(text, head);
	for (size_t i = 0; i < n; i++)
		end = stpcpy(end, piece);
	(void)stpcpy(end, tail);
	return text;
}

static void survives_the_parser(void **state)
{
	static const struct {
		const char *head, *piece, *tail;
		size_t n;
	} rows[] = {
		{"return ", "(", "", 100000},
		{"return ", "{", "", 100000},
		{"", "do ", "", 100000},
		{"return ", "-", "1", 100000},
		{"return ", "not ", "1", 100000},
		{"return 1", " .. 1", "", 100000},
		{"return 2", " ^ 2", "", 100000},
		{"x = ", "function() return ", "", 100000},
		{"local a", ", a", "", 300},
		{"return a", ".a", "", 100000},
		{"return '", "x", "'", 100000},
		{"return { ", "'x', {}, ", "}", 200000},
		{"--[", "=", "[", 100000},
	};
	struct lua_gate *gate = new_gate();
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct err err = ERR_INIT;
		char *text = make_text(rows[i].head, rows[i].piece, rows[i].n, rows[i].tail);
		int64_t start = cpu_ms();
		int rc = run_script(gate, text, &err);
		assert_true(cpu_ms() - start < STOPPED_WITHIN_MS);
		free(text);
		if (rc != 0 && strncmp(err.text, "menu.lua:", 9) != 0)
			fail_msg("row %zu gave %d: %s", i, rc, err.text);
		check_result(gate, "return 6 * 7", "42");
	}
	lua_gate_free(&gate);
}

static void loads_text_only(void **state)
{
	struct lua_gate *gate = new_gate();
	struct err err = ERR_INIT;
	assert_int_equal(lua_gate_load(gate, STR("\x1bLuaT"), "=menu.lua", &err), TAMA_ESCRIPT);
	assert_int_equal(lua_gettop(lua_gate_state(gate)), 0);
	assert_int_equal(lua_gate_load(gate, (struct str){NULL, 0}, "=menu.lua", &err), 0);
	lua_gate_free(&gate);
}

/* Every name a script can reach is on this list. */
static void shows_the_allow_list(void **state)
{
	struct lua_gate *gate = new_gate();
	lua_State *L = lua_gate_state(gate);
	static const char *const absent[] = {"_G", "_VERSION", "pcall", "xpcall", "coroutine",
		"load", "dofile", "loadfile", "require", "collectgarbage", "rawset", "rawget",
		"rawlen", "rawequal", "setmetatable", "getmetatable", "debug", "io", "os",
		"package", "print", "next", "warn"};
	for (size_t i = 0; i < ROWS(absent); i++) {
		lua_settop(L, 0);
		lua_pushglobaltable(L);
		assert_int_equal(lua_getfield(L, 1, absent[i]), LUA_TNIL);
	}
	lua_settop(L, 0);
	static const char names[] = "local out = {} for k in pairs(%s) do out[#out + 1] = k end "
				    "return table.concat(out, ' ')";
	static const struct {
		const char *table;
		const char *want;
	} rows[] = {
		{"string",
			"byte char find format gmatch gsub len lower match rep reverse sub upper"},
		{"table", "concat insert move pack remove sort unpack"},
		{"utf8", "char charpattern codepoint codes len offset"},
		{"math", "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger "
			 "min "
			 "mininteger modf pi rad sin sqrt tan tointeger type ult"},
		{"_ENV", ""},
	};
	for (size_t i = 0; i < ROWS(rows); i++) {
		char text[128];
		(void)snprintf(text, sizeof(text), names, rows[i].table);
		check_result(gate, text, rows[i].want);
	}
	/* The state's own globals, for a function without an environment: readable only. */
	struct err err = ERR_INIT;
	assert_int_equal(lua_gate_load(gate, STR("x = 1"), "=menu.lua", &err), 0);
	assert_int_equal(lua_gate_call(gate, 0, 0, &err), TAMA_ESCRIPT);
	assert_string_equal(err.text, "menu.lua:1: this table is read-only");
	lua_gate_free(&gate);
}

static void library_works(void **state)
{
	struct lua_gate *gate = new_gate();
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{"return tostring({}) .. tostring(tostring) .. tostring(string)",
			"tablefunctiontable"},
		{"return string.format('%s %s %5s|%-5s|%d %% %q', {}, error, 'a', true, 3, 'q\\n')",
			"table function     a|true |3 % \"q\\\n\""},
		{"return tostring(nil) .. tostring(true) .. tostring(1) .. tostring(1.0)",
			"niltrue11.0"},
		{"return tonumber('0x10') + tonumber('z', 36) + tonumber(' 5 ')", "56"},
		{"return tostring(tonumber('x')) .. tostring(tonumber({}))", "nilnil"},
		{"return #string .. #{ 1, 2 }", "02"},
		{"return ('x'):rep(3, ',') .. ('x'):rep(0) .. ('x'):rep(-1) .. (''):rep(1e9)",
			"x,x,x"},
		{"return #('x'):rep(65536)", "65536"},
		{"return ('abc'):sub(2) .. ('abc'):byte() .. ('aB'):upper() .. ('ab'):reverse()",
			"bc97ABba"},
		{"return utf8.char(233, 8364) .. utf8.len('é€') .. utf8.codepoint('é')", "é€2233"},
		{"local n = 0 for w in ('é€x'):gmatch(utf8.charpattern) do n = n + 1 end return n",
			"3"},
		{"local n = 0 for _, c in utf8.codes('é€x') do n = n + c end return n", "8717"},
		{"local t = { 3, 1, 2 } table.sort(t) return table.concat(t)", "123"},
		{"local t = { 3, 1, 2, 5, 4 } table.sort(t, function(a, b) return a > b end) "
		 "return table.concat(t)",
			"54321"},
		{"local t = { 'b2', 'a1', 'b1', 'a2', 'c1' } "
		 "table.sort(t, function(a, b) return a:sub(1, 1) < b:sub(1, 1) end) "
		 "return table.concat(t)",
			"a1a2b2b1c1"},
		{"local t = { 3, 1, 2 } table.sort(t, function() return true end) return #t", "3"},
		{"local t = {} for i = 1, 4096 do t[i] = (i * 7919) % 4096 end table.sort(t) "
		 "for i = 1, 4096 do if t[i] ~= i - 1 then return i end end return 'sorted'",
			"sorted"},
		{"local t = {} table.sort(t) table.sort({ 1 }) return #t", "0"},
		{"local t = { 1, 2 } table.insert(t, 3) table.insert(t, 1, 0) "
		 "return table.concat(t) .. table.remove(t) .. table.remove(t, 1) .. "
		 "table.concat(t)",
			"01233012"},
		{"return table.concat({ 1, 'a', 2.5 }, ', ', 2, 3) .. table.concat({})", "a, 2.5"},
		{"return table.concat({ [math.maxinteger] = 'x' }, '', math.maxinteger, "
		 "math.maxinteger)",
			"x"},
		{"return select('#', table.unpack({ 1, 2, nil, 4 }, 1, 4)) .. table.pack(1, nil).n",
			"42"},
		{"return table.concat(table.move({ 1, 2, 3 }, 2, 3, 1))", "233"},
		{"return math.tointeger(3.0) .. math.type(1) .. math.max(1, 5, 3)", "3integer5"},
		{"return select(-1, 1, 2, 'z')", "z"},
		{"local s = 0 for i, v in ipairs({ 1, 2, nil, 4 }) do s = s + v end return s", "3"},
	};
	for (size_t i = 0; i < ROWS(rows); i++)
		check_result(gate, rows[i].text, rows[i].want);
	lua_gate_free(&gate);
}

static void pairs_keeps_order(void **state)
{
	struct lua_gate *gate = new_gate();
	static const char head[] = "local out = {} for k, v in pairs(t) do "
				   "out[#out + 1] = tostring(k) .. '=' .. tostring(v) end "
				   "return table.concat(out, ' ')";
	static const struct {
		const char *table;
		const char *want;
	} rows[] = {
		{"t = {}", ""},
		{"t = { 5, 6, 7 }", "1=5 2=6 3=7"},
		{"t = { b = 1, a = 2, [10] = 3, [-1] = 4, [true] = 5, [false] = 6, ab = 7, [''] = "
		 "8, 'x' }",
			"-1=4 1=x 10=3 =8 a=2 ab=7 b=1 false=6 true=5"},
		{"t = { ['a\\0b'] = 1, ['a\\0a'] = 2, ['a'] = 3, ['\\xff'] = 4 } t['\\xff'] = nil "
		 "t.z = 5",
			"a=3 a\\0a=2 a\\0b=1 z=5"},
		{"t = { [2.0] = 'a', [math.mininteger] = 'b', [math.maxinteger] = 'c' }",
			"-9223372036854775808=b 2=a 9223372036854775807=c"},
		{"t = { [('x'):rep(100)] = 1 } t[('x'):rep(100)] = 2 t.k = 0 for k in pairs(t) do "
		 "if #k > 1 then t[k] = 9 end end local u = {} for k, v in pairs(t) do u[#k] = v "
		 "end t = u",
			"1=0 100=9"},
		/* A key that is gone is left out, one that is new is not met. */
		{"local u = { a = 1, b = 2, c = 3 } t = {} for k, v in pairs(u) do t[k] = v u.b = "
		 "nil "
		 "u.z = 1 end",
			"a=1 c=3"},
		{"t = { 1, 2 } for k in pairs(t) do t[k] = nil end", ""},
	};
	for (size_t i = 0; i < ROWS(rows); i++) {
		char text[512];
		(void)snprintf(text, sizeof(text), "%s %s", rows[i].table, head);
		const char *got = result_of(gate, text);
		size_t n = 0;
		/* Shown with \0 as two characters. */
		char shown[256];
		for (size_t k = 0; k < lua_rawlen(lua_gate_state(gate), -1) && n < 250; k++) {
			if (got[k] == '\0')
				shown[n++] = '\\';
			shown[n++] = got[k] == '\0' ? '0' : got[k];
		}
		shown[n] = '\0';
		assert_string_equal(shown, rows[i].want);
	}
	check_result(gate, "local n = 0 for k, v in pairs(string) do n = n + 1 end return n", "13");
	check_result(gate, "local f = pairs({}) f() f() return tostring(f())", "nil");
	lua_gate_free(&gate);
}

static int ask(lua_State *L)
{
	const char *answer = lua_gate_context(L);
	if (answer != NULL) {
		lua_pushstring(L, answer);
		return 1;
	}
	return lua_yield(L, lua_gettop(L));
}

/* An extra table with ask, and text that is read-only. */
static int push_extra(struct lua_gate *gate)
{
	lua_State *L = lua_gate_state(gate);
	lua_newtable(L);
	lua_pushcfunction(L, ask);
	lua_setfield(L, -2, "ask");
	lua_newtable(L);
	lua_pushliteral(L, "Bonjour");
	lua_setfield(L, -2, "hello");
	lua_pushliteral(L, "un");
	lua_rawseti(L, -2, 1);
	lua_gate_read_only(L);
	lua_setfield(L, -2, "text");
	return lua_gettop(L);
}

static void environments_are_fresh(void **state)
{
	struct lua_gate *gate = new_gate();
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	int extra = push_extra(gate);
	assert_int_equal(lua_gate_load(gate,
				 STR("local was = x; x = (x or 0) + 1; ask = nil; string = nil; "
				     "function f() return x end "
				     "return tostring(was) .. f() .. text.hello .. #text .. "
				     "('a'):upper() .. "
				     "tostring(string) .. tostring(ask ~= nil)"),
				 "=menu.lua", &err),
		0);
	for (int i = 0; i < 3; i++) {
		lua_pushvalue(L, -1);
		lua_gate_fresh_env(gate, i == 1 ? -2 - (lua_gettop(L) - extra - 1) : extra);
		assert_int_equal(lua_gate_call(gate, 0, 1, &err), 0);
		/* Setting to nil in an empty environment uncovers what is behind it. */
		check_str(str_c(lua_tostring(L, -1)), "nil1Bonjour1Atabletrue");
		lua_pop(L, 1);
	}
	lua_settop(L, extra);
	static const char *const writes[] = {"text.hello = 1", "text[2] = 'x'",
		"table.insert(text, 'x')", "table.sort(text)", "table.remove(text)"};
	for (size_t i = 0; i < ROWS(writes); i++) {
		assert_int_equal(lua_gate_load(gate, str_c(writes[i]), "=menu.lua", &err), 0);
		lua_gate_fresh_env(gate, extra);
		struct err refused = ERR_INIT;
		assert_int_equal(lua_gate_call(gate, 0, 0, &refused), TAMA_ESCRIPT);
		assert_string_equal(refused.text, "menu.lua:1: this table is read-only");
	}
	assert_int_equal(lua_gettop(L), extra);
	lua_gate_free(&gate);
}

static void questions_yield(void **state)
{
	struct lua_gate *gate = new_gate();
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	char answer[] = "500";
	int extra = push_extra(gate);
	assert_int_equal(
		lua_gate_load(gate, STR("local a = ask('amount?', 1, 2)\nreturn 'paid', a, ..."),
			"=menu.lua", &err),
		0);
	int function = lua_gettop(L);
	for (int i = 0; i < 3; i++) {
		lua_pushvalue(L, function);
		lua_gate_fresh_env(gate, extra);
		assert_int_equal(lua_gate_call_yielding(gate, 0, 2, &err), 1);
		assert_int_equal(lua_gettop(L), function + 2);
		check_str(str_c(lua_tostring(L, -2)), "amount?");
		assert_int_equal(lua_tointeger(L, -1), 1);
		lua_settop(L, function);

		lua_pushvalue(L, function);
		lua_gate_fresh_env(gate, extra);
		lua_pushinteger(L, 9);
		lua_gate_set_context(gate, answer);
		assert_int_equal(lua_gate_call_yielding(gate, 1, 5, &err), 0);
		lua_gate_set_context(gate, NULL);
		check_str(str_c(lua_tostring(L, -5)), "paid");
		check_str(str_c(lua_tostring(L, -4)), "500");
		assert_int_equal(lua_tointeger(L, -3), 9);
		assert_true(lua_isnil(L, -2) && lua_isnil(L, -1));
		lua_settop(L, function);
	}
	lua_pushvalue(L, function);
	lua_gate_fresh_env(gate, extra);
	assert_int_equal(lua_gate_call(gate, 0, 2, &err), TAMA_ESCRIPT);
	assert_string_equal(err.text, "menu.lua:1: no question may be asked here");
	assert_int_equal(lua_gettop(L), function);
	/* Through a C function there is no way back. */
	static const char *const across[] = {"('x'):gsub('x', ask)", "table.sort({ 1, 2 }, ask)"};
	for (size_t i = 0; i < ROWS(across); i++) {
		struct err refused = ERR_INIT;
		assert_int_equal(lua_gate_load(gate, str_c(across[i]), "=menu.lua", &err), 0);
		lua_gate_fresh_env(gate, extra);
		assert_int_equal(lua_gate_call_yielding(gate, 0, 0, &refused), TAMA_ESCRIPT);
		assert_string_equal(
			refused.text, "menu.lua:1: attempt to yield across a C-call boundary");
	}
	lua_gate_free(&gate);
}

static int catch_all(lua_State *L)
{
	for (int i = 0; i < 1000; i++) {
		lua_pushvalue(L, 1);
		(void)lua_pcall(L, 0, 0, 0);
		lua_settop(L, 1);
	}
	return 0;
}

/* A C function that swallows errors, as pcall would, does not buy a script more time. */
static void budget_is_sticky(void **state)
{
	struct lua_gate *gate = new_gate();
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	lua_newtable(L);
	lua_pushcfunction(L, catch_all);
	lua_setfield(L, -2, "catch");
	assert_int_equal(lua_gate_load(gate,
				 STR("while true do catch(function() while true do end end) end"),
				 "=menu.lua", &err),
		0);
	lua_gate_fresh_env(gate, 1);
	assert_int_equal(lua_gate_call(gate, 0, 0, &err), TAMA_ELIMIT);
	assert_in_range(
		lua_gate_used(gate), LIMIT_LUA_INSTRUCTIONS, LIMIT_LUA_INSTRUCTIONS + 20000);
	lua_settop(L, 0);
	check_result(gate, "for i = 1, 500000 do end return 1", "1");
	assert_in_range(lua_gate_used(gate), 400000, 600000);
	struct lua_gate_stats stats;
	lua_gate_stats(gate, &stats);
	assert_int_equal(stats.stopped, 1);
	lua_gate_free(&gate);
}

/* What the owner pushes may be longer than what a script may make. */
static void arguments_may_be_long(void **state)
{
	struct lua_gate *gate = new_gate();
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(gate);
	char *body = make_text("<a>", "x", 200000, "</a>");
	assert_int_equal(
		lua_gate_load(gate,
			STR("local s = ... return #s, s:find('</a>', 1, true), s:sub(1, 3)"),
			"=menu.lua", &err),
		0);
	lua_pushstring(L, body);
	assert_int_equal(lua_gate_call(gate, 1, 3, &err), 0);
	assert_int_equal(lua_tointeger(L, 1), 200007);
	assert_int_equal(lua_tointeger(L, 2), 200004);
	check_str(str_c(lua_tostring(L, 3)), "<a>");
	free(body);
	lua_gate_free(&gate);
}

/* Every allocation of making a state, and of a script, fails once. */
static void memory_may_end_anywhere(void **state)
{
	static const char script[] =
		"local t = {} for i = 1, 50 do t[i] = ('x' .. i):gsub('%d', '%0%0') end "
		"table.sort(t) local n = 0 for k, v in pairs(t) do n = n + #v end "
		"return string.format('%d %s', n, table.concat(t, ','))";
	size_t max = 0;
	unsigned failed_to_open = 0;
	unsigned stopped = 0;
	for (bool is_done = false; !is_done; max += 61) {
		struct err err = ERR_INIT;
		struct lua_gate *gate = NULL;
		int rc = lua_gate_new_limited(&gate, max, &err);
		if (rc != 0) {
			assert_int_equal(rc, TAMA_ENOMEM);
			assert_null(gate);
			failed_to_open++;
			continue;
		}
		rc = run_script(gate, script, &err);
		is_done = rc == 0;
		stopped += rc == TAMA_ELIMIT;
		assert_true(rc == 0 || rc == TAMA_ELIMIT);
		lua_gate_free(&gate);
	}
	assert_in_range(failed_to_open, 50, 2000);
	assert_in_range(stopped, 10, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_and_returns),
		cmocka_unit_test(messages_have_a_place),
		cmocka_unit_test(stops_hostile_scripts),
		cmocka_unit_test(survives_the_parser),
		cmocka_unit_test(loads_text_only),
		cmocka_unit_test(shows_the_allow_list),
		cmocka_unit_test(library_works),
		cmocka_unit_test(pairs_keeps_order),
		cmocka_unit_test(environments_are_fresh),
		cmocka_unit_test(questions_yield),
		cmocka_unit_test(budget_is_sticky),
		cmocka_unit_test(arguments_may_be_long),
		cmocka_unit_test(memory_may_end_anywhere),
	};
	return cmocka_run_group_tests_name("lua_gate", tests, NULL, NULL);
}
