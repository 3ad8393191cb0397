/*
 * From declarations to a configuration: names become pointers, defaults are filled in, and what
 * must agree is compared. A declaration with a problem of its own is still there by its name, so
 * one mistake gives one message.
 */
#include "config_priv.h"

#include "tama/mark.h"
#include "tama/provider.h"

#include <limits.h>

/* ---- names
 * ---------------------------------------------------------------------------------------- */

const struct decl *config_named(struct loader *loader, const struct decl *at, const char *path,
	enum decl_kind kind, struct str name)
{
	struct str names[LIMIT_CONFIG_LIST];
	size_t n = 0;
	if (name.n == 0)
		return NULL;
	for (const struct decl *decl = loader->decls[kind].first; decl != NULL; decl = decl->next) {
		if (str_eq(decl->name, name))
			return decl;
		names[n++] = decl->name;
	}
	config_problem(loader, at, path, "there is no %s \"%.*s\"%s", decl_types[kind].word,
		STR_ARG(name), config_hint(loader, name, names, n).p);
	return NULL;
}

static void check_twins(struct loader *loader, enum decl_kind kind)
{
	for (const struct decl *a = loader->decls[kind].first; a != NULL; a = a->next) {
		if (!a->has_body)
			config_problem(loader, a, NULL, "its fields { ... } are missing");
		const struct decl *b = loader->decls[kind].first;
		while (b != a && !str_eq(a->name, b->name))
			b = b->next;
		if (b != a)
			config_problem(loader, a, NULL,
				"is declared a second time; first at %.*s:%u",
				STR_ARG(b->source->path), b->line);
	}
}

static bool is_given_before(const struct config_options *options, size_t i)
{
	size_t k = 0;
	while (!str_eq(options->settings[k].name, options->settings[i].name))
		k++;
	return k < i;
}

static void check_settings(struct loader *loader)
{
	const struct config_options *options = loader->options;
	for (size_t i = 0; i < options->settings_len; i++)
		if (is_given_before(options, i))
			config_problem_at(loader, loader->sources[0], 1,
				"the setting \"%.*s\" is given twice",
				STR_ARG(options->settings[i].name));
		else if (!loader->settings_used[i])
			config_problem_at(loader, loader->sources[0], 1,
				"the setting \"%.*s\" is given but nothing asks for it%s",
				STR_ARG(options->settings[i].name),
				config_hint(loader, options->settings[i].name,
					loader->settings_known, loader->settings_known_len)
					.p);
}

static void check_demo_secrets(struct loader *loader)
{
	for (const struct config_secret *s = loader->secrets; s != NULL; s = s->next)
		if (s->is_demo && !loader->box->config.allow_loopback)
			config_problem_at(loader, s->source, s->line,
				"a secret in the configuration itself is for demo and tests "
				"(allow_loopback = true): use secret_file \"path\"");
}

/* ---- gateway
 * -------------------------------------------------------------------------------------- */

/* Where the store's mark is kept: beside the data directory unless said otherwise. */
static struct str mark_path(
	struct loader *loader, const struct decl_gateway *gateway, struct str data_dir)
{
	char path[PATH_MAX];

	if (gateway->mark.n > 0)
		return config_str(
			loader, config_path(loader, gateway->decl.source->path, gateway->mark));
	if (mark_default_path(data_dir, path, sizeof(path), NULL) != 0)
		return STR("");
	return config_str(loader, str_c(path));
}

/* A path of the gateway's own, relative to its file; empty stays empty. */
static struct str place(struct loader *loader, const struct decl_gateway *gateway, struct str path)
{
	if (path.n == 0)
		return path;
	return config_str(loader, config_path(loader, gateway->decl.source->path, path));
}

