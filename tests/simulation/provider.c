/*
 * Two providers with ledgers of their own. EasyTransfert takes an IPN address an attempt and blocks
 * whoever calls twice within 15 minutes; Xente sends hints that a query confirms. Both carry out
 * what they read in the bytes that reach them, and then every fault of reliability.md 3.4 and 3.5
 * may befall the news of it.
 */
#include "sim.h"

#define PAUSE_MS (15 * SIM_MINUTE)
/* A claim is durable before its bytes arrive: the gap that a provider sees may be so much shorter,
 * by the 10 s a claim may age, and the way. */
#define PAUSE_SLACK_MS (12 * SIM_SECOND)

static uint32_t uid_of(const struct sim *s, const struct order *o)
{
	return s->sent[o->sent].press;
}

/* ---- their ledgers -----------------------------------------------------------------------------
 */

static size_t order_new(struct sim *s, size_t request, const struct order *read)
{
	s->orders = sim_grow(s->orders, s->orders_len, &s->orders_cap, sizeof(*s->orders));
	struct order *o = &s->orders[s->orders_len];

	*o = *read;
	o->request = request;
	o->sent = s->requests[request].sent;
	o->amount = o->asked;
	o->made_ms = s->now_ms;
	if (o->is_honoured && sim_strikes(s, FAULT_HIDDEN, s->sent[o->sent].press))
		o->hidden_ms = (int64_t)sim_below(s, s->sent[o->sent].press, 2 * SIM_HOUR);
	(void)snprintf(o->id, sizeof(o->id), o->is_xente ? "0f595604-%04zx" : "EFB.%06zu",
		s->orders_len + 1);
	s->requests[request].order = s->orders_len + 1;
	return s->orders_len++;
}

static void carry_out(struct sim *s, struct order *o)
{
	struct sent *sent = &s->sent[o->sent];

	o->state = ORDER_DONE;
	s->report->executions++;
	sent->done++;
	sent->right += o->amount == o->asked;
	check_execution(s, o);
}

/* They block abusers: no two calls for one number and amount within the pause. */
static void note_call(struct sim *s, const struct order *o)
{
	char key[sizeof(((struct call *)NULL)->key)];

	if (o->is_xente)
		return;
	(void)snprintf(key, sizeof(key), "%s %lld", o->number, (long long)o->asked);
	for (size_t i = 0; i < s->calls_len; i++)
		if (strcmp(s->calls[i].key, key) == 0) {
			/* A restored copy does not know of the last calls before it. */
			if (s->now_ms - s->calls[i].at_ms < PAUSE_MS - PAUSE_SLACK_MS &&
				s->calls[i].at_ms > s->restored_ms)
				sim_break(s, &s->report->unexplained,
					"X7: two calls within the pause");
			s->calls[i].at_ms = s->now_ms;
			return;
		}
	s->calls = sim_grow(s->calls, s->calls_len, &s->calls_cap, sizeof(*s->calls));
	s->calls[s->calls_len].at_ms = s->now_ms;
	memcpy(s->calls[s->calls_len++].key, key, sizeof(key));
}

/* ---- news --------------------------------------------------------------------------------------
 */

static void send_ipn(struct sim *s, size_t order, enum news news, int64_t in_ms)
{
	sim_later(s, in_ms, (struct task){.kind = TASK_IPN, .index = order, .what = news});
}

/* What is false, or about nobody, or from nobody. */
static void announce_badly(struct sim *s, size_t order, uint32_t uid)
{
	static const struct {
		enum fault fault;
		enum news news;
	} bad[] = {
		{FAULT_IPN_WRONG, NEWS_OTHER_AMOUNT},
		{FAULT_IPN_STRANGE, NEWS_OF_NOBODY},
		{FAULT_IPN_FORGED, NEWS_FORGED},
		{FAULT_IPN_BROKEN, NEWS_BROKEN},
	};

	for (size_t i = 0; i < SIM_ROWS(bad); i++)
		if (sim_strikes(s, bad[i].fault, uid))
			send_ipn(s, order, bad[i].news, (int64_t)sim_below(s, uid, SIM_MINUTE));
	if (sim_strikes(s, FAULT_LIE, uid)) {
		s->lies++;
		/* A false hint is no lie yet: the query that it causes is answered truly. */
		if (!s->orders[order].is_xente)
			s->sent[s->orders[order].sent].has_lied = true;
		send_ipn(s, order, NEWS_FALSE, (int64_t)sim_below(s, uid, 10 * SIM_MINUTE));
	}
}

