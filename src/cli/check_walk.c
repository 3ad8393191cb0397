/*
 * Walks a menu as every phone could: breadth first, each screen with all its options and with
 * numbers, amounts and codes right and wrong. A screen is known by its words, so a menu that goes
 * round in circles is walked once; a screen that refuses an input is looked at and not walked from,
 * because it waits for the same answer as the one before.
 *
 * What it cannot know, it says: a question that takes none of its answers, a walk that grew past
 * its bounds.
 */
#include "check_priv.h"

#include "tama/limits.h"
#include "tama/purchase.h"

#define WALK_SCREENS 1000 /* of one caller in one language */
#define WALK_EDGES (16 * WALK_SCREENS)
#define WALK_BYTES (8 * 1024 * 1024)
#define WALK_INPUTS 96
#define WALK_LOOKUPS 3 /* one after another on one hop */
#define WALK_MS UINT64_C(1750000000000)
#define SLOTS 4096 /* a power of two above WALK_SCREENS */

#define CODE "4821" /* a code that is right, and what a confirmation by SMS repeats */

struct node {
	struct str journal;
	struct str text; /* the screen; empty for the start */
	struct str path; /* what was typed to get here */
	unsigned buys;
	bool is_start;
	bool is_parked; /* goes on when redialled */
	bool is_over; /* nothing follows: the session has ended */
	bool can_end; /* an end can be reached, or it is not known */
	bool is_answered; /* some input led on */
	bool is_walked;
	uint32_t parent;
};

struct edge {
	uint32_t from, to;
};

struct walk {
	struct check *check;
	const struct channel *channel;
	const struct service *service;
	const struct operator_cfg *payer; /* whose number calls */
	struct msisdn caller;
	struct str lang;
	struct arena arena; /* nodes and what they hold */
	struct arena turn; /* one hop */
	struct buf journal;
	struct node *nodes;
	uint32_t nodes_len;
	struct edge *edges;
	uint32_t edges_len;
	uint32_t slots[SLOTS]; /* nodes by their text, plus one; 0: free */
	struct str inputs[WALK_INPUTS]; /* tried on every screen besides its own options */
	size_t inputs_len;
	bool is_cut_short;
};

/* ---- what is told ------------------------------------------------------------------------------
 */

static struct str place(struct walk *walk, struct str path)
{
	return arena_printf(&walk->turn, "%.*s, %.*s, a caller of %.*s: %.*s",
		STR_ARG(walk->channel->name), STR_ARG(walk->lang), STR_ARG(walk->payer->name),
		STR_ARG(path));
}

static void tell(
	struct walk *walk, unsigned line, const char *what, struct str about, struct str path)
{
	struct str first = str_cut(&about, '\n');
	struct str message = arena_printf(&walk->turn, "%.*s/menu.lua:%u: %s \"%.*s\"",
		STR_ARG(walk->service->dir), line, what, STR_ARG(first));

	check_problem_at(walk->check, message, place(walk, path));
}

static void look_at(struct walk *walk, const struct menu_result *result, struct str path)
{
	if (result->missing.n > 0)
		check_problem(walk->check, "%.*s/menu.lua:%u: no text has the name \"%.*s\"",
			STR_ARG(walk->service->dir),
			check_text_line(walk->service, result->missing), STR_ARG(result->missing));
	if (result->is_cut)
		tell(walk, 1, "the last screen is too long:", result->text, path);
	else if (result->septets > walk->channel->septets)
		tell(walk, 1, "the screen is too long:", result->text, path);
}

/* ---- nodes -------------------------------------------------------------------------------------
 */

static uint32_t hash_of(struct str text)
{
	uint32_t hash = UINT32_C(2166136261);

	for (size_t i = 0; i < text.n; i++)
		hash = (hash ^ (unsigned char)text.p[i]) * UINT32_C(16777619);
	return hash;
}

/* The slot of a screen with these words: its own, or the free one it would take. */
static uint32_t *slot_of(struct walk *walk, struct str text)
{
	uint32_t at = hash_of(text) & (SLOTS - 1);

	while (walk->slots[at] != 0 && !str_eq(walk->nodes[walk->slots[at] - 1].text, text))
		at = (at + 1) & (SLOTS - 1);
	return &walk->slots[at];
}

