// SPDX-License-Identifier: Apache-2.0
/*
 * Values of facts as bytes: big-endian integers and length-prefixed strings.
 * Every value starts with a version byte. Readers latch the first surprise, so
 * a decoder is a straight column of takes with one check at the end.
 */
#ifndef SIDECAR_CORE_CODEC_H
#define SIDECAR_CORE_CODEC_H

#include "sidecar/base/buf.h"

void put_u8(struct buf *b, unsigned v);
void put_u32(struct buf *b, uint32_t v);
void put_u64(struct buf *b, uint64_t v);
/* Big-endian, as put_u64 writes it. */
void u64_bytes(uint64_t v, unsigned char ret[8]);
void put_i64(struct buf *b, int64_t v);
/* At most UINT16_MAX bytes; longer strings latch b->failed. */
void put_text(struct buf *b, struct span s);

/* The year 9999: sums and differences of a few such times cannot overflow. */
#define CODEC_MS_MAX INT64_C(253402300799999)

struct reader {
    struct span rest;
    bool bad;
};

unsigned take_u8(struct reader *r);
uint32_t take_u32(struct reader *r);
uint64_t take_u64(struct reader *r);
int64_t take_i64(struct reader *r);
/* A wall time or a stretch of time; beyond CODEC_MS_MAX either way is bad. */
int64_t take_ms(struct reader *r);
/* Borrows from the bytes being read. */
struct span take_text(struct reader *r);
/* All bytes used and nothing bad. */
bool reader_done(const struct reader *r);

#endif
