// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/stop_limit.h"

#include <signal.h>
#include <stdbool.h>
#include <unistd.h>
#include <uv.h>

#include "sidecar/base/log.h"
#include "sidecar/base/mem.h"

struct stop_limit {
    uv_thread_t thread;
    uv_mutex_t mutex; /* the rest */
    uv_cond_t wake;
    uint64_t due_ns;
    const char *phase;
    bool over;
};

static void run(void *ctx)
{
    struct stop_limit *l = ctx;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* they belong to the loop */
    uv_mutex_lock(&l->mutex);
    for (uint64_t now; !l->over && (now = uv_hrtime()) < l->due_ns;)
        (void)uv_cond_timedwait(&l->wake, &l->mutex, l->due_ns - now);
    const bool over = l->over;
    const char *phase = l->phase;
    uv_mutex_unlock(&l->mutex);
    if (over)
        return;
    log_error(LOG_MAIN, "stop_overdue", kv_str("phase", phase),
              kv_i64("exit", STOP_LIMIT_EXIT));
    log_flush();
    _exit(STOP_LIMIT_EXIT);
}

struct stop_limit *stop_limit_start(uint64_t ms)
{
    struct stop_limit *l = mem_alloc(mem_system(), sizeof *l);
    if (l == NULL)
        return NULL;
    l->due_ns = uv_hrtime() + ms * 1000000;
    l->phase = "start";
    must(uv_mutex_init(&l->mutex) == 0 && uv_cond_init(&l->wake) == 0);
    if (uv_thread_create(&l->thread, run, l) == 0)
        return l;
    uv_cond_destroy(&l->wake);
    uv_mutex_destroy(&l->mutex);
    mem_release(mem_system(), l);
    return NULL;
}

void stop_limit_at(struct stop_limit *l, const char *phase)
{
    if (l == NULL)
        return;
    uv_mutex_lock(&l->mutex);
    l->phase = phase;
    uv_mutex_unlock(&l->mutex);
}

void stop_limit_end(struct stop_limit *l)
{
    if (l == NULL)
        return;
    uv_mutex_lock(&l->mutex);
    l->over = true;
    uv_cond_signal(&l->wake);
    uv_mutex_unlock(&l->mutex);
    must(uv_thread_join(&l->thread) == 0);
    uv_cond_destroy(&l->wake);
    uv_mutex_destroy(&l->mutex);
    mem_release(mem_system(), l);
}
