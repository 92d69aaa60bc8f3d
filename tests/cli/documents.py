# SPDX-License-Identifier: Apache-2.0
"""What documents and helps say about the program: commands, options, paths,
examples. `run` collects these."""
import glob
import json
import os
import re
import shlex
import tempfile

from call import ROOT, bailiff, check, good_config, want, write

PAGES = ("README.md", "ARCHITECTURE.md", "SECURITY.md", "docs/*.md")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
NAME = re.compile(r"^  ([a-z]+) {2,}\S", re.M)


def pages():
    for pattern in PAGES:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            with open(path) as f:
                yield os.path.relpath(path, ROOT), f.read()


def helps():
    """(words of a command, its --help), of every command and every part."""
    for name in NAME.findall(bailiff("--help").out):
        text = bailiff(name, "--help").out
        if not re.match(r"usage: bailiff \w+ \[?COMMAND", text):
            yield (name,), text
            continue
        for part in NAME.findall(text):
            yield (name, part), bailiff(name, part, "--help").out


def options_of(text):
    """The options that the table at the end of a help explains."""
    return set(OPTION.findall("\n".join(
        line[:24] for line in text.splitlines() if re.match(r"  +-", line))))


def test_help_fits_and_is_true():
    count = 0
    for words, text in helps():
        check(text.startswith(f"usage: bailiff {' '.join(words)}"), words, text)
        check(all(len(line) < 80 for line in text.splitlines()), text)
        usage = set(OPTION.findall(text.split("\n\n")[0]))
        check(usage <= options_of(text), words, usage - options_of(text))
        for option in options_of(text):
            r = bailiff(*words, option, "v", "--zzz")
            check(r.code == 2 and option not in r.err, words, option, r.err)
            count += 1
    check(count > 90, count)


def test_help_of_parts():
    want(bailiff("policy"), 2, err="usage: bailiff policy COMMAND")
    want(bailiff("policy", "--help"), 0, "roll out:", "  diff  ")
    want(bailiff("help", "policy", "diff"), 0, "usage: bailiff policy diff")
    want(bailiff("help", "policy", "dif"), 2, err="did you mean 'diff'?")
    want(bailiff("policy", "chekc"), 2, err="did you mean 'check'?")
    want(bailiff("policy", "xyzzy"), 2, err="`bailiff policy --help`")
    want(bailiff("policy", "--json"), 2, err="usage: bailiff policy COMMAND")
    want(bailiff("jobs", "--help"), 0, "usage: bailiff jobs [COMMAND]",
         "  retry  ", "without COMMAND it is `list`")
    want(bailiff("help", "jobs", "retry"), 0, "usage: bailiff jobs retry ID")
    want(bailiff("log", "tial"), 2, err="did you mean 'tail'?")


def test_options_of_others_are_refused():
    """Commands share tables of options; what would be passed over is a
    mistake."""
    for words in (("hold", "add", "/Agents/7", "--cause", "x"),
                  ("hold", "lift", "/Agents/7", "--tools", "x"),
                  ("review", "deny", "/Agents/7", "-k", "review"),
                  ("jobs", "--reason", "x"), ("jobs", "list", "--withheld"),
                  ("log", "tail", "--kind", "gate"), ("log", "schema", "-j"),
                  ("set", "inspect", "--jwk", "x"),
                  ("agents", "show", "/Agents/7", "--limit", "3")):
        want(bailiff(*words), 2, err="unknown option")


def test_man_page_has_every_command():
    with open(os.path.join(ROOT, "docs/man/bailiff.1")) as f:
        page = re.sub(r'\\f.|\\|"', "", f.read())
    for words, text in helps():
        name = " ".join(words)
        check(f"bailiff {name}" in page, "bailiff.1 does not have", name)
        for option in options_of(text):
            check(option in page, "bailiff.1 does not have", option, "of", name)


def members(answer):
    """The names of all members of an answer, however deep."""
    if isinstance(answer, list):
        return set().union(*map(members, answer))
    if not isinstance(answer, dict):
        return set()
    return set(answer).union(*map(members, answer.values()))


