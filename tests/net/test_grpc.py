# SPDX-License-Identifier: Apache-2.0
"""gRPC behaviour as python3-grpcio and raw frames see it."""
import os
import tempfile
import threading
import time

import grpc

from harness import (DATA, GOAWAY, HEADERS, PATIENCE_S, RST, H2, Server, check,
                     frame, grpc_head, message, run)


def channel(server, **options):
    a = server.address
    return grpc.insecure_channel(a if not a.startswith("unix:") else a,
                                 options=list(options.items()))


def unary(ch, name="Unary"):
    return ch.unary_unary(f"/test.Echo/{name}")


def code(call, *args, **kw):
    try:
        call(*args, **kw)
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as e:
        return e.code(), e.details()


def unary_tcp_and_unix():
    with tempfile.TemporaryDirectory() as d:
        path = f"{d}/s.sock"
        for args in ((), (f"address=unix:{path}",), ("address=[::1]:0",)):
            with Server(*args) as s, channel(s) as ch:
                for body in (b"", b"x", b"y" * 65536):
                    check(unary(ch)(body, timeout=PATIENCE_S) == body)
        check(not os.path.exists(path), "the socket file is still there")


def statuses():
    with Server() as s, channel(s) as ch:
        c = grpc.StatusCode
        check(code(unary(ch, "None"), b"")[0] == c.UNIMPLEMENTED)
        check(code(unary(ch), b"z" * 65537)[0] == c.RESOURCE_EXHAUSTED)
        got = code(ch.unary_unary("/test.Echo/Stream"), b"x")
        check(got == (c.INVALID_ARGUMENT, "not a number: \u00e4%"), got)
        check(code(unary(ch, "Never"), b"", timeout=0.2)[0] ==
              c.DEADLINE_EXCEEDED)
        check(unary(ch)(b"still", timeout=PATIENCE_S) == b"still")


def compression_is_refused():
    with Server() as s, channel(s) as ch:
        got = code(unary(ch), b"a" * 1000, timeout=PATIENCE_S,
                   compression=grpc.Compression.Gzip)
        check(got[0] == grpc.StatusCode.UNIMPLEMENTED, got)


def streaming():
    with Server() as s, channel(s) as ch:
        got = list(ch.unary_stream("/test.Echo/Stream")(b"500", timeout=PATIENCE_S))
        check(got == [b"500"] * 500, len(got))
        sent = [b"m%d" % i for i in range(300)]
        got = list(ch.stream_stream("/test.Echo/Bidi")(iter(sent), timeout=PATIENCE_S))
        check(got == sent, len(got))


def cancel_reaches_the_server():
    with Server() as s, channel(s) as ch:
        go = threading.Event()

        def wait():
            yield b"1"
            go.wait(5)
        call = ch.stream_stream("/test.Echo/Bidi")(wait())
        check(next(call) == b"1")
        call.cancel()
        go.set()
        check(unary(ch)(b"x", timeout=PATIENCE_S) == b"x")


def health_and_reflection():
    with Server() as s, channel(s) as ch:
        check_ = ch.unary_unary("/grpc.health.v1.Health/Check")
        check(check_(b"", timeout=PATIENCE_S) == b"\x08\x01")
        check(check_(b"\x0a\x15grpc.health.v1.Health", timeout=PATIENCE_S) ==
              b"\x08\x01")
        check(code(check_, b"\x0a\x01x")[0] == grpc.StatusCode.NOT_FOUND)
        watch = ch.unary_stream("/grpc.health.v1.Health/Watch")
        w = watch(b"\x0a\x01x")
        check(next(w) == b"\x08\x03")
        w.cancel()
        for v in ("v1", "v1alpha"):
            r = ch.stream_stream(
                f"/grpc.reflection.{v}.ServerReflection/ServerReflectionInfo")
            asks = [b"\x3a\x00", b"\x22\x15grpc.health.v1.Health",
                    b"\x22\x1bgrpc.health.v1.Health.Check",
                    b"\x1a\x12proto/health.proto", b"\x22\x01x"]
            got = list(r(iter(asks), timeout=PATIENCE_S))
            check(b"grpc.health.v1.Health" in got[0], got[0])
            check(b"bailiff" not in got[0], "a service that is not offered")
            for one in got[1:4]:
                check(b"HealthCheckRequest" in one, one)
            check(b"not found" in got[4], got[4])


def trailers(got):
    h = {}
    for f in got:
        if f[0] == HEADERS:
            h.update(f[3])
    return h


def ask(h2, stream, head, data=None):
    h2.send(frame(HEADERS, 4 if data is not None else 5, stream, head))
    if data is not None:
        h2.send(frame(DATA, 1, stream, data))
    return h2.answer(stream)


