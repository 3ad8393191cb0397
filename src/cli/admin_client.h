/*
 * The commands' side of admin.h. A command asks and prints rows; whether the running server answers
 * or this process does, under the store's lock, it need not know.
 */
#ifndef TAMA_ADMIN_CLIENT_H
#define TAMA_ADMIN_CLIENT_H

#include "cli.h"
#include "settings.h"

#include "tama/admin.h"

#include <jansson.h>
#include <stdbool.h>

/* Where the store is; from the command line. */
struct admin_target {
	const char *config, *data, *socket;
	struct settings settings;
	bool is_json; /* rows as they came, a line each */
};

/* The options of every such command, for its table. */
#define ADMIN_OPTIONS(target)                                                                      \
	{"config", CLI_TEXT, &(target)->config, "FILE  the configuration"},                        \
		{"set", CLI_TEXT, NULL,                                                            \
			"NAME=VALUE  what setting(NAME) in it answers; repeatable"},               \
		{"data", CLI_TEXT, &(target)->data,                                                \
			"DIR  the data directory of a running server"},                            \
		{"socket", CLI_TEXT, &(target)->socket,                                            \
			"FILE  its socket, where DIR is closed to you"},                           \
	{                                                                                          \
		"json", CLI_FLAG, &(target)->is_json, "rows as JSON, one a line"                   \
	}

typedef void (*admin_row_fn)(void *ctx, const json_t *row);

/*
 * Takes the request over, and calls row for each row of the answer; with is_json prints them
 * instead. The process's exit status: 0, or CLI_FAILED with a message on stderr.
 */
int admin_ask(const struct admin_target *target, json_t *request, admin_row_fn row, void *ctx);

/* The data directory, of --data or the configuration; false with a message on stderr. */
bool admin_data_dir(const struct admin_target *target, char *out, size_t size);

/*
 * Reads the command line: -c and --set, then the options and words of line. 0, or what the command
 * is to return at once less one: 1 for --help, CLI_USAGE + 1.
 */
int admin_line(struct cli_line *line, struct admin_target *target, int argc, char **argv);

/* ---- how rows are printed ---- */

/* A row of a purchase's history; in purchases.c. */
void admin_print_history(void *ctx, const json_t *row);

const char *row_text(const json_t *row, const char *name); /* "" when absent */
int64_t row_number(const json_t *row, const char *name);
/* "2026-11-22 13:46:05.123", UTC. */
#define TIME_TEXT 32
const char *time_text(int64_t ms, char out[static TIME_TEXT]);
/* Minor units with their decimals: "1 000 XOF". */
#define AMOUNT_TEXT 48
const char *amount_text(int64_t amount, const char *currency, char out[static AMOUNT_TEXT]);

#endif
