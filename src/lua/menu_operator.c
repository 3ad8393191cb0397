/*
 * Whose operator a number has and which offer is sold for it. Both depend on what may change
 * between two hops (switches, the network a hop names), so what was found is recorded as an effect,
 * and an answer is kept by name and not by its place in the list.
 */
#include "menu_priv.h"

#include "tama/gsm7.h"

#define USAGE_OPERATOR "choose_operator(number)"
#define USAGE_OFFER "choose_offer(kind, operator)"

bool number_is_national(const struct menu_run *run, const struct msisdn *number)
{
	char typed[MSISDN_MAX + 2];
	struct msisdn again;
	(void)snprintf(typed, sizeof(typed), "+%s", number->digits);
	return msisdn_parse_typed(str_c(typed), &run->turn->channel->country->plan, &again) == 0 &&
	       strcmp(again.digits, number->digits) == 0;
}

/* ---- operators ---------------------------------------------------------------------------------
 */

static const struct operator_cfg *settled(const struct menu_run *run, const struct msisdn *number)
{
	for (size_t i = 0; i < run->operators_len; i++)
		if (strcmp(run->operators[i].number.digits, number->digits) == 0)
			return run->operators[i].op;
	return NULL;
}

static void settle(lua_State *L, const struct msisdn *number, const struct operator_cfg *op)
{
	struct menu_run *run = menu_run_of(L);
	size_t i = 0;
	while (i < run->operators_len &&
		strcmp(run->operators[i].number.digits, number->digits) != 0)
		i++;
	if (i == LIMIT_MENU_OPERATORS)
		menu_misuse(L, "%s: one session knows the operators of %d numbers at most",
			USAGE_OPERATOR, LIMIT_MENU_OPERATORS);
	run->operators[i] = (struct settled_operator){*number, op};
	if (i == run->operators_len)
		run->operators_len++;
}

/* The session's network beats the prefix: a ported number keeps its digits. */
static const struct operator_cfg *guess(const struct menu_run *run, const struct msisdn *number)
{
	const struct menu_turn *turn = run->turn;
	const struct config *config = run->host->config;
	const struct country *country = turn->channel->country;
	const struct operator_cfg *op = NULL;
	if (turn->network.n > 0 && strcmp(number->digits, turn->msisdn.digits) == 0)
		op = config_operator_by_network(config, turn->network);
	if (op != NULL && op->country == country)
		return op;
	return config_operator_guess(config, country, number);
}

/*
 * [-0, +2, e] guess(number): the operator or nil, and whether it is out of service. Recorded,
 * because switches and the network that a hop names may change between two hops.
 */
static int operator_guess(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct msisdn number;
	struct str value;
	menu_check_number(L, 1, USAGE_OPERATOR, &number);
	if (!number_is_national(run, &number))
		return menu_stop_key(L, "foreign_caller", NULL, 0);
	const struct operator_cfg *op = settled(run, &number);
	if (op != NULL) {
		catalogue_push_operator(L, op);
		return 1;
	}
	int rc = menu_effect_find(run, "operator", str_c(number.digits), &value);
	if (rc < 0)
		return menu_stop_changed(L);
	if (rc == 0) {
		op = guess(run, &number);
		bool is_sold = op != NULL && operator_is_sold(run, op);
		value = op == NULL ? STR("") : op->name;
		if (op != NULL && !is_sold)
			value = arena_printf(run->arena, "-%.*s", STR_ARG(op->name));
		menu_effect_add(run, "operator", str_c(number.digits), value);
	}
	bool is_out = str_has_prefix(value, STR("-"));
	op = config_operator(run->host->config, str_from(value, is_out ? 1 : 0));
	if (op != NULL && !is_out)
		settle(L, &number, op);
	catalogue_push_operator(L, op);
	lua_pushboolean(L, is_out);
	return 2;
}

void operator_list_fill(struct menu_run *run, struct operator_list *list)
{
	const struct config *config = run->host->config;
	const struct operator_cfg *first = list->guess;
	list->n = 0;
	list->ops = arena_alloc(run->arena, (config->operators_len + 1) * sizeof(list->ops[0]));
	if (list->ops == NULL)
		return;
	if (first != NULL && operator_is_sold(run, first))
		list->ops[list->n++] = first;
	for (size_t i = 0; i < config->operators_len && list->n < LIMIT_OPTIONS; i++)
		if (&config->operators[i] != first && operator_is_sold(run, &config->operators[i]))
			list->ops[list->n++] = &config->operators[i];
}

static void operator_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	struct operator_list list = *(const struct operator_list *)q->about;
	const struct menu_var vars[] = {
		{"number", menu_grouped(run, &list.number)},
		{"operator", list.guess != NULL ? list.guess->title : STR("")},
	};
	operator_list_fill(run, &list);
	if (list.n == 0)
		(void)menu_stop_key(L, "closed", NULL, 0);
	q->head = menu_words_with(run, q->key.p, vars, 2);
	struct str *options = question_options(run, q, list.n);
	for (size_t i = 0; i < list.n && options != NULL; i++)
		options[i] = list.ops[i]->title;
}

