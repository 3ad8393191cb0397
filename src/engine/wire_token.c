/* Logins: one at a time an account; requests that need the token wait for it. */
#include "wire_priv.h"

#include <sodium.h>

#define TOKEN_RETRY_MAX_MS (5 * 60 * 1000)
#define TOKEN_EARLY_MS 60000 /* renewed so long before it ends */

struct login {
	struct wire *wire;
	const struct config *config;
	const struct account *account;
	struct token *token;
};

static struct token *find(struct wire *wire, struct str account)
{
	struct token *t = wire->tokens;
	char *name;

	while (t != NULL && !str_eq(t->account, account))
		t = t->next;
	if (t != NULL)
		return t;
	t = calloc(1, sizeof(*t));
	name = strndup(account.p, account.n);
	tama_assert(t != NULL && name != NULL);
	t->account = str_c(name);
	t->next = wire->tokens;
	wire->tokens = t;
	return t;
}

static void token_wipe(struct token *t)
{
	sodium_free(t->text);
	t->text = NULL;
	t->until_boot_ms = 0;
}

struct str token_of(struct wire *wire, struct str account)
{
	return str_c(find(wire, account)->text);
}

/* F-D25: one login more at once, then ever later ones: a provider locks out who insists. */
static void note_failure(struct token *t)
{
	int64_t wait_ms = t->failures > 8 ? TOKEN_RETRY_MAX_MS : INT64_C(1000) << t->failures;

	t->retry_boot_ms = t->failures++ == 0 ? 0 : clock_boot_ms() + wait_ms;
}

void token_forget(struct wire *wire, struct str account)
{
	struct token *t = find(wire, account);

	/* Of several requests that were refused with one token, the first has forgotten it. */
	if (t->text == NULL)
		return;
	if (clock_boot_ms() - t->made_boot_ms < TOKEN_EARLY_MS)
		note_failure(t);
	else
		t->failures = 0;
	token_wipe(t);
}

/* Whoever waited goes on: with the token, or to be told "later" by its own look at it. */
static void release_waiting(struct wire *wire, struct token *t)
{
	struct job *job = t->waiting;

	t->waiting = NULL;
	while (job != NULL) {
		struct job *next = job->next_waiting;

		job->next_waiting = NULL;
		job->has_waited = true;
		queue_push_always(wire->jobs, &job->item);
		job = next;
	}
}

static void take_token(struct login *login, const struct http_out_result *result)
{
	struct provider_token token;
	struct arena arena;
	struct token *t = login->token;

	arena_init(&arena, 64 * 1024);
	if (result->transfer.end == TRANSFER_COMPLETE &&
		dialect_provider_token(login->wire->host, login->account, result->transfer.status,
			result->body, &arena, &token, NULL) == 0 &&
		token.token.n > 0) {
		token_wipe(t);
		t->text = sodium_malloc(token.token.n + 1);
		tama_assert(t->text != NULL);
		memcpy(t->text, token.token.p, token.token.n);
		t->text[token.token.n] = '\0';
		t->until_boot_ms =
			clock_boot_ms() + (int64_t)token.expires_s * 1000 - TOKEN_EARLY_MS;
		t->made_boot_ms = clock_boot_ms();
	} else {
		note_failure(t);
		login->wire->world.alarm(login->wire->world.ctx, "login_failed",
			login->account->name, result->reason);
	}
	arena_fini(&arena);
}

static void login_done(void *ctx, const struct http_out_result *result)
{
	struct login *login = ctx;

	login->token->is_logging_in = false;
	take_token(login, result);
	release_waiting(login->wire, login->token);
	config_unref(&login->config);
	free(login);
}

static bool mark_value(void *ctx, struct str name, struct str *value_out)
{
	const struct account *account = ctx;

	return marks_configured(account->fields, account->fields_len, name, value_out);
}

static int login_begin(struct wire *wire, const struct account *account, struct token *t)
{
	struct login *login = calloc(1, sizeof(*login));
	struct http_call call, filled;
	struct http_out_request request = {.call = &filled,
		.private_nets = account->private_nets,
		.done = login_done,
		.ctx = login};
	struct arena arena;
	int rc;

	tama_assert(login != NULL);
	*login = (struct login){wire, config_ref(wire->config), account, t};
	arena_init(&arena, 64 * 1024);
	rc = dialect_provider_login(wire->host, account, &arena, &call, NULL);
	if (rc == 0)
		rc = marks_fill(&call, mark_value, (void *)(uintptr_t)account, &arena, &filled);
	if (rc == 0)
		rc = http_out_submit(wire->out, &request);
	arena_fini(&arena);
	if (rc != 0) {
		config_unref(&login->config);
		free(login);
		return rc;
	}
	wire->logins++;
	t->is_logging_in = true;
	return 0;
}

bool token_ready(struct wire *wire, const struct account *account, struct job *job)
{
	struct token *t = find(wire, account->name);
	int rc = 0;

	if (t->text != NULL && clock_boot_ms() < t->until_boot_ms)
		return true;
	if (job->has_waited || clock_boot_ms() < t->retry_boot_ms)
		return true; /* for a login that failed: let it find no token */
	if (!t->is_logging_in)
		rc = login_begin(wire, account, t);
	if (rc != 0)
		return true; /* no login in this dialect, or it cannot be said now */
	job->next_waiting = t->waiting;
	t->waiting = job;
	return false;
}

void tokens_free(struct wire *wire)
{
	struct token *t, *next;

	for (t = wire->tokens; t != NULL; t = next) {
		next = t->next;
		while (t->waiting != NULL) {
			struct job *job = t->waiting;

			t->waiting = job->next_waiting;
			job_free(&job);
		}
		token_wipe(t);
		free((char *)(uintptr_t)t->account.p);
		free(t);
	}
	wire->tokens = NULL;
}
