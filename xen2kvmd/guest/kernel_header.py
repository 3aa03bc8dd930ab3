# SPDX-License-Identifier: GPL-2.0-or-later
"""The version that a kernel's image says in its header (Documentation/arch/x86/boot.rst)."""

import re

SIZE = 1 << 16  # bytes at the start of an image that hold its header, and what that points at
_MAGIC = slice(0x202, 0x206), b"HdrS"
_VERSION_AT = slice(0x20E, 0x210)  # kernel_version, less 0x200
_VERSION = re.compile(r"[\w.+~-]{1,64}")


def version_said(head: bytes) -> str | None:
    """Return what the start of an image says, "" for nonsense, None where it has no header."""
    where, magic = _MAGIC
    if head[where] != magic:
        return None
    at = int.from_bytes(head[_VERSION_AT], "little") + 0x200
    said = head[at : at + 65].split(b"\0")[0].split(b" ")[0].decode("ascii", "replace")
    return said if is_version(said) else ""


def is_version(said: str) -> bool:
    """Tell whether a text can be a version, and so the name of a folder."""
    return bool(_VERSION.fullmatch(said)) and said not in (".", "..")
