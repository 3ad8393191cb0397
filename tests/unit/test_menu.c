/* Menus: transcripts of the airtime service, and menus that err, lie or change. */
#include "check.h"

#include "menu_fixture.h"

#include "../../src/lua/menu_priv.h"
#include "tama/gsm7.h"
#include "tama/transcript.h"

#include <time.h>

#define TRANSCRIPT_MAX (256 * 1024)

/* ---- helpers -----------------------------------------------------------------------------------
 */

static struct str read_file(const char *path, struct buf *buf)
{
	char block[4096];
	size_t n;
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("%s cannot be read", path);
	buf_init(buf, TRANSCRIPT_MAX);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_add(buf, block, n);
	(void)fclose(file);
	return buf_str(buf);
}

/* The service as the demo configuration sells it: what `tama check` plays as well. */
struct airtime {
	const struct config *config;
	const struct service *service;
	struct menu_host *host;
};

static int airtime_setup(void **state)
{
	static struct airtime a;
	struct err err = ERR_INIT;
	if (config_load("config/demo.lua", NULL, &a.config, &err) != 0)
		fail_msg("%s", err.text);
	a.service = &a.config->services[0];
	if (menu_host_new(a.config, &a.host, &err) != 0)
		fail_msg("%s", err.text);
	*state = &a;
	return 0;
}

static int airtime_teardown(void **state)
{
	struct airtime *a = *state;
	menu_host_free(&a->host);
	config_unref(&a->config);
	return 0;
}

static void save(const char *path, struct str text)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
	assert_int_equal(fclose(file), 0);
}

/* TAMA_RECORD=1 writes the transcripts anew instead of comparing. */
static struct transcript_stats play(struct airtime *a, const char *path)
{
	struct transcript_stats stats;
	struct err err = ERR_INIT;
	struct buf text, recorded;
	const struct transcript transcript = {path, a->host, a->config, a->service};
	buf_init(&recorded, TRANSCRIPT_MAX);
	int rc = transcript_play(&transcript, read_file(path, &text), &recorded, &stats, &err);
	if (rc == TAMA_ECONFLICT && getenv("TAMA_RECORD") != NULL)
		save(path, buf_str(&recorded));
	else if (rc != 0)
		fail_msg("%s", err.text);
	buf_fini(&text);
	buf_fini(&recorded);
	return stats;
}

/* ---- the airtime service -----------------------------------------------------------------------
 */

static void test_transcripts(void **state)
{
	struct transcript_stats fr = play(*state, "menus/airtime/fr.transcript");
	struct transcript_stats en = play(*state, "menus/airtime/en.transcript");
	struct transcript_stats sms = play(*state, "menus/airtime/sms.transcript");
	print_message("longest screen: fr %u, en %u, sms %u septets\n", fr.max_septets,
		en.max_septets, sms.max_septets);
	assert_true(fr.purchases >= 3 && en.purchases >= 2 && sms.purchases >= 4);
}

/* The first conversation of the French transcript is a first purchase for oneself. */
static void test_first_purchase_takes_six_hops(void **state)
{
	struct airtime *a = *state;
	struct transcript_stats stats;
	struct err err = ERR_INIT;
	struct buf recorded;
	const struct transcript transcript = {"six hops", a->host, a->config, a->service};
	const char *text = "channel: at-ci\nfrom: 0701020304\n"
			   "> *384*22#\n> 1\n> 1\n> 1\nredial\n> 4821\n";
	buf_init(&recorded, TRANSCRIPT_MAX);
	/* Written without what comes out, so it differs; the counts hold all the same. */
	assert_int_equal(
		transcript_play(&transcript, str_c(text), &recorded, &stats, &err), TAMA_ECONFLICT);
	assert_int_equal(stats.purchases, 1);
	assert_int_equal(stats.max_buy_hops, 6);
	buf_fini(&recorded);
}

static void test_transcript_says_what_is_wrong(void **state)
{
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{"> *384*22#\n", "t:1: which channel?"},
		{"channel: nowhere\n", "t:1: there is no channel nowhere"},
		{"channel: at-ci\n> *384*22#\n", "t:2: who calls?"},
		{"channel: at-ci\nfrom: 0701020304\n> 1\n", "t:3: no session is open for 1"},
		{"channel: at-ci\nfrom: 0701020304\n> *99#\n",
			"t:3: the channel has no such code: *99#"},
		{"colour: red\n", "t:1: not a line of a transcript: colour: red"},
		{"back in x\n", "t:1: not a line of a transcript: back in x"},
		{"channel: at-ci\nfrom: 0701020304\n> *384*22#\n< Hello\n",
			"t:4: written \"< Hello\", came \"< Recharge pour qui ?\""},
	};
	struct airtime *a = *state;
	const struct transcript transcript = {"t", a->host, a->config, a->service};
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct transcript_stats stats;
		struct err err = ERR_INIT;
		struct buf recorded;
		buf_init(&recorded, TRANSCRIPT_MAX);
		assert_true(transcript_play(
				    &transcript, str_c(rows[i].text), &recorded, &stats, &err) < 0);
		if (strncmp(err.text, rows[i].message, strlen(rows[i].message)) != 0)
			fail_msg("got \"%s\", want \"%s\"", err.text, rows[i].message);
		buf_fini(&recorded);
	}
}

/* ---- little menus ------------------------------------------------------------------------------
 */

struct little {
	struct fixture_config f;
	struct menu_host *host;
	struct buf journal;
	struct arena arena;
	struct menu_turn turn;
	struct menu_result result;
	struct err err;
	char secret[LIMIT_SECRET_BYTES];
	bool secrets_full;
	char source[2048];
};

static uint32_t keep_secret(void *ctx, struct str secret)
{
	struct little *m = ctx;
	if (m->secrets_full)
		return 0;
	assert_true(secret.n < sizeof(m->secret));
	memcpy(m->secret, secret.p, secret.n);
	return 77;
}

