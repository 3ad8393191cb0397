/*
 * tama text: sends an SMS to the gateway as Kannel's smsbox would pass it on (sms-gsm-numbering.md
 * A.2), and shows the answer, which Kannel would send as the reply SMS.
 */
#include "cli.h"
#include "phone.h"

#include "tama/form.h"

#define ARENA_BYTES (512 * 1024)
#define WAIT_MS 30000

struct mo {
	const char *to;
	const char *text;
	const char *id; /* NULL: a new one */
	bool is_get;
};

static struct str mo_id(const struct mo *mo, struct arena *arena)
{
	if (mo->id != NULL)
		return str_c(mo->id);
	return arena_printf(arena, "%.*s-%.*s-%.*s-%.*s-%.*s", STR_ARG(phone_chance(arena, 8)),
		STR_ARG(phone_chance(arena, 4)), STR_ARG(phone_chance(arena, 4)),
		STR_ARG(phone_chance(arena, 4)), STR_ARG(phone_chance(arena, 12)));
}

static bool send_get(
	struct phone *phone, const struct mo *mo, struct arena *arena, struct http_reply *reply)
{
	struct str rest = arena_printf(arena, "/mo?id=%.*s&from=%.*s&to=%.*s&text=%.*s",
		STR_ARG(form_escape(mo_id(mo, arena), arena)), STR_ARG(phone_number(phone)),
		STR_ARG(form_escape(str_c(mo->to), arena)),
		STR_ARG(form_escape(str_c(mo->text), arena)));
	const struct http_call call = {
		.method = STR("GET"),
		.url = phone_channel_url(phone, "sms", rest, arena),
	};
	return phone_call(phone, &call, arena, reply);
}

static bool send_post(
	struct phone *phone, const struct mo *mo, struct arena *arena, struct http_reply *reply)
{
	struct str rest =
		arena_printf(arena, "/mo?id=%.*s", STR_ARG(form_escape(mo_id(mo, arena), arena)));
	const struct http_field fields[] = {
		{STR("Content-Type"), STR("text/plain; charset=\"UTF-8\"")},
		{STR("X-Kannel-From"), phone_number(phone)},
		{STR("X-Kannel-To"), str_c(mo->to)},
		{STR("X-Kannel-Coding"), STR("0")},
		{STR("X-Kannel-SMSC"), STR("FAKE")},
	};
	const struct http_call call = {
		.method = STR("POST"),
		.url = phone_channel_url(phone, "sms", rest, arena),
		.fields = fields,
		.fields_len = sizeof(fields) / sizeof(fields[0]),
		.body = str_c(mo->text),
	};
	return phone_call(phone, &call, arena, reply);
}

/* True when the gateway took the message. */
static bool send_mo(struct phone *phone, const struct mo *mo)
{
	struct arena arena;
	struct http_reply reply = {0};
	arena_init(&arena, ARENA_BYTES);
	bool ok = mo->is_get ? send_get(phone, mo, &arena, &reply)
			     : send_post(phone, mo, &arena, &reply);
	if (ok && reply.status / 100 != 2) {
		(void)fprintf(stderr, "tama: the gateway answered HTTP %u\n", reply.status);
		ok = false;
	}
	if (ok && reply.body.n > 0)
		phone_show_sms(str_c(mo->to), reply.body);
	arena_fini(&arena);
	return ok;
}

int cmd_text(int argc, char **argv)
{
	const char *words[2] = {NULL, NULL};
	struct mo mo = {0};
	struct phone_options o = {
		.from = "2250701020304",
		.channel = "sms-ci",
		.secret = "demo-secret-of-sms-ci",
		.url = "http://127.0.0.1:8080",
		.wait_ms = WAIT_MS,
	};
	const struct cli_option table[] = {
		{"from", CLI_TEXT, &o.from, "MSISDN  the phone's number"},
		{"channel", CLI_TEXT, &o.channel, "NAME  the gateway's channel for Kannel"},
		{"secret", CLI_TEXT, &o.secret, "TEXT  the channel's secret"},
		{"url", CLI_TEXT, &o.url, "URL  of the gateway"},
		{"id", CLI_TEXT, &mo.id, "ID  the message's; the same again is a repetition"},
		{"get", CLI_FLAG, &mo.is_get, "by GET instead of POST"},
		{"sms-from", CLI_TEXT, &o.sms_from,
			"URL  of the sandbox that has this phone's SMS"},
		{"expect-sms", CLI_TEXT, &o.expect_sms, "WORDS  end well only if an SMS has them"},
		{"wait-ms", CLI_NUMBER, &o.wait_ms, "N  how long to wait for it"},
		{NULL, CLI_FLAG, NULL, NULL},
	};
	struct cli_line line = {"tama text TO MESSAGE", table, words, 2, 2, 0};
	int rc = cli_read(&line, argc, argv);
	if (rc != 0)
		return rc == 1 ? 0 : rc;
	struct phone *phone = phone_new(&o);
	if (phone == NULL)
		return CLI_FAILED;
	mo.to = words[0];
	mo.text = words[1];
	(void)printf("> SMS to %s: %s\n", mo.to, mo.text);
	bool ok = send_mo(phone, &mo) && phone_expect(phone);
	phone_free(&phone);
	return ok ? 0 : CLI_FAILED;
}
