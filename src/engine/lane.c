/*
 * A lane is an account's way to its provider. It is closed while the account is switched off or
 * gone, and held after news of a request that was never sent (reliability.md 2.6, first row): then
 * this store is older than the provider's memory, or somebody forges, and whatever else waits here
 * may have been sent before. A hold lasts until a person has looked and starts the gateway again.
 */
#include "engine_priv.h"

static bool is_held(const struct engine *e, struct str account)
{
	for (size_t i = 0; i < e->held_len; i++)
		if (str_eq(str_c(e->held[i]), account))
			return true;
	return e->held_len == LANES_HELD_MAX;
}

bool lane_is_open(const struct engine *e, const struct account *account)
{
	return account != NULL && !account->out_of_service && !is_held(e, account->name);
}

void lane_hold(struct engine *e, struct str account)
{
	if (is_held(e, account))
		return;
	(void)snprintf(e->held[e->held_len], sizeof(e->held[0]), "%.*s", STR_ARG(account));
	e->held_len++;
	e->stats.lanes_held = e->held_len;
}

void lane_release(struct engine *e, struct str account)
{
	size_t i = 0;

	while (i < e->held_len && !str_eq(str_c(e->held[i]), account))
		i++;
	if (i == e->held_len)
		return;
	e->held_len--;
	memmove(e->held[i], e->held[e->held_len], sizeof(e->held[0]));
	e->stats.lanes_held = e->held_len;
}
