/* Parts of the wire: the job queue's items, what was prepared, tokens, marks. */
#ifndef TAMA_WIRE_PRIV_H
#define TAMA_WIRE_PRIV_H

#include "tama/http_out.h"
#include "tama/queue.h"
#include "tama/wire.h"

#include <pthread.h>
#include <stdatomic.h>

enum job_kind {
	JOB_PREPARE,
	JOB_GO,
	JOB_DROP,
	JOB_QUERY,
	JOB_SMS,
	JOB_IPN,
	JOB_ACCOUNT,
	JOB_CONFIG,
};

/* A job owns its arena, and the arena owns the job's texts. */
struct job {
	struct queue_item item;
	enum job_kind kind;
	struct arena arena;
	struct wire_attempt attempt;
	int64_t claimed_boot_ms;
	struct wire_sms sms;
	struct wire_account ask;
	struct http_turn *turn;
	const struct account *account;
	struct str path_ref, rest;
	const struct config *config;
	struct job *next_waiting; /* for a token */
	bool has_waited;
};

/* A request encoded under (attempt, epoch), secrets still as marks. */
struct prepared {
	struct prepared *next;
	struct job *job; /* its arena holds the call */
	struct http_call call;
	struct provider_terms terms;
};

#define PREPARED_BUCKETS 4096

struct token {
	struct token *next;
	struct str account; /* name */
	char *text; /* in sodium memory; NULL: none */
	int64_t until_boot_ms;
	int64_t made_boot_ms, retry_boot_ms;
	unsigned failures; /* in a row: logins refused, or tokens refused as soon as made */
	bool is_logging_in;
	struct job *waiting; /* jobs that need it */
};

struct wire {
	struct wire_config world;
	const struct config *config;
	struct queue *jobs;
	struct http_out *out;
	struct dialect_host *host;
	struct prepared *prepared[PREPARED_BUCKETS];
	struct flight *flights; /* told to go, and not over */
	struct token *tokens;
	pthread_t thread;
	bool has_thread;
	atomic_bool stop, is_halted;
	pthread_mutex_t halt_lock; /* of what was prepared, once the thread has ended */
	_Atomic size_t transfers; /* under way, for other threads to see */
	_Atomic uint64_t money_requests, queries, sms, logins, ipns;
};

struct job *job_new(enum job_kind kind);
void job_free(struct job **job);
/* The done() of an event that nobody waits for. */
void wire_event_free(struct engine_event *event);
/* False, and the job is freed, when the queue is full. */
bool job_push(struct wire *wire, struct job *job);

/* ---- wire_send.c: jobs that become transfers ---- */

void job_prepare(struct wire *wire, struct job *job);
void job_go(struct wire *wire, struct job *job);
void job_drop(struct wire *wire, struct job *job);
void job_query(struct wire *wire, struct job *job);
void prepared_free_all(struct wire *wire);
/* What makes the attempt's own address for IPNs secret; empty where its provider is told none. */
struct str ipn_mac(
	struct wire *wire, const struct account *account, struct str our_ref, struct arena *arena);
/* Tells the engine that what it claimed was never sent, and forgets it. */
void go_refuse(struct wire *wire, const struct wire_attempt *attempt);

/* ---- wire_account.c ---- */

void job_account(struct wire *wire, struct job *job);

/* ---- wire_sms.c ---- */

void job_sms(struct wire *wire, struct job *job);

/* ---- wire_ipn.c ---- */

void job_ipn(struct wire *wire, struct job *job);
/* "Come again": the provider still has it. */
void ipn_refuse(struct http_turn *turn);

/* ---- wire_token.c ---- */

/*
 * Whether the account's token is at hand (or none is needed). If not, the job is kept and run again
 * when a login has ended; true means go on now, false means the job is no longer the caller's.
 */
bool token_ready(struct wire *wire, const struct account *account, struct job *job);
struct str token_of(struct wire *wire, struct str account);
/* A 401: the next request logs in anew. */
void token_forget(struct wire *wire, struct str account);
void tokens_free(struct wire *wire);

/* ---- marks.c ---- */

/* Gives the value of a mark, or false. The text must live until marks_fill returns. */
typedef bool (*mark_value_fn)(void *ctx, struct str name, struct str *value_out);

/*
 * Copies a call with every {{name}} in its header values and body replaced; JSON-escaped inside a
 * body that is JSON. The copy lives in the arena, whose end wipes it. TAMA_ENOTFOUND when a mark
 * has no value, TAMA_ELIMIT when it grows too long.
 */
int marks_fill(const struct http_call *call, mark_value_fn value, void *ctx, struct arena *arena,
	struct http_call *out);

/* The ordinary part of a mark_value_fn: what configuration says under that name. */
bool marks_configured(
	const struct account_field *fields, size_t n, struct str name, struct str *value_out);

/* Whether the call has that mark anywhere. */
bool marks_has(const struct http_call *call, struct str name);

/* What is told to a provider and must not come back into the store; empty where it is not told. */
struct told {
	const struct account *account; /* its keys and the secret of its address for IPNs */
	struct str otp, token;
	struct str ipn_mac; /* of the attempt's own address for IPNs */
};

/*
 * Replaces every occurrence of what was told by "***", spelt plainly or as in JSON. To be called
 * for whatever of a provider's is kept: it may echo all that it was sent.
 */
struct str secrets_redact(const struct told *told, struct str text, struct arena *arena);

#endif
