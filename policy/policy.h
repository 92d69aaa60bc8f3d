// SPDX-License-Identifier: Apache-2.0
/*
 * A checked, compiled policy: plain immutable values that the engine reads.
 *
 * policy_load turns a document tree into a `struct policy` or into a list of
 * errors, each with its position. Nothing here decides what happens to an
 * agent's standing; sidecar/core interprets rules and steps. Order never
 * matters: every matching rule applies, the most restrictive outcome wins.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "policy/event_type.h"
#include "policy/filter.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

#define POLICY_FILE_BYTES_MAX (256 * 1024)
#define POLICY_RULES_MAX 1024
#define POLICY_GATES_MAX 1024
#define POLICY_STEPS_MAX 16 /* `do` entries of a rule */
#define POLICY_LIST_MAX 64  /* changed, tools, set_by, otherwise ... */
#define POLICY_ACTIONS_MAX 256
#define POLICY_CLASSES_MAX 32     /* tool classes: one bit each */
#define POLICY_ATTRIBUTES_MAX 256 /* that all conditions together name */
#define POLICY_NAME_MAX 64        /* [a-z0-9][a-z0-9_-]* */
#define POLICY_SCHEDULES_MAX 16   /* rules with `every` or `idle` */
#define POLICY_LIMIT_AGENTS_MAX 1000000
#define POLICY_ERRORS_MAX 64

enum subject_kind {
    SUBJECT_AGENT,
    SUBJECT_USER,
    SUBJECT_GROUP,
    SUBJECT_KIND_COUNT
};
const char *subject_kind_word(enum subject_kind k);

struct names {
    const struct span *at;
    unsigned count;
};

enum hold_kind { HOLD_SUSPENDED, HOLD_REVIEW, HOLD_UNCOVERED, HOLD_KIND_COUNT };
const char *hold_kind_word(enum hold_kind k);

/* Which tools something is about. `all` wins over the rest. */
struct tool_set {
    bool all;
    uint32_t classes;      /* bit i: policy->classes[i] */
    struct names patterns; /* globs */
};

enum step_kind {
    STEP_HOLD,
    STEP_REFRESH,
    STEP_CANCEL,
    STEP_REVOKE,
    STEP_PURGE,
    STEP_ACTION,
    STEP_RELEASE,
    STEP_KIND_COUNT
};
const char *step_kind_word(enum step_kind k);

/* One entry of a rule's `do`. `notify: x` and a bare action name are both
 * STEP_ACTION. */
struct policy_step {
    enum step_kind kind;
    enum hold_kind hold;            /* HOLD, RELEASE */
    struct tool_set tools;          /* HOLD, CANCEL */
    const struct filter *review_by; /* HOLD review: who may approve */
    struct span review_by_text;
    enum hold_kind review_otherwise; /* HOLD review: at expiry */
    struct names purge;     /* PURGE: queue cache browser_profile jobs */
    int action;             /* ACTION: index into policy->actions */
    struct names set_by;    /* RELEASE: rules whose holds it ends */
    int64_t within_ms;      /* 0: default of the kind */
    struct names otherwise; /* action names, run at the deadline */
};

/* Enforce, or until a day only write what would happen. */
struct policy_mode {
    bool audit;
    int64_t until_ms; /* wall */
};

enum applies_to {
    APPLIES_SUBJECT,
    APPLIES_MEMBERS,
    APPLIES_OWNED_LAST,
    APPLIES_OWNED_ANY,
    APPLIES_CHILDREN
};

/* What every event of a type asks of very many rules stands first. */
struct policy_rule {
    event_mask events;
    enum subject_kind subject;
    bool only_releases;     /* every step is a release */
    unsigned changed_count; /* 0: any change */
    const struct attr_path *changed;
    const struct filter *where; /* NULL: always */
    struct names feeds;         /* empty: any feed */
    struct span name;
    enum applies_to applies_to;
    int64_t every_ms, idle_ms; /* with EVENT_SCHEDULED, EVENT_IDLE */
    struct span where_text;
    const struct filter *agents_where; /* which of applies_to; NULL: all */
    struct policy_mode mode;
    const struct policy_step *steps;
    unsigned step_count;
    uint32_t line;
};

#define POLICY_DEFAULT (-1)
struct policy_gate {
    struct span name;
    struct tool_set tools;
    const struct filter *require; /* NULL: only names the tools */
    struct span require_text;
    int64_t max_age_ms;       /* 0: the default */
    int64_t old_allow_for_ms; /* POLICY_DEFAULT, or when_old: 0 = deny */
    struct policy_mode mode;
    bool reads_call; /* require looks at call.*: not cached */
    uint32_t line;
};

