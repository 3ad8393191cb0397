/*
 * The fields of every declaration, as data: config/production.lua explains them to those who write
 * configurations; here stand their types, bounds and defaults.
 */
#include "config_priv.h"

#include "tama/address.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define AMOUNT_MAX 1000000000
#define FLOAT_MAX INT64_C(10000000000)
#define VALUE_MAX 1000000000000 /* of many amounts together */

/* ---- what is a right text
 * ------------------------------------------------------------------------ */

static bool is_made_of(struct str s, const char *set)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr(set, s.p[i]) == NULL)
			return false;
	return s.n > 0;
}

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool config_is_digits(struct str s)
{
	return is_made_of(s, DIGITS);
}

static bool is_name(struct str s)
{
	return s.n <= 32 && is_made_of(s, LOWER DIGITS "-_");
}

static bool is_iso(struct str s)
{
	return s.n == 2 && is_made_of(s, UPPER);
}

static bool is_country_code(struct str s)
{
	return s.n <= 3 && config_is_digits(s) && s.p[0] != '0';
}

static bool is_prefix(struct str s)
{
	return s.n <= MSISDN_MAX && config_is_digits(s);
}

static bool is_network(struct str s)
{
	return (s.n == 5 || s.n == 6) && config_is_digits(s);
}

static bool is_alias(struct str s)
{
	return s.n <= 20 && is_made_of(s, LOWER DIGITS);
}

static bool is_lang(struct str s)
{
	return (s.n == 2 || s.n == 3) && is_made_of(s, LOWER);
}

static bool is_currency(struct str s)
{
	return s.n == 3 && is_made_of(s, UPPER) && currency_find(s) != NULL;
}

static bool is_groups(struct str s)
{
	return is_made_of(s, "123456789");
}

static bool is_dial(struct str s)
{
	return is_made_of(s, DIGITS "*#") && s.p[s.n - 1] == '#';
}

static bool is_confirm(struct str s)
{
	return str_eq(s, STR("otp")) || str_eq(s, STR("push")) || str_eq(s, STR("dial")) ||
	       str_eq(s, STR("none"));
}

static bool is_late_action(struct str s)
{
	return str_eq(s, STR("refund")) || str_eq(s, STR("deliver"));
}

static bool is_channel_kind(struct str s)
{
	return str_eq(s, STR("ussd")) || str_eq(s, STR("sms"));
}

/* An address, or a network such as "192.0.2.0/24". */
static bool is_source(struct str s)
{
	struct address_net net;

	return address_net_read(s, &net);
}

static bool is_private(struct str s)
{
	struct address_net net;

	return address_net_read(s, &net) && address_net_is_private(&net);
}

#define PRIVATE_NETS                                                                               \
	.is_right = is_private,                                                                    \
	.want = "an address or a network of private space such as \"127.0.0.1\" or "               \
		"\"10.1.0.0/16\""

static bool is_float(struct str s)
{
	return str_has_prefix(s, STR("float:")) && is_name(str_from(s, 6));
}

/* Characters that a path carries without an encoding (RFC 3986 2.3), and enough of them. */
static bool is_segment(struct str s)
{
	return s.n >= 16 && s.n <= 128 && is_made_of(s, LOWER UPPER DIGITS "-._~");
}

/* ---- fields
 * -------------------------------------------------------------------------------------- */

#define AT(type, member) .offset = offsetof(struct type, member)
#define NAME_OF(what) .is_right = is_name, .want = "the name of " what
#define NEEDED .is_required = true
#define SEGMENT .is_right = is_segment, .want = "16 to 128 letters, digits, '-', '.', '_' or '~'"
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

static const struct field staff_fields[] = {
	{"refunds_a_day", FIELD_NUMBER, AT(decl_staff, refunds_a_day), .min = 1, .max = AMOUNT_MAX},
	{"amount_a_day", FIELD_AMOUNTS, AT(decl_staff, amount_a_day), .min = 1, .max = VALUE_MAX},
	END,
};

