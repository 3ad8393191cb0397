/* Configurations: the demo as it should be read, and each broken one with what is said about it. */
#include "check.h"

#include "tama/buf.h"
#include "tama/config.h"
#include "tama/provider.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURES "tests/fixtures/config"

static const struct config_setting menus = {STR_INIT("menus"), STR_INIT("../" FIXTURES "/menus")};

static void collect(void *ctx, const char *line)
{
	buf_printf(ctx, "%s\n", line);
}

/* Loads and returns what was said, one problem a line. */
static struct str load_all(const char *file, const struct config_setting *settings, size_t n,
	const struct config **config, struct buf *said)
{
	struct err err = ERR_INIT;
	const struct config_options options = {settings, n, collect, said};
	buf_init(said, 64 * 1024);
	int rc = config_load(file, &options, config, &err);
	assert_int_equal(rc, said->n > 0 ? TAMA_EINVAL : 0);
	assert_int_equal(rc == 0, err.text[0] == '\0');
	/* The first of them is also what err has. */
	if (rc != 0)
		assert_true(str_has_prefix(buf_str(said), str_c(err.text)));
	return buf_str(said);
}

static const struct config *load_good(
	const char *file, const struct config_setting *settings, size_t n)
{
	const struct config *config = NULL;
	struct buf said;
	check_str(load_all(file, settings, n, &config, &said), "");
	buf_fini(&said);
	assert_non_null(config);
	return config;
}

static void check_bad(
	const char *file, const struct config_setting *settings, size_t n, const char *want)
{
	const struct config *config = NULL;
	struct buf said;
	check_str(load_all(file, settings, n, &config, &said), want);
	assert_null(config);
	buf_fini(&said);
}

/* ---- files made for one test
 * --------------------------------------------------------------------- */

struct scratch {
	char dir[32];
	char path[300];
};

static void scratch_make(struct scratch *scratch)
{
	(void)snprintf(scratch->dir, sizeof(scratch->dir), "/tmp/tama-config-XXXXXX");
	assert_non_null(mkdtemp(scratch->dir));
}

/* A path in the folder, until the next call. */
static const char *scratch_path(struct scratch *scratch, const char *name)
{
	(void)snprintf(scratch->path, sizeof(scratch->path), "%s/%s", scratch->dir, name);
	return scratch->path;
}

static void scratch_write(
	struct scratch *scratch, const char *name, mode_t mode, struct str content)
{
	FILE *f = fopen(scratch_path(scratch, name), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(content.p, 1, content.n, f), content.n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(scratch->path, mode), 0);
}

static void scratch_remove(struct scratch *scratch)
{
	DIR *dir = opendir(scratch->dir);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.')
			(void)remove(scratch_path(scratch, e->d_name));
	(void)closedir(dir);
	assert_int_equal(rmdir(scratch->dir), 0);
}

/* ---- broken ones
 * --------------------------------------------------------------------------------- */

#define EXPECT "-- expect: "

/* The lines of the file that begin with EXPECT, without it. */
static void expected(const char *path, struct buf *out)
{
	char line[1200];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	buf_init(out, 64 * 1024);
	while (fgets(line, sizeof(line), f) != NULL && strncmp(line, EXPECT, strlen(EXPECT)) == 0)
		buf_printf(out, "%s", line + strlen(EXPECT));
	(void)fclose(f);
}

static void broken_ones_are_told(void **state)
{
	size_t count = 0;
	DIR *dir = opendir(FIXTURES);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		char path[300];
		struct buf want, said;
		const struct config *config = NULL;
		(void)snprintf(path, sizeof(path), FIXTURES "/%s", e->d_name);
		if (strstr(e->d_name, ".lua") == NULL)
			continue;
		expected(path, &want);
		buf_add_char(&want, '\0');
		check_str(load_all(path, NULL, 0, &config, &said), want.p);
		assert_true(want.n > 1);
		assert_null(config);
		buf_fini(&want);
		buf_fini(&said);
		count++;
	}
	(void)closedir(dir);
	assert_true(count > 50);
}

static void absent_file(void **state)
{
	struct err err = ERR_INIT;
	const struct config *config = NULL;
	assert_int_equal(config_load("tests/no/such.lua", NULL, &config, &err), TAMA_EINVAL);
	assert_string_equal(
		err.text, "tests/no/such.lua:1: \"tests/no/such.lua\": No such file or directory");
	assert_null(config);
	config_unref(&config);
}

