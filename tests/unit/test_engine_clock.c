/* The engine's clock: where it starts, and that nobody who sets the wall clock moves a deadline. */
#include "engine_rig.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* ---- pure --------------------------------------------------------------------------------------
 */

static void starts_where_it_should(void **state)
{
	static const struct {
		struct clock_kept kept;
		int64_t wall_ms, boot_ms;
		enum clock_start start;
		int64_t now_ms;
	} rows[] = {
		{{0, 0, false}, FX_EPOCH, 500, CLOCK_FIRST, FX_EPOCH},
		{{0, 0, true}, FX_EPOCH, 500, CLOCK_FIRST, FX_EPOCH},
		/* The same boot: by what has passed, whatever the wall clock says. */
		{{FX_EPOCH, 1000, true}, FX_EPOCH + 3 * DAY, 5000, CLOCK_GOES_ON, FX_EPOCH + 4000},
		{{FX_EPOCH, 1000, true}, 0, 5000, CLOCK_GOES_ON, FX_EPOCH + 4000},
		/* CLOCK_BOOTTIME went back: it is no longer that boot, whatever its id. */
		{{FX_EPOCH, 9000, true}, FX_EPOCH + 7, 5000, CLOCK_WALL, FX_EPOCH + 7},
		{{FX_EPOCH, 9000, false}, FX_EPOCH + DAY, 5000, CLOCK_WALL, FX_EPOCH + DAY},
		{{FX_EPOCH, 9000, false}, FX_EPOCH, 5000, CLOCK_WALL, FX_EPOCH},
		{{FX_EPOCH, 9000, false}, FX_EPOCH - 1, 5000, CLOCK_WALL_BEHIND, FX_EPOCH},
		{{FX_EPOCH, 9000, false}, 0, 5000, CLOCK_WALL_BEHIND, FX_EPOCH},
		{{FX_EPOCH, 9000, false}, FX_EPOCH + 30 * DAY, 5000, CLOCK_WALL,
			FX_EPOCH + 30 * DAY},
		{{FX_EPOCH, 9000, false}, FX_EPOCH + 30 * DAY + 1, 5000, CLOCK_WALL_AHEAD,
			FX_EPOCH + 30 * DAY},
		{{FX_EPOCH, 9000, false}, INT64_C(4102444800000), 5000, CLOCK_WALL_AHEAD,
			FX_EPOCH + 30 * DAY},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct engine_clock clock;
		enum clock_start start =
			clock_begin(&clock, &rows[i].kept, rows[i].wall_ms, rows[i].boot_ms);

		if (start != rows[i].start ||
			clock_now_ms(&clock, rows[i].boot_ms) != rows[i].now_ms)
			fail_msg("row %zu: start %d", i, (int)start);
		assert_true((clock_start_text(start) != NULL) == (start >= CLOCK_WALL_BEHIND));
		assert_true(clock_now_ms(&clock, rows[i].boot_ms + 77) == rows[i].now_ms + 77);
	}
}

static void never_goes_back(void **state)
{
	const struct clock_kept none = {0, 0, false};
	struct engine_clock clock;

	(void)state;
	(void)clock_begin(&clock, &none, FX_EPOCH, 1000);
	assert_true(clock_now_ms(&clock, 5000) == FX_EPOCH + 4000);
	assert_true(clock_now_ms(&clock, 4000) == FX_EPOCH + 4000);
	assert_true(clock_now_ms(&clock, 5001) == FX_EPOCH + 4001);
}

/* ---- live --------------------------------------------------------------------------------------
 */

/* F-C1, F-C2: three days either way while one request is READY, one under way, one in doubt. */
static void a_wall_clock_that_jumps_moves_no_deadline(void **state)
{
	static const int64_t jumps[] = {3 * DAY, -3 * DAY, -FX_EPOCH};

	for (size_t i = 0; i < ROWS(jumps); i++) {
		struct rig *r;
		struct attempt_row a;
		int64_t ids;

		if (i > 0)
			(void)rig_open(state);
		r = *state;
		(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
		a = rig_send(r);
		rig_reply(r, &a, "PENDING", "T");
		(void)rig_buy(r, "ci-payment", MTN, MTN, 2);
		ids = fx_sql(r->fx.store, "SELECT max(id) FROM outbox", 0);
		r->wall_off_ms = jumps[i];
		rig_wait(r, 9 * MINUTE);
		assert_int_equal(rig_count(r, SAID_ALARM, "clock"), 1);
		assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_READY);
		/* Nor is a time shown to people off by it. */
		assert_int_equal(rig_buy(r, "ci-payment", MTN, MTN, 3), ENGINE_SPACED);
		assert_in_range(r->until_ms - (r->now_ms + r->wall_off_ms), 5 * MINUTE, 6 * MINUTE);
		rig_wait(r, 2 * MINUTE);
		r->purchase = a.purchase;
		assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_ACCEPTED);
		assert_int_equal(rig_count(r, SAID_QUERY, NULL), 0);
		rig_wait(r, 6 * MINUTE);
		assert_int_equal(rig_count(r, SAID_QUERY, NULL), 1);
		assert_int_equal(
			fx_sql(r->fx.store, "SELECT count(*) FROM purchase WHERE state = 7", 0), 1);
		/* Ids go on growing. */
		(void)rig_buy(r, "ug-airtime", UG, UG, 4);
		assert_true(r->purchase > (uint64_t)ids);
		if (i + 1 < ROWS(jumps))
			(void)rig_close(state);
	}
}

/* A restart within the same boot goes on by the time that has passed. */
static void a_restart_after_a_jump_moves_none_either(void **state)
{
	struct rig *r = *state;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	(void)rig_send(r);
	r->wall_off_ms = 3 * DAY;
	sqlite_store_of(r->fx.store)->mark.past.is_same_boot = true;
	rig_crash(r);
	rig_wait(r, HOUR);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_UNKNOWN);
	rig_wait(r, 6 * HOUR);
	assert_int_equal(rig_attempt(r, 0).state, ATTEMPT_REVIEW);
}

/* Over a boot, with the wall clock in 1970: it goes on from what was kept. */
static void a_boot_without_a_clock_goes_on(void **state)
{
	struct rig *r = *state;
	uint64_t before;

	(void)rig_buy(r, "ci-payment", MOOV, MOOV, 1);
	before = r->purchase;
	r->wall_off_ms = -FX_EPOCH;
	rig_crash(r);
	rig_wait(r, MINUTE);
	assert_true(rig_count(r, SAID_ALARM, "clock") > 0);
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 2), ENGINE_DONE);
	assert_true(r->purchase > before);
	assert_true(fx_sql(r->fx.store, "SELECT min(created_ms) FROM purchase", 0) >= FX_EPOCH);
	rig_wait(r, 11 * MINUTE);
	r->purchase = before;
	assert_int_equal(rig_purchase_state(r), PURCHASE_EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_where_it_should),
		cmocka_unit_test(never_goes_back),
		RIG_TEST(a_wall_clock_that_jumps_moves_no_deadline),
		RIG_TEST(a_restart_after_a_jump_moves_none_either),
		RIG_TEST(a_boot_without_a_clock_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
