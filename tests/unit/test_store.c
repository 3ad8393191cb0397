/* The store's verbs: what each keeps, refuses, and never shows another partner. */
#include "store_kit.h"

#include <signal.h>
#include <sys/wait.h>

#include "../../src/store/sqlite_priv.h"

#define DO(verb, ...) kit->store->ops->verb(kit->store, ##__VA_ARGS__)

/* Every test starts in a transaction of an empty store in memory. */
static int setup(void **state)
{
	static struct kit kit_;
	struct kit *kit = &kit_;

	kit_init(kit);
	kit_open_memory(kit);
	assert_int_equal(DO(begin, NULL), 0);
	*state = kit;
	return 0;
}

static int teardown(void **state)
{
	kit_fini(*state);
	return 0;
}

/* SQL that a trigger or constraint must refuse; changes what a careless hand would. */
static void refused(struct kit *kit, const char *sql)
{
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;

	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_CONSTRAINT_TRIGGER)
		fail_msg("\"%s\" was not refused: %s", sql, sqlite3_errmsg(handle));
}

static int64_t number(struct kit *kit, const char *sql)
{
	int64_t n = 0;

	assert_int_equal(db_number(&sqlite_store_of(kit->store)->db, sql, &n, NULL), 0);
	return n;
}

static struct purchase_row add_purchase(struct kit *kit, uint32_t partner, uint64_t k)
{
	struct purchase_row row = kit_purchase(partner, k);

	assert_int_equal(DO(purchase_insert, &row), 0);
	return row;
}

static struct attempt_row add_attempt(
	struct kit *kit, const struct purchase_row *purchase, uint8_t n)
{
	struct attempt_row row = kit_attempt(purchase, n);

	assert_int_equal(DO(attempt_insert, &row), 0);
	return row;
}

static void check_purchase(const struct purchase_row *got, const struct purchase_row *want)
{
	assert_int_equal(got->id, want->id);
	assert_int_equal(got->partner, want->partner);
	assert_memory_equal(got->uid, want->uid, UID_LEN);
	assert_int_equal(got->ordinal, want->ordinal);
	assert_true(str_eq(got->ref, want->ref));
	assert_true(str_eq(got->channel, want->channel));
	assert_true(str_eq(got->offer, want->offer));
	assert_true(str_eq(got->payer, want->payer));
	assert_true(str_eq(got->beneficiary, want->beneficiary));
	assert_true(str_eq(got->payer_operator, want->payer_operator));
	assert_true(str_eq(got->operator_, want->operator_));
	assert_true(str_eq(got->lang, want->lang));
	assert_int_equal(got->face_value, want->face_value);
	assert_int_equal(got->fee, want->fee);
	assert_int_equal(got->price, want->price);
	assert_int_equal(got->cost, want->cost);
	assert_true(str_eq(got->currency, want->currency));
	assert_int_equal(got->has_collect, want->has_collect);
	assert_int_equal(got->has_deliver, want->has_deliver);
	assert_memory_equal(got->menu_hash, want->menu_hash, sizeof(want->menu_hash));
	assert_true(str_eq(got->texts, want->texts));
	assert_int_equal(got->state, want->state);
	assert_int_equal(got->version, want->version);
	assert_int_equal(got->created_ms, want->created_ms);
	assert_int_equal(got->updated_ms, want->updated_ms);
}

static void check_attempt(const struct attempt_row *got, const struct attempt_row *want)
{
	assert_int_equal(got->id, want->id);
	assert_int_equal(got->partner, want->partner);
	assert_int_equal(got->purchase, want->purchase);
	assert_int_equal(got->leg, want->leg);
	assert_int_equal(got->n, want->n);
	assert_true(str_eq(got->account, want->account));
	assert_true(str_eq(got->our_ref, want->our_ref));
	assert_true(str_eq(got->verb, want->verb));
	assert_true(str_eq(got->service, want->service));
	assert_true(str_eq(got->number, want->number));
	assert_int_equal(got->amount, want->amount);
	assert_true(str_eq(got->currency, want->currency));
	assert_int_equal(got->needs_secret, want->needs_secret);
	assert_int_equal(got->secret, want->secret);
	assert_int_equal(got->incarnation_made, want->incarnation_made);
	assert_int_equal(got->state, want->state);
	assert_int_equal(got->version, want->version);
	assert_int_equal(got->owner_incarnation, want->owner_incarnation);
	assert_int_equal(got->epoch, want->epoch);
	assert_memory_equal(got->body_hash, want->body_hash, VAULT_HASH_LEN);
	assert_true(str_eq(got->provider_id, want->provider_id));
	assert_int_equal(got->polls, want->polls);
	assert_int_equal(got->created_ms, want->created_ms);
	assert_int_equal(got->sent_ms, want->sent_ms);
	assert_int_equal(got->updated_ms, want->updated_ms);
}

static void keeps_a_purchase_whole(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = add_purchase(kit, 1, 1);
	struct purchase_row got;

	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), 0);
	check_purchase(&got, &row);
	assert_int_equal(DO(purchase_by_key, 1, row.uid, 1, &kit->arena, &got), 0);
	check_purchase(&got, &row);
	assert_int_equal(DO(purchase_last, 1, row.payer, &kit->arena, &got), 0);
	check_purchase(&got, &row);

	const struct purchase_row newer = add_purchase(kit, 1, 2);
	assert_int_equal(DO(purchase_last, 1, row.payer, &kit->arena, &got), 0);
	check_purchase(&got, &newer);

	assert_int_equal(DO(purchase_get, 1, 99, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_by_key, 1, row.uid, 2, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_last, 1, row.beneficiary, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(purchase_last, 1, STR("2250799999999"), &kit->arena, &got), TAMA_ENOTFOUND);
	check_purchase(&got, &newer);
}

