/* The queue between threads: order, bound, wake-ups, and many who push at once. */
#include "check.h"

#include "tama/err.h"
#include "tama/queue.h"

#include <poll.h>
#include <pthread.h>

struct thing {
	struct queue_item item;
	int producer, n;
};

static bool is_readable(const struct queue *queue)
{
	struct pollfd fd = {.fd = queue_fd(queue), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static int n_of(const struct queue_item *item)
{
	return ((const struct thing *)item)->n;
}

static void test_order_and_bound(void **state)
{
	struct thing things[5] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}, {.n = 4}};
	struct queue *queue = NULL;
	struct queue_item *items;

	assert_int_equal(queue_new(3, &queue), 0);
	assert_null(queue_take(queue, 10));
	assert_int_equal(queue_len(queue), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(queue_push(queue, &things[i].item), 0);
	assert_int_equal(queue_push(queue, &things[3].item), TAMA_EFULL);
	queue_push_always(queue, &things[3].item);
	assert_int_equal(queue_len(queue), 4);
	items = queue_take(queue, 2);
	assert_int_equal(n_of(items), 0);
	assert_int_equal(n_of(items->next), 1);
	assert_null(items->next->next);
	assert_int_equal(queue_len(queue), 2);
	assert_int_equal(queue_push(queue, &things[4].item), 0);
	items = queue_take(queue, 100);
	assert_int_equal(n_of(items), 2);
	assert_int_equal(n_of(items->next), 3);
	assert_int_equal(n_of(items->next->next), 4);
	assert_null(items->next->next->next);
	assert_null(queue_take(queue, 100));
	assert_int_equal(queue_len(queue), 0);
	/* And it begins again. */
	assert_int_equal(queue_push(queue, &things[0].item), 0);
	assert_int_equal(n_of(queue_take(queue, 1)), 0);
	queue_free(&queue);
	assert_null(queue);
	queue_free(&queue);
}

/* Readable as long as something waits, whatever was taken in between. */
static void test_readable(void **state)
{
	struct thing a = {.n = 1}, b = {.n = 2};
	struct queue *queue = NULL;

	assert_int_equal(queue_new(3, &queue), 0);
	assert_false(is_readable(queue));
	assert_int_equal(queue_push(queue, &a.item), 0);
	assert_int_equal(queue_push(queue, &b.item), 0);
	assert_true(is_readable(queue));
	(void)queue_take(queue, 1);
	assert_true(is_readable(queue));
	(void)queue_take(queue, 1);
	assert_false(is_readable(queue));
	queue_wake(queue);
	assert_true(is_readable(queue));
	assert_null(queue_take(queue, 1));
	assert_false(is_readable(queue));
	queue_free(&queue);
}

enum { PRODUCERS = 4, EACH = 5000 };

struct producer {
	pthread_t thread;
	struct queue *queue;
	struct thing *things;
	int refused;
};

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 0; i < EACH; i++)
		while (queue_push(p->queue, &p->things[i].item) != 0)
			p->refused++;
	return NULL;
}

/* Nothing is lost, doubled or out of its producer's order, and the taker only sleeps on the fd. */
static void test_many_producers(void **state)
{
	struct producer producers[PRODUCERS];
	struct queue *queue = NULL;
	int seen[PRODUCERS] = {0}, left = PRODUCERS * EACH;

	assert_int_equal(queue_new(64, &queue), 0);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){
			.queue = queue, .things = calloc(EACH, sizeof(struct thing))};
		assert_non_null(producers[i].things);
		for (int n = 0; n < EACH; n++)
			producers[i].things[n] = (struct thing){.producer = i, .n = n};
		assert_int_equal(
			pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
	}
	while (left > 0) {
		struct pollfd fd = {.fd = queue_fd(queue), .events = POLLIN};
		struct queue_item *items;

		assert_int_equal(poll(&fd, 1, 20000), 1);
		items = queue_take(queue, 16);
		for (; items != NULL; items = items->next, left--) {
			const struct thing *t = (const struct thing *)items;

			assert_int_equal(t->n, seen[t->producer]);
			seen[t->producer]++;
		}
	}
	for (int i = 0; i < PRODUCERS; i++) {
		(void)pthread_join(producers[i].thread, NULL);
		free(producers[i].things);
	}
	assert_null(queue_take(queue, 1));
	queue_free(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_bound),
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_many_producers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
