/*
 * Operators and offers as scripts see them: objects that only read. One object stands for one entry
 * of the configuration for as long as the state lives, so comparing them works and none is made
 * twice.
 */
#include "menu_priv.h"

#define OPERATOR_META "operator"
#define OFFER_META "offer"

static bool has_kind(const struct menu_run *run, struct str kind)
{
	const struct config *config = run->host->config;
	for (size_t i = 0; i < config->offers_len; i++)
		if (str_eq(config->offers[i].kind, kind))
			return true;
	return false;
}

bool offer_is_ours(const struct menu_run *run, const struct offer *offer)
{
	return offer->partner == run->turn->service->partner &&
	       offer->country == run->turn->channel->country;
}

bool offer_sells(const struct offer *offer, const struct operator_cfg *op)
{
	const struct offer_leg *leg =
		offer->deliver.account != NULL ? &offer->deliver : &offer->collect;
	return offer_leg_service(leg, op).n > 0;
}

/* Held accounts and stopped lanes act like switches: on sessions under way too. */
static bool account_sells(const struct menu_run *run, const struct account *account)
{
	const struct menu_turn *turn = run->turn;
	if (account == NULL)
		return true;
	return !account->out_of_service &&
	       (turn->is_closed == NULL || !turn->is_closed(turn->closed_ctx, account));
}

bool offer_is_in_service(const struct menu_run *run, const struct offer *offer)
{
	return !offer->out_of_service && account_sells(run, offer->collect.account) &&
	       account_sells(run, offer->deliver.account);
}

const struct offer *offer_next(const struct menu_run *run, const struct offer *last,
	struct str kind, const struct operator_cfg *op)
{
	const struct config *config = run->host->config;
	size_t i = last != NULL ? (size_t)(last - config->offers) + 1 : 0;
	for (; i < config->offers_len; i++) {
		const struct offer *offer = &config->offers[i];
		if (offer_is_ours(run, offer) && offer_sells(offer, op) &&
			(kind.n == 0 || str_eq(offer->kind, kind)))
			return offer;
	}
	return NULL;
}

bool operator_is_sold(const struct menu_run *run, const struct operator_cfg *op)
{
	if (op->out_of_service || op->country != run->turn->channel->country)
		return false;
	for (const struct offer *offer = NULL;
		(offer = offer_next(run, offer, STR(""), op)) != NULL;)
		if (offer_is_in_service(run, offer))
			return true;
	return false;
}

static const void *object_at(lua_State *L, int index, const char *meta)
{
	void *const *object = luaL_testudata(L, index, meta);
	return object != NULL ? *object : NULL;
}

const struct operator_cfg *catalogue_operator(lua_State *L, int index)
{
	return object_at(L, index, OPERATOR_META);
}

const struct offer *catalogue_offer(lua_State *L, int index)
{
	return object_at(L, index, OFFER_META);
}

void catalogue_push_operator(lua_State *L, const struct operator_cfg *op)
{
	if (op == NULL)
		lua_pushnil(L);
	else
		lua_rawgetp(L, LUA_REGISTRYINDEX, op);
}

void catalogue_push_offer(lua_State *L, const struct offer *offer)
{
	if (offer == NULL)
		lua_pushnil(L);
	else
		lua_rawgetp(L, LUA_REGISTRYINDEX, offer);
}

static void push_str(lua_State *L, struct str s)
{
	lua_pushlstring(L, s.n > 0 ? s.p : "", s.n);
}

/* [-0, +1, e] operator.name, operator.title, operator.<kind>: the first offer of that kind, or nil
 */
static int operator_index(lua_State *L)
{
	const struct operator_cfg *op = catalogue_operator(L, 1);
	const struct menu_run *run = menu_run_of(L);
	struct str field = menu_check_text(L, 2, "operator.title");
	if (str_eq(field, STR("name")))
		push_str(L, op->name);
	else if (str_eq(field, STR("title")))
		push_str(L, op->title);
	else if (has_kind(run, field))
		catalogue_push_offer(L, offer_next(run, NULL, field, op));
	else
		menu_misuse(L, "an operator has name, title and the kinds of offers, not \"%s\"",
			field.p);
	return 1;
}

/* [-0, +1, e] */
static int offer_index(lua_State *L)
{
	const struct offer *offer = catalogue_offer(L, 1);
	struct str field = menu_check_text(L, 2, "offer.name");
	if (str_eq(field, STR("name")))
		push_str(L, offer->name);
	else if (str_eq(field, STR("kind")))
		push_str(L, offer->kind);
	else if (str_eq(field, STR("min")))
		lua_pushinteger(L, offer->amount.min);
	else if (str_eq(field, STR("max")))
		lua_pushinteger(L, offer->amount.max);
	else if (str_eq(field, STR("step")))
		lua_pushinteger(L, offer->amount.step);
	else
		menu_misuse(L, "an offer has name, kind, min, max and step, not \"%s\"", field.p);
	return 1;
}

/* [-0, +1, e] */
static int operator_text(lua_State *L)
{
	push_str(L, catalogue_operator(L, 1)->title);
	return 1;
}

/* [-0, +1, e] */
static int offer_text(lua_State *L)
{
	push_str(L, catalogue_offer(L, 1)->name);
	return 1;
}

static void make_meta(lua_State *L, const char *name, lua_CFunction index, lua_CFunction text)
{
	(void)luaL_newmetatable(L, name);
	lua_pushcfunction(L, index);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, text);
	lua_setfield(L, -2, "__tostring");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

static void make_object(lua_State *L, const void *entry, const char *meta)
{
	const void **object = lua_newuserdatauv(L, sizeof(*object), 0);
	*object = entry;
	luaL_setmetatable(L, meta);
	lua_rawsetp(L, LUA_REGISTRYINDEX, entry);
}

void catalogue_open(lua_State *L, const struct config *config, const struct partner *partner)
{
	make_meta(L, OPERATOR_META, operator_index, operator_text);
	make_meta(L, OFFER_META, offer_index, offer_text);
	for (size_t i = 0; i < config->operators_len; i++)
		make_object(L, &config->operators[i], OPERATOR_META);
	for (size_t i = 0; i < config->offers_len; i++)
		if (config->offers[i].partner == partner)
			make_object(L, &config->offers[i], OFFER_META);
}
