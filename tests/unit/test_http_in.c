/*
 * The listener at work: exchanges, suspended turns, bursts, connections that are too slow, draining
 * and stopping. The traps are those of libmicrohttpd.md, by number.
 */
#include "http_in_rig.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void test_exchanges(void **state)
{
	struct rig rig;
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	rig_send(
		fd, "GET /a%20b%2Fc?x=%41+b&c%00 HTTP/1.1\r\nHost: a\r\nX-TEST: \t v w \t\r\n\r\n");
	rig_expect(fd, "GET|/a%20b%2Fc|x=%41+b&c%00|v w|127.0.0.1|2|");
	rig_send(fd, "POST /p? HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
	rig_send(fd, "llo");
	rig_expect(fd, "POST|/p|||127.0.0.1|2|hello");
	rig_send(fd, "PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
		     "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n");
	rig_expect(fd, "PUT|/p|||127.0.0.1|2|abcde");
	rig_send(fd, "\r\nPOST /empty HTTP/1.1\nHost: a\nContent-Length: 0\n\n");
	rig_expect(fd, "POST|/empty|||127.0.0.1|2|");
	close(fd);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 4);
}

static void test_ends_of_connections(void **state)
{
	struct rig rig;
	char *text = malloc(RIG_BYTES);
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	rig_send(fd, "GET /x HTTP/1.0\r\n\r\n");
	assert_true(rig_read_all(fd, text, RIG_BYTES));
	assert_non_null(strstr(text, "\r\n\r\nGET|/x|||127.0.0.1|0|"));
	close(fd);
	fd = rig_dial(&rig);
	rig_send(fd, "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_true(rig_read_all(fd, text, RIG_BYTES));
	assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
	assert_null(strstr(text, "HEAD|"));
	close(fd);
	free(text);
	rig_stop(&rig);
}

static void test_waits_for_continue(void **state)
{
	struct rig rig;
	char head[64] = "";
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	rig_send(fd, "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		     "Content-Length: 3\r\n\r\n");
	assert_int_equal(recv(fd, head, 25, MSG_WAITALL), 25);
	assert_string_equal(head, "HTTP/1.1 100 Continue\r\n\r\n");
	rig_send(fd, "abc");
	rig_expect(fd, "POST|/p|||127.0.0.1|3|abc");
	close(fd);
	rig_stop(&rig);
}

static void test_pipeline(void **state)
{
	struct rig rig;
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	rig_send(fd, GET("/1") GET("/later") "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: "
					     "1\r\n\r\nx" GET("/at-once") GET("/5"));
	rig_expect(fd, "GET|/1|||127.0.0.1|1|");
	assert_true(rig_wait(&rig, &rig.parked_len, 1));
	rig_answer_all(&rig);
	rig_expect(fd, "GET|/later|||127.0.0.1|1|");
	rig_expect(fd, "POST|/3|||127.0.0.1|2|x");
	rig_expect(fd, "GET|/at-once|||127.0.0.1|1|");
	rig_expect(fd, "GET|/5|||127.0.0.1|1|");
	close(fd);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 5);
}

static void test_replies(void **state)
{
	struct rig rig;
	struct rig_reply *reply = malloc(sizeof(*reply));
	rig_start(&rig, rig_config());
	assert_int_equal(rig_ask(&rig, GET("/fields"), reply), 200);
	assert_non_null(strstr(reply->text, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(strstr(reply->text, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(reply->text, "\r\nSet-Cookie: a=b\r\n"));
	/* What HTTP cannot carry never leaves. */
	assert_int_equal(rig_ask(&rig, GET("/status"), reply), 500);
	assert_int_equal(rig_ask(&rig, GET("/split"), reply), 500);
	assert_null(strstr(reply->text, "X-Two"));
	assert_int_equal(rig_ask(&rig, GET("/nul"), reply), 500);
	/* No room in the turn for the copy of the answer. */
	assert_int_equal(rig_ask(&rig, GET("/full"), reply), 500);
	free(reply);
	rig_stop(&rig);
}

static void *answer_as_they_come(void *cls)
{
	struct rig *rig = cls;
	for (size_t answered = 0; answered < 300;) {
		if (!rig_wait(rig, &rig->parked_len, 1))
			break;
		pthread_mutex_lock(&rig->lock);
		answered += rig->parked_len;
		pthread_mutex_unlock(&rig->lock);
		rig_answer_all(rig);
	}
	return NULL;
}

/* Trap 2: an answer from another thread wakes the worker, in whatever order they meet. */
static void test_later_by_another_thread(void **state)
{
	struct rig rig;
	struct http_in_config config = rig_config();
	struct http_in_stats stats;
	pthread_t thread;
	int fds[300];
	config.workers = 4;
	rig_start(&rig, config);
	assert_int_equal(pthread_create(&thread, NULL, answer_as_they_come, &rig), 0);
	for (size_t i = 0; i < ROWS(fds); i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/later"));
	}
	for (size_t i = 0; i < ROWS(fds); i++)
		rig_expect(fds[i], "GET|/later|||127.0.0.1|1|");
	pthread_join(thread, NULL);
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.connections, 300);
	assert_int_equal(stats.requests, 300);
	assert_int_equal(stats.suspended, 0);
	for (size_t i = 0; i < ROWS(fds); i++)
		close(fds[i]);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 300);
}

/* 300 suspended at the same time, on a worker that has nothing else to wake it. */
static void test_300_suspended_at_once(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	int fds[300];
	rig_start(&rig, rig_config());
	for (size_t i = 0; i < ROWS(fds); i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/later"));
	}
	assert_true(rig_wait(&rig, &rig.parked_len, 300));
	/* The last one may still be on its way from the handler to its suspension. */
	do
		http_in_stats(rig.in, &stats);
	while (stats.suspended < 300);
	int64_t begin = rig_now_ms();
	rig_answer_all(&rig);
	for (size_t i = 0; i < ROWS(fds); i++) {
		rig_expect(fds[i], "GET|/later|||127.0.0.1|1|");
		close(fds[i]);
	}
	assert_in_range(rig_now_ms() - begin, 0, 2000);
	rig_stop(&rig);
}

/*
 * Trap 1: with epoll, exactly 128 sockets that become ready while the worker is busy are not served
 * until something else happens.
 */
static void burst(size_t n)
{
	struct rig rig;
	int fds[256];
	assert_true(n <= 256);
	rig_start(&rig, rig_config());
	for (size_t i = 0; i < n; i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/x"));
		rig_expect(fds[i], "GET|/x|||127.0.0.1|1|");
	}
	int slow = rig_dial(&rig);
	rig_send(slow, GET("/x"));
	rig_expect(slow, "GET|/x|||127.0.0.1|1|");
	rig_open(&rig, false);
	rig_send(slow, GET("/hold"));
	assert_true(rig_wait(&rig, &rig.held, 1));
	for (size_t i = 0; i < n; i++)
		rig_send(fds[i], GET("/x"));
	rig_pause(500);
	int64_t begin = rig_now_ms();
	rig_open(&rig, true);
	for (size_t i = 0; i < n; i++)
		rig_expect(fds[i], "GET|/x|||127.0.0.1|1|");
	int64_t took_ms = rig_now_ms() - begin;
	/* 3 ms measured; the stall ends with a time-out of seconds. Room for sanitizers between. */
	assert_in_range(took_ms, 0, 1000);
	rig_expect(slow, "GET|/hold|||127.0.0.1|1|");
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	close(slow);
	rig_stop(&rig);
}

static void test_bursts(void **state)
{
	burst(127);
	burst(128);
	burst(129);
	burst(256);
}

/* Later than the stop waits for answers that have been given. */
static void *answer_late(void *cls)
{
	rig_pause(LIMIT_HTTP_LEAVE_MS + 200);
	rig_answer_all(cls);
	return NULL;
}

/* Trap 3: the library aborts the process when it is stopped with a suspended connection. */
static void test_stop_waits_for_suspended(void **state)
{
	struct rig rig;
	pthread_t thread;
	int fds[20];
	rig_start(&rig, rig_config());
	for (size_t i = 0; i < ROWS(fds); i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/later"));
	}
	assert_true(rig_wait(&rig, &rig.parked_len, ROWS(fds)));
	assert_int_equal(pthread_create(&thread, NULL, answer_late, &rig), 0);
	int64_t begin = rig_now_ms();
	http_in_stop(&rig.in);
	assert_in_range(rig_now_ms() - begin, LIMIT_HTTP_LEAVE_MS + 150, 2 * LIMIT_HTTP_LEAVE_MS);
	pthread_join(thread, NULL);
	/* And what was answered has left. */
	for (size_t i = 0; i < ROWS(fds); i++) {
		rig_expect(fds[i], "GET|/later|||127.0.0.1|1|");
		close(fds[i]);
	}
	assert_int_equal(rig.sent, ROWS(fds));
	rig_stop(&rig);
}

/* Nobody owes these an answer. */
static void test_stop_does_not_wait_for_idle(void **state)
{
	struct rig rig;
	rig_start(&rig, rig_config());
	int idle = rig_dial(&rig);
	rig_send(idle, GET("/x"));
	rig_expect(idle, "GET|/x|||127.0.0.1|1|");
	int half = rig_dial(&rig);
	rig_send(half, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
	int64_t begin = rig_now_ms();
	rig_stop(&rig);
	assert_in_range(rig_now_ms() - begin, 0, 500);
	close(idle);
	close(half);
	assert_int_equal(rig.sent, 1);
	assert_int_equal(rig.lost, 0);
}

/* Trap 4: the port is free again at once although old connections linger on our side. */
static void test_restart_on_the_same_port(void **state)
{
	struct rig rig;
	struct http_in_config config = rig_config();
	struct rig_reply *reply = malloc(sizeof(*reply));
	for (int i = 0; i < 3; i++) {
		rig_start(&rig, config);
		config.port = rig.port;
		/* We close first, so the connection stays in TIME_WAIT here. */
		int fd = rig_dial(&rig);
		rig_send(fd, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		assert_int_equal(rig_read(fd, reply), 200);
		assert_int_equal(rig_read(fd, reply), 0);
		close(fd);
		int open_fd = rig_dial(&rig);
		rig_send(open_fd, GET("/x"));
		rig_expect(open_fd, "GET|/x|||127.0.0.1|1|");
		rig_stop(&rig);
		close(open_fd);
	}
	free(reply);
}

/* And it is ours alone while we listen. */
static void test_port_in_use(void **state)
{
	struct rig rig;
	struct err err = ERR_INIT;
	struct http_in *second = NULL;
	rig_start(&rig, rig_config());
	struct http_in_config config = rig_config();
	config.port = rig.port;
	config.handler = rig_handle;
	assert_int_equal(http_in_start(&second, &config, &err), TAMA_EIO);
	assert_null(second);
	assert_non_null(strstr(err.text, "in use"));
	rig_stop(&rig);
}

static void test_bad_address(void **state)
{
	struct err err = ERR_INIT;
	struct http_in *in = NULL;
	struct http_in_config config = rig_config();
	config.handler = rig_handle;
	config.address = STR("localhost");
	assert_int_equal(http_in_start(&in, &config, &err), TAMA_EIO);
	assert_non_null(strstr(err.text, "not a numeric address"));
	config.address = STR("1234567890123456789012345678901234567890123456789");
	assert_int_equal(http_in_start(&in, &config, NULL), TAMA_EIO);
	assert_null(in);
	http_in_stop(&in);
}

static void test_ipv6(void **state)
{
	struct rig rig;
	struct rig_reply *reply = malloc(sizeof(*reply));
	struct http_in_config config = rig_config();
	/* Listens on both families; an IPv4 peer keeps its name. */
	config.address = STR("::");
	rig_start(&rig, config);
	assert_int_equal(rig_ask(&rig, GET("/x"), reply), 200);
	check_str(reply->body, "GET|/x|||127.0.0.1|1|");
	free(reply);
	rig_stop(&rig);
}

/* Trap 5: what parks connections cannot grow without end; beyond the limit accept waits. */
static void test_limit_of_connections(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	struct http_in_config config = rig_config();
	int fds[4];
	config.connections = 4;
	rig_start(&rig, config);
	for (size_t i = 0; i < ROWS(fds); i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/later"));
	}
	assert_true(rig_wait(&rig, &rig.parked_len, 4));
	int fifth = rig_dial(&rig);
	rig_send(fifth, GET("/x"));
	struct pollfd ready = {.fd = fifth, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 200), 0);
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.open, 4);
	assert_int_equal(stats.suspended, 4);
	rig_answer_all(&rig);
	rig_expect(fds[0], "GET|/later|||127.0.0.1|1|");
	close(fds[0]);
	rig_expect(fifth, "GET|/x|||127.0.0.1|1|");
	for (size_t i = 1; i < ROWS(fds); i++)
		close(fds[i]);
	close(fifth);
	rig_stop(&rig);
}

static bool no_proxy(void *ctx, struct str address)
{
	return !str_eq(address, STR("127.0.0.1"));
}

static bool is_proxy(void *ctx, struct str address)
{
	return str_eq(address, STR("127.0.0.1"));
}

/* F-J9: one address cannot take them all, and what it closes it may open again. */
static void test_limit_of_one_peer(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	struct http_in_config config = rig_config();
	struct rig_reply *reply = malloc(sizeof(*reply));
	int fds[3];
	assert_non_null(reply);
	config.peer_connections = ROWS(fds);
	config.is_proxy = no_proxy;
	rig_start(&rig, config);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ROWS(fds); i++) {
			fds[i] = rig_dial(&rig);
			rig_send(fds[i], GET("/x"));
			rig_expect(fds[i], "GET|/x|||127.0.0.1|1|");
		}
		int more = rig_dial(&rig);
		assert_int_equal(rig_read(more, reply), 0);
		close(more);
		for (size_t i = 0; i < ROWS(fds); i++)
			close(fds[i]);
		do {
			http_in_stats(rig.in, &stats);
		} while (stats.open > 0);
		assert_int_equal(stats.peer_full, round + 1);
	}
	rig_stop(&rig);
	free(reply);
}

