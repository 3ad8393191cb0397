/* What the store's tests start from: a vault, a directory of their own, rows to change a field of.
 */
#ifndef TAMA_STORE_KIT_H
#define TAMA_STORE_KIT_H

#include "check.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/store/sqlite_priv.h"
#include "tama/store.h"

#define DO(verb, ...) kit->store->ops->verb(kit->store, ##__VA_ARGS__)

#define KIT_KEY "0123456789abcdef0123456789abcdef"
#define KIT_PAYER "2250700000001"
#define KIT_BENEFICIARY "2250500000002"
#define KIT_NOW INT64_C(1767225600000)

struct kit {
	char dir[64];
	struct vault *vault;
	struct store *store;
	struct arena arena;
};

static inline struct store_config kit_config(const struct kit *kit)
{
	return (struct store_config){.dir = str_c(kit->dir), .vault = kit->vault};
}

static inline void kit_open(struct kit *kit)
{
	const struct store_config config = kit_config(kit);
	struct err err = ERR_INIT;

	if (store_sqlite_open(&config, &kit->store, &err) != 0)
		fail_msg("%s", err.text);
}

static inline void kit_open_memory(struct kit *kit)
{
	const struct store_config config = {.vault = kit->vault, .in_memory = true};

	assert_int_equal(store_sqlite_open(&config, &kit->store, NULL), 0);
}

static inline void kit_close(struct kit *kit)
{
	if (kit->store != NULL)
		kit->store->ops->close(kit->store);
	kit->store = NULL;
}

/* A directory and a vault, nothing open. */
static inline void kit_init(struct kit *kit)
{
	*kit = (struct kit){.dir = "/tmp/tama-store-XXXXXX"};
	assert_non_null(mkdtemp(kit->dir));
	assert_int_equal(vault_new(STR(KIT_KEY), &kit->vault, NULL), 0);
	arena_init(&kit->arena, 1 << 20);
}

static inline void kit_path(const struct kit *kit, const char *name, char out[static 128])
{
	(void)snprintf(out, 128, "%s/%s", kit->dir, name);
}

static inline void kit_fini(struct kit *kit)
{
	char path[128];
	struct dirent *entry;

	kit_close(kit);
	vault_free(&kit->vault);
	arena_fini(&kit->arena);
	DIR *dir = opendir(kit->dir);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%.48s", kit->dir, entry->d_name);
		(void)unlink(path);
	}
	closedir(dir);
	(void)rmdir(kit->dir);
}

/* Somebody proposes to refund a purchase. */
static inline struct decision_row kit_decision(const struct purchase_row *purchase, uint64_t id)
{
	return (struct decision_row){.id = id,
		.partner = purchase->partner,
		.kind = DECIDE_REFUND,
		.purchase = purchase->id,
		.proposed_by = STR("awa"),
		.proposed_ms = KIT_NOW,
		.proof = STR("canary-proof: 07 00 00 00 01 called")};
}

/* The purchase number k of a partner; ids, uids and references follow from both. */
static inline struct purchase_row kit_purchase(uint32_t partner, uint64_t k)
{
	static char refs[8][9];
	char *ref = refs[k % 8];
	struct purchase_row row = {
		.id = (uint64_t)KIT_NOW << 20 | partner << 10 | k,
		.partner = partner,
		.ordinal = 1,
		.channel = STR("ussd-ci"),
		.offer = STR("ci-airtime"),
		.payer = STR(KIT_PAYER),
		.beneficiary = STR(KIT_BENEFICIARY),
		.payer_operator = STR("orange-ci"),
		.operator_ = STR("mtn-ci"),
		.lang = STR("fr"),
		.face_value = 500,
		.fee = 25,
		.price = 525,
		.cost = 490,
		.currency = STR("XOF"),
		.has_collect = true,
		.has_deliver = true,
		.menu_hash = {1, 2, 3},
		.texts = STR("Recharge canary-text OK"),
		.state = PURCHASE_CONFIRMED,
		.created_ms = KIT_NOW,
		.updated_ms = KIT_NOW,
	};

	(void)snprintf(ref, 9, "K%07u", (unsigned)k % 10000000u);
	row.ref = str_c(ref);
	memcpy(row.uid, &row.id, sizeof(row.id));
	return row;
}

