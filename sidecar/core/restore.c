// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/restore.h"

#include <string.h>

#include "sidecar/core/codec.h"
#include "sidecar/core/engine.h"
#include "sidecar/core/journal.h"

/* Starts that neither the backup nor the log tells of fit into this gap. */
#define BOOT_LEAP 1024

void restore_note(struct restore_seen *s, uint64_t row, uint64_t boot)
{
    if (row > s->row)
        s->row = row;
    if (boot > s->boot)
        s->boot = boot;
}

/* A member's name cannot stand in a string: its quotes would be escaped. */
static uint64_t member_u64(struct span line, struct span name)
{
    uint64_t value = 0;
    const unsigned char *at = memmem(line.p, line.n, name.p, name.n);
    if (at == NULL)
        return 0;
    size_t start = (size_t)(at - line.p) + name.n, end = start;
    while (end < line.n && line.p[end] >= '0' && line.p[end] <= '9')
        end++;
    return span_u64(span_sub(line, start, end), &value) ? value : 0;
}

void restore_note_line(struct restore_seen *s, uint64_t input, struct span line)
{
    restore_note(
        s, input,
        member_u64(line, SPAN(",\"epoch\":")) >> ENGINE_EPOCH_BOOT_SHIFT);
}

uint64_t restore_next_boot(const struct restore_seen *s)
{
    return s->boot + BOOT_LEAP + 1;
}

static void put_meta(struct buf *facts, struct span key, uint64_t value)
{
    unsigned char bytes[8];
    u64_bytes(value, bytes);
    journal_put_fact(facts, FACT_META, key, span_of(bytes, sizeof bytes));
}

void restore_put_facts(const struct restore_seen *s, int64_t wall_ms,
                       struct buf *facts)
{
    put_meta(facts, SPAN("boot"), restore_next_boot(s) - 1);
    put_meta(facts, SPAN("restored"), (uint64_t)wall_ms);
}
