/*
 * Xente, generation C, as its pages describe it (xente.md 2). Replies are the samples of the pages
 * with the request's values in them. GET shows a `status`, which the pages' samples lack and every
 * public client expects.
 */
#include "sandbox_priv.h"

#include "tama/gsm7.h"

#include <inttypes.h>
#include <sodium.h>

#define ACCOUNT 6
#define LIST_SCAN 10000 /* newest transactions that a list looks at */

/* Error bodies are undefined (2.7); the envelope's keys are not. */
static void say_error(struct sandbox_call *call, unsigned status, const char *text)
{
	buf_printf(call->out, "{\"code\":1,\"message\":");
	sandbox_json_text(call->out, str_c(text));
	buf_add_char(call->out, '}');
	sandbox_reply(call, status, "application/json");
}

/* ---- tokens (2.1) ------------------------------------------------------------------------------
 */

static bool is_login_right(struct sandbox_call *call)
{
	const struct sandbox_options *options = &call->sandbox->options;
	return str_eq(sandbox_member(call, call->json, "appKey"), str_c(options->xente_app_key)) &&
	       str_eq(sandbox_member(call, call->json, "appPassword"),
		       str_c(options->xente_password)) &&
	       str_eq(sandbox_member(call, call->json, "userId"), str_c(options->xente_user));
}

static void login_act(struct sandbox_call *call)
{
	struct sandbox *sandbox = call->sandbox;
	if (!is_login_right(call)) {
		buf_printf(call->out, "{\"success\":false,\"message\":\"Unauthorized\"}");
		sandbox_reply(call, 401, "application/json");
		return;
	}
	uint64_t n = sandbox->tokens_len++;
	char *text = sandbox->tokens[n % SANDBOX_TOKENS].text;
	unsigned char chance[16];
	randombytes_buf(chance, sizeof(chance));
	(void)sodium_bin2hex(text, sizeof(sandbox->tokens[0].text), chance, sizeof(chance));
	sandbox->tokens[n % SANDBOX_TOKENS].until_ms =
		sandbox_now_ms() + sandbox->options.token_s * 1000;
	buf_printf(call->out,
		"{\"Token\":\"%s\",\"refreshToken\":\"%" PRIu64
		"-refresh\",\"success\":true,\"message\":\"Login successful\"}",
		text, n);
	sandbox_reply(call, 200, "application/json");
}

static bool is_token_valid(const struct sandbox *sandbox, struct str token)
{
	int64_t now_ms = sandbox_now_ms();
	for (size_t i = 0; i < SANDBOX_TOKENS; i++) {
		if (sandbox->tokens[i].until_ms > now_ms &&
			str_eq(str_c(sandbox->tokens[i].text), token))
			return true;
	}
	return false;
}

/* "Bearer" on one page, "Token" in every sample: both are taken. Says 401 itself. */
static bool is_authorised(struct sandbox_call *call)
{
	const struct http_request *request = &call->turn->request;
	struct str rest =
		http_field_get(request->fields, request->fields_len, STR("Authorization"));
	struct str scheme = str_cut(&rest, ' ');
	if ((str_eq(scheme, STR("Bearer")) || str_eq(scheme, STR("Token"))) &&
		is_token_valid(call->sandbox, rest))
		return true;
	say_error(call, 401, "Unauthorized");
	return false;
}

/* ---- POST .../payouts/..., .../collections/... (2.2, 2.3) ---------------------------------------
 */

static bool is_collection(const struct sandbox_call *call)
{
	return str_has_prefix(call->turn->request.path, STR("/api/transactions/collections/"));
}

static bool is_airtime(const struct sandbox_call *call)
{
	return str_eq(call->turn->request.path, STR("/api/transactions/payouts/airtime"));
}

/* "1000" and "1000.0" are both 1000; anything with a fraction is none of ours. */
static int64_t amount_read(const json_t *value)
{
	if (json_is_integer(value))
		return json_integer_value(value);
	double real = json_is_real(value) ? json_real_value(value) : -1;
	return real >= 0 && real <= 1e15 && (double)(int64_t)real == real ? (int64_t)real : -1;
}

