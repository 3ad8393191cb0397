/* The gateway's side of the operator's commands: socket, checker, standby, and what they count. */
#include "gateway_priv.h"

#include "admin_socket.h"
#include "admin_verify.h"

#include "tama/backup.h"

/* ---- the standby -------------------------------------------------------------------------------
 */

static void standby_alarm(void *ctx, const char *what, const char *detail)
{
	struct gateway *g = ctx;

	log_event(g->log, "alarm", what, STR(""), str_c(detail));
}

int admin_start_standby(struct gateway *g, struct err *err)
{
	const struct standby_config config = {.dir = g->config->standby,
		.data_dir = g->config->data_dir,
		.store = g->store,
		.alarm = standby_alarm,
		.ctx = g};

	return config.dir.n > 0 ? standby_start(&config, &g->standby, err) : 0;
}

static bool standby_of(void *ctx, struct standby_stats *out)
{
	struct gateway *g = ctx;

	if (g->standby != NULL)
		standby_stats(g->standby, out);
	return g->standby != NULL;
}

/* ---- the socket --------------------------------------------------------------------------------
 */

static const struct config *take_config(void *ctx)
{
	return gateway_config(ctx);
}

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static void decided(struct engine_event *event)
{
	struct waiting *w = event->user;

	(void)pthread_mutex_lock(&w->lock);
	w->is_done = true;
	(void)pthread_cond_signal(&w->done);
	(void)pthread_mutex_unlock(&w->lock);
}

/* The engine calls done for every event it has taken, whatever becomes of it. */
static int decide(void *ctx, struct engine_event *event, struct err *err)
{
	struct gateway *g = ctx;
	struct waiting w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
	int rc;

	event->done = decided;
	event->user = &w;
	rc = engine_thread_post(g->engine, event);
	if (rc != 0)
		(void)err_set(err, rc, "the engine's queue is full: try again");
	(void)pthread_mutex_lock(&w.lock);
	while (rc == 0 && !w.is_done)
		(void)pthread_cond_wait(&w.done, &w.lock);
	(void)pthread_mutex_unlock(&w.lock);
	return rc;
}

static size_t floats_of(void *ctx, struct engine_float *out, size_t max)
{
	return engine_thread_floats(((struct gateway *)ctx)->engine, out, max);
}

int admin_start(struct gateway *g, struct err *err)
{
	const struct admin_socket_config socket = {
		.store = {.dir = g->config->data_dir, .vault = g->vault},
		.path = g->config->socket,
		.log = g->log,
		.take_config = take_config,
		.decide = decide,
		.standby = standby_of,
		.floats = floats_of,
		.ctx = g};
	const struct self_check_config check = {
		.data_dir = g->config->data_dir, .every_ms = g->config->verify_ms, .log = g->log};
	int rc = admin_socket_start(&socket, &g->admin, err);

	return rc == 0 ? self_check_start(&check, &g->self_check, err) : rc;
}

void admin_stop(struct gateway *g)
{
	self_check_stop(&g->self_check);
	admin_socket_stop(&g->admin);
}

/* ---- metrics -----------------------------------------------------------------------------------
 */

static void add_standby(struct gateway *g, struct buf *out)
{
	struct standby_stats s;

	if (!standby_of(g, &s))
		return;
	metrics_gauge(out, "tama_standby_whole", "The copy on the other disk can be restored.",
		s.is_whole);
	metrics_gauge(out, "tama_standby_lag_ms", "Age of the oldest commit not in it.",
		(uint64_t)s.lag_ms);
	metrics_gauge(out, "tama_standby_lag_commits", "Commits not in it.", s.commits - s.shipped);
	metrics_counter(out, "tama_standby_bytes_total", "Pages written to it.", s.bytes);
	metrics_counter(out, "tama_standby_failures_total", "Times it was begun anew.", s.failures);
}

void admin_metrics(struct gateway *g, struct buf *out)
{
	struct self_check_stats check = {0};
	struct admin_socket_stats socket = {0};

	/* They start after the listener that asks. */
	if (g->self_check != NULL)
		self_check_stats(g->self_check, &check);
	if (g->admin != NULL)
		admin_socket_stats(g->admin, &socket);
	metrics_gauge(out, "tama_violations", "Broken invariants in the last look at the store.",
		check.violations);
	metrics_gauge(out, "tama_verified_purchases", "Purchases in it.", check.purchases);
	metrics_counter(out, "tama_verify_runs_total", "Looks that came to their end.", check.runs);
	metrics_counter(out, "tama_verify_failures_total", "Looks that did not.", check.failures);
	metrics_counter(out, "tama_admin_requests_total", "Commands answered.", socket.requests);
	metrics_counter(out, "tama_admin_refused_total", "Commands refused.", socket.refused);
	add_standby(g, out);
}
