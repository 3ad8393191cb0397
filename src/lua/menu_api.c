/*
 * The functions below the prelude that ask, look up and end. Each works on the turn that is
 * running; where a function stops the run it does not come back.
 */
#include "menu_priv.h"

#include "tama/gsm7.h"

#define USAGE_CHOOSE "choose(prompt, { { label, value }, ... } [, vars])"
#define USAGE_ASK "ask(prompt [, { vars =, min =, max =, digits =, check = }])"
#define USAGE_AMOUNT "ask_amount(prompt, offer [, vars])"
#define USAGE_BYE "bye(text [, vars])"
#define USAGE_MENU "return menu { title = \"...\", run = function(call) ... end }"
#define TEXT_MAX 160
#define OTHER_ANSWER "other"

static int push_answer(lua_State *L, struct str answer)
{
	lua_pushlstring(L, answer.n > 0 ? answer.p : "", answer.n);
	return 1;
}

/* ---- choose ------------------------------------------------------------------------------------
 */

static void choice_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	size_t n = lua_rawlen(L, 2);
	if (n == 0 || n > LIMIT_OPTIONS)
		menu_misuse(L, "%s: there must be 1 to %d options", USAGE_CHOOSE, LIMIT_OPTIONS);
	const struct text_vars values = {.L = L, .index = 3};
	question_head(L, q, &values);
	struct str *options = question_options(run, q, n);
	for (size_t i = 0; i < n && options != NULL; i++) {
		struct str label = {NULL, 0};
		if (lua_geti(L, 2, (lua_Integer)i + 1) == LUA_TTABLE)
			lua_geti(L, -1, 1);
		else
			lua_pushvalue(L, -1);
		if (lua_type(L, -1) == LUA_TSTRING)
			label.p = lua_tolstring(L, -1, &label.n);
		if (label.n == 0)
			menu_misuse(L, "%s: option %zu has no label", USAGE_CHOOSE, i + 1);
		options[i] = arena_str(run->arena, text_fill(label, &values, run->arena));
		lua_pop(L, 2);
	}
}

static bool choice_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	size_t option = question_option(run, q, input);
	*out = option > 0 ? arena_printf(run->arena, "%zu", option) : menu_words(run, "bad_choice");
	return option > 0;
}

/* [-0, +1, e] pick(prompt, options, vars): the index chosen */
static int api_pick(lua_State *L)
{
	struct question q = {.kind = QUESTION_CHOICE, .fill = choice_fill, .read = choice_read};
	struct str answer;
	int64_t index;
	lua_settop(L, 3);
	question_prompt(L, &q, USAGE_CHOOSE, NULL);
	if (lua_type(L, 2) != LUA_TTABLE)
		menu_misuse(L, "%s: the options are missing", USAGE_CHOOSE);
	if (question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	if (!str_to_i64(answer, &index) || index < 1 || (size_t)index > lua_rawlen(L, 2))
		return menu_stop_changed(L);
	lua_pushinteger(L, index);
	return 1;
}

/* ---- ask ---------------------------------------------------------------------------------------
 */

static lua_Integer option_integer(lua_State *L, const char *name, lua_Integer otherwise)
{
	if (lua_isnil(L, 2) || lua_getfield(L, 2, name) == LUA_TNIL)
		return otherwise;
	if (!lua_isinteger(L, -1))
		menu_misuse(L, "%s: %s must be a whole number", USAGE_ASK, name);
	lua_Integer value = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return value;
}

static void ask_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	(void)run;
	struct text_vars vars = {.L = L};
	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, "vars");
		vars.index = lua_gettop(L);
	}
	question_head(L, q, &vars);
}

/* Characters, not bytes: a name may have accents. */
static size_t text_length(struct str s)
{
	size_t n = 0;
	for (size_t at = 0; at < s.n; n++)
		(void)utf8_next(s, &at);
	return n;
}

static bool is_all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

static void ask_begin(lua_State *L, struct question *q)
{
	*q = (struct question){.kind = QUESTION_TEXT, .fill = ask_fill};
	question_prompt(L, q, USAGE_ASK, NULL);
	if (!lua_isnil(L, 2) && !lua_istable(L, 2))
		menu_misuse(L, "%s: the second argument is a table", USAGE_ASK);
}

