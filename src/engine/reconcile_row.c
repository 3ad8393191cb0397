/*
 * What one row of a provider's list says, or its absence there (reliability.md 2.6, 2.7): matched
 * with the attempt that it names, kept as evidence, and followed up.
 *
 * The list comes on a connection of our own, as a query's answer does; nobody else can speak in it.
 * So a row that has all the facts which an answer must have is one, and moves the attempt by the
 * same table. Most have no state (xente.md 2.4), and were asked for by a filter that may be ignored
 * in silence: what they tell is that the provider has the request, and not what became of it. That
 * suffices against our belief that it never arrived, because its reference was told to nobody else.
 * Against a refusal it does not, for what was refused may be listed too: it is asked about, and the
 * refund waits (2.8). Absence proves nothing at all.
 */
#include "engine_priv.h"

#include "tama/money.h"

/* As far as this store knows. */
static bool is_never_sent(enum attempt_state state)
{
	return state == ATTEMPT_READY || state == ATTEMPT_EXPIRED;
}

static bool is_sent_on(const struct attempt_row *a, int64_t day)
{
	return a->sent_ms >= day * DAY_MS && a->sent_ms < (day + 1) * DAY_MS;
}

/* ---- findings ----------------------------------------------------------------------------------
 */

struct str reconcile_item(const struct facts *facts)
{
	return facts->id.n > 0 ? facts->id : facts->our_ref;
}

static int put_listing(struct engine *e, const struct reconciliation_row *r, struct str item,
	const struct attempt_row *a, enum listing_finding finding, int64_t amount)
{
	struct listing_row row = {.partner = r->partner,
		.account = r->account,
		.item = item,
		.day = r->day,
		.attempt = a != NULL ? a->id : 0,
		.finding = finding,
		.amount = amount,
		.at_ms = e->now_ms};

	return STORE(e, listing_put, &row, r->begun_ms);
}

static struct str describe(struct engine *e, const struct facts *f, struct str item)
{
	if (f == NULL)
		return arena_printf(&e->arena, "{\"absent\":\"%.*s\"}", STR_ARG(item));
	return arena_printf(&e->arena,
		"{\"id\":\"%.*s\",\"our_ref\":\"%.*s\",\"amount\":\"%.*s\",\"word\":\"%.*s\"}",
		STR_ARG(f->id), STR_ARG(f->our_ref), STR_ARG(f->amount), STR_ARG(f->word));
}

struct finding {
	struct str item;
	const struct facts *facts; /* NULL: the provider has none */
	const struct attempt_row *attempt; /* NULL: we have none */
	enum inbox_verdict verdict;
	const char *detail;
};

/* Evidence for a person, or of what follows; once, however often the day is run. */
static int keep(struct engine *e, const struct reconciliation_row *r, const struct finding *f,
	uint64_t *id_out)
{
	struct inbox_row row = {.id = engine_next_id(e),
		.partner = r->partner,
		.kind = INBOX_LIST,
		.account = r->account,
		.attempt = f->attempt != NULL ? f->attempt->id : 0,
		.raw = describe(e, f->facts, f->item),
		.verdict = f->verdict,
		.detail = str_c(f->detail),
		.received_ms = e->now_ms};
	struct str word = f->facts != NULL ? f->facts->word : STR("");
	struct str key = arena_printf(
		&e->arena, "list %.*s %.*s %s", STR_ARG(f->item), STR_ARG(word), f->detail);
	int rc;

	vault_digest(key, row.key);
	rc = STORE(e, inbox_insert, &row);
	if (rc == 0) {
		*id_out = row.id;
		e->stats.findings++;
		engine_alarm(e, "reconcile_finding",
			f->attempt != NULL ? f->attempt->our_ref : f->item, f->detail);
	}
	return rc;
}

static int park(struct engine *e, const struct reconciliation_row *r, const struct finding *f)
{
	uint64_t id;
	int rc = keep(e, r, f, &id);

	return rc == TAMA_EEXIST ? 0 : rc;
}

/* ---- the provider's list -----------------------------------------------------------------------
 */

