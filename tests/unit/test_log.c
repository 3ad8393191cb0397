/* The operator's log: one JSON object a line whatever it quotes, counted, and limited. */
#include "check.h"

#include "tama/err.h"
#include "tama/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <unistd.h>

struct kit {
	int fds[2];
	struct log *log;
};

static void kit_init(struct kit *kit)
{
	assert_int_equal(pipe2(kit->fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(log_new(kit->fds[1], &kit->log), 0);
}

static void kit_fini(struct kit *kit)
{
	log_free(&kit->log);
	assert_null(kit->log);
	(void)close(kit->fds[0]);
	(void)close(kit->fds[1]);
}

/* What has been written, as one NUL-terminated text; the number of lines. */
static size_t read_lines(const struct kit *kit, char *out, size_t cap)
{
	ssize_t n = read(kit->fds[0], out, cap - 1);
	size_t lines = 0;

	if (n < 0)
		n = 0;
	out[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		lines += out[i] == '\n';
	return lines;
}

static json_t *read_one(const struct kit *kit)
{
	char text[8192];
	json_error_t error;
	json_t *line;

	assert_int_equal(read_lines(kit, text, sizeof(text)), 1);
	line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (line == NULL)
		fail_msg("%s in %s", error.text, text);
	return line;
}

static const char *text_of(const json_t *line, const char *name)
{
	return json_string_value(json_object_get(line, name));
}

/* What a script or a dialect says when it errs may quote whom it served. */
static void test_numbers_are_masked(void **state)
{
	struct kit kit;
	json_t *line;

	kit_init(&kit);
	log_event(kit.log, "alarm", "menu", STR("K7QF2M9T"),
		STR("menu.lua:12: not 2250701020304, +256772123456 or 0701020304 on port 48291"));
	line = read_one(&kit);
	assert_string_equal(text_of(line, "detail"),
		"menu.lua:12: not +2250*******04, ++2567******56 or +07******04 on port 48291");
	assert_string_equal(text_of(line, "ref"), "K7QF2M9T");
	json_decref(line);
	kit_fini(&kit);
}

static void test_a_line(void **state)
{
	struct kit kit;
	json_t *line;

	kit_init(&kit);
	log_event(kit.log, "warn", "malformed", STR("at-ci"), STR("input is missing"));
	line = read_one(&kit);
	assert_string_equal(text_of(line, "level"), "warn");
	assert_string_equal(text_of(line, "what"), "malformed");
	assert_string_equal(text_of(line, "ref"), "at-ci");
	assert_string_equal(text_of(line, "detail"), "input is missing");
	assert_true(json_integer_value(json_object_get(line, "ms")) > INT64_C(1600000000000));
	json_decref(line);
	log_event(kit.log, "info", "started", STR(""), STR(""));
	line = read_one(&kit);
	assert_null(json_object_get(line, "ref"));
	assert_null(json_object_get(line, "detail"));
	json_decref(line);
	kit_fini(&kit);
}

/* F-J5: what it quotes can neither end the line nor the text, nor move a terminal's cursor. */
static void test_quoting(void **state)
{
	static const char evil[] = "\"},{\"what\":\"x\\\n\r\t\x1b[2J\x7f\x01 \xc3\xa9";
	struct kit kit;
	json_t *line;

	kit_init(&kit);
	log_event(kit.log, "warn", "odd", STR("\"\n"), str_c(evil));
	line = read_one(&kit);
	assert_string_equal(text_of(line, "what"), "odd");
	assert_string_equal(text_of(line, "ref"), "\"\n");
	assert_string_equal(text_of(line, "detail"), evil);
	json_decref(line);
	kit_fini(&kit);
}

/* Bytes that are no UTF-8 would make the line no JSON. */
static void test_bytes_that_are_no_text(void **state)
{
	static const char *const texts[] = {"\xff\xfe", "a\xc3", "\xed\xa0\x80", "\xc0\xaf",
		"\xf4\x90\x80\x80", "\xe2\x80\xae right to left"};

	for (size_t i = 0; i < ROWS(texts); i++) {
		struct kit kit;

		kit_init(&kit);
		log_event(kit.log, "warn", "odd", STR(""), str_c(texts[i]));
		json_decref(read_one(&kit));
		kit_fini(&kit);
	}
}

/* A long text is cut, and not in the middle of a letter. */
static void test_long_text(void **state)
{
	struct kit kit;
	char text[3001];
	json_t *line;

	for (size_t shift = 0; shift < 2; shift++) {
		kit_init(&kit);
		memset(text, 'x', sizeof(text));
		for (size_t i = shift; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\xc3\xa9", 2);
		text[3000] = '\0';
		log_event(kit.log, "warn", "long", str_c(text), str_c(text));
		line = read_one(&kit);
		assert_true(strlen(text_of(line, "detail")) <= 512);
		assert_true(strlen(text_of(line, "detail")) >= 510);
		json_decref(line);
		kit_fini(&kit);
	}
	/* The worst that 512 bytes can become. */
	kit_init(&kit);
	memset(text, 1, sizeof(text) - 1);
	log_event(kit.log, "warn", "long", str_c(text), str_c(text));
	json_decref(read_one(&kit));
	kit_fini(&kit);
}

static void test_limit(void **state)
{
	struct kit kit;
	static char text[65536];
	struct buf metrics;
	size_t lines;

	kit_init(&kit);
	for (int i = 0; i < 1000; i++)
		log_event(kit.log, "warn", "storm", STR(""), STR(""));
	lines = read_lines(&kit, text, sizeof(text));
	/* Ten a second, and it may have struck in between. */
	assert_true(lines >= 10 && lines <= 20);
	/* One name's storm does not hide another's line. */
	log_event(kit.log, "alarm", "other", STR(""), STR(""));
	json_decref(read_one(&kit));
	/* The next line tells how many were left out. */
	(void)usleep(1001000);
	log_event(kit.log, "warn", "storm", STR(""), STR(""));
	json_t *line = read_one(&kit);
	assert_int_equal(
		json_integer_value(json_object_get(line, "left_out")), 1000 - (json_int_t)lines);
	json_decref(line);
	buf_init(&metrics, 65536);
	log_metrics(kit.log, &metrics);
	buf_add_char(&metrics, '\0');
	assert_non_null(strstr(metrics.p, "tama_events_total{what=\"storm\"} 1001\n"));
	assert_non_null(strstr(metrics.p, "tama_events_total{what=\"other\"} 1\n"));
	buf_fini(&metrics);
	kit_fini(&kit);
}

/* A reader that has stopped reading stops nobody. */
static void test_full_pipe(void **state)
{
	struct kit kit;
	char name[200][16];

	kit_init(&kit);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "e%d", i);
		for (int n = 0; n < 10; n++)
			log_event(kit.log, "warn", name[i], STR("ref"), STR("detail"));
	}
	kit_fini(&kit);
	assert_int_equal(log_new(-1, &kit.log), 0);
	log_event(kit.log, "warn", "nowhere", STR(""), STR(""));
	log_free(&kit.log);
	log_free(&kit.log);
}

static void *storm(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_event(arg, "warn", i % 2 == 0 ? "even" : "odd", STR("r"), STR("d"));
	return NULL;
}

static void test_many_threads(void **state)
{
	struct kit kit;
	pthread_t threads[4];
	struct buf metrics;

	kit_init(&kit);
	for (size_t i = 0; i < ROWS(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, storm, kit.log), 0);
	for (size_t i = 0; i < ROWS(threads); i++)
		(void)pthread_join(threads[i], NULL);
	buf_init(&metrics, 65536);
	log_metrics(kit.log, &metrics);
	buf_add_char(&metrics, '\0');
	assert_non_null(strstr(metrics.p, "tama_events_total{what=\"even\"} 1000\n"));
	assert_non_null(strstr(metrics.p, "tama_events_total{what=\"odd\"} 1000\n"));
	buf_fini(&metrics);
	kit_fini(&kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_masked),
		cmocka_unit_test(test_a_line),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
