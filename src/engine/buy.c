/* D1: what a person confirmed becomes a purchase, an attempt READY, its row and the hop's reply. */
#include "engine_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"
#include "tama/mutant.h"

static void fill_purchase(struct engine *e, const struct engine_buy *buy, struct purchase_row *p)
{
	const struct buy_intent *intent = buy->intent;
	const struct offer *offer = intent->offer;

	*p = (struct purchase_row){
		.id = engine_next_id(e),
		.partner = buy->partner,
		.ordinal = buy->ordinal,
		.ref = intent->ref,
		.channel = buy->channel,
		.offer = offer->name,
		.payer = str_c(intent->payer.digits),
		.beneficiary = str_c(intent->beneficiary.digits),
		.operator_ = intent->operator_->name,
		.lang = buy->lang,
		.face_value = intent->face_value,
		.fee = intent->fee,
		.price = intent->price,
		.cost = offer_cost(offer, intent->face_value),
		.collect_fee = offer_collect_fee(offer, intent->price),
		.paid_by = offer->paid_by,
		.currency = str_c(offer->country->currency->code),
		.has_collect = offer->collect.account != NULL,
		.has_deliver = offer->deliver.account != NULL,
		.texts = texts_pack(intent->texts, &e->arena),
		.state = PURCHASE_CONFIRMED,
		.created_ms = e->now_ms,
		.updated_ms = e->now_ms,
	};
	if (intent->payer_operator != NULL)
		p->payer_operator = intent->payer_operator->name;
	memcpy(p->uid, buy->uid, UID_LEN);
	memcpy(p->menu_hash, buy->menu_hash, sizeof(p->menu_hash));
}

static void fill_attempt(struct engine *e, const struct purchase_row *p,
	const struct buy_intent *intent, struct attempt_row *a)
{
	const struct offer_leg *leg =
		p->has_collect ? &intent->offer->collect : &intent->offer->deliver;
	const struct operator_cfg *op = p->has_collect ? intent->payer_operator : intent->operator_;

	*a = (struct attempt_row){
		.leg = p->has_collect ? LEG_COLLECT : LEG_DELIVER,
		.n = 1,
		.account = leg->account->name,
		.our_ref = engine_reference(e),
		.verb = leg->verb,
		.service = offer_leg_service(leg, op),
		.number = p->has_collect ? p->payer : p->beneficiary,
		.amount = p->has_collect ? p->price : p->face_value,
		.currency = p->currency,
		.needs_secret = intent->secret != 0,
		.secret = intent->secret,
		.incarnation_made = e->incarnation,
	};
}

static bool operator_is_closed(struct engine *e, const struct operator_cfg *op)
{
	const struct operator_cfg *now = config_operator(e->config, op->name);

	return now == NULL || now->out_of_service;
}

/* Switches may have been thrown since the menu was walked: the engine's configuration decides. */
static bool is_closed(struct engine *e, const struct engine_buy *buy)
{
	const struct buy_intent *intent = buy->intent;
	const struct offer *offer = config_offer(e->config, intent->offer->name);

	if (offer == NULL || offer->out_of_service || offer->partner->id != buy->partner)
		return true;
	if (offer->collect.account != NULL && !lane_is_open(e, offer->collect.account))
		return true;
	if (offer->deliver.account != NULL && !lane_is_open(e, offer->deliver.account))
		return true;
	if (operator_is_closed(e, intent->operator_))
		return true;
	return intent->payer_operator != NULL && operator_is_closed(e, intent->payer_operator);
}

static int repeat(struct engine *e, struct engine_event *event, const struct purchase_row *p)
{
	struct engine_buy *buy = &event->as.buy;
	struct hop_row hop;
	int rc = STORE(e, hop_get, buy->partner, buy->uid, buy->ordinal, &e->arena, &hop);

	if (rc != 0)
		return rc;
	buy->repeat_reply = arena_str(&event->arena, hop.reply);
	buy->repeat_ref = arena_str(&event->arena, p->ref);
	buy->purchase = p->id;
	event->outcome = ENGINE_REPEATED;
	e->stats.repeated++;
	return 0;
}

static int insert_rows(struct engine *e, const struct engine_buy *buy, const struct purchase_row *p,
	struct attempt_row *a, int64_t due_ms)
{
	struct hop_row hop = {
		.partner = buy->partner, .ordinal = buy->ordinal, .reply = buy->hop_reply};
	struct event_row confirmed = {.partner = p->partner,
		.purchase = p->id,
		.to = PURCHASE_CONFIRMED,
		.cause = "confirmed",
		.incarnation = e->incarnation,
		.at_ms = e->now_ms};
	struct outbox_row progress = {.id = engine_next_id(e),
		.partner = p->partner,
		.kind = OUTBOX_PROGRESS,
		.purchase = p->id,
		.seq = SMS_SEQ_PROGRESS,
		.due_ms = e->now_ms + LIMIT_PROGRESS_MS};
	int rc;