/* First of all: what it allows decides about the others. */
static void resolve_gateway(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_gateway *gateway =
		(const struct decl_gateway *)(const void *)loader->decls[DECL_GATEWAY].first;
	if (gateway == NULL) {
		config_problem_at(loader, loader->sources[0], 1, "there is no gateway { ... }");
		return;
	}
	config->allow_loopback = gateway->allow_loopback;
	config->allow_http = gateway->allow_http;
	config->data_dir = gateway->data;
	if (gateway->data.n > 0)
		config->data_dir = config_str(
			loader, config_path(loader, gateway->decl.source->path, gateway->data));
	config->mark = mark_path(loader, gateway, config->data_dir);
	config->socket = place(loader, gateway, gateway->socket);
	config->standby = place(loader, gateway, gateway->standby);
	config->verify_ms = gateway->verify;
	config->proxies = gateway->proxies.p;
	config->proxies_len = gateway->proxies.n;
	config->workers = (unsigned)gateway->workers;
	config->connections = (unsigned)gateway->connections;
	config->disk_reserve = (uint64_t)gateway->disk_reserve * 1024 * 1024;
	config->master_key = gateway->master_key;
	config_resolve_staff(loader, gateway);
	struct str listen = gateway->listen.n > 0 ? gateway->listen : STR("127.0.0.1:8080");
	struct str admin = gateway->admin.n > 0 ? gateway->admin : STR("127.0.0.1:8081");
	config_check_listen(loader, gateway, "listen", listen, &config->listen_port);
	config_check_listen(loader, gateway, "admin", admin, &config->admin_port);
	if (config->listen_port != 0 && config->listen_port == config->admin_port)
		config_problem(loader, &gateway->decl, "admin",
			"the admin listener needs a port of its own");
}

/* ---- countries and operators
 * ---------------------------------------------------------------------- */

static void check_country(struct loader *loader, const struct decl_country *c)
{
	size_t sum = 0;
	size_t digits = (size_t)c->nsn + c->trunk.n;
	for (size_t i = 0; i < c->groups.n; i++)
		sum += (size_t)(c->groups.p[i] - '0');
	if (c->nsn > 0 && c->groups.n > 0 && sum != digits)
		config_problem(loader, &c->decl, "groups",
			"the groups have %zu digits, a national number has %zu", sum, digits);
	if (c->nsn + (int64_t)c->cc.n > MSISDN_MAX)
		config_problem(loader, &c->decl, "nsn",
			"with the country code that is more than %d digits", MSISDN_MAX);
	for (size_t i = 0; i < c->mobile.n; i++)
		if (c->nsn > 0 && (int64_t)c->mobile.p[i].n > c->nsn)
			config_problem(loader, &c->decl, "mobile",
				"\"%.*s\" is longer than a number", STR_ARG(c->mobile.p[i]));
}

static void resolve_countries(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_COUNTRY];
	struct country *out = config_alloc(loader, list->len * sizeof(*out));
	config->countries = out;
	config->countries_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next, out++) {
		const struct decl_country *c = (const struct decl_country *)(const void *)d;
		check_country(loader, c);
		*out = (struct country){
			.name = d->name,
			.plan = {.iso = d->name,
				.cc = c->cc,
				.trunk = c->trunk,
				.nsn_len = (unsigned)c->nsn,
				.mobile = c->mobile.p,
				.mobile_len = c->mobile.n,
				.groups = c->groups},
			.currency = currency_find(c->currency),
			.lang = c->lang,
		};
	}
}

static bool is_in(struct texts texts, struct str text)
{
	for (size_t i = 0; i < texts.n; i++)
		if (str_eq(texts.p[i], text))
			return true;
	return false;
}

/* Whether some mobile number of the country can begin so. */
static bool is_mobile(const struct country *country, struct str prefix)
{
	for (size_t i = 0; i < country->plan.mobile_len; i++)
		if (str_has_prefix(prefix, country->plan.mobile[i]) ||
			str_has_prefix(country->plan.mobile[i], prefix))
			return true;
	return false;
}

/* What two operators must not share, in the list at that offset of both. */
static void check_shared(struct loader *loader, const struct decl_operator *a,
	const struct decl_operator *b, const char *path, size_t offset)
{
	const struct texts *own = (const void *)((const char *)a + offset);
	const struct texts *other = (const void *)((const char *)b + offset);
	for (size_t i = 0; i < own->n; i++)
		if (is_in(*other, own->p[i]))
			config_problem(loader, &a->decl, path,
				"\"%.*s\" is of operator \"%.*s\" too (%.*s:%u)",
				STR_ARG(own->p[i]), STR_ARG(b->decl.name),
				STR_ARG(b->decl.source->path), b->decl.line);
}

static void check_operator(
	struct loader *loader, const struct decl_operator *o, const struct country *country)
{
	for (size_t i = 0; country != NULL && i < o->prefixes.n; i++)
		if (o->prefixes.p[i].n > country->plan.nsn_len ||
			!is_mobile(country, o->prefixes.p[i]))
			config_problem(loader, &o->decl, "prefixes",
				"\"%.*s\" does not begin a mobile number of %.*s",
				STR_ARG(o->prefixes.p[i]), STR_ARG(country->name));
	for (const struct decl *d = loader->decls[DECL_OPERATOR].first; d != &o->decl;
		d = d->next) {
		const struct decl_operator *other = (const struct decl_operator *)(const void *)d;
		check_shared(
			loader, o, other, "networks", offsetof(struct decl_operator, networks));
		if (!str_eq(o->country, other->country))
			continue;
		check_shared(
			loader, o, other, "prefixes", offsetof(struct decl_operator, prefixes));
		check_shared(loader, o, other, "aliases", offsetof(struct decl_operator, aliases));
	}
}

