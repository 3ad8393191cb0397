/* The evidence tables: what words, codes and differences of each provider prove. */
#include "check.h"

#include "tama/money.h"
#include "tama/provider.h"

static const struct provider_profile *profile(const char *name)
{
	const struct provider_profile *found = provider_find(str_c(name));

	assert_non_null(found);
	return found;
}

/* ---- Words and codes --------------------------------------------------------------------------
 */

struct word_row {
	const char *word, *code, *text;
	enum reply_word want;
};

static void check_words(const char *name, const struct word_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct facts facts = {
			.word = str_c(rows[i].word),
			.code = str_c(rows[i].code),
			.text = str_c(rows[i].text),
			.is_valid = true,
		};
		enum reply_word got = provider_word(profile(name), &facts);

		if (got != rows[i].want)
			fail_msg("%s row %zu: got %d, want %d", name, i, (int)got,
				(int)rows[i].want);
		/* The same bytes without a documented shape mean nothing. */
		facts.is_valid = false;
		assert_int_equal(provider_word(profile(name), &facts), WORD_NONE);
	}
}

static void easytransfert_words(void **state)
{
	static const struct word_row rows[] = {
		/* 1.8, 1.12 */
		{"SUCCESSFUL", NULL, NULL, WORD_SUCCESS},
		{"SUCCESS", NULL, NULL, WORD_SUCCESS},
		{"successful", NULL, NULL, WORD_SUCCESS},
		{"FAILED", NULL, NULL, WORD_FAILURE},
		{"CANCELLED", NULL, NULL, WORD_FAILURE},
		{"PENDING", NULL, NULL, WORD_PENDING},
		{"PENDING1", NULL, NULL, WORD_PENDING},
		{"PENDING2", NULL, NULL, WORD_PENDING},
		{"SUCCESSFULL", NULL, NULL, WORD_PENDING},
		{"SUCCESSFUL ", NULL, NULL, WORD_PENDING},
		{"REVERSED", NULL, NULL, WORD_PENDING},
		{"", NULL, NULL, WORD_NONE},
		/* Refusals, 1.2, 1.3, 1.12. */
		{NULL, "Amount must be a multiple of 100", NULL, WORD_REFUSED},
		{NULL, "Invalid API Key", NULL, WORD_REFUSED},
		{NULL, "Transaction failed due to insufficient funds", NULL, WORD_REFUSED},
		{NULL, "destination field is not applicable", NULL, WORD_REFUSED},
		{NULL, "amount is not applicable", NULL, WORD_REFUSED},
		{NULL, "Solde insuffisant", NULL, WORD_REFUSED},
		{NULL, "SOLDE INSUFFISANT", NULL, WORD_REFUSED},
		{NULL, "customer insuficient funds", NULL, WORD_REFUSED},
		{NULL, "Service MTN Cashout indisponible", NULL, WORD_REFUSED},
		{NULL, "Montant minimum : 500 FCFA", NULL, WORD_REFUSED},
		{NULL, "Numero de destination invalide", NULL, WORD_REFUSED},
		{NULL, "Num\xC3\xA9ro de destination invalide", NULL, WORD_REFUSED},
		/* Only the whole documented text is a refusal. */
		{NULL, "Solde insuffisant, transaction en cours", NULL, WORD_NONE},
		{NULL, "Solde", NULL, WORD_NONE},
		{NULL, "Internal server error", NULL, WORD_NONE},
		{NULL, "Too many requests, wait 15 minutes", NULL, WORD_NONE},
		{"PENDING1", "Solde insuffisant", NULL, WORD_PENDING},
		{"FAILED", "Solde insuffisant", NULL, WORD_FAILURE},
		{"FAILED", "anything", NULL, WORD_FAILURE},
		/* A success that names an error is neither. */
		{"SUCCESSFUL", "Solde insuffisant", NULL, WORD_NONE},
		{"SUCCESSFUL", "anything", NULL, WORD_NONE},
		/* A duplicate is never a failure, however it is written and wherever it stands. */
		{NULL, "Transaction deja executee", NULL, WORD_DUPLICATE},
		{"FAILED", "Transaction deja executee", NULL, WORD_DUPLICATE},
		{"FAILED",
			"Transaction d\xC3\xA9j\xC3\xA0 ex\xC3\xA9"
			"cut\xC3\xA9"
			"e",
			NULL, WORD_DUPLICATE},
		{"FAILED",
			"TRANSACTION D\xC3\x89J\xC3\x80 EX\xC3\x89"
			"CUT\xC3\x89"
			"E.",
			NULL, WORD_DUPLICATE},
		{"FAILED", "Solde insuffisant", "Transaction deja executee", WORD_DUPLICATE},
		{"FAILED", "d\xC3", NULL, WORD_FAILURE},
	};

	check_words("easytransfert", rows, ROWS(rows));
}

