/*
 * docs/machine.md: the machine in words and tables. The words are here; every cell comes from the
 * functions that the program itself asks, so the page cannot say anything else than they do.
 */
#include "print_machine.h"

#include "tama/classify.h"
#include "tama/ledger.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const char *const STATE_MEANS[ATTEMPT_STATES] = {
	[ATTEMPT_READY] = "written to disk; no byte has ever been sent",
	[ATTEMPT_SENDING] = "from here on the provider may have executed it; nothing leads back to READY",
	[ATTEMPT_ACCEPTED] = "the provider has it and has not said how it ended",
	[ATTEMPT_UNKNOWN] = "may have been executed, and nobody can say yet; time alone never makes it FAILED",
	[ATTEMPT_NOT_SENT] = "proven: no byte of the request left this host; the leg may try again",
	[ATTEMPT_SUCCEEDED] = "proven to have been executed",
	[ATTEMPT_FAILED] = "proven not to have been executed, and not to be executed later",
	[ATTEMPT_EXPIRED] = "never sent, and never will be",
	[ATTEMPT_REVIEW] = "two persons decide, with the evidence before them",
	[ATTEMPT_CONTRADICTED] = "two trustworthy facts disagree; frozen until two persons decide",
	[ATTEMPT_WRITTEN_OFF] = "closed by two persons without anybody knowing",
};

static const char *const EVENT_MEANS[ATTEMPT_EVENTS] = {
	[AEV_CLAIM] = "we are about to send: committed before the first byte",
	[AEV_EXPIRE] = "it waited too long to be of use, or its secret was lost with the process",
	[AEV_NOT_SENT] = "the sender's own proof that no byte left",
	[AEV_ACCEPTED] = "the provider says: pending",
	[AEV_DOUBT] = "timeout, reset, an answer nobody can read, a process that is gone",
	[AEV_SUCCESS] = "evidence of success whose facts match ours",
	[AEV_FAILURE] = "evidence of failure whose facts match ours",
	[AEV_DEADLINE] = "the time for this state is over",
	[AEV_RESEND] = "the same id and the same bytes once more, to a provider that honours ids",
	[AEV_FREEZE] = "a store older than its mark: an earlier life may have sent this",
	[AEV_DECIDED_SUCCESS] = "two persons agree that it was executed",
	[AEV_DECIDED_FAILURE] = "two persons agree that it was not, and its sender cannot send any more",
	[AEV_WRITE_OFF] = "two persons close the case without knowing",
};

static const char *const PURCHASE_MEANS[PURCHASE_STATES] = {
	[PURCHASE_CONFIRMED] = "confirmed by the customer, nothing sent",
	[PURCHASE_COLLECTING] = "the customer's money is being asked for",
	[PURCHASE_COLLECTED] = "paid; the end where the partner delivers",
	[PURCHASE_DELIVERING] = "the goods are being asked for",
	[PURCHASE_DELIVERED] = "the goods were given: an end",
	[PURCHASE_CANCELLED] = "nothing collected, nothing delivered: an end",
	[PURCHASE_EXPIRED] = "never sent: an end",
	[PURCHASE_REFUND_DUE] = "paid and proven undelivered: owed to the customer",
	[PURCHASE_REVIEW] = "waits for two persons",
	[PURCHASE_REFUNDING] = "the money is on its way back",
	[PURCHASE_REFUNDED] = "the money was given back: an end",
	[PURCHASE_CONTRADICTED] = "frozen: facts disagree, persons decide",
	[PURCHASE_WRITTEN_OFF] = "closed without anybody knowing: an end",
};
/* clang-format on */

static void print_head(const char *const *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("| %s ", columns[i]);
	printf("|\n");
	for (size_t i = 0; i < n; i++)
		printf("|---");
	printf("|\n");
}

static void print_meanings(void)
{
	printf("## 1. An attempt\n\nAn attempt is one request of a leg that may reach a provider. "
	       "It is in one of these states:\n\n");
	print_head((const char *const[]){"state", "means"}, 2);
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		printf("| %s | %s |\n", attempt_state_name((enum attempt_state)s), STATE_MEANS[s]);
	printf("\nand these are all the things that can happen to it:\n\n");
	print_head((const char *const[]){"event", "means"}, 2);
	for (int e = 0; e < ATTEMPT_EVENTS; e++)
		printf("| %s | %s |\n", attempt_event_name((enum attempt_event)e), EVENT_MEANS[e]);
}

