/* malloc's own functions around malloc_usable_size, which says how much there is to wipe. */
#include "tama/wipe.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *wipe_malloc(size_t n)
{
	return malloc(n);
}

void *wipe_calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

void wipe_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *wipe_realloc(void *p, size_t n)
{
	size_t has = p != NULL ? malloc_usable_size(p) : 0;
	void *moved;

	if (p != NULL && n > 0 && n <= has)
		return p;
	moved = n > 0 ? malloc(n) : NULL;
	if (n > 0 && moved == NULL)
		return NULL;
	if (has > 0 && n > 0)
		memcpy(moved, p, has < n ? has : n);
	wipe_free(p);
	return moved;
}

char *wipe_strdup(const char *text)
{
	return strdup(text);
}
