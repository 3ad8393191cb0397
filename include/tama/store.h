/*
 * What rests on disk. One struct store is one read-write connection, used by the engine's thread
 * only: it alone writes and it alone checkpoints (finding 5). Verbs are ours, not SQL; a driver
 * (SQLite now) fills the table of functions. Every row and every verb carries the partner: a verb
 * asked with the wrong partner finds nothing.
 *
 * Inside a transaction each event runs in a savepoint, so one refusal spoils no other. A commit
 * answers 0 (durable), TAMA_EIO (certainly not) or TAMA_EDOUBT (finding 2: stop the process,
 * reopen, look). Outputs live in the arena given and are plain: the store seals and opens what the
 * schema keeps sealed.
 *
 * What a verb may answer beyond what stands beside it: TAMA_ENOTFOUND when a row it names or leans
 * on (the purchase of an attempt, the attempt of an outbox row) is not this partner's; TAMA_EINVAL
 * when the row breaks a rule of the schema (an amount, a state); TAMA_EIO when the disk failed,
 * after which the transaction can only be rolled back; TAMA_ENOMEM when the arena is full;
 * TAMA_EAUTH when something sealed was not sealed by us. Outputs are untouched on failure (an
 * array's content apart). After a failed write roll back to the savepoint: a part of it may be
 * there. Writing outside a transaction is a bug and aborts.
 */
#ifndef TAMA_STORE_H
#define TAMA_STORE_H

#include "tama/arena.h"
#include "tama/err.h"
#include "tama/ledger.h"
#include "tama/mark.h"
#include "tama/vault.h"

struct store;

#define UID_LEN 16

/* Immutable intent, then derived state. */
struct purchase_row {
	uint64_t id; /* grows with time: milliseconds << 20 | counter */
	uint32_t partner;
	unsigned char uid[UID_LEN]; /* the session's */
	uint8_t ordinal; /* of the buy within the session, from 1 */
	struct str ref; /* UNIQUE within the partner */
	struct str channel, offer;
	struct str payer, beneficiary; /* E.164 digits; a person row each */
	struct str payer_operator, operator_;
	struct str lang;
	int64_t face_value, fee, price, cost;
	int64_t collect_fee; /* what the provider keeps of the collection */
	struct str paid_by; /* whose float pays ("float:agents"); empty with a collect leg */
	struct str currency;
	bool has_collect, has_deliver;
	unsigned char menu_hash[16];
	struct str texts; /* the messages for each outcome, sealed at rest: engine.h packs them */
	enum purchase_state state;
	uint32_t version;
	int64_t created_ms, updated_ms;
};

struct attempt_row {
	uint64_t id;
	uint32_t partner;
	uint64_t purchase;
	enum leg_kind leg;
	uint8_t n; /* from 1 */
	struct str account;
	struct str our_ref; /* UNIQUE; what the provider echoes */
	struct str verb, service;
	struct str number; /* E.164 digits */
	int64_t amount;
	struct str currency;
	bool needs_secret;
	uint32_t secret; /* handle, valid in `incarnation_made` only */
	uint64_t incarnation_made;
	enum attempt_state state;
	uint32_t version; /* compare-and-set */
	uint64_t owner_incarnation; /* set by D2 */
	uint32_t epoch; /* grows by each claim */
	unsigned char body_hash[VAULT_HASH_LEN];
	struct str provider_id; /* empty until known */
	uint32_t polls;
	uint32_t absent; /* answers in a row that the provider has no such request */
	int64_t absent_ms; /* the first of them */
	int64_t first_sent_ms; /* sent_ms is of the last send */
	int64_t created_ms, sent_ms, updated_ms;
};

enum outbox_kind {
	OUTBOX_SEND = 1, /* an attempt that is READY */
	OUTBOX_POLL, /* a status query */
	OUTBOX_SMS, /* a message; `body` is its text */
	OUTBOX_DEADLINE, /* SENDING or UNKNOWN for too long */
	OUTBOX_PROGRESS = 6, /* tell the customer it is under way, if it still is */
	OUTBOX_FLOAT, /* ask for a float's balance; `channel` is the account */
	OUTBOX_RECONCILE, /* a day against the provider: `channel` the account, `seq` the day */
};

