/* Text as phones count it. */
#include "tama/gsm7.h"

#include "tama/err.h"

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
