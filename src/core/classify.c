/*
 * The table of reliability.md 2.4. Each row names its source there, "ET" being easytransfert.md.
 * The first row whose end, status, word and proof all hold decides; the last row of a table holds
 * for everything.
 */
#include "tama/classify.h"

#include "tama/err.h"
#include "tama/mutant.h"

#define END(e) (1u << TRANSFER_##e)
#define WORD(w) (1u << WORD_##w)
#define ANY_END ((1u << (TRANSFER_TOO_LARGE + 1)) - 1)
#define ANY_WORD ((1u << (WORD_NOT_FOUND + 1)) - 1)
#define WHOLE END(COMPLETE)
#define ANY_STATUS 0, UINT32_MAX
/* A refusal at the door; any other word speaks of a transaction, and contradicts the status. */
#define AT_THE_DOOR (WORD(NONE) | WORD(REFUSED))
#define ALARM true

/* What must be shown beyond end, status and word. */
enum proof {
	PROOF_NONE,
	PROOF_UNSENT,
	PROOF_AUTH_FIRST, /* documented: 401 and 403 come before execution */
	PROOF_COUNT_FIRST, /* documented: 429 comes before execution */
};

struct row {
	unsigned ends;
	uint32_t status_from, status_to;
	unsigned words;
	enum proof proof;
	enum reply_class class;
	bool is_alarm;
};

/* clang-format off */
static const struct row SUBMIT[] = {
	/* Nothing left the machine. A certificate does not mend itself: a person is called. */
	{END(DNS),         ANY_STATUS, ANY_WORD, PROOF_UNSENT, CLASS_NOT_SENT, false}, /* F-D1 */
	{END(CONNECT),     ANY_STATUS, ANY_WORD, PROOF_UNSENT, CLASS_NOT_SENT, false}, /* F-D2 */
	{END(TLS),         ANY_STATUS, ANY_WORD, PROOF_UNSENT, CLASS_NOT_SENT, ALARM}, /* F-D3 */
	{END(NOT_STARTED), ANY_STATUS, ANY_WORD, PROOF_UNSENT, CLASS_NOT_SENT, false}, /* 2.5 */

	/* What else ended before a whole response proves nothing: 2.4, F-D4 to F-D9, F-D12. */
	{ANY_END & ~END(COMPLETE), ANY_STATUS, ANY_WORD, PROOF_NONE, CLASS_UNKNOWN, false},

	{WHOLE, 200, 299, WORD(PENDING),   PROOF_NONE, CLASS_ACCEPTED,  false}, /* 2.4 */
	{WHOLE, 200, 299, WORD(SUCCESS),   PROOF_NONE, CLASS_SUCCEEDED, false}, /* 2.4 */
	{WHOLE, 200, 299, WORD(FAILURE),   PROOF_NONE, CLASS_FAILED,    false}, /* ET 1.3 */
	{WHOLE, 200, 299, WORD(REFUSED),   PROOF_NONE, CLASS_FAILED,    false}, /* 2.4 */
	{WHOLE, 200, 299, WORD(DUPLICATE), PROOF_NONE, CLASS_QUERY,     false}, /* finding 7 */
	{WHOLE, 200, 299, ANY_WORD,        PROOF_NONE, CLASS_UNKNOWN,   false}, /* 2.4, F-D11 */

	{WHOLE, 300, 399, ANY_WORD,        PROOF_NONE, CLASS_UNKNOWN,   ALARM}, /* 2.4, F-D13 */

	{WHOLE, 404, 404, ANY_WORD,        PROOF_NONE, CLASS_UNKNOWN,   ALARM}, /* 2.4 */
	{WHOLE, 400, 499, WORD(DUPLICATE), PROOF_NONE, MUTANT(DUPLICATE_IS_FAILURE) ? CLASS_FAILED : CLASS_QUERY, false}, /* 2.4, F-D21 */
	{WHOLE, 400, 400, WORD(REFUSED),   PROOF_NONE, CLASS_FAILED,    false}, /* 2.4, F-D26 */
	{WHOLE, 406, 406, WORD(REFUSED),   PROOF_NONE, CLASS_FAILED,    false}, /* ET 1.3 */
	{WHOLE, 422, 422, WORD(REFUSED),   PROOF_NONE, CLASS_FAILED,    false}, /* 2.4, F-D26 */
	{WHOLE, 401, 401, AT_THE_DOOR, PROOF_AUTH_FIRST,  CLASS_NOT_SENT, false}, /* 2.4, F-D25 */
	{WHOLE, 403, 403, AT_THE_DOOR, PROOF_AUTH_FIRST,  CLASS_NOT_SENT, false}, /* 2.4, F-D25 */
	{WHOLE, 429, 429, AT_THE_DOOR, PROOF_COUNT_FIRST, CLASS_NOT_SENT, false}, /* 2.4 */

	/* 401, 403 and 429 without that promise, 408, 425, 5xx, and all that nobody thought of. */
	{ANY_END, ANY_STATUS, ANY_WORD, PROOF_NONE, CLASS_UNKNOWN, false}, /* 2.4, F-D10, F-D14 */
};

