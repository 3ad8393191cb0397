/*
 * `tama review`: what waits for persons, each with a word to name it by: a letter and an id in
 * hexadecimal. "a": an attempt in REVIEW or CONTRADICTED; "i": parked evidence; "r": a
 * purchase whose money is owed and on no way back; "h": a hold. A purchase may be named by its
 * reference as well.
 */
#include "admin_priv.h"

static const struct case_kind {
	char letter;
	const char *kind; /* of its row */
	enum store_view list, one;
} kinds[] = {
	{'a', "attempt", VIEW_OPEN_CASES, VIEW_ATTEMPT},
	{'r', "purchase", VIEW_REFUNDS, VIEW_PURCHASE_BY_ID},
	{'i', "inbox", VIEW_PARKED, VIEW_PARKED_ONE},
	{'h', "hold", VIEW_HOLDS, VIEW_HOLD},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void name_case(json_t *row, char letter)
{
	char word[24];

	(void)snprintf(word, sizeof(word), "%c%llx", letter,
		(unsigned long long)json_integer_value(json_object_get(row, "id")));
	(void)json_object_set_new(row, "case", json_string(word));
}

/* ---- how what came was authenticated -----------------------------------------------------------
 */

static const char *ipn_auth(const struct account *account)
{
	bool has_signature = account->signature_secret.n > 0,
	     has_sources = account->sources_len > 0;

	if (has_signature)
		return has_sources ? "secret path, HMAC signature, source address"
				   : "secret path, HMAC signature";
	return has_sources ? "secret path, source address" : "secret path";
}

/* What the account demands now; what it demanded then is in the version of its configuration. */
static void add_auth(const struct admin_turn *turn, json_t *row)
{
	const char *kind = json_string_value(json_object_get(row, "kind"));
	const char *name = json_string_value(json_object_get(row, "account"));
	const struct account *account = turn->world->config != NULL
						? config_account(turn->world->config, str_c(name))
						: NULL;
	const char *how = "the account is not in the configuration";

	if (kind != NULL && strcmp(kind, "ipn") != 0)
		how = "answer on a connection that we opened";
	else if (account != NULL)
		how = ipn_auth(account);
	(void)json_object_set_new(row, "auth", json_string(how));
}

/* ---- list --------------------------------------------------------------------------------------
 */

static int collect(struct admin_turn *turn, enum store_view view, const char *kind,
	const struct store_ask *ask, json_t *list)
{
	struct admin_rows rows = {turn, kind, list};
	int rc = store_reader_view(turn->reader, view, ask, admin_collect, &rows, NULL);

	return rc < 0 ? rc : 0;
}

static int list_kind(struct admin_turn *turn, const struct case_kind *kind)
{
	struct store_ask ask = {0};
	json_t *list = json_array();
	int rc = collect(turn, kind->list, kind->kind, &ask, list);

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *row = json_array_get(list, i);

		name_case(row, kind->letter);
		(void)json_object_del(row, "raw");
		admin_say(turn, json_incref(row));
	}
	if (json_array_size(list) >= STORE_VIEW_ROWS)
		admin_say(turn, json_pack("{s:s, s:s}", "row", "left_out", "kind", kind->kind));
	json_decref(list);
	return rc;
}

static int say_view(struct admin_turn *turn, enum store_view view, const char *kind,
	const struct store_ask *ask)
{
	json_t *list = json_array();
	int rc = collect(turn, view, kind, ask, list);

	admin_say_all(turn, list);
	return rc;
}

/* Whether a refund was tried and none of its attempts may have left: only persons begin another. */
static bool has_failed_refund(struct admin_turn *turn, const json_t *purchase)
{
	const struct store_ask ask = {
		.partner = (uint32_t)json_integer_value(json_object_get(purchase, "partner")),
		.purchase = (uint64_t)json_integer_value(json_object_get(purchase, "id"))};
	json_t *list = json_array();
	bool is_over = false;

	(void)collect(turn, VIEW_ATTEMPTS, "attempt", &ask, list);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *row = json_array_get(list, i);

		const char *leg = json_string_value(json_object_get(row, "leg"));
		const char *state = json_string_value(json_object_get(row, "state"));

		if (leg != NULL && state != NULL && strcmp(leg, "refund") == 0)
			is_over = strcmp(state, "FAILED") == 0 || strcmp(state, "EXPIRED") == 0;
	}
	json_decref(list);
	return is_over;
}

