/*
 * Dialects: every exchange below tests/fixtures/dialects played against the standard dialects,
 * every sketch of docs/dialects.md against its own, and dialects that mean harm.
 */
#include "tama/dialect_play.h"
#include "tama/buf.h"
#include "tama/limits.h"

#include "../../src/lua/dialect_priv.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define FILE_BYTES (256 * 1024)

struct file {
	char text[FILE_BYTES];
	size_t n;
};

static struct str read_file(const char *path, struct file *file)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("cannot open %s: tests run in the project's folder", path);
	file->n = fread(file->text, 1, sizeof(file->text) - 1, f);
	file->text[file->n] = '\0';
	(void)fclose(f);
	return (struct str){file->text, file->n};
}

static struct dialect_host *new_host(unsigned kinds)
{
	struct dialect_host *host = NULL;
	struct err err = ERR_INIT;
	if (dialect_host_new(kinds, &host, &err) != 0)
		fail_msg("%s", err.text);
	return host;
}

/* The folder's name says the kind and the dialect: .../ussd/infobip/01-start.txt */
static enum dialect_kind kind_of(const char *path, struct str *name_out)
{
	static const char *const kinds[] = {"ussd", "sms", "provider"};
	struct str rest = str_c(path + strlen("tests/fixtures/dialects/"));
	struct str kind = str_cut(&rest, '/');
	*name_out = str_cut(&rest, '/');
	for (unsigned i = 0; i < 3; i++)
		if (str_eq(kind, str_c(kinds[i])))
			return (enum dialect_kind)i;
	fail_msg("no such kind of dialect: %s", path);
	return DIALECT_USSD;
}

static void test_fixtures(void **state)
{
	static struct file file;
	struct dialect_host *host = new_host(7);
	glob_t found;
	assert_int_equal(glob("tests/fixtures/dialects/*/*/*.txt", 0, NULL, &found), 0);
	assert_true(found.gl_pathc > 10);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct str name;
		unsigned checks;
		struct err err = ERR_INIT;
		enum dialect_kind kind = kind_of(found.gl_pathv[i], &name);
		struct str text = read_file(found.gl_pathv[i], &file);
		if (dialect_play(host, kind, name, text, &checks, &err) != 0)
			fail_msg("%s: %s", found.gl_pathv[i], err.text);
	}
	globfree(&found);
	dialect_host_free(&host);
}

/* ---- The documentation ------------------------------------------------------------------------
 */

/* The next fenced block whose first line is mark and a name; *rest moves behind it. */
static bool next_block(struct str *rest, const char *mark, struct str *name, struct str *body)
{
	const char *at = memmem(rest->p, rest->n, mark, strlen(mark));
	if (at == NULL)
		return false;
	*rest = str_from(*rest, (size_t)(at - rest->p) + 1);
	mark++;
	struct str line = {rest->p, (size_t)str_find(*rest, '\n')};
	*name = str_trim(str_from(line, strlen(mark)));
	const char *end = memmem(rest->p, rest->n, "\n```", 4);
	assert_non_null(end);
	*body = (struct str){rest->p, (size_t)(end - rest->p) + 1};
	*rest = str_from(*rest, body->n);
	return true;
}

static void play_sketch(struct str name, struct str sketch, struct str page)
{
	struct dialect_host *host = new_host(0);
	struct str exchange_name, exchange;
	struct err err = ERR_INIT;
	unsigned checks = 0;
	if (dialect_host_add(host, sketch, "=sketch", &err) != 0)
		fail_msg("%.*s: %s", STR_ARG(name), err.text);
	unsigned played = 0;
	while (next_block(&page, "\n# exchange: ", &exchange_name, &exchange)) {
		if (!str_eq(exchange_name, name))
			continue;
		enum dialect_kind kind = dialect_exists(host, DIALECT_USSD, name) ? DIALECT_USSD
					 : dialect_exists(host, DIALECT_SMS, name)
						 ? DIALECT_SMS
						 : DIALECT_PROVIDER;
		if (dialect_play(host, kind, name, exchange, &checks, &err) != 0)
			fail_msg("%.*s: %s", STR_ARG(name), err.text);
		played++;
	}
	if (played == 0)
		fail_msg("the sketch %.*s has no exchange", STR_ARG(name));
	dialect_host_free(&host);
}

