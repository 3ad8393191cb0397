/*
 * The process's side of the wire, as src/engine/wire_*.c plays it in production: requests are
 * encoded by the dialects and kept with marks until D2 is durable, secrets put in when the bytes
 * leave, answers and IPNs read by the dialects. What is kept here dies with the process.
 */
#include "sim.h"

#include "../../src/engine/wire_priv.h"

static void copy(char out[static SIM_TEXT], struct str s)
{
	(void)snprintf(out, SIM_TEXT, "%.*s", STR_ARG(s));
}

static const struct account *account_of(const struct sim *s, const struct request *r)
{
	return config_account(s->shared->config, str_c(r->account));
}

/* ---- requests ----------------------------------------------------------------------------------
 */

void request_free(struct request *r)
{
	if (r->arena == NULL)
		return;
	arena_fini(r->arena);
	free(r->arena);
	r->arena = NULL;
}

bool request_is_honoured(const struct request *r)
{
	return strcmp(r->account, "xente-i") == 0;
}

static struct request *note_request(struct sim *s, const struct wire_attempt *a)
{
	size_t sent = sim_sent(s, a->attempt);

	s->requests =
		sim_grow(s->requests, s->requests_len, &s->requests_cap, sizeof(*s->requests));
	struct request *r = &s->requests[s->requests_len++];

	memset(r, 0, sizeof(*r));
	r->a = *a;
	r->sent = sent;
	copy(r->account, a->account);
	copy(r->verb, a->verb);
	copy(r->service, a->service);
	copy(r->our_ref, a->our_ref);
	copy(r->provider_id, a->provider_id);
	copy(r->number, a->number);
	copy(r->currency, a->currency);
	return r;
}

static void fill_terms(
	struct sim *s, const struct request *r, struct arena *arena, struct provider_terms *out)
{
	const struct config *config = s->shared->config;
	const struct account *account = account_of(s, r);
	char national[MSISDN_MAX + 2] = "", *token;

	*out = (struct provider_terms){
		.account = account, .verb = str_c(r->verb), .has_otp = r->a.needs_secret};
	out->terms.our_ref = str_c(r->our_ref);
	out->terms.provider_id = str_c(r->provider_id);
	out->terms.amount = r->a.amount;
	out->terms.currency = currency_find(str_c(r->currency));
	out->terms.service = str_c(r->service);
	(void)snprintf(
		out->terms.number.digits, sizeof(out->terms.number.digits), "%.15s", r->number);
	for (size_t i = 0; i < config->countries_len && national[0] == '\0'; i++)
		msisdn_national(&out->terms.number, &config->countries[i].plan, national);
	out->terms.national = arena_str(arena, str_c(national));
	if (!account->profile->ref_in_path)
		return;
	token = arena_alloc(arena, strlen(r->our_ref) + 35);
	vault_ipn_token(s->shared->vault, str_c(r->our_ref), token);
	out->ipn_url = arena_printf(arena, "%.*s/ipn/%.*s/%s", STR_ARG(account->ipn_base),
		STR_ARG(account->name), token);
}

static char *token_at(struct sim *s, const struct account *account)
{
	size_t at = (size_t)(account - s->shared->config->accounts);

	tama_assert(at < SIM_ROWS(s->tokens));
	return s->tokens[at];
}

struct mark_context {
	struct sim *s;
	const struct request *r;
	const struct account *account;
};

static bool mark_value(void *ctx, struct str name, struct str *value_out)
{
	const struct mark_context *m = ctx;

	if (str_eq(name, STR("otp"))) {
		*value_out = str_c(sim_press(m->s, m->s->sent[m->r->sent].press)->otp);
		return value_out->n > 0;
	}
	if (str_eq(name, STR("token"))) {
		*value_out = str_c(token_at(m->s, m->account));
		return value_out->n > 0;
	}
	return marks_configured(m->account->fields, m->account->fields_len, name, value_out);
}

