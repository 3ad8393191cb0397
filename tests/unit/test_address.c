/* Which addresses may be called. */
#include "check.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "tama/address.h"

static const char *const CLOSED[] = {
	"0.0.0.0",
	"0.1.2.3",
	"10.0.0.0",
	"10.255.255.255",
	"100.64.0.1",
	"100.127.255.255",
	"127.0.0.1",
	"127.255.255.255",
	"169.254.169.254",
	"172.16.0.0",
	"172.31.255.255",
	"192.0.0.1",
	"192.168.0.0",
	"192.168.255.255",
	"198.18.0.1",
	"198.19.255.255",
	"224.0.0.1",
	"239.1.1.1",
	"240.0.0.1",
	"255.255.255.255",
	"::",
	"::1",
	"::127.0.0.1",
	"::10.1.1.1",
	"::ffff:127.0.0.1",
	"::ffff:10.0.0.1",
	"::ffff:169.254.169.254",
	"64:ff9b::192.168.1.1",
	"64:ff9b:1::1",
	"2002:7f00:1::",
	"2002:a00:1::",
	"fc00::1",
	"fdff:ffff::1",
	"fe80::1",
	"febf::1",
	"fec0::1",
	"ff02::1",
};

static const char *const PUBLIC[] = {
	"1.1.1.1",
	"9.255.255.255",
	"11.0.0.0",
	"100.63.255.255",
	"100.128.0.0",
	"126.255.255.255",
	"128.0.0.0",
	"169.253.255.255",
	"169.255.0.0",
	"172.15.255.255",
	"172.32.0.0",
	"192.0.1.0",
	"192.167.255.255",
	"192.169.0.0",
	"198.17.255.255",
	"198.20.0.0",
	"223.255.255.255",
	"2001:4860:4860::8888",
	"::ffff:1.1.1.1",
	"64:ff9b::1.1.1.1",
	"2002:101:101::",
	"fbff::1",
	"fe00::1",
	"2a00::1",
};

static bool is_public(const char *text)
{
	struct sockaddr_storage at = {.ss_family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET};
	void *into = at.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&at)->sin6_addr
					      : (void *)&((struct sockaddr_in *)&at)->sin_addr;
	assert_int_equal(inet_pton(at.ss_family, text, into), 1);
	return address_is_public((struct sockaddr *)&at);
}

static void own_machine_and_network_are_closed(void **state)
{
	for (size_t i = 0; i < ROWS(CLOSED); i++) {
		if (is_public(CLOSED[i]))
			fail_msg("%s is public", CLOSED[i]);
	}
}

static void the_rest_is_public(void **state)
{
	for (size_t i = 0; i < ROWS(PUBLIC); i++) {
		if (!is_public(PUBLIC[i]))
			fail_msg("%s is closed", PUBLIC[i]);
	}
}

static void other_families_are_closed(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	assert_false(address_is_public((struct sockaddr *)&at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_machine_and_network_are_closed),
		cmocka_unit_test(the_rest_is_public),
		cmocka_unit_test(other_families_are_closed),
	};
	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
