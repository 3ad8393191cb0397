/*
 * /_sandbox/...: what tests, the benchmark and the phone in the terminal ask of the sandbox itself.
 *
 *   GET  /_sandbox/ledger[?after=SEQ]       executed transactions and totals, 10,000 a page
 *   GET  /_sandbox/requests[?our_ref=REF]   counts by path, and of one reference
 *   GET  /_sandbox/sms?to=N&after=ID&wait_ms=MS   messages; waits for the next when there is none
 *   GET  /_sandbox/faults                   what is armed and how often it was met
 *   POST /_sandbox/faults                   arms one: {"provider","op","number","amount","our_ref",
 *                                           "times" or "always", "do", ...}; DELETE forgets all
 *   POST /_sandbox/settings                 {"ipn_base", "ipn_delay_ms", "spacing_ms", "token_s",
 *                                           "easytransfert" and "xente": {"balance",
 *                                           "cost_permille", "collect_fee"}}
 *   GET or POST /_sandbox/reset             ledger, faults, messages and counts begin anew
 */
#include "sandbox_priv.h"

#include <inttypes.h>

#define WAIT_MAX_MS 60000

static void say_ok(struct sandbox_call *call)
{
	buf_printf(call->out, "{\"ok\":true}");
	sandbox_reply(call, 200, "application/json");
}

static void say_wrong(struct sandbox_call *call, const char *text)
{
	buf_printf(call->out, "{\"error\":");
	sandbox_json_text(call->out, str_c(text));
	buf_add_char(call->out, '}');
	sandbox_reply(call, 400, "application/json");
}

static uint64_t query_number(const struct sandbox_call *call, struct str name)
{
	int64_t n = 0;
	(void)str_to_i64(form_get(&call->query, name), &n);
	return (uint64_t)n;
}

static void totals_write(const struct sandbox *sandbox, struct buf *out)
{
	const struct ledger *ledger = &sandbox->ledger;
	buf_printf(out,
		"\"totals\":{\"requested\":%" PRIu64 ",\"executed\":%" PRIu64
		",\"executed_twice\":%" PRIu64 ",\"parcels\":%zu",
		ledger->requested,
		ledger->executed[SANDBOX_EASYTRANSFERT] + ledger->executed[SANDBOX_XENTE],
		ledger->executed_twice, courier_waiting(sandbox->courier));
	buf_printf(out,
		",\"easytransfert\":{\"executed\":%" PRIu64 ",\"sum\":%" PRId64
		",\"balance\":%" PRId64 "},\"xente\":{\"executed\":%" PRIu64 ",\"sum\":%" PRId64
		",\"balance\":%" PRId64 "}}",
		ledger->executed[SANDBOX_EASYTRANSFERT], ledger->sum[SANDBOX_EASYTRANSFERT],
		ledger->wallets[SANDBOX_EASYTRANSFERT].balance, ledger->executed[SANDBOX_XENTE],
		ledger->sum[SANDBOX_XENTE], ledger->wallets[SANDBOX_XENTE].balance);
}

static void ledger_act(struct sandbox_call *call)
{
	const struct ledger *ledger = &call->sandbox->ledger;
	uint64_t seq = query_number(call, STR("after")) + 1;
	size_t n = 0;
	if (seq < ledger_oldest(ledger))
		seq = ledger_oldest(ledger);
	buf_printf(call->out, "{\"transactions\":[");
	for (; seq <= ledger->last && n < SANDBOX_PAGE; seq++) {
		const struct sale *sale = ledger_sale(ledger, seq);
		if (sale == NULL)
			continue;
		if (n++ > 0)
			buf_add_char(call->out, ',');
		ledger_write_json(ledger, sale, call->out);
	}
	if (seq <= ledger->last)
		buf_printf(call->out, "],\"next\":%" PRIu64 ",", seq - 1);
	else
		buf_printf(call->out, "],\"next\":null,");
	totals_write(call->sandbox, call->out);
	buf_add_char(call->out, '}');
	sandbox_reply(call, 200, "application/json");
}

static void requests_act(struct sandbox_call *call)
{
	const struct ledger *ledger = &call->sandbox->ledger;
	struct str ref = form_get(&call->query, STR("our_ref"));
	buf_printf(call->out, "{\"paths\":");
	sandbox_write_counts(call->sandbox, call->out);
	buf_printf(call->out, ",\"refs\":{");
	bool is_first = true;
	uint64_t newest = ledger->orders_last;
	for (uint64_t i = 0; i < SANDBOX_PAGE && i < newest && i < SANDBOX_ORDERS; i++) {
		const struct order *order = &ledger->orders[(newest - i) % SANDBOX_ORDERS];
		if (ref.n > 0 && !str_eq(ref, str_c(order->ref)))
			continue;
		buf_printf(call->out, is_first ? "" : ",");
		sandbox_json_text(call->out, str_c(order->ref));
		buf_printf(call->out, ":{\"requested\":%u,\"executed\":%u}", order->requested,
			order->executed);
		is_first = false;
	}
	buf_printf(call->out, "}}");
	sandbox_reply(call, 200, "application/json");
}

