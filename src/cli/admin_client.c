/* Asks the running server on its socket, or answers with the store's lock in hand. */
#include "admin_client.h"

#include "tama/config.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_BYTES ADMIN_ANSWER_BYTES

/* ---- where the store is ------------------------------------------------------------------------
 */

struct place {
	const struct config *config; /* NULL without -c */
	struct str data;
	char socket[ADMIN_PATH_MAX];
};

static void print_problem(void *ctx, const char *line)
{
	(void)fprintf(stderr, "%s\n", line);
	(void)ctx;
}

static int place_find(const struct admin_target *target, struct place *out, struct err *err)
{
	struct config_options how = {.settings = target->settings.items,
		.settings_len = target->settings.n,
		.problem = print_problem};
	struct str configured = {NULL, 0};
	struct err why = ERR_INIT;
	int rc = 0;

	*out = (struct place){.data = str_c(target->data)};
	if (target->config != NULL)
		rc = config_load(target->config, &how, &out->config, &why);
	if (rc == TAMA_EINVAL)
		return err_set(err, rc, "%s is wrong, as said above", target->config);
	if (rc != 0)
		return err_set(err, rc, "%s", why.text);
	if (out->config != NULL) {
		configured = out->config->socket;
		out->data = target->data != NULL ? str_c(target->data) : out->config->data_dir;
	}
	if (target->socket != NULL)
		configured = str_c(target->socket);
	if (out->data.n == 0 && configured.n == 0)
		return err_set(err, TAMA_EINVAL,
			"where is the store? -c FILE, --data DIR or --socket FILE");
	return admin_socket_path(out->data, configured, out->socket, err);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

struct reading {
	const struct admin_target *target;
	admin_row_fn row;
	void *ctx;
	struct err *err;
	bool is_ended;
	int rc;
};

static void read_line(struct reading *r, struct str line)
{
	json_t *object = json_loadb(line.p, line.n, 0, NULL);
	const char *error = json_string_value(json_object_get(object, "error"));

	if (error != NULL) {
		r->rc = err_set(r->err, (int)row_number(object, "code"), "%s", error);
		r->is_ended = true;
	} else if (json_is_true(json_object_get(object, "end")))
		r->is_ended = true;
	else if (object == NULL)
		r->rc = err_set(r->err, TAMA_EINVAL, "the server's answer is not understood");
	else if (r->target->is_json)
		(void)printf("%.*s\n", STR_ARG(line));
	else
		r->row(r->ctx, object);
	json_decref(object);
}

static int read_answer(struct reading *r, struct str text)
{
	while (text.p != NULL && !r->is_ended && r->rc == 0) {
		struct str line = str_cut(&text, '\n');

		if (line.n > 0)
			read_line(r, line);
	}
	if (!r->is_ended && r->rc == 0)
		r->rc = err_set(r->err, TAMA_EIO, "the answer broke off");
	return r->rc < 0 ? r->rc : r->rc == 0 ? 0 : TAMA_EIO;
}

/* ---- the server --------------------------------------------------------------------------------
 */

/* -1 when nobody listens there; TAMA_... with a message when somebody does and refuses us. */
static int dial(const char *path, int *fd_out, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
		*fd_out = fd;
		return 0;
	}
	int why = errno;

	if (fd >= 0)
		(void)close(fd);
	if (why == ENOENT || why == ECONNREFUSED || why == ENOTDIR)
		return TAMA_ENOTFOUND;
	return err_set(err, TAMA_EAUTH, "%s: %s", path, strerror(why));
}

static bool say(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);

		if (n <= 0 && errno != EINTR)
			return false;
		text = str_from(text, n > 0 ? (size_t)n : 0);
	}
	return true;
}

static void hear(int fd, struct buf *out)
{
	char block[16 * 1024];
	ssize_t n;

	while ((n = recv(fd, block, sizeof(block), 0)) != 0) {
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0)
			buf_add(out, block, (size_t)n);
	}
}

static int ask_server(int fd, const char *request, struct buf *out, struct err *err)
{
	if (!say(fd, str_c(request)) || !say(fd, STR("\n")))
		return err_set(err, TAMA_EIO, "the server: %s", strerror(errno));
	hear(fd, out);
	return 0;
}

/* ---- ourselves ---------------------------------------------------------------------------------
 */

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static void tell_alarm(void *ctx, const char *what, struct str ref, const char *detail)
{
	(void)ctx;
	(void)fprintf(
		stderr, "tama: %s%s%.*s: %s\n", what, ref.n > 0 ? " " : "", STR_ARG(ref), detail);
}

/*
 * Files that root makes beside the database (the log, the mark) would be closed to the server. Who
 * decides is the real user, whatever the effective one.
 */
static int become_owner(struct str data, struct err *err)
{
	char path[PATH_MAX];
	struct stat db;

	(void)snprintf(path, sizeof(path), "%.*s/tama.db", STR_ARG(data));
	if (geteuid() != 0)
		return 0;
	if (stat(path, &db) == 0 &&
		(db.st_uid == 0 || (setegid(db.st_gid) == 0 && seteuid(db.st_uid) == 0)))
		return 0;
	return err_set(err, TAMA_EIO, "%s: %s", path, strerror(errno));
}

