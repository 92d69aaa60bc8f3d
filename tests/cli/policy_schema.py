# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of policy files against the loader: the same keys, good
files validate, files with mistakes of structure do not."""
import glob
import json
import os
import re

import jsonschema
import yaml

HEAD = "apiVersion: bailiff/v1\nkind: Policy\n"
ACTIONS = 'actions: {a: {http: {url: "https://a.example/", ODD}}}\n'
RULE = "rules: [{name: r, events: patch, DO}]\n"
TEST = "tests: [{name: t, given: {agent: /Agents/7}, %s}]\n"
STEPS = TEST % "steps: [%s]"


def rule(do):
    return RULE.replace("DO", "do: [%s]" % do)


# Where the loader names every key it knows: definition, text with ODD in it.
PLACES = {
    "policy": "ODD\n",
    "defaults": "defaults: {ODD}\n",
    "audit_mode": "defaults: {mode: {ODD}}\n",
    "audit": "defaults: {mode: {audit: {ODD}}}\n",
    "refresh": "defaults: {refresh: {ODD}}\n",
    "allow_for": "defaults: {refresh: {when_old: {ODD}}}\n",
    "open_calls": "defaults: {open_calls: {ODD}}\n",
    "feed_silent": "defaults: {feed_silent: {ODD}}\n",
    "agents": "agents: {ODD}\n",
    "rule": "rules: [{ODD}]\n",
    "schedule": "rules: [{name: r, events: {ODD}, do: [refresh]}]\n",
    "owned": "rules: [{applies_to: {ODD}}]\n",
    "left": "rules: [{applies_to: {owned_agents: {ODD}}}]\n",
    "plain": rule("{refresh: {ODD}}"),
    "hold": rule("{hold: {ODD}}"),
    "suspended": rule("{hold: {suspended: {ODD}}}"),
    "review": rule("{hold: {review: {ODD}}}"),
    "cancel": rule("{cancel: {ODD}}"),
    "calls": rule("{cancel: {calls: {ODD}}}"),
    "revoke": rule("{revoke: {ODD}}"),
    "purge": rule("{purge: {ODD}}"),
    "release": rule("{release: {ODD}}"),
    "set_by": rule("{release: {suspended: {ODD}}}"),
    "gate_rule": "gate: [{ODD}]\n",
    "limits": "limits: {ODD}\n",
    "limit": "limits: {suspend: {ODD}}\n",
    "feed": "feeds: {hr: {ODD}}\n",
    "action": "actions: {a: {ODD}}\n",
    "http": ACTIONS,
    "test": "tests: [{ODD}]\n",
    "given": "tests: [{given: {ODD}}]\n",
    "given_call": "tests: [{given: {agent: /Agents/7, calls: [{ODD}]}}]\n",
    "given_credential": "tests: [{given: {credentials: [{ODD}]}}]\n",
    "test_step": STEPS % "{ODD}",
    "operator": STEPS % "{operator: {ODD}}",
    "expect": STEPS % "{expect: {ODD}}",
    "gate_question": STEPS % "{expect: {gate: {ODD}}}",
}
# Their keys depend on the rest of the file; each one is tried by itself.
TRIED = {"step_map": rule("{KEY: 7}"),
         "test_event": TEST % "event: {KEY: 7}, expect: {hold: none}"}
ELSEWHERE = {"test_file"}

# Mistakes that a schema can see; the others need the names in the file.
STRUCTURAL = ["kinds", "kinds-of-parts", "mode", "no-version", "not-a-map",
              "unknown-keys", "version", "durations", "empty",
              "limits", "limits-list", "schedules"]


class Loader(yaml.SafeLoader):
    """Dates stay text, as in the policy language."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows
            if not tag.endswith(":timestamp")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def tree(path):
    with open(path, encoding="utf-8") as f:
        return yaml.load(f.read(), Loader=Loader)


def nodes(schema):
    """Every schema with its place, without the maps that hold schemas."""
    todo = [("", schema, True)]
    while todo:
        at, node, is_schema = todo.pop()
        if is_schema:
            yield at, node
        for key, value in node.items():
            inner = not (is_schema and key in ("properties", "definitions"))
            for i, it in enumerate(value if isinstance(value, list)
                                   else [value]):
                if isinstance(it, dict):
                    todo.append((f"{at}/{key}/{i}", it, inner))


def check_form(schema, check):
    jsonschema.Draft7Validator.check_schema(schema)
    used = {"policy", "test_file"}
    for at, node in nodes(schema):
        for key, prop in node.get("properties", {}).items():
            if at.startswith("/if"):
                continue
            check(prop.get("description", " ")[-1] in ".?", at, key)
            check("$ref" not in prop, at, key, "$ref hides its siblings")
        ref = node.get("$ref")
        if ref is not None:
            name = ref.removeprefix("#/definitions/")
            check(name in schema["definitions"], at, ref)
            used.add(name)
    check(used == set(schema["definitions"]), "unused definitions",
          set(schema["definitions"]) - used)


def check_keys(schema, load, check):
    shapes = {name for name, d in schema["definitions"].items()
              if "properties" in d}
    check(shapes == set(PLACES) | set(TRIED) | ELSEWHERE, "places",
          shapes ^ (set(PLACES) | set(TRIED) | ELSEWHERE))
    for name, text in PLACES.items():
        out = load(HEAD + text.replace("ODD", "qqqqqqqq: 1"))
        known = re.search(r"help: known here: (.*)", out)
        check(known, name, out)
        mine = set(schema["definitions"][name]["properties"])
        check(mine == set(known.group(1).split()), name,
              mine ^ set(known.group(1).split()))
    for name, text in TRIED.items():
        for key in schema["definitions"][name]["properties"]:
            out = load(HEAD + text.replace("KEY", key))
            check("no step" not in out and "neither an event" not in out,
                  name, key, out)


def check_required(schema, load, check):
    """What is required in the schema is what the loader misses."""
    for name, text in PLACES.items():
        out = load(text.replace("ODD", "") if name == "policy"
                   else HEAD + text.replace("ODD", ""))
        for key in schema["definitions"][name].get("required", []):
            check(f"needs '{key}'" in out or f"'{key}'" in out, name, key, out)


def check_files(schema, root, is_good, check):
    validator = jsonschema.Draft7Validator(schema)
    good = 0
    for pattern in ("examples/*.yaml", "examples/*/*.yaml",
                    "tests/golden/policy*/*.yaml"):
        for path in sorted(glob.glob(os.path.join(root, pattern))):
            name = os.path.basename(path)[:-5]
            if name == "bailiff" or not is_good(path):
                continue
            found = [e.message for e in validator.iter_errors(tree(path))]
            check(not found, path, found)
            good += 1
    check(good >= 12, "only", good, "good files")
    for name in STRUCTURAL:
        path = os.path.join(root, f"tests/golden/policy/{name}.yaml")
        check(not is_good(path), path, "is a good policy")
        check(not validator.is_valid(tree(path)), path, "validates")


def check_kept(schema, root, check):
    with open(os.path.join(root, "docs/policy.schema.json")) as f:
        check(json.load(f) == schema, "docs/policy.schema.json is old: bailiff "
              "policy schema | python3 -m json.tool > docs/policy.schema.json")
