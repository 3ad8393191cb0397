/*
 * What the files of the menu host share. menu_host.c compiles services, menu_texts.c finds and
 * fills texts, menu_run.c replays a turn, menu_question.c asks one question, menu_api.c and
 * menu_buy.c are the functions that the prelude (menu.lua) is made of, menu_catalogue.c shows
 * operators and offers to scripts.
 */
#ifndef TAMA_MENU_PRIV_H
#define TAMA_MENU_PRIV_H

#include "tama/journal.h"
#include "tama/limits.h"
#include "tama/lua_gate.h"
#include "tama/menu.h"

#include <lauxlib.h>
#include <lua.h>

/* Chunk of the prelude, as Lua shows it in messages. */
#define MENU_PRELUDE "menu functions"

#define LIMIT_MENU_OPERATORS 8 /* numbers whose operator one session settles */
#define LIMIT_MENU_REFUSALS 3 /* wrong codes by SMS before the purchase is given up */
#define LIMIT_MENU_TEXTS (4 * 1024 * 1024)
#define SMS_SEPTETS 160

/* ---- texts -------------------------------------------------------------------------------------
 */

struct text_entry {
	struct str key;
	struct str words;
};

/* One language; entries by rising key. */
struct text_set {
	struct str lang;
	struct text_entry *entries;
	size_t n;
};

struct text_sets {
	struct text_set *sets;
	size_t n;
};

/*
 * Reads the table of texts at the top of the stack into set. [-0, +0, e] Raises on anything but
 * text by name, and on a full arena.
 */
void text_set_read(lua_State *L, struct arena *arena, struct str file, struct text_set *set);

/* The words of a key: the service's in lang, ours in lang, then the same in English; false else. */
bool text_find(const struct menu_host *host, const struct text_sets *service, struct str lang,
	struct str key, struct str *words);

/*
 * Replaces each ${name} of words: by the list, then by the fields of the table at index (0: none)
 * of L, where a missing one is a misuse. Without L it stays. {NULL, 0} on arena overflow.
 */
struct text_vars {
	const struct menu_var *list;
	size_t n;
	lua_State *L;
	int index;
};
struct str text_fill(struct str words, const struct text_vars *vars, struct arena *arena);

/* ---- host --------------------------------------------------------------------------------------
 */

/* What the scripts of a service see in one language: references into the partner's state. */
struct menu_lang {
	struct str lang;
	int globals; /* functions and texts; environments read through to it */
	int keys; /* words to key: what a question is known by */
};

struct menu_service {
	const struct service *service;
	struct menu_partner *partner;
	struct text_sets texts;
	struct menu_lang *langs;
	size_t langs_len;
	int chunk;
	struct str *keywords; /* folded */
	size_t keywords_len;
};

struct menu_partner {
	const struct partner *partner;
	struct lua_gate *gate;
	int prelude; /* table of the prelude's functions */
	int drive; /* its function that runs a service */
};

struct menu_host {
	const struct config *config;
	struct arena arena;
	struct text_sets texts; /* the gateway's own */
	struct menu_partner *partners;
	size_t partners_len;
	struct menu_service *services;
	size_t services_len;
};

struct menu_service *menu_service_of(const struct menu_host *host, const struct service *service);

/* ---- one turn ----------------------------------------------------------------------------------
 */

struct settled_operator {
	struct msisdn number;
	const struct operator_cfg *op;
};

/* Context of the gate while a turn runs. */
struct menu_run {
	struct menu_host *host;
	struct menu_service *service;
	const struct menu_lang *lang;
	const struct menu_turn *turn;
	struct arena *arena;
	struct menu_result *out;

	struct journal_steps steps;
	size_t at; /* steps passed */
	unsigned position; /* questions and effects passed: part of what they are known by */
	unsigned answers; /* after the last purchase: what back and home can drop */
	unsigned page; /* of the pending question */
	unsigned buys;

