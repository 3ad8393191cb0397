/*
 * The phone in the terminal, shared by `tama dial` and `tama text`: it calls the gateway, shows
 * what a screen or a message says in a box with its septets counted, and fetches incoming SMS from
 * the sandbox. Output comes line by line from any thread, a box always whole.
 */
#ifndef TAMA_PHONE_H
#define TAMA_PHONE_H

#include "tama/arena.h"
#include "tama/http.h"

struct phone_options {
	const char *from; /* MSISDN, international, digits or with '+' */
	const char *channel;
	const char *secret; /* NULL: the channel is open */
	const char *url; /* of the gateway */
	const char *sms_from; /* of the sandbox; NULL: no SMS arrive here */
	const char *expect_sms; /* words that one must have; NULL: none is waited for */
	int64_t wait_ms;
};

struct phone;

/* NULL with a message on stderr when the options are not usable or libcurl is not. */
struct phone *phone_new(const struct phone_options *options);
void phone_free(struct phone **phone);

/* The number, digits only. */
struct str phone_number(const struct phone *phone);

/*
 * One request and its whole answer, copied into the arena. False, with a message on stderr, when
 * none came. For the caller's thread only.
 */
bool phone_call(struct phone *phone, const struct http_call *call, struct arena *arena,
	struct http_reply *out);

/* URL of the channel: ".../ussd/CHANNEL/SECRET" and then `rest`, in the arena. */
struct str phone_channel_url(
	const struct phone *phone, const char *kind, struct str rest, struct arena *arena);

/* Random lower-case hexadecimal digits, n of them, in the arena. */
struct str phone_chance(struct arena *arena, size_t n);

/* A box. `title` stands in its upper edge and may be empty. */
void phone_show_screen(struct str text);
void phone_show_sms(struct str from, struct str text);

/* SMS that arrived since phone_new, on a thread of its own, until phone_free. */
void phone_listen(struct phone *phone);

/*
 * Waits for the expected SMS, showing all that come. True when it came within wait_ms, or none was
 * expected. Not together with phone_listen.
 */
bool phone_expect(struct phone *phone);

#endif