	memcpy(hop.uid, buy->uid, UID_LEN);
	rc = leg_start(e, p, a, due_ms);
	if (rc == 0)
		rc = STORE(e, event_append, &confirmed);
	if (rc == 0)
		rc = STORE(e, hop_insert, &hop);
	if (rc == 0)
		rc = STORE(e, outbox_insert, &progress);
	return rc;
}

/* A push fails against an open session, so it waits until the END screen has had time to leave. */
static int64_t first_due(const struct engine *e, const struct buy_intent *intent, bool collects)
{
	const struct operator_cfg *op = intent->payer_operator;

	if (!collects || op == NULL || op->confirm == WALLET_OTP)
		return e->now_ms;
	return e->now_ms + op->push_delay_ms;
}

/* 2.7: the same once more within minutes is never dropped and never bought unasked. */
static int ask_again(struct engine *e, struct engine_event *event, const struct purchase_row *p)
{
	struct str ref;
	int rc = STORE(e, purchase_repeated, p, e->now_ms - LIMIT_REPEAT_MS, &e->arena, &ref);

	if (rc != 0)
		return rc == TAMA_ENOTFOUND ? 0 : rc;
	event->as.buy.repeat_ref = arena_str(&event->arena, ref);
	event->outcome = ENGINE_AGAIN;
	e->stats.asked_again++;
	return 0;
}

static int buy_new(struct engine *e, struct engine_event *event)
{
	struct engine_buy *buy = &event->as.buy;
	struct purchase_row p;
	struct attempt_row a;
	int64_t free_ms;
	bool is_over = false;
	int rc;

	fill_purchase(e, buy, &p);
	fill_attempt(e, &p, buy->intent, &a);
	if (a.service.n == 0) {
		event->outcome = ENGINE_CLOSED;
		return 0;
	}
	a.partner = p.partner;
	rc = pause_get(e, config_account(e->config, a.account), &a, &free_ms);
	if (rc != 0)
		return rc;
	if (free_ms > e->now_ms) {
		event->outcome = ENGINE_SPACED;
		buy->until_ms = e->wall_ms + (free_ms - e->now_ms);
		e->stats.spaced++;
		return 0;
	}
	rc = velocity_check(e, &p, buy->intent->offer, &is_over, &buy->until_ms);
	if (rc != 0)
		return rc;
	if (is_over) {
		event->outcome = ENGINE_LIMITED;
		if (buy->until_ms > 0)
			buy->until_ms += e->wall_ms - e->now_ms;
		e->stats.limited++;
		return 0;
	}
	rc = buy->intent->is_repeat_confirmed ? 0 : ask_again(e, event, &p);
	if (rc != 0 || event->outcome == ENGINE_AGAIN)
		return rc;
	rc = STORE(e, purchase_insert, &p);
	if (rc == TAMA_ECONFLICT) {
		event->outcome = ENGINE_REF_TAKEN;
		return 0;
	}
	if (rc != 0)
		return rc;
	rc = insert_rows(e, buy, &p, &a, first_due(e, buy->intent, p.has_collect));
	if (rc != 0)
		return rc;
	floats_promise(e, buy->intent);
	lane_note_sale(e, buy->intent->offer->collect.account);
	lane_note_sale(e, buy->intent->offer->deliver.account);
	buy->purchase = p.id;
	event->outcome = ENGINE_DONE;
	e->stats.bought++;
	return 0;
}

int handle_buy(struct engine *e, struct engine_event *event)
{
	struct engine_buy *buy = &event->as.buy;
	struct purchase_row p;
	int waiting = CLAIM_WAITING;
	int rc;

	if (buy->claim != NULL &&
		!atomic_compare_exchange_strong(buy->claim, &waiting, CLAIM_COMMITTING)) {
		event->outcome = ENGINE_CANCELLED;
		e->stats.cancelled++;
		return 0;
	}
	rc = STORE(e, purchase_by_key, buy->partner, buy->uid, buy->ordinal, &e->arena, &p);
	if (rc == 0 && !MUTANT(REPEAT_IS_NEW))
		return repeat(e, event, &p);
	if (rc != TAMA_ENOTFOUND && rc != 0)
		return rc;
	if (is_closed(e, buy)) {
		event->outcome = ENGINE_CLOSED;
		return 0;
	}
	rc = floats_look(e);
	if (rc != 0)
		return rc;
	if (!floats_allow(e, buy->intent)) {
		event->outcome = ENGINE_NO_FLOAT;
		e->stats.no_float++;
		return 0;
	}
	return buy_new(e, event);
}
