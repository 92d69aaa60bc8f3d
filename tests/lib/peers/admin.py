#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The other end of docs/admin-api.md, as strict as the page: unknown members,
missing reasons and odd paths are refused. `admin.py SOCKET` serves until it is
killed and prints one line per request to stderr."""
import datetime
import http.server
import json
import os
import socketserver
import sys
import urllib.parse


def stamp(seconds):
    at = datetime.datetime.now(datetime.timezone.utc)
    at += datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


class Refuse(Exception):
    def __init__(self, status, error, message):
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


def agent(n, **more):
    return {"uri": f"/Agents/{n}", "feed": "hr",
            "base": "https://idp.example/scim/v2", "known": True,
            "active": True, "standing": "may_act", "epoch": 1099511627776 + n,
            "last_read": stamp(-5), "etag": 'W/"3"', "holds": [],
            "open_calls": [], "credentials": 1, "jobs": [], **more}


HOLD = {"kind": "suspended", "set_by": "rule stop", "cause": "jti 4f2c",
        "since": stamp(-125), "tools": ["*"]}
JOBS = [
    {"id": "j1", "agent": "/Agents/7", "action": "revoke", "rule": "stop",
     "cause": "jti 4f2c", "state": "running", "reach": 3, "confirmed": 2,
     "attempts": 4, "next_at": stamp(31), "deadline": stamp(601),
     "last_error": "HTTP 503"},
    {"id": "j2", "agent": "/Agents/7", "action": "purge", "rule": "stop",
     "cause": "jti 4f2c", "state": "confirmed", "reach": 0, "confirmed": 0,
     "attempts": 1, "deadline": stamp(601)},
    {"id": "j3", "agent": "/Agents/7", "action": "cancel", "rule": "stop",
     "cause": "jti 4f2c", "state": "pending", "reach": 1, "confirmed": 0,
     "attempts": 0, "deadline": stamp(2)},
    {"id": "j4", "agent": "/Agents/8", "action": "revoke", "rule": "stop",
     "cause": "jti 77", "state": "failed", "reach": 2, "confirmed": 1,
     "attempts": 9, "deadline": stamp(-60), "last_error": "HTTP 400"},
    {"id": "j5", "agent": "/Agents/9", "action": "revoke", "rule": "stop",
     "cause": "jti 78", "state": "confirmed", "reach": 2, "confirmed": 2,
     "attempts": 1, "deadline": stamp(60)},
    {"id": "j6", "agent": "/Agents/9", "action": "revoke", "rule": "stop",
     "cause": "jti 79", "state": "withheld", "reach": 1, "confirmed": 0,
     "attempts": 0, "why": "limits.suspend: 51 agents of hr within 5m, limit 50"},
]
JOBS += [
    {"id": f"w{n}", "agent": f"/Agents/{n}", "action": "revoke", "rule": "leave",
     "cause": "jti 80", "state": "withheld", "reach": 1, "confirmed": 0,
     "attempts": 0, "why": "limits.suspend: 51 agents of hr within 5m, limit 50"}
    for n in range(100, 140)]


class World:
    def __init__(self):
        self.changed, self.ended = [], set()
        self.agents = {f"/Agents/{n}": agent(n) for n in range(1, 1203)}
        self.agents["/Agents/7"].update(
            standing="held", active=False, holds=[dict(HOLD)], jobs=JOBS[:3],
            open_calls=[{"call_id": "c-19", "tool": "deploy",
                         "runtime": "runtime-a", "state": "running",
                         "since": stamp(-180)}], credentials=0)
        self.agents["/Agents/8"].update(standing="stale",
                                        stale_reason="event")
        self.agents["/Agents/evil\u001b[2J"] = agent(0)
        self.agents["/Agents/evil\u001b[2J"].update(uri="/Agents/evil\u001b[2J")
        self.reviews = [{"agent": "/Agents/9", "feed": "hr",
                         "by": 'groups.value eq "g-eng"',
                         "set_by": "rule owner-left", "cause": "jti 5",
                         "since": stamp(-3700), "expires": stamp(7300),
                         "otherwise": "suspended"}]
        self.feeds = [
            {"name": "hr", "issuer": "https://idp.example",
             "delivery": "push+poll", "state": "caught_up",
             "last_sign": stamp(-2), "events": 1204, "refused": 3, "keys": 2},
            {"name": "crm", "issuer": "https://crm.example",
             "delivery": "poll", "state": "silent", "last_sign": stamp(-7300),
             "events": 7, "refused": 0, "keys": 0,
             "last_error": "connection refused"}]


def need(body, required, optional):
    for key in required:
        if key not in body:
            raise Refuse(400, "invalid", f"member {key} is missing")
    for key in body:
        if key not in required + optional:
            raise Refuse(400, "invalid", f"unknown member {key}")
    reason = body.get("reason", "x")
    if not isinstance(reason, str) or not 1 <= len(reason.encode()) <= 512:
        raise Refuse(400, "invalid", "reason must be 1 to 512 bytes")
    return body


def find(world, uri):
    if uri not in world.agents:
        raise Refuse(404, "not_found", f"no agent {uri}")
    return world.agents[uri]


def list_agents(world, query):
    wanted = [a for a in world.agents.values()
              if query.get("standing", a["standing"]) == a["standing"]
              and query.get("feed", a["feed"]) == a["feed"]]
    start, limit = int(query.get("after", 0)), int(query.get("limit", 500))
    if not 1 <= limit <= 1000:
        raise Refuse(400, "invalid", "limit must be 1 to 1000")
    answer = {"agents": [
        {**a, "holds": len(a["holds"]), "open_calls": len(a["open_calls"]),
         "jobs": len(a["jobs"])} for a in wanted[start:start + limit]]}
    if start + limit < len(wanted):
        answer["next"] = str(start + limit)
    return answer


def add_hold(world, body):
    need(body, ["agent", "kind", "reason"], ["feed", "tools"])
    a = find(world, body["agent"])
    if body["kind"] not in ("suspended", "review"):
        raise Refuse(400, "invalid", "kind must be suspended or review")
    hold = {"kind": body["kind"], "set_by": "operator root",
            "cause": body["reason"], "since": stamp(0),
            "tools": body.get("tools", ["*"])}
    a["holds"].append(hold)
    a["standing"] = "held"
    return {"hold": hold, "epoch": a["epoch"] + 1}


def lift(world, body):
    need(body, ["agent", "reason"], ["feed", "kind", "cause"])
    a = find(world, body["agent"])
    gone = [h for h in a["holds"]
            if body.get("kind", h["kind"]) == h["kind"]
            and body.get("cause", h["cause"]) == h["cause"]]
    a["holds"] = [h for h in a["holds"] if h not in gone]
    if not a["holds"]:
        a["standing"] = "stale"
    return {"lifted": len(gone), "left": a["holds"],
            "standing": a["standing"], "epoch": a["epoch"] + 1}


def decide(world, body):
    need(body, ["agent", "reason"], ["feed", "cause"])
    before = len(world.reviews)
    world.reviews = [r for r in world.reviews if r["agent"] != body["agent"]]
    if len(world.reviews) == before:
        raise Refuse(404, "not_found", "no review of " + body["agent"])
    return {"lifted": 1, "left": [], "standing": "may_act", "epoch": 1}


def change_job(world, body, state):
    need(body, ["id", "reason"], ["feed"])
    for job in JOBS:
        if job["id"] == body["id"]:
            if job["state"] == "confirmed" or job["id"] in world.ended:
                raise Refuse(409, "state", "the job has ended")
            world.changed.append((state, job["id"], body["reason"]))
            return {**job, "state": state}
    raise Refuse(404, "not_found", "no job " + body["id"])


def get(world, path, query):
    if path == "/v1/agents":
        return list_agents(world, query)
    if path.startswith("/v1/agents/"):
        if "/" in path[11:]:
            raise Refuse(404, "not_found", "the uri is not percent-encoded")
        return find(world, urllib.parse.unquote(path[11:]))
    if path == "/v1/reviews":
        return {"reviews": world.reviews}
    if path == "/v1/feeds":
        return {"feeds": world.feeds}
    if path == "/v1/jobs":
        return {"jobs": [j for j in JOBS
                         if query.get("state", j["state"]) == j["state"]
                         and query.get("agent", j["agent"]) == j["agent"]
                         and query.get("rule", j["rule"]) == j["rule"]]}
    raise Refuse(404, "not_found", "no such path")


def post(world, path, body):
    if path == "/v1/holds":
        return add_hold(world, body)
    if path == "/v1/holds/lift":
        return lift(world, body)
    if path in ("/v1/reviews/approve", "/v1/reviews/deny"):
        return decide(world, body)
    if path == "/v1/jobs/retry":
        return change_job(world, body, "pending")
    if path == "/v1/jobs/abandon":
        return change_job(world, body, "abandoned")
    raise Refuse(404, "not_found", "no such path")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = World()
    mode = "normal"

    def log_message(self, format, *args):
        sys.stderr.write("admin: " + format % args + "\n")

    def address_string(self):
        return "unix"

    def reply(self, status, answer):
        body = answer if isinstance(answer, bytes) else \
            json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_with(self, work):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            if self.mode == "denied":
                raise Refuse(403, "denied", "user 1000 is not an operator")
            if self.mode == "blocked":
                raise Refuse(503, "unavailable", "the store is blocked")
            if self.mode == "garbage":
                self.reply(200, b"<html>hello</html>")
                return
            if self.mode == "empty":
                self.reply(200, {k: [] for k in
                                 ("agents", "jobs", "feeds", "reviews")})
                return
            self.reply(200, work(self.world, url.path, query))
        except Refuse as r:
            self.reply(r.status, {"error": r.error, "message": r.message})

    def do_GET(self):
        self.handle_with(get)

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(text)
        self.handle_with(lambda world, path, _: post(world, path, body))


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(path, mode="normal"):
    if os.path.exists(path):
        os.unlink(path)
    handler = type("H", (Handler,), {"world": World(), "mode": mode})
    return Server(path, handler)


if __name__ == "__main__":
    serve(sys.argv[1], *sys.argv[2:3]).serve_forever()
