/*
 * A lane is an account's way to its provider. It neither sells nor sends while the account is
 * switched off, gone, held or stopped; queries and IPNs go on. A hold is a row, made in the commit
 * of what gave the reason: news of a request that was never sent (reliability.md 2.6, first row), a
 * store older than its mark (mark.h), a send address that is not there (2.4). Only persons release
 * it. What stops by itself and goes on by itself is the breaker (breaker.c).
 */
#include "engine_priv.h"

#include "tama/limits.h"

#include <stdio.h>

static bool is_held(const struct engine *e, uint32_t partner, struct str account)
{
	for (size_t i = 0; i < e->holds_len; i++) {
		const struct engine_hold *h = &e->holds[i];
		bool is_node = h->partner == 0 && str_eq(str_c(h->account), STR("*"));

		if (is_node || (h->partner == partner && str_eq(str_c(h->account), account)))
			return true;
	}
	return e->holds_len == LANES_HELD_MAX;
}

/* Neither switched off nor held: the breaker aside. */
bool lane_is_in_service(const struct engine *e, const struct account *account)
{
	return account != NULL && !account->out_of_service && !e->is_unmarked &&
	       !is_held(e, account->partner->id, account->name);
}

int lanes_load(struct engine *e)
{
	struct hold_row rows[LANES_HELD_MAX];
	int n = STORE(e, hold_list, &e->arena, rows, LANES_HELD_MAX);

	if (n < 0)
		return n;
	e->holds_len = (size_t)n;
	for (int i = 0; i < n; i++) {
		struct engine_hold *h = &e->holds[i];

		h->partner = rows[i].partner;
		(void)snprintf(h->account, sizeof(h->account), "%.*s", STR_ARG(rows[i].account));
	}
	e->stats.lanes_held = e->holds_len;
	return 0;
}

int lane_hold(struct engine *e, uint32_t partner, struct str account, const char *reason)
{
	struct hold_row row = {
		.id = engine_next_id(e),
		.partner = partner,
		.account = account,
		.reason = str_c(reason),
		.since_ms = e->now_ms,
	};
	int rc = STORE(e, hold_insert, &row);

	if (rc == TAMA_EEXIST)
		return 0;
	/* Until the commit it is only what this step believes. */
	e->lanes_touched = true;
	return rc == 0 ? lanes_load(e) : rc;
}

int lane_release(struct engine *e, uint32_t partner, uint64_t hold)
{
	int rc = STORE(e, hold_release, partner, hold, e->now_ms);

	e->lanes_touched = true;
	return rc == 0 ? lanes_load(e) : rc;
}

/* ---- a store that is not trusted
 * ------------------------------------------------------------------- */

bool lane_is_frozen(const struct engine *e, uint64_t purchase)
{
	return purchase <= e->frozen_id;
}

int lane_freeze_case(struct engine *e, struct engine_case *c)
{
	struct attempt_step step;
	int rc = case_apply(e, c, AEV_FREEZE, 0, &step);

	if (rc == 0)
		engine_alarm(e, "frozen", c->purchase.ref,
			"an earlier life may have sent it: a person decides");
	return rc;
}

int lane_freeze_one(struct engine *e, void *what)
{
	const struct attempt_row *row = what;
	struct engine_case c;
	int rc = case_load(e, row->partner, row->id, &c);

	return rc == 0 ? lane_freeze_case(e, &c) : rc;
}

int lanes_distrust(struct engine *e, enum mark_verdict verdict)
{
	e->frozen_id = engine_next_id(e);
	engine_alarm(e, "held", STR(""), mark_verdict_text(verdict));
	return lane_hold(e, 0, STR("*"), mark_verdict_text(verdict));
}
