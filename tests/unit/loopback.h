/*
 * A small HTTP server on a free loopback port, in a thread of the test: it counts connections and
 * whole requests, keeps the last request, and answers as its script says. A path that begins with
 * "/warm" always gets a kept-alive "ok".
 */
#ifndef TAMA_LOOPBACK_H
#define TAMA_LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tama/str.h"

enum loopback_act {
	ACT_KEEP, /* send the reply, keep the connection */
	ACT_CLOSE, /* send the reply, close */
	ACT_RESET, /* send the reply, reset */
	ACT_HOLD, /* send the reply, then nothing until the client closes */
	ACT_DRIP, /* a byte of the reply every 20 ms, again and again */
	ACT_FLOOD, /* the reply, then `again` for ever */
};

struct loopback_script {
	enum loopback_act act;
	struct str reply;
	struct str again;
	bool speaks_first; /* answers whatever bytes come, as a plain server does on a TLS port */
};

#define LOOPBACK_CONNECTIONS 16
#define LOOPBACK_REQUEST 8192

struct loopback_connection {
	int fd;
	size_t n;
	char bytes[LOOPBACK_REQUEST + 1];
};

struct loopback {
	int listener;
	int stop[2];
	unsigned short port;
	pthread_t thread;
	struct loopback_script script;
	atomic_uint connections;
	atomic_uint requests;
	struct loopback_connection open[LOOPBACK_CONNECTIONS];
	char last[LOOPBACK_REQUEST + 1]; /* read it only after loopback_stop */
};

static inline void loopback_close(struct loopback_connection *c, bool reset)
{
	const struct linger now = {.l_onoff = reset, .l_linger = 0};
	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd);
	c->fd = -1;
	c->n = 0;
}

static inline bool loopback_send(struct loopback_connection *c, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		s = str_from(s, (size_t)n);
	}
	return true;
}

/* False when the client or the test is gone. */
static inline bool loopback_pause(struct loopback *l, struct loopback_connection *c)
{
	struct pollfd fds[2] = {
		{.fd = l->stop[0], .events = POLLIN}, {.fd = c->fd, .events = POLLIN}};
	return poll(fds, 2, 20) == 0;
}

static inline void loopback_answer(struct loopback *l, struct loopback_connection *c)
{
	const struct loopback_script *s = &l->script;
	if (strstr(c->bytes, " /warm") != NULL) {
		loopback_send(c, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
		c->n = 0;
		return;
	}
	if (s->act == ACT_DRIP) {
		for (size_t i = 0; loopback_pause(l, c); i++) {
			if (!loopback_send(c, (struct str){s->reply.p + i % s->reply.n, 1}))
				break;
		}
		loopback_close(c, false);
		return;
	}
	bool is_open = loopback_send(c, s->reply);
	while (s->act == ACT_FLOOD && is_open)
		is_open = loopback_send(c, s->again);
	c->n = 0;
	if (!is_open || s->act == ACT_CLOSE || s->act == ACT_RESET)
		loopback_close(c, s->act == ACT_RESET);
}

static inline bool loopback_is_whole(const char *bytes)
{
	const char *body = strstr(bytes, "\r\n\r\n");
	const char *length = strcasestr(bytes, "content-length:");
	if (body == NULL)
		return false;
	return length == NULL || strlen(body + 4) >= (size_t)strtol(length + 15, NULL, 10);
}

static inline void loopback_read(struct loopback *l, struct loopback_connection *c)
{
	ssize_t n = recv(c->fd, c->bytes + c->n, LOOPBACK_REQUEST - c->n, 0);
	if (n <= 0) {
		loopback_close(c, false);
		return;
	}
	c->n += (size_t)n;
	c->bytes[c->n] = '\0';
	if (!l->script.speaks_first && !loopback_is_whole(c->bytes))
		return;
	memcpy(l->last, c->bytes, c->n + 1);
	if (!l->script.speaks_first)
		atomic_fetch_add(&l->requests, 1);
	loopback_answer(l, c);
}

static inline void loopback_accept(struct loopback *l)
{
	int fd = accept(l->listener, NULL, NULL);
	if (fd < 0)
		return;
	atomic_fetch_add(&l->connections, 1);
	for (size_t i = 0; i < LOOPBACK_CONNECTIONS; i++) {
		if (l->open[i].fd < 0) {
			l->open[i].fd = fd;
			return;
		}
	}
	close(fd);
}

static inline void *loopback_serve(void *ctx)
{
	struct loopback *l = ctx;
	for (;;) {
		struct pollfd fds[LOOPBACK_CONNECTIONS + 2];
		for (size_t i = 0; i < LOOPBACK_CONNECTIONS; i++)
			fds[i] = (struct pollfd){.fd = l->open[i].fd, .events = POLLIN};
		fds[LOOPBACK_CONNECTIONS] = (struct pollfd){.fd = l->listener, .events = POLLIN};
		fds[LOOPBACK_CONNECTIONS + 1] = (struct pollfd){.fd = l->stop[0], .events = POLLIN};
		poll(fds, LOOPBACK_CONNECTIONS + 2, -1);
		if (fds[LOOPBACK_CONNECTIONS + 1].revents != 0)
			return NULL;
		for (size_t i = 0; i < LOOPBACK_CONNECTIONS; i++) {
			if (fds[i].revents != 0)
				loopback_read(l, &l->open[i]);
		}
		if (fds[LOOPBACK_CONNECTIONS].revents != 0)
			loopback_accept(l);
	}
}

static inline void loopback_start(struct loopback *l, const struct loopback_script *script)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	memset(l, 0, sizeof(*l));
	l->script = *script;
	for (size_t i = 0; i < LOOPBACK_CONNECTIONS; i++)
		l->open[i].fd = -1;
	assert_int_equal(pipe(l->stop), 0);
	l->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(l->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(l->listener, 64), 0);
	assert_int_equal(getsockname(l->listener, (struct sockaddr *)&at, &len), 0);
	l->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&l->thread, NULL, loopback_serve, l), 0);
}

static inline void loopback_stop(struct loopback *l)
{
	assert_int_equal(write(l->stop[1], "", 1), 1);
	pthread_join(l->thread, NULL);
	for (size_t i = 0; i < LOOPBACK_CONNECTIONS; i++) {
		if (l->open[i].fd >= 0)
			close(l->open[i].fd);
	}
	close(l->listener);
	close(l->stop[0]);
	close(l->stop[1]);
}

#endif
