/*
 * Weak RSA moduli: small factors, ROCA, squares, primes close together.  The
 * last thing pubkey.c asks of a key.
 */
#include <string.h>

#include "hresult.h"
#include "keycheck.h"

#define FERMAT_ROUNDS	100		/* as public CAs must make */
#define MODULUS_OCTETS	1024		/* 8192 bits */
#define ROCA_PRIME_MAX	167
#define PRIME_BITS	10

/* Odd primes below 752, the bound of the public CAs' baseline rules. */
static const uint16_t primes[] = {
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67,
	71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139,
	149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223,
	227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293,
	307, 311, 313, 317, 331, 337, 347, 349, 353, 359, 367, 373, 379, 383,
	389, 397, 401, 409, 419, 421, 431, 433, 439, 443, 449, 457, 461, 463,
	467, 479, 487, 491, 499, 503, 509, 521, 523, 541, 547, 557, 563, 569,
	571, 577, 587, 593, 599, 601, 607, 613, 617, 619, 631, 641, 643, 647,
	653, 659, 661, 673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743,
	751
};

#define NPRIMES	(sizeof(primes) / sizeof(primes[0]))

struct words {			/* least significant first */
	uint64_t	w[MODULUS_OCTETS / 8];
	size_t		n;
};

static void
words_read(struct words *to, struct slice from)
{
	size_t	i, at;

	to->n = (from.n + 7) / 8;
	memset(to->w, 0, to->n * sizeof(to->w[0]));
	for (i = 0; i < from.n; i++) {
		at = from.n - i - 1;
		to->w[at / 8] |= (uint64_t)from.p[i] << (at % 8 * 8);
	}
}

static uint64_t
mod_word(const struct words *n, uint64_t w)
{
	unsigned __int128	r = 0;
	size_t			i;

	for (i = n->n; i-- > 0;)
		r = (r << 64 | n->w[i]) % w;
	return (uint64_t)r;
}

/* n divided by a power of 2^64, modulo the odd w (Montgomery). */
static uint64_t
redc_word(const struct words *n, uint64_t w)
{
	unsigned __int128	t = 0;
	uint64_t		inverse = w;
	size_t			i;

	for (i = 0; i < 5; i++)		/* -1/w: the right bits double */
		inverse *= 2 - w * inverse;
	inverse = -inverse;
	for (i = 0; i < n->n; i++) {
		t += n->w[i];
		t = (t + (unsigned __int128)((uint64_t)t * inverse) * w) >> 64;
	}
	return (uint64_t)t;
}

/*
 * About as many primes from first on as a word holds: the next first, and
 * the product.  All this stands in the way of every request: dividing by the
 * words cost more than checking a signature.
 */
static size_t
prime_word(size_t first, uint64_t *w)
{
	size_t	i;

	*w = 1;
	for (i = first; i < NPRIMES && *w <= UINT64_MAX >> PRIME_BITS; i++)
		*w *= primes[i];
	return i;
}

static int
check_factors(const struct words *n, struct err *err)
{
	size_t		i, next;
	uint64_t	w, r;

	for (i = 0; i < NPRIMES;) {
		next = prime_word(i, &w);
		r = redc_word(n, w);
		for (; i < next; i++)
			if (r % primes[i] == 0)
				return err_deny(err, NTE_BAD_KEY, "rsa "
				    "modulus has the factor %d", primes[i]);
	}
	return 0;
}

/* Is r in the subgroup that 65537 generates modulo p? */
static bool
is_power_of_65537(uint32_t r, uint32_t p)
{
	uint32_t	g = 1;

	do {
		if (g == r)
			return true;
		g = g * (65537 % p) % p;
	} while (g != 1);
	return false;
}

/*
 * CVE-2017-15361: both primes of such a modulus are k*M + 65537^a mod M with
 * M the product of the small primes, so the modulus is a power of 65537
 * modulo each of them.  Others fail within the first word.
 */
static int
check_roca(const struct words *n, struct err *err)
{
	size_t		i, next;
	uint64_t	w, r;

	for (i = 0; primes[i] <= ROCA_PRIME_MAX;) {
		next = prime_word(i, &w);
		r = mod_word(n, w);
		for (; i < next && primes[i] <= ROCA_PRIME_MAX; i++)
			if (!is_power_of_65537((uint32_t)(r % primes[i]),
			    primes[i]))
				return 0;
	}
	return err_deny(err, NTE_BAD_KEY,
	    "rsa modulus is of the roca kind (CVE-2017-15361)");
}

static uint32_t
isqrt64(uint64_t v)
{
	uint64_t	r = 0, bit;

	for (bit = (uint64_t)1 << 31; bit != 0; bit >>= 1)
		if ((r | bit) * (r | bit) <= v)
			r |= bit;
	return (uint32_t)r;
}

/*
 * Floor of the square root by Newton's method, one step each time the number
 * of leading bits that are looked at has doubled: a root r of v's first 2d
 * bits that is off by less than 1 stays so.
 */
