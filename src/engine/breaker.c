/*
 * The circuit breaker of an account (reliability.md 2.7): of its last 20 sends 5 in doubt stop the
 * lane, so that a provider which lies or hangs costs few ambiguous purchases. After a pause one may
 * try; its proven answer opens the lane, another doubt doubles the pause. A send is in doubt while
 * it is UNKNOWN and nothing has been proven about it since, so IPNs that settle them all open the
 * lane as well. A refusal for want of float stops it likewise, from the first on. A
 * doubt that our own death left says nothing of the provider.
 */
#include "engine_priv.h"

#include "tama/limits.h"

#include <stdio.h>

static struct lane *find(struct engine *e, uint32_t partner, struct str account)
{
	for (size_t i = 0; i < e->lanes_len; i++)
		if (e->lanes[i].partner == partner && str_eq(str_c(e->lanes[i].account), account))
			return &e->lanes[i];
	return NULL;
}

static const struct lane *lane_of(const struct engine *e, const struct account *account)
{
	/* Nothing is changed through it. */
	return find((struct engine *)(uintptr_t)e, account->partner->id, account->name);
}

/* As it was is kept until the step is. False: the step fails anyway. */
static bool keep(struct engine *e, struct lane *lane)
{
	struct lane_undo *undo = arena_alloc(&e->arena, sizeof(*undo));

	if (undo == NULL)
		return false;
	*undo = (struct lane_undo){e->undo, lane, *lane};
	e->undo = undo;
	return true;
}

/* To change it. NULL: no such lane, or the step fails anyway. */
static struct lane *edit(struct engine *e, uint32_t partner, struct str account)
{
	struct lane *lane = find(e, partner, account);

	return lane != NULL && keep(e, lane) ? lane : NULL;
}

void lanes_undo(struct engine *e, const struct lane_undo *mark)
{
	for (; e->undo != mark; e->undo = e->undo->next)
		*e->undo->lane = e->undo->was;
}

static unsigned doubts(const struct lane *lane)
{
	unsigned n = 0;

	for (size_t i = 0; i < LIMIT_LANE_SENDS; i++)
		n += lane->last[i].is_doubt;
	return n;
}

static void push(struct lane *lane, uint64_t attempt, bool is_doubt)
{
	lane->last[lane->next].attempt = attempt;
	lane->last[lane->next].is_doubt = is_doubt;
	lane->next = (lane->next + 1) % LIMIT_LANE_SENDS;
}

static void set_doubt(struct lane *lane, uint64_t attempt, bool is_doubt)
{
	for (size_t i = 0; i < LIMIT_LANE_SENDS; i++)
		if (lane->last[i].attempt == attempt)
			lane->last[i].is_doubt = is_doubt;
}

static void stop(struct engine *e, struct lane *lane, int64_t pause_ms, const char *why)
{
	e->stats.lanes_stopped += !lane->is_stopped;
	lane->is_stopped = true;
	lane->pause_ms = pause_ms < LIMIT_LANE_PAUSE_MAX_MS ? pause_ms : LIMIT_LANE_PAUSE_MAX_MS;
	lane->until_ms = e->now_ms + lane->pause_ms;
	lane->sold_ms = lane->until_ms;
	lane->probe = 0;
	engine_alarm(e, "lane_stopped", str_c(lane->account), why);
}

static void go_on(struct engine *e, struct lane *lane)
{
	e->stats.lanes_stopped -= lane->is_stopped;
	lane->is_stopped = false;
	lane->probe = 0;
	engine_alarm(
		e, "lane_open", str_c(lane->account), "a proven answer: requests go out again");
}

/* ---- what happened
 * --------------------------------------------------------------------------------- */

