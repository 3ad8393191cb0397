/*
 * The engine's own parts. A step is one transaction: handlers read and write through the store and
 * leave effects, which run after the commit. A handler returns 0 when its event is decided (its
 * outcome says how) or a negative enum tama_err, and then nothing of it remains.
 */
#ifndef TAMA_ENGINE_PRIV_H
#define TAMA_ENGINE_PRIV_H

#include "tama/engine.h"

/* When so many are held, all are. */
#define LANES_HELD_MAX 32

enum effect_kind {
	EFFECT_PREPARE,
	EFFECT_GO,
	EFFECT_DROP,
	EFFECT_QUERY,
	EFFECT_SMS,
	EFFECT_ALARM,
	EFFECT_HOLD, /* wire.account */
};

struct effect {
	enum effect_kind kind;
	struct effect *next;
	struct wire_attempt wire; /* PREPARE, QUERY; GO and DROP: attempt and epoch */
	struct wire_sms sms;
	const char *what; /* ALARM */
	struct str ref;
	const char *detail;
};

struct engine {
	struct engine_world world;
	struct store *store;
	const struct config *config;
	uint64_t incarnation;
	uint64_t last_id;
	int64_t now_ms, boot_ms; /* of this step */
	struct arena arena;
	struct effect *effects, **effects_end;
	bool has_recovered; /* no orphan of an earlier incarnation is left, and that is durable */
	bool is_dead;
	char held[LANES_HELD_MAX][64]; /* names of accounts */
	size_t held_len;
	struct engine_stats stats;
};

/* A purchase with the attempt that something happened to. */
struct engine_case {
	struct purchase_row purchase;
	struct attempt_row attempt;
};

#define STORE(e, verb, ...) (e)->store->ops->verb((e)->store, __VA_ARGS__)

/* ---- engine.c ---- */

/* A key larger than any before and any from an earlier process. */
uint64_t engine_next_id(struct engine *e);

/* Zeroed, in the step's arena, appended; NULL when the arena is full (the step then fails whole).
 */
struct effect *engine_effect(struct engine *e, enum effect_kind kind);
void engine_alarm(struct engine *e, const char *what, struct str ref, const char *detail);

/* Asks the wire for something about an attempt. The effect owns its text: events go before it runs.
 */
int engine_ask(
	struct engine *e, enum effect_kind kind, const struct attempt_row *attempt, uint32_t epoch);

/* A reference for a provider that nobody can guess, in the step's arena. */
struct str engine_reference(struct engine *e);

/* Our two-leg view of the configuration behind a stored attempt; NULL when it is gone. */
const struct account *engine_account(struct engine *e, const struct attempt_row *attempt);

/* ---- attempt.c ---- */

int case_load(struct engine *e, uint32_t partner, uint64_t attempt, struct engine_case *out);

/*
 * Applies an event to the case's attempt by the table: moves it, posts the books, derives and
 * stores the purchase's state, and starts whatever follows (the next leg, another attempt, the
 * final SMS, polls, deadlines). The step taken is told in *step_out.
 */
int case_apply(struct engine *e, struct engine_case *c, enum attempt_event event, uint64_t evidence,
	struct attempt_step *step_out);

/*
 * Inserts an attempt READY with its SEND row, due at due_ms or when it expires, whichever comes
 * first; due now also asks the wire at once.
 */
int leg_start(struct engine *e, const struct purchase_row *purchase, struct attempt_row *attempt,
	int64_t due_ms);

/* Until when a READY attempt may still be sent: after it the customer no longer expects it. */
int64_t attempt_expires_ms(const struct attempt_row *attempt);

/* Whether a query may still tell something: REVIEW closes by a late success (2.6). */
bool attempt_is_queried(enum attempt_state state);

/* The one pending query of an attempt: by the account's schedule (2.7), or at due_ms. */
int poll_next(struct engine *e, const struct attempt_row *attempt);
int poll_at(struct engine *e, const struct attempt_row *attempt, int64_t due_ms);

/* The provider's id, learnt on the way: kept, and queries by it begin. */
int learn_id(struct engine *e, struct attempt_row *attempt, struct str provider_id);

/* The terms that evidence is compared with. */
void attempt_terms_of(const struct engine *e, const struct attempt_row *attempt,
	struct attempt_terms *out, char national[static MSISDN_MAX + 2]);

/* ---- velocity.c ---- */

/*
 * Whether the limits refuse this purchase, and from when they would not; 0: no time is known, or it
 * is for others' purchases to end.
 */
int velocity_check(struct engine *e, const struct purchase_row *p, const struct offer *offer,
	bool *is_over_out, int64_t *until_ms_out);

/* ---- pause.c ---- */

/* When the account's pause for this number and amount is over; 0 where it has none, or this attempt
 * keeps it itself. */
int pause_get(struct engine *e, const struct account *account, const struct attempt_row *attempt,
	int64_t *free_ms_out);
/* A first attempt that may go keeps the pause from now on; others wait for theirs. */
int pause_keep(struct engine *e, const struct attempt_row *attempt);
/* A call is made now. */
int pause_begin(struct engine *e, const struct attempt_row *attempt);
/* Never sent: what it kept is free again. */
int pause_give_back(struct engine *e, const struct attempt_row *attempt);
/* Proven that the call which began it never reached the provider. */
int pause_end(struct engine *e, const struct attempt_row *attempt);

/* ---- lane.c ---- */

/* Whether requests may go out for this account now; NULL: gone from the configuration. */
bool lane_is_open(const struct engine *e, const struct account *account);
/* No more of them until the process starts again. Run as an effect: after the commit. */
void lane_hold(struct engine *e, struct str account);

/* ---- handlers ---- */

int handle_buy(struct engine *e, struct engine_event *event);
int handle_prepared(struct engine *e, struct engine_event *event);
int handle_result(struct engine *e, struct engine_event *event);
int handle_ipn(struct engine *e, struct engine_event *event);
int handle_sms_result(struct engine *e, struct engine_event *event);
int handle_dlr(struct engine *e, struct engine_event *event);
int handle_decision(struct engine *e, struct engine_event *event);

int due_send(struct engine *e, const struct outbox_row *row);
int due_poll(struct engine *e, const struct outbox_row *row);
int due_deadline(struct engine *e, const struct outbox_row *row);
int due_sms(struct engine *e, const struct outbox_row *row);
int due_progress(struct engine *e, const struct outbox_row *row);

/* ---- messages.c ---- */

/* The texts of a purchase as one sealed-at-rest string, and one of them back out of it. */
struct str texts_pack(const struct str texts[static PURCHASE_TEXTS], struct arena *arena);
struct str texts_unpack(struct str packed, enum purchase_text which);

/* An SMS row for the purchase's payer: seq 1 is the final one (exactly one), 2 the progress. */
#define SMS_SEQ_FINAL 1
#define SMS_SEQ_PROGRESS 2
int sms_queue(struct engine *e, const struct purchase_row *purchase, enum purchase_text which,
	uint32_t seq);

/* The final message of a settled state. */
int sms_settle(struct engine *e, const struct purchase_row *purchase, enum purchase_state state);

#endif
