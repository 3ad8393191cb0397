/*
 * What a configuration script can call. A declaration only notes itself and its fields here;
 * nothing is looked up before the whole of the script has run, so files may declare in any order.
 */
#include "config_priv.h"

#include "tama/lua_gate.h"

static struct loader *loader_of(lua_State *L)
{
	struct loader *loader = lua_gate_context(L);
	loader->L = L;
	return loader;
}

/* The file and line of the script that called the C function under way. */
static const struct config_source *caller(const struct loader *loader, unsigned *line)
{
	lua_Debug ar;
	*line = 1;
	if (lua_getstack(loader->L, 1, &ar) == 0 || lua_getinfo(loader->L, "Sl", &ar) == 0)
		return loader->sources[0];
	if (ar.currentline > 0)
		*line = (unsigned)ar.currentline;
	for (size_t i = 0; i < loader->sources_len; i++)
		if (str_eq(loader->sources[i]->path, str_c(ar.source + 1)))
			return loader->sources[i];
	return loader->sources[0];
}

static struct str text_at(lua_State *L, int arg)
{
	struct str text;
	text.p = lua_tolstring(L, arg, &text.n);
	return text;
}

/* An argument that has to be a text; raises with what the right call looks like. */
static struct str check_text(lua_State *L, int arg, const char *right)
{
	if (lua_type(L, arg) != LUA_TSTRING || strlen(lua_tostring(L, arg)) != lua_rawlen(L, arg))
		(void)luaL_error(L, "a text is missing; the right call is: %s", right);
	return text_at(L, arg);
}

/* ---- declarations ------------------------------------------------------------------------------
 */

static struct decl *decl_add(struct loader *loader, enum decl_kind kind, struct str name)
{
	struct decl_list *list = &loader->decls[kind];
	struct decl *decl = config_temp(loader, decl_types[kind].size);
	decl->kind = kind;
	decl->name = config_str(loader, name);
	decl->source = caller(loader, &decl->line);
	decl->index = (unsigned)list->len++;
	if (list->last == NULL)
		list->first = decl;
	else
		list->last->next = decl;
	list->last = decl;
	if (list->len > LIMIT_CONFIG_LIST)
		(void)luaL_error(
			loader->L, "more than %d declarations of one kind", LIMIT_CONFIG_LIST);
	return decl;
}

static void decl_body(struct loader *loader, struct decl *decl)
{
	lua_State *L = loader->L;
	if (lua_gettop(L) != 1 || !lua_istable(L, 1))
		(void)luaL_error(
			L, "%s wants its fields in braces: { ... }", decl_types[decl->kind].word);
	if (decl->has_body)
		(void)luaL_error(L, "%s has two tables of fields", decl_types[decl->kind].word);
	decl->has_body = true;
	config_read_decl(loader, decl);
}

/* The { ... } after a name. Upvalue: the declaration. [-1, +0, e] */
static int script_body(lua_State *L)
{
	decl_body(loader_of(L), lua_touserdata(L, lua_upvalueindex(1)));
	return 0;
}

/* kind "name" { ... }. Upvalue: the kind. [-1, +1, e] */
static int script_declare(lua_State *L)
{
	struct loader *loader = loader_of(L);
	enum decl_kind kind = (enum decl_kind)lua_tointeger(L, lua_upvalueindex(1));
	const struct decl_type *type = &decl_types[kind];
	if (type->is_name == NULL) {
		decl_body(loader, decl_add(loader, kind, STR("")));
		return 0;
	}
	if (lua_type(L, 1) != LUA_TSTRING)
		(void)luaL_error(
			L, "a name is missing; the right call is: %s \"name\" { ... }", type->word);
	struct str name = text_at(L, 1);
	if (!type->is_name(name))
		(void)luaL_error(L, "the name of a %s must be %s", type->word, type->want);
	lua_pushlightuserdata(L, decl_add(loader, kind, name));
	lua_pushcclosure(L, script_body, 1);
	return 1;
}

/* ---- secrets and settings
 * ------------------------------------------------------------------------ */

/* secret_file "path". [-1, +1, e] */
static int script_secret_file(lua_State *L)
{
	struct loader *loader = loader_of(L);
	unsigned line;
	struct str path = check_text(L, 1, "secret_file \"path\"");
	const struct config_source *source = caller(loader, &line);
	lua_pushlightuserdata(L, config_secret_file(loader, source, line, path));
	return 1;
}

/* credential "name". [-1, +1, e] */
static int script_credential(lua_State *L)
{
	struct loader *loader = loader_of(L);
	unsigned line;
	struct str name = check_text(L, 1, "credential \"name\"");
	const struct config_source *source = caller(loader, &line);
	lua_pushlightuserdata(L, config_secret_credential(loader, source, line, name));
	return 1;
}

/* demo_secret "text". [-1, +1, e] */
static int script_demo_secret(lua_State *L)
{
	struct loader *loader = loader_of(L);
	unsigned line;
	struct str text = check_text(L, 1, "demo_secret \"text\"");
	const struct config_source *source = caller(loader, &line);
	lua_pushlightuserdata(L, config_secret_demo(loader, source, line, text));
	return 1;
}

