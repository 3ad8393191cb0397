/* The table of reliability.md 2.4: every row, and every combination of end, status and word. */
#include "check.h"

#include "tama/classify.h"

#define ENDS (TRANSFER_TOO_LARGE + 1)
#define WORDS (WORD_NOT_FOUND + 1)

static const struct classify_rules SILENT;
static const struct classify_rules AUTH_FIRST = {.auth_precedes_execution = true};
static const struct classify_rules COUNT_FIRST = {.too_many_precedes_execution = true};

struct submit_case {
	enum transfer_end end;
	uint64_t bytes_sent;
	unsigned status;
	enum reply_word word;
	const struct classify_rules *rules;
	enum reply_class class;
	bool alarm;
};

#define DONE TRANSFER_COMPLETE, 200

/* clang-format off */
static const struct submit_case CASES[] = {
	{TRANSFER_DNS,         0,   0, WORD_NONE,    &SILENT, CLASS_NOT_SENT, false},
	{TRANSFER_CONNECT,     0,   0, WORD_NONE,    &SILENT, CLASS_NOT_SENT, false},
	{TRANSFER_TLS,         0,   0, WORD_NONE,    &SILENT, CLASS_NOT_SENT, true},
	{TRANSFER_NOT_STARTED, 0,   0, WORD_NONE,    &SILENT, CLASS_NOT_SENT, false},
	/* The same with a byte on the wire. */
	{TRANSFER_DNS,         1,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_CONNECT,     1,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_TLS,         1,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_NOT_STARTED, 1,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},

	{TRANSFER_BROKEN,    200,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_BROKEN,      0,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_BROKEN,    200, 200, WORD_SUCCESS, &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_BROKEN,    200, 400, WORD_REFUSED, &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_TIMEOUT,   200,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_TIMEOUT,     0,   0, WORD_NONE,    &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_TOO_LARGE, 200, 200, WORD_SUCCESS, &SILENT, CLASS_UNKNOWN,  false},
	{TRANSFER_BROKEN,    200, 401, WORD_NONE,    &AUTH_FIRST, CLASS_UNKNOWN, false},

	{DONE, 200, WORD_PENDING,   &SILENT, CLASS_ACCEPTED,  false},
	{DONE, 202, WORD_PENDING,   &SILENT, CLASS_ACCEPTED,  false},
	{DONE, 201, WORD_SUCCESS,   &SILENT, CLASS_SUCCEEDED, false},
	{DONE, 200, WORD_FAILURE,   &SILENT, CLASS_FAILED,    false},
	{DONE, 200, WORD_REFUSED,   &SILENT, CLASS_FAILED,    false},
	{DONE, 200, WORD_DUPLICATE, &SILENT, CLASS_QUERY,     false},
	{DONE, 200, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 204, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 200, WORD_NOT_FOUND, &SILENT, CLASS_UNKNOWN,   false},

	{DONE, 301, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   true},
	{DONE, 307, WORD_SUCCESS,   &SILENT, CLASS_UNKNOWN,   true},
	{DONE, 399, WORD_REFUSED,   &SILENT, CLASS_UNKNOWN,   true},

	{DONE, 400, WORD_DUPLICATE, &SILENT, CLASS_QUERY,     false},
	{DONE, 409, WORD_DUPLICATE, &SILENT, CLASS_QUERY,     false},
	{DONE, 422, WORD_DUPLICATE, &SILENT, CLASS_QUERY,     false},
	{DONE, 400, WORD_REFUSED,   &SILENT, CLASS_FAILED,    false},
	{DONE, 406, WORD_REFUSED,   &SILENT, CLASS_FAILED,    false},
	{DONE, 422, WORD_REFUSED,   &SILENT, CLASS_FAILED,    false},
	{DONE, 400, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 409, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 409, WORD_REFUSED,   &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 422, WORD_FAILURE,   &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 400, WORD_SUCCESS,   &SILENT, CLASS_UNKNOWN,   false},

	{DONE, 401, WORD_NONE,      &SILENT,      CLASS_UNKNOWN,  false},
	{DONE, 403, WORD_NONE,      &SILENT,      CLASS_UNKNOWN,  false},
	{DONE, 401, WORD_REFUSED,   &SILENT,      CLASS_UNKNOWN,  false},
	{DONE, 401, WORD_NONE,      &COUNT_FIRST, CLASS_UNKNOWN,  false},
	{DONE, 401, WORD_NONE,      &AUTH_FIRST,  CLASS_NOT_SENT, false},
	{DONE, 403, WORD_NONE,      &AUTH_FIRST,  CLASS_NOT_SENT, false},
	{DONE, 401, WORD_REFUSED,   &AUTH_FIRST,  CLASS_NOT_SENT, false},
	{DONE, 403, WORD_REFUSED,   &AUTH_FIRST,  CLASS_NOT_SENT, false},
	{DONE, 401, WORD_PENDING,   &AUTH_FIRST,  CLASS_UNKNOWN,  false},
	{DONE, 401, WORD_DUPLICATE, &AUTH_FIRST,  CLASS_QUERY,    false},
	{DONE, 402, WORD_NONE,      &AUTH_FIRST,  CLASS_UNKNOWN,  false},

	{DONE, 404, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   true},
	{DONE, 404, WORD_NOT_FOUND, &SILENT, CLASS_UNKNOWN,   true},
	{DONE, 404, WORD_REFUSED,   &SILENT, CLASS_UNKNOWN,   true},

	{DONE, 429, WORD_NONE,      &SILENT,      CLASS_UNKNOWN,  false},
	{DONE, 429, WORD_NONE,      &AUTH_FIRST,  CLASS_UNKNOWN,  false},
	{DONE, 429, WORD_NONE,      &COUNT_FIRST, CLASS_NOT_SENT, false},
	{DONE, 429, WORD_REFUSED,   &COUNT_FIRST, CLASS_NOT_SENT, false},
	{DONE, 429, WORD_DUPLICATE, &COUNT_FIRST, CLASS_QUERY,    false},
	{DONE, 429, WORD_PENDING,   &COUNT_FIRST, CLASS_UNKNOWN,  false},

	{DONE, 408, WORD_NONE,      &COUNT_FIRST, CLASS_UNKNOWN,  false},
	{DONE, 425, WORD_NONE,      &COUNT_FIRST, CLASS_UNKNOWN,  false},
	{DONE, 500, WORD_REFUSED,   &AUTH_FIRST,  CLASS_UNKNOWN,  false},
	{DONE, 502, WORD_NONE,      &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 503, WORD_FAILURE,   &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 504, WORD_DUPLICATE, &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 100, WORD_SUCCESS,   &SILENT, CLASS_UNKNOWN,   false},
	{DONE,   0, WORD_SUCCESS,   &SILENT, CLASS_UNKNOWN,   false},
	{DONE, 999, WORD_SUCCESS,   &SILENT, CLASS_UNKNOWN,   false},
};
/* clang-format on */

