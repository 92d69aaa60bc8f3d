// SPDX-License-Identifier: Apache-2.0
#include "sidecar/config/policy_file.h"

#include <string.h>

#include "adapters/jws.h"
#include "sidecar/base/number_text.h"
#include "sidecar/config/config.h"
#include "sidecar/config/yaml_doc.h"

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
    if (jws_sha256(text, p->digest) < 0)
        return fail(f, RC_NO_MEMORY, "out of memory");
    hex_text(span_of(p->digest, sizeof p->digest), p->digest_hex);
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
    return policy_text_load(m, path, *ret_source, ret, notes, f);
}

int policy_text_load(struct mem *m, struct span path, struct span text,
                     const struct policy **ret, struct policy_notes *notes,
                     struct fail *f)
{
    const struct doc *root = NULL;
    *notes = (struct policy_notes){.count = 0};
    int rc = yaml_doc_parse(m, text, POLICY_FILE_BYTES_MAX, &root, notes, f);
    if (rc == RC_SYNTAX)
        return fail(f, RC_CONFIG, "%.*s: not valid", PRSPAN(path));
    if (rc < 0)
        return fail_wrap(f, "%.*s", PRSPAN(path));
    static const struct doc nothing = {.kind = DOC_MAP, .line = 1, .column = 1};
    if (root == NULL || root->kind == DOC_NULL)
        root = &nothing;
    return compile(m, root, text, ret, notes, f);
}

/* ---- tests ---- */

static int parse(struct mem *m, struct span path, struct span *ret_source,
                 const struct doc **ret, struct policy_notes *notes,
                 struct fail *f)
{
    TRY(config_read_file(m, path, POLICY_FILE_BYTES_MAX, false, ret_source, f));
    int rc =
        yaml_doc_parse(m, *ret_source, POLICY_FILE_BYTES_MAX, ret, notes, f);
    if (rc == RC_SYNTAX)
        return fail(f, RC_CONFIG, "%.*s: not valid", PRSPAN(path));
    return rc < 0 ? fail_wrap(f, "%.*s", PRSPAN(path)) : 0;
}

/* Beside `beside`, unless it is absolute; NUL-terminated. */
static int resolve(struct mem *m, struct span beside, struct span path,
                   struct span *ret, struct fail *f)
{
    size_t dir = beside.n;
    while (dir > 0 && beside.p[dir - 1] != '/')
        dir--;
    if (path.p[0] == '/')
        dir = 0;
    unsigned char *to = mem_alloc(m, dir + path.n + 1);
    if (to == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    if (dir > 0)
        memcpy(to, beside.p, dir);
    memcpy(to + dir, path.p, path.n);
    *ret = span_of(to, dir + path.n);
    return 0;
}

int policy_test_file_load(struct mem *m, struct span path,
                          struct policy_test_file *ret,
                          struct policy_notes *notes, struct fail *f)
{
    const struct doc *root = NULL;
    *notes = (struct policy_notes){.count = 0};
    *ret = (struct policy_test_file){
        .path = path, .policy_path = path, .read_path = path};
    TRY(parse(m, path, &ret->source, &root, notes, f));
    struct span policy = doc_text(root, SPAN("policy"));
    if (!span_eq(doc_text(root, SPAN("kind")), SPAN("PolicyTest"))) {
        TRY(policy_file_load(m, path, &ret->policy, notes, &ret->source, f));
        ret->tests = ret->policy->tests;
        ret->test_count = ret->policy->test_count;
        return 0;
    }
    struct span source = SPAN("");
    ret->policy_path = SPAN("");
    if (policy.n > 0)
        TRY(resolve(m, path, policy, &ret->policy_path, f));
    int rc =
        policy_file_load(m, ret->policy_path, &ret->policy, notes, &source, f);
    if (rc < 0) {
        ret->read_path = ret->policy_path;
        ret->source = source;
        return rc;
    }
    *notes = (struct policy_notes){.count = 0}; /* its warnings are its own */
    return policy_tests_load(m, ret->policy, root, &ret->tests,
                             &ret->test_count, notes, f);
}
