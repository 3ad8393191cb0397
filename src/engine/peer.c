/*
 * Who calls, when proxies stand between: each appends the address it saw to X-Forwarded-For, so the
 * right-most address that is no proxy of ours is the last one somebody we trust has seen. All to
 * its left is what the caller says of itself.
 */
#include "gateway_priv.h"

#include "tama/address.h"

bool peer_is_one_of(const struct str *list, size_t len, struct str address)
{
	struct address_net theirs, ours;

	if (str_find(address, '/') >= 0 || !address_net_read(address, &theirs))
		return false;
	for (size_t i = 0; i < len; i++)
		if (address_net_read(list[i], &ours) &&
			address_net_holds(&ours, theirs.bytes, theirs.len))
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
