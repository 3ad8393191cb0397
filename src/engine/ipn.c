/* D4: an IPN against the state, by the table of reliability.md 2.6. Committed before its 200. */
#include "engine_priv.h"

#include "tama/limits.h"

#include "tama/mutant.h"

/*
 * What makes two arrivals the same news: the attempt, the provider's id, its word, and the bytes.
 * An orphan whose attempt becomes known meanwhile is news again.
 */
static void ipn_key(
	struct engine *e, const struct engine_ipn *ipn, uint64_t attempt, unsigned char *key)
{
	struct str text = arena_printf(&e->arena, "%llu|%.*s|%.*s|%.*s",
		MUTANT(INBOX_KEY_WITHOUT_ATTEMPT) ? 0ULL : (unsigned long long)attempt,
		STR_ARG(ipn->facts.id), STR_ARG(ipn->facts.word), STR_ARG(ipn->raw));

	vault_digest(text, key);
}

static int find_attempt(struct engine *e, const struct engine_ipn *ipn, struct attempt_row *a)
{
	uint32_t partner = ipn->account->partner->id;
	int rc = TAMA_ENOTFOUND;

	if (ipn->path_ref.n > 0)
		rc = STORE(e, attempt_by_ref, partner, ipn->path_ref, &e->arena, a);
	else if (ipn->facts.our_ref.n > 0)
		rc = STORE(e, attempt_by_ref, partner, ipn->facts.our_ref, &e->arena, a);
	if (rc == TAMA_ENOTFOUND && ipn->path_ref.n == 0 && ipn->facts.id.n > 0)
		rc = STORE(e, attempt_by_provider_id, partner, ipn->account->name, ipn->facts.id,
			&e->arena, a);
	if (rc != 0)
		return rc;
	/* Another account's attempt is nothing that this account may speak of. */
	return str_eq(a->account, ipn->account->name) ? 0 : TAMA_ENOTFOUND;
}

static int keep(struct engine *e, const struct engine_ipn *ipn, uint64_t attempt,
	enum inbox_verdict verdict, const char *detail, uint64_t *id_out)
{
	struct inbox_row row = {
		.id = engine_next_id(e),
		.partner = ipn->account->partner->id,
		.kind = INBOX_IPN,
		.account = ipn->account->name,
		.attempt = attempt,
		.raw = ipn->raw,
		.verdict = verdict,
		.detail = str_c(detail),
		.received_ms = e->now_ms,
	};

	ipn_key(e, ipn, attempt, row.key);
	*id_out = row.id;
	return STORE(e, inbox_insert, &row);
}

/*
 * Nothing we know: stored and parked. A provider that takes our 200 for its commit (Xente) is asked
 * to come again for a while, in case the store is behind.
 */
static int orphan(struct engine *e, struct engine_event *event, int64_t first_ms)
{
	const struct engine_ipn *ipn = &event->as.ipn;

	e->stats.orphans++;
	if (ipn->account->profile->ipn_needs_query && e->now_ms - first_ms < LIMIT_ORPHAN_MS)
		event->outcome = ENGINE_NOT_YET;
	return 0;
}

/* TAMA_ENOTFOUND when it has not come before. */
static int repeated(struct engine *e, struct engine_event *event, uint64_t attempt)
{
	const struct engine_ipn *ipn = &event->as.ipn;
	unsigned char key[VAULT_HASH_LEN];
	enum inbox_verdict verdict;
	int64_t first_ms;
	int rc;

	ipn_key(e, ipn, attempt, key);
	rc = STORE(e, inbox_repeat, ipn->account->partner->id, ipn->account->name, key, &first_ms,
		&verdict);
	if (rc != 0)
		return rc;
	e->stats.ipn_duplicates++;
	return verdict == VERDICT_ORPHAN ? orphan(e, event, first_ms) : 0;
}

static const char *mismatch_text(unsigned bits)
{
	if (bits & MATCH_AMOUNT)
		return "amount differs or is absent";
	if (bits & MATCH_NUMBER)
		return "number differs or is absent";
	if (bits & MATCH_SERVICE)
		return "service differs or is absent";
	if (bits & MATCH_ID)
		return "transaction id differs or is absent";
	return "reference differs or is absent";
}

/*
 * Only a hint: ask at once, if the provider's rules allow; the answer is the evidence. Until it is
 * there, nothing leaves that it may forbid (poll_holds).
 */
int news_ask(struct engine *e, struct engine_case *c, struct str provider_id)
{
	struct attempt_row *a = &c->attempt;
	int rc = 0;

	if (a->provider_id.n == 0 && provider_id.n > 0)
		rc = learn_id(e, a, provider_id);
	return rc == 0 ? poll_at(e, a, e->now_ms) : rc;
}

static enum attempt_event event_of(enum reply_word word)
{
	switch (word) {
	case WORD_SUCCESS:
		return AEV_SUCCESS;
	case WORD_FAILURE:
		return AEV_FAILURE;
	case WORD_NONE:
	case WORD_PENDING:
	case WORD_DUPLICATE:
	case WORD_REFUSED:
	case WORD_NOT_FOUND:
		break;
	}
	return AEV_ACCEPTED;
}

