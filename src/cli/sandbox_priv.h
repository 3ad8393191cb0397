/*
 * What the parts of `tama sandbox` share.
 *
 *   sandbox.c               options, routes, the life of a request
 *   sandbox_easytransfert.c, sandbox_xente.c, sandbox_sms.c   one counterpart each
 *   sandbox_fault.c         behaviours on request
 *   sandbox_ledger.c        what was executed
 *   sandbox_courier.c       the thread that calls others: IPNs, delivery reports, late answers
 *   sandbox_control.c       /_sandbox/...: what tests and the phone ask
 *
 * One lock guards the ledger, the faults, the messages and the courier's line. A handler holds it
 * from reading a request to its reply, some tens of microseconds; the courier holds it to take a
 * parcel and to note how it ended. Nothing waits for disk or network under it, but for one write(2)
 * an execution when a ledger file was asked for.
 */
#ifndef TAMA_SANDBOX_PRIV_H
#define TAMA_SANDBOX_PRIV_H

#include "tama/buf.h"
#include "tama/form.h"
#include "tama/http_in.h"
#include "tama/limits.h"

#include <jansson.h>
#include <pthread.h>

/* Bounds. What is older than the ring is forgotten. */
#define SANDBOX_SALES 1000000
#define SANDBOX_ORDERS 1000000
#define SANDBOX_MESSAGES 200000
#define SANDBOX_PARCELS 1000000
#define SANDBOX_FAULTS 256
#define SANDBOX_FAULT_ARG (1024 * 1024)
#define SANDBOX_WAITERS 1024
#define SANDBOX_SERVICES 256
#define SANDBOX_TOKENS 64
#define SANDBOX_ROUTES 32
#define SANDBOX_SPACINGS 65536
#define SANDBOX_PAGE 10000
#define SANDBOX_SMS_BYTES 2048
#define SANDBOX_REF_MAX 47
#define SANDBOX_SERVICE_MAX 79
#define SANDBOX_URL_MAX 1023

enum sandbox_provider {
	SANDBOX_EASYTRANSFERT,
	SANDBOX_XENTE,
	SANDBOX_SMS,
	SANDBOX_NOBODY, /* the control plane */
};

enum sandbox_op {
	OP_SUBMIT,
	OP_STATUS,
	OP_BALANCE,
	OP_LOGIN,
	OP_LIST,
	OP_SEND,
	OP_CONTROL,
};

struct sandbox_options {
	const char *listen;
	const char *ledger;
	const char *ipn_base;
	const char *shape; /* "flat", "wrapped", "both" */
	const char *et_key;
	const char *et_signature;
	const char *xente_app_key;
	const char *xente_password;
	const char *xente_user;
	const char *sms_user;
	const char *sms_password;
	int64_t ipn_delay_ms;
	int64_t ipn_retry_ms;
	int64_t spacing_ms;
	int64_t token_s;
	int64_t workers;
};

/* ---- the ledger -------------------------------------------------------------------------------
 */

enum sale_state {
	SALE_PENDING,
	SALE_SUCCESSFUL,
	SALE_FAILED,
};

/* One execution: money or airtime that moved, or will when it is confirmed. */
struct sale {
	uint64_t seq; /* from 1; the provider's transaction id is made of it */
	int64_t amount; /* whole francs or shillings */
	int64_t moves; /* what of it moves the partner's wallet */
	int64_t made_ms; /* of the wall clock */
	uint16_t service; /* see ledger_service */
	uint16_t ipns_sent;
	uint16_t ipns_acknowledged;
	uint8_t provider;
	uint8_t state;
	bool is_collect; /* the customer pays */
	char number[MSISDN_MAX + 5]; /* as it came */
	char ref[SANDBOX_REF_MAX + 1]; /* our reference, as it came */
};

/* What is known of one of the gateway's references, whether or not it was ever executed. */
struct order {
	uint64_t key; /* of provider and reference */
	uint64_t seq;
	uint32_t next; /* in the chain of its bucket: slot + 1 */
	uint32_t requested;
	uint32_t executed;
	uint8_t provider;
	char ref[SANDBOX_REF_MAX + 1];
};

