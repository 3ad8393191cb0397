/*
 * Floats: what our money at each provider, and agents' money with us, is still good for. A balance
 * is what the provider said last and what our books moved since; less what is promised. Nothing is
 * sold, and so nothing is collected, that could not be delivered from it (F-D26).
 *
 * Everything here is worked out from the store, once a second; what a second's purchases promise is
 * added in between. So forgetting it costs nothing, and is what a step does that was not kept.
 */
#include "engine_priv.h"

#include "tama/limits.h"
#include "tama/money.h"

#define HOUR_MS INT64_C(3600000)

struct watched {
	struct engine_float shown;
	bool is_low; /* the alarm has been given */
	bool is_refused; /* the last news of it: what is paid for waits until a balance is told */
};

/* What stood in the books when a balance was asked for. */
struct asked {
	int64_t since_ms;
	int64_t taken, added;
	int64_t refused_ms; /* when a delivery was last refused for lack of float */
};

struct float_state {
	bool is_planned, is_awake;
	int64_t fresh_ms; /* 0: nothing is worked out */
	size_t n;
	struct watched
		list[ENGINE_FLOATS_MAX]; /* the accounts of the configuration, then its floats */
	struct asked asked[ENGINE_FLOATS_MAX]; /* by account */
};

struct float_state *floats_new(void)
{
	struct float_state *floats = calloc(1, sizeof(*floats));

	tama_assert(floats != NULL);
	return floats;
}

void floats_free(struct float_state **floats)
{
	free(*floats);
	*floats = NULL;
}

void floats_forget(struct float_state *floats)
{
	floats->fresh_ms = 0;
	floats->is_planned = false;
	memset(floats->asked, 0, sizeof(floats->asked));
}

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

static int plan(struct engine *e)
{
	int rc = 0;

	if (!e->floats->is_awake)
		rc = e->store->ops->chores_wake(e->store, e->now_ms);
	for (size_t i = 0; i < e->config->accounts_len && rc == 0; i++)
		rc = chore_plan(e, &e->config->accounts[i]);
	e->floats->is_awake = e->floats->is_planned = rc == 0;
	return rc;
}

/* ---- what each is worth ------------------------------------------------------------------------
 */

static int64_t seconds_left(int64_t available, int64_t taken, int64_t added, int64_t window_ms)
{
	int64_t net = taken - added;

	if (net <= 0)
		return -1;
	return available > 0 ? available * (window_ms / 1000) / net : 0;
}

/* By the last hour, or where that tells nothing by the last day. */
static int forecast(struct engine *e, uint32_t partner, struct str name, struct engine_float *f)
{
	static const int64_t windows_ms[] = {HOUR_MS, 24 * HOUR_MS};
	int64_t taken, added;
	int rc = 0;

	f->seconds_left = -1;
	for (size_t i = 0; i < 2 && rc == 0 && f->seconds_left < 0; i++) {
		rc = STORE(e, flow_get, partner, name, e->now_ms - windows_ms[i], &taken, &added);
		if (rc == 0)
			f->seconds_left = seconds_left(f->available, taken, added, windows_ms[i]);
	}
	return rc;
}

/* A refusal counts until the next balance, or for a while where none is asked for. */
static bool is_void(
	const struct engine *e, const struct account *account, const struct observation_row *o)
{
	if (account->float_every_ms > 0)
		return false;
	return o->source == OBSERVATION_ASKED || e->now_ms - o->at_ms >= LIMIT_FLOAT_EMPTY_MS;
}

/*
 * What may be in the balance and will be booked still is left out: it would count twice. So the
 * float is never thought larger than it is.
 */
static int value_account(struct engine *e, const struct account *account, struct watched *w)
{
	struct engine_float *f = &w->shown;
	struct observation_row o;
	int64_t books;
	int rc = STORE(e, observation_last, account->partner->id, account->name, &o);

	f->is_known = rc == 0 && !is_void(e, account, &o);
	f->seconds_left = -1;
	f->available = account->float_must_be_known ? 0 : INT64_MAX;
	f->sells = !account->float_must_be_known;
	if (rc == TAMA_ENOTFOUND || (rc == 0 && !f->is_known))
		return 0;
	if (rc == 0)
		rc = STORE(e, balance_get, account->partner->id, account->name,
			LEDGER_PROVIDER_FLOAT, str_c(account->currency->code), &books);
	if (rc != 0)
		return rc;
	w->is_refused = o.source == OBSERVATION_REFUSED && account->float_every_ms > 0;
	f->balance = o.balance - o.slack_high + books - o.books;
	f->available = f->balance - f->reserved - account->float_stop;
	f->sells = f->available > 0;
	return forecast(e, account->partner->id, account->name, f);
}

static int value_agents(struct engine *e, const struct float_cfg *agents, struct engine_float *f)
{
	int64_t spent;
	int rc = STORE(e, balance_get, agents->partner->id, agents->paid_by, LEDGER_AGENT_FLOAT,
		str_c(agents->currency->code), &spent);

	if (rc != 0)
		return rc;
	f->is_known = true;
	f->balance = agents->opening - spent;
	f->available = f->balance - f->reserved;
	f->sells = f->available > 0;
	return forecast(e, agents->partner->id, agents->paid_by, f);
}

/* One line when it falls below, one more when nothing can be sold. */
static void warn(struct engine *e, struct watched *w, int64_t below)
{
	const struct engine_float *f = &w->shown;
	bool is_low = f->is_known && (f->balance - f->reserved < below || !f->sells);

	if (is_low && !w->is_low)
		engine_alarm(e, f->sells ? "float_low" : "float_empty", str_c(f->name),
			f->sells ? "less than its warning" : "nothing is sold from it");
	w->is_low = is_low;
}

