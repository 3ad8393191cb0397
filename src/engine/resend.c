/*
 * Class I (reliability.md 2.5): an account whose live provider has proven to know a request by our
 * id. A doubt is asked about by that id; when the answer "no such request" has come several times
 * over a while, the same bytes go out once more under the same id, as long as the provider still
 * remembers ids. Then a request that did arrive is found again, and one that did not is carried
 * out: never twice. Class N, which is every account that does not say `idempotent`, has none of
 * this: its doubts wait for evidence or a person.
 */
#include "engine_priv.h"

#include "tama/limits.h"

#include "tama/mutant.h"

bool attempt_can_be_asked(const struct account *account, const struct attempt_row *attempt)
{
	return attempt->provider_id.n > 0 || (account != NULL && account->keeps_ids_ms > 0);
}

static bool is_absent(const struct engine_result *r, enum reply_word word)
{
	if (r->transfer.end != TRANSFER_COMPLETE || r->facts.id.n > 0)
		return false;
	return r->transfer.status == 404 || word == WORD_NOT_FOUND;
}

void resend_note_answer(struct engine *e, struct attempt_row *a, const struct engine_result *r)
{
	const struct account *account = engine_account(e, a);

	if (account == NULL || account->keeps_ids_ms == 0 || r->call != PROVIDER_STATUS)
		return;
	if (is_absent(r, provider_word(account->profile, &r->facts))) {
		if (a->absent == 0)
			a->absent_ms = e->now_ms;
		a->absent++;
	} else if (r->transfer.end == TRANSFER_COMPLETE && r->transfer.status < 300) {
		/* Answers that disagree begin anew; a query that failed says nothing. */
		a->absent = 0;
		a->absent_ms = 0;
	}
}

/*
 * The purchase waits for this very leg: nothing said meanwhile speaks against carrying it out; and
 * nobody is asked once more for money that would only go back.
 */
static bool is_still_wanted(const struct engine *e, const struct purchase_row *p)
{
	if (p->state == PURCHASE_COLLECTING)
		return !p->has_deliver || !case_is_late(e, p);
	return p->state == PURCHASE_DELIVERING || p->state == PURCHASE_REFUNDING;
}

bool resend_is_due(struct engine *e, const struct engine_case *c)
{
	const struct attempt_row *a = &c->attempt;
	const struct account *account = engine_account(e, a);
	bool is_asked = true;

	if (account == NULL || account->keeps_ids_ms == 0 || a->state != ATTEMPT_UNKNOWN ||
		!is_still_wanted(e, &c->purchase))
		return false;
	/* A secret is forgotten with its first byte, and what a forgotten life did nobody knows. */
	if (a->needs_secret || a->first_sent_ms == 0 || lane_is_frozen(e, c->purchase.id))
		return false;
	/* It has been there: that nothing is known by its id is no absence of ours. */
	if (a->provider_id.n > 0)
		return false;
	/* F-D22: what the provider may have forgotten would be carried out again. */
	if (e->now_ms + LIMIT_SENDING_MS >= a->first_sent_ms + account->keeps_ids_ms &&
		!MUTANT(RETENTION_IGNORED))
		return false;
	return a->absent >= account->absent_answers &&
	       e->now_ms >= a->absent_ms + account->absent_after_ms &&
	       poll_holds(e, a, &is_asked) == 0 && !is_asked;
}

int resend_ask(struct engine *e, const struct engine_case *c)
{
	const struct account *account = engine_account(e, &c->attempt);
	int64_t step_ms;

	if (account == NULL || account->keeps_ids_ms == 0 || c->attempt.absent == 0 ||
		c->attempt.state != ATTEMPT_UNKNOWN)
		return 0;
	/* The next answer is wanted soon, sent again or not: the schedule's may be hours away. */
	step_ms = account->absent_after_ms / account->absent_answers;
	if (step_ms < LIMIT_LEASE_MS)
		step_ms = LIMIT_LEASE_MS;
	if (e->now_ms + step_ms < c->attempt.first_sent_ms + account->keeps_ids_ms) {
		int rc = poll_at(e, &c->attempt, e->now_ms + step_ms);

		if (rc != 0)
			return rc;
	}
	return resend_is_due(e, c)
		       ? engine_ask(e, EFFECT_PREPARE, &c->attempt, c->attempt.epoch + 1)
		       : 0;
}

int resend_claim(struct engine *e, struct engine_case *c, const struct engine_prepared *p)
{
	struct attempt_step step;
	int rc;

	if (memcmp(c->attempt.body_hash, p->body_hash, sizeof(p->body_hash)) != 0) {
		engine_alarm(e, "resend_differs", c->purchase.ref,
			"the request would not be the same bytes: a person decides");
		rc = case_apply(e, c, AEV_DEADLINE, 0, &step);
		return rc == 0 ? TAMA_ECONFLICT : rc;
	}
	c->attempt.epoch = p->epoch;
	c->attempt.owner_incarnation = e->incarnation;
	c->attempt.sent_ms = e->now_ms;
	c->attempt.absent = 0;
	c->attempt.absent_ms = 0;
	rc = case_apply(e, c, AEV_RESEND, 0, &step);
	if (rc == 0)
		rc = pause_begin(e, &c->attempt);
	e->stats.resent += rc == 0;
	return rc == 0 ? engine_ask(e, EFFECT_GO, &c->attempt, c->attempt.epoch) : rc;
}
