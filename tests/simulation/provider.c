/*
 * Two providers with ledgers of their own. EasyTransfert takes an IPN address an attempt and blocks
 * whoever calls twice within 15 minutes; Xente sends hints that a query confirms. Both carry out
 * what reaches them, and then every fault of reliability.md 3.4 and 3.5 may befall the news of it.
 */
#include "sim.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define PAUSE_MS (15 * MINUTE)
/* A claim is durable before its bytes arrive: the gap that a provider sees may be so much shorter.
 */
#define PAUSE_SLACK_MS (2 * SECOND)

enum answer {
	ANSWER_CONNECT,
	ANSWER_TIMEOUT,
	ANSWER_BROKEN,
	ANSWER_500,
	ANSWER_GARBAGE,
	ANSWER_REFUSED,
	ANSWER_429,
	ANSWER_404,
	ANSWER_PENDING,
	ANSWER_STATE, /* whatever is true by then */
	ANSWER_WRONG, /* of another amount */
	ANSWER_FAILED,
};

enum word {
	WORD_TRUE,
	WORD_STILL_PENDING,
	WORD_OTHER_AMOUNT,
	WORD_OF_NOBODY,
	WORD_FALSE,
};

static bool is_easytransfert(const struct request *r)
{
	return strcmp(r->account, "et-ci") == 0;
}

/* ---- their ledgers -----------------------------------------------------------------------------
 */

static size_t order_new(struct sim *s, size_t request)
{
	s->orders = sim_grow(s->orders, s->orders_len, &s->orders_cap, sizeof(*s->orders));
	struct order *o = &s->orders[s->orders_len];

	*o = (struct order){.request = request, .amount = s->requests[request].a.amount};
	o->is_hinting = !is_easytransfert(&s->requests[request]);
	(void)snprintf(o->id, sizeof(o->id), "T%zu", s->orders_len + 1);
	return s->orders_len++;
}

static void carry_out(struct sim *s, struct order *o)
{
	o->state = ORDER_DONE;
	s->report->executions++;
	check_execution(s, o);
}

/* They block abusers: no two calls for one number and amount within the pause. */
static void note_call(struct sim *s, const struct request *r)
{
	char key[sizeof(((struct call *)NULL)->key)];

	if (!is_easytransfert(r))
		return;
	(void)snprintf(key, sizeof(key), "%s %lld", r->number, (long long)r->a.amount);
	for (size_t i = 0; i < s->calls_len; i++)
		if (strcmp(s->calls[i].key, key) == 0) {
			if (s->now_ms - s->calls[i].at_ms < PAUSE_MS - PAUSE_SLACK_MS)
				sim_break(s, "X7: two calls within the pause");
			s->calls[i].at_ms = s->now_ms;
			return;
		}
	s->calls = sim_grow(s->calls, s->calls_len, &s->calls_cap, sizeof(*s->calls));
	s->calls[s->calls_len].at_ms = s->now_ms;
	memcpy(s->calls[s->calls_len++].key, key, sizeof(key));
}

/* ---- news --------------------------------------------------------------------------------------
 */

static void send_ipn(struct sim *s, size_t order, enum word word, int64_t in_ms)
{
	sim_later(s, in_ms, (struct task){.kind = TASK_IPN, .index = order, .what = word});
}

