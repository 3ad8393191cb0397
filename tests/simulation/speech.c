/*
 * What the providers say and understand, in bytes of their own: easytransfert.md 1.2 to 1.9 and
 * xente.md 2.1 to 2.8 as their pages show them, and every way in which bytes go wrong (F-D5, D7,
 * D10, D11, D16, E10, E13).
 */
#include "sim.h"

#include <jansson.h>

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool text_member(const json_t *object, const char *name, char *out, size_t size)
{
	const json_t *v = json_object_get(object, name);

	if (json_is_integer(v))
		(void)snprintf(out, size, "%lld", (long long)json_integer_value(v));
	else if (json_is_string(v))
		(void)snprintf(out, size, "%s", json_string_value(v));
	return out[0] != '\0';
}

static struct str path_of(struct str url)
{
	url = str_from(url, sizeof("http://") - 1);
	(void)str_cut(&url, '/');
	return url;
}

/* A cash-out from Orange wants the payer's code as a string (easytransfert.md 1.7). */
static bool read_easytransfert(struct sim *s, const json_t *body, struct order *out)
{
	const json_t *amount = json_object_get(body, "amount");
	const struct account *account = config_account(s->shared->config, STR("et-ci"));
	char key[SIM_TEXT] = "", url[200] = "";
	struct str path;

	out->asked = json_integer_value(amount);
	if (!json_is_integer(amount) || out->asked <= 0 || out->asked % 100 != 0)
		return false;
	if (!text_member(body, "api_key", key, sizeof(key)) ||
		!str_eq(str_c(key), account_field(account, "api_key")))
		return false;
	if (!text_member(body, "destination", out->number, sizeof(out->number)) ||
		!text_member(body, "service_id", out->service, sizeof(out->service)) ||
		!text_member(body, "custom_data", out->ref, sizeof(out->ref)) ||
		!text_member(body, "ipn_url", url, sizeof(url)))
		return false;
	path = path_of(str_c(url));
	(void)snprintf(out->ipn_path, sizeof(out->ipn_path), "/%.*s", STR_ARG(path));
	return (strcmp(out->service, "125") == 0) == (json_object_get(body, "om_otp") != NULL);
}

static bool read_xente(struct sim *s, struct str path, const json_t *body, struct order *out)
{
	const json_t *amount = json_object_get(body, "amount");
	const json_t *to = json_object_get(body, "beneficiary");

	out->is_xente = true;
	out->is_payout = str_has_prefix(path, STR("api/transactions/payouts/"));
	out->asked = json_integer_value(amount);
	(void)snprintf(out->service, sizeof(out->service), "%s", out->is_payout ? "AIR" : "MM");
	return json_is_integer(amount) && out->asked > 0 &&
	       text_member(body, "requestId", out->ref, sizeof(out->ref)) &&
	       text_member(to, "phoneNumber", out->number, sizeof(out->number));
}

bool speech_read(struct sim *s, const struct http_call *call, struct order *out)
{
	json_t *body = json_loadb(call->body.p, call->body.n, JSON_REJECT_DUPLICATES, NULL);
	struct str path = path_of(call->url);
	bool is_read = false;

	if (str_eq(path, STR("api_v1/transaction/airtime")))
		is_read = read_easytransfert(s, body, out);
	else if (str_has_prefix(path, STR("api/transactions/")))
		is_read = read_xente(s, path, body, out);
	json_decref(body);
	return is_read && str_eq(call->method, STR("POST"));
}

bool speech_read_query(struct sim *s, const struct http_call *call, char out[static SIM_TEXT])
{
	struct str path = path_of(call->url);
	json_t *body = NULL;

	out[0] = '\0';
	if (str_has_prefix(path, STR("api/transactions/")))
		(void)snprintf(out, SIM_TEXT, "%.*s",
			STR_ARG(str_from(path, sizeof("api/transactions/") - 1)));
	else {
		body = json_loadb(call->body.p, call->body.n, JSON_REJECT_DUPLICATES, NULL);
		(void)text_member(body, "transaction_id", out, SIM_TEXT);
		json_decref(body);
	}
	return out[0] != '\0';
}

/* ---- words -------------------------------------------------------------------------------------
 */

static const char *word_of(const struct order *o, bool is_query)
{
	switch (o->state) {
	case ORDER_PENDING:
		return o->is_xente ? "PROCESSING" : "PENDING1";
	case ORDER_DONE:
		return !o->is_xente ? "SUCCESSFUL" : is_query ? "SUCCESSFULL" : "SUCCESS";
	case ORDER_REFUSED:
		return "FAILED";
	}
	return "";
}

