/* Plays what lies beside a service or a dialect: transcripts, and exchanges with a peer. */
#include "check_priv.h"

#include "tama/dialect_play.h"
#include "tama/limits.h"
#include "tama/transcript.h"

#include <errno.h>
#include <glob.h>

#define PLAY_BYTES (256 * 1024) /* of one transcript or exchange */

/* ---- transcripts -------------------------------------------------------------------------------
 */

static void save(struct check *check, const char *path, struct str text)
{
	FILE *file = fopen(path, "wb");
	bool is_saved = file != NULL && fwrite(text.p, 1, text.n, file) == text.n;

	if (file != NULL && fclose(file) != 0)
		is_saved = false;
	if (is_saved)
		check_note(check, "%s is written anew", path);
	else
		check_problem(check, "%s:1: %s", path, strerror(errno));
}

static void play(struct check *check, const struct service *service, const char *path)
{
	const struct transcript transcript = {path, check->menus, check->config, service};
	struct transcript_stats stats;
	struct err err = ERR_INIT;
	struct buf recorded;
	struct str text;

	if (!check_read(check, path, PLAY_BYTES, &text))
		return;
	buf_init(&recorded, 2 * PLAY_BYTES);
	int rc = transcript_play(&transcript, text, &recorded, &stats, &err);
	if (rc == TAMA_ECONFLICT && check->is_recording)
		save(check, path, buf_str(&recorded));
	else if (rc != 0)
		check_problem(check, "%s", err.text);
	check->transcripts++;
	buf_fini(&recorded);
}

void check_transcripts(struct check *check, const struct service *service)
{
	struct str pattern =
		arena_printf(&check->arena, "%.*s/*.transcript", STR_ARG(service->dir));
	glob_t found;

	if (pattern.p == NULL || glob(pattern.p, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		play(check, service, found.gl_pathv[i]);
	globfree(&found);
}

/* ---- exchanges ---------------------------------------------------------------------------------
 */

/* "line N: message" becomes "file:N: message". */
static void tell(struct check *check, const char *path, const char *message)
{
	struct str rest = str_c(message);
	const struct str mark = STR("line ");

	if (!str_has_prefix(rest, mark)) {
		check_problem(check, "%s:1: %s", path, message);
		return;
	}
	rest = str_from(rest, mark.n);
	check_problem(check, "%s:%.*s", path, STR_ARG(rest));
}

/* Messages of dialects begin with the chunk's name: without a line they are about the whole file.
 */
static bool add(struct check *check, struct dialect_host *host, const char *path)
{
	struct err err = ERR_INIT;
	struct str source;
	struct str chunk = arena_printf(&check->arena, "=%s", path);

	if (chunk.p == NULL || !check_read(check, path, LIMIT_CONFIG_FILE, &source))
		return false;
	if (dialect_host_add(host, source, chunk.p, &err) == 0)
		return true;
	check_problem(check, "%s", err.text);
	return false;
}

/* In a host of its own: it may bear the name of a standard dialect that it is to replace. */
void check_exchange(
	struct check *check, const char *dialect_path, const char *const *paths, size_t n)
{
	struct dialect_host *host = NULL;
	struct err err = ERR_INIT;
	enum dialect_kind kind = DIALECT_USSD;
	struct str name = STR("");

	if (dialect_host_new(0, &host, &err) != 0)
		check_problem(check, "%s", err.text);
	else if (add(check, host, dialect_path) && dialect_latest(host, &kind, &name))
		for (size_t i = 0; i < n; i++) {
			struct err why = ERR_INIT;
			struct str exchange;
			unsigned checks;

			if (!check_read(check, paths[i], PLAY_BYTES, &exchange))
				continue;
			if (dialect_play(host, kind, name, exchange, &checks, &why) != 0)
				tell(check, paths[i], why.text);
			check->exchanges++;
		}
	dialect_host_free(&host);
}
