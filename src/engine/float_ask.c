/*
 * What a provider says of our money with it: when its balance is asked for, what the answer is
 * worth while requests are under way, and a refusal for want of float, which says more than any
 * balance. The account's chores, a balance and a day's list, are rows of the outbox that never end.
 */
#include "float_priv.h"

#include "tama/limits.h"
#include "tama/money.h"

#define HOUR_MS INT64_C(3600000)

/* ---- chores ------------------------------------------------------------------------------------
 */

int chore_at(struct engine *e, enum outbox_kind kind, const struct account *account, int64_t day,
	int64_t due_ms)
{
	struct outbox_row row = {.partner = account->partner->id,
		.kind = kind,
		.seq = (uint32_t)day,
		.due_ms = due_ms,
		.channel = account->name};
	uint64_t id = 0;
	int rc = STORE(e, chore_find, row.partner, kind, account->name, &id);

	if (rc == 0)
		rc = STORE(e, outbox_done, row.partner, id);
	if (rc != 0 && rc != TAMA_ENOTFOUND)
		return rc;
	row.id = engine_next_id(e);
	return STORE(e, outbox_insert, &row);
}

static int chore_plan(struct engine *e, const struct account *account)
{
	uint64_t id;
	int rc = 0;

	if (account->float_every_ms > 0)
		rc = STORE(e, chore_find, account->partner->id, OUTBOX_FLOAT, account->name, &id);
	if (rc == TAMA_ENOTFOUND)
		rc = chore_at(e, OUTBOX_FLOAT, account, 0, e->now_ms);
	return rc == 0 && account->reconcile_at_s >= 0 ? reconcile_plan(e, account) : rc;
}

int floats_plan(struct engine *e)
{
	int rc = 0;

	if (!e->floats->is_awake)
		rc = e->store->ops->chores_wake(e->store, e->now_ms);
	for (size_t i = 0; i < e->config->accounts_len && rc == 0; i++)
		rc = chore_plan(e, &e->config->accounts[i]);
	e->floats->is_awake = e->floats->is_planned = rc == 0;
	return rc;
}

/* ---- observing ---------------------------------------------------------------------------------
 */

static struct asked *asked_of(struct engine *e, const struct account *account)
{
	return &e->floats->asked[account - e->config->accounts];
}

/* What stands in the books now: what moves until the answer is there may be in it or not. */
static int note_asked(struct engine *e, const struct account *account)
{
	struct asked *asked = asked_of(e, account);

	asked->since_ms = e->now_ms - e->now_ms % HOUR_MS;
	return STORE(e, flow_get, account->partner->id, account->name, asked->since_ms,
		&asked->taken, &asked->added);
}

static int ask_wire(struct engine *e, const struct account *account, const struct wire_account *ask)
{
	struct effect *effect = engine_effect(e, EFFECT_ACCOUNT);

	if (effect == NULL)
		return TAMA_ENOMEM;
	effect->account = *ask;
	effect->account.partner = account->partner->id;
	effect->account.account = arena_str(&e->arena, account->name);
	return 0;
}

int floats_ask_account(struct engine *e, const struct account *account,
	const struct outbox_row *chore, const struct wire_account *ask, int64_t again_ms)
{
	int64_t wait_ms = lane_wait_inquiry(e, account);
	int rc;

	if (wait_ms > 0)
		return STORE(e, outbox_set_due, chore->partner, chore->id, e->now_ms + wait_ms,
			chore->tries);
	rc = STORE(e, outbox_set_due, chore->partner, chore->id, e->now_ms + again_ms,
		chore->tries + 1);
	if (rc == 0 && ask->call == PROVIDER_BALANCE)
		rc = note_asked(e, account);
	return rc == 0 ? ask_wire(e, account, ask) : rc;
}

/* The next multiple of the interval: days begin with one. */
static int64_t next_ask(const struct engine *e, const struct account *account)
{
	int64_t every = account->float_every_ms;

	return (e->now_ms / every + 1) * every;
}

int due_float(struct engine *e, const struct outbox_row *row)
{
	const struct account *account = config_account(e->config, row->channel);
	const struct wire_account ask = {.call = PROVIDER_BALANCE};

	if (account == NULL || account->partner->id != row->partner || account->float_every_ms == 0)
		return STORE(e, outbox_done, row->partner, row->id);
	return floats_ask_account(e, account, row, &ask, LIMIT_LEASE_MS);
}

