/* GSM 03.38 against the rows of tests/fixtures/gsm0338.tsv. */
#include "check.h"

#include "tama/gsm7.h"

#define FIXTURE "tests/fixtures/gsm0338.tsv"
#define BMP 0x10000

static struct str encode(uint32_t c, char out[4])
{
	size_t n = 0;
	if (c < 0x80) {
		out[n++] = (char)c;
	} else if (c < 0x800) {
		out[n++] = (char)(0xC0 | c >> 6);
		out[n++] = (char)(0x80 | (c & 0x3F));
	} else {
		out[n++] = (char)(0xE0 | c >> 12);
		out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
		out[n++] = (char)(0x80 | (c & 0x3F));
	}
	return (struct str){out, n};
}

/* Septets of each code point of the fixture, 0 for the others. */
static unsigned char *fixture_read(void)
{
	unsigned char *septets = calloc(BMP, 1);
	FILE *file = fopen(FIXTURE, "r");
	assert_non_null(septets);
	assert_non_null(file);
	char line[80];
	int rows = 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		struct str rest = str_trim(str_c(line));
		struct str code = str_cut(&rest, '\t');
		struct str point = str_cut(&rest, '\t');
		(void)str_cut(&rest, '\t');
		if (line[0] == '#' || !str_has_prefix(point, STR("U+")))
			continue;
		unsigned long c = strtoul(point.p + 2, NULL, 16);
		assert_true(c < BMP && code.n > 0);
		septets[c] = (unsigned char)(rest.p[0] - '0');
		rows++;
	}
	(void)fclose(file);
	assert_int_equal(rows, 127 + 10);
	return septets;
}

static void counts_every_character(void **state)
{
	unsigned char *want = fixture_read();
	for (uint32_t c = 0; c < BMP; c++)
		assert_int_equal(gsm7_septets_of(c), want[c]);
	assert_int_equal(gsm7_septets_of(UINT32_MAX), 0);
	assert_int_equal(gsm7_septets_of(0x1F600), 0);
	free(want);
}

static void counts_texts(void **state)
{
	assert_int_equal(gsm7_septets(STR("")), 0);
	assert_int_equal(gsm7_septets(STR("crédit [5 €]")), 15);
	assert_int_equal(gsm7_septets(STR("reçu")), -1);
	assert_int_equal(gsm7_septets(STR("a`")), -1);
	assert_int_equal(gsm7_septets(STR("a\xC3")), -1);
	assert_int_equal(gsm7_septets(STR("a\0")), -1);
}

