# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of disks in the guest's own files: from those that Xen gives to those that KVM gives.

The map is the case's, decided once for the domain XML and for the guest, by the *real* names: a
data disk at xvde stays what the domain XML makes of it. References by UUID= or LABEL= are the same
on either side and are left alone.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.words import letters

# /dev/xvda1, /dev/disk/by-path/xen-vbd-51712-part1. What follows must not be part of the name.
_NAME = re.compile(r"(/dev/)((?:xvd|hd|sd|vd)[a-z]{1,2})([0-9]{0,3})(?![0-9A-Za-z])")
_BY_PATH = re.compile(r"/dev/disk/by-path/xen-vbd-([0-9]{1,10})(?:-part([0-9]+))?(?![0-9A-Za-z-])")
# Units of a disk, or of its check, which others and options of fstab wait for. A dash stands for
# each slash of its name, and a code for each dash (systemd.unit(5)).
_UNIT = re.compile(
    r"(?<![\w\\-])dev-((?:[\w.:-]|\\x[0-9a-f]{2}){1,200}?)"
    r"(?=\.(?:device|service|swap)(?![\w.-]))"
)
# Disks of QEMU's IDE controller by their serial numbers, which count its four places
# (hw/ide/core.c); by udev's name, and by that of SUSE's older ones.
_BY_SERIAL = re.compile(
    r"/dev/disk/by-id/(?:ata-|scsi-(?:SATA_|[01]ATA_+))QEMU_HARDDISK_QM(\d{5})(?:-part(\d+))?"
    r"(?![0-9A-Za-z-])"
)
# The same by their places on that controller, which is Xen's PIIX3 (udev's path_id): of libata, as
# older udevs have it too, and of the older driver for IDE.
_BY_PLACE = re.compile(
    r"/dev/disk/by-path/pci-0000:00:01\.1-(?:ata-(?P<port>[12])(?:\.(?P<unit>[01]))?"
    r"|scsi-(?P<host>[01]):0:(?P<target>[01]):0|ide-(?P<bus>[01]):(?P<drive>[01]))"
    r"(?:-part(?P<part>[0-9]{1,3}))?(?![0-9A-Za-z.:-])"
)
# Links that name a controller or a serial number: what they mean is not there under KVM.
_HARDWARE = re.compile(
    r"/dev/disk/(?:by-id/(?:ata|scsi|wwn)-|by-path/pci-)[^\s,;:\"']+(?::[^\s,;:\"']+)*"
)
_NO_DISK = re.compile(r"\b(?:iso9660|udf|noauto)\b")  # a drive, in a line of fstab
# Of xvd; 16 minors a disk, and a second scheme above bit 28 (xen-vbd-interface(7)).
_XEN_MAJOR = 202
_EXTENDED = 1 << 28


def remap_text(text: str, case: Case) -> str:
    """Give every disk in a text the name that it has under KVM; unknown ones stay."""
    return _UNIT.sub(lambda found: _unit(found, case) or found[0], _remapped(text, case))


def _remapped(text: str, case: Case) -> str:
    text = _BY_PATH.sub(lambda found: _by_path(found, case) or found[0], text)
    text = _BY_SERIAL.sub(lambda found: _by_serial(found, case) or found[0], text)
    text = _BY_PLACE.sub(lambda found: _by_place(found, case) or found[0], text)
    return _NAME.sub(lambda found: _by_name(found[2], found[3], case) or found[0], text)


def remap_file(tree: Tree, case: Case, path: str) -> Iterator[Finding]:
    """Rename the disks in a file, comments left alone; report Xen's names that no disk has."""
    if not tree.exists(path):
        return
    lines = tree.read(path).splitlines(keepends=True)
    tree.write(path, "".join(_unless_comment(line, case) for line in lines))
    yield from unmapped(tree, case, path)


def unmapped(tree: Tree, case: Case, path: str) -> Iterator[Finding]:
    """Report each name in a file that no disk of this guest's has under KVM."""
    for number, line in enumerate(tree.read(path).splitlines(), start=1):
        if not (line.lstrip().startswith("#") or _NO_DISK.search(line)):
            yield from unmapped_in(line, case, path=path, number=number)


def unmapped_in(line: str, case: Case, *, path: str, number: int) -> Iterator[Finding]:
    """Report each name in a line of a file that no disk of this guest's has under KVM."""
    known = {f"/dev/{new}" for _, new in case.devices}
    units = (found[0] for found in _UNIT.finditer(line) if _strange(_path_of(found), known))
    for name in (*_strange(line, known), *units):
        yield Finding(
            "device-not-mapped",
            f"{path}, line {number}, names {name}, which is no disk of this guest's.",
            hint="Is the disk missing in the domain XML? Correct the line in the guest, "
            f"or remove it. The disks are now {', '.join(sorted(known)) or 'none'}.",
            place=f"{path}:{number}",
        )


def _strange(text: str, known: Collection[str]) -> list[str]:
    """Return the names of disks in a text that are none of those that are known."""
    names = [found[0] for found in _NAME.finditer(text) if found[1] + found[2] not in known]
    return names + [found[0] for one in (_BY_PATH, _HARDWARE) for found in one.finditer(text)]


