/* The session table and its log: taking and giving back, restoring, resuming, bounds. */
#include "check.h"

#include "../../src/engine/session_priv.h"

#include "tama/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1767225600000)
#define KEEP_MS INT64_C(780000)
#define KEY "0123456789abcdef0123456789abcdef"
#define OTHER_KEY "0123456789abcdef0123456789abcdeF"

struct kit {
	char dir[64];
	struct vault *vault;
	struct session_table *table;
	struct arena arena;
};

static void kit_open_as(struct kit *kit, size_t max)
{
	struct session_config config = {
		.dir = str_c(kit->dir), .vault = kit->vault, .max = max, .keep_ms = KEEP_MS};
	struct err err = ERR_INIT;

	if (session_table_new(&config, &kit->table, &err) != 0)
		fail_msg("%s", err.text);
}

static void kit_open(struct kit *kit)
{
	kit_open_as(kit, 1000);
}

static void kit_init(struct kit *kit)
{
	*kit = (struct kit){.dir = "/tmp/tama-session-XXXXXX"};
	assert_non_null(mkdtemp(kit->dir));
	assert_int_equal(vault_new(STR(KEY), &kit->vault, NULL), 0);
	arena_init(&kit->arena, (size_t)16 << 20);
	kit_open(kit);
}

/* Without a log. */
static void kit_init_memory(struct kit *kit, size_t max)
{
	*kit = (struct kit){.dir = ""};
	arena_init(&kit->arena, (size_t)16 << 20);
	kit_open_as(kit, max);
}

static void kit_reopen(struct kit *kit)
{
	session_table_free(&kit->table);
	assert_null(kit->table);
	kit_open(kit);
}

static void kit_fini(struct kit *kit)
{
	session_table_free(&kit->table);
	vault_free(&kit->vault);
	arena_fini(&kit->arena);
	if (kit->dir[0] == '\0')
		return;
	DIR *dir = opendir(kit->dir);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
	assert_int_equal(rmdir(kit->dir), 0);
}

static struct session_key key_of(const char *id, const char *number)
{
	return (struct session_key){STR("at-ci"), str_c(id), str_c(number)};
}

static enum session_found take_at(
	struct kit *kit, const char *id, const char *number, int64_t now_ms, struct session *out)
{
	struct session_key key = key_of(id, number);

	return session_take(kit->table, &key, false, false, now_ms, &kit->arena, out);
}

static enum session_found take(
	struct kit *kit, const char *id, const char *number, struct session *out)
{
	return take_at(kit, id, number, NOW, out);
}

static enum session_found take_existing(
	struct kit *kit, const char *id, const char *number, struct session *out)
{
	struct session_key key = key_of(id, number);

	return session_take(kit->table, &key, true, false, NOW, &kit->arena, out);
}

static size_t count(struct kit *kit)
{
	struct session_stats stats;

	session_stats(kit->table, &stats);
	return stats.sessions;
}

/* A session with one journalled byte, put back. */
static void put_one(struct kit *kit, const char *id, const char *number, char mark)
{
	struct session s;

	(void)take(kit, id, number, &s);
	buf_add_char(&s.journal, mark);
	session_put(kit->table, &s);
}

static void check_journal(struct kit *kit, const char *id, const char *number, const char *want)
{
	struct session s;

	assert_int_equal(take_existing(kit, id, number, &s), SESSION_KNOWN);
	check_str(buf_str(&s.journal), want);
	session_put(kit->table, &s);
}

/* ---- taking and giving back --------------------------------------------------------------------
 */

