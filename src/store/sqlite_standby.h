/*
 * The files of a standby, written by sqlite_standby.c and read by sqlite_restore.c:
 *
 *   base-LIFE-FIRST.db, .json    a copy and its manifest, which is written last
 *   log-LIFE-FIRST.seg           records from FIRST on, one behind the other
 *
 * LIFE is the incarnation of the process, as every record's number counts from its start.
 */
#ifndef TAMA_SQLITE_STANDBY_H
#define TAMA_SQLITE_STANDBY_H

#include "tama/backup.h"

struct standby_record {
	int64_t life, seq;
	int64_t made_ms; /* when its commit was done */
	uint32_t count, page_size, pages_after;
};

#define STANDBY_HEAD                                                                               \
	48 /* magic u64, life, seq, made_ms i64, count, page_size, pages_after u32, 0 */
#define STANDBY_DIGEST 32
#define STANDBY_MAGIC UINT64_C(0x31474f4c414d4154) /* "TAMALOG1" */

void standby_put_head(const struct standby_record *record, unsigned char out[static STANDBY_HEAD]);
/* False when it is no head of a record, or one beyond every bound. */
bool standby_get_head(const unsigned char in[static STANDBY_HEAD], struct standby_record *out);
size_t standby_body(const struct standby_record *record);

/* "base-3-17.json" taken apart; false for what is no file of a standby. Borrows from name. */
struct standby_name {
	struct str kind, end; /* "base" or "log"; "db", "json" or "seg" */
	int64_t life, first;
};
bool standby_name_read(const char *name, struct standby_name *out);

/* The newest base whose manifest is there. TAMA_ENOTFOUND. */
int standby_find(const char *dir, struct manifest *out, char *file, size_t size, struct err *err);

/*
 * Calls fn for the records of a life from first on, in order, up to the first that is missing, torn
 * or not what its digest says. *reached_out is the last one; first - 1 for none.
 */
int standby_read(const char *dir, int64_t life, int64_t first,
	int (*fn)(void *ctx, const struct standby_record *record, const unsigned char *pages),
	void *ctx, int64_t *reached_out, struct err *err);

#endif
