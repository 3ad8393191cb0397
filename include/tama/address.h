/*
 * Which addresses we may call (SSRF guard): a name in a configuration or in DNS must not lead to
 * our own machine or network. The answer is about the address itself, so it is asked of what a name
 * resolved to, at the socket, where a second look-up can change nothing. Pure.
 */
#ifndef TAMA_ADDRESS_H
#define TAMA_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/*
 * False for loopback, private (RFC 1918, RFC 6598, RFC 4193), link-local, unspecified, multicast
 * and reserved addresses, for IPv6 addresses that carry one of these inside (mapped, compatible,
 * NAT64, 6to4), and for every family but IPv4 and IPv6.
 */
bool address_is_public(const struct sockaddr *address);

#endif
