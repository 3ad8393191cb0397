/* tama review: what waits for persons; both proofs of a case; the decision of two. */
#include "admin_client.h"

static void print_case_attempt(const json_t *row)
{
	char at[TIME_TEXT], amount[AMOUNT_TEXT];

	(void)printf("%-17s %-13s %s %s.%lld  %s through %s, sent %.19s UTC, ours %s, theirs %s\n",
		row_text(row, "case"), row_text(row, "state"), row_text(row, "ref"),
		row_text(row, "leg"), (long long)row_number(row, "n"),
		amount_text(row_number(row, "amount"), row_text(row, "currency"), amount),
		row_text(row, "account"), time_text(row_number(row, "sent_ms"), at),
		row_text(row, "our_ref"),
		row_text(row, "provider_id")[0] != '\0' ? row_text(row, "provider_id") : "unknown");
}

static void print_case_refund(const json_t *row)
{
	char at[TIME_TEXT], amount[AMOUNT_TEXT];

	bool is_due = strcmp(row_text(row, "state"), "REFUND_DUE") == 0;

	(void)printf("%-17s %-13s %s  %s owed to %s since %.19s UTC\n", row_text(row, "case"),
		is_due ? "refund due" : "refund failed", row_text(row, "ref"),
		amount_text(row_number(row, "price"), row_text(row, "currency"), amount),
		row_text(row, "payer"), time_text(row_number(row, "updated_ms"), at));
}

static void print_case_inbox(const json_t *row)
{
	char at[TIME_TEXT];

	(void)printf("%-17s %-13s %s %s of %s, %.19s UTC%s%s, come again %lld times\n",
		row_text(row, "case"), row_text(row, "verdict"),
		row_text(row, "ref")[0] != '\0' ? row_text(row, "ref") : "nobody's",
		row_text(row, "kind"), row_text(row, "account"),
		time_text(row_number(row, "received_ms"), at),
		row_text(row, "detail")[0] != '\0' ? ": " : "", row_text(row, "detail"),
		(long long)row_number(row, "repeats"));
}

static void print_case_hold(const json_t *row)
{
	char at[TIME_TEXT];

	(void)printf("%-17s %-13s %s since %.19s UTC: %s\n", row_text(row, "case"), "hold",
		row_text(row, "account"), time_text(row_number(row, "since_ms"), at),
		row_text(row, "reason"));
}

/* A proposal names the case it is about as the list above it does. */
static void print_proposal(const json_t *row)
{
	static const struct {
		const char *field;
		char letter;
	} of[] = {{"attempt", 'a'}, {"inbox", 'i'}, {"hold", 'h'}, {"purchase", 'r'}};
	char at[TIME_TEXT];

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		if (row_number(row, of[i].field) == 0)
			continue;
		(void)printf("%c%-16llx %-13s %s by %s, %.19s UTC; wants a second person: %s\n",
			of[i].letter, (unsigned long long)row_number(row, of[i].field), "proposed",
			row_text(row, "kind"), row_text(row, "proposed_by"),
			time_text(row_number(row, "proposed_ms"), at), row_text(row, "proof"));
		return;
	}
}

static const struct {
	const char *row;
	void (*print)(const json_t *row);
} printers[] = {
	{"attempt", print_case_attempt},
	{"purchase", print_case_refund},
	{"inbox", print_case_inbox},
	{"hold", print_case_hold},
	{"decision", print_proposal},
};

static void print_case(void *ctx, const json_t *row)
{
	unsigned *count = ctx;

	(*count)++;
	for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++)
		if (strcmp(printers[i].row, row_text(row, "row")) == 0)
			printers[i].print(row);
}

/* ---- one case ----------------------------------------------------------------------------------
 */

