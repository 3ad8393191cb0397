/* What leaves, how often, and how its end is told; against a server on loopback. */
#include "check.h"

#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>
#include <sys/wait.h>

#include "loopback.h"
#include "tama/classify.h"
#include "tama/http_out.h"
#include "tama/limits.h"

#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

/* Every name the tests use ends in .invalid, and the look-up is ours: no test asks a name server.
 */
static int slow_lookup[2];

static int lookup(const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **list_out)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(name, service, hints, list_out);
}

int getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict list_out)
{
	char released;
	if (name != NULL && strcmp(name, "inside.invalid") == 0)
		return lookup("127.0.0.1", service, hints, list_out);
	if (name != NULL && strcmp(name, "slow.invalid") == 0)
		(void)!read(slow_lookup[0], &released, 1);
	return EAI_NONAME;
}

struct outcome {
	unsigned calls;
	struct transfer transfer;
	char type[64];
	char reason[256];
	char body[256];
	size_t body_len;
	uint64_t retry_after_s;
};

static void on_done(void *ctx, const struct http_out_result *result)
{
	struct outcome *o = ctx;
	o->calls++;
	o->transfer = result->transfer;
	o->retry_after_s = result->retry_after_s;
	o->body_len = result->body.n;
	snprintf(o->type, sizeof(o->type), "%.*s", STR_ARG(result->type));
	snprintf(o->body, sizeof(o->body), "%.*s", STR_ARG(result->body));
	snprintf(o->reason, sizeof(o->reason), "%s", result->reason);
}

static bool never_ready(void *ctx)
{
	struct outcome *o = ctx;
	assert_int_equal(o->calls, 0);
	return false;
}

static bool always_ready(void *ctx)
{
	return true;
}

struct send {
	const char *url;
	const char *method;
	struct str body;
	const struct http_field *fields;
	size_t fields_len;
	bool is_query;
	unsigned connect_ms, total_ms;
	http_out_ready_fn ready;
};

static int submit(struct http_out *out, const struct send *send, struct outcome *o)
{
	const struct http_call call = {
		.method = str_c(send->method != NULL ? send->method : "POST"),
		.url = str_c(send->url),
		.fields = send->fields,
		.fields_len = send->fields_len,
		.body = send->body,
	};
	const struct http_out_request request = {
		.call = &call,
		.is_money = !send->is_query,
		.connect_ms = send->connect_ms,
		.total_ms = send->total_ms != 0 ? send->total_ms : 5000,
		.ready = send->ready,
		.done = on_done,
		.ctx = o,
	};
	*o = (struct outcome){0};
	return http_out_submit(out, &request);
}

static void run_until(struct http_out *out, const struct outcome *o)
{
	for (int i = 0; i < 400 && o->calls == 0; i++)
		http_out_run(out, -1, 50);
	assert_int_equal(o->calls, 1);
}

static struct outcome perform(struct http_out *out, const struct send *send)
{
	struct outcome o;
	assert_int_equal(submit(out, send, &o), 0);
	assert_int_equal(o.calls, 0);
	run_until(out, &o);
	return o;
}

static struct http_out *sender(bool allow_loopback)
{
	const struct http_out_config config = {
		.allow_loopback = allow_loopback,
		.allow_http = true,
		.max_transfers = 8,
	};
	struct http_out *out = NULL;
	assert_int_equal(http_out_new(&out, &config, NULL), 0);
	return out;
}

struct world {
	struct loopback server;
	struct http_out *out;
	char url[64];
	char warm[64];
};

static void world_start(struct world *w, const struct loopback_script *script)
{
	loopback_start(&w->server, script);
	w->out = sender(true);
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/pay?a=1", w->server.port);
	snprintf(w->warm, sizeof(w->warm), "http://127.0.0.1:%u/warm", w->server.port);
}

static void world_stop(struct world *w)
{
	http_out_free(&w->out);
	assert_null(w->out);
	loopback_stop(&w->server);
}

