/* The mark: read, written whole, compared. */
#include "tama/mark.h"

#include "tama/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK_BYTES 512
#define HEAD "tama mark 1\n"
#define SUM_LEN 16

/* ---- text
 * ------------------------------------------------------------------------------------------ */

static int format(const struct mark *mark, char out[static MARK_BYTES])
{
	char store[2 * MARK_STORE_LEN + 1], sum_text[2 * SUM_LEN + 1];
	unsigned char sum[SUM_LEN];
	int n;

	sodium_bin2hex(store, sizeof(store), mark->store_id, sizeof(mark->store_id));
	n = snprintf(out, MARK_BYTES,
		HEAD "store %s\ngeneration %" PRIu64 "\nincarnation %" PRIu64 "\nlast_id %" PRIu64
		     "\nmachine %s\n",
		store, mark->generation, mark->incarnation, mark->last_id, mark->machine);
	(void)crypto_generichash(sum, sizeof(sum), (unsigned char *)out, (size_t)n, NULL, 0);
	sodium_bin2hex(sum_text, sizeof(sum_text), sum, sizeof(sum));
	return n + snprintf(out + n, MARK_BYTES - (size_t)n, "sum %s\n", sum_text);
}

/* The value behind "name " at the head of *text, up to the line's end; empty when it is none. */
static struct str take(struct str *text, const char *name)
{
	struct str label = str_c(name);
	const char *end = text->n > 0 ? memchr(text->p, '\n', text->n) : NULL;
	struct str line = {text->p, end != NULL ? (size_t)(end - text->p) : 0};

	if (end == NULL || !str_has_prefix(line, label))
		return STR("");
	*text = str_from(*text, line.n + 1);
	return str_from(line, label.n);
}

static bool read_u64(struct str text, uint64_t *out)
{
	char digits[24];
	char *end;

	if (text.n == 0 || text.n >= sizeof(digits) || text.p[0] < '0' || text.p[0] > '9')
		return false;
	(void)snprintf(digits, sizeof(digits), "%.*s", STR_ARG(text));
	errno = 0;
	*out = strtoull(digits, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool parse(struct str text, struct mark *out)
{
	char again[MARK_BYTES] = "";
	struct str rest = text, store, machine;
	struct mark mark = {.generation = 0};
	size_t n;

	if (!str_has_prefix(rest, STR(HEAD)))
		return false;
	rest = str_from(rest, sizeof(HEAD) - 1);
	store = take(&rest, "store ");
	if (sodium_hex2bin(
		    mark.store_id, sizeof(mark.store_id), store.p, store.n, NULL, &n, NULL) != 0 ||
		n != sizeof(mark.store_id))
		return false;
	if (!read_u64(take(&rest, "generation "), &mark.generation) ||
		!read_u64(take(&rest, "incarnation "), &mark.incarnation) ||
		!read_u64(take(&rest, "last_id "), &mark.last_id))
		return false;
	machine = take(&rest, "machine ");
	if (machine.n > MARK_MACHINE_MAX)
		return false;
	memcpy(mark.machine, machine.p, machine.n);
	/* Whatever differs from what we would have written, its sum included, is not ours. */
	if (!str_eq(text, (struct str){again, (size_t)format(&mark, again)}))
		return false;
	*out = mark;
	return true;
}

/* ---- files
 * ----------------------------------------------------------------------------------------- */

int mark_default_path(struct str data_dir, char *out, size_t size, struct err *err)
{
	while (data_dir.n > 1 && data_dir.p[data_dir.n - 1] == '/')
		data_dir.n--;
	if (data_dir.n == 0 || data_dir.n + sizeof(".mark") > size)
		return err_set(err, TAMA_EINVAL, "the data directory's name is empty or too long");
	(void)snprintf(out, size, "%.*s.mark", STR_ARG(data_dir));
	return 0;
}

int mark_read(const char *path, struct mark *out, struct err *err)
{
	char text[MARK_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return TAMA_ENOTFOUND;
	if (fd < 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n < 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	if (!parse((struct str){text, (size_t)n}, out))
		return err_set(err, TAMA_EINVAL, "%s is no mark of ours", path);
	return 0;
}

static int sync_dir_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash != NULL ? (size_t)(slash - path) : 1;
	int fd, rc;

	(void)snprintf(dir, sizeof(dir), "%.*s", (int)n, slash != NULL ? path : ".");
	fd = open(n > 0 ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int write_whole(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool is_whole;

	if (fd < 0)
		return -1;
	is_whole = file_write_all(fd, text.p, text.n) == 0 && fsync(fd) == 0;
	return close(fd) == 0 && is_whole ? 0 : -1;
}

int mark_write(const char *path, const struct mark *mark, struct err *err)
{
	char text[MARK_BYTES], temporary[PATH_MAX];
	int n = snprintf(temporary, sizeof(temporary), "%s.new", path);

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return err_set(err, TAMA_EIO, "the mark's name is too long");
	n = format(mark, text);
	if (write_whole(temporary, (struct str){text, (size_t)n}) != 0 ||
		rename(temporary, path) != 0 || sync_dir_of(path) != 0)
		return err_set(err, TAMA_EIO,
			"the mark %s: %s (gateway { mark = PATH } puts it elsewhere)", path,
			strerror(errno));
	return 0;
}

void mark_machine(char out[static MARK_MACHINE_MAX + 1])
{
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, MARK_MACHINE_MAX) : 0;
	size_t len = 0;

	if (fd >= 0)
		close(fd);
	while (n > 0 && len < (size_t)n && out[len] > ' ' && out[len] < 127)
		len++;
	memset(out + len, '\0', MARK_MACHINE_MAX + 1 - len);
}

/* ---- what it means
 * --------------------------------------------------------------------------------- */

enum mark_verdict mark_compare(const struct mark *mark, const struct mark *now)
{
	if (memcmp(mark->store_id, now->store_id, sizeof(mark->store_id)) != 0)
		return MARK_OTHER_STORE;
	if (now->generation < mark->generation || now->incarnation < mark->incarnation)
		return MARK_BEHIND;
	if (strcmp(mark->machine, now->machine) != 0)
		return MARK_OTHER_MACHINE;
	return MARK_FITS;
}

bool mark_is_trusted(enum mark_verdict verdict)
{
	return verdict == MARK_OFF || verdict == MARK_FITS || verdict == MARK_FIRST;
}

const char *mark_verdict_text(enum mark_verdict verdict)
{
	switch (verdict) {
	case MARK_OFF:
		return "no mark is kept";
	case MARK_FITS:
		return "the store is as new as its mark";
	case MARK_FIRST:
		return "the first mark of this store";
	case MARK_MISSING:
		return "the store's mark is missing: moved from another machine or disk";
	case MARK_DAMAGED:
		return "the store's mark cannot be read";
	case MARK_OTHER_STORE:
		return "the mark is another store's: replaced or made anew";
	case MARK_OTHER_MACHINE:
		return "the mark was written on another machine: moved or cloned";
	case MARK_BEHIND:
		return "the store is older than its mark: a backup or an incomplete copy";
	}
	return "?";
}
