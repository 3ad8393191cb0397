/*
 * The player of exchanges. A file is a row of sections, "== name" and its text; each section either
 * gives something to the dialect or compares what the dialect made of the last one. What is
 * compared is written out as text first, so a difference can be shown as a line.
 */
#include "tama/dialect_play.h"

#include "dialect_priv.h"

#define PLAY_FIELDS 32

struct play {
	struct dialect_host *host;
	struct str dialect;
	struct arena arena;
	struct err *err;
	int line; /* of the section */
	unsigned checks;
	int rc; /* of the last decoding or encoding */
	struct err why;
	struct text got; /* what a section compares with, by its kind: */
	struct text response;
	struct text call;
	struct ussd_event event;
	bool has_event;
	struct provider_terms terms;
	struct account account;
	struct provider_profile profile;
	struct account_field fields[PLAY_FIELDS];
	struct facts facts;
};

/* ---- Writing down -----------------------------------------------------------------------------
 */

static void start(struct play *play, struct text *text)
{
	*text = (struct text){.arena = &play->arena};
}

/* One "name value" line; control characters and backslashes as \n, \\ and \xNN. */
static void put(struct text *out, const char *name, struct str value)
{
	static const char hex[] = "0123456789abcdef";
	text_add(out, str_c(name));
	text_add(out, value.n > 0 ? STR(" ") : STR(""));
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (c == '\n')
			text_add(out, STR("\\n"));
		else if (c == '\\')
			text_add(out, STR("\\\\"));
		else if (c < 0x20 || c == 0x7F)
			text_add(out,
				(struct str){(char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4});
		else
			text_add(out, (struct str){value.p + i, 1});
	}
	text_add(out, STR("\n"));
}

static void put_known(struct text *out, const char *name, struct str value)
{
	if (value.n > 0)
		put(out, name, value);
}

static void put_fields(struct text *out, const struct http_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_add(out, fields[i].name);
		text_add(out, STR(": "));
		text_add(out, fields[i].value);
		text_add(out, STR("\n"));
	}
	text_add(out, STR("\n"));
}

static void put_response(struct play *play, const struct http_reply *reply)
{
	start(play, &play->response);
	text_add(&play->response, arena_printf(&play->arena, "HTTP/1.1 %u\n", reply->status));
	if (reply->type.n > 0) {
		struct http_field type = {STR("Content-Type"), reply->type};
		put_fields(&play->response, &type, 1);
		play->response.n--;
	}
	put_fields(&play->response, reply->fields, reply->fields_len);
	text_add(&play->response, reply->body);
}

static void put_call(struct play *play, const struct http_call *call)
{
	start(play, &play->call);
	if (call->url.n == 0)
		return;
	text_add(&play->call, arena_printf(&play->arena, "%.*s %.*s HTTP/1.1\n",
				      STR_ARG(call->method), STR_ARG(call->url)));
	put_fields(&play->call, call->fields, call->fields_len);
	text_add(&play->call, call->body);
}

/* ---- Comparing --------------------------------------------------------------------------------
 */