/* "PRODUCTID/ITEMID", or the item alone where that is all a request names. */
static struct str service_read(struct sandbox_call *call)
{
	const json_t *product = json_object_get(call->json, "product");
	const json_t *provider = json_object_get(call->json, "provider");
	if (provider != NULL)
		return sandbox_member(call, provider, "providerItemId");
	struct str id = sandbox_member(call, product, "id");
	struct str item = sandbox_member(call, product, "productItemId");
	if (id.n == 0)
		return item;
	return arena_printf(&call->turn->arena, "%.*s/%.*s", STR_ARG(id), STR_ARG(item));
}

static void submit_read(struct sandbox_call *call)
{
	const json_t *beneficiary = json_object_get(call->json, "beneficiary");
	call->ref = sandbox_member(call, call->json, "requestId");
	call->amount = amount_read(json_object_get(call->json, "amount"));
	call->service = service_read(call);
	call->number = sandbox_member(call, json_object_get(beneficiary, "data"), "phoneNumber");
	if (call->number.n == 0)
		call->number = sandbox_member(call, beneficiary, "phoneNumber");
}

/* 256XXXXXXXXX, +256XXXXXXXXX or 0XXXXXXXXX (2.6). */
static bool is_number(struct str number)
{
	static const struct str HEADS[] = {STR_INIT("+256"), STR_INIT("256"), STR_INIT("0")};
	int64_t digits;
	for (size_t i = 0; i < sizeof(HEADS) / sizeof(HEADS[0]); i++) {
		struct str rest = str_from(number, HEADS[i].n);
		if (str_has_prefix(number, HEADS[i]) && rest.n == 9)
			return str_to_i64(rest, &digits);
	}
	return false;
}

/* What a request lacks, NULL when it is whole. */
static const char *submit_lacks(struct sandbox_call *call)
{
	struct str type = sandbox_member(call, call->json, "type");
	if (call->ref.n == 0 || call->ref.n > SANDBOX_REF_MAX)
		return "Invalid requestId";
	if (call->amount <= 0)
		return "Invalid amount";
	if (!str_eq(type, is_collection(call) ? STR("CREDIT") : STR("DEBIT")))
		return "Invalid transaction type";
	if (call->service.n == 0 || ledger_service(&call->sandbox->ledger, call->service) < 0)
		return "Invalid product";
	if (!is_number(call->number))
		return "Invalid phone number";
	return NULL;
}

/* "2/27/2024 4:15:45 PM": month first, twelve hours, no zone. */
static void write_time(struct buf *out, int64_t clock_ms)
{
	time_t seconds = (time_t)(clock_ms / 1000);
	struct tm t;
	tama_assert(gmtime_r(&seconds, &t) != NULL);
	buf_printf(out, "\"%d/%d/%d %d:%02d:%02d %s\"", t.tm_mon + 1, t.tm_mday, t.tm_year + 1900,
		t.tm_hour % 12 == 0 ? 12 : t.tm_hour % 12, t.tm_min, t.tm_sec,
		t.tm_hour < 12 ? "AM" : "PM");
}

