/* `tama backup`: a copy by the server's own hand, and how the standby stands. */
#include "admin_priv.h"

#include "tama/backup.h"

#include <sodium.h>

static bool is_ending(void *ctx)
{
	const struct admin_world *world = ctx;

	return world->is_ending(world->ctx);
}

static json_t *manifest_row(const char *dest, const struct manifest *m)
{
	char hex[2 * MANIFEST_HASH + 1];

	(void)sodium_bin2hex(hex, sizeof(hex), m->hash, sizeof(m->hash));
	return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "row", "backup",
		"dest", admin_string(str_c(dest)), "store_id", m->store_id, "schema",
		(json_int_t)m->schema, "generation", (json_int_t)m->generation, "purchases",
		(json_int_t)m->purchases, "last_id", (json_int_t)m->last_id, "bytes",
		(json_int_t)m->bytes, "made_ms", (json_int_t)m->made_ms, "blake2b", hex);
}

int admin_backup(struct admin_turn *turn)
{
	const char *dest = admin_text_of(turn, "dest");
	struct manifest made;
	int rc;

	if (dest[0] != '/')
		return err_set(&turn->err, TAMA_EINVAL, "a backup's place is an absolute path");
	/* Its own copy of everything: who asked for it is written down. */
	rc = admin_audit(turn, "backup", str_c(dest), STR(""));
	if (rc == 0)
		rc = store_backup(turn->world->store->dir, dest, is_ending,
			(void *)(uintptr_t)turn->world, &made, &turn->err);
	if (rc == 0)
		admin_say(turn, manifest_row(dest, &made));
	return rc;
}

int admin_standby(struct admin_turn *turn)
{
	struct standby_stats s;

	if (turn->world->standby == NULL)
		return err_set(
			&turn->err, TAMA_ENOTFOUND, "no server runs: nothing is being copied");
	if (!turn->world->standby(turn->world->ctx, &s))
		return err_set(&turn->err, TAMA_ENOTFOUND,
			"no standby is kept: gateway { standby = \"...\" }");
	admin_say(turn, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "row", "standby",
				"whole", s.is_whole, "standby_lag_ms", (json_int_t)s.lag_ms,
				"standby_lag_commits", (json_int_t)(s.commits - s.shipped),
				"commits", (json_int_t)s.commits, "bytes", (json_int_t)s.bytes,
				"bases", (json_int_t)s.bases, "failures", (json_int_t)s.failures));
	return 0;
}