struct outbox_row {
	uint64_t id;
	uint32_t partner;
	enum outbox_kind kind;
	uint64_t purchase; /* 0: an SMS that belongs to none */
	uint64_t attempt; /* 0 for SMS and PROGRESS */
	uint32_t seq; /* UNIQUE(purchase, kind, seq): exactly one final SMS */
	int64_t due_ms;
	uint32_t tries;
	struct str channel; /* SMS: the channel it leaves by */
	struct str to; /* SMS: E.164 digits */
	struct str body; /* SMS: sealed at rest */
	struct str dlr; /* SMS: last delivery state told by the gateway: "", "buffered", ...; our
			   own "refused" and "too_old" where it never went out, "in_doubt" */
};

enum inbox_kind {
	INBOX_IPN = 1,
	INBOX_REPLY,
	INBOX_STATUS,
	INBOX_LIST, /* a row of the provider's list, or one that it lacks */
};

enum inbox_verdict {
	VERDICT_APPLIED = 1,
	VERDICT_DUPLICATE,
	VERDICT_IGNORED, /* non-final, or says nothing new */
	VERDICT_MISMATCH, /* a fact differs: parked */
	VERDICT_CONTRADICTION, /* parked */
	VERDICT_ORPHAN, /* nothing we know: parked */
	VERDICT_HINT, /* asked for a confirming query */
	VERDICT_MALFORMED,
	VERDICT_IMPOSSIBLE,
	VERDICT_PROPOSAL,
};

struct inbox_row {
	uint64_t id;
	uint32_t partner;
	enum inbox_kind kind;
	struct str account;
	uint64_t attempt; /* 0: none matched */
	unsigned char
		key[VAULT_HASH_LEN]; /* digest of (provider id, word, body): UNIQUE per account */
	struct str raw; /* as it came, secrets redacted; sealed at rest */
	enum inbox_verdict verdict;
	struct str detail; /* which facts differ: no numbers */
	int64_t received_ms;
};

struct event_row {
	uint32_t partner;
	uint64_t purchase;
	uint64_t attempt; /* 0: of the purchase itself */
	uint8_t from, to; /* attempt or purchase states */
	const char *cause; /* attempt_event_name or a word of the engine */
	uint64_t evidence; /* inbox id; decision id where the cause is a person's (decision.c); 0 */
	uint64_t incarnation;
	int64_t at_ms;
};

struct ledger_row {
	uint32_t partner;
	uint64_t purchase;
	uint64_t attempt;
	struct str account; /* provider account, for per-account balances */
	struct str paid_by; /* whose float LEDGER_AGENT_FLOAT is; empty: the account's */
	struct str currency;
	const struct ledger_line *lines;
	size_t lines_len;
	int64_t at_ms;
};

/* What persons decide about cases that no machine may close (reliability.md 2.2, 2.6, 5.6). */
enum decision_kind {
	DECIDE_SUCCEEDED = 1, /* the attempt was carried out */
	DECIDE_FAILED, /* it was not, and its owner can send no more */
	DECIDE_WRITE_OFF, /* nobody will ever know */
	DECIDE_REFUND, /* give the money back */
	DECIDE_DISMISS, /* parked evidence has been looked at */
	DECIDE_RELEASE, /* a hold ends */
};

enum decision_state {
	DECISION_PROPOSED = 1,
	DECISION_APPLIED,
	DECISION_OVERTAKEN, /* the case closed otherwise */
};

/* Refunds by hand that a person began or agreed to. */
struct staff_refunds {
	int64_t count;
	int64_t amount; /* of one currency, in minor units */
};

struct decision_row {
	uint64_t id;
	uint32_t partner;
	enum decision_kind kind;
	uint64_t purchase, attempt, inbox, hold; /* 0: not about one */
	struct str proposed_by, proof;
	int64_t proposed_ms;
	struct str agreed_by, agreed_proof; /* empty until agreed */
	int64_t agreed_ms;
	enum decision_state state;
};

