# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of this host as one archive, for a guest."""

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile


@contextmanager
def packed(paths: Iterable[Path]) -> Iterator[str]:
    """Yield an archive of files by their names alone, as root's and readable by all."""
    with NamedTemporaryFile(suffix=".tar") as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path in paths:
                tar.add(path, path.name, filter=_owned_by_root)
        archive.flush()
        yield archive.name


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member
