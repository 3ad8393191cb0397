/*
 * Inside the dialect host. A dialect file is read once into a struct dialect: routes and templates
 * where it is data, registry references where it is functions. Both ways of decoding fill the same
 * struct reading, which is checked in one place, so a function is believed no more than a mapping.
 *
 *   dialect_load*.c  Lua tables to struct dialect, at load
 *   dialect_data.c   requests opened, routes, mappings and templates carried out; knows no Lua
 *   dialect_text.c   growing text in an arena; JSON and XML escapes
 *   dialect_value.c  tables that functions get and return; every returned field checked
 *   dialect_lib.c    the functions a dialect file can call
 *   lua_json.c       JSON and Lua, numbers kept exactly
 */
#ifndef TAMA_DIALECT_PRIV_H
#define TAMA_DIALECT_PRIV_H

#include "tama/dialect.h"
#include "tama/form.h"
#include "tama/limits.h"
#include "tama/lua_gate.h"

#include <jansson.h>

/* ---- Text -------------------------------------------------------------------------------------
 */

/* Grows in an arena; once the arena is full nothing more is added and has_failed says so. */
struct text {
	struct arena *arena;
	char *p;
	size_t n;
	size_t cap;
	bool has_failed;
};

void text_add(struct text *text, struct str s);
void text_add_json(struct text *text, struct str s); /* the inside of a JSON string (RFC 8259 §7) */
void text_add_xml(struct text *text, struct str s); /* fits an element and an attribute */
bool text_is_utf8(struct str s); /* well-formed, control characters allowed */
bool text_is_ascii(struct str s); /* 0x20 to 0x7E only */

/* ---- What a file says -------------------------------------------------------------------------
 */

enum field {
	FIELD_SESSION,
	FIELD_MSISDN,
	FIELD_CODE,
	FIELD_INPUT,
	FIELD_HOP,
	FIELD_NETWORK,
	FIELD_STATE,
	FIELD_ECHO,
	FIELD_ID,
	FIELD_FROM,
	FIELD_TO,
	FIELD_TEXT,
	FIELD_REF,
	FIELD_COUNT,
};

enum field_charset {
	FIELD_ASCII, /* printable ASCII */
	FIELD_LINE, /* clean UTF-8 without a line feed */
	FIELD_TYPED, /* UTF-8 that a person typed: control characters become blanks */
	FIELD_OPAQUE, /* any bytes */
};

struct field_rule {
	const char *name;
	size_t max;
	enum field_charset charset;
	unsigned kinds; /* bits 1 << enum reading_kind */
};

extern const struct field_rule field_rules[FIELD_COUNT];

/* What is being read: decides which words there are. */
enum reading_kind {
	READING_USSD,
	READING_MO,
	READING_DLR,
};

struct reading {
	struct str fields[FIELD_COUNT];
	bool has[FIELD_COUNT];
	int word; /* enum hop_event or enum dlr_state */
	bool has_word;
	bool is_cumulative;
};

/* Names of events or states; the index is the enum's value. NULL for READING_MO. */
const char *const *reading_words(enum reading_kind kind, size_t *len_out);

enum source_kind {
	SOURCE_QUERY,
	SOURCE_FORM,
	SOURCE_JSON,
	SOURCE_HEADER,
	SOURCE_COOKIE,
	SOURCE_PATH,
	SOURCE_BODY,
};

struct source {
	enum source_kind kind;
	struct str name;
	size_t index; /* of SOURCE_PATH, from 1 */
};

/* The first that is present counts. */
struct sources {
	const struct source *list;
	size_t len;
};

struct word_value {
	struct str value;
	int word;
};

#define WORD_MALFORMED (-1)

struct word_map {
	struct sources from; /* none: the word is always `none` */
	const struct word_value *values;
	size_t values_len;
	int other;
	int none;
};

