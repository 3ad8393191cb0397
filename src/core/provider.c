/* The evidence tables. Sources: easytransfert.md, xente.md (sections beside each fact). */
#include "tama/provider.h"

#include "tama/money.h"

#include <string.h>

/* ---- EasyTransfert -----------------------------------------------------------------------------
 */

/* Two pages disagree on the success word; anything unknown is pending (1.8, 1.12). */
static const struct word_meaning easytransfert_words[] = {
	{"SUCCESSFUL", WORD_SUCCESS},
	{"SUCCESS", WORD_SUCCESS},
	{"FAILED", WORD_FAILURE},
	{"CANCELLED", WORD_FAILURE},
	{NULL, WORD_NONE},
};

/*
 * Refusals documented to come before execution (1.2, 1.3, 1.12). "Transaction deja executee" is
 * evidence of success, not of failure (finding 7).
 */
static const struct word_meaning easytransfert_codes[] = {
	{"Transaction deja executee", WORD_DUPLICATE},
	{"Amount must be a multiple of 100", WORD_REFUSED},
	{"Invalid API Key", WORD_REFUSED},
	{"destination field is not applicable", WORD_REFUSED},
	{"amount is not applicable", WORD_REFUSED},
	{"Solde insuffisant", WORD_REFUSED},
	{"customer insuficient funds", WORD_REFUSED},
	{"Transaction failed due to insufficient funds", WORD_REFUSED},
	{"Service MTN Cashout indisponible", WORD_REFUSED},
	{"Montant minimum : 500 FCFA", WORD_REFUSED},
	{"Numero de destination invalide", WORD_REFUSED},
	{NULL, WORD_NONE},
};

static const struct leg_verb easytransfert_verbs[] = {
	{"cashout", true},
	{"cashin", false},
	{"airtime", false},
	{NULL, false},
};

/* ---- Xente -------------------------------------------------------------------------------------
 */

static const struct word_meaning xente_words[] = {
	{"SUCCESSFULL", WORD_SUCCESS}, /* sic, 2.4 */
	{"SUCCESSFUL", WORD_SUCCESS},
	{"SUCCESS", WORD_SUCCESS},
	{"COMPLETED", WORD_SUCCESS},
	{"FAILED", WORD_FAILURE},
	/* REVERSED may follow success or failure (2.7): whichever it was, the goods are not there.
	 */
	{"REVERSED", WORD_FAILURE},
	{NULL, WORD_NONE},
};

static const struct word_meaning xente_codes[] = {
	{"Duplicate RequestId", WORD_DUPLICATE}, /* finding 7 */
	{NULL, WORD_NONE},
};

static const struct leg_verb xente_verbs[] = {
	{"collection", true},
	{"airtime", false},
	{"payout", false},
	{NULL, false},
};

static const struct provider_profile profiles[] = {
	{
		.name = "easytransfert",
		.class = PROVIDER_CLASS_N,
		/* 429 is the spacing gate answering before anything runs (1.12). */
		.rules = {.auth_precedes_execution = true, .too_many_precedes_execution = true},
		.words = easytransfert_words,
		.codes = easytransfert_codes,
		.reply_must_match = MATCH_REF | MATCH_AMOUNT | MATCH_NUMBER | MATCH_SERVICE,
		.ipn_must_match = MATCH_ID | MATCH_AMOUNT | MATCH_NUMBER | MATCH_SERVICE,
		.ref_in_path = true,
		.first_poll_ms = 15 * 60 * 1000,
		.spacing_ms = 15 * 60 * 1000,
		.verbs = easytransfert_verbs,
	},
	{
		.name = "xente",
		.class = PROVIDER_CLASS_N, /* until its sandbox tests say otherwise */
		.rules = {.auth_precedes_execution = true},
		.words = xente_words,
		.codes = xente_codes,
		.reply_must_match = MATCH_REF | MATCH_AMOUNT,
		.ipn_must_match = MATCH_REF | MATCH_ID | MATCH_AMOUNT,
		.ipn_needs_query = true,
		.amount_signed = true,
		.first_poll_ms = 150 * 1000,
		.verbs = xente_verbs,
	},
};

const struct provider_profile *provider_find(struct str name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		if (str_eq(str_c(profiles[i].name), name))
			return &profiles[i];
	return NULL;
}

static enum reply_word look_up(
	const struct word_meaning *table, struct str text, enum reply_word otherwise)
{
	for (const struct word_meaning *w = table; w->word != NULL; w++)
		if (str_eq_nocase(str_c(w->word), text))
			return w->meaning;
	return otherwise;
}

enum reply_word provider_word(const struct provider_profile *profile, const struct facts *facts)
{
	enum reply_word code;

	if (!facts->is_valid)
		return WORD_NONE;
	/* A duplicate outweighs any status word beside it: ask, never fail (finding 7). */
	code = facts->code.n > 0 ? look_up(profile->codes, facts->code, WORD_NONE) : WORD_NONE;
	if (code == WORD_DUPLICATE)
		return code;
	if (facts->word.n > 0)
		return look_up(profile->words, facts->word, WORD_PENDING);
	return code;
}

/* A fact against what it must be: absent facts pass unless demanded. */
static bool differs(struct str fact, bool equal, bool require)
{
	return fact.n == 0 ? require : !equal;
}

static bool amount_equal(
	const struct provider_profile *profile, struct str fact, const struct attempt_terms *terms)
{
	int64_t amount;

	if (money_parse_wire(fact, terms->currency, &amount) != 0)
		return false;
	if (amount < 0 && profile->amount_signed)
		amount = -amount;
	return amount == terms->amount;
}

/* Providers echo the number as sent or in the other form; both name one subscriber. */
static bool number_equal(struct str fact, const struct attempt_terms *terms)
{
	if (fact.n > 0 && fact.p[0] == '+')
		fact = str_from(fact, 1);
	return str_eq(fact, terms->national) || str_eq(fact, str_c(terms->number.digits));
}

unsigned provider_mismatch(const struct provider_profile *profile, const struct facts *facts,
	const struct attempt_terms *terms, unsigned must, bool require)
{
	unsigned bad = 0;
	/* The id becomes known by the first reply or IPN; from then on it must stay the same. */
	bool id_equal = terms->provider_id.n == 0 || str_eq(facts->id, terms->provider_id);

	if (differs(facts->our_ref, str_eq(facts->our_ref, terms->our_ref), require))
		bad |= MATCH_REF;
	if (differs(facts->id, id_equal, require))
		bad |= MATCH_ID;
	if (differs(facts->amount, amount_equal(profile, facts->amount, terms), require))
		bad |= MATCH_AMOUNT;
	if (differs(facts->number, number_equal(facts->number, terms), require))
		bad |= MATCH_NUMBER;
	if (differs(facts->service, str_eq(facts->service, terms->service), require))
		bad |= MATCH_SERVICE;
	if (facts->currency.n > 0 && !str_eq_nocase(facts->currency, str_c(terms->currency->code)))
		bad |= MATCH_AMOUNT;
	return bad & must;
}