static void xente_words(void **state)
{
	static const struct word_row rows[] = {
		/* 2.4, 2.7 */
		{"SUCCESSFULL", NULL, NULL, WORD_SUCCESS},
		{"SUCCESSFUL", NULL, NULL, WORD_SUCCESS},
		{"SUCCESS", NULL, NULL, WORD_SUCCESS},
		{"COMPLETED", NULL, NULL, WORD_SUCCESS},
		{"FAILED", NULL, NULL, WORD_FAILURE},
		{"REVERSED", NULL, NULL, WORD_FAILURE},
		{"ENQUEUED", NULL, NULL, WORD_PENDING},
		{"PROCESSING", NULL, NULL, WORD_PENDING},
		{"CANCELLED", NULL, NULL, WORD_PENDING},
		{"", NULL, NULL, WORD_NONE},
		/* No refusal is documented; a duplicate is evidence of success. */
		{NULL, "XNT-4001", NULL, WORD_NONE},
		{NULL, "Insufficient funds", NULL, WORD_NONE},
		{NULL, "400", NULL, WORD_NONE},
		{NULL, "Duplicate RequestId", NULL, WORD_DUPLICATE},
		{NULL, "The request id is a duplicate.", NULL, WORD_DUPLICATE},
		{"FAILED", "DUPLICATE REQUESTID", NULL, WORD_DUPLICATE},
	};

	check_words("xente", rows, ROWS(rows));
}

/* Known to the provider, and nothing more is said: it goes on. */
static void id_alone_is_pending(void **state)
{
	struct facts facts = {.id = STR("673cb118"), .is_valid = true};

	assert_int_equal(provider_word(profile("xente"), &facts), WORD_PENDING);
	facts.code = STR("5");
	assert_int_equal(provider_word(profile("xente"), &facts), WORD_NONE);
}

static void unknown_provider(void **state)
{
	assert_null(provider_find(STR("easytransfer")));
	assert_null(provider_find(STR("")));
}

/* ---- Matching ---------------------------------------------------------------------------------
 */

struct match_row {
	const char *our_ref, *id, *amount, *currency, *number, *service;
	unsigned want;
};

static struct facts facts_of(const struct match_row *row)
{
	return (struct facts){
		.our_ref = str_c(row->our_ref),
		.id = str_c(row->id),
		.amount = str_c(row->amount),
		.currency = str_c(row->currency),
		.number = str_c(row->number),
		.service = str_c(row->service),
		.is_valid = true,
	};
}

static void check_matches(const struct provider_profile *p, const struct attempt_terms *terms,
	bool require, const struct match_row *rows, size_t n)
{
	unsigned must = require ? p->ipn_must_match : p->reply_must_match;

	for (size_t i = 0; i < n; i++) {
		struct facts facts = facts_of(&rows[i]);
		unsigned got = provider_mismatch(p, &facts, terms, must, require);

		if (got != rows[i].want)
			fail_msg("%s row %zu: got %u, want %u", p->name, i, got, rows[i].want);
	}
}

