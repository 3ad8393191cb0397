/*
 * One turn: the journal is folded into steps and the menu runs from its first line; each function
 * that asks or records takes its step, and the first that has none takes an input or stops the run.
 * Back and home append their mark and the run begins again.
 */
#include "menu_priv.h"

#include "tama/screen.h"

#include <stdarg.h>

struct menu_run *menu_run_of(lua_State *L)
{
	struct menu_run *run = lua_gate_context(L);
	if (run == NULL)
		menu_misuse(L, "this works only while run(call) or a keyword runs");
	return run;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

const struct journal_entry *menu_run_step(const struct menu_run *run)
{
	return run->at < run->steps.n ? &run->steps.steps[run->at] : NULL;
}

/* What holds after a step, whether it is replayed or new. */
static void count_step(struct menu_run *run, const struct journal_entry *step)
{
	run->position++;
	if (step->kind == JOURNAL_ANSWER || step->kind == JOURNAL_SECRET)
		run->answers++;
	if (step->kind == JOURNAL_SECRET) {
		run->secret = step->handle;
		run->has_secret = true;
	}
	if (step->kind == JOURNAL_BUY) {
		run->buys++;
		run->answers = 0;
		run->has_secret = false;
		run->secret = 0;
	}
}

void menu_run_pass(struct menu_run *run, const struct journal_entry *step)
{
	run->at++;
	count_step(run, step);
}

void menu_run_add(struct menu_run *run, const struct journal_entry *entry)
{
	tama_assert(run->at == run->steps.n);
	journal_add(run->turn->journal, entry);
	count_step(run, entry);
	run->page = 0;
}

/* FNV-1a, folded to 16 bits. */
static uint32_t hash_add(uint32_t hash, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * UINT32_C(16777619);
	return hash;
}

uint16_t menu_run_hash(const struct menu_run *run, unsigned kind, struct str key, struct str more)
{
	const char head[] = {(char)kind, (char)run->position, (char)(run->position >> 8)};
	uint32_t hash = hash_add(UINT32_C(2166136261), (struct str){head, sizeof(head)});
	hash = hash_add(hash_add(hash, key), more);
	return (uint16_t)(hash ^ hash >> 16);
}

int menu_effect_find(struct menu_run *run, const char *name, struct str args, struct str *value)
{
	const struct journal_entry *step = menu_run_step(run);
	if (step == NULL)
		return 0;
	if (step->kind != JOURNAL_EFFECT ||
		step->hash != menu_run_hash(run, EFFECT, str_c(name), args))
		return TAMA_ECONFLICT;
	*value = step->text;
	menu_run_pass(run, step);
	return 1;
}

void menu_effect_add(struct menu_run *run, const char *name, struct str args, struct str value)
{
	const struct journal_entry entry = {.kind = JOURNAL_EFFECT,
		.hash = menu_run_hash(run, EFFECT, str_c(name), args),
		.text = value};
	menu_run_add(run, &entry);
}

/* ---- stopping ----------------------------------------------------------------------------------
 */

int menu_stop_changed(lua_State *L)
{
	menu_run_of(L)->is_changed = true;
	return lua_yield(L, 0);
}

int menu_stop(lua_State *L, enum menu_outcome outcome, struct str text)
{
	struct menu_run *run = menu_run_of(L);
	struct screen screen = {.head = text, .limit = run->turn->channel->septets};
	struct screen_page page = {0};
	int rc = screen_render(&screen, run->arena, &page);
	if (rc == TAMA_ELIMIT)
		menu_misuse(L, "a word of the last screen is longer than the screen");
	run->out->outcome = outcome;
	run->out->text = page.text;
	run->out->septets = page.septets;
	run->out->is_cut = page.pages > 1;
	return lua_yield(L, 0);
}

int menu_stop_key(lua_State *L, const char *key, const struct menu_var *vars, size_t n)
{
	return menu_stop(L, MENU_END, menu_words_with(menu_run_of(L), key, vars, n));
}

/* ---- what all functions need -------------------------------------------------------------------
 */

struct str menu_words(const struct menu_run *run, const char *key)
{
	struct str words;
	if (!text_find(run->host, &run->service->texts, run->lang->lang, str_c(key), &words))
		return str_c(key);
	return words;
}

struct str menu_words_with(
	struct menu_run *run, const char *key, const struct menu_var *vars, size_t n)
{
	const struct text_vars values = {.list = vars, .n = n};
	return text_fill(menu_words(run, key), &values, run->arena);
}

void menu_misuse(lua_State *L, const char *fmt, ...)
{
	char text[256];
	lua_Debug ar;
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (int level = 1; lua_getstack(L, level, &ar); level++) {
		(void)lua_getinfo(L, "Sl", &ar);
		if (ar.currentline > 0 && strcmp(ar.short_src, MENU_PRELUDE) != 0) {
			lua_pushfstring(L, "%s:%d: %s", ar.short_src, ar.currentline, text);
			lua_error(L);
		}
	}
	luaL_error(L, "%s", text);
	abort(); /* luaL_error does not return, which its type does not say */
}

struct str menu_check_text(lua_State *L, int index, const char *usage)
{
	struct str s;
	if (lua_type(L, index) != LUA_TSTRING)
		menu_misuse(L, "%s: a text is expected, got %s", usage, luaL_typename(L, index));
	s.p = lua_tolstring(L, index, &s.n);
	return s;
}

void menu_check_number(lua_State *L, int index, const char *usage, struct msisdn *out)
{
	struct str s = menu_check_text(L, index, usage);
	if (s.n > MSISDN_MAX || msisdn_parse_wire(s, NULL, out) != 0 ||
		!str_eq(s, str_c(out->digits)))
		menu_misuse(L, "%s: a number is what call.msisdn or ask_msisdn() gives", usage);
}

struct str menu_money(const struct menu_run *run, int64_t amount)
{
	char text[MONEY_TEXT_MAX];
	money_format(amount, run->turn->channel->country->currency, text);
	return arena_str(run->arena, str_c(text));
}

struct str menu_grouped(const struct menu_run *run, const struct msisdn *number)
{
	char text[2 * MSISDN_MAX + 2];
	msisdn_grouped(number, &run->turn->channel->country->plan, text);
	return arena_str(run->arena, str_c(text));
}

/* ---- the turn ----------------------------------------------------------------------------------
 */

static const struct menu_lang *lang_of(const struct menu_service *service, struct str lang)
{
	for (size_t i = 0; i < service->langs_len; i++)
		if (str_eq(service->langs[i].lang, lang))
			return &service->langs[i];
	return NULL;
}

/* A refusal is shown with the first page, where the question is; so it turns back all pages. */
static unsigned pages_turned(struct str journal)
{
	struct journal_entry entry;
	unsigned n = 0;
	for (size_t at = 0; journal_next(journal, &at, &entry) == 1;)
		n = entry.kind == JOURNAL_PAGE ? n + 1 : 0;
	return n;
}

/* Appending moves the journal's bytes, so the steps borrow from a copy. */
static int fold(struct menu_run *run, struct err *err)
{
	struct str bytes = arena_str(run->arena, buf_str(run->turn->journal));
	int rc = bytes.p == NULL ? TAMA_ENOMEM : journal_fold(bytes, run->arena, &run->steps);
	if (rc != 0)
		return err_set(err, rc, "the session's journal %s",
			rc == TAMA_EINVAL ? "is broken" : "does not fit into the turn's memory");
	run->page = pages_turned(bytes);
	run->at = 0;
	run->position = 0;
	run->answers = 0;
	run->buys = 0;
	run->secret = 0;
	run->has_secret = false;
	run->operators_len = 0;
	run->amount = 0;
	run->op = NULL;
	run->is_restarted = false;
	return 0;
}

static int replay(struct menu_run *run, struct err *err)
{
	struct lua_gate *gate = run->service->partner->gate;
	lua_State *L = lua_gate_state(gate);
	int rc = fold(run, err);
	if (rc != 0)
		return rc;
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->lang->globals);
	int globals = lua_gettop(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->service->partner->drive);
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->service->chunk);
	lua_gate_fresh_env(gate, globals);
	lua_remove(L, globals);
	lua_gate_set_context(gate, run);
	rc = lua_gate_call_yielding(gate, 1, 0, err);
	lua_gate_set_context(gate, NULL);
	run->out->instructions += lua_gate_used(gate);
	/* The prelude never lets a menu end but by a stop. */
	tama_assert(rc != 0);
	return rc < 0 ? rc : 0;
}

