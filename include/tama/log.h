/*
 * What the operator reads: one JSON object a line on standard error, each event counted by name for
 * /metrics. Values are escaped; numbers come masked and secrets never (callers pass neither). Lines
 * of one name are limited to a few a second, and the next one tells how many were left out.
 */
#ifndef TAMA_LOG_H
#define TAMA_LOG_H

#include "tama/buf.h"
#include "tama/str.h"

struct log;

int log_new(int fd, struct log **out);
void log_free(struct log **log);

/* level: "info", "warn", "alarm". ref and detail may be empty. From any thread. */
void log_event(
	struct log *log, const char *level, const char *what, struct str ref, struct str detail);

/* Appends "tama_events_total{what="..."} N" lines. */
void log_metrics(struct log *log, struct buf *out);

#endif
