/*
 * Prints the tables of the machine, as the program that is linked here has them:
 *   print_machine markdown   docs/machine.md, which an engineer reads as the specification
 *   print_machine tsv        every cell and every combination of legs, for compare.lua
 *   print_machine promela    the attempt's table, which purchase.pml includes
 */
#include "print_machine.h"

#include "tama/ledger.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *step_kind_name(enum step_kind kind)
{
	switch (kind) {
	case STEP_MOVE:
		return "MOVE";
	case STEP_STAY:
		return "STAY";
	case STEP_CONTRADICTION:
		return "CONTRADICTION";
	case STEP_PROPOSAL:
		return "PROPOSAL";
	case STEP_IMPOSSIBLE:
		return "IMPOSSIBLE";
	}
	return "?";
}

static void print_upper(const char *name)
{
	for (; *name != '\0'; name++)
		putchar(toupper((unsigned char)*name));
}

/* The state after, whatever the kind: where no next is given, the attempt stays. */
enum attempt_state state_after(enum attempt_state state, enum attempt_event event)
{
	struct attempt_step step = attempt_step(state, event);

	return step.next != 0 ? step.next : state;
}

static void print_cells(void)
{
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		for (int e = 0; e < ATTEMPT_EVENTS; e++) {
			printf("step\t%s\t", attempt_state_name((enum attempt_state)s));
			print_upper(attempt_event_name((enum attempt_event)e));
			printf("\t%s\t%s\n",
				step_kind_name(
					attempt_step((enum attempt_state)s, (enum attempt_event)e)
						.kind),
				attempt_state_name(
					state_after((enum attempt_state)s, (enum attempt_event)e)));
		}
}

static void print_books(const struct purchase_legs *legs)
{
	int64_t position[LEDGER_BOOKS];

	ledger_position(
		legs, &(struct ledger_terms){SAMPLE_PRICE, SAMPLE_COST, SAMPLE_FEE}, position);
	for (int b = LEDGER_CUSTOMER; b < LEDGER_BOOKS; b++)
		if (position[b] != 0) {
			putchar('\t');
			print_upper(ledger_book_name((enum ledger_book)b));
			printf("=%" PRId64, position[b]);
		}
	putchar('\n');
}

static void print_legs(const struct purchase_legs *legs)
{
	printf("legs\t%d\t%d\t%s\t%s\t%s\t%s", legs->has_collect, legs->has_deliver,
		attempt_state_name(legs->collect), attempt_state_name(legs->deliver),
		attempt_state_name(legs->refund), purchase_state_name(purchase_derive(legs)));
	print_books(legs);
}

/* Every combination of the legs' states, for each of the three shapes of an offer. */
static void print_combinations(void)
{
	for (int c = 0; c < ATTEMPT_STATES; c++)
		for (int d = 0; d < ATTEMPT_STATES; d++)
			for (int r = 0; r < ATTEMPT_STATES; r++) {
				struct purchase_legs legs = {true, true, (enum attempt_state)c,
					(enum attempt_state)d, (enum attempt_state)r};

				print_legs(&legs);
				legs.has_deliver = false;
				if (d == 0)
					print_legs(&legs);
				legs.has_deliver = true;
				legs.has_collect = false;
				if (c == 0 && r == 0)
					print_legs(&legs);
			}
}

static const char *separator(int i)
{
	if (i == 0)
		return "\n\t";
	return i % ATTEMPT_EVENTS == 0 ? ",\n\t" : ", ";
}

/* A cell by its place in the table; next is the state after, whatever the kind. */
static struct attempt_step cell(int i)
{
	enum attempt_state state = (enum attempt_state)(i / ATTEMPT_EVENTS);
	enum attempt_event event = (enum attempt_event)(i % ATTEMPT_EVENTS);

	return (struct attempt_step){attempt_step(state, event).kind, state_after(state, event)};
}

static void print_promela(void)
{
	printf("/* Printed from the table of attempt_step(): not to be edited. */\n#define NONE "
	       "0\n");
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		printf("#define %s %d\n", attempt_state_name((enum attempt_state)s), s);
	for (int e = 0; e < ATTEMPT_EVENTS; e++) {
		printf("#define AEV_");
		print_upper(attempt_event_name((enum attempt_event)e));
		printf(" %d\n", e);
	}
	/* By state and event, PER_STATE events a state. Hidden: constants, no part of the state. */
	printf("#define PER_STATE %d\nhidden byte after[%d] = {", ATTEMPT_EVENTS,
		ATTEMPT_STATES * ATTEMPT_EVENTS);
	for (int i = 0; i < ATTEMPT_STATES * ATTEMPT_EVENTS; i++)
		printf("%s%d", separator(i), i < ATTEMPT_EVENTS ? 0 : (int)cell(i).next);
	printf("\n}\nhidden byte impossible[%d] = {", ATTEMPT_STATES * ATTEMPT_EVENTS);
	for (int i = 0; i < ATTEMPT_STATES * ATTEMPT_EVENTS; i++)
		printf("%s%d", separator(i), i < ATTEMPT_EVENTS || cell(i).kind == STEP_IMPOSSIBLE);
	printf("\n}\n");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "markdown") == 0)
		print_page();
	else if (argc == 2 && strcmp(argv[1], "promela") == 0)
		print_promela();
	else if (argc == 2 && strcmp(argv[1], "tsv") == 0) {
		print_cells();
		print_combinations();
	} else {
		fprintf(stderr, "usage: print_machine markdown | tsv | promela\n");
		return 2;
	}
	return 0;
}
