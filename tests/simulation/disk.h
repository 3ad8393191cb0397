/*
 * A disk in memory under SQLite, with what real ones do to a database (reliability.md 3.2): what
 * was written is seen at once and durable only after a sync; when the power goes, each 512-byte
 * sector written since may be there or not, and a file made or removed since may be there or not;
 * reads, writes and syncs fail when told to.
 *
 * The library is asked once to make this its default VFS. It serves the files below the directory
 * of each disk; nothing else may be opened. SQLite's own chance comes from here as well, so that a
 * run is decided by its seed alone.
 */
#ifndef TAMA_SIM_DISK_H
#define TAMA_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disks; /* what the VFS serves */
struct disk;

enum disk_fault {
	DISK_SOUND,
	DISK_EIO, /* the call fails */
	DISK_FULL, /* a write fails */
	DISK_SYNC, /* a sync fails, and what it should have kept may never become durable */
	DISK_STOP, /* the process dies here: nothing further reaches the disk */
};

struct disks *disks_install(void);
void disks_remove(struct disks **disks);
/* SQLite draws anew from this seed. */
void disks_seed(struct disks *disks, uint64_t seed);

/* An empty disk for the files below dir. */
struct disk *disk_new(struct disks *disks, const char *dir);
void disk_free(struct disk **disk);

/*
 * The process that had files open has died: they take and give nothing any more, but may be closed
 * in peace. What was written is still there, as it is after kill -9.
 */
void disk_kill(struct disk *disk);
/* As disk_kill, and the power has gone: chance decides what of the unsynced is there. */
void disk_power_loss(struct disk *disk, uint64_t *chance);

/* From the n-th call on (1: the next), `times` calls fail like this. */
void disk_arm(struct disk *disk, enum disk_fault fault, uint64_t after, uint64_t times);
/* Whether an armed fault has struck. */
bool disk_struck(const struct disk *disk);
/* Calls that changed something so far: a way to number moments. */
uint64_t disk_moments(const struct disk *disk);
/* Called at each such moment, before the change; NULL for none. */
void disk_watch(struct disk *disk, void (*watch)(void *ctx), void *ctx);

/* What a backup holds: every file as it is seen now, durable. out is emptied before. */
void disk_copy(const struct disk *from, struct disk *out);
/* What a power loss at this moment may leave; out is emptied before, `from` goes on. */
void disk_image(const struct disk *from, struct disk *out, uint64_t *chance);

/* Whether the bytes occur in any file, seen or durable. */
bool disk_contains(const struct disk *disk, const char *bytes, size_t n);

#endif
