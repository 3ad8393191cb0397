/* Provider requests: encoded, kept until D2 is durable, sent once, answered with an event. */
#include "wire_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"

#include <sodium.h>

/* A transfer to a provider under way. */
struct flight {
	struct wire *wire;
	struct prepared *request;
	const struct config *config; /* keeps request->terms.account alive */
	enum provider_call call;
	struct told told; /* in the request's arena, which is wiped with it */
	int64_t claimed_boot_ms;
	bool is_called_back; /* no byte may leave any more */
	struct flight *next, **link; /* of wire->flights */
};

/* ---- what was prepared -------------------------------------------------------------------------
 */

static struct prepared **bucket(struct wire *wire, uint64_t attempt)
{
	return &wire->prepared[(attempt ^ attempt >> 20) % PREPARED_BUCKETS];
}

static void prepared_free(struct prepared **p)
{
	config_unref(&(*p)->job->config);
	job_free(&(*p)->job);
	free(*p);
	*p = NULL;
}

/* Takes it out; NULL when there is none under that attempt and epoch. */
static struct prepared *prepared_take(struct wire *wire, uint64_t attempt, uint32_t epoch)
{
	for (struct prepared **p = bucket(wire, attempt); *p != NULL; p = &(*p)->next) {
		struct prepared *found = *p;

		if (found->job->attempt.attempt != attempt || found->job->attempt.epoch != epoch)
			continue;
		*p = found->next;
		return found;
	}
	return NULL;
}

void prepared_free_all(struct wire *wire)
{
	for (size_t i = 0; i < PREPARED_BUCKETS; i++)
		while (wire->prepared[i] != NULL) {
			struct prepared *p = wire->prepared[i];

			wire->prepared[i] = p->next;
			prepared_free(&p);
		}
}

/* ---- events ------------------------------------------------------------------------------------
 */

/* Evidence that could not be committed is offered again: it exists nowhere else. */
static void result_done(struct engine_event *event)
{
	struct wire *wire = event->user;

	if (event->outcome == ENGINE_NOT_DONE && !atomic_load(&wire->stop))
		wire->world.post(wire->world.ctx, event);
	else
		wire_event_free(event);
}

static struct engine_event *event_new(struct wire *wire, enum engine_event_kind kind)
{
	struct engine_event *event = calloc(1, sizeof(*event));

	tama_assert(event != NULL);
	event->kind = kind;
	event->user = wire;
	event->done = kind == ENGINE_RESULT ? result_done : wire_event_free;
	arena_init(&event->arena, LIMIT_REPLY_BYTES * 3);
	return event;
}

static void post_prepared(
	struct wire *wire, const struct wire_attempt *a, int outcome, const unsigned char *hash)
{
	struct engine_event *event = event_new(wire, ENGINE_PREPARED);

	event->as.prepared.attempt = a->attempt;
	event->as.prepared.partner = a->partner;
	event->as.prepared.epoch = a->epoch;
	event->as.prepared.outcome = outcome;
	if (hash != NULL)
		memcpy(event->as.prepared.body_hash, hash, VAULT_HASH_LEN);
	wire->world.post(wire->world.ctx, event);
}

/* ---- encoding ----------------------------------------------------------------------------------
 */

/* The reference and its MAC: the part of an attempt's own address that nobody can guess. */
static struct str ipn_token(struct wire *wire, struct str our_ref, struct arena *arena)
{
	char *token = arena_alloc(arena, our_ref.n + 35);

	if (token == NULL)
		return (struct str){NULL, 0};
	vault_ipn_token(wire->world.vault, our_ref, token);
	return str_c(token);
}

/* The per-attempt secret address, where the provider takes one (reliability 2.5). */
static struct str ipn_url(
	struct wire *wire, const struct account *account, struct str our_ref, struct arena *arena)
{
	struct str token = ipn_token(wire, our_ref, arena);