static void every_row_of_the_table(void **state)
{
	for (size_t i = 0; i < ROWS(CASES); i++) {
		const struct submit_case *c = &CASES[i];
		const struct transfer t = {c->end, c->bytes_sent, c->status};
		bool alarm = !c->alarm;
		enum reply_class class = classify_submit(&t, c->word, c->rules, &alarm);
		if (class != c->class || alarm != c->alarm)
			fail_msg("case %zu: %s %u word %d is %s, alarm %d", i,
				transfer_end_name(c->end), c->status, c->word,
				reply_class_name(class), alarm);
	}
}

/* What a class claims, said once more in other words than the table's. */
static void check_claim(const struct transfer *t, enum reply_word word,
	const struct classify_rules *rules, enum reply_class class)
{
	bool is_whole = t->end == TRANSFER_COMPLETE;
	bool is_2xx = is_whole && t->status / 100 == 2;
	bool is_4xx = is_whole && t->status / 100 == 4;
	switch (class) {
	case CLASS_NOT_SENT:
		if (!is_whole) {
			assert_int_equal(t->bytes_sent, 0);
			assert_true(t->end != TRANSFER_BROKEN && t->end != TRANSFER_TIMEOUT &&
				    t->end != TRANSFER_TOO_LARGE);
			break;
		}
		assert_true(t->status == 429 ? rules->too_many_precedes_execution
					     : rules->auth_precedes_execution);
		assert_true(t->status == 429 || t->status == 401 || t->status == 403);
		assert_true(word == WORD_NONE || word == WORD_REFUSED);
		break;
	case CLASS_ACCEPTED:
		assert_true(is_2xx && word == WORD_PENDING);
		break;
	case CLASS_SUCCEEDED:
		assert_true(is_2xx && word == WORD_SUCCESS);
		break;
	case CLASS_FAILED:
		assert_true(is_2xx || is_4xx);
		assert_true(word == WORD_REFUSED || (is_2xx && word == WORD_FAILURE));
		break;
	case CLASS_QUERY:
		assert_true((is_2xx || is_4xx) && word == WORD_DUPLICATE);
		break;
	case CLASS_UNKNOWN:
		break;
	}
}

