/*
 * Reading a dialect's table into C, once, at load. Every key is looked at: one that we do not know
 * is an error that says which there are, for a misspelt key would otherwise be silence. All of this
 * runs inside the gate, so it raises Lua errors; memory is the host's arena.
 */
#ifndef TAMA_DIALECT_LOAD_PRIV_H
#define TAMA_DIALECT_LOAD_PRIV_H

#include "dialect_priv.h"

#include <lauxlib.h>

struct loader {
	lua_State *L;
	struct arena *memory;
	struct dialect *dialect;
	const char *where; /* "decode", for messages */
};

#define ROUTE_KEYS "method path body event decode"

void *load_alloc(const struct loader *load, size_t n);
struct str load_copy(const struct loader *load, int index);

/* Only the names in the blank-separated list may be keys of the table at index. */
void load_check_keys(const struct loader *load, int index, const char *names);

/* t[name] as text, or {NULL, 0} if there is none. */
struct str load_text(const struct loader *load, int index, const char *name);

/* t[name] as a registry reference to a function, or LUA_NOREF. */
int load_function(const struct loader *load, int index, const char *name);

/* dialect_load_route.c: t.body, and the table at index as a list of routes or the only one. */
enum body_kind load_body(const struct loader *load, int index);
struct routes load_routes(const struct loader *load, int index, int outer, enum reading_kind kind);

/* dialect_load_answer.c: t[name] into out, which holds what is shared; and all of encode. */
void load_answer(const struct loader *load, int index, const char *name, struct answer *out);
void load_encode(struct loader *load, int index);

#endif
