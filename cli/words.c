/* Fingerprints as words that people read to each other. */
#include "words.h"

#include <stdio.h>

/* The upper four bits choose the beginning, the lower four the end. */
static const char *const even_begin[16] = { "ba", "ce", "di", "fo", "gu", "ha",
    "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va" };
static const char *const even_end[16] = { "bel", "cor", "dan", "fil", "gam",
    "kit", "lum", "mar", "nox", "pin", "rus", "sek", "tol", "ved", "wig",
    "zan" };
static const char *const odd_begin[16] = { "ama", "beto", "cari", "delo",
    "enu", "faro", "gine", "hevi", "ilo", "juma", "keru", "luni", "mora",
    "nidu", "opa", "rebi" };
static const char *const odd_end[16] = { "bas", "dil", "fen", "gos", "hum",
    "jat", "kel", "lin", "mop", "nur", "pag", "rek", "sim", "tov", "vun",
    "zar" };

void
word_of(uint8_t octet, bool odd, char out[WORD_MAX + 1])
{
	snprintf(out, WORD_MAX + 1, "%s%s",
	    (odd ? odd_begin : even_begin)[octet >> 4],
	    (odd ? odd_end : even_end)[octet & 15]);
}

void
words_put(struct slice s, struct buf *out)
{
	char word[WORD_MAX + 1];
	size_t i;

	for (i = 0; i < s.n; i++) {
		word_of(s.p[i], i % 2 == 1, word);
		buf_printf(out, "%s%s", i % 8 == 0 ? "    " : " ", word);
		if (i % 8 == 7 || i + 1 == s.n)
			buf_addc(out, '\n');
	}
}

void
words_put_hex(struct slice s, struct buf *out)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		buf_printf(out, "%s%02x", i % 16 == 0 ? "    " :
		    i % 2 == 0 ? " " : "", s.p[i]);
		if (i % 16 == 15 || i + 1 == s.n)
			buf_addc(out, '\n');
	}
}