static void note_doubt(struct engine *e, struct lane *lane, uint64_t attempt)
{
	set_doubt(lane, attempt, true);
	if (lane->is_stopped && lane->probe == attempt)
		stop(e, lane, 2 * lane->pause_ms, "in doubt again");
	else if (!lane->is_stopped && doubts(lane) >= LIMIT_LANE_DOUBTS)
		stop(e, lane, LIMIT_LANE_PAUSE_MS, "too many of its last requests are in doubt");
}

static void note_proof(struct engine *e, struct lane *lane, uint64_t attempt)
{
	bool was_doubt = doubts(lane) > 0;

	set_doubt(lane, attempt, false);
	if (lane->is_stopped && (lane->probe == attempt || (was_doubt && doubts(lane) == 0)))
		go_on(e, lane);
}

/* Nothing left this host: no news of the provider. The next may try after the same pause. */
static void note_nothing(struct engine *e, struct lane *lane, uint64_t attempt)
{
	set_doubt(lane, attempt, false);
	if (lane->probe != attempt)
		return;
	lane->probe = 0;
	lane->until_ms = e->now_ms + lane->pause_ms;
}

void lane_note(struct engine *e, const struct attempt_row *attempt, enum attempt_state next)
{
	struct lane *lane = edit(e, attempt->partner, attempt->account);

	if (lane == NULL)
		return;
	switch (next) {
	case ATTEMPT_SENDING:
		push(lane, attempt->id, false);
		if (lane->is_stopped)
			lane->probe = attempt->id;
		break;
	case ATTEMPT_UNKNOWN:
		if (attempt->owner_incarnation == e->incarnation)
			note_doubt(e, lane, attempt->id);
		break;
	case ATTEMPT_ACCEPTED:
	case ATTEMPT_SUCCEEDED:
	case ATTEMPT_FAILED:
		note_proof(e, lane, attempt->id);
		break;
	case ATTEMPT_NOT_SENT:
		note_nothing(e, lane, attempt->id);
		break;
	/* REVIEW is a doubt that stays one; the rest say nothing of the provider. */
	case ATTEMPT_READY:
	case ATTEMPT_EXPIRED:
	case ATTEMPT_REVIEW:
	case ATTEMPT_CONTRADICTED:
	case ATTEMPT_WRITTEN_OFF:
	case ATTEMPT_STATES:
		break;
	}
}

void lane_note_refusal(
	struct engine *e, const struct attempt_row *attempt, const struct facts *facts)
{
	const struct account *account = engine_account(e, attempt);
	struct lane *lane;

	/* Where its balance is asked for, float.c closes it until that is told. */
	if (account == NULL || account->float_every_ms > 0 || attempt->leg == LEG_COLLECT ||
		attempt->state != ATTEMPT_FAILED || !provider_lacks_float(account->profile, facts))
		return;
	lane = edit(e, attempt->partner, attempt->account);
	if (lane != NULL)
		stop(e, lane, LIMIT_LANE_PAUSE_MAX_MS, "refused for want of float");
}

void lane_note_sale(struct engine *e, const struct account *account)
{
	struct lane *lane = account != NULL ? edit(e, account->partner->id, account->name) : NULL;

	if (lane != NULL && lane->is_stopped)
		lane->sold_ms = e->now_ms + lane->pause_ms;
}

/* ---- what follows
 * ---------------------------------------------------------------------------------- */

/* Whether one more may try now. */
static bool may_try(const struct engine *e, const struct lane *lane, int64_t from_ms)
{
	return !lane->is_stopped || (lane->probe == 0 && e->now_ms >= from_ms);
}

bool lane_is_open(const struct engine *e, const struct account *account)
{
	const struct lane *lane;

	if (!lane_is_in_service(e, account))
		return false;
	lane = lane_of(e, account);
	return lane == NULL || may_try(e, lane, lane->sold_ms);
}

bool lane_may_send(const struct engine *e, const struct account *account, uint64_t attempt)
{
	const struct lane *lane;

	if (!lane_is_in_service(e, account))
		return false;
	lane = lane_of(e, account);
	return lane == NULL || lane->probe == attempt || may_try(e, lane, lane->until_ms);
}

