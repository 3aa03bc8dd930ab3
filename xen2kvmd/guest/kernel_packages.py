# SPDX-License-Identifier: GPL-2.0-or-later
"""What distributions call the packages of their kernels, and of the QEMU guest agent.

SUSE: kernel-default (guide 15.2.3 (2)); kernel-pae is the default of 32-bit machines of SLES 11.
Red Hat: kernel, which is the kernel itself up to RHEL 7, and needs kernel-core since RHEL 8 and
Fedora 21 ("kernel is a meta package", in its description); kernel-PAE of RHEL 5 and 6 for 32 bits,
kernel-uek of Oracle. Debian: linux-image-amd64 and the like, which "depends on the latest Linux
kernel" (its description), here linux-image-VERSION-amd64; Ubuntu: linux-image-generic, the same.
"""

import re
from collections.abc import Sequence

from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.managers import Package
from xen2kvmd.model import Facts, Family

AGENT = "qemu-guest-agent"  # so called by all three
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
# Of files, the first that one is called by.
_FILES = {
    Family.DEBIAN: (r"linux-image-(?!.*-dbg$).*",),
    Family.SUSE: ("kernel-default", "kernel-pae", "kernel-default-base"),
    Family.REDHAT: ("kernel", "kernel-PAE", "kernel-uek", "kernel-core"),
}


def kernel_package(facts: Facts) -> tuple[str, str]:
    """Return the package of the distribution's kernel, and the command that installs packages."""
    match facts.family:
        case Family.SUSE:
            return "kernel-default", "zypper install"
        case Family.REDHAT:
            return "kernel", "yum install"
        case Family.DEBIAN if facts.distro == "ubuntu":
            return "linux-image-generic", "apt-get install"
        case Family.DEBIAN:
            return f"linux-image-{_DEBIAN.get(facts.arch, '686-pae')}", "apt-get install"
        case _:
            return "", ""


def kernel_among(packages: Sequence[Package], facts: Facts) -> Package | None:
    """Return the kernel among packages, or None. Raises InvalidOption where there are several."""
    name, _ = kernel_package(facts)
    for pattern in (re.escape(name), *_FILES.get(facts.family, ())):
        found = [package for package in packages if re.fullmatch(pattern, package.name)]
        if found:
            return only(found)
    return None


def agent_among(packages: Sequence[Package]) -> Package | None:
    """Return the guest agent among packages, or None. Raises InvalidOption for several."""
    found = [package for package in packages if package.name == AGENT]
    return only(found) if found else None


def only(found: Sequence[Package]) -> Package:
    """Return the one package of a list. Raises InvalidOption if it has several."""
    if len(found) > 1:
        names = ", ".join(package.file.rpartition("/")[2] for package in found)
        raise InvalidOption(
            f"The packages hold several that may be meant: {names}.",
            hint="Give the one for this guest only.",
        )
    return found[0]
