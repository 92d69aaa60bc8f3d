// SPDX-License-Identifier: Apache-2.0
/*
 * Text to compiled filter: a recursive-descent parser for the grammar of RFC
 * 7644 3.4.2.2 (figure 1, rewritten without left recursion) and of PATCH paths
 * (3.5.2 figure 7).
 *
 *   filter    = and-part *( "or" and-part )
 *   and-part  = unary *( "and" unary )
 *   unary     = [ "not" ] "(" filter ")" / path "[" filter "]" / test
 *   test      = path "pr" / path op literal
 *
 * Recursion happens at "(", "not (" and "[" only and is bounded there. White
 * space is taken in any amount; the printer writes the strict form.
 */
#include "policy/filter.h"

#include <string.h>

#include "policy/filter_node.h"
#include "sidecar/base/number_text.h"
#include "sidecar/base/time_text.h"

struct parser {
    struct mem *m;
    struct span s;
    size_t at;
    unsigned depth, nodes;
    bool in_element;
    size_t error_at;
    struct fail *f;
};

#define BAD(p, where, ...)                                                     \
    ((p)->error_at = (where), fail((p)->f, RC_CONFIG, __VA_ARGS__))
#define EXCERPT_MAX 40

static const char *const op_words[OP_COUNT] = {
    [OP_EQ] = "eq", [OP_NE] = "ne", [OP_CO] = "co", [OP_SW] = "sw",
    [OP_EW] = "ew", [OP_GT] = "gt", [OP_GE] = "ge", [OP_LT] = "lt",
    [OP_LE] = "le", [OP_PR] = "pr"};

const char *filter_op_word(enum filter_op op)
{
    return op_words[op];
}

static int parse_or(struct parser *p, struct filter **ret);

/* ---- characters and words ---- */

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_alpha(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(unsigned char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '$';
}

/* What ends a word: a path, an operator or an unquoted value. */
static bool is_break(unsigned char c)
{
    return is_space(c) || c == '(' || c == ')' || c == '[' || c == ']' ||
           c == '"';
}

static void skip_space(struct parser *p)
{
    while (p->at < p->s.n && is_space(p->s.p[p->at]))
        p->at++;
}

static bool next_is(const struct parser *p, unsigned char c)
{
    return p->at < p->s.n && p->s.p[p->at] == c;
}

static struct span peek_word(const struct parser *p)
{
    size_t end = p->at;
    while (end < p->s.n && !is_break(p->s.p[end]))
        end++;
    return span_sub(p->s, p->at, end);
}

/* Without the single quotes that other languages put around text. */
static struct span unquoted(struct span s)
{
    size_t quoted = s.n > 0 && s.p[0] == '\'';
    size_t ends = s.n > 1 && s.p[s.n - 1] == '\'';
    return span_sub(s, quoted, s.n - ends);
}

/* For messages: not too long, not cut inside a character. */
static struct span excerpt(struct span s)
{
    if (s.n <= EXCERPT_MAX)
        return s;
    s.n = EXCERPT_MAX;
    while (s.n > 0 && (s.p[s.n] & 0xC0) == 0x80)
        s.n--;
    return s;
}

static int enter(struct parser *p, size_t where)
{
    if (p->depth == FILTER_DEPTH_MAX)
        return BAD(p, where, "more than %d nested parentheses",
                   FILTER_DEPTH_MAX);
    p->depth++;
    return 0;
}

static int node_new(struct parser *p, enum filter_kind kind,
                    struct filter **ret)
{
    if (p->nodes == FILTER_NODES_MAX)
        return BAD(p, p->at, "more than %d terms in one filter",
                   FILTER_NODES_MAX);
    struct filter *node = mem_alloc(p->m, sizeof *node);
    if (node == NULL)
        return fail(p->f, RC_NO_MEMORY, "no memory for a filter");
    p->nodes++;
    node->kind = kind;
    *ret = node;
    return 0;
}

static void adopt(struct filter *parent, struct filter *child)
{
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
}

/* `(a and b) and c` is `a and b and c`: one normal form per meaning. */
static void adopt_flat(struct filter *parent, struct filter *child)
{
    if (child->kind != parent->kind) {
        adopt(parent, child);
        return;
    }
    if (parent->last == NULL)
        parent->first = child->first;
    else
        parent->last->next = child->first;
    parent->last = child->last;
}

/* ---- paths ---- */

static bool is_name(struct span s)
{
    if (s.n == 0 || !(is_alpha(s.p[0]) || s.p[0] == '$'))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_name_char(s.p[i]))
            return false;
    return s.n > 1 || s.p[0] != '$';
}

