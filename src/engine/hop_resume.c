/* Going on with what was dropped or parked: the question, and what is answered to it. */
#include "hop.h"

#include "tama/screen.h"

static struct str resume_screen(const struct exchange *x, const struct session *s)
{
	struct menu_host *menus = x->worker->menus;
	const struct service *service = x->call->service;
	struct arena *arena = &x->turn->arena;
	struct menu_var vars[] = {{"summary", s->summary}};
	struct str options[] = {
		menu_text(menus, service, s->lang, "resume_yes", arena),
		menu_text(menus, service, s->lang, "resume_no", arena),
	};
	struct screen screen = {
		.head = menu_text_with(menus, service, s->lang, "resume", vars, 1, arena),
		.options = options,
		.options_len = 2,
		.limit = x->call->channel->septets,
	};
	struct screen_page page;

	return screen_render(&screen, arena, &page) == 0 ? page.text : screen.head;
}

struct hop_answer hop_ask_resume(const struct exchange *x, struct session *s)
{
	struct hop_answer answer = {.text = resume_screen(x, s)};

	s->said = answer.text;
	session_put(x->gateway->sessions, s);
	return answer;
}

bool hop_may_resume(const struct exchange *x, struct session *s)
{
	const struct channel *channel = x->call->channel;
	struct session_resume how = {
		.parked_ms = channel->resume_ms,
		.dropped_ms = (int64_t)channel->timeout_ms + channel->resume_ms,
	};

	if (x->call->inputs_len > 0)
		return false; /* whoever dials a whole order wants a new one */
	s->is_offering = session_find_resumable(x->gateway->sessions, s, &how, &x->turn->arena);
	return s->is_offering;
}

struct hop_answer hop_answer_resume(const struct exchange *x, struct session *s)
{
	struct hop_call *call = x->call;
	struct str typed = call->inputs_len > 0 ? str_trim(call->inputs[0].text) : STR("");

	if (str_eq(typed, STR("1"))) {
		if (!session_adopt(x->gateway->sessions, s, &x->turn->arena))
			s->is_offering = false;
	} else if (str_eq(typed, STR("2"))) {
		s->is_offering = false;
		s->summary = (struct str){NULL, 0};
	}
	if (s->is_offering)
		return hop_ask_resume(x, s);
	call->inputs_len = 0;
	return hop_has_changed(x, s) ? hop_end(x, s, "changed") : hop_run(x, s);
}