struct mapping {
	struct sources fields[FIELD_COUNT];
	unsigned required; /* bits 1 << enum field */
	bool is_cumulative;
};

enum body_kind {
	BODY_NONE,
	BODY_TEXT,
	BODY_FORM,
	BODY_JSON,
};

struct route {
	struct str method; /* "*": any */
	struct str path; /* "*": any; "*" as a segment: any one */
	enum body_kind body;
	struct word_map word;
	const struct mapping *mapping; /* NULL: the function */
	int function; /* registry reference */
};

struct routes {
	const struct route *list;
	size_t len;
};

enum escape {
	ESCAPE_NONE,
	ESCAPE_JSON,
	ESCAPE_XML,
};

/* A literal, or what the event says (FIELD_TEXT: the screen). */
struct piece {
	struct str literal;
	enum field field; /* FIELD_COUNT: the literal */
};

struct template
{
	const struct piece *pieces;
	size_t len;
	enum escape escape;
};

struct answer_header {
	struct str name;
	struct template value;
};

struct answer {
	bool is_set;
	unsigned status;
	struct str type;
	const struct answer_header *headers;
	size_t headers_len;
	struct template body;
};

enum answer_case {
	ANSWER_CONTINUE,
	ANSWER_FINISH,
	ANSWER_ERROR,
	ANSWER_ENDED,
	ANSWER_CANCEL,
	ANSWER_TIMEOUT,
	ANSWER_REPORT,
	ANSWER_ALIVE,
	ANSWER_GONE,
	ANSWER_COUNT,
};

enum dialect_function {
	FUNCTION_ENCODE,
	FUNCTION_REPLY,
	FUNCTION_SUBMIT,
	FUNCTION_VERDICT,
	FUNCTION_STATUS,
	FUNCTION_BALANCE,
	FUNCTION_LIST,
	FUNCTION_LOGIN,
	FUNCTION_TOKEN,
	FUNCTION_IPN,
	FUNCTION_IPN_REPLY,
	FUNCTION_COUNT,
};

struct dialect {
	struct dialect *next;
	enum dialect_kind kind;
	struct str name;
	struct routes routes; /* USSD callbacks, MO, or IPN */
	struct routes dlr;
	struct answer answers[ANSWER_COUNT]; /* an SMS dialect uses ANSWER_CONTINUE */
	int functions[FUNCTION_COUNT]; /* LUA_NOREF where there is none */
};

struct dialect_host {
	struct lua_gate *gate;
	struct dialect *dialects;
	struct arena memory; /* of the dialects: lives as long as the host */
	struct arena *turn; /* of the call under way */
	json_t *json; /* being turned into Lua by json_decode */
	int library; /* registry reference */
};

/* ---- Carried out in C -------------------------------------------------------------------------
 */

#define OPENED_SEGMENTS 16

/* A request read as far as its route asks. */
struct opened {
	const struct http_request *http;
	struct str rest;
	enum body_kind body;
	struct str segments[OPENED_SEGMENTS];
	size_t segments_len;
	struct form query;
	struct form form;
	struct form cookies;
	json_t *json;
	struct arena *arena;
};

/*
 * Finds the route and reads the request for it. 0 and *route_out; TAMA_EINVAL when no route fits or
 * a part is malformed; TAMA_ELIMIT, TAMA_ENOMEM. Always followed by opened_close.
 */
int opened_read(struct opened *opened, const struct routes *routes, const struct route **route_out,
	struct err *err);
void opened_close(struct opened *opened);

/* The event by the route. 0, or TAMA_EINVAL. */
int word_read(const struct word_map *map, const struct opened *opened, int *out, struct err *err);

int mapping_read(const struct route *route, const struct opened *opened, struct reading *out,
	struct err *err);

/* Checks and cleans what a mapping or a function read. 0 or TAMA_EINVAL. */
int reading_check(
	enum reading_kind kind, struct reading *reading, struct arena *arena, struct err *err);