static void announce(struct sim *s, size_t order)
{
	uint64_t purchase = s->requests[s->orders[order].request].purchase;
	int64_t in_ms = (int64_t)sim_below(s, 5 * SECOND);

	if (sim_strikes(s, FAULT_IPN_LATE, purchase))
		in_ms = HOUR + (int64_t)sim_below(s, 11 * HOUR);
	if (!sim_strikes(s, FAULT_IPN_LOST, purchase))
		send_ipn(s, order, WORD_TRUE, in_ms);
	if (sim_strikes(s, FAULT_IPN_TWICE, purchase))
		for (uint64_t n = 1 + sim_below(s, 4); n > 0; n--)
			send_ipn(s, order, WORD_TRUE, (int64_t)sim_below(s, HOUR));
	if (sim_below(s, 10) == 0) /* out of order: no fault of anybody's */
		send_ipn(s, order, WORD_STILL_PENDING, (int64_t)sim_below(s, MINUTE));
	if (sim_strikes(s, FAULT_IPN_WRONG, purchase))
		send_ipn(s, order, WORD_OTHER_AMOUNT, (int64_t)sim_below(s, MINUTE));
	if (sim_strikes(s, FAULT_IPN_STRANGE, 0))
		send_ipn(s, order, WORD_OF_NOBODY, (int64_t)sim_below(s, MINUTE));
	if (sim_strikes(s, FAULT_LIE, purchase)) {
		s->lies++;
		/* A false hint is no lie yet: the query that it causes is answered truly. */
		s->orders[order].has_lied = !s->orders[order].is_hinting;
		send_ipn(s, order, WORD_FALSE, (int64_t)sim_below(s, 10 * MINUTE));
	}
}

void provider_settle(struct sim *s, const struct task *task)
{
	struct order *o = &s->orders[task->index];

	if (o->state != ORDER_PENDING)
		return;
	if (sim_below(s, 12) == 0)
		o->state = ORDER_REFUSED;
	else
		carry_out(s, o);
	announce(s, task->index);
}

/* ---- a request arrives -------------------------------------------------------------------------
 */

static void answer(struct sim *s, size_t request, enum answer what, size_t order, int64_t in_ms)
{
	sim_later(s, in_ms,
		(struct task){.kind = TASK_RESULT,
			.life = s->life,
			.index = request,
			.what = what,
			.id = order});
}

static void settle_later(struct sim *s, size_t order, int64_t within_ms)
{
	sim_later(s, (int64_t)sim_below(s, (uint64_t)within_ms),
		(struct task){.kind = TASK_SETTLE, .index = order});
}

/* The way it should be. */
static void accept(struct sim *s, size_t request)
{
	size_t order = order_new(s, request);
	int64_t in_ms = 200 + (int64_t)sim_below(s, 3 * SECOND);

	if (sim_below(s, 5) == 0)
		settle_later(s, order, 100);
	else
		settle_later(s, order, MINUTE);
	answer(s, request, ANSWER_STATE, order, in_ms);
}

/* It was taken; what happens to the answer is the fault. */
static void accept_badly(struct sim *s, size_t request, enum fault fault)
{
	size_t order = order_new(s, request);
	enum answer what = ANSWER_STATE;
	int64_t in_ms = SECOND;

	switch ((int)fault) {
	case FAULT_REPLY_LOST:
		what = ANSWER_TIMEOUT;
		in_ms = 45 * SECOND;
		break;
	case FAULT_CUT:
		what = ANSWER_BROKEN;
		break;
	case FAULT_500_DONE:
		what = ANSWER_500;
		break;
	case FAULT_GARBAGE:
		what = ANSWER_GARBAGE;
		break;
	case FAULT_WRONG_REPLY:
		what = ANSWER_WRONG;
		break;
	case FAULT_WRONG_AMOUNT:
		s->orders[order].amount += 100;
		break;
	case FAULT_FOR_EVER:
		answer(s, request, ANSWER_PENDING, order, in_ms);
		return;
	default:
		break;
	}
	settle_later(s, order, MINUTE);
	/* A wire that never answers: only the deadline speaks. */
	if (fault != FAULT_REPLY_LOST || sim_below(s, 2) == 0)
		answer(s, request, what, order, in_ms);
}

/* Nothing was carried out. */
static void refuse(struct sim *s, size_t request, enum fault fault)
{
	static const enum answer answers[FAULTS_OF_SUBMIT] = {
		[FAULT_CONNECT] = ANSWER_CONNECT,
		[FAULT_REQUEST_LOST] = ANSWER_TIMEOUT,
		[FAULT_500] = ANSWER_500,
		[FAULT_REFUSED] = ANSWER_REFUSED,
		[FAULT_429] = ANSWER_429,
		[FAULT_FAILED] = ANSWER_FAILED,
	};

	answer(s, request, answers[fault], 0,
		fault == FAULT_REQUEST_LOST ? 45 * SECOND : (int64_t)sim_below(s, 3 * SECOND));
}