/* The partner's money at a provider, by the provider's own books. */
struct wallet {
	int64_t opening, balance;
	int64_t cost_permille; /* of an airtime's face value: what it takes */
	int64_t collect_fee; /* of each thousand collected: what is kept */
};

struct ledger {
	struct sale *sales; /* ring by seq */
	uint64_t last; /* newest seq */
	struct order *orders; /* ring by seq */
	uint32_t *order_heads;
	uint64_t orders_last;
	char services[SANDBOX_SERVICES][SANDBOX_SERVICE_MAX + 1];
	unsigned services_len;
	uint64_t requested; /* submits, whatever became of them */
	uint64_t executed_twice; /* executions of a reference that had been executed */
	uint64_t executed[SANDBOX_NOBODY];
	int64_t sum[SANDBOX_NOBODY];
	struct wallet wallets[SANDBOX_NOBODY];
	int fd; /* --ledger; -1: none */
};

int ledger_init(struct ledger *ledger, const char *file, struct err *err);
void ledger_fini(struct ledger *ledger);
void ledger_reset(struct ledger *ledger);

/* The order of a reference, made if it is new. An empty reference has none: NULL. */
struct order *ledger_order(struct ledger *ledger, enum sandbox_provider provider, struct str ref);
/* The same without making one: NULL when nothing is known. */
const struct order *ledger_order_find(
	const struct ledger *ledger, enum sandbox_provider provider, struct str ref);

/* Records an execution; fills seq and the time. The sale is the ring's. */
struct sale *ledger_execute(struct ledger *ledger, const struct sale *sale);

/* What a transfer moves in the wallet. */
int64_t wallet_moves(const struct wallet *wallet, int64_t amount, bool is_collect, bool is_airtime);

/*
 * Ends a sale. A payout leaves the wallet when it begins and comes back when it fails; a collection
 * reaches it when it has succeeded.
 */
void ledger_settle(struct ledger *ledger, struct sale *sale, enum sale_state state);

/* By seq; NULL when it was never there or is forgotten. */
struct sale *ledger_sale(const struct ledger *ledger, uint64_t seq);

/* The oldest seq still there, and 1 past the newest. */
uint64_t ledger_oldest(const struct ledger *ledger);

/* A number for a service id, the same for the same text; -1 when the table is full or it is long.
 */
int ledger_service(struct ledger *ledger, struct str service);

/* The provider's id of a sale, as the provider writes it, and back (0: no such id). */
void ledger_id(const struct sale *sale, struct buf *out);
uint64_t ledger_seq_of_id(enum sandbox_provider provider, struct str id);

const char *ledger_state_word(const struct sale *sale);
void ledger_write_json(const struct ledger *ledger, const struct sale *sale, struct buf *out);

/* ---- faults -----------------------------------------------------------------------------------
 */

enum fault_do {
	FAULT_OF_REPLY, /* another reply, or at another time: see the rule's `bend` */
	FAULT_WRONG_AMOUNT,
	FAULT_WRONG_NUMBER,
	FAULT_WRONG_REF,
	FAULT_EXECUTE_TWICE,
	FAULT_LIST_MISSING,
	FAULT_LIST_EXTRA,
	/* Of what follows the reply. */
	FAULT_NO_IPN,
	FAULT_IPN_TIMES,
	FAULT_IPN_FIRST,
	FAULT_IPN_WRONG_AMOUNT,
	FAULT_IPN_WRONG_NUMBER,
	FAULT_IPN_LATE,
	FAULT_IPN_FAILED,
	FAULT_IPN_CONTRADICTS,
	FAULT_IPN_OLD_SHAPE,
	FAULT_PENDING_FOREVER,
	FAULT_NO_DLR,
	FAULT_DLR_FAILED,
	FAULT_SMS_LOST,
};

struct sandbox_call;

struct fault {
	const char *name;
	enum fault_do what;
	void (*bend)(struct sandbox_call *call);
	bool is_after; /* of what follows the reply */
	bool executes; /* although the reply may not say so */
	int provider; /* -1: any */
	int op; /* -1: any */
	int64_t times; /* left; -1: always */
	int64_t amount; /* -1: any */
	int64_t arg; /* what `do` counts in: milliseconds, bytes, times, a status */
	int64_t taken;
	char number[MSISDN_MAX + 5]; /* empty: any */
	char ref[SANDBOX_REF_MAX + 1]; /* empty: any */
	char *text; /* owned; may be NULL */
};

