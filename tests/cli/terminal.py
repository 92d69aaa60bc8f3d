# SPDX-License-Identifier: Apache-2.0
"""What people see on a terminal of 80 columns. `run` collects these."""
import fcntl
import os
import pty
import struct
import tempfile
import termios
import threading

import admin
from call import BAILIFF, check, good_config, write

COLUMNS = 80


def shown(*args):
    """The lines that a command prints on a terminal."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ,
                struct.pack("HHHH", 50, COLUMNS, 0, 0))
    child = os.fork()
    if child == 0:
        os.environ.update(TERM="xterm", NO_COLOR="1")
        os.dup2(terminal, 1)
        os.dup2(terminal, 2)
        os.execv(BAILIFF, [BAILIFF, *args])
    os.close(terminal)
    out = b""
    try:
        while data := os.read(main, 65536):
            out += data
    except OSError:  # nobody has the terminal any more
        pass
    os.waitpid(child, 0)
    os.close(main)
    return out.decode().replace("\r", "").split("\n")


def fits(*args):
    lines = shown(*args)
    for line in lines:
        check(len(line) <= COLUMNS, args, len(line), "\n" + line)
    return "\n".join(lines)


def test_operators_see_everything_in_80_columns():
    for mode in ("normal", "empty"):
        with tempfile.TemporaryDirectory(dir="/tmp") as d:
            server = admin.serve(f"{d}/s", mode)
            server.RequestHandlerClass.log_message = lambda *_: None
            threading.Thread(target=server.serve_forever,
                             kwargs={"poll_interval": 0.02}).start()
            try:
                for words in (("agents",), ("jobs",), ("feeds",), ("review",),
                              ("jobs", "retry", "--withheld")):
                    text = fits(*words, "-s", f"{d}/s")
                    check("…" not in text, text)
                if mode == "normal":
                    text = fits("jobs", "-s", f"{d}/s")
                    check("limits.suspend: 51 agents of hr within 5m, limit 50"
                          in text, text)
                    fits("agents", "show", "/Agents/7", "-s", f"{d}/s")
            finally:
                server.shutdown()
                server.server_close()


def test_check_fits_with_long_keys():
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        good_config(d)
        with open(f"{d}/bailiff.yaml") as f:
            text = f.read().replace("{bearer_file: token}",
                                    "{bearer_file: secrets/of/nobody}")
        write(f"{d}/bailiff.yaml", text)
        out = fits("check", "-c", f"{d}/bailiff.yaml")
        check("feeds[0].poll.auth.bearer_file " in out, out)
        check("No such file or directory" in " ".join(out.split()), out)
        check("//" not in out, out)


def test_check_names_the_public_key_beside():
    """A path of two parts has one stroke between them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        good_config(d)
        write(f"{d}/store/keys/log.pub", "not a key\n")
        out = " ".join(fits("check", "-c", f"{d}/bailiff.yaml").split())
        check("keys/log.pub" in out and "//" not in out, out)
