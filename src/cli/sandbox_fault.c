/*
 * Behaviours on request: a list of rules, each for some calls and so many times. A call meets at
 * most one rule about its reply and one about what follows it (IPNs, reports).
 */
#include "sandbox_priv.h"

#include <inttypes.h>

struct behaviour {
	const char *name;
	enum fault_do what;
	void (*bend)(struct sandbox_call *call); /* NULL: the reply is written otherwise */
	bool is_after;
	bool executes; /* unless the rule says "execute" itself */
	const char *arg; /* the member that counts; NULL: none */
	int64_t arg_default;
};

/* The call's reply as bytes on the wire, of which the first `keep` are sent (below 0: all but
 * those).
 */
static void reply_flatten(struct sandbox_call *call, int64_t keep)
{
	struct str whole = arena_printf(&call->turn->arena,
		"HTTP/1.1 %u Accepted\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%.*s",
		call->status, call->type, call->out->n, STR_ARG(buf_str(call->out)));
	int64_t n = keep >= 0 ? keep : (int64_t)whole.n + keep;
	if (n > (int64_t)whole.n)
		n = (int64_t)whole.n;
	buf_reset(call->out);
	buf_add(call->out, whole.p, n > 0 ? (size_t)n : 0);
	call->is_raw = true;
}

static void reply_text(struct sandbox_call *call, unsigned status, const char *text)
{
	buf_reset(call->out);
	buf_add_str(call->out, str_c(text));
	sandbox_reply(call, status, "application/json");
}

/* EasyTransfert's own words (easytransfert.md 1.2); Xente's error body is undefined (xente.md 2.7).
 */
static const struct {
	int64_t status;
	const char *text;
} STATUS_BODIES[] = {
	{400, "{\"error\":\"Amount must be a multiple of 100\"}"},
	{401, "{\"error\":\"Invalid API Key\"}"},
	{429, "{\"error\":\"Veuillez patienter 15 minutes\"}"},
	{500, "{\"error\":\"Internal server error\"}"},
};

static void bend_status(struct sandbox_call *call)
{
	const struct fault *fault = call->fault;
	const char *text = "{\"error\":\"\"}";
	for (size_t i = 0; i < sizeof(STATUS_BODIES) / sizeof(STATUS_BODIES[0]); i++) {
		if (STATUS_BODIES[i].status == fault->arg)
			text = STATUS_BODIES[i].text;
	}
	reply_text(call, (unsigned)fault->arg, fault->text != NULL ? fault->text : text);
}

/* A documented refusal; `text` may be of the rule and is JSON-escaped. */
static void refuse(struct sandbox_call *call, const char *text)
{
	bool is_xente = call->route->provider == SANDBOX_XENTE;
	buf_reset(call->out);
	buf_printf(call->out, is_xente ? "{\"code\":1,\"message\":" : "{\"error\":");
	sandbox_json_text(call->out, str_c(text));
	buf_add_char(call->out, '}');
	sandbox_reply(call, is_xente ? 400 : 422, "application/json");
}

static void bend_refuse(struct sandbox_call *call)
{
	const char *text = call->route->provider == SANDBOX_XENTE
				   ? "Invalid phone number"
				   : "Numero de destination invalide";
	refuse(call, call->fault->text != NULL ? call->fault->text : text);
}

/* reliability.md finding 7: a duplicate is no refusal of the first. */
static void bend_duplicate(struct sandbox_call *call)
{
	refuse(call, call->route->provider == SANDBOX_XENTE ? "Duplicate RequestId"
							    : "Transaction deja executee");
}

/* easytransfert.md 1.12: 200 with FAILED inside. */
void sandbox_say_failed(struct sandbox_call *call, const char *text)
{
	if (call->route->provider == SANDBOX_XENTE) {
		refuse(call, text);
		return;
	}
	buf_reset(call->out);
	buf_printf(call->out, "{\"status\":\"FAILED\",\"message\":");
	sandbox_json_text(call->out, str_c(text));
	buf_printf(call->out, ",\"data\":{\"transaction_id\":\"EFB.001158\",\"state\":\"FAILED\","
			      "\"error\":");
	sandbox_json_text(call->out, str_c(text));
	buf_printf(call->out, "}}");
	sandbox_reply(call, 200, "application/json");
}

