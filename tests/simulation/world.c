/* Time, customers, and a world from its first press to its last check. */
#include "sim.h"

#include <sodium.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAULTS_UNTIL_MS (9 * SIM_HOUR)
#define END_MS (FAULTS_UNTIL_MS + 48 * SIM_HOUR)

void sim_trace(struct sim *s, uint64_t a, uint64_t b)
{
	uint64_t h = s->trace;

	h = (h ^ (uint64_t)(s->now_ms - SIM_EPOCH)) * UINT64_C(0x100000001B3);
	h = (h ^ a) * UINT64_C(0x100000001B3);
	s->trace = (h ^ b) * UINT64_C(0x100000001B3);
}

void sim_break(struct sim *s, uint64_t *count, const char *fmt, ...)
{
	va_list args;

	++*count;
	if (s->report->broken[0] != '\0')
		return;
	s->report->broken_world = s->seed;
	s->report->broken_presses = s->presses_len;
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

struct press *sim_press(struct sim *s, uint32_t uid)
{
	return uid > 0 && uid <= s->presses_len ? &s->presses[uid - 1] : NULL;
}

/* ---- the heap ----------------------------------------------------------------------------------
 */

static bool is_before(const struct task *a, const struct task *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

static void push_task(struct sim *s, struct task task)
{
	size_t at = s->heap_len++;

	task.seq = s->seq++;
	s->heap = sim_grow(s->heap, at, &s->heap_cap, sizeof(*s->heap));
	for (; at > 0 && is_before(&task, &s->heap[(at - 1) / 2]); at = (at - 1) / 2)
		s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = task;
}

int64_t sim_tick(int64_t at_ms)
{
	return (at_ms + SIM_TICK_MS - 1) / SIM_TICK_MS * SIM_TICK_MS;
}

void sim_later(struct sim *s, int64_t in_ms, struct task task)
{
	task.at_ms = sim_tick(s->now_ms + in_ms + 1);
	push_task(s, task);
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
	uint64_t digest; /* IPN: of its body */
	size_t tells; /* index + 1 of the attempt that it tells the truth about */
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

	if (p->tries < 6)
		sim_later(s, 2000 + (int64_t)sim_below(s, p->uid, 30000),
			(struct task){.kind = TASK_BUY, .index = index});
}

/* I10: one press is one purchase, and a repeated hop gets the same bytes. */
static void acknowledged(struct sim *s, struct engine_event *event, struct press *p)
{
	const struct engine_buy *buy = &event->as.buy;
	struct str reply = event->outcome == ENGINE_DONE ? buy->hop_reply : buy->repeat_reply;

	if (p->is_acknowledged && p->purchase != buy->purchase)
		sim_break(s, &s->report->doubled, "I10: one press became two purchases");
	if (p->is_acknowledged && !str_eq(reply, str_c(p->reply)))
		sim_break(s, &s->report->unexplained, "I10: a repeated hop got another reply");
	if (!p->is_acknowledged && event->outcome == ENGINE_REPEATED && !p->was_in_doubt)
		sim_break(s, &s->report->unexplained, "I10: a repeat of what was never taken");
	if (!p->is_acknowledged)
		p->acknowledged_ms = s->now_ms;
	p->is_acknowledged = true;
	p->purchase = buy->purchase;
	(void)snprintf(p->reply, sizeof(p->reply), "%.*s", STR_ARG(reply));
	if (sim_below(s, p->uid, 20) == 0)
		press_again(s, p->uid - 1);
}

/* X6: ok must be there, fail must not be, info may. */
static void buy_done(struct sim *s, struct engine_event *event, size_t index)
{
	struct press *p = &s->presses[index];

	if (process_is_dying(s)) {
		/* Whatever the engine says now, nobody hears it. */
		p->was_in_doubt = true;
		press_again(s, index);
	} else if (event->outcome == ENGINE_DONE || event->outcome == ENGINE_REPEATED)
		acknowledged(s, event, p);
	else if (event->outcome == ENGINE_NOT_DONE || event->outcome == ENGINE_IN_DOUBT) {
		p->was_in_doubt = p->was_in_doubt || event->outcome == ENGINE_IN_DOUBT;
		p->is_refused = event->outcome == ENGINE_NOT_DONE;
		press_again(s, index);
	} else {
		p->is_refused = true;
		/* Out of service just now: people try again, for a while. */
		if (event->outcome == ENGINE_CLOSED && p->tries < 6)
			sim_later(s, SIM_MINUTE + (int64_t)sim_below(s, p->uid, 10 * SIM_MINUTE),
				(struct task){.kind = TASK_BUY, .index = index});
	}
}

static void ipn_done(struct sim *s, struct engine_event *event, struct sim_event *se)
{
	if (event->outcome != ENGINE_DONE || process_is_dying(s)) {
		provider_ipn_again(s, &se->task);
		return;
	}
	s->acknowledged = sim_grow(s->acknowledged, s->acknowledged_len, &s->acknowledged_cap,
		sizeof(*s->acknowledged));
	s->acknowledged[s->acknowledged_len++] = se->digest;
}

static void event_done(struct engine_event *event)
{
	struct sim_event *se = event->user;
	struct sim *s = se->sim;

	sim_trace(s, event->kind, event->outcome);
	s->report->events++;
	if (event->kind == ENGINE_RESULT && event->outcome == ENGINE_NOT_DONE &&
		!process_is_dying(s)) {
		append(s, event); /* as the wire does: it exists nowhere else */
		return;
	}
	if (se->tells > 0 && event->outcome == ENGINE_DONE && !process_is_dying(s) &&
		s->sent[se->tells - 1].told_ms == 0)
		s->sent[se->tells - 1].told_ms = s->now_ms;
	if (event->kind == ENGINE_BUY)
		buy_done(s, event, se->index);
	if (event->kind == ENGINE_IPN)
		ipn_done(s, event, se);
	if (event->kind == ENGINE_DECISION && !process_is_dying(s))
		person_answered(s, event, se->index);
	event_free(event);
}

static struct sim_event *new_event(struct sim *s, enum engine_event_kind kind, size_t index)
{
	struct sim_event *se = calloc(1, sizeof(*se));

	tama_assert(se != NULL);
	*se = (struct sim_event){.sim = s, .index = index};
	se->event.kind = kind;
	se->event.user = se;
	se->event.done = event_done;
	arena_init(&se->event.arena, LIMIT_TURN_BYTES);
	return se;
}

struct engine_event *sim_event(struct sim *s, enum engine_event_kind kind, size_t index)
{
	struct sim_event *se = new_event(s, kind, index);

	append(s, &se->event);
	return &se->event;
}

struct engine_event *sim_ipn(struct sim *s, const struct task *task, uint64_t digest)
{
	struct sim_event *se = new_event(s, ENGINE_IPN, task->index);

	se->task = *task;
	se->digest = digest;
	return &se->event;
}

void sim_post(struct sim *s, struct engine_event *event)
{
	append(s, event);
}

void sim_discard(struct engine_event *event)
{
	event_free(event);
}

void sim_tells(struct engine_event *event, size_t sent)
{
	((struct sim_event *)event->user)->tells = sent + 1;
}

/* ---- customers ---------------------------------------------------------------------------------
 */

static const struct operator_cfg *operator_of(
	const struct sim *s, const struct offer *offer, const char *number, struct msisdn *out)
{
	memset(out, 0, sizeof(*out));
	(void)snprintf(out->digits, sizeof(out->digits), "%s", number);
	return config_operator_guess(s->shared->config, offer->country, out);
}

static void draw_press(struct sim *s, struct press *p, uint32_t uid)
{
	static const char *const offers[] = {"ci-airtime", "ci-refund", "ci-payment", "ci-payment",
		"agent-airtime", "agent-airtime", "agent-airtime", "ug-airtime", "ug-refund",
		"ui-airtime"};
	static const char *const prefixes[] = {"01", "05", "07"};
	uint64_t state = s->seed ^ (uint64_t)uid << 32;
	/* One in twenty is somebody who was here already: the pause is met. */
	unsigned who = (unsigned)(sim_mix(&state) % 20 == 0 ? sim_mix(&state) % uid : uid);
	const char *prefix = prefixes[sim_mix(&state) % SIM_ROWS(prefixes)];

	p->uid = uid;
	p->chance = sim_mix(&state);
	p->offer = offers[sim_mix(&state) % SIM_ROWS(offers)];
	if (p->offer[0] == 'u') {
		(void)snprintf(p->payer, sizeof(p->payer), "25677%07u", who);
		(void)snprintf(p->beneficiary, sizeof(p->beneficiary), "25677%07u", who + 500);
		return;
	}
	(void)snprintf(p->payer, sizeof(p->payer), "225%s%08u", prefix, who);
	(void)snprintf(p->beneficiary, sizeof(p->beneficiary), "22501%08u", who + 500);
	if (prefix[1] == '7' && p->offer[0] == 'c')
		(void)snprintf(p->otp, sizeof(p->otp), SIM_CANARY "%02u",
			(unsigned)(sim_mix(&state) % 100));
}

static struct buy_intent *make_intent(struct sim *s, const struct press *p, struct arena *arena)
{
	struct buy_intent *intent = arena_alloc(arena, sizeof(*intent));

	*intent = (struct buy_intent){
		.offer = config_offer(s->shared->config, str_c(p->offer)),
		.face_value = 500,
		.ref = arena_printf(arena, "R%07u", (unsigned)p->uid),
		.texts = {STR_INIT("delivered"), STR_INIT("cancelled"), STR_INIT("expired"),
			STR_INIT("refund due"), STR_INIT("progress"), STR_INIT("refunded")},
		/* A handle of this life: the wire knows what it stands for. */
		.secret = p->otp[0] != '\0' ? p->uid : 0,
	};
	intent->operator_ = operator_of(s, intent->offer, p->beneficiary, &intent->beneficiary);
	intent->payer_operator = operator_of(s, intent->offer, p->payer, &intent->payer);
	if (intent->offer->collect.account == NULL)
		intent->payer_operator = NULL;
	intent->fee = offer_fee(intent->offer, intent->face_value);
	intent->price = intent->face_value + intent->fee;
	return intent;
}

static void press(struct sim *s, const struct task *task)
{
	struct press *p = &s->presses[task->index];
	struct engine_event *event;
	struct engine_buy *buy;

	if (is_forgotten(s, p))
		return; /* by persons' hands, from the provider's list */
	if (!s->is_up) {
		press_again(s, task->index);
		return;
	}
	p->tries++;
	p->is_refused = false;
	event = sim_event(s, ENGINE_BUY, task->index);
	buy = &event->as.buy;
	buy->intent = make_intent(s, p, &event->arena);
	buy->partner = buy->intent->offer->partner->id;
	buy->ordinal = 1;
	buy->channel = STR("ussd");
	buy->lang = STR("fr");
	buy->hop_reply =
		arena_printf(&event->arena, "Demande recue. %u.%u", (unsigned)p->uid, p->tries);
	/* A hop may be late: its deadline cancels it before the engine takes it up. */
	atomic_store(&p->claim, sim_below(s, p->uid, 60) == 0 ? CLAIM_CANCELLED : CLAIM_WAITING);
	buy->claim = &p->claim;
	memcpy(buy->uid, &p->uid, sizeof(p->uid));
}

/* ---- a world -----------------------------------------------------------------------------------
 */

static void run_task(struct sim *s, const struct task *task)
{
	sim_trace(s, (uint64_t)task->kind, task->index);
	switch (task->kind) {
	case TASK_BUY:
		press(s, task);
		break;
	case TASK_SETTLE:
		provider_settle(s, task);
		break;
	case TASK_IPN:
		provider_ipn(s, task);
		break;
	case TASK_RESTART:
		process_start(s);
		break;
	case TASK_PERSON:
		person_looks(s);
		break;
	case TASK_RELEASE:
		person_releases(s);
		sim_later(s, s->has_faults ? 2 * SIM_MINUTE : SIM_HOUR, *task);
		break;
	case TASK_PREPARED:
	case TASK_GO:
	case TASK_ARRIVE:
	case TASK_RESULT:
	case TASK_QUERY:
	case TASK_SMS:
		wire_task(s, task);
		break;
	}
}

/* A stopped process does nothing of its own: its work waits until it goes on. */
static bool is_stopped(const struct sim *s, const struct task *task)
{
	return task->life != 0 && task->life == s->life && s->is_up &&
	       s->now_ms < s->paused_until_ms && task->kind != TASK_ARRIVE;
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

			if (is_stopped(s, &task)) {
				task.at_ms = s->paused_until_ms;
				push_task(s, task);
			} else
				run_task(s, &task);
		}
		if (s->is_up && s->now_ms >= s->paused_until_ms &&
			(s->first != NULL || s->wake_ms <= s->now_ms))
			process_step(s);
	}
	s->now_ms = until_ms;
}