static const struct field gateway_fields[] = {
	{"data", FIELD_TEXT, AT(decl_gateway, data), NEEDED},
	{"mark", FIELD_TEXT, AT(decl_gateway, mark)},
	{"listen", FIELD_TEXT, AT(decl_gateway, listen)},
	{"admin", FIELD_TEXT, AT(decl_gateway, admin)},
	{"socket", FIELD_TEXT, AT(decl_gateway, socket)},
	{"standby", FIELD_TEXT, AT(decl_gateway, standby)},
	{"verify", FIELD_DURATION, AT(decl_gateway, verify), .min = SECOND, .max = DAY,
		.def = HOUR},
	{"proxies", FIELD_TEXTS, AT(decl_gateway, proxies), .is_right = is_source,
		.want = "an IP address or a network such as \"192.0.2.0/24\""},
	{"workers", FIELD_NUMBER, AT(decl_gateway, workers), .max = LIMIT_HTTP_WORKERS},
	{"connections", FIELD_NUMBER, AT(decl_gateway, connections), .min = 1,
		.max = LIMIT_HTTP_CONNECTIONS, .def = 1024},
	{"disk_reserve", FIELD_NUMBER, AT(decl_gateway, disk_reserve), .max = 1024 * 1024,
		.def = LIMIT_DISK_RESERVE_MIB},
	{"staff", FIELD_TABLE, AT(decl_gateway, staff), .fields = staff_fields,
		.want = "refunds_a_day = ..., amount_a_day = { ... } or both"},
	{"allow_loopback", FIELD_BOOL, AT(decl_gateway, allow_loopback)},
	{"allow_http", FIELD_BOOL, AT(decl_gateway, allow_http)},
	{"master_key", FIELD_KEY, AT(decl_gateway, master_key), NEEDED},
	END,
};

static const struct field country_fields[] = {
	{"cc", FIELD_TEXT, AT(decl_country, cc), NEEDED, .is_right = is_country_code,
		.want = "a country code of 1 to 3 digits"},
	{"nsn", FIELD_NUMBER, AT(decl_country, nsn), NEEDED, .min = 4, .max = MSISDN_MAX - 1},
	{"trunk", FIELD_TEXT, AT(decl_country, trunk), .is_right = is_prefix, .want = "digits"},
	{"mobile", FIELD_TEXTS, AT(decl_country, mobile), NEEDED, .is_right = is_prefix,
		.want = "digits"},
	{"groups", FIELD_TEXT, AT(decl_country, groups), .is_right = is_groups,
		.want = "digits from 1 to 9, one for each group"},
	{"currency", FIELD_TEXT, AT(decl_country, currency), NEEDED, .is_right = is_currency,
		.want = "the code of a known currency such as \"XOF\" or \"UGX\""},
	{"lang", FIELD_TEXT, AT(decl_country, lang), NEEDED, .is_right = is_lang,
		.want = "a language such as \"fr\" or \"en\""},
	END,
};

static const struct field wallet_fields[] = {
	{"confirm", FIELD_TEXT, AT(decl_wallet, confirm), NEEDED, .is_right = is_confirm,
		.want = "\"otp\", \"push\", \"dial\" or \"none\""},
	{"dial", FIELD_TEXT, AT(decl_wallet, dial), .is_right = is_dial,
		.want = "a code to dial such as \"#144*82#\""},
	{"push_delay", FIELD_DURATION, AT(decl_wallet, push_delay), .max = 5 * MINUTE},
	END,
};

static const struct field operator_fields[] = {
	{"country", FIELD_TEXT, AT(decl_operator, country), NEEDED, .is_right = is_iso,
		.want = "a country such as \"CI\""},
	{"title", FIELD_TEXT, AT(decl_operator, title), NEEDED},
	{"prefixes", FIELD_TEXTS, AT(decl_operator, prefixes), NEEDED, .is_right = is_prefix,
		.want = "digits"},
	{"networks", FIELD_TEXTS, AT(decl_operator, networks), .is_right = is_network,
		.want = "the 5 or 6 digits of MCC and MNC"},
	{"aliases", FIELD_TEXTS, AT(decl_operator, aliases), .is_right = is_alias,
		.want = "lower-case letters and digits"},
	{"wallet", FIELD_TABLE, AT(decl_operator, wallet), .fields = wallet_fields},
	{"out_of_service", FIELD_BOOL, AT(decl_operator, out_of_service)},
	END,
};

static const struct field partner_fields[] = {
	{"id", FIELD_NUMBER, AT(decl_partner, id), NEEDED, .min = 1, .max = INT32_MAX},
	{"title", FIELD_TEXT, AT(decl_partner, title), NEEDED},
	END,
};

static bool is_unknown(struct str s)
{
	return str_eq(s, STR("sell")) || str_eq(s, STR("stop"));
}

