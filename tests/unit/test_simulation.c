/*
 * The simulation (tests/simulation/sim.h). Without arguments: the tests below, run from the top of
 * the tree. Else, as `make simulate` does:
 *
 *   test_simulation [--cells] SEED PURCHASES   so many purchases from a seed, and a page of
 * figures;
 *                                              --cells: which of the machine's were seldom met
 *   test_simulation --shrink SEED PRESSES      the fewest faults that still break that world
 *   test_simulation --tell SEED PRESSES PRESS  that world, and what became of one press
 *   test_simulation --trace                    what tests/simulation/trace.txt should hold now
 *
 * TAMA_SIM_PURCHASES is the number of the test that runs most; under a sanitizer it is low.
 */
#include "../simulation/sim.h"

#include "check.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS 2
#define TRACES "tests/simulation/trace.txt"
#define REGRESS "tests/simulation/regress.txt"
#define MILLION 1000000

static struct sim_shared shared;

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned long long big(uint64_t n)
{
	return n;
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
	_exit(write(out, &report, sizeof(report)) == (ssize_t)sizeof(report) ? 0 : 1);
}

static bool take_report(int from, pid_t child, struct sim_report *total)
{
	struct sim_report report;
	size_t n = 0;
	ssize_t got = 1;
	int status = 0;

	while (n < sizeof(report) && got > 0) {
		got = read(from, (char *)&report + n, sizeof(report) - n);
		n += got > 0 ? (size_t)got : 0;
	}
	(void)close(from);
	(void)waitpid(child, &status, 0);
	if (n < sizeof(report) || status != 0)
		return false;
	sim_report_add(total, &report);
	return true;
}

/* False when a process died: what it found is then unknown. */
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
	for (unsigned i = 0; i < JOBS; i++)
		is_whole = take_report(from[i][0], children[i], total) && is_whole;
	return is_whole;
}

/* ---- the page ----------------------------------------------------------------------------------
 */

static void print_broken(const struct sim_report *r)
{
	printf("seed %llu: %s\n", big(r->broken_world), r->broken);
	printf("again:   make simulate SEED=%llu PURCHASES=%llu\n", big(r->broken_world),
		big(r->broken_presses));
	printf("smaller: build/test/unit/test_simulation --shrink %llu %llu\n",
		big(r->broken_world), big(r->broken_presses));
}

static void print_counts(const struct sim_report *r)
{
	printf("steps %llu events %llu checks %llu executions %llu crashes %llu on_disk %llu "
	       "power_losses %llu decisions %llu restored %llu forgotten %llu honoured %llu\n",
		big(r->steps), big(r->events), big(r->checks), big(r->executions), big(r->crashes),
		big(r->disk_worlds), big(r->power_losses), big(r->decisions), big(r->restored),
		big(r->forgotten), big(r->honoured));
	for (int i = 0; i < FAULTS; i++)
		printf("%s %llu%s", sim_fault_name((enum fault)i), big(r->faults[i]),
			i % 8 == 7 || i == FAULTS - 1 ? "\n" : ", ");
	for (int i = PURCHASE_CONFIRMED; i < PURCHASE_STATES; i++)
		if (r->states[i] > 0)
			printf("%s %llu\n", purchase_state_name((enum purchase_state)i),
				big(r->states[i]));
	printf("trace %016llx\n", big(r->trace));
}

static double share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0;
}

static void print_end(const struct sim_report *r, const char *before, double took)
{
	printf("%spurchases %llu\n", before, big(r->purchases));
	printf("%sfaulted_share %.4f\n", before, share(r->faulted, r->purchases));
	printf("%slost %llu\n", before, big(r->lost));
	printf("%sdouble %llu\n", before, big(r->doubled));
	printf("%sunexplained %llu\n", before, big(r->unexplained));
	printf("%sreview_share %.6f\n", before, share(r->reviews, r->purchases));
	printf("%sseeds %llu\n", before, big(r->worlds));
	printf("%spurchases_per_s %.0f\n", before, (double)r->purchases / took);
}

/* How often a cell was met: the engine looks a move up before it makes it. */
static uint64_t hits(const struct sim_report *r, enum attempt_state s, enum attempt_event e)
{
	return attempt_step(s, e).kind == STEP_STAY ? r->cells[s][e] : r->cells[s][e] / 2;
}

/*
 * Whether a world could bring it: a move, unless it takes a store that was exchanged or a proof of
 * ours that is false (now and then a provider's lie), which are the unit tests'.
 */
static bool is_reachable(enum attempt_state s, enum attempt_event e)
{
	bool is_news = e == AEV_ACCEPTED || e == AEV_SUCCESS || e == AEV_FAILURE;

	return attempt_step(s, e).kind == STEP_MOVE && !(s == ATTEMPT_READY && is_news) &&
	       !(s == ATTEMPT_SUCCEEDED && e == AEV_NOT_SENT);
}

