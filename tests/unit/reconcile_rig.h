/* The rig of floats, with a provider that shows its list page by page. */
#ifndef TAMA_RECONCILE_RIG_H
#define TAMA_RECONCILE_RIG_H

#include "float_rig.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static inline int64_t today(const struct rig *r)
{
	return r->now_ms / DAY;
}

static inline enum engine_outcome reconcile(struct rig *r, struct str account, int64_t day)
{
	struct engine_reconcile *ask = &rig_event(r, ENGINE_RECONCILE)->as.reconcile;

	*ask = (struct engine_reconcile){.partner = 1, .account = account, .day = day};
	rig_step(r);
	return r->outcome;
}

/* A page of the list with up to two rows; its facts live as long as the test. */
static inline struct engine_account *page(
	struct rig *r, uint32_t number, const struct facts *rows, size_t rows_len)
{
	struct engine_account *told = float_told(r, XENTE, PROVIDER_LIST, "");

	told->day = today(r);
	told->page = number;
	told->rows = rows;
	told->rows_len = rows_len;
	return told;
}

static inline void answer_page(
	struct rig *r, uint32_t number, const struct facts *rows, size_t rows_len)
{
	(void)page(r, number, rows, rows_len);
	rig_step(r);
}

/* A list of one page for the day that has begun. */
static inline void list_today(struct rig *r, const struct facts *rows, size_t rows_len)
{
	(void)reconcile(r, XENTE, today(r));
	answer_page(r, 1, rows, rows_len);
	answer_page(r, 2, NULL, 0);
}

static inline struct reconciliation_row day_row(struct rig *r, struct str account, int64_t day)
{
	struct reconciliation_row row = {0};

	assert_int_equal(r->real->reconciliation_get(r->fx.store, 1, account, day, &row), 0);
	return row;
}

static inline struct reconciliation_row day_of(struct rig *r)
{
	return day_row(r, XENTE, today(r));
}

/* As xente.md 2.4 shows a row: no status, the amount of a payout negative. */
static inline struct facts listed(const struct attempt_row *a, const char *id)
{
	static char refs[4][40], amounts[4][24];
	static unsigned n;
	unsigned i = n++ % 4;

	(void)snprintf(refs[i], sizeof(refs[i]), "%.*s", STR_ARG(a->our_ref));
	(void)snprintf(amounts[i], sizeof(amounts[i]), "%s%lld.00",
		a->leg == LEG_DELIVER ? "-" : "", (long long)a->amount);
	return (struct facts){.id = str_c(id),
		.our_ref = str_c(refs[i]),
		.amount = str_c(amounts[i]),
		.currency = STR("UGX"),
		.is_valid = true};
}

/* One purchase in Uganda, delivered; its two rows of the list. */
static inline void bring_sold(struct rig *r, struct facts rows[static 2])
{
	struct attempt_row a;

	float_balance(r, XENTE, "5000");
	assert_int_equal(rig_buy(r, "ug-airtime", UG, UG, 1), ENGINE_DONE);
	rig_wait(r, 6000);
	a = rig_send(r);
	rows[0] = listed(&a, "X1");
	rig_reply(r, &a, "SUCCESS", "X1");
	a = rig_send(r);
	rows[1] = listed(&a, "X2");
	rig_reply(r, &a, "SUCCESS", "X2");
	r->now_ms += 1000;
	rig_step(r);
	rig_forget(r);
}

#endif