static void test_everything_comes_back(void **state)
{
	struct kit kit;
	struct session s;
	unsigned char uid[UID_LEN];

	kit_init(&kit);
	assert_int_equal(take(&kit, "id", "2250501020304", &s), SESSION_NEW);
	memcpy(uid, s.uid, UID_LEN);
	assert_int_equal(s.begun_ms, NOW);
	s.code = STR("*384*22#");
	s.network = STR("61205");
	s.lang = STR("fr");
	s.hop_id = STR("hop-7");
	s.summary = STR("500 F MTN");
	s.said = STR("Recharge pour qui ?\n1. Moi");
	s.text_len = 5;
	s.text_mac = 77;
	s.buys = 3;
	s.is_ended = s.is_parked = s.is_offering = true;
	memset(s.offer, 9, UID_LEN);
	memset(s.service_hash, 8, sizeof(s.service_hash));
	s.last_ms = NOW + 5;
	buf_add_str(&s.journal, STR("a\0b"));
	session_put(kit.table, &s);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(take(&kit, "id", "2250501020304", &s), SESSION_KNOWN);
		assert_memory_equal(s.uid, uid, UID_LEN);
		check_str(s.channel, "at-ci");
		check_str(s.id, "id");
		assert_string_equal(s.msisdn.digits, "2250501020304");
		check_str(s.code, "*384*22#");
		check_str(s.network, "61205");
		check_str(s.lang, "fr");
		check_str(s.hop_id, "hop-7");
		check_str(s.summary, "500 F MTN");
		check_str(s.said, "Recharge pour qui ?\n1. Moi");
		assert_int_equal(s.text_len, 5);
		/* The MAC is under a key of the process: it means nothing to another. */
		assert_int_equal(s.text_mac, round == 0 ? 77 : 0);
		assert_int_equal(s.buys, 3);
		assert_true(s.is_ended && s.is_parked && s.is_offering);
		assert_int_equal(s.offer[15], 9);
		assert_int_equal(s.service_hash[15], 8);
		assert_int_equal(s.begun_ms, NOW);
		assert_int_equal(s.last_ms, NOW + 5);
		assert_true(str_eq(buf_str(&s.journal), STR("a\0b")));
		session_put(kit.table, &s);
		kit_reopen(&kit);
	}
	kit_fini(&kit);
}

static void test_which_one(void **state)
{
	struct kit kit;
	struct session s;

	kit_init_memory(&kit, 100);
	assert_int_equal(take_existing(&kit, "id", "2250501020304", &s), SESSION_ABSENT);
	put_one(&kit, "id", "2250501020304", 'a');
	/* The number may come on the first hop alone. */
	check_journal(&kit, "id", "", "a");
	/* Another number under the same id sees nothing, and takes its place. */
	assert_int_equal(take_existing(&kit, "id", "2250501020305", &s), SESSION_ABSENT);
	assert_int_equal(take(&kit, "id", "2250501020305", &s), SESSION_NEW);
	assert_int_equal(s.journal.n, 0);
	session_put(kit.table, &s);
	assert_int_equal(count(&kit), 1);
	/* The number is the key where there is no id; and an id is never a number. */
	put_one(&kit, "", "2250501020304", 'n');
	check_journal(&kit, "", "2250501020304", "n");
	assert_int_equal(take_existing(&kit, "2250501020304", "", &s), SESSION_ABSENT);
	assert_int_equal(count(&kit), 2);
	kit_fini(&kit);
}

static void test_begun_afresh(void **state)
{
	struct kit kit;
	struct session s;
	struct session_key key = key_of("id", "2250501020304");

	kit_init(&kit);
	put_one(&kit, "id", "2250501020304", 'a');
	assert_int_equal(
		session_take(kit.table, &key, false, true, NOW, &kit.arena, &s), SESSION_NEW);
	assert_int_equal(s.journal.n, 0);
	session_put(kit.table, &s);
	check_journal(&kit, "id", "2250501020304", "");
	kit_reopen(&kit);
	check_journal(&kit, "id", "2250501020304", "");
	kit_fini(&kit);
}

static void test_no_room(void **state)
{
	struct kit kit;
	struct session s;
	char id[24], number[24];

	kit_init_memory(&kit, 3);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(id, sizeof(id), "id%d", i);
		(void)snprintf(number, sizeof(number), "22505010203%02d", i);
		put_one(&kit, id, number, 'a');
	}
	assert_int_equal(take(&kit, "id9", "2250501020309", &s), SESSION_FULL);
	check_journal(&kit, "id1", "2250501020301", "a");
	kit_fini(&kit);
}

