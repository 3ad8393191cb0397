/*
 * The wire thread: everything that leaves this host (providers, SMS) and every provider's bytes
 * that arrive. It owns the provider and SMS dialects and libcurl; it decides nothing about money.
 * Requests come as jobs; answers go to the engine as events.
 *
 * Secrets meet requests here only: a dialect writes marks ("{{api_key}}"), and marks_fill puts the
 * values in after the body has been hashed, just before the bytes are handed to libcurl.
 */
#ifndef TAMA_WIRE_H
#define TAMA_WIRE_H

#include "tama/engine.h"
#include "tama/http_in.h"
#include "tama/secrets.h"

struct wire;

struct wire_config {
	const struct config *config; /* a reference is taken */
	const struct vault *vault; /* must outlive the wire */
	struct secrets *secrets; /* likewise */
	/* Hands an event to the engine; never refuses (evidence must not be lost). */
	void (*post)(void *ctx, struct engine_event *event);
	void *ctx;
	/* One masked line for the operator, counted by what. */
	void (*alarm)(void *ctx, const char *what, struct str ref, const char *detail);
};

struct wire_stats {
	uint64_t money_requests, queries, sms, logins, ipns;
	uint64_t waiting; /* jobs in the queue */
};

int wire_start(const struct wire_config *config, struct wire **out, struct err *err);

/*
 * Stops the thread; transfers under way end as broken and are posted, requests that were not begun
 * as not sent, and IPNs not yet read are answered 503. The effects below may still be asked for
 * until wire_stop, and do nothing but say so.
 */
void wire_halt(struct wire *wire);

/* Halts and frees; the engine must have stopped. *wire becomes NULL. */
void wire_stop(struct wire **wire);

/* Jobs and transfers that have not ended. */
size_t wire_busy(struct wire *wire);

void wire_set_config(struct wire *wire, const struct config *config);
void wire_stats(struct wire *wire, struct wire_stats *out);

/* The effects of struct engine_world, ctx being the wire. False: the queue is full. */
bool wire_prepare(void *wire, const struct wire_attempt *attempt);
bool wire_go(
	void *wire, uint32_t partner, uint64_t attempt, uint32_t epoch, int64_t claimed_boot_ms);
void wire_drop(void *wire, uint64_t attempt, uint32_t epoch);
bool wire_query(void *wire, const struct wire_attempt *attempt);
bool wire_send_sms(void *wire, const struct wire_sms *sms);
bool wire_ask_account(void *wire, const struct wire_account *ask);

/*
 * An IPN whose path and source are verified: parsed here, then decided by the engine, then the turn
 * is answered. Takes over the answer of the turn. account borrows from a configuration that the
 * turn's owner keeps referenced until answered. False: full, and the caller answers 503.
 */
bool wire_ipn(struct wire *wire, struct http_turn *turn, const struct account *account,
	struct str path_ref, struct str rest);

/* CLOCK_REALTIME and CLOCK_BOOTTIME in milliseconds. */
int64_t clock_wall_ms(void);
int64_t clock_boot_ms(void);

#endif
