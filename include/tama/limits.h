/* Every bound in one place. A queue, buffer, count or retry without a line here has no limit. */
#ifndef TAMA_LIMITS_H
#define TAMA_LIMITS_H

/* HTTP in (reliability F-J8). */
#define LIMIT_HTTP_HEADER_BYTES (8 * 1024)
#define LIMIT_HTTP_FIELDS 64
#define LIMIT_HTTP_BODY_BYTES (64 * 1024)
#define LIMIT_HTTP_HEADER_MS 10000
#define LIMIT_HTTP_BODY_MS 20000
#define LIMIT_HTTP_IDLE_S 75
#define LIMIT_HTTP_CONNECTIONS 4096
#define LIMIT_HTTP_PEER_CONNECTIONS 256 /* of one address that is no proxy of ours (F-J9) */
#define LIMIT_HTTP_WORKERS 64
#define LIMIT_HTTP_LEAVE_MS 1000 /* for answers already given, when the listener stops */

/* HTTP out. */
#define LIMIT_REPLY_BYTES (256 * 1024)
#define LIMIT_WIRE_TRANSFERS 256 /* requests to providers and gateways at once */
#define LIMIT_WIRE_JOBS 16384 /* that wait for the wire */
#define LIMIT_JOB_BYTES (512 * 1024)
#define LIMIT_WIRE_POOL 64 /* kept-alive connections */

/* JSON from outside (reliability 5.1). */
#define LIMIT_JSON_DEPTH 16
#define LIMIT_JSON_KEYS 256
#define LIMIT_JSON_VALUES 4096

/* One turn: a hop, an IPN, a reply. */
#define LIMIT_TURN_BYTES (1024 * 1024)

/* Lua (reliability 5.3). */
#define LIMIT_LUA_BYTES (8 * 1024 * 1024)
#define LIMIT_LUA_INSTRUCTIONS 2000000
#define LIMIT_LUA_SUBJECT 4096
#define LIMIT_LUA_PATTERN 64
#define LIMIT_LUA_MATCH_STEPS 20000
#define LIMIT_LUA_STRING (64 * 1024)
#define LIMIT_LUA_ELEMENTS 4096
/* Of the processor's time; a build under ThreadSanitizer is some ten times slower. */
#ifdef __SANITIZE_THREAD__
#define LIMIT_LUA_CPU_MS 2500
#else
#define LIMIT_LUA_CPU_MS 250
#endif

/* Sessions. */
#define LIMIT_SESSIONS 1000000
#define LIMIT_NUMBER_SESSIONS 16 /* of one number on one channel: a storm of redials (F-G12) */
#define LIMIT_SESSION_JOURNAL (4 * 1024)
#define LIMIT_INPUT_BYTES 480
#define LIMIT_PRETYPED 16
#define LIMIT_SECRETS 4096
#define LIMIT_SECRET_BYTES 16

/* Screens. */
#define LIMIT_SCREEN_SEPTETS 182
#define LIMIT_OPTIONS 64

/* Numbers (E.164: at most 15 digits). */
#define MSISDN_MAX 15

/* Configuration. */
#define LIMIT_CONFIG_BYTES (16 * 1024 * 1024)
#define LIMIT_CONFIG_FILE (256 * 1024)
#define LIMIT_CONFIG_FILES 64
#define LIMIT_CONFIG_LIST 256
#define LIMIT_CONFIG_PROBLEMS 500
#define LIMIT_CONFIG_SECRET 1024
#define LIMIT_CONFIG_SECRETS (64 * 1024)

/* MiB that stay free on the data's disk: below, nothing is sold (F-B5). gateway{ disk_reserve }. */
#define LIMIT_DISK_RESERVE_MIB 64

/* Engine. */
#define LIMIT_ENGINE_QUEUE 8192
#define LIMIT_ENGINE_BATCH 256
#define LIMIT_OUTBOX_BATCH 256
#define LIMIT_MARK_MS 1000 /* so old the store's mark may be while there is traffic */
#define LIMIT_ATTEMPTS 250 /* of one leg: only NOT_SENT ones can be many */

