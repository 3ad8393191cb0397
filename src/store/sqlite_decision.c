/* What persons decide, and the holds that only they release. */
#include "sqlite_priv.h"

/* Two in one row: neither can stand in for the other. */
static struct seal seal_of_proof(const struct decision_row *row)
{
	return seal_of(VAULT_DECISION, 'd', row->partner, row->id);
}

static struct seal seal_of_agreed_proof(const struct decision_row *row)
{
	return seal_of(VAULT_DECISION, 'g', row->partner, row->id);
}

static void bind_subject(struct query *query, const struct decision_row *row)
{
	query_i64(query, ":partner", row->partner);
	query_i64(query, ":kind", row->kind);
	query_id(query, ":purchase", row->purchase);
	query_id(query, ":attempt", row->attempt);
	query_id(query, ":inbox", row->inbox);
	query_id(query, ":hold", row->hold);
}

int sqlite_decision_insert(struct store *base, const struct decision_row *row)
{
	struct seal seal = seal_of_proof(row);
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_DECISION_INSERT);

	bind_subject(&query, row);
	query_i64(&query, ":id", (int64_t)row->id);
	query_str(&query, ":proposed_by", row->proposed_by);
	query_i64(&query, ":proposed_ms", row->proposed_ms);
	query_sealed(&query, ":proof", &seal, row->proof);
	return query_run(&query, NULL);
}

int sqlite_decision_open(struct store *base, const struct decision_row *like, struct arena *arena,
	struct decision_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_DECISION_OPEN);
	struct decision_row row = *like;

	bind_subject(&query, like);
	int result = query_step(&query);
	if (result == 1) {
		row.id = (uint64_t)query_get_i64(&query);
		row.proposed_by = query_get_str(&query, arena);
		row.proposed_ms = query_get_i64(&query);
		struct seal seal = seal_of_proof(&row);
		row.proof = query_get_sealed(&query, &seal, arena);
		row.state = DECISION_PROPOSED;
	}
	int ended = query_end(&query);
	if (result <= 0)
		return result == 0 ? TAMA_ENOTFOUND : result;
	if (ended != 0)
		return ended;
	if (arena_overflowed(arena))
		return TAMA_ENOMEM;
	*out = row;
	return 0;
}

int sqlite_decision_refunds(struct store *base, const struct purchase_row *p, struct str user,
	int64_t since_ms, struct staff_refunds *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_DECISION_REFUNDS);

	query_i64(&query, ":partner", p->partner);
	query_i64(&query, ":purchase", (int64_t)p->id);
	query_str(&query, ":currency", p->currency);
	query_str(&query, ":user", user);
	query_i64(&query, ":since", since_ms);
	int result = query_step(&query);
	if (result == 1) {
		out->count = query_get_i64(&query);
		out->amount = query_get_i64(&query);
	}
	int ended = query_end(&query);
	return result < 0 ? result : ended;
}

int sqlite_decision_close(struct store *base, const struct decision_row *row)
{
	struct seal seal = seal_of_agreed_proof(row);
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_DECISION_CLOSE);
	int changes = 0;

	query_i64(&query, ":id", (int64_t)row->id);
	query_i64(&query, ":partner", row->partner);
	query_i64(&query, ":agreed_ms", row->agreed_ms);
	/* Unbound is NULL: nobody agreed. */
	if (row->agreed_by.n > 0)
		query_str(&query, ":agreed_by", row->agreed_by);
	if (row->agreed_proof.n > 0)
		query_sealed(&query, ":agreed_proof", &seal, row->agreed_proof);
	query_i64(&query, ":state", row->state);
	int result = query_run(&query, &changes);
	return result == 0 && changes == 0 ? TAMA_ENOTFOUND : result;
}

int sqlite_inbox_dismiss(struct store *base, uint32_t partner, uint64_t id)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_INBOX_DISMISS);
	int changes = 0;

	query_i64(&query, ":id", (int64_t)id);
	query_i64(&query, ":partner", partner);
	int result = query_run(&query, &changes);
	return result == 0 && changes == 0 ? TAMA_ENOTFOUND : result;
}

int sqlite_hold_insert(struct store *base, const struct hold_row *row)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_HOLD_INSERT);

	query_i64(&query, ":id", (int64_t)row->id);
	query_i64(&query, ":partner", row->partner);
	query_str(&query, ":account", row->account);
	query_str(&query, ":reason", row->reason);
	query_i64(&query, ":since_ms", row->since_ms);
	return query_run(&query, NULL);
}

int sqlite_hold_release(struct store *base, uint32_t partner, uint64_t id, int64_t now_ms)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_HOLD_RELEASE);
	int changes = 0;

	query_i64(&query, ":id", (int64_t)id);
	query_i64(&query, ":partner", partner);
	query_i64(&query, ":now", now_ms);
	int result = query_run(&query, &changes);
	return result == 0 && changes == 0 ? TAMA_ENOTFOUND : result;
}

int sqlite_hold_list(struct store *base, struct arena *arena, struct hold_row *out, size_t max)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_HOLD_LIST);
	size_t n = 0;
	int result = 0;

	query_i64(&query, ":max", (int64_t)max);
	while (n < max && (result = query_step(&query)) == 1) {
		out[n].id = (uint64_t)query_get_i64(&query);
		out[n].partner = (uint32_t)query_get_i64(&query);
		out[n].account = query_get_str(&query, arena);
		out[n].reason = query_get_str(&query, arena);
		out[n].since_ms = query_get_i64(&query);
		n++;
	}
	(void)query_end(&query);
	if (result < 0)
		return result;
	return arena_overflowed(arena) ? TAMA_ENOMEM : (int)n;
}