def raw_refusals():
    rows = [
        # head arguments, data, expected
        (dict(method="GET"), b"", {":status": "405"}),
        (dict(content_type="text/plain"), b"", {":status": "415"}),
        (dict(content_type=None), b"", {":status": "415"}),
        (dict(content_type="application/grpcx"), b"", {":status": "415"}),
        (dict(content_type="application/grpc+proto"), message(b"a"),
         {"grpc-status": "0"}),
        (dict(path="/x.Y/Z"), message(b""),
         {":status": "200", "grpc-status": "12"}),
        (dict(extra=[("grpc-encoding", "gzip")]), message(b"a"),
         {"grpc-status": "12", "grpc-accept-encoding": "identity"}),
        ({}, message(b"a", flag=1), {"grpc-status": "13"}),
        ({}, message(b"a", flag=7), {"grpc-status": "13"}),
        ({}, message(b"abc")[:-1], {"grpc-status": "13"}),
        ({}, b"\0\0", {"grpc-status": "13"}),
        ({}, b"", {"grpc-status": "12"}),
        ({}, message(b"a") + message(b"b"), {"grpc-status": "12"}),
        ({}, b"\0\xff\xff\xff\xff", {"grpc-status": "8"}),
        (dict(path="/test.Echo/Bidi"), message(b"abc") + b"\0",
         {"grpc-status": "13"}),
        (dict(path="/test.Echo/Never", extra=[("grpc-timeout", "50m")]),
         message(b""), {"grpc-status": "4"}),
        (dict(path="/test.Echo/Unary", extra=[("grpc-timeout", "junk")]),
         message(b""), {"grpc-status": "0"}),
    ]
    with Server() as s:
        for kw, data, want in rows:
            h = H2(s)
            got = trailers(ask(h, 1, grpc_head(**kw), data))
            for k, v in want.items():
                check(got.get(k) == v, kw, data, "->", got)
            if "grpc-status" in want:
                check(got[":status"] == "200" and
                      got["content-type"] == "application/grpc", got)
            h.close()


def rst_no_error_when_the_request_goes_on():
    with Server() as s:
        h = H2(s)
        h.send(frame(HEADERS, 4, 1, grpc_head(path="/x.Y/Z")))
        kinds = []
        for f in h.frames():
            if f[2] == 1:
                kinds.append(f[0])
            if f[0] == RST:
                check(f[3] == b"\0\0\0\0", f)
                break
        check(kinds == [HEADERS, RST], kinds)
        h.unary(3)


def split_in_single_bytes():
    with Server() as s:
        h = H2(s)
        data = frame(HEADERS, 4, 1, grpc_head()) + b"".join(
            frame(DATA, 0, 1, bytes([b])) for b in message(b"hello")) + \
            frame(DATA, 1, 1)
        for b in data:
            h.send(bytes([b]))
        got = b"".join(f[3] for f in h.answer(1) if f[0] == DATA)
        check(got == message(b"hello"), got)


def half_a_request_times_out():
    with Server("request_ms=300") as s:
        h = H2(s)
        h.send(frame(HEADERS, 4, 1, grpc_head()) +
               frame(DATA, 0, 1, b"\0\0"))
        check(trailers(h.answer(1))["grpc-status"] == "4")
        h.send(frame(HEADERS, 4, 3, grpc_head(path="/test.Echo/Bidi")))
        time.sleep(0.6)
        h.send(frame(DATA, 1, 3, message(b"x")))
        check(trailers(h.answer(3)) != {}, "a stream may be quiet")
        check(s.stats()["timeouts"] == 1)


def drain_lets_calls_finish():
    s = Server("drain=60000")
    h = H2(s)
    h.send(frame(HEADERS, 4, 1, grpc_head()))
    h.send(b"")
    time.sleep(0.1)
    s.p.stdin.close()
    goaways = []
    sent = False
    for f in h.frames():
        if f[0] == GOAWAY:
            goaways.append(int.from_bytes(f[3][:4], "big"))
            if len(goaways) == 2 and not sent:
                sent = True
                h.send(frame(DATA, 1, 1, message(b"late")))
        if f[0] == DATA:
            check(f[3] == message(b"late"))
            sent = "answered"
    check(goaways == [0x7fffffff, 1], goaways)
    check(sent == "answered", sent)
    h.close()
    check(s.p.wait(PATIENCE_S) == 0)


def drain_cuts_at_its_limit():
    s = Server("drain=300")
    h = H2(s)
    h.send(frame(HEADERS, 4, 1, grpc_head(path="/test.Echo/Bidi")))
    time.sleep(0.1)
    at = time.time()
    s.p.stdin.close()
    check(h.dies())
    check(s.p.wait(PATIENCE_S) == 0)
    check(time.time() - at > 0.2)


if __name__ == "__main__":
    run([unary_tcp_and_unix, statuses, compression_is_refused, streaming,
         cancel_reaches_the_server, health_and_reflection, raw_refusals,
         rst_no_error_when_the_request_goes_on, split_in_single_bytes,
         half_a_request_times_out, drain_lets_calls_finish,
         drain_cuts_at_its_limit])