/* 0; TAMA_EINVAL when a header's value would not be printable ASCII; TAMA_ENOMEM. */
int answer_render(const struct answer *answer, const struct reading *reading, struct arena *arena,
	struct http_reply *out);

/* ---- JSON -------------------------------------------------------------------------------------
 */

/*
 * Parses an object or array. Numbers that are not integers of 64 bits arrive as strings with
 * exactly the characters of the source. 0; TAMA_EINVAL; TAMA_ELIMIT past the LIMIT_JSON bounds;
 * TAMA_ENOMEM.
 */
int lua_json_parse(struct str text, struct arena *arena, json_t **out, struct err *err);

void lua_json_push(lua_State *L, const json_t *value); /* [-0, +1, m] */
void lua_json_write(lua_State *L, int index, struct text *out); /* [-0, +0, e] */
void lua_json_write_top(
	lua_State *L, int index, struct text *out); /* a list of pairs is an object */
bool lua_json_is_number(struct str text);

/* Marks the table on top of the stack: [-0, +0, m]. */
#define LUA_JSON_OBJECT "tama.object"
#define LUA_JSON_ARRAY "tama.array"
#define LUA_JSON_NUMBER "tama.number"
void lua_json_mark(lua_State *L, const char *mark);
void lua_json_open(lua_State *L); /* makes the marks */

/* ---- Lua --------------------------------------------------------------------------------------
 */

/* Runs body(L) with op as its only argument inside the gate. 0, TAMA_ESCRIPT or TAMA_ELIMIT. */
int dialect_run(struct dialect_host *host, lua_CFunction body, void *op, struct arena *arena,
	struct err *err);

struct dialect *dialect_find(
	const struct dialect_host *host, enum dialect_kind kind, struct str name);

/* [-1, +0, e]: the table on top of the stack becomes the dialect; memory is the host's. */
void dialect_load(lua_State *L, struct dialect_host *host, struct dialect *out);

/* Pushes the library's table. [-0, +1, m] */
void dialect_lib_push(lua_State *L);

/* Pushes a request as functions see it. [-0, +1, m] */
void value_push_request(lua_State *L, const struct opened *opened);
void value_push_reading(lua_State *L, enum reading_kind kind, const struct reading *reading);

/* t[name] = s for the table on top; nothing if s.p is NULL. [-0, +0, m] */
void value_set(lua_State *L, const char *name, struct str s);
void value_set_bool(lua_State *L, const char *name, bool value);

/*
 * t[name] of the table at index as text in the turn's arena: strings and integers; {NULL, 0} for
 * nil and null. what names the table in messages. [-0, +0, e]
 */
struct str value_text(lua_State *L, int index, const char *what, const char *name);
struct arena *value_arena(lua_State *L);

/* A table of words at index into out. [-0, +0, e] */
void value_reading(lua_State *L, int index, enum reading_kind kind, struct reading *out);
void value_reply(lua_State *L, int index, struct http_reply *out); /* [-0, +0, e] */
void value_call(lua_State *L, int index, struct http_call *out); /* [-0, +0, e] */

/* Whether header name, header value, method and URL are fit to be sent. */
bool value_is_header_name(struct str name);
bool value_is_header_value(struct str value);

/* Text from outside on its way into a call: "{{" becomes "{ {", so that it cannot be a mark. */
struct str value_unmarked(struct str s, struct arena *arena);

/* The second value of `nil, reason` at index, cleaned for err. */
struct str value_reason(lua_State *L, int index);

/* Decodes by mapping or by function; the shared half of USSD, MO and DLR. */
struct decoding {
	struct dialect_host *host;
	const struct dialect *dialect;
	const struct routes *routes;
	enum reading_kind kind;
	struct arena *arena;
};
int dialect_decode(const struct decoding *decoding, const struct http_request *request,
	struct str rest, struct reading *out, struct err *err);

#endif
