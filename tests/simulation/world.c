/* Time, chance, customers, the process with its wire and gateway, and its deaths. */
#include "sim.h"

#include <stdarg.h>

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define FAULTS_UNTIL_MS (2 * HOUR)

enum trace {
	TRACE_PREPARE = 100,
	TRACE_GO,
	TRACE_QUERY,
	TRACE_SMS,
	TRACE_STEP,
};

static struct sim *sim_of_store; /* one world at a time */

/* ---- chance ------------------------------------------------------------------------------------
 */

static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

uint64_t sim_random(struct sim *s)
{
	return mix(&s->chance);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
	return sim_random(s) % n;
}

void sim_trace(struct sim *s, uint64_t a, uint64_t b)
{
	uint64_t h = s->report->trace;

	h = (h ^ (uint64_t)(s->now_ms - FX_EPOCH)) * UINT64_C(0x100000001B3);
	h = (h ^ a) * UINT64_C(0x100000001B3);
	s->report->trace = (h ^ b) * UINT64_C(0x100000001B3);
}

void sim_mark(struct sim *s, uint64_t purchase)
{
	if (purchase == 0)
		return;
	s->faulted = sim_grow(s->faulted, s->faulted_len, &s->faulted_cap, sizeof(*s->faulted));
	s->faulted[s->faulted_len++] = purchase;
}

bool sim_strikes(struct sim *s, enum fault fault, uint64_t purchase)
{
	if (!s->has_faults || !s->is_on[fault] || sim_below(s, 1000) >= s->rate)
		return false;
	s->report->faults[fault]++;
	sim_mark(s, purchase);
	return true;
}

void sim_break(struct sim *s, const char *fmt, ...)
{
	va_list args;

	if (s->report->broken[0] != '\0')
		return;
	va_start(args, fmt);
	(void)vsnprintf(s->report->broken, sizeof(s->report->broken), fmt, args);
	va_end(args);
}

void *sim_grow(void *array, size_t len, size_t *cap, size_t size)
{
	if (len < *cap)
		return array;
	*cap = *cap == 0 ? 64 : *cap * 2;
	array = realloc(array, *cap * size);
	tama_assert(array != NULL);
	return array;
}

/* ---- the heap ----------------------------------------------------------------------------------
 */

