/*
 * A listener with a handler that does what the path asks, and raw sockets to talk to it. Waits are
 * on conditions and sockets; nothing but the tests of time itself sleeps.
 */
#ifndef TAMA_HTTP_IN_RIG_H
#define TAMA_HTTP_IN_RIG_H

#include "check.h"
#include "tama/http_in.h"
#include "tama/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define RIG_TURNS 512
#define RIG_BYTES ((size_t)256 * 1024)
/* How long a test waits for what should come at once. */
#define RIG_PATIENCE_MS 8000

struct rig {
	struct http_in *in;
	uint16_t port;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct http_turn *parked[RIG_TURNS];
	size_t parked_len;
	size_t smuggled; /* requests to /smuggled */
	size_t held; /* workers inside /hold */
	bool is_open; /* /hold may go on */
	size_t sent; /* turns ended with their answer written */
	size_t lost;
	size_t by_worker[LIMIT_HTTP_WORKERS]; /* requests */
};

static inline int64_t rig_now_ms(void)
{
	struct timespec now;
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void rig_pause(int ms)
{
	(void)poll(NULL, 0, ms);
}

/* Waits until *count is at least n; false after RIG_PATIENCE_MS. */
static inline bool rig_wait(struct rig *rig, const size_t *count, size_t n)
{
	struct timespec until;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
	until.tv_sec += RIG_PATIENCE_MS / 1000;
	int rc = 0;
	pthread_mutex_lock(&rig->lock);
	while (*count < n && rc == 0)
		rc = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
	bool is_there = *count >= n;
	pthread_mutex_unlock(&rig->lock);
	return is_there;
}

static inline void rig_hold(struct rig *rig)
{
	pthread_mutex_lock(&rig->lock);
	rig->held++;
	pthread_cond_broadcast(&rig->changed);
	while (!rig->is_open)
		pthread_cond_wait(&rig->changed, &rig->lock);
	rig->held--;
	pthread_mutex_unlock(&rig->lock);
}

static inline void rig_open(struct rig *rig, bool is_open)
{
	pthread_mutex_lock(&rig->lock);
	rig->is_open = is_open;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

static inline void rig_echo(struct http_turn *turn, struct http_reply *reply)
{
	const struct http_request *request = &turn->request;
	reply->status = 200;
	reply->type = STR("text/plain");
	reply->body = arena_printf(&turn->arena, "%.*s|%.*s|%.*s|%.*s|%.*s|%zu|",
		STR_ARG(request->method), STR_ARG(request->path), STR_ARG(request->query),
		STR_ARG(http_field_get(request->fields, request->fields_len, STR("x-test"))),
		STR_ARG(request->peer), request->fields_len);
	char *all = arena_alloc(&turn->arena, reply->body.n + request->body.n + 1);
	tama_assert(all != NULL);
	memcpy(all, reply->body.p, reply->body.n);
	if (request->body.n > 0)
		memcpy(all + reply->body.n, request->body.p, request->body.n);
	reply->body = (struct str){all, reply->body.n + request->body.n};
}

static inline enum http_verdict rig_park(struct rig *rig, struct http_turn *turn)
{
	pthread_mutex_lock(&rig->lock);
	rig->parked[rig->parked_len++] = turn;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
	return HTTP_LATER;
}

/* The turn's `user` tells the handler, when it is called again, that it has been here. */
static inline enum http_verdict rig_park_to_go_on(struct rig *rig, struct http_turn *turn)
{
	turn->user = rig;
	return rig_park(rig, turn);
}

static inline void rig_answer(struct http_turn *turn)
{
	struct http_reply reply = {0};
	rig_echo(turn, &reply);
	http_in_answer(turn, &reply);
}

static inline enum http_verdict rig_odd(struct http_turn *turn, struct http_reply *reply)
{
	static const struct http_field fine[] = {
		{STR_INIT("X-One"), STR_INIT("1")}, {STR_INIT("Set-Cookie"), STR_INIT("a=b")}};
	static const struct http_field split[] = {{STR_INIT("X-One"), STR_INIT("1\r\nX-Two: 2")}};
	static const struct http_field nul[] = {{STR_INIT("X-One"), STR_INIT("1\0two")}};
	rig_echo(turn, reply);
	if (str_eq(turn->request.path, STR("/status")))
		reply->status = 99;
	reply->fields_len = 1;
	reply->fields = split;
	if (str_eq(turn->request.path, STR("/nul")))
		reply->fields = nul;
	if (str_eq(turn->request.path, STR("/fields"))) {
		reply->fields = fine;
		reply->fields_len = 2;
	}
	return HTTP_NOW;
}

static inline enum http_verdict rig_handle(
	void *ctx, struct http_turn *turn, struct http_reply *reply)
{
	struct rig *rig = ctx;
	struct str path = turn->request.path;
	pthread_mutex_lock(&rig->lock);
	rig->by_worker[turn->worker]++;
	if (str_eq(path, STR("/smuggled")))
		rig->smuggled++;
	pthread_mutex_unlock(&rig->lock);
	if (str_eq(path, STR("/later")))
		return rig_park(rig, turn);
	if (str_eq(path, STR("/again")) && turn->user == NULL)
		return rig_park_to_go_on(rig, turn);
	if (str_eq(path, STR("/at-once-again")) && turn->user == NULL) {
		turn->user = rig;
		http_in_continue(turn);
		return HTTP_LATER;
	}
	if (str_eq(path, STR("/at-once"))) {
		rig_answer(turn);
		return HTTP_LATER;
	}
	if (str_eq(path, STR("/full"))) {
		reply->body = (struct str){
			arena_alloc(&turn->arena, LIMIT_TURN_BYTES / 2), LIMIT_TURN_BYTES / 2};
		reply->status = 200;
		http_in_answer(turn, reply);
		return HTTP_LATER;
	}
	if (str_eq(path, STR("/status")) || str_eq(path, STR("/split")) ||
		str_eq(path, STR("/nul")) || str_eq(path, STR("/fields")))
		return rig_odd(turn, reply);
	if (str_eq(path, STR("/hold")))
		rig_hold(rig);
	turn->user = rig;
	rig_echo(turn, reply);
	return HTTP_NOW;
}

static inline void rig_done(void *ctx, struct http_turn *turn, bool sent)
{
	struct rig *rig = ctx;
	pthread_mutex_lock(&rig->lock);
	rig->sent += sent;
	rig->lost += !sent;
	/* The request is still there. */
	tama_assert(turn->request.path.n > 0 && turn->request.method.p[0] != '\0');
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

static inline struct http_in_config rig_config(void)
{
	return (struct http_in_config){
		.address = STR("127.0.0.1"), .workers = 1, .connections = 1024};
}

static inline void rig_start(struct rig *rig, struct http_in_config config)
{
	struct err err = ERR_INIT;
	*rig = (struct rig){.is_open = true};
	pthread_mutex_init(&rig->lock, NULL);
	pthread_cond_init(&rig->changed, NULL);
	config.handler = rig_handle;
	config.done = rig_done;
	config.ctx = rig;
	if (http_in_start(&rig->in, &config, &err) != 0)
		fail_msg("%s", err.text);
	rig->port = http_in_port(rig->in);
}

static inline void rig_stop(struct rig *rig)
{
	http_in_stop(&rig->in);
	assert_null(rig->in);
	pthread_cond_destroy(&rig->changed);
	pthread_mutex_destroy(&rig->lock);
}

static inline void rig_answer_all(struct rig *rig)
{
	struct http_turn *turns[RIG_TURNS];
	pthread_mutex_lock(&rig->lock);
	size_t n = rig->parked_len;
	memcpy(turns, rig->parked, n * sizeof(turns[0]));
	rig->parked_len = 0;
	pthread_mutex_unlock(&rig->lock);
	for (size_t i = 0; i < n; i++)
		rig_answer(turns[i]);
}

static inline void rig_continue_all(struct rig *rig)
{
	pthread_mutex_lock(&rig->lock);
	for (size_t i = 0; i < rig->parked_len; i++)
		http_in_continue(rig->parked[i]);
	rig->parked_len = 0;
	pthread_mutex_unlock(&rig->lock);
}

static inline int rig_try_dial(const struct rig *rig)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(rig->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = RIG_PATIENCE_MS / 1000};
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline int rig_dial(const struct rig *rig)
{
	int fd = rig_try_dial(rig);
	assert_true(fd >= 0);
	return fd;
}

/* False when the peer has closed. */
static inline bool rig_try_send(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		s = str_from(s, (size_t)n);
	}
	return true;
}

static inline void rig_send(int fd, const char *text)
{
	assert_true(rig_try_send(fd, str_c(text)));
}

/* Reads to the end of the connection; false when the end does not come. */
static inline bool rig_read_all(int fd, char *out, size_t cap)
{
	size_t len = 0;
	ssize_t n = 0;
	do {
		n = recv(fd, out + len, cap - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	out[len] = '\0';
	return n == 0 || errno == ECONNRESET;
}

struct rig_reply {
	int status; /* 0: the connection ended, -1: nothing came in time */
	bool closes;
	struct str body;
	char text[RIG_BYTES];
};

/* Reads one reply, byte by byte as far as its head goes. A reply's body follows Content-Length. */
static inline int rig_read(int fd, struct rig_reply *reply)
{
	size_t len = 0;
	reply->text[0] = '\0';
	reply->status = 0;
	while (len < 4 || memcmp(reply->text + len - 4, "\r\n\r\n", 4) != 0) {
		ssize_t n = recv(fd, reply->text + len, 1, 0);
		if (n <= 0) {
			reply->status = n < 0 && errno == EAGAIN ? -1 : 0;
			return reply->status;
		}
		len += (size_t)n;
		assert_true(len < RIG_BYTES / 2);
	}
	reply->text[len] = '\0';
	reply->status = (int)strtol(reply->text + strlen("HTTP/1.1 "), NULL, 10);
	reply->closes = strstr(reply->text, "Connection: close") != NULL;
	const char *length = strstr(reply->text, "Content-Length: ");
	size_t want = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
	assert_true(want < RIG_BYTES / 2);
	reply->body = (struct str){reply->text + len + 1, want};
	for (size_t got = 0; got < want;) {
		ssize_t n = recv(fd, reply->text + len + 1 + got, want - got, 0);
		if (n <= 0)
			return reply->status = 0;
		got += (size_t)n;
	}
	return reply->status;
}

static inline void rig_expect(int fd, const char *body)
{
	struct rig_reply *reply = malloc(sizeof(*reply));
	assert_non_null(reply);
	assert_int_equal(rig_read(fd, reply), 200);
	check_str(reply->body, body);
	free(reply);
}

/* One exchange on a connection of its own; the status. */
static inline int rig_ask(const struct rig *rig, const char *request, struct rig_reply *reply)
{
	int fd = rig_dial(rig);
	rig_send(fd, request);
	int status = rig_read(fd, reply);
	close(fd);
	return status;
}

#endif
