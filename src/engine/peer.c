/*
 * Who calls, when proxies stand between: each appends the address it saw to X-Forwarded-For, so the
 * right-most address that is no proxy of ours is the last one somebody we trust has seen. All to
 * its left is what the caller says of itself.
 */
#include "gateway_priv.h"

#include <arpa/inet.h>

/* An address in the one spelling that inet_ntop has for it; empty when it is none. */
static struct str address_same(struct str text, char out[static INET6_ADDRSTRLEN])
{
	unsigned char bytes[sizeof(struct in6_addr)];
	char c[INET6_ADDRSTRLEN] = "";
	int family = str_find(text, ':') >= 0 ? AF_INET6 : AF_INET;

	if (text.n == 0 || text.n >= sizeof(c))
		return STR("");
	memcpy(c, text.p, text.n);
	if (inet_pton(family, c, bytes) != 1)
		return STR("");
	return str_c(inet_ntop(family, bytes, out, INET6_ADDRSTRLEN));
}

bool peer_is_one_of(const struct str *list, size_t len, struct str address)
{
	char ours[INET6_ADDRSTRLEN], theirs[INET6_ADDRSTRLEN];
	struct str wanted = address_same(address, theirs);

	for (size_t i = 0; i < len && wanted.n > 0; i++)
		if (str_eq(address_same(list[i], ours), wanted))
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
