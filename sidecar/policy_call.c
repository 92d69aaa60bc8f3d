// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_call.h"

struct doc *policy_call_doc(struct mem *m, const struct policy *p,
                            struct span tool, const struct doc *more)
{
    const uint32_t classes = policy_tool_classes(p, tool);
    struct doc *map = more == NULL ? doc_new(m, DOC_MAP) : doc_copy(m, more);
    struct doc *list = doc_new(m, DOC_LIST);
    if (list == NULL || doc_append_text(m, map, SPAN("tool"), tool) == NULL)
        return NULL;
    list->key = SPAN("tool_class");
    doc_append(map, list);
    for (unsigned i = 0; i < p->class_count; i++)
        if ((classes >> i & 1) != 0)
            (void)doc_append_text(m, list, SPAN(""), p->classes[i].name);
    if (classes == 0)
        (void)doc_append_text(m, list, SPAN(""), SPAN("none"));
    return map;
}
