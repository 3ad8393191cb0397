/* What the operator's requests answer, without a server around them. */
#include "store_kit.h"

#include <jansson.h>

#include "../../src/engine/admin_priv.h"

struct night {
	struct kit kit;
	struct buf out;
	struct admin_world world;
	struct store_config store;
	bool ends;
};

static bool is_ending(void *ctx)
{
	return ((struct night *)ctx)->ends;
}

static int setup(void **state)
{
	static struct night night;
	struct night *n = &night;

	memset(n, 0, sizeof(*n));
	kit_init(&n->kit);
	kit_open(&n->kit);
	n->store = kit_config(&n->kit);
	n->world = (struct admin_world){.store = &n->store, .is_ending = is_ending, .ctx = n};
	buf_init(&n->out, ADMIN_ANSWER_BYTES);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct night *n = *state;

	buf_fini(&n->out);
	kit_fini(&n->kit);
	return 0;
}

/* The last line of the answer; the others are in n->out, before it. */
static json_t *ask(struct night *n, const char *request)
{
	static const struct admin_user user = {.uid = 4242, .name = "night"};
	const char *line;

	buf_reset(&n->out);
	admin_answer(&n->world, &user, str_c(request), &n->out);
	assert_true(n->out.n > 1 && n->out.p[n->out.n - 1] == '\n');
	line = memrchr(n->out.p, '\n', n->out.n - 1);
	line = line != NULL ? line + 1 : n->out.p;
	json_t *last = json_loadb(line, (size_t)(n->out.p + n->out.n - line), 0, NULL);

	assert_non_null(last);
	return last;
}

static void assert_error(struct night *n, const char *request, int code, const char *words)
{
	json_t *last = ask(n, request);
	const char *said = json_string_value(json_object_get(last, "error"));

	if (said == NULL || strstr(said, words) == NULL)
		fail_msg("%s: %s", request, said != NULL ? said : "no error");
	assert_int_equal(json_integer_value(json_object_get(last, "code")), code);
	json_decref(last);
}

static size_t lines_of(struct night *n, const char *request)
{
	json_t *last = ask(n, request);
	size_t lines = 0;

	if (!json_is_true(json_object_get(last, "end")))
		fail_msg("%s: %.*s", request, STR_ARG(buf_str(&n->out)));
	for (size_t i = 0; i < n->out.n; i++)
		lines += n->out.p[i] == '\n';
	json_decref(last);
	return lines - 1;
}

static void requests_that_are_none(void **state)
{
	struct night *n = *state;

	assert_error(n, "", TAMA_EINVAL, "no JSON object");
	assert_error(n, "[1]", TAMA_EINVAL, "no JSON object");
	assert_error(n, "{\"do\":\"ping\",\"do\":\"ping\"}", TAMA_EINVAL, "no JSON object");
	assert_error(n, "{}", TAMA_EINVAL, "no such request");
	assert_error(n, "{\"do\":\"purchases.show\"}", TAMA_ENOTFOUND, "no purchase");
	assert_error(
		n, "{\"do\":\"purchases.list\",\"state\":\"LOST\"}", TAMA_EINVAL, "no such state");
	assert_error(
		n, "{\"do\":\"purchases.list\",\"partner\":\"0\"}", TAMA_EINVAL, "no such partner");
	assert_error(n, "{\"do\":\"purchases.list\",\"full\":true}", TAMA_EINVAL, "want a reason");
	assert_error(n, "{\"do\":\"backup\",\"dest\":\"here\"}", TAMA_EINVAL, "absolute");
	assert_error(n, "{\"do\":\"standby\"}", TAMA_ENOTFOUND, "no server runs");
	assert_error(n, "{\"do\":\"review.show\",\"case\":\"afffffffffffffffff\"}", TAMA_EINVAL,
		"no case");
	assert_error(n, "{\"do\":\"review.show\",\"case\":\"a100000000000001\"}", TAMA_ENOTFOUND,
		"any more");
	assert_error(n,
		"{\"do\":\"review.decide\",\"case\":\"a100000000000001\",\"decision\":\"maybe\"}",
		TAMA_EINVAL, "a decision is");
	assert_error(n,
		"{\"do\":\"review.decide\",\"case\":\"a100000000000001\",\"decision\":\"failed\","
		"\"proof\":"
		"\"p\"}",
		TAMA_ENOTFOUND, "need an engine");
	assert_int_equal(lines_of(n, "{\"do\":\"ping\"}"), 1);
}