static void print_cell(enum attempt_state state, enum attempt_event event)
{
	struct attempt_step step = attempt_step(state, event);

	switch (step.kind) {
	case STEP_MOVE:
		printf("| **%s** ", attempt_state_name(step.next));
		break;
	case STEP_STAY:
		printf("| stays ");
		break;
	case STEP_CONTRADICTION:
		printf("| parked ");
		break;
	case STEP_PROPOSAL:
		printf("| proposes ");
		break;
	case STEP_IMPOSSIBLE:
		printf("| ✗ ");
		break;
	}
}

static void print_events(const char *title, const enum attempt_event *events, size_t n)
{
	printf("\n%s\n\n| state ", title);
	for (size_t i = 0; i < n; i++)
		printf("| %s ", attempt_event_name(events[i]));
	printf("|\n|---");
	for (size_t i = 0; i < n; i++)
		printf("|---");
	printf("|\n");
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++) {
		printf("| %s ", attempt_state_name((enum attempt_state)s));
		for (size_t i = 0; i < n; i++)
			print_cell((enum attempt_state)s, events[i]);
		printf("|\n");
	}
}

static void print_steps(void)
{
	static const enum attempt_event ours[] = {
		AEV_CLAIM, AEV_RESEND, AEV_EXPIRE, AEV_FREEZE, AEV_DEADLINE};
	static const enum attempt_event heard[] = {
		AEV_NOT_SENT, AEV_ACCEPTED, AEV_DOUBT, AEV_SUCCESS, AEV_FAILURE};
	static const enum attempt_event persons[] = {
		AEV_DECIDED_SUCCESS, AEV_DECIDED_FAILURE, AEV_WRITE_OFF};

	printf("\n## 2. What happens to it\n\n"
	       "**A state in bold** is the one after. *stays*: nothing new, counted and stored. "
	       "*parked*: facts disagree, a person looks, nothing is done. *proposes*: evidence on "
	       "which only persons may act. ✗: cannot come about unless we err, the store was "
	       "restored or the news is forged; it is stored, an alarm is raised, and nothing "
	       "moves.\n");
	print_events("What we and the clock do:", ours, sizeof ours / sizeof *ours);
	print_events("What the transfer shows and the provider says:", heard,
		sizeof heard / sizeof *heard);
	print_events("What two persons decide:", persons, sizeof persons / sizeof *persons);
	printf("\nA second attempt of a leg begins only after NOT_SENT; the store itself refuses a "
	       "second "
	       "attempt beside one that may have been executed, and any beside one that is "
	       "CONTRADICTED.\n");
}

/* ---- the purchase ------------------------------------------------------------------------------
 */

static const enum attempt_state LEG_STATES[] = {0, ATTEMPT_READY, ATTEMPT_SENDING, ATTEMPT_ACCEPTED,
	ATTEMPT_UNKNOWN, ATTEMPT_NOT_SENT, ATTEMPT_SUCCEEDED, ATTEMPT_FAILED, ATTEMPT_EXPIRED,
	ATTEMPT_REVIEW, ATTEMPT_CONTRADICTED, ATTEMPT_WRITTEN_OFF};

static const char *leg_state_name(enum attempt_state state)
{
	return state == 0 ? "not begun" : attempt_state_name(state);
}

static void print_derived(const struct purchase_legs *legs)
{
	printf("| %s ", purchase_state_name(purchase_derive(legs)));
}

