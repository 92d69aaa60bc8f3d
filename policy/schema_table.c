// SPDX-License-Identifier: Apache-2.0
#include "policy/schema_table.h"

#define END                                                                    \
    {                                                                          \
        NULL, NULL, false, NULL, NULL                                          \
    }
#define ONE_KEY "\"minProperties\":1,\"maxProperties\":1"
#define WITHIN                                                                 \
    {                                                                          \
        "within", "@duration", false,                                          \
            "The job must be confirmed within this time.", NULL                \
    }
#define OTHERWISE                                                              \
    {                                                                          \
        "otherwise", "@name|[@name", false,                                    \
            "Actions that run when the job was not confirmed in time.", NULL   \
    }

const struct schema_scalar schema_scalars[] = {
    {"name", "Lower-case letters, digits, - and _; at most 64.",
     "\"type\":[\"string\",\"integer\"],\"maxLength\":64,"
     "\"pattern\":\"^[a-z0-9][a-z0-9_-]*$\""},
    {"feed_name", "Name of a feed: lower-case letters, digits and -.",
     "\"type\":\"string\",\"maxLength\":32,"
     "\"pattern\":\"^[a-z0-9][a-z0-9-]*$\""},
    {"text", "Any text.", "\"type\":\"string\",\"minLength\":1"},
    {"truth", "true or false.", "\"type\":\"boolean\""},
    {"duration", "A number and one unit: 250ms 2s 15m 24h 30d.",
     "\"type\":\"string\",\"pattern\":\"^0*[1-9][0-9]*(ms|s|m|h|d)$\""},
    {"duration_or_0", "A duration, or 0s.",
     "\"type\":\"string\",\"pattern\":\"^(0s|0*[1-9][0-9]*(ms|s|m|h|d))$\""},
    {"date", "A date or a time: 2027-02-01, 2027-02-01T08:00:00Z.",
     "\"type\":\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}\""},
    {"condition",
     "A SCIM filter: active eq true and groups.value eq \\\"g-1\\\". Quote "
     "it.",
     "\"type\":\"string\",\"minLength\":1,\"maxLength\":4096"},
    {"attribute", "An attribute as in a SCIM PATCH: roles, name.familyName.",
     "\"type\":\"string\",\"minLength\":1"},
    {"tool", "A tool class, a tool, or a pattern with *.",
     "\"type\":\"string\",\"minLength\":1"},
    {"url", "https://..., with {{placeholders}}.",
     "\"type\":\"string\",\"pattern\":\"^https?://\""},
    {"file", "Absolute path of a file.",
     "\"type\":\"string\",\"pattern\":\"^/\""},
    {"status", "An HTTP status.",
     "\"type\":\"integer\",\"minimum\":100,\"maximum\":599"},
    {"agents_max", "A number of agents.",
     "\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000"},
    {"path", "A resource of a test: /Agents/7, /Users/kim, /Groups/g-1.",
     "\"type\":\"string\",\"pattern\":\"^/(Agents|Users|Groups)/[^/]+$\""},
    {"headers", "Header fields.",
     "\"type\":\"object\",\"maxProperties\":8,"
     "\"additionalProperties\":{\"type\":\"string\",\"minLength\":1}"},
    {"word", "A text or a number.", "\"type\":[\"string\",\"integer\"]"},
    {NULL, NULL, NULL},
};

/* ---- the file ---- */

static const struct schema_key policy[] = {
    {"apiVersion", "=bailiff/v1", true, "Version of the policy language.",
     NULL},
    {"kind", "=Policy", true, "What this file is.", NULL},
    {"defaults", "@defaults", false, "What holds where nothing else is said.",
     NULL},
    {"agents", "@agents", false,
     "Which resources are agents, beside those whose type says so.", NULL},
    {"tool_classes", "{n@tool_patterns", false,
     "Names for sets of tools: money: [\\\"payments.*\\\"].", NULL},
    {"rules", "(1024@rule", false,
     "What follows an event. Every rule that matches applies, the most "
     "restrictive outcome wins, order never matters.",
     NULL},
    {"gate", "(1024@gate_rule", false,
     "What an agent must fulfil to use a tool. With any gate rule in the file, "
     "a tool that none names is denied.",
     NULL},
    {"limits", "@limits", false,
     "How many agents one feed may hit before steps that cannot be undone wait "
     "for a person.",
     NULL},
    {"feeds", "{f@feed", false, "What the statements of a feed may do.", NULL},
    {"actions", "{n@action", false, "Named HTTP requests.", NULL},
    {"tests", "(1024@test", false, "Tests of this policy: bailiff policy test.",
     NULL},
    END};

