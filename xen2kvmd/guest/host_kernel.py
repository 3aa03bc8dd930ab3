# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel that the Xen host gave a guest, put into the guest that has none of its own.

So the guest starts by itself on any host, and can build its initrd anew. It is done to the overlay
before the plan is made, as packages are installed: the rules then see it as they see any kernel.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.kernel_header import SIZE, is_version, version_said
from xen2kvmd.guest.kernels import find_kernels
from xen2kvmd.guest.tree import escaped
from xen2kvmd.model import BootFile, Change, Facts, Family, Finding, Installed, Severity

_INITRDS = {Family.SUSE: "initrd-{}", Family.REDHAT: "initramfs-{}.img"}
_SPARE = 20 << 20  # bytes that stay free beside the kernel


@dataclass(frozen=True)
class HostFile:
    """A file of the Xen host: its path there, and where it can be read here."""

    name: str
    copy: Path


def carry(
    guest: Appliance, facts: Facts, kernel: HostFile, initrd: HostFile | None
) -> tuple[Facts, Installed]:
    """Put the kernel into the guest's /boot, if the guest has its modules.

    An initrd for it that the guest has stays. Returns what the guest is then, and what the plan
    shows of it.
    """
    version = version_of(kernel.copy, kernel.name)
    if not version:
        return facts, _left(kernel, "its version is not known")
    if not guest.exists(f"/lib/modules/{version}"):
        return facts, _left(kernel, f"the guest has no modules for it in /lib/modules/{version}")
    image = f"/boot/vmlinuz-{version}"
    if guest.exists(image):
        return facts, _left(kernel, f"{image} is there and is no kernel")
    files = {image: kernel}
    own = f"/boot/{_INITRDS.get(facts.family, 'initrd.img-{}').format(version)}"
    if initrd and not guest.exists(own):
        files[own] = initrd
    room, size = guest.room("/boot"), sum(file.copy.stat().st_size for file in files.values())
    if room and room.size < size + _SPARE:
        return facts, _left(kernel, f"/boot has {room.size >> 20} MiB free")
    for path, file in files.items():
        guest.call("upload", str(file.copy), path)
    shown = tuple(_change(path, file.name) for path, file in files.items())
    return replace(facts, kernels=find_kernels(guest)), Installed(changes=shown)


def without_modules(guest: Appliance, kernel: BootFile) -> tuple[Finding, ...]:
    """Tell that a kernel which starts this guest from outside finds no modules in it."""
    version = kernel.version
    if version and guest.exists(f"/lib/modules/{version}"):
        return ()
    where = f"/lib/modules/{version}" if version else "a folder of its version, which is not known"
    return (
        Finding(
            "kernel-without-modules",
            f"The guest has no modules for the kernel {escaped(kernel.path)} in {where}.",
            Severity.WARNING,
            hint="Install them in the guest, unless all that it needs is built in.",
            place="os/kernel",
        ),
    )


def version_of(image: Path, name: str) -> str:
    """Return the version of a kernel, by its header or by its file's name; "" if none is found."""
    with image.open("rb") as stream:
        said = version_said(stream.read(SIZE))
    if said is None:
        said = re.sub(r"^(?:.*/)?vmlinu[xz]-", "", name)
    return said if is_version(said) else ""


def _left(kernel: HostFile, why: str) -> Installed:
    return Installed(
        findings=(
            Finding(
                "host-kernel-left",
                f"The Xen host's kernel {escaped(kernel.name)} is not put into the guest: {why}.",
                Severity.WARNING,
                hint="Install the distribution's kernel in the guest, or give it with --packages.",
                place="os/kernel",
            ),
        )
    )


def _change(path: str, name: str) -> Change:
    return Change(
        "carry_kernel",
        "15.2.3 (2)",
        "Give the guest, which has no kernel of its own, that of the Xen host.",
        path,
        diff=f"+(copy of {escaped(name)} of the Xen host)\n",
    )
