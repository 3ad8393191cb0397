/* Copies: what a standby and a backup are restored to is what was committed, whatever went on
 * meanwhile.
 */
#include "store_kit.h"

#include "tama/backup.h"
#include "tama/verify.h"
#include "tama/wire.h"

#include "../../src/store/sqlite_standby.h"

#include <pthread.h>
#include <stdatomic.h>

struct copies {
	struct kit kit;
	char other[80], fresh[80];
	struct standby *standby;
	atomic_uint alarms;
};

static void note_alarm(void *ctx, const char *what, const char *detail)
{
	struct copies *c = ctx;

	atomic_fetch_add(&c->alarms, 1);
	assert_string_equal(what, "standby");
	assert_true(strlen(detail) > 0);
}

static int setup(void **state)
{
	static struct copies copies;
	struct copies *c = &copies;

	memset(c, 0, sizeof(*c));
	kit_init(&c->kit);
	(void)snprintf(c->other, sizeof(c->other), "%s-other", c->kit.dir);
	(void)snprintf(c->fresh, sizeof(c->fresh), "%s-fresh", c->kit.dir);
	kit_open(&c->kit);
	assert_int_equal(mkdir(c->other, 0700), 0);
	*state = c;
	return 0;
}

static void remove_dir(const char *path)
{
	char name[400];
	struct dirent *entry;
	DIR *dir = opendir(path);

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		(void)snprintf(name, sizeof(name), "%s/%.255s", path, entry->d_name);
		(void)unlink(name);
	}
	if (dir != NULL)
		closedir(dir);
	(void)rmdir(path);
}

static int teardown(void **state)
{
	struct copies *c = *state;

	standby_stop(&c->standby);
	kit_fini(&c->kit);
	remove_dir(c->other);
	remove_dir(c->fresh);
	return 0;
}

static void begin_standby(struct copies *c)
{
	const struct standby_config config = {.dir = str_c(c->other),
		.data_dir = str_c(c->kit.dir),
		.store = c->kit.store,
		.alarm = note_alarm,
		.ctx = c};
	struct err err = ERR_INIT;

	if (standby_start(&config, &c->standby, &err) != 0)
		fail_msg("%s", err.text);
}

/* A commit of some purchases with texts of some length. */
static void commit_some(struct copies *c, uint64_t from, unsigned n)
{
	struct kit *kit = &c->kit;
	static char text[3000];

	memset(text, 'x', sizeof(text));
	assert_int_equal(DO(begin, NULL), 0);
	for (uint64_t k = from; k < from + n; k++) {
		struct purchase_row row = kit_purchase(1, k);

		row.id = (uint64_t)KIT_NOW << 20 | k;
		memcpy(row.uid, &row.id, sizeof(row.id));
		row.texts = (struct str){text, sizeof(text) - k % 1000};
		assert_int_equal(DO(purchase_insert, &row), 0);
	}
	assert_int_equal(DO(commit, NULL), 0);
}

/* Waits until a base is whole and nothing is behind it. */
static void wait_current(struct copies *c)
{
	const struct timespec pause = {0, 2 * 1000 * 1000};
	int64_t end_ms = clock_boot_ms() + 20000;
	struct standby_stats s;

	for (;;) {
		standby_stats(c->standby, &s);
		if (s.is_whole && s.shipped == s.commits && s.lag_ms == 0)
			return;
		assert_true(clock_boot_ms() < end_ms);
		(void)nanosleep(&pause, NULL);
	}
}

