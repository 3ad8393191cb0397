/* "--set NAME=VALUE" of serve and check, and "-c FILE" as the short form of --config. */
#ifndef TAMA_SETTINGS_H
#define TAMA_SETTINGS_H

#include "tama/config.h"

#define SETTINGS_MAX 32

struct settings {
	struct config_setting items[SETTINGS_MAX]; /* borrowed from argv */
	size_t n;
};

/*
 * Takes every --set out of argv and writes -c as --config, so that cli_read sees the rest. 0, or
 * CLI_USAGE with a message on stderr.
 */
int settings_take(int *argc, char **argv, struct settings *out);

#endif
