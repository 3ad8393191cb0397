/*
 * The one owner of money. Events go in; each is decided by the pure machine (purchase.h) inside one
 * durable commit for all that waited; effects come out only after that commit. The engine never
 * touches clock, network or chance but through struct engine_world, so production and the
 * simulation run the same object code. One thread at a time.
 *
 * What is committed before what (reliability.md 2.3): D1 purchase, attempt READY, outbox row and
 * hop reply before the phone is answered; D2 SENDING before the first byte can leave; D3 a reply's
 * evidence before the next leg; D4 an IPN before its 200; D5 the final SMS row with the final
 * state.
 */
#ifndef TAMA_ENGINE_H
#define TAMA_ENGINE_H

#include "tama/classify.h"
#include "tama/config.h"
#include "tama/dialect.h"
#include "tama/menu.h"
#include "tama/store.h"

#include <stdatomic.h>

struct engine;

/* ---- events in ---------------------------------------------------------------------------------
 */

enum engine_event_kind {
	ENGINE_BUY,
	ENGINE_PREPARED, /* the wire has encoded a request (or cannot) */
	ENGINE_RESULT, /* a submit or a status query ended */
	ENGINE_IPN,
	ENGINE_SMS_RESULT,
	ENGINE_DLR,
	ENGINE_DECISION, /* a person decides about a case */
	ENGINE_ACCOUNT, /* a provider told a balance or a page of its list */
	ENGINE_RECONCILE, /* a person wants a day reconciled now */
};

enum engine_outcome {
	ENGINE_PENDING = 0,
	ENGINE_DONE, /* committed as asked */
	ENGINE_REPEATED, /* BUY: this key was bought before: its reply and ref are in the answer */
	ENGINE_AGAIN, /* BUY: the same was bought minutes ago, as repeat_ref: ask, and come again
			 with intent->is_repeat_confirmed */
	ENGINE_SPACED, /* BUY: the provider wants a pause; until_ms tells when it works again */
	ENGINE_REF_TAKEN, /* BUY: draw another reference */
	ENGINE_CLOSED, /* BUY: offer, operator or account is out of service */
	ENGINE_NO_FLOAT, /* BUY: nothing was collected for what could not be delivered */
	ENGINE_CANCELLED, /* BUY: the hop's deadline came before the commit began */
	ENGINE_NOT_DONE, /* certainly not committed: try again. Never told to a RESULT that can
			    never be applied: that is DONE, with an alarm */
	ENGINE_IN_DOUBT, /* may be committed: the process is about to stop */
	ENGINE_PROPOSED, /* DECISION: kept; a second person must agree */
	ENGINE_SAME_PERSON, /* DECISION: who proposed it cannot agree to it */
	ENGINE_NOT_DECIDABLE, /* DECISION: the case is not one, or not any more, or its owner may
				 still send (owner-dead rule); the answer says which */
	ENGINE_NOT_YET, /* IPN of nothing we know: stored, but ask the provider to come again */
	ENGINE_LIMITED, /* BUY: a limit of velocity; until_ms tells from when, 0: unknown or never
			 */
};

/*
 * Both sides of a hop's deadline meet in one word: the engine takes it from WAITING to COMMITTING
 * before it begins; the deadline takes it from WAITING to CANCELLED. Whoever is first wins.
 */
enum engine_claim {
	CLAIM_WAITING,
	CLAIM_COMMITTING,
	CLAIM_CANCELLED,
};

struct engine_buy {
	uint32_t partner;
	unsigned char uid[UID_LEN];
	uint8_t ordinal;
	struct str channel;
	struct str lang;
	const struct buy_intent *intent; /* of the engine's configuration or one still referenced */
	unsigned char menu_hash[16];
	struct str hop_reply; /* what to answer when this key comes again */
	atomic_int *claim; /* NULL: no deadline */
	/* answer, in the event's arena */
	struct str repeat_reply;
	struct str repeat_ref;
	uint64_t purchase;
	int64_t until_ms; /* by the wall clock: for people */
};

struct engine_prepared {
	uint64_t attempt;
	uint32_t partner;
	uint32_t epoch;
	enum {
		PREPARED_OK,
		PREPARED_LATER, /* no token yet, queue full: ask again after a while */
		PREPARED_SECRET_LOST, /* never sendable: expires */
		PREPARED_NEVER, /* the dialect cannot say this request: expires, and an alarm */
	} outcome;
	unsigned char body_hash[VAULT_HASH_LEN];
};