/* [-0, +2, e] ask(prompt, options): the answer, and whether the prelude must still judge it */
static int api_ask(lua_State *L)
{
	struct question q;
	struct str answer;
	lua_settop(L, 2);
	ask_begin(L, &q);
	enum asked asked = question_ask(L, &q, &answer);
	if (asked == ASKED_STOP)
		return lua_yield(L, 0);
	if (asked == ASKED_INPUT) {
		size_t n = text_length(answer);
		bool is_digits = false;
		if (lua_istable(L, 2)) {
			lua_getfield(L, 2, "digits");
			is_digits = lua_toboolean(L, -1);
		}
		if (n < (size_t)option_integer(L, "min", 1) ||
			n > (size_t)option_integer(L, "max", TEXT_MAX) ||
			(is_digits && !is_all_digits(answer))) {
			(void)question_refuse(L, &q, menu_words(menu_run_of(L), "bad_text"));
			return lua_yield(L, 0);
		}
	}
	(void)push_answer(L, answer);
	lua_pushboolean(L, asked == ASKED_INPUT);
	return 2;
}

/* [-0, +0, e] accept(prompt, options, answer) */
static int api_accept(lua_State *L)
{
	struct question q;
	ask_begin(L, &q);
	q.hash = menu_run_hash(menu_run_of(L), q.kind, q.key, STR(""));
	question_accept(menu_run_of(L), &q, menu_check_text(L, 3, USAGE_ASK));
	return 0;
}

/* [-0, yields] refuse(prompt, options, reason) */
static int api_refuse(lua_State *L)
{
	struct question q;
	lua_settop(L, 3);
	ask_begin(L, &q);
	struct str reason = menu_words(menu_run_of(L), "bad_text");
	if (!lua_isnil(L, 3))
		reason = menu_check_text(L, 3, "check = function(answer) return value, reason end");
	q.hash = menu_run_hash(menu_run_of(L), q.kind, q.key, STR(""));
	ask_fill(L, menu_run_of(L), &q);
	(void)question_refuse(L, &q, reason);
	return lua_yield(L, 0);
}

/* [-0, yields] changed() */
static int api_changed(lua_State *L)
{
	return menu_stop_changed(L);
}

/* ---- numbers and amounts -----------------------------------------------------------------------
 */

static void prompt_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	const struct text_vars vars = {.L = L, .index = 2};
	(void)run;
	question_head(L, q, &vars);
}

static bool number_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	struct msisdn number;
	(void)q;
	int rc = msisdn_parse_typed(input, &run->turn->channel->country->plan, &number);
	const char *reason = rc == TAMA_EDOUBT	    ? "old_number"
			     : rc == TAMA_ENOTFOUND ? "foreign_number"
						    : "bad_number";
	*out = rc == 0 ? arena_str(run->arena, str_c(number.digits)) : menu_words(run, reason);
	return rc == 0;
}

/* [-0, +1, e] number(prompt, vars): E.164 digits */
static int api_number(lua_State *L)
{
	struct question q = {.kind = QUESTION_NUMBER, .fill = prompt_fill, .read = number_read};
	struct str answer;
	lua_settop(L, 2);
	question_prompt(L, &q, "ask_msisdn([prompt [, vars]])", "ask_number");
	if (question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	return push_answer(L, answer);
}

/* "de 100 F a 50 000 F": the reason names what would be right. */
static struct str amount_reason(struct menu_run *run, const struct amount_rule *rule)
{
	const struct menu_var vars[] = {
		{"min", menu_money(run, rule->min)},
		{"max", menu_money(run, rule->max)},
		{"step", menu_money(run, rule->step)},
	};
	return menu_words_with(run, rule->step > 1 ? "bad_amount_step" : "bad_amount", vars, 3);
}

static bool amount_typed(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	const struct amount_rule *rule = q->about;
	int64_t amount;
	int rc = money_parse_typed(input, run->turn->channel->country->currency, &amount);
	if (rc == 0)
		rc = amount_rule_check(rule, amount);
	*out = rc == 0 ? arena_printf(run->arena, "%lld", (long long)amount)
		       : amount_reason(run, rule);
	return rc == 0;
}

/* The number of an option, or an amount typed at once. */
static bool amount_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	const struct amount_rule *rule = q->about;
	size_t option = question_option(run, q, input);
	if (option == 0)
		return amount_typed(run, q, input, out);
	*out = option > rule->suggest_len
		       ? STR(OTHER_ANSWER)
		       : arena_printf(run->arena, "%lld", (long long)rule->suggest[option - 1]);
	return true;
}

static void amount_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	const struct amount_rule *rule = q->about;
	const struct menu_var limits[] = {
		{"min", menu_money(run, rule->min)},
		{"max", menu_money(run, rule->max)},
	};
	const struct text_vars vars = {.list = limits, .n = 2, .L = L, .index = 3};
	question_head(L, q, &vars);
	if (q->kind == QUESTION_OTHER_AMOUNT || rule->suggest_len == 0)
		return;
	size_t shown = rule->suggest_len < LIMIT_OPTIONS ? rule->suggest_len : LIMIT_OPTIONS - 1;
	struct str *options = question_options(run, q, shown + 1);
	for (size_t i = 0; i < shown && options != NULL; i++)
		options[i] = menu_money(run, rule->suggest[i]);
	if (options != NULL)
		options[shown] = menu_words(run, "other_amount");
}

