// SPDX-License-Identifier: Apache-2.0
/* The policies of the world, and what the model needs to know of each. A rule
 * name means the same wherever it appears. */
#include "tests/sim/sim.h"

#include <stdio.h>

#include "sidecar/config/yaml_doc.h"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define STOP_ALL                                                               \
    "  - name: stop\n"                                                         \
    "    events: [deactivate, delete, found_inactive, found_gone]\n"           \
    "    do:\n"                                                                \
    "      - hold: suspended\n"                                                \
    "      - cancel: {calls: all, within: 2s, otherwise: [page]}\n"            \
    "      - revoke: {tokens: all, within: 15s, otherwise: [page]}\n"          \
    "      - purge: [queue, cache]\n"
#define OWNER_LEFT                                                             \
    "  - name: owner-left\n"                                                   \
    "    events: deactivate\n"                                                 \
    "    subject: user\n"                                                      \
    "    applies_to: {owned_agents: {left: last_owner}}\n"                     \
    "    do:\n"                                                                \
    "      - hold: {review: {by: 'groups.value eq \"managers\"', within: "     \
    "20s, otherwise: suspended}}\n"                                            \
    "      - notify: page\n"
#define SESSION                                                                \
    "  - name: session\n"                                                      \
    "    events: caep.session-revoked\n"                                       \
    "    do: [{hold: {suspended: {tools: [money]}}}, {chat: {within: 60s}}]\n"
#define WATCH                                                                  \
    "  - name: watch\n"                                                        \
    "    events: caep.session-revoked\n"                                       \
    "    mode: {audit: {until: 2026-09-22}}\n"                                 \
    "    do: [{hold: {suspended: {tools: [money]}}}]\n"
#define PAYERS                                                                 \
    "  - name: payers\n"                                                       \
    "    events: [patch, delete]\n"                                            \
    "    subject: group\n"                                                     \
    "    applies_to: members\n"                                                \
    "    agents_where: 'userType eq \"external\"'\n"                           \
    "    do: [{hold: {suspended: {tools: [money]}}}]\n"
#define SCHEDULES                                                              \
    "  - {name: recertify, events: {every: 1h}, do: [{chat: {within: "         \
    "60s}}]}\n"                                                                \
    "  - {name: unused, events: {idle: 1h}, do: [{hold: {suspended: {tools: "  \
    "[money]}}}]}\n"
#define EXTERNAL                                                               \
    "  - name: external\n"                                                     \
    "    events: [patch, put]\n"                                               \
    "    where: 'userType eq \"external\"'\n"                                  \
    "    do: [{hold: suspended}]\n"
#define GROUP_CHANGED                                                          \
    "  - name: group-changed\n"                                                \
    "    events: [patch, put, delete]\n"                                       \
    "    subject: group\n"                                                     \
    "    applies_to: members\n"                                                \
    "    do: [refresh]\n"
#define COME_BACK_FROM(rules)                                                  \
    "  - name: come-back\n"                                                    \
    "    events: [activate, refreshed]\n"                                      \
    "    where: 'active eq true'\n"                                            \
    "    do: [{release: {suspended: {set_by: [" rules "]}}}]\n"
#define MONEY_RULE                                                             \
    "gate:\n"                                                                  \
    "  - name: payments\n"                                                     \
    "    tools: [money]\n"                                                     \
    "    require: 'groups.value eq \"g0\"'\n"                                  \
    "    max_age: 5s\n"                                                        \
    "  - {name: rest, tools: [\"*\"], require: 'active eq true'}\n"
#define CLASSES "tool_classes: {money: [\"payments.*\"]}\n"
#define ACTIONS                                                                \
    "actions:\n"                                                               \
    "  page: {http: {method: POST, url: \"https://page.example/\"}}\n"         \
    "  chat: {http: {method: POST, url: \"https://chat.example/\"}}\n"
