// SPDX-License-Identifier: Apache-2.0
/*
 * Errors and warnings of a policy or configuration file, and how people see
 * them: the place, the line, a caret, advice.
 */
#include "policy/policy.h"

#include <stdarg.h>
#include <string.h>

#include "sidecar/base/buf.h"

#define LINE_WINDOW 100 /* characters of a source line that are shown */
#define LINE_LEAD 60    /* of them before the place */

void policy_note_add(struct policy_notes *notes, struct policy_place place,
                     bool warning, const char *advice, const char *fmt, ...)
{
    va_list ap;
    notes->error_count += !warning;
    notes->warning_count += warning;
    if (notes->count == POLICY_ERRORS_MAX)
        return;
    struct policy_note *n = &notes->at[notes->count++];
    n->line = place.line;
    n->column = place.column;
    n->width = place.width == 0 ? 1 : place.width;
    n->warning = warning;
    va_start(ap, fmt);
    (void)vsnprintf(n->text, sizeof n->text, fmt, ap);
    va_end(ap);
    (void)snprintf(n->advice, sizeof n->advice, "%s",
                   advice == NULL ? "" : advice);
}

static bool stands_before(const struct policy_note *a,
                          const struct policy_note *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void policy_notes_sort(struct policy_notes *notes)
{
    for (unsigned i = 1; i < notes->count; i++) {
        struct policy_note moved = notes->at[i];
        unsigned j = i;
        for (; j > 0 && stands_before(&moved, &notes->at[j - 1]); j--)
            notes->at[j] = notes->at[j - 1];
        notes->at[j] = moved;
    }
}

/* ---- printing ---- */

struct paint {
    const char *error, *warning, *bold, *caret, *off;
};

static const struct paint plain = {"", "", "", "", ""};
static const struct paint ansi = {"\033[1;31m", "\033[1;33m", "\033[1m",
                                  "\033[1;32m", "\033[0m"};

/* Line `number` (1-based) without its end. */
static struct span source_line(struct span source, uint32_t number)
{
    size_t start = 0;
    for (uint32_t i = 1; i < number && start < source.n; i++)
        start = span_find(source, '\n', start) + 1;
    if (start >= source.n)
        return span_of(source.p, 0);
    struct span line = span_sub(source, start, span_find(source, '\n', start));
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool starts_character(unsigned char c)
{
    return (c & 0xC0) != 0x80;
}

static size_t character_count(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += starts_character(s.p[i]);
    return n;
}

/* Byte offset of character `count`, or s.n. */
static size_t character_offset(struct span s, size_t count)
{
    size_t i = 0;
    for (; i < s.n; i++)
        if (starts_character(s.p[i]) && count-- == 0)
            break;
    return i;
}

static void print_visible(struct span s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++)
        buf_put_u8(out, s.p[i] < 0x20 || s.p[i] == 0x7F ? ' ' : s.p[i]);
}

static void print_run(unsigned char c, size_t n, struct buf *out)
{
    while (n-- > 0)
        buf_put_u8(out, c);
}

/* The part of the line around the place, and the caret under it. */
static void print_excerpt(const struct policy_note *n, struct span line,
                          const struct paint *c, struct buf *out)
{
    size_t total = character_count(line), at = n->column - 1;
    if (at > total)
        at = total;
    size_t first = at > LINE_LEAD && total > LINE_WINDOW ? at - LINE_LEAD : 0;
    size_t end = first + LINE_WINDOW < total ? first + LINE_WINDOW : total;
    size_t width = n->width < end - at ? n->width : end - at;
    const char *cut = first > 0 ? "..." : "";
    buf_printf(out, "%5u | %s", n->line, cut);
    print_visible(span_sub(line, character_offset(line, first),
                           character_offset(line, end)),
                  out);
    buf_printf(out, "%s\n      | ", end < total ? "..." : "");
    print_run(' ', strlen(cut) + at - first, out);
    buf_put_str(out, c->caret);
    print_run('^', width == 0 ? 1 : width, out);
    buf_printf(out, "%s\n", c->off);
}

static void print_note(const struct policy_note *n, const char *file,
                       struct span source, const struct paint *c,
                       struct buf *out)
{
    buf_printf(out, "%s%s:", c->bold, file);
    if (n->line > 0)
        buf_printf(out, "%u:%u:", n->line, n->column);
    buf_printf(out, "%s %s%s:%s ", c->off, n->warning ? c->warning : c->error,
               n->warning ? "warning" : "error", c->off);
    print_visible(span_str(n->text), out);
    buf_put_u8(out, '\n');
    if (n->line > 0 && n->column > 0)
        print_excerpt(n, source_line(source, n->line), c, out);
    if (n->advice[0] == 0)
        return;
    buf_put_str(out, "      help: ");
    print_visible(span_str(n->advice), out);
    buf_put_u8(out, '\n');
}

void policy_notes_print(const struct policy_notes *notes, const char *file,
                        struct span source, bool colour, struct buf *out)
{
    unsigned errors = 0, warnings = 0;
    for (unsigned i = 0; i < notes->count; i++) {
        print_note(&notes->at[i], file, source, colour ? &ansi : &plain, out);
        errors += !notes->at[i].warning;
        warnings += notes->at[i].warning;
    }
    if (notes->warning_count > warnings)
        buf_printf(out, "%s: and %u more warnings\n", file,
                   notes->warning_count - warnings);
    if (notes->error_count > errors)
        buf_printf(out, "%s: and %u more errors\n", file,
                   notes->error_count - errors);
}