static int list_failed_refunds(struct admin_turn *turn)
{
	struct store_ask ask = {.state = PURCHASE_REVIEW};
	json_t *list = json_array();
	int rc = admin_list_into(turn, &ask, STORE_VIEW_ROWS, list);

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *row = json_array_get(list, i);

		if (!has_failed_refund(turn, row))
			continue;
		name_case(row, 'r');
		admin_say(turn, json_incref(row));
	}
	json_decref(list);
	return rc;
}

int admin_review_list(struct admin_turn *turn)
{
	const struct store_ask ask = {0};
	int rc = admin_reader(turn);

	for (size_t i = 0; i < KINDS && rc == 0; i++)
		rc = list_kind(turn, &kinds[i]);
	if (rc == 0)
		rc = list_failed_refunds(turn);
	return rc == 0 ? say_view(turn, VIEW_PROPOSED, "decision", &ask) : rc;
}

/* ---- one case ----------------------------------------------------------------------------------
 */

struct found_case {
	const struct case_kind *kind;
	json_t *row; /* the finder's */
	uint64_t id;
	uint32_t partner;
};

#define WORD_MIN 10 /* ids hold the time: those of cases are long, references are not */

static bool parse_case(const char *word, struct found_case *out)
{
	char *end = NULL;
	size_t n = strlen(word);

	for (size_t i = 0; i < KINDS && n >= WORD_MIN && n <= 17; i++)
		if (word[0] == kinds[i].letter)
			out->kind = &kinds[i];
	if (out->kind == NULL)
		return false;
	out->id = strtoull(word + 1, &end, 16);
	return *end == '\0' && out->id > 0 && out->id <= INT64_MAX;
}

/* By a reference: the purchase itself, about whose money persons may decide. */
static int find_by_ref(
	struct admin_turn *turn, const char *word, struct found_case *out, json_t *list)
{
	int rc = admin_find_ref(turn, word, list);

	if (rc != 0)
		return rc;
	out->kind = &kinds[1];
	out->id = (uint64_t)json_integer_value(json_object_get(json_array_get(list, 0), "id"));
	return 0;
}

static int find_case(struct admin_turn *turn, struct found_case *out)
{
	const char *word = admin_text_of(turn, "case");
	json_t *list = json_array();
	int rc = admin_reader(turn);

	*out = (struct found_case){0};
	if (rc == 0 && parse_case(word, out)) {
		const struct store_ask ask = {.after = out->id, .max = 1};

		rc = collect(turn, out->kind->one, out->kind->kind, &ask, list);
	} else if (rc == 0 && find_by_ref(turn, word, out, list) != 0) {
		turn->err.text[0] = '\0';
		rc = err_set(&turn->err, TAMA_EINVAL,
			"no case is called %.40s: tama review lists them", word);
	}
	json_t *row = json_array_get(list, 0);

	if (rc == 0 && (uint64_t)json_integer_value(json_object_get(row, "id")) != out->id)
		rc = err_set(&turn->err, TAMA_ENOTFOUND, "there is no case %.40s any more", word);
	if (rc == 0) {
		out->row = json_incref(row);
		out->partner = (uint32_t)json_integer_value(json_object_get(row, "partner"));
		name_case(out->row, out->kind->letter);
	}
	json_decref(list);
	return rc;
}

static int show_evidence(struct admin_turn *turn, const struct store_ask *ask, uint64_t attempt)
{
	json_t *list = json_array();
	int rc = collect(turn, VIEW_INBOX, "inbox", ask, list);

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *row = json_array_get(list, i);

		int64_t of = json_integer_value(json_object_get(row, "attempt"));

		if (attempt != 0 && (uint64_t)of != attempt)
			continue;
		add_auth(turn, row);
		admin_say(turn, json_incref(row));
	}
	json_decref(list);
	return rc;
}

/* What each proof says, when it came and how it was authenticated, beside what the machine did. */
int admin_review_show(struct admin_turn *turn)
{
	struct found_case c;
	struct store_ask ask;
	int rc = find_case(turn, &c);

	if (rc != 0)
		return rc;
	bool is_purchase = c.kind->letter == 'r';

	ask = (struct store_ask){.partner = c.partner,
		.purchase = is_purchase ? c.id
					: (uint64_t)json_integer_value(
						  json_object_get(c.row, "purchase"))};
	if (c.kind->letter == 'i')
		add_auth(turn, c.row);
	admin_say(turn, c.row);
	if (ask.purchase == 0)
		return 0;
	if (!is_purchase)
		rc = say_view(turn, VIEW_PURCHASE, "purchase", &ask);
	if (rc == 0)
		rc = show_evidence(turn, &ask, c.kind->letter == 'a' ? c.id : 0);
	if (rc == 0)
		rc = say_view(turn, VIEW_EVENTS, "event", &ask);
	return rc == 0 ? say_view(turn, VIEW_DECISIONS, "decision", &ask) : rc;
}