static void takes_one_purchase_for_one_press(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = add_purchase(kit, 1, 1);
	struct purchase_row again = kit_purchase(1, 2);

	assert_int_equal(DO(purchase_insert, &row), TAMA_EEXIST);
	memcpy(again.uid, row.uid, UID_LEN);
	assert_int_equal(DO(purchase_insert, &again), TAMA_EEXIST);
	again.ordinal = 2;
	assert_int_equal(DO(purchase_insert, &again), 0);

	struct purchase_row other = kit_purchase(1, 3);
	other.ref = row.ref;
	assert_int_equal(DO(purchase_insert, &other), TAMA_ECONFLICT);
	other.ref = STR("OTHER");
	other.id = row.id;
	assert_int_equal(DO(purchase_insert, &other), TAMA_ECONFLICT);
}

static void refuses_a_purchase_against_the_rules(void **state)
{
	struct kit *kit = *state;
	struct purchase_row bad[12];

	for (size_t i = 0; i < ROWS(bad); i++)
		bad[i] = kit_purchase(1, i + 1);
	bad[0].face_value = 0;
	bad[1].face_value = INT64_C(1000000000001);
	bad[2].fee = -1;
	bad[3].price = -1;
	bad[4].cost = -1;
	bad[5].currency = STR("FRANC");
	bad[6].has_collect = bad[6].has_deliver = false;
	bad[7].state = PURCHASE_STATES;
	bad[8].state = (enum purchase_state)0;
	bad[9].ordinal = 0;
	bad[10].ref = STR("");
	bad[11].id = 0;
	for (size_t i = 0; i < ROWS(bad); i++)
		assert_int_equal(DO(purchase_insert, &bad[i]), TAMA_EINVAL);
	assert_int_equal(number(kit, "SELECT count(*) FROM purchase"), 0);
}

static void moves_a_purchase_by_compare_and_set(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = add_purchase(kit, 1, 1);
	struct purchase_row got;

	assert_int_equal(DO(purchase_set_state, 1, row.id, 0, PURCHASE_COLLECTING, KIT_NOW + 5), 0);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), 0);
	assert_int_equal(got.state, PURCHASE_COLLECTING);
	assert_int_equal(got.version, 1);
	assert_int_equal(got.updated_ms, KIT_NOW + 5);
	assert_int_equal(
		DO(purchase_set_state, 1, row.id, 0, PURCHASE_EXPIRED, KIT_NOW), TAMA_ECONFLICT);
	assert_int_equal(
		DO(purchase_set_state, 1, row.id, 2, PURCHASE_EXPIRED, KIT_NOW), TAMA_ECONFLICT);
	assert_int_equal(
		DO(purchase_set_state, 1, 99, 0, PURCHASE_EXPIRED, KIT_NOW), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(purchase_set_state, 1, row.id, 1, PURCHASE_STATES, KIT_NOW), TAMA_EINVAL);
}

static void keeps_an_attempt_whole(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row row = add_attempt(kit, &purchase, 1), got;

	assert_int_equal(DO(attempt_get, 1, row.id, &kit->arena, &got), 0);
	check_attempt(&got, &row);

	row.state = ATTEMPT_SENDING;
	row.owner_incarnation = 3;
	row.epoch = 1;
	row.body_hash[0] = 9;
	row.provider_id = STR("TX-1");
	row.polls = 2;
	row.sent_ms = KIT_NOW + 1;
	row.updated_ms = KIT_NOW + 2;
	assert_int_equal(DO(attempt_update, &row), 0);
	assert_int_equal(DO(attempt_update, &row), TAMA_ECONFLICT);
	row.version++;
	assert_int_equal(DO(attempt_by_ref, 1, row.our_ref, &kit->arena, &got), 0);
	check_attempt(&got, &row);
	assert_int_equal(
		DO(attempt_by_provider_id, 1, row.account, row.provider_id, &kit->arena, &got), 0);
	check_attempt(&got, &row);

	assert_int_equal(DO(attempt_get, 1, 99, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_by_ref, 1, STR("none"), &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(attempt_by_provider_id, 1, STR("xente"), row.provider_id, &kit->arena, &got),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_by_provider_id, 1, row.account, STR(""), &kit->arena, &got),
		TAMA_ENOTFOUND);
	row.id = 99;
	assert_int_equal(DO(attempt_update, &row), TAMA_ENOTFOUND);
}

