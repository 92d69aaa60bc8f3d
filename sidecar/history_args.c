// SPDX-License-Identifier: Apache-2.0
#include "sidecar/history_args.h"

#include <stdio.h>

#include "sidecar/cli_config.h"

#define CONFIG_DEFAULT "/etc/bailiff/bailiff.yaml"

static struct span join(struct mem *m, const char *dir, const char *name)
{
    struct buf path;
    buf_init(&path, m, 4096);
    buf_printf(&path, "%s/%s", dir, name);
    return buf_span(&path);
}

static int from_config(const struct history_args *a, struct mem *m,
                       struct history_from *ret, struct fail *f)
{
    const char *path = a->config == NULL ? CONFIG_DEFAULT : a->config;
    const struct config *c;
    int rc = cli_config_load(m, path, &c, f);
    if (rc < 0)
        return a->config != NULL ? rc
                                 : fail_wrap(f,
                                             "name the data with --data, "
                                             "--history or -c");
    ret->store = c->store_dir;
    ret->log = c->log_dir;
    return 0;
}

bool history_args_given(const struct history_args *a)
{
    return a->config != NULL || a->data != NULL || a->log != NULL ||
           a->file != NULL || a->since != NULL;
}

int history_args_resolve(struct history_args *a, struct mem *m,
                         struct history_from *ret, struct fail *f)
{
    *ret = (struct history_from){.file = a->file};
    if (a->since != NULL && !cli_since(a->since, &ret->since_ms))
        return fail(f, RC_INVALID,
                    "--since wants a time such as 2027-02-01T10:00:00Z or a "
                    "duration such as 24h");
    if (a->file != NULL && (a->data != NULL || a->log != NULL))
        return fail(f, RC_INVALID, "--history or a directory, not both");
    if (a->file != NULL)
        return 0;
    a->log_only = a->log != NULL && a->data == NULL && a->config == NULL;
    if (a->data != NULL) {
        ret->store = span_str(a->data);
        ret->log = join(m, a->data, "log");
    } else if (!a->log_only) {
        TRY(from_config(a, m, ret, f));
    }
    if (a->log != NULL)
        ret->log = span_str(a->log);
    ret->events_of_log = a->log_only;
    return 0;
}
