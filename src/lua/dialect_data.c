/* What a dialect says as data, carried out in C: routes, sources, words and templates. No Lua here.
 */
#include "dialect_priv.h"

#include "tama/gsm7.h"

#include <string.h>

#define IN_USSD (1u << READING_USSD)
#define IN_MO (1u << READING_MO)
#define IN_DLR (1u << READING_DLR)

const struct field_rule field_rules[FIELD_COUNT] = {
	[FIELD_SESSION] = {"session", 128, FIELD_ASCII, IN_USSD},
	[FIELD_MSISDN] = {"msisdn", 64, FIELD_ASCII, IN_USSD},
	[FIELD_CODE] = {"code", 160, FIELD_ASCII, IN_USSD},
	[FIELD_INPUT] = {"input", LIMIT_INPUT_BYTES, FIELD_TYPED, IN_USSD},
	[FIELD_HOP] = {"hop", 128, FIELD_ASCII, IN_USSD},
	[FIELD_NETWORK] = {"network", 64, FIELD_LINE, IN_USSD},
	[FIELD_STATE] = {"state", 4096, FIELD_OPAQUE, IN_USSD},
	[FIELD_ECHO] = {"echo", 4096, FIELD_OPAQUE, IN_USSD},
	[FIELD_ID] = {"id", 128, FIELD_ASCII, IN_MO | IN_DLR},
	[FIELD_FROM] = {"from", 64, FIELD_LINE, IN_MO},
	[FIELD_TO] = {"to", 64, FIELD_LINE, IN_MO},
	[FIELD_TEXT] = {"text", 4096, FIELD_TYPED, IN_MO},
	[FIELD_REF] = {"ref", 128, FIELD_ASCII, IN_DLR},
};

/* Cumulative input holds every answer of a session. */
#define CUMULATIVE_BYTES 4096

const char *const *reading_words(enum reading_kind kind, size_t *len_out)
{
	static const char *const events[] = {[HOP_AUTO] = "auto",
		[HOP_NEW] = "new",
		[HOP_INPUT] = "input",
		[HOP_CANCEL] = "cancel",
		[HOP_TIMEOUT] = "timeout",
		[HOP_REPORT] = "report",
		[HOP_PROBE] = "probe"};
	static const char *const states[] = {[DLR_BUFFERED] = "buffered",
		[DLR_DELIVERED] = "delivered",
		[DLR_FAILED] = "failed"};
	if (kind == READING_MO) {
		*len_out = 0;
		return NULL;
	}
	*len_out = kind == READING_USSD ? sizeof(events) / sizeof(*events)
					: sizeof(states) / sizeof(*states);
	return kind == READING_USSD ? events : states;
}

/* ---- Opening a request ------------------------------------------------------------------------
 */

static int split_path(struct opened *opened, struct err *err)
{
	struct str rest = opened->rest;
	if (rest.n > 0 && rest.p[0] == '/')
		rest = str_from(rest, 1);
	while (rest.n > 0) {
		if (opened->segments_len == OPENED_SEGMENTS)
			return err_set(err, TAMA_EINVAL, "path with more than %d segments",
				OPENED_SEGMENTS);
		struct str *out = &opened->segments[opened->segments_len++];
		int rc = form_unescape_path(str_cut(&rest, '/'), opened->arena, out);
		if (rc != 0)
			return err_set(err, rc, "path is not well %%-encoded");
	}
	return 0;
}

static bool path_fits(const struct opened *opened, struct str pattern)
{
	size_t i = 0;
	if (str_eq(pattern, STR("*")))
		return true;
	pattern = str_from(pattern, 1);
	for (; pattern.n > 0; i++) {
		struct str want = str_cut(&pattern, '/');
		if (i == opened->segments_len)
			return false;
		struct str have = opened->segments[i];
		if (str_eq(want, STR("*")) ? have.n == 0 : !str_eq(want, have))
			return false;
	}
	return i == opened->segments_len;
}

static const struct route *find_route(const struct opened *opened, const struct routes *routes)
{
	for (size_t i = 0; i < routes->len; i++) {
		const struct route *route = &routes->list[i];
		bool is_method = str_eq(route->method, STR("*")) ||
				 str_eq(route->method, opened->http->method);
		if (is_method && path_fits(opened, route->path))
			return route;
	}
	return NULL;
}

/* Cookie: a=b; c=d (RFC 6265 §4.2.1); values stay as they came. */
static int split_cookies(struct opened *opened)
{
	struct str rest =
		http_field_get(opened->http->fields, opened->http->fields_len, STR("cookie"));
	if (rest.n == 0)
		return 0;
	size_t n = 1;
	for (size_t i = 0; i < rest.n; i++)
		n += rest.p[i] == ';';
	n = n < LIMIT_HTTP_FIELDS ? n : LIMIT_HTTP_FIELDS;
	opened->cookies.fields = arena_alloc(opened->arena, n * sizeof(*opened->cookies.fields));
	if (opened->cookies.fields == NULL)
		return TAMA_ENOMEM;
	while (rest.p != NULL && opened->cookies.n < n) {
		struct str value = str_cut(&rest, ';');
		struct str name = str_cut(&value, '=');
		opened->cookies.fields[opened->cookies.n++] =
			(struct form_field){str_trim(name), str_trim(value)};
	}
	return 0;
}

