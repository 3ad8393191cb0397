/*
 * What the files of the sandbox share. The gate (lua_gate.c) owns state and budgets, the sandbox
 * (lua_sandbox.c) the list of what a script sees, lua_string.c and lua_table.c the libraries that
 * had to be bounded, lua_pattern.c the matcher, which knows nothing of Lua's stack.
 */
#ifndef TAMA_LUA_PRIV_H
#define TAMA_LUA_PRIV_H

#include "tama/limits.h"
#include "tama/lua_gate.h"

/* Captures of one pattern; Lua's own bound. */
#define PATTERN_CAPTURES 32

/* lua_gate_new with another ceiling, so that tests can let every allocation of it fail. */
int lua_gate_new_limited(struct lua_gate **out, size_t max_bytes, struct err *err);

/*
 * Takes units (one is about one instruction) off the budget of the running call: what C code does
 * for a script in one go has to be paid for, since no hook runs meanwhile. Raises when it is over.
 */
void lua_gate_charge(lua_State *L, size_t units);

/* Raises a message that counts as a limit (TAMA_ELIMIT) and not as a mistake in the script. */
_Noreturn void lua_gate_stop(lua_State *L, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Pushes the table of all a script sees. Needs a state without libraries. [-0, +1, e] */
void lua_sandbox_push_base(lua_State *L);

/*
 * Wraps the stock function on top: the length of its string arguments is charged, then it runs in
 * the same frame. [-1, +1, m]
 */
void lua_sandbox_charge_for_text(lua_State *L);

/* Pushes what tostring shows of the value at index: no addresses. [-0, +1, e] */
void lua_sandbox_push_text(lua_State *L, int index);

/* Pushes the table behind a read-only one, or the table at index itself. [-0, +1] */
void lua_sandbox_push_target(lua_State *L, int index);

/* Push the table of functions; string also becomes the index of strings. [-0, +1, e] */
void lua_string_push_lib(lua_State *L);
void lua_table_push_lib(lua_State *L);

/* pairs in a fixed order. [-1, +1, e] */
int lua_table_pairs(lua_State *L);

/* One element of a compiled pattern; a and b depend on op (lua_pattern.c). */
struct pattern_item {
	uint8_t op;
	uint8_t repeat;
	uint8_t a;
	uint8_t b;
};

/* A compiled pattern; borrows its text. */
struct pattern {
	const unsigned char *text;
	size_t n;
	size_t at; /* while compiling */
	unsigned count;
	unsigned captures;
	bool anchored;
	struct pattern_item items[LIMIT_LUA_PATTERN + 1];
};

enum pattern_result {
	PATTERN_NONE = -1,
	PATTERN_STEPS = -2, /* LIMIT_LUA_MATCH_STEPS used up */
};

struct pattern_capture {
	size_t start;
	size_t n;
	bool is_position;
};

/* Matching one subject, at as many places as the caller likes; steps add up over all of them. */
struct pattern_run {
	const struct pattern *pattern;
	const unsigned char *p;
	size_t n;
	size_t steps;
	struct pattern_capture captures[PATTERN_CAPTURES];
};

/*
 * Reads a pattern of at most LIMIT_LUA_PATTERN bytes; NULL, or what is wrong with it. Stricter than
 * Lua in one thing: a malformed part that no subject reaches is refused as well. has_anchor: a
 * leading ^ binds to the start (find, match, gsub) and is no ordinary character (gmatch).
 */
const char *pattern_compile(struct pattern *pattern, struct str text, bool has_anchor);

/* True when the text means itself, so that a plain search does. */
bool pattern_is_plain(struct str text);

void pattern_run_init(struct pattern_run *run, const struct pattern *pattern, struct str subject);

/*
 * Matches at exactly this offset of the subject: the offset behind the match, with captures filled,
 * or an enum pattern_result.
 */
ptrdiff_t pattern_match_at(struct pattern_run *run, size_t offset);

#endif
