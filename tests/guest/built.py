# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guests, built or taken from the cache, and an overlay over each of their disks."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from xen2kvmd.guest.launch import DiskImage

BUILD = Path(__file__).parent.parent / "guests" / "build"


def guest_folder(name: str) -> Path:
    """Return the folder of a test guest; it is built if it was not yet."""
    if os.geteuid() != 0:
        pytest.skip("guests are built by root")
    done = subprocess.run([BUILD, name], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def overlay(disk: Path, folder: Path) -> Path:
    """Make an overlay that takes all writes to a raw disk."""
    path = folder / f"{disk.stem}.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, path], check=True
    )
    return path


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partitioned(path: Path, script: str, *, mib: int = 256) -> DiskImage:
    """Make a raw disk with the partitions of a script of sfdisk(8), as xvda."""
    with path.open("wb") as file:
        file.truncate(mib << 20)
    subprocess.run(["sfdisk", "-q", path], input=script.encode(), check=True)
    return DiskImage("xvda", str(path), "raw")
