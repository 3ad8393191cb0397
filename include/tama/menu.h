/*
 * Menus: straight-line Lua, replayed from a journal (design.md idea 1; docs/menus.md is the
 * author's manual). A menu host belongs to one worker and one configuration: one Lua gate a
 * partner, each service compiled once, a fresh environment for every replay.
 */
#ifndef TAMA_MENU_H
#define TAMA_MENU_H

#include "tama/arena.h"
#include "tama/buf.h"
#include "tama/config.h"
#include "tama/journal.h"

/* Raised whenever a menu function changes what it asks: part of what pins a session. */
#define MENU_API_VERSION 1

struct menu_host;

/*
 * Compiles every service of the configuration and reads its texts. The host borrows the
 * configuration: whoever keeps a host holds a reference. 0; TAMA_ESCRIPT or TAMA_EINVAL with
 * file:line; TAMA_ENOMEM.
 */
int menu_host_new(const struct config *config, struct menu_host **out, struct err *err);
void menu_host_free(struct menu_host **host);

/* Name of the effect that says a purchase repeats one of minutes ago; its value is "ref=...". */
#define MENU_REPEAT "repeat"

struct menu_input {
	struct str text;
	bool is_pretyped; /* arrived together with others: never answers a confirmation or a secret
			   */
};

/*
 * One hop's worth of work. On an SMS channel with an empty journal the one input is the whole
 * message that opened the session: its first word is looked up in the menu's keywords.
 */
struct menu_turn {
	const struct channel *channel;
	const struct service *service;
	struct msisdn msisdn; /* who calls */
	struct str network; /* of the session, MCC+MNC; may be empty; the same on every hop */
	struct str lang;
	bool is_sms;
	struct buf *journal; /* grows by what this turn accepted; starts empty for a new session */
	const struct menu_input *inputs;
	size_t inputs_len;
	struct str effect_name; /* result of the look-up asked for by the last turn, if any */
	struct str effect_value; /* "key=value;key=value"; empty: nothing was found */
	unsigned buys; /* purchases already committed in this session */
	uint64_t now_ms; /* wall clock, for effects */
	/* The reference the next purchase of this session will have, drawn by the caller. */
	struct str next_ref;
	/* Keeps a secret: copies it into locked memory and returns its handle, or 0 when full. */
	uint32_t (*secret_keep)(void *ctx, struct str secret);
	void *ctx;
	/* Whether an account sells nothing now, beyond its own switch; NULL: all sell. */
	bool (*is_closed)(void *closed_ctx, const struct account *account);
	void *closed_ctx;
	/* What may still be sold of a float, by the names of engine.h; NULL: no limit is known. */
	int64_t (*available)(void *available_ctx, struct str name);
	void *available_ctx;
	struct str nonce; /* transcripts: what a fresh nonce is; empty: drawn by chance */
};

/* What the person is told by SMS later, rendered when buying: the engine runs no script. */
enum purchase_text {
	TEXT_DELIVERED,
	TEXT_CANCELLED, /* refused: nothing was taken */
	TEXT_EXPIRED, /* never sent: nothing was taken */
	TEXT_REFUND_DUE, /* paid and not delivered: we are on it, keep the reference */
	TEXT_PROGRESS, /* still under way */
	TEXT_REFUNDED, /* the price is back with who paid it */
	PURCHASE_TEXTS,
};

/* What the menu wants to buy: checked against the catalogue by C, whatever the script said. */
struct buy_intent {
	const struct offer *offer;
	const struct operator_cfg *payer_operator; /* NULL without a collect leg */
	const struct operator_cfg *operator_; /* the beneficiary's */
	struct msisdn payer;
	struct msisdn beneficiary;
	int64_t face_value, fee, price;
	uint32_t secret; /* handle of the OTP, 0 for none */
	struct str ref; /* = turn->next_ref */
	bool is_repeat_confirmed; /* told of the one just before, the person wants another */
	struct str texts[PURCHASE_TEXTS]; /* at most 160 septets each */
};

