// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/checkpoint.h"

#include <string.h>

#include "sidecar/io/base64.h"
#include "sidecar/io/file.h"

int checkpoint_sign(const struct note_key *k, uint64_t size,
                    const struct merkle_hash *root, struct buf *out,
                    struct fail *f)
{
    struct note_public p;
    const size_t start = out->n;
    note_key_public(k, &p);
    buf_printf(out, "%s\n%llu\n", p.name, (unsigned long long)size);
    base64_put(out, span_of(root->b, sizeof root->b));
    buf_put_u8(out, '\n');
    return note_sign(k, start, out, f);
}

/* Canonical: no leading zero. */
static bool is_size(struct span s, uint64_t *ret)
{
    return span_u64(s, ret) && (s.n == 1 || s.p[0] != '0');
}

static int read_body(struct span text, struct checkpoint *ret, struct fail *f)
{
    struct span origin, size, root;
    if (!note_take_line(&text, &origin) || !note_take_line(&text, &size) ||
        !note_take_line(&text, &root))
        return fail(f, RC_SYNTAX, "not a checkpoint");
    if (!note_is_name(origin) || !is_size(size, &ret->size) ||
        !base64_get(root, ret->root.b, sizeof ret->root.b))
        return fail(f, RC_SYNTAX, "origin, size or root is malformed");
    memcpy(ret->origin, origin.p, origin.n);
    ret->origin[origin.n] = 0;
    return 0;
}

int checkpoint_read(struct span note, struct checkpoint *ret, struct fail *f)
{
    struct span text, signatures;
    TRY(note_split(note, &text, &signatures, f));
    return read_body(text, ret, f);
}

int checkpoint_open(struct span note, const struct note_public *p,
                    struct checkpoint *ret, unsigned *ret_others,
                    struct fail *f)
{
    struct span text, signatures;
    TRY(note_split(note, &text, &signatures, f));
    TRY(read_body(text, ret, f));
    const int signed_by_p = note_check(text, signatures, p, ret_others, f);
    if (signed_by_p == 0)
        return fail(f, RC_UNTRUSTED, "not signed by %s (it says %s)", p->name,
                    ret->origin);
    return signed_by_p < 0 ? signed_by_p : 0;
}

int checkpoint_name_beside(struct span key_file, char ret[NOTE_NAME_MAX + 1],
                           struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct note_public p;
    struct span dir = key_file;
    ret[0] = 0;
    while (dir.n > 0 && dir.p[dir.n - 1] != '/')
        dir.n--;
    if (dir.n > 1)
        dir.n--; /* file_path puts the slash */
    TRY(file_path(path, dir.n == 0 ? SPAN(".") : dir, "log.pub", f));
    int rc = note_public_read(path, &p, f);
    if (rc == RC_UNKNOWN_NAME)
        return 0;
    TRY(rc);
    (void)snprintf(ret, NOTE_NAME_MAX + 1, "%s", p.name);
    return 0;
}
