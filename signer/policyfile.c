/* A policy out of a file: what -t looks at, and all that a vault has. */
#include "conf.h"
#include "file.h"
#include "policyfile.h"

#define FILE_MAX	(1024 * 1024)	/* more than policy_parse takes */

struct policy *
policy_file(const char *path, struct err *err)
{
	struct policy *p = NULL;
	struct err why = ERR_INIT;
	struct buf text = { 0 };

	if (file_read(path, FILE_MAX, &text, err) == 0 &&
	    (p = policy_parse(buf_slice(&text), &why)) == NULL)
		conf_fault(path, &why, err);
	buf_free(&text);
	return p;
}