void provider_arrive(struct sim *s, const struct task *task)
{
	uint64_t purchase = s->requests[task->index].purchase;
	enum fault fault = (enum fault)sim_below(s, FAULTS_OF_SUBMIT);

	if (!sim_strikes(s, fault, purchase))
		fault = FAULTS;
	if (fault != FAULT_CONNECT && fault != FAULT_REQUEST_LOST)
		note_call(s, &s->requests[task->index]);
	switch ((int)fault) {
	case FAULT_CONNECT:
	case FAULT_REQUEST_LOST:
	case FAULT_500:
	case FAULT_REFUSED:
	case FAULT_429:
	case FAULT_FAILED:
		refuse(s, task->index, fault);
		break;
	case FAULTS:
		if (sim_strikes(s, FAULT_IPN_FIRST, purchase)) {
			size_t order = order_new(s, task->index);

			settle_later(s, order, SECOND);
			answer(s, task->index, ANSWER_STATE, order, 30 * SECOND);
		} else
			accept(s, task->index);
		break;
	default:
		accept_badly(s, task->index, fault);
		break;
	}
}

/* ---- words to the engine -----------------------------------------------------------------------
 */

static const char *word_of(const struct order *o, bool is_query)
{
	tama_assert(o != NULL);
	switch (o->state) {
	case ORDER_PENDING:
		return "PENDING";
	case ORDER_DONE:
		return !o->is_hinting ? "SUCCESSFUL" : is_query ? "COMPLETED" : "SUCCESS";
	case ORDER_REFUSED:
		return "FAILED";
	}
	return "";
}

static struct facts facts_of(
	struct sim *s, const struct order *o, const char *word, struct arena *arena)
{
	tama_assert(o != NULL);
	const struct request *r = &s->requests[o->request];
	struct facts facts = {
		.word = arena_str(arena, str_c(word)),
		.id = arena_str(arena, str_c(o->id)),
		.amount = arena_printf(arena, "%lld", (long long)o->amount),
		.is_valid = true,
	};

	if (o->is_hinting)
		facts.our_ref = arena_str(arena, str_c(r->our_ref));
	else {
		facts.number = arena_str(arena, str_c(r->number));
		facts.service = arena_str(arena, str_c(r->service));
	}
	return facts;
}

static void fill_answer(
	struct sim *s, const struct task *task, struct engine_result *result, struct arena *arena)
{
	static const struct transfer transfers[] = {
		[ANSWER_CONNECT] = {TRANSFER_CONNECT, 0, 0},
		[ANSWER_TIMEOUT] = {TRANSFER_TIMEOUT, 300, 0},
		[ANSWER_BROKEN] = {TRANSFER_BROKEN, 300, 0},
		[ANSWER_500] = {TRANSFER_COMPLETE, 300, 500},
		[ANSWER_GARBAGE] = {TRANSFER_COMPLETE, 300, 200},
		[ANSWER_REFUSED] = {TRANSFER_COMPLETE, 300, 406},
		[ANSWER_429] = {TRANSFER_COMPLETE, 300, 429},
		[ANSWER_404] = {TRANSFER_COMPLETE, 300, 404},
		[ANSWER_PENDING] = {TRANSFER_COMPLETE, 300, 200},
		[ANSWER_STATE] = {TRANSFER_COMPLETE, 300, 200},
		[ANSWER_WRONG] = {TRANSFER_COMPLETE, 300, 200},
		[ANSWER_FAILED] = {TRANSFER_COMPLETE, 300, 200},
	};
	const struct order *o = s->orders_len > task->id ? &s->orders[task->id] : NULL;
	bool is_query = result->call == PROVIDER_STATUS;

