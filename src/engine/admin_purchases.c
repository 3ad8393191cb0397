/* `tama purchases`: lists, finds, and the whole history of one. */
#include "admin_priv.h"

#include "tama/msisdn.h"

#define LIST_DEFAULT 20
#define LIST_MAX 1000
#define PARTNERS_MAX 256
#define NUMBER_FORMS 8

/* ---- list --------------------------------------------------------------------------------------
 */

static int state_of(struct admin_turn *turn, enum purchase_state *out)
{
	const char *word = admin_text_of(turn, "state");

	if (word[0] == '\0')
		return 0;
	for (int i = 1; i < PURCHASE_STATES; i++) {
		if (str_eq_nocase(
			    str_c(purchase_state_name((enum purchase_state)i)), str_c(word))) {
			*out = (enum purchase_state)i;
			return 0;
		}
	}
	return err_set(&turn->err, TAMA_EINVAL, "no such state: %.40s", word);
}

int admin_partner_of(struct admin_turn *turn, uint32_t *out)
{
	const char *word = admin_text_of(turn, "partner");
	const struct config *config = turn->world->config;
	int64_t id;

	if (word[0] == '\0')
		return 0;
	for (size_t i = 0; config != NULL && i < config->partners_len; i++) {
		if (str_eq(config->partners[i].name, str_c(word))) {
			*out = config->partners[i].id;
			return 0;
		}
	}
	if (!str_to_i64(str_c(word), &id) || id < 1 || id > UINT32_MAX)
		return err_set(&turn->err, TAMA_EINVAL, "no such partner: %.40s", word);
	*out = (uint32_t)id;
	return 0;
}

/* Page by page until there are as many as were asked for, each page a transaction of its own. */
int admin_list_into(struct admin_turn *turn, struct store_ask *ask, size_t max, json_t *list)
{
	struct admin_rows rows = {turn, "purchase", list};
	size_t begun = json_array_size(list);
	int rc;

	do {
		uint64_t more = 0;

		ask->max = max - (json_array_size(list) - begun);
		rc = store_reader_view(
			turn->reader, VIEW_PURCHASES, ask, admin_collect, &rows, &more);
		if (turn->world->is_ending(turn->world->ctx))
			return err_set(&turn->err, TAMA_EIO, "the server is about to end");
		ask->before = more;
	} while (rc >= 0 && ask->before > 0 && json_array_size(list) - begun < max);
	return rc < 0 ? rc : 0;
}

static size_t max_of(const struct admin_turn *turn)
{
	int64_t max = admin_number_of(turn, "limit", LIST_DEFAULT);

	return max < 1 ? 1 : max > LIST_MAX ? LIST_MAX : (size_t)max;
}

int admin_purchases_list(struct admin_turn *turn)
{
	struct store_ask ask = {.since_ms = admin_number_of(turn, "since_ms", 0),
		.before = (uint64_t)admin_number_of(turn, "before", 0)};
	json_t *list = json_array();
	int rc = state_of(turn, &ask.state);

	if (rc == 0)
		rc = admin_partner_of(turn, &ask.partner);
	if (rc == 0)
		rc = admin_reader(turn);
	if (rc == 0)
		rc = admin_list_into(turn, &ask, max_of(turn), list);
	admin_say_all(turn, list);
	return rc;
}

/* ---- find --------------------------------------------------------------------------------------
 */

struct partners {
	uint32_t ids[PARTNERS_MAX];
	size_t n;
};

static bool add_partner(void *ctx, const struct store_value *values, size_t n)
{
	struct partners *partners = ctx;

	partners->ids[partners->n++] = (uint32_t)values[0].number;
	return partners->n < PARTNERS_MAX;
}

static int all_partners(struct admin_turn *turn, struct partners *out)
{
	const struct store_ask ask = {.max = PARTNERS_MAX};
	uint32_t only = 0;
	int rc = admin_partner_of(turn, &only);

	out->n = 0;
	if (rc != 0)
		return rc;
	if (only != 0) {
		out->ids[out->n++] = only;
		return 0;
	}
	rc = store_reader_view(turn->reader, VIEW_PARTNERS, &ask, add_partner, out, NULL);
	return rc < 0 ? rc : 0;
}