static int read_body(struct opened *opened, struct err *err)
{
	int rc = 0;
	switch (opened->body) {
	case BODY_NONE:
	case BODY_TEXT:
		break;
	case BODY_FORM:
		rc = form_parse(opened->http->body, opened->arena, &opened->form);
		if (rc != 0)
			(void)err_set(err, rc, "the body is not a well-formed form");
		break;
	case BODY_JSON:
		rc = lua_json_parse(opened->http->body, opened->arena, &opened->json, err);
		break;
	}
	return rc;
}

int opened_read(struct opened *opened, const struct routes *routes, const struct route **route_out,
	struct err *err)
{
	int rc = split_path(opened, err);
	if (rc != 0)
		return rc;
	const struct route *route = find_route(opened, routes);
	if (route == NULL)
		return err_set(
			err, TAMA_EINVAL, "the dialect has no address for this method and path");
	opened->body = route->body;
	rc = form_parse(opened->http->query, opened->arena, &opened->query);
	if (rc != 0)
		return err_set(err, rc, "the query is not well-formed");
	rc = split_cookies(opened);
	if (rc != 0)
		return err_set(err, rc, "cookies: no room");
	rc = read_body(opened, err);
	if (rc == 0)
		*route_out = route;
	return rc;
}

void opened_close(struct opened *opened)
{
	json_decref(opened->json);
	opened->json = NULL;
}

/* ---- Mappings ---------------------------------------------------------------------------------
 */

struct found {
	struct str text;
	bool is_there;
};

static int form_find(const struct form *form, struct str name, struct found *out)
{
	size_t n = form_count(form, name);
	if (n > 1)
		return TAMA_EINVAL;
	out->is_there = n == 1;
	if (n == 1)
		out->text = form_get(form, name);
	return 0;
}

static const json_t *json_walk(const json_t *value, struct str path)
{
	while (path.p != NULL && value != NULL) {
		struct str name = str_cut(&path, '.');
		value = json_object_getn(value, name.p, name.n);
	}
	return value;
}

static int json_find(const struct opened *opened, struct str path, struct found *out)
{
	const json_t *value = json_walk(opened->json, path);
	if (value == NULL || json_is_null(value))
		return 0;
	struct str text;
	if (json_is_string(value))
		text = arena_str(opened->arena,
			(struct str){json_string_value(value), json_string_length(value)});
	else if (json_is_boolean(value))
		text = json_is_true(value) ? STR("true") : STR("false");
	else if (json_is_integer(value))
		text = arena_printf(opened->arena, "%lld", (long long)json_integer_value(value));
	else
		return TAMA_EINVAL;
	if (text.p == NULL)
		return TAMA_ENOMEM;
	*out = (struct found){text, true};
	return 0;
}

static int source_find(const struct source *source, const struct opened *opened, struct found *out)
{
	struct str text = {NULL, 0};
	switch (source->kind) {
	case SOURCE_QUERY:
		return form_find(&opened->query, source->name, out);
	case SOURCE_FORM:
		return form_find(&opened->form, source->name, out);
	case SOURCE_COOKIE:
		return form_find(&opened->cookies, source->name, out);
	case SOURCE_JSON:
		return json_find(opened, source->name, out);
	case SOURCE_HEADER:
		text = http_field_get(opened->http->fields, opened->http->fields_len, source->name);
		break;
	case SOURCE_PATH:
		if (source->index <= opened->segments_len)
			text = opened->segments[source->index - 1];
		break;
	case SOURCE_BODY:
		text = opened->http->body;
		text.p = text.p != NULL ? text.p : "";
		break;
	}
	*out = (struct found){text, text.p != NULL};
	return 0;
}

static int sources_find(
	const struct sources *sources, const struct opened *opened, struct found *out)
{
	*out = (struct found){{NULL, 0}, false};
	int rc = 0;
	for (size_t i = 0; i < sources->len && rc == 0 && !out->is_there; i++)
		rc = source_find(&sources->list[i], opened, out);
	return rc;
}

int word_read(const struct word_map *map, const struct opened *opened, int *out, struct err *err)
{
	struct found found = {{NULL, 0}, false};
	int rc = sources_find(&map->from, opened, &found);
	if (rc != 0)
		return err_set(err, rc, "the event or state comes twice or is not text");
	int word = found.is_there ? map->other : map->none;
	for (size_t i = 0; i < map->values_len && found.is_there; i++) {
		if (!str_eq_nocase(map->values[i].value, str_trim(found.text)))
			continue;
		word = map->values[i].word;
		break;
	}
	if (word == WORD_MALFORMED)
		return err_set(err, TAMA_EINVAL, "the event or state is missing or unknown");
	*out = word;
	return 0;
}

