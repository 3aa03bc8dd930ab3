# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that libguestfs and virt-v2v take for Windows 7, as their own tests have them.

There is an NTFS with the folders, a program that is nothing but its head, and a registry.
"""

import ctypes
import struct
from collections.abc import Mapping
from pathlib import Path

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage

PAGE, PAGE_HEAD = 0x1000, 0x20  # bytes
NONE = 0xFFFFFFFF  # an offset in a hive that leads nowhere
HIVEX_OPEN_WRITE = 4  # hivex.h
REG_SZ, REG_DWORD = 1, 4

Values = Mapping[str, str | int]

SOFTWARE: Mapping[str, Values] = {
    "Microsoft/Windows NT/CurrentVersion": {
        "ProductName": "Windows 7 Phony",
        "CurrentVersion": "6.1",
        "InstallationType": "Client",
    },
    "Microsoft/Windows/CurrentVersion": {"DevicePath": r"%SystemRoot%\inf"},
}
SYSTEM: Mapping[str, Values] = {
    "Select": {"Current": 1, "Default": 1, "LastKnownGood": 1},
    "ControlSet001/Services/Tcpip/Parameters": {"Hostname": "phony"},
    "ControlSet001/Control/CriticalDeviceDatabase": {},
    "ControlSet001/Control/Session Manager": {},
    "MountedDevices": {},
}
FOLDERS = (
    "/Windows/System32/config",
    "/Windows/System32/drivers",
    "/Windows/inf",
    "/Windows/Temp",
    "/Program Files",
)

_HIVEX = ctypes.CDLL("libhivex.so.0", use_errno=True)  # which libguestfs brings
for _name in ("hivex_open", "hivex_root", "hivex_node_get_child", "hivex_node_add_child"):
    getattr(_HIVEX, _name).restype = ctypes.c_size_t


class _Value(ctypes.Structure):
    _fields_ = (
        ("key", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("length", ctypes.c_size_t),
        ("value", ctypes.c_char_p),
    )


def make(path: Path) -> None:
    """Make the disk."""
    with path.open("wb") as file:
        file.truncate(512 << 20)
    hives = {"SOFTWARE": SOFTWARE, "SYSTEM": SYSTEM}
    image = DiskImage("hda", str(path), "raw")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("part_disk", "/dev/vda", "mbr")
        appliance.call("mkfs", "ntfs", "/dev/vda1")
        appliance.call("mount", "/dev/vda1", "/")
        for folder in FOLDERS:
            appliance.call("mkdir_p", folder)
        appliance.call("write", "/Windows/System32/cmd.exe", program())
        for name, keys in hives.items():
            made = path.with_name(name)
            made.write_bytes(empty_hive())
            fill(made, keys)
            appliance.call("write", f"/Windows/System32/config/{name}", made.read_bytes())
        appliance.call("umount_all")


def program() -> bytes:
    """Return the head of a PE32+ program for x86-64, which tells the processor of the guest."""
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, 0, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<H", 0x20B).ljust(68, b"\0") + struct.pack("<H", 3)  # console
    return dos.ljust(0x80, b"\0") + coff + optional.ljust(240, b"\0")


def empty_hive() -> bytes:
    """Return a file of a registry with nothing but its root, and that one's owner."""
    name = b"ROOT"
    owner = PAGE_HEAD + len(_cell(bytes(76 + len(name))))
    root = struct.pack(
        "<2sH8xIIIIIIIIII20xHH",
        *(b"nk", 0x2C, 0, NONE, 0, 0, NONE, NONE, 0, NONE, owner, NONE, len(name), 0),
    )
    everybody = struct.pack("<BBH16x", 1, 0, 0x8000)
    sk = struct.pack("<2sHIIII", b"sk", 0, owner, owner, 1, len(everybody)) + everybody
    page = struct.pack("<4sII20x", b"hbin", 0, PAGE) + _cell(root + name) + _cell(sk)
    page += struct.pack("<i", PAGE - len(page))  # the rest is free
    head = struct.pack("<4sII8xIIIIIII", b"regf", 1, 1, 1, 3, 0, 1, PAGE_HEAD, PAGE, 1)
    head = head.ljust(0x1FC, b"\0")
    check = 0
    for (word,) in struct.iter_unpack("<I", head):
        check ^= word
    return (head + struct.pack("<I", check)).ljust(PAGE, b"\0") + page.ljust(PAGE, b"\0")


def _cell(content: bytes) -> bytes:
    """Return a part of a hive, used and so of a negative size; sizes are multiples of 8."""
    size = (len(content) + 4 + 7) // 8 * 8
    return struct.pack("<i", -size) + content.ljust(size - 4, b"\0")


def fill(path: Path, keys: Mapping[str, Values]) -> None:
    """Write keys with their values into a hive."""
    hive = ctypes.c_void_p(_HIVEX.hivex_open(str(path).encode(), HIVEX_OPEN_WRITE))
    assert hive, ctypes.get_errno()
    for key, values in keys.items():
        node = ctypes.c_size_t(_HIVEX.hivex_root(hive))
        for name in key.split("/"):
            found = _HIVEX.hivex_node_get_child(hive, node, name.encode())
            node = ctypes.c_size_t(found or _HIVEX.hivex_node_add_child(hive, node, name.encode()))
            assert node, ctypes.get_errno()
        for name, value in values.items():
            _set(hive, node, name, value)
    assert _HIVEX.hivex_commit(hive, None, 0) == 0, ctypes.get_errno()
    _HIVEX.hivex_close(hive)


def _set(hive: ctypes.c_void_p, node: ctypes.c_size_t, name: str, value: str | int) -> None:
    if isinstance(value, int):
        kind, data = REG_DWORD, struct.pack("<I", value)
    else:
        kind, data = REG_SZ, (value + "\0").encode("utf-16le")
    set_to = _Value(name.encode(), kind, len(data), data)
    assert _HIVEX.hivex_node_set_value(hive, node, ctypes.byref(set_to), 0) == 0
