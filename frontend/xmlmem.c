/* Memory of a message being parsed: under xmlin.c, instead of malloc. */
#include <stdlib.h>
#include <string.h>

#include <libxml/xmlmemory.h>

#include "buf.h"
#include "xmlmem.h"

/* Sanitizers see more when every piece is an allocation of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define CHUNK	((size_t)0)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHUNK	((size_t)0)
#endif
#endif
#ifndef CHUNK
#define CHUNK	((size_t)48 * 1024)	/* most messages need one */
#endif

#define ALIGN(n)	(((n) + 15) / 16 * 16)

/* Before every piece, aligned like malloc's. */
struct head {
	size_t	n;
	size_t	lent;		/* of a chunk: 1 */
};

struct chunk {
	struct chunk	*older;		/* NULL: the first, which is kept */
	size_t		 size, used;	/* octets behind this struct */
	size_t		 unused;	/* the struct is a multiple of 16 */
};

struct xmlmem {
	struct chunk	*newest;
};

/* libxml2's allocator has no argument to say whose it is. */
static _Thread_local struct xmlmem *current;

static struct chunk *
chunk_new(struct chunk *older, size_t size)
{
	struct chunk	*c;

	c = xreallocarray(NULL, 1, sizeof(*c) + size);
	*c = (struct chunk){ .older = older, .size = size };
	return c;
}

static uint8_t *
chunk_end(struct chunk *c)
{
	return (uint8_t *)(c + 1) + c->used;
}

static void *
lend(struct xmlmem *m, size_t n)
{
	size_t		 need = sizeof(struct head) + ALIGN(n);
	struct head	*h;

	if (m->newest->size - m->newest->used < need)
		m->newest = chunk_new(m->newest, need > CHUNK ? need : CHUNK);
	h = (struct head *)(void *)chunk_end(m->newest);
	m->newest->used += need;
	*h = (struct head){ n, 1 };
	return h + 1;
}

static void *
mem_malloc(size_t n)
{
	struct head	*h;

	if (n > SIZE_MAX / 4)
		return NULL;
	if (current != NULL)
		return lend(current, n);
	h = xreallocarray(NULL, 1, sizeof(*h) + n);
	*h = (struct head){ n, 0 };
	return h + 1;
}

static void
mem_free(void *p)
{
	struct head	*h = p;

	if (p == NULL || h[-1].lent)
		return;
	explicit_bzero(p, h[-1].n);
	free(h - 1);
}

static void *
mem_realloc(void *old, size_t n)
{
	struct head	*h = old;
	void		*p;

	if (old != NULL && n <= h[-1].n)
		return old;
	p = mem_malloc(n);
	if (p == NULL || old == NULL)
		return p;
	memcpy(p, old, h[-1].n);
	mem_free(old);
	return p;
}

static char *
mem_strdup(const char *s)
{
	size_t	 n = strlen(s) + 1;
	char	*p = mem_malloc(n);

	return p == NULL ? NULL : memcpy(p, s, n);
}

void
xmlmem_init(void)
{
	xmlMemSetup(mem_free, mem_malloc, mem_realloc, mem_strdup);
}

struct xmlmem *
xmlmem_new(void)
{
	struct xmlmem	*m = xcalloc(1, sizeof(*m));

	m->newest = chunk_new(NULL, CHUNK);
	return m;
}

void
xmlmem_free(struct xmlmem *m)
{
	if (m == NULL)
		return;
	xmlmem_clear(m);
	free(m->newest);
	free(m);
}

void
xmlmem_begin(struct xmlmem *m)
{
	current = m;
}

void
xmlmem_end(void)
{
	current = NULL;
}

void
xmlmem_clear(struct xmlmem *m)
{
	struct chunk	*c;

	while ((c = m->newest)->older != NULL) {
		m->newest = c->older;
		explicit_bzero(c + 1, c->used);
		free(c);
	}
	explicit_bzero(c + 1, c->used);
	c->used = 0;
}
