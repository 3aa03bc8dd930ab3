# SPDX-License-Identifier: GPL-2.0-or-later
"""Log in over a serial console and run commands, as a person would: console.py DOMAIN COMMAND..."""

import sys
import time

from xen2kvmd.system.libvirt import Host, connected

SECONDS = 90


class Session:
    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.console = host.console(name)
        self.seen = ""

    def _collect(self) -> None:
        self.host.domain(self.name)  # any call brings what was printed
        self.seen += self.console.read().decode(errors="replace")

    def wait(self, *words: str) -> str:
        """Wait until one of the words is printed; return what was printed up to it."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self._collect()
            for word in words:
                at = self.seen.find(word)
                if at >= 0:
                    before, self.seen = self.seen[: at + len(word)], self.seen[at + len(word) :]
                    return before
            time.sleep(0.1)
        raise SystemExit(f"none of {words} within {SECONDS} s; seen: {self.seen[-500:]!r}")

    def type(self, line: str) -> None:
        self.console.write(line.encode() + b"\n")


def main() -> None:
    with connected() as host:
        session = Session(host, sys.argv[1])
        session.type("")
        session.wait("login:")
        session.type("root")
        session.wait("assword:")
        session.type("xen2kvm")
        session.wait("# ")
        for command in sys.argv[2:]:
            session.type(f"{command}; echo DO''NE")
            sys.stdout.write(session.wait("DONE") + "\n")
            session.wait("# ")
        session.type("exit")
        session.console.close()


main()
