// SPDX-License-Identifier: Apache-2.0
/*
 * Start reading at policy_fmt: find the comments, write the tree as lines, put
 * the comments to their lines. Every node leaves a mark that says which line
 * it went to; a comment belongs to the line of the node after it, or, behind
 * something, to the line of the node before it.
 */
#include "sidecar/policy_fmt.h"

#include <stdlib.h>
#include <string.h>

#include "policy/schema_table.h"
#include "sidecar/base/json_out.h"

#define WIDTH_MAX 120       /* a list or map that was on one line stays there */
#define WIDTH_JOIN 80       /* one that was not comes there when it is short */
#define GAP_MAX 30          /* between a line and the comment behind it */
#define TEXT_MAX (4u << 20) /* of the whole outcome */

struct comment {
    uint32_t line, column;
    struct span text;
    bool own_line, blank_before, done;
    size_t home; /* line of the outcome */
    bool after;  /* in a line of its own behind it */
};

struct mark {
    uint32_t line, column;
    size_t out;
};

struct out_line {
    size_t start, end;
    uint32_t indent, source_line, source_column;
    bool tall; /* has a block of text below it */
};

struct fmt {
    struct mem *m;
    struct span source;
    struct span *lines; /* of the source, without line ends */
    uint32_t line_count;
    struct comment *comments;
    size_t comment_count;
    struct mark *marks;
    size_t mark_count;
    struct out_line *out;
    size_t out_count;
    struct buf text;
};

/* ---- the source ---- */

static int split_lines(struct fmt *w)
{
    size_t count = 1;
    for (size_t i = 0; i < w->source.n; i++)
        count += w->source.p[i] == '\n';
    w->lines = mem_array(w->m, count, sizeof *w->lines);
    for (size_t i = 0; w->lines != NULL && i <= w->source.n;) {
        size_t end = span_find(w->source, '\n', i);
        struct span line = span_sub(w->source, i, end);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        w->lines[w->line_count++] = line;
        i = end + 1;
    }
    return w->lines == NULL ? RC_NO_MEMORY : RC_OK;
}

static size_t width_of(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xC0) != 0x80;
    return n;
}

/* What stands at a place of the source to the end of its line. */
static struct span source_at(const struct fmt *w, uint32_t line,
                             uint32_t column)
{
    if (line == 0 || line > w->line_count)
        return SPAN("");
    struct span s = w->lines[line - 1];
    size_t i = 0;
    for (uint32_t at = 0; i < s.n; i++)
        if ((s.p[i] & 0xC0) != 0x80 && ++at == column)
            break;
    return span_sub(s, i, s.n);
}

static unsigned char char_at(const struct fmt *w, uint32_t line,
                             uint32_t column)
{
    struct span s = source_at(w, line, column);
    return s.n == 0 ? 0 : s.p[0];
}

static bool is_blank(const struct fmt *w, uint32_t line)
{
    struct span s =
        line == 0 || line > w->line_count ? SPAN("x") : w->lines[line - 1];
    return span_trim(s).n == 0;
}

static bool is_container(const struct doc *d)
{
    return d->kind == DOC_LIST || d->kind == DOC_MAP;
}

static bool is_block_text(const struct fmt *w, const struct doc *d)
{
    unsigned char c = char_at(w, d->line, d->column);
    return !is_container(d) && d->quoted && (c == '|' || c == '>');
}

/* Length of the quoted text that starts here, or 0 when it goes on in the next
 * line. */
static size_t quoted_bytes(struct span s)
{
    for (size_t i = 1; i < s.n; i++) {
        bool escape = s.p[0] == '"' && s.p[i] == '\\';
        bool twice = s.p[0] == '\'' && s.p[i] == '\'' && i + 1 < s.n &&
                     s.p[i + 1] == '\'';
        if (escape || twice)
            i++;
        else if (s.p[i] == s.p[0])
            return i + 1;
    }
    return 0;
}

