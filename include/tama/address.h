/*
 * Which addresses we may call (SSRF guard): a name in a configuration or in DNS must not lead to
 * our own machine or network. The answer is about the address itself, so it is asked of what a name
 * resolved to, at the socket, where a second look-up can change nothing. Pure.
 */
#ifndef TAMA_ADDRESS_H
#define TAMA_ADDRESS_H

#include "tama/str.h"

#include <stdbool.h>

struct sockaddr;
struct sockaddr_storage;

/* As a list names it: "10.1.0.0/16", or "127.0.0.1" for that address alone. */
struct address_net {
	unsigned char bytes[16];
	unsigned char len; /* 4: IPv4, 16: IPv6 */
	unsigned char bits;
};

/* Networks that one peer's list may name. */
#define ADDRESS_NETS_MAX 16

struct address_nets {
	const struct address_net *p;
	size_t n; /* at most ADDRESS_NETS_MAX */
};

/*
 * False for loopback, private (RFC 1918, RFC 6598, RFC 4193), link-local, unspecified, multicast
 * and reserved addresses, for IPv6 addresses that carry one of these inside (mapped, compatible,
 * NAT64, 6to4), and for every family but IPv4 and IPv6.
 */
bool address_is_public(const struct sockaddr *address);

/* 127.0.0.0/8 and ::1, mapped or not. */
bool address_is_loopback(const struct sockaddr *address);

/*
 * Whether it is public or in one of the networks. Link-local addresses, and those at which clouds
 * hand credentials to their machines, must be listed one by one: no network opens them.
 */
bool address_may_be_called(const struct sockaddr *address, struct address_nets listed);

/* Of loopback, RFC 1918, RFC 6598 and RFC 4193, whoever lists what: for tools of testers. */
bool address_is_private(const struct sockaddr *address);

/* "192.0.2.1" or "2001:db8::1" as the sockets want it, without a port; false when it is neither. */
bool address_read(struct str text, struct sockaddr_storage *out);

/* False when the text is neither an address nor a network. Bits behind the prefix may be anything.
 */
bool address_net_read(struct str text, struct address_net *out);

/* Whether an address of len bytes is in it. */
bool address_net_holds(const struct address_net *net, const unsigned char *bytes, size_t len);

/*
 * Whether a list may name it, so that it opens what is meant and no more: it lies within loopback
 * or a private network, or is one single address of those that no network opens.
 */
bool address_net_is_private(const struct address_net *net);

#endif
