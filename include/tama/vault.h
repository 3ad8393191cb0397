/*
 * Everything cryptographic, on libsodium: sealing what rests on disk, keyed hashes to find people
 * by, MACs of IPN addresses, random references. All keys derive from the master key (32 bytes, from
 * a file), one for each purpose, so that no output of one serves as another. Keys live in locked
 * memory. A vault is immutable after vault_new and may be used from any thread.
 */
#ifndef TAMA_VAULT_H
#define TAMA_VAULT_H

#include "tama/err.h"
#include "tama/str.h"

struct vault;

/* sodium_init, derive, lock. TAMA_EINVAL when the master key is not 32 bytes. */
int vault_new(struct str master_key, struct vault **out, struct err *err);
void vault_free(struct vault **vault);

enum vault_purpose {
	VAULT_MSISDN, /* numbers at rest */
	VAULT_INBOX, /* raw IPNs, replies, MOs */
	VAULT_OUTBOX, /* message bodies */
	VAULT_SESSION, /* journals and the session log */
	VAULT_HOP, /* stored hop replies */
	VAULT_DECISION, /* what persons wrote as proofs */
	VAULT_PURPOSES,
};

/* XChaCha20-Poly1305 with a random nonce: sealed text is this much longer than the plain. */
#define VAULT_OVERHEAD 40

/* out has room for plain.n + VAULT_OVERHEAD. `context` is authenticated too (a row's id); may be
 * empty. */
void vault_seal(const struct vault *vault, enum vault_purpose purpose, struct str context,
	struct str plain, unsigned char *out);

/* out has room for sealed.n - VAULT_OVERHEAD. 0, or TAMA_EAUTH when it is not ours or was changed.
 */
int vault_open(const struct vault *vault, enum vault_purpose purpose, struct str context,
	struct str sealed, unsigned char *out);

/* Keyed hash to find a person by number within a partner. */
#define VAULT_HASH_LEN 16
void vault_hash_person(const struct vault *vault, uint32_t partner, struct str digits,
	unsigned char out[static VAULT_HASH_LEN]);

/* Unkeyed BLAKE2b-128: bodies with marks in place of secrets, chains of events, menus. */
void vault_digest(struct str bytes, unsigned char out[static VAULT_HASH_LEN]);

/*
 * The secret path segment of an attempt's IPN address: reference, '.', 128-bit MAC in hex.
 * out has room for ref.n + 34.
 */
void vault_ipn_token(const struct vault *vault, struct str ref, char *out);
/* The reference in a token that is ours, compared in constant time; TAMA_EAUTH else. */
int vault_ipn_verify(const struct vault *vault, struct str token, struct str *ref_out);

/* Whether the hex HMAC-SHA256 of body under key equals `hex` (any case). Constant time. */
bool vault_hmac_sha256_ok(struct str key, struct str body, struct str hex);

/* Equal in constant time for equal lengths. */
bool vault_equal(struct str a, struct str b);

/* Eight characters of Crockford's base 32 without look-alikes (no I, L, O, U): "K7QF2M9T". */
#define REF_LEN 8
void vault_reference(const unsigned char random[static REF_LEN], char out[static REF_LEN + 1]);

#endif