static void bend_fail(struct sandbox_call *call)
{
	sandbox_say_failed(
		call, call->fault->text != NULL ? call->fault->text : "Solde insuffisant");
}

static void bend_nothing_sent(struct sandbox_call *call)
{
	reply_flatten(call, 0);
}

static void bend_cut(struct sandbox_call *call)
{
	reply_flatten(call, call->fault->arg);
}

static void bend_garbage(struct sandbox_call *call)
{
	const char *text = call->fault->text;
	reply_text(call, call->status != 0 ? call->status : 200,
		text != NULL ? text : "<html>Bad gateway</html>");
}

static void bend_raw(struct sandbox_call *call)
{
	reply_text(call, 200, call->fault->text);
	call->is_raw = true;
}

static void bend_body(struct sandbox_call *call)
{
	reply_text(call, (unsigned)call->fault->arg, call->fault->text);
}

/* A body that does not end soon: an object's beginning and blanks. */
static void bend_huge(struct sandbox_call *call)
{
	reply_text(call, 200, "{");
	for (int64_t i = 1; i < call->fault->arg; i++)
		buf_add_char(call->out, ' ');
}

static void bend_redirect(struct sandbox_call *call)
{
	reply_text(call, (unsigned)call->fault->arg, "");
	call->location =
		call->fault->text != NULL ? str_c(call->fault->text) : call->turn->request.path;
}

static void bend_hang(struct sandbox_call *call)
{
	reply_flatten(call, 0);
	call->delay_ms = call->fault->arg;
}

static void bend_delay(struct sandbox_call *call)
{
	call->delay_ms = call->fault->arg;
}

static const struct behaviour BEHAVIOURS[] = {
	{"refuse", FAULT_OF_REPLY, bend_refuse, false, false, NULL, 0},
	{"fail", FAULT_OF_REPLY, bend_fail, false, false, NULL, 0},
	{"duplicate", FAULT_OF_REPLY, bend_duplicate, false, false, NULL, 0},
	{"status", FAULT_OF_REPLY, bend_status, false, false, "status", 500},
	{"lost_request", FAULT_OF_REPLY, bend_nothing_sent, false, false, NULL, 0},
	{"lost_reply", FAULT_OF_REPLY, bend_nothing_sent, false, true, NULL, 0},
	{"cut_reply", FAULT_OF_REPLY, bend_cut, false, true, "at", 0},
	{"garbage", FAULT_OF_REPLY, bend_garbage, false, true, NULL, 0},
	{"raw", FAULT_OF_REPLY, bend_raw, false, true, NULL, 0},
	{"body", FAULT_OF_REPLY, bend_body, false, true, "status", 200},
	{"huge", FAULT_OF_REPLY, bend_huge, false, true, "bytes", SANDBOX_FAULT_ARG},
	{"redirect", FAULT_OF_REPLY, bend_redirect, false, false, "status", 307},
	{"hang", FAULT_OF_REPLY, bend_hang, false, true, "ms", 120000},
	{"delay_ms", FAULT_OF_REPLY, bend_delay, false, true, "ms", 1000},
	{"wrong_amount", FAULT_WRONG_AMOUNT, NULL, false, true, NULL, 0},
	{"wrong_number", FAULT_WRONG_NUMBER, NULL, false, true, NULL, 0},
	{"wrong_ref", FAULT_WRONG_REF, NULL, false, true, NULL, 0},
	{"list_missing", FAULT_LIST_MISSING, NULL, false, true, NULL, 0},
	{"list_extra", FAULT_LIST_EXTRA, NULL, false, true, NULL, 0},
	{"execute_twice", FAULT_EXECUTE_TWICE, NULL, false, true, NULL, 0},
	{"no_ipn", FAULT_NO_IPN, NULL, true, true, NULL, 0},
	{"ipn_twice", FAULT_IPN_TIMES, NULL, true, true, NULL, 2},
	{"ipn_times", FAULT_IPN_TIMES, NULL, true, true, "n", 2},
	{"ipn_first", FAULT_IPN_FIRST, NULL, true, true, NULL, 0},
	{"ipn_wrong_amount", FAULT_IPN_WRONG_AMOUNT, NULL, true, true, NULL, 0},
	{"ipn_wrong_number", FAULT_IPN_WRONG_NUMBER, NULL, true, true, NULL, 0},
	{"ipn_late_ms", FAULT_IPN_LATE, NULL, true, true, "ms", 5000},
	{"ipn_failed", FAULT_IPN_FAILED, NULL, true, true, NULL, 0},
	{"ipn_contradicts", FAULT_IPN_CONTRADICTS, NULL, true, true, NULL, 0},
	{"ipn_old_shape", FAULT_IPN_OLD_SHAPE, NULL, true, true, NULL, 0},
	{"pending_forever", FAULT_PENDING_FOREVER, NULL, true, true, NULL, 0},
	{"no_dlr", FAULT_NO_DLR, NULL, true, true, NULL, 0},
	{"dlr_failed", FAULT_DLR_FAILED, NULL, true, true, NULL, 0},
	{"sms_lost", FAULT_SMS_LOST, NULL, true, true, NULL, 0},
};

