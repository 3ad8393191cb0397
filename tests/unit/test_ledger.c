/* The books: every position sums to zero, and every end is worth what 2.8 and I5 say. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "tama/ledger.h"

static const struct ledger_terms TERMS = {.price = 600, .cost = 490, .collect_fee = 6};

static const struct ledger_terms SHAPES[] = {
	{600, 490, 6},
	{500, 500, 0},
	{500, 0, 0},
};

/* Every combination of what three legs can be, machine-made or not. */
static void every_position_sums_to_zero(void **state)
{
	int64_t of[LEDGER_BOOKS];

	for (unsigned shape = 1; shape < 4; shape++)
		for (unsigned i = 0; i < ATTEMPT_STATES * ATTEMPT_STATES * ATTEMPT_STATES; i++)
			for (size_t t = 0; t < ROWS(SHAPES); t++) {
				struct purchase_legs legs = {shape & 1, shape & 2,
					i % ATTEMPT_STATES, i / ATTEMPT_STATES % ATTEMPT_STATES,
					i / ATTEMPT_STATES / ATTEMPT_STATES};
				int64_t sum = 0;

				ledger_position(&legs, &SHAPES[t], of);
				for (int book = 0; book < LEDGER_BOOKS; book++)
					sum += of[book];
				assert_true(sum == 0);
				assert_true(of[0] == 0);
			}
}

