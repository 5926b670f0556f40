/* A policy out of a file: the signer's own, or the vault's. */
#ifndef POLICYFILE_H
#define POLICYFILE_H

#include "policy.h"

/*
 * Parsed and linted; policy_free by the caller.  NULL: as file_read or
 * policy_parse.
 */
struct policy *policy_file(const char *path, struct err *);

#endif