static const struct schema_key test_file[] = {
    {"apiVersion", "=bailiff/v1", true, "Version of the policy language.",
     NULL},
    {"kind", "=PolicyTest", true, "What this file is.", NULL},
    {"policy", "@text", true,
     "The policy under test: a path relative to this file.", NULL},
    {"tests", "(1024@test", true, "Tests of that policy.", NULL},
    END};

/* ---- defaults ---- */

static const struct schema_key defaults[] = {
    {"mode", "=enforce|@audit_mode", false,
     "enforce, or audit until a date: write what would happen, change "
     "nothing.",
     "\"enforce\""},
    {"unknown_agent", "=deny|=lookup", false,
     "For an agent that was never read: deny, or read it once and decide.",
     "\"lookup\""},
    {"rule_subject", "=agent|=user|=group", false,
     "Subject of a rule that names none.", "\"agent\""},
    {"max_age", "@duration", false, "How old the last read may be.", "\"15m\""},
    {"refresh", "@refresh", false, "Reads before an answer.", NULL},
    {"open_calls", "@open_calls", false,
     "Calls that run while their agent becomes stale.", NULL},
    {"feed_silent", "=never|@feed_silent", false,
     "What to do when a feed shows no sign of life.", NULL},
    END};
static const struct schema_key audit_mode[] = {
    {"audit", "@audit", true, "Write what would happen, change nothing.", NULL},
    END};
static const struct schema_key audit[] = {
    {"until", "@date", true, "The day on which enforcement starts.", NULL},
    END};
static const struct schema_key refresh[] = {
    {"timeout", "@duration", false, "How long a question waits for a read.",
     "\"2s\""},
    {"when_old", "=deny|@allow_for", false,
     "When the read fails and only age speaks against the last one.",
     "\"deny\""},
    {"when_changed", "=deny", false, "When the read fails after an event.",
     "\"deny\""},
    {"settle", "@duration_or_0", false,
     "How long after an event a read counts without an ETag that differs.",
     "\"5s\""},
    END};
static const struct schema_key allow_for[] = {
    {"allow_for", "@duration", true,
     "Use the old read this long beyond its age.", NULL},
    END};
static const struct schema_key open_calls[] = {
    {"read", "=now|=at_next_question", false,
     "When a stale agent with running calls is read.", "\"now\""},
    {"if_denied", "=cancel|=leave", false,
     "What happens to running calls that the read speaks against.",
     "\"cancel\""},
    END};
static const struct schema_key feed_silent[] = {
    {"after", "@duration", true, "How long a feed may be silent.", NULL},
    {"then", "=refresh|=record", false,
     "Make its agents stale, or only write a record.", "\"refresh\""},
    END};
static const struct schema_key agents[] = {
    {"where", "@condition", true, "A resource that fulfils it is an agent.",
     NULL},
    END};

/* ---- rules ---- */