static struct attempt_terms cash_out(void)
{
	return (struct attempt_terms){
		.our_ref = STR("ORDER789"),
		.provider_id = STR("EFB.144358"),
		.amount = 5000,
		.currency = currency_find(STR("XOF")),
		.number = {"2250701020304"},
		.national = STR("0701020304"),
		.service = STR("125"),
		.is_collect = true,
	};
}

#define ID "EFB.144358"
#define NUMBER "0701020304"

static void easytransfert_ipn(void **state)
{
	static const struct match_row rows[] = {
		{"ORDER789", ID, "5000", NULL, NUMBER, "125", 0},
		/* custom_data need not come back; naming another is a mismatch all the same. */
		{NULL, ID, "5000", NULL, NUMBER, "125", 0},
		{"ORDER788", ID, "5000", NULL, NUMBER, "125", MATCH_REF},
		/* What must be there (1.12). */
		{"ORDER789", NULL, "5000", NULL, NUMBER, "125", MATCH_ID},
		{"ORDER789", ID, NULL, NULL, NUMBER, "125", MATCH_AMOUNT},
		{"ORDER789", ID, "5000", NULL, NULL, "125", MATCH_NUMBER},
		{"ORDER789", ID, "5000", NULL, NUMBER, NULL, MATCH_SERVICE},
		{NULL, NULL, NULL, NULL, NULL, NULL,
			MATCH_ID | MATCH_AMOUNT | MATCH_NUMBER | MATCH_SERVICE},
		/* F-E10: one amount in any notation, never a rounded one. */
		{NULL, ID, "5000.0", NULL, NUMBER, "125", 0},
		{NULL, ID, "5000.00", NULL, NUMBER, "125", 0},
		{NULL, ID, "5000.5", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "4999.99", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "5001", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "500", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "-5000", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "5e3", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "1e400", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "5 000", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "5000 FCFA", NULL, NUMBER, "125", MATCH_AMOUNT},
		{NULL, ID, "99999999999999999999", NULL, NUMBER, "125", MATCH_AMOUNT},
		/* A currency, where there is one, belongs to the amount. */
		{NULL, ID, "5000", "XOF", NUMBER, "125", 0},
		{NULL, ID, "5000", "xof", NUMBER, "125", 0},
		{NULL, ID, "5000", "UGX", NUMBER, "125", MATCH_AMOUNT},
		/* One subscriber in any form. */
		{NULL, ID, "5000", NULL, "2250701020304", "125", 0},
		{NULL, ID, "5000", NULL, "+2250701020304", "125", 0},
		{NULL, ID, "5000", NULL, "701020304", "125", MATCH_NUMBER},
		{NULL, ID, "5000", NULL, "0701020305", "125", MATCH_NUMBER},
		{NULL, ID, "5000", NULL, "+", "125", MATCH_NUMBER},
		/* Others' transactions. */
		{NULL, "EFB.144359", "5000", NULL, NUMBER, "125", MATCH_ID},
		{NULL, "efb.144358", "5000", NULL, NUMBER, "125", MATCH_ID},
		{NULL, ID, "5000", NULL, NUMBER, "126", MATCH_SERVICE},
		{NULL, ID, "5000", NULL, NUMBER, "0125", MATCH_SERVICE},
		{"X", "X", "1", "UGX", "1", "1",
			MATCH_REF | MATCH_ID | MATCH_AMOUNT | MATCH_NUMBER | MATCH_SERVICE},
	};
	struct attempt_terms terms = cash_out();

	check_matches(profile("easytransfert"), &terms, true, rows, ROWS(rows));
	/* Before any reply the id is news: it has to be there, and may be any. */
	terms.provider_id = STR("");
	check_matches(profile("easytransfert"), &terms, true, rows, 2);
	struct facts facts = facts_of(&rows[3]);
	assert_int_equal(provider_mismatch(profile("easytransfert"), &facts, &terms,
				 profile("easytransfert")->ipn_must_match, true),
		MATCH_ID);
}

