/*
 * The journal of a session: everything a menu needs to be replayed, and nothing else. It only
 * grows. An entry is one byte of kind, then what the kind says; lengths are LEB128 varints.
 *
 *   ANSWER   accepted answer of a question: question hash (u16), text
 *   SECRET   accepted secret: question hash (u16), handle (u32); the secret itself is never here
 *   REJECT   an answer refused at the pending question: question hash (u16), text (which menus
 *            leave empty: it may be a code, typed where none is asked)
 *   PAGE     the person asked for the next page of the pending question: question hash (u16)
 *   EFFECT   result of an outside effect: effect hash (u16), value text
 *   PARK     the session was ended on purpose and goes on at the next question when redialled
 *   BUY      a purchase was committed: ordinal (u8), purchase id (u64), reference text
 *   BACK     drop the last answer          (neither crosses a BUY)
 *   HOME     drop all answers
 *
 * Folding a journal gives the steps that are in force: what a replay is fed with.
 */
#ifndef TAMA_JOURNAL_H
#define TAMA_JOURNAL_H

#include "tama/arena.h"
#include "tama/buf.h"
#include "tama/str.h"

enum journal_kind {
	JOURNAL_ANSWER = 1,
	JOURNAL_SECRET,
	JOURNAL_REJECT,
	JOURNAL_PAGE,
	JOURNAL_EFFECT,
	JOURNAL_PARK,
	JOURNAL_BUY,
	JOURNAL_BACK,
	JOURNAL_HOME,
};

struct journal_entry {
	enum journal_kind kind;
	uint16_t hash; /* ANSWER, SECRET, REJECT, PAGE, EFFECT: of the question or effect */
	uint32_t handle; /* SECRET */
	uint8_t ordinal; /* BUY, from 1 */
	uint64_t purchase; /* BUY */
	struct str text; /* ANSWER, REJECT, EFFECT, BUY (the reference) */
};

/*
 * Appends an entry, wholly or not at all: the buffer's ceiling (LIMIT_SESSION_JOURNAL) bounds a
 * session's life, and its overflow flag says when that has come.
 */
void journal_add(struct buf *journal, const struct journal_entry *entry);

/*
 * Reads the entry at *at and moves *at past it. 1 when there was one, 0 at the end, TAMA_EINVAL
 * when the bytes are not a journal; *at and *out are then untouched.
 */
int journal_next(struct str journal, size_t *at, struct journal_entry *out);

struct journal_steps {
	struct journal_entry *steps; /* ANSWER, SECRET, EFFECT, PARK and BUY in force, in order */
	size_t n;
	unsigned page; /* PAGEs since the last step: the page of the pending question */
	bool was_rejected; /* the last input at the pending question was refused */
	struct journal_entry rejected;
	unsigned buys; /* BUYs in force */
	bool can_go_back; /* an ANSWER or SECRET stands after the last BUY */
};

/*
 * Applies BACK (drops the last ANSWER or SECRET after the last BUY and all that follows it), HOME
 * (drops all after the last BUY) and gathers the rest. PARK survives BACK only if it stands before
 * the answer dropped. 0; TAMA_EINVAL; TAMA_ENOMEM. Texts borrow from the journal's bytes.
 */
int journal_fold(struct str journal, struct arena *arena, struct journal_steps *out);

#endif
