// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/fds.h"

#ifndef FDS_PATH
#error "the makefile defines FDS_PATH for this file"
#endif

__asm__(
    ".section .rodata\n"
    ".balign 8\n"
    "fds_begin:\n"
    ".incbin \"" FDS_PATH
    "\"\n"
    "fds_end:\n"
    ".byte 0\n"
    ".previous\n");

extern const unsigned char fds_begin[] __attribute__((visibility("hidden")));
extern const unsigned char fds_end[] __attribute__((visibility("hidden")));

struct span fds_bytes(void)
{
    return span_of(fds_begin, (size_t)(fds_end - fds_begin));
}
