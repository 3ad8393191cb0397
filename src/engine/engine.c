/* The step: one transaction for all that waited, effects after it, and what fell due in between. */
#include "engine_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"
#include "tama/mutant.h"

/* A step's rows, answers aside: a full batch of events with bodies of 64 KiB each fits. */
#define STEP_BYTES ((size_t)64 * 1024 * 1024)

/*
 * Milliseconds, then a part by the incarnation, then a counter: a process that starts within the
 * millisecond in which the last one died, or under a clock set back, still draws other numbers.
 */
uint64_t engine_next_id(struct engine *e)
{
	uint64_t id = (uint64_t)e->now_ms << 20 | (e->incarnation & 0xff) << 12;

	if (id <= e->last_id)
		id = e->last_id + 1;
	e->last_id = id;
	return id;
}

struct effect *engine_effect(struct engine *e, enum effect_kind kind)
{
	struct effect *effect = arena_alloc(&e->arena, sizeof(*effect));

	if (effect == NULL)
		return NULL;
	effect->kind = kind;
	*e->effects_end = effect;
	e->effects_end = &effect->next;
	return effect;
}

void engine_alarm(struct engine *e, const char *what, struct str ref, const char *detail)
{
	struct effect *effect = engine_effect(e, EFFECT_ALARM);

	if (effect == NULL)
		return;
	effect->what = what;
	effect->ref = arena_str(&e->arena, ref);
	effect->detail = detail;
}

static struct str keep(struct engine *e, struct str s)
{
	return s.n > 0 ? arena_str(&e->arena, s) : (struct str){NULL, 0};
}

int engine_ask(
	struct engine *e, enum effect_kind kind, const struct attempt_row *attempt, uint32_t epoch)
{
	struct effect *effect = engine_effect(e, kind);

	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->wire = (struct wire_attempt){
		.attempt = attempt->id,
		.partner = attempt->partner,
		.epoch = epoch,
		.account = keep(e, attempt->account),
		.verb = keep(e, attempt->verb),
		.service = keep(e, attempt->service),
		.our_ref = keep(e, attempt->our_ref),
		.provider_id = keep(e, attempt->provider_id),
		.number = keep(e, attempt->number),
		.amount = attempt->amount,
		.currency = keep(e, attempt->currency),
		.needs_secret = attempt->needs_secret,
		.secret = attempt->secret,
		.secret_is_ours = attempt->incarnation_made == e->incarnation,
	};
	return 0;
}

int engine_drop(struct engine *e, uint64_t attempt, uint32_t epoch)
{
	struct effect *effect = engine_effect(e, EFFECT_DROP);

	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->wire.attempt = attempt;
	effect->wire.epoch = epoch;
	return 0;
}

struct str engine_reference(struct engine *e)
{
	unsigned char chance[2 * REF_LEN];
	char ref[2 * REF_LEN + 1];

	e->world.random(e->world.ctx, chance, sizeof(chance));
	vault_reference(chance, ref);
	vault_reference(chance + REF_LEN, ref + REF_LEN);
	return arena_str(&e->arena, str_c(ref));
}

const struct account *engine_account(struct engine *e, const struct attempt_row *attempt)
{
	const struct account *account = config_account(e->config, attempt->account);

	return account != NULL && account->partner->id == attempt->partner ? account : NULL;
}

static void effect_run(struct engine *e, const struct effect *effect)
{
	const struct engine_world *w = &e->world;

	switch (effect->kind) {
	case EFFECT_PREPARE:
		CRASH_POINT("K19");
		(void)w->prepare(w->ctx, &effect->wire);
		break;
	case EFFECT_GO:
		CRASH_POINT("K12");
		(void)w->go(w->ctx, effect->wire.partner, effect->wire.attempt, effect->wire.epoch,
			e->boot_ms);
		break;
	case EFFECT_DROP:
		w->drop(w->ctx, effect->wire.attempt, effect->wire.epoch);
		break;
	case EFFECT_QUERY:
		(void)w->query(w->ctx, &effect->wire);
		break;
	case EFFECT_SMS:
		(void)w->send_sms(w->ctx, &effect->sms);
		break;
	case EFFECT_ACCOUNT:
		if (w->ask_account != NULL)
			(void)w->ask_account(w->ctx, &effect->account);
		break;
	case EFFECT_ALARM:
		w->alarm(w->ctx, effect->what, effect->ref, effect->detail);
		break;
	}
}

