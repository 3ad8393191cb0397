/*
 * tama dial: dials a USSD code as Africa's Talking passes it on (ussd-aggregators.md 1.1): a form
 * with the cumulative text of the session, an answer that begins with CON or END.
 *
 * Answers come from the terminal or from --keys. A code (it begins with * or # and ends with #) is
 * dialled at any time; one that is an operator's own is answered here, because no phone can dial it
 * while our session is open.
 */
#include "cli.h"
#include "phone.h"

#include "tama/buf.h"
#include "tama/form.h"

#include <unistd.h>

#define TEXT_BYTES 2000
#define LINE_BYTES 512
#define ARENA_BYTES (512 * 1024)
#define WAIT_MS 30000

struct dial {
	struct phone *phone;
	struct arena arena; /* of one hop */
	const char *keys; /* what is left of them; NULL: the terminal answers */
	char code[64];
	char session[48];
	struct buf text; /* cumulative */
	bool is_open; /* a session awaits an answer */
};

/* MCC and MNC by the beginning of the number; 99999 is Africa's Talking's own sandbox. */
static struct str network_of(struct str number)
{
	static const struct {
		struct str head, network;
	} NETWORKS[] = {
		{STR_INIT("22501"), STR_INIT("61202")},
		{STR_INIT("22505"), STR_INIT("61205")},
		{STR_INIT("22507"), STR_INIT("61203")},
		{STR_INIT("25670"), STR_INIT("64101")},
		{STR_INIT("25674"), STR_INIT("64101")},
		{STR_INIT("25675"), STR_INIT("64101")},
		{STR_INIT("25676"), STR_INIT("64110")},
		{STR_INIT("25677"), STR_INIT("64110")},
		{STR_INIT("25678"), STR_INIT("64110")},
	};
	for (size_t i = 0; i < sizeof(NETWORKS) / sizeof(NETWORKS[0]); i++) {
		if (str_has_prefix(number, NETWORKS[i].head))
			return NETWORKS[i].network;
	}
	return STR("99999");
}

static bool is_code(struct str s)
{
	return s.n >= 3 && (s.p[0] == '*' || s.p[0] == '#') && s.p[s.n - 1] == '#';
}

/* Codes that make an Orange Money one-time code (easytransfert.md 1.7). */
static bool is_wallet_code(struct str code)
{
	static const struct str CODES[] = {
		STR_INIT("#144*82#"), STR_INIT("#144#391#"), STR_INIT("#144#77#")};
	for (size_t i = 0; i < sizeof(CODES) / sizeof(CODES[0]); i++) {
		if (str_eq(code, CODES[i]))
			return true;
	}
	return false;
}

static bool hop_call(struct dial *dial, struct http_reply *reply)
{
	struct arena *arena = &dial->arena;
	struct str number = phone_number(dial->phone);
	const struct http_field type = {
		STR("Content-Type"), STR("application/x-www-form-urlencoded; charset=UTF-8")};
	const struct http_call call = {
		.method = STR("POST"),
		.url = phone_channel_url(dial->phone, "ussd", STR(""), arena),
		.fields = &type,
		.fields_len = 1,
		.body = arena_printf(arena,
			"phoneNumber=%%2B%.*s&serviceCode=%.*s&text=%.*s&sessionId=%s&networkCode=%"
			".*s",
			STR_ARG(number), STR_ARG(form_escape(str_c(dial->code), arena)),
			STR_ARG(form_escape(buf_str(&dial->text), arena)), dial->session,
			STR_ARG(network_of(number))),
	};
	return phone_call(dial->phone, &call, arena, reply);
}

/* One exchange. False when the gateway did not answer as one does. */
static bool hop(struct dial *dial)
{
	struct http_reply reply = {0};
	arena_reset(&dial->arena);
	dial->is_open = false;
	if (!hop_call(dial, &reply))
		return false;
	bool is_con = str_has_prefix(reply.body, STR("CON "));
	if (reply.status != 200 || (!is_con && !str_has_prefix(reply.body, STR("END ")))) {
		(void)fprintf(stderr, "tama: HTTP %u and neither CON nor END\n", reply.status);
		return false;
	}
	phone_show_screen(str_from(reply.body, 4));
	dial->is_open = is_con;
	return true;
}

