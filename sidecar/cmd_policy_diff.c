// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy diff`: what another policy would have done with the same
 * past. sidecar/policy_compare.c decides what differs; this shows it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/cli.h"
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/history_args.h"
#include "sidecar/policy_compare.h"
#include "sidecar/term.h"

#define DIFF_MEMORY_MAX (256u * 1024 * 1024)
#define AGENT_ROWS_MAX 40 /* shown to people; --json has all */
#define PROGRESS_EVERY 2048

struct work {
    struct history_args args;
    bool json;
    const char *old_file, *now_file; /* old NULL: what happened */
    struct arena arena;
    struct buf out;
    struct term term;
    struct policy_notes notes;
    const struct policy *old, *now;
    struct compare *compare;
    struct difference_row **rows; /* that differ, sorted */
    size_t row_count;
};

/* ---- input ---- */

static int load(struct work *w, const char *path, const struct policy **ret,
                struct fail *f)
{
    struct span source = SPAN("");
    int rc = policy_file_load(&w->arena.mem, span_str(path), ret, &w->notes,
                              &source, f);
    if (rc < 0 && w->notes.error_count > 0)
        policy_notes_print(&w->notes, path, source, w->term.colour, &w->out);
    return rc;
}

static void show_progress(const struct work *w,
                          const struct history_source *source)
{
    char text[96];
    if (w->json || isatty(STDERR_FILENO) == 0 ||
        w->compare->entries % PROGRESS_EVERY != 0)
        return;
    unsigned done = history_source_progress(source);
    int n = snprintf(text, sizeof text, "\r%u.%u %%, %llu entries ", done / 10,
                     done % 10, (unsigned long long)w->compare->entries);
    ignore_rc(term_write(STDERR_FILENO, span_of(text, (size_t)n)));
}

static void clear_progress(const struct work *w)
{
    if (!w->json && isatty(STDERR_FILENO) != 0)
        ignore_rc(term_write(STDERR_FILENO, SPAN("\r\033[K")));
}

static int replay_all(struct work *w, const struct history_from *from,
                      struct fail *f)
{
    struct history_source *source;
    struct span line;
    int more;
    TRY(history_source_open(from, &source, f));
    while ((more = history_source_next(source, &line, f)) == 1) {
        if ((more = compare_line(w->compare, line, f)) < 0)
            break;
        show_progress(w, source);
    }
    clear_progress(w);
    history_source_close(source);
    return more;
}

/* ---- what differs, in order ---- */

static int by_rule(const void *a, const void *b)
{
    const struct difference_row *x = *(struct difference_row *const *)a;
    const struct difference_row *y = *(struct difference_row *const *)b;
    int order = span_cmp(x->rule, y->rule);
    if (order == 0)
        order = span_cmp(x->words, y->words);
    return order != 0 ? order : span_cmp(x->uri, y->uri);
}

