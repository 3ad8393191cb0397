/*
 * Typed readers: a Lua table into a struct, as a table of fields says. Every problem of a table is
 * noted, and reading goes on with what is right. Values of secrets are never shown.
 */
#include "config_priv.h"

#include <stdarg.h>

#define TEXT_MAX 200
#define PATH_MAX_LEN 200
#define FIELDS_MAX 32

struct reader {
	struct loader *loader;
	const struct decl *decl;
	char path[PATH_MAX_LEN]; /* of the field being read, keys parted by '/' */
	size_t path_len;
};

/* ---- paths and messages
 * -------------------------------------------------------------------------- */

static size_t path_enter(struct reader *r, struct str key)
{
	size_t before = r->path_len;
	int n = snprintf(r->path + before, sizeof(r->path) - before, "%s%.*s",
		before > 0 ? "/" : "", STR_ARG(key));
	r->path_len =
		before + (size_t)n < sizeof(r->path) ? before + (size_t)n : sizeof(r->path) - 1;
	return before;
}

static void path_leave(struct reader *r, size_t before)
{
	r->path_len = before;
	r->path[before] = '\0';
}

static size_t path_enter_item(struct reader *r, size_t i)
{
	char key[24];
	(void)snprintf(key, sizeof(key), "#%zu", i);
	return path_enter(r, str_c(key));
}

/* "collect/services/x" as "collect.services.x", "codes/#2" as "codes[2]". */
static void path_show(const char *path, char out[static PATH_MAX_LEN + 2])
{
	bool in_item = false;
	for (; *path != '\0'; path++) {
		if (in_item && *path == '/') {
			*out++ = ']';
			in_item = false;
		}
		if (path[0] == '/' && path[1] == '#') {
			*out++ = '[';
			path++;
			in_item = true;
		} else {
			*out++ = *path == '/' ? '.' : *path;
		}
	}
	if (in_item)
		*out++ = ']';
	*out = '\0';
}

/* 'field "a.b" ' and the message, at the field's line. */
static void __attribute__((format(printf, 2, 3))) wrong(struct reader *r, const char *fmt, ...)
{
	char text[700], shown[PATH_MAX_LEN + 2];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	path_show(r->path, shown);
	config_problem(r->loader, r->decl, r->path, "field \"%s\" %s", shown, text);
}

static const char *type_name(lua_State *L)
{
	switch (lua_type(L, -1)) {
	case LUA_TBOOLEAN:
		return "a truth value";
	case LUA_TNUMBER:
		return "a number";
	case LUA_TSTRING:
		return "a text";
	case LUA_TTABLE:
		return "a table";
	case LUA_TLIGHTUSERDATA:
		return "a secret";
	default:
		return "a function";
	}
}

static struct str field_hint(struct loader *loader, const struct field *fields, struct str name)
{
	struct str names[FIELDS_MAX];
	size_t n = 0;
	for (; n < FIELDS_MAX && fields[n].name != NULL; n++)
		names[n] = str_c(fields[n].name);
	return config_hint(loader, name, names, n);
}

/* ---- values: each reads the value on top of the stack. [-0, +0, e]
 * ------------------------------- */

static struct str top_text(lua_State *L)
{
	struct str text;
	text.p = lua_tolstring(L, -1, &text.n);
	return text;
}

static bool read_text(struct reader *r, const struct field *field, struct str *out)
{
	lua_State *L = r->loader->L;
	if (lua_type(L, -1) != LUA_TSTRING) {
		wrong(r, "must be %s, not %s", field->want != NULL ? field->want : "a text",
			type_name(L));
		return false;
	}
	struct str text = top_text(L);
	if (text.n > TEXT_MAX || !str_is_clean_utf8(text))
		wrong(r, "must be at most %d bytes of UTF-8 without control characters", TEXT_MAX);
	else if (text.n == 0 && field->is_required)
		wrong(r, "must not be empty");
	else if (text.n > 0 && field->is_right != NULL && !field->is_right(text))
		wrong(r, "must be %s, not \"%.*s\"", field->want, STR_ARG(text));
	else
		*out = config_str(r->loader, text);
	return out->p != NULL;
}

static bool read_number(struct reader *r, const struct field *field, int64_t *out)
{
	lua_State *L = r->loader->L;
	int is_whole = 0;
	lua_Integer value = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &is_whole) : 0;
	if (lua_type(L, -1) != LUA_TNUMBER)
		wrong(r, "must be a whole number, not %s", type_name(L));
	else if (!is_whole)
		wrong(r, "must be a whole number");
	else if (value < field->min || value > field->max)
		wrong(r, "must be %lld to %lld, not %lld", (long long)field->min,
			(long long)field->max, (long long)value);
	else
		*out = value;
	return is_whole && value >= field->min && value <= field->max;
}