/* ---- the demo
 * ------------------------------------------------------------------------------------ */

static void demo_gateway(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	check_str(config->file, "config/demo.lua");
	check_str(config->data_dir, "data");
	check_str(config->listen_address, "127.0.0.1");
	assert_int_equal(config->listen_port, 8080);
	assert_int_equal(config->admin_port, 8081);
	assert_true(config->allow_loopback && config->allow_http);
	assert_false(config->is_demo_abroad);
	assert_int_equal(config->staff.refunds_a_day, 100);
	assert_int_equal(config->staff.amounts_len, 2);
	check_str(str_c(config->staff.amounts[1].currency->code), "XOF");
	assert_int_equal(config->staff.amounts[1].amount, 5000000);
	assert_int_equal(config_account(config, STR("et-ci"))->private_nets.n, 1);
	assert_int_equal(config_channel(config, STR("sms-ci"))->private_nets.p[0].bits, 32);
	assert_int_equal(config->master_key.n, 32);
	assert_memory_equal(config->master_key.p, "\x00\x11\x22\x33", 4);
	assert_int_equal(config->countries_len, 2);
	assert_int_equal(config->operators_len, 5);
	assert_int_equal(config->channels_len, 5);
	check_str(config_partner(config, 1)->title, "Tama Demo");
	assert_null(config_partner(config, 2));
	config_unref(&config);
	assert_null(config);
}

static void demo_account(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	const struct account *et = config_account(config, STR("et-ci"));
	const struct account *xente = config_account(config, STR("xente-ug"));
	assert_string_equal(et->profile->name, "easytransfert");
	check_str(et->base_url, "http://127.0.0.1:9090/api_v1/transaction");
	check_str(account_field(et, "api_key"), "demo-api-key");
	check_str(account_field(et, "other"), "");
	assert_int_equal(et->spacing_ms, 900000);
	assert_int_equal(et->polls_len, 5);
	assert_int_equal(et->polls_ms[4], 12 * 3600 * 1000);
	assert_string_equal(xente->currency->code, "UGX");
	assert_int_equal(xente->spacing_ms, 0);
	check_str(xente->ipn_secret, "demo-ipn-secret-xente-ug");
	check_str(account_field(xente, "user_id"), "demo-user");
	assert_null(config_account(config, STR("et")));
	config_unref(&config);
}

static void demo_offers(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	const struct operator_cfg *orange = config_operator(config, STR("orange-ci"));
	const struct offer *airtime = config_offer(config, STR("ci-airtime"));
	assert_int_equal(airtime->amount.suggest_len, 4);
	assert_int_equal(airtime->amount.suggest[3], 5000);
	assert_int_equal(offer_fee(airtime, 500), 100);
	check_str(offer_leg_service(&airtime->collect, orange), "125");
	check_str(offer_leg_service(&airtime->deliver, orange), "225");
	check_str(offer_leg_service(&airtime->collect, config_operator(config, STR("airtel-ug"))),
		"");
	const struct offer *payment = config_offer(config, STR("ci-payment"));
	assert_null(payment->deliver.account);
	const struct offer *agent = config_offer(config, STR("agent-airtime"));
	assert_null(agent->collect.account);
	check_str(agent->paid_by, "float:agents");
	check_str(config_offer(config, STR("ug-airtime"))->deliver.verb, "airtime");
	check_str(airtime->refund.verb, "cashin");
	check_str(offer_leg_service(&airtime->refund, orange), "126");
	assert_int_equal(airtime->refund_delay_ms, 30 * 60 * 1000);
	assert_int_equal(airtime->late_ms, 24 * 3600 * 1000);
	assert_false(airtime->late_delivers);
	assert_null(payment->refund.account);
	assert_int_equal(payment->refund_delay_ms, 30 * 60 * 1000);
	assert_null(config_offer(config, STR("none")));
	config_unref(&config);
}

