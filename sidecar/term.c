// SPDX-License-Identifier: Apache-2.0
#include "sidecar/term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define GAP 2               /* between columns */
#define INDENT 4            /* of what goes on below */
#define LAST_COLUMNS_MIN 24 /* it is wrapped, but not into a thread */

static unsigned width_of(int fd)
{
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        return w.ws_col;
    uint64_t columns;
    if (span_u64(span_str(getenv("COLUMNS")), &columns) && columns < 10000)
        return (unsigned)columns;
    return 80;
}

void term_init(struct term *t, int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    const bool tty = isatty(fd) == 1;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct term){
        .colour = tty && (no_color == NULL || *no_color == '\0') &&
                  (kind == NULL || strcmp(kind, "dumb") != 0),
        .width = tty ? width_of(fd) : 0,
        .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
    };
}

int term_write(int fd, struct span s)
{
    while (s.n > 0) {
        ssize_t done = write(fd, s.p, s.n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return RC_IO;
        s = span_sub(s, (size_t)done, s.n);
    }
    return RC_OK;
}

/* Bytes of the code point at the start of `s`; 0 when it must not reach a
 * terminal: control bytes (also C1, which terminals obey) and malformed
 * UTF-8. */
static size_t printable(struct span s)
{
    if (s.p[0] < 0x80)
        return s.p[0] >= 0x20 && s.p[0] != 0x7f;
    for (size_t n = 2; n <= 4 && n <= s.n; n++)
        if (span_is_text(span_sub(s, 0, n)))
            return s.p[0] == 0xc2 && s.p[1] < 0xa0 ? 0 : n;
    return 0;
}

void term_put(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.n;) {
        const size_t n = printable(span_sub(s, i, s.n));
        if (n == 0)
            buf_put(b, SPAN("\xef\xbf\xbd"));
        else
            buf_put(b, span_of(s.p + i, n));
        i += n == 0 ? 1 : n;
    }
}

size_t term_columns(struct span s)
{
    size_t columns = 0;
    for (size_t i = 0; i < s.n; columns++) {
        const size_t n = printable(span_sub(s, i, s.n));
        i += n == 0 ? 1 : n;
    }
    return columns;
}

void term_tone(const struct term *t, struct buf *b, enum tone tone,
               struct span s)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m",
                                        "\033[32m", "\033[33m", "\033[31m"};
    const bool paint = t->colour && tone != TONE_PLAIN;
    if (paint)
        buf_put_str(b, codes[tone]);
    term_put(b, s);
    if (paint)
        buf_put_str(b, "\033[0m");
}

void term_ago(int64_t now_ms, int64_t wall_ms, char ret[16])
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};
    const bool future = wall_ms > now_ms;
    int64_t gap;
    if (__builtin_sub_overflow(future ? wall_ms : now_ms,
                               future ? now_ms : wall_ms, &gap))
        gap = INT64_MAX;
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
        if (gap < units[i].ms)
            continue;
        const long long n =
            gap / units[i].ms > 9999999 ? 9999999 : gap / units[i].ms;
        (void)snprintf(ret, 16, future ? "in %lld%c" : "%lld%c ago", n,
                       units[i].unit);
        return;
    }
    (void)snprintf(ret, 16, "now");
}

void table_init(struct table *t, struct mem *mem, const char *const *heads,
                unsigned columns)
{
    must(columns > 0 && columns <= TERM_COLUMNS_MAX);
    *t = (struct table){.mem = mem, .heads = heads, .columns = columns};
}

int table_cell(struct table *t, struct span text, enum tone tone)
{
    if (t->cell_count == t->cell_cap) {
        const size_t cap = t->cell_cap == 0 ? 64 : t->cell_cap * 2;
        struct term_cell *cells = mem_resize(
            t->mem, t->cells, t->cell_cap * sizeof *cells, cap * sizeof *cells);
        if (cells == NULL)
            return RC_NO_MEMORY;
        t->cells = cells;
        t->cell_cap = cap;
    }
    t->cells[t->cell_count++] = (struct term_cell){text, tone};
    return RC_OK;
}

