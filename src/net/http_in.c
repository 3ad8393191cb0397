/*
 * The life of a listener: its socket, its workers (each a libmicrohttpd daemon with one polling
 * thread and no socket of its own), its counters and its end. The socket is ours so that its
 * address can be bound again at once (reference libmicrohttpd.md trap 4).
 */
#include "http_in_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

int64_t http_in_now_ms(void)
{
	struct timespec now;
	tama_assert(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void http_in_signal(struct http_in *in)
{
	tama_assert(pthread_mutex_lock(&in->lock) == 0);
	tama_assert(pthread_cond_broadcast(&in->changed) == 0);
	tama_assert(pthread_mutex_unlock(&in->lock) == 0);
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Its length, or 0 when the text is no numeric address. */
static socklen_t address_read(union address *out, struct str text, uint16_t port)
{
	char c[INET6_ADDRSTRLEN + 1] = "";
	if (text.n >= sizeof(c))
		return 0;
	memcpy(c, text.p, text.n);
	*out = (union address){0};
	if (inet_pton(AF_INET, c, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(port);
		return sizeof(out->v4);
	}
	if (inet_pton(AF_INET6, c, &out->v6.sin6_addr) != 1)
		return 0;
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(port);
	return sizeof(out->v6);
}

static int socket_bind(int fd, const union address *address, socklen_t len)
{
	const int on = 1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return -1;
	if (bind(fd, &address->any, len) != 0)
		return -1;
	return listen(fd, SOMAXCONN);
}

static int listen_open(struct http_in *in, struct err *err)
{
	const struct http_in_config *config = &in->config;
	union address address;
	socklen_t len = address_read(&address, config->address, config->port);
	if (len == 0)
		return err_set(err, TAMA_EIO, "cannot listen on %.*s: not a numeric address",
			STR_ARG(config->address));
	in->listen_fd = socket(
		address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (in->listen_fd < 0 || socket_bind(in->listen_fd, &address, len) != 0 ||
		getsockname(in->listen_fd, &address.any, &len) != 0)
		return err_set(err, TAMA_EIO, "cannot listen on %.*s port %u: %s",
			STR_ARG(config->address), (unsigned)config->port, strerror(errno));
	/* The port lies at the same place for both families. */
	in->port = ntohs(address.v4.sin_port);
	return 0;
}

/* Text stays raw: partners' codes are percent-encoded in many ways, and forms decode their own. */
static size_t leave_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
	return strlen(text);
}

static int worker_start(struct http_worker *worker, struct err *err)
{
	const struct MHD_OptionItem options[] = {
		/* How many connections there may be is the door's to say. */
		{MHD_OPTION_CONNECTION_LIMIT, INT_MAX, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, LIMIT_HTTP_IDLE_S, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES, NULL},
		{MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)http_in_on_target, worker},
		{MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_escaped, NULL},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_in_on_completed, worker},
		{MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)http_in_on_connection, worker},
		{MHD_OPTION_END, 0, NULL},
	};
	/* Poll, never epoll (trap 1); ITC, so that a resume wakes the worker (trap 2). */
	const unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
			       MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
	worker->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_in_on_request, worker,
		MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (worker->daemon == NULL)
		return err_set(err, TAMA_EIO, "cannot start a worker: %s", strerror(errno));
	return 0;
}

static int start_all(struct http_in *in, struct err *err)
{
	int rc = listen_open(in, err);
	for (unsigned i = 0; rc == 0 && i < in->config.workers; i++)
		rc = worker_start(&in->workers[i], err);
	return rc == 0 ? http_in_door_start(in, err) : rc;
}

static void sync_init(struct http_in *in)
{
	pthread_condattr_t monotonic;
	tama_assert(pthread_condattr_init(&monotonic) == 0);
	tama_assert(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	tama_assert(pthread_cond_init(&in->changed, &monotonic) == 0);
	tama_assert(pthread_condattr_destroy(&monotonic) == 0);
	tama_assert(pthread_mutex_init(&in->lock, NULL) == 0);
}

static struct http_in *http_in_new(const struct http_in_config *config)
{
	struct http_in *in = calloc(1, sizeof(*in) + config->workers * sizeof(in->workers[0]));
	tama_assert(in != NULL);
	in->config = *config;
	in->config.header_ms = config->header_ms > 0 ? config->header_ms : LIMIT_HTTP_HEADER_MS;
	in->config.body_ms = config->body_ms > 0 ? config->body_ms : LIMIT_HTTP_BODY_MS;
	in->listen_fd = -1;
	in->wake_fd = -1;
	in->peers = http_peers_new();
	sync_init(in);
	for (unsigned i = 0; i < config->workers; i++) {
		in->workers[i].in = in;
		in->workers[i].index = i;
		tama_assert(pthread_mutex_init(&in->workers[i].lock, NULL) == 0);
	}
	return in;
}

static uint64_t owed_by_all(const struct http_in *in)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < in->config.workers; i++)
		sum += atomic_load(&in->workers[i].owed);
	return sum;
}

