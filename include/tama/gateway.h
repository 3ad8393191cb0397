/*
 * The gateway: everything `tama serve` runs, made and ended in one place. Threads: N workers of the
 * public listener and one of the private one, the engine, the wire, the reader, and the caller's
 * own, which calls gateway_tick.
 */
#ifndef TAMA_GATEWAY_H
#define TAMA_GATEWAY_H

#include "tama/config.h"
#include "tama/err.h"
#include "tama/log.h"

struct gateway;

/* Opens the store, recovers, starts all threads, listens last. 0 or the first failure. */
int gateway_start(
	const struct config *config, struct log *log, struct gateway **out, struct err *err);

/* Deadlines of hops, expiry of sessions and secrets. Call it every 50 ms or so. */
void gateway_tick(struct gateway *gateway);

/*
 * Swaps the configuration for hops from now on; those under way end on the old one. 0, or what is
 * wrong with a menu or dialect of it, and then nothing has changed. Addresses, the data directory,
 * workers and the master key stay as they were at the start.
 */
int gateway_reload(struct gateway *gateway, const struct config *config, struct err *err);

/* Whether the store has answered "in doubt": the process must end and start again (finding 2). */
bool gateway_is_dead(const struct gateway *gateway);

/*
 * Stops taking calls, waits for hops, commits and requests under way (at most wait_ms), ends all
 * threads, frees. *gateway becomes NULL.
 */
void gateway_stop(struct gateway **gateway, int64_t wait_ms);

/* Where the listeners ended up (port 0 asks the kernel). */
uint16_t gateway_port(const struct gateway *gateway);
uint16_t gateway_admin_port(const struct gateway *gateway);

#endif
