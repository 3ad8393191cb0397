/* A growing buffer with a ceiling. */
#include "tama/buf.h"

#include "tama/err.h"

#include <stdarg.h>

#define SMALLEST 256

/*
 * Makes room for n more bytes and one beyond them, where vsnprintf puts its NUL. The old memory is
 * wiped, which realloc would not do.
 */
static bool reserve(struct buf *buf, size_t n)
{
	if (buf->overflowed || n > buf->max - buf->n) {
		buf->overflowed = true;
		return false;
	}
	if (buf->n + n < buf->cap)
		return true;
	size_t cap = buf->cap > buf->max / 2 ? buf->max + 1 : buf->cap * 2;
	if (cap < SMALLEST)
		cap = SMALLEST;
	if (cap < buf->n + n + 1)
		cap = buf->n + n + 1;
	char *p = malloc(cap);
	if (p == NULL) {
		buf->overflowed = true;
		return false;
	}
	if (buf->n > 0) {
		memcpy(p, buf->p, buf->n);
		explicit_bzero(buf->p, buf->n);
	}
	free(buf->p);
	buf->p = p;
	buf->cap = cap;
	return true;
}

static void add_le(struct buf *buf, uint64_t v, unsigned bytes)
{
	unsigned char le[8];
	for (unsigned i = 0; i < bytes; i++)
		le[i] = (unsigned char)(v >> (8 * i));
	buf_add(buf, le, bytes);
}

void buf_init(struct buf *buf, size_t max)
{
	tama_assert(max < SIZE_MAX);
	*buf = (struct buf){.max = max};
}

void buf_fini(struct buf *buf)
{
	if (buf->p != NULL)
		explicit_bzero(buf->p, buf->cap);
	free(buf->p);
	buf_init(buf, buf->max);
}

void buf_reset(struct buf *buf)
{
	buf->n = 0;
	buf->overflowed = false;
}

void buf_add(struct buf *buf, const void *bytes, size_t n)
{
	if (!reserve(buf, n) || n == 0)
		return;
	memcpy(buf->p + buf->n, bytes, n);
	buf->n += n;
}

void buf_add_str(struct buf *buf, struct str s)
{
	buf_add(buf, s.p, s.n);
}

void buf_add_char(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	tama_assert(n >= 0);
	if (!reserve(buf, (size_t)n))
		return;
	va_start(args, fmt);
	(void)vsnprintf(buf->p + buf->n, (size_t)n + 1, fmt, args);
	va_end(args);
	buf->n += (size_t)n;
}

void buf_add_u16(struct buf *buf, uint16_t v)
{
	add_le(buf, v, 2);
}

void buf_add_u32(struct buf *buf, uint32_t v)
{
	add_le(buf, v, 4);
}

void buf_add_u64(struct buf *buf, uint64_t v)
{
	add_le(buf, v, 8);
}
