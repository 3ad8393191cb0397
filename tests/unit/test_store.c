/* The store's verbs: what each keeps, finds and refuses. */
#include "store_kit.h"

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
	assert_int_equal(DO(outbox_done, 1, 11), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_over, 1, 12, "", KIT_NOW + 5), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_over, 1, 11, "", KIT_NOW + 5), 0);
	assert_int_equal(DO(outbox_over, 1, 11, "refused", KIT_NOW + 6), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_set_due, 1, 11, KIT_NOW, 0), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_due, KIT_NOW + 1000, &kit->arena, &got, 1), 1);
	assert_int_equal(got.id, 12);
	sms.id = 13;
	assert_int_equal(DO(outbox_insert, &sms), TAMA_EEXIST);
	sms.seq = 1;
	assert_int_equal(DO(outbox_insert, &sms), 0);

	assert_int_equal(DO(outbox_set_dlr, 1, 11, "delivered", KIT_NOW), 0);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &got), 0);
	check_str(got.dlr, "delivered");
	assert_int_equal(DO(outbox_set_dlr, 1, 11, "buffered", KIT_NOW), 0);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &got), 0);
	check_str(got.dlr, "delivered");
	assert_int_equal(DO(outbox_set_dlr, 1, 11, "failed", KIT_NOW), 0);
	assert_int_equal(DO(outbox_get, 1, 11, &kit->arena, &got), 0);
	check_str(got.dlr, "failed");
	assert_int_equal(DO(outbox_set_dlr, 1, 12, "delivered", KIT_NOW), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_set_dlr, 1, 99, "delivered", KIT_NOW), TAMA_ENOTFOUND);

	assert_int_equal(DO(outbox_done, 1, 12), 0);
	assert_int_equal(DO(outbox_get, 1, 12, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_done, 1, 12), TAMA_ENOTFOUND);
}

#define LEASE_MS 60000

static int64_t due_of(struct kit *kit, uint32_t partner, uint64_t id)
{
	struct outbox_row got;

	assert_int_equal(DO(outbox_get, partner, id, &kit->arena, &got), 0);
	return got.due_ms;
}

/* A row of that kind made at KIT_NOW; returns its id. */
static uint64_t add_row(struct kit *kit, const struct attempt_row *attempt, enum outbox_kind kind,
	int64_t due_ms, uint32_t tries)
{
	static uint32_t n;
	struct outbox_row row = kit_send(attempt, ((uint64_t)KIT_NOW << 20) + ++n);

	row.kind = kind;
	row.seq = n;
	row.due_ms = due_ms;
	row.tries = tries;
	assert_int_equal(DO(outbox_insert, &row), 0);
	return row.id;
}

static void releases_what_was_handed_out(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1),
				  other = add_purchase(kit, 2, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);
	const struct attempt_row theirs = add_attempt(kit, &other, 1);
	const int64_t now = KIT_NOW + 1000, lease = KIT_NOW + LEASE_MS;
	uint64_t first = add_row(kit, &attempt, OUTBOX_SEND, lease, 0);
	uint64_t again = add_row(kit, &theirs, OUTBOX_SEND, lease + 7, 1);
	uint64_t query = add_row(kit, &attempt, OUTBOX_POLL, lease + 7, 1);
	uint64_t later = add_row(kit, &attempt, OUTBOX_SEND, lease + 7, 0);
	uint64_t deadline = add_row(kit, &attempt, OUTBOX_DEADLINE, lease, 1);
	uint64_t overdue = add_row(kit, &attempt, OUTBOX_SEND, KIT_NOW, 1);
	struct outbox_row sms = kit_sms(&purchase, (uint64_t)KIT_NOW << 20, 0);

	sms.due_ms = lease;
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_release, now, LEASE_MS, true), 0);
	assert_int_equal(due_of(kit, 1, first), now);
	assert_int_equal(due_of(kit, 2, again), now);
	assert_int_equal(due_of(kit, 1, query), lease + 7);
	assert_int_equal(due_of(kit, 1, sms.id), lease);
	assert_int_equal(DO(outbox_release, now, LEASE_MS, false), 0);
	assert_int_equal(due_of(kit, 1, query), now);
	assert_int_equal(due_of(kit, 1, sms.id), now);
	assert_int_equal(due_of(kit, 1, later), lease + 7);
	assert_int_equal(due_of(kit, 1, deadline), lease);
	assert_int_equal(due_of(kit, 1, overdue), KIT_NOW);
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
	for (int i = 0; i < 2; i++) {
		int64_t first_ms = 0;
		enum inbox_verdict verdict = 0;

		assert_int_equal(DO(inbox_repeat, 1, row.account, row.key, &first_ms, &verdict), 0);
		assert_int_equal(first_ms, row.received_ms);
		assert_int_equal(verdict, row.verdict);
	}
	assert_int_equal(number(kit, "SELECT repeats FROM inbox WHERE id = 21"), 2);
	row.key[0] = 2;
	int64_t never_ms;
	enum inbox_verdict none;
	assert_int_equal(
		DO(inbox_repeat, 1, row.account, row.key, &never_ms, &none), TAMA_ENOTFOUND);
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

/* Each end of a submit leaves a row: the owner-dead rule counts them. */
static void counts_the_replies_of_an_attempt(void **state)
{
	static const enum inbox_kind kinds[] = {INBOX_REPLY, INBOX_IPN, INBOX_STATUS, INBOX_REPLY};
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	const struct attempt_row attempt = add_attempt(kit, &purchase, 1);

	assert_int_equal(DO(inbox_replies, 1, attempt.id), 0);
	for (unsigned i = 0; i < ROWS(kinds); i++) {
		struct inbox_row row = kit_inbox(1, 21 + i, (unsigned char)(1 + i));

		row.kind = kinds[i];
		row.attempt = attempt.id;
		assert_int_equal(DO(inbox_insert, &row), 0);
	}
	assert_int_equal(DO(inbox_replies, 1, attempt.id), 2);
	assert_int_equal(DO(inbox_replies, 2, attempt.id), 0);
	assert_int_equal(DO(inbox_replies, 1, 99), 0);
}