/* ---- comments ---- */

/* Where quoted and block texts are: there '#' starts no comment. One bit per
 * byte of the source would do; a byte is simpler. */
static void hide(const struct fmt *w, unsigned char *hidden, struct span s)
{
    memset(hidden + (s.p - w->source.p), 1, s.n);
}

static void hide_quoted(const struct fmt *w, unsigned char *hidden,
                        struct span start)
{
    size_t at = (size_t)(start.p - w->source.p);
    struct span rest = span_sub(w->source, at, w->source.n);
    size_t n = quoted_bytes(rest);
    hide(w, hidden, span_sub(rest, 0, n == 0 ? rest.n : n));
}

static size_t indent_of(struct span line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] == ' ')
        n++;
    return n;
}

/* All lines that are indented like the first line of the text. */
static void hide_block(const struct fmt *w, unsigned char *hidden,
                       const struct doc *d)
{
    uint32_t first = d->line;
    while (first < w->line_count && span_trim(w->lines[first]).n == 0)
        first++;
    size_t indent = first < w->line_count ? indent_of(w->lines[first]) : 0;
    if (d->text.n == 0)
        return;
    for (uint32_t i = first; i < w->line_count; i++) {
        if (indent_of(w->lines[i]) < indent && span_trim(w->lines[i]).n > 0)
            break;
        hide(w, hidden, w->lines[i]);
    }
}

/* Bounded by DOC_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void hide_texts(const struct fmt *w, unsigned char *hidden,
                       const struct doc *d)
{
    struct span key = source_at(w, d->key_line, d->key_column);
    struct span value = source_at(w, d->line, d->column);
    if (d->key_line > 0 && key.n > 0 && (key.p[0] == '"' || key.p[0] == '\''))
        hide_quoted(w, hidden, key);
    if (is_block_text(w, d))
        hide_block(w, hidden, d);
    else if (!is_container(d) && d->quoted && value.n > 0)
        hide_quoted(w, hidden, value);
    DOC_EACH (it, d)
        hide_texts(w, hidden, it);
}

static int add_comment(struct fmt *w, uint32_t line, size_t at)
{
    struct span s = w->lines[line];
    if (w->comment_count == POLICY_FMT_COMMENTS_MAX)
        return RC_LIMIT;
    struct span text = span_trim(span_sub(s, at, s.n));
    w->comments[w->comment_count++] =
        (struct comment){.line = line + 1,
                         .column = (uint32_t)width_of(span_sub(s, 0, at)) + 1,
                         .text = text,
                         .own_line = span_trim(span_sub(s, 0, at)).n == 0,
                         .blank_before = line > 0 && is_blank(w, line)};
    return RC_OK;
}

static int find_comments(struct fmt *w, const struct doc *root)
{
    unsigned char *hidden = mem_alloc(w->m, w->source.n + 1);
    w->comments = mem_array(w->m, POLICY_FMT_COMMENTS_MAX, sizeof *w->comments);
    if (hidden == NULL || w->comments == NULL)
        return RC_NO_MEMORY;
    hide_texts(w, hidden, root);
    for (uint32_t i = 0; i < w->line_count; i++) {
        struct span s = w->lines[i];
        size_t base = (size_t)(s.p - w->source.p), at = 0;
        while (at < s.n && (s.p[at] != '#' || hidden[base + at] ||
                            (at > 0 && s.p[at - 1] != ' ')))
            at++;
        if (at < s.n)
            TRY(add_comment(w, i, at));
    }
    return RC_OK;
}

static bool is_before(uint32_t line, uint32_t column, uint32_t other_line,
                      uint32_t other_column)
{
    return line != other_line ? line < other_line : column < other_column;
}

/* The last node inside, in the order of the source. */
static const struct doc *last_of(const struct doc *d)
{
    while (is_container(d) && d->last != NULL)
        d = d->last;
    return d;
}

