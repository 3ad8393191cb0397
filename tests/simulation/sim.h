/*
 * The engine in a virtual world (reliability.md 4.1): one clock, one heap of tasks, one source of
 * chance. The engine, the store and the dialects are those of production; network, providers,
 * disk, customers and the process's death are played here. A run is decided by its seed alone.
 *
 * world.c has time and customers; fault.c chance and what goes wrong; process.c the process and the
 * store under it; wire.c its side of the wire, through the dialects; provider.c the providers'
 * ledgers, speech.c their bytes; checker.c what must hold at every rest, checker_end.c at the end;
 * disk.c the disk; images.c what a power loss may leave of it; shrink.c makes failures small.
 *
 * A world is up to SIM_WORLD presses. Whatever chance decides about one press comes from that
 * press's own sequence, so that taking one fault away leaves the others as they were.
 */
#ifndef TAMA_SIM_H
#define TAMA_SIM_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "disk.h"
#include "tama/dialect.h"
#include "tama/engine.h"
#include "tama/limits.h"

#define SIM_EPOCH INT64_C(1767225600000)
#define SIM_TICK_MS 250 /* everything happens on this grid, so that events meet in a batch */
#define SIM_WORLD 500 /* presses of one world: it checks them all at its end */
#define SIM_TEXT 40
#define SIM_KEY "0123456789abcdef0123456789abcdef"
#define SIM_ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define SIM_CANARY "739104" /* occurs nowhere by itself */

#define SIM_SECOND INT64_C(1000)
#define SIM_MINUTE (60 * SIM_SECOND)
#define SIM_HOUR (60 * SIM_MINUTE)

enum task_kind {
	TASK_BUY = 1,
	TASK_PREPARED,
	TASK_GO, /* the wire takes up a claim */
	TASK_ARRIVE, /* its bytes are with the provider */
	TASK_RESULT,
	TASK_SETTLE,
	TASK_IPN,
	TASK_QUERY,
	TASK_SMS,
	TASK_RESTART,
	TASK_PERSON,
	TASK_RELEASE,
};

struct task {
	int64_t at_ms;
	uint64_t seq;
	enum task_kind kind;
	unsigned life; /* of the process it dies with; 0: it outlives every crash */
	size_t index; /* of a press, request or order */
	int what; /* by kind: outcome, verdict, enum answer, enum news */
	uint64_t id;
	unsigned tries;
	int64_t claimed_ms; /* GO, on the clock that never jumps */
};

/* ---- what goes wrong ---------------------------------------------------------------------------
 */

enum fault {
	/* of a money request: exactly one of them may strike it */
	FAULT_CONNECT,
	FAULT_REQUEST_LOST,
	FAULT_REPLY_LOST,
	FAULT_CUT,
	FAULT_CUT_WHOLE,
	FAULT_500,
	FAULT_500_DONE,
	FAULT_GARBAGE,
	FAULT_OTHER_REPLY,
	FAULT_WRONG_REPLY,
	FAULT_WRONG_AMOUNT,
	FAULT_REFUSED,
	FAULT_429,
	FAULT_401,
	FAULT_404,
	FAULT_REDIRECT,
	FAULT_FOR_EVER,
	FAULT_FAILED,
	FAULT_TWICE,
	FAULT_LATER,
	FAULTS_OF_SUBMIT,
	FAULT_IPN_LOST = FAULTS_OF_SUBMIT,
	FAULT_IPN_TWICE,
	FAULT_IPN_FIRST,
	FAULT_IPN_LATE,
	FAULT_IPN_WRONG,
	FAULT_IPN_STRANGE,
	FAULT_IPN_FORGED,
	FAULT_IPN_BROKEN,
	FAULT_LIE,
	FAULT_QUERY,
	FAULT_HIDDEN,
	FAULT_PREPARE,
	FAULT_STALL, /* the wire takes a claim up late */
	FAULT_SMS,
	FAULT_COMMIT,
	FAULT_CRASH,
	FAULT_PAUSE,
	FAULT_POWER,
	FAULT_DISK,
	FAULT_CLOCK,
	FAULT_RESTORE,
	FAULTS,
};