static void demo_channels(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	const struct channel *ussd = config_channel(config, STR("at-ug"));
	const struct channel *sms = config_channel(config, STR("sms-ci"));
	assert_ptr_equal(ussd, &config->channels[ussd->id]);
	check_str(ussd->lang, "en");
	assert_int_equal(ussd->septets, 160);
	assert_int_equal(ussd->timeout_ms, 180000);
	assert_int_equal(ussd->resume_ms, 600000);
	assert_int_equal(ussd->hop_ms, 5000);
	assert_int_equal(ussd->in_flight, 256);
	check_str(ussd->secret, "demo-secret-of-at-ug");
	assert_int_equal(sms->kind, CHANNEL_SMS);
	check_str(channel_field(sms, "password"), "demo-sms-password");
	check_str(channel_field(sms, "sender"), "36789");
	assert_ptr_equal(channel_keyword(sms, STR("credit")), &config->services[0]);
	assert_null(channel_keyword(sms, STR("solde")));
	assert_null(config_channel(config, STR("at")));
	config_unref(&config);
}

static void check_guess(
	const struct config *config, const char *iso, const char *digits, const char *want)
{
	struct msisdn number = {""};
	(void)snprintf(number.digits, sizeof(number.digits), "%s", digits);
	const struct operator_cfg *op =
		config_operator_guess(config, config_country(config, str_c(iso)), &number);
	check_str(op != NULL ? op->name : STR(""), want);
}

static void demo_operators(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	check_guess(config, "CI", "2250701020304", "orange-ci");
	check_guess(config, "CI", "2250501020304", "mtn-ci");
	check_guess(config, "CI", "2252101020304", "");
	check_guess(config, "CI", "256772123456", "");
	check_guess(config, "UG", "256772123456", "mtn-ug");
	check_guess(config, "UG", "256737123456", "mtn-ug");
	check_guess(config, "UG", "256730123456", "airtel-ug");
	check_guess(config, "UG", "256712345678", "");
	assert_null(config_country(config, STR("KE")));
	assert_ptr_equal(config_operator_by_network(config, STR("61203")),
		config_operator(config, STR("orange-ci")));
	assert_null(config_operator_by_network(config, STR("62001")));
	const struct operator_cfg *mtn = config_operator(config, STR("mtn-ci"));
	assert_int_equal(mtn->confirm, WALLET_PUSH);
	assert_int_equal(mtn->push_delay_ms, 5000);
	check_str(mtn->dial, "*133#");
	config_unref(&config);
}

static void demo_service(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	const struct service *service = config_channel(config, STR("at-ci"))->service;
	check_str(service->dir, FIXTURES "/menus/airtime");
	assert_int_equal(service->files_len, 3);
	check_str(service->files[0].name, "menu.lua");
	check_str(service->files[1].name, "texts.en.lua");
	check_str(service->files[2].text, "return { hello = \"Bonjour\" }\n");
	config_unref(&config);
}

static void sms_route(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	const struct country *ug = config_country(config, STR("UG"));
	assert_ptr_equal(config_sms_route(config, 1, ug), config_channel(config, STR("sms-ug")));
	assert_null(config_sms_route(config, 2, ug));
	assert_null(config_sms_route(config, 1, NULL));
	config_unref(&config);
}

/* What is out of service says so, and no receipt leaves by it. */
static void sms_route_switched_off(void **state)
{
	const struct config *config = load_good(FIXTURES "/base/switched.lua", NULL, 0);
	const struct country *ci = config_country(config, STR("CI"));
	assert_true(config_channel(config, STR("off"))->out_of_service);
	assert_ptr_equal(config_sms_route(config, 1, ci), config_channel(config, STR("on")));
	assert_true(config_operator(config, STR("off-ci"))->out_of_service);
	assert_true(config_offer(config, STR("off"))->out_of_service);
	assert_true(config_account(config, STR("off"))->out_of_service);
	config_unref(&config);
}

static void references(void **state)
{
	const struct config *config = load_good("config/demo.lua", &menus, 1);
	const struct config *other = config_ref(config);
	config_unref(&config);
	check_str(other->partners[0].name, "demo");
	config_unref(&other);
	config_unref(&other);
}

/* ---- settings
 * ------------------------------------------------------------------------------------ */

static void settings_are_used(void **state)
{
	const struct config_setting settings[] = {menus,
		{STR_INIT("sandbox"), STR_INIT("http://127.0.0.1:5001/")},
		{STR_INIT("listen"), STR_INIT("[::1]:0")}, {STR_INIT("data"), STR_INIT("/run/x")},
		{STR_INIT("spacing"), STR_INIT("0s")}};
	const struct config *config = load_good("config/demo.lua", settings, ROWS(settings));
	check_str(config->listen_address, "::1");
	assert_int_equal(config->listen_port, 0);
	check_str(config->data_dir, "/run/x");
	assert_int_equal(config_account(config, STR("et-ci"))->spacing_ms, 0);
	config_unref(&config);
}

