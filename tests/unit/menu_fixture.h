/*
 * A small configuration by hand for tests of menus: Côte d'Ivoire with three operators that pay in
 * three ways, one USSD and one SMS channel, two partners. Services are given as texts.
 */
#ifndef TAMA_MENU_FIXTURE_H
#define TAMA_MENU_FIXTURE_H

#include "tama/config.h"

static const struct str fixture_mobile[] = {STR_INIT("01"), STR_INIT("05"), STR_INIT("07")};
static const struct str fixture_p07[] = {STR_INIT("07")};
static const struct str fixture_p05[] = {STR_INIT("05")};
static const struct str fixture_p01[] = {STR_INIT("01")};
static const struct str fixture_n03[] = {STR_INIT("61203")};
static const struct str fixture_n05[] = {STR_INIT("61205")};
static const struct str fixture_n02[] = {STR_INIT("61202")};
static const struct str fixture_a_orange[] = {STR_INIT("orange"), STR_INIT("om")};
static const struct str fixture_a_moov[] = {STR_INIT("moov"), STR_INIT("flooz")};
static const int64_t fixture_suggest[] = {500, 1000, 2000, 5000};
static const struct str fixture_codes[] = {STR_INIT("*384*22#")};
static const struct str fixture_short[] = {STR_INIT("36789")};

enum { ORANGE, MTN, MOOV, FIXTURE_OPERATORS };
enum { CI_AIRTIME, CI_PAYMENT, CI_AGENT, CI_OTHER_PARTNER, FIXTURE_OFFERS };
enum { AT_CI, SMS_CI, FIXTURE_CHANNELS };

struct fixture_config {
	struct config config;
	struct country country;
	struct operator_cfg operators[FIXTURE_OPERATORS];
	struct partner partners[2];
	struct account accounts[2];
	struct leg_service legs[FIXTURE_OPERATORS];
	struct offer offers[FIXTURE_OFFERS];
	struct service service;
	struct service_file files[4];
	struct channel channels[FIXTURE_CHANNELS];
};

static void fixture_operators(struct fixture_config *f)
{
	f->country = (struct country){
		.name = STR("CI"),
		.plan = {.iso = STR("CI"),
			.cc = STR("225"),
			.nsn_len = 10,
			.mobile = fixture_mobile,
			.mobile_len = 3,
			.groups = STR("22222")},
		.currency = currency_find(STR("XOF")),
		.lang = STR("fr"),
	};
	f->operators[ORANGE] = (struct operator_cfg){.name = STR("orange-ci"),
		.title = STR("Orange"),
		.prefixes = fixture_p07,
		.networks = fixture_n03,
		.aliases = fixture_a_orange,
		.aliases_len = 2,
		.confirm = WALLET_OTP,
		.dial = STR("#144*82#")};
	f->operators[MTN] = (struct operator_cfg){.name = STR("mtn-ci"),
		.title = STR("MTN"),
		.prefixes = fixture_p05,
		.networks = fixture_n05,
		.confirm = WALLET_PUSH};
	f->operators[MOOV] = (struct operator_cfg){.name = STR("moov-ci"),
		.title = STR("Moov Africa"),
		.prefixes = fixture_p01,
		.networks = fixture_n02,
		.aliases = fixture_a_moov,
		.aliases_len = 2,
		.confirm = WALLET_DIAL,
		.dial = STR("*155*15#")};
	for (size_t i = 0; i < FIXTURE_OPERATORS; i++) {
		f->operators[i].country = &f->country;
		f->operators[i].prefixes_len = 1;
		f->operators[i].networks_len = 1;
		f->legs[i] = (struct leg_service){&f->operators[i], STR("125")};
	}
}

static struct offer_leg fixture_leg(const struct fixture_config *f, size_t account)
{
	return (struct offer_leg){.account = &f->accounts[account],
		.services = f->legs,
		.services_len = FIXTURE_OPERATORS};
}

static void fixture_offers(struct fixture_config *f)
{
	const struct offer model = {
		.kind = STR("airtime"),
		.partner = &f->partners[0],
		.country = &f->country,
		.amount = {.min = 100,
			.max = 50000,
			.step = 5,
			.suggest = fixture_suggest,
			.suggest_len = 4},
		.fee_flat = 100,
		.fee_step = 5,
	};
	for (size_t i = 0; i < FIXTURE_OFFERS; i++)
		f->offers[i] = model;
	f->offers[CI_AIRTIME].name = STR("ci-airtime");
	f->offers[CI_AIRTIME].collect = fixture_leg(f, 0);
	f->offers[CI_AIRTIME].deliver = fixture_leg(f, 0);
	f->offers[CI_PAYMENT].name = STR("ci-payment");
	f->offers[CI_PAYMENT].kind = STR("payment");
	f->offers[CI_PAYMENT].collect = fixture_leg(f, 0);
	f->offers[CI_AGENT].name = STR("ci-agent");
	f->offers[CI_AGENT].kind = STR("agent");
	f->offers[CI_AGENT].fee_flat = 0;
	f->offers[CI_AGENT].deliver = fixture_leg(f, 0);
	f->offers[CI_OTHER_PARTNER].name = STR("other-airtime");
	f->offers[CI_OTHER_PARTNER].partner = &f->partners[1];
	f->offers[CI_OTHER_PARTNER].deliver = fixture_leg(f, 1);
}

static void fixture_channels(struct fixture_config *f)
{
	const struct channel model = {
		.partner = &f->partners[0],
		.country = &f->country,
		.service = &f->service,
		.lang = STR("fr"),
		.septets = 160,
		.resume_ms = 600000,
		.codes_len = 1,
	};
	f->channels[AT_CI] = f->channels[SMS_CI] = model;
	f->channels[AT_CI].name = STR("at-ci");
	f->channels[AT_CI].codes = fixture_codes;
	f->channels[SMS_CI].name = STR("sms-ci");
	f->channels[SMS_CI].kind = CHANNEL_SMS;
	f->channels[SMS_CI].codes = fixture_short;
}

/* Fills in everything but the service's files (f->files, f->service.files_len). */
static void fixture_init(struct fixture_config *f, const char *service)
{
	*f = (struct fixture_config){
		.partners = {{.name = STR("demo"), .id = 1}, {.name = STR("other"), .id = 2}}};
	for (size_t i = 0; i < 2; i++)
		f->accounts[i].partner = &f->partners[i];
	fixture_operators(f);
	fixture_offers(f);
	f->service = (struct service){.name = str_c(service),
		.dir = str_c(service),
		.partner = &f->partners[0],
		.files = f->files};
	fixture_channels(f);
	f->config = (struct config){
		.partners = f->partners,
		.partners_len = 2,
		.countries = &f->country,
		.countries_len = 1,
		.operators = f->operators,
		.operators_len = FIXTURE_OPERATORS,
		.accounts = f->accounts,
		.accounts_len = 2,
		.offers = f->offers,
		.offers_len = FIXTURE_OFFERS,
		.services = &f->service,
		.services_len = 1,
		.channels = f->channels,
		.channels_len = FIXTURE_CHANNELS,
	};
}

#endif