/* A node for a screen not seen before; the known one; UINT32_MAX when there is no room. */
static uint32_t node_add(struct walk *walk, const struct node *model)
{
	uint32_t *slot = slot_of(walk, model->text);
	struct node node = *model;

	if (*slot != 0)
		return *slot - 1;
	node.journal = arena_str(&walk->arena, model->journal);
	node.text = arena_str(&walk->arena, model->text);
	node.path = arena_str(&walk->arena, model->path);
	if (walk->nodes_len == WALK_SCREENS || arena_overflowed(&walk->arena)) {
		walk->is_cut_short = true;
		return UINT32_MAX;
	}
	walk->nodes[walk->nodes_len] = node;
	*slot = ++walk->nodes_len;
	walk->check->screens++;
	return *slot - 1;
}

static void edge_add(struct walk *walk, uint32_t from, uint32_t to)
{
	if (walk->edges_len < WALK_EDGES)
		walk->edges[walk->edges_len++] = (struct edge){from, to};
	else
		walk->is_cut_short = true;
}

/* ---- one hop -----------------------------------------------------------------------------------
 */

struct hop {
	uint32_t from;
	struct str path;
	bool is_way_back; /* back and home lead nowhere new */
	const struct menu_input *inputs;
	size_t inputs_len;
	struct str effect_name, effect_value;
	unsigned lookups;
};

static uint32_t keep_secret(void *ctx, struct str secret)
{
	(void)ctx;
	(void)secret;
	return 1;
}

/* Whether the last input was refused. */
static bool is_refusal(struct walk *walk)
{
	struct journal_steps steps;
	struct str journal = arena_str(&walk->turn, buf_str(&walk->journal));

	return journal_fold(journal, &walk->turn, &steps) == 0 && steps.was_rejected;
}

static void arrive(struct walk *walk, const struct hop *hop, const struct menu_result *result)
{
	bool has_bought = result->outcome == MENU_BUY;
	struct node model = {
		.journal = buf_str(&walk->journal),
		.text = result->text,
		.path = hop->path,
		.buys = walk->nodes[hop->from].buys + (has_bought ? 1 : 0),
		.is_parked = result->outcome == MENU_PARK,
		.is_over = result->outcome == MENU_END || (has_bought && result->is_end),
		.parent = hop->from,
	};

	look_at(walk, result, hop->path);
	if (result->outcome == MENU_ASK && is_refusal(walk))
		return;
	model.can_end = model.is_over;
	uint32_t to = node_add(walk, &model);
	if (hop->is_way_back)
		return;
	walk->nodes[hop->from].is_answered = true;
	if (to == UINT32_MAX)
		walk->nodes[hop->from].can_end = true;
	else
		edge_add(walk, hop->from, to);
}

/* What a look-up may find: nothing, and a purchase in each of its states. */
static struct str found(struct walk *walk, unsigned state)
{
	char amount[MONEY_TEXT_MAX];

	if (state == 0)
		return STR("");
	money_format_wire(500, walk->channel->country->currency, amount);
	struct str name = arena_str(&walk->turn, str_c(purchase_state_name(state)));
	char *lower = arena_alloc(&walk->turn, name.n + 1);
	for (size_t i = 0; i < name.n && lower != NULL; i++)
		lower[i] =
			(char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
	return arena_printf(&walk->turn,
		"ref=TEST0001;state=%s;amount=500;price=600;operator=%.*s;to=%s",
		lower != NULL ? lower : "", STR_ARG(walk->payer->name), walk->caller.digits);
}

static int hop_run(
	struct walk *walk, const struct hop *hop, struct menu_result *result, struct err *err)
{
	const struct menu_turn turn = {
		.channel = walk->channel,
		.service = walk->service,
		.msisdn = walk->caller,
		.lang = walk->lang,
		.is_sms = walk->channel->kind == CHANNEL_SMS,
		.journal = &walk->journal,
		.inputs = hop->inputs,
		.inputs_len = hop->inputs_len,
		.effect_name = hop->effect_name,
		.effect_value = hop->effect_value,
		.buys = walk->nodes[hop->from].buys,
		.now_ms = WALK_MS,
		.next_ref = STR("TEST0001"),
		.secret_keep = keep_secret,
		.nonce = STR(CODE),
	};

