/* The disk in memory: disk.h. */
#include "disk.h"

#include "tama/err.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define NAME_MAX_LEN 512
#define SHM_REGIONS 64

enum op_kind {
	OP_WRITE,
	OP_TRUNCATE,
};

/* What was asked since the last sync. */
struct op {
	enum op_kind kind;
	size_t at, n;
	unsigned char *bytes;
};

struct bytes {
	unsigned char *p;
	size_t n, cap;
};

struct file {
	struct file *next;
	char name[NAME_MAX_LEN];
	bool is_there, is_there_for_good; /* its name, as seen and as durable */
	struct bytes seen, durable;
	struct op *ops;
	size_t ops_len, ops_cap;
	void *shm[SHM_REGIONS];
};

struct grave {
	struct grave *next;
	void *region;
};

struct disk {
	struct disk *next;
	struct disks *owner;
	char dir[NAME_MAX_LEN];
	struct file *files;
	unsigned life; /* handles of an earlier one are dead */
	enum disk_fault fault;
	uint64_t fail_from, fail_to; /* calls */
	uint64_t calls, moments;
	bool has_struck;
	bool is_dead; /* nobody alive has opened it yet */
	struct grave *graves; /* what the dead still point at */
	uint64_t chance; /* of failed syncs */
	void (*watch)(void *ctx);
	void *watch_ctx;
};

struct disks {
	sqlite3_vfs vfs;
	struct disk *first;
	uint64_t chance;
};

/* What SQLite holds. */
struct handle {
	sqlite3_file base;
	struct disk *disk;
	struct file *file;
	unsigned life;
};

static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

static void bytes_room(struct bytes *b, size_t n)
{
	if (n <= b->cap)
		return;
	b->cap = n < 4096 ? 4096 : n + n / 2;
	b->p = realloc(b->p, b->cap);
	tama_assert(b->p != NULL);
}

static void bytes_size(struct bytes *b, size_t n)
{
	bytes_room(b, n);
	if (n > b->n)
		memset(b->p + b->n, 0, n - b->n);
	b->n = n;
}

