// SPDX-License-Identifier: Apache-2.0
#include "sidecar/difference.h"

#include <stdio.h>

#define KEY_MAX 2048
#define GAPS_MAX 4096

void difference_init(struct difference *d)
{
    const struct hash_key seed = {0x2545f491, 0x9e3779b9};
    *d = (struct difference){.questions = 0};
    arena_init(&d->arena, mem_system(), DIFFERENCE_BYTES_MAX);
    map_init(&d->rows, mem_system(), seed, DIFFERENCE_ROWS_MAX);
    map_init(&d->gaps, mem_system(), seed, GAPS_MAX);
    map_init(&d->blind_rules, mem_system(), seed, DIFFERENCE_ROWS_MAX);
}

void difference_fini(struct difference *d)
{
    map_fini(&d->rows);
    map_fini(&d->gaps);
    map_fini(&d->blind_rules);
    arena_fini(&d->arena);
}

/* ---- rows ---- */

static struct span make_key(char key[KEY_MAX], bool is_question,
                            struct span uri, struct span rule,
                            struct span words)
{
    int n =
        snprintf(key, KEY_MAX, "%c%.*s\n%.*s\n%.*s", is_question ? 'q' : 'e',
                 PRSPAN(uri), PRSPAN(rule), PRSPAN(words));
    return span_of(key, n < 0 ? 0 : n < KEY_MAX ? (size_t)n : KEY_MAX - 1);
}

static struct span keep(struct difference *d, struct span s)
{
    const unsigned char *p = mem_copy(&d->arena.mem, s);
    return p == NULL ? SPAN("") : span_of(p, s.n);
}

static struct difference_row *row_get(struct difference *d, bool is_question,
                                      struct span uri, struct span rule,
                                      struct span words)
{
    char text[KEY_MAX];
    struct span key = make_key(text, is_question, uri, rule, words);
    struct map_link *k = map_find(&d->rows, key);
    if (k != NULL)
        return container_of(k, struct difference_row, link);
    struct difference_row *row = mem_alloc(&d->arena.mem, sizeof *row);
    if (row == NULL) {
        d->lost++;
        return NULL;
    }
    map_set_key(&row->link, keep(d, key));
    row->is_question = is_question;
    row->uri = keep(d, uri);
    row->rule = keep(d, rule);
    row->words = keep(d, words);
    if (row->link.key_n == 0 || map_insert(&d->rows, &row->link) < 0) {
        d->lost++;
        return NULL;
    }
    return row;
}

static void note_first(struct difference *d, struct difference_row *row,
                       struct span jti, int64_t t)
{
    if (row->count[COURSE_OLD] + row->count[COURSE_NEW] != 1)
        return;
    row->first_ms = t;
    row->jti = keep(d, jti);
}

void difference_effect(struct difference *d, enum course which,
                       const struct effect *e, int64_t t)
{
    const struct hash_key seed = {1, 2};
    struct difference_row *row =
        row_get(d, false, e->uri, e->rule, span_str(e->words));
    if (row == NULL)
        return;
    uint64_t jti = hash_span(&seed, e->jti);
    if (row->count[which] > 0 && row->last_jti[which] == jti &&
        row->last_ms[which] == t)
        return;
    row->last_jti[which] = jti;
    row->last_ms[which] = t;
    row->count[which]++;
    note_first(d, row, e->jti, t);
}

bool difference_held(const struct difference *d, struct span uri,
                     struct span rule)
{
    static const char *const words[] = {"hold suspended", "hold review",
                                        "hold uncovered"};
    char text[KEY_MAX];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct map_link *k = map_find(
            &d->rows, make_key(text, false, uri, rule, span_str(words[i])));
        if (k != NULL &&
            container_of(k, struct difference_row, link)->count[COURSE_OLD] > 0)
            return true;
    }
    return false;
}

/* ---- questions ---- */

bool difference_same(const struct difference_answer *a,
                     const struct difference_answer *b)
{
    if (a->allow || b->allow)
        return a->allow == b->allow;
    return span_eq(a->reason, b->reason) && span_eq(a->rule, b->rule);
}

static int put_answer(char *at, size_t n, const struct difference_answer *a)
{
    return a->allow ? snprintf(at, n, "allow")
                    : snprintf(at, n, "deny %.*s", PRSPAN(a->reason));
}

struct difference_row *difference_question(struct difference *d,
                                           struct span uri,
                                           const struct difference_answer *old,
                                           const struct difference_answer *now,
                                           int64_t t)
{
    char from[EFFECT_WORDS_MAX], to[EFFECT_WORDS_MAX];
    char words[2 * EFFECT_WORDS_MAX + 8];
    if (difference_same(old, now))
        return NULL;
    d->changed++;
    (void)put_answer(from, sizeof from, old);
    (void)put_answer(to, sizeof to, now);
    (void)snprintf(words, sizeof words, "%s -> %s", from, to);
    struct difference_row *row = row_get(
        d, true, uri, now->allow ? old->rule : now->rule, span_str(words));
    if (row == NULL)
        return NULL;
    row->count[COURSE_NEW]++;
    note_first(d, row, SPAN(""), t);
    return row;
}

/* ---- gaps ---- */

void difference_gap(struct difference *d, struct span what, bool is_attribute,
                    bool is_question)
{
    struct map_link *k = map_find(&d->gaps, what);
    struct difference_gap *gap =
        k != NULL ? container_of(k, struct difference_gap, link)
                  : mem_alloc(&d->arena.mem, sizeof *gap);
    if (gap == NULL)
        return;
    if (k == NULL) {
        gap->what = keep(d, what);
        map_set_key(&gap->link, gap->what);
        gap->is_attribute = is_attribute;
        if (map_insert(&d->gaps, &gap->link) < 0)
            return;
    }
    gap->questions += is_question;
    gap->statements += !is_question;
}

void difference_blind_rule(struct difference *d, struct span rule,
                           struct span uri)
{
    char text[KEY_MAX];
    struct span key = make_key(text, false, uri, rule, SPAN(""));
    if (map_find(&d->blind_rules, key) != NULL)
        return;
    struct map_link *k = mem_alloc(&d->arena.mem, sizeof *k);
    if (k != NULL)
        map_set_key(k, keep(d, key));
    if (k == NULL || map_key(k).n == 0 || map_insert(&d->blind_rules, k) < 0)
        d->blind = true;
}

static bool is_blind(const struct difference *d, struct span rule,
                     struct span uri)
{
    char text[KEY_MAX];
    return map_find(&d->blind_rules,
                    make_key(text, false, uri, rule, SPAN(""))) != NULL;
}

bool difference_differs(const struct difference *d,
                        const struct difference_row *row)
{
    return row->is_question ||
           (row->count[COURSE_OLD] != row->count[COURSE_NEW] && !d->blind &&
            !is_blind(d, row->rule, SPAN("")) &&
            !is_blind(d, row->rule, row->uri));
}
