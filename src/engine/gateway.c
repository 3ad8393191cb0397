/* Start and stop of everything, in the order that makes both safe. */
#include "gateway_priv.h"

#include "hop.h"
#include "tama/backup.h"
#include "tama/crash.h"
#include "tama/http_out.h"
#include "tama/limits.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SWEEP_MS 1000

const struct config *gateway_config(struct gateway *g)
{
	const struct config *config;

	(void)pthread_mutex_lock(&g->lock);
	config = config_ref(g->config);
	(void)pthread_mutex_unlock(&g->lock);
	return config;
}

static void wire_alarm(void *ctx, const char *what, struct str ref, const char *detail)
{
	struct gateway *g = ctx;

	log_event(g->log, "alarm", what, ref, str_c(detail));
}

static void post_to_engine(void *ctx, struct engine_event *event)
{
	struct gateway *g = ctx;

	engine_thread_post_always(g->engine, event);
}

static int64_t longest_life(const struct config *config)
{
	int64_t longest = 0;

	for (size_t i = 0; i < config->channels_len; i++) {
		const struct channel *c = &config->channels[i];
		int64_t life = (int64_t)c->timeout_ms + c->resume_ms;

		if (life > longest)
			longest = life;
	}
	return longest;
}

static int open_stores(struct gateway *g, struct err *err)
{
	struct store_config store = {.dir = g->config->data_dir, .mark = g->config->mark};
	struct session_config sessions = {.dir = g->config->data_dir,
		.max = LIMIT_SESSIONS,
		.keep_ms = longest_life(g->config)};
	int rc = vault_new(g->config->master_key, &g->vault, err);

	store.vault = sessions.vault = g->vault;
	if (rc == 0)
		rc = store_sqlite_open(&store, &g->store, err);
	if (rc == 0)
		rc = admin_start_standby(g, err);
	if (rc == 0)
		rc = secrets_new(&g->secrets);
	if (rc == 0)
		rc = session_table_new(&sessions, &g->sessions, err);
	if (rc == 0)
		rc = reader_start(&store, &g->reader, err);
	return rc;
}

static int start_threads(struct gateway *g, struct err *err)
{
	struct wire_config wire = {.config = g->config,
		.vault = g->vault,
		.secrets = g->secrets,
		.post = post_to_engine,
		.ctx = g,
		.alarm = wire_alarm};
	int rc = wire_start(&wire, &g->wire, err);

	return rc == 0 ? engine_thread_start(g, &g->engine, err) : rc;
}

