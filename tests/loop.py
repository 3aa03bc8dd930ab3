# SPDX-License-Identifier: GPL-2.0-or-later
"""Block devices for tests, each over a file."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def loop_device(path: Path, *options: str) -> Iterator[str]:
    """Yield a loop device over a file; options are losetup's. Root must be able to have one."""
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    argv = ["losetup", "--find", "--show", *options, str(path)]
    device = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
