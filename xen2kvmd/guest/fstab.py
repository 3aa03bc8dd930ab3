# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest's fstab mounts, and which of the guest's file systems a line of it means."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.arrays import array_names
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.naming import appliance_name
from xen2kvmd.guest.tree import Tree

_TAG = re.compile(r"(?:UUID|LABEL|PARTUUID|PARTLABEL)=")
_PARTITION = re.compile(r"(PARTUUID|PARTLABEL)=(.+)")
_FILE_SYSTEM = re.compile(r"^/dev/disk/by-(uuid|label)/(.+)$")
_OF_DRIVES = ("iso9660", "udf", "auto")
_LINKS = "/dev/disk/by-*/*"  # of udev, in the appliance as in the guest


@dataclass(frozen=True)
class Line:
    """A line of fstab(5): a file system, the folder where it is mounted, and how."""

    spec: str
    path: str
    subvolume: str  # of btrfs: "subvol=NAME" or "subvolid=NUMBER"
    kind: str = ""
    options: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether it is on a disk and mounted at each start; no network's, drive's, nor memory."""
        local = self.spec.startswith("/dev/") or bool(_TAG.match(self.spec))
        return local and self.kind not in _OF_DRIVES and "noauto" not in self.options


def lines(guest: Tree) -> Iterator[Line]:
    """Yield the lines that mount something in a folder below the root.

    The root needs none: a btrfs mounted without an option is its default subvolume, which is the
    active snapshot where snapper keeps some.
    """
    for line in guest.read("/etc/fstab").splitlines():
        fields = line.split()
        if len(fields) >= 4 and not fields[0].startswith("#") and fields[1].startswith("/"):
            path = fields[1].rstrip("/")
            if path and ".." not in path and "bind" not in fields[3].split(","):
                spec = fields[0].replace('"', "").replace(r"\040", " ")
                options = tuple(fields[3].split(","))
                yield Line(spec, path, subvolume(options), fields[2], options)


def root_line(guest: Tree) -> tuple[str, str]:
    """Return device and options of the root's line, "" where there is none.

    Debian's installer writes a comment whose second word is a slash, too: "# / was on /dev/xvda2".
    """
    lines = (line.split() for line in guest.read("/etc/fstab").splitlines())
    roots = (words for words in lines if words[1:2] == ["/"] and not words[0].startswith("#"))
    found = next(roots, [])
    return "".join(found[:1]).replace('"', ""), "".join(found[3:4])


def subvolume(options: Sequence[str]) -> str:
    """Return the option that names a subvolume of btrfs; by its number if by nothing else."""
    for key in ("subvol=", "subvolid="):
        if found := next((word for word in options if word.startswith(key)), ""):
            return found
    return ""


class Names:
    """The names that a guest may give to its file systems.

    Its root is mounted: its configuration tells what it calls its arrays.
    """

    def __init__(self, appliance: Appliance, systems: Sequence[FileSystem]) -> None:
        self._appliance = appliance
        self._by_device = {system.device: system for system in systems}
        first = systems[::-1]  # of those that are alike, a volume and its snapshot
        self._by_tag = {f"LABEL={system.label}": system for system in first if system.label}
        self._by_tag |= {f"UUID={system.uuid}": system for system in first if system.uuid}
        self._arrays = array_names(appliance)
        self._links = _links(appliance, self._by_device)

    def find(self, spec: str) -> FileSystem | None:
        """Return the file system that the first field of a line means, None for another thing."""
        if (tag := _FILE_SYSTEM.sub(_tag, spec)) in self._by_tag:
            return self._by_tag[tag]
        spec = self._arrays.get(spec, spec)
        if tagged := _PARTITION.match(spec):
            name = re.sub(
                r"[^\w#+.:=@-]", lambda odd: rf"\x{ord(odd[0]):02x}", tagged[2], flags=re.A
            )
            spec = f"/dev/disk/by-{tagged[1].lower()}/{name}"
        known = (spec, appliance_name(self._appliance, spec), self._links.get(spec.lower(), ""))
        return next((self._by_device[name] for name in known if name in self._by_device), None)


def _tag(link: re.Match[str]) -> str:
    """Turn a link, in whose name udev escapes what is special, into the tag: LABEL=my disk."""
    plain = re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), link[2])
    return f"{link[1].upper()}={plain}"


def _links(appliance: Appliance, devices: Iterable[str]) -> Mapping[str, str]:
    """Return which device each of udev's links means, in lower case: by-uuid, by-id, by-label."""
    named = " ".join(map(shlex.quote, devices))
    show = 'printf "%s %s\\n" "$(readlink -f "$it")" "$it"'
    line = f"udevadm settle; for it in {named} {_LINKS}; do {show}; done"
    found = [entry.partition(" ")[::2] for entry in appliance.shell(line).splitlines()]
    ours = {real: name for real, name in found if name in devices}
    return {name.lower(): ours[real] for real, name in found if real in ours}