/* F-G12: redials of one number push out its own oldest sessions and nobody else's. */
static void test_storm_of_one_number(void **state)
{
	struct kit kit;
	struct session held, s;
	char id[16];

	kit_init(&kit);
	put_one(&kit, "other", "2250501020399", 'o');
	assert_int_equal(take(&kit, "held", "2250501020304", &held), SESSION_NEW);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(id, sizeof(id), "id%d", i);
		assert_int_equal(take_at(&kit, id, "2250501020304", NOW + i, &s), SESSION_NEW);
		session_put(kit.table, &s);
	}
	assert_int_equal(count(&kit), LIMIT_NUMBER_SESSIONS + 1);
	session_put(kit.table, &held);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(take_existing(&kit, "id0", "", &s), SESSION_ABSENT);
		assert_int_equal(take_existing(&kit, "id99", "", &s), SESSION_KNOWN);
		session_put(kit.table, &s);
		check_journal(&kit, "other", "2250501020399", "o");
		kit_reopen(&kit);
		assert_true(count(&kit) <= LIMIT_NUMBER_SESSIONS + 1);
	}
	kit_fini(&kit);
}

/* ---- between threads ---------------------------------------------------------------------------
 */

struct walker {
	struct kit *kit;
	const char *id;
	int hops;
};

static void *walk(void *arg)
{
	struct walker *w = arg;

	for (int i = 0; i < w->hops; i++) {
		struct session_key key = key_of(w->id, "2250501020304");
		struct session s;
		struct arena arena;

		arena_init(&arena, 1 << 20);
		(void)session_take(w->kit->table, &key, false, false, NOW, &arena, &s);
		/* Whoever has it is alone with it: no hop is lost. */
		s.text_len++;
		session_put(w->kit->table, &s);
		arena_fini(&arena);
	}
	return NULL;
}

static void test_one_hop_at_a_time(void **state)
{
	struct kit kit;
	pthread_t threads[4];
	struct session s;
	struct walker walker = {&kit, "id", 500};

	kit_init(&kit);
	for (size_t i = 0; i < ROWS(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, walk, &walker), 0);
	for (size_t i = 0; i < ROWS(threads); i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(take(&kit, "id", "2250501020304", &s), SESSION_KNOWN);
	assert_int_equal(s.text_len, 4 * 500);
	session_put(kit.table, &s);
	kit_fini(&kit);
}

static void *take_one(void *arg)
{
	struct walker *w = arg;
	struct session_key key = key_of(w->id, "2250501020304");
	struct session s;
	struct arena arena;
	enum session_found found;

	arena_init(&arena, 1 << 20);
	found = session_take(w->kit->table, &key, false, false, NOW, &arena, &s);
	if (found == SESSION_KNOWN || found == SESSION_NEW)
		session_put(w->kit->table, &s);
	arena_fini(&arena);
	w->hops = (int)found;
	return NULL;
}

/* Who waits for an ordinary hop is told at once when it turns into one that waits for the disk. */
static void test_suspended(void **state)
{
	struct kit kit;
	struct session s, other;
	pthread_t thread;
	struct walker walker = {&kit, "id", 0};

	kit_init(&kit);
	assert_int_equal(take(&kit, "id", "2250501020304", &s), SESSION_NEW);
	assert_int_equal(pthread_create(&thread, NULL, take_one, &walker), 0);
	session_suspend(kit.table, &s);
	(void)pthread_join(thread, NULL);
	assert_int_equal(walker.hops, SESSION_BUSY);
	assert_int_equal(take(&kit, "id", "2250501020304", &other), SESSION_BUSY);
	/* It is not swept, nor offered, nor trimmed meanwhile. */
	session_sweep(kit.table, NOW + 10 * KEEP_MS);
	assert_int_equal(count(&kit), 1);
	session_put(kit.table, &s);
	assert_int_equal(take(&kit, "id", "2250501020304", &other), SESSION_KNOWN);
	session_put(kit.table, &other);
	kit_fini(&kit);
}

static void test_waits_for_a_dropped_one(void **state)
{
	struct kit kit;
	struct session s;
	pthread_t thread;
	struct walker walker = {&kit, "id", 0};

	kit_init(&kit);
	assert_int_equal(take(&kit, "id", "2250501020304", &s), SESSION_NEW);
	assert_int_equal(pthread_create(&thread, NULL, take_one, &walker), 0);
	session_drop(kit.table, &s);
	(void)pthread_join(thread, NULL);
	assert_int_equal(walker.hops, SESSION_NEW);
	kit_fini(&kit);
}

/* ---- age ---------------------------------------------------------------------------------------
 */

static void test_sweep(void **state)
{
	struct kit kit;
	struct session s;

	kit_init(&kit);
	assert_int_equal(take_at(&kit, "old", "2250501020304", NOW, &s), SESSION_NEW);
	session_put(kit.table, &s);
	assert_int_equal(take_at(&kit, "new", "2250501020305", NOW + 1000, &s), SESSION_NEW);
	session_put(kit.table, &s);
	session_sweep(kit.table, NOW + KEEP_MS);
	assert_int_equal(count(&kit), 2);
	session_sweep(kit.table, NOW + KEEP_MS + 1);
	assert_int_equal(count(&kit), 1);
	assert_int_equal(take_existing(&kit, "old", "", &s), SESSION_ABSENT);
	session_set_keep(kit.table, 2 * KEEP_MS);
	session_sweep(kit.table, NOW + KEEP_MS + 1001);
	assert_int_equal(count(&kit), 1);
	session_sweep(kit.table, NOW + 2 * KEEP_MS + 1001);
	assert_int_equal(count(&kit), 0);
	kit_fini(&kit);
}

static void test_many(void **state)
{
	struct kit kit;
	struct session s;
	char id[24], number[24];

	kit_init_memory(&kit, 10000);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(id, sizeof(id), "id%d", i);
		(void)snprintf(number, sizeof(number), "22505%08d", i);
		assert_int_equal(take(&kit, id, number, &s), SESSION_NEW);
		session_put(kit.table, &s);
		arena_reset(&kit.arena);
	}
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(id, sizeof(id), "id%d", i);
		assert_int_equal(take_existing(&kit, id, "", &s), SESSION_KNOWN);
		session_put(kit.table, &s);
		arena_reset(&kit.arena);
	}
	session_sweep(kit.table, NOW + KEEP_MS + 1);
	assert_int_equal(count(&kit), 0);
	kit_fini(&kit);
}

