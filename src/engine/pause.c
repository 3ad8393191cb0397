/*
 * The pause that a provider wants between two calls for one number and amount (easytransfert.md
 * 1.12). A leg keeps it from its start, so that a second purchase of the same is told the time at
 * once; a call begins it anew; what was never sent gives back what it kept.
 */
#include "engine_priv.h"

static int pause_set(
	struct engine *e, const struct attempt_row *a, int64_t free_ms, uint64_t keeper)
{
	const struct spacing spacing = {free_ms, keeper};

	return STORE(e, spacing_set, a->partner, a->account, a->number, a->amount, &spacing);
}

static int pause_read(struct engine *e, const struct attempt_row *a, struct spacing *out)
{
	return STORE(e, spacing_get, a->partner, a->account, a->number, a->amount, out);
}

static bool has_pause(const struct account *account)
{
	return account != NULL && account->spacing_ms > 0;
}

int pause_get(struct engine *e, const struct account *account, const struct attempt_row *a,
	int64_t *free_ms_out)
{
	struct spacing spacing = {0, 0};
	int rc = has_pause(account) ? pause_read(e, a, &spacing) : 0;
	bool is_own = spacing.keeper != 0 && spacing.keeper == a->id;

	if (rc == 0)
		*free_ms_out = is_own ? 0 : spacing.free_ms;
	return rc;
}

int pause_keep(struct engine *e, const struct attempt_row *a)
{
	const struct account *account = engine_account(e, a);
	int64_t free_ms;
	int rc = pause_get(e, account, a, &free_ms);

	if (rc != 0 || !has_pause(account) || a->n > 1 || free_ms > e->now_ms)
		return rc;
	return pause_set(e, a, e->now_ms + account->spacing_ms, a->id);
}

int pause_begin(struct engine *e, const struct attempt_row *a)
{
	const struct account *account = engine_account(e, a);

	return has_pause(account) ? pause_set(e, a, e->now_ms + account->spacing_ms, 0) : 0;
}

int pause_give_back(struct engine *e, const struct attempt_row *a)
{
	struct spacing spacing = {0, 0};
	int rc = has_pause(engine_account(e, a)) ? pause_read(e, a, &spacing) : 0;

	return rc == 0 && spacing.keeper == a->id ? pause_set(e, a, e->now_ms, 0) : rc;
}

int pause_end(struct engine *e, const struct attempt_row *a)
{
	return has_pause(engine_account(e, a)) ? pause_set(e, a, e->now_ms, 0) : 0;
}