static void little_caller(struct little *m, size_t channel, const char *digits)
{
	buf_reset(&m->journal);
	m->turn = (struct menu_turn){.channel = &m->f.channels[channel],
		.service = &m->f.service,
		.lang = STR("fr"),
		.is_sms = channel == SMS_CI,
		.journal = &m->journal,
		.now_ms = UINT64_C(1750000000000),
		.next_ref = STR("K7QF2M9T"),
		.secret_keep = keep_secret,
		.ctx = m,
		.nonce = STR("4821")};
	(void)snprintf(m->turn.msisdn.digits, sizeof(m->turn.msisdn.digits), "%s", digits);
}

static int little_setup(void **state)
{
	static struct little m;
	memset(&m, 0, sizeof(m));
	fixture_init(&m.f, "little");
	buf_init(&m.journal, LIMIT_SESSION_JOURNAL);
	arena_init(&m.arena, LIMIT_TURN_BYTES);
	little_caller(&m, AT_CI, "2250501020304");
	*state = &m;
	return 0;
}

static int little_teardown(void **state)
{
	struct little *m = *state;
	menu_host_free(&m->host);
	buf_fini(&m->journal);
	arena_fini(&m->arena);
	return 0;
}

/* Makes a host of files; the first is menu.lua. */
static int load_files(struct little *m, const char *menu, const char *texts)
{
	menu_host_free(&m->host);
	m->err.text[0] = '\0';
	m->f.files[0] = (struct service_file){STR("menu.lua"), str_c(menu)};
	m->f.files[1] = (struct service_file){STR("texts.fr.lua"), str_c(texts)};
	m->f.service.files_len = texts != NULL ? 2 : 1;
	return menu_host_new(&m->f.config, &m->host, &m->err);
}

/* A menu whose run() is body, which begins on line 2. */
static void load(struct little *m, const char *body)
{
	(void)snprintf(m->source, sizeof(m->source),
		"return menu { title = 'Little', run = function(call)\n%s\nend }", body);
	if (load_files(m, m->source, NULL) != 0)
		fail_msg("%s", m->err.text);
}

static int hop_with(struct little *m, const char *input, bool is_pretyped)
{
	const struct menu_input one = {str_c(input), is_pretyped};
	arena_reset(&m->arena);
	m->err.text[0] = '\0';
	m->turn.inputs = &one;
	m->turn.inputs_len = input != NULL;
	int rc = menu_run(m->host, &m->turn, &m->arena, &m->result, &m->err);
	m->turn.inputs_len = 0;
	return rc;
}

static int hop(struct little *m, const char *input)
{
	return hop_with(m, input, false);
}

static void expect(struct little *m, const char *input, enum menu_outcome outcome, const char *text)
{
	if (hop(m, input) != 0)
		fail_msg("%s", m->err.text);
	check_str(m->result.text, text);
	assert_int_equal(m->result.outcome, outcome);
}

static void expect_error(struct little *m, const char *input, int code, const char *message)
{
	size_t before = m->journal.n;
	int rc = hop(m, input);
	if (rc != code || strstr(m->err.text, message) == NULL)
		fail_msg("got %d \"%s\", want %d \"%s\"", rc, m->err.text, code, message);
	/* A turn that fails leaves nothing behind. */
	assert_int_equal(m->journal.n, before);
}

#define BUY "buy(choose_offer('airtime', choose_operator(call.msisdn)), "

static void test_wishes_of_a_script_are_checked(void **state)
{
	static const struct {
		const char *body;
		const char *message;
	} rows[] = {
		{BUY "{ amount = -500, to = call.msisdn })", "the offer takes 100 F to 50 000 F"},
		{BUY "{ amount = 0, to = call.msisdn })", "the offer takes"},
		{BUY "{ amount = 503, to = call.msisdn })", "the offer takes"},
		{BUY "{ amount = 50005, to = call.msisdn })", "the offer takes"},
		{BUY "{ amount = math.maxinteger, to = call.msisdn })", "the offer takes"},
		{BUY "{ amount = 500.0, to = call.msisdn })", "amount must be a whole number"},
		{BUY "{ amount = 0/0, to = call.msisdn })", "amount must be a whole number"},
		{BUY "{ amount = '500', to = call.msisdn })",
			"amount must be a whole number, got string"},
		{BUY "{ to = call.msisdn })", "amount must be a whole number, got nil"},
		{BUY "{ amount = 500, to = 'me' })", "a number is what"},
		{BUY "{ amount = 500, to = '+2250701020304' })", "a number is what"},
		{BUY "{ amount = 500, to = 7 })", "a text is expected, got number"},
		{BUY "{ amount = 500, prize = 5 })", "there is no field \"prize\""},
		{BUY "{ amount = 500, operator = 'Orange' })", "operator and from are what"},
		{BUY "{ amount = 500, otp = 4821 })", "otp is what ask_otp() gave"},
		{BUY "500)", "amount and number are missing"},
		{"buy('ci-airtime', { amount = 500 })", "the offer is what choose_offer() gives"},
		{"buy(choose_operator(call.msisdn), { amount = 500 })", "the offer is what"},
		{"choose_offer('airtime', 'Orange')", "the operator is what"},
		{"choose_operator('x')", "a number is what"},
		{"local o = choose_operator(call.msisdn); o.airtim()", "not \"airtim\""},
		{"local o = choose_operator(call.msisdn); o.title = 'x'", "attempt to index"},
		{"local o = choose_operator(call.msisdn).airtime; bye(o.secret)", "not \"secret\""},
		{"text.me = 'x'", "read-only"},
		{"choose('a', {})", "1 to 64 options"},
		{"choose('a')", "the options are missing"},
		{"choose(nil, { 'a' })", "the prompt is missing"},
		{"choose('a', { { 5 } })", "option 1 has no label"},
		{"ask('a', 5)", "the second argument is a table"},
		{"ask_amount('a', 5)", "the offer is operator.airtime"},
		{"lookup('weather')", "there is no look-up \"weather\""},
		{"bye(5)", "a text is expected"},
		{"bye('${ref}')", "the text needs ${ref}"},
		{"bye('${ref}', { ref = 1.5 })", "a whole number"},
		{"bye(('x'):rep(161))", "a word of the last screen"},
		{"money(1.5)", "a whole number"},
		{"phone('x')", "a number is what"},
		{"local x = nil + 1", "attempt to perform arithmetic"},
		{"error('mine')", "mine"},
	};
	struct little *m = *state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		load(m, rows[i].body);
		expect_error(m, NULL, TAMA_ESCRIPT, rows[i].message);
		if (strncmp(m->err.text, "little/menu.lua:2: ", 19) != 0)
			fail_msg("no place in \"%s\"", m->err.text);
	}
	load(m, "local x = 1");
	expect_error(m, NULL, TAMA_ESCRIPT, "little/menu.lua:1: run() ended without bye(text)");
}