static struct str without_end(struct str s)
{
	while (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	return s;
}

static int fail(struct play *play, const char *what, struct str want, struct str got)
{
	return err_set(play->err, TAMA_EINVAL, "line %d: %s: want \"%.*s\", got \"%.*s\"",
		play->line, what, STR_ARG(want), STR_ARG(got));
}

/* Line by line, so that the message can show the one that differs. */
static int compare(struct play *play, const char *what, struct str want, struct str got)
{
	play->checks++;
	want = without_end(want);
	got = without_end(got);
	while (!str_eq(want, got)) {
		struct str want_line = str_cut(&want, '\n');
		struct str got_line = str_cut(&got, '\n');
		play->line++;
		if (!str_eq(want_line, got_line))
			return fail(play, what, want_line, got_line);
		if ((want.p == NULL) != (got.p == NULL))
			return fail(play, what, want, got);
	}
	return 0;
}

static int compare_text(
	struct play *play, const char *what, struct str want, const struct text *got)
{
	if (play->rc != 0)
		return err_set(play->err, TAMA_EINVAL, "line %d: %s: the dialect failed: %s",
			play->line, what, play->why.text[0] != '\0' ? play->why.text : "no reason");
	return compare(play, what, want, (struct str){got->p, got->n});
}

/* "HTTP/1.1 200 OK" is compared as "HTTP/1.1 200". */
static int section_response(struct play *play, struct str body)
{
	struct str rest = body;
	struct str line = str_cut(&rest, '\n');
	struct text want = {.arena = &play->arena};
	if (line.n < 12 || !str_has_prefix(line, STR("HTTP/1.1 ")))
		return err_set(play->err, TAMA_EINVAL,
			"line %d: a response begins with HTTP/1.1 200", play->line);
	text_add(&want, (struct str){line.p, 12});
	text_add(&want, STR("\n"));
	text_add(&want, rest);
	return compare_text(play, "response", (struct str){want.p, want.n}, &play->response);
}

static int section_call(struct play *play, struct str body)
{
	return compare_text(play, "call", body, &play->call);
}

static int section_got(struct play *play, struct str body)
{
	return compare_text(play, "meaning", body, &play->got);
}

/* The dialect says that this is not its format; the text is part of the reason. */
static int section_refused(struct play *play, struct str body)
{
	play->checks++;
	if (play->rc != TAMA_EINVAL)
		return err_set(play->err, TAMA_EINVAL, "line %d: it was not refused (%d) %s",
			play->line, play->rc, play->why.text);
	struct str want = without_end(body);
	if (want.n > 0 && memmem(play->why.text, strlen(play->why.text), want.p, want.n) == NULL)
		return fail(play, "refused", want, str_c(play->why.text));
	return 0;
}

/* The format has no way to say it, or the dialect has no such call. */
static int section_nothing(struct play *play, struct str body)
{
	play->checks++;
	if (play->rc == TAMA_EINVAL || play->rc == TAMA_ENOTFOUND)
		return 0;
	return err_set(
		play->err, TAMA_EINVAL, "line %d: something was said (%d)", play->line, play->rc);
}

/* ---- Reading ----------------------------------------------------------------------------------
 */

/* Head fields up to the empty line; *rest is then the body. */
static int read_fields(
	struct play *play, struct str *rest, struct http_field **out, size_t *len_out)
{
	struct http_field *fields = arena_alloc(&play->arena, PLAY_FIELDS * sizeof(*fields));
	size_t n = 0;
	if (fields == NULL)
		return err_set(play->err, TAMA_ENOMEM, "line %d: no room", play->line);
	while (rest->p != NULL) {
		struct str value = str_cut(rest, '\n');
		if (value.n == 0)
			break;
		if (str_find(value, ':') < 0 || n == PLAY_FIELDS)
			return err_set(play->err, TAMA_EINVAL,
				"line %d: a header field wants Name: value", play->line);
		fields[n].name = str_cut(&value, ':');
		fields[n++].value = str_trim(value);
	}
	*out = fields;
	*len_out = n;
	return 0;
}

static int read_request(struct play *play, struct str body, struct http_request *out)
{
	struct str rest = body;
	struct str line = str_cut(&rest, '\n');
	struct http_field *fields = NULL;
	*out = (struct http_request){.peer = STR("127.0.0.1")};
	out->method = str_cut(&line, ' ');
	struct str target = str_cut(&line, ' ');
	if (target.n == 0 || target.p[0] != '/' || !str_has_prefix(line, STR("HTTP/1.")))
		return err_set(play->err, TAMA_EINVAL,
			"line %d: a request begins with GET / HTTP/1.1", play->line);
	int rc = read_fields(play, &rest, &fields, &out->fields_len);
	out->fields = fields;
	out->path = str_cut(&target, '?');
	out->query = target;
	out->body = without_end(rest);
	return rc;
}

static int read_response(
	struct play *play, struct str body, unsigned *status_out, struct str *body_out)
{
	struct str rest = body;
	struct str line = str_cut(&rest, '\n');
	struct http_field *fields = NULL;
	size_t n;
	(void)str_cut(&line, ' ');
	int64_t status;
	if (!str_to_i64(str_cut(&line, ' '), &status) || status < 100 || status > 599)
		return err_set(play->err, TAMA_EINVAL,
			"line %d: an answer begins with HTTP/1.1 200", play->line);
	*status_out = (unsigned)status;
	int rc = read_fields(play, &rest, &fields, &n);
	*body_out = without_end(rest);
	return rc;
}

/* \n, \\ and \xNN of a value. */
static struct str unescape(struct play *play, struct str s)
{
	char *p = arena_alloc(&play->arena, s.n + 1);
	size_t n = 0;
	if (p == NULL)
		return (struct str){NULL, 0};
	for (size_t i = 0; i < s.n; i++) {
		p[n] = s.p[i];
		if (s.p[i] == '\\' && i + 1 < s.n) {
			i++;
			p[n] = s.p[i] == 'n' ? '\n' : s.p[i];
			if (s.p[i] == 'x' && i + 2 < s.n) {
				char digits[3] = {s.p[i + 1], s.p[i + 2], '\0'};
				p[n] = (char)strtoul(digits, NULL, 16);
				i += 2;
			}
		}
		n++;
	}
	return (struct str){p, n};
}

/* The value of the "name value" line, or {NULL, 0}. */
static struct str line_value(struct play *play, struct str body, const char *name)
{
	while (body.p != NULL) {
		struct str value = str_cut(&body, '\n');
		if (str_eq(str_cut(&value, ' '), str_c(name)))
			return unescape(play, value.p != NULL ? value : STR(""));
	}
	return (struct str){NULL, 0};
}

/* All "field.name value" lines. */
static size_t line_fields(struct play *play, struct str body)
{
	size_t n = 0;
	while (body.p != NULL && n < PLAY_FIELDS) {
		struct str value = str_cut(&body, '\n');
		struct str name = str_cut(&value, ' ');
		if (!str_has_prefix(name, STR("field.")))
			continue;
		play->fields[n++] =
			(struct account_field){str_from(name, 6), unescape(play, value)};
	}
	return n;
}

/* ---- USSD -------------------------------------------------------------------------------------
 */

static void put_event(struct play *play)
{
	size_t n;
	const struct ussd_event *e = &play->event;
	start(play, &play->got);
	put(&play->got, "event", str_c(reading_words(READING_USSD, &n)[e->event]));
	put_known(&play->got, "session", e->session);
	put_known(&play->got, "msisdn", e->msisdn);
	put_known(&play->got, "code", e->code);
	if (e->has_input)
		put(&play->got, "input", e->input);
	if (e->is_cumulative)
		put(&play->got, "cumulative", STR(""));
	put_known(&play->got, "hop", e->hop_id);
	put_known(&play->got, "network", e->network);
	put_known(&play->got, "state", e->state);
	put_known(&play->got, "echo", e->echo);
}

static int section_request(struct play *play, struct str body)
{
	struct http_request request;
	int rc = read_request(play, body, &request);
	if (rc != 0)
		return rc;
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_ussd_decode(play->host, play->dialect, &request, request.path,
		&play->arena, &play->event, &play->why);
	play->has_event = play->rc == 0;
	if (play->has_event)
		put_event(play);
	return 0;
}

static int section_ussd_reply(struct play *play, struct str body)
{
	struct str text = body;
	struct str word = str_cut(&text, '\n');
	struct ussd_reply reply = {.text = without_end(text)};
	reply.is_end = str_eq(word, STR("finish"));
	reply.is_error = str_eq(word, STR("error"));
	reply.is_alive = str_eq(word, STR("alive"));
	if (!reply.is_end && !reply.is_error && !reply.is_alive && !str_eq(word, STR("continue")) &&
		!str_eq(word, STR("gone")) && !str_eq(word, STR("ended")))
		return err_set(play->err, TAMA_EINVAL,
			"line %d: a reply is continue, finish, error, ended, alive or gone",
			play->line);
	struct http_reply http;
	struct http_call call;
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_ussd_encode(play->host, play->dialect,
		play->has_event ? &play->event : NULL, &reply, &play->arena, &http, &call);
	if (play->rc != 0)
		return 0;
	put_response(play, &http);
	put_call(play, &call);
	return 0;
}

/* ---- SMS --------------------------------------------------------------------------------------
 */

static int decode_sms(struct play *play, struct str body, enum sms_event_kind kind)
{
	struct http_request request;
	int rc = read_request(play, body, &request);
	if (rc != 0)
		return rc;
	struct sms_event e = {.kind = kind};
	size_t n;
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_sms_decode(play->host, play->dialect, kind, &request, request.path,
		&play->arena, &e, &play->why);
	if (play->rc != 0)
		return 0;
	start(play, &play->got);
	put_known(&play->got, "id", e.id);
	put_known(&play->got, "from", e.from);
	put_known(&play->got, "to", e.to);
	if (kind == SMS_MO)
		put(&play->got, "text", e.text);
	put_known(&play->got, "ref", e.ref);
	if (kind == SMS_DLR)
		put(&play->got, "state", str_c(reading_words(READING_DLR, &n)[e.state]));
	return 0;
}

static int section_mo(struct play *play, struct str body)
{
	return decode_sms(play, body, SMS_MO);
}

static int section_dlr(struct play *play, struct str body)
{
	return decode_sms(play, body, SMS_DLR);
}

static int section_sms_reply(struct play *play, struct str body)
{
	struct http_reply reply;
	play->rc = dialect_sms_reply(
		play->host, play->dialect, without_end(body), &play->arena, &reply);
	if (play->rc == 0)
		put_response(play, &reply);
	return 0;
}

static int section_message(struct play *play, struct str body)
{
	struct channel channel = {
		.name = STR("channel"), .dialect = play->dialect, .fields = play->fields};
	channel.fields_len = line_fields(play, body);
	struct sms_message message = {
		.to = line_value(play, body, "to"),
		.text = line_value(play, body, "text"),
		.ref = line_value(play, body, "ref"),
		.dlr_url = line_value(play, body, "dlr_url"),
	};
	struct http_call call;
	play->why = (struct err)ERR_INIT;
	play->rc =
		dialect_sms_submit(play->host, &channel, &message, &play->arena, &call, &play->why);
	if (play->rc == 0)
		put_call(play, &call);
	return 0;
}

static int section_sms_answer(struct play *play, struct str body)
{
	static const char *const words[] = {[SMS_SENT] = "sent",
		[SMS_REFUSED] = "refused",
		[SMS_RETRY] = "retry",
		[SMS_DOUBT] = "doubt"};
	unsigned status;
	struct str text;
	int rc = read_response(play, body, &status, &text);
	if (rc != 0)
		return rc;
	enum sms_verdict verdict = dialect_sms_verdict(play->host, play->dialect, status, text);
	play->rc = 0;
	start(play, &play->got);
	text_add(&play->got, str_c(words[verdict]));
	return 0;
}

/* ---- Providers --------------------------------------------------------------------------------
 */

static int section_terms(struct play *play, struct str body)
{
	struct str amount = line_value(play, body, "amount");
	struct str number = line_value(play, body, "number");
	struct attempt_terms *t = &play->terms.terms;
	play->account = (struct account){
		.name = STR("account"), .profile = &play->profile, .fields = play->fields};
	play->account.fields_len = line_fields(play, body);
	play->account.base_url = line_value(play, body, "base_url");
	play->account.currency = currency_find(line_value(play, body, "currency"));
	play->terms = (struct provider_terms){.account = &play->account};
	play->terms.verb = line_value(play, body, "verb");
	play->terms.ipn_url = line_value(play, body, "ipn_url");
	play->terms.has_otp = line_value(play, body, "otp").p != NULL;
	struct str page = line_value(play, body, "page");
	int64_t page_number = 0;
	if (page.p != NULL && (!str_to_i64(page, &page_number) || page_number > UINT32_MAX))
		return err_set(play->err, TAMA_EINVAL, "line %d: a page is a number", play->line);
	play->terms.page = (struct provider_page){
		.number = (uint32_t)page_number,
		.from = line_value(play, body, "from"),
		.to = line_value(play, body, "to"),
		.listed = line_value(play, body, "listed"),
	};
	t->our_ref = line_value(play, body, "our_ref");
	t->provider_id = line_value(play, body, "provider_id");
	t->national = line_value(play, body, "national");
	t->service = line_value(play, body, "service");
	t->currency = play->account.currency;
	if (t->currency == NULL || !str_to_i64(amount, &t->amount) || number.n > MSISDN_MAX)
		return err_set(play->err, TAMA_EINVAL,
			"line %d: terms want currency, amount in minor units, number", play->line);
	memcpy(t->number.digits, number.p != NULL ? number.p : "", number.n);
	return 0;
}

static int compare_call(struct play *play, struct str body, const struct http_call *call)
{
	if (str_eq(without_end(body), STR("nothing")))
		return section_nothing(play, body);
	if (play->rc == 0)
		put_call(play, call);
	return section_call(play, body);
}

static int request_of(struct play *play, struct str body, enum provider_call which)
{
	struct http_call call = {.url = STR("")};
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_provider_request(
		play->host, which, &play->terms, &play->arena, &call, &play->why);
	return compare_call(play, body, &call);
}

static int section_submit(struct play *play, struct str body)
{
	return request_of(play, body, PROVIDER_SUBMIT);
}

static int section_status(struct play *play, struct str body)
{
	return request_of(play, body, PROVIDER_STATUS);
}

static int section_balance(struct play *play, struct str body)
{
	return request_of(play, body, PROVIDER_BALANCE);
}

static int section_list(struct play *play, struct str body)
{
	return request_of(play, body, PROVIDER_LIST);
}

static int section_login(struct play *play, struct str body)
{
	struct http_call call = {.url = STR("")};
	play->why = (struct err)ERR_INIT;
	play->rc =
		dialect_provider_login(play->host, &play->account, &play->arena, &call, &play->why);
	return compare_call(play, body, &call);
}

static void put_facts(struct play *play, const struct facts *facts)
{
	start(play, &play->got);
	if (!facts->is_valid) {
		text_add(&play->got, STR("invalid"));
		return;
	}
	put_known(&play->got, "word", facts->word);
	put_known(&play->got, "id", facts->id);
	put_known(&play->got, "our_ref", facts->our_ref);
	put_known(&play->got, "amount", facts->amount);
	put_known(&play->got, "currency", facts->currency);
	put_known(&play->got, "number", facts->number);
	put_known(&play->got, "service", facts->service);
	put_known(&play->got, "code", facts->code);
	put_known(&play->got, "text", facts->text);
}

static int answer_to(struct play *play, struct str body, enum provider_call which)
{
	unsigned status;
	struct str text;
	int rc = read_response(play, body, &status, &text);
	if (rc != 0)
		return rc;
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_provider_reply(play->host, which, &play->terms, status, text,
		&play->arena, &play->facts, &play->why);
	if (play->rc == 0)
		put_facts(play, &play->facts);
	return 0;
}

static int section_answer_submit(struct play *play, struct str body)
{
	return answer_to(play, body, PROVIDER_SUBMIT);
}

static int section_answer_status(struct play *play, struct str body)
{
	return answer_to(play, body, PROVIDER_STATUS);
}

static int section_answer_balance(struct play *play, struct str body)
{
	return answer_to(play, body, PROVIDER_BALANCE);
}

static int section_answer_list(struct play *play, struct str body)
{
	return answer_to(play, body, PROVIDER_LIST);
}

static int section_answer_login(struct play *play, struct str body)
{
	unsigned status;
	struct str text;
	struct provider_token token;
	int rc = read_response(play, body, &status, &text);
	if (rc != 0)
		return rc;
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_provider_token(
		play->host, &play->account, status, text, &play->arena, &token, &play->why);
	if (play->rc != 0)
		return 0;
	start(play, &play->got);
	put(&play->got, "token", token.token);
	put(&play->got, "expires", arena_printf(&play->arena, "%u", token.expires_s));
	return 0;
}

static int section_ipn(struct play *play, struct str body)
{
	struct http_request request;
	struct http_reply reply;
	int rc = read_request(play, body, &request);
	if (rc != 0)
		return rc;
	play->why = (struct err)ERR_INIT;
	play->rc = dialect_provider_ipn(play->host, &play->account, &request, request.path,
		&play->arena, &play->facts, &play->why);
	if (play->rc != 0)
		return 0;
	put_facts(play, &play->facts);
	play->rc = dialect_provider_ipn_reply(
		play->host, &play->account, &play->facts, &play->arena, &reply);
	if (play->rc == 0)
		put_response(play, &reply);
	return 0;
}

/* ---- The file ---------------------------------------------------------------------------------
 */

#define OF_USSD (1u << DIALECT_USSD)
#define OF_SMS (1u << DIALECT_SMS)
#define OF_PROVIDER (1u << DIALECT_PROVIDER)
#define OF_ALL (OF_USSD | OF_SMS | OF_PROVIDER)

static const struct section {
	const char *name;
	unsigned kinds;
	int (*play)(struct play *play, struct str body);
} sections[] = {
	{"request", OF_USSD, section_request},
	{"event", OF_USSD | OF_SMS, section_got},
	{"refused", OF_ALL, section_refused},
	{"reply", OF_USSD, section_ussd_reply},
	{"reply", OF_SMS, section_sms_reply},
	{"response", OF_ALL, section_response},
	{"nothing", OF_ALL, section_nothing},
	{"call", OF_ALL, section_call},
	{"mo", OF_SMS, section_mo},
	{"dlr", OF_SMS, section_dlr},
	{"message", OF_SMS, section_message},
	{"answer", OF_SMS, section_sms_answer},
	{"verdict", OF_SMS, section_got},
	{"terms", OF_PROVIDER, section_terms},
	{"submit", OF_PROVIDER, section_submit},
	{"status", OF_PROVIDER, section_status},
	{"balance", OF_PROVIDER, section_balance},
	{"list", OF_PROVIDER, section_list},
	{"login", OF_PROVIDER, section_login},
	{"answer submit", OF_PROVIDER, section_answer_submit},
	{"answer status", OF_PROVIDER, section_answer_status},
	{"answer balance", OF_PROVIDER, section_answer_balance},
	{"answer list", OF_PROVIDER, section_answer_list},
	{"answer login", OF_PROVIDER, section_answer_login},
	{"facts", OF_PROVIDER, section_got},
	{"token", OF_PROVIDER, section_got},
	{"ipn", OF_PROVIDER, section_ipn},
};

static int play_section(struct play *play, enum dialect_kind kind, struct str name, struct str body)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if ((sections[i].kinds & (1u << kind)) != 0 &&
			str_eq(name, str_c(sections[i].name)))
			return sections[i].play(play, body);
	return err_set(play->err, TAMA_EINVAL,
		"line %d: no section '%.*s' for this kind of dialect", play->line, STR_ARG(name));
}

