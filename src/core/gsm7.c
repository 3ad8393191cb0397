/* Text as phones count it. */
#include "tama/gsm7.h"

#include "tama/err.h"

#define SEPTETS_ALONE 160 /* 3GPP TS 23.040: 140 octets */
#define SEPTETS_A_PART 153 /* less a concatenation header of 6 octets */

/* 3GPP TS 23.038 §6.2.1 and §6.2.1.1 by code point: the default alphabet counts 1, the extension 2.
 */
static const struct {
	uint16_t first;
	uint16_t last;
	unsigned septets;
} alphabet[] = {
	{0x000A, 0x000A, 1}, /* LF */
	{0x000C, 0x000C, 2}, /* FF */
	{0x000D, 0x000D, 1}, /* CR */
	{0x0020, 0x005A, 1}, /* blank to Z */
	{0x005B, 0x005E, 2}, /* [ \ ] ^ */
	{0x005F, 0x005F, 1}, /* _ */
	{0x0061, 0x007A, 1}, /* a to z */
	{0x007B, 0x007E, 2}, /* { | } ~ */
	{0x00A1, 0x00A1, 1}, /* ¡ */
	{0x00A3, 0x00A5, 1}, /* £ ¤ ¥ */
	{0x00A7, 0x00A7, 1}, /* § */
	{0x00BF, 0x00BF, 1}, /* ¿ */
	{0x00C4, 0x00C7, 1}, /* Ä Å Æ Ç */
	{0x00C9, 0x00C9, 1}, /* É */
	{0x00D1, 0x00D1, 1}, /* Ñ */
	{0x00D6, 0x00D6, 1}, /* Ö */
	{0x00D8, 0x00D8, 1}, /* Ø */
	{0x00DC, 0x00DC, 1}, /* Ü */
	{0x00DF, 0x00E0, 1}, /* ß à */
	{0x00E4, 0x00E6, 1}, /* ä å æ */
	{0x00E8, 0x00E9, 1}, /* è é */
	{0x00EC, 0x00EC, 1}, /* ì */
	{0x00F1, 0x00F2, 1}, /* ñ ò */
	{0x00F6, 0x00F6, 1}, /* ö */
	{0x00F8, 0x00F9, 1}, /* ø ù */
	{0x00FC, 0x00FC, 1}, /* ü */
	{0x0393, 0x0394, 1}, /* Γ Δ */
	{0x0398, 0x0398, 1}, /* Θ */
	{0x039B, 0x039B, 1}, /* Λ */
	{0x039E, 0x039E, 1}, /* Ξ */
	{0x03A0, 0x03A0, 1}, /* Π */
	{0x03A3, 0x03A3, 1}, /* Σ */
	{0x03A6, 0x03A6, 1}, /* Φ */
	{0x03A8, 0x03A9, 1}, /* Ψ Ω */
	{0x20AC, 0x20AC, 2}, /* € */
};

/*
 * What people read as the same (sms-gsm-numbering.md B.2, B.5), sorted. Letters that GSM 03.38 has
 * stand here too: a fold drops their accents, a transliteration keeps them. No text is longer than
 * the UTF-8 of what it stands for, so a result always fits where its source did.
 */