static const struct schema_key rule[] = {
    {"name", "@name", true, "Unique among the rules.", NULL},
    {"events", "@event|@schedule|[@event_or_schedule", true,
     "The events it is about: short names or URIs; \\\"*\\\" is every "
     "statement a feed can send.",
     NULL},
    {"subject", "=agent|=user|=group", false,
     "What the event must be about; without it defaults.rule_subject.", NULL},
    {"applies_to", "=subject|=members|=children|@owned", false,
     "Whom the steps hit: the subject, the members of the group, the children "
     "of the agent, or the agents that the user owns.",
     "\"subject\""},
    {"agents_where", "@condition", false,
     "Only those members, children or owned agents that fulfil it.", NULL},
    {"changed", "@attribute|[@attribute", false,
     "Match when one of these attributes may have changed.", NULL},
    {"where", "@condition", false,
     "A condition over the subject and event.*; event.* not with release.",
     NULL},
    {"feeds", "@feed_name|[@feed_name", false,
     "Only statements of these feeds; without it of all.", NULL},
    {"mode", "=enforce|@audit_mode", false,
     "audit until a date: write what this rule would do, do nothing.",
     "\"enforce\""},
    {"do", "[16@step", true, "What happens.", NULL},
    END};
static const struct schema_key schedule[] = {
    {"every", "@duration", false,
     "So long after the agent became known, and again after that.", NULL},
    {"idle", "@duration", false,
     "When no question of the agent was allowed for so long.", NULL},
    END};
static const struct schema_key owned[] = {
    {"owned_agents", "@left", true, "The agents that the user owns.", NULL},
    END};
static const struct schema_key left[] = {
    {"left", "=last_owner|=any_owner", true,
     "When the last owner, or any owner, has left.", NULL},
    END};

/* ---- steps ---- */

static const struct schema_key step_map[] = {
    {"hold", "=suspended|@hold", false,
     "Stop the agent: until released, or until a person approves.", NULL},
    {"refresh", "~|@plain", false, "Read the subject now.", NULL},
    {"cancel", "~|=all|@cancel", false, "Cancel running calls.", NULL},
    {"revoke", "~|=all|@revoke", false, "Revoke the agent's tokens.", NULL},
    {"purge", "~|@store|[4@store|@purge", false,
     "Have stored work and state deleted; alone it means all four stores.",
     NULL},
    {"release", "@release", false,
     "End holds; decided on reads only, from the state that was read.", NULL},
    {"notify", "@name", false, "Run the named action.", NULL},
    END};
static const struct schema_key plain[] = {WITHIN, OTHERWISE, END};
static const struct schema_key hold[] = {
    {"suspended", "@suspended", false, "Hold until a rule or person lifts it.",
     NULL},
    {"review", "@review", false, "Hold until a person approves.", NULL},
    END};
static const struct schema_key suspended[] = {
    {"tools", "@tool|[@tool", false, "Only these tools; without it all.", NULL},
    END};
static const struct schema_key review[] = {
    {"by", "@condition", true, "Who may approve: a condition over the person.",
     NULL},
    {"within", "@duration", true, "How long the review may take.", NULL},
    {"otherwise", "=suspended", false, "What follows without an approval.",
     "\"suspended\""},
    {"tools", "@tool|[@tool", false, "Only these tools; without it all.", NULL},
    END};
static const struct schema_key cancel[] = {
    {"calls", "=all|@calls", true, "Which running calls.", NULL},
    WITHIN,
    OTHERWISE,
    END};
static const struct schema_key calls[] = {
    {"class", "@name|[@name", false, "Calls of tools in these classes.", NULL},
    {"tools", "@tool|[@tool", false, "Calls of these tools.", NULL},
    END};
static const struct schema_key revoke[] = {
    {"tokens", "=all", true, "All tokens of the agent.", NULL},
    WITHIN,
    OTHERWISE,
    END};
static const struct schema_key purge[] = {
    {"stores", "@store|[4@store", true, "What is deleted.", NULL},
    WITHIN,
    OTHERWISE,
    END};
static const struct schema_key release[] = {
    {"suspended", "@set_by", true, "Suspended holds.", NULL}, END};
static const struct schema_key set_by[] = {
    {"set_by", "@name|[@name", true, "Rules whose holds are ended.", NULL},
    END};

/* ---- gate, feeds, actions ---- */

