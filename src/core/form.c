/* application/x-www-form-urlencoded: WHATWG URL §5.1, with a broken escape refused, not kept. */
#include "tama/form.h"

#include "tama/err.h"
#include "tama/limits.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Decodes into the arena; '+' becomes the byte plus. */
static int unescape(struct str s, char plus, struct arena *arena, struct str *out)
{
	char *text = arena_alloc(arena, s.n + 1);
	if (text == NULL)
		return TAMA_ENOMEM;
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			int high = s.n - i > 2 ? hex(s.p[i + 1]) : -1;
			int low = s.n - i > 2 ? hex(s.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return TAMA_EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+') {
			c = plus;
		}
		text[n++] = c;
	}
	*out = (struct str){text, n};
	return 0;
}

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

int form_parse(struct str text, struct arena *arena, struct form *out)
{
	struct form form = {arena_alloc(arena, LIMIT_HTTP_FIELDS * sizeof(struct form_field)), 0};
	if (form.fields == NULL)
		return TAMA_ENOMEM;
	while (text.p != NULL) {
		struct str value = str_cut(&text, '&');
		struct str name = str_cut(&value, '=');
		struct form_field field;
		if (name.n == 0)
			continue;
		if (form.n == LIMIT_HTTP_FIELDS)
			return TAMA_ELIMIT;
		int rc = unescape(name, ' ', arena, &field.name);
		if (rc == 0)
			rc = unescape(value, ' ', arena, &field.value);
		if (rc != 0)
			return rc;
		form.fields[form.n++] = field;
	}
	*out = form;
	return 0;
}

struct str form_get(const struct form *form, struct str name)
{
	for (size_t i = 0; i < form->n; i++)
		if (str_eq(form->fields[i].name, name))
			return form->fields[i].value;
	return (struct str){NULL, 0};
}

size_t form_count(const struct form *form, struct str name)
{
	size_t n = 0;
	for (size_t i = 0; i < form->n; i++)
		n += str_eq(form->fields[i].name, name);
	return n;
}

int form_unescape_path(struct str s, struct arena *arena, struct str *out)
{
	struct str text;
	int rc = unescape(s, '+', arena, &text);
	if (rc != 0)
		return rc;
	if (str_find(text, '\0') >= 0)
		return TAMA_EINVAL;
	*out = text;
	return 0;
}

struct str form_escape(struct str s, struct arena *arena)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += is_unreserved(s.p[i]) ? 1 : 3;
	char *text = arena_alloc(arena, n + 1);
	if (text == NULL)
		return (struct str){NULL, 0};
	char *at = text;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (is_unreserved(s.p[i])) {
			*at++ = s.p[i];
			continue;
		}
		*at++ = '%';
		*at++ = digits[c >> 4];
		*at++ = digits[c & 15];
	}
	return (struct str){text, n};
}
