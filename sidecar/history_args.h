// SPDX-License-Identifier: Apache-2.0
/*
 * Which history a command is about: a file, a data directory, a log, or what
 * the configuration names. The same options for all that read one.
 */
#ifndef SIDECAR_HISTORY_ARGS_H
#define SIDECAR_HISTORY_ARGS_H

#include "sidecar/base/buf.h"
#include "sidecar/history_source.h"

#define HISTORY_OPTIONS_HELP                                                   \
    "  -c, --config FILE   where the data is; default "                        \
    "/etc/bailiff/bailiff.yaml\n"                                              \
    "      --data DIR      a data directory, with its log in DIR/log\n"        \
    "      --log DIR       the decision log is elsewhere\n"                    \
    "  -s, --since T       a time, or a duration: 24h\n"

struct history_args {
    const char *config, *data, *log, *file, *since;
    bool log_only; /* set by history_args_resolve: there is only a log */
};

/* Is a history named at all? */
bool history_args_given(const struct history_args *a);

/* Texts live in `m`. RC_INVALID for options that do not fit together. */
int history_args_resolve(struct history_args *a, struct mem *m,
                         struct history_from *ret, struct fail *f) must_use;

#endif