static void two_partners_with_one_reference(void **state)
{
	struct night *n = *state;
	struct kit *kit = &n->kit;

	assert_int_equal(DO(begin, NULL), 0);
	(void)add_purchase(kit, 1, 7);
	(void)add_purchase(kit, 2, 7);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.list\"}"), 2);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.list\",\"partner\":\"2\"}"), 1);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.find\",\"what\":\"k0000007\"}"), 2);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.find\",\"what\":\"+" KIT_PAYER "\"}"), 2);
	assert_null(memmem(n->out.p, n->out.n, KIT_PAYER, strlen(KIT_PAYER)));
	assert_error(n, "{\"do\":\"purchases.show\",\"ref\":\"K0000007\"}", TAMA_ECONFLICT,
		"several partners");
	assert_int_equal(
		lines_of(n, "{\"do\":\"purchases.show\",\"ref\":\"K0000007\",\"partner\":\"1\"}"),
		1);
	assert_int_equal(
		lines_of(n, "{\"do\":\"purchases.show\",\"ref\":\"K0000007\",\"partner\":\"1\","
			    "\"full\":true,\"reason\":\"calls\"}"),
		1);
	assert_non_null(memmem(n->out.p, n->out.n, KIT_PAYER, strlen(KIT_PAYER)));
}

/* More purchases than one look goes through: the oldest are found all the same, page by page. */
static void looks_go_on_to_the_oldest(void **state)
{
	struct night *n = *state;
	struct kit *kit = &n->kit;
	const unsigned many = 11000;

	assert_int_equal(DO(begin, NULL), 0);
	for (uint64_t k = 1; k <= many; k++) {
		struct purchase_row row = kit_purchase(1, k);

		row.id = (uint64_t)KIT_NOW << 20 | k;
		memcpy(row.uid, &row.id, sizeof(row.id));
		if (k == 3) {
			row.payer = STR("2250711111111");
			row.state = PURCHASE_REFUND_DUE;
		}
		assert_int_equal(DO(purchase_insert, &row), 0);
	}
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.list\",\"state\":\"REFUND_DUE\"}"), 1);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.find\",\"what\":\"2250711111111\"}"), 1);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.list\",\"limit\":1000}"), 1000);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.list\",\"limit\":5000}"), 1000);
	assert_int_equal(lines_of(n, "{\"do\":\"review.list\"}"), 1);
	n->ends = true;
	assert_error(
		n, "{\"do\":\"purchases.list\",\"state\":\"DELIVERED\"}", TAMA_EIO, "about to end");
	/* An answer beyond its bound says so and nothing else. */
	n->ends = false;
	buf_fini(&n->out);
	buf_init(&n->out, 4096);
	assert_error(n, "{\"do\":\"purchases.list\",\"limit\":100}", TAMA_ENOMEM, "too long");
}

static void parked_evidence_of_nobody(void **state)
{
	struct night *n = *state;
	struct kit *kit = &n->kit;
	struct inbox_row row = kit_inbox(1, 0xabc, 1);
	char what[64];

	row.raw = STR("{\"to\":\"" KIT_PAYER
		      "\",\"\xff\":1,\"key\":\"00112233445566778899aabbccddeeff\"}");
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(inbox_insert, &row), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(lines_of(n, "{\"do\":\"review.list\"}"), 1);
	assert_null(memmem(n->out.p, n->out.n, "raw", 3));
	(void)snprintf(what, sizeof(what), "{\"do\":\"review.show\",\"case\":\"i000000000abc\"}");
	assert_int_equal(lines_of(n, what), 1);
	assert_null(memmem(n->out.p, n->out.n, KIT_PAYER, strlen(KIT_PAYER)));
	assert_null(memmem(n->out.p, n->out.n, "00112233", 8));
	assert_non_null(memmem(n->out.p, n->out.n, "orphan", 6));
}

