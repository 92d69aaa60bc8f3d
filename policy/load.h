// SPDX-License-Identifier: Apache-2.0
/*
 * Private to the loader of policies: load.c (the machinery and the top level),
 * load_rule.c (rules, steps, gate), load_action.c (actions), load_limit.c
 * (limits, schedules), load_test.c (tests).
 *
 * Loading is a walk over member tables: each row names a key and the function
 * that reads its value into a field. All functions add notes and go on, so
 * that one run reports everything; what they could not read stays zero.
 */
#ifndef POLICY_LOAD_H
#define POLICY_LOAD_H

#include "policy/near.h"
#include "policy/policy.h"

struct loader {
    struct mem *m;
    struct policy *p;
    struct policy_notes *notes;
    struct fail *f;
    bool no_memory;
    struct names rule_names; /* known before the rules are read */
    struct span *attributes; /* POLICY_ATTRIBUTES_MAX of them */
    unsigned attribute_count;
};

struct member {
    const char *key;
    void (*load)(struct loader *l, const struct doc *d, void *field);
    size_t offset; /* of the field in the struct that load_members fills */
    bool required;
};

/* Reads the members of a map; unknown and missing keys are errors, and so is
 * any other kind of node. `what` names the map in messages. False when `d` is
 * no map. */
bool load_members(struct loader *l, const struct doc *d, const char *what,
                  const struct member *table, unsigned count, void *to);
#define LOAD_MEMBERS(l, d, what, table, to)                                    \
    load_members(l, d, what, table, sizeof(table) / sizeof(table)[0], to)

/* Notes about the value or about the key of a node. */
void load_error(struct loader *l, const struct doc *d, const char *advice,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void load_warning(struct loader *l, const struct doc *d, const char *advice,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void load_key_error(struct loader *l, const struct doc *d, const char *advice,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The word to look for near misses of; empty when the note would not be shown
 * any more, so that a file of mistakes costs little. */
struct span load_near(const struct loader *l, struct span word);

/* Memory that latches l->no_memory. */
void *load_alloc(struct loader *l, size_t count, size_t size);
struct span load_copy(struct loader *l, struct span s);

/* The usual kinds of field. */
void load_text(struct loader *l, const struct doc *d, void *span_field);
void load_truth(struct loader *l, const struct doc *d, void *bool_field);
void load_name(struct loader *l, const struct doc *d, void *span_field);
void load_duration(struct loader *l, const struct doc *d, void *ms_field);
/* One text or a list of texts. */
void load_texts(struct loader *l, const struct doc *d, void *names_field);
/* Texts that must be names of actions. */
void load_action_names(struct loader *l, const struct doc *d, void *field);
bool load_is_text(struct loader *l, const struct doc *d, const char *what);
/* Notes that `what` cannot be this value; `advice` says what it can be. */
void load_refuse(struct loader *l, const struct doc *d, const char *what,
                 const char *advice);
/* One of the words (NULL ends them); false after a note. */
bool load_word(struct loader *l, const struct doc *d, const char *what,
               const char *const *words, unsigned *ret);
/* "did you mean ...", or else all words; `to` stays empty without any. */
const char *load_advice(const struct near *n, const char *const *words,
                        char to[FAIL_TEXT_MAX]);
/* [a-z0-9][a-z0-9_-]* */
bool load_is_name(struct span s);

/* What a condition may look at besides the resource. */
enum load_scope { SCOPE_RESOURCE, SCOPE_EVENT, SCOPE_CALL };
const struct filter *load_filter(struct loader *l, const struct doc *d,
                                 enum load_scope scope, struct span *ret_text);
void load_add_attribute(struct loader *l, const struct attr_path *path,
                        const struct doc *d);

#define LOAD_NONE (-1)
/* Index of a tool class or action, or LOAD_NONE. */
int load_find_class(const struct loader *l, struct span name);
int load_find_action(const struct loader *l, struct span name);
/* Notes that there is no action of this name. */
void load_refuse_action(struct loader *l, const struct doc *d);
bool load_has_name(const struct names *names, struct span name);
void load_tools(struct loader *l, const struct doc *d, void *tool_set_field);
/* enforce or {audit: {until: ...}}, into a struct policy_mode. */
void load_mode(struct loader *l, const struct doc *d, void *mode_field);
/* deny or {allow_for: ...} */
void load_when_old(struct loader *l, const struct doc *d, void *ms_field);

/* One function per part of the file. */
void load_actions(struct loader *l, const struct doc *d, void *policy);
void load_rules(struct loader *l, const struct doc *d, void *policy);
void load_gates(struct loader *l, const struct doc *d, void *policy);
void load_tests(struct loader *l, const struct doc *d, void *field);
void load_limits(struct loader *l, const struct doc *d, void *policy);
/* `{every: 90d}` or `{idle: 30d}` among the events of a rule. */
void load_schedule(struct loader *l, const struct doc *d,
                   struct policy_rule *r);
void check_schedule(struct loader *l, const struct doc *d,
                    const struct policy_rule *r);
void load_step(struct loader *l, const struct doc *d, struct policy_step *s);
/* A list of nodes with a limit; NULL after a note, or when it is empty. */
void *load_list(struct loader *l, const struct doc *d, const char *what,
                unsigned max, size_t item_size);

#endif