struct faults {
	struct fault list[SANDBOX_FAULTS];
	size_t n;
};

/* Reads one fault and adds it. 0; TAMA_EINVAL with what is wrong; TAMA_EFULL. */
int fault_arm(struct faults *faults, const json_t *spec, struct err *err);
void faults_reset(struct faults *faults);
void faults_write_json(const struct faults *faults, struct buf *out);

/* The first that fits the call and has times left, one fewer now; NULL. */
const struct fault *fault_take(
	struct faults *faults, const struct sandbox_call *call, bool is_after);

/* Whether the call is to run at all under this fault (NULL: it is). */
bool fault_lets_execute(const struct fault *fault);

/* The page's 200 with FAILED inside (easytransfert.md 1.12), or Xente's refusal. */
void sandbox_say_failed(struct sandbox_call *call, const char *text);

/* Whether the call met this one. */
bool fault_is(const struct fault *fault, enum fault_do what);

/* Puts the reply of the call's fault in the place of its own, and decides when it leaves. */
void fault_bend_reply(struct sandbox_call *call);

/* ---- the courier ------------------------------------------------------------------------------
 */

enum parcel_kind {
	PARCEL_IPN,
	PARCEL_DLR,
	PARCEL_ANSWER, /* the reply of a turn, later */
};

/* Something to be done at a time. Owned by the courier's line. */
struct parcel {
	int64_t due_ms;
	enum parcel_kind kind;
	struct sandbox *sandbox;
	char *url; /* owned */
	uint64_t sale; /* of an IPN; of a report, the message */
	unsigned tries;
	unsigned dlr_left; /* reports still to send, one byte each, the next lowest */
	bool settles; /* the first IPN also decides the sale's state */
	bool is_silent; /* settles, and tells nobody */
	bool fails;
	bool contradicts; /* after SUCCESSFUL comes FAILED */
	bool lies_amount;
	bool lies_number;
	bool is_old_shape;
	struct http_turn *turn; /* answered once the first try has ended; NULL: none */
	struct http_reply reply;
};

struct courier;

int courier_start(struct sandbox *sandbox, struct courier **out, struct err *err);

/* Ends the thread; every turn that a parcel owes an answer gets it now. */
void courier_stop(struct courier **courier);

/* A parcel due now; NULL when too many wait. The caller fills it and hands it in, under the lock.
 */
struct parcel *courier_parcel(struct sandbox *sandbox, enum parcel_kind kind);
void courier_send(struct courier *courier, struct parcel *parcel, int64_t in_ms);

size_t courier_waiting(const struct courier *courier);

/* ---- messages ---------------------------------------------------------------------------------
 */

struct message {
	uint64_t id; /* from 1 */
	uint64_t before; /* the previous one whose number has the same hash */
	char *text;
	char to[MSISDN_MAX + 5];
	char from[MSISDN_MAX + 5];
};

/* A phone that waits for its next message. */
struct waiter {
	struct http_turn *turn;
	uint64_t after;
	int64_t until_ms;
	char to[MSISDN_MAX + 5];
};

struct messages {
	struct message *ring;
	uint64_t *heads;
	uint64_t last;
	struct waiter waiters[SANDBOX_WAITERS];
	size_t waiters_len;
	int64_t next_until_ms; /* the first waiter's end */
};

void messages_init(struct messages *messages);
void messages_fini(struct messages *messages);
void messages_reset(struct messages *messages);

/* Keeps a message and answers the phones that wait for it. */
void messages_add(struct sandbox *sandbox, struct str from, struct str to, struct str text);

/* Writes what came for `to` (empty: for anybody) after that id; returns how many. */
size_t messages_write_json(
	const struct messages *messages, struct str to, uint64_t after, struct buf *out);

/* False when too many wait. */
bool messages_wait(struct sandbox *sandbox, struct http_turn *turn, struct waiter waiter);