static const struct {
	const char *unit;
	int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

#define UNITS (sizeof(units) / sizeof(units[0]))

static bool duration_parse(struct str text, int64_t *out)
{
	size_t n = 0;
	int64_t count;
	while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
		n++;
	if (n == 0 || n > 9 || !str_to_i64((struct str){text.p, n}, &count))
		return false;
	for (size_t i = 0; i < UNITS; i++) {
		if (str_eq(str_from(text, n), str_c(units[i].unit))) {
			*out = count * units[i].ms;
			return true;
		}
	}
	return false;
}

static struct str duration_show(struct loader *loader, int64_t ms)
{
	size_t i = UNITS - 1;
	while (i > 0 && ms % units[i].ms != 0)
		i--;
	return arena_printf(&loader->arena, "%lld%s", (long long)(ms / units[i].ms),
		ms == 0 ? "s" : units[i].unit);
}

static bool read_duration(struct reader *r, const struct field *field, int64_t *out)
{
	lua_State *L = r->loader->L;
	int64_t ms;
	if (lua_type(L, -1) != LUA_TSTRING) {
		wrong(r, "must be a duration such as \"500ms\", \"5s\", \"15m\" or \"1h\", not %s",
			type_name(L));
		return false;
	}
	struct str text = top_text(L);
	if (!duration_parse(text, &ms)) {
		wrong(r,
			"must be a duration such as \"500ms\", \"5s\", \"15m\" or \"1h\", not "
			"\"%.*s\"",
			STR_ARG(text));
		return false;
	}
	if (ms < field->min || ms > field->max) {
		wrong(r, "must be %s to %s, not \"%.*s\"", duration_show(r->loader, field->min).p,
			duration_show(r->loader, field->max).p, STR_ARG(text));
		return false;
	}
	*out = ms;
	return true;
}

static void read_bool(struct reader *r, bool *out)
{
	lua_State *L = r->loader->L;
	if (lua_isboolean(L, -1))
		*out = lua_toboolean(L, -1) != 0;
	else
		wrong(r, "must be true or false, not %s", type_name(L));
}

/* The length of a list; 0, with a problem noted, when it is none. */
static size_t list_len(struct reader *r, const struct field *field)
{
	lua_State *L = r->loader->L;
	size_t n = 0;
	if (!lua_istable(L, -1)) {
		wrong(r, "must be a list in braces, not %s", type_name(L));
		return 0;
	}
	for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
		n++;
	if (n != lua_rawlen(L, -1))
		wrong(r, "must be a list without names and gaps");
	else if (n == 0 && field->is_required)
		wrong(r, "must not be empty");
	else if (n > LIMIT_CONFIG_LIST)
		wrong(r, "must have at most %d entries", LIMIT_CONFIG_LIST);
	else
		return n;
	return 0;
}

static unsigned field_line(const struct reader *r)
{
	return config_source_line(r->decl->source, r->decl->line, r->path);
}

/* A wrong secret leaves the empty text, an absent one NULL: then only the absence is worth a word.
 */
static void read_secret(struct reader *r, const struct field *field, struct str *out)
{
	struct loader *loader = r->loader;
	const struct config_secret *secret =
		lua_islightuserdata(loader->L, -1)
			? config_secret_of(loader, lua_touserdata(loader->L, -1))
			: NULL;
	struct str text = STR("");
	*out = STR("");
	if (secret != NULL)
		text = config_secret_text(secret);
	else if (field->may_be_text && lua_type(loader->L, -1) == LUA_TSTRING)
		text = config_secret_demo(
			loader, r->decl->source, field_line(r), top_text(loader->L))
			       ->raw;
	else
		wrong(r, "must be secret_file \"path\", not %s", type_name(loader->L));
	if (text.n == 0)
		return;
	if (field->is_right != NULL ? !field->is_right(text) : !str_is_clean_utf8(text))
		wrong(r, "must be %s", field->want != NULL ? field->want : "one line of text");
	else
		*out = text;
}

/* One, or a list of the new one and the one before it. */
static void read_secrets_in_turn(
	struct reader *r, const struct field *field, struct secrets_in_turn *out)
{
	lua_State *L = r->loader->L;
	if (!lua_istable(L, -1)) {
		read_secret(r, field, &out->now);
		return;
	}
	out->now = STR("");
	if (list_len(r, field) != 2) {
		wrong(r, "must be one secret, or { the new one, the one before it }");
		return;
	}
	struct str *both[] = {&out->now, &out->old};
	for (lua_Integer i = 0; i < 2; i++) {
		size_t before = path_enter_item(r, (size_t)i + 1);
		lua_rawgeti(L, -1, i + 1);
		read_secret(r, field, both[i]);
		lua_pop(L, 1);
		path_leave(r, before);
	}
	if (out->now.n > 0 && str_eq(out->now, out->old))
		wrong(r, "has the same secret twice");
}

static void read_key(struct reader *r, struct str *out)
{
	struct loader *loader = r->loader;
	const struct config_secret *secret =
		lua_islightuserdata(loader->L, -1)
			? config_secret_of(loader, lua_touserdata(loader->L, -1))
			: NULL;
	if (secret == NULL)
		wrong(r, "must be secret_file \"path\", not %s", type_name(loader->L));
	else if (secret->raw.n > 0)
		*out = config_secret_key(loader, secret);
	if (secret != NULL && secret->raw.n > 0 && out->n == 0)
		wrong(r, "must be 32 random bytes, or 64 hexadecimal digits");
}

/* ---- lists and maps: the table on top of the stack. [-0, +0, e]
 * ---------------------------------- */

static void read_texts(struct reader *r, const struct field *field, struct texts *out)
{
	struct loader *loader = r->loader;
	size_t n = list_len(r, field), len = 0;
	struct str *p = config_alloc(loader, n * sizeof(*p));
	struct field item = *field;
	item.is_required = true;
	for (size_t i = 0; i < n; i++) {
		size_t before = path_enter_item(r, i + 1);
		lua_rawgeti(loader->L, -1, (lua_Integer)i + 1);
		bool is_read = read_text(r, &item, &p[len]);
		for (size_t j = 0; is_read && j < len; j++)
			if (str_eq(p[j], p[len]))
				wrong(r, "repeats \"%.*s\"", STR_ARG(p[len]));
		len += is_read;
		lua_pop(loader->L, 1);
		path_leave(r, before);
	}
	*out = (struct texts){p, len};
}

static void read_numbers(struct reader *r, const struct field *field, struct numbers *out)
{
	struct loader *loader = r->loader;
	size_t n = list_len(r, field), len = 0;
	int64_t *p = config_alloc(loader, n * sizeof(*p));
	for (size_t i = 0; i < n; i++) {
		size_t before = path_enter_item(r, i + 1);
		lua_rawgeti(loader->L, -1, (lua_Integer)i + 1);
		bool is_read = field->type == FIELD_DURATIONS ? read_duration(r, field, &p[len])
							      : read_number(r, field, &p[len]);
		if (is_read && len > 0 && p[len] <= p[len - 1])
			wrong(r, "must be more than the one before it");
		len += is_read;
		lua_pop(loader->L, 1);
		path_leave(r, before);
	}
	*out = (struct numbers){p, len};
}

static int pair_compare(const void *a, const void *b)
{
	const struct account_field *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int order = memcmp(x->name.p, y->name.p, n);
	return order != 0 ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static bool has_suffix(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

/* Names that nobody gives to what may be read by all. */
static bool sounds_secret(struct str name)
{
	return has_suffix(name, STR("key")) || has_suffix(name, STR("password")) ||
	       has_suffix(name, STR("secret")) || has_suffix(name, STR("token"));
}

static void read_pair(struct reader *r, const struct field *field, struct account_field *out)
{
	static const struct field text = {.is_required = true};
	bool may_be_secret = field->type == FIELD_SECRETS;
	int64_t amount = 0;
	if (field->type == FIELD_AMOUNTS) {
		if (read_number(r, field, &amount))
			out->value = config_str(r->loader,
				arena_printf(&r->loader->arena, "%lld", (long long)amount));
	} else if (may_be_secret &&
		   (lua_islightuserdata(r->loader->L, -1) || sounds_secret(out->name)))
		read_secret(r, &text, &out->value);
	else
		(void)read_text(r, &text, &out->value);
}

static void read_pairs(struct reader *r, const struct field *field, struct pairs *out)
{
	lua_State *L = r->loader->L;
	size_t n = 0;
	if (!lua_istable(L, -1)) {
		wrong(r, "must be a table in braces, not %s", type_name(L));
		return;
	}
	struct account_field *p = config_alloc(r->loader, LIMIT_CONFIG_LIST * sizeof(*p));
	for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || n == LIMIT_CONFIG_LIST) {
			wrong(r, "must have a name for each of at most %d entries",
				LIMIT_CONFIG_LIST);
			lua_pop(L, 2);
			break;
		}
		struct str name = STR("");
		name.p = lua_tolstring(L, -2, &name.n);
		size_t before = path_enter(r, name);
		p[n].name = config_str(r->loader, name);
		read_pair(r, field, &p[n++]);
		path_leave(r, before);
	}
	if (n == 0 && field->is_required)
		wrong(r, "must not be empty");
	qsort(p, n, sizeof(*p), pair_compare);
	*out = (struct pairs){p, n};
}

/* ---- tables -------------------------------------------------------------------------------------
 */

static void read_table(struct reader *r, const struct field *fields, char *base);

/* [-0, +0, e] */
static bool is_empty_table(lua_State *L)
{
	if (!lua_istable(L, -1))
		return false;
	lua_pushnil(L);
	if (lua_next(L, -2) == 0)
		return true;
	lua_pop(L, 2);
	return false;
}

static void read_value(struct reader *r, const struct field *field, char *base)
{
	void *out = base + field->offset;
	switch (field->type) {
	case FIELD_TEXT:
		(void)read_text(r, field, out);
		break;
	case FIELD_TEXTS:
		read_texts(r, field, out);
		break;
	case FIELD_BOOL:
		read_bool(r, out);
		break;
	case FIELD_NUMBER:
		(void)read_number(r, field, out);
		break;
	case FIELD_DURATION:
		(void)read_duration(r, field, out);
		break;
	case FIELD_NUMBERS:
	case FIELD_DURATIONS:
		read_numbers(r, field, out);
		break;
	case FIELD_SECRET:
		read_secret(r, field, out);
		break;
	case FIELD_SECRETS_IN_TURN:
		read_secrets_in_turn(r, field, out);
		break;
	case FIELD_KEY:
		read_key(r, out);
		break;
	case FIELD_PAIRS:
	case FIELD_SECRETS:
	case FIELD_AMOUNTS:
		read_pairs(r, field, out);
		break;
	case FIELD_TABLE:
		*(bool *)out = true;
		if (field->want != NULL && is_empty_table(r->loader->L))
			wrong(r, "must have %s", field->want);
		read_table(r, field->fields, out);
		break;
	}
}

static void refuse_unknown(struct reader *r, const struct field *fields)
{
	lua_State *L = r->loader->L;
	for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
		char shown[PATH_MAX_LEN + 2];
		if (lua_type(L, -2) != LUA_TSTRING) {
			config_problem(r->loader, r->decl, r->path_len > 0 ? r->path : NULL,
				"an entry has no name: fields are written name = value");
			continue;
		}
		struct str name = STR("");
		name.p = lua_tolstring(L, -2, &name.n);
		const struct field *field = fields;
		while (field->name != NULL && !str_eq(str_c(field->name), name))
			field++;
		if (field->name != NULL)
			continue;
		size_t before = path_enter(r, name);
		path_show(r->path, shown);
		config_problem(r->loader, r->decl, r->path, "unknown field \"%s\"%s", shown,
			field_hint(r->loader, fields, name).p);
		path_leave(r, before);
	}
}