/* What a session in the middle of a walk costs while nothing happens: the aim is 512 bytes. */
static void test_bytes_of_an_idle_session(void **state)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	enum { N = 4000 };
	struct kit kit;
	struct session s;
	char id[48], number[24];
	size_t before = 0, after;

	kit_init_memory(&kit, 2 * N);
	for (int i = 0; i < 2 * N; i++) {
		if (i == N)
			before = mallinfo2().uordblks;
		(void)snprintf(id, sizeof(id), "ATUid_%032d", i);
		(void)snprintf(number, sizeof(number), "22505%08d", i);
		assert_int_equal(take(&kit, id, number, &s), SESSION_NEW);
		s.code = STR("*384*22#");
		s.network = STR("61205");
		s.lang = STR("fr");
		s.summary = STR("500 F MTN");
		s.said = STR("Recharge 500 F MTN\n05 01 02 03 04\nFrais 100 F, total 600 F par "
			     "MTN\n1. Confirmer\n2. Annuler\n3. Autre operateur\n0. Retour");
		buf_add_str(&s.journal, STR("three answers, each with a hash and a kind"));
		session_put(kit.table, &s);
		arena_reset(&kit.arena);
	}
	after = mallinfo2().uordblks;
	print_message("%zu bytes an idle session\n", (after - before) / N);
	assert_true((after - before) / N <= 640);
	kit_fini(&kit);
#endif
}

/* ---- resuming ----------------------------------------------------------------------------------
 */

static const struct session_resume RESUME = {.parked_ms = 600000, .dropped_ms = 780000};

struct left {
	const char *summary;
	bool is_ended, is_parked, is_offering;
	int64_t ago_ms;
	bool can_resume;
};

