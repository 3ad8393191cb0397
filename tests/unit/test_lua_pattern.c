/* Our find, match, gmatch and gsub against those of Lua 5.4: equal wherever ours does not refuse.
 */
#include "check.h"

#include "../../src/lua/lua_priv.h"

#include <lauxlib.h>
#include <lualib.h>

/* ThreadSanitizer has nothing to find in one thread: a look is enough. */
#ifdef __SANITIZE_THREAD__
#define RANDOM_ROUNDS 500
#else
#define RANDOM_ROUNDS 20000
#endif

/* All four on one subject, pattern and replacement; the results with their types. */
static const char probe[] =
	"local what, s, p, r, from = ...\n"
	"local out = {}\n"
	"local function add(...)\n"
	"  for i = 1, select('#', ...) do\n"
	"    local v = (select(i, ...))\n"
	"    out[#out + 1] = type(v) .. ':' .. tostring(v)\n"
	"  end\n"
	"  out[#out + 1] = ';'\n"
	"end\n"
	"if what == 1 then add(string.find(s, p)) add(s:find(p, from))\n"
	"elseif what == 2 then add(s:match(p)) add(s:match(p, from)) add(s:find(p, from, true))\n"
	"elseif what == 3 then for a, b, c in s:gmatch(p) do add(a, b, c) end\n"
	"  for a in s:gmatch(p, from) do add(a) end\n"
	"elseif what == 4 then add(s:gsub(p, r)) add(s:gsub(p, r, 2)) add(s:gsub(p, '<%0>'))\n"
	"elseif what == 5 then add(s:gsub(p, { a = 'A', b = false, ab = 12 }))\n"
	"  add(s:gsub(p, function(a, b) if b then return b .. a end end)) end\n"
	"return table.concat(out, '|')\n";

enum { WHAT_FIRST = 1, WHAT_LAST = 5 };

struct sides {
	lua_State *raw; /* function at index 1 */
	struct lua_gate *gate;
	unsigned compared;
	unsigned refused;
};

static void sides_init(struct sides *sides)
{
	struct err err = ERR_INIT;
	*sides = (struct sides){.raw = luaL_newstate()};
	assert_non_null(sides->raw);
	luaL_openlibs(sides->raw);
	assert_int_equal(luaL_loadstring(sides->raw, probe), LUA_OK);
	assert_int_equal(lua_gate_new(&sides->gate, &err), 0);
	assert_int_equal(lua_gate_load(sides->gate, str_c(probe), "=probe", &err), 0);
	lua_gate_fresh_env(sides->gate, 0);
}

static void sides_fini(struct sides *sides)
{
	lua_close(sides->raw);
	lua_gate_free(&sides->gate);
}

struct question {
	int what;
	struct str subject;
	struct str pattern;
	const char *replacement;
	int from;
};

static void push_question(lua_State *L, const struct question *q)
{
	lua_settop(L, 1);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, q->what);
	lua_pushlstring(L, q->subject.p, q->subject.n);
	lua_pushlstring(L, q->pattern.p, q->pattern.n);
	lua_pushstring(L, q->replacement);
	lua_pushinteger(L, q->from);
}

static struct str top_text(lua_State *L)
{
	struct str s;
	s.p = lua_tolstring(L, -1, &s.n);
	return s;
}

static void compare(struct sides *sides, const struct question *q)
{
	struct err err = ERR_INIT;
	lua_State *ours = lua_gate_state(sides->gate);
	push_question(ours, q);
	int rc = lua_gate_call(sides->gate, 5, 1, &err);
	if (rc == TAMA_ELIMIT) {
		sides->refused++;
		return;
	}
	push_question(sides->raw, q);
	int raw = lua_pcall(sides->raw, 5, 1, 0);
	if (rc != 0 && raw == LUA_OK) {
		/* Lua looks at a malformed part only when a subject reaches it. */
		if (strstr(err.text, "malformed") == NULL && strstr(err.text, "capture") == NULL &&
			strstr(err.text, "missing") == NULL)
			fail_msg("only ours refused \"%.*s\": %s", STR_ARG(q->pattern), err.text);
		sides->refused++;
		return;
	}
	sides->compared++;
	if (rc != 0)
		return;
	struct str got = top_text(ours);
	struct str want = top_text(sides->raw);
	if (raw != LUA_OK || !str_eq(got, want))
		fail_msg("what %d subject \"%.*s\" pattern \"%.*s\" replacement \"%s\" from %d\n"
			 "ours %.*s\nLua  %.*s",
			q->what, STR_ARG(q->subject), STR_ARG(q->pattern), q->replacement, q->from,
			STR_ARG(got), STR_ARG(want));
}

static void compare_all(struct sides *sides, struct question q)
{
	for (q.what = WHAT_FIRST; q.what <= WHAT_LAST; q.what++)
		compare(sides, &q);
}

