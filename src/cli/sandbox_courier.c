/*
 * The courier: one thread with a line of parcels ordered by time (a binary heap) and the sender
 * (http_out). It delivers IPNs until they are answered 200, calls delivery reports, gives late
 * answers, and lets waiting phones go when their time is over.
 *
 * A parcel is in the line, or in flight, or gone. Handlers put parcels in under the sandbox's lock
 * and wake the thread only when theirs is the first to be due.
 */
#include "sandbox_priv.h"

#include "tama/http_out.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Fewer than the sender keeps connections (LIMIT_WIRE_POOL), so that each finds one to reuse. */
#define IN_FLIGHT 32
#define IPN_TRIES 20
#define IPN_BACKOFF_MAX_MS 60000
#define DLR_TRIES 5
#define DLR_GAP_MS 20
#define REQUEST_MS 10000
#define WAKE_MS 1000

struct courier {
	struct sandbox *sandbox;
	struct http_out *out;
	struct parcel **heap;
	size_t n, cap;
	int wake_fd;
	_Atomic bool is_stopping;
	pthread_t thread;
};

/* ---- the line -------------------------------------------------------------------------------- */

static void heap_push(struct courier *c, struct parcel *parcel)
{
	if (c->n == c->cap) {
		c->cap = c->cap > 0 ? c->cap * 2 : 1024;
		c->heap = realloc(c->heap, c->cap * sizeof(struct parcel *));
		tama_assert(c->heap != NULL);
	}
	size_t at = c->n++;
	while (at > 0 && c->heap[(at - 1) / 2]->due_ms > parcel->due_ms) {
		c->heap[at] = c->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	c->heap[at] = parcel;
}

static struct parcel *heap_pop(struct courier *c)
{
	struct parcel *first = c->heap[0];
	struct parcel *last = c->heap[--c->n];
	size_t at = 0;
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= c->n)
			break;
		if (child + 1 < c->n && c->heap[child + 1]->due_ms < c->heap[child]->due_ms)
			child++;
		if (c->heap[child]->due_ms >= last->due_ms)
			break;
		c->heap[at] = c->heap[child];
		at = child;
	}
	c->heap[at] = last;
	return first;
}