/* A proxy speaks for many. */
static void test_no_limit_for_a_proxy(void **state)
{
	struct rig rig;
	struct http_in_config config = rig_config();
	int fds[8];
	config.peer_connections = 2;
	config.is_proxy = is_proxy;
	rig_start(&rig, config);
	for (size_t i = 0; i < ROWS(fds); i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/x"));
		rig_expect(fds[i], "GET|/x|||127.0.0.1|1|");
	}
	for (size_t i = 0; i < ROWS(fds); i++)
		close(fds[i]);
	rig_stop(&rig);
}

/* Connections that are kept alive are dealt out evenly. */
static void test_workers_share(void **state)
{
	struct rig rig;
	struct http_in_config config = rig_config();
	int fds[40];
	config.workers = 4;
	rig_start(&rig, config);
	for (size_t i = 0; i < ROWS(fds); i++) {
		fds[i] = rig_dial(&rig);
		rig_send(fds[i], GET("/x"));
	}
	/* All stay open to the end, for a worker that loses one is dealt the next. */
	for (size_t i = 0; i < ROWS(fds); i++)
		rig_expect(fds[i], "GET|/x|||127.0.0.1|1|");
	for (size_t i = 0; i < ROWS(fds); i++)
		close(fds[i]);
	for (unsigned i = 0; i < config.workers; i++)
		assert_int_equal(rig.by_worker[i], ROWS(fds) / config.workers);
	rig_stop(&rig);
}

