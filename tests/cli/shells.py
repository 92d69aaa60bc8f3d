# SPDX-License-Identifier: Apache-2.0
"""The completion scripts in the shells they are for. `run` collects these."""
import os
import pty
import select
import subprocess
import tempfile
import time

from call import bailiff, check, want, write

SHELL_S = 60  # a shell that says nothing for so long hangs
PROMPT = "next? "


def script(shell, path):
    r = bailiff("completion", shell)
    want(r, 0, "agents", "reason")
    write(path, r.out)


def test_completion_is_for_known_shells():
    want(bailiff("completion", "tcsh"), 2, err="bash, zsh or fish")
    want(bailiff("completion"), 2, err="bash, zsh or fish")


def test_bash_completes():
    def completed(*words):
        text = bailiff("completion", "bash").out + (
            f'COMP_WORDS=(bailiff {" ".join(words)} ""); '
            f'COMP_CWORD={len(words) + 1}; _bailiff\n'
            'echo "${COMPREPLY[*]}"\n')
        r = subprocess.run(["bash", "-c", text], capture_output=True,
                           text=True, timeout=SHELL_S)
        check(r.stderr == "", r.stderr)
        return r.stdout.split()
    check({"policy", "help"} <= set(completed()), completed())
    check({"add", "lift"} <= set(completed("hold")), completed("hold"))
    check("--reason" not in completed("hold"), completed("hold"))
    check({"list", "--state"} <= set(completed("jobs")), completed("jobs"))
    check({"--reason", "--tools"} <= set(completed("hold", "add")))
    check({"check", "rollback"} <= set(completed("policy")))
    check(completed("policy", "check") ==
          ["--strict", "--history", "--config", "--data", "--log",
           "--since", "--json", "--help"],
          completed("policy", "check"))


def test_fish_completes():
    with tempfile.TemporaryDirectory() as d:
        script("fish", f"{d}/bailiff.fish")
        write(f"{d}/some-policy.yaml", "")

        def completed(line):
            r = subprocess.run(
                ["fish", "--no-config", "-c",
                 f"source bailiff.fish; complete -C '{line}'"],
                capture_output=True, text=True, timeout=SHELL_S, cwd=d,
                env={**os.environ, "HOME": d})
            check(r.returncode == 0 and r.stderr == "", line, r.stderr)
            return [c.split("\t")[0] for c in r.stdout.splitlines()]
        check(completed("bailiff jo") == ["jobs"], completed("bailiff jo"))
        check(completed("bailiff jobs re") == ["retry"])
        check(completed("bailiff jobs --sta") == ["--state"])
        check(completed("bailiff jobs retry --with") == ["--withheld"])
        check(completed("bailiff jobs retry --sta") == [], "of another part")
        check(completed("bailiff completion z") == ["zsh"])
        check(completed("bailiff policy check some") == ["some-policy.yaml"])
        check(completed("bailiff run --config some") == ["some-policy.yaml"])


class Zsh:
    """An interactive zsh; the program in it says what it is called with."""

    def __init__(self, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.environ.update(HOME=home, TERM="dumb", ZDOTDIR=home)
            os.execvp("zsh", ["zsh", "-i"])
        self.seen = ""

    def wait(self, text):
        """What it has said up to `text`, which must come."""
        end = time.monotonic() + SHELL_S
        while text not in self.seen:
            check(time.monotonic() < end, "waiting for", text, self.seen)
            if select.select([self.fd], [], [], 1)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
        before, self.seen = self.seen.split(text, 1)
        return before

    def completed(self, line):
        """The words with which the program is called after a TAB. What is typed
        before the prompt is there is not edited yet."""
        self.wait(PROMPT)
        os.write(self.fd, line.encode() + b"\t\n")
        self.wait("called<")
        return self.wait(">")

    def close(self):
        os.write(self.fd, b"exit\n")
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def zsh_completes(d, rc):
    write(f"{d}/.zshrc", rc + f"unsetopt zle_bracketed_paste\nPROMPT='{PROMPT}'\n"
          "bailiff() { print -r -- \"called\"\"<$*>\" }\nprint begin\n")
    write(f"{d}/some-policy.yaml", "")
    z = Zsh(d)
    try:
        z.wait("begin")
        for line, words in (("bailiff statu", "status"),
                            ("bailiff jobs ret", "jobs retry"),
                            ("bailiff jobs --sta", "jobs --state"),
                            ("bailiff jobs retry --with",
                             "jobs retry --withheld"),
                            ("bailiff completion fi", "completion fish"),
                            ("bailiff policy check some",
                             "policy check some-policy.yaml"),
                            ("bailiff run --config some",
                             "run --config some-policy.yaml")):
            got = z.completed(line)
            check(got.strip() == words, line, got)
    finally:
        z.close()


def test_zsh_completes_when_sourced():
    with tempfile.TemporaryDirectory() as d:
        script("zsh", f"{d}/completion")
        zsh_completes(d, "autoload -Uz compinit; compinit -u -D\n"
                      "source $HOME/completion\n")


def test_zsh_completes_when_installed():
    """As a package installs it; the first TAB loads the file."""
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(f"{d}/site")
        script("zsh", f"{d}/site/_bailiff")
        zsh_completes(d, "fpath=($HOME/site $fpath)\n"
                      "autoload -Uz compinit; compinit -u -D\n")