static void bytes_put(struct bytes *b, size_t at, const void *from, size_t n)
{
	if (n == 0)
		return;
	if (at + n > b->n)
		bytes_size(b, at + n);
	memcpy(b->p + at, from, n);
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
	bytes_size(to, 0);
	bytes_put(to, 0, from->p, from->n);
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void ops_clear(struct file *f)
{
	for (size_t i = 0; i < f->ops_len; i++)
		free(f->ops[i].bytes);
	f->ops_len = 0;
}

static void op_add(struct file *f, enum op_kind kind, size_t at, const void *bytes, size_t n)
{
	struct op op = {kind, at, n, NULL};

	if (f->ops_len == f->ops_cap) {
		f->ops_cap = f->ops_cap == 0 ? 16 : f->ops_cap * 2;
		f->ops = realloc(f->ops, f->ops_cap * sizeof(*f->ops));
		tama_assert(f->ops != NULL);
	}
	if (kind == OP_WRITE) {
		op.bytes = malloc(n);
		tama_assert(op.bytes != NULL);
		memcpy(op.bytes, bytes, n);
	}
	f->ops[f->ops_len++] = op;
}

static void op_apply(struct bytes *b, const struct op *op)
{
	if (op->kind == OP_TRUNCATE)
		bytes_size(b, op->at);
	else
		bytes_put(b, op->at, op->bytes, op->n);
}

/* Each sector of the write by itself, where chance keeps it. */
static void op_apply_torn(struct bytes *b, const struct op *op, unsigned keep, uint64_t *chance)
{
	if (op->kind == OP_TRUNCATE) {
		if (draw(chance) % 4 < keep)
			bytes_size(b, op->at);
		return;
	}
	for (size_t done = 0; done < op->n;) {
		size_t n = SECTOR - (op->at + done) % SECTOR;

		n = n < op->n - done ? n : op->n - done;
		if (draw(chance) % 4 < keep)
			bytes_put(b, op->at + done, op->bytes + done, n);
		done += n;
	}
}

static struct file *file_find(struct disk *d, const char *name)
{
	for (struct file *f = d->files; f != NULL; f = f->next)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static struct file *file_make(struct disk *d, const char *name)
{
	struct file *f = file_find(d, name);

	if (f != NULL)
		return f;
	f = calloc(1, sizeof(*f));
	tama_assert(f != NULL && strlen(name) < NAME_MAX_LEN);
	(void)memcpy(f->name, name, strlen(name) + 1);
	f->next = d->files;
	d->files = f;
	return f;
}

/* Whoever had it open may look at it once more while it is closed. */
static void shm_bury(struct disk *d, struct file *f)
{
	for (size_t i = 0; i < SHM_REGIONS; i++) {
		struct grave *grave = f->shm[i] != NULL ? malloc(sizeof(*grave)) : NULL;

		if (f->shm[i] == NULL)
			continue;
		tama_assert(grave != NULL);
		*grave = (struct grave){d->graves, f->shm[i]};
		d->graves = grave;
		f->shm[i] = NULL;
	}
}

static void graves_free(struct disk *d)
{
	while (d->graves != NULL) {
		struct grave *grave = d->graves;

		d->graves = grave->next;
		free(grave->region);
		free(grave);
	}
}

static void files_free(struct disk *d)
{
	graves_free(d);
	while (d->files != NULL) {
		struct file *f = d->files;

		d->files = f->next;
		ops_clear(f);
		for (size_t i = 0; i < SHM_REGIONS; i++)
			free(f->shm[i]);
		free(f->ops);
		free(f->seen.p);
		free(f->durable.p);
		free(f);
	}
}

/* ---- what may fail -----------------------------------------------------------------------------
 */

static bool is_dead(const struct handle *h)
{
	return h->life != h->disk->life;
}

/* The fault that strikes this call, if any. */
static enum disk_fault strike(struct disk *d, enum disk_fault of)
{
	uint64_t call;

	if (d->fault == DISK_SOUND)
		return DISK_SOUND;
	if (d->fault == DISK_STOP && d->has_struck)
		return DISK_STOP;
	if (d->fault != of && d->fault != DISK_STOP)
		return DISK_SOUND;
	call = ++d->calls;
	if (call < d->fail_from || call >= d->fail_to)
		return DISK_SOUND;
	d->has_struck = true;
	return d->fault;
}

static void moment(struct disk *d)
{
	d->moments++;
	if (d->watch != NULL)
		d->watch(d->watch_ctx);
}

/* ---- file methods ------------------------------------------------------------------------------
 */

static int on_close(sqlite3_file *file)
{
	return SQLITE_OK;
}

static int on_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
	struct handle *h = (struct handle *)file;
	const struct bytes *b = &h->file->seen;
	size_t from = (size_t)at, want = (size_t)n, have;

	if (is_dead(h) || (h->disk->fault == DISK_STOP && h->disk->has_struck))
		return SQLITE_IOERR_READ;
	have = from >= b->n ? 0 : b->n - from < want ? b->n - from : want;
	if (have > 0)
		memcpy(out, b->p + from, have);
	memset((char *)out + have, 0, want - have);
	return have == want ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
	struct handle *h = (struct handle *)file;
	struct disk *d = h->disk;

	if (is_dead(h) || strike(d, DISK_EIO) != DISK_SOUND)
		return SQLITE_IOERR_WRITE;
	if (strike(d, DISK_FULL) != DISK_SOUND)
		return SQLITE_FULL;
	moment(d);
	bytes_put(&h->file->seen, (size_t)at, bytes, (size_t)n);
	op_add(h->file, OP_WRITE, (size_t)at, bytes, (size_t)n);
	return SQLITE_OK;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct handle *h = (struct handle *)file;

	if (is_dead(h) || strike(h->disk, DISK_EIO) != DISK_SOUND)
		return SQLITE_IOERR_TRUNCATE;
	moment(h->disk);
	bytes_size(&h->file->seen, (size_t)size);
	op_add(h->file, OP_TRUNCATE, (size_t)size, NULL, 0);
	return SQLITE_OK;
}

/*
 * The kernel calls pages clean that it could not write (Rebello, USENIX ATC'20): they are seen
 * until the power goes, and no later sync writes them.
 */
static void sync_badly(struct disk *d, struct file *f)
{
	unsigned keep = (unsigned)(draw(&d->chance) % 5);

	for (size_t i = 0; i < f->ops_len; i++)
		op_apply_torn(&f->durable, &f->ops[i], keep, &d->chance);
	ops_clear(f);
}

static int on_sync(sqlite3_file *file, int flags)
{
	struct handle *h = (struct handle *)file;
	struct file *f = h->file;
	enum disk_fault fault;

	if (is_dead(h))
		return SQLITE_IOERR_FSYNC;
	fault = strike(h->disk, DISK_SYNC);
	if (fault == DISK_SYNC)
		sync_badly(h->disk, f);
	if (fault != DISK_SOUND)
		return SQLITE_IOERR_FSYNC;
	moment(h->disk);
	for (size_t i = 0; i < f->ops_len; i++)
		op_apply(&f->durable, &f->ops[i]);
	ops_clear(f);
	/* Names are journalled in order, as ext4 and xfs do: any sync carries them along. */
	for (struct file *any = h->disk->files; any != NULL; any = any->next)
		any->is_there_for_good = any->is_there;
	return SQLITE_OK;
}

static int on_file_size(sqlite3_file *file, sqlite3_int64 *out)
{
	struct handle *h = (struct handle *)file;

	if (is_dead(h))
		return SQLITE_IOERR_FSTAT;
	*out = (sqlite3_int64)h->file->seen.n;
	return SQLITE_OK;
}

static int on_lock(sqlite3_file *file, int level)
{
	return SQLITE_OK;
}

static int on_reserved(sqlite3_file *file, int *out)
{
	*out = 0;
	return SQLITE_OK;
}

static int on_control(sqlite3_file *file, int what, void *arg)
{
	if (what != SQLITE_FCNTL_MMAP_SIZE)
		return SQLITE_NOTFOUND;
	*(sqlite3_int64 *)arg = 0; /* never mapped */
	return SQLITE_OK;
}

static int on_sector(sqlite3_file *file)
{
	return SECTOR;
}

/* As SQLite assumes of disks: a write damages nothing beside itself. */
static int on_device(sqlite3_file *file)
{
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* The index of the WAL is memory that a process's death takes along: one connection at a time. */
static int on_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	struct handle *h = (struct handle *)file;

	*out = NULL;
	if (is_dead(h) || region >= SHM_REGIONS)
		return SQLITE_IOERR_SHMMAP;
	if (h->file->shm[region] == NULL && extend) {
		h->file->shm[region] = calloc(1, (size_t)size);
		tama_assert(h->file->shm[region] != NULL);
	}
	*out = h->file->shm[region];
	return SQLITE_OK;
}

static int on_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	return SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *file)
{
}