/* Sends one byte every 20 ms until the connection ends; how long that took. */
static int64_t dribble(int fd, const char *text)
{
	int64_t begin = rig_now_ms();
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	for (const char *at = text; rig_now_ms() - begin < RIG_PATIENCE_MS; at++) {
		if (*at == '\0')
			at = text;
		(void)send(fd, at, 1, MSG_NOSIGNAL);
		if (poll(&ready, 1, 20) != 0)
			break;
	}
	char byte;
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	return rig_now_ms() - begin;
}

/* Trap 7: the library's time-out is inactivity; one byte now and then lives for ever. */
static void test_slow_heads(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	struct http_in_config config = rig_config();
	config.header_ms = 300;
	rig_start(&rig, config);
	int fd = rig_dial(&rig);
	assert_in_range(dribble(fd, "GET /x"), 290, 1500);
	close(fd);
	/* Empty lines before a request are part of its head, too. */
	fd = rig_dial(&rig);
	assert_in_range(dribble(fd, "\r\n"), 290, 1500);
	close(fd);
	/* So is a second head on a kept-alive connection. */
	fd = rig_dial(&rig);
	rig_send(fd, GET("/x"));
	rig_expect(fd, "GET|/x|||127.0.0.1|1|");
	assert_in_range(dribble(fd, "GET /x"), 290, 1500);
	close(fd);
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.too_slow, 3);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 1);
}

