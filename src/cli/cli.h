/*
 * The command line: one function a subcommand, and the reader of options they share. A subcommand
 * gets argv from its own name on and returns the process's exit status: 0, 1 when it failed, 2 when
 * it was called wrongly.
 */
#ifndef TAMA_CLI_H
#define TAMA_CLI_H

#include <stddef.h>
#include <stdint.h>

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_dial(int argc, char **argv);
int cmd_text(int argc, char **argv);
int cmd_purchases(int argc, char **argv);
int cmd_review(int argc, char **argv);
int cmd_books(int argc, char **argv);
int cmd_reconcile(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_restore(int argc, char **argv);

#define CLI_FAILED 1
#define CLI_USAGE 2

enum cli_kind {
	CLI_TEXT, /* out is a const char **, borrowed from argv */
	CLI_NUMBER, /* out is an int64_t *, 0 or more */
	CLI_FLAG, /* out is a bool *; takes no value */
};

/* "--name VALUE" or "--name=VALUE". What is not given leaves *out alone: set defaults before. */
struct cli_option {
	const char *name; /* without the dashes; NULL ends a table */
	enum cli_kind kind;
	void *out;
	const char *help; /* with the value's word first: "URL   where ..." */
};

struct cli_line {
	const char *usage; /* "tama dial CODE" */
	const struct cli_option *options;
	const char **words; /* what is no option, in order */
	size_t words_min, words_max;
	size_t words_len; /* filled */
};

/* 0; 1 when --help was answered on stdout; CLI_USAGE with a message on stderr. */
int cli_read(struct cli_line *line, int argc, char **argv);

#endif
