/* The engine's rig with floats that are watched: what providers tell of accounts, and how it looks.
 */
#ifndef TAMA_FLOAT_RIG_H
#define TAMA_FLOAT_RIG_H

#include "engine_rig.h"

#define ET STR("et-ci")
#define XENTE STR("xente-ug")

static inline void float_budget(struct rig *r, struct str account, unsigned per_minute)
{
	struct account *a = (struct account *)(uintptr_t)config_account(r->fx.config, account);

	a->queries_per_minute = per_minute;
}

static inline int float_open(void **state)
{
	static const struct config_setting settings[] = {{STR_INIT("floats"), STR_INIT("on")}};
	const struct config_options options = {.settings = settings, .settings_len = 1};
	const struct config *config = NULL;
	struct err err = ERR_INIT;
	int rc = rig_open(state);
	struct rig *r = *state;

	if (config_load("tests/fixtures/engine.lua", &options, &config, &err) != 0)
		fail_msg("%s", err.text);
	engine_set_config(r->engine, config);
	config_unref(&r->fx.config);
	r->fx.config = config;
	/* As good as none: budgets have tests of their own. */
	float_budget(r, ET, 100000);
	float_budget(r, XENTE, 100000);
	return rc;
}

static inline struct engine_account *float_told(
	struct rig *r, struct str account, enum provider_call call, const char *amount)
{
	struct engine_event *event = rig_event(r, ENGINE_ACCOUNT);
	struct engine_account *told = &event->as.account;

	told->partner = config_account(r->fx.config, account)->partner->id;
	told->account = account;
	told->call = call;
	told->outcome = ACCOUNT_TOLD;
	told->amount = str_c(amount);
	return told;
}

static inline void float_balance(struct rig *r, struct str account, const char *amount)
{
	(void)float_told(r, account, PROVIDER_BALANCE, amount);
	rig_step(r);
}

static inline struct engine_float float_now(struct rig *r, const char *name)
{
	static struct engine_float floats[ENGINE_FLOATS_MAX];
	size_t n = engine_floats(r->engine, floats, ENGINE_FLOATS_MAX);

	for (size_t i = 0; i < n; i++)
		if (strcmp(floats[i].name, name) == 0)
			return floats[i];
	fail_msg("no float %s", name);
	return floats[0];
}

/* How often the engine asked for this of an account. */
static inline unsigned float_asked(struct rig *r, const char *what)
{
	return rig_count(r, SAID_ACCOUNT, what);
}

#define FLOAT_TEST(f) cmocka_unit_test_setup_teardown(f, float_open, rig_close)

#endif
