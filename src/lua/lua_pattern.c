/*
 * Lua's patterns (Lua 5.4 reference manual, 6.4.1) with a bound on the work. The pattern is read
 * once into a list of items; matching walks the list and recurses only for items that repeat, so
 * its depth is at most the number of items. Captures open and close in the same order on every
 * path, so a path that succeeds has overwritten all that a failed one left behind, and nothing has
 * to be undone.
 */
#include "lua_priv.h"

#include <ctype.h>

enum item_op {
	OP_DONE,
	OP_END, /* $ at the end */
	OP_OPEN, /* a: capture */
	OP_CLOSE, /* a: capture */
	OP_POSITION, /* a: capture */
	OP_BACKREF, /* a: capture */
	OP_BALANCE, /* a, b: the two characters of %b */
	OP_FRONTIER, /* a, b: the set's place in the text */
	OP_ANY,
	OP_CHAR, /* a: the character */
	OP_CLASS, /* a: the letter behind % */
	OP_SET, /* a: offset behind [, b: offset of ] */
};

enum item_repeat {
	REPEAT_ONCE,
	REPEAT_STAR,
	REPEAT_PLUS,
	REPEAT_LAZY,
	REPEAT_MAYBE,
};

/* Captures still open while a pattern is read. */
struct open_captures {
	unsigned n;
	uint8_t index[PATTERN_CAPTURES];
	bool is_closed[PATTERN_CAPTURES];
};

static void add_item(struct pattern *pattern, enum item_op op, size_t a, size_t b)
{
	tama_assert(pattern->count <= LIMIT_LUA_PATTERN);
	pattern->items[pattern->count++] = (struct pattern_item){
		.op = (uint8_t)op, .repeat = REPEAT_ONCE, .a = (uint8_t)a, .b = (uint8_t)b};
}

/* With at behind a [: adds the item and leaves at behind the closing ]. */
static const char *compile_set(struct pattern *pattern, enum item_op op)
{
	size_t first = pattern->at;
	size_t at = first;
	if (at < pattern->n && pattern->text[at] == '^')
		at++;
	/* The first character of a set is never its end: []] holds a bracket. */
	do {
		if (at >= pattern->n)
			return "malformed pattern (missing ']')";
		if (pattern->text[at++] == '%' && at < pattern->n)
			at++;
	} while (at >= pattern->n || pattern->text[at] != ']');
	add_item(pattern, op, first, at);
	pattern->at = at + 1;
	return NULL;
}

static const char *compile_open(struct pattern *pattern, struct open_captures *open)
{
	if (pattern->captures == PATTERN_CAPTURES)
		return "too many captures";
	unsigned index = pattern->captures++;
	if (pattern->at < pattern->n && pattern->text[pattern->at] == ')') {
		pattern->at++;
		open->is_closed[index] = true;
		add_item(pattern, OP_POSITION, index, 0);
		return NULL;
	}
	open->is_closed[index] = false;
	open->index[open->n++] = (uint8_t)index;
	add_item(pattern, OP_OPEN, index, 0);
	return NULL;
}

static const char *compile_close(struct pattern *pattern, struct open_captures *open)
{
	if (open->n == 0)
		return "invalid pattern capture";
	unsigned index = open->index[--open->n];
	open->is_closed[index] = true;
	add_item(pattern, OP_CLOSE, index, 0);
	return NULL;
}

/* What follows a % and is more than one character: true when it was one of those. */
static bool compile_special(
	struct pattern *pattern, const struct open_captures *open, const char **wrong)
{
	unsigned char c = pattern->at < pattern->n ? pattern->text[pattern->at] : 0;
	if (isdigit(c)) {
		unsigned index = (unsigned)(c - '1');
		pattern->at++;
		if (c == '0' || index >= pattern->captures || !open->is_closed[index])
			*wrong = "invalid capture index in pattern";
		else
			add_item(pattern, OP_BACKREF, index, 0);
		return true;
	}
	if (c == 'b') {
		if (pattern->n - pattern->at < 3)
			*wrong = "malformed pattern (missing arguments to '%b')";
		else
			add_item(pattern, OP_BALANCE, pattern->text[pattern->at + 1],
				pattern->text[pattern->at + 2]);
		pattern->at += 3;
		return true;
	}
	if (c == 'f') {
		pattern->at += 2;
		if (pattern->at > pattern->n || pattern->text[pattern->at - 1] != '[')
			*wrong = "missing '[' after '%f' in pattern";
		else
			*wrong = compile_set(pattern, OP_FRONTIER);
		return true;
	}
	return false;
}

