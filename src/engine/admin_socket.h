/* The server's side of admin.h: who may ask, how much, how long. */
#ifndef TAMA_ADMIN_SOCKET_H
#define TAMA_ADMIN_SOCKET_H

#include "tama/admin.h"

struct admin_socket;

struct admin_socket_config {
	struct store_config store;
	struct str path; /* empty: DATA/tama.sock */
	struct log *log;
	const struct config *(*take_config)(void *ctx); /* with a reference for the caller */
	/* Posts the event and waits until it is done: 0, or TAMA_EFULL. NULL: none are taken. */
	int (*decide)(void *ctx, struct engine_event *event, struct err *err);
	bool (*standby)(void *ctx, struct standby_stats *out);
	size_t (*floats)(void *ctx, struct engine_float *out, size_t max);
	void *ctx;
};

struct admin_socket_stats {
	uint64_t requests, refused;
};

/* Mode 0660. On failure *out is half made, and admin_socket_stop takes it. */
int admin_socket_start(
	const struct admin_socket_config *config, struct admin_socket **out, struct err *err);
/* Ends requests under way, removes the file. */
void admin_socket_stop(struct admin_socket **socket);
void admin_socket_stats(const struct admin_socket *socket, struct admin_socket_stats *out);

#endif
