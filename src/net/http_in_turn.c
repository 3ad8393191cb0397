/*
 * One request, as libmicrohttpd calls us: the target (http_in_on_target), then on_request once for
 * the head, once for each piece of body and once at the end; again after a resume; on_completed
 * last. A response given before the end makes the library close the connection, so refusals come
 * early and answers at the end.
 *
 * http_in_answer may be faster than the worker that is about to suspend. `stage` settles it:
 * whoever comes second (the worker parking, or the answer) sees what the first did.
 */
#include "http_in_priv.h"

#include <sys/socket.h>

/* So many idle turns a worker keeps, each with an arena's first block. */
#define FREE_TURNS 64

/* A body that is too long is read so far before the connection ends, for the peer to see our 413.
 */
#define SWALLOW_BYTES (4 * LIMIT_HTTP_BODY_BYTES)

static struct turn *turn_of(struct http_turn *pub)
{
	return (struct turn *)((char *)pub - offsetof(struct turn, pub));
}

static struct turn *turn_take(struct http_worker *worker)
{
	struct turn *turn = worker->free;
	if (turn != NULL) {
		worker->free = turn->next_free;
		worker->free_len--;
		return turn;
	}
	turn = calloc(1, sizeof(*turn));
	tama_assert(turn != NULL);
	arena_init(&turn->pub.arena, LIMIT_TURN_BYTES);
	turn->pub.worker = worker->index;
	return turn;
}

static void turn_free(struct turn *turn)
{
	arena_fini(&turn->pub.arena);
	free(turn);
}

static void turn_give(struct http_worker *worker, struct turn *turn)
{
	if (worker->free_len == FREE_TURNS) {
		turn_free(turn);
		return;
	}
	arena_reset(&turn->pub.arena);
	turn->next_free = worker->free;
	worker->free = turn;
	worker->free_len++;
}

void http_in_worker_free_turns(struct http_worker *worker)
{
	while (worker->free != NULL) {
		struct turn *turn = worker->free;
		worker->free = turn->next_free;
		turn_free(turn);
	}
	worker->free_len = 0;
}

void *http_in_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct http_worker *worker = cls;
	struct turn *turn = turn_take(worker);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	tama_assert(info != NULL);
	turn->conn = info->socket_context;
	turn->mhd = mhd;
	turn->was_handled = false;
	turn->is_chunked = false;
	turn->body = NULL;
	turn->body_cap = 0;
	turn->body_seen = 0;
	turn->pub.user = NULL;
	turn->pub.request = (struct http_request){.peer = turn->conn->peer};
	turn->target_at = target;
	turn->head = (struct str){NULL, 0};
	turn->target = arena_str(&turn->pub.arena, str_c(target));
	atomic_store_explicit(&turn->stage, TURN_HEAD, memory_order_relaxed);
	return turn;
}

/* True when the library took all fields; the texts must be NUL-terminated for it. */
static bool add_fields(
	struct MHD_Response *response, struct arena *arena, const struct http_reply *reply)
{
	if (reply->type.n > 0) {
		struct str type = arena_str(arena, reply->type);
		if (type.p == NULL || strlen(type.p) != type.n ||
			MHD_add_response_header(response, "Content-Type", type.p) == MHD_NO)
			return false;
	}
	for (size_t i = 0; i < reply->fields_len; i++) {
		struct str name = arena_str(arena, reply->fields[i].name);
		struct str value = arena_str(arena, reply->fields[i].value);
		if (name.p == NULL || value.p == NULL || strlen(name.p) != name.n ||
			strlen(value.p) != value.n || strpbrk(value.p, "\r\n") != NULL ||
			MHD_add_response_header(response, name.p, value.p) == MHD_NO)
			return false;
	}
	return true;
}

static struct MHD_Response *response_new(struct str body, enum MHD_ResponseMemoryMode mode)
{
	union {
		const char *from;
		void *to;
	} p = {.from = body.n > 0 ? body.p : ""};
	struct MHD_Response *response = MHD_create_response_from_buffer(body.n, p.to, mode);
	tama_assert(response != NULL);
	return response;
}

static enum MHD_Result queue(struct turn *turn, unsigned status, struct MHD_Response *response)
{
	atomic_store_explicit(&turn->stage, TURN_QUEUED, memory_order_relaxed);
	enum MHD_Result result = MHD_queue_response(turn->mhd, status, response);
	MHD_destroy_response(response);
	return result;
}

static struct http_worker *worker_of(const struct turn *turn)
{
	return turn->conn->worker;
}

/*
 * Bytes as they are, and the end of the connection. What does not fit the socket's buffer is lost:
 * the caller plays a counterpart that breaks off.
 */
