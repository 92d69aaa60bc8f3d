// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON Schema (draft-07) of policy files and of files of tests, for
 * editors. Made from one table, schema_table.c, which a test holds against the
 * keys that the loader knows.
 */
#ifndef POLICY_SCHEMA_H
#define POLICY_SCHEMA_H

#include "sidecar/base/buf.h"

/* One line of JSON without a line feed. */
void policy_schema(struct buf *out);

#endif
