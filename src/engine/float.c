/*
 * Floats: what our money at each provider, and agents' money with us, is still good for. A balance
 * is what the provider said last and what our books moved since; less what is promised. Nothing is
 * sold, and so nothing is collected, that could not be delivered from it (F-D26).
 *
 * Everything here is worked out from the store, once a second; what a second's purchases promise is
 * added in between. So forgetting it costs nothing, and is what a step does that was not kept.
 */
#include "float_priv.h"

#include "tama/limits.h"

#define HOUR_MS INT64_C(3600000)
#define FLOW_KEPT_MS (48 * HOUR_MS)

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

struct watched *floats_find(struct float_state *floats, struct str name)
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
			       ? floats_find(e->floats, p->name)
			       : NULL;
	case PROMISE_ACCOUNT:
		break;
	}
	if (account == NULL || account->partner->id != p->partner)
		return NULL;
	return floats_find(e->floats, account->name);
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

/* No forecast looks further back. */
static int trim(struct engine *e)
{
	int64_t age_ms = e->now_ms - e->floats->trimmed_ms;

	if (age_ms >= 0 && age_ms < HOUR_MS)
		return 0;
	e->floats->trimmed_ms = e->now_ms;
	return STORE(e, flow_trim, e->now_ms - FLOW_KEPT_MS);
}

int floats_step(struct engine *e)
{
	int rc = 0;

	if (e->world.sends_nothing)
		return 0;
	if (!e->floats->is_planned)
		rc = floats_plan(e);
	if (rc == 0)
		rc = trim(e);
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
		const struct watched *w = floats_find(e->floats, needs[i].name);

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
		struct watched *w = floats_find(e->floats, needs[i].name);

		if (w == NULL || w->shown.available == INT64_MAX)
			continue;
		w->shown.reserved += needs[i].amount;
		w->shown.available -= needs[i].amount;
	}
}

bool floats_may_send(const struct engine *e, const struct attempt_row *attempt)
{
	const struct watched *w = floats_find(e->floats, attempt->account);

	return attempt->leg == LEG_COLLECT || w == NULL || !w->is_refused;
}
