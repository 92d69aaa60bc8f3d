# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1: what is answered, what is refused (RFC 9112, T23), and how."""
import os
import tempfile
import time

from harness import (HEADERS, PATIENCE_S, H2, Server, check, frame, lit,
                     run)


def talk(server, data, timeout=PATIENCE_S, close=False):
    """Sends and reads until the server ends the connection."""
    s = server.connect(timeout)
    s.sendall(data)
    if close:
        s.shutdown(1)
    got = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return got
            got += more
    except (TimeoutError, ConnectionError):
        return got + b"<open>"
    finally:
        s.close()


def status(got):
    return int(got.split(b" ")[1]) if got.startswith(b"HTTP/1.1 ") else None


DEFAULT_S = 9  # less than any limit that a test has not set
POST = b"POST /echo HTTP/1.1\r\nHost: t\r\n"
LAST = b"Connection: close\r\n"


def answers():
    with Server() as s:
        got = talk(s, POST + LAST + b"Content-Length: 3\r\n\r\nabc")
        check(status(got) == 200 and got.endswith(b"\r\n\r\nabc"), got)
        check(b"\r\ncontent-length: 3\r\n" in got and b"\r\ndate: " in got and
              b"\r\nconnection: close\r\n" in got, got)
        got = talk(s, b"GET /echo?a=b HTTP/1.1\r\nHost:\r\n" + LAST + b"\r\n")
        check(b"x-query: a=b" in got and b"x-method: GET" in got, got)
        got = talk(s, b"HEAD /nope HTTP/1.1\r\nHost: t\r\n" + LAST + b"\r\n")
        check(status(got) == 404 and got.endswith(b"\r\n\r\n") and
              b"content-length: 3" in got, got)
        got = talk(s, b"GET http://t/echo HTTP/1.1\r\nHost: t\r\n" + LAST +
                   b"\r\n")
        check(status(got) == 200, got)
        got = talk(s, b"GET / HTTP/1.0\r\n\r\n")
        check(status(got) == 404, got)


