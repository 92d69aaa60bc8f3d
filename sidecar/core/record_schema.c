// SPDX-License-Identifier: Apache-2.0
/* The JSON Schema of decision log lines, made from the lists in record.h, so
 * that it cannot say anything else than what is written. */
#include "sidecar/core/record.h"

struct field {
    const char *name, *type, *doc;
};

static const struct field fields[] = {
#define X(name, type, json, doc) {#name, json, doc},
    RECORD_FIELD_MAP(X)
#undef X
};

static const struct field kinds[] = {
#define X(id, word, doc) {word, "string", doc},
    RECORD_KIND_MAP(X)
#undef X
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void open_member(struct json_out *j, const char *name, const char *doc)
{
    json_open_map(j, name);
    json_str(j, "description", doc);
}

static void put_type(struct json_out *j, const char *type)
{
    bool hex = type[0] == 'h', time = type[0] == 't';
    json_str(j, "type", hex || time ? "string" : type);
    if (hex)
        json_str(j, "pattern", "^[0-9a-f]+$");
    if (time)
        json_str(j, "format", "date-time");
}

static void put_fixed_members(struct json_out *j)
{
    open_member(j, "v", "version of the format");
    json_u64(j, "const", 1);
    json_close_map(j);
    open_member(j, "seq", "line number over all files, without gaps");
    json_str(j, "type", "integer");
    json_u64(j, "minimum", 1);
    json_close_map(j);
    open_member(j, "input",
                "journal row the record belongs to; absent for records that "
                "change no stored state");
    json_str(j, "type", "integer");
    json_close_map(j);
    open_member(j, "time", "when, UTC");
    put_type(j, "time");
    json_close_map(j);
    open_member(j, "kind", "what kind of record this is");
    json_open_list(j, "enum");
    for (size_t i = 0; i < COUNT(kinds); i++)
        json_str(j, NULL, kinds[i].name);
    json_close_list(j);
    json_close_map(j);
    open_member(j, "decision_id", "the answer this record is about");
    put_type(j, "hex");
    json_close_map(j);
}

void record_schema(struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_str(&j, "$schema", "http://json-schema.org/draft-07/schema#");
    json_str(&j, "title", "bailiff decision log, one line");
    json_str(&j, "type", "object");
    json_open_list(&j, "required");
    static const char *const required[] = {"v", "seq", "time", "kind"};
    for (size_t i = 0; i < COUNT(required); i++)
        json_str(&j, NULL, required[i]);
    json_close_list(&j);
    json_bool(&j, "additionalProperties", false);
    json_open_map(&j, "properties");
    put_fixed_members(&j);
    for (size_t i = 0; i < COUNT(fields); i++) {
        open_member(&j, fields[i].name, fields[i].doc);
        put_type(&j, fields[i].type);
        json_close_map(&j);
    }
    json_close_map(&j);
    json_close_map(&j);
    buf_put_u8(out, '\n');
}
