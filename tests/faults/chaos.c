/*
 * chaos TARGET_PORT [SEED]: a bad network between the gateway and a provider, on loopback.
 *
 * It listens on a free port, says "listening on PORT", and passes every connection on to the
 * target, doing to it what its fate says. Fates are planned on standard input, a line each, which
 * is answered by "ok" or "no":
 *
 *   plan FATE ARG TIMES   the fate of the next TIMES connections that have none
 *   random PERMILLE       with no plan: so many of a thousand get a fate and an argument by chance
 *   calm                  forgets both
 *
 *   pass 0       nothing
 *   delay MS     every piece is late by so much, both ways
 *   drop 0       takes the request and never passes it on
 *   reset 0      reset as the request comes
 *   cut_up K     K bytes of the request are passed on, then both sides are closed
 *   cut_down K   K bytes of the reply come back, then the end of the connection
 *   rst_down K   the same, with a reset
 *   drip MS      a byte of the reply each MS
 *   half_open 0  the request is passed on; what comes back is swallowed and nothing ends
 *
 * Connection n's fate by chance depends on the seed and n alone. At its end each says
 * "link N FATE ARG up BYTES down BYTES". It ends with its standard input. TCP keeps order: there is
 * nothing to reorder. Netem, which does most of this elsewhere, is not in every kernel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINKS_MAX 256
#define PLANS_MAX 1024
#define LANE_BYTES 65536

enum fate { PASS, DELAY, DROP, RESET, CUT_UP, CUT_DOWN, RST_DOWN, DRIP, HALF_OPEN, FATES };

static const char *const FATE_NAMES[FATES] = {
	"pass", "delay", "drop", "reset", "cut_up", "cut_down", "rst_down", "drip", "half_open"};

/* One direction: bytes that wait, and how many have passed. */
struct lane {
	unsigned char bytes[LANE_BYTES];
	size_t n;
	uint64_t passed;
	int64_t due_ms;
	bool has_ended, is_shut;
};

struct link {
	uint64_t id;
	int near, far; /* -1: the slot is free */
	enum fate fate;
	int64_t arg;
	bool is_over;
	struct lane up, down;
};

struct plan {
	enum fate fate;
	int64_t arg, times;
};

