/*
 * tama check: everything a gateway would refuse to start with, and what would go wrong on a phone
 * only later, as "file:line: message". Nothing is sent and nothing is written but transcripts that
 * are to be recorded.
 */
#include "cli.h"
#include "check_priv.h"
#include "settings.h"

#include "tama/limits.h"

#include <errno.h>
#include <stdarg.h>

#define EXCHANGES_MAX 64

struct check_options {
	const char *config;
	const char *dialect;
	bool is_recording;
	struct settings settings;
	const char *exchanges[EXCHANGES_MAX];
	size_t exchanges_len;
};

/* ---- what is told ------------------------------------------------------------------------------
 */

static bool is_news(struct check *check, struct str message)
{
	for (size_t i = 0; i < check->told_len; i++)
		if (str_eq(check->told[i], message))
			return false;
	if (check->told_len < CHECK_PROBLEMS)
		check->told[check->told_len++] = arena_str(&check->arena, message);
	return true;
}

void check_problem_at(struct check *check, struct str message, struct str place)
{
	if (!is_news(check, message))
		return;
	if (check->problems++ >= CHECK_PROBLEMS)
		return;
	if (place.n > 0)
		(void)printf("%.*s (%.*s)\n", STR_ARG(message), STR_ARG(place));
	else
		(void)printf("%.*s\n", STR_ARG(message));
}

void check_problem(struct check *check, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	check_problem_at(check, str_c(text), STR(""));
}

void check_note(struct check *check, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (is_news(check, str_c(text)))
		(void)printf("note: %s\n", text);
}

/* ---- files -------------------------------------------------------------------------------------
 */

bool check_read(struct check *check, const char *path, size_t max, struct str *out)
{
	char block[4096];
	struct buf buf;
	size_t n;
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		check_problem(check, "%s:1: %s", path, strerror(errno));
		return false;
	}
	buf_init(&buf, max);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_add(&buf, block, n);
	struct str text = arena_str(&check->arena, buf_str(&buf));
	bool is_read = ferror(file) == 0 && !buf.overflowed && text.p != NULL;
	buf_fini(&buf);
	(void)fclose(file);
	if (is_read)
		*out = text;
	else
		check_problem(check, "%s:1: cannot be read, or has more than %zu bytes", path, max);
	return is_read;
}

struct str check_file(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->files_len; i++)
		if (str_eq(service->files[i].name, str_c(name)))
			return service->files[i].text;
	return STR("");
}

/* ---- the steps ---------------------------------------------------------------------------------
 */

static void print_problem(void *ctx, const char *line)
{
	check_problem(ctx, "%s", line);
}

static bool load(struct check *check, const struct check_options *options)
{
	const struct config_options how = {.settings = options->settings.items,
		.settings_len = options->settings.n,
		.problem = print_problem,
		.ctx = check};
	struct err err = ERR_INIT;
	int rc = config_load(options->config, &how, &check->config, &err);

	if (rc != 0 && check->problems == 0)
		check_problem(check, "%s:1: %s", options->config, err.text);
	return rc == 0;
}

/* Whether a message comes through this channel to that service: its own, or one by keyword. */
static bool leads_to(const struct channel *channel, const struct service *service)
{
	if (channel->service == service)
		return true;
	for (size_t i = 0; i < channel->keywords_len; i++)
		if (channel->keywords[i].service == service)
			return true;
	return false;
}

static void check_service(struct check *check, const struct service *service)
{
	const struct config *config = check->config;
	unsigned ways = 0;

	check_texts(check, service);
	check_transcripts(check, service);
	for (size_t i = 0; i < config->channels_len; i++) {
		if (!leads_to(&config->channels[i], service))
			continue;
		check_walk(check, &config->channels[i], service);
		ways++;
	}
	if (ways == 0)
		check_note(check, "service \"%.*s\" is on no channel: not walked",
			STR_ARG(service->name));
}

static void check_config(struct check *check)
{
	struct err err = ERR_INIT;

	check_channels(check);
	check_accounts(check);
	if (menu_host_new(check->config, &check->menus, &err) != 0) {
		check_problem(check, "%s", err.text);
		return;
	}
	for (size_t i = 0; i < check->config->services_len; i++)
		check_service(check, &check->config->services[i]);
	menu_host_free(&check->menus);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void summary(const struct check *check)
{
	const struct config *config = check->config;

	if (config == NULL) {
		(void)printf("ok: %u exchange%s\n", check->exchanges, plural(check->exchanges));
		return;
	}
	(void)printf("ok: %zu channel%s, %zu service%s, %u screens walked, %u transcript%s\n",
		config->channels_len, plural(config->channels_len), config->services_len,
		plural(config->services_len), check->screens, check->transcripts,
		plural(check->transcripts));
}

static int run(const struct check_options *options)
{
	struct check check = {.is_recording = options->is_recording};
	struct err err = ERR_INIT;

	arena_init(&check.arena, CHECK_BYTES);
	if (dialect_host_new(1u << DIALECT_USSD | 1u << DIALECT_SMS | 1u << DIALECT_PROVIDER,
		    &check.dialects, &err) != 0)
		check_problem(&check, "%s", err.text);
	else if (options->dialect != NULL)
		check_exchange(
			&check, options->dialect, options->exchanges, options->exchanges_len);
	if (check.dialects != NULL && options->config != NULL && load(&check, options))
		check_config(&check);
	if (check.problems == 0)
		summary(&check);
	if (check.problems > CHECK_PROBLEMS)
		(void)printf("and %u more\n", check.problems - CHECK_PROBLEMS);
	dialect_host_free(&check.dialects);
	config_unref(&check.config);
	arena_fini(&check.arena);
	return check.problems == 0 ? 0 : CLI_FAILED;
}

/* ---- the command line --------------------------------------------------------------------------
 */

/* "--exchange A B --exchange C": what is no option is an exchange, so the word itself is dropped.
 */
static void exchange_drop(int *argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], "--exchange") != 0)
			argv[n++] = argv[i];
	*argc = n;
}

static int options_read(int argc, char **argv, struct check_options *options)
{
	const struct cli_option table[] = {
		{"config", CLI_TEXT, &options->config, "FILE  the configuration"},
		{"set", CLI_TEXT, NULL, "NAME=VALUE  what setting(NAME) in it answers; repeatable"},
		{"dialect", CLI_TEXT, &options->dialect, "FILE.lua  a dialect of your own"},
		{"exchange", CLI_TEXT, NULL, "FILE...  exchanges to play against it"},
		{"record", CLI_FLAG, &options->is_recording,
			"write the transcripts anew with what came out"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	struct cli_line line = {.usage = "tama check -c FILE",
		.options = table,
		.words = options->exchanges,
		.words_max = EXCHANGES_MAX};
	int status = settings_take(&argc, argv, &options->settings);

	exchange_drop(&argc, argv);
	if (status == 0)
		status = cli_read(&line, argc, argv);
	options->exchanges_len = line.words_len;
	if (status != 0)
		return status;
	if (options->config == NULL && options->dialect == NULL) {
		(void)fprintf(stderr, "tama: check wants -c FILE, or --dialect FILE.lua\n");
		return CLI_USAGE;
	}
	if ((options->dialect == NULL) != (options->exchanges_len == 0)) {
		(void)fprintf(stderr, "tama: --dialect FILE.lua and --exchange FILE go together\n");
		return CLI_USAGE;
	}
	return 0;
}

int cmd_check(int argc, char **argv)
{
	struct check_options options = {0};
	int status = options_read(argc, argv, &options);

	if (status != 0)
		return status == 1 ? 0 : CLI_USAGE;
	return run(&options);
}
