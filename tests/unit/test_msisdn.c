/* Numbers from wires and thumbs: reliability.md F-J10, sms-gsm-numbering.md C. */
#include "check.h"

#include "tama/err.h"
#include "tama/msisdn.h"

static const struct str ci_mobile[] = {STR_INIT("01"), STR_INIT("05"), STR_INIT("07")};
static const struct str ug_mobile[] = {STR_INIT("70"), STR_INIT("77"), STR_INIT("78")};
static const struct str bf_mobile[] = {STR_INIT("0"), STR_INIT("7")};

static const struct numbering_plan ci = {
	STR_INIT("CI"), STR_INIT("225"), STR_INIT(""), 10, ci_mobile, 3, STR_INIT("22222")};
static const struct numbering_plan ug = {
	STR_INIT("UG"), STR_INIT("256"), STR_INIT("0"), 9, ug_mobile, 3, STR_INIT("433")};
static const struct numbering_plan bf = {
	STR_INIT("BF"), STR_INIT("226"), STR_INIT(""), 8, bf_mobile, 2, STR_INIT("2222")};

struct row {
	const struct numbering_plan *plan;
	const char *text;
	int rc;
	const char *want;
};

typedef int parse_fn(struct str s, const struct numbering_plan *plan, struct msisdn *out);

static void check_rows(parse_fn *parse, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct msisdn m = {"untouched"};
		int rc = parse(str_c(rows[i].text), rows[i].plan, &m);
		const char *want = rows[i].rc == 0 ? rows[i].want : "untouched";
		if (rc != rows[i].rc || strcmp(m.digits, want) != 0)
			fail_msg("\"%s\" gave %d, %s", rows[i].text, rc, m.digits);
	}
}

static void reads_wires(void **state)
{
	static const struct row rows[] = {
		{NULL, "2250701020304", 0, "2250701020304"},
		{NULL, "+2250701020304", 0, "2250701020304"},
		{NULL, " 2250701020304", 0, "2250701020304"},
		{NULL, "002250701020304", 0, "2250701020304"},
		{NULL, "tel:+256772123456", 0, "256772123456"},
		{NULL, "TEL:256772123456", 0, "256772123456"},
		{NULL, "1234567", 0, "1234567"},
		{NULL, "123456789012345", 0, "123456789012345"},
		{&ci, "0701020304", 0, "2250701020304"},
		{&ci, "2250701020304", 0, "2250701020304"},
		{&ci, "256772123456", 0, "256772123456"},
		{&ug, "0772123456", 0, "256772123456"},
		{&ug, "772123456", 0, "256772123456"},
		{&ug, "+2250701020304", 0, "2250701020304"},
		{&bf, "01234567", 0, "22601234567"},
		{&ci, "+0701020304", TAMA_EINVAL, NULL},
		{&ci, "0901020304", TAMA_EINVAL, NULL},
		{NULL, "0701020304", TAMA_EINVAL, NULL},
		{NULL, "123456", TAMA_EINVAL, NULL},
		{NULL, "1234567890123456", TAMA_EINVAL, NULL},
		{NULL, "", TAMA_EINVAL, NULL},
		{NULL, "+", TAMA_EINVAL, NULL},
		{NULL, "tel:", TAMA_EINVAL, NULL},
		{NULL, "++2250701020304", TAMA_EINVAL, NULL},
		{NULL, "  2250701020304", TAMA_EINVAL, NULL},
		{NULL, "2250701020304 ", TAMA_EINVAL, NULL},
		{NULL, "225 0701020304", TAMA_EINVAL, NULL},
		{NULL, "22507010203o4", TAMA_EINVAL, NULL},
		{NULL, "２２５０７０１０２０３０４", TAMA_EINVAL, NULL},
		{NULL, "٢٢٥٠٧٠١٠", TAMA_EINVAL, NULL},
	};
	check_rows(msisdn_parse_wire, rows, ROWS(rows));
	struct msisdn m;
	assert_int_equal(msisdn_parse_wire(STR("2250701\0"
					       "20304"),
				 NULL, &m),
		TAMA_EINVAL);
}

