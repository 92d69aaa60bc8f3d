// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "sidecar/base/map.h"

#define MANY 5000

struct element {
    struct map_link link;
    struct list_link in_list;
    char name[12];
    unsigned seen;
};

static struct element elements[MANY];

static struct element *element(size_t i)
{
    struct element *e = &elements[i];
    *e = (struct element){0};
    int n = snprintf(e->name, sizeof e->name, "k%zu", i);
    map_set_key(&e->link, span_of(e->name, (size_t)n));
    return e;
}

static void inserts_finds_removes(void **state)
{
    (void)state;
    struct map m;
    map_init(&m, mem_system(), (struct hash_key){3, 4}, MANY);
    CHECK(map_find(&m, SPAN("k0")) == NULL);
    CHECK(map_next(&m, NULL) == NULL);
    for (size_t i = 0; i < MANY; i++)
        CHECK_INT(map_insert(&m, &element(i)->link), 0);
    CHECK_UINT(m.count, MANY);
    CHECK(m.slot_count >= MANY); /* lookup stays flat */
    for (size_t i = 0; i < MANY; i += 2)
        map_remove(&m, &elements[i].link);
    for (size_t i = 0; i < MANY; i++)
        CHECK(map_find(&m, map_key(&elements[i].link)) ==
              (i % 2 == 0 ? NULL : &elements[i].link));
    CHECK_UINT(m.count, MANY / 2);
    map_fini(&m);
    CHECK(map_find(&m, SPAN("k1")) == NULL);
}

static void refuses_twins_and_overflow(void **state)
{
    (void)state;
    struct map m;
    struct element twin;
    map_init(&m, mem_system(), (struct hash_key){0, 0}, 2);
    CHECK_INT(map_insert(&m, &element(0)->link), 0);
    memcpy(&twin, element(1), sizeof twin);
    map_set_key(&twin.link, map_key(&elements[0].link));
    CHECK_INT(map_insert(&m, &twin.link), RC_EXISTS);
    CHECK(map_find(&m, map_key(&twin.link)) == &elements[0].link);
    CHECK_INT(map_insert(&m, &element(1)->link), 0);
    CHECK_INT(map_insert(&m, &element(2)->link), RC_LIMIT);
    CHECK(map_find(&m, map_key(&elements[2].link)) == NULL);
    map_remove(&m, &elements[0].link);
    CHECK_INT(map_insert(&m, &elements[2].link), 0);
    map_fini(&m);
}

static void walk_visits_each_once(void **state)
{
    (void)state;
    struct map m;
    map_init(&m, mem_system(), (struct hash_key){7, 9}, MANY);
    for (size_t i = 0; i < 777; i++)
        CHECK_INT(map_insert(&m, &element(i)->link), 0);
    struct map_link *k = NULL;
    while ((k = map_next(&m, k)) != NULL)
        container_of(k, struct element, link)->seen++;
    for (size_t i = 0; i < 777; i++)
        CHECK_UINT(elements[i].seen, 1);
    map_fini(&m);
}

static void map_any_empties_it(void **state)
{
    (void)state;
    struct map m;
    struct map_link *k;
    size_t removed = 0;
    map_init(&m, mem_system(), (struct hash_key){7, 9}, MANY);
    CHECK(map_any(&m) == NULL);
    for (size_t i = 0; i < MANY; i++)
        CHECK_INT(map_insert(&m, &element(i)->link), 0);
    for (; (k = map_any(&m)) != NULL; removed++) {
        map_remove(&m, k);
        container_of(k, struct element, link)->seen++;
    }
    CHECK_UINT(removed, MANY);
    for (size_t i = 0; i < MANY; i++)
        CHECK_UINT(elements[i].seen, 1);
    for (size_t i = 0; i < MANY; i++) { /* what comes later is found, too */
        CHECK_INT(map_insert(&m, &element(i)->link), 0);
        CHECK(map_any(&m) == &elements[i].link);
        map_remove(&m, &elements[i].link);
    }
    map_fini(&m);
}

static void empty_and_binary_keys(void **state)
{
    (void)state;
    struct map m;
    struct map_link a = {0}, b = {0}, c = {0};
    map_set_key(&b, SPAN("a\0b"));
    map_set_key(&c, SPAN("a\0c"));
    map_init(&m, mem_system(), (struct hash_key){1, 1}, 8);
    CHECK_INT(map_insert(&m, &a), 0);
    CHECK_INT(map_insert(&m, &b), 0);
    CHECK_INT(map_insert(&m, &c), 0);
    CHECK(map_find(&m, SPAN("")) == &a);
    CHECK(map_find(&m, SPAN("a\0b")) == &b);
    CHECK(map_find(&m, SPAN("a")) == NULL);
    map_fini(&m);
}

static void lists(void **state)
{
    (void)state;
    struct list l;
    list_init(&l);
    CHECK(list_empty(&l) && list_shift(&l) == NULL);
    for (size_t i = 0; i < 5; i++)
        list_push(&l, &element(i)->in_list);
    CHECK(list_linked(&elements[2].in_list));
    list_remove(&elements[2].in_list);
    CHECK(!list_linked(&elements[2].in_list));
    list_remove(&elements[2].in_list);
    size_t sum = 0, place = 0;
    LIST_EACH (it, next, &l) {
        struct element *e = container_of(it, struct element, in_list);
        sum = sum * 10 + (size_t)(e - elements);
        if (++place % 2 == 0)
            list_remove(it);
    }
    CHECK_UINT(sum, 134); /* 0 1 3 4 in order; 1 and 4 are gone now */
    CHECK(list_shift(&l) == &elements[0].in_list);
    CHECK(list_shift(&l) == &elements[3].in_list);
    CHECK(list_empty(&l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserts_finds_removes),
        cmocka_unit_test(refuses_twins_and_overflow),
        cmocka_unit_test(walk_visits_each_once),
        cmocka_unit_test(map_any_empties_it),
        cmocka_unit_test(empty_and_binary_keys),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