/* A query moves no money, so its own refusal or "not found" says nothing about the purchase. */
static const struct row STATUS[] = {
	{WHOLE, 200, 299, WORD(PENDING), PROOF_NONE, CLASS_ACCEPTED,  false}, /* 2.4 */
	{WHOLE, 200, 299, WORD(SUCCESS), PROOF_NONE, CLASS_SUCCEEDED, false}, /* 2.4 */
	{WHOLE, 200, 299, WORD(FAILURE), PROOF_NONE, CLASS_FAILED,    false}, /* 2.4 */
	{ANY_END, ANY_STATUS, ANY_WORD, PROOF_NONE, CLASS_UNKNOWN, false}, /* 2.4, F-D23, F-D24 */
};
/* clang-format on */

static bool is_proven(
	enum proof proof, const struct transfer *t, const struct classify_rules *rules)
{
	switch (proof) {
	case PROOF_NONE:
		return true;
	case PROOF_UNSENT:
		return t->bytes_sent == 0;
	case PROOF_AUTH_FIRST:
		return rules->auth_precedes_execution;
	case PROOF_COUNT_FIRST:
		return rules->too_many_precedes_execution;
	}
	return false;
}

static const struct row *find(const struct row *row, const struct transfer *t, enum reply_word word,
	const struct classify_rules *rules)
{
	while ((row->ends & 1u << t->end) == 0 || t->status < row->status_from ||
		t->status > row->status_to || (row->words & 1u << word) == 0 ||
		!is_proven(row->proof, t, rules))
		row++;
	return row;
}

enum reply_class classify_submit(const struct transfer *transfer, enum reply_word word,
	const struct classify_rules *rules, bool *alarm_out)
{
	tama_assert(transfer->end <= TRANSFER_TOO_LARGE);
	tama_assert(word <= WORD_NOT_FOUND);
	const struct row *row = find(SUBMIT, transfer, word, rules);
	*alarm_out = row->is_alarm;
	return row->class;
}

enum reply_class classify_status(const struct transfer *transfer, enum reply_word word)
{
	tama_assert(transfer->end <= TRANSFER_TOO_LARGE);
	tama_assert(word <= WORD_NOT_FOUND);
	static const struct classify_rules no_rules;
	return find(STATUS, transfer, word, &no_rules)->class;
}

const char *reply_class_name(enum reply_class c)
{
	switch (c) {
	case CLASS_NOT_SENT:
		return "not_sent";
	case CLASS_ACCEPTED:
		return "accepted";
	case CLASS_SUCCEEDED:
		return "succeeded";
	case CLASS_FAILED:
		return "failed";
	case CLASS_UNKNOWN:
		return "unknown";
	case CLASS_QUERY:
		return "query";
	}
	return "?";
}

const char *transfer_end_name(enum transfer_end e)
{
	switch (e) {
	case TRANSFER_COMPLETE:
		return "complete";
	case TRANSFER_DNS:
		return "dns";
	case TRANSFER_CONNECT:
		return "connect";
	case TRANSFER_TLS:
		return "tls";
	case TRANSFER_NOT_STARTED:
		return "not_started";
	case TRANSFER_BROKEN:
		return "broken";
	case TRANSFER_TIMEOUT:
		return "timeout";
	case TRANSFER_TOO_LARGE:
		return "too_large";
	}
	return "?";
}
