/*
 * A hop that is being worked on. Most live on the worker's stack and in the turn's arena; one that
 * waits (for a commit or a look-up) moves into an arena of its own, because its connection may be
 * answered by the deadline while the engine still has the event.
 *
 * A function that works on a hop gives back the answer; whoever began encodes it. An answer that is
 * `is_later` is given by hop_continue, and the session is then no longer the caller's.
 */
#ifndef TAMA_HOP_H
#define TAMA_HOP_H

#include "gateway_priv.h"
#include "session_priv.h"

#include "tama/limits.h"

#define HOP_INPUTS (LIMIT_PRETYPED + 2)

/* What a channel's bytes meant, whatever they were. */
struct hop_call {
	const struct channel *channel;
	const struct service *service; /* the channel's, or what a keyword of its named */
	bool is_sms;
	struct ussd_event ussd; /* for the answer's encoding */
	uint64_t input_mac; /* tells a repeat: a hop that waits does not keep its input */
	struct msisdn msisdn;
	struct menu_input inputs[HOP_INPUTS];
	size_t inputs_len;
	struct str effect_name, effect_value; /* of a look-up that was asked for */
};

struct hop_answer {
	struct str text;
	bool is_end;
	bool is_later;
};

/* All that a hop's functions need to know about where they are. */
struct exchange {
	struct gateway *gateway;
	struct worker *worker;
	struct http_turn *turn;
	struct hop_call *call; /* in the turn's arena, or a waiting hop's */
};

/* ---- hop.c ---- */

/* Fills what is for every kind of call; NULL when the turn has no room. */
struct hop_call *hop_call_new(struct http_turn *turn, const struct channel *channel, bool is_sms);

/* The answer as the channel's bytes. */
enum http_verdict hop_reply(
	const struct exchange *x, const struct hop_answer *answer, struct http_reply *reply);

/* The gateway's own sentence, as an end. */
struct hop_answer hop_say(const struct exchange *x, struct str lang, const char *key);

/* "In progress" or "try again", and counted. */
struct hop_answer hop_busy(const struct exchange *x, const char *key);

/* Both end the taken session with a sentence, which a repeat gets again; hop_pause lets it go on
 * when redialled, or at the next message. */
struct hop_answer hop_end(const struct exchange *x, struct session *session, const char *key);
struct hop_answer hop_pause(const struct exchange *x, struct session *session, const char *key);

/* Whether the session began on another version of the menu than there is now. */
bool hop_has_changed(const struct exchange *x, const struct session *session);

void hop_add_input(struct hop_call *call, struct str text, bool is_pretyped);

/* Runs the menu for the taken session with the call's inputs. */
struct hop_answer hop_run(const struct exchange *x, struct session *session);

/* A repeat: what the session said last. */
struct hop_answer hop_say_again(const struct exchange *x, struct session *session);

/* ---- hop_resume.c ---- */

/* Whether the new session may go on with an earlier one of its number, and then asks. */
bool hop_may_resume(const struct exchange *x, struct session *session);
struct hop_answer hop_ask_resume(const struct exchange *x, struct session *session);
/* "1" goes on, "2" begins anew, anything else asks again. */
struct hop_answer hop_answer_resume(const struct exchange *x, struct session *session);

/* ---- hop_wait.c ---- */

enum hop_state {
	HOP_WAITING, /* for the engine or the reader */
	HOP_DECIDED, /* they have spoken; the worker goes on */
	HOP_TOO_LATE, /* the deadline spoke first */
};

struct hop {
	/* Under gateway->lock. */
	struct hop *next, **link; /* in gateway->waiting until both sides are done; else NULL */
	struct turn_keep *repeats; /* of this hop, that came while it waited */
	bool is_answered; /* `answer` stands */

	struct hop *next_late;
	atomic_uint holders; /* the turn's side, the engine's (or reader's), each repeat */
	atomic_uint sides; /* that have not spoken: the last one settles the session */
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
	bool is_counted; /* in gateway->in_flight */
	bool is_over; /* the session has been put back */
	struct hop_answer bought; /* what a purchase that commits is answered with */
	struct hop_answer answer; /* what the phone was told */
	struct str summary;
	int64_t deadline_boot_ms;
	struct engine_event event;
	struct buy_intent intent;
	struct reader_job look_up;
	struct str effect_name;
	size_t inputs_used;
};

/* A copy of call and session with two holders and two sides; NULL when the channel has too many. */
struct hop *hop_new(const struct exchange *x, const struct session *session);

/* Takes over the session and the turn. False while draining: then everything is as before. */
bool hop_suspend(const struct exchange *x, struct session *session, struct hop *hop);

/* For the engine's (or reader's) side: it has spoken and lets go. */
void hop_decided(struct hop *hop);

void hop_release(struct hop *hop);

/* The hop no longer counts among those of its channel that wait. */
void hop_count_out(struct hop *hop);

/* The session waits anew, in a hop of its own: so does whoever repeats the first one. */
void hop_hand_over(struct hop *from, struct hop *to);

enum hop_join {
	JOIN_NONE, /* nothing of that session waits any more */
	JOIN_OTHER, /* another hop of it does */
	JOINED, /* *answer is that of the hop which this one repeats, or is_later */
};

/* A session is suspended: by a hop that this one repeats? */
enum hop_join hop_join(
	const struct exchange *x, const struct session_key *key, struct hop_answer *answer);

/* ---- hop_look_up.c ---- */

/* Suspends the session and the turn; 0, or TAMA_EFULL with everything as before. */
int hop_wait_look_up(const struct exchange *x, struct session *session, size_t journal_mark,
	const struct menu_result *result);

/* Goes on with what was found; the answer may be later again. */
struct hop_answer hop_look_up_answer(const struct exchange *from, struct hop *hop);

/* ---- hop_buy.c ---- */

/* Suspends the session and the turn; 0, or TAMA_EFULL with everything as before. */
int hop_wait_buy(const struct exchange *x, struct session *session, size_t journal_mark,
	const struct menu_result *result);

/* What the phone is told, however the purchase went. */
struct hop_answer hop_buy_answer(const struct exchange *x, struct hop *hop);

/* Puts the session back: with the purchase in its journal, or as it was before this hop. */
void hop_settle(struct hop *hop);

#endif