/* One stroke: at the n-th chance that this kind had at this press (0: at the process). */
struct stroke {
	enum fault fault;
	uint32_t press, n;
};

struct strokes {
	struct stroke *all;
	size_t len, cap;
};

/* A world that is broken on purpose: what shows that a checker would notice. */
enum sim_mutant {
	MUTANT_NONE,
	MUTANT_SENDS_TWICE, /* the wire repeats a request whose connection broke (finding 1) */
	MUTANTS,
};

/* What may strike: how a failure is made small. */
struct sim_plan {
	const struct strokes *only; /* NULL: every stroke that chance wants */
	struct strokes *struck; /* where those of the world are put; NULL: nowhere */
	enum sim_mutant mutant;
	struct image_run *images; /* to be taken of the world's disk; NULL: none */
	uint32_t told; /* press whose history is printed at the end; 0: none */
};

/* ---- things ------------------------------------------------------------------------------------
 */

/* What the engine handed to the wire. */
struct request {
	struct wire_attempt a; /* its texts are those below */
	char account[SIM_TEXT], verb[SIM_TEXT], service[SIM_TEXT], our_ref[SIM_TEXT],
		provider_id[SIM_TEXT], number[SIM_TEXT], currency[SIM_TEXT];
	size_t sent; /* of struct sent */
	struct arena *arena; /* of the call below, until its bytes have left */
	struct http_call call; /* with marks in place of secrets */
	struct http_call filled; /* as its bytes left */
	bool has_left;
	bool is_kept; /* prepared, neither gone nor dropped */
	bool is_called_back; /* dropped after it was told to go */
	size_t order; /* index + 1 of what the provider made of it */
};

/* An attempt as the simulator knows it, for the checkers alone. */
struct sent {
	uint64_t attempt, purchase;
	uint32_t press; /* its uid; 0 unknown */
	int leg;
	int64_t left_ms; /* when its first byte left; 0: none did */
	unsigned left; /* how often it left */
	uint64_t body; /* digest of what left */
	unsigned done, right; /* carried out; and with the amount asked for */
	bool has_lied; /* the provider said something false about it */
	int64_t told_ms; /* when a true and final word about it got through; 0: none did */
};

enum order_state {
	ORDER_PENDING,
	ORDER_DONE, /* the money moved */
	ORDER_REFUSED,
};

/* A transaction in a provider's own ledger: what it read in the bytes. */
struct order {
	char id[SIM_TEXT], ref[SIM_TEXT], number[SIM_TEXT], service[SIM_TEXT];
	char ipn_path[160]; /* EasyTransfert: given with the request */
	bool is_xente, is_payout;
	bool is_honoured; /* class I: its id is known for a while */
	int64_t amount, asked;
	enum order_state state;
	size_t request; /* the simulator's knowledge, not the provider's */
	size_t sent;
	int64_t made_ms, hidden_ms; /* so long no query by our id finds it */
};

/* A customer's press and what the customer knows. */
struct press {
	uint32_t uid;
	char payer[16], beneficiary[16];
	char otp[12]; /* begins with SIM_CANARY; empty: none needed */
	const char *offer;
	bool is_acknowledged, is_refused, was_in_doubt, is_faulted;
	uint64_t purchase; /* 0: unknown to the customer */
	int64_t acknowledged_ms;
	char reply[48]; /* that came with the acknowledgement */
	unsigned tries;
	uint64_t chance;
	uint32_t chances[FAULTS]; /* how often each kind might have struck */
	atomic_int claim;
};

/* When a provider was last called for a number and amount. */
struct call {
	char key[64];
	int64_t at_ms;
};

/* ---- the world ---------------------------------------------------------------------------------
 */

#define SIM_STATES 16
#define SIM_EVENTS 16

