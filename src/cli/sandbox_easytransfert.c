/*
 * EasyTransfert as its pages describe it (easytransfert.md). Replies are the documentation's own
 * examples with the request's values in them; where two pages show two shapes, both are sent in
 * turn, unless --shape says which.
 */
#include "sandbox_priv.h"

#include <inttypes.h>

#define AMOUNT_MIN 500
#define AMOUNT_MAX 500000
#define AMOUNT_STEP 100

struct service {
	int64_t id;
	const char *prefix; /* of the national number; "" any */
	size_t digits;
	bool is_collect; /* cash-out: the customer pays */
	bool needs_otp;
};

#define AIRTIME_FIRST 221 /* ids from here on are airtime, those below move money */

/*
 * The glossary's table (1.6), which ids need an OTP (1.7), and 221, 223 and 225, which stand for
 * airtime: real ids of airtime come from onboarding.
 */
static const struct service SERVICES[] = {
	{125, "07", 10, true, true},
	{126, "07", 10, false, false},
	{225, "07", 10, false, false},
	{123, "01", 10, true, false},
	{124, "01", 10, false, false},
	{223, "01", 10, false, false},
	{121, "05", 10, true, false},
	{122, "05", 10, false, false},
	{221, "05", 10, false, false},
	{119, "", 10, true, false},
	{120, "", 10, false, false},
	{133, "7", 9, true, true},
	{44, "7", 9, false, false},
	{131, "7", 9, true, false},
	{102, "7", 9, false, false},
	{135, "7", 9, true, false},
	{46, "7", 9, false, false},
	{137, "", 8, true, true},
	{58, "", 8, false, false},
	{139, "", 8, true, false},
	{60, "", 8, false, false},
	{141, "", 8, true, true},
	{66, "", 8, false, false},
	{83, "", 8, true, false},
	{68, "", 8, false, false},
	{143, "01", 10, true, false},
	{62, "01", 10, false, false},
	{87, "01", 10, true, false},
	{64, "01", 10, false, false},
	{89, "", 8, true, false},
	{50, "", 8, false, false},
	{91, "", 8, true, false},
	{52, "", 8, false, false},
	{93, "6", 9, true, false},
	{54, "6", 9, false, false},
	{95, "6", 9, true, false},
	{56, "6", 9, false, false},
};

static const struct service *service_find(struct str id)
{
	int64_t n;
	if (!str_to_i64(id, &n))
		return NULL;
	for (size_t i = 0; i < sizeof(SERVICES) / sizeof(SERVICES[0]); i++) {
		if (SERVICES[i].id == n)
			return &SERVICES[i];
	}
	return NULL;
}

static void say_error(struct sandbox_call *call, unsigned status, const char *text)
{
	buf_printf(call->out, "{\"error\":");
	sandbox_json_text(call->out, str_c(text));
	buf_add_char(call->out, '}');
	sandbox_reply(call, status, "application/json");
}

static bool is_key_right(struct sandbox_call *call)
{
	struct str key = sandbox_member(call, call->json, "api_key");
	return key.n > 0 && str_eq(key, str_c(call->sandbox->options.et_key));
}

/* ---- the rule of 15 minutes (1.12) -------------------------------------------------------------
 */

/* False when this number and amount were called less than the spacing ago; else notes this call. */
static bool spacing_allows(struct sandbox *sandbox, struct str number, int64_t amount)
{
	if (sandbox->options.spacing_ms == 0)
		return true;
	const char *bytes = (const char *)&amount;
	uint64_t key = sandbox_hash(sandbox_hash(0, number), (struct str){bytes, sizeof(amount)});
	struct spacing *spacing = &sandbox->spacings[key % SANDBOX_SPACINGS];
	int64_t now_ms = sandbox_now_ms();
	if (spacing->key == key && now_ms < spacing->until_ms)
		return false;
	*spacing = (struct spacing){key, now_ms + sandbox->options.spacing_ms};
	return true;
}

