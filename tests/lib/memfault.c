// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/memfault.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

/* Before each block; the magic finds double releases and foreign pointers. */
struct head {
    size_t n;
    size_t magic;
    alignas(max_align_t) unsigned char bytes[];
};

#define MAGIC ((size_t)0x6d656d66)
#define MAGIC_GONE ((size_t)0xdead6d65)

static struct memfault *fault_of(struct mem *m)
{
    return (struct memfault *)(void *)m; /* mem is the first member */
}

static struct head *head_of(void *p)
{
    struct head *h = (struct head *)(void *)((unsigned char *)p -
                                             offsetof(struct head, bytes));
    must(h->magic == MAGIC);
    return h;
}

static bool refuse(struct memfault *mf)
{
    mf->calls++;
    bool now =
        mf->fail_at != 0 && (mf->calls == mf->fail_at ||
                             (mf->keep_failing && mf->calls > mf->fail_at));
    mf->hit = mf->hit || now;
    return now;
}

static void *fault_alloc(struct mem *m, size_t n)
{
    struct memfault *mf = fault_of(m);
    if (refuse(mf) || n > SIZE_MAX - sizeof(struct head))
        return NULL;
    struct head *h = calloc(1, sizeof *h + n);
    if (h == NULL)
        return NULL;
    h->n = n;
    h->magic = MAGIC;
    mf->live++;
    mf->live_bytes += n;
    if (mf->live_bytes > mf->peak_bytes)
        mf->peak_bytes = mf->live_bytes;
    return h->bytes;
}

static void fault_release(struct mem *m, void *p)
{
    struct memfault *mf = fault_of(m);
    struct head *h = head_of(p);
    must(mf->live > 0);
    mf->live--;
    mf->live_bytes -= h->n;
    h->magic = MAGIC_GONE;
    free(h);
}

/* Always moves, so that a stale pointer is found. */
static void *fault_resize(struct mem *m, void *p, size_t old_n, size_t n)
{
    must(p == NULL ? old_n == 0 : head_of(p)->n == old_n);
    void *fresh = fault_alloc(m, n);
    if (fresh == NULL || p == NULL)
        return fresh;
    memcpy(fresh, p, old_n < n ? old_n : n);
    fault_release(m, p);
    return fresh;
}

void memfault_init(struct memfault *mf)
{
    *mf = (struct memfault){
        .mem = {fault_alloc, fault_resize, fault_release},
    };
}

void memfault_check_clean(struct memfault *mf)
{
    if (mf->live != 0)
        print_error("run %lu, allocation %lu failed: leak\n", mf->runs,
                    mf->fail_at);
    CHECK_UINT(mf->live, 0);
    CHECK_UINT(mf->live_bytes, 0);
}

bool memfault_next(struct memfault *mf)
{
    if (mf->runs > 0) {
        memfault_check_clean(mf);
        if (!mf->hit)
            return false;
    }
    CHECK(mf->runs < MEMFAULT_RUNS_MAX);
    mf->runs++;
    mf->fail_at++;
    mf->calls = 0;
    mf->hit = false;
    return true;
}
