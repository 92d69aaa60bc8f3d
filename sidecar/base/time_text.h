// SPDX-License-Identifier: Apache-2.0
/*
 * Times and durations as text, without the C library's locale and time zone
 * state. Wall times are milliseconds since 1970-01-01 UTC.
 */
#ifndef SIDECAR_BASE_TIME_TEXT_H
#define SIDECAR_BASE_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include "sidecar/base/span.h"

#define TIME_TEXT_BYTES 32

/* "2026-09-21T14:29:58.123Z"; years outside 0..9999 are clamped. */
void time_text(int64_t wall_ms, char ret[TIME_TEXT_BYTES]);

/* RFC 3339 / xsd:dateTime with zone (Z or +hh:mm) and optional fraction, or a
 * date alone ("2027-02-01", midnight UTC). False when malformed. */
bool time_parse(struct span s, int64_t *ret_wall_ms);

/* "250ms" "2s" "15m" "24h" "30d": one number, one unit, no sign. False when
 * malformed or above 10 years. */
bool duration_parse(struct span s, int64_t *ret_ms);

/* The same way back, in the largest unit that divides it: "90d", "0s". */
void duration_text(int64_t ms, char ret[TIME_TEXT_BYTES]);

#endif
