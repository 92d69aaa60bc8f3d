# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 attacks (F16, F17): the connection dies within few frames, the cost
is small, and another connection is answered all the while."""
import glob
import json
import os
import struct
import time

from harness import (CONT, DATA, GOAWAY, HEADERS, PING, PRIORITY, RST, SETTINGS,
                     WINDOW, H2, Server, check, frame, grpc_head, lit, message,
                     run)

CALM = 11
DEFAULT_S = 9  # less than any limit that a test has not set


class Flood:
    """Sends batches until the connection breaks; counts the frames taken."""

    def __init__(self, server, *args, **kw):
        self.server = server
        self.h = H2(server, *args, **kw)
        self.other = H2(server)
        self.sent = 0
        self.stream = 1

    def next_stream(self):
        self.stream += 2
        return self.stream

    def alive(self):
        self.h.s.setblocking(False)
        try:
            while True:
                more = self.h.s.recv(1 << 20)
                if not more:
                    return False
                self.h.buf += more
        except BlockingIOError:
            return b"\0\0\x08\x07\0\0\0\0\0" not in self.h.buf  # GOAWAY
        except ConnectionError:
            return False
        finally:
            self.h.s.setblocking(True)

    def run(self, batch, most, frames_each=1):
        """batch() gives the bytes of one attack step."""
        cpu, at = self.server.cpu(), time.time()
        served = 1
        try:
            while self.sent < most:
                self.h.send(b"".join(batch() for _ in range(20)))
                self.sent += 20 * frames_each
                if self.sent % 200 == 0:
                    self.other.unary(served)
                    served += 2
                if not self.alive():
                    break
        except (ConnectionError, TimeoutError):
            pass
        died = self.h.dies(DEFAULT_S)
        self.other.unary(served)
        took = self.server.cpu() - cpu
        print(f"     {self.sent} frames sent, {took:.2f} s CPU, "
              f"GOAWAY {self.h.goaway}, {time.time() - at:.2f} s")
        check(died, "the connection lives")
        check(self.sent < most, "too many frames were taken")
        check(took < 0.5, "too much CPU")
        self.h.close()
        self.other.close()


def attack(batch_of, most, settings=b"", goaway=CALM, frames_each=1,
           args=()):
    with Server(*args) as s:
        f = Flood(s, settings)
        f.run(lambda: batch_of(f), most, frames_each)
        if goaway is not None:
            check(f.h.goaway in (goaway, None), f.h.goaway)
        check(s.stats()["floods"] >= 1, s.stats())


def rapid_reset():
    def step(f):
        i = f.next_stream()
        return frame(HEADERS, 5, i, grpc_head("/test.Echo/Never")) + \
            frame(RST, 0, i, b"\0\0\0\x08")
    attack(step, 2000)


def made_you_reset_window_overflow():
    def step(f):
        i = f.next_stream()
        return frame(HEADERS, 4, i, grpc_head("/test.Echo/Bidi")) + \
            frame(WINDOW, 0, i, b"\x7f\xff\xff\xff")
    attack(step, 2000)


def made_you_reset_zero_window():
    def step(f):
        i = f.next_stream()
        return frame(HEADERS, 4, i, grpc_head("/test.Echo/Bidi")) + \
            frame(WINDOW, 0, i, b"\0\0\0\0")
    with Server() as s:
        f = Flood(s)
        f.run(lambda: step(f), 2000)


def made_you_reset_data_after_end():
    def step(f):
        i = f.next_stream()
        return frame(HEADERS, 5, i, grpc_head("/test.Echo/Never")) + \
            frame(DATA, 0, i, b"x")
    with Server() as s:
        f = Flood(s)
        f.run(lambda: step(f), 2000)


def made_you_reset_bad_priority():
    def step(f):
        i = f.next_stream()
        return frame(HEADERS, 4, i, grpc_head("/test.Echo/Bidi")) + \
            frame(PRIORITY, 0, i, struct.pack(">IB", i, 0))
    with Server() as s:
        f = Flood(s)
        f.run(lambda: step(f), 2000)


def malformed_heads():
    def step(f):
        i = f.next_stream()
        return frame(HEADERS, 5, i, grpc_head(extra=[("connection", "x")]))
    attack(step, 2000)


def continuation_flood():
    with Server() as s:
        f = Flood(s)
        f.h.send(frame(HEADERS, 0, 1, grpc_head()))
        f.run(lambda: frame(CONT, 0, 1, lit("x", "y")), 2000)
        f = Flood(s)
        f.h.send(frame(HEADERS, 0, 1, grpc_head()))
        f.run(lambda: frame(CONT, 0, 1), 2000)


def hpack_bomb():
    big = lit("x", "a" * 200).replace(b"\x00", b"\x40", 1)
    with Server() as s:
        f = Flood(s)
        f.run(lambda: frame(HEADERS, 0, f.next_stream(), big * 15 +
                            b"\xbe" * 12000), 2000)


def ping_flood():
    attack(lambda f: frame(PING, 0, 0, b"12345678"), 4000)


def settings_flood():
    attack(lambda f: frame(SETTINGS, 0, 0), 4000)


def settings_flood_with_values():
    attack(lambda f: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)), 4000)


def priority_flood():
    attack(lambda f: frame(PRIORITY, 0, 99, struct.pack(">IB", 0, 1)), 4000)


def empty_data_flood():
    with Server() as s:
        f = Flood(s)
        f.h.send(frame(HEADERS, 4, 1, grpc_head("/test.Echo/Bidi")))
        f.run(lambda: frame(DATA, 0, 1), 4000)
        f = Flood(s)
        f.h.send(frame(HEADERS, 4, 1, grpc_head("/test.Echo/Bidi")))
        f.run(lambda: frame(DATA, 8, 1, b"\x05\0\0\0\0\0"), 4000)


def too_many_streams():
    with Server() as s:
        f = Flood(s)
        f.run(lambda: frame(HEADERS, 4, f.next_stream(),
                            grpc_head("/test.Echo/Bidi")), 4000)


def zero_window_big_answers():
    """Memory stays bounded, the connection is cut, others are served."""
    with Server("stall_ms=1000") as s:
        h = H2(s, struct.pack(">HI", 4, 0))
        other = H2(s)
        before = s.rss_kib()
        try:
            for i in range(1, 1800, 2):
                h.send(frame(HEADERS, 4, i, grpc_head("/test.Echo/Big")) +
                       frame(DATA, 1, i, message(b"")))
        except ConnectionError:
            pass
        time.sleep(0.3)
        grown = s.rss_kib() - before
        other.unary(1)
        check(grown < 20000, f"{grown} KiB")
        check(h.dies(DEFAULT_S))
        other.unary(3)
        print(f"     grew {grown} KiB")
        check(s.stats()["slow"] >= 1, s.stats())


def never_reads():
    """The peer's socket is full: reading stops, then the stall timer cuts."""
    with Server("stall_ms=800") as s:
        h = H2(s, struct.pack(">HI", 4, 0x7fffffff))
        h.send(frame(WINDOW, 0, 0, b"\x7f\0\0\0"))
        other = H2(s)
        before = s.rss_kib()
        h.s.settimeout(0.5)
        try:
            for i in range(1, 40001, 2):
                h.send(frame(HEADERS, 4, i, grpc_head("/test.Echo/Big")) +
                       frame(DATA, 1, i, message(b"")))
        except (TimeoutError, ConnectionError):
            pass
        other.unary(1)
        grown = s.rss_kib() - before
        s.until(lambda seen: seen["open"] == 1)
        other.unary(3)
        print(f"     grew {grown} KiB")
        check(grown < 30000, grown)


