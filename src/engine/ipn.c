/* D4: an IPN against the state, by the table of reliability.md 2.6. Committed before its 200. */
#include "engine_priv.h"

#include "tama/limits.h"

/* What makes two arrivals the same news: the provider's id, its word, and the bytes. */
static void ipn_key(struct engine *e, const struct engine_ipn *ipn, unsigned char *key)
{
	struct str text = arena_printf(&e->arena, "%.*s|%.*s|%.*s", STR_ARG(ipn->facts.id),
		STR_ARG(ipn->facts.word), STR_ARG(ipn->raw));

	vault_digest(text, key);
}

static int find_attempt(struct engine *e, const struct engine_ipn *ipn, struct engine_case *c)
{
	uint32_t partner = ipn->account->partner->id;
	struct attempt_row *a = &c->attempt;
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
	if (!str_eq(a->account, ipn->account->name))
		return TAMA_ENOTFOUND;
	return STORE(e, purchase_get, partner, a->purchase, &e->arena, &c->purchase);
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

	ipn_key(e, ipn, row.key);
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

static int repeated(struct engine *e, struct engine_event *event)
{
	const struct engine_ipn *ipn = &event->as.ipn;
	unsigned char key[VAULT_HASH_LEN];
	enum inbox_verdict verdict;
	int64_t first_ms;
	int rc;

	ipn_key(e, ipn, key);
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

/* Only a hint: ask at once, if the provider's rules allow; the answer is the evidence. */
static int ask_about(struct engine *e, struct engine_case *c, const struct engine_ipn *ipn)
{
	struct attempt_row *a = &c->attempt;
	struct outbox_row row = {.id = engine_next_id(e),
		.partner = a->partner,
		.kind = OUTBOX_POLL,
		.purchase = a->purchase,
		.attempt = a->id,
		.seq = (uint32_t)a->leg << 8 | a->n,
		.due_ms = e->now_ms};
	int rc;

	if (!attempt_is_open(a->state) || a->state == ATTEMPT_READY)
		return 0;
	if (a->provider_id.n == 0 && ipn->facts.id.n > 0) {
		a->provider_id = ipn->facts.id;
		rc = STORE(e, attempt_update, a);
		if (rc != 0)
			return rc;
		a->version++;
	}
	rc = STORE(e, outbox_cancel, a->partner, a->id, OUTBOX_POLL);
	return rc == 0 ? STORE(e, outbox_insert, &row) : rc;
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

static enum inbox_verdict verdict_of(const struct attempt_step *step)
{
	switch (step->kind) {
	case STEP_MOVE:
		return VERDICT_APPLIED;
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

static int apply(struct engine *e, struct engine_case *c, const struct engine_ipn *ipn)
{
	const struct provider_profile *profile = ipn->account->profile;
	enum attempt_event what = event_of(provider_word(profile, &ipn->facts));
	struct attempt_step step = attempt_step(c->attempt.state, what);
	bool is_hint = profile->ipn_needs_query && step.kind == STEP_MOVE;
	uint64_t evidence;
	int rc = keep(
		e, ipn, c->attempt.id, is_hint ? VERDICT_HINT : verdict_of(&step), "", &evidence);

	if (rc != 0)
		return rc;
	if (is_hint)
		return ask_about(e, c, ipn);
	if (c->attempt.provider_id.n == 0)
		c->attempt.provider_id = ipn->facts.id;
	return case_apply(e, c, what, evidence, &step);
}

static int park(struct engine *e, struct engine_event *event, struct engine_case *c, unsigned bits)
{
	uint64_t evidence;

	e->stats.mismatches++;
	engine_alarm(e, "ipn_mismatch", c->purchase.ref, mismatch_text(bits));
	return keep(
		e, &event->as.ipn, c->attempt.id, VERDICT_MISMATCH, mismatch_text(bits), &evidence);
}

static int first_arrival(struct engine *e, struct engine_event *event)
{
	const struct engine_ipn *ipn = &event->as.ipn;
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];
	struct engine_case c;
	unsigned bits;
	uint64_t evidence;
	int rc = find_attempt(e, ipn, &c);

	if (rc == TAMA_ENOTFOUND) {
		engine_alarm(e, "ipn_orphan", STR(""), "an IPN for nothing we know: parked");
		rc = keep(e, ipn, 0, VERDICT_ORPHAN, "nothing we know", &evidence);
		return rc == 0 ? orphan(e, event, e->now_ms) : rc;
	}
	if (rc != 0)
		return rc;
	attempt_terms_of(e, &c.attempt, &terms, national);
	bits = provider_mismatch(ipn->account->profile, &ipn->facts, &terms,
		ipn->account->profile->ipn_must_match, true);
	return bits != 0 ? park(e, event, &c, bits) : apply(e, &c, ipn);
}

int handle_ipn(struct engine *e, struct engine_event *event)
{
	int rc;

	event->outcome = ENGINE_DONE;
	e->stats.ipns++;
	rc = repeated(e, event);
	return rc == TAMA_ENOTFOUND ? first_arrival(e, event) : rc;
}
