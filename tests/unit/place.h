/* A folder of a unit test's own, and the name of the file that it is about. */
#ifndef PLACE_H
#define PLACE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"

struct place {
	char	dir[32];
	char	file[48];
};

static int
place_make(void **state, const char *file)
{
	struct place	*p = xcalloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/unit_test.XXXXXX");
	if (mkdtemp(p->dir) == NULL)
		return -1;
	snprintf(p->file, sizeof(p->file), "%s/%s", p->dir, file);
	*state = p;
	return 0;
}

/* And all that is in it, which are files and empty folders. */
static int
teardown(void **state)
{
	struct place	*p = *state;
	DIR		*d = opendir(p->dir);
	struct dirent	*e;

	while ((e = readdir(d)) != NULL)
		if (unlinkat(dirfd(d), e->d_name, 0) == -1)
			(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	closedir(d);
	rmdir(p->dir);
	free(p);
	return 0;
}

#endif
