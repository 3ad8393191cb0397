/*
 * A day of an account against its provider (reliability.md 2.7). First the provider's list, page by
 * page: what was executed there and is not SUCCEEDED here becomes a query, whose answer is the
 * evidence, or is parked for a person; then what is SUCCEEDED here and absent there; last the two
 * balances around the day against what the books moved between them. Every step is a commit and
 * a due row, so a restart goes on where it was.
 *
 * The days of a list are of an unknown zone (xente.md 2.4). So three are asked for, and only
 * attempts sent on the day count, with those that never were: news of these is a hold (2.6).
 */
#include "engine_priv.h"

#include "tama/limits.h"

#define MATCH_BATCH 256
#define ASK_TRIES 5
#define ASK_AGAIN_MS 20000

/* ---- the provider's list -----------------------------------------------------------------------
 */

static int64_t mark_of(const struct engine_account *told)
{
	unsigned char hash[VAULT_HASH_LEN];
	int64_t mark;

	vault_digest(reconcile_item(&told->rows[0]), hash);
	memcpy(&mark, hash, sizeof(mark));
	return mark;
}

/* The last page has nothing, or is the one before again: then the page asked for was not heeded. */
static int take_page(struct engine *e, struct reconciliation_row *r,
	const struct engine_account *told, const struct account *account)
{
	bool is_end = told->rows_len == 0 || r->page >= LIMIT_LIST_PAGES ||
		      (r->page > 1 && mark_of(told) == r->page_mark);
	int rc = 0;

	r->has_list = true;
	if (is_end) {
		r->state = RECONCILE_MATCHING;
		return 0;
	}
	for (size_t i = 0; i < told->rows_len && rc == 0; i++)
		rc = reconcile_listed(e, r, &told->rows[i], account);
	r->page_mark = mark_of(told);
	r->page++;
	return rc;
}

int handle_list(struct engine *e, struct engine_event *event, const struct account *account)
{
	const struct engine_account *told = &event->as.account;
	struct reconciliation_row r;
	int rc = STORE(e, reconciliation_get, told->partner, account->name, told->day, &r);

	if (rc != 0)
		return rc == TAMA_ENOTFOUND ? 0 : rc;
	/* An older answer that came late, or one to a day that was begun anew. */
	if (r.state != RECONCILE_LISTING || r.page != told->page)
		return 0;
	switch (told->outcome) {
	case ACCOUNT_SILENT:
		engine_alarm(e, "list_unknown", account->name, "its list was not told");
		return 0; /* the row's lease asks again */
	case ACCOUNT_REFUSED:
		return 0; /* and not before queries are wanted again */
	case ACCOUNT_CANNOT:
		r.state = RECONCILE_CLOSING;
		break;
	case ACCOUNT_TOLD:
		rc = take_page(e, &r, told, account);
		break;
	}
	if (rc == 0)
		rc = STORE(e, reconciliation_put, &r);
	return rc == 0 ? chore_at(e, OUTBOX_RECONCILE, account, r.day, e->now_ms) : rc;
}

/* ---- ours that the list lacks ------------------------------------------------------------------
 */

/*
 * An attempt is made so long before it is sent for the last time, at most: of all legs a refund
 * waits longest, and a class I request may go once more until the provider forgets its id.
 */
static int64_t sent_after_ms(const struct account *account)
{
	return LIMIT_REFUND_READY_MS + (int64_t)account->keeps_ids_ms + LIMIT_LEASE_MS;
}

static int match(struct engine *e, struct reconciliation_row *r, const struct account *account)
{
	struct attempt_row *rows = arena_alloc(&e->arena, sizeof(*rows) * MATCH_BATCH);
	uint64_t first = (uint64_t)(r->day * DAY_MS - sent_after_ms(account)) << 20;
	uint64_t end = (uint64_t)((r->day + 1) * DAY_MS) << 20;
	int n, rc = 0;

	if (rows == NULL)
		return TAMA_ENOMEM;
	n = STORE(e, attempts_succeeded, r->partner, r->account,
		r->cursor > first ? r->cursor : first, end, &e->arena, rows, MATCH_BATCH);
	for (int i = 0; i < n && rc == 0; i++)
		rc = reconcile_sought(e, r, &rows[i]);
	if (n < 0 || rc != 0)
		return n < 0 ? n : rc;
	if (n > 0)
		r->cursor = rows[n - 1].id;
	if (n < MATCH_BATCH)
		r->state = RECONCILE_CLOSING;
	return 0;
}

