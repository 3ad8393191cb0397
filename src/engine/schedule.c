/*
 * What an attempt waits for: its rows in the outbox. Whatever state it is in, an open attempt waits
 * for something that will happen (promise 4), and what is settled may be asked about once more.
 */
#include "engine_priv.h"

#include "tama/limits.h"

/* UNIQUE(purchase, kind, seq) of rows that belong to one attempt. */
static uint32_t row_seq(const struct attempt_row *attempt)
{
	return (uint32_t)attempt->leg << 8 | attempt->n;
}

int64_t attempt_expires_ms(const struct attempt_row *attempt)
{
	int64_t wait_ms = LIMIT_READY_MS;

	if (attempt->leg == LEG_DELIVER)
		wait_ms = LIMIT_DELIVER_READY_MS;
	else if (attempt->leg == LEG_REFUND)
		wait_ms = LIMIT_REFUND_READY_MS;
	return attempt->created_ms + wait_ms;
}

bool attempt_is_queried(enum attempt_state state)
{
	return state == ATTEMPT_SENDING || state == ATTEMPT_ACCEPTED || state == ATTEMPT_UNKNOWN ||
	       state == ATTEMPT_REVIEW;
}

int attempt_wait(
	struct engine *e, const struct attempt_row *attempt, enum outbox_kind kind, int64_t due_ms)
{
	struct outbox_row row = {
		.id = engine_next_id(e),
		.partner = attempt->partner,
		.kind = kind,
		.purchase = attempt->purchase,
		.attempt = attempt->id,
		.seq = row_seq(attempt),
		.due_ms = due_ms,
	};

	return STORE(e, outbox_insert, &row);
}

/* How long after the send the first query later than elapsed_ms is due: by the table, then daily.
 */
static int64_t poll_delay(const struct account *account, int64_t elapsed_ms)
{
	const int64_t day_ms = 24 * 3600 * (int64_t)1000;
	int64_t first_ms = account != NULL ? account->profile->first_poll_ms : LIMIT_READY_MS;
	size_t n = account != NULL ? account->polls_len : 0;
	int64_t delay_ms = first_ms;

	for (size_t i = 0; i < n; i++) {
		delay_ms = account->polls_ms[i] > first_ms ? account->polls_ms[i] : first_ms;
		if (delay_ms > elapsed_ms)
			return delay_ms;
	}
	if (delay_ms > elapsed_ms)
		return delay_ms;
	return delay_ms + ((elapsed_ms - delay_ms) / day_ms + 1) * day_ms;
}

/* Its rules may allow none any more, and without the provider's id there is nothing to ask for. */
static int poll_insert(struct engine *e, const struct attempt_row *attempt)
{
	const struct account *account = engine_account(e, attempt);
	int64_t delay_ms = poll_delay(account, e->now_ms - attempt->sent_ms);
	uint16_t chance;

	if (delay_ms > LIMIT_POLL_MS || !attempt_can_be_asked(account, attempt))
		return 0;
	e->world.random(e->world.ctx, &chance, sizeof(chance));
	delay_ms += chance % (delay_ms < 120000 ? delay_ms / 4 + 1 : 30000);
	return attempt_wait(e, attempt, OUTBOX_POLL, attempt->sent_ms + delay_ms);
}

int poll_next(struct engine *e, const struct attempt_row *attempt)
{
	int rc = STORE(e, outbox_cancel, attempt->partner, attempt->id, OUTBOX_POLL);

	return rc == 0 ? poll_insert(e, attempt) : rc;
}

int poll_at(struct engine *e, const struct attempt_row *attempt, int64_t due_ms)
{
	int rc = STORE(e, outbox_cancel, attempt->partner, attempt->id, OUTBOX_POLL);

	return rc == 0 ? attempt_wait(e, attempt, OUTBOX_POLL, due_ms) : rc;
}

int poll_confirm(struct engine *e, const struct attempt_row *attempt)
{
	const struct account *account = engine_account(e, attempt);
	int64_t due_ms = e->now_ms;

	if (account == NULL || attempt->provider_id.n == 0)
		return 0;
	if (due_ms < attempt->sent_ms + account->profile->first_poll_ms)
		due_ms = attempt->sent_ms + account->profile->first_poll_ms;
	return poll_at(e, attempt, due_ms);
}

