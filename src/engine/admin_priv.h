/* The parts of admin_answer: one function a request, rows as JSON. */
#ifndef TAMA_ADMIN_PRIV_H
#define TAMA_ADMIN_PRIV_H

#include "tama/admin.h"

#include <jansson.h>

/* One request being answered. */
struct admin_turn {
	const struct admin_world *world;
	const struct admin_user *user;
	const json_t *request;
	struct store_reader *reader; /* opened by admin_reader when first asked for */
	bool is_full; /* numbers in full: a reason was given and written down */
	struct buf *out;
	struct err err;
};

/* Each answers 0, or a negative enum tama_err with a message in turn->err. */
int admin_purchases_list(struct admin_turn *turn);
int admin_purchases_find(struct admin_turn *turn);
int admin_purchases_show(struct admin_turn *turn);
int admin_review_list(struct admin_turn *turn);
int admin_review_show(struct admin_turn *turn);
int admin_review_decide(struct admin_turn *turn);
int admin_verify(struct admin_turn *turn);
int admin_backup(struct admin_turn *turn);
int admin_standby(struct admin_turn *turn);
int admin_books(struct admin_turn *turn);
int admin_reconcile(struct admin_turn *turn);

/* ---- admin.c ---- */

int admin_reader(struct admin_turn *turn);
const char *admin_text_of(const struct admin_turn *turn, const char *name); /* "" when absent */
int64_t admin_number_of(const struct admin_turn *turn, const char *name, int64_t otherwise);
/* The partner that the request names, by name, or by id where no configuration is at hand. Without
 * one *out stays as it is; TAMA_EINVAL for one that is not known. */
int admin_partner_of(struct admin_turn *turn, uint32_t *out);
/* Takes the object over and writes it as a line. */
void admin_say(struct admin_turn *turn, json_t *object);
void admin_say_all(struct admin_turn *turn, json_t *list);
/* A line in DATA/audit.log, synced, before what it tells of is shown or done. */
int admin_audit(struct admin_turn *turn, const char *what, struct str ref, struct str reason);

/* ---- admin_purchases.c ---- */

/* Appends at most max purchases that ask is narrowed to, page by page. */
int admin_list_into(struct admin_turn *turn, struct store_ask *ask, size_t max, json_t *list);
/* The one purchase of that reference: TAMA_ENOTFOUND, TAMA_ECONFLICT for several partners'. */
int admin_find_ref(struct admin_turn *turn, const char *word, json_t *list);

/* ---- admin_json.c ---- */

/* Any bytes as a JSON string: what is no UTF-8 becomes '?'. */
json_t *admin_string(struct str text);
/* The same with every digit but the last two of each telephone number starred. */
json_t *admin_masked(struct str text);
/* A row of a view as {"row":KIND,...}, numbers of states, legs, verdicts and books as words. */
json_t *admin_row(const struct admin_turn *turn, const char *kind, const struct store_value *values,
	size_t n);

struct admin_rows {
	struct admin_turn *turn;
	const char *kind;
	json_t *list;
};
/* A store_row_fn: appends admin_row to the list of a struct admin_rows. */
bool admin_collect(void *rows, const struct store_value *values, size_t n);

#endif
