/*
 * A copy on another disk, kept current behind the commits: the engine's thread hands pages over and
 * goes on; this thread writes and syncs them. What goes wrong here is told and begun anew with a
 * fresh base; money never waits for it.
 */
#include "sqlite_standby.h"

#include "sqlite_copy.h"
#include "sqlite_ship.h"

#include "tama/file.h"
#include "tama/limits.h"
#include "tama/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <unistd.h>

#define AGAIN_MS 5000 /* after a failure */
#define AGAIN_TOLD_MS 60000

struct parcel {
	struct parcel *next;
	struct standby_record record;
	unsigned char *pages;
};

struct standby {
	struct standby_config config;
	char dir[PATH_MAX], data_dir[PATH_MAX];
	char store_id[33];
	int64_t life;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, to the blank line */
	pthread_cond_t more;
	struct parcel *first, **end;
	size_t waiting_bytes;
	int64_t last_seq; /* handed over */
	bool has_gap; /* something was not taken: only a new base makes it whole */
	bool stop;
	int64_t behind_since_ms; /* when the oldest commit not durable here was done; 0: none */
	struct standby_stats stats;

	int fd; /* of the segment; -1: none */
	int64_t segment_bytes, log_bytes, base_bytes;
	bool has_base;
	int64_t failed_ms, told_ms;
};

/* ---- handing over: on the engine's thread ------------------------------------------------------
 */