static void test_files_are_checked(void **state)
{
	static const char good[] = "return menu { title = 'T', run = function() bye('x') end }";
	static const struct {
		const char *menu;
		const char *texts;
		const char *message;
	} rows[] = {
		{"return menu {", NULL, "little/menu.lua:1:"},
		{good, "return 5", "little/texts.fr.lua: must return a table"},
		{good, "return { 'x' }", "little/texts.fr.lua: a text needs a name"},
		{good, "return { a = {} }", "little/texts.fr.lua: a must be text in quotes"},
		{good, "return { a = '\\xff' }", "little/texts.fr.lua: a is not clean UTF-8"},
		{good, "return {", "little/texts.fr.lua:1:"},
		{good, "return { confirm = 'Payer ?' }",
			"texts.fr.lua: confirm must show ${price}"},
		{good, "while true do end", "runs for too long"},
		{"error('top')", NULL, "little/menu.lua:1: top"},
	};
	struct little *m = *state;
	for (size_t i = 0; i < ROWS(rows); i++)
		if (load_files(m, rows[i].menu, rows[i].texts) == 0 ||
			strstr(m->err.text, rows[i].message) == NULL)
			fail_msg("got \"%s\", want \"%s\"", m->err.text, rows[i].message);
	m->f.files[0].name = STR("other.lua");
	m->f.service.files_len = 1;
	assert_int_equal(menu_host_new(&m->f.config, &m->host, &m->err), TAMA_EINVAL);
}

static void test_what_a_file_returns_is_checked(void **state)
{
	static const struct {
		const char *menu;
		const char *message;
	} rows[] = {
		{"return 5", "is what the file must end with"},
		{"return menu {}", "title is missing"},
		{"return menu { title = 'T' }", "run is missing"},
		{"return menu { title = 'T', run = bye, colour = 1 }",
			"there is no field \"colour\""},
		{"return menu { title = 'T', run = bye, keywords = 1 }", "keywords = {"},
		{"return menu { title = 'T', run = bye, keywords = { GO = 1 } }", "keywords = {"},
		{"return menu { title = 'T', run = bye, keywords = { go = bye } }", "in capitals"},
		{"return menu { title = 'T', run = bye, keywords = { ['A B'] = bye } }",
			"one word"},
		{"return menu { title = 'T', run = bye, keywords = { bye } }", "one word"},
		{"ask('A?')\nreturn menu { title = 'T', run = bye }",
			"little/menu.lua:1: this works only while run(call)"},
		{"while true do end", "runs for too long"},
	};
	struct little *m = *state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		assert_true(load_files(m, rows[i].menu, NULL) < 0);
		if (strstr(m->err.text, rows[i].message) == NULL)
			fail_msg("got \"%s\", want \"%s\"", m->err.text, rows[i].message);
	}
}

static void test_budgets_stop_one_session_only(void **state)
{
	struct little *m = *state;
	load(m, "if call.msisdn == '2250501020304' then while true do end end\nbye('fine')");
	expect_error(m, NULL, TAMA_ELIMIT, "little/menu.lua:2:");
	little_caller(m, AT_CI, "2250701020304");
	expect(m, NULL, MENU_END, "fine");
}

static void test_buying_and_erring_buys_nothing(void **state)
{
	struct little *m = *state;
	load(m, BUY "{ amount = 500 })\nerror('late')");
	assert_int_equal(hop(m, NULL), 0);
	assert_true(m->result.wants_confirm);
	expect_error(m, "1", TAMA_ESCRIPT, "late");
	load(m, BUY "{ amount = 500 })\nlookup('last_purchase')");
	expect_error(m, "1", TAMA_ESCRIPT, "lookup() cannot follow buy()");
}

static void test_each_purchase_has_its_own_hop(void **state)
{
	struct little *m = *state;
	load(m, BUY "{ amount = 500 })\n" BUY "{ amount = 1000 })\nbye('done')");
	assert_int_equal(hop(m, NULL), 0);
	assert_int_equal(hop(m, "1"), 0);
	assert_int_equal(m->result.outcome, MENU_BUY);
	assert_false(m->result.is_end);
	assert_true(m->result.wants_confirm);
	assert_int_equal(m->result.intent.face_value, 500);
	assert_int_equal(m->result.intent.price, 600);
	check_str(m->result.intent.ref, "K7QF2M9T");
	/* Back does not cross a purchase: it is an invalid choice now. */
	m->turn.next_ref = STR("SECOND22");
	assert_int_equal(hop(m, "0"), 0);
	assert_int_equal(m->result.outcome, MENU_ASK);
	assert_non_null(strstr(m->result.text.p, "Choix invalide"));
	expect(m, "1", MENU_BUY, "done");
	assert_true(m->result.is_end);
	assert_int_equal(m->result.intent.face_value, 1000);
	check_str(m->result.intent.ref, "SECOND22");
}

static void test_a_changed_menu_ends_the_session(void **state)
{
	static const char *const changed[] = {
		"choose('Other?', { 'a', 'b' })", /* another prompt */
		"ask('Which?')", /* another kind */
		"ask_msisdn()", /* its own prompt */
		"bye('early')", /* fewer questions */
		"now()", /* an effect instead */
		"choose('Which?', { 'a' })", /* the answer is gone */
		"lookup('last_purchase')", /* another effect */
		BUY "{ amount = 500 })",
	};
	struct little *m = *state;
	for (size_t i = 0; i < ROWS(changed); i++) {
		buf_reset(&m->journal);
		load(m, "choose('Which?', { 'a', 'b' })\nask('And?')\nbye('end')");
		expect(m, NULL, MENU_ASK, "Which?\n1. a\n2. b");
		expect(m, "2", MENU_ASK, "And?\n0. Retour");
		load(m, changed[i]);
		expect_error(m, NULL, TAMA_ECONFLICT, "asks something else");
	}
}

