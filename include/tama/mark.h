/*
 * The high-water mark: a small file beside the data directory that tells how far the store had come
 * when money last left because of it. A store that has come less far is a restored backup, a copy
 * without its -wal, or the store of a cloned machine (reliability.md 2.6 first row, F-B11, F-K2):
 * what it believes unsent may have been sent, so it starts held.
 *
 * The order. Once a second at most, and only while there is traffic, a commit raises
 * meta.generation; the mark is then written (temporary file, fsync, rename, fsync of the directory)
 * after that commit and before any request of it is sent. So the store is never behind its mark by
 * itself, whatever the crash.
 *
 * The window, honestly. A copy is told from its original when the original raised its generation
 * after the copy was made, that is: when it opened or closed the store, or committed anything, a
 * second or more after the raise that the copy holds. What is not seen is a copy that lacks less
 * than the last second before a kill or power cut. Nor is a restore that puts back the mark as
 * well: keep it on another disk or out of the backup (gateway { mark = PATH }); on another machine
 * the machine id tells. When the mark cannot be written, its step's requests still go (the window
 * grows by that step), and no further one does until it can.
 */
#ifndef TAMA_MARK_H
#define TAMA_MARK_H

#include "tama/err.h"
#include "tama/str.h"

#define MARK_STORE_LEN 16
#define MARK_MACHINE_MAX 64

struct mark {
	unsigned char store_id[MARK_STORE_LEN];
	uint64_t generation;
	uint64_t incarnation;
	uint64_t last_id; /* the largest the engine had drawn */
	char machine[MARK_MACHINE_MAX + 1]; /* /etc/machine-id; empty: this machine has none */
};

enum mark_verdict {
	MARK_OFF, /* none is kept: a store in memory */
	MARK_FITS,
	MARK_FIRST, /* none there, and the store holds nothing that could be lost */
	MARK_MISSING, /* none there, though this store has had one */
	MARK_DAMAGED, /* there, and not one of ours */
	MARK_OTHER_STORE,
	MARK_OTHER_MACHINE,
	MARK_BEHIND, /* the store is older than its mark */
};

/* DATA.mark, trailing slashes of the directory dropped. TAMA_EINVAL when longer than PATH_MAX. */
int mark_default_path(struct str data_dir, char *out, size_t size, struct err *err);

/* 0; TAMA_ENOTFOUND; TAMA_EINVAL when it is not one of ours; TAMA_EIO. */
int mark_read(const char *path, struct mark *out, struct err *err);

/* Replaces it as a whole, durably; blocks for two fsyncs. TAMA_EIO, with the old one in place. */
int mark_write(const char *path, const struct mark *mark, struct err *err);

/* What a store at `now` is to think of a mark; never OFF, FIRST, MISSING or DAMAGED. */
enum mark_verdict mark_compare(const struct mark *mark, const struct mark *now);

/* This machine's id; empty when it has none. */
void mark_machine(char out[static MARK_MACHINE_MAX + 1]);

/* Whether a store with this verdict may send: everything but OFF, FITS and FIRST starts held. */
bool mark_is_trusted(enum mark_verdict verdict);

/* For the hold's reason and the alarm. */
const char *mark_verdict_text(enum mark_verdict verdict);

#endif
