/* Hosts: the gate, the dialects in it, and the one way of running anything in it. */
#include "dialect_priv.h"

#include "tama/embedded.h"
#include "tama/wipe.h"

#include <lauxlib.h>

/* All dialects of one host, compiled. */
#define HOST_BYTES (1024 * 1024)

int dialect_run(struct dialect_host *host, lua_CFunction body, void *op, struct arena *arena,
	struct err *err)
{
	lua_State *L = lua_gate_state(host->gate);
	tama_assert(host->turn == NULL);
	host->turn = arena;
	lua_gate_set_context(host->gate, host);
	/* Neither push allocates, so neither can raise outside the gate. */
	lua_pushcfunction(L, body);
	lua_pushlightuserdata(L, op);
	int rc = lua_gate_call(host->gate, 1, 0, err);
	lua_gate_set_context(host->gate, NULL);
	json_decref(host->json);
	host->json = NULL;
	host->turn = NULL;
	return rc;
}

struct dialect *dialect_find(
	const struct dialect_host *host, enum dialect_kind kind, struct str name)
{
	for (struct dialect *d = host->dialects; d != NULL; d = d->next)
		if (d->kind == kind && str_eq(d->name, name))
			return d;
	return NULL;
}

bool dialect_exists(struct dialect_host *host, enum dialect_kind kind, struct str name)
{
	return dialect_find(host, kind, name) != NULL;
}

bool dialect_latest(
	const struct dialect_host *host, enum dialect_kind *kind_out, struct str *name_out)
{
	if (host->dialects == NULL)
		return false;
	*kind_out = host->dialects->kind;
	*name_out = host->dialects->name;
	return true;
}

/* ---- Loading ----------------------------------------------------------------------------------
 */

struct host_load {
	struct dialect_host *host;
	struct dialect *dialect;
};

/* The file's value lies below the argument. */
static int run_load(lua_State *L) /* [-2, +0, e] */
{
	struct host_load *op = lua_touserdata(L, 2);
	lua_settop(L, 1);
	dialect_load(L, op->host, op->dialect);
	return 0;
}

/* Runs the file and leaves its value on the stack. */
static int run_file(
	struct dialect_host *host, struct str source, const char *chunk, struct err *err)
{
	lua_State *L = lua_gate_state(host->gate);
	lua_rawgeti(L, LUA_REGISTRYINDEX, host->library);
	int rc = lua_gate_load(host->gate, source, chunk, err);
	if (rc != 0) {
		lua_pop(L, 1);
		return rc;
	}
	lua_gate_fresh_env(host->gate, lua_gettop(L) - 1);
	lua_remove(L, -2);
	lua_gate_set_context(host->gate, host);
	host->turn = &host->memory;
	rc = lua_gate_call(host->gate, 0, 1, err);
	host->turn = NULL;
	return rc;
}

int dialect_host_add(
	struct dialect_host *host, struct str source, const char *chunk, struct err *err)
{
	lua_State *L = lua_gate_state(host->gate);
	struct dialect *dialect = arena_alloc(&host->memory, sizeof(*dialect));
	if (dialect == NULL)
		return err_set(err, TAMA_ENOMEM, "%s: too many dialects", chunk + 1);
	int rc = run_file(host, source, chunk, err);
	if (rc != 0)
		return rc;
	struct host_load op = {host, dialect};
	struct err why = ERR_INIT;
	host->turn = &host->memory;
	lua_pushcfunction(L, run_load);
	lua_insert(L, -2);
	lua_pushlightuserdata(L, &op);
	rc = lua_gate_call(host->gate, 2, 0, &why);
	host->turn = NULL;
	json_decref(host->json);
	host->json = NULL;
	if (rc != 0)
		return err_set(err, rc, "%s: %s", chunk + 1, why.text);
	if (dialect_exists(host, dialect->kind, dialect->name))
		return err_set(err, TAMA_EEXIST, "%s: there is a dialect '%.*s' already", chunk + 1,
			STR_ARG(dialect->name));
	dialect->next = host->dialects;
	host->dialects = dialect;
	return 0;
}

static const char *const folders[] = {
	[DIALECT_USSD] = "dialects/ussd/",
	[DIALECT_SMS] = "dialects/sms/",
	[DIALECT_PROVIDER] = "dialects/provider/",
};

static int add_standard(struct dialect_host *host, enum dialect_kind kind,
	const struct embedded_file *file, struct err *err)
{
	struct text chunk = {.arena = &host->memory};
	text_add(&chunk, STR("="));
	text_add(&chunk, str_c(file->name));
	text_add(&chunk, (struct str){"", 1});
	if (chunk.has_failed)
		return err_set(err, TAMA_ENOMEM, "%s: no room", file->name);
	int rc = dialect_host_add(host, (struct str){file->data, file->len}, chunk.p, err);
	if (rc != 0)
		return rc;
	struct str stem = str_c(file->name + strlen(folders[kind]));
	stem.n -= strlen(".lua");
	if (!dialect_exists(host, kind, stem))
		return err_set(err, TAMA_ESCRIPT, "%s: its kind and name must be those of the file",
			file->name);
	return 0;
}

static int add_all_standard(struct dialect_host *host, unsigned kinds, struct err *err)
{
	for (const struct embedded_file *file = embedded_files; file->name != NULL; file++) {
		for (unsigned kind = DIALECT_USSD; kind <= DIALECT_PROVIDER; kind++) {
			if ((kinds & (1u << kind)) == 0 ||
				!str_has_prefix(str_c(file->name), str_c(folders[kind])))
				continue;
			int rc = add_standard(host, (enum dialect_kind)kind, file, err);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

static int run_open(lua_State *L) /* [-1, +0, m] */
{
	struct dialect_host *host = lua_touserdata(L, 1);
	lua_json_open(L);
	dialect_lib_push(L);
	host->library = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

void dialect_wipe_freed(void)
{
	json_set_alloc_funcs(wipe_malloc, wipe_free);
}

int dialect_host_new(unsigned kinds, struct dialect_host **out, struct err *err)
{
	struct dialect_host *host = calloc(1, sizeof(*host));
	if (host == NULL)
		return err_set(err, TAMA_ENOMEM, "dialects: no memory");
	arena_init(&host->memory, HOST_BYTES);
	int rc = lua_gate_new(&host->gate, err);
	if (rc == 0)
		rc = dialect_run(host, run_open, host, &host->memory, err);
	if (rc == 0)
		rc = add_all_standard(host, kinds, err);
	if (rc != 0) {
		dialect_host_free(&host);
		return rc;
	}
	*out = host;
	return 0;
}

void dialect_host_free(struct dialect_host **host)
{
	if (*host == NULL)
		return;
	lua_gate_free(&(*host)->gate);
	arena_fini(&(*host)->memory);
	free(*host);
	*host = NULL;
}