static enum reply_class class_of(const struct outcome *o, enum reply_word word)
{
	static const struct classify_rules silent;
	bool alarm;
	return classify_submit(&o->transfer, word, &silent, &alarm);
}

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

static void check_end(const struct outcome *o, enum transfer_end end)
{
	if (o->transfer.end != end)
		fail_msg("%s (%s), not %s", transfer_end_name(o->transfer.end), o->reason,
			transfer_end_name(end));
}

static void check_not_sent(const struct outcome *o, enum transfer_end end)
{
	check_end(o, end);
	assert_int_equal(o->transfer.bytes_sent, 0);
	assert_int_equal(o->transfer.status, 0);
	assert_int_equal(class_of(o, WORD_NONE), CLASS_NOT_SENT);
}

static void sends_and_reads(void **state)
{
	static const struct http_field fields[] = {
		{STR_INIT("Content-Type"), STR_INIT("application/json")},
		{STR_INIT("X-Empty"), STR_INIT("  ")},
	};
	struct world w;
	world_start(
		&w, &(struct loopback_script){.act = ACT_KEEP,
			    .reply = STR("HTTP/1.1 202 Accepted\r\nContent-Type: text/x\r\n"
					 "Retry-After: 120\r\nContent-Length: 4\r\n\r\na\0bc")});
	struct outcome o = perform(w.out, &(struct send){.url = w.url,
						  .body = STR("{\"a\":\"\\u0000\"}"),
						  .fields = fields,
						  .fields_len = 2,
						  .ready = always_ready});
	check_end(&o, TRANSFER_COMPLETE);
	assert_int_equal(o.transfer.status, 202);
	assert_true(o.transfer.bytes_sent > 50);
	assert_int_equal(o.body_len, 4);
	assert_int_equal(o.retry_after_s, 120);
	assert_string_equal(o.type, "text/x");
	world_stop(&w);
	const char *sent = w.server.last;
	assert_int_equal(w.server.requests, 1);
	assert_memory_equal(sent, "POST /pay?a=1 HTTP/1.1\r\n", 24);
	assert_non_null(strstr(sent, "\r\nUser-Agent: tama\r\n"));
	assert_non_null(strstr(sent, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(sent, "\r\nX-Empty:\r\n"));
	assert_non_null(strstr(sent, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(sent, "\r\n\r\n{\"a\":\"\\u0000\"}"));
	assert_null(strcasestr(sent, "expect"));
	assert_null(strcasestr(sent, "accept-encoding"));
	assert_null(strcasestr(sent, "x-www-form"));
}

static void methods(void **state)
{
	static const struct {
		const char *method;
		const char *head;
		struct str body;
	} cases[] = {
		{"GET", "GET /", STR_INIT("")},
		{"POST", "POST /", STR_INIT("")},
		{"PUT", "PUT /", STR_INIT("x")},
		{"PATCH", "PATCH /", STR_INIT("x")},
		{"DELETE", "DELETE /", STR_INIT("")},
		{"GET", "GET /", STR_INIT("odd")},
	};
	struct world w;
	for (size_t i = 0; i < ROWS(cases); i++) {
		world_start(&w, &(struct loopback_script){ACT_KEEP, .reply = STR(OK_REPLY)});
		/* Twice, a POST between: a recycled handle must not remember it. */
		struct send send = {.url = w.url, .method = cases[i].method, .body = cases[i].body};
		for (int n = 0; n < 2; n++) {
			struct outcome o =
				perform(w.out, &(struct send){.url = w.url, .body = STR("p")});
			check_end(&o, TRANSFER_COMPLETE);
			o = perform(w.out, &send);
			check_end(&o, TRANSFER_COMPLETE);
		}
		world_stop(&w);
		assert_memory_equal(w.server.last, cases[i].head, strlen(cases[i].head));
		const char *body = strstr(w.server.last, "\r\n\r\n") + 4;
		check_str(cases[i].body, body);
		assert_int_equal(w.server.requests, 4);
	}
}

/*
 * Finding 1 of reliability.md: on a kept-alive connection that dies before the first reply byte,
 * libcurl sends the request again by itself. The query shows that this libcurl does so, the money
 * request that ours does not.
 */
static unsigned requests_after_warming(bool is_query, struct outcome *o)
{
	struct world w;
	world_start(&w, &(struct loopback_script){.act = ACT_CLOSE});
	struct outcome warm = perform(
		w.out, &(struct send){.url = w.warm, .is_query = true, .body = STR("warm")});
	check_end(&warm, TRANSFER_COMPLETE);
	unsigned before = w.server.requests;
	*o = perform(w.out, &(struct send){.url = w.url, .is_query = is_query, .body = STR("PAY")});
	world_stop(&w);
	return w.server.requests - before;
}

static void one_request_when_a_kept_alive_connection_dies(void **state)
{
	struct outcome o;
	assert_true(requests_after_warming(true, &o) >= 2);
	assert_int_equal(requests_after_warming(false, &o), 1);
	check_end(&o, TRANSFER_BROKEN);
	assert_true(o.transfer.bytes_sent > 0);
	assert_int_equal(class_of(&o, WORD_NONE), CLASS_UNKNOWN);
}

static unsigned connections_of_two(bool is_query)
{
	struct world w;
	world_start(&w, &(struct loopback_script){ACT_KEEP, .reply = STR(OK_REPLY)});
	for (int i = 0; i < 2; i++) {
		struct outcome o =
			perform(w.out, &(struct send){.url = w.url, .is_query = is_query});
		check_end(&o, TRANSFER_COMPLETE);
	}
	world_stop(&w);
	assert_int_equal(w.server.requests, 2);
	return w.server.connections;
}

static void money_opens_a_connection_each_queries_share(void **state)
{
	assert_int_equal(connections_of_two(false), 2);
	assert_int_equal(connections_of_two(true), 1);
}

static void check_every_cut(struct str reply)
{
	for (size_t k = 0; k < reply.n; k++) {
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
	check_every_cut(STR(OK_REPLY));
	check_every_cut(
		STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"));
	check_every_cut(
		STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
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

static void redirects_are_not_followed(void **state)
{
	struct world w;
	world_start(&w, &(struct loopback_script){ACT_KEEP,
				.reply = STR("HTTP/1.1 307 Temporary Redirect\r\nLocation: /pay\r\n"
					     "Content-Length: 0\r\n\r\n")});
	struct outcome o = perform(w.out, &(struct send){.url = w.url});
	world_stop(&w);
	check_end(&o, TRANSFER_COMPLETE);
	assert_int_equal(o.transfer.status, 307);
	assert_int_equal(w.server.requests, 1);
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

static void not_ready_sends_nothing(void **state)
{
	struct world w;
	world_start(&w, &(struct loopback_script){ACT_KEEP, .reply = STR(OK_REPLY)});
	struct outcome o = perform(w.out, &(struct send){.url = w.url, .ready = never_ready});
	check_not_sent(&o, TRANSFER_NOT_STARTED);
	assert_string_equal(o.reason, "abandoned before it was sent");
	/* A connection from the pool opens no socket, but asks as well. */
	o = perform(w.out, &(struct send){.url = w.warm, .is_query = true});
	check_end(&o, TRANSFER_COMPLETE);
	o = perform(w.out, &(struct send){.url = w.url, .is_query = true, .ready = never_ready});
	check_not_sent(&o, TRANSFER_NOT_STARTED);
	world_stop(&w);
	assert_int_equal(w.server.requests, 1);
}

static void own_network_is_refused(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost",
		"10.0.0.1", "inside.invalid", "0.0.0.0", "2130706433", "0x7f.1"};
	struct world w;
	world_start(&w, &(struct loopback_script){ACT_KEEP, .reply = STR(OK_REPLY)});
	struct http_out *strict = sender(false);
	for (size_t i = 0; i < ROWS(hosts); i++) {
		char url[64];
		snprintf(url, sizeof(url), "http://%s:%u/", hosts[i], w.server.port);
		struct outcome o = perform(strict, &(struct send){.url = url});
		check_not_sent(&o, TRANSFER_NOT_STARTED);
		assert_string_equal(o.reason, "address not allowed");
	}
	/* The same name is served where loopback is allowed, so it was the guard. */
	snprintf(w.url, sizeof(w.url), "http://inside.invalid:%u/", w.server.port);
	struct outcome o = perform(w.out, &(struct send){.url = w.url});
	check_end(&o, TRANSFER_COMPLETE);
	http_out_free(&strict);
	world_stop(&w);
	assert_int_equal(w.server.connections, 1);
}

static void bad_urls_and_methods_are_refused(void **state)
{
	static const char *const urls[] = {"", "127.0.0.1/", "ftp://1.1.1.1/", "file:///etc/passwd",
		"gopher://1.1.1.1/", "http://", "http://a b/", "http://a/\r\nX: y",
		"http://a/\xc3\xa9", "https:/a"};
	struct http_out *out = sender(true);
	struct outcome o;
	for (size_t i = 0; i < ROWS(urls); i++)
		assert_int_equal(submit(out, &(struct send){.url = urls[i]}, &o), TAMA_EINVAL);
	static const char *const methods_[] = {
		"", "get", "HEAD", "CONNECT", "POST / HTTP/1.1\r\nX: "};
	for (size_t i = 0; i < ROWS(methods_); i++)
		assert_int_equal(
			submit(out, &(struct send){.url = "http://1.1.1.1/", .method = methods_[i]},
				&o),
			TAMA_EINVAL);
	static char long_url[LIMIT_HTTP_HEADER_BYTES + 64] = "http://1.1.1.1/";
	memset(long_url + 15, 'a', LIMIT_HTTP_HEADER_BYTES);
	assert_int_equal(submit(out, &(struct send){.url = long_url}, &o), TAMA_ELIMIT);
	static char long_body[LIMIT_TURN_BYTES + 1];
	assert_int_equal(submit(out,
				 &(struct send){.url = "http://1.1.1.1/",
					 .body = {long_body, sizeof(long_body)}},
				 &o),
		TAMA_ELIMIT);
	assert_int_equal(http_out_busy(out), 0);
	assert_int_equal(o.calls, 0);
	/* What libcurl alone finds wrong ends at once, without a socket. */
	o = perform(out, &(struct send){.url = "http://127.0.0.1:99999/"});
	check_not_sent(&o, TRANSFER_NOT_STARTED);
	http_out_free(&out);
}

static void http_is_refused_unless_allowed(void **state)
{
	const struct http_out_config config = {.allow_loopback = true, .max_transfers = 1};
	struct http_out *out = NULL;
	struct outcome o;
	assert_int_equal(http_out_new(&out, &config, NULL), 0);
	assert_int_equal(submit(out, &(struct send){.url = "http://127.0.0.1/"}, &o), TAMA_EINVAL);
	assert_int_equal(submit(out, &(struct send){.url = "HTTPS://127.0.0.1:1/"}, &o), 0);
	run_until(out, &o);
	check_not_sent(&o, TRANSFER_CONNECT);
	http_out_free(&out);
}

static void header_injection_is_refused(void **state)
{
	static const struct http_field fields[] = {
		{STR_INIT("X"), STR_INIT("a\r\nY: b")},
		{STR_INIT("X"), STR_INIT("a\nb")},
		{STR_INIT("X"), STR_INIT("a\rb")},
		{STR_INIT("X"), STR_INIT("a\0b")},
		{STR_INIT("X"), STR_INIT("a\x7f")},
		{STR_INIT(""), STR_INIT("a")},
		{STR_INIT("X\r\nY"), STR_INIT("a")},
		{STR_INIT("X: Y"), STR_INIT("a")},
		{STR_INIT("X\0"), STR_INIT("a")},
		{STR_INIT("@file"), STR_INIT("a")},
		{STR_INIT("content-length"), STR_INIT("3")},
		{STR_INIT("Transfer-Encoding"), STR_INIT("chunked")},
		{STR_INIT("Expect"), STR_INIT("100-continue")},
		{STR_INIT("ACCEPT-ENCODING"), STR_INIT("gzip")},
		{STR_INIT("Connection"), STR_INIT("keep-alive")},
	};
	struct http_out *out = sender(true);
	struct outcome o;
	for (size_t i = 0; i < ROWS(fields); i++) {
		struct send send = {
			.url = "http://127.0.0.1:1/", .fields = &fields[i], .fields_len = 1};
		if (submit(out, &send, &o) != TAMA_EINVAL)
			fail_msg("field %zu went through", i);
	}
	static char value[LIMIT_HTTP_HEADER_BYTES];
	memset(value, 'v', sizeof(value));
	const struct http_field big = {STR_INIT("X"), {value, sizeof(value)}};
	assert_int_equal(
		submit(out,
			&(struct send){
				.url = "http://127.0.0.1:1/", .fields = &big, .fields_len = 1},
			&o),
		TAMA_ELIMIT);
	assert_int_equal(http_out_busy(out), 0);
	http_out_free(&out);
}

static void the_line_is_bounded(void **state)
{
	static struct outcome outcomes[LIMIT_WIRE_TRANSFERS + 8];
	struct world w;
	world_start(&w, &(struct loopback_script){.act = ACT_HOLD});
	struct send send = {.url = w.url};
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(submit(w.out, &send, &outcomes[i]), 0);
	/* Eight at once are under way as soon as the server has them; the rest waits. */
	for (int i = 0; i < 400 && w.server.requests < 8; i++)
		http_out_run(w.out, -1, 10);
	for (size_t i = 8; i < ROWS(outcomes); i++)
		assert_int_equal(submit(w.out, &send, &outcomes[i]), 0);
	struct outcome one_more;
	assert_int_equal(submit(w.out, &send, &one_more), TAMA_EFULL);
	http_out_run(w.out, -1, 0);
	assert_int_equal(http_out_busy(w.out), ROWS(outcomes));
	assert_int_equal(w.server.connections, 8);
	/* Stopping calls back for all: those that were sent are a doubt, the others are not. */
	http_out_free(&w.out);
	for (size_t i = 0; i < ROWS(outcomes); i++) {
		assert_int_equal(outcomes[i].calls, 1);
		if (i < 8)
			check_end(&outcomes[i], TRANSFER_BROKEN);
		else
			check_not_sent(&outcomes[i], TRANSFER_NOT_STARTED);
		assert_string_equal(outcomes[i].reason, "stopped");
	}
	world_stop(&w);
}

struct chain {
	struct http_out *out;
	const struct send *send;
	unsigned left;
	unsigned done;
	int last_rc;
};

static void on_chain(void *ctx, const struct http_out_result *result)
{
	struct chain *chain = ctx;
	const struct http_call call = {.method = STR("POST"), .url = str_c(chain->send->url)};
	const struct http_out_request request = {
		.call = &call, .is_money = true, .total_ms = 5000, .done = on_chain, .ctx = chain};
	chain->done++;
	if (chain->left > 0) {
		chain->left--;
		chain->last_rc = http_out_submit(chain->out, &request);
	}
}

static void a_callback_may_submit(void **state)
{
	struct world w;
	world_start(&w, &(struct loopback_script){ACT_CLOSE, .reply = STR(OK_REPLY)});
	struct send send = {.url = w.url};
	struct chain chain = {w.out, &send, .left = 20};
	const struct http_out_result none = {0};
	on_chain(&chain, &none);
	for (int i = 0; i < 400 && http_out_busy(w.out) > 0; i++)
		http_out_run(w.out, -1, 50);
	assert_int_equal(chain.done, 21);
	assert_int_equal(w.server.requests, 20);
	/* Not while the sender is being freed. */
	chain.left = 2;
	on_chain(&chain, &none);
	assert_int_equal(chain.last_rc, 0);
	http_out_free(&w.out);
	assert_int_equal(chain.last_rc, TAMA_EFULL);
	assert_int_equal(chain.done, 23);
	world_stop(&w);
}

static void wakes_and_waits(void **state)
{
	struct http_out *out = sender(true);
	int wake[2];
	struct timespec before, after;
	assert_int_equal(pipe(wake), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	http_out_run(out, wake[0], 30);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000 +
			    (after.tv_nsec - before.tv_nsec) / 1000000 >=
		    29);
	assert_int_equal(write(wake[1], "", 1), 1);
	http_out_run(out, wake[0], 60000); /* would hang the test */
	close(wake[0]);
	close(wake[1]);
	http_out_free(&out);
	http_out_free(&out);
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

static void tls_start(struct tls_server *s)
{
	char command[512], line[32] = "";
	int out[2];
	snprintf(s->folder, sizeof(s->folder), "/tmp/tama-tls-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->certificate, sizeof(s->certificate), "%s/cert.pem", s->folder);
	snprintf(command, sizeof(command),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
		" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
		" -keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
		s->folder, s->folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(pipe(out), 0);
	s->pid = fork();
	if (s->pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execlp("python3", "python3", "-c", TLS_SERVER, s->folder, NULL);
		_exit(127);
	}
	close(out[1]);
	assert_true(read(out[0], line, sizeof(line) - 1) > 0);
	s->port = (unsigned)strtoul(line, NULL, 10);
	close(out[0]);
}

static void tls_stop(struct tls_server *s)
{
	char command[96];
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", s->folder);
	assert_int_equal(system(command), 0);
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
	struct tls_server s;
	char url[64], other_name[64];
	tls_start(&s);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", s.port);
	snprintf(other_name, sizeof(other_name), "https://inside.invalid:%u/", s.port);
	struct outcome o = over_tls(s.certificate, url, always_ready);
	check_end(&o, TRANSFER_COMPLETE);
	assert_string_equal(o.body, "ok");
	o = over_tls(s.certificate, url, never_ready);
	check_not_sent(&o, TRANSFER_NOT_STARTED);
	o = over_tls(NULL, url, always_ready);
	check_not_sent(&o, TRANSFER_TLS);
	assert_non_null(strcasestr(o.reason, "certificate"));
	o = over_tls(s.certificate, other_name, always_ready);
	check_not_sent(&o, TRANSFER_TLS);
	o = over_tls("/nowhere/ca.pem", url, always_ready);
	check_not_sent(&o, TRANSFER_TLS);
	tls_stop(&s);
}

static int start(void **state)
{
	return http_out_global_init(NULL);
}

static int stop(void **state)
{
	http_out_global_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_and_reads),
		cmocka_unit_test(methods),
		cmocka_unit_test(one_request_when_a_kept_alive_connection_dies),
		cmocka_unit_test(money_opens_a_connection_each_queries_share),
		cmocka_unit_test(unknown_at_every_cut),
		cmocka_unit_test(silence_and_drip_end_at_the_total_time),
		cmocka_unit_test(too_large_is_cut_off),
		cmocka_unit_test(a_body_of_the_limit_is_read),
		cmocka_unit_test(redirects_are_not_followed),
		cmocka_unit_test(encodings_are_left_alone),
		cmocka_unit_test(what_is_no_http_1_reply_is_broken),
		cmocka_unit_test(refused_port_sent_nothing),
		cmocka_unit_test(connect_timeout_sent_nothing),
		cmocka_unit_test(unknown_name_sent_nothing),
		cmocka_unit_test(slow_lookup_blocks_nobody),
		cmocka_unit_test(tls_to_a_plain_server_sent_nothing),
		cmocka_unit_test(tls_peers_are_verified),
		cmocka_unit_test(not_ready_sends_nothing),
		cmocka_unit_test(own_network_is_refused),
		cmocka_unit_test(bad_urls_and_methods_are_refused),
		cmocka_unit_test(http_is_refused_unless_allowed),
		cmocka_unit_test(header_injection_is_refused),
		cmocka_unit_test(the_line_is_bounded),
		cmocka_unit_test(a_callback_may_submit),
		cmocka_unit_test(wakes_and_waits),
	};
	return cmocka_run_group_tests_name("http_out", tests, start, stop);
}
