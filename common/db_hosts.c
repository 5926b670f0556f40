/*
 * Whose turn it is among several database servers: for db.c, when it connects
 * again.
 */
#include <stdlib.h>
#include <string.h>

#include "db_hosts.h"

static const char *
option(const PQconninfoOption *o, const char *keyword)
{
	for (; o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val;
	return NULL;
}

static size_t
count(const char *list)
{
	size_t n = 1;

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Element n of a list, and its end. */
static const char *
element(const char *list, size_t n, size_t *len)
{
	for (; n > 0; n--)
		list = strchr(list, ',') + 1;
	*len = strcspn(list, ",");
	return list;
}

/* One port may stand for all servers: it stays as it is. */
static char *
turned(const char *list, size_t first)
{
	struct buf b = { NULL, 0, 0 };
	size_t i, len, n = list != NULL ? count(list) : 0;
	const char *p;
	char *out;

	for (i = 0; i < n; i++) {
		p = element(list, (first + i) % n, &len);
		if (i > 0)
			buf_addc(&b, ',');
		buf_add(&b, p, len);
	}
	out = n == 0 ? NULL : xstrdup(buf_str(&b));
	buf_free(&b);
	return out;
}

int
db_hosts_from(const char *dsn, size_t first, struct db_hosts *h)
{
	PQconninfoOption *o = PQconninfoParse(dsn, NULL);

	if (o == NULL)
		return -1;
	h->host = turned(option(o, "host"), first);
	h->hostaddr = turned(option(o, "hostaddr"), first);
	h->port = turned(option(o, "port"), first);
	PQconninfoFree(o);
	return 0;
}

void
db_hosts_free(struct db_hosts *h)
{
	free(h->host);
	free(h->hostaddr);
	free(h->port);
	memset(h, 0, sizeof(*h));
}

static bool
is_element(const char *list, size_t n, const char *what)
{
	size_t len;
	const char *p;

	/* One port for all, or the usual one. */
	if (list == NULL || what == NULL || count(list) <= n)
		return true;
	p = element(list, n, &len);
	return len == 0 || (strlen(what) == len && memcmp(p, what, len) == 0);
}

size_t
db_hosts_of(const char *dsn, const PGconn *conn, size_t ahead)
{
	struct db_hosts h;
	const char *list;
	size_t i, n, found = 0;

	if (conn == NULL || db_hosts_from(dsn, 0, &h) == -1)
		return 0;
	list = h.host != NULL ? h.host : h.hostaddr;
	n = list != NULL ? count(list) : 0;
	for (i = 0; i < n; i++) {
		if (is_element(list, i, PQhost(conn)) &&
		    is_element(h.port, i, PQport(conn))) {
			found = (i + ahead) % n;
			break;
		}
	}
	db_hosts_free(&h);
	return found;
}
