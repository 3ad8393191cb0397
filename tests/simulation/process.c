/* The process: the engine with its wire and its gateway, what it commits, and how it dies. */
#include "sim.h"

#define MINUTE INT64_C(60000)

enum trace {
	TRACE_PREPARE = 100,
	TRACE_GO,
	TRACE_QUERY,
	TRACE_SMS,
	TRACE_STEP,
};

static struct sim *sim_of_store; /* one world at a time */

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
		p[i] = (unsigned char)(sim_mix(&((struct sim *)ctx)->wire_chance) >> 32);
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

void process_prepared(struct sim *s, const struct task *task)
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

static bool world_go(
	void *ctx, uint32_t partner, uint64_t attempt, uint32_t epoch, int64_t claimed_ms)
{
	struct sim *s = ctx;
	struct request *r;

	if (!lives(s))
		return false;
	sim_trace(s, TRACE_GO, attempt);
	r = find_kept(s, attempt, epoch);
	if (r == NULL) {
		sim_break(s, &s->report->unexplained, "told to send what was not prepared");
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
		sim_break(s, &s->report->unexplained, "alarm %s: %s", what, detail);
}

void process_sms(struct sim *s, const struct task *task)
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

void process_start(struct sim *s)
{
	const struct engine_world world = {s, world_wall, world_wall, world_random, world_prepare,
		world_go, world_drop, world_query, world_sms, world_alarm, NULL};

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

void process_step(struct sim *s)
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

/* ---- the store in front of the store -----------------------------------------------------------
 */

void process_stand_before_store(struct sim *s)
{
	s->real = s->fx.store->ops;
	s->ops = *s->real;
	s->ops.commit = world_commit;
	s->fx.store->ops = &s->ops;
	sim_of_store = s;
	tama_assert(sqlite3_prepare_v2(sqlite_store_of(s->fx.store)->db.handle,
			    "SELECT purchase FROM attempt WHERE id = ?1", -1, &s->purchase_of,
			    NULL) == SQLITE_OK);
}

void process_leave_store(struct sim *s)
{
	(void)sqlite3_finalize(s->purchase_of);
	s->fx.store->ops = s->real;
}
