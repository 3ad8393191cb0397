/*
 * A hop that is being worked on. Most live on the worker's stack and in the turn's arena; one that
 * waits (for a commit or a look-up) moves into an arena of its own, because its connection may be
 * answered by the deadline while the engine still has the event.
 */
#ifndef TAMA_HOP_H
#define TAMA_HOP_H

#include "gateway_priv.h"
#include "session_priv.h"

#include "tama/limits.h"

enum hop_state {
	HOP_WAITING, /* for the engine or the reader */
	HOP_DECIDED, /* they have spoken; the worker goes on */
	HOP_TOO_LATE, /* the deadline spoke first */
};

#define HOP_INPUTS (LIMIT_PRETYPED + 2)

/* What a channel's bytes meant, whatever they were. */
struct hop_call {
	const struct channel *channel;
	bool is_sms;
	struct ussd_event ussd; /* for the answer's encoding */
	struct msisdn msisdn;
	struct menu_input inputs[HOP_INPUTS];
	size_t inputs_len;
	struct str effect_name, effect_value; /* of a look-up that was asked for */
};

struct hop_answer {
	struct str text;
	bool is_end;
	bool is_error;
};

struct hop {
	struct hop *next, **link; /* in gateway->waiting; link NULL when not in it */
	atomic_uint holders; /* the turn's side and the engine's (or reader's) side */
	_Atomic int state;
	atomic_int claim; /* enum engine_claim */
	struct gateway *gateway;
	struct http_turn *turn;
	const struct config *config;
	struct arena arena;
	struct hop_call call;
	struct session session;
	size_t journal_mark; /* to drop what this hop appended */
	bool is_buy;
	bool is_over; /* the session has been put back */
	struct hop_answer answer; /* of a purchase that commits */
	bool wants_secret;
	struct str summary;
	int64_t deadline_boot_ms;
	struct engine_event event;
	struct buy_intent intent;
	struct reader_job look_up;
	struct str effect_name;
	size_t inputs_used;
};

/* ---- hop.c ---- */

/* Runs the menu for the taken session and answers, or suspends the turn. */
enum http_verdict hop_run(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *session, struct http_reply *reply);

enum http_verdict hop_encode(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, const struct hop_answer *answer, struct http_reply *reply);

/* The gateway's own sentence in the session's language, as an end. */
struct hop_answer hop_say(struct worker *w, struct http_turn *turn, const struct channel *channel,
	struct str lang, const char *key);

/* ---- hop_wait.c ---- */

/* Both suspend the session and the turn; 0, or TAMA_EFULL with everything as before. */
int hop_wait_buy(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *session, size_t journal_mark,
	const struct menu_result *result);
int hop_wait_look_up(struct gateway *g, struct worker *w, struct http_turn *turn,
	const struct hop_call *call, struct session *session, const struct menu_result *result);

#endif
