// SPDX-License-Identifier: Apache-2.0
/*
 * Any text as bailiff.yaml: an answer or errors, all inside the file.
 */
#include <stdlib.h>

#include "sidecar/base/buf.h"
#include "sidecar/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct policy_notes notes;
    const struct config *c = NULL;
    struct fail f = {0};
    struct arena a;
    struct buf out;
    arena_init(&a, mem_system(), 8 * 1024 * 1024);
    buf_init(&out, mem_system(), 4 * 1024 * 1024);
    int rc = config_parse(&a.mem, span_of(p, n), "/tmp/bailiff.yaml", &c,
                          &notes, &f);
    must(rc < 0 || c->gate_count <= CONFIG_LISTEN_MAX);
    must(rc != RC_CONFIG || notes.error_count > 0);
    for (unsigned i = 0; i < notes.count; i++)
        must(notes.at[i].line >= 1 && notes.at[i].line <= n + 1);
    policy_notes_print(&notes, "bailiff.yaml", span_of(p, n), false, &out);
    buf_fini(&out);
    arena_fini(&a);
    return 0;
}
