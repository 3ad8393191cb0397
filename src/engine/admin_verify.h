/* The server looks at its own store, by itself and again and again (verify.h). */
#ifndef TAMA_ADMIN_VERIFY_H
#define TAMA_ADMIN_VERIFY_H

#include "tama/log.h"
#include "tama/verify.h"

struct self_check;

struct self_check_config {
	struct str data_dir;
	int64_t every_ms;
	struct log *log; /* alarms "violation" and "verify" */
};

struct self_check_stats {
	uint64_t runs, failures;
	uint64_t purchases, violations; /* of the last run */
	int64_t done_ms; /* when it ended */
};

/* The first look is a minute after the start, or sooner if it is to be repeated sooner. */
int self_check_start(
	const struct self_check_config *config, struct self_check **out, struct err *err);
void self_check_stop(struct self_check **self_check);
void self_check_stats(struct self_check *self_check, struct self_check_stats *out);

#endif
