/*
 * The persons at night: two users who look at cases, ask the provider what it did, and decide. Now
 * and then one of them tries alone, or decides what is not to be decided: that must be refused.
 */
#include "sim.h"

static const char *const users[] = {"awa", "binta"};

struct person_case {
	enum decision_kind kind;
	uint64_t subject;
	uint32_t partner;
};

static void decide(struct sim *s, const struct person_case *c, unsigned user)
{
	struct engine_event *event = sim_event(s, ENGINE_DECISION, user);

	event->as.decision = (struct engine_decision){.partner = c->partner,
		.kind = c->kind,
		.subject = c->subject,
		.user = str_c(users[user]),
		.proof = STR("the provider's own list")};
}

/* The second person looks at what the first has proposed; the first alone is told so. */
void person_answered(struct sim *s, const struct engine_event *event, size_t user)
{
	const struct engine_decision *d = &event->as.decision;
	const struct person_case c = {d->kind, d->subject, d->partner};

	s->report->decisions += event->outcome == ENGINE_DONE;
	if (event->outcome == ENGINE_DONE && d->kind != DECIDE_DISMISS && user != 1)
		sim_break(s, &s->report->unexplained, "5.6: one person decided alone");
	if (event->outcome == ENGINE_SAME_PERSON && user != 0)
		sim_break(s, &s->report->unexplained, "5.6: two persons are taken for one");
	/* A proposal of the night before, whose second person was not heard. */
	if (event->outcome == ENGINE_SAME_PERSON)
		decide(s, &c, 1);
	if (event->outcome != ENGINE_PROPOSED)
		return;
	if (user != 0)
		sim_break(s, &s->report->unexplained, "5.6: the second person is the first");
	/* Now and then the first alone, who then calls the second. */
	decide(s, &c, sim_below(s, 0, 4) == 0 ? 0 : 1);
}

/* What the provider says when asked about an attempt in doubt; by hand they do it themselves. */
static enum decision_kind kind_of(struct sim *s, uint64_t attempt, bool is_by_hand)
{
	struct sent *sent = sim_sent_of(s, attempt);

	if (is_by_hand)
		sent->done = sent->right = 1;
	else if (sim_below(s, 0, 8) == 0)
		return DECIDE_WRITE_OFF; /* nobody answers there; proof may turn up another night */
	for (size_t i = 0; i < s->orders_len; i++)
		if (s->orders[i].sent == (size_t)(sent - s->sent) &&
			s->orders[i].state == ORDER_PENDING)
			return DECIDE_WRITE_OFF; /* not even the provider knows */
	return sent->done > 0 ? DECIDE_SUCCEEDED : DECIDE_FAILED;
}

/* Cases of one sort: the ids and partners that an SQL text yields. */
static void look_at(struct sim *s, const char *sql, enum decision_kind kind)
{
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sim_handle(s), sql, -1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		struct person_case c = {kind, (uint64_t)sqlite3_column_int64(row, 0),
			(uint32_t)sqlite3_column_int64(row, 1)};

		if (sim_below(s, 0, 3) == 0)
			continue; /* tomorrow */
		if (kind == DECIDE_SUCCEEDED)
			c.kind = kind_of(s, c.subject, sqlite3_column_int(row, 2) != 0);
		decide(s, &c, 0);
	}
	(void)sqlite3_finalize(row);
}

/* After a copy was put back every case is looked at before anything goes out again. */
void person_releases(struct sim *s)
{
	bool has_looked = s->restored_ms == 0 || s->now_ms - s->restored_ms > 12 * SIM_HOUR;

	if (s->is_up && has_looked)
		look_at(s, "SELECT id, partner FROM hold WHERE released_ms IS NULL ORDER BY id",
			DECIDE_RELEASE);
}

void person_looks(struct sim *s)
{
	if (!s->is_up)
		return;
	look_at(s,
		"SELECT id, partner, verb = 'by_hand' FROM attempt WHERE state IN (9, 10, 11) ORDER"
		" BY id",
		DECIDE_SUCCEEDED);
	look_at(s,
		"SELECT id, partner FROM purchase WHERE state = 8 AND NOT EXISTS (SELECT 1 FROM"
		" attempt WHERE purchase = purchase.id AND leg = 3) ORDER BY id",
		DECIDE_REFUND);
	look_at(s,
		"SELECT id, partner FROM purchase WHERE state = 3 AND NOT has_deliver AND id % 50 ="
		" 0",
		DECIDE_REFUND);
	look_at(s,
		"SELECT id, partner FROM inbox WHERE verdict IN (4, 5, 6, 9, 10) AND dismissed = 0"
		" ORDER BY id LIMIT 5",
		DECIDE_DISMISS);
}
