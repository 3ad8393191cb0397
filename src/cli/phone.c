/* The parts of a phone that dialling and texting share: see phone.h. */
#include "phone.h"

#include "tama/form.h"
#include "tama/gsm7.h"
#include "tama/http_out.h"

#include <inttypes.h>
#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COLUMNS 32
#define SCREEN_SEPTETS 160
#define POLL_MS 20000
#define ARENA_BYTES (1024 * 1024)
#define LISTEN_PAUSE_MS 1000

struct phone {
	struct phone_options options;
	struct http_out *out;
	uint64_t seen; /* the last SMS that was there before us, or shown */
	_Atomic bool is_stopping;
	int wake_fd; /* readable once the listening thread is to end */
	struct http_out *listen_out;
	pthread_t listener;
};

/* ---- boxes ----------------------------------------------------------------------------------- */

struct edges {
	const char *left_top, *right_top, *left_bottom, *right_bottom, *line, *side;
};

static const struct edges *edges_of_terminal(void)
{
	static const struct edges ascii = {"+", "+", "+", "+", "-", "|"};
	static const struct edges drawn = {"╭", "╮", "╰", "╯", "─", "│"};
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? &drawn : &ascii;
}

static size_t characters(struct str s)
{
	size_t n = 0;
	for (size_t at = 0; at < s.n; n++)
		(void)utf8_next(s, &at);
	return n;
}

/* The next line of at most COLUMNS characters, cut at a blank where there is one. */
static struct str line_cut(struct str *rest)
{
	size_t at = 0, blank = 0, n = 0;
	while (at < rest->n && rest->p[at] != '\n' && n < COLUMNS) {
		if (rest->p[at] == ' ')
			blank = at;
		(void)utf8_next(*rest, &at);
		n++;
	}
	bool is_whole = at == rest->n || rest->p[at] == '\n' || rest->p[at] == ' ';
	size_t end = is_whole || blank == 0 ? at : blank;
	struct str line = {rest->p, end};
	bool skips = end < rest->n && (rest->p[end] == '\n' || rest->p[end] == ' ');
	*rest = str_from(*rest, end + skips);
	return line;
}

/* What a terminal would obey is not printed: a screen comes from outside. */
static void line_print(struct str line)
{
	for (size_t at = 0; at < line.n;) {
		size_t from = at;
		uint32_t c = utf8_next(line, &at);
		if (c == UINT32_MAX || c < 0x20 || (c >= 0x7f && c < 0xa0))
			(void)fputc('?', stdout);
		else
			(void)fwrite(line.p + from, 1, at - from, stdout);
	}
}

static void edge_print(const struct edges *edges, bool is_top, struct str title)
{
	size_t used = title.n > 0 ? characters(title) + 2 : 0;
	(void)printf("%s%s", is_top ? edges->left_top : edges->left_bottom, edges->line);
	if (used > 0) {
		(void)fputc(' ', stdout);
		line_print(title);
		(void)fputc(' ', stdout);
	}
	for (size_t i = used; i < COLUMNS + 1; i++)
		(void)fputs(edges->line, stdout);
	(void)printf("%s\n", is_top ? edges->right_top : edges->right_bottom);
}

static void box_print(struct str title, struct str text, struct str count)
{
	const struct edges *edges = edges_of_terminal();
	flockfile(stdout);
	edge_print(edges, true, title);
	do {
		struct str line = line_cut(&text);
		(void)printf("%s ", edges->side);
		line_print(line);
		for (size_t i = characters(line); i < COLUMNS; i++)
			(void)fputc(' ', stdout);
		(void)printf(" %s\n", edges->side);
	} while (text.n > 0);
	edge_print(edges, false, count);
	(void)fflush(stdout);
	funlockfile(stdout);
}

void phone_show_screen(struct str text)
{
	char count[64];
	ptrdiff_t septets = gsm7_septets(text);
	if (septets >= 0)
		(void)snprintf(count, sizeof(count), "%td/%d", septets, SCREEN_SEPTETS);
	else
		(void)snprintf(
			count, sizeof(count), "not GSM 03.38, %zu characters/70", characters(text));
	box_print(STR(""), text, str_c(count));
}

void phone_show_sms(struct str from, struct str text)
{
	char count[64], title[64];
	ptrdiff_t septets = gsm7_septets(text);
	if (septets >= 0)
		(void)snprintf(
			count, sizeof(count), "%td septets, %u SMS", septets, gsm7_sms_parts(text));
	else
		(void)snprintf(count, sizeof(count), "UCS-2, %zu characters", characters(text));
	(void)snprintf(title, sizeof(title), "SMS from %.*s", (int)(from.n < 20 ? from.n : 20),
		from.p != NULL ? from.p : "");
	box_print(str_c(title), text, str_c(count));
}

