# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's screen as PNG: QEMU gives PPM (virDomainScreenshot), which no browser shows."""

import re
import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n"
MOST = 16 << 20  # bytes of a picture that are taken into a page

# ppm(5): P6, width, height, the greatest value, one white space, three bytes for each pixel.
_PPM = re.compile(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s")


def as_png(data: bytes) -> bytes | None:
    """Return a picture as PNG; None for what is neither PPM nor PNG, torn, or too large."""
    if len(data) > MOST:
        return None
    if data.startswith(PNG):
        return data
    head = _PPM.match(data)
    if not head:
        return None
    width, height = int(head[1]), int(head[2])
    pixels = data[head.end() :]
    if not width or not height or len(pixels) < 3 * width * height:
        return None
    # PNG (ISO 15948), 9.2: each row begins with the number of its filter; 0 is none.
    rows = b"".join(
        b"\0" + pixels[at : at + 3 * width] for at in range(0, 3 * width * height, 3 * width)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    return (
        PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
