/*
 * One Lua state and its budgets. Every script, whether it may ask questions or not, runs on one Lua
 * thread that is reset after each call: an error then leaves that thread's frames in place, so even
 * "out of memory", for which Lua runs no message handler, comes out with its file and line.
 *
 * Three clocks take from the budget: the count hook, what C functions charge for themselves, and
 * the allocator. The time of the processor is the backstop for what none of them sees, such as
 * comparing long strings. The budgets hold while a script is compiled or run; what the owner pushes
 * between calls is not limited, because an error there has nobody to catch it.
 */
#include "lua_priv.h"

#include <lauxlib.h>

/* Instructions between two runs of the hook. */
#define HOOK_GRAIN 1000

/* Frames looked through for the line of an error. */
#define FRAMES_MAX 32

/* A collection that was forced by the ceiling costs milliseconds; a script gets a few. */
#define FORCED_COLLECTIONS 3

/* Room for the header Lua puts before the bytes of a string. */
#define STRING_HEADER 32

enum refusal {
	REFUSAL_NONE,
	REFUSAL_BYTES,
	REFUSAL_STRING,
	REFUSAL_WORK,
};

struct lua_gate {
	lua_State *L;
	lua_State *thread; /* runs the scripts; kept in the registry */
	size_t bytes;
	size_t max_bytes;
	uint64_t used;
	uint64_t calls;
	uint64_t stopped_calls;
	int64_t cpu_start_ns; /* at the first hook of this call, 0 before */
	unsigned grain; /* instructions since the hook ran last: HOOK_GRAIN, 1 once over */
	unsigned refusals;
	enum refusal refusal;
	bool is_limited; /* something of a script is running */
	bool was_stopped;
	int thread_ref;
	int env_meta; /* reference: metatable of an environment without extra */
	void *context;
};

static enum refusal allocation_refusal(struct lua_gate *gate, size_t kind, size_t old, size_t size)
{
	gate->used += (size - old) >> 6;
	if (gate->used > LIMIT_LUA_INSTRUCTIONS)
		return REFUSAL_WORK;
	if (old == 0 && kind == LUA_TSTRING && size > LIMIT_LUA_STRING + STRING_HEADER)
		return REFUSAL_STRING;
	if (gate->bytes + (size - old) > gate->max_bytes || gate->refusals > FORCED_COLLECTIONS) {
		gate->refusals++;
		return REFUSAL_BYTES;
	}
	return REFUSAL_NONE;
}

/* What a script is done with may be what somebody typed: nothing is given back unwiped. */
static void *gate_move(void *block, size_t old, size_t n)
{
	void *p = n > 0 ? malloc(n) : NULL;
	if (n > 0 && p == NULL)
		return NULL;
	if (block != NULL && n > 0)
		memcpy(p, block, old < n ? old : n);
	if (block != NULL)
		explicit_bzero(block, old);
	free(block);
	return p;
}

/* lua_Alloc. For a new object osize is its kind and not a size. Shrinking never fails. */
static void *gate_allocate(void *ud, void *block, size_t osize, size_t nsize)
{
	struct lua_gate *gate = ud;
	size_t old = block != NULL ? osize : 0;
	if (nsize == 0) {
		(void)gate_move(block, old, 0);
		gate->bytes -= old;
		return NULL;
	}
	if (gate->is_limited && nsize > old) {
		enum refusal refusal = allocation_refusal(gate, osize, old, nsize);
		if (refusal != REFUSAL_NONE) {
			gate->refusal = refusal;
			return NULL;
		}
	}
	void *p = gate_move(block, old, nsize);
	if (p == NULL)
		return nsize <= old ? block : NULL;
	gate->bytes = gate->bytes - old + nsize;
	return p;
}

static _Noreturn int gate_panic(lua_State *L)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no message";
	(void)fprintf(stderr, "tama: Lua error outside of the gate: %s\n", text);
	abort();
}