/* What of a word may be a reference: they are upper case. */
static struct str upper(const char *word, char out[static 33])
{
	size_t n = 0;

	for (; n < 32 && word[n] != '\0'; n++)
		out[n] = (char)(word[n] >= 'a' && word[n] <= 'z' ? word[n] - ('a' - 'A') : word[n]);
	out[n] = '\0';
	return (struct str){out, n};
}

static int by_ref(
	struct admin_turn *turn, const struct partners *partners, const char *word, json_t *list)
{
	struct admin_rows rows = {turn, "purchase", list};
	char text[33];
	struct store_ask ask = {.text = upper(word, text)};
	int rc = 0;

	for (size_t i = 0; i < partners->n && rc >= 0; i++) {
		ask.partner = partners->ids[i];
		rc = store_reader_view(turn->reader, VIEW_BY_REF, &ask, admin_collect, &rows, NULL);
	}
	return rc < 0 ? rc : 0;
}

/* As a person writes it down or an aggregator sends it, in every country we know. */
static size_t number_forms(
	const struct config *config, const char *word, struct msisdn out[static NUMBER_FORMS])
{
	struct msisdn one;
	size_t n = 0;

	for (size_t i = 0; config != NULL && i < config->countries_len && n < NUMBER_FORMS; i++)
		if (msisdn_parse_typed(str_c(word), &config->countries[i].plan, &one) == 0 ||
			msisdn_parse_wire(str_c(word), &config->countries[i].plan, &one) == 0)
			out[n++] = one;
	if (n == 0 && msisdn_parse_wire(str_c(word), NULL, &one) == 0)
		out[n++] = one;
	return n;
}

static int by_number(
	struct admin_turn *turn, const struct partners *partners, const char *word, json_t *list)
{
	struct msisdn forms[NUMBER_FORMS];
	size_t n = number_forms(turn->world->config, word, forms);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		bool is_told = false;

		for (size_t k = 0; k < i; k++)
			is_told = is_told || strcmp(forms[k].digits, forms[i].digits) == 0;
		for (size_t p = 0; p < partners->n && rc == 0 && !is_told; p++) {
			struct store_ask ask = {
				.partner = partners->ids[p], .number = str_c(forms[i].digits)};

			rc = admin_list_into(turn, &ask, max_of(turn), list);
		}
	}
	return rc;
}

static int by_provider(struct admin_turn *turn, const char *word, json_t *list)
{
	static const enum store_view views[] = {VIEW_BY_OUR_REF, VIEW_BY_PROVIDER_ID};
	struct admin_rows rows = {turn, "attempt", list};
	struct store_ask ask = {.text = str_c(word)};
	int rc = 0;

	for (size_t i = 0; i < 2 && rc >= 0; i++)
		rc = store_reader_view(turn->reader, views[i], &ask, admin_collect, &rows, NULL);
	return rc < 0 ? rc : 0;
}

/* Whatever the person has in hand: a reference, a number, the provider's id, ours. */
int admin_purchases_find(struct admin_turn *turn)
{
	const char *word = admin_text_of(turn, "what");
	struct partners partners;
	json_t *list = json_array();
	int rc = admin_reader(turn);

	if (rc == 0)
		rc = all_partners(turn, &partners);
	if (rc == 0)
		rc = by_ref(turn, &partners, word, list);
	if (rc == 0 && json_array_size(list) == 0)
		rc = by_provider(turn, word, list);
	if (rc == 0 && json_array_size(list) == 0)
		rc = by_number(turn, &partners, word, list);
	admin_say_all(turn, list);
	return rc;
}

/* ---- show --------------------------------------------------------------------------------------
 */

