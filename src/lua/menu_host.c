/*
 * Services made ready to run: one Lua gate a partner, each menu compiled once, its texts read, and
 * for each language a table of what its scripts see. All of that is made once; a turn only reads
 * it.
 */
#include "menu_priv.h"

#include "tama/embedded.h"

#define TEXTS_PREFIX "texts."
#define TEXTS_SUFFIX ".lua"

/* What the confirmation may not leave out, whoever words it. */
static const struct {
	const char *key;
	const char *var;
} needed_vars[] = {
	{"confirm", "${price}"},
	{"confirm", "${number}"},
	{"confirm", "${amount}"},
	{"confirm_free", "${price}"},
	{"confirm_free", "${number}"},
	{"confirm_float", "${price}"},
	{"confirm_float", "${number}"},
	{"confirm_sms", "${nonce}"},
	{"otp", "${price}"},
	{"otp", "${number}"},
	{"otp_sms", "${price}"},
	{"otp_sms", "${number}"},
};

/* What the protected half of making a host is given. */
struct opening {
	struct menu_host *host;
	struct menu_partner *partner;
	struct menu_service *service;
	struct str file;
	struct text_set *set;
};

/* "fr" of "texts.fr.lua"; empty for any other name. */
static struct str lang_of_file(struct str name)
{
	const struct str prefix = STR(TEXTS_PREFIX);
	const struct str suffix = STR(TEXTS_SUFFIX);
	if (name.n <= prefix.n + suffix.n || !str_has_prefix(name, prefix) ||
		!str_eq(str_from(name, name.n - suffix.n), suffix))
		return STR("");
	return (struct str){name.p + prefix.n, name.n - prefix.n - suffix.n};
}

struct menu_service *menu_service_of(const struct menu_host *host, const struct service *service)
{
	for (size_t i = 0; service != NULL && i < host->services_len; i++)
		if (host->services[i].service == service)
			return &host->services[i];
	return NULL;
}

static struct menu_partner *partner_of(struct menu_host *host, const struct partner *partner)
{
	for (size_t i = 0; i < host->partners_len; i++)
		if (host->partners[i].partner == partner)
			return &host->partners[i];
	return NULL;
}

/* ---- the protected half: runs through the gate, may raise --------------------------------------
 */

static void push_functions(lua_State *L)
{
	lua_createtable(L, 0, 64);
	luaL_setfuncs(L, menu_api_functions, 0);
	luaL_setfuncs(L, menu_keyword_functions, 0);
	luaL_setfuncs(L, menu_operator_functions, 0);
	luaL_setfuncs(L, menu_buy_functions, 0);
}

/* [-2, +0, e] (opening, prelude): runs the prelude, keeps its functions. */
static int open_partner(lua_State *L)
{
	struct opening *opening = lua_touserdata(L, 1);
	struct menu_partner *partner = opening->partner;
	catalogue_open(L, opening->host->config, partner->partner);
	push_functions(L);
	lua_call(L, 1, 2);
	partner->drive = luaL_ref(L, LUA_REGISTRYINDEX);
	partner->prelude = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

/* [-2, +0, e] (opening, chunk): runs a file of texts into a set. */
static int open_texts(lua_State *L)
{
	struct opening *opening = lua_touserdata(L, 1);
	lua_call(L, 0, 1);
	text_set_read(L, &opening->host->arena, opening->file, opening->set);
	return 0;
}

/* [-2, +0, e] (opening, chunk): runs our own texts, a table of languages. */
static int open_gateway_texts(lua_State *L)
{
	static const char *const langs[] = {"en", "fr"};
	struct opening *opening = lua_touserdata(L, 1);
	struct text_sets *texts = &opening->host->texts;
	lua_call(L, 0, 1);
	for (size_t i = 0; i < sizeof(langs) / sizeof(langs[0]); i++) {
		texts->sets[i].lang = str_c(langs[i]);
		lua_getfield(L, -1, langs[i]);
		text_set_read(L, &opening->host->arena, opening->file, &texts->sets[i]);
	}
	texts->n = sizeof(langs) / sizeof(langs[0]);
	return 0;
}

/* [-0, +1, e] text.unknown: the key itself, noted for the checker. */
static int missing_text(lua_State *L)
{
	struct menu_run *run = lua_gate_context(L);
	struct str key = menu_check_text(L, 2, "text.name");
	if (run != NULL && run->out->missing.n == 0)
		run->out->missing = arena_str(run->arena, key);
	lua_settop(L, 2);
	return 1;
}

/* Adds the words that lang has for every key of the sets: tables words and keys are below the top.
 */
static void add_words(
	lua_State *L, const struct opening *opening, const struct text_sets *sets, struct str lang)
{
	for (size_t s = 0; s < sets->n; s++)
		for (size_t i = 0; i < sets->sets[s].n; i++) {
			struct str key = sets->sets[s].entries[i].key;
			struct str words;
			(void)text_find(opening->host, &opening->service->texts, lang, key, &words);
			lua_pushlstring(L, key.p, key.n);
			lua_pushlstring(L, words.n > 0 ? words.p : "", words.n);
			lua_pushvalue(L, -1);
			lua_pushvalue(L, -3);
			lua_rawset(L, -5);
			lua_rawset(L, -4);
		}
}

/* [-0, +0, e] A copy of the prelude's functions and the texts of one language. */
static void open_lang(lua_State *L, const struct opening *opening, struct menu_lang *lang)
{
	lua_createtable(L, 0, 32);
	lua_rawgeti(L, LUA_REGISTRYINDEX, opening->partner->prelude);
	for (lua_pushnil(L); lua_next(L, -2) != 0;) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -5);
	}
	lua_pop(L, 1);
	lua_createtable(L, 0, 64);
	lua_createtable(L, 0, 64);
	add_words(L, opening, &opening->host->texts, lang->lang);
	add_words(L, opening, &opening->service->texts, lang->lang);
	lang->keys = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, missing_text);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_gate_read_only(L);
	lua_setfield(L, -2, "text");
	lang->globals = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* [-2, +0, e] (opening, chunk): keeps the menu, makes what it sees. */
