/* Rows as JSON: words for numbers, numbers masked, bytes of others made harmless. */
#include "admin_priv.h"

#include "tama/msisdn.h"
#include "tama/purchase.h"

#define TEXT_MAX ((size_t)512 * 1024)
#define NUMBER_DIGITS_MIN 8 /* as in log.c */
#define SECRET_HEX_MIN 32

static size_t letter(struct str s)
{
	unsigned char lead = (unsigned char)s.p[0];
	size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	if (lead == '\n' || lead == '\t' || lead == '\r')
		return 1;
	return n <= s.n && str_is_clean_utf8((struct str){s.p, n}) ? n : 0;
}

json_t *admin_string(struct str text)
{
	struct buf clean;
	json_t *out;

	buf_init(&clean, TEXT_MAX);
	while (text.n > 0 && !clean.overflowed) {
		size_t n = letter(text);

		if (n > 0)
			buf_add(&clean, text.p, n);
		else
			buf_add_char(&clean, '?');
		text = str_from(text, n > 0 ? n : 1);
	}
	out = json_stringn(clean.n > 0 ? clean.p : "", clean.n);
	buf_fini(&clean);
	return out;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits with single blanks between them, as numbers are grouped on screens. */
static size_t run_of_digits(struct str s, size_t *digits_out)
{
	size_t n = 0, end = 0;

	*digits_out = 0;
	while (n < s.n && (is_digit(s.p[n]) || (s.p[n] == ' ' && n == end && n > 0))) {
		if (is_digit(s.p[n])) {
			(*digits_out)++;
			end = n + 1;
		}
		n++;
	}
	return end;
}

static void add_starred(struct buf *out, struct str run, size_t digits)
{
	size_t seen = 0;

	for (size_t i = 0; i < run.n; i++) {
		bool hides = is_digit(run.p[i]) && seen + 2 < digits;

		seen += is_digit(run.p[i]);
		buf_add_char(out, hides ? '*' : run.p[i]);
	}
}

/*
 * Letters and digits of base 16 without a break, as many as a key or the MAC of an IPN's address
 * has (providers echo that address): whoever reads one could forge with it, so nobody does.
 */
static size_t run_of_hex(struct str s)
{
	size_t n = 0;

	while (n < s.n && strchr("0123456789abcdefABCDEF", s.p[n]) != NULL && s.p[n] != '\0')
		n++;
	return n;
}

static json_t *shown(struct str text, bool is_full)
{
	struct buf out;
	json_t *made;

	buf_init(&out, TEXT_MAX);
	while (text.n > 0 && !out.overflowed) {
		size_t digits, hex = run_of_hex(text), n = run_of_digits(text, &digits);

		if (hex >= SECRET_HEX_MIN) {
			n = hex;
			buf_add_str(&out, STR("****"));
		} else if (digits >= NUMBER_DIGITS_MIN && !is_full)
			add_starred(&out, (struct str){text.p, n}, digits);
		else {
			n = n > 0 ? n : hex > 0 ? hex : 1;
			buf_add(&out, text.p, n);
		}
		text = str_from(text, n);
	}
	made = admin_string(buf_str(&out));
	buf_fini(&out);
	return made;
}

json_t *admin_masked(struct str text)
{
	return shown(text, false);
}

/* ---- words -------------------------------------------------------------------------------------
 */

static const char *word_in(const char *const *words, size_t n, int64_t at)
{
	return at > 0 && (uint64_t)at < n && words[at] != NULL ? words[at] : "?";
}

#define WORD_IN(words, at) word_in(words, sizeof(words) / sizeof((words)[0]), at)

static const char *attempt_word(int64_t state)
{
	return attempt_state_name((enum attempt_state)state);
}

static const char *purchase_word(int64_t state)
{
	return purchase_state_name((enum purchase_state)state);
}

static const char *leg_word(int64_t leg)
{
	return leg_kind_name((enum leg_kind)leg);
}

static const char *inbox_word(int64_t kind)
{
	static const char *const words[] = {NULL, "ipn", "reply", "status", "list", "balance"};

	return WORD_IN(words, kind);
}

static const char *owed_word(int64_t kind)
{
	static const char *const words[] = {
		NULL, "send", "poll", "sms", "deadline", NULL, "progress", "refund"};

	return WORD_IN(words, kind);
}

static const char *verdict_word(int64_t verdict)
{
	static const char *const words[] = {NULL, "applied", "duplicate", "ignored", "mismatch",
		"contradiction", "orphan", "hint", "malformed", "impossible", "proposal"};

	return WORD_IN(words, verdict);
}

static const char *book_word(int64_t book)
{
	return ledger_book_name((enum ledger_book)book);
}

static const char *decision_word(int64_t kind)
{
	static const char *const words[] = {
		NULL, "succeeded", "failed", "write-off", "refund", "dismiss", "release"};

	return WORD_IN(words, kind);
}

static const char *decision_state_word(int64_t state)
{
	static const char *const words[] = {NULL, "proposed", "applied", "overtaken"};

	return WORD_IN(words, state);
}

/* Which field of which kind of row is a number that stands for a word. */
static const struct naming {
	const char *kind, *field;
	const char *(*word)(int64_t);
} namings[] = {
	{"purchase", "state", purchase_word},
	{"attempt", "state", attempt_word},
	{"inbox", "kind", inbox_word},
	{"inbox", "verdict", verdict_word},
	{"owed", "kind", owed_word},
	{"ledger", "book", book_word},
	{"decision", "kind", decision_word},
	{"decision", "state", decision_state_word},
	{NULL, "leg", leg_word},
};

static bool has_attempt(const struct store_value *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(values[i].name, "attempt") == 0)
			return values[i].kind == VALUE_NUMBER;
	return false;
}

