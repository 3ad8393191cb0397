/*
 * The watchdog (reliability.md F-J8; reference libmicrohttpd.md trap 7: the library's time-out is
 * inactivity, so one byte every few seconds lives for ever).
 *
 * Every tick it looks at each connection. One whose state has not moved since the last look either
 * waits for a head (late once it has sent bytes and header_ms have gone by without a head), or
 * sends a body, or waits for us. Whether an idle connection has begun a head is asked of the kernel
 * (tcpi_bytes_received), so that a request costs the worker nothing but two atomic steps. What a
 * peer sends between the end of a request and the next look is not seen as a beginning; all that
 * follows is.
 */
#include "http_in_priv.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TICK_MAX_MS 1000
#define TICK_MIN_MS 10

/* States: of a connection before its first request, and of none. */
#define CONN_FRESH ((uint64_t)CONN_AWAITS)
#define CONN_NEVER_SEEN UINT64_MAX

static enum conn_phase phase_of(uint64_t state)
{
	return (enum conn_phase)(state & 3);
}

bool http_conn_enter(struct http_conn *conn, enum conn_phase phase)
{
	uint64_t old = atomic_load(&conn->state);
	do {
		if (phase_of(old) == CONN_SHUT)
			return false;
	} while (!atomic_compare_exchange_weak(
		&conn->state, &old, ((old | 3) + 1) | (uint64_t)phase));
	return true;
}

static uint64_t bytes_received(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_received;
}

/* Bytes that our worker has not fetched yet: then it is we who are late. */
static bool has_unread(int fd)
{
	int n = 0;
	return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* A state not seen before: its clock starts, for a head when its first byte has come. */
static void conn_note(struct http_conn *conn, uint64_t state, int64_t now_ms)
{
	conn->seen_state = state;
	conn->late_from_ms = 0;
	if (phase_of(state) == CONN_BODY)
		conn->late_from_ms = now_ms + conn->worker->in->config.body_ms;
	else if (phase_of(state) == CONN_AWAITS)
		conn->seen_bytes = state == CONN_FRESH ? 0 : bytes_received(conn->fd);
}

static void conn_look(struct http_conn *conn, int64_t now_ms)
{
	uint64_t state = atomic_load(&conn->state);
	if (state != conn->seen_state)
		conn_note(conn, state, now_ms);
	if (phase_of(state) == CONN_BUSY || phase_of(state) == CONN_SHUT)
		return;
	if (conn->late_from_ms == 0) {
		if (bytes_received(conn->fd) > conn->seen_bytes)
			conn->late_from_ms = now_ms + conn->worker->in->config.header_ms;
		return;
	}
	if (now_ms < conn->late_from_ms || has_unread(conn->fd))
		return;
	if (!atomic_compare_exchange_strong(&conn->state, &state, state | CONN_SHUT))
		return;
	atomic_fetch_add_explicit(&conn->worker->too_slow, 1, memory_order_relaxed);
	(void)shutdown(conn->fd, SHUT_RDWR);
}

int64_t http_in_watch_tick_ms(const struct http_in *in)
{
	const struct http_in_config *config = &in->config;
	int64_t least = config->header_ms < config->body_ms ? config->header_ms : config->body_ms;
	int64_t tick = least / 10;
	if (tick > TICK_MAX_MS)
		return TICK_MAX_MS;
	return tick < TICK_MIN_MS ? TICK_MIN_MS : tick;
}

void http_in_watch(struct http_in *in)
{
	int64_t now_ms = http_in_now_ms();
	for (unsigned i = 0; i < in->config.workers; i++) {
		struct http_worker *worker = &in->workers[i];
		tama_assert(pthread_mutex_lock(&worker->lock) == 0);
		for (struct http_conn *conn = worker->conns; conn != NULL; conn = conn->next)
			conn_look(conn, now_ms);
		tama_assert(pthread_mutex_unlock(&worker->lock) == 0);
	}
}

struct str http_in_name_peer(const struct sockaddr *address, char out[static INET6_ADDRSTRLEN])
{
	const char *text = NULL;
	if (address->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, address, sizeof(v4));
		text = inet_ntop(AF_INET, &v4.sin_addr, out, INET6_ADDRSTRLEN);
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, address, sizeof(v6));
		text = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)
			       ? inet_ntop(
					 AF_INET, &v6.sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN)
			       : inet_ntop(AF_INET6, &v6.sin6_addr, out, INET6_ADDRSTRLEN);
	}
	return str_c(text);
}

static void conn_take_address(struct http_conn *conn, const struct sockaddr *address)
{
	size_t n = sizeof(struct sockaddr);
	if (address->sa_family == AF_INET)
		n = sizeof(struct sockaddr_in);
	else if (address->sa_family == AF_INET6)
		n = sizeof(struct sockaddr_in6);
	memcpy(&conn->address, address, n);
	conn->peer = http_in_name_peer(address, conn->peer_text);
}

static struct http_conn *conn_new(struct http_worker *worker, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_conn *conn = calloc(1, sizeof(*conn));
	tama_assert(conn != NULL && info != NULL);
	conn->worker = worker;
	conn->fd = info->connect_fd;
	conn->seen_state = CONN_NEVER_SEEN;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (info != NULL && info->client_addr != NULL)
		conn_take_address(conn, info->client_addr);
	return conn;
}

void http_in_on_connection(void *cls, struct MHD_Connection *mhd, void **slot,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_worker *worker = cls;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		struct http_conn *conn = conn_new(worker, mhd);
		*slot = conn;
		tama_assert(pthread_mutex_lock(&worker->lock) == 0);
		conn->next = worker->conns;
		if (conn->next != NULL)
			conn->next->prev = conn;
		worker->conns = conn;
		tama_assert(pthread_mutex_unlock(&worker->lock) == 0);
		return;
	}
	struct http_conn *conn = *slot;
	*slot = NULL;
	/* Behind this lock the watchdog no longer knows the socket, and the library may close it.
	 */
	tama_assert(pthread_mutex_lock(&worker->lock) == 0);
	if (conn->prev != NULL)
		conn->prev->next = conn->next;
	else
		worker->conns = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	tama_assert(pthread_mutex_unlock(&worker->lock) == 0);
	http_peers_leave(worker->in->peers, (const struct sockaddr *)&conn->address);
	free(conn);
	http_in_door_closed(worker);
}