	const struct menu_input *inputs;
	size_t inputs_len;
	size_t input_at;
	struct str title;
	bool has_opened; /* the message was used up, whatever its keyword stood for */
	bool is_opening; /* the input is a message that opens the session by its keyword */
	bool effect_used;

	bool is_restarted; /* back or home: replay from the start */
	bool has_no_bye; /* the menu came to its end without one */
	bool is_changed; /* the menu asks something else than the journal answers */
	bool has_bought; /* in this turn */
	bool has_secret; /* a secret was given and no purchase made yet */
	struct str reason; /* shown before the next question */

	uint32_t secret;
	struct settled_operator operators[LIMIT_MENU_OPERATORS];
	size_t operators_len;
	int64_t amount; /* for the summary: the last one asked, 0 for none */
	const struct operator_cfg *op;
	struct buy_intent quote; /* what buy() is about */
};

/* A misuse where no turn runs: a file may only declare at its top level. */
struct menu_run *menu_run_of(lua_State *L);

/* The step a replay is at, or NULL: everything from here on is new. */
const struct journal_entry *menu_run_step(const struct menu_run *run);
void menu_run_pass(struct menu_run *run, const struct journal_entry *step);

/* Appends to the journal and counts as passed. */
void menu_run_add(struct menu_run *run, const struct journal_entry *entry);

/* Known by kind, position and key, never by the words shown. */
uint16_t menu_run_hash(const struct menu_run *run, unsigned kind, struct str key, struct str more);

/*
 * The value of an effect if the journal has it: 1. 0 when it must be made now and given to
 * menu_effect_add; TAMA_ECONFLICT when another step is there.
 */
int menu_effect_find(struct menu_run *run, const char *name, struct str args, struct str *value);
void menu_effect_add(struct menu_run *run, const char *name, struct str args, struct str value);

/* Stop the run with a last screen; none of them returns. [-0, +0, yields] */
int menu_stop_changed(lua_State *L);
int menu_stop(lua_State *L, enum menu_outcome outcome, struct str text);
int menu_stop_key(lua_State *L, const char *key, const struct menu_var *vars, size_t n);

/* Words of a key in the turn's language; filled from the list. */
struct str menu_words(const struct menu_run *run, const char *key);
struct str menu_words_with(
	struct menu_run *run, const char *key, const struct menu_var *vars, size_t n);