static const struct str patterns[] = {
	STR_INIT(""),
	STR_INIT("a"),
	STR_INIT("abc"),
	STR_INIT("."),
	STR_INIT(".*"),
	STR_INIT(".-"),
	STR_INIT(".+"),
	STR_INIT("a*"),
	STR_INIT("a-b"),
	STR_INIT("a?b"),
	STR_INIT("^a"),
	STR_INIT("a$"),
	STR_INIT("^$"),
	STR_INIT("^"),
	STR_INIT("$"),
	STR_INIT("a^b"),
	STR_INIT("a$b"),
	STR_INIT("%a+"),
	STR_INIT("%A"),
	STR_INIT("%d+"),
	STR_INIT("%D"),
	STR_INIT("%s"),
	STR_INIT("%S+"),
	STR_INIT("%w+"),
	STR_INIT("%W"),
	STR_INIT("%p"),
	STR_INIT("%P"),
	STR_INIT("%c"),
	STR_INIT("%C"),
	STR_INIT("%x+"),
	STR_INIT("%X"),
	STR_INIT("%l+"),
	STR_INIT("%u"),
	STR_INIT("%U"),
	STR_INIT("%g+"),
	STR_INIT("%G"),
	STR_INIT("%z"),
	STR_INIT("%Z"),
	STR_INIT("%."),
	STR_INIT("%%"),
	STR_INIT("%é"),
	STR_INIT("%-%+"),
	STR_INIT("[abc]+"),
	STR_INIT("[^abc]+"),
	STR_INIT("[a-z0-9]*"),
	STR_INIT("[]]"),
	STR_INIT("[^]]"),
	STR_INIT("[]-a]"),
	STR_INIT("[a-]"),
	STR_INIT("[-a]"),
	STR_INIT("[%a_]+"),
	STR_INIT("[%]]"),
	STR_INIT("[%a-z]"),
	STR_INIT("[a-%%]"),
	STR_INIT("[+-%]]"),
	STR_INIT("[%"),
	STR_INIT("["),
	STR_INIT("[^"),
	STR_INIT("[]"),
	STR_INIT("[^]"),
	STR_INIT("[a"),
	STR_INIT("[a%]"),
	STR_INIT("%"),
	STR_INIT("a%"),
	STR_INIT("(a)(b)"),
	STR_INIT("(a*(b))"),
	STR_INIT("((a)(b))"),
	STR_INIT("()"),
	STR_INIT("()a()"),
	STR_INIT("(a"),
	STR_INIT("a)"),
	STR_INIT(")"),
	STR_INIT("("),
	STR_INIT("(()"),
	STR_INIT("(.)%1"),
	STR_INIT("(.-)%1"),
	STR_INIT("%1"),
	STR_INIT("(%1)"),
	STR_INIT("()%1"),
	STR_INIT("(a)%2"),
	STR_INIT("%0"),
	STR_INIT("(.)(.)%2%1"),
	STR_INIT("%b()"),
	STR_INIT("%bxx"),
	STR_INIT("%b("),
	STR_INIT("%b"),
	STR_INIT("%b()*"),
	STR_INIT("%f[%w]%w+"),
	STR_INIT("%f[%W]"),
	STR_INIT("%f[%z]"),
	STR_INIT("%f[\0]"),
	STR_INIT("%f"),
	STR_INIT("%fa"),
	STR_INIT("%f["),
	STR_INIT("%f[a"),
	STR_INIT("\0"),
	STR_INIT("[\0-\x1f]"),
	STR_INIT("[\x80-\xff]+"),
	STR_INIT("*"),
	STR_INIT("**"),
	STR_INIT("+a"),
	STR_INIT("-"),
	STR_INIT("?"),
	STR_INIT("a**"),
	STR_INIT("(a)*"),
	STR_INIT("^(%s*)(.-)%s*$"),
	STR_INIT("^%s*(.-)%s*$"),
	STR_INIT("(%d+)%-(%d+)"),
	STR_INIT("^%+?%d+$"),
	STR_INIT("([^,]*),?"),
	STR_INIT("[%w%.]+@%w+"),
	STR_INIT("(%w+)=(%w+)"),
	STR_INIT("^*"),
	STR_INIT("$$"),
	STR_INIT("^^a"),
	STR_INIT("a-$"),
	STR_INIT("[a-c-e]"),
	STR_INIT("[%-x]"),
	STR_INIT("[^%s]"),
	STR_INIT("[^%S]+"),
	STR_INIT("[.*]"),
};

static const struct str subjects[] = {
	STR_INIT(""),
	STR_INIT("a"),
	STR_INIT("abc"),
	STR_INIT("aaab"),
	STR_INIT("abab ab"),
	STR_INIT("hello World 123"),
	STR_INIT("  trim me \t"),
	STR_INIT("a,b,,c,"),
	STR_INIT("(a(b)c)(d"),
	STR_INIT("xax bxb"),
	STR_INIT("a\0b\0"),
	STR_INIT("\0"),
	STR_INIT("key=value, k2=v2"),
	STR_INIT("+2250701020304"),
	STR_INIT("07-01-02"),
	STR_INIT("a]b-c^d%e"),
	STR_INIT("aabbaa"),
	STR_INIT("\xc3\xa9t\xc3\xa9"),
	STR_INIT("THE (quick) fox."),
	STR_INIT("a$b^c*d+e?f"),
	STR_INIT("ab12_x.y@z"),
};

