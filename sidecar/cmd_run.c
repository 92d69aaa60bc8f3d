// SPDX-License-Identifier: Apache-2.0
/* `bailiff run`: the sidecar itself. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sidecar/base/log.h"
#include "sidecar/cli.h"
#include "sidecar/cmd.h"
#include "sidecar/run/app.h"

#define CONFIG_DEFAULT "/etc/bailiff/bailiff.yaml"

/* No core with secrets in it, no new privileges, nothing for others to read. */
static void harden(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)umask(0077);
}

int cmd_run(int argc, char **argv)
{
    const char *config = CONFIG_DEFAULT, *signed_by = NULL;
    const struct cli_option options[] = {
        {"config", 'c', NULL, &config},
        {"signed-by", 0, NULL, &signed_by},
        {NULL, 0, NULL, NULL},
    };
    const char *words[1];
    struct fail f = {.rc = 0};
    if (cli_parse(argc, argv, options, words, 0) < 0)
        return EXIT_USAGE;
    struct app *a = mem_alloc(mem_system(), sizeof *a);
    if (a == NULL) {
        (void)fail(&f, RC_NO_MEMORY, "no memory to start with");
        return cli_fail(&f);
    }
    harden();
    int rc = app_open(a, config, signed_by, &f);
    int code = EXIT_ENVIRONMENT;
    if (rc >= 0)
        code = app_run(a);
    log_flush();
    if (rc < 0)
        code = cli_fail(&f);
    app_close(a);
    if (rc >= 0)
        log_info(LOG_MAIN, "stopped", kv_i64("exit", code));
    log_flush();
    mem_release(mem_system(), a);
    return code;
}
