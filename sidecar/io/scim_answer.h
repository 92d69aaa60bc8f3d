// SPDX-License-Identifier: Apache-2.0
/*
 * The pure half of a SCIM read: what is sent, and what the bytes of an answer
 * are. The parsers run on a worker thread.
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

/* meta.version as scim_etag gives it. */
struct span scim_version(struct mem *m, const struct doc *resource);

/* What a list read asks for, in one allocation. */
struct scim_ids {
    struct span type; /* "/Agents": where the resources are */
    unsigned count;
    struct span at[]; /* an id; empty: not one that a list can ask for */
};

/* From URIs as of scim_req. The first that can be in a list says which type;
 * what cannot, or is of another type, is left out. RC_INVALID when nothing
 * remains, RC_NO_MEMORY. Freed with mem_release. */
int scim_ids_new(struct mem *m, const struct span *uris, unsigned count,
                 struct scim_ids **ret, struct fail *f) must_use;

/* RFC 7644 3.4.3: a query as the body of a POST to base + type + "/.search".
 * RC_INVALID. */
int scim_search_put(struct buf *out, const struct scim_ids *ids,
                    struct span attributes, struct fail *f) must_use;

/* Parses a 200's body, a ListResponse (RFC 7644 3.4.2). `ret` has a place for
 * each id; what is missing, comes twice or cannot be a resource leaves its
 * place empty. *ret_foreign: resources nobody asked for. An answer that is no
 * list, has more than was asked for, or none of it, fails as a whole. */
int scim_list_parse(struct mem *m, struct span body, const struct scim_ids *ids,
                    struct scim_listed *ret, unsigned *ret_foreign,
                    struct fail *f) must_use;

/* rc for a status that is none of 200, 304, 404, 410. */
int scim_status_fail(unsigned status, struct fail *f);

#endif