static void submit_write(struct sandbox_call *call)
{
	struct buf *out = call->out;
	const struct sale *sale = call->sale;
	const char *kind = sale->is_collect ? "Credit" : "Debit";
	bool is_other = fault_is(call->fault, FAULT_WRONG_REF);
	/* The envelope's status is missing in some samples. */
	buf_printf(out,
		"{\"code\":0,%s\"message\":\"Transaction Has Been Successfully Received. "
		"Notification Will Be Sent Shortly\",\"data\":{\"requestId\":",
		sale->seq % 2 == 0 ? "" : "\"status\":\"success\",");
	sandbox_json_text(out, is_other ? STR("92399933543589") : str_c(sale->ref));
	buf_printf(out, ",\"batchId\":");
	sandbox_json_text(out, sandbox_member(call, call->json, "batchId"));
	buf_printf(out, ",\"transactionId\":\"");
	ledger_id(sale, out);
	buf_printf(out, "\",\"status\":\"PROCESSING\"");
	if (fault_is(call->fault, FAULT_WRONG_AMOUNT))
		buf_printf(out, ",\"amount\":%" PRId64, sale->amount + 100);
	buf_printf(out,
		",\"message\":\"Processing %s Transaction. Instant Payment "
		"Notification will be sent shortly\",\"createdOn\":",
		kind);
	write_time(out, sale->made_ms);
	buf_printf(out, "}}");
}

static void submit_act(struct sandbox_call *call)
{
	if (!is_authorised(call))
		return;
	const char *lacks = submit_lacks(call);
	if (lacks != NULL) {
		say_error(call, 400, lacks);
		return;
	}
	if (!sandbox_can_pay(call, is_collection(call), is_airtime(call))) {
		say_error(call, 400, "Insufficient funds");
		return;
	}
	sandbox_execute(call, is_collection(call), false);
	submit_write(call);
	/* 200 or 201 (2.7). */
	sandbox_reply(call, call->sale->seq % 2 == 0 ? 201 : 200, "application/json");
}

/* ---- GET /api/transactions... (2.4)
 * -------------------------------------------------------------- */

/* A payout's amount is negative, with two places. */
static void write_row(const struct sandbox_call *call, const struct sale *sale, bool has_status)
{
	struct buf *out = call->out;
	int64_t lie = fault_is(call->fault, FAULT_WRONG_AMOUNT) ? 100 : 0;
	struct str rest = str_c(call->sandbox->ledger.services[sale->service]);
	struct str product = str_cut(&rest, '/');
	buf_printf(out, "{\"transactionId\":\"");
	ledger_id(sale, out);
	buf_printf(out, "\",\"requestId\":");
	sandbox_json_text(out,
		fault_is(call->fault, FAULT_WRONG_REF) ? STR("323333543589") : str_c(sale->ref));
	buf_printf(out, ",\"batchId\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out,
		",\"accountNumber\":\"%d\",\"name\":null,\"currency\":\"UGX\",\"amount\":%s%" PRId64
		".00,\"transactionType\":\"%s\",",
		ACCOUNT, sale->is_collect ? "" : "-", sale->amount + lie,
		sale->is_collect ? "DEPOSIT" : "PAYOUT");
	if (has_status)
		buf_printf(out, "\"status\":\"%s\",", ledger_state_word(sale));
	buf_printf(out, "\"product\":{\"id\":");
	sandbox_json_text(out, product);
	buf_printf(out,
		",\"name\":\"Send mobile money\"},\"beneficiary\":{\"id\":\"1223\",\"name\":"
		"\"Jane Doe\",\"data\":{\"CustomerReference\":");
	sandbox_json_text(out, str_c(sale->number));
	buf_printf(out, ",\"CustomerPhone\":");
	sandbox_json_text(out, fault_is(call->fault, FAULT_WRONG_NUMBER) ? STR("+1234567890")
									 : str_c(sale->number));
	buf_printf(out, ",\"CustomerEmail\":\"johndoe@example.com\",\"Memo\":\"\"}}}");
}

static const struct sale *get_sale(const struct sandbox_call *call)
{
	const struct sale *sale =
		ledger_sale(&call->sandbox->ledger, ledger_seq_of_id(SANDBOX_XENTE, call->rest));
	return sale != NULL && sale->provider == SANDBOX_XENTE ? sale : NULL;
}

static void get_read(struct sandbox_call *call)
{
	const struct sale *sale = get_sale(call);
	if (sale == NULL)
		return;
	call->ref = str_c(sale->ref);
	call->number = str_c(sale->number);
	call->amount = sale->amount;
}

