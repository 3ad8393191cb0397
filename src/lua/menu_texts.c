/*
 * Texts: words by key and language. A service's file wins over the gateway's own in the same
 * language, and the person's language over any other: somebody who reads French is better served by
 * our French words than by the service's English ones.
 */
#include "menu_priv.h"

#define FALLBACK_LANG "en"

static int entry_compare(const void *a, const void *b)
{
	const struct str *x = &((const struct text_entry *)a)->key;
	const struct str *y = &((const struct text_entry *)b)->key;
	size_t n = x->n < y->n ? x->n : y->n;
	int order = memcmp(x->p, y->p, n);
	return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

static struct str copy_text(lua_State *L, int index, struct arena *arena)
{
	struct str s;
	s.p = lua_tolstring(L, index, &s.n);
	s = arena_str(arena, s);
	if (s.p == NULL)
		luaL_error(L, "the texts are too long");
	return s;
}

static size_t count_fields(lua_State *L, struct str file)
{
	size_t n = 0;
	for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "%s: a text needs a name: amount = \"...\"", file.p);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "%s: %s must be text in quotes", file.p, lua_tostring(L, -2));
		n++;
	}
	return n;
}

void text_set_read(lua_State *L, struct arena *arena, struct str file, struct text_set *set)
{
	if (!lua_istable(L, -1))
		luaL_error(L, "%s: must return a table: return { amount = \"...\" }", file.p);
	size_t n = count_fields(L, file);
	set->entries = arena_alloc(arena, n * sizeof(set->entries[0]));
	if (set->entries == NULL)
		luaL_error(L, "the texts are too long");
	set->n = 0;
	for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
		struct text_entry *entry = &set->entries[set->n++];
		entry->key = copy_text(L, -2, arena);
		entry->words = copy_text(L, -1, arena);
		if (!str_is_clean_utf8(entry->words))
			luaL_error(L, "%s: %s is not clean UTF-8 text", file.p, entry->key.p);
	}
	qsort(set->entries, set->n, sizeof(set->entries[0]), entry_compare);
	lua_pop(L, 1);
}

static bool find_in(
	const struct text_sets *sets, struct str lang, struct str key, struct str *words)
{
	for (size_t i = 0; sets != NULL && i < sets->n; i++) {
		const struct text_set *set = &sets->sets[i];
		struct text_entry wanted = {.key = key};
		if (set->n == 0 || !str_eq(set->lang, lang))
			continue;
		const struct text_entry *found = bsearch(
			&wanted, set->entries, set->n, sizeof(set->entries[0]), entry_compare);
		if (found == NULL)
			continue;
		*words = found->words;
		return true;
	}
	return false;
}

bool text_find(const struct menu_host *host, const struct text_sets *service, struct str lang,
	struct str key, struct str *words)
{
	const struct str fallback = STR(FALLBACK_LANG);
	if (find_in(service, lang, key, words) || find_in(&host->texts, lang, key, words) ||
		find_in(service, fallback, key, words) ||
		find_in(&host->texts, fallback, key, words))
		return true;
	for (size_t i = 0; service != NULL && i < service->n; i++)
		if (find_in(service, service->sets[i].lang, key, words))
			return true;
	return false;
}

/* The name in "${name}" at the start of s; the length of the whole in *len. */
static bool is_name(struct str s, struct str *name, size_t *len)
{
	ptrdiff_t end = str_has_prefix(s, STR("${")) ? str_find(s, '}') : -1;
	if (end < 3)
		return false;
	*name = (struct str){s.p + 2, (size_t)end - 2};
	*len = (size_t)end + 1;
	return true;
}

static bool value_of(
	const struct text_vars *vars, struct str name, struct arena *arena, struct str *out)
{
	for (size_t i = 0; i < vars->n; i++)
		if (str_eq(name, str_c(vars->list[i].name))) {
			*out = vars->list[i].value;
			return true;
		}
	if (vars->L == NULL)
		return false;
	int kind = LUA_TNIL;
	lua_pushlstring(vars->L, name.p, name.n);
	const char *key = lua_tostring(vars->L, -1);
	if (vars->index != 0 && lua_istable(vars->L, vars->index))
		kind = lua_getfield(vars->L, vars->index, key);
	if (kind != LUA_TSTRING && !(kind == LUA_TNUMBER && lua_isinteger(vars->L, -1)))
		menu_misuse(vars->L,
			"the text needs ${%s}: pass { %s = ... }, a text or a whole number", key,
			key);
	struct str value;
	value.p = lua_tolstring(vars->L, -1, &value.n);
	*out = arena_str(arena, value);
	lua_pop(vars->L, 2);
	return true;
}

/* Two passes over the same words: how long it becomes, then the text itself. */
static size_t fill_pass(
	struct str words, const struct text_vars *vars, struct arena *arena, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < words.n;) {
		struct str piece = {words.p + i, 1};
		struct str name;
		size_t len = 1;
		if (words.p[i] == '$' && is_name(str_from(words, i), &name, &len) &&
			!value_of(vars, name, arena, &piece))
			piece.n = len;
		if (out != NULL && piece.n > 0)
			memcpy(out + n, piece.p, piece.n);
		n += piece.n;
		i += len;
	}
	return n;
}

struct str text_fill(struct str words, const struct text_vars *vars, struct arena *arena)
{
	if (words.n == 0 || memchr(words.p, '$', words.n) == NULL)
		return words;
	char *out = arena_alloc(arena, fill_pass(words, vars, arena, NULL) + 1);
	if (out == NULL)
		return (struct str){NULL, 0};
	return (struct str){out, fill_pass(words, vars, arena, out)};
}

struct str menu_text(struct menu_host *host, const struct service *service, struct str lang,
	const char *key, struct arena *arena)
{
	return menu_text_with(host, service, lang, key, NULL, 0, arena);
}

struct str menu_text_with(struct menu_host *host, const struct service *service, struct str lang,
	const char *key, const struct menu_var *vars, size_t vars_len, struct arena *arena)
{
	const struct menu_service *known = menu_service_of(host, service);
	const struct text_vars values = {.list = vars, .n = vars_len};
	struct str words;
	if (!text_find(host, known != NULL ? &known->texts : NULL, lang, str_c(key), &words))
		words = str_c(key);
	return arena_str(arena, text_fill(words, &values, arena));
}