/* A provider's pause between two calls for one number and amount. */
struct spacing {
	int64_t free_ms; /* when the next call may go; not later than now: at once */
	uint64_t keeper; /* attempt that keeps it and has not called yet; 0: a call was made */
};

#define HOLD_ALL STR("*") /* every account of the node; its partner is 0 */

/* An account that neither sends nor sells until persons release it. */
struct hold_row {
	uint64_t id;
	uint32_t partner;
	struct str account;
	struct str reason;
	int64_t since_ms;
};

/* A reply already given for a hop that bought. */
struct hop_row {
	uint32_t partner;
	unsigned char uid[UID_LEN];
	uint8_t ordinal;
	struct str reply; /* sealed at rest: the engine's caller packs it */
};

enum observation_source {
	OBSERVATION_ASKED = 1,
	OBSERVATION_REFUSED, /* a delivery was refused for lack of float: empty */
};

/* What a provider said of a float, and our books at that time. */
struct observation_row {
	uint64_t id;
	uint32_t partner;
	struct str account;
	int64_t at_ms;
	enum observation_source source;
	int64_t balance;
	int64_t books; /* LEDGER_PROVIDER_FLOAT of the account */
	/* In doubt at that time: of the books, not in the balance yet; the other way round. */
	int64_t slack_low, slack_high;
};

/* What is promised of a float and not in the books yet. */
struct promise_row {
	uint32_t partner;
	enum {
		PROMISE_ACCOUNT, /* READY to leave this provider account */
		PROMISE_OFFER, /* follows a collection of this offer */
		PROMISE_AGENT, /* takes from this agents' float */
	} kind;
	struct str name;
	int64_t sum;
};

enum reconciliation_state {
	RECONCILE_LISTING = 1, /* the provider's list is being read */
	RECONCILE_MATCHING, /* ours are being looked for in it */
	RECONCILE_CLOSING, /* waits for the closing balance */
	RECONCILE_BALANCED, /* nothing is open */
	RECONCILE_EXPLAINED, /* no finding; the difference is within what was in doubt */
	RECONCILE_DIFFERS, /* a person must look */
};

struct reconciliation_row {
	uint32_t partner;
	struct str account;
	int64_t day; /* since 1970, UTC */
	enum reconciliation_state state;
	uint32_t page;
	int64_t page_mark; /* tells the page before from this one */
	uint64_t cursor;
	int64_t begun_ms, closed_ms; /* closed_ms 0: not yet */
	bool has_list;
	bool has_balances; /* the six below are known */
	int64_t opening, closing, booked, difference, slack_low, slack_high;
	int64_t matched, late, missing, unknown, differing;
};

enum listing_finding {
	LISTING_MATCHED = 1,
	LISTING_LATE, /* executed there, not SUCCEEDED here */
	LISTING_MISSING, /* SUCCEEDED here, absent there */
	LISTING_UNKNOWN, /* nothing we know */
	LISTING_DIFFERS, /* another amount or number */
};

struct listing_row {
	uint32_t partner;
	struct str account;
	struct str item; /* the provider's id; our reference where it has none */
	int64_t day;
	uint64_t attempt; /* 0: unknown here */
	enum listing_finding finding;
	int64_t amount;
	int64_t at_ms;
};

/* One column of a row that persons look at. */
struct books_value {
	const char *name;
	bool is_number, is_null;
	int64_t number;
	struct str text; /* until the callback returns */
};
typedef void (*books_fn)(void *ctx, const struct books_value *values, size_t n);

enum books_view {
	BOOKS_BALANCES,
	BOOKS_FLOATS, /* the last observation of each account */
	BOOKS_RECONCILIATIONS, /* newest first */
	BOOKS_FINDINGS, /* of listings, newest first */
	BOOKS_VIEWS,
};

enum velocity_of {
	VELOCITY_OF_PAYER = 1, /* key: E.164 digits */
	VELOCITY_OF_BENEFICIARY,
	VELOCITY_OF_ALL, /* the partner's purchases; key: the currency */
	VELOCITY_OF_ACCOUNT, /* requests that may have left, refunds too; key: the account */
	VELOCITY_OF_CHANNEL, /* purchases; key: the channel they came by */
};

