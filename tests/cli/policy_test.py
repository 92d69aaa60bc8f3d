# SPDX-License-Identifier: Apache-2.0
"""`bailiff policy test`, and the example policies. `run` collects these."""
import json
import os
import tempfile
import time
import xml.etree.ElementTree

from call import ROOT, bailiff, check, good_config, want, write


def policy_files():
    names = sorted(os.listdir(os.path.join(ROOT, "examples/policies")))
    return ["examples/policy.yaml"] + [f"examples/policies/{n}" for n in names]


def test_example_policies():
    files = policy_files()
    check(len(files) >= 9, files)
    for name in files:
        want(bailiff("policy", "check", name), 0, ": ok, ")
    r = bailiff("policy", "test", "--coverage", *files)
    want(r, 0, " passed, 0 failed")
    for line in r.out.splitlines():
        check("examples/policies" not in line or "never matched" not in line,
              line)


def golden_outputs():
    files = ["tests/golden/policy_test/failing.yaml",
             "tests/golden/policy_test/beside.yaml"]
    with tempfile.TemporaryDirectory() as d:
        text = bailiff("policy", "test", *files, "--coverage",
                       "--junit", f"{d}/out.xml")
        check(text.code == 1 and text.err == "", text.code, text.err)
        with open(f"{d}/out.xml") as f:
            yield "junit.xml", f.read()
    yield "text", text.out
    yield "json", bailiff("policy", "test", "--json", *files).out
    yield "tap", bailiff("policy", "test", "--tap", *files).out
    yield "verbose", bailiff("policy", "test", "-v", files[0]).out
    yield "errors", bailiff("policy", "test",
                            "tests/golden/policy_test/wrong.yaml").out


def test_policy_test_output():
    for name, got in golden_outputs():
        path = os.path.join(ROOT, f"tests/golden/policy_test/want.{name}")
        if os.environ.get("GOLDEN_UPDATE"):
            with open(path, "w") as f:
                f.write(got)
        with open(path) as f:
            check(f.read() == got, name, "differs:", got)


def test_policy_test_is_well_formed():
    out = dict(golden_outputs())
    answer = json.loads(out["json"])
    check(answer["passed"] == 2 and answer["failed"] == 5, answer["passed"])
    check(answer["files"][1]["coverage"]["rules"][1]["matched"] > 0, "never")
    root = xml.etree.ElementTree.fromstring(out["junit.xml"])
    check(root.get("failures") == "5", root.attrib)
    check(len(root.findall(".//testcase/failure")) == 5, "failures")
    lines = out["tap"].splitlines()
    check(lines[:2] == ["TAP version 14", "1..7"], lines[:2])
    check(sum(n.startswith("not ok ") for n in lines) == 5, lines)


def test_policy_test_of_files_with_errors():
    """Tests that could not run are not tests that passed, in any form."""
    wrong = "tests/golden/policy_test/wrong.yaml"
    good = "examples/policy.yaml"
    r = bailiff("policy", "test", good, wrong)
    want(r, 1, "1 passed, 0 failed, 1 file with errors\n")
    answer = bailiff("policy", "test", "--json", good, wrong)
    check(answer.code == 1, answer.code)
    told = json.loads(answer.out)
    check(told["ok"] is False and told["passed"] == 1, told)
    check(told["files_with_errors"] == [wrong], told)
    want(bailiff("policy", "test", "--tap", good, wrong), 1,
         "1..1\nok 1", f"\nBail out! errors in {wrong}\n")
    with tempfile.TemporaryDirectory() as d:
        bailiff("policy", "test", good, wrong, "--junit", f"{d}/out.xml")
        root = xml.etree.ElementTree.parse(f"{d}/out.xml").getroot()
    check((root.get("tests"), root.get("errors")) == ("2", "1"), root.attrib)
    check(len(root.findall(".//testcase/error")) == 1, "error")


def test_policy_test_about_nobody():
    """A question about no agent is denied, and proves nothing."""
    text = ("apiVersion: bailiff/v1\nkind: Policy\nrules: []\ntests:\n"
            "  - name: %s\n    given: {}\n    event: {deactivate: /Agents/8}\n"
            "    expect: {%s}\n")
    ask = "gate: {%stool: x, decision: deny}"
    with tempfile.TemporaryDirectory() as d:
        for expect in (ask % "", "hold: suspended"):
            write(f"{d}/p.yaml", text % ("nobody", expect))
            r = bailiff("policy", "test", f"{d}/p.yaml")
            want(r, 1, "no agent is given to look at", "0 passed, 1 failed")
            check("expected" not in r.out, r.out)
        write(f"{d}/p.yaml", text % ("one", ask % "agent: /Agents/8, "))
        want(bailiff("policy", "test", f"{d}/p.yaml"), 0, "1 passed, 0 failed")


def test_policy_test_usage():
    example = "examples/policy.yaml"
    want(bailiff("policy", "test", example), 0, "1 passed, 0 failed\n")
    want(bailiff("policy", "test"), 2, err="needs a policy")
    want(bailiff("policy", "test", example, "--jsn"), 2, err="--json")
    want(bailiff("policy", "test", "--json", "--tap", example), 2,
         err="not both")
    want(bailiff("policy", "check", "--tap", example), 2,
         err="unknown option --tap")
    want(bailiff("policy", "test", "/nonexistent.yaml"), 3, err="No such file")
    want(bailiff("policy", "test", example, "--junit", "/nonexistent/x"), 3,
         err="nonexistent")


def test_policy_test_bounds():
    with tempfile.TemporaryDirectory() as d:
        path = f"{d}/p.yaml"
        write(path, """
apiVersion: bailiff/v1
kind: Policy
rules: [{name: r, events: deactivate, do: [revoke]}]
tests:
  - name: retries for ever
    given: {agent: /Agents/7, credentials: [a, b, c, d]}
    jobs: {revoke: retry}
    steps:
      - silent: crm                  # so the others prove that they live
      - event: {deactivate: /Agents/7, read: fails}
""" + "      - wait: 399d\n" * 250 + """
      - expect: {gate: {tool: x, decision: deny}}
""")
        started = time.monotonic()
        want(bailiff("policy", "test", path), 1, "does not come to rest")
        check(time.monotonic() - started < 20, "it took too long")
        write(path, "apiVersion: bailiff/v1\nkind: Policy\ntests:\n" +
              "  - {name: x, given: {}, expect: {rules: []}}\n" * 1025)
        want(bailiff("policy", "test", path), 1, "more than 1024")


def test_run_refuses_a_policy_whose_tests_fail():
    with tempfile.TemporaryDirectory() as d:
        good_config(d)
        with open(f"{d}/policy.yaml", "a") as f:
            f.write("tests: [{name: hopeful, given: {agent: /Agents/7}, "
                    "event: {deactivate: /Agents/7}, expect: {hold: none}}]\n")
        want(bailiff("policy", "check", f"{d}/policy.yaml"), 0, "ok")
        r = bailiff("run", "-c", f"{d}/bailiff.yaml")
        check(r.code not in (0, None), r.code)
        check("test 'hopeful' fails" in r.err and
              "hold of /Agents/7 is suspended, not none" in r.err, r.err)