static int
bn_isqrt(BIGNUM *root, const BIGNUM *v, BN_CTX *ctx)
{
	BIGNUM	*t = BN_CTX_get(ctx);
	int	 bits = (BN_num_bits(v) - 1) / 2, step = 0, had, d;

	while (bits >> step > 30)
		step++;
	d = bits >> step;
	if (t == NULL || !BN_rshift(t, v, 2 * (bits - d)) ||
	    !BN_set_word(root, isqrt64(BN_get_word(t))))
		return -1;
	while (step > 0) {
		had = d;
		d = bits >> --step;
		if (!BN_rshift(t, v, 2 * bits - had - d + 1) ||
		    !BN_div(t, NULL, t, root, ctx) ||
		    !BN_lshift(root, root, d - had - 1) ||
		    !BN_add(root, root, t))
			return -1;
	}
	if (!BN_sqr(t, root, ctx))
		return -1;
	return BN_cmp(t, v) > 0 && !BN_sub_word(root, 1) ? -1 : 0;
}

/* 1 when v is a square, 0 when not, -1 when OpenSSL fails. */
static int
is_square(const BIGNUM *v, BN_CTX *ctx)
{
	BIGNUM	*root, *square;
	int	 rc = -1;

	BN_CTX_start(ctx);
	root = BN_CTX_get(ctx);
	square = BN_CTX_get(ctx);
	if (square != NULL && bn_isqrt(root, v, ctx) == 0 &&
	    BN_sqr(square, root, ctx))
		rc = BN_cmp(square, v) == 0;
	BN_CTX_end(ctx);
	return rc;
}

/*
 * Squares leave few residues: with these moduli 1 of 20,000 other numbers
 * looks like one, and only those cost a root.
 */
static const uint8_t moduli[] =
    { 64, 63, 65, 11, 17, 19, 23, 29, 31, 37, 41, 43 };

#define NMODULI		(sizeof(moduli) / sizeof(moduli[0]))

struct sieve {
	bool		square[NMODULI][65];
	uint64_t	n[NMODULI], a[NMODULI];	/* residues */
};

static void
sieve_init(struct sieve *s, const struct words *n, const struct words *a)
{
	uint64_t	w = 1, rn, ra;
	size_t		i;
	unsigned	r, m, square;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < NMODULI; i++)
		w *= moduli[i];		/* below 2^61 */
	rn = mod_word(n, w);
	ra = mod_word(a, w);
	for (i = 0; i < NMODULI; i++) {
		m = moduli[i];
		s->n[i] = rn % m;
		s->a[i] = ra % m;
		for (r = 0, square = 0; 2 * r <= m; r++) {
			s->square[i][square] = true;
			for (square += 2 * r + 1; square >= m;)
				square -= m;
		}
	}
}

/* May (a + k)^2 - n be a square? */
static bool
sieve_passes(const struct sieve *s, unsigned k)
{
	uint64_t	a, m;
	size_t		i;

	for (i = 0; i < NMODULI; i++) {
		m = moduli[i];
		a = (s->a[i] + k) % m;
		if (!s->square[i][(a * a + m - s->n[i]) % m])
			return false;
	}
	return true;
}

static int
fermat_round(const BIGNUM *n, const BIGNUM *a, unsigned k, BN_CTX *ctx)
{
	BIGNUM	*v;
	int	 rc = -1;

	BN_CTX_start(ctx);
	v = BN_CTX_get(ctx);
	if (v != NULL && BN_copy(v, a) && BN_add_word(v, k) &&
	    BN_sqr(v, v, ctx) && BN_sub(v, v, n))
		rc = is_square(v, ctx);
	BN_CTX_end(ctx);
	return rc;
}

/*
 * Fermat: n = a^2 - b^2 with a just above the root of n when the primes are
 * close (CVE-2022-26320).  A square is the case of equal primes.
 */
static int
find_close_primes(const BIGNUM *n, const struct words *words, BN_CTX *ctx)
{
	BIGNUM		*a = BN_CTX_get(ctx), *square = BN_CTX_get(ctx);
	uint8_t		 octets[MODULUS_OCTETS];
	struct words	 root;
	struct sieve	 sieve;
	unsigned	 k;
	int		 rc;

	if (square == NULL || bn_isqrt(a, n, ctx) == -1 ||
	    BN_num_bytes(a) > MODULUS_OCTETS || !BN_sqr(square, a, ctx))
		return -1;
	if (BN_cmp(square, n) == 0)
		return 1;
	words_read(&root, slice_of(octets, (size_t)BN_bn2bin(a, octets)));
	sieve_init(&sieve, words, &root);
	for (k = 1; k <= FERMAT_ROUNDS; k++) {
		if (!sieve_passes(&sieve, k))
			continue;
		rc = fermat_round(n, a, k, ctx);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
keycheck_modulus(const BIGNUM *n, struct slice octets, struct err *err)
{
	struct words	 words;
	BN_CTX		*ctx;
	int		 rc;

	if (octets.n > MODULUS_OCTETS)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa modulus of %zu octets, limit is %d", octets.n,
		    MODULUS_OCTETS);
	words_read(&words, octets);
	if (check_factors(&words, err) == -1 || check_roca(&words, err) == -1)
		return -1;
	ctx = BN_CTX_new();
	if (ctx == NULL)
		return err_openssl(err, "BN_CTX_new");
	BN_CTX_start(ctx);
	rc = find_close_primes(n, &words, ctx);
	BN_CTX_end(ctx);
	BN_CTX_free(ctx);
	if (rc == -1)
		return err_openssl(err, "weak key check");
	if (rc == 1)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa primes are too close together");
	return 0;
}