static void test_choices(void **state)
{
	struct little *m = *state;
	load(m, "local a, i = choose('A?', { 'x', { 'Deux', 22 }, { 'f', function() return "
		"'called' end } })\n"
		"bye(tostring(a) .. ' ' .. tostring(i))");
	expect(m, "1", MENU_END, "x 1");
	buf_reset(&m->journal);
	expect(m, " 2 ", MENU_END, "22 2");
	buf_reset(&m->journal);
	expect(m, "3", MENU_END, "called 3");
	buf_reset(&m->journal);
	expect(m, "deux", MENU_END, "22 2");
	buf_reset(&m->journal);
	expect(m, "4", MENU_ASK, "Choix invalide.\nA?\n1. x\n2. Deux\n3. f");
	expect(m, "99999999999999999999", MENU_ASK, "Choix invalide.\nA?\n1. x\n2. Deux\n3. f");
	expect(m, "", MENU_ASK, "Choix invalide.\nA?\n1. x\n2. Deux\n3. f");
	expect(m, "\x01", MENU_ASK, "Réponse invalide.\nA?\n1. x\n2. Deux\n3. f");
}

static void test_free_text(void **state)
{
	struct little *m = *state;
	load(m, "local name = ask('Nom ${n} ?', { vars = { n = 1 }, min = 2, max = 5 })\n"
		"local code = ask('Code ?', { digits = true })\n"
		"local even = ask('Pair ?', { check = function(s)\n"
		"  local n = tonumber(s)\n"
		"  if not n or n % 2 ~= 0 then return nil, 'Impair.' end\n"
		"  return n * 10 end })\n"
		"bye(name .. code .. even)");
	expect(m, NULL, MENU_ASK, "Nom 1 ?");
	expect(m, "x", MENU_ASK, "Réponse invalide.\nNom 1 ?");
	expect(m, "abcdef", MENU_ASK, "Réponse invalide.\nNom 1 ?");
	expect(m, "éééé", MENU_ASK, "Code ?\n0. Retour");
	expect(m, "12a", MENU_ASK, "Réponse invalide.\nCode ?\n0. Retour");
	expect(m, "12", MENU_ASK, "Pair ?\n0. Retour\n00. Accueil");
	expect(m, "7", MENU_ASK, "Impair.\nPair ?\n0. Retour\n00. Accueil");
	expect(m, "0", MENU_ASK, "Code ?\n0. Retour");
	expect(m, "34", MENU_ASK, "Pair ?\n0. Retour\n00. Accueil");
	expect(m, "98", MENU_END, "éééé34980");
}

static void test_pages(void **state)
{
	struct little *m = *state;
	load(m, "local o = {}\nfor i = 1, 20 do o[i] = 'Option numero ' .. i end\n"
		"local a, i = choose('Long?', o)\nbye('got ' .. i)");
	assert_int_equal(hop(m, NULL), 0);
	assert_true(m->result.septets <= 160);
	assert_null(strstr(m->result.text.p, "Option numero 9"));
	assert_int_equal(hop(m, "98"), 0);
	assert_null(strstr(m->result.text.p, "Long?"));
	assert_non_null(strstr(m->result.text.p, "Option numero 9"));
	/* The page is part of the journal: a lost connection comes back to it. */
	struct str page = m->result.text;
	char kept[200];
	(void)snprintf(kept, sizeof(kept), "%.*s", STR_ARG(page));
	expect(m, NULL, MENU_ASK, kept);
	/* On the last page the key is an answer like any other; its refusal shows the question. */
	int pages = 2;
	while (pages < 9 && strstr(m->result.text.p, "98. ") != NULL) {
		assert_int_equal(hop(m, "98"), 0);
		pages++;
	}
	assert_in_range(pages, 3, 8);
	assert_int_equal(hop(m, "98"), 0);
	assert_non_null(strstr(m->result.text.p, "Choix invalide.\nLong?\n1. "));
	expect(m, "2", MENU_END, "got 2");
}

static void test_missing_texts_show_their_key(void **state)
{
	struct little *m = *state;
	load(m, "bye(text.nowhere)");
	expect(m, NULL, MENU_END, "nowhere");
	check_str(m->result.missing, "nowhere");
	load(m, "bye(text.yes)");
	expect(m, NULL, MENU_END, "Confirmer");
	assert_int_equal(m->result.missing.n, 0);
	m->turn.lang = STR("en");
	expect(m, NULL, MENU_END, "Confirm");
	m->turn.lang = STR("sw");
	expect(m, NULL, MENU_END, "Confirmer");
}

static void test_gateway_texts(void **state)
{
	static const struct menu_var vars[] = {{"summary", {"500 F Orange", 12}}};
	struct little *m = *state;
	struct arena *arena = &m->arena;
	const struct service *service = &m->f.service;
	assert_int_equal(load_files(m, "return menu { title = 'T', run = bye }",
				 "return { broken = 'Panne', mine = 'À moi' }"),
		0);
	check_str(menu_text(m->host, service, STR("fr"), "broken", arena), "Panne");
	check_str(menu_text(m->host, NULL, STR("fr"), "unknown_code", arena), "Service inconnu.");
	check_str(menu_text(m->host, NULL, STR("sw"), "unknown_code", arena), "Unknown service.");
	check_str(menu_text(m->host, service, STR("en"), "mine", arena), "À moi");
	check_str(menu_text(m->host, service, STR("en"), "nowhere", arena), "nowhere");
	check_str(menu_text_with(m->host, service, STR("en"), "resume", vars, 1, arena),
		"Go on with 500 F Orange?");
	check_str(
		menu_text(m->host, service, STR("en"), "resume", arena), "Go on with ${summary}?");
}

