/* Marks where secrets go in, and secrets taken out of what came back. */
#include "check.h"

#include "../../src/engine/wire_priv.h"

#include "tama/err.h"
#include "tama/limits.h"

struct values {
	struct str token, otp;
	int asked;
};

static bool value_of(void *ctx, struct str name, struct str *out)
{
	struct values *values = ctx;

	values->asked++;
	if (str_eq(name, STR("token")))
		*out = values->token;
	else if (str_eq(name, STR("otp")))
		*out = values->otp;
	else
		return false;
	return true;
}

static int fill(struct values *values, struct str type, struct str field, struct str body,
	struct arena *arena, struct http_call *out)
{
	const struct http_field fields[] = {
		{STR("Content-Type"), type}, {STR("Authorization"), field}};
	const struct http_call call = {.method = STR("POST"),
		.url = STR("https://a.example/{{token}}"),
		.fields = fields,
		.fields_len = 2,
		.body = body};

	return marks_fill(&call, value_of, values, arena, out);
}

static void test_filled(void **state)
{
	struct values values = {.token = STR("a\"b\\c\n\x01"), .otp = STR("4821")};
	struct http_call out;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	assert_int_equal(
		fill(&values, STR("application/json; charset=utf-8"), STR("Bearer {{token}}"),
			STR("{\"otp\":\"{{otp}}\",\"t\":\"{{token}}{{otp}}\"}"), &arena, &out),
		0);
	check_str(out.method, "POST");
	/* An address is logged by everybody on the way: nothing is put into it. */
	check_str(out.url, "https://a.example/{{token}}");
	check_str(out.fields[0].value, "application/json; charset=utf-8");
	check_str(out.fields[1].value, "Bearer a\"b\\c\n\x01");
	check_str(out.body, "{\"otp\":\"4821\",\"t\":\"a\\\"b\\\\c\\u000a\\u00014821\"}");
	assert_int_equal(
		fill(&values, STR("text/plain"), STR("x"), STR("{{token}}"), &arena, &out), 0);
	check_str(out.body, "a\"b\\c\n\x01");
	arena_fini(&arena);
}

/* What a value holds is not read again. */
static void test_values_are_no_marks(void **state)
{
	struct values values = {.token = STR("{{otp}}"), .otp = STR("4821")};
	struct http_call out;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	assert_int_equal(
		fill(&values, STR("text/plain"), STR("{{token}}"), STR("{{token}}"), &arena, &out),
		0);
	check_str(out.fields[1].value, "{{otp}}");
	check_str(out.body, "{{otp}}");
	arena_fini(&arena);
}

static void test_what_is_no_mark(void **state)
{
	static const char *const texts[] = {"", "{", "{{", "{{}}", "{{otp", "{{otp}", "{{Otp}}",
		"{{ otp }}", "{{otp-1}}", "{ {otp}}", "}}otp{{",
		"{{abcdefghijklmnopqrstuvwxyzabcdefghi}}", "{{1}}"};
	struct values values = {0};
	struct http_call out;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < ROWS(texts); i++) {
		assert_int_equal(fill(&values, STR("text/plain"), str_c(texts[i]), str_c(texts[i]),
					 &arena, &out),
			0);
		check_str(out.body, texts[i]);
	}
	assert_int_equal(values.asked, 0);
	arena_fini(&arena);
}

static void test_no_value(void **state)
{
	struct values values = {.token = STR("t")};
	struct http_call out;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	assert_int_equal(fill(&values, STR("text/plain"), STR("x"), STR("{{other}}"), &arena, &out),
		TAMA_ENOTFOUND);
	assert_int_equal(fill(&values, STR("text/plain"), STR("{{other}}"), STR("x"), &arena, &out),
		TAMA_ENOTFOUND);
	arena_fini(&arena);
}

static void test_too_long(void **state)
{
	static char body[LIMIT_HTTP_BODY_BYTES + 1];
	struct values values = {.token = STR("0123456789")};
	struct http_call out;
	struct arena arena;

	memset(body, 'x', sizeof(body));
	memcpy(body, "{{token}}", 9);
	arena_init(&arena, 1 << 20);
	assert_int_equal(fill(&values, STR("text/plain"), STR("x"),
				 (struct str){body, LIMIT_HTTP_BODY_BYTES - 1}, &arena, &out),
		0);
	assert_int_equal(out.body.n, LIMIT_HTTP_BODY_BYTES);
	assert_int_equal(fill(&values, STR("text/plain"), STR("x"),
				 (struct str){body, LIMIT_HTTP_BODY_BYTES}, &arena, &out),
		TAMA_ELIMIT);
	arena_fini(&arena);
	arena_init(&arena, 64);
	assert_int_equal(
		fill(&values, STR("text/plain"), STR("x"), STR("y"), &arena, &out), TAMA_ENOMEM);
	arena_fini(&arena);
}

static void test_has(void **state)
{
	const struct http_field fields[] = {{STR_INIT("A"), STR_INIT("Bearer {{token}}")}};
	const struct http_call call = {
		.fields = fields, .fields_len = 1, .body = STR("{\"x\":\"{{otp}}\"}")};

	assert_true(marks_has(&call, STR("token")));
	assert_true(marks_has(&call, STR("otp")));
	assert_false(marks_has(&call, STR("ot")));
}

static void test_redaction(void **state)
{
	static const struct account_field fields[] = {
		{STR_INIT("api_key"), STR_INIT("key-0123456789")},
		{STR_INIT("scheme"), STR_INIT("Key")}, {STR_INIT("empty"), STR_INIT("")}};
	const struct account account = {.fields = fields, .fields_len = ROWS(fields)};
	static const struct {
		const char *text, *also, *want;
	} rows[] = {
		{"", "", ""},
		{"nothing", "", "nothing"},
		{"{\"k\":\"key-0123456789\"}", "", "{\"k\":\"***\"}"},
		{"key-0123456789key-0123456789", "", "******"},
		{"key-012345678", "", "key-012345678"},
		{"Key", "", "Key"},
		{"otp 4821, again 4821", "4821", "otp ***, again ***"},
		{"48214821", "4821", "******"},
		{"48 21", "4821", "48 21"},
	};
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < ROWS(rows); i++)
		check_str(
			secrets_redact(&account, str_c(rows[i].also), str_c(rows[i].text), &arena),
			rows[i].want);
	assert_int_equal(secrets_redact(&account, STR(""), STR("a\0key-0123456789"), &arena).n, 5);
	arena_fini(&arena);
}

/* An echo in JSON spells a secret as we spelt it when we sent it. */
static void test_redaction_of_an_echo_in_json(void **state)
{
	static const struct account_field fields[] = {
		{STR_INIT("app_password"), STR_INIT("pass\"word\\1")}};
	const struct account account = {.fields = fields, .fields_len = 1};
	struct arena arena;

	arena_init(&arena, 1 << 20);
	check_str(secrets_redact(&account, STR(""), STR("{\"p\":\"pass\\\"word\\\\1\"}"), &arena),
		"{\"p\":\"***\"}");
	check_str(secrets_redact(&account, STR(""), STR("pass\"word\\1"), &arena), "***");
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled),
		cmocka_unit_test(test_values_are_no_marks),
		cmocka_unit_test(test_what_is_no_mark),
		cmocka_unit_test(test_no_value),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_redaction),
		cmocka_unit_test(test_redaction_of_an_echo_in_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
