// SPDX-License-Identifier: Apache-2.0
/*
 * JSON text to a document tree: the only file that includes jansson.h.
 * Strict (RFC 8259): UTF-8 only, no byte order mark, no duplicate names, no
 * trailing bytes, depth <= DOC_DEPTH_MAX, no NUL in strings. Thread-safe.
 */
#ifndef ADAPTERS_JSON_DOC_H
#define ADAPTERS_JSON_DOC_H

#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

/* The tree lives in `m`. RC_SYNTAX (text says where), RC_TOO_LARGE when text.n
 * > max_bytes, RC_NO_MEMORY. A number that fits int64 is DOC_INT. */
int json_doc_parse(struct mem *m, struct span text, size_t max_bytes,
                   const struct doc **ret, struct fail *f) must_use;

#endif