/* A login takes no time here. */
static void log_in(struct sim *s, const struct account *account)
{
	struct mark_context marks = {s, NULL, account};
	struct http_call call, filled;
	struct provider_token token;
	struct arena arena;

	if (token_at(s, account)[0] != '\0')
		return;
	arena_init(&arena, LIMIT_TURN_BYTES);
	if (dialect_provider_login(s->shared->host, account, &arena, &call, NULL) == 0 &&
		marks_fill(&call, mark_value, &marks, &arena, &filled) == 0 &&
		dialect_provider_token(s->shared->host, account, 200,
			provider_login(s, &filled, &arena), &arena, &token, NULL) == 0)
		copy(token_at(s, account), token.token);
	arena_fini(&arena);
}

static bool build(struct sim *s, struct request *r, enum provider_call call)
{
	struct provider_terms terms;
	struct err err = ERR_INIT;
	int rc;

	r->arena = calloc(1, sizeof(*r->arena));
	tama_assert(r->arena != NULL);
	arena_init(r->arena, LIMIT_TURN_BYTES);
	log_in(s, account_of(s, r));
	fill_terms(s, r, r->arena, &terms);
	rc = dialect_provider_request(s->shared->host, call, &terms, r->arena, &r->call, &err);
	if (rc != 0)
		sim_break(
			s, &s->report->unexplained, "a dialect cannot say a request: %s", err.text);
	return rc == 0;
}

/* What D2 keeps of it: with marks, so nothing secret is hashed. */
static void hash_call(const struct request *r, unsigned char out[static VAULT_HASH_LEN])
{
	struct str all = arena_printf(r->arena, "%.*s %.*s\n%.*s", STR_ARG(r->call.method),
		STR_ARG(r->call.url), STR_ARG(r->call.body));

	vault_digest(all, out);
}

/* The bytes as they leave; false when a secret is not there any more. */
static bool fill_call(struct sim *s, struct request *r)
{
	struct mark_context marks = {s, r, account_of(s, r)};

	r->has_left = marks_fill(&r->call, mark_value, &marks, r->arena, &r->filled) == 0;
	return r->has_left;
}

void wire_forget(struct sim *s)
{
	for (size_t i = 0; i < s->requests_len; i++) {
		s->requests[i].is_kept = false;
		if (!s->requests[i].has_left)
			request_free(&s->requests[i]);
	}
	memset(s->tokens, 0, sizeof(s->tokens));
}

/* ---- effects -----------------------------------------------------------------------------------
 */

/* False once the process has died among its effects. */
bool wire_lives(struct sim *s)
{
	if (s->effects_left == 0 || process_is_dying(s))
		return false;
	if (s->effects_left > 0)
		s->effects_left--;
	return true;
}

static int64_t world_wall(void *ctx)
{
	const struct sim *s = ctx;

	return s->now_ms + s->wall_ms;
}

static int64_t world_boot(void *ctx)
{
	return ((const struct sim *)ctx)->now_ms - SIM_EPOCH + SIM_HOUR;
}

static void world_random(void *ctx, void *bytes, size_t n)
{
	unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(sim_mix(&((struct sim *)ctx)->wire_chance) >> 32);
}

/* What the wire says about a request it was asked to encode, and when. */
static bool prepare_badly(struct sim *s, const struct wire_attempt *a, struct task *task,
	uint32_t uid, int64_t *in_ms)
{
	switch (sim_below(s, uid, 5)) {
	case 0:
		return false; /* its queue is full */
	case 1:
		task->what = PREPARED_LATER;
		break;
	case 2:
		task->what = PREPARED_SECRET_LOST;
		break;
	case 3:
		*in_ms = (int64_t)sim_below(s, uid, 12 * SIM_MINUTE); /* past lease or expiry */
		break;
	default:
		(void)note_request(s, a); /* twice */
		sim_later(s, 100,
			(struct task){.kind = TASK_PREPARED,
				.life = s->life,
				.what = PREPARED_OK,
				.index = s->requests_len - 1});
		break;
	}
	return true;
}

