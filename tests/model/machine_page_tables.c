/*
 * The second half of docs/machine.md: what a provider's answer proves, and what a leg is worth in
 * the books. Rows that say the same are found by asking, not by knowing.
 */
#include "print_machine.h"

#include "tama/classify.h"
#include "tama/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORDS (WORD_NOT_FOUND + 1)

static const char *const WORD_NAMES[WORDS] = {"none or unreadable", "pending", "success", "failure",
	"duplicate id", "refused", "not found"};

struct answers {
	enum reply_class class[WORDS][2]; /* without, and with what the provider may promise */
	int alarm;
};

static struct answers answers_for(const struct transfer *transfer)
{
	static const struct classify_rules none, promised = {true, true};
	struct answers a = {.alarm = 0};
	bool alarm;

	for (int w = 0; w < WORDS; w++) {
		a.class[w][0] = classify_submit(transfer, (enum reply_word)w, &none, &alarm);
		a.class[w][1] = classify_submit(transfer, (enum reply_word)w, &promised, &alarm);
		a.alarm |= alarm;
	}
	return a;
}

static void print_answer_row(const struct answers *a)
{
	for (int w = 0; w < WORDS; w++) {
		printf("| %s", reply_class_name(a->class[w][0]));
		if (a->class[w][1] != a->class[w][0])
			printf(" (%s)", reply_class_name(a->class[w][1]));
		putchar(' ');
	}
	printf("| %s |\n", a->alarm ? "yes" : "");
}

/* Consecutive HTTP statuses that prove the same are one row. */
static void print_statuses(void)
{
	unsigned from = 100;

	for (unsigned status = 101; status <= 600; status++) {
		struct answers before =
			answers_for(&(struct transfer){TRANSFER_COMPLETE, 200, from});
		struct answers here =
			answers_for(&(struct transfer){TRANSFER_COMPLETE, 200, status});

		if (status < 600 && memcmp(&before, &here, sizeof here) == 0)
			continue;
		if (from == status - 1)
			printf("| %u ", from);
		else
			printf("| %u–%u ", from, status - 1);
		print_answer_row(&before);
		from = status;
	}
}

static void print_ends(void)
{
	for (int end = TRANSFER_DNS; end <= TRANSFER_TOO_LARGE; end++)
		for (int has_sent = 0; has_sent < 2; has_sent++) {
			struct transfer t = {(enum transfer_end)end, has_sent ? 200 : 0, 0};
			enum reply_class class;
			bool alarm;

			class = classify_submit(
				&t, WORD_NONE, &(struct classify_rules){false, false}, &alarm);
			printf("| %s | %s | %s | %s |\n", transfer_end_name((enum transfer_end)end),
				has_sent ? "some" : "none", reply_class_name(class),
				alarm ? "yes" : "");
		}
}

static void print_queries(void)
{
	static const struct transfer whole = {TRANSFER_COMPLETE, 200, 200};
	static const struct transfer broken = {TRANSFER_BROKEN, 200, 0};

	printf("\nA status query that is answered with 2xx; anything else says nothing (%s):\n\n| "
	       "word ",
		reply_class_name(classify_status(&broken, WORD_SUCCESS)));
	for (int w = 0; w < WORDS; w++)
		printf("| %s ", WORD_NAMES[w]);
	printf("|\n|---|---|---|---|---|---|---|---|\n| proves ");
	for (int w = 0; w < WORDS; w++)
		printf("| %s ", reply_class_name(classify_status(&whole, (enum reply_word)w)));
	printf("|\n\n*not found* proves nothing: what is on its way may arrive yet, and an id may "
	       "have been "
	       "forgotten.\n");
}

void print_answers(void)
{
	printf("\n## 5. What a provider's answer proves\n\n"
	       "A request for money whose transfer ended before a whole answer was read. Only that "
	       "no byte left "
	       "proves that nothing was executed:\n\n"
	       "| the transfer | bytes sent | proves | alarm |\n|---|---|---|---|\n");
	print_ends();
	printf("\nA whole answer, by HTTP status and by what the dialect read in it. In brackets: "
	       "where the provider "
	       "documents that this status comes before execution:\n\n| status ");
	for (int w = 0; w < WORDS; w++)
		printf("| %s ", WORD_NAMES[w]);
	printf("| alarm |\n|---|---|---|---|---|---|---|---|---|\n");
	print_statuses();
	printf("\n*query*: the provider has this id already; it is asked what became of it, and it "
	       "is never taken "
	       "for a failure.\n");
	print_queries();
}

/* ---- the books ---------------------------------------------------------------------------------
 */

static void print_term(int64_t factor, const char *name, bool *has_any)
{
	if (factor == 0)
		return;
	printf("%s", factor < 0 ? "−" : *has_any ? "+" : "");
	if (factor != 1 && factor != -1)
		printf("%" PRId64, factor < 0 ? -factor : factor);
	printf("%s", name);
	*has_any = true;
}