static int handle_event(struct engine *e, void *what)
{
	struct engine_event *event = what;

	switch (event->kind) {
	case ENGINE_BUY:
		return handle_buy(e, event);
	case ENGINE_PREPARED:
		return handle_prepared(e, event);
	case ENGINE_RESULT:
		return handle_result(e, event);
	case ENGINE_IPN:
		return handle_ipn(e, event);
	case ENGINE_SMS_RESULT:
		return handle_sms_result(e, event);
	case ENGINE_DLR:
		return handle_dlr(e, event);
	case ENGINE_DECISION:
		return handle_decision(e, event);
	case ENGINE_ACCOUNT:
		return handle_account(e, event);
	case ENGINE_RECONCILE:
		return handle_reconcile(e, event);
	}
	return TAMA_EINVAL;
}

static int work_on_due(struct engine *e, void *what)
{
	const struct outbox_row *row = what;

	switch (row->kind) {
	case OUTBOX_SEND:
		return due_send(e, row);
	case OUTBOX_POLL:
		return due_poll(e, row);
	case OUTBOX_SMS:
		return due_sms(e, row);
	case OUTBOX_DEADLINE:
		return due_deadline(e, row);
	case OUTBOX_PROGRESS:
		return due_progress(e, row);
	case OUTBOX_FLOAT:
		return due_float(e, row);
	case OUTBOX_RECONCILE:
		return due_reconcile(e, row);
	}
	return TAMA_EINVAL;
}

int engine_guarded(struct engine *e, int (*work)(struct engine *, void *), void *what)
{
	struct engine_stats stats = e->stats;
	struct effect **mark = e->effects_end;
	const struct lane_undo *undo = e->undo;
	int rc = e->store->ops->savepoint(e->store);

	if (rc != 0)
		return rc;
	rc = work(e, what);
	if (rc == 0 || MUTANT(HALF_AN_EVENT))
		return e->store->ops->release(e->store);
	*mark = NULL;
	e->effects_end = mark;
	lanes_undo(e, undo);
	e->stats = stats;
	if (e->store->ops->rollback_to(e->store) != 0)
		return TAMA_EIO;
	return e->lanes_touched && lanes_load(e) != 0 ? TAMA_EIO : rc;
}

/*
 * What cannot be applied now never can be: the store is sound, so the event itself is at fault. An
 * answer of a provider would be offered again for ever, and its attempt has its deadline anyway.
 */
static void refuse(struct engine *e, struct engine_event *event)
{
	event->outcome = event->kind == ENGINE_RESULT ? ENGINE_DONE : ENGINE_NOT_DONE;
	engine_alarm(e, "event_refused", STR(""), "an event could not be applied");
}

static int take_events(struct engine *e, struct engine_event *events)
{
	for (struct engine_event *event = events; event != NULL; event = event->next) {
		int rc;

		event->outcome = ENGINE_PENDING;
		rc = engine_guarded(e, handle_event, event);
		if (rc == TAMA_EIO || rc == TAMA_EDOUBT)
			return rc;
		if (rc != 0)
			refuse(e, event);
		e->stats.events++;
	}
	return 0;
}

/*
 * A row that cannot be worked on is put off, not lost: it would spin at the head of the queue. One
 * that is gone was cancelled by a row before it (a deadline takes its attempt's query along).
 */
static int put_off(struct engine *e, const struct outbox_row *row)
{
	int rc = STORE(e, outbox_set_due, row->partner, row->id, e->now_ms + LIMIT_LEASE_MS,
		row->tries + 1);

	if (rc == TAMA_ENOTFOUND)
		return 0;
	engine_alarm(
		e, "due_failed", STR(""), "a due row could not be worked on; put off a minute");
	return rc;
}

