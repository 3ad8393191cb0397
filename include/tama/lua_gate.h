/*
 * The one gate into Lua. No other file calls lua_pcall or lua_resume. A gate is one Lua state with
 * its own allocator and budgets, used by one thread at a time:
 *
 *   memory        LIMIT_LUA_BYTES for the whole state, enforced by the allocator
 *   instructions  LIMIT_LUA_INSTRUCTIONS for one call; once over, every further instruction errs,
 *                 so nothing inside the script can catch it. Memory made (64 bytes for one), steps
 *                 of the matcher and what C functions do in one go count as well
 *   time          LIMIT_LUA_CPU_MS of the processor, for what cannot be counted: comparing long
 *                 strings, copying many arguments. Looked at every 1000 instructions
 *   strings       LIMIT_LUA_STRING bytes for every string made during a call, also by .. and by C
 *                 functions; arguments pushed before it may be longer
 *   elements      LIMIT_LUA_ELEMENTS for one call of table.concat, insert, remove, move, sort,
 * unpack patterns      pattern, subject and steps of the matcher are bounded (LIMIT_LUA_*): our own
 *                 find, match, gmatch and gsub, because a count hook does not run inside C
 *
 * Scripts see an allow-list of functions (docs/menus.md lists it): no load, pcall, coroutine,
 * debug, io, os, package, metatables, random or time. pairs walks in a fixed order (integers
 * rising, then strings by bytes, booleans) over the keys there were at its start; tostring of a
 * table or function shows no address; table.sort is stable. Every script runs in a fresh
 * environment whose base tables are read-only.
 *
 * Compiling and running are limited; what the owner pushes on lua_gate_state between calls is not,
 * and is the owner's to bound (out of memory there aborts). After TAMA_ELIMIT the state has been
 * collected and stays usable; an owner whose state still holds more than half of LIMIT_LUA_BYTES
 * (lua_gate_stats) after the next lua_gate_fresh_env throws it away and makes another.
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
	size_t bytes; /* held by the state now, garbage included */
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
 * pushes the function. [-0, +1] on success, [-0, +0] on failure with TAMA_ESCRIPT and file:line in
 * err, or TAMA_ELIMIT. The function may be kept and called again and again, each time with a fresh
 * environment.
 */
int lua_gate_load(struct lua_gate *gate, struct str source, const char *chunk, struct err *err);

/*
 * Gives the function on top of the stack (as lua_gate_load left it) a fresh environment that reads
 * through to the fields of the table at index `extra` (0 for none) and then to the base. The gate
 * sets the metatable of `extra` the first time, so it must have none; the script can read its
 * fields and not write them, but tables inside are shared by all environments: see
 * lua_gate_read_only. [-0, +0].
 */
void lua_gate_fresh_env(struct lua_gate *gate, int extra);

/*
 * Replaces the table on top by an empty one that reads through to it and refuses writing; pairs,
 * ipairs, # and the table functions work on it. Tables inside stay as they are. [-1, +1, m].
 */
void lua_gate_read_only(lua_State *L);

/*
 * Calls the function below its nargs arguments with a full instruction budget. 0 with nresults
 * pushed
 * ([-(nargs + 1), +nresults]); TAMA_ESCRIPT or TAMA_ELIMIT with "file:line: message" and nothing
 * pushed ([-(nargs + 1), +0]). Asserts that the stack balances. Never raises.
 */
int lua_gate_call(struct lua_gate *gate, int nargs, int nresults, struct err *err);

/*
 * The same, and the script may yield from a C function by lua_yield: that is how a menu stops at a
 * question. 0 as above; 1 when it yielded: the nresults are then the values yielded (filled with
 * nil or cut), and the rest of the script is abandoned (idea 1: nothing of the running script is
 * kept). C functions get another lua_State than lua_gate_state: a Lua thread, reset after each
 * call. Neither call nests.
 */
int lua_gate_call_yielding(struct lua_gate *gate, int nargs, int nresults, struct err *err);

/* Instructions used by the last call, to the hook's grain of 1000, and what counts as such. */
uint64_t lua_gate_used(const struct lua_gate *gate);

/* True when the error being handled came from a budget and not from the script. */
bool lua_gate_was_stopped(const struct lua_gate *gate);

#endif
