// SPDX-License-Identifier: Apache-2.0
/*
 * SCIM filters (RFC 7644 3.4.2.2), the condition language of the policy file:
 * the complete grammar, total, side-effect free and three-valued. A comparison
 * over something that is not known yet is UNKNOWN; `and`, `or`, `not` follow
 * Kleene. `ne` is `not eq`.
 *
 * A filter is compiled once (memory from the given `struct mem *`) and may be
 * evaluated by any number of threads; evaluation allocates nothing.
 */
#ifndef POLICY_FILTER_H
#define POLICY_FILTER_H

#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

#define FILTER_TEXT_MAX 4096 /* bytes of one filter */
#define FILTER_DEPTH_MAX 32  /* parentheses, not, brackets */
#define FILTER_NODES_MAX 512

enum tri { TRI_NO, TRI_YES, TRI_UNKNOWN };

struct filter; /* opaque, immutable */

/* What a filter is evaluated over. */
struct filter_env {
    /* The SCIM resource; NULL means nothing about it is known (UNKNOWN).
     * An attribute absent from a known resource has no value (RFC 7643 2.5)
     * unless `is_known` says it was never asked for. */
    const struct doc *resource;
    /* Optional: false for an attribute that was not part of the projection
     * the resource was read with. `attr` is the top-level name; for an
     * attribute of an extension schema "<urn>:<name>", as the policy's list of
     * attributes has it. */
    bool (*is_known)(const void *ctx, struct span attr);
    const void *ctx;
    /* For requirements: a comparison with an attribute that has no value is
     * UNKNOWN instead of NO, so that `not` cannot make it hold. `pr`, `eq
     * null` and `ne null` ask about absence and still answer. */
    bool absent_is_unknown;
    /* `event.<name>`: members of this map; NULL means UNKNOWN. */
    const struct doc *event;
    /* `call.<name>` and the bare names `tool` and `tool_class`. */
    const struct doc *call;
};

/* One attribute path of a filter or of a PATCH: RFC 7644 3.5.2 figure 7. */
struct attr_path {
    struct span urn;  /* schema URN without the last colon, or empty */
    struct span attr; /* "owners" */
    struct span sub;  /* "value", or empty */
    const struct filter *element; /* inside [ ], or NULL */
};

/* Where the value of a path comes from. */
enum filter_source { FILTER_RESOURCE, FILTER_EVENT, FILTER_CALL };

/* FILTER_EVENT for `event.x`; FILTER_CALL for `call.x`, `tool` and
 * `tool_class`; only meaningful for paths that filter_visit hands out. */
enum filter_source filter_path_source(const struct attr_path *p);

/* True when the URN is one of the core schemas, whose attributes live at the
 * top of the resource. */
bool filter_urn_is_core(struct span urn);

/* Parses and checks. On failure RC_CONFIG (or RC_NO_MEMORY), `f` says what was
 * expected and `*ret_offset` is the byte where it went wrong. Give an arena:
 * nothing is released one by one. */
int filter_compile(struct mem *m, struct span text, const struct filter **ret,
                   size_t *ret_offset, struct fail *f) must_use;

/* What to write instead of what other languages have, for the byte at which
 * filter_compile() failed; NULL when nothing comes to mind. */
const char *filter_advice(struct span text, size_t at);

enum tri filter_eval(const struct filter *flt, const struct filter_env *env);

/* Calls `visit` once per attribute path in the filter, for the projection of
 * reads and for warnings; top-level paths only (not those inside [ ]). The
 * path's `element` is set for `path[...]`. */
void filter_visit(const struct filter *flt,
                  void (*visit)(void *ctx, const struct attr_path *p),
                  void *ctx);

/* How a filter came to its value: `each` is called for every term, parents
 * first, `depth` 0 for the whole. What stands inside [ ] belongs to the term
 * before it. `found` is what a comparison looked at, or NULL. */
struct filter_step {
    const struct filter *term;
    unsigned depth;
    enum tri value;
    bool known; /* false: nothing is known about `found` */
    const struct doc *found;
};
void filter_explain(const struct filter *flt, const struct filter_env *env,
                    void (*each)(void *ctx, const struct filter_step *s),
                    void *ctx);

/* "all of", "one of", "not" for a term of several; NULL for a comparison. */
const char *filter_joint_word(const struct filter *term);

/* The same terms in the same order; names without regard to case. Adds to
 * *looked_at how many terms that took. */
bool filter_same(const struct filter *a, const struct filter *b,
                 size_t *looked_at);

/* NO when it can never hold, YES when it always holds, as far as terms that
 * stand beside their own negation tell; else UNKNOWN. */
enum tri filter_constant(const struct filter *flt);

/* The normal form: one space, lower-case operators, needed parentheses only.
 * Parsing it again gives an equal filter. */
struct buf;
void filter_print(const struct filter *flt, struct buf *out);

/* A PATCH path or a name from an event's `attributes` (RFC 9967 2.2).
 * RC_SYNTAX means "anything may have changed" (9967-R20); so does a path that
 * names a whole schema ("urn:...:2.0:User"), which is refused the same way. */
int attr_path_parse(struct mem *m, struct span text, struct attr_path *ret,
                    struct fail *f) must_use;

/* True when a change at `changed` can concern `watched`: same attribute
 * (case-insensitive, URN only compared when both have one) and, when both name
 * a sub-attribute, the same one. Filters in [ ] are not compared. */
bool attr_path_touches(const struct attr_path *changed,
                       const struct attr_path *watched);

#endif
