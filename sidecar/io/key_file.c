// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/key_file.h"

#include <sys/stat.h>

#include <openssl/rand.h>

#include "sidecar/io/base64.h"
#include "sidecar/io/file.h"
#include "sidecar/io/note.h"

#define TEXT_MAX 256

static int check_mode(const char *path, struct fail *f)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(f, RC_CONFIG,
                    "key %s is missing: put it back, or `bailiff init` for a "
                    "new data directory",
                    path);
    if ((st.st_mode & 077) != 0)
        return fail(f, RC_CONFIG,
                    "key %s: group or others have access (chmod 0400)", path);
    return 0;
}

int key_file_read(struct span path, unsigned char ret[KEY_FILE_BYTES],
                  struct fail *f)
{
    char name[FILE_PATH_MAX];
    struct span text;
    TRY(file_path(name, path, "", f));
    TRY(check_mode(name, f));
    TRY(file_read(mem_system(), name, TEXT_MAX, &text, f));
    size_t n = span_find(text, '\n', 0);
    bool ok = (n == text.n || n + 1 == text.n) &&
              base64_get(span_sub(text, 0, n), ret, KEY_FILE_BYTES);
    unsigned char *p = (unsigned char *)(uintptr_t)text.p;
    mem_wipe(p, text.n);
    mem_release(mem_system(), p);
    return ok ? 0
              : fail(f, RC_CONFIG, "key %s is not %d bytes in base64", name,
                     KEY_FILE_BYTES);
}

int key_file_make(struct span dir, const char *name,
                  unsigned char ret[KEY_FILE_BYTES], struct fail *f)
{
    struct buf text;
    if (RAND_priv_bytes(ret, KEY_FILE_BYTES) != 1)
        return fail(f, RC_IO, "no random bytes");
    buf_init(&text, mem_system(), TEXT_MAX);
    base64_put(&text, span_of(ret, KEY_FILE_BYTES));
    buf_put_u8(&text, '\n');
    int rc = buf_ok(&text) ? file_create(dir, name, buf_span(&text), 0400, f)
                           : fail(f, RC_NO_MEMORY, "no memory for a key");
    buf_fini(&text);
    return rc;
}

int key_file_make_pair(struct span dir, const char *key_name,
                       const char *pub_name, struct span name, struct buf *line,
                       struct fail *f)
{
    unsigned char seed[KEY_FILE_BYTES] = {0};
    struct note_key *key;
    struct note_public public;
    const size_t start = line->n;
    /* The name is checked before anything is made. */
    TRY(note_key_new(seed, name, &key, f));
    note_key_free(key);
    int rc = key_file_make(dir, key_name, seed, f);
    if (rc == 0)
        rc = note_key_new(seed, name, &key, f);
    mem_wipe(seed, sizeof seed);
    TRY(rc);
    note_key_public(key, &public);
    note_key_free(key);
    note_public_put(line, &public);
    buf_put_u8(line, '\n');
    if (!buf_ok(line))
        return fail(f, RC_NO_MEMORY, "no memory for a key");
    return file_create(dir, pub_name, span_sub(buf_span(line), start, line->n),
                       0444, f);
}