	result->transfer = transfers[task->what];
	switch (task->what) {
	case ANSWER_REFUSED:
		result->facts = (struct facts){.code = STR("Solde insuffisant"), .is_valid = true};
		break;
	case ANSWER_FAILED:
		result->facts = (struct facts){.word = STR("FAILED"), .is_valid = true};
		break;
	case ANSWER_PENDING:
		result->facts = facts_of(s, o, "PENDING", arena);
		break;
	case ANSWER_WRONG:
		result->facts = facts_of(s, o, "SUCCESSFUL", arena);
		result->facts.amount = STR("7");
		break;
	case ANSWER_STATE:
		result->facts = facts_of(s, o, word_of(o, is_query), arena);
		break;
	default:
		break;
	}
}

void provider_result(struct sim *s, const struct task *task)
{
	const struct request *r = &s->requests[task->index];
	struct engine_event *event = sim_event(s, ENGINE_RESULT, task->index);
	struct engine_result *result = &event->as.result;

	result->attempt = r->a.attempt;
	result->partner = r->a.partner;
	result->epoch = r->a.epoch;
	result->call = task->tries == 0 ? PROVIDER_SUBMIT : PROVIDER_STATUS;
	result->raw = STR("{}");
	fill_answer(s, task, result, &event->arena);
}

void provider_query(struct sim *s, const struct task *task)
{
	static const enum answer faults[] = {ANSWER_CONNECT, ANSWER_TIMEOUT, ANSWER_500, ANSWER_404,
		ANSWER_GARBAGE, ANSWER_429, ANSWER_WRONG};
	const struct request *r = &s->requests[task->index];
	struct task reply = {
		.kind = TASK_RESULT, .life = s->life, .index = task->index, .tries = 1};

	note_call(s, r);
	while (reply.id < s->orders_len && strcmp(s->orders[reply.id].id, r->provider_id) != 0)
		reply.id++;
	reply.what = reply.id < s->orders_len ? ANSWER_STATE : ANSWER_404;
	if (reply.id < s->orders_len && sim_strikes(s, FAULT_QUERY, r->purchase))
		reply.what = (int)faults[sim_below(s, ROWS(faults))];
	sim_later(s, (int64_t)sim_below(s, 2 * SECOND), reply);
}

/* ---- IPNs --------------------------------------------------------------------------------------
 */

/* Xente comes again until it gets its 200; EasyTransfert perhaps. */
void provider_ipn_again(struct sim *s, const struct task *task)
{
	const struct order *o = &s->orders[task->index];
	struct task again = *task;

	again.tries++;
	if (o->is_hinting ? again.tries < 30 : again.tries < 3 && sim_below(s, 2) == 0)
		sim_later(s, MINUTE, again);
	else
		sim_mark(s, s->requests[o->request].purchase);
}

static const char *ipn_word(const struct order *o, enum word word)
{
	if (word == WORD_STILL_PENDING)
		return "PENDING";
	if (word == WORD_FALSE)
		return o->state == ORDER_DONE ? "FAILED" : o->is_hinting ? "SUCCESS" : "SUCCESSFUL";
	return word_of(o, false);
}

void provider_ipn(struct sim *s, const struct task *task)
{
	const struct order *o = &s->orders[task->index];
	const struct request *r = &s->requests[o->request];
	struct engine_event *event;
	struct engine_ipn *ipn;

	if (!s->is_up) {
		provider_ipn_again(s, task);
		return;
	}
	event = sim_ipn(s, task);
	ipn = &event->as.ipn;
	ipn->account = config_account(s->fx.config, str_c(r->account));
	ipn->facts = facts_of(s, o, ipn_word(o, (enum word)task->what), &event->arena);
	if (!o->is_hinting)
		ipn->path_ref = arena_str(&event->arena, str_c(r->our_ref));
	if (task->what == WORD_OTHER_AMOUNT)
		ipn->facts.amount = STR("12345");
	if (task->what == WORD_OF_NOBODY) {
		ipn->path_ref = o->is_hinting ? (struct str){NULL, 0} : STR("NOBODY");
		ipn->facts.our_ref = STR("NOBODY");
		ipn->facts.id = STR("NOBODY");
	}
	ipn->raw = arena_printf(
		&event->arena, "{%s %d %.*s}", o->id, task->what, STR_ARG(ipn->facts.word));
}
