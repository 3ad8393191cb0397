/*
 * The one gate into Lua. No other file calls lua_pcall or lua_resume. A gate is one Lua state with
 * its own allocator and budgets, used by one thread at a time:
 *
 *   memory        LIMIT_LUA_BYTES for the whole state, enforced by the allocator
 *   instructions  LIMIT_LUA_INSTRUCTIONS for one call; once over, every further instruction errs,
 *                 so nothing inside the script can catch it
 *   strings       LIMIT_LUA_STRING bytes for what rep, format, concat and gsub make
 *   patterns      pattern, subject and steps of the matcher are bounded (LIMIT_LUA_*): our own
 *                 find, match, gmatch and gsub, because a count hook does not run inside C
 *
 * Scripts see an allow-list of functions (docs/menus.md lists it): no load, pcall, coroutine, debug,
 * io, os, package, metatables, random or time. pairs walks in a fixed order (integers rising, then
 * strings by bytes, booleans); tostring of a table or function shows no address. Every script runs in
 * a fresh environment whose base tables are read-only.
 */
#ifndef TAMA_LUA_GATE_H
#define TAMA_LUA_GATE_H

#include "tama/err.h"
#include "tama/str.h"

#include <lua.h>

struct lua_gate;

struct lua_gate_stats {
	uint64_t calls;
	uint64_t stopped; /* by a budget */
	size_t bytes;     /* held by the state now */
};

/* Makes a state with the sandboxed base library, generational collector. 0 or TAMA_ENOMEM. */
int lua_gate_new(struct lua_gate **out, struct err *err);
void lua_gate_free(struct lua_gate **gate);

lua_State *lua_gate_state(struct lua_gate *gate);
struct lua_gate *lua_gate_of(lua_State *L); /* from lua_getextraspace */
void lua_gate_stats(const struct lua_gate *gate, struct lua_gate_stats *out);

/* What C functions called from this state need; set for the time of a call. */
void lua_gate_set_context(struct lua_gate *gate, void *context);
void *lua_gate_context(lua_State *L);

/*
 * Compiles text (never bytecode) named chunk ("=menus/airtime/menu.lua" shows so in messages) and
 * pushes the function. [-0, +1] on success, [-0, +0] on failure with TAMA_ESCRIPT and file:line in err.
 */
int lua_gate_load(struct lua_gate *gate, struct str source, const char *chunk, struct err *err);

/*
 * Gives the function on top of the stack (as lua_gate_load left it) a fresh environment that reads
 * through to the base and to the fields of the table at index `extra` (0 for none). [-0, +0].
 */
void lua_gate_fresh_env(struct lua_gate *gate, int extra);

/*
 * Calls the function below its nargs arguments with a full instruction budget. 0 with nresults pushed
 * ([-(nargs + 1), +nresults]); TAMA_ESCRIPT or TAMA_ELIMIT with "file:line: message" and nothing
 * pushed ([-(nargs + 1), +0]). Asserts that the stack balances. Never raises.
 */
int lua_gate_call(struct lua_gate *gate, int nargs, int nresults, struct err *err);

/*
 * The same on a new Lua thread that may yield from a C function by lua_yield: that is how a menu stops
 * at a question. 0 as above; 1 when it yielded: the nresults are then the values yielded (filled with
 * nil or cut), and the thread is abandoned (idea 1: nothing of the running script is kept).
 */
int lua_gate_call_yielding(struct lua_gate *gate, int nargs, int nresults, struct err *err);

/* Instructions used by the last call, to the hook's grain of 1000. */
uint64_t lua_gate_used(const struct lua_gate *gate);

/* True when the error being handled came from a budget and not from the script. */
bool lua_gate_was_stopped(const struct lua_gate *gate);

#endif
