/* Chance, and what goes wrong by it. */
#include "sim.h"

uint64_t sim_mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* FNV-1a. */
uint64_t sim_digest(struct str text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < text.n; i++)
		h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001B3);
	return h;
}

uint64_t sim_below(struct sim *s, uint32_t uid, uint64_t n)
{
	struct press *p = sim_press(s, uid);

	return sim_mix(p != NULL ? &p->chance : &s->process_chance) % n;
}

void sim_mark(struct sim *s, uint32_t uid)
{
	struct press *p = sim_press(s, uid);

	if (p != NULL)
		p->is_faulted = true;
}

static bool is_wanted(const struct sim *s, const struct stroke *stroke)
{
	const struct strokes *only = s->plan->only;

	for (size_t i = 0; only != NULL && i < only->len; i++)
		if (only->all[i].fault == stroke->fault && only->all[i].press == stroke->press &&
			only->all[i].n == stroke->n)
			return true;
	return only == NULL;
}

static void keep_stroke(struct sim *s, const struct stroke *stroke)
{
	struct strokes *list = s->plan->struck;

	if (list == NULL)
		return;
	list->all = sim_grow(list->all, list->len, &list->cap, sizeof(*list->all));
	list->all[list->len++] = *stroke;
}

/*
 * Not from a sequence: whether the n-th chance of a kind at a press strikes depends on nothing but
 * the seed, so a stroke taken away leaves the others where they were.
 */
bool sim_strikes(struct sim *s, enum fault fault, uint32_t uid)
{
	struct press *p = sim_press(s, uid);
	uint32_t *n = p != NULL ? &p->chances[fault] : &s->chances[fault];
	struct stroke stroke = {fault, uid, *n};
	uint64_t state = s->seed ^ ((uint64_t)fault << 56 | (uint64_t)uid << 24 | *n);

	if (!s->has_faults)
		return false;
	++*n;
	if (!s->is_on[fault] || sim_mix(&state) % 1000 >= s->rate || !is_wanted(s, &stroke))
		return false;
	s->report->faults[fault]++;
	sim_mark(s, uid);
	keep_stroke(s, &stroke);
	return true;
}

/* Few faults reach deep states, many reach strange ones: each world draws its own mixture. */
void sim_draw_faults(struct sim *s)
{
	static const unsigned rates[] = {0, 15, 50, 120, 300};

	s->rate = rates[sim_below(s, 0, SIM_ROWS(rates))];
	for (int i = 0; i < FAULTS; i++)
		s->is_on[i] = sim_below(s, 0, 3) != 0;
	s->has_faults = true;
}

const char *sim_fault_name(enum fault fault)
{
	static const char *const names[FAULTS] = {
		[FAULT_CONNECT] = "connect",
		[FAULT_REQUEST_LOST] = "request_lost",
		[FAULT_REPLY_LOST] = "reply_lost",
		[FAULT_CUT] = "cut",
		[FAULT_CUT_WHOLE] = "cut_whole",
		[FAULT_500] = "500",
		[FAULT_500_DONE] = "500_done",
		[FAULT_GARBAGE] = "garbage",
		[FAULT_OTHER_REPLY] = "other_reply",
		[FAULT_WRONG_REPLY] = "wrong_reply",
		[FAULT_WRONG_AMOUNT] = "wrong_amount",
		[FAULT_REFUSED] = "refused",
		[FAULT_429] = "429",
		[FAULT_401] = "401",
		[FAULT_404] = "404",
		[FAULT_REDIRECT] = "redirect",
		[FAULT_FOR_EVER] = "for_ever",
		[FAULT_FAILED] = "failed",
		[FAULT_TWICE] = "twice",
		[FAULT_LATER] = "later",
		[FAULT_IPN_LOST] = "ipn_lost",
		[FAULT_IPN_TWICE] = "ipn_twice",
		[FAULT_IPN_FIRST] = "ipn_first",
		[FAULT_IPN_LATE] = "ipn_late",
		[FAULT_IPN_WRONG] = "ipn_wrong",
		[FAULT_IPN_STRANGE] = "ipn_strange",
		[FAULT_IPN_FORGED] = "ipn_forged",
		[FAULT_IPN_BROKEN] = "ipn_broken",
		[FAULT_LIE] = "lie",
		[FAULT_QUERY] = "query",
		[FAULT_HIDDEN] = "hidden",
		[FAULT_PREPARE] = "prepare",
		[FAULT_STALL] = "stall",
		[FAULT_SMS] = "sms",
		[FAULT_COMMIT] = "commit",
		[FAULT_CRASH] = "crash",
		[FAULT_PAUSE] = "pause",
		[FAULT_POWER] = "power",
		[FAULT_DISK] = "disk",
		[FAULT_CLOCK] = "clock",
		[FAULT_RESTORE] = "restore",
	};

	return names[fault];
}
