/*
 * Telephone numbers. Inside Tama an MSISDN is E.164 digits without '+' ("2250701020304"), at most
 * MSISDN_MAX of them. Countries come from configuration as struct numbering_plan; a leading 0 that
 * belongs to the number is never dropped (Côte d'Ivoire since 2021), a trunk 0 is (Uganda).
 */
#ifndef TAMA_MSISDN_H
#define TAMA_MSISDN_H

#include "tama/limits.h"
#include "tama/str.h"

struct msisdn {
	char digits[MSISDN_MAX + 1]; /* NUL-terminated; empty when unknown */
};

/* What one country's numbers look like. Borrowed from the configuration. */
struct numbering_plan {
	struct str iso; /* "CI" */
	struct str cc; /* country code: "225" */
	struct str trunk; /* "0" or empty */
	unsigned nsn_len; /* digits of the national significant number */
	const struct str *mobile; /* prefixes of the NSN that are mobile: "01", "05", "07" */
	size_t mobile_len;
	struct str groups; /* how a number is read: "22222" = 07 01 02 03 04 */
};

/*
 * Reads an MSISDN as an aggregator sends it: optional "tel:", '+' (or the blank that an unencoded
 * '+' becomes, or 00) and 7 to 15 digits, international. With a plan (it may be NULL), the national
 * form of a mobile number is completed. 0, or TAMA_EINVAL and *out untouched.
 */
int msisdn_parse_wire(struct str s, const struct numbering_plan *plan, struct msisdn *out);

/*
 * Reads a number a person typed: national or international (+, 00), blanks, dots and hyphens
 * allowed, ASCII digits only, and it must be a mobile number of the plan. 0; TAMA_EINVAL when it is
 * not; TAMA_ENOTFOUND when it is a number of another country, with + or 00; TAMA_EDOUBT for an old
 * 8-digit Ivorian number, which cannot be completed from its digits alone (C "Recent changes").
 */
int msisdn_parse_typed(struct str s, const struct numbering_plan *plan, struct msisdn *out);

/* The national form, trunk prefix included: "0701020304", "0772123456". Empty if not of the plan.
 */
void msisdn_national(
	const struct msisdn *m, const struct numbering_plan *plan, char out[static MSISDN_MAX + 2]);

/*
 * The national form in groups for a screen: "07 01 02 03 04"; "+256772123456" when it is not of the
 * plan, which may be NULL. out has room for twice the digits.
 */
void msisdn_grouped(const struct msisdn *m, const struct numbering_plan *plan,
	char out[static 2 * MSISDN_MAX + 2]);

/*
 * For logs: "+2250*******04": country-ish head and the last two digits, nothing between. Short
 * numbers show less, below 8 digits nothing; what is not a digit is masked, what is beyond 15 left
 * out.
 */
void msisdn_mask(struct str digits, char out[static MSISDN_MAX + 2]);

#endif
