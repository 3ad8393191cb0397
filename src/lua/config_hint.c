/* What a misspelt name was probably meant to be. */
#include "config_priv.h"

#define HINT_MAX 64

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

/* Insertions, deletions and replacements from a to b; both at most HINT_MAX long. */
static size_t edits(struct str a, struct str b)
{
	size_t row[HINT_MAX + 1];
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t above = row[j];
			row[j] = min3(
				above + 1, row[j - 1] + 1, diagonal + (a.p[i - 1] != b.p[j - 1]));
			diagonal = above;
		}
	}
	return row[b.n];
}

struct str config_hint(struct loader *loader, struct str name, const struct str *names, size_t n)
{
	size_t best = 1 + name.n / 4;
	const struct str *found = NULL;
	for (size_t i = 0; i < n && name.n <= HINT_MAX; i++) {
		size_t distance = names[i].n <= HINT_MAX ? edits(name, names[i]) : SIZE_MAX;
		if (distance < best || (distance == best && found == NULL)) {
			best = distance;
			found = &names[i];
		}
	}
	if (found == NULL)
		return STR("");
	return arena_printf(&loader->arena, " (did you mean \"%.*s\"?)", STR_ARG(*found));
}