/* What has been bought since a time; purchases CANCELLED or EXPIRED do not count. */
struct velocity_count {
	enum velocity_of of;
	uint32_t partner;
	struct str key, currency;
	int64_t since_ms; /* exclusive */
	int64_t span_ms; /* all but numbers: counted in spans of so long, by their beginning */
	int64_t count_max, value_max;
};

/* UNKNOWN, REVIEW and CONTRADICTED together. */
struct store_doubt {
	char currency[4];
	int64_t amount; /* minor units */
};

#define STORE_DOUBTS_MAX 16 /* currencies */

struct store_counts {
	uint64_t attempts[ATTEMPT_STATES]; /* only those are counted that wait for something */
	uint64_t parked; /* inbox rows with a verdict that waits for a person */
	uint64_t outbox_due; /* owed, whether due yet or not */
	uint64_t refund_due;
	struct store_doubt doubts[STORE_DOUBTS_MAX];
	size_t doubts_len;
	int64_t doubt_since_ms; /* when the oldest of them was made; 0: there is none */
};

/* What the store knows of the life before this one. */
struct store_past {
	enum mark_verdict mark;
	uint64_t frozen_id; /* purchases up to it are of a life that this store may not remember */
	uint64_t last_id; /* the largest that store or mark know: draw larger ones */
	int64_t clock_ms; /* the engine's clock when it was last kept; 0: never */
	int64_t boot_ms; /* CLOCK_BOOTTIME then */
	bool is_same_boot; /* as now */
};

/* This moment, for the mark and the clock. */
struct store_moment {
	int64_t boot_ms, clock_ms;
	uint64_t last_id; /* the largest drawn */
	uint64_t frozen_id; /* of an accepted store: kept for ever */
};

struct store_ops {
	void (*close)(struct store *);

	/*
	 * Takes the write lock. TAMA_EIO when another holds it; TAMA_EDOUBT for good after a commit
	 * in doubt or a checkpoint that the disk refused: only a store opened anew goes on.
	 */
	int (*begin)(struct store *, struct err *);
	int (*savepoint)(struct store *); /* they nest */
	int (*release)(
		struct store *); /* keeps what was done since the last savepoint, drops that */
	int (*rollback_to)(struct store *); /* undoes what was done since it and drops it as well */
	/* Ends the transaction whatever it answers: there is nothing to roll back after it. */
	int (*commit)(struct store *, struct err *);
	void (*rollback)(struct store *);

	/* This process's life: larger than any before. Set at open, in a commit of its own. */
	uint64_t (*incarnation)(const struct store *);
	/* As found at open; .mark is FITS once the store has been accepted. */
	void (*past)(const struct store *, struct store_past *);
	/*
	 * The last word of a transaction. Where it has written something and the mark is older than
	 * LIMIT_MARK_MS it raises the generation and keeps the clock, in the same commit. A store
	 * that is not trusted (mark.h) raises nothing until is_accepted says that everything in it
	 * which may have been sent is frozen: then its generation passes the mark's.
	 */
	int (*mark_raise)(struct store *, const struct store_moment *, bool is_accepted);
	/* After the commit and before anything of it is sent: writes the mark if that is owed.
	 * TAMA_EIO: it still is. */
	int (*mark_write)(struct store *, struct err *);

