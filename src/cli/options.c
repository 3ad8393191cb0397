/* Options of subcommands, by table: what is read and what --help says cannot disagree. */
#include "cli.h"

#include "tama/str.h"

static void usage_print(const struct cli_line *line, FILE *to)
{
	(void)fprintf(to, "usage: %s [options]\n", line->usage);
	for (const struct cli_option *o = line->options; o->name != NULL; o++)
		(void)fprintf(to, "  --%-14s %s\n", o->name, o->help);
}

static int wrong(const struct cli_line *line, const char *what, const char *about)
{
	(void)fprintf(stderr, "tama: %s%s\n", what, about);
	usage_print(line, stderr);
	return CLI_USAGE;
}

static const struct cli_option *option_find(const struct cli_line *line, struct str name)
{
	for (const struct cli_option *o = line->options; o->name != NULL; o++) {
		if (str_eq(str_c(o->name), name))
			return o;
	}
	return NULL;
}

static bool option_set(const struct cli_option *option, const char *value)
{
	switch (option->kind) {
	case CLI_FLAG:
		*(bool *)option->out = true;
		return true;
	case CLI_TEXT:
		*(const char **)option->out = value;
		return true;
	case CLI_NUMBER:
		return str_to_i64(str_c(value), option->out);
	}
	return false;
}

/* One option and its value; *at is the index in argv, moved past a value of its own. */
static int option_read(const struct cli_line *line, int argc, char **argv, int *at)
{
	struct str rest = str_c(argv[*at] + 2);
	struct str name = str_cut(&rest, '=');
	const struct cli_option *option = option_find(line, name);
	const char *value = rest.p;
	if (option == NULL)
		return wrong(line, "no such option: ", argv[*at]);
	if (option->kind == CLI_FLAG && value != NULL)
		return wrong(line, "takes no value: --", option->name);
	if (option->kind != CLI_FLAG && value == NULL) {
		if (*at + 1 >= argc)
			return wrong(line, "needs a value: --", option->name);
		value = argv[++*at];
	}
	if (!option_set(option, value))
		return wrong(line, "needs a number: --", option->name);
	return 0;
}

int cli_read(struct cli_line *line, int argc, char **argv)
{
	line->words_len = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage_print(line, stdout);
			return 1;
		}
		if (strncmp(argv[i], "--", 2) != 0) {
			if (line->words_len == line->words_max)
				return wrong(line, "one word too many: ", argv[i]);
			line->words[line->words_len++] = argv[i];
			continue;
		}
		int rc = option_read(line, argc, argv, &i);
		if (rc != 0)
			return rc;
	}
	if (line->words_len < line->words_min)
		return wrong(line, "a word is missing", "");
	return 0;
}
