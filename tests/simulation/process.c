/* The process: the engine on its store, how a step ends, how it dies and comes back. */
#include "sim.h"

#include "../../src/store/sqlite_priv.h"

#include <unistd.h>

static struct sim *sim_of_store; /* one world at a time */

sqlite3 *sim_handle(const struct sim *s)
{
	return sqlite_store_of(s->store)->db.handle;
}

/* ---- the simulator's own look at the store ----------------------------------------------------
 */

static const char *const texts[SIM_STATEMENTS] = {
	[SQL_ATTEMPT] = "SELECT a.purchase, a.leg, p.ref FROM attempt a JOIN purchase p"
			" ON p.id = a.purchase WHERE a.id = ?1",
	[SQL_PURCHASE] =
		"SELECT partner, state, has_collect, has_deliver, price, cost, collect_fee,"
		" currency, substr(ref, 2) FROM purchase WHERE id = ?1",
	[SQL_ATTEMPTS] = "SELECT id, leg, n, state, amount, partner FROM attempt"
			 " WHERE purchase = ?1 ORDER BY leg, n",
	[SQL_EVENTS] = "SELECT seq, partner, coalesce(attempt, 0), from_state, to_state,"
		       " coalesce(evidence, 0), incarnation, at_ms, cause, hash FROM event"
		       " WHERE purchase = ?1 ORDER BY seq",
	[SQL_LEDGER] = "SELECT posting, line, coalesce(attempt, 0), book, debit, currency FROM"
		       " ledger WHERE purchase = ?1 ORDER BY posting, line",
	[SQL_OUTBOX] = "SELECT kind, coalesce(attempt, 0), seq, is_done FROM outbox"
		       " WHERE purchase = ?1",
	[SQL_OUTBOX_PURCHASE] = "SELECT purchase FROM outbox WHERE id = ?1",
	[SQL_CLAIMED] = "SELECT count(*) FROM attempt a JOIN event e ON e.purchase = a.purchase AND"
			" e.attempt = a.id AND e.to_state = 2 WHERE a.id = ?1 AND a.state > 1",
};

sqlite3_stmt *sim_sql(struct sim *s, enum sim_statement which, uint64_t id)
{
	sqlite3_stmt **stmt = &s->sql[which];

	if (*stmt == NULL &&
		sqlite3_prepare_v2(sim_handle(s), texts[which], -1, stmt, NULL) != SQLITE_OK) {
		(void)fprintf(stderr, "%s: %s\n", texts[which], sqlite3_errmsg(sim_handle(s)));
		abort();
	}
	(void)sqlite3_bind_int64(*stmt, 1, (int64_t)id);
	return *stmt;
}

