/*
 * Whether the limits of velocity let a purchase through (reliability.md 5.5): of who pays, of who
 * is paid for, of the partner, of the channel and of each account a leg goes to. Counted from the
 * rows themselves, inside the transaction that would insert one more.
 */
#include "engine_priv.h"

static const int64_t WINDOW_MS[VELOCITY_WINDOWS] = {
	[VELOCITY_TEN_MINUTES] = 10 * 60 * (int64_t)1000,
	[VELOCITY_DAY] = 24 * 3600 * (int64_t)1000,
	[VELOCITY_MONTH] = 30 * 24 * 3600 * (int64_t)1000,
};

/* Where rows are too many to walk, they are counted by spans of so long (schema.sql, tally). */
static const int64_t SPAN_MS[VELOCITY_WINDOWS] = {
	[VELOCITY_TEN_MINUTES] = 60 * (int64_t)1000,
	[VELOCITY_DAY] = 3600 * (int64_t)1000,
	[VELOCITY_MONTH] = 24 * 3600 * (int64_t)1000,
};

static const char *const REACHED[] = {
	[VELOCITY_OF_ALL] = "the partner's limit is reached",
	[VELOCITY_OF_ACCOUNT] = "the account's cap is reached",
	[VELOCITY_OF_CHANNEL] = "the channel's cap is reached",
};

/* What is asked of one limit, and what has been found so far. */
struct look {
	struct velocity_count count; /* partner, what and whose */
	int64_t n, value; /* what the purchase that is asked for would add */
	bool is_over;
	bool is_never; /* no time is known from which it would work */
	int64_t until_ms;
};

static int look_in(
	struct engine *e, struct look *look, const struct velocity_rule *rule, int window)
{
	bool is_by_number = look->count.of <= VELOCITY_OF_BENEFICIARY;
	int64_t over_ms = 0;
	int rc;

	if ((rule->value > 0 && look->value > rule->value) ||
		(rule->count > 0 && look->n > rule->count)) {
		look->is_over = look->is_never = true;
		return 0;
	}
	look->count.span_ms = is_by_number ? 0 : SPAN_MS[window];
	look->count.since_ms = e->now_ms - WINDOW_MS[window] - look->count.span_ms;
	look->count.count_max = rule->count > 0 ? (int64_t)rule->count - look->n : INT64_MAX;
	look->count.value_max = rule->value > 0 ? rule->value - look->value : INT64_MAX;
	rc = STORE(e, velocity_over, &look->count, &over_ms);
	if (rc != 0 || over_ms == 0)
		return rc;
	look->is_over = true;
	/* When others will have bought less is nobody's business; that nothing is sold is ours. */
	if (!is_by_number) {
		look->is_never = true;
		engine_alarm(e, "limit", look->count.key, REACHED[look->count.of]);
	} else if (over_ms + WINDOW_MS[window] > look->until_ms)
		look->until_ms = over_ms + WINDOW_MS[window];
	return 0;
}

static int look_at(struct engine *e, struct look *look, const struct velocity *limits)
{
	int rc = 0;

	for (int i = 0; i < VELOCITY_WINDOWS && rc == 0; i++)
		if (limits->windows[i].count > 0 || limits->windows[i].value > 0)
			rc = look_in(e, look, &limits->windows[i], i);
	return rc;
}

static int look_at_account(struct engine *e, struct look *look, const struct account *account)
{
	/* The engine's configuration may be newer than the one that the menu was walked with. */
	account = account != NULL ? config_account(e->config, account->name) : NULL;
	if (account == NULL)
		return 0;
	look->count.of = VELOCITY_OF_ACCOUNT;
	look->count.key = account->name;
	return look_at(e, look, &account->cap);
}

/* Both legs' requests, also where one account carries both. */
static int look_at_legs(struct engine *e, struct look *look, const struct purchase_row *p,
	const struct offer *offer)
{
	const struct account *collect = offer->collect.account, *deliver = offer->deliver.account;
	bool is_one = collect != NULL && collect == deliver;
	int rc;

	look->n = is_one ? 2 : 1;
	look->value = p->price + (is_one ? p->face_value : 0);
	rc = look_at_account(e, look, collect);
	if (rc != 0 || is_one)
		return rc;
	look->value = p->face_value;
	return look_at_account(e, look, deliver);
}

static int look_at_purchase(
	struct engine *e, struct look *look, const struct purchase_row *p, const struct limits *own)
{
	int rc;

	look->count.of = VELOCITY_OF_PAYER;
	look->count.key = p->payer;
	look->value = p->price;
	rc = look_at(e, look, &own->payer);
	if (rc != 0)
		return rc;
	look->count.of = VELOCITY_OF_BENEFICIARY;
	look->count.key = p->beneficiary;
	look->value = p->face_value;
	rc = look_at(e, look, &own->beneficiary);
	if (rc != 0)
		return rc;
	look->count.of = VELOCITY_OF_ALL;
	look->count.key = p->currency;
	look->value = p->price;
	return look_at(e, look, &own->all);
}

/* What may be taken with a channel's secret, should somebody else have it. */
static int look_at_channel(struct engine *e, struct look *look, const struct purchase_row *p)
{
	const struct channel *channel = config_channel(e->config, p->channel);

	if (channel == NULL)
		return 0;
	look->count.of = VELOCITY_OF_CHANNEL;
	look->count.key = p->channel;
	look->value = p->price;
	return look_at(e, look, &channel->cap);
}

int velocity_check(struct engine *e, const struct purchase_row *p, const struct offer *offer,
	bool *is_over_out, int64_t *until_ms_out)
{
	const struct limits *own = config_limits(e->config, p->partner, p->currency);
	struct look look = {.count = {.partner = p->partner, .currency = p->currency}, .n = 1};
	int rc = own != NULL ? look_at_purchase(e, &look, p, own) : 0;

	if (rc == 0)
		rc = look_at_channel(e, &look, p);
	if (rc == 0)
		rc = look_at_legs(e, &look, p, offer);
	if (rc != 0)
		return rc;
	*is_over_out = look.is_over;
	*until_ms_out = look.is_never ? 0 : look.until_ms;
	return 0;
}
