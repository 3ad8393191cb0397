/*
 * The engine's clock: the time by which purchases wait, expire and are asked about. It runs on
 * CLOCK_BOOTTIME, which counts suspension and which nobody sets, so a wall clock that jumps moves
 * no deadline (F-C1, F-C2, F-C4). Pure.
 *
 * Where it starts. Within one boot of the machine it goes on where the last life left it, whatever
 * the wall clock says. Over a boot nothing but the wall clock is there to ask: it is taken, but
 * never for less than what was kept last, and never for more than LIMIT_CLOCK_AHEAD_MS beyond it.
 * So a machine that starts in 1970 goes on from what it kept, and one that starts in 2099 is some
 * weeks ahead and not poisoned for ever; both are told. What was kept is at most a second of
 * traffic old (store.h, mark_raise).
 *
 * It may stay off the wall clock until the next boot: times shown to people are worked out from the
 * wall clock at that moment, and the difference is a gauge.
 */
#ifndef TAMA_CLOCK_H
#define TAMA_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* What an earlier life kept. */
struct clock_kept {
	int64_t clock_ms; /* 0: nothing */
	int64_t boot_ms; /* CLOCK_BOOTTIME then */
	bool is_same_boot; /* as now */
};

enum clock_start {
	CLOCK_FIRST, /* the wall clock, for want of anything else */
	CLOCK_GOES_ON, /* the same boot */
	CLOCK_WALL, /* a new boot, and the wall clock is likely */
	CLOCK_WALL_BEHIND, /* earlier than what was kept: that is taken */
	CLOCK_WALL_AHEAD, /* too far beyond it: cut */
};

struct engine_clock {
	int64_t base_ms, base_boot_ms;
	int64_t last_ms; /* never less than told before */
};

enum clock_start clock_begin(struct engine_clock *clock, const struct clock_kept *kept,
	int64_t wall_ms, int64_t boot_ms);

int64_t clock_now_ms(struct engine_clock *clock, int64_t boot_ms);

/* For an alarm; NULL where there is nothing to tell. */
const char *clock_start_text(enum clock_start start);

#endif
