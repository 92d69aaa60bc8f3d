// SPDX-License-Identifier: Apache-2.0
/*
 * A parsed document, from YAML or JSON, as a tree of nodes with positions.
 * The pure layers read only these trees: libyaml stays in
 * sidecar/config/yaml_doc and jansson in adapters/json_doc.
 *
 * Nodes live in the `struct mem *` (usually an arena) given to the parser and
 * die with it. Both parsers guarantee: depth <= DOC_DEPTH_MAX, no duplicate
 * keys in a map, strings are UTF-8 without NUL.
 */
#ifndef SIDECAR_BASE_DOC_H
#define SIDECAR_BASE_DOC_H

#include <stdbool.h>
#include <stdint.h>
#include "sidecar/base/mem.h"

#define DOC_DEPTH_MAX 32

enum doc_kind {
    DOC_NULL,
    DOC_BOOL,
    DOC_INT,
    DOC_REAL,
    DOC_TEXT,
    DOC_LIST,
    DOC_MAP
};

struct doc {
    enum doc_kind kind;
    uint32_t line, column; /* 1-based; 0 when unknown (JSON) */
    uint32_t key_line, key_column;
    bool quoted;      /* YAML: the scalar was quoted or a block */
    bool rewritten;   /* YAML: escapes or line folds stand between the value
                         and its source: offsets do not map */
    bool truth;       /* DOC_BOOL */
    int64_t integer;  /* DOC_INT */
    double real;      /* DOC_REAL, and the value of DOC_INT too */
    struct span text; /* DOC_TEXT: the value; YAML scalars: as written */
    struct span key;  /* when the parent is a map */
    struct doc *next; /* next sibling */
    struct doc *first, *last; /* children of LIST and MAP */
    uint32_t count;           /* number of children */
};

/* Walks the children of a list or map (none for scalars and NULL). */
#define DOC_EACH(it, parent)                                                   \
    for (const struct doc *it = (parent) == NULL ? NULL : (parent)->first;     \
         it != NULL; it = it->next)

/* A new node or NULL. */
struct doc *doc_new(struct mem *m, enum doc_kind kind);

/* Appends a child to a list or map. */
void doc_append(struct doc *parent, struct doc *child);

/* Appends a text, which is borrowed; NULL without memory, or without `parent`.
 */
struct doc *doc_append_text(struct mem *m, struct doc *parent, struct span key,
                            struct span text);

/* Exact member of a map; NULL when absent or `d` is no map (or NULL). */
const struct doc *doc_get(const struct doc *d, struct span key);

/* As doc_get, but ASCII case-insensitive (RFC 7643 2.1). */
const struct doc *doc_iget(const struct doc *d, struct span key);

/* The text of a DOC_TEXT member, or the empty span with p == NULL. */
struct span doc_text(const struct doc *d, struct span key);

/* "map", "list", "text", ... for messages. */
const char *doc_kind_word(enum doc_kind kind);

/* A deep copy in `m`, or NULL when out of memory. */
struct doc *doc_copy(struct mem *m, const struct doc *d);

/* Structural equality: maps ignore member order, DOC_INT equals DOC_REAL of
 * the same value. Positions and quoting do not count. */
bool doc_eq(const struct doc *a, const struct doc *b);

#endif
