// SPDX-License-Identifier: Apache-2.0
/*
 * The filter cases of another SCIM implementation (scimmy). Its expressions
 * are lists of alternatives of attribute tests; each is written out as a
 * filter and compared with what the case says. Cases that do not agree must
 * stand in the list of deviations with a reason, and only those.
 */
#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "policy/filter.h"
#include "sidecar/base/json_out.h"
#include "tests/lib/check.h"

#define SUITE "../shared/vectors/scimmy-filter.json"
#define MANIFEST "../shared/vectors/manifest.json"
#define DEVIATIONS "tests/vectors/scimmy-filter.deviations"
#define FILE_MAX (128 * 1024)
#define WORLDS_MAX 256

struct run {
    struct arena arena;
    struct span deviations;
    const struct doc *worlds[WORLDS_MAX];
    unsigned world_count;
    unsigned cases, deviating;
};

static struct span read_file(struct arena *a, const char *path)
{
    unsigned char *p = mem_alloc(&a->mem, FILE_MAX);
    FILE *in = fopen(path, "rb");
    if (in == NULL || p == NULL)
        return (struct span){NULL, 0};
    size_t n = fread(p, 1, FILE_MAX, in);
    (void)fclose(in);
    CHECK(n < FILE_MAX);
    return span_of(p, n);
}

static const struct doc *parse(struct arena *a, struct span text)
{
    const struct doc *d = NULL;
    struct fail f = {0};
    CHECK_OK(json_doc_parse(&a->mem, text, FILE_MAX, &d, &f), &f);
    return d;
}

/* ---- their expressions as filters ---- */

struct writer {
    struct buf out;
    bool brackets; /* nested tests are about one element */
};

static void put_value(struct writer *w, const struct doc *v)
{
    struct json_out j;
    json_out_init(&j, &w->out);
    json_doc(&j, NULL, v);
}

/* ["not", "eq", value] and shorter. */
static void put_test(struct writer *w, const char *path, const struct doc *t)
{
    const struct doc *it = t->first;
    bool negated = span_ieq(it->text, SPAN("not"));
    if (negated)
        it = it->next;
    buf_printf(&w->out, "%s%s %.*s", negated ? "not (" : "", path,
               PRSPAN(it->text));
    if (it->next != NULL) {
        buf_put_u8(&w->out, ' ');
        put_value(w, it->next);
    }
    buf_put_str(&w->out, negated ? ")" : "");
}

static void put_members(struct writer *w, const char *prefix,
                        const struct doc *map);

static void put_nested(struct writer *w, const char *path,
                       const struct doc *map)
{
    char prefix[200];
    bool bracket = w->brackets || map->count > 1;
    (void)snprintf(prefix, sizeof prefix, "%s.", path);
    if (!w->brackets && !bracket) {
        put_members(w, prefix, map);
        return;
    }
    buf_printf(&w->out, "%s[", path);
    put_members(w, "", map);
    buf_put_u8(&w->out, ']');
}

static void put_member(struct writer *w, const char *path,
                       const struct doc *value)
{
    if (value->kind == DOC_MAP) {
        put_nested(w, path, value);
    } else if (value->first->kind == DOC_TEXT) {
        put_test(w, path, value);
    } else {
        DOC_EACH (it, value) {
            buf_put_str(&w->out, it == value->first ? "" : " and ");
            if (it->kind == DOC_MAP)
                put_nested(w, path, it);
            else
                put_test(w, path, it);
        }
    }
}

static void put_members(struct writer *w, const char *prefix,
                        const struct doc *map)
{
    DOC_EACH (it, map) {
        char path[200];
        (void)snprintf(path, sizeof path, "%s%.*s", prefix, PRSPAN(it->key));
        buf_put_str(&w->out, it == map->first ? "" : " and ");
        put_member(w, path, it);
    }
}

static struct span write_out(struct run *r, const struct doc *expression,
                             bool brackets)
{
    struct writer w = {.brackets = brackets};
    buf_init(&w.out, &r->arena.mem, FILE_MAX);
    if (expression->kind == DOC_MAP) {
        put_members(&w, "", expression);
    } else {
        DOC_EACH (it, expression) {
            buf_put_str(&w.out, it == expression->first ? "" : " or ");
            put_members(&w, "", it);
        }
    }
    CHECK(buf_ok(&w.out));
    return buf_span(&w.out);
}

/* ---- comparing ---- */

static const struct filter *compile(struct run *r, struct span text)
{
    const struct filter *flt = NULL;
    size_t at;
    struct fail f;
    int rc = filter_compile(&r->arena.mem, text, &flt, &at, &f);
    return rc < 0 ? NULL : flt;
}

/* The same answer about every world. */
static bool same(struct run *r, struct span a, struct span b)
{
    const struct filter *x = compile(r, a), *y = compile(r, b);
    if (x == NULL || y == NULL)
        return false;
    for (unsigned i = 0; i < r->world_count; i++) {
        struct filter_env env = {.resource = r->worlds[i]};
        if (filter_eval(x, &env) != filter_eval(y, &env))
            return false;
    }
    return true;
}

static bool is_listed(struct span list, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < list.n; at = span_find(list, '\n', at) + 1) {
        struct span line = span_sub(list, at, span_find(list, '\n', at));
        if (line.n > n + 1 && span_starts(line, span_str(name)) &&
            line.p[n] == '\t')
            return true;
    }
    return false;
}

