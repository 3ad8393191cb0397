/* IPNs: read by the provider's dialect, decided by the engine, answered after its commit. */
#include "wire_priv.h"

#include "tama/crash.h"
#include "tama/limits.h"

/* Everything lives in the turn's arena, which lasts until the turn is answered. */
struct ipn {
	struct engine_event event;
	struct http_turn *turn;
	struct http_reply acknowledgement;
};

static void answer(struct http_turn *turn, unsigned status, struct str body)
{
	static const struct http_field later[] = {{STR_INIT("Retry-After"), STR_INIT("60")}};
	struct http_reply reply = {.status = status, .type = STR("text/plain"), .body = body};

	if (status == 503) {
		reply.fields = later;
		reply.fields_len = 1;
	}
	http_in_answer(turn, &reply);
}

void ipn_refuse(struct http_turn *turn)
{
	answer(turn, 503, STR("not yet\n"));
}

/* 200 only when the commit is durable; everything else asks the provider to come again. */
static void ipn_done(struct engine_event *event)
{
	struct ipn *ipn = event->user;
	struct http_turn *turn = ipn->turn;
	bool is_durable = event->outcome == ENGINE_DONE;

	CRASH_POINT("K21");
	if (is_durable)
		http_in_answer(turn, &ipn->acknowledgement);
	else
		answer(turn, 503, STR("not yet\n"));
}

void job_ipn(struct wire *wire, struct job *job)
{
	struct http_turn *turn = job->turn;
	struct ipn *ipn = arena_alloc(&turn->arena, sizeof(*ipn));
	struct http_request request;
	struct err err = ERR_INIT;
	struct engine_ipn *e;
	struct told told;
	int rc;

	CRASH_POINT("K20");
	wire->ipns++;
	if (ipn == NULL) {
		answer(turn, 503, STR("not yet\n"));
		job_free(&job);
		return;
	}
	e = &ipn->event.as.ipn;
	ipn->turn = turn;
	ipn->event.kind = ENGINE_IPN;
	ipn->event.done = ipn_done;
	ipn->event.user = ipn;
	e->account = job->account;
	e->path_ref = job->path_ref;
	/* A string of Lua's lives until it is collected: it gets no address with a secret in it. */
	request = turn->request;
	request.path = job->rest;
	rc = dialect_provider_ipn(
		wire->host, job->account, &request, job->rest, &turn->arena, &e->facts, &err);
	if (rc == 0)
		rc = dialect_provider_ipn_reply(
			wire->host, job->account, &e->facts, &turn->arena, &ipn->acknowledgement);
	if (rc != 0 || !e->facts.is_valid) {
		wire->world.alarm(wire->world.ctx, "ipn_malformed", job->account->name, err.text);
		answer(turn, 400, STR("malformed\n"));
		job_free(&job);
		return;
	}
	told = (struct told){.account = job->account,
		.token = token_of(wire, job->account->name),
		.ipn_mac = ipn_mac(wire, job->account, job->path_ref, &turn->arena)};
	e->raw = secrets_redact(&told, turn->request.body, &turn->arena);
	job_free(&job);
	wire->world.post(wire->world.ctx, &ipn->event);
}
