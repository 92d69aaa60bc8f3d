// SPDX-License-Identifier: Apache-2.0
/* What a SCIM server answers, to a read of one and to a read of many: any bytes
 * give what was asked for or an error with a text. */
#include "sidecar/io/scim_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_one(struct mem *m, struct span body)
{
    struct fail f = {.rc = 0};
    const struct doc *d;
    int rc = scim_answer_parse(m, body, SPAN("a"), &d, &f);
    must(rc == 0 ? span_eq(doc_iget(d, SPAN("id"))->text, SPAN("a"))
                 : f.rc == rc && f.text[0] != 0);
}

static void read_many(struct mem *m, struct span body)
{
    const struct span uris[] = {SPAN("/Agents/a"), SPAN("/Agents/b")};
    struct fail f = {.rc = 0};
    struct scim_ids *ids;
    struct scim_listed got[2];
    unsigned foreign, found = 0;
    must(scim_ids_new(m, uris, 2, &ids, &f) == 0);
    int rc = scim_list_parse(m, body, ids, got, &foreign, &f);
    for (unsigned i = 0; rc == 0 && i < 2; i++) {
        must(got[i].doc == NULL ||
             span_eq(doc_iget(got[i].doc, SPAN("id"))->text, ids->at[i]));
        found += got[i].doc != NULL;
    }
    must(rc == 0 ? found + foreign <= 2 && found > 0
                 : f.rc == rc && f.text[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a;
    arena_init(&a, mem_system(), SCIM_ARENA_BYTES_MAX);
    read_one(&a.mem, span_of(p, n));
    read_many(&a.mem, span_of(p, n));
    arena_fini(&a);
    return 0;
}
