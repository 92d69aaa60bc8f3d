# SPDX-License-Identifier: Apache-2.0
"""Starts tests/bench/echo_server and speaks raw HTTP/1.1 and HTTP/2 to it.

Needs Debian's python3-hpack (and python3-grpcio for test_grpc.py)."""
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT = range(10)
# How long anything may take that is to happen, however busy the machine is: only
# a failure waits so long.
PATIENCE_S = 60
BINARY = os.environ.get("ECHO_SERVER", "build/release/tests/bench/echo_server")


class Server:
    def __init__(self, *args, nofile=None):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
        self.p = subprocess.Popen(
            [BINARY, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=limit if nofile else None)
        self.address = self.p.stdout.readline().decode().strip()
        assert self.address, "the server did not start"

    def connect(self, timeout=PATIENCE_S):
        if self.address.startswith("unix:"):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(timeout)
            s.connect(self.address[5:])
            return s
        host, port = self.address.rsplit(":", 1)
        s = socket.create_connection((host.strip("[]"), int(port)), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def stats(self):
        self.p.send_signal(signal.SIGUSR1)
        line = self.p.stdout.readline().decode()
        return {k: int(v) for k, v in (f.split("=") for f in line.split())}

    def until(self, holds):
        """Waits for statistics that are as they are to be."""
        end = time.monotonic() + PATIENCE_S
        while not holds(seen := self.stats()):
            check(time.monotonic() < end, seen)
            time.sleep(0.02)
        return seen

    def cpu(self):
        f = open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kib(self):
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])

    def stop(self, timeout=PATIENCE_S):
        self.p.stdin.close()
        rc = self.p.wait(timeout)
        assert rc == 0, f"the server ended with {rc}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.p.kill()
            self.p.wait()


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def lit(name, value):
    """A literal header field without indexing or Huffman coding."""
    def text(s):
        s = s.encode() if isinstance(s, str) else s
        assert len(s) < 127 + 128
        head = bytes([len(s)]) if len(s) < 127 else bytes([127, len(s) - 127])
        return head + s
    return b"\x00" + text(name) + text(value)


def grpc_head(path="/test.Echo/Unary", extra=(), method="POST",
              content_type="application/grpc"):
    fields = [(":method", method), (":scheme", "http"), (":path", path),
              (":authority", "t"), ("te", "trailers")]
    if content_type:
        fields.append(("content-type", content_type))
    return b"".join(lit(k, v) for k, v in fields + list(extra))


def message(body, flag=0):
    return bytes([flag]) + struct.pack(">I", len(body)) + body


class H2:
    """One raw HTTP/2 connection."""

    def __init__(self, server, settings=b"", wrap=None):
        self.s = server.connect()
        if wrap:
            self.s = wrap(self.s)
        self.buf = b""
        self.goaway = None
        self.hpack = hpack.Decoder()
        self.s.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        self.s.sendall(data)

    def frames(self, timeout=PATIENCE_S):
        """Yields frames until the connection ends."""
        self.s.settimeout(timeout)
        while True:
            while len(self.buf) < 9 or \
                    len(self.buf) < 9 + int.from_bytes(self.buf[:3], "big"):
                try:
                    more = self.s.recv(65536)
                except ConnectionError:
                    return
                if not more:
                    return
                self.buf += more
            n = int.from_bytes(self.buf[:3], "big")
            kind, flags = self.buf[3], self.buf[4]
            stream = int.from_bytes(self.buf[5:9], "big") & 0x7fffffff
            payload, self.buf = self.buf[9:9 + n], self.buf[9 + n:]
            if kind == GOAWAY:
                self.goaway = int.from_bytes(payload[4:8], "big")
            if kind == HEADERS:
                payload = dict(self.hpack.decode(payload))
            yield kind, flags, stream, payload

    def answer(self, stream, timeout=PATIENCE_S):
        """Frames of one stream until it ends."""
        got = []
        for f in self.frames(timeout):
            if f[2] != stream:
                continue
            got.append(f)
            if f[0] == RST or f[1] & 1 and f[0] in (DATA, HEADERS):
                return got
        return got

    def unary(self, stream=1, body=b"x"):
        self.send(frame(HEADERS, 4, stream, grpc_head()) +
                  frame(DATA, 1, stream, message(body)))
        got = b"".join(f[3] for f in self.answer(stream) if f[0] == DATA)
        assert got == message(body), got

    def dies(self, timeout=PATIENCE_S):
        """Reads until the end; True when the server closed."""
        try:
            for _ in self.frames(timeout):
                pass
            return True
        except TimeoutError:
            return False

    def close(self):
        self.s.close()


def check(cond, *what):
    if not cond:
        raise AssertionError(" ".join(str(w) for w in what))


def run(tests):
    wanted = sys.argv[1:]
    failed = passed = 0
    for t in tests:
        if wanted and t.__name__ not in wanted:
            continue
        at = time.time()
        try:
            t()
            passed += 1
            print(f"ok   {t.__name__} {time.time() - at:.2f}s", flush=True)
        except Exception as e:  # noqa: the next test shall still run
            failed += 1
            print(f"FAIL {t.__name__}: {type(e).__name__} {e}", flush=True)
            if os.environ.get("TRACE"):
                import traceback
                traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)
