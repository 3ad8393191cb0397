/* Limits of velocity: how often and how much may be bought within a while (reliability.md 5.5). */
#include "config_priv.h"

static const char *const WINDOWS[VELOCITY_WINDOWS] = {"ten_minutes", "day", "month"};

static struct velocity_rule rule_of(
	const struct decl_window *window, const struct currency *currency)
{
	int64_t value = window->value;
	for (unsigned i = 0; currency != NULL && i < currency->minor_units; i++)
		value *= 10;
	return (struct velocity_rule){(uint32_t)window->count, value};
}

static void check_window(struct loader *loader, const struct decl *at, const char *path,
	const struct decl_velocity *from, int which)
{
	const struct decl_window *window = &from->windows[which];
	const char *here = arena_printf(&loader->arena, "%s/%s", path, WINDOWS[which]).p;
	if (!window->is_given)
		return;
	/* Most likely the two have been mixed up: the shorter one could never be reached. */
	for (int i = 0; i < which; i++)
		if ((window->count > 0 && window->count < from->windows[i].count) ||
			(window->value > 0 && window->value < from->windows[i].value))
			config_problem(loader, at, here, "%s.%s allows less than %s.%s", path,
				WINDOWS[which], path, WINDOWS[i]);
}

struct velocity config_velocity(struct loader *loader, const struct decl *at, const char *path,
	const struct decl_velocity *from, const struct currency *currency)
{
	struct velocity out = {0};
	if (!from->is_given)
		return out;
	for (int i = 0; i < VELOCITY_WINDOWS; i++) {
		check_window(loader, at, path, from, i);
		out.windows[i] = rule_of(&from->windows[i], currency);
	}
	return out;
}

static void check_twin(
	struct loader *loader, const struct decl *d, const struct limits *first, struct limits *own)
{
	for (const struct limits *other = first; other < own; other++)
		if (other->partner == own->partner && other->currency == own->currency &&
			own->partner != NULL && own->currency != NULL)
			config_problem(loader, d, NULL,
				"limits \"%.*s\" are of the same partner and currency",
				STR_ARG(other->name));
}

/* Whether some window lets through nothing of that value. */
static bool forbids(const struct velocity *velocity, int64_t value)
{
	for (int i = 0; i < VELOCITY_WINDOWS; i++)
		if (velocity->windows[i].value > 0 && velocity->windows[i].value < value)
			return true;
	return false;
}

/* An offer whose least amount is too much is not sold: most likely a zero is missing. */
static void check_offers(struct loader *loader, const struct decl *d, const struct limits *own)
{
	const struct config *config = &loader->box->config;
	for (size_t i = 0; i < config->offers_len; i++) {
		const struct offer *offer = &config->offers[i];
		int64_t least = offer->amount.min + offer_fee(offer, offer->amount.min);
		if (offer->partner != own->partner || offer->country == NULL ||
			offer->country->currency != own->currency || own->currency == NULL)
			continue;
		if (forbids(&own->payer, least) || forbids(&own->all, least) ||
			forbids(&own->beneficiary, offer->amount.min))
			config_problem(loader, d, NULL,
				"of offer \"%.*s\" not even the least amount could be bought",
				STR_ARG(offer->name));
	}
}

static void resolve_limits(struct loader *loader, const struct decl_limits *l,
	const struct limits *first, struct limits *out)
{
	const struct config *config = &loader->box->config;
	const struct decl *d = &l->decl;
	const struct decl *partner = config_named(loader, d, "partner", DECL_PARTNER, l->partner);
	const struct currency *currency = currency_find(l->currency);
	*out = (struct limits){
		.name = d->name,
		.partner = partner != NULL ? &config->partners[partner->index] : NULL,
		.currency = currency,
		.payer = config_velocity(loader, d, "payer", &l->payer, currency),
		.beneficiary = config_velocity(loader, d, "beneficiary", &l->beneficiary, currency),
		.all = config_velocity(loader, d, "all", &l->all, currency),
	};
	check_twin(loader, d, first, out);
	check_offers(loader, d, out);
}

void config_resolve_limits(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_LIMITS];
	struct limits *first = config_alloc(loader, list->len * sizeof(*first)), *out = first;
	config->limits = first;
	config->limits_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next)
		resolve_limits(loader, (const struct decl_limits *)(const void *)d, first, out++);
}

void config_resolve_staff(struct loader *loader, const struct decl_gateway *gateway)
{
	const struct pairs *amounts = &gateway->staff.amount_a_day;
	struct staff_amount *out = config_alloc(loader, amounts->n * sizeof(*out));
	struct staff_limits *staff = &loader->box->config.staff;

	*staff = (struct staff_limits){
		.refunds_a_day = (uint32_t)gateway->staff.refunds_a_day, .amounts = out};
	for (size_t i = 0; i < amounts->n; i++) {
		const struct account_field *pair = &amounts->p[i];
		const struct currency *currency = currency_find(pair->name);
		int64_t units = 0;

		if (currency == NULL)
			config_problem(loader, &gateway->decl, "staff/amount_a_day",
				"\"%.*s\" is no currency that is known", STR_ARG(pair->name));
		else if (str_to_i64(pair->value, &units))
			out[staff->amounts_len++] =
				(struct staff_amount){currency, config_minor(currency, units)};
	}
}
