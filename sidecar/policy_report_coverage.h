// SPDX-License-Identifier: Apache-2.0
#ifndef SIDECAR_POLICY_REPORT_COVERAGE_H
#define SIDECAR_POLICY_REPORT_COVERAGE_H

#include "sidecar/policy_coverage.h"
#include "sidecar/term.h"

struct json_out;

/* A table of percentages, then what is not covered, each with its line. */
void coverage_put(const struct coverage *c, struct span path,
                  const struct term *term, struct buf *out);
/* The member `coverage` of the map that is open. */
void coverage_json(const struct coverage *c, struct json_out *j);

#endif