static void test_what_can_be_resumed(void **state)
{
	static const struct left rows[] = {
		{"500 F", false, false, false, 1, true},
		{"", false, false, false, 1, false},
		{"500 F", true, false, false, 1, false},
		{"500 F", true, true, false, 1, true},
		{"500 F", false, false, true, 1, false},
		{"500 F", false, false, false, 780000, true},
		{"500 F", false, false, false, 780001, false},
		{"500 F", true, true, false, 600000, true},
		{"500 F", true, true, false, 600001, false},
	};

	for (size_t i = 0; i < ROWS(rows); i++) {
		struct kit kit;
		struct session s;

		kit_init_memory(&kit, 10);
		(void)take_at(&kit, "old", "2250501020304", NOW - rows[i].ago_ms, &s);
		s.summary = str_c(rows[i].summary);
		s.is_ended = rows[i].is_ended;
		s.is_parked = rows[i].is_parked;
		s.is_offering = rows[i].is_offering;
		session_put(kit.table, &s);
		(void)take(&kit, "new", "2250501020304", &s);
		if (session_find_resumable(kit.table, &s, &RESUME, &kit.arena) !=
			rows[i].can_resume)
			fail_msg("row %zu", i);
		session_put(kit.table, &s);
		kit_fini(&kit);
	}
}

static void test_resume(void **state)
{
	struct kit kit;
	struct session old, s;

	kit_init(&kit);
	(void)take_at(&kit, "old", "2250501020304", NOW - 20, &old);
	old.summary = STR("1000 F");
	session_put(kit.table, &old);
	(void)take_at(&kit, "newer", "2250501020304", NOW - 10, &old);
	old.summary = STR("500 F");
	old.buys = 1;
	old.lang = STR("en");
	old.text_len = 9;
	old.hop_id = STR("theirs");
	memset(old.service_hash, 7, sizeof(old.service_hash));
	buf_add_str(&old.journal, STR("journal"));
	session_put(kit.table, &old);
	(void)take(&kit, "new", "2250501020304", &s);
	s.text_len = 1;
	s.hop_id = STR("mine");
	assert_true(session_find_resumable(kit.table, &s, &RESUME, &kit.arena));
	check_str(s.summary, "500 F");
	assert_memory_equal(s.offer, old.uid, UID_LEN);
	s.is_offering = true;
	session_put(kit.table, &s);
	kit_reopen(&kit);
	(void)take(&kit, "new", "2250501020304", &s);
	assert_true(session_adopt(kit.table, &s, &kit.arena));
	assert_false(s.is_offering);
	assert_memory_equal(s.uid, old.uid, UID_LEN);
	assert_int_equal(s.buys, 1);
	assert_int_equal(s.service_hash[3], 7);
	check_str(buf_str(&s.journal), "journal");
	check_str(s.lang, "en");
	/* Where the aggregator is belongs to this dialogue. */
	assert_int_equal(s.text_len, 1);
	check_str(s.hop_id, "mine");
	check_str(s.id, "new");
	session_put(kit.table, &s);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(take_existing(&kit, "newer", "", &s), SESSION_ABSENT);
		check_journal(&kit, "new", "", "journal");
		assert_int_equal(count(&kit), 2);
		kit_reopen(&kit);
	}
	kit_fini(&kit);
}

static void test_nothing_to_adopt(void **state)
{
	struct kit kit;
	struct session old, s, busy;

	kit_init_memory(&kit, 10);
	(void)take(&kit, "old", "2250501020304", &old);
	old.summary = STR("500 F");
	session_put(kit.table, &old);
	(void)take(&kit, "new", "2250501020304", &s);
	assert_true(session_find_resumable(kit.table, &s, &RESUME, &kit.arena));
	/* Somebody is at it again. */
	(void)take(&kit, "old", "2250501020304", &busy);
	assert_false(session_adopt(kit.table, &s, &kit.arena));
	session_drop(kit.table, &busy);
	assert_false(session_adopt(kit.table, &s, &kit.arena));
	session_put(kit.table, &s);
	kit_fini(&kit);
}

