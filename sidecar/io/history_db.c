// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/history_db.h"

#include <string.h>
#include <unistd.h>

#include "sidecar/io/file.h"
#include "sidecar/io/store_db.h"

#define BUSY_WAIT_MS 2000 /* nobody else waits */
#define PAGE_LIMIT_BYTES (HISTORY_PAGE_BYTES + JOURNAL_BODY_MAX * 16)

struct history_db {
    struct store_db db;
    sqlite3_stmt *page_rows;
    uint64_t from; /* next to read */
    int64_t since_ms;
    struct buf page; /* packed rows */
    struct span left;
};

struct packed {
    uint64_t seq;
    int64_t wall_ms;
    size_t body_n;
};

static int set_up(struct history_db *h, const char *path, struct fail *f)
{
    TRY(store_db_open_read(&h->db, path, f));
    (void)sqlite3_busy_timeout(h->db.sql, BUSY_WAIT_MS);
    if (sqlite3_prepare_v2(h->db.sql,
                           "SELECT seq, wall_ms, body FROM journal WHERE "
                           "seq>=?1 AND wall_ms>=?2 ORDER BY seq LIMIT ?3",
                           -1, &h->page_rows, NULL) != SQLITE_OK)
        return store_db_fail(h->db.sql, path, f);
    return 0;
}

int history_db_open(struct span dir, int64_t since_ms, struct history_db **ret,
                    struct fail *f)
{
    struct history_db *h = mem_alloc(mem_system(), sizeof *h);
    if (h == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the history");
    h->since_ms = since_ms;
    buf_init(&h->page, mem_system(), PAGE_LIMIT_BYTES);
    char path[FILE_PATH_MAX];
    int rc = file_path(path, dir, "bailiff.db", f);
    if (rc == 0 && access(path, F_OK) != 0)
        rc = fail(f, RC_UNKNOWN_NAME,
                  "%.*s has no bailiff.db: is it the data directory?",
                  PRSPAN(dir));
    if (rc == 0)
        rc = set_up(h, path, f);
    if (rc < 0) {
        history_db_close(h);
        return rc;
    }
    *ret = h;
    return 0;
}

static void pack(struct history_db *h)
{
    const void *body = sqlite3_column_blob(h->page_rows, 2);
    const struct packed head = {
        .seq = (uint64_t)sqlite3_column_int64(h->page_rows, 0),
        .wall_ms = sqlite3_column_int64(h->page_rows, 1),
        .body_n = (size_t)sqlite3_column_bytes(h->page_rows, 2)};
    h->from = head.seq + 1;
    buf_put(&h->page, span_of(&head, sizeof head));
    buf_put(&h->page, span_of(body, head.body_n));
}

/* One transaction: it ends when the statement is reset. */
static int read_page(struct history_db *h, struct fail *f)
{
    sqlite3_stmt *st = h->page_rows;
    int step = SQLITE_ROW;
    buf_clear(&h->page);
    (void)sqlite3_bind_int64(st, 1, (int64_t)h->from);
    (void)sqlite3_bind_int64(st, 2, h->since_ms);
    (void)sqlite3_bind_int(st, 3, HISTORY_PAGE_ROWS);
    while (h->page.n < HISTORY_PAGE_BYTES &&
           (step = sqlite3_step(st)) == SQLITE_ROW)
        pack(h);
    int rc = step == SQLITE_ROW || step == SQLITE_DONE
                 ? 0
                 : store_db_fail(h->db.sql, h->db.path, f);
    (void)sqlite3_reset(st);
    if (rc == 0 && !buf_ok(&h->page))
        rc = fail(f, RC_NO_MEMORY, "no memory for journal rows");
    h->left = buf_span(&h->page);
    return rc;
}

int history_db_next(struct history_db *h, struct history_row *ret,
                    struct fail *f)
{
    struct packed head;
    if (h->left.n == 0)
        TRY(read_page(h, f));
    if (h->left.n == 0)
        return 0;
    must(h->left.n >= sizeof head);
    memcpy(&head, h->left.p, sizeof head);
    must(h->left.n - sizeof head >= head.body_n);
    ret->seq = head.seq;
    ret->wall_ms = head.wall_ms;
    ret->body = span_sub(h->left, sizeof head, sizeof head + head.body_n);
    h->left = span_sub(h->left, sizeof head + head.body_n, h->left.n);
    return 1;
}

uint64_t history_db_last(const struct history_db *h)
{
    return h->db.last_seq;
}

void history_db_close(struct history_db *h)
{
    if (h == NULL)
        return;
    sqlite3_finalize(h->page_rows);
    store_db_close(&h->db, false);
    buf_fini(&h->page);
    mem_release(mem_system(), h);
}
