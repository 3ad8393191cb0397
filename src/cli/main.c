/* tama: finds the subcommand. */
#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command COMMANDS[] = {
	{"serve", cmd_serve, "run the gateway"},
	{"check", cmd_check, "check a configuration with its menus, texts and dialects"},
	{"sandbox", cmd_sandbox, "stand in for providers and SMS gateways, with faults on request"},
	{"dial", cmd_dial, "dial a USSD code from a phone in the terminal"},
	{"text", cmd_text, "send an SMS to the gateway as a phone would"},
	{"purchases", cmd_purchases, "list and find purchases; show one with its whole history"},
	{"review", cmd_review, "cases that wait for persons, with both proofs; decide them"},
	{"books", cmd_books, "balances, floats with their forecast, the last reconciliations"},
	{"reconcile", cmd_reconcile, "compare an account's day with its provider; what was found"},
	{"verify", cmd_verify, "check every invariant of a live store or a copy"},
	{"backup", cmd_backup, "copy the store while it runs; how far the standby is behind"},
	{"restore", cmd_restore, "make a data directory of a backup or a standby, held"},
};

static int usage(FILE *to, int status)
{
	(void)fputs("usage: tama COMMAND [options]\n", to);
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
		(void)fprintf(to, "  %-9s %s\n", COMMANDS[i].name, COMMANDS[i].help);
	(void)fputs("`tama COMMAND --help` lists a command's options.\n", to);
	return status;
}

/*
 * A process may be started without its first three descriptors. The next file it opens, a database,
 * would then become one of them, and a stray message on stderr would be written into it
 * (reliability.md F-C12).
 */
static void standard_fds_open(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	standard_fds_open();
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return 1;
	if (argc < 2)
		return usage(stderr, CLI_USAGE);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout, 0);
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
		if (strcmp(argv[1], COMMANDS[i].name) == 0)
			return COMMANDS[i].run(argc - 1, argv + 1);
	}
	(void)fprintf(stderr, "tama: no such command: %s\n", argv[1]);
	return usage(stderr, CLI_USAGE);
}
