// SPDX-License-Identifier: Apache-2.0
/*
 * Private to the schema: what schema_table.c says and schema.c writes.
 *
 * A type is a choice of forms, separated by '|':
 *   =word     this text
 *   @name     what the definition says
 *   [N form   a list of 1 to N; N may be left out and is 64 then
 *   (N form   a list that may be empty
 *   {K form   a map; K says what its keys are: n names, f names of feeds,
 *             p paths, * any
 *   ~         nothing: the key stands alone
 *   ?         anything
 */
#ifndef POLICY_SCHEMA_TABLE_H
#define POLICY_SCHEMA_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct schema_key {
    const char *key, *type;
    bool required;
    const char *doc;
    const char *without; /* JSON: the value without the key, or NULL */
};

/* A map with these keys and no others. */
struct schema_shape {
    const char *name, *doc;
    const struct schema_key *keys; /* ends with a NULL key */
    const char *extra;             /* JSON members, or NULL */
    bool open;                     /* other keys are allowed too: see `extra` */
};
extern const struct schema_shape schema_shapes[]; /* ends with a NULL name */

/* A text or number of a certain form: JSON members of its schema. */
struct schema_scalar {
    const char *name, *doc, *json;
};
extern const struct schema_scalar schema_scalars[]; /* ends with NULL */

#endif
