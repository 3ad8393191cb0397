/*
 * The functions below buy(): what it costs, the confirmation, the code, the purchase. What a script
 * says is only a wish here: offer, amount, numbers and operators are checked against catalogue and
 * numbering plan, and fee and price are worked out, without it (F-I10).
 */
#include "menu_priv.h"

#include "tama/gsm7.h"

#include <sodium.h>

#define USAGE_BUY "buy(offer, { amount = 500, to = number })"
#define NONCE_VALUES 10000
#define CODE_MIN 4
#define CODE_MAX 8
#define VARS_MAX 10
#define MINUTE_MS 60000

#define ANSWER_YES "1"
#define ANSWER_NO "2"
#define ANSWER_CHANGE "3"

static const char *const yes_words[] = {"OUI", "YES"};
static const char *const change_words[] = {"OPERATEUR", "OPERATOR"};

static const char *const outcome_keys[PURCHASE_TEXTS] = {
	[TEXT_DELIVERED] = "sms_delivered",
	[TEXT_CANCELLED] = "sms_cancelled",
	[TEXT_EXPIRED] = "sms_expired",
	[TEXT_REFUND_DUE] = "sms_refund_due",
	[TEXT_PROGRESS] = "sms_progress",
	[TEXT_REFUNDED] = "sms_refunded",
};

/* ---- the quote ---------------------------------------------------------------------------------
 */

static const struct offer *check_offer(lua_State *L)
{
	const struct offer *offer = catalogue_offer(L, 1);
	if (offer == NULL)
		menu_misuse(L, "%s: the offer is what choose_offer() gives", USAGE_BUY);
	if (!offer_is_ours(menu_run_of(L), offer))
		menu_misuse(L, "%s: this offer is not sold on this channel", USAGE_BUY);
	return offer;
}

/* [-0, +5, e] want(offer, want): amount, to, operator, from, and whether a code is there already */
static int buy_want(lua_State *L)
{
	static const char *const names[] = {"amount", "to", "operator", "from", "otp"};
	struct menu_run *run = menu_run_of(L);
	(void)check_offer(L);
	if (!lua_istable(L, 2))
		menu_misuse(L, "%s: amount and number are missing", USAGE_BUY);
	for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
		size_t i = 0;
		while (i < 5 && strcmp(key, names[i]) != 0)
			i++;
		if (i == 5)
			menu_misuse(L, "%s: there is no field \"%s\"", USAGE_BUY, key);
	}
	for (size_t i = 0; i < 4; i++)
		lua_getfield(L, 2, names[i]);
	if (lua_isnil(L, 4)) {
		lua_pushstring(L, run->turn->msisdn.digits);
		lua_replace(L, 4);
	}
	int kind = lua_getfield(L, 2, "otp");
	if (kind != LUA_TNIL &&
		(run->secret == 0 || lua_touserdata(L, -1) != (void *)(uintptr_t)run->secret))
		menu_misuse(L, "%s: otp is what ask_otp() gave just before", USAGE_BUY);
	lua_pushboolean(L, kind != LUA_TNIL);
	lua_remove(L, -2);
	return 5;
}

/* [-0, +1, e] collects(offer): somebody's wallet pays */
static int buy_collects(lua_State *L)
{
	lua_pushboolean(L, check_offer(L)->collect.account != NULL);
	return 1;
}

static int64_t check_amount(lua_State *L, const struct offer *offer)
{
	const struct menu_run *run = menu_run_of(L);
	if (!lua_isinteger(L, 2))
		menu_misuse(L, "%s: amount must be a whole number, got %s", USAGE_BUY,
			luaL_typename(L, 2));
	int64_t amount = lua_tointeger(L, 2);
	if (amount <= 0 || amount > MONEY_MAX || amount_rule_check(&offer->amount, amount) != 0)
		menu_misuse(L, "%s: the offer takes %s to %s", USAGE_BUY,
			menu_money(run, offer->amount.min).p, menu_money(run, offer->amount.max).p);
	return amount;
}

