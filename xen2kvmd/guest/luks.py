# SPDX-License-Identifier: GPL-2.0-or-later
"""Encrypted disks (LUKS): opened by the caller's keys, under the names that the guest gives them.

The names matter: what makes the guest's initrd finds out by them which disks it has to open.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from xen2kvmd.errors import Failed, InvalidOption
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.key import Key
from xen2kvmd.guest.naming import appliance_name, xen_name

KIND = "crypto_LUKS"  # blkid's word
ALL = "all"
CRYPTTAB = "/etc/crypttab"
_NAME = re.compile(r"[A-Za-z0-9_.:+-]{1,100}")


@dataclass(frozen=True)
class Opened:
    """An encrypted device that is open as /dev/mapper/NAME."""

    name: str
    device: str
    uuid: str
    key: Key


def unlock(appliance: Appliance, encrypted: Mapping[str, str]) -> tuple[Opened, ...]:
    """Open those devices that there are keys for; encrypted has the UUID of each.

    A key for all need not open all: what else is encrypted is opened by the guest, as a rule by a
    file on its root. Raises InvalidOption for a key that opens nothing, or not what it is for.
    """
    here = [(device, uuid, _keys(appliance, device, uuid)) for device, uuid in encrypted.items()]
    for key in appliance.keys:
        if not any(key in keys for _, _, keys in here):
            raise _of_nothing(appliance, key, encrypted)
    opened, refused = [], []
    for device, uuid, keys in here:
        found = _open(appliance, device, uuid, keys) if keys else None
        if isinstance(found, Opened):
            opened.append(found)
        elif found and any(key.selector != ALL for key in keys):
            raise found
        elif found:
            refused.append(found)
    if refused and not opened:
        raise refused[0]
    if opened:
        appliance.call("lvm_scan", activate=True)
    return tuple(opened)


def as_the_guest_names(appliance: Appliance, opened: tuple[Opened, ...]) -> tuple[Opened, ...]:
    """Return what is open under the names that the guest's crypttab(5) has for it."""
    if not (opened and appliance.is_file(CRYPTTAB)):
        return opened
    named = {}
    for line in appliance.read(CRYPTTAB).splitlines():
        name, source = (*line.split(), "", "")[:2]
        source = source.removeprefix("UUID=").removeprefix("/dev/disk/by-uuid/").strip('"')
        if _NAME.fullmatch(name):
            named[appliance_name(appliance, source)] = name
    return tuple(
        replace(one, name=named.get(one.uuid) or named.get(one.device) or one.name)
        for one in opened
    )


def rename(appliance: Appliance, opened: tuple[Opened, ...], named: tuple[Opened, ...]) -> None:
    """Close what is open, and open it under other names. Nothing may be mounted."""
    appliance.call("vg_activate_all", activate=False)
    for one in opened:
        appliance.call("cryptsetup_close", f"/dev/mapper/{one.name}")
    for one in named:
        appliance.call("cryptsetup_open", one.device, one.key.secret, one.name)
    appliance.call("lvm_scan", activate=True)


def _keys(appliance: Appliance, device: str, uuid: str) -> tuple[Key, ...]:
    return tuple(
        key
        for key in appliance.keys
        if key.selector in (ALL, uuid) or appliance_name(appliance, key.selector) == device
    )


def _open(
    appliance: Appliance, device: str, uuid: str, keys: tuple[Key, ...]
) -> Opened | InvalidOption:
    """Open a device with the first key that fits; return why none does."""
    name = f"luks-{uuid}"  # systemd's, where nothing else is said
    for key in keys:
        try:
            appliance.call("cryptsetup_open", device, key.secret, name)
        except Failed as error:
            refused = error.said
        else:
            return Opened(name, device, uuid, key)
    return InvalidOption(
        f"The key for {keys[0].selector} does not open {xen_name(appliance, device)} ({uuid}).",
        hint="Try it in the guest: cryptsetup open --test-passphrase --key-file FILE DEVICE.",
        said=refused,
    )


def _of_nothing(appliance: Appliance, key: Key, encrypted: Mapping[str, str]) -> InvalidOption:
    there = [f"{xen_name(appliance, device)} ({uuid})" for device, uuid in encrypted.items()]
    return InvalidOption(
        f"There is a key for {key.selector}, which is no encrypted disk (LUKS) of this guest's.",
        hint=f"It has {', '.join(there) or 'none'}.",
    )
