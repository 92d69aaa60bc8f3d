// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/poller_sets.h"

#define DESCRIPTION_MAX 128

int poller_sets_init(struct poller_sets *s, struct hash_key seed,
                     size_t sets_max, size_t seen_max, struct fail *f)
{
    map_init(&s->by_jti, mem_system(), seed, sets_max);
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        list_init(&s->at[i]);
    s->seed = seed;
    s->seen_max = seen_max;
    s->seen_next = 0;
    s->seen = mem_array(mem_system(), seen_max, sizeof s->seen[0]);
    return s->seen != NULL ? 0 : fail(f, RC_NO_MEMORY, "no memory for a feed");
}

static void text_free(struct span s)
{
    mem_release(mem_system(), (void *)(uintptr_t)s.p);
}

static void set_free(struct poller_sets *s, struct poller_set *x)
{
    map_remove(&s->by_jti, &x->by_jti);
    list_remove(&x->link);
    text_free(x->jti);
    text_free(x->err);
    text_free(x->description);
    mem_release(mem_system(), x);
}

void poller_sets_fini(struct poller_sets *s)
{
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        (void)poller_sets_drop(s, (enum set_place)i);
    map_fini(&s->by_jti);
    mem_release(mem_system(), s->seen);
}

struct poller_set *poller_sets_find(const struct poller_sets *s,
                                    struct span jti)
{
    struct map_link *k = map_find(&s->by_jti, jti);
    return k == NULL ? NULL : container_of(k, struct poller_set, by_jti);
}

static bool text_copy(struct span from, struct span *ret)
{
    unsigned char *p = mem_copy(mem_system(), from);
    if (p == NULL)
        return false;
    text_free(*ret);
    *ret = span_of(p, from.n);
    return true;
}

int poller_sets_add(struct poller_sets *s, struct span jti,
                    struct poller_set **ret)
{
    struct poller_set *x = mem_alloc(mem_system(), sizeof *x);
    if (x == NULL)
        return RC_NO_MEMORY;
    int rc = text_copy(jti, &x->jti) ? 0 : RC_NO_MEMORY;
    map_set_key(&x->by_jti, x->jti);
    if (rc == 0)
        rc = map_insert(&s->by_jti, &x->by_jti);
    if (rc < 0) {
        text_free(x->jti);
        mem_release(mem_system(), x);
        return rc;
    }
    x->place = PLACE_HANDED;
    list_push(&s->at[PLACE_HANDED], &x->link);
    *ret = x;
    return 0;
}

static void place(struct poller_sets *s, struct poller_set *x,
                  enum set_place to)
{
    list_remove(&x->link);
    x->place = to;
    list_push(&s->at[to], &x->link);
}

int poller_sets_answer(struct poller_sets *s, struct span jti, struct span err,
                       struct span description)
{
    struct poller_set *x = poller_sets_find(s, jti);
    if (x == NULL)
        TRY(poller_sets_add(s, jti, &x));
    else if (x->place == PLACE_SENT_POLL || x->place == PLACE_SENT_ACK)
        return 0; /* under way; if it is lost the same answer goes again */
    if (!text_copy(err, &x->err) ||
        !text_copy(span_sub(description, 0, DESCRIPTION_MAX),
                   &x->description)) {
        set_free(s, x); /* comes again */
        return RC_NO_MEMORY;
    }
    place(s, x, PLACE_READY);
    return 0;
}

void poller_sets_move(struct poller_sets *s, enum set_place from,
                      enum set_place to)
{
    LIST_EACH (it, next, &s->at[from])
        place(s, container_of(it, struct poller_set, link), to);
}

size_t poller_sets_drop(struct poller_sets *s, enum set_place from)
{
    size_t n = 0;
    LIST_EACH (it, next, &s->at[from]) {
        set_free(s, container_of(it, struct poller_set, link));
        n++;
    }
    return n;
}

void poller_sets_write(struct poller_sets *s, enum set_place to, size_t max,
                       struct poll_request *r, struct buf *out)
{
    struct arena a;
    arena_init(&a, mem_system(), 1024 * 1024);
    struct span *acks = mem_array(&a.mem, max, sizeof *acks);
    struct poll_err *errs = mem_array(&a.mem, max, sizeof *errs);
    if (acks == NULL || errs == NULL)
        max = 0; /* they wait; the poll itself may go */
    LIST_EACH (it, next, &s->at[PLACE_READY]) {
        struct poller_set *x = container_of(it, struct poller_set, link);
        if (r->ack_count + r->err_count >= max)
            break;
        if (x->err.n == 0)
            acks[r->ack_count++] = x->jti;
        else
            errs[r->err_count++] =
                (struct poll_err){x->jti, x->err, x->description};
        place(s, x, to);
    }
    r->acks = acks;
    r->errs = errs;
    poll_request_write(r, out);
    r->acks = NULL;
    r->errs = NULL;
    arena_fini(&a);
}

bool poller_sets_is_new(struct poller_sets *s, struct span jti)
{
    must(s->seen_max > 0);
    uint64_t h = hash_span(&s->seed, jti) | 1; /* 0 is an empty slot */
    for (size_t i = 0; i < s->seen_max; i++)
        if (s->seen[i] == h)
            return false;
    s->seen[s->seen_next] = h;
    s->seen_next = (s->seen_next + 1) % s->seen_max;
    return true;
}