static enum MHD_Result send_raw(struct turn *turn, struct str bytes)
{
	atomic_store_explicit(&turn->stage, TURN_QUEUED, memory_order_relaxed);
	if (bytes.n > 0)
		(void)send(turn->conn->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return MHD_NO;
}

/* An empty answer that ends the connection. */
static enum MHD_Result queue_close(struct turn *turn, unsigned status)
{
	struct MHD_Response *response = response_new(STR(""), MHD_RESPMEM_PERSISTENT);
	if (MHD_add_response_header(response, "Connection", "close") == MHD_NO) {
		MHD_destroy_response(response);
		return MHD_NO;
	}
	return queue(turn, status, response);
}

/*
 * A reply that HTTP cannot carry (a status out of range, a line break in a field, no memory left
 * for it in the turn) is a mistake on our side or in a script: 500.
 */
static enum MHD_Result queue_reply(
	struct turn *turn, const struct http_reply *reply, enum MHD_ResponseMemoryMode mode)
{
	if (reply->status == 0 && worker_of(turn)->in->config.allow_raw)
		return send_raw(turn, reply->body);
	if (reply->status < 200 || reply->status > 599)
		return queue_close(turn, 500);
	struct MHD_Response *response = response_new(reply->body, mode);
	if (add_fields(response, &turn->pub.arena, reply))
		return queue(turn, reply->status, response);
	MHD_destroy_response(response);
	return queue_close(turn, 500);
}

static enum MHD_Result refuse(struct turn *turn, unsigned status)
{
	atomic_fetch_add_explicit(&worker_of(turn)->refused, 1, memory_order_relaxed);
	if (!http_conn_enter(turn->conn, CONN_BUSY))
		return MHD_NO;
	return queue_close(turn, status);
}

static enum MHD_Result head_complete(struct turn *turn, const char *method, const char *version)
{
	unsigned status = http_in_check_head(turn, method, version);
	if (status != 0)
		return refuse(turn, status);
	if (atomic_load(&worker_of(turn)->in->is_quiesced)) {
		if (!http_conn_enter(turn->conn, CONN_BUSY))
			return MHD_NO;
		return queue_close(turn, 503);
	}
	if (!http_conn_enter(turn->conn, CONN_BODY))
		return MHD_NO;
	atomic_store_explicit(&turn->stage, TURN_BODY, memory_order_relaxed);
	return MHD_YES;
}

static bool body_reserve(struct turn *turn, size_t need)
{
	size_t cap = turn->body_cap == 0 ? need : turn->body_cap;
	if (need <= turn->body_cap)
		return true;
	/* Doubling in an arena costs at most as much again; most bodies come in one piece. */
	while (cap < need)
		cap *= 2;
	char *grown = arena_alloc(&turn->pub.arena, cap);
	if (grown == NULL)
		return false;
	if (turn->pub.request.body.n > 0)
		memcpy(grown, turn->body, turn->pub.request.body.n);
	turn->body = grown;
	turn->body_cap = cap;
	return true;
}

/*
 * The library gives a connection's buffer back to the heap as it is. Codes are typed in it, so what
 * has been read is wiped: it is ours to read once, and the library looks at it no more.
 */
static void wipe(const char *read, size_t len)
{
	union {
		const char *from;
		void *to;
	} p = {.from = read};
	explicit_bzero(p.to, len);
}

static enum MHD_Result body_append(struct turn *turn, const char *piece, size_t len)
{
	struct str *body = &turn->pub.request.body;
	turn->body_seen += len;
	if (turn->body_seen > LIMIT_HTTP_BODY_BYTES)
		return turn->body_seen > SWALLOW_BYTES ? MHD_NO : MHD_YES;
	if (!body_reserve(turn, turn->body_seen))
		return MHD_NO;
	memcpy(turn->body + body->n, piece, len);
	*body = (struct str){turn->body, turn->body_seen};
	return MHD_YES;
}

static void owe_less(struct http_worker *worker)
{
	atomic_fetch_sub(&worker->owed, 1);
	if (atomic_load(&worker->in->is_stopping))
		http_in_signal(worker->in);
}

/*
 * The handler said HTTP_LATER: suspends, unless the answer (or the word to go on) came in between;
 * the library then calls again once it has taken the connection back.
 */
static enum MHD_Result park(struct turn *turn)
{
	struct http_worker *worker = worker_of(turn);
	MHD_suspend_connection(turn->mhd);
	atomic_fetch_add(&worker->suspended, 1);
	int stage = TURN_RUNNING;
	if (atomic_compare_exchange_strong(&turn->stage, &stage, TURN_PARKED))
		return MHD_YES;
	atomic_fetch_sub(&worker->suspended, 1);
	MHD_resume_connection(turn->mhd);
	if (stage == TURN_ANSWERED)
		owe_less(worker);
	return MHD_YES;
}

static enum MHD_Result handle(struct turn *turn)
{
	struct http_worker *worker = worker_of(turn);
	const struct http_in_config *config = &worker->in->config;
	struct http_reply reply = {0};
	atomic_store(&turn->stage, TURN_RUNNING);
	if (config->handler(config->ctx, &turn->pub, &reply) == HTTP_LATER)
		return park(turn);
	owe_less(worker);
	return queue_reply(turn, &reply, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result run(struct turn *turn)
{
	struct http_worker *worker = worker_of(turn);
	if (turn->body_seen > LIMIT_HTTP_BODY_BYTES)
		return refuse(turn, 413);
	if (!http_conn_enter(turn->conn, CONN_BUSY))
		return MHD_NO;
	/* First the count, then the flag: http_in_stop sets the flag and then reads the count. */
	atomic_fetch_add(&worker->owed, 1);
	if (atomic_load(&worker->in->is_quiesced)) {
		owe_less(worker);
		return queue_close(turn, 503);
	}
	atomic_fetch_add(&worker->busy, 1);
	atomic_fetch_add_explicit(&worker->requests, 1, memory_order_relaxed);
	turn->was_handled = true;
	return handle(turn);
}

enum MHD_Result http_in_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len,
	void **slot)
{
	struct turn *turn = *slot;
	tama_assert(turn != NULL && turn->mhd == mhd);
	switch ((enum turn_stage)atomic_load(&turn->stage)) {
	case TURN_HEAD:
		return head_complete(turn, method, version);
	case TURN_BODY:
		if (*upload_len > 0) {
			size_t len = *upload_len;
			*upload_len = 0;
			enum MHD_Result result = body_append(turn, upload, len);
			wipe(upload, len);
			return result;
		}
		return run(turn);
	case TURN_ANSWERED:
		return queue_reply(turn, &turn->reply, MHD_RESPMEM_PERSISTENT);
	case TURN_CONTINUED:
		return handle(turn);
	case TURN_RUNNING:
	case TURN_PARKED:
	case TURN_QUEUED:
		break;
	}
	return MHD_NO;
}

/* True when the library itself has refused the head: 400, 413, 414, 431 or 505. */
static bool was_refused_by_library(const struct turn *turn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(turn->mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
	return atomic_load(&turn->stage) <= TURN_BODY && info != NULL && info->http_status >= 400;
}

void http_in_on_completed(
	void *cls, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode why)
{
	struct http_worker *worker = cls;
	struct turn *turn = *slot;
	if (turn == NULL)
		return;
	*slot = NULL;
	if (was_refused_by_library(turn))
		atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
	/* Told to go on, but the peer was gone before the handler could be called again. */
	if (atomic_load(&turn->stage) == TURN_CONTINUED)
		owe_less(worker);
	(void)http_conn_enter(turn->conn, CONN_AWAITS);
	bool was_handled = turn->was_handled;
	if (was_handled && worker->in->config.done != NULL)
		worker->in->config.done(worker->in->config.ctx, &turn->pub,
			why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	if (turn->head.p != NULL)
		wipe(turn->head.p, turn->head.n);
	else
		wipe(turn->target_at, turn->target.n);
	turn_give(worker, turn);
	if (!was_handled)
		return;
	atomic_fetch_sub(&worker->busy, 1);
	if (atomic_load(&worker->in->is_stopping))
		http_in_signal(worker->in);
}

/* Into the turn's arena: false when it has no room left. */
static bool reply_copy(struct turn *turn, const struct http_reply *reply)
{
	struct arena *arena = &turn->pub.arena;
	struct http_field *fields = arena_alloc(arena, reply->fields_len * sizeof(*fields));
	if (fields == NULL)
		return false;
	for (size_t i = 0; i < reply->fields_len; i++) {
		fields[i].name = arena_str(arena, reply->fields[i].name);
		fields[i].value = arena_str(arena, reply->fields[i].value);
	}
	turn->reply = (struct http_reply){
		.status = reply->status,
		.type = arena_str(arena, reply->type),
		.fields = fields,
		.fields_len = reply->fields_len,
		.body = arena_str(arena, reply->body),
	};
	return !arena_overflowed(arena);
}

/*
 * The suspended connection goes back to its worker. Under the lock to the end, because http_in_stop
 * may free all this right behind it.
 */
static void resume(struct http_worker *worker, struct MHD_Connection *mhd, bool is_answered)
{
	struct http_in *in = worker->in;
	MHD_resume_connection(mhd);
	tama_assert(pthread_mutex_lock(&in->lock) == 0);
	atomic_fetch_sub(&worker->suspended, 1);
	if (is_answered)
		atomic_fetch_sub(&worker->owed, 1);
	if (atomic_load(&in->is_stopping))
		tama_assert(pthread_cond_broadcast(&in->changed) == 0);
	tama_assert(pthread_mutex_unlock(&in->lock) == 0);
}

void http_in_answer(struct http_turn *pub, const struct http_reply *reply)
{
	struct turn *turn = turn_of(pub);
	struct MHD_Connection *mhd = turn->mhd;
	struct http_worker *worker = worker_of(turn);
	if (!reply_copy(turn, reply))
		turn->reply = (struct http_reply){.status = 500};
	int was = atomic_exchange(&turn->stage, TURN_ANSWERED);
	tama_assert(was == TURN_RUNNING || was == TURN_PARKED);
	if (was == TURN_PARKED)
		resume(worker, mhd, true);
}

void http_in_continue(struct http_turn *pub)
{
	struct turn *turn = turn_of(pub);
	struct MHD_Connection *mhd = turn->mhd;
	struct http_worker *worker = worker_of(turn);
	int was = atomic_exchange(&turn->stage, TURN_CONTINUED);
	tama_assert(was == TURN_RUNNING || was == TURN_PARKED);
	if (was == TURN_PARKED)
		resume(worker, mhd, false);
}