struct policy_class {
    struct span name;
    struct names patterns;
};

/* Templates hold {{name}} placeholders; see docs/policy.md. */
struct policy_header {
    struct span name, value;
};

struct policy_action {
    struct span name;
    struct span preset; /* "", "slack-webhook", "pagerduty" */
    struct span method, url, body, content_type;
    struct span url_file; /* the URL itself is a secret in a file */
    struct span key_file; /* preset's key */
    struct span bearer_file, ca_file;
    struct policy_header headers[8];
    unsigned header_count;
    uint16_t success[8]; /* HTTP statuses; empty: 200..299 */
    unsigned success_count;
    uint16_t done_already[8]; /* also success: 404, 410 */
    unsigned done_already_count;
    uint32_t line;
};

/* What one feed's statements may do: bits of enum feed_may. */
enum feed_may {
    MAY_SUSPEND = 1,
    MAY_REFRESH = 2,
    MAY_RELEASE = 4,
    MAY_REVOKE = 8,
    MAY_ALL = 15
};
struct policy_feed {
    struct span name;
    unsigned may;
    struct span meaning;
};

/* What `limits` counts, by its key. */
enum limit_kind {
    LIMIT_SUSPEND, /* hold */
    LIMIT_CANCEL,
    LIMIT_REVOKE,
    LIMIT_PURGE,
    LIMIT_HTTP, /* actions, but for those that a limit names in `beyond` */
    LIMIT_KIND_COUNT
};
const char *limit_kind_word(enum limit_kind k);

/* How many agents one feed may hit. Beyond it, and for agents of `never_for`,
 * steps that cannot be undone are withheld until an operator lets them go. */
struct policy_limit {
    unsigned max; /* agents; 0: no such limit */
    int64_t per_ms;
    bool all_feeds;                 /* of_feed: all */
    const struct filter *never_for; /* NULL: for all agents alike */
    struct names beyond;            /* actions that call a person */
};

enum when_denied { OPEN_LEAVE, OPEN_CANCEL };

/* Positions in policy->rules or policy->gates, ascending. */
struct rule_set {
    const uint16_t *at;
    unsigned count;
};

struct policy {
    /* defaults */
    struct policy_mode mode;
    bool lookup_unknown; /* unknown_agent: lookup */
    enum subject_kind rule_subject;
    int64_t max_age_ms;           /* 15 min */
    int64_t refresh_timeout_ms;   /* 2 s */
    int64_t old_allow_for_ms;     /* when_old: 0 = deny */
    int64_t changed_allow_for_ms; /* when_changed: always 0, deny */
    int64_t settle_ms;            /* 5 s */
    bool read_open_calls_now;
    enum when_denied open_calls_denied;
    int64_t feed_silent_ms; /* 0: off */
    bool feed_silent_refresh;

    const struct filter *agents_where; /* NULL: by resource type only */
    const struct policy_class *classes;
    unsigned class_count;
    const struct policy_rule *rules;
    unsigned rule_count;
    unsigned schedule_count; /* rules with `every` or `idle` */
    bool limited;            /* some limit is set */
    struct policy_limit limits[LIMIT_KIND_COUNT];
    const struct policy_gate *gates;
    unsigned gate_count;
    int64_t gates_from_ms; /* wall: since when some gate rule is enforced */
    const struct policy_index *index; /* policy/index.h */
    const struct policy_action *actions;
    unsigned action_count;
    const struct policy_feed *feeds;
    unsigned feed_count;
    /* Top-level attributes that any condition names, plus `active`, `groups`,
     * `owners`, `parent`: what reads ask for and what the store keeps. Those of
     * an extension schema are "<urn>:<name>", as SCIM's `attributes` parameter
     * wants them. No two are equal when case is ignored. */
    struct names attributes;
    const struct policy_test *tests; /* policy/test.h */
    unsigned test_count;
    unsigned char digest[32]; /* set by the loader's caller: SHA-256 of text */
    char digest_hex[65];
};

/* An error or warning at a place. */
struct policy_note {
    uint32_t line, column, width;
    bool warning;
    char text[FAIL_TEXT_MAX];
    char advice[FAIL_TEXT_MAX]; /* "" when there is none */
};

/* The counts go on when the table is full. */
struct policy_notes {
    struct policy_note at[POLICY_ERRORS_MAX];
    unsigned count, error_count, warning_count;
};

struct policy_place {
    uint32_t line, column, width;
};