/* ---- requests -------------------------------------------------------------------------------- */

struct waiting {
	struct arena *arena;
	struct http_reply *out;
	bool is_done;
	bool is_complete;
	char reason[160];
};

static void on_done(void *ctx, const struct http_out_result *result)
{
	struct waiting *w = ctx;
	w->is_done = true;
	w->is_complete = result->transfer.end == TRANSFER_COMPLETE;
	(void)snprintf(
		w->reason, sizeof(w->reason), "%s", result->reason != NULL ? result->reason : "");
	if (!w->is_complete)
		return;
	*w->out = (struct http_reply){
		.status = (unsigned)result->transfer.status,
		.type = arena_str(w->arena, result->type),
		.body = arena_str(w->arena, result->body),
	};
}

/* stop_fd readable ends the wait early; -1: nothing does. */
static bool request(
	struct http_out *out, const struct http_call *call, int stop_fd, struct waiting *w)
{
	const struct http_out_request r = {.call = call, .done = on_done, .ctx = w};
	if (http_out_submit(out, &r) != 0) {
		(void)snprintf(w->reason, sizeof(w->reason), "the URL cannot be called");
		w->is_done = true;
		return false;
	}
	while (!w->is_done) {
		uint64_t one;
		http_out_run(out, stop_fd, 1000);
		if (stop_fd >= 0 && read(stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
			return false;
	}
	return w->is_complete;
}

bool phone_call(struct phone *phone, const struct http_call *call, struct arena *arena,
	struct http_reply *out)
{
	struct waiting w = {.arena = arena, .out = out};
	if (request(phone->out, call, -1, &w))
		return true;
	(void)fprintf(stderr, "tama: no answer: %s\n", w.reason);
	return false;
}

struct str phone_channel_url(
	const struct phone *phone, const char *kind, struct str rest, struct arena *arena)
{
	const struct phone_options *o = &phone->options;
	return arena_printf(arena, "%s/%s/%s%s%s%.*s", o->url, kind, o->channel,
		o->secret != NULL ? "/" : "", o->secret != NULL ? o->secret : "", STR_ARG(rest));
}

struct str phone_chance(struct arena *arena, size_t n)
{
	unsigned char bytes[32];
	tama_assert(n <= 2 * sizeof(bytes));
	char hex[2 * sizeof(bytes) + 1];
	randombytes_buf(bytes, sizeof(bytes));
	(void)sodium_bin2hex(hex, sizeof(hex), bytes, sizeof(bytes));
	return arena_str(arena, (struct str){hex, n});
}

struct str phone_number(const struct phone *phone)
{
	const char *from = phone->options.from;
	return str_c(from[0] == '+' ? from + 1 : from);
}

/* ---- incoming SMS ---------------------------------------------------------------------------- */

static bool has_words(const char *text, const char *words)
{
	return words != NULL && strstr(text, words) != NULL;
}

/* Shows what came; true when the expected one is among it. */
static bool inbox_show(struct phone *phone, const json_t *answer, bool is_shown)
{
	bool found = false;
	size_t i;
	json_t *message;
	const json_t *last = json_object_get(answer, "last");
	json_array_foreach(json_object_get(answer, "messages"), i, message)
	{
		const char *text = json_string_value(json_object_get(message, "text"));
		const char *from = json_string_value(json_object_get(message, "from"));
		if (text == NULL || !is_shown)
			continue;
		/* A prompt may stand on the line. */
		if (phone->listen_out != NULL)
			(void)fputc('\n', stdout);
		phone_show_sms(str_c(from), str_c(text));
		found |= has_words(text, phone->options.expect_sms);
	}
	if (json_is_integer(last) && (uint64_t)json_integer_value(last) > phone->seen)
		phone->seen = (uint64_t)json_integer_value(last);
	return found;
}

enum inbox {
	INBOX_FAILED, /* the sandbox did not answer */
	INBOX_READ,
	INBOX_FOUND, /* with the expected message */
};

/* Waits for SMS for so long; is_shown = false only learns what was there before. */
static enum inbox inbox_read(
	struct phone *phone, struct http_out *out, int64_t wait_ms, bool is_shown)
{
	struct arena arena;
	struct http_reply reply = {0};
	enum inbox result = INBOX_FAILED;
	arena_init(&arena, ARENA_BYTES);
	struct waiting w = {.arena = &arena, .out = &reply};
	struct str url = arena_printf(&arena,
		"%s/_sandbox/sms?to=%.*s&after=%" PRIu64 "&wait_ms=%" PRId64,
		phone->options.sms_from, STR_ARG(phone_number(phone)), phone->seen, wait_ms);
	const struct http_call call = {.method = STR("GET"), .url = url};
	int stop_fd = out == phone->listen_out ? phone->wake_fd : -1;
	if (request(out, &call, stop_fd, &w) && reply.status == 200) {
		json_t *answer = json_loadb(reply.body.p, reply.body.n, 0, NULL);
		if (answer != NULL)
			result = inbox_show(phone, answer, is_shown) ? INBOX_FOUND : INBOX_READ;
		json_decref(answer);
	}
	/* Stopped in the middle: the transfer must end before what it writes to does. */
	if (!w.is_done)
		http_out_free(&phone->listen_out);
	arena_fini(&arena);
	return result;
}

static void *listen_run(void *arg)
{
	struct phone *phone = arg;
	const struct timespec pause = {LISTEN_PAUSE_MS / 1000, 0};
	while (!atomic_load(&phone->is_stopping)) {
		if (inbox_read(phone, phone->listen_out, POLL_MS, true) == INBOX_FAILED &&
			!atomic_load(&phone->is_stopping))
			(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

static int sender_new(struct http_out **out)
{
	struct err err = ERR_INIT;
	const struct http_out_config config = {
		.allow_private = true, .allow_http = true, .max_transfers = 2};
	int rc = http_out_new(out, &config, &err);
	if (rc != 0)
		(void)fprintf(stderr, "tama: %s\n", err.text);
	return rc;
}

void phone_listen(struct phone *phone)
{
	if (phone->options.sms_from == NULL || sender_new(&phone->listen_out) != 0)
		return;
	phone->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tama_assert(phone->wake_fd >= 0);
	tama_assert(pthread_create(&phone->listener, NULL, listen_run, phone) == 0);
}

static int64_t now_ms(void)
{
	struct timespec now;
	tama_assert(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool phone_expect(struct phone *phone)
{
	const char *words = phone->options.expect_sms;
	if (words == NULL)
		return true;
	int64_t end_ms = now_ms() + phone->options.wait_ms;
	for (int64_t left_ms = phone->options.wait_ms; left_ms > 0; left_ms = end_ms - now_ms()) {
		switch (inbox_read(
			phone, phone->out, left_ms < POLL_MS ? left_ms : POLL_MS, true)) {
		case INBOX_FOUND:
			return true;
		case INBOX_FAILED:
			(void)fputs("tama: the sandbox does not answer\n", stderr);
			return false;
		case INBOX_READ:
			break;
		}
	}
	(void)fprintf(stderr, "tama: no SMS with \"%s\" came within %" PRId64 " ms\n", words,
		phone->options.wait_ms);
	return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool are_options_usable(const struct phone_options *o, struct str number)
{
	int64_t digits;
	if (!str_to_i64(number, &digits) || number.n < 7 || number.n > 15) {
		(void)fputs("tama: --from is an international number of 7 to 15 digits\n", stderr);
		return false;
	}
	if (o->expect_sms != NULL && o->sms_from == NULL) {
		(void)fputs("tama: --expect-sms needs --sms-from\n", stderr);
		return false;
	}
	return true;
}

struct phone *phone_new(const struct phone_options *options)
{
	struct err err = ERR_INIT;
	struct phone *phone = calloc(1, sizeof(*phone));
	tama_assert(phone != NULL);
	phone->options = *options;
	phone->wake_fd = -1;
	(void)setlocale(LC_CTYPE, "");
	if (!are_options_usable(options, phone_number(phone))) {
		phone_free(&phone);
		return NULL;
	}
	if (sodium_init() < 0 || http_out_global_init(&err) != 0 || sender_new(&phone->out) != 0) {
		(void)fprintf(stderr, "tama: %s\n", err.text);
		phone_free(&phone);
		return NULL;
	}
	/* What is in the inbox already is not news. */
	if (options->sms_from != NULL && inbox_read(phone, phone->out, 0, false) == INBOX_FAILED) {
		(void)fputs("tama: the sandbox of --sms-from does not answer\n", stderr);
		phone_free(&phone);
	}
	return phone;
}

void phone_free(struct phone **handle)
{
	struct phone *phone = *handle;
	const uint64_t one = 1;
	if (phone == NULL)
		return;
	if (phone->wake_fd >= 0) {
		atomic_store(&phone->is_stopping, true);
		tama_assert(write(phone->wake_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
		tama_assert(pthread_join(phone->listener, NULL) == 0);
		(void)close(phone->wake_fd);
	}
	http_out_free(&phone->listen_out);
	http_out_free(&phone->out);
	free(phone);
	*handle = NULL;
}