static void test_slow_bodies(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	struct http_in_config config = rig_config();
	config.body_ms = 300;
	rig_start(&rig, config);
	int fd = rig_dial(&rig);
	rig_send(fd, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
	assert_in_range(dribble(fd, "a"), 290, 1500);
	close(fd);
	fd = rig_dial(&rig);
	rig_send(fd, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n");
	assert_in_range(dribble(fd, "a"), 290, 1500);
	close(fd);
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.too_slow, 2);
	assert_int_equal(stats.requests, 0);
	rig_stop(&rig);
	assert_int_equal(rig.sent + rig.lost, 0);
}

/* Slow, but in time. */
static void test_not_too_slow(void **state)
{
	struct rig rig;
	struct http_in_config config = rig_config();
	config.header_ms = 3000;
	rig_start(&rig, config);
	int fd = rig_dial(&rig);
	const char *text = GET("/x");
	for (const char *at = text; *at != '\0'; at++) {
		assert_true(rig_try_send(fd, (struct str){at, 1}));
		rig_pause(5);
	}
	rig_expect(fd, "GET|/x|||127.0.0.1|1|");
	close(fd);
	rig_stop(&rig);
}

/* The watchdog leaves alone who has begun nothing, and who waits for us. */
static void test_watchdog_spares(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	struct http_in_config config = rig_config();
	config.header_ms = 100;
	config.body_ms = 100;
	rig_start(&rig, config);
	int fresh = rig_dial(&rig);
	int idle = rig_dial(&rig);
	int parked = rig_dial(&rig);
	rig_send(idle, GET("/x"));
	rig_expect(idle, "GET|/x|||127.0.0.1|1|");
	rig_send(parked, GET("/later") GET("/x"));
	assert_true(rig_wait(&rig, &rig.parked_len, 1));
	rig_pause(600);
	rig_answer_all(&rig);
	rig_expect(parked, "GET|/later|||127.0.0.1|1|");
	rig_expect(parked, "GET|/x|||127.0.0.1|1|");
	rig_send(idle, GET("/x"));
	rig_expect(idle, "GET|/x|||127.0.0.1|1|");
	rig_send(fresh, GET("/x"));
	rig_expect(fresh, "GET|/x|||127.0.0.1|1|");
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.too_slow, 0);
	close(fresh);
	close(idle);
	close(parked);
	rig_stop(&rig);
}

