/* str, err, arena, buf. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tama/arena.h"
#include "tama/buf.h"
#include "tama/err.h"

/* Allocations no machine can serve fail in the tests below: let the sanitizers fail them alike. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void compares(void **state)
{
	assert_true(str_eq(STR("abc"), str_c("abc")));
	assert_true(str_eq(STR(""), str_c(NULL)));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_true(str_eq_nocase(STR("XoF"), STR("xOf")));
	assert_false(str_eq_nocase(STR("xof"), STR("xofa")));
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_true(str_has_prefix(STR("tel:+225"), STR("tel:")));
	assert_true(str_has_prefix(STR("tel:"), STR("")));
	assert_false(str_has_prefix(STR("te"), STR("tel:")));
}

static void trims_and_finds(void **state)
{
	check_str(str_trim(STR(" \t\r\n a b \v\f")), "a b");
	check_str(str_trim(STR("  ")), "");
	assert_int_equal(str_find(STR("a*b*"), '*'), 1);
	assert_int_equal(str_find(STR("ab"), '*'), -1);
	assert_int_equal(str_find((struct str){NULL, 0}, '*'), -1);
	check_str(str_from(STR("abc"), 1), "bc");
	check_str(str_from(STR("abc"), 4), "");
}

static void cuts(void **state)
{
	struct str rest = STR("1**500");
	check_str(str_cut(&rest, '*'), "1");
	check_str(str_cut(&rest, '*'), "");
	check_str(str_cut(&rest, '*'), "500");
	assert_null(rest.p);
	rest = STR("1*");
	check_str(str_cut(&rest, '*'), "1");
	assert_non_null(rest.p);
	check_str(str_cut(&rest, '*'), "");
	assert_null(rest.p);
}

static void reads_whole_numbers(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x10", "1.0",
		"9223372036854775808", "99999999999999999999"};
	int64_t n = 7;
	for (size_t i = 0; i < ROWS(bad); i++)
		assert_false(str_to_i64(str_c(bad[i]), &n));
	assert_false(str_to_i64(STR("1\0"), &n));
	assert_int_equal(n, 7);
	assert_true(str_to_i64(STR("9223372036854775807"), &n));
	assert_true(n == INT64_MAX);
	assert_true(str_to_i64(STR("000"), &n));
	assert_int_equal(n, 0);
}

static void knows_clean_text(void **state)
{
	static const char *const bad[] = {"\x80", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF",
		"\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80", "\xE2\x82", "\xE2\x28\xA1", "\xFF", "a\tb", "\r", "\x1B",
		"\x7F", "\xC2\x85", "\xE2\x80\xAE", "\xE2\x81\xA6"};
	for (size_t i = 0; i < ROWS(bad); i++)
		assert_false(str_is_clean_utf8(str_c(bad[i])));
	assert_false(str_is_clean_utf8(STR("a\0b")));
	assert_true(str_is_clean_utf8(STR("")));
	assert_true(str_is_clean_utf8(STR("é\n€ \xED\x9F\xBF \xF4\x8F\xBF\xBF \xF0\x90\x80\x80")));
}

static void first_message_wins(void **state)
{
	struct err err = ERR_INIT;
	assert_int_equal(err_set(&err, TAMA_EIO, "disk %d", 1), TAMA_EIO);
	assert_int_equal(err_set(&err, TAMA_EINVAL, "later"), TAMA_EINVAL);
	assert_string_equal(err.text, "disk 1");
	assert_int_equal(err_set(NULL, TAMA_EFULL, "nobody"), TAMA_EFULL);
	struct err full = ERR_INIT;
	(void)err_set(&full, -1, "%0600d", 1);
	assert_int_equal(strlen(full.text), sizeof(full.text) - 1);
}

static void assertion_aborts(void **state)
{
	tama_assert(1 + 1 == 2);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		tama_assert(child != 0);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void arena_gives_zeroed_aligned(void **state)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	for (int turn = 0; turn < 2; turn++) {
		for (size_t n = 0; n < 700; n++) {
			unsigned char *p = arena_alloc(&arena, n);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xA5, n);
		}
		assert_non_null(arena_alloc(&arena, 100000));
		arena_reset(&arena);
		assert_int_equal(arena.used, 0);
	}
	assert_ptr_not_equal(arena_alloc(&arena, 0), arena_alloc(&arena, 0));
	arena_fini(&arena);
	assert_null(arena.head);
}

static void arena_has_a_ceiling(void **state)
{
	struct arena arena;
	arena_init(&arena, 64);
	assert_non_null(arena_alloc(&arena, 33));
	assert_false(arena_overflowed(&arena));
	assert_null(arena_alloc(&arena, 17));
	assert_true(arena_overflowed(&arena));
	assert_non_null(arena_alloc(&arena, 16));
	assert_true(arena_overflowed(&arena));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_str(&arena, STR("x")).p);
	assert_null(arena_printf(&arena, "%d", 1).p);
	arena_reset(&arena);
	assert_false(arena_overflowed(&arena));
	assert_non_null(arena_alloc(&arena, 64));
	arena_fini(&arena);
	arena_init(&arena, SIZE_MAX / 2);
	assert_null(arena_alloc(&arena, SIZE_MAX / 4));
	assert_true(arena_overflowed(&arena));
	arena_fini(&arena);
}

static void arena_copies_text(void **state)
{
	struct arena arena;
	arena_init(&arena, 1024);
	struct str s = arena_str(&arena, STR("a\0b"));
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.p, "a\0b", 4);
	s = arena_str(&arena, (struct str){NULL, 0});
	assert_non_null(s.p);
	assert_int_equal(s.n, 0);
	s = arena_printf(&arena, "%s-%d", "K7", 42);
	check_str(s, "K7-42");
	assert_int_equal(s.p[s.n], 0);
	arena_fini(&arena);
}

static void buf_grows_to_its_ceiling(void **state)
{
	struct buf buf;
	buf_init(&buf, 1000);
	for (int i = 0; i < 100; i++)
		buf_printf(&buf, "%010d", i);
	assert_int_equal(buf.n, 1000);
	assert_false(buf.overflowed);
	assert_memory_equal(buf.p + 990, "0000000099", 10);
	buf_add_char(&buf, 'x');
	assert_true(buf.overflowed);
	assert_int_equal(buf.n, 1000);
	buf_reset(&buf);
	buf_add_str(&buf, STR("after"));
	check_str(buf_str(&buf), "after");
	buf_fini(&buf);
	assert_null(buf.p);
	assert_int_equal(buf.max, 1000);
}

static void buf_overflow_sticks(void **state)
{
	struct buf buf;
	buf_init(&buf, 4);
	buf_add_str(&buf, STR("ab"));
	buf_printf(&buf, "%s", "cde");
	assert_true(buf.overflowed);
	buf_add_char(&buf, 'c');
	check_str(buf_str(&buf), "ab");
	buf_add(&buf, NULL, 0);
	buf_fini(&buf);
	buf_init(&buf, SIZE_MAX - 1);
	buf_add(&buf, "x", SIZE_MAX / 2);
	assert_true(buf.overflowed);
	assert_int_equal(buf.n, 0);
	buf_fini(&buf);
}

static void buf_writes_little_endian(void **state)
{
	struct buf buf;
	buf_init(&buf, 64);
	buf_add_u16(&buf, 0x0102);
	buf_add_u32(&buf, 0x03040506);
	buf_add_u64(&buf, 0x0708090A0B0C0D0E);
	assert_int_equal(buf.n, 14);
	assert_memory_equal(buf.p, "\2\1\6\5\4\3\x0E\x0D\x0C\x0B\x0A\x09\x08\x07", 14);
	buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares),
		cmocka_unit_test(trims_and_finds),
		cmocka_unit_test(cuts),
		cmocka_unit_test(reads_whole_numbers),
		cmocka_unit_test(knows_clean_text),
		cmocka_unit_test(first_message_wins),
		cmocka_unit_test(assertion_aborts),
		cmocka_unit_test(arena_gives_zeroed_aligned),
		cmocka_unit_test(arena_has_a_ceiling),
		cmocka_unit_test(arena_copies_text),
		cmocka_unit_test(buf_grows_to_its_ceiling),
		cmocka_unit_test(buf_overflow_sticks),
		cmocka_unit_test(buf_writes_little_endian),
	};
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