static int take_due(struct engine *e, bool *more_out)
{
	struct outbox_row *rows = arena_alloc(&e->arena, sizeof(*rows) * LIMIT_OUTBOX_BATCH);
	int n;

	if (e->world.sends_nothing)
		return 0;
	if (rows == NULL)
		return TAMA_ENOMEM;
	n = STORE(e, outbox_due, e->now_ms, &e->arena, rows, LIMIT_OUTBOX_BATCH);
	if (n < 0)
		return n;
	*more_out = n == LIMIT_OUTBOX_BATCH;
	for (int i = 0; i < n; i++) {
		int rc = engine_guarded(e, work_on_due, &rows[i]);

		if (rc == TAMA_EIO || rc == TAMA_EDOUBT)
			return rc;
		if (rc != 0)
			rc = put_off(e, &rows[i]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void finish_events(struct engine_event *events, enum engine_outcome outcome)
{
	struct engine_event *next;

	for (struct engine_event *event = events; event != NULL; event = next) {
		next = event->next;
		event->next = NULL;
		if (outcome != ENGINE_PENDING)
			event->outcome = outcome;
		event->done(event);
	}
}

/* What was decided and is durable goes out. */
static void run_effects(struct engine *e)
{
	for (const struct effect *effect = e->effects; effect != NULL; effect = effect->next)
		if (!e->world.sends_nothing || effect->kind == EFFECT_ALARM)
			effect_run(e, effect);
	e->effects = NULL;
	e->effects_end = &e->effects;
}

static int work(struct engine *e, struct engine_event *events, bool *more_out)
{
	struct err err = ERR_INIT;
	bool more_orphans = false, more_due = false;
	int rc = e->store->ops->begin(e->store, &err);

	if (rc != 0) {
		e->world.alarm(e->world.ctx, "begin", STR(""), err.text);
		/* Nothing of this step is in doubt, but only a store opened anew will go on. */
		e->is_dead = rc == TAMA_EDOUBT;
		return TAMA_EIO;
	}
	if (events != NULL && events->kind != ENGINE_ACCOUNT)
		CRASH_POINT("K5");
	if (!e->has_recovered)
		rc = engine_recover(e, &more_orphans);
	if (rc == 0)
		rc = floats_step(e);
	if (rc == 0)
		rc = take_events(e, events);
	if (rc == 0)
		rc = lanes_wake(e);
	if (rc == 0)
		rc = take_due(e, &more_due);
	if (rc == 0)
		rc = floats_step(e);
	if (rc == 0 && arena_overflowed(&e->arena))
		rc = TAMA_ENOMEM;
	if (rc != 0) {
		e->world.alarm(e->world.ctx, "step", STR(""), "nothing of it was kept");
		e->store->ops->rollback(e->store);
		return rc == TAMA_EDOUBT ? TAMA_EIO : rc;
	}
	if (events != NULL && events->kind != ENGINE_ACCOUNT)
		CRASH_POINT("K6");
	rc = e->store->ops->mark_raise(e->store,
		&(struct store_moment){e->boot_ms, e->now_ms, e->last_id, e->frozen_id},
		e->is_accepting);
	if (rc != 0) {
		e->store->ops->rollback(e->store);
		return TAMA_EIO;
	}
	if (MUTANT(SENT_BEFORE_COMMIT))
		run_effects(e);
	rc = e->store->ops->commit(e->store, &err);
	if (rc != 0)
		e->world.alarm(e->world.ctx, "commit", STR(""), err.text);
	e->has_recovered = e->has_recovered || (rc == 0 && !more_orphans);
	*more_out = more_orphans || more_due;
	return rc;
}

/* What fell due while the due rows were worked on is due now. */
static int64_t next_due(struct engine *e, bool more)
{
	int64_t due_ms;

	if (more)
		return 0;
	if (e->world.sends_nothing)
		return INT64_MAX;
	/* Without its mark nothing is sent, and the next step writes it. */
	if (STORE(e, outbox_next_due, e->now_ms - 1, &due_ms) != 0 || e->is_unmarked)
		return 1000;
	if (due_ms == INT64_MAX)
		return 60 * 1000;
	return due_ms > e->now_ms ? due_ms - e->now_ms : 0;
}

static void look_at_clocks(struct engine *e)
{
	int64_t off_ms;
	bool is_off;

	e->boot_ms = e->world.boot_ms(e->world.ctx);
	e->wall_ms = e->world.wall_ms(e->world.ctx);
	e->now_ms = MUTANT(WALL_CLOCK_EXPIRY) ? e->wall_ms : clock_now_ms(&e->clock, e->boot_ms);
	off_ms = e->wall_ms - e->now_ms;
	e->stats.clock_off_ms = off_ms;
	is_off = off_ms > LIMIT_CLOCK_OFF_MS || off_ms < -LIMIT_CLOCK_OFF_MS;
	if (is_off && !e->is_off)
		e->world.alarm(e->world.ctx, "clock", STR(""),
			"the wall clock was set: deadlines keep to the time that has passed");
	e->is_off = is_off;
}

/* Before what this commit covers is sent. Returns whether it could not be, and can again. */
static bool keep_mark(struct engine *e)
{
	struct err err = ERR_INIT;
	bool was_unmarked = e->is_unmarked;

	e->is_unmarked = e->store->ops->mark_write(e->store, &err) != 0;
	if (e->is_unmarked && !was_unmarked)
		e->world.alarm(e->world.ctx, "mark", STR(""), err.text);
	return was_unmarked && !e->is_unmarked;
}

int64_t engine_step(struct engine *e, struct engine_event *events)
{
	struct engine_stats stats = e->stats;
	bool more = false;
	int rc;

	tama_assert(!e->is_dead);
	look_at_clocks(e); /* a claim's age counts from before its commit */
	arena_reset(&e->arena);
	e->effects = NULL;
	e->effects_end = &e->effects;
	e->lanes_touched = e->is_accepting = false;
	rc = work(e, events, &more);
	if (rc != 0) {
		lanes_undo(e, NULL);
		e->stats = stats;
		floats_forget(e->floats);
	}
	e->undo = NULL;
	if (rc != 0 && rc != TAMA_EDOUBT && e->lanes_touched && lanes_load(e) != 0)
		e->is_unmarked = true;
	if (rc == TAMA_EDOUBT) {
		e->is_dead = true;
		finish_events(events, ENGINE_IN_DOUBT);
		return TAMA_EDOUBT;
	}
	if (rc != 0) {
		finish_events(
			events, MUTANT(ANSWERED_WITHOUT_COMMIT) ? ENGINE_PENDING : ENGINE_NOT_DONE);
		return e->is_dead ? TAMA_EDOUBT : TAMA_EIO;
	}
	if (events != NULL && events->kind != ENGINE_ACCOUNT)
		CRASH_POINT("K7");
	e->stats.commits++;
	/* Answers first: a phone waits for them, the provider does not. */
	finish_events(events, ENGINE_PENDING);
	more = keep_mark(e) || more;
	run_effects(e);
	return next_due(e, more);
}

void engine_free(struct engine **engine)
{
	struct engine *e = *engine;

	if (e == NULL)
		return;
	floats_free(&e->floats);
	config_unref(&e->config);
	arena_fini(&e->arena);
	free(e);
	*engine = NULL;
}

static void begin_clock(struct engine *e, const struct store_past *past)
{
	const struct clock_kept kept = {past->clock_ms, past->boot_ms, past->is_same_boot};
	int64_t boot_ms = e->world.boot_ms(e->world.ctx);
	const char *text = clock_start_text(
		clock_begin(&e->clock, &kept, e->world.wall_ms(e->world.ctx), boot_ms));

	e->now_ms = clock_now_ms(&e->clock, boot_ms);
	if (text != NULL)
		e->world.alarm(e->world.ctx, "clock", STR(""), text);
}

int engine_new(const struct engine_world *world, struct store *store, const struct config *config,
	struct engine **out, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct store_past past;
	int rc;

	if (e == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	e->world = *world;
	e->store = store;
	e->config = config_ref(config);
	e->incarnation = store->ops->incarnation(store);
	store->ops->past(store, &past);
	begin_clock(e, &past);
	e->last_id = past.last_id;
	e->frozen_id = past.frozen_id;
	arena_init(&e->arena, STEP_BYTES);
	e->floats = floats_new();
	rc = lanes_load(e);
	if (rc == 0)
		rc = lanes_meet(e);
	if (rc != 0) {
		engine_free(&e);
		return err_set(err, rc, "the lanes cannot be read");
	}
	*out = e;
	return 0;
}

void engine_set_config(struct engine *e, const struct config *config)
{
	const struct config *old = e->config;

	e->config = config_ref(config);
	/* A lane that cannot be read begins without a past. */
	if (lanes_meet(e) != 0)
		e->world.alarm(e->world.ctx, "lanes", STR(""), "the store does not answer");
	floats_forget(e->floats);
	config_unref(&old);
}

const struct config *engine_config(const struct engine *e)
{
	return e->config;
}

void engine_stats(const struct engine *e, struct engine_stats *out)
{
	*out = e->stats;
}
