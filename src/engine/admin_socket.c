/*
 * The Unix socket: one thread that accepts, and one for each request under way, few of them.
 * Whoever may connect is the file's mode and group; who it is, the kernel says (SO_PEERCRED).
 */
#include "admin_priv.h"
#include "admin_socket.h"

#include "tama/limits.h"
#include "tama/wire.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_MS 10000
#define WRITE_S 10
#define BACKLOG 16

struct admin_session {
	struct admin_socket *owner;
	pthread_t thread;
	int fd; /* -1: free */
	struct admin_user user;
	bool has_thread;
	atomic_bool is_done; /* the thread has nothing more to do and may be joined */
};

struct admin_socket {
	struct admin_socket_config config;
	char path[ADMIN_PATH_MAX];
	int listen_fd, wake_fd;
	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
	struct admin_session sessions[LIMIT_ADMIN_SESSIONS];
	_Atomic uint64_t requests, refused;
};

/* ---- one request -------------------------------------------------------------------------------
 */

static bool wait_readable(int fd, int64_t end_ms)
{
	struct pollfd waits = {.fd = fd, .events = POLLIN};
	int64_t left_ms = end_ms - clock_boot_ms();

	return left_ms > 0 && poll(&waits, 1, (int)left_ms) == 1;
}

/* One line, within its time and size. */
static bool read_request(int fd, struct buf *in)
{
	int64_t end_ms = clock_boot_ms() + READ_MS;
	char block[4096];

	while (!in->overflowed && wait_readable(fd, end_ms)) {
		ssize_t n = recv(fd, block, sizeof(block), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf_add(in, block, (size_t)n);
		if (memchr(block, '\n', (size_t)n) != NULL)
			return !in->overflowed;
	}
	return false;
}

static void write_answer(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text = str_from(text, (size_t)n);
	}
}

static bool is_ending(void *ctx)
{
	return atomic_load(&((struct admin_socket *)ctx)->stop);
}

static int decide(void *ctx, struct engine_event *event, struct err *err)
{
	struct admin_socket *s = ctx;

	return s->config.decide(s->config.ctx, event, err);
}

static bool standby(void *ctx, struct standby_stats *out)
{
	struct admin_socket *s = ctx;

	return s->config.standby != NULL && s->config.standby(s->config.ctx, out);
}

static size_t floats(void *ctx, struct engine_float *out, size_t max)
{
	struct admin_socket *s = ctx;

	return s->config.floats(s->config.ctx, out, max);
}

static void answer(struct admin_session *session, struct str request, struct buf *out)
{
	struct admin_socket *s = session->owner;
	const struct config *config = s->config.take_config(s->config.ctx);
	const struct admin_world world = {.store = &s->config.store,
		.config = config,
		.log = s->config.log,
		.decide = s->config.decide != NULL ? decide : NULL,
		.is_live = true,
		.standby = standby,
		.floats = s->config.floats != NULL ? floats : NULL,
		.is_ending = is_ending,
		.ctx = s};

	admin_answer(&world, &session->user, request, out);
	config_unref(&config);
}

static void *session_main(void *arg)
{
	struct admin_session *session = arg;
	struct buf in, out;

	buf_init(&in, ADMIN_REQUEST_BYTES);
	buf_init(&out, ADMIN_ANSWER_BYTES);
	if (read_request(session->fd, &in)) {
		session->owner->requests++;
		answer(session, buf_str(&in), &out);
		write_answer(session->fd, buf_str(&out));
	} else
		session->owner->refused++;
	/* The descriptor is closed by whoever joins: it may still be shut down from there. */
	(void)shutdown(session->fd, SHUT_RDWR);
	buf_fini(&in);
	buf_fini(&out);
	atomic_store(&session->is_done, true);
	(void)eventfd_write(session->owner->wake_fd, 1);
	return NULL;
}

/* ---- the listener ------------------------------------------------------------------------------
 */

static void reap(struct admin_socket *s, bool all)
{
	for (size_t i = 0; i < LIMIT_ADMIN_SESSIONS; i++) {
		struct admin_session *session = &s->sessions[i];

		if (!session->has_thread || (!all && !atomic_load(&session->is_done)))
			continue;
		if (all)
			(void)shutdown(session->fd, SHUT_RDWR);
		(void)pthread_join(session->thread, NULL);
		(void)close(session->fd);
		session->fd = -1;
		session->has_thread = false;
	}
}

