/*
 * What a configuration says of dialects: that they exist, and that what each needs to speak to its
 * peer is given. The rest of a configuration is checked where it is read.
 */
#include "check_priv.h"

#include "tama/limits.h"

#define INCLUDES_MAX 4 /* of one another */

/* Fields without which a dialect cannot work; what a provider's account needs, by its profile. */
static const struct {
	enum dialect_kind kind;
	const char *dialect;
	const char *field;
} needed_fields[] = {
	{DIALECT_SMS, "kannel", "url"},
	{DIALECT_SMS, "kannel", "username"},
	{DIALECT_SMS, "kannel", "password"},
	{DIALECT_SMS, "kannel", "sender"},
	{DIALECT_PROVIDER, "easytransfert", "api_key"},
	{DIALECT_PROVIDER, "xente", "app_key"},
	{DIALECT_PROVIDER, "xente", "app_password"},
	{DIALECT_PROVIDER, "xente", "user_id"},
};

/* ---- where a declaration stands ----------------------------------------------------------------
 */

struct place {
	struct str file;
	unsigned line;
};

/* A line such as: word "name" */
static bool declares(struct str line, const char *word, struct str name)
{
	struct str rest = str_trim(line);

	if (!str_has_prefix(rest, str_c(word)))
		return false;
	rest = str_trim(str_from(rest, strlen(word)));
	if (rest.n < name.n + 2 || (rest.p[0] != '"' && rest.p[0] != '\''))
		return false;
	return str_has_prefix(str_from(rest, 1), name) && rest.p[name.n + 1] == rest.p[0];
}

/* The file that a line includes; empty for any other line. */
static struct str included(struct str line)
{
	struct str rest = str_trim(line);

	if (!str_has_prefix(rest, STR("include")))
		return STR("");
	(void)str_cut(&rest, '"');
	return str_cut(&rest, '"');
}

static struct str path_beside(struct check *check, struct str file, struct str name)
{
	size_t folder = file.n;

	while (folder > 0 && file.p[folder - 1] != '/')
		folder--;
	return arena_printf(&check->arena, "%.*s%.*s", (int)folder, file.p, STR_ARG(name));
}

/* Files are short and problems few, so they are simply read again. */
static bool find_in(struct check *check, struct str file, const char *word, struct str name,
	unsigned depth, struct place *out)
{
	struct str rest;
	unsigned at = 0;

	if (depth > INCLUDES_MAX || !check_read(check, file.p, LIMIT_CONFIG_FILE, &rest))
		return false;
	while (rest.p != NULL) {
		struct str line = str_cut(&rest, '\n');
		struct str other = included(line);

		at++;
		if (declares(line, word, name)) {
			*out = (struct place){file, at};
			return true;
		}
		if (other.n > 0 &&
			find_in(check, path_beside(check, file, other), word, name, depth + 1, out))
			return true;
	}
	return false;
}

static struct place place_of(struct check *check, const char *word, struct str name)
{
	struct place place = {check->config->file, 1};

	(void)find_in(check, arena_str(&check->arena, place.file), word, name, 0, &place);
	return place;
}

static void tell(
	struct check *check, const char *word, struct str name, const char *what, struct str about)
{
	struct place place = place_of(check, word, name);

	check_problem(check, "%.*s:%u: %s \"%.*s\": %s \"%.*s\"", STR_ARG(place.file), place.line,
		word, STR_ARG(name), what, STR_ARG(about));
}

/* ---- channels and accounts ---------------------------------------------------------------------
 */

void check_channels(struct check *check)
{
	for (size_t i = 0; i < check->config->channels_len; i++) {
		const struct channel *channel = &check->config->channels[i];
		enum dialect_kind kind = channel->kind == CHANNEL_SMS ? DIALECT_SMS : DIALECT_USSD;

		if (!dialect_exists(check->dialects, kind, channel->dialect))
			tell(check, "channel", channel->name,
				kind == DIALECT_SMS ? "there is no SMS dialect"
						    : "there is no USSD dialect",
				channel->dialect);
		for (size_t k = 0; k < sizeof(needed_fields) / sizeof(needed_fields[0]); k++)
			if (needed_fields[k].kind == kind &&
				str_eq(channel->dialect, str_c(needed_fields[k].dialect)) &&
				channel_field(channel, needed_fields[k].field).n == 0)
				tell(check, "channel", channel->name, "its dialect needs the field",
					str_c(needed_fields[k].field));
	}
}

static void check_account(struct check *check, const struct account *account)
{
	struct str dialect = str_c(account->profile->name);
	struct str scheme = account_field(account, "auth_scheme");

	if (!dialect_exists(check->dialects, DIALECT_PROVIDER, dialect))
		tell(check, "account", account->name, "there is no provider dialect", dialect);
	for (size_t k = 0; k < sizeof(needed_fields) / sizeof(needed_fields[0]); k++)
		if (needed_fields[k].kind == DIALECT_PROVIDER &&
			str_eq(dialect, str_c(needed_fields[k].dialect)) &&
			account_field(account, needed_fields[k].field).n == 0)
			tell(check, "account", account->name, "its provider needs the field",
				str_c(needed_fields[k].field));
	/* xente.md 2.1: pages say Bearer, every sample says Token. */
	if (str_eq(dialect, STR("xente")) && scheme.n > 0 && !str_eq(scheme, STR("Bearer")) &&
		!str_eq(scheme, STR("Token")))
		tell(check, "account", account->name, "only Bearer and Token can be in the field",
			STR("auth_scheme"));
}

void check_accounts(struct check *check)
{
	for (size_t i = 0; i < check->config->accounts_len; i++)
		check_account(check, &check->config->accounts[i]);
}