static void take(void *ctx, struct ship_pages *pages)
{
	struct standby *s = ctx;
	struct parcel *parcel = pages->bytes != NULL ? calloc(1, sizeof(*parcel)) : NULL;
	int64_t now_ms = clock_wall_ms();

	(void)pthread_mutex_lock(&s->lock);
	s->last_seq++;
	s->stats.commits++;
	if (s->behind_since_ms == 0)
		s->behind_since_ms = now_ms;
	if (parcel == NULL || s->has_gap || s->waiting_bytes + pages->n > LIMIT_STANDBY_BYTES) {
		s->has_gap = true;
		free(pages->bytes);
		free(parcel);
	} else {
		parcel->pages = pages->bytes;
		parcel->record = (struct standby_record){s->life, s->last_seq, now_ms,
			(uint32_t)pages->count, pages->page_size, pages->pages_after};
		*s->end = parcel;
		s->end = &parcel->next;
		s->waiting_bytes += pages->n;
	}
	(void)pthread_cond_signal(&s->more);
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- the log -----------------------------------------------------------------------------------
 */

static bool write_record(struct standby *s, const struct parcel *parcel)
{
	unsigned char head[STANDBY_HEAD], digest[STANDBY_DIGEST];
	size_t n = standby_body(&parcel->record);
	crypto_generichash_state state;

	standby_put_head(&parcel->record, head);
	(void)crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	(void)crypto_generichash_update(&state, head, sizeof(head));
	(void)crypto_generichash_update(&state, parcel->pages, n);
	(void)crypto_generichash_final(&state, digest, sizeof(digest));
	s->segment_bytes += (int64_t)(sizeof(head) + n + sizeof(digest));
	s->log_bytes += (int64_t)n;
	return file_write_all(s->fd, head, sizeof(head)) == 0 &&
	       file_write_all(s->fd, parcel->pages, n) == 0 &&
	       file_write_all(s->fd, digest, sizeof(digest)) == 0;
}

static void segment_close(struct standby *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	s->segment_bytes = 0;
}

static bool segment_open(struct standby *s, int64_t first)
{
	char path[PATH_MAX + 64];

	if (s->fd >= 0 && s->segment_bytes < LIMIT_STANDBY_SEGMENT)
		return true;
	segment_close(s);
	(void)snprintf(path, sizeof(path), "%s/log-%lld-%lld.seg", s->dir, (long long)s->life,
		(long long)first);
	s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return s->fd >= 0 && directory_sync(s->dir, NULL) == 0;
}

static void parcels_free(struct parcel *list)
{
	while (list != NULL) {
		struct parcel *next = list->next;

		free(list->pages);
		free(list);
		list = next;
	}
}

static struct parcel *take_parcels(struct standby *s)
{
	struct parcel *list;

	(void)pthread_mutex_lock(&s->lock);
	list = s->first;
	s->first = NULL;
	s->end = &s->first;
	s->waiting_bytes = 0;
	(void)pthread_mutex_unlock(&s->lock);
	return list;
}

/* What was written up to seq is durable here; whoever came meanwhile is the oldest that is not. */
static void note_durable(struct standby *s, int64_t seq, size_t n)
{
	(void)pthread_mutex_lock(&s->lock);
	s->stats.shipped = (uint64_t)seq;
	s->stats.bytes += n;
	if (s->first != NULL)
		s->behind_since_ms = s->first->record.made_ms;
	else if (s->last_seq == seq && s->has_base)
		s->behind_since_ms = 0;
	(void)pthread_mutex_unlock(&s->lock);
}

/* Everything that waits, with one sync. False when the disk refused. */
static bool write_waiting(struct standby *s)
{
	struct parcel *list = take_parcels(s);
	int64_t seq = 0, before = s->log_bytes;
	bool is_written = true;

	for (const struct parcel *p = list; p != NULL && is_written; p = p->next) {
		is_written = segment_open(s, p->record.seq) && write_record(s, p);
		seq = p->record.seq;
	}
	if (list != NULL && is_written)
		is_written = fdatasync(s->fd) == 0;
	if (list != NULL && is_written)
		note_durable(s, seq, (size_t)(s->log_bytes - before));
	parcels_free(list);
	return is_written;
}

/* ---- bases -------------------------------------------------------------------------------------
 */

/* Whatever belongs to another life or lies before the new base's first record. */
static bool is_old(const struct standby *s, const char *name, int64_t first)
{
	struct standby_name is;

	if (!standby_name_read(name, &is))
		return false;
	if (str_eq(is.kind, STR("base")))
		return is.life != s->life || is.first != first;
	return is.life != s->life || is.first < first;
}

/*
 * Manifests first: a base without one is none, and nothing points to it any more. Segments begin
 * where a base begins, so one that starts before it ends before it.
 */
static void remove_old(const struct standby *s, int64_t first)
{
	static const char *const ends[] = {".json", ".db", ".seg"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		DIR *dir = opendir(s->dir);
		const struct dirent *entry;

		while (dir != NULL && (entry = readdir(dir)) != NULL) {
			const char *dot = strrchr(entry->d_name, '.');

			if (dot != NULL && strcmp(dot, ends[i]) == 0 &&
				is_old(s, entry->d_name, first))
				(void)unlinkat(dirfd(dir), entry->d_name, 0);
		}
		if (dir != NULL)
			(void)closedir(dir);
	}
	(void)directory_sync(s->dir, NULL);
}

/* The number that the next record written will have, and from here on none is missing. */
static int64_t close_gap(struct standby *s)
{
	struct parcel *dropped = NULL;
	int64_t next;

	(void)pthread_mutex_lock(&s->lock);
	if (s->has_gap) {
		dropped = s->first;
		s->first = NULL;
		s->end = &s->first;
		s->waiting_bytes = 0;
		s->has_gap = false;
		/* One number nobody has: the log before it does not join on to the log after. */
		s->last_seq++;
	}
	next = s->first != NULL ? s->first->record.seq : s->last_seq + 1;
	(void)pthread_mutex_unlock(&s->lock);
	parcels_free(dropped);
	return next;
}

static int64_t last_handed_over(struct standby *s)
{
	int64_t last;

	(void)pthread_mutex_lock(&s->lock);
	last = s->last_seq;
	(void)pthread_mutex_unlock(&s->lock);
	return last;
}

static bool has_gap(struct standby *s)
{
	bool gap;

	(void)pthread_mutex_lock(&s->lock);
	gap = s->has_gap;
	(void)pthread_mutex_unlock(&s->lock);
	return gap;
}

static bool is_stopping(struct standby *s)
{
	bool stop;

	(void)pthread_mutex_lock(&s->lock);
	stop = s->stop;
	(void)pthread_mutex_unlock(&s->lock);
	return stop;
}

/* The log goes on between the pieces. */
static int copy_base(struct standby *s, const char *path, struct manifest *m, struct err *err)
{
	struct str data = str_c(s->data_dir);
	struct copy copy;
	int rc = copy_begin(&copy, data, path, m, err);

	if (rc == 0) {
		ship_settle(s->config.store);
		m->needed = last_handed_over(s);
		do {
			rc = copy_step(&copy, err);
			if (rc >= 0 && (!write_waiting(s) || has_gap(s) || is_stopping(s)))
				rc = err_set(err, TAMA_EIO, "the log cannot be kept: %s",
					strerror(errno));
		} while (rc == 1);
	}
	copy_end(&copy);
	return rc;
}

/*
 * What is there may be all that is left of a store: it gives way to a copy of the same store that
 * has lived on from it, and to nothing else. A directory that is missing is not made: the disk that
 * should be there may not be.
 */
static int check_place(const struct standby *s, struct err *err)
{
	char file[PATH_MAX + 96];
	struct manifest there;
	struct err ignored = ERR_INIT;
	int rc = directory_check(s->dir, err);

	if (rc != 0 || standby_find(s->dir, &there, file, sizeof(file), &ignored) != 0)
		return rc;
	if (strcmp(there.store_id, s->store_id) != 0)
		return err_set(err, TAMA_ECONFLICT, "%s is the standby of another store", s->dir);
	/* Of this life are those that we made. */
	if (there.life > s->life || (there.life == s->life && s->stats.bases == 0))
		return err_set(err, TAMA_ECONFLICT,
			"%s holds a later life of this store (%lld, we are %lld): move it away",
			s->dir, (long long)there.life, (long long)s->life);
	return 0;
}

static int make_base(struct standby *s, struct err *err)
{
	struct manifest m = {.life = s->life, .first = close_gap(s)};
	char name[80], path[PATH_MAX + 96];
	int64_t life = m.life, first = m.first;
	int rc = check_place(s, err);

	if (rc != 0)
		return rc;
	segment_close(s);
	(void)snprintf(
		name, sizeof(name), "base-%lld-%lld.json", (long long)life, (long long)first);
	(void)snprintf(path, sizeof(path), "%s/base-%lld-%lld.db", s->dir, (long long)life,
		(long long)first);
	(void)unlink(path);
	s->log_bytes = 0;
	rc = copy_base(s, path, &m, err);
	if (rc == 0)
		rc = file_digest(path, m.hash, &m.bytes, err);
	/* Until the log has reached it, the base is none. */
	if (rc == 0 && !write_waiting(s))
		rc = err_set(err, TAMA_EIO, "the log cannot be written: %s", strerror(errno));
	if (rc == 0)
		rc = manifest_write(s->dir, name, &m, err);
	if (rc != 0) {
		(void)unlink(path);
		return rc;
	}
	s->base_bytes = m.bytes;
	s->has_base = true;
	remove_old(s, first);
	(void)pthread_mutex_lock(&s->lock);
	s->stats.bases++;
	s->stats.is_whole = true;
	/* Whatever was handed over is in the base or in the log. */
	if (s->first == NULL && !s->has_gap) {
		s->behind_since_ms = 0;
		s->stats.shipped = (uint64_t)s->last_seq;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static bool wait_for_more(struct standby *s)
{
	struct timespec until;
	bool goes_on;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1;
	(void)pthread_mutex_lock(&s->lock);
	if (s->first == NULL && !s->stop)
		(void)pthread_cond_timedwait(&s->more, &s->lock, &until);
	goes_on = !s->stop || (s->first != NULL && !s->has_gap);
	(void)pthread_mutex_unlock(&s->lock);
	return goes_on;
}

static void failed(struct standby *s, const char *why)
{
	parcels_free(take_parcels(s));
	(void)pthread_mutex_lock(&s->lock);
	s->has_gap = true;
	s->stats.failures++;
	s->stats.is_whole = false;
	(void)pthread_mutex_unlock(&s->lock);
	s->has_base = false;
	s->failed_ms = clock_boot_ms();
	segment_close(s);
	if (s->told_ms > 0 && s->failed_ms - s->told_ms < AGAIN_TOLD_MS)
		return;
	s->told_ms = s->failed_ms;
	s->config.alarm(s->config.ctx, "standby", why);
}

/* A log much longer than the store itself is cut by a new base. */
static bool wants_base(const struct standby *s)
{
	int64_t enough =
		s->base_bytes * 2 > LIMIT_STANDBY_LOG ? s->base_bytes * 2 : LIMIT_STANDBY_LOG;

	return !s->has_base || s->log_bytes > enough;
}

static void *standby_main(void *arg)
{
	struct standby *s = arg;

	while (wait_for_more(s)) {
		struct err err = ERR_INIT;
		bool is_ending = is_stopping(s);

		if (s->failed_ms > 0 && clock_boot_ms() - s->failed_ms < AGAIN_MS && !is_ending)
			continue;
		s->failed_ms = 0;
		if (s->has_base && has_gap(s))
			failed(s, "more waited than may: begun anew");
		else if (!is_ending && wants_base(s) && make_base(s, &err) != 0 && !is_stopping(s))
			failed(s, err.text);
		else if (!write_waiting(s))
			failed(s, strerror(errno));
	}
	return NULL;
}

static int read_store_id(struct store *store, char out[static 33], struct err *err)
{
	struct db *db = &sqlite_store_of(store)->db;
	sqlite3_stmt *stmt = NULL;
	int rc = TAMA_EIO;

	if (sqlite3_prepare_v2(db->handle, "SELECT lower(hex(store_id)) FROM meta", -1, &stmt,
		    NULL) == SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW) {
		(void)snprintf(out, 33, "%s", (const char *)sqlite3_column_text(stmt, 0));
		rc = 0;
	}
	(void)sqlite3_finalize(stmt);
	return rc == 0 ? 0 : err_set(err, rc, "meta: %s", sqlite3_errmsg(db->handle));
}

int standby_start(const struct standby_config *config, struct standby **out, struct err *err)
{
	struct standby *s = calloc(1, sizeof(*s));
	struct err why = ERR_INIT;
	int rc;

	tama_assert(s != NULL && sodium_init() >= 0);
	*out = NULL;
	s->config = *config;
	s->life = (int64_t)config->store->ops->incarnation(config->store);
	s->end = &s->first;
	s->fd = -1;
	(void)snprintf(s->dir, sizeof(s->dir), "%.*s", STR_ARG(config->dir));
	(void)snprintf(s->data_dir, sizeof(s->data_dir), "%.*s", STR_ARG(config->data_dir));
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->more, NULL);
	rc = read_store_id(config->store, s->store_id, err);
	if (rc == 0)
		rc = check_place(s, &why);
	/* A disk that is not there today must not stop the selling: it is told, and looked for
	 * again. */
	if (rc == TAMA_ECONFLICT)
		(void)err_set(err, rc, "%s", why.text);
	if (rc != TAMA_ECONFLICT && s->store_id[0] != '\0')
		rc = 0;
	if (rc == 0) {
		store_sqlite_ship(config->store, take, s);
		if (pthread_create(&s->thread, NULL, standby_main, s) != 0)
			rc = err_set(err, TAMA_EIO, "cannot start the standby's thread");
	}
	if (rc != 0) {
		store_sqlite_ship(config->store, NULL, NULL);
		free(s);
		return rc;
	}
	(void)pthread_setname_np(s->thread, "tama-standby");
	*out = s;
	return 0;
}

void standby_stop(struct standby **standby)
{
	struct standby *s = *standby;

	if (s == NULL)
		return;
	store_sqlite_ship(s->config.store, NULL, NULL);
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->more);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->thread, NULL);
	segment_close(s);
	parcels_free(s->first);
	(void)pthread_cond_destroy(&s->more);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
	*standby = NULL;
}

void standby_stats(struct standby *s, struct standby_stats *out)
{
	int64_t now_ms = clock_wall_ms();

	(void)pthread_mutex_lock(&s->lock);
	*out = s->stats;
	out->commits = (uint64_t)s->last_seq;
	out->lag_ms = s->behind_since_ms > 0 ? now_ms - s->behind_since_ms : 0;
	if (s->behind_since_ms > 0 && out->lag_ms < 1)
		out->lag_ms = 1;
	(void)pthread_mutex_unlock(&s->lock);
}