static void test_effects_are_recorded(void **state)
{
	struct little *m = *state;
	load(m, "local a = now()\nlocal p = lookup('last_purchase')\n"
		"ask('A?')\nbye(now() - a .. ' ' .. p.ref .. ' ' .. money(p.amount) .. ' ' .. "
		"p.operator)");
	assert_int_equal(hop(m, "x"), 0);
	assert_int_equal(m->result.outcome, MENU_LOOKUP);
	check_str(m->result.effect_name, "last_purchase");
	assert_int_equal(m->result.inputs_used, 0);
	m->turn.now_ms += 5000;
	m->turn.effect_name = STR("last_purchase");
	m->turn.effect_value = STR("ref=K7;amount=1500;operator=orange-ci");
	expect(m, "x", MENU_END, "5 K7 1 500 F Orange");
	m->turn.effect_name = m->turn.effect_value = STR("");
	m->turn.now_ms += 5000;
	expect(m, NULL, MENU_END, "5 K7 1 500 F Orange");
}

static void test_secrets_stay_out(void **state)
{
	struct little *m = *state;
	little_caller(m, AT_CI, "2250701020304");
	load(m, "local p = " BUY "{ amount = 500 })\nbye('ref ' .. p.ref)");
	assert_int_equal(hop(m, NULL), 0);
	/* Typed too early, at the confirmation. */
	assert_int_equal(hop(m, "987654"), 0);
	assert_int_equal(hop(m, "1"), 0);
	assert_int_equal(m->result.outcome, MENU_PARK);
	assert_int_equal(hop_with(m, "987654", true), 0);
	assert_true(m->result.wants_secret);
	assert_int_equal(m->secret[0], '\0');
	assert_int_equal(hop(m, "98 76"), 0);
	assert_true(m->result.wants_secret);
	m->secrets_full = true;
	assert_int_equal(hop(m, "987654"), 0);
	assert_non_null(strstr(m->result.text.p, "Réessayez"));
	m->secrets_full = false;
	expect(m, "987654", MENU_BUY, "ref K7QF2M9T");
	assert_int_equal(m->result.intent.secret, 77);
	assert_string_equal(m->secret, "987654");
	assert_null(memmem(m->journal.p, m->journal.n, "9876", 4));
}

static void test_a_script_never_sees_a_secret(void **state)
{
	struct little *m = *state;
	load(m, "local o = choose_offer('airtime', choose_operator(call.msisdn))\n"
		"local code = ask_otp('Votre code ?')\n"
		"local shown = tostring(code)\n"
		"local p = buy(o, { amount = 500, otp = code })\nbye(shown)");
	expect(m, NULL, MENU_ASK, "Votre code ?");
	assert_true(m->result.wants_secret);
	assert_int_equal(hop(m, "4821"), 0);
	assert_true(m->result.wants_confirm);
	expect(m, "1", MENU_BUY, "userdata");
	assert_int_equal(m->result.intent.secret, 77);
	buf_reset(&m->journal);
	load(m, "ask_otp('Votre code ?')\nask('Nom ?')");
	expect_error(m, "4821", TAMA_ESCRIPT, "ask_otp() must be the last question");
}

static void test_operators_out_of_service(void **state)
{
	struct little *m = *state;
	load(m, "local o = choose_operator(call.msisdn)\nask('A?')\n"
		"buy(o.airtime, { amount = 500 })\nbye('ok')");
	m->f.operators[MTN].out_of_service = true;
	expect(m, NULL, MENU_ASK,
		"MTN est indisponible. Si le 05 01 02 03 04 est chez un autre opérateur :\n"
		"1. Orange\n2. Moov Africa");
	expect(m, "flooz", MENU_ASK, "A?\n0. Retour");
	/* Switched on again meanwhile: what was answered stands. */
	m->f.operators[MTN].out_of_service = false;
	assert_int_equal(hop(m, "x"), 0);
	assert_non_null(strstr(m->result.text.p, "500 F Moov Africa"));
	/* Switched off before the confirmation. */
	m->f.operators[MOOV].out_of_service = true;
	expect(m, NULL, MENU_END,
		"Moov Africa est indisponible pour le moment. Rien n'a été débité. Réessayez plus "
		"tard.");
	/* And while it is answered: that press may have bought already, which the engine knows. */
	assert_int_equal(hop(m, "1"), 0);
	assert_int_equal(m->result.outcome, MENU_BUY);
	/* A purchase made stands, whatever is switched off then. */
	m->f.operators[MOOV].out_of_service = true;
	expect(m, NULL, MENU_END, "ok");
	buf_reset(&m->journal);
	for (size_t i = 0; i < FIXTURE_OPERATORS; i++)
		m->f.operators[i].out_of_service = true;
	expect(m, NULL, MENU_END, "Service indisponible pour le moment. Réessayez plus tard.");
}

static void test_what_is_not_sold_ends_politely(void **state)
{
	static const char *const ends[] = {
		"MTN est indisponible pour le moment. Rien n'a été débité. Réessayez plus tard.",
		"Le paiement par MTN n'est pas possible ici. Rien n'a été débité.",
		"Cet achat n'est pas possible avec cet opérateur. Rien n'a été débité.",
	};
	struct little *m = *state;
	load(m, BUY "{ amount = 500 })");
	m->f.accounts[0].out_of_service = true;
	m->f.offers[CI_AGENT].deliver.account = &m->f.accounts[1];
	expect(m, NULL, MENU_END, ends[0]);
	m->f.accounts[0].out_of_service = false;
	buf_reset(&m->journal);
	m->f.operators[MTN].confirm = WALLET_NONE;
	expect(m, NULL, MENU_END, ends[1]);
	m->f.operators[MTN].confirm = WALLET_PUSH;
	buf_reset(&m->journal);
	m->f.offers[CI_PAYMENT].collect.services_len = 1;
	load(m, "ask_amount('A?', choose_operator(call.msisdn).payment)");
	expect(m, NULL, MENU_END, ends[2]);
	load(m, "buy(choose_operator(call.msisdn).payment, { amount = 500 })");
	expect(m, NULL, MENU_END, ends[2]);
}

