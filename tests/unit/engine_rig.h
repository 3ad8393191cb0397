/*
 * An engine in a scripted world: each effect is written down, each answer is given by the test, and
 * after every step all invariants are asked of the store. Events are freed by their `done`, as in
 * production, so that the sanitizer sees whoever still leans on one.
 */
#ifndef TAMA_ENGINE_RIG_H
#define TAMA_ENGINE_RIG_H

#include "../../src/engine/engine_priv.h"
#include "engine_fixture.h"

#define SAID_MAX 4096
#define MOOV "2250101020304"
#define MOOV2 "2250101020305"
#define MTN "2250501020304"
#define UG "256771234567"

enum said_kind {
	SAID_PREPARE = 1,
	SAID_GO,
	SAID_DROP,
	SAID_QUERY,
	SAID_SMS,
	SAID_ALARM,
	SAID_ACCOUNT, /* text: account, "balance" or "list PAGE"; id: the day */
};

struct said {
	enum said_kind kind;
	uint64_t id; /* attempt or outbox row */
	uint32_t partner, epoch;
	int64_t boot_ms;
	bool in_commit; /* spoken while a transaction was open: never right */
	char text[200]; /* SMS: "channel to text"; alarm: what; request: its fields */
};

struct rig {
	struct fx_store fx;
	struct engine *engine;
	struct arena arena;
	int64_t now_ms;
	int64_t wall_off_ms; /* somebody set the wall clock */
	uint64_t chance;
	struct said said[SAID_MAX];
	size_t said_len;
	bool is_lax; /* invariants are the test's own business */
	bool gateway_is_silent; /* messages are not taken at once */
	bool sends_nothing; /* the next life's world */
	/* the last step */
	struct engine_event *first, **last;
	enum engine_outcome outcome; /* of the last event done */
	uint64_t purchase;
	int64_t until_ms;
	char reply[64], ref[32];
	uint64_t decision;
	char reason[128], proposed_by[32];
	int64_t wait_ms;
	unsigned done;
	/* the store in front of the store */
	struct store_ops ops;
	const struct store_ops *real;
	int commit_answers; /* 0: the real one */
	bool commit_happens; /* although it answers that */
	bool fail_hop; /* hop_insert answers TAMA_EINVAL */
	int fail_verb; /* the attempt_get counted down to answers TAMA_EINVAL; 0: none */
};

static struct rig *rig_of_store; /* cmocka runs one test at a time */

static inline int rig_commit(struct store *store, struct err *err)
{
	struct rig *r = rig_of_store;
	int answer = r->commit_answers;

	if (answer == 0)
		return r->real->commit(store, err);
	if (r->commit_happens)
		assert_int_equal(r->real->commit(store, err), 0);
	else
		r->real->rollback(store);
	return answer;
}

static inline int rig_hop_insert(struct store *store, const struct hop_row *row)
{
	struct rig *r = rig_of_store;

	return r->fail_hop ? TAMA_EINVAL : r->real->hop_insert(store, row);
}

static inline int rig_attempt_get(struct store *store, uint32_t partner, uint64_t id,
	struct arena *arena, struct attempt_row *out)
{
	struct rig *r = rig_of_store;

	if (r->fail_verb > 0 && --r->fail_verb == 0)
		return TAMA_EINVAL;
	return r->real->attempt_get(store, partner, id, arena, out);
}

static inline void rig_done(struct engine_event *event)
{
	struct rig *r = event->user;
	struct engine_buy *buy = &event->as.buy;

	if (event->kind != ENGINE_SMS_RESULT) {
		r->outcome = event->outcome;
		r->done++;
	}
	if (event->kind == ENGINE_BUY) {
		r->purchase = buy->purchase;
		r->until_ms = buy->until_ms;
		(void)snprintf(r->reply, sizeof(r->reply), "%.*s", STR_ARG(buy->repeat_reply));
		(void)snprintf(r->ref, sizeof(r->ref), "%.*s", STR_ARG(buy->repeat_ref));
	}
	if (event->kind == ENGINE_DECISION) {
		const struct engine_decision *d = &event->as.decision;

		r->decision = d->decision;
		(void)snprintf(r->reason, sizeof(r->reason), "%s",
			event->outcome == ENGINE_NOT_DECIDABLE ? d->reason : "");
		(void)snprintf(
			r->proposed_by, sizeof(r->proposed_by), "%.*s", STR_ARG(d->proposed_by));
	}
	arena_fini(&event->arena);
	free(event);
}