/* The facts of a row that say all that its provider's evidence demands. */
static bool is_proof(struct engine *e, const struct account *account, const struct attempt_row *a,
	const struct facts *facts)
{
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];

	attempt_terms_of(e, a, &terms, national);
	return provider_word(account->profile, facts) == WORD_SUCCESS &&
	       provider_mismatch(account->profile, facts, &terms, account->profile->ipn_must_match,
		       true) == 0;
}

/* The row is evidence: it moves the attempt by the table of 2.6, as an IPN would. */
static int conclude(struct engine *e, const struct reconciliation_row *r, struct finding *f,
	struct engine_case *c, enum attempt_event what)
{
	struct attempt_step step = attempt_step(c->attempt.state, what);
	uint64_t evidence;
	int rc;

	f->verdict = news_verdict(&step);
	rc = keep(e, r, f, &evidence);
	if (rc != 0)
		return rc == TAMA_EEXIST ? 0 : rc;
	if (is_never_sent(c->attempt.state))
		rc = news_hold(e, c);
	if (step.kind == STEP_MOVE && c->attempt.provider_id.n == 0)
		c->attempt.provider_id = arena_str(&e->arena, f->facts->id);
	if (rc == 0)
		rc = case_apply(e, c, what, evidence, &step);
	return rc == 0 && step.next == ATTEMPT_CONTRADICTED ? poll_confirm(e, &c->attempt) : rc;
}

/* The row is a hint, and where it speaks against an end also for a person. */
static int ask(struct engine *e, const struct reconciliation_row *r, struct finding *f,
	struct engine_case *c)
{
	uint64_t evidence;
	int rc;

	f->verdict = attempt_is_queried(c->attempt.state) ? VERDICT_HINT : VERDICT_CONTRADICTION;
	rc = keep(e, r, f, &evidence);
	if (rc != 0 && rc != TAMA_EEXIST)
		return rc;
	return news_ask(e, c, arena_str(&e->arena, f->facts->id));
}

static int late(struct engine *e, struct reconciliation_row *r, const struct facts *facts,
	const struct attempt_row *a, const struct account *account)
{
	struct finding f = {.item = reconcile_item(facts),
		.facts = facts,
		.attempt = a,
		.detail = "executed there, not carried out here"};
	struct engine_case c;
	int rc = case_load(e, r->partner, a->id, &c);

	if (rc != 0)
		return rc;
	r->late++;
	if (is_never_sent(a->state))
		f.detail = "there, and never sent by us";
	else if (a->state == ATTEMPT_NOT_SENT)
		f.detail = "there, and nothing had left";
	if (is_proof(e, account, a, facts))
		return conclude(e, r, &f, &c, AEV_SUCCESS);
	if (is_never_sent(a->state) || a->state == ATTEMPT_NOT_SENT)
		return conclude(e, r, &f, &c, AEV_ACCEPTED);
	return ask(e, r, &f, &c);
}

/* Other facts than ours; and an end that we know as a success is asked about (2.6). */
static int differs(struct engine *e, struct reconciliation_row *r, const struct facts *facts,
	const struct attempt_row *a, const struct account *account)
{
	const struct finding f = {.item = reconcile_item(facts),
		.facts = facts,
		.attempt = a,
		.verdict = VERDICT_MISMATCH,
		.detail = "not as we asked for it"};
	struct engine_case c;
	int rc = park(e, r, &f);

	r->differing++;
	if (rc != 0 || a->state != ATTEMPT_SUCCEEDED ||
		provider_word(account->profile, facts) != WORD_FAILURE)
		return rc;
	rc = case_load(e, r->partner, a->id, &c);
	return rc == 0 ? news_ask(e, &c, arena_str(&e->arena, facts->id)) : rc;
}

static int unknown(struct engine *e, struct reconciliation_row *r, const struct facts *facts)
{
	const struct finding f = {.item = reconcile_item(facts),
		.facts = facts,
		.verdict = VERDICT_ORPHAN,
		.detail = "there, and nothing we know"};

	r->unknown++;
	return park(e, r, &f);
}

static int find_attempt(struct engine *e, const struct reconciliation_row *r,
	const struct facts *facts, struct attempt_row *out)
{
	int rc = TAMA_ENOTFOUND;

	if (facts->our_ref.n > 0)
		rc = STORE(e, attempt_by_ref, r->partner, facts->our_ref, &e->arena, out);
	if (rc == TAMA_ENOTFOUND && facts->id.n > 0)
		rc = STORE(e, attempt_by_provider_id, r->partner, r->account, facts->id, &e->arena,
			out);
	return rc == 0 && !str_eq(out->account, r->account) ? TAMA_ENOTFOUND : rc;
}

