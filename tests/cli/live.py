# SPDX-License-Identifier: Apache-2.0
"""Operators' commands against the running program; `run` collects these."""
import json
import os
import re
import sqlite3
import subprocess
import threading
import time

import world
from documents import members


class Failed(AssertionError):
    pass


def check(ok, *what):
    if not ok:
        raise Failed(" ".join(str(w) for w in what))


with open(os.path.join(os.path.dirname(__file__),
                       "../../docs/admin-api.md")) as f:
    API = f.read()


class Live(world.World):
    def __init__(self, **more):
        super().__init__(os.environ["BAILIFF"], **more)

    def __call__(self, *args, code=0, user=None):
        """Runs one command and returns what it printed."""
        more = {} if user is None else {"user": user, "group": user,
                                        "extra_groups": []}
        done = subprocess.run(
            [self.program, *args, "--socket", self.socket], text=True,
            capture_output=True, timeout=60, cwd="/", **more)
        check(done.returncode == code, args, "exit", done.returncode, "wanted",
              code, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def json(self, *args, code=0):
        answer = json.loads(self(*args, "--json", code=code))
        for name in members(answer):
            check(re.search(rf"\b{name}\b", API), "admin-api.md lacks", name)
        return answer

    def agent(self, uri):
        return self.json("agents", "show", uri)


def has(text, *pieces):
    for piece in pieces:
        check(piece in text, repr(piece), "is not in", text)


def test_live_hold():
    with Live() as w:
        check(w.check("/Agents/7") == "allow", "not allowed at first")
        a = w.agent("/Agents/7")
        check(a["standing"] == "may_act" and a["active"] is True and
              a["etag"] == 'W/"3"' and a["feed"] == "hr" and
              "stale_reason" not in a and a["holds"] == [], a)
        has(w("hold", "add", "/Agents/7", "--reason", "on fire"),
            "suspended by operator ann", "all tools")
        has(w.check("/Agents/7"), "agent_suspended")
        held = w.agent("/Agents/7")
        check(held["standing"] == "held" and held["epoch"] > a["epoch"], held)
        check(held["holds"][0]["set_by"] == "operator ann" and
              held["holds"][0]["tools"] == ["*"], held)
        has(w("agents", "--standing", "held"), "/Agents/7", "1 hold")
        has(w("agents", "--standing", "gone"), "No agent matches")
        has(w("hold", "lift", "/Agents/7", "--reason", "out"),
            "1 hold lifted; now may act")
        check(w.check("/Agents/7") == "allow", "not allowed after the lift")
        has(w("hold", "lift", "/Agents/7", "--reason", "out", code=1),
            "no such hold")


def test_live_hold_is_durable_and_recorded():
    with Live() as w:
        w("hold", "add", "/Agents/5", "--reason", "kept: a \u2603")
        check(w.stop() == 0, w.said())
        w.run()
        check(w.agent("/Agents/5")["holds"][0]["set_by"] == "operator ann")
        has(w.check("/Agents/5"), "agent_suspended")
        lines = []
        for name in sorted(os.listdir(w.dir + "/data/log")):
            if name.endswith(".jsonl"):
                with open(f"{w.dir}/data/log/{name}") as f:
                    lines += [json.loads(line) for line in f]
        mine = [r for r in lines if r["kind"] == "operator"]
        check(len(mine) == 1 and "kept: a \u2603" in json.dumps(
            mine[0], ensure_ascii=False) and "ann" in json.dumps(mine[0]),
            mine)


def test_live_hold_some_tools():
    with Live() as w:
        h = w.json("hold", "add", "/Agents/3", "--reason", "x", "--tools",
                   "money,db.drop")["hold"]
        check(h["tools"] == ["payments.*", "refunds.*", "db.drop"], h)
        has(w.check("/Agents/3", "payments.send"), "agent_suspended")
        check(w.check("/Agents/3", "db.read") == "allow", "db.read is held")
        check(w.agent("/Agents/3")["standing"] == "may_act")
        h = w.json("hold", "add", "/Agents/3", "--reason", "x", "--tools",
                   "money,*")["hold"]
        check(h["tools"] == ["*"], h)
        has(w.check("/Agents/3", "db.read"), "agent_suspended")


def test_live_event_hold_and_lift_by_cause():
    with Live() as w:
        w.scim.agents["/Agents/7"] = False
        status, jti = w.push("deactivate", "/Agents/7")
        check(status == 202, status, jti)
        h = w.agent("/Agents/7")["holds"]
        check(len(h) == 1 and h[0]["set_by"] == "rule stop" and
              h[0]["cause"] == f"jti {jti}", h)
        w("hold", "add", "/Agents/7", "--reason", "too")
        has(w("hold", "lift", "/Agents/7", "--reason", "x", "--cause",
              "jti other", code=1), "no such hold")
        has(w("hold", "lift", "/Agents/7", "--reason", "x", "--kind", "review",
              code=1), "no such hold")
        has(w("hold", "lift", "/Agents/7", "--reason", "x", "--cause",
              f"jti {jti}"), "1 hold lifted; now held",
            "still suspended by operator ann")


def as_root():
    if os.getuid() != 0:
        print("SKIP: other users need root")
    return os.getuid() == 0


def test_live_who_asks():
    if not as_root():
        return
    with Live() as w:
        w.let_others_in()
        has(w("hold", "add", "/Agents/2", "--reason", "x", user=65534),
            "by operator eve")
        has(w("agents", user=12345, code=1), "user 12345 is not an operator",
            "`operators:`")
        has(w("hold", "lift", "/Agents/2", "--reason", "x", user=12345,
              code=1), "not an operator")
        check(w.agent("/Agents/2")["standing"] == "held")


def test_live_reviews():
    with Live() as w:
        has(w("review"), "Nobody waits")
        for n in (4, 5):
            check(w.push("put", f"/Agents/{n}")[0] == 202)
        reviews = w.json("review")["reviews"]
        check(len(reviews) == 2 and reviews[0]["set_by"] == "rule look" and
              reviews[0]["by"] == 'groups.value eq "g-eng"' and
              reviews[0]["otherwise"] == "suspended", reviews)
        has(w.check("/Agents/4"), "agent_in_review")
        text = w("review", "approve", "/Agents/4", "--reason", "me", code=1)
        has(text, "the policy does not let you decide")
        check("operators:" not in text, text)
        if as_root():
            w.let_others_in()
            has(w("review", "approve", "/Agents/4", "--reason", "fine",
                  user=65534), "1 hold lifted")
            w.wait(lambda: w.check("/Agents/4") == "allow", "allow")
            has(w("review", "deny", "/Agents/5", "--reason", "no", user=65534),
                "1 hold lifted; now held", "still suspended by rule look")
            has(w("review"), "Nobody waits")
        has(w("review", "deny", "/Agents/6", "--reason", "no", code=1),
            "no such agent")


def test_live_operator_review():
    with Live() as w:
        h = w.json("hold", "add", "/Agents/6", "--reason", "x", "--kind",
                   "review", "--tools", "db.*")["hold"]
        check(h["kind"] == "review" and "expires" in h, h)
        has(w.check("/Agents/6", "db.read"), "agent_in_review")
        has(w("review"), "/Agents/6", "operator ann")
        has(w("review", "deny", "/Agents/6", "--reason", "no"), "now may act",
            "still suspended by operator ann", "tools db.*")
        has(w.check("/Agents/6", "db.read"), "agent_suspended")


def test_live_jobs():
    with Live() as w:
        has(w("jobs"), "No jobs")
        check(w.push("deactivate", "/Agents/8")[0] == 202)

        def failed():
            jobs = w.json("jobs", "--agent", "/Agents/8")["jobs"]
            return jobs and "last_error" in jobs[0] and jobs
        job = w.wait(failed, "attempt")[0]
        check(re.fullmatch("[0-9a-f]{16}", job["id"]) and
              job["action"] == "call-home" and job["rule"] == "stop" and
              job["reach"] == 1 and job["confirmed"] == 0 and
              job["attempts"] >= 1 and job["feed"] == "hr" and
              job["deadline"] > job["since"], job)
        check(w.agent("/Agents/8")["jobs"][0]["id"] == job["id"])
        has(w("jobs"), job["id"], "not confirmed")
        has(w("jobs", "--agent", "/Agents/1"), "No job matches")
        has(w("jobs", "--state", "confirmed"), "No job matches")
        before = w.json("jobs")["jobs"][0]["attempts"]
        has(w("jobs", "retry", job["id"], "--reason", "now"), "not confirmed")
        w.wait(lambda: w.json("jobs")["jobs"][0]["attempts"] > before, "retry")
        has(w("jobs", "abandon", job["id"], "--reason", "never"), "abandoned")
        has(w("jobs", "--state", "abandoned"), job["id"])
        has(w("jobs", "retry", job["id"], "--reason", "x", code=1),
            "the job has ended")
        has(w("jobs", "retry", "0" * 16, "--reason", "x", code=1),
            "no such job; `bailiff jobs` lists them")
        has(w("jobs", "retry", "j1", "--reason", "x", code=1), "no job j1")


def test_live_open_calls():
    with Live() as w:
        check(w.begin("/Agents/1", "c-19"), "begin was denied")
        a = w.agent("/Agents/1")
        check(a["open_calls"][0]["call_id"] == "c-19" and
              a["open_calls"][0]["state"] == "running" and
              a["open_calls"][0]["runtime"] == "runtime-a", a)
        row = w.json("agents")["agents"][0]
        check(row["open_calls"] == 1 and row["holds"] == 0, row)


def test_live_two_feeds():
    with Live(feeds=("hr", "crm")) as w:
        for feed in ("hr", "crm"):
            check(w.push("deactivate", "/Agents/7", feed=feed)[0] == 202)
        has(w("agents", "show", "/Agents/7", code=1), "several feeds know")
        has(w("hold", "lift", "/Agents/7", "--reason", "x", code=1),
            "several feeds know")
        has(w("hold", "add", "/Agents/1", "--reason", "x", code=1),
            "name one")
        has(w("agents", "show", "/Agents/7", "--feed", "crm"), "crm,")
        has(w("hold", "lift", "/Agents/7", "--reason", "x", "--feed", "crm"),
            "1 hold lifted")
        check([a["standing"] == "held" for a in w.json(
            "agents", "--feed", "hr")["agents"]] == [True])
        has(w("agents", "--feed", "erp", code=1), "no feed erp")
        feeds = {f["name"]: f for f in w.json("feeds")["feeds"]}
        check(feeds["crm"]["events"] == 1 and feeds["crm"]["keys"] == 1 and
              feeds["crm"]["delivery"] == "push" and
              "last_sign" in feeds["crm"], feeds)
        check(len(w.json("jobs", "--feed", "hr")["jobs"]) == 1)


def test_live_refused_statement_shows():
    with Live() as w:
        check(w.push("", "", token="a.b.c")[0] == 400)
        feed = w.json("feeds")["feeds"][0]
        check(feed["refused"] == 1 and feed["last_error"], feed)


def test_live_pages():
    with Live() as w:
        for n in range(1, 10):
            w.check(f"/Agents/{n}")
        seen, after = [], ""
        while after is not None:
            status, page = w.admin("/v1/agents?limit=4" + after)
            check(status == 200, page)
            seen += [a["uri"] for a in page["agents"]]
            after = "&after=" + page["next"] if "next" in page else None
        check(seen == [f"/Agents/{n}" for n in range(1, 10)], seen)
        check(w.json("agents", "--limit", "2")["more"] is True)


def test_live_words():
    """A word that nothing can have is a slip, not an empty list."""
    with Live() as w:
        has(w("agents", "--standing", "active", code=1),
            "standing cannot be 'active'; one of: may_act inactive stale held")
        has(w("jobs", "--state", "open", code=1),
            "state cannot be 'open'; one of: pending running", "withheld")
        has(w("hold", "add", "7", "--reason", "x", code=1),
            "not the path of an agent: write /Agents/7")
        has(w("agents", "--standing", "gone"), "No agent matches.")


def test_live_bad_requests():
    hold = {"agent": "/Agents/1", "kind": "suspended", "reason": "x"}
    with Live() as w:
        for status, path, body, method in (
                (404, "/v1/nothing", None, None),
                (404, "/v1/agents/", None, None),
                (404, "/v1/agents/Agents/7", None, None),
                (404, "/v1/agents/%2FAgents%2F77", None, None),
                (400, "/v1/agents/%2", None, None),
                (400, "/v1/agents/%ff", None, None),
                (405, "/v1/agents", {}, None),
                (405, "/v1/holds", None, None),
                (405, "/v1/feeds", None, "DELETE"),
                (400, "/v1/agents?limit=0", None, None),
                (400, "/v1/agents?limit=1001", None, None),
                (400, "/v1/jobs?limit=10001", None, None),
                (400, "/v1/agents?colour=red", None, None),
                (400, "/v1/feeds?feed=hr", None, None),
                (400, "/v1/holds", "", "POST"),
                (400, "/v1/holds", "[]", None),
                (400, "/v1/holds", '{"agent": 7', None),
                (400, "/v1/holds", '{"reason":"a","reason":"b"}', None),
                (400, "/v1/holds", {}, None),
                (400, "/v1/holds", {**hold, "agent": 7}, None),
                (400, "/v1/holds", {**hold, "agent": ""}, None),
                (400, "/v1/holds", {**hold, "agent": "Agents/1"}, None),
                (400, "/v1/holds", {**hold, "agent": "/Agents/" + 300 * "7"},
                 None),
                (400, "/v1/holds", {**hold, "agent": "/Robots/1"}, None),
                (400, "/v1/holds", {**hold, "kind": "uncovered"}, None),
                (400, "/v1/holds", {**hold, "kind": "SUSPENDED"}, None),
                (400, "/v1/holds", {**hold, "person": "root"}, None),
                (400, "/v1/holds", {**hold, "reason": ""}, None),
                (400, "/v1/holds", {**hold, "reason": 513 * "x"}, None),
                (400, "/v1/holds", {**hold, "reason": "a\nb"}, None),
                (400, "/v1/holds", {**hold, "reason": "a\u009bb"}, None),
                (400, "/v1/holds", {**hold, "tools": []}, None),
                (400, "/v1/holds", {**hold, "tools": "x"}, None),
                (400, "/v1/holds", {**hold, "tools": [1]}, None),
                (400, "/v1/holds", {**hold, "tools": [257 * "x"]}, None),
                (400, "/v1/holds", {**hold, "tools": 65 * ["x"]}, None),
                (404, "/v1/holds", {**hold, "feed": "erp"}, None),
                (404, "/v1/holds/lift", {"agent": "/Agents/1", "reason": "x"},
                 None),
                (400, "/v1/jobs/retry", {"reason": "x"}, None),
                (404, "/v1/jobs/retry", {"id": "../etc", "reason": "x"}, None),
                (413, "/v1/holds", {**hold, "cause": 65536 * "x"}, None),
                (413, "/v1/holds", "[" + 32000 * "1," + "1]", None)):
            got, answer = w.admin(path, body, method)
            check(got == status and answer["message"], path, str(body)[:80],
                  got, answer)
        check(w.json("agents")["agents"] == [], "something was changed")
        longest = {**hold, "reason": 512 * "x", "tools": 64 * ["x"]}
        got, answer = w.admin("/v1/holds", longest)
        check(got == 200 and len(answer["hold"]["tools"]) == 64, answer)


def test_live_hold_limit():
    hold = {"agent": "/Agents/1", "kind": "suspended", "reason": "x"}
    with Live() as w:
        for _ in range(64):
            check(w.admin("/v1/holds", hold)[0] == 200)
        got, answer = w.admin("/v1/holds", {**hold, "kind": "review"})
        check(got == 429 and answer["error"] == "limit", got, answer)
        check(w.admin("/v1/holds", hold)[0] == 200, "one as strict stands")
        has(w("hold", "lift", "/Agents/1", "--reason", "x"), "64 holds lifted")


def test_live_status():
    with Live() as w:
        w("hold", "add", "/Agents/1", "--reason", "x")
        status, s = w.admin("/v1/status")
        check(status == 200 and s["pid"] == w.child.pid and
              s["agents"] == 1 and s["holds"] == 1 and s["store"] == "ok" and
              s["log"] == "ok" and s["mode"] == "enforce" and
              len(s["config_digest"]) == 64, s)
        text = w("status")
        has(text, "enforce", str(w.child.pid), "1 agent, 1 hold, 0 open")
        check(not re.search("[0-9a-f]{17}", text), "a whole digest", text)
        check(w.json("status")["config_digest"][:16] in text, text)
        check(w.json("status")["pid"] == w.child.pid)


SAMPLE = re.compile(r'([a-z_]+)((?:\{[a-z_]+="(?:[^"\\]|\\.)*"'
                    r'(?:,[a-z_]+="(?:[^"\\]|\\.)*")*\})?) ([0-9.]+)')


def metrics_of(w):
    status, text = w.http("/metrics")
    check(status == 200 and text.endswith("\n"), status)
    types, values, last = {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            last, kind = line.split()[2:]
            check(last not in types and kind in ("counter", "gauge"), line)
            types[last] = kind
            continue
        m = SAMPLE.fullmatch(line)
        check(m and m[1] == last, "a bad line", line)
        check(m[1] + m[2] not in values, "twice", line)
        values[m[1] + m[2]] = float(m[3])
    for name, kind in types.items():
        check((kind == "counter") == name.endswith("_total"), name, kind)
    check("/Agents/" not in text, "an agent in a label")
    return values, types


def with_candidate(w):
    """Starts it again, with its own policy as the candidate."""
    path = os.path.join(w.dir, "bailiff.yaml")
    with open(path) as f:
        text = f.read()
    w.stop()
    w.write("bailiff.yaml", text.replace(
        "policy: {file: policy.yaml}",
        "policy: {file: policy.yaml, candidate: policy.yaml}"))
    w.run()


def test_live_metrics():
    with Live() as w:
        with_candidate(w)
        before, types = metrics_of(w)
        w("hold", "add", "/Agents/1", "--reason", "x")
        has(w.check("/Agents/1"), "agent_suspended")
        w.push("deactivate", "/Agents/2")
        w.push("", "", token="a.b.c")
        after, _ = metrics_of(w)
        for name, more in (("bailiff_holds", 2), ("bailiff_denies_total", 1),
                           ("bailiff_events_total", 1),
                           ("bailiff_jobs_open", 1),
                           ('bailiff_feed_events_total{feed="hr"}', 1),
                           ('bailiff_feed_refused_total{feed="hr"}', 1)):
            check(after[name] - before[name] == more, name, before[name],
                  after[name])
        check(after['bailiff_store_state{state="ok"}'] == 1, after)
        check('bailiff_feed_last_sign_age_seconds{feed="hr"}' in after)
        with open(os.path.join(world_root(), "docs/metrics.md")) as f:
            page = f.read()
        told = set(re.findall(r"^\| `(bailiff_[a-z_]+)`", page, re.M))
        check(told == set(types), "docs/metrics.md:", told ^ set(types))


def world_root():
    return os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))