static inline struct engine_event *rig_event(struct rig *r, enum engine_event_kind kind)
{
	struct engine_event *event = calloc(1, sizeof(*event));

	assert_non_null(event);
	event->kind = kind;
	event->user = r;
	event->done = rig_done;
	arena_init(&event->arena, 1 << 20);
	*r->last = event;
	r->last = &event->next;
	return event;
}

/* ---- the world ---------------------------------------------------------------------------------
 */

static inline struct said *rig_said(void *ctx, enum said_kind kind, uint64_t id)
{
	struct rig *r = ctx;
	struct said *said = &r->said[r->said_len++];

	assert_true(r->said_len < SAID_MAX);
	*said = (struct said){.kind = kind, .id = id};
	said->in_commit = sqlite_store_of(r->fx.store)->db.in_transaction;
	return said;
}

static inline int64_t rig_wall(void *ctx)
{
	return ((struct rig *)ctx)->now_ms + ((struct rig *)ctx)->wall_off_ms;
}

static inline int64_t rig_boot(void *ctx)
{
	return ((struct rig *)ctx)->now_ms - FX_EPOCH;
}

static inline void rig_random(void *ctx, void *bytes, size_t n)
{
	struct rig *r = ctx;
	unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) {
		r->chance = r->chance * UINT64_C(6364136223846793005) + 1442695040888963407;
		p[i] = (unsigned char)(r->chance >> 56);
	}
}

static inline void rig_note(struct said *said, const struct wire_attempt *a)
{
	said->partner = a->partner;
	said->epoch = a->epoch;
	(void)snprintf(said->text, sizeof(said->text), "%.*s %.*s %.*s %.*s %lld %.*s",
		STR_ARG(a->account), STR_ARG(a->verb), STR_ARG(a->service), STR_ARG(a->number),
		(long long)a->amount, STR_ARG(a->currency));
}

static inline bool rig_prepare(void *ctx, const struct wire_attempt *a)
{
	rig_note(rig_said(ctx, SAID_PREPARE, a->attempt), a);
	return true;
}

static inline bool rig_go(
	void *ctx, uint32_t partner, uint64_t attempt, uint32_t epoch, int64_t boot_ms)
{
	struct said *said = rig_said(ctx, SAID_GO, attempt);

	said->epoch = epoch;
	said->boot_ms = boot_ms;
	return true;
}

static inline void rig_drop(void *ctx, uint64_t attempt, uint32_t epoch)
{
	rig_said(ctx, SAID_DROP, attempt)->epoch = epoch;
}

static inline bool rig_query(void *ctx, const struct wire_attempt *a)
{
	rig_note(rig_said(ctx, SAID_QUERY, a->attempt), a);
	return true;
}

static inline bool rig_sms(void *ctx, const struct wire_sms *sms)
{
	struct said *said = rig_said(ctx, SAID_SMS, sms->outbox);
	struct rig *r = ctx;

	said->partner = sms->partner;
	(void)snprintf(said->text, sizeof(said->text), "%.*s %.*s %.*s", STR_ARG(sms->channel),
		STR_ARG(sms->to), STR_ARG(sms->text));
	if (!r->gateway_is_silent)
		rig_event(r, ENGINE_SMS_RESULT)->as.sms =
			(struct engine_sms_result){sms->outbox, sms->partner, SMS_SENT};
	return true;
}