/* The engine's clock. */
#define LIMIT_CLOCK_AHEAD_MS (30 * 24 * 3600 * (int64_t)1000) /* over a boot; more is cut */
#define LIMIT_CLOCK_OFF_MS (60 * 1000) /* off the wall clock: told */

/* An account's circuit breaker (reliability 2.7). */
#define LIMIT_LANE_SENDS 20 /* the last so many are looked at */
#define LIMIT_LANE_DOUBTS 5 /* so many of them in doubt stop the lane */
#define LIMIT_LANE_PAUSE_MS (60 * 1000) /* before one may try, doubling */
#define LIMIT_LANE_PAUSE_MAX_MS (15 * 60 * 1000)
#define LIMIT_QUERIES_PER_MINUTE 30 /* of an account, unless it says otherwise */
#define LIMIT_QUERY_REFUSED_MS (60 * 1000) /* after a 429 or 403 to a query, doubling */
#define LIMIT_QUERY_REFUSED_MAX_MS (60 * 60 * 1000)
#define LIMIT_LANE_LOOK_MS (3600 * 1000) /* sends of so long ago count after a restart */

/* The operator's socket. */
#define LIMIT_ADMIN_SESSIONS 8

/* The standby copy. */
#define LIMIT_STANDBY_BYTES ((size_t)64 * 1024 * 1024) /* of pages that wait */
#define LIMIT_STANDBY_SEGMENT (16 * 1024 * 1024) /* of the log, before the next file begins */
#define LIMIT_STANDBY_LOG ((int64_t)256 * 1024 * 1024) /* before a new base cuts it */

/* A purchase in time (reliability 2.7), milliseconds. */
#define LIMIT_LEASE_MS (60 * 1000) /* an effect handed out is handed out again after this */
#define LIMIT_READY_MS (10 * 60 * 1000) /* never sent by then: expired */
#define LIMIT_DELIVER_READY_MS (60 * 60 * 1000) /* the money is in: try longer */
#define LIMIT_CLAIM_MS (10 * 1000) /* T_send: an older claim is abandoned by its owner */
#define LIMIT_SENDING_MS (85 * 1000) /* T_send + HTTP 45 s + 30 s */
#define LIMIT_REVIEW_BLIND_MS (6 * 3600 * 1000) /* UNKNOWN without the provider's id */
#define LIMIT_REVIEW_MS (24 * 3600 * 1000) /* UNKNOWN with it */
#define LIMIT_POLL_MS (7 * 24 * 3600 * (int64_t)1000)
#define LIMIT_REFUND_DELAY_MS                                                                      \
	(30 * 60 * 1000) /* unless its offer says: a contradiction may come                        \
			  */
#define LIMIT_REFUND_READY_MS (24 * 3600 * 1000) /* never sent by then: a person decides */
#define LIMIT_REFUND_PAUSE_MS (30 * 60 * 1000) /* between its tries, at most */
#define LIMIT_LATE_MS                                                                              \
	(24 * 3600 * 1000) /* unless its offer says: goods nobody expects any more                 \
			    */
#define LIMIT_ASK_TRIES 50 /* queries about one piece of news before a person has to */
#define LIMIT_PROGRESS_MS (3 * 60 * 1000)
#define LIMIT_REPEAT_MS (3 * 60 * 1000) /* the same again within this: asked about (F-G3) */
#define LIMIT_FLOAT_EMPTY_MS (15 * 60 * 1000) /* a refusal, where no balance is asked for */
#define LIMIT_FLOAT_FRESH_MS 1000 /* floats are worked out so often where something is sold */
#define LIMIT_FLOAT_IDLE_MS 10000 /* and so often for gauges and warnings */
#define LIMIT_FLOAT_PROMISES 1024 /* accounts and offers with something under way */
#define LIMIT_LIST_PAGES 2000 /* of a provider's list, a day */
#define LIMIT_LIST_ROWS 200 /* of a page */
#define LIMIT_SMS_MS (24 * 3600 * 1000)
#define LIMIT_ORPHAN_MS (15 * 60 * 1000) /* so long a provider is asked to come again */

#endif