static const struct {
	uint16_t first;
	uint16_t last;
	char text[4];
} lookalikes[] = {{0x0009, 0x0009, " "}, {0x00A0, 0x00A0, " "}, {0x00AB, 0x00AB, "\""},
	{0x00AD, 0x00AD, ""}, {0x00B0, 0x00B0, "o"}, {0x00B2, 0x00B2, "2"}, {0x00B3, 0x00B3, "3"},
	{0x00B4, 0x00B4, "'"}, {0x00B7, 0x00B7, "."}, {0x00BA, 0x00BA, "o"}, {0x00BB, 0x00BB, "\""},
	{0x00C0, 0x00C5, "A"}, {0x00C6, 0x00C6, "AE"}, {0x00C7, 0x00C7, "C"}, {0x00C8, 0x00CB, "E"},
	{0x00CC, 0x00CF, "I"}, {0x00D0, 0x00D0, "D"}, {0x00D1, 0x00D1, "N"}, {0x00D2, 0x00D6, "O"},
	{0x00D7, 0x00D7, "x"}, {0x00D8, 0x00D8, "O"}, {0x00D9, 0x00DC, "U"}, {0x00DD, 0x00DD, "Y"},
	{0x00DF, 0x00DF, "ss"}, {0x00E0, 0x00E5, "a"}, {0x00E6, 0x00E6, "ae"},
	{0x00E7, 0x00E7, "c"}, {0x00E8, 0x00EB, "e"}, {0x00EC, 0x00EF, "i"}, {0x00F0, 0x00F0, "d"},
	{0x00F1, 0x00F1, "n"}, {0x00F2, 0x00F6, "o"}, {0x00F8, 0x00F8, "o"}, {0x00F9, 0x00FC, "u"},
	{0x00FD, 0x00FD, "y"}, {0x00FF, 0x00FF, "y"}, {0x0100, 0x0100, "A"}, {0x0101, 0x0101, "a"},
	{0x0112, 0x0112, "E"}, {0x0113, 0x0113, "e"}, {0x011A, 0x011A, "E"}, {0x011B, 0x011B, "e"},
	{0x0128, 0x0128, "I"}, {0x0129, 0x0129, "i"}, {0x012A, 0x012A, "I"}, {0x012B, 0x012B, "i"},
	{0x0143, 0x0143, "N"}, {0x0144, 0x0144, "n"}, {0x014A, 0x014A, "N"}, {0x014B, 0x014B, "n"},
	{0x014C, 0x014C, "O"}, {0x014D, 0x014D, "o"}, {0x0152, 0x0152, "OE"},
	{0x0153, 0x0153, "oe"}, {0x0168, 0x0168, "U"}, {0x0169, 0x0169, "u"}, {0x016A, 0x016A, "U"},
	{0x016B, 0x016B, "u"}, {0x0178, 0x0178, "Y"}, {0x0181, 0x0181, "B"}, {0x0186, 0x0186, "O"},
	{0x018A, 0x018A, "D"}, {0x0190, 0x0190, "E"}, {0x0198, 0x0198, "K"}, {0x0199, 0x0199, "k"},
	{0x019D, 0x019D, "N"}, {0x01B3, 0x01B3, "Y"}, {0x01B4, 0x01B4, "y"}, {0x01CD, 0x01CD, "A"},
	{0x01CE, 0x01CE, "a"}, {0x01CF, 0x01CF, "I"}, {0x01D0, 0x01D0, "i"}, {0x01D1, 0x01D1, "O"},
	{0x01D2, 0x01D2, "o"}, {0x01D3, 0x01D3, "U"}, {0x01D4, 0x01D4, "u"}, {0x01F8, 0x01F8, "N"},
	{0x01F9, 0x01F9, "n"}, {0x0253, 0x0253, "b"}, {0x0254, 0x0254, "o"}, {0x0257, 0x0257, "d"},
	{0x025B, 0x025B, "e"}, {0x0272, 0x0272, "n"}, {0x02BB, 0x02BC, "'"},
	{0x0300, 0x036F, ""}, /* combining accents */
	{0x1E44, 0x1E44, "N"}, {0x1E45, 0x1E45, "n"}, {0x1E62, 0x1E62, "S"}, {0x1E63, 0x1E63, "s"},
	{0x1EB8, 0x1EB8, "E"}, {0x1EB9, 0x1EB9, "e"}, {0x1EBC, 0x1EBC, "E"}, {0x1EBD, 0x1EBD, "e"},
	{0x1ECA, 0x1ECA, "I"}, {0x1ECB, 0x1ECB, "i"}, {0x1ECC, 0x1ECC, "O"}, {0x1ECD, 0x1ECD, "o"},
	{0x1EE4, 0x1EE4, "U"}, {0x1EE5, 0x1EE5, "u"}, {0x2000, 0x200A, " "}, {0x200B, 0x200D, ""},
	{0x2010, 0x2015, "-"}, {0x2018, 0x201B, "'"}, {0x201C, 0x201F, "\""}, {0x2022, 0x2022, "-"},
	{0x2026, 0x2026, "..."}, {0x202F, 0x202F, " "}, {0x2032, 0x2032, "'"},
	{0x2033, 0x2033, "\""}, {0x2039, 0x203A, "'"}, {0x205F, 0x205F, " "}, {0x2060, 0x2060, ""},
	{0x20A6, 0x20A6, "N"}, {0x2212, 0x2212, "-"}, {0x3000, 0x3000, " "}, {0xFEFF, 0xFEFF, ""}};