static const struct field account_float_fields[] = {
	{"warn", FIELD_NUMBER, AT(decl_account_float, warn), .max = FLOAT_MAX},
	{"stop", FIELD_NUMBER, AT(decl_account_float, stop), .max = FLOAT_MAX},
	{"every", FIELD_DURATION, AT(decl_account_float, every), .min = SECOND, .max = DAY,
		.def = 15 * MINUTE},
	{"unknown", FIELD_TEXT, AT(decl_account_float, unknown), .is_right = is_unknown,
		.want = "\"sell\" or \"stop\""},
	END,
};

static const struct field float_fields[] = {
	{"partner", FIELD_TEXT, AT(decl_float, partner), NEEDED, NAME_OF("a partner")},
	{"currency", FIELD_TEXT, AT(decl_float, currency), NEEDED, .is_right = is_currency,
		.want = "the code of a known currency such as \"XOF\" or \"UGX\""},
	{"opening", FIELD_NUMBER, AT(decl_float, opening), NEEDED, .max = FLOAT_MAX},
	{"warn", FIELD_NUMBER, AT(decl_float, warn), .max = FLOAT_MAX},
	END,
};

static const struct field window_fields[] = {
	{"count", FIELD_NUMBER, AT(decl_window, count), .min = 1, .max = AMOUNT_MAX},
	{"value", FIELD_NUMBER, AT(decl_window, value), .min = 1, .max = VALUE_MAX},
	END,
};

#define WINDOW(name, which)                                                                        \
	{                                                                                          \
		name, FIELD_TABLE, AT(decl_velocity, windows[which]),                              \
			.fields = window_fields, .want = "count = ..., value = ... or both"        \
	}

static const struct field velocity_fields[] = {
	WINDOW("ten_minutes", VELOCITY_TEN_MINUTES),
	WINDOW("day", VELOCITY_DAY),
	WINDOW("month", VELOCITY_MONTH),
	END,
};

static const struct field limits_fields[] = {
	{"partner", FIELD_TEXT, AT(decl_limits, partner), NEEDED, NAME_OF("a partner")},
	{"currency", FIELD_TEXT, AT(decl_limits, currency), NEEDED, .is_right = is_currency,
		.want = "the code of a known currency such as \"XOF\" or \"UGX\""},
	{"payer", FIELD_TABLE, AT(decl_limits, payer), .fields = velocity_fields},
	{"beneficiary", FIELD_TABLE, AT(decl_limits, beneficiary), .fields = velocity_fields},
	{"all", FIELD_TABLE, AT(decl_limits, all), .fields = velocity_fields},
	END,
};

static const struct field idempotent_fields[] = {
	{"keeps", FIELD_DURATION, AT(decl_idempotent, keeps), NEEDED, .min = 60 * 60 * 1000,
		.max = 7 * DAY},
	{"absent_after", FIELD_DURATION, AT(decl_idempotent, absent_after), .min = 60 * 1000,
		.max = DAY, .def = 10 * 60 * 1000},
	{"answers", FIELD_NUMBER, AT(decl_idempotent, answers), .min = 2, .max = 100, .def = 3},
	END,
};

static const struct field queries_fields[] = {
	{"per_minute", FIELD_NUMBER, AT(decl_queries, per_minute), NEEDED, .min = 1, .max = 6000},
	END,
};

static const struct field account_fields[] = {
	{"partner", FIELD_TEXT, AT(decl_account, partner), NEEDED, NAME_OF("a partner")},
	{"provider", FIELD_TEXT, AT(decl_account, provider), NEEDED, NAME_OF("a provider")},
	{"base_url", FIELD_TEXT, AT(decl_account, base_url), NEEDED},
	{"ipn_base", FIELD_TEXT, AT(decl_account, ipn_base), NEEDED},
	{"fields", FIELD_SECRETS, AT(decl_account, fields)},
	{"ipn_secret", FIELD_SECRETS_IN_TURN, AT(decl_account, ipn_secret), SEGMENT},
	{"signature_secret", FIELD_SECRETS_IN_TURN, AT(decl_account, signature_secret)},
	{"cap", FIELD_TABLE, AT(decl_account, cap), .fields = velocity_fields},
	{"sources", FIELD_TEXTS, AT(decl_account, sources), .is_right = is_source,
		.want = "an IP address or a network such as \"192.0.2.0/24\""},
	{"private", FIELD_TEXTS, AT(decl_account, private_nets), PRIVATE_NETS},
	{"currency", FIELD_TEXT, AT(decl_account, currency), NEEDED, .is_right = is_currency,
		.want = "the code of a known currency such as \"XOF\" or \"UGX\""},
	{"spacing", FIELD_DURATION, AT(decl_account, spacing), .max = DAY, .def = -1},
	{"idempotent", FIELD_TABLE, AT(decl_account, idempotent), .fields = idempotent_fields},
	{"queries", FIELD_TABLE, AT(decl_account, queries), .fields = queries_fields},
	{"polls", FIELD_DURATIONS, AT(decl_account, polls), .min = 1, .max = 7 * DAY},
	{"float", FIELD_TABLE, AT(decl_account, float_), .fields = account_float_fields},
	{"reconcile", FIELD_TEXT, AT(decl_account, reconcile), .is_right = config_is_time,
		.want = "a time of the day in UTC such as \"03:00\""},
	{"out_of_service", FIELD_BOOL, AT(decl_account, out_of_service)},
	END,
};