/* One character of the subject, with c read already, and how often it may come. */
static const char *compile_single(struct pattern *pattern, unsigned char c)
{
	if (c == '[') {
		const char *wrong = compile_set(pattern, OP_SET);
		if (wrong != NULL)
			return wrong;
	} else if (c == '%') {
		if (pattern->at >= pattern->n)
			return "malformed pattern (ends with '%')";
		add_item(pattern, OP_CLASS, pattern->text[pattern->at++], 0);
	} else {
		add_item(pattern, c == '.' ? OP_ANY : OP_CHAR, c, 0);
	}
	static const char marks[] = {[REPEAT_STAR] = '*',
		[REPEAT_PLUS] = '+',
		[REPEAT_LAZY] = '-',
		[REPEAT_MAYBE] = '?'};
	for (unsigned r = REPEAT_STAR; pattern->at < pattern->n && r <= REPEAT_MAYBE; r++) {
		if (pattern->text[pattern->at] != (unsigned char)marks[r])
			continue;
		pattern->items[pattern->count - 1].repeat = (uint8_t)r;
		pattern->at++;
		break;
	}
	return NULL;
}

static const char *compile_next(struct pattern *pattern, struct open_captures *open)
{
	const char *wrong = NULL;
	unsigned char c = pattern->text[pattern->at++];
	if (c == '(')
		return compile_open(pattern, open);
	if (c == ')')
		return compile_close(pattern, open);
	if (c == '$' && pattern->at == pattern->n) {
		add_item(pattern, OP_END, 0, 0);
		return NULL;
	}
	if (c == '%' && compile_special(pattern, open, &wrong))
		return wrong;
	return compile_single(pattern, c);
}

static bool class_has(unsigned char letter, unsigned char c)
{
	bool is_in;
	switch (tolower(letter)) {
	case 'a':
		is_in = isalpha(c);
		break;
	case 'c':
		is_in = iscntrl(c);
		break;
	case 'd':
		is_in = isdigit(c);
		break;
	case 'g':
		is_in = isgraph(c);
		break;
	case 'l':
		is_in = islower(c);
		break;
	case 'p':
		is_in = ispunct(c);
		break;
	case 's':
		is_in = isspace(c);
		break;
	case 'u':
		is_in = isupper(c);
		break;
	case 'w':
		is_in = isalnum(c);
		break;
	case 'x':
		is_in = isxdigit(c);
		break;
	case 'z': /* not in the manual any more, but Lua 5.4 knows it */
		is_in = c == 0;
		break;
	default:
		return letter == c;
	}
	return is_in != (isupper(letter) != 0);
}

/* A set as written between [ and ]: classes, ranges, characters. */
static bool set_has(const unsigned char *text, const struct pattern_item *item, unsigned char c)
{
	size_t at = item->a;
	size_t end = item->b;
	bool is_inverse = at < end && text[at] == '^';
	bool is_in = false;
	for (at += is_inverse; at < end && !is_in; at++) {
		if (text[at] == '%') {
			is_in = class_has(text[++at], c);
		} else if (at + 2 < end && text[at + 1] == '-') {
			is_in = text[at] <= c && c <= text[at + 2];
			at += 2;
		} else {
			is_in = text[at] == c;
		}
	}
	return is_in != is_inverse;
}

static bool item_has(const struct pattern_run *run, const struct pattern_item *item, size_t at)
{
	if (at >= run->n)
		return false;
	unsigned char c = run->p[at];
	switch ((enum item_op)item->op) {
	case OP_ANY:
		return true;
	case OP_CHAR:
		return item->a == c;
	case OP_CLASS:
		return class_has(item->a, c);
	case OP_SET:
		return set_has(run->pattern->text, item, c);
	case OP_DONE:
	case OP_END:
	case OP_OPEN:
	case OP_CLOSE:
	case OP_POSITION:
	case OP_BACKREF:
	case OP_BALANCE:
	case OP_FRONTIER:
		break;
	}
	tama_assert(!"an item for one character");
	return false;
}

static ptrdiff_t match_backref(struct pattern_run *run, const struct pattern_item *item, size_t at)
{
	const struct pattern_capture *capture = &run->captures[item->a];
	if (capture->is_position || capture->n > run->n - at)
		return PATTERN_NONE;
	run->steps += capture->n;
	if (memcmp(run->p + capture->start, run->p + at, capture->n) != 0)
		return PATTERN_NONE;
	return (ptrdiff_t)(at + capture->n);
}