static const struct schema_key gate_rule[] = {
    {"name", "@name", true, "Unique among the gate rules.", NULL},
    {"tools", "@tool|[@tool", true,
     "Classes, tools, patterns; \\\"*\\\" is every tool.", NULL},
    {"require", "@condition", false,
     "A condition over the agent, call.*, tool and tool_class; an absent "
     "attribute never fulfils it.",
     NULL},
    {"max_age", "@duration", false,
     "How old the last read may be; the strictest rule of a tool counts.",
     NULL},
    {"when_old", "=deny|@allow_for", false,
     "When the read fails and only age speaks against the last one; the "
     "strictest rule of a tool counts. Without it defaults.refresh.when_old.",
     NULL},
    {"mode", "=enforce|@audit_mode", false,
     "audit until a date: let pass, and write what would be denied.",
     "\"enforce\""},
    END};
static const struct schema_key limits[] = {
    {"suspend", "@limit", false, "Agents that are held.", NULL},
    {"cancel", "@limit", false, "Agents whose calls are cancelled.", NULL},
    {"revoke", "@limit", false, "Agents whose tokens are revoked.", NULL},
    {"purge", "@limit", false, "Agents whose stored work is deleted.", NULL},
    {"http", "@limit", false,
     "Agents about which actions run, but for those that call a person.", NULL},
    END};
static const struct schema_key limit[] = {
    {"max", "@agents_max", true, "How many agents within the time.", NULL},
    {"per", "@duration", true, "The time, up to now.", NULL},
    {"of_feed", "=each|=all", false,
     "Each feed has a count of its own, or all together.", "\"each\""},
    {"never_for", "@condition", false,
     "For agents that fulfil it, and for those not read yet, steps that cannot "
     "be undone always wait for a person.",
     NULL},
    {"beyond", "@name|[@name", false, "Actions that call a person.", NULL},
    END};
static const struct schema_key feed[] = {
    {"may", "@may|(4@may", false,
     "What its statements may do; without it everything.", NULL},
    {"meaning", "@text", false,
     "Stands in records beside the feed's deactivate.", NULL},
    END};
static const struct schema_key action[] = {
    {"http", "@http", true, "An HTTP request.", NULL}, END};
static const struct schema_key http[] = {
    {"preset", "=slack-webhook|=pagerduty", false,
     "Decides method, body and content type.", NULL},
    {"method", "=GET|=POST|=PUT|=PATCH|=DELETE", false, "The HTTP method.",
     "\"POST\""},
    {"url", "@url", false, "The address; may hold {{placeholders}}.", NULL},
    {"url_file", "@file", false,
     "A file that holds the address, when that is a secret.", NULL},
    {"key_file", "@file", false, "A file with the key of preset pagerduty.",
     NULL},
    {"headers", "@headers", false,
     "At most 8 header fields; values may hold {{placeholders}}.", NULL},
    {"body", "@text", false, "The body; may hold {{placeholders}}.", NULL},
    {"content_type", "@text", false, "Content-Type of the body.", NULL},
    {"bearer_file", "@file", false, "A file with a bearer token.", NULL},
    {"ca_file", "@file", false, "The certificate authority to trust.", NULL},
    {"success", "@status|[8@status", false,
     "Statuses that mean done; without it 200 to 299.", NULL},
    {"done_already", "@status|[8@status", false,
     "Statuses that also mean done, such as 404.", NULL},
    END};

/* ---- tests ---- */

static const struct schema_key test[] = {
    {"name", "@text", true, "What the test shows.", NULL},
    {"given", "@given", true, "The state before.", NULL},
    {"jobs", "{n@job_answer", false, "How the outside answers jobs.", NULL},
    {"event", "@test_event|[@test_event", false, "What arrives.", NULL},
    {"expect", "@expect|[@expect", false, "What must follow.", NULL},
    {"steps", "(256@test_step", false,
     "Several events, waits and expectations in order.", NULL},
    END};
