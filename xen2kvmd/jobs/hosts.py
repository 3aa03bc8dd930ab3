# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration says of other hosts, as the daemon has taken it: for jobs to read.

It is a file beside the daemon's socket. A mistake that somebody saves later, and that the daemon
refuses, must not fail the jobs that run, whose sources are down.
"""

import logging
from pathlib import Path

from xen2kvmd import config
from xen2kvmd.model import Limits
from xen2kvmd.system import files

log = logging.getLogger(__name__)

NAME = "hosts.conf"


def take(path: Path, events: Path) -> Limits:
    """Read the configuration in `path`, and keep what it says of hosts for those who tell `events`.

    Raises InvalidConfig; what was kept before stays then.
    """
    text, limits = config.hosts(path), config.load(path)
    kept = file_of(events)
    try:
        files.write_atomic(kept, text)
    except OSError as error:
        log.error("%s cannot be written, jobs read the configuration themselves: %s", kept, error)
        kept.unlink(missing_ok=True)
    return limits


def file_of(events: Path) -> Path:
    """Return the file that is kept beside the socket `events`; it is missing if none was taken."""
    return events.with_name(NAME)
