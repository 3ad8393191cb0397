/* Promise 6: no page exceeds its limit and nothing is cut, first by example, then by chance. */
#include "check.h"

#include "tama/buf.h"
#include "tama/err.h"
#include "tama/gsm7.h"
#include "tama/screen.h"

#define ARENA_MAX (1024 * 1024)

static const struct str foot_lines[] = {STR_INIT("0. Retour"), STR_INIT("00. Accueil")};

static int setup(void **state)
{
	static struct arena arena;
	arena_init(&arena, ARENA_MAX);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_fini(*state);
	return 0;
}

static struct screen_page render(struct arena *arena, struct screen screen, unsigned page)
{
	struct screen_page out;
	screen.page = page;
	assert_int_equal(screen_render(&screen, arena, &out), 0);
	assert_int_equal(out.septets, gsm7_septets(out.text));
	assert_true(out.septets <= screen.limit);
	return out;
}

static int refusal(struct arena *arena, struct screen screen)
{
	struct screen_page out = {.pages = 99};
	int rc = screen_render(&screen, arena, &out);
	assert_int_equal(out.pages, 99);
	return rc;
}

static void shows_all_on_one_page(void **state)
{
	const struct str options[] = {STR_INIT("Pour moi"), STR_INIT(" Pour un autre numéro ")};
	const struct screen screen = {.reason = STR_INIT("Choix inconnu."),
		.head = STR_INIT("Recharger ?\n\nReçu : {€}"),
		.options = options,
		.options_len = 2,
		.foot = foot_lines,
		.foot_len = 2,
		.more = STR_INIT("98. Suite"),
		.limit = 182};
	struct screen_page page = render(*state, screen, 0);
	check_str(page.text, "Choix inconnu.\nRecharger ?\n\nRecu : {€}\n1. Pour moi\n"
			     "2. Pour un autre numéro\n0. Retour\n00. Accueil");
	assert_int_equal(page.pages, 1);
	assert_int_equal(page.first_option, 0);
	assert_int_equal(page.options_shown, 2);
}

static void pages_options_with_their_numbers(void **state)
{
	const struct str options[] = {STR_INIT("aaa"), STR_INIT("bbb"), STR_INIT("ccc"),
		STR_INIT("ddd"), STR_INIT("eee"), STR_INIT("fff"), STR_INIT("ggg"), STR_INIT("hhh"),
		STR_INIT("iii"), STR_INIT("jjj")};
	const struct screen screen = {.head = STR_INIT("Qui ?"),
		.options = options,
		.options_len = 10,
		.foot = foot_lines,
		.foot_len = 1,
		.more = STR_INIT("98. Suite"),
		.limit = 48};
	struct screen_page page = render(*state, screen, 0);
	check_str(page.text, "Qui ?\n1. aaa\n2. bbb\n3. ccc\n98. Suite\n0. Retour");
	assert_int_equal(page.pages, 3);
	assert_int_equal(page.options_shown, 3);
	page = render(*state, screen, 1);
	check_str(page.text, "4. ddd\n5. eee\n6. fff\n7. ggg\n98. Suite\n0. Retour");
	assert_int_equal(page.first_option, 3);
	page = render(*state, screen, 2);
	check_str(page.text, "8. hhh\n9. iii\n10. jjj\n0. Retour");
	assert_int_equal(page.first_option, 7);
	assert_int_equal(page.options_shown, 3);
	check_str(render(*state, screen, 3).text, "8. hhh\n9. iii\n10. jjj\n0. Retour");
}

static void pages_a_long_head_at_words(void **state)
{
	const struct str options[] = {STR_INIT("Oui")};
	const struct screen screen = {.head = STR_INIT("Envoyer 1\u00A0500\u00A0F au 07 01 ?"),
		.options = options,
		.options_len = 1,
		.more = STR_INIT("98. Suite"),
		.limit = 24};
	struct screen_page page = render(*state, screen, 0);
	check_str(page.text, "Envoyer\n98. Suite");
	assert_int_equal(page.options_shown, 0);
	assert_int_equal(page.first_option, 0);
	/* The last page has the room that the next-page line took. */
	check_str(render(*state, screen, 1).text, "1 500 F au 07\n98. Suite");
	page = render(*state, screen, 2);
	check_str(page.text, "01 ?\n1. Oui");
	assert_int_equal(page.options_shown, 1);
	assert_int_equal(page.pages, 3);
}

