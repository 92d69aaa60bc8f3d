// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/lane.h"

#include <string.h>

const char *adapter_word(enum adapter a)
{
    static const char *const words[] = {"oauth", "runtime", "http"};
    return words[a];
}

void lanes_init(struct lanes *t, struct mem *m, struct hash_key seed,
                size_t max)
{
    *t = (struct lanes){.mem = m};
    map_init(&t->by_key, m, seed, max);
    for (unsigned i = 0; i < ADAPTER_COUNT; i++)
        list_init(&t->ready[i]);
}

void lanes_fini(struct lanes *t)
{
    must(t->by_key.count == 0); /* every job has left */
    map_fini(&t->by_key);
}

struct span lane_target(const struct lane *l)
{
    return span_sub(map_key(&l->link), 1, l->link.key_n);
}

bool lane_is_down(const struct lane *l)
{
    return l->failures >= LANE_FAILURES_MAX;
}

static struct lane *lane_new(struct lanes *t, struct span key)
{
    struct lane *l = mem_alloc(t->mem, sizeof *l + key.n);
    if (l == NULL)
        return NULL;
    unsigned char *at = (unsigned char *)(l + 1);
    map_set_key(&l->link, mem_place(&at, key));
    list_init(&l->waiting);
    return l;
}

int lane_join(struct lanes *t, enum adapter a, struct span target,
              struct lane **ret)
{
    unsigned char bytes[LANE_KEY_MAX];
    if (target.n >= sizeof bytes)
        return RC_LIMIT;
    bytes[0] = (unsigned char)a;
    if (target.n > 0)
        memcpy(bytes + 1, target.p, target.n);
    struct span key = span_of(bytes, target.n + 1);
    struct map_link *k = map_find(&t->by_key, key);
    struct lane *l = k == NULL ? NULL : container_of(k, struct lane, link);
    if (l == NULL) {
        l = lane_new(t, key);
        if (l == NULL)
            return RC_NO_MEMORY;
        l->adapter = a;
        int rc = map_insert(&t->by_key, &l->link);
        if (rc < 0) {
            mem_release(t->mem, l);
            return rc;
        }
    }
    l->jobs++;
    *ret = l;
    return 0;
}

/* On the list of those that may run, or off it. */
static void settle(struct lanes *t, struct lane *l)
{
    unsigned max = lane_is_down(l) ? 1 : LANE_RUNNING_MAX;
    bool may =
        !list_empty(&l->waiting) && !heap_linked(&l->pause) && l->running < max;
    if (may && !list_linked(&l->ready_link))
        list_push(&t->ready[l->adapter], &l->ready_link);
    else if (!may)
        list_remove(&l->ready_link);
}

void lane_leave(struct lanes *t, struct lane *l, struct list_link *job)
{
    must(l->jobs > 0);
    list_remove(job);
    settle(t, l);
    if (--l->jobs > 0)
        return;
    must(l->running == 0 && list_empty(&l->waiting));
    t->down -= lane_is_down(l);
    heap_remove(&t->paused, &l->pause);
    map_remove(&t->by_key, &l->link);
    mem_release(t->mem, l);
}

void lane_wait(struct lanes *t, struct lane *l, struct list_link *job)
{
    list_push(&l->waiting, job);
    settle(t, l);
}

static struct list_link *next_of(struct lanes *t, enum adapter a)
{
    if (t->running[a] >= ADAPTER_RUNNING_MAX)
        return NULL;
    struct list_link *k = list_shift(&t->ready[a]);
    if (k == NULL)
        return NULL;
    struct lane *l = container_of(k, struct lane, ready_link);
    struct list_link *job = list_shift(&l->waiting);
    must(job != NULL); /* else it would not be ready */
    l->running++;
    t->running[a]++;
    settle(t, l); /* at the end: lanes take turns */
    return job;
}

struct list_link *lanes_next(struct lanes *t, int64_t now_ms)
{
    lanes_wake(t, now_ms);
    for (unsigned a = 0; a < ADAPTER_COUNT; a++) {
        struct list_link *job = next_of(t, (enum adapter)a);
        if (job != NULL)
            return job;
    }
    return NULL;
}

void lane_resume(struct lanes *t, struct lane *l)
{
    heap_remove(&t->paused, &l->pause);
    settle(t, l);
}

void lanes_wake(struct lanes *t, int64_t now_ms)
{
    struct heap_link *k;
    while ((k = heap_first(&t->paused)) != NULL && k->at_ms <= now_ms)
        lane_resume(t, container_of(k, struct lane, pause));
}

int64_t lanes_wake_ms(const struct lanes *t)
{
    const struct heap_link *k = heap_first(&t->paused);
    return k == NULL ? INT64_MAX : k->at_ms;
}

static void pause_until(struct lanes *t, struct lane *l, int64_t at_ms)
{
    if (!heap_linked(&l->pause) || l->pause.at_ms < at_ms)
        heap_put(&t->paused, &l->pause, at_ms);
}

static int64_t breaker_pause(const struct lane *l)
{
    int64_t max = l->adapter == ADAPTER_RUNTIME ? LANE_RUNTIME_PAUSE_MAX_MS
                                                : LANE_PAUSE_MAX_MS;
    int64_t ms = LANE_PAUSE_FIRST_MS;
    for (unsigned i = LANE_FAILURES_MAX; i < l->failures && ms < max; i++)
        ms *= 2;
    return ms < max ? ms : max;
}

void lane_give_up(struct lanes *t, struct lane *l)
{
    must(l->running > 0 && t->running[l->adapter] > 0);
    l->running--;
    t->running[l->adapter]--;
    settle(t, l);
}

void lane_done(struct lanes *t, struct lane *l, const struct lane_outcome *o)
{
    /* What was begun before the target was found to be down says no more
     * than that. */
    bool known = lane_is_down(l) && heap_linked(&l->pause);
    t->down -= lane_is_down(l);
    if (o->answered)
        l->failures = 0;
    else if (!known)
        l->failures++;
    t->down += lane_is_down(l);
    if (lane_is_down(l) && !known)
        pause_until(t, l, o->now_ms + breaker_pause(l));
    if (o->answered && o->retry_after_ms <= 0)
        heap_remove(&t->paused, &l->pause);
    if (o->retry_after_ms > 0)
        pause_until(t, l,
                    o->now_ms + (o->retry_after_ms < LANE_ASKED_MAX_MS
                                     ? o->retry_after_ms
                                     : LANE_ASKED_MAX_MS));
    lane_give_up(t, l);
}
