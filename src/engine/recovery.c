/*
 * The first steps of a life: what the one before had handed out is nobody's, what it was sending
 * may have been done, and a store that another life may have gone beyond is held and frozen.
 */
#include "engine_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"
#include "tama/mutant.h"

/* It may have executed: its owner is dead, nobody can say. */
static int recover_one(struct engine *e, void *what)
{
	const struct attempt_row *row = what;
	struct attempt_step step;
	struct engine_case c;
	int rc = case_load(e, row->partner, row->id, &c);

	if (rc == 0)
		rc = case_apply(
			e, &c, MUTANT(CRASH_IS_NOT_SENT) ? AEV_NOT_SENT : AEV_DOUBT, 0, &step);
	if (rc == 0)
		engine_alarm(
			e, "owner_dead", c.purchase.ref, "was being sent when the process died");
	return rc;
}

/* A store that has not come as far as its mark, or is somewhere else. */
static enum mark_verdict verdict(struct engine *e)
{
	struct store_past past;

	e->store->ops->past(e->store, &past);
	return MUTANT(RESTORE_WITHOUT_HOLD) ? MARK_FITS : past.mark;
}

/*
 * The first commit of a life takes back what the one before had only handed out: that is nobody's
 * now. Whoever is not trusted is held by it, too, before anything else is looked at.
 */
static int begin_life(struct engine *e)
{
	int rc = STORE(e, outbox_release, e->now_ms, LIMIT_LEASE_MS, false);

	return rc != 0 || mark_is_trusted(verdict(e)) ? rc : lanes_distrust(e, verdict(e));
}

/* What is READY in a store that is not trusted, batch by batch; the last batch accepts the store.
 */
static int freeze(struct engine *e, bool *more_out)
{
	struct attempt_row *rows = arena_alloc(&e->arena, sizeof(*rows) * LIMIT_OUTBOX_BATCH);
	int n;

	if (mark_is_trusted(verdict(e)))
		return 0;
	n = rows != NULL ? STORE(e, attempt_unsent, &e->arena, rows, LIMIT_OUTBOX_BATCH)
			 : TAMA_ENOMEM;
	for (int i = 0; i < n; i++) {
		int rc = engine_guarded(e, lane_freeze_one, &rows[i]);

		if (rc != 0)
			return rc;
	}
	*more_out = n == LIMIT_OUTBOX_BATCH;
	e->is_accepting = n >= 0 && !*more_out;
	return n < 0 ? n : 0;
}

int engine_recover(struct engine *e, bool *more_out)
{
	struct attempt_row *rows = arena_alloc(&e->arena, sizeof(*rows) * LIMIT_OUTBOX_BATCH);
	int n = 0;

	if (rows == NULL)
		return TAMA_ENOMEM;
	if (e->stats.commits == 0)
		n = begin_life(e);
	if (n < 0)
		return n;
	n = e->store->ops->attempt_orphans(e->store, &e->arena, rows, LIMIT_OUTBOX_BATCH);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		int rc = engine_guarded(e, recover_one, &rows[i]);

		if (rc == TAMA_EIO || rc == TAMA_EDOUBT)
			return rc;
		if (rc != 0)
			engine_alarm(e, "recovery", STR(""), "an orphan could not be moved");
	}
	CRASH_POINT("K29");
	*more_out = n == LIMIT_OUTBOX_BATCH;
	return *more_out ? 0 : freeze(e, more_out);
}