/* Nor one whose head lies in the kernel while its worker is held: that is our delay. */
static void test_watchdog_spares_who_waits_for_a_worker(void **state)
{
	struct rig rig;
	struct http_in_config config = rig_config();
	config.header_ms = 100;
	rig_start(&rig, config);
	int fd = rig_dial(&rig);
	rig_send(fd, GET("/x"));
	rig_expect(fd, "GET|/x|||127.0.0.1|1|");
	int slow = rig_dial(&rig);
	rig_open(&rig, false);
	rig_send(slow, GET("/hold"));
	assert_true(rig_wait(&rig, &rig.held, 1));
	rig_pause(50);
	rig_send(fd, GET("/x"));
	rig_pause(500);
	rig_open(&rig, true);
	rig_expect(slow, "GET|/hold|||127.0.0.1|1|");
	rig_expect(fd, "GET|/x|||127.0.0.1|1|");
	close(fd);
	close(slow);
	rig_stop(&rig);
}

static void test_peer_leaves_before_its_answer(void **state)
{
	struct rig rig;
	const struct linger reset = {.l_onoff = 1};
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	rig_send(fd, GET("/later"));
	assert_true(rig_wait(&rig, &rig.parked_len, 1));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	rig_answer_all(&rig);
	assert_true(rig_wait(&rig, &rig.lost, 1));
	rig_stop(&rig);
	assert_int_equal(rig.sent, 0);
}