static inline struct attempt_row kit_attempt(const struct purchase_row *purchase, uint8_t n)
{
	static char refs[8][24];
	char *ref = refs[n % 8];

	(void)snprintf(ref, 24, "%llX.%u", (unsigned long long)purchase->id, n);
	return (struct attempt_row){
		.id = purchase->id + (uint64_t)n * 1000,
		.partner = purchase->partner,
		.purchase = purchase->id,
		.leg = LEG_COLLECT,
		.n = n,
		.account = STR("et-ci"),
		.our_ref = str_c(ref),
		.verb = STR("cashout"),
		.service = STR("125"),
		.number = purchase->payer,
		.amount = purchase->price,
		.currency = STR("XOF"),
		.needs_secret = true,
		.secret = 7,
		.incarnation_made = 1,
		.state = ATTEMPT_READY,
		.created_ms = KIT_NOW,
		.updated_ms = KIT_NOW,
	};
}

static inline struct outbox_row kit_sms(
	const struct purchase_row *purchase, uint64_t id, uint32_t seq)
{
	return (struct outbox_row){
		.id = id,
		.partner = purchase->partner,
		.kind = OUTBOX_SMS,
		.purchase = purchase->id,
		.seq = seq,
		.due_ms = KIT_NOW + 1000,
		.channel = STR("sms-ci"),
		.to = purchase->payer,
		.body = STR("Recharge canary-sms OK"),
	};
}

static inline struct outbox_row kit_send(const struct attempt_row *attempt, uint64_t id)
{
	return (struct outbox_row){
		.id = id,
		.partner = attempt->partner,
		.kind = OUTBOX_SEND,
		.purchase = attempt->purchase,
		.attempt = attempt->id,
		.due_ms = KIT_NOW,
	};
}

static inline struct inbox_row kit_inbox(uint32_t partner, uint64_t id, uint8_t key)
{
	return (struct inbox_row){
		.id = id,
		.partner = partner,
		.kind = INBOX_IPN,
		.account = STR("et-ci"),
		.key = {key},
		.raw = STR("{\"canary-raw\":\"" KIT_PAYER "\"}"),
		.verdict = VERDICT_ORPHAN,
		.detail = STR("amount"),
		.received_ms = KIT_NOW,
	};
}

static inline struct event_row kit_event(const struct attempt_row *attempt)
{
	return (struct event_row){
		.partner = attempt->partner,
		.purchase = attempt->purchase,
		.attempt = attempt->id,
		.from = ATTEMPT_READY,
		.to = ATTEMPT_SENDING,
		.cause = "claim",
		.incarnation = 1,
		.at_ms = KIT_NOW,
	};
}

/* A test starts in a transaction of an empty store in memory. */
static inline int kit_setup(void **state)
{
	static struct kit kit_;
	struct kit *kit = &kit_;

	kit_init(kit);
	kit_open_memory(kit);
	assert_int_equal(DO(begin, NULL), 0);
	*state = kit;
	return 0;
}

static inline int kit_teardown(void **state)
{
	kit_fini(*state);
	return 0;
}

/* A number that SQL yields, asked behind the verbs. */
static inline int64_t number(struct kit *kit, const char *sql)
{
	int64_t n = 0;

	assert_int_equal(db_number(&sqlite_store_of(kit->store)->db, sql, &n, NULL), 0);
	return n;
}

static inline struct purchase_row add_purchase(struct kit *kit, uint32_t partner, uint64_t k)
{
	struct purchase_row row = kit_purchase(partner, k);

	assert_int_equal(DO(purchase_insert, &row), 0);
	return row;
}

static inline struct attempt_row add_attempt(
	struct kit *kit, const struct purchase_row *purchase, uint8_t n)
{
	struct attempt_row row = kit_attempt(purchase, n);

	assert_int_equal(DO(attempt_insert, &row), 0);
	return row;
}

#endif