static bool session_begin(struct dial *dial, struct str code)
{
	if (is_wallet_code(code)) {
		phone_show_screen(STR("Orange Money\nVotre code de paiement : 4821"));
		dial->is_open = false;
		return true;
	}
	if (code.n >= sizeof(dial->code)) {
		(void)fputs("tama: the code is too long\n", stderr);
		return false;
	}
	memcpy(dial->code, code.p, code.n);
	dial->code[code.n] = '\0';
	buf_reset(&dial->text);
	arena_reset(&dial->arena);
	(void)snprintf(dial->session, sizeof(dial->session), "ATUid_%.*s",
		STR_ARG(phone_chance(&dial->arena, 32)));
	return hop(dial);
}

static bool session_answer(struct dial *dial, struct str input)
{
	if (dial->text.n > 0)
		buf_add_char(&dial->text, '*');
	buf_add_str(&dial->text, input);
	if (dial->text.overflowed) {
		(void)fputs("tama: the session's text is too long\n", stderr);
		return false;
	}
	return hop(dial);
}

/* The next word of --keys, or the next line of the terminal; false at the end. */
static bool next_input(struct dial *dial, char line[static LINE_BYTES], struct str *out)
{
	if (dial->keys != NULL) {
		struct str rest = str_trim(str_c(dial->keys));
		*out = str_cut(&rest, ' ');
		dial->keys = rest.p != NULL ? rest.p : "";
		if (out->n > 0)
			(void)printf("> %.*s\n", STR_ARG(*out));
		return out->n > 0;
	}
	(void)fputs(dial->is_open ? "> " : "code (empty: hang up)> ", stdout);
	(void)fflush(stdout);
	if (fgets(line, LINE_BYTES, stdin) == NULL)
		return false;
	*out = str_trim(str_c(line));
	return dial->is_open || out->n > 0;
}

/* An answer to nobody: a script has gone another way than it thinks. */
static bool say_stray(const struct dial *dial, struct str input)
{
	if (dial->keys == NULL) {
		(void)fputs("That is no code: it begins with * or # and ends with #.\n", stdout);
		return true;
	}
	(void)fprintf(stderr, "tama: the session had ended before \"%.*s\"\n", STR_ARG(input));
	return false;
}

static int talk(struct dial *dial, const char *code)
{
	char line[LINE_BYTES];
	struct str input = str_c(code);
	(void)printf("> %s\n", code);
	bool ok = session_begin(dial, input);
	while (ok && next_input(dial, line, &input)) {
		if (is_code(input))
			ok = session_begin(dial, input);
		else if (dial->is_open)
			ok = session_answer(dial, input);
		else
			ok = say_stray(dial, input);
	}
	return ok ? 0 : CLI_FAILED;
}

int cmd_dial(int argc, char **argv)
{
	const char *code = NULL;
	struct dial dial = {0};
	struct phone_options o = {
		.from = "2250701020304",
		.channel = "at-ci",
		.secret = "demo-secret-of-at-ci",
		.url = "http://127.0.0.1:8080",
		.wait_ms = WAIT_MS,
	};
	const struct cli_option table[] = {
		{"from", CLI_TEXT, &o.from, "MSISDN  the phone's number"},
		{"channel", CLI_TEXT, &o.channel,
			"NAME  the gateway's channel for Africa's Talking"},
		{"secret", CLI_TEXT, &o.secret, "TEXT  the channel's secret"},
		{"url", CLI_TEXT, &o.url, "URL  of the gateway"},
		{"keys", CLI_TEXT, &dial.keys, "\"1 1 500\"  answers, instead of the terminal's"},
		{"sms-from", CLI_TEXT, &o.sms_from,
			"URL  of the sandbox that has this phone's SMS"},
		{"expect-sms", CLI_TEXT, &o.expect_sms, "WORDS  end well only if an SMS has them"},
		{"wait-ms", CLI_NUMBER, &o.wait_ms, "N  how long to wait for it"},
		{NULL, CLI_FLAG, NULL, NULL},
	};
	struct cli_line line = {"tama dial CODE", table, &code, 1, 1, 0};
	int rc = cli_read(&line, argc, argv);
	if (rc != 0)
		return rc == 1 ? 0 : rc;
	dial.phone = phone_new(&o);
	if (dial.phone == NULL)
		return CLI_FAILED;
	arena_init(&dial.arena, ARENA_BYTES);
	buf_init(&dial.text, TEXT_BYTES);
	if (dial.keys == NULL && o.expect_sms == NULL)
		phone_listen(dial.phone);
	rc = talk(&dial, code);
	if (rc == 0 && !phone_expect(dial.phone))
		rc = CLI_FAILED;
	buf_fini(&dial.text);
	arena_fini(&dial.arena);
	phone_free(&dial.phone);
	return rc;
}
