/*
 * The words of a service: the same keys in every language, and every text.name of the menu there.
 * The menu is read as text, so what a script puts together (text["last_" .. state]) is met by the
 * walk alone.
 */
#include "check_priv.h"

/* ---- a reader of Lua that knows names from strings and comments --------------------------------
 */

struct scan {
	struct str text;
	size_t at;
	unsigned line;
};

static char peek(const struct scan *scan, size_t ahead)
{
	return scan->at + ahead < scan->text.n ? scan->text.p[scan->at + ahead] : '\0';
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static void step(struct scan *scan)
{
	if (peek(scan, 0) == '\n')
		scan->line++;
	scan->at++;
}

/* "[[" or "[==[" here: the number of its '=', or -1. */
static int long_bracket(const struct scan *scan)
{
	size_t n = 1;

	if (peek(scan, 0) != '[')
		return -1;
	while (peek(scan, n) == '=')
		n++;
	return peek(scan, n) == '[' ? (int)n - 1 : -1;
}

static void skip_long(struct scan *scan, int level)
{
	while (scan->at < scan->text.n) {
		int n = 0;

		if (peek(scan, 0) == ']')
			while (peek(scan, (size_t)n + 1) == '=')
				n++;
		bool is_end =
			peek(scan, 0) == ']' && n == level && peek(scan, (size_t)n + 1) == ']';
		step(scan);
		if (is_end) {
			scan->at += (size_t)n + 1;
			return;
		}
	}
}

static void skip_quoted(struct scan *scan)
{
	char quote = peek(scan, 0);

	step(scan);
	while (scan->at < scan->text.n && peek(scan, 0) != quote && peek(scan, 0) != '\n') {
		if (peek(scan, 0) == '\\')
			step(scan);
		step(scan);
	}
	step(scan);
}

static void skip_comment(struct scan *scan)
{
	scan->at += 2;
	int level = long_bracket(scan);
	if (level >= 0) {
		skip_long(scan, level);
		return;
	}
	while (scan->at < scan->text.n && peek(scan, 0) != '\n')
		step(scan);
}

/* The next name, with everything between skipped; false at the end. */
static bool next_name(struct scan *scan, struct str *out, struct str *between)
{
	size_t end = scan->at;

	while (scan->at < scan->text.n) {
		char c = peek(scan, 0);
		size_t begin = scan->at;

		if (c == '-' && peek(scan, 1) == '-') {
			skip_comment(scan);
		} else if (c == '"' || c == '\'') {
			skip_quoted(scan);
		} else if (long_bracket(scan) >= 0) {
			skip_long(scan, long_bracket(scan));
		} else if (is_name_char(c)) {
			while (is_name_char(peek(scan, 0)))
				scan->at++;
			*out = (struct str){scan->text.p + begin, scan->at - begin};
			*between = str_trim((struct str){scan->text.p + end, begin - end});
			return true;
		} else {
			step(scan);
		}
	}
	return false;
}

/* The next key in "text.key" of a menu; a field of another table that is called text is none. */
static bool next_key(struct scan *scan, struct str *key)
{
	struct str name;
	struct str between;
	bool is_after_text = false;

	while (next_name(scan, &name, &between)) {
		bool is_field = between.n > 0 && (between.p[between.n - 1] == '.' ||
							 between.p[between.n - 1] == ':');

		if (is_after_text && str_eq(between, STR("."))) {
			*key = name;
			return true;
		}
		is_after_text = str_eq(name, STR("text")) &&
				(!is_field || (between.n > 1 && between.p[between.n - 2] == '.'));
	}
	return false;
}

unsigned check_text_line(const struct service *service, struct str key)
{
	struct scan scan = {.text = check_file(service, "menu.lua"), .line = 1};
	struct str found;

	while (next_key(&scan, &found))
		if (str_eq(found, key))
			return scan.line;
	return 1;
}

/* The line of "key = " in a file of texts. */
static unsigned key_line(struct str file, struct str key)
{
	struct scan scan = {.text = file, .line = 1};
	struct str name;
	struct str between;

	while (next_name(&scan, &name, &between)) {
		struct str rest = str_trim(str_from(scan.text, scan.at));

		if (str_eq(name, key) && rest.n > 1 && rest.p[0] == '=' && rest.p[1] != '=')
			return scan.line;
	}
	return 1;
}

/* ---- the checks --------------------------------------------------------------------------------
 */

struct comparison {
	struct check *check;
	const struct service *service;
	struct str lang; /* that must have the keys of all others */
};

static void compare_key(void *ctx, struct str lang, struct str key)
{
	const struct comparison *c = ctx;
	struct str name;

	if (menu_text_is_own(c->check->menus, c->service, c->lang, key))
		return;
	name = arena_printf(&c->check->arena, "texts.%.*s.lua", STR_ARG(lang));
	check_problem(c->check, "%.*s/%.*s:%u: \"%.*s\" is missing in texts.%.*s.lua",
		STR_ARG(c->service->dir), STR_ARG(name),
		name.p != NULL ? key_line(check_file(c->service, name.p), key) : 1, STR_ARG(key),
		STR_ARG(c->lang));
}

void check_texts(struct check *check, const struct service *service)
{
	struct comparison comparison = {.check = check, .service = service};
	struct scan scan = {.text = check_file(service, "menu.lua"), .line = 1};
	struct str key;

	for (size_t i = 0; menu_lang_own(check->menus, service, i, &comparison.lang); i++)
		menu_text_each(check->menus, service, compare_key, &comparison);
	while (next_key(&scan, &key))
		if (!menu_text_exists(check->menus, service, key))
			check_problem(check, "%.*s/menu.lua:%u: no text has the name \"%.*s\"",
				STR_ARG(service->dir), scan.line, STR_ARG(key));
}
