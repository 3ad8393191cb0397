/*
 * The simulation (tests/simulation/sim.h). Without arguments: a few fixed seeds. With SEED
 * PURCHASES
 * (`make simulate`): so many purchases, and a page of figures.
 */
#include "../simulation/sim.h"

#include <time.h>

static void run_seed(uint64_t seed, uint64_t purchases, struct sim_report *report)
{
	if (!sim_run(seed, purchases, 1, report))
		fail_msg("seed %llu: %s", (unsigned long long)seed, report->broken);
}

static void fixed_seeds_hold(void **state)
{
	struct sim_report report;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		run_seed(seed, 4 * SIM_WORLD, &report);
		assert_true(report.executions > 0);
	}
}

static void every_fault_and_every_end_is_met(void **state)
{
	struct sim_report report;

	run_seed(2026, 12 * SIM_WORLD, &report);
	for (int i = 0; i < FAULTS; i++)
		if (report.faults[i] == 0)
			fail_msg("fault %d never struck", i);
	assert_true(report.crashes > 0);
	assert_true(report.states[PURCHASE_DELIVERED] > 0);
	assert_true(report.states[PURCHASE_COLLECTED] > 0);
	assert_true(report.states[PURCHASE_CANCELLED] > 0);
	assert_true(report.states[PURCHASE_EXPIRED] > 0);
	assert_true(report.states[PURCHASE_REFUND_DUE] > 0);
	assert_true(report.states[PURCHASE_REVIEW] > 0);
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

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print_broken(const struct sim_report *r)
{
	printf("lost %llu\ndouble %llu\nunexplained %llu\n", (unsigned long long)r->lost,
		(unsigned long long)r->doubled, (unsigned long long)r->unexplained);
}

static int simulate(uint64_t seed, uint64_t purchases)
{
	struct sim_report r;
	double begin = seconds(), took;
	bool holds = sim_run(seed, purchases, 16, &r);

	took = seconds() - begin;
	if (!holds) {
		printf("seed %llu purchases %llu: %s\n", (unsigned long long)seed,
			(unsigned long long)purchases, r.broken);
		print_broken(&r);
		return 1;
	}
	printf("seed %llu trace %016llx\n", (unsigned long long)seed, (unsigned long long)r.trace);
	printf("steps %llu events %llu crashes %llu executions %llu seconds %.1f per_second %.0f\n",
		(unsigned long long)r.steps, (unsigned long long)r.events,
		(unsigned long long)r.crashes, (unsigned long long)r.executions, took,
		(double)r.purchases / took);
	for (int i = PURCHASE_CONFIRMED; i < PURCHASE_STATES; i++)
		if (r.states[i] > 0)
			printf("%s %llu\n", purchase_state_name((enum purchase_state)i),
				(unsigned long long)r.states[i]);
	printf("purchases %llu\n", (unsigned long long)r.purchases);
	printf("faulted_share %.4f\n", (double)r.faulted / (double)r.purchases);
	print_broken(&r);
	printf("review_share %.6f\n", (double)r.reviews / (double)r.purchases);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_seeds_hold),
		cmocka_unit_test(every_fault_and_every_end_is_met),
		cmocka_unit_test(the_same_seed_is_the_same_world),
	};

	if (argc > 1)
		return simulate(strtoull(argv[1], NULL, 10),
			argc > 2 ? strtoull(argv[2], NULL, 10) : 100000);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
