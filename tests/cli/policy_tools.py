# SPDX-License-Identifier: Apache-2.0
"""The tools of who writes policies: coverage of tests, explaining tokens,
events and questions, warnings from what was asked. `run` collects these."""
import json
import os
import subprocess
import tempfile
import time

import world

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
EVENT = "urn:ietf:params:scim:event:prov:"
POLICY = """
apiVersion: bailiff/v1
kind: Policy
tool_classes: {money: ["pay.*"]}
rules:
  - name: stop
    events: [deactivate, delete]
    do: [{hold: suspended}, cancel, refresh]
  - name: titled
    events: [patch]
    changed: [title]
    where: 'title eq "boss" and not (event.reason eq "x")'
    do: [{hold: suspended}]
  - name: back
    events: [activate, refreshed]
    where: 'active eq true'
    do: [{release: {suspended: {set_by: [stop, titled]}}}]
gate:
  - {name: pay, tools: [money], require: 'groups.value eq "g"'}
  - {name: rest, tools: ["*"]}
tests:
  - name: stopped
    given: {agent: {uri: /Agents/7, active: true}}
    steps:
      - expect: {gate: [{tool: pay.a, decision: deny}, {tool: x, decision: allow}]}
      - event: {deactivate: /Agents/7}
      - expect: {hold: suspended}
"""


class Failed(AssertionError):
    pass


def check(ok, *what):
    if not ok:
        raise Failed(" ".join(str(w) for w in what))


def bailiff(*args, stdin="", code=0):
    done = subprocess.run([os.environ["BAILIFF"], *args], input=stdin,
                          capture_output=True, text=True, timeout=60, cwd=ROOT)
    check(done.returncode == code, args, "exit", done.returncode, "wanted",
          code, done.stdout, done.stderr)
    return done.stdout + done.stderr


def has(text, *pieces):
    for piece in pieces:
        check(piece in text, repr(piece), "is not in", text)


