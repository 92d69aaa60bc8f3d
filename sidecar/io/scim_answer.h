// SPDX-License-Identifier: Apache-2.0
/*
 * The pure half of a SCIM read: the URL, and what the bytes of an answer are.
 * scim_answer_parse runs on a worker thread.
 */
#ifndef SIDECAR_IO_SCIM_ANSWER_H
#define SIDECAR_IO_SCIM_ANSWER_H

#include "sidecar/base/buf.h"
#include "sidecar/io/scim.h"

/* base + uri + "?attributes=...,meta". RC_INVALID. */
int scim_url_put(struct buf *out, struct span base, struct span uri,
                 struct span attributes, struct fail *f) must_use;

/* Parses a 200's body and checks that it is the resource `id` (7644-R24). */
int scim_answer_parse(struct mem *m, struct span body, struct span id,
                      const struct doc **ret, struct fail *f) must_use;

/* rc for a status that is none of 200, 304, 404, 410. */
int scim_status_fail(unsigned status, struct fail *f);

#endif
