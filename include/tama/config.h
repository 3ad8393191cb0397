/*
 * The configuration: a Lua file of declarations (config/demo.lua shows all of them), checked whole
 * before any of it is used, then immutable. Each error names file:line and what would be right. A
 * configuration is counted by references, so a reload swaps it under running turns: whoever works
 * with one holds a reference until the work's answer has left.
 *
 * All pointers inside a configuration borrow from it. A path in a file is relative to that file.
 * Secrets lie in memory that is locked, read-only and left out of core dumps.
 */
#ifndef TAMA_CONFIG_H
#define TAMA_CONFIG_H

#include "tama/address.h"
#include "tama/err.h"
#include "tama/money.h"
#include "tama/msisdn.h"
#include "tama/str.h"

struct provider_profile;

/* Which amounts can be bought, in minor units. */
struct amount_rule {
	int64_t min, max, step;
	const int64_t *suggest; /* shown as options, rising */
	size_t suggest_len;
};

enum wallet_confirm {
	WALLET_NONE, /* this operator's wallet cannot pay here */
	WALLET_OTP, /* the person dials a code first and types what it answers (om_otp) */
	WALLET_PUSH, /* a push arrives on the phone and asks for the secret code */
	WALLET_DIAL, /* after a debit SMS the person dials a code to confirm */
};

struct country {
	struct str name; /* "CI" */
	struct numbering_plan plan;
	const struct currency *currency;
	struct str lang; /* "fr" */
};

struct operator_cfg {
	struct str name; /* "orange-ci" */
	struct str title; /* "Orange" */
	const struct country *country;
	const struct str
		*prefixes; /* of the national significant number; the longest match guesses */
	size_t prefixes_len;
	const struct str
		*networks; /* MCC+MNC of a session's network: beats the prefix for "myself" */
	size_t networks_len;
	const struct str *aliases; /* folded words people type */
	size_t aliases_len;
	enum wallet_confirm confirm;
	struct str
		dial; /* code to dial for WALLET_OTP, WALLET_PUSH (may be empty) or WALLET_DIAL */
	unsigned push_delay_ms; /* a push fails against an open USSD session */
	bool out_of_service;
};

struct partner {
	struct str name;
	uint32_t
		id; /* stable: the partner column of every row; from the configuration, 1 or more */
	struct str title;
};

/* How often and how much within one window; 0: no limit. */
struct velocity_rule {
	uint32_t count;
	int64_t value; /* minor units */
};

enum velocity_window {
	VELOCITY_TEN_MINUTES,
	VELOCITY_DAY,
	VELOCITY_MONTH, /* thirty days */
	VELOCITY_WINDOWS,
};

struct velocity {
	struct velocity_rule windows[VELOCITY_WINDOWS];
};

/* What may be bought within a while (reliability.md 5.5): one for a partner and a currency. */
struct limits {
	struct str name; /* "acme-xof" */
	const struct partner *partner;
	const struct currency *currency;
	struct velocity payer; /* of each number that pays */
	struct velocity beneficiary; /* of each number that is paid for */
	struct velocity all; /* of the partner's purchases together */
};

/* What one person may begin of refunds by hand, or agree to, within a day. */
struct staff_amount {
	const struct currency *currency;
	int64_t amount;
};

struct staff_limits {
	uint32_t refunds_a_day; /* 0: no limit */
	const struct staff_amount *amounts; /* a currency that is not there has no limit */
	size_t amounts_len;
};

struct account_field {
	struct str name; /* "api_key", "app_key", "app_password", "user_id" */
	struct str value; /* from a file; in locked memory; never logged */
};

/* An account of a partner at a provider. */
struct account {
	struct str name; /* "et-ci": also in /ipn/<account>/... */
	const struct partner *partner;
	const struct provider_profile *profile;
	struct str base_url; /* without a trailing '/' */
	struct str
		ipn_base; /* our public address as the provider sees it: "https://tama.example" */
	const struct account_field *fields;
	size_t fields_len;
	/* Path segment; empty only where the profile has ref_in_path. While secrets are changed,
	 * the one before is accepted too: here and wherever an `_old` stands; empty: none is. */
	struct str ipn_secret, ipn_secret_old;
	/* HMAC of the IPN's body; empty: not checked. */
	struct str signature_secret, signature_secret_old;
	const struct str *sources; /* addresses IPNs may come from; none: any */
	size_t sources_len;
	struct address_nets private_nets; /* of private space, where it may be called */
	const struct currency *currency;
	uint32_t spacing_ms; /* between two calls for one (number, amount); 0: none */
	const uint32_t *
		polls_ms; /* status queries so long after the send; the last repeats daily to 7 d */
	size_t polls_len;
	uint32_t float_every_ms; /* its balance is asked for so often; 0: never */
	int64_t float_warn; /* an alarm below this */
	int64_t float_stop; /* nothing is sold that would leave less */
	bool float_must_be_known; /* nothing is sold before its balance was first heard */
	int32_t reconcile_at_s; /* yesterday is reconciled at this second of the UTC day; -1: never
				 */
	struct velocity cap; /* of the requests that go out through it */
	unsigned queries_per_minute; /* of all its attempts, balances and lists together */
	/* Class I, once its live account has proven it (reliability 2.5). 0: class N. */
	uint32_t keeps_ids_ms; /* how long the provider knows a request by our id */
	uint32_t absent_after_ms; /* "no such request" must have been the answer for so long */
	unsigned absent_answers; /* and so often */
	bool out_of_service;
};

