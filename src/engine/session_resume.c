/* Going on with an earlier session of the same number: finding it, and becoming it. */
#include "session_priv.h"

static bool is_resumable(const struct session *s, const struct session_resume *how, int64_t now_ms)
{
	int64_t life_ms = s->is_parked ? how->parked_ms : how->dropped_ms;

	if (s->is_offering || s->summary.n == 0 || (s->is_ended && !s->is_parked))
		return false;
	return s->last_ms + life_ms >= now_ms;
}

/* The newest slot of a number that is at rest and can be resumed; unpacked into *out. */
static bool resumable(struct session_table *t, const struct session *besides,
	const struct session_resume *how, struct arena *arena, struct session *out)
{
	uint64_t hash = slot_hash_of_number(t, besides->channel, str_c(besides->msisdn.digits));
	struct session_slot *s = t->by_number[hash & (t->buckets - 1)];
	bool is_found = false;

	for (; s != NULL; s = s->next_number) {
		struct session one;

		if (s->number_hash != hash || s->is_taken || s == besides->slot ||
			s->packed == NULL || (is_found && s->last_ms <= out->last_ms))
			continue;
		if (slot_unpack(s, arena, &one) != 0)
			continue;
		buf_fini(&one.journal);
		if (!is_resumable(&one, how, besides->last_ms))
			continue;
		*out = one;
		is_found = true;
	}
	return is_found;
}

bool session_find_resumable(struct session_table *t, struct session *session,
	const struct session_resume *how, struct arena *arena)
{
	struct session found;
	bool is_there;

	if (session->msisdn.digits[0] == '\0')
		return false;
	(void)pthread_mutex_lock(&t->lock);
	is_there = resumable(t, session, how, arena, &found);
	(void)pthread_mutex_unlock(&t->lock);
	if (!is_there)
		return false;
	memcpy(session->offer, found.uid, UID_LEN);
	session->summary = found.summary;
	return true;
}

static void take_over(struct session *session, const struct session *old)
{
	memcpy(session->uid, old->uid, UID_LEN);
	memcpy(session->service_hash, old->service_hash, sizeof(session->service_hash));
	buf_fini(&session->journal);
	session->journal = old->journal;
	session->buys = old->buys;
	session->summary = old->summary;
	session->lang = old->lang;
	session->begun_ms = old->begun_ms;
	session->is_offering = false;
}

bool session_adopt(struct session_table *t, struct session *session, struct arena *arena)
{
	uint64_t hash = slot_hash_of_number(t, session->channel, str_c(session->msisdn.digits));
	bool adopted = false;

	(void)pthread_mutex_lock(&t->lock);
	for (struct session_slot *s = t->by_number[hash & (t->buckets - 1)]; s != NULL && !adopted;
		s = s->next_number) {
		struct session old;

		if (s->number_hash != hash || s->is_taken || s->packed == NULL ||
			slot_unpack(s, arena, &old) != 0)
			continue;
		if (memcmp(old.uid, session->offer, UID_LEN) != 0) {
			buf_fini(&old.journal);
			continue;
		}
		take_over(session, &old);
		/* Or a restart would bring it back and offer it once more. */
		if (t->log != NULL)
			session_log_append(t->log, (struct str){s->packed, s->packed_len}, true);
		slot_free(t, s);
		adopted = true;
		break;
	}
	(void)pthread_mutex_unlock(&t->lock);
	return adopted;
}