def xen_order(dev: str) -> tuple[int, str, str, int]:
    """Sort disks as their names under KVM are given: by letter, then by kind, then by number."""
    found = re.fullmatch(r"(xvd|[a-z]d)([a-z]{1,2})([0-9]*)", dev)
    if not found:
        return (9, dev, "", 0)
    kind = {"xvd": "0", "hd": "1", "sd": "2"}.get(found[1], "3")
    return (len(found[2]), found[2], kind, int(found[3] or 0))


def _unless_comment(line: str, case: Case) -> str:
    return line if line.lstrip().startswith("#") else remap_text(line, case)


def _by_name(disk: str, part: str, case: Case) -> str | None:
    """Look up /dev/DISKPART: a volume first, be it a partition now or a disk; then its disk."""
    devices = dict(case.devices)
    joined = {volume.dev: f"{devices[volume.disk]}{volume.number}" for volume in case.joined}
    for alias in _aliases(disk, case):
        if alias + part in joined:
            return f"/dev/{joined[alias + part]}"
        if part and alias + part in devices:
            return f"/dev/{devices[alias + part]}"
        if alias in devices:
            return f"/dev/{devices[alias]}{part}"
    return None


def _aliases(disk: str, case: Case) -> Iterator[str]:
    """Yield the names that the domain XML may have for what the guest calls `disk`.

    PV drivers call Xen's emulated hda and sda xvda, those of RHEL 6 call them xvde. Without PV
    drivers a guest has hda, or libata's sda, sdb, ... as they are found, where the XML says xvda.
    """
    yield disk
    names = [name for name, _ in case.devices]
    ide = _on_ide(names, xvd=case.kind == "hvm")
    if re.fullmatch(r"hd[a-d]", disk):
        yield from (name for name in ide if name[-1] == disk[-1])
    if re.fullmatch(r"sd[a-d]", disk) and not any(name[:2] == "sd" for name in names):
        yield from ide[ord(disk[2]) - ord("a") :][:1]
    if not disk.startswith("xvd"):
        return
    letters = disk.removeprefix("xvd")
    yield f"hd{letters}"
    yield f"sd{letters}"
    if len(letters) == 1 and letters >= "e" and not any(name[:3] == "xvd" for name in names):
        yield f"hd{chr(ord(letters) - 4)}"
        yield f"sd{chr(ord(letters) - 4)}"


def _on_ide(names: Iterable[str], *, xvd: bool) -> list[str]:
    """Return the disks on Xen's IDE controller by their places: libxl puts xvda to xvdd there."""
    places = {name[-1]: name for name in names if re.fullmatch(r"hd[a-d]", name)}
    if xvd:
        others = (name for name in names if re.fullmatch(r"xvd[a-d]", name))
        places = {name[-1]: name for name in others} | places
    return [places[letter] for letter in sorted(places)]


def _unit(found: re.Match[str], case: Case) -> str:
    """Look up the unit of a disk: a name under KVM has no dash of its own."""
    path = _path_of(found)
    new = _remapped(path, case)
    return new.removeprefix("/").replace("/", "-") if new != path else ""


def _path_of(unit: re.Match[str]) -> str:
    """Return the name of the disk whose unit it is."""
    plain = re.sub(
        r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), unit[1].replace("-", "/")
    )
    return f"/dev/{plain}"


def _by_serial(found: re.Match[str], case: Case) -> str | None:
    """Look up a disk by its place on the IDE controller, 1 for hda; xvda takes that of hda."""
    place, part = int(found[1]) - 1, found[2] or ""
    named = (f"{kind}{letters(place)}" for kind in ("hd", "xvd"))
    return next(filter(None, (_by_name(name, part, case) for name in named)), None)


def _by_place(found: re.Match[str], case: Case) -> str | None:
    """Look up a disk by its place on the controller. Older udevs say the port, and no more."""
    if case.kind != "hvm":
        return None
    number = {name: int(value) for name, value in found.groupdict(default="0").items() if value}
    ports = 2 * (number["port"] - 1) if found["port"] else 2 * (number["host"] + number["bus"])
    place = ports + number["unit"] + number["target"] + number["drive"]
    there = {name[-1] for name, _ in case.devices if re.fullmatch(r"(?:xv|h)d[a-d]", name)}
    if found["port"] and not found["unit"] and letters(place + 1) in there:
        return None  # either of two
    named = (f"{kind}{letters(place)}" for kind in ("hd", "xvd"))
    part = found["part"] or ""
    return next(filter(None, (_by_name(name, part, case) for name in named)), None)


def _by_path(found: re.Match[str], case: Case) -> str | None:
    """Look up a by-path link, which has the number of Xen's virtual block device in it."""
    number, part = int(found[1]), found[2] or ""
    if number & _EXTENDED:
        disk, own = (number & 0xFFFFFFF) >> 8, number & 0xFF
    elif number >> 8 == _XEN_MAJOR:
        disk, own = (number & 0xFF) >> 4, number & 0xF
    else:
        return None
    if disk > 25:
        return None
    return _by_name(f"xvd{letters(disk)}", part or (str(own) if own else ""), case)