static struct str say_easytransfert(
	struct sim *s, const struct order *o, const char *word, int64_t amount, struct arena *arena)
{
	long long n = (long long)amount;

	/* Both shapes are documented (1.2). */
	if (sim_below(s, s->sent[o->sent].press, 2))
		return arena_printf(arena,
			"{ \"data\": { \"transaction_id\": \"%s\", \"amount\": %lld, \"benefice\":"
			" %lld, \"commission\": 0, \"destination\": \"%s\", \"fee\": 0, \"error\":"
			" \"\", \"service_id\": %s, \"state\": \"%s\", \"custom_data\": \"%s\","
			" \"provider_id\": null, \"hash\": null }, \"message\": \"\","
			" \"statut_code\": 200 }",
			o->id, n, n, o->number, o->service, word, o->ref);
	return arena_printf(arena,
		"{\"transaction_id\":\"%s\",\"amount\":%lld,\"benefice\":%lld,\"comission\":0,"
		"\"destination\":\"%s\",\"fee\":\"0\",\"response\":null,\"service_id\":%s,"
		"\"state\":\"%s\",\"custom_data\":\"%s\",\"p_id\":1234,\"message\":\"Merci\","
		"\"statut_code\":200}",
		o->id, n, n, o->number, o->service, word, o->ref);
}

/* The amount of a payout is negative in queries (2.4). */
static struct str say_xente(
	const struct order *o, const char *word, int64_t amount, bool is_query, struct arena *arena)
{
	const char *sign = is_query && o->is_payout ? "-" : "";

	return arena_printf(arena,
		"{ \"code\": 0, \"status\": \"success\", \"message\": \"ok\", \"data\": {"
		" \"requestId\": \"%s\", \"batchId\": \"%s\", \"transactionId\": \"%s\","
		" \"amount\": %s%lld.00, \"currency\": \"UGX\", \"status\": \"%s\","
		" \"product\": { \"id\": \"%s\" } } }",
		o->ref, o->ref, o->id, sign, (long long)amount, word, o->service);
}

static struct str say(struct sim *s, const struct order *o, const char *word, int64_t amount,
	bool is_query, struct arena *arena)
{
	return o->is_xente ? say_xente(o, word, amount, is_query, arena)
			   : say_easytransfert(s, o, word, amount, arena);
}

/* Bytes that nobody may make sense of. */
static struct str garbage(struct sim *s, uint32_t uid, struct arena *arena)
{
	static const char *const all[] = {"", "null", "[]", "{}", "true", "<html>502</html>",
		"{\"state\":\"SUCCESSFUL\",\"state\":\"FAILED\"}",
		"{\"transaction_id\":\"A\",\"transaction_id\":\"B\",\"state\":\"SUCCESSFUL\"}",
		"{\"state\":NaN}", "{\"amount\":1e400,\"state\":\"SUCCESSFUL\",",
		"{\"code\":0,\"data\":null}", "{\"code\":0,\"data\":[]}", "\xff\xfe\x00garbage",
		"{\"data\":{\"state\":[\"SUCCESSFUL\"]}}", "{\"message\":\"Internal\"}"};
	uint64_t which = sim_below(s, uid, SIM_ROWS(all) + 1);
	char *deep;

	if (which < SIM_ROWS(all))
		return str_c(all[which]);
	deep = arena_alloc(arena, 10000);
	memset(deep, '[', 10000);
	return (struct str){deep, 10000};
}