static void sms_act(struct sandbox_call *call)
{
	struct str to = form_get(&call->query, STR("to"));
	uint64_t after = query_number(call, STR("after"));
	uint64_t wait_ms = query_number(call, STR("wait_ms"));
	struct waiter waiter = {.after = after};
	if (to.n > 0 && to.p[0] == '+')
		to = str_from(to, 1);
	size_t n = messages_write_json(&call->sandbox->messages, to, after, call->out);
	sandbox_reply(call, 200, "application/json");
	if (n > 0 || wait_ms == 0 || !sandbox_copy(waiter.to, sizeof(waiter.to), to))
		return;
	waiter.until_ms =
		sandbox_now_ms() + (int64_t)(wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
	call->is_parked = messages_wait(call->sandbox, call->turn, waiter);
}

static void faults_get_act(struct sandbox_call *call)
{
	faults_write_json(&call->sandbox->faults, call->out);
	sandbox_reply(call, 200, "application/json");
}

static void faults_post_act(struct sandbox_call *call)
{
	struct err err = ERR_INIT;
	if (fault_arm(&call->sandbox->faults, call->json, &err) == 0)
		say_ok(call);
	else
		say_wrong(call, err.text);
}

static void faults_delete_act(struct sandbox_call *call)
{
	faults_reset(&call->sandbox->faults);
	say_ok(call);
}

static void setting_number(const struct sandbox_call *call, const char *name, int64_t *out)
{
	const json_t *value = json_object_get(call->json, name);
	if (json_is_integer(value) && json_integer_value(value) >= 0)
		*out = json_integer_value(value);
}

/* {"xente": {"balance": 5000, "cost_permille": 980, "collect_fee": 20}}: a top-up, another tariff.
 */
static void setting_wallet(
	const struct sandbox_call *call, const char *name, enum sandbox_provider provider)
{
	struct wallet *wallet = &call->sandbox->ledger.wallets[provider];
	const struct {
		const char *name;
		int64_t *out;
	} members[] = {{"balance", &wallet->balance}, {"cost_permille", &wallet->cost_permille},
		{"collect_fee", &wallet->collect_fee}};
	const json_t *object = json_object_get(call->json, name);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const json_t *value = json_object_get(object, members[i].name);
		if (json_is_integer(value) && json_integer_value(value) >= 0)
			*members[i].out = json_integer_value(value);
	}
}

static void settings_act(struct sandbox_call *call)
{
	struct sandbox *sandbox = call->sandbox;
	struct str ipn_base = sandbox_member(call, call->json, "ipn_base");
	if (ipn_base.p != NULL &&
		!sandbox_copy(sandbox->ipn_base, sizeof(sandbox->ipn_base), ipn_base)) {
		say_wrong(call, "ipn_base is too long");
		return;
	}
	setting_number(call, "ipn_delay_ms", &sandbox->options.ipn_delay_ms);
	setting_number(call, "spacing_ms", &sandbox->options.spacing_ms);
	setting_number(call, "token_s", &sandbox->options.token_s);
	setting_wallet(call, "easytransfert", SANDBOX_EASYTRANSFERT);
	setting_wallet(call, "xente", SANDBOX_XENTE);
	say_ok(call);
}

static void reset_act(struct sandbox_call *call)
{
	struct sandbox *sandbox = call->sandbox;
	ledger_reset(&sandbox->ledger);
	faults_reset(&sandbox->faults);
	messages_reset(&sandbox->messages);
	memset(sandbox->counts, 0, sizeof(sandbox->counts));
	memset(sandbox->spacings, 0, SANDBOX_SPACINGS * sizeof(sandbox->spacings[0]));
	say_ok(call);
}

const struct sandbox_route CONTROL_ROUTES[] = {
	{"GET", "/_sandbox/ledger", SANDBOX_NOBODY, OP_CONTROL, NULL, ledger_act},
	{"GET", "/_sandbox/requests", SANDBOX_NOBODY, OP_CONTROL, NULL, requests_act},
	{"GET", "/_sandbox/sms", SANDBOX_NOBODY, OP_CONTROL, NULL, sms_act},
	{"GET", "/_sandbox/faults", SANDBOX_NOBODY, OP_CONTROL, NULL, faults_get_act},
	{"POST", "/_sandbox/faults", SANDBOX_NOBODY, OP_CONTROL, NULL, faults_post_act},
	{"DELETE", "/_sandbox/faults", SANDBOX_NOBODY, OP_CONTROL, NULL, faults_delete_act},
	{"POST", "/_sandbox/settings", SANDBOX_NOBODY, OP_CONTROL, NULL, settings_act},
	{"GET", "/_sandbox/reset", SANDBOX_NOBODY, OP_CONTROL, NULL, reset_act},
	{"POST", "/_sandbox/reset", SANDBOX_NOBODY, OP_CONTROL, NULL, reset_act},
	{0},
};
