/*
 * tama sandbox: stands in for both providers and the SMS gateway. Here are its options, its routes
 * and the life of a request: read it, ask whether a fault was armed for it, execute it or not,
 * reply.
 */
#include "cli.h"
#include "sandbox_priv.h"

#include "tama/gsm7.h"
#include "tama/http_out.h"

#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <unistd.h>

#define CONNECTIONS 2048
#define SCRATCH_BYTES (8 * 1024 * 1024)
#define SCRATCH_KEEP (256 * 1024)

static const struct sandbox_route *const ROUTE_TABLES[] = {
	EASYTRANSFERT_ROUTES,
	XENTE_ROUTES,
	SMS_ROUTES,
	CONTROL_ROUTES,
};

#define TABLES (sizeof(ROUTE_TABLES) / sizeof(ROUTE_TABLES[0]))

/* ---- small things that all parts use ----------------------------------------------------------
 */

static int64_t clock_read(clockid_t id)
{
	struct timespec now;
	tama_assert(clock_gettime(id, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t sandbox_now_ms(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

int64_t sandbox_clock_ms(void)
{
	return clock_read(CLOCK_REALTIME);
}

uint64_t sandbox_hash(uint64_t hash, struct str s)
{
	if (hash == 0)
		hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
	return hash;
}

bool sandbox_copy(char *out, size_t size, struct str s)
{
	bool fits = s.n < size;
	if (fits && s.n > 0)
		memcpy(out, s.p, s.n);
	out[fits ? s.n : 0] = '\0';
	return fits;
}

/* Bytes that are no UTF-8 become '?': an SMS may hold anything. */
void sandbox_json_text(struct buf *out, struct str s)
{
	buf_add_char(out, '"');
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		uint32_t c = utf8_next(s, &at);
		if (c == UINT32_MAX)
			buf_add_char(out, '?');
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\u%04x", (unsigned)c);
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", (int)c);
		else
			buf_add(out, s.p + from, at - from);
	}
	buf_add_char(out, '"');
}

void sandbox_json_time(struct buf *out, int64_t clock_ms)
{
	time_t seconds = (time_t)(clock_ms / 1000);
	struct tm t;
	tama_assert(gmtime_r(&seconds, &t) != NULL);
	buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03d+00:00\"", t.tm_year + 1900,
		t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)(clock_ms % 1000));
}

struct str sandbox_member(struct sandbox_call *call, const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	if (json_is_string(value))
		return (struct str){json_string_value(value), json_string_length(value)};
	if (json_is_integer(value))
		return arena_printf(
			&call->turn->arena, "%" PRId64, (int64_t)json_integer_value(value));
	return (struct str){NULL, 0};
}

void sandbox_reply(struct sandbox_call *call, unsigned status, const char *type)
{
	call->status = status;
	call->type = type;
}

/* ---- executing --------------------------------------------------------------------------------
 */

/* What the `after` fault wants of the IPN. */
static void parcel_bend(struct parcel *parcel, const struct fault *after)
{
	if (after == NULL)
		return;
	parcel->fails |= after->what == FAULT_IPN_FAILED;
	parcel->contradicts = after->what == FAULT_IPN_CONTRADICTS;
	parcel->lies_amount = after->what == FAULT_IPN_WRONG_AMOUNT;
	parcel->lies_number = after->what == FAULT_IPN_WRONG_NUMBER;
	parcel->is_old_shape = after->what == FAULT_IPN_OLD_SHAPE;
	parcel->is_silent = after->what == FAULT_NO_IPN;
}

/* Settles the sale after a while, and tells of it. */
static void ipn_later(struct sandbox_call *call, bool fails)
{
	struct sandbox *sandbox = call->sandbox;
	int64_t in_ms = sandbox->options.ipn_delay_ms;
	struct parcel *parcel = courier_parcel(sandbox, PARCEL_IPN);
	if (parcel == NULL)
		return;
	parcel->sale = call->sale->seq;
	parcel->settles = true;
	parcel->fails = fails;
	if (call->url.n > 0) {
		parcel->url = strndup(call->url.p, call->url.n);
		tama_assert(parcel->url != NULL);
	}
	parcel_bend(parcel, call->after);
	if (fault_is(call->after, FAULT_IPN_LATE))
		in_ms = call->after->arg;
	if (fault_is(call->after, FAULT_IPN_FIRST)) {
		call->first = parcel;
		return;
	}
	courier_send(sandbox->courier, parcel, in_ms);
}

static int64_t ipns_wanted(const struct fault *after)
{
	if (fault_is(after, FAULT_PENDING_FOREVER))
		return 0;
	return fault_is(after, FAULT_IPN_TIMES) ? after->arg : 1;
}

static void execute_once(struct sandbox_call *call, bool is_collect, bool fails)
{
	struct sandbox *sandbox = call->sandbox;
	int service = ledger_service(&sandbox->ledger, call->service);
	struct sale sale = {
		.amount = call->amount,
		.moves = call->moves,
		.service = (uint16_t)(service >= 0 ? service : 0),
		.provider = (uint8_t)call->route->provider,
		.is_collect = is_collect,
	};
	(void)sandbox_copy(sale.number, sizeof(sale.number), call->number);
	(void)sandbox_copy(sale.ref, sizeof(sale.ref), call->ref);
	call->sale = ledger_execute(&sandbox->ledger, &sale);
	for (int64_t left = ipns_wanted(call->after); left > 0; left--)
		ipn_later(call, fails);
}

bool sandbox_can_pay(struct sandbox_call *call, bool is_collect, bool is_airtime)
{
	const struct wallet *wallet = &call->sandbox->ledger.wallets[call->route->provider];
	call->moves = wallet_moves(wallet, call->amount, is_collect, is_airtime);
	return is_collect || wallet->balance >= call->moves;
}

void sandbox_execute(struct sandbox_call *call, bool is_collect, bool fails)
{
	if (fault_is(call->fault, FAULT_EXECUTE_TWICE))
		execute_once(call, is_collect, fails);
	if (call->first == NULL)
		execute_once(call, is_collect, fails);
}

/* ---- a request --------------------------------------------------------------------------------
 */

static bool route_fits(
	const struct sandbox_route *route, const struct http_request *request, struct str *rest)
{
	struct str path = str_c(route->path);
	bool is_head = path.p[path.n - 1] == '/';
	if (!str_eq(str_c(route->method), request->method))
		return false;
	if (!is_head)
		return str_eq(path, request->path);
	*rest = str_from(request->path, path.n);
	return str_has_prefix(request->path, path) && rest->n > 0;
}

/* NULL when there is none; *index counts through all tables. */
static const struct sandbox_route *route_find(
	const struct http_request *request, struct str *rest, size_t *index)
{
	*index = 0;
	for (size_t i = 0; i < TABLES; i++) {
		for (const struct sandbox_route *r = ROUTE_TABLES[i]; r->method != NULL; r++) {
			if (route_fits(r, request, rest))
				return r;
			++*index;
		}
	}
	*index = SANDBOX_ROUTES;
	return NULL;
}

void sandbox_write_counts(const struct sandbox *sandbox, struct buf *out)
{
	size_t index = 0;
	buf_add_char(out, '{');
	for (size_t i = 0; i < TABLES; i++) {
		for (const struct sandbox_route *r = ROUTE_TABLES[i]; r->method != NULL; r++)
			buf_printf(out, "\"%s %s\":%" PRIu64 ",", r->method, r->path,
				sandbox->counts[index++]);
	}
	buf_printf(out, "\"other\":%" PRIu64 "}", sandbox->counts[SANDBOX_ROUTES]);
}

static void order_count(struct sandbox_call *call)
{
	if (call->route->op != OP_SUBMIT)
		return;
	call->sandbox->ledger.requested++;
	struct order *order =
		ledger_order(&call->sandbox->ledger, call->route->provider, call->ref);
	if (order != NULL)
		order->requested++;
}

static void faults_ask(struct sandbox_call *call)
{
	if (call->route->op == OP_CONTROL)
		return;
	call->fault = fault_take(&call->sandbox->faults, call, false);
	if (!fault_lets_execute(call->fault))
		return;
	if (call->route->op == OP_SUBMIT || call->route->op == OP_SEND)
		call->after = fault_take(&call->sandbox->faults, call, true);
}

static void act(struct sandbox_call *call)
{
	if (call->route->read != NULL)
		call->route->read(call);
	order_count(call);
	faults_ask(call);
	if (fault_lets_execute(call->fault))
		call->route->act(call);
	fault_bend_reply(call);
}

static void call_read(struct sandbox_call *call)
{
	const struct http_request *request = &call->turn->request;
	if (request->body.n > 0)
		call->json =
			json_loadb(request->body.p, request->body.n, JSON_REJECT_DUPLICATES, NULL);
	/* A query that is no form has no fields. */
	if (form_parse(request->query, &call->turn->arena, &call->query) != 0)
		call->query = (struct form){0};
}

static struct http_reply reply_of(struct sandbox_call *call)
{
	struct arena *arena = &call->turn->arena;
	struct http_reply reply = {
		.status = call->is_raw ? 0 : call->status,
		.type = str_c(call->type),
		.body = buf_str(call->out),
	};
	if (call->out->overflowed)
		return (struct http_reply){.status = 500};
	if (call->location.n > 0) {
		struct http_field *field = arena_alloc(arena, sizeof(*field));
		tama_assert(field != NULL);
		*field = (struct http_field){STR("Location"), call->location};
		reply.fields = field;
		reply.fields_len = 1;
	}
	return reply;
}

/* The reply leaves with a parcel: after its IPN, or at its own time. */
static bool reply_later(struct sandbox_call *call, const struct http_reply *reply)
{
	struct courier *courier = call->sandbox->courier;
	struct parcel *parcel = call->first;
	if (parcel == NULL && call->delay_ms > 0)
		parcel = courier_parcel(call->sandbox, PARCEL_ANSWER);
	if (parcel == NULL)
		return false;
	parcel->turn = call->turn;
	parcel->reply = *reply;
	parcel->reply.body = arena_str(&call->turn->arena, reply->body);
	courier_send(courier, parcel, call->delay_ms);
	return true;
}

static enum http_verdict handle(void *ctx, struct http_turn *turn, struct http_reply *reply)
{
	struct sandbox *sandbox = ctx;
	struct sandbox_call call = {
		.sandbox = sandbox,
		.turn = turn,
		.amount = -1,
		.status = 200,
		.type = "application/json",
	};
	bool is_later;
	size_t index;
	call.out = &sandbox->scratch[turn->worker];
	if (call.out->cap > SCRATCH_KEEP)
		buf_fini(call.out);
	buf_reset(call.out);
	call.route = route_find(&turn->request, &call.rest, &index);
	call_read(&call);
	tama_assert(pthread_mutex_lock(&sandbox->lock) == 0);
	sandbox->counts[index]++;
	if (sandbox->is_stopping)
		sandbox_reply(&call, 503, "application/json");
	else if (call.route != NULL)
		act(&call);
	else
		sandbox_reply(&call, 404, "application/json");
	*reply = reply_of(&call);
	is_later = call.is_parked || reply_later(&call, reply);
	tama_assert(pthread_mutex_unlock(&sandbox->lock) == 0);
	json_decref(call.json);
	return is_later ? HTTP_LATER : HTTP_NOW;
}

/* ---- the process ------------------------------------------------------------------------------
 */

static const struct sandbox_options DEFAULTS = {
	.listen = "127.0.0.1:9090",
	.shape = "both",
	.et_key = "demo-api-key",
	.xente_app_key = "demo-app-key",
	.xente_password = "demo-app-password",
	.xente_user = "demo-user",
	.sms_user = "demo",
	.sms_password = "demo-sms-password",
	.ipn_delay_ms = 300,
	.ipn_retry_ms = 500,
	.token_s = 3600,
	.workers = 2,
};

static int options_read(struct sandbox_options *o, int argc, char **argv)
{
	const struct cli_option table[] = {
		{"listen", CLI_TEXT, &o->listen, "ADDRESS:PORT  port 0: the kernel chooses"},
		{"ipn-base", CLI_TEXT, &o->ipn_base, "URL  where Xente's IPNs go"},
		{"ipn-delay-ms", CLI_NUMBER, &o->ipn_delay_ms, "N  from a request to its IPN"},
		{"ipn-retry-ms", CLI_NUMBER, &o->ipn_retry_ms,
			"N  to the first repetition of an IPN, doubled each time"},
		{"ledger", CLI_TEXT, &o->ledger, "FILE  a line of JSON for each execution"},
		{"spacing-ms", CLI_NUMBER, &o->spacing_ms,
			"N  429 within this time of the same number and amount; 0: never"},
		{"shape", CLI_TEXT, &o->shape, "flat, wrapped or both  EasyTransfert's replies"},
		{"et-key", CLI_TEXT, &o->et_key, "KEY  EasyTransfert's api_key"},
		{"et-signature", CLI_TEXT, &o->et_signature, "KEY  signs EasyTransfert's IPNs"},
		{"xente-key", CLI_TEXT, &o->xente_app_key, "KEY  appKey"},
		{"xente-password", CLI_TEXT, &o->xente_password, "TEXT  appPassword"},
		{"xente-user", CLI_TEXT, &o->xente_user, "TEXT  userId"},
		{"token-s", CLI_NUMBER, &o->token_s, "N  life of a token of Xente"},
		{"sms-user", CLI_TEXT, &o->sms_user, "TEXT  sendsms's username"},
		{"sms-password", CLI_TEXT, &o->sms_password, "TEXT  and password"},
		{"workers", CLI_NUMBER, &o->workers, "N  threads that answer"},
		{NULL, CLI_FLAG, NULL, NULL},
	};
	struct cli_line line = {.usage = "tama sandbox", .options = table};
	return cli_read(&line, argc, argv);
}

static int options_check(const struct sandbox_options *o, struct http_in_config *config)
{
	struct str listen = str_c(o->listen);
	const char *colon = strrchr(o->listen, ':');
	int64_t port;
	if (colon == NULL || !str_to_i64(str_c(colon + 1), &port) || port > UINT16_MAX) {
		(void)fputs("tama: --listen is ADDRESS:PORT\n", stderr);
		return CLI_USAGE;
	}
	if (o->workers < 1 || o->workers > LIMIT_HTTP_WORKERS ||
		(o->ipn_base != NULL && strlen(o->ipn_base) > SANDBOX_URL_MAX)) {
		(void)fputs("tama: --workers or --ipn-base is out of range\n", stderr);
		return CLI_USAGE;
	}
	listen.n = (size_t)(colon - o->listen);
	config->address = listen;
	config->port = (uint16_t)port;
	config->workers = (unsigned)o->workers;
	return 0;
}

static int sandbox_start(
	struct sandbox *sandbox, const struct http_in_config *config, struct err *err)
{
	tama_assert(pthread_mutex_init(&sandbox->lock, NULL) == 0);
	sandbox->scratch = calloc(config->workers, sizeof(sandbox->scratch[0]));
	sandbox->spacings = calloc(SANDBOX_SPACINGS, sizeof(sandbox->spacings[0]));
	tama_assert(sandbox->scratch != NULL && sandbox->spacings != NULL);
	for (unsigned i = 0; i < config->workers; i++)
		buf_init(&sandbox->scratch[i], SCRATCH_BYTES);
	messages_init(&sandbox->messages);
	int rc = ledger_init(&sandbox->ledger, sandbox->options.ledger, err);
	if (rc == 0)
		rc = http_out_global_init(err);
	if (rc == 0)
		rc = courier_start(sandbox, &sandbox->courier, err);
	if (rc == 0)
		rc = http_in_start(&sandbox->in, config, err);
	return rc;
}

/* Whoever waits is answered first: the listener does not stop on a suspended turn. */
static void sandbox_stop(struct sandbox *sandbox)
{
	if (sandbox->in != NULL)
		http_in_quiesce(sandbox->in);
	tama_assert(pthread_mutex_lock(&sandbox->lock) == 0);
	messages_expire(sandbox, 0, true);
	sandbox->is_stopping = true;
	tama_assert(pthread_mutex_unlock(&sandbox->lock) == 0);
	courier_stop(&sandbox->courier);
	http_in_stop(&sandbox->in);
	http_out_global_fini();
	ledger_fini(&sandbox->ledger);
	messages_fini(&sandbox->messages);
	faults_reset(&sandbox->faults);
	for (int64_t i = 0; i < sandbox->options.workers; i++)
		buf_fini(&sandbox->scratch[i]);
	free(sandbox->scratch);
	free(sandbox->spacings);
	tama_assert(pthread_mutex_destroy(&sandbox->lock) == 0);
}

int cmd_sandbox(int argc, char **argv)
{
	static struct sandbox sandbox;
	struct err err = ERR_INIT;
	sigset_t ends;
	int which;
	sandbox.options = DEFAULTS;
	struct http_in_config config = {
		.connections = CONNECTIONS,
		.allow_raw = true,
		.handler = handle,
		.ctx = &sandbox,
	};
	int rc = options_read(&sandbox.options, argc, argv);
	if (rc == 0)
		rc = options_check(&sandbox.options, &config);
	if (rc != 0)
		return rc == 1 ? 0 : rc;
	if (sodium_init() < 0)
		return CLI_FAILED;
	(void)sandbox_copy(
		sandbox.ipn_base, sizeof(sandbox.ipn_base), str_c(sandbox.options.ipn_base));
	/* Blocked before any thread is made, so that they come to sigwait alone. */
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	tama_assert(pthread_sigmask(SIG_BLOCK, &ends, NULL) == 0);
	rc = sandbox_start(&sandbox, &config, &err);
	if (rc == 0) {
		(void)printf("sandbox listening on %.*s:%u\n", STR_ARG(config.address),
			(unsigned)http_in_port(sandbox.in));
		(void)fflush(stdout);
		tama_assert(sigwait(&ends, &which) == 0);
	} else {
		(void)fprintf(stderr, "tama sandbox: %s\n", err.text);
	}
	sandbox_stop(&sandbox);
	return rc == 0 ? 0 : CLI_FAILED;
}
