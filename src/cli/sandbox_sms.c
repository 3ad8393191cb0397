/*
 * The SMS gateway, as Kannel's sendsms answers (sms-gsm-numbering.md A.2), and the phones behind
 * it: a ring of messages, chained by the hash of the number they went to.
 */
#include "sandbox_priv.h"

#include "tama/gsm7.h"

#include <inttypes.h>

#define BUCKETS (1u << 16)
#define DLR_FIRST_MS 30

/* What a request for a message says, whichever way it says it. */
struct sms {
	struct str username, password, from, text, mask, dlr_url;
};

void messages_init(struct messages *messages)
{
	messages->ring = calloc(SANDBOX_MESSAGES, sizeof(messages->ring[0]));
	messages->heads = calloc(BUCKETS, sizeof(messages->heads[0]));
	tama_assert(messages->ring != NULL && messages->heads != NULL);
}

/* Ids go on, so that a phone's "after" stays true. */
void messages_reset(struct messages *messages)
{
	for (size_t i = 0; i < SANDBOX_MESSAGES; i++) {
		free(messages->ring[i].text);
		messages->ring[i] = (struct message){0};
	}
	memset(messages->heads, 0, BUCKETS * sizeof(messages->heads[0]));
}

void messages_fini(struct messages *messages)
{
	messages_reset(messages);
	free(messages->ring);
	free(messages->heads);
}

/* "+225..." and "225..." are one phone. */
static struct str plain(struct str number)
{
	return number.n > 0 && number.p[0] == '+' ? str_from(number, 1) : number;
}

static uint64_t *head_of(const struct messages *messages, struct str to)
{
	return &messages->heads[sandbox_hash(0, to) % BUCKETS];
}

static const struct message *message_at(const struct messages *messages, uint64_t id)
{
	const struct message *message = &messages->ring[id % SANDBOX_MESSAGES];
	return id != 0 && message->id == id ? message : NULL;
}

static void message_write_json(const struct message *message, struct buf *out)
{
	struct str text = str_c(message->text);
	buf_printf(out, "{\"id\":%" PRIu64 ",\"from\":", message->id);
	sandbox_json_text(out, str_c(message->from));
	buf_printf(out, ",\"to\":");
	sandbox_json_text(out, str_c(message->to));
	buf_printf(out, ",\"text\":");
	sandbox_json_text(out, text);
	buf_printf(out, ",\"septets\":%td}", gsm7_septets(text));
}

/* Ids of the messages to show, newest first; at most SANDBOX_PAGE. */
static size_t messages_find(
	const struct messages *messages, struct str to, uint64_t after, uint64_t *ids)
{
	size_t n = 0;
	const struct message *m;
	uint64_t id = to.n > 0 ? *head_of(messages, to) : messages->last;
	while (id > after && n < SANDBOX_PAGE && (m = message_at(messages, id)) != NULL) {
		if (to.n == 0 || str_eq(str_c(m->to), to))
			ids[n++] = id;
		id = to.n > 0 ? m->before : id - 1;
	}
	return n;
}

size_t messages_write_json(
	const struct messages *messages, struct str to, uint64_t after, struct buf *out)
{
	uint64_t *ids = malloc(SANDBOX_PAGE * sizeof(*ids));
	tama_assert(ids != NULL);
	size_t n = messages_find(messages, plain(to), after, ids);
	buf_printf(out, "{\"messages\":[");
	for (size_t i = n; i > 0; i--) {
		message_write_json(message_at(messages, ids[i - 1]), out);
		if (i > 1)
			buf_add_char(out, ',');
	}
	buf_printf(out, "],\"last\":%" PRIu64 "}", messages->last);
	free(ids);
	return n;
}

/* Takes a waiter off the list and answers it with what there is. */
static void waiter_answer(struct sandbox *sandbox, size_t i)
{
	struct messages *messages = &sandbox->messages;
	struct waiter waiter = messages->waiters[i];
	struct buf body;
	messages->waiters[i] = messages->waiters[--messages->waiters_len];
	buf_init(&body, LIMIT_TURN_BYTES / 2);
	(void)messages_write_json(messages, str_c(waiter.to), waiter.after, &body);
	const struct http_reply reply = {
		.status = body.overflowed ? 500 : 200,
		.type = STR("application/json"),
		.body = buf_str(&body),
	};
	http_in_answer(waiter.turn, &reply);
	buf_fini(&body);
}

bool messages_wait(struct sandbox *sandbox, struct http_turn *turn, struct waiter waiter)
{
	struct messages *messages = &sandbox->messages;
	if (messages->waiters_len == SANDBOX_WAITERS)
		return false;
	waiter.turn = turn;
	if (messages->waiters_len == 0 || waiter.until_ms < messages->next_until_ms)
		messages->next_until_ms = waiter.until_ms;
	messages->waiters[messages->waiters_len++] = waiter;
	return true;
}

void messages_expire(struct sandbox *sandbox, int64_t now_ms, bool all)
{
	struct messages *messages = &sandbox->messages;
	if (messages->waiters_len == 0 || (!all && now_ms < messages->next_until_ms))
		return;
	int64_t next_ms = INT64_MAX;
	for (size_t i = messages->waiters_len; i > 0; i--) {
		int64_t until_ms = messages->waiters[i - 1].until_ms;
		if (all || until_ms <= now_ms)
			waiter_answer(sandbox, i - 1);
		else if (until_ms < next_ms)
			next_ms = until_ms;
	}
	messages->next_until_ms = next_ms;
}

