/*
 * A bounded queue between threads: many push, one takes. Items are the caller's structs that begin
 * with a struct queue_item. A full queue refuses: an honest "try again" beats an invisible backlog.
 */
#ifndef TAMA_QUEUE_H
#define TAMA_QUEUE_H

#include <stddef.h>

struct queue;

struct queue_item {
	struct queue_item *next;
};

/* 0 or TAMA_ENOMEM, TAMA_EIO. */
int queue_new(size_t max, struct queue **out);

/* The queue must be empty. *queue becomes NULL. */
void queue_free(struct queue **queue);

/* 0; TAMA_EFULL when max items wait. The item is the queue's until taken. */
int queue_push(struct queue *queue, struct queue_item *item);

/* Like queue_push but past the bound: for what must not be lost (evidence from a provider). */
void queue_push_always(struct queue *queue, struct queue_item *item);

/* At most max items in order as a list, or NULL. */
struct queue_item *queue_take(struct queue *queue, size_t max);

/* Readable while something waits; for poll(2). */
int queue_fd(const struct queue *queue);

/* Makes queue_fd readable once though nothing waits: to stop a thread. */
void queue_wake(struct queue *queue);

size_t queue_len(struct queue *queue);

#endif