static void set_default(const struct field *field, char *base)
{
	if (field->type == FIELD_NUMBER || field->type == FIELD_DURATION)
		*(int64_t *)(void *)(base + field->offset) = field->def;
}

/* Defaults of a whole table, nested ones too: a table that is not given has them as well. */
static void set_defaults(const struct field *fields, char *base)
{
	for (const struct field *field = fields; field->name != NULL; field++) {
		set_default(field, base);
		if (field->type == FIELD_TABLE)
			set_defaults(field->fields, base + field->offset);
	}
}

static void missing(struct reader *r, const struct field *field)
{
	char shown[PATH_MAX_LEN + 2];
	size_t before = path_enter(r, str_c(field->name));
	path_show(r->path, shown);
	path_leave(r, before);
	config_problem(r->loader, r->decl, r->path_len > 0 ? r->path : NULL,
		"field \"%s\" is missing", shown);
}

static void read_table(struct reader *r, const struct field *fields, char *base)
{
	lua_State *L = r->loader->L;
	if (!lua_istable(L, -1)) {
		wrong(r, "must be a table in braces, not %s", type_name(L));
		return;
	}
	luaL_checkstack(L, 10, "the configuration");
	refuse_unknown(r, fields);
	for (const struct field *field = fields; field->name != NULL; field++) {
		lua_pushstring(L, field->name);
		if (lua_rawget(L, -2) != LUA_TNIL) {
			size_t before = path_enter(r, str_c(field->name));
			read_value(r, field, base);
			path_leave(r, before);
		} else if (field->is_required) {
			missing(r, field);
		}
		lua_pop(L, 1);
	}
}

void config_read_decl(struct loader *loader, struct decl *decl)
{
	struct reader reader = {.loader = loader, .decl = decl};
	const struct field *fields = decl_types[decl->kind].fields;
	set_defaults(fields, (char *)decl);
	read_table(&reader, fields, (char *)decl);
}
