/* Two who read the specification apart from one another: the checker and the machine. */
#include "check.h"

#include "../../src/store/sqlite_verify_states.h"
#include "tama/ledger.h"

#define PRICE 600
#define COST 490
#define FEE 12

struct shape {
	struct purchase_legs legs;
	struct v_attempt attempts[3];
	struct v_purchase purchase;
};

/* One attempt for each leg that has a state. */
static void shape_of(struct shape *s, unsigned kind, const int64_t states[static 3])
{
	*s = (struct shape){.legs = {.has_collect = kind & 1, .has_deliver = kind & 2}};
	s->purchase = (struct v_purchase){.has_collect = kind & 1,
		.has_deliver = kind & 2,
		.price = PRICE,
		.cost = COST,
		.collect_fee = FEE,
		.attempts = s->attempts};
	for (int64_t leg = COLLECT; leg <= REFUND; leg++) {
		if (states[leg - 1] == 0)
			continue;
		s->attempts[s->purchase.attempts_len++] =
			(struct v_attempt){.leg = leg, .n = 1, .state = states[leg - 1]};
		purchase_legs_add(
			&s->legs, (enum leg_kind)leg, (enum attempt_state)states[leg - 1]);
	}
}

/* Goods or money go out only for what came in, or seemed to. */
static bool can_be(unsigned kind, const int64_t states[static 3])
{
	int64_t collect = states[0], deliver = states[1], refund = states[2];
	bool was_in = collect == SUCCEEDED || collect == CONTRADICTED || collect == WRITTEN_OFF;

	if ((kind & 1) == 0)
		return collect == 0 && refund == 0;
	if ((kind & 2) == 0 && deliver != 0)
		return false;
	return (deliver == 0 && refund == 0) || was_in;
}

static void both_agree(void **state)
{
	const struct ledger_terms terms = {.price = PRICE, .cost = COST, .collect_fee = FEE};
	unsigned n = 0;

	for (unsigned i = 0; i < 3u * 12 * 12 * 12; i++) {
		const unsigned kind = 1 + i % 3;
		const int64_t states[3] = {i / 3 % 12, i / 36 % 12, i / 432 % 12};
		int64_t is[BOOKS], should[LEDGER_BOOKS];
		struct shape s;

		if (!can_be(kind, states))
			continue;
		shape_of(&s, kind, states);
		if (v_derive(&s.purchase) != (int)purchase_derive(&s.legs))
			fail_msg("%u: %d %d %d is %d here, %d there", kind, (int)states[0],
				(int)states[1], (int)states[2], v_derive(&s.purchase),
				(int)purchase_derive(&s.legs));
		v_worth(&s.purchase, is);
		ledger_position(&s.legs, &terms, should);
		for (int book = 1; book < BOOKS; book++)
			if (is[book] != should[book])
				fail_msg("%u: %d %d %d, book %d: %lld here, %lld there", kind,
					(int)states[0], (int)states[1], (int)states[2], book,
					(long long)is[book], (long long)should[book]);
		n++;
	}
	assert_true(n > 400);
}

/* The table of moves is the machine's, cell by cell. */
static void every_move_is_known(void **state)
{
	for (int64_t from = READY; from <= ATTEMPT_LAST; from++)
		for (int event = 0; event < ATTEMPT_EVENTS; event++) {
			const struct attempt_step step =
				attempt_step((enum attempt_state)from, (enum attempt_event)event);
			struct v_event e = {.from = from, .to = step.next};

			(void)snprintf(e.cause, sizeof(e.cause), "%s",
				attempt_event_name((enum attempt_event)event));
			if (step.kind == STEP_MOVE && !v_is_allowed(&e))
				fail_msg("%s to %s by %s", v_attempt_name(from),
					v_attempt_name(e.to), e.cause);
			for (e.to = READY; e.to <= ATTEMPT_LAST; e.to++)
				if (v_is_allowed(&e))
					assert_true(step.kind == STEP_MOVE &&
						    e.to == (int64_t)step.next);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_agree),
		cmocka_unit_test(every_move_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
