/*
 * What the listener refuses (reliability.md F-J1, F-J2, F-J8). Each request below is followed by a
 * second one on the same connection, which must never reach the handler: what the library takes for
 * the end of a malformed request is an attacker's choice.
 */
#include "http_in_rig.h"

#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
#define HOST "Host: a\r\n"

struct refusal {
	const char *name;
	struct str request;
	int status;
	size_t heads; /* in the answer */
};

#define CASE(name, text, status)                                                                   \
	{                                                                                          \
		name, STR_INIT(text), status, 1                                                    \
	}
/* A length that is no number libmicrohttpd 0.9.75 refuses by itself, with its head sent twice. */
#define TWICE(name, text, status)                                                                  \
	{                                                                                          \
		name, STR_INIT(text), status, 2                                                    \
	}

static const struct refusal refusals[] = {
	CASE("two equal lengths",
		"POST /x HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
		400),
	CASE("two different lengths",
		"POST /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 36\r\n\r\n", 400),
	CASE("two lengths, the other way round",
		"POST /x HTTP/1.1\r\n" HOST "Content-Length: 36\r\nContent-Length: 0\r\n\r\n", 400),
	CASE("length and coding",
		"POST /x HTTP/1.1\r\n" HOST
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		400),
	CASE("coding and length",
		"POST /x HTTP/1.1\r\n" HOST
		"Transfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
		400),
	CASE("two codings",
		"POST /x HTTP/1.1\r\n" HOST
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		400),
	CASE("a list of codings",
		"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		400),
	CASE("an unknown coding",
		"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
	CASE("a coding in HTTP/1.0",
		"POST /x HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
	CASE("a blank before the colon of a length",
		"POST /x HTTP/1.1\r\n" HOST "Content-Length : 36\r\n\r\n", 400),
	CASE("a blank before the colon of a coding",
		"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", 400),
	CASE("a folded length", "POST /x HTTP/1.1\r\n" HOST "Content-Length:\r\n 36\r\n\r\n", 400),
	CASE("a folded field", "GET /x HTTP/1.1\r\n" HOST "X-A: b\r\n\tc\r\nX-B: d\r\n\r\n", 400),
	CASE("a field folded with nothing", "GET /x HTTP/1.1\r\n" HOST "X-A: b\r\n \r\n\r\n", 400),
	CASE("a blank before the first field",
		"GET /x HTTP/1.1\r\n Content-Length: 36\r\n" HOST "\r\n", 400),
	CASE("NUL that hides a length",
		"POST /x HTTP/1.1\r\n" HOST "X-A: b\0\0Content-Length: 36\r\n\r\n", 400),
	CASE("NUL that hides a length between two fields",
		"POST /x HTTP/1.1\r\nX-A: b\0\0Content-Length: 36\r\n" HOST "\r\n", 400),
	CASE("NUL in a value", "GET /x HTTP/1.1\r\n" HOST "X-A: b\0c\r\n\r\n", 400),
	CASE("NUL in the last value", "GET /x HTTP/1.1\r\n" HOST "X-A: b\0cdef\r\n\r\n", 400),
	CASE("NUL in a name", "GET /x HTTP/1.1\r\n" HOST "X\0A: b\r\n\r\n", 400),
	CASE("NUL in the method", "GE\0T /x HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("NUL in the target", "GET /x\0y HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("a bare CR in a value", "GET /x HTTP/1.1\r\n" HOST "X-A: b\rX-B: c\r\n\r\n", 400),
	CASE("a control character in a value", "GET /x HTTP/1.1\r\n" HOST "X-A: \x01\r\n\r\n", 400),
	CASE("a name that is no token", "GET /x HTTP/1.1\r\n" HOST "X(A: b\r\n\r\n", 400),
	CASE("an empty name", "GET /x HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400),
	CASE("a line without a colon", "GET /x HTTP/1.1\r\n" HOST "Oops\r\n\r\n", 400),
	CASE("a method that is no token", "G(T /x HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("two blanks in the request line", "GET  /x HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("a blank in the target", "GET /x y HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("a tab in the target", "GET /x\ty HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("%00 in the path", "GET /nul%00x HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("another control character in the path", "GET /a%0ab HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("half an escape in the path", "GET /a%2 HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("no escape in the path", "GET /a%zzb HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("an escape in an escape", "GET /a%252e HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("dots", "GET /a/../b HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("dots at the end", "GET /a/.. HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("escaped dots", "GET /a/%2E./b HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("one dot", "GET /./b HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("an absolute target", "GET http://a/x HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("no slash", "GET x HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("an asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400),
	CASE("no Host", "GET /x HTTP/1.1\r\n\r\n", 400),
	CASE("two Hosts", "GET /x HTTP/1.1\r\n" HOST HOST "\r\n", 400),
	CASE("a length past the limit", "POST /x HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n",
		413),
	TWICE("a length past 64 bits",
		"POST /x HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", 413),
	CASE("a length past 63 bits",
		"POST /x HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", 400),
	TWICE("a length with a sign", "POST /x HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nabcde",
		400),
	TWICE("a list of lengths", "POST /x HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nabcde",
		400),
	TWICE("an empty length", "POST /x HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400),
	CASE("a chunk that is none",
		"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
	CASE("HTTP/2", "GET /x HTTP/2.0\r\n" HOST "\r\n", 505),
	CASE("HTTP/0.9", "GET /x HTTP/0.9\r\n" HOST "\r\n", 505),
};

static size_t count_replies(const char *text)
{
	size_t n = 0;
	for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
		n++;
	return n;
}

/* Sends the request in pieces of `step` bytes; true when it is refused as it should be. */
static bool is_refused(struct rig *rig, const struct refusal *refusal, size_t step, char *text)
{
	int fd = rig_dial(rig);
	struct str rest = refusal->request;
	while (rest.n > 0 && rig_try_send(fd, (struct str){rest.p, rest.n < step ? rest.n : step}))
		rest = str_from(rest, step);
	(void)rig_try_send(fd, STR(SMUGGLED));
	bool ends = rig_read_all(fd, text, RIG_BYTES);
	close(fd);
	int status = strlen(text) > 12 ? (int)strtol(text + 9, NULL, 10) : 0;
	if (ends && status == refusal->status && count_replies(text) == refusal->heads &&
		strstr(text, "Connection: close") != NULL)
		return true;
	print_error("%s (by %zu bytes): wanted %d and %s end, got:\n%s\n", refusal->name, step,
		refusal->status, ends ? "the" : "AN", text);
	return false;
}

static void check_refusals(size_t step)
{
	struct rig rig;
	char *text = malloc(RIG_BYTES);
	struct http_in_stats stats;
	size_t wrong = 0;
	rig_start(&rig, rig_config());
	for (size_t i = 0; i < ROWS(refusals); i++)
		wrong += !is_refused(&rig, &refusals[i], step, text);
	http_in_stats(rig.in, &stats);
	assert_int_equal(wrong, 0);
	assert_int_equal(rig.smuggled, 0);
	assert_int_equal(stats.requests, 0);
	free(text);
	rig_stop(&rig);
	assert_int_equal(rig.sent + rig.lost, 0);
}

static void test_refusals(void **state)
{
	check_refusals(SIZE_MAX);
}

/* A request may come in any portions. */
static void test_refusals_byte_by_byte(void **state)
{
	check_refusals(1);
}

/* A head of `fields` fields (Host among them) that is `bytes` long in all. */
static struct str head_of(char *out, size_t fields, size_t bytes)
{
	int n = snprintf(out, RIG_BYTES, "GET /x HTTP/1.1\r\n" HOST);
	for (size_t i = 2; i < fields; i++)
		n += snprintf(out + n, RIG_BYTES - (size_t)n, "X-%zu: v\r\n", i);
	n += snprintf(out + n, RIG_BYTES - (size_t)n, "X-Test: ");
	size_t len = (size_t)n;
	assert_true(len + 5 < bytes);
	memset(out + len, 'v', bytes - 4 - len);
	memcpy(out + bytes - 4, "\r\n\r\n", 4);
	return (struct str){out, bytes};
}

static int ask_head(struct rig *rig, size_t fields, size_t bytes, struct rig_reply *reply)
{
	char *out = malloc(RIG_BYTES);
	int fd = rig_dial(rig);
	(void)rig_try_send(fd, head_of(out, fields, bytes));
	int status = rig_read(fd, reply);
	if (status != 200)
		assert_true(reply->closes);
	close(fd);
	free(out);
	return status;
}

static void test_sizes_of_heads(void **state)
{
	struct rig rig;
	struct rig_reply *reply = malloc(sizeof(*reply));
	rig_start(&rig, rig_config());
	assert_int_equal(ask_head(&rig, 2, 8192, reply), 200);
	assert_true(reply->body.n > 8000);
	assert_int_equal(ask_head(&rig, 2, 8193, reply), 431);
	assert_int_equal(ask_head(&rig, 64, 2000, reply), 200);
	assert_non_null(strstr(reply->body.p, "|64|"));
	assert_int_equal(ask_head(&rig, 65, 2000, reply), 400);
	assert_int_equal(ask_head(&rig, 64, 8192, reply), 200);
	assert_int_equal(ask_head(&rig, 2, 9 * 1024, reply), 431);
	assert_int_equal(ask_head(&rig, 2, 60 * 1024, reply), 431);
	/* So many that they do not fit the library's table. */
	assert_int_equal(ask_head(&rig, 700, 8192, reply), 431);
	struct http_in_stats stats;
	http_in_stats(rig.in, &stats);
	assert_int_equal(stats.requests, 3);
	free(reply);
	rig_stop(&rig);
}

/* A body whose head takes the whole 8 KiB still comes through, and so does its answer. */
static void test_large_head_and_body(void **state)
{
	struct rig rig;
	struct rig_reply *reply = malloc(sizeof(*reply));
	char *out = malloc(RIG_BYTES);
	rig_start(&rig, rig_config());
	struct str head = head_of(out, 60, 8192);
	memcpy(out, "PUT", 3);
	char *at = strstr(out, "X-2: v\r\nX-3: v\r\nX-4: v\r\n");
	memcpy(at, "Content-Length:    600\r\n", 24);
	int fd = rig_dial(&rig);
	assert_true(rig_try_send(fd, head));
	memset(out, 'b', 600);
	assert_true(rig_try_send(fd, (struct str){out, 600}));
	assert_int_equal(rig_read(fd, reply), 200);
	assert_true(reply->body.n > 600 && reply->body.p[reply->body.n - 1] == 'b');
	close(fd);
	free(out);
	free(reply);
	rig_stop(&rig);
}

static void send_body(int fd, size_t len, bool chunked)
{
	char *out = malloc(len + 256);
	int n = 0;
	if (chunked)
		n = snprintf(out, 256,
			"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
			len);
	else
		n = snprintf(
			out, 256, "POST /x HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", len);
	memset(out + n, 'b', len);
	(void)rig_try_send(fd, (struct str){out, (size_t)n + len});
	if (chunked)
		(void)rig_try_send(fd, STR("\r\n0\r\n\r\n"));
	(void)rig_try_send(fd, STR(SMUGGLED));
	free(out);
}

static void test_sizes_of_bodies(void **state)
{
	struct rig rig;
	struct rig_reply *reply = malloc(sizeof(*reply));
	rig_start(&rig, rig_config());
	for (int chunked = 0; chunked < 2; chunked++) {
		int fd = rig_dial(&rig);
		send_body(fd, LIMIT_HTTP_BODY_BYTES, chunked);
		assert_int_equal(rig_read(fd, reply), 200);
		assert_true(reply->body.n > LIMIT_HTTP_BODY_BYTES);
		assert_int_equal(rig_read(fd, reply), 200);
		close(fd);
		assert_int_equal(rig.smuggled, chunked + 1);
	}
	for (int chunked = 0; chunked < 2; chunked++) {
		int fd = rig_dial(&rig);
		send_body(fd, LIMIT_HTTP_BODY_BYTES + 1, chunked);
		assert_int_equal(rig_read(fd, reply), 413);
		assert_true(reply->closes);
		assert_int_equal(rig_read(fd, reply), 0);
		close(fd);
	}
	/* Chunks without end are cut off. */
	int fd = rig_dial(&rig);
	send_body(fd, 10 * LIMIT_HTTP_BODY_BYTES, true);
	assert_int_equal(rig_read(fd, reply), 0);
	close(fd);
	assert_int_equal(rig.smuggled, 2);
	free(reply);
	rig_stop(&rig);
}

static void test_refusals_are_counted(void **state)
{
	struct rig rig;
	struct http_in_stats stats;
	struct rig_reply *reply = malloc(sizeof(*reply));
	rig_start(&rig, rig_config());
	assert_int_equal(rig_ask(&rig, "GET /x HTTP/1.1\r\n\r\n", reply), 400);
	assert_int_equal(
		rig_ask(&rig, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", reply),
		413);
	assert_int_equal(rig_ask(&rig, "GET /x HTTP/1.1\r\nOops\r\n\r\n", reply), 400);
	assert_int_equal(rig_ask(&rig, "GET /x HTTP/1.1\r\n" HOST "\r\n", reply), 200);
	/* A head that its sender gives up is no refusal. */
	int fd = rig_dial(&rig);
	rig_send(fd, "GET /x HTTP/1.1\r\nHo");
	close(fd);
	do
		http_in_stats(rig.in, &stats);
	while (stats.open > 0);
	assert_int_equal(stats.refused, 3);
	assert_int_equal(stats.requests, 1);
	free(reply);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_refusals_byte_by_byte),
		cmocka_unit_test(test_sizes_of_heads),
		cmocka_unit_test(test_large_head_and_body),
		cmocka_unit_test(test_sizes_of_bodies),
		cmocka_unit_test(test_refusals_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