static void refuses_a_second_attempt_that_may_execute(void **state)
{
	static const enum attempt_state live[] = {ATTEMPT_READY, ATTEMPT_SENDING, ATTEMPT_ACCEPTED,
		ATTEMPT_UNKNOWN, ATTEMPT_SUCCEEDED, ATTEMPT_REVIEW};
	static const enum attempt_state dead[] = {
		ATTEMPT_NOT_SENT, ATTEMPT_FAILED, ATTEMPT_EXPIRED};
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row first = add_attempt(kit, &purchase, 1),
			   second = kit_attempt(&purchase, 2);

	for (size_t i = 0; i < ROWS(live); i++) {
		first.state = live[i];
		assert_int_equal(DO(attempt_update, &first), 0);
		first.version++;
		assert_int_equal(DO(attempt_insert, &second), TAMA_ECONFLICT);
	}
	for (size_t i = 0; i < ROWS(dead); i++) {
		first.state = dead[i];
		assert_int_equal(DO(attempt_update, &first), 0);
		first.version++;
		assert_int_equal(DO(savepoint), 0);
		assert_int_equal(DO(attempt_insert, &second), 0);
		assert_int_equal(DO(rollback_to), 0);
	}
	assert_int_equal(DO(attempt_insert, &second), 0);
	first.state = ATTEMPT_SENDING;
	assert_int_equal(DO(attempt_update, &first), TAMA_ECONFLICT);
	/* The other leg is free. */
	second.id++;
	second.leg = LEG_DELIVER;
	second.our_ref = STR("other");
	assert_int_equal(DO(attempt_insert, &second), 0);
}

static void takes_a_reference_and_a_number_once(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row first = add_attempt(kit, &purchase, 1);
	struct attempt_row second = kit_attempt(&purchase, 1);

	first.state = ATTEMPT_NOT_SENT;
	assert_int_equal(DO(attempt_update, &first), 0);
	second.id++;
	second.our_ref = STR("another");
	assert_int_equal(DO(attempt_insert, &second), TAMA_EEXIST);
	second.n = 2;
	second.our_ref = first.our_ref;
	assert_int_equal(DO(attempt_insert, &second), TAMA_EEXIST);
	second.our_ref = STR("another");
	second.purchase = 99;
	assert_int_equal(DO(attempt_insert, &second), TAMA_ENOTFOUND);
	second.purchase = purchase.id;
	second.amount = 0;
	assert_int_equal(DO(attempt_insert, &second), TAMA_EINVAL);
	second.amount = 1;
	assert_int_equal(DO(attempt_insert, &second), 0);
}

static void lists_attempts_and_orphans(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row first = add_attempt(kit, &purchase, 1), got[4];

	first.state = ATTEMPT_NOT_SENT;
	assert_int_equal(DO(attempt_update, &first), 0);
	struct attempt_row second = add_attempt(kit, &purchase, 2);
	assert_int_equal(DO(attempt_list, 1, purchase.id, &kit->arena, got, 4), 2);
	assert_int_equal(got[0].id, first.id);
	assert_int_equal(got[1].id, second.id);
	assert_int_equal(DO(attempt_list, 1, purchase.id, &kit->arena, got, 1), 1);
	assert_int_equal(DO(attempt_list, 1, 99, &kit->arena, got, 4), 0);

	assert_int_equal(DO(attempt_orphans, &kit->arena, got, 4), 0);
	second.state = ATTEMPT_SENDING;
	second.owner_incarnation = DO(incarnation);
	assert_int_equal(DO(attempt_update, &second), 0);
	assert_int_equal(DO(attempt_orphans, &kit->arena, got, 4), 0);
	second.version++;
	second.owner_incarnation--;
	assert_int_equal(DO(attempt_update, &second), 0);
	assert_int_equal(DO(attempt_orphans, &kit->arena, got, 4), 1);
	assert_int_equal(got[0].id, second.id);
}

static void keeps_the_outbox_in_order(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct outbox_row send = kit_send(&attempt, 12), sms = kit_sms(&purchase, 11, 0), got[4];
	int64_t due = 0;

	assert_int_equal(DO(outbox_next_due, 0, &due), 0);
	assert_true(due == INT64_MAX);
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_insert, &send), 0);
	assert_int_equal(DO(outbox_due, KIT_NOW - 1, &kit->arena, got, 4), 0);
	assert_int_equal(DO(outbox_due, KIT_NOW, &kit->arena, got, 4), 1);
	assert_int_equal(DO(outbox_due, KIT_NOW + 1000, &kit->arena, got, 4), 2);
	assert_int_equal(got[0].id, 12);
	assert_int_equal(got[0].kind, OUTBOX_SEND);
	assert_int_equal(got[0].purchase, purchase.id);
	assert_int_equal(got[0].attempt, attempt.id);
	assert_int_equal(got[0].to.n, 0);
	assert_int_equal(got[0].body.n, 0);
	assert_int_equal(got[1].id, 11);
	assert_int_equal(got[1].attempt, 0);
	check_str(got[1].channel, "sms-ci");
	check_str(got[1].to, KIT_PAYER);
	check_str(got[1].body, "Recharge canary-sms OK");
	assert_int_equal(DO(outbox_due, KIT_NOW + 1000, &kit->arena, got, 1), 1);
	assert_int_equal(DO(outbox_next_due, KIT_NOW, &due), 0);
	assert_int_equal(due, KIT_NOW + 1000);

	assert_int_equal(DO(outbox_set_due, 1, 12, KIT_NOW + 2000, 3), 0);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, got), 0);
	assert_int_equal(got[0].due_ms, KIT_NOW + 2000);
	assert_int_equal(got[0].tries, 3);
	/* In one millisecond by id. */
	assert_int_equal(DO(outbox_set_due, 1, 11, KIT_NOW + 2000, 0), 0);
	assert_int_equal(DO(outbox_due, KIT_NOW + 2000, &kit->arena, got, 4), 2);
	assert_int_equal(got[0].id, 11);
}

