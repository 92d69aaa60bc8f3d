// SPDX-License-Identifier: Apache-2.0
/*
 * YAML text to a document tree: the only file that includes yaml.h. The strict
 * subset of DESIGN: one document, no anchors, aliases, tags, merge keys,
 * complex or duplicate keys; plain scalars that YAML versions read differently
 * (yes, no, on, off, octal, 1_000, bare ~ and the like) are errors with
 * advice. libyaml is quadratic on nesting and on directives: the text is
 * scanned for size, characters and directives before it sees it, and it is
 * read event by event and stopped at DOC_DEPTH_MAX, so that it never looks
 * more than one simple key (1,024 characters) further. Thread-safe.
 */
#ifndef SIDECAR_CONFIG_YAML_DOC_H
#define SIDECAR_CONFIG_YAML_DOC_H

#include "policy/policy.h"

/* The tree lives in `m`; an empty text gives DOC_NULL. RC_SYNTAX with all
 * errors that could be found in `notes` (positions 1-based, columns count
 * characters), RC_TOO_LARGE, RC_NO_MEMORY. `notes` is added to. */
int yaml_doc_parse(struct mem *m, struct span text, size_t max_bytes,
                   const struct doc **ret, struct policy_notes *notes,
                   struct fail *f) must_use;

#endif
