// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a policy file, through the parser, the checks and the report. */
#include "policy/policy.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"

#define ARENA_MAX (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a;
    struct buf out;
    struct fail f = {0};
    const struct doc *root = NULL;
    const struct policy *policy = NULL;
    struct span text = span_of(p, n);
    arena_init(&a, mem_system(), ARENA_MAX);
    struct policy_notes *notes = mem_alloc(&a.mem, sizeof *notes);
    must(notes != NULL);
    int rc =
        yaml_doc_parse(&a.mem, text, POLICY_FILE_BYTES_MAX, &root, notes, &f);
    must(rc == 0 || rc == RC_SYNTAX || rc == RC_TOO_LARGE);
    must((rc == RC_SYNTAX) == (notes->error_count > 0));
    if (rc == 0) {
        rc = policy_load(&a.mem, root, &policy, notes, &f);
        must((rc == RC_CONFIG) == (notes->error_count > 0));
        must(rc == 0 || rc == RC_CONFIG);
    }
    buf_init(&out, &a.mem, 1 << 20);
    policy_notes_print(notes, "fuzz", text, n % 2 == 0, &out);
    must(buf_ok(&out));
    arena_fini(&a);
    return 0;
}