/* The handler is called again on the same worker, and answers as if it had never waited. */
static void test_continue(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	rig_send(fd, "POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	assert_true(rig_wait(&rig, &rig.parked_len, 1));
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.requests, 1);
	rig_continue_all(&rig);
	rig_expect(fd, "POST|/again|||127.0.0.1|2|abc");
	rig_send(fd, GET("/x"));
	rig_expect(fd, "GET|/x|||127.0.0.1|1|");
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.suspended, 0);
	assert_int_equal(rig.by_worker[0], 3);
	close(fd);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 2);
}

/* The word to go on may come before the worker has suspended. */
static void test_continue_at_once(void **state)
{
	struct rig rig;
	rig_start(&rig, rig_config());
	int fd = rig_dial(&rig);
	for (int i = 0; i < 100; i++) {
		rig_send(fd, GET("/at-once-again"));
		rig_expect(fd, "GET|/at-once-again|||127.0.0.1|1|");
	}
	close(fd);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 100);
}

/* A peer that is gone may never be answered: the turn ends all the same, and nobody waits for it.
 */
static void test_continue_after_the_peer_left(void **state)
{
	const struct linger reset = {.l_onoff = 1};
	for (int round = 0; round < 10; round++) {
		struct rig rig;
		rig_start(&rig, rig_config());
		int fd = rig_dial(&rig);
		rig_send(fd, GET("/again"));
		assert_true(rig_wait(&rig, &rig.parked_len, 1));
		if (round % 2 == 0)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		rig_continue_all(&rig);
		pthread_mutex_lock(&rig.lock);
		while (rig.lost + rig.sent < 1)
			pthread_cond_wait(&rig.changed, &rig.lock);
		pthread_mutex_unlock(&rig.lock);
		alarm(RIG_PATIENCE_MS / 1000);
		rig_stop(&rig);
		alarm(0);
	}
}