static void owes_each_message_once(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct outbox_row send = kit_send(&attempt, 12), sms = kit_sms(&purchase, 11, 0), got;

	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_insert, &send), 0);
	assert_int_equal(DO(outbox_done, 1, 11), 0);
	assert_int_equal(DO(outbox_done, 1, 11), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_set_due, 1, 11, KIT_NOW, 0), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_due, KIT_NOW + 1000, &kit->arena, &got, 1), 1);
	assert_int_equal(got.id, 12);
	sms.id = 13;
	assert_int_equal(DO(outbox_insert, &sms), TAMA_EEXIST);
	sms.seq = 1;
	assert_int_equal(DO(outbox_insert, &sms), 0);

	assert_int_equal(DO(outbox_set_dlr, 1, 11, "delivered"), 0);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &got), 0);
	check_str(got.dlr, "delivered");
	assert_int_equal(DO(outbox_set_dlr, 1, 12, "delivered"), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_set_dlr, 1, 99, "delivered"), TAMA_ENOTFOUND);

	assert_int_equal(DO(outbox_done, 1, 12), 0);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_done, 1, 12), TAMA_ENOTFOUND);
}

static void owes_messages_of_no_purchase(void **state)
{
	struct kit *kit = *state;
	struct purchase_row none = kit_purchase(1, 1);
	none.id = 0;
	struct outbox_row one = kit_sms(&none, 11, 0), two = kit_sms(&none, 12, 0), got;

	assert_int_equal(DO(outbox_insert, &one), 0);
	assert_int_equal(DO(outbox_insert, &two), 0);
	assert_int_equal(DO(outbox_insert, &two), TAMA_EEXIST);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), 0);
	assert_int_equal(got.purchase, 0);
	two.id = 13;
	two.to = STR("");
	assert_int_equal(DO(outbox_insert, &two), TAMA_EINVAL);
}

static void cancels_what_an_attempt_owes(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct outbox_row poll = kit_send(&attempt, 12), send = kit_send(&attempt, 13), got;

	poll.kind = OUTBOX_POLL;
	assert_int_equal(DO(outbox_insert, &poll), 0);
	poll.id = 14;
	poll.seq = 1;
	assert_int_equal(DO(outbox_insert, &poll), 0);
	assert_int_equal(DO(outbox_insert, &send), 0);
	assert_int_equal(DO(outbox_cancel, 1, attempt.id, OUTBOX_DEADLINE), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM outbox"), 3);
	assert_int_equal(DO(outbox_cancel, 1, attempt.id, OUTBOX_POLL), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM outbox"), 1);
	assert_int_equal(DO(outbox_get, 1, 13, &kit->arena, &got), 0);
}

static void keeps_the_inbox_once(void **state)
{
	struct kit *kit = *state;
	struct inbox_row row = kit_inbox(1, 21, 1);

	assert_int_equal(DO(inbox_insert, &row), 0);
	row.id = 22;
	assert_int_equal(DO(inbox_insert, &row), TAMA_EEXIST);
	assert_int_equal(DO(inbox_repeat, 1, row.account, row.key), 0);
	assert_int_equal(DO(inbox_repeat, 1, row.account, row.key), 0);
	assert_int_equal(number(kit, "SELECT repeats FROM inbox WHERE id = 21"), 2);
	row.key[0] = 2;
	assert_int_equal(DO(inbox_repeat, 1, row.account, row.key), TAMA_ENOTFOUND);
	row.attempt = 99;
	assert_int_equal(DO(inbox_insert, &row), TAMA_ENOTFOUND);
	row.attempt = 0;
	row.verdict = (enum inbox_verdict)11;
	assert_int_equal(DO(inbox_insert, &row), TAMA_EINVAL);
	row.verdict = VERDICT_APPLIED;
	assert_int_equal(DO(inbox_insert, &row), 0);
	row.id = 23;
	row.account = STR("xente");
	assert_int_equal(DO(inbox_insert, &row), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM inbox"), 3);
}

static size_t put(unsigned char *out, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		out[i] = (unsigned char)(value >> (8 * i));
	return width;
}

/* The format that schema.sql states, written a second time. */
static void next_hash(
	unsigned char hash[static VAULT_HASH_LEN], const struct event_row *row, uint32_t seq)
{
	unsigned char text[256];
	size_t n = VAULT_HASH_LEN;

	memcpy(text, hash, VAULT_HASH_LEN);
	n += put(text + n, row->purchase, 8);
	n += put(text + n, seq, 4);
	n += put(text + n, row->partner, 4);
	n += put(text + n, row->attempt, 8);
	n += put(text + n, row->from, 1);
	n += put(text + n, row->to, 1);
	n += put(text + n, row->evidence, 8);
	n += put(text + n, row->incarnation, 8);
	n += put(text + n, (uint64_t)row->at_ms, 8);
	memcpy(text + n, row->cause, strlen(row->cause));
	vault_digest((struct str){(char *)text, n + strlen(row->cause)}, hash);
}

static void chains_events(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct event_row row = kit_event(&attempt);
	unsigned char want[VAULT_HASH_LEN] = {0};
	char sql[160], hex[2 * VAULT_HASH_LEN + 1];

	for (uint32_t seq = 1; seq <= 3; seq++) {
		row.evidence = seq - 1;
		row.attempt = seq == 2 ? 0 : attempt.id;
		assert_int_equal(DO(event_append, &row), 0);
		next_hash(want, &row, seq);
	}
	for (size_t i = 0; i < VAULT_HASH_LEN; i++)
		(void)snprintf(hex + 2 * i, 3, "%02X", want[i]);
	(void)snprintf(sql, sizeof(sql),
		"SELECT hex(hash) = '%s' AND seq = 3 FROM event"
		" ORDER BY seq DESC LIMIT 1",
		hex);
	assert_int_equal(number(kit, sql), 1);
	assert_int_equal(number(kit, "SELECT count(*) FROM event"), 3);
	row.purchase = 99;
	assert_int_equal(DO(event_append, &row), TAMA_ENOTFOUND);
	row.purchase = purchase.id;
	row.to = 10;
	assert_int_equal(DO(event_append, &row), TAMA_EINVAL);
}

static void posts_in_double_entry(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_REVENUE, 0}, {LEDGER_SUSPENSE_UNKNOWN, 525}};
	struct ledger_row row = {.partner = 1,
		.purchase = purchase.id,
		.account = STR("et-ci"),
		.currency = STR("XOF"),
		.lines = lines,
		.lines_len = 3,
		.at_ms = KIT_NOW};

	assert_int_equal(DO(ledger_post, &row), 0);
	assert_int_equal(DO(ledger_post, &row), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM ledger"), 4);
	assert_int_equal(number(kit, "SELECT max(posting) FROM ledger"), 2);
	assert_int_equal(number(kit, "SELECT sum(debit) FROM ledger"), 0);
	assert_int_equal(number(kit, "SELECT sum(debit) FROM ledger WHERE book = 4"), 1050);
	row.lines_len = 0;
	assert_int_equal(DO(ledger_post, &row), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM ledger"), 4);
	row.lines_len = 3;
	row.purchase = 99;
	assert_int_equal(DO(ledger_post, &row), TAMA_ENOTFOUND);
	row.purchase = purchase.id;
	row.currency = STR("");
	assert_int_equal(DO(ledger_post, &row), TAMA_EINVAL);
}

/* Runs a bug in a child, which must abort. */
static void aborts(struct kit *kit, void (*bug)(struct kit *))
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)freopen("/dev/null", "w", stderr);
		(void)signal(SIGABRT, SIG_DFL);
		bug(kit);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void posts_unbalanced(struct kit *kit)
{
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_SUSPENSE_UNKNOWN, 524}};
	const struct ledger_row row = {.partner = 1, .purchase = 1, .lines = lines, .lines_len = 2};

	(void)DO(ledger_post, &row);
}