static void settings_nobody_asks_for(void **state)
{
	const struct config_setting settings[] = {
		menus, {STR_INIT("sandbx"), STR_INIT("http://127.0.0.1:5001")}};
	check_bad("config/demo.lua", settings, ROWS(settings),
		"config/demo.lua:1: the setting \"sandbx\" is given but nothing asks for it (did "
		"you "
		"mean \"sandbox\"?)\n");
}

static void settings_are_given_once(void **state)
{
	const struct config_setting settings[] = {menus, {STR_INIT("spacing"), STR_INIT("0s")},
		{STR_INIT("spacing"), STR_INIT("1s")}};
	check_bad("config/demo.lua", settings, ROWS(settings),
		"config/demo.lua:1: the setting \"spacing\" is given twice\n");
}

static void settings_have_types(void **state)
{
	struct scratch s;
	scratch_make(&s);
	scratch_write(&s, "c.lua", 0644,
		STR("gateway { workers = setting('n', 2), connections = setting('m', 3),\n"
		    "allow_loopback = setting('b', false), data = 'd',\n"
		    "master_key = demo_secret '0123456789abcdef0123456789abcdef' }\n"));
	char path[100];
	(void)snprintf(path, sizeof(path), "%s/c.lua", s.dir);
	struct config_setting settings[] = {
		{STR_INIT("n"), STR_INIT("7")}, {STR_INIT("b"), STR_INIT("true")}};
	const struct config *config = load_good(path, settings, ROWS(settings));
	assert_int_equal(config->workers, 7);
	assert_int_equal(config->connections, 3);
	config_unref(&config);

	char want[200];
	settings[0].value = STR("seven");
	(void)snprintf(
		want, sizeof(want), "%s:1: setting \"n\" is given as no whole number\n", path);
	check_bad(path, settings, ROWS(settings), want);
	settings[0].value = STR("7");
	settings[1].value = STR("yes");
	(void)snprintf(
		want, sizeof(want), "%s:2: setting \"b\" is given as no true or false\n", path);
	check_bad(path, settings, ROWS(settings), want);
	scratch_remove(&s);
}

/* ---- secrets
 * ------------------------------------------------------------------------------------- */

#define KEY "0123456789abcdef0123456789abcdef"

static void production_loads(void **state)
{
	static const char *const names[] = {
		"et-ci.key", "et-ci.hmac", "at-ci.path", "sms-ci.path", "sms-ci.password"};
	struct scratch s;
	scratch_make(&s);
	scratch_write(&s, "master.key", 0600, STR(KEY));
	for (size_t i = 0; i < ROWS(names); i++)
		scratch_write(
			&s, names[i], i % 2 == 0 ? 0600 : 0640, STR("secret-of-16-and-more\n"));
	const struct config_setting settings[] = {menus, {STR_INIT("keys"), str_c(s.dir)}};
	const struct config *config = load_good("config/production.lua", settings, ROWS(settings));
	check_str(config->master_key, KEY);
	check_str(config->data_dir, "/var/lib/tama");
	assert_int_equal(config->proxies_len, 1);
	assert_false(config->allow_loopback || config->allow_http);
	assert_int_equal(config_account(config, STR("et-ci"))->private_nets.n, 0);
	const struct account *et = config_account(config, STR("et-ci"));
	check_str(account_field(et, "api_key"), "secret-of-16-and-more");
	check_str(et->signature_secret, "secret-of-16-and-more");
	assert_int_equal(et->sources_len, 2);
	check_str(config_channel(config, STR("at-ci"))->secret, "secret-of-16-and-more");
	config_unref(&config);
	scratch_remove(&s);
}

