/* tama books, tama reconcile: what we own and owe, what floats are still good for, whether
 * providers agree. */
#include "admin_client.h"

/* ---- printing ----------------------------------------------------------------------------------
 */

struct printed {
	char kind[24]; /* of the rows before */
};

static void print_head(struct printed *p, const char *kind)
{
	static const struct {
		const char *kind, *head;
	} heads[] = {
		{"balance", "PARTNER ACCOUNT              BOOK                          DEBIT"},
		{"observation", "\nPARTNER ACCOUNT              TOLD BY ITS PROVIDER (UTC)       "
				"      BALANCE           BOOKS"},
		{"float", "\nPARTNER FLOAT                        BALANCE           PROMISED  "
			  "        AVAILABLE  LASTS"},
		{"reconciliation", "\nPARTNER ACCOUNT      DAY         STATE          DIFFERENCE  "
				   "         MARGIN   PROVIDER FEES  MATCHED  LATE  MISSING  "
				   "UNKNOWN  OTHERWISE"},
		{"finding", "\nPARTNER ACCOUNT      DAY                 AMOUNT  "
			    "THEIRS / OURS, PURCHASE: WHAT"},
	};

	if (strcmp(p->kind, kind) == 0)
		return;
	(void)snprintf(p->kind, sizeof(p->kind), "%s", kind);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (strcmp(heads[i].kind, kind) == 0)
			(void)printf("%s\n", heads[i].head);
}

/* With the currency's code: two partners' francs both read "F" on a phone. */
static const char *coded(const json_t *row, const char *name, char out[static AMOUNT_TEXT])
{
	const char *currency = row_text(row, "currency");
	char *unit;

	if (!json_is_integer(json_object_get(row, name))) {
		(void)snprintf(out, AMOUNT_TEXT, "unknown");
		return out;
	}
	amount_text(row_number(row, name), currency, out);
	unit = strrchr(out, ' ');
	if (unit != NULL)
		(void)snprintf(unit, AMOUNT_TEXT - (size_t)(unit - out), "%s%.3s",
			currency[0] != '\0' ? " " : "", currency);
	return out;
}

static void print_balance(const json_t *row)
{
	char amount[AMOUNT_TEXT];

	(void)printf("%7lld %-20s %-17s %17s\n", (long long)row_number(row, "partner"),
		row_text(row, "account"), row_text(row, "book"), coded(row, "sum", amount));
}

static void print_observation(const json_t *row)
{
	char at[TIME_TEXT], balance[AMOUNT_TEXT], books[AMOUNT_TEXT];

	(void)printf("%7lld %-20s %-23s %-7s %15s %15s\n", (long long)row_number(row, "partner"),
		row_text(row, "account"), time_text(row_number(row, "at_ms"), at),
		row_text(row, "source"), coded(row, "balance", balance),
		coded(row, "books", books));
}

/* "3 d 4 h": two places are enough to know whether to get up. */
static const char *lasts(int64_t seconds, char out[static 32])
{
	if (seconds < 0)
		(void)snprintf(out, 32, "for ever");
	else if (seconds >= 86400)
		(void)snprintf(out, 32, "%lld d %lld h", (long long)(seconds / 86400),
			(long long)(seconds % 86400 / 3600));
	else
		(void)snprintf(out, 32, "%lld h %lld min", (long long)(seconds / 3600),
			(long long)(seconds % 3600 / 60));
	return out;
}

static void print_float(const json_t *row)
{
	char balance[AMOUNT_TEXT], reserved[AMOUNT_TEXT], available[AMOUNT_TEXT], how_long[32];

	(void)printf("%7lld %-20s ", (long long)row_number(row, "partner"), row_text(row, "name"));
	if (!json_is_true(json_object_get(row, "known"))) {
		(void)printf("not known, promised %s: %s\n", coded(row, "reserved", reserved),
			json_is_true(json_object_get(row, "sells")) ? "sells" : "sells nothing");
		return;
	}
	(void)printf("%18s %18s %18s  %s%s\n", coded(row, "balance", balance),
		coded(row, "reserved", reserved), coded(row, "available", available),
		lasts(row_number(row, "seconds_left"), how_long),
		json_is_true(json_object_get(row, "sells")) ? "" : ", SELLS NOTHING");
}

