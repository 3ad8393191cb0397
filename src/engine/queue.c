/* A list behind a mutex, and an eventfd that is readable while the list is not empty. */
#include "tama/queue.h"

#include "tama/err.h"

#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
	pthread_mutex_t lock;
	struct queue_item *first, **last;
	size_t n, max;
	int fd;
};

int queue_new(size_t max, struct queue **out)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return TAMA_ENOMEM;
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0) {
		free(q);
		return TAMA_EIO;
	}
	(void)pthread_mutex_init(&q->lock, NULL);
	q->last = &q->first;
	q->max = max;
	*out = q;
	return 0;
}

void queue_free(struct queue **queue)
{
	struct queue *q = *queue;

	if (q == NULL)
		return;
	tama_assert(q->first == NULL);
	(void)close(q->fd);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
	*queue = NULL;
}

static void signal_fd(struct queue *q)
{
	uint64_t one = 1;

	(void)!write(q->fd, &one, sizeof(one));
}

static int push(struct queue *q, struct queue_item *item, size_t max)
{
	bool was_empty;

	item->next = NULL;
	(void)pthread_mutex_lock(&q->lock);
	if (q->n >= max) {
		(void)pthread_mutex_unlock(&q->lock);
		return TAMA_EFULL;
	}
	was_empty = q->first == NULL;
	*q->last = item;
	q->last = &item->next;
	q->n++;
	(void)pthread_mutex_unlock(&q->lock);
	if (was_empty)
		signal_fd(q);
	return 0;
}

int queue_push(struct queue *q, struct queue_item *item)
{
	return push(q, item, q->max);
}

void queue_push_always(struct queue *q, struct queue_item *item)
{
	(void)push(q, item, SIZE_MAX);
}

struct queue_item *queue_take(struct queue *q, size_t max)
{
	struct queue_item *first, *end;
	uint64_t count;

	(void)pthread_mutex_lock(&q->lock);
	first = q->first;
	end = first;
	for (size_t i = 1; end != NULL && i < max && end->next != NULL; i++)
		end = end->next;
	if (end != NULL) {
		q->first = end->next;
		end->next = NULL;
	}
	for (struct queue_item *i = first; i != NULL; i = i->next)
		q->n--;
	if (q->first == NULL) {
		q->last = &q->first;
		(void)!read(q->fd, &count, sizeof(count));
	}
	(void)pthread_mutex_unlock(&q->lock);
	return first;
}

int queue_fd(const struct queue *q)
{
	return q->fd;
}

void queue_wake(struct queue *q)
{
	signal_fd(q);
}

size_t queue_len(struct queue *q)
{
	size_t n;

	(void)pthread_mutex_lock(&q->lock);
	n = q->n;
	(void)pthread_mutex_unlock(&q->lock);
	return n;
}
