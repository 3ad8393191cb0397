/* How much was bought since a time: walked from the newest back, until it is too much or all. */
#include "sqlite_priv.h"

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