static enum wallet_confirm resolve_wallet(struct loader *loader, const struct decl_operator *o)
{
	const struct decl_wallet *wallet = &o->wallet;
	bool is_otp = str_eq(wallet->confirm, STR("otp"));
	bool is_push = str_eq(wallet->confirm, STR("push"));
	if (is_otp && wallet->dial.n == 0)
		config_problem(loader, &o->decl, "wallet/confirm",
			"\"otp\" needs the code to dial for it: dial = \"*...#\"");
	if (!is_push && wallet->push_delay > 0)
		config_problem(loader, &o->decl, "wallet/push_delay",
			"only a wallet with confirm = \"push\" has a push_delay");
	if (is_otp)
		return WALLET_OTP;
	if (is_push)
		return WALLET_PUSH;
	return str_eq(wallet->confirm, STR("dial")) ? WALLET_DIAL : WALLET_NONE;
}

static void resolve_operators(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_OPERATOR];
	struct operator_cfg *out = config_alloc(loader, list->len * sizeof(*out));
	config->operators = out;
	config->operators_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next, out++) {
		const struct decl_operator *o = (const struct decl_operator *)(const void *)d;
		const struct decl *country =
			config_named(loader, d, "country", DECL_COUNTRY, o->country);
		*out = (struct operator_cfg){
			.name = d->name,
			.title = o->title,
			.country = country != NULL ? &config->countries[country->index] : NULL,
			.prefixes = o->prefixes.p,
			.prefixes_len = o->prefixes.n,
			.networks = o->networks.p,
			.networks_len = o->networks.n,
			.aliases = o->aliases.p,
			.aliases_len = o->aliases.n,
			.confirm = resolve_wallet(loader, o),
			.dial = o->wallet.dial,
			.push_delay_ms = (unsigned)o->wallet.push_delay,
			.out_of_service = o->out_of_service,
		};
		check_operator(loader, o, out->country);
	}
}

/* ---- partners
 * ------------------------------------------------------------------------------------- */

static void resolve_partners(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_PARTNER];
	struct partner *out = config_alloc(loader, list->len * sizeof(*out));
	config->partners = out;
	config->partners_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next, out++) {
		const struct decl_partner *p = (const struct decl_partner *)(const void *)d;
		*out = (struct partner){d->name, (uint32_t)p->id, p->title};
		for (const struct partner *other = config->partners; other < out; other++)
			if (other->id == out->id && out->id != 0)
				config_problem(loader, d, "id",
					"partner \"%.*s\" has the id %u too", STR_ARG(other->name),
					other->id);
	}
}

/* ---- accounts
 * ------------------------------------------------------------------------------------- */

/* One minute, a quarter, an hour and four, or from the provider's first poll on. */
static struct numbers default_polls(struct loader *loader, const struct provider_profile *profile)
{
	static const int64_t wanted[] = {60000, 900000, 3600000, 4 * 3600000};
	int64_t *polls = config_alloc(loader, sizeof(wanted) + sizeof(*polls));
	size_t n = 0;
	if (profile != NULL && profile->first_poll_ms > wanted[0])
		polls[n++] = profile->first_poll_ms;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (n == 0 || wanted[i] > polls[n - 1])
			polls[n++] = wanted[i];
	return (struct numbers){polls, n};
}

static void check_polls(
	struct loader *loader, const struct decl_account *a, const struct account *account)
{
	const struct provider_profile *profile = account->profile;
	if (profile != NULL && account->polls_ms[0] < profile->first_poll_ms)
		config_problem(loader, &a->decl, "polls/#1",
			"%s allows no status query in the first %u seconds", profile->name,
			profile->first_poll_ms / 1000);
	/* A status query is one of the calls that the gate keeps apart (easytransfert.md 1.12). */
	for (size_t i = 1; i < account->polls_len; i++)
		if (account->polls_ms[i] - account->polls_ms[i - 1] < account->spacing_ms)
			config_problem(loader, &a->decl, "polls",
				"two status queries are nearer to each other than the spacing");
}

