/*
 * The files of a configuration. A declaration knows its line from Lua; the line of a field in it is
 * found by reading the text as Lua would: names, strings, comments and brackets, nothing more.
 */
#include "config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, size_t n, struct buf *out)
{
	char chunk[4096];
	while (n > 0) {
		ssize_t got = read(fd, chunk, n < sizeof(chunk) ? n : sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return TAMA_EIO;
		buf_add(out, chunk, (size_t)got);
		n -= (size_t)got;
	}
	return out->overflowed ? TAMA_ENOMEM : 0;
}

int config_read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
	struct stat st;
	buf_reset(out);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, TAMA_EIO, "%s", strerror(errno));
	int rc = fstat(fd, &st) != 0 ? TAMA_EIO : 0;
	if (rc == 0 && !S_ISREG(st.st_mode))
		rc = err_set(err, TAMA_EINVAL, "not a regular file");
	else if (rc == 0 && (size_t)st.st_size > max)
		rc = err_set(err, TAMA_EINVAL, "larger than %zu bytes", max);
	if (rc == 0)
		rc = read_all(fd, (size_t)st.st_size, out);
	(void)close(fd);
	return rc == 0 ? 0 : err_set(err, rc, "it cannot be read whole");
}

/* ---- paths --------------------------------------------------------------------------------------
 */

/* The folder of a path, with the '/' at its end; empty for a bare name. */
static struct str folder_of(struct str path)
{
	while (path.n > 0 && path.p[path.n - 1] != '/')
		path.n--;
	return path;
}

/* Where the last component of the n bytes at p begins. */
static size_t last_begin(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] != '/')
		n--;
	return n;
}

/* Appends one component to the n bytes at p; ".." takes one back where there is one. */
static size_t path_push(char *p, size_t n, struct str part)
{
	size_t begin = last_begin(p, n);
	struct str last = {p + begin, n - begin};
	if (part.n == 0 || str_eq(part, STR(".")))
		return n;
	if (str_eq(part, STR("..")) && last.n > 0 && !str_eq(last, STR("..")))
		return begin > 1 ? begin - 1 : begin;
	if (n > 0 && p[n - 1] != '/')
		p[n++] = '/';
	memcpy(p + n, part.p, part.n);
	return n + part.n;
}

struct str config_path(struct loader *loader, struct str from, struct str path)
{
	struct str folder = folder_of(from);
	if (path.n > 0 && path.p[0] == '/')
		folder.n = 0;
	const struct str halves[2] = {folder, path};
	char *whole = config_temp(loader, folder.n + path.n + 3);
	size_t n = 0;
	for (size_t i = 0; i < 2; i++) {
		struct str rest = halves[i];
		if (n == 0 && rest.n > 0 && rest.p[0] == '/')
			whole[n++] = '/';
		while (rest.n > 0)
			n = path_push(whole, n, str_cut(&rest, '/'));
	}
	if (n == 0)
		whole[n++] = '.';
	whole[n] = '\0';
	return (struct str){whole, n};
}

/* ---- where a field stands ----------------------------------------------------------------------
 */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD, /* a name or a number */
	TOKEN_STRING,
	TOKEN_SIGN, /* one character */
};

struct token {
	enum token_kind kind;
	struct str text;
	unsigned line;
};

struct scan {
	struct str rest;
	unsigned line;
};

static void skip(struct scan *scan, size_t n)
{
	for (size_t i = 0; i < n && i < scan->rest.n; i++)
		scan->line += scan->rest.p[i] == '\n';
	scan->rest = str_from(scan->rest, n);
}

static char at(const struct scan *scan, size_t i)
{
	return i < scan->rest.n ? scan->rest.p[i] : '\0';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static size_t equals_signs(const struct scan *scan, size_t i)
{
	size_t n = 0;
	while (at(scan, i + n) == '=')
		n++;
	return n;
}

/* Length of "[[...]]" or "[==[...]==]" from offset i on, 0 when there is none. */
static size_t long_bracket(const struct scan *scan, size_t i)
{
	size_t level = equals_signs(scan, i + 1);
	if (at(scan, i) != '[' || at(scan, i + 1 + level) != '[')
		return 0;
	for (size_t j = i + level + 2; j < scan->rest.n; j++)
		if (at(scan, j) == ']' && equals_signs(scan, j + 1) == level &&
			at(scan, j + 1 + level) == ']')
			return j + level + 2 - i;
	return scan->rest.n - i;
}

static void skip_blank(struct scan *scan)
{
	while (scan->rest.n > 0) {
		char c = at(scan, 0);
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			skip(scan, 1);
		} else if (c == '-' && at(scan, 1) == '-') {
			size_t n = long_bracket(scan, 2);
			ptrdiff_t end = str_find(scan->rest, '\n');
			skip(scan, n > 0 ? n + 2 : end < 0 ? scan->rest.n : (size_t)end);
		} else {
			return;
		}
	}
}

