/* The gateway's parts, as its own files see them. */
#ifndef TAMA_GATEWAY_PRIV_H
#define TAMA_GATEWAY_PRIV_H

#include "tama/dialect.h"
#include "tama/engine.h"
#include "tama/gateway.h"
#include "tama/http_in.h"
#include "tama/menu.h"
#include "tama/queue.h"
#include "tama/secrets.h"
#include "tama/session.h"
#include "tama/wire.h"

#include <pthread.h>
#include <stdatomic.h>

#define CHANNELS_MAX 1024

/* What one worker thread of the public listener owns. Rebuilt by that thread after a reload. */
struct worker {
	const struct config *config;
	struct menu_host *menus;
	struct dialect_host *dialects;
};

struct engine_thread;
struct reader;
struct hop;
struct hop_call;
struct exchange;

/* What a turn that waits keeps in its `user`; in the turn's arena. One of config and hop is NULL.
 */
struct turn_keep {
	const struct config *config; /* an IPN's, until its answer has left */
	struct hop *hop;
	struct turn_keep *next; /* of hop->repeats */
	struct http_turn *turn;
	struct hop_call *call; /* of a hop that repeats `hop`; NULL for that hop itself */
};

struct gateway_stats {
	_Atomic uint64_t hops, repeats, malformed, unknown_code, unauthorised, script_errors;
	_Atomic uint64_t late_cancelled, late_in_progress, busy, lost, mos, dlrs, ipns_refused;
};

struct gateway {
	pthread_mutex_t lock; /* of config and waiting */
	const struct config *config;
	atomic_uint generation; /* raised by each reload */
	struct log *log;
	struct vault *vault;
	struct store *store;
	struct secrets *secrets;
	struct session_table *sessions;
	struct wire *wire;
	struct engine_thread *engine;
	struct reader *reader;
	struct http_in *public_in, *admin_in;
	struct admin_socket *admin;
	struct self_check *self_check;
	struct standby *standby; /* NULL: none is kept */
	struct worker *workers;
	unsigned workers_len;
	unsigned *workers_generation;
	struct hop *waiting; /* suspended hops, for their deadlines */
	atomic_uint in_flight[CHANNELS_MAX];
	struct gateway_stats stats;
	int64_t swept_ms; /* by the boot clock */
	_Atomic uint64_t disk_free; /* bytes, a second ago at most */
	atomic_bool is_disk_low;
	atomic_bool is_draining; /* set under the lock, so that no hop begins to wait after it */
};

/* A worker's own Lua states; on failure *worker is half made and worker_free takes it. */
int worker_make(struct worker *worker, const struct config *config, struct err *err);
void worker_free(struct worker *worker);

/* Whether the disk has more than its reserve left; without, nothing new is sold. Any thread. */
bool gateway_has_room(struct gateway *gateway);

/* The current configuration with a reference for the caller. */
const struct config *gateway_config(struct gateway *gateway);

/* ---- engine_thread.c ---- */

int engine_thread_start(struct gateway *gateway, struct engine_thread **out, struct err *err);
/* Ends when its queue is empty; what is posted from then on is answered "not done". */
void engine_thread_halt(struct engine_thread *thread);
/* Once nobody can ask it anything any more. */
void engine_thread_free(struct engine_thread **thread);
/* TAMA_EFULL: an honest "try again" before anything was confirmed. */
int engine_thread_post(struct engine_thread *thread, struct engine_event *event);
void engine_thread_post_always(void *thread, struct engine_event *event);
void engine_thread_set_config(struct engine_thread *thread, const struct config *config);
/* Whether the account takes purchases, as the engine saw it after its last step. Any thread. */
bool engine_thread_sells(struct engine_thread *thread, struct str account);
bool engine_thread_is_dead(const struct engine_thread *thread);
void engine_thread_stats(
	struct engine_thread *thread, struct engine_stats *out, struct store_counts *counts_out);
/* Floats as they were after the last step. Any thread. */
size_t engine_thread_floats(struct engine_thread *thread, struct engine_float *out, size_t max);
/* What may still be sold of one; INT64_MAX where there is no limit. */
int64_t engine_thread_available(struct engine_thread *thread, struct str name);
size_t engine_thread_waiting(struct engine_thread *thread);
/* Nothing waits and no step is under way. */
bool engine_thread_is_idle(struct engine_thread *thread);

/* ---- reader.c: look-ups on a connection of its own ---- */

struct reader_job {
	struct queue_item item;
	uint32_t partner;
	struct str msisdn;
	struct str name; /* of the look-up */
	char value[256]; /* the answer */
	void (*done)(struct reader_job *job);
	void *user;
};

int reader_start(const struct store_config *config, struct reader **out, struct err *err);
/* Ends when its queue is empty; nothing is to be posted from then on. */
void reader_halt(struct reader *reader);
void reader_free(struct reader **reader);
int reader_post(struct reader *reader, struct reader_job *job);

/* ---- routes.c ---- */

enum http_verdict public_handle(void *gateway, struct http_turn *turn, struct http_reply *reply);
void public_done(void *gateway, struct http_turn *turn, bool sent);

/* ---- peer.c ---- */

/* The address of whoever called us or our proxies; what a forged header can make of it is text. */
struct str peer_of(const struct config *config, const struct http_request *request);

/* Whether the address is in the list, however it is spelt. */
bool peer_is_one_of(const struct str *list, size_t len, struct str address);

/* ---- admin_gateway.c: the person at night ---- */

/* The standby: before anybody else uses the store. The socket and the checker: last of all. */
int admin_start_standby(struct gateway *gateway, struct err *err);
int admin_start(struct gateway *gateway, struct err *err);
/* While the engine still answers. */
void admin_stop(struct gateway *gateway);
void admin_metrics(struct gateway *gateway, struct buf *out);

/* ---- metrics.c ---- */

void metrics_gauge(struct buf *out, const char *name, const char *help, uint64_t value);
void metrics_counter(struct buf *out, const char *name, const char *help, uint64_t value);

enum http_verdict admin_handle(void *gateway, struct http_turn *turn, struct http_reply *reply);

/* ---- hop_ussd.c, hop_sms.c: a callback; rest is what follows the secret in the path ---- */

enum http_verdict hop_ussd(const struct exchange *from, const struct channel *channel,
	struct str rest, struct http_reply *reply);
enum http_verdict hop_sms(const struct exchange *from, const struct channel *channel,
	struct str rest, struct http_reply *reply);

/* ---- hop_wait.c ---- */

/* A suspended hop goes on, on its worker's thread. */
enum http_verdict hop_continue(struct gateway *gateway, struct worker *worker,
	struct http_turn *turn, struct http_reply *reply);

/* The same for a turn whose peer has gone: nobody is told, and the session is as if somebody had.
 */
void hop_abandon(struct gateway *gateway, struct worker *worker, struct http_turn *turn);

/* Whether hops wait for the engine or reader. While draining none begins to. */
bool hops_wait(struct gateway *gateway);

/* Deadlines of suspended hops. */
void hops_tick(struct gateway *gateway, int64_t boot_ms);

#endif
