/* Time, chance, customers, and a world from its first press to its last check. */
#include "sim.h"

#include <stdarg.h>

#define HOUR INT64_C(3600000)
#define FAULTS_UNTIL_MS (2 * HOUR)

/* ---- chance ------------------------------------------------------------------------------------
 */

uint64_t sim_mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

uint64_t sim_random(struct sim *s)
{
	return sim_mix(&s->chance);
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

void sim_break(struct sim *s, uint64_t *count, const char *fmt, ...)
{
	va_list args;

	++*count;
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
			sim_break(s, &s->report->doubled, "X1: one press became two purchases");
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

/* ---- a world -----------------------------------------------------------------------------------
 */

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
			process_prepared(s, task);
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
			process_sms(s, task);
		break;
	case TASK_RESTART:
		process_start(s);
		break;
	}
}

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
			process_step(s);
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
	s->wire_chance = sim_mix(&s->chance);
	s->now_ms = FX_EPOCH;
	s->last = &s->first;
	s->fx.vault = shared->vault;
	s->fx.config = shared->config;
	fx_open_memory(&s->fx);
	process_stand_before_store(s);
	draw_faults(s);
	s->presses = calloc(presses, sizeof(*s->presses));
	s->presses_len = presses;
	tama_assert(s->presses != NULL);
	for (size_t i = 0; i < presses; i++) {
		draw_press(s, &s->presses[i], i + 1);
		sim_later(s, (int64_t)sim_below(s, presses * 80),
			(struct task){.kind = TASK_BUY, .index = i});
	}
	process_start(s);
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
	process_leave_store(s);
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

		run_world(sim_mix(&chance), &shared, left < SIM_WORLD ? left : SIM_WORLD,
			check_every, out);
	}
	fx_unload(&shared);
	return out->broken[0] == '\0';
}
