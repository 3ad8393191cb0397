/* Sealing, keyed hashes, IPN tokens, HMAC, references. */
#include "check.h"

#include "tama/vault.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define OTHER_KEY "0123456789abcdef0123456789abcdeF"

static struct vault *vault_of(struct str key)
{
	struct vault *vault = NULL;

	assert_int_equal(vault_new(key, &vault, NULL), 0);
	assert_non_null(vault);
	return vault;
}

static void refuses_a_master_key_of_another_length(void **state)
{
	struct vault *vault = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(vault_new(STR("short"), &vault, &err), TAMA_EINVAL);
	assert_string_equal(err.text, "the master key has 5 bytes, not 32");
	assert_int_equal(vault_new(STR(KEY "x"), &vault, NULL), TAMA_EINVAL);
	assert_int_equal(vault_new((struct str){NULL, 0}, &vault, NULL), TAMA_EINVAL);
	assert_null(vault);
	vault_free(&vault);
}

static void seals_and_opens(void **state)
{
	struct vault *vault = vault_of(STR(KEY));
	const struct str plain = STR("+2250700000001"), row = STR("row 7");
	unsigned char sealed[64], again[64], open[64];
	const struct str box = {(const char *)sealed, plain.n + VAULT_OVERHEAD};

	vault_seal(vault, VAULT_MSISDN, row, plain, sealed);
	vault_seal(vault, VAULT_MSISDN, row, plain, again);
	assert_memory_not_equal(sealed, again, box.n);
	assert_int_equal(vault_open(vault, VAULT_MSISDN, row, box, open), 0);
	check_str(((struct str){(char *)open, plain.n}), "+2250700000001");

	const struct str nothing = {NULL, 0};
	vault_seal(vault, VAULT_HOP, nothing, nothing, sealed);
	assert_int_equal(vault_open(vault, VAULT_HOP, nothing,
				 (struct str){(char *)sealed, VAULT_OVERHEAD}, open),
		0);
	vault_free(&vault);
	assert_null(vault);
}

static void opens_nothing_that_is_not_its_own(void **state)
{
	struct vault *vault = vault_of(STR(KEY)), *stranger = vault_of(STR(OTHER_KEY));
	const struct str plain = STR("secret"), row = STR("row 7");
	unsigned char sealed[64], open[64];
	struct str box = {(const char *)sealed, plain.n + VAULT_OVERHEAD};

	vault_seal(vault, VAULT_INBOX, row, plain, sealed);
	assert_int_equal(vault_open(stranger, VAULT_INBOX, row, box, open), TAMA_EAUTH);
	assert_int_equal(vault_open(vault, VAULT_OUTBOX, row, box, open), TAMA_EAUTH);
	assert_int_equal(vault_open(vault, VAULT_INBOX, STR("row 8"), box, open), TAMA_EAUTH);
	for (size_t n = 0; n < box.n; n++)
		assert_int_equal(vault_open(vault, VAULT_INBOX, row, (struct str){box.p, n}, open),
			TAMA_EAUTH);
	for (size_t i = 0; i < box.n; i++) {
		sealed[i] ^= 1;
		assert_int_equal(vault_open(vault, VAULT_INBOX, row, box, open), TAMA_EAUTH);
		sealed[i] ^= 1;
	}
	assert_int_equal(vault_open(vault, VAULT_INBOX, row, box, open), 0);
	vault_free(&vault);
	vault_free(&stranger);
}

