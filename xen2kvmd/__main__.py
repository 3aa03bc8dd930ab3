# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon: wires all of it; the only file that knows everyone."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from xen2kvmd import __version__, config
from xen2kvmd.bus.serve import BUS_GONE, serve
from xen2kvmd.errors import InvalidConfig
from xen2kvmd.jobs import hosts
from xen2kvmd.jobs.registry import Jobs

MAX_ACTIVE = 1000
EX_CONFIG = 78  # sysexits.h

log = logging.getLogger("xen2kvmd")


def main() -> int:
    """Run the daemon; return its exit code."""
    arguments = parse(sys.argv[1:])
    logging.basicConfig(level=arguments.log_level.upper(), format="%(name)s: %(message)s")
    try:
        return asyncio.run(run(arguments))
    except ConnectionError as error:
        log.error("%s", error)
        return BUS_GONE
    except InvalidConfig as error:
        log.error("%s", error)
        return EX_CONFIG


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="xen2kvmd",
        description="Move virtual machines from Xen to KVM: the D-Bus service of xen2kvm.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path("/var/lib/xen2kvmd"),
        metavar="DIR",
        help="where jobs are kept (%(default)s)",
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        default=Path("/run/xen2kvmd"),
        metavar="DIR",
        help="for the socket that workers report to (%(default)s)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=config.FILE,
        metavar="FILE",
        help="the configuration; FILE.d/*.conf are read too (%(default)s)",
    )
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="end when nobody needed us for so long, 0: never (%(default)s)",
    )
    parser.add_argument(
        "--job-units",
        action="store_true",
        help="let systemd run the jobs, as xen2kvm-job@ID.service",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="(%(default)s)",
    )
    return parser.parse_args(argv)


async def run(arguments: argparse.Namespace) -> int:
    """Make the folders and serve."""
    os.umask(0o077)
    for folder in (arguments.state_dir, arguments.run_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    events = arguments.run_dir / "events"
    jobs = Jobs(
        arguments.state_dir / "jobs",
        events,
        most=MAX_ACTIVE,
        limits=hosts.take(arguments.config, events),
        in_units=arguments.job_units,
    )
    return await serve(
        jobs,
        max_active=MAX_ACTIVE,
        reload=lambda: jobs.limit(hosts.take(arguments.config, events)),
        idle_timeout=arguments.idle_timeout,
    )


if __name__ == "__main__":
    sys.exit(main())