	/* TAMA_EEXIST when (partner, uid, ordinal) is there; TAMA_ECONFLICT when only the ref is
	 * taken. */
	int (*purchase_insert)(struct store *, const struct purchase_row *);
	int (*purchase_get)(struct store *, uint32_t partner, uint64_t id, struct arena *,
		struct purchase_row *);
	int (*purchase_by_key)(struct store *, uint32_t partner, const unsigned char uid[UID_LEN],
		uint8_t ordinal, struct arena *, struct purchase_row *);
	/* The newest of a payer; TAMA_ENOTFOUND. */
	int (*purchase_last)(struct store *, uint32_t partner, struct str payer, struct arena *,
		struct purchase_row *);
	/* The newest since a moment with this one's payer, beneficiary, offer and face value that
	 * was not called off (CANCELLED, EXPIRED, REFUNDED): its reference; TAMA_ENOTFOUND. */
	int (*purchase_repeated)(struct store *, const struct purchase_row *like, int64_t since_ms,
		struct arena *, struct str *ref_out);
	/* What its attempts make of the legs; the has_ fields are left as they are. */
	int (*purchase_legs)(
		struct store *, uint32_t partner, uint64_t id, struct purchase_legs *out);
	/* 0 when the provider is still to be asked about an attempt of it, other than this one,
	 * that had ended SUCCEEDED, FAILED or NOT_SENT; TAMA_ENOTFOUND. */
	int (*purchase_asked)(struct store *, uint32_t partner, uint64_t id, uint64_t attempt);
	/* Compare-and-set on version; TAMA_ECONFLICT. */
	int (*purchase_set_state)(struct store *, uint32_t partner, uint64_t id, uint32_t version,
		enum purchase_state, int64_t now_ms);

	/* TAMA_ECONFLICT when the leg has an attempt that may have executed or that is
	 * CONTRADICTED: the store itself refuses a second. TAMA_EEXIST when our_ref or (purchase,
	 * leg, n) is taken. */
	int (*attempt_insert)(struct store *, const struct attempt_row *);
	int (*attempt_get)(struct store *, uint32_t partner, uint64_t id, struct arena *,
		struct attempt_row *);
	int (*attempt_by_ref)(struct store *, uint32_t partner, struct str our_ref, struct arena *,
		struct attempt_row *);
	/* The newest, should a provider ever repeat an id. */
	int (*attempt_by_provider_id)(struct store *, uint32_t partner, struct str account,
		struct str provider_id, struct arena *, struct attempt_row *);
	/* All of a purchase, oldest first; at most max. Returns how many, or negative. */
	int (*attempt_list)(struct store *, uint32_t partner, uint64_t purchase, struct arena *,
		struct attempt_row *, size_t max);
	/* Writes state, owner, epoch, hash, provider_id, polls, absent, times where version still
	 * is row->version, and raises it by one; TAMA_ECONFLICT. */
	int (*attempt_update)(struct store *, const struct attempt_row *);
	/* What the account sent last, by id, those after `since` only; newest first. */
	int (*attempt_recent)(struct store *, uint32_t partner, struct str account, uint64_t since,
		struct arena *, struct attempt_row *, size_t max);
	/* Attempts READY, of every partner; at most max, oldest first. */
	int (*attempt_unsent)(struct store *, struct arena *, struct attempt_row *, size_t max);
	/* Attempts SENDING under an older incarnation; at most max, oldest first. */
	int (*attempt_orphans)(struct store *, struct arena *, struct attempt_row *, size_t max);

	/* TAMA_EEXIST when (purchase, kind, seq) is there: the caller's way to "exactly one". */
	int (*outbox_insert)(struct store *, const struct outbox_row *);
	/* The message of a purchase with that seq, sent or not; TAMA_ENOTFOUND. */
	int (*outbox_message)(struct store *, uint32_t partner, uint64_t purchase, uint32_t seq,
		struct arena *, struct outbox_row *);
	/* Due rows of every partner, by due time, then id. Returns how many. */
	int (*outbox_due)(
		struct store *, int64_t now_ms, struct arena *, struct outbox_row *, size_t max);
	/* When the first row due later than after_ms falls due; INT64_MAX for none. */
	int (*outbox_next_due)(struct store *, int64_t after_ms, int64_t *due_ms_out);
	int (*outbox_get)(
		struct store *, uint32_t partner, uint64_t id, struct arena *, struct outbox_row *);
	int (*outbox_set_due)(
		struct store *, uint32_t partner, uint64_t id, int64_t due_ms, uint32_t tries);
	/*
	 * What was handed out (of every partner) falls due now instead of at the end of its lease:
	 * after a restart SEND, POLL and SMS, because whoever held them died with the earlier life;
	 * with sends_only what may have been put off until a lane opens. Handed out is a row with
	 * tries, or one due exactly lease_ms after it was made; what was never handed out keeps its
	 * time.
	 */
	int (*outbox_release)(struct store *, int64_t now_ms, int64_t lease_ms, bool sends_only);
	/* Removes. Not a message: that is kept with the time at which it was over, and how. */
	int (*outbox_done)(struct store *, uint32_t partner, uint64_t id);
	/* dlr: "" when the gateway took it, else as in struct outbox_row. */
	int (*outbox_over)(
		struct store *, uint32_t partner, uint64_t id, const char *dlr, int64_t now_ms);
	/* Removes an attempt's rows of that kind, or of every kind for kind 0; 0 also when there
	 * are none. */
	int (*outbox_cancel)(struct store *, uint32_t partner, uint64_t attempt, enum outbox_kind);
	/* "buffered" does not undo an end told before: reports come in any order. */
	int (*outbox_set_dlr)(
		struct store *, uint32_t partner, uint64_t id, const char *state, int64_t now_ms);

