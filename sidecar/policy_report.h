// SPDX-License-Identifier: Apache-2.0
/*
 * The results of policy tests as text for people, JSON, TAP and JUnit XML.
 */
#ifndef SIDECAR_POLICY_REPORT_H
#define SIDECAR_POLICY_REPORT_H

#include "sidecar/config/policy_file.h"
#include "sidecar/policy_world.h"
#include "sidecar/term.h"

/* One file that was given and what its tests came to. */
struct policy_report_file {
    struct policy_test_file file;
    const struct world_result *const *results; /* one a test */
    struct coverage *coverage; /* shared by files of one policy */
    bool last_of_policy;       /* the place to report coverage */
};

struct policy_report {
    const struct policy_report_file *files;
    unsigned file_count;
    const struct span *wrong; /* files with errors: none of their tests ran */
    unsigned wrong_count;
    unsigned passed, failed;
    bool verbose, coverage;
};

void policy_report_text(const struct policy_report *r, const struct term *term,
                        struct buf *out);
void policy_report_json(const struct policy_report *r, struct buf *out);
/* Version 14 of the Test Anything Protocol. */
void policy_report_tap(const struct policy_report *r, struct buf *out);
void policy_report_junit(const struct policy_report *r, struct buf *out);

#endif