class Folder(tempfile.TemporaryDirectory):
    def put(self, name, text, mode=0o600):
        path = os.path.join(self.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def __enter__(self):
        super().__enter__()
        return self


# ---- coverage ----

def test_coverage_text():
    with Folder() as d:
        path = d.put("p.yaml", POLICY)
        out = bailiff("policy", "test", "--coverage", path)
        has(out, " 33%  1 of 3 rules matched", " 60%  3 of 5 steps taken",
            " 66%  2 of 3 gate rules allowed, denied",
            f"{path}:6: rule stop: delete: no test matches it on this event",
            f"{path}:9: rule titled never matched",
            'rule titled: title eq "boss": never evaluated',
            f"{path}:14: rule back never matched",
            "rule back: active eq true: never false",
            f"{path}:19: gate rule pay never allowed",
            'gate rule pay: groups.value eq "g": never true')
        check("rule stop: hold" not in out and "gate rule rest" not in out, out)


def test_coverage_min():
    with Folder() as d:
        path = d.put("p.yaml", POLICY)
        out = bailiff("policy", "test", "--coverage-min", "90", path, code=1)
        has(out, "1 passed, 0 failed", "less than 90%")
        bailiff("policy", "test", "--coverage-min", "20", path)
        for odd in ("101", "x", "-1"):
            has(bailiff("policy", "test", "--coverage-min", odd, path, code=2),
                "percentage")
        has(bailiff("policy", "check", "--coverage-min", "5", path, code=2),
            "unknown option --coverage-min; see `bailiff help policy check`")


def test_coverage_json():
    with Folder() as d:
        path = d.put("p.yaml", POLICY)
        answer = json.loads(bailiff("policy", "test", "--json", path))
        found = answer["files"][0]["coverage"]
        rules = {r["name"]: r for r in found["rules"]}
        check(rules["stop"]["events"] == ["deactivate"] and
              rules["stop"]["events_missed"] == ["delete"], rules)
        check([s["taken"] for s in rules["stop"]["steps"]] == [True] * 3, rules)
        check(rules["back"]["terms"] == [
            {"term": "active eq true", "yes": True, "no": False,
             "unknown": False}], rules)
        check(found["gate"][0]["terms"][0]["no"] is True, found["gate"])
        sums = found["covered"]
        parts = [sums[k] for k in ("rules", "steps", "terms", "gate", "events")]
        check(sum(p["total"] for p in parts) == sums["all"]["total"] and
              sum(p["covered"] for p in parts) == sums["all"]["covered"], sums)
        check(found["events_said"] == ["deactivate"], found["events_said"])


# ---- what was asked ----

def record(seq, kind, tool):
    return json.dumps({"v": 1, "seq": seq, "time": "2026-01-01T00:00:00Z",
                       "kind": kind, "tool": tool},
                      separators=(",", ":")) + "\n"


def test_check_log():
    with Folder() as d:
        path = d.put("p.yaml", """
apiVersion: bailiff/v1
kind: Policy
tool_classes: {money: ["pay.*", "refund.*"]}
rules: [{name: r, events: deactivate, do: [{cancel: {calls: {class: money}}}]}]
gate:
  - {name: pay, tools: [money, "kb.*"]}
""")
        os.mkdir(os.path.join(d.name, "log"))
        lines = [record(1, "gate", "pay.send"), record(2, "gate", "mail.send"),
                 record(3, "action", "never.asked"), record(4, "gate", "kb.x")]
        d.put("log/00000001.jsonl", "".join(lines))
        log = os.path.join(d.name, "log")
        out = bailiff("policy", "check", path, "--log", log)
        has(out, "asked for, but in no class: mail.send, kb.x",
            "asked for, but no gate rule names: mail.send",
            "no tool that was asked for matches 'refund.*'")
        check("never.asked" not in out and "'kb.*'" not in out and
              "'pay.*'" not in out, out)
        bailiff("policy", "check", "--strict", path, "--log", log, code=1)
        d.put("log/00000001.jsonl", record(1, "action", "x"))
        has(bailiff("policy", "check", path, "--log", log, code=3),
            "nobody asked for a tool")
        d.put("log/00000005.jsonl", record(5, "gate", "mail.send"))
        has(bailiff("policy", "check", path, "--log",
                    os.path.join(log, "00000005.jsonl")),
            "no gate rule names: mail.send")
        has(bailiff("policy", "check", path, "--log", "/nonexistent", code=3),
            "/nonexistent")


def entry(kind, **members):
    return json.dumps({"t": 1767225600000, "kind": kind, **members}) + "\n"


def event_entry(of, *types):
    return entry("event", subject_kind=of, parts=[{"type": t} for t in types])


def test_check_history():
    with Folder() as d:
        path = d.put("p.yaml", """
apiVersion: bailiff/v1
kind: Policy
rules: [{name: r, events: deactivate, do: [cancel]}]
gate:
  - {name: pay, tools: ["pay.*", "kb.*"]}
""")
        history = d.put("h.jsonl", "".join([
            entry("question", tool="pay.send"),
            entry("question", tool="mail.send"),
            event_entry("agent", "deactivate", "patch"),
            event_entry("agent", "risc.opt-in"),
            event_entry("user", "delete"), "no entry\n"]))
        check_with = ("policy", "check", path, "--history", history)
        out = bailiff(*check_with)
        has(out, "asked for, but no gate rule names: mail.send",
            "no tool that was asked for matches 'kb.*'",
            "said about agents, but no rule handles: patch, risc.opt-in\n")
        check("matches 'pay.*'" not in out and "in no class" not in out, out)
        bailiff(*check_with, "--strict", code=1)
        notes = json.loads(bailiff(*check_with, "--json"))["notes"]
        check([n["line"] for n in notes][:1] == [4], notes)
        check("no rule handles" in notes[0]["text"] or
              "no rule handles" in notes[1]["text"], notes)
        d.put("h.jsonl", event_entry("agent", "patch"))
        out = bailiff(*check_with)
        has(out, "no rule handles: patch")
        check("asked for" not in out, out)
        d.put("h.jsonl", event_entry("user", "patch"))
        has(bailiff(*check_with, code=3), "nobody asked for a tool")
        has(bailiff(*check_with, "--log", d.name, code=2),
            "--history or a directory, not both")
        has(bailiff(*check_with, "--since", "soon", code=2), "--since wants")
        has(bailiff("policy", "check", path, "-c", "/nonexistent", code=3),
            "/nonexistent")


# ---- explain ----

def claims(event, form="", uri="/Agents/7", **payload):
    return {"iss": "https://idp.example", "aud": "bailiff",
            "iat": int(time.time()), "jti": "j1", "txn": "t1",
            "sub_id": {"format": "scim", "uri": uri},
            "events": {EVENT + event + form: payload}}


def sign(d, key, body):
    head = world.b64(json.dumps({"alg": "ES256", "typ": "secevent+jwt",
                                 "kid": "k1"}).encode())
    text = head + "." + world.b64(json.dumps(body).encode())
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign",
                           os.path.join(d.name, key)], input=text.encode(),
                          capture_output=True, check=True)
    return text + "." + world.b64(world.fixed(done.stdout))