/* ---- decide ------------------------------------------------------------------------------------
 */

static const struct {
	const char *word;
	enum decision_kind kind;
	char of; /* the letter of the cases it is about */
} decisions[] = {
	{"succeeded", DECIDE_SUCCEEDED, 'a'},
	{"failed", DECIDE_FAILED, 'a'},
	{"write-off", DECIDE_WRITE_OFF, 'a'},
	{"refund", DECIDE_REFUND, 'r'},
	{"dismiss", DECIDE_DISMISS, 'i'},
	{"release", DECIDE_RELEASE, 'h'},
};

static int decision_of(struct admin_turn *turn, enum decision_kind *kind_out, char *of_out)
{
	const char *word = admin_text_of(turn, "decision");

	for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		if (strcmp(decisions[i].word, word) == 0) {
			*kind_out = decisions[i].kind;
			*of_out = decisions[i].of;
			return 0;
		}
	}
	return err_set(&turn->err, TAMA_EINVAL,
		"a decision is succeeded, failed, write-off, refund, dismiss or release");
}

/* The words that the engine's outcomes have here; NULL: nothing was kept. */
static const char *outcome_word(enum engine_outcome outcome)
{
	if (outcome == ENGINE_DONE)
		return "applied";
	return outcome == ENGINE_PROPOSED ? "proposed" : NULL;
}

static int tell_outcome(struct admin_turn *turn, const struct engine_event *event)
{
	const struct engine_decision *d = &event->as.decision;
	const char *word = outcome_word(event->outcome);

	if (event->outcome == ENGINE_SAME_PERSON)
		return err_set(&turn->err, TAMA_EAUTH,
			"%s proposed this already: another person must agree", turn->user->name);
	if (event->outcome == ENGINE_NOT_DECIDABLE)
		return err_set(&turn->err, TAMA_ECONFLICT, "not to be decided so: %s",
			d->reason != NULL ? d->reason : "the case is closed");
	if (event->outcome == ENGINE_IN_DOUBT)
		return err_set(&turn->err, TAMA_EDOUBT,
			"nobody can say whether it was kept: look again with tama review");
	if (word == NULL)
		return err_set(&turn->err, TAMA_EIO, "it was not kept: try again");
	admin_say(turn, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "row", "decided", "outcome",
				word, "case", admin_text_of(turn, "case"), "decision",
				admin_text_of(turn, "decision"), "user", turn->user->name,
				"proposed_by", admin_string(d->proposed_by)));
	return 0;
}

static int post(struct admin_turn *turn, const struct found_case *c, enum decision_kind kind)
{
	struct engine_event event = {.kind = ENGINE_DECISION};
	struct engine_decision *d = &event.as.decision;
	int rc;

	*d = (struct engine_decision){.partner = c->partner,
		.kind = kind,
		.subject = c->id,
		.user = str_c(turn->user->name),
		.proof = str_c(admin_text_of(turn, "proof"))};
	arena_init(&event.arena, 16 * 1024);
	/* One connection at a time where this process opens the store to decide. */
	store_reader_close(&turn->reader);
	rc = turn->world->decide(turn->world->ctx, &event, &turn->err);
	if (rc == 0)
		rc = tell_outcome(turn, &event);
	arena_fini(&event.arena);
	return rc;
}

int admin_review_decide(struct admin_turn *turn)
{
	struct str proof = str_c(admin_text_of(turn, "proof"));
	enum decision_kind kind = DECIDE_DISMISS;
	struct found_case c = {0};
	char of = 0;
	int rc = decision_of(turn, &kind, &of);

	if (rc == 0 && (proof.n == 0 || proof.n > 1000))
		rc = err_set(&turn->err, TAMA_EINVAL,
			"a decision wants --proof: what you saw, in 1 to 1000 bytes");
	if (rc == 0 && turn->world->decide == NULL)
		rc = err_set(&turn->err, TAMA_ENOTFOUND,
			"decisions need an engine: it alone moves money");
	if (rc == 0)
		rc = find_case(turn, &c);
	if (rc == 0 && c.kind->letter != of)
		rc = err_set(&turn->err, TAMA_EINVAL, "%s is no decision about this case",
			admin_text_of(turn, "decision"));
	if (rc == 0)
		rc = admin_audit(turn, "decision", str_c(admin_text_of(turn, "case")), proof);
	if (rc == 0)
		rc = post(turn, &c, kind);
	json_decref(c.row);
	return rc;
}
