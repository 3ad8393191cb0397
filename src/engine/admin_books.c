/* `tama books` and `tama reconcile`: balances, floats, days and what was found in them. */
#include "admin_priv.h"

#include "tama/wire.h"

#define BOOKS_ROWS 1000
#define DAY_MS INT64_C(86400000)

static const char *state_word(int64_t state)
{
	static const char *const words[] = {
		"?", "listing", "matching", "closing", "balanced", "explained", "DIFFERS"};

	return state > 0 && state <= RECONCILE_DIFFERS ? words[state] : "?";
}

static const char *finding_word(int64_t finding)
{
	static const char *const words[] = {"?", "matched", "executed there, not carried out here",
		"carried out here, absent there", "there, and nothing we know",
		"not as we asked for it"};

	return finding > 0 && finding <= LISTING_DIFFERS ? words[finding] : "?";
}

/* Numbers that stand for words, as the words. */
static const char *word_of(const struct books_value *v)
{
	if (strcmp(v->name, "book") == 0)
		return ledger_book_name((enum ledger_book)v->number);
	if (strcmp(v->name, "state") == 0)
		return state_word(v->number);
	if (strcmp(v->name, "finding") == 0)
		return finding_word(v->number);
	if (strcmp(v->name, "source") == 0)
		return v->number == OBSERVATION_ASKED ? "told" : "refused";
	return NULL;
}

static json_t *value_json(const struct books_value *v)
{
	const char *word = v->is_number ? word_of(v) : NULL;

	if (v->is_null)
		return json_null();
	if (word != NULL)
		return json_string(word);
	return v->is_number ? json_integer(v->number) : admin_string(v->text);
}

static const char *currency_of(const struct admin_turn *turn, const char *name)
{
	const struct config *c = turn->world->config;
	const struct account *account = c != NULL ? config_account(c, str_c(name)) : NULL;
	const struct float_cfg *agents = c != NULL ? config_float(c, str_c(name)) : NULL;

	if (account != NULL)
		return account->currency->code;
	return agents != NULL ? agents->currency->code : "";
}

struct books_rows {
	struct admin_turn *turn;
	const char *kind;
};

static void say_row(void *ctx, const struct books_value *values, size_t n)
{
	struct books_rows *rows = ctx;
	json_t *row = json_pack("{s:s}", "row", rows->kind);

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(row, values[i].name, value_json(&values[i]));
	/* The store knows an account's currency by its first posting only. */
	if (json_is_null(json_object_get(row, "currency")))
		(void)json_object_set_new(row, "currency",
			json_string(currency_of(
				rows->turn, json_string_value(json_object_get(row, "account")))));
	admin_say(rows->turn, row);
}

static int say_view(struct admin_turn *turn, enum books_view view, const char *kind,
	uint32_t partner, size_t max)
{
	struct books_rows rows = {turn, kind};
	int n = store_reader_books(turn->reader, view, partner, max, say_row, &rows);

	return n < 0 ? n : 0;
}

/* ---- books -------------------------------------------------------------------------------------
 */

static uint32_t partner_of(const struct admin_turn *turn, const char *name)
{
	const struct config *c = turn->world->config;
	const struct account *account = c != NULL ? config_account(c, str_c(name)) : NULL;
	const struct float_cfg *agents = c != NULL ? config_float(c, str_c(name)) : NULL;

	if (account != NULL)
		return account->partner->id;
	return agents != NULL ? agents->partner->id : 0;
}

static void say_float(struct admin_turn *turn, const struct engine_float *f)
{
	json_t *row = json_pack("{s:s, s:I, s:s, s:s, s:b, s:b}", "row", "float", "partner",
		(json_int_t)partner_of(turn, f->name), "name", f->name, "currency",
		currency_of(turn, f->name), "known", f->is_known, "sells", f->sells);

	(void)json_object_set_new(row, "reserved", json_integer(f->reserved));
	if (f->is_known) {
		(void)json_object_set_new(row, "balance", json_integer(f->balance));
		(void)json_object_set_new(row, "available", json_integer(f->available));
		(void)json_object_set_new(row, "seconds_left", json_integer(f->seconds_left));
	}
	admin_say(turn, row);
}