static struct str cut(struct sim *s, uint32_t uid, struct str whole)
{
	return (struct str){whole.p, (size_t)sim_below(s, uid, whole.n)};
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static const struct transfer transfers[] = {
	[ANSWER_CONNECT] = {TRANSFER_CONNECT, 0, 0},
	[ANSWER_ABANDONED] = {TRANSFER_NOT_STARTED, 0, 0},
	[ANSWER_TIMEOUT] = {TRANSFER_TIMEOUT, 300, 0},
	[ANSWER_CUT] = {TRANSFER_BROKEN, 300, 200},
	[ANSWER_CUT_WHOLE] = {TRANSFER_COMPLETE, 300, 200},
	[ANSWER_500] = {TRANSFER_COMPLETE, 300, 500},
	[ANSWER_GARBAGE] = {TRANSFER_COMPLETE, 300, 200},
	[ANSWER_REFUSED] = {TRANSFER_COMPLETE, 300, 406},
	[ANSWER_429] = {TRANSFER_COMPLETE, 300, 429},
	[ANSWER_401] = {TRANSFER_COMPLETE, 300, 401},
	[ANSWER_404] = {TRANSFER_COMPLETE, 300, 404},
	[ANSWER_REDIRECT] = {TRANSFER_COMPLETE, 300, 302},
	[ANSWER_PENDING] = {TRANSFER_COMPLETE, 300, 202},
	[ANSWER_STATE] = {TRANSFER_COMPLETE, 300, 200},
	[ANSWER_WRONG] = {TRANSFER_COMPLETE, 300, 200},
	[ANSWER_OTHER] = {TRANSFER_COMPLETE, 300, 200},
	[ANSWER_FAILED] = {TRANSFER_COMPLETE, 300, 200},
	[ANSWER_DUPLICATE] = {TRANSFER_COMPLETE, 300, 400},
	[ANSWER_FALSE] = {TRANSFER_COMPLETE, 300, 200},
};

static bool is_xente(const struct sim *s, const struct task *task)
{
	return strcmp(s->requests[task->index].account, "et-ci") != 0;
}

/* Answers that name no transaction. */
static struct str say_error(const struct sim *s, const struct task *task)
{
	bool xente = is_xente(s, task);

	switch (task->what) {
	case ANSWER_REFUSED:
		return xente ? STR("{\"code\":4001,\"message\":\"Insufficient funds\"}")
			     : STR("{\"error\":\"Numero de destination invalide\"}");
	case ANSWER_FAILED:
		return xente ? STR("{\"code\":4002,\"message\":\"Not now\"}")
			     : STR("{\"state\":\"FAILED\",\"error\":\"Numero de destination "
				   "invalide\"}");
	case ANSWER_DUPLICATE:
		return STR("{\"code\":400,\"message\":\"Duplicate RequestId\"}");
	case ANSWER_401:
		return xente ? STR("{\"code\":401,\"message\":\"Unauthorized\"}")
			     : STR("{\"error\":\"Invalid API Key\"}");
	case ANSWER_404:
		return xente ? STR("{\"code\":404,\"message\":\"Transaction not found\"}")
			     : STR("{\"error\":\"not found\"}");
	case ANSWER_500:
		return STR("{\"error\":\"Internal server error\"}");
	default:
		return STR("");
	}
}

/* Another transaction of the same provider, if there is one. */
static const struct order *other_of(struct sim *s, const struct order *o)
{
	for (size_t i = s->orders_len; i-- > 0;)
		if (s->orders[i].is_xente == o->is_xente && s->orders[i].sent != o->sent)
			return &s->orders[i];
	return NULL;
}

static struct str say_order(struct sim *s, const struct task *task, const struct order *o,
	bool is_query, struct arena *arena)
{
	const struct order *other = task->what == ANSWER_OTHER ? other_of(s, o) : NULL;
	struct str whole = say(s, o, word_of(o, is_query), o->amount, is_query, arena);

	switch (task->what) {
	case ANSWER_PENDING:
		return say(
			s, o, o->is_xente ? "PROCESSING" : "PENDING1", o->amount, is_query, arena);
	case ANSWER_FALSE:
		return say(s, o, "FAILED", o->amount, is_query, arena);
	case ANSWER_WRONG:
		return say(s, o, word_of(o, is_query), o->amount + 700, is_query, arena);
	case ANSWER_OTHER:
		return other == NULL ? STR("")
				     : say(s, other, word_of(other, is_query), other->amount,
					       is_query, arena);
	case ANSWER_CUT:
	case ANSWER_CUT_WHOLE:
		return cut(s, s->sent[o->sent].press, whole);
	default:
		return whole;
	}
}

struct answer_bytes speech_answer(struct sim *s, const struct task *task, const struct order *order,
	bool is_query, struct arena *arena)
{
	struct answer_bytes out = {.transfer = transfers[task->what]};
	uint32_t uid = s->sent[s->requests[task->index].sent].press;

	if (task->what == ANSWER_GARBAGE)
		out.body = garbage(s, uid, arena);
	else if (order != NULL && task->what != ANSWER_DUPLICATE &&
		 (task->what >= ANSWER_PENDING || task->what == ANSWER_CUT ||
			 task->what == ANSWER_CUT_WHOLE))
		out.body = say_order(s, task, order, is_query, arena);
	else
		out.body = say_error(s, task);
	out.is_truth = task->what == ANSWER_STATE && order != NULL &&
		       order->state != ORDER_PENDING && order->amount == order->asked;
	return out;
}

/* ---- IPNs --------------------------------------------------------------------------------------
 */

static const char *ipn_word(const struct order *o, enum news news)
{
	if (news == NEWS_STILL_PENDING)
		return o->is_xente ? "PROCESSING" : "PENDING1";
	if (news == NEWS_FALSE)
		return o->state == ORDER_DONE ? "FAILED" : o->is_xente ? "SUCCESS" : "SUCCESSFUL";
	return word_of(o, false);
}

/* Two shapes (1.9); their spelling of the answer differs, and so may the amount's type. */
static struct str ipn_easytransfert(const struct order *o, const char *word, int64_t amount,
	uint64_t shape, struct arena *arena)
{
	long long n = (long long)amount;

	if (shape % 2 == 0)
		return arena_printf(arena,
			"{ \"transaction_id\": \"%s\", \"amount\": %lld, \"commission\": 0,"
			" \"destination\": \"%s\", \"fee\": 0, \"reponse\": \"\", \"error\": \"\","
			" \"service_id\": %s, \"state\": \"%s\", \"custom_data\": \"%s\","
			" \"ipn_state\": 0 }",
			o->id, n, o->number, o->service, word, o->ref);
	return arena_printf(arena,
		"{\"transaction_id\":\"%s\",\"amount\":\"%lld.00\",\"destination\":\"%s\","
		"\"response\":\"\",\"service_id\":\"%s\",\"state\":\"%s\",\"custom_data\":\"%s\","
		"\"hash\":\"\",\"p_new_wallet_amount\":null}",
		o->id, n, o->number, o->service, word, o->ref);
}

/* All four shapes (2.8); the first says its ids in the query as well. */
static struct str ipn_xente(const struct order *o, const char *word, int64_t amount, uint64_t shape,
	struct arena *arena, struct str *query_out)
{
	int code = strcmp(word, "SUCCESS") == 0 ? 0 : 1;
	long long n = (long long)amount;

