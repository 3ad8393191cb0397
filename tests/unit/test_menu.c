/* Menus: transcripts of the airtime service, and menus that err, lie or change. */
#include "check.h"

#include "menu_fixture.h"

#include "tama/gsm7.h"
#include "tama/transcript.h"

#include <unistd.h>

#ifndef CONFIG_IS_THERE
#endif

#define TRANSCRIPT_MAX (256 * 1024)

/* ---- helpers -----------------------------------------------------------------------------------
 */

static struct str read_file(const char *path, struct buf *buf)
{
	char block[4096];
	size_t n;
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("%s cannot be read", path);
	buf_init(buf, TRANSCRIPT_MAX);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_add(buf, block, n);
	(void)fclose(file);
	return buf_str(buf);
}

struct airtime {
	struct fixture_config f;
	struct buf files[3];
	struct menu_host *host;
};

static int airtime_setup(void **state)
{
	static const char *const names[] = {"menu.lua", "texts.fr.lua", "texts.en.lua"};
	static struct airtime a;
	struct err err = ERR_INIT;
	char path[128];
	fixture_init(&a.f, "menus/airtime");
	for (size_t i = 0; i < ROWS(names); i++) {
		(void)snprintf(path, sizeof(path), "menus/airtime/%s", names[i]);
		a.f.files[i] = (struct service_file){str_c(names[i]), read_file(path, &a.files[i])};
	}
	a.f.service.files_len = ROWS(names);
	if (menu_host_new(&a.f.config, &a.host, &err) != 0)
		fail_msg("%s", err.text);
	*state = &a;
	return 0;
}

static int airtime_teardown(void **state)
{
	struct airtime *a = *state;
	menu_host_free(&a->host);
	for (size_t i = 0; i < ROWS(a->files); i++)
		buf_fini(&a->files[i]);
	return 0;
}

static void save(const char *path, struct str text)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
	assert_int_equal(fclose(file), 0);
}

/* TAMA_RECORD=1 writes the transcripts anew instead of comparing. */
static struct transcript_stats play(struct airtime *a, const char *path)
{
	struct transcript_stats stats;
	struct err err = ERR_INIT;
	struct buf text, recorded;
	const struct transcript transcript = {path, a->host, &a->f.config, &a->f.service};
	buf_init(&recorded, TRANSCRIPT_MAX);
	int rc = transcript_play(&transcript, read_file(path, &text), &recorded, &stats, &err);
	if (rc == TAMA_ECONFLICT && getenv("TAMA_RECORD") != NULL)
		save(path, buf_str(&recorded));
	else if (rc != 0)
		fail_msg("%s", err.text);
	buf_fini(&text);
	buf_fini(&recorded);
	return stats;
}

/* ---- the airtime service -----------------------------------------------------------------------
 */

static void test_transcripts(void **state)
{
	struct transcript_stats fr = play(*state, "menus/airtime/fr.transcript");
	struct transcript_stats en = play(*state, "menus/airtime/en.transcript");
	struct transcript_stats sms = play(*state, "menus/airtime/sms.transcript");
	print_message("longest screen: fr %u, en %u, sms %u septets\n", fr.max_septets,
		en.max_septets, sms.max_septets);
	assert_true(fr.purchases >= 3 && en.purchases >= 2 && sms.purchases >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_transcripts, airtime_setup, airtime_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
