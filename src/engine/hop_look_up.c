/* Hops that look something up: asked of the reader, then the menu goes on where it stopped. */
#include "hop.h"

static void look_up_done(struct reader_job *job)
{
	hop_decided(job->user);
}

static void copy_inputs(struct arena *arena, const struct hop_call *from, struct hop_call *to)
{
	for (size_t i = 0; i < from->inputs_len; i++)
		to->inputs[i].text = arena_str(arena, from->inputs[i].text);
	to->inputs_len = from->inputs_len;
}

int hop_wait_look_up(const struct exchange *x, struct session *session, size_t journal_mark,
	const struct menu_result *result)
{
	struct hop *hop = hop_new(x, session);

	if (hop == NULL)
		return TAMA_EFULL;
	copy_inputs(&hop->arena, x->call, &hop->call);
	hop->journal_mark = journal_mark;
	hop->inputs_used = result->inputs_used;
	hop->effect_name = arena_str(&hop->arena, result->effect_name);
	hop->look_up.partner = x->call->channel->partner->id;
	hop->look_up.msisdn = str_c(hop->session.msisdn.digits);
	hop->look_up.name = hop->effect_name;
	hop->look_up.done = look_up_done;
	hop->look_up.user = hop;
	/* Everything must stand before the reader can speak: it may do so at once. */
	if (!hop_suspend(x, session, hop))
		return TAMA_EFULL;
	if (reader_post(x->gateway->reader, &hop->look_up) != 0) {
		hop->look_up.value[0] = '\0';
		look_up_done(&hop->look_up);
	}
	return 0;
}

/* The call as the worker can go on with it: a reload may have come in between. */
static bool call_again(const struct exchange *x, const struct hop *hop)
{
	struct hop_call *call = x->call;
	const struct channel *channel = config_channel(x->worker->config, hop->call.channel->name);
	const struct service *service = NULL;

	*call = hop->call;
	copy_inputs(&x->turn->arena, &hop->call, call);
	memmove(call->inputs, call->inputs + hop->inputs_used,
		(call->inputs_len - hop->inputs_used) * sizeof(call->inputs[0]));
	call->inputs_len -= hop->inputs_used;
	call->effect_name = hop->effect_name;
	call->effect_value = str_c(hop->look_up.value);
	if (x->worker->config == hop->config)
		return true;
	for (size_t i = 0; i < x->worker->config->services_len; i++)
		if (memcmp(x->worker->config->services[i].hash, hop->session.service_hash,
			    sizeof(hop->session.service_hash)) == 0)
			service = &x->worker->config->services[i];
	if (channel == NULL || service == NULL)
		return false;
	call->channel = channel;
	call->service = service;
	return true;
}

struct hop_answer hop_look_up_answer(const struct exchange *from, struct hop *hop)
{
	struct exchange x = *from;
	struct hop_answer answer;

	x.call = arena_alloc(&x.turn->arena, sizeof(*x.call));
	if (x.call == NULL || arena_overflowed(&hop->arena))
		return hop_say(from, hop->session.lang, "try_again");
	if (!call_again(&x, hop))
		return hop_say(from, hop->session.lang, "changed");
	hop_count_out(hop);
	hop->is_over = true;
	answer = hop_run(&x, &hop->session);
	if (answer.is_later)
		hop_hand_over(hop, ((struct turn_keep *)x.turn->user)->hop);
	return answer;
}
