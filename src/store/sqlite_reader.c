/* Look-ups on a connection that cannot write and never checkpoints (finding 5). */
#include "sqlite_priv.h"

#include <limits.h>

static int open_db(struct db *db, const char *path, struct err *err)
{
	int result = db_open(db, path, SQLITE_OPEN_READONLY, err);

	if (result != 0)
		return result;
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	result = db_set_pragmas(db, DB_READER, err);
	if (result == 0)
		result = db_check_pragmas(db, DB_READER, err);
	if (result == 0)
		result = db_check_schema(db, err);
	return result == 0 ? db_prepare(db, err) : result;
}

int store_reader_open(const struct store_config *config, struct store_reader **out, struct err *err)
{
	char path[PATH_MAX];

	if (config->in_memory)
		return err_set(err, TAMA_EINVAL, "a store in memory has no second connection");
	int result = db_path(config->dir, path, err);
	if (result != 0)
		return result;
	struct store_reader *reader = calloc(1, sizeof(*reader));
	tama_assert(reader != NULL);
	reader->db.vault = config->vault;
	result = open_db(&reader->db, path, err);
	if (result != 0) {
		store_reader_close(&reader);
		return result;
	}
	*out = reader;
	return 0;
}

void store_reader_close(struct store_reader **reader)
{
	if (*reader != NULL) {
		views_close(*reader);
		db_close(&(*reader)->db);
	}
	free(*reader);
	*reader = NULL;
}

int store_reader_purchase_last(struct store_reader *reader, uint32_t partner, struct str payer,
	struct arena *arena, struct purchase_row *out)
{
	return purchase_read_last(&reader->db, partner, payer, arena, out);
}

int store_reader_purchase_by_ref(struct store_reader *reader, uint32_t partner, struct str ref,
	struct arena *arena, struct purchase_row *out)
{
	return purchase_read_by_ref(&reader->db, partner, ref, arena, out);
}
