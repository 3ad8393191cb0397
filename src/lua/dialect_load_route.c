/* Loading where a request arrives and what its parts mean: sources, words, mappings, routes. */
#include "dialect_load_priv.h"

#define SOURCES_MAX 8
#define ROUTES_MAX 32
#define WORDS_MAX 32

/* ---- Sources ----------------------------------------------------------------------------------
 */

static struct source plain_source(enum body_kind body, struct str name)
{
	enum source_kind kind = SOURCE_QUERY;
	if (body == BODY_FORM)
		kind = SOURCE_FORM;
	else if (body == BODY_JSON)
		kind = SOURCE_JSON;
	return (struct source){.kind = kind, .name = name};
}

static struct source load_source(const struct loader *load, int index, enum body_kind body)
{
	static const char *const kinds[] = {[SOURCE_QUERY] = "query",
		[SOURCE_FORM] = "form",
		[SOURCE_JSON] = "json",
		[SOURCE_HEADER] = "header",
		[SOURCE_COOKIE] = "cookie",
		[SOURCE_PATH] = "path",
		[SOURCE_BODY] = "body"};
	if (lua_type(load->L, index) != LUA_TSTRING)
		luaL_error(load->L, "%s: a source wants a name or \"kind:name\"", load->where);
	struct str rest = load_copy(load, index);
	if (str_find(rest, ':') < 0)
		return plain_source(body, rest);
	struct str kind = str_cut(&rest, ':');
	struct source source = {.name = rest};
	unsigned k = 0;
	while (k < sizeof(kinds) / sizeof(*kinds) && !str_eq(kind, str_c(kinds[k])))
		k++;
	int64_t place = 0;
	if (k == sizeof(kinds) / sizeof(*kinds))
		luaL_error(load->L,
			"%s: no source '%s'; there are: query form json header cookie "
			"path body",
			load->where, lua_tostring(load->L, index));
	source.kind = (enum source_kind)k;
	if (source.kind == SOURCE_PATH &&
		(str_to_i64(rest, &place) == false || place < 1 || place > OPENED_SEGMENTS))
		luaL_error(
			load->L, "%s: path: wants the number of a segment, 1 or more", load->where);
	if ((source.kind == SOURCE_FORM && body != BODY_FORM) ||
		(source.kind == SOURCE_JSON && body != BODY_JSON))
		luaL_error(load->L, "%s: source '%s' wants body = \"%s\"", load->where,
			lua_tostring(load->L, index), kinds[k]);
	source.index = (size_t)place;
	return source;
}

