/* Addresses: of providers and SMS gateways, and those we listen on. */
#include "config_priv.h"

#include "tama/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool is_loopback(struct str host)
{
	return str_eq_nocase(host, STR("localhost")) || str_has_prefix(host, STR("127.")) ||
	       str_eq(host, STR("[::1]")) || str_eq(host, STR("0.0.0.0")) ||
	       str_eq(host, STR("[::]"));
}

/* Host of the authority "host:port", with the brackets of an IPv6 address. */
static struct str host_of(struct str authority)
{
	if (authority.n > 0 && authority.p[0] == '[') {
		ptrdiff_t end = str_find(authority, ']');
		return end < 0 ? STR("") : (struct str){authority.p, (size_t)end + 1};
	}
	return str_cut(&authority, ':');
}

static bool is_url_text(struct str s, bool is_base)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"<>\\^`{|}#", s.p[i]) != NULL ||
			(is_base && s.p[i] == '?'))
			return false;
	return true;
}

void config_check_url(struct loader *loader, const struct decl *at, const char *path, bool is_base,
	struct str *url)
{
	const struct config *config = &loader->box->config;
	bool is_http = str_has_prefix(*url, STR("http://"));
	struct str rest = str_from(*url, is_http ? 7 : 8);
	struct str authority = str_cut(&rest, '/');
	if (url->n == 0)
		return;
	/* The address itself is not shown: people put passwords into addresses. */
	if (!is_http && !str_has_prefix(*url, STR("https://")))
		config_problem(loader, at, path, "the address must begin with https://");
	else if (!is_url_text(*url, is_base) || host_of(authority).n == 0 ||
		 str_find(authority, '@') >= 0)
		config_problem(loader, at, path, "the address must be like \"https://host/path\"");
	else if (is_http && !config->allow_http)
		config_problem(loader, at, path,
			"the address is not encrypted: http:// is for demo and tests (allow_http = "
			"true)");
	else if (is_loopback(host_of(authority)) && !config->allow_loopback)
		config_problem(loader, at, path,
			"the address is this machine: that is for demo and tests (allow_loopback = "
			"true)");
	if (is_base && url->n > 0 && url->p[url->n - 1] == '/')
		url->n--;
}

/* "127.0.0.1:8080" or "[::1]:8080": false when it is neither. */
static bool listen_split(struct loader *loader, struct str text, struct str *address, int64_t *port)
{
	unsigned char binary[16];
	struct str host = host_of(text);
	struct str digits = str_from(text, host.n + 1);
	bool is_v6 = host.n > 2 && host.p[0] == '[';
	if (is_v6)
		host = (struct str){host.p + 1, host.n - 2};
	*address = config_str(loader, host);
	return text.n > digits.n && text.p[text.n - digits.n - 1] == ':' &&
	       inet_pton(is_v6 ? AF_INET6 : AF_INET, address->p, binary) == 1 && digits.n <= 5 &&
	       str_to_i64(digits, port) && *port <= UINT16_MAX;
}

/* Loopback or a private network; a wildcard is every network there is. */
static bool is_private(const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return v4.sin_addr.s_addr != INADDR_ANY &&
		       !address_is_public((const struct sockaddr *)(const void *)&v4);
	return inet_pton(AF_INET6, address, &v6.sin6_addr) == 1 &&
	       !IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) &&
	       !address_is_public((const struct sockaddr *)(const void *)&v6);
}

void config_check_listen(struct loader *loader, const struct decl_gateway *gateway,
	const char *path, struct str text, uint16_t *port_out)
{
	struct config *config = &loader->box->config;
	struct str *address =
		port_out == &config->admin_port ? &config->admin_address : &config->listen_address;
	int64_t port = 0;
	if (!listen_split(loader, text, address, &port))
		config_problem(loader, &gateway->decl, path,
			"\"%.*s\" is no address and port such as \"127.0.0.1:8080\"",
			STR_ARG(text));
	else if (port == 0 && !gateway->allow_loopback)
		config_problem(loader, &gateway->decl, path,
			"port 0, chosen by the kernel, is for tests (allow_loopback = true)");
	else if (port_out == &config->admin_port && !is_private(address->p))
		config_problem(loader, &gateway->decl, path,
			"the admin listener must stay on loopback or a private network");
	else
		*port_out = (uint16_t)port;
}
