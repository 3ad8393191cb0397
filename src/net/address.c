/* The special-purpose address registries (RFC 6890 and its updates), as far as a call must not go.
 */
#include "tama/address.h"

#include <arpa/inet.h>
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

/* ---- networks that are listed ------------------------------------------------------------------
 */

/* What a list may name: ours, or of networks of our own. */
static const struct address_net PRIVATE[] = {
	{{127}, 4, 8},
	{{10}, 4, 8},
	{{172, 16}, 4, 12},
	{{192, 168}, 4, 16},
	{{100, 64}, 4, 10},
	{{[15] = 1}, 16, 128},
	{{0xfc}, 16, 7},
};

/*
 * Link-local networks, and the addresses outside them where clouds tell a machine its credentials:
 * Alibaba, Oracle, Azure (a public one), AWS and Google over IPv6.
 */
static const struct address_net GUARDED[] = {
	{{169, 254}, 4, 16},
	{{0xfe, 0x80}, 16, 10},
	{{100, 100, 100, 200}, 4, 32},
	{{192, 0, 0, 192}, 4, 32},
	{{168, 63, 129, 16}, 4, 32},
	{{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 16, 128},
	{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 16, 128},
};

bool address_net_holds(const struct address_net *net, const unsigned char *bytes, size_t len)
{
	return net->len == len && has_prefix(bytes, net->bytes, net->bits);
}

static bool is_one_address(const struct address_net *net)
{
	return net->bits == net->len * 8;
}

static bool is_among(
	const struct address_net *nets, size_t nets_len, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < nets_len; i++)
		if (address_net_holds(&nets[i], bytes, len))
			return true;
	return false;
}

#define AMONG(list, bytes, len) is_among(list, sizeof(list) / sizeof((list)[0]), bytes, len)

bool address_net_read(struct str text, struct address_net *out)
{
	char c[INET6_ADDRSTRLEN] = "";
	struct str address = str_cut(&text, '/');
	bool is_v6 = str_find(address, ':') >= 0;
	int64_t bits = is_v6 ? 128 : 32;

	*out = (struct address_net){.len = is_v6 ? 16 : 4};
	if (address.n == 0 || address.n >= sizeof(c) || memchr(address.p, '\0', address.n) != NULL)
		return false;
	memcpy(c, address.p, address.n);
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, c, out->bytes) != 1)
		return false;
	if (text.p != NULL && (!str_to_i64(text, &bits) || bits < 1 || bits > out->len * 8))
		return false;
	out->bits = (unsigned char)bits;
	return true;
}

bool address_read(struct str text, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct address_net net;

	if (!address_net_read(text, &net) || str_find(text, '/') >= 0)
		return false;
	memcpy(&v4.sin_addr, net.bytes, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, net.bytes, sizeof(v6.sin6_addr));
	if (net.len == sizeof(v4.sin_addr))
		memcpy(out, &v4, sizeof(v4));
	else
		memcpy(out, &v6, sizeof(v6));
	return true;
}

bool address_net_is_private(const struct address_net *net)
{
	if (AMONG(GUARDED, net->bytes, net->len))
		return is_one_address(net);
	for (size_t i = 0; i < sizeof(PRIVATE) / sizeof(PRIVATE[0]); i++)
		if (net->bits >= PRIVATE[i].bits &&
			address_net_holds(&PRIVATE[i], net->bytes, net->len))
			return true;
	return false;
}

/* Its bytes, those of IPv4 where it is mapped: the kernel calls the same machine. 0: neither. */
static size_t bytes_of(const struct sockaddr *address, unsigned char out[static 16])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		memcpy(out, &v4.sin_addr, 4);
		return 4;
	}
	if (address->sa_family != AF_INET6)
		return 0;
	memcpy(&v6, address, sizeof(v6));
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
		memcpy(out, v6.sin6_addr.s6_addr + 12, 4);
		return 4;
	}
	memcpy(out, &v6.sin6_addr, 16);
	return 16;
}

bool address_is_loopback(const struct sockaddr *address)
{
	static const struct address_net ours[] = {{{127}, 4, 8}, {{[15] = 1}, 16, 128}};
	unsigned char bytes[16];
	size_t len = bytes_of(address, bytes);

	return AMONG(ours, bytes, len);
}

bool address_is_private(const struct sockaddr *address)
{
	unsigned char bytes[16];
	size_t len = bytes_of(address, bytes);

	return AMONG(PRIVATE, bytes, len) && !AMONG(GUARDED, bytes, len);
}

bool address_may_be_called(const struct sockaddr *address, struct address_nets listed)
{
	unsigned char bytes[16];
	size_t len = bytes_of(address, bytes);
	bool is_guarded = AMONG(GUARDED, bytes, len);

	for (size_t i = 0; i < listed.n; i++)
		if ((!is_guarded || is_one_address(&listed.p[i])) &&
			address_net_holds(&listed.p[i], bytes, len))
			return true;
	return !is_guarded && address_is_public(address);
}
