/* The engine's clock: where it starts, and how it runs. */
#include "tama/clock.h"

#include "tama/limits.h"

#include <stddef.h>

static enum clock_start over_boots(int64_t kept_ms, int64_t wall_ms, int64_t *base_ms_out)
{
	int64_t bound_ms = kept_ms + LIMIT_CLOCK_AHEAD_MS;

	*base_ms_out = wall_ms < kept_ms ? kept_ms : wall_ms > bound_ms ? bound_ms : wall_ms;
	if (wall_ms < kept_ms)
		return CLOCK_WALL_BEHIND;
	return wall_ms > bound_ms ? CLOCK_WALL_AHEAD : CLOCK_WALL;
}

enum clock_start clock_begin(
	struct engine_clock *clock, const struct clock_kept *kept, int64_t wall_ms, int64_t boot_ms)
{
	enum clock_start start = CLOCK_FIRST;

	clock->base_boot_ms = boot_ms;
	clock->base_ms = wall_ms;
	if (kept->clock_ms > 0 && kept->is_same_boot && boot_ms >= kept->boot_ms) {
		clock->base_ms = kept->clock_ms + (boot_ms - kept->boot_ms);
		start = CLOCK_GOES_ON;
	} else if (kept->clock_ms > 0)
		start = over_boots(kept->clock_ms, wall_ms, &clock->base_ms);
	clock->last_ms = clock->base_ms;
	return start;
}

int64_t clock_now_ms(struct engine_clock *clock, int64_t boot_ms)
{
	int64_t now_ms = clock->base_ms + (boot_ms - clock->base_boot_ms);

	if (now_ms > clock->last_ms)
		clock->last_ms = now_ms;
	return clock->last_ms;
}

const char *clock_start_text(enum clock_start start)
{
	switch (start) {
	case CLOCK_FIRST:
	case CLOCK_GOES_ON:
	case CLOCK_WALL:
		return NULL;
	case CLOCK_WALL_BEHIND:
		return "the wall clock is behind what was kept: going on from there";
	case CLOCK_WALL_AHEAD:
		return "the wall clock is weeks ahead of what was kept: cut";
	}
	return NULL;
}