static void writes_outside(struct kit *kit)
{
	const struct purchase_row row = kit_purchase(1, 1);

	DO(rollback);
	(void)DO(purchase_insert, &row);
}

static void begins_twice(struct kit *kit)
{
	(void)DO(begin, NULL);
}

static void releases_nothing(struct kit *kit)
{
	(void)DO(release);
}

static void aborts_on_our_bugs(void **state)
{
	struct kit *kit = *state;

	aborts(kit, posts_unbalanced);
	aborts(kit, writes_outside);
	aborts(kit, begins_twice);
	aborts(kit, releases_nothing);
}

static void repeats_a_hop(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct hop_row row = {.partner = 1, .ordinal = 1, .reply = STR("END Demande recue\0x")},
		       got;

	memcpy(row.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(hop_get, 1, row.uid, 1, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(hop_insert, &row), 0);
	assert_int_equal(DO(hop_insert, &row), TAMA_EEXIST);
	assert_int_equal(DO(hop_get, 1, row.uid, 1, &kit->arena, &got), 0);
	assert_true(str_eq(got.reply, row.reply));
	assert_int_equal(got.partner, 1);
	assert_int_equal(got.ordinal, 1);
	assert_memory_equal(got.uid, row.uid, UID_LEN);
	assert_int_equal(DO(hop_get, 1, row.uid, 2, &kit->arena, &got), TAMA_ENOTFOUND);
	row.ordinal = 2;
	assert_int_equal(DO(hop_insert, &row), TAMA_ENOTFOUND);
}

static void spaces_calls(void **state)
{
	struct kit *kit = *state;
	int64_t free_ms = -1;

	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 500, &free_ms), 0);
	assert_int_equal(free_ms, 0);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), STR(KIT_PAYER), 500, KIT_NOW), 0);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), STR(KIT_PAYER), 500, KIT_NOW + 9), 0);
	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 500, &free_ms), 0);
	assert_int_equal(free_ms, KIT_NOW + 9);
	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 501, &free_ms), 0);
	assert_int_equal(free_ms, 0);
	assert_int_equal(DO(spacing_get, 1, STR("xente"), STR(KIT_PAYER), 500, &free_ms), 0);
	assert_int_equal(free_ms, 0);
}

