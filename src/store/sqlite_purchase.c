/* Purchases: intent written once, state moved by compare-and-set. */
#include "sqlite_priv.h"

static struct seal texts_seal(uint32_t partner, uint64_t id)
{
	return seal_of(VAULT_OUTBOX, 'q', partner, id);
}

/* The columns of PURCHASE in sqlite_statements.c, in their order. */
static void read_row(struct query *query, struct arena *arena, struct purchase_row *out)
{
	memset(out, 0, sizeof(*out));
	out->id = (uint64_t)query_get_i64(query);
	out->partner = (uint32_t)query_get_i64(query);
	query_get_blob(query, out->uid, sizeof(out->uid));
	out->ordinal = (uint8_t)query_get_i64(query);
	out->ref = query_get_str(query, arena);
	out->channel = query_get_str(query, arena);
	out->offer = query_get_str(query, arena);
	out->payer = query_get_number(query, arena);
	out->beneficiary = query_get_number(query, arena);
	out->payer_operator = query_get_str(query, arena);
	out->operator_ = query_get_str(query, arena);
	out->lang = query_get_str(query, arena);
	out->face_value = query_get_i64(query);
	out->fee = query_get_i64(query);
	out->price = query_get_i64(query);
	out->cost = query_get_i64(query);
	out->currency = query_get_str(query, arena);
	out->has_collect = query_get_i64(query) != 0;
	out->has_deliver = query_get_i64(query) != 0;
	query_get_blob(query, out->menu_hash, sizeof(out->menu_hash));
	struct seal seal = texts_seal(out->partner, out->id);
	out->texts = query_get_sealed(query, &seal, arena);
	out->state = (enum purchase_state)query_get_i64(query);
	out->version = (uint32_t)query_get_i64(query);
	out->created_ms = query_get_i64(query);
	out->updated_ms = query_get_i64(query);
	out->collect_fee = query_get_i64(query);
	out->paid_by = query_get_str(query, arena);
}

/* Steps a bound query that yields one row at most, and ends it. */
static int read_one(struct query *query, struct arena *arena, struct purchase_row *out)
{
	struct purchase_row row;
	int result = query_step(query);

	if (result == 1)
		read_row(query, arena, &row);
	int ended = query_end(query);
	if (result <= 0)
		return result == 0 ? TAMA_ENOTFOUND : result;
	if (ended != 0)
		return ended;
	if (arena_overflowed(arena))
		return TAMA_ENOMEM;
	*out = row;
	return 0;
}

int purchase_read_last(struct db *db, uint32_t partner, struct str payer, struct arena *arena,
	struct purchase_row *out)
{
	int64_t person = 0;
	int result = person_find(db, partner, payer, &person);

	if (result != 0)
		return result;
	struct query query = query_begin(db, ST_PURCHASE_LAST);
	query_i64(&query, ":partner", partner);
	query_i64(&query, ":payer", person);
	return read_one(&query, arena, out);
}

int purchase_read_by_ref(struct db *db, uint32_t partner, struct str ref, struct arena *arena,
	struct purchase_row *out)
{
	struct query query = query_begin(db, ST_PURCHASE_BY_REF);

	query_i64(&query, ":partner", partner);
	query_str(&query, ":ref", ref);
	return read_one(&query, arena, out);
}