/* Adds one note; advice may be NULL. */
void policy_note_add(struct policy_notes *notes, struct policy_place place,
                     bool warning, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* By line and column; stable. */
void policy_notes_sort(struct policy_notes *notes);

/* Compiles a tree. The policy and everything it points to live in `m` (give an
 * arena); spans point into `m`, not into the tree. RC_CONFIG when there is any
 * error: all of them are in `notes`, sorted by position. `root` NULL gives the
 * built-in default policy. */
int policy_load(struct mem *m, const struct doc *root,
                const struct policy **ret, struct policy_notes *notes,
                struct fail *f) must_use;

/* Prints notes as file:line:column with the source line and a caret. Long
 * lines are cut around the place, control characters come out as spaces. */
struct buf;
void policy_notes_print(const struct policy_notes *notes, const char *file,
                        struct span source, bool colour, struct buf *out);

/* Bits of the classes that `tool` is in. */
uint32_t policy_tool_classes(const struct policy *p, struct span tool);

/* Does the set name this tool? */
bool policy_tools_match(const struct policy *p, const struct tool_set *s,
                        struct span tool, uint32_t tool_classes);

/* What a rule is matched against. */
struct rule_question {
    enum event_type type;
    enum subject_kind subject;
    struct span feed;
    const struct attr_path *changed; /* changed attributes, when known */
    unsigned changed_count;
    bool changed_anything; /* not listed or not parsable */
    struct filter_env env;
};

/* Does the rule match? A listed-attribute rule matches a `changed_anything`
 * event (tighten at once). UNKNOWN: a qualifying read must decide. A rule whose
 * steps are all STEP_RELEASE is not asked here; see policy_releases. */
enum tri policy_rule_match(const struct policy_rule *r,
                           const struct rule_question *q);

/* NULL when there is none. */
const struct policy_rule *policy_find_rule(const struct policy *p,
                                           struct span name);

/* The bits of enum feed_may that a step needs. */
unsigned policy_step_needs(const struct policy_step *s);

/* What a limit counts the step as; LIMIT_KIND_COUNT: nothing. */
enum limit_kind policy_step_limit(const struct policy *p,
                                  const struct policy_step *s);
/* Does `never_for` of limit `k` speak against a step counted as `step`, for an
 * agent with these attributes? Limits of suspend and cancel speak against all
 * that cannot be undone, the others against what they count. What is not known
 * (NULL: nothing) speaks against it. */
bool policy_limit_forbids(const struct policy *p, enum limit_kind k,
                          enum limit_kind step, const struct doc *attributes);
/* Cannot be undone: revoke, purge, and actions but for those of `beyond`. */
bool policy_limit_withholds(enum limit_kind k);

/* True when some step of the rule is a release of `hold` set by `rule_name`. */
bool policy_releases(const struct policy_rule *r, enum hold_kind hold,
                     struct span rule_name);

/* Is it only written what would happen at this time? */
bool policy_audits(const struct policy_mode *m, int64_t wall_ms);

/* When the next audit of a gate rule ends after this time: what was asked with
 * an earlier time holds until then. INT64_MAX: never. */
int64_t policy_gates_change_ms(const struct policy *p, int64_t wall_ms);
/* The same of all of it: the policy's own mode, rules, gate rules. */
int64_t policy_audits_change_ms(const struct policy *p, int64_t wall_ms);

/* What the gate rules say about a tool, whoever asks. */
struct gate_tool {
    uint32_t classes;
    bool reads_call; /* some requirement looks at the call */
    /* Gate rules that name it; of those that require the same the first. */
    struct rule_set rules;
    /* Strictest of all enforced rules that name it, or the defaults. */
    int64_t max_age_ms, old_allow_for_ms;
};
/* The rules are in `room`. */
void policy_gate_tool(const struct policy *p, struct span tool, int64_t wall_ms,
                      uint16_t room[POLICY_GATES_MAX], struct gate_tool *ret);

/* What they say to one agent, and which one said no. */
struct gate_verdict {
    bool allowed;
    bool would; /* allowed, but only because of audit mode */
    const struct policy_gate *decider; /* the rule that denied, or NULL */
};

/* All gate rules that name the tool must hold over env->resource; UNKNOWN and
 * absent count as no (also under `not`: see filter_env.absent_is_unknown). With
 * no gate rules at all every tool is allowed. A rule in audit mode names its
 * tools and lets pass; that some tool is named by none counts only when a gate
 * rule is enforced. */
struct gate_verdict policy_gate_eval(const struct policy *p,
                                     const struct gate_tool *tool,
                                     const struct filter_env *env,
                                     int64_t wall_ms);

/* MAY_ALL unless the feed is listed. */
unsigned policy_feed_may(const struct policy *p, struct span feed);

#endif
