/* tama backup: a copy of a running server's store, or of one at rest; how the standby stands. */
#include "admin_client.h"

#include <limits.h>
#include <unistd.h>

static void print_backup(void *ctx, const json_t *row)
{
	char at[TIME_TEXT];

	(void)ctx;
	(void)printf("backup %s\n  purchases %lld, %lld bytes, schema %lld, generation %lld\n"
		     "  store %s as of %s UTC\n  blake2b %s\n"
		     "the master key is not in it: keep both, apart\n",
		row_text(row, "dest"), (long long)row_number(row, "purchases"),
		(long long)row_number(row, "bytes"), (long long)row_number(row, "schema"),
		(long long)row_number(row, "generation"), row_text(row, "store_id"),
		time_text(row_number(row, "made_ms"), at), row_text(row, "blake2b"));
}

static void print_standby(void *ctx, const json_t *row)
{
	(void)ctx;
	(void)printf("standby_whole %d\nstandby_lag_ms %lld\nstandby_lag_commits %lld\n",
		json_is_true(json_object_get(row, "whole")),
		(long long)row_number(row, "standby_lag_ms"),
		(long long)row_number(row, "standby_lag_commits"));
	(void)printf("standby_commits %lld\nstandby_bytes %lld\nstandby_bases %lld\n"
		     "standby_failures %lld\n",
		(long long)row_number(row, "commits"), (long long)row_number(row, "bytes"),
		(long long)row_number(row, "bases"), (long long)row_number(row, "failures"));
}

/* The server has another working directory. */
static bool absolute(const char *path, char out[static PATH_MAX + 256])
{
	char here[PATH_MAX];

	if (path[0] == '/')
		(void)snprintf(out, PATH_MAX + 256, "%s", path);
	else if (getcwd(here, sizeof(here)) != NULL)
		(void)snprintf(out, PATH_MAX + 256, "%s/%s", here, path);
	else
		return false;
	return true;
}

/* A data directory that no server holds wants no key to be copied. */
static int backup_data(const struct admin_target *target, const char *dest, bool *done_out)
{
	struct err err = ERR_INIT;
	struct manifest made;
	int lock = -1, rc;

	*done_out = target->config == NULL && target->socket == NULL && target->data != NULL &&
		    store_lock(str_c(target->data), &lock, &err) == 0;
	if (!*done_out)
		return 0;
	rc = store_backup(str_c(target->data), dest, NULL, NULL, &made, &err);
	(void)close(lock);
	if (rc == 0)
		(void)printf("backup %s\n  purchases %lld, %lld bytes, schema %lld\n", dest,
			(long long)made.purchases, (long long)made.bytes, (long long)made.schema);
	else
		(void)fprintf(stderr, "tama: %s\n", err.text);
	return rc == 0 ? 0 : CLI_FAILED;
}

int cmd_backup(int argc, char **argv)
{
	struct admin_target target = {0};
	bool measures = false, is_done;
	const struct cli_option table[] = {
		ADMIN_OPTIONS(&target),
		{"measure", CLI_FLAG, &measures, "how far the standby is behind, and copy nothing"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	char path[PATH_MAX + 256];
	const char *dest = NULL;
	struct cli_line line = {.usage = "tama backup DIRECTORY -c FILE",
		.options = table,
		.words = &dest,
		.words_max = 1};
	int status = admin_line(&line, &target, argc, argv);

	if (status != 0)
		return status - 1;
	if (measures)
		return admin_ask(&target, json_pack("{s:s}", "do", "standby"), print_standby, NULL);
	if (dest == NULL || !absolute(dest, path)) {
		(void)fprintf(stderr, "tama: backup wants an empty directory, or one to make\n");
		return CLI_USAGE;
	}
	status = backup_data(&target, path, &is_done);
	return is_done ? status
		       : admin_ask(&target, json_pack("{s:s, s:s}", "do", "backup", "dest", path),
				 print_backup, NULL);
}