static int ask_amount(lua_State *L, struct question *q)
{
	struct menu_run *run = menu_run_of(L);
	const struct offer *offer = catalogue_offer(L, 2);
	struct str answer;
	int64_t amount;
	lua_settop(L, 3);
	if (lua_isnil(L, 2))
		return menu_stop_key(L, "not_sold", NULL, 0);
	if (offer == NULL)
		menu_misuse(L, "%s: the offer is operator.airtime or what choose_offer() gives",
			USAGE_AMOUNT);
	q->about = &offer->amount;
	if (question_ask(L, q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	if (q->kind == QUESTION_AMOUNT && str_eq(answer, STR(OTHER_ANSWER)))
		return 0;
	if (!str_to_i64(answer, &amount) || amount_rule_check(&offer->amount, amount) != 0)
		return menu_stop_changed(L);
	run->amount = amount;
	lua_pushinteger(L, amount);
	return 1;
}

/* [-0, +1, e] amount(prompt, offer, vars): minor units, or nothing when "another amount" was chosen
 */
static int api_amount(lua_State *L)
{
	struct question q = {.kind = QUESTION_AMOUNT, .fill = amount_fill, .read = amount_read};
	question_prompt(L, &q, USAGE_AMOUNT, "ask_amount");
	return ask_amount(L, &q);
}

/* [-0, +1, e] other_amount(nil, offer) */
static int api_other_amount(lua_State *L)
{
	struct question q = {
		.kind = QUESTION_OTHER_AMOUNT, .fill = amount_fill, .read = amount_typed};
	question_prompt(L, &q, USAGE_AMOUNT, "ask_other_amount");
	return ask_amount(L, &q);
}

/* ---- effects -----------------------------------------------------------------------------------
 */

/* [-0, +1, e] now(): Unix seconds, the same on every replay */
static int api_now(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct str value;
	int64_t seconds;
	int rc = menu_effect_find(run, "now", STR(""), &value);
	if (rc == 0) {
		value = arena_printf(
			run->arena, "%llu", (unsigned long long)run->turn->now_ms / 1000);
		menu_effect_add(run, "now", STR(""), value);
	}
	if (rc < 0 || !str_to_i64(value, &seconds))
		return menu_stop_changed(L);
	lua_pushinteger(L, seconds);
	return 1;
}

/* Pushes what a look-up found as a table, whole numbers as such; nil when it found nothing. */
static void push_found(lua_State *L, struct str value)
{
	const struct menu_run *run = menu_run_of(L);
	int64_t number;
	if (value.n == 0) {
		lua_pushnil(L);
		return;
	}
	lua_createtable(L, 0, 8);
	while (value.p != NULL) {
		struct str text = str_cut(&value, ';');
		struct str key = str_cut(&text, '=');
		/* Numbers of telephones stay text: functions want them so. */
		bool is_amount = str_eq(key, STR("amount")) || str_eq(key, STR("price"));
		const struct operator_cfg *op = str_eq(key, STR("operator"))
							? config_operator(run->host->config, text)
							: NULL;
		if (op != NULL)
			text = op->title;
		lua_pushlstring(L, key.p, key.n);
		if (is_amount && str_to_i64(text, &number))
			lua_pushinteger(L, number);
		else
			lua_pushlstring(L, text.n > 0 ? text.p : "", text.n);
		lua_rawset(L, -3);
	}
}

/* [-0, +1, e] lookup(name): a table, or nil; stops the run until the caller has looked */
static int api_lookup(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	const struct menu_turn *turn = run->turn;
	struct str name = menu_check_text(L, 1, "lookup(\"last_purchase\")");
	struct str value;
	if (!str_eq(name, STR("last_purchase")))
		menu_misuse(L, "lookup(\"last_purchase\"): there is no look-up \"%s\"", name.p);
	int rc = menu_effect_find(run, name.p, STR(""), &value);
	if (rc < 0)
		return menu_stop_changed(L);
	if (rc == 0 && run->has_bought)
		menu_misuse(L, "lookup() cannot follow buy() before the next question");
	if (rc == 0 && (run->effect_used || !str_eq(turn->effect_name, name))) {
		run->out->outcome = MENU_LOOKUP;
		run->out->effect_name = arena_str(run->arena, name);
		run->out->effect_args = STR("");
		return lua_yield(L, 0);
	}
	if (rc == 0) {
		value = turn->effect_value;
		run->effect_used = true;
		menu_effect_add(run, name.p, STR(""), value);
	}
	push_found(L, value);
	return 1;
}

/* ---- the session -------------------------------------------------------------------------------
 */

static void set_text(lua_State *L, const char *key, struct str value)
{
	lua_pushlstring(L, value.n > 0 ? value.p : "", value.n);
	lua_setfield(L, -2, key);
}

/* [-0, +1, e] call(): what run() is given */
static int api_call(lua_State *L)
{
	const struct menu_run *run = menu_run_of(L);
	const struct menu_turn *turn = run->turn;
	lua_createtable(L, 0, 5);
	set_text(L, "msisdn", str_c(turn->msisdn.digits));
	set_text(L, "lang", run->lang->lang);
	set_text(L, "network", turn->network);
	set_text(L, "channel", turn->channel->name);
	lua_pushboolean(L, turn->is_sms);
	lua_setfield(L, -2, "is_sms");
	return 1;
}

/* [-0, +1, e] caller() */
static int api_caller(lua_State *L)
{
	lua_pushstring(L, menu_run_of(L)->turn->msisdn.digits);
	return 1;
}

void menu_check(lua_State *L, int index)
{
	if (lua_type(L, index) != LUA_TTABLE)
		menu_misuse(L, "%s is what the file must end with", USAGE_MENU);
	if (lua_getfield(L, index, "title") != LUA_TSTRING)
		menu_misuse(L, "%s: title is missing", USAGE_MENU);
	if (lua_getfield(L, index, "run") != LUA_TFUNCTION)
		menu_misuse(L, "%s: run is missing", USAGE_MENU);
	int kind = lua_getfield(L, index, "keywords");
	if (kind != LUA_TNIL && kind != LUA_TTABLE)
		menu_misuse(L, "keywords = { CREDIT = function(call, words) return { ... } end }");
	lua_pop(L, 3);
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
		if (strcmp(key, "title") != 0 && strcmp(key, "run") != 0 &&
			strcmp(key, "keywords") != 0)
			menu_misuse(L, "%s: there is no field \"%s\"", USAGE_MENU, key);
	}
}

/* [-0, +0, e] check(spec): menu{...} says at its own line what is wrong with it */
static int api_check(lua_State *L)
{
	menu_check(L, 1);
	return 0;
}

/* [-0, +0, e] begin(spec): the file was checked when it was loaded, unless it changes its mind */
static int api_begin(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct str title;
	menu_check(L, 1);
	(void)lua_getfield(L, 1, "title");
	title.p = lua_tolstring(L, -1, &title.n);
	run->title = arena_str(run->arena, title);
	return 0;
}

/* ---- showing and ending ------------------------------------------------------------------------
 */

/* [-0, +1, e] money(amount): "1 500 F" */
static int api_money(lua_State *L)
{
	if (!lua_isinteger(L, 1))
		menu_misuse(L, "money(amount): a whole number of minor units");
	struct str text = menu_money(menu_run_of(L), lua_tointeger(L, 1));
	return push_answer(L, text);
}

/* [-0, +1, e] phone(number): "07 01 02 03 04" */
static int api_phone(lua_State *L)
{
	struct msisdn number;
	menu_check_number(L, 1, "phone(number)", &number);
	return push_answer(L, menu_grouped(menu_run_of(L), &number));
}

/* [-0, yields] bye(text, vars) */
static int api_bye(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	const struct text_vars values = {.L = L, .index = 2};
	lua_settop(L, 2);
	struct str words = menu_check_text(L, 1, USAGE_BYE);
	if (menu_run_step(run) != NULL)
		return menu_stop_changed(L);
	return menu_stop(L, MENU_END, text_fill(words, &values, run->arena));
}

/* [-0, yields] finish(key): an end in the gateway's words */
static int api_finish(lua_State *L)
{
	return menu_stop_key(L, menu_check_text(L, 1, "finish(key)").p, NULL, 0);
}

/* [-0, yields] no_bye() */
static int api_no_bye(lua_State *L)
{
	menu_run_of(L)->has_no_bye = true;
	return lua_yield(L, 0);
}

const luaL_Reg menu_api_functions[] = {
	{"pick", api_pick},
	{"ask", api_ask},
	{"accept", api_accept},
	{"refuse", api_refuse},
	{"changed", api_changed},
	{"number", api_number},
	{"amount", api_amount},
	{"other_amount", api_other_amount},
	{"now", api_now},
	{"lookup", api_lookup},
	{"call", api_call},
	{"caller", api_caller},
	{"check", api_check},
	{"begin", api_begin},
	{"money", api_money},
	{"phone", api_phone},
	{"bye", api_bye},
	{"finish", api_finish},
	{"no_bye", api_no_bye},
	{NULL, NULL},
};
