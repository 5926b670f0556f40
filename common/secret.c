/*
 * Secrets in files, and a process that leaves none in a core dump: the first
 * call of every program.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "file.h"
#include "secret.h"

/* The kernel's form of an access control list, little endian. */
#define ACL_XATTR	"system.posix_acl_access"
#define ACL_VERSION	2
#define ACL_USER_OBJ	0x01
#define ACL_USER	0x02
#define ACL_MASK	0x10

struct acl_entry {
	uint16_t	tag;
	uint16_t	perm;
	uint32_t	id;
};

/*
 * systemd hands out credentials that root owns, with an access control list
 * that lets one user read; the group bits of the mode are then the list's
 * mask.  True when the list lets in nobody but us, and us only to read.
 */
static bool
acl_only_us(int fd)
{
	struct {
		uint32_t		version;
		struct acl_entry	e[16];
	} acl;
	ssize_t		n;
	size_t		i, count;
	uint16_t	tag, perm;

	n = fgetxattr(fd, ACL_XATTR, &acl, sizeof(acl));
	if (n < (ssize_t)sizeof(acl.version) ||
	    le32toh(acl.version) != ACL_VERSION)
		return false;
	count = ((size_t)n - sizeof(acl.version)) / sizeof(acl.e[0]);
	for (i = 0; i < count; i++) {
		tag = le16toh(acl.e[i].tag);
		perm = le16toh(acl.e[i].perm);
		if (tag == ACL_USER_OBJ || tag == ACL_MASK || perm == 0)
			continue;
		if (tag != ACL_USER || perm != 4 ||
		    le32toh(acl.e[i].id) != geteuid())
			return false;
	}
	return true;
}

static int
check_file(int fd, const char *path, size_t max, size_t *size,
    struct err *err)
{
	struct stat	st;

	if (fstat(fd, &st) == -1)
		return err_set(err, ERR_INTERNAL, "%s: %s", path,
		    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INTERNAL, "%s: not a regular file",
		    path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, ERR_INTERNAL, "%s: owned by user %u, but "
		    "user %u reads it: run this as its owner, or chown it",
		    path, (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 07) != 0 ||
	    ((st.st_mode & 070) != 0 && !acl_only_us(fd)))
		return err_set(err, ERR_INTERNAL,
		    "%s: mode %03o lets group or others in", path,
		    (unsigned)st.st_mode & 0777);
	if (st.st_size < 0 || (uintmax_t)st.st_size > max)
		return err_set(err, ERR_INTERNAL, "%s: larger than %zu bytes",
		    path, max);
	*size = (size_t)st.st_size;
	return 0;
}

/* Read up to n bytes; fewer at the end of the file. */
static ssize_t
read_all(int fd, uint8_t *p, size_t n)
{
	size_t	done = 0;
	ssize_t	r;

	while (done < n) {
		r = read(fd, p + done, n - done);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return -1;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static int
read_open(int fd, const char *path, size_t max, struct buf *out,
    struct err *err)
{
	uint8_t	*at;
	size_t	 size;
	ssize_t	 n;

	if (check_file(fd, path, max, &size, err) == -1)
		return -1;
	/* One allocation: growing would leave copies behind. */
	at = buf_extend(out, size + 1);
	n = read_all(fd, at, size + 1);
	if (n == (ssize_t)size) {
		out->n--;
		return 0;
	}
	OPENSSL_cleanse(at, size + 1);
	out->n -= size + 1;
	return err_set(err, ERR_INTERNAL, "%s: %s", path,
	    n == -1 ? strerror(errno) : "changed while it was read");
}

int
secret_read(const char *path, size_t max, bool strip, struct buf *out,
    struct err *err)
{
	int	fd, ret;

	/* O_NONBLOCK so that a FIFO in its place does not stop us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return err_set(err, ERR_INTERNAL, "%s: %s", path,
		    strerror(errno));
	ret = read_open(fd, path, max, out, err);
	close(fd);
	if (ret == 0 && strip && out->n > 0 && out->p[out->n - 1] == '\n')
		out->n--;
	return ret;
}

static int
sync_folder(const char *path)
{
	char	*copy = xstrdup(path);
	int	 fd, ret = -1;

	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd == -1)
		return -1;
	if (fsync(fd) == 0)
		ret = 0;
	close(fd);
	return ret;
}

static int
write_synced(int fd, struct slice s)
{
	return file_write_all(fd, s) == -1 ? -1 : fsync(fd);
}

int
secret_pem(char *out, int size, int writing, void *arg)
{
	const struct buf	*pass = arg;

	(void)writing;
	if (pass == NULL || pass->n == 0 || size < 0 ||
	    pass->n > (size_t)size)
		return -1;
	memcpy(out, pass->p, pass->n);
	return (int)pass->n;
}

int
secret_write(const char *path, struct slice s, struct err *err)
{
	int	fd, ret;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0400);
	if (fd == -1)
		return err_set(err, ERR_INTERNAL, "%s: %s", path,
		    strerror(errno));
	ret = write_synced(fd, s);
	if (ret == -1)
		err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
	close(fd);
	if (ret == 0 && sync_folder(path) == -1)
		ret = err_set(err, ERR_INTERNAL, "folder of %s: %s", path,
		    strerror(errno));
	if (ret == -1)
		unlink(path);
	return ret;
}

/* The lowest number that is free is the one that open(2) gives. */
static int
hold_streams(struct err *err)
{
	static const int	how[] = { O_WRONLY, O_RDONLY, O_WRONLY };
	int			fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 &&
		    open("/dev/null", how[fd]) != fd)
			return err_set(err, ERR_INTERNAL, "/dev/null: %s",
			    strerror(errno));
	return 0;
}

int
secret_harden(struct err *err)
{
	struct rlimit	none = { 0, 0 };

	if (hold_streams(err) == -1)
		return -1;
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return err_set(err, ERR_INTERNAL, "no core files: %s",
		    strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return err_set(err, ERR_INTERNAL, "not dumpable: %s",
		    strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_set(err, ERR_INTERNAL, "no new privileges: %s",
		    strerror(errno));
	return 0;
}