static void reads_thumbs(void **state)
{
	static const struct row rows[] = {
		{&ci, "0701020304", 0, "2250701020304"},
		{&ci, "07 01 02 03 04", 0, "2250701020304"},
		{&ci, "07.01.02-03-04", 0, "2250701020304"},
		{&ci, " +225 07 01 02 03 04 ", 0, "2250701020304"},
		{&ci, "002250701020304", 0, "2250701020304"},
		{&ci, "00 225 07 01 02 03 04", 0, "2250701020304"},
		{&ci, "2250701020304", 0, "2250701020304"},
		{&ug, "0772123456", 0, "256772123456"},
		{&ug, "0772 123 456", 0, "256772123456"},
		{&ug, "772123456", 0, "256772123456"},
		{&ug, "+256772123456", 0, "256772123456"},
		{&ug, "256772123456", 0, "256772123456"},
		{&ug, "+256 0772123456", 0, "256772123456"},
		{&ug, "00256772123456", 0, "256772123456"},
		{&bf, "01 23 45 67", 0, "22601234567"},
		{&bf, "22601234567", 0, "22601234567"},
		{&ci, "07010203", TAMA_EDOUBT, NULL},
		{&ci, "+225 07 01 02 03", TAMA_EDOUBT, NULL},
		{&ci, "22507010203", TAMA_EDOUBT, NULL},
		{&ci, "22512345", TAMA_EDOUBT, NULL},
		{&bf, "91234567", TAMA_EINVAL, NULL},
		{&ug, "12345678", TAMA_EINVAL, NULL},
		{&ci, "+256772123456", TAMA_ENOTFOUND, NULL},
		{&ci, "00256772123456", TAMA_ENOTFOUND, NULL},
		{&ci, "+12345", TAMA_EINVAL, NULL},
		{&ci, "+0701020304", TAMA_EINVAL, NULL},
		{&ci, "256772123456", TAMA_EINVAL, NULL},
		{&ci, "2721222324", TAMA_EINVAL, NULL},
		{&ci, "+2252721222324", TAMA_EINVAL, NULL},
		{&ci, "701020304", TAMA_EINVAL, NULL},
		{&ci, "07010203045", TAMA_EINVAL, NULL},
		{&ug, "0312123456", TAMA_EINVAL, NULL},
		{&ug, "00772123456", TAMA_ENOTFOUND, NULL},
		{&ci, "", TAMA_EINVAL, NULL},
		{&ci, " - ", TAMA_EINVAL, NULL},
		{&ci, "+", TAMA_EINVAL, NULL},
		{&ci, "07+01020304", TAMA_EINVAL, NULL},
		{&ci, "(07)01020304", TAMA_EINVAL, NULL},
		{&ci, "07/01020304", TAMA_EINVAL, NULL},
		{&ci, "０７０１０２０３０４", TAMA_EINVAL, NULL},
		{&ci, "٠٧٠١٠٢٠٣٠٤", TAMA_EINVAL, NULL},
		{&ci, "1234567890123456789012345678901234567890", TAMA_EINVAL, NULL},
	};
	check_rows(msisdn_parse_typed, rows, ROWS(rows));
	struct numbering_plan too_long = ci;
	too_long.cc = STR("225225");
	struct msisdn m = {""};
	assert_int_equal(msisdn_parse_typed(STR("0701020304"), &too_long, &m), TAMA_EINVAL);
	assert_string_equal(m.digits, "");
}

static void writes_for_people(void **state)
{
	static const struct {
		const struct numbering_plan *plan;
		struct msisdn m;
		const char *national;
		const char *grouped;
	} rows[] = {
		{&ci, {"2250701020304"}, "0701020304", "07 01 02 03 04"},
		{&ug, {"256772123456"}, "0772123456", "0772 123 456"},
		{&bf, {"22601234567"}, "01234567", "01 23 45 67"},
		{&ci, {"256772123456"}, "", "+256772123456"},
		{&ci, {"22507010203"}, "", "+22507010203"},
		{NULL, {"123456789012345"}, "", "+123456789012345"},
		{&ci, {""}, "", ""},
	};
	char national[MSISDN_MAX + 2];
	char grouped[2 * MSISDN_MAX + 2];
	for (size_t i = 0; i < ROWS(rows); i++) {
		msisdn_national(&rows[i].m, rows[i].plan, national);
		assert_string_equal(national, rows[i].national);
		msisdn_grouped(&rows[i].m, rows[i].plan, grouped);
		assert_string_equal(grouped, rows[i].grouped);
	}
}

static void groups_within_bounds(void **state)
{
	const struct numbering_plan longest = {STR_INIT("XX"), STR_INIT("1"), STR_INIT("00"), 14,
		NULL, 0, STR_INIT("1111111111111111")};
	const struct msisdn m = {"123456789012345"};
	struct numbering_plan odd = ci;
	char grouped[2 * MSISDN_MAX + 2];
	msisdn_grouped(&m, &longest, grouped);
	assert_string_equal(grouped, "0 0 2 3 4 5 6 7 8 9 0 1 2 3 4 5");
	odd.groups = STR("22");
	msisdn_grouped(&(struct msisdn){"2250701020304"}, &odd, grouped);
	assert_string_equal(grouped, "07 01 020304");
	odd.groups = STR("");
	msisdn_grouped(&(struct msisdn){"2250701020304"}, &odd, grouped);
	assert_string_equal(grouped, "0701020304");
	odd.trunk = STR("0000000");
	msisdn_national(&(struct msisdn){"2250701020304"}, &odd, grouped);
	assert_string_equal(grouped, "");
}

static void masks(void **state)
{
	static const char *const rows[][2] = {
		{"2250701020304", "+2250*******04"},
		{"+2250701020304", "+2250*******04"},
		{"256772123456", "+2567******56"},
		{"0701020304", "+07******04"},
		{"12345678", "+12****78"},
		{"1234567", "+*******"},
		{"22507\n1020304", "+2250*******04"},
		{"abcdefghijklm", "+*************"},
		{"12345678901234567890", "+1234*********90"},
		{"", "+"},
	};
	char out[MSISDN_MAX + 2];
	for (size_t i = 0; i < ROWS(rows); i++) {
		msisdn_mask(str_c(rows[i][0]), out);
		assert_string_equal(out, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_wires),
		cmocka_unit_test(reads_thumbs),
		cmocka_unit_test(writes_for_people),
		cmocka_unit_test(groups_within_bounds),
		cmocka_unit_test(masks),
	};
	return cmocka_run_group_tests_name("msisdn", tests, NULL, NULL);
}