static int finish(struct menu_run *run, struct err *err)
{
	struct menu_result *out = run->out;
	if (run->is_changed)
		return err_set(err, TAMA_ECONFLICT,
			"%.*s/menu.lua: asks something else than this session has answered",
			STR_ARG(run->turn->service->dir));
	if (run->has_no_bye)
		return err_set(err, TAMA_ESCRIPT, "%.*s/menu.lua:1: run() ended without bye(text)",
			STR_ARG(run->turn->service->dir));
	if (arena_overflowed(run->arena))
		return err_set(err, TAMA_ENOMEM, "the turn needs too much memory");
	if (run->turn->journal->overflowed)
		return err_set(err, TAMA_ENOMEM, "the session's journal is full");
	out->inputs_used = run->has_opened ? run->turn->inputs_len : run->input_at;
	out->summary = run->title;
	if (run->amount > 0 && run->op != NULL) {
		struct str amount = menu_money(run, run->amount);
		out->summary = arena_printf(
			run->arena, "%.*s %.*s", STR_ARG(amount), STR_ARG(run->op->title));
	}
	if (run->has_bought) {
		out->is_end = out->outcome != MENU_ASK;
		out->outcome = MENU_BUY;
	}
	return 0;
}

static struct menu_run run_init(struct menu_host *host, const struct menu_turn *turn,
	struct arena *arena, struct menu_result *out)
{
	struct menu_service *service = menu_service_of(host, turn->service);
	tama_assert(service != NULL);
	const struct menu_lang *lang = lang_of(service, turn->lang);
	if (lang == NULL)
		lang = lang_of(service, turn->channel->lang);
	return (struct menu_run){
		.host = host,
		.service = service,
		.lang = lang != NULL ? lang : &service->langs[0],
		.turn = turn,
		.arena = arena,
		.out = out,
		.inputs = turn->inputs,
		.inputs_len = turn->inputs_len,
		.is_opening = turn->is_sms && turn->journal->n == 0,
	};
}

int menu_run(struct menu_host *host, const struct menu_turn *turn, struct arena *arena,
	struct menu_result *out, struct err *err)
{
	size_t mark = turn->journal->n;
	struct menu_result result = {0};
	struct menu_run run = run_init(host, turn, arena, &result);
	int rc;
	/* Every restart has used an input, so this ends. */
	do {
		rc = replay(&run, err);
	} while (rc == 0 && run.is_restarted);
	if (rc == 0)
		rc = finish(&run, err);
	if (rc == 0) {
		*out = result;
		return 0;
	}
	turn->journal->n = mark;
	turn->journal->overflowed = false;
	return rc;
}
