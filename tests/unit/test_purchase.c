/*
 * The machine against the pages it comes from: each table below was written from reliability.md
 * 2.2, 2.6 and 2.8, not from the C table; the books are walked along every path of the machine.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "tama/purchase.h"

/* ---- the attempt -------------------------------------------------------------------------------
 */

/*
 * 2.2 ("leaves on") and 2.6. One deviation: 2.6 only stores a non-final word about what was never
 * sent. It is held for a person like a final one, for sending it after that would pay twice.
 */
static const char *const MACHINE[] = {
	"READY: claim=SENDING expire=EXPIRED not_sent=impossible accepted=REVIEW"
	" doubt=impossible success=REVIEW failure=REVIEW deadline=impossible",
	"SENDING: claim=impossible expire=impossible not_sent=NOT_SENT accepted=ACCEPTED"
	" doubt=UNKNOWN success=SUCCEEDED failure=FAILED deadline=UNKNOWN",
	"ACCEPTED: claim=impossible expire=impossible not_sent=contradiction accepted=stay"
	" doubt=stay success=SUCCEEDED failure=FAILED deadline=UNKNOWN",
	"UNKNOWN: claim=impossible expire=impossible not_sent=NOT_SENT accepted=ACCEPTED"
	" doubt=stay success=SUCCEEDED failure=FAILED deadline=REVIEW",
	"NOT_SENT: claim=impossible expire=impossible not_sent=stay accepted=contradiction"
	" doubt=stay success=contradiction failure=stay deadline=stay",
	"SUCCEEDED: claim=impossible expire=impossible not_sent=contradiction accepted=stay"
	" doubt=stay success=stay failure=contradiction deadline=stay",
	"FAILED: claim=impossible expire=impossible not_sent=stay accepted=stay"
	" doubt=stay success=contradiction failure=stay deadline=stay",
	"EXPIRED: claim=impossible expire=stay not_sent=impossible accepted=impossible"
	" doubt=impossible success=impossible failure=impossible deadline=stay",
	"REVIEW: claim=impossible expire=impossible not_sent=proposal accepted=stay"
	" doubt=stay success=SUCCEEDED failure=proposal deadline=stay",
};

static const char *step_text(struct attempt_step step)
{
	static const char *const kinds[] = {
		[STEP_STAY] = "stay",
		[STEP_CONTRADICTION] = "contradiction",
		[STEP_PROPOSAL] = "proposal",
		[STEP_IMPOSSIBLE] = "impossible",
	};

	return step.kind == STEP_MOVE ? attempt_state_name(step.next) : kinds[step.kind];
}

static void every_cell_is_as_the_page_says(void **state)
{
	char line[512];

	for (unsigned s = ATTEMPT_READY; s < ATTEMPT_STATES; s++) {
		int n = snprintf(line, sizeof(line), "%s:", attempt_state_name(s));

		for (unsigned e = 0; e < ATTEMPT_EVENTS; e++)
			n += snprintf(line + n, sizeof(line) - (size_t)n, " %s=%s",
				attempt_event_name(e), step_text(attempt_step(s, e)));
		check_str(str_c(line), MACHINE[s - ATTEMPT_READY]);
	}
}

/* 2.2: never back to READY; 2.5: another attempt only after a proof that nothing left. */
static void nothing_returns_to_ready_and_one_may_execute(void **state)
{
	for (unsigned s = ATTEMPT_READY; s < ATTEMPT_STATES; s++) {
		for (unsigned e = 0; e < ATTEMPT_EVENTS; e++) {
			struct attempt_step step = attempt_step(s, e);

			assert_false(step.kind == STEP_MOVE && step.next == ATTEMPT_READY);
			if (step.kind == STEP_MOVE && step.next == ATTEMPT_EXPIRED)
				assert_int_equal(s, ATTEMPT_READY);
		}
		assert_int_equal(attempt_allows_another(s), s == ATTEMPT_NOT_SENT);
		assert_int_equal(attempt_is_open(s), s <= ATTEMPT_UNKNOWN);
	}
}

static void names_beyond_the_enums_are_harmless(void **state)
{
	assert_string_equal(attempt_state_name(0), "none");
	assert_string_equal(attempt_state_name(ATTEMPT_STATES), "none");
	assert_string_equal(attempt_event_name(ATTEMPT_EVENTS), "?");
	assert_string_equal(purchase_state_name(0), "none");
	assert_string_equal(purchase_state_name(PURCHASE_STATES), "none");
	assert_string_equal(leg_kind_name(LEG_COLLECT), "collect");
	assert_string_equal(leg_kind_name(LEG_DELIVER), "deliver");
	assert_string_equal(leg_kind_name(LEG_REFUND), "refund");
	assert_string_equal(leg_kind_name(0), "?");
}

