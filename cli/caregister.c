/*
 * The register of a root, a text file: what it signed and revoked, for
 * caroot.c, which writes there before anything leaves.
 */
#include "caregister.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define REGISTER_MAX	(4 * 1024 * 1024)

/*
 * On the disk before what it tells of leaves the host: a number or a serial
 * number that was given away is never free again.
 */
int
register_add(const struct root *r, struct buf *line, struct err *err)
{
	char *path = file_path(r->dir, r->name, ".register");
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	int rc = 0;

	buf_addc(line, '\n');
	if (fd < 0 || write(fd, line->p, line->n) != (ssize_t)line->n ||
	    fsync(fd) != 0)
		rc = err_set(err, ERR_DENIED, "%.120s: %s", path,
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* As cert_serial writes it: whole octets, in upper case. */
static bool
is_serial(const char *s)
{
	return strspn(s, "0123456789ABCDEF") == strlen(s) &&
	    strlen(s) % 2 == 0;
}

/* The subject, behind it, is for people. */
static bool
take_certificate(const char *line, struct register_state *s)
{
	char serial[41], md[65];
	int64_t end;
	int n = 0;

	if (sscanf(line, "certificate %40s %" SCNd64 " %64[0-9a-f] %n",
	    serial, &end, md, &n) != 3 || n == 0 || !is_serial(serial))
		return false;
	if (s->serial != NULL && strcmp(serial, s->serial) == 0)
		s->signed_here = true;
	return true;
}

/* %40s leaves no line behind that the serial number's field cannot hold. */
static bool
take_revoked(const char *line, struct register_state *s)
{
	struct register_entry e;
	int n = 0;

	if (sscanf(line, "revoked %40s %" SCNd64 " %u%n", e.serial, &e.at,
	    &e.reason, &n) != 3 || line[n] != '\0' || !is_serial(e.serial) ||
	    e.reason > 10)
		return false;
	if (s->serial != NULL && strcmp(e.serial, s->serial) == 0)
		s->revoked_here = true;
	s->revoked = xreallocarray(s->revoked, s->n + 1, sizeof e);
	s->revoked[s->n++] = e;
	return true;
}

/*
 * Numbers without a gap and times that do not fall: a line that was taken out
 * is missed.
 */
static bool
take_crl(const char *line, struct register_state *s)
{
	uint64_t number;
	int64_t at, next;
	int n = 0;

	if (sscanf(line, "crl %" SCNu64 " %" SCNd64 " %" SCNd64 "%n",
	    &number, &at, &next, &n) != 3 || line[n] != '\0' ||
	    number != s->crl_number + 1 || at < s->crl_at)
		return false;
	s->crl_number = number;
	s->crl_at = at;
	return true;
}

int
register_read(const struct root *r, struct register_state *s, struct err *err)
{
	char *path = file_path(r->dir, r->name, ".register"), *line, *rest;
	struct buf text = { 0 };
	size_t at = 0;
	int rc = file_read(path, REGISTER_MAX, &text, err);

	rest = buf_str(&text);
	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
		at++;
		if (rest == NULL && *line == '\0')
			break;
		if (!take_certificate(line, s) && !take_revoked(line, s) &&
		    !take_crl(line, s))
			rc = err_set(err, ERR_DENIED, "%.100s: line %zu is "
			    "none that this program writes", path, at);
	}
	if (rc != 0)
		register_free(s);
	buf_free(&text);
	free(path);
	return rc;
}

void
register_free(struct register_state *s)
{
	free(s->revoked);
	s->revoked = NULL;
	s->n = 0;
}