static const struct operator_cfg *check_operator(lua_State *L, int index)
{
	const struct operator_cfg *op = catalogue_operator(L, index);
	if (op == NULL)
		menu_misuse(L, "%s: operator and from are what choose_operator() gives", USAGE_BUY);
	return op;
}

/* A purchase made already stands, whatever was switched off since. */
static bool is_behind_us(const struct menu_run *run)
{
	for (size_t i = run->at; i < run->steps.n; i++)
		if (run->steps.steps[i].kind == JOURNAL_BUY)
			return true;
	return false;
}

/*
 * The one thing typed answers the confirmation that the last hop showed. Whether that very press
 * has bought already, and its answer was lost, only the engine knows: so it decides, not a switch.
 */
static bool is_confirming(const struct menu_run *run)
{
	return run->steps.n > 0 && run->at >= run->steps.n && run->inputs_len == 1 &&
	       run->input_at == 0 && !run->inputs[0].is_pretyped;
}

/* Before anything is confirmed or collected: what could not be delivered is not offered. */
static bool has_float(const struct menu_run *run, const struct buy_intent *quote)
{
	struct float_need needs[FLOAT_NEEDS_MAX];
	const struct menu_turn *turn = run->turn;
	size_t n = float_needs(quote->offer, quote->face_value,
		quote->face_value + offer_fee(quote->offer, quote->face_value), needs);
	for (size_t i = 0; i < n && turn->available != NULL; i++)
		if (needs[i].amount > turn->available(turn->available_ctx, needs[i].name))
			return false;
	return true;
}

/* Ends politely what the person cannot help; the script was right to ask. */
static void refuse_politely(lua_State *L, const struct buy_intent *quote)
{
	const struct menu_run *run = menu_run_of(L);
	const struct operator_cfg *wallet = quote->payer_operator;
	if (!number_is_national(run, &quote->payer))
		(void)menu_stop_key(L, "foreign_caller", NULL, 0);
	if (!number_is_national(run, &quote->beneficiary))
		(void)menu_stop_key(L, "bad_number", NULL, 0);
	if (!offer_sells(quote->offer, quote->operator_))
		(void)menu_stop_not_sold(L, quote->operator_);
	if (wallet != NULL && (wallet->confirm == WALLET_NONE ||
				      offer_leg_service(&quote->offer->collect, wallet).n == 0)) {
		const struct menu_var vars[] = {{"operator", wallet->title}};
		(void)menu_stop_key(L, "wallet_none", vars, 1);
	}
	if (is_behind_us(run) || is_confirming(run))
		return;
	if (quote->operator_->out_of_service || !offer_is_in_service(run, quote->offer))
		(void)menu_stop_not_sold(L, quote->operator_);
	if (wallet != NULL && wallet->out_of_service)
		(void)menu_stop_not_sold(L, wallet);
	if (!has_float(run, quote))
		(void)menu_stop_key(L, "no_float", NULL, 0);
}

/* [-0, +0, e] quote(offer, amount, to, operator, from): what the rest is about */
static int buy_quote(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct buy_intent quote = {.offer = check_offer(L), .payer = run->turn->msisdn};
	lua_settop(L, 5);
	quote.face_value = check_amount(L, quote.offer);
	menu_check_number(L, 3, USAGE_BUY, &quote.beneficiary);
	quote.operator_ = check_operator(L, 4);
	if (quote.offer->collect.account != NULL)
		quote.payer_operator = check_operator(L, 5);
	refuse_politely(L, &quote);
	quote.fee = offer_fee(quote.offer, quote.face_value);
	quote.price = quote.face_value + quote.fee;
	if (quote.fee < 0 || quote.price > MONEY_MAX)
		menu_misuse(L, "%s: the fee is out of range", USAGE_BUY);
	run->quote = quote;
	run->amount = quote.face_value;
	run->op = quote.operator_;
	return 0;
}