static bool has_comment_inside(const struct fmt *w, const struct doc *d)
{
    const struct doc *last = last_of(d);
    for (size_t i = 0; i < w->comment_count; i++) {
        const struct comment *c = &w->comments[i];
        if (is_before(d->line, d->column, c->line, c->column) &&
            is_before(c->line, c->column, last->line, last->column))
            return true;
    }
    return false;
}

/* ---- lines of the outcome ---- */

static void mark(struct fmt *w, uint32_t line, uint32_t column)
{
    struct out_line *o = &w->out[w->out_count - 1];
    if (o->source_line == 0 ||
        is_before(line, column, o->source_line, o->source_column)) {
        o->source_line = line;
        o->source_column = column;
    }
    w->marks[w->mark_count++] = (struct mark){line, column, w->out_count - 1};
}

// NOLINTNEXTLINE(misc-no-recursion)
static void mark_all(struct fmt *w, const struct doc *d)
{
    if (d->key_line > 0)
        mark(w, d->key_line, d->key_column);
    mark(w, d->line, d->column);
    DOC_EACH (it, d)
        mark_all(w, it);
}

static void end_line(struct fmt *w)
{
    if (w->out_count > 0)
        w->out[w->out_count - 1].end = w->text.n;
}

static void new_line(struct fmt *w, uint32_t indent)
{
    end_line(w);
    w->out[w->out_count++] =
        (struct out_line){.start = w->text.n, .indent = indent};
    buf_printf(&w->text, "%*s", (int)indent, "");
}

static size_t column_now(const struct fmt *w)
{
    size_t start = w->out[w->out_count - 1].start;
    return width_of(span_sub(buf_span(&w->text), start, w->text.n));
}

/* ---- values ---- */

static void put_json_text(struct buf *b, struct span text)
{
    struct json_out j;
    json_out_init(&j, b);
    json_text(&j, NULL, text);
}

/* As it stands in the source, where it stands in one line. */
static void put_scalar(const struct fmt *w, struct buf *b, const struct doc *d,
                       bool flow)
{
    struct span raw = source_at(w, d->line, d->column);
    size_t n = d->quoted && raw.n > 0 ? quoted_bytes(raw) : 0;
    bool needs_quotes = false;
    for (size_t i = 0; flow && !d->quoted && i < d->text.n; i++)
        needs_quotes = needs_quotes || strchr(",[]{}", d->text.p[i]) != NULL;
    if (d->kind == DOC_NULL)
        buf_put_str(b, d->text.n > 0 || flow ? "null" : "");
    else if (d->quoted && !is_block_text(w, d) && n > 0)
        buf_put(b, span_sub(raw, 0, n));
    else if (d->quoted || d->rewritten || needs_quotes)
        put_json_text(b, d->text);
    else
        buf_put(b, d->text);
}

static void put_key(const struct fmt *w, struct buf *b, const struct doc *d)
{
    struct span raw = source_at(w, d->key_line, d->key_column);
    size_t n = raw.n > 0 && (raw.p[0] == '"' || raw.p[0] == '\'')
                   ? quoted_bytes(raw)
                   : 0;
    if (n > 0)
        buf_put(b, span_sub(raw, 0, n));
    else if (raw.n > 0 && (raw.p[0] == '"' || raw.p[0] == '\''))
        put_json_text(b, d->key);
    else
        buf_put(b, d->key);
    buf_put_str(b, ":");
}