static int64_t count_in(const char *dir, const struct vault *vault)
{
	const struct store_config config = {.dir = str_c(dir), .vault = vault};
	struct store *store = NULL;
	struct err err = ERR_INIT;
	int64_t n = 0;

	if (store_sqlite_open(&config, &store, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(
		db_number(&sqlite_store_of(store)->db,
			"SELECT count(*) + 0 * sum(length(texts)) FROM purchase", &n, NULL),
		0);
	store->ops->close(store);
	return n;
}

static struct restored restore(struct copies *c, const char *from)
{
	struct restored out;
	struct err err = ERR_INIT;

	remove_dir(c->fresh);
	if (store_restore(from, str_c(c->fresh), "restored", &out, &err) != 0)
		fail_msg("%s", err.text);
	return out;
}

/* Thousands of pages, several resets of the WAL, and the last commit is there. */
static void follows_through_checkpoints(void **state)
{
	struct copies *c = *state;

	begin_standby(c);
	for (unsigned i = 0; i < 120; i++)
		commit_some(c, 1 + i * 40, 40);
	wait_current(c);
	assert_int_equal(atomic_load(&c->alarms), 0);
	const struct restored r = restore(c, c->other);

	assert_true(r.is_standby);
	assert_int_equal(count_in(c->fresh, c->kit.vault), 120 * 40);
}

struct selling {
	struct copies *c;
	unsigned commits;
};

static void *sell(void *arg)
{
	struct selling *s = arg;

	for (; s->commits < 150; s->commits++)
		commit_some(s->c, 100000 + s->commits * 3, 3);
	return NULL;
}

/* The base is copied while commits go on: whatever prefix of the log is left, it is a state there
 * was.
 */
static void a_base_taken_under_commits_is_whole(void **state)
{
	struct copies *c = *state;
	struct selling selling = {.c = c};
	pthread_t thread;

	for (unsigned i = 0; i < 20; i++)
		commit_some(c, 1 + i * 100, 100);
	begin_standby(c);
	assert_int_equal(pthread_create(&thread, NULL, sell, &selling), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	wait_current(c);
	const struct restored r = restore(c, c->other);

	assert_int_equal(count_in(c->fresh, c->kit.vault), 2000 + 450);
	assert_true(r.records > 0 || r.manifest.purchases == 2450);
	/* Commits are of three: a state that holds a part of one never was. */
	assert_int_equal((r.manifest.purchases - 2000) % 3, 0);
}

static int count_record(void *ctx, const struct standby_record *record, const unsigned char *pages)
{
	(void)pages;
	assert_true(record->count > 0);
	++*(unsigned *)ctx;
	return 0;
}

static void a_changed_byte_ends_the_log(void **state)
{
	struct copies *c = *state;
	struct manifest m;
	char file[200], path[400];
	unsigned all = 0, left = 0;
	int64_t reached = 0;

	begin_standby(c);
	wait_current(c);
	for (unsigned i = 0; i < 10; i++)
		commit_some(c, 1 + i, 1);
	wait_current(c);
	assert_int_equal(standby_find(c->other, &m, file, sizeof(file), NULL), 0);
	assert_int_equal(
		standby_read(c->other, m.life, m.first, count_record, &all, &reached, NULL), 0);
	assert_int_equal(all, 10);
	assert_int_equal(reached, m.first + 9);
	(void)snprintf(path, sizeof(path), "%s/log-%lld-%lld.seg", c->other, (long long)m.life,
		(long long)m.first);
	FILE *log = fopen(path, "r+b");

	assert_non_null(log);
	assert_int_equal(fseek(log, -500, SEEK_END), 0);
	assert_int_equal(fputc('!', log), '!');
	assert_int_equal(fclose(log), 0);
	assert_int_equal(
		standby_read(c->other, m.life, m.first, count_record, &left, &reached, NULL), 0);
	assert_int_equal(left, 9);
}

static bool at_once(void *ctx)
{
	++*(unsigned *)ctx;
	return true;
}

/* K27: whatever a backup left behind when it broke off is refused. */
static void a_backup_that_broke_off_is_none(void **state)
{
	struct copies *c = *state;
	struct manifest m;
	struct restored r;
	struct err err = ERR_INIT, refused = ERR_INIT;
	unsigned calls = 0;

	commit_some(c, 1, 10);
	assert_int_equal(
		store_backup(str_c(c->kit.dir), c->other, at_once, &calls, &m, &err), TAMA_EIO);
	assert_true(calls > 0);
	assert_int_not_equal(store_restore(c->other, str_c(c->fresh), "restored", &r, &refused), 0);
	assert_non_null(strstr(refused.text, "neither a manifest.json nor a base"));
	remove_dir(c->other);
	assert_int_equal(store_backup(str_c(c->kit.dir), c->other, NULL, NULL, &m, NULL), 0);
	assert_int_equal(m.purchases, 10);
	(void)restore(c, c->other);
	assert_int_equal(count_in(c->fresh, c->kit.vault), 10);
}

static void a_restored_store_is_held(void **state)
{
	struct copies *c = *state;
	struct manifest m;
	struct verify_report report;
	const struct verify_options options = {0};

	assert_int_equal(store_backup(str_c(c->kit.dir), c->other, NULL, NULL, &m, NULL), 0);
	(void)restore(c, c->other);
	assert_int_equal(store_verify(str_c(c->fresh), &options, &report, NULL), 0);
	assert_int_equal(report.violations, 0);
	const struct store_config config = {.dir = str_c(c->fresh), .vault = c->kit.vault};
	struct store *store = NULL;
	struct hold_row holds[4];

	assert_int_equal(store_sqlite_open(&config, &store, NULL), 0);
	int64_t generation = 0;

	assert_int_equal(db_number(&sqlite_store_of(store)->db, "SELECT generation FROM meta",
				 &generation, NULL),
		0);
	assert_true(generation >= 1);
	assert_int_equal(store->ops->hold_list(store, &c->kit.arena, holds, 4), 1);
	assert_true(str_eq(holds[0].account, HOLD_ALL));
	assert_int_equal(holds[0].partner, 0);
	struct restored r;

	assert_int_equal(store_restore(c->other, str_c(c->fresh), "again", &r, NULL), TAMA_EEXIST);
	store->ops->close(store);
}

/* The place of the standby goes away and comes back: told, begun anew, nothing missing. */
static void a_place_that_fails_is_begun_anew(void **state)
{
	struct copies *c = *state;
	struct standby_stats s;
	struct err err = ERR_INIT;
	const struct timespec pause = {0, 2 * 1000 * 1000};

	assert_int_equal(rmdir(c->other), 0);
	begin_standby(c);
	while (atomic_load(&c->alarms) == 0)
		(void)nanosleep(&pause, NULL);
	commit_some(c, 1, 5);
	standby_stats(c->standby, &s);
	assert_false(s.is_whole);
	assert_true(s.failures > 0 && s.lag_ms > 0);
	assert_int_equal(mkdir(c->other, 0700), 0);
	wait_current(c);
	standby_stats(c->standby, &s);
	assert_int_equal(s.bases, 1);
	(void)restore(c, c->other);
	assert_int_equal(count_in(c->fresh, c->kit.vault), 5);
	standby_stop(&c->standby);
	/* The same life again is not a later one: what is there is not to be lost. */
	const struct standby_config again = {.dir = str_c(c->other),
		.data_dir = str_c(c->kit.dir),
		.store = c->kit.store,
		.alarm = note_alarm,
		.ctx = c};

	assert_int_equal(standby_start(&again, &c->standby, &err), TAMA_ECONFLICT);
}

static void names_of_files(void **state)
{
	static const char *const none[] = {"", "base", "base-1", "base-1-2", "base-x-2.db",
		"base-1-.db", "tama.db", "manifest.json", "-1-2.db",
		"base-1-99999999999999999999.db"};
	struct standby_name name;

	assert_true(standby_name_read("base-3-17.json", &name));
	assert_true(str_eq(name.kind, STR("base")) && str_eq(name.end, STR("json")));
	assert_true(name.life == 3 && name.first == 17);
	assert_true(standby_name_read("log-3-0.seg", &name));
	for (size_t i = 0; i < ROWS(none); i++)
		assert_false(standby_name_read(none[i], &name));
}

static void heads_of_records(void **state)
{
	const struct standby_record r = {3, 4, KIT_NOW, 5, 4096, 77};
	struct standby_record got;
	unsigned char head[STANDBY_HEAD];

	standby_put_head(&r, head);
	assert_true(standby_get_head(head, &got));
	assert_int_equal(got.life, r.life);
	assert_int_equal(got.seq, r.seq);
	assert_int_equal(got.made_ms, r.made_ms);
	assert_int_equal(got.pages_after, r.pages_after);
	assert_int_equal(standby_body(&r), 5 * 4100);
	head[0] ^= 1;
	assert_false(standby_get_head(head, &got));
	standby_put_head(&(struct standby_record){.count = 1, .page_size = 0x1000000}, head);
	assert_false(standby_get_head(head, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(follows_through_checkpoints, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_base_taken_under_commits_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_byte_ends_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backup_that_broke_off_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restored_store_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(a_place_that_fails_is_begun_anew, setup, teardown),
		cmocka_unit_test(names_of_files),
		cmocka_unit_test(heads_of_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