def chunked():
    with Server() as s:
        got = talk(s, POST + LAST + b"Transfer-Encoding: chunked\r\n\r\n"
                   b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n")
        check(got.endswith(b"\r\n\r\nabcde"), got)


def pipelined_keep_alive():
    with Server() as s:
        one = b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n"
        data = b"".join(one + b"%02d" % i for i in range(50))
        got = talk(s, b"\r\n" + data + b"GET / HTTP/1.1\r\nHost: t\r\n" + LAST +
                   b"\r\n")
        check(got.count(b"HTTP/1.1 200") == 50, got.count(b"HTTP/1.1 200"))
        check([got.index(b"\r\n\r\n%02d" % i) for i in range(50)] ==
              sorted(got.index(b"\r\n\r\n%02d" % i) for i in range(50)))
        check(got.count(b"HTTP/1.1 404") == 1 and b"<open>" not in got)


def single_bytes():
    with Server() as s:
        c = s.connect()
        for b in POST + LAST + b"Content-Length: 3\r\n\r\nabc":
            c.sendall(bytes([b]))
        got = b""
        while True:
            more = c.recv(4096)
            if not more:
                break
            got += more
        check(got.endswith(b"abc"), got)


def expect_continue():
    with Server() as s:
        c = s.connect()
        c.sendall(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        check(c.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n")
        c.sendall(b"abc")
        check(c.recv(4096).endswith(b"abc"))
        got = talk(s, POST + b"Content-Length: 3\r\nExpect: cake\r\n\r\nabc")
        check(status(got) == 417, got)


REFUSED = [
    # name, bytes, status
    ("CL+TE", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"0\r\n\r\n", 400),
    ("TE+CL", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
     b"0\r\n\r\n", 400),
    ("two CL", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
     400),
    ("two equal CL", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n"
     b"abc", 400),
    ("CL list", POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    ("CL sign", POST + b"Content-Length: +3\r\n\r\nabc", 400),
    ("CL hex", POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    ("CL overflow", POST + b"Content-Length: 18446744073709551619\r\n\r\nabc",
     400),
    ("obs-fold", POST + b"X: a\r\n b\r\n\r\n", 400),
    ("space before colon", POST + b"X : a\r\n\r\n", 400),
    ("space in front of a name", POST[:-2] + b"\r\n X: a\r\n\r\n", 400),
    ("bare LF", POST + b"X: a\nY: b\r\n\r\n", 400),
    ("bare LF request line", b"GET /echo HTTP/1.1\nHost: t\r\n\r\n", 400),
    ("LF LF end", b"GET /echo HTTP/1.1\r\nHost: t\n\n", 400),
    ("bare CR", POST + b"X: a\rb\r\n\r\n", 400),
    ("NUL", POST + b"X: a\0b\r\n\r\n", 400),
    ("NUL in path", b"GET /ec\0ho HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("TE other", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     501),
    ("TE xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("TE identity", POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    ("TE twice", POST + b"Transfer-Encoding: chunked\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    ("TE on 1.0", b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"0\r\n\r\n", 400),
    ("no Host", b"GET /echo HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("version 2.0", b"GET /echo HTTP/2.0\r\nHost: t\r\n\r\n", 505),
    ("version 1.2", b"GET /echo HTTP/1.2\r\nHost: t\r\n\r\n", 505),
    ("no version", b"GET /echo\r\n\r\n", 505),
    ("unknown method", b"BREW /echo HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("CONNECT", b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n", 501),
    ("no slash", b"GET echo HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("chunk size", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ("chunk without CRLF", POST + b"Transfer-Encoding: chunked\r\n\r\n"
     b"3\r\nabcdef\r\n0\r\n\r\n", 400),
    ("chunk bare LF", POST + b"Transfer-Encoding: chunked\r\n\r\n"
     b"3\nabc\n0\n\n", 400),
    ("chunk extension bare LF", POST + b"Transfer-Encoding: chunked\r\n\r\n"
     b"2;\nxx\r\n0\r\n\r\n", 400),
    ("chunk overflow", POST + b"Transfer-Encoding: chunked\r\n\r\n"
     b"10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    ("header cap", POST + b"X: " + b"a" * 20000 + b"\r\n\r\n", 431),
    ("many headers", POST + b"X: a\r\n" * 2000 + b"\r\n", 431),
    ("long target", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
     414),
    ("long body", POST + b"Content-Length: 262145\r\n\r\n", 413),
    ("long chunks", POST + b"Transfer-Encoding: chunked\r\n\r\n" +
     b"8000\r\n" + (b"a" * 32768 + b"\r\n8000\r\n") * 9, 413),
]


def refusals():
    wrong = []
    with Server() as s:
        for name, data, want in REFUSED:
            got = talk(s, data + POST + b"\r\n", timeout=DEFAULT_S)
            if status(got) != want or got.count(b"HTTP/1.1 ") != 1 or \
                    b"<open>" in got or b"connection: close" not in got:
                wrong.append((name, got[:80], got[-20:]))
    check(not wrong, wrong)


def upgrade_is_ignored():
    with Server() as s:
        got = talk(s, b"GET /echo HTTP/1.1\r\nHost: t\r\nUpgrade: h2c\r\n"
                   b"Connection: Upgrade, close\r\n\r\n")
        check(status(got) == 200, got)


def half_close_still_gets_its_answer():
    with Server() as s:
        got = talk(s, POST + b"Content-Length: 3\r\n\r\nabc", close=True)
        check(got.endswith(b"abc"), got)


def late_answers():
    """A request may be answered after its connection died, or the server."""
    late = b"GET /late HTTP/1.1\r\nHost: t\r\n\r\n"
    h2_late = b"".join(lit(k, v) for k, v in (
        (":method", "GET"), (":scheme", "http"), (":path", "/late"),
        (":authority", "t")))
    with Server() as s:
        c = s.connect()
        c.sendall(late)
        check(status(talk(s, b"GET / HTTP/1.0\r\n\r\n")) == 404)
        check(c.recv(4096).endswith(b"late"))
        c.sendall(late)
        time.sleep(0.05)
        c.close()
        time.sleep(0.05)
        check(status(talk(s, b"GET / HTTP/1.0\r\n\r\n")) == 404)
        for abort in (False, True):
            h = H2(s)
            h.send(frame(HEADERS, 5, 1, h2_late))
            time.sleep(0.05)
            if abort:
                h.close()
                time.sleep(0.05)
            check(status(talk(s, b"GET / HTTP/1.0\r\n\r\n")) == 404)
            if not abort:
                got = h.answer(1)
                check(got[0][3][":status"] == "200" and
                      got[-1][3] == b"late", got)
        c = s.connect()
        c.sendall(late)
        time.sleep(0.05)


def peers_are_named():
    with Server() as s:
        got = talk(s, b"GET /echo HTTP/1.0\r\n\r\n")
        check(b"x-peer: tcp 1\r\n" in got and b"x-bad" not in got, got)
    with tempfile.TemporaryDirectory() as d, \
            Server(f"address=unix:{d}/s") as s:
        got = talk(s, b"GET /echo HTTP/1.0\r\n\r\n")
        want = b"x-peer: unix %d %d\r\n" % (os.getuid(), os.getpid())
        check(want in got, got)


def slow_head_and_body():
    with Server("request_ms=400") as s:
        for data in (b"GET /ec", POST + b"Content-Length: 3\r\n\r\na"):
            got = talk(s, data, timeout=DEFAULT_S)
            check(status(got) == 408, got)
        # One byte now and then does not help (slowloris).
        c = s.connect()
        c.sendall(POST)
        at = time.time()
        try:
            while time.time() - at < DEFAULT_S:
                c.sendall(b"X: a\r\n")
                time.sleep(0.1)
            check(False, "still alive")
        except ConnectionError:
            pass
        check(s.stats()["timeouts"] >= 3)


def idle_and_silent():
    with Server("request_ms=300", "idle_ms=300") as s:
        check(talk(s, b"", timeout=DEFAULT_S) == b"")
        got = talk(s, POST + b"\r\n", timeout=DEFAULT_S)
        check(status(got) == 200 and b"<open>" not in got)


def connection_limit():
    with Server("connections=20") as s:
        held = [s.connect() for _ in range(20)]
        s.until(lambda seen: seen["open"] == 20)
        check(talk(s, b"GET / HTTP/1.1\r\n\r\n") in (b"", b"<open>"))
        for c in held:
            c.close()
        s.until(lambda seen: seen["open"] == 0)
        check(status(talk(s, b"GET / HTTP/1.0\r\n\r\n")) == 404)
        check(s.stats()["refused"] >= 1)


def out_of_descriptors():
    """F14: refused without spinning, and served again afterwards."""
    with Server(nofile=40) as s:
        held = [s.connect() for _ in range(60)]
        time.sleep(0.3)
        cpu = s.cpu()
        time.sleep(0.7)
        check(s.cpu() - cpu < 0.1, "it spins")
        for c in held:
            c.close()
        s.until(lambda seen: seen["open"] == 0)
        check(status(talk(s, b"GET / HTTP/1.0\r\n\r\n")) == 404)


def thousand_idle():
    with Server() as s:
        before = s.rss_kib()
        held = [s.connect() for _ in range(1000)]
        for c in held:
            c.sendall(b"GET")
        check(status(talk(s, b"GET / HTTP/1.0\r\n\r\n", DEFAULT_S)) == 404)
        print("     KiB per connection:", (s.rss_kib() - before) / 1000)
        for c in held:
            c.close()


if __name__ == "__main__":
    run([answers, chunked, pipelined_keep_alive, single_bytes, expect_continue,
         refusals, upgrade_is_ignored, half_close_still_gets_its_answer,
         late_answers,
         peers_are_named, slow_head_and_body, idle_and_silent, connection_limit,
         out_of_descriptors, thousand_idle])
