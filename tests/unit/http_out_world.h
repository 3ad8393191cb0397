/*
 * For the tests of http_out: a sender and a loopback server, what to send, what came of it, and a
 * look-up of names that asks no name server. Include it once in a program: it defines getaddrinfo.
 */
#ifndef TAMA_HTTP_OUT_WORLD_H
#define TAMA_HTTP_OUT_WORLD_H

#include <dlfcn.h>
#include <netdb.h>

#include "loopback.h"
#include "tama/classify.h"
#include "tama/http_out.h"
#include "tama/limits.h"

#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

/* Every name the tests use ends in .invalid, and the look-up is ours: no test asks a name server.
 */
static int slow_lookup[2];

static inline int lookup(const char *name, const char *service, const struct addrinfo *hints,
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

static inline void on_done(void *ctx, const struct http_out_result *result)
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

static inline bool never_ready(void *ctx)
{
	struct outcome *o = ctx;
	assert_int_equal(o->calls, 0);
	return false;
}

static inline bool always_ready(void *ctx)
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
	const char *listed[3]; /* networks that this peer may be in */
};

static inline int submit(struct http_out *out, const struct send *send, struct outcome *o)
{
	const struct http_call call = {
		.method = str_c(send->method != NULL ? send->method : "POST"),
		.url = str_c(send->url),
		.fields = send->fields,
		.fields_len = send->fields_len,
		.body = send->body,
	};
	struct address_net nets[3];
	size_t nets_len = 0;
	for (; nets_len < 3 && send->listed[nets_len] != NULL; nets_len++)
		assert_true(address_net_read(str_c(send->listed[nets_len]), &nets[nets_len]));
	const struct http_out_request request = {
		.call = &call,
		.private_nets = {nets, nets_len},
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

static inline void run_until(struct http_out *out, const struct outcome *o)
{
	for (int i = 0; i < 400 && o->calls == 0; i++)
		http_out_run(out, -1, 50);
	assert_int_equal(o->calls, 1);
}

static inline struct outcome perform(struct http_out *out, const struct send *send)
{
	struct outcome o;
	assert_int_equal(submit(out, send, &o), 0);
	assert_int_equal(o.calls, 0);
	run_until(out, &o);
	return o;
}

static inline struct http_out *sender(bool allow_loopback)
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

static inline void world_start(struct world *w, const struct loopback_script *script)
{
	loopback_start(&w->server, script);
	w->out = sender(true);
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/pay?a=1", w->server.port);
	snprintf(w->warm, sizeof(w->warm), "http://127.0.0.1:%u/warm", w->server.port);
}

static inline void world_stop(struct world *w)
{
	http_out_free(&w->out);
	assert_null(w->out);
	loopback_stop(&w->server);
}

static inline enum reply_class class_of(const struct outcome *o, enum reply_word word)
{
	static const struct classify_rules silent;
	bool alarm;
	return classify_submit(&o->transfer, word, &silent, &alarm);
}

static inline void check_end(const struct outcome *o, enum transfer_end end)
{
	if (o->transfer.end != end)
		fail_msg("%s (%s), not %s", transfer_end_name(o->transfer.end), o->reason,
			transfer_end_name(end));
}

static inline void check_not_sent(const struct outcome *o, enum transfer_end end)
{
	check_end(o, end);
	assert_int_equal(o->transfer.bytes_sent, 0);
	assert_int_equal(o->transfer.status, 0);
	assert_int_equal(class_of(o, WORD_NONE), CLASS_NOT_SENT);
}

static inline int world_init(void **state)
{
	/* A proxy that answers nobody: whoever asks the environment for one fails every test. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	return http_out_global_init(NULL);
}

static inline int world_fini(void **state)
{
	http_out_global_fini();
	return 0;
}

#endif