/* Another number, another channel and a number that is not known are not offered anything. */
static void test_resume_is_personal(void **state)
{
	struct kit kit;
	struct session s;
	struct session_key other_channel = {STR("infobip"), STR("new"), STR("2250501020304")};

	kit_init_memory(&kit, 10);
	(void)take(&kit, "old", "2250501020304", &s);
	s.summary = STR("500 F");
	session_put(kit.table, &s);
	(void)take(&kit, "nobody", "", &s);
	s.summary = STR("500 F");
	session_put(kit.table, &s);
	(void)take(&kit, "b", "2250501020305", &s);
	assert_false(session_find_resumable(kit.table, &s, &RESUME, &kit.arena));
	session_put(kit.table, &s);
	(void)session_take(kit.table, &other_channel, false, false, NOW, &kit.arena, &s);
	assert_false(session_find_resumable(kit.table, &s, &RESUME, &kit.arena));
	session_put(kit.table, &s);
	(void)take(&kit, "c", "", &s);
	assert_false(session_find_resumable(kit.table, &s, &RESUME, &kit.arena));
	session_put(kit.table, &s);
	kit_fini(&kit);
}

/* ---- the log -----------------------------------------------------------------------------------
 */

static void log_path(const struct kit *kit, unsigned n, char out[static 128])
{
	(void)snprintf(out, 128, "%s/sessions.%08u.log", kit->dir, n);
}

static off_t size_of(const struct kit *kit, unsigned n)
{
	char path[128];
	struct stat st;

	log_path(kit, n, path);
	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void overwrite(const struct kit *kit, unsigned n, off_t at, struct str bytes)
{
	char path[128];
	int fd;

	log_path(kit, n, path);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes.p, bytes.n, at), bytes.n);
	(void)close(fd);
}

/* Wherever a power cut tears the last record, what was whole before it is there. */
static void test_torn_anywhere(void **state)
{
	struct kit kit;
	off_t whole, last;
	char path[128];

	kit_init(&kit);
	put_one(&kit, "a", "2250501020304", 'a');
	whole = size_of(&kit, 1);
	put_one(&kit, "b", "2250501020305", 'b');
	last = size_of(&kit, 1);
	session_table_free(&kit.table);
	log_path(&kit, 1, path);
	for (off_t size = last - 1; size >= whole; size -= 3) {
		struct session s;

		assert_int_equal(truncate(path, size), 0);
		kit_open(&kit);
		check_journal(&kit, "a", "", "a");
		assert_int_equal(take_existing(&kit, "b", "", &s), SESSION_ABSENT);
		session_table_free(&kit.table);
	}
	kit_open(&kit);
	kit_fini(&kit);
}

static void test_noise_at_the_end(void **state)
{
	static const char zeros[16], noise[] = "\xff\xff\xff\xff noise";
	struct kit kit;
	struct session s;
	off_t whole;

	kit_init(&kit);
	put_one(&kit, "a", "2250501020304", 'a');
	whole = size_of(&kit, 1);
	put_one(&kit, "b", "2250501020305", 'b');
	session_table_free(&kit.table);
	/* In the sealed bytes; in the length, too long and then zero. */
	overwrite(&kit, 1, whole + 40, (struct str){noise, 8});
	kit_open(&kit);
	check_journal(&kit, "a", "", "a");
	assert_int_equal(take_existing(&kit, "b", "", &s), SESSION_ABSENT);
	put_one(&kit, "c", "2250501020306", 'c');
	session_table_free(&kit.table);
	overwrite(&kit, 1, whole, (struct str){noise, 4});
	kit_open(&kit);
	check_journal(&kit, "a", "", "a");
	check_journal(&kit, "c", "", "c");
	session_table_free(&kit.table);
	overwrite(&kit, 1, whole, (struct str){zeros, sizeof(zeros)});
	kit_open(&kit);
	check_journal(&kit, "a", "", "a");
	check_journal(&kit, "c", "", "c");
	kit_fini(&kit);
}

