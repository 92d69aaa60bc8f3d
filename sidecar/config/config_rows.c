// SPDX-License-Identifier: Apache-2.0
#include "sidecar/config/config_rows.h"

#include <string.h>

enum { OPTIONAL = 0, REQUIRED = 1 };

/* The struct an object's rows fill, by name: CONFIG_STRUCT_FEED. */
#define X(id, type) typedef type object_##id;
CONFIG_OBJECT_MAP(X)
#undef X

const struct config_row config_rows[] = {
#define ROW(o, k, f, key_, need, dflt, lo, hi, text)                           \
    {.object = OBJECT_##o,                                                     \
     .kind = ROW_##k,                                                          \
     .offset = offsetof(object_##o, f),                                        \
     .key = key_,                                                              \
     .required = need,                                                         \
     .fallback = dflt,                                                         \
     .min = lo,                                                                \
     .max = hi,                                                                \
     .help = text},
#define SAME(o, key_, kid, need, text)                                         \
    {.object = OBJECT_##o,                                                     \
     .kind = ROW_MAP,                                                          \
     .key = key_,                                                              \
     .required = need,                                                         \
     .child = OBJECT_##kid,                                                    \
     .help = text},
#define SUB(o, f, key_, kid, need, text)                                       \
    {.object = OBJECT_##o,                                                     \
     .kind = ROW_MAP,                                                          \
     .offset = offsetof(object_##o, f),                                        \
     .key = key_,                                                              \
     .required = need,                                                         \
     .child = OBJECT_##kid,                                                    \
     .help = text},
#define LIST(o, f, n, key_, kid, type, hi, text)                               \
    {.object = OBJECT_##o,                                                     \
     .kind = ROW_LIST,                                                         \
     .offset = offsetof(object_##o, f),                                        \
     .key = key_,                                                              \
     .max = hi,                                                                \
     .child = OBJECT_##kid,                                                    \
     .count_offset = offsetof(object_##o, n),                                  \
     .stride = sizeof(type),                                                   \
     .line_offset = offsetof(type, line),                                      \
     .help = text},
#include "sidecar/config/config.def"
#undef ROW
#undef SAME
#undef SUB
#undef LIST
    {.key = NULL},
};

static const char *kind_word(enum row_kind k)
{
    static const char *const words[] = {
#define X(id, word) word,
        CONFIG_KIND_MAP(X)
#undef X
    };
    return words[k];
}

static void print_row(struct buf *out, const char *prefix,
                      const struct config_row *r)
{
    buf_printf(out, "%s%s%s  %s", prefix, r->key,
               r->kind == ROW_LIST ? "[]" : "", kind_word(r->kind));
    if (r->required)
        buf_put_str(out, ", required");
    if (r->fallback != NULL)
        buf_printf(out, ", default %s", r->fallback);
    buf_printf(out, ": %s\n", r->help);
}

/* The table is a tree of fixed depth, so this ends. */
// NOLINTNEXTLINE(misc-no-recursion)
static void print_object(struct buf *out, const char *prefix,
                         enum config_object object)
{
    for (const struct config_row *r = config_rows; r->key != NULL; r++) {
        if (r->object != object)
            continue;
        print_row(out, prefix, r);
        if (r->kind != ROW_MAP && r->kind != ROW_LIST)
            continue;
        char deeper[128];
        (void)snprintf(deeper, sizeof deeper, "%s%s%s.", prefix, r->key,
                       r->kind == ROW_LIST ? "[]" : "");
        print_object(out, deeper, r->child);
    }
}

void config_rows_print(struct buf *out)
{
    print_object(out, "", OBJECT_TOP);
}

struct visit {
    config_file_fn visit;
    void *ctx;
};

static void visit_object(const struct visit *v, const char *prefix,
                         enum config_object object, const char *base);

// NOLINTNEXTLINE(misc-no-recursion)
static void visit_list(const struct visit *v, const char *prefix,
                       const struct config_row *r, const char *base)
{
    const unsigned count =
        *(const unsigned *)(const void *)(base + r->count_offset);
    for (unsigned i = 0; i < count; i++) {
        char deeper[128];
        (void)snprintf(deeper, sizeof deeper, "%s%s[%u].", prefix, r->key, i);
        visit_object(v, deeper, r->child, base + r->offset + i * r->stride);
    }
}

static void visit_file(const struct visit *v, const char *prefix,
                       const struct config_row *r, const char *base)
{
    const struct span *path = (const void *)(base + r->offset);
    char key[160];
    (void)snprintf(key, sizeof key, "%s%s", prefix, r->key);
    if (path->n > 0)
        v->visit(v->ctx, key, r->kind, *path);
}

static void visit_files(const struct visit *v, const char *prefix,
                        const struct config_row *r, const char *base)
{
    const struct names *paths = (const void *)(base + r->offset);
    for (unsigned i = 0; i < paths->count; i++) {
        char key[160];
        (void)snprintf(key, sizeof key, "%s%s[%u]", prefix, r->key, i);
        v->visit(v->ctx, key, ROW_FILE, paths->at[i]);
    }
}

// NOLINTNEXTLINE(misc-no-recursion)
static void visit_object(const struct visit *v, const char *prefix,
                         enum config_object object, const char *base)
{
    for (const struct config_row *r = config_rows; r->key != NULL; r++) {
        char deeper[128];
        if (r->object != object)
            continue;
        (void)snprintf(deeper, sizeof deeper, "%s%s.", prefix, r->key);
        if (r->kind == ROW_LIST)
            visit_list(v, prefix, r, base);
        else if (r->kind == ROW_MAP)
            visit_object(v, deeper, r->child, base + r->offset);
        else if (r->kind == ROW_FILES)
            visit_files(v, prefix, r, base);
        else if (r->kind == ROW_FILE || r->kind == ROW_SECRET ||
                 r->kind == ROW_DIR)
            visit_file(v, prefix, r, base);
    }
}

void config_each_file(const struct config *c, config_file_fn visit, void *ctx)
{
    const struct visit v = {visit, ctx};
    visit_object(&v, "", OBJECT_TOP, (const char *)c);
}
