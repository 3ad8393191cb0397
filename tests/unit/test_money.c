/* Amounts from wires and thumbs: reliability.md F-J11. */
#include "check.h"

#include "tama/err.h"
#include "tama/money.h"

#define REFUSED INT64_MIN

struct row {
	const char *currency;
	const char *text;
	int64_t want;
};

static const struct currency *cur(const char *code)
{
	const struct currency *c = currency_find(str_c(code));
	assert_non_null(c);
	return c;
}

typedef int parse_fn(struct str s, const struct currency *cur, int64_t *out);

static void check_rows(parse_fn *parse, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t got = REFUSED;
		int rc = parse(str_c(rows[i].text), cur(rows[i].currency), &got);
		if (got != rows[i].want || rc != (rows[i].want == REFUSED ? TAMA_EINVAL : 0))
			fail_msg("\"%s\" %s gave %d, %lld", rows[i].text, rows[i].currency, rc,
				(long long)got);
	}
}

static void knows_minor_units(void **state)
{
	static const struct {
		const char *code;
		const char *symbol;
		unsigned minor_units;
	} rows[] = {
		{"XOF", "F", 0},
		{"XAF", "F", 0},
		{"UGX", "UGX", 0},
		{"GNF", "GNF", 0},
		{"RWF", "RWF", 0},
		{"CDF", "CDF", 2},
		{"KES", "KES", 2},
		{"TZS", "TZS", 2},
		{"GHS", "GHS", 2},
		{"NGN", "NGN", 2},
	};
	for (size_t i = 0; i < ROWS(rows); i++) {
		assert_string_equal(cur(rows[i].code)->symbol, rows[i].symbol);
		assert_int_equal(cur(rows[i].code)->minor_units, rows[i].minor_units);
	}
	assert_string_equal(cur("xof")->code, "XOF");
	assert_null(currency_find(STR("EUR")));
	assert_null(currency_find(STR("")));
}

static void reads_wires(void **state)
{
	static const struct row rows[] = {
		{"XOF", "1000", 1000},
		{"XOF", "1000.00", 1000},
		{"XOF", "-1000.0", -1000},
		{"XOF", "+5", 5},
		{"XOF", "0", 0},
		{"XOF", "0010", 10},
		{"KES", "100.0000", 10000},
		{"KES", "12.5", 1250},
		{"KES", "12.05", 1205},
		{"KES", "12", 1200},
		{"KES", "-0.01", -1},
		{"XOF", "1000000000000", MONEY_MAX},
		{"XOF", "-1000000000000", -MONEY_MAX},
		{"KES", "10000000000.00", MONEY_MAX},
		{"XOF", "1000000000001", REFUSED},
		{"KES", "10000000000.01", REFUSED},
		{"XOF", "9223372036854775808", REFUSED},
		{"XOF", "18446744073709551616", REFUSED},
		{"XOF", "100000000000000000000", REFUSED},
		{"XOF", "1e20", REFUSED},
		{"XOF", "1e2", REFUSED},
		{"XOF", "0x10", REFUSED},
		{"XOF", "1,000", REFUSED},
		{"XOF", "1 000", REFUSED},
		{"XOF", "٥٠٠", REFUSED},
		{"XOF", "５００", REFUSED},
		{"XOF", "1000.01", REFUSED},
		{"XOF", "1000.", REFUSED},
		{"XOF", ".5", REFUSED},
		{"XOF", ".", REFUSED},
		{"XOF", "1.0.0", REFUSED},
		{"XOF", "--1", REFUSED},
		{"XOF", "-", REFUSED},
		{"XOF", "", REFUSED},
		{"XOF", " 1", REFUSED},
		{"XOF", "1 ", REFUSED},
		{"XOF", "1\n", REFUSED},
		{"XOF", "nan", REFUSED},
		{"XOF", "inf", REFUSED},
		{"KES", "12.345", REFUSED},
		{"KES", "12.-5", REFUSED},
		{"KES", "12.5x", REFUSED},
	};
	check_rows(money_parse_wire, rows, ROWS(rows));
	int64_t out = 7;
	assert_int_equal(money_parse_wire(STR("5\0"), cur("XOF"), &out), TAMA_EINVAL);
	assert_int_equal(out, 7);
}

