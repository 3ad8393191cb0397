/* What float.c works out and float_ask.c learns: lives as long as the engine, forgotten at no cost.
 */
#ifndef TAMA_FLOAT_PRIV_H
#define TAMA_FLOAT_PRIV_H

#include "engine_priv.h"

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
	int64_t trimmed_ms; /* when old minutes of flows went last */
	size_t n;
	struct watched
		list[ENGINE_FLOATS_MAX]; /* the accounts of the configuration, then its floats */
	struct asked asked[ENGINE_FLOATS_MAX]; /* by account */
};

/* The account or agents' float of that name, as it was last worked out; NULL: none. */
struct watched *floats_find(struct float_state *floats, struct str name);

/* Sees to it that each account's chores are owed, once a life and after a reload. */
int floats_plan(struct engine *e);

#endif
