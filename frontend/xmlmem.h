/*
 * libxml2's memory.  What is allocated while one message is parsed is given
 * back at once, wiped: passwords pass through it, and to wipe and free a
 * hundred pieces cost as much as to parse them.
 */
#ifndef XMLMEM_H
#define XMLMEM_H

struct xmlmem;

/* Once per process, before libxml2 allocates anything. */
void		 xmlmem_init(void);
struct xmlmem	*xmlmem_new(void);
void		 xmlmem_free(struct xmlmem *);

/* Between these two this thread's allocations come from here. */
void		 xmlmem_begin(struct xmlmem *);
void		 xmlmem_end(void);
/* Everything that came from here is gone. */
void		 xmlmem_clear(struct xmlmem *);

#endif