struct sim_report {
	uint64_t worlds, purchases, faulted, reviews, refunds, steps, events, crashes, executions,
		checks, disk_worlds, power_losses, decisions, honoured, restored, forgotten;
	uint64_t faults[FAULTS];
	uint64_t states[32]; /* purchases at the end */
	uint64_t cells[SIM_STATES]
		      [SIM_EVENTS]; /* of the machine, looked up: twice where it moves */
	uint64_t trace; /* of all worlds, in any order; the same seed gives the same */
	uint64_t lost, doubled, unexplained; /* what the checkers counted; any ends the run */
	uint64_t broken_world, broken_presses; /* the seed and size of the first that broke */
	char broken[200]; /* what broke first; empty: all held */
};

/* What all worlds of a process share. */
struct sim_shared {
	struct vault *vault;
	const struct config *config;
	struct dialect_host *host;
	struct disks *disks;
	char dir[64]; /* a real one, for what does not go through SQLite */
};

enum sim_statement {
	SQL_ATTEMPT,
	SQL_PURCHASE,
	SQL_ATTEMPTS,
	SQL_EVENTS,
	SQL_LEDGER,
	SQL_OUTBOX,
	SQL_OUTBOX_PURCHASE,
	SQL_CLAIMED,
	SIM_STATEMENTS,
};

#define SIM_TOUCHED 1024

struct sim {
	const struct sim_shared *shared;
	const struct sim_plan *plan;
	struct sim_report *report;
	uint64_t seed, trace;
	struct store *store;
	struct engine *engine;
	const struct store_ops *real;
	struct store_ops ops;
	struct disk *disk; /* NULL: the store is in memory */
	struct disk *backup; /* a copy of it, made at backup_ms; 0: not yet */
	int64_t backup_ms, restored_ms; /* when the copy was put back; 0: never */
	size_t acknowledged_at_backup;
	unsigned life; /* of the process, from 1 */
	bool is_up, has_faults, is_dying;
	bool stops; /* the disk is armed to end the process */
	int64_t now_ms, wake_ms, paused_until_ms;
	int64_t wall_ms; /* how far the wall clock is off */
	uint64_t chance, process_chance, wire_chance, seq;
	unsigned rate; /* of faults, per mille */
	bool is_on[FAULTS];
	uint32_t chances[FAULTS]; /* of the process */
	struct task *heap;
	size_t heap_len, heap_cap;
	struct request *requests;
	size_t requests_len, requests_cap;
	struct sent *sent;
	size_t sent_len, sent_cap;
	uint32_t *sent_index; /* by attempt, open addressing */
	size_t sent_index_cap;
	struct order *orders;
	size_t orders_len, orders_cap;
	struct press *presses;
	size_t presses_len;
	struct call *calls;
	size_t calls_len, calls_cap;
	char tokens[4][SIM_TEXT]; /* by account */
	unsigned logins;
	uint64_t *acknowledged; /* digests of IPN bodies answered 200 */
	size_t acknowledged_len, acknowledged_cap;
	uint64_t lies;
	struct engine_event *first, **last; /* what waits for the engine */
	int effects_left; /* before the process dies; -1: it does not */
	int commit_answers;
	bool commit_happens;
	uint64_t touched[SIM_TOUCHED]; /* purchases written to since the last look */
	size_t touched_len;
	sqlite3_stmt *sql[SIM_STATEMENTS];
};

/* ---- world.c ---- */

/* Opens what worlds share; run from the top of the source tree. */
void sim_load(struct sim_shared *out);
void sim_unload(struct sim_shared *shared);

/* One world; adds to the report. */
void sim_world(const struct sim_shared *shared, const struct sim_plan *plan, uint64_t seed,
	size_t presses, struct sim_report *report);

struct sim_run {
	uint64_t seed, purchases;
	unsigned job, jobs; /* this process takes every jobs-th world */
	const struct sim_plan *plan; /* NULL: nothing is held back */
};