/* Bounded by DOC_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void put_flow(const struct fmt *w, struct buf *b, const struct doc *d)
{
    bool map = d->kind == DOC_MAP;
    if (!is_container(d)) {
        put_scalar(w, b, d, true);
        return;
    }
    buf_put_str(b, map ? "{" : "[");
    DOC_EACH (it, d) {
        buf_put_str(b, it == d->first ? "" : ", ");
        if (map) {
            put_key(w, b, it);
            buf_put_str(b, " ");
        }
        put_flow(w, b, it);
    }
    buf_put_str(b, map ? "}" : "]");
}

static bool has_only_scalars(const struct fmt *w, const struct doc *d)
{
    DOC_EACH (it, d)
        if (is_container(it) || is_block_text(w, it))
            return false;
    return true;
}

/* On one line? `depth` 1 is a section of the file. */
static bool is_short(struct fmt *w, const struct doc *d, unsigned depth,
                     bool item)
{
    unsigned char c = char_at(w, d->line, d->column);
    bool was = c == '{' || c == '[';
    struct buf b;
    if (d->count == 0)
        return true;
    if (has_comment_inside(w, d) ||
        (!was && (depth < 2 || (item && d->kind == DOC_MAP) ||
                  !has_only_scalars(w, d))))
        return false;
    buf_init(&b, w->m, TEXT_MAX);
    put_flow(w, &b, d);
    size_t width = column_now(w) + 1 + width_of(buf_span(&b));
    buf_fini(&b);
    return width <= (was ? WIDTH_MAX : WIDTH_JOIN);
}