static int make_workers(struct gateway *g, struct err *err)
{
	unsigned n = g->config->workers > 0 ? g->config->workers
					    : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	g->workers_len = n < LIMIT_HTTP_WORKERS ? n : LIMIT_HTTP_WORKERS;
	g->workers = calloc(g->workers_len, sizeof(*g->workers));
	g->workers_generation = calloc(g->workers_len, sizeof(*g->workers_generation));
	if (g->workers == NULL || g->workers_generation == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	/* Made here so that a menu that does not load stops the start, not the first hop. */
	for (unsigned i = 0; i < g->workers_len; i++) {
		int rc = worker_make(&g->workers[i], g->config, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

/* On the demo's machine everybody is this machine. */
static bool peer_is_proxy(void *ctx, struct str address)
{
	const struct config *config = gateway_config(ctx);
	bool is_proxy = peer_is_one_of(config->proxies, config->proxies_len, address);

	if (config->allow_loopback &&
		(str_has_prefix(address, STR("127.")) || str_eq(address, STR("::1"))))
		is_proxy = true;
	config_unref(&config);
	return is_proxy;
}

static int listen_both(struct gateway *g, struct err *err)
{
	struct http_in_config in = {
		.address = g->config->listen_address,
		.port = g->config->listen_port,
		.workers = g->workers_len,
		.connections = g->config->connections,
		.peer_connections = LIMIT_HTTP_PEER_CONNECTIONS,
		.is_proxy = peer_is_proxy,
		.handler = public_handle,
		.done = public_done,
		.ctx = g,
	};
	struct http_in_config admin = {
		.address = g->config->admin_address,
		.port = g->config->admin_port,
		.workers = 1,
		.connections = 64,
		.handler = admin_handle,
		.ctx = g,
	};
	int rc = http_in_start(&g->public_in, &in, err);

	/* The private one last, and ended first: it looks at all the others. */
	return rc == 0 ? http_in_start(&g->admin_in, &admin, err) : rc;
}

int worker_make(struct worker *w, const struct config *config, struct err *err)
{
	int rc = menu_host_new(config, &w->menus, err);

	if (rc == 0)
		rc = dialect_host_new(1u << DIALECT_USSD | 1u << DIALECT_SMS, &w->dialects, err);
	if (rc == 0)
		w->config = config_ref(config);
	return rc;
}

void worker_free(struct worker *w)
{
	menu_host_free(&w->menus);
	dialect_host_free(&w->dialects);
	config_unref(&w->config);
}

/* A disk that cannot be asked is left to the commits, which say what they get. */
static void look_at_disk(struct gateway *g)
{
	const struct config *config = gateway_config(g);
	char path[PATH_MAX];
	struct statvfs fs;
	bool is_low;

	(void)snprintf(path, sizeof(path), "%.*s", STR_ARG(config->data_dir));
	if (statvfs(path, &fs) == 0) {
		uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;

		atomic_store(&g->disk_free, free_bytes);
		is_low = free_bytes < config->disk_reserve;
		if (atomic_exchange(&g->is_disk_low, is_low) != is_low)
			log_event(g->log, is_low ? "alarm" : "info", "disk_low", STR(""),
				is_low ? STR("less than the reserve is free: nothing is sold")
				       : STR("there is room again"));
	}
	config_unref(&config);
}

bool gateway_has_room(struct gateway *g)
{
	return !atomic_load(&g->is_disk_low);
}

int gateway_start(
	const struct config *config, struct log *log, struct gateway **out, struct err *err)
{
	struct gateway *g = calloc(1, sizeof(*g));
	int rc;

	if (g == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	(void)pthread_mutex_init(&g->lock, NULL);
	g->config = config_ref(config);
	g->log = log;
	rc = open_stores(g, err);
	if (rc == 0) {
		look_at_disk(g);
		rc = start_threads(g, err);
	}
	if (rc == 0)
		rc = make_workers(g, err);
	if (rc == 0)
		rc = admin_start(g, err);
	if (rc == 0)
		rc = listen_both(g, err);
	if (rc != 0) {
		gateway_stop(&g, 0);
		return rc;
	}
	*out = g;
	return 0;
}

void gateway_tick(struct gateway *g)
{
	int64_t now_ms = clock_wall_ms(), boot_ms = clock_boot_ms();

	hops_tick(g, boot_ms);
	if (boot_ms - g->swept_ms < SWEEP_MS)
		return;
	g->swept_ms = boot_ms;
	look_at_disk(g);
	session_sweep(g->sessions, now_ms);
	secrets_sweep(g->secrets, now_ms);
}

int gateway_reload(struct gateway *g, const struct config *config, struct err *err)
{
	const struct config *old;
	struct worker trial = {0};
	int rc = worker_make(&trial, config, err);

	/* What a worker cannot make of it is not to be found out by the first hop. */
	worker_free(&trial);
	if (rc != 0)
		return rc;
	(void)pthread_mutex_lock(&g->lock);
	old = g->config;
	g->config = config_ref(config);
	(void)pthread_mutex_unlock(&g->lock);
	CRASH_POINT("K28");
	atomic_fetch_add(&g->generation, 1);
	engine_thread_set_config(g->engine, config);
	wire_set_config(g->wire, config);
	session_set_keep(g->sessions, longest_life(config));
	config_unref(&old);
	return 0;
}

bool gateway_is_dead(const struct gateway *g)
{
	return engine_thread_is_dead(g->engine);
}

static bool is_idle(struct gateway *g)
{
	struct http_in_stats in;

	http_in_stats(g->public_in, &in);
	return in.suspended == 0 && engine_thread_is_idle(g->engine) && wire_busy(g->wire) == 0;
}

/*
 * Hops first, then what they set going; deadlines keep being watched meanwhile. However long it
 * takes, no hop may be left that waits for a thread which is about to end.
 */
static void drain(struct gateway *g, int64_t wait_ms)
{
	int64_t end_ms = clock_boot_ms() + wait_ms;

	(void)pthread_mutex_lock(&g->lock);
	atomic_store(&g->is_draining, true);
	(void)pthread_mutex_unlock(&g->lock);
	http_in_quiesce(g->public_in);
	CRASH_POINT("K30");
	while (hops_wait(g) || (clock_boot_ms() < end_ms && !is_idle(g))) {
		const struct timespec pause = {0, 5 * 1000 * 1000};

		gateway_tick(g);
		(void)nanosleep(&pause, NULL);
	}
}

void gateway_stop(struct gateway **gateway, int64_t wait_ms)
{
	struct gateway *g = *gateway;

	if (g == NULL)
		return;
	if (g->public_in != NULL)
		drain(g, wait_ms);
	http_in_stop(&g->admin_in);
	admin_stop(g);
	/* The wire posts what was under way, the engine commits it and answers every turn. */
	wire_halt(g->wire);
	reader_halt(g->reader);
	engine_thread_halt(g->engine);
	/* A hop that was in a worker's hands may still look at what these threads left. */
	http_in_stop(&g->public_in);
	reader_free(&g->reader);
	engine_thread_free(&g->engine);
	wire_stop(&g->wire);
	for (unsigned i = 0; i < g->workers_len; i++)
		worker_free(&g->workers[i]);
	free(g->workers);
	free(g->workers_generation);
	session_table_free(&g->sessions);
	secrets_free(&g->secrets);
	/* Nothing commits any more: what waits is written to the other disk. */
	standby_stop(&g->standby);
	if (g->store != NULL)
		g->store->ops->close(g->store);
	vault_free(&g->vault);
	config_unref(&g->config);
	(void)pthread_mutex_destroy(&g->lock);
	free(g);
	*gateway = NULL;
}

uint16_t gateway_port(const struct gateway *g)
{
	return http_in_port(g->public_in);
}

uint16_t gateway_admin_port(const struct gateway *g)
{
	return http_in_port(g->admin_in);
}