static const char *const replacements[] = {"", "x", "[%0]", "%1", "%2%1", "%%", "%", "%a", "%9"};

static void agrees_on_the_table(void **state)
{
	struct sides sides;
	sides_init(&sides);
	for (size_t p = 0; p < ROWS(patterns); p++)
		for (size_t s = 0; s < ROWS(subjects); s++)
			for (size_t r = 0; r < ROWS(replacements); r += 1 + (p + s) % 3)
				compare_all(&sides, (struct question){.subject = subjects[s],
							    .pattern = patterns[p],
							    .replacement = replacements[r],
							    .from = (int)((p + s + r) % 9) - 4});
	assert_true(sides.refused * 20 < sides.compared);
	sides_fini(&sides);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Up to most pieces one after another; what is made stays well below the size of room. */
static struct str random_text(
	uint64_t *seed, char *room, const struct str *pieces, size_t count, size_t most)
{
	size_t n = 0;
	for (size_t i = random_next(seed) % (most + 1); i > 0; i--) {
		struct str piece = pieces[random_next(seed) % count];
		memcpy(room + n, piece.p, piece.n);
		n += piece.n;
	}
	return (struct str){room, n};
}

static void agrees_by_chance(void **state)
{
	static const struct str parts[] = {STR_INIT("a"), STR_INIT("b"), STR_INIT("."),
		STR_INIT("%a"), STR_INIT("%d"), STR_INIT("%S"), STR_INIT("[ab]"), STR_INIT("[^a]"),
		STR_INIT("[%d-]"), STR_INIT("[a-c]"), STR_INIT("(a)"), STR_INIT("(.-)"),
		STR_INIT("()"), STR_INIT("(b*)"), STR_INIT("*"), STR_INIT("+"), STR_INIT("-"),
		STR_INIT("?"), STR_INIT("*"), STR_INIT("-"), STR_INIT("%1"), STR_INIT("%b()"),
		STR_INIT("%f[%a]"), STR_INIT("%f[^a]"), STR_INIT("^"), STR_INIT("$"), STR_INIT("("),
		STR_INIT(")"), STR_INIT("["), STR_INIT("]"), STR_INIT("%"), STR_INIT("\0")};
	static const struct str letters[] = {STR_INIT("a"), STR_INIT("a"), STR_INIT("b"),
		STR_INIT("ab"), STR_INIT("c"), STR_INIT("("), STR_INIT(")"), STR_INIT("1"),
		STR_INIT(" "), STR_INIT("-"), STR_INIT("]"), STR_INIT("\0"), STR_INIT("%")};
	uint64_t seed = UINT64_C(0x7a6d612d6c7561);
	struct sides sides;
	sides_init(&sides);
	for (unsigned i = 0; i < RANDOM_ROUNDS; i++) {
		char pattern[128];
		char subject[64];
		compare_all(&sides,
			(struct question){
				.subject = random_text(&seed, subject, letters, ROWS(letters), 12),
				.pattern = random_text(&seed, pattern, parts, ROWS(parts), 7),
				.replacement =
					replacements[random_next(&seed) % ROWS(replacements)],
				.from = (int)(random_next(&seed) % 12) - 4});
	}
	assert_true(sides.refused * 2 < sides.compared);
	sides_fini(&sides);
}

/* Bounds are inclusive: what just fits is answered. */
static void bounds_are_exact(void **state)
{
	struct sides sides;
	static char subject[LIMIT_LUA_SUBJECT + 1];
	static char pattern[LIMIT_LUA_PATTERN + 1];
	memset(subject, 'x', sizeof(subject));
	memset(pattern, 'x', sizeof(pattern));
	pattern[0] = '.';
	sides_init(&sides);
	struct question q = {.what = 4, .replacement = "y", .from = 1};
	q.subject = (struct str){subject, LIMIT_LUA_SUBJECT};
	q.pattern = STR("x+$");
	compare(&sides, &q);
	q.pattern = (struct str){pattern, LIMIT_LUA_PATTERN};
	q.what = 1;
	compare(&sides, &q);
	assert_int_equal(sides.refused, 0);
	q.pattern.n++;
	compare(&sides, &q);
	assert_int_equal(sides.refused, 1);
	q.pattern = STR("x+$");
	q.subject.n++;
	compare(&sides, &q);
	assert_int_equal(sides.refused, 2);
	sides_fini(&sides);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_on_the_table),
		cmocka_unit_test(agrees_by_chance),
		cmocka_unit_test(bounds_are_exact),
	};
	return cmocka_run_group_tests_name("lua_pattern", tests, NULL, NULL);
}
