/* Text that grows in an arena, and the escapes of what it is put into. */
#include "dialect_priv.h"

#include "tama/gsm7.h"

/* Only a turn's ceiling limits text: the arena's overflow ends it. */
static bool text_reserve(struct text *text, size_t n)
{
	if (text->has_failed)
		return false;
	if (text->n + n <= text->cap)
		return true;
	size_t cap = text->cap == 0 ? 256 : text->cap;
	while (cap < text->n + n)
		cap *= 2;
	char *p = arena_alloc(text->arena, cap);
	if (p == NULL) {
		text->has_failed = true;
		return false;
	}
	if (text->n > 0)
		memcpy(p, text->p, text->n);
	text->p = p;
	text->cap = cap;
	return true;
}

void text_add(struct text *text, struct str s)
{
	if (s.n == 0 || !text_reserve(text, s.n))
		return;
	memcpy(text->p + text->n, s.p, s.n);
	text->n += s.n;
}

static void add_json_escape(struct text *text, unsigned char c)
{
	static const char letters[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	if (c == '"' || c == '\\') {
		text_add(text, (struct str){(const char[]){'\\', (char)c}, 2});
	} else if (c < sizeof(letters) && letters[c] != '\0') {
		text_add(text, (struct str){(const char[]){'\\', letters[c]}, 2});
	} else {
		static const char hex[] = "0123456789abcdef";
		text_add(text,
			(struct str){
				(const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6});
	}
}

void text_add_json(struct text *text, struct str s)
{
	size_t from = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
			continue;
		text_add(text, (struct str){s.p + from, i - from});
		add_json_escape(text, c);
		from = i + 1;
	}
	text_add(text, str_from(s, from));
}

static struct str xml_entity(char c)
{
	switch (c) {
	case '&':
		return STR("&amp;");
	case '<':
		return STR("&lt;");
	case '>':
		return STR("&gt;");
	case '"':
		return STR("&quot;");
	case '\'':
		return STR("&apos;");
	case '\n': /* an attribute's line feed would be read as a blank (XML 1.0 §3.3.3) */
		return STR("&#10;");
	default:
		return (struct str){NULL, 0};
	}
}

void text_add_xml(struct text *text, struct str s)
{
	size_t from = 0;
	for (size_t i = 0; i < s.n; i++) {
		struct str entity = xml_entity(s.p[i]);
		if (entity.p == NULL)
			continue;
		text_add(text, (struct str){s.p + from, i - from});
		text_add(text, entity);
		from = i + 1;
	}
	text_add(text, str_from(s, from));
}

bool text_is_utf8(struct str s)
{
	for (size_t at = 0; at < s.n;)
		if (utf8_next(s, &at) == 0xFFFFFFFF)
			return false;
	return true;
}

bool text_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7E)
			return false;
	return true;
}
