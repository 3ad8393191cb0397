/*
 * The bar: libmicrohttpd with nothing behind it. Reads a POST body, answers a text as long as the
 * gateway's screen. usage: echo poll|epoll; prints the port that the kernel chose.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define THREADS 2
/* As the gateway sets it: a small pool is worth 15 to 19 % here (libmicrohttpd.md). */
#define POOL_BYTES (16 * 1024)

static const char screen[] = "CON Recharge 500 F MTN\n05 00 00 00 00\n"
			     "Frais 100 F, total 600 F par MTN\n"
			     "1. Confirmer\n2. Annuler\n3. Autre op\xc3\xa9rateur\n0. Retour";

static enum MHD_Result answer(struct MHD_Connection *connection)
{
	enum MHD_Result rc;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		sizeof(screen) - 1, (void *)(uintptr_t)screen, MHD_RESPMEM_PERSISTENT);

	if (response == NULL)
		return MHD_NO;
	rc = MHD_add_response_header(response, "Content-Type", "text/plain; charset=UTF-8");
	if (rc == MHD_YES)
		rc = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return rc;
}

/* The library calls it with the head, with each part of the body, and at the end. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *body, size_t *body_len, void **state)
{
	static char begun;

	(void)cls, (void)url, (void)method, (void)version, (void)body;
	if (*state == NULL) {
		*state = &begun;
		return MHD_YES;
	}
	if (*body_len > 0) {
		*body_len = 0;
		return MHD_YES;
	}
	return answer(connection);
}

static struct MHD_Daemon *start(unsigned flags)
{
	const struct sockaddr_in loopback = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR,
		(const struct sockaddr *)&loopback, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
}

int main(int argc, char **argv)
{
	bool is_epoll = argc > 1 && strcmp(argv[1], "epoll") == 0;
	struct MHD_Daemon *daemon;
	sigset_t ends;
	int signal;

	/* Before the threads are made, which inherit it. */
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
	daemon = start(is_epoll ? MHD_USE_EPOLL_INTERNAL_THREAD : MHD_USE_POLL_INTERNAL_THREAD);
	if (daemon == NULL)
		return 1;
	(void)printf("listening on 127.0.0.1:%u\n",
		(unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	(void)fflush(stdout);
	(void)sigwait(&ends, &signal);
	MHD_stop_daemon(daemon);
	return 0;
}
