/*
 * Weak RSA moduli: small factors, ROCA, squares, primes close together.  The
 * last thing pubkey.c asks of a key.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <gmp.h>

#include "hresult.h"
#include "keycheck.h"

#define FERMAT_ROUNDS	100		/* as public CAs must make */
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

/*
 * About as many primes from first on as a word holds: the next first, and
 * the product.  The modulus is divided by it and not by each of them: all this
 * stands in the way of every request.
 */
static size_t
prime_word(size_t first, unsigned long *w)
{
	size_t	i;

	*w = 1;
	for (i = first; i < NPRIMES && *w <= ULONG_MAX >> PRIME_BITS; i++)
		*w *= primes[i];
	return i;
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
 * Small factors; and CVE-2017-15361: both primes of such a modulus are
 * k*M + 65537^a mod M with M the product of the small primes, so the modulus is
 * a power of 65537 modulo each of them.
 */
static int
check_residues(const mpz_t n, struct err *err)
{
	unsigned long	w, r;
	size_t		i, next;
	bool		roca = true;
	uint32_t	left;

	for (i = 0; i < NPRIMES;) {
		next = prime_word(i, &w);
		r = mpz_fdiv_ui(n, w);
		for (; i < next; i++) {
			left = (uint32_t)(r % primes[i]);
			if (left == 0)
				return err_deny(err, NTE_BAD_KEY, "rsa "
				    "modulus has the factor %d", primes[i]);
			if (roca && primes[i] <= ROCA_PRIME_MAX)
				roca = is_power_of_65537(left, primes[i]);
		}
	}
	return !roca ? 0 : err_deny(err, NTE_BAD_KEY,
	    "rsa modulus is of the roca kind (CVE-2017-15361)");
}

/*
 * Squares leave few residues: with these moduli 1 of 7,000 other numbers
 * looks like one, and only those cost a root.  Bit r: r is one of a square.
 * The first modulus divides a word's range.
 */
static const struct {
	unsigned	m;
	uint64_t	squares;
} sieve[] = {
	{ 64, 0x0202021202030213 }, { 63, 0x0402483012450293 },
	{ 61, 0x1713e6940a59f23b }, { 59, 0x022b62183e7b92bb },
	{ 55, 0x000230148611ca33 }, { 53, 0x0012dd703303aed3 },
	{ 47, 0x000004351b2753df }, { 43, 0x0000035883a3ee53 },
	{ 41, 0x000001b382b50737 }, { 37, 0x000000165e211e9b }
};

#define NSIEVE	(sizeof(sieve) / sizeof(sieve[0]))

/* A number modulo 2^64 and modulo the product of the other moduli. */
struct residues {
	uint64_t	low, rest;
};

static struct residues
residues(const mpz_t v)
{
	unsigned long	product = 1;
	size_t		i;

	_Static_assert(ULONG_MAX == UINT64_MAX, "words of 64 bits");
	for (i = 1; i < NSIEVE; i++)
		product *= sieve[i].m;		/* below 2^51 */
	return (struct residues){ mpz_get_ui(v), mpz_fdiv_ui(v, product) };
}

/* May (a + k)^2 - n be a square? */
static bool
sieve_passes(struct residues n, struct residues a, unsigned k)
{
	uint64_t	r = ((a.low + k) * (a.low + k) - n.low) % sieve[0].m;
	uint64_t	m;
	size_t		i;

	for (i = 1; (sieve[i - 1].squares >> r & 1) != 0; i++) {
		if (i == NSIEVE)
			return true;
		m = sieve[i].m;
		r = (a.rest + k) % m;
		r = (r * r + m - n.rest % m) % m;
	}
	return false;
}

/* Is (a + k)^2 - n a square?  v is for the work. */
static bool
is_fermats(mpz_t v, const mpz_t n, const mpz_t a, unsigned k)
{
	mpz_add_ui(v, a, k);
	mpz_mul(v, v, v);
	mpz_sub(v, v, n);
	return mpz_perfect_square_p(v) != 0;
}

/*
 * Fermat: n = a^2 - b^2 with a just above the root of n when the primes are
 * close (CVE-2022-26320).  A square is the case of equal primes.
 */
static bool
has_close_primes(const mpz_t n)
{
	struct residues	rn, ra;
	unsigned	k;
	mpz_t		a, v;
	bool		found;

	mpz_inits(a, v, NULL);
	mpz_sqrtrem(a, v, n);
	found = mpz_sgn(v) == 0;
	rn = residues(n);
	ra = residues(a);
	for (k = 1; k <= FERMAT_ROUNDS && !found; k++)
		found = sieve_passes(rn, ra, k) && is_fermats(v, n, a, k);
	mpz_clears(a, v, NULL);
	return found;
}

int
keycheck_modulus(struct slice modulus, struct err *err)
{
	mpz_t	n;
	int	rc;

	mpz_init(n);
	mpz_import(n, modulus.n, 1, 1, 1, 0, modulus.p);
	rc = check_residues(n, err);
	if (rc == 0 && has_close_primes(n))
		rc = err_deny(err, NTE_BAD_KEY,
		    "rsa primes are too close together");
	mpz_clear(n);
	return rc;
}