/* What belongs to a purchase, and the field that tells when it was. */
static const struct part {
	enum store_view view;
	const char *kind, *at;
} parts[] = {
	{VIEW_PURCHASE, "purchase", "created_ms"},
	{VIEW_HOP, "screen", "created_ms"},
	{VIEW_ATTEMPTS, "attempt", "created_ms"},
	{VIEW_INBOX, "inbox", "received_ms"},
	{VIEW_EVENTS, "event", "at_ms"},
	{VIEW_LEDGER, "ledger", "at_ms"},
	{VIEW_SMS, "sms", "queued_ms"},
	{VIEW_DECISIONS, "decision", "proposed_ms"},
	{VIEW_OWED, "owed", "due_ms"},
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

struct dated {
	int64_t at_ms;
	size_t order;
	json_t *row;
};

static int by_time(const void *a, const void *b)
{
	const struct dated *x = a, *y = b;

	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* What is owed lies ahead and comes last, whatever the clock says. */
static int64_t time_of(const json_t *row, const struct part *part)
{
	int64_t at_ms = json_integer_value(json_object_get(row, part->at));

	return part->view == VIEW_OWED ? INT64_MAX : at_ms;
}

static void say_in_order(struct admin_turn *turn, json_t *const lists[static PARTS])
{
	size_t n = 0, k = 0;
	struct dated *all;

	for (size_t i = 0; i < PARTS; i++)
		n += json_array_size(lists[i]);
	all = calloc(n + 1, sizeof(*all));
	tama_assert(all != NULL);
	for (size_t i = 0; i < PARTS; i++) {
		for (size_t j = 0; j < json_array_size(lists[i]); j++, k++) {
			json_t *row = json_array_get(lists[i], j);

			all[k] = (struct dated){time_of(row, &parts[i]), k, row};
		}
	}
	qsort(all, n, sizeof(*all), by_time);
	for (size_t i = 0; i < n; i++)
		admin_say(turn, json_incref(all[i].row));
	free(all);
}

static int show_one(struct admin_turn *turn, const struct store_ask *ask)
{
	json_t *lists[PARTS];
	int rc = 0;

	for (size_t i = 0; i < PARTS; i++)
		lists[i] = json_array();
	for (size_t i = 0; i < PARTS && rc >= 0; i++) {
		struct admin_rows rows = {turn, parts[i].kind, lists[i]};

		rc = store_reader_view(
			turn->reader, parts[i].view, ask, admin_collect, &rows, NULL);
	}
	if (rc >= 0)
		say_in_order(turn, lists);
	for (size_t i = 0; i < PARTS; i++) {
		if (rc >= 0 && json_array_size(lists[i]) >= STORE_VIEW_ROWS)
			admin_say(turn,
				json_pack("{s:s, s:s}", "row", "left_out", "kind", parts[i].kind));
		json_decref(lists[i]);
	}
	return rc < 0 ? rc : 0;
}

int admin_find_ref(struct admin_turn *turn, const char *word, json_t *list)
{
	struct partners partners;
	int rc = admin_reader(turn);

	if (rc == 0)
		rc = all_partners(turn, &partners);
	if (rc == 0)
		rc = by_ref(turn, &partners, word, list);
	if (rc == 0 && json_array_size(list) == 0)
		rc = err_set(
			&turn->err, TAMA_ENOTFOUND, "no purchase has the reference %.40s", word);
	if (rc == 0 && json_array_size(list) > 1)
		rc = err_set(&turn->err, TAMA_ECONFLICT,
			"several partners have a purchase %.40s: say which with --partner", word);
	return rc;
}

int admin_purchases_show(struct admin_turn *turn)
{
	json_t *found = json_array();
	int rc = admin_find_ref(turn, admin_text_of(turn, "ref"), found);

	if (rc == 0) {
		const json_t *one = json_array_get(found, 0);
		struct store_ask ask = {
			.partner = (uint32_t)json_integer_value(json_object_get(one, "partner")),
			.purchase = (uint64_t)json_integer_value(json_object_get(one, "id"))};

		rc = show_one(turn, &ask);
	}
	json_decref(found);
	return rc;
}