enum menu_outcome {
	MENU_ASK, /* text is a screen that waits for an answer */
	MENU_END, /* text is the last screen */
	MENU_PARK, /* text is an END screen; the session goes on when redialled */
	MENU_LOOKUP, /* carry out effect_name and effect_args, then run again with what was not used
		      */
	MENU_BUY, /* intent must be committed; text and is_end are the screen that follows */
};

struct menu_result {
	enum menu_outcome outcome;
	struct str text;
	bool is_end; /* MENU_BUY: whether the screen after it ends the session */
	bool wants_secret; /* the pending question takes a secret: mask what comes next */
	bool wants_confirm;
	struct str
		summary; /* one line that tells the session apart when resuming: "500 F Orange" */
	struct str effect_name;
	struct str effect_args;
	struct buy_intent intent;
	size_t inputs_used; /* MENU_LOOKUP: the next run is given the inputs after these */
	unsigned septets; /* of text */
	struct str missing; /* key of a text that no file has, for the checker; empty: none */
	bool is_cut; /* the text is a last screen that did not fit, for the checker */
	uint64_t instructions;
};

/*
 * Replays the journal, feeds the inputs, and stops at the first question without an answer. What
 * was accepted is appended to turn->journal (for MENU_BUY the BUY entry is appended too, in the
 * belief that the caller commits: on failure the caller drops the journal back to its former
 * length; the id in the entry is 0). Texts of *out live in the arena. 0; TAMA_ECONFLICT when the
 * menu asks something else than the journal answers; TAMA_ESCRIPT, TAMA_ELIMIT with file:line;
 * TAMA_EINVAL when the journal is none; TAMA_ENOMEM when journal or arena are full. After an error
 * the journal is as it was before.
 *
 * The one look-up is "last_purchase", without arguments: what became of the caller's latest
 * purchase. A turn after a purchase that was refused as a repeat carries the effect MENU_REPEAT
 * with the earlier one's reference: behind the confirmation the menu then asks "encore ?".
 *
 * Of "last_purchase" the value has the keys ref, state (purchase_state_name in lower case), amount
 * and price (minor units), operator (name), to (E.164 digits). Values hold neither ';' nor '=' nor
 * control characters.
 */
int menu_run(struct menu_host *host, const struct menu_turn *turn, struct arena *arena,
	struct menu_result *out, struct err *err);

/*
 * Whether a message would open a dialogue of its own: its first word is one of the service's
 * keywords, or a word for help. An open dialogue by SMS gives way to it. STOP and its like are not:
 * the question that is pending knows what they stop, and says so.
 */
bool menu_is_keyword(struct menu_host *host, const struct service *service, struct str text);

/*
 * A text of the gateway itself, in the session's language: "unknown_code", "try_again",
 * "in_progress", "changed", "broken", "resume", "too_late", "closed", ... The services' own texts
 * of that name win (service may be NULL). Never fails: falls back to English, then to the key.
 * ${name} in it is left as it is: menu_text_with fills it.
 */
struct str menu_text(struct menu_host *host, const struct service *service, struct str lang,
	const char *key, struct arena *arena);

struct menu_var {
	const char *name;
	struct str value;
};

/* The same with each ${name} replaced; what has no value stays as it is. */
struct str menu_text_with(struct menu_host *host, const struct service *service, struct str lang,
	const char *key, const struct menu_var *vars, size_t vars_len, struct arena *arena);

/*
 * For the checker: the languages a service has words of its own for, and its keywords, by rising i
 * until false; each of its keys; whether it has a key in one language; whether it or the gateway
 * has it in any.
 */
typedef void (*menu_text_fn)(void *ctx, struct str lang, struct str key);
bool menu_lang_own(const struct menu_host *host, const struct service *service, size_t i,
	struct str *lang_out);
bool menu_keyword_own(const struct menu_host *host, const struct service *service, size_t i,
	struct str *word_out);
void menu_text_each(
	const struct menu_host *host, const struct service *service, menu_text_fn each, void *ctx);
bool menu_text_is_own(const struct menu_host *host, const struct service *service, struct str lang,
	struct str key);
bool menu_text_exists(const struct menu_host *host, const struct service *service, struct str key);

#endif
