/*
 * The door: one thread that accepts connections, deals each to the worker with the fewest, and
 * makes the watchdog's rounds in between.
 *
 * Workers that poll one shared socket do not share its connections: measured, of 16 that came at
 * once to two idle workers one took all, and it serves them for as long as they are kept alive.
 * SO_REUSEPORT shares by chance, gives the port to any process of the same user, and leaves
 * connections waiting for a worker that is full. And only who accepts alone can stop at a limit.
 */
#include "http_in_priv.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* At most so many connections before the watchdog gets its turn. */
#define ACCEPT_BATCH 64

static void door_wake(struct http_in *in)
{
	const uint64_t one = 1;
	/* It only fails when the counter is full, and then the door is awake. */
	ssize_t n = write(in->wake_fd, &one, sizeof(one));
	(void)n;
}

static uint64_t open_of_all(const struct http_in *in)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < in->config.workers; i++)
		sum += atomic_load(&in->workers[i].open);
	return sum;
}

/* First the flag, then the count: who closes a connection counts it and then reads the flag. */
static bool has_room(struct http_in *in)
{
	if (open_of_all(in) < in->config.connections)
		return true;
	atomic_store(&in->is_full, true);
	if (open_of_all(in) >= in->config.connections)
		return false;
	atomic_store(&in->is_full, false);
	return true;
}

/* Turn and turn about among those that have equally few. */
static struct http_worker *worker_pick(struct http_in *in)
{
	tama_assert(in->config.workers > 0);
	struct http_worker *best = &in->workers[in->door_next];
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < in->config.workers; i++) {
		unsigned index = (in->door_next + i) % in->config.workers;
		uint64_t open = atomic_load(&in->workers[index].open);
		if (open < least) {
			least = open;
			best = &in->workers[index];
		}
	}
	in->door_next = (best->index + 1) % in->config.workers;
	return best;
}

/* Counts the connection of this peer; false when it has too many and is no proxy. */
static bool peer_enter(struct http_in *in, const struct sockaddr *peer)
{
	const struct http_in_config *config = &in->config;
	unsigned open = http_peers_enter(in->peers, peer);
	char text[INET6_ADDRSTRLEN];
	if (config->peer_connections == 0 || open <= config->peer_connections)
		return true;
	if (config->is_proxy != NULL &&
		config->is_proxy(config->ctx, http_in_name_peer(peer, text)))
		return true;
	http_peers_leave(in->peers, peer);
	return false;
}

static void admit(struct http_in *in, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
	struct http_worker *worker;
	if (!peer_enter(in, peer)) {
		atomic_fetch_add_explicit(&in->peer_full, 1, memory_order_relaxed);
		(void)close(fd);
		return;
	}
	worker = worker_pick(in);
	atomic_fetch_add(&worker->open, 1);
	/* The library closes the socket when it does not take it. */
	if (MHD_add_connection(worker->daemon, fd, peer, peer_len) == MHD_YES) {
		atomic_fetch_add_explicit(&worker->accepted, 1, memory_order_relaxed);
		return;
	}
	http_peers_leave(in->peers, peer);
	atomic_fetch_sub(&worker->open, 1);
}

/* False when the system has no more sockets or memory: then it is no use to ask again at once. */
static bool accept_some(struct http_in *in)
{
	for (int i = 0; i < ACCEPT_BATCH && has_room(in); i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(in->listen_fd, (struct sockaddr *)&peer, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			admit(in, fd, (const struct sockaddr *)&peer, len);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			return false;
		else if (errno != EINTR && errno != ECONNABORTED)
			return true;
	}
	return true;
}

static bool may_accept(struct http_in *in)
{
	return !atomic_load(&in->is_quiesced) && has_room(in);
}

/* Waits for a connection, a wake-up or the next round; true when there is something to accept. */
static bool door_wait(struct http_in *in, bool accepts, int64_t next_ms)
{
	struct pollfd fds[2] = {{.fd = in->wake_fd, .events = POLLIN},
		{.fd = accepts ? in->listen_fd : -1, .events = POLLIN}};
	int64_t wait_ms = next_ms - http_in_now_ms();
	int n = poll(fds, 2, wait_ms > 0 ? (int)wait_ms : 0);
	if (n <= 0)
		return false;
	if (fds[0].revents != 0) {
		uint64_t count = 0;
		ssize_t got = read(in->wake_fd, &count, sizeof(count));
		(void)got; /* Non-blocking; what counts is that we are awake. */
	}
	return fds[1].revents != 0;
}

static void *door_main(void *cls)
{
	struct http_in *in = cls;
	int64_t tick_ms = http_in_watch_tick_ms(in);
	int64_t next_ms = http_in_now_ms() + tick_ms;
	bool rests = false;
	while (!atomic_load(&in->door_ends)) {
		bool is_ready = door_wait(in, !rests && may_accept(in), next_ms);
		if (is_ready && !atomic_load(&in->is_quiesced))
			rests = !accept_some(in);
		if (http_in_now_ms() < next_ms)
			continue;
		http_in_watch(in);
		next_ms = http_in_now_ms() + tick_ms;
		rests = false;
	}
	return NULL;
}

int http_in_door_start(struct http_in *in, struct err *err)
{
	in->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (in->wake_fd < 0)
		return err_set(err, TAMA_EIO, "cannot make an eventfd: %s", strerror(errno));
	int rc = pthread_create(&in->door, NULL, door_main, in);
	if (rc != 0)
		return err_set(err, TAMA_EIO, "cannot start a thread: %s", strerror(rc));
	in->door_runs = true;
	return 0;
}

void http_in_door_shut(struct http_in *in)
{
	/* A peer is refused at once and does not wait in a queue that nobody serves. */
	if (in->listen_fd >= 0)
		(void)shutdown(in->listen_fd, SHUT_RDWR);
	if (in->door_runs)
		door_wake(in);
}

void http_in_door_closed(struct http_worker *worker)
{
	atomic_fetch_sub(&worker->open, 1);
	if (atomic_load(&worker->in->is_full) && atomic_exchange(&worker->in->is_full, false))
		door_wake(worker->in);
}

void http_in_door_stop(struct http_in *in)
{
	if (in->door_runs) {
		atomic_store(&in->door_ends, true);
		door_wake(in);
		tama_assert(pthread_join(in->door, NULL) == 0);
		in->door_runs = false;
	}
}