/* Prints which were met fewer than a hundred times; how many moves not even ten times. */
static size_t print_cells(const struct sim_report *r, FILE *out)
{
	size_t few = 0;

	for (enum attempt_state s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		for (enum attempt_event e = 0; e < ATTEMPT_EVENTS; e++)
			if ((hits(r, s, e) > 0 || is_reachable(s, e)) && hits(r, s, e) < 100) {
				(void)fprintf(out, "cell %s %s %llu\n", attempt_state_name(s),
					attempt_event_name(e), big(hits(r, s, e)));
				few += is_reachable(s, e) && hits(r, s, e) < 10;
			}
	return few;
}

static int simulate(uint64_t seed, uint64_t purchases, bool wants_cells)
{
	struct sim_report r;
	double begin = seconds();

	if (!run_jobs(seed, purchases, &r)) {
		printf("seed %llu: a process died\n", big(seed));
		return 1;
	}
	print_counts(&r);
	if (r.broken[0] != '\0')
		print_broken(&r);
	if (wants_cells)
		(void)print_cells(&r, stderr);
	print_end(&r, "", seconds() - begin);
	return r.broken[0] != '\0';
}

/* ---- seeds in files ----------------------------------------------------------------------------
 */

static void run_seed(uint64_t seed, uint64_t purchases, struct sim_report *report)
{
	const struct sim_run run = {seed, purchases, 0, 1, NULL};

	if (sim_run(&shared, &run, report))
		return;
	print_broken(report);
	fail_msg("seed %llu: %s", big(report->broken_world), report->broken);
}

/* Lines of a seed and a number of presses; calls back with what stands behind them. */
static unsigned for_seeds(
	const char *path, void (*each)(uint64_t seed, uint64_t presses, const char *rest))
{
	FILE *file = fopen(path, "r");
	char line[256];
	unsigned n = 0;

	if (file == NULL)
		fail_msg("%s is not there: run from the top of the tree", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		char *end = line;
		uint64_t seed = strtoull(line, &end, 10), presses = strtoull(end, &end, 10);

		if (presses == 0)
			continue;
		each(seed, presses, end);
		n++;
	}
	(void)fclose(file);
	return n;
}

static const uint64_t traced[][2] = {{1, 800}, {7, 800}, {42, 400}, {2026, 1200}};

static int print_traces(void)
{
	struct sim_report report;

	sim_load(&shared);
	printf("# Seed, presses, and the digest of all that happens: equal in every build. Made "
	       "by\n"
	       "# build/test/unit/test_simulation --trace > tests/simulation/trace.txt\n");
	for (size_t i = 0; i < ROWS(traced); i++) {
		run_seed(traced[i][0], traced[i][1], &report);
		printf("%llu %llu %016llx\n", big(traced[i][0]), big(traced[i][1]),
			big(report.trace));
	}
	sim_unload(&shared);
	return 0;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void run_again(uint64_t seed, uint64_t presses, const char *rest)
{
	struct sim_report report;

	run_seed(seed, presses, &report);
}

static void what_broke_once_holds(void **state)
{
	assert_true(for_seeds(REGRESS, run_again) > 0);
}

static void compare_trace(uint64_t seed, uint64_t presses, const char *rest)
{
	struct sim_report report;

	run_seed(seed, presses, &report);
	if (report.trace != strtoull(rest, NULL, 16))
		fail_msg("seed %llu: trace %016llx, and " TRACES
			 " has%s(after a change of the engine: make the file anew as it says)",
			big(seed), big(report.trace), rest);
}

/* The same bytes in every build mode, and twice in one process. */
static void a_seed_is_a_world(void **state)
{
	assert_int_equal(for_seeds(TRACES, compare_trace), ROWS(traced));
	assert_int_equal(for_seeds(TRACES, compare_trace), ROWS(traced));
}

static bool is_sanitized(void)
{
	const char *mode = getenv("TAMA_MODE");

	return mode != NULL && (strcmp(mode, "asan") == 0 || strcmp(mode, "tsan") == 0);
}

static void what_a_power_loss_leaves_is_whole(void **state)
{
	struct image_report report;

	if (!sim_images(&shared, 11, is_sanitized() ? 500 : 5000, &report))
		fail_msg("%s", report.broken);
	assert_true(report.images >= (is_sanitized() ? 500 : 5000));
	assert_true(report.twice > 0 && report.purchases > 0);
	printf("# figure simulation images %llu, lost again on the way up %llu\n",
		big(report.images), big(report.twice));
}

/* A wire that repeats a request by itself (finding 1): found, and made small. */
static void a_failure_is_made_small(void **state)
{
	const struct sim_plan plan = {.mutant = MUTANT_SENDS_TWICE};
	struct sim_report report;
	uint64_t chance = 5, seed;
	char page[4096] = "";
	FILE *out = fmemopen(page, sizeof(page), "w");

	assert_non_null(out);
	do {
		memset(&report, 0, sizeof(report));
		seed = sim_mix(&chance);
		sim_world(&shared, &plan, seed, 60, &report);
	} while (report.doubled == 0);
	assert_int_equal(sim_shrink(&shared, seed, 60, MUTANT_SENDS_TWICE, out), 1);
	(void)fclose(out);
	assert_non_null(strstr(page, "reply_lost press"));
	/* And the engine as it is does not fail there. */
	memset(&report, 0, sizeof(report));
	sim_world(&shared, NULL, seed, 60, &report);
	assert_string_equal(report.broken, "");
}

static uint64_t how_many(void)
{
	const char *asked = getenv("TAMA_SIM_PURCHASES");

	if (asked != NULL)
		return strtoull(asked, NULL, 10);
	return is_sanitized() ? 20000 : MILLION;
}

static void check_faults_and_ends(const struct sim_report *r)
{
	static const enum purchase_state ends[] = {PURCHASE_COLLECTED, PURCHASE_DELIVERED,
		PURCHASE_CANCELLED, PURCHASE_EXPIRED, PURCHASE_REFUND_DUE, PURCHASE_REVIEW,
		PURCHASE_CONTRADICTED, PURCHASE_REFUNDED, PURCHASE_WRITTEN_OFF};

	for (int i = 0; i < FAULTS; i++)
		if (r->faults[i] < 100)
			fail_msg("fault %s struck %llu times", sim_fault_name((enum fault)i),
				big(r->faults[i]));
	for (size_t i = 0; i < ROWS(ends); i++)
		if (r->states[ends[i]] == 0)
			fail_msg("no purchase ended %s", purchase_state_name(ends[i]));
	assert_true(r->crashes > 0 && r->power_losses > 0 && r->disk_worlds > 0);
	assert_true(r->decisions > 0 && r->restored > 0 && r->honoured > 0);
}

static void many_purchases_hold(void **state)
{
	uint64_t n = how_many();
	struct sim_report r;
	double begin = seconds();

	if (!run_jobs(2026, n, &r))
		fail_msg("a process of the simulation died");
	print_end(&r, "# figure simulation ", seconds() - begin);
	if (r.broken[0] != '\0') {
		print_broken(&r);
		fail_msg("seed %llu: %s", big(r.broken_world), r.broken);
	}
	if (n >= MILLION / 10)
		assert_true(share(r.faulted, r.purchases) >= 0.30);
	if (n < MILLION)
		return;
	assert_true(r.purchases >= MILLION);
	check_faults_and_ends(&r);
	assert_int_equal(print_cells(&r, stderr), 0);
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

static int shrink(uint64_t seed, uint64_t presses)
{
	size_t left;

	sim_load(&shared);
	left = sim_shrink(&shared, seed, presses, MUTANT_NONE, stdout);
	sim_unload(&shared);
	return left == SIZE_MAX ? 0 : 1;
}

static int tell(uint64_t seed, uint64_t presses, uint32_t press)
{
	const struct sim_plan plan = {.told = press};
	struct sim_report report = {.worlds = 0};

	sim_load(&shared);
	sim_world(&shared, &plan, seed, presses, &report);
	sim_unload(&shared);
	printf("%s\n", report.broken[0] != '\0' ? report.broken : "nothing is broken");
	return report.broken[0] != '\0';
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_broke_once_holds),
		cmocka_unit_test(a_seed_is_a_world),
		cmocka_unit_test(what_a_power_loss_leaves_is_whole),
		cmocka_unit_test(a_failure_is_made_small),
		cmocka_unit_test(many_purchases_hold),
	};
	const char *option = argc > 1 && argv[1][0] == '-' ? argv[1] : "";
	int at = option[0] != '\0' ? 2 : 1;
	uint64_t seed = argc > at ? strtoull(argv[at], NULL, 10) : 0;
	uint64_t purchases = argc > at + 1 ? strtoull(argv[at + 1], NULL, 10) : 100000;

	if (strcmp(option, "--trace") == 0)
		return print_traces();
	if (strcmp(option, "--shrink") == 0)
		return shrink(seed, purchases > SIM_WORLD ? SIM_WORLD : purchases);
	if (strcmp(option, "--tell") == 0)
		return tell(seed, purchases > SIM_WORLD ? SIM_WORLD : purchases,
			argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1);
	if (argc > 1)
		return simulate(seed, purchases, strcmp(option, "--cells") == 0);
	return cmocka_run_group_tests(tests, load, unload);
}
