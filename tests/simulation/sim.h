/*
 * The engine in a virtual world (reliability.md 4.1): one clock, one heap of tasks, one source of
 * chance. The engine and the store are those of production; providers, wire, gateway, customers and
 * the process's death are played here. A run is decided by its seed alone.
 *
 * world.c has time, chance, the process and its wire; provider.c what stands outside; checker.c
 * what must hold.
 */
#ifndef TAMA_SIM_H
#define TAMA_SIM_H

#include "../unit/engine_fixture.h"

#define SIM_TICK_MS 50 /* everything happens on this grid, so that events meet in a batch */
#define SIM_WORLD 250 /* purchases of one world: it checks them all at its end */
#define SIM_TEXT 24

enum task_kind {
	TASK_BUY,
	TASK_PREPARED,
	TASK_ARRIVE,
	TASK_RESULT,
	TASK_SETTLE,
	TASK_IPN,
	TASK_QUERY,
	TASK_SMS,
	TASK_RESTART,
};

struct task {
	int64_t at_ms;
	uint64_t seq;
	enum task_kind kind;
	unsigned life; /* of the process it dies with; 0: it outlives every crash */
	size_t index; /* of a buy, request or order */
	int what; /* by kind: outcome, verdict, enum answer_kind, word of an IPN */
	uint64_t id;
	unsigned tries;
};

/* What the engine handed to the wire. */
struct request {
	struct wire_attempt a;
	char account[SIM_TEXT], verb[SIM_TEXT], service[SIM_TEXT], our_ref[SIM_TEXT],
		provider_id[SIM_TEXT], number[SIM_TEXT], currency[SIM_TEXT];
	uint64_t purchase;
	bool is_kept; /* prepared, neither gone nor dropped */
};

enum order_state {
	ORDER_PENDING,
	ORDER_DONE, /* the money moved */
	ORDER_REFUSED,
};

/* A transaction in a provider's own ledger. */
struct order {
	size_t request;
	char id[SIM_TEXT];
	enum order_state state;
	int64_t amount; /* as carried out: a provider may err */
	bool has_lied; /* it said something false about itself */
	bool is_hinting; /* Xente: an IPN needs a query */
};

/* A customer's press and what the customer knows. */
struct press {
	uint64_t uid;
	char payer[16], beneficiary[16];
	const char *offer;
	bool is_acknowledged, is_refused, was_in_doubt;
	uint64_t purchase; /* 0: unknown to the customer */
	unsigned tries;
};

/* When a provider was last called for an account, number and amount. */
struct call {
	char key[64];
	int64_t at_ms;
};

enum fault {
	FAULT_CONNECT,
	FAULT_REQUEST_LOST,
	FAULT_REPLY_LOST,
	FAULT_CUT,
	FAULT_500,
	FAULT_500_DONE,
	FAULT_GARBAGE,
	FAULT_WRONG_REPLY,
	FAULT_WRONG_AMOUNT,
	FAULT_REFUSED,
	FAULT_429,
	FAULT_FOR_EVER,
	FAULT_FAILED,
	FAULTS_OF_SUBMIT,
	FAULT_IPN_LOST = FAULTS_OF_SUBMIT,
	FAULT_IPN_TWICE,
	FAULT_IPN_FIRST,
	FAULT_IPN_LATE,
	FAULT_IPN_WRONG,
	FAULT_IPN_STRANGE,
	FAULT_LIE,
	FAULT_QUERY,
	FAULT_PREPARE,
	FAULT_SMS,
	FAULT_COMMIT,
	FAULT_CRASH,
	FAULT_PAUSE,
	FAULTS,
};

struct sim_report {
	uint64_t purchases, faulted, reviews, refunds, steps, events, crashes, executions;
	uint64_t faults[FAULTS];
	uint64_t states[PURCHASE_STATES];
	uint64_t trace; /* the same seed gives the same */
	uint64_t lost, doubled, unexplained; /* what the checkers counted; any ends the run */
	char broken[200]; /* the first of them; empty: all held */
};