static void test_another_key(void **state)
{
	struct kit kit;
	struct session_config config;
	struct session_table *table = NULL;
	struct vault *other = NULL;
	struct err err = ERR_INIT;

	kit_init(&kit);
	put_one(&kit, "a", "2250501020304", 'a');
	session_table_free(&kit.table);
	assert_int_equal(vault_new(STR(OTHER_KEY), &other, NULL), 0);
	config = (struct session_config){
		.dir = str_c(kit.dir), .vault = other, .max = 10, .keep_ms = KEEP_MS};
	assert_int_equal(session_table_new(&config, &table, &err), TAMA_EAUTH);
	assert_null(table);
	assert_non_null(strstr(err.text, "sessions.00000001.log"));
	vault_free(&other);
	/* Nothing was lost by trying. */
	kit_open(&kit);
	check_journal(&kit, "a", "", "a");
	kit_fini(&kit);
}

static void test_no_directory(void **state)
{
	struct kit kit;
	struct session_config config;
	struct session_table *table = NULL;
	struct err err = ERR_INIT;

	kit_init(&kit);
	config = (struct session_config){
		.dir = STR("/nowhere/at/all"), .vault = kit.vault, .max = 10};
	assert_int_equal(session_table_new(&config, &table, &err), TAMA_EIO);
	assert_null(table);
	assert_true(err.text[0] != '\0');
	kit_fini(&kit);
}

/* Nothing of a session is readable in its log. */
static void test_sealed(void **state)
{
	struct kit kit;
	struct session s;
	char path[128], bytes[4096];
	int fd;
	ssize_t n;

	kit_init(&kit);
	(void)take(&kit, "id", "2250501020304", &s);
	buf_add_str(&s.journal, STR("0506070809"));
	session_put(kit.table, &s);
	log_path(&kit, 1, path);
	fd = open(path, O_RDONLY);
	n = read(fd, bytes, sizeof(bytes));
	(void)close(fd);
	assert_true(n > 100);
	assert_null(memmem(bytes, (size_t)n, "2250501020304", 13));
	assert_null(memmem(bytes, (size_t)n, "0506070809", 10));
	kit_fini(&kit);
}

