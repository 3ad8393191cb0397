/* What must hold: reliability.md 2.9, from three books that know nothing of each other. */
#include "sim.h"

void check_purchase(struct sim *s, uint64_t purchase)
{
	const char *broken = fx_broken(&s->fx, purchase);

	if (broken != NULL)
		sim_break(s, &s->report->unexplained, "%s (purchase %llu)", broken,
			(unsigned long long)purchase);
}

void check_execution(struct sim *s, const struct order *order)
{
	const struct request *mine = &s->requests[order->request];
	unsigned times = 0;

	for (size_t i = 0; i < s->orders_len; i++) {
		const struct request *r = &s->requests[s->orders[i].request];

		times += s->orders[i].state == ORDER_DONE && r->purchase == mine->purchase &&
			 strcmp(r->verb, mine->verb) == 0;
	}
	if (times > 1)
		sim_break(s, &s->report->doubled, "X1: %s carried out twice", mine->verb);
}

static int64_t sql(struct sim *s, const char *text)
{
	return fx_sql(s->fx.store, text, 0);
}

/* X2: our word about each attempt against the provider's ledger. */
static void check_attempt(struct sim *s, sqlite3_stmt *row)
{
	const char *our_ref = (const char *)sqlite3_column_text(row, 0);
	enum attempt_state state = (enum attempt_state)sqlite3_column_int(row, 1);
	int64_t amount = sqlite3_column_int64(row, 2);
	unsigned done = 0, right = 0;
	bool has_lied = false;

	for (size_t i = 0; i < s->orders_len; i++) {
		const struct order *o = &s->orders[i];

		if (strcmp(s->requests[o->request].our_ref, our_ref) != 0)
			continue;
		done += o->state == ORDER_DONE;
		right += o->state == ORDER_DONE && o->amount == amount;
		has_lied = has_lied || o->has_lied;
	}
	if (has_lied)
		return;
	if (state == ATTEMPT_SUCCEEDED && (done != 1 || right != 1))
		sim_break(s, &s->report->unexplained,
			"X2: %s SUCCEEDED, and the provider carried out %u", our_ref, done);
	if ((state == ATTEMPT_FAILED || state == ATTEMPT_NOT_SENT || state == ATTEMPT_EXPIRED) &&
		done != 0)
		sim_break(s, &s->report->unexplained, "X2: %s %s, and the provider carried it out",
			our_ref, attempt_state_name(state));
}

static void check_attempts(struct sim *s)
{
	sqlite3_stmt *row = NULL;

	tama_assert(
		sqlite3_prepare_v2(sqlite_store_of(s->fx.store)->db.handle,
			"SELECT our_ref, state, amount FROM attempt", -1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW)
		check_attempt(s, row);
	(void)sqlite3_finalize(row);
}

/* X3: what a customer was told against what there is. */
static void check_presses(struct sim *s)
{
	for (size_t i = 0; i < s->presses_len; i++) {
		const struct press *p = &s->presses[i];
		char text[128];
		int64_t id;

		(void)snprintf(text, sizeof(text), "SELECT id FROM purchase WHERE ref = 'R%07llu'",
			(unsigned long long)p->uid);
		id = sql(s, text);
		if (p->is_acknowledged && id == 0)
			sim_break(s, &s->report->lost, "X3: lost, though acknowledged");
		if (p->is_acknowledged && (uint64_t)id != p->purchase)
			sim_break(s, &s->report->unexplained,
				"X3: another purchase than the acknowledged one");
		if (p->is_refused && !p->is_acknowledged && !p->was_in_doubt && id != 0)
			sim_break(s, &s->report->unexplained, "X3: refused, and there is one");
	}
}

static bool is_marked(const struct sim *s, uint64_t purchase)
{
	for (size_t i = 0; i < s->faulted_len; i++)
		if (s->faulted[i] == purchase)
			return true;
	return false;
}

/* Where each purchase ended; a person is called only where something went wrong. */
static void check_purchases(struct sim *s)
{
	sqlite3_stmt *row = NULL;

	tama_assert(sqlite3_prepare_v2(sqlite_store_of(s->fx.store)->db.handle,
			    "SELECT id, state FROM purchase", -1, &row, NULL) == SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		uint64_t id = (uint64_t)sqlite3_column_int64(row, 0);
		int state = sqlite3_column_int(row, 1);
		bool is_faulted = is_marked(s, id);

		s->report->purchases++;
		s->report->faulted += is_faulted;
		s->report->states[state]++;
		s->report->reviews += state == PURCHASE_REVIEW;
		if (state == PURCHASE_REVIEW && !is_faulted)
			sim_break(s, &s->report->unexplained,
				"X5: a person is asked about a purchase without a fault");
	}
	(void)sqlite3_finalize(row);
}

void check_end(struct sim *s)
{
	check_purchase(s, 0);
	check_attempts(s);
	check_presses(s);
	check_purchases(s);
	if (sql(s, "SELECT count(*) FROM purchase q WHERE state NOT IN (9, 12) AND NOT " FX_IS_END) != 0)
		sim_break(s, &s->report->unexplained, "X5: a purchase has no end after 48 hours");
	if (sql(s, "SELECT count(*) FROM outbox WHERE kind = 3 AND is_done = 0") != 0)
		sim_break(s, &s->report->unexplained, "X5: a message is still owed after 48 hours");
	if (sql(s, "SELECT count(*) FROM outbox WHERE is_done = 0 AND kind NOT IN (2, 3)") != 0)
		sim_break(
			s, &s->report->unexplained, "X5: something is still due of what has ended");
	if (s->lies == 0 && sql(s, "SELECT count(*) FROM inbox WHERE verdict = 5") != 0)
		sim_break(s, &s->report->unexplained, "X4: a contradiction that nobody made");
}