/* Agents' money with us, which pays where there is no collect leg. */
struct float_cfg {
	struct str name; /* "agents" */
	struct str paid_by; /* "float:agents": as offers and books say it */
	const struct partner *partner;
	const struct currency *currency;
	int64_t opening; /* what they have paid in: raised when they pay in more */
	int64_t warn;
};

struct leg_service {
	const struct operator_cfg *op;
	struct str service; /* "125", or "MTNAIRTIMEUG/MTNAIRTIMEUG_MTNAIRTIMEUG" */
};

/* One leg of an offer. */
struct offer_leg {
	const struct account *account; /* NULL: the offer has no such leg */
	struct str verb; /* what the dialect's submit is told: "cashout", "airtime", ... */
	const struct leg_service *services; /* by the payer's operator (collect, refund) or the
					       beneficiary's (deliver) */
	size_t services_len;
};

struct offer {
	struct str name; /* "ci-airtime" */
	struct str kind; /* what menus ask for: "airtime", "payment" */
	const struct partner *partner;
	const struct country *country;
	struct amount_rule amount; /* of the face value */
	int64_t fee_flat;
	unsigned fee_permille; /* of the face value, rounded up to the step of `fee_step` */
	int64_t fee_step;
	unsigned cost_permille; /* of the face value: what a delivery takes from our float */
	unsigned collect_fee_permille; /* of the price: what the provider keeps of a collection */
	struct offer_leg collect;
	struct offer_leg deliver;
	struct offer_leg refund; /* gives the price back to the payer; NULL account: persons do */
	int64_t refund_delay_ms; /* after a delivery is proven to have failed */
	int64_t late_ms; /* a collection that proves done so long after the purchase is late: ... */
	bool late_delivers; /* ... the goods go out all the same; else the money goes back */
	struct str paid_by; /* who pays where there is no collect leg: "float:NAME" */
	bool out_of_service;
};

/* A folder with menu.lua and texts.<lang>.lua, read whole at load. */
struct service_file {
	struct str name; /* "menu.lua", "texts.fr.lua" */
	struct str text;
};

struct service {
	struct str name; /* "airtime" */
	struct str dir; /* for messages: "menus/airtime" */
	const struct partner *partner;
	const struct service_file *files;
	size_t files_len;
	/*
	 * Of the files, the catalogue and MENU_API_VERSION together. Switches (out_of_service) are
	 * not in it: they act on sessions under way too.
	 */
	uint8_t hash[16];
};

enum channel_kind {
	CHANNEL_USSD,
	CHANNEL_SMS,
};

/* SMS: the first word of a message chooses the service. */
struct channel_keyword {
	struct str word; /* folded: "credit" */
	const struct service *service;
};

struct channel {
	struct str name; /* in the path: /ussd/<name>/... */
	uint32_t id; /* index in config->channels */
	enum channel_kind kind;
	struct str dialect; /* "africastalking", "infobip", "kannel" */
	const struct partner *partner;
	const struct country *country;
	const struct service *service;
	/* Path segment after the name; empty only if `open = true` was said. */
	struct str secret, secret_old;
	const struct str *sources; /* addresses callbacks may come from; none: any */
	size_t sources_len;
	struct address_nets private_nets; /* of private space, where its gateway may be called */
	const struct str *codes; /* USSD: "*384*22#"; SMS: short codes "36789" */
	size_t codes_len;
	const struct channel_keyword *keywords; /* none: every message goes to `service` */
	size_t keywords_len;
	struct str lang;
	unsigned septets; /* limit of a screen: 160 unless said otherwise */
	unsigned timeout_ms; /* a session without a hop for so long has ended: 180000 */
	unsigned resume_ms; /* after that it can be resumed for so long: 600000 */
	unsigned hop_ms; /* our answer's deadline: 5000 */
	unsigned in_flight; /* hops of this channel at once */
	struct velocity cap; /* of what is bought through it */
	const struct account_field *fields; /* SMS gateway: url, username, password, sender */
	size_t fields_len;
	bool out_of_service;
};

