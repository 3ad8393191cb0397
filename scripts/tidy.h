/*
 * Seen by clang-tidy alone, before every file but err.c: what its analyzer cannot find out. Without it
 * each luaL_error and each err_set looks like a way past the check it belongs to.
 */
#include "tama/err.h"

/* Returns its code, which is never 0. */
#define err_set(err, code, ...) ((void)(err_set)((err), (code), __VA_ARGS__), (code))

/* Lua's headers do not say which functions do not come back. */
#ifdef TIDY_LUA
#include <lauxlib.h>
#include <lua.h>

int(lua_error)(lua_State *L) __attribute__((noreturn));
int(luaL_error)(lua_State *L, const char *fmt, ...) __attribute__((noreturn));
int(luaL_argerror)(lua_State *L, int arg, const char *extramsg) __attribute__((noreturn));
int(luaL_typeerror)(lua_State *L, int arg, const char *tname) __attribute__((noreturn));
#endif
