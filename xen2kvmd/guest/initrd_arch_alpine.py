# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what goes into the initrds of Arch (mkinitcpio) and Alpine (mkinitfs)."""

import re
from collections.abc import Iterator, Sequence

from xen2kvmd.guest.initrd import DISK_DRIVERS, XEN_DRIVERS, kernel_to_start, modules_among
from xen2kvmd.guest.mkinitcpio import configs
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

# An array (mkinitcpio.conf(5)), which may have quotes and comments in it; a string in old guests.
_LIST = re.compile(
    r"""^[ \t]*(?P<name>MODULES|HOOKS)\+?=
    (?:\((?P<array>[^)]*)|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>\S*))""",
    re.MULTILINE | re.VERBOSE,
)
MKINITFS = "/etc/mkinitfs/mkinitfs.conf"
_VIRTIO = "/etc/mkinitfs/features.d/virtio.modules"
_FEATURES = re.compile(r"""^(?P<head>features=["']?)(?P<list>[^"'\n#]*)""", re.MULTILINE)


@rule(guide="15.2.3 (1)")
def mkinitcpio_modules(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put the virtio drivers on mkinitcpio's list, where the initrd lacks them, or may lack Xen's.

    Its hook autodetect takes what the machine needs on which it is built, and finds no Xen in our
    appliance: with the driver for Xen's disks the guest can still be started there. What is no
    module of the kernel's is not listed: mkinitcpio would fail over it.
    """
    kernel = kernel_to_start(case)
    if kernel is None or case.facts.initrd_tool != "mkinitcpio":
        return
    texts = {path: guest.read(path) for path in configs(guest, kernel.initrd)}
    lists = [(path, found) for path in texts for found in _LIST.finditer(texts[path])]
    hooks = {word for _, found in lists if found["name"] == "HOOKS" for word in _words(found)}
    if not texts or (kernel.initrd_virtio and "autodetect" not in hooks):
        return
    modules = [(path, found) for path, found in lists if found["name"] == "MODULES"]
    listed = {word.replace("-", "_") for _, found in modules for word in _words(found)}
    wanted = modules_among(guest, kernel, (*DISK_DRIVERS, *XEN_DRIVERS[:1]))
    missing = [driver for driver in wanted if driver.replace("-", "_") not in listed]
    if missing:
        # The last counts, or is added to those before.
        path, last = modules[-1] if modules else (next(iter(texts)), None)
        guest.write(path, _with_modules(texts[path], last, missing))
    yield from ()


def _words(found: re.Match[str]) -> list[str]:
    """Return what a list has, without quotes and comments."""
    text = re.sub(r"#.*", "", found[found.lastgroup or 0])
    return re.sub(r"""["']""", " ", text).split()


def _with_modules(text: str, last: re.Match[str] | None, missing: Sequence[str]) -> str:
    """Return a configuration with more modules: within a string, else in a list that is added."""
    if last and (quoted := last.lastgroup) in ("double", "single"):
        longer = " ".join((*last[quoted].split(), *missing))
        return text[: last.start(quoted)] + longer + text[last.end(quoted) :]
    return f"{text.rstrip()}\nMODULES+=({' '.join(missing)})\n"


@rule(guide="15.2.3 (1)")
def mkinitfs_features(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put virtio among the features of Alpine's initrds, if it is not."""
    kernel = kernel_to_start(case)
    if kernel is None or case.facts.initrd_tool != "mkinitfs" or not guest.is_file(_VIRTIO):
        return
    text = guest.read(MKINITFS) if guest.is_file(MKINITFS) else ""
    found = _FEATURES.search(text)
    if found and "virtio" not in found["list"].split():
        guest.write(
            MKINITFS, f"{text[: found.end('list')].rstrip()} virtio{text[found.end('list') :]}"
        )
    yield from ()
