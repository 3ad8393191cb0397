/* The mark: what it says, what a store thinks of it, and what every way of losing a second gives.
 */
#include "store_kit.h"

#include <stdio.h>
#include <stdlib.h>

struct marked {
	struct kit kit;
	char path[80]; /* of the mark */
	char copy[80]; /* a folder for a copy of the data */
};

static struct store_config marked_config(const struct marked *m)
{
	struct store_config config = kit_config(&m->kit);

	config.mark = str_c(m->path);
	return config;
}

static int open_store(struct marked *m, struct err *err)
{
	const struct store_config config = marked_config(m);

	return store_sqlite_open(&config, &m->kit.store, err);
}

static enum mark_verdict reopen(struct marked *m)
{
	struct store_past past;
	struct err err = ERR_INIT;

	if (open_store(m, &err) != 0)
		fail_msg("%s", err.text);
	m->kit.store->ops->past(m->kit.store, &past);
	return past.mark;
}

static struct mark mark_of(const struct marked *m)
{
	struct mark mark;

	assert_int_equal(mark_read(m->path, &mark, NULL), 0);
	return mark;
}

/* One commit that sells something, with the engine's last words. */
static void sell(struct marked *m, uint64_t k, int64_t boot_ms)
{
	struct kit *kit = &m->kit;
	struct store_moment moment = {.boot_ms = boot_ms, .clock_ms = KIT_NOW, .last_id = k};
	struct purchase_row row = kit_purchase(1, k);

	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(DO(mark_raise, &moment, false), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(mark_write, NULL), 0);
}

