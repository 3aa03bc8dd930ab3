# SPDX-License-Identifier: GPL-2.0-or-later
"""In what disks are measured, by all that reads and writes them, and who is told of it."""

from collections.abc import Callable

BLOCK = 1 << 20  # bytes; the unit of hashing, and of reading and writing

Progress = Callable[[int, int], None]  # bytes that are done, and all there are
