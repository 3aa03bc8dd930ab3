# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in the JSON that `xl list -l` prints: libxl's structures in the words of xl.cfg."""

import json
from collections.abc import Mapping
from typing import Any

from xen2kvmd import xml
from xen2kvmd.errors import InvalidSource, VmNotFound
from xen2kvmd.sources.xl_domain import Imported, to_domain
from xen2kvmd.sources.xl_syntax import Settings, Value

# libxl's key: the option, inside the build information and its part for the guest's type.
_PLAIN = {
    "kernel": "kernel",
    "ramdisk": "ramdisk",
    "cmdline": "cmdline",
    "bootloader": "bootloader",
    "boot": "boot",
    "bios": "bios",
    "rtc_timeoffset": "rtc_timeoffset",
    "tsc_mode": "tsc_mode",
    "serial": "serial",
    "soundhw": "soundhw",
    "usbdevice": "usbdevice",
    "localtime": "localtime",
    "pae": "pae",
    "apic": "apic",
    "acpi": "acpi",
    "hpet": "hpet",
    "nested_hvm": "nestedhvm",
    "e820_host": "e820_host",
    "device_model": "device_model_override",
}
_DISK = {"pdev_path": "target", "backend": "backendtype", "backend_domname": "backend"}
_DISK_AS_IS = ("vdev", "format", "script")
_VIF = ("mac", "bridge", "model", "ip", "script", "mtu")


def read_json(document: str | bytes, name: str = "") -> Imported:
    """Make a Xen domain XML of one guest in the list: the one called name, or the only one."""
    if len(document) > xml.MAX_BYTES:
        raise InvalidSource(f"The list has more than {xml.MAX_BYTES} bytes.")
    try:
        listed = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InvalidSource(
            f"This is no JSON: {error}.", hint="Give what 'xl list -l GUEST' prints."
        ) from error
    return to_domain(Settings(_settings(_choose(listed, name))))


def _choose(listed: object, name: str) -> Mapping[str, Any]:
    """Find the guest; Domain-0 is none."""
    entries = listed if isinstance(listed, list) else [listed]
    guests = {}
    for entry in entries:
        config = _part(entry, "config") or _part(entry)
        called = str(_part(config, "c_info").get("name", ""))
        if called and called != "Domain-0":
            guests[called] = config
    if name in guests:
        return guests[name]
    if name or len(guests) != 1:
        raise VmNotFound(
            f"The list has no guest '{name}'." if name else f"The list has {len(guests)} guests.",
            hint=f"Name one of: {', '.join(sorted(guests)) or 'there is none'}.",
        )
    return next(iter(guests.values()))


def _settings(config: Mapping[str, Any]) -> dict[str, Value]:
    created, built = _part(config, "c_info"), _part(config, "b_info")
    kind = str(created.get("type", "pv"))
    inner = {**built, **_part(built, f"type.{kind}")}
    found: dict[str, Value] = {"type": kind, "name": _scalar(created.get("name", ""))}
    if created.get("uuid"):
        found["uuid"] = _scalar(created["uuid"])
    for key, option in _PLAIN.items():
        if inner.get(key) not in (None, "", {}):
            found[option] = _scalar(inner[key])
    found["maxmem"] = _mib(built.get("max_memkb", 0))
    found["memory"] = _mib(built.get("target_memkb", 0)) or found["maxmem"]
    found["maxvcpus"] = _scalar(built.get("max_vcpus", 1))
    available = built.get("avail_vcpus")
    found["vcpus"] = len(available) if isinstance(available, list) else found["maxvcpus"]
    found |= _screen(inner)
    found["disk"] = tuple(_disk(_part(disk)) for disk in _items(config, "disks"))
    found["vif"] = tuple(_vif(_part(nic)) for nic in _items(config, "nics"))
    found["pci"] = tuple(_pci(_part(pci)) for pci in _items(config, "pcidevs"))
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        if config.get(event):
            found[event] = _scalar(config[event])
    return found


def _screen(inner: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    vnc = _part(inner, "vnc")
    if _scalar(vnc.get("enable", 0)):
        found["vnc"] = 1
        for key, option in (("listen", "vnclisten"), ("passwd", "vncpasswd")):
            if vnc.get(key):
                found[option] = _scalar(vnc[key])
        if vnc.get("display") is not None and not _scalar(vnc.get("findunused", 0)):
            found["vncdisplay"] = _scalar(vnc["display"])
    kind = _part(inner, "vga").get("kind")
    if kind:
        found["vga"] = {"std": "stdvga"}.get(str(kind), str(kind))
    return found


def _disk(disk: Mapping[str, Any]) -> str:
    parts = [f"{name}={disk[name]}" for name in _DISK_AS_IS if disk.get(name)]
    parts += [
        f"{_DISK[key]}={disk[key]}" for key in ("backend", "backend_domname") if disk.get(key)
    ]
    parts.append("access=rw" if disk.get("readwrite") else "access=ro")
    if disk.get("is_cdrom"):
        parts.append("devtype=cdrom")
    return ",".join([*parts, f"target={disk.get('pdev_path') or ''}"])


def _vif(nic: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={nic[name]}" for name in _VIF if nic.get(name))


def _pci(pci: Mapping[str, Any]) -> str:
    numbers = [pci.get(name, 0) for name in ("domain", "bus", "dev", "func")]
    domain, bus, slot, function = (each if isinstance(each, int) else 0 for each in numbers)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _part(whole: object, name: str = "") -> Mapping[str, Any]:
    """An object of the JSON, or an empty one where something else stands."""
    inner = whole.get(name) if name and isinstance(whole, Mapping) else whole
    return inner if isinstance(inner, Mapping) else {}


def _items(config: Mapping[str, Any], name: str) -> list[object]:
    found = config.get(name)
    return found if isinstance(found, list) else []


def _scalar(value: object) -> Value:
    """A value of the JSON as xl.cfg writes it; libxl writes its switches as "True" and "False"."""
    if isinstance(value, bool) or value in ("True", "False"):
        return int(value in (True, "True"))
    if isinstance(value, list):
        return tuple(_scalar(each) for each in value)
    return value if isinstance(value, int | str) else str(value)


def _mib(kib: object) -> int:
    """KiB as whole MiB: libxl keeps a little for video memory, so it is rounded up."""
    return -(-kib // 1024) if isinstance(kib, int) and kib > 0 else 0
