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
		check_str(secrets_redact(
				  &(struct told){.account = &account, .otp = str_c(rows[i].also)},
				  str_c(rows[i].text), &arena),
			rows[i].want);
	assert_int_equal(secrets_redact(&(struct told){.account = &account},
				 STR("a\0key-0123456789"), &arena)
				 .n,
		5);
	arena_fini(&arena);
}

/* An echo in JSON spells a secret as we spelt it when we sent it. */
static void test_redaction_of_an_echo_in_json(void **state)
{
	static const struct account_field fields[] = {
		{STR_INIT("app_password"), STR_INIT("pass\"word\\1")}};
	const struct account account = {.fields = fields, .fields_len = 1};
	const struct told told = {.account = &account};
	struct arena arena;

	arena_init(&arena, 1 << 20);
	check_str(secrets_redact(&told, STR("{\"p\":\"pass\\\"word\\\\1\"}"), &arena),
		"{\"p\":\"***\"}");
	check_str(secrets_redact(&told, STR("pass\"word\\1"), &arena), "***");
	arena_fini(&arena);
}

#define MAC "0123456789abcdef0123456789abcdef"

/* All that a request tells, each at its place and however a peer writes it. */
static void test_redaction_of_all_that_was_told(void **state)
{
	const struct account account = {
		.ipn_secret = STR("new-secret-of-ipn"), .ipn_secret_old = STR("old-secret-of-ipn")};
	const struct told told = {.account = &account,
		.otp = STR("4821"),
		.token = STR("eyJ/a.b-c"),
		.ipn_mac = STR(MAC)};
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"{\"ipn_url\":\"https://a.example/ipn/et/REF." MAC "\",\"otp\":\"4821\"}",
			"{\"ipn_url\":\"https://a.example/ipn/et/REF.***\",\"otp\":\"***\"}"},
		{"https:\\/\\/a.example\\/ipn\\/et\\/REF." MAC,
			"https:\\/\\/a.example\\/ipn\\/et\\/REF.***"},
		{"https%3A%2F%2Fa.example%2Fipn%2Fet%2FREF." MAC "&x",
			"https%3A%2F%2Fa.example%2Fipn%2Fet%2FREF.***&x"},
		{"Bearer eyJ/a.b-c, eyJ\\/a.b-c", "Bearer ***, ***"},
		{"/ipn/x/new-secret-of-ipn /ipn/x/old-secret-of-ipn", "/ipn/x/*** /ipn/x/***"},
		{MAC MAC "0" MAC, "******0***"},
		{"0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcde"},
	};
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < ROWS(rows); i++)
		check_str(secrets_redact(&told, str_c(rows[i].text), &arena), rows[i].want);
	arena_fini(&arena);
}

/* A piece of a long secret is hidden as it is, and a peer that echoes pieces buys no time with it.
 */
static void test_redaction_of_the_beginning_of_a_token(void **state)
{
	static char token[64 * 1024 + 1], text[LIMIT_REPLY_BYTES + 1];
	const struct account account = {0};
	const struct told told = {.account = &account, .token = {token, sizeof(token) - 1}};
	struct arena arena;

	memset(token, 'a', sizeof(token) - 1);
	memset(text, 'a', sizeof(text) - 1);
	for (size_t at = 31; at < sizeof(text) - 1; at += 32)
		text[at] = 'b';
	arena_init(&arena, 1 << 20);
	check_str(secrets_redact(&told, str_c(text), &arena), text);
	memset(text, 'a', 100);
	text[100] = '.';
	text[101] = '\0';
	check_str(secrets_redact(&told, str_c(text), &arena), "***.");
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
		cmocka_unit_test(test_redaction_of_all_that_was_told),
		cmocka_unit_test(test_redaction_of_the_beginning_of_a_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