/* Where each column begins, and whether a line does: columns that the terminal
 * has no room for go on below, indented. */
struct layout {
    size_t widths[TERM_COLUMNS_MAX], at[TERM_COLUMNS_MAX];
    bool breaks[TERM_COLUMNS_MAX];
};

static void measure(const struct table *t, size_t *widths)
{
    must(t->columns > 0);
    for (unsigned c = 0; c < t->columns; c++)
        widths[c] = strlen(t->heads[c]);
    for (size_t i = 0; i < t->cell_count; i++) {
        const size_t n = term_columns(t->cells[i].text);
        if (n > widths[i % t->columns])
            widths[i % t->columns] = n;
    }
}

static void lay_out(const struct table *t, const struct term *term,
                    struct layout *l)
{
    size_t used = 0;
    measure(t, l->widths);
    for (unsigned c = 0; c < t->columns; c++) {
        const bool last = c + 1 == t->columns;
        const size_t needed = last && l->widths[c] > LAST_COLUMNS_MIN
                                  ? LAST_COLUMNS_MIN
                                  : l->widths[c];
        l->breaks[c] = c > 0 && term->width > 0 && used + needed > term->width;
        if (l->breaks[c])
            used = INDENT;
        l->at[c] = used;
        used += l->widths[c] + GAP;
    }
}

static void put_blanks(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_put_str(out, " ");
}

/* How much of `s` goes into one line of `room` columns: up to a blank, if there
 * is one. */
static struct span first_line(struct span s, size_t room)
{
    size_t i = 0, blank = 0;
    for (size_t columns = 0; i < s.n && columns < room; columns++) {
        const size_t n = printable(span_sub(s, i, s.n));
        i += n == 0 ? 1 : n;
        if (i < s.n && s.p[i] == ' ')
            blank = i;
    }
    return span_sub(s, 0, i == s.n || blank == 0 ? i : blank);
}

/* The last column is wrapped below itself. */
static void put_last(const struct term *term, struct buf *out,
                     struct term_cell cell, size_t at)
{
    const size_t room =
        term->width >= at + LAST_COLUMNS_MIN ? term->width - at : SIZE_MAX;
    struct span rest = cell.text;
    for (;;) {
        const struct span line =
            term->width == 0 ? rest : first_line(rest, room);
        term_tone(term, out, cell.tone, line);
        buf_put_str(out, "\n");
        rest = span_sub(rest, line.n, rest.n);
        if (rest.n > 0 && *rest.p == ' ')
            rest = span_sub(rest, 1, rest.n);
        if (rest.n == 0)
            return;
        put_blanks(out, at);
    }
}

static void put_row(const struct table *t, const struct term *term,
                    struct buf *out, const struct term_cell *row,
                    const struct layout *l)
{
    const unsigned last = t->columns - 1;
    for (unsigned c = 0; c < last; c++) {
        term_tone(term, out, row[c].tone, row[c].text);
        if (!l->breaks[c + 1]) {
            put_blanks(out, l->widths[c] + GAP - term_columns(row[c].text));
            continue;
        }
        buf_put_str(out, "\n");
        if (c + 1 == last && row[last].text.n == 0)
            return; /* no line for nothing */
        put_blanks(out, INDENT);
    }
    put_last(term, out, row[last], l->at[last]);
}

void table_print(const struct table *t, const struct term *term,
                 struct buf *out)
{
    struct layout l;
    struct term_cell head[TERM_COLUMNS_MAX];
    must(t->columns > 0);
    lay_out(t, term, &l);
    for (unsigned c = 0; c < t->columns; c++)
        head[c] = (struct term_cell){span_str(t->heads[c]), TONE_BOLD};
    put_row(t, term, out, head, &l);
    for (size_t i = 0; i + t->columns <= t->cell_count; i += t->columns)
        put_row(t, term, out, t->cells + i, &l);
}

const char *term_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}
