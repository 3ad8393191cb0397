/*
 * F-B2: worlds played on the disk, and at moments all along, before each change to it, what a loss
 * of power may leave is opened with the real store. It must open, be whole, and have every purchase
 * and IPN acknowledged until then. Every fourth loses its power once more while it comes back.
 */
#include "sim.h"

#define PRESSES 30
#define ONE_IN 12

struct image_run {
	struct image_report *report;
	uint64_t images; /* wanted */
	uint64_t chance;
	struct sim *sim;
	struct disk *disk;
	char dir[96];
};

static bool open_image(struct image_run *run, struct store **out, struct err *err)
{
	const struct store_config config = {
		.vault = run->sim->shared->vault, .dir = str_c(run->dir)};

	return store_sqlite_open(&config, out, err) == 0;
}

/* Stops on the way up, and loses what was not synced once more. */
static void fall_again(struct image_run *run)
{
	struct store *store = NULL;
	bool is_open;

	disk_arm(run->disk, DISK_STOP, 1 + sim_mix(&run->chance) % 16, UINT64_MAX);
	is_open = open_image(run, &store, NULL);
	disk_power_loss(run->disk, &run->chance);
	if (is_open)
		store->ops->close(store);
	run->report->twice++;
}

static void look_at(struct image_run *run)
{
	struct sim *s = run->sim;
	struct store *running = s->store, *image = NULL;
	struct err err = ERR_INIT;

	disk_image(s->disk, run->disk, &run->chance);
	if (sim_mix(&run->chance) % 4 == 0)
		fall_again(run);
	if (!open_image(run, &image, &err)) {
		sim_break(s, &s->report->lost, "F-B2: an image does not open: %s", err.text);
		return;
	}
	s->store = image;
	check_image(s);
	s->store = running;
	disk_kill(run->disk);
	image->ops->close(image);
	run->report->images++;
}

static void watch(void *ctx)
{
	struct image_run *run = ctx;

	if (run->report->images < run->images && run->sim->report->broken[0] == '\0' &&
		sim_mix(&run->chance) % ONE_IN == 0)
		look_at(run);
}

void images_watch(struct image_run *run, struct sim *s)
{
	run->sim = s;
	(void)snprintf(run->dir, sizeof(run->dir), "%s/image", s->shared->dir);
	run->disk = disk_new(s->shared->disks, run->dir);
	disk_watch(s->disk, watch, run);
}

void images_leave(struct image_run *run)
{
	disk_free(&run->disk);
}

bool sim_images(
	const struct sim_shared *shared, uint64_t seed, uint64_t images, struct image_report *out)
{
	struct image_run run = {.report = out, .images = images, .chance = seed};
	const struct sim_plan plan = {.images = &run};
	struct sim_report *report = calloc(1, sizeof(*report));

	tama_assert(report != NULL);
	memset(out, 0, sizeof(*out));
	for (uint64_t world = seed; out->images < images && report->broken[0] == '\0';) {
		sim_world(shared, &plan, world, PRESSES, report);
		out->worlds++;
		world = sim_mix(&seed);
	}
	out->purchases = report->purchases;
	memcpy(out->broken, report->broken, sizeof(out->broken));
	free(report);
	return out->broken[0] == '\0';
}