static void hashes_a_person_within_a_partner(void **state)
{
	struct vault *vault = vault_of(STR(KEY)), *stranger = vault_of(STR(OTHER_KEY));
	unsigned char a[VAULT_HASH_LEN], b[VAULT_HASH_LEN];

	vault_hash_person(vault, 1, STR("2250700000001"), a);
	vault_hash_person(vault, 1, STR("2250700000001"), b);
	assert_memory_equal(a, b, sizeof(a));
	vault_hash_person(vault, 2, STR("2250700000001"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	vault_hash_person(vault, 1, STR("2250700000002"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	vault_hash_person(stranger, 1, STR("2250700000001"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	vault_free(&vault);
	vault_free(&stranger);
}

static void digests(void **state)
{
	unsigned char a[VAULT_HASH_LEN], b[VAULT_HASH_LEN];

	vault_digest(STR("one"), a);
	vault_digest(STR("two"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	vault_digest((struct str){NULL, 0}, a);
	vault_digest(STR(""), b);
	assert_memory_equal(a, b, sizeof(a));
}

static void knows_its_ipn_tokens(void **state)
{
	struct vault *vault = vault_of(STR(KEY)), *stranger = vault_of(STR(OTHER_KEY));
	const struct str ref = STR("A.K7QF2M9T");
	char token[64];
	struct str found = {NULL, 0}, text = {token, ref.n + 33};

	vault_ipn_token(vault, ref, token);
	assert_int_equal(strlen(token), text.n);
	assert_int_equal(vault_ipn_verify(vault, text, &found), 0);
	check_str(found, "A.K7QF2M9T");

	found = (struct str){NULL, 0};
	assert_int_equal(vault_ipn_verify(stranger, text, &found), TAMA_EAUTH);
	for (size_t n = 0; n < text.n; n++)
		assert_int_equal(
			vault_ipn_verify(vault, (struct str){token, n}, &found), TAMA_EAUTH);
	for (size_t i = 0; i < text.n; i++) {
		token[i] ^= 1;
		assert_int_equal(vault_ipn_verify(vault, text, &found), TAMA_EAUTH);
		token[i] ^= 1;
	}
	assert_null(found.p);
	vault_free(&vault);
	vault_free(&stranger);
}

/* RFC 4231, test cases 1, 2 and 6: a short key, a text for a key, a key longer than a block. */
static void checks_hmac_sha256(void **state)
{
	char long_key[131], short_key[20];
	const struct str
		hi = STR("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
		jefe = STR("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
		hash_first =
			STR("60E431591EE0B67F0D8A26AACBF5B77F8E0BC6213728C5140546040F0EE37F54");

	memset(short_key, 0x0b, sizeof(short_key));
	memset(long_key, 0xaa, sizeof(long_key));
	const struct str k1 = {short_key, sizeof(short_key)}, k6 = {long_key, sizeof(long_key)};
	assert_true(vault_hmac_sha256_ok(k1, STR("Hi There"), hi));
	assert_true(vault_hmac_sha256_ok(STR("Jefe"), STR("what do ya want for nothing?"), jefe));
	assert_true(vault_hmac_sha256_ok(
		k6, STR("Test Using Larger Than Block-Size Key - Hash Key First"), hash_first));

	assert_false(vault_hmac_sha256_ok(k1, STR("Hi there"), hi));
	assert_false(vault_hmac_sha256_ok(k1, STR("Hi There"), jefe));
	assert_false(vault_hmac_sha256_ok(k1, STR("Hi There"), str_from(hi, 1)));
	assert_false(vault_hmac_sha256_ok(k1, STR("Hi There"), (struct str){NULL, 0}));
	assert_false(vault_hmac_sha256_ok(k1, STR("Hi There"),
		STR("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cfg7")));
	assert_false(vault_hmac_sha256_ok(k1, STR("Hi There"),
		STR("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cf:f")));
}

static void compares_whole_texts(void **state)
{
	assert_true(vault_equal(STR("abc"), STR("abc")));
	assert_true(vault_equal(STR(""), (struct str){NULL, 0}));
	assert_false(vault_equal(STR("abc"), STR("abd")));
	assert_false(vault_equal(STR("abc"), STR("abcd")));
}

static void makes_references_without_look_alikes(void **state)
{
	unsigned char random[REF_LEN];
	char ref[REF_LEN + 1];

	for (unsigned base = 0; base < 256; base += REF_LEN) {
		for (unsigned i = 0; i < REF_LEN; i++)
			random[i] = (unsigned char)(base + i);
		vault_reference(random, ref);
		assert_int_equal(strlen(ref), REF_LEN);
		assert_null(strpbrk(ref, "ILOU"));
		assert_int_equal(strspn(ref, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), REF_LEN);
	}
	check_str(str_c(ref), "RSTVWXYZ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_a_master_key_of_another_length),
		cmocka_unit_test(seals_and_opens),
		cmocka_unit_test(opens_nothing_that_is_not_its_own),
		cmocka_unit_test(hashes_a_person_within_a_partner),
		cmocka_unit_test(digests),
		cmocka_unit_test(knows_its_ipn_tokens),
		cmocka_unit_test(checks_hmac_sha256),
		cmocka_unit_test(compares_whole_texts),
		cmocka_unit_test(makes_references_without_look_alikes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
