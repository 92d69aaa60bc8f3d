# SPDX-License-Identifier: Apache-2.0
"""TLS (T24), client certificates, and connections that come and go."""
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import grpc

from harness import DATA, HEADERS, PATIENCE_S, PREFACE, H2, Server, check, \
    frame, grpc_head, message, run

DIR = tempfile.TemporaryDirectory()


def openssl(*args):
    subprocess.run(["openssl", *args], cwd=DIR.name, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def path(name):
    return os.path.join(DIR.name, name)


def make_ca(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_cert(name, ca, names, usage):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}")
    with open(path(f"{name}.ext"), "w") as f:
        f.write(f"subjectAltName={names}\nextendedKeyUsage={usage}\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey",
            f"{ca}.key", "-CAcreateserial", "-days", "2", "-extfile",
            f"{name}.ext", "-out", f"{name}.pem")


def setup():
    make_ca("ca")
    make_ca("other")
    make_cert("server", "ca", "DNS:localhost,IP:127.0.0.1", "serverAuth")
    make_cert("client", "ca", "URI:spiffe://t/agent", "clientAuth")
    make_cert("stranger", "other", "URI:spiffe://t/agent", "clientAuth")
    make_cert("wrong-use", "ca", "DNS:localhost", "serverAuth")


def tls_server(*args):
    return Server(f"cert={path('server.pem')}", f"key={path('server.key')}",
                  *args)


def context(cert=None, alpn=("h2",)):
    c = ssl.create_default_context(cafile=path("ca.pem"))
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if cert:
        c.load_cert_chain(path(f"{cert}.pem"), path(f"{cert}.key"))
    return c


def wrap(c, name="localhost"):
    return lambda s: c.wrap_socket(s, server_hostname=name)


def h2_and_h1():
    with tls_server() as s:
        H2(s, wrap=wrap(context())).unary(1, b"z" * 16000)
        H2(s, wrap=wrap(context(alpn=None))).unary(1)
        t = wrap(context(alpn=("http/1.1",)))(s.connect())
        check(t.selected_alpn_protocol() == "http/1.1")
        t.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 70000\r\n"
                  b"Connection: close\r\n\r\n" + b"a" * 70000)
        got = b""
        while True:
            more = t.recv(65536)
            if not more:
                break
            got += more
        check(got.endswith(b"a" * 70000), len(got))


def grpcio_over_tls():
    with tls_server(f"ca={path('ca.pem')}", "required=1") as s:
        read = lambda n: open(path(n), "rb").read()
        creds = grpc.ssl_channel_credentials(
            read("ca.pem"), read("client.key"), read("client.pem"))
        with grpc.secure_channel(s.address, creds) as ch:
            echo = ch.unary_unary("/test.Echo/Unary")
            check(echo(b"x" * 65536, timeout=PATIENCE_S) == b"x" * 65536)
            check(list(ch.unary_stream("/test.Echo/Stream")(b"100")) ==
                  [b"100"] * 100)


def connects(s, c, ask=True):
    try:
        t = wrap(c)(s.connect())
        if ask:
            t.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return t.recv(10) != b""
        return True
    except (ssl.SSLError, ConnectionError):
        return False


def client_certificates():
    with tls_server(f"ca={path('ca.pem')}") as s:
        check(connects(s, context(alpn=None)))
        check(connects(s, context("client", alpn=None)))
        check(not connects(s, context("stranger", alpn=None)))
        check(not connects(s, context("wrong-use", alpn=None)))
    with tls_server(f"ca={path('ca.pem')}", "required=1") as s:
        check(not connects(s, context(alpn=None)))
        check(connects(s, context("client", alpn=None)))
        check(s.stats()["tls_failures"] >= 1)


def identities():
    """Exactly one URI name counts (SPIFFE X509-SVID 2)."""
    make_cert("two", "ca", "URI:spiffe://t/a,URI:spiffe://t/b", "clientAuth")
    make_cert("none", "ca", "DNS:t", "clientAuth")
    with tls_server(f"ca={path('ca.pem')}") as s:
        for cert, want in (("client", b"tls 1 32 spiffe://t/agent"),
                           ("two", b"tls 1 32 "), ("none", b"tls 1 32 "),
                           (None, b"tls 0 0 ")):
            t = wrap(context(cert, alpn=None))(s.connect())
            t.sendall(b"GET /echo HTTP/1.0\r\n\r\n")
            got = t.recv(4096)
            check(b"x-peer: " + want + b"\r\n" in got, cert, got)