	/* TAMA_EEXIST for a duplicate (account, key): nothing is written. */
	int (*inbox_insert)(struct store *, const struct inbox_row *);
	/*
	 * Counts a further arrival and tells when the first came and what it got; TAMA_ENOTFOUND
	 * when nothing with that key has come before.
	 */
	int (*inbox_repeat)(struct store *, uint32_t partner, struct str account,
		const unsigned char key[VAULT_HASH_LEN], int64_t *first_ms_out,
		enum inbox_verdict *verdict_out);

	/* How many submits of the attempt have ended and told so: its INBOX_REPLY rows. Or
	 * negative. */
	int (*inbox_replies)(struct store *, uint32_t partner, uint64_t attempt);
	/* A person has looked: it is parked no more. TAMA_ENOTFOUND. */
	int (*inbox_dismiss)(struct store *, uint32_t partner, uint64_t id);

	/* TAMA_EEXIST when the same is proposed already. */
	int (*decision_insert)(struct store *, const struct decision_row *);
	/* The open proposal of that kind about the same things; TAMA_ENOTFOUND. */
	int (*decision_open)(struct store *, const struct decision_row *like, struct arena *,
		struct decision_row *);
	/* What this person did of refunds, of any partner's, since then; amounts in the purchase's
	 * currency. Overtaken ones do not count, nor a proposal about this very purchase. */
	int (*decision_refunds)(struct store *, const struct purchase_row *, struct str user,
		int64_t since_ms, struct staff_refunds *out);
	/* Writes agreed_by, agreed_ms, agreed_proof and state; TAMA_EINVAL for one who agrees with
	 * himself. */
	int (*decision_close)(struct store *, const struct decision_row *);

	/* TAMA_EEXIST when the account is held already. */
	int (*hold_insert)(struct store *, const struct hold_row *);
	int (*hold_release)(struct store *, uint32_t partner, uint64_t id, int64_t now_ms);
	/* Of every partner, oldest first. Returns how many. */
	int (*hold_list)(struct store *, struct arena *, struct hold_row *, size_t max);

	int (*event_append)(
		struct store *, const struct event_row *); /* seq and hash chain inside */
	/* Asserts that it balances. Lines of zero are left out; without lines nothing is posted. */
	int (*ledger_post)(struct store *, const struct ledger_row *);

	/* After its purchase: TAMA_ENOTFOUND when there is none of that key. TAMA_EEXIST. */
	int (*hop_insert)(struct store *, const struct hop_row *);
	int (*hop_get)(struct store *, uint32_t partner, const unsigned char uid[UID_LEN],
		uint8_t ordinal, struct arena *, struct hop_row *);

	/* The spacing gate of (account, number, amount); all zero where nothing was ever set. */
	int (*spacing_get)(struct store *, uint32_t partner, struct str account, struct str number,
		int64_t amount, struct spacing *out);
	int (*spacing_set)(struct store *, uint32_t partner, struct str account, struct str number,
		int64_t amount, const struct spacing *spacing);

	/*
	 * Whether more than count_max or value_max (of prices; of face values for a beneficiary; of
	 * amounts for an account) came since then. *over_ms_out is 0 when it is not so; else the
	 * time of the newest that would have to be over for the rest to fit.
	 */
	int (*velocity_over)(struct store *, const struct velocity_count *, int64_t *over_ms_out);

