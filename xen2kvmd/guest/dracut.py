# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for the lists of drivers in dracut's configuration (dracut.conf(5)).

A shell reads these files: a list is in double quotes, in single ones, or one word without any.
"""

import re
from collections.abc import Iterator

from xen2kvmd.guest.initrd import DISK_DRIVERS, GUIDE_DRIVERS, XEN_KERNEL_ONLY, is_of_xen
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

_LIST = re.compile(
    r"""^[ \t]*(?P<name>add_drivers|force_drivers|drivers|omit_drivers)\+?=
    (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s"'\#;&|]+))""",
    re.MULTILINE | re.VERBOSE,
)
# In omit_drivers each word is a regular expression, which is looked at, and never tried.
_NEEDED = re.compile(r"virtio(?:[_-](?:blk|pci\w*|scsi|net|ring))?|virtio\w*[^\w-].*")


@rule(guide="15.2.3 (1)")
def dracut_drivers(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put virtio's drivers beside Xen's in dracut's lists, and let none omit them.

    A list that names Xen's drivers was made to force them into the initrd: virtio needs the same.
    xenblk and xennet, which only Xen kernels have, are replaced. What `drivers` lists is all that
    goes into an initrd: one without virtio's would leave them out of the next kernel's, too.
    """
    for path in ("/etc/dracut.conf", *guest.glob("/etc/dracut.conf.d/*.conf")):
        if guest.is_file(path):
            guest.write(path, _LIST.sub(_changed, guest.read(path)))
    yield from ()


def _changed(found: re.Match[str]) -> str:
    """Return an assignment with its list changed; in quotes, if it needs them now."""
    kind = found.lastgroup or ""
    words = _words(found)
    if found["name"] == "omit_drivers":
        wanted = [word for word in words if not _NEEDED.fullmatch(word)]
    else:
        wanted = _with_virtio(found)
    if wanted == words:
        return found[0]
    head = found[0][: found.start(kind) - found.start()]
    if kind == "plain":
        return f'{head}" {" ".join(wanted)} "'
    space = " " if found[kind].startswith(" ") else ""
    return f"{head}{space}{' '.join(wanted)}{space}{found[0][-1]}"


def _words(found: re.Match[str]) -> list[str]:
    """Return what a list has; a backslash only continues its line."""
    return found[found.lastgroup or 0].replace("\\\n", " ").split()


def _with_virtio(found: re.Match[str]) -> list[str]:
    words = _words(found)
    wanted: tuple[str, ...]
    if any(map(is_of_xen, words)):
        wanted = GUIDE_DRIVERS
    elif found["name"] == "drivers" and words:
        wanted = DISK_DRIVERS[:2]
    else:
        return words
    kept = [word for word in words if word not in XEN_KERNEL_ONLY]
    listed = {word.removesuffix(".ko").replace("-", "_") for word in kept}
    return kept + [driver for driver in wanted if driver not in listed]
