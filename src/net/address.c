/* The special-purpose address registries (RFC 6890 and its updates), as far as a call must not go.
 */
#include "tama/address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct block4 {
	uint32_t prefix;
	unsigned bits;
};

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static const struct block4 CLOSED4[] = {
	{IPV4(0, 0, 0, 0), 8}, /* this host; Linux connects 0.0.0.0 to loopback */
	{IPV4(10, 0, 0, 0), 8}, /* RFC 1918 */
	{IPV4(100, 64, 0, 0), 10}, /* carrier NAT, RFC 6598 */
	{IPV4(127, 0, 0, 0), 8}, /* loopback */
	{IPV4(169, 254, 0, 0), 16}, /* link-local, where clouds keep their credentials */
	{IPV4(172, 16, 0, 0), 12}, /* RFC 1918 */
	{IPV4(192, 0, 0, 0), 24}, /* protocol assignments */
	{IPV4(192, 168, 0, 0), 16}, /* RFC 1918 */
	{IPV4(198, 18, 0, 0), 15}, /* benchmarks, RFC 2544 */
	{IPV4(224, 0, 0, 0), 3}, /* multicast and reserved, with broadcast */
};

/* An IPv6 block; where an IPv4 address lies inside, that one decides instead. */
struct block6 {
	unsigned char prefix[12];
	unsigned bits;
	unsigned ipv4_at; /* byte offset, 0: none */
};

static const struct block6 CLOSED6[] = {
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12}, /* mapped, ::ffff:0:0/96 */
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 96, 12}, /* compatible; ::1 and :: are 0.0.0.0/8 */
	{{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 96, 12}, /* NAT64, RFC 6052 */
	{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 0}, /* local NAT64, RFC 8215 */
	{{0x20, 0x02}, 16, 2}, /* 6to4, RFC 3056 */
	{{0xfc}, 7, 0}, /* unique local, RFC 4193 */
	{{0xfe, 0x80}, 9, 0}, /* link-local, and the site-local block after it */
	{{0xff}, 8, 0}, /* multicast */
};

static bool is_public4(uint32_t address)
{
	for (size_t i = 0; i < sizeof(CLOSED4) / sizeof(CLOSED4[0]); i++) {
		if ((address ^ CLOSED4[i].prefix) >> (32 - CLOSED4[i].bits) == 0)
			return false;
	}
	return true;
}

static bool has_prefix(const unsigned char *bytes, const unsigned char *prefix, unsigned bits)
{
	if (memcmp(bytes, prefix, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || (bytes[bits / 8] ^ prefix[bits / 8]) >> (8 - bits % 8) == 0;
}

static bool is_public6(const unsigned char bytes[static 16])
{
	for (size_t i = 0; i < sizeof(CLOSED6) / sizeof(CLOSED6[0]); i++) {
		const struct block6 *block = &CLOSED6[i];
		if (!has_prefix(bytes, block->prefix, block->bits))
			continue;
		const unsigned char *in = bytes + block->ipv4_at;
		return block->ipv4_at != 0 && is_public4(IPV4(in[0], in[1], in[2], in[3]));
	}
	return true;
}

bool address_is_public(const struct sockaddr *address)
{
	/* Copies, because curl hands addresses over in storage of its own type. */
	if (address->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, address, sizeof(v4));
		return is_public4(ntohl(v4.sin_addr.s_addr));
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, address, sizeof(v6));
		return is_public6(v6.sin6_addr.s6_addr);
	}
	return false;
}