static void test_offers(void **state)
{
	struct little *m = *state;
	static const char body[] =
		"local o = choose_offer('airtime', choose_operator(call.msisdn))\n"
		"ask('Now?')\nbye(o.name .. ' ' .. o.kind .. ' ' .. o.max)";
	load(m, body);
	m->f.offers[CI_AGENT].kind = STR("airtime");
	expect(m, NULL, MENU_ASK, "Quelle offre ?\n1. ci-airtime\n2. ci-agent");
	expect(m, "2", MENU_ASK, "Now?\n0. Retour");
	m->f.offers[CI_AIRTIME].out_of_service = true;
	expect(m, "x", MENU_END, "ci-agent airtime 50000");
	buf_reset(&m->journal);
	/* With one left there is no question; the other coming back does not change the session. */
	expect(m, NULL, MENU_ASK, "Now?");
	m->f.offers[CI_AIRTIME].out_of_service = false;
	expect(m, "x", MENU_END, "ci-agent airtime 50000");
}

static void test_a_float_pays_without_a_wallet(void **state)
{
	struct little *m = *state;
	load(m, "local o = choose_operator('2250701020304')\n"
		"local p = buy(o.agent, { amount = 500, to = '2250701020304' })\nbye(p.next)");
	expect(m, NULL, MENU_ASK,
		"Achat 500 F Orange\n07 01 02 03 04\nTotal 500 F\n"
		"1. Confirmer\n2. Annuler\n3. Autre opérateur");
	expect(m, "1", MENU_BUY, "Paiement en cours.");
	assert_null(m->result.intent.payer_operator);
	assert_ptr_equal(m->result.intent.operator_, &m->f.operators[ORANGE]);
	assert_string_equal(m->result.intent.payer.digits, "2250501020304");
	assert_string_equal(m->result.intent.beneficiary.digits, "2250701020304");
}

static void test_another_operator_may_need_another_amount(void **state)
{
	struct little *m = *state;
	load(m, "buy(choose_operator(call.msisdn).airtime, { amount = 500 })\nbye('ok')");
	m->f.offers[CI_AIRTIME].deliver.services = &m->f.legs[MTN];
	m->f.offers[CI_AIRTIME].deliver.services_len = 1;
	m->f.offers[CI_AGENT].kind = STR("airtime");
	m->f.offers[CI_AGENT].amount.min = 1000;
	assert_int_equal(hop(m, NULL), 0);
	expect(m, "3", MENU_ASK,
		"Opérateur du 05 01 02 03 04 ?\n1. Orange\n2. MTN\n3. Moov Africa\n"
		"0. Retour");
	assert_int_equal(hop(m, "3"), 0);
	assert_non_null(strstr(m->result.text.p, "Montant ? (1 000 F"));
	assert_int_equal(hop(m, "2"), 0);
	assert_non_null(strstr(m->result.text.p, "1 000 F Moov Africa"));
	assert_int_equal(hop(m, "1"), 0);
	assert_int_equal(m->result.intent.face_value, 1000);
	assert_ptr_equal(m->result.intent.offer, &m->f.offers[CI_AGENT]);
}

static void test_nonces_are_drawn(void **state)
{
	struct little *m = *state;
	char first[200];
	load(m, BUY "{ amount = 500 })\nbye('ok')");
	unsigned changes = 0;
	for (int i = 0; i < 8; i++) {
		little_caller(m, SMS_CI, "2250501020304");
		m->turn.nonce = STR("");
		assert_int_equal(hop(m, "go"), 0);
		const char *code = strstr(m->result.text.p, "OUI ");
		assert_non_null(code);
		assert_int_equal(strspn(code + 4, "0123456789"), 4);
		if (i > 0)
			changes += strncmp(first, code + 4, 4) != 0;
		(void)snprintf(first, sizeof(first), "%.4s", code + 4);
	}
	assert_true(changes > 0);
	char yes[16];
	(void)snprintf(yes, sizeof(yes), "oui %.4s", first);
	expect(m, yes, MENU_BUY, "ok");
}

/* With the longest names, numbers and amounts. */
static void test_worst_cases_fit(void **state)
{
	static const char *const langs[] = {"fr", "en"};
	static const struct str names[] = {STR_INIT("Moov Africa")};
	struct little *m = *state;
	for (size_t l = 0; l < ROWS(langs); l++) {
		for (size_t i = 0; i < FIXTURE_OPERATORS; i++)
			m->f.operators[i].title = names[0];
		m->f.offers[CI_AIRTIME].amount.max = 1000000;
		m->f.offers[CI_AIRTIME].fee_flat = 25000;
		load(m, "ask('A?')\nask('B?')\n" BUY
			"{ amount = 1000000, to = '2250701020304' })\nbye('ok')");
		little_caller(m, AT_CI, "2250701020304");
		m->turn.lang = str_c(langs[l]);
		assert_int_equal(hop(m, "a"), 0);
		assert_int_equal(hop(m, "b"), 0);
		/* The whole question, with all its options, on one page. */
		assert_null(strstr(m->result.text.p, "98."));
		assert_true(m->result.septets <= 160);
		assert_int_equal(hop(m, "1"), 0);
		assert_int_equal(m->result.outcome, MENU_PARK);
		assert_false(m->result.is_cut);
		assert_int_equal(hop(m, NULL), 0);
		assert_null(strstr(m->result.text.p, "98."));
		assert_int_equal(hop(m, "12345678"), 0);
		assert_int_equal(m->result.outcome, MENU_BUY);
		for (size_t i = 0; i < PURCHASE_TEXTS; i++) {
			struct str text = m->result.intent.texts[i];
			ptrdiff_t septets = gsm7_septets(text);
			if (septets < 1 || septets > 160)
				fail_msg("%td septets: %.*s", septets, STR_ARG(text));
			assert_non_null(strstr(text.p, "K7QF2M9T"));
			assert_non_null(strstr(text.p, "1 000 000 F"));
			assert_non_null(strstr(text.p, "07 01 02 03 04"));
		}
	}
}

