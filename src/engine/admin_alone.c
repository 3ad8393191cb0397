/*
 * A decision with no server to ask: the store is opened as a start opens it, by the engine itself,
 * so that there is one way to decide. What the last life was sending is in doubt from here on, as
 * it would be after the start; nothing else happens but the decision.
 */
#include "admin_priv.h"

#include "tama/wire.h"

#include <sodium.h>

static int64_t wall(void *ctx)
{
	(void)ctx;
	return clock_wall_ms();
}

static int64_t boot(void *ctx)
{
	(void)ctx;
	return clock_boot_ms();
}

static void chance(void *ctx, void *bytes, size_t n)
{
	(void)ctx;
	randombytes_buf(bytes, n);
}

static void decided(struct engine_event *event)
{
	/* Its outcome says it all. */
	(void)event;
}

static int decide(struct engine *engine, struct engine_event *event, struct err *err)
{
	int64_t next;

	do
		next = engine_step(engine, NULL);
	while (next == 0);
	if (next < 0)
		return err_set(err, (int)next, "the store cannot be written: nothing was decided");
	event->done = decided;
	(void)engine_step(engine, event);
	return 0;
}

int admin_decide_alone(void *ctx, struct engine_event *event, struct err *err)
{
	struct admin_alone *alone = ctx;
	const struct engine_world world = {.ctx = alone,
		.wall_ms = wall,
		.boot_ms = boot,
		.random = chance,
		.alarm = alone->alarm,
		.sends_nothing = true};
	struct store *store = NULL;
	struct engine *engine = NULL;
	int rc = store_sqlite_open(&alone->store, &store, err);

	alone->store.lock = 0;
	if (rc == 0)
		rc = engine_new(&world, store, alone->config, &engine, err);
	if (rc == 0)
		rc = decide(engine, event, err);
	engine_free(&engine);
	if (store != NULL)
		store->ops->close(store);
	return rc;
}