static bool world_prepare(void *ctx, const struct wire_attempt *a)
{
	struct sim *s = ctx;
	struct task task = {.kind = TASK_PREPARED, .life = s->life, .what = PREPARED_OK};
	struct request *r;
	uint32_t uid;
	int64_t in_ms = 0;

	if (!wire_lives(s))
		return false;
	r = note_request(s, a);
	uid = s->sent[r->sent].press;
	task.index = s->requests_len - 1;
	sim_trace(s, 1, uid);
	if (a->needs_secret && !a->secret_is_ours)
		task.what = PREPARED_SECRET_LOST;
	else if (sim_strikes(s, FAULT_PREPARE, uid) && !prepare_badly(s, a, &task, uid, &in_ms))
		return false;
	sim_later(s, in_ms, task);
	return true;
}

static void prepared(struct sim *s, const struct task *task)
{
	struct request *r = &s->requests[task->index];
	struct engine_prepared *p = &sim_event(s, ENGINE_PREPARED, task->index)->as.prepared;

	p->attempt = r->a.attempt;
	p->partner = r->a.partner;
	p->epoch = r->a.epoch;
	p->outcome = task->what;
	if (task->what != PREPARED_OK)
		return;
	if (!build(s, r, PROVIDER_SUBMIT))
		return;
	r->is_kept = true;
	hash_call(r, p->body_hash);
}

static struct request *find_kept(struct sim *s, uint64_t attempt, uint32_t epoch)
{
	for (size_t i = s->requests_len; i-- > 0;)
		if (s->requests[i].is_kept && s->requests[i].a.attempt == attempt &&
			s->requests[i].a.epoch == epoch)
			return &s->requests[i];
	return NULL;
}

static bool world_go(
	void *ctx, uint32_t partner, uint64_t attempt, uint32_t epoch, int64_t claimed_ms)
{
	struct sim *s = ctx;
	struct request *r;
	uint32_t uid;
	int64_t in_ms = 0;

	if (!wire_lives(s))
		return false;
	r = find_kept(s, attempt, epoch);
	if (r == NULL) {
		sim_break(s, &s->report->unexplained, "told to send what was not prepared");
		return false;
	}
	uid = s->sent[r->sent].press;
	if (sqlite3_get_autocommit(sim_handle(s)) == 0)
		sim_break(s, &s->report->unexplained,
			"I3: told to send before the claim is committed");
	sim_trace(s, 2, uid);
	r->is_kept = false;
	if (sim_strikes(s, FAULT_STALL, uid))
		in_ms = (int64_t)sim_below(s, uid, SIM_MINUTE);
	sim_later(s, in_ms,
		(struct task){.kind = TASK_GO,
			.life = s->life,
			.index = (size_t)(r - s->requests),
			.claimed_ms = claimed_ms});
	return true;
}

static void world_drop(void *ctx, uint64_t attempt, uint32_t epoch)
{
	struct sim *s = ctx;
	struct request *r;

	if (!wire_lives(s))
		return;
	r = find_kept(s, attempt, epoch);
	if (r != NULL) {
		r->is_kept = false;
		request_free(r);
		return;
	}
	for (size_t i = 0; i < s->requests_len; i++)
		if (s->requests[i].a.attempt == attempt && s->requests[i].a.epoch == epoch)
			s->requests[i].is_called_back = true;
}

static bool world_query(void *ctx, const struct wire_attempt *a)
{
	struct sim *s = ctx;
	struct request *r;
	uint32_t uid;

	if (!wire_lives(s))
		return false;
	r = note_request(s, a);
	uid = s->sent[r->sent].press;
	sim_trace(s, 3, uid);
	if (!build(s, r, PROVIDER_STATUS))
		return false;
	sim_later(s, (int64_t)sim_below(s, uid, 500),
		(struct task){.kind = TASK_QUERY,
			.life = s->life,
			.index = s->requests_len - 1,
			.claimed_ms = world_boot(s)});
	return true;
}

static bool world_sms(void *ctx, const struct wire_sms *sms)
{
	struct sim *s = ctx;
	struct task task = {.kind = TASK_SMS, .life = s->life, .id = sms->outbox, .what = SMS_SENT};

	if (!wire_lives(s))
		return false;
	sim_trace(s, 4, sim_digest(sms->text));
	if (sim_strikes(s, FAULT_SMS, 0)) {
		if (sim_below(s, 0, 3) == 0)
			return true; /* lost without an answer */
		task.what = sim_below(s, 0, 2) ? SMS_RETRY : SMS_DOUBT;
	}
	sim_later(s, 200, task);
	return true;
}