/* When persons look; the last time soon enough for what they start to end. */
static const int64_t nights_ms[] = {
	SIM_HOUR, 8 * SIM_HOUR, 10 * SIM_HOUR, 33 * SIM_HOUR, 34 * SIM_HOUR};

static void open_world(struct sim *s, size_t presses)
{
	s->process_chance = s->seed ^ UINT64_C(0x70726f63657373);
	s->wire_chance = sim_mix(&s->process_chance);
	disks_seed(s->shared->disks, sim_mix(&s->process_chance));
	s->now_ms = SIM_EPOCH;
	s->last = &s->first;
	sim_draw_faults(s);
	s->presses = calloc(presses, sizeof(*s->presses));
	s->presses_len = presses;
	tama_assert(s->presses != NULL);
	for (size_t i = 0; i < presses; i++) {
		draw_press(s, &s->presses[i], (uint32_t)i + 1);
		sim_later(s, (int64_t)sim_below(s, s->presses[i].uid, presses * 80),
			(struct task){.kind = TASK_BUY, .index = i});
	}
	for (size_t i = 0; i < SIM_ROWS(nights_ms); i++)
		sim_later(s, nights_ms[i], (struct task){.kind = TASK_PERSON});
	sim_later(s, SIM_MINUTE, (struct task){.kind = TASK_RELEASE});
	process_open(s);
}