static void announce(struct sim *s, size_t order)
{
	uint32_t uid = uid_of(s, &s->orders[order]);
	int64_t in_ms = (int64_t)sim_below(s, uid, 5 * SIM_SECOND);

	if (sim_strikes(s, FAULT_IPN_LATE, uid))
		in_ms = SIM_HOUR + (int64_t)sim_below(s, uid, 11 * SIM_HOUR);
	if (!sim_strikes(s, FAULT_IPN_LOST, uid))
		send_ipn(s, order, NEWS_TRUE, in_ms);
	if (sim_strikes(s, FAULT_IPN_TWICE, uid))
		for (uint64_t n = 1 + sim_below(s, uid, 4); n > 0; n--)
			send_ipn(s, order, NEWS_TRUE, (int64_t)sim_below(s, uid, SIM_HOUR));
	if (sim_below(s, uid, 10) == 0) /* out of order: no fault of anybody's */
		send_ipn(s, order, NEWS_STILL_PENDING, (int64_t)sim_below(s, uid, SIM_MINUTE));
	announce_badly(s, order, uid);
}

void provider_settle(struct sim *s, const struct task *task)
{
	struct order *o = &s->orders[task->index];

	if (o->state != ORDER_PENDING)
		return;
	if (sim_below(s, uid_of(s, o), 12) == 0)
		o->state = ORDER_REFUSED;
	else
		carry_out(s, o);
	announce(s, task->index);
}

/* ---- a request arrives -------------------------------------------------------------------------
 */

static void answer(
	struct sim *s, const struct task *task, enum answer what, size_t order, int64_t in_ms)
{
	sim_later(s, in_ms,
		(struct task){.kind = TASK_RESULT,
			.life = task->life,
			.index = task->index,
			.what = what,
			.id = order});
}

static void settle_later(struct sim *s, size_t order, int64_t within_ms)
{
	uint32_t uid = uid_of(s, &s->orders[order]);

	sim_later(s, (int64_t)sim_below(s, uid, (uint64_t)within_ms),
		(struct task){.kind = TASK_SETTLE, .index = order});
}

/* The way it should be. */
static void accept(struct sim *s, const struct task *task, const struct order *read)
{
	size_t order = order_new(s, task->index, read);
	uint32_t uid = uid_of(s, &s->orders[order]);

	if (sim_strikes(s, FAULT_IPN_FIRST, uid)) {
		settle_later(s, order, SIM_SECOND);
		answer(s, task, ANSWER_STATE, order, 30 * SIM_SECOND);
		return;
	}
	settle_later(s, order, sim_below(s, uid, 5) == 0 ? 100 : SIM_MINUTE);
	answer(s, task, ANSWER_STATE, order, 200 + (int64_t)sim_below(s, uid, 3 * SIM_SECOND));
}

/* F-D17: carried out a second time for one request, all by itself. */
static void repeat(struct sim *s, const struct task *task, const struct order *read)
{
	size_t order = order_new(s, task->index, read);

	s->sent[s->orders[order].sent].has_lied = true;
	s->lies++;
	settle_later(s, order, SIM_MINUTE);
}

/* F-D18: says that nothing ran, and carries it out all the same. */
static void accept_later(struct sim *s, const struct task *task, const struct order *read)
{
	static const enum answer said[] = {ANSWER_REFUSED, ANSWER_429, ANSWER_401, ANSWER_FALSE};
	size_t order = order_new(s, task->index, read);
	uint32_t uid = uid_of(s, &s->orders[order]);

	s->sent[s->orders[order].sent].has_lied = true;
	s->lies++;
	settle_later(s, order, 2 * SIM_HOUR);
	answer(s, task, said[sim_below(s, uid, SIM_ROWS(said))], order, SIM_SECOND);
}

/* It was taken; what happens to the answer is the fault. */
static void accept_badly(
	struct sim *s, const struct task *task, const struct order *read, enum fault fault)
{
	static const enum answer answers[FAULTS_OF_SUBMIT] = {
		[FAULT_REPLY_LOST] = ANSWER_TIMEOUT,
		[FAULT_CUT] = ANSWER_CUT,
		[FAULT_CUT_WHOLE] = ANSWER_CUT_WHOLE,
		[FAULT_500_DONE] = ANSWER_500,
		[FAULT_GARBAGE] = ANSWER_GARBAGE,
		[FAULT_OTHER_REPLY] = ANSWER_OTHER,
		[FAULT_WRONG_REPLY] = ANSWER_WRONG,
		[FAULT_FOR_EVER] = ANSWER_PENDING,
	};
	size_t order = order_new(s, task->index, read);
	uint32_t uid = uid_of(s, &s->orders[order]);
	enum answer what = answers[fault] != ANSWER_NONE ? answers[fault] : ANSWER_STATE;