static void resolve_polls(
	struct loader *loader, const struct decl_account *a, struct account *account)
{
	struct numbers polls = a->polls.n > 0 ? a->polls : default_polls(loader, account->profile);
	uint32_t *out = config_alloc(loader, polls.n * sizeof(*out));
	for (size_t i = 0; i < polls.n; i++)
		out[i] = (uint32_t)polls.p[i];
	account->polls_ms = out;
	account->polls_len = polls.n;
	check_polls(loader, a, account);
}

/* Class I is what an account has proven, and only where a doubt can be asked about by our id. */
static void resolve_queries(
	struct loader *loader, const struct decl_account *a, struct account *account)
{
	account->queries_per_minute =
		a->queries.is_given ? (unsigned)a->queries.per_minute : LIMIT_QUERIES_PER_MINUTE;
	if (!a->idempotent.is_given)
		return;
	account->keeps_ids_ms = (uint32_t)a->idempotent.keeps;
	account->absent_after_ms = (uint32_t)a->idempotent.absent_after;
	account->absent_answers = (unsigned)a->idempotent.answers;
	if (account->profile != NULL && !account->profile->queries_by_ref)
		config_problem(loader, &a->decl, "idempotent",
			"%s cannot be asked by our reference: its requests are never sent again",
			account->profile->name);
}

static void check_account(
	struct loader *loader, const struct decl_account *a, struct account *account)
{
	if (config_check_url(loader, &a->decl, "base_url", true, &account->base_url))
		config_check_peer(
			loader, &a->decl, "base_url", account->base_url, account->private_nets);
	if (config_check_url(loader, &a->decl, "ipn_base", true, &account->ipn_base))
		config_check_ours(loader, &a->decl, "ipn_base", account->ipn_base);
	if (account->profile == NULL && a->provider.n > 0)
		config_problem(loader, &a->decl, "provider", "there is no provider \"%.*s\"",
			STR_ARG(a->provider));
	/* Without a secret for each request, one for the account is all that keeps forgeries out.
	 */
	if (account->profile != NULL && !account->profile->ref_in_path &&
		a->ipn_secret.now.p == NULL)
		config_problem(loader, &a->decl, "ipn_secret",
			"%s has one IPN address for the account, so it needs an ipn_secret",
			account->profile->name);
}

static void resolve_account(
	struct loader *loader, const struct decl_account *a, struct account *out)
{
	const struct config *config = &loader->box->config;
	const struct decl *partner =
		config_named(loader, &a->decl, "partner", DECL_PARTNER, a->partner);
	*out = (struct account){
		.name = a->decl.name,
		.partner = partner != NULL ? &config->partners[partner->index] : NULL,
		.profile = provider_find(a->provider),
		.base_url = a->base_url,
		.ipn_base = a->ipn_base,
		.fields = a->fields.p,
		.fields_len = a->fields.n,
		.ipn_secret = a->ipn_secret.now,
		.ipn_secret_old = a->ipn_secret.old,
		.signature_secret = a->signature_secret.now,
		.signature_secret_old = a->signature_secret.old,
		.sources = a->sources.p,
		.sources_len = a->sources.n,
		.private_nets = config_private_nets(loader, &a->decl, &a->private_nets),
		.currency = currency_find(a->currency),
		.out_of_service = a->out_of_service,
	};
	if (a->spacing >= 0)
		out->spacing_ms = (uint32_t)a->spacing;
	else if (out->profile != NULL)
		out->spacing_ms = out->profile->spacing_ms;
	resolve_polls(loader, a, out);
	config_resolve_account_float(loader, a, out);
	out->cap = config_velocity(loader, &a->decl, "cap", &a->cap, out->currency);
	resolve_queries(loader, a, out);
	check_account(loader, a, out);
}

static void resolve_accounts(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_ACCOUNT];
	struct account *out = config_alloc(loader, list->len * sizeof(*out));
	config->accounts = out;
	config->accounts_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next)
		resolve_account(loader, (const struct decl_account *)(const void *)d, out++);
}

void config_resolve(struct loader *loader)
{
	for (int kind = 0; kind < DECL_KINDS; kind++)
		check_twins(loader, (enum decl_kind)kind);
	check_settings(loader);
	resolve_gateway(loader);
	check_demo_secrets(loader);
	resolve_countries(loader);
	resolve_operators(loader);
	resolve_partners(loader);
	resolve_accounts(loader);
	config_resolve_floats(loader);
	config_resolve_offers(loader);
	config_resolve_limits(loader);
	config_resolve_services(loader);
	config_resolve_channels(loader);
}