static uint32_t *slot(struct sim *s, uint64_t attempt)
{
	size_t mask = s->sent_index_cap - 1;
	size_t at = (size_t)((attempt * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & mask;

	while (s->sent_index[at] != 0 && s->sent[s->sent_index[at] - 1].attempt != attempt)
		at = (at + 1) & mask;
	return &s->sent_index[at];
}

static void index_grow(struct sim *s)
{
	if (s->sent_len * 2 < s->sent_index_cap)
		return;
	s->sent_index_cap = s->sent_index_cap == 0 ? 1024 : s->sent_index_cap * 2;
	free(s->sent_index);
	s->sent_index = calloc(s->sent_index_cap, sizeof(*s->sent_index));
	tama_assert(s->sent_index != NULL);
	for (size_t i = 0; i < s->sent_len; i++)
		*slot(s, s->sent[i].attempt) = (uint32_t)i + 1;
}

size_t sim_sent(struct sim *s, uint64_t attempt)
{
	sqlite3_stmt *row;
	uint32_t *at;
	struct sent *sent;

	index_grow(s);
	at = slot(s, attempt);
	if (*at != 0)
		return *at - 1;
	s->sent = sim_grow(s->sent, s->sent_len, &s->sent_cap, sizeof(*s->sent));
	sent = &s->sent[s->sent_len];
	*sent = (struct sent){.attempt = attempt};
	row = sim_sql(s, SQL_ATTEMPT, attempt);
	if (sqlite3_step(row) == SQLITE_ROW) {
		sent->purchase = (uint64_t)sqlite3_column_int64(row, 0);
		sent->leg = sqlite3_column_int(row, 1);
		sent->press =
			(uint32_t)strtoul((const char *)sqlite3_column_text(row, 2) + 1, NULL, 10);
	}
	(void)sqlite3_reset(row);
	*at = (uint32_t)++s->sent_len;
	return s->sent_len - 1;
}

struct sent *sim_sent_of(struct sim *s, uint64_t attempt)
{
	size_t at = sim_sent(s, attempt);

	return &s->sent[at];
}

/* ---- the store in front of the store -----------------------------------------------------------
 */

static void touch(uint64_t purchase)
{
	struct sim *s = sim_of_store;

	if (purchase == 0 || s->touched_len == SIM_TOUCHED)
		return;
	for (size_t i = s->touched_len; i-- > 0 && i + 8 > s->touched_len;)
		if (s->touched[i] == purchase)
			return;
	s->touched[s->touched_len++] = purchase;
}

static int on_set_state(struct store *store, uint32_t partner, uint64_t id, uint32_t version,
	enum purchase_state state, int64_t now_ms)
{
	touch(id);
	return sim_of_store->real->purchase_set_state(store, partner, id, version, state, now_ms);
}

static int on_attempt_insert(struct store *store, const struct attempt_row *row)
{
	touch(row->purchase);
	return sim_of_store->real->attempt_insert(store, row);
}

static int on_attempt_update(struct store *store, const struct attempt_row *row)
{
	touch(row->purchase);
	return sim_of_store->real->attempt_update(store, row);
}

static int on_event_append(struct store *store, const struct event_row *row)
{
	touch(row->purchase);
	return sim_of_store->real->event_append(store, row);
}

static int on_ledger_post(struct store *store, const struct ledger_row *row)
{
	touch(row->purchase);
	return sim_of_store->real->ledger_post(store, row);
}

static int on_outbox_insert(struct store *store, const struct outbox_row *row)
{
	touch(row->purchase);
	return sim_of_store->real->outbox_insert(store, row);
}

static int on_outbox_cancel(
	struct store *store, uint32_t partner, uint64_t attempt, enum outbox_kind kind)
{
	struct sim *s = sim_of_store;

	touch(sim_sent_of(s, attempt)->purchase);
	return s->real->outbox_cancel(store, partner, attempt, kind);
}

static int on_outbox_done(struct store *store, uint32_t partner, uint64_t id)
{
	struct sim *s = sim_of_store;
	sqlite3_stmt *row = sim_sql(s, SQL_OUTBOX_PURCHASE, id);

	if (sqlite3_step(row) == SQLITE_ROW)
		touch((uint64_t)sqlite3_column_int64(row, 0));
	(void)sqlite3_reset(row);
	return s->real->outbox_done(store, partner, id);
}

/* In memory a commit cannot fail by itself: here it does, and happened or did not. */
static int on_commit(struct store *store, struct err *err)
{
	struct sim *s = sim_of_store;

	if (s->commit_answers == 0)
		return s->real->commit(store, err);
	if (s->commit_happens) {
		int rc = s->real->commit(store, err);
		tama_assert(rc == 0);
	} else
		s->real->rollback(store);
	return s->commit_answers;
}

static void stand_before_store(struct sim *s)
{
	s->real = s->store->ops;
	s->ops = *s->real;
	s->ops.commit = on_commit;
	s->ops.purchase_set_state = on_set_state;
	s->ops.attempt_insert = on_attempt_insert;
	s->ops.attempt_update = on_attempt_update;
	s->ops.event_append = on_event_append;
	s->ops.ledger_post = on_ledger_post;
	s->ops.outbox_insert = on_outbox_insert;
	s->ops.outbox_cancel = on_outbox_cancel;
	s->ops.outbox_done = on_outbox_done;
	s->store->ops = &s->ops;
	sim_of_store = s;
}

static void leave_store(struct sim *s)
{
	for (size_t i = 0; i < SIM_STATEMENTS; i++) {
		(void)sqlite3_finalize(s->sql[i]);
		s->sql[i] = NULL;
	}
	s->store->ops = s->real;
	s->store->ops->close(s->store);
	s->store = NULL;
	sim_of_store = NULL;
}

static bool open_store(struct sim *s)
{
	char dir[96], mark[96];
	struct store_config config = {.vault = s->shared->vault, .in_memory = s->disk == NULL};
	struct err err = ERR_INIT;

	(void)snprintf(dir, sizeof(dir), "%s/world", s->shared->dir);
	(void)snprintf(mark, sizeof(mark), "%s/mark", s->shared->dir);
	config.dir = str_c(dir);
	if (s->disk != NULL)
		config.mark = str_c(mark);
	if (store_sqlite_open(&config, &s->store, &err) != 0) {
		if (s->disk == NULL || !disk_struck(s->disk))
			sim_break(
				s, &s->report->lost, "F-B2: the store does not open: %s", err.text);
		return false;
	}
	stand_before_store(s);
	return true;
}

/* ---- cells of the machine ----------------------------------------------------------------------
 */

struct attempt_step __real_attempt_step(enum attempt_state state, enum attempt_event event);
struct attempt_step __wrap_attempt_step(enum attempt_state state, enum attempt_event event);

/* The linker puts it before the machine's (-Wl,--wrap): the engine looks up what it then does. */
struct attempt_step __wrap_attempt_step(enum attempt_state state, enum attempt_event event)
{
	struct sim *s = sim_of_store;

	if (s != NULL && state < SIM_STATES && event < SIM_EVENTS)
		s->report->cells[state][event]++;
	return __real_attempt_step(state, event);
}

/* ---- life and death ----------------------------------------------------------------------------
 */

static bool has_stopped(const struct sim *s)
{
	return s->stops && disk_struck(s->disk);
}

bool process_is_dying(const struct sim *s)
{
	return s->is_dying || (s->disk != NULL && has_stopped(s));
}

void process_start(struct sim *s)
{
	struct engine_world world;

	if (s->disk != NULL) {
		/* K29: it may die while it comes back. */
		s->stops = sim_strikes(s, FAULT_CRASH, 0);
		if (s->stops)
			disk_arm(s->disk, DISK_STOP, 1 + sim_below(s, 0, 12), UINT64_MAX);
		if (!open_store(s)) {
			s->life++;
			disk_kill(s->disk);
			s->stops = false;
			sim_later(s, SIM_SECOND, (struct task){.kind = TASK_RESTART});
			return;
		}
		disk_arm(s->disk, DISK_SOUND, 0, 0);
		s->stops = false;
	} else if (s->life > 0)
		sqlite_store_of(s->store)->incarnation++;
	s->life++;
	wire_world(s, &world);
	tama_assert(engine_new(&world, s->store, s->shared->config, &s->engine, NULL) == 0);
	s->is_up = true;
	s->wake_ms = s->now_ms;
	check_restart(s);
}

/* Whatever is on its way to a provider now meets a fault. */
static void mark_sending(struct sim *s)
{
	for (size_t i = 0; i < s->heap_len; i++) {
		const struct task *t = &s->heap[i];

		if (t->life != s->life || t->kind == TASK_SMS)
			continue;
		sim_mark(s, s->sent[s->requests[t->index].sent].press);
	}
}

/* Within it a copy made by hand cannot be told from its original (mark.h, "the window"). */
#define MARK_WINDOW_MS (3 * SIM_SECOND)

/* F-C5, F-K3: last night's copy is put in the place of what there was. */
static void maybe_restore(struct sim *s)
{
	bool strikes = false;

	if (s->now_ms - s->backup_ms <= MARK_WINDOW_MS)
		return;

	/* Deaths are few: each has several chances. */
	for (int i = 0; i < 4 && s->backup_ms != 0 && s->restored_ms == 0; i++)
		strikes = strikes || sim_strikes(s, FAULT_RESTORE, 0);
	if (!strikes)
		return;
	disk_copy(s->backup, s->disk);
	s->restored_ms = s->now_ms;
	s->report->restored++;
}

static void maybe_copy(struct sim *s)
{
	if (s->backup == NULL || s->backup_ms != 0 || !s->has_faults || sim_below(s, 0, 20) != 0)
		return;
	disk_copy(s->disk, s->backup);
	s->backup_ms = s->now_ms;
	s->acknowledged_at_backup = s->acknowledged_len;
}

/* What was in memory is gone; on disk is what the disk kept. */
static void kill_process(struct sim *s, bool by_power)
{
	s->is_dying = true;
	mark_sending(s);
	s->is_up = false;
	s->report->crashes++;
	engine_free(&s->engine);
	wire_forget(s);
	while (s->first != NULL) {
		struct engine_event *event = s->first;

		s->first = event->next;
		if (event->kind == ENGINE_RESULT)
			sim_mark(s, sim_sent_of(s, event->as.result.attempt)->press);
		event->outcome = event->kind == ENGINE_RESULT ? ENGINE_IN_DOUBT : ENGINE_NOT_DONE;
		event->next = NULL;
		event->done(event);
	}
	s->last = &s->first;
	if (s->disk != NULL) {
		if (by_power) {
			s->report->power_losses++;
			disk_power_loss(s->disk, &s->process_chance);
		} else
			disk_kill(s->disk);
		leave_store(s);
		maybe_restore(s);
	}
	s->stops = false;
	s->is_dying = false;
	sim_later(s, SIM_SECOND + (int64_t)sim_below(s, 0, 3 * SIM_MINUTE),
		(struct task){.kind = TASK_RESTART});
}

/* How this step will end, and whether the power goes with the process. */
static bool draw_fate(struct sim *s)
{
	static const enum disk_fault faults[] = {DISK_EIO, DISK_FULL, DISK_SYNC};
	bool by_power;

	s->commit_answers = 0;
	s->commit_happens = false;
	s->effects_left = -1;
	if (sim_below(s, 0, 10) != 0)
		return false;
	by_power = s->disk != NULL && sim_strikes(s, FAULT_POWER, 0);
	if (s->disk != NULL && !by_power && sim_strikes(s, FAULT_DISK, 0)) {
		disk_arm(s->disk, faults[sim_below(s, 0, SIM_ROWS(faults))], 1 + sim_below(s, 0, 8),
			1 + sim_below(s, 0, 3));
		return false;
	}
	if (s->disk == NULL && sim_strikes(s, FAULT_COMMIT, 0)) {
		s->commit_answers = TAMA_EIO;
		return false;
	}
	if (by_power || sim_strikes(s, FAULT_CRASH, 0)) {
		if (sim_below(s, 0, 3) == 0)
			s->effects_left = (int)sim_below(s, 0, 6);
		else if (s->disk != NULL) {
			s->stops = true;
			disk_arm(s->disk, DISK_STOP, 1 + sim_below(s, 0, 16), UINT64_MAX);
		} else {
			s->commit_answers = TAMA_EDOUBT;
			s->commit_happens = sim_below(s, 0, 2) == 0;
		}
	} else if (s->disk != NULL && sim_strikes(s, FAULT_CLOCK, 0))
		s->wall_ms = ((int64_t)sim_below(s, 0, 7) - 3) * 24 * SIM_HOUR;
	else if (sim_strikes(s, FAULT_PAUSE, 0))
		s->paused_until_ms = s->now_ms + (int64_t)sim_below(s, 0, 10 * SIM_MINUTE);
	return by_power;
}

/* Cuts the list after a batch; the rest waits. */
static struct engine_event *take_batch(struct sim *s)
{
	struct engine_event *first = s->first, **at = &s->first;

	for (unsigned n = 0; n < LIMIT_ENGINE_BATCH && *at != NULL; n++)
		at = &(*at)->next;
	s->first = *at;
	*at = NULL;
	if (s->first == NULL)
		s->last = &s->first;
	return at == &s->first ? NULL : first;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void check_touched(struct sim *s)
{
	qsort(s->touched, s->touched_len, sizeof(s->touched[0]), by_id);
	for (size_t i = 0; i < s->touched_len; i++)
		if (i == 0 || s->touched[i] != s->touched[i - 1])
			check_purchase(s, s->touched[i]);
	s->touched_len = 0;
}

void process_step(struct sim *s)
{
	struct engine_event *events = take_batch(s);
	bool by_power = draw_fate(s);
	int64_t wait_ms;

	s->report->steps++;
	wait_ms = engine_step(s->engine, events);
	sim_trace(s, 100, (uint64_t)wait_ms);
	if (wait_ms == TAMA_EDOUBT || s->effects_left == 0 || (s->disk != NULL && has_stopped(s))) {
		kill_process(s, by_power);
		return; /* what was touched is looked at when it is back */
	}
	if (s->disk != NULL) {
		disk_arm(s->disk, DISK_SOUND, 0, 0);
		s->stops = false;
	}
	s->wake_ms = sim_tick(s->now_ms + (wait_ms > 0 ? wait_ms : 1));
	if (wait_ms != TAMA_EIO)
		check_touched(s);
	s->touched_len = wait_ms == TAMA_EIO ? s->touched_len : 0;
	maybe_copy(s);
}

void process_open(struct sim *s)
{
	char dir[96];

	if (sim_below(s, 0, 6) == 0 || s->plan->images != NULL) {
		s->report->disk_worlds++;
		(void)snprintf(dir, sizeof(dir), "%s/world", s->shared->dir);
		s->disk = disk_new(s->shared->disks, dir);
		(void)snprintf(dir, sizeof(dir), "%s/backup", s->shared->dir);
		s->backup = disk_new(s->shared->disks, dir);
		(void)snprintf(dir, sizeof(dir), "%s/mark", s->shared->dir);
		(void)unlink(dir);
		if (s->plan->images != NULL)
			images_watch(s->plan->images, s);
	} else if (!open_store(s))
		return;
	process_start(s);
}

void process_close(struct sim *s)
{
	if (s->is_up)
		engine_free(&s->engine);
	if (s->store != NULL)
		leave_store(s);
	if (s->disk != NULL) {
		disk_free(&s->disk);
		disk_free(&s->backup);
	}
	if (s->plan->images != NULL)
		images_leave(s->plan->images);
}