static bool is_before(const struct task *a, const struct task *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

void sim_later(struct sim *s, int64_t in_ms, struct task task)
{
	size_t at = s->heap_len++;

	task.at_ms = (s->now_ms + in_ms + SIM_TICK_MS) / SIM_TICK_MS * SIM_TICK_MS;
	task.seq = s->seq++;
	s->heap = sim_grow(s->heap, at, &s->heap_cap, sizeof(*s->heap));
	for (; at > 0 && is_before(&task, &s->heap[(at - 1) / 2]); at = (at - 1) / 2)
		s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = task;
}

static struct task take_task(struct sim *s)
{
	struct task top = s->heap[0], last = s->heap[--s->heap_len];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < s->heap_len) {
		if (child + 1 < s->heap_len && is_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!is_before(&s->heap[child], &last))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
	return top;
}

/* ---- events to the engine ----------------------------------------------------------------------
 */

struct sim_event {
	struct engine_event event;
	struct sim *sim;
	size_t index;
	struct task task; /* IPN: to come again */
};

static void append(struct sim *s, struct engine_event *event)
{
	event->next = NULL;
	*s->last = event;
	s->last = &event->next;
}

static void event_free(struct engine_event *event)
{
	arena_fini(&event->arena);
	free(event);
}

static void press_again(struct sim *s, size_t index)
{
	struct press *p = &s->presses[index];

	if (p->tries++ < 6)
		sim_later(s, 2000 + (int64_t)sim_below(s, 30000),
			(struct task){.kind = TASK_BUY, .index = index});
}

static void buy_done(struct sim *s, struct engine_event *event, size_t index)
{
	struct press *p = &s->presses[index];
	const struct engine_buy *buy = &event->as.buy;

	if (event->outcome == ENGINE_DONE || event->outcome == ENGINE_REPEATED) {
		if (p->purchase != 0 && p->purchase != buy->purchase)
			sim_break(s, "X1: one press became two purchases");
		p->is_acknowledged = true;
		p->purchase = buy->purchase;
		if (sim_below(s, 20) == 0)
			press_again(s, index);
	} else if (event->outcome == ENGINE_NOT_DONE || event->outcome == ENGINE_IN_DOUBT) {
		p->was_in_doubt = p->was_in_doubt || event->outcome == ENGINE_IN_DOUBT;
		press_again(s, index);
	} else
		p->is_refused = true;
}

static void event_done(struct engine_event *event)
{
	struct sim_event *se = event->user;
	struct sim *s = se->sim;

	sim_trace(s, event->kind, event->outcome);
	s->report->events++;
	if (event->kind == ENGINE_RESULT && event->outcome == ENGINE_NOT_DONE) {
		append(s, event); /* as the wire does: it exists nowhere else */
		return;
	}
	if (event->kind == ENGINE_BUY)
		buy_done(s, event, se->index);
	if (event->kind == ENGINE_IPN && event->outcome != ENGINE_DONE)
		provider_ipn_again(s, &se->task);
	event_free(event);
}

struct engine_event *sim_event(struct sim *s, enum engine_event_kind kind, size_t index)
{
	struct sim_event *se = calloc(1, sizeof(*se));

	tama_assert(se != NULL);
	*se = (struct sim_event){.sim = s, .index = index};
	se->event.kind = kind;
	se->event.user = se;
	se->event.done = event_done;
	arena_init(&se->event.arena, 64 * 1024);
	append(s, &se->event);
	return &se->event;
}

struct engine_event *sim_ipn(struct sim *s, const struct task *task)
{
	struct engine_event *event = sim_event(s, ENGINE_IPN, task->index);

	((struct sim_event *)event->user)->task = *task;
	return event;
}

/* ---- customers ---------------------------------------------------------------------------------
 */

static void draw_press(struct sim *s, struct press *p, uint64_t uid)
{
	static const char *const offers[] = {"ci-airtime", "ci-airtime", "ci-payment",
		"agent-airtime", "ug-airtime", "ug-airtime"};
	/* One in twenty is somebody who was here already: the pause is met. */
	unsigned who = (unsigned)(sim_below(s, 20) == 0 ? sim_below(s, uid) : uid);

	p->uid = uid;
	p->offer = offers[sim_below(s, ROWS(offers))];
	if (p->offer[0] == 'u') {
		(void)snprintf(p->payer, sizeof(p->payer), "25677%07u", who);
		(void)snprintf(p->beneficiary, sizeof(p->beneficiary), "25677%07u", who + 500);
	} else {
		(void)snprintf(p->payer, sizeof(p->payer), "225%s%08u",
			sim_below(s, 2) ? "01" : "05", who);
		(void)snprintf(p->beneficiary, sizeof(p->beneficiary), "22501%08u", who + 500);
	}
}

static void press(struct sim *s, const struct task *task)
{
	struct press *p = &s->presses[task->index];
	struct engine_event *event;
	struct engine_buy *buy;
	struct buy_intent *intent;

	if (!s->is_up) {
		press_again(s, task->index);
		return;
	}
	p->is_refused = false;
	event = sim_event(s, ENGINE_BUY, task->index);
	buy = &event->as.buy;
	intent = arena_alloc(&event->arena, sizeof(*intent));
	*intent = fx_intent(s->fx.config, p->offer, p->payer, p->beneficiary);
	intent->ref = arena_printf(&event->arena, "R%07llu", (unsigned long long)p->uid);
	buy->partner = intent->offer->partner->id;
	buy->ordinal = 1;
	buy->channel = STR("ussd");
	buy->lang = STR("fr");
	buy->intent = intent;
	buy->hop_reply = STR("Demande recue");
	memcpy(buy->uid, &p->uid, sizeof(p->uid));
}

/* ---- the wire and the gateway ------------------------------------------------------------------
 */

/* False once the process has died among its effects. */
static bool lives(struct sim *s)
{
	if (s->effects_left == 0)
		return false;
	if (s->effects_left > 0)
		s->effects_left--;
	return true;
}

static int64_t world_wall(void *ctx)
{
	return ((struct sim *)ctx)->now_ms;
}

static void world_random(void *ctx, void *bytes, size_t n)
{
	unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(mix(&((struct sim *)ctx)->wire_chance) >> 32);
}

static void copy(char out[static SIM_TEXT], struct str s)
{
	(void)snprintf(out, SIM_TEXT, "%.*s", STR_ARG(s));
}

uint64_t sim_purchase_of(struct sim *s, uint64_t attempt)
{
	uint64_t found = 0;

	(void)sqlite3_bind_int64(s->purchase_of, 1, (int64_t)attempt);
	if (sqlite3_step(s->purchase_of) == SQLITE_ROW)
		found = (uint64_t)sqlite3_column_int64(s->purchase_of, 0);
	(void)sqlite3_reset(s->purchase_of);
	return found;
}

static size_t note_request(struct sim *s, const struct wire_attempt *a)
{
	s->requests =
		sim_grow(s->requests, s->requests_len, &s->requests_cap, sizeof(*s->requests));
	struct request *r = &s->requests[s->requests_len];

	memset(r, 0, sizeof(*r));
	r->a = *a;
	copy(r->account, a->account);
	copy(r->verb, a->verb);
	copy(r->service, a->service);
	copy(r->our_ref, a->our_ref);
	copy(r->provider_id, a->provider_id);
	copy(r->number, a->number);
	copy(r->currency, a->currency);
	r->purchase = sim_purchase_of(s, a->attempt);
	return s->requests_len++;
}

static bool world_prepare(void *ctx, const struct wire_attempt *a)
{
	struct sim *s = ctx;
	struct task task = {.kind = TASK_PREPARED, .life = s->life, .what = PREPARED_OK};
	int64_t in_ms = 0;

	if (!lives(s))
		return false;
	sim_trace(s, TRACE_PREPARE, a->attempt);
	task.index = note_request(s, a);
	if (sim_strikes(s, FAULT_PREPARE, s->requests[task.index].purchase))
		switch (sim_below(s, 5)) {
		case 0:
			return false; /* its queue is full */
		case 1:
			task.what = PREPARED_LATER;
			break;
		case 2:
			task.what = PREPARED_SECRET_LOST;
			break;
		case 3:
			in_ms = (int64_t)sim_below(s, 12 * MINUTE); /* past lease or expiry */
			break;
		default:
			sim_later(s, 100, task); /* twice */
			break;
		}
	sim_later(s, in_ms, task);
	return true;
}

static void prepared(struct sim *s, const struct task *task)
{
	struct request *r = &s->requests[task->index];
	struct engine_prepared *p = &sim_event(s, ENGINE_PREPARED, task->index)->as.prepared;

	r->is_kept = task->what == PREPARED_OK;
	p->attempt = r->a.attempt;
	p->partner = r->a.partner;
	p->epoch = r->a.epoch;
	p->outcome = task->what;
}

static struct request *find_kept(struct sim *s, uint64_t attempt, uint32_t epoch)
{
	for (size_t i = s->requests_len; i-- > 0;)
		if (s->requests[i].is_kept && s->requests[i].a.attempt == attempt &&
			s->requests[i].a.epoch == epoch)
			return &s->requests[i];
	return NULL;
}

static bool world_go(void *ctx, uint64_t attempt, uint32_t epoch, int64_t claimed_ms)
{
	struct sim *s = ctx;
	struct request *r;

	if (!lives(s))
		return false;
	sim_trace(s, TRACE_GO, attempt);
	r = find_kept(s, attempt, epoch);
	if (r == NULL) {
		sim_break(s, "told to send what was not prepared");
		return false;
	}
	r->is_kept = false;
	sim_later(s, (int64_t)sim_below(s, 1000),
		(struct task){
			.kind = TASK_ARRIVE, .life = s->life, .index = (size_t)(r - s->requests)});
	return true;
}

static void world_drop(void *ctx, uint64_t attempt, uint32_t epoch)
{
	struct sim *s = ctx;
	struct request *r = lives(s) ? find_kept(s, attempt, epoch) : NULL;

	if (r != NULL)
		r->is_kept = false;
}

static bool world_query(void *ctx, const struct wire_attempt *a)
{
	struct sim *s = ctx;

	if (!lives(s))
		return false;
	sim_trace(s, TRACE_QUERY, a->attempt);
	sim_later(s, (int64_t)sim_below(s, 500),
		(struct task){.kind = TASK_QUERY, .life = s->life, .index = note_request(s, a)});
	return true;
}

static bool world_sms(void *ctx, const struct wire_sms *sms)
{
	struct sim *s = ctx;
	struct task task = {.kind = TASK_SMS, .life = s->life, .id = sms->outbox, .what = SMS_SENT};

	if (!lives(s))
		return false;
	sim_trace(s, TRACE_SMS, sms->outbox);
	if (sim_strikes(s, FAULT_SMS, 0)) {
		if (sim_below(s, 3) == 0)
			return true; /* lost without an answer */
		task.what = sim_below(s, 2) ? SMS_RETRY : SMS_DOUBT;
	}
	sim_later(s, 200, task);
	return true;
}

static void world_alarm(void *ctx, const char *what, struct str ref, const char *detail)
{
	struct sim *s = ctx;

	if (strcmp(what, "due_failed") == 0 || strcmp(what, "event_refused") == 0 ||
		strcmp(what, "recovery") == 0 || strcmp(what, "impossible") == 0)
		sim_break(s, "alarm %s: %s", what, detail);
}

static void sms_answered(struct sim *s, const struct task *task)
{
	sim_event(s, ENGINE_SMS_RESULT, 0)->as.sms =
		(struct engine_sms_result){task->id, 1, (enum sms_verdict)task->what};
}

/* ---- the process -------------------------------------------------------------------------------
 */

static int world_commit(struct store *store, struct err *err)
{
	struct sim *s = sim_of_store;

	if (s->commit_answers == 0)
		return s->real->commit(store, err);
	if (s->commit_happens) {
		int rc = s->real->commit(store, err);
		tama_assert(rc == 0);
	} else
		s->real->rollback(store);
	return s->commit_answers;
}

static void start_process(struct sim *s)
{
	const struct engine_world world = {s, world_wall, world_wall, world_random, world_prepare,
		world_go, world_drop, world_query, world_sms, world_alarm};

	if (s->life++ > 0)
		fx_raise_incarnation(&s->fx);
	tama_assert(engine_new(&world, s->fx.store, s->fx.config, &s->engine, NULL) == 0);
	s->is_up = true;
	s->wake_ms = s->now_ms;
}

/* Whatever is on its way to a provider now meets a fault. */
static void mark_sending(struct sim *s)
{
	sqlite3_stmt *stmt = NULL;

	tama_assert(sqlite3_prepare_v2(sqlite_store_of(s->fx.store)->db.handle,
			    "SELECT purchase FROM attempt WHERE state = 2", -1, &stmt,
			    NULL) == SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		sim_mark(s, (uint64_t)sqlite3_column_int64(stmt, 0));
	(void)sqlite3_finalize(stmt);
}

/* What was in memory is gone. */
static void kill_process(struct sim *s)
{
	mark_sending(s);
	s->is_up = false;
	s->report->crashes++;
	engine_free(&s->engine);
	for (size_t i = 0; i < s->requests_len; i++)
		s->requests[i].is_kept = false;
	while (s->first != NULL) {
		struct engine_event *event = s->first;

		s->first = event->next;
		if (event->kind == ENGINE_RESULT)
			sim_mark(s, sim_purchase_of(s, event->as.result.attempt));
		event->outcome = event->kind == ENGINE_RESULT ? ENGINE_IN_DOUBT : ENGINE_NOT_DONE;
		event->next = NULL;
		event->done(event);
	}
	s->last = &s->first;
	sim_later(s, 1000 + (int64_t)sim_below(s, 3 * MINUTE), (struct task){.kind = TASK_RESTART});
}

/* How this step will end. */
static void draw_fate(struct sim *s)
{
	s->commit_answers = 0;
	s->commit_happens = false;
	s->effects_left = -1;
	if (sim_below(s, 10) != 0)
		return;
	if (sim_strikes(s, FAULT_COMMIT, 0))
		s->commit_answers = TAMA_EIO;
	else if (sim_strikes(s, FAULT_CRASH, 0)) {
		if (sim_below(s, 3) == 0)
			s->effects_left = (int)sim_below(s, 6);
		else
			s->commit_answers = TAMA_EDOUBT;
		s->commit_happens = sim_below(s, 2) == 0;
	} else if (sim_strikes(s, FAULT_PAUSE, 0))
		s->paused_until_ms = s->now_ms + (int64_t)sim_below(s, 10 * MINUTE);
}

/* Cuts the list after a batch; the rest waits. */
static struct engine_event *take_batch(struct sim *s)
{
	struct engine_event *first = s->first, **at = &s->first;

	for (unsigned n = 0; n < LIMIT_ENGINE_BATCH && *at != NULL; n++)
		at = &(*at)->next;
	s->first = *at;
	*at = NULL;
	if (s->first == NULL)
		s->last = &s->first;
	return at == &s->first ? NULL : first;
}

/* The purchases that a batch is about, before its events are gone. */
static size_t touched(struct sim *s, const struct engine_event *event, uint64_t *out, size_t max)
{
	size_t n = 0;

	for (; event != NULL && n < max; event = event->next) {
		if (event->kind == ENGINE_RESULT)
			out[n++] = sim_purchase_of(s, event->as.result.attempt);
		else if (event->kind == ENGINE_PREPARED)
			out[n++] = sim_purchase_of(s, event->as.prepared.attempt);
	}
	return n;
}

static void step(struct sim *s)
{
	struct engine_event *events = take_batch(s);
	bool looks = s->report->steps++ % s->check_every == 0;
	uint64_t purchases[LIMIT_ENGINE_BATCH];
	size_t n = looks ? touched(s, events, purchases, ROWS(purchases)) : 0;
	int64_t wait_ms;

	draw_fate(s);
	wait_ms = engine_step(s->engine, events);
	sim_trace(s, TRACE_STEP, (uint64_t)wait_ms);
	if (wait_ms == TAMA_EDOUBT || s->effects_left == 0)
		kill_process(s);
	else
		s->wake_ms = s->now_ms + (wait_ms > 0 ? wait_ms : SIM_TICK_MS);
	for (size_t i = 0; i < n; i++)
		if (purchases[i] != 0)
			check_purchase(s, purchases[i]);
}

static void run_task(struct sim *s, const struct task *task)
{
	bool is_dead = task->life != 0 && task->life != s->life;

	sim_trace(s, (uint64_t)task->kind, task->seq);
	is_dead = is_dead || (task->life != 0 && !s->is_up);
	switch (task->kind) {
	case TASK_BUY:
		press(s, task);
		break;
	case TASK_PREPARED:
		if (!is_dead)
			prepared(s, task);
		break;
	case TASK_ARRIVE:
		/* The process died after its bytes had left, or before. */
		if (is_dead)
			sim_mark(s, s->requests[task->index].purchase);
		if (!is_dead || sim_below(s, 2) == 0)
			provider_arrive(s, task);
		break;
	case TASK_RESULT:
		if (!is_dead)
			provider_result(s, task);
		else
			sim_mark(s, s->requests[task->index].purchase);
		break;
	case TASK_SETTLE:
		provider_settle(s, task);
		break;
	case TASK_IPN:
		provider_ipn(s, task);
		break;
	case TASK_QUERY:
		if (!is_dead)
			provider_query(s, task);
		break;
	case TASK_SMS:
		if (!is_dead)
			sms_answered(s, task);
		break;
	case TASK_RESTART:
		start_process(s);
		break;
	}
}

/* ---- a world -----------------------------------------------------------------------------------
 */

/* The next moment at which anything happens. */
static int64_t next_ms(const struct sim *s)
{
	int64_t task_ms = s->heap_len > 0 ? s->heap[0].at_ms : INT64_MAX;
	int64_t wake_ms = INT64_MAX;

	if (s->is_up) {
		wake_ms = s->first != NULL ? s->now_ms + SIM_TICK_MS : s->wake_ms;
		if (wake_ms < s->paused_until_ms)
			wake_ms = s->paused_until_ms;
	}
	return task_ms < wake_ms ? task_ms : wake_ms;
}

static void play(struct sim *s, int64_t until_ms)
{
	while (s->report->broken[0] == '\0') {
		int64_t at_ms = next_ms(s);

		if (at_ms > until_ms)
			break;
		s->now_ms = at_ms > s->now_ms ? at_ms : s->now_ms;
		while (s->heap_len > 0 && s->heap[0].at_ms <= s->now_ms) {
			struct task task = take_task(s);
			run_task(s, &task);
		}
		if (s->is_up && s->now_ms >= s->paused_until_ms &&
			(s->first != NULL || s->wake_ms <= s->now_ms))
			step(s);
	}
	s->now_ms = until_ms;
}

/* Few faults reach deep states, many reach strange ones: each world draws its own mixture. */
static void draw_faults(struct sim *s)
{
	static const unsigned rates[] = {0, 20, 60, 150, 400};

	s->rate = rates[sim_below(s, ROWS(rates))];
	for (int i = 0; i < FAULTS; i++)
		s->is_on[i] = sim_below(s, 3) != 0;
	s->has_faults = true;
}

static void open_world(struct sim *s, uint64_t seed, const struct fx_store *shared, size_t presses)
{
	s->chance = seed;
	s->wire_chance = mix(&s->chance);
	s->now_ms = FX_EPOCH;
	s->last = &s->first;
	s->fx.vault = shared->vault;
	s->fx.config = shared->config;
	fx_open_memory(&s->fx);
	s->real = s->fx.store->ops;
	s->ops = *s->real;
	s->ops.commit = world_commit;
	s->fx.store->ops = &s->ops;
	sim_of_store = s;
	tama_assert(sqlite3_prepare_v2(sqlite_store_of(s->fx.store)->db.handle,
			    "SELECT purchase FROM attempt WHERE id = ?1", -1, &s->purchase_of,
			    NULL) == SQLITE_OK);
	draw_faults(s);
	s->presses = calloc(presses, sizeof(*s->presses));
	s->presses_len = presses;
	tama_assert(s->presses != NULL);
	for (size_t i = 0; i < presses; i++) {
		draw_press(s, &s->presses[i], i + 1);
		sim_later(s, (int64_t)sim_below(s, presses * 80),
			(struct task){.kind = TASK_BUY, .index = i});
	}
	start_process(s);
}

static void close_world(struct sim *s)
{
	if (s->is_up)
		engine_free(&s->engine);
	while (s->first != NULL) {
		struct engine_event *event = s->first;

		s->first = event->next;
		event_free(event);
	}
	(void)sqlite3_finalize(s->purchase_of);
	s->fx.store->ops = s->real;
	fx_close_memory(&s->fx);
	free(s->heap);
	free(s->requests);
	free(s->orders);
	free(s->presses);
	free(s->calls);
	free(s->faulted);
}

static void run_world(uint64_t seed, const struct fx_store *shared, size_t presses,
	unsigned check_every, struct sim_report *report)
{
	struct sim *s = calloc(1, sizeof(*s));

	tama_assert(s != NULL);
	s->report = report;
	s->check_every = check_every;
	open_world(s, seed, shared, presses);
	play(s, FX_EPOCH + FAULTS_UNTIL_MS);
	s->has_faults = false;
	s->paused_until_ms = 0;
	play(s, FX_EPOCH + FAULTS_UNTIL_MS + 48 * HOUR);
	if (report->broken[0] == '\0')
		check_end(s);
	close_world(s);
	free(s);
}

bool sim_run(uint64_t seed, uint64_t purchases, unsigned check_every, struct sim_report *out)
{
	struct fx_store shared = {NULL};
	uint64_t chance = seed;

	memset(out, 0, sizeof(*out));
	fx_load(&shared);
	while (out->purchases < purchases && out->broken[0] == '\0') {
		uint64_t left = purchases - out->purchases;

		run_world(mix(&chance), &shared, left < SIM_WORLD ? left : SIM_WORLD, check_every,
			out);
	}
	fx_unload(&shared);
	return out->broken[0] == '\0';
}