static const struct config_setting *setting_given(struct loader *loader, struct str name)
{
	const struct config_options *options = loader->options;
	if (loader->settings_known_len == LIMIT_CONFIG_LIST)
		(void)luaL_error(loader->L, "more than %d calls of setting", LIMIT_CONFIG_LIST);
	loader->settings_known[loader->settings_known_len++] = config_str(loader, name);
	for (size_t i = 0; i < options->settings_len; i++) {
		if (str_eq(options->settings[i].name, name)) {
			loader->settings_used[i] = true;
			return &options->settings[i];
		}
	}
	return NULL;
}

/* setting("name", default): the command line's value, of the default's type. [-2, +1, e] */
static int script_setting(lua_State *L)
{
	struct loader *loader = loader_of(L);
	struct str name = check_text(L, 1, "setting(\"name\", default)");
	const struct config_setting *given = setting_given(loader, name);
	int type = lua_type(L, 2);
	int64_t number;
	if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
		(void)luaL_error(L,
			"setting \"%s\" wants a text, number or truth value as its default",
			name.p);
	lua_settop(L, 2);
	if (given == NULL)
		return 1;
	if (type == LUA_TSTRING)
		lua_pushlstring(L, given->value.p, given->value.n);
	else if (type == LUA_TNUMBER && str_to_i64(given->value, &number))
		lua_pushinteger(L, number);
	else if (type == LUA_TBOOLEAN && str_eq(given->value, STR("true")))
		lua_pushboolean(L, 1);
	else if (type == LUA_TBOOLEAN && str_eq(given->value, STR("false")))
		lua_pushboolean(L, 0);
	else
		(void)luaL_error(L, "setting \"%s\" is given as no %s", name.p,
			type == LUA_TNUMBER ? "whole number" : "true or false");
	return 1;
}

/* ---- files
 * --------------------------------------------------------------------------------------- */

static bool is_below(struct str path)
{
	if (path.n == 0 || path.p[0] == '/')
		return false;
	while (path.p != NULL)
		if (str_eq(str_cut(&path, '/'), STR("..")))
			return false;
	return true;
}

/*
 * include "path": the file is run after this one, since a gate makes one call at a time;
 * declarations have no order among files. [-1, +0, e]
 */
static int script_include(lua_State *L)
{
	struct loader *loader = loader_of(L);
	unsigned line;
	struct str path = check_text(L, 1, "include \"path\"");
	const struct config_source *includer = caller(loader, &line);
	if (!is_below(path))
		(void)luaL_error(L,
			"include \"%s\": the file must lie below the folder of the one that "
			"includes it",
			path.p);
	path = config_path(loader, includer->path, path);
	for (size_t i = 0; i < loader->sources_len; i++)
		if (str_eq(loader->sources[i]->path, path))
			(void)luaL_error(L, "\"%s\" is included twice", path.p);
	if (loader->sources_len == LIMIT_CONFIG_FILES)
		(void)luaL_error(L, "more than %d files", LIMIT_CONFIG_FILES);
	struct config_source *source = config_temp(loader, sizeof(*source));
	source->path = path;
	source->order = (unsigned)loader->sources_len;
	source->includer = includer;
	source->includer_line = line;
	loader->sources[loader->sources_len++] = source;
	return 0;
}

void config_script_problem(
	struct loader *loader, const struct config_source *source, const char *text)
{
	struct str whole = arena_str(&loader->arena, str_c(text));
	struct str rest = str_from(whole, source->path.n + 1);
	int64_t line = 0;
	if (str_has_prefix(whole, source->path))
		(void)str_to_i64(str_cut(&rest, ':'), &line);
	config_problem_line(loader, source, (unsigned)line, whole);
	loader->is_incomplete = true;
}

static void source_read(struct loader *loader, struct config_source *source)
{
	struct err err = ERR_INIT;
	const struct config_source *asker = source->includer != NULL ? source->includer : source;
	int rc = config_read_file(source->path.p, LIMIT_CONFIG_FILE, &loader->scratch, &err);
	if (rc == 0)
		source->text = arena_str(&loader->arena, buf_str(&loader->scratch));
	else
		config_problem_at(loader, asker,
			source->includer_line > 0 ? source->includer_line : 1, "\"%s\": %s",
			source->path.p, err.text);
	loader->is_incomplete = loader->is_incomplete || rc != 0;
}

void config_script_run(struct loader *loader, struct config_source *source)
{
	struct err err = ERR_INIT;
	int functions = lua_gettop(lua_gate_state(loader->gate));
	source_read(loader, source);
	struct str chunk = arena_printf(&loader->arena, "=%s", source->path.p);
	if (source->text.p == NULL || chunk.p == NULL)
		return;
	int rc = lua_gate_load(loader->gate, source->text, chunk.p, &err);
	if (rc == 0) {
		lua_gate_fresh_env(loader->gate, functions);
		rc = lua_gate_call(loader->gate, 0, 0, &err);
	}
	if (rc != 0)
		config_script_problem(loader, source, err.text);
}

void config_script_push(struct loader *loader)
{
	static const luaL_Reg functions[] = {
		{"secret_file", script_secret_file},
		{"credential", script_credential},
		{"demo_secret", script_demo_secret},
		{"setting", script_setting},
		{"include", script_include},
		{NULL, NULL},
	};
	lua_State *L = lua_gate_state(loader->gate);
	lua_createtable(L, 0, DECL_KINDS + 4);
	luaL_setfuncs(L, functions, 0);
	for (int kind = 0; kind < DECL_KINDS; kind++) {
		lua_pushinteger(L, kind);
		lua_pushcclosure(L, script_declare, 1);
		lua_setfield(L, -2, decl_types[kind].word);
	}
}
