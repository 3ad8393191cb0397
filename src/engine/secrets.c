/* A ring of slots in sodium_malloc'd (locked, guarded, not dumped) memory. */
#include "tama/secrets.h"

#include "tama/err.h"
#include "tama/limits.h"

#include <pthread.h>
#include <sodium.h>

#define SECRET_LIFE_MS (10 * 60 * (int64_t)1000)

struct secret {
	uint32_t handle; /* 0: free */
	uint32_t len;
	int64_t kept_ms;
	char text[LIMIT_SECRET_BYTES];
};

struct secrets {
	pthread_mutex_t lock;
	uint32_t last;
	struct secret *slots; /* slot of a handle: handle % LIMIT_SECRETS */
};

int secrets_new(struct secrets **out)
{
	struct secrets *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return TAMA_ENOMEM;
	s->slots = sodium_allocarray(LIMIT_SECRETS, sizeof(struct secret));
	if (s->slots == NULL) {
		free(s);
		return TAMA_ENOMEM;
	}
	sodium_memzero(s->slots, LIMIT_SECRETS * sizeof(struct secret));
	(void)pthread_mutex_init(&s->lock, NULL);
	/* Handles of two processes should not look alike in a journal. */
	s->last = randombytes_uniform(UINT32_C(1) << 30);
	*out = s;
	return 0;
}

void secrets_free(struct secrets **secrets)
{
	if (*secrets == NULL)
		return;
	sodium_free((*secrets)->slots);
	(void)pthread_mutex_destroy(&(*secrets)->lock);
	free(*secrets);
	*secrets = NULL;
}

static bool is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static bool is_over(const struct secret *slot, int64_t now_ms)
{
	return slot->kept_ms + SECRET_LIFE_MS < now_ms;
}

uint32_t secrets_keep(struct secrets *s, struct str secret, int64_t now_ms)
{
	uint32_t handle = 0;

	if (secret.n >= LIMIT_SECRET_BYTES || !is_digits(secret))
		return 0;
	(void)pthread_mutex_lock(&s->lock);
	for (unsigned tries = 0; tries < LIMIT_SECRETS && handle == 0; tries++) {
		struct secret *slot;

		s->last = s->last == UINT32_MAX ? 1 : s->last + 1;
		slot = &s->slots[s->last % LIMIT_SECRETS];
		if (slot->handle != 0 && !is_over(slot, now_ms))
			continue;
		sodium_memzero(slot, sizeof(*slot));
		memcpy(slot->text, secret.p, secret.n);
		slot->len = (uint32_t)secret.n;
		slot->kept_ms = now_ms;
		slot->handle = handle = s->last;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return handle;
}

int secrets_copy(struct secrets *s, uint32_t handle, int64_t now_ms, char *out, size_t size)
{
	const struct secret *slot = &s->slots[handle % LIMIT_SECRETS];
	int rc = TAMA_ENOTFOUND;

	(void)pthread_mutex_lock(&s->lock);
	if (handle != 0 && slot->handle == handle && !is_over(slot, now_ms) && slot->len < size) {
		memcpy(out, slot->text, slot->len);
		out[slot->len] = '\0';
		rc = 0;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

void secrets_forget(struct secrets *s, uint32_t handle)
{
	struct secret *slot = &s->slots[handle % LIMIT_SECRETS];

	(void)pthread_mutex_lock(&s->lock);
	if (handle != 0 && slot->handle == handle)
		sodium_memzero(slot, sizeof(*slot));
	(void)pthread_mutex_unlock(&s->lock);
}

void secrets_sweep(struct secrets *s, int64_t now_ms)
{
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < LIMIT_SECRETS; i++)
		if (s->slots[i].handle != 0 && is_over(&s->slots[i], now_ms))
			sodium_memzero(&s->slots[i], sizeof(s->slots[i]));
	(void)pthread_mutex_unlock(&s->lock);
}