static void easytransfert_reply(void **state)
{
	static const struct match_row rows[] = {
		{"ORDER789", ID, "5000", NULL, NUMBER, "125", 0},
		{NULL, ID, "5000", NULL, NULL, NULL, 0},
		{NULL, NULL, NULL, NULL, NULL, NULL, 0},
		{NULL, ID, "12250", NULL, NULL, NULL, MATCH_AMOUNT},
		{"order_789", ID, "5000", NULL, NULL, NULL, MATCH_REF},
		{NULL, ID, NULL, NULL, "0701020305", NULL, MATCH_NUMBER},
		{NULL, ID, NULL, NULL, NULL, "11", MATCH_SERVICE},
	};
	struct attempt_terms terms = cash_out();

	terms.provider_id = STR("");
	check_matches(profile("easytransfert"), &terms, false, rows, ROWS(rows));
}

#undef ID
#undef NUMBER
#define ID "673cb118-fa10-462c-e1c0-08dc377e93f9"

static struct attempt_terms payout(void)
{
	return (struct attempt_terms){
		.our_ref = STR("323333543589"),
		.provider_id = STR(ID),
		.amount = 1000,
		.currency = currency_find(STR("UGX")),
		.number = {"256772123456"},
		.national = STR("0772123456"),
		.service = STR("MTNAIRTIMEUG/MTNAIRTIMEUG_MTNAIRTIMEUG"),
	};
}

static void xente_query(void **state)
{
	static const struct match_row rows[] = {
		/* 2.4: negative for a payout, in whatever notation. */
		{"323333543589", ID, "-1000.00", "UGX", "+1234567890", "MTNAIRTIMEUG", 0},
		{"323333543589", ID, "-1000", "UGX", NULL, NULL, 0},
		{"323333543589", ID, "1000", NULL, NULL, NULL, 0},
		{"323333543589", ID, "1000.0", NULL, NULL, NULL, 0},
		{"323333543589", ID, "-1000.50", "UGX", NULL, NULL, MATCH_AMOUNT},
		{"323333543589", ID, "--1000", "UGX", NULL, NULL, MATCH_AMOUNT},
		{"323333543589", ID, "-1001", "UGX", NULL, NULL, MATCH_AMOUNT},
		{"323333543589", ID, "0.0", "UGX", NULL, NULL, MATCH_AMOUNT},
		{"323333543589", ID, "1000", "KES", NULL, NULL, MATCH_AMOUNT},
		{"323333543588", ID, "1000", NULL, NULL, NULL, MATCH_REF},
		{NULL, ID, "1000", NULL, NULL, NULL, MATCH_REF},
		{"323333543589", NULL, "1000", NULL, NULL, NULL, MATCH_ID},
		{"323333543589", "0f595604", "1000", NULL, NULL, NULL, MATCH_ID},
		{"323333543589", ID, NULL, NULL, NULL, NULL, MATCH_AMOUNT},
	};
	struct attempt_terms terms = payout();

	check_matches(profile("xente"), &terms, true, rows, ROWS(rows));
}

/* What comes in is never negative: that would be money going out under our reference. */
static void xente_collection(void **state)
{
	static const struct match_row rows[] = {
		{"323333543589", ID, "1000.0", "UGX", NULL, NULL, 0},
		{"323333543589", ID, "-1000.0", "UGX", NULL, NULL, MATCH_AMOUNT},
	};
	struct attempt_terms terms = payout();

	terms.is_collect = true;
	check_matches(profile("xente"), &terms, true, rows, ROWS(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(easytransfert_words),
		cmocka_unit_test(xente_words),
		cmocka_unit_test(id_alone_is_pending),
		cmocka_unit_test(unknown_provider),
		cmocka_unit_test(easytransfert_ipn),
		cmocka_unit_test(easytransfert_reply),
		cmocka_unit_test(xente_query),
		cmocka_unit_test(xente_collection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
