/* tama purchases: what was bought, what became of it, and what the customer was told, and when. */
#include "admin_client.h"

#include "tama/wire.h"

/* ---- printing ----------------------------------------------------------------------------------
 */

static void print_purchase_line(const json_t *row)
{
	char at[TIME_TEXT], price[AMOUNT_TEXT];

	(void)printf("%-10s %-13s %-19.19s %11s  %-14s %-16s %-16s %s\n", row_text(row, "ref"),
		row_text(row, "state"), time_text(row_number(row, "created_ms"), at),
		amount_text(row_number(row, "price"), row_text(row, "currency"), price),
		row_text(row, "offer"), row_text(row, "payer"), row_text(row, "beneficiary"),
		row_text(row, "operator"));
}

static void print_attempt_line(const json_t *row)
{
	char at[TIME_TEXT], amount[AMOUNT_TEXT];

	(void)printf("%-10s %s.%lld %-12s %-19.19s %11s  %-12s ours %s, theirs %s\n",
		row_text(row, "ref"), row_text(row, "leg"), (long long)row_number(row, "n"),
		row_text(row, "state"), time_text(row_number(row, "created_ms"), at),
		amount_text(row_number(row, "amount"), row_text(row, "currency"), amount),
		row_text(row, "account"), row_text(row, "our_ref"), row_text(row, "provider_id"));
}

static void print_line(void *ctx, const json_t *row)
{
	unsigned *count = ctx;

	if ((*count)++ == 0 && strcmp(row_text(row, "row"), "purchase") == 0)
		(void)printf("%-10s %-13s %-19s %11s  %-14s %-16s %-16s %s\n", "REFERENCE", "STATE",
			"CONFIRMED (UTC)", "PRICE", "OFFER", "PAYER", "FOR", "OPERATOR");
	if (strcmp(row_text(row, "row"), "attempt") == 0)
		print_attempt_line(row);
	else
		print_purchase_line(row);
}

/* "collect.1", or nothing for what is the purchase's own. */
static const char *leg_text(const json_t *row, char out[static 24])
{
	if (row_text(row, "leg")[0] == '\0')
		(void)snprintf(out, 24, "purchase");
	else
		(void)snprintf(out, 24, "%.10s.%lld", row_text(row, "leg"),
			(long long)row_number(row, "n"));
	return out;
}

static void print_head(int64_t ms, const char *what)
{
	char at[TIME_TEXT];

	(void)printf("%-23s  %-9s ", time_text(ms, at), what);
}

/* Text of several lines, each after the first under the column where the first began. */
static void print_text(const char *text)
{
	for (; *text != '\0'; text++) {
		(void)putchar(*text);
		if (*text == '\n')
			(void)printf("%36s", "");
	}
	(void)putchar('\n');
}

static void print_purchase(const json_t *row)
{
	const char *currency = row_text(row, "currency");
	char face[AMOUNT_TEXT], fee[AMOUNT_TEXT], price[AMOUNT_TEXT];

	(void)printf("%s  %s\n", row_text(row, "ref"), row_text(row, "state"));
	(void)printf("  offer        %s, by %s (%s)\n", row_text(row, "offer"),
		row_text(row, "channel"), row_text(row, "lang"));
	(void)printf(
		"  paid by      %s %s\n", row_text(row, "payer"), row_text(row, "payer_operator"));
	(void)printf(
		"  for          %s %s\n", row_text(row, "beneficiary"), row_text(row, "operator"));
	(void)printf("  price        %s = %s + fee %s\n",
		amount_text(row_number(row, "price"), currency, price),
		amount_text(row_number(row, "face_value"), currency, face),
		amount_text(row_number(row, "fee"), currency, fee));
	(void)printf("  partner      %lld\n\n", (long long)row_number(row, "partner"));
	print_head(row_number(row, "created_ms"), "confirmed");
	(void)printf("by the customer\n");
}

static void print_screen(const json_t *row)
{
	print_head(row_number(row, "created_ms"), "screen");
	(void)printf("told on the phone: ");
	print_text(row_text(row, "reply"));
}

static void print_attempt(const json_t *row)
{
	char leg[24], amount[AMOUNT_TEXT];

	print_head(row_number(row, "created_ms"), "attempt");
	(void)printf("%-10s %s of %s through %s, service %s, ours %s%s%s: %s\n", leg_text(row, leg),
		amount_text(row_number(row, "amount"), row_text(row, "currency"), amount),
		row_text(row, "number"), row_text(row, "account"), row_text(row, "service"),
		row_text(row, "our_ref"),
		row_text(row, "provider_id")[0] != '\0' ? ", theirs " : "",
		row_text(row, "provider_id"), row_text(row, "state"));
}