static void print_day(const json_t *row)
{
	char at[TIME_TEXT], difference[AMOUNT_TEXT], margin[AMOUNT_TEXT], fees[AMOUNT_TEXT];

	(void)printf("%7lld %-12s %.10s  %-9s %15s %15s %15s  %7lld %5lld %8lld %8lld %10lld%s\n",
		(long long)row_number(row, "partner"), row_text(row, "account"),
		time_text(row_number(row, "day") * 86400000, at), row_text(row, "state"),
		coded(row, "difference", difference), coded(row, "margin", margin),
		coded(row, "fees", fees), (long long)row_number(row, "matched"),
		(long long)row_number(row, "late"), (long long)row_number(row, "missing"),
		(long long)row_number(row, "unknown"), (long long)row_number(row, "differing"),
		row_number(row, "has_list") != 0 ? "" : "  (no list: balances only)");
}

static void print_finding(const json_t *row)
{
	char at[TIME_TEXT], amount[AMOUNT_TEXT];

	(void)printf("%7lld %-12s %.10s %15s  %s / %s, %s: %s\n",
		(long long)row_number(row, "partner"), row_text(row, "account"),
		time_text(row_number(row, "day") * 86400000, at), coded(row, "amount", amount),
		row_text(row, "item"), row_text(row, "our_ref"), row_text(row, "ref"),
		row_text(row, "finding"));
}

static void print_row(void *ctx, const json_t *row)
{
	const char *kind = row_text(row, "row");

	print_head(ctx, kind);
	if (strcmp(kind, "balance") == 0)
		print_balance(row);
	else if (strcmp(kind, "observation") == 0)
		print_observation(row);
	else if (strcmp(kind, "float") == 0)
		print_float(row);
	else if (strcmp(kind, "reconciliation") == 0)
		print_day(row);
	else if (strcmp(kind, "finding") == 0)
		print_finding(row);
}

int cmd_books(int argc, char **argv)
{
	struct admin_target target = {0};
	const char *partner = "";
	const struct cli_option table[] = {
		ADMIN_OPTIONS(&target),
		{"partner", CLI_TEXT, &partner, "NAME  of one partner"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	struct cli_line line = {.usage = "tama books -c FILE", .options = table};
	struct printed printed = {""};
	int status = admin_line(&line, &target, argc, argv);

	if (status != 0)
		return status - 1;
	return admin_ask(&target, json_pack("{s:s, s:s}", "do", "books", "partner", partner),
		print_row, &printed);
}

/* ---- reconcile ---------------------------------------------------------------------------------
 */

static void print_begun(void *ctx, const json_t *row)
{
	char at[TIME_TEXT];

	(void)ctx;
	(void)printf("%s, %.10s: begun; `tama books` shows what comes of it\n",
		row_text(row, "account"), time_text(row_number(row, "day") * 86400000, at));
}

int cmd_reconcile(int argc, char **argv)
{
	struct admin_target target = {0};
	const char *account = "", *day = "";
	const struct cli_option table[] = {
		ADMIN_OPTIONS(&target),
		{"account", CLI_TEXT, &account, "NAME  this account; all that have a time for it"},
		{"day", CLI_TEXT, &day, "DAY  2026-11-22, today, yesterday (UTC); yesterday"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	struct cli_line line = {.usage = "tama reconcile -c FILE", .options = table};
	int status = admin_line(&line, &target, argc, argv);

	if (status != 0)
		return status - 1;
	return admin_ask(&target,
		json_pack("{s:s, s:s, s:s}", "do", "reconcile", "account", account, "day", day),
		print_begun, NULL);
}
