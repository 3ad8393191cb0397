/* tama serve: the gateway, until SIGTERM. */
#include "cli.h"
#include "settings.h"

#include "tama/dialect.h"
#include "tama/gateway.h"
#include "tama/http_out.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DRAIN_MS 60000
/* For a supervisor: start me again (sysexits.h EX_TEMPFAIL). */
#define EXIT_IN_DOUBT 75

struct serve_options {
	const char *config;
	struct settings settings;
};

static void print_problem(void *ctx, const char *line)
{
	(void)fprintf(stderr, "%s\n", line);
	(void)ctx;
}

static int load(const struct serve_options *options, const struct config **out)
{
	struct config_options how = {.settings = options->settings.items,
		.settings_len = options->settings.n,
		.problem = print_problem};
	struct err err = ERR_INIT;
	int rc = config_load(options->config, &how, out, &err);

	/* Problems with a line have been printed; what kept the file from being read has not. */
	if (rc != 0 && rc != TAMA_EINVAL)
		(void)fprintf(stderr, "tama: %s\n", err.text);
	return rc;
}

static void reload(struct gateway *gateway, struct log *log, const struct serve_options *options)
{
	const struct config *config = NULL;
	struct err err = ERR_INIT;
	int rc = load(options, &config);

	if (rc == 0 && (rc = gateway_reload(gateway, config, &err)) != 0)
		(void)fprintf(stderr, "%s\n", err.text);
	config_unref(&config);
	if (rc == 0)
		log_event(log, "info", "reload", STR(""), STR("in force"));
	else
		log_event(log, "alarm", "reload", STR(""), STR("refused: nothing has changed"));
}

/* Signals come here and nowhere else: every thread has them blocked. */
static bool wait_signal(const sigset_t *set, int *signal_out)
{
	const struct timespec tick = {0, 50 * 1000 * 1000};

	*signal_out = sigtimedwait(set, NULL, &tick);
	return *signal_out > 0;
}

static int run(struct gateway *gateway, struct log *log, const struct serve_options *options,
	const sigset_t *set)
{
	for (;;) {
		int signal;

		if (wait_signal(set, &signal)) {
			if (signal != SIGHUP)
				return 0;
			reload(gateway, log, options);
		}
		gateway_tick(gateway);
		if (gateway_is_dead(gateway)) {
			log_event(log, "alarm", "in_doubt", STR(""),
				STR("a commit is in doubt: stopping to look again"));
			return EXIT_IN_DOUBT;
		}
	}
}

static int serve(const struct serve_options *options, struct log *log, const struct config *config)
{
	struct gateway *gateway = NULL;
	struct err err = ERR_INIT;
	sigset_t set;
	int status;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (gateway_start(config, log, &gateway, &err) != 0) {
		(void)fprintf(stderr, "tama: %s\n", err.text);
		return 1;
	}
	(void)printf("tama listening on %.*s:%u, metrics on %.*s:%u\n",
		STR_ARG(config->listen_address), gateway_port(gateway),
		STR_ARG(config->admin_address), gateway_admin_port(gateway));
	(void)fflush(stdout);
	if (config->is_demo_abroad)
		log_event(log, "alarm", "demo_switches", STR(""),
			STR("allow_loopback and allow_http are for demo and tests, and whom we "
			    "call "
			    "is elsewhere: list what is in private space, and use TLS"));
	status = run(gateway, log, options, &set);
	/* In doubt nothing more may be decided: the next start looks. */
	if (status == EXIT_IN_DOUBT)
		_exit(EXIT_IN_DOUBT);
	gateway_stop(&gateway, DRAIN_MS);
	return status;
}

/* A core file would hold OTPs and keys (promise 7): none is written, and nobody else may look in.
 */
static void keep_memory_private(void)
{
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	dialect_wipe_freed();
}

int cmd_serve(int argc, char **argv)
{
	struct serve_options options = {0};
	const struct cli_option table[] = {
		{"config", CLI_TEXT, &options.config, "FILE  the configuration"},
		{"set", CLI_TEXT, NULL, "NAME=VALUE  what setting(NAME) in it answers; repeatable"},
		{NULL, CLI_TEXT, NULL, NULL},
	};
	struct cli_line line = {.usage = "tama serve -c FILE", .options = table};
	const struct config *config = NULL;
	struct log *log = NULL;
	int status = settings_take(&argc, argv, &options.settings);

	if (status == 0)
		status = cli_read(&line, argc, argv);
	if (status == 0 && options.config == NULL) {
		(void)fputs("tama: serve wants -c FILE; see tama serve --help\n", stderr);
		status = CLI_USAGE;
	}
	if (status != 0)
		return status == 1 ? 0 : CLI_USAGE;
	status = CLI_FAILED;
	keep_memory_private();
	if (http_out_global_init(NULL) != 0 || log_new(STDERR_FILENO, &log) != 0)
		return 1;
	if (load(&options, &config) == 0)
		status = serve(&options, log, config);
	config_unref(&config);
	log_free(&log);
	http_out_global_fini();
	return status;
}
