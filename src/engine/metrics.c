/* The private face: Prometheus text, liveness and readiness. */
#include "gateway_priv.h"

static void gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %llu\n", name, help, name, name,
		(unsigned long long)value);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", name, help, name, name,
		(unsigned long long)value);
}

void metrics_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
	gauge(out, name, help, value);
}

void metrics_counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
	counter(out, name, help, value);
}

static void add_http(struct gateway *g, struct buf *out)
{
	struct http_in_stats s;

	http_in_stats(g->public_in, &s);
	counter(out, "tama_http_connections_total", "Connections accepted.", s.connections);
	gauge(out, "tama_http_connections_open", "Connections open now.", s.open);
	counter(out, "tama_http_requests_total", "Requests read whole.", s.requests);
	counter(out, "tama_http_refused_total", "Malformed requests.", s.refused);
	counter(out, "tama_http_too_slow_total", "Connections shut by the watchdog.", s.too_slow);
	counter(out, "tama_http_peer_full_total", "Connections beyond one address's share.",
		s.peer_full);
	gauge(out, "tama_http_suspended", "Requests that wait for a commit.", s.suspended);
}

static void add_hops(struct gateway *g, struct buf *out)
{
	struct gateway_stats *s = &g->stats;
	struct session_stats sessions;

	session_stats(g->sessions, &sessions);

	counter(out, "tama_hops_total", "USSD hops.", s->hops);
	counter(out, "tama_mo_total", "Messages from phones.", s->mos);
	counter(out, "tama_hops_repeated_total", "Hops answered again.", s->repeats);
	counter(out, "tama_hops_malformed_total", "Callbacks not of their format.", s->malformed);
	counter(out, "tama_hops_unknown_code_total", "Codes not configured.", s->unknown_code);
	counter(out, "tama_unauthorised_total", "Unknown names and wrong secrets.",
		s->unauthorised);
	counter(out, "tama_script_errors_total", "Menus or dialects that erred.", s->script_errors);
	counter(out, "tama_hops_busy_total", "Hops answered 'try again'.", s->busy);
	counter(out, "tama_hops_late_total", "Hops cancelled at their deadline.",
		s->late_cancelled);
	counter(out, "tama_hops_late_in_progress_total",
		"Hops told 'in progress' at their deadline.", s->late_in_progress);
	counter(out, "tama_hops_lost_total", "Hops of a session that is gone.", s->lost);
	gauge(out, "tama_sessions", "Sessions held.", sessions.sessions);
	counter(out, "tama_session_log_failures_total", "Session records not written.",
		sessions.log_failures);
}

/* At a glance: how much nobody knows about, and since when (reliability.md 5.6). */
static void add_doubts(const struct store_counts *c, struct buf *out)
{
	int64_t age_ms = c->doubt_since_ms > 0 ? clock_wall_ms() - c->doubt_since_ms : 0;

	buf_add_str(out,
		STR("# HELP tama_in_doubt Money of attempts UNKNOWN, REVIEW and CONTRADICTED, in "
		    "minor units.\n# TYPE tama_in_doubt gauge\n"));
	for (size_t i = 0; i < c->doubts_len; i++)
		buf_printf(out, "tama_in_doubt{currency=\"%s\"} %lld\n", c->doubts[i].currency,
			(long long)c->doubts[i].amount);
	gauge(out, "tama_in_doubt_oldest_seconds", "Since the oldest of them was made; 0: none.",
		age_ms > 0 ? (uint64_t)age_ms / 1000 : 0);
}

static void add_purchases(struct gateway *g, struct buf *out)
{
	struct engine_stats s;
	struct store_counts c;

	engine_thread_stats(g->engine, &s, &c);
	counter(out, "tama_commits_total", "Group commits.", s.commits);
	counter(out, "tama_purchases_total", "Purchases confirmed.", s.bought);
	counter(out, "tama_purchases_repeated_total", "Confirmations redelivered.", s.repeated);
	counter(out, "tama_purchases_again_total", "Repeats that were asked about.", s.asked_again);
	counter(out, "tama_purchases_spaced_total", "Refused by the spacing gate.", s.spaced);
	counter(out, "tama_purchases_no_float_total", "Refused for lack of float.", s.no_float);
	counter(out, "tama_observations_total", "Balances told by providers.", s.observations);
	counter(out, "tama_reconciliations_total", "Days compared with a provider.", s.reconciled);
	counter(out, "tama_findings_total", "What a provider's list has otherwise.", s.findings);
	counter(out, "tama_purchases_limited_total", "Refused by a limit of velocity.", s.limited);
	counter(out, "tama_attempts_sent_total", "Requests to providers.", s.sent);
	counter(out, "tama_attempts_resent_total", "Requests sent again under their id.", s.resent);
	counter(out, "tama_attempts_succeeded_total", "Legs proven done.", s.succeeded);
	counter(out, "tama_attempts_failed_total", "Legs proven refused.", s.failed);
	counter(out, "tama_attempts_not_sent_total", "Legs proven not sent.", s.not_sent);
	counter(out, "tama_attempts_unknown_total", "Times that nobody could say.", s.unknown);
	counter(out, "tama_attempts_expired_total", "Legs never sent.", s.expired);
	counter(out, "tama_ipn_total", "IPNs taken.", s.ipns);
	counter(out, "tama_ipn_duplicates_total", "IPNs seen before.", s.ipn_duplicates);
	counter(out, "tama_ipn_orphans_total", "IPNs for nothing we know.", s.orphans);
	counter(out, "tama_mismatches_total", "Answers not about their attempt.", s.mismatches);
	counter(out, "tama_contradictions_total", "Facts that disagree.", s.contradictions);
	counter(out, "tama_refunded_total", "Refunds proven done.", s.refunded);
	counter(out, "tama_paid_and_refunded_total", "Delivered, and the refund has left.",
		s.paid_and_refunded);
	counter(out, "tama_decisions_total", "Cases closed by persons.", s.decisions);
	counter(out, "tama_polls_total", "Status queries.", s.polls);
	counter(out, "tama_sms_total", "Messages taken by a gateway.", s.sms_sent);
	buf_add_str(out, STR("# HELP tama_attempts Attempts that wait, by state.\n"
			     "# TYPE tama_attempts gauge\n"));
	for (int i = ATTEMPT_READY; i < ATTEMPT_STATES; i++)
		if (attempt_is_open((enum attempt_state)i) || i == ATTEMPT_REVIEW)
			buf_printf(out, "tama_attempts{state=\"%s\"} %llu\n",
				attempt_state_name((enum attempt_state)i),
				(unsigned long long)c.attempts[i]);
	add_doubts(&c, out);
	gauge(out, "tama_accounts_held", "Holds that stand: accounts, or the whole node.",
		s.lanes_held);
	gauge(out, "tama_clock_off_ms", "Between the engine's clock and the wall clock.",
		(uint64_t)(s.clock_off_ms < 0 ? -s.clock_off_ms : s.clock_off_ms));
	gauge(out, "tama_accounts_stopped", "Accounts stopped by their circuit breaker.",
		s.lanes_stopped);
	gauge(out, "tama_disk_free_bytes", "Free where the data is.", atomic_load(&g->disk_free));
	gauge(out, "tama_inbox_parked", "Evidence that a person must look at.", c.parked);
	gauge(out, "tama_refund_due", "Purchases paid and not delivered.", c.refund_due);
	gauge(out, "tama_outbox", "What is still owed to the outside.", c.outbox_due);
	gauge(out, "tama_engine_queue", "Events that wait for the engine.",
		engine_thread_waiting(g->engine));
}

