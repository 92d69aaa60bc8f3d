// SPDX-License-Identifier: Apache-2.0
/* RFC 6962 section 2.1 and the proof vectors of transparency-dev/merkle. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "sidecar/io/base64.h"
#include "sidecar/io/tree_hash.h"
#include "tests/lib/check.h"

#define VECTORS "../shared/vectors/merkle"
#define MANIFEST "../shared/vectors/manifest.json"
#define DEVIATIONS "tests/vectors/merkle.deviations"

struct run {
    unsigned cases, wrong, deviations;
};

static void root_of(const struct merkle_hash *leaves, struct merkle_range r,
                    struct merkle_hash *ret)
{
    struct merkle t;
    merkle_init(&t);
    for (uint64_t i = r.from; i < r.to; i++)
        merkle_add(&t, tree_hash_node, &leaves[i]);
    merkle_root(&t, tree_hash_node, ret);
}

/* RFC 6962 2.1 as it is written there, to compare with. */
static void slow_root(const struct merkle_hash *leaves, size_t n,
                      struct merkle_hash *ret)
{
    struct merkle_hash left, right;
    if (n == 1) {
        *ret = leaves[0];
        return;
    }
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    slow_root(leaves, k, &left);
    slow_root(leaves + k, n - k, &right);
    tree_hash_node(&left, &right, ret);
}

#define LEAVES 70

static void make_leaves(struct merkle_hash *leaves)
{
    for (unsigned char i = 0; i < LEAVES; i++)
        tree_hash_leaf(span_of(&i, 1), &leaves[i]);
}

static void roots_agree_with_definition(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES], a, b;
    make_leaves(leaves);
    for (size_t n = 1; n <= LEAVES; n++) {
        root_of(leaves, (struct merkle_range){0, n}, &a);
        slow_root(leaves, n, &b);
        assert_true(merkle_hash_eq(&a, &b));
    }
}

static size_t prove(const struct merkle_hash *leaves,
                    const struct merkle_range *plan, unsigned n,
                    struct merkle_hash *ret)
{
    for (unsigned i = 0; i < n; i++)
        root_of(leaves, plan[i], &ret[i]);
    return n;
}

static void inclusion_round_trip(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES], root, made[MERKLE_PROOF_MAX];
    struct merkle_range plan[MERKLE_PROOF_MAX];
    make_leaves(leaves);
    for (uint64_t size = 1; size <= LEAVES; size++) {
        root_of(leaves, (struct merkle_range){0, size}, &root);
        for (uint64_t at = 0; at < size; at++) {
            unsigned n = merkle_plan_inclusion(at, size, plan);
            struct merkle_proof p = {made, prove(leaves, plan, n, made)};
            assert_true(merkle_check_inclusion(tree_hash_node, at, size,
                                               &leaves[at], p, &root));
            assert_false(merkle_check_inclusion(tree_hash_node, at, size,
                                                &leaves[(at + 1) % LEAVES], p,
                                                &root));
            assert_false(merkle_check_inclusion(tree_hash_node, size, size,
                                                &leaves[at], p, &root));
        }
    }
}

static void consistency_round_trip(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES], root, old, made[MERKLE_PROOF_MAX];
    struct merkle_range plan[MERKLE_PROOF_MAX];
    make_leaves(leaves);
    for (uint64_t size = 1; size <= LEAVES; size++) {
        root_of(leaves, (struct merkle_range){0, size}, &root);
        for (uint64_t m = 1; m <= size; m++) {
            root_of(leaves, (struct merkle_range){0, m}, &old);
            unsigned n = merkle_plan_consistency(m, size, plan);
            struct merkle_proof p = {made, prove(leaves, plan, n, made)};
            assert_true(merkle_check_consistency(tree_hash_node, m, size, &old,
                                                 p, &root));
            if (n > 0) {
                made[n - 1].b[3] ^= 1;
                assert_false(merkle_check_consistency(tree_hash_node, m, size,
                                                      &old, p, &root));
            }
            old.b[0] ^= 1;
            assert_false(merkle_check_consistency(tree_hash_node, m, size, &old,
                                                  p, &root));
        }
    }
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    struct merkle_hash x = {{0}}, many[MERKLE_PROOF_MAX] = {{{0}}};
    struct merkle_range plan[MERKLE_PROOF_MAX];
    struct merkle_proof p = {many, MERKLE_PROOF_MAX};
    assert_int_equal(merkle_plan_inclusion(0, UINT64_MAX, plan), 64);
    assert_int_equal(merkle_plan_consistency(UINT64_MAX - 1, UINT64_MAX,
                                             plan) <= MERKLE_PROOF_MAX,
                     1);
    assert_false(merkle_check_inclusion(tree_hash_node, UINT64_MAX - 1,
                                        UINT64_MAX, &x, p, &x));
    assert_false(merkle_check_consistency(tree_hash_node, UINT64_MAX - 1,
                                          UINT64_MAX, &x, p, &x));
    assert_false(merkle_range_is_node((struct merkle_range){3, 3}));
    assert_false(merkle_range_is_node((struct merkle_range){1, UINT64_MAX}));
    assert_true(merkle_range_is_node((struct merkle_range){0, UINT64_MAX}));
}

/* ---- vectors ---- */

