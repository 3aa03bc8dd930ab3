# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in an initrd, read by the appliance's own programs.

The guest's tool may be missing, or not know unified images. An initrd is one archive of cpio's
"newc" format or several, one after the other, of which each may be compressed (Linux'
Documentation/driver-api/early-userspace/buffer-format.rst).
"""

import re
import shlex
from collections.abc import Callable

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.uki import initrd_section

Read = Callable[[int, int], bytes]  # of an offset, and how many bytes

_HEADER = 110
_ENTRY = re.compile(rb"07070[12][0-9A-Fa-f]{104}")
_LAST = b"TRAILER!!!\0"
_EARLY = 100  # files before what is compressed: microcode, tables of ACPI
_PADDING, _CHUNK = 1 << 20, 1 << 16  # bytes of zeros between archives; read at once
# How each kind begins (Linux' lib/decompress.c), and the program that unpacks it.
_UNPACK = (
    (b"\x1f\x8b", "gzip -dc"),
    (b"\xfd7zXZ", "xz -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd -dcq"),
    (b"BZh", "bzip2 -dc"),
    (b"\x5d\x00\x00", "xz --format=lzma -dc"),
    (b"\x89LZO", "lzop -dc"),
)
# Names stand behind the header of each file; what is in a file (modules.order) is none of them.
_MOST = 2 << 20  # bytes of names
_NAMES = (
    "tr '\\0' '\\n' | LC_ALL=C grep -aoE '07070[12][0-9A-Fa-f]{104}.+' | cut -c111- "
    f"| head -c {_MOST} | LC_ALL=C tr -cd '\\12\\40-\\176'"
)


def files_in(appliance: Appliance, path: str) -> tuple[str, ...]:
    """Return the names of the files in an initrd, or a unified image's; () where it is unreadable.

    Those that stand before what is compressed, microcode and the like, are not among them.
    """
    try:
        start, size = initrd_section(appliance, path) or (0, appliance.size(path))
        real = appliance.call("realpath", path)  # a link could lead out of the guest's root

        def read(offset: int, count: int) -> bytes:
            length = max(0, min(count, size - offset))
            return bytes(appliance.call("pread", real, length, start + offset))

        at, program = packed_at(read, size)
        if not program:
            return ()
        part = f"tail -c +{start + at + 1} {shlex.quote(f'/sysroot{real}')} | head -c {size - at}"
        return tuple(appliance.shell(f"{part} | {program} 2>/dev/null | {_NAMES}").splitlines())
    except Failed:
        return ()


def packed_at(read: Read, size: int) -> tuple[int, str]:
    """Return where what is compressed begins, and what unpacks it, "" if that is not known.

    Where nothing is, or too many files stand before it to be the early ones, it is read as it is.
    """
    at = begin = files = 0
    while at < size and files < _EARLY:
        head = read(at, _HEADER)
        if not _ENTRY.match(head):
            return at, next((one for mark, one in _UNPACK if head.startswith(mark)), "")
        name_size, file_size = int(head[94:102], 16), int(head[54:62], 16)
        is_last = read(at + _HEADER, len(_LAST)) == _LAST
        at = begin + _aligned(_aligned(at - begin + _HEADER + name_size) + file_size)
        files += 1
        if is_last:
            at = begin = _behind_zeros(read, at, size)
    return 0, "cat" if files else ""


def _behind_zeros(read: Read, at: int, size: int) -> int:
    end = min(size, at + _PADDING)
    while at < end:
        chunk = read(at, _CHUNK)
        if rest := chunk.lstrip(b"\0"):
            return at + len(chunk) - len(rest)
        at += len(chunk) or _CHUNK
    return size


def _aligned(at: int) -> int:
    return -(-at // 4) * 4
