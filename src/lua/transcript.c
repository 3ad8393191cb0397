/*
 * A phone, an aggregator and a clock for one service, just enough of each for a conversation on
 * paper. The transcript is written anew from its own inputs and then compared with what it was.
 */
#include "tama/transcript.h"

#include "tama/limits.h"

#define NONCE "4821"
#define START_MS UINT64_C(1750000000000)
#define LOOKUPS_MAX 4
#define UNIT_HIDDEN "\u2022\u2022"

struct player {
	const struct transcript *t;
	const struct channel *channel;
	struct msisdn from;
	struct str from_text; /* read when the channel, and so the plan, is known */
	struct str network;
	struct str lang;
	struct str last_purchase;
	struct buf journal;
	struct arena arena;
	struct buf *out;
	struct transcript_stats *stats;
	struct err *err;
	uint64_t now_ms;
	unsigned line;
	unsigned hops;
	unsigned buys;
	unsigned secrets;
	bool is_open; /* a question waits */
	bool is_resumable; /* parked or cut off */
	uint64_t left_ms; /* when it was */
};

static int fail(struct player *p, int code, const char *what, struct str about)
{
	return err_set(p->err, code, "%s:%u: %s %.*s", p->t->name, p->line, what, STR_ARG(about));
}

/* ---- what comes out ----------------------------------------------------------------------------
 */

static void write_lines(struct player *p, const char *mark, struct str text)
{
	do {
		struct str line = str_cut(&text, '\n');
		buf_printf(p->out, line.n > 0 ? "%s %.*s\n" : "%s\n", mark, STR_ARG(line));
	} while (text.p != NULL);
}

static void write_buy(struct player *p, const struct buy_intent *intent)
{
	char amount[MONEY_TEXT_MAX];
	char number[MSISDN_MAX + 2];
	const struct country *country = p->channel->country;
	money_format(intent->face_value, country->currency, amount);
	msisdn_national(&intent->beneficiary, &country->plan, number);
	buf_printf(p->out, "! buy %.*s %s %.*s to %.2s" UNIT_HIDDEN " price %lld%s\n",
		STR_ARG(intent->offer->name), amount, STR_ARG(intent->operator_->name), number,
		(long long)intent->price, intent->secret != 0 ? " with a code" : "");
}

static int check_screen(struct player *p, const struct menu_result *r)
{
	if (r->missing.n > 0)
		return fail(p, TAMA_EINVAL, "no text has the name", r->missing);
	if (r->is_cut)
		return fail(p, TAMA_EINVAL, "the last screen is too long:", r->text);
	if (r->septets > p->channel->septets)
		return fail(p, TAMA_EINVAL, "the screen is too long:", r->text);
	if (r->septets > p->stats->max_septets)
		p->stats->max_septets = r->septets;
	return 0;
}

static void count_buy(struct player *p)
{
	p->buys++;
	p->stats->purchases++;
	if (p->hops > p->stats->max_buy_hops)
		p->stats->max_buy_hops = p->hops;
}

static int show(struct player *p, const struct menu_result *r)
{
	bool is_end = r->outcome == MENU_END || (r->outcome == MENU_BUY && r->is_end);
	int rc = check_screen(p, r);
	if (rc != 0)
		return rc;
	if (r->outcome == MENU_BUY) {
		count_buy(p);
		write_buy(p, &r->intent);
	}
	write_lines(p, "<", r->text);
	p->is_open = !is_end && r->outcome != MENU_PARK;
	p->is_resumable = r->outcome == MENU_PARK;
	p->left_ms = p->now_ms;
	if (is_end)
		buf_add_str(p->out, STR(". end\n"));
	if (p->is_resumable)
		buf_add_str(p->out, STR(". parked\n"));
	return 0;
}

/* ---- one hop -----------------------------------------------------------------------------------
 */

static uint32_t keep_secret(void *ctx, struct str secret)
{
	struct player *p = ctx;
	(void)secret;
	return ++p->secrets;
}