	if (fault == FAULT_WRONG_AMOUNT)
		s->orders[order].amount += 100;
	if (fault != FAULT_FOR_EVER)
		settle_later(s, order, SIM_MINUTE);
	if (fault == FAULT_TWICE)
		repeat(s, task, read);
	/* A wire that never answers: only the deadline speaks. */
	if (fault != FAULT_REPLY_LOST || sim_below(s, uid, 2) == 0)
		answer(s, task, what, order,
			fault == FAULT_REPLY_LOST ? 45 * SIM_SECOND : SIM_SECOND);
}

/* ---- class I: an id is honoured while it is remembered
 * -------------------------------------------
 */

#define RETENTION_MS (24 * SIM_HOUR)

static struct order *honoured(struct sim *s, const struct order *read)
{
	for (size_t i = s->orders_len; read->is_honoured && i-- > 0;)
		if (s->orders[i].is_honoured && strcmp(s->orders[i].ref, read->ref) == 0)
			return &s->orders[i];
	return NULL;
}

/* F-D20, F-D21: the same result, or "duplicate"; nothing is carried out again. */
static void answer_again(struct sim *s, const struct task *task, const struct order *o)
{
	uint32_t uid = uid_of(s, o);
	enum answer what = sim_below(s, uid, 2) ? ANSWER_STATE : ANSWER_DUPLICATE;

	s->report->honoured++;
	if (sim_strikes(s, FAULT_REPLY_LOST, uid))
		what = ANSWER_TIMEOUT;
	answer(s, task, what, (size_t)(o - s->orders), SIM_SECOND);
}

/* Nothing was carried out. */
static void refuse(struct sim *s, const struct task *task, enum fault fault)
{
	static const enum answer answers[FAULTS_OF_SUBMIT] = {
		[FAULT_REQUEST_LOST] = ANSWER_TIMEOUT,
		[FAULT_500] = ANSWER_500,
		[FAULT_REFUSED] = ANSWER_REFUSED,
		[FAULT_429] = ANSWER_429,
		[FAULT_401] = ANSWER_401,
		[FAULT_404] = ANSWER_404,
		[FAULT_REDIRECT] = ANSWER_REDIRECT,
		[FAULT_FAILED] = ANSWER_FAILED,
	};
	uint32_t uid = s->sent[s->requests[task->index].sent].press;

	answer(s, task, answers[fault], SIZE_MAX,
		fault == FAULT_REQUEST_LOST ? 45 * SIM_SECOND
					    : (int64_t)sim_below(s, uid, 3 * SIM_SECOND));
}

static bool is_taken(enum fault fault)
{
	switch ((int)fault) {
	case FAULT_REQUEST_LOST:
	case FAULT_500:
	case FAULT_REFUSED:
	case FAULT_429:
	case FAULT_401:
	case FAULT_404:
	case FAULT_REDIRECT:
	case FAULT_FAILED:
		return false;
	default:
		return true;
	}
}

void provider_arrive(struct sim *s, const struct task *task, const struct http_call *call)
{
	uint32_t uid = s->sent[s->requests[task->index].sent].press;
	enum fault fault = FAULT_REQUEST_LOST;
	struct order read = {.id = ""};
	const struct order *known;

	if (!speech_read(s, call, &read)) {
		sim_break(s, &s->report->unexplained, "a provider cannot read %.*s",
			STR_ARG(call->body));
		return;
	}
	read.is_honoured = request_is_honoured(&s->requests[task->index]);
	known = honoured(s, &read);
	if (known != NULL && s->now_ms - known->made_ms < RETENTION_MS) {
		answer_again(s, task, known);
		return;
	}
	if (known != NULL)
		sim_break(s, &s->report->unexplained, "F-D22: sent again to who has forgotten");
	fault += (enum fault)sim_below(s, uid, FAULTS_OF_SUBMIT - FAULT_REQUEST_LOST);
	if (sim_below(s, uid, 8) == 0)
		fault = FAULT_LATER; /* what contradicts a proof is worth more of them */
	if (!sim_strikes(s, fault, uid))
		fault = FAULTS;
	if (fault != FAULT_REQUEST_LOST)
		note_call(s, &read);
	if (fault == FAULTS)
		accept(s, task, &read);
	else if (fault == FAULT_LATER)
		accept_later(s, task, &read);
	else if (is_taken(fault))
		accept_badly(s, task, &read, fault);
	else
		refuse(s, task, fault);
}

/* ---- queries -----------------------------------------------------------------------------------
 */

