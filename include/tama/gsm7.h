/*
 * GSM 03.38 text (3GPP TS 23.038 §6.2.1): what a phone's screen is counted in. A character of the
 * default alphabet is one septet, one of the extension table (^ { } [ ] ~ \ | € and form feed) two.
 * Lower-case ç, ê, î, ô, û, œ are in neither table.
 */
#ifndef TAMA_GSM7_H
#define TAMA_GSM7_H

#include "tama/arena.h"
#include "tama/str.h"

/* Septets of one code point: 1, 2, or 0 when GSM 03.38 does not have it. */
unsigned gsm7_septets_of(uint32_t code_point);

/*
 * Septets of UTF-8 text, or -1 when a character is not in the tables or the text is not UTF-8.
 */
ptrdiff_t gsm7_septets(struct str utf8);

/*
 * The same text with what GSM 03.38 lacks replaced by what people read as the same: ç c, ê e, œ oe,
 * typographic quotes and dashes, nbsp, … (sms-gsm-numbering.md B.5). What has no substitute
 * becomes '?'. Only for our own texts, never for numbers or secrets. {NULL, 0} on arena overflow.
 */
struct str gsm7_transliterate(struct str utf8, struct arena *arena);

/*
 * For matching keywords: transliterated with every accent dropped, upper-cased, zero-width
 * characters dropped, runs of blanks and line ends squeezed to one blank, ends trimmed: " arrêt "
 * gives "ARRET", "Crédit" gives "CREDIT".
 */
struct str gsm7_fold(struct str utf8, struct arena *arena);

/*
 * Decodes one UTF-8 character at *at, which is below s.n, and moves *at past it. UINT32_MAX on a
 * malformed one; *at then moves past one byte.
 */
uint32_t utf8_next(struct str s, size_t *at);

/*
 * SMS parts the text takes: one up to 160 septets, else 153 each, pairs never cut (B.3). 0 when the
 * text is not GSM 03.38.
 */
unsigned gsm7_sms_parts(struct str utf8);

#endif
