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

static bool may_be_called(const char *text, const char *listed)
{
	struct sockaddr_storage at;
	struct address_net net = {0};
	assert_true(address_read(str_c(text), &at));
	if (listed != NULL)
		assert_true(address_net_read(str_c(listed), &net));
	return address_may_be_called(
		(struct sockaddr *)&at, (struct address_nets){&net, listed != NULL ? 1 : 0});
}

static void a_list_opens_what_it_names(void **state)
{
	static const struct {
		const char *address, *listed;
		bool is_open;
	} rows[] = {
		{"1.1.1.1", NULL, true},
		{"1.1.1.1", "10.0.0.0/8", true},
		{"10.1.2.3", NULL, false},
		{"10.1.2.3", "10.1.0.0/16", true},
		{"10.1.2.3", "10.1.9.9/16", true},
		{"10.2.2.3", "10.1.0.0/16", false},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.4", "10.1.2.3", false},
		{"::ffff:10.1.2.3", "10.1.2.3", true},
		{"64:ff9b::10.1.2.3", "10.1.2.3", false},
		{"127.0.0.1", "127.0.0.0/8", true},
		{"::1", "127.0.0.0/8", false},
		{"::1", "::1", true},
		{"fd12::1", "fd12::/16", true},
		/* No network opens these, each alone does. */
		{"169.254.169.254", "169.254.0.0/16", false},
		{"169.254.169.254", "169.254.169.254", true},
		{"::ffff:169.254.169.254", "169.254.0.0/16", false},
		{"fe80::1", "fe80::/10", false},
		{"fe80::1", "fe80::1", true},
		{"100.100.100.200", "100.64.0.0/10", false},
		{"100.100.100.200", "100.100.100.200", true},
		{"192.0.0.192", NULL, false},
		{"168.63.129.16", NULL, false},
		{"168.63.129.16", "168.63.129.16", true},
		{"fd00:ec2::254", "fc00::/7", false},
		{"fd20:ce::254", "fd20:ce::/32", false},
	};
	for (size_t i = 0; i < ROWS(rows); i++)
		if (may_be_called(rows[i].address, rows[i].listed) != rows[i].is_open)
			fail_msg("%s where %s is listed", rows[i].address,
				rows[i].listed != NULL ? rows[i].listed : "nothing");
}

static void a_list_names_private_space_only(void **state)
{
	static const char *const right[] = {"127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "10.1.2.3",
		"172.16.0.0/12", "192.168.7.0/24", "100.64.0.0/10", "::1", "fd00::/8", "fc00::/7",
		"169.254.169.254", "fe80::1", "192.0.0.192"};
	static const char *const wrong[] = {"0.0.0.0/1", "0.0.0.0", "8.0.0.0/5", "10.0.0.0/7",
		"1.1.1.1", "172.16.0.0/11", "169.254.0.0/16", "fe80::/64", "::/1",
		"::", "2001:db8::1", "255.255.255.255", "224.0.0.1", "::ffff:10.0.0.1"};
	static const char *const none[] = {"", "/", "10.0.0.0/", "10.0.0.0/0", "10.0.0.0/33",
		"::1/129", "10.0.0", "10.0.0.0/8/8", "10.0.0.0/-8", "10.0.0.0/8 ", "localhost",
		"[::1]", "::1%lo", "1.1.1.1.1"};
	struct address_net net;
	struct sockaddr_storage at;
	for (size_t i = 0; i < ROWS(right); i++)
		if (!address_net_read(str_c(right[i]), &net) || !address_net_is_private(&net))
			fail_msg("%s cannot be listed", right[i]);
	for (size_t i = 0; i < ROWS(wrong); i++)
		if (!address_net_read(str_c(wrong[i]), &net) || address_net_is_private(&net))
			fail_msg("%s can be listed", wrong[i]);
	for (size_t i = 0; i < ROWS(none); i++)
		if (address_net_read(str_c(none[i]), &net))
			fail_msg("%s is a network", none[i]);
	assert_false(address_net_read((struct str){"10.0.0.1\0x", 10}, &net));
	assert_false(address_read(STR("10.0.0.1/32"), &at));
}

static void tools_stay_in_private_space(void **state)
{
	static const char *const private_[] = {"127.0.0.1", "::1", "10.1.1.1", "::ffff:10.1.1.1"};
	static const char *const other[] = {
		"1.1.1.1", "0.0.0.0", "169.254.169.254", "fe80::1", "100.100.100.200"};
	struct sockaddr_storage at;
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	for (size_t i = 0; i < ROWS(private_); i++) {
		assert_true(address_read(str_c(private_[i]), &at));
		assert_true(address_is_private((struct sockaddr *)&at));
		assert_true(address_is_loopback((struct sockaddr *)&at) == (i < 2));
	}
	for (size_t i = 0; i < ROWS(other); i++) {
		assert_true(address_read(str_c(other[i]), &at));
		assert_false(address_is_private((struct sockaddr *)&at));
	}
	assert_false(address_is_private((struct sockaddr *)&local));
	assert_false(address_may_be_called((struct sockaddr *)&local, (struct address_nets){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_machine_and_network_are_closed),
		cmocka_unit_test(the_rest_is_public),
		cmocka_unit_test(other_families_are_closed),
		cmocka_unit_test(a_list_opens_what_it_names),
		cmocka_unit_test(a_list_names_private_space_only),
		cmocka_unit_test(tools_stay_in_private_space),
	};
	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
