// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/outbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/check.h"

void outbound_open(struct outbound *o, responder_fn fn, void *ctx)
{
    struct fail f;
    memset(o, 0, sizeof *o);
    CHECK_INT(uv_loop_init(&o->loop), 0);
    CHECK_OK(fetch_new(&o->loop, &o->fetch, &f), &f);
    CHECK_OK(oauth_new(&o->loop, o->fetch, &o->oauth, &f), &f);
    CHECK_OK(work_new(&o->loop, 2, 256, &o->work, &f), &f);
    o->peer = responder_open(&o->loop, fn, ctx);
    uv_timer_init(&o->loop, &o->alarm);
    o->alarm.data = o;
    (void)snprintf(o->dir, sizeof o->dir, "/tmp/bailiff-test-XXXXXX");
    CHECK(mkdtemp(o->dir) != NULL);
}

struct scim *outbound_scim(struct outbound *o, struct config_feed *feed)
{
    struct scim *s = NULL;
    struct fail f;
    unsigned base;
    feed->scim_base = outbound_url(o, "/v2");
    feed->trust.allow_http = true;
    CHECK_OK(scim_new(&o->loop, o->fetch, o->oauth, o->work, &s, &f), &f);
    CHECK_OK(scim_add(s, feed, 0, &base, &f), &f);
    CHECK_UINT(base, 0);
    return s;
}

static void count(void *ctx)
{
    ((struct outbound *)ctx)->closed++;
}

static void close_fetch(void *ctx)
{
    struct outbound *o = ctx;
    o->closed++;
    fetch_close(o->fetch, count, o);
    work_close(o->work, count, o);
    responder_close(o->peer);
    uv_close((uv_handle_t *)&o->alarm, NULL);
}

void outbound_close(struct outbound *o)
{
    oauth_close(o->oauth, close_fetch, o);
    uv_run(&o->loop, UV_RUN_DEFAULT);
    CHECK_INT(o->closed, 3);
    CHECK_INT(uv_loop_close(&o->loop), 0);
    for (unsigned i = 0; i < o->texts; i++)
        if (o->text[i][0] == '/')
            (void)unlink(o->text[i]);
    (void)rmdir(o->dir);
}

struct span outbound_url(struct outbound *o, const char *path)
{
    CHECK(o->texts < 8);
    char *text = o->text[o->texts++];
    (void)snprintf(text, sizeof o->text[0], "%s%s", responder_url(o->peer),
                   path);
    return span_str(text);
}

struct span outbound_file(struct outbound *o, const char *name,
                          struct span bytes)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", o->dir, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fwrite(bytes.p, 1, bytes.n, file) == bytes.n);
    CHECK_INT(fclose(file), 0);
    CHECK_INT(chmod(path, 0600), 0);
    for (unsigned i = 0; i < o->texts; i++)
        if (strcmp(o->text[i], path) == 0)
            return span_str(o->text[i]);
    CHECK(o->texts < 8);
    char *text = o->text[o->texts++];
    memcpy(text, path, sizeof path);
    return span_str(text);
}

/* Ticks, because UV_RUN_ONCE may sleep after the timer that was waited for. */
static void on_alarm(uv_timer_t *t)
{
    struct outbound *o = t->data;
    o->rang = uv_now(&o->loop) >= o->alarm_ms;
}

void outbound_alarm(struct outbound *o, uint64_t ms)
{
    o->rang = false;
    uv_update_time(&o->loop);
    o->alarm_ms = uv_now(&o->loop) + ms;
    uv_timer_start(&o->alarm, on_alarm, 2, 2);
}

void outbound_run(struct outbound *o, uint64_t ms)
{
    outbound_alarm(o, ms);
    while (!o->rang)
        uv_run(&o->loop, UV_RUN_ONCE);
}