/* Answers waiters whose time is over (all: everybody), with nothing. */
void messages_expire(struct sandbox *sandbox, int64_t now_ms, bool all);

/* ---- a request --------------------------------------------------------------------------------
 */

struct sandbox_route {
	const char *method;
	const char *path; /* ending in '/': what follows is the call's `rest` */
	enum sandbox_provider provider;
	enum sandbox_op op;
	/* Fills ref, number, amount and service as far as the request says them; may be NULL. */
	void (*read)(struct sandbox_call *call);
	/* Checks, executes, replies. */
	void (*act)(struct sandbox_call *call);
};

struct sandbox_call {
	struct sandbox *sandbox;
	const struct sandbox_route *route;
	struct http_turn *turn;
	struct str rest;
	json_t *json; /* the body, NULL if it is none */
	struct form query;
	struct str ref, number, service, url;
	int64_t amount; /* -1: none */
	const struct fault *fault;
	const struct fault *after;
	struct sale *sale; /* what the call executed */
	int64_t moves; /* of the wallet */
	/* The reply. */
	unsigned status;
	const char *type;
	struct str location;
	struct buf *out;
	bool is_raw; /* out is the bytes on the wire, and the connection closes */
	int64_t delay_ms;
	bool is_parked; /* somebody else will answer */
	struct parcel *first; /* an IPN that must come before the reply; not sent yet */
};

/* When a number and amount may be called again. */
struct spacing {
	uint64_t key;
	int64_t until_ms;
};

struct sandbox {
	struct sandbox_options options;
	char ipn_base[SANDBOX_URL_MAX + 1]; /* Xente's; may be set later */
	pthread_mutex_t lock;
	bool is_stopping; /* nobody is parked any more */
	struct http_in *in;
	struct courier *courier;
	struct ledger ledger;
	struct faults faults;
	struct messages messages;
	struct {
		char text[40];
		int64_t until_ms;
	} tokens[SANDBOX_TOKENS];
	uint64_t tokens_len; /* ever given */
	uint64_t counts[SANDBOX_ROUTES + 1]; /* of requests, by route; the last one: of no route */
	struct spacing *spacings; /* SANDBOX_SPACINGS */
	struct buf *scratch; /* one a worker */
};

int64_t sandbox_now_ms(void); /* monotonic */
int64_t sandbox_clock_ms(void); /* of the wall */

/* A JSON string with its quotes. */
void sandbox_json_text(struct buf *out, struct str s);
/* "2022-10-15T10:52:28.752+00:00" */
void sandbox_json_time(struct buf *out, int64_t clock_ms);

/* FNV-1a of text, going on from a hash (0: begin). */
uint64_t sandbox_hash(uint64_t hash, struct str s);

/* A member of the request's body as text: a string, or a number's digits; {NULL, 0} when absent. */
struct str sandbox_member(struct sandbox_call *call, const json_t *object, const char *name);

/* Text into a field of fixed size; false (and empty) when it does not fit. */
bool sandbox_copy(char *out, size_t size, struct str s);

/* A reply whose body has been written to call->out. */
void sandbox_reply(struct sandbox_call *call, unsigned status, const char *type);

/* Executes the call: the sale, the order's count, and what the `after` fault says of the IPN. */
void sandbox_execute(struct sandbox_call *call, bool is_collect, bool fails);

/* Whether the wallet has what the call's transfer takes; notes how much. */
bool sandbox_can_pay(struct sandbox_call *call, bool is_collect, bool is_airtime);

/* The body of a parcel's IPN; its sale must still be known. */
void easytransfert_write_ipn(
	const struct sandbox *sandbox, const struct parcel *parcel, struct buf *out);
void xente_write_ipn(const struct sandbox *sandbox, const struct parcel *parcel, struct buf *out);

extern const struct sandbox_route EASYTRANSFERT_ROUTES[];
extern const struct sandbox_route XENTE_ROUTES[];
extern const struct sandbox_route SMS_ROUTES[];
extern const struct sandbox_route CONTROL_ROUTES[];

void sandbox_write_counts(const struct sandbox *sandbox, struct buf *out);

#endif