static void test_a_service_words_its_messages(void **state)
{
	struct little *m = *state;
	char texts[512];
	char menu[256];
	(void)snprintf(menu, sizeof(menu),
		"return menu { title = 'T', run = function(call) " BUY
		"{ amount = 500 }) bye('ok') end }");
	(void)snprintf(texts, sizeof(texts),
		"return { sms_delivered = 'Voila ${amount}, ${ref}', sms_expired = ('x '):rep(81) "
		"}");
	assert_int_equal(load_files(m, menu, texts), 0);
	assert_int_equal(hop(m, NULL), 0);
	assert_int_equal(hop(m, "1"), 0);
	check_str(m->result.intent.texts[TEXT_DELIVERED], "Voila 500 F, K7QF2M9T");
	/* Too long for one SMS: ours is sent instead. */
	assert_non_null(strstr(m->result.intent.texts[TEXT_EXPIRED].p, "Demande non envoyée"));
}

static void test_other_countries_cannot_pay(void **state)
{
	struct little *m = *state;
	little_caller(m, AT_CI, "256772123456");
	load(m, "choose_operator(call.msisdn)");
	expect(m, NULL, MENU_END,
		"Ce service est réservé aux numéros de ce pays. Rien n'a été débité.");
	load(m, "local o = choose_operator('2250701020304')\nbuy(o.airtime, { amount = 500, to = "
		"'2250701020304', from = o })");
	expect(m, NULL, MENU_END,
		"Ce service est réservé aux numéros de ce pays. Rien n'a été débité.");
}

static void test_memory_is_bounded(void **state)
{
	struct little *m = *state;
	load(m, "for i = 1, 100 do ask('A?') end\nbye('end')");
	buf_fini(&m->journal);
	buf_init(&m->journal, 64);
	int rc = 0;
	for (int i = 0; i < 10 && rc == 0; i++)
		rc = hop(m, "some answer");
	assert_int_equal(rc, TAMA_ENOMEM);
	assert_string_equal(m->err.text, "the session's journal is full");
	assert_false(m->journal.overflowed);
	arena_fini(&m->arena);
	arena_init(&m->arena, 64);
	assert_int_equal(hop(m, NULL), TAMA_ENOMEM);
	buf_reset(&m->journal);
	buf_add_char(&m->journal, '\x7f');
	arena_fini(&m->arena);
	arena_init(&m->arena, LIMIT_TURN_BYTES);
	expect_error(m, NULL, TAMA_EINVAL, "is broken");
}

/* The next "${name}" of s from *at on; empty at the end. */
static struct str next_var(struct str s, size_t *at)
{
	for (; *at + 1 < s.n; (*at)++) {
		struct str rest = str_from(s, *at);
		ptrdiff_t end = str_has_prefix(rest, STR("${")) ? str_find(rest, '}') : -1;
		if (end < 0)
			continue;
		*at += (size_t)end;
		return (struct str){rest.p, (size_t)end + 1};
	}
	return STR("");
}

static bool has_var(struct str s, struct str var)
{
	struct str other;
	for (size_t at = 0; (other = next_var(s, &at)).n > 0;)
		if (str_eq(other, var))
			return true;
	return false;
}

static void check_same_vars(struct str key, struct str one, struct str other)
{
	struct str var;
	for (size_t at = 0; (var = next_var(one, &at)).n > 0;)
		if (!has_var(other, var))
			fail_msg("%.*s: one language lacks %.*s", STR_ARG(key), STR_ARG(var));
}

/* Both sets have the same keys, and each pair of words the same variables. */
static void check_same_texts(const struct text_sets *texts)
{
	assert_int_equal(texts->n, 2);
	assert_int_equal(texts->sets[0].n, texts->sets[1].n);
	for (size_t i = 0; i < texts->sets[0].n; i++) {
		const struct text_entry *a = &texts->sets[0].entries[i];
		const struct text_entry *b = &texts->sets[1].entries[i];
		check_str(a->key, b->key.p);
		check_same_vars(a->key, a->words, b->words);
		check_same_vars(a->key, b->words, a->words);
	}
}

static void test_languages_say_the_same(void **state)
{
	const struct airtime *a = *state;
	check_same_texts(&a->host->texts);
	check_same_texts(&a->host->services[0].texts);
}

static void load_keywords(struct little *m, const char *keyword)
{
	(void)snprintf(m->source, sizeof(m->source),
		"local seen = ''\n"
		"return menu { title = 'T', keywords = { GO = function(call, words) %s end },\n"
		"run = function(call) local a = ask('A?') local b = ask('B?') bye(a .. '|' .. b) "
		"end }",
		keyword);
	if (load_files(m, m->source, NULL) != 0)
		fail_msg("%s", m->err.text);
	little_caller(m, SMS_CI, "2250501020304");
}

static void test_keywords(void **state)
{
	struct little *m = *state;
	load_keywords(m, "return { words[2], words[1] }");
	expect(m, " gö*Óne  two#", MENU_END, "TWO|ONE");
	assert_true(menu_is_keyword(m->host, &m->f.service, STR(" gó*500")));
	assert_true(menu_is_keyword(m->host, &m->f.service, STR("help")));
	assert_false(menu_is_keyword(m->host, &m->f.service, STR("stop")));
	assert_false(menu_is_keyword(m->host, &m->f.service, STR("gone")));
	assert_false(menu_is_keyword(m->host, &m->f.service, STR("")));
	load_keywords(m, "lookup('last_purchase') return {}");
	assert_int_equal(hop(m, "go"), 0);
	assert_int_equal(m->result.outcome, MENU_LOOKUP);
	assert_int_equal(m->result.inputs_used, 1);
	load_keywords(m, "return {}, 'Pourquoi.'");
	expect(m, "go", MENU_ASK, "Pourquoi.\nA?");
	/* The session is open: a word is an answer now, and home comes back to the first question.
	 */
	expect(m, "go", MENU_ASK, "B?");
	expect(m, "00", MENU_ASK, "A?");
	expect(m, "x", MENU_ASK, "B?");
	expect(m, "0", MENU_ASK, "A?");
	expect(m, "y", MENU_ASK, "B?");
	expect(m, "stop it", MENU_END, "C'est terminé. Merci.");
	load_keywords(m, "return { 'x', '0', 'y', 'z' }");
	expect(m, "go", MENU_END, "y|z");
	load_keywords(m, "return 5");
	expect_error(m, "go", TAMA_ESCRIPT, "a keyword returns the inputs it stands for");
	load_keywords(m, "return { 5 }");
	expect_error(m, "go", TAMA_ESCRIPT, "a keyword returns the inputs it stands for");
	load_keywords(m, "local t = {} for i = 1, 17 do t[i] = 'x' end return t");
	expect_error(m, "go", TAMA_ESCRIPT, "at most 16 inputs");
	/* Without keywords any message begins the menu, but for help and stop. */
	load(m, "ask('A?')\nbye('end')");
	expect(m, "hello", MENU_ASK, "A?");
	buf_reset(&m->journal);
	expect(m, "STOP", MENU_END, "C'est terminé. Merci.");
}

