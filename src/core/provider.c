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
 * Refusals documented to come before execution (1.2, 1.3, 1.12), each as a whole text. A duplicate
 * is evidence of success, not of failure (finding 7), so it counts wherever these words occur.
 */
static const struct word_meaning easytransfert_codes[] = {
	{"deja execute", WORD_DUPLICATE}, /* "Transaction deja executee" */
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

/*
 * The partner's own balance where the partner pays (1.1: funds on the partner account): of a
 * collection the same words mean the customer's.
 */
static const char *const easytransfert_float_words[] = {
	"solde insuffisant",
	"insufficient funds",
	NULL,
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
	/*
	 * What was done has been undone (2.7: when and how is undefined). An open attempt is over
	 * without goods; after a success it is a contradiction that a person looks at.
	 */
	{"REVERSED", WORD_FAILURE},
	{NULL, WORD_NONE},
};

/* No text of a refusal is documented (2.7, 2.11): none proves that nothing ran. */
static const struct word_meaning xente_codes[] = {
	{"duplicate", WORD_DUPLICATE}, /* "Duplicate RequestId" in their own SDK: finding 7 */
	{NULL, WORD_NONE},
};

/* XNT-4001, withdrawn and never replaced (2.7): it stops selling, and proves nothing. */
static const char *const xente_float_words[] = {
	"insufficient funds",
	"insufficient balance",
	NULL,
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
		.float_words = easytransfert_float_words,
		.verbs = easytransfert_verbs,
	},
	{
		.name = "xente",
		.class = PROVIDER_CLASS_N, /* until its sandbox tests say otherwise */
		.rules = {.auth_precedes_execution = true},
		.words = xente_words,
		.codes = xente_codes,
		/* Which member of a query's answer is the number topped up is undefined (2.4). */
		.reply_must_match = MATCH_REF | MATCH_AMOUNT,
		.ipn_must_match = MATCH_REF | MATCH_ID | MATCH_AMOUNT,
		.ipn_needs_query = true,
		/* GET .../Requests/{requestId}, of the SDKs (reliability.md 2.5, question 2). */
		.queries_by_ref = true,
		.amount_signed = true,
		.first_poll_ms = 150 * 1000,
		.float_words = xente_float_words,
		.list_word = "SUCCESSFULL", /* sic, 2.4 */
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

/* ---- Words and codes --------------------------------------------------------------------------
 */

/*
 * The next letter of s, in lower case and without its accent: the pages write some French texts
 * without the accents that the service may well send. Of UTF-8 only U+00C0 to U+00FF matter here.
 */
static char next_folded(struct str *s)
{
	static const char plain[] = "aaaaaa.ceeeeiiii.nooooo..uuuu...";
	unsigned char c = (unsigned char)s->p[0];
	unsigned char accent = s->n > 1 ? (unsigned char)s->p[1] : 0;

	if (c == 0xC3 && accent >= 0x80 && accent <= 0xBF) {
		*s = str_from(*s, 2);
		return plain[accent & 0x1F];
	}
	*s = str_from(*s, 1);
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : (char)c;
}

/* Whether text begins with the word, and is no longer if is_whole. */
static bool begins_with(struct str text, struct str word, bool is_whole)
{
	while (word.n > 0) {
		if (text.n == 0 || next_folded(&text) != next_folded(&word))
			return false;
	}
	return !is_whole || text.n == 0;
}

static bool contains(struct str text, struct str word)
{
	for (; text.n > 0; text = str_from(text, 1))
		if (begins_with(text, word, false))
			return true;
	return false;
}

static enum reply_word word_meaning(const struct word_meaning *table, struct str word)
{
	for (const struct word_meaning *w = table; w->word != NULL; w++)
		if (str_eq_nocase(str_c(w->word), word))
			return w->meaning;
	return WORD_PENDING;
}

static enum reply_word code_meaning(const struct word_meaning *table, struct str code)
{
	for (const struct word_meaning *w = table; w->word != NULL; w++)
		if (w->meaning != WORD_DUPLICATE && begins_with(code, str_c(w->word), true))
			return w->meaning;
	return WORD_NONE;
}

static bool is_duplicate(const struct word_meaning *table, const struct facts *facts)
{
	for (const struct word_meaning *w = table; w->word != NULL; w++)
		if (w->meaning == WORD_DUPLICATE && (contains(facts->code, str_c(w->word)) ||
							    contains(facts->text, str_c(w->word))))
			return true;
	return false;
}

enum reply_word provider_word(const struct provider_profile *profile, const struct facts *facts)
{
	enum reply_word word;

	if (!facts->is_valid)
		return WORD_NONE;
	/* A duplicate outweighs any status word beside it: ask, never fail (finding 7). */
	if (is_duplicate(profile->codes, facts))
		return WORD_DUPLICATE;
	if (facts->word.n == 0 && facts->code.n > 0)
		return code_meaning(profile->codes, facts->code);
	if (facts->word.n == 0)
		return facts->id.n > 0 ? WORD_PENDING : WORD_NONE;
	word = word_meaning(profile->words, facts->word);
	/* A success that names an error is neither. */
	return word == WORD_SUCCESS && facts->code.n > 0 ? WORD_NONE : word;
}

bool provider_lacks_float(const struct provider_profile *profile, const struct facts *facts)
{
	if (!facts->is_valid)
		return false;
	for (size_t i = 0; profile->float_words[i] != NULL; i++)
		if (contains(facts->code, str_c(profile->float_words[i])))
			return true;
	return false;
}

/* ---- Matching ----------------------------------------------------------------------------------
 */

/* Minus one thousand is how Xente writes a payout of one thousand (2.4), never a collection. */
static bool amount_equal(
	const struct provider_profile *profile, struct str fact, const struct attempt_terms *terms)
{
	int64_t amount;

	if (money_parse_wire(fact, terms->currency, &amount) != 0)
		return false;
	if (amount < 0 && profile->amount_signed && !terms->is_collect)
		amount = -amount;
	return amount == terms->amount;
}

/* Providers echo the number as sent or in the other form; both name one subscriber. */
static bool number_equal(struct str fact, const struct attempt_terms *terms)
{
	if (fact.n > 0 && fact.p[0] == '+')
		fact = str_from(fact, 1);
	return fact.n > 0 &&
	       (str_eq(fact, terms->national) || str_eq(fact, str_c(terms->number.digits)));
}

unsigned provider_mismatch(const struct provider_profile *profile, const struct facts *facts,
	const struct attempt_terms *terms, unsigned must, bool require)
{
	/* The id becomes known by the first reply or IPN; from then on it must stay the same. */
	bool id_equal = terms->provider_id.n == 0 || str_eq(facts->id, terms->provider_id);
	const struct {
		enum match_fact fact;
		struct str value;
		bool is_equal;
	} facts_said[] = {
		{MATCH_REF, facts->our_ref, str_eq(facts->our_ref, terms->our_ref)},
		{MATCH_ID, facts->id, id_equal},
		{MATCH_AMOUNT, facts->amount, amount_equal(profile, facts->amount, terms)},
		{MATCH_NUMBER, facts->number, number_equal(facts->number, terms)},
		{MATCH_SERVICE, facts->service, str_eq(facts->service, terms->service)},
	};
	unsigned compared = must | profile->reply_must_match;
	unsigned demanded = require ? must : 0;
	unsigned bad = 0;

	for (size_t i = 0; i < sizeof(facts_said) / sizeof(facts_said[0]); i++) {
		if (facts_said[i].value.n == 0)
			bad |= facts_said[i].fact & demanded;
		else if (!facts_said[i].is_equal)
			bad |= facts_said[i].fact & compared;
	}
	if (facts->currency.n > 0 && !str_eq_nocase(facts->currency, str_c(terms->currency->code)))
		bad |= MATCH_AMOUNT & compared;
	return bad;
}
