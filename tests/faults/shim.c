/*
 * Faults of the operating system, put between a program and the C library (LD_PRELOAD).
 *
 * TAMA_FAULT holds rules, separated by commas: CALL[@SUFFIX]:WHEN:WHAT
 *   CALL    the name of a call below; "malloc" stands for calloc and realloc as well
 *   SUFFIX  only on descriptors whose file ends so ("@.db-wal"), or "@socket", "@file"
 *   WHEN    N: the N-th such call of the process, whatever its thread; N+: that and all later ones;
 *           %P/SEED: P of a thousand, drawn from the seed and the call's number; 0: never, only
 * counted WHAT    kill: SIGKILL as the call is entered; after: when it has been made; half: when
 * half of its bytes have been; short: only one byte is moved; slow=MS: late by so much; or an error
 * by name: EIO, ENOSPC... The first rule that takes effect makes TAMA_FAULT_MARK (a path), if that
 * is set: a run after which it is not there has met no fault. At the process's end, "counted" is
 * added to it by a rule of WHEN 0.
 *
 * It counts across threads, which strace does not, and needs no right to trace.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16

enum what { NOTHING, KILL, AFTER, HALF, SHORT, SLOW, ERROR };

struct rule {
	char call[24], suffix[24];
	unsigned long first, share;
	uint64_t seed;
	bool for_ever;
	enum what what;
	long arg; /* errno, or milliseconds */
	atomic_ulong count;
};

/* A preloaded library has nobody to pass its state. */
static struct rule rules[RULES_MAX];
static int rules_len;
static const char *mark;

static const struct {
	const char *name;
	int number;
} ERRORS[] = {
	{"EIO", EIO},
	{"ENOSPC", ENOSPC},
	{"EROFS", EROFS},
	{"EDQUOT", EDQUOT},
	{"EMFILE", EMFILE},
	{"ENFILE", ENFILE},
	{"ENOMEM", ENOMEM},
	{"ENOBUFS", ENOBUFS},
	{"EINTR", EINTR},
	{"EAGAIN", EAGAIN},
	{"ENOSYS", ENOSYS},
	{"ECONNRESET", ECONNRESET},
	{"EPIPE", EPIPE},
	{"ECONNABORTED", ECONNABORTED},
	{"ECONNREFUSED", ECONNREFUSED},
	{"ENETUNREACH", ENETUNREACH},
	{"EACCES", EACCES},
	{"EPERM", EPERM},
};

static bool read_what(struct rule *rule, const char *word)
{
	static const struct {
		const char *name;
		enum what what;
	} WORDS[] = {{"kill", KILL}, {"after", AFTER}, {"half", HALF}, {"short", SHORT}};

	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
		if (strcmp(word, WORDS[i].name) == 0)
			rule->what = WORDS[i].what;
	if (strncmp(word, "slow=", 5) == 0) {
		rule->what = SLOW;
		rule->arg = strtol(word + 5, NULL, 10);
	}
	for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
		if (strcmp(word, ERRORS[i].name) == 0) {
			rule->what = ERROR;
			rule->arg = ERRORS[i].number;
		}
	}
	return rule->what != NOTHING;
}

static bool read_rule(char *text)
{
	struct rule *rule = &rules[rules_len];
	char *when = strchr(text, ':'), *what = when != NULL ? strchr(when + 1, ':') : NULL, *end;

	if (what == NULL || rules_len == RULES_MAX)
		return false;
	*when++ = *what++ = '\0';
	if ((end = strchr(text, '@')) != NULL) {
		*end = '\0';
		(void)snprintf(rule->suffix, sizeof(rule->suffix), "%s", end + 1);
	}
	(void)snprintf(rule->call, sizeof(rule->call), "%s", text);
	if (*when == '%') {
		rule->share = strtoul(when + 1, &end, 10);
		rule->seed = *end == '/' ? strtoull(end + 1, NULL, 10) : 0;
	} else {
		rule->first = strtoul(when, &end, 10);
		rule->for_ever = *end == '+';
	}
	rules_len++;
	return read_what(rule, what);
}

