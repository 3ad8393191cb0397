/* What is asked of a provider about an account: its balance, a page of its list. Nothing here moves
 * money, so connections are reused and a lost answer is simply asked for again. */
#include "wire_priv.h"

#include "tama/limits.h"

#include <time.h>

#define DAY_TEXT 12 /* "2026-11-22" */

/* A question under way. */
struct inquiry {
	struct wire *wire;
	struct job *job;
	const struct config *config; /* keeps terms.account alive */
	struct provider_terms terms;
	char from[DAY_TEXT], to[DAY_TEXT];
};

static enum provider_call call_of(const struct inquiry *q)
{
	return q->job->ask.call;
}

static struct engine_event *event_new(const struct inquiry *q)
{
	const struct wire_account *ask = &q->job->ask;
	struct engine_event *event = calloc(1, sizeof(*event));

	tama_assert(event != NULL);
	event->kind = ENGINE_ACCOUNT;
	event->done = wire_event_free;
	arena_init(&event->arena, LIMIT_REPLY_BYTES * 4);
	event->as.account = (struct engine_account){.partner = ask->partner,
		.account = arena_str(&event->arena, ask->account),
		.call = ask->call,
		.day = ask->day,
		.page = ask->page,
		.outcome = ACCOUNT_SILENT};
	return event;
}

/* Posts the answer and forgets the question. */
static void inquiry_end(struct inquiry *q, struct engine_event *event)
{
	struct wire *wire = q->wire;

	wire->world.post(wire->world.ctx, event);
	config_unref(&q->config);
	job_free(&q->job);
	free(q);
}

static void read_balance(
	struct inquiry *q, const struct http_out_result *result, struct engine_event *event)
{
	struct facts facts = {.is_valid = false};
	struct err err = ERR_INIT;

	if (dialect_provider_reply(q->wire->host, PROVIDER_BALANCE, &q->terms,
		    result->transfer.status, result->body, &event->arena, &facts, &err) != 0)
		q->wire->world.alarm(
			q->wire->world.ctx, "dialect", q->terms.account->name, err.text);
	if (!facts.is_valid || facts.amount.n == 0)
		return;
	event->as.account.outcome = ACCOUNT_TOLD;
	event->as.account.amount = facts.amount;
	event->as.account.currency = facts.currency;
}

static void read_list(
	struct inquiry *q, const struct http_out_result *result, struct engine_event *event)
{
	struct facts *rows = arena_alloc(&event->arena, sizeof(*rows) * LIMIT_LIST_ROWS);
	struct err err = ERR_INIT;
	int n = rows == NULL
			? TAMA_ENOMEM
			: dialect_provider_rows(q->wire->host, &q->terms, result->transfer.status,
				  result->body, &event->arena, rows, LIMIT_LIST_ROWS, &err);

	if (n < 0) {
		q->wire->world.alarm(
			q->wire->world.ctx, "dialect", q->terms.account->name, err.text);
		return;
	}
	event->as.account.outcome = ACCOUNT_TOLD;
	event->as.account.rows = rows;
	event->as.account.rows_len = (size_t)n;
}

static void inquiry_done(void *ctx, const struct http_out_result *result)
{
	struct inquiry *q = ctx;
	struct engine_event *event = event_new(q);

	if (result->transfer.status == 401)
		token_forget(q->wire, q->terms.account->name);
	if (result->transfer.end == TRANSFER_COMPLETE && result->transfer.status / 100 == 2) {
		if (call_of(q) == PROVIDER_LIST)
			read_list(q, result, event);
		else
			read_balance(q, result, event);
	}
	/* Not 403, which may mean this call alone: queries would stop with it. */
	if (result->transfer.end == TRANSFER_COMPLETE && result->transfer.status == 429)
		event->as.account.outcome = ACCOUNT_REFUSED;
	inquiry_end(q, event);
}

static bool mark_value(void *ctx, struct str name, struct str *value_out)
{
	const struct inquiry *q = ctx;
	const struct account *account = q->terms.account;

	if (str_eq(name, STR("token"))) {
		*value_out = token_of(q->wire, account->name);
		return value_out->n > 0;
	}
	return marks_configured(account->fields, account->fields_len, name, value_out);
}

static struct str day_text(int64_t day, char out[static DAY_TEXT])
{
	time_t at = (time_t)(day * 86400);
	struct tm t;

	tama_assert(gmtime_r(&at, &t) != NULL);
	(void)strftime(out, DAY_TEXT, "%Y-%m-%d", &t);
	return str_c(out);
}

/* A day more at either side: the list's own zone is not known (xente.md 2.4). */
static void fill_terms(struct inquiry *q, const struct account *account)
{
	const struct wire_account *ask = &q->job->ask;

	q->terms = (struct provider_terms){.account = account};
	if (ask->call != PROVIDER_LIST)
		return;
	q->terms.page = (struct provider_page){.number = ask->page,
		.from = day_text(ask->day - 1, q->from),
		.to = day_text(ask->day + 1, q->to),
		.listed = str_c(account->profile->list_word)};
}

/* 0; TAMA_ENOTFOUND when this provider has no such call; else it cannot be asked now. */
static int inquiry_send(struct inquiry *q)
{
	struct http_call call, filled;
	struct http_out_request request = {.call = &filled,
		.private_nets = q->terms.account->private_nets,
		.done = inquiry_done,
		.ctx = q};
	struct err err = ERR_INIT;
	struct arena arena;
	int rc;

	arena_init(&arena, LIMIT_TURN_BYTES);
	rc = dialect_provider_request(q->wire->host, call_of(q), &q->terms, &arena, &call, &err);
	if (rc == 0 && marks_fill(&call, mark_value, q, &arena, &filled) != 0)
		rc = TAMA_EFULL;
	if (rc == 0 && http_out_submit(q->wire->out, &request) != 0)
		rc = TAMA_EFULL;
	arena_fini(&arena);
	return rc;
}

void job_account(struct wire *wire, struct job *job)
{
	const struct account *account = config_account(wire->config, job->ask.account);
	struct engine_event *event;
	struct inquiry *q;
	int rc;

	if (account == NULL || account->partner->id != job->ask.partner) {
		job_free(&job);
		return;
	}
	if (!token_ready(wire, account, job))
		return;
	q = calloc(1, sizeof(*q));
	tama_assert(q != NULL);
	q->wire = wire;
	q->job = job;
	q->config = config_ref(wire->config);
	fill_terms(q, account);
	wire->queries++;
	rc = inquiry_send(q);
	if (rc == 0)
		return;
	event = event_new(q);
	if (rc == TAMA_ENOTFOUND)
		event->as.account.outcome = ACCOUNT_CANNOT;
	inquiry_end(q, event);
}

bool wire_ask_account(void *wire, const struct wire_account *ask)
{
	struct job *job = job_new(JOB_ACCOUNT);

	job->ask = *ask;
	job->ask.account = arena_str(&job->arena, ask->account);
	return job_push(wire, job);
}