/* By its own id, or by ours as long as it remembers that (F-D22), if it can see it yet (F-D23). */
static uint64_t find_asked(struct sim *s, const char *id)
{
	static const char by_ref[] = "Requests/";
	bool is_ours = strncmp(id, by_ref, sizeof(by_ref) - 1) == 0;

	for (size_t i = 0; i < s->orders_len; i++) {
		const struct order *o = &s->orders[i];
		int64_t age_ms = s->now_ms - o->made_ms;

		if (!is_ours && strcmp(o->id, id) == 0)
			return i;
		if (is_ours && o->is_honoured && strcmp(o->ref, id + sizeof(by_ref) - 1) == 0)
			return age_ms < RETENTION_MS && age_ms > o->hidden_ms ? i : SIZE_MAX;
	}
	return SIZE_MAX;
}

void provider_query(struct sim *s, const struct task *task, const struct http_call *call)
{
	static const enum answer faults[] = {ANSWER_CONNECT, ANSWER_TIMEOUT, ANSWER_500, ANSWER_404,
		ANSWER_GARBAGE, ANSWER_429, ANSWER_WRONG, ANSWER_CUT, ANSWER_CUT_WHOLE,
		ANSWER_OTHER, ANSWER_401, ANSWER_REDIRECT};
	uint32_t uid = s->sent[s->requests[task->index].sent].press;
	struct task reply = {
		.kind = TASK_RESULT, .life = task->life, .index = task->index, .tries = 1};
	char id[SIM_TEXT];

	if (!speech_read_query(s, call, id)) {
		sim_break(s, &s->report->unexplained, "a provider cannot read a query");
		return;
	}
	reply.id = find_asked(s, id);
	if (reply.id < s->orders_len)
		note_call(s, &s->orders[reply.id]);
	reply.what = reply.id < s->orders_len ? ANSWER_STATE : ANSWER_404;
	if (sim_strikes(s, FAULT_QUERY, uid))
		reply.what = (int)faults[sim_below(s, uid, SIM_ROWS(faults))];
	sim_later(s, (int64_t)sim_below(s, uid, 2 * SIM_SECOND), reply);
}

/* ---- IPNs --------------------------------------------------------------------------------------
 */

/* Xente comes again until it gets its 200; EasyTransfert perhaps. */
void provider_ipn_again(struct sim *s, const struct task *task)
{
	const struct order *o = &s->orders[task->index];
	uint32_t uid = uid_of(s, o);
	struct task again = *task;

	again.tries++;
	if (o->is_xente ? again.tries < 30 : again.tries < 3 && sim_below(s, uid, 2) == 0)
		sim_later(s, SIM_MINUTE, again);
	else
		sim_mark(s, uid);
}

/* Where it is sent: as given with the request, or as agreed for the account. */
static struct str path_of(struct sim *s, const struct order *o, enum news news, struct arena *arena)
{
	static const char nobody[] = "NOBODYNOBODY";
	char token[sizeof(nobody) + 35];
	struct str path = str_c(o->ipn_path);

	if (o->is_xente)
		path = arena_printf(arena, "/ipn/%s/%.*s", s->requests[o->request].account,
			STR_ARG(config_account(
				s->shared->config, str_c(s->requests[o->request].account))
					->ipn_secret));
	else if (news == NEWS_OF_NOBODY) {
		vault_ipn_token(s->shared->vault, str_c(nobody), token);
		path = arena_printf(arena, "/ipn/et-ci/%s", token);
	}
	if (news == NEWS_FORGED)
		path = arena_printf(arena, "%.*s%c", (int)path.n - 1, path.p,
			path.p[path.n - 1] == '0' ? '1' : '0');
	return path;
}

void provider_ipn(struct sim *s, const struct task *task)
{
	const struct order *o = &s->orders[task->index];
	enum news news = (enum news)task->what;
	struct str query, body;
	struct arena arena;

	if (!s->is_up) {
		provider_ipn_again(s, task);
		return;
	}
	arena_init(&arena, LIMIT_TURN_BYTES);
	speech_ipn(s, o, news, &arena, &query, &body);
	gateway_ipn(s, task, path_of(s, o, news, &arena), query, body);
	arena_fini(&arena);
}

bool provider_ipn_is_truth(const struct sim *s, const struct task *task)
{
	const struct order *o = &s->orders[task->index];

	return task->what == NEWS_TRUE && !o->is_xente && o->state != ORDER_PENDING &&
	       o->amount == o->asked;
}

struct str provider_login(struct sim *s, const struct http_call *call, struct arena *arena)
{
	return arena_printf(arena, "{\"Token\":\"token-%u\",\"success\":true}", ++s->logins);
}