static void test_documentation(void **state)
{
	static struct file file;
	struct str page = read_file("docs/dialects.md", &file);
	struct str rest = page;
	struct str name, sketch;
	unsigned n = 0;
	for (; next_block(&rest, "\n-- sketch: ", &name, &sketch); n++)
		play_sketch(name, sketch, page);
	assert_true(n >= 13);
}

/* ---- Numbers ----------------------------------------------------------------------------------
 */

#define USSD_HEAD "return dialect { kind = \"ussd\", name = \"x\", "
#define USSD_TEXT "encode = { continue = \"${text}\", finish = \"${text}\", error = \"${text}\" } }"

static int add(struct dialect_host *host, const char *source, struct err *err)
{
	return dialect_host_add(host, str_c(source), "=x.lua", err);
}

static int decode_body(struct dialect_host *host, struct str body, struct arena *arena,
	struct ussd_event *event, struct err *err)
{
	struct http_request request = {.method = STR("POST"), .path = STR("/"), .body = body};
	return dialect_ussd_decode(host, STR("x"), &request, STR(""), arena, event, err);
}

static int decode_once(const char *source, const char *body, struct arena *arena,
	struct ussd_event *event, struct err *err)
{
	struct dialect_host *host = new_host(0);
	if (add(host, source, err) != 0)
		fail_msg("%s", err->text);
	int rc = decode_body(host, str_c(body), arena, event, err);
	dialect_host_free(&host);
	return rc;
}

static const struct {
	const char *json;
	const char *type;
	const char *text;
} numbers[] = {
	{"0", "integer", "0"},
	{"-1000", "integer", "-1000"},
	{"9007199254740993", "integer", "9007199254740993"},
	{"9223372036854775807", "integer", "9223372036854775807"},
	{"-9223372036854775808", "integer", "-9223372036854775808"},
	{"9223372036854775808", "string", "9223372036854775808"},
	{"99999999999999999999", "string", "99999999999999999999"},
	{"1000.00", "string", "1000.00"},
	{"-1000.00", "string", "-1000.00"},
	{"1e400", "string", "1e400"},
	{"1E+2", "string", "1E+2"},
	{"-0", "string", "-0"},
	{"0.1", "string", "0.1"},
	{"\"1.5\"", "string", "1.5"},
	{"\"\\\" 1.5, 2e9: \\\\\"", "string", "\" 1.5, 2e9: \\"},
};

#define TYPE_SOURCE                                                                                \
	USSD_HEAD "body = \"json\", decode = function(r)\n"                                        \
		  " local v = r.json.list and r.json.list[1] or r.json.v\n"                        \
		  " return { session = math.type(v) or type(v), input = tostring(v),\n"            \
		  "  state = json_encode(r.json) } end, " USSD_TEXT

static void test_numbers_are_exact(void **state)
{
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		char body[256];
		struct ussd_event event;
		struct err err = ERR_INIT;
		snprintf(body, sizeof(body), "{\"v\" : %s\n, \"list\":[ %s ,1]}", numbers[i].json,
			numbers[i].json);
		if (decode_once(TYPE_SOURCE, body, &arena, &event, &err) != 0)
			fail_msg("%s: %s", numbers[i].json, err.text);
		assert_true(str_eq(event.session, str_c(numbers[i].type)));
		assert_true(str_eq(event.input, str_c(numbers[i].text)));
	}
	arena_fini(&arena);
}

static const char *const not_json[] = {
	"",
	"1.5",
	"null",
	"{",
	"{\"v\":01}",
	"{\"v\":1.}",
	"{\"v\":.5}",
	"{\"v\":+1.5}",
	"{\"v\":1.5.2}",
	"{\"v\":1e}",
	"{\"v\":-}",
	"{1.5:2}",
	"{1.5 :2}",
	"{\"a\":1,1e9:2}",
	"{\"v\":1.5\"x\"}",
	"{\"v\":0x10}",
	"{\"v\":NaN}",
	"{\"v\":1,\"v\":2}",
	"{\"v\":\"a\\u0000b\"}",
	"{\"v\":\"\xff\"}",
	"{\"v\":1}}",
	"[1.5 2.5]",
	"{\"v\":\"a",
	"{\"v\":\"a\\",
};