static int collect(struct work *w, struct fail *f)
{
    const struct difference *d = &w->compare->difference;
    struct map_link *k = NULL;
    w->rows = mem_array(&w->arena.mem, d->rows.count + 1,
                        sizeof(struct difference_row *));
    if (w->rows == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the result");
    while ((k = map_next(&d->rows, k)) != NULL) {
        struct difference_row *row =
            container_of(k, struct difference_row, link);
        if (difference_differs(d, row))
            w->rows[w->row_count++] = row;
    }
    qsort(w->rows, w->row_count, sizeof(struct difference_row *), by_rule);
    return 0;
}

/* Rows of one rule and one difference, from `at` on. */
static size_t same_rule(const struct work *w, size_t at,
                        uint64_t sum[COURSE_COUNT])
{
    size_t end = at;
    sum[COURSE_OLD] = sum[COURSE_NEW] = 0;
    while (end < w->row_count &&
           span_eq(w->rows[end]->rule, w->rows[at]->rule) &&
           span_eq(w->rows[end]->words, w->rows[at]->words)) {
        sum[COURSE_OLD] += w->rows[end]->count[COURSE_OLD];
        sum[COURSE_NEW] += w->rows[end]->count[COURSE_NEW];
        end++;
    }
    return end;
}

/* ---- for people ---- */

static struct span number(struct work *w, uint64_t v)
{
    struct buf text;
    buf_init(&text, &w->arena.mem, 32);
    buf_put_dec(&text, v);
    return buf_span(&text);
}

static int cell(struct table *t, struct span text)
{
    return table_cell(t, text.n == 0 ? SPAN("-") : text, TONE_PLAIN);
}

static int put_counts(struct work *w, struct table *t, bool is_question,
                      const uint64_t count[COURSE_COUNT])
{
    TRY(cell(t, is_question ? SPAN("") : number(w, count[COURSE_OLD])));
    return cell(t, number(w, count[COURSE_NEW]));
}

static int put_rules(struct work *w)
{
    static const char *const heads[] = {"RULE", "DIFFERENCE", "OLD", "NEW",
                                        "AGENTS"};
    struct table t;
    uint64_t sum[COURSE_COUNT];
    table_init(&t, &w->arena.mem, heads, 5);
    for (size_t at = 0, end; at < w->row_count; at = end) {
        end = same_rule(w, at, sum);
        TRY(cell(&t, w->rows[at]->rule));
        TRY(cell(&t, w->rows[at]->words));
        TRY(put_counts(w, &t, w->rows[at]->is_question, sum));
        TRY(cell(&t, number(w, end - at)));
    }
    table_print(&t, &w->term, &w->out);
    return 0;
}

static int put_agents(struct work *w)
{
    static const char *const heads[] = {"AGENT", "RULE", "DIFFERENCE",
                                        "OLD",   "NEW",  "FIRST"};
    struct table t;
    table_init(&t, &w->arena.mem, heads, 6);
    for (size_t i = 0; i < w->row_count && i < AGENT_ROWS_MAX; i++) {
        const struct difference_row *row = w->rows[i];
        char *first = mem_alloc(&w->arena.mem, TIME_TEXT_BYTES);
        if (first == NULL)
            return RC_NO_MEMORY;
        time_text(row->first_ms, first);
        TRY(cell(&t, row->uri));
        TRY(cell(&t, row->rule));
        TRY(cell(&t, row->words));
        TRY(put_counts(w, &t, row->is_question, row->count));
        TRY(cell(&t, span_str(first)));
    }
    table_print(&t, &w->term, &w->out);
    if (w->row_count > AGENT_ROWS_MAX)
        buf_printf(&w->out, "and %zu more; --json has them all\n",
                   w->row_count - AGENT_ROWS_MAX);
    return 0;
}

static void put_gaps(struct work *w)
{
    const struct difference *d = &w->compare->difference;
    struct map_link *k = NULL;
    if (d->gaps.count == 0)
        return;
    term_tone(&w->term, &w->out, TONE_WARN, SPAN("not decidable"));
    buf_put_str(&w->out, " from this history:\n");
    while ((k = map_next(&d->gaps, k)) != NULL) {
        const struct difference_gap *gap =
            container_of(k, struct difference_gap, link);
        buf_put_str(&w->out, gap->is_attribute ? "  attribute " : "  ");
        term_put(&w->out, gap->what);
        buf_printf(
            &w->out, ": %llu question%s, %llu statement%s\n",
            (unsigned long long)gap->questions, term_plural(gap->questions),
            (unsigned long long)gap->statements, term_plural(gap->statements));
    }
}

static void put_head(struct work *w)
{
    const struct compare *c = w->compare;
    char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];
    time_text(c->first_ms, from);
    time_text(c->last_ms, to);
    buf_printf(&w->out,
               "history  %s to %s: %llu question%s, %llu statement%s, "
               "%llu read%s\n",
               from, to, (unsigned long long)c->difference.questions,
               term_plural(c->difference.questions),
               (unsigned long long)c->events, term_plural(c->events),
               (unsigned long long)c->reads, term_plural(c->reads));
    if (w->old == NULL)
        buf_put_str(&w->out, "old      what happened\n");
    else
        buf_printf(&w->out, "old      %s (%.16s)\n", w->old_file,
                   w->old->digest_hex);
    buf_printf(&w->out, "new      %s (%.16s)\n", w->now_file,
               w->now->digest_hex);
    if (c->skipped > 0)
        buf_printf(&w->out, "%llu entries could not be read\n",
                   (unsigned long long)c->skipped);
    if (c->difference.lost > 0)
        buf_printf(&w->out, "%llu differences found no room\n",
                   (unsigned long long)c->difference.lost);
}

static int put_text(struct work *w)
{
    const struct difference *d = &w->compare->difference;
    put_head(w);
    buf_put_u8(&w->out, '\n');
    if (w->compare->entries == 0) {
        buf_put_str(&w->out, "the history is empty\n");
        return 0;
    }
    if (w->row_count == 0) {
        term_tone(&w->term, &w->out, TONE_GOOD, SPAN("no difference"));
        buf_put_u8(&w->out, '\n');
    } else {
        TRY(put_rules(w));
        buf_put_u8(&w->out, '\n');
        TRY(put_agents(w));
    }
    buf_printf(&w->out,
               "\n%llu of %llu questions answered differently, %llu not "
               "decidable\n",
               (unsigned long long)d->changed, (unsigned long long)d->questions,
               (unsigned long long)d->undecided);
    put_gaps(w);
    return 0;
}

/* ---- for programs ---- */