/* Raises "file:line: message", the place being the line of the menu and not of the prelude. */
_Noreturn void menu_misuse(lua_State *L, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Checks an argument: a number in E.164 digits; a text; a whole number. */
void menu_check_number(lua_State *L, int index, const char *usage, struct msisdn *out);
struct str menu_check_text(lua_State *L, int index, const char *usage);

struct str menu_money(const struct menu_run *run, int64_t amount);
struct str menu_grouped(const struct menu_run *run, const struct msisdn *number);

/* ---- questions ---------------------------------------------------------------------------------
 */

enum question_kind {
	QUESTION_CHOICE = 1,
	QUESTION_TEXT,
	QUESTION_NUMBER,
	QUESTION_AMOUNT,
	QUESTION_OTHER_AMOUNT,
	QUESTION_OPERATOR,
	QUESTION_WHICH,
	QUESTION_OFFER,
	QUESTION_CONFIRM,
	QUESTION_SECRET,
	QUESTION_AGAIN,
	EFFECT, /* shares the numbers: an effect is no answer */
};

struct question;

/*
 * Judges an input: true and what the journal keeps in *out, or false and why it is refused, as
 * shown. May not raise.
 */
typedef bool (*question_read_fn)(
	struct menu_run *run, const struct question *q, struct str input, struct str *out);
/* Fills head and options before the question is shown. May raise a misuse. */
typedef void (*question_fill_fn)(lua_State *L, struct menu_run *run, struct question *q);

struct question {
	enum question_kind kind;
	struct str key;
	question_read_fn read; /* NULL: question_ask returns the input and the prelude judges it */
	question_fill_fn fill;
	const void *about; /* of read and fill */
	int64_t low, high;
	bool is_confirm;
	bool is_secret;
	uint16_t hash;
	struct str head;
	struct str *options;
	size_t options_len;
};

enum asked {
	ASKED_ANSWER, /* the journal's, or one just accepted */
	ASKED_INPUT, /* to be judged by the prelude: then question_accept or question_refuse */
	ASKED_STOP, /* return lua_yield(L, 0) */
};

enum asked question_ask(lua_State *L, struct question *q, struct str *answer);
void question_accept(struct menu_run *run, const struct question *q, struct str answer);
/* Notes the refusal and shows the question again. Always stops. */
enum asked question_refuse(lua_State *L, struct question *q, struct str reason);

/* Key and head of a question that has a prompt at argument 1, or the function's own words. */
void question_prompt(lua_State *L, struct question *q, const char *usage, const char *own);
void question_head(lua_State *L, struct question *q, const struct text_vars *vars);

/* Room for so many options of the question; NULL on arena overflow. */
struct str *question_options(struct menu_run *run, struct question *q, size_t n);

/* An option's number from 1 to n; 0 when the input is none. Words that equal an option's count too.
 */
size_t question_option(struct menu_run *run, const struct question *q, struct str input);

/* ---- catalogue ---------------------------------------------------------------------------------
 */

/* Makes the objects that stand for the partner's operators and offers. [-0, +0, e] */
void catalogue_open(lua_State *L, const struct config *config, const struct partner *partner);
void catalogue_push_operator(lua_State *L, const struct operator_cfg *op);
void catalogue_push_offer(lua_State *L, const struct offer *offer);
/* NULL when the value at index is none. */
const struct operator_cfg *catalogue_operator(lua_State *L, int index);
const struct offer *catalogue_offer(lua_State *L, int index);

/* The offer belongs to the service's partner and the channel's country. */
bool offer_is_ours(const struct menu_run *run, const struct offer *offer);
bool offer_sells(const struct offer *offer, const struct operator_cfg *op);
bool offer_is_in_service(const struct menu_run *run, const struct offer *offer);
/* An offer of ours for the operator, kind empty for any; after `last` (NULL: the first). */
const struct offer *offer_next(const struct menu_run *run, const struct offer *last,
	struct str kind, const struct operator_cfg *op);
/* In service, in the channel's country, and something of ours in service is sold for it. */
bool operator_is_sold(const struct menu_run *run, const struct operator_cfg *op);

/* The operators a question offers. */
struct operator_list {
	const struct operator_cfg **ops;
	size_t n;
	struct msisdn number;
	const struct operator_cfg *guess; /* NULL: none */
};

/* What is sold now, the guess first. */
void operator_list_fill(struct menu_run *run, struct operator_list *list);

/* A mobile number of the channel's country, by its numbering plan. */
bool number_is_national(const struct menu_run *run, const struct msisdn *number);

/* Ends with the operator's name. [-0, +0, yields] */
int menu_stop_not_sold(lua_State *L, const struct operator_cfg *op);

/* ---- words by SMS ------------------------------------------------------------------------------
 */

/* Folded words that stop and that ask for help (sms-gsm-numbering.md D.1, D.2). */
bool word_stops(struct str word);
bool word_asks_help(struct str word);

/* Cuts the next word off a folded message: blanks, '*' and '#' part words. Empty at the end. */
struct str word_next(struct str *message);

/*
 * Reads the keywords of the menu on top of the stack into the service; raises what is wrong with
 * the menu. [-0, +0, e]
 */
void menu_check(lua_State *L, int index);
void keywords_read(lua_State *L, struct arena *arena, struct menu_service *service);

/* ---- functions of the prelude ------------------------------------------------------------------
 */

extern const luaL_Reg menu_api_functions[];
extern const luaL_Reg menu_keyword_functions[];
extern const luaL_Reg menu_operator_functions[];
extern const luaL_Reg menu_buy_functions[];

#endif
