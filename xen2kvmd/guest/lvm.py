# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for LVM: a list of disks that it may use must not end at Xen's names."""

import re
from collections.abc import Iterable, Iterator

from xen2kvmd.guest.devices import remap_file, remap_text
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

# lvmlocal.conf is a host's own and prevails; those with a tag are lvm.conf(5)'s, too.
CONFIGS = ("/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf", "/etc/lvm/lvm_*.conf")
DEVICES = "/etc/lvm/devices/system.devices"
# LVM's own notes of the disks that it found: of RHEL 6 and later, and of RHEL 5 and SLES 11.
_CACHES = ("/etc/lvm/cache/.cache", "/etc/lvm/.cache")
_FILTER = re.compile(r"^\s*(?:devices\s*[/{]\s*)?(?:global_)?filter\s*=")
_NO_BRACKETS = re.compile(r"""#.*|"(?:[^"\\]|\\.)*"|'[^']*'""")  # comments, and strings
# A word of a list: "a|^/dev/xvd.*|" accepts, "r|.*|" rejects (lvm.conf(5)).
_WORD = re.compile(r"""(["'])[ \t]*([ar]).*?\1""")
# Patterns for all emulated disks: "/dev/sd.*", "sd[a-z]".
_EMULATED = re.compile(r"(?<![\w\]])([hs])d(?=[.*?\[|/]|$)")
# A pattern for one of Xen's disks without its folder, and one for all of them, "/dev/xvd.*".
_ONE_DISK = re.compile(r"(?<!\w)(xvd[a-z]{1,2}\d{0,3})(?!\w)")
_ALL_DISKS = re.compile(r"(?<!\w)xvd(?=[^a-z])")


@rule(guide="15.2.3 (3)")
def lvm_devices(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let LVM find its disks by their names under KVM.

    A filter or a devices file that lists Xen's disks and no others hides every volume group. What
    LVM noted of them does, where no vgscan comes before vgchange at boot (rc.sysinit of RHEL 6);
    LVM writes it anew. virt-v2v removes it, too (rhbz#1164853).
    """
    for path in filter(guest.exists, _CACHES):
        guest.remove(path)
    for path in (found for pattern in CONFIGS for found in guest.glob(pattern)):
        if guest.is_file(path):
            lines = guest.read(path).splitlines(keepends=True)
            guest.write(path, "".join(_filters(lines, case)))
    yield from remap_file(guest, case, DEVICES)


def _filters(lines: Iterable[str], case: Case) -> Iterator[str]:
    """Yield the lines, those of a filter changed: its list may go over several."""
    inside = False
    for line in lines:
        begins = bool(_FILTER.match(line))
        if not (inside or begins):
            yield line
            continue
        brackets = _NO_BRACKETS.sub("", line)
        inside = "]" not in brackets and (inside or "[" in brackets)
        yield _WORD.sub(lambda word: _word(word, case), line)


def _word(word: re.Match[str], case: Case) -> str:
    """Name disks in a word as KVM does.

    One that rejects hda or sda has been there so that LVM does not see a disk twice, as Xen's and
    as an emulated one: with the new name it would hide the only one that is left.
    """
    text = word[0] if word[2] == "r" else remap_text(word[0], case)
    if word[2] == "a" and case.kind == "hvm":
        text = _EMULATED.sub(r"[\1v]d", text)
    named = _ONE_DISK.sub(lambda found: _named(found[1], case), text)
    return _ALL_DISKS.sub("vd", named)


def _named(disk: str, case: Case) -> str:
    return remap_text(f"/dev/{disk}", case).removeprefix("/dev/")
