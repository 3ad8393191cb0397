/* A small table of names with counters, and lines that cannot be forged by what they quote. */
#include "tama/log.h"

#include "tama/err.h"
#include "tama/msisdn.h"
#include "tama/wire.h"

#include <pthread.h>
#include <unistd.h>

#define NAMES_MAX 128
#define LINES_PER_S 10
#define REF_BYTES 128
#define DETAIL_BYTES 512
#define LINE_BYTES 8192 /* room for both with every byte escaped */

struct log_name {
	const char *what;
	uint64_t count;
	int64_t second; /* of the lines counted below */
	unsigned lines;
	uint64_t left_out;
};

struct log {
	pthread_mutex_t lock;
	int fd;
	struct log_name names[NAMES_MAX];
	size_t names_len;
};

int log_new(int fd, struct log **out)
{
	struct log *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return TAMA_ENOMEM;
	(void)pthread_mutex_init(&log->lock, NULL);
	log->fd = fd;
	*out = log;
	return 0;
}

void log_free(struct log **log)
{
	if (*log == NULL)
		return;
	(void)pthread_mutex_destroy(&(*log)->lock);
	free(*log);
	*log = NULL;
}

static struct log_name *name_of(struct log *log, const char *what)
{
	for (size_t i = 0; i < log->names_len; i++)
		if (strcmp(log->names[i].what, what) == 0)
			return &log->names[i];
	if (log->names_len == NAMES_MAX)
		return &log->names[NAMES_MAX - 1];
	log->names[log->names_len].what = what;
	return &log->names[log->names_len++];
}

/* Counts; false when this second has had its lines. */
static bool may_write(struct log_name *name, int64_t second)
{
	name->count++;
	if (name->second != second) {
		name->second = second;
		name->lines = 0;
	}
	if (name->lines >= LINES_PER_S) {
		name->left_out++;
		return false;
	}
	name->lines++;
	return true;
}

/* The letter at s.p: its bytes, or 0 when they are no UTF-8 or would turn the reading direction. */
static size_t letter(struct str s)
{
	unsigned char lead = (unsigned char)s.p[0];
	size_t n = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	return n <= s.n && str_is_clean_utf8((struct str){s.p, n}) ? n : 0;
}

static void add_escaped(struct buf *line, struct str s)
{
	while (s.n > 0) {
		unsigned char c = (unsigned char)s.p[0];
		size_t n = c < 0x80 ? 1 : letter(s);

		if (c == '"' || c == '\\')
			buf_printf(line, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(line, "\\u%04x", c);
		else if (n > 0)
			buf_add(line, s.p, n);
		else
			buf_add_char(line, '?');
		s = str_from(s, n > 0 ? n : 1);
	}
}

/* At most so many bytes of it, whole letters. */
static struct str cut(struct str s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max > 0 && ((unsigned char)s.p[max] & 0xC0) == 0x80)
		max--;
	return (struct str){s.p, max};
}

/* As many digits make a telephone number; fewer are a line, a port, an amount. */
#define NUMBER_DIGITS_MIN 8

static size_t digits_of(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return n;
}

/*
 * Numbers are masked here and not by callers alone: a menu or dialect that errs may quote whom it
 * served, and its words come through as they are.
 */
static void add_masked(struct buf *out, struct str s)
{
	char masked[MSISDN_MAX + 2];

	while (s.n > 0) {
		size_t n = digits_of(s), plain = n > 0 ? n : 1;

		if (n >= NUMBER_DIGITS_MIN) {
			msisdn_mask((struct str){s.p, n}, masked);
			buf_add_str(out, str_c(masked));
		} else
			buf_add(out, s.p, plain);
		s = str_from(s, plain);
	}
}

static void add_field(struct buf *line, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	buf_printf(line, ",\"%s\":\"", name);
	add_escaped(line, value);
	buf_add_char(line, '"');
}

void log_event(
	struct log *log, const char *level, const char *what, struct str ref, struct str detail)
{
	int64_t now_ms = clock_wall_ms();
	struct log_name *name;
	struct buf line, said;
	uint64_t left_out;
	bool write_it;

	(void)pthread_mutex_lock(&log->lock);
	name = name_of(log, what);
	write_it = may_write(name, now_ms / 1000);
	left_out = name->left_out;
	if (write_it)
		name->left_out = 0;
	(void)pthread_mutex_unlock(&log->lock);
	if (!write_it || log->fd < 0)
		return;
	buf_init(&line, LINE_BYTES);
	buf_init(&said, LINE_BYTES);
	add_masked(&said, cut(detail, DETAIL_BYTES));
	buf_printf(&line, "{\"ms\":%lld,\"level\":\"%s\",\"what\":\"%s\"", (long long)now_ms, level,
		what);
	add_field(&line, "ref", cut(ref, REF_BYTES));
	add_field(&line, "detail", buf_str(&said));
	if (left_out > 0)
		buf_printf(&line, ",\"left_out\":%llu", (unsigned long long)left_out);
	buf_add_str(&line, STR("}\n"));
	/* A full log volume must not stop money: the line is lost, the count is not. */
	(void)!write(log->fd, line.p, line.n);
	buf_fini(&said);
	buf_fini(&line);
}

void log_metrics(struct log *log, struct buf *out)
{
	buf_add_str(out, STR("# HELP tama_events_total Events in the log, by name.\n"
			     "# TYPE tama_events_total counter\n"));
	(void)pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->names_len; i++)
		buf_printf(out, "tama_events_total{what=\"%s\"} %llu\n", log->names[i].what,
			(unsigned long long)log->names[i].count);
	(void)pthread_mutex_unlock(&log->lock);
}
