# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for unified kernel images: what is in them, only who builds them anew can change."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.cmdline import CMDLINE_D, KERNEL_INSTALL
from xen2kvmd.guest.initrd_tools import builder, makes_unified
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.mkinitcpio import preset
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.guest.uki import Uki, unified_images
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_XEN_ROOT = re.compile(r"(?:^|\s)(root=/dev/xvd\S+)")
_XEN = re.compile(r"(?:^|\s)(console=[hx]vc\d\S*|clocksource=xen|earlyprintk=xen\S*)")


@rule(guide="15.2.3 (4)")
def unified_image_cmdline(guest: Tree, case: Case) -> Iterator[Finding]:
    """Write down the arguments of the unified image that the guest builds anew.

    Without a file that has them mkinitcpio and kernel-install take those of the running kernel: the
    appliance's. It comes before the rules that change arguments.
    """
    kept = (KERNEL_INSTALL, "/usr/lib/kernel/cmdline", *guest.glob(CMDLINE_D))
    for image in _rebuilt(guest, case):
        made = preset(guest, image.path)
        named = bool(made and made.cmdline)
        if image.arguments and not named and not any(map(guest.exists, kept)):
            guest.write(KERNEL_INSTALL, f"{image.arguments}\n")
    yield from ()


@rule(guide="15.2.3 (4)")
def unified_images_left(guest: Tree, case: Case) -> Iterator[Finding]:
    """Tell what is in unified kernel images that stay as they are."""
    rebuilt = tuple(_rebuilt(guest, case))
    only = read_menu(guest) is None
    for image in unified_images(guest):
        if image in rebuilt:
            continue
        root, others = (found.findall(image.arguments) for found in (_XEN_ROOT, _XEN))
        if root or others:
            yield Finding(
                "uki-names-xen",
                f"The unified kernel image {image.path} tells its kernel "
                f"{escaped(' '.join((*root, *others)))}, which is Xen's, and is not changed.",
                Severity.BLOCKER if root and only else Severity.WARNING,
                hint="Build it in the guest under Xen with root=UUID=... and console=ttyS0 in "
                f"{KERNEL_INSTALL}: kernel-install add, ukify build or dracut --uefi.",
                place=image.path,
            )
        elif only:
            yield Finding(
                "uki-not-changed",
                f"The unified kernel image {image.path} stays as it is: initrd and arguments, "
                f"'{escaped(image.arguments)}'.",
                Severity.INFO,
                place=image.path,
            )


def _rebuilt(guest: Tree, case: Case) -> Iterator[Uki]:
    """Yield the image of the kernel to start, if what builds its initrd makes it anew, too."""
    for kernel in case.facts.kernels[:1]:
        tool = builder(guest, case.facts.initrd_tool, kernel)
        for image in unified_images(guest):
            by_hook = tool == "initramfs-tools" and image.version == kernel.version
            if (tool and image.path == kernel.initrd) or (by_hook and makes_unified(guest)):
                yield image