static void get_act(struct sandbox_call *call)
{
	const struct sale *sale = get_sale(call);
	if (!is_authorised(call))
		return;
	if (sale == NULL) {
		say_error(call, 404, "Transaction not found");
		return;
	}
	buf_printf(call->out,
		"{\"code\":0,\"message\":\"Transaction retrieved successfully\",\"data\":");
	write_row(call, sale, true);
	buf_add_char(call->out, '}');
	sandbox_reply(call, 200, "application/json");
}

static int64_t query_number(const struct sandbox_call *call, struct str name, int64_t otherwise)
{
	int64_t n = otherwise;
	(void)str_to_i64(form_get(&call->query, name), &n);
	return n > 0 ? n : otherwise;
}

/* A transaction that nobody asked for. */
static void write_invented(struct sandbox_call *call, int64_t *n)
{
	struct sale sale = {.seq = SANDBOX_SALES, .amount = 7700, .provider = SANDBOX_XENTE};
	(void)sandbox_copy(sale.ref, sizeof(sale.ref), STR("NOT-OURS-AT-ALL"));
	(void)sandbox_copy(sale.number, sizeof(sale.number), STR("256770000000"));
	write_row(call, &sale, false);
	++*n;
}

/* Newest first. The dates are not looked at: the sandbox lives for less than a day. */
static int64_t list_rows(struct sandbox_call *call, int64_t page, int64_t size)
{
	const struct ledger *ledger = &call->sandbox->ledger;
	struct str word = form_get(&call->query, STR("transactionStatus"));
	int64_t n = 0;
	bool is_missing = fault_is(call->fault, FAULT_LIST_MISSING);
	const struct sale *sale;
	if (fault_is(call->fault, FAULT_LIST_EXTRA) && page == 1)
		write_invented(call, &n);
	for (uint64_t i = 0; i < LIST_SCAN && i < ledger->last; i++) {
		if ((sale = ledger_sale(ledger, ledger->last - i)) == NULL)
			break;
		if (sale->provider != SANDBOX_XENTE ||
			(word.n > 0 && !str_eq(word, str_c(ledger_state_word(sale)))))
			continue;
		if (is_missing) {
			is_missing = false;
			continue;
		}
		if (n++ / size != page - 1)
			continue;
		if ((n - 1) % size > 0)
			buf_add_char(call->out, ',');
		write_row(call, sale, false);
	}
	return n;
}

static void list_act(struct sandbox_call *call)
{
	if (!is_authorised(call))
		return;
	int64_t page = query_number(call, STR("pageNumber"), 1);
	int64_t size = query_number(call, STR("pageSize"), 10);
	buf_printf(call->out, "{\"code\":0,\"message\":\"Transactions retrieved successfully\","
			      "\"data\":{\"collection\":[");
	int64_t n = list_rows(call, page, size);
	buf_printf(call->out,
		"],\"totalCount\":%" PRId64 ",\"pageSize\":%" PRId64 ",\"currentPage\":%" PRId64
		",\"totalPages\":%" PRId64 ",\"previousPage\":%s,\"nextPage\":%s}}",
		n, size, page, (n + size - 1) / size, page > 1 ? "true" : "false",
		page * size < n ? "true" : "false");
	sandbox_reply(call, 200, "application/json");
}

static void accounts_act(struct sandbox_call *call)
{
	if (!is_authorised(call))
		return;
	int64_t lie = fault_is(call->fault, FAULT_WRONG_AMOUNT) ? 100 : 0;
	buf_printf(call->out,
		"{\"code\":0,\"message\":\"Account retrieved successfully\",\"data\":"
		"{\"accountNumber\":6,\"name\":\"Enaf Tech\",\"description\":\"Enaf Tech\","
		"\"balance\":%" PRId64 ".00,\"currency\":\"UGX\"}}",
		call->sandbox->ledger.wallets[SANDBOX_XENTE].balance + lie);
	sandbox_reply(call, 200, "application/json");
}

