/*
 * The simulation (tests/simulation/sim.h). Without arguments: the tests below. Else, as
 * `make simulate` does:
 *
 *   test_simulation SEED PURCHASES   so many purchases from a seed, and a page of figures
 *   test_simulation --shrink SEED N  the smallest list of faults that still breaks that world
 *   test_simulation --trace          what tests/simulation/trace.txt should hold now
 *   test_simulation --cells ...      as the first, and the cells of the machine hit under 100 times
 */
#include "../simulation/sim.h"

#include "check.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS 2

static struct sim_shared shared;

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- two processes, each with every other world ------------------------------------------------
 */

static void run_job(int out, const struct sim_run *run)
{
	struct sim_shared mine;
	struct sim_report report;

	sim_load(&mine);
	(void)sim_run(&mine, run, &report);
	sim_unload(&mine);
	if (write(out, &report, sizeof(report)) != (ssize_t)sizeof(report))
		_exit(1);
	_exit(0);
}

static bool take_report(int from, pid_t child, struct sim_report *total)
{
	struct sim_report report;
	size_t n = 0;
	int status = 0;

	while (n < sizeof(report)) {
		ssize_t got = read(from, (char *)&report + n, sizeof(report) - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	(void)waitpid(child, &status, 0);
	if (n == sizeof(report) && status == 0)
		sim_report_add(total, &report);
	return n == sizeof(report) && status == 0;
}

/* False when a child died: what it found is then unknown. */
static bool run_jobs(uint64_t seed, uint64_t purchases, struct sim_report *total)
{
	int from[JOBS][2];
	pid_t children[JOBS];
	bool is_whole = true;

	memset(total, 0, sizeof(*total));
	for (unsigned i = 0; i < JOBS; i++) {
		const struct sim_run run = {seed, purchases, i, JOBS, NULL};

		if (pipe(from[i]) != 0 || (children[i] = fork()) < 0)
			return false;
		if (children[i] == 0)
			run_job(from[i][1], &run);
		(void)close(from[i][1]);
	}
	for (unsigned i = 0; i < JOBS; i++) {
		is_whole = take_report(from[i][0], children[i], total) && is_whole;
		(void)close(from[i][0]);
	}
	return is_whole;
}

/* ---- the page ----------------------------------------------------------------------------------
 */

static void print_broken(const struct sim_report *r)
{
	printf("seed %llu\nbroken: %s\n", (unsigned long long)r->broken_world, r->broken);
	printf("again:  make simulate SEED=%llu PURCHASES=%llu\n",
		(unsigned long long)r->broken_world, (unsigned long long)r->broken_presses);
}

static void print_page(const struct sim_report *r, double took)
{
	printf("worlds %llu (%llu on the disk, %llu power losses) steps %llu events %llu crashes"
	       " %llu executions %llu checks %llu\n",
		(unsigned long long)r->worlds, (unsigned long long)r->disk_worlds,
		(unsigned long long)r->power_losses, (unsigned long long)r->steps,
		(unsigned long long)r->events, (unsigned long long)r->crashes,
		(unsigned long long)r->executions, (unsigned long long)r->checks);
	for (int i = PURCHASE_CONFIRMED; i < PURCHASE_STATES; i++)
		if (r->states[i] > 0)
			printf("%s %llu\n", purchase_state_name((enum purchase_state)i),
				(unsigned long long)r->states[i]);
	for (int i = 0; i < FAULTS; i++)
		printf("%s %llu%s", sim_fault_name((enum fault)i), (unsigned long long)r->faults[i],
			i % 8 == 7 || i == FAULTS - 1 ? "\n" : ", ");
	for (int i = 0; r->broken[0] && i < FAULTS; i++) if (r->faults[i] && getenv("DBG")) printf("  %s %d\n", sim_fault_name(i), (int)r->faults[i]);
	printf("trace %016llx\n", (unsigned long long)r->trace);
	printf("purchases %llu\n", (unsigned long long)r->purchases);
	printf("faulted_share %.4f\n", (double)r->faulted / (double)r->purchases);
	printf("lost %llu\ndouble %llu\nunexplained %llu\n", (unsigned long long)r->lost,
		(unsigned long long)r->doubled, (unsigned long long)r->unexplained);
	printf("review_share %.6f\n", (double)r->reviews / (double)r->purchases);
	printf("seeds %llu\n", (unsigned long long)r->worlds);
	printf("purchases_per_s %.0f\n", (double)r->purchases / took);
}

static int simulate(uint64_t seed, uint64_t purchases)
{
	struct sim_report r;
	double begin = seconds();

	if (!run_jobs(seed, purchases, &r)) {
		printf("seed %llu: a process died\n", (unsigned long long)seed);
		return 1;
	}
	if (r.broken[0] != '\0')
		print_broken(&r);
	print_page(&r, seconds() - begin);
	return r.broken[0] != '\0';
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void run_seed(uint64_t seed, uint64_t purchases, struct sim_report *report)
{
	const struct sim_run run = {seed, purchases, 0, 1, NULL};

	if (!sim_run(&shared, &run, report))
		fail_msg("seed %llu: %s", (unsigned long long)report->broken_world, report->broken);
}

static void fixed_seeds_hold(void **state)
{
	struct sim_report report;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		run_seed(seed, 4 * SIM_WORLD, &report);
		assert_true(report.executions > 0);
	}
}

static void the_same_seed_is_the_same_world(void **state)
{
	struct sim_report first, second, other;

	run_seed(7, 2 * SIM_WORLD, &first);
	run_seed(7, 2 * SIM_WORLD, &second);
	run_seed(8, 2 * SIM_WORLD, &other);
	assert_true(first.trace == second.trace);
	assert_true(first.events == second.events);
	assert_true(first.trace != other.trace);
}

static int load(void **state)
{
	sim_load(&shared);
	return 0;
}

static int unload(void **state)
{
	sim_unload(&shared);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_seeds_hold),
		cmocka_unit_test(the_same_seed_is_the_same_world),
	};

	if (argc > 1)
		return simulate(strtoull(argv[1], NULL, 10),
			argc > 2 ? strtoull(argv[2], NULL, 10) : 100000);
	return cmocka_run_group_tests(tests, load, unload);
}