/* One file, byte for byte, as `cp` would. */
static void copy_file(const char *from, const char *to, const char *name)
{
	char path[160], bytes[4096];
	FILE *in, *out;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", from, name);
	in = fopen(path, "r");
	if (in == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", to, name);
	out = fopen(path, "w");
	assert_non_null(out);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	(void)fclose(in);
	assert_int_equal(fchmod(fileno(out), 0600), 0);
	assert_int_equal(fclose(out), 0);
}

static void remove_dir(const char *dir)
{
	static const char *const names[] = {"tama.db", "tama.db-wal", "tama.db-shm", "lock"};
	char path[160];

	for (size_t i = 0; i < ROWS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static void copy_dir(const char *from, const char *to, bool with_wal)
{
	remove_dir(to);
	assert_int_equal(mkdir(to, 0700), 0);
	copy_file(from, to, "tama.db");
	if (with_wal)
		copy_file(from, to, "tama.db-wal");
}

static int open_kit(void **state)
{
	struct marked *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	kit_init(&m->kit);
	(void)snprintf(m->path, sizeof(m->path), "%s.mark", m->kit.dir);
	(void)snprintf(m->copy, sizeof(m->copy), "%s.copy", m->kit.dir);
	*state = m;
	return 0;
}

static int close_kit(void **state)
{
	struct marked *m = *state;

	kit_close(&m->kit);
	(void)unlink(m->path);
	remove_dir(m->copy);
	kit_fini(&m->kit);
	free(m);
	return 0;
}

static void reads_back_what_it_wrote(void **state)
{
	struct marked *m = *state;
	struct mark want = {.store_id = {1, 2, 3},
		.generation = 7,
		.incarnation = 9,
		.last_id = UINT64_MAX,
		.machine = "0123456789abcdef"};
	struct mark got;

	assert_int_equal(mark_read(m->path, &got, NULL), TAMA_ENOTFOUND);
	assert_int_equal(mark_write(m->path, &want, NULL), 0);
	assert_int_equal(mark_read(m->path, &got, NULL), 0);
	assert_memory_equal(got.store_id, want.store_id, sizeof(got.store_id));
	assert_int_equal(got.generation, want.generation);
	assert_int_equal(got.incarnation, want.incarnation);
	assert_true(got.last_id == want.last_id);
	assert_string_equal(got.machine, want.machine);
	want.machine[0] = '\0';
	assert_int_equal(mark_write(m->path, &want, NULL), 0);
	assert_int_equal(mark_read(m->path, &got, NULL), 0);
	assert_int_equal(got.machine[0], '\0');
}

/* Any byte that is not as we wrote it. */
static void takes_no_damaged_mark(void **state)
{
	struct marked *m = *state;
	const struct mark mark = {.generation = 7, .machine = "m"};
	struct mark got;
	char text[512];
	FILE *f;
	size_t n;

	assert_int_equal(mark_write(m->path, &mark, NULL), 0);
	f = fopen(m->path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	for (size_t i = 0; i < n; i++) {
		f = fopen(m->path, "w");
		assert_non_null(f);
		text[i] ^= 1;
		assert_int_equal(fwrite(text, 1, n, f), n);
		text[i] ^= 1;
		(void)fclose(f);
		assert_int_equal(mark_read(m->path, &got, NULL), TAMA_EINVAL);
	}
	assert_int_equal(truncate(m->path, 0), 0);
	assert_int_equal(mark_read(m->path, &got, NULL), TAMA_EINVAL);
	assert_int_equal(reopen(m), MARK_DAMAGED);
}

static void compares_one_thing_after_another(void **state)
{
	const struct mark mark = {
		.store_id = {1}, .generation = 5, .incarnation = 3, .machine = "a"};
	struct mark now = mark;

	(void)state;
	assert_int_equal(mark_compare(&mark, &now), MARK_FITS);
	now.generation = 6;
	now.incarnation = 4;
	assert_int_equal(mark_compare(&mark, &now), MARK_FITS);
	(void)snprintf(now.machine, sizeof(now.machine), "b");
	assert_int_equal(mark_compare(&mark, &now), MARK_OTHER_MACHINE);
	now.generation = 4;
	assert_int_equal(mark_compare(&mark, &now), MARK_BEHIND);
	now.generation = 5;
	now.incarnation = 2;
	assert_int_equal(mark_compare(&mark, &now), MARK_BEHIND);
	now.store_id[0] = 2;
	assert_int_equal(mark_compare(&mark, &now), MARK_OTHER_STORE);
}

static void a_new_store_writes_its_first(void **state)
{
	struct marked *m = *state;
	struct mark first;

	assert_int_equal(reopen(m), MARK_FIRST);
	first = mark_of(m);
	assert_int_equal(first.generation, 1);
	assert_int_equal(first.incarnation, 1);
	kit_close(&m->kit);
	assert_true(mark_of(m).generation > first.generation);
	assert_int_equal(reopen(m), MARK_FITS);
}

static void is_written_once_a_second_of_traffic(void **state)
{
	struct marked *m = *state;
	struct kit *kit = &m->kit;
	struct store_moment idle = {.boot_ms = 90000};
	struct mark before;

	(void)reopen(m);
	sell(m, 1, 5000);
	before = mark_of(m);
	assert_int_equal(before.last_id, 1);
	sell(m, 2, 5999);
	assert_int_equal(mark_of(m).generation, before.generation);
	sell(m, 3, 6000);
	assert_int_equal(mark_of(m).generation, before.generation + 1);
	assert_int_equal(mark_of(m).last_id, 3);
	/* A commit that wrote nothing costs nothing. */
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(mark_raise, &idle, false), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(mark_write, NULL), 0);
	assert_int_equal(mark_of(m).generation, before.generation + 1);
	/* What is rolled back was not raised. */
	struct purchase_row row = kit_purchase(1, 4);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(DO(mark_raise, &idle, false), 0);
	DO(rollback);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(mark_write, NULL), 0);
	assert_int_equal(mark_of(m).generation, before.generation + 1);
}

static void a_mark_that_cannot_be_written_is_owed(void **state)
{
	struct marked *m = *state;
	struct kit *kit = &m->kit;
	struct store_moment moment = {.boot_ms = 5000};
	struct purchase_row row = kit_purchase(1, 1);
	char temporary[96];
	struct mark before;

	(void)reopen(m);
	before = mark_of(m);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", m->path);
	assert_int_equal(mkdir(temporary, 0700), 0);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(DO(mark_raise, &moment, false), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(mark_write, NULL), TAMA_EIO);
	assert_int_equal(DO(mark_write, NULL), TAMA_EIO);
	assert_int_equal(mark_of(m).generation, before.generation);
	assert_int_equal(rmdir(temporary), 0);
	assert_int_equal(DO(mark_write, NULL), 0);
	assert_int_equal(mark_of(m).generation, before.generation + 1);
	kit_close(kit);
	/* Nor does a store open that can keep none. */
	assert_int_equal(mkdir(temporary, 0700), 0);
	assert_int_equal(open_store(m, NULL), TAMA_EIO);
	assert_int_equal(rmdir(temporary), 0);
}

/* F-K2: whatever was copied a second or more before the end. */
static void a_restored_copy_is_behind(void **state)
{
	struct marked *m = *state;

	(void)reopen(m);
	sell(m, 1, 5000);
	copy_dir(m->kit.dir, m->copy, true);
	sell(m, 2, 6000);
	kit_close(&m->kit);
	copy_dir(m->copy, m->kit.dir, true);
	assert_int_equal(reopen(m), MARK_BEHIND);
	/* It stays behind until it is accepted, then it is past all that was. */
	kit_close(&m->kit);
	assert_int_equal(reopen(m), MARK_BEHIND);
	struct kit *kit = &m->kit;
	struct store_moment moment = {.boot_ms = 9000, .last_id = 77, .frozen_id = 77};
	struct store_past past;
	uint64_t generation = mark_of(m).generation;
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(mark_raise, &moment, true), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(DO(mark_write, NULL), 0);
	assert_true(mark_of(m).generation > generation);
	kit_close(kit);
	assert_int_equal(reopen(m), MARK_FITS);
	kit->store->ops->past(kit->store, &past);
	assert_int_equal(past.frozen_id, 77);
}

/* F-B11: the database without what its -wal held. */
static void a_copy_without_its_wal_is_behind(void **state)
{
	struct marked *m = *state;

	(void)reopen(m);
	kit_close(&m->kit);
	(void)reopen(m);
	sell(m, 1, 5000);
	copy_dir(m->kit.dir, m->copy, false);
	kit_close(&m->kit);
	copy_dir(m->copy, m->kit.dir, true);
	assert_int_equal(reopen(m), MARK_BEHIND);
	/* A life that the store forgot counts, too. */
	assert_true(m->kit.store->ops->incarnation(m->kit.store) > mark_of(m).incarnation);
}

static void a_store_that_moved_is_told(void **state)
{
	struct marked *m = *state;
	struct mark mark;

	(void)reopen(m);
	sell(m, 1, 5000);
	kit_close(&m->kit);
	mark = mark_of(m);
	(void)snprintf(mark.machine, sizeof(mark.machine), "another");
	assert_int_equal(mark_write(m->path, &mark, NULL), 0);
	assert_int_equal(reopen(m), MARK_OTHER_MACHINE);
	kit_close(&m->kit);
	mark.store_id[3] ^= 1;
	assert_int_equal(mark_write(m->path, &mark, NULL), 0);
	assert_int_equal(reopen(m), MARK_OTHER_STORE);
	kit_close(&m->kit);
	assert_int_equal(unlink(m->path), 0);
	assert_int_equal(reopen(m), MARK_MISSING);
	/* None is written for a store that nobody has accepted. */
	sell(m, 2, 9000);
	kit_close(&m->kit);
	assert_int_equal(access(m->path, F_OK), -1);
}

/* Killed at any point, a store is never behind its mark by itself. */
static void a_killed_store_fits(void **state)
{
	struct marked *m = *state;
	struct kit *kit = &m->kit;
	struct store_moment moment = {.boot_ms = 9000};
	struct purchase_row row = kit_purchase(1, 2);

	(void)reopen(m);
	sell(m, 1, 5000);
	copy_dir(m->kit.dir, m->copy, true);
	kit_close(kit);
	(void)unlink(m->path);
	/* After the commit that raised, before the mark was written. */
	copy_dir(m->copy, kit->dir, true);
	assert_int_equal(reopen(m), MARK_MISSING);
	kit_close(kit);
	remove_dir(kit->dir);
	(void)unlink(m->path);
	(void)reopen(m);
	sell(m, 1, 5000);
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &row), 0);
	assert_int_equal(DO(mark_raise, &moment, false), 0);
	assert_int_equal(DO(commit, NULL), 0);
	copy_dir(m->kit.dir, m->copy, true);
	struct mark mark = mark_of(m);
	kit_close(kit);
	assert_int_equal(mark_write(m->path, &mark, NULL), 0);
	copy_dir(m->copy, kit->dir, true);
	assert_int_equal(reopen(m), MARK_FITS);
}

#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, open_kit, close_kit)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(reads_back_what_it_wrote),
		KIT_TEST(takes_no_damaged_mark),
		KIT_TEST(compares_one_thing_after_another),
		KIT_TEST(a_new_store_writes_its_first),
		KIT_TEST(is_written_once_a_second_of_traffic),
		KIT_TEST(a_mark_that_cannot_be_written_is_owed),
		KIT_TEST(a_restored_copy_is_behind),
		KIT_TEST(a_copy_without_its_wal_is_behind),
		KIT_TEST(a_store_that_moved_is_told),
		KIT_TEST(a_killed_store_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
