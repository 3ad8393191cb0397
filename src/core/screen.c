/*
 * Pages are filled greedily with pieces that are never divided: the words of reason and head, then
 * whole options. A page that is not the last also carries the `more` line, so it has less room.
 */
#include "tama/screen.h"

#include "tama/err.h"
#include "tama/gsm7.h"

struct piece {
	struct str join; /* white space before it, unless it begins a page */
	struct str text;
	unsigned join_septets;
	unsigned septets;
};

struct layout {
	struct arena *arena;
	struct piece *pieces;
	size_t n;
	size_t options_at; /* index of the first piece that is an option */
	struct str more;
	unsigned more_cost; /* with its line end */
	struct str *foot;
	size_t foot_len;
	unsigned limit;
};

/* A page: pieces from begin to before end, and how many foot lines have room below them. */
struct span {
	size_t begin;
	size_t end;
	size_t foot_len;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Transliterated text; it stays empty when the arena is full, which the caller tests once. */
static struct str plain(struct layout *layout, struct str text, unsigned *septets)
{
	struct str out = gsm7_transliterate(text, layout->arena);
	*septets = out.n > 0 ? (unsigned)gsm7_septets(out) : 0;
	return out;
}

static void piece_add(struct layout *layout, struct str join, struct str text)
{
	struct piece *piece = &layout->pieces[layout->n];
	piece->text = plain(layout, text, &piece->septets);
	piece->join = plain(layout, join, &piece->join_septets);
	if (piece->text.n > 0)
		layout->n++;
}

/* A non-breaking blank is no white space here, so what it joins stays one word. */
static void words_add(struct layout *layout, struct str text, struct str join)
{
	text = str_trim(text);
	for (size_t i = 0; i < text.n;) {
		size_t begin = i;
		while (i < text.n && !is_space(text.p[i]))
			i++;
		piece_add(layout, join, (struct str){text.p + begin, i - begin});
		begin = i;
		while (i < text.n && is_space(text.p[i]))
			i++;
		join = (struct str){text.p + begin, i - begin};
	}
}

static size_t words_most(struct str text)
{
	return text.n / 2 + 1;
}

static int layout_init(struct layout *layout, const struct screen *screen, struct arena *arena)
{
	size_t most = words_most(screen->reason) + words_most(screen->head) + screen->options_len;
	*layout = (struct layout){.arena = arena, .limit = screen->limit};
	layout->pieces = arena_alloc(arena, most * sizeof(layout->pieces[0]));
	layout->foot = arena_alloc(arena, screen->foot_len * sizeof(layout->foot[0]));
	if (layout->pieces == NULL || layout->foot == NULL)
		return TAMA_ENOMEM;
	words_add(layout, screen->reason, STR(""));
	words_add(layout, screen->head, STR("\n"));
	layout->options_at = layout->n;
	for (size_t i = 0; i < screen->options_len; i++) {
		struct str option = str_trim(screen->options[i]);
		piece_add(layout, STR("\n"),
			arena_printf(arena, "%zu. %.*s", i + 1, STR_ARG(option)));
	}
	layout->more = plain(layout, screen->more, &layout->more_cost);
	layout->more_cost += layout->more.n > 0;
	layout->foot_len = screen->foot_len;
	for (size_t i = 0; i < screen->foot_len; i++) {
		unsigned septets;
		layout->foot[i] = plain(layout, screen->foot[i], &septets);
	}
	return arena_overflowed(arena) ? TAMA_ENOMEM : 0;
}

/* Septets of the first n foot lines, each with the line end before it. */
static size_t foot_cost(const struct layout *layout, size_t n)
{
	size_t cost = 0;
	for (size_t i = 0; i < n; i++)
		cost += (size_t)gsm7_septets(layout->foot[i]) + 1;
	return cost;
}

/* Where the pieces from begin on that fit into the room end. */
static size_t pieces_fit(const struct layout *layout, size_t begin, size_t room)
{
	size_t end = begin;
	for (size_t used = 0; end < layout->n; end++) {
		const struct piece *piece = &layout->pieces[end];
		used += piece->septets + (end > begin ? piece->join_septets : 0);
		if (used > room)
			break;
	}
	return end;
}

/*
 * The page that begins with a piece. Foot lines give way, the last one first, only where not even
 * one piece fits beside them. An end equal to begin means that the piece fits on no page.
 */
static struct span page_fill(const struct layout *layout, size_t begin)
{
	for (size_t foot_len = layout->foot_len + 1; foot_len-- > 0;) {
		size_t below = foot_cost(layout, foot_len);
		if (below > layout->limit)
			continue;
		size_t room = layout->limit - below;
		size_t end = pieces_fit(layout, begin, room);
		if (end < layout->n)
			end = room > layout->more_cost
				      ? pieces_fit(layout, begin, room - layout->more_cost)
				      : begin;
		if (end > begin)
			return (struct span){begin, end, foot_len};
	}
	return (struct span){begin, begin, 0};
}

/* All pages, to know how many there are; keeps the one asked for, or the last. */
static int pages_lay(
	const struct layout *layout, unsigned wanted, struct span *chosen, unsigned *pages_out)
{
	unsigned pages = layout->n == 0; /* a foot alone is a page too */
	*chosen = (struct span){0, 0, layout->foot_len};
	for (size_t begin = 0; begin < layout->n;) {
		struct span span = page_fill(layout, begin);
		if (span.end == begin)
			return TAMA_ELIMIT;
		if (pages <= wanted)
			*chosen = span;
		pages++;
		begin = span.end;
	}
	*pages_out = pages;
	return 0;
}

static void text_add(struct screen_page *page, char *out, struct str text)
{
	if (text.n > 0)
		memcpy(out + page->text.n, text.p, text.n);
	page->text.n += text.n;
}

static void line_add(struct screen_page *page, char *out, struct str line)
{
	if (page->text.n > 0)
		text_add(page, out, STR("\n"));
	text_add(page, out, line);
}

static int page_write(const struct layout *layout, struct span span, struct screen_page *page)
{
	/* A septet takes at most two bytes of UTF-8: Greek and accents two, the euro three for two.
	 */
	char *out = arena_alloc(layout->arena, 2 * (size_t)layout->limit);
	if (out == NULL)
		return TAMA_ENOMEM;
	page->text = (struct str){out, 0};
	for (size_t i = span.begin; i < span.end; i++) {
		if (i > span.begin)
			text_add(page, out, layout->pieces[i].join);
		text_add(page, out, layout->pieces[i].text);
	}
	if (span.end < layout->n && layout->more.n > 0)
		line_add(page, out, layout->more);
	for (size_t i = 0; i < span.foot_len; i++)
		line_add(page, out, layout->foot[i]);
	page->septets = (unsigned)gsm7_septets(page->text);
	tama_assert(page->septets <= layout->limit);
	return 0;
}

int screen_render(const struct screen *screen, struct arena *arena, struct screen_page *out)
{
	struct layout layout;
	struct span span;
	struct screen_page page = {0};
	int rc = layout_init(&layout, screen, arena);
	if (rc != 0)
		return rc;
	if (foot_cost(&layout, layout.foot_len) > (size_t)layout.limit + 1)
		return TAMA_ELIMIT;
	rc = pages_lay(&layout, screen->page, &span, &page.pages);
	if (rc == 0)
		rc = page_write(&layout, span, &page);
	if (rc != 0)
		return rc;
	size_t first = span.begin > layout.options_at ? span.begin : layout.options_at;
	page.first_option = first - layout.options_at;
	page.options_shown = span.end > first ? span.end - first : 0;
	*out = page;
	return 0;
}
