/* The journal: every entry comes back, every broken byte is noticed, BACK and HOME stop at BUY. */
#include "check.h"

#include "tama/err.h"
#include "tama/journal.h"
#include "tama/limits.h"

struct fixture {
	struct buf buf;
	struct arena arena;
	struct journal_steps steps;
};

static int setup(void **state)
{
	static struct fixture fixture;
	buf_init(&fixture.buf, LIMIT_SESSION_JOURNAL);
	arena_init(&fixture.arena, 64 * 1024);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	buf_fini(&f->buf);
	arena_fini(&f->arena);
	return 0;
}

/*
 * Writes a journal from letters: a lower-case letter is the answer to the question of that hash,
 * and S secret, R reject, P page, E effect, K park, B buy, < back, ^ home. Then folds it.
 */
static struct journal_steps *fold(struct fixture *f, const char *letters)
{
	static const struct {
		char letter;
		struct journal_entry entry;
	} kinds[] = {
		{'S', {.kind = JOURNAL_SECRET, .hash = 7, .handle = 77}},
		{'R', {.kind = JOURNAL_REJECT, .hash = 8, .text = STR_INIT("abc")}},
		{'P', {.kind = JOURNAL_PAGE, .hash = 8}},
		{'E', {.kind = JOURNAL_EFFECT, .hash = 9, .text = STR_INIT("value")}},
		{'K', {.kind = JOURNAL_PARK}},
		{'B', {.kind = JOURNAL_BUY,
			      .ordinal = 1,
			      .purchase = 5,
			      .text = STR_INIT("K7QF2M")}},
		{'<', {.kind = JOURNAL_BACK}},
		{'^', {.kind = JOURNAL_HOME}},
	};
	buf_reset(&f->buf);
	for (; *letters != '\0'; letters++) {
		struct journal_entry entry = {
			.kind = JOURNAL_ANSWER, .hash = (uint16_t)*letters, .text = {letters, 1}};
		for (size_t i = 0; i < ROWS(kinds); i++)
			if (kinds[i].letter == *letters)
				entry = kinds[i].entry;
		journal_add(&f->buf, &entry);
	}
	assert_int_equal(journal_fold(buf_str(&f->buf), &f->arena, &f->steps), 0);
	return &f->steps;
}

/* The steps in force in the letters of fold(). */
static void check_steps(struct fixture *f, const char *journal, const char *want)
{
	static const char letters[] = {[JOURNAL_SECRET] = 'S',
		[JOURNAL_EFFECT] = 'E',
		[JOURNAL_PARK] = 'K',
		[JOURNAL_BUY] = 'B',
		[JOURNAL_HOME] = '?'};
	struct journal_steps *steps = fold(f, journal);
	char got[64] = "";
	unsigned buys = 0;
	assert_true(steps->n < sizeof(got));
	for (size_t i = 0; i < steps->n; i++) {
		const struct journal_entry *e = &steps->steps[i];
		got[i] = e->kind == JOURNAL_ANSWER ? e->text.p[0] : letters[e->kind];
		buys += e->kind == JOURNAL_BUY;
	}
	assert_string_equal(got, want);
	assert_int_equal(steps->buys, buys);
}

static void check_same(const struct journal_entry *a, const struct journal_entry *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->hash, b->hash);
	assert_int_equal(a->handle, b->handle);
	assert_int_equal(a->ordinal, b->ordinal);
	assert_int_equal(a->purchase, b->purchase);
	assert_true(str_eq(a->text, b->text));
}

