/* Addresses: of providers and SMS gateways, and those we listen on. */
#include "config_priv.h"

#include "tama/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

static struct str authority_of(struct str url)
{
	struct str rest = str_from(url, str_has_prefix(url, STR("http://")) ? 7 : 8);

	return str_cut(&rest, '/');
}

bool config_check_url(struct loader *loader, const struct decl *at, const char *path, bool is_base,
	struct str *url)
{
	const struct config *config = &loader->box->config;
	bool is_http = str_has_prefix(*url, STR("http://"));
	struct str authority = authority_of(*url);
	const char *wrong = NULL;

	if (url->n == 0)
		return false;
	/* The address itself is not shown: people put passwords into addresses. */
	if (!is_http && !str_has_prefix(*url, STR("https://")))
		wrong = "the address must begin with https://";
	else if (!is_url_text(*url, is_base) || host_of(authority).n == 0 ||
		 str_find(authority, '@') >= 0)
		wrong = "the address must be like \"https://host/path\"";
	else if (is_http && !config->allow_http)
		wrong = "the address is not encrypted: http:// is for demo and tests (allow_http = "
			"true)";
	if (wrong != NULL)
		config_problem(loader, at, path, "%s", wrong);
	if (is_base && url->p[url->n - 1] == '/')
		url->n--;
	return wrong == NULL;
}

void config_check_ours(
	struct loader *loader, const struct decl *at, const char *path, struct str url)
{
	if (is_loopback(host_of(authority_of(url))) && !loader->box->config.allow_loopback)
		config_problem(loader, at, path,
			"the address is this machine: that is for demo and tests (allow_loopback = "
			"true)");
}

void config_check_peer(struct loader *loader, const struct decl *at, const char *path,
	struct str url, struct address_nets nets)
{
	struct sockaddr_storage address;
	const struct sockaddr *to = (const struct sockaddr *)(const void *)&address;
	struct str host = host_of(authority_of(url));

	if (str_eq_nocase(host, STR("localhost")))
		host = nets.n > 0 && nets.p[0].len == 16 ? STR("::1") : STR("127.0.0.1");
	else if (host.p[0] == '[')
		host = (struct str){host.p + 1, host.n - 2};
	loader->box->config.is_demo_abroad |=
		!is_loopback(host_of(authority_of(url))) &&
		(loader->box->config.allow_loopback || loader->box->config.allow_http);
	/* What DNS says is judged when it has been asked, at the socket. */
	if (!address_read(host, &address) || address_may_be_called(to, nets) ||
		(loader->box->config.allow_loopback && address_is_loopback(to)))
		return;
	config_problem(loader, at, path,
		address_is_loopback(to)
			? "the address is this machine: list it, as in private = { \"127.0.0.1\" }"
			: "the address is in private space: list it, as in private = { "
			  "\"10.1.0.0/16\" }");
}

struct address_nets config_private_nets(
	struct loader *loader, const struct decl *at, const struct texts *texts)
{
	struct address_net *nets = config_alloc(loader, texts->n * sizeof(*nets));

	for (size_t i = 0; i < texts->n; i++)
		(void)address_net_read(texts->p[i], &nets[i]);
	if (texts->n <= ADDRESS_NETS_MAX)
		return (struct address_nets){nets, texts->n};
	config_problem(
		loader, at, "private", "at most %d networks can be listed", ADDRESS_NETS_MAX);
	return (struct address_nets){NULL, 0};
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
