/*
 * Characters of XML 1.0 in strict UTF-8 ([XML] 2.2, [RFC3629] 4), without DEL
 * and the C1 controls, which nobody types; and a few simple types.
 */
#ifndef XMLCHAR_H
#define XMLCHAR_H

#include "buf.h"

/*
 * Bytes of the Char at p (p < end), or 0 when there is none: overlong forms,
 * surrogates, cut sequences, control characters, U+FFFE and U+FFFF.
 */
size_t	 xml_char(const uint8_t *p, const uint8_t *end);
/* Are all of them Chars?  Fast on ASCII. */
bool	 xml_chars(struct slice);
bool	 xml_space(uint8_t);
struct slice	 xml_trim(struct slice);	/* without white space around */
bool	 xml_word(struct slice, const char *);	/* the same but for case? */
/* Does this name UTF-8?  Python calls it "utf8", too. */
bool	 xml_utf8(struct slice);

/*
 * xs:dateTime ([XMLSCHEMA-2] 3.2.7) to unix seconds; without a zone it is
 * UTC, a fraction is cut off.  -1 when it is none.
 */
int	 xml_datetime(struct slice, int64_t *);
/* xs:int, xs:boolean; -1 when it is none. */
int	 xml_int(struct slice, int32_t *);
int	 xml_bool(struct slice, bool *);

#endif
