/* Floats: what an account's balance is watched for, and agents' money with us. */
#include "config_priv.h"

int64_t config_minor(const struct currency *currency, int64_t units)
{
	for (unsigned i = 0; currency != NULL && i < currency->minor_units; i++)
		units *= 10;
	return units;
}

static int two_digits(const char *p)
{
	bool are = p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9';

	return are ? (p[0] - '0') * 10 + p[1] - '0' : 99;
}

bool config_is_time(struct str s)
{
	return s.n == 5 && s.p[2] == ':' && two_digits(s.p) < 24 && two_digits(s.p + 3) < 60;
}

void config_resolve_account_float(
	struct loader *loader, const struct decl_account *a, struct account *out)
{
	const struct decl_account_float *f = &a->float_;
	bool is_timed = config_is_time(a->reconcile);

	out->reconcile_at_s =
		is_timed ? two_digits(a->reconcile.p) * 3600 + two_digits(a->reconcile.p + 3) * 60
			 : -1;
	if (!f->is_given) {
		if (is_timed)
			config_problem(loader, &a->decl, "reconcile",
				"a day is reconciled between two balances: float = { every = "
				"\"15m\" } has them asked for");
		return;
	}
	out->float_every_ms = (uint32_t)f->every;
	out->float_warn = config_minor(out->currency, f->warn);
	out->float_stop = config_minor(out->currency, f->stop);
	out->float_must_be_known = str_eq(f->unknown, STR("stop"));
	if (f->warn > 0 && f->warn < f->stop)
		config_problem(loader, &a->decl, "float/warn", "warn is less than stop");
	/* Every call of an account counts for its provider's pause (easytransfert.md 1.12). */
	if (f->every > 0 && f->every < (int64_t)out->spacing_ms)
		config_problem(loader, &a->decl, "float/every",
			"the provider wants %u s between two calls", out->spacing_ms / 1000);
}

void config_resolve_floats(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_FLOAT];
	struct float_cfg *out = config_alloc(loader, list->len * sizeof(*out));

	config->floats = out;
	config->floats_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next, out++) {
		const struct decl_float *f = (const struct decl_float *)(const void *)d;
		const struct decl *partner =
			config_named(loader, d, "partner", DECL_PARTNER, f->partner);

		*out = (struct float_cfg){
			.name = d->name,
			.paid_by = config_str(loader,
				arena_printf(&loader->arena, "float:%.*s", STR_ARG(d->name))),
			.partner = partner != NULL ? &config->partners[partner->index] : NULL,
			.currency = currency_find(f->currency),
		};
		out->opening = config_minor(out->currency, f->opening);
		out->warn = config_minor(out->currency, f->warn);
	}
}