def test_live_probes():
    with Live() as w:
        check(w.http("/healthz") == (200, "alive\n"))
        status, text = w.http("/readyz")
        check(status == 200 and json.loads(text)["ready"] is True and
              len(json.loads(text)["policy_digest"]) == 64, text)
        check(w.http("/metrics", "POST")[0] == 405)
        check(w.http("/")[0] == 404)
        check(w.http("/v1/agents")[0] == 404)


def test_live_blocked_store():
    hold = {"agent": "/Agents/1", "kind": "suspended", "reason": "x"}
    answers = []
    with Live() as w:
        lock = sqlite3.connect(w.dir + "/data/bailiff.db",
                               isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        first = threading.Thread(
            target=lambda: answers.append(w.admin("/v1/holds", hold)))
        first.start()
        w.wait(lambda: w.http("/readyz")[0] == 503, "blocked store")
        check(json.loads(w.http("/readyz")[1])["reasons"] ==
              ["store_blocked"])
        check(w.http("/healthz")[0] == 200)
        check(metrics_of(w)[0]['bailiff_store_state{state="blocked"}'] == 1)
        got, answer = w.admin("/v1/holds", hold)
        check(got == 503 and answer["message"] == "the store is blocked", got,
              answer)
        has(w("status", code=1), "blocked")
        first.join(timeout=60)
        check(answers and answers[0][0] == 503, "answered as not kept", answers)
        check("not kept yet" in answers[0][1]["message"], answers)
        lock.execute("ROLLBACK")
        lock.close()
        w.wait(lambda: w.http("/readyz")[0] == 200, "recovered store")
        check(len(w.agent("/Agents/1")["holds"]) == 1)


def test_live_ended_job_of_a_forgotten_agent():
    """A read finds nobody, so the agent may be dropped; its job is shown."""
    policy = world.POLICY.replace("[deactivate]", "[deactivate, operator]")
    with Live(policy=policy) as w:
        w("hold", "add", "/Agents/77", "--reason", "x")
        job = w.json("jobs")["jobs"][0]
        w("jobs", "abandon", job["id"], "--reason", "x")
        has(w("hold", "lift", "/Agents/77", "--reason", "x"), "2 holds")
        has(w.check("/Agents/77"), "unknown_agent")
        time.sleep(6)  # nobody is remembered for 5 s
        has(w("jobs"), "/Agents/77", "abandoned")