static void no_combination_claims_too_much(void **state)
{
	static const uint64_t sent[] = {0, 1, UINT64_MAX};
	size_t counts[CLASS_QUERY + 1] = {0};
	for (unsigned i = 0; i < ENDS * WORDS * 4 * ROWS(sent) * 700; i++) {
		unsigned rest = i;
		struct transfer t = {.status = rest % 700};
		rest /= 700;
		t.bytes_sent = sent[rest % ROWS(sent)];
		rest /= ROWS(sent);
		struct classify_rules rules = {rest & 1, rest & 2};
		rest /= 4;
		enum reply_word word = rest % WORDS;
		t.end = rest / WORDS;
		bool alarm = false;
		enum reply_class class = classify_submit(&t, word, &rules, &alarm);
		assert_in_range(class, CLASS_NOT_SENT, CLASS_QUERY);
		check_claim(&t, word, &rules, class);
		assert_true(!alarm || class == CLASS_UNKNOWN || t.end == TRANSFER_TLS);
		counts[class]++;
	}
	for (size_t i = 0; i < ROWS(counts); i++)
		assert_true(counts[i] > 0);
}

static void a_query_proves_only_by_its_word(void **state)
{
	for (unsigned i = 0; i < ENDS * WORDS * 700; i++) {
		const struct transfer t = {i / 700 / WORDS, 200, i % 700};
		enum reply_word word = i / 700 % WORDS;
		enum reply_class want = CLASS_UNKNOWN;
		if (t.end == TRANSFER_COMPLETE && t.status / 100 == 2) {
			if (word == WORD_SUCCESS)
				want = CLASS_SUCCEEDED;
			if (word == WORD_FAILURE)
				want = CLASS_FAILED;
			if (word == WORD_PENDING)
				want = CLASS_ACCEPTED;
		}
		assert_int_equal(classify_status(&t, word), want);
	}
}

static void everything_has_a_name(void **state)
{
	for (int c = CLASS_NOT_SENT; c <= CLASS_QUERY; c++)
		assert_true(strlen(reply_class_name((enum reply_class)c)) > 1);
	for (int e = TRANSFER_COMPLETE; e <= TRANSFER_TOO_LARGE; e++)
		assert_true(strlen(transfer_end_name((enum transfer_end)e)) > 1);
	assert_string_equal(reply_class_name(CLASS_UNKNOWN), "unknown");
	assert_string_equal(transfer_end_name(TRANSFER_TOO_LARGE), "too_large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_table),
		cmocka_unit_test(no_combination_claims_too_much),
		cmocka_unit_test(a_query_proves_only_by_its_word),
		cmocka_unit_test(everything_has_a_name),
	};
	return cmocka_run_group_tests_name("classify", tests, NULL, NULL);
}
