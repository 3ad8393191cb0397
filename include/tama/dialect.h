/*
 * The dialect host: wire formats in Lua (docs/dialects.md is the author's manual). A host is one
 * Lua gate with the dialects one thread needs; use it from that thread only. A dialect whose decode
 * and encode are data is carried out in C without running Lua.
 *
 * Nothing a dialect returns is believed further than its shape: C checks types, lengths and
 * characters, and errors come back as TAMA_EINVAL (the bytes were not of this format), TAMA_ESCRIPT
 * or TAMA_ELIMIT (the dialect itself failed). Results live in the arena given.
 */
#ifndef TAMA_DIALECT_H
#define TAMA_DIALECT_H

#include "tama/arena.h"
#include "tama/config.h"
#include "tama/http.h"
#include "tama/provider.h"

struct dialect_host;

/* Kinds of dialect: folders below src/dialects. */
enum dialect_kind {
	DIALECT_USSD,
	DIALECT_SMS,
	DIALECT_PROVIDER,
};

/* Whatever the JSON library gives back from now on is wiped. Before any thread is made. */
void dialect_wipe_freed(void);

/*
 * A host with the standard dialects of the kinds asked for (bits 1 << kind). 0, or TAMA_ESCRIPT
 * with file:line when one does not load.
 */
int dialect_host_new(unsigned kinds, struct dialect_host **out, struct err *err);
void dialect_host_free(struct dialect_host **host);

/*
 * Adds a dialect from its source: a partner's own, or one under test. chunk names it in messages
 * and begins with '=' ("=my.lua"). 0; TAMA_ESCRIPT or TAMA_ELIMIT with file:line; TAMA_EEXIST when
 * the host has one of that kind and name. The source is not needed afterwards.
 */
int dialect_host_add(
	struct dialect_host *host, struct str source, const char *chunk, struct err *err);

/* Whether there is such a dialect: for the configuration's check. */
bool dialect_exists(struct dialect_host *host, enum dialect_kind kind, struct str name);

/* The one added last: false when there is none. The name lives as long as the host. */
bool dialect_latest(
	const struct dialect_host *host, enum dialect_kind *kind_out, struct str *name_out);

/* ---- USSD -------------------------------------------------------------------------------------
 */

enum hop_event {
	HOP_AUTO, /* new or input: the session's id, seen or not, decides (CON/END family) */
	HOP_NEW,
	HOP_INPUT,
	HOP_CANCEL,
	HOP_TIMEOUT,
	HOP_REPORT, /* end-of-session notice after the fact */
	HOP_PROBE, /* is this session alive? */
};

struct ussd_event {
	enum hop_event event;
	struct str session; /* the aggregator's id; empty: the MSISDN is the key */
	struct str msisdn; /* as it came */
	struct str code; /* as it came; may carry extra dialled digits */
	struct str input;
	bool has_input;
	bool is_cumulative; /* input is all inputs so far, joined by '*' */
	struct str hop_id; /* per-hop id or Sequence: the same again is a repeat */
	struct str network;
	struct str state; /* client state carried by the aggregator */
	struct str echo; /* what encode must see again: opaque text */
};

struct ussd_reply {
	struct str text;
	bool is_end;
	bool is_error; /* an error of ours or malformed input, told inside the protocol */
	bool is_alive; /* for HOP_PROBE */
};

/*
 * Reads a callback. `rest` is the raw path after the channel's name and secret
 * ("/session/1/start"). 0; TAMA_EINVAL when the request is not of this format (err says which
 * field).
 */
int dialect_ussd_decode(struct dialect_host *host, struct str dialect,
	const struct http_request *request, struct str rest, struct arena *arena,
	struct ussd_event *out, struct err *err);

/*
 * Renders the answer. event is NULL when decoding failed: TAMA_EINVAL then means that the format
 * has no way to say it and the edge answers 400. call_out->url is empty unless the format answers
 * by a second request (asynchronous family).
 */
int dialect_ussd_encode(struct dialect_host *host, struct str dialect,
	const struct ussd_event *event, const struct ussd_reply *reply, struct arena *arena,
	struct http_reply *out, struct http_call *call_out);

/* ---- SMS --------------------------------------------------------------------------------------
 */

enum sms_event_kind {
	SMS_MO,
	SMS_DLR,
};

enum dlr_state {
	DLR_BUFFERED, /* 4, 8: on its way */
	DLR_DELIVERED, /* final */
	DLR_FAILED, /* final */
};

struct sms_event {
	enum sms_event_kind kind;
	struct str id; /* the gateway's: an MO of the same id is the same message */
	struct str from; /* raw */
	struct str to;
	struct str text; /* UTF-8 */
	struct str ref; /* DLR: our outbox reference */
	enum dlr_state state;
};

