/* Look-ups in a configuration and the arithmetic of its offers: pure, for any thread. */
#include "tama/config.h"

#include "tama/err.h"

const struct channel *config_channel(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->channels_len; i++)
		if (str_eq(config->channels[i].name, name))
			return &config->channels[i];
	return NULL;
}

const struct account *config_account(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->accounts_len; i++)
		if (str_eq(config->accounts[i].name, name))
			return &config->accounts[i];
	return NULL;
}

const struct float_cfg *config_float(const struct config *config, struct str paid_by)
{
	for (size_t i = 0; i < config->floats_len; i++)
		if (str_eq(config->floats[i].paid_by, paid_by))
			return &config->floats[i];
	return NULL;
}

int64_t offer_cost(const struct offer *offer, int64_t face_value)
{
	return face_value * offer->cost_permille / 1000;
}

int64_t offer_collect_fee(const struct offer *offer, int64_t price)
{
	return offer->collect.account != NULL ? price * offer->collect_fee_permille / 1000 : 0;
}

size_t float_needs(const struct offer *offer, int64_t face_value, int64_t price,
	struct float_need out[static FLOAT_NEEDS_MAX])
{
	size_t n = 0;

	if (offer->deliver.account != NULL)
		out[n++] = (struct float_need){
			offer->deliver.account->name, offer_cost(offer, face_value)};
	if (offer->paid_by.n > 0)
		out[n++] = (struct float_need){offer->paid_by, price};
	return n;
}

const struct limits *config_limits(
	const struct config *config, uint32_t partner, struct str currency)
{
	for (size_t i = 0; i < config->limits_len; i++)
		if (config->limits[i].partner->id == partner &&
			str_eq(str_c(config->limits[i].currency->code), currency))
			return &config->limits[i];
	return NULL;
}

const struct offer *config_offer(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->offers_len; i++)
		if (str_eq(config->offers[i].name, name))
			return &config->offers[i];
	return NULL;
}

const struct operator_cfg *config_operator(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->operators_len; i++)
		if (str_eq(config->operators[i].name, name))
			return &config->operators[i];
	return NULL;
}

const struct country *config_country(const struct config *config, struct str iso)
{
	for (size_t i = 0; i < config->countries_len; i++)
		if (str_eq(config->countries[i].name, iso))
			return &config->countries[i];
	return NULL;
}

const struct partner *config_partner(const struct config *config, uint32_t id)
{
	for (size_t i = 0; i < config->partners_len; i++)
		if (config->partners[i].id == id)
			return &config->partners[i];
	return NULL;
}

static struct str field_find(const struct account_field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(fields[i].name, str_c(name)))
			return fields[i].value;
	return (struct str){NULL, 0};
}

struct str account_field(const struct account *account, const char *name)
{
	return field_find(account->fields, account->fields_len, name);
}

struct str channel_field(const struct channel *channel, const char *name)
{
	return field_find(channel->fields, channel->fields_len, name);
}

const struct service *channel_keyword(const struct channel *channel, struct str word)
{
	for (size_t i = 0; i < channel->keywords_len; i++)
		if (str_eq(channel->keywords[i].word, word))
			return channel->keywords[i].service;
	return NULL;
}

/* Length of the operator's longest prefix that begins the number; 0 for none. */
static size_t prefix_match(const struct operator_cfg *op, struct str nsn)
{
	size_t longest = 0;
	for (size_t i = 0; i < op->prefixes_len; i++)
		if (op->prefixes[i].n > longest && str_has_prefix(nsn, op->prefixes[i]))
			longest = op->prefixes[i].n;
	return longest;
}

const struct operator_cfg *config_operator_guess(
	const struct config *config, const struct country *country, const struct msisdn *number)
{
	const struct operator_cfg *found = NULL;
	size_t longest = 0;
	struct str digits = str_c(number->digits);
	if (!str_has_prefix(digits, country->plan.cc))
		return NULL;
	for (size_t i = 0; i < config->operators_len; i++) {
		const struct operator_cfg *op = &config->operators[i];
		size_t n = op->country == country
				   ? prefix_match(op, str_from(digits, country->plan.cc.n))
				   : 0;
		if (n > longest) {
			longest = n;
			found = op;
		}
	}
	return found;
}

const struct operator_cfg *config_operator_by_network(
	const struct config *config, struct str network)
{
	for (size_t i = 0; i < config->operators_len; i++)
		for (size_t j = 0; j < config->operators[i].networks_len; j++)
			if (str_eq(config->operators[i].networks[j], network))
				return &config->operators[i];
	return NULL;
}

const struct channel *config_sms_route(
	const struct config *config, uint32_t partner, const struct country *country)
{
	for (size_t i = 0; i < config->channels_len; i++) {
		const struct channel *channel = &config->channels[i];
		if (channel->kind == CHANNEL_SMS && !channel->out_of_service &&
			channel->partner->id == partner && channel->country == country)
			return channel;
	}
	return NULL;
}

struct str offer_leg_service(const struct offer_leg *leg, const struct operator_cfg *op)
{
	for (size_t i = 0; i < leg->services_len; i++)
		if (leg->services[i].op == op)
			return leg->services[i].service;
	return (struct str){NULL, 0};
}

int64_t offer_fee(const struct offer *offer, int64_t face_value)
{
	/* In thousandths, so that a share of 1.5 F is rounded up and not cut off first. */
	int64_t milli = offer->fee_flat * 1000 + face_value * offer->fee_permille;
	int64_t step = offer->fee_step * 1000;
	tama_assert(step > 0);
	tama_assert(face_value >= 0);
	tama_assert(face_value <= MONEY_MAX);
	return (milli + step - 1) / step * offer->fee_step;
}

int amount_rule_check(const struct amount_rule *rule, int64_t face_value)
{
	tama_assert(rule->step > 0);
	if (face_value < rule->min || face_value > rule->max || face_value % rule->step != 0)
		return TAMA_EINVAL;
	return 0;
}