__attribute__((constructor)) static void read_rules(void)
{
	static char text[1024];
	const char *given = getenv("TAMA_FAULT");
	char *rest = text, *one;

	mark = getenv("TAMA_FAULT_MARK");
	if (given == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s", given);
	while ((one = strsep(&rest, ",")) != NULL) {
		if (*one != '\0' && !read_rule(one)) {
			(void)fprintf(stderr, "shim: no rule: %s\n", one);
			_exit(3);
		}
	}
}

static bool fits(const struct rule *rule, int fd)
{
	char link[48], path[512];
	struct stat st;
	ssize_t n;
	size_t len = strlen(rule->suffix);

	if (len == 0)
		return true;
	if (fd < 0)
		return false;
	if (strcmp(rule->suffix, "socket") == 0 || strcmp(rule->suffix, "file") == 0)
		return fstat(fd, &st) == 0 &&
		       (rule->suffix[0] == 's' ? S_ISSOCK(st.st_mode) : S_ISREG(st.st_mode));
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n >= (ssize_t)len && memcmp(path + n - len, rule->suffix, len) == 0;
}

static uint64_t chance(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool is_due(struct rule *rule)
{
	unsigned long n = atomic_fetch_add(&rule->count, 1) + 1;

	if (rule->share > 0)
		return chance(rule->seed + n) % 1000 < rule->share;
	return rule->first > 0 && (n == rule->first || (rule->for_ever && n > rule->first));
}

static void note(void)
{
	long fd;

	if (mark == NULL)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
}

static void die(void)
{
	note();
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

/* What is to become of this call; kills and delays have been carried out. */
static struct rule *meet(const char *call, int fd)
{
	int error = errno;
	struct rule *met = NULL;

	for (int i = 0; i < rules_len && met == NULL; i++) {
		struct rule *rule = &rules[i];

		if (strcmp(rule->call, call) == 0 && fits(rule, fd) && is_due(rule))
			met = rule;
	}
	errno = error;
	if (met == NULL)
		return NULL;
	if (met->what == KILL)
		die();
	note();
	if (met->what == SLOW) {
		struct timespec pause = {met->arg / 1000, met->arg % 1000 * 1000000};

		(void)nanosleep(&pause, NULL);
		return NULL;
	}
	if (met->what == ERROR)
		errno = (int)met->arg;
	return met;
}

static bool fails(const struct rule *rule)
{
	return rule != NULL && rule->what == ERROR;
}

static void and_then(const struct rule *rule)
{
	if (rule != NULL && (rule->what == AFTER || rule->what == HALF))
		die();
}

static size_t cut(const struct rule *rule, size_t n)
{
	if (rule != NULL && rule->what == HALF)
		return n / 2;
	return rule != NULL && rule->what == SHORT && n > 1 ? 1 : n;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): these are pieces of declarations. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call without bytes: RESULT NAME(PARAMETERS), on descriptor FD. */
#define PLAIN(type, name, fd, parameters, arguments)                                               \
	type name parameters                                                                       \
	{                                                                                          \
		struct rule *met = meet(#name, fd);                                                \
		type result;                                                                       \
                                                                                                   \
		if (fails(met))                                                                    \
			return -1;                                                                 \
		result = REAL(name) arguments;                                                     \
		and_then(met);                                                                     \
		return result;                                                                     \
	}

/* A call that moves n bytes. CALL is the rule's name for it. */
#define MOVING(name, call, fd, parameters, arguments)                                              \
	ssize_t name parameters                                                                    \
	{                                                                                          \
		struct rule *met = meet(call, fd);                                                 \
		ssize_t result;                                                                    \
                                                                                                   \
		if (fails(met))                                                                    \
			return -1;                                                                 \
		n = cut(met, n);                                                                   \
		result = REAL(name) arguments;                                                     \
		and_then(met);                                                                     \
		return result;                                                                     \
	}

/* Messages and vectors are left whole: they are killed or failed, never cut. */
#define GATHERING(name, fd, parameters, arguments) PLAIN(ssize_t, name, fd, parameters, arguments)

/* NOLINTEND(bugprone-macro-parentheses) */

MOVING(pwrite64, "pwrite64", fd, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
MOVING(pwrite, "pwrite64", fd, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
MOVING(write, "write", fd, (int fd, const void *p, size_t n), (fd, p, n))
MOVING(send, "sendto", fd, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
MOVING(sendto, "sendto", fd,
	(int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t len),
	(fd, p, n, flags, to, len))
MOVING(recv, "recvfrom", fd, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
MOVING(recvfrom, "recvfrom", fd,
	(int fd, void *restrict p, size_t n, int flags, struct sockaddr *restrict from,
		socklen_t *restrict len),
	(fd, p, n, flags, from, len))
MOVING(read, "read", fd, (int fd, void *p, size_t n), (fd, p, n))
MOVING(pread64, "pread64", fd, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at))
MOVING(getrandom, "getrandom", -1, (void *p, size_t n, unsigned flags), (p, n, flags))
GATHERING(writev, fd, (int fd, const struct iovec *v, int n), (fd, v, n))
GATHERING(sendmsg, fd, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
GATHERING(recvmsg, fd, (int fd, struct msghdr *m, int flags), (fd, m, flags))
PLAIN(int, fdatasync, fd, (int fd), (fd))
PLAIN(int, fsync, fd, (int fd), (fd))
PLAIN(int, ftruncate64, fd, (int fd, off64_t n), (fd, n))
PLAIN(int, close, fd, (int fd), (fd))
PLAIN(int, rename, -1, (const char *from, const char *to), (from, to))
PLAIN(int, unlink, -1, (const char *path), (path))
PLAIN(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
PLAIN(int, connect, fd, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
PLAIN(int, accept4, fd,
	(int fd, struct sockaddr *restrict from, socklen_t *restrict len, int flags),
	(fd, from, len, flags))

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
	void *(*run)(void *), void *restrict arg)
{
	if (fails(meet("pthread_create", -1)))
		return EAGAIN;
	return REAL(pthread_create)(thread, attr, run, arg);
}

/* glibc's own names, because dlsym allocates. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	return fails(meet("malloc", -1)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	return fails(meet("malloc", -1)) ? NULL : __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
	return fails(meet("malloc", -1)) ? NULL : __libc_realloc(p, n);
}
