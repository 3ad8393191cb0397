/* Offers: what is sold, who collects, who delivers, and that it all belongs together. */
#include "config_priv.h"

#include "tama/provider.h"

/* ---- amounts
 * -------------------------------------------------------------------------------------- */

static int64_t minor_factor(const struct country *country)
{
	int64_t factor = 1;
	for (unsigned i = 0;
		country != NULL && country->currency != NULL && i < country->currency->minor_units;
		i++)
		factor *= 10;
	return factor;
}

static void check_amount(struct loader *loader, const struct decl_offer *o)
{
	const struct decl_amount *a = &o->amount;
	if (a->min == 0 || a->max == 0)
		return;
	if (a->min > a->max)
		config_problem(loader, &o->decl, "amount/max", "max is less than min");
	if (a->min % a->step != 0)
		config_problem(loader, &o->decl, "amount/min", "min is no multiple of step");
	if (a->max % a->step != 0)
		config_problem(loader, &o->decl, "amount/max", "max is no multiple of step");
	for (size_t i = 0; i < a->suggest.n; i++) {
		char path[40];
		int64_t amount = a->suggest.p[i];
		(void)snprintf(path, sizeof(path), "amount/suggest/#%zu", i + 1);
		if (amount < a->min || amount > a->max || amount % a->step != 0)
			config_problem(loader, &o->decl, path,
				"the suggestion %lld cannot be bought: it must be min to max and a "
				"multiple "
				"of step",
				(long long)amount);
	}
}

static struct amount_rule resolve_amount(
	struct loader *loader, const struct decl_offer *o, int64_t factor)
{
	const struct decl_amount *a = &o->amount;
	int64_t *suggest = config_alloc(loader, a->suggest.n * sizeof(*suggest));
	for (size_t i = 0; i < a->suggest.n; i++)
		suggest[i] = a->suggest.p[i] * factor;
	check_amount(loader, o);
	return (struct amount_rule){
		.min = a->min * factor,
		.max = a->max * factor,
		.step = a->step * factor,
		.suggest = suggest,
		.suggest_len = a->suggest.n,
	};
}

/* ---- legs
 * ----------------------------------------------------------------------------------------- */

/* What the checks of one leg need. */
struct leg_at {
	const struct decl_offer *o;
	const struct decl_leg *leg;
	const char *name; /* "collect" */
	bool is_collect;
	bool is_of_wallet; /* its operators are the payer's */
};

static const char *leg_path(struct loader *loader, const struct leg_at *at, const char *field)
{
	return arena_printf(&loader->arena, "%s/%s", at->name, field).p;
}

static void check_verb(
	struct loader *loader, const struct leg_at *at, const struct provider_profile *profile)
{
	struct str verb = at->leg->verb, names[LIMIT_CONFIG_LIST];
	size_t n = 0;
	const char *path = leg_path(loader, at, "verb");
	for (const struct leg_verb *v = profile->verbs; v != NULL && v->name != NULL; v++) {
		if (str_eq(str_c(v->name), verb) && v->is_collect == at->is_collect)
			return;
		if (str_eq(str_c(v->name), verb)) {
			config_problem(loader, &at->o->decl, path,
				"\"%s\" %s, which is not what %s is for", v->name,
				v->is_collect ? "takes money from the customer"
					      : "gives to the customer",
				at->name);
			return;
		}
		if (v->is_collect == at->is_collect && n < LIMIT_CONFIG_LIST)
			names[n++] = str_c(v->name);
	}
	if (verb.n > 0)
		config_problem(loader, &at->o->decl, path, "%s has no verb \"%.*s\"%s",
			profile->name, STR_ARG(verb), config_hint(loader, verb, names, n).p);
}