/* The master key from a file of that content and mode; want NULL: it is taken as key. */
static void check_key(mode_t mode, struct str content, const char *want, struct str key)
{
	struct scratch s;
	char text[300], path[100];
	scratch_make(&s);
	scratch_write(&s, "key", mode, content);
	(void)snprintf(path, sizeof(path), "%s/key", s.dir);
	const struct config_setting setting = {STR_INIT("key"), str_c(path)};
	if (want == NULL) {
		const struct config *config = load_good(FIXTURES "/base/strict.lua", &setting, 1);
		assert_int_equal(config->master_key.n, key.n);
		assert_memory_equal(config->master_key.p, key.p, key.n);
		config_unref(&config);
	} else {
		(void)snprintf(text, sizeof(text), "%s:1: secret file \"%s\": %s\n",
			FIXTURES "/base/strict.lua", path, want);
		check_bad(FIXTURES "/base/strict.lua", &setting, 1, text);
	}
	scratch_remove(&s);
}

#define WIDE "its permissions are too wide: chmod 600, or 640 with a group of its own"

static void secret_files(void **state)
{
	static char large[2000];
	memset(large, 'x', sizeof(large));
	check_key(0600, STR(KEY), NULL, STR(KEY));
	check_key(0640, STR("0123456789abcdef0123456789abcde\n"), NULL,
		STR("0123456789abcdef0123456789abcde\n"));
	check_key(0400,
		STR("3031323334353637"
		    "3031323334353637"
		    "3031323334353637"
		    "3031323334353637\r\n"),
		NULL, STR("01234567012345670123456701234567"));
	check_key(0644, STR(KEY), WIDE, STR(""));
	check_key(0604, STR(KEY), WIDE, STR(""));
	check_key(0660, STR(KEY), WIDE, STR(""));
	check_key(0600, STR(""), "it is empty", STR(""));
	check_key(0600, (struct str){large, sizeof(large)}, "it is larger than a secret can be",
		STR(""));
}

static void secret_folder(void **state)
{
	const struct config_setting setting = {STR_INIT("key"), STR_INIT("/")};
	check_bad(FIXTURES "/base/strict.lua", &setting, 1,
		FIXTURES "/base/strict.lua:1: secret file \"/\": it is not a regular file\n");
}

static void bad_keys(void **state)
{
	struct scratch s;
	char path[100];
	scratch_make(&s);
	(void)snprintf(path, sizeof(path), "%s/key", s.dir);
	const struct config_setting setting = {STR_INIT("key"), str_c(path)};
	const char *want = FIXTURES "/base/strict.lua:1: gateway: field \"master_key\" must be 32 "
				    "random bytes, or 64 hexadecimal digits\n";
	scratch_write(&s, "key", 0600, STR(KEY "x"));
	check_bad(FIXTURES "/base/strict.lua", &setting, 1, want);
	scratch_write(&s, "key", 0600, STR(KEY "0123456789abcdef0123456789abcdeg"));
	check_bad(FIXTURES "/base/strict.lua", &setting, 1, want);
	scratch_remove(&s);
}

/* ---- what pins a session
 * ------------------------------------------------------------------------- */

/* The hash of the service in a configuration that differs from another in one place. */
static void variant_hash(struct scratch *s, const char *op, const char *offer, uint8_t out[16])
{
	struct buf text;
	char path[100];
	buf_init(&text, 8192);
	buf_printf(&text,
		"include 'world.lua'\n"
		"gateway { data = 'd', allow_loopback = true, master_key = demo_secret '%s' }\n"
		"operator 'moov-ci' { country = 'CI', title = 'Moov', prefixes = { '01' }, %s }\n"
		"partner 'demo' { id = 1, title = 'Demo' }\n"
		"partner 'other' { id = 2, title = 'Other' }\n"
		"account 'et' { partner = 'demo', provider = 'easytransfert', currency = 'XOF',\n"
		"  base_url = 'https://et.example', ipn_base = 'https://tama.example' }\n"
		"offer 'o' { partner = 'demo', kind = 'airtime', country = 'CI', %s }\n"
		"service 's' { partner = 'demo', dir = '.' }\n",
		KEY, op, offer);
	scratch_write(s, "c.lua", 0644, buf_str(&text));
	scratch_write(s, "world.lua", 0644,
		STR("country 'CI' { cc = '225', nsn = 10, mobile = { '0' }, currency = 'XOF',"
		    "lang = 'fr' }\n"));
	(void)snprintf(path, sizeof(path), "%s/c.lua", s->dir);
	const struct config *config = load_good(path, NULL, 0);
	memcpy(out, config->services[0].hash, 16);
	config_unref(&config);
	buf_fini(&text);
}