/* What was told is found, sent or not. */
static void finds_a_message_by_its_seq(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct outbox_row sms = kit_sms(&purchase, 11, 1), got;

	assert_int_equal(DO(outbox_message, 1, purchase.id, 1, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_insert, &sms), 0);
	assert_int_equal(DO(outbox_over, 1, 11, "", KIT_NOW), 0);
	assert_int_equal(DO(outbox_message, 1, purchase.id, 1, &kit->arena, &got), 0);
	check_str(got.body, "Recharge canary-sms OK");
	assert_int_equal(DO(outbox_message, 1, purchase.id, 2, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(outbox_message, 2, purchase.id, 1, &kit->arena, &got), TAMA_ENOTFOUND);
}

/* Proposed, agreed to, closed; a proof of as many bytes as may be. */
static void keeps_a_decision_of_two(void **state)
{
	struct kit *kit = *state;
	const struct purchase_row purchase = add_purchase(kit, 1, 1);
	struct decision_row row = kit_decision(&purchase, 31), got;
	char longest[1001];

	assert_int_equal(DO(decision_open, &row, &kit->arena, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(decision_insert, &row), 0);
	assert_int_equal(DO(decision_open, &row, &kit->arena, &got), 0);
	assert_int_equal(got.id, 31);
	assert_int_equal(got.state, DECISION_PROPOSED);
	check_str(got.proposed_by, "awa");
	check_str(got.proof, "canary-proof: 07 00 00 00 01 called");
	row.id = 32;
	assert_int_equal(DO(decision_insert, &row), TAMA_EEXIST);
	got.agreed_by = STR("awa");
	got.agreed_proof = STR("me too");
	got.state = DECISION_APPLIED;
	assert_int_equal(DO(decision_close, &got), TAMA_EINVAL);
	got.agreed_by = STR("koffi");
	assert_int_equal(DO(decision_close, &got), 0);
	assert_int_equal(DO(decision_close, &got), TAMA_ENOTFOUND);
	assert_int_equal(DO(decision_open, &row, &kit->arena, &got), TAMA_ENOTFOUND);

	memset(longest, 'x', sizeof(longest));
	row.proof = (struct str){longest, 1001};
	assert_int_equal(DO(decision_insert, &row), TAMA_EINVAL);
	row.proof = STR("");
	assert_int_equal(DO(decision_insert, &row), TAMA_EINVAL);
	row.proof = (struct str){longest, 1000};
	assert_int_equal(DO(decision_insert, &row), 0);
	assert_int_equal(DO(decision_open, &row, &kit->arena, &got), 0);
	assert_true(str_eq(got.proof, row.proof));
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
	row.to = 14;
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
	const struct spacing kept = {KIT_NOW, 77}, called = {KIT_NOW + 9, 0};
	struct spacing got = {-1, 1};

	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 500, &got), 0);
	assert_int_equal(got.free_ms, 0);
	assert_int_equal(got.keeper, 0);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), STR(KIT_PAYER), 500, &kept), 0);
	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 500, &got), 0);
	assert_int_equal(got.free_ms, KIT_NOW);
	assert_int_equal(got.keeper, 77);
	assert_int_equal(DO(spacing_set, 1, STR("et-ci"), STR(KIT_PAYER), 500, &called), 0);
	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 500, &got), 0);
	assert_int_equal(got.free_ms, KIT_NOW + 9);
	assert_int_equal(got.keeper, 0);
	assert_int_equal(DO(spacing_get, 1, STR("et-ci"), STR(KIT_PAYER), 501, &got), 0);
	assert_int_equal(got.free_ms, 0);
	assert_int_equal(DO(spacing_get, 1, STR("xente"), STR(KIT_PAYER), 500, &got), 0);
	assert_int_equal(got.free_ms, 0);
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
	assert_int_equal(DO(outbox_over, 1, 11, "", KIT_NOW), 0);
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

	assert_int_equal(got.doubts_len, 0);
	assert_int_equal(got.doubt_since_ms, 0);

	attempt.state = ATTEMPT_UNKNOWN;
	assert_int_equal(DO(attempt_update, &attempt), 0);
	assert_int_equal(DO(counts, &got), 0);
	assert_int_equal(got.doubts_len, 1);
	assert_string_equal(got.doubts[0].currency, "XOF");
	assert_int_equal(got.doubts[0].amount, attempt.amount);
	assert_int_equal(got.doubt_since_ms, attempt.created_ms);
	attempt.version++;
	attempt.state = ATTEMPT_FAILED;
	assert_int_equal(DO(attempt_update, &attempt), 0);
	assert_int_equal(DO(counts, &got), 0);
	assert_int_equal(got.doubts_len, 0);
	for (size_t i = 0; i < ATTEMPT_STATES; i++)
		assert_int_equal(got.attempts[i], 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, kit_setup, kit_teardown)

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
		TEST(releases_what_was_handed_out),
		TEST(owes_messages_of_no_purchase),
		TEST(cancels_what_an_attempt_owes),
		TEST(keeps_the_inbox_once),
		TEST(counts_the_replies_of_an_attempt),
		TEST(finds_a_message_by_its_seq),
		TEST(keeps_a_decision_of_two),
		TEST(chains_events),
		TEST(posts_in_double_entry),
		TEST(repeats_a_hop),
		TEST(spaces_calls),
		TEST(counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