static void check_account(struct loader *loader, const struct leg_at *at,
	const struct account *account, const struct offer *offer)
{
	const char *path = leg_path(loader, at, "account");
	if (account->partner != NULL && offer->partner != NULL &&
		account->partner != offer->partner)
		config_problem(loader, &at->o->decl, path,
			"account \"%.*s\" belongs to another partner", STR_ARG(account->name));
	if (account->currency != NULL && offer->country != NULL &&
		offer->country->currency != NULL && account->currency != offer->country->currency)
		config_problem(loader, &at->o->decl, path,
			"account \"%.*s\" is kept in %s, %.*s pays in %s", STR_ARG(account->name),
			account->currency->code, STR_ARG(offer->country->name),
			offer->country->currency->code);
	if (account->profile != NULL)
		check_verb(loader, at, account->profile);
}

static void check_service(struct loader *loader, const struct leg_at *at,
	const struct operator_cfg *op, const char *path)
{
	if (op->country != NULL && !str_eq(op->country->name, at->o->country))
		config_problem(loader, &at->o->decl, path,
			"operator \"%.*s\" is of another country", STR_ARG(op->name));
	if (at->is_of_wallet && op->confirm == WALLET_NONE)
		config_problem(loader, &at->o->decl, path, "operator \"%.*s\" has no wallet to %s",
			STR_ARG(op->name), at->is_collect ? "collect from" : "refund to");
}

static void resolve_leg(struct loader *loader, const struct leg_at *at, const struct offer *offer,
	struct offer_leg *out)
{
	const struct config *config = &loader->box->config;
	const struct decl_leg *leg = at->leg;
	if (!leg->is_given)
		return;
	const struct decl *account = config_named(
		loader, &at->o->decl, leg_path(loader, at, "account"), DECL_ACCOUNT, leg->account);
	struct leg_service *services = config_alloc(loader, leg->services.n * sizeof(*services));
	size_t n = 0;
	for (size_t i = 0; i < leg->services.n; i++) {
		const struct account_field *pair = &leg->services.p[i];
		const char *path = arena_printf(
			&loader->arena, "%s/services/%.*s", at->name, STR_ARG(pair->name))
					   .p;
		const struct decl *op =
			config_named(loader, &at->o->decl, path, DECL_OPERATOR, pair->name);
		if (op == NULL)
			continue;
		services[n++] = (struct leg_service){&config->operators[op->index], pair->value};
		check_service(loader, at, &config->operators[op->index], path);
	}
	*out = (struct offer_leg){.verb = leg->verb, .services = services, .services_len = n};
	if (account != NULL) {
		out->account = &config->accounts[account->index];
		check_account(loader, at, out->account, offer);
	}
}

/* ---- offers
 * --------------------------------------------------------------------------------------- */

static void check_payer(struct loader *loader, const struct decl_offer *o)
{
	if (!o->collect.is_given && !o->deliver.is_given)
		config_problem(loader, &o->decl, NULL, "it needs collect, deliver or both");
	else if (!o->collect.is_given && o->paid_by.n == 0)
		config_problem(loader, &o->decl, "deliver",
			"an offer that only delivers must name the funded account that pays: "
			"paid_by = "
			"\"float:NAME\"");
	if (o->collect.is_given && o->paid_by.n > 0)
		config_problem(loader, &o->decl, "paid_by",
			"the customer pays by collect: paid_by is for offers that only deliver");
}

/* Whose money it is must be somebody's: what pays without limit pays for nothing. */
static void check_float(
	struct loader *loader, const struct decl_offer *o, const struct offer *offer)
{
	const struct float_cfg *pays = config_float(&loader->box->config, o->paid_by);
	struct str name = str_from(o->paid_by, strlen("float:"));

	if (o->collect.is_given || o->paid_by.n == 0 ||
		config_named(loader, &o->decl, "paid_by", DECL_FLOAT, name) == NULL ||
		pays == NULL || offer->country == NULL)
		return;
	if (pays->partner != offer->partner || pays->currency != offer->country->currency)
		config_problem(loader, &o->decl, "paid_by",
			"float \"%.*s\" is of another partner or currency", STR_ARG(name));
}

