/* Query strings and form bodies. */
#include "check.h"

#include "tama/err.h"
#include "tama/form.h"
#include "tama/limits.h"

static int setup(void **state)
{
	static struct arena arena;
	arena_init(&arena, 64 * 1024);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_fini(*state);
	return 0;
}

static void reads_fields(void **state)
{
	struct form form;
	struct str text = STR("text=1%2A500%23&phoneNumber=%2B2250701020304&empty=&bare&a=b=c&sp=x+"
			      "y%20z&n=1&n=2");
	assert_int_equal(form_parse(text, *state, &form), 0);
	check_str(form_get(&form, STR("text")), "1*500#");
	check_str(form_get(&form, STR("phoneNumber")), "+2250701020304");
	check_str(form_get(&form, STR("a")), "b=c");
	check_str(form_get(&form, STR("sp")), "x y z");
	check_str(form_get(&form, STR("n")), "1");
	assert_int_equal(form_count(&form, STR("n")), 2);
	assert_int_equal(form_count(&form, STR("N")), 0);
	assert_non_null(form_get(&form, STR("empty")).p);
	assert_int_equal(form_get(&form, STR("empty")).n, 0);
	assert_non_null(form_get(&form, STR("bare")).p);
	assert_null(form_get(&form, STR("absent")).p);
	assert_null(form_get(&form, STR("Text")).p);
}

static void drops_nameless_fields(void **state)
{
	struct form form;
	assert_int_equal(form_parse(STR("&=&=en&&x=1&"), *state, &form), 0);
	assert_int_equal(form.n, 1);
	check_str(form_get(&form, STR("x")), "1");
	assert_int_equal(form_parse(STR(""), *state, &form), 0);
	assert_int_equal(form.n, 0);
	assert_int_equal(form_parse((struct str){NULL, 0}, *state, &form), 0);
	assert_int_equal(form.n, 0);
}

static void keeps_nul_bytes(void **state)
{
	struct form form;
	assert_int_equal(form_parse(STR("t=a%00b"), *state, &form), 0);
	struct str value = form_get(&form, STR("t"));
	assert_int_equal(value.n, 3);
	assert_memory_equal(value.p, "a\0b", 3);
}

static void refuses_broken_escapes(void **state)
{
	static const char *const bad[] = {
		"a=%", "a=%4", "a=%g0", "a=%0g", "%zz=1", "a=%%", "a=1&b=%+1"};
	struct form form = {NULL, 99};
	for (size_t i = 0; i < ROWS(bad); i++)
		assert_int_equal(form_parse(str_c(bad[i]), *state, &form), TAMA_EINVAL);
	assert_int_equal(form.n, 99);
}

static void bounds_the_fields(void **state)
{
	char text[4 * (LIMIT_HTTP_FIELDS + 1)];
	struct form form;
	for (size_t i = 0; i < sizeof(text); i += 4)
		memcpy(text + i, "a=1&", 4);
	assert_int_equal(form_parse((struct str){text, sizeof(text) - 4}, *state, &form), 0);
	assert_int_equal(form.n, LIMIT_HTTP_FIELDS);
	assert_int_equal(form_parse((struct str){text, sizeof(text)}, *state, &form), TAMA_ELIMIT);
}

static void says_when_memory_ends(void **state)
{
	struct arena small;
	struct form form;
	struct str out;
	arena_init(&small, LIMIT_HTTP_FIELDS * sizeof(struct form_field));
	assert_int_equal(form_parse(STR("a=1"), &small, &form), TAMA_ENOMEM);
	assert_int_equal(form_unescape_path(STR("a"), &small, &out), TAMA_ENOMEM);
	assert_null(form_escape(STR("a"), &small).p);
	arena_fini(&small);
	arena_init(&small, 8);
	assert_int_equal(form_parse(STR("a=1"), &small, &form), TAMA_ENOMEM);
	arena_fini(&small);
}

static void reads_path_segments(void **state)
{
	struct str out = STR("untouched");
	assert_int_equal(form_unescape_path(STR("a+b%2Fc%20d"), *state, &out), 0);
	check_str(out, "a+b/c d");
	out = STR("untouched");
	assert_int_equal(form_unescape_path(STR("a%00b"), *state, &out), TAMA_EINVAL);
	assert_int_equal(form_unescape_path(STR("a%2"), *state, &out), TAMA_EINVAL);
	check_str(out, "untouched");
}

static void escapes_and_comes_back(void **state)
{
	char bytes[256];
	struct str back;
	check_str(form_escape(STR("+225 07*#é-._~"), *state), "%2B225%2007%2A%23%C3%A9-._~");
	check_str(form_escape(STR(""), *state), "");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	struct str all = {bytes + 1, sizeof(bytes) - 1};
	assert_int_equal(form_unescape_path(form_escape(all, *state), *state, &back), 0);
	assert_true(str_eq(all, back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_nameless_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_nul_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_broken_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_the_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(says_when_memory_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_path_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(escapes_and_comes_back, setup, teardown),
	};
	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
