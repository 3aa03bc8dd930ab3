# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of packages by distribution, and the command that installs them."""

import platform
import shlex
from collections.abc import Mapping, Sequence
from enum import Enum


class PackageFamily(Enum):
    """Distributions whose packages have the same names, and how they install one."""

    DEBIAN = ("apt-get", "install")
    SUSE = ("zypper", "install")
    FEDORA = ("dnf", "install")


FAMILIES = {
    "debian": PackageFamily.DEBIAN,
    "ubuntu": PackageFamily.DEBIAN,
    "suse": PackageFamily.SUSE,
    "opensuse": PackageFamily.SUSE,
    "sles": PackageFamily.SUSE,
    "fedora": PackageFamily.FEDORA,
    "rhel": PackageFamily.FEDORA,
}

# What is needed: its packages on Debian, on openSUSE and SLES, on Fedora and RHEL.
PACKAGES: Mapping[str, tuple[str, str, str]] = {
    "qemu": ("qemu-system-x86", "qemu-x86", "qemu-kvm"),
    "qemu-img": ("qemu-utils", "qemu-tools", "qemu-img"),
    "uefi": ("ovmf", "qemu-ovmf-x86_64", "edk2-ovmf"),
    "libvirt": (
        "libvirt-daemon-system libvirt-clients",
        "libvirt-daemon-qemu libvirt-client",
        "libvirt-daemon-kvm libvirt-client",
    ),
    "kernel": ("linux-image-amd64", "kernel-default", "kernel"),
    "virt-v2v": ("virt-v2v", "virt-v2v", "virt-v2v"),
    "nbdkit": ("nbdkit", "nbdkit", "nbdkit"),
    "ssh": ("openssh-client", "openssh-clients", "openssh-clients"),
    "setpriv": ("util-linux", "util-linux", "util-linux"),
    "grub": ("grub-pc-bin grub2-common", "grub2-i386-pc grub2", "grub2-pc-modules grub2-tools"),
    "dbus": ("dbus", "dbus-1", "dbus-daemon"),
    "polkit": ("polkitd", "polkit", "polkit"),
    "python cattrs": ("python3-cattr", "python3-cattrs", "python3-cattrs"),
    "python dbus_next": ("python3-dbus-next", "python3-dbus-next", "python3-dbus-next"),
    "python guestfs": ("python3-guestfs", "python3-libguestfs", "python3-libguestfs"),
    "python libvirt": ("python3-libvirt", "python3-libvirt-python", "python3-libvirt"),
    "python lxml": ("python3-lxml", "python3-lxml", "python3-lxml"),
    "python nbd": ("python3-libnbd", "python3-libnbd", "python3-libnbd"),
    "python rich": ("python3-rich", "python3-rich", "python3-rich"),
    "python systemd": ("python3-systemd", "python3-systemd", "python3-systemd"),
    "python xxhash": ("python3-xxhash", "python3-xxhash", "python3-xxhash"),
}


def this_family() -> PackageFamily | None:
    """Return the family of this host, by os-release(5); None for one that is not known here."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    return family_of(release)


def family_of(release: Mapping[str, str]) -> PackageFamily | None:
    """Return the family that an os-release names: by ID, or else the first known of ID_LIKE."""
    for word in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        for part in (word, word.partition("-")[0]):  # opensuse-leap
            if part in FAMILIES:
                return FAMILIES[part]
    return None


def install(needs: Sequence[str], family: PackageFamily | None) -> str:
    """Return the command that installs what is needed; in words where nobody knows the names."""
    if family is None:
        return f"Install {' and '.join(needs)} with this system's own tools."
    column = list(PackageFamily).index(family)
    names = [name for need in needs for name in PACKAGES[need][column].split()]
    return shlex.join([*family.value, *names])
