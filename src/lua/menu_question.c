/*
 * One question: the journal's answer if there is one, else the inputs of this turn until one is
 * accepted, refused or missing; then the screen. Everything an author need not write is here: back,
 * home, next page, reasons, what may not be answered in advance.
 */
#include "menu_priv.h"

#include "tama/gsm7.h"
#include "tama/screen.h"

#define KEY_BACK "0"
#define KEY_HOME "00"
#define KEY_MORE "98"
#define FOOT_MAX 2

/* What else gives up a purchase by SMS. */
static const char *const no_words[] = {"NON", "NO"};

void question_prompt(lua_State *L, struct question *q, const char *usage, const char *own)
{
	const struct menu_run *run = menu_run_of(L);
	if (lua_isnoneornil(L, 1)) {
		if (own == NULL)
			menu_misuse(L, "%s: the prompt is missing", usage);
		q->key = str_c(own);
		return;
	}
	q->key = menu_check_text(L, 1, usage);
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->lang->keys);
	lua_pushvalue(L, 1);
	if (lua_rawget(L, -2) == LUA_TSTRING)
		q->key.p = lua_tolstring(L, -1, &q->key.n);
	lua_pop(L, 2);
}

void question_head(lua_State *L, struct question *q, const struct text_vars *vars)
{
	struct menu_run *run = menu_run_of(L);
	struct str words;
	if (lua_type(L, 1) == LUA_TSTRING)
		words.p = lua_tolstring(L, 1, &words.n);
	else
		words = menu_words(run, q->key.p);
	q->head = text_fill(words, vars, run->arena);
}

static bool gives_up(struct menu_run *run, const struct question *q, struct str input)
{
	if (!run->turn->is_sms)
		return false;
	struct str rest = gsm7_fold(input, run->arena);
	struct str word = word_next(&rest);
	if (word_stops(word))
		return true;
	for (size_t i = 0; i < sizeof(no_words) / sizeof(no_words[0]); i++)
		if ((q->is_confirm || q->is_secret) && str_eq(word, str_c(no_words[i])))
			return true;
	return false;
}

/* An input that came with others is no confirmation: it is dropped there, and the screen shown. */
static bool next_input(struct menu_run *run, const struct question *q, struct str *out)
{
	while (run->input_at < run->inputs_len) {
		const struct menu_input *input = &run->inputs[run->input_at++];
		if (input->is_pretyped && (q->is_confirm || q->is_secret))
			continue;
		*out = str_trim(input->text);
		return true;
	}
	return false;
}

struct str *question_options(struct menu_run *run, struct question *q, size_t n)
{
	q->options = arena_alloc(run->arena, n * sizeof(q->options[0]));
	q->options_len = q->options != NULL ? n : 0;
	return q->options;
}

size_t question_option(struct menu_run *run, const struct question *q, struct str input)
{
	int64_t number;
	if (str_to_i64(input, &number))
		return number >= 1 && (uint64_t)number <= q->options_len ? (size_t)number : 0;
	struct str folded = gsm7_fold(input, run->arena);
	for (size_t i = 0; i < q->options_len && folded.n > 0; i++)
		if (str_eq(folded, gsm7_fold(q->options[i], run->arena)))
			return i + 1;
	return 0;
}

static void render(lua_State *L, struct question *q, struct str reason, struct screen_page *page)
{
	struct menu_run *run = menu_run_of(L);
	struct str foot[FOOT_MAX];
	size_t foot_len = 0;
	if (!run->turn->is_sms && run->answers > 0)
		foot[foot_len++] = menu_words(run, "back");
	/* After one answer, home is where back leads; a confirmation has its own way out. */
	if (!run->turn->is_sms && run->answers > 1 && !q->is_confirm)
		foot[foot_len++] = menu_words(run, "home");
	const struct screen screen = {
		.reason = reason,
		.head = q->head,
		.options = q->options,
		.options_len = q->options_len,
		.foot = foot,
		.foot_len = foot_len,
		.more = menu_words(run, "more"),
		.limit = run->turn->channel->septets,
		.page = run->page,
	};
	if (screen_render(&screen, run->arena, page) == TAMA_ELIMIT)
		menu_misuse(
			L, "the question does not fit on a screen of %u characters", screen.limit);
}

static enum asked show(lua_State *L, struct question *q, struct str reason)
{
	struct menu_run *run = menu_run_of(L);
	struct screen_page page = {0};
	render(L, q, reason.n > 0 ? reason : run->reason, &page);
	run->out->outcome = MENU_ASK;
	run->out->text = page.text;
	run->out->septets = page.septets;
	run->out->wants_secret = q->is_secret;
	run->out->wants_confirm = q->is_confirm;
	return ASKED_STOP;
}

/* Without what was typed: people type a code where none is asked, after a redial for one. */
static void note(struct menu_run *run, enum journal_kind kind, const struct question *q)
{
	const struct journal_entry entry = {.kind = kind, .hash = q->hash, .text = STR("")};
	journal_add(run->turn->journal, &entry);
}