static void print_proof(unsigned number, const json_t *row)
{
	char at[TIME_TEXT];

	(void)printf("\nproof %u: %s of %s, %s UTC, taken as %s%s%s\n  authenticated by %s\n  %s\n",
		number, row_text(row, "kind"), row_text(row, "account"),
		time_text(row_number(row, "received_ms"), at), row_text(row, "verdict"),
		row_text(row, "detail")[0] != '\0' ? ": " : "", row_text(row, "detail"),
		row_text(row, "auth"), row_text(row, "raw"));
}

static void print_detail(void *ctx, const json_t *row)
{
	unsigned *proofs = ctx;

	bool is_case = row_text(row, "case")[0] != '\0', is_proof = row_text(row, "raw")[0] != '\0';
	unsigned ignored = 0;

	if (is_case) {
		print_case(&ignored, row);
		(void)putchar('\n');
	}
	/* What belongs to a purchase comes again among its proofs. */
	if (is_proof && (!is_case || row_text(row, "ref")[0] == '\0'))
		print_proof(++*proofs, row);
	else if (!is_case)
		admin_print_history(NULL, row);
}

static void print_decided(void *ctx, const json_t *row)
{
	(void)ctx;
	if (strcmp(row_text(row, "outcome"), "applied") == 0)
		(void)printf("%s: %s applied\n", row_text(row, "case"), row_text(row, "decision"));
	else
		(void)printf("%s: %s proposed by %s; another person must decide the same\n",
			row_text(row, "case"), row_text(row, "decision"), row_text(row, "user"));
}

/* ---- the command line --------------------------------------------------------------------------
 */

struct review_options {
	struct admin_target target;
	const char *proof, *reason;
	bool is_full;
};

static void set_text(json_t *request, const char *name, const char *value)
{
	if (value != NULL)
		(void)json_object_set_new(request, name, json_string(value));
}

static int list(const struct review_options *options)
{
	unsigned count = 0;
	int status = admin_ask(
		&options->target, json_pack("{s:s}", "do", "review.list"), print_case, &count);

	if (status == 0 && count == 0 && !options->target.is_json)
		(void)printf("nothing waits for a person\n");
	return status;
}

static int show(const struct review_options *options, const char *word)
{
	json_t *request = json_pack("{s:s, s:s, s:s, s:b}", "do", "review.show", "case", word,
		"ref", word, "full", options->is_full);
	unsigned proofs = 0;

	set_text(request, "reason", options->reason);
	return admin_ask(&options->target, request, print_detail, &proofs);
}

static int decide(const struct review_options *options, const char *word, const char *decision)
{
	json_t *request = json_pack(
		"{s:s, s:s, s:s}", "do", "review.decide", "case", word, "decision", decision);

	set_text(request, "proof", options->proof);
	return admin_ask(&options->target, request, print_decided, NULL);
}

int cmd_review(int argc, char **argv)
{
	struct review_options o = {0};
	const struct cli_option table[] = {
		ADMIN_OPTIONS(&o.target),
		{"proof", CLI_TEXT, &o.proof, "TEXT  what you saw, where and when"},
		{"full", CLI_FLAG, &o.is_full, "numbers in full; wants --reason"},
		{"reason", CLI_TEXT, &o.reason, "TEXT  why, for the audit log"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	const char *words[3] = {NULL, NULL, NULL};
	struct cli_line line = {.usage = "tama review [show CASE | decide CASE "
					 "succeeded|failed|write-off|refund|dismiss|"
					 "release --proof TEXT] -c FILE",
		.options = table,
		.words = words,
		.words_max = 3};
	int status = admin_line(&line, &o.target, argc, argv);

	if (status != 0)
		return status - 1;
	if (line.words_len == 0)
		return list(&o);
	if (line.words_len == 2 && strcmp(words[0], "show") == 0)
		return show(&o, words[1]);
	if (line.words_len == 3 && strcmp(words[0], "decide") == 0)
		return decide(&o, words[1], words[2]);
	(void)fprintf(stderr, "tama: review, review show CASE, or review decide CASE DECISION\n");
	return CLI_USAGE;
}