static inline void rig_alarm(void *ctx, const char *what, struct str ref, const char *detail)
{
	struct said *said = rig_said(ctx, SAID_ALARM, 0);

	(void)snprintf(said->text, sizeof(said->text), "%s", what);
	said->in_commit = false; /* the one about the commit itself comes from within */
}

static inline bool rig_ask_account(void *ctx, const struct wire_account *ask)
{
	struct said *said = rig_said(ctx, SAID_ACCOUNT, (uint64_t)ask->day);

	said->partner = ask->partner;
	(void)snprintf(said->text, sizeof(said->text), "%.*s %s %u", STR_ARG(ask->account),
		ask->call == PROVIDER_BALANCE ? "balance" : "list", ask->page);
	return true;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static inline void rig_boot_engine(struct rig *r)
{
	const struct engine_world world = {r, rig_wall, rig_boot, rig_random, rig_prepare, rig_go,
		rig_drop, rig_query, rig_sms, rig_alarm, rig_ask_account, r->sends_nothing};

	assert_int_equal(engine_new(&world, r->fx.store, r->fx.config, &r->engine, NULL), 0);
}

static inline int rig_open(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	fx_load(&r->fx);
	fx_open_memory(&r->fx);
	arena_init(&r->arena, 1 << 20);
	r->now_ms = FX_EPOCH;
	r->last = &r->first;
	r->real = r->fx.store->ops;
	r->ops = *r->real;
	r->ops.commit = rig_commit;
	r->ops.attempt_get = rig_attempt_get;
	r->ops.hop_insert = rig_hop_insert;
	r->fx.store->ops = &r->ops;
	rig_of_store = r;
	rig_boot_engine(r);
	*state = r;
	return 0;
}

static inline int rig_close(void **state)
{
	struct rig *r = *state;

	while (r->first != NULL) {
		struct engine_event *event = r->first;

		r->first = event->next;
		rig_done(event);
	}
	engine_free(&r->engine);
	r->fx.store->ops = r->real;
	fx_close_memory(&r->fx);
	fx_unload(&r->fx);
	arena_fini(&r->arena);
	free(r);
	return 0;
}

/* The process dies and a new one takes over the store. */
static inline void rig_crash(struct rig *r)
{
	engine_free(&r->engine);
	fx_raise_incarnation(&r->fx);
	rig_boot_engine(r);
}

/* Persons have looked: every hold is released, and a new life finds none. */
static inline void rig_release_holds(struct rig *r)
{
	struct hold_row rows[8];
	struct err err = ERR_INIT;
	int n;

	arena_reset(&r->arena);
	n = r->real->hold_list(r->fx.store, &r->arena, rows, ROWS(rows));
	assert_int_equal(r->real->begin(r->fx.store, &err), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(
			r->real->hold_release(r->fx.store, rows[i].partner, rows[i].id, r->now_ms),
			0);
	assert_int_equal(r->real->commit(r->fx.store, &err), 0);
	rig_crash(r);
}

/* What a table of many doubts is not about: breaker and holds begin anew. */
static inline void rig_calm_lanes(struct rig *r)
{
	if (r->engine->holds_len > 0)
		rig_release_holds(r);
	for (size_t i = 0; i < r->engine->lanes_len; i++) {
		memset(r->engine->lanes[i].last, 0, sizeof(r->engine->lanes[i].last));
		r->engine->lanes[i].is_stopped = false;
	}
}

/* ---- events ------------------------------------------------------------------------------------
 */

static inline void rig_step(struct rig *r)
{
	struct engine_event *events = r->first;
	size_t from = r->said_len;

	r->first = NULL;
	r->last = &r->first;
	r->done = 0;
	r->wait_ms = engine_step(r->engine, events);
	for (size_t i = from; i < r->said_len; i++)
		assert_false(r->said[i].in_commit);
	if (!r->is_lax) {
		const char *broken = fx_broken(&r->fx, 0);

		if (broken != NULL)
			fail_msg("%s", broken);
	}
}

/* Lets time pass, stepping whenever the engine asked for it. */
static inline void rig_wait(struct rig *r, int64_t ms)
{
	int64_t until_ms = r->now_ms + ms;

	rig_step(r);
	for (int i = 0; i < 20000 && r->now_ms < until_ms; i++) {
		int64_t next_ms = r->now_ms + (r->wait_ms > 0 ? r->wait_ms : 1);

		r->now_ms = next_ms < until_ms ? next_ms : until_ms;
		rig_step(r);
	}
	assert_true(r->now_ms == until_ms);
}

static inline struct engine_buy *rig_post_buy(
	struct rig *r, const char *offer, const char *payer, const char *to, uint64_t uid)
{
	struct engine_event *event = rig_event(r, ENGINE_BUY);
	struct engine_buy *buy = &event->as.buy;
	struct buy_intent *intent = arena_alloc(&event->arena, sizeof(*intent));

	*intent = fx_intent(r->fx.config, offer, payer, to);
	intent->ref = arena_printf(&event->arena, "R%07llu", (unsigned long long)uid);
	buy->partner = intent->offer->partner->id;
	buy->ordinal = 1;
	buy->channel = STR("ussd");
	buy->lang = STR("fr");
	buy->intent = intent;
	buy->hop_reply = arena_printf(&event->arena, "reply to %llu", (unsigned long long)uid);
	memcpy(buy->uid, &uid, sizeof(uid));
	return buy;
}

static inline enum engine_outcome rig_buy(
	struct rig *r, const char *offer, const char *payer, const char *to, uint64_t uid)
{
	(void)rig_post_buy(r, offer, payer, to, uid);
	rig_step(r);
	return r->outcome;
}

/* The newest attempt of the purchase bought last, or of its leg. Lives until the next call. */
static inline struct attempt_row rig_attempt(struct rig *r, enum leg_kind leg)
{
	struct attempt_row rows[80];
	struct attempt_row found = {0};
	uint32_t partner = (uint32_t)fx_sql(
		r->fx.store, "SELECT partner FROM purchase WHERE id = ?1", r->purchase);
	int n;

	arena_reset(&r->arena);
	n = r->real->attempt_list(r->fx.store, partner, r->purchase, &r->arena, rows, ROWS(rows));
	assert_true(n >= 0);
	for (int i = 0; i < n; i++)
		if (leg == 0 || rows[i].leg == leg)
			found = rows[i];
	return found;
}

static inline enum purchase_state rig_purchase_state(struct rig *r)
{
	return (enum purchase_state)fx_sql(
		r->fx.store, "SELECT state FROM purchase WHERE id = ?1", r->purchase);
}

static inline struct engine_prepared *rig_post_prepared(
	struct rig *r, const struct attempt_row *a, int outcome)
{
	struct engine_prepared *p = &rig_event(r, ENGINE_PREPARED)->as.prepared;

	p->attempt = a->id;
	p->partner = a->partner;
	p->epoch = a->epoch + 1;
	p->outcome = outcome;
	p->body_hash[0] = 0xAB;
	return p;
}

/* The newest attempt goes out. */
static inline struct attempt_row rig_send(struct rig *r)
{
	struct attempt_row a = rig_attempt(r, 0);

	(void)rig_post_prepared(r, &a, PREPARED_OK);
	rig_step(r);
	a = rig_attempt(r, 0);
	assert_int_equal(a.state, ATTEMPT_SENDING);
	return a;
}

/* Facts that match the attempt in all a provider of its kind tells. */
static inline struct facts rig_facts(
	struct arena *arena, const struct attempt_row *a, const char *word, const char *id)
{
	bool is_xente = str_eq(a->account, STR("xente-ug"));
	struct facts facts = {
		.word = arena_str(arena, str_c(word)),
		.id = arena_str(arena, str_c(id)),
		.amount = arena_printf(arena, "%lld", (long long)a->amount),
		.our_ref = is_xente ? arena_str(arena, a->our_ref) : (struct str){NULL, 0},
		.is_valid = true,
	};

	if (!is_xente) {
		facts.number = arena_str(arena, a->number);
		facts.service = arena_str(arena, a->service);
	}
	return facts;
}

static inline struct engine_result *rig_post_result(struct rig *r, const struct attempt_row *a,
	enum provider_call call, const char *word, const char *id)
{
	struct engine_event *event = rig_event(r, ENGINE_RESULT);
	struct engine_result *result = &event->as.result;

	result->attempt = a->id;
	result->partner = a->partner;
	result->epoch = a->epoch;
	result->call = call;
	result->transfer = (struct transfer){TRANSFER_COMPLETE, 100, 200};
	result->raw = arena_str(&event->arena, STR("{\"raw\":1}"));
	if (word != NULL)
		result->facts = rig_facts(&event->arena, a, word, id);
	return result;
}

static inline void rig_reply(
	struct rig *r, const struct attempt_row *a, const char *word, const char *id)
{
	(void)rig_post_result(r, a, PROVIDER_SUBMIT, word, id);
	rig_step(r);
}

/* A transfer without a whole response. */
static inline void rig_broken(
	struct rig *r, const struct attempt_row *a, enum transfer_end end, uint64_t sent)
{
	struct engine_result *result = rig_post_result(r, a, PROVIDER_SUBMIT, NULL, NULL);

	result->transfer = (struct transfer){end, sent, 0};
	rig_step(r);
}

static inline struct engine_ipn *rig_post_ipn(
	struct rig *r, const struct attempt_row *a, const char *word, const char *id)
{
	struct engine_event *event = rig_event(r, ENGINE_IPN);
	struct engine_ipn *ipn = &event->as.ipn;

	ipn->account = config_account(r->fx.config, a->account);
	ipn->facts = rig_facts(&event->arena, a, word, id);
	if (ipn->account->profile->ref_in_path)
		ipn->path_ref = arena_str(&event->arena, a->our_ref);
	ipn->raw = arena_printf(&event->arena, "{\"%s\":\"%s\"}", word, id);
	return ipn;
}

static inline enum engine_outcome rig_ipn(
	struct rig *r, const struct attempt_row *a, const char *word, const char *id)
{
	(void)rig_post_ipn(r, a, word, id);
	rig_step(r);
	return r->outcome;
}

/* A person of partner one decides. */
static inline enum engine_outcome rig_decide(
	struct rig *r, enum decision_kind kind, uint64_t subject, const char *user)
{
	struct engine_decision *d = &rig_event(r, ENGINE_DECISION)->as.decision;

	d->partner = 1;
	d->kind = kind;
	d->subject = subject;
	d->user = str_c(user);
	d->proof = STR("the provider's statement, line 7");
	rig_step(r);
	return r->outcome;
}

/* Two of them. */
static inline enum engine_outcome rig_decide_both(
	struct rig *r, enum decision_kind kind, uint64_t subject)
{
	assert_int_equal(rig_decide(r, kind, subject, "awa"), ENGINE_PROPOSED);
	return rig_decide(r, kind, subject, "koffi");
}

/* ---- looking back ------------------------------------------------------------------------------
 */

/* How often the engine said this; text NULL: whatever it was. */
static inline unsigned rig_count(const struct rig *r, enum said_kind kind, const char *text)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->said_len; i++)
		n += r->said[i].kind == kind &&
		     (text == NULL || strstr(r->said[i].text, text) != NULL);
	return n;
}

static inline void rig_forget(struct rig *r)
{
	r->said_len = 0;
}

static inline unsigned rig_verdicts(struct rig *r, enum inbox_verdict verdict)
{
	return (unsigned)fx_sql(
		r->fx.store, "SELECT count(*) FROM inbox WHERE verdict = ?1", (uint64_t)verdict);
}

static inline struct engine_stats rig_stats(const struct rig *r)
{
	struct engine_stats stats;

	engine_stats(r->engine, &stats);
	return stats;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

#endif