/* Whatever comes in, GSM 03.38 comes out, and what GSM has comes out as it was. */
static void transliterates_every_character(void **state)
{
	struct arena arena;
	arena_init(&arena, 4096);
	for (uint32_t c = 0; c < BMP; c++) {
		char bytes[4];
		struct str in = encode(c, bytes);
		struct str out = gsm7_transliterate(in, &arena);
		assert_true(gsm7_septets(out) >= 0);
		if (gsm7_septets_of(c) > 0)
			assert_true(str_eq(in, out));
		assert_true(gsm7_septets(gsm7_fold(in, &arena)) >= 0);
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

static void transliterates_texts(void **state)
{
	static const char *const rows[][2] = {
		{"reçu, être, coût, même, dépôt, Côte d’Ivoire",
			"recu, etre, cout, meme, dépot, Cote d'Ivoire"},
		{"À bientôt… «œuf» – “no”", "A bientot... \"oeuf\" - \"no\""},
		{"1\u00A0500\u202FF", "1 500 F"},
		{"n° ŋ ɛ ɔ ẹ ƙ", "no n e o e k"},
		{"e\u0301\u200B!", "e!"},
		{"😀 \xFF`", "? ??"},
		{"Ça {€}", "Ça {€}"},
		{"", ""},
	};
	struct arena arena;
	arena_init(&arena, 4096);
	for (size_t i = 0; i < ROWS(rows); i++)
		check_str(gsm7_transliterate(str_c(rows[i][0]), &arena), rows[i][1]);
	arena_fini(&arena);
}

/* The letters of our languages that GSM 03.38 lacks (sms-gsm-numbering.md B.2). */
static void has_a_substitute_for_every_letter(void **state)
{
	static const char letters[] = "çêëâîïôûÿœÀÈÊËÂÎÏÔÛÙŸŒ«»’‘“”…–—°áâãçêíóôõúÀÁÂÃÊÍÓÔÕÚëóŋŊËÓÀ"
				      "ɛɔáâěíóúɓɗƙẹọṣịụṅ";
	struct arena arena;
	arena_init(&arena, 4096);
	struct str text = gsm7_transliterate(str_c(letters), &arena);
	assert_true(text.n > 0);
	assert_int_equal(str_find(text, '?'), -1);
	arena_fini(&arena);
}

static void folds_keywords(void **state)
{
	static const char *const rows[][2] = {
		{" arrêt ", "ARRET"},
		{"Crédit\t 500\r\n0701020304", "CREDIT 500 0701020304"},
		{"\uFEFFso\u200Blde\u00A0", "SOLDE"},
		{"ÇA où Ñandú œ ß", "CA OU NANDU OE SS"},
		{"   ", ""},
		{"", ""},
	};
	struct arena arena;
	arena_init(&arena, 4096);
	for (size_t i = 0; i < ROWS(rows); i++)
		check_str(gsm7_fold(str_c(rows[i][0]), &arena), rows[i][1]);
	arena_fini(&arena);
}

static void says_when_memory_ends(void **state)
{
	struct arena arena;
	arena_init(&arena, 2);
	assert_null(gsm7_transliterate(STR("abc"), &arena).p);
	assert_null(gsm7_fold(STR("abc"), &arena).p);
	assert_true(arena_overflowed(&arena));
	arena_fini(&arena);
}

static struct str repeat(char *out, const char *piece, size_t times, const char *tail)
{
	size_t n = 0;
	for (size_t i = 0; i < times; i++, n += strlen(piece))
		memcpy(out + n, piece, strlen(piece));
	memcpy(out + n, tail, strlen(tail));
	return (struct str){out, n + strlen(tail)};
}

static void counts_sms_parts(void **state)
{
	char text[1024];
	assert_int_equal(gsm7_sms_parts(STR("")), 1);
	assert_int_equal(gsm7_sms_parts(repeat(text, "a", 160, "")), 1);
	assert_int_equal(gsm7_sms_parts(repeat(text, "a", 161, "")), 2);
	assert_int_equal(gsm7_sms_parts(repeat(text, "a", 306, "")), 2);
	assert_int_equal(gsm7_sms_parts(repeat(text, "a", 307, "")), 3);
	assert_int_equal(gsm7_sms_parts(repeat(text, "€", 80, "")), 1);
	/* 153 is odd: a part of pairs alone carries 76 of them. */
	assert_int_equal(gsm7_sms_parts(repeat(text, "€", 152, "")), 2);
	assert_int_equal(gsm7_sms_parts(repeat(text, "€", 152, "ab")), 3);
	assert_int_equal(gsm7_sms_parts(STR("reçu")), 0);
}

static void decodes_utf8(void **state)
{
	struct str s = STR("a\xE2\x82\xAC\xFF\xF0\x9F\x98\x80");
	size_t at = 0;
	assert_int_equal(utf8_next(s, &at), 'a');
	assert_int_equal(utf8_next(s, &at), 0x20AC);
	assert_int_equal(utf8_next(s, &at), UINT32_MAX);
	assert_int_equal(at, 5);
	assert_int_equal(utf8_next(s, &at), 0x1F600);
	assert_int_equal(at, s.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_every_character),
		cmocka_unit_test(counts_texts),
		cmocka_unit_test(transliterates_every_character),
		cmocka_unit_test(transliterates_texts),
		cmocka_unit_test(has_a_substitute_for_every_letter),
		cmocka_unit_test(folds_keywords),
		cmocka_unit_test(says_when_memory_ends),
		cmocka_unit_test(counts_sms_parts),
		cmocka_unit_test(decodes_utf8),
	};
	return cmocka_run_group_tests_name("gsm7", tests, NULL, NULL);
}