/* "2.0", "1": the segment that stands before the name of a schema. */
static bool is_version(struct span s)
{
    bool any = false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]) && s.p[i] != '.')
            return false;
        any = any || is_digit(s.p[i]);
    }
    return any;
}

static size_t last_colon(struct span s)
{
    size_t at = s.n;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ':')
            at = i;
    return at;
}

/* `urn:...:2.0:User` has a version where an attribute's schema has its name:
 * it is the schema itself. */
static bool names_schema(struct span urn)
{
    size_t colon = last_colon(urn);
    return colon < urn.n && is_version(span_sub(urn, colon + 1, urn.n));
}

static int check_urn(struct parser *p, struct span urn, size_t start)
{
    if (urn.n == 0)
        return BAD(p, start, "expected a schema URN before ':'");
    if (!is_alpha(urn.p[0]) || span_find(urn, ':', 0) == urn.n)
        return BAD(p, start, "'%.*s' is not a schema URN",
                   PRSPAN(excerpt(urn)));
    if (p->in_element)
        return BAD(p, start, "a schema URN cannot stand inside [ ]");
    if (names_schema(urn))
        return BAD(p, start, "this names a schema, not an attribute");
    return 0;
}

/* Splits at the last colon, then at the first dot behind it. */
static int split_path(struct parser *p, struct span word, size_t start,
                      struct attr_path *ret)
{
    *ret = (struct attr_path){{NULL, 0}, word, {NULL, 0}, NULL};
    size_t colon = last_colon(word), name_at = 0;
    if (colon < word.n) {
        ret->urn = span_sub(word, 0, colon);
        TRY(check_urn(p, ret->urn, start));
        name_at = colon + 1;
    }
    struct span name = span_sub(word, name_at, word.n);
    size_t dot = span_find(name, '.', 0);
    ret->attr = span_sub(name, 0, dot);
    if (!is_name(ret->attr))
        return BAD(p, start + name_at, "'%.*s' is not an attribute name",
                   PRSPAN(excerpt(ret->attr)));
    if (dot == name.n)
        return 0;
    ret->sub = span_sub(name, dot + 1, name.n);
    size_t sub_at = start + name_at + dot + 1;
    size_t deeper = span_find(ret->sub, '.', 0);
    if (deeper < ret->sub.n)
        return BAD(p, sub_at + deeper,
                   "SCIM has one level of sub-attributes only");
    if (!is_name(ret->sub))
        return BAD(p, sub_at, "'%.*s' is not a sub-attribute name",
                   PRSPAN(excerpt(ret->sub)));
    return 0;
}

static bool is_reserved(struct span word)
{
    return span_ieq(word, SPAN("and")) || span_ieq(word, SPAN("or")) ||
           span_ieq(word, SPAN("not"));
}

static int parse_path(struct parser *p, struct attr_path *ret)
{
    struct span word = peek_word(p);
    size_t start = p->at;
    if (word.n == 0 && p->at == p->s.n)
        return BAD(p, start, "expected an attribute, found the end");
    if (word.n == 0)
        return BAD(p, start, "expected an attribute, found '%c'",
                   p->s.p[p->at]);
    if (is_reserved(word))
        return BAD(p, start, "expected an attribute, found '%.*s'",
                   PRSPAN(word));
    p->at += word.n;
    return split_path(p, word, start, ret);
}

enum filter_source filter_path_source(const struct attr_path *path)
{
    if (path->urn.n > 0)
        return FILTER_RESOURCE;
    if (path->sub.n > 0 && span_ieq(path->attr, SPAN("event")))
        return FILTER_EVENT;
    if (path->sub.n > 0 && span_ieq(path->attr, SPAN("call")))
        return FILTER_CALL;
    if (path->sub.n == 0 && (span_ieq(path->attr, SPAN("tool")) ||
                             span_ieq(path->attr, SPAN("tool_class"))))
        return FILTER_CALL;
    return FILTER_RESOURCE;
}

