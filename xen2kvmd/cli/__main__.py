# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `xen2kvm`: read the arguments, call the service, say what came of it."""

import asyncio
import json
import sys
from collections.abc import Sequence

from rich.console import Console

from xen2kvmd.cli.arguments import parse
from xen2kvmd.cli.check_host import check_host
from xen2kvmd.cli.commands import COMMANDS
from xen2kvmd.cli.exits import EX_INTERRUPTED, exit_code
from xen2kvmd.cli.keys import opened
from xen2kvmd.cli.service import CallFailed
from xen2kvmd.errors import MigrationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit codes are those of exits.py."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    if arguments.command == "check-host":
        check_host(arguments)
    try:
        with opened(arguments):
            return asyncio.run(COMMANDS[arguments.command](arguments))
    except (CallFailed, MigrationError) as error:
        _complain(error, as_json=arguments.json)
        return exit_code(error.name)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # whoever read us has gone: nothing to flush
        return 0


def _complain(error: CallFailed | MigrationError, *, as_json: bool) -> None:
    if as_json:
        said = {"name": error.name, "message": error.message, "hint": error.hint}
        print(json.dumps({"error": said}))  # a line, as those of a job that is followed
    console = Console(stderr=True, highlight=False)
    console.print("[bold red]xen2kvm:[/] ", end="")
    console.print(error.message, markup=False)
    if error.hint:
        console.print(error.hint, markup=False, style="dim")


if __name__ == "__main__":
    sys.exit(main())