	return token.n == 0 ? token
			    : arena_printf(arena, "%.*s/ipn/%.*s/%.*s", STR_ARG(account->ipn_base),
				      STR_ARG(account->name), STR_ARG(token));
}

struct str ipn_mac(
	struct wire *wire, const struct account *account, struct str our_ref, struct arena *arena)
{
	if (!account->profile->ref_in_path || our_ref.n == 0)
		return (struct str){NULL, 0};
	return str_from(ipn_token(wire, our_ref, arena), our_ref.n + 1);
}

static void fill_terms(struct wire *wire, struct job *job, const struct account *account,
	struct provider_terms *out)
{
	const struct wire_attempt *a = &job->attempt;
	char national[MSISDN_MAX + 2] = "";

	*out = (struct provider_terms){
		.account = account, .verb = a->verb, .has_otp = a->needs_secret};
	out->terms.our_ref = a->our_ref;
	out->terms.provider_id = a->provider_id;
	out->terms.amount = a->amount;
	out->terms.currency = currency_find(a->currency);
	out->terms.service = a->service;
	memcpy(out->terms.number.digits, a->number.p,
		a->number.n < MSISDN_MAX ? a->number.n : MSISDN_MAX);
	for (size_t i = 0; i < wire->config->countries_len && national[0] == '\0'; i++)
		msisdn_national(&out->terms.number, &wire->config->countries[i].plan, national);
	out->terms.national = arena_str(&job->arena, str_c(national));
	if (account->profile->ref_in_path)
		out->ipn_url = ipn_url(wire, account, a->our_ref, &job->arena);
}

static const struct account *account_of(struct wire *wire, const struct wire_attempt *a)
{
	const struct account *account = config_account(wire->config, a->account);

	return account != NULL && account->partner->id == a->partner ? account : NULL;
}

/* The request with marks in place of secrets: what the body hash of D2 is of. */
static void hash_call(struct job *job, const struct http_call *call, unsigned char *hash)
{
	struct str all = arena_printf(&job->arena, "%.*s %.*s\n%.*s", STR_ARG(call->method),
		STR_ARG(call->url), STR_ARG(call->body));

	vault_digest(all, hash);
}

static bool secret_is_there(struct wire *wire, const struct wire_attempt *a)
{
	char otp[LIMIT_SECRET_BYTES];
	bool is_there = a->secret_is_ours && secrets_copy(wire->world.secrets, a->secret,
						     clock_wall_ms(), otp, sizeof(otp)) == 0;

	sodium_memzero(otp, sizeof(otp));
	return is_there;
}

/* Builds the request, or tells why not. On 0 the prepared owns the job. */
static int build(struct wire *wire, struct job *job, enum provider_call call, struct prepared **out)
{
	const struct account *account = account_of(wire, &job->attempt);
	struct err err = ERR_INIT;
	struct prepared *p;
	int rc;

	if (account == NULL)
		return PREPARED_LATER;
	if (!token_ready(wire, account, job))
		return -1;
	p = calloc(1, sizeof(*p));
	tama_assert(p != NULL);
	p->job = job;
	job->config = config_ref(wire->config);
	fill_terms(wire, job, account, &p->terms);
	rc = dialect_provider_request(wire->host, call, &p->terms, &job->arena, &p->call, &err);
	if (rc != 0 ||
		(marks_has(&p->call, STR("token")) && token_of(wire, account->name).n == 0)) {
		if (rc != 0)
			wire->world.alarm(wire->world.ctx, "dialect", account->name, err.text);
		config_unref(&job->config);
		free(p);
		return rc != 0 ? PREPARED_NEVER : PREPARED_LATER;
	}
	*out = p;
	return PREPARED_OK;
}