#define PUSH "wallet = { confirm = 'push' }"
#define OFFER(min)                                                                                 \
	"amount = { min = " min ", max = 1000 }, collect = { account = 'et', verb = 'cashout',"    \
	"services = { ['moov-ci'] = '123' } }"

static void hash_follows_content(void **state)
{
	struct scratch s;
	uint8_t first[16], hash[16];
	scratch_make(&s);
	scratch_write(&s, "menu.lua", 0644, STR("return 1\n"));
	variant_hash(&s, PUSH, OFFER("1"), first);

	variant_hash(&s, PUSH, OFFER("2"), hash);
	assert_memory_not_equal(first, hash, 16);
	variant_hash(&s, PUSH ", aliases = { 'flooz' }", OFFER("1"), hash);
	assert_memory_not_equal(first, hash, 16);
	scratch_write(&s, "texts.fr.lua", 0644, STR("return {}\n"));
	variant_hash(&s, PUSH, OFFER("1"), hash);
	assert_memory_not_equal(first, hash, 16);
	assert_int_equal(remove(scratch_path(&s, "texts.fr.lua")), 0);
	scratch_write(&s, "menu.lua", 0644, STR("return 2\n"));
	variant_hash(&s, PUSH, OFFER("1"), hash);
	assert_memory_not_equal(first, hash, 16);
	scratch_remove(&s);
}

static void hash_ignores_the_rest(void **state)
{
	struct scratch s;
	uint8_t first[16], hash[16];
	scratch_make(&s);
	scratch_write(&s, "menu.lua", 0644, STR("return 1\n"));
	variant_hash(&s, PUSH, OFFER("1"), first);
	scratch_write(&s, "morning.transcript", 0644, STR("> *123#\n"));
	scratch_write(&s, "texts.english.lua", 0644, STR("return {}\n"));
	variant_hash(
		&s, PUSH ", out_of_service = true", OFFER("1") ", out_of_service = true", hash);
	assert_memory_equal(first, hash, 16);
	scratch_remove(&s);
}

/* ---- arithmetic
 * ---------------------------------------------------------------------------------- */

static void fees(void **state)
{
	const struct offer both = {.fee_flat = 50, .fee_permille = 15, .fee_step = 5};
	const struct offer none = {.fee_step = 1};
	const struct offer cents = {.fee_permille = 1, .fee_step = 1};
	assert_int_equal(offer_fee(&both, 1000), 65);
	assert_int_equal(offer_fee(&both, 1001), 70); /* 65.015 */
	assert_int_equal(offer_fee(&both, 0), 50);
	assert_int_equal(offer_fee(&none, 500), 0);
	assert_int_equal(offer_fee(&cents, 1), 1); /* 0.001 */
	assert_int_equal(offer_fee(&cents, MONEY_MAX), MONEY_MAX / 1000);
}

static void amounts(void **state)
{
	const struct amount_rule rule = {.min = 500, .max = 2000, .step = 100};
	assert_int_equal(amount_rule_check(&rule, 500), 0);
	assert_int_equal(amount_rule_check(&rule, 2000), 0);
	assert_int_equal(amount_rule_check(&rule, 400), TAMA_EINVAL);
	assert_int_equal(amount_rule_check(&rule, 2100), TAMA_EINVAL);
	assert_int_equal(amount_rule_check(&rule, 550), TAMA_EINVAL);
	assert_int_equal(amount_rule_check(&rule, -500), TAMA_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_ones_are_told),
		cmocka_unit_test(absent_file),
		cmocka_unit_test(demo_gateway),
		cmocka_unit_test(demo_account),
		cmocka_unit_test(demo_offers),
		cmocka_unit_test(demo_channels),
		cmocka_unit_test(demo_operators),
		cmocka_unit_test(demo_service),
		cmocka_unit_test(sms_route),
		cmocka_unit_test(sms_route_switched_off),
		cmocka_unit_test(references),
		cmocka_unit_test(settings_are_used),
		cmocka_unit_test(settings_nobody_asks_for),
		cmocka_unit_test(settings_are_given_once),
		cmocka_unit_test(settings_have_types),
		cmocka_unit_test(production_loads),
		cmocka_unit_test(secret_files),
		cmocka_unit_test(secret_folder),
		cmocka_unit_test(bad_keys),
		cmocka_unit_test(hash_follows_content),
		cmocka_unit_test(hash_ignores_the_rest),
		cmocka_unit_test(fees),
		cmocka_unit_test(amounts),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
