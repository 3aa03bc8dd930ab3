# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified kernel images for tests: programs of UEFI's format with sections of text."""

import struct
from pathlib import Path


def program(**sections: str) -> bytes:
    """Return a program of UEFI's format with these sections, as ukify and objcopy lay them out."""
    start, optional = 0x80, 0xF0
    offset = start + 24 + optional + 40 * len(sections)
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", start)
    header = header.ljust(start, b"\0") + b"PE\0\0"
    header += struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, optional, 0x206)
    header += bytes(optional)
    data = b""
    for name, text in sections.items():
        size, at = len(text), offset + len(data)
        header += struct.pack("<8sIIII16x", f".{name}".encode(), size, 0, -(-size // 512) * 512, at)
        data += text.encode("latin-1").ljust(-(-size // 512) * 512, b"\0")
    return header + data


def written(root: Path, path: str, content: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