static enum asked restart(struct menu_run *run, enum journal_kind kind)
{
	const struct journal_entry entry = {.kind = kind};
	journal_add(run->turn->journal, &entry);
	run->is_restarted = true;
	run->reason = STR("");
	return ASKED_STOP;
}

static enum asked stop_here(lua_State *L, const struct question *q)
{
	(void)menu_stop_key(L, q->is_confirm || q->is_secret ? "cancelled" : "stopped", NULL, 0);
	return ASKED_STOP;
}

/* Refusals at the end of the journal. */
static unsigned refusals(struct menu_run *run)
{
	struct journal_entry entry;
	unsigned n = 0;
	for (size_t at = 0; journal_next(buf_str(run->turn->journal), &at, &entry) == 1;)
		n = entry.kind == JOURNAL_REJECT ? n + 1 : 0;
	return n;
}

enum asked question_refuse(lua_State *L, struct question *q, struct str reason)
{
	struct menu_run *run = menu_run_of(L);
	note(run, JOURNAL_REJECT, q);
	run->input_at = run->inputs_len;
	run->page = 0;
	/* A sender can be forged, so the code of a confirmation may not be found by trying. */
	if (run->turn->is_sms && q->is_confirm && refusals(run) >= LIMIT_MENU_REFUSALS)
		return stop_here(L, q);
	return show(L, q, reason);
}

void question_accept(struct menu_run *run, const struct question *q, struct str answer)
{
	const struct journal_entry entry = {
		.kind = JOURNAL_ANSWER, .hash = q->hash, .text = answer};
	menu_run_add(run, &entry);
	run->reason = STR("");
}

/* The digits go to locked memory and nowhere else; the journal gets the handle. */
static bool accept_secret(struct menu_run *run, const struct question *q, struct str secret)
{
	const struct menu_turn *turn = run->turn;
	struct journal_entry entry = {.kind = JOURNAL_SECRET, .hash = q->hash};
	entry.handle = turn->secret_keep != NULL ? turn->secret_keep(turn->ctx, secret) : 0;
	if (entry.handle == 0)
		return false;
	menu_run_add(run, &entry);
	return true;
}

/* True when the input asked for the next page and there is one. */
static bool turn_page(lua_State *L, struct question *q, struct str input)
{
	struct menu_run *run = menu_run_of(L);
	struct screen_page page = {0};
	if (!str_eq(input, STR(KEY_MORE)))
		return false;
	render(L, q, STR(""), &page);
	if (run->page + 1 >= page.pages)
		return false;
	note(run, JOURNAL_PAGE, q);
	run->page++;
	return true;
}

static enum asked judge(lua_State *L, struct question *q, struct str input, struct str *answer)
{
	struct menu_run *run = menu_run_of(L);
	struct str out = STR("");
	if (!q->read(run, q, input, &out))
		return question_refuse(L, q, out);
	if (q->is_secret) {
		if (!accept_secret(run, q, out))
			return question_refuse(L, q, menu_words(run, "no_room"));
	} else {
		question_accept(run, q, out);
	}
	*answer = out;
	return ASKED_ANSWER;
}

static enum asked take_input(lua_State *L, struct question *q, struct str input, struct str *answer)
{
	struct menu_run *run = menu_run_of(L);
	bool is_back = str_eq(input, STR(KEY_BACK));
	bool is_home = str_eq(input, STR(KEY_HOME));
	if ((is_back || is_home) && run->answers > 0)
		return restart(run, is_back ? JOURNAL_BACK : JOURNAL_HOME);
	if (is_back || is_home)
		return question_refuse(L, q, menu_words(run, "bad_choice"));
	if (gives_up(run, q, input)) {
		note(run, JOURNAL_REJECT, q);
		return stop_here(L, q);
	}
	if (input.n > LIMIT_INPUT_BYTES || !str_is_clean_utf8(input))
		return question_refuse(L, q, menu_words(run, "bad_text"));
	if (q->read == NULL) {
		*answer = arena_str(run->arena, input);
		return ASKED_INPUT;
	}
	return judge(L, q, input, answer);
}

static enum asked replay_answer(struct menu_run *run, const struct question *q,
	const struct journal_entry *step, struct str *answer)
{
	enum journal_kind kind = q->is_secret ? JOURNAL_SECRET : JOURNAL_ANSWER;
	if (step->kind != kind || step->hash != q->hash) {
		run->is_changed = true;
		return ASKED_STOP;
	}
	menu_run_pass(run, step);
	*answer = step->text;
	return ASKED_ANSWER;
}

enum asked question_ask(lua_State *L, struct question *q, struct str *answer)
{
	struct menu_run *run = menu_run_of(L);
	struct str input;
	if (run->has_secret && q->kind <= QUESTION_NUMBER)
		menu_misuse(L, "ask_otp() must be the last question before buy()");
	q->hash = menu_run_hash(run, q->kind, q->key, STR(""));
	const struct journal_entry *step = menu_run_step(run);
	if (step != NULL)
		return replay_answer(run, q, step, answer);
	q->fill(L, run, q);
	while (next_input(run, q, &input))
		if (!turn_page(L, q, input))
			return take_input(L, q, input, answer);
	return show(L, q, STR(""));
}
