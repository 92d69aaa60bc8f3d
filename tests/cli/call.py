# SPDX-License-Identifier: Apache-2.0
"""Calls the program and looks at what came of it; files for it to read."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BAILIFF = os.environ.get("BAILIFF",
                         os.path.join(ROOT, "build/release/bailiff"))
os.environ["BAILIFF"] = os.path.abspath(BAILIFF)


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


def bailiff(*args, stdin=None, env=None):
    return Result(subprocess.run(
        [BAILIFF, *args], capture_output=True, text=True, errors="replace",
        timeout=60, cwd=ROOT, env={**os.environ, "TERM": "xterm", **(env or {})}))


def check(ok, *what):
    if not ok:
        raise AssertionError(" ".join(str(w) for w in what))


def want(result, code, *pieces, err=()):
    check(result.code == code, "exit", result.code, "wanted", code,
          result.out, result.err)
    for piece in pieces:
        check(piece in result.out, repr(piece), "is not in", result.out)
    for piece in ([err] if isinstance(err, str) else err):
        check(piece in result.err, repr(piece), "is not in", result.err)


def write(path, text, mode=0o600):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def good_config(d):
    write(f"{d}/token", "hunter2secret\n")
    write(f"{d}/keys.json", "{}")
    write(f"{d}/policy.yaml", bailiff("policy", "show").out)
    for name in ("store", "store/log", "store/keys"):
        os.mkdir(f"{d}/{name}", 0o700)
    for key in ("seal", "log"):
        write(f"{d}/store/keys/{key}.key", "k" * 32, 0o400)
    write(f"{d}/bailiff.yaml", """
feeds:
  - name: hr
    issuer: https://idp.example
    audience: a
    keys: {jwks_file: keys.json}
    poll: {url: https://idp.example/poll, auth: {bearer_file: token}}
    scim: {base: https://idp.example/scim}
callers: [{name: r, role: runtime, uid: 54321, agents: ["/Agents/*"]}]
operators: [{name: me, uid: 0}]
policy: {file: policy.yaml}
store: {dir: store}
""")