/* The value on top of the stack: one source or a list of them. [-1, +0, e] */
static struct sources load_sources(const struct loader *load, enum body_kind body)
{
	lua_State *L = load->L;
	bool is_list = lua_istable(L, -1);
	size_t n = is_list ? lua_rawlen(L, -1) : 1;
	if (n == 0 || n > SOURCES_MAX)
		luaL_error(L, "%s: a list of sources has 1 to %d", load->where, SOURCES_MAX);
	struct source *list = load_alloc(load, n * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		if (is_list)
			lua_rawgeti(L, -1, (lua_Integer)i + 1);
		else
			lua_pushvalue(L, -1);
		list[i] = load_source(load, -1, body);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return (struct sources){list, n};
}

/* ---- Words ------------------------------------------------------------------------------------
 */

/* The word on top of the stack; nil gives `absent`. [-1, +0, e] */
static int load_word(const struct loader *load, enum reading_kind kind, int absent)
{
	lua_State *L = load->L;
	size_t n;
	const char *const *words = reading_words(kind, &n);
	int word = absent;
	if (!lua_isnil(L, -1)) {
		struct str s = STR("");
		if (lua_type(L, -1) == LUA_TSTRING)
			s.p = lua_tolstring(L, -1, &s.n);
		for (word = 0; (size_t)word < n && !str_eq(s, str_c(words[word])); word++)
			;
		if ((size_t)word == n)
			luaL_error(L, "%s: no such event or state: '%s'", load->where, s.p);
	}
	lua_pop(L, 1);
	return word;
}

static void load_word_values(
	const struct loader *load, int index, enum reading_kind kind, struct word_map *map)
{
	lua_State *L = load->L;
	if (lua_getfield(L, index, "values") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	luaL_argcheck(L, lua_istable(L, -1), 1, "values wants { value = \"word\", ... }");
	struct word_value *values = load_alloc(load, WORDS_MAX * sizeof(*values));
	int table = lua_gettop(L);
	lua_pushnil(L);
	while (lua_next(L, table) != 0) {
		if (lua_type(L, -2) != LUA_TSTRING || map->values_len == WORDS_MAX)
			luaL_error(L, "%s: values wants at most %d strings as names", load->where,
				WORDS_MAX);
		values[map->values_len].value = load_copy(load, -2);
		values[map->values_len++].word = load_word(load, kind, WORD_MALFORMED);
	}
	map->values = values;
	lua_pop(L, 1);
}

/* t[name]: a word, or where it is said. */
static struct word_map load_word_map(
	const struct loader *load, int index, enum reading_kind kind, enum body_kind body)
{
	lua_State *L = load->L;
	const char *name = kind == READING_DLR ? "state" : "event";
	struct word_map map = {.other = WORD_MALFORMED, .none = WORD_MALFORMED};
	if (lua_getfield(L, index, name) != LUA_TTABLE) {
		map.none = load_word(load, kind, kind == READING_USSD ? HOP_AUTO : WORD_MALFORMED);
		return map;
	}
	int table = lua_gettop(L);
	load_check_keys(load, table, "from values other none");
	if (lua_getfield(L, table, "from") == LUA_TNIL)
		luaL_error(L, "%s: %s wants from = \"field\"", load->where, name);
	map.from = load_sources(load, body);
	load_word_values(load, table, kind, &map);
	lua_getfield(L, table, "other");
	map.other = load_word(load, kind, WORD_MALFORMED);
	lua_getfield(L, table, "none");
	map.none = load_word(load, kind, WORD_MALFORMED);
	lua_pop(L, 1);
	return map;
}

/* ---- Mappings and routes ----------------------------------------------------------------------
 */

static const char *mapping_keys(enum reading_kind kind)
{
	switch (kind) {
	case READING_USSD:
		return "session msisdn code input hop network state echo cumulative required";
	case READING_MO:
		return "id from to text required";
	case READING_DLR:
		return "id ref state required";
	}
	return "";
}

static bool field_is_of(unsigned field, enum reading_kind kind)
{
	return (field_rules[field].kinds & (1u << kind)) != 0;
}

static unsigned load_required(const struct loader *load, int index, enum reading_kind kind)
{
	lua_State *L = load->L;
	unsigned bits = 0;
	if (lua_getfield(L, index, "required") == LUA_TNIL) {
		lua_pop(L, 1);
		return 0;
	}
	if (!lua_istable(L, -1))
		luaL_error(L, "%s.required wants a list of words", load->where);
	for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
		unsigned f = 0;
		struct str name = STR("");
		if (lua_rawgeti(L, -1, i) == LUA_TSTRING)
			name.p = lua_tolstring(L, -1, &name.n);
		while (f < FIELD_COUNT &&
			!(field_is_of(f, kind) && str_eq(name, str_c(field_rules[f].name))))
			f++;
		if (f == FIELD_COUNT)
			luaL_error(L, "%s.required: no such word '%s'", load->where, name.p);
		bits |= 1u << f;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return bits;
}

/* The mapping at index. */
static const struct mapping *load_mapping(
	const struct loader *load, int index, enum reading_kind kind, enum body_kind body)
{
	lua_State *L = load->L;
	struct mapping *mapping = load_alloc(load, sizeof(*mapping));
	load_check_keys(load, index, mapping_keys(kind));
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		/* "state" of a report is a word, not a field. */
		if (!field_is_of(f, kind))
			continue;
		if (lua_getfield(L, index, field_rules[f].name) == LUA_TNIL)
			lua_pop(L, 1);
		else
			mapping->fields[f] = load_sources(load, body);
	}
	mapping->required = load_required(load, index, kind);
	lua_getfield(L, index, "cumulative");
	mapping->is_cumulative = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return mapping;
}

enum body_kind load_body(const struct loader *load, int index)
{
	struct str s = load_text(load, index, "body");
	if (s.p == NULL)
		return BODY_NONE;
	if (str_eq(s, STR("form")))
		return BODY_FORM;
	if (str_eq(s, STR("json")))
		return BODY_JSON;
	if (!str_eq(s, STR("text")))
		luaL_error(
			load->L, "%s.body: no '%s'; there are: form json text", load->where, s.p);
	return BODY_TEXT;
}

/* The route at index; decode may come from the table at `outer` (0: none). */
static void load_route(
	const struct loader *load, int index, int outer, enum reading_kind kind, struct route *out)
{
	lua_State *L = load->L;
	*out = (struct route){.function = LUA_NOREF, .body = load_body(load, index)};
	out->method = load_text(load, index, "method");
	if (out->method.p == NULL)
		out->method = STR("*");
	out->path = load_text(load, index, "path");
	if (out->path.p == NULL)
		out->path = STR("/");
	if (out->path.p[0] != '/' && !str_eq(out->path, STR("*")))
		luaL_error(L, "%s.path begins with '/', or is \"*\"", load->where);
	if (lua_getfield(L, index, "decode") == LUA_TNIL && outer != 0) {
		lua_pop(L, 1);
		lua_getfield(L, outer, "decode");
	}
	int decode = lua_gettop(L);
	if (lua_isfunction(L, decode)) {
		if (kind == READING_USSD)
			out->word = load_word_map(load, index, kind, out->body);
		out->function = luaL_ref(L, LUA_REGISTRYINDEX);
		return;
	}
	if (!lua_istable(L, decode))
		luaL_error(L, "%s.decode wants a mapping or a function", load->where);
	if (kind != READING_MO)
		out->word =
			load_word_map(load, kind == READING_DLR ? decode : index, kind, out->body);
	out->mapping = load_mapping(load, decode, kind, out->body);
	lua_pop(L, 1);
}

struct routes load_routes(const struct loader *load, int index, int outer, enum reading_kind kind)
{
	lua_State *L = load->L;
	size_t n = lua_rawlen(L, index);
	if (n > ROUTES_MAX)
		luaL_error(L, "%s: at most %d routes", load->where, ROUTES_MAX);
	struct route *list = load_alloc(load, (n == 0 ? 1 : n) * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TTABLE)
			luaL_error(L, "%s: route %d wants a table", load->where, (int)i + 1);
		load_check_keys(load, lua_gettop(L), ROUTE_KEYS);
		load_route(load, lua_gettop(L), outer, kind, &list[i]);
		lua_pop(L, 1);
	}
	if (n == 0)
		load_route(load, index, 0, kind, &list[0]);
	return (struct routes){list, n == 0 ? 1 : n};
}