static void world_alarm(void *ctx, const char *what, struct str ref, const char *detail)
{
	static const char *const ours[] = {"due_failed", "event_refused", "recovery", "impossible",
		"never_sent", "unsendable"};
	struct sim *s = ctx;

	for (size_t i = 0; i < SIM_ROWS(ours); i++)
		if (strcmp(what, ours[i]) == 0 && !process_is_dying(s) && s->restored_ms == 0)
			sim_break(s, &s->report->unexplained, "alarm %s: %s", what, detail);
}

void wire_world(struct sim *s, struct engine_world *out)
{
	*out = (struct engine_world){s, world_wall, world_boot, world_random, world_prepare,
		world_go, world_drop, world_query, world_sms, world_alarm, NULL, false};
}

/* ---- bytes out ---------------------------------------------------------------------------------
 */

static void answer_without_sending(struct sim *s, const struct task *task, enum answer what)
{
	sim_later(s, 0,
		(struct task){.kind = TASK_RESULT,
			.life = s->life,
			.index = task->index,
			.what = what,
			.id = SIZE_MAX});
}

/* The owner's last look at its claim before a byte can leave (reliability.md 2.5). */
static void go(struct sim *s, const struct task *task)
{
	struct request *r = &s->requests[task->index];
	uint32_t uid = s->sent[r->sent].press;
	struct task arrive = {.kind = TASK_ARRIVE, .life = s->life, .index = task->index};

	enum answer why_not = ANSWER_NONE;

	if (world_boot(s) - task->claimed_ms > LIMIT_CLAIM_MS || r->is_called_back ||
		!fill_call(s, r))
		why_not = ANSWER_ABANDONED;
	else if (sim_strikes(s, FAULT_CONNECT, uid))
		why_not = ANSWER_CONNECT;
	if (why_not != ANSWER_NONE) {
		request_free(r);
		answer_without_sending(s, task, why_not);
		return;
	}
	check_departure(s, r);
	s->sent[r->sent].left++;
	s->sent[r->sent].body = sim_digest(r->filled.body);
	s->sent[r->sent].left_ms = s->now_ms;
	sim_later(s, (int64_t)sim_below(s, uid, 1000), arrive);
	if (s->plan->mutant == MUTANT_SENDS_TWICE && s->sent[r->sent].left == 1 &&
		sim_strikes(s, FAULT_REPLY_LOST, uid))
		sim_later(s, 1000, arrive);
}

/* The bytes are with the provider, or died with their sender. */
static void arrive(struct sim *s, const struct task *task)
{
	struct request *r = &s->requests[task->index];
	uint32_t uid = s->sent[r->sent].press;

	if (!s->is_up || task->life != s->life) {
		sim_mark(s, uid);
		if (sim_below(s, uid, 2) == 0)
			return;
	}
	if (r->arena != NULL)
		provider_arrive(s, task, &r->filled);
	if (s->plan->mutant != MUTANT_SENDS_TWICE)
		request_free(&s->requests[task->index]);
}

static void query(struct sim *s, const struct task *task)
{
	struct request *r = &s->requests[task->index];

	if (world_boot(s) - task->claimed_ms <= LIMIT_CLAIM_MS && fill_call(s, r))
		provider_query(s, task, &r->filled);
	else
		sim_later(s, 0,
			(struct task){.kind = TASK_RESULT,
				.life = s->life,
				.index = task->index,
				.what = ANSWER_ABANDONED,
				.id = SIZE_MAX,
				.tries = 1});
	request_free(&s->requests[task->index]);
}

/* ---- bytes in ----------------------------------------------------------------------------------
 */

