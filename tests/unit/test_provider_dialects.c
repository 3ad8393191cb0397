/*
 * The provider dialects: every exchange under tests/fixtures/dialects/provider played, and bodies
 * that no provider documents, which must never end in a final word.
 */
#include "check.h"

#include "tama/dialect.h"
#include "tama/limits.h"
#include "tama/money.h"

#include <stdlib.h>

static struct dialect_host *host;
static struct arena arena;

static int set_up(void **state)
{
	struct err err = ERR_INIT;
	int rc = dialect_host_new(1u << DIALECT_PROVIDER, &host, &err);

	if (rc != 0)
		print_error("%s\n", err.text);
	arena_init(&arena, 16 * LIMIT_TURN_BYTES);
	return rc;
}

static int tear_down(void **state)
{
	dialect_host_free(&host);
	arena_fini(&arena);
	return 0;
}

/* ---- Bodies that nobody documents -------------------------------------------------------------
 */

#define TEN(x) x x x x x x x x x x
#define DEEP TEN("{\"data\":") TEN("{\"data\":") "1" TEN("}") TEN("}")

static const char *const odd_bodies[] = {
	"",
	" ",
	"null",
	"true",
	"0",
	"\"SUCCESSFUL\"",
	"[]",
	"{}",
	"[[]]",
	"[{\"state\":\"SUCCESSFUL\",\"transaction_id\":\"E1\"}]",
	"<html><body>SUCCESSFUL</body></html>",
	"SUCCESSFUL",
	"{\"state\":\"SUCCESSFUL\"",
	"{\"state\":\"SUCCESSFUL\"} {}",
	"{'state':'SUCCESSFUL'}",
	"{\"state\":\"SUCCESSFUL\",\"state\":\"SUCCESSFUL\"}",
	"{\"data\":{\"state\":\"SUCCESSFUL\",\"transaction_id\":\"E1\"},\"data\":{}}",
	"{\"code\":0,\"code\":0,\"data\":{\"transactionId\":\"E1\",\"status\":\"SUCCESS\"}}",
	"{\"code\":0,\"data\":{\"transactionId\":\"E1\",\"TransactionId\":\"E2\",\"status\":"
	"\"SUCCESS\"}}",
	"{\"code\":0,\"data\":[{\"transactionId\":\"E1\",\"status\":\"SUCCESS\"}]}",
	"{\"code\":0,\"data\":{\"status\":\"SUCCESS\"}}",
	"{\"code\":0,\"status\":\"success\"}",
	"{\"state\":[\"SUCCESSFUL\"],\"transaction_id\":\"E1\"}",
	"{\"state\":true,\"transaction_id\":\"E1\"}",
	"{\"state\":\"SUCC\xFF"
	"ESSFUL\",\"transaction_id\":\"E1\"}",
	"{\"state\":\"SUCCESSFUL\\u0000\",\"transaction_id\":\"E1\"}",
	"{\"state\":\"SUCCESSFUL\",\"transaction_id\":{\"id\":\"E1\"}}",
	"{\"state\":\"SUCCESSFUL\",\"data\":{\"state\":\"FAILED\"}}",
	"{\"code\":false,\"data\":{\"transactionId\":\"E1\",\"status\":\"SUCCESS\"}}",
	"{\"data\":{\"transactionId\":\"E1\",\"status\":\"SUCCESS\"}}",
	DEEP,
};

static bool is_final(enum reply_word word)
{
	return word == WORD_SUCCESS || word == WORD_FAILURE || word == WORD_REFUSED;
}

static struct account account_at(const char *provider)
{
	static const struct account_field fields[] = {{STR_INIT("api_key"), STR_INIT("k")}};

	return (struct account){
		.name = STR("account"),
		.profile = provider_find(str_c(provider)),
		.base_url = STR("https://provider.example/api"),
		.fields = fields,
		.fields_len = ROWS(fields),
		.currency = currency_find(STR("XOF")),
	};
}

static struct provider_terms terms_at(const struct account *account)
{
	return (struct provider_terms){
		.account = account,
		.verb = STR("airtime"),
		.terms =
			{
				.our_ref = STR("R1"),
				.provider_id = STR("E1"),
				.amount = 5000,
				.currency = account->currency,
				.number = {"2250701020304"},
				.national = STR("0701020304"),
				.service = STR("125"),
			},
	};
}

static struct facts read_reply(const char *provider, enum provider_call call, struct str body)
{
	struct account account = account_at(provider);
	struct provider_terms terms = terms_at(&account);
	struct facts facts = {.is_valid = true};
	struct err err = ERR_INIT;
	int rc = dialect_provider_reply(host, call, &terms, 200, body, &arena, &facts, &err);

	/* Whatever the body, the dialect itself must not fail. */
	if (rc != 0)
		fail_msg("%s: %.*s: %s", provider, STR_ARG(body), err.text);
	return facts;
}

static const char *const providers[] = {"easytransfert", "xente"};
static const enum provider_call calls[] = {PROVIDER_SUBMIT, PROVIDER_STATUS};

