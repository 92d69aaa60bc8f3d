// SPDX-License-Identifier: Apache-2.0
#include "sidecar/term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

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

/* The first `columns` code points of s. */
static struct span cut(struct span s, size_t columns)
{
    size_t i = 0;
    while (i < s.n && columns-- > 0) {
        const size_t n = printable(span_sub(s, i, s.n));
        i += n == 0 ? 1 : n;
    }
    return span_sub(s, 0, i);
}

static void put_last(const struct term *term, struct buf *out,
                     struct term_cell cell, size_t used)
{
    const size_t room = term->width > used + 8 ? term->width - used : SIZE_MAX;
    const bool whole = term->width == 0 || term_columns(cell.text) <= room;
    term_tone(term, out, cell.tone,
              whole ? cell.text : cut(cell.text, room - 1));
    if (!whole)
        buf_put_str(out, "\xe2\x80\xa6");
    buf_put_str(out, "\n");
}

static void put_row(const struct table *t, const struct term *term,
                    struct buf *out, const struct term_cell *row,
                    const size_t *widths)
{
    size_t used = 0;
    for (unsigned c = 0; c + 1 < t->columns; c++) {
        term_tone(term, out, row[c].tone, row[c].text);
        for (size_t n = term_columns(row[c].text); n < widths[c] + 2; n++)
            buf_put_str(out, " ");
        used += widths[c] + 2;
    }
    put_last(term, out, row[t->columns - 1], used);
}

void table_print(const struct table *t, const struct term *term,
                 struct buf *out)
{
    size_t widths[TERM_COLUMNS_MAX];
    struct term_cell head[TERM_COLUMNS_MAX];
    measure(t, widths);
    for (unsigned c = 0; c < t->columns; c++)
        head[c] = (struct term_cell){span_str(t->heads[c]), TONE_BOLD};
    put_row(t, term, out, head, widths);
    for (size_t i = 0; i + t->columns <= t->cell_count; i += t->columns)
        put_row(t, term, out, t->cells + i, widths);
}

const char *term_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}