static void test_what_is_not_json(void **state)
{
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	for (size_t i = 0; i < sizeof(not_json) / sizeof(*not_json); i++) {
		struct ussd_event event;
		struct err err = ERR_INIT;
		if (decode_once(TYPE_SOURCE, not_json[i], &arena, &event, &err) != TAMA_EINVAL)
			fail_msg("taken for JSON: %s", not_json[i]);
		assert_non_null(strstr(err.text, "not JSON"));
	}
	arena_fini(&arena);
}

/* n times one text, its '#' being the number, between two others. */
static const char *repeated(const char *head, const char *one, size_t n, const char *tail)
{
	static char text[128 * 1024];
	struct buf buf;
	buf_init(&buf, sizeof(text) - 1);
	buf_add_str(&buf, str_c(head));
	for (size_t i = 0; i < n; i++) {
		for (const char *c = one; *c != '\0'; c++) {
			if (*c == '#')
				buf_printf(&buf, "%zu", i);
			else
				buf_add_char(&buf, *c);
		}
	}
	buf_add_str(&buf, str_c(tail));
	assert_false(buf.overflowed);
	memcpy(text, buf.p, buf.n);
	text[buf.n] = '\0';
	buf_fini(&buf);
	return text;
}

static void test_json_limits(void **state)
{
	struct {
		const char *head, *one, *tail;
		size_t n;
		int rc;
	} cases[] = {
		{"{\"v\":", "[", "", LIMIT_JSON_DEPTH, TAMA_EINVAL},
		{"{\"v\":1", ",\"k#\":1", "}", LIMIT_JSON_KEYS - 1, 0},
		{"{\"v\":1", ",\"k#\":1", "}", LIMIT_JSON_KEYS, TAMA_EINVAL},
		{"{\"v\":1,\"w\":[1", ",1", "]}", LIMIT_JSON_VALUES, TAMA_EINVAL},
		{"{\"v\":1,\"w\":[1", ",1.5", "]}", 1000, 0},
	};
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ussd_event event;
		struct err err = ERR_INIT;
		const char *body = repeated(cases[i].head, cases[i].one, cases[i].n, cases[i].tail);
		int rc = decode_once(TYPE_SOURCE, body, &arena, &event, &err);
		if (cases[i].rc == 0 && rc == TAMA_EINVAL && strstr(err.text, "state is longer"))
			rc = 0;
		if (rc != cases[i].rc)
			fail_msg("case %zu: %d %s", i, rc, err.text);
	}
	arena_fini(&arena);
}

/* ---- Dialects that mean harm ------------------------------------------------------------------
 */