static ptrdiff_t match_balance(struct pattern_run *run, const struct pattern_item *item, size_t at)
{
	if (at >= run->n || run->p[at] != item->a)
		return PATTERN_NONE;
	size_t depth = 1;
	for (size_t i = at + 1; i < run->n; i++) {
		run->steps++;
		/* Closing is looked for first: in %bxx the second x closes. */
		if (run->p[i] == item->b) {
			if (--depth == 0)
				return (ptrdiff_t)(i + 1);
		} else if (run->p[i] == item->a) {
			depth++;
		}
	}
	return PATTERN_NONE;
}

/* Both ends of the subject count as \0. */
static bool is_frontier(const struct pattern_run *run, const struct pattern_item *item, size_t at)
{
	unsigned char before = at > 0 ? run->p[at - 1] : 0;
	unsigned char here = at < run->n ? run->p[at] : 0;
	return !set_has(run->pattern->text, item, before) &&
	       set_has(run->pattern->text, item, here);
}

static ptrdiff_t match_from(struct pattern_run *run, size_t at, unsigned i);

static ptrdiff_t match_greedy(struct pattern_run *run, size_t at, unsigned i)
{
	const struct pattern_item *item = &run->pattern->items[i];
	size_t least = item->repeat == REPEAT_PLUS ? 1 : 0;
	size_t most = item->repeat == REPEAT_MAYBE ? 1 : run->n;
	size_t n = 0;
	while (n < most && item_has(run, item, at + n))
		n++;
	run->steps += n;
	for (; n >= least; n--) {
		ptrdiff_t end = match_from(run, at + n, i + 1);
		if (end != PATTERN_NONE || n == 0)
			return end;
	}
	return PATTERN_NONE;
}

static ptrdiff_t match_lazy(struct pattern_run *run, size_t at, unsigned i)
{
	const struct pattern_item *item = &run->pattern->items[i];
	for (;; at++) {
		ptrdiff_t end = match_from(run, at, i + 1);
		if (end != PATTERN_NONE || !item_has(run, item, at))
			return end;
	}
}

static ptrdiff_t match_from(struct pattern_run *run, size_t at, unsigned i)
{
	for (;; i++) {
		const struct pattern_item *item = &run->pattern->items[i];
		ptrdiff_t next = (ptrdiff_t)at;
		if (++run->steps > LIMIT_LUA_MATCH_STEPS)
			return PATTERN_STEPS;
		switch ((enum item_op)item->op) {
		case OP_DONE:
			return next;
		case OP_END:
			next = at == run->n ? next : PATTERN_NONE;
			break;
		case OP_OPEN:
		case OP_POSITION:
			run->captures[item->a] = (struct pattern_capture){
				.start = at, .is_position = item->op == OP_POSITION};
			break;
		case OP_CLOSE:
			run->captures[item->a].n = at - run->captures[item->a].start;
			break;
		case OP_BACKREF:
			next = match_backref(run, item, at);
			break;
		case OP_BALANCE:
			next = match_balance(run, item, at);
			break;
		case OP_FRONTIER:
			next = is_frontier(run, item, at) ? next : PATTERN_NONE;
			break;
		case OP_ANY:
		case OP_CHAR:
		case OP_CLASS:
		case OP_SET:
			if (item->repeat == REPEAT_LAZY)
				return match_lazy(run, at, i);
			if (item->repeat != REPEAT_ONCE)
				return match_greedy(run, at, i);
			next = item_has(run, item, at) ? next + 1 : PATTERN_NONE;
			break;
		}
		if (next < 0)
			return next;
		at = (size_t)next;
	}
}

const char *pattern_compile(struct pattern *pattern, struct str text, bool has_anchor)
{
	struct open_captures open = {.n = 0};
	tama_assert(text.n <= LIMIT_LUA_PATTERN);
	pattern->text = (const unsigned char *)text.p;
	pattern->n = text.n;
	pattern->count = 0;
	pattern->captures = 0;
	pattern->anchored = has_anchor && text.n > 0 && text.p[0] == '^';
	pattern->at = pattern->anchored;
	while (pattern->at < pattern->n) {
		const char *wrong = compile_next(pattern, &open);
		if (wrong != NULL)
			return wrong;
	}
	if (open.n > 0)
		return "unfinished capture";
	add_item(pattern, OP_DONE, 0, 0);
	return NULL;
}

bool pattern_is_plain(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '\0' && strchr("^$*+?.([%-", text.p[i]) != NULL)
			return false;
	return true;
}

void pattern_run_init(struct pattern_run *run, const struct pattern *pattern, struct str subject)
{
	run->pattern = pattern;
	run->p = (const unsigned char *)subject.p;
	run->n = subject.n;
	run->steps = 0;
}

ptrdiff_t pattern_match_at(struct pattern_run *run, size_t offset)
{
	tama_assert(offset <= run->n);
	return match_from(run, offset, 0);
}
