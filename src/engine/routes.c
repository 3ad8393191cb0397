/*
 * The public face: which path goes where, and who may call it. An unknown name and a wrong secret
 * get the same 404 after the same comparison.
 */
#include "gateway_priv.h"

#include "hop.h"
#include "tama/crash.h"
#include "tama/limits.h"

typedef enum http_verdict (*route_fn)(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct str rest, struct http_reply *reply);

static enum http_verdict plain(struct http_reply *reply, unsigned status, struct str body)
{
	*reply = (struct http_reply){.status = status, .type = STR("text/plain"), .body = body};
	return HTTP_NOW;
}

static enum http_verdict not_found(struct http_reply *reply)
{
	return plain(reply, 404, STR("not found\n"));
}

/* "name/secret/rest": cuts the first segment off. The rest keeps its leading '/'. */
static struct str segment(struct str *path)
{
	struct str rest = *path, name;
	ptrdiff_t slash;

	if (rest.n > 0 && rest.p[0] == '/')
		rest = str_from(rest, 1);
	slash = str_find(rest, '/');
	name = (struct str){rest.p, slash < 0 ? rest.n : (size_t)slash};
	*path = str_from(rest, name.n);
	return name;
}

/*
 * Whether it is the secret or, while secrets are changed, the one before. Digests are compared, so
 * that neither the length of ours nor whether there is one at all shows in the time it takes.
 */
static bool secret_is_right(struct str now, struct str old, struct str given)
{
	unsigned char ours[2][VAULT_HASH_LEN], theirs[VAULT_HASH_LEN];
	const struct str digest = {(const char *)theirs, sizeof(theirs)};
	bool is_now, is_old;

	vault_digest(now, ours[0]);
	vault_digest(old, ours[1]);
	vault_digest(given, theirs);
	is_now = vault_equal((struct str){(const char *)ours[0], sizeof(ours[0])}, digest);
	is_old = vault_equal((struct str){(const char *)ours[1], sizeof(ours[1])}, digest);
	return given.n > 0 && (is_now || is_old);
}

static bool source_is_known(const struct worker *w, const struct str *sources, size_t len,
	const struct http_request *request)
{
	return len == 0 || peer_is_one_of(sources, len, peer_of(w->config, request));
}

/* The channel of a path /<kind>/<name>[/<secret>]...; NULL when the caller may not use it. */
static const struct channel *channel_of(struct worker *w, enum channel_kind kind,
	const struct http_request *request, struct str *path)
{
	static const struct channel nobody = {0};
	const struct channel *channel = config_channel(w->config, segment(path));
	bool is_right;

	if (channel == NULL || channel->kind != kind)
		channel = &nobody;
	is_right = channel != &nobody && channel->secret.n == 0;
	if (!is_right)
		is_right = secret_is_right(channel->secret, channel->secret_old, segment(path));
	if (!source_is_known(w, channel->sources, channel->sources_len, request))
		is_right = false;
	return is_right ? channel : NULL;
}

static enum http_verdict unauthorised(struct gateway *g, struct http_reply *reply)
{
	g->stats.unauthorised++;
	log_event(g->log, "warn", "unknown_path", STR(""), STR("unknown name or wrong secret"));
	return not_found(reply);
}

static enum http_verdict route_ussd(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct str rest, struct http_reply *reply)
{
	const struct channel *channel = channel_of(w, CHANNEL_USSD, &turn->request, &rest);
	const struct exchange x = {g, w, turn, NULL};

	return channel != NULL ? hop_ussd(&x, channel, rest, reply) : unauthorised(g, reply);
}

static enum http_verdict route_sms(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct str rest, struct http_reply *reply)
{
	const struct channel *channel = channel_of(w, CHANNEL_SMS, &turn->request, &rest);
	const struct exchange x = {g, w, turn, NULL};

	return channel != NULL ? hop_sms(&x, channel, rest, reply) : unauthorised(g, reply);
}

/* ---- delivery reports --------------------------------------------------------------------------
 */

/* Both live in the turn's arena, until the turn is answered. */
struct dlr {
	struct engine_event event;
	struct http_turn *turn;
};

/* 200 once it is durable; the gateway comes again for anything else. */
static void dlr_done(struct engine_event *event)
{
	const struct dlr *dlr = event->user;
	bool is_durable = event->outcome == ENGINE_DONE;
	struct http_reply reply = {.status = is_durable ? 200 : 503, .type = STR("text/plain")};

	http_in_answer(dlr->turn, &reply);
}

/* 'D', which no attempt's reference of sixteen has in front, and the row's id in hexadecimal. */
static bool is_dlr_ref(struct str ref)
{
	return ref.n == 17 && ref.p[0] == 'D';
}

static uint64_t outbox_id(struct str ref)
{
	uint64_t id = 0;

	for (size_t i = 1; i < ref.n; i++) {
		char c = ref.p[i];

		id = id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'A' + 10);
	}
	return id;
}

/* The token in the path names the row and is the authorisation: it cannot be guessed. */
static enum http_verdict route_dlr(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct str rest, struct http_reply *reply)
{
	const struct channel *channel = config_channel(w->config, segment(&rest));
	struct str token = segment(&rest), ref = {NULL, 0};
	struct sms_event report;
	struct dlr *dlr;
	struct err err = ERR_INIT;