def slow_preface():
    with Server("request_ms=400") as s:
        held = []
        for _ in range(100):
            c = s.connect()
            c.sendall(b"PRI * HTTP/2.0\r\n")
            held.append(c)
        settled = H2(s)
        settled.unary(1)
        s.until(lambda seen: seen["open"] == 1)
        settled.unary(3)


def open_header_block():
    with Server("request_ms=400") as s:
        h = H2(s)
        h.send(frame(HEADERS, 0, 1, grpc_head()))
        check(h.dies(DEFAULT_S))


def idle_connection_is_told_to_go():
    with Server("idle_ms=300") as s:
        h = H2(s)
        h.unary(1)
        check(h.dies(DEFAULT_S) and h.goaway == 0, h.goaway)


def idle_crowd():
    """F16: 1,000 connections that say nothing do not slow an honest one."""
    with Server() as s:
        crowd = [H2(s) for _ in range(1000)]
        other = H2(s)
        times = []
        for i in range(1, 401, 2):
            at = time.perf_counter()
            other.unary(i)
            times.append(time.perf_counter() - at)
        times.sort()
        print(f"     p50 {times[100] * 1e6:.0f} us, p99 {times[198] * 1e6:.0f} us")
        check(times[20] < 0.02)  # what a busy machine adds, it adds to some
        for h in crowd:
            h.close()