static void print_event(const json_t *row)
{
	char leg[24];

	print_head(row_number(row, "at_ms"), "event");
	(void)printf("%-10s %s -> %s by %s", leg_text(row, leg), row_text(row, "from_state"),
		row_text(row, "to_state"), row_text(row, "cause"));
	if (row_number(row, "evidence") > 0)
		(void)printf(", evidence %lld", (long long)row_number(row, "evidence"));
	(void)printf(" (life %lld)\n", (long long)row_number(row, "incarnation"));
}

static void print_inbox(const json_t *row)
{
	char leg[24];

	print_head(row_number(row, "received_ms"), row_text(row, "kind"));
	(void)printf("%-10s %s: %s%s%s, evidence %lld, come again %lld times\n", leg_text(row, leg),
		row_text(row, "account"), row_text(row, "verdict"),
		row_text(row, "detail")[0] != '\0' ? ", " : "", row_text(row, "detail"),
		(long long)row_number(row, "id"), (long long)row_number(row, "repeats"));
	(void)printf("%36s", "");
	print_text(row_text(row, "raw"));
}

static void print_ledger(const json_t *row)
{
	char leg[24], amount[AMOUNT_TEXT];

	print_head(row_number(row, "at_ms"), "books");
	(void)printf("%-10s %-16s %12s  %s (posting %lld)\n", leg_text(row, leg),
		row_text(row, "book"),
		amount_text(row_number(row, "debit"), row_text(row, "currency"), amount),
		row_text(row, "account"), (long long)row_number(row, "posting"));
}

/* What became of it, by our own word where the gateway has none; of a time that follows. */
static const char *sms_end(const json_t *row)
{
	const char *report = row_text(row, "dlr");

	if (row_number(row, "is_done") == 0)
		return "not yet taken, again at";
	if (strcmp(report, "refused") == 0 || strcmp(report, "too_old") == 0)
		return "never sent, given up";
	return strcmp(report, "in_doubt") == 0 ? "perhaps taken, given up" : "handed over";
}

static void print_sms(const json_t *row)
{
	char at[TIME_TEXT];
	const char *report = row_text(row, "dlr");
	bool is_done = row_number(row, "is_done") != 0;
	int64_t told_ms = row_number(row, "dlr_ms");

	print_head(row_number(row, "queued_ms"), "sms");
	(void)printf("to %s by %s, %s %s, try %lld, report: %s", row_text(row, "to"),
		row_text(row, "channel"), sms_end(row),
		time_text(row_number(row, is_done ? "over_ms" : "due_ms"), at),
		(long long)row_number(row, "tries") + 1, report[0] != '\0' ? report : "none");
	if (told_ms != 0)
		(void)printf(" %s", time_text(told_ms, at));
	(void)printf("\n%36s", "");
	print_text(row_text(row, "text"));
}

static void print_owed(const json_t *row)
{
	char leg[24];

	print_head(row_number(row, "due_ms"), "waits");
	(void)printf("%-10s for %s, tried %lld times\n", leg_text(row, leg), row_text(row, "kind"),
		(long long)row_number(row, "tries"));
}

static void print_decision(const json_t *row)
{
	char leg[24], at[TIME_TEXT];

	print_head(row_number(row, "proposed_ms"), "decision");
	(void)printf("%-10s %s, proposed by %s", leg_text(row, leg), row_text(row, "kind"),
		row_text(row, "proposed_by"));
	if (row_text(row, "agreed_by")[0] != '\0')
		(void)printf(", agreed by %s %s", row_text(row, "agreed_by"),
			time_text(row_number(row, "agreed_ms"), at));
	(void)printf("\n%36s", "");
	print_text(row_text(row, "proof"));
}

static void print_left_out(const json_t *row)
{
	(void)printf("(more rows of %s than are shown)\n", row_text(row, "kind"));
}

static const struct {
	const char *row;
	void (*print)(const json_t *row);
} printers[] = {
	{"purchase", print_purchase},
	{"screen", print_screen},
	{"attempt", print_attempt},
	{"event", print_event},
	{"inbox", print_inbox},
	{"ledger", print_ledger},
	{"sms", print_sms},
	{"owed", print_owed},
	{"decision", print_decision},
	{"left_out", print_left_out},
};

