/* The wiping allocator as its users see it. That it wipes is shown on the whole process
 * (test_security_canary). */
#include "check.h"

#include "tama/wipe.h"

#include <stdlib.h>
#include <string.h>

static void keeps_what_grows(void **state)
{
	char *p = wipe_malloc(8);

	assert_non_null(p);
	memcpy(p, "1234567", 8);
	for (size_t n = 16; n <= 1 << 20; n *= 4) {
		p = wipe_realloc(p, n);
		assert_non_null(p);
		assert_string_equal(p, "1234567");
		memset(p + 8, 'x', n - 8);
	}
	wipe_free(p);
}

static void a_smaller_one_stays_where_it_is(void **state)
{
	char *p = wipe_malloc(1000);
	char *same = wipe_realloc(p, 10);

	assert_ptr_equal(same, p);
	wipe_free(same);
}

static void ends_like_realloc(void **state)
{
	char *p = wipe_realloc(NULL, 10);

	assert_non_null(p);
	assert_null(wipe_realloc(p, 0));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which end the process */
	assert_null(wipe_realloc(NULL, SIZE_MAX));
	/* What cannot grow is still there. */
	p = wipe_strdup("kept");
	assert_null(wipe_realloc(p, SIZE_MAX));
	assert_string_equal(p, "kept");
	wipe_free(p);
#endif
	wipe_free(NULL);
}

static void begins_with_nothing(void **state)
{
	static const char zeros[64];
	char *p = wipe_calloc(8, 8);

	assert_memory_equal(p, zeros, sizeof(zeros));
	wipe_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_grows),
		cmocka_unit_test(a_smaller_one_stays_where_it_is),
		cmocka_unit_test(ends_like_realloc),
		cmocka_unit_test(begins_with_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