static const char *float_label(const struct engine_float *f)
{
	return str_has_prefix(str_c(f->name), STR("float:")) ? "agents" : "account";
}

static void float_gauge(struct buf *out, const char *name, const struct engine_float *f, int64_t n)
{
	buf_printf(out, "%s{%s=\"%s\"} %lld\n", name, float_label(f), f->name, (long long)n);
}

static void add_floats(struct gateway *g, struct buf *out)
{
	struct engine_float *floats = calloc(ENGINE_FLOATS_MAX, sizeof(*floats));
	size_t n = 0;

	if (floats != NULL)
		n = engine_thread_floats(g->engine, floats, ENGINE_FLOATS_MAX);
	buf_add_str(out, STR("# HELP tama_float What is left, as known now, in minor units.\n"
			     "# TYPE tama_float gauge\n"));
	for (size_t i = 0; i < n; i++)
		if (floats[i].is_known)
			float_gauge(out, "tama_float", &floats[i], floats[i].balance);
	buf_add_str(out, STR("# HELP tama_float_reserved What of it is promised already.\n"
			     "# TYPE tama_float_reserved gauge\n"));
	for (size_t i = 0; i < n; i++)
		float_gauge(out, "tama_float_reserved", &floats[i], floats[i].reserved);
	buf_add_str(out, STR("# HELP tama_float_seconds_left Until it runs out at the present "
			     "pace; absent: never.\n# TYPE tama_float_seconds_left gauge\n"));
	for (size_t i = 0; i < n; i++)
		if (floats[i].is_known && floats[i].seconds_left >= 0)
			float_gauge(
				out, "tama_float_seconds_left", &floats[i], floats[i].seconds_left);
	free(floats);
}

static void add_wire(struct gateway *g, struct buf *out)
{
	struct wire_stats s;

	wire_stats(g->wire, &s);
	counter(out, "tama_wire_money_requests_total", "Money requests.", s.money_requests);
	counter(out, "tama_wire_queries_total", "Status queries.", s.queries);
	counter(out, "tama_wire_sms_total", "Messages handed to gateways.", s.sms);
	counter(out, "tama_wire_logins_total", "Logins at providers.", s.logins);
}

static enum http_verdict metrics(
	struct gateway *g, struct http_turn *turn, struct http_reply *reply)
{
	struct buf out;

	buf_init(&out, 64 * 1024);
	add_http(g, &out);
	add_hops(g, &out);
	add_purchases(g, &out);
	add_floats(g, &out);
	add_wire(g, &out);
	admin_metrics(g, &out);
	log_metrics(g->log, &out);
	*reply = (struct http_reply){.status = 200,
		.type = STR("text/plain; version=0.0.4"),
		.body = arena_str(&turn->arena, buf_str(&out))};
	buf_fini(&out);
	return HTTP_NOW;
}

enum http_verdict admin_handle(void *ctx, struct http_turn *turn, struct http_reply *reply)
{
	struct gateway *g = ctx;
	struct str path = turn->request.path;
	bool is_ready = !atomic_load(&g->is_draining) && !gateway_is_dead(g);

	if (str_eq(path, STR("/metrics")))
		return metrics(g, turn, reply);
	*reply = (struct http_reply){.status = 200, .type = STR("text/plain"), .body = STR("ok\n")};
	if (str_eq(path, STR("/healthz")) && !gateway_is_dead(g))
		return HTTP_NOW;
	if (str_eq(path, STR("/readyz")) && is_ready)
		return HTTP_NOW;
	reply->status = str_eq(path, STR("/healthz")) || str_eq(path, STR("/readyz")) ? 503 : 404;
	reply->body = STR("no\n");
	return HTTP_NOW;
}