static const struct schema_key given[] = {
    {"agent", "@resource|[256@resource", false, "An agent, as a read sees it.",
     NULL},
    {"agents", "@resource|[256@resource", false, "Agents.", NULL},
    {"user", "@resource|[256@resource", false, "A user.", NULL},
    {"users", "@resource|[256@resource", false, "Users.", NULL},
    {"group", "@resource|[256@resource", false, "A group.", NULL},
    {"groups", "@resource|[256@resource", false, "Groups.", NULL},
    {"calls", "(256@call_or_tool", false, "Calls that are running.", NULL},
    {"credentials", "(256@credential_or_id", false, "Tokens that were issued.",
     NULL},
    {"time", "@date", false, "The time at which the test starts.", NULL},
    END};
static const struct schema_key given_call[] = {
    {"tool", "@text", true, "The tool.", NULL},
    {"agent", "@path", false, "The agent, when several are given.", NULL},
    {"id", "@text", false, "Identifier of the call.", NULL},
    {"run", "@text", false, "Identifier of the run.", NULL},
    END};
static const struct schema_key given_credential[] = {
    {"id", "@text", true, "Name of the token.", NULL},
    {"agent", "@path", false, "The agent, when several are given.", NULL},
    {"refresh", "@truth", false, "It is a refresh token.", "false"},
    END};
static const struct schema_key test_event[] = {
    {"feed", "@name", false, "The feed that it comes from.", NULL},
    {"version", "@word", false, "The ETag that the event carries.", NULL},
    {"changed", "@attribute|[@attribute", false,
     "What a patch, put or create says has changed.", NULL},
    {"data", "{*?", false, "The resource that a full event carries.", NULL},
    {"payload", "{*?", false, "Other members of the event.", NULL},
    {"read", "@found|{p@found", false, "What the reads that follow find.",
     NULL},
    {"after", "@duration", false, "Time that passes before it.", NULL},
    END};
static const struct schema_key test_step[] = {
    {"event", "@test_event", false, "An event arrives.", NULL},
    {"expect", "@expect|[@expect", false, "What must hold now.", NULL},
    {"wait", "@duration", false, "Time passes.", NULL},
    {"read", "{p@found", false, "What reads find from now on.", NULL},
    {"silent", "@text|[@text", false, "Feeds that fall silent.", NULL},
    {"operator", "@operator", false, "A person acts.", NULL},
    {"jobs", "{n@job_answer", false, "How the outside answers from now on.",
     NULL},
    END};
static const struct schema_key operator_step[] = {
    {"hold", "@path", false, "Hold this agent.", NULL},
    {"lift", "@path", false, "Lift the operator's hold.", NULL},
    {"approve", "@path", false, "Approve its review.", NULL},
    {"deny", "@path", false, "Deny its review.", NULL},
    {"as", "{*?", false, "The person: userName, groups ...", NULL},
    END};
static const struct schema_key expect[] = {
    {"agent", "@path", false, "Whom this is about; the first agent given.",
     NULL},
    {"hold", "@hold_word|(@hold_word", false,
     "The kinds of hold on the agent, or none.", NULL},
    {"actions", "@name|(@name", false,
     "The jobs that were made: cancel, revoke, purge, actions.", NULL},
    {"would", "@step_word|(@step_word", false,
     "Steps that audit mode only wrote down.", NULL},
    {"not_permitted", "@step_word|(@step_word", false,
     "Steps that the feed may not take.", NULL},
    {"rules", "@name|(@name", false, "Rules that matched.", NULL},
    {"pending", "@name|(@name", false, "Rules that wait for a read.", NULL},
    {"calls", "@text|(@text", false, "Tools whose calls still run.", NULL},
    {"standing", "=may_act|=inactive|=stale|=held|=unknown|=gone", false,
     "May the agent act?", NULL},
    {"gate", "@gate_question|[@gate_question", false, "Questions to the gate.",
     NULL},
    {"jobs", "{n@job_states", false, "The state of the jobs of an action.",
     NULL},
    END};
static const struct schema_key gate_question[] = {
    {"tool", "@text", true, "The tool asked for.", NULL},
    {"decision", "=deny|=allow", true, "The answer that must come.", NULL},
    {"agent", "@path", false, "Who asks; the agent of the expectation.", NULL},
    {"run", "@text", false, "Identifier of the run.", NULL},
    {"reason", "@text", false, "The reason that must be given.", NULL},
    {"rule", "@text", false, "The gate rule that must decide.", NULL},
    {"would", "@truth", false, "Is it allowed only because of audit mode?",
     NULL},
    END};

