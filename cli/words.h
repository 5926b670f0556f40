/*
 * Fingerprints that people compare over a table or a telephone: a word for
 * each octet.  Words at even places have two syllables, words at odd places
 * three, so that one left out, doubled or exchanged is heard.
 */
#ifndef WORDS_H
#define WORDS_H

#include "buf.h"

#define WORD_MAX	8	/* letters */

/* The word of an octet at this place. */
void	 word_of(uint8_t octet, bool odd, char out[WORD_MAX + 1]);
/* Eight words a line, indented; appended. */
void	 words_put(struct slice, struct buf *);
/* Hex in groups of four digits, indented, sixteen octets a line; appended. */
void	 words_put_hex(struct slice, struct buf *);

#endif
