/* Look-ups that menus ask for: read-only, on a thread and a connection of their own. */
#include "gateway_priv.h"

#include "tama/limits.h"

#include <poll.h>

#define READER_QUEUE 1024

struct reader {
	struct store_reader *store;
	struct queue *jobs;
	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
};

/* "key=value;..." as menu.h says; empty when there is nothing to tell. */
static void last_purchase(struct reader *r, struct reader_job *job)
{
	struct purchase_row p;
	struct arena arena;
	char state[24];

	arena_init(&arena, 64 * 1024);
	if (store_reader_purchase_last(r->store, job->partner, job->msisdn, &arena, &p) == 0) {
		(void)snprintf(state, sizeof(state), "%s", purchase_state_name(p.state));
		for (char *c = state; *c != '\0'; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
		(void)snprintf(job->value, sizeof(job->value),
			"ref=%.*s;state=%s;amount=%lld;price=%lld;operator=%.*s;to=%.*s",
			STR_ARG(p.ref), state, (long long)p.face_value, (long long)p.price,
			STR_ARG(p.operator_), STR_ARG(p.beneficiary));
	}
	arena_fini(&arena);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	for (;;) {
		struct queue_item *items = queue_take(r->jobs, READER_QUEUE);
		struct pollfd fd = {.fd = queue_fd(r->jobs), .events = POLLIN};

		if (items == NULL && atomic_load(&r->stop))
			break;
		if (items == NULL)
			(void)poll(&fd, 1, 1000);
		while (items != NULL) {
			struct reader_job *job = (struct reader_job *)items;

			items = items->next;
			job->value[0] = '\0';
			if (str_eq(job->name, STR("last_purchase")))
				last_purchase(r, job);
			job->done(job);
		}
	}
	return NULL;
}

int reader_start(const struct store_config *config, struct reader **out, struct err *err)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	rc = queue_new(READER_QUEUE, &r->jobs);
	if (rc == 0)
		rc = store_reader_open(config, &r->store, err);
	if (rc == 0 && pthread_create(&r->thread, NULL, reader_main, r) != 0)
		rc = err_set(err, TAMA_EIO, "cannot start the reader thread");
	r->has_thread = rc == 0;
	if (rc == 0)
		(void)pthread_setname_np(r->thread, "tama-reader");
	*out = r;
	return rc;
}

void reader_halt(struct reader *r)
{
	if (r == NULL || !r->has_thread)
		return;
	atomic_store(&r->stop, true);
	queue_wake(r->jobs);
	(void)pthread_join(r->thread, NULL);
	r->has_thread = false;
}

void reader_free(struct reader **reader)
{
	struct reader *r = *reader;

	if (r == NULL)
		return;
	reader_halt(r);
	if (r->store != NULL)
		store_reader_close(&r->store);
	queue_free(&r->jobs);
	free(r);
	*reader = NULL;
}

int reader_post(struct reader *r, struct reader_job *job)
{
	return queue_push(r->jobs, &job->item);
}