static const struct field amount_fields[] = {
	{"min", FIELD_NUMBER, AT(decl_amount, min), NEEDED, .min = 1, .max = AMOUNT_MAX},
	{"max", FIELD_NUMBER, AT(decl_amount, max), NEEDED, .min = 1, .max = AMOUNT_MAX},
	{"step", FIELD_NUMBER, AT(decl_amount, step), .min = 1, .max = AMOUNT_MAX, .def = 1},
	{"suggest", FIELD_NUMBERS, AT(decl_amount, suggest), .min = 1, .max = AMOUNT_MAX},
	END,
};

static const struct field fee_fields[] = {
	{"flat", FIELD_NUMBER, AT(decl_fee, flat), .max = AMOUNT_MAX},
	{"permille", FIELD_NUMBER, AT(decl_fee, permille), .max = 1000},
	{"step", FIELD_NUMBER, AT(decl_fee, step), .min = 1, .max = AMOUNT_MAX, .def = 1},
	END,
};

static const struct field leg_fields[] = {
	{"account", FIELD_TEXT, AT(decl_leg, account), NEEDED, NAME_OF("an account")},
	{"verb", FIELD_TEXT, AT(decl_leg, verb), NEEDED, NAME_OF("what the provider does")},
	{"services", FIELD_PAIRS, AT(decl_leg, services), NEEDED},
	END,
};

static const struct field refund_fields[] = {
	{"account", FIELD_TEXT, AT(decl_refund, leg.account), NEEDED, NAME_OF("an account")},
	{"verb", FIELD_TEXT, AT(decl_refund, leg.verb), NEEDED, NAME_OF("what the provider does")},
	{"services", FIELD_PAIRS, AT(decl_refund, leg.services), NEEDED},
	{"delay", FIELD_DURATION, AT(decl_refund, delay), .max = DAY, .def = LIMIT_REFUND_DELAY_MS},
	END,
};

static const struct field late_fields[] = {
	{"after", FIELD_DURATION, AT(decl_late, after), .min = LIMIT_READY_MS, .max = 7 * DAY,
		.def = LIMIT_LATE_MS},
	{"action", FIELD_TEXT, AT(decl_late, action), NEEDED, .is_right = is_late_action,
		.want = "\"refund\" or \"deliver\""},
	END,
};

static const struct field offer_fields[] = {
	{"partner", FIELD_TEXT, AT(decl_offer, partner), NEEDED, NAME_OF("a partner")},
	{"kind", FIELD_TEXT, AT(decl_offer, kind), NEEDED, NAME_OF("what menus ask for")},
	{"country", FIELD_TEXT, AT(decl_offer, country), NEEDED, .is_right = is_iso,
		.want = "a country such as \"CI\""},
	{"amount", FIELD_TABLE, AT(decl_offer, amount), NEEDED, .fields = amount_fields},
	{"fee", FIELD_TABLE, AT(decl_offer, fee), .fields = fee_fields},
	{"cost_permille", FIELD_NUMBER, AT(decl_offer, cost_permille), .max = 2000, .def = 1000},
	{"collect_fee", FIELD_NUMBER, AT(decl_offer, collect_fee), .max = 1000},
	{"collect", FIELD_TABLE, AT(decl_offer, collect), .fields = leg_fields},
	{"deliver", FIELD_TABLE, AT(decl_offer, deliver), .fields = leg_fields},
	{"refund", FIELD_TABLE, AT(decl_offer, refund), .fields = refund_fields},
	{"late", FIELD_TABLE, AT(decl_offer, late), .fields = late_fields},
	{"paid_by", FIELD_TEXT, AT(decl_offer, paid_by), .is_right = is_float,
		.want = "a funded account such as \"float:agents\""},
	{"out_of_service", FIELD_BOOL, AT(decl_offer, out_of_service)},
	END,
};