static int run_hop(struct player *p, const struct menu_input *inputs, size_t n)
{
	struct err err = ERR_INIT;
	struct menu_result result = {0};
	struct menu_turn turn = {
		.channel = p->channel,
		.service = p->t->service,
		.msisdn = p->from,
		.network = p->network,
		.lang = p->lang.n > 0 ? p->lang : p->channel->lang,
		.is_sms = p->channel->kind == CHANNEL_SMS,
		.journal = &p->journal,
		.inputs = inputs,
		.inputs_len = n,
		.buys = p->buys,
		.now_ms = p->now_ms,
		.next_ref = arena_printf(&p->arena, "TEST%04u", p->buys + 1),
		.secret_keep = keep_secret,
		.ctx = p,
		.nonce = STR(NONCE),
	};
	p->hops++;
	p->stats->hops++;
	int rc = 0;
	for (int i = 0; i < LOOKUPS_MAX; i++) {
		rc = menu_run(p->t->host, &turn, &p->arena, &result, &err);
		if (rc != 0 || result.outcome != MENU_LOOKUP)
			break;
		turn.effect_name = result.effect_name;
		turn.effect_value = p->last_purchase;
		turn.inputs += turn.inputs_len > 0 ? result.inputs_used : 0;
		turn.inputs_len -= result.inputs_used;
	}
	if (rc != 0) {
		buf_printf(p->out, ". error %s\n", err.text);
		p->is_open = p->is_resumable = false;
		return 0;
	}
	return show(p, &result);
}

static int begin(struct player *p, const struct menu_input *inputs, size_t n)
{
	if (p->channel == NULL)
		return fail(p, TAMA_EINVAL, "which channel? say channel: NAME before", STR(""));
	if (msisdn_parse_wire(p->from_text, &p->channel->country->plan, &p->from) != 0)
		return fail(
			p, TAMA_EINVAL, "who calls? say from: NUMBER before, not", p->from_text);
	buf_reset(&p->journal);
	p->hops = 0;
	p->buys = 0;
	p->stats->sessions++;
	return run_hop(p, inputs, n);
}

/* The part of what was dialled that follows a code of the channel: "1*500" of *384*22*1*500#. */
static bool dialled(const struct channel *channel, struct str text, struct str *rest)
{
	for (size_t i = 0; i < channel->codes_len; i++) {
		struct str code = channel->codes[i];
		struct str stem = {code.p, code.n - 1};
		if (str_eq(text, code)) {
			*rest = STR("");
			return true;
		}
		if (text.n > code.n && str_has_prefix(text, stem) && text.p[stem.n] == '*') {
			*rest = (struct str){text.p + code.n, text.n - code.n - 1};
			return true;
		}
	}
	return false;
}

static int dial(struct player *p, struct str text)
{
	struct menu_input inputs[LIMIT_PRETYPED];
	size_t n = 0;
	struct str rest;
	if (!dialled(p->channel, text, &rest))
		return fail(p, TAMA_EINVAL, "the channel has no such code:", text);
	while (rest.n > 0 && n < LIMIT_PRETYPED)
		inputs[n++] = (struct menu_input){.text = str_cut(&rest, '*'), .is_pretyped = true};
	return begin(p, inputs, n);
}

static int send_input(struct player *p, struct str text)
{
	const struct menu_input input = {.text = text};
	bool is_dial = text.n > 1 && text.p[0] == '*' && text.p[text.n - 1] == '#';
	if (p->channel == NULL)
		return fail(p, TAMA_EINVAL, "which channel? say channel: NAME before", text);
	if (p->channel->kind == CHANNEL_USSD && is_dial)
		return dial(p, text);
	if (p->is_open)
		return run_hop(p, &input, 1);
	if (p->channel->kind == CHANNEL_SMS)
		return begin(p, &input, 1);
	return fail(p, TAMA_EINVAL, "no session is open for", text);
}

static int redial(struct player *p)
{
	uint64_t away_ms = p->now_ms - p->left_ms;
	if (p->is_resumable && away_ms <= p->channel->resume_ms)
		return run_hop(p, NULL, 0);
	return begin(p, NULL, 0);
}

