/* Options that repeat, taken out before the others are read. */
#include "settings.h"

#include "cli.h"

static bool add(struct settings *out, const char *text)
{
	struct str rest = str_c(text);
	struct str name = str_cut(&rest, '=');

	if (out->n == SETTINGS_MAX || name.n == 0 || rest.p == NULL)
		return false;
	out->items[out->n++] = (struct config_setting){name, rest};
	return true;
}

int settings_take(int *argc, char **argv, struct settings *out)
{
	static char config[] = "--config";
	int n = 0;

	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "-c") == 0)
			argv[n++] = config;
		else if (strcmp(argv[i], "--set") != 0)
			argv[n++] = argv[i];
		else if (i + 1 == *argc || !add(out, argv[++i])) {
			(void)fprintf(stderr, "tama: --set wants NAME=VALUE\n");
			return CLI_USAGE;
		}
	}
	*argc = n;
	return 0;
}
