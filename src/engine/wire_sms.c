/* Messages to a channel's gateway. */
#include "wire_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"

struct sms_flight {
	struct wire *wire;
	const struct config *config;
	const struct channel *channel;
	uint64_t outbox;
	uint32_t partner;
};

static void post_verdict(struct wire *wire, uint64_t outbox, uint32_t partner, enum sms_verdict v)
{
	struct engine_event *event = calloc(1, sizeof(*event));

	tama_assert(event != NULL);
	event->kind = ENGINE_SMS_RESULT;
	event->done = wire_event_free;
	arena_init(&event->arena, 1024);
	event->as.sms = (struct engine_sms_result){outbox, partner, v};
	wire->world.post(wire->world.ctx, event);
}

static enum sms_verdict verdict_of(struct sms_flight *f, const struct http_out_result *result)
{
	if (result->transfer.end == TRANSFER_COMPLETE)
		return dialect_sms_verdict(
			f->wire->host, f->channel->dialect, result->transfer.status, result->body);
	return result->transfer.bytes_sent == 0 ? SMS_RETRY : SMS_DOUBT;
}

static void sms_done(void *ctx, const struct http_out_result *result)
{
	struct sms_flight *f = ctx;
	enum sms_verdict v = verdict_of(f, result);

	CRASH_POINT("K23");
	if (v != SMS_SENT)
		f->wire->world.alarm(
			f->wire->world.ctx, "sms_gateway", f->channel->name, result->reason);
	post_verdict(f->wire, f->outbox, f->partner, v);
	config_unref(&f->config);
	free(f);
}

static bool mark_value(void *ctx, struct str name, struct str *value_out)
{
	const struct channel *channel = ctx;

	return marks_configured(channel->fields, channel->fields_len, name, value_out);
}

/* Reports come back to /dlr/<channel>/<token>: the token names our row and cannot be guessed. */
static struct str dlr_url(
	struct wire *wire, const struct channel *channel, struct str ref, struct arena *arena)
{
	struct str base = channel_field(channel, "dlr_base");
	char *token = arena_alloc(arena, ref.n + 35);

	if (base.n == 0 || token == NULL)
		return (struct str){NULL, 0};
	vault_ipn_token(wire->world.vault, ref, token);
	return arena_printf(
		arena, "%.*s/dlr/%.*s/%s", STR_ARG(base), STR_ARG(channel->name), token);
}

static int submit(struct wire *wire, struct job *job, const struct channel *channel)
{
	struct sms_flight *f = calloc(1, sizeof(*f));
	struct sms_message message = {.to = job->sms.to, .text = job->sms.text};
	struct http_call call, filled;
	/* A repeated request is a second SMS: never on a connection that libcurl may retry. */
	struct http_out_request request = {.call = &filled,
		.is_money = true,
		.private_nets = channel->private_nets,
		.done = sms_done,
		.ctx = f};
	struct err err = ERR_INIT;
	struct arena arena;
	int rc;

	tama_assert(f != NULL);
	*f = (struct sms_flight){
		wire, config_ref(wire->config), channel, job->sms.outbox, job->sms.partner};
	arena_init(&arena, 256 * 1024);
	message.ref = arena_printf(&arena, "D%016llX", (unsigned long long)job->sms.outbox);
	message.dlr_url = dlr_url(wire, channel, message.ref, &arena);
	rc = dialect_sms_submit(wire->host, channel, &message, &arena, &call, &err);
	if (rc == 0)
		rc = marks_fill(&call, mark_value, (void *)(uintptr_t)channel, &arena, &filled);
	if (rc == 0)
		rc = http_out_submit(wire->out, &request);
	if (rc != 0) {
		wire->world.alarm(wire->world.ctx, "sms_unsendable", channel->name, err.text);
		config_unref(&f->config);
		free(f);
	}
	arena_fini(&arena);
	return rc;
}

void job_sms(struct wire *wire, struct job *job)
{
	const struct channel *channel = config_channel(wire->config, job->sms.channel);
	bool is_ours = channel != NULL && channel->partner->id == job->sms.partner;

	CRASH_POINT("K23");
	wire->sms++;
	if (!is_ours || submit(wire, job, channel) != 0)
		post_verdict(wire, job->sms.outbox, job->sms.partner, SMS_RETRY);
	job_free(&job);
}
