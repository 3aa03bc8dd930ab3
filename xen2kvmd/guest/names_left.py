# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for files of which no other rule knows, and which have Xen's names in them."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import groupby

from xen2kvmd.guest.search import Found
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_WORDS = ("xvd", "hvc0", "xvc0")
# Rules of udev, Oracle's ASM and multipath leave /dev/ out, and have names or patterns of them; a
# unit of systemd's waits for dev-xvdb1.device; schedulers are set in /sys/block/xvda.
_NAME = re.compile(
    r"""/dev/xvd[a-z]{1,2}[0-9]*(?!\w)|(?<![\w.-])[hx]vc0(?!\w)
    |\bblock/xvd(?:[a-z]{1,2}(?!\w)|(?=[*?.[]))
    |(?:(?<![\w/+.-])|(?<=\bdev-))xvd(?:[a-z]{1,2}[0-9]{0,2}(?![\w/+=-])|(?=[*?.[|)"'\s]))""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"^\s*(?:[#;]|//).*|\s#.*")
_MOST = 20  # files that are told one by one
# Other rules tell of these; or programs write them down anew; or nothing reads them.
_NOT_TOLD = tuple(
    """
    /etc/fstab /etc/crypttab /etc/mdadm* /etc/default/grub* /etc/suspend.conf /etc/dracut.conf*
    /etc/initramfs-tools/conf.d/* /etc/systemd/system/*.mount /etc/systemd/system/*.swap
    /etc/sysconfig/grub
    /etc/lvm/*/* /etc/grub.d/20_linux_xen /etc/sysconfig/hwconf /etc/mtab */blkid.tab*
    *~ *.bak *.old *.orig *.rpmsave *.rpmnew *.rpmorig *.dpkg-* *.ucf-* */.git/*
    """.split()
)


@rule(guide="15.2.3")
def xen_names_left(guest: Tree, case: Case) -> Iterator[Finding]:
    """Tell of other files below /etc that name Xen's disks or its console.

    Scripts, monitoring and the like: what they mean by the name, only a person knows.
    """
    found = [one for one in guest.search("/etc", _WORDS) if _names(one) and not _is_told(one)]
    files = [list(lines) for _, lines in groupby(found, key=lambda one: one.path)]
    now = ", ".join(f"/dev/{old} is /dev/{new}" for old, new in case.devices)
    hint = f"Now {now}; the console is ttyS0. " if now else "The console is ttyS0 now. "
    for lines in files[:_MOST]:
        first = lines[0]
        more = f" So do {len(lines) - 1} more of its lines." if lines[1:] else ""
        yield Finding(
            "xen-name-left",
            f"{first.path}, line {first.number}, still names {_names(first)[0]}.{more}",
            Severity.WARNING,
            hint=f"{hint}Correct the file in the guest, if it matters there.",
            place=f"{first.path}:{first.number}",
        )
    if files[_MOST:]:
        yield Finding(
            "xen-names-left",
            f"{len(files) - _MOST} more files below /etc still have names of Xen's.",
            Severity.WARNING,
            hint="Look for them in the guest: grep -rE '/dev/xvd|[hx]vc0' /etc",
            place="/etc",
        )


def _names(one: Found) -> list[str]:
    return _NAME.findall(_COMMENT.sub("", one.text))


def _is_told(one: Found) -> bool:
    return any(fnmatchcase(one.path, pattern) for pattern in _NOT_TOLD)