/* ---- derive ------------------------------------------------------------------------------------
 */

/* 2.2 (last paragraph) and 2.8: by the state of the deciding attempt; "none" is no attempt yet. */
struct derived {
	const char *attempt, *only_collect, *only_deliver, *collecting, *delivering;
};

static const struct derived DERIVED[] = {
	{"none", "CONFIRMED", "CONFIRMED", "CONFIRMED", "COLLECTED"},
	{"READY", "CONFIRMED", "CONFIRMED", "CONFIRMED", "COLLECTED"},
	{"SENDING", "COLLECTING", "DELIVERING", "COLLECTING", "DELIVERING"},
	{"ACCEPTED", "COLLECTING", "DELIVERING", "COLLECTING", "DELIVERING"},
	{"UNKNOWN", "COLLECTING", "DELIVERING", "COLLECTING", "DELIVERING"},
	{"NOT_SENT", "CONFIRMED", "CONFIRMED", "CONFIRMED", "COLLECTED"},
	{"SUCCEEDED", "COLLECTED", "DELIVERED", "COLLECTED", "DELIVERED"},
	{"FAILED", "CANCELLED", "CANCELLED", "CANCELLED", "REFUND_DUE"},
	{"EXPIRED", "EXPIRED", "EXPIRED", "EXPIRED", "REFUND_DUE"},
	{"REVIEW", "REVIEW", "REVIEW", "REVIEW", "REVIEW"},
};

static void check_derived(struct purchase_legs legs, const char *want)
{
	check_str(str_c(purchase_state_name(purchase_derive(&legs))), want);
}

static void derives_every_combination_of_legs(void **state)
{
	for (unsigned s = 0; s < ATTEMPT_STATES; s++) {
		const struct derived *d = &DERIVED[s];

		check_str(str_c(attempt_state_name(s)), d->attempt);
		check_derived((struct purchase_legs){true, false, s, 0}, d->only_collect);
		check_derived((struct purchase_legs){false, true, 0, s}, d->only_deliver);
		check_derived((struct purchase_legs){true, true, s, 0}, d->collecting);
		check_derived(
			(struct purchase_legs){true, true, ATTEMPT_SUCCEEDED, s}, d->delivering);
	}
}

static void deliver_starts_once_and_only_after_the_money_is_in(void **state)
{
	for (unsigned c = 0; c < ATTEMPT_STATES; c++)
		for (unsigned d = 0; d < ATTEMPT_STATES; d++)
			for (unsigned shape = 1; shape < 4; shape++) {
				struct purchase_legs legs = {shape & 1, shape & 2, c, d};
				bool want = shape == 3 && c == ATTEMPT_SUCCEEDED && d == 0;

				assert_int_equal(purchase_wants_deliver(&legs), want);
			}
}

static void the_customer_hears_of_ends_only(void **state)
{
	static const char *const ends[] = {"DELIVERED", "CANCELLED", "EXPIRED", "REFUND_DUE"};

	for (unsigned s = PURCHASE_CONFIRMED; s < PURCHASE_STATES; s++) {
		bool is_end = false;

		for (size_t i = 0; i < ROWS(ends); i++)
			is_end = is_end || strcmp(ends[i], purchase_state_name(s)) == 0;
		assert_int_equal(purchase_is_settled(s, true), is_end);
		assert_int_equal(purchase_is_settled(s, false), is_end || s == PURCHASE_COLLECTED);
	}
}

/* ---- the books ---------------------------------------------------------------------------------
 */

struct books {
	int64_t of[LEDGER_AGENT_FLOAT + 1];
};

static const struct ledger_terms SHAPES[] = {
	{500, 100, 600, true, false},
	{500, 100, 600, false, true},
	{500, 100, 600, true, true},
	{500, 0, 500, true, true},
};

static void post(struct books *books, enum leg_kind leg, enum attempt_state from,
	enum attempt_state to, const struct ledger_terms *terms)
{
	struct ledger_line lines[LEDGER_LINES_MAX];
	size_t n = ledger_lines(leg, from, to, terms, lines);
	int64_t sum = 0;

	assert_true(n <= LEDGER_LINES_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_true(lines[i].account >= LEDGER_CUSTOMER);
		assert_true(lines[i].account <= LEDGER_AGENT_FLOAT);
		assert_true(lines[i].debit != 0);
		sum += lines[i].debit;
		if (books != NULL)
			books->of[lines[i].account] += lines[i].debit;
	}
	assert_true(sum == 0);
}

