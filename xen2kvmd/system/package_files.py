# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of packages on this host, for a guest: found and checked, and neither unpacked nor run."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.errors import InvalidOption

# What a file of each kind begins with: deb(5), and the lead of file(1)'s magic for RPM.
MAGIC = {"deb": b"!<arch>\n", "rpm": b"\xed\xab\xee\xdb"}
# As package managers write them; a name goes into a command of the guest, and into plans.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_~:%^-]{0,250}\.(deb|rpm)")
# NAME_VERSION_ARCH.deb, NAME-VERSION-RELEASE.ARCH.rpm: what is for another machine is not taken.
ARCHES: dict[str, dict[str, tuple[str, ...]]] = {
    "deb": {"x86_64": ("amd64",), "i686": ("i386",), "aarch64": ("arm64",)},
    "rpm": {
        "x86_64": ("x86_64",),
        "i686": ("i386", "i486", "i586", "i686"),
        "aarch64": ("aarch64",),
    },
}
LARGEST = 1 << 30  # bytes of one file: a kernel with all its modules has 0.2 GiB
MOST = 1000  # files


@dataclass(frozen=True)
class PackageFile:
    """A file of a package; its name is safe to show, and as an argument."""

    path: Path
    kind: str  # deb or rpm
    size: int

    def fits(self, kind: str, arch: str) -> bool:
        """Tell whether it can be for a guest of this kind and machine, as its name tells."""
        if self.kind != kind:
            return False
        others = (names for machine, names in ARCHES[kind].items() if machine != arch)
        foreign = tuple(
            f"{mark}{name}.{kind}" for names in others for name in names for mark in "._"
        )
        return not self.path.name.endswith(foreign)


def find_packages(paths: tuple[str, ...]) -> tuple[PackageFile, ...]:
    """Return the files that were named, and those in the folders that were; each name once.

    A folder's own folders, and its other files, are passed over. Raises InvalidOption for a path
    that is not there, a file that is no package, a folder without any, and for too much.
    """
    found: dict[str, PackageFile] = {}
    for path in map(Path, paths):
        files = tuple(_files(path))
        if not files:
            raise InvalidOption(f"The folder {path} holds no .deb or .rpm file.")
        for file in files:
            found.setdefault(file.path.name, file)
    if len(found) > MOST:
        raise InvalidOption(
            f"More than {MOST} packages were given.", hint="Give those for this guest only."
        )
    return tuple(found.values())


def _files(path: Path) -> Iterator[PackageFile]:
    try:
        if not path.is_dir():
            yield _checked(path)
            return
        inside = sorted(path.iterdir())
    except OSError as error:
        raise InvalidOption(f"The packages {path} cannot be read: {error.strerror}.") from error
    for file in inside:
        if _NAME.fullmatch(file.name) and file.is_file():
            yield _checked(file)


def _checked(path: Path) -> PackageFile:
    """Look at a file before anything is done with it: name, kind, size, first bytes."""
    name = _NAME.fullmatch(path.name)
    if not name:
        raise InvalidOption(
            f"{path} is not named as a package.",
            hint="Give files as the distribution names them: NAME_VERSION_ARCH.deb or "
            "NAME-VERSION-RELEASE.ARCH.rpm.",
        )
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise InvalidOption(f"{path} is not a regular file.")
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise InvalidOption(f"The package {path} cannot be read: {error.strerror}.") from error
    if not head.startswith(MAGIC[name[1]]):
        raise InvalidOption(
            f"{path} is not a package: it does not begin as a .{name[1]} file does.",
            hint="Was it downloaded wholly?",
        )
    if state.st_size > LARGEST:
        raise InvalidOption(f"{path} has {state.st_size >> 20} MiB; a package has 1024 at most.")
    return PackageFile(path, name[1], state.st_size)
