// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers as text: in the one syntax of JSON (RFC 8259 section 6), and bytes as
 * hex digits. The program never calls setlocale, so the C library's conversion
 * is the plain one.
 */
#ifndef SIDECAR_BASE_NUMBER_TEXT_H
#define SIDECAR_BASE_NUMBER_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include "sidecar/base/span.h"

#define NUMBER_TEXT_MAX 64

/* Two lower-case digits for each byte, and a NUL: `ret` holds 2 n + 1. */
void hex_text(struct span bytes, char *ret);
/* Is `hex` these bytes, in lower-case digits? Not for secrets. */
bool hex_is(struct span hex, struct span bytes);

struct number {
    bool is_whole;   /* written without fraction and exponent */
    bool is_int;     /* whole and fits `integer` */
    int64_t integer; /* when is_int */
    double real;     /* always; nearest to what is written */
};

/* False when the text is no JSON number, has more than NUMBER_TEXT_MAX bytes
 * or is beyond the range of a double. */
bool number_parse(struct span s, struct number *ret);

/* Is it a JSON number, whatever its size? */
bool number_is_json(struct span s, bool *ret_is_whole);

/* The shortest text that number_parse reads back as the same value; NUL
 * ended. `v` is finite. */
void number_text(double v, char ret[NUMBER_TEXT_MAX]);

#endif
