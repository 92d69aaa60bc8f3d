// SPDX-License-Identifier: Apache-2.0
/*
 * The canonical form of a policy file: keys in the order of the manual, two
 * spaces of indentation, short maps and lists on one line. Comments stay with
 * what they stand before or behind, blank lines stay between entries.
 */
#ifndef SIDECAR_POLICY_FMT_H
#define SIDECAR_POLICY_FMT_H

#include "sidecar/base/buf.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

#define POLICY_FMT_COMMENTS_MAX 16384

/* Formats `source`, whose tree is `root`; `m` holds what is needed meanwhile
 * (give an arena). Nothing is lost: when a comment would be, RC_INVALID. The
 * caller parses the outcome again and compares the trees. */
int policy_fmt(struct mem *m, struct span source, const struct doc *root,
               struct buf *out, struct fail *f) must_use;

#endif