static const struct {
	const char *decode; /* body of the function */
	int rc;
	const char *says;
} bad_decodes[] = {
	{"while true do end", TAMA_ELIMIT, "too long"},
	{"return decode_nothing()", TAMA_ESCRIPT, "decode_nothing"},
	{"return 1", TAMA_ESCRIPT, "wants to return a table"},
	{"return nil, 'no such thing'", TAMA_EINVAL, "no such thing"},
	{"return nil, 'a\\nb\\0c'", TAMA_EINVAL, "a?b?c"},
	{"return nil, {}", TAMA_EINVAL, "not of this format"},
	{"return { session = {} }", TAMA_ESCRIPT, "event.session wants text, not a table"},
	{"return { session = 1.5 }", TAMA_ESCRIPT, "event.session wants text, not a float"},
	{"return { session = true }", TAMA_ESCRIPT, "event.session wants text"},
	{"return { session = 'a\\nb' }", TAMA_EINVAL, "session has characters"},
	{"return { session = ('x'):rep(129) }", TAMA_EINVAL, "session is longer than 128"},
	{"return { input = ('x'):rep(481) }", TAMA_EINVAL, "input is longer than 480"},
	{"return { input = ('x'):rep(4097), cumulative = true }", TAMA_EINVAL, "input is longer"},
	{"return { event = 'start' }", TAMA_ESCRIPT, "event.event: no such word"},
	{"return { cumulative = 'yes' }", TAMA_ESCRIPT, "event.cumulative wants true or false"},
	{"local s = 'x' while true do s = s .. s end", TAMA_ELIMIT, ""},
	{"local t = {} while true do t[#t + 1] = ('x'):rep(60000) end", TAMA_ELIMIT, ""},
	{"local t = {} t[1] = t return { input = json_encode(t) }", TAMA_ESCRIPT, "deeper than"},
	{"return { input = json_encode(1.5) }", TAMA_ESCRIPT, "a float"},
	{"return { input = json_encode('\\255') }", TAMA_ESCRIPT, "not UTF-8"},
	{"return { input = json_encode(print) }", TAMA_ESCRIPT, "JSON"},
	{"return { input = json_encode(object { 1 }) }", TAMA_ESCRIPT, "object wants"},
	{"return { input = json_encode { [1] = 1, a = 2 } }", 0, ""},
	{"return { input = number('1e') }", TAMA_ESCRIPT, "number wants"},
	{"local n = number('1') n[1] = '1, \"x\": 2' return { input = json_encode(n) }",
		TAMA_ESCRIPT, "wants a JSON number"},
	{"return { input = json_decode('[1.50]')[1] .. (json_decode('[') or '!') }", 0, "1.50!"},
	{"return { input = xml_unescape('a&amp;b&#xE9;&#10;&nope;&#0;&') }", 0,
		"a&bé\n&nope;&#0;&"},
	{"return { input = xml_escape('<a b=\"\\'&\\n\">') }", 0,
		"&lt;a b=&quot;&apos;&amp;&#10;&quot;&gt;"},
	{"return { input = url_escape('a b/é') .. url_unescape('%41+&=%26') }", 0,
		"a%20b%2F%C3%A9A &=&"},
	{"return { input = tostring(url_unescape('%4')) }", 0, "nil"},
	{"return { input = septets('é[') .. tostring(septets('ê')) }", 0, "3nil"},
	{"return { input = json_encode { b = 1, a = array {}, c = {}, d = { 1, 'x' }, e = null } }",
		0, "{\"a\":[],\"b\":1,\"c\":{},\"d\":[1,\"x\"],\"e\":null}"},
	{"return { input = json_encode(object { { 'b', 1 }, { 'n', nil }, { 'a', number('1.50') } "
	 "}) }",
		0, "{\"b\":1,\"a\":1.50}"},
	{"return { input = '\\t\\127x\\n' }", 0, "  x\n"},
};