struct chaos {
	int listener;
	uint16_t target;
	uint64_t seed, links_made;
	unsigned permille;
	bool is_over;
	struct plan plans[PLANS_MAX];
	size_t plans_len;
	struct link links[LINKS_MAX];
	char line[256];
	size_t line_len;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t chance(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void say(const char *text)
{
	(void)puts(text);
	(void)fflush(stdout);
}

/* ---- fates --------------------------------------------------------------------------------------
 */

static void draw_fate(const struct chaos *chaos, struct link *link)
{
	uint64_t x = chance(chaos->seed ^ link->id);

	if (x % 1000 >= chaos->permille)
		return;
	x = chance(x);
	link->fate = (enum fate)(1 + x % (FATES - 1));
	x = chance(x);
	if (link->fate == DELAY || link->fate == DRIP)
		link->arg = 1 + (int64_t)(x % 20);
	else
		link->arg = (int64_t)(x % 400);
}

static void give_fate(struct chaos *chaos, struct link *link)
{
	struct plan *plan = &chaos->plans[0];

	link->fate = PASS;
	if (chaos->plans_len == 0) {
		draw_fate(chaos, link);
		return;
	}
	link->fate = plan->fate;
	link->arg = plan->arg;
	if (--plan->times > 0)
		return;
	chaos->plans_len--;
	memmove(plan, plan + 1, chaos->plans_len * sizeof(*plan));
}

static bool obey_plan(struct chaos *chaos, const char *name, int64_t arg, int64_t times)
{
	for (int i = 0; i < FATES; i++) {
		if (strcmp(name, FATE_NAMES[i]) != 0 || chaos->plans_len == PLANS_MAX || times < 1)
			continue;
		chaos->plans[chaos->plans_len++] = (struct plan){(enum fate)i, arg, times};
		return true;
	}
	return false;
}

static bool obey(struct chaos *chaos, const char *line)
{
	char name[16];
	long arg, times;

	if (strcmp(line, "calm") == 0) {
		chaos->plans_len = chaos->permille = 0;
		return true;
	}
	if (strncmp(line, "random ", 7) == 0) {
		chaos->permille = (unsigned)strtoul(line + 7, NULL, 10);
		return true;
	}
	/* NOLINTNEXTLINE(cert-err34-c): a wrong number is a wrong line */
	return sscanf(line, "plan %15s %ld %ld", name, &arg, &times) == 3 &&
	       obey_plan(chaos, name, arg, times);
}

static void read_orders(struct chaos *chaos)
{
	ssize_t n = read(STDIN_FILENO, chaos->line + chaos->line_len,
		sizeof(chaos->line) - 1 - chaos->line_len);
	char *end;

	if (n <= 0) {
		chaos->is_over = true;
		return;
	}
	chaos->line_len += (size_t)n;
	while ((end = memchr(chaos->line, '\n', chaos->line_len)) != NULL) {
		*end++ = '\0';
		say(obey(chaos, chaos->line) ? "ok" : "no");
		chaos->line_len -= (size_t)(end - chaos->line);
		memmove(chaos->line, end, chaos->line_len);
	}
	if (chaos->line_len == sizeof(chaos->line) - 1)
		chaos->line_len = 0;
}

/* ---- links --------------------------------------------------------------------------------------
 */

static void close_end(int *fd, bool reset)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (*fd >= 0 && reset)
		(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void end_link(struct link *link, bool reset)
{
	close_end(&link->near, reset);
	close_end(&link->far, reset);
	(void)printf("link %llu %s %lld up %llu down %llu\n", (unsigned long long)link->id,
		FATE_NAMES[link->fate], (long long)link->arg, (unsigned long long)link->up.passed,
		(unsigned long long)link->down.passed);
	(void)fflush(stdout);
}

static int reach(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int yes = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		close_end(&fd, false);
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void take_link(struct chaos *chaos)
{
	struct link *link = NULL;
	const int yes = 1;

	for (size_t i = 0; i < LINKS_MAX && link == NULL; i++)
		if (chaos->links[i].near < 0)
			link = &chaos->links[i];
	if (link == NULL)
		return;
	memset(link, 0, sizeof(*link));
	link->far = -1;
	link->near = accept4(chaos->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (link->near < 0)
		return;
	(void)setsockopt(link->near, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	link->id = ++chaos->links_made;
	give_fate(chaos, link);
	if (link->fate == DROP || link->fate == RESET)
		return;
	link->far = reach(chaos->target);
	if (link->far < 0)
		end_link(link, true);
}

/* How much of a lane may pass at all, and how much at once. */
static size_t allowance(const struct link *link, const struct lane *lane)
{
	bool is_up = lane == &link->up;
	bool is_cut =
		is_up ? link->fate == CUT_UP : link->fate == CUT_DOWN || link->fate == RST_DOWN;
	uint64_t left = is_cut ? (uint64_t)link->arg - lane->passed : UINT64_MAX;
	size_t n = lane->n;

	if (!is_up && link->fate == DRIP && n > 1)
		n = 1;
	return n < left ? n : (size_t)left;
}

static bool is_cut_off(const struct link *link)
{
	return (link->fate == CUT_UP && link->up.passed >= (uint64_t)link->arg) ||
	       ((link->fate == CUT_DOWN || link->fate == RST_DOWN) &&
		       link->down.passed >= (uint64_t)link->arg &&
		       (link->down.n > 0 || link->down.has_ended));
}

static void fill(struct link *link, struct lane *lane, int from)
{
	ssize_t n = recv(from, lane->bytes + lane->n, LANE_BYTES - lane->n, 0);

	if (n > 0) {
		if (lane->n == 0 && (link->fate == DELAY || link->fate == DRIP))
			lane->due_ms = now_ms() + link->arg;
		lane->n += (size_t)n;
		if (link->fate == HALF_OPEN && lane == &link->down)
			lane->n = 0;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		lane->has_ended = true;
		if (n < 0)
			link->is_over = true;
	}
}

static void drain(struct link *link, struct lane *lane, int to)
{
	size_t most = allowance(link, lane);
	ssize_t n;

	if (now_ms() < lane->due_ms || to < 0)
		return;
	n = most > 0 ? send(to, lane->bytes, most, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	if (n > 0) {
		lane->n -= (size_t)n;
		lane->passed += (uint64_t)n;
		memmove(lane->bytes, lane->bytes + n, lane->n);
		if (link->fate == DRIP && lane == &link->down)
			lane->due_ms = now_ms() + link->arg;
	} else if (n < 0 && errno != EAGAIN) {
		link->is_over = true;
	}
	if (lane->n == 0 && lane->has_ended && !lane->is_shut) {
		lane->is_shut = true;
		if (link->fate != HALF_OPEN)
			(void)shutdown(to, SHUT_WR);
	}
}

static void work(struct link *link, short near, short far)
{
	if ((near & (POLLIN | POLLHUP | POLLERR)) != 0)
		fill(link, &link->up, link->near);
	if (link->far >= 0 && (far & (POLLIN | POLLHUP | POLLERR)) != 0)
		fill(link, &link->down, link->far);
	if (link->fate == RESET && link->up.n > 0) {
		end_link(link, true);
		return;
	}
	if (link->fate == DROP)
		link->up.n = 0;
	drain(link, &link->up, link->far);
	drain(link, &link->down, link->near);
	if (is_cut_off(link))
		end_link(link, link->fate != CUT_DOWN);
	else if (link->is_over || (link->up.has_ended && (link->down.is_shut || link->far < 0)) ||
		 (link->fate == HALF_OPEN && link->up.has_ended))
		end_link(link, false);
}

/* ---- the loop -----------------------------------------------------------------------------------
 */

static short wants(const struct lane *lane)
{
	return lane->has_ended || lane->n == LANE_BYTES ? 0 : POLLIN;
}

static void turn(struct chaos *chaos)
{
	static struct pollfd fds[2 + 2 * LINKS_MAX];
	int wait_ms = 1000;

	fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = chaos->listener, .events = POLLIN};
	for (size_t i = 0; i < LINKS_MAX; i++) {
		const struct link *link = &chaos->links[i];

		fds[2 + 2 * i] = (struct pollfd){link->near, wants(&link->up), 0};
		fds[3 + 2 * i] = (struct pollfd){link->far, wants(&link->down), 0};
		/* A side that has ended would be readable for ever. */
		if (link->up.has_ended)
			fds[2 + 2 * i].fd = -1;
		if (link->down.has_ended)
			fds[3 + 2 * i].fd = -1;
		if (link->near >= 0 && (link->up.n > 0 || link->down.n > 0))
			wait_ms = 1;
	}
	if (poll(fds, 2 + 2 * LINKS_MAX, wait_ms) < 0)
		return;
	if (fds[0].revents != 0)
		read_orders(chaos);
	if (fds[1].revents != 0)
		take_link(chaos);
	for (size_t i = 0; i < LINKS_MAX; i++)
		if (chaos->links[i].near >= 0)
			work(&chaos->links[i], fds[2 + 2 * i].revents, fds[3 + 2 * i].revents);
}

static int listen_somewhere(void)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	socklen_t len = sizeof(here);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&here, sizeof(here)) != 0 ||
		listen(fd, 128) != 0 || getsockname(fd, (struct sockaddr *)&here, &len) != 0)
		return -1;
	(void)printf("listening on %u\n", ntohs(here.sin_port));
	(void)fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	static struct chaos chaos;

	if (argc < 2) {
		(void)fputs("usage: chaos TARGET_PORT [SEED]\n", stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	chaos.target = (uint16_t)strtoul(argv[1], NULL, 10);
	chaos.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	for (size_t i = 0; i < LINKS_MAX; i++)
		chaos.links[i].near = chaos.links[i].far = -1;
	chaos.listener = listen_somewhere();
	if (chaos.listener < 0)
		return 1;
	while (!chaos.is_over)
		turn(&chaos);
	return 0;
}
