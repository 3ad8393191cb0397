/* The files of a standby, read back: bases, and the log up to where it is whole. */
#include "sqlite_standby.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite_copy.h"

#define SEGMENTS_MAX 65536
#define RECORD_MAX ((size_t)1024 * 1024 * 1024)

static void put(unsigned char *out, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *in, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		value |= (uint64_t)in[i] << (8 * i);
	return value;
}

void standby_put_head(const struct standby_record *r, unsigned char out[static STANDBY_HEAD])
{
	put(out, STANDBY_MAGIC, 8);
	put(out + 8, (uint64_t)r->life, 8);
	put(out + 16, (uint64_t)r->seq, 8);
	put(out + 24, (uint64_t)r->made_ms, 8);
	put(out + 32, r->count, 4);
	put(out + 36, r->page_size, 4);
	put(out + 40, r->pages_after, 4);
	put(out + 44, 0, 4);
}

size_t standby_body(const struct standby_record *r)
{
	return (size_t)r->count * (4 + (size_t)r->page_size);
}

bool standby_get_head(const unsigned char in[static STANDBY_HEAD], struct standby_record *out)
{
	if (get(in, 8) != STANDBY_MAGIC)
		return false;
	*out = (struct standby_record){.life = (int64_t)get(in + 8, 8),
		.seq = (int64_t)get(in + 16, 8),
		.made_ms = (int64_t)get(in + 24, 8),
		.count = (uint32_t)get(in + 32, 4),
		.page_size = (uint32_t)get(in + 36, 4),
		.pages_after = (uint32_t)get(in + 40, 4)};
	return out->page_size >= 512 && out->page_size <= 65536 && standby_body(out) <= RECORD_MAX;
}

/* ---- bases -------------------------------------------------------------------------------------
 */

bool standby_name_read(const char *name, struct standby_name *out)
{
	struct str rest = str_c(name);
	struct str kind = str_cut(&rest, '-'), life = str_cut(&rest, '-');
	struct str first = str_cut(&rest, '.');

	*out = (struct standby_name){.kind = kind, .end = rest};
	return (str_eq(kind, STR("base")) || str_eq(kind, STR("log"))) &&
	       str_to_i64(life, &out->life) && str_to_i64(first, &out->first) && rest.p != NULL;
}

int standby_find(const char *dir, struct manifest *out, char *file, size_t size, struct err *err)
{
	DIR *entries = opendir(dir);
	const struct dirent *entry;
	int64_t best_life = -1, best_first = -1;
	char path[PATH_MAX];
	int rc;

	if (entries == NULL)
		return err_set(err, TAMA_EIO, "%s: %s", dir, strerror(errno));
	while ((entry = readdir(entries)) != NULL) {
		struct standby_name name;

		if (!standby_name_read(entry->d_name, &name) || !str_eq(name.kind, STR("base")) ||
			!str_eq(name.end, STR("json")) || name.life < best_life ||
			(name.life == best_life && name.first < best_first))
			continue;
		best_life = name.life;
		best_first = name.first;
	}
	(void)closedir(entries);
	if (best_life < 0)
		return err_set(err, TAMA_ENOTFOUND,
			"%s has neither a manifest.json nor a base of a standby", dir);
	(void)snprintf(path, sizeof(path), "%s/base-%lld-%lld.json", dir, (long long)best_life,
		(long long)best_first);
	(void)snprintf(file, size, "%s/base-%lld-%lld.db", dir, (long long)best_life,
		(long long)best_first);
	rc = manifest_read(path, out, err);
	if (rc == 0 && (out->life != best_life || out->first != best_first))
		rc = err_set(err, TAMA_EINVAL, "%s is not about its own base", path);
	return rc;
}

/* ---- the log -----------------------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* First numbers of a life's segments, rising. */
static int list_segments(const char *dir, int64_t life, int64_t **out, size_t *n_out)
{
	DIR *entries = opendir(dir);
	const struct dirent *entry;
	int64_t *list = calloc(SEGMENTS_MAX, sizeof(*list));
	size_t n = 0;

	tama_assert(list != NULL);
	while (entries != NULL && (entry = readdir(entries)) != NULL && n < SEGMENTS_MAX) {
		struct standby_name name;

		if (standby_name_read(entry->d_name, &name) && str_eq(name.end, STR("seg")) &&
			name.life == life)
			list[n++] = name.first;
	}
	if (entries != NULL)
		(void)closedir(entries);
	qsort(list, n, sizeof(*list), by_number);
	*out = list;
	*n_out = n;
	return entries != NULL ? 0 : TAMA_EIO;
}

/* The record at the file's place, its pages malloc'ed; NULL where the log ends. */
static unsigned char *read_record(FILE *file, struct standby_record *record)
{
	unsigned char head[STANDBY_HEAD], told[STANDBY_DIGEST], is[STANDBY_DIGEST];
	crypto_generichash_state state;
	unsigned char *pages;
	size_t n;

	if (fread(head, 1, sizeof(head), file) != sizeof(head) || !standby_get_head(head, record))
		return NULL;
	n = standby_body(record);
	pages = malloc(n + 1);
	tama_assert(pages != NULL && sodium_init() >= 0);
	(void)crypto_generichash_init(&state, NULL, 0, sizeof(is));
	(void)crypto_generichash_update(&state, head, sizeof(head));
	if (fread(pages, 1, n, file) == n && fread(told, 1, sizeof(told), file) == sizeof(told)) {
		(void)crypto_generichash_update(&state, pages, n);
		(void)crypto_generichash_final(&state, is, sizeof(is));
		if (sodium_memcmp(told, is, sizeof(is)) == 0)
			return pages;
	}
	free(pages);
	return NULL;
}

struct reading {
	int64_t life, next;
	int (*fn)(void *ctx, const struct standby_record *record, const unsigned char *pages);
	void *ctx;
};

/* False: the log ends here. */
static bool read_segment(const char *path, struct reading *r, int *rc_out)
{
	FILE *file = fopen(path, "rbe");
	struct standby_record record;
	unsigned char *pages = NULL;
	bool goes_on = file != NULL;

	while (goes_on && *rc_out == 0 && (pages = read_record(file, &record)) != NULL) {
		goes_on = record.life == r->life && record.seq <= r->next;
		if (goes_on && record.seq == r->next) {
			*rc_out = r->fn(r->ctx, &record, pages);
			r->next++;
		}
		free(pages);
	}
	/* A segment that was not read to its end is torn: what follows it does not join on. */
	goes_on = goes_on && feof(file);
	if (file != NULL)
		(void)fclose(file);
	return goes_on;
}

int standby_read(const char *dir, int64_t life, int64_t first,
	int (*fn)(void *ctx, const struct standby_record *record, const unsigned char *pages),
	void *ctx, int64_t *reached_out, struct err *err)
{
	struct reading reading = {life, first, fn, ctx};
	char path[PATH_MAX];
	int64_t *segments = NULL;
	size_t n = 0;
	int rc = list_segments(dir, life, &segments, &n);
	bool goes_on = rc == 0;

	for (size_t i = 0; i < n && goes_on && rc == 0; i++) {
		if (i + 1 < n && segments[i + 1] <= first)
			continue;
		(void)snprintf(path, sizeof(path), "%s/log-%lld-%lld.seg", dir, (long long)life,
			(long long)segments[i]);
		goes_on = read_segment(path, &reading, &rc);
	}
	free(segments);
	*reached_out = reading.next - 1;
	return rc == 0 ? 0 : err_set(err, rc, "%s: the log cannot be applied", dir);
}