/* Written from 2.8, 2.6 and I5: what each kind of end leaves in the books of one purchase. */
static const struct {
	const char *what;
	struct purchase_legs legs;
	int64_t customer, provider, revenue, suspense, payable, agent, fees, lost;
} ENDS[] = {
	{"nothing sent", {true, true, ATTEMPT_EXPIRED, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0},
	{"collect refused", {true, true, ATTEMPT_FAILED, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0},
	{"collect in doubt", {true, true, ATTEMPT_UNKNOWN, 0, 0}, -600, 0, 0, 600, 0, 0, 0, 0},
	{"collected", {true, true, ATTEMPT_SUCCEEDED, 0, 0}, -600, 594, 0, 0, 0, 0, 6, 0},
	{"collected, the partner delivers", {true, false, ATTEMPT_SUCCEEDED, 0, 0}, 0, 594, -600, 0,
		0, 0, 6, 0},
	{"the same, to be given back", {true, false, ATTEMPT_SUCCEEDED, 0, ATTEMPT_READY}, 0, 594,
		0, 0, -600, 0, 6, 0},
	{"the same, given back", {true, false, ATTEMPT_SUCCEEDED, 0, ATTEMPT_SUCCEEDED}, 0, -6, 0,
		0, 0, 0, 6, 0},
	{"delivery in doubt", {true, true, ATTEMPT_SUCCEEDED, ATTEMPT_SENDING, 0}, -600, 104, 0,
		490, 0, 0, 6, 0},
	{"delivered", {true, true, ATTEMPT_SUCCEEDED, ATTEMPT_SUCCEEDED, 0}, 0, 104, -110, 0, 0, 0,
		6, 0},
	{"undelivered", {true, true, ATTEMPT_SUCCEEDED, ATTEMPT_FAILED, 0}, 0, 594, 0, 0, -600, 0,
		6, 0},
	{"refund in doubt", {true, true, ATTEMPT_SUCCEEDED, ATTEMPT_FAILED, ATTEMPT_UNKNOWN}, 0, -6,
		0, 600, -600, 0, 6, 0},
	{"refund refused: the claim stays",
		{true, true, ATTEMPT_SUCCEEDED, ATTEMPT_EXPIRED, ATTEMPT_FAILED}, 0, 594, 0, 0,
		-600, 0, 6, 0},
	{"refunded", {true, true, ATTEMPT_SUCCEEDED, ATTEMPT_FAILED, ATTEMPT_SUCCEEDED}, 0, -6, 0,
		0, 0, 0, 6, 0},
	{"contradicted before a refund",
		{true, true, ATTEMPT_SUCCEEDED, ATTEMPT_CONTRADICTED, ATTEMPT_EXPIRED}, -600, 104,
		0, 490, 0, 0, 6, 0},
	{"contradicted after the refund: the loss is in suspense",
		{true, true, ATTEMPT_SUCCEEDED, ATTEMPT_CONTRADICTED, ATTEMPT_SUCCEEDED}, 0, -496,
		0, 490, 0, 0, 6, 0},
	{"the same, written off",
		{true, true, ATTEMPT_SUCCEEDED, ATTEMPT_WRITTEN_OFF, ATTEMPT_SUCCEEDED}, 0, -496, 0,
		0, 0, 0, 6, 490},
	{"a delivery nobody knows of, written off",
		{true, true, ATTEMPT_SUCCEEDED, ATTEMPT_WRITTEN_OFF, 0}, 0, 104, 0, 0, 0, 0, 6,
		-110},
	{"a collection nobody knows of, written off", {true, true, ATTEMPT_WRITTEN_OFF, 0, 0}, 0, 0,
		0, 0, 0, 0, 0, 0},
	{"the same, though goods went out for it",
		{true, true, ATTEMPT_WRITTEN_OFF, ATTEMPT_SUCCEEDED, 0}, 0, -490, 0, 0, 0, 0, 0,
		490},
	{"the same, though it was given back",
		{true, true, ATTEMPT_WRITTEN_OFF, ATTEMPT_FAILED, ATTEMPT_SUCCEEDED}, 0, -600, 0, 0,
		0, 0, 0, 600},
	{"an agent's sale", {false, true, 0, ATTEMPT_SUCCEEDED, 0}, 0, -490, -110, 0, 0, 600, 0, 0},
	{"an agent's sale refused", {false, true, 0, ATTEMPT_FAILED, 0}, 0, 0, 0, 0, 0, 0, 0, 0},
};

static void every_end_is_worth_what_the_page_says(void **state)
{
	for (size_t i = 0; i < ROWS(ENDS); i++) {
		const int64_t want[LEDGER_BOOKS] = {0, ENDS[i].customer, ENDS[i].provider,
			ENDS[i].revenue, ENDS[i].suspense, ENDS[i].payable, ENDS[i].agent,
			ENDS[i].fees, ENDS[i].lost};
		int64_t of[LEDGER_BOOKS];

		ledger_position(&ENDS[i].legs, &TERMS, of);
		for (int book = 1; book < LEDGER_BOOKS; book++)
			if (of[book] != want[book])
				fail_msg("%s: %s is %lld and should be %lld", ENDS[i].what,
					ledger_book_name((enum ledger_book)book),
					(long long)of[book], (long long)want[book]);
	}
}

static void a_move_posts_the_difference(void **state)
{
	struct purchase_legs before = {true, true, ATTEMPT_READY, 0, 0}, after = before;
	struct ledger_line lines[LEDGER_LINES_MAX];

	after.collect = ATTEMPT_SENDING;
	assert_int_equal(ledger_move(&before, &after, &TERMS, lines), 2);
	assert_int_equal(lines[0].book, LEDGER_CUSTOMER);
	assert_int_equal(lines[0].debit, -600);
	assert_int_equal(lines[1].book, LEDGER_SUSPENSE_UNKNOWN);
	assert_int_equal(lines[1].debit, 600);
	before = after;
	after.collect = ATTEMPT_UNKNOWN;
	assert_int_equal(ledger_move(&before, &after, &TERMS, lines), 0);
}

static void books_have_names(void **state)
{
	for (int book = 1; book < LEDGER_BOOKS; book++)
		assert_true(strlen(ledger_book_name((enum ledger_book)book)) > 4);
	assert_string_equal(ledger_book_name((enum ledger_book)0), "?");
	assert_string_equal(ledger_book_name(LEDGER_BOOKS), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_position_sums_to_zero),
		cmocka_unit_test(every_end_is_worth_what_the_page_says),
		cmocka_unit_test(a_move_posts_the_difference),
		cmocka_unit_test(books_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
