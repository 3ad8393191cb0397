/* tama restore: a data directory out of a backup or a standby. Nothing is sent from it until
 * persons have compared it with the providers and released it.
 */
#include "admin_client.h"

#include "tama/backup.h"
#include "tama/verify.h"

#define HOLD_REASON "restored from a copy: compare with the providers first"

static int say_failed(const struct err *err)
{
	(void)fprintf(stderr, "tama: %s\n", err->text);
	return CLI_FAILED;
}

static void print_restored(const struct restored *r, const char *source)
{
	char at[TIME_TEXT];

	(void)printf("restored %s\n  %s of store %s, as of %s UTC\n", source,
		r->is_standby ? "standby" : "backup", r->manifest.store_id,
		time_text(r->to_ms, at));
	if (r->is_standby)
		(void)printf("  base of %lld bytes and %lld commits of its log\n",
			(long long)r->manifest.bytes, (long long)r->records);
}

static int check(struct str dir)
{
	const struct verify_options options = {0};
	struct verify_report report;
	struct err err = ERR_INIT;

	if (store_verify(dir, &options, &report, &err) != 0)
		return say_failed(&err);
	if (report.violations > 0) {
		(void)printf("%s %s: %s\n", report.first.ref, report.first.rule, report.first.what);
		return CLI_FAILED;
	}
	(void)printf("verified %llu purchases\n", (unsigned long long)report.purchases);
	return 0;
}

static int restore(const char *source, struct str dir)
{
	struct restored restored;
	struct err err = ERR_INIT;

	if (store_restore(source, dir, HOLD_REASON, &restored, &err) != 0)
		return say_failed(&err);
	print_restored(&restored, source);
	(void)printf("held: nothing is sent or sold until two persons release it (tama review)\n");
	return check(dir);
}

int cmd_restore(int argc, char **argv)
{
	struct admin_target target = {0};
	const struct cli_option table[] = {
		{"config", CLI_TEXT, &target.config, "FILE  the configuration"},
		{"set", CLI_TEXT, NULL, "NAME=VALUE  what setting(NAME) in it answers; repeatable"},
		{"data", CLI_TEXT, &target.data, "DIR  the data directory to make"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	const char *source = NULL;
	struct cli_line line = {.usage = "tama restore DIRECTORY -c FILE, or --data NEW-DIRECTORY",
		.options = table,
		.words = &source,
		.words_min = 1,
		.words_max = 1};
	int status = admin_line(&line, &target, argc, argv);
	char dir[4096];

	if (status != 0)
		return status - 1;
	if (!admin_data_dir(&target, dir, sizeof(dir)))
		return CLI_FAILED;
	return restore(source, str_c(dir));
}