static void print_purchase(void)
{
	static const char *const columns[] = {"the leg is", "collect", "deliver, paid",
		"deliver, an agent pays", "refund, undelivered", "refund, the partner delivers",
		"refund, delivered after all"};

	printf("\n## 3. The purchase\n\nIts state is derived from its legs, and stored equal:\n\n");
	print_head((const char *const[]){"state", "means"}, 2);
	for (int s = PURCHASE_CONFIRMED; s < PURCHASE_STATES; s++)
		printf("| %s | %s |\n", purchase_state_name((enum purchase_state)s),
			PURCHASE_MEANS[s]);
	printf("\nBy the leg it is at; a collect leg has succeeded before a deliver or refund leg "
	       "begins. "
	       "A contradiction in any leg makes it CONTRADICTED:\n\n");
	print_head(columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < sizeof LEG_STATES / sizeof *LEG_STATES; i++) {
		enum attempt_state s = LEG_STATES[i];

		printf("| %s ", leg_state_name(s));
		print_derived(&(struct purchase_legs){true, true, s, 0, 0});
		print_derived(&(struct purchase_legs){true, true, ATTEMPT_SUCCEEDED, s, 0});
		print_derived(&(struct purchase_legs){false, true, 0, s, 0});
		print_derived(
			&(struct purchase_legs){true, true, ATTEMPT_SUCCEEDED, ATTEMPT_FAILED, s});
		print_derived(&(struct purchase_legs){true, false, ATTEMPT_SUCCEEDED, 0, s});
		print_derived(&(struct purchase_legs){
			true, true, ATTEMPT_SUCCEEDED, ATTEMPT_SUCCEEDED, s});
		printf("|\n");
	}
}

static void print_wants(void)
{
	printf("\nThe deliver leg begins by itself when the collect leg is one of:");
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		if (purchase_wants_deliver(
			    &(struct purchase_legs){true, true, (enum attempt_state)s, 0, 0}))
			printf(" %s", attempt_state_name((enum attempt_state)s));
	printf(". The refund leg begins by itself, the collect leg having succeeded, when the "
	       "deliver leg "
	       "is one of:");
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		if (purchase_wants_refund(&(struct purchase_legs){
			    true, true, ATTEMPT_SUCCEEDED, (enum attempt_state)s, 0}))
			printf(" %s", attempt_state_name((enum attempt_state)s));
	printf(". What may have been delivered is never refunded by the machine.\n");
}

/* ---- IPNs --------------------------------------------------------------------------------------
 */

static const char *ipn_outcome(enum attempt_state state, enum attempt_event event)
{
	struct attempt_step step = attempt_step(state, event);

	switch (step.kind) {
	case STEP_MOVE:
		return step.next == ATTEMPT_CONTRADICTED
			       ? "CONTRADICTED: frozen, parked for persons"
		       : step.next == ATTEMPT_REVIEW ? "REVIEW: parked, the account is held, alarm"
						     : attempt_state_name(step.next);
	case STEP_STAY:
		return event == AEV_ACCEPTED ? "ignored, counted" : "duplicate, counted";
	case STEP_CONTRADICTION:
		return "parked: contradiction, alarm";
	case STEP_PROPOSAL:
		return "parked: a proposal, persons confirm";
	case STEP_IMPOSSIBLE:
		return "parked: impossible, alarm";
	}
	return "?";
}

static void print_ipn(void)
{
	printf("\n## 4. An IPN against the attempt\n\n"
	       "Of an IPN that is authentic and whose facts match the attempt; a fact that differs "
	       "parks it as a "
	       "mismatch, and one that fits no attempt is parked as an orphan. It is committed "
	       "before the provider "
	       "reads 200, and only the pair of state and word matters, never the time it "
	       "came:\n\n");
	print_head((const char *const[]){"attempt", "success", "failure", "not final"}, 4);
	for (int s = ATTEMPT_READY; s < ATTEMPT_STATES; s++)
		printf("| %s | %s | %s | %s |\n", attempt_state_name((enum attempt_state)s),
			ipn_outcome((enum attempt_state)s, AEV_SUCCESS),
			ipn_outcome((enum attempt_state)s, AEV_FAILURE),
			ipn_outcome((enum attempt_state)s, AEV_ACCEPTED));
	printf("\nIn the commit that makes a FAILED delivery CONTRADICTED, a refund that was not "
	       "sent yet is "
	       "withdrawn; in the one that makes a NOT_SENT attempt CONTRADICTED, the leg's next "
	       "one.\n");
}

void print_page(void)
{
	printf("# The machine\n\n"
	       "Printed from the program's own tables (`make model` prints it anew; a test fails "
	       "when this page says "
	       "anything else). Where the rules come from is said in `include/tama/purchase.h`, "
	       "`classify.h` and "
	       "`ledger.h`.\n\n");
	print_meanings();
	print_steps();
	print_purchase();
	print_wants();
	print_ipn();
	print_answers();
	print_worth();
}
