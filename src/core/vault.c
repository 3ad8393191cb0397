/* libsodium behind our own names; see vault.h. */
#include "tama/vault.h"

#include <sodium.h>

#define KEY_LEN 32
#define MAC_LEN 16
#define MAC_HEX (2 * MAC_LEN)

_Static_assert(KEY_LEN == crypto_kdf_KEYBYTES, "the master key is a KDF key");
_Static_assert(KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "subkeys seal");
_Static_assert(VAULT_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
					 crypto_aead_xchacha20poly1305_ietf_ABYTES,
	"a nonce before, a tag behind");

/* Numbers of the derived keys: stored data depends on them, never renumber. */
enum subkey {
	SUBKEY_SEAL = 1, /* the purposes follow one another from here */
	SUBKEY_PERSON = 32,
	SUBKEY_IPN = 33,
};

struct vault {
	unsigned char seal[VAULT_PURPOSES][KEY_LEN];
	unsigned char person[KEY_LEN];
	unsigned char ipn[KEY_LEN];
};

static const char kdf_context[crypto_kdf_CONTEXTBYTES] = {'t', 'a', 'm', 'a', 'v', 'l', 't', '1'};

static const unsigned char *bytes(struct str s)
{
	return (const unsigned char *)s.p;
}

static void derive(unsigned char out[static KEY_LEN], unsigned number, struct str master)
{
	crypto_kdf_derive_from_key(out, KEY_LEN, number, kdf_context, bytes(master));
}

int vault_new(struct str master_key, struct vault **out, struct err *err)
{
	*out = NULL;
	if (master_key.n != KEY_LEN)
		return err_set(err, TAMA_EINVAL, "the master key has %zu bytes, not %d",
			master_key.n, KEY_LEN);
	if (sodium_init() < 0)
		return err_set(err, TAMA_EIO, "libsodium finds no source of randomness");
	struct vault *vault = sodium_malloc(sizeof(*vault));
	if (vault == NULL)
		return err_set(err, TAMA_ENOMEM, "no locked memory for the keys");
	for (unsigned purpose = 0; purpose < VAULT_PURPOSES; purpose++)
		derive(vault->seal[purpose], SUBKEY_SEAL + purpose, master_key);
	derive(vault->person, SUBKEY_PERSON, master_key);
	derive(vault->ipn, SUBKEY_IPN, master_key);
	sodium_mprotect_readonly(vault);
	*out = vault;
	return 0;
}

void vault_free(struct vault **vault)
{
	sodium_free(*vault);
	*vault = NULL;
}

void vault_seal(const struct vault *vault, enum vault_purpose purpose, struct str context,
	struct str plain, unsigned char *out)
{
	tama_assert(purpose < VAULT_PURPOSES);
	unsigned char *text = out + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

	randombytes_buf(out, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, bytes(plain), plain.n,
		bytes(context), context.n, NULL, out, vault->seal[purpose]);
}

int vault_open(const struct vault *vault, enum vault_purpose purpose, struct str context,
	struct str sealed, unsigned char *out)
{
	tama_assert(purpose < VAULT_PURPOSES);
	if (sealed.n < VAULT_OVERHEAD)
		return TAMA_EAUTH;
	const unsigned char *nonce = bytes(sealed);
	struct str text = str_from(sealed, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);

	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, bytes(text), text.n,
		    bytes(context), context.n, nonce, vault->seal[purpose]) != 0)
		return TAMA_EAUTH;
	return 0;
}

void vault_hash_person(const struct vault *vault, uint32_t partner, struct str digits,
	unsigned char out[static VAULT_HASH_LEN])
{
	/* Stored in a fixed byte order: a store may move to another machine. */
	const unsigned char id[4] = {(unsigned char)partner, (unsigned char)(partner >> 8),
		(unsigned char)(partner >> 16), (unsigned char)(partner >> 24)};
	crypto_generichash_state state;

	crypto_generichash_init(&state, vault->person, KEY_LEN, VAULT_HASH_LEN);
	crypto_generichash_update(&state, id, sizeof(id));
	crypto_generichash_update(&state, bytes(digits), digits.n);
	crypto_generichash_final(&state, out, VAULT_HASH_LEN);
}

void vault_digest(struct str text, unsigned char out[static VAULT_HASH_LEN])
{
	crypto_generichash(out, VAULT_HASH_LEN, bytes(text), text.n, NULL, 0);
}

static void ipn_mac_hex(const struct vault *vault, struct str ref, char out[static MAC_HEX + 1])
{
	unsigned char mac[MAC_LEN];

	crypto_generichash(mac, sizeof(mac), bytes(ref), ref.n, vault->ipn, KEY_LEN);
	sodium_bin2hex(out, MAC_HEX + 1, mac, sizeof(mac));
}

void vault_ipn_token(const struct vault *vault, struct str ref, char *out)
{
	if (ref.n > 0)
		memcpy(out, ref.p, ref.n);
	out[ref.n] = '.';
	ipn_mac_hex(vault, ref, out + ref.n + 1);
}

int vault_ipn_verify(const struct vault *vault, struct str token, struct str *ref_out)
{
	char expected[MAC_HEX + 1];

	if (token.n < MAC_HEX + 1 || token.p[token.n - MAC_HEX - 1] != '.')
		return TAMA_EAUTH;
	struct str ref = {token.p, token.n - MAC_HEX - 1};
	ipn_mac_hex(vault, ref, expected);
	if (!vault_equal(str_from(token, ref.n + 1), (struct str){expected, MAC_HEX}))
		return TAMA_EAUTH;
	*ref_out = ref;
	return 0;
}

bool vault_hmac_sha256_ok(struct str key, struct str body, struct str hex)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES], theirs[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state state;

	if (hex.n != 2 * sizeof(theirs) ||
		sodium_hex2bin(theirs, sizeof(theirs), hex.p, hex.n, NULL, NULL, NULL) != 0)
		return false;
	crypto_auth_hmacsha256_init(&state, bytes(key), key.n);
	crypto_auth_hmacsha256_update(&state, bytes(body), body.n);
	crypto_auth_hmacsha256_final(&state, mac);
	bool is_equal = sodium_memcmp(mac, theirs, sizeof(mac)) == 0;
	sodium_memzero(mac, sizeof(mac));
	sodium_memzero(&state, sizeof(state));
	return is_equal;
}

bool vault_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}

void vault_reference(const unsigned char random[static REF_LEN], char out[static REF_LEN + 1])
{
	/* 256 is a multiple of 32: the low five bits of a random byte are uniform. */
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	for (size_t i = 0; i < REF_LEN; i++)
		out[i] = alphabet[random[i] & 31];
	out[REF_LEN] = '\0';
}