	int (*counts)(struct store *, struct store_counts *);

	/* ---- sqlite_float.c ---- */

	/* The sum of a book; 0 where nothing was posted. */
	int (*balance_get)(struct store *, uint32_t partner, struct str account,
		enum ledger_book book, struct str currency, int64_t *sum_out);
	/* What left and reached a float, an account's or agents', since then, by whole minutes. */
	int (*flow_get)(struct store *, uint32_t partner, struct str account, int64_t since_ms,
		int64_t *taken_out, int64_t *added_out);
	int (*flow_trim)(struct store *, int64_t before_ms);
	/* What is in doubt at the account: may have come in, may have gone out. */
	int (*doubt_get)(struct store *, uint32_t partner, struct str account, int64_t *in_out,
		int64_t *out_out);
	/* Returns how many; TAMA_EFULL when there are more than max. */
	int (*promises)(struct store *, struct arena *, struct promise_row *, size_t max);

	int (*observation_insert)(struct store *, const struct observation_row *);
	/* The newest of either source; TAMA_ENOTFOUND. */
	int (*observation_last)(
		struct store *, uint32_t partner, struct str account, struct observation_row *out);
	/* Of those ASKED from from_ms until before until_ms, the newest or the oldest. */
	int (*observation_find)(struct store *, uint32_t partner, struct str account,
		int64_t from_ms, int64_t until_ms, bool is_newest, struct observation_row *out);

	/* An account's row of that kind; TAMA_ENOTFOUND. */
	int (*chore_find)(struct store *, uint32_t partner, enum outbox_kind kind,
		struct str account, uint64_t *id_out);
	/* Those handed out by an earlier life are due now. */
	int (*chores_wake)(struct store *, int64_t now_ms);

	int (*reconciliation_get)(struct store *, uint32_t partner, struct str account, int64_t day,
		struct reconciliation_row *out); /* account stays the caller's */
	int (*reconciliation_put)(struct store *, const struct reconciliation_row *);
	/* Adds or replaces. TAMA_EEXIST when it was put since_ms or later, or is the same finding
	 * of another day. */
	int (*listing_put)(struct store *, const struct listing_row *, int64_t since_ms);
	/* What was found of an attempt since_ms or later; TAMA_ENOTFOUND. */
	int (*listing_of)(struct store *, uint32_t partner, uint64_t attempt, int64_t since_ms,
		enum listing_finding *out);
	/* Drops the rows of a day that match. */
	int (*listing_trim)(struct store *, uint32_t partner, struct str account, int64_t day);
	/* SUCCEEDED attempts of the account by rising id, after < id < until. Returns how many. */
	int (*attempts_succeeded)(struct store *, uint32_t partner, struct str account,
		uint64_t after, uint64_t until, struct arena *, struct attempt_row *, size_t max);
};

struct store {
	const struct store_ops *ops;
};

struct store_config {
	struct str dir; /* the data directory: made if missing, 0700; locked by flock */
	const struct vault *vault; /* must outlive the store */
	struct str mark; /* the mark's path; empty: none is kept */
	int lock; /* of store_lock, which opening takes over, even in vain; 0: it takes one */
	bool in_memory; /* tests and simulation: no lock, no disk */
};

/*
 * Opens (creating or upgrading) DIR/tama.db and takes DIR/lock. Asserts WAL, synchronous=FULL,
 * foreign keys and the schema version by reading them back; refuses a newer schema, a wrong key, a
 * directory or file that others may read, and a second process. 0; TAMA_EIO, TAMA_EINVAL,
 * TAMA_EAUTH (the key), TAMA_ECONFLICT (locked), TAMA_EDOUBT (its first commit) with a message.
 */
int store_sqlite_open(const struct store_config *config, struct store **out, struct err *err);

/*
 * Takes DIR/lock without opening the store, for whoever reads it while no server runs. The lock is
 * held until *fd_out is closed. TAMA_ECONFLICT when another process has it, TAMA_EIO.
 */
