/*
 * The engine's own parts. A step is one transaction: handlers read and write through the store and
 * leave effects, which run after the commit. A handler returns 0 when its event is decided (its
 * outcome says how) or a negative enum tama_err, and then nothing of it remains.
 */
#ifndef TAMA_ENGINE_PRIV_H
#define TAMA_ENGINE_PRIV_H

#include "tama/clock.h"
#include "tama/engine.h"
#include "tama/limits.h"

/* When so many are held, all are. */
#define LANES_HELD_MAX 32

enum effect_kind {
	EFFECT_PREPARE,
	EFFECT_GO,
	EFFECT_DROP,
	EFFECT_QUERY,
	EFFECT_SMS,
	EFFECT_ALARM,
	EFFECT_ACCOUNT,
};

struct effect {
	enum effect_kind kind;
	struct effect *next;
	struct wire_attempt wire; /* PREPARE, QUERY; GO and DROP: attempt and epoch */
	struct wire_sms sms;
	struct wire_account account; /* ACCOUNT */
	const char *what; /* ALARM */
	struct str ref;
	const char *detail;
};

/* A row of `hold`; '*' of partner 0 is the whole node. */
struct engine_hold {
	uint32_t partner;
	char account[64];
};

/* What the breaker knows of an account: rebuilt from the store by a new life. */
struct lane {
	uint32_t partner;
	char account[64];
	struct {
		uint64_t attempt;
		bool is_doubt; /* UNKNOWN, and nothing proven since */
	} last[LIMIT_LANE_SENDS];
	unsigned next; /* of `last` */
	bool is_stopped;
	int64_t pause_ms, until_ms; /* stopped: from then on one may try */
	uint64_t probe; /* the one that tries; 0: none */
	int64_t query_ms; /* when the budget for queries is next full; in the past: it is */
	int64_t turn_ms; /* the moment for the next that has to wait for it */
	int64_t inquiry_ms; /* from then on a balance or a page of a list may be asked for */
	bool has_inquiry; /* its part of the budget is taken already */
	int64_t refused_ms,
		refused_until_ms; /* the provider wants no queries: for how long, till when */
	int64_t sold_ms; /* stopped: from then on one may be sold to try with */
	bool is_open; /* something could be sent when that was last looked at */
};

/* As it was before a change: put back when the change is not kept. */
struct lane_undo {
	struct lane_undo *next;
	struct lane *lane;
	struct lane was;
};