def test_man_page_has_every_member_of_check():
    with open(os.path.join(ROOT, "docs/man/bailiff.1")) as f:
        page = f.read()
    with tempfile.TemporaryDirectory() as d:
        good_config(d)
        write(f"{d}/next.yaml", "kind: Policy\nruels: []\n")
        with open(f"{d}/bailiff.yaml") as f:
            text = f.read().replace("{file: policy.yaml}",
                                    "{file: policy.yaml, candidate: next.yaml}")
        write(f"{d}/bailiff.yaml", text)
        r = bailiff("check", "-c", f"{d}/bailiff.yaml", "--json")
        names = members(json.loads(r.out))
    check({"candidate", "notes", "advice"} <= names, names)
    for name in names:
        check(re.search(rf"\b{name}\b", page), "bailiff.1 lacks", name)


def command_lines(text):
    """Lines of code blocks that call bailiff: what they say after its name."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    blocks += re.findall(r"^    .*$", text, re.M)
    for line in "\n".join(blocks).splitlines():
        found = re.match(r"\s*(?:\$ |sudo )*bailiff ([^#|>]*)", line)
        if found:
            yield found.group(1)


def test_documents_show_real_commands():
    known = {words: options_of(text) for words, text in helps()}
    count = 0
    for page, text in pages():
        for line in command_lines(text):
            words = [w for w in shlex.split(line) if w not in "[]|"]
            name = tuple(words[:2])
            if name not in known:  # without parts, or its `list`
                name = name[:1] if name[:1] in known else (name[0], "list")
            check(name in known, page, line)
            used = set(OPTION.findall(line))
            check(used <= known[name], page, line, used - known[name])
            count += 1
    check(count > 20, count)


def test_documents_link_to_what_is_there():
    for page, text in pages():
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if "://" not in link:
                check(os.path.exists(os.path.join(
                    ROOT, os.path.dirname(page), link)), page, link)
        top = r"`((?:adapters|docs|examples|packaging|policy|proto|sidecar|" \
              r"tests)/[\w./-]*)`"
        for path in re.findall(top, text):
            check(os.path.exists(os.path.join(ROOT, path)), page, path)


def test_readme_lists_every_document():
    with open(os.path.join(ROOT, "README.md")) as f:
        page = f.read()
    for path in glob.glob(os.path.join(ROOT, "docs/*.md")):
        name = "docs/" + os.path.basename(path)
        check(f"]({name})" in page, "README.md does not name", name)


def test_placeholders_are_the_same_everywhere():
    """What actions fill in, what `policy check` knows, what the page lists."""
    def names(path, start, end, pattern):
        with open(os.path.join(ROOT, path)) as f:
            text = f.read()
        part = text[text.index(start):]
        return set(re.findall(pattern, part[:part.index(end)]))
    filled = names("sidecar/run/actions.c", "static unsigned fill_vars",
                   "return n;", r'SPAN\("([a-z.]+)"\)')
    check(len(filled) == 8, filled)
    known = names("policy/warn_action.c", "placeholders[] = {", "NULL",
                  r'"([a-z.]+)"')
    check(known == filled, known ^ filled)
    shown = names("docs/policy.md", "| placeholder |", "\n\n",
                  r"\{\{([a-z.]+)\}\}")
    check(shown - {"runtime.pod"} == filled, shown ^ filled)


def test_documented_tests_of_policies_pass():
    """Blocks of policy.md with tests, and what the page says of when_old."""
    with open(os.path.join(ROOT, "docs/policy.md")) as f:
        page = f.read()
    gate = re.search(r"```yaml\n(gate:.*?)```", page, re.S).group(1)
    # the SCIM server is down, and only age speaks against the last read
    text = ("apiVersion: bailiff/v1\nkind: Policy\n"
            'tool_classes: {money: ["pay.*"], lookup: ["kb.*"]}\n' + gate +
            "tests:\n  - name: an hour\n    given: {agent: {uri: /Agents/7, "
            "active: true, groups: [g-81f2]}}\n    steps:\n"
            "      - read: {/Agents/7: fails}\n      - wait: 20m\n"
            "      - expect: {gate: [{tool: kb.x, decision: allow}, "
            "{tool: pay.x, run: r, decision: deny, reason: refresh_failed}]}\n"
            "      - wait: 2h\n"
            "      - expect: {gate: {tool: kb.x, decision: deny}}\n")
    with tempfile.TemporaryDirectory() as d:
        write(f"{d}/p.yaml", text)
        want(bailiff("policy", "test", f"{d}/p.yaml"), 0, "1 passed, 0 failed")