void job_prepare(struct wire *wire, struct job *job)
{
	unsigned char hash[VAULT_HASH_LEN];
	struct prepared *p = NULL;
	struct prepared **head;
	int outcome = PREPARED_SECRET_LOST;

	if (!job->attempt.needs_secret || secret_is_there(wire, &job->attempt))
		outcome = build(wire, job, PROVIDER_SUBMIT, &p);
	if (outcome < 0)
		return; /* waits for a login */
	if (p == NULL) {
		post_prepared(wire, &job->attempt, outcome, NULL);
		job_free(&job);
		return;
	}
	hash_call(job, &p->call, hash);
	head = bucket(wire, job->attempt.attempt);
	p->next = *head;
	*head = p;
	post_prepared(wire, &job->attempt, PREPARED_OK, hash);
}

/* Too late is no harm: its first byte has left, and its result tells what came of it. */
static void call_back(struct wire *wire, const struct wire_attempt *a)
{
	for (struct flight *f = wire->flights; f != NULL; f = f->next) {
		const struct wire_attempt *of = &f->request->job->attempt;

		if (f->call == PROVIDER_SUBMIT && of->attempt == a->attempt &&
			of->epoch == a->epoch)
			f->is_called_back = true;
	}
}

void job_drop(struct wire *wire, struct job *job)
{
	struct prepared *p = prepared_take(wire, job->attempt.attempt, job->attempt.epoch);

	if (p != NULL)
		prepared_free(&p);
	else
		call_back(wire, &job->attempt);
	job_free(&job);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static bool mark_value(void *ctx, struct str name, struct str *value_out)
{
	const struct told *told = ctx;

	if (str_eq(name, STR("otp"))) {
		*value_out = told->otp;
		return told->otp.n > 0;
	}
	if (str_eq(name, STR("token"))) {
		*value_out = told->token;
		return told->token.n > 0;
	}
	return marks_configured(told->account->fields, told->account->fields_len, name, value_out);
}

static void read_facts(
	struct flight *f, const struct http_out_result *result, struct engine_event *event)
{
	struct engine_result *r = &event->as.result;
	struct err err = ERR_INIT;
	int rc;

	if (result->transfer.end != TRANSFER_COMPLETE)
		return;
	rc = dialect_provider_reply(f->wire->host, f->call, &f->request->terms,
		result->transfer.status, result->body, &event->arena, &r->facts, &err);
	if (rc != 0) {
		r->facts = (struct facts){.is_valid = false};
		f->wire->world.alarm(
			f->wire->world.ctx, "dialect", f->request->terms.account->name, err.text);
	}
}

/*
 * What this request tells, kept until its answer is there: by then the code's time may be over and
 * the token another.
 */
static void tell(struct flight *f)
{
	const struct wire_attempt *a = &f->request->job->attempt;
	struct arena *arena = &f->request->job->arena;
	const struct account *account = f->request->terms.account;
	char otp[LIMIT_SECRET_BYTES] = "";

	if (a->needs_secret && a->secret_is_ours)
		(void)secrets_copy(
			f->wire->world.secrets, a->secret, clock_wall_ms(), otp, sizeof(otp));
	f->told = (struct told){.account = account,
		.otp = arena_str(arena, str_c(otp)),
		.token = arena_str(arena, token_of(f->wire, account->name)),
		.ipn_mac = ipn_mac(f->wire, account, a->our_ref, arena)};
	sodium_memzero(otp, sizeof(otp));
}

static void flight_free(struct flight *f)
{
	*f->link = f->next;
	if (f->next != NULL)
		f->next->link = f->link;
	prepared_free(&f->request);
	config_unref(&f->config);
	free(f);
}

static void flight_done(void *ctx, const struct http_out_result *result)
{
	struct flight *f = ctx;
	struct wire *wire = f->wire;
	const struct wire_attempt *a = &f->request->job->attempt;
	struct engine_event *event = event_new(wire, ENGINE_RESULT);
	struct engine_result *r = &event->as.result;

	CRASH_POINT(f->call == PROVIDER_SUBMIT ? "K17" : "K24");
	r->attempt = a->attempt;
	r->partner = a->partner;
	r->epoch = a->epoch;
	r->call = f->call;
	r->transfer = result->transfer;
	r->reason = result->reason;
	read_facts(f, result, event);
	r->raw = secrets_redact(&f->told, result->body, &event->arena);
	r->reason = arena_str(&event->arena, str_c(result->reason)).p;
	if (result->transfer.status == 401)
		token_forget(wire, f->request->terms.account->name);
	/* Once a byte of it has left, nothing will ever send this secret again. */
	if (a->needs_secret && result->transfer.bytes_sent > 0)
		secrets_forget(wire->world.secrets, a->secret);
	wire->world.post(wire->world.ctx, event);
	flight_free(f);
}

/*
 * The owner's last look before a byte can leave (reliability 2.5): is the claim young, and has it
 * not been called back? A query that was held up is not made either: the provider's pause is
 * counted from when it was asked for.
 */
static bool may_leave(void *ctx)
{
	const struct flight *f = ctx;

	if (f->call == PROVIDER_SUBMIT)
		CRASH_POINT("K13");
	return !f->is_called_back && clock_boot_ms() - f->claimed_boot_ms <= LIMIT_CLAIM_MS;
}

/* Sends what was built. Whatever goes wrong ends in flight_done with zero bytes sent. */
static void launch(struct wire *wire, struct prepared *p, enum provider_call call, int64_t claimed)
{
	struct flight *f = calloc(1, sizeof(*f));
	struct http_call filled;
	struct http_out_request request = {.call = &filled,
		.is_money = call == PROVIDER_SUBMIT,
		.private_nets = p->terms.account->private_nets,
		.done = flight_done,
		.ready = may_leave,
		.ctx = f};
	struct arena arena;
	int rc;

	tama_assert(f != NULL);
	*f = (struct flight){.wire = wire,
		.request = p,
		.config = config_ref(p->job->config),
		.call = call,
		.claimed_boot_ms = claimed,
		.next = wire->flights,
		.link = &wire->flights};
	wire->flights = f;
	if (f->next != NULL)
		f->next->link = &f->next;
	arena_init(&arena, LIMIT_TURN_BYTES);
	tell(f);
	rc = marks_fill(&p->call, mark_value, &f->told, &arena, &filled);
	if (rc == 0)
		rc = http_out_submit(wire->out, &request);
	arena_fini(&arena);
	if (rc != 0) {
		struct http_out_result none = {
			.transfer = {.end = TRANSFER_NOT_STARTED}, .reason = "not submitted"};

		flight_done(f, &none);
	}
}

/* The one word to go of this claim is answered here, so nothing of it has left or will. */
void go_refuse(struct wire *wire, const struct wire_attempt *attempt)
{
	struct prepared *p = prepared_take(wire, attempt->attempt, attempt->epoch);
	struct engine_event *event = event_new(wire, ENGINE_RESULT);

	event->as.result.attempt = attempt->attempt;
	event->as.result.partner = attempt->partner;
	event->as.result.epoch = attempt->epoch;
	event->as.result.call = PROVIDER_SUBMIT;
	event->as.result.transfer.end = TRANSFER_NOT_STARTED;
	event->as.result.reason = p != NULL ? "stopping" : "nothing prepared";
	if (p != NULL)
		prepared_free(&p);
	wire->world.post(wire->world.ctx, event);
}

void job_go(struct wire *wire, struct job *job)
{
	struct prepared *p = prepared_take(wire, job->attempt.attempt, job->attempt.epoch);

	if (p == NULL)
		go_refuse(wire, &job->attempt);
	else {
		wire->money_requests++;
		launch(wire, p, PROVIDER_SUBMIT, job->claimed_boot_ms);
	}
	job_free(&job);
}

void job_query(struct wire *wire, struct job *job)
{
	struct prepared *p = NULL;
	int outcome = build(wire, job, PROVIDER_STATUS, &p);

	if (outcome < 0)
		return;
	if (p == NULL) {
		job_free(&job); /* the row's lease brings it again */
		return;
	}
	wire->queries++;
	launch(wire, p, PROVIDER_STATUS, job->claimed_boot_ms);
}
