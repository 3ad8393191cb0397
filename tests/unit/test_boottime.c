/*
 * Which clock is asked: a claim's age must grow while the machine sleeps (CLOCK_BOOTTIME does,
 * CLOCK_MONOTONIC stands still), and not change when somebody sets the time (CLOCK_REALTIME does).
 * A sleep cannot be made here, so this program answers for the kernel.
 */
#include "check.h"

#include "tama/wire.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool is_answering;

/* In place of libc's, in the whole program. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
	static const time_t seconds[] = {
		[CLOCK_REALTIME] = 100, [CLOCK_MONOTONIC] = 200, [CLOCK_BOOTTIME] = 300};

	if (!is_answering)
		return (int)syscall(SYS_clock_gettime, clock, out);
	if (clock < 0 || (size_t)clock >= ROWS(seconds) || seconds[clock] == 0)
		return -1;
	*out = (struct timespec){seconds[clock], 7000000};
	return 0;
}

static void a_claim_ages_while_the_machine_sleeps(void **state)
{
	is_answering = true;
	int64_t boot_ms = clock_boot_ms();
	is_answering = false;
	assert_true(boot_ms == 300007);
}

static void the_wall_clock_is_the_wall_s(void **state)
{
	is_answering = true;
	int64_t wall_ms = clock_wall_ms();
	is_answering = false;
	assert_true(wall_ms == 100007);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_claim_ages_while_the_machine_sleeps),
		cmocka_unit_test(the_wall_clock_is_the_wall_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