static const struct field service_fields[] = {
	{"partner", FIELD_TEXT, AT(decl_service, partner), NEEDED, NAME_OF("a partner")},
	{"dir", FIELD_TEXT, AT(decl_service, dir), NEEDED},
	END,
};

static const struct field channel_fields[] = {
	{"partner", FIELD_TEXT, AT(decl_channel, partner), NEEDED, NAME_OF("a partner")},
	{"kind", FIELD_TEXT, AT(decl_channel, kind), NEEDED, .is_right = is_channel_kind,
		.want = "\"ussd\" or \"sms\""},
	{"dialect", FIELD_TEXT, AT(decl_channel, dialect), NEEDED, NAME_OF("a dialect")},
	{"country", FIELD_TEXT, AT(decl_channel, country), NEEDED, .is_right = is_iso,
		.want = "a country such as \"CI\""},
	{"service", FIELD_TEXT, AT(decl_channel, service), NEEDED, NAME_OF("a service")},
	{"secret", FIELD_SECRETS_IN_TURN, AT(decl_channel, secret), .may_be_text = true, SEGMENT},
	{"sources", FIELD_TEXTS, AT(decl_channel, sources), .is_right = is_source,
		.want = "an IP address or a network such as \"192.0.2.0/24\""},
	{"private", FIELD_TEXTS, AT(decl_channel, private_nets), PRIVATE_NETS},
	{"open", FIELD_BOOL, AT(decl_channel, open)},
	{"codes", FIELD_TEXTS, AT(decl_channel, codes), NEEDED},
	{"keywords", FIELD_PAIRS, AT(decl_channel, keywords)},
	{"lang", FIELD_TEXT, AT(decl_channel, lang), .is_right = is_lang,
		.want = "a language such as \"fr\" or \"en\""},
	{"septets", FIELD_NUMBER, AT(decl_channel, septets), .min = 20, .max = 1530, .def = 160},
	{"timeout", FIELD_DURATION, AT(decl_channel, timeout), .min = SECOND, .max = DAY,
		.def = 3 * MINUTE},
	{"resume", FIELD_DURATION, AT(decl_channel, resume), .max = DAY, .def = 10 * MINUTE},
	{"hop", FIELD_DURATION, AT(decl_channel, hop), .min = 100, .max = MINUTE,
		.def = 5 * SECOND},
	{"in_flight", FIELD_NUMBER, AT(decl_channel, in_flight), .min = 1,
		.max = LIMIT_HTTP_CONNECTIONS, .def = 256},
	{"cap", FIELD_TABLE, AT(decl_channel, cap), .fields = velocity_fields},
	{"fields", FIELD_SECRETS, AT(decl_channel, fields)},
	{"out_of_service", FIELD_BOOL, AT(decl_channel, out_of_service)},
	END,
};

#define PLAIN_NAME is_name, "1 to 32 lower-case letters, digits, '-' and '_'"

const struct decl_type decl_types[DECL_KINDS] = {
	[DECL_GATEWAY] = {"gateway", sizeof(struct decl_gateway), gateway_fields, NULL, NULL},
	[DECL_COUNTRY] = {"country", sizeof(struct decl_country), country_fields, is_iso,
		"the two capital letters of ISO 3166"},
	[DECL_OPERATOR] = {"operator", sizeof(struct decl_operator), operator_fields, PLAIN_NAME},
	[DECL_PARTNER] = {"partner", sizeof(struct decl_partner), partner_fields, PLAIN_NAME},
	[DECL_FLOAT] = {"float", sizeof(struct decl_float), float_fields, PLAIN_NAME},
	[DECL_ACCOUNT] = {"account", sizeof(struct decl_account), account_fields, PLAIN_NAME},
	[DECL_LIMITS] = {"limits", sizeof(struct decl_limits), limits_fields, PLAIN_NAME},
	[DECL_OFFER] = {"offer", sizeof(struct decl_offer), offer_fields, PLAIN_NAME},
	[DECL_SERVICE] = {"service", sizeof(struct decl_service), service_fields, PLAIN_NAME},
	[DECL_CHANNEL] = {"channel", sizeof(struct decl_channel), channel_fields, PLAIN_NAME},
};