int64_t lane_look_ms(const struct engine *e, const struct account *account)
{
	const struct lane *lane = account != NULL ? lane_of(e, account) : NULL;
	int64_t look_ms = e->now_ms + LIMIT_LEASE_MS;

	if (lane != NULL && lane->is_stopped && lane->until_ms > e->now_ms &&
		lane->until_ms < look_ms)
		look_ms = lane->until_ms;
	return look_ms;
}

static bool sends(const struct engine *e, const struct lane *lane)
{
	const struct account *account = config_account(e->config, str_c(lane->account));
	const struct attempt_row delivery = {.leg = LEG_DELIVER, .account = str_c(lane->account)};

	return lane_is_in_service(e, account) && may_try(e, lane, lane->until_ms) &&
	       floats_may_send(e, &delivery);
}

int lanes_wake(struct engine *e)
{
	bool wakes = false;

	for (size_t i = 0; i < e->lanes_len; i++) {
		struct lane *lane = &e->lanes[i];
		bool is_open = sends(e, lane);

		if (is_open == lane->is_open)
			continue;
		if (!keep(e, lane))
			return TAMA_ENOMEM;
		lane->is_open = is_open;
		wakes = wakes || is_open;
	}
	return wakes ? STORE(e, outbox_release, e->now_ms, LIMIT_LEASE_MS, true) : 0;
}

bool engine_account_sells(const struct engine *e, const struct account *account)
{
	return lane_is_open(e, account);
}

/* ---- queries
 * --------------------------------------------------------------------------------------- */

static int64_t share_ms(const struct account *account)
{
	return 60000 / (account->queries_per_minute > 0 ? account->queries_per_minute : 1);
}

/*
 * Who has to wait is given a moment of his own within the minute. Were it the same for all, all of
 * them would be looked at and put off anew each time that one may go.
 */
static int64_t take_turn(const struct engine *e, struct lane *lane, int64_t wait_ms, int64_t share)
{
	int64_t at_ms = e->now_ms + wait_ms;

	if (lane->turn_ms > at_ms && lane->turn_ms <= e->now_ms + 60000)
		at_ms = lane->turn_ms;
	lane->turn_ms = at_ms + share;
	return at_ms - e->now_ms;
}

/*
 * A bucket of queries_per_minute, kept as the moment at which it is full again: each query moves it
 * by its share. A new life begins with an empty one, for nobody knows what the last one asked.
 */
static int64_t take_query(struct engine *e, struct lane *lane, int64_t share)
{
	int64_t room_ms;

	if (lane->refused_until_ms > e->now_ms)
		return lane->refused_until_ms - e->now_ms;
	if (lane->query_ms < e->now_ms)
		lane->query_ms = e->now_ms;
	room_ms = e->now_ms + 60000 - lane->query_ms;
	if (room_ms < share)
		return take_turn(e, lane, share - room_ms, share);
	lane->query_ms += share;
	return 0;
}

int64_t lane_wait_query(struct engine *e, const struct account *account)
{
	struct lane *lane = edit(e, account->partner->id, account->name);

	return lane != NULL ? take_query(e, lane, share_ms(account)) : 0;
}

/*
 * Every other one at most: a long list leaves half of the budget to those that settle money. But
 * who has to wait takes his part at once: deliveries may wait for a balance, and be it that more
 * queries wait than are ever made.
 */
int64_t lane_wait_inquiry(struct engine *e, const struct account *account)
{
	struct lane *lane = edit(e, account->partner->id, account->name);
	int64_t share = share_ms(account), wait_ms;

	if (lane == NULL)
		return 0;
	if (lane->inquiry_ms > e->now_ms)
		return lane->inquiry_ms - e->now_ms;
	if (lane->refused_until_ms > e->now_ms)
		return lane->refused_until_ms - e->now_ms;
	wait_ms = lane->has_inquiry ? 0 : take_query(e, lane, share);
	lane->has_inquiry = wait_ms > 0;
	if (wait_ms > 0)
		lane->query_ms += share;
	lane->inquiry_ms = e->now_ms + (wait_ms > 0 ? wait_ms : 2 * share);
	return wait_ms;
}

