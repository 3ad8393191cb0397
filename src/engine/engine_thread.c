/* The engine's thread: takes what waits, steps, sleeps until something comes or falls due. */
#include "gateway_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"

#include <poll.h>
#include <sodium.h>

struct engine_thread {
	struct gateway *gateway;
	struct engine *engine;
	struct queue *events;
	pthread_t thread;
	bool has_thread;
	atomic_bool stop, is_dead, is_halted;
	atomic_bool is_stepping; /* set before events are taken, so that none is overlooked */
	pthread_mutex_t lock; /* of stats and config below */
	struct engine_stats stats;
	struct store_counts counts;
	struct engine_float floats[ENGINE_FLOATS_MAX];
	size_t floats_len;
	const struct config *next_config;
	_Atomic size_t closed_len;
	char closed[LIMIT_CONFIG_LIST][64]; /* accounts that sell nothing now */
};

/* struct engine_event begins with its link, as struct queue_item does. */
_Static_assert(
	offsetof(struct engine_event, next) == 0, "the queue links events by their first word");

static int64_t world_wall(void *ctx)
{
	return clock_wall_ms();
}

static int64_t world_boot(void *ctx)
{
	return clock_boot_ms();
}

static void world_random(void *ctx, void *bytes, size_t n)
{
	randombytes_buf(bytes, n);
}

static bool world_prepare(void *ctx, const struct wire_attempt *attempt)
{
	struct engine_thread *t = ctx;

	/* Nothing new begins while draining; the row's lease brings it again after the restart. */
	return !atomic_load(&t->gateway->is_draining) && wire_prepare(t->gateway->wire, attempt);
}

static bool world_go(
	void *ctx, uint32_t partner, uint64_t attempt, uint32_t epoch, int64_t claimed_boot_ms)
{
	return wire_go(((struct engine_thread *)ctx)->gateway->wire, partner, attempt, epoch,
		claimed_boot_ms);
}

static void world_drop(void *ctx, uint64_t attempt, uint32_t epoch)
{
	wire_drop(((struct engine_thread *)ctx)->gateway->wire, attempt, epoch);
}

static bool world_query(void *ctx, const struct wire_attempt *attempt)
{
	struct engine_thread *t = ctx;

	return !atomic_load(&t->gateway->is_draining) && wire_query(t->gateway->wire, attempt);
}

static bool world_sms(void *ctx, const struct wire_sms *sms)
{
	struct engine_thread *t = ctx;

	return !atomic_load(&t->gateway->is_draining) && wire_send_sms(t->gateway->wire, sms);
}

static bool world_account(void *ctx, const struct wire_account *ask)
{
	struct engine_thread *t = ctx;

	return !atomic_load(&t->gateway->is_draining) && wire_ask_account(t->gateway->wire, ask);
}

static void world_alarm(void *ctx, const char *what, struct str ref, const char *detail)
{
	struct engine_thread *t = ctx;

	log_event(t->gateway->log, "alarm", what, ref, str_c(detail));
}

static void wait_for_events(struct engine_thread *t, int64_t wait_ms)
{
	struct pollfd fd = {.fd = queue_fd(t->events), .events = POLLIN};

	if (atomic_load(&t->stop))
		wait_ms = 0;
	(void)poll(&fd, 1, wait_ms > 1000 ? 1000 : (int)wait_ms);
}

static void take_config(struct engine_thread *t)
{
	const struct config *next;

	(void)pthread_mutex_lock(&t->lock);
	next = t->next_config;
	t->next_config = NULL;
	(void)pthread_mutex_unlock(&t->lock);
	if (next != NULL)
		engine_set_config(t->engine, next);
	config_unref(&next);
}

/* Mostly none is closed: then a menu asks no lock. Which configuration the names are of is the
 * engine's; a name that a worker does not know is not asked for. */
static void publish_closed(struct engine_thread *t)
{
	const struct config *config = engine_config(t->engine);
	size_t n = 0;

	for (size_t i = 0; i < config->accounts_len && n < LIMIT_CONFIG_LIST; i++) {
		const struct account *account = &config->accounts[i];

		if (!engine_account_sells(t->engine, account))
			(void)snprintf(t->closed[n++], sizeof(t->closed[0]), "%.*s",
				STR_ARG(account->name));
	}
	atomic_store(&t->closed_len, n);
}

static void publish(struct engine_thread *t, int64_t *counted_ms)
{
	int64_t now_ms = clock_boot_ms();

	(void)pthread_mutex_lock(&t->lock);
	engine_stats(t->engine, &t->stats);
	publish_closed(t);
	t->floats_len = engine_floats(t->engine, t->floats, ENGINE_FLOATS_MAX);
	/* Counting reads indices: once a second is often enough for a gauge. */
	if (now_ms - *counted_ms >= 1000) {
		*counted_ms = now_ms;
		(void)t->gateway->store->ops->counts(t->gateway->store, &t->counts);
	}
	(void)pthread_mutex_unlock(&t->lock);
}

static void refuse(struct queue_item *items, enum engine_outcome outcome)
{
	while (items != NULL) {
		struct engine_event *event = (struct engine_event *)items;

		items = items->next;
		event->outcome = outcome;
		event->done(event);
	}
}

/*
 * Evidence that could not be kept is offered again at once by whoever holds it; without a pause a
 * full disk would cost a processor.
 */
static void pause_after_failure(void)
{
	const struct timespec pause = {0, 200 * 1000 * 1000};

	(void)nanosleep(&pause, NULL);
}

