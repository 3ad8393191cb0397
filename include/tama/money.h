/*
 * Amounts: int64_t minor units of a currency. XOF and UGX have no minor unit (ISO 4217), so there
 * one unit is one franc or shilling. No floating point anywhere; text from outside either is
 * exactly an amount or is refused, never rounded (promise 9).
 */
#ifndef TAMA_MONEY_H
#define TAMA_MONEY_H

#include "tama/str.h"

/* The highest amount any part of Tama accepts; sums of a million of them still fit an int64_t. */
#define MONEY_MAX INT64_C(1000000000000)

struct currency {
	const char *code; /* ISO 4217, "XOF" */
	const char *symbol; /* what a phone shows after the amount: "F", "UGX" */
	unsigned minor_units; /* decimals: 0 or 2 */
};

/* The currency by its ISO code in any case; NULL when we do not know it. Static lifetime. */
const struct currency *currency_find(struct str code);

/*
 * Reads an amount off the wire: optional sign, digits, optionally '.' and decimals ("1000",
 * "1000.00", "-1000.0"). Decimals beyond the currency's must be zeros. 0, or TAMA_EINVAL for
 * anything else: exponents, blanks, hexadecimal, group marks, other digits, beyond MONEY_MAX.
 */
int money_parse_wire(struct str s, const struct currency *cur, int64_t *out);

/*
 * Reads an amount a person typed, in whole units: "500", "1 000", "1.000", "1,000", "500F",
 * "FCFA 1000", "1000 XOF". In a currency with decimals '.' and ',' are ambiguous and refused
 * (sms-gsm-numbering.md D.1). 0, or TAMA_EINVAL. Zero, negative amounts, decimals and leading zeros
 * ("0.500", a telephone number) are refused.
 */
int money_parse_typed(struct str s, const struct currency *cur, int64_t *out);

/*
 * As people read it: "1 500 F", "20 000 UGX", "12.50 KES", "100 KES" (decimals only when they are
 * not zero). out needs MONEY_TEXT_MAX bytes.
 */
#define MONEY_TEXT_MAX 40
void money_format(int64_t amount, const struct currency *cur, char out[static MONEY_TEXT_MAX]);

/* As wires want it: "1500" or "12.50". */
void money_format_wire(int64_t amount, const struct currency *cur, char out[static MONEY_TEXT_MAX]);

#endif