static json_t *number(
	const char *kind, const struct store_value *value, const struct store_value *row, size_t n)
{
	if (strcmp(kind, "event") == 0 &&
		(strcmp(value->name, "from_state") == 0 || strcmp(value->name, "to_state") == 0))
		return json_string(has_attempt(row, n) ? attempt_word(value->number)
						       : purchase_word(value->number));
	for (size_t i = 0; i < sizeof(namings) / sizeof(namings[0]); i++)
		if ((namings[i].kind == NULL || strcmp(namings[i].kind, kind) == 0) &&
			strcmp(namings[i].field, value->name) == 0)
			return json_string(namings[i].word(value->number));
	return json_integer(value->number);
}

static json_t *msisdn(const struct admin_turn *turn, struct str digits)
{
	char masked[MSISDN_MAX + 2];

	if (turn->is_full)
		return admin_string(digits);
	msisdn_mask(digits, masked);
	return json_string(masked);
}

static json_t *value_of(const struct admin_turn *turn, const char *kind,
	const struct store_value *value, const struct store_value *row, size_t n)
{
	struct str text = value->text;

	switch (value->kind) {
	case VALUE_NUMBER:
		return number(kind, value, row, n);
	case VALUE_TEXT:
	case VALUE_BYTES:
		return admin_string(value->text);
	case VALUE_SEALED:
		/* A stored reply begins with whether it ended the session (hop_buy.c). */
		text = str_from(text, strcmp(kind, "screen") == 0 ? 1 : 0);
		return shown(text, turn->is_full);
	case VALUE_MSISDN:
		return msisdn(turn, value->text);
	case VALUE_NULL:
		break;
	}
	return NULL;
}

json_t *admin_row(
	const struct admin_turn *turn, const char *kind, const struct store_value *values, size_t n)
{
	json_t *out = json_pack("{s:s}", "row", kind);

	for (size_t i = 0; i < n; i++) {
		json_t *value = value_of(turn, kind, &values[i], values, n);

		if (value != NULL)
			(void)json_object_set_new(out, values[i].name, value);
	}
	return out;
}

bool admin_collect(void *ctx, const struct store_value *values, size_t n)
{
	struct admin_rows *rows = ctx;

	(void)json_array_append_new(rows->list, admin_row(rows->turn, rows->kind, values, n));
	return true;
}