struct engine {
	struct engine_world world;
	struct store *store;
	const struct config *config;
	uint64_t incarnation;
	uint64_t last_id;
	struct engine_clock clock;
	int64_t now_ms, boot_ms; /* of this step; now by the engine's clock */
	int64_t wall_ms; /* for what people read */
	bool is_off; /* the clocks differ, and that has been told */
	struct arena arena;
	struct effect *effects, **effects_end;
	bool has_recovered; /* no orphan of an earlier incarnation is left, and that is durable */
	bool is_dead;
	struct engine_hold holds[LANES_HELD_MAX];
	size_t holds_len;
	struct lane lanes[LIMIT_CONFIG_LIST];
	size_t lanes_len;
	struct lane_undo *undo; /* of this step, newest first */
	bool lanes_touched; /* by this step: read anew should it not be kept */
	bool is_unmarked; /* the mark could not be written: nothing new is sent */
	bool is_accepting; /* this step freezes the last of an untrusted store */
	uint64_t frozen_id; /* purchases up to it are of a life that this store may not remember */
	struct engine_stats stats;
	struct float_state *floats;
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

/* Runs work in a savepoint; when it fails nothing of it remains, effects and counts included. */
int engine_guarded(struct engine *e, int (*work)(struct engine *, void *), void *what);

/* Forgets what was prepared under that epoch, or calls it back before its first byte. */
int engine_drop(struct engine *e, uint64_t attempt, uint32_t epoch);

/* Asks the wire for something about an attempt. The effect owns its text: events go before it runs.
 */
int engine_ask(
	struct engine *e, enum effect_kind kind, const struct attempt_row *attempt, uint32_t epoch);

/* A reference for a provider that nobody can guess, in the step's arena. */
struct str engine_reference(struct engine *e);

/* Our two-leg view of the configuration behind a stored attempt; NULL when it is gone. */
const struct account *engine_account(struct engine *e, const struct attempt_row *attempt);

/* ---- recovery.c ---- */

/*
 * One batch of what an earlier life left, in this step's commit. more_out: there is more, and the
 * next step is to go on with it.
 */
int engine_recover(struct engine *e, bool *more_out);

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

/* The terms that evidence is compared with. */
void attempt_terms_of(const struct engine *e, const struct attempt_row *attempt,
	struct attempt_terms *out, char national[static MSISDN_MAX + 2]);

/* The purchase's legs as they are stored now; all its attempts, oldest first: how many. */
int case_legs(struct engine *e, const struct purchase_row *p, struct purchase_legs *out);
int case_attempts(struct engine *e, const struct purchase_row *p, struct attempt_row **out);

/* 2.8, point 5: so late that the customer has left, and the offer gives back what comes now. */
bool case_is_late(const struct engine *e, const struct purchase_row *p);

/* Appends to the purchase's chain: attempt, from, to, cause and evidence are the caller's. */
int case_event(struct engine *e, const struct engine_case *c, struct event_row row);

/* Posts what lies between two positions, to the attempt's account. */
int case_post(struct engine *e, const struct engine_case *c, const struct purchase_legs *before,
	const struct purchase_legs *after);

/*
 * The rule of derive(): stored == derive(legs) at every write. Tells the customer what has ended,
 * and starts the leg that must start now.
 */
int case_settle(struct engine *e, struct engine_case *c, const struct purchase_legs *legs,
	const char *cause);

/* ---- schedule.c ---- */

/* A row of the outbox for an attempt: one of a kind. */
int attempt_wait(
	struct engine *e, const struct attempt_row *attempt, enum outbox_kind kind, int64_t due_ms);

/* Its rows anew, as its state wants them. */
int attempt_schedule(struct engine *e, const struct attempt_row *attempt);

/* Until when a READY attempt may still be sent: after it the customer no longer expects it. */
int64_t attempt_expires_ms(const struct attempt_row *attempt);

/* Whether queries go on by themselves: REVIEW closes by a late success (2.6). */
bool attempt_is_queried(enum attempt_state state);

/* The one pending query of an attempt: by the account's schedule (2.7), or at due_ms. */
int poll_next(struct engine *e, const struct attempt_row *attempt);
int poll_at(struct engine *e, const struct attempt_row *attempt, int64_t due_ms);

/* A contradiction is confirmed by a query, as soon as the provider's rules allow (2.6). */
int poll_confirm(struct engine *e, const struct attempt_row *attempt);

/* Whether a due query is not to be made any more. */
bool poll_is_over(const struct account *account, const struct attempt_row *attempt,
	const struct outbox_row *row);

/*
 * Whether this one must not be sent yet: what ended another of its purchase is being asked about
 * (a hint that it was otherwise), and the answer may forbid it.
 */
int poll_holds(struct engine *e, const struct attempt_row *attempt, bool *holds_out);

/* After a query: the next, or where only news was to be confirmed the same until it names an end.
 */
int poll_answered(struct engine *e, const struct attempt_row *attempt, bool is_end);

/* The provider's id, learnt on the way: kept, and queries by it begin. */
int learn_id(struct engine *e, struct attempt_row *attempt, struct str provider_id);

/* ---- ipn.c: news of an attempt, whoever brings it ---- */

/* What the inbox says of evidence that made this step. */
enum inbox_verdict news_verdict(const struct attempt_step *step);
/* Only a hint: asked about as soon as the provider's rules allow, by this id where none was known.
 */
int news_ask(struct engine *e, struct engine_case *c, struct str provider_id);
/* It is of a request that was never sent: an alarm, and its account is held (2.6). */
int news_hold(struct engine *e, const struct engine_case *c);

/* ---- refund.c ---- */

#define REFUND_DECIDED "decided_refund" /* cause of the events */

/* The machine's: at once or after the offer's delay. Where the offer has no refund leg: an alarm.
 */
int refund_start(struct engine *e, const struct purchase_row *p, const struct purchase_legs *legs);

/*
 * Another attempt, by decision of persons: through the offer's refund leg, else by their own hands
 * (in REVIEW). c->attempt becomes it.
 */
int refund_decided(struct engine *e, struct engine_case *c, uint64_t decision);

/* ---- decision.c ---- */

/* Proposals about an attempt, and that to refund a purchase, which the course of things has closed.
 */
int decision_overtake(struct engine *e, const struct attempt_row *attempt);
int decision_overtake_refund(struct engine *e, const struct purchase_row *p);

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

/* ---- lane.c, breaker.c ---- */

/* Reads the holds that stand. 0, TAMA_EIO. */
int lanes_load(struct engine *e);
/* Makes the lanes of accounts that are new in the configuration, from what the store tells. */
int lanes_meet(struct engine *e);
/* What was put off until an account sends again is due now, should one do so since the last step.
 */
int lanes_wake(struct engine *e);
/* When to look again at what cannot be sent now; lanes_wake may come before it. */
int64_t lane_look_ms(const struct engine *e, const struct account *account);
/* Puts back what changed since `mark` (of e->undo), which was not kept. */
void lanes_undo(struct engine *e, const struct lane_undo *mark);

/* Neither switched off, gone nor held: the breaker aside. */
bool lane_is_in_service(const struct engine *e, const struct account *account);
/* Whether the account sells now: in service, not held, not stopped. NULL: gone. */
bool lane_is_open(const struct engine *e, const struct account *account);
/* Whether this attempt may be sent now: as lane_is_open, or as the one that tries. */
bool lane_may_send(const struct engine *e, const struct account *account, uint64_t attempt);
/* A purchase was sold while the lane was stopped: the next only after a pause. */
void lane_note_sale(struct engine *e, const struct account *account);
/* An attempt has moved: what the breaker makes of it. */
void lane_note(struct engine *e, const struct attempt_row *attempt, enum attempt_state next);
/* An answer about an attempt that FAILED: a refusal for want of float stops the lane (F-D26). */
void lane_note_refusal(
	struct engine *e, const struct attempt_row *attempt, const struct facts *facts);
/* No more of them, in the commit of this event, until lane_release. 0 also when held already. */
int lane_hold(struct engine *e, uint32_t partner, struct str account, const char *reason);
/* Ends a hold by its id, in the commit of the decision; TAMA_ENOTFOUND when none stands. */
int lane_release(struct engine *e, uint32_t partner, uint64_t hold);

/* The store may be older than what was sent: the whole node is held. */
int lanes_distrust(struct engine *e, enum mark_verdict verdict);
/* Whether what is READY of this purchase may have been sent by a life that the store forgot. */
bool lane_is_frozen(const struct engine *e, uint64_t purchase);
/* READY to REVIEW. The second loads the case of an attempt_row. */
int lane_freeze_case(struct engine *e, struct engine_case *c);
int lane_freeze_one(struct engine *e, void *row);

/* How long queries of the account must wait now: its budget, or the provider's refusal of the last
 * one (F-D24); 0: one may go, and is counted. */
int64_t lane_wait_query(struct engine *e, const struct account *account);
/* The same for balances and pages of lists, which live on the same budget. */
int64_t lane_wait_inquiry(struct engine *e, const struct account *account);
/* What a query's answer means for the next. */
void lane_note_query(
	struct engine *e, const struct account *account, const struct engine_result *r);

void lane_note_inquiry(
	struct engine *e, const struct account *account, const struct engine_account *told);

/* ---- resend.c ---- */

/* Whether there is anything to ask the provider by: its id, or ours where it keeps those. */
bool attempt_can_be_asked(const struct account *account, const struct attempt_row *attempt);
/* Counts answers that it has no such request; the caller writes the attempt. */
void resend_note_answer(struct engine *e, struct attempt_row *a, const struct engine_result *r);
/* Whether enough of them have come, in time, for the same bytes to go out again. */
bool resend_is_due(struct engine *e, const struct engine_case *c);
/* After such an answer: when to ask next, and the wire's if it is due. */
int resend_ask(struct engine *e, const struct engine_case *c);
/* UNKNOWN to SENDING; TAMA_ECONFLICT when the bytes differ, and then it is in REVIEW. */
int resend_claim(struct engine *e, struct engine_case *c, const struct engine_prepared *p);

/* ---- staff.c ---- */

/* Sets the reason when this person may not begin a refund of it now, or agree to one. */
int staff_check_refund(
	struct engine *e, const struct purchase_row *p, struct str user, const char **reason);

/* ---- float.c, float_ask.c ---- */

struct float_state *floats_new(void);
void floats_free(struct float_state **floats);
/* What was worked out from a step that was not kept, or from another configuration, is forgotten.
 */
void floats_forget(struct float_state *floats);
/* Once a step: chores that are missing, and every ten seconds what each float is worth. */
int floats_step(struct engine *e);
/* Before floats_allow: not older than a second. */
int floats_look(struct engine *e);
/* Whether all that the purchase needs is there. */
bool floats_allow(const struct engine *e, const struct buy_intent *intent);
/* It is in the store now: what it needs is not sold again before the floats are worked out anew. */
void floats_promise(struct engine *e, const struct buy_intent *intent);
/* Whether the leg waits for news of a float that was refused (F-D26). */
bool floats_may_send(const struct engine *e, const struct attempt_row *attempt);
/* What a provider said about a leg: a refusal for lack of float empties it (F-D26). */
int floats_heard(struct engine *e, const struct engine_case *c, const struct facts *facts);
/* Something was observed or posted besides: worked out anew in this step. */
int floats_observe(struct engine *e, const struct account *account, int64_t balance);
/* The chore asks as soon as the account's budget allows, and is due again after a while. */
int floats_ask_account(struct engine *e, const struct account *account,
	const struct outbox_row *chore, const struct wire_account *ask, int64_t again_ms);
/* The account's row of a kind is due at due_ms; made where it is missing. */
int chore_at(struct engine *e, enum outbox_kind kind, const struct account *account, int64_t day,
	int64_t due_ms);
int due_float(struct engine *e, const struct outbox_row *row);

/* ---- reconcile.c ---- */

#define DAY_MS INT64_C(86400000)

int due_reconcile(struct engine *e, const struct outbox_row *row);
/* The next day's row, should the account have none. */
int reconcile_plan(struct engine *e, const struct account *account);
/* A balance has come: a day that waited for it goes on. */
int reconcile_observed(struct engine *e, const struct account *account);
int handle_list(struct engine *e, struct engine_event *event, const struct account *account);
int handle_account(struct engine *e, struct engine_event *event);
int handle_reconcile(struct engine *e, struct engine_event *event);

/* ---- reconcile_row.c ---- */

/* The provider's id of a row; our reference where it has none. */
struct str reconcile_item(const struct facts *facts);
/* A row of the list: counted, kept where it is a finding, and followed up. */
int reconcile_listed(struct engine *e, struct reconciliation_row *r, const struct facts *facts,
	const struct account *account);
/* One of ours that succeeded, when the whole list has been read. */
int reconcile_sought(struct engine *e, struct reconciliation_row *r, const struct attempt_row *a);

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

/*
 * An SMS row for the purchase's payer, exactly one of each seq: how it ended, the progress, the
 * refund, and from CORRECTION on what is true where another end was told before.
 */
#define SMS_SEQ_FINAL 1
#define SMS_SEQ_PROGRESS 2
#define SMS_SEQ_REFUNDED 3
#define SMS_SEQ_CORRECTION 4
int sms_queue(struct engine *e, const struct purchase_row *purchase, enum purchase_text which,
	uint32_t seq);

/* The message of a settled state. */
int sms_settle(struct engine *e, const struct purchase_row *purchase);

#endif
