# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of this host as a guest: rules are tried on it, programs are not run but listed."""

import os
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from xen2kvmd.errors import Unsupported
from xen2kvmd.guest.search import SEARCH, Found, found_in
from xen2kvmd.guest.tree import LARGEST, BootCode, Room
from xen2kvmd.model import Finding

LINKS = 40  # as many as the kernel follows


class Folder:
    """A Tree over a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[tuple[str, ...]] = []

    def exists(self, path: str) -> bool:
        return os.path.lexists(self._entry(path))

    def is_file(self, path: str) -> bool:
        return self._followed(path).is_file()

    def read(self, path: str) -> str:
        file = self._regular(path)
        return file.read_bytes().decode("utf-8", "surrogateescape")

    def head(self, path: str, size: int) -> bytes:
        with self._followed(path).open("rb") as stream:
            return stream.read(size)

    def read_link(self, path: str) -> str:
        entry = self._entry(path)
        return str(entry.readlink()) if entry.is_symlink() else ""

    def write(self, path: str, text: str) -> None:
        if self.exists(path):
            file = self._regular(path)
        else:
            file = self._entry(path)
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8", "surrogateescape"))

    def remove(self, path: str) -> None:
        self._entry(path).unlink(missing_ok=True)

    def link(self, path: str, target: str) -> None:
        entry = self._entry(path)
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.unlink(missing_ok=True)
        entry.symlink_to(target)

    def copy(self, source: str, path: str) -> None:
        entry = self._entry(path)
        entry.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._followed(source), entry)

    def size(self, path: str) -> int:
        file = self._followed(path)
        return file.stat().st_size if file.is_file() else 0

    def room(self, path: str) -> Room | None:
        return Room(1 << 30, None) if self._followed(path).is_dir() else None

    def glob(self, pattern: str) -> tuple[str, ...]:
        found = self.root.glob(pattern.lstrip("/"))
        return tuple(sorted(f"/{path.relative_to(self.root)}" for path in found))

    def search(self, folder: str, words: Sequence[str]) -> tuple[Found, ...]:
        top = self._entry(folder)
        files = [] if top.is_symlink() else sorted(filter(_is_small, top.rglob("*")))
        paths = (f"/{file.relative_to(self.root)}" for file in files)
        plain = [path for path in paths if re.fullmatch(r"[ -9;-~]+", path)]
        found: list[Found] = []
        for path in plain[: SEARCH.files]:
            data = self.root.joinpath(path[1:]).read_bytes()
            if b"\0" not in data:
                found += found_in(path, data.decode("latin-1"), words)
        return tuple(sorted(found[: SEARCH.lines]))

    def run(self, *command: str) -> None:
        self.commands.append(command)

    def attempt(
        self, *command: str, failing: Finding, code: BootCode | None = None
    ) -> tuple[Finding, ...]:
        self.run(*command)
        return ()

    def divide(self, disk: str, start: int, sectors: int) -> None:
        self.commands.append(("(BIOS boot partition)", disk, str(start), str(sectors)))

    def install(self, code: BootCode) -> None:
        self.commands.append(("(boot code)", code.disk, str(code.sector), code.into))

    def _regular(self, path: str) -> Path:
        file = self._followed(path)
        try:
            state = file.stat()
        except OSError as error:
            raise Unsupported(f"{path} of the guest cannot be read: {error.strerror}.") from error
        if not stat.S_ISREG(state.st_mode):
            raise Unsupported(f"{path} of the guest is not a regular file.")
        if state.st_size > LARGEST:
            raise Unsupported(f"{path} of the guest is too large for a configuration file.")
        return file

    def _entry(self, path: str) -> Path:
        """Return the host's path of an entry, links in its parents followed, its own not."""
        parts = PurePosixPath(path)
        return self._followed(str(parts.parent)) / parts.name

    def _followed(self, path: str) -> Path:
        """Return the host's path of what a path leads to, without leaving the root."""
        found: list[str] = []
        left = list(PurePosixPath(path).parts[1:])
        links = 0
        while left:
            part = left.pop(0)
            if part == "..":
                found = found[:-1]
                continue
            here = self.root.joinpath(*found, part)
            if not here.is_symlink():
                found.append(part)
                continue
            links += 1
            if links > LINKS:
                raise Unsupported(f"{path} of the guest is a link that leads to itself.")
            target = here.readlink()
            if target.is_absolute():
                found = []
            left = [part for part in target.parts if part != "/"] + left
        return self.root.joinpath(*found)


def _is_small(path: Path) -> bool:
    state = path.lstat()
    return stat.S_ISREG(state.st_mode) and state.st_size <= SEARCH.size