#define SHAPE(name, doc, extra)                                                \
    {                                                                          \
#name, doc, name, extra, false                                         \
    }
#define OPEN(name, doc, extra)                                                 \
    {                                                                          \
#name, doc, name, extra, true                                          \
    }

const struct schema_shape schema_shapes[] = {
    SHAPE(policy, "A policy file.", NULL),
    SHAPE(test_file, "A file of tests beside a policy.", NULL),
    SHAPE(defaults, "What holds where nothing else is said.", NULL),
    SHAPE(audit_mode, "Audit mode.", NULL),
    SHAPE(audit, "Audit mode needs an end.", NULL),
    SHAPE(refresh, "Reads before an answer.", NULL),
    SHAPE(allow_for, "Use an old read for a while.", NULL),
    SHAPE(open_calls, "Running calls of a stale agent.", NULL),
    SHAPE(feed_silent, "The dead man's switch.", NULL),
    SHAPE(agents, "Which resources are agents.", NULL),
    SHAPE(rule, "What follows an event.", NULL),
    SHAPE(schedule, "A schedule instead of an event.", ONE_KEY),
    SHAPE(owned, "The agents that a user owns.", NULL),
    SHAPE(left, "Which owner must have left.", NULL),
    OPEN(step_map, "A step with a value; an action's name is a step too.",
         "\"propertyNames\":{\"$ref\":\"#/definitions/name\"},"
         "\"additionalProperties\":{\"description\":\"Run this action.\","
         "\"anyOf\":[{\"type\":\"null\"},"
         "{\"$ref\":\"#/definitions/plain\"}]}," ONE_KEY),
    SHAPE(plain, "When it must be confirmed.", NULL),
    SHAPE(hold, "What kind of hold.", ONE_KEY),
    SHAPE(suspended, "A suspended hold.", NULL),
    SHAPE(review, "A review by a person.", NULL),
    SHAPE(cancel, "Cancel running calls.", NULL),
    SHAPE(calls, "Some of the calls.", ONE_KEY),
    SHAPE(revoke, "Revoke tokens.", NULL),
    SHAPE(purge, "Delete stored work.", NULL),
    SHAPE(release, "End holds.", NULL),
    SHAPE(set_by, "Whose holds.", NULL),
    SHAPE(gate_rule, "What an agent must fulfil to use tools.", NULL),
    SHAPE(limits, "What is counted.", "\"minProperties\":1"),
    SHAPE(limit, "How many agents, and what follows.", NULL),
    SHAPE(feed, "One feed.", NULL),
    SHAPE(action, "One action.", NULL),
    SHAPE(http, "An HTTP request.",
          "\"anyOf\":[{\"required\":[\"url\"]},{\"required\":[\"url_file\"]},"
          "{\"required\":[\"preset\",\"key_file\"]}],"
          "\"not\":{\"required\":[\"url\",\"url_file\"]}"),
    SHAPE(test, "One test.",
          "\"anyOf\":[{\"required\":[\"expect\"]},{\"required\":[\"steps\"]}]"),
    SHAPE(given, "The state before.", NULL),
    SHAPE(given_call, "A running call.", NULL),
    SHAPE(given_credential, "A token.", NULL),
    OPEN(test_event, "The type of the event with its subject, and options.",
         "\"additionalProperties\":{\"description\":\"TYPE: PATH, such as "
         "deactivate: /Agents/7.\",\"$ref\":\"#/definitions/path\"},"
         "\"minProperties\":1"),
    SHAPE(test_step, "One step of a test.", ONE_KEY),
    {"operator", "What a person does.", operator_step, NULL, false},
    SHAPE(expect, "What must hold.", "\"minProperties\":1"),
    SHAPE(gate_question, "A question to the gate.", NULL),
    {NULL, NULL, NULL, NULL, false},
};
