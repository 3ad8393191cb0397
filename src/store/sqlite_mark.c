/* How the store stands to its mark (mark.h), and what it keeps of the engine's clock. */
#include "sqlite_priv.h"

#include "tama/limits.h"

#include <fcntl.h>
#include <unistd.h>

/* This boot's id; empty where the system tells none. */
static void read_boot_id(char out[static BOOT_ID_MAX + 1])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, BOOT_ID_MAX) : 0;
	size_t len = 0;

	if (fd >= 0)
		close(fd);
	while (n > 0 && len < (size_t)n && out[len] > ' ' && out[len] < 127)
		len++;
	memset(out + len, '\0', BOOT_ID_MAX + 1 - len);
}

static int read_meta(struct sqlite_store *store, struct err *err)
{
	struct store_mark *m = &store->mark;
	sqlite3_stmt *stmt = NULL;
	const char *boot_id;
	int result = TAMA_EIO;

	if (sqlite3_prepare_v2(store->db.handle,
		    "SELECT store_id, generation, incarnation, clock_ms, boot_ms, boot_id,"
		    " frozen_id, max(ifnull((SELECT max(id) FROM purchase), 0),"
		    " ifnull((SELECT max(id) FROM attempt), 0),"
		    " ifnull((SELECT max(id) FROM outbox), 0),"
		    " ifnull((SELECT max(id) FROM inbox), 0)) FROM meta",
		    -1, &stmt, NULL) == SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW &&
		sqlite3_column_bytes(stmt, 0) == MARK_STORE_LEN) {
		memcpy(m->now.store_id, sqlite3_column_blob(stmt, 0), MARK_STORE_LEN);
		m->now.generation = (uint64_t)sqlite3_column_int64(stmt, 1);
		m->now.incarnation = (uint64_t)sqlite3_column_int64(stmt, 2);
		m->past.clock_ms = sqlite3_column_int64(stmt, 3);
		m->past.boot_ms = sqlite3_column_int64(stmt, 4);
		boot_id = (const char *)sqlite3_column_text(stmt, 5);
		m->past.is_same_boot = boot_id != NULL && m->boot_id[0] != '\0' &&
				       strcmp(boot_id, m->boot_id) == 0;
		m->past.frozen_id = (uint64_t)sqlite3_column_int64(stmt, 6);
		m->past.last_id = (uint64_t)sqlite3_column_int64(stmt, 7);
		result = 0;
	}
	if (result != 0)
		(void)err_set(err, TAMA_EIO, "meta: %s", sqlite3_errmsg(store->db.handle));
	sqlite3_finalize(stmt);
	return result;
}

/* A store that never sold anything has nothing that a missing mark could tell of. */
static int judge_missing(struct sqlite_store *store, struct err *err)
{
	int64_t is_used = 0;
	int result = db_number(&store->db, "SELECT EXISTS (SELECT 1 FROM purchase)", &is_used, err);

	store->mark.past.mark =
		store->mark.now.generation > 0 && is_used != 0 ? MARK_MISSING : MARK_FIRST;
	return result;
}

int mark_open(struct sqlite_store *store, const struct store_config *config, struct err *err)
{
	struct store_mark *m = &store->mark;
	struct mark found = {.generation = 0};
	struct err unread = ERR_INIT;
	int result;

	if (config->mark.n >= sizeof(m->path))
		return err_set(err, TAMA_EINVAL, "the mark's name is too long");
	(void)snprintf(m->path, sizeof(m->path), "%.*s", STR_ARG(config->mark));
	if (!config->in_memory)
		read_boot_id(m->boot_id);
	mark_machine(m->now.machine);
	result = read_meta(store, err);
	m->past.mark = MARK_OFF;
	if (result != 0 || m->path[0] == '\0')
		return result;
	result = mark_read(m->path, &found, &unread);
	if (result == TAMA_ENOTFOUND)
		return judge_missing(store, err);
	if (result == TAMA_EIO)
		return err_set(err, TAMA_EIO, "%s", unread.text);
	m->past.mark = result == 0 ? mark_compare(&found, &m->now) : MARK_DAMAGED;
	if (result != 0)
		return 0;
	/* Both outlive the life that this store may know nothing of. */
	m->now.last_id = found.last_id;
	if (found.last_id > m->past.last_id)
		m->past.last_id = found.last_id;
	if (found.incarnation > m->now.incarnation)
		m->now.incarnation = found.incarnation;
	m->passed = found.generation;
	return 0;
}

