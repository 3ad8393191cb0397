/* `tama verify` on a server that goes on selling, and the same by itself every hour. */
#include "admin_verify.h"

#include "admin_priv.h"

#include "tama/wire.h"

#include <pthread.h>
#include <time.h>

/* ---- asked for ---------------------------------------------------------------------------------
 */

static bool is_ending(void *ctx)
{
	const struct admin_world *world = ctx;

	return world->is_ending(world->ctx);
}

static json_t *report_row(const struct verify_report *r)
{
	json_t *row = json_pack("{s:s, s:I, s:I}", "row", "verified", "purchases",
		(json_int_t)r->purchases, "violations", (json_int_t)r->violations);

	if (r->violations > 0)
		(void)json_object_set_new(row, "first",
			json_pack("{s:s, s:s, s:o}", "rule", r->first.rule, "ref", r->first.ref,
				"what", admin_masked(str_c(r->first.what))));
	return row;
}

/* A server's store is live; one that a command has locked is not. */
int admin_verify(struct admin_turn *turn)
{
	const struct verify_options options = {.is_live = turn->world->is_live,
		.pause = is_ending,
		.ctx = (void *)(uintptr_t)turn->world};
	struct verify_report report;
	int rc = store_verify(turn->world->store->dir, &options, &report, &turn->err);

	if (rc == 0)
		admin_say(turn, report_row(&report));
	return rc;
}

/* ---- by itself ---------------------------------------------------------------------------------
 */

struct self_check {
	struct self_check_config config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	struct self_check_stats stats;
};

/* False once it is to end. */
static bool sleep_ms(struct self_check *s, int64_t ms)
{
	struct timespec until;
	bool goes_on;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_mutex_lock(&s->lock);
	int rc = 0;

	while (!s->stop && rc == 0)
		rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	goes_on = !s->stop;
	(void)pthread_mutex_unlock(&s->lock);
	return goes_on;
}

/* A page is some milliseconds of work: at most about half a processor is taken from the phones. */
static bool breathe(void *ctx)
{
	return !sleep_ms(ctx, 10);
}

static void look(struct self_check *s)
{
	const struct verify_options options = {.is_live = true, .pause = breathe, .ctx = s};
	struct verify_report report;
	struct err err = ERR_INIT;
	char what[280];
	int rc = store_verify(s->config.data_dir, &options, &report, &err);

	(void)pthread_mutex_lock(&s->lock);
	bool was_stopped = s->stop;

	s->stats.failures += rc != 0 && !was_stopped;
	if (rc == 0) {
		s->stats.runs++;
		s->stats.purchases = report.purchases;
		s->stats.violations = report.violations;
		s->stats.done_ms = clock_wall_ms();
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (rc != 0 && !was_stopped)
		log_event(s->config.log, "alarm", "verify", STR(""), str_c(err.text));
	if (rc != 0 || report.violations == 0)
		return;
	(void)snprintf(what, sizeof(what), "%s: %s", report.first.rule, report.first.what);
	log_event(s->config.log, "alarm", "violation", str_c(report.first.ref), str_c(what));
}

static void *self_check_main(void *arg)
{
	struct self_check *s = arg;
	int64_t first_ms = s->config.every_ms < 60000 ? s->config.every_ms : 60000;

	if (!sleep_ms(s, first_ms))
		return NULL;
	do
		look(s);
	while (sleep_ms(s, s->config.every_ms));
	return NULL;
}

int self_check_start(
	const struct self_check_config *config, struct self_check **out, struct err *err)
{
	struct self_check *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	tama_assert(s != NULL);
	s->config = *config;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->wake, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	if (pthread_create(&s->thread, NULL, self_check_main, s) != 0) {
		free(s);
		return err_set(err, TAMA_EIO, "cannot start the checker's thread");
	}
	(void)pthread_setname_np(s->thread, "tama-verify");
	*out = s;
	return 0;
}

void self_check_stop(struct self_check **self_check)
{
	struct self_check *s = *self_check;

	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->thread, NULL);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
	*self_check = NULL;
}

void self_check_stats(struct self_check *s, struct self_check_stats *out)
{
	(void)pthread_mutex_lock(&s->lock);
	*out = s->stats;
	(void)pthread_mutex_unlock(&s->lock);
}
