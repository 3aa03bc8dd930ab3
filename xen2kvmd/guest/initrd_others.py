# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what goes into the initrds of Arch (mkinitcpio) and Alpine (mkinitfs)."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.initrd import DISK_DRIVERS, XEN_DRIVERS, kernel_to_start, modules_among
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

MKINITCPIO = "/etc/mkinitcpio.conf"
_DROP_INS = "/etc/mkinitcpio.conf.d/*.conf"
# An array (mkinitcpio.conf(5)), a string in old guests.
_MODULES = re.compile(r"""^MODULES\+?=(?P<open>[("'])(?P<list>[^)"'#]*)[)"']""", re.MULTILINE)
_AUTODETECT = re.compile(r"""^HOOKS=[("'][^)"']*\bautodetect\b""", re.MULTILINE)
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
    if kernel is None or case.facts.initrd_tool != "mkinitcpio" or not guest.is_file(MKINITCPIO):
        return
    files = [path for path in (MKINITCPIO, *guest.glob(_DROP_INS)) if guest.is_file(path)]
    texts = {path: guest.read(path) for path in files}
    if kernel.initrd_virtio and not any(map(_AUTODETECT.search, texts.values())):
        return
    lists = [(path, found) for path in files for found in _MODULES.finditer(texts[path])]
    listed = {word.replace("-", "_") for _, found in lists for word in found["list"].split()}
    wanted = modules_among(guest, kernel, (*DISK_DRIVERS, *XEN_DRIVERS[:1]))
    missing = [driver for driver in wanted if driver.replace("-", "_") not in listed]
    if not missing:
        return
    if not lists:
        guest.write(MKINITCPIO, f"{texts[MKINITCPIO].rstrip()}\nMODULES+=({' '.join(missing)})\n")
        return
    path, last = lists[-1]  # which counts, or is added to those before
    longer = " ".join((*last["list"].split(), *missing))
    start, end = last.span("list")
    guest.write(path, texts[path][:start] + longer + texts[path][end:])
    yield from ()


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