static void json_rows(struct work *w, struct json_out *j)
{
    json_open_list(j, "differences");
    for (size_t i = 0; i < w->row_count; i++) {
        const struct difference_row *row = w->rows[i];
        json_open_map(j, NULL);
        json_str(j, "kind", row->is_question ? "question" : "effect");
        json_text(j, "agent", row->uri);
        json_text(j, "rule", row->rule);
        json_text(j, "what", row->words);
        if (!row->is_question)
            json_u64(j, "old", row->count[COURSE_OLD]);
        json_u64(j, "new", row->count[COURSE_NEW]);
        json_time(j, "first", row->first_ms);
        if (row->jti.n > 0)
            json_text(j, "jti", row->jti);
        json_close_map(j);
    }
    json_close_list(j);
}

static void json_gaps(const struct difference *d, struct json_out *j)
{
    struct map_link *k = NULL;
    json_open_list(j, "undecidable");
    while ((k = map_next(&d->gaps, k)) != NULL) {
        const struct difference_gap *gap =
            container_of(k, struct difference_gap, link);
        json_open_map(j, NULL);
        json_text(j, gap->is_attribute ? "attribute" : "why", gap->what);
        json_u64(j, "questions", gap->questions);
        json_u64(j, "statements", gap->statements);
        json_close_map(j);
    }
    json_close_list(j);
}

static void put_json(struct work *w)
{
    const struct compare *c = w->compare;
    struct json_out j;
    json_out_init(&j, &w->out);
    json_open_map(&j, NULL);
    json_bool(&j, "same", w->row_count == 0);
    json_str(&j, "old", w->old == NULL ? NULL : w->old->digest_hex);
    json_str(&j, "new", w->now->digest_hex);
    json_u64(&j, "entries", c->entries);
    json_u64(&j, "skipped", c->skipped);
    json_u64(&j, "statements", c->events);
    json_u64(&j, "reads", c->reads);
    json_u64(&j, "questions", c->difference.questions);
    json_u64(&j, "questions_changed", c->difference.changed);
    json_u64(&j, "questions_undecidable", c->difference.undecided);
    json_rows(w, &j);
    json_gaps(&c->difference, &j);
    json_close_map(&j);
    buf_put_u8(&w->out, '\n');
}

/* ---- the command ---- */

static int compare(struct work *w, struct fail *f)
{
    struct history_from from;
    TRY(history_args_resolve(&w->args, &w->arena.mem, &from, f));
    if (w->old_file != NULL)
        TRY(load(w, w->old_file, &w->old, f));
    TRY(load(w, w->now_file, &w->now, f));
    const struct compare_conf conf = {
        .old = w->old, .now = w->now, .log_only = w->args.log_only};
    TRY(compare_new(&conf, &w->compare, f));
    TRY(replay_all(w, &from, f));
    TRY(collect(w, f));
    if (w->json)
        put_json(w);
    else
        TRY(put_text(w));
    return buf_ok(&w->out) ? 0 : fail(f, RC_NO_MEMORY, "no memory for output");
}

static int run(struct work *w)
{
    struct fail f = {.rc = 0};
    arena_init(&w->arena, mem_system(), DIFF_MEMORY_MAX);
    buf_init(&w->out, mem_system(), DIFF_MEMORY_MAX);
    term_init(&w->term, STDOUT_FILENO);
    int rc = compare(w, &f);
    int code = w->row_count > 0 ? EXIT_NO : EXIT_YES;
    if (term_write(STDOUT_FILENO, buf_span(&w->out)) < 0)
        code = EXIT_ENVIRONMENT;
    if (rc == RC_INVALID)
        code = cli_usage("policy diff: %s", f.text);
    else if (rc < 0 && w->notes.error_count > 0)
        code = EXIT_FILE; /* the policy's errors are shown */
    else if (rc < 0)
        code = cli_fail(&f);
    compare_free(w->compare);
    buf_fini(&w->out);
    arena_fini(&w->arena);
    return code;
}

int cmd_policy_diff(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    const char *words[3] = {NULL};
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const struct cli_option options[] = {{"config", 'c', NULL, &w->args.config},
                                         {"data", 0, NULL, &w->args.data},
                                         {"log", 0, NULL, &w->args.log},
                                         {"history", 0, NULL, &w->args.file},
                                         {"since", 's', NULL, &w->args.since},
                                         {"json", 'j', &w->json, NULL},
                                         {NULL, 0, NULL, NULL}};
    int n = cli_parse(argc, argv, options, words, 3);
    int code = EXIT_USAGE;
    if (n == 2 || n == 3) {
        w->old_file = n == 3 ? words[1] : NULL;
        w->now_file = words[n - 1];
        code = run(w);
    } else if (n >= 0) {
        code = cli_usage("policy diff needs one or two policy files");
    }
    mem_release(mem_system(), w);
    return code;
}
