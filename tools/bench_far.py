# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of a disk of another host: the sandbox itself, by an ssh server of its own."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.migration import sshd
from xen2kvmd.system import blocks
from xen2kvmd.system.remotes import Remotes

HOST, PORT = "localhost", 2222
SSH = ("ssh", "-p", str(PORT), f"root@{HOST}")


@contextmanager
def server() -> Iterator[None]:
    """Let an ssh server run that root's ssh knows, and that knows root."""
    _shell(sshd.SSHD_UP, sshd.KNOW_HOST, sshd.KNOW_KEY)
    try:
        yield
    finally:
        _shell(sshd.SSHD_DOWN)


def own(disk: Path, target: str) -> None:
    """Copy as a job does it, up to the proof that all that was read is what the disk holds."""
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        remotes = Remotes(Path(folder) / "far")
        try:
            uri = remotes.uri(f"ssh://root@{HOST}:{PORT}", str(disk))
            blocks.copy(_ignore, source=(uri, "raw"), target=(target, "raw"))
            remotes.verify(_ignore)
        finally:
            remotes.close()


def others(disk: Path) -> dict[str, Callable[[str], object]]:
    """Return what else copies over ssh; each is called with the path of the new disk."""
    nbdkit = ["nbdkit", "--readonly", "-U", "-", "ssh", f"host={HOST}", f"port={PORT}", "user=root"]
    nbdkit += ["known-hosts=/run/far/known", "identity=/run/far/key", str(disk)]

    def cat(target: str) -> None:
        with open(target, "r+b") as stream:
            subprocess.run([*SSH, "cat", disk], stdout=stream, check=True)

    def nbdcopy(target: str) -> None:
        subprocess.run([*nbdkit, "--run", f'nbdcopy "$uri" {target}'], check=True)

    return {"ssh cat": cat, "nbdkit ssh and nbdcopy": nbdcopy}


def _shell(*scripts: str) -> None:
    for script in scripts:
        subprocess.run(["bash", "-e", "-c", script], check=True)


def _ignore(_done: int, _total: int) -> None:
    """Take progress and do nothing."""
