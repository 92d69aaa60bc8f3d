// SPDX-License-Identifier: Apache-2.0
#include "sidecar/config/policy_file.h"

#include <string.h>

#include "adapters/jws.h"
#include "sidecar/config/config.h"
#include "sidecar/config/yaml_doc.h"

static void put_hex(const unsigned char *p, size_t n, char *ret)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = hex[p[i] >> 4];
        ret[2 * i + 1] = hex[p[i] & 15];
    }
    ret[2 * n] = '\0';
}

static int compile(struct mem *m, const struct doc *root, struct span text,
                   const struct policy **ret, struct policy_notes *notes,
                   struct fail *f)
{
    const struct policy *loaded;
    TRY(policy_load(m, root, &loaded, notes, f));
    struct policy *p = mem_alloc(m, sizeof *p);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    memcpy(p, loaded, sizeof *p);
    TRY(jws_sha256(text, p->digest));
    put_hex(p->digest, sizeof p->digest, p->digest_hex);
    *ret = p;
    return RC_OK;
}

int policy_file_load(struct mem *m, struct span path, const struct policy **ret,
                     struct policy_notes *notes, struct span *ret_source,
                     struct fail *f)
{
    *notes = (struct policy_notes){.count = 0};
    *ret_source = SPAN("");
    if (path.n == 0)
        return compile(m, NULL, SPAN(""), ret, notes, f);
    TRY(config_read_file(m, path, POLICY_FILE_BYTES_MAX, false, ret_source, f));
    const struct doc *root = NULL;
    int rc =
        yaml_doc_parse(m, *ret_source, POLICY_FILE_BYTES_MAX, &root, notes, f);
    if (rc == RC_SYNTAX)
        return fail(f, RC_CONFIG, "%.*s: not valid", PRSPAN(path));
    if (rc < 0)
        return fail_wrap(f, "%.*s", PRSPAN(path));
    static const struct doc nothing = {.kind = DOC_MAP, .line = 1, .column = 1};
    if (root == NULL || root->kind == DOC_NULL)
        root = &nothing;
    return compile(m, root, *ret_source, ret, notes, f);
}