#define BEHAVIOURS_LEN (sizeof(BEHAVIOURS) / sizeof(BEHAVIOURS[0]))

struct word {
	const char *name;
	int value;
};

static const struct word PROVIDERS[] = {
	{"easytransfert", SANDBOX_EASYTRANSFERT},
	{"xente", SANDBOX_XENTE},
	{"sms", SANDBOX_SMS},
	{NULL, 0},
};

static const struct word OPS[] = {
	{"submit", OP_SUBMIT},
	{"status", OP_STATUS},
	{"balance", OP_BALANCE},
	{"login", OP_LOGIN},
	{"list", OP_LIST},
	{"send", OP_SEND},
	{NULL, 0},
};

static const struct behaviour *behaviour_find(const char *name)
{
	for (size_t i = 0; name != NULL && i < BEHAVIOURS_LEN; i++) {
		if (strcmp(BEHAVIOURS[i].name, name) == 0)
			return &BEHAVIOURS[i];
	}
	return NULL;
}

/* The member's value by the table, -1 when absent; -2 when the word is unknown. */
static int word_read(const struct word *words, const json_t *spec, const char *member)
{
	const json_t *value = json_object_get(spec, member);
	if (value == NULL)
		return -1;
	for (const struct word *w = words; json_is_string(value) && w->name != NULL; w++) {
		if (strcmp(w->name, json_string_value(value)) == 0)
			return w->value;
	}
	return -2;
}