/*
 * Worlds of so many presses at most until this process has its share of the purchases. The first
 * has the seed itself, so that a world that broke is run again by its own. False when something
 * broke.
 */
bool sim_run(const struct sim_shared *shared, const struct sim_run *run, struct sim_report *out);
void sim_report_add(struct sim_report *to, const struct sim_report *from);

/* The next moment on the grid, not before that one. */
int64_t sim_tick(int64_t at_ms);
void sim_later(struct sim *s, int64_t in_ms, struct task task);
void sim_trace(struct sim *s, uint64_t a, uint64_t b);
/* Notes the first thing that broke. */
void sim_break(struct sim *s, uint64_t *count, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Room for one more element in a growing array. */
void *sim_grow(void *array, size_t len, size_t *cap, size_t size);

/* An event whose text lives in its own arena, waiting for the next step. */
struct engine_event *sim_event(struct sim *s, enum engine_event_kind kind, size_t index);
/*
 * An IPN that its provider brings again as the task says when it is not answered with 200. It waits
 * once it is posted.
 */
struct engine_event *sim_ipn(struct sim *s, const struct task *task, uint64_t digest);
void sim_post(struct sim *s, struct engine_event *event);
void sim_discard(struct engine_event *event);
/* Once decided, a true and final word about this attempt has got through. */
void sim_tells(struct engine_event *event, size_t sent);
struct press *sim_press(struct sim *s, uint32_t uid);

/* ---- fault.c ---- */

/* One number of a sequence: splitmix64. */
uint64_t sim_mix(uint64_t *state);
/* A digest that every build computes alike. */
uint64_t sim_digest(struct str text);
/* From 0 to below n, from the press's own sequence; uid 0: from the process's. */
uint64_t sim_below(struct sim *s, uint32_t uid, uint64_t n);
/* Whether this fault strikes now; counts it and marks the press. */
bool sim_strikes(struct sim *s, enum fault fault, uint32_t uid);
void sim_mark(struct sim *s, uint32_t uid);
void sim_draw_faults(struct sim *s);
const char *sim_fault_name(enum fault fault);

/* ---- process.c ---- */

void process_open(struct sim *s);
void process_close(struct sim *s);
void process_start(struct sim *s);
/* Whether this life has ended already, though the engine's code still runs: nobody hears it. */
bool process_is_dying(const struct sim *s);
/* One step of the engine, which may be the process's last. */
void process_step(struct sim *s);
/* What the simulator knows of an attempt; its index. */
size_t sim_sent(struct sim *s, uint64_t attempt);
/* The same, until the next one is met. */
struct sent *sim_sent_of(struct sim *s, uint64_t attempt);
sqlite3 *sim_handle(const struct sim *s);
/* Runs one of the simulator's own statements; ends with sqlite3_reset. */
sqlite3_stmt *sim_sql(struct sim *s, enum sim_statement which, uint64_t id);

/* ---- wire.c ---- */

void wire_world(struct sim *s, struct engine_world *out);
void wire_task(struct sim *s, const struct task *task);
/* What was in the process's memory is gone. */
void wire_forget(struct sim *s);
void request_free(struct request *r);
bool wire_lives(struct sim *s);

/* A whole HTTP answer, or how it ended before. */
struct answer_bytes {
	struct transfer transfer;
	struct str body;
	bool is_truth; /* whole, and a final word as it is in the provider's ledger */
};

/* An IPN's bytes at our door: path with account and secret, query, body. */
void gateway_ipn(
	struct sim *s, const struct task *task, struct str path, struct str query, struct str body);

/* ---- provider.c ---- */

enum answer {
	ANSWER_NONE,
	ANSWER_CONNECT,
	ANSWER_ABANDONED, /* by its owner, before a byte left */
	ANSWER_TIMEOUT,
	ANSWER_CUT,
	ANSWER_CUT_WHOLE,
	ANSWER_500,
	ANSWER_GARBAGE,
	ANSWER_REFUSED,
	ANSWER_429,
	ANSWER_401,
	ANSWER_404,
	ANSWER_REDIRECT,
	ANSWER_PENDING,
	ANSWER_STATE, /* whatever is true by then */
	ANSWER_WRONG, /* of another amount */
	ANSWER_OTHER, /* of another order */
	ANSWER_FAILED,
	ANSWER_DUPLICATE,
	ANSWER_FALSE, /* FAILED, and it is not */
};

enum news {
	NEWS_TRUE,
	NEWS_STILL_PENDING,
	NEWS_OTHER_AMOUNT,
	NEWS_OF_NOBODY,
	NEWS_FALSE,
	NEWS_FORGED,
	NEWS_BROKEN,
};

void provider_arrive(struct sim *s, const struct task *task, const struct http_call *call);
void provider_settle(struct sim *s, const struct task *task);
void provider_ipn(struct sim *s, const struct task *task);
void provider_query(struct sim *s, const struct task *task, const struct http_call *call);
/* An IPN was not answered with 200. */
void provider_ipn_again(struct sim *s, const struct task *task);
/* Whether an IPN is proof by itself, true and final. */
bool provider_ipn_is_truth(const struct sim *s, const struct task *task);
/* A login's answer. */
struct str provider_login(struct sim *s, const struct http_call *call, struct arena *arena);

/* ---- person.c ---- */

/* Two users go through what waits for them; accounts that are held they look at more often. */
void person_looks(struct sim *s);
void person_releases(struct sim *s);
void person_answered(struct sim *s, const struct engine_event *event, size_t user);

/* ---- speech.c ---- */

/* Reads a money request; false when its bytes are not as documented. */
bool speech_read(struct sim *s, const struct http_call *call, struct order *out);
/* The transaction a query asks for; empty when its bytes are not as documented. */
bool speech_read_query(struct sim *s, const struct http_call *call, char out[static SIM_TEXT]);
/* The answer to a request of an account; order may be NULL. */
struct answer_bytes speech_answer(struct sim *s, const struct task *task, const struct order *order,
	bool is_query, struct arena *arena);
void speech_ipn(struct sim *s, const struct order *o, enum news news, struct arena *arena,
	struct str *query_out, struct str *body_out);

/* ---- checker.c, checker_end.c ---- */

/* At rest, of one purchase. */
void check_purchase(struct sim *s, uint64_t purchase);
/* X1, the moment a provider carries something out. */
void check_execution(struct sim *s, const struct order *order);
/* I3 and 2.5, the moment the first byte leaves. */
void check_departure(struct sim *s, const struct request *r);
/* Whether the account's provider knows requests by our id: class I. */
bool request_is_honoured(const struct request *r);
/* Whether this press belongs to a life that a restored copy knows nothing of. */
bool is_forgotten(const struct sim *s, const struct press *p);
/* Right after a process came up again. */
void check_restart(struct sim *s);
/* What a loss of power left: whole, and all that was acknowledged is there. */
void check_image(struct sim *s);
/* The history of one press's purchase, for a person who looks at a failure. */
void check_tell(struct sim *s, uint32_t uid, FILE *out);
/* When faults have stopped and 48 hours have passed. */
void check_end(struct sim *s);

/* ---- shrink.c ---- */

/* Takes faults away while the world stays broken; prints what is left, and returns how many. */
size_t sim_shrink(const struct sim_shared *shared, uint64_t world, size_t presses,
	enum sim_mutant mutant, FILE *out);

/* ---- images.c ---- */

struct image_report {
	uint64_t worlds, images, twice, purchases;
	char broken[200];
};

/* Plays worlds on the disk, and opens what power losses on the way may leave. */
bool sim_images(
	const struct sim_shared *shared, uint64_t seed, uint64_t images, struct image_report *out);
void images_watch(struct image_run *run, struct sim *s);
void images_leave(struct image_run *run);

#endif
