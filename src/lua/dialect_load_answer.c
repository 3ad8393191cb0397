/* Loading templates. */
#include "dialect_load_priv.h"

#define HEADERS_MAX 16

/* The literal up to the next "${" or the field in "${field}"; *rest moves on. */
static struct piece cut_piece(const struct loader *load, struct str *rest)
{
	struct piece piece = {.field = FIELD_COUNT};
	size_t n = 0;
	while (n < rest->n && !(rest->p[n] == '$' && n + 1 < rest->n && rest->p[n + 1] == '{'))
		n++;
	if (n > 0) {
		piece.literal = (struct str){rest->p, n};
		*rest = str_from(*rest, n);
		return piece;
	}
	struct str name = str_from(*rest, 2);
	ptrdiff_t end = str_find(name, '}');
	if (end >= 0) {
		name.n = (size_t)end;
		unsigned f = 0;
		while (f < FIELD_COUNT && !str_eq(name, str_c(field_rules[f].name)))
			f++;
		piece.field = (enum field)f;
	}
	if (piece.field == FIELD_COUNT)
		luaL_error(load->L, "%s: no such ${word} in '%s'", load->where, rest->p);
	*rest = str_from(*rest, name.n + 3);
	return piece;
}

static struct template load_template(
	const struct loader *load, struct str source, enum escape escape)
{
	size_t max = 1;
	for (size_t i = 0; i < source.n; i++)
		max += 2 * (source.p[i] == '$');
	struct piece *pieces = load_alloc(load, max * sizeof(*pieces));
	size_t n = 0;
	for (struct str rest = source; rest.n > 0; n++)
		pieces[n] = cut_piece(load, &rest);
	return (struct template){pieces, n, escape};
}

static void load_answer_headers(const struct loader *load, int index, struct answer *out)
{
	lua_State *L = load->L;
	if (lua_getfield(L, index, "headers") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	size_t n = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
	if (n == 0 || n > HEADERS_MAX)
		luaL_error(L, "%s.headers wants 1 to %d of { \"Name\", \"value\" }", load->where,
			HEADERS_MAX);
	struct answer_header *headers = load_alloc(load, n * sizeof(*headers));
	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TTABLE ||
			lua_rawgeti(L, -1, 1) != LUA_TSTRING ||
			lua_rawgeti(L, -2, 2) != LUA_TSTRING)
			luaL_error(L, "%s.headers wants { \"Name\", \"value\" }", load->where);
		headers[i].name = load_copy(load, -2);
		if (!value_is_header_name(headers[i].name))
			luaL_error(L, "%s.headers: '%s' is not a dialect's to set", load->where,
				headers[i].name.p);
		headers[i].value = load_template(load, load_copy(load, -1), ESCAPE_NONE);
		lua_pop(L, 3);
	}
	out->headers = headers;
	out->headers_len = n;
	lua_pop(L, 1);
}

/* What an answer and the whole of encode have in common. */
static void load_answer_head(const struct loader *load, int index, struct answer *out)
{
	lua_State *L = load->L;
	int is_integer = 1;
	if (lua_getfield(L, index, "status") != LUA_TNIL) {
		lua_Integer status = lua_tointegerx(L, -1, &is_integer);
		if (!is_integer || status < 200 || status > 599)
			luaL_error(L, "%s.status wants 200 to 599", load->where);
		out->status = (unsigned)status;
	}
	lua_pop(L, 1);
	struct str type = load_text(load, index, "type");
	if (type.p != NULL)
		out->type = type;
	if (!value_is_header_value(out->type))
		luaL_error(L, "%s.type wants printable ASCII", load->where);
	load_answer_headers(load, index, out);
}

static struct template load_answer_body(const struct loader *load, int index)
{
	lua_State *L = load->L;
	if (lua_getfield(L, index, "json") != LUA_TNIL) {
		struct text text = {.arena = load->memory};
		lua_json_write_top(L, -1, &text);
		lua_pop(L, 1);
		return load_template(load, (struct str){text.p, text.n}, ESCAPE_JSON);
	}
	lua_pop(L, 1);
	struct str xml = load_text(load, index, "xml");
	if (xml.p != NULL)
		return load_template(load, xml, ESCAPE_XML);
	struct str plain = load_text(load, index, "text");
	return load_template(load, plain, ESCAPE_NONE);
}

void load_answer(const struct loader *load, int index, const char *name, struct answer *out)
{
	lua_State *L = load->L;
	int type = lua_getfield(L, index, name);
	if (type == LUA_TSTRING) {
		out->body = load_template(load, load_copy(load, -1), ESCAPE_NONE);
	} else if (type == LUA_TTABLE) {
		int table = lua_gettop(L);
		load_check_keys(load, table, "status type headers text json xml");
		load_answer_head(load, table, out);
		out->body = load_answer_body(load, table);
	} else if (type != LUA_TNIL) {
		luaL_error(L, "%s.%s wants a template", load->where, name);
	}
	out->is_set = type != LUA_TNIL;
	lua_pop(L, 1);
}

void load_encode(struct loader *load, int index)
{
	static const char *const names[] = {[ANSWER_CONTINUE] = "continue",
		[ANSWER_FINISH] = "finish",
		[ANSWER_ERROR] = "error",
		[ANSWER_ENDED] = "ended",
		[ANSWER_CANCEL] = "cancel",
		[ANSWER_TIMEOUT] = "timeout",
		[ANSWER_REPORT] = "report",
		[ANSWER_ALIVE] = "alive",
		[ANSWER_GONE] = "gone"};
	load->where = "encode";
	load_check_keys(load, index,
		"status type headers continue finish error ended cancel timeout "
		"report alive gone");
	struct answer shared = {.status = 200};
	load_answer_head(load, index, &shared);
	for (unsigned i = 0; i < ANSWER_COUNT; i++) {
		load->dialect->answers[i] = shared;
		load_answer(load, index, names[i], &load->dialect->answers[i]);
	}
	if (!load->dialect->answers[ANSWER_CONTINUE].is_set ||
		!load->dialect->answers[ANSWER_FINISH].is_set)
		luaL_error(load->L, "encode wants continue and finish");
}