void admin_print_history(void *ctx, const json_t *row)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++)
		if (strcmp(printers[i].row, row_text(row, "row")) == 0)
			printers[i].print(row);
}

/* ---- the command line --------------------------------------------------------------------------
 */

struct purchases_options {
	struct admin_target target;
	const char *state, *since, *partner, *reason;
	int64_t limit;
	bool is_full;
};

/* "90m", "36h", "7d" back from now, or a day as 2026-11-22. */
static int since_ms(const char *text, int64_t *out)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	size_t n = strlen(text);
	struct tm day = {0};
	int64_t count;

	for (size_t i = 0; n > 1 && i < 3; i++) {
		if (text[n - 1] == units[i].unit && str_to_i64((struct str){text, n - 1}, &count) &&
			count < 100000) {
			*out = clock_wall_ms() - count * units[i].ms;
			return 0;
		}
	}
	const char *end = strptime(text, "%Y-%m-%d", &day);

	if (end == NULL || *end != '\0') {
		(void)fprintf(stderr, "tama: --since wants 90m, 36h, 7d or 2026-11-22\n");
		return CLI_USAGE;
	}
	*out = (int64_t)timegm(&day) * 1000;
	return 0;
}

static void set_text(json_t *request, const char *name, const char *value)
{
	if (value != NULL)
		(void)json_object_set_new(request, name, json_string(value));
}

static int list_or_find(const struct purchases_options *options, const char *what)
{
	json_t *request =
		json_pack("{s:s}", "do", what != NULL ? "purchases.find" : "purchases.list");
	int64_t from_ms = 0;
	unsigned count = 0;
	int status;

	if (options->since != NULL && since_ms(options->since, &from_ms) != 0) {
		json_decref(request);
		return CLI_USAGE;
	}
	set_text(request, "what", what);
	set_text(request, "state", options->state);
	set_text(request, "partner", options->partner);
	set_text(request, "reason", options->reason);
	(void)json_object_set_new(request, "since_ms", json_integer(from_ms));
	(void)json_object_set_new(request, "limit", json_integer(options->limit));
	(void)json_object_set_new(request, "full", json_boolean(options->is_full));
	status = admin_ask(&options->target, request, print_line, &count);
	if (status == 0 && count == 0 && !options->target.is_json)
		(void)printf("none\n");
	return status;
}

static int show(const struct purchases_options *options, const char *ref)
{
	json_t *request = json_pack("{s:s, s:s}", "do", "purchases.show", "ref", ref);

	set_text(request, "partner", options->partner);
	set_text(request, "reason", options->reason);
	(void)json_object_set_new(request, "full", json_boolean(options->is_full));
	return admin_ask(&options->target, request, admin_print_history, NULL);
}

int cmd_purchases(int argc, char **argv)
{
	struct purchases_options o = {.limit = 20};
	const struct cli_option table[] = {
		ADMIN_OPTIONS(&o.target),
		{"state", CLI_TEXT, &o.state,
			"WORD  only those in this state: REVIEW, REFUND_DUE, ..."},
		{"since", CLI_TEXT, &o.since, "TIME  confirmed since: 90m, 36h, 7d, 2026-11-22"},
		{"partner", CLI_TEXT, &o.partner, "NAME  of one partner"},
		{"limit", CLI_NUMBER, &o.limit, "N  at most so many (20)"},
		{"full", CLI_FLAG, &o.is_full, "numbers in full; wants --reason"},
		{"reason", CLI_TEXT, &o.reason, "TEXT  why, for the audit log"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	const char *words[2] = {NULL, NULL};
	struct cli_line line = {
		.usage = "tama purchases [REFERENCE, NUMBER or ID | show REFERENCE] -c FILE",
		.options = table,
		.words = words,
		.words_max = 2};
	int status = admin_line(&line, &o.target, argc, argv);

	if (status != 0)
		return status - 1;
	if (line.words_len == 2 && strcmp(words[0], "show") == 0)
		return show(&o, words[1]);
	if (line.words_len == 2 || (line.words_len == 1 && strcmp(words[0], "show") == 0)) {
		(void)fprintf(stderr, "tama: purchases WORD, or purchases show REFERENCE\n");
		return CLI_USAGE;
	}
	return list_or_find(&o, words[0]);
}