struct engine_result {
	uint64_t attempt;
	uint32_t partner;
	uint32_t epoch;
	enum provider_call call; /* SUBMIT or STATUS */
	struct transfer transfer;
	struct facts facts;
	struct str raw; /* response body, secrets redacted */
	const char *reason; /* for the log */
};

struct engine_ipn {
	const struct account *account;
	struct str path_ref; /* reference from a verified per-attempt path; empty else */
	struct facts facts;
	struct str raw;
};

struct engine_sms_result {
	uint64_t outbox;
	uint32_t partner;
	enum sms_verdict verdict;
};

struct engine_dlr {
	uint64_t outbox;
	uint32_t partner;
	enum dlr_state state;
};

/*
 * Kind and subject as in decision_row: DECIDE_SUCCEEDED, _FAILED and _WRITE_OFF name an attempt,
 * _REFUND a purchase, _DISMISS an inbox row, _RELEASE a hold. The first person's is kept as a
 * proposal; the same from another person applies it, in one commit.
 */
struct engine_decision {
	uint32_t partner;
	enum decision_kind kind;
	uint64_t subject; /* id of what the kind names */
	struct str user; /* who asks: proven by the socket, never claimed */
	struct str proof; /* 1 to 1000 bytes: what the person saw */
	/* answer */
	uint64_t decision;
	struct str proposed_by; /* in the event's arena */
	const char *reason; /* of NOT_DECIDABLE */
};

/* Answers a struct wire_account. */
struct engine_account {
	uint32_t partner;
	struct str account;
	enum provider_call call; /* BALANCE or LIST */
	int64_t day; /* of the LIST asked for */
	uint32_t page;
	enum {
		ACCOUNT_TOLD,
		ACCOUNT_SILENT, /* no answer, or none of its documented shape */
		ACCOUNT_CANNOT, /* this provider has no such call */
		ACCOUNT_REFUSED, /* 429: it wants no queries for now */
	} outcome;
	struct str amount, currency; /* of a BALANCE: decimal text */
	const struct facts *rows; /* of the LIST's page; none: there is no such page */
	size_t rows_len;
};

struct engine_reconcile {
	uint32_t partner;
	struct str account;
	int64_t day; /* since 1970, UTC; today's is compared as far as it has come */
};

struct engine_event {
	struct engine_event *next; /* the queue's */
	enum engine_event_kind kind;
	enum engine_outcome outcome; /* set by the engine before done */
	/* Called once, on the engine's thread, after the commit that decided. Owns the event then.
	 */
	void (*done)(struct engine_event *event);
	void *user;
	struct arena arena; /* for answers; made by the producer */
	union {
		struct engine_buy buy;
		struct engine_prepared prepared;
		struct engine_result result;
		struct engine_ipn ipn;
		struct engine_sms_result sms;
		struct engine_dlr dlr;
		struct engine_decision decision;
		struct engine_account account;
		struct engine_reconcile reconcile;
	} as;
};

/* ---- effects out -------------------------------------------------------------------------------
 */

/* What the wire must know of an attempt. Text borrows until the call returns: the wire copies. */
struct wire_attempt {
	uint64_t attempt;
	uint32_t partner;
	uint32_t epoch; /* of this claim */
	struct str account, verb, service, our_ref, provider_id;
	struct str number;
	int64_t amount;
	struct str currency;
	bool needs_secret;
	uint32_t secret;
	bool secret_is_ours; /* the handle belongs to this incarnation */
};

/* What is asked of a provider about an account and no attempt. */
struct wire_account {
	uint32_t partner;
	struct str account;
	enum provider_call call; /* BALANCE or LIST */
	int64_t day;
	uint32_t page; /* from 1 */
};

struct wire_sms {
	uint64_t outbox;
	uint32_t partner;
	struct str channel, to, text;
};

/*
 * The world. Each effect may fail softly: a false return means "not now", and the engine's own due
 * row brings it again. None may call back into the engine.
 */
