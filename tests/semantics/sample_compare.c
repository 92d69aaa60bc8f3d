// SPDX-License-Identifier: Apache-2.0
/* What the engine did and says, beside what the reference does and says. */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/life.h"

static void put_lines(char *to, size_t n, const struct lines *a)
{
    size_t at = 0;
    to[0] = 0;
    for (unsigned i = 0; i < a->count && at + 2 < n; i++)
        at += (size_t)snprintf(to + at, n - at, "%s%s", i == 0 ? "" : "; ",
                               a->at[i]);
}

static void compare_lines(struct life *l, const char *what,
                          struct lines *engine, struct lines *ref)
{
    char a[200], b[200];
    lines_sort(engine);
    lines_sort(ref);
    if (lines_equal(engine, ref) || l->why[0] != 0)
        return;
    put_lines(a, sizeof a, engine);
    put_lines(b, sizeof b, ref);
    (void)snprintf(l->why, sizeof l->why,
                   "%s\n    engine     %s\n    reference  %s", what, a, b);
}

void life_show_holds(const struct life *l, struct lines *to)
{
    struct map_link *k = NULL;
    while ((k = map_next(&l->e->subjects.by_key, k)) != NULL) {
        const struct subject *s = container_of(k, struct subject, link);
        LIST_EACH (at, next, &s->holds) {
            const struct hold *h = container_of(at, struct hold, link);
            lines_add(to, "%.*s: held %s by %s%s", PRSPAN(s->uri),
                      hold_kind_word(h->kind), (const char *)h->rule,
                      h->operator_only ? " for operators" : "");
        }
    }
}

void life_show_answer(struct lines *to, const struct question *q, bool waits,
                      bool allow, enum reason reason)
{
    lines_add(to, "%.*s %.*s: %s", PRSPAN(q->uri), PRSPAN(q->tool),
              waits   ? "wait"
              : allow ? "allow"
                      : reason_code(reason));
}

static void compare_answer(struct life *l, const struct question *q)
{
    const struct ref_answer *a = &q->expected;
    bool named = a->name_count == 0 && q->rule.n == 0;
    l->mine.count = l->theirs.count = 0;
    life_show_answer(&l->mine, q, !q->answered, q->allow, q->reason);
    life_show_answer(&l->theirs, q, a->says == SAYS_WAIT, a->says == SAYS_ALLOW,
                     a->reason);
    compare_lines(l, "the gate's answer", &l->mine, &l->theirs);
    for (unsigned i = 0; i < a->name_count; i++)
        named = named || span_eq(a->names[i], q->rule);
    if (q->answered && !named && l->why[0] == 0)
        (void)snprintf(l->why, sizeof l->why, "the gate names the rule '%.*s'",
                       PRSPAN(q->rule));
}

/* Questions that still wait are decided again by what has happened. */
static void compare_answers(struct life *l, const struct input *input)
{
    for (unsigned i = 0; i < l->question_count; i++) {
        struct question *q = &l->questions[i];
        const bool now = input->what == ASK && i + 1 == l->question_count;
        const bool came_back =
            input->what == READ && span_eq(span_str(input->uri), q->uri);
        if (!now && q->expected.says != SAYS_WAIT)
            continue;
        if (!now)
            q->expected = ref_ask(l->ref, q->uri, q->tool, q->run,
                                  !came_back && life_reading(l, q->uri));
        compare_answer(l, q);
        life_use(l, q, &q->expected);
    }
}

/* Only an ETag that has qualified, of a state that is still known, is named by
 * a read: "not modified" means nothing else. */
static void compare_conditions(struct life *l)
{
    for (unsigned i = 0; i < l->read_count; i++) {
        const struct read_under_way *read = &l->reads[i];
        const struct ref_subject *s = ref_subject(l->ref, read->uri);
        if (read->started_n == l->ref->n && read->if_none_match.n > 0 &&
            l->why[0] == 0 &&
            (s->attrs == NULL || !span_eq(s->etag, read->if_none_match)))
            (void)snprintf(l->why, sizeof l->why,
                           "a read names the ETag '%.*s'",
                           PRSPAN(read->if_none_match));
    }
}

void life_compare(struct life *l, const struct input *input)
{
    l->mine.count = l->theirs.count = 0;
    compare_lines(l, "what followed", &l->lines, &l->ref->lines);
    life_show_holds(l, &l->mine);
    ref_show_holds(l->ref, &l->theirs);
    compare_lines(l, "holds", &l->mine, &l->theirs);
    compare_answers(l, input);
    compare_conditions(l);
}