static uint64_t busy_of_all(const struct http_in *in)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < in->config.workers; i++)
		sum += atomic_load(&in->workers[i].busy);
	return sum;
}

/* Until nobody owes an answer, however long; then for the answers to leave, but not for ever. */
static void wait_for_turns(struct http_in *in)
{
	atomic_store(&in->is_stopping, true);
	tama_assert(pthread_mutex_lock(&in->lock) == 0);
	while (owed_by_all(in) > 0)
		tama_assert(pthread_cond_wait(&in->changed, &in->lock) == 0);
	int64_t end_ms = http_in_now_ms() + LIMIT_HTTP_LEAVE_MS;
	struct timespec until = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
	while (busy_of_all(in) > 0) {
		if (pthread_cond_timedwait(&in->changed, &in->lock, &until) == ETIMEDOUT)
			break;
	}
	tama_assert(pthread_mutex_unlock(&in->lock) == 0);
}

static void worker_stop(struct http_worker *worker)
{
	if (worker->daemon != NULL)
		MHD_stop_daemon(worker->daemon);
	http_in_worker_free_turns(worker);
	tama_assert(pthread_mutex_destroy(&worker->lock) == 0);
}

int http_in_start(struct http_in **out, const struct http_in_config *config, struct err *err)
{
	tama_assert(config->workers >= 1 && config->workers <= LIMIT_HTTP_WORKERS);
	tama_assert(config->handler != NULL && config->connections > 0);
	struct http_in *in = http_in_new(config);
	int rc = start_all(in, err);
	if (rc != 0)
		http_in_stop(&in);
	else
		*out = in;
	return rc;
}

uint16_t http_in_port(const struct http_in *in)
{
	return in->port;
}

void http_in_stats(const struct http_in *in, struct http_in_stats *out)
{
	*out = (struct http_in_stats){.peer_full = atomic_load(&in->peer_full)};
	for (unsigned i = 0; i < in->config.workers; i++) {
		const struct http_worker *worker = &in->workers[i];
		out->connections += atomic_load(&worker->accepted);
		out->open += atomic_load(&worker->open);
		out->requests += atomic_load(&worker->requests);
		out->refused += atomic_load(&worker->refused);
		out->too_slow += atomic_load(&worker->too_slow);
		out->suspended += atomic_load(&worker->suspended);
	}
}

void http_in_quiesce(struct http_in *in)
{
	atomic_store(&in->is_quiesced, true);
	http_in_door_shut(in);
}

void http_in_stop(struct http_in **handle)
{
	struct http_in *in = *handle;
	if (in == NULL)
		return;
	http_in_quiesce(in);
	wait_for_turns(in);
	http_in_door_stop(in);
	for (unsigned i = 0; i < in->config.workers; i++)
		worker_stop(&in->workers[i]);
	if (in->listen_fd >= 0)
		(void)close(in->listen_fd);
	if (in->wake_fd >= 0)
		(void)close(in->wake_fd);
	http_peers_free(in->peers);
	tama_assert(pthread_cond_destroy(&in->changed) == 0);
	tama_assert(pthread_mutex_destroy(&in->lock) == 0);
	free(in);
	*handle = NULL;
}
