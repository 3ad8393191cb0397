/* Requests of the person at night: found by name, answered in lines. */
#include "admin_priv.h"

#include "tama/file.h"
#include "tama/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sys/un.h>
#include <unistd.h>

void admin_user_of(uid_t uid, struct admin_user *out)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	out->uid = uid;
	if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found != NULL)
		(void)snprintf(out->name, sizeof(out->name), "%.63s", found->pw_name);
	else
		(void)snprintf(out->name, sizeof(out->name), "uid:%u", (unsigned)uid);
}

int admin_socket_path(struct str data_dir, struct str configured, char out[static ADMIN_PATH_MAX],
	struct err *err)
{
	int n = configured.n > 0
			? snprintf(out, ADMIN_PATH_MAX, "%.*s", STR_ARG(configured))
			: snprintf(out, ADMIN_PATH_MAX, "%.*s/tama.sock", STR_ARG(data_dir));

	_Static_assert(
		sizeof(((struct sockaddr_un *)NULL)->sun_path) == ADMIN_PATH_MAX, "sun_path");
	if (n < ADMIN_PATH_MAX)
		return 0;
	return err_set(err, TAMA_EINVAL,
		"the socket's path has more than %d bytes: gateway { socket = \"...\" }",
		ADMIN_PATH_MAX - 1);
}

/* ---- what the functions share ------------------------------------------------------------------
 */

int admin_reader(struct admin_turn *turn)
{
	if (turn->reader != NULL)
		return 0;
	return store_reader_open(turn->world->store, &turn->reader, &turn->err);
}

const char *admin_text_of(const struct admin_turn *turn, const char *name)
{
	const char *text = json_string_value(json_object_get(turn->request, name));

	return text != NULL ? text : "";
}

int64_t admin_number_of(const struct admin_turn *turn, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(turn->request, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

void admin_say(struct admin_turn *turn, json_t *object)
{
	char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

	if (text != NULL) {
		buf_add_str(turn->out, str_c(text));
		buf_add_char(turn->out, '\n');
	}
	free(text);
	json_decref(object);
}

void admin_say_all(struct admin_turn *turn, json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		admin_say(turn, json_incref(json_array_get(list, i)));
	json_decref(list);
}

static int append(const char *dir, const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t n = strlen(text);
	int rc = 0;

	if (fd < 0)
		return TAMA_EIO;
	if (file_give_to_owner(fd, AT_FDCWD, dir) != 0 || file_write_all(fd, text, n) != 0 ||
		fdatasync(fd) != 0)
		rc = TAMA_EIO;
	(void)close(fd);
	return rc;
}

int admin_audit(struct admin_turn *turn, const char *what, struct str ref, struct str reason)
{
	char dir[PATH_MAX], path[PATH_MAX + 16], *text;
	struct buf line;
	json_t *entry =
		json_pack("{s:I, s:s, s:I, s:s, s:o, s:o}", "ms", (json_int_t)clock_wall_ms(),
			"user", turn->user->name, "uid", (json_int_t)turn->user->uid, "what", what,
			"ref", admin_string(ref), "reason", admin_masked(reason));
	int rc;

	text = entry != NULL ? json_dumps(entry, JSON_COMPACT) : NULL;
	json_decref(entry);
	if (text == NULL)
		return err_set(&turn->err, TAMA_ENOMEM, "out of memory");
	buf_init(&line, ADMIN_REQUEST_BYTES * 8);
	buf_printf(&line, "%s\n", text);
	buf_add_char(&line, '\0');
	(void)snprintf(dir, sizeof(dir), "%.*s", STR_ARG(turn->world->store->dir));
	(void)snprintf(path, sizeof(path), "%s/audit.log", dir);
	rc = append(dir, path, line.p);
	buf_fini(&line);
	if (turn->world->log != NULL)
		log_event(turn->world->log, "warn", what, ref, str_c(turn->user->name));
	free(text);
	return rc == 0 ? 0 : err_set(&turn->err, rc, "%s: %s", path, strerror(errno));
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static int ping(struct admin_turn *turn)
{
	admin_say(turn, json_pack("{s:s, s:s}", "row", "pong", "user", turn->user->name));
	return 0;
}

static const struct {
	const char *name;
	int (*answer)(struct admin_turn *turn);
} answers[] = {
	{"ping", ping},
	{"purchases.list", admin_purchases_list},
	{"purchases.find", admin_purchases_find},
	{"purchases.show", admin_purchases_show},
	{"review.list", admin_review_list},
	{"review.show", admin_review_show},
	{"review.decide", admin_review_decide},
	{"verify", admin_verify},
	{"backup", admin_backup},
	{"standby", admin_standby},
	{"books", admin_books},
	{"reconcile", admin_reconcile},
};

/* Numbers in full leave a trace before they are shown, or are not shown. */
static int permit_full(struct admin_turn *turn, const char *what)
{
	const char *reason = admin_text_of(turn, "reason");
	const char *about = admin_text_of(turn, "ref");

	if (!json_is_true(json_object_get(turn->request, "full")))
		return 0;
	if (reason[0] == '\0')
		return err_set(&turn->err, TAMA_EINVAL, "numbers in full want a reason");
	turn->is_full = true;
	return admin_audit(turn, what, str_c(about), str_c(reason));
}

static int dispatch(struct admin_turn *turn)
{
	const char *name = admin_text_of(turn, "do");

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (strcmp(answers[i].name, name) != 0)
			continue;
		int rc = permit_full(turn, "full_numbers");
		return rc == 0 ? answers[i].answer(turn) : rc;
	}
	return err_set(&turn->err, TAMA_EINVAL, "no such request: \"%.40s\"", name);
}

void admin_answer(const struct admin_world *world, const struct admin_user *user,
	struct str request, struct buf *out)
{
	struct admin_turn turn = {.world = world, .user = user, .out = out};
	json_t *parsed = json_loadb(request.p, request.n, JSON_REJECT_DUPLICATES, NULL);
	int rc = TAMA_EINVAL;

	turn.request = parsed;
	if (json_is_object(parsed))
		rc = dispatch(&turn);
	else
		(void)err_set(&turn.err, rc, "the request is no JSON object");
	if (rc == 0 && out->overflowed) {
		buf_reset(out);
		rc = err_set(&turn.err, TAMA_ENOMEM, "the answer is too long: ask for less");
	}
	if (rc != 0 && turn.err.text[0] == '\0')
		(void)err_set(&turn.err, rc, "the store does not answer (%d)", rc);
	admin_say(&turn, rc == 0 ? json_pack("{s:b}", "end", 1)
				 : json_pack("{s:o, s:i}", "error",
					   admin_string(str_c(turn.err.text)), "code", rc));
	store_reader_close(&turn.reader);
	json_decref(parsed);
}