	switch (shape) {
	case 0:
		*query_out = arena_printf(
			arena, "transactionId=%s&requestId=%s&Amount=%lld", o->id, o->ref, n);
		return arena_printf(arena,
			"{\"AccountId\":6,\"TransactionId\":\"%s\",\"RequestId\":\"%s\","
			"\"Amount\":%lld.0,\"CurrencyCode\":\"UGX\",\"StatusMessage\":\"%s\","
			"\"StatusCode\":%d}",
			o->id, o->ref, n, word, code);
	case 1:
		return arena_printf(arena,
			"{\"account_number\":\"6\",\"transaction_id\":\"%s\","
			"\"client_referenceId\":\"%s\",\"amount\":%lld.0,\"currency\":\"UGX\","
			"\"status_message\":\"%s\",\"status_code\":%d}",
			o->id, o->ref, n, word, code);
	case 2:
		return arena_printf(arena,
			"{\"transactionId\":\"%s\",\"requestReference\":{\"requestId\":\"%s\"},"
			"\"amount\":%lld.00,\"currencyCode\":\"UGX\",\"statusMessage\":\"%s\","
			"\"statusCode\":%d}",
			o->id, o->ref, n, word, code);
	default:
		return arena_printf(arena,
			"{\"transactionId\":\"%s\",\"requestId\":\"%s\",\"amount\":\"%lld\","
			"\"currency\":\"UGX\",\"status\":\"%s\"}",
			o->id, o->ref, n, word);
	}
}

void speech_ipn(struct sim *s, const struct order *o, enum news news, struct arena *arena,
	struct str *query_out, struct str *body_out)
{
	uint32_t uid = s->sent[o->sent].press;
	uint64_t shape = sim_below(s, uid, 4);
	int64_t amount = news == NEWS_OTHER_AMOUNT ? o->amount + 11845 : o->amount;
	struct order said = *o;

	*query_out = (struct str){NULL, 0};
	if (news == NEWS_OF_NOBODY) {
		(void)snprintf(said.ref, sizeof(said.ref), "NOBODY");
		(void)snprintf(said.id, sizeof(said.id), "NOBODY");
	}
	if (said.is_xente)
		*body_out = ipn_xente(&said, ipn_word(o, news), amount, shape, arena, query_out);
	else
		*body_out = ipn_easytransfert(&said, ipn_word(o, news), amount, shape, arena);
	if (news != NEWS_BROKEN)
		return;
	*query_out = (struct str){NULL, 0};
	*body_out = sim_below(s, uid, 2) ? cut(s, uid, *body_out) : garbage(s, uid, arena);
}
