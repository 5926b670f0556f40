/* Files that come along and have words to fill in. */
#include "fill.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *
fill_file(const char *checkout, const char *installed)
{
	const char *sub[] = { checkout, installed };
	char exe[PATH_MAX], *slash, *found;
	struct buf path = { 0 };
	ssize_t n;
	size_t i;

	if ((n = readlink("/proc/self/exe", exe, sizeof exe - 1)) <= 0)
		return NULL;
	exe[n] = '\0';
	if ((slash = strrchr(exe, '/')) != NULL)
		*slash = '\0';
	for (i = 0, found = NULL; i < 2 && found == NULL; i++) {
		buf_reset(&path);
		buf_printf(&path, "%s/../%s", exe, sub[i]);
		found = realpath(buf_str(&path), NULL);
	}
	buf_free(&path);
	return found;
}

void
fill_words(const char *text, const char *const (*word)[2], struct buf *out)
{
	size_t i, n;

	for (; *text != '\0'; text += n) {
		n = strcspn(text, "@");
		buf_add(out, text, n);
		text += n;
		n = 0;
		for (i = 0; *text == '@' && word[i][0] != NULL; i++)
			if (strncmp(text, word[i][0],
			    strlen(word[i][0])) == 0) {
				buf_puts(out, word[i][1]);
				n = strlen(word[i][0]);
				break;
			}
		if (*text == '@' && n == 0)
			buf_add(out, text, n = 1);
	}
}