static void reads_thumbs(void **state)
{
	static const struct row rows[] = {
		{"XOF", "500", 500},
		{"XOF", " 500 ", 500},
		{"XOF", "1 000", 1000},
		{"XOF", "1.000", 1000},
		{"XOF", "1,000", 1000},
		{"XOF", "1 000 000", 1000000},
		{"XOF", "12.345.678", 12345678},
		{"XOF", "500F", 500},
		{"XOF", "500 f", 500},
		{"XOF", "FCFA 1000", 1000},
		{"XOF", "1000fcfa", 1000},
		{"XOF", "1 000 F CFA", 1000},
		{"XOF", "1000 XOF", 1000},
		{"XAF", "xaf1000", 1000},
		{"UGX", "20 000 UGX", 20000},
		{"KES", "100", 10000},
		{"KES", "1 000", 100000},
		{"KES", "KES 100", 10000},
		{"KES", "Ksh100", 10000},
		{"NGN", "N500", 50000},
		{"KES", "1,000", REFUSED},
		{"KES", "1.000", REFUSED},
		{"KES", "12.50", REFUSED},
		{"XOF", "12.50", REFUSED},
		{"XOF", "1.00", REFUSED},
		{"XOF", "1.0000", REFUSED},
		{"XOF", "1000.000", REFUSED},
		{"XOF", "1.000,000", REFUSED},
		{"XOF", "1  000", REFUSED},
		{"XOF", "1.000.", REFUSED},
		{"XOF", "500.", REFUSED},
		{"XOF", ".500", REFUSED},
		{"XOF", "0.500", REFUSED},
		{"XOF", "0500", REFUSED},
		{"XOF", "07 01 02 03 04", REFUSED},
		{"XOF", "0", REFUSED},
		{"XOF", "-500", REFUSED},
		{"XOF", "+500", REFUSED},
		{"XOF", "", REFUSED},
		{"XOF", "F", REFUSED},
		{"XOF", "F500F", REFUSED},
		{"XOF", "500 UGX", REFUSED},
		{"XOF", "0x10", REFUSED},
		{"XOF", "1e3", REFUSED},
		{"XOF", "٥٠٠", REFUSED},
		{"XOF", "1000000000000", MONEY_MAX},
		{"XOF", "1000000000001", REFUSED},
		{"XOF", "9223372036854775808", REFUSED},
		{"KES", "10000000000", MONEY_MAX},
		{"KES", "10000000001", REFUSED},
	};
	check_rows(money_parse_typed, rows, ROWS(rows));
	int64_t out = 7;
	assert_int_equal(money_parse_typed(STR("1\0"
					       "000"),
				 cur("XOF"), &out),
		TAMA_EINVAL);
	assert_int_equal(out, 7);
}

static void formats(void **state)
{
	static const struct {
		const char *currency;
		int64_t amount;
		const char *read;
		const char *wire;
	} rows[] = {
		{"XOF", 1500, "1 500 F", "1500"},
		{"XOF", 0, "0 F", "0"},
		{"XOF", 999, "999 F", "999"},
		{"XAF", -1234567, "-1 234 567 F", "-1234567"},
		{"UGX", 20000, "20 000 UGX", "20000"},
		{"KES", 1250, "12.50 KES", "12.50"},
		{"KES", 10000, "100 KES", "100.00"},
		{"KES", 123405, "1 234.05 KES", "1234.05"},
		{"KES", -5, "-0.05 KES", "-0.05"},
		{"XOF", INT64_MIN, "-9 223 372 036 854 775 808 F", "-9223372036854775808"},
		{"KES", INT64_MAX, "92 233 720 368 547 758.07 KES", "92233720368547758.07"},
	};
	char text[MONEY_TEXT_MAX];
	for (size_t i = 0; i < ROWS(rows); i++) {
		money_format(rows[i].amount, cur(rows[i].currency), text);
		assert_string_equal(text, rows[i].read);
		money_format_wire(rows[i].amount, cur(rows[i].currency), text);
		assert_string_equal(text, rows[i].wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_minor_units),
		cmocka_unit_test(reads_wires),
		cmocka_unit_test(reads_thumbs),
		cmocka_unit_test(formats),
	};
	return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
