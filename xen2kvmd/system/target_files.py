# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the host that a guest goes to, looked at, renamed and removed: here, or there by ssh."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from xen2kvmd.errors import Failed
from xen2kvmd.system import image_locks, locks_there
from xen2kvmd.system.ssh import Connection, connected

# It says one line: what was asked for, or what went wrong.
SCRIPT = (
    locks_there.FUNCTIONS
    + r"""
export LC_ALL=C
case $1 in
kind)
  if [ -f "$2" ]; then echo file
  elif [ -e "$2" ] || [ -L "$2" ]; then echo other
  else echo nothing
  fi ;;
rename) mv -f -T -- "$2" "$3" 2>&1 && echo done ;;
remove) rm -f -- "$2" 2>&1 && echo done ;;
open)
  said=$(refusal "$2" "$3")
  if is_lock "$said"; then echo yes
  else echo "${said:-no}"
  fi ;;
esac
"""
)

_NOT_TOLD = "Whether a QEMU has {path} open cannot be told: {why}."


class TargetFiles(Protocol):
    """The files of a host, by their full paths. What fails raises Failed or ConnectionFailed."""

    def kind(self, path: str) -> str:
        """Return "file", also for a link to one, "other", or "nothing" if nothing is there."""

    def is_open(self, path: str) -> bool:
        """Tell whether a QEMU has a file open; where the file is on NFS, a QEMU of any host."""

    def rename(self, old: str, new: str) -> None:
        """Rename a file within its folder; what has the new name is replaced."""

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""


class _Here:
    def kind(self, path: str) -> str:
        if Path(path).is_file():
            return "file"
        return "other" if os.path.lexists(path) else "nothing"

    def is_open(self, path: str) -> bool:
        try:
            return image_locks.is_open(path)
        except OSError as error:
            raise Failed(_NOT_TOLD.format(path=path, why=error.strerror)) from error

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new)

    def remove(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)


class _There:
    def __init__(self, far: Connection) -> None:
        self._far = far

    def kind(self, path: str) -> str:
        return self._asked("kind", path)

    def is_open(self, path: str) -> bool:
        answer = self._asked("open", *locks_there.arguments(path))
        if answer not in ("yes", "no"):
            raise Failed(_NOT_TOLD.format(path=path, why=answer))
        return answer == "yes"

    def rename(self, old: str, new: str) -> None:
        self._do("rename", old, new)

    def remove(self, path: str) -> None:
        self._do("remove", path)

    def _do(self, verb: str, *paths: str) -> None:
        if (answer := self._asked(verb, *paths)) != "done":
            raise Failed(f"The host {self._far.host} cannot {verb} {paths[0]}: {answer}.")

    def _asked(self, verb: str, *paths: str) -> str:
        with self._far.program(["sh", "-c", SCRIPT, "sh", verb, *paths]) as program:
            return program.line().strip()


@contextmanager
def files_of(address: str) -> Iterator[TargetFiles]:
    """Yield the files of ssh://USER@HOST:PORT, or of this host where the address is "".

    Raises HostKeyUnknown, SourceAuthFailed or ConnectionFailed.
    """
    if not address:
        yield _Here()
        return
    with connected(address) as far:
        yield _There(far)