/* The provider's answer, through the dialect. */
static void result(struct sim *s, const struct task *task)
{
	struct request *r = &s->requests[task->index];
	const struct order *order = task->id < s->orders_len ? &s->orders[task->id] : NULL;
	struct engine_event *event = sim_event(s, ENGINE_RESULT, task->index);
	struct engine_result *out = &event->as.result;
	bool is_query = task->tries > 0;
	struct answer_bytes bytes = speech_answer(s, task, order, is_query, &event->arena);
	struct provider_terms terms;
	struct err err = ERR_INIT;

	*out = (struct engine_result){.attempt = r->a.attempt,
		.partner = r->a.partner,
		.epoch = r->a.epoch,
		.call = is_query ? PROVIDER_STATUS : PROVIDER_SUBMIT,
		.transfer = bytes.transfer,
		.reason = "simulated"};
	out->raw = secrets_redact(
		&(struct told){.account = account_of(s, r)}, bytes.body, &event->arena);
	if (bytes.transfer.status == 401)
		token_at(s, account_of(s, r))[0] = '\0';
	if (bytes.transfer.end != TRANSFER_COMPLETE)
		return;
	if (bytes.is_truth)
		sim_tells(event, r->sent);
	fill_terms(s, r, &event->arena, &terms);
	if (dialect_provider_reply(s->shared->host, out->call, &terms, bytes.transfer.status,
		    bytes.body, &event->arena, &out->facts, &err) != 0)
		sim_break(s, &s->report->unexplained, "a dialect fails on an answer: %s", err.text);
}

/* Path and secret as routes.c wants them: /ipn/<account>/<token of the reference or secret>. */
static const struct account *door(struct sim *s, struct str path, struct str *ref_out)
{
	struct str rest = str_has_prefix(path, STR("/ipn/")) ? str_from(path, 5) : STR("");
	const struct account *account = config_account(s->shared->config, str_cut(&rest, '/'));

	*ref_out = (struct str){NULL, 0};
	if (account == NULL)
		return NULL;
	if (account->profile->ref_in_path)
		return vault_ipn_verify(s->shared->vault, rest, ref_out) == 0 ? account : NULL;
	return vault_equal(rest, account->ipn_secret) ? account : NULL;
}

void gateway_ipn(
	struct sim *s, const struct task *task, struct str path, struct str query, struct str body)
{
	static const struct http_field fields[] = {
		{STR_INIT("Content-Type"), STR_INIT("application/json")}};
	struct engine_event *event = sim_ipn(s, task, sim_digest(body));
	struct engine_ipn *ipn = &event->as.ipn;
	struct http_request request = {.method = STR("POST"),
		.fields = fields,
		.fields_len = SIM_ROWS(fields),
		.peer = STR("127.0.0.1")};
	struct err err = ERR_INIT;

	request.path = arena_str(&event->arena, path);
	request.query = arena_str(&event->arena, query);
	request.body = arena_str(&event->arena, body);
	ipn->account = door(s, request.path, &ipn->path_ref);
	if (ipn->account != NULL && task->what == NEWS_FORGED)
		sim_break(s, &s->report->unexplained, "F-E8: a forged IPN was let in");
	if (ipn->account == NULL ||
		dialect_provider_ipn(s->shared->host, ipn->account, &request, (struct str){NULL, 0},
			&event->arena, &ipn->facts, &err) != 0 ||
		!ipn->facts.is_valid) {
		sim_discard(event); /* 404 or 400: nobody learns more */
		return;
	}
	if (provider_ipn_is_truth(s, task))
		sim_tells(event, s->orders[task->index].sent);
	if (task->what == NEWS_BROKEN)
		sim_break(s, &s->report->unexplained, "F-D11: broken bytes were understood");
	ipn->raw = secrets_redact(
		&(struct told){.account = ipn->account}, request.body, &event->arena);
	sim_post(s, event);
}

void wire_task(struct sim *s, const struct task *task)
{
	bool is_dead = !s->is_up || task->life != s->life;

	if (task->kind == TASK_ARRIVE) {
		arrive(s, task);
		return;
	}
	if (is_dead)
		return;
	switch ((int)task->kind) {
	case TASK_PREPARED:
		prepared(s, task);
		break;
	case TASK_GO:
		go(s, task);
		break;
	case TASK_RESULT:
		result(s, task);
		break;
	case TASK_QUERY:
		query(s, task);
		break;
	case TASK_SMS:
		sim_event(s, ENGINE_SMS_RESULT, 0)->as.sms =
			(struct engine_sms_result){task->id, 1, (enum sms_verdict)task->what};
		break;
	default:
		break;
	}
}