	return menu_run(walk->check->menus, &turn, &walk->turn, result, err);
}

/* The journal is where the hop begins; it is used up. */
static void hop_take(struct walk *walk, const struct hop *hop)
{
	struct menu_result result = {0};
	struct err err = ERR_INIT;
	int rc = hop_run(walk, hop, &result, &err);

	/* A journal that is full ends a session; only a walk gets that far. */
	if (rc == TAMA_ENOMEM) {
		walk->nodes[hop->from].can_end = true;
		walk->is_cut_short = true;
		return;
	}
	if (rc != 0) {
		check_problem_at(walk->check, str_c(err.text), place(walk, hop->path));
		walk->nodes[hop->from].can_end = true;
		walk->nodes[hop->from].is_answered = true;
		return;
	}
	if (result.outcome != MENU_LOOKUP) {
		arrive(walk, hop, &result);
		return;
	}
	struct str journal = arena_str(&walk->turn, buf_str(&walk->journal));
	for (unsigned state = 0; state < PURCHASE_STATES && hop->lookups < WALK_LOOKUPS; state++) {
		struct hop next = *hop;

		next.lookups++;
		next.effect_name = result.effect_name;
		next.effect_value = found(walk, state);
		next.inputs += hop->inputs_len > 0 ? result.inputs_used : 0;
		next.inputs_len -= result.inputs_used;
		buf_reset(&walk->journal);
		buf_add_str(&walk->journal, journal);
		hop_take(walk, &next);
	}
}

static void try_input(struct walk *walk, uint32_t from, struct str input, bool is_way_back)
{
	const struct node *node = &walk->nodes[from];
	const struct menu_input typed = {.text = input};
	bool is_dialled = node->is_start || node->is_parked;
	struct hop hop = {.from = from,
		.is_way_back = is_way_back,
		.inputs = &typed,
		.inputs_len = is_dialled && input.n == 0 ? 0 : 1};

	arena_reset(&walk->turn);
	if (input.n == 0)
		input = is_dialled ? STR("dial") : STR("nothing");
	hop.path = node->path.n == 0 ? input
				     : arena_printf(&walk->turn, "%.*s > %.*s", STR_ARG(node->path),
					       STR_ARG(input));
	buf_reset(&walk->journal);
	buf_add_str(&walk->journal, node->journal);
	hop_take(walk, &hop);
}

/* ---- from one screen ---------------------------------------------------------------------------
 */

/* The key of a line such as "1. Moi" or "98. Suite". */
static bool key_of(struct str line, struct str *key)
{
	size_t n = 0;

	while (n < line.n && line.p[n] >= '0' && line.p[n] <= '9')
		n++;
	*key = (struct str){line.p, n};
	return n > 0 && n < 4 && n + 1 < line.n && line.p[n] == '.' && line.p[n + 1] == ' ';
}

static bool leads_back(struct str key)
{
	return str_eq(key, STR("0")) || str_eq(key, STR("00"));
}

static void try_options(struct walk *walk, uint32_t at)
{
	struct str text = walk->nodes[at].text;
	struct str key;

	while (text.p != NULL)
		if (key_of(str_cut(&text, '\n'), &key))
			try_input(walk, at, key, leads_back(key));
}

/* A message that opens a dialogue: a keyword alone, with an amount, and with a number too. */
static void try_keyword(struct walk *walk, struct str word)
{
	try_input(walk, 0, word, false);
	for (size_t i = 0; i < walk->inputs_len; i++) {
		struct str text = arena_printf(
			&walk->arena, "%.*s %.*s", STR_ARG(word), STR_ARG(walk->inputs[i]));

		try_input(walk, 0, text, false);
		text = arena_printf(
			&walk->arena, "%.*s %.*s", STR_ARG(text), STR_ARG(walk->inputs[0]));
		try_input(walk, 0, text, false);
	}
}

static void try_messages(struct walk *walk)
{
	const struct channel *channel = walk->channel;
	struct str word;

	for (size_t i = 0; i < channel->keywords_len; i++)
		if (channel->keywords[i].service == walk->service)
			try_keyword(walk, channel->keywords[i].word);
	if (channel->service != walk->service)
		return;
	for (size_t i = 0; menu_keyword_own(walk->check->menus, walk->service, i, &word); i++)
		try_keyword(walk, word);
	try_input(walk, 0, STR("what"), false);
}

static void walk_from(struct walk *walk, uint32_t at)
{
	struct node *node = &walk->nodes[at];

	node->is_walked = true;
	if (node->is_over)
		return;
	if (node->is_start && walk->channel->kind == CHANNEL_SMS) {
		try_messages(walk);
		return;
	}
	if (node->is_start || node->is_parked) {
		try_input(walk, at, STR(""), false);
		return;
	}
	try_options(walk, at);
	try_input(walk, at, STR(""), false);
	for (size_t i = 0; i < walk->inputs_len; i++)
		try_input(walk, at, walk->inputs[i], false);
	if (node->is_answered)
		return;
	/* Perhaps it takes what the walk does not know; what follows is not known either. */
	node->can_end = true;
	struct str text = node->text;
	struct str line = str_cut(&text, '\n');
	check_note(walk->check, "%.*s: the walk knows no answer to \"%.*s\" (%.*s)",
		STR_ARG(walk->service->dir), STR_ARG(line), STR_ARG(walk->channel->name));
}

/* ---- dead ends ---------------------------------------------------------------------------------
 */

static void spread(struct walk *walk)
{
	bool has_changed = true;

	while (has_changed) {
		has_changed = false;
		/* Backwards: edges were found from the start on. */
		for (uint32_t i = walk->edges_len; i-- > 0;) {
			const struct edge *edge = &walk->edges[i];

			if (!walk->nodes[edge->to].can_end || walk->nodes[edge->from].can_end)
				continue;
			walk->nodes[edge->from].can_end = true;
			has_changed = true;
		}
	}
}

/* Only the first screen of a part that nothing leads out of. */
static void tell_dead_ends(struct walk *walk)
{
	for (uint32_t i = 0; i < walk->nodes_len; i++)
		if (!walk->nodes[i].is_walked)
			walk->nodes[i].can_end = true;
	spread(walk);
	for (uint32_t i = 1; i < walk->nodes_len; i++) {
		const struct node *node = &walk->nodes[i];

		arena_reset(&walk->turn);
		if (!node->can_end && (node->parent == 0 || walk->nodes[node->parent].can_end))
			tell(walk, 1, "no answer leads to an end:", node->text, node->path);
	}
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

static void input_add(struct walk *walk, struct str text)
{
	text = arena_str(&walk->arena, text);
	for (size_t i = 0; i < walk->inputs_len; i++)
		if (str_eq(walk->inputs[i], text))
			return;
	if (walk->inputs_len < WALK_INPUTS && text.p != NULL)
		walk->inputs[walk->inputs_len++] = text;
}

/* A number of the plan that begins with the prefix; the seed makes it another one. */
static struct str number_of(
	struct walk *walk, const struct country *country, struct str prefix, unsigned seed)
{
	struct buf digits;

	buf_init(&digits, MSISDN_MAX + 1);
	buf_add_str(&digits, country->plan.trunk);
	buf_add_str(&digits, prefix);
	while (digits.n < country->plan.trunk.n + country->plan.nsn_len)
		buf_add_char(&digits, (char)('0' + seed++ % 10));
	struct str out = arena_str(&walk->arena, buf_str(&digits));
	buf_fini(&digits);
	return out;
}

static bool is_sold_here(const struct walk *walk, const struct offer *offer)
{
	return offer->partner == walk->service->partner && offer->country == walk->channel->country;
}

static void inputs_fill(struct walk *walk)
{
	const struct config *config = walk->check->config;
	const struct country *country = walk->channel->country;
	char amount[MONEY_TEXT_MAX];

	walk->inputs_len = 0;
	for (size_t i = 0; i < config->operators_len; i++)
		if (config->operators[i].country == country &&
			config->operators[i].prefixes_len > 0)
			input_add(walk,
				number_of(walk, country, config->operators[i].prefixes[0], 4));
	for (size_t i = 0; i < config->offers_len; i++) {
		if (!is_sold_here(walk, &config->offers[i]))
			continue;
		money_format(config->offers[i].amount.max, country->currency, amount);
		input_add(walk, str_c(amount));
		money_format(config->offers[i].amount.max + 1, country->currency, amount);
		input_add(walk, str_c(amount));
	}
	input_add(walk, STR("123"));
	input_add(walk, STR("+99912345678"));
	input_add(walk, STR("abc"));
	input_add(walk, STR(CODE));
	if (walk->channel->kind == CHANNEL_SMS) {
		input_add(walk, STR("OUI " CODE));
		input_add(walk, STR("OPERATEUR"));
		input_add(walk, STR("NON"));
	}
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

static void walk_all(struct walk *walk)
{
	const struct node start = {.is_start = true, .is_answered = true};

	walk->nodes = arena_alloc(&walk->arena, WALK_SCREENS * sizeof(walk->nodes[0]));
	walk->edges = arena_alloc(&walk->arena, WALK_EDGES * sizeof(walk->edges[0]));
	if (walk->nodes == NULL || walk->edges == NULL)
		return;
	walk->nodes[walk->nodes_len++] = start;
	inputs_fill(walk);
	for (uint32_t at = 0; at < walk->nodes_len; at++)
		walk_from(walk, at);
	tell_dead_ends(walk);
	if (walk->is_cut_short)
		check_note(walk->check,
			"%.*s: not walked to its end (%.*s, %.*s, a caller of %.*s)",
			STR_ARG(walk->service->dir), STR_ARG(walk->channel->name),
			STR_ARG(walk->lang), STR_ARG(walk->payer->name));
}

static void walk_lang(struct walk *walk, const struct operator_cfg *payer, struct str lang)
{
	const struct country *country = payer->country;

	walk->payer = payer;
	walk->lang = lang;
	walk->nodes_len = 0;
	walk->edges_len = 0;
	walk->is_cut_short = false;
	memset(walk->slots, 0, sizeof(walk->slots));
	arena_reset(&walk->arena);
	struct str number = number_of(walk, country, payer->prefixes[0], 1);
	if (msisdn_parse_wire(number, &country->plan, &walk->caller) == 0)
		walk_all(walk);
}

static void walk_caller(struct walk *walk, const struct operator_cfg *payer)
{
	struct str lang;

	for (size_t i = 0; menu_lang_own(walk->check->menus, walk->service, i, &lang); i++)
		walk_lang(walk, payer, lang);
	if (!menu_lang_own(walk->check->menus, walk->service, 0, &lang))
		walk_lang(walk, payer, walk->channel->lang);
}

void check_walk(struct check *check, const struct channel *channel, const struct service *service)
{
	const struct config *config = check->config;
	struct walk *walk = calloc(1, sizeof(*walk));
	unsigned callers = 0;

	if (walk == NULL)
		return;
	walk->check = check;
	walk->channel = channel;
	walk->service = service;
	arena_init(&walk->arena, WALK_BYTES);
	arena_init(&walk->turn, LIMIT_TURN_BYTES);
	buf_init(&walk->journal, LIMIT_SESSION_JOURNAL);
	for (size_t i = 0; i < config->operators_len; i++) {
		const struct operator_cfg *op = &config->operators[i];

		if (op->country != channel->country || op->prefixes_len == 0)
			continue;
		walk_caller(walk, op);
		callers++;
	}
	if (callers == 0)
		check_note(check, "channel \"%.*s\": its country has no operator: not walked",
			STR_ARG(channel->name));
	buf_fini(&walk->journal);
	arena_fini(&walk->turn);
	arena_fini(&walk->arena);
	free(walk);
}
