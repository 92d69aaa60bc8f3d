// SPDX-License-Identifier: Apache-2.0
/*
 * Fails, shortens or dies in file writes and syncs of this process, also those
 * that libraries make. Linked into test programs; idle until armed. Works by
 * defining write, pwrite, fsync and so on in front of the C library's.
 */
#ifndef TESTS_LIB_IOFAULT_H
#define TESTS_LIB_IOFAULT_H

enum iofault_call { IOFAULT_WRITE = 1, IOFAULT_SYNC = 2, IOFAULT_ANY = 3 };

#define IOFAULT_KILL (-1) /* instead of an errno: SIGKILL before the call */
#define IOFAULT_FOREVER (1 << 30)

/* From the (skip + 1)-th call on, `times` calls on files whose path contains
 * `part` (or ends with it, when the last byte of `part` is '$') fail with
 * `err`. A failing write first writes half. */
void iofault_arm(enum iofault_call call, const char *part, int skip, int times,
                 int err);
void iofault_off(void);
/* Calls that matched since arming, failed or not. */
int iofault_seen(void);

#endif