	if (vault_ipn_verify(g->vault, token, &ref) != 0 || !is_dlr_ref(ref) || channel == NULL ||
		channel->kind != CHANNEL_SMS ||
		!source_is_known(w, channel->sources, channel->sources_len, &turn->request))
		return unauthorised(g, reply);
	if (dialect_sms_decode(w->dialects, channel->dialect, SMS_DLR, &turn->request, rest,
		    &turn->arena, &report, &err) != 0) {
		g->stats.malformed++;
		log_event(g->log, "warn", "malformed", channel->name, str_c(err.text));
		return plain(reply, 400, STR("malformed\n"));
	}
	dlr = arena_alloc(&turn->arena, sizeof(*dlr));
	if (dlr == NULL)
		return plain(reply, 503, STR("later\n"));
	dlr->turn = turn;
	dlr->event.kind = ENGINE_DLR;
	dlr->event.done = dlr_done;
	dlr->event.user = dlr;
	dlr->event.as.dlr = (struct engine_dlr){outbox_id(ref), channel->partner->id, report.state};
	g->stats.dlrs++;
	return engine_thread_post(g->engine, &dlr->event) == 0 ? HTTP_LATER
							       : plain(reply, 503, STR("later\n"));
}

/* ---- IPNs --------------------------------------------------------------------------------------
 */

static bool signature_is_right(const struct account *account, const struct http_request *request)
{
	struct str given = http_field_get(
		request->fields, request->fields_len, STR("X-EASYTRANSFERT-SIGNATURE"));

	if (account->signature_secret.n == 0)
		return true;
	return vault_hmac_sha256_ok(account->signature_secret, request->body, given) ||
	       (account->signature_secret_old.n > 0 &&
		       vault_hmac_sha256_ok(account->signature_secret_old, request->body, given));
}

/* Per-attempt secret, or the account's long random one (reliability 5.1). */
static bool path_is_right(struct gateway *g, const struct account *account, struct str token,
	struct str *path_ref_out)
{
	static const struct account nobody = {0};
	const struct account *who = account != NULL ? account : &nobody;
	bool is_token = vault_ipn_verify(g->vault, token, path_ref_out) == 0;
	bool is_secret = secret_is_right(who->ipn_secret, who->ipn_secret_old, token);

	if (account == NULL)
		return false;
	if (!account->profile->ref_in_path)
		*path_ref_out = (struct str){NULL, 0};
	return account->profile->ref_in_path ? is_token : is_secret;
}

static enum http_verdict route_ipn(struct gateway *g, struct worker *w, struct http_turn *turn,
	struct str rest, struct http_reply *reply)
{
	static const struct http_field later[] = {{STR_INIT("Retry-After"), STR_INIT("60")}};
	const struct account *account = config_account(w->config, segment(&rest));
	struct str token = segment(&rest), path_ref = {NULL, 0};
	bool is_right = path_is_right(g, account, token, &path_ref);
	struct turn_keep *keep;

	if (!is_right ||
		!source_is_known(w, account->sources, account->sources_len, &turn->request) ||
		!signature_is_right(account, &turn->request)) {
		g->stats.ipns_refused++;
		return unauthorised(g, reply);
	}
	if (!str_eq(turn->request.method, STR("POST")))
		return plain(reply, 405, STR("POST only\n"));
	/* The account must outlive the turn: the reference is given back in public_done. */
	keep = arena_alloc(&turn->arena, sizeof(*keep));
	if (keep == NULL)
		return plain(reply, 503, STR("later\n"));
	keep->config = config_ref(w->config);
	turn->user = keep;
	if (wire_ipn(g->wire, turn, account, path_ref, rest))
		return HTTP_LATER;
	(void)plain(reply, 503, STR("later\n"));
	reply->fields = later;
	reply->fields_len = 1;
	return HTTP_NOW;
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static const struct route {
	struct str prefix;
	route_fn handle;
} routes[] = {
	{STR_INIT("/ussd/"), route_ussd},
	{STR_INIT("/sms/"), route_sms},
	{STR_INIT("/dlr/"), route_dlr},
	{STR_INIT("/ipn/"), route_ipn},
};

/* After a reload each worker makes its states anew, between two hops of its own. */
static struct worker *worker_current(struct gateway *g, unsigned index)
{
	struct worker *w = &g->workers[index], fresh = {0};
	unsigned generation = atomic_load(&g->generation);
	const struct config *config;
	struct err err = ERR_INIT;

	if (g->workers_generation[index] == generation)
		return w;
	g->workers_generation[index] = generation;
	config = gateway_config(g);
	if (worker_make(&fresh, config, &err) == 0) {
		worker_free(w);
		*w = fresh;
	} else {
		worker_free(&fresh);
		log_event(g->log, "alarm", "reload", STR(""), str_c(err.text));
	}
	config_unref(&config);
	return w;
}

enum http_verdict public_handle(void *ctx, struct http_turn *turn, struct http_reply *reply)
{
	struct gateway *g = ctx;
	struct worker *w = worker_current(g, turn->worker);
	struct str path = turn->request.path;

	if (turn->user != NULL)
		return hop_continue(g, w, turn, reply);
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (str_has_prefix(path, routes[i].prefix))
			return routes[i].handle(
				g, w, turn, str_from(path, routes[i].prefix.n), reply);
	return not_found(reply);
}

void public_done(void *ctx, struct http_turn *turn, bool sent)
{
	struct gateway *g = ctx;
	struct turn_keep *keep = turn->user;

	CRASH_POINT("K10");
	(void)sent;
	if (keep == NULL)
		return;
	/* A hop takes itself out when it goes on: this one's peer has gone before. */
	if (keep->hop != NULL)
		hop_abandon(g, &g->workers[turn->worker], turn);
	else
		config_unref(&keep->config);
}