/*
 * [-0, +2, e] refit(offer, amount, operator): the offer of the same kind for another operator, and
 * whether it takes the amount
 */
static int buy_refit(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	const struct offer *offer = check_offer(L);
	const struct operator_cfg *op = check_operator(L, 3);
	if (!offer_sells(offer, op))
		offer = offer_next(run, NULL, offer->kind, op);
	if (offer == NULL)
		return menu_stop_not_sold(L, op);
	catalogue_push_offer(L, offer);
	lua_pushboolean(L, amount_rule_check(&offer->amount, lua_tointeger(L, 2)) == 0);
	return 2;
}

/* ---- what the person reads ---------------------------------------------------------------------
 */

static struct str what_of(struct menu_run *run, const struct offer *offer)
{
	struct str key = arena_printf(run->arena, "what_%.*s", STR_ARG(offer->kind));
	struct str words;
	if (key.p != NULL &&
		text_find(run->host, &run->service->texts, run->lang->lang, key, &words))
		return words;
	return menu_words(run, "what");
}

static size_t quote_vars(struct menu_run *run, struct menu_var vars[static VARS_MAX])
{
	const struct buy_intent *quote = &run->quote;
	const struct operator_cfg *wallet = quote->payer_operator;
	size_t n = 0;
	vars[n++] = (struct menu_var){"what", what_of(run, quote->offer)};
	vars[n++] = (struct menu_var){"amount", menu_money(run, quote->face_value)};
	vars[n++] = (struct menu_var){"fee", menu_money(run, quote->fee)};
	vars[n++] = (struct menu_var){"price", menu_money(run, quote->price)};
	vars[n++] = (struct menu_var){"operator", quote->operator_->title};
	vars[n++] = (struct menu_var){"number", menu_grouped(run, &quote->beneficiary)};
	vars[n++] = (struct menu_var){"ref", quote->ref};
	vars[n++] = (struct menu_var){"wallet", wallet != NULL ? wallet->title : STR("")};
	vars[n++] = (struct menu_var){"dial", wallet != NULL ? wallet->dial : STR("")};
	return n;
}

static struct str quote_words(struct menu_run *run, const char *key)
{
	struct menu_var vars[VARS_MAX];
	size_t n = quote_vars(run, vars);
	return menu_words_with(run, key, vars, n);
}

/* Words that fit one SMS: the service's, else ours, else only the reference. */
static struct str outcome_text(struct menu_run *run, const char *key)
{
	struct menu_var list[VARS_MAX];
	const struct text_vars vars = {.list = list, .n = quote_vars(run, list)};
	const struct text_sets *service = &run->service->texts;
	const struct str lang = run->lang->lang;
	struct str words = str_c(key);
	for (int attempt = 0; attempt < 3; attempt++) {
		(void)text_find(run->host, attempt == 0 ? service : NULL, lang,
			str_c(attempt < 2 ? key : "sms_short"), &words);
		struct str text =
			gsm7_transliterate(text_fill(words, &vars, run->arena), run->arena);
		ptrdiff_t septets = gsm7_septets(text);
		if (septets > 0 && septets <= SMS_SEPTETS)
			return text;
	}
	return run->quote.ref;
}

/* ---- the confirmation --------------------------------------------------------------------------
 */

static void confirm_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	struct operator_list list = {.guess = NULL};
	const struct buy_intent *quote = &run->quote;
	const char *key = quote->payer_operator == NULL ? "confirm_float"
			  : quote->fee == 0		? "confirm_free"
							: "confirm";
	(void)L;
	operator_list_fill(run, &list);
	q->head = quote_words(run, key);
	if (run->turn->is_sms) {
		const struct menu_var vars[] = {{"nonce", *(const struct str *)q->about}};
		struct str how = menu_words_with(
			run, list.n > 1 ? "confirm_sms_change" : "confirm_sms", vars, 1);
		q->head = arena_printf(run->arena, "%.*s\n%.*s", STR_ARG(q->head), STR_ARG(how));
		return;
	}
	struct str *options = question_options(run, q, list.n > 1 ? 3 : 2);
	if (options == NULL)
		return;
	options[0] = menu_words(run, "yes");
	options[1] = menu_words(run, "no");
	if (list.n > 1)
		options[2] = menu_words(run, "change_operator");
}

