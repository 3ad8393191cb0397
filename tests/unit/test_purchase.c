/*
 * The machine against the pages it comes from: each table below was written from reliability.md
 * 2.2, 2.6 and 2.8, not from the C table.
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
#define NOT_DECIDABLE " decided_success=impossible decided_failure=impossible write_off=impossible"
#define DECIDABLE " decided_success=SUCCEEDED decided_failure=FAILED write_off="

static const char *const MACHINE[] = {
	"READY: claim=SENDING expire=EXPIRED not_sent=impossible accepted=REVIEW"
	" doubt=impossible success=REVIEW failure=REVIEW deadline=impossible"
	" resend=impossible freeze=REVIEW" NOT_DECIDABLE,
	"SENDING: claim=impossible expire=impossible not_sent=NOT_SENT accepted=ACCEPTED"
	" doubt=UNKNOWN success=SUCCEEDED failure=FAILED deadline=UNKNOWN"
	" resend=impossible freeze=stay" NOT_DECIDABLE,
	"ACCEPTED: claim=impossible expire=impossible not_sent=contradiction accepted=stay"
	" doubt=stay success=SUCCEEDED failure=FAILED deadline=UNKNOWN"
	" resend=impossible freeze=stay" NOT_DECIDABLE,
	"UNKNOWN: claim=impossible expire=impossible not_sent=NOT_SENT accepted=ACCEPTED"
	" doubt=stay success=SUCCEEDED failure=FAILED deadline=REVIEW"
	" resend=SENDING freeze=stay" NOT_DECIDABLE,
	"NOT_SENT: claim=impossible expire=impossible not_sent=stay accepted=CONTRADICTED"
	" doubt=stay success=CONTRADICTED failure=stay deadline=stay"
	" resend=impossible freeze=stay" NOT_DECIDABLE,
	"SUCCEEDED: claim=impossible expire=impossible not_sent=CONTRADICTED accepted=stay"
	" doubt=stay success=stay failure=CONTRADICTED deadline=stay"
	" resend=impossible freeze=stay" NOT_DECIDABLE,
	"FAILED: claim=impossible expire=impossible not_sent=stay accepted=stay"
	" doubt=stay success=CONTRADICTED failure=stay deadline=stay"
	" resend=impossible freeze=stay" NOT_DECIDABLE,
	"EXPIRED: claim=impossible expire=stay not_sent=impossible accepted=impossible"
	" doubt=impossible success=impossible failure=impossible deadline=stay"
	" resend=impossible freeze=stay" NOT_DECIDABLE,
	"REVIEW: claim=impossible expire=impossible not_sent=proposal accepted=stay"
	" doubt=stay success=SUCCEEDED failure=proposal deadline=stay"
	" resend=impossible freeze=stay" DECIDABLE "WRITTEN_OFF",
	"CONTRADICTED: claim=impossible expire=impossible not_sent=proposal accepted=stay"
	" doubt=stay success=proposal failure=proposal deadline=stay"
	" resend=impossible freeze=stay" DECIDABLE "WRITTEN_OFF",
	"WRITTEN_OFF: claim=impossible expire=impossible not_sent=proposal accepted=stay"
	" doubt=stay success=proposal failure=proposal deadline=stay"
	" resend=impossible freeze=stay" DECIDABLE "stay",
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
	char line[1024];

	for (unsigned s = ATTEMPT_READY; s < ATTEMPT_STATES; s++) {
		int n = snprintf(line, sizeof(line), "%s:", attempt_state_name(s));

		for (unsigned e = 0; e < ATTEMPT_EVENTS; e++)
			n += snprintf(line + n, sizeof(line) - (size_t)n, " %s=%s",
				attempt_event_name(e), step_text(attempt_step(s, e)));
		check_str(str_c(line), MACHINE[s - ATTEMPT_READY]);
	}
}

/* 2.2: never back to READY, and nothing that was sent expires. */
static void nothing_returns_to_ready_and_only_ready_expires(void **state)
{
	for (unsigned s = ATTEMPT_READY; s < ATTEMPT_STATES; s++) {
		for (unsigned e = 0; e < ATTEMPT_EVENTS; e++) {
			struct attempt_step step = attempt_step(s, e);

			assert_false(step.kind == STEP_MOVE && step.next == ATTEMPT_READY);
			if (step.kind == STEP_MOVE && step.next == ATTEMPT_EXPIRED)
				assert_int_equal(s, ATTEMPT_READY);
		}
		assert_int_equal(attempt_is_open(s), s <= ATTEMPT_UNKNOWN);
		assert_int_equal(attempt_is_decidable(s), s >= ATTEMPT_REVIEW);
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
	const char *attempt, *only_collect, *only_deliver, *collecting, *delivering, *refunding;
};

static const struct derived DERIVED[] = {
	{"none", "CONFIRMED", "CONFIRMED", "CONFIRMED", "COLLECTED", "REFUND_DUE"},
	{"READY", "CONFIRMED", "CONFIRMED", "CONFIRMED", "COLLECTED", "REFUND_DUE"},
	{"SENDING", "COLLECTING", "DELIVERING", "COLLECTING", "DELIVERING", "REFUNDING"},
	{"ACCEPTED", "COLLECTING", "DELIVERING", "COLLECTING", "DELIVERING", "REFUNDING"},
	{"UNKNOWN", "COLLECTING", "DELIVERING", "COLLECTING", "DELIVERING", "REFUNDING"},
	{"NOT_SENT", "CONFIRMED", "CONFIRMED", "CONFIRMED", "COLLECTED", "REFUND_DUE"},
	{"SUCCEEDED", "COLLECTED", "DELIVERED", "COLLECTED", "DELIVERED", "REFUNDED"},
	{"FAILED", "CANCELLED", "CANCELLED", "CANCELLED", "REFUND_DUE", "REVIEW"},
	{"EXPIRED", "EXPIRED", "EXPIRED", "EXPIRED", "REFUND_DUE", "REVIEW"},
	{"REVIEW", "REVIEW", "REVIEW", "REVIEW", "REVIEW", "REVIEW"},
	{"CONTRADICTED", "CONTRADICTED", "CONTRADICTED", "CONTRADICTED", "CONTRADICTED",
		"CONTRADICTED"},
	{"WRITTEN_OFF", "WRITTEN_OFF", "WRITTEN_OFF", "WRITTEN_OFF", "WRITTEN_OFF", "WRITTEN_OFF"},
};

static const enum attempt_state UNDELIVERED[] = {ATTEMPT_FAILED, ATTEMPT_EXPIRED};

static void check_derived(struct purchase_legs legs, const char *want)
{
	check_str(str_c(purchase_state_name(purchase_derive(&legs))), want);
}

static void derives_every_combination_of_legs(void **state)
{
	for (unsigned s = 0; s < ATTEMPT_STATES; s++) {
		const struct derived *d = &DERIVED[s];

		check_str(str_c(attempt_state_name(s)), d->attempt);
		check_derived((struct purchase_legs){true, false, s, 0, 0}, d->only_collect);
		check_derived((struct purchase_legs){false, true, 0, s, 0}, d->only_deliver);
		check_derived((struct purchase_legs){true, true, s, 0, 0}, d->collecting);
		check_derived(
			(struct purchase_legs){true, true, ATTEMPT_SUCCEEDED, s, 0}, d->delivering);
		for (size_t i = 0; i < ROWS(UNDELIVERED); i++)
			check_derived((struct purchase_legs){true, true, ATTEMPT_SUCCEEDED,
					      UNDELIVERED[i], s},
				d->refunding);
		/* Persons give back what a partner was to deliver. */
		check_derived((struct purchase_legs){true, false, ATTEMPT_SUCCEEDED, 0, s},
			s == 0 ? "COLLECTED" : d->refunding);
	}
}

/* 2.6: whatever leg two facts disagree about, the purchase is frozen. */
static void a_contradiction_freezes_the_purchase(void **state)
{
	for (unsigned s = 0; s < ATTEMPT_STATES; s++) {
		check_derived((struct purchase_legs){true, true, ATTEMPT_CONTRADICTED, s, 0},
			"CONTRADICTED");
		check_derived((struct purchase_legs){true, true, ATTEMPT_SUCCEEDED,
				      ATTEMPT_CONTRADICTED, s},
			"CONTRADICTED");
	}
}

/* A delivery that ran after all, its refund never sent. */
static void a_delivery_outweighs_a_refund_never_sent(void **state)
{
	check_derived((struct purchase_legs){true, true, ATTEMPT_SUCCEEDED, ATTEMPT_SUCCEEDED,
			      ATTEMPT_EXPIRED},
		"DELIVERED");
}

/* The leg is what its attempts make of it, whatever came before or after. */
static void a_leg_is_its_deciding_attempt(void **state)
{
	static const struct {
		enum attempt_state first, second, want;
	} cases[] = {
		{ATTEMPT_NOT_SENT, ATTEMPT_READY, ATTEMPT_READY},
		{ATTEMPT_NOT_SENT, ATTEMPT_EXPIRED, ATTEMPT_EXPIRED},
		{ATTEMPT_CONTRADICTED, ATTEMPT_EXPIRED, ATTEMPT_CONTRADICTED},
		{ATTEMPT_CONTRADICTED, ATTEMPT_SUCCEEDED, ATTEMPT_CONTRADICTED},
		{ATTEMPT_NOT_SENT, ATTEMPT_CONTRADICTED, ATTEMPT_CONTRADICTED},
		{ATTEMPT_FAILED, ATTEMPT_SENDING, ATTEMPT_SENDING},
		{ATTEMPT_SUCCEEDED, ATTEMPT_NOT_SENT, ATTEMPT_SUCCEEDED},
	};

	for (size_t i = 0; i < ROWS(cases); i++) {
		struct purchase_legs legs = {.has_collect = true};

		purchase_legs_add(&legs, LEG_COLLECT, cases[i].first);
		purchase_legs_add(&legs, LEG_COLLECT, cases[i].second);
		purchase_legs_add(&legs, LEG_REFUND, ATTEMPT_READY);
		assert_int_equal(legs.collect, cases[i].want);
		assert_int_equal(legs.deliver, 0);
		assert_int_equal(legs.refund, ATTEMPT_READY);
	}
}

static void legs_start_once_and_only_after_what_they_rest_on(void **state)
{
	for (unsigned c = 0; c < ATTEMPT_STATES; c++)
		for (unsigned d = 0; d < ATTEMPT_STATES; d++)
			for (unsigned shape = 1; shape < 4; shape++) {
				struct purchase_legs legs = {shape & 1, shape & 2, c, d, 0};
				bool is_paid = shape & 1 && c == ATTEMPT_SUCCEEDED;
				bool is_undelivered = d == ATTEMPT_FAILED || d == ATTEMPT_EXPIRED;

				assert_int_equal(purchase_wants_deliver(&legs),
					is_paid && shape == 3 && d == 0);
				assert_int_equal(
					purchase_wants_refund(&legs), is_paid && is_undelivered);
				legs.refund = ATTEMPT_READY;
				assert_false(purchase_wants_deliver(&legs));
				assert_false(purchase_wants_refund(&legs));
			}
}

static void the_customer_hears_of_ends_only(void **state)
{
	static const char *const ends[] = {
		"DELIVERED", "CANCELLED", "EXPIRED", "REFUND_DUE", "REFUNDED"};

	for (unsigned s = PURCHASE_CONFIRMED; s < PURCHASE_STATES; s++) {
		bool is_end = false;

		for (size_t i = 0; i < ROWS(ends); i++)
			is_end = is_end || strcmp(ends[i], purchase_state_name(s)) == 0;
		assert_int_equal(purchase_is_settled(s, true), is_end);
		assert_int_equal(purchase_is_settled(s, false), is_end || s == PURCHASE_COLLECTED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_as_the_page_says),
		cmocka_unit_test(nothing_returns_to_ready_and_only_ready_expires),
		cmocka_unit_test(names_beyond_the_enums_are_harmless),
		cmocka_unit_test(derives_every_combination_of_legs),
		cmocka_unit_test(a_contradiction_freezes_the_purchase),
		cmocka_unit_test(a_delivery_outweighs_a_refund_never_sent),
		cmocka_unit_test(a_leg_is_its_deciding_attempt),
		cmocka_unit_test(legs_start_once_and_only_after_what_they_rest_on),
		cmocka_unit_test(the_customer_hears_of_ends_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
