/* The thread: takes jobs, runs libcurl, ends cleanly. */
#include "wire_priv.h"

#include "tama/limits.h"

#include "tama/mutant.h"

#include <sodium.h>
#include <time.h>

int64_t clock_wall_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(MUTANT(MONOTONIC_CLOCK) ? CLOCK_MONOTONIC : CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct job *job_new(enum job_kind kind)
{
	struct job *job = calloc(1, sizeof(*job));

	tama_assert(job != NULL);
	job->kind = kind;
	arena_init(&job->arena, LIMIT_JOB_BYTES);
	return job;
}

void job_free(struct job **job)
{
	if (*job == NULL)
		return;
	config_unref(&(*job)->config);
	arena_fini(&(*job)->arena);
	free(*job);
	*job = NULL;
}

void wire_event_free(struct engine_event *event)
{
	arena_fini(&event->arena);
	free(event);
}

static void run_job(struct wire *wire, struct job *job)
{
	switch (job->kind) {
	case JOB_PREPARE:
		job_prepare(wire, job);
		break;
	case JOB_GO:
		job_go(wire, job);
		break;
	case JOB_DROP:
		job_drop(wire, job);
		break;
	case JOB_QUERY:
		job_query(wire, job);
		break;
	case JOB_SMS:
		job_sms(wire, job);
		break;
	case JOB_IPN:
		job_ipn(wire, job);
		break;
	case JOB_ACCOUNT:
		job_account(wire, job);
		break;
	case JOB_CONFIG:
		config_unref(&wire->config);
		wire->config = config_ref(job->config);
		job_free(&job);
		break;
	}
}

static void *wire_main(void *arg)
{
	struct wire *wire = arg;

	while (!atomic_load(&wire->stop)) {
		struct queue_item *items = queue_take(wire->jobs, LIMIT_ENGINE_BATCH);
		bool had_work = items != NULL;

		while (items != NULL) {
			struct job *job = (struct job *)items;

			items = items->next;
			run_job(wire, job);
		}
		atomic_store(&wire->transfers, http_out_busy(wire->out));
		http_out_run(wire->out, queue_fd(wire->jobs), had_work ? 0 : 1000);
		atomic_store(&wire->transfers, http_out_busy(wire->out));
	}
	return NULL;
}

static int wire_open(struct wire *wire, struct err *err)
{
	const struct config *config = wire->config;
	struct http_out_config out = {
		.allow_loopback = config->allow_loopback,
		.allow_http = config->allow_http,
		.max_transfers = LIMIT_WIRE_TRANSFERS,
	};
	int rc = queue_new(LIMIT_WIRE_JOBS, &wire->jobs);

	if (rc == 0)
		rc = http_out_new(&wire->out, &out, err);
	if (rc == 0)
		rc = dialect_host_new(1u << DIALECT_SMS | 1u << DIALECT_PROVIDER, &wire->host, err);
	if (rc == 0 && pthread_create(&wire->thread, NULL, wire_main, wire) != 0)
		rc = err_set(err, TAMA_EIO, "cannot start the wire thread");
	wire->has_thread = rc == 0;
	if (rc == 0)
		(void)pthread_setname_np(wire->thread, "tama-wire");
	return rc;
}

int wire_start(const struct wire_config *config, struct wire **out, struct err *err)
{
	struct wire *wire = calloc(1, sizeof(*wire));
	int rc;

	if (wire == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	(void)pthread_mutex_init(&wire->halt_lock, NULL);
	wire->world = *config;
	wire->config = config_ref(config->config);
	rc = wire_open(wire, err);
	if (rc != 0) {
		wire_stop(&wire);
		return rc;
	}
	*out = wire;
	return 0;
}

/*
 * What nobody will do any more, told to those who wait for it. By whoever halts the wire and by the
 * engine's thread at once, hence the lock.
 */
static void refuse_job(struct wire *wire, struct job *job)
{
	(void)pthread_mutex_lock(&wire->halt_lock);
	if (job->kind == JOB_GO)
		go_refuse(wire, &job->attempt);
	else if (job->kind == JOB_IPN)
		ipn_refuse(job->turn);
	(void)pthread_mutex_unlock(&wire->halt_lock);
	/* All others are brought again by their row's lease. */
	job_free(&job);
}

static void refuse_jobs(struct wire *wire)
{
	struct queue_item *items;

	while ((items = queue_take(wire->jobs, SIZE_MAX)) != NULL)
		while (items != NULL) {
			struct job *job = (struct job *)items;

			items = items->next;
			refuse_job(wire, job);
		}
}

void wire_halt(struct wire *wire)
{
	if (wire == NULL || !wire->has_thread)
		return;
	atomic_store(&wire->stop, true);
	queue_wake(wire->jobs);
	(void)pthread_join(wire->thread, NULL);
	wire->has_thread = false;
	http_out_free(&wire->out);
	refuse_jobs(wire);
	/* One may have been pushed between this look and the flag. */
	atomic_store(&wire->is_halted, true);
	refuse_jobs(wire);
}

void wire_stop(struct wire **out)
{
	struct wire *wire = *out;
	struct queue_item *items;

	if (wire == NULL)
		return;
	wire_halt(wire);
	if (wire->out != NULL)
		http_out_free(&wire->out);
	while (wire->jobs != NULL && (items = queue_take(wire->jobs, SIZE_MAX)) != NULL)
		while (items != NULL) {
			struct job *job = (struct job *)items;

			items = items->next;
			job_free(&job);
		}
	queue_free(&wire->jobs);
	prepared_free_all(wire);
	tokens_free(wire);
	dialect_host_free(&wire->host);
	config_unref(&wire->config);
	(void)pthread_mutex_destroy(&wire->halt_lock);
	free(wire);
	*out = NULL;
}

size_t wire_busy(struct wire *wire)
{
	return queue_len(wire->jobs) + atomic_load(&wire->transfers);
}

void wire_stats(struct wire *wire, struct wire_stats *out)
{
	*out = (struct wire_stats){
		.money_requests = wire->money_requests,
		.queries = wire->queries,
		.sms = wire->sms,
		.logins = wire->logins,
		.ipns = wire->ipns,
		.waiting = queue_len(wire->jobs),
	};
}

/* ---- jobs from other threads -------------------------------------------------------------------
 */

bool job_push(struct wire *wire, struct job *job)
{
	if (queue_push(wire->jobs, &job->item) == 0)
		return true;
	job_free(&job);
	return false;
}

static void copy_attempt(struct job *job, const struct wire_attempt *a)
{
	job->attempt = *a;
	job->attempt.account = arena_str(&job->arena, a->account);
	job->attempt.verb = arena_str(&job->arena, a->verb);
	job->attempt.service = arena_str(&job->arena, a->service);
	job->attempt.our_ref = arena_str(&job->arena, a->our_ref);
	job->attempt.provider_id = arena_str(&job->arena, a->provider_id);
	job->attempt.number = arena_str(&job->arena, a->number);
	job->attempt.currency = arena_str(&job->arena, a->currency);
}

bool wire_prepare(void *wire, const struct wire_attempt *attempt)
{
	struct job *job = job_new(JOB_PREPARE);

	copy_attempt(job, attempt);
	return job_push(wire, job);
}

bool wire_query(void *wire, const struct wire_attempt *attempt)
{
	struct job *job = job_new(JOB_QUERY);

	job->claimed_boot_ms = clock_boot_ms();
	copy_attempt(job, attempt);
	return job_push(wire, job);
}

/* What is durably SENDING must go or be proven not sent: never refused. */
bool wire_go(void *ctx, uint32_t partner, uint64_t attempt, uint32_t epoch, int64_t claimed_boot_ms)
{
	struct wire *wire = ctx;
	struct job *job = job_new(JOB_GO);

	job->attempt.partner = partner;
	job->attempt.attempt = attempt;
	job->attempt.epoch = epoch;
	job->claimed_boot_ms = claimed_boot_ms;
	/* The thread will not look at it any more: then it is certain that nothing leaves. */
	if (atomic_load(&wire->is_halted))
		refuse_job(wire, job);
	else
		queue_push_always(wire->jobs, &job->item);
	return true;
}

void wire_drop(void *ctx, uint64_t attempt, uint32_t epoch)
{
	struct wire *wire = ctx;
	struct job *job = job_new(JOB_DROP);

	job->attempt.attempt = attempt;
	job->attempt.epoch = epoch;
	queue_push_always(wire->jobs, &job->item);
}

bool wire_send_sms(void *wire, const struct wire_sms *sms)
{
	struct job *job = job_new(JOB_SMS);

	job->sms = *sms;
	job->sms.channel = arena_str(&job->arena, sms->channel);
	job->sms.to = arena_str(&job->arena, sms->to);
	job->sms.text = arena_str(&job->arena, sms->text);
	return job_push(wire, job);
}

bool wire_ipn(struct wire *wire, struct http_turn *turn, const struct account *account,
	struct str path_ref, struct str rest)
{
	struct job *job = job_new(JOB_IPN);

	job->turn = turn;
	job->account = account;
	job->path_ref = path_ref;
	job->rest = rest;
	return job_push(wire, job);
}

void wire_set_config(struct wire *wire, const struct config *config)
{
	struct job *job = job_new(JOB_CONFIG);

	job->config = config_ref(config);
	queue_push_always(wire->jobs, &job->item);
}
