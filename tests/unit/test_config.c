// SPDX-License-Identifier: Apache-2.0
/*
 * bailiff.yaml: what is accepted, what every value becomes, and that the
 * errors of tests/golden/config/NAME.yaml read as in NAME.want. With
 * GOLDEN_WRITE set in the environment the .want files are written instead.
 */
#include "tests/lib/check.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/jws.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/config.h"
#include "sidecar/config/config_rows.h"

#define GOLDEN "tests/golden/config"

struct loaded {
    struct arena arena;
    const struct config *c;
    struct policy_notes notes;
    struct span source;
    struct fail f;
    int rc;
};

static void load(struct loaded *x, const char *path)
{
    arena_init(&x->arena, mem_system(), 8 * 1024 * 1024);
    x->c = NULL;
    x->rc =
        config_load(&x->arena.mem, path, &x->c, &x->notes, &x->source, &x->f);
}

static void unload(struct loaded *x)
{
    arena_fini(&x->arena);
}

/* A file in a directory of its own, so that relative paths are known. */
static char dir[] = "/tmp/test_config.XXXXXX";
static char file[64];

static void write_file(const char *path, const char *text, mode_t mode)
{
    (void)unlink(path);
    FILE *to = fopen(path, "w");
    CHECK(to != NULL);
    CHECK(fputs(text, to) >= 0);
    CHECK(fclose(to) == 0);
    CHECK(chmod(path, mode) == 0);
}

static void load_text(struct loaded *x, const char *text)
{
    write_file(file, text, 0600);
    load(x, file);
}

/* ---- what is accepted ---- */

static void example_loads(void **state)
{
    (void)state;
    static struct loaded x;
    /* A checkout may be group-writable; the loader would refuse that. */
    CHECK(chmod("examples/bailiff.yaml", 0644) == 0);
    load(&x, "examples/bailiff.yaml");
    CHECK_OK(x.rc, &x.f);
    CHECK_UINT(x.c->feed_count, 1);
    const struct config_feed *hr = &x.c->feeds[0];
    CHECK_SPAN(hr->name, SPAN("hr"));
    CHECK_UINT(hr->algs, JWS_ES256 | JWS_RS256);
    CHECK_SPAN(hr->audiences.at[0],
               SPAN("https://bailiff.corp.example/streams/hr"));
    CHECK_UINT(hr->poll_wait_ms, 30000);
    CHECK_UINT(hr->poll_auth.kind, AUTH_BEARER_FILE);
    CHECK_UINT(hr->type_count, 3);
    CHECK_UINT(x.c->gate_count, 2);
    CHECK_UINT(x.c->gate[0].unix_mode, 0660);
    CHECK_UINT(x.c->push_count, 1);
    CHECK_INT(x.c->callers[0].uid, 1000);
    CHECK_UINT(x.c->callers[0].role, CALLER_RUNTIME);
    CHECK_UINT(x.c->servers[0].auth.kind, AUTH_CLIENT_SECRET);
    CHECK_UINT(x.c->store_keep_days, 7);
    CHECK_UINT(strlen(x.c->digest_hex), 64);
    unload(&x);
}

static void empty_file_is_all_defaults(void **state)
{
    (void)state;
    static struct loaded x;
    load_text(&x, "");
    CHECK_OK(x.rc, &x.f);
    CHECK_UINT(x.c->gate_count, 1);
    CHECK_SPAN(x.c->gate[0].address, SPAN("unix:/run/bailiff/gate.sock"));
    CHECK_SPAN(x.c->admin.address, SPAN("unix:/run/bailiff/admin.sock"));
    CHECK_UINT(x.c->admin.unix_mode, 0600);
    CHECK_INT(x.c->admin.unix_gid, -1);
    CHECK_UINT(x.c->metrics.address.n, 0);
    CHECK_SPAN(x.c->log_dir, SPAN("/var/lib/bailiff/log"));
    CHECK_SPAN(x.c->seal_key_file, SPAN("/var/lib/bailiff/keys/seal.key"));
    CHECK_UINT(x.c->log_rotate_bytes, 64u * 1024 * 1024);
    CHECK_UINT(x.c->limits.agents_max, 100000);
    CHECK_UINT(x.c->limits.parked_per_agent, 64);
    CHECK_INT(x.c->limits.jti_keep_ms, INT64_C(30) * 86400000);
    CHECK_INT(x.c->limits.lease_ms, 30000);
    CHECK_INT(x.c->limits.log_stall_ms, 500);
    CHECK_UINT(x.c->diagnostics_level, LEVEL_INFO);
    unload(&x);
}

