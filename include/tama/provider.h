/*
 * What a provider's words prove. A dialect states facts; this table decides (design.md idea 2). One
 * profile a provider, compiled in: evidence is not a partner's to configure.
 */
#ifndef TAMA_PROVIDER_H
#define TAMA_PROVIDER_H

#include "tama/classify.h"
#include "tama/msisdn.h"
#include "tama/str.h"

/* What a dialect read in a reply or an IPN. Text as it came; empty means absent. */
struct facts {
	struct str word; /* status word: "SUCCESSFUL" */
	struct str id; /* the provider's transaction id */
	struct str our_ref; /* our reference, echoed */
	struct str amount; /* decimal text, never a float */
	struct str currency;
	struct str number; /* who pays or receives */
	struct str service; /* service or product id */
	struct str code; /* error code or documented error text */
	struct str text; /* words for the payer */
	bool is_valid; /* the body had the documented shape */
};

enum match_fact {
	MATCH_REF = 1,
	MATCH_ID = 2,
	MATCH_AMOUNT = 4,
	MATCH_NUMBER = 8,
	MATCH_SERVICE = 16,
};

enum provider_class {
	PROVIDER_CLASS_N, /* no idempotent id: never sent again */
	PROVIDER_CLASS_I,
};

struct word_meaning {
	const char *word; /* compared without case */
	enum reply_word meaning;
};

struct provider_profile {
	const char *name; /* "easytransfert": also its dialect's name */
	enum provider_class class;
	struct classify_rules rules;
	const struct word_meaning *words; /* status words; anything else is WORD_PENDING */
	const struct word_meaning
		*codes; /* error codes: WORD_REFUSED (the whole text) or WORD_DUPLICATE (words
			   that occur in code or text); else WORD_NONE */
	unsigned reply_must_match; /* enum match_fact: of an immediate reply, where present */
	unsigned
		ipn_must_match; /* all of these must be present in an IPN and equal the attempt's */
	bool ipn_needs_query; /* an IPN only triggers a status query, whose answer is the evidence
			       */
	bool queries_by_ref; /* its status query takes our reference: may be class I */
	bool ref_in_path; /* takes an IPN address per request: per-attempt secret path */
	bool amount_signed; /* a payout's amount is negative in queries (Xente) */
	uint32_t first_poll_ms; /* no status query before this after the send */
	uint32_t spacing_ms; /* default between two calls for one number and amount */
	const char *const *float_words; /* in the code of a refused delivery: our float is empty */
	const char *list_word; /* the list is asked for executed transactions by this status */
	const struct leg_verb *verbs; /* what an offer's leg may say */
};

struct leg_verb {
	const char *name; /* "cashout" */
	bool is_collect; /* takes money from the customer */
};

/* By name, or NULL. */
const struct provider_profile *provider_find(struct str name);

/*
 * The meaning of facts by the profile's words and codes, compared without case and accents. A
 * duplicate outweighs every word; a success beside an error code is WORD_NONE; a transaction (an
 * id) without word and code is WORD_PENDING. WORD_NONE if !is_valid.
 */
enum reply_word provider_word(const struct provider_profile *profile, const struct facts *facts);

/* Whether the facts of a delivery or refund say that our own float did not suffice. */
bool provider_lacks_float(const struct provider_profile *profile, const struct facts *facts);

/* What the attempt was, to compare with. */
struct attempt_terms {
	struct str our_ref;
	struct str provider_id; /* empty until known */
	int64_t amount;
	const struct currency *currency;
	struct msisdn number;
	struct str national; /* the form sent on the wire */
	struct str service;
	bool is_collect; /* a negative amount is then never this one */
};

/*
 * Bits of `must` that are absent from the facts or differ. With require = false absent facts pass
 * (an immediate reply); with true they do not (an IPN). 0 means that all match. An amount that is
 * not exactly one is a mismatch, never rounded. Facts of reply_must_match that are present must be
 * equal whatever `must` says: an IPN that demands no reference must still not name another's.
 */
unsigned provider_mismatch(const struct provider_profile *profile, const struct facts *facts,
	const struct attempt_terms *terms, unsigned must, bool require);

#endif
