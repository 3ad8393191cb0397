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

int menu_host_new(const struct config *config, struct menu_host **out, struct err *err);
void menu_host_free(struct menu_host **host);

struct menu_input {
	struct str text;
	bool is_pretyped; /* arrived together with others: never answers a confirmation or a secret
			   */
};

/* One hop's worth of work. */
struct menu_turn {
	const struct channel *channel;
	const struct service *service;
	struct msisdn msisdn; /* who calls */
	struct str network; /* of the session; may be empty */
	struct str lang;
	bool is_sms;
	struct buf *journal; /* grows by what this turn accepted; starts empty for a new session */
	const struct menu_input *inputs;
	size_t inputs_len;
	struct str effect_name; /* result of the look-up asked for by the last turn, if any */
	struct str effect_value;
	unsigned buys; /* purchases already committed in this session */
	uint64_t now_ms; /* wall clock, for effects */
	/* The reference the next purchase of this session will have, drawn by the caller. */
	struct str next_ref;
	/* Keeps a secret: copies it into locked memory and returns its handle, or 0 when full. */
	uint32_t (*secret_keep)(void *ctx, struct str secret);
	void *ctx;
};

/* What the person is told by SMS later, rendered when buying: the engine runs no script. */
enum purchase_text {
	TEXT_DELIVERED,
	TEXT_CANCELLED, /* refused: nothing was taken */
	TEXT_EXPIRED, /* never sent: nothing was taken */
	TEXT_REFUND_DUE, /* paid and not delivered: we are on it, keep the reference */
	TEXT_PROGRESS, /* still under way */
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
	struct str texts[PURCHASE_TEXTS]; /* at most 160 septets each */
};

enum menu_outcome {
	MENU_ASK, /* text is a screen that waits for an answer */
	MENU_END, /* text is the last screen */
	MENU_PARK, /* text is an END screen; the session goes on when redialled */
	MENU_LOOKUP, /* effect_name and effect_args must be carried out, then the turn run again */
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
	unsigned septets; /* of text */
	uint64_t instructions;
};

/*
 * Replays the journal, feeds the inputs, and stops at the first question without an answer. What
 * was accepted is appended to turn->journal (for MENU_BUY the BUY entry is appended too, in the
 * belief that the caller commits: on failure the caller drops the journal back to its former
 * length). 0; TAMA_ECONFLICT when the menu asks something else than the journal answers;
 * TAMA_ESCRIPT, TAMA_ELIMIT with file:line; TAMA_ENOMEM.
 */
int menu_run(struct menu_host *host, const struct menu_turn *turn, struct arena *arena,
	struct menu_result *out, struct err *err);

/*
 * A text of the gateway itself, in the session's language: "unknown_code", "try_again",
 * "in_progress", "changed", "broken", "resume", "too_late", "closed", ... The services' own texts
 * of that name win. Never fails: falls back to English, then to the key.
 */
struct str menu_text(struct menu_host *host, const struct service *service, struct str lang,
	const char *key, struct arena *arena);

#endif