static void note_refused(struct engine *e, struct lane *lane)
{
	lane->refused_ms = lane->refused_ms == 0 ? LIMIT_QUERY_REFUSED_MS : 2 * lane->refused_ms;
	if (lane->refused_ms > LIMIT_QUERY_REFUSED_MAX_MS)
		lane->refused_ms = LIMIT_QUERY_REFUSED_MAX_MS;
	lane->refused_until_ms = e->now_ms + lane->refused_ms;
	engine_alarm(e, "queries_refused", str_c(lane->account),
		"the provider wants no queries for now");
}

void lane_note_query(struct engine *e, const struct account *account, const struct engine_result *r)
{
	bool is_refused = r->transfer.end == TRANSFER_COMPLETE &&
			  (r->transfer.status == 429 || r->transfer.status == 403);
	struct lane *lane;

	if (account == NULL || r->call != PROVIDER_STATUS)
		return;
	lane = edit(e, account->partner->id, account->name);
	if (lane == NULL)
		return;
	if (is_refused)
		note_refused(e, lane);
	else if (r->transfer.end == TRANSFER_COMPLETE && r->transfer.status < 300)
		lane->refused_ms = 0;
}

void lane_note_inquiry(
	struct engine *e, const struct account *account, const struct engine_account *told)
{
	struct lane *lane = edit(e, account->partner->id, account->name);

	if (lane == NULL)
		return;
	if (told->outcome == ACCOUNT_REFUSED)
		note_refused(e, lane);
	else if (told->outcome == ACCOUNT_TOLD)
		lane->refused_ms = 0;
}

/* ---- a new life
 * ------------------------------------------------------------------------------------ */

/* Nothing proven, though the provider had its time to answer: no request that died with us. */
static int is_doubt(struct engine *e, const struct attempt_row *a)
{
	if (a->state != ATTEMPT_UNKNOWN && a->state != ATTEMPT_REVIEW)
		return 0;
	return STORE(e, inbox_replies, a->partner, a->id);
}

static int meet(struct engine *e, const struct account *account)
{
	struct lane *lane = &e->lanes[e->lanes_len];
	struct attempt_row rows[LIMIT_LANE_SENDS];
	int n = STORE(e, attempt_recent, account->partner->id, account->name,
		(uint64_t)(e->now_ms - LIMIT_LANE_LOOK_MS) << 20, &e->arena, rows,
		LIMIT_LANE_SENDS);

	if (n < 0)
		return n;
	*lane = (struct lane){
		.partner = account->partner->id, .query_ms = e->now_ms + 60000, .is_open = true};
	(void)snprintf(lane->account, sizeof(lane->account), "%.*s", STR_ARG(account->name));
	while (n-- > 0) {
		int replies = is_doubt(e, &rows[n]);

		if (replies < 0)
			return replies;
		push(lane, rows[n].id, replies > 0);
	}
	e->lanes_len++;
	if (doubts(lane) < LIMIT_LANE_DOUBTS)
		return 0;
	/* A crash forgets no stop. */
	lane->is_stopped = true;
	lane->pause_ms = LIMIT_LANE_PAUSE_MS;
	lane->until_ms = lane->sold_ms = e->now_ms + lane->pause_ms;
	e->stats.lanes_stopped++;
	return 0;
}

int lanes_meet(struct engine *e)
{
	int rc = 0;

	for (size_t i = 0; i < e->config->accounts_len && rc == 0; i++) {
		const struct account *account = &e->config->accounts[i];

		if (lane_of(e, account) == NULL && e->lanes_len < LIMIT_CONFIG_LIST)
			rc = meet(e, account);
	}
	return rc;
}
