/*
 * Bytes.  struct slice borrows (never freed, lives as long as its owner);
 * struct buf owns and grows.  Running out of memory ends the process.
 */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const uint8_t	*p;
	size_t		 n;
};

struct buf {
	uint8_t	*p;
	size_t	 n;
	size_t	 cap;
};

void	 buf_add(struct buf *, const void *, size_t);
void	 buf_addc(struct buf *, uint8_t);
void	 buf_puts(struct buf *, const char *);		/* without the NUL */
void	 buf_printf(struct buf *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
void	 buf_dec(struct buf *, int64_t);			/* decimal */
void	 buf_hex(struct buf *, const uint8_t *, size_t);	/* lower case */
uint8_t	*buf_extend(struct buf *, size_t);	/* grow; the new bytes, lent */
void	 buf_reserve(struct buf *, size_t);	/* room for so many more */
void	 buf_reset(struct buf *);	/* n = 0, memory kept */
void	 buf_free(struct buf *);	/* frees and zeroes the struct */
void	 buf_wipe(struct buf *);	/* cleanse, then buf_free */
char	*buf_str(struct buf *);		/* NUL behind n (not counted); lent */

/* Lent until the buf changes. */
struct slice	 buf_slice(const struct buf *);
/* Borrows; of the string without its NUL. */
struct slice	 slice_of(const void *, size_t);
struct slice	 slice_str(const char *);
bool	 slice_eq(struct slice, struct slice);
bool	 slice_among(const struct slice *, size_t n, struct slice);
bool	 slice_is(struct slice, const char *);	/* bytes equal the string's */
/* Big endian, of at most its first 8 octets; 0 for an empty one. */
int64_t	 slice_int(struct slice);
/* The way back: 8 octets, big endian. */
void	 be64_put(uint64_t, uint8_t out[8]);
/*
 * Octets of the UTF-8 character at p; 0 when it is broken, longer than n or
 * a control character.  slice_is_text: all of them are good.
 */
size_t	 utf8_char(const uint8_t *p, size_t n);
bool	 slice_is_text(struct slice);

/*
 * malloc family that never returns NULL; the caller frees with free(3).
 * out_of_memory ends the process: for who has to allocate otherwise.
 */
void	 out_of_memory(void) __attribute__((noreturn));
void	*xcalloc(size_t, size_t);
void	*xmemdup(const void *, size_t);
char	*xstrdup(const char *);
char	*xstrndup(const char *, size_t);
void	*xreallocarray(void *, size_t, size_t);
/* v of n elements with room for one more; *cap is for how many it has room. */
void	*xgrow(void *v, size_t n, size_t *cap, size_t size);
/*
 * The same for libcrypto, before its first allocation: what it could not read
 * for want of memory must not be called malformed.
 */
void	 xalloc_openssl(void);

/*
 * Lower-case hex of n bytes into out (2n + 1 bytes), NUL ended; and back:
 * exactly n bytes from 2n digits of either case, -1 otherwise.
 */
void	 hex_encode(const uint8_t *, size_t, char *);
int	 hex_decode(const char *, uint8_t *, size_t);
/* Does the text go on with this one?  If so, *p moves behind it. */
bool	 text_take(const char **p, const char *);
/* "2026-11-24T09:00:00Z"; a time that has no such form: its number. */
void	 utc_text(int64_t unix_seconds, char out[32]);

/*
 * What is signed begins so many seconds before its moment, for readers whose
 * clocks are slow: notBefore, and thisUpdate of lists and OCSP answers.
 */
#define ISSUED_EARLY	(10 * 60)

#endif
