# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of a killed worker are ended by what they work on, and nobody else's are."""

import subprocess
from pathlib import Path

from tests.bus.running import wait_until
from xen2kvmd.system import appliances


def test_program_that_works_in_the_folder_ends(tmp_path: Path) -> None:
    image, other = tmp_path / "job" / "disk.raw", tmp_path / "other.raw"
    image.parent.mkdir()
    for path in (image, other):
        path.write_bytes(bytes(1 << 20))
    serve = ["qemu-nbd", "-t", "-f", "raw", "-k"]
    orphan = subprocess.Popen([*serve, tmp_path / "job" / "socket", image])
    foreign = subprocess.Popen([*serve, tmp_path / "socket", other])
    reader = subprocess.Popen(["tail", "-f", image], stdout=subprocess.DEVNULL)
    try:
        for socket in (tmp_path / "job" / "socket", tmp_path / "socket"):
            wait_until(socket.is_socket)
        appliances.end(image.parent)
        assert orphan.wait(timeout=5) == -9
        assert foreign.poll() is None
        assert reader.poll() is None
    finally:
        for process in (orphan, foreign, reader):
            process.kill()
            process.wait()