struct config {
	struct str file;
	struct str data_dir;
	struct str mark; /* path of the store's mark (mark.h): beside data_dir unless said */
	struct str socket; /* for the operator's commands; empty: DATA/tama.sock */
	int64_t verify_ms; /* between two looks of the gateway at its own store */
	struct str standby; /* a directory on another disk; empty: no copy is kept */
	struct str listen_address;
	uint16_t listen_port;
	struct str admin_address;
	uint16_t admin_port;
	unsigned workers; /* 0: one a processor */
	unsigned connections;
	uint64_t disk_reserve; /* bytes: with less free beside the data nothing is sold */
	bool allow_loopback; /* whoever is called may be on this machine: demo and tests only */
	bool allow_http; /* providers without TLS: demo and tests only */
	bool is_demo_abroad; /* one of the two, although somebody who is called is elsewhere */
	/* Proxies in front of us: of X-Forwarded-For, the last address that is none of them is the
	 * peer. */
	const struct str *proxies;
	size_t proxies_len;
	struct str master_key; /* 32 bytes from a file: everything at rest derives from it */
	struct staff_limits staff;
	const struct partner *partners;
	size_t partners_len;
	const struct country *countries;
	size_t countries_len;
	const struct operator_cfg *operators;
	size_t operators_len;
	const struct account *accounts;
	size_t accounts_len;
	const struct float_cfg *floats;
	size_t floats_len;
	const struct limits *limits;
	size_t limits_len;
	const struct offer *offers;
	size_t offers_len;
	const struct service *services;
	size_t services_len;
	const struct channel *channels;
	size_t channels_len;
};

/* `tama serve -c FILE --set NAME=VALUE`: what setting("NAME", default) in the file answers. */
struct config_setting {
	struct str name;
	struct str value;
};

typedef void (*config_problem_fn)(void *ctx, const char *line);

/* What a load is given besides the file; all of it may be absent. */
struct config_options {
	const struct config_setting *settings; /* borrowed for the call; each must be asked for */
	size_t settings_len;
	config_problem_fn problem; /* called once a problem, in order of file and line */
	void *ctx;
};

/*
 * Reads, checks and resolves the file, its includes, secrets and service folders. options may be
 * NULL. 0, with one reference held; TAMA_EINVAL with every problem found, one "file:line: message"
 * a line, given to options->problem and the first of them in err. Values of secrets are in no
 * message. Blocks on the disk; call it from no thread that answers phones.
 */
int config_load(const char *file, const struct config_options *options, const struct config **out,
	struct err *err);

/* Another reference; the last config_unref wipes the secrets and frees all. *config is NULL then.
 */
const struct config *config_ref(const struct config *config);
void config_unref(const struct config **config);

const struct channel *config_channel(const struct config *config, struct str name);
const struct account *config_account(const struct config *config, struct str name);
/* By what offers call it: "float:agents". */
const struct float_cfg *config_float(const struct config *config, struct str paid_by);
const struct offer *config_offer(const struct config *config, struct str name);
const struct operator_cfg *config_operator(const struct config *config, struct str name);
const struct country *config_country(const struct config *config, struct str iso);
const struct partner *config_partner(const struct config *config, uint32_t id);
/* The partner's limits in a currency, or NULL. */
const struct limits *config_limits(
	const struct config *config, uint32_t partner, struct str currency);
struct str account_field(const struct account *account, const char *name);
struct str channel_field(const struct channel *channel, const char *name);

/* The service that a folded first word of an SMS names on this channel, or NULL. */
const struct service *channel_keyword(const struct channel *channel, struct str word);

/* The operator whose prefix is the longest match for the number, or NULL. */
const struct operator_cfg *config_operator_guess(
	const struct config *config, const struct country *country, const struct msisdn *number);
/* The operator of a network code (MCC+MNC), or NULL. */
const struct operator_cfg *config_operator_by_network(
	const struct config *config, struct str network);

/* The SMS channel by which a partner's receipts leave in a country, in service; NULL for none. */
const struct channel *config_sms_route(
	const struct config *config, uint32_t partner, const struct country *country);

/* The service or product id of a leg for an operator; {NULL, 0} when it is not sold. */
struct str offer_leg_service(const struct offer_leg *leg, const struct operator_cfg *op);

/* What a delivery takes from the float, and what is kept of a collection: whole minor units, down.
 */
int64_t offer_cost(const struct offer *offer, int64_t face_value);
int64_t offer_collect_fee(const struct offer *offer, int64_t price);

/* What a purchase needs of the deliver leg's account, or of the agents' float. */
struct float_need {
	struct str name;
	int64_t amount;
};
#define FLOAT_NEEDS_MAX 2
size_t float_needs(const struct offer *offer, int64_t face_value, int64_t price,
	struct float_need out[static FLOAT_NEEDS_MAX]);

/* Fee of a face value: flat plus share, rounded up to fee_step. */
int64_t offer_fee(const struct offer *offer, int64_t face_value);

/* 0, or TAMA_EINVAL when the face value breaks the rule (range, step). */
int amount_rule_check(const struct amount_rule *rule, int64_t face_value);

#endif
