/* Amounts as integers, read exactly or not at all. */
#include "tama/money.h"

#include "tama/err.h"
#include "tama/mutant.h"

/* ISO 4217 minor units (sms-gsm-numbering.md D.5). */
static const struct currency currencies[] = {
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

/* What people type beside an amount but code and symbol; a longer word before its own end. */
static const struct {
	const char *code;
	const char *word;
} typed_words[] = {
	{"XOF", "F CFA"},
	{"XOF", "FCFA"},
	{"XOF", "CFA"},
	{"XAF", "F CFA"},
	{"XAF", "FCFA"},
	{"XAF", "CFA"},
	{"UGX", "USH"},
	{"KES", "KSH"},
	{"TZS", "TSH"},
	{"NGN", "N"},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint64_t unit_of(const struct currency *cur)
{
	uint64_t unit = 1;
	for (unsigned i = 0; i < cur->minor_units; i++)
		unit *= 10;
	return unit;
}

/* Appends a digit to *value unless that takes it past MONEY_MAX. */
static bool take_digit(int64_t *value, char c)
{
	*value = *value * 10 + (c - '0');
	return *value <= MONEY_MAX;
}

/* Drops the word from one end of s, and the blanks between. */
static bool drop_word(struct str *s, const char *word)
{
	struct str w = str_c(word);
	if (s->n < w.n)
		return false;
	struct str rest = {s->p, s->n - w.n};
	if (str_eq_nocase((struct str){s->p, w.n}, w))
		rest.p += w.n;
	else if (!str_eq_nocase(str_from(*s, rest.n), w))
		return false;
	*s = str_trim(rest);
	return true;
}

static struct str without_currency(struct str s, const struct currency *cur)
{
	s = str_trim(s);
	if (drop_word(&s, cur->code))
		return s;
	for (size_t i = 0; i < sizeof(typed_words) / sizeof(typed_words[0]); i++)
		if (strcmp(typed_words[i].code, cur->code) == 0 &&
			drop_word(&s, typed_words[i].word))
			return s;
	(void)drop_word(&s, cur->symbol);
	return s;
}

/* Writes the digits of whole units with a blank between thousands; returns their end. */
static char *put_grouped(char *out, uint64_t whole)
{
	char digits[24];
	int n = 0;
	do {
		digits[n++] = (char)('0' + whole % 10);
		whole /= 10;
	} while (whole > 0);
	while (n > 0) {
		*out++ = digits[--n];
		if (n > 0 && n % 3 == 0)
			*out++ = ' ';
	}
	return out;
}

static uint64_t magnitude(int64_t amount)
{
	return amount < 0 ? -(uint64_t)amount : (uint64_t)amount;
}

const struct currency *currency_find(struct str code)
{
	for (size_t i = 0; i < sizeof(currencies) / sizeof(currencies[0]); i++)
		if (str_eq_nocase(code, str_c(currencies[i].code)))
			return &currencies[i];
	return NULL;
}

int money_parse_wire(struct str s, const struct currency *cur, int64_t *out)
{
	bool is_negative = str_has_prefix(s, STR("-"));
	if (is_negative || str_has_prefix(s, STR("+")))
		s = str_from(s, 1);
	bool has_point = str_find(s, '.') >= 0;
	struct str decimals = s;
	struct str whole = str_cut(&decimals, '.');
	if (whole.n == 0 || (has_point && decimals.n == 0))
		return TAMA_EINVAL;
	int64_t value = 0;
	for (size_t i = 0; i < whole.n; i++)
		if (!is_digit(whole.p[i]) || !take_digit(&value, whole.p[i]))
			return TAMA_EINVAL;
	for (size_t i = 0; i < cur->minor_units; i++) {
		char c = i < decimals.n ? decimals.p[i] : '0';
		if (!is_digit(c) || !take_digit(&value, c))
			return TAMA_EINVAL;
	}
	for (size_t i = cur->minor_units; i < decimals.n; i++)
		if (decimals.p[i] != '0')
			return TAMA_EINVAL;
	if (MUTANT(FLOAT_AMOUNT))
		value = (int64_t)(float)value;
	*out = is_negative ? -value : value;
	return 0;
}

int money_parse_typed(struct str s, const struct currency *cur, int64_t *out)
{
	s = without_currency(s, cur);
	const char *marks = cur->minor_units == 0 ? " .," : " ";
	int64_t value = 0;
	char mark = '\0';
	size_t run = 0; /* digits since the last mark */
	if (s.n == 0 || s.p[0] == '0')
		return TAMA_EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (is_digit(c)) {
			if (!take_digit(&value, c))
				return TAMA_EINVAL;
			run++;
			continue;
		}
		bool is_first = mark == '\0' && c != '\0' && strchr(marks, c) != NULL && run >= 1 &&
				run <= 3;
		if (!is_first && (c != mark || run != 3))
			return TAMA_EINVAL;
		mark = c;
		run = 0;
	}
	if ((mark != '\0' && run != 3) || value > MONEY_MAX / (int64_t)unit_of(cur))
		return TAMA_EINVAL;
	*out = value * (int64_t)unit_of(cur);
	return 0;
}

void money_format(int64_t amount, const struct currency *cur, char out[static MONEY_TEXT_MAX])
{
	char *at = out;
	uint64_t whole = magnitude(amount) / unit_of(cur);
	uint64_t minor = magnitude(amount) % unit_of(cur);
	if (amount < 0)
		*at++ = '-';
	at = put_grouped(at, whole);
	if (minor > 0)
		at += snprintf(at, MONEY_TEXT_MAX - (size_t)(at - out), ".%0*llu",
			(int)cur->minor_units, (unsigned long long)minor);
	*at++ = ' ';
	memcpy(at, cur->symbol, strlen(cur->symbol) + 1);
}

void money_format_wire(int64_t amount, const struct currency *cur, char out[static MONEY_TEXT_MAX])
{
	unsigned long long whole = magnitude(amount) / unit_of(cur);
	unsigned long long minor = magnitude(amount) % unit_of(cur);
	const char *sign = amount < 0 ? "-" : "";
	if (cur->minor_units > 0)
		(void)snprintf(out, MONEY_TEXT_MAX, "%s%llu.%0*llu", sign, whole,
			(int)cur->minor_units, minor);
	else
		(void)snprintf(out, MONEY_TEXT_MAX, "%s%llu", sign, whole);
}
