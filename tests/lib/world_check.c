// SPDX-License-Identifier: Apache-2.0
/* What must hold in the world after every step, whatever has happened. */
#include "tests/lib/world.h"

static unsigned length(const struct list *l)
{
    unsigned n = 0;
    LIST_EACH (k, next, l) {
        CHECK(k->next->prev == k && k->prev->next == k);
        n++;
    }
    return n;
}

static void check_subject(const struct world *w, const struct subject *s)
{
    const struct subject_rare *r = subject_rare(s);
    CHECK_UINT(length(&r->parked), r->parked_count);
    CHECK_UINT(length(&r->pending), r->pending_count);
    for (unsigned i = 0; i < s->out_count; i++)
        CHECK(s->out[i].agent == s && list_linked(&s->out[i].in_link));
    LIST_EACH (k, next, &s->in)
        CHECK(container_of(k, struct edge, in_link)->other == s);
    /* Whoever waits is read, or its read is planned. */
    bool read = r->read.id != 0 || r->read.wanted;
    CHECK(r->parked_count == 0 || read || w->failing || w->e->stopping);
    CHECK(!read || subject_awaits_read(s) || w->failing);
}

void world_check(struct world *w)
{
    const struct engine *e = w->e;
    size_t holds = 0, calls = 0, credentials = 0;
    unsigned parked = 0, jobs = 0;
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        const struct subject *s = container_of(k, struct subject, link);
        check_subject(w, s);
        holds += length(&s->holds);
        calls += length(&s->calls);
        credentials += length(&subject_rare(s)->credentials);
        parked += subject_rare(s)->parked_count;
        jobs += length(&subject_rare(s)->jobs);
    }
    CHECK_UINT(holds, e->holds.count);
    CHECK_UINT(calls, e->calls.by_id.count);
    CHECK_UINT(calls, e->calls.by_lease.count);
    CHECK_UINT(calls, length(&e->calls.leases) + length(&e->calls.lost));
    CHECK_UINT(credentials, e->credential_count);
    CHECK_UINT(parked, e->parked_count);
    CHECK_UINT(length(&e->parked), e->parked_count);
    CHECK_UINT(jobs, e->jobs.open_count);
    CHECK_UINT(length(&e->jobs.open), e->jobs.open_count);
    CHECK_UINT(length(&e->jobs.ended), e->jobs.ended_count);
    CHECK(e->jobs.ended_count <= JOBS_ENDED_KEPT);
    CHECK(e->pending_count <= e->pending_cap);
    CHECK(e->parked_count <= w->conf.limits.parked_max);
    uint64_t last = e->stored;
    LIST_EACH (r, next, &e->rows) {
        CHECK(container_of(r, struct row, link)->seq > last);
        last = container_of(r, struct row, link)->seq;
    }
    CHECK(last <= e->seq);
}