static void test_bad_decodes(void **state)
{
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	for (size_t i = 0; i < sizeof(bad_decodes) / sizeof(*bad_decodes); i++) {
		char source[1024];
		struct ussd_event event = {0};
		struct err err = ERR_INIT;
		snprintf(source, sizeof(source),
			USSD_HEAD "decode = function(r) %s end, " USSD_TEXT, bad_decodes[i].decode);
		int rc = decode_once(source, "", &arena, &event, &err);
		if (rc != bad_decodes[i].rc)
			fail_msg("%s: %d %s", bad_decodes[i].decode, rc, err.text);
		if (rc != 0 && strstr(err.text, bad_decodes[i].says) == NULL)
			fail_msg("%s: %s", bad_decodes[i].decode, err.text);
		if (rc == 0 && bad_decodes[i].says[0] != '\0' &&
			!str_eq(event.input, str_c(bad_decodes[i].says)))
			fail_msg("%s: %.*s", bad_decodes[i].decode, STR_ARG(event.input));
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

static const struct {
	const char *encode;
	int rc;
} bad_encodes[] = {
	{"return nil", TAMA_EINVAL},
	{"return { body = reply.text }", 0},
	{"return 'CON'", TAMA_ESCRIPT},
	{"while true do end", TAMA_ELIMIT},
	{"return { status = 100 }", TAMA_ESCRIPT},
	{"return { status = '200x' }", TAMA_ESCRIPT},
	{"return { type = 'text/plain\\r\\nX: y' }", TAMA_ESCRIPT},
	{"return { headers = { { 'X-A', 'b\\r\\nSet-Cookie: c' } } }", TAMA_ESCRIPT},
	{"return { headers = { { 'X-A: b', 'c' } } }", TAMA_ESCRIPT},
	{"return { headers = { { 'Content-Length', '5' } } }", TAMA_ESCRIPT},
	{"return { headers = { ['transfer-encoding'] = 'chunked' } }", TAMA_ESCRIPT},
	{"return { headers = { { 'X-A', ('x'):rep(1025) } } }", TAMA_ESCRIPT},
	{"local h = {} for i = 1, 17 do h[i] = { 'X', 'y' } end return { headers = h }",
		TAMA_ESCRIPT},
	{"return { headers = 'X: y' }", TAMA_ESCRIPT},
	{"return { headers = { { 'X' } } }", TAMA_ESCRIPT},
	{"return { body = 'x', json = {} }", TAMA_ESCRIPT},
	{"return { body = {} }", TAMA_ESCRIPT},
	{"return { json = { a = 0.5 } }", TAMA_ESCRIPT},
	{"return { call = { method = 'CONNECT', url = 'http://a' } }", TAMA_ESCRIPT},
	{"return { call = { method = 'POST', url = 'file:///etc/passwd' } }", TAMA_ESCRIPT},
	{"return { call = { method = 'POST', url = 'http://a\\r\\nb' } }", TAMA_ESCRIPT},
	{"return { call = { method = 'POST', url = 'http://' .. ('a'):rep(3000) } }", TAMA_ESCRIPT},
	{"return { call = { method = 'POST' } }", TAMA_ESCRIPT},
	{"return { call = { url = 'http://a' } }", TAMA_ESCRIPT},
	{"return { call = { method = 'POST', url = 'http://a', body = reply.text } }", 0},
};

static void encode_one(size_t i, struct arena *arena)
{
	char source[1024];
	struct err err = ERR_INIT;
	struct http_reply http;
	struct http_call call;
	struct ussd_reply reply = {.text = STR("{{{password}}")};
	struct ussd_event event = {.event = HOP_NEW, .session = STR("s")};
	struct dialect_host *host = new_host(0);
	snprintf(source, sizeof(source),
		USSD_HEAD "decode = {}, encode = function(event, reply) %s end }",
		bad_encodes[i].encode);
	if (add(host, source, &err) != 0)
		fail_msg("%s", err.text);
	int rc = dialect_ussd_encode(host, STR("x"), &event, &reply, arena, &http, &call);
	if (rc != bad_encodes[i].rc)
		fail_msg("%s: %d", bad_encodes[i].encode, rc);
	/* No text of a person can be a mark. */
	if (rc == 0 && call.url.n > 0)
		assert_true(str_eq(call.body, STR("{ { {password}}")));
	dialect_host_free(&host);
}

static void test_bad_encodes(void **state)
{
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	for (size_t i = 0; i < sizeof(bad_encodes) / sizeof(*bad_encodes); i++)
		encode_one(i, &arena);
	arena_fini(&arena);
}

static const struct {
	const char *source;
	const char *says;
} bad_files[] = {
	{"return 1", "return dialect"},
	{"return dialect(1)", "table expected"},
	{"return dialect {", "x.lua:1:"},
	{"while true do end", "too long"},
	{"return dialect { kind = 'ussd' }", "name wants"},
	{"return dialect { kind = 'ussd', name = '../x' }", "name wants"},
	{"return dialect { kind = 'x', name = 'x' }", "kind wants"},
	{USSD_HEAD "decodes = {}, " USSD_TEXT, "unknown key 'decodes'"},
	{USSD_HEAD USSD_TEXT, "decode wants a mapping or a function"},
	{USSD_HEAD "decode = {}}", "encode wants"},
	{USSD_HEAD "decode = { sesion = 'x' }, " USSD_TEXT, "unknown key 'sesion'"},
	{USSD_HEAD "decode = { session = 'form:x' }, " USSD_TEXT, "wants body = \"form\""},
	{USSD_HEAD "decode = { session = 'path:0' }, " USSD_TEXT, "number of a segment"},
	{USSD_HEAD "decode = { session = 'env:x' }, " USSD_TEXT, "no source 'env:x'"},
	{USSD_HEAD "decode = { session = 5 }, " USSD_TEXT, "a source wants"},
	{USSD_HEAD "decode = { session = {} }, " USSD_TEXT, "a list of sources"},
	{USSD_HEAD "decode = { required = { 'text' } }, " USSD_TEXT, "no such word 'text'"},
	{USSD_HEAD "decode = {}, event = 'begin', " USSD_TEXT, "no such event or state: 'begin'"},
	{USSD_HEAD "decode = {}, event = { values = {} }, " USSD_TEXT, "event wants from"},
	{USSD_HEAD "decode = {}, body = 'xml', " USSD_TEXT, "no 'xml'"},
	{USSD_HEAD "decode = {}, path = 'x', " USSD_TEXT, "path begins with"},
	{USSD_HEAD "routes = { 1 }, " USSD_TEXT, "route 1 wants a table"},
	{USSD_HEAD "decode = {}, encode = { continue = 'x' } }", "continue and finish"},
	{USSD_HEAD "decode = {}, encode = { continue = '${txt}', finish = '' } }",
		"no such ${word}"},
	{USSD_HEAD "decode = {}, encode = { continue = '${text', finish = '' } }",
		"no such ${word}"},
	{USSD_HEAD "decode = {}, encode = { continue = 1, finish = '' } }", "wants a template"},
	{USSD_HEAD "decode = {}, encode = { status = 99, continue = '', finish = '' } }",
		"200 to 599"},
	{USSD_HEAD "decode = {}, encode = { headers = { { 'Host', 'x' } }, continue = '', finish = "
		   "'' } }",
		"not a dialect's to set"},
	{"return dialect { kind = 'sms', name = 'x', mo = 1 }", "mo wants a route"},
	{"return dialect { kind = 'sms', name = 'x', submit = {} }", "wants a function"},
	{"return dialect { kind = 'sms', name = 'x', dlr = { decode = { ref = 'r', state = 'done' "
	 "} } }",
		"no such event or state: 'done'"},
	{"return dialect { kind = 'provider', name = 'x' }", "at least the functions"},
	{"return dialect { kind = 'provider', name = 'x', submit = print or type, reply = type, "
	 "login = type }",
		"login and token"},
};

static void test_bad_files(void **state)
{
	struct dialect_host *host = new_host(0);
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(*bad_files); i++) {
		struct err err = ERR_INIT;
		if (add(host, bad_files[i].source, &err) == 0)
			fail_msg("loaded: %s", bad_files[i].source);
		if (strstr(err.text, bad_files[i].says) == NULL)
			fail_msg("%s\n%s", bad_files[i].source, err.text);
	}
	struct err err = ERR_INIT;
	assert_int_equal(add(host, USSD_HEAD "decode = {}, " USSD_TEXT, &err), 0);
	assert_int_equal(add(host, USSD_HEAD "decode = {}, " USSD_TEXT, &err), TAMA_EEXIST);
	assert_true(dialect_exists(host, DIALECT_USSD, STR("x")));
	assert_false(dialect_exists(host, DIALECT_SMS, STR("x")));
	dialect_host_free(&host);
	assert_null(host);
}

/* ---- The rest ---------------------------------------------------------------------------------
 */

static void test_a_stopped_dialect_works_again(void **state)
{
	struct arena arena;
	struct ussd_event event;
	struct err err = ERR_INIT;
	struct dialect_host *host = new_host(0);
	arena_init(&arena, LIMIT_TURN_BYTES);
	assert_int_equal(
		add(host,
			USSD_HEAD
			"body = 'text', decode = function(r) while r.body == 'loop' do end\n"
			" json_decode(r.body) return { session = 's' } end, " USSD_TEXT,
			&err),
		0);
	for (unsigned i = 0; i < 3; i++) {
		err = (struct err)ERR_INIT;
		assert_int_equal(decode_body(host, STR("loop"), &arena, &event, &err), TAMA_ELIMIT);
		assert_int_equal(decode_body(host, STR("[1]"), &arena, &event, &err), 0);
	}
	arena_fini(&arena);
	dialect_host_free(&host);
}

/* With little memory for a turn everything ends in TAMA_ENOMEM or an error, never in half an
 * answer. */
static void test_small_arenas(void **state)
{
	struct err err = ERR_INIT;
	struct dialect_host *host = new_host(1u << DIALECT_USSD);
	assert_int_equal(
		add(host,
			USSD_HEAD "body = 'json', decode = function(r) return { session = r.json.a,"
				  " input = r.body } end, " USSD_TEXT,
			&err),
		0);
	struct http_request request = {.method = STR("POST"),
		.path = STR("/"),
		.body = STR("{\"a\":\"sessionId=1&phoneNumber=2&text=3\",\"b\":1.50}")};
	unsigned failed = 0;
	for (size_t max = 0; max < 65536; max += 997) {
		struct arena arena;
		struct ussd_event event = {.event = HOP_PROBE};
		arena_init(&arena, max);
		if (dialect_ussd_decode(host, STR("x"), &request, STR(""), &arena, &event, NULL) !=
			0) {
			failed++;
			assert_int_equal(event.event, HOP_PROBE);
		} else {
			assert_true(str_eq(event.session, STR("sessionId=1&phoneNumber=2&text=3")));
		}
		arena_fini(&arena);
	}
	assert_true(failed > 0);
	dialect_host_free(&host);
}

static void test_unknown_dialects(void **state)
{
	struct arena arena;
	struct err err = ERR_INIT;
	struct ussd_event event;
	struct http_reply reply;
	struct http_call call;
	struct ussd_reply screen = {.text = STR("x")};
	struct dialect_host *host = new_host(0);
	arena_init(&arena, LIMIT_TURN_BYTES);
	assert_int_equal(decode_body(host, STR(""), &arena, &event, &err), TAMA_ENOTFOUND);
	assert_int_equal(dialect_ussd_encode(host, STR("x"), NULL, &screen, &arena, &reply, &call),
		TAMA_ENOTFOUND);
	assert_int_equal(
		dialect_sms_reply(host, STR("x"), STR(""), &arena, &reply), TAMA_ENOTFOUND);
	assert_int_equal(dialect_sms_verdict(host, STR("x"), 202, STR("")), SMS_DOUBT);
	arena_fini(&arena);
	dialect_host_free(&host);
}

/* ---- Providers ---------------------------------------------------------------------------------
 */

static const struct {
	const char *reply; /* body of the function */
	int rc;
	bool is_valid;
} provider_replies[] = {
	{"return { amount = r.json.amount }", 0, true},
	{"return { amount = 1.5 }", TAMA_ESCRIPT, false},
	{"return { word = true }", TAMA_ESCRIPT, false},
	{"return { id = ('x'):rep(129) }", 0, false},
	{"return { word = 'a\\n' }", 0, false},
	{"return { text = '\\255' }", 0, false},
	{"return { text = ('x'):rep(4096) }", 0, true},
	{"return { word = null, code = 5 }", 0, true},
	{"return nil", 0, false},
	{"return false", TAMA_ESCRIPT, false},
	{"error('x')", TAMA_ESCRIPT, false},
	{"while true do end", TAMA_ELIMIT, false},
};

static void reply_once(size_t i, struct arena *arena)
{
	char source[512];
	struct err err = ERR_INIT;
	struct dialect_host *host = new_host(0);
	struct provider_profile profile = {.name = "x"};
	struct account account = {
		.name = STR("a"), .profile = &profile, .base_url = STR("http://a")};
	struct provider_terms terms = {.account = &account, .verb = STR("cashout")};
	struct facts facts = {.word = STR("untouched")};
	snprintf(source, sizeof(source),
		"return dialect { kind = 'provider', name = 'x', submit = function() end,"
		" reply = function(c, t, r) %s end }",
		provider_replies[i].reply);
	if (add(host, source, &err) != 0)
		fail_msg("%s", err.text);
	int rc = dialect_provider_reply(host, PROVIDER_SUBMIT, &terms, 200,
		STR("{\"amount\":9007199254740993.50}"), arena, &facts, &err);
	if (rc != provider_replies[i].rc ||
		(rc == 0 && facts.is_valid != provider_replies[i].is_valid))
		fail_msg("%s: %d %s", provider_replies[i].reply, rc, err.text);
	if (i == 0)
		assert_true(str_eq(facts.amount, STR("9007199254740993.50")));
	if (rc != 0)
		assert_true(str_eq(facts.word, STR("untouched")));
	dialect_host_free(&host);
}

static void test_provider_replies(void **state)
{
	struct arena arena;
	arena_init(&arena, LIMIT_TURN_BYTES);
	for (size_t i = 0; i < sizeof(provider_replies) / sizeof(*provider_replies); i++)
		reply_once(i, &arena);
	arena_fini(&arena);
}

/* A body that no dialect can hold is no reply at all, and no failure of the dialect either. */
static void test_long_replies(void **state)
{
	static char body[LIMIT_LUA_STRING + 2];
	struct arena arena;
	struct err err = ERR_INIT;
	struct dialect_host *host = new_host(0);
	struct provider_profile profile = {.name = "x"};
	struct account account = {.name = STR("a"), .profile = &profile};
	struct provider_terms terms = {.account = &account};
	struct facts facts = {.is_valid = true};
	arena_init(&arena, LIMIT_TURN_BYTES);
	assert_int_equal(
		add(host,
			"return dialect { kind = 'provider', name = 'x', submit = function() end,"
			" reply = function(c, t, r) return { word = 'OK' } end }",
			&err),
		0);
	memset(body, ' ', sizeof(body));
	assert_int_equal(dialect_provider_reply(host, PROVIDER_SUBMIT, &terms, 200,
				 (struct str){body, LIMIT_LUA_STRING + 1}, &arena, &facts, &err),
		0);
	assert_false(facts.is_valid);
	assert_int_equal(dialect_provider_reply(host, PROVIDER_SUBMIT, &terms, 200,
				 (struct str){body, LIMIT_LUA_STRING}, &arena, &facts, &err),
		0);
	assert_true(facts.is_valid);
	arena_fini(&arena);
	dialect_host_free(&host);
}

/* What is data never reaches the gate. */
static void test_data_runs_no_lua(void **state)
{
	struct arena arena;
	struct ussd_event event;
	struct http_reply reply;
	struct http_call call;
	struct lua_gate_stats before, after;
	struct err err = ERR_INIT;
	struct ussd_reply screen = {.text = STR("x")};
	struct dialect_host *host = new_host(1u << DIALECT_USSD);
	struct http_request request = {.method = STR("POST"),
		.path = STR("/"),
		.body = STR("sessionId=1&phoneNumber=%2B2250701020304&text=1*2")};
	arena_init(&arena, LIMIT_TURN_BYTES);
	lua_gate_stats(host->gate, &before);
	assert_int_equal(dialect_ussd_decode(host, STR("africastalking"), &request, STR(""), &arena,
				 &event, &err),
		0);
	assert_int_equal(dialect_ussd_encode(host, STR("africastalking"), &event, &screen, &arena,
				 &reply, &call),
		0);
	lua_gate_stats(host->gate, &after);
	assert_int_equal(before.calls, after.calls);
	assert_int_equal(before.bytes, after.bytes);
	assert_true(str_eq(reply.body, STR("CON x")));
	arena_fini(&arena);
	dialect_host_free(&host);
}

/* The player must be able to find a difference. */
static void test_player_fails(void **state)
{
	static const char *const wrong[] = {
		"",
		"nothing here\n",
		"== event\nx\n",
		"== what\n",
		"== request\nPOST / HTTP/1.1\n\nsessionId=1&phoneNumber=2&text=\n== event\nevent "
		"new\n",
		"== request\nPOST / HTTP/1.1\n\nsessionId=1&phoneNumber=2&text=\n== refused\n",
		"== request\nPOST / HTTP/1.1\n\nsessionId=1\n== refused\nwith other words\n",
		"== request\nPOST\n",
		"== reply\nperhaps\n",
		"== reply\nfinish\nx\n== response\nEND x\n",
		"== reply\nfinish\nx\n== response\nHTTP/1.1 200 OK\n"
		"Content-Type: text/plain; charset=UTF-8\n\nEND x\n\ny\n",
		"== reply\nfinish\nx\n== nothing\n",
	};
	struct dialect_host *host = new_host(1u << DIALECT_USSD);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		unsigned checks;
		struct err err = ERR_INIT;
		if (dialect_play(host, DIALECT_USSD, STR("africastalking"), str_c(wrong[i]),
			    &checks, &err) != TAMA_EINVAL)
			fail_msg("played: %s", wrong[i]);
		assert_true(err.text[0] != '\0');
	}
	dialect_host_free(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_documentation),
		cmocka_unit_test(test_numbers_are_exact),
		cmocka_unit_test(test_what_is_not_json),
		cmocka_unit_test(test_json_limits),
		cmocka_unit_test(test_bad_decodes),
		cmocka_unit_test(test_bad_encodes),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_a_stopped_dialect_works_again),
		cmocka_unit_test(test_small_arenas),
		cmocka_unit_test(test_unknown_dialects),
		cmocka_unit_test(test_provider_replies),
		cmocka_unit_test(test_long_replies),
		cmocka_unit_test(test_data_runs_no_lua),
		cmocka_unit_test(test_player_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