enum inbox_verdict news_verdict(const struct attempt_step *step)
{
	switch (step->kind) {
	case STEP_MOVE:
		return step->next == ATTEMPT_CONTRADICTED ? VERDICT_CONTRADICTION : VERDICT_APPLIED;
	case STEP_STAY:
		return VERDICT_IGNORED;
	case STEP_CONTRADICTION:
		return VERDICT_CONTRADICTION;
	case STEP_PROPOSAL:
		return VERDICT_PROPOSAL;
	case STEP_IMPOSSIBLE:
		return VERDICT_IMPOSSIBLE;
	}
	return VERDICT_IGNORED;
}

/*
 * A hint proves nothing alone, and one whose words we do not know may be of an end as well; but
 * what was never sent is held on any news of it.
 */
static bool is_hint(
	const struct provider_profile *profile, const struct engine_case *c, enum step_kind kind)
{
	enum attempt_state state = c->attempt.state;

	if (!profile->ipn_needs_query || state == ATTEMPT_READY)
		return false;
	return kind == STEP_MOVE || (kind == STEP_STAY && attempt_is_queried(state));
}

/*
 * 2.6, first row: store, alarm, hold the lane. A READY attempt itself goes to REVIEW; what expired
 * unsent stays so, and what else of its purchase was not sent is held.
 */
int news_hold(struct engine *e, const struct engine_case *c)
{
	engine_alarm(e, "never_sent", c->purchase.ref,
		"news of a request that was not sent: restored store or forgery; account held");
	return lane_hold(
		e, c->attempt.partner, c->attempt.account, "news of a request that was never sent");
}

static int apply(struct engine *e, struct engine_case *c, const struct engine_ipn *ipn)
{
	const struct provider_profile *profile = ipn->account->profile;
	enum attempt_event what = event_of(provider_word(profile, &ipn->facts));
	struct attempt_step step = attempt_step(c->attempt.state, what);
	bool asks = is_hint(profile, c, step.kind);
	bool has_id = c->attempt.provider_id.n == 0 && ipn->facts.id.n > 0;
	uint64_t evidence;
	int rc = keep(
		e, ipn, c->attempt.id, asks ? VERDICT_HINT : news_verdict(&step), "", &evidence);

	if (rc != 0)
		return rc;
	if (asks)
		return news_ask(e, c, ipn->facts.id);
	if (step.kind == STEP_STAY)
		return has_id ? learn_id(e, &c->attempt, ipn->facts.id) : 0;
	if (c->attempt.state == ATTEMPT_READY || c->attempt.state == ATTEMPT_EXPIRED) {
		rc = news_hold(e, c);
		if (rc != 0)
			return rc;
	}
	if (has_id && step.kind == STEP_MOVE)
		c->attempt.provider_id = ipn->facts.id;
	rc = case_apply(e, c, what, evidence, &step);
	lane_note_refusal(e, &c->attempt, &ipn->facts);
	return rc == 0 && step.next == ATTEMPT_CONTRADICTED ? poll_confirm(e, &c->attempt) : rc;
}

static int park(struct engine *e, struct engine_event *event, struct engine_case *c, unsigned bits)
{
	uint64_t evidence;

	e->stats.mismatches++;
	engine_alarm(e, "ipn_mismatch", c->purchase.ref, mismatch_text(bits));
	return keep(
		e, &event->as.ipn, c->attempt.id, VERDICT_MISMATCH, mismatch_text(bits), &evidence);
}

static int unknown(struct engine *e, struct engine_event *event)
{
	uint64_t evidence;
	int rc = repeated(e, event, 0);

	if (rc != TAMA_ENOTFOUND)
		return rc;
	engine_alarm(e, "ipn_orphan", STR(""), "an IPN for nothing we know: parked");
	rc = keep(e, &event->as.ipn, 0, VERDICT_ORPHAN, "nothing we know", &evidence);
	return rc == 0 ? orphan(e, event, e->now_ms) : rc;
}

static int first_arrival(struct engine *e, struct engine_event *event, struct engine_case *c)
{
	const struct engine_ipn *ipn = &event->as.ipn;
	const struct provider_profile *profile = ipn->account->profile;
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];
	unsigned bits;
	int rc = STORE(
		e, purchase_get, c->attempt.partner, c->attempt.purchase, &e->arena, &c->purchase);

	if (rc != 0)
		return rc;
	attempt_terms_of(e, &c->attempt, &terms, national);
	bits = provider_mismatch(profile, &ipn->facts, &terms, profile->ipn_must_match, true);
	if (MUTANT(IPN_WITHOUT_AMOUNT))
		bits &= ~(unsigned)MATCH_AMOUNT;
	rc = floats_heard(e, c, &ipn->facts);
	if (rc != 0)
		return rc;
	return bits != 0 ? park(e, event, c, bits) : apply(e, c, ipn);
}

int handle_ipn(struct engine *e, struct engine_event *event)
{
	struct engine_case c;
	int rc;

	event->outcome = ENGINE_DONE;
	e->stats.ipns++;
	rc = find_attempt(e, &event->as.ipn, &c.attempt);
	if (rc == TAMA_ENOTFOUND)
		return unknown(e, event);
	if (rc != 0)
		return rc;
	rc = repeated(e, event, c.attempt.id);
	return rc == TAMA_ENOTFOUND ? first_arrival(e, event, &c) : rc;
}