static void set_mtime(const struct kit *kit, unsigned n, int64_t ms)
{
	struct timespec times[2] = {{.tv_sec = ms / 1000}, {.tv_sec = ms / 1000}};
	char path[128];

	log_path(kit, n, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Segments go once nothing in them can be asked for any more; sessions do not. */
static void test_rotation(void **state)
{
	const int64_t step = 5 * 60 * 1000;
	struct kit kit;
	struct session s;

	kit_init(&kit);
	session_sweep(kit.table, NOW);
	assert_int_equal(take_at(&kit, "a", "2250501020304", NOW, &s), SESSION_NEW);
	session_put(kit.table, &s);
	session_sweep(kit.table, NOW + step - 1);
	assert_int_equal(size_of(&kit, 2), -1);
	session_sweep(kit.table, NOW + step);
	assert_int_equal(size_of(&kit, 2), 0);
	assert_int_equal(take_at(&kit, "b", "2250501020305", NOW + step, &s), SESSION_NEW);
	session_put(kit.table, &s);
	assert_true(size_of(&kit, 2) > 0);
	set_mtime(&kit, 1, NOW);
	set_mtime(&kit, 2, NOW + step);
	session_sweep(kit.table, NOW + 2 * step);
	assert_true(size_of(&kit, 1) > 0);
	session_sweep(kit.table, NOW + 3 * step);
	assert_int_equal(size_of(&kit, 1), -1);
	assert_true(size_of(&kit, 2) > 0);
	kit_reopen(&kit);
	assert_int_equal(take_existing(&kit, "b", "", &s), SESSION_KNOWN);
	session_put(kit.table, &s);
	kit_fini(&kit);
}

/* A disk that is full: sessions go on in memory, and the log goes on once there is room again. */
static void test_disk_full(void **state)
{
	struct kit kit;
	struct session_stats stats;
	struct session s;
	struct rlimit limit, was;
	off_t whole;

	kit_init(&kit);
	put_one(&kit, "a", "2250501020304", 'a');
	whole = size_of(&kit, 1);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	limit = was;
	limit.rlim_cur = (rlim_t)whole + 50; /* in the middle of the next record */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	put_one(&kit, "b", "2250501020305", 'b');
	put_one(&kit, "b", "2250501020305", 'B');
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	session_stats(kit.table, &stats);
	assert_int_equal(stats.log_failures, 2);
	assert_int_equal(size_of(&kit, 1), whole);
	check_journal(&kit, "b", "", "bB"); /* writes it */
	put_one(&kit, "c", "2250501020306", 'c');
	kit_reopen(&kit);
	check_journal(&kit, "a", "", "a");
	check_journal(&kit, "b", "", "bB");
	check_journal(&kit, "c", "", "c");
	assert_int_equal(take_existing(&kit, "d", "", &s), SESSION_ABSENT);
	kit_fini(&kit);
}

/* The same where the torn record cannot be cut off: another segment. */
static void test_log_cannot_be_cut(void **state)
{
	struct kit kit;
	struct session_stats stats;
	char path[128];

	if (access("/dev/full", W_OK) != 0)
		skip();
	kit_init(&kit);
	session_sweep(kit.table, NOW);
	log_path(&kit, 2, path);
	assert_int_equal(symlink("/dev/full", path), 0);
	session_sweep(kit.table, NOW + 5 * 60 * 1000);
	put_one(&kit, "a", "2250501020304", 'a');
	session_stats(kit.table, &stats);
	assert_int_equal(stats.log_failures, 1);
	put_one(&kit, "a", "2250501020304", 'A');
	assert_int_equal(unlink(path), 0);
	assert_true(size_of(&kit, 3) > 0);
	kit_reopen(&kit);
	check_journal(&kit, "a", "", "aA");
	kit_fini(&kit);
}

/* Whatever bytes are in a record that we have sealed, reading them ends. */
static void test_unpack_garbage(void **state)
{
	struct session s = {.channel = STR("at-ci"), .id = STR("id"), .said = STR("said")}, out;
	struct buf packed;

	buf_init(&s.journal, LIMIT_SESSION_JOURNAL);
	buf_add_str(&s.journal, STR("journal"));
	buf_init(&packed, SESSION_PACKED_MAX);
	session_pack(&s, &packed);
	for (size_t n = 0; n < packed.n; n++)
		assert_int_equal(session_unpack((struct str){packed.p, n}, &out), TAMA_EINVAL);
	for (size_t i = 0; i < packed.n * 8; i++) {
		packed.p[i / 8] = (char)(packed.p[i / 8] ^ 1 << i % 8);
		if (session_unpack(buf_str(&packed), &out) == 0)
			buf_fini(&out.journal);
		packed.p[i / 8] = (char)(packed.p[i / 8] ^ 1 << i % 8);
	}
	assert_int_equal(session_unpack(buf_str(&packed), &out), 0);
	check_str(out.said, "said");
	buf_fini(&out.journal);
	buf_fini(&packed);
	buf_fini(&s.journal);
}

static void test_mac_of_text(void **state)
{
	struct kit a, b;

	kit_init_memory(&a, 1);
	kit_init_memory(&b, 1);
	assert_int_equal(
		session_text_mac(a.table, STR("1*2")), session_text_mac(a.table, STR("1*2")));
	assert_int_not_equal(
		session_text_mac(a.table, STR("1*2")), session_text_mac(a.table, STR("1*3")));
	assert_int_not_equal(
		session_text_mac(a.table, STR("1*2")), session_text_mac(b.table, STR("1*2")));
	assert_int_not_equal(session_text_mac(a.table, STR("")), 0);
	kit_fini(&a);
	kit_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_comes_back),
		cmocka_unit_test(test_which_one),
		cmocka_unit_test(test_begun_afresh),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_storm_of_one_number),
		cmocka_unit_test(test_one_hop_at_a_time),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_waits_for_a_dropped_one),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_bytes_of_an_idle_session),
		cmocka_unit_test(test_what_can_be_resumed),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_nothing_to_adopt),
		cmocka_unit_test(test_resume_is_personal),
		cmocka_unit_test(test_torn_anywhere),
		cmocka_unit_test(test_noise_at_the_end),
		cmocka_unit_test(test_another_key),
		cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_log_cannot_be_cut),
		cmocka_unit_test(test_unpack_garbage),
		cmocka_unit_test(test_mac_of_text),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