static void test_amounts_and_numbers_by_shape(void **state)
{
	static const struct {
		const char *text;
		const char *read;
	} rows[] = {
		{"go 500 0701020304", "500/0701020304/true"},
		{"go 0701020304 500", "500/0701020304/true"},
		{"go 07.01.02.03.04 1.000", "1.000/07.01.02.03.04/true"},
		{"go +225 07 01 02 03 04 1 000 F", "1 000 F/+225 07 01 02 03 04/true"},
		{"go FCFA 1000", "FCFA 1000/nil/true"},
		{"go 0701020304", "nil/0701020304/true"},
		{"go 500 01020304", "500/01020304/true"},
		{"go", "nil/nil/true"},
		{"go 500 1000", "nil/nil/false"},
		{"go five", "nil/nil/false"},
		{"go 500 0701", "nil/nil/false"},
		{"go 0701020304 0501020304", "nil/nil/false"},
		{"go 500 0701020304 500", "nil/nil/false"},
		{"go 1234567", "nil/nil/false"},
	};
	struct little *m = *state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		load_keywords(m, "local a, n, c = amount_and_number(words)\n"
				 "bye(tostring(a) .. '/' .. tostring(n) .. '/' .. tostring(c))");
		expect(m, rows[i].text, MENU_END, rows[i].read);
	}
}

/* ---- speed -------------------------------------------------------------------------------------
 */

static double now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Each longjmp of a replay costs ThreadSanitizer memory that it does not give back. */
#ifdef __SANITIZE_THREAD__
enum { ROUNDS = 100 };
#else
enum { ROUNDS = 20000 };
#endif

/* Printed, never asserted. */
static void test_speed_of_three_questions(void **state)
{
	struct little *m = *state;
	load(m, "local a = choose('A?', { 'x', 'y' })\nlocal b = ask('B?')\n"
		"local c = ask_msisdn()\nbye('end')");
	(void)hop(m, "2");
	(void)hop(m, "name");
	expect(m, "0701020304", MENU_END, "end");
	double begin = now_us();
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(hop(m, NULL), 0);
	print_message("replay of three questions and a last screen: %.1f us\n",
		(now_us() - begin) / ROUNDS);
}

static void test_speed_of_a_confirmation(void **state)
{
	struct airtime *a = *state;
	struct buf journal;
	struct arena arena;
	struct menu_result result;
	struct err err = ERR_INIT;
	const struct menu_input inputs[] = {
		{STR("2"), true}, {STR("0701020304"), true}, {STR("500"), true}};
	struct menu_turn turn = {.channel = config_channel(a->config, STR("at-ci")),
		.service = a->service,
		.msisdn = {"2250501020304"},
		.lang = STR("fr"),
		.journal = &journal,
		.inputs = inputs,
		.inputs_len = 3,
		.next_ref = STR("K7QF2M9T")};
	buf_init(&journal, LIMIT_SESSION_JOURNAL);
	arena_init(&arena, LIMIT_TURN_BYTES);
	assert_int_equal(menu_run(a->host, &turn, &arena, &result, &err), 0);
	turn.inputs_len = 0;
	double begin = now_us();
	for (int i = 0; i < ROUNDS; i++) {
		arena_reset(&arena);
		assert_int_equal(menu_run(a->host, &turn, &arena, &result, &err), 0);
	}
	print_message("replay of the airtime menu and its confirmation: %.1f us\n",
		(now_us() - begin) / ROUNDS);
	buf_fini(&journal);
	arena_fini(&arena);
}

#define AIRTIME(test) cmocka_unit_test_setup_teardown(test, airtime_setup, airtime_teardown)
#define LITTLE(test) cmocka_unit_test_setup_teardown(test, little_setup, little_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AIRTIME(test_transcripts),
		AIRTIME(test_first_purchase_takes_six_hops),
		AIRTIME(test_transcript_says_what_is_wrong),
		LITTLE(test_wishes_of_a_script_are_checked),
		LITTLE(test_files_are_checked),
		LITTLE(test_what_a_file_returns_is_checked),
		LITTLE(test_budgets_stop_one_session_only),
		LITTLE(test_buying_and_erring_buys_nothing),
		LITTLE(test_each_purchase_has_its_own_hop),
		LITTLE(test_a_changed_menu_ends_the_session),
		LITTLE(test_choices),
		LITTLE(test_free_text),
		LITTLE(test_pages),
		LITTLE(test_missing_texts_show_their_key),
		LITTLE(test_gateway_texts),
		LITTLE(test_effects_are_recorded),
		LITTLE(test_secrets_stay_out),
		LITTLE(test_a_script_never_sees_a_secret),
		LITTLE(test_operators_out_of_service),
		LITTLE(test_what_is_not_sold_ends_politely),
		LITTLE(test_offers),
		LITTLE(test_a_float_pays_without_a_wallet),
		LITTLE(test_another_operator_may_need_another_amount),
		LITTLE(test_nonces_are_drawn),
		LITTLE(test_worst_cases_fit),
		LITTLE(test_a_service_words_its_messages),
		LITTLE(test_other_countries_cannot_pay),
		LITTLE(test_memory_is_bounded),
		AIRTIME(test_languages_say_the_same),
		LITTLE(test_keywords),
		LITTLE(test_amounts_and_numbers_by_shape),
		LITTLE(test_speed_of_three_questions),
		AIRTIME(test_speed_of_a_confirmation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
