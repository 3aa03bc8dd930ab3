# SPDX-License-Identifier: GPL-2.0-or-later
"""An appliance that does not come up ends, with what was started for it."""

import os
import time
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.guest import launch
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage

# libguestfs asks QEMU for its version and devices before it boots it.
STANDS_STILL = """#!/bin/sh
case "$*" in *" -kernel "*) while :; do sleep 1; done ;; esac
exec qemu-system-x86_64 "$@"
"""


@pytest.mark.slow  # libguestfs builds its appliance the first time
def test_appliance_that_stands_still_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = tmp_path / "qemu"
    qemu.write_text(STANDS_STILL)
    qemu.chmod(0o755)
    disk = tmp_path / "disk.raw"
    disk.touch()
    os.truncate(disk, 1 << 20)
    monkeypatch.setenv("LIBGUESTFS_HV", str(qemu))
    monkeypatch.setattr(launch, "START", 5.0)
    begun = time.monotonic()
    with pytest.raises(Failed, match=r"did not start: Its start was not done after 5 seconds\."):
        Appliance.open([DiskImage("xvda", str(disk), "raw")], writable=False, emulate=True)
    assert time.monotonic() - begun < 30
    assert not [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.fsencode(qemu) in path.read_bytes()
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("write: /etc/my-secret: No space left on device", "It failed: No space left on device."),
        ("command: dracut: my-secret\nis there", "It failed."),
    ],
)
def test_reason_of_the_system_is_told_and_words_of_the_guest_are_kept(
    said: str, message: str
) -> None:
    failed = launch.refused("It failed", RuntimeError(said))
    assert failed.message == message
    assert "my-secret" in failed.said