/* At the exact limit there is one page, one septet less makes two. */
static void uses_every_septet(void **state)
{
	const struct str options[] = {STR_INIT("aaa"), STR_INIT("bb|")};
	struct screen screen = {.head = STR_INIT("Qui parle ici ?"),
		.options = options,
		.options_len = 2,
		.foot = foot_lines,
		.foot_len = 1,
		.more = STR_INIT("98. Suite"),
		.limit = 15 + 7 + 8 + 10};
	struct screen_page page = render(*state, screen, 0);
	assert_int_equal(page.pages, 1);
	assert_int_equal(page.septets, screen.limit);
	screen.limit--;
	page = render(*state, screen, 0);
	assert_int_equal(page.pages, 2);
	check_str(page.text, "Qui parle ici ?\n98. Suite\n0. Retour");
}

static void gives_up_the_foot_before_the_text(void **state)
{
	struct screen screen = {.head = STR_INIT("abcdefghij klmnopqrstu"),
		.foot = foot_lines,
		.foot_len = 2,
		.more = STR_INIT("98. Suite"),
		.limit = 21};
	check_str(render(*state, screen, 0).text, "abcdefghij\n98. Suite");
	check_str(render(*state, screen, 1).text, "klmnopqrstu\n0. Retour");
}

static void shows_a_foot_alone(void **state)
{
	struct screen screen = {.foot = foot_lines, .foot_len = 2, .limit = 21};
	struct screen_page page = render(*state, screen, 0);
	check_str(page.text, "0. Retour\n00. Accueil");
	assert_int_equal(page.pages, 1);
	screen.limit = 20;
	assert_int_equal(refusal(*state, screen), TAMA_ELIMIT);
	screen.foot_len = 0;
	check_str(render(*state, screen, 0).text, "");
}

static void refuses_what_cannot_fit(void **state)
{
	const struct str options[] = {STR_INIT("abcdefghij"), STR_INIT("klmnopq")};
	struct screen screen = {.more = STR_INIT("98. Suite"), .limit = 20};
	screen.head = STR("abcdefghijklmnopqrst");
	assert_int_equal(render(*state, screen, 0).septets, 20);
	screen.head = STR("abcdefghijklmnopqrstu");
	assert_int_equal(refusal(*state, screen), TAMA_ELIMIT);
	screen.head = STR("a abcdefghijklmnopqrs|");
	assert_int_equal(refusal(*state, screen), TAMA_ELIMIT);
	screen.head = STR("");
	screen.options = options;
	screen.options_len = 2;
	assert_int_equal(refusal(*state, screen), TAMA_ELIMIT);
	screen.options_len = 1;
	check_str(render(*state, screen, 0).text, "1. abcdefghij");
}

static void says_when_memory_ends(void **state)
{
	const struct str options[] = {STR_INIT("Oui"), STR_INIT("Non")};
	const struct screen screen = {.head = STR_INIT("Bon ?"),
		.options = options,
		.options_len = 2,
		.foot = foot_lines,
		.foot_len = 1,
		.limit = 160};
	struct arena arena;
	struct screen_page out;
	size_t max = 0;
	int rc = TAMA_ENOMEM;
	for (; rc != 0 && max < ARENA_MAX; max += 16) {
		arena_init(&arena, max);
		rc = screen_render(&screen, &arena, &out);
		assert_true(rc == 0 || rc == TAMA_ENOMEM);
		arena_fini(&arena);
	}
	assert_int_equal(rc, 0);
	assert_true(max > 16 * 10);
}

/*
 * Chance. The texts are made of words without digits, so a page can be read back
 * into words, options and lines of the foot, by other means than the layout's.
 */
struct chance {
	uint32_t seed;
	struct buf head;
	struct buf option_texts;
	struct str options[24];
	struct screen screen;
};

static uint32_t chance_below(struct chance *c, uint32_t n)
{
	c->seed = c->seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)c->seed * n) >> 32);
}