static bool has_alias(const struct operator_cfg *op, struct str word)
{
	for (size_t i = 0; i < op->aliases_len; i++)
		if (str_eq_nocase(op->aliases[i], word))
			return true;
	return false;
}

static bool operator_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	struct operator_list list = *(const struct operator_list *)q->about;
	operator_list_fill(run, &list);
	size_t option = question_option(run, q, input);
	struct str word = gsm7_fold(input, run->arena);
	for (size_t i = 0; option == 0 && i < list.n; i++)
		if (has_alias(list.ops[i], word))
			option = i + 1;
	*out = option > 0 && option <= list.n ? list.ops[option - 1]->name
					      : menu_words(run, "bad_choice");
	return option > 0 && option <= list.n;
}

/* [-0, +1, e] ask_operator(number, guess, is_out): settles it */
static int operator_ask(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct operator_list list = {.guess = NULL};
	struct str answer;
	menu_check_number(L, 1, USAGE_OPERATOR, &list.number);
	list.guess = catalogue_operator(L, 2);
	const char *key = list.guess == NULL	? "operator_ask"
			  : lua_toboolean(L, 3) ? "operator_out"
						: "operator_is";
	struct question q = {.kind = QUESTION_OPERATOR,
		.key = str_c(key),
		.fill = operator_fill,
		.read = operator_read,
		.about = &list};
	if (question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	const struct operator_cfg *op = config_operator(run->host->config, answer);
	if (op == NULL)
		return menu_stop_changed(L);
	settle(L, &list.number, op);
	catalogue_push_operator(L, op);
	return 1;
}

/* ---- offers ------------------------------------------------------------------------------------
 */

/* The offer as a person reads it: a text of the service, or its name. */
static struct str offer_label(struct menu_run *run, const struct offer *offer)
{
	struct str key = arena_printf(run->arena, "offer_%.*s", STR_ARG(offer->name));
	struct str words;
	if (key.p != NULL &&
		text_find(run->host, &run->service->texts, run->lang->lang, key, &words))
		return words;
	return offer->name;
}

struct offer_list {
	struct str kind;
	const struct operator_cfg *op;
};

static const struct offer *next_on_sale(
	const struct menu_run *run, const struct offer_list *list, const struct offer *last)
{
	while ((last = offer_next(run, last, list->kind, list->op)) != NULL)
		if (offer_is_in_service(run, last))
			return last;
	return NULL;
}

static size_t count_on_sale(const struct menu_run *run, const struct offer_list *list)
{
	size_t n = 0;
	for (const struct offer *o = NULL; (o = next_on_sale(run, list, o)) != NULL;)
		n++;
	return n;
}

static void offer_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	const struct offer_list *list = q->about;
	size_t n = 0;
	(void)L;
	q->head = menu_words(run, q->key.p);
	struct str *options = question_options(run, q, count_on_sale(run, list));
	for (const struct offer *o = NULL;
		options != NULL && (o = next_on_sale(run, list, o)) != NULL;)
		options[n++] = offer_label(run, o);
}

static bool offer_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	const struct offer *offer = NULL;
	size_t option = question_option(run, q, input);
	for (size_t i = 0; i < option; i++)
		offer = next_on_sale(run, q->about, offer);
	*out = offer != NULL ? offer->name : menu_words(run, "bad_choice");
	return offer != NULL;
}

int menu_stop_not_sold(lua_State *L, const struct operator_cfg *op)
{
	const struct menu_var vars[] = {{"operator", op->title}};
	return menu_stop_key(L, "operator_closed", vars, 1);
}

/* [-0, +1, e] offer(kind, operator): the one on sale, or the one chosen among several */
static int offer_choose(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct offer_list list = {.kind = menu_check_text(L, 1, USAGE_OFFER)};
	struct str name;
	list.op = catalogue_operator(L, 2);
	if (list.op == NULL)
		menu_misuse(L, "%s: the operator is what choose_operator() gives", USAGE_OFFER);
	struct str args =
		arena_printf(run->arena, "%.*s %.*s", STR_ARG(list.kind), STR_ARG(list.op->name));
	int rc = menu_effect_find(run, "offer", args, &name);
	if (rc < 0)
		return menu_stop_changed(L);
	if (rc == 0) {
		size_t n = count_on_sale(run, &list);
		if (n == 0)
			return menu_stop_not_sold(L, list.op);
		name = n == 1 ? next_on_sale(run, &list, NULL)->name : STR("");
		menu_effect_add(run, "offer", args, name);
	}
	struct question q = {.kind = QUESTION_OFFER,
		.key = STR("ask_offer"),
		.fill = offer_fill,
		.read = offer_read,
		.about = &list};
	if (name.n == 0 && question_ask(L, &q, &name) != ASKED_ANSWER)
		return lua_yield(L, 0);
	const struct offer *offer = config_offer(run->host->config, name);
	if (offer == NULL || !offer_is_ours(run, offer))
		return menu_stop_changed(L);
	catalogue_push_offer(L, offer);
	return 1;
}

const luaL_Reg menu_operator_functions[] = {
	{"guess", operator_guess},
	{"ask_operator", operator_ask},
	{"offer", offer_choose},
	{NULL, NULL},
};