/* Reads a sum of small multiples of the sample terms back: cost and fee are far below half of the
 * next. */
static void print_sum(int64_t sum)
{
	int64_t price = (sum + (sum < 0 ? -SAMPLE_PRICE : SAMPLE_PRICE) / 2) / SAMPLE_PRICE;
	int64_t rest = sum - price * SAMPLE_PRICE;
	int64_t cost = (rest + (rest < 0 ? -SAMPLE_COST : SAMPLE_COST) / 2) / SAMPLE_COST;
	bool has_any = false;

	print_term(price, "P", &has_any);
	print_term(cost, "C", &has_any);
	print_term(rest - cost * SAMPLE_COST, "K", &has_any);
}

static void print_position(const char *what, const struct purchase_legs *legs)
{
	int64_t position[LEDGER_BOOKS];

	ledger_position(
		legs, &(struct ledger_terms){SAMPLE_PRICE, SAMPLE_COST, SAMPLE_FEE}, position);
	printf("| %s ", what);
	for (int b = LEDGER_CUSTOMER; b < LEDGER_BOOKS; b++) {
		printf("| ");
		if (position[b] != 0)
			print_sum(position[b]);
		putchar(' ');
	}
	printf("|\n");
}

#define PAID ATTEMPT_SUCCEEDED

/* clang-format off */
static const struct {
	const char *what;
	struct purchase_legs legs;
} POSITIONS[] = {
	{"nothing sent", {true, true, ATTEMPT_READY, 0, 0}},
	{"collection in doubt", {true, true, ATTEMPT_UNKNOWN, 0, 0}},
	{"collection failed", {true, true, ATTEMPT_FAILED, 0, 0}},
	{"collection written off", {true, true, ATTEMPT_WRITTEN_OFF, 0, 0}},
	{"collected", {true, true, PAID, 0, 0}},
	{"delivery in doubt", {true, true, PAID, ATTEMPT_UNKNOWN, 0}},
	{"delivered", {true, true, PAID, ATTEMPT_SUCCEEDED, 0}},
	{"undelivered, or expired", {true, true, PAID, ATTEMPT_FAILED, 0}},
	{"refund in doubt", {true, true, PAID, ATTEMPT_FAILED, ATTEMPT_UNKNOWN}},
	{"refunded", {true, true, PAID, ATTEMPT_FAILED, ATTEMPT_SUCCEEDED}},
	{"refund failed: the claim stays", {true, true, PAID, ATTEMPT_FAILED, ATTEMPT_FAILED}},
	{"refund written off", {true, true, PAID, ATTEMPT_FAILED, ATTEMPT_WRITTEN_OFF}},
	{"delivery contradicted, nothing refunded", {true, true, PAID, ATTEMPT_CONTRADICTED, ATTEMPT_EXPIRED}},
	{"delivery contradicted, refund sent", {true, true, PAID, ATTEMPT_CONTRADICTED, ATTEMPT_UNKNOWN}},
	{"delivery contradicted, refunded", {true, true, PAID, ATTEMPT_CONTRADICTED, ATTEMPT_SUCCEEDED}},
	{"delivered and refunded", {true, true, PAID, ATTEMPT_SUCCEEDED, ATTEMPT_SUCCEEDED}},
	{"delivery written off", {true, true, PAID, ATTEMPT_WRITTEN_OFF, 0}},
	{"partner delivers: collected", {true, false, PAID, 0, 0}},
	{"partner delivers: refund begun", {true, false, PAID, 0, ATTEMPT_READY}},
	{"partner delivers: refunded", {true, false, PAID, 0, ATTEMPT_SUCCEEDED}},
	{"agent pays: in doubt", {false, true, 0, ATTEMPT_UNKNOWN, 0}},
	{"agent pays: delivered", {false, true, 0, ATTEMPT_SUCCEEDED, 0}},
	{"agent pays: failed", {false, true, 0, ATTEMPT_FAILED, 0}},
};
/* clang-format on */

void print_worth(void)
{
	printf("\n## 6. The books\n\n"
	       "What a purchase is worth in them is a function of its legs; every move posts the "
	       "difference of two "
	       "rows, so that the sum of all postings is always the row it is in. P: the price; C: "
	       "what a delivery "
	       "takes from our float; K: what the provider keeps of a collection. Debit is "
	       "positive, and every row "
	       "sums to zero. *In doubt*: SENDING, ACCEPTED, UNKNOWN, REVIEW or CONTRADICTED.\n\n| "
	       "the purchase ");
	for (int b = LEDGER_CUSTOMER; b < LEDGER_BOOKS; b++)
		printf("| %s ", ledger_book_name((enum ledger_book)b));
	printf("|\n|---");
	for (int b = LEDGER_CUSTOMER; b < LEDGER_BOOKS; b++)
		printf("|---");
	printf("|\n");
	for (size_t i = 0; i < sizeof POSITIONS / sizeof *POSITIONS; i++)
		print_position(POSITIONS[i].what, &POSITIONS[i].legs);
}
