// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/mem.h"
#include "sidecar/io/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define ITEMS 4000

struct item {
    struct work_item w;
    unsigned number;
    unsigned sum;
    unsigned spin;
};

struct seen {
    unsigned last[WORK_LANES_MAX];
    unsigned done;
    bool closed;
};

static struct seen seen;

static void spin(struct work_item *w)
{
    struct item *i = container_of(w, struct item, w);
    volatile unsigned n = 0;
    for (unsigned k = 0; k < i->spin; k++)
        n = n + k;
    i->sum = n;
}

static void note(struct work_item *w)
{
    struct item *i = container_of(w, struct item, w);
    assert_true(i->number > seen.last[w->lane]);
    seen.last[w->lane] = i->number;
    seen.done++;
    mem_release(mem_system(), i);
}

static void on_closed(void *ctx)
{
    (void)ctx;
    seen.closed = true;
}

static struct item *item_new(unsigned lane, unsigned number, unsigned turns)
{
    struct item *i = mem_alloc(mem_system(), sizeof *i);
    i->w.run = spin;
    i->w.done = note;
    i->w.lane = lane;
    i->number = number;
    i->spin = turns;
    return i;
}

/* Items of one lane finish in the order of submission although they take
 * different time on two threads; closing lets all of them finish. */
static void lanes_keep_order(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct work *p;
    seen = (struct seen){.done = 0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(work_new(&loop, 3, ITEMS, &p, NULL), 0);
    for (unsigned n = 1; n <= ITEMS; n++) {
        struct item *i = item_new(n % 5, n, n * 7919 % 2000);
        assert_int_equal(work_submit(p, &i->w), 0);
    }
    assert_int_equal(work_pending(p), ITEMS);
    assert_int_equal(seen.done, 0); /* never inside submit */
    work_close(p, on_closed, NULL);
    assert_false(seen.closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(seen.done, ITEMS);
    assert_true(seen.closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void queue_is_bounded(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct work *p;
    seen = (struct seen){.done = 0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(work_new(&loop, 0, 2, &p, NULL), 0);
    struct item *a = item_new(0, 1, 0), *b = item_new(0, 2, 0),
                *c = item_new(1, 3, 0);
    assert_int_equal(work_submit(p, &a->w), 0);
    assert_int_equal(work_submit(p, &b->w), 0);
    assert_int_equal(work_submit(p, &c->w), RC_LIMIT);
    while (seen.done < 2)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(work_submit(p, &c->w), 0);
    work_close(p, on_closed, NULL);
    struct item d = {.w = {.run = spin, .done = note}};
    assert_int_equal(work_submit(p, &d.w), RC_STATE);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(seen.done, 3);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static unsigned order[3], order_n;
static uv_sem_t other_done;

static void wait_for_other(struct work_item *w)
{
    (void)w;
    uv_sem_wait(&other_done);
}

static void note_lane(struct work_item *w)
{
    order[order_n++] = w->lane;
    if (w->lane == 2)
        uv_sem_post(&other_done);
}

/* A slow item of one lane does not hold up another lane: it ends only when that
 * is through, so that this test hangs if it did. */
static void lanes_do_not_wait(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct work *p;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_sem_init(&other_done, 0), 0);
    assert_int_equal(work_new(&loop, 2, 8, &p, NULL), 0);
    struct item slow = {
        .w = {.run = wait_for_other, .done = note_lane, .lane = 1}};
    struct item after = {.w = {.run = spin, .done = note_lane, .lane = 1}};
    struct item other = {.w = {.run = spin, .done = note_lane, .lane = 2}};
    order_n = 0;
    assert_int_equal(work_submit(p, &slow.w), 0);
    assert_int_equal(work_submit(p, &after.w), 0);
    assert_int_equal(work_submit(p, &other.w), 0);
    work_close(p, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(order_n, 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    uv_sem_destroy(&other_done);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_keep_order),
        cmocka_unit_test(queue_is_bounded),
        cmocka_unit_test(lanes_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