/* The mark is that of the configuration's own store: another's is not to be written there. */
static int decide_alone(void *ctx, struct engine_event *event, struct err *err)
{
	struct admin_alone *alone = ctx;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int rc;

	if (!str_eq(alone->store.dir, alone->config->data_dir))
		return err_set(err, TAMA_EINVAL,
			"with no server a decision is written where the configuration says: leave "
			"--data away");
	rc = become_owner(alone->store.dir, err);
	if (rc == 0)
		rc = admin_decide_alone(alone, event, err);
	tama_assert(seteuid(uid) == 0 && setegid(gid) == 0);
	return rc;
}

/* Takes the lock over. */
static int answer_locked(
	const struct place *place, int lock, const char *request, struct buf *out, struct err *err)
{
	struct vault *vault = NULL;
	struct admin_user user;
	struct admin_alone alone = {.config = place->config, .alarm = tell_alarm};
	const struct admin_world world = {.store = &alone.store,
		.config = place->config,
		.decide = decide_alone,
		.is_ending = never,
		.ctx = &alone};
	int rc = vault_new(place->config->master_key, &vault, err);

	alone.store = (struct store_config){
		.dir = place->data, .vault = vault, .mark = place->config->mark, .lock = lock};
	admin_user_of(getuid(), &user);
	if (rc == 0)
		admin_answer(&world, &user, str_c(request), out);
	vault_free(&vault);
	if (alone.store.lock > 0)
		(void)close(alone.store.lock);
	return rc;
}

static int ask_store(
	const struct place *place, const char *request, struct buf *out, struct err *err)
{
	struct err why = ERR_INIT;
	int lock = -1, rc;

	if (place->config == NULL)
		return err_set(err, TAMA_ENOTFOUND,
			"no server answers at %s; without one give -c FILE, whose key opens the "
			"store",
			place->socket);
	rc = store_lock(place->data, &lock, &why);
	if (rc == TAMA_ECONFLICT)
		return err_set(err, rc,
			"no server answers at %s, yet %.*s is in use: a server is starting or "
			"ending, or another command is at work; ask again",
			place->socket, STR_ARG(place->data));
	return rc == 0 ? answer_locked(place, lock, request, out, err)
		       : err_set(err, rc, "%s", why.text);
}

static int ask(const struct place *place, const char *request, struct buf *out, struct err *err)
{
	int fd = -1, rc = dial(place->socket, &fd, err);

	if (rc == TAMA_ENOTFOUND)
		return ask_store(place, request, out, err);
	if (rc == 0)
		rc = ask_server(fd, request, out, err);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int admin_ask(const struct admin_target *target, json_t *request, admin_row_fn row, void *ctx)
{
	struct err err = ERR_INIT;
	struct reading reading = {.target = target, .row = row, .ctx = ctx, .err = &err};
	char *text = json_dumps(request, JSON_COMPACT);
	struct place place;
	struct buf answer;
	int rc = place_find(target, &place, &err);

	json_decref(request);
	buf_init(&answer, LINE_BYTES + 4096);
	if (rc == 0 && text == NULL)
		rc = err_set(&err, TAMA_EINVAL, "an argument is no UTF-8");
	if (rc == 0)
		rc = ask(&place, text, &answer, &err);
	if (rc == 0)
		rc = read_answer(&reading, buf_str(&answer));
	if (rc != 0)
		(void)fprintf(stderr, "tama: %s\n", err.text);
	free(text);
	buf_fini(&answer);
	config_unref(&place.config);
	return rc == 0 ? 0 : CLI_FAILED;
}

bool admin_data_dir(const struct admin_target *target, char *out, size_t size)
{
	struct err err = ERR_INIT;
	struct place place;
	int rc = place_find(target, &place, &err);

	if (rc == 0 && place.data.n > 0 && place.data.n < size)
		(void)snprintf(out, size, "%.*s", STR_ARG(place.data));
	else
		(void)fprintf(stderr, "tama: %s\n",
			rc != 0 ? err.text : "which data directory? -c FILE or --data DIR");
	config_unref(&place.config);
	return rc == 0 && place.data.n > 0 && place.data.n < size;
}

int admin_line(struct cli_line *line, struct admin_target *target, int argc, char **argv)
{
	int status = settings_take(&argc, argv, &target->settings);

	if (status == 0)
		status = cli_read(line, argc, argv);
	return status == 0 ? 0 : status == 1 ? 1 : CLI_USAGE + 1;
}

/* ---- how rows are printed ----------------------------------------------------------------------
 */

const char *row_text(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text != NULL ? text : "";
}

int64_t row_number(const json_t *row, const char *name)
{
	return json_integer_value(json_object_get(row, name));
}

const char *time_text(int64_t ms, char out[static TIME_TEXT])
{
	time_t seconds = (time_t)(ms / 1000);
	char day[24];
	struct tm t;

	if (ms <= 0 || gmtime_r(&seconds, &t) == NULL)
		(void)snprintf(out, TIME_TEXT, "-");
	else if (strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &t) > 0)
		(void)snprintf(out, TIME_TEXT, "%s.%03d", day, (int)(ms % 1000));
	return out;
}

const char *amount_text(int64_t amount, const char *currency, char out[static AMOUNT_TEXT])
{
	const struct currency *known = currency_find(str_c(currency));
	char text[MONEY_TEXT_MAX];
	int64_t absolute = amount < 0 ? -amount : amount;

	if (known == NULL)
		(void)snprintf(out, AMOUNT_TEXT, "%lld %.3s", (long long)amount, currency);
	else {
		money_format(absolute, known, text);
		(void)snprintf(out, AMOUNT_TEXT, "%s%s", amount < 0 ? "-" : "", text);
	}
	return out;
}