static struct admin_session *free_session(struct admin_socket *s)
{
	for (size_t i = 0; i < LIMIT_ADMIN_SESSIONS; i++)
		if (!s->sessions[i].has_thread)
			return &s->sessions[i];
	return NULL;
}

static void refuse(struct admin_socket *s, int fd, const char *why)
{
	struct buf line;

	buf_init(&line, 256);
	buf_printf(&line, "{\"error\":\"%s\",\"code\":%d}\n", why, TAMA_EFULL);
	write_answer(fd, buf_str(&line));
	buf_fini(&line);
	(void)close(fd);
	s->refused++;
}

static void admit(struct admin_socket *s, int fd)
{
	struct admin_session *session = free_session(s);
	const struct timeval patience = {.tv_sec = WRITE_S};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (session == NULL) {
		refuse(s, fd, "too many requests at once: try again");
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
		refuse(s, fd, "nobody can say who asks");
		return;
	}
	admin_user_of(peer.uid, &session->user);
	session->owner = s;
	session->fd = fd;
	atomic_store(&session->is_done, false);
	if (pthread_create(&session->thread, NULL, session_main, session) == 0)
		session->has_thread = true;
	else
		refuse(s, fd, "no thread can be started");
}

static void *listener_main(void *arg)
{
	struct admin_socket *s = arg;

	while (!atomic_load(&s->stop)) {
		struct pollfd waits[] = {{.fd = s->listen_fd, .events = POLLIN},
			{.fd = s->wake_fd, .events = POLLIN}};
		eventfd_t woken;

		if (poll(waits, 2, -1) < 0 && errno != EINTR)
			break;
		if ((waits[1].revents & POLLIN) != 0)
			(void)eventfd_read(s->wake_fd, &woken);
		reap(s, false);
		if ((waits[0].revents & POLLIN) != 0) {
			int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				admit(s, fd);
		}
	}
	return NULL;
}

/* ---- start and stop ----------------------------------------------------------------------------
 */

/* We hold the store's lock, so a socket that is there belongs to nobody. */
static int remove_stale(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0
				       : err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, TAMA_EINVAL, "%s is there and no socket", path);
	return unlink(path) == 0 ? 0 : err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
}

static int listen_at(struct admin_socket *s, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int rc = remove_stale(s->path, err);

	if (rc != 0)
		return rc;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->path);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of a socket before it has a name is what its file begins with: never wider. */
	if (s->listen_fd < 0 || fchmod(s->listen_fd, 0600) != 0 ||
		bind(s->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		chmod(s->path, 0660) != 0 || listen(s->listen_fd, BACKLOG) != 0)
		return err_set(err, TAMA_EIO, "%s: %s", s->path, strerror(errno));
	return 0;
}

int admin_socket_start(
	const struct admin_socket_config *config, struct admin_socket **out, struct err *err)
{
	struct admin_socket *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(err, TAMA_ENOMEM, "out of memory");
	*out = s;
	s->config = *config;
	s->listen_fd = -1;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return err_set(err, TAMA_EIO, "eventfd: %s", strerror(errno));
	rc = admin_socket_path(config->store.dir, config->path, s->path, err);
	if (rc == 0)
		rc = listen_at(s, err);
	if (rc == 0 && pthread_create(&s->thread, NULL, listener_main, s) != 0)
		rc = err_set(err, TAMA_EIO, "cannot start the admin thread");
	s->has_thread = rc == 0;
	if (rc == 0)
		(void)pthread_setname_np(s->thread, "tama-admin");
	return rc;
}

void admin_socket_stop(struct admin_socket **socket)
{
	struct admin_socket *s = *socket;

	if (s == NULL)
		return;
	atomic_store(&s->stop, true);
	if (s->has_thread) {
		(void)eventfd_write(s->wake_fd, 1);
		(void)pthread_join(s->thread, NULL);
		reap(s, true);
	}
	if (s->listen_fd >= 0) {
		(void)close(s->listen_fd);
		(void)unlink(s->path);
	}
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	free(s);
	*socket = NULL;
}

void admin_socket_stats(const struct admin_socket *s, struct admin_socket_stats *out)
{
	out->requests = atomic_load(&s->requests);
	out->refused = atomic_load(&s->refused);
}
