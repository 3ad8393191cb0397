/* A failure made small: fewer and fewer of the faults that struck, while it still fails alike. */
#include "sim.h"

struct failure {
	const struct sim_shared *shared;
	uint64_t world;
	size_t presses;
	enum sim_mutant mutant;
	char what[8]; /* "X1", "I3": failing otherwise is another failure */
	struct strokes kept, struck;
	unsigned runs;
};

static void name_of(const char *broken, char out[static 8])
{
	size_t n = strcspn(broken, ":");

	(void)snprintf(out, 8, "%.*s", n < 7 ? (int)n : 7, broken);
}

/* Whether it still fails with only these; what struck of them is then in f->struck. */
static bool fails_with(struct failure *f, const struct strokes *only)
{
	const struct sim_plan plan = {.only = only, .struck = &f->struck, .mutant = f->mutant};
	struct sim_report *report = calloc(1, sizeof(*report));
	char what[8];
	bool fails;

	tama_assert(report != NULL);
	sim_world(f->shared, &plan, f->world, f->presses, report);
	name_of(report->broken, what);
	if (only == NULL)
		(void)memcpy(f->what, what, sizeof(what));
	fails = report->broken[0] != '\0' && strcmp(what, f->what) == 0;
	f->runs++;
	free(report);
	return fails;
}

static void keep_struck(struct failure *f)
{
	struct strokes before = f->kept;

	f->kept = f->struck;
	f->struck = before;
}

/* Tries without those that `drops` names; keeps the rest when it fails all the same. */
static bool try_without(struct failure *f,
	bool (*drops)(const struct failure *, size_t, const void *), const void *which)
{
	struct strokes less = {.all = NULL};
	bool fails;

	for (size_t i = 0; i < f->kept.len; i++) {
		if (drops(f, i, which))
			continue;
		less.all = sim_grow(less.all, less.len, &less.cap, sizeof(*less.all));
		less.all[less.len++] = f->kept.all[i];
	}
	fails = less.len < f->kept.len && fails_with(f, &less);
	if (fails)
		keep_struck(f);
	free(less.all);
	return fails;
}

static bool is_of_kind(const struct failure *f, size_t i, const void *which)
{
	return f->kept.all[i].fault == *(const enum fault *)which;
}

struct range {
	size_t from, to;
};

static bool is_in_range(const struct failure *f, size_t i, const void *which)
{
	const struct range *r = which;

	return i >= r->from && i < r->to;
}

/* Halves, quarters, and at last each by itself. */
static void drop_ranges(struct failure *f)
{
	for (size_t size = (f->kept.len + 1) / 2; size > 0; size = size == 1 ? 0 : (size + 1) / 2)
		for (size_t from = 0; from < f->kept.len;) {
			const struct range range = {from, from + size};

			if (!try_without(f, is_in_range, &range))
				from += size;
		}
}

static void print(const struct failure *f, FILE *out)
{
	(void)fprintf(out, "seed %llu: %s, with these faults of world and press:\n",
		(unsigned long long)f->world, f->what);
	for (size_t i = 0; i < f->kept.len; i++)
		(void)fprintf(out, "  %s press %u chance %u\n",
			sim_fault_name(f->kept.all[i].fault), f->kept.all[i].press,
			f->kept.all[i].n);
	(void)fprintf(out, "  (%u runs)\n", f->runs);
}

size_t sim_shrink(const struct sim_shared *shared, uint64_t world, size_t presses,
	enum sim_mutant mutant, FILE *out)
{
	struct failure f = {.shared = shared, .world = world, .presses = presses, .mutant = mutant};
	size_t left = SIZE_MAX;

	if (!fails_with(&f, NULL))
		(void)fprintf(out, "seed %llu: nothing fails\n", (unsigned long long)world);
	else {
		keep_struck(&f);
		for (enum fault kind = 0; kind < FAULTS; kind++)
			(void)try_without(&f, is_of_kind, &kind);
		drop_ranges(&f);
		print(&f, out);
		left = f.kept.len;
	}
	free(f.kept.all);
	free(f.struck.all);
	return left;
}