/* ---- the balances around the day ---------------------------------------------------------------
 */

static int closing_find(
	struct engine *e, const struct reconciliation_row *r, struct observation_row *out)
{
	int64_t end_ms = (r->day + 1) * DAY_MS;

	/* Of a day that is not over yet: from after all that was compared. */
	if (end_ms > r->begun_ms)
		end_ms = r->begun_ms;
	return STORE(e, observation_find, r->partner, r->account, end_ms, INT64_MAX, false, out);
}

static int opening_find(struct engine *e, const struct reconciliation_row *r, int64_t until_ms,
	struct observation_row *out)
{
	int64_t start_ms = r->day * DAY_MS;
	int rc = STORE(e, observation_find, r->partner, r->account, 0, start_ms + 1, true, out);

	if (rc == TAMA_ENOTFOUND)
		rc = STORE(e, observation_find, r->partner, r->account, start_ms, until_ms, false,
			out);
	return rc;
}

static void compare(struct reconciliation_row *r, const struct observation_row *opening,
	const struct observation_row *closing)
{
	r->has_balances = true;
	r->opening = opening->balance;
	r->closing = closing->balance;
	r->booked = closing->books - opening->books;
	r->difference = closing->balance - opening->balance - r->booked;
	r->slack_low = -closing->slack_low - opening->slack_high;
	r->slack_high = closing->slack_high + opening->slack_low;
}

static enum reconciliation_state verdict(const struct reconciliation_row *r)
{
	if (!r->has_balances || r->late + r->missing + r->unknown + r->differing > 0)
		return RECONCILE_DIFFERS;
	if (r->difference == 0)
		return RECONCILE_BALANCED;
	return r->difference >= r->slack_low && r->difference <= r->slack_high ? RECONCILE_EXPLAINED
									       : RECONCILE_DIFFERS;
}

static int finish(struct engine *e, struct reconciliation_row *r, const struct outbox_row *chore)
{
	const struct account *account = config_account(e->config, r->account);
	int rc = STORE(e, listing_trim, r->partner, r->account, r->day);

	r->state = verdict(r);
	r->closed_ms = e->now_ms;
	e->stats.reconciled++;
	if (r->state == RECONCILE_DIFFERS)
		engine_alarm(e, "reconcile_differs", r->account,
			r->has_balances ? "a day does not agree with the provider's"
					: "no two balances to compare a day by");
	if (rc == 0)
		rc = STORE(e, reconciliation_put, r);
	if (rc == 0)
		rc = STORE(e, outbox_done, chore->partner, chore->id);
	return rc == 0 && account->reconcile_at_s >= 0 ? reconcile_plan(e, account) : rc;
}

static int close_day(struct engine *e, struct reconciliation_row *r, const struct outbox_row *chore,
	const struct account *account)
{
	const struct wire_account ask = {.call = PROVIDER_BALANCE};
	struct observation_row opening, closing;
	int rc = closing_find(e, r, &closing);

	if (rc == TAMA_ENOTFOUND && chore->tries < ASK_TRIES)
		return floats_ask_account(e, account, chore, &ask, ASK_AGAIN_MS);
	if (rc == 0)
		rc = opening_find(e, r, closing.at_ms, &opening);
	if (rc == 0 && opening.id != closing.id)
		compare(r, &opening, &closing);
	return rc == 0 || rc == TAMA_ENOTFOUND ? finish(e, r, chore) : rc;
}

int reconcile_observed(struct engine *e, const struct account *account)
{
	struct reconciliation_row r;
	struct outbox_row chore = {0};
	uint64_t id;
	int rc = STORE(e, chore_find, account->partner->id, OUTBOX_RECONCILE, account->name, &id);

	if (rc == 0)
		rc = STORE(e, outbox_get, account->partner->id, id, &e->arena, &chore);
	if (rc == 0)
		rc = STORE(e, reconciliation_get, chore.partner, account->name, chore.seq, &r);
	if (rc == 0 && r.state == RECONCILE_CLOSING && chore.due_ms > e->now_ms)
		rc = STORE(e, outbox_set_due, chore.partner, id, e->now_ms, chore.tries);
	return rc == TAMA_ENOTFOUND ? 0 : rc;
}

/* ---- one step of a day -------------------------------------------------------------------------
 */