static void count_case(struct run *r, const char *group, const char *part,
                       unsigned number, bool agrees)
{
    char name[100];
    (void)snprintf(name, sizeof name, "%s.%s.%u", group, part, number);
    r->cases++;
    r->deviating += !agrees;
    if (agrees == is_listed(r->deviations, name))
        print_error("%s: %s\n", name,
                    agrees ? "listed as a deviation but is none"
                           : "deviates and is not listed");
    check_row(name);
    CHECK(agrees != is_listed(r->deviations, name));
    check_row(NULL);
}

/* Resources that tell the suite's filters apart. */
static void make_worlds(struct run *r, const struct doc *source)
{
    static const char *const kinds[] = {"Employee", "Manager", "Bob"};
    DOC_EACH (it, source)
        r->worlds[r->world_count++] = it;
    for (unsigned i = 0; i < 192; i++) {
        char json[700];
        const char *kind = kinds[i / 16 % 3];
        const char *mail = i & 1 ? "A@example.com" : "x@example.org";
        int n = snprintf(
            json, sizeof json,
            "{\"userType\":\"%s\",\"userName\":\"%s\",\"displayName\":\"%s\","
            "\"quota\":%s,\"active\":%s,%s\"name\":{\"familyName\":\"%s\","
            "\"formatted\":\"%s\"},\"email\":{\"type\":\"%s\",\"value\":"
            "\"%s\"},\"emails\":[{\"type\":\"%s\",\"value\":\"%s\","
            "\"primary\":%s,\"display\":\"%s\"}]}",
            kind, i & 4 ? "AmZ" : "Test", kind, i & 2 ? "1.5" : "6",
            i & 8 ? "true" : "false", i & 64 ? "\"id\":\"1\"," : "", kind, kind,
            i & 2 ? "work" : "home", mail, i & 2 ? "work" : "home", mail,
            i & 4 ? "true" : "false", i & 8 ? "Work" : "Other");
        CHECK(n > 0 && (size_t)n < sizeof json);
        r->worlds[r->world_count++] =
            parse(&r->arena, span_of(json, (size_t)n));
    }
}

static void run_parse(struct run *r, const struct doc *suite)
{
    DOC_EACH (part, doc_get(suite, SPAN("parse"))) {
        unsigned number = 0;
        DOC_EACH (it, part) {
            struct span text = doc_text(it, SPAN("source"));
            bool brackets = span_find(text, '[', 0) < text.n;
            struct span theirs =
                write_out(r, doc_get(it, SPAN("target")), brackets);
            count_case(r, "parse",
                       (const char *)mem_copy(&r->arena.mem, part->key),
                       number++, same(r, text, theirs));
        }
    }
}

static void run_expression(struct run *r, const struct doc *suite)
{
    DOC_EACH (part, doc_get(suite, SPAN("expression"))) {
        unsigned number = 0;
        DOC_EACH (it, part) {
            struct span text = doc_text(it, SPAN("target"));
            bool brackets = span_find(text, '[', 0) < text.n;
            struct span ours =
                write_out(r, doc_get(it, SPAN("source")), brackets);
            count_case(r, "expression",
                       (const char *)mem_copy(&r->arena.mem, part->key),
                       number++, same(r, text, ours));
        }
    }
}

static bool finds(struct run *r, struct span text, const struct doc *source,
                  const struct doc *expected)
{
    const struct filter *flt = compile(r, text);
    if (flt == NULL)
        return false;
    DOC_EACH (it, source) {
        struct filter_env env = {.resource = it};
        bool want = false;
        DOC_EACH (id, expected)
            want = want || doc_eq(id, doc_get(it, SPAN("id")));
        if (filter_eval(flt, &env) != (want ? TRI_YES : TRI_NO))
            return false;
    }
    return true;
}

static void run_match(struct run *r, const struct doc *suite)
{
    const struct doc *match = doc_get(suite, SPAN("match"));
    DOC_EACH (part, doc_get(match, SPAN("targets"))) {
        unsigned number = 0;
        DOC_EACH (it, part) {
            struct span text =
                write_out(r, doc_get(it, SPAN("expression")), false);
            bool agrees = finds(r, text, doc_get(match, SPAN("source")),
                                doc_get(it, SPAN("expected")));
            count_case(r, "match",
                       (const char *)mem_copy(&r->arena.mem, part->key),
                       number++, agrees);
        }
    }
}

static unsigned expected_cases(struct run *r)
{
    DOC_EACH (it, parse(&r->arena, read_file(&r->arena, MANIFEST)))
        if (span_eq(doc_text(it, SPAN("suite")), SPAN("scimmy-filter.json")))
            return (unsigned)doc_get(it, SPAN("cases"))->integer;
    return 0;
}

static void scimmy(void **state)
{
    (void)state;
    static struct run r;
    arena_init(&r.arena, mem_system(), 64u << 20);
    struct span text = read_file(&r.arena, SUITE);
    if (text.p == NULL) {
        print_message("SKIP scimmy-filter: %s is absent\n", SUITE);
        arena_fini(&r.arena);
        skip();
    }
    r.deviations = read_file(&r.arena, DEVIATIONS);
    const struct doc *suite = parse(&r.arena, text);
    make_worlds(&r, doc_get(doc_get(suite, SPAN("match")), SPAN("source")));
    run_parse(&r, suite);
    run_expression(&r, suite);
    run_match(&r, suite);
    print_message("scimmy-filter: %u cases, %u deviations\n", r.cases,
                  r.deviating);
    CHECK_UINT(r.cases, expected_cases(&r));
    CHECK_UINT(r.cases, 146);
    arena_fini(&r.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scimmy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