int dialect_sms_decode(struct dialect_host *host, struct str dialect, enum sms_event_kind expect,
	const struct http_request *request, struct str rest, struct arena *arena,
	struct sms_event *out, struct err *err);

/* The answer to an MO; text may be empty (no reply SMS). */
int dialect_sms_reply(struct dialect_host *host, struct str dialect, struct str text,
	struct arena *arena, struct http_reply *out);

struct sms_message {
	struct str to; /* E.164 digits */
	struct str text; /* GSM 03.38 representable, or UCS-2 is chosen by the dialect */
	struct str ref; /* our outbox reference, for the DLR */
	struct str dlr_url; /* where reports go */
};

/* The request that sends an SMS through a channel's gateway. Secrets appear as marks, see below. */
int dialect_sms_submit(struct dialect_host *host, const struct channel *channel,
	const struct sms_message *message, struct arena *arena, struct http_call *out,
	struct err *err);

enum sms_verdict {
	SMS_SENT, /* the gateway took it */
	SMS_REFUSED, /* it will never take this one */
	SMS_RETRY, /* not now; trying again is safe */
	SMS_DOUBT, /* may have been taken: one more try at most (reliability D5) */
};

enum sms_verdict dialect_sms_verdict(
	struct dialect_host *host, struct str dialect, unsigned status, struct str body);

/* ---- Providers --------------------------------------------------------------------------------
 */

/*
 * Marks for secrets. A dialect never sees a secret: it writes the mark "{{name}}" where the secret
 * belongs ("{{api_key}}", "{{otp}}", "{{token}}"), and C puts the value in after hashing the body,
 * JSON-escaped inside a body, just before sending. Marks in data from outside cannot occur: terms
 * are digits and our own references.
 */

/* Which part of the provider's list to ask for. */
struct provider_page {
	uint32_t number; /* from 1 */
	struct str from, to; /* days, "YYYY-MM-DD" */
	struct str listed; /* only transactions of this status word; empty: all */
};

struct provider_terms {
	const struct account *account;
	struct str verb; /* "cashout", "airtime", ...; for queries the verb of the attempt */
	struct attempt_terms terms;
	struct str ipn_url;
	bool has_otp;
	struct provider_page page; /* of PROVIDER_LIST alone */
};

enum provider_call {
	PROVIDER_SUBMIT,
	PROVIDER_STATUS, /* by provider id; TAMA_ENOTFOUND if the dialect needs one and it is
			    unknown */
	PROVIDER_BALANCE,
	/*
	 * Looks for our reference where the provider's id never reached us; TAMA_ENOTFOUND if this
	 * provider has no list. The facts then have an id to ask by, and never a word. Valid facts
	 * without an id: not on this page; the next may have it. Not valid: there is no next.
	 */
	PROVIDER_LIST,
};

/* Builds a request; method, absolute URL, fields and body with marks. */
int dialect_provider_request(struct dialect_host *host, enum provider_call call,
	const struct provider_terms *terms, struct arena *arena, struct http_call *out,
	struct err *err);

/*
 * Reads a response of any HTTP status. 0 always when the dialect ran, with facts->is_valid telling
 * whether the body had a documented shape; TAMA_ESCRIPT or TAMA_ELIMIT when the dialect failed.
 */
int dialect_provider_reply(struct dialect_host *host, enum provider_call call,
	const struct provider_terms *terms, unsigned status, struct str body, struct arena *arena,
	struct facts *out, struct err *err);

/*
 * Reads a whole page of the list: every transaction in it, as facts. How many, at most max; 0 for
 * a page with none. TAMA_EINVAL when the body has no documented shape; TAMA_ESCRIPT, TAMA_ELIMIT.
 */
int dialect_provider_rows(struct dialect_host *host, const struct provider_terms *terms,
	unsigned status, struct str body, struct arena *arena, struct facts *out, size_t max,
	struct err *err);

/* Login, for providers that have one: TAMA_ENOTFOUND when this one has none. */
int dialect_provider_login(struct dialect_host *host, const struct account *account,
	struct arena *arena, struct http_call *out, struct err *err);

struct provider_token {
	struct str token;
	uint32_t expires_s;
};
int dialect_provider_token(struct dialect_host *host, const struct account *account,
	unsigned status, struct str body, struct arena *arena, struct provider_token *out,
	struct err *err);

/* Reads an IPN. `rest` is the raw path after /ipn/<account>/<secret>. */
int dialect_provider_ipn(struct dialect_host *host, const struct account *account,
	const struct http_request *request, struct str rest, struct arena *arena, struct facts *out,
	struct err *err);

/* The 200 that a provider wants to see after the commit. */
int dialect_provider_ipn_reply(struct dialect_host *host, const struct account *account,
	const struct facts *facts, struct arena *arena, struct http_reply *out);

#endif