static int open_menu(lua_State *L)
{
	struct opening *opening = lua_touserdata(L, 1);
	struct menu_service *service = opening->service;
	service->chunk = luaL_ref(L, LUA_REGISTRYINDEX);
	for (size_t i = 0; i < service->langs_len; i++)
		open_lang(L, opening, &service->langs[i]);
	return 0;
}

/* [-2, +0, e] (opening, chunk): runs the file once, to know that it is a menu, and its keywords. */
static int probe_menu(lua_State *L)
{
	struct opening *opening = lua_touserdata(L, 1);
	lua_call(L, 0, 1);
	menu_check(L, 2);
	keywords_read(L, &opening->host->arena, opening->service);
	return 0;
}

/* ---- the unprotected half ----------------------------------------------------------------------
 */

/* Compiles source and hands it to a function of the protected half. */
static int open_chunk(struct opening *opening, lua_CFunction function, struct str source,
	struct str chunk, struct err *err)
{
	struct lua_gate *gate = opening->partner->gate;
	lua_State *L = lua_gate_state(gate);
	lua_pushcfunction(L, function);
	lua_pushlightuserdata(L, opening);
	int rc = lua_gate_load(gate, source, chunk.p, err);
	if (rc != 0) {
		lua_pop(L, 2);
		return rc;
	}
	return lua_gate_call(gate, 2, 0, err);
}

static int open_embedded(struct opening *opening, lua_CFunction function, const char *name,
	const char *chunk, struct err *err)
{
	const struct embedded_file *file = embedded_find(name);
	tama_assert(file != NULL);
	opening->file = str_c(name);
	return open_chunk(
		opening, function, (struct str){file->data, file->len}, str_c(chunk), err);
}

static bool text_contains(struct str text, const char *part)
{
	struct str needle = str_c(part);
	for (size_t i = 0; i + needle.n <= text.n; i++)
		if (str_has_prefix(str_from(text, i), needle))
			return true;
	return false;
}

static int check_needed(const struct menu_service *service, struct err *err)
{
	struct text_entry *entry;
	for (size_t s = 0; s < service->texts.n; s++)
		for (size_t i = 0; i < service->texts.sets[s].n; i++)
			for (size_t k = 0; k < sizeof(needed_vars) / sizeof(needed_vars[0]); k++) {
				entry = &service->texts.sets[s].entries[i];
				if (str_eq(entry->key, str_c(needed_vars[k].key)) &&
					!text_contains(entry->words, needed_vars[k].var))
					return err_set(err, TAMA_EINVAL,
						"%.*s/texts.%.*s.lua: %s must show %s",
						STR_ARG(service->service->dir),
						STR_ARG(service->texts.sets[s].lang),
						needed_vars[k].key, needed_vars[k].var);
			}
	return 0;
}

static int open_service_texts(struct opening *opening, struct err *err)
{
	struct menu_host *host = opening->host;
	struct menu_service *out = opening->service;
	const struct service *service = out->service;
	out->texts.sets =
		arena_alloc(&host->arena, service->files_len * sizeof(out->texts.sets[0]));
	if (out->texts.sets == NULL)
		return err_set(err, TAMA_ENOMEM, "the texts of all services are too long");
	for (size_t i = 0; i < service->files_len; i++) {
		const struct service_file *file = &service->files[i];
		struct text_set *set = &out->texts.sets[out->texts.n];
		set->lang = lang_of_file(file->name);
		if (set->lang.n == 0)
			continue;
		struct str chunk = arena_printf(
			&host->arena, "=%.*s/%.*s", STR_ARG(service->dir), STR_ARG(file->name));
		if (chunk.p == NULL)
			return err_set(err, TAMA_ENOMEM, "the texts of all services are too long");
		opening->file = str_from(chunk, 1);
		opening->set = set;
		int rc = open_chunk(opening, open_texts, file->text, chunk, err);
		if (rc != 0)
			return rc;
		out->texts.n++;
	}
	return check_needed(out, err);
}

