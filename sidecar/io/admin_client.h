// SPDX-License-Identifier: Apache-2.0
/*
 * One request to the running sidecar over its admin socket
 * (docs/admin-api.md). Blocking; for commands, not for the loop.
 */
#ifndef SIDECAR_IO_ADMIN_CLIENT_H
#define SIDECAR_IO_ADMIN_CLIENT_H

#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

#define ADMIN_ANSWER_BYTES_MAX (16u * 1024 * 1024)
#define ADMIN_TIMEOUT_MS 30000

struct admin_answer {
    unsigned status;
    struct span text;       /* as received */
    const struct doc *root; /* a DOC_MAP */
};

/* GET when `body` has p NULL, else POST. `socket_path` is a path; `target` is
 * an origin-form path with query. Everything lives in `m`. RC_UNAVAILABLE with
 * what to do when nobody answers; RC_PROTOCOL when the answer is not a JSON
 * object; any HTTP status is success here. */
int admin_call(struct mem *m, const char *socket_path, const char *target,
               struct span body, struct admin_answer *ret,
               struct fail *f) must_use;

#endif
