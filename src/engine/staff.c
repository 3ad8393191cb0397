/*
 * What one person may give back by hand within a day (reliability.md 5.5): counted over what he
 * proposed and what he agreed to, so that two who always act together have no more than either.
 */
#include "engine_priv.h"

#define DAY_MS INT64_C(86400000)

static int64_t limit_of(const struct staff_limits *staff, struct str currency)
{
	for (size_t i = 0; i < staff->amounts_len; i++)
		if (str_eq(currency, str_c(staff->amounts[i].currency->code)))
			return staff->amounts[i].amount;
	return INT64_MAX;
}

int staff_check_refund(
	struct engine *e, const struct purchase_row *p, struct str user, const char **reason)
{
	const struct staff_limits *staff = &e->config->staff;
	struct staff_refunds begun;
	int rc = STORE(e, decision_refunds, p, user, e->now_ms - DAY_MS, &begun);

	if (rc != 0)
		return rc;
	if (staff->refunds_a_day > 0 && begun.count >= staff->refunds_a_day)
		*reason = "you have begun as many refunds by hand as one person may within a day: "
			  "somebody else must, or wait";
	else if (p->price > limit_of(staff, p->currency) - begun.amount)
		*reason = "it would be more money than one person may refund by hand within a day: "
			  "somebody else must, or wait";
	return 0;
}
