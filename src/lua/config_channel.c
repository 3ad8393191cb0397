/* Channels: the ways in, their codes and keywords, and that these lead to one place only. */
#include "config_priv.h"

static bool is_ussd_code(struct str code)
{
	if (code.n < 3 || (code.p[0] != '*' && code.p[0] != '#') || code.p[code.n - 1] != '#')
		return false;
	for (size_t i = 0; i < code.n; i++)
		if (strchr("0123456789*#", code.p[i]) == NULL)
			return false;
	return true;
}

static bool is_short_code(struct str code)
{
	return code.n >= 3 && code.n <= MSISDN_MAX && config_is_digits(code);
}

static bool has_code(const struct channel *channel, struct str code)
{
	for (size_t i = 0; i < channel->codes_len; i++)
		if (str_eq(channel->codes[i], code))
			return true;
	return false;
}

/* A code is dialled inside a country, and two partners may reach one through different aggregators.
 */
static void check_code(
	struct loader *loader, const struct decl *d, const struct channel *channel, size_t i)
{
	char path[40];
	struct str code = channel->codes[i];
	bool is_ussd = channel->kind == CHANNEL_USSD;
	(void)snprintf(path, sizeof(path), "codes/#%zu", i + 1);
	if (is_ussd ? !is_ussd_code(code) : !is_short_code(code))
		config_problem(loader, d, path, "\"%.*s\" is no %s", STR_ARG(code),
			is_ussd ? "USSD code such as \"*384*22#\""
				: "short code such as \"36789\"");
	for (const struct channel *other = loader->box->config.channels; other < channel; other++)
		if (other->kind == channel->kind && other->partner == channel->partner &&
			other->country == channel->country && has_code(other, code))
			config_problem(loader, d, path,
				"channel \"%.*s\" has the code \"%.*s\" too", STR_ARG(other->name),
				STR_ARG(code));
}

static void check_kind(
	struct loader *loader, const struct decl_channel *c, const struct channel *channel)
{
	const struct decl *d = &c->decl;
	struct str url = channel_field(channel, "url");
	if (channel->kind == CHANNEL_USSD) {
		if (channel->septets > LIMIT_SCREEN_SEPTETS)
			config_problem(loader, d, "septets", "a USSD screen has at most %d septets",
				LIMIT_SCREEN_SEPTETS);
		if (c->keywords.n > 0)
			config_problem(loader, d, "keywords", "only an SMS channel has keywords");
		if (c->private_nets.n > 0)
			config_problem(loader, d, "private",
				"only an SMS channel has a gateway that is called");
	} else if (url.n == 0) {
		config_problem(loader, d, "fields",
			"an SMS channel needs the address of its gateway: fields = { url = ... }");
	} else if (config_check_url(loader, d, "fields/url", false, &url)) {
		config_check_peer(loader, d, "fields/url", url, channel->private_nets);
	}
}

static void check_service(struct loader *loader, const struct decl *d, const char *path,
	const struct channel *channel, const struct service *service)
{
	if (service->partner != NULL && channel->partner != NULL &&
		service->partner != channel->partner)
		config_problem(loader, d, path, "service \"%.*s\" belongs to another partner",
			STR_ARG(service->name));
}

static bool is_folded(struct str word)
{
	for (size_t i = 0; i < word.n; i++)
		if (!((word.p[i] >= 'a' && word.p[i] <= 'z') ||
			    config_is_digits((struct str){word.p + i, 1})))
			return false;
	return word.n > 0 && word.n <= 20;
}

static void resolve_keywords(
	struct loader *loader, const struct decl_channel *c, struct channel *channel)
{
	const struct config *config = &loader->box->config;
	struct channel_keyword *out = config_alloc(loader, c->keywords.n * sizeof(*out));
	channel->keywords = out;
	for (size_t i = 0; i < c->keywords.n; i++) {
		const struct account_field *pair = &c->keywords.p[i];
		const char *path =
			arena_printf(&loader->arena, "keywords/%.*s", STR_ARG(pair->name)).p;
		const struct decl *service =
			config_named(loader, &c->decl, path, DECL_SERVICE, pair->value);
		if (!is_folded(pair->name))
			config_problem(loader, &c->decl, path,
				"the keyword \"%.*s\" must be 1 to 20 lower-case letters and "
				"digits",
				STR_ARG(pair->name));
		if (service == NULL)
			continue;
		out[channel->keywords_len++] =
			(struct channel_keyword){pair->name, &config->services[service->index]};
		check_service(loader, &c->decl, path, channel, &config->services[service->index]);
	}
}

static void resolve_names(
	struct loader *loader, const struct decl_channel *c, struct channel *channel)
{
	const struct config *config = &loader->box->config;
	const struct decl *d = &c->decl;
	const struct decl *partner = config_named(loader, d, "partner", DECL_PARTNER, c->partner);
	const struct decl *country = config_named(loader, d, "country", DECL_COUNTRY, c->country);
	const struct decl *service = config_named(loader, d, "service", DECL_SERVICE, c->service);
	if (partner != NULL)
		channel->partner = &config->partners[partner->index];
	if (country != NULL)
		channel->country = &config->countries[country->index];
	if (channel->lang.n == 0 && channel->country != NULL)
		channel->lang = channel->country->lang;
	if (service != NULL) {
		channel->service = &config->services[service->index];
		check_service(loader, d, "service", channel, channel->service);
	}
}

static void resolve_channel(
	struct loader *loader, const struct decl_channel *c, struct channel *out)
{
	const struct decl *d = &c->decl;
	*out = (struct channel){
		.name = d->name,
		.id = d->index,
		.kind = str_eq(c->kind, STR("sms")) ? CHANNEL_SMS : CHANNEL_USSD,
		.dialect = c->dialect,
		.secret = c->secret.now,
		.secret_old = c->secret.old,
		.sources = c->sources.p,
		.sources_len = c->sources.n,
		.private_nets = config_private_nets(loader, d, &c->private_nets),
		.codes = c->codes.p,
		.codes_len = c->codes.n,
		.lang = c->lang,
		.septets = (unsigned)c->septets,
		.timeout_ms = (unsigned)c->timeout,
		.resume_ms = (unsigned)c->resume,
		.hop_ms = (unsigned)c->hop,
		.in_flight = (unsigned)c->in_flight,
		.fields = c->fields.p,
		.fields_len = c->fields.n,
		.out_of_service = c->out_of_service,
	};
	if (c->secret.now.p == NULL && !c->open)
		config_problem(loader, d, NULL,
			"field \"secret\" is missing: without one anybody can pretend to be any "
			"phone "
			"(open = true allows that)");
	resolve_names(loader, c, out);
	out->cap = config_velocity(
		loader, d, "cap", &c->cap, out->country != NULL ? out->country->currency : NULL);
	resolve_keywords(loader, c, out);
	if (c->kind.n > 0) {
		check_kind(loader, c, out);
		for (size_t i = 0; i < out->codes_len; i++)
			check_code(loader, d, out, i);
	}
}

void config_resolve_channels(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_CHANNEL];
	struct channel *out = config_alloc(loader, list->len * sizeof(*out));
	config->channels = out;
	config->channels_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next)
		resolve_channel(loader, (const struct decl_channel *)(const void *)d, out++);
}