/*
 * Who buys for the own number is debited and credited under one number. With equal amounts and one
 * account the deliver leg would wait out the spacing behind the collect leg
 * (easytransfert.md 1.12); a fee makes the amounts differ.
 */
static void check_spacing(
	struct loader *loader, const struct decl_offer *o, const struct offer *offer)
{
	const struct account *account = offer->collect.account;
	if (account != NULL && account == offer->deliver.account && account->spacing_ms > 0 &&
		offer->fee_flat == 0 && offer->fee_permille == 0)
		config_problem(loader, &o->decl, "fee",
			"without a fee both legs ask account \"%.*s\" for the same number and "
			"amount "
			"when a person buys for the own number, and its spacing of %u s would hold "
			"up "
			"the delivery: take a fee or deliver through another account",
			STR_ARG(account->name), account->spacing_ms / 1000);
}

/*
 * A refund is asked for the number and amount of the collection, so through the same account it
 * waits out the spacing behind it.
 */
static void check_refund(
	struct loader *loader, const struct decl_offer *o, const struct offer *offer)
{
	const struct account *account = offer->refund.account;
	if (o->refund.leg.is_given && !o->collect.is_given)
		config_problem(loader, &o->decl, "refund",
			"nothing is collected, so there is nothing to refund");
	if (account != NULL && account == offer->collect.account &&
		account->spacing_ms >= LIMIT_REFUND_READY_MS)
		config_problem(loader, &o->decl, "refund",
			"the spacing of account \"%.*s\" is so long that a refund behind the "
			"collection would expire before it can be sent",
			STR_ARG(account->name));
}

static void check_late(struct loader *loader, const struct decl_offer *o)
{
	if (o->late.is_given && !(o->collect.is_given && o->deliver.is_given))
		config_problem(
			loader, &o->decl, "late", "it is for offers that collect and deliver");
}

static void resolve_legs(struct loader *loader, const struct decl_offer *o, struct offer *out)
{
	const struct leg_at collect = {o, &o->collect, "collect", true, true};
	const struct leg_at deliver = {o, &o->deliver, "deliver", false, false};
	const struct leg_at refund = {o, &o->refund.leg, "refund", false, true};
	resolve_leg(loader, &collect, out, &out->collect);
	resolve_leg(loader, &deliver, out, &out->deliver);
	resolve_leg(loader, &refund, out, &out->refund);
	out->refund_delay_ms = o->refund.delay;
	out->late_ms = o->late.after;
	out->late_delivers = str_eq(o->late.action, STR("deliver"));
	check_payer(loader, o);
	check_float(loader, o, out);
	check_spacing(loader, o, out);
	check_refund(loader, o, out);
	check_late(loader, o);
}

static void resolve_offer(struct loader *loader, const struct decl_offer *o, struct offer *out)
{
	const struct config *config = &loader->box->config;
	const struct decl *d = &o->decl;
	const struct decl *partner = config_named(loader, d, "partner", DECL_PARTNER, o->partner);
	const struct decl *country = config_named(loader, d, "country", DECL_COUNTRY, o->country);
	*out = (struct offer){
		.name = d->name,
		.kind = o->kind,
		.partner = partner != NULL ? &config->partners[partner->index] : NULL,
		.country = country != NULL ? &config->countries[country->index] : NULL,
		.fee_permille = (unsigned)o->fee.permille,
		.cost_permille = (unsigned)o->cost_permille,
		.collect_fee_permille = (unsigned)o->collect_fee,
		.paid_by = o->paid_by,
		.out_of_service = o->out_of_service,
	};
	int64_t factor = minor_factor(out->country);
	out->amount = resolve_amount(loader, o, factor);
	out->fee_flat = o->fee.flat * factor;
	out->fee_step = o->fee.step * factor;
	resolve_legs(loader, o, out);
}

void config_resolve_offers(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_OFFER];
	struct offer *out = config_alloc(loader, list->len * sizeof(*out));
	config->offers = out;
	config->offers_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next)
		resolve_offer(loader, (const struct decl_offer *)(const void *)d, out++);
}