static int on_shm_unmap(sqlite3_file *file, int delete)
{
	struct handle *h = (struct handle *)file;

	if (!is_dead(h))
		shm_bury(h->disk, h->file);
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_file_size,
	.xLock = on_lock,
	.xUnlock = on_lock,
	.xCheckReservedLock = on_reserved,
	.xFileControl = on_control,
	.xSectorSize = on_sector,
	.xDeviceCharacteristics = on_device,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

/* ---- the VFS -----------------------------------------------------------------------------------
 */

static struct disk *disk_of(sqlite3_vfs *vfs, const char *name)
{
	struct disks *disks = vfs->pAppData;

	for (struct disk *d = disks->first; name != NULL && d != NULL; d = d->next)
		if (strncmp(name, d->dir, strlen(d->dir)) == 0)
			return d;
	return NULL;
}

static int vfs_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flags_out)
{
	struct disk *d = disk_of(vfs, name);
	struct handle *h = (struct handle *)file;
	struct file *f;

	file->pMethods = NULL;
	if (d == NULL)
		return SQLITE_CANTOPEN;
	f = file_find(d, name);
	/* The store makes its file itself, with the mode that it wants. */
	if ((f == NULL || !f->is_there) && !(flags & (SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)))
		return SQLITE_CANTOPEN;
	if (d->fault == DISK_STOP && d->has_struck)
		return SQLITE_CANTOPEN;
	d->is_dead = false;
	f = file_make(d, name);
	if (!f->is_there) {
		/* A new file: whatever the name led to before. */
		bytes_size(&f->seen, 0);
		op_add(f, OP_TRUNCATE, 0, NULL, 0);
		f->is_there = true;
	}
	*h = (struct handle){{&methods}, d, f, d->life};
	if (flags_out != NULL)
		*flags_out = flags;
	return SQLITE_OK;
}

/* Removed as seen; durable with the next sync. */
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct disk *d = disk_of(vfs, name);
	struct file *f = d != NULL ? file_find(d, name) : NULL;

	if (d == NULL || d->is_dead || strike(d, DISK_EIO) != DISK_SOUND)
		return SQLITE_IOERR_DELETE;
	if (f == NULL || !f->is_there)
		return SQLITE_IOERR_DELETE_NOENT;
	moment(d);
	f->is_there = false;
	if (sync)
		f->is_there_for_good = false;
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	struct disk *d = disk_of(vfs, name);
	struct file *f = d != NULL ? file_find(d, name) : NULL;

	*out = f != NULL && f->is_there && (flags != SQLITE_ACCESS_EXISTS || f->seen.n > 0);
	return SQLITE_OK;
}

static int vfs_full(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
	if (strlen(name) >= (size_t)n)
		return SQLITE_CANTOPEN;
	(void)memcpy(out, name, strlen(name) + 1);
	return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int n, char *out)
{
	struct disks *disks = vfs->pAppData;

	for (int i = 0; i < n; i++)
		out[i] = (char)(draw(&disks->chance) >> 32);
	return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	return us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	*out = INT64_C(210866760000000);
	return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs, int n, char *out)
{
	return 0;
}

struct disks *disks_install(void)
{
	struct disks *disks = calloc(1, sizeof(*disks));