static void every_entry_comes_back(void **state)
{
	struct fixture *f = *state;
	char text[300];
	memset(text, 'x', sizeof(text));
	const struct journal_entry entries[] = {
		{.kind = JOURNAL_ANSWER, .hash = 0xFFEE, .text = STR_INIT("a\0b")},
		{.kind = JOURNAL_SECRET, .hash = 1, .handle = 0xDEADBEEF},
		{.kind = JOURNAL_REJECT, .hash = 2, .text = STR_INIT("")},
		{.kind = JOURNAL_PAGE, .hash = 3},
		{.kind = JOURNAL_EFFECT, .hash = 4, .text = {text, 300}},
		{.kind = JOURNAL_EFFECT, .hash = 4, .text = {text, 127}},
		{.kind = JOURNAL_EFFECT, .hash = 4, .text = {text, 128}},
		{.kind = JOURNAL_PARK},
		{.kind = JOURNAL_BUY,
			.ordinal = 255,
			.purchase = UINT64_MAX,
			.text = STR_INIT("K7QF2M")},
		{.kind = JOURNAL_BACK},
		{.kind = JOURNAL_HOME},
	};
	for (size_t i = 0; i < ROWS(entries); i++)
		journal_add(&f->buf, &entries[i]);
	struct journal_entry got;
	size_t at = 0;
	for (size_t i = 0; i < ROWS(entries); i++) {
		assert_int_equal(journal_next(buf_str(&f->buf), &at, &got), 1);
		check_same(&got, &entries[i]);
	}
	assert_int_equal(journal_next(buf_str(&f->buf), &at, &got), 0);
	assert_int_equal(at, f->buf.n);
}

static void has_the_stated_bytes(void **state)
{
	struct fixture *f = *state;
	fold(f, "aSPKB");
	const char want[] = "\1a\0\1a"
			    "\2\7\0\115\0\0\0"
			    "\4\10\0"
			    "\6"
			    "\7\1\5\0\0\0\0\0\0\0\6K7QF2M";
	assert_int_equal(f->buf.n, sizeof(want) - 1);
	assert_memory_equal(f->buf.p, want, f->buf.n);
}

static void refuses_broken_bytes(void **state)
{
	struct fixture *f = *state;
	static const struct str bad[] = {STR_INIT("\0"), STR_INIT("\12"),
		STR_INIT("\377"), /* no such kind */
		STR_INIT("\1"), STR_INIT("\1a"), STR_INIT("\1ab"), /* cut short */
		STR_INIT("\1ab\2x"), STR_INIT("\2ab\0\0\0"), STR_INIT("\4a"),
		STR_INIT("\7\1\0\0\0\0\0\0\0"),
		STR_INIT("\7\0\5\0\0\0\0\0\0\0\0"), /* the ordinal 0 */
		STR_INIT("\1ab\201\0x"), STR_INIT("\1ab\200\0"), /* a length spelt too long */
		STR_INIT("\1ab\377\377\377\377\377\1"), STR_INIT("\1ab\377\377\377\377\177x"),
		STR_INIT("\6\1ab\1")};
	for (size_t i = 0; i < ROWS(bad); i++) {
		struct journal_steps steps = {.page = 99};
		assert_int_equal(journal_fold(bad[i], &f->arena, &steps), TAMA_EINVAL);
		assert_int_equal(steps.page, 99);
	}
	struct journal_entry got = {.hash = 99};
	size_t at = 1;
	assert_int_equal(journal_next(STR("\6\1a"), &at, &got), TAMA_EINVAL);
	assert_int_equal(at, 1);
	assert_int_equal(got.hash, 99);
}

/* Any bytes are refused, or they are exactly what writing their entries again gives. */
static void has_one_spelling(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 20240501;
	unsigned whole = 0;
	for (int round = 0; round < 200000; round++) {
		char bytes[12];
		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (char)(seed >> 24 & (seed >> 20 & 1 ? 0x0F : 0xFF));
		}
		struct str journal = {bytes, 1 + seed % sizeof(bytes)};
		struct journal_entry entry;
		size_t at = 0;
		int rc;
		buf_reset(&f->buf);
		while ((rc = journal_next(journal, &at, &entry)) == 1)
			journal_add(&f->buf, &entry);
		assert_true(rc == 0 || rc == TAMA_EINVAL);
		assert_memory_equal(f->buf.p, bytes, at);
		assert_int_equal(f->buf.n, at);
		whole += rc == 0;
	}
	assert_true(whole > 1000);
}