static void chance_word(struct chance *c, struct buf *buf)
{
	static const char *const letters[] = {"a", "b", "é", "€", "[", "ê", "œ", "Ω", "|", "m"};
	for (uint32_t n = 1 + chance_below(c, 9); n > 0; n--)
		buf_add_str(buf, str_c(letters[chance_below(c, ROWS(letters))]));
}

static void chance_words(struct chance *c, struct buf *buf, uint32_t most)
{
	static const char *const blanks[] = {" ", "\n", "  ", "\n\n"};
	for (uint32_t n = chance_below(c, most + 1); n > 0; n--) {
		chance_word(c, buf);
		if (n > 1)
			buf_add_str(buf, str_c(blanks[chance_below(c, ROWS(blanks))]));
	}
}

static void chance_screen(struct chance *c)
{
	size_t ends[ROWS(c->options)];
	buf_reset(&c->head);
	buf_reset(&c->option_texts);
	chance_words(c, &c->head, 5);
	size_t reason_end = c->head.n;
	chance_words(c, &c->head, chance_below(c, 4) == 0 ? 120 : 12);
	c->screen = (struct screen){
		.more = STR("98. Suite"), .foot = foot_lines, .options = c->options};
	c->screen.reason = (struct str){c->head.p, reason_end};
	c->screen.head = str_from(buf_str(&c->head), reason_end);
	c->screen.foot_len = chance_below(c, 3);
	c->screen.options_len = chance_below(c, ROWS(c->options));
	c->screen.limit = 20 + chance_below(c, chance_below(c, 2) == 0 ? 40 : 200);
	for (size_t i = 0; i < c->screen.options_len; i++) {
		chance_word(c, &c->option_texts);
		buf_add_char(&c->option_texts, ' ');
		chance_word(c, &c->option_texts);
		ends[i] = c->option_texts.n;
	}
	for (size_t i = 0, begin = 0; i < c->screen.options_len; begin = ends[i++])
		c->options[i] = (struct str){c->option_texts.p + begin, ends[i] - begin};
}

/* What the pages of a screen must hold in order, one piece a line: words, then options. */
static void expected_pieces(const struct chance *c, struct arena *arena, struct buf *out)
{
	struct str text = arena_printf(
		arena, "%.*s\n%.*s", STR_ARG(c->screen.reason), STR_ARG(c->screen.head));
	struct str words = gsm7_transliterate(text, arena);
	for (size_t i = 0; i < words.n; i++) {
		bool is_blank = words.p[i] == ' ' || words.p[i] == '\n';
		if (!is_blank)
			buf_add_char(out, words.p[i]);
		else if (out->n > 0 && out->p[out->n - 1] != '\n')
			buf_add_char(out, '\n');
	}
	if (out->n > 0 && out->p[out->n - 1] != '\n')
		buf_add_char(out, '\n');
	for (size_t i = 0; i < c->screen.options_len; i++) {
		struct str option = gsm7_transliterate(c->options[i], arena);
		buf_printf(out, "%zu. %.*s\n", i + 1, STR_ARG(option));
	}
}

static bool drop_last_line(struct str *text, struct str line)
{
	if (text->n < line.n || !str_eq(str_from(*text, text->n - line.n), line))
		return false;
	text->n -= line.n;
	if (text->n > 0) {
		assert_int_equal(text->p[text->n - 1], '\n');
		text->n--;
	}
	return true;
}

/* Takes foot and next-page line off the page's text; returns how many foot lines there were. */
static size_t check_below(const struct screen *screen, unsigned number, struct screen_page *page)
{
	size_t feet = screen->foot_len;
	while (feet > 0 && !drop_last_line(&page->text, foot_lines[feet - 1]))
		feet--;
	for (size_t i = feet; i > 1; i--)
		assert_true(drop_last_line(&page->text, foot_lines[i - 2]));
	bool has_more = drop_last_line(&page->text, screen->more);
	assert_int_equal(has_more, number + 1 < page->pages);
	return feet;
}