/* What our books moved while the answer was under way may be in it or not. */
static int add_passed(struct engine *e, const struct account *account, struct observation_row *o)
{
	struct asked *asked = asked_of(e, account);
	int64_t taken = 0, added = 0;
	int rc = 0;

	if (asked->since_ms != 0)
		rc = STORE(e, flow_get, o->partner, o->account, asked->since_ms, &taken, &added);
	if (asked->since_ms != 0 && taken >= asked->taken && added >= asked->added) {
		o->slack_low += added - asked->added;
		o->slack_high += taken - asked->taken;
	}
	asked->since_ms = 0;
	return rc;
}

static int observation_fill(
	struct engine *e, const struct account *account, struct observation_row *o, int64_t *out)
{
	int64_t in = 0;
	int rc;

	*o = (struct observation_row){.id = engine_next_id(e),
		.partner = account->partner->id,
		.account = account->name,
		.at_ms = e->now_ms};
	rc = STORE(e, balance_get, o->partner, o->account, LEDGER_PROVIDER_FLOAT,
		str_c(account->currency->code), &o->books);
	if (rc == 0)
		rc = STORE(e, doubt_get, o->partner, o->account, &in, out);
	o->slack_high = in + *out;
	return rc;
}

int floats_observe(struct engine *e, const struct account *account, int64_t balance)
{
	struct observation_row o;
	int64_t out = 0;
	int rc = observation_fill(e, account, &o, &out);

	o.source = OBSERVATION_ASKED;
	o.balance = balance;
	if (rc == 0)
		rc = add_passed(e, account, &o);
	if (rc == 0)
		rc = STORE(e, observation_insert, &o);
	e->stats.observations++;
	e->floats->fresh_ms = 0;
	return rc;
}

/*
 * Its balance is asked for at once: it may have been a moment's lack. A provider that refuses again
 * and tells of money stays closed until the next balance of the schedule.
 */
static int ask_after_refusal(struct engine *e, const struct account *account)
{
	struct asked *asked = asked_of(e, account);
	bool is_first =
		asked->refused_ms == 0 || e->now_ms - asked->refused_ms >= LIMIT_FLOAT_EMPTY_MS;

	asked->refused_ms = e->now_ms;
	return is_first && account->float_every_ms > 0
		       ? chore_at(e, OUTBOX_FLOAT, account, 0, e->now_ms)
		       : 0;
}

/* Empty: whatever deliveries are under way would only give back what was not there. */
static int note_refusal(struct engine *e, const struct account *account, struct str ref)
{
	struct observation_row o;
	int64_t out = 0;
	int rc = observation_fill(e, account, &o, &out);

	o.source = OBSERVATION_REFUSED;
	o.books += out;
	o.slack_low = o.slack_high = 0;
	if (rc == 0)
		rc = STORE(e, observation_insert, &o);
	if (rc == 0)
		rc = ask_after_refusal(e, account);
	e->floats->fresh_ms = 0;
	engine_alarm(e, "float_refused", ref, "a delivery was refused for lack of float");
	return rc;
}

int floats_heard(struct engine *e, const struct engine_case *c, const struct facts *facts)
{
	const struct account *account = engine_account(e, &c->attempt);
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];

	if (account == NULL || c->attempt.leg == LEG_COLLECT ||
		!provider_lacks_float(account->profile, facts))
		return 0;
	attempt_terms_of(e, &c->attempt, &terms, national);
	if (provider_mismatch(account->profile, facts, &terms, account->profile->reply_must_match,
		    false) != 0)
		return 0;
	return note_refusal(e, account, c->purchase.ref);
}

static int take_balance(
	struct engine *e, const struct engine_account *told, const struct account *account)
{
	int64_t balance;
	bool is_ours = told->currency.n == 0 ||
		       str_eq_nocase(told->currency, str_c(account->currency->code));

	if (told->outcome == ACCOUNT_TOLD && is_ours &&
		money_parse_wire(told->amount, account->currency, &balance) == 0)
		return floats_observe(e, account, balance);
	engine_alarm(e, "float_unknown", account->name, "its balance was not told");
	return 0;
}

int handle_account(struct engine *e, struct engine_event *event)
{
	const struct engine_account *told = &event->as.account;
	const struct account *account = config_account(e->config, told->account);
	int rc;

	event->outcome = ENGINE_DONE;
	if (account == NULL || account->partner->id != told->partner)
		return 0;
	lane_note_inquiry(e, account, told);
	if (told->call == PROVIDER_LIST)
		return handle_list(e, event, account);
	rc = take_balance(e, told, account);
	if (rc == 0)
		rc = reconcile_observed(e, account);
	if (rc == 0 && account->float_every_ms > 0)
		rc = chore_at(e, OUTBOX_FLOAT, account, 0, next_ask(e, account));
	return rc;
}