struct engine_world {
	void *ctx;
	int64_t (*wall_ms)(void *ctx);
	int64_t (*boot_ms)(void *ctx); /* CLOCK_BOOTTIME: grows while suspended */
	void (*random)(void *ctx, void *bytes, size_t n);
	/* Encode and keep the request; answer with ENGINE_PREPARED. */
	bool (*prepare)(void *ctx, const struct wire_attempt *attempt);
	/*
	 * D2 is durable: send what was prepared under (attempt, epoch); answer with ENGINE_RESULT.
	 * The claim's age counts from the beginning of its commit. When it returns false the
	 * attempt is in doubt once its time is over: nobody proved that nothing left.
	 */
	bool (*go)(void *ctx, uint32_t partner, uint64_t attempt, uint32_t epoch,
		int64_t claimed_boot_ms);
	/*
	 * Forget what was prepared: the claim failed. What was told to go is called back: if no
	 * byte of it has left none will, and its ENGINE_RESULT says that it was not started.
	 */
	void (*drop)(void *ctx, uint64_t attempt, uint32_t epoch);
	bool (*query)(void *ctx, const struct wire_attempt *attempt);
	bool (*send_sms)(void *ctx, const struct wire_sms *sms);
	/* One line for the operator: counted by `what`, numbers masked by the caller. */
	void (*alarm)(void *ctx, const char *what, struct str ref, const char *detail);
	/* A balance or a page of the list; answer with ENGINE_ACCOUNT. NULL: never possible. */
	bool (*ask_account)(void *ctx, const struct wire_account *ask);
	/*
	 * A life that only takes decisions: what is to go out is written and nothing goes, what
	 * falls due is left to the next life. Of the calls above only the clocks, random and alarm
	 * are made.
	 */
	bool sends_nothing;
};

struct engine_stats {
	uint64_t commits, events;
	uint64_t bought, repeated, asked_again, spaced, limited, cancelled;
	uint64_t sent, not_sent, unknown;
	uint64_t succeeded, failed, expired;
	uint64_t ipns, ipn_duplicates, orphans, contradictions, mismatches;
	uint64_t resent; /* class I: the same request once more */
	uint64_t refunded, paid_and_refunded, decisions;
	uint64_t polls, sms_rows, sms_sent;
	int64_t clock_off_ms; /* the wall clock's lead over the engine's */
	uint64_t lanes_stopped; /* by their breaker, now */
	uint64_t lanes_held; /* holds that stand now; one of '*' is of the whole node */
	uint64_t no_float; /* purchases refused for lack of float */
	uint64_t observations, reconciled, findings;
};

/*
 * The engine borrows world and store until engine_free, and holds a reference to the configuration.
 * Marks attempts that an earlier incarnation left SENDING as UNKNOWN in the first step (their owner
 * is dead: we hold the lock).
 */
int engine_new(const struct engine_world *world, struct store *store, const struct config *config,
	struct engine **out, struct err *err);
void engine_free(struct engine **engine);

/* A reload: the engine takes its own reference. */
void engine_set_config(struct engine *engine, const struct config *config);
/* The one it works by; borrowed until the next set. */
const struct config *engine_config(const struct engine *engine);

/*
 * One group commit: the events (a list by ->next, at most LIMIT_ENGINE_BATCH), then whatever fell
 * due. Calls every event's done. Returns how many milliseconds until something falls due (0: more
 * is due already); TAMA_EIO when the disk refused and nothing of the step was kept: try again after
 * a pause; TAMA_EDOUBT when the process must stop and start again, and the engine does nothing
 * more. In a world that sends nothing: 0 until all is recovered that earlier lives left.
 */
int64_t engine_step(struct engine *engine, struct engine_event *events);

/* Whether an account takes new purchases now, so that a menu can close politely before anything is
 * confirmed. By the engine's thread, between steps. */
bool engine_account_sells(const struct engine *engine, const struct account *account);

void engine_stats(const struct engine *engine, struct engine_stats *out);

/* A float as the engine saw it in its last step: a provider account's, or agents'. */
struct engine_float {
	char name[64]; /* "et-ci", "float:agents" */
	bool is_known; /* else nothing is known of the balance, and all below is 0 */
	bool sells; /* anything at all */
	int64_t balance; /* the last one told and what our books moved since */
	int64_t reserved; /* promised, and not in the books yet */
	int64_t available; /* what may still be sold; INT64_MAX: unknown and selling */
	int64_t seconds_left; /* at the pace of the last hour, else the last day; -1: for ever */
};

#define ENGINE_FLOATS_MAX 512

/* How many, at most max. By the engine's thread, between steps. */
size_t engine_floats(const struct engine *engine, struct engine_float *out, size_t max);

#endif
