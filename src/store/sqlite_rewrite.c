/*
 * After a sync that failed, kernels call pages clean that never reached the disk (Rebello et al.,
 * USENIX ATC'20). The process stopped there (finding 2); but the next one reads those pages from
 * memory, takes what they hold for committed, and writes on behind them. A loss of power then takes
 * the hole and everything after it along. So before SQLite looks at the log, its bytes are written
 * once more as they are and synced: what this life will see is what the disk has.
 */
#include "sqlite_priv.h"

#include <limits.h>

/* All of the file, in pieces of one page of the log or more. */
static int write_again(sqlite3_file *file)
{
	unsigned char piece[64 * 1024];
	sqlite3_int64 size = 0;
	int rc = file->pMethods->xFileSize(file, &size);

	for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size;
		at += (sqlite3_int64)sizeof(piece)) {
		int n = size - at < (sqlite3_int64)sizeof(piece) ? (int)(size - at)
								 : (int)sizeof(piece);

		rc = file->pMethods->xRead(file, piece, n, at);
		if (rc == SQLITE_OK)
			rc = file->pMethods->xWrite(file, piece, n, at);
	}
	return rc == SQLITE_OK && size > 0 ? file->pMethods->xSync(file, SQLITE_SYNC_FULL) : rc;
}

int db_rewrite_log(const char *path, struct err *err)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	char log[PATH_MAX + 8] = "";
	sqlite3_file *file;
	int is_there = 0;
	int rc;

	(void)snprintf(log, sizeof(log), "%s-wal", path);
	rc = vfs->xAccess(vfs, log, SQLITE_ACCESS_EXISTS, &is_there);
	if (rc == SQLITE_OK && !is_there)
		return 0;
	file = calloc(1, (size_t)vfs->szOsFile);
	tama_assert(file != NULL);
	if (rc == SQLITE_OK)
		rc = vfs->xOpen(vfs, log, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
	if (rc == SQLITE_OK)
		rc = write_again(file);
	if (file->pMethods != NULL)
		(void)file->pMethods->xClose(file);
	free(file);
	return rc == SQLITE_OK ? 0
			       : err_set(err, TAMA_EIO, "%s cannot be written again: %s", log,
					 sqlite3_errstr(rc));
}