/* A text of lines that a literal block can hold as it is. */
static bool is_plain_block(struct span s)
{
    if (s.n < 2 || s.p[0] == ' ' || s.p[0] == '\n' ||
        (s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\n'))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] >= 0x7F)
            return false;
    return true;
}

static void put_block_text(struct fmt *w, const struct doc *d, uint32_t indent)
{
    struct span s = d->text;
    bool ends = s.n > 0 && s.p[s.n - 1] == '\n';
    if (!is_plain_block(s)) {
        put_json_text(&w->text, s);
        return;
    }
    buf_put_str(&w->text, ends ? "|" : "|-");
    for (size_t i = 0; i < s.n;) {
        size_t end = span_find(s, '\n', i);
        struct span line = span_sub(s, i, end);
        buf_put_str(&w->text, "\n");
        if (line.n > 0)
            buf_printf(&w->text, "%*s", (int)indent, "");
        buf_put(&w->text, line);
        i = end + 1;
    }
    w->out[w->out_count - 1].tall = true;
}

/* ---- the order of keys ---- */

static const struct schema_key *shape_keys(const char *name)
{
    for (const struct schema_shape *s = schema_shapes; s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return s->keys;
    return NULL;
}

/* What the map at this depth is; `section` is the key of the file it is in. */
static const struct schema_key *order_of(const struct doc *d, unsigned depth,
                                         struct span section)
{
    static const struct {
        const char *section, *shape;
        unsigned depth;
    } known[] = {{"defaults", "defaults", 1}, {"rules", "rule", 2},
                 {"gate", "gate_rule", 2},    {"limits", "limits", 1},
                 {"limits", "limit", 2},      {"feeds", "feed", 2},
                 {"actions", "http", 3},      {"tests", "test", 2}};
    bool tests = span_eq(doc_text(d, SPAN("kind")), SPAN("PolicyTest"));
    if (depth == 0)
        return shape_keys(tests ? "test_file" : "policy");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (depth == known[i].depth &&
            span_eq(section, span_str(known[i].section)))
            return shape_keys(known[i].shape);
    return NULL;
}

static size_t rank_of(const struct schema_key *order, struct span key)
{
    size_t i = 0;
    for (; order[i].key != NULL; i++)
        if (span_eq(span_str(order[i].key), key))
            break;
    return i;
}

/* The member after `last` in the order; NULL at the end. Stable. */
static const struct doc *next_member(const struct doc *d,
                                     const struct schema_key *order,
                                     const struct doc *last)
{
    const struct doc *best = NULL;
    bool passed = last == NULL;
    if (order == NULL)
        return last == NULL ? d->first : last->next;
    size_t from = last == NULL ? 0 : rank_of(order, last->key);
    DOC_EACH (it, d) {
        size_t rank = rank_of(order, it->key);
        if ((rank > from || (rank == from && passed)) &&
            (best == NULL || rank < rank_of(order, best->key)))
            best = it;
        passed = passed || it == last;
    }
    return best;
}

/* ---- the tree ---- */

struct place {
    uint32_t indent;
    unsigned depth;
    struct span section;
};

static void put_block(struct fmt *w, const struct doc *d, struct place at,
                      bool here);

/* A value behind "key:" or "-". */
// NOLINTNEXTLINE(misc-no-recursion)
static void put_value(struct fmt *w, const struct doc *d, struct place at,
                      bool item)
{
    if (is_container(d) && !is_short(w, d, at.depth, item)) {
        buf_put_str(&w->text, item ? " " : "");
        put_block(w, d, at, item);
        return;
    }
    mark_all(w, d);
    size_t before = w->text.n;
    buf_put_str(&w->text, " ");
    if (is_container(d))
        put_flow(w, &w->text, d);
    else if (is_block_text(w, d))
        put_block_text(w, d, at.indent);
    else
        put_scalar(w, &w->text, d, false);
    if (w->text.n == before + 1)
        w->text.n = before; /* a key alone */
}

/* `here`: the first entry goes on in the line that was begun. */
// NOLINTNEXTLINE(misc-no-recursion)
static void put_block(struct fmt *w, const struct doc *d, struct place at,
                      bool here)
{
    const bool map = d->kind == DOC_MAP;
    const struct schema_key *order =
        map ? order_of(d, at.depth, at.section) : NULL;
    const struct place inner = {at.indent + 2, at.depth + 1, at.section};
    const struct doc *it = map ? next_member(d, order, NULL) : d->first;
    for (; it != NULL; it = map ? next_member(d, order, it) : it->next) {
        struct place below = inner;
        if (!here)
            new_line(w, at.indent);
        here = false;
        if (map) {
            mark(w, it->key_line, it->key_column);
            put_key(w, &w->text, it);
        } else {
            mark(w, it->line, it->column);
            buf_put_str(&w->text, "-");
        }
        if (at.depth == 0)
            below.section = it->key;
        put_value(w, it, below, !map);
    }
}

/* ---- comments to lines ---- */

static int by_place(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;
    if (is_before(x->line, x->column, y->line, y->column))
        return -1;
    return is_before(y->line, y->column, x->line, x->column);
}

/* Index of the first mark behind the comment. */
static size_t mark_after(const struct fmt *w, const struct comment *c)
{
    size_t low = 0, high = w->mark_count;
    while (low < high) {
        size_t i = low + (high - low) / 2;
        if (is_before(w->marks[i].line, w->marks[i].column, c->line, c->column))
            low = i + 1;
        else
            high = i;
    }
    return low;
}

/* A comment deeper than what follows ends what stands before it. */
static bool is_after(const struct fmt *w, const struct comment *c)
{
    size_t i = mark_after(w, c);
    if (!c->own_line || i == 0)
        return false;
    uint32_t before = w->out[w->marks[i - 1].out].indent;
    if (i == w->mark_count)
        return c->column > 1;
    return c->column > w->marks[i].column &&
           before > w->out[w->marks[i].out].indent;
}

/* `home` out_count is the end of the file. Comments at the top of the file stay
 * there. */
static void find_home(const struct fmt *w, struct comment *c)
{
    size_t i = mark_after(w, c);
    c->after = is_after(w, c);
    if (i == 0)
        c->home = 0;
    else if (!c->own_line || c->after)
        c->home = w->marks[i - 1].out;
    else
        c->home = i < w->mark_count ? w->marks[i].out : w->out_count;
}

static void put_blank(const struct buf *out, bool wanted, struct buf *to)
{
    if (wanted && out->n > 1 && out->p[out->n - 2] != '\n')
        buf_put_str(to, "\n");
}

static void put_comment(struct fmt *w, struct comment *c, size_t home,
                        struct buf *out)
{
    uint32_t indent = home < w->out_count ? w->out[home].indent : 0;
    put_blank(out, c->own_line && c->blank_before, out);
    buf_printf(out, "%*s", (int)indent, "");
    buf_put(out, c->text);
    buf_put_str(out, "\n");
    c->done = true;
}

static void put_comments(struct fmt *w, size_t home, bool after,
                         struct buf *out)
{
    for (size_t i = 0; i < w->comment_count; i++) {
        struct comment *c = &w->comments[i];
        if (!c->done && c->home == home && c->after == after)
            put_comment(w, c, home, out);
    }
}

/* The last trailing comment of the line, which can stay behind it. */
static struct comment *trailing_of(struct fmt *w, size_t home)
{
    struct comment *last = NULL;
    for (size_t i = 0; i < w->comment_count && !w->out[home].tall; i++)
        if (!w->comments[i].own_line && !w->comments[i].done &&
            w->comments[i].home == home)
            last = &w->comments[i];
    return last;
}

/* Comments that were aligned stay so, unless the line is another one now. */
static size_t gap_before(const struct fmt *w, const struct out_line *o,
                         const struct comment *c)
{
    size_t width = width_of(span_sub(buf_span(&w->text), o->start, o->end));
    bool near = c->column > width + 2 && c->column - width <= GAP_MAX;
    return near ? c->column - width - 1 : 2;
}

static void assemble(struct fmt *w, struct buf *out)
{
    for (size_t i = 0; i < w->out_count; i++) {
        const struct out_line *o = &w->out[i];
        struct comment *behind = trailing_of(w, i);
        if (behind != NULL)
            behind->done = true;
        put_comments(w, i, false, out);
        put_blank(out, o->source_line > 1 && is_blank(w, o->source_line - 1),
                  out);
        buf_put(out, span_sub(buf_span(&w->text), o->start, o->end));
        if (behind != NULL) {
            buf_printf(out, "%*s", (int)gap_before(w, o, behind), "");
            buf_put(out, behind->text);
        }
        buf_put_str(out, "\n");
        put_comments(w, i, true, out);
    }
    put_comments(w, w->out_count, false, out);
}

/* ---- the whole ---- */

// NOLINTNEXTLINE(misc-no-recursion)
static size_t node_count(const struct doc *d)
{
    size_t n = 1;
    DOC_EACH (it, d)
        n += node_count(it);
    return n;
}

int policy_fmt(struct mem *m, struct span source, const struct doc *root,
               struct buf *out, struct fail *f)
{
    struct fmt w = {.m = m, .source = source};
    size_t nodes = node_count(root);
    if (root->kind != DOC_MAP)
        return fail(f, RC_INVALID, "the file is no map");
    w.marks = mem_array(m, 4 * nodes, sizeof *w.marks);
    w.out = mem_array(m, nodes + 1, sizeof *w.out);
    buf_init(&w.text, m, TEXT_MAX);
    if (w.marks == NULL || w.out == NULL || split_lines(&w) < 0)
        return fail(f, RC_NO_MEMORY, "no memory for formatting");
    int rc = find_comments(&w, root);
    if (rc < 0)
        return fail(f, rc, "more than %d comments", POLICY_FMT_COMMENTS_MAX);
    put_block(&w, root, (struct place){0, 0, SPAN("")}, false);
    end_line(&w);
    qsort(w.marks, w.mark_count, sizeof *w.marks, by_place);
    for (size_t i = 0; i < w.comment_count; i++)
        find_home(&w, &w.comments[i]);
    assemble(&w, out);
    if (!buf_ok(&w.text) || !buf_ok(out))
        return fail(f, RC_NO_MEMORY, "no memory for formatting");
    for (size_t i = 0; i < w.comment_count; i++)
        if (!w.comments[i].done)
            return fail(f, RC_INVALID, "the comment in line %u has no place",
                        w.comments[i].line);
    return RC_OK;
}