bool poll_is_over(const struct account *account, const struct attempt_row *attempt,
	const struct outbox_row *row)
{
	bool is_gone = account == NULL; /* and what waits for its answer would wait for ever */

	if (!attempt_can_be_asked(account, attempt) || attempt->state == ATTEMPT_READY ||
		attempt->state == ATTEMPT_EXPIRED)
		return true;
	return !attempt_is_queried(attempt->state) && (is_gone || row->tries >= LIMIT_ASK_TRIES);
}

int poll_holds(struct engine *e, const struct attempt_row *attempt, bool *holds_out)
{
	int rc = STORE(e, purchase_asked, attempt->partner, attempt->purchase, attempt->id);

	*holds_out = rc == 0;
	return rc == TAMA_ENOTFOUND ? 0 : rc;
}

int poll_answered(struct engine *e, const struct attempt_row *attempt, bool is_end)
{
	if (attempt_is_queried(attempt->state))
		return poll_next(e, attempt);
	return is_end ? STORE(e, outbox_cancel, attempt->partner, attempt->id, OUTBOX_POLL) : 0;
}

/*
 * When a request under way becomes a doubt, and a doubt a person's: counted from the send, however
 * often the answers have changed since.
 */
static int64_t deadline_ms(struct engine *e, const struct attempt_row *attempt)
{
	bool is_asked = attempt_can_be_asked(engine_account(e, attempt), attempt);
	int64_t wait_ms = is_asked ? LIMIT_REVIEW_MS : LIMIT_REVIEW_BLIND_MS;
	int64_t at_ms;

	if (attempt->state == ATTEMPT_SENDING)
		wait_ms = LIMIT_SENDING_MS;
	at_ms = attempt->sent_ms + wait_ms;
	return at_ms > e->now_ms ? at_ms : e->now_ms;
}

/*
 * SENDING waits for its time to run out, ACCEPTED and UNKNOWN for a query or for the deadline that
 * calls a person, who may be spared by a query still. A query that is owed already stays as it is:
 * a hint may have asked for it before our own reply came.
 */
int attempt_schedule(struct engine *e, const struct attempt_row *attempt)
{
	bool keeps_query = attempt->state == ATTEMPT_ACCEPTED || attempt->state == ATTEMPT_UNKNOWN;
	int rc = STORE(
		e, outbox_cancel, attempt->partner, attempt->id, keeps_query ? OUTBOX_DEADLINE : 0);

	if (rc != 0)
		return rc;
	switch (attempt->state) {
	case ATTEMPT_SENDING:
		return attempt_wait(e, attempt, OUTBOX_DEADLINE, deadline_ms(e, attempt));
	case ATTEMPT_ACCEPTED:
	case ATTEMPT_UNKNOWN:
		rc = attempt_wait(e, attempt, OUTBOX_DEADLINE, deadline_ms(e, attempt));
		if (rc != 0)
			return rc;
		rc = poll_insert(e, attempt);
		return rc == TAMA_EEXIST ? 0 : rc;
	case ATTEMPT_REVIEW:
		return poll_insert(e, attempt);
	case ATTEMPT_CONTRADICTED:
	case ATTEMPT_READY:
	case ATTEMPT_NOT_SENT:
	case ATTEMPT_SUCCEEDED:
	case ATTEMPT_FAILED:
	case ATTEMPT_EXPIRED:
	case ATTEMPT_WRITTEN_OFF:
	case ATTEMPT_STATES:
		break;
	}
	return 0;
}

int learn_id(struct engine *e, struct attempt_row *attempt, struct str provider_id)
{
	int rc;

	attempt->provider_id = provider_id;
	rc = STORE(e, attempt_update, attempt);
	if (rc != 0)
		return rc;
	attempt->version++;
	return attempt_is_queried(attempt->state) ? attempt_schedule(e, attempt) : 0;
}