void messages_add(struct sandbox *sandbox, struct str from, struct str to, struct str text)
{
	struct messages *messages = &sandbox->messages;
	uint64_t id = ++messages->last;
	struct message *message = &messages->ring[id % SANDBOX_MESSAGES];
	uint64_t *head = head_of(messages, plain(to));
	free(message->text);
	*message = (struct message){.id = id, .before = *head};
	message->text = strndup(text.p != NULL ? text.p : "", text.n);
	tama_assert(message->text != NULL);
	(void)sandbox_copy(message->to, sizeof(message->to), plain(to));
	(void)sandbox_copy(message->from, sizeof(message->from), from);
	*head = id;
	for (size_t i = messages->waiters_len; i > 0; i--) {
		struct str wants = str_c(messages->waiters[i - 1].to);
		if (wants.n == 0 || str_eq(wants, plain(to)))
			waiter_answer(sandbox, i - 1);
	}
}

/* ---- sendsms --------------------------------------------------------------------------------- */

static struct str field(const struct sandbox_call *call, struct str name)
{
	const struct http_request *request = &call->turn->request;
	return http_field_get(request->fields, request->fields_len, name);
}

static struct sms sms_of_post(const struct sandbox_call *call)
{
	return (struct sms){
		.username = field(call, STR("X-Kannel-Username")),
		.password = field(call, STR("X-Kannel-Password")),
		.from = field(call, STR("X-Kannel-From")),
		.text = call->turn->request.body,
		.mask = field(call, STR("X-Kannel-DLR-Mask")),
		.dlr_url = field(call, STR("X-Kannel-DLR-Url")),
	};
}

static struct sms sms_of_get(const struct sandbox_call *call)
{
	return (struct sms){
		.username = form_get(&call->query, STR("username")),
		.password = form_get(&call->query, STR("password")),
		.from = form_get(&call->query, STR("from")),
		.text = form_get(&call->query, STR("text")),
		.mask = form_get(&call->query, STR("dlr-mask")),
		.dlr_url = form_get(&call->query, STR("dlr-url")),
	};
}

static bool is_get(const struct sandbox_call *call)
{
	return str_eq(call->turn->request.method, STR("GET"));
}

static void sms_read(struct sandbox_call *call)
{
	call->number =
		is_get(call) ? form_get(&call->query, STR("to")) : field(call, STR("X-Kannel-To"));
}

static void say(struct sandbox_call *call, unsigned status, const char *text)
{
	buf_add_str(call->out, str_c(text));
	sandbox_reply(call, status, "text/html");
}

static bool is_plain_text(const struct sandbox_call *call)
{
	return str_has_prefix(field(call, STR("Content-Type")), STR("text/plain"));
}

/* True when something is wrong with it, and said. */
static bool sms_refuse(struct sandbox_call *call, const struct sms *sms, int64_t *mask)
{
	const struct sandbox_options *options = &call->sandbox->options;
	struct str to = plain(call->number);
	int64_t digits;
	*mask = 0;
	if (!is_get(call) && !is_plain_text(call))
		say(call, 400, "Invalid content-type");
	else if (!str_eq(sms->username, str_c(options->sms_user)) ||
		 !str_eq(sms->password, str_c(options->sms_password)))
		say(call, 403, "Authorization failed for sendsms");
	else if (call->number.p == NULL)
		say(call, 400, "Missing receiver number, rejected");
	else if (to.n == 0)
		say(call, 400, "Empty receiver number not allowed, rejected");
	else if (to.n > MSISDN_MAX || !str_to_i64(to, &digits))
		say(call, 400, "Number(s) has/have been denied by white- and/or black-lists.");
	else if (sms->from.n == 0)
		say(call, 400, "Sender missing and no global set, rejected");
	else if (sms->mask.n > 0 && (!str_to_i64(sms->mask, mask) || *mask > 66))
		say(call, 400, "DLR-Mask field misformed, rejected");
	else if (sms->dlr_url.n > SANDBOX_URL_MAX || sms->text.n > SANDBOX_SMS_BYTES)
		say(call, 400, "Charset or body misformed, rejected");
	else
		return false;
	return true;
}

/* The reports that the mask lets through, one byte each, the first lowest. */
static unsigned dlr_bits(int64_t mask, bool fails)
{
	unsigned last = fails ? 2 : 1;
	unsigned bits = (mask & last) != 0 ? last : 0;
	return (mask & 8) != 0 ? bits << 8 | 8 : bits;
}

static void report_later(struct sandbox_call *call, struct str url, int64_t mask)
{
	unsigned bits = dlr_bits(mask, fault_is(call->after, FAULT_DLR_FAILED));
	if (url.n == 0 || bits == 0 || fault_is(call->after, FAULT_NO_DLR))
		return;
	struct parcel *parcel = courier_parcel(call->sandbox, PARCEL_DLR);
	if (parcel == NULL)
		return;
	parcel->url = strndup(url.p, url.n);
	tama_assert(parcel->url != NULL);
	parcel->sale = call->sandbox->messages.last + 1;
	parcel->dlr_left = bits;
	courier_send(call->sandbox->courier, parcel, DLR_FIRST_MS);
}

static void sms_act(struct sandbox_call *call)
{
	struct sms sms = is_get(call) ? sms_of_get(call) : sms_of_post(call);
	int64_t mask;
	if (sms_refuse(call, &sms, &mask))
		return;
	say(call, 202, "0: Accepted for delivery");
	if (fault_is(call->after, FAULT_SMS_LOST))
		return;
	report_later(call, sms.dlr_url, mask);
	messages_add(call->sandbox, sms.from, call->number, sms.text);
}

const struct sandbox_route SMS_ROUTES[] = {
	{"GET", "/cgi-bin/sendsms", SANDBOX_SMS, OP_SEND, sms_read, sms_act},
	{"POST", "/cgi-bin/sendsms", SANDBOX_SMS, OP_SEND, sms_read, sms_act},
	{0},
};
