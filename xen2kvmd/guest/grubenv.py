# SPDX-License-Identifier: GPL-2.0-or-later
"""GRUB 2's environment block: lines NAME=VALUE, padded with # to 1024 bytes.

GRUB writes it block by block where it lies, so its size must never change (GRUB manual, "The GRUB
environment block").
"""

from collections.abc import Iterable

PATHS = ("/boot/grub/grubenv", "/boot/grub2/grubenv", "/boot/efi/EFI/*/grubenv")
SIZE = 1024
EMPTY = "# GRUB Environment Block\n".ljust(SIZE, "#")


def unpack(text: str) -> list[str] | None:
    """Return the lines of a block, or None for a file that GRUB would not read."""
    return text.rstrip("#").split("\n") if _bytes(text) == SIZE else None


def pack(lines: Iterable[str]) -> str | None:
    """Return a block with these lines, or None if they do not fit."""
    text = "\n".join(lines)
    room = SIZE - _bytes(text)
    return text + "#" * room if room >= 0 else None


def value(text: str, name: str) -> str:
    """Return the value of a variable, "" if it is not set."""
    found = (line.partition("=") for line in unpack(text) or ())
    return next((value for key, _, value in found if key == name), "")


def with_value(text: str, name: str, new: str) -> str | None:
    """Return the block with a variable set, or None if that does not fit."""
    lines = unpack(text) or unpack(EMPTY) or []
    kept = [line for line in lines if line and not line.startswith(f"{name}=")]
    return pack([*kept, f"{name}={new}", ""])


def _bytes(text: str) -> int:
    """Count what GRUB counts: a title may have letters of more than one byte."""
    return len(text.encode("utf-8", "surrogateescape"))