static void say_floats(struct admin_turn *turn, uint32_t partner)
{
	struct engine_float *floats = calloc(ENGINE_FLOATS_MAX, sizeof(*floats));
	size_t n = 0;

	if (floats != NULL && turn->world->floats != NULL)
		n = turn->world->floats(turn->world->ctx, floats, ENGINE_FLOATS_MAX);
	for (size_t i = 0; i < n; i++)
		if (partner == 0 || partner_of(turn, floats[i].name) == partner)
			say_float(turn, &floats[i]);
	free(floats);
}

int admin_books(struct admin_turn *turn)
{
	uint32_t partner = 0;
	int rc = admin_partner_of(turn, &partner);

	if (rc == 0)
		rc = admin_reader(turn);
	if (rc == 0)
		rc = say_view(turn, BOOKS_BALANCES, "balance", partner, BOOKS_ROWS);
	if (rc == 0)
		rc = say_view(turn, BOOKS_FLOATS, "observation", partner, BOOKS_ROWS);
	if (rc != 0)
		return rc;
	say_floats(turn, partner);
	rc = say_view(turn, BOOKS_RECONCILIATIONS, "reconciliation", partner, 20);
	return rc == 0 ? say_view(turn, BOOKS_FINDINGS, "finding", partner, 100) : rc;
}

/* ---- reconcile ---------------------------------------------------------------------------------
 */

/* "2026-11-22" as days since 1970; "today" and "yesterday". Negative: none of these. */
static int64_t day_of(const char *text, int64_t now_ms)
{
	struct tm t = {0};
	const char *end;

	if (strcmp(text, "today") == 0)
		return now_ms / DAY_MS;
	if (text[0] == '\0' || strcmp(text, "yesterday") == 0)
		return now_ms / DAY_MS - 1;
	end = strptime(text, "%Y-%m-%d", &t);
	return end != NULL && *end == '\0' ? (int64_t)timegm(&t) / 86400 : -1;
}

static int begin(struct admin_turn *turn, const struct account *account, int64_t day)
{
	struct engine_event event = {.kind = ENGINE_RECONCILE};
	int rc;

	event.as.reconcile = (struct engine_reconcile){
		.partner = account->partner->id, .account = account->name, .day = day};
	arena_init(&event.arena, 4096);
	rc = turn->world->decide(turn->world->ctx, &event, &turn->err);
	arena_fini(&event.arena);
	if (rc != 0)
		return rc;
	if (event.outcome != ENGINE_DONE)
		return err_set(&turn->err, TAMA_EIO, "it was not begun");
	admin_say(turn, json_pack("{s:s, s:s, s:I}", "row", "begun", "account", account->name.p,
				"day", (json_int_t)day));
	return 0;
}

/* Begins one account's day, or all accounts' that have a time for it. */
int admin_reconcile(struct admin_turn *turn)
{
	const struct config *c = turn->world->config;
	const char *name = admin_text_of(turn, "account");
	int64_t now_ms = clock_wall_ms();
	int64_t day = day_of(admin_text_of(turn, "day"), now_ms);
	size_t begun = 0;
	int rc = 0;

	if (!turn->world->is_live || turn->world->decide == NULL)
		return err_set(&turn->err, TAMA_ENOTFOUND,
			"a provider is asked by the running server; `tama books` shows what was "
			"found");
	if (day < 0)
		return err_set(&turn->err, TAMA_EINVAL,
			"--day wants a day such as 2026-11-22, today or yesterday");
	if (day > now_ms / DAY_MS)
		return err_set(&turn->err, TAMA_EINVAL, "that day has not begun (UTC)");
	for (size_t i = 0; i < c->accounts_len && rc == 0; i++) {
		const struct account *account = &c->accounts[i];

		if (name[0] != '\0' ? !str_eq(account->name, str_c(name))
				    : account->reconcile_at_s < 0)
			continue;
		rc = begin(turn, account, day);
		begun++;
	}
	if (rc == 0 && begun == 0 && name[0] == '\0')
		rc = err_set(&turn->err, TAMA_ENOTFOUND,
			"no account has a time for it (reconcile = \"03:00\"): --account names "
			"one");
	else if (rc == 0 && begun == 0)
		rc = err_set(&turn->err, TAMA_ENOTFOUND, "no such account: %.40s", name);
	return rc;
}
