/*
 * A message that opens a session by SMS: "CREDIT 500 0701020304". The keyword's function in the
 * menu turns it into inputs that arrive together, so what follows is the menu that USSD walks as
 * well.
 */
#include "menu_priv.h"

#include "tama/gsm7.h"

#define AMOUNT_DIGITS_MAX 6 /* in a keyword: longer is no amount (sms-gsm-numbering.md D.1) */
#define NUMBER_DIGITS_MIN 8

static bool separates(char c)
{
	return c == ' ' || c == '*' || c == '#' || c == '\n' || c == '\t' || c == '\r';
}

/*
 * [-0, +2, e] keyword(): the folded first word and a list of the others, when this turn begins a
 * session by SMS; nothing else. The message is used up; the session's journal tells that it began.
 */
static int keyword_open(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct str kept;
	if (!run->is_opening || run->inputs_len == 0) {
		/* Home drops the mark, so its absence says nothing. */
		(void)menu_effect_find(run, "opened", STR(""), &kept);
		return 0;
	}
	run->is_opening = false;
	struct str text = gsm7_fold(run->inputs[0].text, run->arena);
	run->input_at = run->inputs_len;
	lua_settop(L, 0);
	for (size_t i = 0; i < text.n;) {
		size_t begin = i;
		while (i < text.n && !separates(text.p[i]))
			i++;
		if (i > begin && lua_gettop(L) < LIMIT_PRETYPED)
			lua_pushlstring(L, text.p + begin, i - begin);
		while (i < text.n && separates(text.p[i]))
			i++;
	}
	if (lua_gettop(L) == 0)
		lua_pushliteral(L, "");
	int n = lua_gettop(L);
	lua_createtable(L, n, 0);
	lua_insert(L, 2);
	for (int i = n - 1; i > 0; i--)
		lua_rawseti(L, 2, i);
	menu_effect_add(run, "opened", STR(""), STR(""));
	return 2;
}

/* [-0, +0, e] type(inputs, reason): what a keyword stands for, typed in advance */
static int keyword_type(lua_State *L)
{
	const char *usage = "a keyword returns the inputs it stands for: return { \"1\", \"500\" }";
	struct menu_run *run = menu_run_of(L);
	lua_settop(L, 2);
	if (!lua_isnil(L, 1) && !lua_istable(L, 1))
		menu_misuse(L, "%s", usage);
	size_t n = lua_isnil(L, 1) ? 0 : lua_rawlen(L, 1);
	if (n > LIMIT_PRETYPED)
		menu_misuse(L, "a keyword stands for at most %d inputs", LIMIT_PRETYPED);
	struct menu_input *inputs = arena_alloc(run->arena, n * sizeof(inputs[0]));
	for (size_t i = 0; i < n && inputs != NULL; i++) {
		lua_geti(L, 1, (lua_Integer)i + 1);
		inputs[i].text = arena_str(run->arena, menu_check_text(L, -1, usage));
		inputs[i].is_pretyped = true;
		lua_pop(L, 1);
	}
	run->inputs = inputs;
	run->inputs_len = inputs != NULL ? n : 0;
	run->input_at = 0;
	if (!lua_isnil(L, 2))
		run->reason = arena_str(run->arena, menu_check_text(L, 2, "return {}, reason"));
	return 0;
}

/* ---- words of a keyword message ----------------------------------------------------------------
 */

struct reading {
	struct str amount;
	struct str number;
};

static bool reads_as_number(const struct menu_run *run, struct str s)
{
	struct msisdn number;
	size_t digits = 0;
	for (size_t i = 0; i < s.n; i++)
		digits += s.p[i] >= '0' && s.p[i] <= '9';
	if (digits < NUMBER_DIGITS_MIN)
		return false;
	/* An old or a foreign number is one; the question will say what is wrong with it. */
	return msisdn_parse_typed(s, &run->turn->channel->country->plan, &number) != TAMA_EINVAL;
}

static bool reads_as_amount(const struct menu_run *run, struct str s)
{
	int64_t amount;
	size_t digits = 0;
	for (size_t i = 0; i < s.n; i++)
		digits += s.p[i] >= '0' && s.p[i] <= '9';
	return digits <= AMOUNT_DIGITS_MAX &&
	       money_parse_typed(s, run->turn->channel->country->currency, &amount) == 0;
}

/* Words from first to before end of the list at index 1, with blanks between. */
static struct str join_words(lua_State *L, struct menu_run *run, size_t first, size_t end)
{
	struct str out = STR("");
	for (size_t i = first; i < end; i++) {
		lua_geti(L, 1, (lua_Integer)i + 1);
		struct str word = menu_check_text(L, -1, "amount_and_number(words)");
		out = arena_printf(run->arena, "%.*s%s%.*s", STR_ARG(out), i > first ? " " : "",
			STR_ARG(word));
		lua_pop(L, 1);
	}
	return out;
}

/*
 * [-0, +3, e] amount_and_number(words): both as text or nil, and whether the words can be read in
 * exactly one way. Every cut of the words in two is tried, either part being either.
 */
static int keyword_amount_and_number(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	if (!lua_istable(L, 1))
		menu_misuse(L, "amount_and_number(words): the words of a keyword");
	size_t n = lua_rawlen(L, 1);
	size_t ways = 0;
	struct reading found = {{NULL, 0}, {NULL, 0}};
	for (size_t cut = 0; cut < n && n <= LIMIT_PRETYPED; cut++) {
		struct str head = join_words(L, run, 0, cut);
		struct str tail = join_words(L, run, cut, n);
		bool has_head = cut > 0;
		if ((!has_head || reads_as_number(run, head)) && reads_as_amount(run, tail)) {
			found = (struct reading){tail, head};
			ways++;
		}
		if ((!has_head || reads_as_amount(run, head)) && reads_as_number(run, tail)) {
			found = (struct reading){head, tail};
			ways++;
		}
	}
	if (ways != 1)
		found = (struct reading){{NULL, 0}, {NULL, 0}};
	lua_settop(L, 0);
	if (found.amount.n > 0)
		lua_pushlstring(L, found.amount.p, found.amount.n);
	else
		lua_pushnil(L);
	if (found.number.n > 0)
		lua_pushlstring(L, found.number.p, found.number.n);
	else
		lua_pushnil(L);
	lua_pushboolean(L, ways == 1 || n == 0);
	return 3;
}

const luaL_Reg menu_keyword_functions[] = {
	{"keyword", keyword_open},
	{"type", keyword_type},
	{"amount_and_number", keyword_amount_and_number},
	{NULL, NULL},
};
