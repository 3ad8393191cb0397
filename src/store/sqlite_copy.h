/* A consistent copy of a database, piece by piece, and the manifest that says what it must be. */
#ifndef TAMA_SQLITE_COPY_H
#define TAMA_SQLITE_COPY_H

#include "sqlite_priv.h"
#include "tama/backup.h"

struct copy {
	sqlite3 *from, *to;
	sqlite3_backup *backup;
	int64_t bytes;
};

/*
 * Opens DIR/tama.db to read and makes TO, 0600, which must not exist. When it returns 0 the copy's
 * content is decided: a snapshot is held until copy_end. Facts of the source are in *facts.
 */
int copy_begin(
	struct copy *copy, struct str dir, const char *to, struct manifest *facts, struct err *err);
/* Another piece, about 1 MiB: 1, 0 when all is there, or TAMA_EIO. */
int copy_step(struct copy *copy, struct err *err);
/* Closes both; a copy that was not finished is no database. Harmless when begun badly. */
void copy_end(struct copy *copy);

/* BLAKE2b-256 and length of a file, which is synced. */
int file_digest(const char *path, unsigned char out[static MANIFEST_HASH], int64_t *bytes_out,
	struct err *err);
/* Written beside and renamed, synced with its directory: it is there whole or not at all. */
int manifest_write(
	const char *dir, const char *name, const struct manifest *manifest, struct err *err);
int manifest_read(const char *path, struct manifest *out, struct err *err);
/* A directory of ours alone: TAMA_EIO when it is not there, TAMA_EINVAL. */
int directory_check(const char *path, struct err *err);
/* The same, made if missing, and empty: TAMA_EEXIST. */
int directory_make(const char *path, struct err *err);
int directory_sync(const char *path, struct err *err);

#endif