def versions_and_suites():
    with tls_server() as s:
        for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            c = context(alpn=None)
            c.minimum_version = c.maximum_version = v
            check(connects(s, c), v)
        c = context(alpn=None)
        c.minimum_version = ssl.TLSVersion.TLSv1
        c.maximum_version = ssl.TLSVersion.TLSv1_1
        c.set_ciphers("ALL:@SECLEVEL=0")
        check(not connects(s, c), "TLS 1.1")
        for suites in ("ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256",
                       "ECDHE-ECDSA-AES256-SHA"):
            c = context(alpn=None)
            c.maximum_version = ssl.TLSVersion.TLSv1_2
            c.set_ciphers(suites + ":@SECLEVEL=0")
            check(not connects(s, c), suites)
        check(not connects(s, context(alpn=("spdy/3",))), "unknown ALPN")


def no_resumption():
    with tls_server() as s:
        c = context(alpn=None)
        t = wrap(c)(s.connect())
        t.sendall(b"GET / HTTP/1.0\r\n\r\n")
        t.recv(10)
        again = c.wrap_socket(s.connect(), server_hostname="localhost",
                              session=t.session)
        check(not again.session_reused)


def slow_handshake():
    with tls_server("handshake_ms=300") as s:
        quiet, noise = s.connect(), s.connect()
        noise.sendall(b"\x16\x03\x01\x02\x00\x01")
        plain = s.connect()
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        s.until(lambda seen: seen["accepted"] == 3 and seen["open"] == 0)
        check(s.stats()["tls_failures"] == 1 and s.stats()["timeouts"] == 2)


def small_pieces():
    with tls_server() as s:
        c = context()
        inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
        t = c.wrap_bio(inner, outer, server_hostname="localhost")
        sock = s.connect()

        def step(f):
            while True:
                try:
                    return f()
                except ssl.SSLWantReadError:
                    for b in outer.read():
                        sock.sendall(bytes([b]))
                    inner.write(sock.recv(4096))
        step(t.do_handshake)
        t.write(PREFACE + frame(4, 0, 0) + frame(HEADERS, 4, 1, grpc_head()) +
                frame(DATA, 1, 1, message(b"hello")))
        got = b""
        while b"hello" not in got:
            got += step(lambda: t.read(4096))


def churn():
    """Connections torn down at every point; the server stays whole."""
    rng = random.Random(7)
    for secure in (False, True):
        with (tls_server() if secure else Server()) as s:
            data = PREFACE + frame(4, 0, 0)
            for i in range(1, 40, 2):
                data += frame(HEADERS, 4, i, grpc_head(
                    rng.choice(["/test.Echo/Unary", "/test.Echo/Big",
                                "/test.Echo/Never", "/test.Echo/Bidi"])))
                data += frame(DATA, 1, i, message(b"x"))
            for i in range(300):
                raw = c = s.connect()
                try:
                    if secure and rng.random() < 0.7:
                        c = wrap(context())(c)
                    c.sendall(data[:rng.randrange(len(data))])
                    if rng.random() < 0.5:
                        c.settimeout(0.01)
                        c.recv(rng.randrange(1, 5000))
                except OSError:
                    pass
                if rng.random() < 0.5 and c.fileno() >= 0:
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
                c.close()
                raw.close()
            s.until(lambda seen: seen["open"] == 0)
            cpu = s.cpu()
            time.sleep(0.3)
            check(s.cpu() - cpu < 0.05, "it spins")


def bad_files():
    for args in (["cert=/nonexistent", "key=/nonexistent"],
                 [f"cert={path('server.pem')}", f"key={path('client.key')}"],
                 [f"cert={path('server.pem')}", f"key={path('server.key')}",
                  "required=1"]):
        try:
            Server(*args)
        except AssertionError:
            continue
        check(False, "it started", args)


def unix_socket_file():
    p = path("s.sock")
    with Server(f"address=unix:{p}") as s:
        check(os.stat(p).st_mode & 0o777 == 0o600)
        try:
            Server(f"address=unix:{p}")
            check(False, "two servers on one socket")
        except AssertionError as e:
            check("did not start" in str(e), e)
        s.p.send_signal(signal.SIGKILL)
        s.p.wait()
        with Server(f"address=unix:{p}") as again:
            H2(again).unary(1)
        s.stop = lambda *_: None
    with open(p, "w"):
        pass
    try:
        Server(f"address=unix:{p}")
        check(False, "a file was replaced")
    except AssertionError as e:
        check("did not start" in str(e), e)
    check(os.path.exists(p))


if __name__ == "__main__":
    setup()
    run([h2_and_h1, grpcio_over_tls, client_certificates, identities, versions_and_suites,
         no_resumption, slow_handshake, small_pieces, churn, bad_files,
         unix_socket_file])