static void test_quiesce(void **state)
{
	struct rig rig;
	struct rig_reply *reply = malloc(sizeof(*reply));
	struct http_in_config config = rig_config();
	config.workers = 2;
	rig_start(&rig, config);
	int kept = rig_dial(&rig);
	rig_send(kept, GET("/x"));
	rig_expect(kept, "GET|/x|||127.0.0.1|1|");
	int half = rig_dial(&rig);
	rig_send(half, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
	int parked = rig_dial(&rig);
	rig_send(parked, GET("/later"));
	assert_true(rig_wait(&rig, &rig.parked_len, 1));
	http_in_quiesce(rig.in);
	http_in_quiesce(rig.in);
	assert_int_equal(rig_try_dial(&rig), -1);
	rig_send(kept, GET("/x"));
	assert_int_equal(rig_read(kept, reply), 503);
	assert_true(reply->closes);
	assert_int_equal(rig_read(kept, reply), 0);
	rig_send(half, "bc");
	assert_int_equal(rig_read(half, reply), 503);
	assert_true(reply->closes);
	rig_answer_all(&rig);
	rig_expect(parked, "GET|/later|||127.0.0.1|1|");
	close(kept);
	close(half);
	close(parked);
	free(reply);
	rig_stop(&rig);
	assert_int_equal(rig.sent, 2);
}

static void *ask_until_refused(void *cls)
{
	struct rig *rig = cls;
	struct rig_reply *reply = malloc(sizeof(*reply));
	int fd = rig_try_dial(rig);
	int status = 0;
	/* No socket: too late to be served. Nothing may fail here, outside cmocka's own thread. */
	do
		status =
			fd >= 0 && rig_try_send(fd, STR(GET("/at-once"))) ? rig_read(fd, reply) : 0;
	while (status == 200);
	if (fd >= 0)
		close(fd);
	free(reply);
	return NULL;
}

/* A stop in the middle of requests: no crash, no turn without its end. */
static void test_stop_under_load(void **state)
{
	for (int round = 0; round < 5; round++) {
		struct rig rig;
		struct http_in_stats stats;
		struct http_in_config config = rig_config();
		pthread_t threads[8];
		config.workers = 3;
		rig_start(&rig, config);
		for (size_t i = 0; i < ROWS(threads); i++)
			pthread_create(&threads[i], NULL, ask_until_refused, &rig);
		assert_true(rig_wait(&rig, &rig.sent, 200));
		http_in_quiesce(rig.in);
		http_in_stats(rig.in, &stats);
		http_in_stop(&rig.in);
		assert_true(rig.sent + rig.lost >= stats.requests);
		for (size_t i = 0; i < ROWS(threads); i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(rig.lost, 0);
	}
}

static void test_field_get(void **state)
{
	const struct http_field fields[] = {{STR_INIT("A"), STR_INIT("1")},
		{STR_INIT("b"), STR_INIT("2")}, {STR_INIT("B"), STR_INIT("3")}};
	check_str(http_field_get(fields, 3, STR("B")), "2");
	assert_null(http_field_get(fields, 3, STR("c")).p);
	assert_null(http_field_get(NULL, 0, STR("c")).p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exchanges),
		cmocka_unit_test(test_ends_of_connections),
		cmocka_unit_test(test_waits_for_continue),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_later_by_another_thread),
		cmocka_unit_test(test_300_suspended_at_once),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_stop_waits_for_suspended),
		cmocka_unit_test(test_stop_does_not_wait_for_idle),
		cmocka_unit_test(test_restart_on_the_same_port),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_bad_address),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_limit_of_connections),
		cmocka_unit_test(test_limit_of_one_peer),
		cmocka_unit_test(test_no_limit_for_a_proxy),
		cmocka_unit_test(test_workers_share),
		cmocka_unit_test(test_slow_heads),
		cmocka_unit_test(test_slow_bodies),
		cmocka_unit_test(test_not_too_slow),
		cmocka_unit_test(test_watchdog_spares),
		cmocka_unit_test(test_watchdog_spares_who_waits_for_a_worker),
		cmocka_unit_test(test_peer_leaves_before_its_answer),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_continue_at_once),
		cmocka_unit_test(test_continue_after_the_peer_left),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_stop_under_load),
		cmocka_unit_test(test_field_get),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