static void wake(const struct courier *c)
{
	const uint64_t one = 1;
	if (write(c->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		tama_assert(!"the courier's eventfd cannot be written");
}

struct parcel *courier_parcel(struct sandbox *sandbox, enum parcel_kind kind)
{
	if (courier_waiting(sandbox->courier) >= SANDBOX_PARCELS)
		return NULL;
	struct parcel *parcel = calloc(1, sizeof(*parcel));
	tama_assert(parcel != NULL);
	parcel->kind = kind;
	parcel->sandbox = sandbox;
	return parcel;
}

void courier_send(struct courier *courier, struct parcel *parcel, int64_t in_ms)
{
	parcel->due_ms = sandbox_now_ms() + in_ms;
	heap_push(courier, parcel);
	if (courier->heap[0] == parcel)
		wake(courier);
}

size_t courier_waiting(const struct courier *courier)
{
	return courier->n;
}

static void parcel_drop(struct parcel *parcel)
{
	free(parcel->url);
	free(parcel);
}

/* The answer that somebody waits for, if it has not left yet. */
static void parcel_answer(struct parcel *parcel)
{
	if (parcel->turn != NULL)
		http_in_answer(parcel->turn, &parcel->reply);
	parcel->turn = NULL;
}

/* ---- how a transfer ended ---------------------------------------------------------------------
 */

static int64_t backoff_ms(const struct parcel *parcel)
{
	int64_t ms = parcel->sandbox->options.ipn_retry_ms;
	for (unsigned i = 1; i < parcel->tries && ms < IPN_BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < IPN_BACKOFF_MAX_MS ? ms : IPN_BACKOFF_MAX_MS;
}

/* Its next time, or -1 when it is done. */
static int64_t ipn_next_ms(struct parcel *parcel, struct sale *sale, bool is_ok)
{
	if (!is_ok)
		return parcel->tries < IPN_TRIES ? backoff_ms(parcel) : -1;
	sale->ipns_acknowledged++;
	parcel->tries = 0;
	if (!parcel->contradicts)
		return -1;
	parcel->contradicts = false;
	ledger_settle(&parcel->sandbox->ledger, sale,
		sale->state == SALE_FAILED ? SALE_SUCCESSFUL : SALE_FAILED);
	return 0;
}

static int64_t dlr_next_ms(struct parcel *parcel, bool is_ok)
{
	if (!is_ok)
		return parcel->tries < DLR_TRIES ? backoff_ms(parcel) : -1;
	parcel->tries = 0;
	parcel->dlr_left >>= 8;
	return parcel->dlr_left != 0 ? DLR_GAP_MS : -1;
}

static void on_done(void *ctx, const struct http_out_result *result)
{
	struct parcel *parcel = ctx;
	struct sandbox *sandbox = parcel->sandbox;
	bool is_complete = result->transfer.end == TRANSFER_COMPLETE;
	bool is_ok = is_complete && result->transfer.status == 200;
	int64_t next_ms = -1;
	parcel_answer(parcel);
	tama_assert(pthread_mutex_lock(&sandbox->lock) == 0);
	struct sale *sale = ledger_sale(&sandbox->ledger, parcel->sale);
	if (parcel->kind == PARCEL_DLR)
		next_ms = dlr_next_ms(parcel, is_complete && result->transfer.status / 100 == 2);
	else if (sale != NULL)
		next_ms = ipn_next_ms(parcel, sale, is_ok);
	if (next_ms >= 0 && !atomic_load(&sandbox->courier->is_stopping)) {
		courier_send(sandbox->courier, parcel, next_ms);
		parcel = NULL;
	}
	tama_assert(pthread_mutex_unlock(&sandbox->lock) == 0);
	if (parcel != NULL)
		parcel_drop(parcel);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* HMAC-SHA256 of the body in hexadecimal (easytransfert.md 1.12). */
static void sign(const struct sandbox *sandbox, struct str body, char out[static 65])
{
	crypto_auth_hmacsha256_state state;
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	const char *key = sandbox->options.et_signature;
	crypto_auth_hmacsha256_init(&state, (const unsigned char *)key, strlen(key));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.p, body.n);
	crypto_auth_hmacsha256_final(&state, mac);
	(void)sodium_bin2hex(out, 65, mac, sizeof(mac));
}

static int transfer_start(struct courier *c, struct parcel *parcel, const struct http_call *call)
{
	const struct http_out_request request = {
		.call = call,
		.total_ms = REQUEST_MS,
		.done = on_done,
		.ctx = parcel,
	};
	parcel->tries++;
	return http_out_submit(c->out, &request);
}

static int ipn_start(struct courier *c, struct parcel *parcel, struct sale *sale)
{
	struct sandbox *sandbox = c->sandbox;
	bool is_xente = sale->provider == SANDBOX_XENTE;
	char signature[65] = "";
	struct http_field fields[2] = {{STR("Content-Type"), STR("application/json")}};
	size_t fields_len = 1;
	struct buf body;
	buf_init(&body, LIMIT_HTTP_BODY_BYTES);
	if (is_xente)
		xente_write_ipn(sandbox, parcel, &body);
	else
		easytransfert_write_ipn(sandbox, parcel, &body);
	if (!is_xente && sandbox->options.et_signature != NULL) {
		sign(sandbox, buf_str(&body), signature);
		fields[fields_len++] =
			(struct http_field){STR("X-EASYTRANSFERT-SIGNATURE"), str_c(signature)};
	}
	const struct http_call call = {
		.method = STR("POST"),
		.url = str_c(is_xente ? sandbox->ipn_base : parcel->url),
		.fields = fields,
		.fields_len = fields_len,
		.body = buf_str(&body),
	};
	int rc = transfer_start(c, parcel, &call);
	sale->ipns_sent += rc == 0;
	buf_fini(&body);
	return rc;
}

static bool ipn_has_address(const struct parcel *parcel, const struct sale *sale)
{
	return sale->provider == SANDBOX_XENTE ? parcel->sandbox->ipn_base[0] != '\0'
					       : parcel->url != NULL;
}

/* False when nothing was sent, so that the parcel is done. */
static bool ipn_begin(struct courier *c, struct parcel *parcel)
{
	struct sale *sale = ledger_sale(&c->sandbox->ledger, parcel->sale);
	if (sale == NULL)
		return false;
	if (parcel->settles)
		ledger_settle(&parcel->sandbox->ledger, sale,
			parcel->fails ? SALE_FAILED : SALE_SUCCESSFUL);
	parcel->settles = false;
	if (parcel->is_silent || !ipn_has_address(parcel, sale))
		return false;
	return ipn_start(c, parcel, sale) == 0;
}

/* The report's address with its escapes filled in (sms-gsm-numbering.md A.2). */
static void dlr_write_url(const struct parcel *parcel, struct buf *out)
{
	unsigned bit = parcel->dlr_left & 0xff;
	for (const char *p = parcel->url; *p != '\0'; p++) {
		if (p[0] != '%' || p[1] == '\0') {
			buf_add_char(out, *p);
			continue;
		}
		switch (*++p) {
		case 'd':
			buf_printf(out, "%u", bit);
			break;
		case 'A':
			buf_printf(out, bit == 8 ? "ACK%%2F" : bit == 16 ? "NACK%%2F11" : "");
			break;
		case 'F':
			if (bit != 8)
				buf_printf(out, "%08" PRIx64, parcel->sale);
			break;
		case 'I':
			buf_printf(out, "%08" PRIx64 "-%u", parcel->sale, bit);
			break;
		case 'T':
			buf_printf(out, "%" PRId64, sandbox_clock_ms() / 1000);
			break;
		case 'i':
			buf_printf(out, "FAKE");
			break;
		default:
			/* An escape of the URL itself: "%2F". */
			buf_add(out, p - 1, 2);
			break;
		}
	}
}

static bool dlr_begin(struct courier *c, struct parcel *parcel)
{
	struct buf url;
	buf_init(&url, LIMIT_HTTP_HEADER_BYTES);
	dlr_write_url(parcel, &url);
	const struct http_call call = {.method = STR("GET"), .url = buf_str(&url)};
	bool begun = !url.overflowed && transfer_start(c, parcel, &call) == 0;
	buf_fini(&url);
	return begun;
}

static bool parcel_begin(struct courier *c, struct parcel *parcel)
{
	switch (parcel->kind) {
	case PARCEL_IPN:
		return ipn_begin(c, parcel);
	case PARCEL_DLR:
		return dlr_begin(c, parcel);
	case PARCEL_ANSWER:
		break;
	}
	return false;
}

/* Starts what is due; returns how long until the next is. */
static int64_t begin_due(struct courier *c)
{
	struct sandbox *sandbox = c->sandbox;
	int64_t wait_ms = WAKE_MS;
	tama_assert(pthread_mutex_lock(&sandbox->lock) == 0);
	int64_t now_ms = sandbox_now_ms();
	while (c->n > 0 && c->heap[0]->due_ms <= now_ms && http_out_busy(c->out) < IN_FLIGHT) {
		struct parcel *parcel = heap_pop(c);
		if (parcel_begin(c, parcel))
			continue;
		parcel_answer(parcel);
		parcel_drop(parcel);
	}
	/* With all lanes taken, the end of a transfer is what to wait for. */
	if (c->n > 0 && http_out_busy(c->out) < IN_FLIGHT)
		wait_ms = c->heap[0]->due_ms - now_ms;
	messages_expire(sandbox, now_ms, false);
	if (sandbox->messages.waiters_len > 0 && sandbox->messages.next_until_ms - now_ms < wait_ms)
		wait_ms = sandbox->messages.next_until_ms - now_ms;
	tama_assert(pthread_mutex_unlock(&sandbox->lock) == 0);
	return wait_ms < 0 ? 0 : wait_ms > WAKE_MS ? WAKE_MS : wait_ms;
}

static void *courier_run(void *arg)
{
	struct courier *c = arg;
	while (!atomic_load(&c->is_stopping)) {
		uint64_t woken;
		http_out_run(c->out, c->wake_fd, (int)begin_due(c));
		if (read(c->wake_fd, &woken, sizeof(woken)) < 0)
			tama_assert(errno == EAGAIN);
	}
	return NULL;
}

int courier_start(struct sandbox *sandbox, struct courier **out, struct err *err)
{
	/* Whom to call is said by whoever uses the sandbox, on this machine. */
	const struct http_out_config config = {.allow_private = true, .allow_http = true};
	struct courier *c = calloc(1, sizeof(*c));
	tama_assert(c != NULL);
	c->sandbox = sandbox;
	int rc = http_out_new(&c->out, &config, err);
	if (rc != 0) {
		free(c);
		return rc;
	}
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tama_assert(c->wake_fd >= 0);
	*out = c;
	tama_assert(pthread_create(&c->thread, NULL, courier_run, c) == 0);
	return 0;
}

void courier_stop(struct courier **handle)
{
	struct courier *c = *handle;
	if (c == NULL)
		return;
	atomic_store(&c->is_stopping, true);
	wake(c);
	tama_assert(pthread_join(c->thread, NULL) == 0);
	http_out_free(&c->out);
	while (c->n > 0) {
		struct parcel *parcel = heap_pop(c);
		parcel_answer(parcel);
		parcel_drop(parcel);
	}
	(void)close(c->wake_fd);
	free(c->heap);
	free(c);
	*handle = NULL;
}