def frame_vectors():
    """http2jp/http2-frame-test-case: malformed frames end the connection (or
    the stream), well-formed ones do not make the server fall over."""
    base = next((p for p in ("../shared/vectors/http2-frame",
                             "../../shared/vectors/http2-frame")
                 if os.path.isdir(p)), None)
    if base is None:
        print("     SKIP: no vectors")
        return
    want = [x for x in json.load(open(base + "/../manifest.json"))
            if x["suite"] == "http2-frame"][0]["cases"]
    deviations = {}
    for line in open("tests/vectors/http2-frame.deviations"):
        if line.strip() and not line.startswith("#"):
            name, result, _ = line.split(None, 2)
            deviations[name] = result
    seen = 0
    wrong = []
    with Server() as s:
        for path in sorted(glob.glob(base + "/*/*.json")):
            name = path[len(base) + 1:-5]
            case = json.load(open(path))
            seen += 1
            h = H2(s)
            h.send(bytes.fromhex(case["wire"]))
            h.send(frame(PING, 0, 0, b"alive?!?"))
            result = "ended"
            for kind, flags, _, payload in h.frames(3):
                if kind == GOAWAY:
                    result = f"goaway-{int.from_bytes(payload[4:8], 'big')}"
                    break
                if kind == RST:
                    result = f"rst-{int.from_bytes(payload, 'big')}"
                    break
                if kind == PING and flags & 1 and payload == b"alive?!?":
                    result = "accepted"
                    break
            h.close()
            if case["error"]:
                ok = result in [f"{k}-{e}" for e in case["error"]
                                for k in ("goaway", "rst")]
            else:
                # After a GOAWAY the server may leave at once.
                ok = result == "accepted" or \
                    name == "goaway/normal" and result == "ended"
            if not ok and deviations.pop(name, None) != result:
                wrong.append((name, result, case["error"]))
        H2(s).unary(1)
    check(seen == want, f"{seen} cases, the manifest says {want}")
    check(not wrong, wrong)
    check(not deviations, "listed but not seen:", deviations)


if __name__ == "__main__":
    run([rapid_reset, made_you_reset_window_overflow,
         made_you_reset_zero_window, made_you_reset_data_after_end,
         made_you_reset_bad_priority, malformed_heads, continuation_flood,
         hpack_bomb, ping_flood, settings_flood, settings_flood_with_values,
         priority_flood, empty_data_flood, too_many_streams,
         zero_window_big_answers, never_reads, slow_preface,
         open_header_block, idle_connection_is_told_to_go, idle_crowd,
         frame_vectors])