/* ---- the IPN (2.8) ------------------------------------------------------------------
 */

/* "YYYY-MM-DD HH:mm:ss", as variant 2 has it. */
static void write_plain_time(struct buf *out, int64_t clock_ms)
{
	time_t seconds = (time_t)(clock_ms / 1000);
	struct tm t;
	tama_assert(gmtime_r(&seconds, &t) != NULL);
	buf_printf(out, "\"%04d-%02d-%02d %02d:%02d:%02d\"", t.tm_year + 1900, t.tm_mon + 1,
		t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}

/* Variant 2, of 2023 to 2025: snake_case, and our id under a name of its own. */
static void write_ipn_snake(const struct sale *sale, int64_t amount, struct buf *out)
{
	bool is_failed = sale->state == SALE_FAILED;
	buf_printf(out, "{\"account_number\":\"%d\",\"subscription_id\":1,\"transaction_id\":\"",
		ACCOUNT);
	ledger_id(sale, out);
	buf_printf(out, "\",\"batch_id\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"client_referenceId\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out,
		",\"status_message\":\"Transaction %s\",\"status_code\":%d,\"correlation_id\":"
		"\"%016" PRIx64 "\",\"created_on\":",
		is_failed ? "Failed" : "Successful", is_failed ? 1 : 0, sale->seq);
	write_plain_time(out, sandbox_clock_ms());
	buf_printf(out, ",\"amount\":%" PRId64 ".0,\"currency\":\"UGX\"}", amount);
}

/* Variant 3, the newest, unless a fault wants the older one. */
void xente_write_ipn(const struct sandbox *sandbox, const struct parcel *parcel, struct buf *out)
{
	const struct sale *sale = ledger_sale(&sandbox->ledger, parcel->sale);
	bool is_failed = sale->state == SALE_FAILED;
	int64_t amount = sale->amount + (parcel->lies_amount ? 100 : 0);
	if (parcel->is_old_shape) {
		write_ipn_snake(sale, amount, out);
		return;
	}
	buf_printf(out, "{\"accountId\":%d,\"subscriptionId\":1,\"transactionId\":\"", ACCOUNT);
	ledger_id(sale, out);
	buf_printf(out, "\",\"batchId\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"requestId\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"requestReference\":{\"createdOn\":");
	sandbox_json_time(out, sale->made_ms);
	buf_printf(out, ",\"requestId\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out,
		"},\"statusMessage\":\"Transaction %s\",\"statusCode\":%d,\"correlationId\":"
		"\"%016" PRIx64 "\",\"createdOn\":",
		is_failed ? "Failed" : "Successful", is_failed ? 1 : 0, sale->seq);
	sandbox_json_time(out, sandbox_clock_ms());
	buf_printf(out, ",\"amount\":%" PRId64 ",\"currencyCode\":\"UGX\"}", amount);
}

const struct sandbox_route XENTE_ROUTES[] = {
	{"POST", "/api/auth/login", SANDBOX_XENTE, OP_LOGIN, NULL, login_act},
	{"POST", "/api/transactions/payouts/airtime", SANDBOX_XENTE, OP_SUBMIT, submit_read,
		submit_act},
	{"POST", "/api/transactions/payouts/mobilemoney", SANDBOX_XENTE, OP_SUBMIT, submit_read,
		submit_act},
	{"POST", "/api/transactions/payouts/internet", SANDBOX_XENTE, OP_SUBMIT, submit_read,
		submit_act},
	{"POST", "/api/transactions/collections/mobilemoney", SANDBOX_XENTE, OP_SUBMIT, submit_read,
		submit_act},
	{"GET", "/api/transactions/", SANDBOX_XENTE, OP_STATUS, get_read, get_act},
	{"GET", "/api/transactions", SANDBOX_XENTE, OP_LIST, NULL, list_act},
	{"GET", "/api/accounts", SANDBOX_XENTE, OP_BALANCE, NULL, accounts_act},
	{0},
};