/* Appends the page's pieces, one a line: an option is a line that begins with its number. */
static size_t read_pieces(struct str text, struct buf *out)
{
	size_t options = 0;
	while (text.p != NULL && text.n > 0) {
		struct str line = str_cut(&text, '\n');
		bool is_option = line.n > 0 && line.p[0] >= '0' && line.p[0] <= '9';
		options += is_option;
		while (line.p != NULL && line.n > 0) {
			struct str word = str_cut(&line, is_option ? '\n' : ' ');
			buf_add_str(out, word);
			if (word.n > 0)
				buf_add_char(out, '\n');
		}
	}
	return options;
}

/* Septets of the piece that begins at the offset. */
static size_t piece_septets(struct str pieces, size_t offset)
{
	struct str rest = str_from(pieces, offset);
	return (size_t)gsm7_septets(str_cut(&rest, '\n'));
}

static bool piece_is_last(struct str pieces, size_t offset)
{
	struct str rest = str_from(pieces, offset);
	return (size_t)str_find(rest, '\n') + 1 == rest.n;
}

static size_t foot_septets(const struct screen *screen, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += foot_lines[i].n + 1;
	return sum;
}

static void check_pages(struct chance *c, struct arena *arena, struct str want, struct buf *got)
{
	size_t options = 0;
	unsigned pages = 1;
	for (unsigned number = 0; number < pages; number++) {
		struct screen_page page = render(arena, c->screen, number);
		size_t begin = got->n;
		pages = page.pages;
		assert_true(pages <= 1000);
		size_t feet = check_below(&c->screen, number, &page);
		size_t shown = read_pieces(page.text, got);
		assert_int_equal(shown, page.options_shown);
		assert_int_equal(page.first_option, options);
		options += shown;
		arena_reset(arena);
		/* Excused only where the foot line leaves no room for a piece and the line to the
		 * rest. */
		if (feet < c->screen.foot_len) {
			size_t piece = piece_septets(want, begin);
			size_t foot = foot_septets(&c->screen, feet + 1);
			size_t more = piece_is_last(want, begin) ? 0 : c->screen.more.n + 1;
			assert_true(piece + foot + more > c->screen.limit);
		}
	}
	assert_true(str_eq(buf_str(got), want));
	assert_int_equal(options, c->screen.options_len);
}

/* A refusal is right only when some piece does not fit beside the next-page line, or the foot
 * alone. */
static void check_refusal(const struct chance *c, struct str want)
{
	size_t largest = 0;
	for (size_t at = 0; at < want.n; at += (size_t)str_find(str_from(want, at), '\n') + 1) {
		size_t septets = piece_septets(want, at);
		largest = septets > largest ? septets : largest;
	}
	size_t foot = foot_septets(&c->screen, c->screen.foot_len);
	assert_true(largest + c->screen.more.n + 1 > c->screen.limit || foot > c->screen.limit + 1);
}

static void keeps_its_promise_by_chance(void **state)
{
	struct arena *arena = *state;
	struct chance c = {.seed = 22384};
	struct buf want, got;
	unsigned refused = 0, paged = 0;
	buf_init(&c.head, 8192);
	buf_init(&c.option_texts, 8192);
	buf_init(&want, 16384);
	buf_init(&got, 16384);
	for (int round = 0; round < 4000; round++) {
		struct screen_page page;
		arena_reset(arena);
		buf_reset(&want);
		buf_reset(&got);
		chance_screen(&c);
		expected_pieces(&c, arena, &want);
		int rc = screen_render(&c.screen, arena, &page);
		if (rc == 0) {
			check_pages(&c, arena, buf_str(&want), &got);
			paged += page.pages > 1;
		} else {
			assert_int_equal(rc, TAMA_ELIMIT);
			check_refusal(&c, buf_str(&want));
			refused++;
		}
		assert_false(arena_overflowed(arena));
	}
	assert_true(paged > 1000);
	assert_true(refused > 100 && refused < 2000);
	buf_fini(&c.head);
	buf_fini(&c.option_texts);
	buf_fini(&want);
	buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_all_on_one_page, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_options_with_their_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_a_long_head_at_words, setup, teardown),
		cmocka_unit_test_setup_teardown(uses_every_septet, setup, teardown),
		cmocka_unit_test_setup_teardown(gives_up_the_foot_before_the_text, setup, teardown),
		cmocka_unit_test_setup_teardown(shows_a_foot_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_cannot_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(says_when_memory_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_its_promise_by_chance, setup, teardown),
	};
	return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