static void counts(void **state)
{
	struct kit *kit = *state;
	struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct outbox_row sms = kit_sms(&purchase, 11, 0), send = kit_send(&attempt, 12);
	struct inbox_row parked = kit_inbox(1, 21, 1), applied = kit_inbox(2, 22, 2);
	struct store_counts got;

	applied.verdict = VERDICT_APPLIED;
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_insert, &send), 0);
	assert_int_equal(DO(outbox_done, 1, 11), 0);
	assert_int_equal(DO(inbox_insert, &parked), 0);
	assert_int_equal(DO(inbox_insert, &applied), 0);
	assert_int_equal(
		DO(purchase_set_state, 1, purchase.id, 0, PURCHASE_REFUND_DUE, KIT_NOW), 0);
	assert_int_equal(DO(counts, &got), 0);
	assert_int_equal(got.attempts[ATTEMPT_READY], 1);
	assert_int_equal(got.attempts[ATTEMPT_UNKNOWN], 0);
	assert_int_equal(got.outbox_due, 1);
	assert_int_equal(got.parked, 1);
	assert_int_equal(got.refund_due, 1);

	attempt.state = ATTEMPT_FAILED;
	assert_int_equal(DO(attempt_update, &attempt), 0);
	assert_int_equal(DO(counts, &got), 0);
	for (size_t i = 0; i < ATTEMPT_STATES; i++)
		assert_int_equal(got.attempts[i], 0);
}

static void undoes_to_the_savepoint(void **state)
{
	struct kit *kit = *state;
	struct purchase_row got;

	assert_int_equal(DO(savepoint), 0);
	const struct purchase_row kept = add_purchase(kit, 1, 1);
	assert_int_equal(DO(release), 0);

	assert_int_equal(DO(savepoint), 0);
	struct purchase_row undone = kit_purchase(1, 2);
	undone.payer = STR("2250100000009");
	assert_int_equal(DO(purchase_insert, &undone), 0);
	assert_int_equal(DO(rollback_to), 0);
	assert_int_equal(DO(purchase_get, 1, undone.id, &kit->arena, &got), TAMA_ENOTFOUND);
	/* The person made above is gone as well, from the cache too. */
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 2);
	assert_int_equal(DO(purchase_insert, &undone), 0);
	assert_int_equal(DO(purchase_get, 1, undone.id, &kit->arena, &got), 0);
	check_str(got.payer, "2250100000009");

	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(purchase_get, 1, kept.id, &kit->arena, &got), 0);
	assert_int_equal(DO(begin, NULL), 0);
	const struct purchase_row third = add_purchase(kit, 1, 3);
	DO(rollback);
	assert_int_equal(DO(purchase_get, 1, third.id, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(begin, NULL), 0);
}

/* A person met before a savepoint that is undone must not outlive the transaction in the cache. */
static void forgets_people_of_a_rollback(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row row = add_purchase(kit, 1, 1);

	assert_int_equal(DO(savepoint), 0);
	assert_int_equal(DO(rollback_to), 0);
	(void)add_purchase(kit, 1, 2);
	DO(rollback);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 2);
}

static void keeps_what_happened(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	const struct event_row event = kit_event(&attempt);
	const struct inbox_row inbox = kit_inbox(1, 21, 1);
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_SUSPENSE_UNKNOWN, 525}};
	const struct ledger_row ledger = {.partner = 1,
		.purchase = purchase.id,
		.account = STR("et-ci"),
		.currency = STR("XOF"),
		.lines = lines,
		.lines_len = 2};
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END")};

	memcpy(hop.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(hop_insert, &hop), 0);
	assert_int_equal(DO(event_append, &event), 0);
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	assert_int_equal(DO(ledger_post, &ledger), 0);
	static const char *const careless[] = {
		"UPDATE event SET to_state = 6",
		"DELETE FROM event",
		"REPLACE INTO event SELECT * FROM event",
		"UPDATE ledger SET debit = debit + 1",
		"DELETE FROM ledger",
		"UPDATE inbox SET verdict = 1",
		"UPDATE inbox SET raw = x'00'",
		"UPDATE inbox SET repeats = repeats",
		"UPDATE inbox SET repeats = repeats - 1",
		"DELETE FROM inbox",
		"UPDATE purchase SET price = 1, version = version + 1",
		"UPDATE purchase SET partner = 2, version = version + 1",
		"UPDATE purchase SET beneficiary = payer, version = version + 1",
		"UPDATE purchase SET state = 5",
		"DELETE FROM purchase",
		"UPDATE attempt SET amount = 1, version = version + 1",
		"UPDATE attempt SET person = 2, version = version + 1",
		"UPDATE attempt SET state = 6",
		"UPDATE attempt SET epoch = epoch - 1, version = version + 1",
		"DELETE FROM attempt",
		"UPDATE hop SET reply = x'00'",
	};
	for (size_t i = 0; i < ROWS(careless); i++)
		refused(kit, careless[i]);
}