static const char *lookalike(uint32_t c)
{
	for (size_t i = 0; i < sizeof(lookalikes) / sizeof(lookalikes[0]); i++) {
		if (c < lookalikes[i].first)
			return NULL;
		if (c <= lookalikes[i].last)
			return lookalikes[i].text;
	}
	return NULL;
}

/* The substitute of one character; without one, the character itself when GSM has it, or "?". */
static struct str substitute(uint32_t c, struct str itself)
{
	const char *text = lookalike(c);
	if (text != NULL)
		return str_c(text);
	return gsm7_septets_of(c) > 0 ? itself : STR("?");
}

/* Nearly all of every screen: one byte of UTF-8 and one septet, which need no search. */
static bool is_plain(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= ' ' && byte <= 'Z') || byte == '\n';
}

unsigned gsm7_septets_of(uint32_t code_point)
{
	for (size_t i = 0; i < sizeof(alphabet) / sizeof(alphabet[0]); i++) {
		if (code_point < alphabet[i].first)
			return 0;
		if (code_point <= alphabet[i].last)
			return alphabet[i].septets;
	}
	return 0;
}

ptrdiff_t gsm7_septets(struct str utf8)
{
	ptrdiff_t sum = 0;
	for (size_t at = 0; at < utf8.n;) {
		if (is_plain(utf8.p[at])) {
			at++;
			sum++;
			continue;
		}
		unsigned septets = gsm7_septets_of(utf8_next(utf8, &at));
		if (septets == 0)
			return -1;
		sum += septets;
	}
	return sum;
}

struct str gsm7_transliterate(struct str utf8, struct arena *arena)
{
	char *out = arena_alloc(arena, utf8.n + 1);
	if (out == NULL)
		return (struct str){NULL, 0};
	size_t n = 0;
	for (size_t at = 0; at < utf8.n;) {
		if (is_plain(utf8.p[at])) {
			out[n++] = utf8.p[at++];
			continue;
		}
		size_t begin = at;
		uint32_t c = utf8_next(utf8, &at);
		struct str text = {utf8.p + begin, at - begin};
		if (gsm7_septets_of(c) == 0)
			text = substitute(c, text);
		tama_assert(text.n <= at - begin);
		memcpy(out + n, text.p, text.n);
		n += text.n;
	}
	return (struct str){out, n};
}

struct str gsm7_fold(struct str utf8, struct arena *arena)
{
	char *out = arena_alloc(arena, utf8.n + 1);
	if (out == NULL)
		return (struct str){NULL, 0};
	size_t n = 0;
	bool is_blank_due = false;
	for (size_t at = 0; at < utf8.n;) {
		size_t begin = at;
		uint32_t c = utf8_next(utf8, &at);
		struct str text = substitute(c, (struct str){utf8.p + begin, at - begin});
		for (size_t i = 0; i < text.n; i++) {
			char byte = text.p[i];
			if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\f') {
				is_blank_due = n > 0;
				continue;
			}
			if (is_blank_due)
				out[n++] = ' ';
			is_blank_due = false;
			out[n++] = byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A') : byte;
		}
	}
	return (struct str){out, n};
}

unsigned gsm7_sms_parts(struct str utf8)
{
	ptrdiff_t whole = gsm7_septets(utf8);
	if (whole < 0)
		return 0;
	if (whole <= SEPTETS_ALONE)
		return 1;
	unsigned parts = 1;
	unsigned used = 0;
	for (size_t at = 0; at < utf8.n;) {
		unsigned septets = gsm7_septets_of(utf8_next(utf8, &at));
		if (used + septets > SEPTETS_A_PART) {
			parts++;
			used = 0;
		}
		used += septets;
	}
	return parts;
}

/* Well-formed as in Unicode 3.9, table 3-7: shortest form, no surrogates, at most U+10FFFF. */
uint32_t utf8_next(struct str s, size_t *at)
{
	tama_assert(*at < s.n);
	size_t i = *at;
	unsigned char lead = (unsigned char)s.p[i++];
	*at = i;
	if (lead < 0x80)
		return lead;
	if (lead < 0xC2 || lead > 0xF4)
		return UINT32_MAX;
	unsigned more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
	uint32_t c = lead & (0x3FU >> more);
	if (s.n - i < more)
		return UINT32_MAX;
	for (unsigned k = 0; k < more; k++, i++) {
		unsigned char byte = (unsigned char)s.p[i];
		if ((byte & 0xC0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (byte & 0x3F);
	}
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	if (c < least[more] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return UINT32_MAX;
	*at = i;
	return c;
}