static enum listing_finding judge(struct engine *e, const struct account *account,
	const struct facts *facts, const struct attempt_row *a)
{
	struct attempt_terms terms;
	char national[MSISDN_MAX + 2];
	enum reply_word word = provider_word(account->profile, facts);

	/*
	 * That it is there at all is the news, whatever else the row says. But one that we know to
	 * have ended without a send may well be listed as failed: nothing ran either way.
	 */
	if (is_never_sent(a->state) || (a->state == ATTEMPT_NOT_SENT && word != WORD_FAILURE))
		return LISTING_LATE;
	attempt_terms_of(e, a, &terms, national);
	if (provider_mismatch(account->profile, facts, &terms, MATCH_ID | MATCH_AMOUNT, false) != 0)
		return LISTING_DIFFERS;
	if (word == WORD_FAILURE)
		return a->state == ATTEMPT_SUCCEEDED ? LISTING_DIFFERS : LISTING_MATCHED;
	return a->state == ATTEMPT_SUCCEEDED ? LISTING_MATCHED : LISTING_LATE;
}

static int take_known(struct engine *e, struct reconciliation_row *r, const struct facts *facts,
	const struct attempt_row *a, const struct account *account)
{
	enum listing_finding finding = judge(e, account, facts, a);
	int rc = put_listing(e, r, reconcile_item(facts), a, finding, a->amount);

	if (rc != 0)
		return rc == TAMA_EEXIST ? 0 : rc;
	switch (finding) {
	case LISTING_MATCHED:
		r->matched++;
		return 0;
	case LISTING_LATE:
		return late(e, r, facts, a, account);
	case LISTING_DIFFERS:
		return differs(e, r, facts, a, account);
	case LISTING_MISSING:
	case LISTING_UNKNOWN:
		break;
	}
	return TAMA_EINVAL;
}

int reconcile_listed(struct engine *e, struct reconciliation_row *r, const struct facts *facts,
	const struct account *account)
{
	struct attempt_row a;
	int64_t amount = 0;
	int rc;

	if (!facts->is_valid || reconcile_item(facts).n == 0)
		return 0;
	rc = find_attempt(e, r, facts, &a);
	/* News of what was never sent is of the day that finds it first. */
	if (rc == 0)
		return a.sent_ms == 0 || is_sent_on(&a, r->day)
			       ? take_known(e, r, facts, &a, account)
			       : 0;
	if (rc != TAMA_ENOTFOUND || provider_word(account->profile, facts) == WORD_FAILURE)
		return rc == TAMA_ENOTFOUND ? 0 : rc;
	(void)money_parse_wire(facts->amount, account->currency, &amount);
	rc = put_listing(e, r, reconcile_item(facts), NULL, LISTING_UNKNOWN, amount);
	if (rc == TAMA_EEXIST)
		return 0;
	return rc == 0 ? unknown(e, r, facts) : rc;
}

/* ---- ours that the list lacks ------------------------------------------------------------------
 */

/* What succeeded only after the list was begun may rightly be missing from it. */
static bool is_expected(const struct reconciliation_row *r, const struct attempt_row *a)
{
	return is_sent_on(a, r->day) && a->updated_ms < r->begun_ms;
}

int reconcile_sought(struct engine *e, struct reconciliation_row *r, const struct attempt_row *a)
{
	struct finding f = {.item = a->provider_id.n > 0 ? a->provider_id : a->our_ref,
		.attempt = a,
		.verdict = VERDICT_CONTRADICTION,
		.detail = "carried out here, absent there"};
	enum listing_finding finding;
	int rc;

	if (!is_expected(r, a))
		return 0;
	rc = STORE(e, listing_of, r->partner, a->id, r->begun_ms, &finding);
	if (rc != TAMA_ENOTFOUND)
		return rc;
	rc = put_listing(e, r, f.item, a, LISTING_MISSING, a->amount);
	if (rc != 0)
		return rc == TAMA_EEXIST ? 0 : rc;
	r->missing++;
	return park(e, r, &f);
}