bool filter_urn_is_core(struct span urn)
{
    struct span core = SPAN("urn:ietf:params:scim:schemas:core:");
    return span_ieq(span_sub(urn, 0, core.n), core);
}

/* ---- literals ---- */

static bool hex4(struct span s, size_t at, unsigned *ret)
{
    unsigned v = 0;
    if (at + 4 > s.n)
        return false;
    for (size_t i = at; i < at + 4; i++) {
        unsigned char c = s.p[i];
        unsigned digit = is_digit(c)              ? c - 0x30u
                         : (c >= 'a' && c <= 'f') ? c - 0x61u + 10u
                         : (c >= 'A' && c <= 'F') ? c - 0x41u + 10u
                                                  : 16u;
        if (digit == 16)
            return false;
        v = v * 16 + digit;
    }
    *ret = v;
    return true;
}

static size_t put_utf8(unsigned char *to, unsigned c)
{
    if (c < 0x80) {
        to[0] = (unsigned char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--) {
        to[i] = (unsigned char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    to[0] = (unsigned char)(lead[n] | c);
    return n;
}

/* \uXXXX, or two of them for a character beyond the basic plane. `p->at` is
 * behind the 'u'. At most 4 bytes come out of 6 or 12 that went in. */
static int parse_unicode(struct parser *p, unsigned char *to, size_t *n)
{
    unsigned c, low;
    if (!hex4(p->s, p->at, &c))
        return BAD(p, p->at, "expected four hexadecimal digits after \\u");
    size_t start = p->at - 2;
    p->at += 4;
    if (c >= 0xD800 && c < 0xDC00 && next_is(p, '\\') && p->at + 1 < p->s.n &&
        p->s.p[p->at + 1] == 'u' && hex4(p->s, p->at + 2, &low) &&
        low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        p->at += 6;
    }
    if (c == 0 || (c >= 0xD800 && c < 0xE000))
        return BAD(p, start, "this escape is no character");
    *n += put_utf8(to + *n, c);
    return 0;
}

static int parse_escape(struct parser *p, unsigned char *to, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    unsigned char c = p->at < p->s.n ? p->s.p[p->at] : 0;
    if (c == 'u') {
        p->at++;
        return parse_unicode(p, to, n);
    }
    const char *hit = memchr(from, c, sizeof from - 1);
    if (hit == NULL)
        return BAD(p, p->at - 1, "unknown escape in text");
    p->at++;
    to[(*n)++] = (unsigned char)into[hit - from];
    return 0;
}

static int parse_text(struct parser *p, struct span *ret)
{
    size_t start = p->at++;
    unsigned char *to = mem_alloc(p->m, p->s.n - start);
    size_t n = 0;
    if (to == NULL)
        return fail(p->f, RC_NO_MEMORY, "no memory for a filter");
    while (p->at < p->s.n) {
        unsigned char c = p->s.p[p->at++];
        if (c == '"') {
            *ret = span_of(to, n);
            return 0;
        }
        if (c < 0x20)
            return BAD(p, p->at - 1, "control character in text");
        if (c != '\\')
            to[n++] = c;
        else
            TRY(parse_escape(p, to, &n));
    }
    return BAD(p, start, "the text that starts here has no closing '\"'");
}

#define WHOLE_REAL_MAX 9007199254740992.0 /* 2^53: doubles count this far */

/* 2e2 is the integer 200: one normal form per value. */
static void set_number(struct filter_value *v, const struct number *n)
{
    double real = n->real;
    v->kind = n->is_int ? DOC_INT : DOC_REAL;
    v->integer = n->integer;
    v->real = n->is_int ? (double)n->integer : real;
    if (n->is_int || real < -WHOLE_REAL_MAX || real > WHOLE_REAL_MAX)
        return;
    double whole = (double)(int64_t)real;
    if (!(real < whole) && !(real > whole)) {
        v->kind = DOC_INT;
        v->integer = (int64_t)real;
    }
}

static int parse_number(struct parser *p, struct span word,
                        struct filter_value *ret)
{
    struct number n;
    bool whole;
    if (!number_is_json(word, &whole))
        return BAD(p, p->at, "'%.*s' is not a JSON number",
                   PRSPAN(excerpt(word)));
    if (!number_parse(word, &n))
        return BAD(p, p->at, "the number is too large");
    set_number(ret, &n);
    p->at += word.n;
    return 0;
}

static int bad_literal(struct parser *p, struct span word, enum filter_op op)
{
    const char *op_word = op_words[op];
    if (p->at == p->s.n)
        return BAD(p, p->at, "expected a value after '%s'", op_word);
    if (word.n == 0)
        return BAD(p, p->at, "expected a value after '%s', found '%c'", op_word,
                   p->s.p[p->at]);
    if (span_ieq(word, SPAN("true")) || span_ieq(word, SPAN("false")) ||
        span_ieq(word, SPAN("null")))
        return BAD(p, p->at, "write true, false and null in lower case");
    return BAD(p, p->at,
               "expected a value after '%s'; text needs double quotes: "
               "\"%.*s\"",
               op_word, PRSPAN(excerpt(unquoted(word))));
}

static int parse_literal(struct parser *p, enum filter_op op,
                         struct filter_value *ret)
{
    struct span word = peek_word(p);
    if (next_is(p, '"')) {
        ret->kind = DOC_TEXT;
        TRY(parse_text(p, &ret->text));
        ret->is_time = time_parse(ret->text, &ret->time_ms);
        return 0;
    }
    if (word.n > 0 && (is_digit(word.p[0]) || word.p[0] == '-'))
        return parse_number(p, word, ret);
    bool yes = span_eq(word, SPAN("true"));
    if (yes || span_eq(word, SPAN("false"))) {
        ret->kind = DOC_BOOL;
        ret->truth = yes;
    } else if (span_eq(word, SPAN("null"))) {
        ret->kind = DOC_NULL;
    } else {
        return bad_literal(p, word, op);
    }
    p->at += word.n;
    return 0;
}

/* ---- tests ---- */

static bool op_orders(enum filter_op op)
{
    return op == OP_GT || op == OP_GE || op == OP_LT || op == OP_LE;
}

static bool op_looks_inside(enum filter_op op)
{
    return op == OP_CO || op == OP_SW || op == OP_EW;
}

/* `active` is the one attribute whose type every SCIM server shares. */
static bool is_active(const struct filter *t)
{
    return !t->in_element && t->path.sub.n == 0 &&
           span_ieq(t->path.attr, SPAN("active")) &&
           (t->path.urn.n == 0 || filter_urn_is_core(t->path.urn));
}

/* RFC 7644 3.4.2.2: booleans have no order (7644-R12). */
static int check_types(struct parser *p, const struct filter *t,
                       size_t value_at)
{
    const char *op = op_words[t->op];
    enum doc_kind kind = t->value.kind;
    if (op_looks_inside(t->op) && kind != DOC_TEXT)
        return BAD(p, value_at, "'%s' needs text in double quotes", op);
    if (op_orders(t->op) && kind == DOC_BOOL)
        return BAD(p, value_at,
                   "true and false have no order: '%s' cannot "
                   "compare them",
                   op);
    if (op_orders(t->op) && kind == DOC_NULL)
        return BAD(p, value_at, "null has no order: use pr or eq null");
    if (is_active(t) && kind != DOC_BOOL && kind != DOC_NULL)
        return BAD(p, value_at, "'%.*s' is true or false, without quotes",
                   PRSPAN(t->path.attr));
    return 0;
}

/* Upper and lower case differ: identifiers (RFC 7643 7 caseExact), references,
 * and everything that does not come from SCIM. */
static bool compares_exactly(const struct filter *t)
{
    const struct attr_path *a = &t->path;
    struct span leaf = a->sub.n > 0 ? a->sub : a->attr;
    if (span_ieq(leaf, SPAN("$ref")) || t->source != FILTER_RESOURCE)
        return true;
    if (span_ieq(leaf, SPAN("value")) && (a->sub.n > 0 || t->in_element))
        return true;
    if (t->in_element)
        return false;
    return span_ieq(a->attr, SPAN("id")) ||
           span_ieq(a->attr, SPAN("externalId")) ||
           span_ieq(a->attr, SPAN("schemas")) ||
           span_ieq(a->attr, SPAN("meta"));
}

static int parse_op(struct parser *p, struct span path, enum filter_op *ret)
{
    struct span word = peek_word(p);
    for (unsigned op = 0; op < OP_COUNT; op++) {
        if (span_ieq(word, span_str(op_words[op]))) {
            *ret = (enum filter_op)op;
            p->at += word.n;
            return 0;
        }
    }
    if (word.n == 0)
        return BAD(p, p->at, "expected an operator such as eq after '%.*s'",
                   PRSPAN(excerpt(path)));
    return BAD(p, p->at,
               "'%.*s' is not an operator; expected one such as eq after "
               "'%.*s'",
               PRSPAN(excerpt(word)), PRSPAN(excerpt(path)));
}

/* `event.x` is a member, not a part of one. */
static bool is_plain(const struct filter *t)
{
    return t->op == OP_EQ && t->value.kind == DOC_TEXT && !t->value.is_time &&
           (t->path.sub.n == 0 ||
            (!t->in_element && t->source != FILTER_RESOURCE));
}

static int parse_test(struct parser *p, const struct attr_path *path,
                      struct span written, struct filter **ret)
{
    struct filter *t = NULL;
    TRY(node_new(p, FILTER_TEST, &t));
    t->path = *path;
    t->in_element = p->in_element;
    t->source = p->in_element ? FILTER_RESOURCE : filter_path_source(path);
    t->exact = compares_exactly(t);
    skip_space(p);
    TRY(parse_op(p, written, &t->op));
    if (t->op != OP_PR) {
        skip_space(p);
        size_t value_at = p->at;
        TRY(parse_literal(p, t->op, &t->value));
        TRY(check_types(p, t, value_at));
    }
    t->plain = is_plain(t);
    *ret = t;
    return 0;
}

/* enter() bounds the depth of what calls itself from here on. */
// NOLINTBEGIN(misc-no-recursion)

/* `p->at` is at the '['. RFC 7644 3.4.2.2: all conditions are about the same
 * element (7644-R14). */
static int parse_bracket(struct parser *p, struct filter **ret)
{
    size_t start = p->at;
    if (p->in_element)
        return BAD(p, start, "[ ] cannot stand inside [ ]");
    TRY(enter(p, start));
    p->at++;
    p->in_element = true;
    TRY(parse_or(p, ret));
    p->in_element = false;
    p->depth--;
    if (!next_is(p, ']'))
        return BAD(p, p->at, "no ']' for the '[' at character %zu", start + 1);
    p->at++;
    return 0;
}

static int parse_attr(struct parser *p, struct filter **ret)
{
    struct attr_path path;
    size_t start = p->at;
    TRY(parse_path(p, &path));
    struct span written = span_sub(p->s, start, p->at);
    if (!next_is(p, '['))
        return parse_test(p, &path, written, ret);
    struct filter *e = NULL, *inner = NULL;
    TRY(node_new(p, FILTER_ELEMENT, &e));
    TRY(parse_bracket(p, &inner));
    if (next_is(p, '.'))
        return BAD(p, p->at,
                   "nothing can follow ']' here; put the test "
                   "inside the [ ]");
    e->path = path;
    e->path.element = inner;
    e->source = filter_path_source(&path);
    adopt(e, inner);
    *ret = e;
    return 0;
}

static int parse_group(struct parser *p, struct filter **ret)
{
    size_t start = p->at;
    TRY(enter(p, start));
    p->at++;
    TRY(parse_or(p, ret));
    p->depth--;
    if (!next_is(p, ')'))
        return BAD(p, p->at, "no ')' for the '(' at character %zu", start + 1);
    p->at++;
    return 0;
}

static int parse_unary(struct parser *p, struct filter **ret)
{
    skip_space(p);
    if (next_is(p, '('))
        return parse_group(p, ret);
    if (!span_ieq(peek_word(p), SPAN("not")))
        return parse_attr(p, ret);
    p->at += SPAN("not").n;
    skip_space(p);
    if (!next_is(p, '('))
        return BAD(p, p->at, "'not' needs parentheses: not (...)");
    struct filter *node = NULL, *inner = NULL;
    TRY(node_new(p, FILTER_NOT, &node));
    TRY(parse_group(p, &inner));
    adopt(node, inner);
    *ret = node;
    return 0;
}

/* One level of `and` or `or`: parts joined by the word. */
static int parse_joined(struct parser *p, enum filter_kind kind,
                        struct span word, struct filter **ret)
{
    struct filter *part = NULL, *whole = NULL;
    for (;;) {
        TRY(kind == FILTER_OR ? parse_joined(p, FILTER_AND, SPAN("and"), &part)
                              : parse_unary(p, &part));
        skip_space(p);
        bool more = span_ieq(peek_word(p), word);
        if (whole == NULL && !more) {
            *ret = part;
            return 0;
        }
        if (whole == NULL)
            TRY(node_new(p, kind, &whole));
        adopt_flat(whole, part);
        if (!more)
            break;
        p->at += word.n;
    }
    *ret = whole;
    return 0;
}

static int parse_or(struct parser *p, struct filter **ret)
{
    TRY(parse_joined(p, FILTER_OR, SPAN("or"), ret));
    if (p->at == p->s.n || next_is(p, ')') || next_is(p, ']'))
        return 0;
    struct span word = peek_word(p);
    if (word.n == 0)
        return BAD(p, p->at, "expected 'and', 'or' or the end, found '%c'",
                   p->s.p[p->at]);
    return BAD(p, p->at, "expected 'and', 'or' or the end, found '%.*s'",
               PRSPAN(excerpt(word)));
}
// NOLINTEND(misc-no-recursion)

/* ---- entry points ---- */

static int parser_init(struct parser *p, struct mem *m, struct span text,
                       struct fail *f)
{
    *p = (struct parser){.m = m, .f = f};
    if (text.n > FILTER_TEXT_MAX)
        return BAD(p, FILTER_TEXT_MAX, "longer than %d bytes", FILTER_TEXT_MAX);
    if (!span_is_text(text))
        return BAD(p, 0, "not valid UTF-8 text");
    unsigned char *copy = mem_copy(m, text);
    if (copy == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a filter");
    p->s = span_of(copy, text.n);
    return 0;
}

static int parse_whole(struct parser *p, struct filter **ret)
{
    skip_space(p);
    if (p->at == p->s.n)
        return BAD(p, p->at,
                   "an empty filter; expected one such as "
                   "active eq true");
    TRY(parse_or(p, ret));
    if (p->at < p->s.n)
        return BAD(p, p->at,
                   "'%c' without its opening half: one too many here, or one "
                   "too few before",
                   p->s.p[p->at]);
    return 0;
}

int filter_compile(struct mem *m, struct span text, const struct filter **ret,
                   size_t *ret_offset, struct fail *f)
{
    struct parser p;
    struct filter *root = NULL;
    int rc = parser_init(&p, m, text, f);
    if (rc == 0)
        rc = parse_whole(&p, &root);
    if (rc == 0)
        *ret = root;
    else if (ret_offset != NULL)
        *ret_offset = p.error_at;
    return rc;
}

/* attrPath / valuePath [subAttr] (RFC 7644 3.5.2 figure 7). */
static int parse_patch_path(struct parser *p, struct attr_path *ret)
{
    TRY(parse_path(p, ret));
    if (next_is(p, '[')) {
        struct filter *inner = NULL;
        TRY(parse_bracket(p, &inner));
        ret->element = inner;
        struct span tail = peek_word(p);
        if (tail.n > 0) {
            struct span sub = span_sub(tail, 1, tail.n);
            if (tail.p[0] != '.' || ret->sub.n > 0 || !is_name(sub))
                return BAD(p, p->at, "expected a sub-attribute after ']'");
            ret->sub = sub;
            p->at += tail.n;
        }
    }
    if (p->at < p->s.n)
        return BAD(p, p->at, "expected the end of the path");
    return 0;
}

int attr_path_parse(struct mem *m, struct span text, struct attr_path *ret,
                    struct fail *f)
{
    struct parser p;
    struct attr_path path = {0};
    int rc = parser_init(&p, m, span_trim(text), f);
    if (rc == 0)
        rc = parse_patch_path(&p, &path);
    if (rc == RC_NO_MEMORY)
        return rc;
    if (rc < 0) {
        if (f != NULL)
            f->rc = RC_SYNTAX;
        return RC_SYNTAX;
    }
    *ret = path;
    return 0;
}

bool attr_path_touches(const struct attr_path *changed,
                       const struct attr_path *watched)
{
    if (!span_ieq(changed->attr, watched->attr))
        return false;
    if (changed->urn.n > 0 && watched->urn.n > 0 &&
        !span_ieq(changed->urn, watched->urn))
        return false;
    return changed->sub.n == 0 || watched->sub.n == 0 ||
           span_ieq(changed->sub, watched->sub);
}