struct sim {
	struct fx_store fx;
	struct engine *engine;
	const struct store_ops *real;
	struct store_ops ops;
	unsigned life; /* of the process, from 1 */
	bool is_up, has_faults;
	int64_t now_ms, wake_ms, paused_until_ms;
	uint64_t chance, wire_chance, seq;
	unsigned rate; /* of faults, per mille */
	bool is_on[FAULTS];
	unsigned check_every; /* steps between looks at what was touched */
	struct task *heap;
	size_t heap_len, heap_cap;
	struct request *requests;
	size_t requests_len, requests_cap;
	struct order *orders;
	size_t orders_len, orders_cap;
	struct press *presses;
	size_t presses_len;
	struct call *calls;
	size_t calls_len, calls_cap;
	uint64_t *faulted; /* purchases that met a fault, unsorted, may repeat */
	size_t faulted_len, faulted_cap;
	uint64_t lies;
	struct engine_event *first, **last; /* what waits for the engine */
	int effects_left; /* before the process dies; -1: it does not */
	int commit_answers;
	bool commit_happens;
	sqlite3_stmt *purchase_of;
	struct sim_report *report;
};

/* ---- world.c ---- */

/*
 * Plays worlds of up to SIM_WORLD presses from a seed until there were so many purchases. False
 * when an invariant broke: out->broken tells which.
 */
bool sim_run(uint64_t seed, uint64_t purchases, unsigned check_every, struct sim_report *out);

/* One number of a sequence: splitmix64. */
uint64_t sim_mix(uint64_t *state);
uint64_t sim_random(struct sim *s);
/* From 0 to below n. */
uint64_t sim_below(struct sim *s, uint64_t n);
/* Whether this fault strikes now; counts it and marks the purchase (0: none in particular). */
bool sim_strikes(struct sim *s, enum fault fault, uint64_t purchase);
void sim_trace(struct sim *s, uint64_t a, uint64_t b);
void sim_later(struct sim *s, int64_t in_ms, struct task task);
/* Notes the first thing that broke. */
void sim_break(struct sim *s, uint64_t *count, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Room for one more element in a growing array. */
void *sim_grow(void *array, size_t len, size_t *cap, size_t size);
uint64_t sim_purchase_of(struct sim *s, uint64_t attempt);

/* An event whose text lives in its own arena, waiting for the next step. */
struct engine_event *sim_event(struct sim *s, enum engine_event_kind kind, size_t index);
/* An IPN that its provider brings again as the task says when it is not answered with 200. */
struct engine_event *sim_ipn(struct sim *s, const struct task *task);
void sim_mark(struct sim *s, uint64_t purchase);

/* ---- process.c ---- */

void process_stand_before_store(struct sim *s);
void process_leave_store(struct sim *s);
void process_start(struct sim *s);
/* One step of the engine, which may be the process's last. */
void process_step(struct sim *s);
void process_prepared(struct sim *s, const struct task *task);
void process_sms(struct sim *s, const struct task *task);

/* ---- provider.c ---- */

void provider_arrive(struct sim *s, const struct task *task);
void provider_settle(struct sim *s, const struct task *task);
void provider_ipn(struct sim *s, const struct task *task);
void provider_query(struct sim *s, const struct task *task);
/* The wire's word about a request: transfer and facts by enum answer_kind. */
void provider_result(struct sim *s, const struct task *task);
/* An IPN was not answered with 200. */
void provider_ipn_again(struct sim *s, const struct task *task);

/* ---- checker.c ---- */

/* At rest, of one purchase. */
void check_purchase(struct sim *s, uint64_t purchase);
/* X1, the moment a provider carries something out. */
void check_execution(struct sim *s, const struct order *order);
/* When faults have stopped and 48 hours have passed. */
void check_end(struct sim *s);

#endif
