/*
 * Transcripts: conversations written down, played against a service without any server. What a
 * phone shows and what is bought must come out as written, line by line.
 *
 *   # comment
 *   from: 0701020304           who calls, from here on; national or international
 *   channel: at-ci             by which channel (needed before the first line of a conversation)
 *   lang: fr                   in which language (else the channel's)
 *   network: 61203             what the aggregator says of the caller's network
 *   last_purchase: ref=K7;...  what lookup("last_purchase") finds; empty for nothing
 *   > *384*22#                 dials: a code of the channel, with inputs in it or without
 *   > 1                        answers; on an SMS channel: sends this message
 *   drop                       the connection is lost
 *   redial                     dials the code again; goes on where the session was
 *   back in 5m                 the same after a while: s, m, h
 *   < 1. Moi                   a line of the screen
 *   ! buy ci-airtime 500 F orange-ci to 07•• price 600
 *   . end                      the session ended; ". parked": it ended to be resumed
 *   . error menu.lua:3: ...    the menu failed
 *
 * Lines that begin with '<', '!' or '.' are what comes out; all others are what goes in.
 */
#ifndef TAMA_TRANSCRIPT_H
#define TAMA_TRANSCRIPT_H

#include "tama/menu.h"

struct transcript {
	const char *name; /* for messages: "menus/airtime/fr.transcript" */
	struct menu_host *host;
	const struct config *config;
	const struct service *service;
};

struct transcript_stats {
	unsigned hops;
	unsigned sessions;
	unsigned purchases;
	unsigned max_septets;
	unsigned max_buy_hops; /* hops of the longest way from dialling to a purchase */
};

/*
 * Plays text and writes it anew, with what really came out, to *recorded (an empty buf with a
 * ceiling). 0 when that is the same; TAMA_ECONFLICT with "name:line: ..." of the first line that
 * differs; TAMA_EINVAL when a line cannot be understood, a text is missing or a screen is too long;
 * TAMA_ENOMEM.
 */
int transcript_play(const struct transcript *transcript, struct str text, struct buf *recorded,
	struct transcript_stats *stats, struct err *err);

#endif
