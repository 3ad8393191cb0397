/*
 * What a request may look like, which options it runs under, and how its end is told. libcurl's
 * behaviours named here are those of 7.88.1.
 */
#include "http_transfer.h"

#include "tama/address.h"
#include "tama/limits.h"
#include "tama/mutant.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define CONNECT_MS 5000
#define TOTAL_MS 45000
/* A peer that acknowledges nothing for so long is gone; slow answers of a living one do not count.
 */
#define HALF_OPEN_MS 20000
/* Buffers up to this size stay with the transfer. */
#define KEPT_BYTES (16 * 1024)

/* The first option that libcurl refuses stays in *code, and no further one is set. */
#define SET(code, easy, option, value)                                                             \
	(*(code) = *(code) != CURLE_OK ? *(code) : curl_easy_setopt((easy), (option), (value)))

struct fixed_option {
	CURLoption option;
	long value;
};

/* reliability.md 5.2; several are libcurl's defaults, said again so that they stay. */
static const struct fixed_option FIXED[] = {
	{CURLOPT_NOSIGNAL, 1},
	{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
	{CURLOPT_HTTP09_ALLOWED, 0},
	{CURLOPT_FOLLOWLOCATION, 0},
	{CURLOPT_HTTP_CONTENT_DECODING, 0},
	{CURLOPT_TRANSFER_ENCODING, 0},
	{CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC}, /* never a first request just to be asked */
	{CURLOPT_NETRC, CURL_NETRC_IGNORED},
	{CURLOPT_SSL_VERIFYPEER, 1},
	{CURLOPT_SSL_VERIFYHOST, 2},
	{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_VERBOSE, 0},
	/* Else a transfer that gives up on a dead name server blocks the thread until that answers.
	 */
	{CURLOPT_QUICK_EXIT, 1},
};

/* Fields that decide how a message is framed or coded are libcurl's and ours to set. */
static const struct str OUR_FIELDS[] = {
	STR_INIT("Connection"),
	STR_INIT("Content-Length"),
	STR_INIT("Transfer-Encoding"),
	STR_INIT("TE"),
	STR_INIT("Upgrade"),
	STR_INIT("Expect"),
	STR_INIT("Accept-Encoding"),
};

static const char *const METHODS[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

/* The response's head, line by line; also interim (1xx) heads and trailers. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is the library's. */
static size_t on_head(char *bytes, size_t one, size_t n, void *ctx)
{
	struct http_transfer *t = ctx;
	t->head_bytes += n;
	if (t->head_bytes > LIMIT_REPLY_BYTES) {
		t->is_too_large = true;
		return 0;
	}
	if (n > 0 && (bytes[0] == '\r' || bytes[0] == '\n')) {
		long status = 0;
		(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		t->is_head_whole = status >= 200;
	}
	return n;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
	struct http_transfer *t = ctx;
	buf_add(&t->body, bytes, n);
	if (!t->body.overflowed)
		return n;
	t->is_too_large = true;
	return 0;
}

static bool may_call(const struct http_transfer *t, const struct sockaddr *address)
{
	const struct http_out_config *config = t->config;

	return address_may_be_called(address, (struct address_nets){t->nets, t->nets_len}) ||
	       (config->allow_loopback && address_is_loopback(address)) ||
	       (config->allow_private && address_is_private(address));
}

/* A connection that is used again was opened for a request that may have been allowed more. */
static bool is_peer_allowed(const struct http_transfer *t, const char *peer)
{
	struct sockaddr_storage address;

	return address_read(str_c(peer), &address) &&
	       may_call(t, (const struct sockaddr *)(const void *)&address);
}

/*
 * CURLOPT_PREREQFUNCTION, because it is the last thing before the request is written: connection
 * and TLS handshake are done, and a reused connection passes here too, which opens no socket.
 * libcurl comes here again before it repeats a request on another connection (finding 1), so a
 * money request that got past FRESH_CONNECT somehow still ends here.
 */
static int on_ready(void *ctx, char *peer, char *local, int peer_port, int local_port)
{
	struct http_transfer *t = ctx;
	if (!is_peer_allowed(t, peer)) {
		t->is_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (t->is_money && t->begun > 0) {
		t->refusal = "not sent a second time";
		return CURL_PREREQFUNC_ABORT;
	}
	if (t->ready != NULL && !t->ready(t->ctx)) {
		t->is_abandoned = true;
		t->refusal = "abandoned before it was sent";
		return CURL_PREREQFUNC_ABORT;
	}
	t->begun++;
	return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_transfer *t = ctx;
	if (!may_call(t, &address->addr)) {
		t->is_refused = true;
		return CURL_SOCKET_BAD;
	}
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	const unsigned half_open_ms = HALF_OPEN_MS;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &half_open_ms, sizeof(half_open_ms));
	t->sockets++;
	return fd;
}

static CURLcode set_fixed(struct http_transfer *t)
{
	CURLcode code = CURLE_OK;
	const char *schemes = t->config->allow_http ? "http,https" : "https";
	for (size_t i = 0; i < sizeof(FIXED) / sizeof(FIXED[0]); i++)
		SET(&code, t->easy, FIXED[i].option, FIXED[i].value);
	SET(&code, t->easy, CURLOPT_PROTOCOLS_STR, schemes);
	SET(&code, t->easy, CURLOPT_REDIR_PROTOCOLS_STR, "https"); /* it takes no empty list */
	SET(&code, t->easy, CURLOPT_PROXY, "");
	SET(&code, t->easy, CURLOPT_USERAGENT, "tama");
	SET(&code, t->easy, CURLOPT_ACCEPT_ENCODING, NULL);
	/* libcurl keeps parsed certificates between connections only when there is no folder. */
	SET(&code, t->easy, CURLOPT_CAPATH, NULL);
	if (t->config->ca_file != NULL)
		SET(&code, t->easy, CURLOPT_CAINFO, t->config->ca_file);
	SET(&code, t->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)LIMIT_REPLY_BYTES);
	SET(&code, t->easy, CURLOPT_HEADERFUNCTION, on_head);
	SET(&code, t->easy, CURLOPT_HEADERDATA, t);
	SET(&code, t->easy, CURLOPT_WRITEFUNCTION, on_body);
	SET(&code, t->easy, CURLOPT_WRITEDATA, t);
	SET(&code, t->easy, CURLOPT_PREREQFUNCTION, on_ready);
	SET(&code, t->easy, CURLOPT_PREREQDATA, t);
	SET(&code, t->easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(&code, t->easy, CURLOPT_OPENSOCKETDATA, t);
	SET(&code, t->easy, CURLOPT_ERRORBUFFER, t->error);
	SET(&code, t->easy, CURLOPT_PRIVATE, t);
	return code;
}

static bool has_scheme(struct str url, struct str scheme)
{
	return url.n > scheme.n && str_eq_nocase((struct str){url.p, scheme.n}, scheme);
}

/* Printable ASCII without space: what else a URL may mean, it says in percent signs. */
static bool is_url_allowed(const struct http_out_config *config, struct str url)
{
	for (size_t i = 0; i < url.n; i++) {
		if (url.p[i] <= ' ' || url.p[i] > '~')
			return false;
	}
	return has_scheme(url, STR("https://")) ||
	       (config->allow_http && has_scheme(url, STR("http://")));
}

/* RFC 9110 5.1 (a token) and 5.5, without the bytes above ASCII in names. */
static bool is_field_allowed(const struct http_field *field)
{
	if (field->name.n == 0)
		return false;
	for (size_t i = 0; i < field->name.n; i++) {
		char c = field->name.p[i];
		if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
			return false;
	}
	for (size_t i = 0; i < field->value.n; i++) {
		unsigned char c = (unsigned char)field->value.p[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	for (size_t i = 0; i < sizeof(OUR_FIELDS) / sizeof(OUR_FIELDS[0]); i++) {
		if (str_eq_nocase(field->name, OUR_FIELDS[i]))
			return false;
	}
	return true;
}

/* The method as a literal of ours; NULL when it is none we send. */
static const char *method_find(struct str method)
{
	for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++) {
		if (str_eq(method, str_c(METHODS[i])))
			return METHODS[i];
	}
	return NULL;
}

static int add_field_line(struct http_transfer *t, const char *line)
{
	struct curl_slist *longer = curl_slist_append(t->fields, line);
	if (longer == NULL)
		return TAMA_ENOMEM;
	t->fields = longer;
	return 0;
}

/* "Name: value", or "Name;", which is how libcurl wants an empty value. */
static int add_field(struct http_transfer *t, const struct http_field *field)
{
	struct str value = str_trim(field->value);
	buf_reset(&t->line);
	buf_add_str(&t->line, field->name);
	buf_add_str(&t->line, value.n > 0 ? STR(": ") : STR(";"));
	buf_add_str(&t->line, value);
	buf_add_char(&t->line, '\0');
	if (t->line.overflowed)
		return TAMA_ELIMIT;
	return add_field_line(t, t->line.p);
}

static int set_fields(
	struct http_transfer *t, const struct http_out_request *request, bool has_body)
{
	const struct http_call *call = request->call;
	bool has_type = false;
	for (size_t i = 0; i < call->fields_len; i++) {
		if (!is_field_allowed(&call->fields[i]))
			return TAMA_EINVAL;
		int rc = add_field(t, &call->fields[i]);
		if (rc != 0)
			return rc;
		has_type |= str_eq_nocase(call->fields[i].name, STR("Content-Type"));
	}
	int rc = has_body ? add_field_line(t, "Expect:") : 0;
	/* Else libcurl calls every body a form. */
	if (rc == 0 && has_body && !has_type)
		rc = add_field_line(t, "Content-Type:");
	if (rc == 0 && request->is_money)
		rc = add_field_line(t, "Connection: close");
	return rc;
}

static int set_url(struct http_transfer *t, struct str url, CURLcode *code)
{
	if (!is_url_allowed(t->config, url))
		return TAMA_EINVAL;
	buf_reset(&t->line);
	buf_add_str(&t->line, url);
	buf_add_char(&t->line, '\0');
	if (t->line.overflowed)
		return TAMA_ELIMIT;
	SET(code, t->easy, CURLOPT_URL, t->line.p);
	return 0;
}

static void set_method(struct http_transfer *t, const char *method, bool has_body, CURLcode *code)
{
	const char *implied = has_body ? "POST" : "GET";
	if (has_body) {
		SET(code, t->easy, CURLOPT_POST, 1L);
		SET(code, t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->sent.n);
		SET(code, t->easy, CURLOPT_POSTFIELDS, t->sent.n > 0 ? t->sent.p : "");
	} else {
		SET(code, t->easy, CURLOPT_HTTPGET, 1L);
	}
	SET(code, t->easy, CURLOPT_CUSTOMREQUEST, strcmp(method, implied) == 0 ? NULL : method);
}

static uint64_t bytes_sent(CURL *easy)
{
	long request = 0;
	curl_off_t upload = 0;
	(void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request);
	(void)curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &upload);
	return (uint64_t)request + (uint64_t)upload;
}

/* No request was let go: what stopped it? */
static enum transfer_end end_before_request(const struct http_transfer *t, CURLcode code)
{
	if (t->is_abandoned || (t->is_refused && t->sockets == 0))
		return TRANSFER_NOT_STARTED;
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return TRANSFER_DNS;
	if (t->sockets == 0)
		return code == CURLE_OPERATION_TIMEDOUT ? TRANSFER_DNS : TRANSFER_NOT_STARTED;
	/* Counted when TCP is through; CURLINFO_CONNECT_TIME stays 0 until TLS is. */
	long connections = 0;
	(void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connections);
	return connections > 0 ? TRANSFER_TLS : TRANSFER_CONNECT;
}

/*
 * Decided by how far the transfer came and not by libcurl's codes alone, of which several say the
 * same before and after the request. A connection that closes inside the head is CURLE_OK there.
 */
static enum transfer_end end_of(const struct http_transfer *t, CURLcode code)
{
	if (code == CURLE_OK)
		return t->is_head_whole ? TRANSFER_COMPLETE : TRANSFER_BROKEN;
	if (t->begun == 0)
		return end_before_request(t, code);
	if (t->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
		return TRANSFER_TOO_LARGE;
	return code == CURLE_OPERATION_TIMEDOUT ? TRANSFER_TIMEOUT : TRANSFER_BROKEN;
}

static const char *reason_of(const struct http_transfer *t, CURLcode code)
{
	if (t->refusal != NULL)
		return t->refusal;
	if (t->begun == 0 && t->is_refused && t->sockets == 0)
		return "address not allowed";
	if (t->is_too_large)
		return "response too large";
	if (code == CURLE_OK && !t->is_head_whole)
		return "closed inside the response's head";
	return code != CURLE_OK && t->error[0] != '\0' ? t->error : curl_easy_strerror(code);
}

static void wipe(struct buf *buf)
{
	if (buf->cap > KEPT_BYTES) {
		buf_fini(buf);
		return;
	}
	if (buf->p != NULL)
		explicit_bzero(buf->p, buf->cap);
	buf_reset(buf);
}

struct http_transfer *http_transfer_new(const struct http_out_config *config)
{
	struct http_transfer *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->config = config;
	buf_init(&t->line, LIMIT_HTTP_HEADER_BYTES);
	buf_init(&t->sent, LIMIT_TURN_BYTES);
	buf_init(&t->body, LIMIT_REPLY_BYTES);
	t->easy = curl_easy_init();
	if (t->easy == NULL || set_fixed(t) != CURLE_OK)
		http_transfer_free(&t);
	return t;
}

void http_transfer_free(struct http_transfer **t)
{
	if (*t == NULL)
		return;
	http_transfer_reset(*t);
	curl_easy_cleanup((*t)->easy);
	buf_fini(&(*t)->line);
	buf_fini(&(*t)->sent);
	buf_fini(&(*t)->body);
	free(*t);
	*t = NULL;
}

int http_transfer_prepare(struct http_transfer *t, const struct http_out_request *request)
{
	const struct http_call *call = request->call;
	const char *method = method_find(call->method);
	if (method == NULL || request->private_nets.n > ADDRESS_NETS_MAX)
		return TAMA_EINVAL;
	bool has_body = call->body.n > 0 || method[0] == 'P';
	buf_add_str(&t->sent, call->body);
	if (t->sent.overflowed)
		return TAMA_ELIMIT;
	CURLcode code = CURLE_OK;
	int rc = set_url(t, call->url, &code);
	if (rc == 0)
		rc = set_fields(t, request, has_body);
	if (rc != 0)
		return rc;
	set_method(t, method, has_body, &code);
	SET(&code, t->easy, CURLOPT_HTTPHEADER, t->fields);
	SET(&code, t->easy, CURLOPT_FRESH_CONNECT,
		request->is_money && !MUTANT(REUSED_CONNECTION) ? 1L : 0L);
	SET(&code, t->easy, CURLOPT_FORBID_REUSE,
		request->is_money && !MUTANT(REUSED_CONNECTION) ? 1L : 0L);
	SET(&code, t->easy, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(request->connect_ms != 0 ? request->connect_ms : CONNECT_MS));
	SET(&code, t->easy, CURLOPT_TIMEOUT_MS,
		(long)(request->total_ms != 0 ? request->total_ms : TOTAL_MS));
	t->nets_len = request->private_nets.n;
	if (t->nets_len > 0)
		memcpy(t->nets, request->private_nets.p, t->nets_len * sizeof(t->nets[0]));
	t->is_money = request->is_money;
	t->ready = request->ready;
	t->done = request->done;
	t->ctx = request->ctx;
	return code == CURLE_OK ? 0 : TAMA_EIO;
}

struct http_out_result http_transfer_result(struct http_transfer *t, CURLcode code)
{
	long status = 0;
	char *type = NULL;
	curl_off_t retry_after = 0;
	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
	(void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
	return (struct http_out_result){
		.transfer = {end_of(t, code), bytes_sent(t->easy), (unsigned)status},
		.type = str_c(type),
		.body = buf_str(&t->body),
		.retry_after_s = retry_after > 0 ? (uint64_t)retry_after : 0,
		.reason = reason_of(t, code),
	};
}

void http_transfer_reset(struct http_transfer *t)
{
	for (struct curl_slist *f = t->fields; f != NULL; f = f->next)
		explicit_bzero(f->data, strlen(f->data));
	curl_slist_free_all(t->fields);
	t->fields = NULL;
	wipe(&t->line);
	wipe(&t->sent);
	wipe(&t->body);
	t->nets_len = 0;
	t->begun = t->sockets = 0;
	t->head_bytes = 0;
	t->is_head_whole = t->is_too_large = t->is_abandoned = t->is_refused = false;
	t->refusal = NULL;
	t->error[0] = '\0';
}