static void say_too_soon(struct sandbox_call *call)
{
	buf_printf(call->out, "{\"error\":\"Veuillez patienter %" PRId64 " secondes\"}",
		(call->sandbox->options.spacing_ms + 999) / 1000);
	sandbox_reply(call, 429, "application/json");
}

/* ---- POST .../airtime --------------------------------------------------------------------------
 */

static void airtime_read(struct sandbox_call *call)
{
	struct str amount = sandbox_member(call, call->json, "amount");
	call->ref = sandbox_member(call, call->json, "custom_data");
	call->number = sandbox_member(call, call->json, "destination");
	call->service = sandbox_member(call, call->json, "service_id");
	call->url = sandbox_member(call, call->json, "ipn_url");
	call->amount = -1;
	(void)str_to_i64(amount, &call->amount);
}

static bool is_number_of(const struct service *service, struct str number)
{
	int64_t digits;
	return number.n == service->digits && str_to_i64(number, &digits) &&
	       str_has_prefix(number, str_c(service->prefix));
}

/* Which field is missing or of the wrong type (1.2); NULL: none. */
static const char *missing_field(const struct sandbox_call *call, const struct service *service)
{
	if (!json_is_integer(json_object_get(call->json, "amount")))
		return "amount is required";
	if (call->number.n == 0 || !json_is_string(json_object_get(call->json, "destination")))
		return "destination is required";
	if (!json_is_integer(json_object_get(call->json, "service_id")) || service == NULL)
		return "service_id is required";
	if (call->url.n == 0)
		return "ipn_url is required";
	if (service->needs_otp && !json_is_string(json_object_get(call->json, "om_otp")))
		return "om_otp is required";
	return NULL;
}

/* True when the request is refused, and said. The order is that of the error page (1.3). */
static bool airtime_refuse(struct sandbox_call *call, const struct service *service)
{
	const char *missing;
	if (!is_key_right(call))
		say_error(call, 401, "Invalid API Key");
	else if ((missing = missing_field(call, service)) != NULL)
		say_error(call, 406, missing);
	else if (call->ref.n > SANDBOX_REF_MAX || call->url.n > SANDBOX_URL_MAX)
		say_error(call, 422, "custom_data or ipn_url is too long");
	else if (call->amount % AMOUNT_STEP != 0)
		say_error(call, 400, "Amount must be a multiple of 100");
	else if (call->amount < AMOUNT_MIN)
		say_error(call, 422, "Montant minimum : 500 FCFA");
	else if (call->amount > AMOUNT_MAX)
		say_error(call, 422, "amount is not applicable");
	else if (!is_number_of(service, call->number))
		say_error(call, 422, "destination field is not applicable");
	else if (!spacing_allows(call->sandbox, call->number, call->amount))
		say_too_soon(call);
	else
		return false;
	return true;
}

/* What a reply says of a sale when a fault wants it to lie. */
static struct sale lie(const struct sale *sale, const struct fault *fault)
{
	struct sale said = *sale;
	if (fault_is(fault, FAULT_WRONG_AMOUNT))
		said.amount += AMOUNT_STEP;
	if (fault_is(fault, FAULT_WRONG_NUMBER))
		(void)sandbox_copy(said.number, sizeof(said.number), STR("0799999999"));
	if (fault_is(fault, FAULT_WRONG_REF))
		(void)sandbox_copy(said.ref, sizeof(said.ref), STR("order_789"));
	return said;
}

static const char *service_of(const struct sandbox *sandbox, const struct sale *sale)
{
	return sandbox->ledger.services[sale->service];
}

/* Whether to send the second of two shapes. */
static bool is_second_shape(const struct sandbox *sandbox, const struct sale *sale)
{
	const char *shape = sandbox->options.shape;
	return strcmp(shape, "wrapped") == 0 || (strcmp(shape, "both") == 0 && sale->seq % 2 == 0);
}

