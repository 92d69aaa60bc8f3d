# SPDX-License-Identifier: Apache-2.0
"""What the lint scripts share: the list of files, C without its comments and
strings, and the counting of results."""
import re
import subprocess
import sys

PRODUCT = re.compile(r"^(sidecar|policy|proto|adapters)/")


def tracked():
    """Files that git knows or would add, so that new ones are checked too."""
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout
    names = []
    for name in sorted(set(out.split("\n"))):
        try:
            with open(name, "rb"):
                names.append(name)
        except OSError:
            pass
    return names


def is_c(name):
    return name.endswith((".c", ".h"))


def product_c():
    return [n for n in tracked() if is_c(n) and PRODUCT.match(n)]


def read(name):
    with open(name, encoding="utf-8", errors="replace") as f:
        return f.read()


_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def _blank(match):
    text = match.group(0)
    if text[0] == "/":
        return re.sub(r"[^\n]", " ", text)
    return text[0] + " " * (len(text) - 2) + text[0]


def code_only(text):
    """The same text with comments and the insides of strings blanked."""
    return _TOKEN.sub(_blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Report:
    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def rule(self, title, findings):
        """One rule: it passes when nothing was found."""
        findings = list(findings)
        if not findings:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAIL {title}")
        for finding in findings[:25]:
            print(f"  {finding}")
        if len(findings) > 25:
            print(f"  ... and {len(findings) - 25} more")

    def end(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