static void paths_are_relative_to_the_file(void **state)
{
    (void)state;
    static struct loaded x;
    char want[128];
    load_text(&x,
              "store: {dir: state}\n"
              "policy: {file: policy.yaml, keys: [a.pub, /etc/b.pub]}\n"
              "listen: {admin: {address: \"unix:admin.sock\"}}\n");
    CHECK_OK(x.rc, &x.f);
    (void)snprintf(want, sizeof want, "%s/state/log", dir);
    CHECK_SPAN(x.c->log_dir, span_str(want));
    (void)snprintf(want, sizeof want, "%s/policy.yaml", dir);
    CHECK_SPAN(x.c->policy_file, span_str(want));
    (void)snprintf(want, sizeof want, "%s/policy.yaml.sig", dir);
    CHECK_SPAN(x.c->policy_signature_file, span_str(want));
    (void)snprintf(want, sizeof want, "%s/a.pub", dir);
    CHECK_UINT(x.c->policy_keys.count, 2);
    CHECK_SPAN(x.c->policy_keys.at[0], span_str(want));
    CHECK_SPAN(x.c->policy_keys.at[1], SPAN("/etc/b.pub"));
    CHECK(!x.c->policy_watch);
    (void)snprintf(want, sizeof want, "unix:%s/admin.sock", dir);
    CHECK_SPAN(x.c->admin.address, span_str(want));
    unload(&x);
}

static const char feed_head[] =
    "feeds:\n"
    "  - name: hr\n"
    "    issuer: https://idp.example\n"
    "    audience: [a, b]\n"
    "    keys: {jwks_file: keys.json}\n"
    "    poll: {url: https://idp.example/poll}\n"
    "    scim: {base: https://idp.example/scim/v2/";

static void feed_values(void **state)
{
    (void)state;
    static struct loaded x;
    char text[2048];
    (void)snprintf(text, sizeof text,
                   "%s, rate: 7, types: {Bots: agent, Staff: user},\n"
                   "      auth: {client_id: b, private_key_file: k.pem,\n"
                   "             algorithm: ES256,\n"
                   "             token_url: https://idp.example/token}}\n",
                   feed_head);
    load_text(&x, text);
    CHECK_OK(x.rc, &x.f);
    const struct config_feed *hr = &x.c->feeds[0];
    CHECK_SPAN(hr->scim_base, SPAN("https://idp.example/scim/v2"));
    CHECK_UINT(hr->audiences.count, 2);
    CHECK_UINT(hr->scim_rate_per_s, 7);
    CHECK_UINT(hr->scim_concurrency, 8);
    CHECK_UINT(hr->scim_list_reads, 0);
    CHECK_UINT(hr->type_count, 2);
    CHECK_SPAN(hr->types[0].segment, SPAN("Bots"));
    CHECK_UINT(hr->types[1].kind, SUBJECT_USER);
    CHECK_UINT(hr->scim_auth.kind, AUTH_PRIVATE_KEY_JWT);
    CHECK_SPAN(hr->scim_auth.alg, SPAN("ES256"));
    CHECK_UINT(hr->poll_auth.kind, AUTH_NONE);
    CHECK_UINT(hr->poll_max_events, 100);
    CHECK_INT(hr->future_ms, 600000);
    CHECK_UINT(hr->line, 2);
    unload(&x);
}

/* ---- the file itself ---- */

static void writable_by_others_is_refused(void **state)
{
    (void)state;
    static struct loaded x;
    static const mode_t modes[] = {0620, 0602, 0666};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        write_file(file, "", modes[i]);
        load(&x, file);
        CHECK_INT(x.rc, RC_CONFIG);
        CHECK(strstr(x.f.text, "others can write it") != NULL);
        unload(&x);
    }
}