def make_key(d, name):
    path = os.path.join(d.name, name)
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey",
                    "-noout", "-out", path], check=True, capture_output=True)
    public = subprocess.run(["openssl", "ec", "-in", path, "-pubout"],
                            check=True, capture_output=True, text=True).stdout
    return d.put(name + ".pub", public)


CONFIG = """
feeds:
  - name: hr
    issuer: https://idp.example
    audience: bailiff
    keys: {%s}
    poll: {url: https://idp.example/poll, auth: {bearer_file: token}}
    scim: {base: https://idp.example/scim}
callers: [{name: r, role: runtime, uid: 54321, agents: ["/Agents/*"]}]
operators: [{name: me, uid: 0}]
"""


def test_explain_token():
    with Folder() as d:
        policy = d.put("p.yaml", POLICY)
        make_key(d, "k.pem")
        make_key(d, "other.pem")
        d.put("token", "hunter2secret")
        config = d.put("bailiff.yaml", CONFIG % "pem_file: k.pem.pub")
        token = d.put("t.jwt", sign(d, "k.pem", claims("deactivate")) + "\n")
        out = bailiff("policy", "explain", policy, token)
        has(out, "not verified: anybody can write this",
            "deactivate of /Agents/7", "rule stop: matched",
            "rule titled: not matched, by events")
        out = bailiff("policy", "explain", policy, token, "-c", config)
        has(out, "verified with the keys of its feed",
            "deactivate of /Agents/7, feed hr")
        forged = d.put("f.jwt", sign(d, "other.pem", claims("deactivate")))
        has(bailiff("policy", "explain", policy, forged, "-c", config, code=1),
            "its feed refuses it (invalid_key)")
        bailiff("policy", "explain", policy, forged)
        d.put("bailiff.yaml", CONFIG % "jwks_url: 'https://idp.example/keys'")
        has(bailiff("policy", "explain", policy, token, "-c", config),
            "not verified: the keys of feed hr are at a URL")
        has(bailiff("policy", "explain", policy, token, "--jwk", "x", code=2),
            "--jwk needs --config")
        with open(token, encoding="utf-8") as f:
            out = bailiff("policy", "explain", policy, "-", "--json",
                          stdin=f.read())
        answer = json.loads(out)
        check(answer["verified"] is False and
              answer["subject"] == "/Agents/7" and
              [p["event"] for p in answer["parts"]] == ["deactivate"], answer)


def test_explain_claims_and_data():
    with Folder() as d:
        policy = d.put("p.yaml", POLICY)

        def about(**payload):
            return bailiff("policy", "explain", policy, "-",
                           stdin=json.dumps(claims("patch", **payload)))
        out = about(form=":full", data={"title": "boss"})
        has(out, "claims without a signature",
            "rule titled: matched: by the event's data")
        out = about(form=":full", data={"title": "clerk"})
        has(out, "rule titled: pending, by where: waits for a read")
        out = about(form=":notice", attributes=["nickName"])
        has(out, "rule titled: not matched, by changed")
        odd = claims("patch", form=":notice", uri="/Nobody/7")
        has(bailiff("policy", "explain", policy, "-", stdin=json.dumps(odd),
                    code=1), "every feed would refuse it")
        has(bailiff("policy", "explain", policy, "-", stdin="a.b", code=1),
            "standard input")


def test_explain_short_forms():
    with Folder() as d:
        policy = d.put("p.yaml", POLICY)

        def ask(document, code=0, *more):
            return bailiff("policy", "explain", policy, "-", *more, code=code,
                           stdin=json.dumps(document))
        event = {"event": "patch", "subject": "/Agents/7",
                 "changed": ["title"], "feed": "hr"}
        has(ask(event), "patch of /Agents/7, feed hr", "rule titled: pending")
        has(ask({**event, "payload": {"reason": "x"}}),
            "rule titled: not matched, by where")
        has(ask({**event, "resource": {"title": "boss"}}),
            "rule titled: matched")
        question = {"tool": "pay.a", "resource": {
            "active": True, "groups": [{"value": "g"}]}}
        has(ask(question), "gate rule pay: fulfilled", "allow")
        has(ask({**question, "resource": {"active": True}}, 1),
            "deny: by gate rule pay")
        check(json.loads(ask(question, 0, "--json"))["decision"] == "allow",
              "json")
        has(ask({**event, "chnged": []}, 1), "'chnged' is no member")
        has(ask({"subject": "/Agents/7"}, 1), "neither a token")
        has(ask({**event, "event": "ptch"}, 1), "no event 'ptch'")
        has(ask(event, 2, "--tool", "x"), "a file says it all")
        has(bailiff("policy", "explain", policy, "/nonexistent", code=3),
            "/nonexistent")
