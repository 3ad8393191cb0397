/*
 * A growing buffer that knows its ceiling from birth. Appending past the ceiling sets a sticky
 * overflow flag and appends nothing more, so a builder writes all it has and checks once.
 */
#ifndef TAMA_BUF_H
#define TAMA_BUF_H

#include "tama/str.h"

struct buf {
	char *p;
	size_t n;
	size_t cap;
	size_t max;
	bool overflowed;
};

/* Empty; will hold at most max bytes. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t max);

/* Frees; the buffer is then as after buf_init. Contents are wiped first: buffers carry numbers. */
void buf_fini(struct buf *buf);

/* Empties but keeps the memory; clears the overflow flag. */
void buf_reset(struct buf *buf);

void buf_add(struct buf *buf, const void *bytes, size_t n);
void buf_add_str(struct buf *buf, struct str s);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Little-endian fixed integers, for journals and logs. */
void buf_add_u16(struct buf *buf, uint16_t v);
void buf_add_u32(struct buf *buf, uint32_t v);
void buf_add_u64(struct buf *buf, uint64_t v);

static inline struct str buf_str(const struct buf *buf)
{
	return (struct str){buf->p, buf->n};
}

#endif