static bool confirm_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	size_t option = question_option(run, q, input);
	*out = option > 0 ? arena_printf(run->arena, "%zu", option) : menu_words(run, "bad_choice");
	return option > 0;
}

/* "OUI 4821": the word proves the wish, the number that our question was received. */
static bool confirm_read_sms(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	const struct str nonce = *(const struct str *)q->about;
	struct str folded = gsm7_fold(input, run->arena);
	for (size_t i = 0; i < sizeof(yes_words) / sizeof(yes_words[0]); i++) {
		struct str word = str_c(yes_words[i]);
		if (str_has_prefix(folded, word) &&
			str_eq(str_trim(str_from(folded, word.n)), nonce)) {
			*out = STR(ANSWER_YES);
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(change_words) / sizeof(change_words[0]); i++)
		if (str_eq(folded, str_c(change_words[i]))) {
			*out = STR(ANSWER_CHANGE);
			return true;
		}
	*out = menu_words(run, "bad_confirm");
	return false;
}

/* The number that a confirmation by SMS repeats, the same on every replay. */
static int nonce_of(struct menu_run *run, struct str *nonce)
{
	if (!run->turn->is_sms)
		return 0;
	int rc = menu_effect_find(run, "nonce", STR(""), nonce);
	if (rc != 0)
		return rc;
	*nonce = run->turn->nonce;
	if (nonce->n == 0)
		*nonce = arena_printf(
			run->arena, "%04u", (unsigned)randombytes_uniform(NONCE_VALUES));
	menu_effect_add(run, "nonce", STR(""), *nonce);
	return 0;
}

/* [-0, +1, e] confirm(): "yes", "no" or "change" */
static int buy_confirm(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct str nonce = STR("");
	struct str answer;
	if (nonce_of(run, &nonce) < 0)
		return menu_stop_changed(L);
	struct question q = {.kind = QUESTION_CONFIRM,
		.key = STR("confirm"),
		.fill = confirm_fill,
		.read = run->turn->is_sms ? confirm_read_sms : confirm_read,
		.about = &nonce,
		.is_confirm = true};
	if (question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	bool is_yes = str_eq(answer, STR(ANSWER_YES));
	lua_pushstring(L, is_yes ? "yes" : str_eq(answer, STR(ANSWER_NO)) ? "no" : "change");
	return 1;
}

static void which_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	const struct menu_var vars[] = {{"wallet", run->quote.payer_operator->title}};
	struct str *options = question_options(run, q, 2);
	(void)L;
	q->head = menu_words(run, q->key.p);
	if (options == NULL)
		return;
	options[0] = menu_grouped(run, &run->quote.beneficiary);
	options[1] = menu_words_with(run, "your_account", vars, 1);
}

/* [-0, +1, e] which(): whether it is the payer's own operator that is wrong */
static int buy_which(lua_State *L)
{
	struct question q = {.kind = QUESTION_WHICH,
		.key = STR("which_operator"),
		.fill = which_fill,
		.read = confirm_read};
	struct str answer;
	if (question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	lua_pushboolean(L, str_eq(answer, STR("2")));
	return 1;
}

/* ---- the code ----------------------------------------------------------------------------------
 */

/* [-0, +1, e] needs_code() */
static int buy_needs_code(lua_State *L)
{
	const struct operator_cfg *wallet = menu_run_of(L)->quote.payer_operator;
	lua_pushboolean(L, wallet != NULL && wallet->confirm == WALLET_OTP);
	return 1;
}

/*
 * [-0, +0, e] park(): a phone cannot dial for the code during our session, so it ends and goes on
 * when redialled. By SMS nothing is in the way.
 */
static int buy_park(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	const struct channel *channel = run->turn->channel;
	const struct journal_entry *step = menu_run_step(run);
	const struct journal_entry park = {.kind = JOURNAL_PARK};
	if (run->turn->is_sms)
		return 0;
	if (step != NULL && step->kind != JOURNAL_PARK)
		return menu_stop_changed(L);
	if (step != NULL) {
		menu_run_pass(run, step);
		return 0;
	}
	const struct menu_var vars[] = {
		{"dial", run->quote.payer_operator->dial},
		{"code", channel->codes_len > 0 ? channel->codes[0] : STR("")},
		{"minutes", arena_printf(run->arena, "%u", channel->resume_ms / MINUTE_MS)},
	};
	menu_run_add(run, &park);
	run->input_at = run->inputs_len;
	return menu_stop(L, MENU_PARK, menu_words_with(run, "park", vars, 3));
}

static void code_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	const struct text_vars vars = {.L = L, .index = 2};
	if (lua_type(L, 1) == LUA_TSTRING)
		question_head(L, q, &vars);
	else
		q->head = quote_words(run, q->key.p);
}

static bool code_read(
	struct menu_run *run, const struct question *q, struct str input, struct str *out)
{
	bool is_code = input.n >= CODE_MIN && input.n <= CODE_MAX;
	(void)q;
	for (size_t i = 0; i < input.n; i++)
		is_code = is_code && input.p[i] >= '0' && input.p[i] <= '9';
	*out = is_code ? input : menu_words(run, "bad_code");
	return is_code;
}

/* [-0, +1, e] code(prompt, vars): a handle, worth nothing outside of buy() */
static int buy_code(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct question q = {
		.kind = QUESTION_SECRET, .fill = code_fill, .read = code_read, .is_secret = true};
	struct str answer;
	lua_settop(L, 2);
	question_prompt(L, &q, "ask_otp(prompt [, vars])", run->turn->is_sms ? "otp_sms" : "otp");
	if (question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	lua_pushlightuserdata(L, (void *)(uintptr_t)run->secret);
	return 1;
}

/* ---- again
 * ----------------------------------------------------------------------------------------- */

static void again_fill(lua_State *L, struct menu_run *run, struct question *q)
{
	const struct buy_intent *quote = &run->quote;
	const struct menu_var vars[] = {{"ref", *(const struct str *)q->about},
		{"what", what_of(run, quote->offer)},
		{"amount", menu_money(run, quote->face_value)},
		{"number", menu_grouped(run, &quote->beneficiary)}};
	struct str *options = question_options(run, q, 2);
	(void)L;
	q->head = menu_words_with(run, "again", vars, sizeof(vars) / sizeof(vars[0]));
	if (options == NULL)
		return;
	options[0] = menu_words(run, "yes");
	options[1] = menu_words(run, "no");
}

/*
 * The engine's news, journalled like a look-up's: "ref=" of the purchase that this one repeats.
 * Mostly there is none, and the purchase follows.
 */
static int repeat_of(struct menu_run *run, struct str *ref_out)
{
	const struct menu_turn *turn = run->turn;
	const struct journal_entry *step = menu_run_step(run);
	struct str value = {NULL, 0};
	int rc = 0;
	if (step != NULL && step->kind != JOURNAL_BUY)
		rc = menu_effect_find(run, MENU_REPEAT, STR(""), &value);
	if (step == NULL && !run->effect_used && str_eq(turn->effect_name, STR(MENU_REPEAT))) {
		value = turn->effect_value;
		run->effect_used = true;
		menu_effect_add(run, MENU_REPEAT, STR(""), value);
	}
	if (str_has_prefix(value, STR("ref=")))
		*ref_out = str_from(value, 4);
	return rc < 0 ? rc : 0;
}

/* [-0, +1, e] again(): whether a repeat, should this be one, is wanted */
static int buy_again(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	struct str ref = {NULL, 0};
	struct str answer = STR(ANSWER_YES);
	struct question q = {.kind = QUESTION_AGAIN,
		.key = STR("again"),
		.fill = again_fill,
		.read = confirm_read,
		.about = &ref,
		.is_confirm = true};
	if (repeat_of(run, &ref) < 0)
		return menu_stop_changed(L);
	if (ref.n > 0 && question_ask(L, &q, &answer) != ASKED_ANSWER)
		return lua_yield(L, 0);
	run->quote.is_repeat_confirmed = ref.n > 0;
	lua_pushboolean(L, str_eq(answer, STR(ANSWER_YES)));
	return 1;
}

/* ---- the purchase ------------------------------------------------------------------------------
 */

/* What the person has to do now for the wallet to pay. */
static struct str next_of(struct menu_run *run)
{
	const struct operator_cfg *wallet = run->quote.payer_operator;
	enum wallet_confirm how = wallet != NULL ? wallet->confirm : WALLET_NONE;
	switch (how) {
	case WALLET_PUSH:
		return quote_words(run, wallet->dial.n > 0 ? "next_push_dial" : "next_push");
	case WALLET_DIAL:
		/* Without a code of its own the SMS names it. */
		return quote_words(run, wallet->dial.n > 0 ? "next_dial" : "next_dial_sms");
	case WALLET_NONE:
	case WALLET_OTP:
		break;
	}
	return menu_words(run, "next_none");
}

static void set_text(lua_State *L, const char *key, struct str value)
{
	lua_pushlstring(L, value.n > 0 ? value.p : "", value.n);
	lua_setfield(L, -2, key);
}

static void set_amount(lua_State *L, const char *key, int64_t amount)
{
	lua_pushinteger(L, amount);
	lua_setfield(L, -2, key);
}

static void push_purchase(lua_State *L, struct menu_run *run)
{
	lua_createtable(L, 0, 5);
	set_text(L, "ref", run->quote.ref);
	set_text(L, "next", next_of(run));
	set_amount(L, "amount", run->quote.face_value);
	set_amount(L, "fee", run->quote.fee);
	set_amount(L, "price", run->quote.price);
}

/* [-0, +1, e] commit(): the purchase as a table */
static int buy_commit(lua_State *L)
{
	struct menu_run *run = menu_run_of(L);
	const struct journal_entry *step = menu_run_step(run);
	if (step != NULL && step->kind != JOURNAL_BUY)
		return menu_stop_changed(L);
	if (step != NULL) {
		run->quote.ref = step->text;
		menu_run_pass(run, step);
		push_purchase(L, run);
		return 1;
	}
	tama_assert(run->turn->next_ref.n > 0);
	if (run->has_bought || run->buys >= UINT8_MAX)
		menu_misuse(L, "buy() can be confirmed once in a turn");
	run->quote.ref = arena_str(run->arena, run->turn->next_ref);
	run->quote.secret = run->secret;
	for (size_t i = 0; i < PURCHASE_TEXTS; i++)
		run->quote.texts[i] = outcome_text(run, outcome_keys[i]);
	const struct journal_entry buy = {
		.kind = JOURNAL_BUY, .ordinal = (uint8_t)(run->buys + 1), .text = run->quote.ref};
	menu_run_add(run, &buy);
	run->has_bought = true;
	run->out->intent = run->quote;
	/* What was typed before the purchase was known is no answer to what follows it. */
	run->input_at = run->inputs_len;
	push_purchase(L, run);
	return 1;
}

const luaL_Reg menu_buy_functions[] = {
	{"want", buy_want},
	{"collects", buy_collects},
	{"quote", buy_quote},
	{"refit", buy_refit},
	{"confirm", buy_confirm},
	{"which", buy_which},
	{"needs_code", buy_needs_code},
	{"park", buy_park},
	{"code", buy_code},
	{"again", buy_again},
	{"commit", buy_commit},
	{NULL, NULL},
};