/* Every verb, asked by partner 2 for what is partner 1's: finds nothing, changes nothing. */
static void shows_no_partner_anothers(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	struct outbox_row sms = kit_sms(&purchase, 11, 0), send = kit_send(&attempt, 12), got_row;
	const struct inbox_row inbox = kit_inbox(1, 21, 1);
	struct event_row event = kit_event(&attempt);
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END")}, got_hop;
	struct purchase_row got;
	struct attempt_row got_attempt;
	int64_t free_ms = 0;

	attempt.provider_id = STR("TX-1");
	memcpy(hop.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(attempt_update, &attempt), 0);
	attempt.version++;
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_insert, &send), 0);
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	assert_int_equal(DO(event_append, &event), 0);
	assert_int_equal(DO(hop_insert, &hop), 0);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), STR(KIT_PAYER), 500, KIT_NOW), 0);
	const int64_t changes = number(kit, "SELECT total_changes()");

	assert_int_equal(DO(purchase_get, 2, purchase.id, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(purchase_by_key, 2, purchase.uid, 1, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_last, 2, purchase.payer, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(purchase_set_state, 2, purchase.id, 0, PURCHASE_DELIVERED, KIT_NOW),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_get, 2, attempt.id, &kit->arena, &got_attempt), TAMA_ENOTFOUND);
	assert_int_equal(
		DO(attempt_by_ref, 2, attempt.our_ref, &kit->arena, &got_attempt), TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_by_provider_id, 2, attempt.account, attempt.provider_id,
				 &kit->arena, &got_attempt),
		TAMA_ENOTFOUND);
	assert_int_equal(DO(attempt_list, 2, purchase.id, &kit->arena, &got_attempt, 1), 0);
	assert_int_equal(DO(outbox_get, 2, 11, &kit->arena, &got_row), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_set_due, 2, 12, KIT_NOW, 1), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_done, 2, 11), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_done, 2, 12), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_cancel, 2, attempt.id, OUTBOX_SEND), 0);
	assert_int_equal(DO(outbox_set_dlr, 2, 11, "delivered"), TAMA_ENOTFOUND);
	assert_int_equal(DO(inbox_repeat, 2, inbox.account, inbox.key), TAMA_ENOTFOUND);
	assert_int_equal(DO(hop_get, 2, hop.uid, 1, &kit->arena, &got_hop), TAMA_ENOTFOUND);
	assert_int_equal(DO(spacing_get, 2, STR("et-ci"), STR(KIT_PAYER), 500, &free_ms), 0);
	assert_int_equal(free_ms, 0);
	attempt.partner = 2;
	assert_int_equal(DO(attempt_update, &attempt), TAMA_ENOTFOUND);
	hop.partner = 2;
	assert_int_equal(DO(hop_insert, &hop), TAMA_ENOTFOUND);
	assert_int_equal(number(kit, "SELECT total_changes()"), changes);
}

/* No row of one partner can lean on another's. */
static void lets_no_partner_spend_anothers(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row theirs = add_purchase(kit, 1, 1), ours = add_purchase(kit, 2, 1);
	const struct attempt_row their_attempt = add_attempt(kit, &theirs, 1);
	const struct event_row their_event = kit_event(&their_attempt);
	const struct ledger_line lines[] = {
		{LEDGER_CUSTOMER, -525}, {LEDGER_SUSPENSE_UNKNOWN, 525}};
	struct ledger_row ledger = {.partner = 1,
		.purchase = theirs.id,
		.account = STR("et-ci"),
		.currency = STR("XOF"),
		.lines = lines,
		.lines_len = 2};

	assert_int_equal(DO(event_append, &their_event), 0);
	assert_int_equal(DO(ledger_post, &ledger), 0);
	/* The same number is two persons. */
	assert_int_equal(number(kit, "SELECT count(*) FROM person"), 4);

	struct attempt_row attempt = kit_attempt(&theirs, 2);
	attempt.partner = 2;
	attempt.leg = LEG_DELIVER;
	assert_int_equal(DO(attempt_insert, &attempt), TAMA_ENOTFOUND);
	/* The leg that is taken, and with it whether it is, stays unseen too. */
	attempt.leg = LEG_COLLECT;
	assert_int_not_equal(DO(attempt_insert, &attempt), TAMA_ECONFLICT);

	struct outbox_row sms = kit_sms(&theirs, 11, 0);
	sms.partner = 2;
	assert_int_equal(DO(outbox_insert, &sms), TAMA_ENOTFOUND);
	struct outbox_row send = kit_send(&their_attempt, 12);
	send.partner = 2;
	send.purchase = ours.id;
	assert_int_equal(DO(outbox_insert, &send), TAMA_ENOTFOUND);

	struct inbox_row inbox = kit_inbox(2, 21, 1);
	inbox.attempt = their_attempt.id;
	assert_int_equal(DO(inbox_insert, &inbox), TAMA_ENOTFOUND);
	inbox.attempt = 0;
	assert_int_equal(DO(inbox_insert, &inbox), 0);
	inbox.id = 22;
	inbox.partner = 1;
	assert_int_equal(DO(inbox_insert, &inbox), 0);

	struct event_row event = their_event;
	event.partner = 2;
	assert_int_equal(DO(event_append, &event), TAMA_ENOTFOUND);
	event.purchase = ours.id;
	assert_int_equal(DO(event_append, &event), TAMA_ENOTFOUND);
	ledger.partner = 2;
	assert_int_equal(DO(ledger_post, &ledger), TAMA_ENOTFOUND);
	ledger.purchase = ours.id;
	ledger.attempt = their_attempt.id;
	assert_int_equal(DO(ledger_post, &ledger), TAMA_ENOTFOUND);
	assert_int_equal(number(kit, "SELECT count(*) FROM event"), 1);
	assert_int_equal(number(kit, "SELECT count(*) FROM ledger"), 2);
}

