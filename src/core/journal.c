/* The journal's bytes, and what of them is in force. */
#include "tama/journal.h"

#include "tama/err.h"

enum { HASH = 1, HANDLE = 2, ORDINAL = 4, PURCHASE = 8, TEXT = 16 };

/* What follows each kind, always in the order of the flags. A kind below 1 or beyond is corrupt. */
static const unsigned char parts_of[] = {
	[JOURNAL_ANSWER] = HASH | TEXT,
	[JOURNAL_SECRET] = HASH | HANDLE,
	[JOURNAL_REJECT] = HASH | TEXT,
	[JOURNAL_PAGE] = HASH,
	[JOURNAL_EFFECT] = HASH | TEXT,
	[JOURNAL_PARK] = 0,
	[JOURNAL_BUY] = ORDINAL | PURCHASE | TEXT,
	[JOURNAL_BACK] = 0,
	[JOURNAL_HOME] = 0,
};

static bool is_kind(unsigned kind)
{
	return kind >= JOURNAL_ANSWER && kind <= JOURNAL_HOME;
}

static void put_varint(struct buf *journal, size_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_add_char(journal, (char)(n | 0x80));
	buf_add_char(journal, (char)n);
}

/* Little-endian integer of so many bytes cut off *rest; false when they are not there. */
static bool take(struct str *rest, unsigned bytes, uint64_t *out)
{
	uint64_t v = 0;
	if (rest->n < bytes)
		return false;
	for (unsigned i = bytes; i-- > 0;)
		v = v << 8 | (unsigned char)rest->p[i];
	*rest = str_from(*rest, bytes);
	*out = v;
	return true;
}

/* Text behind its length. Only the shortest form of a length is one: an entry has one spelling. */
static bool take_text(struct str *rest, struct str *out)
{
	uint64_t n = 0;
	uint64_t byte = 0x80;
	for (unsigned shift = 0; (byte & 0x80) != 0; shift += 7) {
		if (shift > 28 || !take(rest, 1, &byte) || (byte == 0 && shift > 0))
			return false;
		n |= (byte & 0x7F) << shift;
	}
	if (n > rest->n)
		return false;
	*out = (struct str){rest->p, (size_t)n};
	*rest = str_from(*rest, (size_t)n);
	return true;
}

static bool take_entry(struct str *rest, struct journal_entry *entry)
{
	uint64_t v = 0;
	if (!take(rest, 1, &v) || !is_kind((unsigned)v))
		return false;
	*entry = (struct journal_entry){.kind = (enum journal_kind)v};
	unsigned parts = parts_of[v];
	if ((parts & HASH) != 0) {
		if (!take(rest, 2, &v))
			return false;
		entry->hash = (uint16_t)v;
	}
	if ((parts & HANDLE) != 0) {
		if (!take(rest, 4, &v))
			return false;
		entry->handle = (uint32_t)v;
	}
	if ((parts & ORDINAL) != 0) {
		if (!take(rest, 1, &v) || v == 0)
			return false;
		entry->ordinal = (uint8_t)v;
	}
	if ((parts & PURCHASE) != 0 && !take(rest, 8, &entry->purchase))
		return false;
	return (parts & TEXT) == 0 || take_text(rest, &entry->text);
}

static int journal_count(struct str journal, size_t *out)
{
	struct journal_entry entry;
	size_t n = 0;
	size_t at = 0;
	int rc;
	while ((rc = journal_next(journal, &at, &entry)) == 1)
		n++;
	*out = n;
	return rc;
}

static bool is_input(const struct journal_entry *entry)
{
	return entry->kind == JOURNAL_ANSWER || entry->kind == JOURNAL_SECRET;
}

/* Where the steps begin that BACK and HOME may drop: after the last BUY. */
static size_t barrier_of(const struct journal_steps *steps)
{
	size_t i = steps->n;
	while (i > 0 && steps->steps[i - 1].kind != JOURNAL_BUY)
		i--;
	return i;
}

/* Index of the last answer or secret that BACK may drop; steps->n when there is none. */
static size_t last_input(const struct journal_steps *steps)
{
	for (size_t i = steps->n; i > barrier_of(steps); i--)
		if (is_input(&steps->steps[i - 1]))
			return i - 1;
	return steps->n;
}

/* Another question is pending now: its page is the first and nothing was refused at it. */
static void question_begin(struct journal_steps *steps)
{
	steps->page = 0;
	steps->was_rejected = false;
}

static void apply(struct journal_steps *steps, const struct journal_entry *entry)
{
	switch (entry->kind) {
	case JOURNAL_REJECT:
		steps->was_rejected = true;
		steps->rejected = *entry;
		return;
	case JOURNAL_PAGE:
		steps->was_rejected = false;
		steps->page++;
		return;
	case JOURNAL_BACK:
		steps->n = last_input(steps);
		break;
	case JOURNAL_HOME:
		steps->n = barrier_of(steps);
		break;
	case JOURNAL_BUY:
		steps->buys++;
		steps->steps[steps->n++] = *entry;
		break;
	case JOURNAL_ANSWER:
	case JOURNAL_SECRET:
	case JOURNAL_EFFECT:
	case JOURNAL_PARK:
		steps->steps[steps->n++] = *entry;
		break;
	}
	question_begin(steps);
}

void journal_add(struct buf *journal, const struct journal_entry *entry)
{
	tama_assert(is_kind(entry->kind));
	tama_assert(entry->text.n <= UINT32_MAX);
	unsigned parts = parts_of[entry->kind];
	size_t begin = journal->n;
	tama_assert((parts & ORDINAL) == 0 || entry->ordinal > 0);
	buf_add_char(journal, (char)entry->kind);
	if ((parts & HASH) != 0)
		buf_add_u16(journal, entry->hash);
	if ((parts & HANDLE) != 0)
		buf_add_u32(journal, entry->handle);
	if ((parts & ORDINAL) != 0)
		buf_add_char(journal, (char)entry->ordinal);
	if ((parts & PURCHASE) != 0)
		buf_add_u64(journal, entry->purchase);
	if ((parts & TEXT) != 0) {
		put_varint(journal, entry->text.n);
		buf_add_str(journal, entry->text);
	}
	/* A whole entry or nothing of it. */
	if (journal->overflowed)
		journal->n = begin;
}

int journal_next(struct str journal, size_t *at, struct journal_entry *out)
{
	struct journal_entry entry;
	if (*at >= journal.n)
		return 0;
	struct str rest = str_from(journal, *at);
	if (!take_entry(&rest, &entry))
		return TAMA_EINVAL;
	*at = journal.n - rest.n;
	*out = entry;
	return 1;
}

int journal_fold(struct str journal, struct arena *arena, struct journal_steps *out)
{
	struct journal_steps steps = {0};
	struct journal_entry entry;
	size_t n;
	int rc = journal_count(journal, &n);
	if (rc != 0)
		return rc;
	steps.steps = arena_alloc(arena, n * sizeof(steps.steps[0]));
	if (steps.steps == NULL)
		return TAMA_ENOMEM;
	for (size_t at = 0; journal_next(journal, &at, &entry) == 1;)
		apply(&steps, &entry);
	steps.can_go_back = last_input(&steps) < steps.n;
	*out = steps;
	return 0;
}