/* False when the text is not the base64 of 32 bytes: no hash of ours. */
static bool get_hash(const json_t *o, const char *key, struct merkle_hash *ret)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL && base64_get(span_str(s), ret->b, sizeof ret->b);
}

static bool get_u64(const json_t *o, const char *key, uint64_t *ret)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_real(v)) { /* see load_case: near UINT64_MAX */
        double real = json_real_value(v);
        *ret = real >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)real;
        return true;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static bool get_proof(const json_t *o, struct merkle_hash *made, size_t *ret)
{
    const json_t *list = json_object_get(o, "proof");
    *ret = json_array_size(list); /* 0 for null */
    if (*ret > MERKLE_PROOF_MAX)
        return false;
    for (size_t i = 0; i < *ret; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s == NULL || !base64_get(span_str(s), made[i].b, 32))
            return false;
    }
    return true;
}

static bool check_inclusion(const json_t *o)
{
    struct merkle_hash root, leaf, made[MERKLE_PROOF_MAX];
    struct merkle_proof p = {made, 0};
    uint64_t at, from = 0, to;
    bool part = json_object_get(o, "start") != NULL;
    if (!get_u64(o, "leafIdx", &at) || !get_hash(o, "root", &root) ||
        !get_hash(o, "leafHash", &leaf) || !get_proof(o, made, &p.count) ||
        !get_u64(o, part ? "end" : "treeSize", &to))
        return false;
    if (part && (!get_u64(o, "start", &from) || at < from ||
                 !merkle_range_is_node((struct merkle_range){from, to})))
        return false;
    return merkle_check_inclusion(tree_hash_node, at - from, to - from, &leaf,
                                  p, &root);
}

static bool check_consistency(const json_t *o)
{
    struct merkle_hash a, b, made[MERKLE_PROOF_MAX];
    struct merkle_proof p = {made, 0};
    struct merkle_range part = {0, 0};
    uint64_t size;
    if (!get_hash(o, "root1", &a) || !get_hash(o, "root2", &b) ||
        !get_proof(o, made, &p.count))
        return false;
    if (json_object_get(o, "start") == NULL)
        return get_u64(o, "size1", &part.to) && get_u64(o, "size2", &size) &&
               merkle_check_consistency(tree_hash_node, part.to, size, &a, p,
                                        &b);
    return get_u64(o, "start", &part.from) && get_u64(o, "end", &part.to) &&
           get_u64(o, "size", &size) &&
           merkle_check_subtree(tree_hash_node, part, size, &a, p, &b);
}

static bool is_deviation(const char *name)
{
    char line[512];
    bool found = false;
    FILE *in = fopen(DEVIATIONS, "r");
    if (in == NULL)
        return false;
    while (!found && fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\t\n")] = 0;
        found = line[0] != '#' && strcmp(line, name) == 0;
    }
    (void)fclose(in);
    return found;
}

/* Some sizes are beyond the library's integers. */
static json_t *load_case(const char *path)
{
    json_t *o = json_load_file(path, 0, NULL);
    return o != NULL ? o : json_load_file(path, JSON_DECODE_INT_AS_REAL, NULL);
}

static void run_case(struct run *r, const char *path)
{
    json_t *o = load_case(path);
    assert_non_null(o);
    const json_t *want = json_object_get(o, "wantErr");
    assert_true(json_is_boolean(want));
    bool ok = json_object_get(o, "leafIdx") != NULL ? check_inclusion(o)
                                                    : check_consistency(o);
    r->cases++;
    bool agrees = ok == !json_is_true(want);
    bool listed = is_deviation(path + strlen(VECTORS) + 1);
    r->deviations += listed;
    if (agrees == listed) { /* wrong, or listed without need */
        r->wrong++;
        print_message("%s: %s, the vector wants %s%s\n", path,
                      ok ? "accepted" : "refused",
                      json_is_true(want) ? "an error" : "success",
                      listed ? " (listed as a deviation)" : "");
    }
    json_decref(o);
}

static void walk(struct run *r, const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[1024];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        assert_int_equal(stat(path, &st), 0);
        if (S_ISDIR(st.st_mode))
            walk(r, path);
        else
            run_case(r, path);
    }
    (void)closedir(d);
}

static unsigned manifest_count(void)
{
    json_t *all = json_load_file(MANIFEST, 0, NULL);
    unsigned n = 0;
    size_t i;
    json_t *suite;
    json_array_foreach(all, i, suite)
    {
        const char *name = json_string_value(json_object_get(suite, "suite"));
        if (name != NULL && strcmp(name, "merkle") == 0)
            n = (unsigned)json_integer_value(json_object_get(suite, "cases"));
    }
    json_decref(all);
    return n;
}

static void vectors_agree(void **state)
{
    (void)state;
    struct run r = {.cases = 0};
    struct stat st;
    if (stat(VECTORS, &st) != 0) {
        print_message("SKIP: %s is absent\n", VECTORS);
        skip();
    }
    walk(&r, VECTORS);
    print_message("merkle vectors: %u cases, %u deviations, %u wrong\n",
                  r.cases, r.deviations, r.wrong);
    assert_int_equal(r.cases, manifest_count());
    assert_int_equal(r.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_agree_with_definition),
        cmocka_unit_test(inclusion_round_trip),
        cmocka_unit_test(consistency_round_trip),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(vectors_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
