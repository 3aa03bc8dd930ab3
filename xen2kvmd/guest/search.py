# SPDX-License-Identifier: GPL-2.0-or-later
"""Search the guest's text files for words: with limits, for nobody made a guest to be searched."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

_NO_ASCII = re.compile(r"[^\t -~]")
# One call for all files: each alone would be one message to the appliance and back.
_LINE = (
    "export LC_ALL=C; find {folder} -xdev -type f -size -$(({limits.size} + 1))c"
    " ! -path '*[![:print:]]*' ! -path '*:*' -print0 | sort -z | head -z -n {limits.files}"
    " | xargs -0 -r grep -FIHn -m {limits.of_file} {words} -- | head -n {limits.lines}"
    " | cut -b -2048 | tr -c '\\11\\12\\40-\\176' '?'"
)
_FOUND = re.compile(r"/sysroot(/[^:]+):(\d+):(.*)")


@dataclass(frozen=True, order=True)
class Found:
    """The beginning of a line that a search found; what is not ASCII in it is "?"."""

    path: str
    number: int
    text: str


@dataclass(frozen=True)
class Limits:
    """How much a search looks at, and tells: of a guest that nobody made for that."""

    files: int = 5000
    size: int = 1 << 18  # bytes of a file
    of_file: int = 20  # lines
    lines: int = 1000
    characters: int = 400


SEARCH = Limits()


def found_in(path: str, text: str, words: Sequence[str]) -> list[Found]:
    """Search the text of one file."""
    lines = enumerate(text.split("\n"), start=1)
    having = [(number, line) for number, line in lines if any(word in line for word in words)]
    return [
        Found(path, number, _NO_ASCII.sub("?", line[: SEARCH.characters]))
        for number, line in having[: SEARCH.of_file]
    ]


def search_line(folder: str, words: Sequence[str]) -> str:
    """Return a shell's line that does it in the appliance, below a folder there."""
    wanted = " ".join(f"-e {shlex.quote(word)}" for word in words)
    return _LINE.format(folder=shlex.quote(folder), words=wanted, limits=SEARCH)


def read_found(output: str) -> tuple[Found, ...]:
    """Read what that line printed."""
    found = (_FOUND.match(line) for line in output.splitlines())
    return tuple(
        sorted(Found(one[1], int(one[2]), one[3][: SEARCH.characters]) for one in found if one)
    )
