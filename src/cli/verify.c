/* tama verify: every invariant that a store can show, on a live store or a copy. */
#include "admin_client.h"

#include "tama/verify.h"

#include <unistd.h>

struct report_print {
	bool is_json, is_broken;
};

static void print_report(void *ctx, const json_t *row)
{
	struct report_print *print = ctx;
	const json_t *first = json_object_get(row, "first");

	print->is_broken = row_number(row, "violations") > 0;
	if (print->is_json) {
		(void)json_dumpf(row, stdout, JSON_COMPACT);
		(void)putchar('\n');
		return;
	}
	if (!print->is_broken) {
		(void)printf("verified %lld purchases\n", (long long)row_number(row, "purchases"));
		return;
	}
	(void)printf("%s %s: %s\n",
		row_text(first, "ref")[0] != '\0' ? row_text(first, "ref") : "the store",
		row_text(first, "rule"), row_text(first, "what"));
	(void)printf("%lld violations in %lld purchases\n",
		(long long)row_number(row, "violations"), (long long)row_number(row, "purchases"));
}

/* No server, no key: a copy, or the files of a store whose lock is ours. */
static int verify_here(struct str dir, bool is_json)
{
	struct report_print print = {.is_json = is_json};
	const struct verify_options options = {0};
	struct verify_report report;
	struct err err = ERR_INIT;

	if (store_verify(dir, &options, &report, &err) != 0) {
		(void)fprintf(stderr, "tama: %s\n", err.text);
		return CLI_FAILED;
	}
	json_t *row = json_pack("{s:s, s:I, s:I}", "row", "verified", "purchases",
		(json_int_t)report.purchases, "violations", (json_int_t)report.violations);

	if (report.violations > 0)
		(void)json_object_set_new(row, "first",
			json_pack("{s:s, s:s, s:s}", "rule", report.first.rule, "ref",
				report.first.ref, "what", report.first.what));
	print_report(&print, row);
	json_decref(row);
	return print.is_broken ? CLI_FAILED : 0;
}

/* A data directory that no server holds is checked where it lies, under its lock. */
static int verify_data(const struct admin_target *target, bool *done_out)
{
	struct err err = ERR_INIT;
	int lock = -1, status = 0;

	*done_out = false;
	if (target->data == NULL || store_lock(str_c(target->data), &lock, &err) != 0)
		return 0;
	*done_out = true;
	status = verify_here(str_c(target->data), target->is_json);
	(void)close(lock);
	return status;
}

int cmd_verify(int argc, char **argv)
{
	struct admin_target target = {0};
	const char *copy = NULL;
	const struct cli_option table[] = {
		ADMIN_OPTIONS(&target),
		{"copy", CLI_TEXT, &copy, "DIR  a backup or another copy of tama.db; wants no key"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	struct cli_line line = {.usage = "tama verify -c FILE", .options = table};
	int status = admin_line(&line, &target, argc, argv);
	struct report_print print = {0};
	bool is_done = false;

	if (status != 0)
		return status - 1;
	if (copy != NULL)
		return verify_here(str_c(copy), target.is_json);
	if (target.config == NULL && target.socket == NULL)
		status = verify_data(&target, &is_done);
	if (is_done)
		return status;
	print.is_json = target.is_json;
	target.is_json = false;
	status = admin_ask(&target, json_pack("{s:s}", "do", "verify"), print_report, &print);
	return status == 0 && print.is_broken ? CLI_FAILED : status;
}