static void close_world(struct sim *s)
{
	process_close(s);
	while (s->first != NULL) {
		struct engine_event *event = s->first;

		s->first = event->next;
		event_free(event);
	}
	for (size_t i = 0; i < s->requests_len; i++)
		request_free(&s->requests[i]);
	free(s->heap);
	free(s->requests);
	free(s->sent);
	free(s->sent_index);
	free(s->orders);
	free(s->presses);
	free(s->calls);
	free(s->acknowledged);
}

/* libsodium's chance during a world: a sequence, so that disks are alike as well. */
static uint64_t *sodium_state;

static const char *sodium_name(void)
{
	return "simulated";
}

static void sodium_bytes(void *const out, const size_t n)
{
	unsigned char *p = out;

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(sim_mix(sodium_state) >> 32);
}

static uint32_t sodium_number(void)
{
	return (uint32_t)(sim_mix(sodium_state) >> 32);
}

void sim_world(const struct sim_shared *shared, const struct sim_plan *plan, uint64_t seed,
	size_t presses, struct sim_report *report)
{
	static const struct sim_plan everything = {.only = NULL};
	struct sim *s = calloc(1, sizeof(*s));
	uint64_t sodium = seed;

	tama_assert(s != NULL && presses <= SIM_WORLD);
	sodium_state = &sodium;
	s->shared = shared;
	s->plan = plan != NULL ? plan : &everything;
	s->report = report;
	s->seed = seed;
	s->trace = seed;
	if (s->plan->struck != NULL)
		s->plan->struck->len = 0;
	open_world(s, presses);
	play(s, SIM_EPOCH + FAULTS_UNTIL_MS);
	s->has_faults = false;
	s->paused_until_ms = 0;
	play(s, SIM_EPOCH + END_MS);
	if (report->broken[0] == '\0')
		check_end(s);
	if (s->plan->told != 0 && s->is_up)
		check_tell(s, s->plan->told, stdout);
	report->worlds++;
	report->trace += s->trace;
	close_world(s);
	free(s);
}

