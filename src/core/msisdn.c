/* Telephone numbers: sms-gsm-numbering.md C, reliability.md F-J10. */
#include "tama/msisdn.h"

#include "tama/err.h"

#define MSISDN_MIN 7
#define OLD_IVORIAN_LEN 8
/* An MSISDN behind "00" or with a trunk prefix inside. */
#define TYPED_DIGITS_MAX (MSISDN_MAX + 3)

static bool is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

static bool drop_prefix(struct str *s, struct str prefix)
{
	if (!str_has_prefix(*s, prefix))
		return false;
	*s = str_from(*s, prefix.n);
	return true;
}

static bool is_mobile(struct str nsn, const struct numbering_plan *plan)
{
	for (size_t i = 0; i < plan->mobile_len; i++)
		if (str_has_prefix(nsn, plan->mobile[i]))
			return true;
	return false;
}

/* International numbers never begin with 0: no country code does (ITU-T E.164). */
static bool is_international(struct str s)
{
	return s.n >= MSISDN_MIN && s.n <= MSISDN_MAX && s.p[0] != '0' && is_digits(s);
}

/*
 * Makes the NSN of a mobile number from its national form, with or without the trunk prefix; false
 * when it is none. A 0 is dropped only where the plan has it as trunk prefix.
 */
static bool nsn_from(struct str s, const struct numbering_plan *plan, struct str *nsn)
{
	if (plan->trunk.n > 0 && s.n == plan->trunk.n + plan->nsn_len)
		(void)drop_prefix(&s, plan->trunk);
	if (s.n != plan->nsn_len || !is_mobile(s, plan))
		return false;
	*nsn = s;
	return true;
}

static int store(struct str cc, struct str rest, struct msisdn *out)
{
	if (cc.n + rest.n > MSISDN_MAX)
		return TAMA_EINVAL;
	struct msisdn m = {""};
	if (cc.n > 0)
		memcpy(m.digits, cc.p, cc.n);
	if (rest.n > 0)
		memcpy(m.digits + cc.n, rest.p, rest.n);
	*out = m;
	return 0;
}

/* Eight digits were an Ivorian number before 31 January 2021; the two before them are not known. */
static int refuse(struct str national, const struct numbering_plan *plan)
{
	bool is_old = str_eq(plan->iso, STR("CI")) && national.n == OLD_IVORIAN_LEN;
	return is_old ? TAMA_EDOUBT : TAMA_EINVAL;
}

/* Keeps the digits of what was typed; false on anything but digits and blanks, dots, hyphens. */
static bool squeeze(struct str s, char digits[static TYPED_DIGITS_MAX], struct str *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == ' ' || c == '.' || c == '-')
			continue;
		if (c < '0' || c > '9' || n == TYPED_DIGITS_MAX)
			return false;
		digits[n++] = c;
	}
	*out = (struct str){digits, n};
	return n > 0;
}

/* The national form of a number of the plan, or an empty str. */
static struct str nsn_of(const struct msisdn *m, const struct numbering_plan *plan)
{
	struct str s = str_c(m->digits);
	if (plan == NULL || !drop_prefix(&s, plan->cc) || s.n != plan->nsn_len)
		return STR("");
	return s;
}

int msisdn_parse_wire(struct str s, const struct numbering_plan *plan, struct msisdn *out)
{
	struct str nsn;
	if (s.n >= 4 && str_eq_nocase((struct str){s.p, 4}, STR("tel:")))
		s = str_from(s, 4);
	bool is_marked = drop_prefix(&s, STR("+")) || drop_prefix(&s, STR(" ")) ||
			 drop_prefix(&s, STR("00"));
	if (!is_digits(s))
		return TAMA_EINVAL;
	bool has_cc =
		plan != NULL && str_has_prefix(s, plan->cc) && s.n == plan->cc.n + plan->nsn_len;
	if (!is_marked && !has_cc && plan != NULL && nsn_from(s, plan, &nsn))
		return store(plan->cc, nsn, out);
	return is_international(s) ? store(STR(""), s, out) : TAMA_EINVAL;
}

int msisdn_parse_typed(struct str s, const struct numbering_plan *plan, struct msisdn *out)
{
	tama_assert(plan != NULL);
	char digits[TYPED_DIGITS_MAX];
	struct str nsn;
	s = str_trim(s);
	bool is_marked = drop_prefix(&s, STR("+"));
	if (!squeeze(s, digits, &s))
		return TAMA_EINVAL;
	is_marked = is_marked || drop_prefix(&s, STR("00"));
	if (!is_marked && nsn_from(s, plan, &nsn))
		return store(plan->cc, nsn, out);
	struct str national = s;
	if (drop_prefix(&national, plan->cc)) {
		if (nsn_from(national, plan, &nsn))
			return store(plan->cc, nsn, out);
		if (is_marked || refuse(national, plan) == TAMA_EDOUBT)
			return refuse(national, plan);
	}
	if (is_marked)
		return is_international(s) ? TAMA_ENOTFOUND : TAMA_EINVAL;
	return refuse(s, plan);
}

void msisdn_national(
	const struct msisdn *m, const struct numbering_plan *plan, char out[static MSISDN_MAX + 2])
{
	struct str nsn = nsn_of(m, plan);
	out[0] = '\0';
	if (nsn.n > 0 && plan->trunk.n + nsn.n <= MSISDN_MAX + 1)
		(void)snprintf(out, MSISDN_MAX + 2, "%.*s%.*s", STR_ARG(plan->trunk), STR_ARG(nsn));
}

void msisdn_grouped(const struct msisdn *m, const struct numbering_plan *plan,
	char out[static 2 * MSISDN_MAX + 2])
{
	char national[MSISDN_MAX + 2];
	msisdn_national(m, plan, national);
	if (national[0] == '\0') {
		(void)snprintf(out, 2 * MSISDN_MAX + 2, "%s%s", m->digits[0] != '\0' ? "+" : "",
			m->digits);
		return;
	}
	size_t group = 0;
	unsigned in_group = 0;
	for (const char *digit = national; *digit != '\0'; digit++) {
		bool is_full = group < plan->groups.n &&
			       in_group == (unsigned)(plan->groups.p[group] - '0');
		if (is_full && in_group > 0) {
			*out++ = ' ';
			in_group = 0;
			group++;
		}
		*out++ = *digit;
		in_group++;
	}
	*out = '\0';
}

void msisdn_mask(struct str digits, char out[static MSISDN_MAX + 2])
{
	(void)drop_prefix(&digits, STR("+"));
	size_t n = digits.n < MSISDN_MAX ? digits.n : MSISDN_MAX;
	size_t head = n >= 11 ? 4 : n >= 8 ? 2 : 0;
	size_t tail = n >= 8 ? 2 : 0;
	out[0] = '+';
	for (size_t i = 0; i < n; i++) {
		char c = i < head ? digits.p[i] : digits.p[digits.n - n + i];
		bool is_shown = (i < head || i >= n - tail) && c >= '0' && c <= '9';
		out[i + 1] = is_shown ? c : '*';
	}
	out[n + 1] = '\0';
}
