/* How much was bought since a time: walked from the newest back, until it is too much or all. */
#include "sqlite_priv.h"

/* How finely it is counted, and for how long: beyond the windows that are walked by each (engine's
 * velocity.c). Days are kept. */
static const struct span {
	int64_t ms, kept_ms;
} SPANS[] = {
	{60000, 2 * 3600000},
	{3600000, 3 * 24 * (int64_t)3600000},
	{24 * 3600000, 0},
};

static void bind_key(struct query *query, const struct tally_key *key, const struct span *span)
{
	query_i64(query, ":partner", key->partner);
	query_i64(query, ":of", key->of);
	query_str(query, ":key", key->key);
	query_i64(query, ":span", span->ms);
}

static int span_add(
	struct db *db, const struct tally_key *key, const struct span *span, int64_t value)
{
	struct query query = query_begin(db, ST_TALLY_ADD);

	bind_key(&query, key, span);
	query_i64(&query, ":at", key->at_ms);
	query_i64(&query, ":value", value);
	int result = query_step(&query);
	bool has_begun = result == 1 && query_get_i64(&query) == 1;
	(void)query_end(&query);
	/* Old ones go when one begins. */
	if (result < 0 || !has_begun || span->kept_ms == 0)
		return result < 0 ? result : 0;
	query = query_begin(db, ST_TALLY_DROP);
	bind_key(&query, key, span);
	query_i64(&query, ":before", key->at_ms - span->kept_ms);
	return query_run(&query, NULL);
}

int tally_add(struct db *db, const struct tally_key *key, int64_t value)
{
	int result = 0;

	for (size_t i = 0; i < sizeof(SPANS) / sizeof(SPANS[0]) && result == 0; i++)
		result = span_add(db, key, &SPANS[i], value);
	return result;
}

static int over_walk(struct query *query, const struct velocity_count *ask, int64_t *over_ms_out)
{
	int64_t count = 0, value = 0;
	int result;

	while ((result = query_step(query)) == 1) {
		int64_t at_ms = query_get_i64(query);

		count += query_get_i64(query);
		value += query_get_i64(query);
		if (count > ask->count_max || value > ask->value_max) {
			*over_ms_out = at_ms;
			return 0;
		}
	}
	return result;
}

/* A number of which there is no row has bought nothing. */
static int over_of_person(struct db *db, const struct velocity_count *ask, int64_t *over_ms_out)
{
	int64_t person = 0;
	int result = person_find(db, ask->partner, ask->key, &person);

	if (result != 0)
		return result == TAMA_ENOTFOUND ? 0 : result;
	struct query query = query_begin(
		db, ask->of == VELOCITY_OF_PAYER ? ST_VELOCITY_PAYER : ST_VELOCITY_BENEFICIARY);
	query_i64(&query, ":partner", ask->partner);
	query_i64(&query, ":person", person);
	query_str(&query, ":currency", ask->currency);
	query_i64(&query, ":since", ask->since_ms);
	result = over_walk(&query, ask, over_ms_out);
	(void)query_end(&query);
	return result;
}

int sqlite_velocity_over(struct store *base, const struct velocity_count *ask, int64_t *over_ms_out)
{
	struct db *db = &sqlite_store_of(base)->db;

	*over_ms_out = 0;
	if (ask->of <= VELOCITY_OF_BENEFICIARY)
		return over_of_person(db, ask, over_ms_out);
	struct query query = query_begin(db, ST_VELOCITY_TALLY);
	query_i64(&query, ":partner", ask->partner);
	query_i64(&query, ":of", ask->of);
	query_str(&query, ":key", ask->key);
	query_i64(&query, ":span", ask->span_ms);
	query_i64(&query, ":since", ask->since_ms);
	int result = over_walk(&query, ask, over_ms_out);
	(void)query_end(&query);
	return result;
}