void sim_report_add(struct sim_report *to, const struct sim_report *from)
{
	const uint64_t *f = (const uint64_t *)from;
	uint64_t *t = (uint64_t *)to;

	for (size_t i = 0; i < offsetof(struct sim_report, broken_world) / sizeof(*t); i++)
		t[i] += f[i];
	if (to->broken[0] == '\0') {
		memcpy(to->broken, from->broken, sizeof(to->broken));
		to->broken_world = from->broken_world;
		to->broken_presses = from->broken_presses;
	}
}

bool sim_run(const struct sim_shared *shared, const struct sim_run *run, struct sim_report *out)
{
	size_t presses = run->purchases < SIM_WORLD ? (size_t)run->purchases : SIM_WORLD;
	uint64_t chance = run->seed, seed = run->seed;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; out->purchases * run->jobs < run->purchases && out->broken[0] == '\0';
		i++) {
		if (i % run->jobs == run->job)
			sim_world(shared, run->plan, seed, presses, out);
		seed = sim_mix(&chance);
	}
	return out->broken[0] == '\0';
}

void sim_load(struct sim_shared *out)
{
	static struct randombytes_implementation chance = {
		.implementation_name = sodium_name, .random = sodium_number, .buf = sodium_bytes};
	static uint64_t before_the_first;
	struct err err = ERR_INIT;
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	sodium_state = &before_the_first;
	tama_assert(randombytes_set_implementation(&chance) == 0);
	memset(out, 0, sizeof(*out));
	if (config_load("tests/simulation/world.lua", NULL, &out->config, &err) != 0 ||
		vault_new(STR(SIM_KEY), &out->vault, &err) != 0 ||
		dialect_host_new(1u << DIALECT_PROVIDER, &out->host, &err) != 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
	out->disks = disks_install();
	(void)snprintf(out->dir, sizeof(out->dir), "%s/tama-simulation-XXXXXX", tmp);
	tama_assert(mkdtemp(out->dir) != NULL);
}

/* The store leaves nothing real behind but its lock and an empty file. */
static void remove_dir(const char *dir, const char *sub)
{
	static const char *const names[] = {"lock", "tama.db", "mark"};
	char path[256];

	for (size_t i = 0; i < SIM_ROWS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s/%s", dir, sub, names[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s%s", dir, sub);
	(void)rmdir(path);
}

void sim_unload(struct sim_shared *shared)
{
	remove_dir(shared->dir, "/image");
	remove_dir(shared->dir, "/world");
	remove_dir(shared->dir, "");
	disks_remove(&shared->disks);
	dialect_host_free(&shared->host);
	vault_free(&shared->vault);
	config_unref(&shared->config);
}
