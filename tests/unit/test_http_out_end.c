/* How the end of a transfer is told: what was cut, late, too large, or never left. */
#include "check.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "http_out_world.h"

/* One money request to a server of that script. */
static struct outcome against(const struct loopback_script *script, unsigned total_ms)
{
	struct world w;
	world_start(&w, script);
	struct outcome o = perform(
		w.out, &(struct send){.url = w.url, .body = STR("PAY"), .total_ms = total_ms});
	world_stop(&w);
	return o;
}

static void check_every_cut(struct str reply, size_t whole)
{
	for (size_t k = 0; k < whole; k++) {
		for (int reset = 0; reset < 2; reset++) {
			struct outcome o = against(
				&(struct loopback_script){.act = reset ? ACT_RESET : ACT_CLOSE,
					.reply = {reply.p, k}},
				0);
			if (o.transfer.end != TRANSFER_BROKEN || o.transfer.bytes_sent == 0)
				fail_msg("cut at %zu: %s", k, transfer_end_name(o.transfer.end));
			for (int word = WORD_NONE; word <= WORD_NOT_FOUND; word++)
				assert_int_equal(
					class_of(&o, (enum reply_word)word), CLASS_UNKNOWN);
		}
	}
}

static void unknown_at_every_cut(void **state)
{
	static const struct str chunked = STR_INIT(
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
	static const struct str interim = STR_INIT(
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	check_every_cut(STR(OK_REPLY), sizeof(OK_REPLY) - 1);
	/* Without the very last line feed libcurl knows all chunks, the last one among them. */
	check_every_cut(chunked, chunked.n - 1);
	check_every_cut(interim, interim.n);
	struct outcome o = against(&(struct loopback_script){ACT_CLOSE, .reply = STR(OK_REPLY)}, 0);
	check_end(&o, TRANSFER_COMPLETE);
}

static void silence_and_drip_end_at_the_total_time(void **state)
{
	struct outcome o = against(&(struct loopback_script){.act = ACT_HOLD}, 150);
	check_end(&o, TRANSFER_TIMEOUT);
	assert_true(o.transfer.bytes_sent > 0);
	assert_int_equal(class_of(&o, WORD_NONE), CLASS_UNKNOWN);
	o = against(&(struct loopback_script){ACT_DRIP,
			    .reply = STR("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")},
		300);
	check_end(&o, TRANSFER_TIMEOUT);
	/* All of an interim head, again and again, never the final one (F-D14). */
	o = against(
		&(struct loopback_script){ACT_DRIP, .reply = STR("HTTP/1.1 102 Go\r\n\r\n")}, 300);
	check_end(&o, TRANSFER_TIMEOUT);
}

static void too_large_is_cut_off(void **state)
{
	static const struct loopback_script scripts[] = {
		{ACT_HOLD, .reply = STR_INIT(
				   "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n{}")},
		{ACT_FLOOD,
			.reply = STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
			.again = STR_INIT("8\r\n01234567\r\n")},
		{ACT_FLOOD, .reply = STR_INIT("HTTP/1.1 200 OK\r\n\r\n"),
			.again = STR_INIT("01234567")},
		{ACT_FLOOD, .reply = STR_INIT("HTTP/1.1 200 OK\r\n"),
			.again = STR_INIT("X-A: 01234567\r\n")},
		{ACT_FLOOD, .again = STR_INIT("HTTP/1.1 103 Hints\r\nX-A: 0123456789\r\n\r\n")},
	};
	for (size_t i = 0; i < ROWS(scripts); i++) {
		struct outcome o = against(&scripts[i], 20000);
		check_end(&o, TRANSFER_TOO_LARGE);
		assert_true(o.body_len <= LIMIT_REPLY_BYTES);
		assert_true(strcasestr(o.reason, "exceeded") != NULL ||
			    strcmp(o.reason, "response too large") == 0);
		assert_int_equal(class_of(&o, WORD_SUCCESS), CLASS_UNKNOWN);
	}
	struct outcome o = against(
		&(struct loopback_script){ACT_FLOOD, .reply = STR("HTTP/1.1 200 OK\r\nX-A: "),
			.again = STR("0123456789abcdef")},
		20000);
	assert_true(o.transfer.end == TRANSFER_TOO_LARGE || o.transfer.end == TRANSFER_BROKEN);
}

static void a_body_of_the_limit_is_read(void **state)
{
	static char reply[LIMIT_REPLY_BYTES + 128];
	int head = snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
		LIMIT_REPLY_BYTES);
	memset(reply + head, 'x', LIMIT_REPLY_BYTES);
	for (int i = 0; i < 2; i++) {
		struct outcome o =
			against(&(struct loopback_script){ACT_CLOSE,
					.reply = {reply, (size_t)head + LIMIT_REPLY_BYTES}},
				0);
		check_end(&o, TRANSFER_COMPLETE);
		assert_int_equal(o.body_len, LIMIT_REPLY_BYTES);
	}
}

static void encodings_are_left_alone(void **state)
{
	struct outcome o =
		against(&(struct loopback_script){ACT_CLOSE,
				.reply = STR("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
					     "Content-Length: 4\r\n\r\n\x1f\x8b\x08\x01")},
			0);
	check_end(&o, TRANSFER_COMPLETE);
	assert_int_equal(o.body_len, 4);
	assert_memory_equal(o.body, "\x1f\x8b\x08\x01", 4);
}

static void what_is_no_http_1_reply_is_broken(void **state)
{
	static const struct str replies[] = {
		STR_INIT("{\"status\":\"SUCCESS\"}\r\n\r\n"), /* HTTP/0.9 */
		STR_INIT("HTTP/3 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
		STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n{}"),
		STR_INIT("HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 2\r\n\r\n{}"),
		STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
			 "chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
	};
	for (size_t i = 0; i < ROWS(replies); i++) {
		struct outcome o =
			against(&(struct loopback_script){ACT_CLOSE, .reply = replies[i]}, 0);
		if (o.transfer.end == TRANSFER_COMPLETE)
			fail_msg("reply %zu taken as whole", i);
		assert_true(o.transfer.bytes_sent > 0);
		assert_int_equal(class_of(&o, WORD_SUCCESS), CLASS_UNKNOWN);
	}
}

static unsigned short closed_port(void)
{
	struct loopback server;
	loopback_start(&server, &(struct loopback_script){.act = ACT_CLOSE});
	loopback_stop(&server);
	return server.port;
}

static void refused_port_sent_nothing(void **state)
{
	struct http_out *out = sender(true);
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", closed_port());
	struct outcome o = perform(out, &(struct send){.url = url});
	check_not_sent(&o, TRANSFER_CONNECT);
	assert_true(strlen(o.reason) > 0);
	http_out_free(&out);
}

/* A listener whose queue is full drops the SYN, as a black hole does. */
static void connect_timeout_sent_nothing(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fill[4];
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	for (size_t i = 0; i < ROWS(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fill[i], (struct sockaddr *)&at, sizeof(at));
	}
	struct http_out *out = sender(true);
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(at.sin_port));
	struct outcome o = perform(out, &(struct send){.url = url, .connect_ms = 100});
	check_not_sent(&o, TRANSFER_CONNECT);
	http_out_free(&out);
	for (size_t i = 0; i < ROWS(fill); i++)
		close(fill[i]);
	close(listener);
}

static void unknown_name_sent_nothing(void **state)
{
	struct http_out *out = sender(true);
	struct outcome o = perform(out, &(struct send){.url = "http://nowhere.invalid/"});
	check_not_sent(&o, TRANSFER_DNS);
	http_out_free(&out);
}

/* A name server that does not answer holds up its own transfer and not the thread. */
static void slow_lookup_blocks_nobody(void **state)
{
	struct world w;
	world_start(&w, &(struct loopback_script){ACT_KEEP, .reply = STR(OK_REPLY)});
	assert_int_equal(pipe(slow_lookup), 0);
	struct outcome slow, quick;
	struct send send = {.url = "http://slow.invalid/", .connect_ms = 100};
	assert_int_equal(submit(w.out, &send, &slow), 0);
	assert_int_equal(submit(w.out, &(struct send){.url = w.url}, &quick), 0);
	run_until(w.out, &quick);
	check_end(&quick, TRANSFER_COMPLETE);
	run_until(w.out, &slow);
	check_not_sent(&slow, TRANSFER_DNS);
	assert_int_equal(write(slow_lookup[1], "", 1), 1);
	world_stop(&w);
}

static void tls_to_a_plain_server_sent_nothing(void **state)
{
	static const struct loopback_script scripts[] = {
		{ACT_CLOSE, .reply = STR_INIT("HTTP/1.1 400 Bad Request\r\n\r\n"),
			.speaks_first = true},
		{ACT_RESET, .speaks_first = true},
		{ACT_CLOSE, .speaks_first = true},
		{ACT_HOLD, .speaks_first = true},
	};
	for (size_t i = 0; i < ROWS(scripts); i++) {
		struct world w;
		world_start(&w, &scripts[i]);
		snprintf(w.url, sizeof(w.url), "https://127.0.0.1:%u/", w.server.port);
		struct outcome o = perform(w.out, &(struct send){.url = w.url, .connect_ms = 200});
		check_not_sent(&o, TRANSFER_TLS);
		world_stop(&w);
	}
}

/* A TLS server with a certificate for 127.0.0.1 that no authority signed. */
struct tls_server {
	char folder[32];
	char certificate[64];
	unsigned port;
	pid_t pid;
};

static const char TLS_SERVER[] =
	"import socket, ssl, sys\n"
	"context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
	"context.load_cert_chain(sys.argv[1] + '/cert.pem', sys.argv[1] + '/key.pem')\n"
	"listener = socket.create_server(('127.0.0.1', 0))\n"
	"print(listener.getsockname()[1], flush=True)\n"
	"while True:\n"
	"    raw, _ = listener.accept()\n"
	"    try:\n"
	"        with context.wrap_socket(raw, server_side=True) as s:\n"
	"            if s.recv(4096).startswith(b'POST'):\n"
	"                s.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')\n"
	"    except OSError:\n"
	"        raw.close()\n";

static int tls_start(void **state)
{
	static struct tls_server server;
	struct tls_server *s = &server;
	char command[512], line[32] = "";
	int out[2];
	snprintf(s->folder, sizeof(s->folder), "/tmp/tama-tls-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->certificate, sizeof(s->certificate), "%.31s/cert.pem", s->folder);
	snprintf(command, sizeof(command),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
		" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
		" -keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
		s->folder, s->folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(pipe(out), 0);
	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(out[1], STDOUT_FILENO);
		execlp("python3", "python3", "-c", TLS_SERVER, s->folder, NULL);
		_exit(127);
	}
	close(out[1]);
	assert_true(read(out[0], line, sizeof(line) - 1) > 0);
	s->port = (unsigned)strtoul(line, NULL, 10);
	close(out[0]);
	*state = s;
	return 0;
}

static int tls_stop(void **state)
{
	const struct tls_server *s = *state;
	char command[96];
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", s->folder);
	return system(command);
}

static struct outcome over_tls(const char *ca_file, const char *url, http_out_ready_fn ready)
{
	const struct http_out_config config = {.allow_loopback = true, .ca_file = ca_file};
	struct http_out *out = NULL;
	assert_int_equal(http_out_new(&out, &config, NULL), 0);
	struct outcome o =
		perform(out, &(struct send){.url = url, .body = STR("PAY"), .ready = ready});
	http_out_free(&out);
	return o;
}

static void tls_peers_are_verified(void **state)
{
	const struct tls_server *s = *state;
	char url[64], other_name[64];
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", s->port);
	snprintf(other_name, sizeof(other_name), "https://inside.invalid:%u/", s->port);
	struct outcome o = over_tls(s->certificate, url, always_ready);
	check_end(&o, TRANSFER_COMPLETE);
	assert_string_equal(o.body, "ok");
	o = over_tls(s->certificate, url, never_ready);
	check_not_sent(&o, TRANSFER_NOT_STARTED);
	o = over_tls(NULL, url, always_ready);
	check_not_sent(&o, TRANSFER_TLS);
	assert_non_null(strcasestr(o.reason, "certificate"));
	o = over_tls(s->certificate, other_name, always_ready);
	check_not_sent(&o, TRANSFER_TLS);
	o = over_tls("/nowhere/ca.pem", url, always_ready);
	check_not_sent(&o, TRANSFER_TLS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_at_every_cut),
		cmocka_unit_test(silence_and_drip_end_at_the_total_time),
		cmocka_unit_test(too_large_is_cut_off),
		cmocka_unit_test(a_body_of_the_limit_is_read),
		cmocka_unit_test(encodings_are_left_alone),
		cmocka_unit_test(what_is_no_http_1_reply_is_broken),
		cmocka_unit_test(refused_port_sent_nothing),
		cmocka_unit_test(connect_timeout_sent_nothing),
		cmocka_unit_test(unknown_name_sent_nothing),
		cmocka_unit_test(slow_lookup_blocks_nobody),
		cmocka_unit_test(tls_to_a_plain_server_sent_nothing),
		cmocka_unit_test_setup_teardown(tls_peers_are_verified, tls_start, tls_stop),
	};
	return cmocka_run_group_tests_name("http_out_end", tests, world_init, world_fini);
}