static void every_posting_sums_to_zero(void **state)
{
	for (size_t shape = 0; shape < ROWS(SHAPES); shape++)
		for (unsigned leg = LEG_COLLECT; leg <= LEG_DELIVER; leg++)
			for (unsigned from = ATTEMPT_READY; from < ATTEMPT_STATES; from++)
				for (unsigned to = ATTEMPT_READY; to < ATTEMPT_STATES; to++)
					post(NULL, leg, from, to, &SHAPES[shape]);
}

struct walk {
	const struct ledger_terms *terms;
	struct books books;
	enum leg_kind leg;
	unsigned tries, depth;
	unsigned *ends;
};

/* Who has what at an end: written from 2.8 and I5. */
static void check_end(const struct walk *w, enum attempt_state end)
{
	const struct ledger_terms *t = w->terms;
	const int64_t *of = w->books.of;
	bool collected = t->has_collect && (w->leg == LEG_DELIVER || end == ATTEMPT_SUCCEEDED);
	bool delivered = end == ATTEMPT_SUCCEEDED && (w->leg == LEG_DELIVER || !t->has_deliver);
	bool owes = collected && !delivered;
	bool agent_paid = delivered && !t->has_collect;
	int64_t float_change =
		(collected ? t->price : 0) - (delivered && t->has_deliver ? t->face_value : 0);

	assert_true(of[LEDGER_SUSPENSE_UNKNOWN] == 0);
	assert_true(of[LEDGER_CUSTOMER] == 0);
	assert_true(of[LEDGER_REFUND_PAYABLE] == (owes ? -t->price : 0));
	assert_true(of[LEDGER_AGENT_FLOAT] == (agent_paid ? t->price : 0));
	assert_true(of[LEDGER_PROVIDER_FLOAT] == float_change);
	/* collected = delivered + refund_payable + suspense; the agent's float pays like a
	 * customer. */
	assert_true((collected ? t->price : 0) + of[LEDGER_AGENT_FLOAT] ==
		    (delivered ? t->price : 0) - of[LEDGER_REFUND_PAYABLE]);
	++*w->ends;
}

static void walk_from(struct walk w, enum attempt_state from);

static void arrive(struct walk w, enum attempt_state at)
{
	bool starts_deliver =
		w.leg == LEG_COLLECT && w.terms->has_deliver && at == ATTEMPT_SUCCEEDED;

	if (attempt_is_open(at) || at == ATTEMPT_REVIEW)
		walk_from(w, at);
	else if (at == ATTEMPT_NOT_SENT) {
		assert_true(w.books.of[LEDGER_SUSPENSE_UNKNOWN] == 0);
		if (w.tries++ < 2)
			walk_from(w, ATTEMPT_READY);
	} else if (starts_deliver) {
		/* The money is in, and all of it is the customer's claim. */
		assert_true(w.books.of[LEDGER_CUSTOMER] == -w.terms->price);
		w.leg = LEG_DELIVER;
		w.tries = 0;
		walk_from(w, ATTEMPT_READY);
	} else
		check_end(&w, at);
}

static void walk_from(struct walk w, enum attempt_state from)
{
	if (w.depth++ > 12)
		return;
	for (unsigned e = 0; e < ATTEMPT_EVENTS; e++) {
		struct attempt_step step = attempt_step(from, e);
		struct walk next = w;

		if (step.kind != STEP_MOVE)
			continue;
		post(&next.books, w.leg, from, step.next, w.terms);
		arrive(next, step.next);
	}
}

static void books_balance_at_the_end_of_every_path(void **state)
{
	for (size_t i = 0; i < ROWS(SHAPES); i++) {
		unsigned ends = 0;

		walk_from((struct walk){.terms = &SHAPES[i],
				  .leg = SHAPES[i].has_collect ? LEG_COLLECT : LEG_DELIVER,
				  .ends = &ends},
			ATTEMPT_READY);
		assert_true(ends > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_as_the_page_says),
		cmocka_unit_test(nothing_returns_to_ready_and_one_may_execute),
		cmocka_unit_test(names_beyond_the_enums_are_harmless),
		cmocka_unit_test(derives_every_combination_of_legs),
		cmocka_unit_test(deliver_starts_once_and_only_after_the_money_is_in),
		cmocka_unit_test(the_customer_hears_of_ends_only),
		cmocka_unit_test(every_posting_sums_to_zero),
		cmocka_unit_test(books_balance_at_the_end_of_every_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
