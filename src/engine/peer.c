/*
 * Who calls, when proxies stand between: each appends the address it saw to X-Forwarded-For, so the
 * right-most address that is no proxy of ours is the last one somebody we trust has seen. All to
 * its left is what the caller says of itself.
 */
#include "gateway_priv.h"

#include <arpa/inet.h>

/* The bytes of an address: 4 or 16 of them; 0 when it is none. */
static size_t address_read(struct str text, unsigned char out[static sizeof(struct in6_addr)])
{
	char c[INET6_ADDRSTRLEN] = "";
	bool is_v6 = str_find(text, ':') >= 0;

	if (text.n == 0 || text.n >= sizeof(c))
		return 0;
	memcpy(c, text.p, text.n);
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, c, out) != 1)
		return 0;
	return is_v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
}

static bool has_same_bits(const unsigned char *a, const unsigned char *b, size_t bits)
{
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0;
}

/* Whether the address is the one that the entry names, or lies in its network "192.0.2.0/24". */
static bool is_in(struct str entry, const unsigned char *address, size_t len)
{
	unsigned char ours[sizeof(struct in6_addr)];
	struct str network = str_cut(&entry, '/');
	int64_t bits = (int64_t)len * 8;

	if (entry.p != NULL && (!str_to_i64(entry, &bits) || bits > (int64_t)len * 8))
		return false;
	return address_read(network, ours) == len && has_same_bits(ours, address, (size_t)bits);
}

bool peer_is_one_of(const struct str *list, size_t len, struct str address)
{
	unsigned char theirs[sizeof(struct in6_addr)];
	size_t n = address_read(address, theirs);

	for (size_t i = 0; i < len && n > 0; i++)
		if (is_in(list[i], theirs, n))
			return true;
	return false;
}

/* Cuts what follows the last comma off *rest. */
static struct str last_of(struct str *rest)
{
	size_t n = rest->n;
	struct str last;

	while (n > 0 && rest->p[n - 1] != ',')
		n--;
	last = str_trim(str_from(*rest, n));
	rest->n = n > 0 ? n - 1 : 0;
	return last;
}

struct str peer_of(const struct config *config, const struct http_request *request)
{
	struct str peer = request->peer;

	for (size_t i = request->fields_len; i-- > 0;) {
		struct str rest = request->fields[i].value;

		if (!str_eq_nocase(request->fields[i].name, STR("X-Forwarded-For")))
			continue;
		do {
			if (!peer_is_one_of(config->proxies, config->proxies_len, peer))
				return peer;
			peer = last_of(&rest);
		} while (rest.n > 0);
	}
	return peer;
}