static void *engine_main(void *arg)
{
	struct engine_thread *t = arg;
	int64_t counted_ms = 0, wait_ms = 0;

	for (;;) {
		struct queue_item *items;

		wait_for_events(t, wait_ms);
		atomic_store(&t->is_stepping, true);
		items = queue_take(t->events, LIMIT_ENGINE_BATCH);
		if (items == NULL && atomic_load(&t->stop))
			break;
		if (atomic_load(&t->is_dead)) {
			refuse(items, ENGINE_IN_DOUBT);
			atomic_store(&t->is_stepping, false);
			wait_ms = 1000;
			continue;
		}
		/* The points of a purchase's way: an account's chores pass them. */
		if (items != NULL && ((struct engine_event *)(void *)items)->kind != ENGINE_ACCOUNT)
			CRASH_POINT("K4");
		take_config(t);
		wait_ms = engine_step(t->engine, (struct engine_event *)items);
		if (wait_ms < 0) {
			atomic_store(&t->is_dead, wait_ms == TAMA_EDOUBT);
			pause_after_failure();
			wait_ms = 0;
		}
		publish(t, &counted_ms);
		atomic_store(&t->is_stepping, false);
	}
	return NULL;
}

int engine_thread_start(struct gateway *gateway, struct engine_thread **out, struct err *err)
{
	struct engine_thread *t = calloc(1, sizeof(*t));
	struct engine_world world = {t, world_wall, world_boot, world_random, world_prepare,
		world_go, world_drop, world_query, world_sms, world_alarm, world_account, false};
	int rc;

	if (t == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	t->gateway = gateway;
	(void)pthread_mutex_init(&t->lock, NULL);
	/* Before the thread begins: what is due it asks of the wire, which answers to *out. */
	*out = t;
	rc = queue_new(LIMIT_ENGINE_QUEUE, &t->events);
	if (rc == 0)
		rc = engine_new(&world, gateway->store, gateway->config, &t->engine, err);
	if (rc == 0 && pthread_create(&t->thread, NULL, engine_main, t) != 0)
		rc = err_set(err, TAMA_EIO, "cannot start the engine thread");
	t->has_thread = rc == 0;
	if (rc == 0)
		(void)pthread_setname_np(t->thread, "tama-engine");
	return rc;
}

/* What nobody will work on any more. Under the lock: the queue is for one taker. */
static void refuse_all(struct engine_thread *t)
{
	struct queue_item *items;

	(void)pthread_mutex_lock(&t->lock);
	items = queue_take(t->events, SIZE_MAX);
	(void)pthread_mutex_unlock(&t->lock);
	refuse(items, ENGINE_NOT_DONE);
}

void engine_thread_halt(struct engine_thread *t)
{
	if (t == NULL || !t->has_thread)
		return;
	atomic_store(&t->stop, true);
	queue_wake(t->events);
	(void)pthread_join(t->thread, NULL);
	t->has_thread = false;
	atomic_store(&t->is_halted, true);
	refuse_all(t);
}

void engine_thread_free(struct engine_thread **thread)
{
	struct engine_thread *t = *thread;

	if (t == NULL)
		return;
	engine_thread_halt(t);
	engine_free(&t->engine);
	queue_free(&t->events);
	config_unref(&t->next_config);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
	*thread = NULL;
}

int engine_thread_post(struct engine_thread *t, struct engine_event *event)
{
	int rc = queue_push(t->events, (struct queue_item *)event);

	/* First the push, then the flag: whoever halts sets the flag and then looks. */
	if (rc == 0 && atomic_load(&t->is_halted))
		refuse_all(t);
	return rc;
}

void engine_thread_post_always(void *ctx, struct engine_event *event)
{
	struct engine_thread *t = ctx;

	queue_push_always(t->events, (struct queue_item *)event);
}

void engine_thread_set_config(struct engine_thread *t, const struct config *config)
{
	const struct config *old;

	(void)pthread_mutex_lock(&t->lock);
	old = t->next_config;
	t->next_config = config_ref(config);
	(void)pthread_mutex_unlock(&t->lock);
	config_unref(&old);
}

bool engine_thread_sells(struct engine_thread *t, struct str account)
{
	bool sells = true;

	if (atomic_load(&t->closed_len) == 0)
		return true;
	(void)pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->closed_len && sells; i++)
		sells = !str_eq(str_c(t->closed[i]), account);
	(void)pthread_mutex_unlock(&t->lock);
	return sells;
}

bool engine_thread_is_dead(const struct engine_thread *t)
{
	return atomic_load(&t->is_dead);
}

void engine_thread_stats(
	struct engine_thread *t, struct engine_stats *out, struct store_counts *counts_out)
{
	(void)pthread_mutex_lock(&t->lock);
	*out = t->stats;
	*counts_out = t->counts;
	(void)pthread_mutex_unlock(&t->lock);
}

size_t engine_thread_floats(struct engine_thread *t, struct engine_float *out, size_t max)
{
	size_t n;

	(void)pthread_mutex_lock(&t->lock);
	n = t->floats_len < max ? t->floats_len : max;
	memcpy(out, t->floats, n * sizeof(*out));
	(void)pthread_mutex_unlock(&t->lock);
	return n;
}

int64_t engine_thread_available(struct engine_thread *t, struct str name)
{
	int64_t available = INT64_MAX;

	(void)pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->floats_len; i++)
		if (str_eq(str_c(t->floats[i].name), name))
			available = t->floats[i].available;
	(void)pthread_mutex_unlock(&t->lock);
	return available;
}

size_t engine_thread_waiting(struct engine_thread *t)
{
	return queue_len(t->events);
}

bool engine_thread_is_idle(struct engine_thread *t)
{
	return queue_len(t->events) == 0 && !atomic_load(&t->is_stepping);
}