static void other_files_are_refused(void **state)
{
    (void)state;
    static struct loaded x;
    load(&x, "/nonexistent/bailiff.yaml");
    CHECK_INT(x.rc, RC_UNKNOWN_NAME);
    unload(&x);
    load(&x, "/tmp");
    CHECK_INT(x.rc, RC_CONFIG);
    unload(&x);
    char *big = test_malloc(CONFIG_FILE_BYTES_MAX + 2);
    memset(big, '#', CONFIG_FILE_BYTES_MAX + 1);
    big[CONFIG_FILE_BYTES_MAX + 1] = '\0';
    load_text(&x, big);
    CHECK_INT(x.rc, RC_TOO_LARGE);
    unload(&x);
    test_free(big);
}

static void secrets_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        int rc;
        const char *want;
    } rows[] = {
        {"hunter2\n", 0400, RC_OK, "hunter2"},
        {"hunter2\r\n", 0600, RC_OK, "hunter2"},
        {"hunter2\n\n", 0600, RC_OK, "hunter2\n"},
        {"", 0600, RC_OK, ""},
        {"hunter2", 0640, RC_CONFIG, ""},
        {"hunter2", 0604, RC_CONFIG, ""},
        {"0123456789abcdef0", 0600, RC_TOO_LARGE, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a;
        struct span got = SPAN("");
        struct fail f = {0};
        arena_init(&a, mem_system(), 65536);
        write_file(file, rows[i].text, rows[i].mode);
        CHECK_INT(config_read_file(&a.mem, span_str(file), 16, true, &got, &f),
                  rows[i].rc);
        CHECK_SPAN(got, span_str(rows[i].want));
        arena_fini(&a);
    }
}

/* ---- who could open the admin socket ---- */

static void admin_socket_and_callers(void **state)
{
    (void)state;
    static struct loaded x;
    static const struct {
        const char *name, *role, *agents, *operators, *mode;
        int rc;
        unsigned notes;
    } rows[] = {
        {"our own user", "runtime", "/Agents/*", "", "0600", RC_CONFIG, 1},
        {"our own user, an operator too", "runtime", "/Agents/*",
         "operators: [{name: me, uid: UID}]\n", "0600", RC_OK, 1},
        {"an agent is never an operator", "agent", "/Agents/7",
         "operators: [{name: me, uid: UID}]\n", "0600", RC_CONFIG, 1},
        {"open to all", "gateway", "/Agents/*",
         "operators: [{name: me, uid: UID}]\n", "0606", RC_CONFIG, 2},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[1024], uid[32];
        check_row(rows[i].name);
        (void)snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
        (void)snprintf(text, sizeof text,
                       "callers: [{name: r, role: %s, uid: %s, "
                       "agents: [\"%s\"]}]\n%s"
                       "listen: {admin: {mode: \"%s\"}}\n",
                       rows[i].role, uid, rows[i].agents, rows[i].operators,
                       rows[i].mode);
        char *place = strstr(text, "UID");
        if (place != NULL) {
            char tail[512];
            (void)snprintf(tail, sizeof tail, "%s%s", uid, place + 3);
            memcpy(place, tail, strlen(tail) + 1);
        }
        load_text(&x, text);
        CHECK_INT(x.rc, rows[i].rc);
        CHECK_UINT(x.notes.count, rows[i].notes);
        unload(&x);
    }
    check_row(NULL);
}

/* ---- limits ---- */

static void too_many_entries(void **state)
{
    (void)state;
    static struct loaded x;
    struct buf text;
    buf_init(&text, mem_system(), 1 << 20);
    buf_put_str(&text, "operators:\n");
    for (unsigned i = 0; i <= CONFIG_OPERATORS_MAX; i++)
        buf_printf(&text, "  - {name: p%u, uid: %u}\n", i, 70000 + i);
    load_text(&x, (const char *)text.p);
    CHECK_INT(x.rc, RC_CONFIG);
    CHECK_UINT(x.notes.error_count, 1);
    CHECK_UINT(x.notes.at[0].line, CONFIG_OPERATORS_MAX + 2);
    CHECK(strstr(x.notes.at[0].text, "more than 64") != NULL);
    unload(&x);
    buf_fini(&text);
}

static void more_errors_than_notes(void **state)
{
    (void)state;
    static struct loaded x;
    struct buf text;
    buf_init(&text, mem_system(), 1 << 20);
    for (unsigned i = 0; i < POLICY_ERRORS_MAX + 10; i++)
        buf_printf(&text, "key%u: 1\n", i);
    load_text(&x, (const char *)text.p);
    CHECK_INT(x.rc, RC_CONFIG);
    CHECK_UINT(x.notes.count, POLICY_ERRORS_MAX);
    CHECK_UINT(x.notes.error_count, POLICY_ERRORS_MAX + 10);
    unload(&x);
    buf_fini(&text);
}