int store_lock(struct str dir, int *fd_out, struct err *err);

/*
 * Read-only look-ups for the reader thread, on a connection of its own that never writes or
 * checkpoints (finding 5).
 */
struct store_reader;
/* On a store that exists: TAMA_EINVAL for one in memory or of another schema, TAMA_EIO, TAMA_EAUTH.
 */
int store_reader_open(
	const struct store_config *config, struct store_reader **out, struct err *err);
void store_reader_close(struct store_reader **reader);
int store_reader_purchase_last(struct store_reader *reader, uint32_t partner, struct str payer,
	struct arena *arena, struct purchase_row *out);
int store_reader_purchase_by_ref(struct store_reader *reader, uint32_t partner, struct str ref,
	struct arena *arena, struct purchase_row *out);

/*
 * What persons look at: rows of named values, table by table, each look in a transaction of its own
 * that ends before the call returns (F-B10). Sealed columns are opened; nothing is masked here.
 */
enum store_view {
	VIEW_PARTNERS, /* ids of partners who have purchases */
	VIEW_PURCHASES, /* newest first: state, since_ms, partner, number, before, max */
	VIEW_BY_REF, /* purchases by partner and text */
	VIEW_BY_OUR_REF, /* attempts by text */
	VIEW_BY_PROVIDER_ID, /* attempts by text */
	VIEW_PURCHASE, /* and what belongs to one, by partner and purchase: */
	VIEW_ATTEMPTS,
	VIEW_EVENTS,
	VIEW_INBOX,
	VIEW_LEDGER,
	VIEW_HOP,
	VIEW_SMS,
	VIEW_OWED, /* what it still waits for */
	VIEW_DECISIONS, /* of persons, about it or its attempts */
	VIEW_OPEN_CASES, /* attempts in REVIEW or CONTRADICTED, oldest first: after, max */
	VIEW_PARKED, /* inbox rows that wait for a person: after, max */
	VIEW_PURCHASE_BY_ID, /* one, by id in `after` */
	VIEW_ATTEMPT, /* likewise */
	VIEW_PARKED_ONE, /* likewise */
	VIEW_HOLD, /* likewise */
	VIEW_REFUNDS, /* purchases REFUND_DUE whose refund has not begun: after, max */
	VIEW_HOLDS, /* not released: after, max */
	VIEW_PROPOSED, /* decisions that want a second person: after, max */
	VIEW_META, /* the one row about the store */
	STORE_VIEWS,
};

struct store_ask {
	uint32_t partner; /* 0 in PURCHASES: all */
	uint64_t purchase;
	uint64_t after; /* ids above this one */
	uint64_t before; /* ids below this one; 0: from the newest */
	enum purchase_state state; /* 0: any */
	int64_t since_ms;
	struct str number; /* E.164 digits of payer or beneficiary; empty: anybody */
	struct str text;
	size_t max; /* rows; 0: STORE_VIEW_ROWS */
};

#define STORE_VIEW_ROWS 1000

enum store_value_kind {
	VALUE_NULL,
	VALUE_NUMBER,
	VALUE_TEXT,
	VALUE_SEALED, /* text that rests sealed: what people wrote or were told */
	VALUE_MSISDN,
	VALUE_BYTES,
};

struct store_value {
	const char *name;
	enum store_value_kind kind;
	int64_t number;
	struct str text; /* until the callback returns */
};

/* False: enough. */
typedef bool (*store_row_fn)(void *ctx, const struct store_value *values, size_t n);

/*
 * Calls fn for each row of the view. How many, or negative. PURCHASES looks at some thousands of
 * purchases a call at most: *more_out (for the other views NULL will do) is where to go on as
 * `before`, 0 at the end.
 */
int store_reader_view(struct store_reader *reader, enum store_view view,
	const struct store_ask *ask, store_row_fn fn, void *ctx, uint64_t *more_out);

/* Calls fn for at most max rows of the books; partner 0: of all. How many, or negative. */
int store_reader_books(struct store_reader *reader, enum books_view view, uint32_t partner,
	size_t max, books_fn fn, void *ctx);

#endif