/* The schema's reply (1.2, shape B): `comission` with one m, `fee` a string. */
static void write_flat(struct sandbox_call *call, const struct sale *sale)
{
	struct buf *out = call->out;
	buf_printf(out, "{\"transaction_id\":\"");
	ledger_id(sale, out);
	buf_printf(out,
		"\",\"amount\":%" PRId64 ",\"benefice\":%" PRId64
		",\"comission\":0,\"destination\":\"%s\",\"fee\":\"0\",\"response\":null,"
		"\"service_id\":%s,\"customer_name\":\"easytransfert\",\"state\":\"PENDING1\","
		"\"custom_data\":",
		sale->amount, sale->amount, sale->number, service_of(call->sandbox, sale));
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"ipn_url\":");
	sandbox_json_text(out, call->url);
	buf_printf(out, ",\"transaction_channel\":\"\",\"provider_id\":\"\",\"sms_link\":"
			"\"https://api.easytransfert.app/sms/xxxx\",\"p_id\":1234,"
			"\"p_last_wallet_amount\":139403535,\"p_new_wallet_amount\":139403535,"
			"\"created_at\":");
	sandbox_json_time(out, sale->made_ms);
	buf_printf(out, ",\"updated_at\":");
	sandbox_json_time(out, sale->made_ms);
	buf_printf(out,
		",\"message\":\"Merci de composer #120# sur le %s pour valider la tranaction. "
		"La demande expire dans 10 min\",\"statut_code\":200}",
		sale->number);
}

/* The status page's reply (1.4): `commission` with two m, `fee` a number. */
static void write_wrapped(struct sandbox_call *call, const struct sale *sale, const char *state)
{
	struct buf *out = call->out;
	bool is_failed = strcmp(state, "FAILED") == 0;
	buf_printf(out, "{\"data\":{\"transaction_id\":\"");
	ledger_id(sale, out);
	buf_printf(out,
		"\",\"amount\":%" PRId64 ",\"benefice\":%" PRId64
		",\"commission\":0,\"destination\":\"%s\",\"fee\":0,\"error\":\"%s\","
		"\"service_id\":%s,\"customer_name\":\"easytransfert\",\"state\":\"%s\","
		"\"custom_data\":",
		sale->amount, sale->amount, sale->number, is_failed ? "Solde insuffisant" : "",
		service_of(call->sandbox, sale), state);
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"ipn_url\":\"\",\"provider_id\":null,\"created_at\":");
	sandbox_json_time(out, sale->made_ms);
	buf_printf(out, ",\"updated_at\":");
	sandbox_json_time(out, sale->made_ms);
	buf_printf(out, ",\"p_last_wallet_amount\":null,\"p_new_wallet_amount\":null,\"p_id\":1,"
			"\"hash\":null},\"message\":\"\",\"statut_code\":200}");
}

static void airtime_act(struct sandbox_call *call)
{
	const struct service *service = service_find(call->service);
	if (airtime_refuse(call, service))
		return;
	bool fails = service->needs_otp &&
		     str_eq(sandbox_member(call, call->json, "om_otp"), STR("0000"));
	if (!sandbox_can_pay(call, service->is_collect, service->id >= AIRTIME_FIRST)) {
		sandbox_say_failed(call, "Solde insuffisant");
		return;
	}
	sandbox_execute(call, service->is_collect, fails);
	struct sale said = lie(call->sale, call->fault);
	bool is_second = is_second_shape(call->sandbox, call->sale);
	if (is_second)
		write_wrapped(call, &said, "PENDING1");
	else
		write_flat(call, &said);
	sandbox_reply(call, is_second ? 200 : 202, "application/json");
}

/* ---- POST .../status ---------------------------------------------------------------------------
 */

static const struct sale *status_sale(struct sandbox_call *call)
{
	struct str id = sandbox_member(call, call->json, "transaction_id");
	if (id.p == NULL)
		id = sandbox_member(call, call->json, "transaction_ids");
	const struct sale *sale =
		ledger_sale(&call->sandbox->ledger, ledger_seq_of_id(SANDBOX_EASYTRANSFERT, id));
	return sale != NULL && sale->provider == SANDBOX_EASYTRANSFERT ? sale : NULL;
}

static void status_read(struct sandbox_call *call)
{
	const struct sale *sale = status_sale(call);
	if (sale == NULL)
		return;
	call->ref = str_c(sale->ref);
	call->number = str_c(sale->number);
	call->amount = sale->amount;
}