	tama_assert(disks != NULL);
	disks->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct handle),
		.mxPathname = NAME_MAX_LEN,
		.zName = "simulated",
		.pAppData = disks,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full,
		.xRandomness = vfs_random,
		.xSleep = vfs_sleep,
		.xCurrentTimeInt64 = vfs_time,
		.xGetLastError = vfs_error,
	};
	tama_assert(sqlite3_initialize() == SQLITE_OK);
	tama_assert(sqlite3_vfs_register(&disks->vfs, 1) == SQLITE_OK);
	return disks;
}

void disks_remove(struct disks **disks)
{
	tama_assert((*disks)->first == NULL);
	(void)sqlite3_vfs_unregister(&(*disks)->vfs);
	free(*disks);
	*disks = NULL;
}

void disks_seed(struct disks *disks, uint64_t seed)
{
	disks->chance = seed;
	sqlite3_randomness(0, NULL);
}

/* ---- the disk ----------------------------------------------------------------------------------
 */

struct disk *disk_new(struct disks *disks, const char *dir)
{
	struct disk *d = calloc(1, sizeof(*d));

	tama_assert(d != NULL && strlen(dir) < NAME_MAX_LEN);
	(void)memcpy(d->dir, dir, strlen(dir) + 1);
	d->owner = disks;
	d->next = disks->first;
	disks->first = d;
	return d;
}

void disk_free(struct disk **disk)
{
	struct disk *d = *disk;
	struct disk **at = &d->owner->first;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	files_free(d);
	free(d);
	*disk = NULL;
}

void disk_kill(struct disk *d)
{
	d->life++;
	d->is_dead = true;
	d->fault = DISK_SOUND;
	d->has_struck = false;
	graves_free(d);
	for (struct file *f = d->files; f != NULL; f = f->next)
		shm_bury(d, f);
}

/* What is there of a file when the power comes back. */
static void file_after_loss(const struct file *from, struct file *to, uint64_t *chance)
{
	/* Nothing, all, or a share of the sectors. */
	unsigned keep = (unsigned)(draw(chance) % 5);

	to->is_there = draw(chance) % 2 ? from->is_there : from->is_there_for_good;
	bytes_copy(&to->durable, &from->durable);
	for (size_t i = 0; i < from->ops_len; i++)
		op_apply_torn(&to->durable, &from->ops[i], keep, chance);
	bytes_copy(&to->seen, &to->durable);
	ops_clear(to);
	to->is_there_for_good = to->is_there;
}

void disk_power_loss(struct disk *d, uint64_t *chance)
{
	disk_kill(d);
	for (struct file *f = d->files; f != NULL; f = f->next) {
		struct file after = {.name = ""};

		file_after_loss(f, &after, chance);
		free(f->durable.p);
		f->durable = after.durable;
		free(f->seen.p);
		f->seen = after.seen;
		f->is_there = f->is_there_for_good = after.is_there;
		ops_clear(f);
	}
}

void disk_arm(struct disk *d, enum disk_fault fault, uint64_t after, uint64_t times)
{
	d->fault = fault;
	d->calls = 0;
	d->fail_from = after;
	d->fail_to = times > UINT64_MAX - after ? UINT64_MAX : after + times;
	d->has_struck = false;
}

bool disk_struck(const struct disk *d)
{
	return d->has_struck;
}

uint64_t disk_moments(const struct disk *d)
{
	return d->moments;
}

void disk_watch(struct disk *d, void (*watch)(void *ctx), void *ctx)
{
	d->watch = watch;
	d->watch_ctx = ctx;
}

/* A file of another disk under this one's directory. */
static struct file *file_beside(struct disk *out, const struct disk *from, const struct file *f)
{
	char name[2 * NAME_MAX_LEN];

	(void)snprintf(name, sizeof(name), "%s%s", out->dir, f->name + strlen(from->dir));
	return file_make(out, name);
}

void disk_copy(const struct disk *from, struct disk *out)
{
	disk_kill(out);
	files_free(out);
	for (const struct file *f = from->files; f != NULL; f = f->next) {
		struct file *to = file_beside(out, from, f);

		to->is_there = to->is_there_for_good = f->is_there;
		bytes_copy(&to->seen, &f->seen);
		bytes_copy(&to->durable, &f->seen);
	}
}

void disk_image(const struct disk *from, struct disk *out, uint64_t *chance)
{
	disk_kill(out);
	for (struct file *f = out->files; f != NULL; f = f->next)
		f->is_there = f->is_there_for_good = false;
	for (const struct file *f = from->files; f != NULL; f = f->next)
		file_after_loss(f, file_beside(out, from, f), chance);
}

bool disk_contains(const struct disk *d, const char *bytes, size_t n)
{
	for (const struct file *f = d->files; f != NULL; f = f->next)
		if (memmem(f->seen.p, f->seen.n, bytes, n) != NULL ||
			memmem(f->durable.p, f->durable.n, bytes, n) != NULL)
			return true;
	return false;
}