static int64_t cpu_now_ns(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void gate_hook(lua_State *L, lua_Debug *ar);

/* From now on every instruction errs, whoever catches what. */
static _Noreturn void gate_over(lua_State *L, const char *text)
{
	struct lua_gate *gate = lua_gate_of(L);
	gate->grain = 1;
	lua_sethook(L, gate_hook, LUA_MASKCOUNT, 1);
	lua_gate_stop(L, "%s", text);
}

static void gate_hook(lua_State *L, lua_Debug *ar)
{
	struct lua_gate *gate = lua_gate_of(L);
	gate->used += gate->grain;
	if (gate->used > LIMIT_LUA_INSTRUCTIONS)
		gate_over(L, "the script runs for too long (instructions)");
	int64_t now = cpu_now_ns();
	if (gate->cpu_start_ns == 0)
		gate->cpu_start_ns = now;
	if (now - gate->cpu_start_ns > LIMIT_LUA_CPU_MS * INT64_C(1000000))
		gate->used += LIMIT_LUA_INSTRUCTIONS;
	if (gate->used > LIMIT_LUA_INSTRUCTIONS)
		gate_over(L, "the script runs for too long (time)");
}

void lua_gate_charge(lua_State *L, size_t units)
{
	struct lua_gate *gate = lua_gate_of(L);
	gate->used += units;
	if (gate->is_limited && gate->used > LIMIT_LUA_INSTRUCTIONS)
		gate_over(L, "the script runs for too long (instructions)");
}

void lua_gate_stop(lua_State *L, const char *fmt, ...)
{
	char text[256];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	struct lua_gate *gate = lua_gate_of(L);
	bool was_limited = gate->is_limited;
	gate->was_stopped = true;
	/* The message itself must not fail for want of budget. */
	gate->is_limited = false;
	/* The place is added later: here, in the hook, level 1 would be the caller. */
	(void)lua_pushstring(L, text);
	gate->is_limited = was_limited;
	(void)lua_error(L);
	abort(); /* lua_error does not return, which its type does not say */
}

/* Runs protected, on a state without anything. */
static int open_gate(lua_State *L)
{
	struct lua_gate *gate = lua_gate_of(L);
	lua_sandbox_push_base(L);
	lua_createtable(L, 0, 2);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	gate->env_meta = luaL_ref(L, LUA_REGISTRYINDEX);
	/* Functions that nobody gave an environment see the base, and cannot write to it. */
	lua_gate_read_only(L);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	gate->thread = lua_newthread(L);
	gate->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

int lua_gate_new_limited(struct lua_gate **out, size_t max_bytes, struct err *err)
{
	struct lua_gate *gate = calloc(1, sizeof(*gate));
	if (gate == NULL)
		return err_set(err, TAMA_ENOMEM, "no memory for a Lua state");
	gate->max_bytes = max_bytes;
	gate->is_limited = true;
	gate->L = lua_newstate(gate_allocate, gate);
	if (gate->L == NULL) {
		free(gate);
		return err_set(err, TAMA_ENOMEM, "no memory for a Lua state");
	}
	*(struct lua_gate **)lua_getextraspace(gate->L) = gate;
	(void)lua_atpanic(gate->L, gate_panic);
	(void)lua_gc(gate->L, LUA_GCGEN, 0, 0);
	lua_pushcfunction(gate->L, open_gate);
	if (lua_pcall(gate->L, 0, 0, 0) != LUA_OK) {
		(void)err_set(err, TAMA_ENOMEM, "Lua state: %s", lua_tostring(gate->L, -1));
		lua_gate_free(&gate);
		return TAMA_ENOMEM;
	}
	gate->is_limited = false;
	gate->used = 0;
	*out = gate;
	return 0;
}

int lua_gate_new(struct lua_gate **out, struct err *err)
{
	return lua_gate_new_limited(out, LIMIT_LUA_BYTES, err);
}

void lua_gate_free(struct lua_gate **gate)
{
	if (*gate == NULL)
		return;
	lua_close((*gate)->L);
	free(*gate);
	*gate = NULL;
}

lua_State *lua_gate_state(struct lua_gate *gate)
{
	return gate->L;
}

struct lua_gate *lua_gate_of(lua_State *L)
{
	return *(struct lua_gate **)lua_getextraspace(L);
}

void lua_gate_stats(const struct lua_gate *gate, struct lua_gate_stats *out)
{
	*out = (struct lua_gate_stats){
		.calls = gate->calls, .stopped = gate->stopped_calls, .bytes = gate->bytes};
}

void lua_gate_set_context(struct lua_gate *gate, void *context)
{
	gate->context = context;
}

void *lua_gate_context(lua_State *L)
{
	return lua_gate_of(L)->context;
}

uint64_t lua_gate_used(const struct lua_gate *gate)
{
	return gate->used;
}

bool lua_gate_was_stopped(const struct lua_gate *gate)
{
	return gate->was_stopped;
}

static void begin_limits(struct lua_gate *gate)
{
	tama_assert(!gate->is_limited);
	gate->used = 0;
	gate->cpu_start_ns = 0;
	gate->grain = HOOK_GRAIN;
	gate->refusals = 0;
	gate->refusal = REFUSAL_NONE;
	gate->was_stopped = false;
	gate->is_limited = true;
}

/* What an error message says when Lua has only "not enough memory" to say. */
static const char *refusal_text(const struct lua_gate *gate)
{
	switch (gate->refusal) {
	case REFUSAL_BYTES:
		return "the script needs too much memory";
	case REFUSAL_STRING:
		return "the script makes a string that is too long";
	case REFUSAL_WORK:
		return "the script runs for too long (memory)";
	case REFUSAL_NONE:
		break;
	}
	return "not enough memory";
}

/* The text of the error value on top of L; it need not be a string. */
static const char *error_text(lua_State *L, char *room, size_t room_len)
{
	int kind = lua_type(L, -1);
	if (kind == LUA_TSTRING)
		return lua_tostring(L, -1);
	if (lua_isinteger(L, -1))
		(void)snprintf(room, room_len, "%lld", (long long)lua_tointeger(L, -1));
	else if (kind == LUA_TNUMBER)
		(void)snprintf(room, room_len, "%.14g", lua_tonumber(L, -1));
	else if (kind == LUA_TBOOLEAN)
		(void)snprintf(room, room_len, "%s", lua_toboolean(L, -1) ? "true" : "false");
	else
		(void)snprintf(room, room_len, "(error value is a %s)", lua_typename(L, kind));
	return room;
}

/* True when text begins with "source:" of this frame, as Lua's own messages do. */
static bool has_place(const char *text, const lua_Debug *ar)
{
	size_t n = strlen(ar->short_src);
	return strncmp(text, ar->short_src, n) == 0 && text[n] == ':';
}

/* Sets "file:line: text", the place being the innermost line of Lua, unless text has one. */
static int set_error(lua_State *thread, int code, const char *text, struct err *err)
{
	lua_Debug ar;
	char place[LUA_IDSIZE] = "";
	int line = 0;
	for (int level = 0; level < FRAMES_MAX && lua_getstack(thread, level, &ar); level++) {
		(void)lua_getinfo(thread, "Sl", &ar);
		if (ar.currentline <= 0)
			continue;
		if (has_place(text, &ar))
			return err_set(err, code, "%s", text);
		if (line == 0) {
			line = ar.currentline;
			(void)snprintf(place, sizeof(place), "%s", ar.short_src);
		}
	}
	if (line == 0)
		return err_set(err, code, "%s", text);
	return err_set(err, code, "%s:%d: %s", place, line, text);
}

/* After limits have ended, with the error value on top of the thread. */
static int report(struct lua_gate *gate, int status, struct err *err)
{
	char room[64];
	lua_State *thread = gate->thread;
	const char *text = error_text(thread, room, sizeof(room));
	if (status == LUA_ERRMEM)
		text = refusal_text(gate);
	/* LUA_ERRERR: the C stack ended while an error was handled. */
	if (status == LUA_ERRMEM || status == LUA_ERRERR)
		gate->was_stopped = true;
	return set_error(thread, gate->was_stopped ? TAMA_ELIMIT : TAMA_ESCRIPT, text, err);
}

int lua_gate_load(struct lua_gate *gate, struct str source, const char *chunk, struct err *err)
{
	lua_State *L = gate->L;
	int top = lua_gettop(L);
	tama_assert(lua_checkstack(L, LUA_MINSTACK));
	begin_limits(gate);
	int status = luaL_loadbufferx(L, source.n > 0 ? source.p : "", source.n, chunk, "t");
	gate->is_limited = false;
	if (status == LUA_OK) {
		tama_assert(lua_gettop(L) == top + 1);
		return 0;
	}
	gate->was_stopped = status == LUA_ERRMEM;
	int code = gate->was_stopped ? TAMA_ELIMIT : TAMA_ESCRIPT;
	const char *text = gate->was_stopped ? refusal_text(gate) : lua_tostring(L, -1);
	/* Out of memory and out of C stack come without a place. */
	const char *name = chunk + (chunk[0] == '=' || chunk[0] == '@');
	if (strncmp(text, name, strlen(name)) == 0)
		(void)err_set(err, code, "%s", text);
	else
		(void)err_set(err, code, "%s: %s", name, text);
	lua_settop(L, top);
	(void)lua_gc(L, LUA_GCCOLLECT);
	return code;
}

/*
 * Pushes the metatable of environments that read through to the table at extra. It is kept in that
 * table's own metatable, which lets extra in turn read through to the base.
 */
static void push_env_meta(struct lua_gate *gate, int extra)
{
	lua_State *L = gate->L;
	if (lua_getmetatable(L, extra)) {
		tama_assert(lua_rawgeti(L, -1, 1) == LUA_TTABLE);
		lua_remove(L, -2);
		return;
	}
	lua_createtable(L, 0, 2);
	lua_pushvalue(L, extra);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_createtable(L, 1, 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, gate->env_meta);
	lua_getfield(L, -1, "__index");
	lua_setfield(L, -3, "__index");
	lua_pop(L, 1);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, 1);
	lua_setmetatable(L, extra);
}

void lua_gate_fresh_env(struct lua_gate *gate, int extra)
{
	lua_State *L = gate->L;
	int function = lua_gettop(L);
	tama_assert(lua_isfunction(L, function));
	tama_assert(lua_checkstack(L, LUA_MINSTACK));
	lua_createtable(L, 0, 0);
	if (extra != 0)
		push_env_meta(gate, lua_absindex(L, extra < 0 ? extra - 1 : extra));
	else
		lua_rawgeti(L, LUA_REGISTRYINDEX, gate->env_meta);
	lua_setmetatable(L, -2);
	tama_assert(lua_setupvalue(L, function, 1) != NULL);
	tama_assert(lua_gettop(L) == function);
}

/* Moves the results on top of the thread to L: exactly nresults, cut or filled with nil. */
static void move_results(struct lua_gate *gate, int count, int nresults)
{
	tama_assert(lua_checkstack(gate->L, nresults));
	if (count > nresults) {
		lua_pop(gate->thread, count - nresults);
		count = nresults;
	}
	lua_xmove(gate->thread, gate->L, count);
	for (; count < nresults; count++)
		lua_pushnil(gate->L);
}

/*
 * Leaves the thread as new. Resetting one is the cheaper way, but a thread whose hook raised never
 * runs a hook again (Lua 5.4.4 forgets to allow it), so after an error there is another thread.
 */
static void renew_thread(struct lua_gate *gate, int status)
{
	if (status == LUA_OK || status == LUA_YIELD) {
		(void)lua_resetthread(gate->thread);
		lua_settop(gate->thread, 0);
		return;
	}
	gate->thread = lua_newthread(gate->L);
	lua_rawseti(gate->L, LUA_REGISTRYINDEX, gate->thread_ref);
}

/* 0, 1 when the script yielded and may, or an error; the thread is as new afterwards. */
static int run(struct lua_gate *gate, int nargs, int nresults, bool may_yield, struct err *err)
{
	lua_State *L = gate->L;
	lua_State *thread = gate->thread;
	int count = 0;
	int base = lua_gettop(L) - (nargs + 1);
	tama_assert(base >= 0 && nresults >= 0 && lua_isfunction(L, base + 1));
	tama_assert(lua_checkstack(thread, nargs + LUA_MINSTACK));
	lua_xmove(L, thread, nargs + 1);
	lua_sethook(thread, gate_hook, LUA_MASKCOUNT, HOOK_GRAIN);
	gate->calls++;
	begin_limits(gate);
	int status = lua_resume(thread, L, nargs, &count);
	gate->is_limited = false;

	int result = status == LUA_YIELD ? 1 : 0;
	if (status == LUA_YIELD && !may_yield)
		result = set_error(thread, TAMA_ESCRIPT, "no question may be asked here", err);
	else if (status != LUA_OK && status != LUA_YIELD)
		result = report(gate, status, err);
	else
		move_results(gate, count, nresults);
	renew_thread(gate, status);
	if (gate->was_stopped) {
		gate->stopped_calls++;
		(void)lua_gc(L, LUA_GCCOLLECT);
	}
	tama_assert(lua_gettop(L) == (result >= 0 ? base + nresults : base));
	return result;
}

int lua_gate_call(struct lua_gate *gate, int nargs, int nresults, struct err *err)
{
	return run(gate, nargs, nresults, false, err);
}

int lua_gate_call_yielding(struct lua_gate *gate, int nargs, int nresults, struct err *err)
{
	return run(gate, nargs, nresults, true, err);
}