static void memory_runs_out(void **state)
{
    (void)state;
    char text[2048];
    (void)snprintf(text, sizeof text, "%s}\n", feed_head);
    write_file(file, text, 0600);
    unsigned refused = 0;
    for (size_t limit = 256; limit < 1024 * 1024; limit += limit / 8) {
        static struct policy_notes notes;
        const struct config *c = NULL;
        struct span source;
        struct arena a;
        struct fail f = {0};
        arena_init(&a, mem_system(), limit);
        int rc = config_load(&a.mem, file, &c, &notes, &source, &f);
        CHECK(rc == RC_OK || rc == RC_NO_MEMORY);
        refused += rc == RC_NO_MEMORY;
        arena_fini(&a);
    }
    CHECK(refused > 3);
}

/* ---- goldens ---- */

static void compare(const char *name, struct span got)
{
    char path[300];
    (void)snprintf(path, sizeof path, GOLDEN "/%s.want", name);
    if (getenv("GOLDEN_WRITE") != NULL) {
        FILE *to = fopen(path, "w");
        CHECK(to != NULL);
        CHECK(fwrite(got.p, 1, got.n, to) == got.n);
        CHECK(fclose(to) == 0);
        return;
    }
    static char want[64 * 1024];
    FILE *from = fopen(path, "r");
    CHECK(from != NULL);
    const size_t n = fread(want, 1, sizeof want, from);
    (void)fclose(from);
    CHECK_SPAN(got, span_of(want, n));
}

static void golden_one(const char *name)
{
    static struct loaded x;
    char path[300];
    struct buf out;
    check_row(name);
    (void)snprintf(path, sizeof path, GOLDEN "/%s.yaml", name);
    CHECK(chmod(path, 0644) == 0);
    load(&x, path);
    buf_init(&out, mem_system(), 1 << 20);
    policy_notes_print(&x.notes, "bailiff.yaml", x.source, false, &out);
    CHECK_INT(x.rc, RC_CONFIG);
    compare(name, buf_span(&out));
    buf_fini(&out);
    unload(&x);
}

static void golden_errors(void **state)
{
    (void)state;
    DIR *d = opendir(GOLDEN);
    unsigned count = 0;
    CHECK(d != NULL);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        const struct span name = span_str(e->d_name);
        if (!span_ends(name, SPAN(".yaml")))
            continue;
        char stem[256];
        (void)snprintf(stem, sizeof stem, "%.*s", (int)name.n - 5, e->d_name);
        golden_one(stem);
        count++;
    }
    check_row(NULL);
    CHECK(count >= 8);
    (void)closedir(d);
}

/* Every key is explained where people look for it. */
static void every_key_is_documented(void **state)
{
    (void)state;
    static char text[256 * 1024];
    static const char *const pages[] = {"docs/configuration.md",
                                        "docs/man/bailiff.yaml.5"};
    for (size_t p = 0; p < COUNT_OF(pages); p++) {
        FILE *from = fopen(pages[p], "r");
        CHECK(from != NULL);
        text[fread(text, 1, sizeof text - 1, from)] = '\0';
        (void)fclose(from);
        for (const struct config_row *r = config_rows; r->key != NULL; r++) {
            char quoted[80];
            check_row(r->key);
            (void)snprintf(quoted, sizeof quoted,
                           p == 0 ? "`%s`" : "\\fB%s\\fR", r->key);
            CHECK(strstr(text, quoted) != NULL);
            if (p == 0)
                CHECK(strstr(text, r->help) != NULL);
        }
    }
    check_row(NULL);
}

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(file, sizeof file, "%s/bailiff.yaml", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    (void)unlink(file);
    (void)rmdir(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_loads),
        cmocka_unit_test(empty_file_is_all_defaults),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(feed_values),
        cmocka_unit_test(writable_by_others_is_refused),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(secrets_are_read_strictly),
        cmocka_unit_test(admin_socket_and_callers),
        cmocka_unit_test(too_many_entries),
        cmocka_unit_test(more_errors_than_notes),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(golden_errors),
        cmocka_unit_test(every_key_is_documented),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
