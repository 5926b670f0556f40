/*
 * What a ceremony leaves about itself: a text in its folder, a line each,
 *
 *	countersign ceremony transcript 1
 *	title, host, began TIME, person ROLE: NAME
 *	program SHA256 ..., ceremony SHA256 FILE
 *	step N KIND NAME, command TIME ..., request SHA256 FILE,
 *	    yes TIME QUESTION, token TIME URI: ..., checked TIME FILE,
 *	    fingerprint SHA256 FILE
 *	ended TIME
 *	file SHA256 SIZE NAME		one for each file of the folder
 *	secret SHA256 SIZE NAME		may be elsewhere later: keys
 *	growing SHA256 SIZE NAME	the beginning of it: registers
 *	sha256 HEX			of all before this line
 */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "cli.h"

#define TRANSCRIPT_FILE		"transcript"
#define TRANSCRIPT_FIRST	"countersign ceremony transcript 1"
#define CEREMONY_COPY		"ceremony.conf"

/* A line for each file of dir; appended. */
int	 transcript_files(const char *dir, struct buf *, struct err *);
/* The last line, and the file; md is its SHA-256. */
int	 transcript_write(const char *dir, struct buf *, uint8_t md[32],
	    struct err *);
/*
 * Everything anew: the transcript's own hash, the files, the ceremony's file
 * and what its steps have left.  Rows "check", "object", "ok", "text"; *bad
 * counts what is not ok, a file that is no transcript as well.  -1 only for
 * one that cannot be read.
 */
int	 transcript_verify(const char *path, struct out *, size_t *bad,
	    struct err *);
extern const struct out_col transcript_cols[];

#endif
