# SPDX-License-Identifier: GPL-2.0-or-later
"""A sandbox that stays while tests call programs in it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]

# A /tmp of its own, so that what is left behind there is seen, whatever else the machine does, and
# a /srv for what tests make; the folder of the tests' own files stays where it is. What
# hides KVM is a file that root only may open.
WITH_OWN_FOLDERS = """
    [ -z "$3" ] || { touch "$1/kvm"; chmod 0 "$1/kvm"; mount --bind "$1/kvm" /dev/kvm; }
    mkdir -p "$1/srv" "$1/tmp" "$1$2"
    mount --bind "$1/srv" /srv
    mount --bind "$2" "$1$2"
    mount --rbind "$1/tmp" /tmp
    shift 3
    exec "$@"
"""


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    out: str
    err: str


class Sandbox:
    """tools/sandbox with an agent as its command, which runs what it is told to."""

    def __init__(self, own: Path, files: Path, *, hide_kvm: bool = False) -> None:
        argv = ["unshare", "--mount", "sh", "-e", "-c", WITH_OWN_FOLDERS, "sh"]
        argv += [str(own), str(files), "hide" * hide_kvm]
        argv += [str(CHECKOUT / "tools/sandbox"), "--"]
        argv += ["/usr/bin/python3", "-u", __file__]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin
        assert self._process.stdout
        self._ask, self._answer = self._process.stdin, self._process.stdout

    def run(self, *argv: str, stdin: str = "", seconds: float = 900) -> Ended:
        """Run a program to its end."""
        asked = {"argv": argv, "stdin": stdin, "seconds": seconds}
        self._ask.write(json.dumps(asked).encode() + b"\n")
        self._ask.flush()
        return Ended(**json.loads(self._answer.readline()))

    def json(self, *argv: str) -> Any:
        """Run a program that succeeds and prints JSON."""
        ended = self.run(*argv)
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    def python(self, program: str, *arguments: str, seconds: float = 900) -> Ended:
        """Run a Python program with the checkout's modules."""
        head = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
        return self.run("/usr/bin/python3", "-c", head + program, *arguments, seconds=seconds)

    def close(self) -> None:
        self._ask.close()
        self._process.wait(timeout=60)
        self._answer.close()


def agent() -> None:
    """Run one program after another, as the lines of standard input tell."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            done = subprocess.run(
                asked["argv"],
                input=asked["stdin"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=asked["seconds"],
                check=False,
            )
            ended = Ended(done.returncode, done.stdout, done.stderr)
        except subprocess.TimeoutExpired:
            ended = Ended(-1, "", f"not done after {asked['seconds']} seconds")
        sys.stdout.write(json.dumps(ended.__dict__) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    agent()