static struct reconciliation_row begin(
	const struct engine *e, const struct account *account, int64_t day)
{
	return (struct reconciliation_row){.partner = account->partner->id,
		.account = account->name,
		.day = day,
		.state = RECONCILE_LISTING,
		.page = 1,
		.begun_ms = e->now_ms};
}

static int ask_page(struct engine *e, struct reconciliation_row *r, const struct outbox_row *chore,
	const struct account *account)
{
	const struct wire_account ask = {.call = PROVIDER_LIST, .day = r->day, .page = r->page};

	/* It has a list and does not show it: what the balances say is still worth knowing. */
	if (chore->tries >= ASK_TRIES) {
		r->state = RECONCILE_CLOSING;
		r->differing++;
		return STORE(e, reconciliation_put, r);
	}
	return floats_ask_account(e, account, chore, &ask, LIMIT_LEASE_MS);
}

static int go_on(struct engine *e, struct reconciliation_row *r, const struct outbox_row *chore,
	const struct account *account)
{
	int rc = 0;

	switch (r->state) {
	case RECONCILE_LISTING:
		rc = ask_page(e, r, chore, account);
		if (rc != 0 || r->state == RECONCILE_LISTING)
			return rc;
		break;
	case RECONCILE_MATCHING:
		rc = match(e, r, account);
		if (rc == 0)
			rc = STORE(e, reconciliation_put, r);
		break;
	case RECONCILE_CLOSING:
		return close_day(e, r, chore, account);
	case RECONCILE_BALANCED:
	case RECONCILE_EXPLAINED:
	case RECONCILE_DIFFERS:
		rc = STORE(e, outbox_done, chore->partner, chore->id);
		return rc == 0 && account->reconcile_at_s >= 0 ? reconcile_plan(e, account) : rc;
	}
	return rc == 0 ? STORE(e, outbox_set_due, chore->partner, chore->id, e->now_ms, 0) : rc;
}

int due_reconcile(struct engine *e, const struct outbox_row *chore)
{
	const struct account *account = config_account(e->config, chore->channel);
	struct reconciliation_row r;
	int rc;

	if (account == NULL || account->partner->id != chore->partner)
		return STORE(e, outbox_done, chore->partner, chore->id);
	rc = STORE(e, reconciliation_get, chore->partner, account->name, chore->seq, &r);
	if (rc == TAMA_ENOTFOUND) {
		r = begin(e, account, chore->seq);
		rc = STORE(e, reconciliation_put, &r);
	}
	return rc == 0 ? go_on(e, &r, chore, account) : rc;
}

/*
 * Yesterday, once its hour has come: at once where the gateway slept through it. An account that
 * was not observed before today has no yesterday here.
 */
int reconcile_plan(struct engine *e, const struct account *account)
{
	int64_t today = e->now_ms / DAY_MS;
	int64_t at_ms = today * DAY_MS + (int64_t)account->reconcile_at_s * 1000;
	struct reconciliation_row r;
	struct observation_row o;
	uint64_t id;
	int rc = STORE(e, chore_find, account->partner->id, OUTBOX_RECONCILE, account->name, &id);

	if (rc != TAMA_ENOTFOUND)
		return rc;
	rc = STORE(e, observation_find, account->partner->id, account->name, 0, today * DAY_MS,
		true, &o);
	if (rc == 0)
		rc = STORE(e, reconciliation_get, account->partner->id, account->name, today - 1,
			     &r) == TAMA_ENOTFOUND
			     ? 0
			     : TAMA_ENOTFOUND;
	if (rc == 0)
		return chore_at(e, OUTBOX_RECONCILE, account, today - 1,
			at_ms > e->now_ms ? at_ms : e->now_ms);
	return rc == TAMA_ENOTFOUND ? chore_at(e, OUTBOX_RECONCILE, account, today, at_ms + DAY_MS)
				    : rc;
}

int handle_reconcile(struct engine *e, struct engine_event *event)
{
	const struct engine_reconcile *ask = &event->as.reconcile;
	const struct account *account = config_account(e->config, ask->account);
	struct reconciliation_row r;
	int rc;

	event->outcome = ENGINE_CLOSED;
	if (account == NULL || account->partner->id != ask->partner || ask->day < 0 ||
		ask->day > e->now_ms / DAY_MS)
		return 0;
	event->outcome = ENGINE_DONE;
	r = begin(e, account, ask->day);
	rc = STORE(e, reconciliation_put, &r);
	return rc == 0 ? chore_at(e, OUTBOX_RECONCILE, account, ask->day, e->now_ms) : rc;
}