static void odd_replies_prove_nothing(void **state)
{
	for (size_t b = 0; b < ROWS(odd_bodies); b++)
		for (size_t p = 0; p < ROWS(providers); p++)
			for (size_t c = 0; c < ROWS(calls); c++) {
				struct str body = str_c(odd_bodies[b]);
				struct facts facts = read_reply(providers[p], calls[c], body);

				if (facts.is_valid)
					fail_msg("%s took %s", providers[p], odd_bodies[b]);
				assert_false(is_final(
					provider_word(provider_find(str_c(providers[p])), &facts)));
			}
}

/* No dialect holds more than 64 KiB. */
static void huge_replies_prove_nothing(void **state)
{
	size_t n = 200 * 1024;
	char *p = malloc(n);

	assert_non_null(p);
	memset(p, ' ', n);
	memcpy(p, "{\"state\":\"SUCCESSFUL\",\"x\":\"", 27);
	memcpy(p + n - 2, "\"}", 2);
	assert_false(read_reply("easytransfert", PROVIDER_STATUS, (struct str){p, n}).is_valid);
	free(p);
}

/* An odd answer about a balance is no balance. */
static void odd_balances(void **state)
{
	for (size_t b = 0; b < ROWS(odd_bodies); b++)
		for (size_t p = 0; p < ROWS(providers); p++) {
			struct facts facts =
				read_reply(providers[p], PROVIDER_BALANCE, str_c(odd_bodies[b]));

			assert_false(facts.is_valid);
		}
}

/* A well-formed body whose amount is not the attempt's: valid, and a mismatch by the table. */
static void odd_amounts_differ(void **state)
{
	static const struct {
		const char *amount;
		bool is_equal;
	} rows[] = {
		{"5000", true},
		{"\"5000\"", true},
		{"5000.0", true},
		{"5000.00", true},
		{"5000.5", false},
		{"5000.000000000000000001", false},
		{"5e3", false},
		{"1e400", false},
		{"-1e400", false},
		{"99999999999999999999", false},
		{"9223372036854775807", false},
		{"\"5 000\"", false},
		{"\"5000 FCFA\"", false},
		{"\"\"", false},
		{"null", false},
	};

	for (size_t i = 0; i < ROWS(rows); i++) {
		struct account account = account_at("easytransfert");
		struct provider_terms terms = terms_at(&account);
		struct str body = arena_printf(&arena,
			"{\"state\":\"SUCCESSFUL\",\"transaction_id\":\"E1\",\"amount\":%s,"
			"\"destination\":\"0701020304\",\"service_id\":125}",
			rows[i].amount);
		struct facts facts = read_reply("easytransfert", PROVIDER_STATUS, body);
		unsigned bad = provider_mismatch(account.profile, &facts, &terms.terms,
			account.profile->ipn_must_match, true);

		assert_true(facts.is_valid);
		if (bad != (rows[i].is_equal ? 0 : MATCH_AMOUNT))
			fail_msg("amount %s: %u", rows[i].amount, bad);
	}
}

static void odd_ipns_prove_nothing(void **state)
{
	static const struct http_field json[] = {
		{STR_INIT("Content-Type"), STR_INIT("application/json")}};

	for (size_t b = 0; b < ROWS(odd_bodies); b++)
		for (size_t p = 0; p < ROWS(providers); p++) {
			struct account account = account_at(providers[p]);
			struct facts facts = {.is_valid = false};
			struct err err = ERR_INIT;
			struct http_request request = {
				.method = STR("POST"),
				.path = STR("/"),
				.fields = json,
				.fields_len = 1,
				.body = str_c(odd_bodies[b]),
				.peer = STR("127.0.0.1"),
			};
			int rc = dialect_provider_ipn(
				host, &account, &request, STR(""), &arena, &facts, &err);

			/* Another provider's names may happen to hold an id, but never a word. */
			if (rc != TAMA_EINVAL &&
				(rc != 0 || is_final(provider_word(account.profile, &facts))))
				fail_msg(
					"%s: %s: %d %s", providers[p], odd_bodies[b], rc, err.text);
		}
}

/* ---- Logging in -------------------------------------------------------------------------------
 */

static void odd_logins_give_no_token(void **state)
{
	static const char *const bodies[] = {"{\"Token\":\"\"}", "{\"Token\":[5]}",
		"{\"token\":{}}", "{\"success\":false,\"Token\":\"t\"}", "{\"data\":\"t\"}"};
	struct account account = account_at("xente");
	struct provider_token token;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ROWS(odd_bodies); i++)
		assert_int_equal(dialect_provider_token(host, &account, 200, str_c(odd_bodies[i]),
					 &arena, &token, &err),
			TAMA_EINVAL);
	for (size_t i = 0; i < ROWS(bodies); i++)
		assert_int_equal(dialect_provider_token(host, &account, 200, str_c(bodies[i]),
					 &arena, &token, &err),
			TAMA_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_replies_prove_nothing),
		cmocka_unit_test(huge_replies_prove_nothing),
		cmocka_unit_test(odd_balances),
		cmocka_unit_test(odd_amounts_differ),
		cmocka_unit_test(odd_ipns_prove_nothing),
		cmocka_unit_test(odd_logins_give_no_token),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
