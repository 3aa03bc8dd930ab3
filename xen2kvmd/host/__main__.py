# SPDX-License-Identifier: GPL-2.0-or-later
"""`xen2kvm check-host`: show what this host lacks, and which command mends it."""

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from xen2kvmd.host.checks import Check, State, check_all
from xen2kvmd.host.packages import this_family
from xen2kvmd.words import printable

LACKING = 1  # exit code


def main(argv: list[str]) -> int:
    """Check; the exit code is 0 unless something is lacking that every migration needs."""
    arguments = _parser().parse_args(argv)
    found: list[Check] = []
    for check in check_all(this_family(), appliance=not arguments.quick):
        found.append(check)
        if not arguments.json:
            sys.stdout.write(f"{shown(check)}\n")
            sys.stdout.flush()
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(check) for check in found], indent=1) + "\n")
    else:
        sys.stdout.write(f"\n{verdict(found)}\n")
    return LACKING if any(check.state is State.LACKING for check in found) else 0


def shown(check: Check) -> str:
    """Return a row of the table; what mends it stands alone in its line, to be copied."""
    row = f"{check.state:<8} {check.name:<16} {printable(check.says)}"
    return f"{row}\n{'':<26}{check.mend}" if check.mend else row


def verdict(found: Iterable[Check]) -> str:
    """Return what it all means, in one line."""
    names = list(_names(found, State.LACKING))
    if names:
        return f"No migration works before this is mended: {', '.join(names)}."
    if list(_names(found, State.UNKNOWN)):
        return "Nothing is lacking as far as you may see; root sees all."
    return "This host can take guests."


def _names(found: Iterable[Check], state: State) -> Iterator[str]:
    return (check.name for check in found if check.state is state)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xen2kvm check-host", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever read us may have gone, as head(1) does
    sys.exit(main(sys.argv[1:]))
