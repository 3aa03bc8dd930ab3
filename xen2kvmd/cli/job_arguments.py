# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands for jobs that there are already, with their arguments."""

import argparse
from typing import Any

from xen2kvmd.cli.numbers import count, seconds


def add_command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Add a command, with the arguments that all have."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--no-ask-password", dest="ask_password", action="store_false",
        help="do not ask for a password, even on a terminal",
    )  # fmt: skip
    return command


def add_jobs(commands: Any) -> None:
    """Add those that look at jobs, wait for one, end one or move one in the queue."""
    jobs = add_command(commands, "jobs", "list the jobs")
    jobs.add_argument(
        "-n", "--number", type=count, default=50, metavar="NUMBER",
        help="the newest NUMBER (default: 50), 0 for all",
    )  # fmt: skip
    for name, text in (
        ("show", "show a job"),
        ("follow", "show a job's progress until it ends"),
        ("cancel", "cancel a job: what it made is removed"),
        ("hold", "keep a queued job from beginning"),
        ("release", "let a job that is held begin"),
        ("log", "show a job's log"),
    ):
        add_command(commands, name, text).add_argument("job", metavar="JOB", help="id of the job")
    remove = add_command(commands, "remove", "forget a job that is over")
    remove.add_argument("job", metavar="JOB", help="id of the job")
    remove.add_argument(
        "--force", action="store_true", help="also where it can be rolled back, or left something"
    )
    move = add_command(commands, "priority", "move a queued job: the highest priority begins first")
    move.add_argument("job", metavar="JOB", help="id of the job")
    move.add_argument("priority", type=int, metavar="NUMBER", help="-1000 to 1000; 0 at first")


def add_report(commands: Any) -> None:
    """Add the one that shows a report."""
    command = add_command(commands, "report", "show what a job did, found and made")
    command.add_argument("job", metavar="JOB", help="id of the job")
    command.add_argument(
        "--format", choices=("text", "json", "html"), default="text",
        help="html: a page in one file (default: text)",
    )  # fmt: skip
    command.add_argument(
        "--html", action="store_const", dest="format", const="html", help="as --format html"
    )
    command.add_argument(
        "-o", dest="output", metavar="FILE", default="", help="write it to a file (html, json)"
    )


def add_settling(commands: Any) -> None:
    """Add those that settle a migration."""
    rollback = add_command(commands, "rollback", "stop the new guest, and start the source again")
    rollback.add_argument(
        "--remove-target", action="store_true", help="remove the new guest, with its disks"
    )
    rollback.add_argument(
        "--shutdown-timeout", type=seconds, metavar="SECONDS",
        help="time for the new guest to shut down (default: 60)",
    )  # fmt: skip
    finalize = add_command(
        commands, "finalize", "accept a migration: the source does not start again"
    )
    finalize.add_argument(
        "--undefine-source", metavar="GUEST", help="forget the source's definition, not its disks"
    )
    finalize.add_argument(
        "--source-gone", action="store_true", help="go on where the source's host is not reached"
    )
    finalize.add_argument(
        "--remove-backup",
        action="store_true",
        help="remove what was kept of the source: its domain XML, and the backup of its disks",
    )
    for command in (rollback, finalize):
        command.add_argument("job", metavar="JOB", help="id of the job that migrated the guest")
        add_detach(command)


def add_detach(command: argparse.ArgumentParser) -> None:
    """Let a command begin a job and not wait for it."""
    command.add_argument("--detach", action="store_true", help="print the job's id and return")
