// SPDX-License-Identifier: Apache-2.0
#include "sidecar/cli_config.h"

int cli_config_load(struct mem *m, const char *path, const struct config **ret,
                    struct fail *f)
{
    struct policy_notes *notes = mem_alloc(m, sizeof *notes);
    struct span source;
    if (notes == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the configuration");
    int rc = config_load(m, path, ret, notes, &source, f);
    if (rc < 0 && notes->error_count > 0)
        return fail(f, RC_CONFIG, "%s has errors: `bailiff check -c %s`", path,
                    path);
    return rc < 0 ? rc : 0;
}

int cli_config(struct mem *m, const char *path, const struct config **ret)
{
    struct fail f = {.rc = 0};
    return cli_config_load(m, path, ret, &f) < 0 ? cli_fail(&f) : EXIT_YES;
}
