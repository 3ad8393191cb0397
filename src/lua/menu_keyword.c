/*
 * A message that opens a session by SMS: "CREDIT 500 0701020304". The keyword's function in the
 * menu turns it into inputs that arrive together, so what follows is the menu that USSD walks as
 * well.
 */
#include "menu_priv.h"

#include "tama/gsm7.h"

#define AMOUNT_DIGITS_MAX 6 /* in a keyword: longer is no amount (sms-gsm-numbering.md D.1) */
#define NUMBER_DIGITS_MIN 8

static const char *const stop_words[] = {
	"STOP", "ARRET", "ANNULER", "CANCEL", "END", "QUIT", "UNSUBSCRIBE"};
static const char *const help_words[] = {"AIDE", "HELP", "INFO"};

static bool is_among(struct str word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(word, str_c(words[i])))
			return true;
	return false;
}

bool word_stops(struct str word)
{
	return is_among(word, stop_words, sizeof(stop_words) / sizeof(stop_words[0]));
}

bool word_asks_help(struct str word)
{
	return is_among(word, help_words, sizeof(help_words) / sizeof(help_words[0]));
}

static bool separates(char c)
{
	return c == ' ' || c == '*' || c == '#' || c == '\n' || c == '\t' || c == '\r';
}

struct str word_next(struct str *message)
{
	size_t begin = 0;
	while (begin < message->n && separates(message->p[begin]))
		begin++;
	size_t end = begin;
	while (end < message->n && !separates(message->p[end]))
		end++;
	struct str word = {message->p + begin, end - begin};
	*message = str_from(*message, end);
	return word;
}

bool menu_is_keyword(struct menu_host *host, const struct service *service, struct str text)
{
	const struct menu_service *known = menu_service_of(host, service);
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	struct str rest = gsm7_fold(text, &arena);
	struct str word = word_next(&rest);
	bool is_one = word_asks_help(word);
	for (size_t i = 0; known != NULL && i < known->keywords_len; i++)
		is_one = is_one || str_eq(known->keywords[i], word);
	arena_fini(&arena);
	return is_one;
}

static struct str keep_keyword(lua_State *L, struct arena *arena)
{
	struct str word = {NULL, 0};
	if (lua_type(L, -2) == LUA_TSTRING)
		word.p = lua_tolstring(L, -2, &word.n);
	word = arena_str(arena, word);
	struct str rest = gsm7_fold(word, arena);
	if (lua_type(L, -1) != LUA_TFUNCTION)
		menu_misuse(L, "keywords = { CREDIT = function(call, words) return { ... } end }");
	if (word.n == 0 || !str_eq(word, word_next(&rest)) || rest.n > 0)
		menu_misuse(L, "a keyword is one word in capitals without accents: CREDIT");
	return word;
}

void keywords_read(lua_State *L, struct arena *arena, struct menu_service *service)
{
	size_t n = 0;
	if (lua_getfield(L, -1, "keywords") == LUA_TTABLE) {
		for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
			n++;
		service->keywords = arena_alloc(arena, n * sizeof(service->keywords[0]));
		if (service->keywords == NULL)
			luaL_error(L, "too many keywords");
		for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
			service->keywords[service->keywords_len++] = keep_keyword(L, arena);
	}
	lua_pop(L, 1);
}

/* [-0, +1, e] stops(word) */
static int keyword_stops(lua_State *L)
{
	lua_pushboolean(L, word_stops(menu_check_text(L, 1, "stops(word)")));
	return 1;
}

/* [-0, +1, e] asks_help(word) */
static int keyword_asks_help(lua_State *L)
{
	lua_pushboolean(L, word_asks_help(menu_check_text(L, 1, "asks_help(word)")));
	return 1;
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
	run->has_opened = true;
	struct str text = gsm7_fold(run->inputs[0].text, run->arena);
	run->input_at = run->inputs_len;
	lua_settop(L, 0);
	for (struct str word; (word = word_next(&text)).n > 0;)
		if (lua_gettop(L) < LIMIT_PRETYPED)
			lua_pushlstring(L, word.p, word.n);
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
	{"stops", keyword_stops},
	{"asks_help", keyword_asks_help},
	{"type", keyword_type},
	{"amount_and_number", keyword_amount_and_number},
	{NULL, NULL},
};