/* Two numbers of meta; :incarnation may be absent from the text. */
static int write_meta(struct db *db, const char *sql, uint64_t generation, uint64_t incarnation)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 1, (int64_t)generation);
	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 1)
		rc = sqlite3_bind_int64(stmt, 2, (int64_t)incarnation);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	(void)sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : TAMA_EIO;
}

/* The generation that the next raise leads to: past whatever a mark has said. */
static uint64_t next_generation(const struct store_mark *m)
{
	return (m->now.generation > m->passed ? m->now.generation : m->passed) + 1;
}

int mark_begin_life(struct sqlite_store *store, struct err *err)
{
	struct store_mark *m = &store->mark;
	uint64_t generation =
		mark_is_trusted(m->past.mark) ? next_generation(m) : m->now.generation;
	int result = sqlite_begin(&store->base, err);

	store->incarnation = m->now.incarnation + 1;
	if (result == 0 &&
		write_meta(&store->db, "UPDATE meta SET generation = ?1, incarnation = ?2",
			generation, store->incarnation) != 0)
		result = err_set(err, TAMA_EIO, "meta: %s", sqlite3_errmsg(store->db.handle));
	if (result == 0)
		result = sqlite_commit(&store->base, err);
	if (result != 0)
		return result;
	m->now.incarnation = store->incarnation;
	m->now.generation = generation;
	return mark_is_trusted(m->past.mark) && m->path[0] != '\0'
		       ? mark_write(m->path, &m->now, err)
		       : 0;
}

void sqlite_past(const struct store *base, struct store_past *out)
{
	*out = ((const struct sqlite_store *)base)->mark.past;
}

int sqlite_mark_raise(struct store *base, const struct store_moment *moment, bool is_accepted)
{
	struct sqlite_store *store = sqlite_store_of(base);
	struct store_mark *m = &store->mark;
	bool is_due = !m->is_raised || moment->boot_ms - m->raised_boot_ms >= LIMIT_MARK_MS ||
		      moment->boot_ms < m->raised_boot_ms;
	bool has_written = sqlite3_total_changes(store->db.handle) != store->changes_at_begin;
	struct query query;

	if (!is_accepted && (!has_written || !is_due || !mark_is_trusted(m->past.mark)))
		return 0;
	query = query_begin(&store->db, ST_META_RAISE);
	m->raising = next_generation(m);
	query_i64(&query, ":generation", (int64_t)m->raising);
	query_i64(&query, ":clock_ms", moment->clock_ms);
	query_i64(&query, ":boot_ms", moment->boot_ms);
	query_str(&query, ":boot_id", str_c(m->boot_id));
	query_i64(&query, ":frozen_id", (int64_t)moment->frozen_id);
	m->raising_boot_ms = moment->boot_ms;
	m->raising_clock_ms = moment->clock_ms;
	m->raising_frozen_id = moment->frozen_id;
	m->raising_last_id = moment->last_id;
	return query_run(&query, NULL);
}

int sqlite_mark_write(struct store *base, struct err *err)
{
	struct store_mark *m = &sqlite_store_of(base)->mark;
	int result = 0;

	if (m->raising != 0) {
		m->now.generation = m->raising;
		m->now.last_id = m->raising_last_id;
		m->raised_boot_ms = m->raising_boot_ms;
		m->is_raised = true;
		m->raising = 0;
		m->is_owed = m->path[0] != '\0';
		/* Only an accepted store raises at all. */
		if (!mark_is_trusted(m->past.mark))
			m->past.mark = MARK_FITS;
		m->past.frozen_id = m->raising_frozen_id;
		m->past.clock_ms = m->raising_clock_ms;
		m->past.boot_ms = m->raising_boot_ms;
	}
	if (m->is_owed)
		result = mark_write(m->path, &m->now, err);
	m->is_owed = m->is_owed && result != 0;
	return result;
}

void mark_end_life(struct sqlite_store *store)
{
	struct store_mark *m = &store->mark;
	bool can_write = !store->is_in_doubt && !store->is_disk_suspect && store->incarnation > 0 &&
			 m->path[0] != '\0' && mark_is_trusted(m->past.mark);

	if (!can_write || sqlite_begin(&store->base, NULL) != 0)
		return;
	if (write_meta(&store->db, "UPDATE meta SET generation = ?1", next_generation(m), 0) != 0) {
		sqlite_rollback(&store->base);
		return;
	}
	if (sqlite_commit(&store->base, NULL) != 0)
		return;
	m->now.generation = next_generation(m);
	/* What is not written now leaves the mark behind the store, which is safe. */
	(void)mark_write(m->path, &m->now, NULL);
}