static void add_lang(struct menu_service *service, struct str lang)
{
	for (size_t i = 0; i < service->langs_len; i++)
		if (str_eq(service->langs[i].lang, lang))
			return;
	service->langs[service->langs_len++].lang = lang;
}

/* The service's own languages first: an unknown one is answered in the first. */
static int open_langs(struct menu_host *host, struct menu_service *service, struct err *err)
{
	size_t most = service->texts.n + host->texts.n;
	service->langs = arena_alloc(&host->arena, most * sizeof(service->langs[0]));
	if (service->langs == NULL)
		return err_set(err, TAMA_ENOMEM, "the texts of all services are too long");
	for (size_t i = 0; i < service->texts.n; i++)
		add_lang(service, service->texts.sets[i].lang);
	for (size_t i = 0; i < host->texts.n; i++)
		add_lang(service, host->texts.sets[i].lang);
	return 0;
}

static int probe(struct opening *opening, struct err *err)
{
	struct lua_gate *gate = opening->partner->gate;
	lua_State *L = lua_gate_state(gate);
	lua_rawgeti(L, LUA_REGISTRYINDEX, opening->service->langs[0].globals);
	int globals = lua_gettop(L);
	lua_pushcfunction(L, probe_menu);
	lua_pushlightuserdata(L, opening);
	lua_rawgeti(L, LUA_REGISTRYINDEX, opening->service->chunk);
	lua_gate_fresh_env(gate, globals);
	lua_remove(L, globals);
	return lua_gate_call(gate, 2, 0, err);
}

static int open_service(struct menu_host *host, struct menu_service *out, struct err *err)
{
	const struct service *service = out->service;
	struct opening opening = {.host = host, .partner = out->partner, .service = out};
	int rc = open_service_texts(&opening, err);
	if (rc == 0)
		rc = open_langs(host, out, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < service->files_len; i++)
		if (str_eq(service->files[i].name, STR("menu.lua"))) {
			struct str chunk =
				arena_printf(&host->arena, "=%.*s/menu.lua", STR_ARG(service->dir));
			if (chunk.p == NULL)
				return err_set(err, TAMA_ENOMEM, "too many services");
			rc = open_chunk(&opening, open_menu, service->files[i].text, chunk, err);
			return rc == 0 ? probe(&opening, err) : rc;
		}
	return err_set(err, TAMA_EINVAL, "%.*s: there is no menu.lua", STR_ARG(service->dir));
}

static int open_partner_gate(struct menu_host *host, struct menu_partner *partner, struct err *err)
{
	struct opening opening = {.host = host, .partner = partner};
	int rc = lua_gate_new(&partner->gate, err);
	if (rc == 0)
		rc = open_embedded(&opening, open_partner, "lua/menu.lua", "=" MENU_PRELUDE, err);
	if (rc == 0 && host->texts.n == 0)
		rc = open_embedded(
			&opening, open_gateway_texts, "lua/texts.lua", "=lua/texts.lua", err);
	return rc;
}

static int open_all(struct menu_host *host, struct err *err)
{
	const struct config *config = host->config;
	host->partners =
		arena_alloc(&host->arena, config->partners_len * sizeof(host->partners[0]));
	host->services =
		arena_alloc(&host->arena, config->services_len * sizeof(host->services[0]));
	host->texts.sets = arena_alloc(&host->arena, 2 * sizeof(host->texts.sets[0]));
	if (host->partners == NULL || host->services == NULL || host->texts.sets == NULL)
		return err_set(err, TAMA_ENOMEM, "too many services");
	for (size_t i = 0; i < config->partners_len; i++) {
		struct menu_partner *partner = &host->partners[host->partners_len++];
		partner->partner = &config->partners[i];
		int rc = open_partner_gate(host, partner, err);
		if (rc != 0)
			return rc;
	}
	for (size_t i = 0; i < config->services_len; i++) {
		struct menu_service *service = &host->services[host->services_len++];
		service->service = &config->services[i];
		service->partner = partner_of(host, service->service->partner);
		tama_assert(service->partner != NULL);
		int rc = open_service(host, service, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int menu_host_new(const struct config *config, struct menu_host **out, struct err *err)
{
	struct menu_host *host = calloc(1, sizeof(*host));
	if (host == NULL)
		return err_set(err, TAMA_ENOMEM, "no memory for the menus");
	arena_init(&host->arena, LIMIT_MENU_TEXTS);
	host->config = config;
	int rc = open_all(host, err);
	if (rc != 0) {
		menu_host_free(&host);
		return rc;
	}
	*out = host;
	return 0;
}

void menu_host_free(struct menu_host **host)
{
	if (*host == NULL)
		return;
	for (size_t i = 0; i < (*host)->partners_len; i++)
		lua_gate_free(&(*host)->partners[i].gate);
	arena_fini(&(*host)->arena);
	free(*host);
	*host = NULL;
}