int purchase_find(struct db *db, uint32_t partner, const unsigned char uid[UID_LEN],
	uint8_t ordinal, uint64_t *id_out)
{
	struct query query = query_begin(db, ST_PURCHASE_ID);

	query_i64(&query, ":partner", partner);
	query_blob(&query, ":uid", uid, UID_LEN);
	query_i64(&query, ":ordinal", ordinal);
	int result = query_step(&query);
	if (result == 1)
		*id_out = (uint64_t)query_get_i64(&query);
	(void)query_end(&query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

static void bind_intent(struct query *query, const struct purchase_row *row)
{
	struct seal seal = texts_seal(row->partner, row->id);

	query_i64(query, ":id", (int64_t)row->id);
	query_i64(query, ":partner", row->partner);
	query_blob(query, ":uid", row->uid, sizeof(row->uid));
	query_i64(query, ":ordinal", row->ordinal);
	query_str(query, ":ref", row->ref);
	query_str(query, ":channel", row->channel);
	query_str(query, ":offer", row->offer);
	query_str(query, ":payer_operator", row->payer_operator);
	query_str(query, ":operator", row->operator_);
	query_str(query, ":lang", row->lang);
	query_i64(query, ":face_value", row->face_value);
	query_i64(query, ":fee", row->fee);
	query_i64(query, ":price", row->price);
	query_i64(query, ":cost", row->cost);
	query_str(query, ":currency", row->currency);
	query_i64(query, ":has_collect", row->has_collect);
	query_i64(query, ":has_deliver", row->has_deliver);
	query_blob(query, ":menu_hash", row->menu_hash, sizeof(row->menu_hash));
	query_sealed(query, ":texts", &seal, row->texts);
	query_i64(query, ":created_ms", row->created_ms);
	query_i64(query, ":collect_fee", row->collect_fee);
	query_str(query, ":paid_by", row->paid_by);
}

/* Into what limits of velocity are walked by. */
static int count(struct db *db, const struct purchase_row *row)
{
	const struct tally_key of_all = {
		row->partner, VELOCITY_OF_ALL, row->currency, row->created_ms};
	const struct tally_key of_channel = {
		row->partner, VELOCITY_OF_CHANNEL, row->channel, row->created_ms};
	int result;

	if (row->state == PURCHASE_CANCELLED || row->state == PURCHASE_EXPIRED)
		return 0;
	result = tally_add(db, &of_all, row->price);
	return result == 0 ? tally_add(db, &of_channel, row->price) : result;
}

int sqlite_purchase_insert(struct store *base, const struct purchase_row *row)
{
	struct sqlite_store *store = sqlite_store_of(base);
	int64_t payer = 0, beneficiary = 0;
	uint64_t other = 0;

	int result = person_intern(store, row->partner, row->payer, &payer);
	if (result == 0)
		result = person_intern(store, row->partner, row->beneficiary, &beneficiary);
	if (result != 0)
		return result;
	struct query query = query_begin(&store->db, ST_PURCHASE_INSERT);
	bind_intent(&query, row);
	query_i64(&query, ":payer", payer);
	query_i64(&query, ":beneficiary", beneficiary);
	query_i64(&query, ":state", row->state);
	query_i64(&query, ":version", row->version);
	query_i64(&query, ":updated_ms", row->updated_ms);
	result = query_run(&query, NULL);
	if (result == 0)
		return count(&store->db, row);
	if (result != TAMA_EEXIST)
		return result;
	/* SQLite tells of one broken key only, and not in a promised order. */
	result = purchase_find(&store->db, row->partner, row->uid, row->ordinal, &other);
	if (result == 0)
		return TAMA_EEXIST;
	return result == TAMA_ENOTFOUND ? TAMA_ECONFLICT : result;
}

int sqlite_purchase_repeated(struct store *base, const struct purchase_row *like, int64_t since_ms,
	struct arena *arena, struct str *ref_out)
{
	struct db *db = &sqlite_store_of(base)->db;
	int64_t payer = 0, beneficiary = 0;
	struct str ref = {NULL, 0};
	int result = person_find(db, like->partner, like->payer, &payer);

	if (result == 0)
		result = person_find(db, like->partner, like->beneficiary, &beneficiary);
	if (result != 0)
		return result;
	struct query query = query_begin(db, ST_PURCHASE_REPEATED);
	query_i64(&query, ":partner", like->partner);
	query_i64(&query, ":payer", payer);
	query_i64(&query, ":beneficiary", beneficiary);
	query_str(&query, ":offer", like->offer);
	query_i64(&query, ":face_value", like->face_value);
	query_i64(&query, ":since", since_ms > 0 ? since_ms : 0);
	result = query_step(&query);
	if (result == 1)
		ref = query_get_str(&query, arena);
	(void)query_end(&query);
	if (result <= 0)
		return result == 0 ? TAMA_ENOTFOUND : result;
	if (ref.p == NULL)
		return TAMA_ENOMEM;
	*ref_out = ref;
	return 0;
}

int sqlite_purchase_get(struct store *base, uint32_t partner, uint64_t id, struct arena *arena,
	struct purchase_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_PURCHASE_GET);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	return read_one(&query, arena, out);
}

int sqlite_purchase_by_key(struct store *base, uint32_t partner, const unsigned char uid[UID_LEN],
	uint8_t ordinal, struct arena *arena, struct purchase_row *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_PURCHASE_BY_KEY);

	query_i64(&query, ":partner", partner);
	query_blob(&query, ":uid", uid, UID_LEN);
	query_i64(&query, ":ordinal", ordinal);
	return read_one(&query, arena, out);
}

int sqlite_purchase_last(struct store *base, uint32_t partner, struct str payer,
	struct arena *arena, struct purchase_row *out)
{
	return purchase_read_last(&sqlite_store_of(base)->db, partner, payer, arena, out);
}

int sqlite_purchase_legs(
	struct store *base, uint32_t partner, uint64_t id, struct purchase_legs *out)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_PURCHASE_LEGS);
	int result;

	out->collect = out->deliver = out->refund = (enum attempt_state)0;
	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	while ((result = query_step(&query)) == 1) {
		enum leg_kind leg = (enum leg_kind)query_get_i64(&query);

		purchase_legs_add(out, leg, (enum attempt_state)query_get_i64(&query));
	}
	(void)query_end(&query);
	return result;
}

int sqlite_purchase_asked(struct store *base, uint32_t partner, uint64_t id, uint64_t attempt)
{
	struct query query = query_begin(&sqlite_store_of(base)->db, ST_PURCHASE_ASKED);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	query_i64(&query, ":attempt", (int64_t)attempt);
	int result = query_step(&query);
	(void)query_end(&query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

int row_exists(struct db *db, enum statement statement, uint32_t partner, uint64_t id)
{
	struct query query = query_begin(db, statement);

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	int result = query_step(&query);
	(void)query_end(&query);
	if (result < 0)
		return result;
	return result == 1 ? 0 : TAMA_ENOTFOUND;
}

int sqlite_purchase_set_state(struct store *base, uint32_t partner, uint64_t id, uint32_t version,
	enum purchase_state state, int64_t now_ms)
{
	struct db *db = &sqlite_store_of(base)->db;
	struct query query = query_begin(db, ST_PURCHASE_SET_STATE);
	int changes = 0;

	query_i64(&query, ":partner", partner);
	query_i64(&query, ":id", (int64_t)id);
	query_i64(&query, ":version", version);
	query_i64(&query, ":state", state);
	query_i64(&query, ":now", now_ms);
	int result = query_run(&query, &changes);
	if (result != 0 || changes == 1)
		return result;
	result = row_exists(db, ST_PURCHASE_EXISTS, partner, id);
	return result == 0 ? TAMA_ECONFLICT : result;
}