static void watched_begin(struct watched *w, struct str name)
{
	bool is_same = str_eq(str_c(w->shown.name), name);

	w->is_low = is_same && w->is_low;
	w->is_refused = false;
	w->shown = (struct engine_float){.seconds_left = -1};
	(void)snprintf(w->shown.name, sizeof(w->shown.name), "%.*s", STR_ARG(name));
}

static struct watched *find(struct float_state *floats, struct str name)
{
	for (size_t i = 0; i < floats->n; i++)
		if (str_eq(str_c(floats->list[i].shown.name), name))
			return &floats->list[i];
	return NULL;
}

/* The account that a promise will be kept from: names of another partner's are none. */
static struct watched *promised(struct engine *e, const struct promise_row *p)
{
	const struct offer *offer;
	const struct account *account = config_account(e->config, p->name);
	const struct float_cfg *agents = config_float(e->config, p->name);

	switch (p->kind) {
	case PROMISE_OFFER:
		offer = config_offer(e->config, p->name);
		account = offer != NULL ? offer->deliver.account : NULL;
		break;
	case PROMISE_AGENT:
		return agents != NULL && agents->partner->id == p->partner
			       ? find(e->floats, p->name)
			       : NULL;
	case PROMISE_ACCOUNT:
		break;
	}
	if (account == NULL || account->partner->id != p->partner)
		return NULL;
	return find(e->floats, account->name);
}

static int add_promises(struct engine *e)
{
	struct promise_row *rows = arena_alloc(&e->arena, sizeof(*rows) * LIMIT_FLOAT_PROMISES);
	int n;

	if (rows == NULL)
		return TAMA_ENOMEM;
	n = STORE(e, promises, &e->arena, rows, LIMIT_FLOAT_PROMISES);
	for (int i = 0; i < n; i++) {
		struct watched *w = promised(e, &rows[i]);

		if (w != NULL)
			w->shown.reserved += rows[i].sum;
	}
	return n < 0 ? n : 0;
}

static void list_begin(struct engine *e)
{
	struct float_state *floats = e->floats;
	const struct config *c = e->config;

	floats->n = 0;
	for (size_t i = 0; i < c->accounts_len; i++)
		watched_begin(&floats->list[floats->n++], c->accounts[i].name);
	for (size_t i = 0; i < c->floats_len && floats->n < ENGINE_FLOATS_MAX; i++)
		watched_begin(&floats->list[floats->n++], c->floats[i].paid_by);
}

static int refresh(struct engine *e)
{
	struct float_state *floats = e->floats;
	const struct config *c = e->config;
	int rc;

	tama_assert(c->accounts_len <= ENGINE_FLOATS_MAX);
	list_begin(e);
	rc = add_promises(e);
	for (size_t i = 0; i < floats->n && rc == 0; i++) {
		struct watched *w = &floats->list[i];
		bool is_account = i < c->accounts_len;
		const struct float_cfg *agents =
			is_account ? NULL : &c->floats[i - c->accounts_len];

		rc = is_account ? value_account(e, &c->accounts[i], w)
				: value_agents(e, agents, &w->shown);
		warn(e, w, is_account ? c->accounts[i].float_warn : agents->warn);
	}
	floats->fresh_ms = rc == 0 ? e->now_ms : 0;
	return rc;
}

static int refresh_after(struct engine *e, int64_t ms)
{
	int64_t age_ms = e->now_ms - e->floats->fresh_ms;

	return age_ms >= 0 && age_ms < ms ? 0 : refresh(e);
}

int floats_step(struct engine *e)
{
	int rc = 0;

	if (e->world.sends_nothing)
		return 0;
	if (!e->floats->is_planned)
		rc = plan(e);
	return rc == 0 ? refresh_after(e, LIMIT_FLOAT_IDLE_MS) : rc;
}

size_t engine_floats(const struct engine *e, struct engine_float *out, size_t max)
{
	size_t n = e->floats->fresh_ms != 0 ? e->floats->n : 0;

	if (n > max)
		n = max;
	for (size_t i = 0; i < n; i++)
		out[i] = e->floats->list[i].shown;
	return n;
}

/* ---- selling -----------------------------------------------------------------------------------
 */

int floats_look(struct engine *e)
{
	return refresh_after(e, LIMIT_FLOAT_FRESH_MS);
}

bool floats_allow(const struct engine *e, const struct buy_intent *intent)
{
	const struct offer *offer = config_offer(e->config, intent->offer->name);
	struct float_need needs[FLOAT_NEEDS_MAX];
	size_t n = float_needs(offer, intent->face_value, intent->price, needs);

	for (size_t i = 0; i < n; i++) {
		const struct watched *w = find(e->floats, needs[i].name);

		if (w != NULL && needs[i].amount > w->shown.available)
			return false;
	}
	return true;
}

void floats_promise(struct engine *e, const struct buy_intent *intent)
{
	const struct offer *offer = config_offer(e->config, intent->offer->name);
	struct float_need needs[FLOAT_NEEDS_MAX];
	size_t n = float_needs(offer, intent->face_value, intent->price, needs);

	for (size_t i = 0; i < n; i++) {
		struct watched *w = find(e->floats, needs[i].name);

		if (w == NULL || w->shown.available == INT64_MAX)
			continue;
		w->shown.reserved += needs[i].amount;
		w->shown.available -= needs[i].amount;
	}
}

bool floats_may_send(const struct engine *e, const struct attempt_row *attempt)
{
	const struct watched *w = find(e->floats, attempt->account);

	return attempt->leg == LEG_COLLECT || w == NULL || !w->is_refused;
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
	if (rc == 0)
		rc = e->store->ops->flow_trim(e->store, e->now_ms - 48 * HOUR_MS);
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