/* ---- lines -------------------------------------------------------------------------------------
 */

/* "5m" */
static bool read_duration(struct str s, uint64_t *out_ms)
{
	int64_t n;
	if (s.n < 2 || !str_to_i64((struct str){s.p, s.n - 1}, &n) || n > 100000)
		return false;
	switch (s.p[s.n - 1]) {
	case 's':
		*out_ms = (uint64_t)n * 1000;
		return true;
	case 'm':
		*out_ms = (uint64_t)n * 60000;
		return true;
	case 'h':
		*out_ms = (uint64_t)n * 3600000;
		return true;
	default:
		return false;
	}
}

static int read_header(struct player *p, struct str line)
{
	struct str value = line;
	struct str key = str_cut(&value, ':');
	value = str_trim(value);
	if (str_eq(key, STR("from")))
		p->from_text = value;
	else if (str_eq(key, STR("lang")))
		p->lang = value;
	else if (str_eq(key, STR("network")))
		p->network = value;
	else if (str_eq(key, STR("last_purchase")))
		p->last_purchase = value;
	else if (!str_eq(key, STR("channel")))
		return fail(p, TAMA_EINVAL, "not a line of a transcript:", line);
	else if ((p->channel = config_channel(p->t->config, value)) == NULL)
		return fail(p, TAMA_EINVAL, "there is no channel", value);
	p->is_open = p->is_resumable = false;
	return 0;
}

static int play_line(struct player *p, struct str line)
{
	uint64_t pause_ms;
	const struct str back = STR("back in ");
	if (line.n == 0 || line.p[0] == '#')
		return 0;
	if (line.p[0] == '>')
		return send_input(p, str_trim(str_from(line, 1)));
	if (str_eq(line, STR("drop"))) {
		p->is_resumable = p->is_resumable || p->is_open;
		p->is_open = false;
		p->left_ms = p->now_ms;
		return 0;
	}
	if (str_eq(line, STR("redial")))
		return redial(p);
	if (str_has_prefix(line, back) && read_duration(str_from(line, back.n), &pause_ms)) {
		p->now_ms += pause_ms;
		return redial(p);
	}
	return read_header(p, line);
}

static bool is_output(struct str line)
{
	return line.n > 0 && (line.p[0] == '<' || line.p[0] == '!' || line.p[0] == '.');
}

static int play(struct player *p, struct str text)
{
	while (text.n > 0) {
		struct str line = str_cut(&text, '\n');
		p->line++;
		if (is_output(line))
			continue;
		buf_printf(p->out, "%.*s\n", STR_ARG(line));
		arena_reset(&p->arena);
		int rc = play_line(p, line);
		if (rc != 0)
			return rc;
	}
	return p->out->overflowed ? fail(p, TAMA_ENOMEM, "the transcript is too long", STR("")) : 0;
}

static int compare(struct player *p, struct str was, struct str is)
{
	p->line = 0;
	while (was.n > 0 || is.n > 0) {
		struct str want = str_cut(&was, '\n');
		struct str got = str_cut(&is, '\n');
		p->line++;
		if (!str_eq(want, got))
			return err_set(p->err, TAMA_ECONFLICT,
				"%s:%u: written \"%.*s\", came \"%.*s\"", p->t->name, p->line,
				STR_ARG(want), STR_ARG(got));
	}
	return 0;
}

int transcript_play(const struct transcript *transcript, struct str text, struct buf *recorded,
	struct transcript_stats *stats, struct err *err)
{
	struct player p = {
		.t = transcript, .out = recorded, .stats = stats, .err = err, .now_ms = START_MS};
	*stats = (struct transcript_stats){0};
	buf_init(&p.journal, LIMIT_SESSION_JOURNAL);
	arena_init(&p.arena, LIMIT_TURN_BYTES);
	int rc = play(&p, text);
	if (rc == 0)
		rc = compare(&p, text, buf_str(recorded));
	arena_fini(&p.arena);
	buf_fini(&p.journal);
	return rc;
}
