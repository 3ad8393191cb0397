/* Where secrets meet requests, and where they are taken out of what came back. */
#include "wire_priv.h"

#include "tama/limits.h"

#define MARK_MAX 32
#define SPELT_ENOUGH 32

static void add_json_escaped(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (c == '"' || c == '\\') {
			buf_add_char(out, '\\');
			buf_add_char(out, (char)c);
		} else if (c < 0x20)
			buf_printf(out, "\\u%04x", c);
		else
			buf_add_char(out, (char)c);
	}
}

/* The name of a mark that begins at text.p, or an empty str. */
static struct str mark_at(struct str text)
{
	size_t n = 2;

	if (text.n < 5 || text.p[0] != '{' || text.p[1] != '{')
		return (struct str){NULL, 0};
	while (n < text.n && n < 2 + MARK_MAX &&
		((text.p[n] >= 'a' && text.p[n] <= 'z') || text.p[n] == '_'))
		n++;
	if (n == 2 || n + 1 >= text.n || text.p[n] != '}' || text.p[n + 1] != '}')
		return (struct str){NULL, 0};
	return (struct str){text.p + 2, n - 2};
}

static bool has_mark(struct str text, struct str name)
{
	for (; text.n > 0; text = str_from(text, 1))
		if (str_eq(mark_at(text), name))
			return true;
	return false;
}

bool marks_configured(
	const struct account_field *fields, size_t n, struct str name, struct str *value_out)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(fields[i].name, name)) {
			*value_out = fields[i].value;
			return true;
		}
	return false;
}

bool marks_has(const struct http_call *call, struct str name)
{
	for (size_t i = 0; i < call->fields_len; i++)
		if (has_mark(call->fields[i].value, name))
			return true;
	return has_mark(call->body, name);
}

static int fill(struct str text, bool is_json, mark_value_fn value, void *ctx, struct buf *out)
{
	while (text.n > 0) {
		struct str name = mark_at(text), found;

		if (name.n == 0) {
			buf_add_char(out, text.p[0]);
			text = str_from(text, 1);
			continue;
		}
		if (!value(ctx, name, &found))
			return TAMA_ENOTFOUND;
		if (is_json)
			add_json_escaped(out, found);
		else
			buf_add_str(out, found);
		text = str_from(text, name.n + 4);
	}
	return out->overflowed ? TAMA_ELIMIT : 0;
}

static int fill_copy(struct str text, bool is_json, mark_value_fn value, void *ctx,
	struct arena *arena, struct str *out)
{
	struct buf buf;
	int rc;

	buf_init(&buf, LIMIT_HTTP_BODY_BYTES);
	rc = fill(text, is_json, value, ctx, &buf);
	if (rc == 0) {
		*out = arena_str(arena, buf_str(&buf));
		rc = out->p == NULL ? TAMA_ENOMEM : 0;
	}
	buf_fini(&buf);
	return rc;
}

int marks_fill(const struct http_call *call, mark_value_fn value, void *ctx, struct arena *arena,
	struct http_call *out)
{
	struct http_field *fields = arena_alloc(arena, sizeof(*fields) * (call->fields_len + 1));
	bool is_json = false;
	int rc = 0;

	if (fields == NULL)
		return TAMA_ENOMEM;
	for (size_t i = 0; i < call->fields_len && rc == 0; i++) {
		fields[i].name = call->fields[i].name;
		rc = fill_copy(call->fields[i].value, false, value, ctx, arena, &fields[i].value);
		if (str_eq_nocase(fields[i].name, STR("content-type")) &&
			str_has_prefix(fields[i].value, STR("application/json")))
			is_json = true;
	}
	*out = *call;
	out->fields = fields;
	return rc == 0 ? fill_copy(call->body, is_json, value, ctx, arena, &out->body) : rc;
}

/*
 * How much of text spells the value, plainly or as a JSON string may; 0: it does not. Of a long one
 * its beginning is enough: that much of it helps a thief, too, and a text that nearly spells a
 * token again and again costs no more than any other.
 */
static size_t spelt(struct str text, struct str value)
{
	size_t at = 0;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (at + 1 < text.n && text.p[at] == '\\' && text.p[at + 1] == c &&
			(c == '"' || c == '\\' || c == '/'))
			at += 2;
		else if (at < text.n && text.p[at] == c)
			at++;
		else
			return i < SPELT_ENOUGH ? 0 : at;
	}
	return at;
}

static size_t secret_at(const struct told *told, struct str text)
{
	const struct account *account = told->account;
	const struct str others[] = {told->otp, told->token, told->ipn_mac, account->ipn_secret,
		account->ipn_secret_old};
	size_t n = 0;

	for (size_t i = 0; i < account->fields_len && n == 0; i++)
		/* Short values are names or schemes, not secrets, and would riddle the evidence. */
		if (account->fields[i].value.n >= 8)
			n = spelt(text, account->fields[i].value);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]) && n == 0; i++)
		n = spelt(text, others[i]);
	return n;
}

struct str secrets_redact(const struct told *told, struct str text, struct arena *arena)
{
	struct str out;
	struct buf buf;

	buf_init(&buf, LIMIT_REPLY_BYTES + 1024);
	while (text.n > 0) {
		size_t n = secret_at(told, text);

		if (n > 0)
			buf_add_str(&buf, STR("***"));
		else
			buf_add_char(&buf, text.p[0]);
		text = str_from(text, n > 0 ? n : 1);
	}
	out = arena_str(arena, buf_str(&buf));
	buf_fini(&buf);
	return out;
}
