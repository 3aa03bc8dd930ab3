# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator limits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How many jobs may run at once, and how many that are over are kept; 0 is no limit.

    source is that of one other host; target that of one pool or folder.
    """

    at_once: int = 2
    source: int = 0
    target: int = 0
    kept: int = 1000
    days: int = 0