/* What two persons wrote: their numbers masked, and whole for whoever gives a reason. */
static void proofs_of_a_decision(void **state)
{
	struct night *n = *state;
	struct kit *kit = &n->kit;
	struct purchase_row purchase = kit_purchase(1, 7);
	struct decision_row row = kit_decision(&purchase, 31);

	row.proof = STR("0700000001 called");
	purchase.state = PURCHASE_REFUND_DUE;
	assert_int_equal(DO(begin, NULL), 0);
	assert_int_equal(DO(purchase_insert, &purchase), 0);
	assert_int_equal(DO(decision_insert, &row), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(lines_of(n, "{\"do\":\"review.list\"}"), 2);
	assert_non_null(memmem(n->out.p, n->out.n, "********01 called", 17));
	assert_null(memmem(n->out.p, n->out.n, "agreed_proof", 12));
	assert_int_equal(DO(begin, NULL), 0);
	row.agreed_by = STR("koffi");
	row.agreed_proof = STR("0500000002 too");
	row.state = DECISION_APPLIED;
	assert_int_equal(DO(decision_close, &row), 0);
	assert_int_equal(DO(commit, NULL), 0);
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.show\",\"ref\":\"K0000007\"}"), 2);
	assert_non_null(memmem(n->out.p, n->out.n, "********01 called", 17));
	assert_non_null(memmem(n->out.p, n->out.n, "********02 too", 14));
	assert_int_equal(lines_of(n, "{\"do\":\"purchases.show\",\"ref\":\"K0000007\","
				     "\"full\":true,\"reason\":\"calls\"}"),
		2);
	assert_non_null(memmem(n->out.p, n->out.n, "0700000001 called", 17));
	assert_non_null(memmem(n->out.p, n->out.n, "0500000002 too", 14));
}

static void what_is_shown_of_text(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"Ref K7QF2M9T, 1 000 F", "Ref K7QF2M9T, 1 000 F"},
		{"pour 07 01 02 03 04.", "pour ** ** ** ** 04."},
		{"0701020304", "********04"},
		{"a 1234567 b", "a 1234567 b"},
		{"+2250701020304 et 0501020304", "+*********** et 04"},
		{"x.34cac69cc07423c334d1e21d3e0848f4", "x.****"},
		{"", ""},
		{"deadbeef 12", "deadbeef 12"},
	};

	for (size_t i = 0; i < ROWS(cases); i++) {
		json_t *shown = admin_masked(str_c(cases[i].text));
		const char *text = json_string_value(shown);

		if (i != 4)
			assert_string_equal(text, cases[i].shown);
		assert_null(strstr(text, "0701020304"));
		assert_null(strstr(text, "0501020304"));
		json_decref(shown);
	}
	json_t *clean = admin_string((struct str){"a\0b\xc3(\xe2\x80\xae\n", 9});

	assert_string_equal(json_string_value(clean), "a?b?(???\n");
	json_decref(clean);
}

static void socket_paths(void **state)
{
	char path[ADMIN_PATH_MAX], other[200];
	struct err err = ERR_INIT;

	assert_int_equal(admin_socket_path(STR("/d"), STR(""), path, NULL), 0);
	assert_string_equal(path, "/d/tama.sock");
	assert_int_equal(admin_socket_path(STR("/d"), STR("/run/t"), path, NULL), 0);
	assert_string_equal(path, "/run/t");
	memset(other, 'x', sizeof(other));
	assert_int_equal(admin_socket_path((struct str){other, sizeof(other)}, STR(""), path, &err),
		TAMA_EINVAL);
	assert_non_null(strstr(err.text, "socket ="));
}

static void users_have_names(void **state)
{
	struct admin_user user;

	admin_user_of(0, &user);
	assert_string_equal(user.name, "root");
	admin_user_of(3999999999u, &user);
	assert_string_equal(user.name, "uid:3999999999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(two_partners_with_one_reference, setup, teardown),
		cmocka_unit_test_setup_teardown(looks_go_on_to_the_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(parked_evidence_of_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(proofs_of_a_decision, setup, teardown),
		cmocka_unit_test(what_is_shown_of_text),
		cmocka_unit_test(socket_paths),
		cmocka_unit_test(users_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