static void tells_when_the_arena_is_full(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	const struct outbox_row sms = kit_sms(&purchase, 11, 0);
	struct hop_row hop = {.partner = 1, .ordinal = 1, .reply = STR("END")};
	struct purchase_row got;
	struct attempt_row got_attempt;
	struct outbox_row got_row;
	struct arena tiny;

	memcpy(hop.uid, purchase.uid, UID_LEN);
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(hop_insert, &hop), 0);
	arena_init(&tiny, 1);
	assert_int_equal(DO(purchase_get, 1, purchase.id, &tiny, &got), TAMA_ENOMEM);
	assert_int_equal(DO(attempt_get, 1, attempt.id, &tiny, &got_attempt), TAMA_ENOMEM);
	assert_int_equal(DO(outbox_due, KIT_NOW + 1000, &tiny, &got_row, 1), TAMA_ENOMEM);
	assert_int_equal(DO(hop_get, 1, hop.uid, 1, &tiny, &hop), TAMA_ENOMEM);
	arena_fini(&tiny);
}

/* What was sealed for one row opens in no other. */
static void opens_nothing_moved_between_rows(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct outbox_row one = kit_sms(&purchase, 11, 0), two = kit_sms(&purchase, 12, 1), got;
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;

	assert_int_equal(DO(outbox_insert, &one), 0);
	assert_int_equal(DO(outbox_insert, &two), 0);
	assert_int_equal(sqlite3_exec(handle,
				 "UPDATE outbox SET body = (SELECT body FROM outbox"
				 " WHERE id = 11) WHERE id = 12",
				 NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &got), 0);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), TAMA_EAUTH);
	assert_int_equal(sqlite3_exec(handle, "UPDATE outbox SET body = x'00' WHERE id = 12", NULL,
				 NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), TAMA_EAUTH);
	assert_int_equal(sqlite3_exec(handle,
				 "UPDATE person SET number = (SELECT number FROM person"
				 " WHERE id = 1)",
				 NULL, NULL, NULL),
		SQLITE_OK);
	struct purchase_row row;
	assert_int_equal(DO(purchase_get, 1, purchase.id, &kit->arena, &row), TAMA_EAUTH);
}

/* A full disk ends the transaction: nothing after it may slip in by itself. */
static void ends_the_transaction_when_the_disk_fails(void **state)
{
	struct kit *kit = *state;
	sqlite3 *handle = sqlite_store_of(kit->store)->db.handle;
	static char big[64 * 1024];
	struct err err = ERR_INIT;
	struct purchase_row row = kit_purchase(1, 1), got;

	(void)add_purchase(kit, 1, 2);
	assert_int_equal(
		sqlite3_exec(handle, "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK);
	memset(big, 'x', sizeof(big));
	row.texts = (struct str){big, sizeof(big)};
	assert_int_equal(DO(savepoint), 0);
	assert_int_equal(DO(purchase_insert, &row), TAMA_EIO);
	row.texts = STR("small");
	assert_int_equal(DO(purchase_insert, &row), TAMA_EIO);
	assert_int_equal(DO(purchase_get, 1, row.id, &kit->arena, &got), TAMA_EIO);
	assert_int_equal(DO(rollback_to), TAMA_EIO);
	assert_int_equal(DO(savepoint), TAMA_EIO);
	assert_int_equal(DO(release), TAMA_EIO);
	assert_int_equal(DO(commit, &err), TAMA_EIO);
	assert_non_null(strstr(err.text, "not committed: SQLite 13"));
	assert_int_equal(number(kit, "SELECT count(*) FROM purchase"), 0);

	assert_int_equal(sqlite3_exec(handle, "PRAGMA max_page_count = 100000", NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(begin, NULL), 0);
}

/* Every statement finds its rows by an index: the plan of none walks a table. */
static void walks_no_table(void **state)
{
	struct kit *kit = *state;
	struct db *db = &sqlite_store_of(kit->store)->db;

	for (int i = ST_PERSON_FIND; i < ST_COUNT_ATTEMPTS; i++) {
		char *sql =
			sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(db->statements[i]));
		sqlite3_stmt *plan = NULL;
		assert_int_equal(sqlite3_prepare_v2(db->handle, sql, -1, &plan, NULL), SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *line = (const char *)sqlite3_column_text(plan, 3);
			if (strncmp(line, "SCAN", 4) == 0 || strstr(line, "(partner=?)") != NULL)
				fail_msg("%s: %s", sqlite3_sql(db->statements[i]), line);
		}
		sqlite3_finalize(plan);
		sqlite3_free(sql);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_a_purchase_whole),
		TEST(takes_one_purchase_for_one_press),
		TEST(refuses_a_purchase_against_the_rules),
		TEST(moves_a_purchase_by_compare_and_set),
		TEST(keeps_an_attempt_whole),
		TEST(refuses_a_second_attempt_that_may_execute),
		TEST(takes_a_reference_and_a_number_once),
		TEST(lists_attempts_and_orphans),
		TEST(keeps_the_outbox_in_order),
		TEST(owes_each_message_once),
		TEST(owes_messages_of_no_purchase),
		TEST(cancels_what_an_attempt_owes),
		TEST(keeps_the_inbox_once),
		TEST(chains_events),
		TEST(posts_in_double_entry),
		TEST(aborts_on_our_bugs),
		TEST(repeats_a_hop),
		TEST(spaces_calls),
		TEST(counts),
		TEST(undoes_to_the_savepoint),
		TEST(forgets_people_of_a_rollback),
		TEST(keeps_what_happened),
		TEST(shows_no_partner_anothers),
		TEST(lets_no_partner_spend_anothers),
		TEST(tells_when_the_arena_is_full),
		TEST(opens_nothing_moved_between_rows),
		TEST(ends_the_transaction_when_the_disk_fails),
		TEST(walks_no_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
