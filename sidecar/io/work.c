// SPDX-License-Identifier: Apache-2.0
/*
 * Lanes take turns: a worker takes one item of the first lane that has one and
 * puts the lane at the end, so a feed with ten thousand items does not hold up
 * the others. Items of one lane may run at the same time; `done` runs in order
 * because only a finished item at the front of its lane's chain is handed back.
 *
 *   submit --> staged --(prepare, one lock)--> lane.waiting --> worker
 *     done <-- front of lane.chain <--(async)-- FINISHED <--------'
 */
#include "sidecar/io/work.h"

#include <signal.h>

#include "sidecar/base/mem.h"

#define WORK_THREADS_MAX 16

enum phase { PHASE_NEW, PHASE_STAGED, PHASE_WAITING, PHASE_FINISHED };

struct lane {
    struct list waiting;            /* not yet taken by a worker */
    struct work_item *front, *back; /* all that are not done, in order */
    struct list_link ring;          /* in work.ring when waiting has items */
};

struct work {
    uv_loop_t *loop;
    uv_mutex_t lock; /* guards lanes, ring, stop, idle */
    uv_cond_t more;
    struct lane lanes[WORK_LANES_MAX];
    struct list ring;
    unsigned idle;
    bool stop;
    /* loop thread only */
    struct list staged;
    unsigned pending, queue_max, threads, handles;
    uv_thread_t thread[WORK_THREADS_MAX];
    uv_async_t async;
    uv_prepare_t prepare;
    bool closing, joined;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* The next item by turns, or NULL; the lock is held. */
static struct work_item *take(struct work *p)
{
    struct list_link *k = list_shift(&p->ring);
    if (k == NULL)
        return NULL;
    struct lane *lane = container_of(k, struct lane, ring);
    struct list_link *item = list_shift(&lane->waiting);
    must(item != NULL);
    if (!list_empty(&lane->waiting))
        list_push(&p->ring, &lane->ring);
    return container_of(item, struct work_item, link);
}

/* Signals belong to the loop thread. */
static void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void on_thread(void *arg)
{
    struct work *p = arg;
    block_signals();
    uv_mutex_lock(&p->lock);
    for (;;) {
        struct work_item *w = take(p);
        if (w == NULL && p->stop)
            break;
        if (w == NULL) {
            p->idle++;
            uv_cond_wait(&p->more, &p->lock);
            p->idle--;
            continue;
        }
        uv_mutex_unlock(&p->lock);
        w->run(w);
        uv_mutex_lock(&p->lock);
        w->phase = PHASE_FINISHED;
        if (p->lanes[w->lane].front == w)
            uv_async_send(&p->async);
    }
    uv_mutex_unlock(&p->lock);
}

/* Unlinks the finished front of a lane; the lock is held. */
static struct work_item *pop_finished(struct lane *lane)
{
    struct work_item *w = lane->front;
    if (w == NULL || w->phase != PHASE_FINISHED)
        return NULL;
    lane->front = w->next_in_lane;
    if (lane->front == NULL)
        lane->back = NULL;
    return w;
}

static void close_if_idle(struct work *p);

/* Items come back one chain per wake-up: one lock for all of them. */
static void on_async(uv_async_t *async)
{
    struct work *p = container_of(async, struct work, async);
    struct list ready;
    struct list_link *k;
    list_init(&ready);
    uv_mutex_lock(&p->lock);
    for (unsigned i = 0; i < WORK_LANES_MAX; i++) {
        struct work_item *w;
        while ((w = pop_finished(&p->lanes[i])) != NULL)
            list_push(&ready, &w->link);
    }
    uv_mutex_unlock(&p->lock);
    while ((k = list_shift(&ready)) != NULL) {
        struct work_item *w = container_of(k, struct work_item, link);
        w->phase = PHASE_NEW;
        p->pending--;
        w->done(w);
    }
    close_if_idle(p);
}

static void enqueue(struct work *p, struct work_item *w)
{
    struct lane *lane = &p->lanes[w->lane];
    w->phase = PHASE_WAITING;
    w->next_in_lane = NULL;
    if (lane->back == NULL)
        lane->front = w;
    else
        lane->back->next_in_lane = w;
    lane->back = w;
    list_push(&lane->waiting, &w->link);
    if (!list_linked(&lane->ring))
        list_push(&p->ring, &lane->ring);
}

/* Before the loop sleeps: everything submitted in this turn goes over. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct work *p = container_of(prepare, struct work, prepare);
    struct list_link *k;
    unsigned moved = 0;
    if (list_empty(&p->staged))
        return;
    uv_mutex_lock(&p->lock);
    while ((k = list_shift(&p->staged)) != NULL) {
        enqueue(p, container_of(k, struct work_item, link));
        moved++;
    }
    unsigned wake = p->idle < moved ? p->idle : moved;
    if (wake > 1)
        uv_cond_broadcast(&p->more);
    else if (wake == 1)
        uv_cond_signal(&p->more);
    uv_mutex_unlock(&p->lock);
}

int work_submit(struct work *p, struct work_item *w)
{
    must(w->lane < WORK_LANES_MAX);
    must(w->run != NULL && w->done != NULL);
    if (p->closing)
        return RC_STATE;
    if (p->pending >= p->queue_max)
        return RC_LIMIT;
    p->pending++;
    w->phase = PHASE_STAGED;
    w->link = (struct list_link){NULL, NULL};
    list_push(&p->staged, &w->link);
    return 0;
}

unsigned work_pending(const struct work *p)
{
    return p->pending;
}

static void on_closed(uv_handle_t *handle)
{
    struct work *p = handle->data;
    if (--p->handles > 0)
        return;
    void (*closed)(void *ctx) = p->closed;
    void *ctx = p->closed_ctx;
    uv_mutex_destroy(&p->lock);
    uv_cond_destroy(&p->more);
    mem_release(mem_system(), p);
    if (closed != NULL)
        closed(ctx);
}

static void join_threads(struct work *p)
{
    uv_mutex_lock(&p->lock);
    p->stop = true;
    uv_cond_broadcast(&p->more);
    uv_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        must(uv_thread_join(&p->thread[i]) == 0);
    p->joined = true;
}

/* Nothing is pending any more, so joining does not wait for work. */
static void close_if_idle(struct work *p)
{
    if (!p->closing || p->joined || p->pending > 0)
        return;
    join_threads(p);
    uv_close((uv_handle_t *)&p->async, on_closed);
    uv_close((uv_handle_t *)&p->prepare, on_closed);
}

void work_close(struct work *p, void (*done)(void *ctx), void *ctx)
{
    must(!p->closing);
    p->closing = true;
    p->closed = done;
    p->closed_ctx = ctx;
    uv_async_send(&p->async); /* never finishes inside this call */
}

static unsigned default_threads(void)
{
    unsigned cores = uv_available_parallelism();
    return cores < 2 ? cores : 2;
}

static int start_threads(struct work *p, unsigned threads)
{
    for (; p->threads < threads; p->threads++)
        if (uv_thread_create(&p->thread[p->threads], on_thread, p) != 0)
            return RC_LIMIT;
    return 0;
}

static void init_lists(struct work *p)
{
    list_init(&p->ring);
    list_init(&p->staged);
    for (unsigned i = 0; i < WORK_LANES_MAX; i++)
        list_init(&p->lanes[i].waiting);
}

int work_new(uv_loop_t *loop, unsigned threads, unsigned queue_max,
             struct work **ret, struct fail *f)
{
    if (threads > WORK_THREADS_MAX)
        return fail(f, RC_INVALID, "at most %d threads", WORK_THREADS_MAX);
    struct work *p = mem_alloc(mem_system(), sizeof *p);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for worker threads");
    p->loop = loop;
    p->queue_max = queue_max;
    init_lists(p);
    must(uv_mutex_init(&p->lock) == 0);
    must(uv_cond_init(&p->more) == 0);
    must(uv_async_init(loop, &p->async, on_async) == 0);
    must(uv_prepare_init(loop, &p->prepare) == 0);
    must(uv_prepare_start(&p->prepare, on_prepare) == 0);
    uv_unref((uv_handle_t *)&p->prepare);
    p->async.data = p->prepare.data = p;
    p->handles = 2;
    if (start_threads(p, threads == 0 ? default_threads() : threads) < 0) {
        work_close(p, NULL, NULL);
        return fail(f, RC_LIMIT, "worker threads do not start");
    }
    *ret = p;
    return 0;
}