/* Length of a string in quotes, with them. */
static size_t quoted(const struct scan *scan)
{
	size_t n = 1;
	while (n < scan->rest.n && at(scan, n) != at(scan, 0))
		n += at(scan, n) == '\\' ? 2 : 1;
	return n < scan->rest.n ? n + 1 : scan->rest.n;
}

static struct token next(struct scan *scan)
{
	skip_blank(scan);
	struct token token = {TOKEN_SIGN, {scan->rest.p, 1}, scan->line};
	size_t n = 1;
	if (scan->rest.n == 0)
		return (struct token){TOKEN_END, {NULL, 0}, scan->line};
	if (is_word(at(scan, 0))) {
		token.kind = TOKEN_WORD;
		while (is_word(at(scan, n)))
			n++;
		token.text.n = n;
	} else if (at(scan, 0) == '"' || at(scan, 0) == '\'') {
		token.kind = TOKEN_STRING;
		n = quoted(scan);
		token.text = (struct str){scan->rest.p + 1, n > 2 ? n - 2 : 0};
	} else if (long_bracket(scan, 0) > 0) {
		token.kind = TOKEN_STRING;
		n = long_bracket(scan, 0);
	}
	skip(scan, n);
	return token;
}

static bool is_sign(const struct token *token, char c)
{
	return token->kind == TOKEN_SIGN && token->text.p[0] == c;
}

/* The key of the entry that begins with `first`; scan goes on past its '='. Empty: it has no key.
 */
static struct str entry_key(struct scan *scan, const struct token *first)
{
	static const struct str none = {NULL, 0};
	struct scan ahead = *scan;
	struct token key = *first;
	if (is_sign(first, '[')) {
		key = next(&ahead);
		struct token close = next(&ahead);
		if (!is_sign(&close, ']'))
			return none;
	} else if (key.kind != TOKEN_WORD) {
		return none;
	}
	struct token equals = next(&ahead);
	if (!is_sign(&equals, '='))
		return none;
	*scan = ahead;
	return key.text;
}

static int depth_of(const struct token *token)
{
	if (is_sign(token, '{') || is_sign(token, '(') || is_sign(token, '['))
		return 1;
	return is_sign(token, '}') || is_sign(token, ')') || is_sign(token, ']') ? -1 : 0;
}

/* Goes on to the end of a value; true when another entry may follow in the same table. */
static bool value_skip(struct scan *scan)
{
	int depth = 0;
	for (;;) {
		struct token token = next(scan);
		depth += depth_of(&token);
		if (token.kind == TOKEN_END || depth < 0)
			return false;
		if (depth == 0 && (is_sign(&token, ',') || is_sign(&token, ';')))
			return true;
	}
}

/*
 * Finds an entry of the table whose '{' was just read and leaves scan at its value. Returns its
 * line, 0 when it is not seen.
 */
static unsigned entry_find(struct scan *scan, struct str want)
{
	int64_t wanted = 0, count = 0;
	if (want.n > 1 && want.p[0] == '#')
		(void)str_to_i64(str_from(want, 1), &wanted);
	do {
		struct scan value = *scan;
		struct token first = next(&value);
		struct str key = entry_key(&value, &first);
		bool is_found = key.n > 0 ? str_eq(key, want) : ++count == wanted;
		if (first.kind == TOKEN_END || is_sign(&first, '}'))
			return 0;
		if (key.n > 0)
			*scan = value;
		if (is_found)
			return first.line;
	} while (value_skip(scan));
	return 0;
}

unsigned config_source_line(const struct config_source *source, unsigned line, const char *path)
{
	struct scan scan = {source->text, 1};
	while (scan.line < line && scan.rest.n > 0)
		skip(&scan, 1);
	struct token token = next(&scan);
	while (token.kind != TOKEN_END && !is_sign(&token, '{'))
		token = next(&scan);
	unsigned found = line;
	struct str rest = str_c(path);
	while (rest.n > 0 && is_sign(&token, '{')) {
		unsigned here = entry_find(&scan, str_cut(&rest, '/'));
		if (here == 0)
			break;
		found = here;
		token = next(&scan);
	}
	return found;
}