/* The integer member, or `otherwise` when it is absent or no integer. */
static int64_t number_read(const json_t *spec, const char *member, int64_t otherwise)
{
	const json_t *value = json_object_get(spec, member);
	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static struct str text_read(const json_t *spec, const char *member)
{
	return str_c(json_string_value(json_object_get(spec, member)));
}

static int filter_read(struct fault *out, const json_t *spec, struct err *err)
{
	out->provider = word_read(PROVIDERS, spec, "provider");
	out->op = word_read(OPS, spec, "op");
	if (out->provider == -2 || out->op == -2)
		return err_set(err, TAMA_EINVAL, "no such provider or op");
	out->amount = number_read(spec, "amount", -1);
	out->times = number_read(spec, "times", 1);
	if (json_is_true(json_object_get(spec, "always")))
		out->times = -1;
	if (!sandbox_copy(out->number, sizeof(out->number), text_read(spec, "number")) ||
		!sandbox_copy(out->ref, sizeof(out->ref), text_read(spec, "our_ref")))
		return err_set(err, TAMA_EINVAL, "number or our_ref is too long");
	return 0;
}

/* "status_429" is "status" with the number in its name. */
static const struct behaviour *what_read(const json_t *spec, int64_t *status_out)
{
	struct str name = text_read(spec, "do");
	*status_out = -1;
	if (str_has_prefix(name, STR("status_")) &&
		str_to_i64(str_from(name, strlen("status_")), status_out) && *status_out >= 200 &&
		*status_out <= 599)
		return behaviour_find("status");
	return behaviour_find(name.p);
}

int fault_arm(struct faults *faults, const json_t *spec, struct err *err)
{
	struct fault fault = {0};
	int64_t status;
	const struct behaviour *b = what_read(spec, &status);
	if (b == NULL)
		return err_set(err, TAMA_EINVAL, "no such behaviour in \"do\"");
	if (faults->n == SANDBOX_FAULTS)
		return err_set(err, TAMA_EFULL, "too many faults are armed");
	int rc = filter_read(&fault, spec, err);
	if (rc != 0)
		return rc;
	const json_t *executes = json_object_get(spec, "execute");
	fault.name = b->name;
	fault.what = b->what;
	fault.bend = b->bend;
	fault.is_after = b->is_after;
	fault.executes = executes != NULL ? json_is_true(executes) : b->executes;
	fault.arg = b->arg != NULL ? number_read(spec, b->arg, b->arg_default) : b->arg_default;
	if (status != -1)
		fault.arg = status;
	if (fault.arg > SANDBOX_FAULT_ARG || fault.arg < -SANDBOX_FAULT_ARG)
		return err_set(err, TAMA_EINVAL, "the number is out of range");
	if (text_read(spec, "text").p != NULL) {
		fault.text = strdup(text_read(spec, "text").p);
		tama_assert(fault.text != NULL);
	}
	faults->list[faults->n++] = fault;
	return 0;
}

void faults_reset(struct faults *faults)
{
	for (size_t i = 0; i < faults->n; i++)
		free(faults->list[i].text);
	faults->n = 0;
}

void faults_write_json(const struct faults *faults, struct buf *out)
{
	buf_printf(out, "{\"faults\":[");
	for (size_t i = 0; i < faults->n; i++) {
		const struct fault *fault = &faults->list[i];
		buf_printf(out, "%s{\"do\":\"%s\",\"left\":%" PRId64 ",\"taken\":%" PRId64 "}",
			i > 0 ? "," : "", fault->name, fault->times, fault->taken);
	}
	buf_printf(out, "]}");
}

static bool fault_fits(const struct fault *fault, const struct sandbox_call *call)
{
	if (fault->provider >= 0 && fault->provider != (int)call->route->provider)
		return false;
	if (fault->op >= 0 && fault->op != (int)call->route->op)
		return false;
	if (fault->amount >= 0 && fault->amount != call->amount)
		return false;
	if (fault->number[0] != '\0' && !str_eq(str_c(fault->number), call->number))
		return false;
	return fault->ref[0] == '\0' || str_eq(str_c(fault->ref), call->ref);
}

const struct fault *fault_take(
	struct faults *faults, const struct sandbox_call *call, bool is_after)
{
	for (size_t i = 0; i < faults->n; i++) {
		struct fault *fault = &faults->list[i];
		if (fault->is_after != is_after || fault->times == 0 || !fault_fits(fault, call))
			continue;
		if (fault->times > 0)
			fault->times--;
		fault->taken++;
		return fault;
	}
	return NULL;
}

bool fault_lets_execute(const struct fault *fault)
{
	return fault == NULL || fault->executes;
}

bool fault_is(const struct fault *fault, enum fault_do what)
{
	return fault != NULL && fault->what == what;
}

void fault_bend_reply(struct sandbox_call *call)
{
	if (call->fault != NULL && call->fault->bend != NULL)
		call->fault->bend(call);
}