/* An unknown id is undefined (1.4): 404. */
static void status_act(struct sandbox_call *call)
{
	const struct sale *sale = status_sale(call);
	if (!is_key_right(call)) {
		say_error(call, 401, "Invalid API Key");
	} else if (sale == NULL) {
		say_error(call, 404, "Transaction introuvable");
	} else if (!spacing_allows(call->sandbox, call->number, call->amount)) {
		say_too_soon(call);
	} else {
		struct sale said = lie(sale, call->fault);
		write_wrapped(call, &said, ledger_state_word(sale));
		sandbox_reply(call, 200, "application/json");
	}
}

/* ---- the balance (1.5): its reply is undefined --------------------------------------------------
 */

static void balance_act(struct sandbox_call *call)
{
	const struct http_request *request = &call->turn->request;
	struct str key = http_field_get(request->fields, request->fields_len, STR("x-api-key"));
	if (!str_eq(key, str_c(call->sandbox->options.et_key))) {
		say_error(call, 401, "Invalid API Key");
		return;
	}
	int64_t untrue = fault_is(call->fault, FAULT_WRONG_AMOUNT) ? AMOUNT_STEP : 0;
	buf_printf(call->out,
		"{\"data\":{\"balance\":%" PRId64 "},\"message\":\"\",\"statut_code\":200}",
		call->sandbox->ledger.wallets[SANDBOX_EASYTRANSFERT].balance + untrue);
	sandbox_reply(call, 200, "application/json");
}

/* ---- the IPN (1.9) -----------------------------------------------------------------------------
 */

void easytransfert_write_ipn(
	const struct sandbox *sandbox, const struct parcel *parcel, struct buf *out)
{
	const struct sale *sale = ledger_sale(&sandbox->ledger, parcel->sale);
	bool is_failed = sale->state == SALE_FAILED;
	bool is_second = is_second_shape(sandbox, sale);
	int64_t amount = sale->amount + (parcel->lies_amount ? AMOUNT_STEP : 0);
	buf_printf(out, "{\"transaction_id\":\"");
	ledger_id(sale, out);
	buf_printf(out,
		"\",\"amount\":%" PRId64 ",\"benefice\":%" PRId64
		",\"commission\":0,\"destination\":\"%s\",\"fee\":0,\"%s\":\"%s\",\"error\":\"%s\","
		"\"service_id\":%s,\"customer_name\":\"easytransfert\",\"state\":\"%s\","
		"\"custom_data\":",
		amount, amount, parcel->lies_number ? "0799999999" : sale->number,
		is_second ? "response" : "reponse",
		is_failed   ? ""
		: is_second ? "operation success"
			    : "operation succes",
		is_failed ? "Solde insuffisant" : "", service_of(sandbox, sale),
		is_failed ? "FAILED" : "SUCCESSFUL");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"ipn_url\":\"\",\"provider_id\":null,\"sms_link\":0,\"created_at\":");
	sandbox_json_time(out, sale->made_ms);
	buf_printf(out, ",\"updated_at\":");
	sandbox_json_time(out, sandbox_clock_ms());
	if (is_second)
		buf_printf(out, ",\"w_amount_after_transaction\":\"139403535\","
				"\"p_last_wallet_amount\":139403535,"
				"\"p_new_wallet_amount\":null,\"p_id\":1234,\"hash\":\"\"");
	buf_printf(out, ",\"ipn_state\":0}");
}

const struct sandbox_route EASYTRANSFERT_ROUTES[] = {
	{"POST", "/api_v1/transaction/airtime", SANDBOX_EASYTRANSFERT, OP_SUBMIT, airtime_read,
		airtime_act},
	{"POST", "/api_v1/transaction/status", SANDBOX_EASYTRANSFERT, OP_STATUS, status_read,
		status_act},
	{"POST", "/api_v1/admin/partner/wallet/single", SANDBOX_EASYTRANSFERT, OP_BALANCE, NULL,
		balance_act},
	{0},
};
