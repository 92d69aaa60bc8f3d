// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/turn.h"

#include <string.h>

/* Items that are marked during the walk wait for the next turn, which the idle
 * handle makes come at once. */
static void on_check(uv_check_t *h)
{
    struct turn *t = container_of(h, struct turn, check);
    struct list now;
    uv_idle_stop(&t->idle);
    if (list_empty(&t->dirty))
        return;
    now.head = t->dirty.head;
    now.head.next->prev = now.head.prev->next = &now.head;
    list_init(&t->dirty);
    for (struct list_link *k; (k = list_shift(&now)) != NULL;) {
        struct turn_item *i = container_of(k, struct turn_item, link);
        i->flush(i);
    }
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its presence alone matters */
}

static void arm(struct turn *t);

static void on_timer(uv_timer_t *h)
{
    struct turn *t = container_of(h, struct turn, timer);
    uint64_t now_ms = turn_now_ms(t);
    while (t->count > 0 && t->heap[1]->at_ms <= now_ms) {
        struct deadline *d = t->heap[1];
        deadline_stop(t, d);
        d->fire(d);
    }
    arm(t);
}

static void arm(struct turn *t)
{
    if (t->count == 0) {
        uv_timer_stop(&t->timer);
        return;
    }
    uint64_t now_ms = turn_now_ms(t), at_ms = t->heap[1]->at_ms;
    ignore_rc(uv_timer_start(&t->timer, on_timer,
                             at_ms > now_ms ? at_ms - now_ms : 0,
                             0)); /* fails only while closing */
}

int turn_init(struct turn *t, uv_loop_t *loop)
{
    *t = (struct turn){.loop = loop};
    list_init(&t->dirty);
    buf_init(&t->spare, mem_system(), TURN_SPARE_BYTES);
    t->read = mem_alloc(mem_system(), TURN_READ_BYTES);
    t->plain = mem_alloc(mem_system(), TURN_PLAIN_BYTES);
    t->pool = pool_new(mem_system(), TURN_POOL_BYTES);
    if (t->read == NULL || t->plain == NULL || t->pool == NULL) {
        pool_close(t->pool);
        mem_release(mem_system(), t->read);
        mem_release(mem_system(), t->plain);
        return RC_NO_MEMORY;
    }
    /* These four cannot fail in libuv. */
    ignore_rc(uv_check_init(loop, &t->check));
    ignore_rc(uv_idle_init(loop, &t->idle));
    ignore_rc(uv_timer_init(loop, &t->timer));
    ignore_rc(uv_check_start(&t->check, on_check));
    uv_unref((uv_handle_t *)&t->check);
    uv_unref((uv_handle_t *)&t->timer);
    t->open_handles = 3;
    t->check.data = t->idle.data = t->timer.data = t;
    return 0;
}

void turn_rest(struct turn *t)
{
    pool_rest(t->pool);
    if (t->spare.p != NULL) {
        buf_fini(&t->spare);
        buf_init(&t->spare, mem_system(), TURN_SPARE_BYTES);
    }
}

static void on_closed(uv_handle_t *h)
{
    struct turn *t = h->data;
    if (--t->open_handles > 0)
        return;
    mem_wipe(t->read, TURN_READ_BYTES);
    mem_wipe(t->plain, TURN_PLAIN_BYTES);
    mem_release(mem_system(), t->read);
    mem_release(mem_system(), t->plain);
    mem_release(mem_system(), t->heap);
    buf_fini(&t->spare);
    pool_close(t->pool);
    t->closed(t);
}

void turn_close(struct turn *t, void (*closed)(struct turn *t))
{
    t->closed = closed;
    uv_close((uv_handle_t *)&t->check, on_closed);
    uv_close((uv_handle_t *)&t->idle, on_closed);
    uv_close((uv_handle_t *)&t->timer, on_closed);
}

uint64_t turn_now_ms(const struct turn *t)
{
    return uv_now(t->loop);
}

void turn_mark(struct turn *t, struct turn_item *i)
{
    if (list_linked(&i->link))
        return;
    list_push(&t->dirty, &i->link);
    if (!uv_is_closing((uv_handle_t *)&t->idle))
        ignore_rc(uv_idle_start(&t->idle, on_idle)); /* cannot fail */
}

void turn_unmark(struct turn_item *i)
{
    list_remove(&i->link);
}

static void put(struct turn *t, size_t pos, struct deadline *d)
{
    t->heap[pos] = d;
    d->pos = pos;
}

static void sift_up(struct turn *t, struct deadline *d, size_t pos)
{
    while (pos > 1 && t->heap[pos / 2]->at_ms > d->at_ms) {
        put(t, pos, t->heap[pos / 2]);
        pos /= 2;
    }
    put(t, pos, d);
}

static void sift_down(struct turn *t, struct deadline *d, size_t pos)
{
    for (size_t child; (child = pos * 2) <= t->count; pos = child) {
        if (child < t->count &&
            t->heap[child + 1]->at_ms < t->heap[child]->at_ms)
            child++;
        if (t->heap[child]->at_ms >= d->at_ms)
            break;
        put(t, pos, t->heap[child]);
    }
    put(t, pos, d);
}

static int heap_grow(struct turn *t)
{
    size_t cap = t->cap == 0 ? 64 : t->cap * 2;
    const size_t one = sizeof(struct deadline *);
    struct deadline **p =
        mem_resize(mem_system(), t->heap, t->cap * one, cap * one);
    if (p == NULL)
        return RC_NO_MEMORY;
    t->heap = p;
    t->cap = cap;
    return 0;
}

int deadline_set(struct turn *t, struct deadline *d, uint64_t at_ms)
{
    if (d->pos == 0) {
        if (t->count + 1 >= t->cap)
            TRY(heap_grow(t));
        d->at_ms = at_ms;
        sift_up(t, d, ++t->count);
    } else if (at_ms < d->at_ms) {
        d->at_ms = at_ms;
        sift_up(t, d, d->pos);
    } else {
        d->at_ms = at_ms;
        sift_down(t, d, d->pos);
    }
    if (d->pos == 1)
        arm(t);
    return 0;
}

void deadline_stop(struct turn *t, struct deadline *d)
{
    if (d->pos == 0)
        return;
    size_t pos = d->pos;
    struct deadline *last = t->heap[t->count--];
    d->pos = 0;
    if (last == d)
        return;
    if (pos > 1 && t->heap[pos / 2]->at_ms > last->at_ms)
        sift_up(t, last, pos);
    else
        sift_down(t, last, pos);
}