static int check_required(
	const struct mapping *mapping, const struct reading *reading, struct err *err)
{
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		if ((mapping->required & (1u << f)) == 0)
			continue;
		bool may_be_empty = f == FIELD_INPUT || f == FIELD_TEXT;
		if (!reading->has[f] || (reading->fields[f].n == 0 && !may_be_empty))
			return err_set(err, TAMA_EINVAL, "%s is missing", field_rules[f].name);
	}
	return 0;
}

int mapping_read(const struct route *route, const struct opened *opened, struct reading *out,
	struct err *err)
{
	const struct mapping *mapping = route->mapping;
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		struct found found;
		int rc = sources_find(&mapping->fields[f], opened, &found);
		if (rc != 0)
			return err_set(
				err, rc, "%s comes twice or is not text", field_rules[f].name);
		out->fields[f] = found.text;
		out->has[f] = found.is_there;
	}
	int rc = word_read(&route->word, opened, &out->word, err);
	if (rc != 0)
		return rc;
	out->has_word = true;
	out->is_cumulative = mapping->is_cumulative;
	return check_required(mapping, out, err);
}

/* ---- Checking ---------------------------------------------------------------------------------
 */

static struct str blank_controls(struct str s, struct arena *arena)
{
	char *p = arena_alloc(arena, s.n);
	if (p == NULL)
		return (struct str){NULL, 0};
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		p[i] = (c < 0x20 && c != '\n') || c == 0x7F ? ' ' : s.p[i];
	}
	return (struct str){p, s.n};
}

static bool field_is_fit(enum field_charset charset, struct str *s, struct arena *arena)
{
	switch (charset) {
	case FIELD_ASCII:
		return text_is_ascii(*s);
	case FIELD_LINE:
		return str_is_clean_utf8(*s) && str_find(*s, '\n') < 0;
	case FIELD_TYPED:
		if (!text_is_utf8(*s))
			return false;
		if (!str_is_clean_utf8(*s))
			*s = blank_controls(*s, arena);
		return s->p != NULL;
	case FIELD_OPAQUE:
		return true;
	}
	return false;
}

int reading_check(
	enum reading_kind kind, struct reading *reading, struct arena *arena, struct err *err)
{
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		const struct field_rule *rule = &field_rules[f];
		if (!reading->has[f])
			continue;
		size_t max =
			f == FIELD_INPUT && reading->is_cumulative ? CUMULATIVE_BYTES : rule->max;
		if (reading->fields[f].n > max)
			return err_set(
				err, TAMA_EINVAL, "%s is longer than %zu bytes", rule->name, max);
		if (reading->fields[f].n > 0 &&
			!field_is_fit(rule->charset, &reading->fields[f], arena))
			return err_set(err, TAMA_EINVAL, "%s has characters that it cannot have",
				rule->name);
	}
	if (kind == READING_DLR && !reading->has_word)
		return err_set(err, TAMA_EINVAL, "state is missing");
	return 0;
}

/* ---- Answers ----------------------------------------------------------------------------------
 */

static struct str render(
	const struct template *template, const struct reading *reading, struct arena *arena)
{
	struct text out = {.arena = arena};
	for (size_t i = 0; i < template->len; i++) {
		const struct piece *piece = &template->pieces[i];
		if (piece->field == FIELD_COUNT) {
			text_add(&out, piece->literal);
			continue;
		}
		struct str value = reading->fields[piece->field];
		if (template->escape == ESCAPE_JSON)
			text_add_json(&out, value);
		else if (template->escape == ESCAPE_XML)
			text_add_xml(&out, value);
		else
			text_add(&out, value);
	}
	return (struct str){out.has_failed ? NULL : out.p != NULL ? out.p : "", out.n};
}

int answer_render(const struct answer *answer, const struct reading *reading, struct arena *arena,
	struct http_reply *out)
{
	struct http_field *fields = arena_alloc(arena, answer->headers_len * sizeof(*fields));
	if (fields == NULL)
		return TAMA_ENOMEM;
	for (size_t i = 0; i < answer->headers_len; i++) {
		fields[i].name = answer->headers[i].name;
		fields[i].value = render(&answer->headers[i].value, reading, arena);
		if (fields[i].value.p == NULL)
			return TAMA_ENOMEM;
		if (!value_is_header_value(fields[i].value))
			return TAMA_EINVAL;
	}
	struct str body = render(&answer->body, reading, arena);
	if (body.p == NULL)
		return TAMA_ENOMEM;
	*out = (struct http_reply){answer->status, answer->type, fields, answer->headers_len, body};
	return 0;
}
