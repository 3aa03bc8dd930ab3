# SPDX-License-Identifier: GPL-2.0-or-later
"""A log is read in pieces, whatever its size."""

from pathlib import Path

from xen2kvmd.jobs import log
from xen2kvmd.jobs.log import read_lines


def test_pieces_are_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written = [f"{number} 6 \u00fc" + "x" * (number % 90) for number in range(40_000)]
    path.write_text("".join(f"{line}\n" for line in written))
    assert path.stat().st_size > log.MAX_BYTES

    read, at = [], 0
    while (piece := read_lines(path, at, most=30_000))[0]:
        read += piece[0]
        at = piece[1]
    assert read == written
    assert at == path.stat().st_size
    assert read_lines(path, 1 << 63, most=1) == ([], 1 << 63)


def test_no_more_is_read_than_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(1 << 30)  # of holes, without an end of line
    lines, at = read_lines(path, 0, most=1000)
    assert (len(lines), at) == (1, log.MAX_BYTES)
