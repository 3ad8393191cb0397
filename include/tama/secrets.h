/*
 * OTPs on their way from a phone to a provider: in locked memory only, by handle, for ten minutes
 * at most. A handle means nothing to another process: what was not sent when this one died is never
 * sent.
 */
#ifndef TAMA_SECRETS_H
#define TAMA_SECRETS_H

#include "tama/str.h"

struct secrets;

int secrets_new(struct secrets **out);
void secrets_free(struct secrets **secrets); /* wipes */

/* Copies it in; its handle, or 0 when it is too long, not digits, or the table is full. */
uint32_t secrets_keep(struct secrets *secrets, struct str secret, int64_t now_ms);

/* Copies it out NUL-terminated. TAMA_ENOTFOUND when it is unknown, wiped or too old. */
int secrets_copy(struct secrets *secrets, uint32_t handle, int64_t now_ms, char *out, size_t size);

/* Wipes one. Wipes are silent for handles that are gone. */
void secrets_forget(struct secrets *secrets, uint32_t handle);

/* Wipes those past their time. */
void secrets_sweep(struct secrets *secrets, int64_t now_ms);

#endif
