/*
 * The session log: segments DIR/sessions.<n>.log of sealed records, each with the whole state of
 * one session after one hop. One write(2) a hop, no fsync: kill -9 loses nothing, a power cut costs
 * menu positions. Because the last record of a session says everything, old segments are simply
 * removed.
 *
 * A record: u32 length, u8 kind (0 state, 1 dropped), sealed bytes. A torn last record ends a
 * segment.
 */
#include "session_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAX (64 * 1024)
#define SEGMENT_MS (5 * 60 * (int64_t)1000)

struct session_log {
	pthread_mutex_t lock;
	const struct vault *vault;
	char dir[PATH_MAX];
	int fd;
	unsigned long segment;
	off_t size; /* of the segment: behind its last whole record */
	int64_t begun_ms;
	uint64_t failures;
};

static void segment_path(const struct session_log *log, unsigned long n, char out[static PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%.*s/sessions.%08lu.log", PATH_MAX - 32, log->dir, n);
}

static int segment_begin(struct session_log *log, struct err *err)
{
	char path[PATH_MAX];
	int fd;

	log->segment++;
	segment_path(log, log->segment, path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = fd;
	log->size = 0;
	return 0;
}

struct replay {
	session_record_fn record;
	void *ctx;
	uint64_t opened; /* records that were sealed with our key */
};

/* Reads a whole segment; the caller frees. */
static char *segment_read(const char *path, size_t *n_out)
{
	struct stat st;
	char *bytes = NULL;
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		bytes = malloc((size_t)st.st_size);
	while (bytes != NULL && n < (size_t)st.st_size) {
		ssize_t got = read(fd, bytes + n, (size_t)st.st_size - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	(void)close(fd);
	*n_out = n;
	return bytes;
}

/*
 * Where a record cannot be opened the segment ends: torn by a power cut. But where none before it
 * could be opened either, the key is another one, and that is for a person to sort out.
 */
static int records_replay(const struct session_log *log, struct str bytes, struct replay *replay)
{
	static const size_t head = 5;
	unsigned char *plain = malloc(RECORD_MAX);
	int rc = 0;

	if (plain == NULL)
		return TAMA_ENOMEM;
	while (bytes.n >= head) {
		uint32_t n;
		struct str sealed;

		memcpy(&n, bytes.p, sizeof(n));
		if (n < VAULT_OVERHEAD || n > RECORD_MAX || bytes.n - head < n)
			break; /* torn by a power cut: what follows was never answered */
		sealed = (struct str){bytes.p + head, n};
		rc = vault_open(log->vault, VAULT_SESSION, STR("session"), sealed, plain);
		if (rc != 0)
			break;
		replay->opened++;
		replay->record(replay->ctx, (struct str){(char *)plain, n - VAULT_OVERHEAD},
			bytes.p[4] == 1);
		bytes = str_from(bytes, head + n);
	}
	free(plain);
	return replay->opened > 0 ? 0 : rc;
}

static int by_number(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

/* Whether the name is a segment's, and which. */
static bool segment_number(const char *name, unsigned long *out)
{
	struct str rest = str_c(name);
	int64_t number;

	if (!str_eq(str_cut(&rest, '.'), STR("sessions")) ||
		!str_to_i64(str_cut(&rest, '.'), &number) || !str_eq(rest, STR("log")))
		return false;
	*out = (unsigned long)number;
	return true;
}

/* The numbers of the segments there are, rising; the caller frees. */
static unsigned long *segments_list(const struct session_log *log, size_t *n_out)
{
	unsigned long *numbers = NULL;
	size_t n = 0;
	DIR *dir = opendir(log->dir);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		unsigned long number;

		if (segment_number(entry->d_name, &number)) {
			unsigned long *more = realloc(numbers, (n + 1) * sizeof(*more));

			if (more == NULL)
				break;
			numbers = more;
			numbers[n++] = number;
		}
	}
	if (dir != NULL)
		(void)closedir(dir);
	if (n > 0)
		qsort(numbers, n, sizeof(*numbers), by_number);
	*n_out = n;
	return numbers;
}

static int segments_replay(struct session_log *log, struct replay *replay, struct err *err)
{
	char path[PATH_MAX];
	size_t n;
	unsigned long *numbers = segments_list(log, &n);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		size_t len = 0;
		char *bytes;

		segment_path(log, numbers[i], path);
		bytes = segment_read(path, &len);
		if (bytes != NULL)
			rc = records_replay(log, (struct str){bytes, len}, replay);
		if (rc != 0)
			(void)err_set(err, rc, "%s: not sealed with this master key", path);
		free(bytes);
		log->segment = numbers[i];
	}
	free(numbers);
	return rc;
}

int session_log_open(struct str dir, const struct vault *vault, session_record_fn record, void *ctx,
	struct session_log **out, struct err *err)
{
	struct session_log *log = calloc(1, sizeof(*log));
	struct replay replay = {record, ctx, 0};
	int rc;

	if (log == NULL)
		return TAMA_ENOMEM;
	log->fd = -1;
	log->vault = vault;
	(void)pthread_mutex_init(&log->lock, NULL);
	(void)snprintf(log->dir, sizeof(log->dir), "%.*s", STR_ARG(dir));
	rc = segments_replay(log, &replay, err);
	if (rc == 0)
		rc = segment_begin(log, err);
	if (rc != 0) {
		session_log_close(&log);
		return rc;
	}
	*out = log;
	return 0;
}

void session_log_close(struct session_log **log)
{
	if (*log == NULL)
		return;
	if ((*log)->fd >= 0)
		(void)close((*log)->fd);
	(void)pthread_mutex_destroy(&(*log)->lock);
	free(*log);
	*log = NULL;
}

/* A torn record would hide those after it: cut it off, or else go on in a new segment. */
static void append_failed(struct session_log *log)
{
	log->failures++;
	if (ftruncate(log->fd, log->size) != 0)
		(void)segment_begin(log, NULL);
}

void session_log_append(struct session_log *log, struct str packed, bool is_dropped)
{
	unsigned char record[5 + SESSION_PACKED_MAX + VAULT_OVERHEAD];
	uint32_t n = (uint32_t)packed.n + VAULT_OVERHEAD;
	size_t len = 5 + (size_t)n;

	tama_assert(len <= sizeof(record));
	memcpy(record, &n, sizeof(n));
	record[4] = is_dropped ? 1 : 0;
	vault_seal(log->vault, VAULT_SESSION, STR("session"), packed, record + 5);
	(void)pthread_mutex_lock(&log->lock);
	if (write(log->fd, record, len) == (ssize_t)len)
		log->size += (off_t)len;
	else
		append_failed(log);
	(void)pthread_mutex_unlock(&log->lock);
}

uint64_t session_log_failures(struct session_log *log)
{
	uint64_t n;

	(void)pthread_mutex_lock(&log->lock);
	n = log->failures;
	(void)pthread_mutex_unlock(&log->lock);
	return n;
}

void session_log_rotate(struct session_log *log, int64_t now_ms, int64_t keep_ms)
{
	unsigned long *numbers, current;
	char path[PATH_MAX];
	size_t n;

	if (log->begun_ms == 0)
		log->begun_ms = now_ms;
	if (now_ms - log->begun_ms < SEGMENT_MS)
		return;
	log->begun_ms = now_ms;
	(void)pthread_mutex_lock(&log->lock);
	(void)segment_begin(log, NULL);
	current = log->segment;
	(void)pthread_mutex_unlock(&log->lock);
	numbers = segments_list(log, &n);
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		segment_path(log, numbers[i], path);
		if (numbers[i] < current && stat(path, &st) == 0 &&
			(int64_t)st.st_mtime * 1000 + keep_ms < now_ms)
			(void)unlink(path);
	}
	free(numbers);
}
