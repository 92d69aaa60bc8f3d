# SPDX-License-Identifier: Apache-2.0
"""The real program in a directory of its own, with a SCIM server, a feed that
signs with openssl and a caller that asks with curl."""
import base64
import http.server
import json
import os
import re
import shutil
import socketserver
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

CONFIG = """\
listen:
  gate: [{address: "127.0.0.1:0"}]
  push: [{address: "127.0.0.1:0"}]
  admin: {address: "unix:admin.sock", mode: "0600"}
  metrics: {address: "127.0.0.1:0"}
feeds:
%s
callers:
  - {name: rt, role: runtime, bearer_file: rt.tok, agents: ["/Agents/*"]}
operators:
  - {name: ann, uid: %d, groups: [g-ops]}
  - {name: eve, uid: 65534, groups: [g-eng]}
policy: {file: policy.yaml}
store: {dir: data}
log: {dir: data/log, origin: bailiff/test}
keys: {seal: data/keys/seal.key, log: data/keys/log.key}
"""
FEED = """\
  - name: %s
    issuer: https://%s.test
    audience: bailiff
    allow_http: true
    keys: {pem_file: pub.pem, pem_kid: k1}
    push: {path: /%s, bearer_file: push.tok}
    scim: {base: "%s/%s", auth: {bearer_file: scim.tok}}
"""
POLICY = """\
apiVersion: bailiff/v1
kind: Policy
defaults: {refresh: {timeout: 30s}}
tool_classes: {money: ["payments.*", "refunds.*"]}
rules:
  - name: stop
    events: [deactivate]
    do: [{hold: suspended}, {call-home: {within: 10m}}]
  - name: look
    events: [put]
    do: [{hold: {review: {by: 'groups.value eq "g-eng"', within: 24h,
                          otherwise: suspended}}}]
actions:
  call-home: {http: {method: POST, url: "https://127.0.0.1:1/x", body: "{}"}}
"""
AGENT_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Agent"
CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
EVENTS = {"deactivate": "urn:ietf:params:scim:event:prov:deactivate",
          "put": "urn:ietf:params:scim:event:prov:put:notice"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def fixed(der):
    """The 64 bytes of JWS out of a DER signature."""
    at, out = 2, b""
    for _ in range(2):
        n = der[at + 1]
        out += der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + n
    return out


def field(number, data):
    """A length-delimited protobuf field; short ones only."""
    data = data.encode() if isinstance(data, str) else data
    return bytes([number << 3 | 2, len(data)]) + data


class Scim(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        uri = "/" + "/".join(path.split("/")[2:])
        if uri == "/ServiceProviderConfig":
            self.reply(200, {"schemas": [CONFIG_SCHEMA],
                             "patch": {"supported": True}})
            return
        if uri not in self.server.agents:
            self.reply(404, {"schemas": [ERROR_SCHEMA], "status": "404"})
            return
        self.reply(200, {"schemas": [AGENT_SCHEMA],
                         "id": uri.rsplit("/", 1)[1],
                         "active": self.server.agents[uri],
                         "meta": {"version": 'W/"3"'}})

    def reply(self, status, resource):
        body = json.dumps(resource).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/scim+json")
        self.send_header("Content-Length", str(len(body)))
        if "meta" in resource:
            self.send_header("ETag", resource["meta"]["version"])
        self.end_headers()
        self.wfile.write(body)


class ScimServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that is stopped hangs up


class World:
    def __init__(self, program, feeds=("hr",), operator=None,
                 policy=POLICY):
        self.program, self.feeds, self.policy = program, feeds, policy
        self.operator = os.getuid() if operator is None else operator
        self.jti = self.runs = 0

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="bailiff-live.")
        os.chmod(self.dir, 0o755)  # another user reaches socket and program
        self.program = shutil.copy(self.program, self.dir)
        self.socket = os.path.join(self.dir, "admin.sock")
        self.scim = ScimServer(("127.0.0.1", 0), Scim)
        self.scim.agents = {f"/Agents/{n}": True for n in range(1, 10)}
        threading.Thread(target=self.scim.serve_forever, daemon=True,
                         kwargs={"poll_interval": 0.02}).start()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def openssl(self, *args, **more):
        return subprocess.run(["openssl", *args], cwd=self.dir, check=True,
                              capture_output=True, timeout=60, **more).stdout

    def start(self):
        subprocess.run([self.program, "init", "--dir", self.dir + "/data",
                        "--origin", "bailiff/test"], check=True, timeout=60,
                       capture_output=True)
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-out", "k.pem")
        self.openssl("pkey", "-in", "k.pem", "-pubout", "-out", "pub.pem")
        os.chmod(os.path.join(self.dir, "pub.pem"), 0o644)
        for name in ("push", "rt", "scim"):
            self.write(name + ".tok", f"secret-of-{name}")
        url = "http://127.0.0.1:%d" % self.scim.server_address[1]
        self.write("policy.yaml", self.policy)
        self.write("bailiff.yaml", CONFIG % (
            "".join(FEED % (f, f, f, url, f) for f in self.feeds),
            self.operator))
        self.run()

    def run(self):
        self.runs += 1
        self.errors = open(os.path.join(self.dir, "stderr"), "a+")
        self.child = subprocess.Popen(
            [self.program, "run", "-c", self.dir + "/bailiff.yaml"],
            stderr=self.errors)
        self.ready = self.wait(self.find_ready, "event=ready")

    def said(self):
        with open(os.path.join(self.dir, "stderr")) as f:
            return f.read()

    def find_ready(self):
        if self.child.poll() is not None:
            raise AssertionError("bailiff run ended: " + self.said())
        line = re.findall(r"event=ready .*\n", self.said())
        return len(line) == self.runs and dict(
            re.findall(r"(\w+)=(\S+)", line[-1]))

    def wait(self, look, what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.03)
        raise AssertionError(f"no {what} within {seconds} s: " + self.said())

    def stop(self):
        self.child.terminate()
        code = self.child.wait(timeout=60)
        self.errors.close()
        return code

    def __exit__(self, trouble=None, *_):
        code = 0
        if getattr(self, "child", None):
            running = self.child.poll() is None
            code = self.stop() if running else self.child.returncode
        said = self.said() if code != 0 else ""
        self.scim.shutdown()
        self.scim.server_close()
        shutil.rmtree(self.dir)
        if trouble is None and code != 0:
            raise AssertionError(f"bailiff run ended with {code}: {said}")

    def let_others_in(self):
        """As if the socket's group had them: the program asks who it is."""
        os.chmod(self.socket, 0o666)

    # ---- peers ----

    def set_token(self, feed, event, uri):
        self.jti += 1
        head = b64(json.dumps({"alg": "ES256", "typ": "secevent+jwt",
                               "kid": "k1"}).encode())
        data = {"attributes": ["active"]} if event == "put" else {}
        body = b64(json.dumps(
            {"iss": f"https://{feed}.test", "aud": "bailiff",
             "iat": int(time.time()), "jti": f"jti-{self.jti}",
             "sub_id": {"format": "scim", "uri": uri},
             "events": {EVENTS[event]: data}}).encode())
        signature = self.openssl("dgst", "-sha256", "-sign", "k.pem",
                                 input=f"{head}.{body}".encode())
        return f"{head}.{body}.{b64(fixed(signature))}"

    def push(self, event, uri, feed="hr", token=None):
        """Returns the status and the jti."""
        url = f"http://{self.ready['push']}/{feed}"
        request = urllib.request.Request(
            url, (token or self.set_token(feed, event, uri)).encode(),
            {"Content-Type": "application/secevent+jwt",
             "Authorization": "Bearer secret-of-push"})
        try:
            with urllib.request.urlopen(request, timeout=60) as r:
                return r.status, f"jti-{self.jti}"
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def grpc(self, method, message):
        frame = b"\0" + struct.pack(">I", len(message)) + message
        done = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@-",
             "-H", "content-type: application/grpc", "-H", "te: trailers",
             "-H", "authorization: Bearer secret-of-rt",
             f"http://{self.ready['gate']}/bailiff.v1.AgentGate/{method}"],
            input=frame, capture_output=True, timeout=60, check=True)
        return done.stdout[5:]

    def check(self, uri, tool="deploy", feed=""):
        """"allow", or the whole answer when it is not."""
        agent = field(1, uri) + (field(2, feed) if feed else b"")
        answer = self.grpc("Check", field(1, agent) + field(2, tool))
        return "allow" if answer[:2] == b"\x08\x01" else \
            answer.decode("latin-1")

    def begin(self, uri, call_id, tool="deploy"):
        answer = self.grpc("BeginToolCall", field(1, field(1, uri)) +
                           field(2, tool) + field(3, call_id) +
                           field(6, "runtime-a"))
        return answer[:2] == b"\x08\x01"

    def http(self, path, method="GET"):
        request = urllib.request.Request(
            f"http://{self.ready['metrics']}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def admin(self, path, body=None, method=None):
        """Status and document of one raw request."""
        command = ["curl", "-sS", "--unix-socket", self.socket, "-w",
                   "\n%{http_code}", f"http://bailiff{path}"]
        if method:
            command += ["-X", method]
        if body is not None:
            command += ["--data-binary", "@-"]
            if not isinstance(body, (str, bytes)):
                body = json.dumps(body)
        done = subprocess.run(
            command, capture_output=True, timeout=60, check=True,
            input=body.encode() if isinstance(body, str) else body)
        text, status = done.stdout.rsplit(b"\n", 1)
        return int(status), json.loads(text) if text else None