static bool is_section(struct str s)
{
	return str_has_prefix(s, STR("== "));
}

/* Cuts the lines up to the next section off *rest, and counts them. */
static struct str cut_section(struct str *rest, int *lines)
{
	struct str body = {rest->p, 0};
	while (rest->p != NULL && !is_section(*rest)) {
		struct str line = str_cut(rest, '\n');
		body.n += line.n + (rest->p != NULL);
		++*lines;
	}
	return body;
}

int dialect_play(struct dialect_host *host, enum dialect_kind kind, struct str dialect,
	struct str exchange, unsigned *checks_out, struct err *err)
{
	struct play *play = calloc(1, sizeof(*play));
	if (play == NULL)
		return err_set(err, TAMA_ENOMEM, "no memory");
	arena_init(&play->arena, 4 * LIMIT_TURN_BYTES);
	play->host = host;
	play->err = err;
	play->dialect = arena_str(&play->arena, dialect);
	play->profile.name = play->dialect.p;
	play->account.profile = &play->profile;
	play->terms.account = &play->account;
	int lines = 0;
	int rc = 0;
	/* What stands before the first section says what this is about. */
	(void)cut_section(&exchange, &lines);
	while (exchange.p != NULL && rc == 0) {
		struct str name = str_trim(str_from(str_cut(&exchange, '\n'), 3));
		play->line = ++lines;
		struct str body = cut_section(&exchange, &lines);
		rc = play_section(play, kind, name, body);
	}
	if (rc == 0 && play->checks == 0)
		rc = err_set(err, TAMA_EINVAL, "the exchange compares nothing");
	*checks_out = play->checks;
	arena_fini(&play->arena);
	free(play);
	return rc;
}
