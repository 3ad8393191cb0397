/*
 * How many connections each address has (reliability.md F-J9): one peer may not take all there are.
 * An IPv6 peer is its /64, of which it has as many addresses as it likes. Entries live while they
 * count, so there are never more of them than connections.
 */
#include "http_in_priv.h"

#define KEY_BYTES 16
#define BUCKETS 1024

struct http_peer {
	struct http_peer *next;
	unsigned char key[KEY_BYTES];
	unsigned open;
};

struct http_peers {
	pthread_mutex_t lock;
	struct http_peer *buckets[BUCKETS];
};

struct http_peers *http_peers_new(void)
{
	struct http_peers *peers = calloc(1, sizeof(*peers));
	tama_assert(peers != NULL);
	tama_assert(pthread_mutex_init(&peers->lock, NULL) == 0);
	return peers;
}

void http_peers_free(struct http_peers *peers)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (peers->buckets[i] != NULL) {
			struct http_peer *peer = peers->buckets[i];
			peers->buckets[i] = peer->next;
			free(peer);
		}
	tama_assert(pthread_mutex_destroy(&peers->lock) == 0);
	free(peers);
}

/* An IPv4 address as its IPv4-mapped form, which is also what an IPv6 socket shows of it. */
static void key_of(const struct sockaddr *address, unsigned char key[static KEY_BYTES])
{
	memset(key, 0, KEY_BYTES);
	if (address->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, address, sizeof(v4));
		key[10] = key[11] = 0xFF;
		memcpy(key + 12, &v4.sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, address, sizeof(v6));
		memcpy(key, &v6.sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) ? 16 : 8);
	}
}

/* FNV-1a. Whoever makes keys collide has their own connections looked up more slowly. */
static struct http_peer **find(struct http_peers *peers, const unsigned char *key)
{
	uint32_t hash = UINT32_C(2166136261);
	for (size_t i = 0; i < KEY_BYTES; i++)
		hash = (hash ^ key[i]) * UINT32_C(16777619);
	struct http_peer **at = &peers->buckets[hash % BUCKETS];
	while (*at != NULL && memcmp((*at)->key, key, KEY_BYTES) != 0)
		at = &(*at)->next;
	return at;
}

unsigned http_peers_enter(struct http_peers *peers, const struct sockaddr *address)
{
	unsigned char key[KEY_BYTES];
	key_of(address, key);
	tama_assert(pthread_mutex_lock(&peers->lock) == 0);
	struct http_peer **at = find(peers, key);
	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		tama_assert(*at != NULL);
		memcpy((*at)->key, key, KEY_BYTES);
	}
	unsigned open = ++(*at)->open;
	tama_assert(pthread_mutex_unlock(&peers->lock) == 0);
	return open;
}

void http_peers_leave(struct http_peers *peers, const struct sockaddr *address)
{
	unsigned char key[KEY_BYTES];
	key_of(address, key);
	tama_assert(pthread_mutex_lock(&peers->lock) == 0);
	struct http_peer **at = find(peers, key);
	struct http_peer *peer = *at;
	/* Who entered is there; who did not has nothing to leave. */
	if (peer != NULL && --peer->open == 0) {
		*at = peer->next;
		free(peer);
	}
	tama_assert(pthread_mutex_unlock(&peers->lock) == 0);
}
