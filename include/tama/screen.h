/*
 * Lays out what a phone shows, within the channel's limit of septets. A screen is a head (the
 * question, with the reason of a refusal before it), numbered options, and a foot (back, home).
 * What does not fit goes to the next page, reached by the key "98"; nothing is ever cut inside a
 * word, an option or an escape pair (promise 6).
 */
#ifndef TAMA_SCREEN_H
#define TAMA_SCREEN_H

#include "tama/arena.h"
#include "tama/str.h"

struct screen {
	struct str reason; /* why the last input was refused; may be empty */
	struct str head; /* the question */
	const struct str *options; /* without their numbers: option i is shown as "i. text" */
	size_t options_len;
	const struct str *foot; /* whole lines such as "0. Retour", on every page; see below */
	size_t foot_len;
	struct str more; /* the next-page line, shown when there is one: "98. Suite" */
	unsigned limit; /* septets, 20 to 1530 */
	unsigned page; /* 0 is the first; beyond the last shows the last */
};

struct screen_page {
	struct str text; /* GSM 03.38 representable, at most limit septets */
	unsigned septets;
	unsigned pages; /* how many there are */
	size_t first_option; /* index of the first option on this page, or of the next to come */
	size_t options_shown;
};

/*
 * Renders one page. Reason and head flow over the pages as one text, then come the options; a
 * non-breaking blank keeps words together. Foot lines give way, the last one first, only on a page
 * where not even one word or option fits beside them. Texts are transliterated first. 0;
 * TAMA_ENOMEM; TAMA_ELIMIT when it cannot be done within the limit: an option, a foot or a single
 * word that does not fit even alone (with the next-page line, unless it ends the screen).
 */
int screen_render(const struct screen *screen, struct arena *arena, struct screen_page *out);

#endif
