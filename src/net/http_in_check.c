/*
 * What is refused before a handler sees it (reliability.md F-J1, F-J2, 5.1).
 *
 * Debian's libmicrohttpd 0.9.75 parses a head into NUL-terminated pieces and shows only those. What
 * it loses on the way is what smuggling is made of: text after a NUL, a folded line (which it glues
 * to the *name* of its field: "Content-Length:" CRLF " 44" becomes "Content-Length44"), blanks
 * before a colon. It leaves the pieces where they were received, though. So the check walks the
 * head from piece to piece and claims that they lie side by side from the method to the blank line:
 * what we judge is then all that was sent. (Between a name and its value the library skips the
 * colon and blanks only.)
 */
#include "http_in_priv.h"

struct head {
	struct turn *turn;
	const char *at; /* behind the piece before */
	size_t hosts;
	size_t lengths;
	size_t codings;
	struct str coding;
	unsigned status; /* 0 until something is wrong */
};

static bool is_token_char(unsigned char c)
{
	/* RFC 9110 5.6.2 */
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_token_char((unsigned char)s.p[i]))
			return false;
	}
	return s.n > 0;
}

/* RFC 9110 5.5: visible characters, blank, tab, and bytes above ASCII. */
static bool is_field_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* From `at` to `next` lies one line end and nothing else (the library made NULs of CR and LF). */
static bool is_line_end(const char *at, const char *next)
{
	uintptr_t gap = (uintptr_t)next - (uintptr_t)at;
	return (gap == 1 || gap == 2) && at[0] == '\0' && at[gap - 1] == '\0';
}

static void count_field(struct head *head, struct str name, struct str value)
{
	if (str_eq_nocase(name, STR("Host"))) {
		head->hosts++;
	} else if (str_eq_nocase(name, STR("Content-Length"))) {
		head->lengths++;
	} else if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
		head->codings++;
		head->coding = value;
	}
}

static unsigned judge_field(struct head *head, struct str name, struct str value)
{
	struct http_request *request = &head->turn->pub.request;
	if (request->fields_len == LIMIT_HTTP_FIELDS)
		return 400;
	if (!is_line_end(head->at, name.p) || !is_token(name))
		return 400;
	if (!is_field_text(value))
		return 400;
	head->at = value.p + value.n;
	count_field(head, name, value);
	head->turn->fields[request->fields_len++] = (struct http_field){name, str_trim(value)};
	return 0;
}

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name,
	size_t name_len, const char *value, size_t value_len)
{
	struct head *head = cls;
	if (value == NULL)
		head->status = 400;
	else
		head->status = judge_field(
			head, (struct str){name, name_len}, (struct str){value, value_len});
	return head->status == 0 ? MHD_YES : MHD_NO;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%xx" at p stands for, or -1 when those are no hexadecimal digits. */
static int escaped_byte(struct str path, size_t i)
{
	if (path.n - i < 3)
		return -1;
	int high = hex_digit(path.p[i + 1]);
	int low = hex_digit(path.p[i + 2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Not "%00" or another control character, and not "%25" that hides a second escape. */
static bool is_sound_escape(struct str path, size_t i)
{
	int byte = escaped_byte(path, i);
	if (byte < 0x20 || byte == 0x7f)
		return false;
	if (byte != '%' || path.n - i < 5)
		return true;
	return hex_digit(path.p[i + 3]) < 0 || hex_digit(path.p[i + 4]) < 0;
}

/* "." or "..", however its dots are written. */
static bool is_dots(struct str segment)
{
	size_t dots = 0;
	while (segment.n > 0) {
		if (segment.p[0] == '.')
			segment = str_from(segment, 1);
		else if (segment.p[0] == '%' && escaped_byte(segment, 0) == '.')
			segment = str_from(segment, 3);
		else
			return false;
		dots++;
	}
	return dots == 1 || dots == 2;
}

static bool is_sound_path(struct str path)
{
	if (path.n == 0 || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '%' && !is_sound_escape(path, i))
			return false;
	}
	struct str rest = path;
	while (rest.p != NULL) {
		if (is_dots(str_cut(&rest, '/')))
			return false;
	}
	return true;
}

static bool is_sound_target(struct str target)
{
	for (size_t i = 0; i < target.n; i++) {
		unsigned char c = (unsigned char)target.p[i];
		if (c <= 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

static unsigned judge_line(struct head *head, struct str method, const char *version)
{
	struct turn *turn = head->turn;
	struct http_request *request = &turn->pub.request;
	/* One blank between the three parts; no NUL hides the rest of one. */
	if (turn->target_at != method.p + method.n + 1 || !is_token(method))
		return 400;
	if (version != turn->target_at + turn->target.n + 1 || !is_sound_target(turn->target))
		return 400;
	request->method = method;
	request->query = turn->target;
	request->path = str_cut(&request->query, '?');
	if (!is_sound_path(request->path))
		return 400;
	head->at = version + strlen(version);
	return 0;
}

/* How long the body is must have exactly one reading (RFC 9112 6.1 to 6.3). */
static unsigned judge_framing(struct head *head, const char *version)
{
	bool is_1_0 = strcmp(version, "HTTP/1.0") == 0;
	if (head->lengths + head->codings > 1)
		return 400;
	if (head->codings == 1 && (is_1_0 || !str_eq_nocase(head->coding, STR("chunked"))))
		return 400;
	if (head->hosts > 1 || (head->hosts == 0 && !is_1_0))
		return 400;
	head->turn->is_chunked = head->codings == 1;
	return 0;
}

static unsigned judge_end(struct head *head, const char *start, size_t len)
{
	/* The last line's end and the blank line. */
	const char *end = start + len;
	uintptr_t gap = (uintptr_t)end - (uintptr_t)head->at;
	return gap >= 2 && gap <= 4 ? 0 : 400;
}

/* The library has made sure that a single length is a number. */
static unsigned judge_length(const struct http_request *request)
{
	struct str text =
		http_field_get(request->fields, request->fields_len, STR("Content-Length"));
	int64_t len = 0;
	if (text.p == NULL)
		return 0;
	if (!str_to_i64(text, &len))
		return 400;
	return len > LIMIT_HTTP_BODY_BYTES ? 413 : 0;
}

unsigned http_in_check_head(struct turn *turn, const char *method, const char *version)
{
	struct head head = {.turn = turn};
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(turn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	tama_assert(info != NULL);
	if (info->header_size > LIMIT_HTTP_HEADER_BYTES)
		return 431;
	turn->pub.request.fields = turn->fields;
	turn->head = (struct str){method, info->header_size};
	head.status = judge_line(&head, str_c(method), version);
	if (head.status == 0)
		(void)MHD_get_connection_values_n(turn->mhd, MHD_HEADER_KIND, on_field, &head);
	if (head.status == 0)
		head.status = judge_end(&head, method, info->header_size);
	if (head.status == 0)
		head.status = judge_framing(&head, version);
	if (head.status == 0)
		head.status = judge_length(&turn->pub.request);
	return head.status;
}
