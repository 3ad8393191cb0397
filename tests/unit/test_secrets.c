/* OTPs in locked memory: by handle, for a while, and gone without a trace. */
#include "check.h"

#include "tama/err.h"
#include "tama/limits.h"
#include "tama/secrets.h"

#include <sodium.h>

#define NOW INT64_C(1767225600000)
#define LIFE_MS INT64_C(600000)

static struct secrets *make(void)
{
	struct secrets *secrets = NULL;

	assert_int_equal(secrets_new(&secrets), 0);
	return secrets;
}

static void test_kept_and_forgotten(void **state)
{
	struct secrets *secrets = make();
	char out[LIMIT_SECRET_BYTES] = "x";
	uint32_t a = secrets_keep(secrets, STR("4821"), NOW);
	uint32_t b = secrets_keep(secrets, STR("004821"), NOW);

	assert_int_not_equal(a, 0);
	assert_int_not_equal(b, 0);
	assert_int_not_equal(a, b);
	assert_int_equal(secrets_copy(secrets, a, NOW, out, sizeof(out)), 0);
	assert_string_equal(out, "4821");
	assert_int_equal(secrets_copy(secrets, b, NOW, out, sizeof(out)), 0);
	assert_string_equal(out, "004821");
	secrets_forget(secrets, a);
	assert_int_equal(secrets_copy(secrets, a, NOW, out, sizeof(out)), TAMA_ENOTFOUND);
	assert_int_equal(secrets_copy(secrets, b, NOW, out, sizeof(out)), 0);
	/* Silent for what is not there. */
	secrets_forget(secrets, a);
	secrets_forget(secrets, 0);
	secrets_forget(secrets, a + LIMIT_SECRETS);
	assert_int_equal(secrets_copy(secrets, b, NOW, out, sizeof(out)), 0);
	secrets_free(&secrets);
	assert_null(secrets);
	secrets_free(&secrets);
}

static void test_what_is_none(void **state)
{
	struct secrets *secrets = make();
	char out[LIMIT_SECRET_BYTES];
	uint32_t longest = secrets_keep(secrets, STR("123456789012345"), NOW);

	assert_int_equal(secrets_keep(secrets, STR(""), NOW), 0);
	assert_int_equal(secrets_keep(secrets, STR("12a4"), NOW), 0);
	assert_int_equal(secrets_keep(secrets, STR("12 4"), NOW), 0);
	assert_int_equal(secrets_keep(secrets, STR("12\0004"), NOW), 0);
	assert_int_equal(secrets_keep(secrets, STR("1234567890123456"), NOW), 0);
	assert_int_not_equal(longest, 0);
	assert_int_equal(secrets_copy(secrets, longest, NOW, out, 15), TAMA_ENOTFOUND);
	assert_int_equal(secrets_copy(secrets, longest, NOW, out, 16), 0);
	assert_string_equal(out, "123456789012345");
	assert_int_equal(secrets_copy(secrets, 0, NOW, out, sizeof(out)), TAMA_ENOTFOUND);
	assert_int_equal(
		secrets_copy(secrets, longest + LIMIT_SECRETS, NOW, out, 16), TAMA_ENOTFOUND);
	secrets_free(&secrets);
}

static void test_age(void **state)
{
	struct secrets *secrets = make();
	char out[LIMIT_SECRET_BYTES];
	uint32_t a = secrets_keep(secrets, STR("4821"), NOW);

	assert_int_equal(secrets_copy(secrets, a, NOW + LIFE_MS, out, sizeof(out)), 0);
	assert_int_equal(
		secrets_copy(secrets, a, NOW + LIFE_MS + 1, out, sizeof(out)), TAMA_ENOTFOUND);
	secrets_sweep(secrets, NOW + LIFE_MS);
	assert_int_equal(secrets_copy(secrets, a, NOW, out, sizeof(out)), 0);
	secrets_sweep(secrets, NOW + LIFE_MS + 1);
	assert_int_equal(secrets_copy(secrets, a, NOW, out, sizeof(out)), TAMA_ENOTFOUND);
	secrets_free(&secrets);
}

/* Full is told, never made room for: a code under way may not be lost to another. */
static void test_full(void **state)
{
	struct secrets *secrets = make();
	static uint32_t handles[LIMIT_SECRETS];
	char out[LIMIT_SECRET_BYTES], text[8];

	for (unsigned i = 0; i < LIMIT_SECRETS; i++) {
		(void)snprintf(text, sizeof(text), "%04u", i);
		handles[i] = secrets_keep(secrets, str_c(text), NOW);
		assert_int_not_equal(handles[i], 0);
	}
	assert_int_equal(secrets_keep(secrets, STR("4821"), NOW), 0);
	for (unsigned i = 0; i < LIMIT_SECRETS; i++) {
		(void)snprintf(text, sizeof(text), "%04u", i);
		assert_int_equal(secrets_copy(secrets, handles[i], NOW, out, sizeof(out)), 0);
		assert_string_equal(out, text);
	}
	/* What is past its time makes room. */
	assert_int_not_equal(secrets_keep(secrets, STR("4821"), NOW + LIFE_MS + 1), 0);
	secrets_free(&secrets);
}

/* One that is free is found, wherever it is. */
static void test_nearly_full(void **state)
{
	struct secrets *secrets = make();
	static uint32_t handles[LIMIT_SECRETS];

	for (unsigned i = 0; i < LIMIT_SECRETS; i++)
		handles[i] = secrets_keep(secrets, STR("4821"), NOW);
	for (unsigned i = 0; i < LIMIT_SECRETS; i += 500) {
		secrets_forget(secrets, handles[i]);
		assert_int_not_equal(secrets_keep(secrets, STR("4822"), NOW), 0);
		assert_int_equal(secrets_keep(secrets, STR("4823"), NOW), 0);
	}
	secrets_free(&secrets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_and_forgotten),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_nearly_full),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
