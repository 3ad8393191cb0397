/*
 * What the person at night may ask: requests and answers as lines of JSON. The server answers them
 * on a Unix socket, on threads and read-only connections of their own; when it is down a command
 * answers them itself, holding the store's lock. Both call admin_answer, so a command need not
 * care.
 *
 * A request is one object, {"do":"purchases.list",...}. The answer is any number of objects, a line
 * each, and a last one that has "end":true, or "error":"..." and maybe "code".
 *
 * Numbers are masked and what people wrote or were told is masked of its numbers, unless the
 * request says "full":true with a "reason", which is written to DATA/audit.log first.
 */
#ifndef TAMA_ADMIN_H
#define TAMA_ADMIN_H

#include "tama/backup.h"
#include "tama/buf.h"
#include "tama/engine.h"
#include "tama/log.h"
#include "tama/store.h"

#include <sys/types.h>

#define ADMIN_REQUEST_BYTES (64 * 1024)
#define ADMIN_ANSWER_BYTES ((size_t)16 * 1024 * 1024)

/* An account of the operating system: no flag can claim another name. */
struct admin_user {
	uid_t uid;
	char name[64]; /* "uid:1234" when the system knows none */
};

void admin_user_of(uid_t uid, struct admin_user *out);

/* What answers need of the process around them. */
struct admin_world {
	const struct store_config *store;
	const struct config *config; /* for the answer's time */
	struct log *log; /* NULL: none */
	/* Has the engine decide an event and waits for it; NULL where there is none. Negative with
	 * a message when it could not take it. */
	int (*decide)(void *ctx, struct engine_event *event, struct err *err);
	bool is_live; /* this process is the server */
	/* Floats as the engine sees them now; NULL: no server. */
	size_t (*floats)(void *ctx, struct engine_float *out, size_t max);
	/* How the copy on the other disk stands; false where none is kept. NULL: no server. */
	bool (*standby)(void *ctx, struct standby_stats *out);
	/* True once the process is about to end: long answers give up. */
	bool (*is_ending)(void *ctx);
	void *ctx;
};

/* Appends the answer to out, which has room for ADMIN_ANSWER_BYTES. May take long (verify, backup).
 */
void admin_answer(const struct admin_world *world, const struct admin_user *user,
	struct str request, struct buf *out);

/*
 * The decide of a process that holds the store's lock because no server does: a life of its own
 * that recovers what the last one left, as a start does, takes the decision, and ends. It sends
 * nothing; what it wrote for the wire goes out in the server's next life.
 */
struct admin_alone {
	struct store_config store; /* its lock is taken over: 0 afterwards */
	const struct config *config;
	void (*alarm)(void *ctx, const char *what, struct str ref, const char *detail);
};
int admin_decide_alone(void *alone, struct engine_event *event, struct err *err);

/* DATA/tama.sock, or where the configuration puts it. TAMA_EINVAL when it is too long. */
#define ADMIN_PATH_MAX 108
int admin_socket_path(struct str data_dir, struct str configured, char out[static ADMIN_PATH_MAX],
	struct err *err);

#endif
