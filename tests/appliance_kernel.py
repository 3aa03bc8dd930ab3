# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel of libguestfs' appliance, unpacked: under emulation, a sixth of each start.

It is the machine's kernel, without the code before it that would unpack it each time. supermin(1)
takes it by its environment, and the appliance that it makes of it lies apart from the machine's.
"""

import lzma
import os
import tempfile
from functools import cache
from pathlib import Path

KEPT = Path("/var/tmp/.xen2kvm-appliance-0")
XZ = b"\xfd7zXZ\0"
ELF = b"\x7fELF"


@cache
def use() -> None:
    """Let this process, and those that it starts, use it, where it can be told which it is."""
    packed = [path for path in Path("/boot").glob("vmlinuz-*") if modules(path).is_dir()]
    if os.geteuid() != 0 or len(packed) != 1 or "SUPERMIN_KERNEL" in os.environ:
        return
    (kernel,) = packed
    version = modules(kernel).name
    folder = KEPT / f"{version}-{kernel.stat().st_mtime_ns}"
    unpacked = folder / "vmlinux"
    if not unpacked.exists():
        folder.mkdir(parents=True, exist_ok=True)
        data = unpack(kernel.read_bytes())
        if not data.startswith(ELF):
            return
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(data)
        Path(file.name).replace(unpacked)  # another process of these tests may do the same
    os.environ["SUPERMIN_KERNEL"] = str(unpacked)
    os.environ["SUPERMIN_KERNEL_VERSION"] = version
    os.environ["SUPERMIN_MODULES"] = str(modules(kernel))
    os.environ["LIBGUESTFS_CACHEDIR"] = str(folder)


def modules(kernel: Path) -> Path:
    return Path("/lib/modules", kernel.name.removeprefix("vmlinuz-"))


def unpack(image: bytes) -> bytes:
    """Return the kernel in a bzImage, b"" where it is not packed by xz, as Debian's is."""
    begin = image.find(XZ)
    try:
        return lzma.LZMADecompressor().decompress(image[begin:]) if begin >= 0 else b""
    except lzma.LZMAError:
        return b""