static void back_drops_the_last_answer(void **state)
{
	struct fixture *f = *state;
	check_steps(f, "", "");
	check_steps(f, "abc", "abc");
	check_steps(f, "abc<", "ab");
	check_steps(f, "abc<<d", "ad");
	check_steps(f, "ab<<<", "");
	check_steps(f, "aS<", "a");
	check_steps(f, "aEb<", "aE");
	check_steps(f, "abE<", "a");
	check_steps(f, "E<", "E");
}

static void home_drops_all(void **state)
{
	struct fixture *f = *state;
	check_steps(f, "EabSK^", "");
	check_steps(f, "ab^c", "c");
	check_steps(f, "^", "");
}

static void a_purchase_is_a_barrier(void **state)
{
	struct fixture *f = *state;
	check_steps(f, "abB<", "abB");
	check_steps(f, "abB^", "abB");
	check_steps(f, "abBc<", "abB");
	check_steps(f, "abBc<<<", "abB");
	check_steps(f, "abBcEd^", "abB");
	check_steps(f, "aBbBc^<", "aBbB");
	check_steps(f, "abBE<", "abBE");
}

static void park_goes_with_the_answer_before_it(void **state)
{
	struct fixture *f = *state;
	check_steps(f, "aKb<", "aK");
	check_steps(f, "abK<", "a");
	check_steps(f, "aKb<<", "");
}

static void knows_when_back_is_possible(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *journal;
		bool want;
	} rows[] = {{"", false}, {"a", true}, {"S", true}, {"E", false}, {"K", false},
		{"aB", false}, {"aBE", false}, {"aBb", true}, {"a<", false}, {"a^", false}};
	for (size_t i = 0; i < ROWS(rows); i++)
		assert_int_equal(fold(f, rows[i].journal)->can_go_back, rows[i].want);
}

static void follows_the_pending_question(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *journal;
		unsigned page;
		bool was_rejected;
	} rows[] = {{"", 0, false}, {"PP", 2, false}, {"aPPb", 0, false}, {"aP<", 0, false},
		{"aP^", 0, false}, {"PR", 1, true}, {"RP", 1, false}, {"Ra", 0, false},
		{"aR<", 0, false}, {"RE", 0, false}, {"aPB", 0, false}};
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct journal_steps *steps = fold(f, rows[i].journal);
		assert_int_equal(steps->page, rows[i].page);
		assert_int_equal(steps->was_rejected, rows[i].was_rejected);
	}
	struct journal_steps *steps = fold(f, "aR");
	assert_int_equal(steps->rejected.hash, 8);
	check_str(steps->rejected.text, "abc");
}

static void keeps_to_its_ceilings(void **state)
{
	struct buf small;
	struct arena tiny;
	struct journal_steps steps;
	const struct journal_entry entry = {
		.kind = JOURNAL_ANSWER, .hash = 1, .text = STR_INIT("0123")};
	buf_init(&small, 12);
	journal_add(&small, &entry);
	journal_add(&small, &entry);
	assert_true(small.overflowed);
	assert_int_equal(small.n, 8);
	arena_init(&tiny, 16);
	assert_int_equal(journal_fold(buf_str(&small), &tiny, &steps), TAMA_ENOMEM);
	arena_fini(&tiny);
	buf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_entry_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(has_the_stated_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_broken_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(has_one_spelling, setup, teardown),
		cmocka_unit_test_setup_teardown(back_drops_the_last_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(home_drops_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_purchase_is_a_barrier, setup, teardown),
		cmocka_unit_test_setup_teardown(
			park_goes_with_the_answer_before_it, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_when_back_is_possible, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_the_pending_question, setup, teardown),
		cmocka_unit_test(keeps_to_its_ceilings),
	};
	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