#define LIMITS                                                                 \
    "limits:\n"                                                                \
    "  suspend: {max: 1, per: 40s, never_for: 'userType eq \"external\"', "    \
    "beyond: [page]}\n"                                                        \
    "  revoke: {max: 2, per: 30s, of_feed: all}\n"

const struct policy_facts policy_facts[POLICIES] = {
    {.yaml = HEAD
     "defaults: {max_age: 15s, refresh: {timeout: 1s}, feed_silent: {after: "
     "20s, then: refresh}}\n" CLASSES
     "rules:\n" STOP_ALL OWNER_LEFT SESSION WATCH PAYERS SCHEDULES EXTERNAL
         GROUP_CHANGED COME_BACK_FROM("stop, external") MONEY_RULE ACTIONS,
     .stop = true,
     .stop_cancels = true,
     .come_back = true,
     .external = true,
     .session = true,
     .money_needs_g0 = true,
     .owner_left = true,
     .watch = true,
     .payers = true,
     .max_age_ms = 15000},
    {.yaml = HEAD
     "defaults: {max_age: 3s, refresh: {timeout: 2s, when_old: {allow_for: "
     "20s}}}\n" CLASSES "rules:\n"
     "  - name: stop\n"
     "    events: [deactivate, delete, found_inactive, found_gone]\n"
     "    do: [{hold: suspended}]\n" SESSION WATCH EXTERNAL ACTIONS "gate:\n"
     "  - {name: payments, tools: [money], when_old: deny}\n"
     "  - {name: rest, tools: [\"*\"], require: 'active eq true'}\n",
     .stop = true,
     .watch = true,
     .money_never_old = true,
     .external = true,
     .session = true,
     .max_age_ms = 3000,
     .old_ms = 20000},
    {.yaml = HEAD "defaults: {mode: {audit: {until: 2099-01-01}}, max_age: "
                  "15s}\n" CLASSES "rules:\n" STOP_ALL COME_BACK_FROM("stop")
                      MONEY_RULE ACTIONS,
     .audit = true,
     .max_age_ms = 15000},
    {.yaml = HEAD
     "defaults: {max_age: 10s, refresh: {timeout: 1s}, open_calls: {read: "
     "now, if_denied: cancel}}\n"
     "rules:\n" STOP_ALL COME_BACK_FROM("stop") ACTIONS,
     .stop = true,
     .stop_cancels = true,
     .come_back = true,
     .max_age_ms = 10000},
    {.yaml = HEAD "defaults: {max_age: 15s, refresh: {timeout: 1s}}\n" CLASSES
                  "rules:\n" STOP_ALL SESSION EXTERNAL COME_BACK_FROM(
                      "stop, external") ACTIONS LIMITS,
     .stop = true,
     .stop_cancels = true,
     .come_back = true,
     .external = true,
     .session = true,
     .limited = true,
     .max_age_ms = 15000}};

static const struct policy *loaded[POLICIES];
static struct arena policies_arena;

const struct policy *policy_get(unsigned i)
{
    return loaded[i];
}

void policies_load(void)
{
    static struct policy_notes notes;
    arena_init(&policies_arena, mem_system(), 1 << 26);
    for (unsigned i = 0; i < POLICIES; i++) {
        struct fail f = {0};
        const struct doc *root;
        struct mem *m = &policies_arena.mem;
        notes.count = 0;
        int rc = yaml_doc_parse(m, span_str(policy_facts[i].yaml),
                                POLICY_FILE_BYTES_MAX, &root, &notes, &f);
        if (rc == 0)
            rc = policy_load(m, root, &loaded[i], &notes, &f);
        if (rc < 0)
            (void)fprintf(stderr, "policy %u line %u: %s\n", i,
                          notes.at[0].line, notes.at[0].text);
        must(rc == 0);
        /* Each is another file. */
        ((struct policy *)(uintptr_t)loaded[i])->digest[0] =
            (unsigned char)(i + 1);
    }
}

void policies_free(void)
{
    arena_fini(&policies_arena);
}
