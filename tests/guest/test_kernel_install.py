# SPDX-License-Identifier: GPL-2.0-or-later
"""An entry that a kernel's package makes in the appliance has the guest's own arguments."""

import os
import subprocess
from pathlib import Path
from typing import cast

from tests.guest.folder import Folder
from tests.guest.unified import program, written
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.bls import bls_entries
from xen2kvmd.guest.cmdline import KERNEL_INSTALL
from xen2kvmd.guest.install import Intent, install
from xen2kvmd.guest.kernel_install import own_arguments
from xen2kvmd.guest.managers import Rpm

PLUGIN = "/usr/lib/kernel/install.d/90-loaderentry.install"
TOKEN = "4bf0d61c9a8a4a3a9f0f5f7a2c8d1e30"
OWN = "root=/dev/mapper/fedora-root ro console=hvc0"
ENTRY = (
    f"title Fedora\nversion 5.11\nlinux /vmlinuz-5.11\ninitrd /initramfs-5.11.img\noptions {OWN}\n"
)


def guest_of_fedora(root: Path) -> Folder:
    guest = Folder(root)
    guest.write("/boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n")
    guest.write(f"/boot/loader/entries/{TOKEN}-5.11.conf", ENTRY)
    return guest


def add_kernel(guest: Folder) -> str:
    """Add kernel 6.12 with systemd's own kernel-install; return the arguments of its entry."""
    boot = guest.root / "boot"
    entry = boot / TOKEN / "6.12"
    entry.mkdir(parents=True)
    image = guest.root / "vmlinuz"
    image.touch()
    given = {
        "LAYOUT": "bls",
        "MACHINE_ID": TOKEN,
        "ENTRY_TOKEN": TOKEN,
        "BOOT_ROOT": boot,
        "CONF_ROOT": guest.root / "etc/kernel",
        "STAGING_AREA": guest.root / "none",
        "VERBOSE": "0",
    }
    environment = {f"KERNEL_INSTALL_{key}": str(value) for key, value in given.items()}
    command = [PLUGIN, "add", "6.12", str(entry), str(image)]
    subprocess.run(command, env=os.environ | environment, check=True)
    return next(one.options for one in bls_entries(guest) if one.name.endswith("6.12"))


class Installing(Folder):
    """A guest in whose place a package manager runs: its kernel's package adds an entry."""

    options = ""

    def call(self, name: str, *arguments: object) -> None:
        assert name in ("mkdir_p", "rm_rf")

    def output(self, *command: str) -> str:
        if "dnf" in command:
            self.options = add_kernel(self)
        return "kernel\t6.12 x86_64\n" if command[0] == "rpm" and self.options else ""


def test_new_entry_has_the_guests_own_arguments(tmp_path: Path) -> None:
    guest_of_fedora(tmp_path)
    guest = Installing(tmp_path)
    command = ("dnf", "-y", "install", "kernel")

    install(cast(Appliance, guest), Intent(Rpm(), (command,), ("kernel",), network=True))

    assert guest.options.startswith(OWN)
    assert not guest.exists(KERNEL_INSTALL), "a file that the guest did not have"


def test_entry_beside_unified_images_has_the_arguments_of_these(tmp_path: Path) -> None:
    image = program(uname="5.11", cmdline=OWN, linux="kernel")
    written(tmp_path, f"boot/efi/EFI/Linux/{TOKEN}-5.11.efi", image)
    guest = Folder(tmp_path)

    with own_arguments(guest):
        options = add_kernel(guest)

    assert options.startswith(OWN)


def test_arguments_that_the_guest_keeps_itself_stay(tmp_path: Path) -> None:
    guest = guest_of_fedora(tmp_path)
    guest.write(KERNEL_INSTALL, "root=UUID=1 ro\n")

    with own_arguments(guest):
        options = add_kernel(guest)

    assert options.startswith("root=UUID=1 ro")
    assert guest.read(KERNEL_INSTALL) == "root=UUID=1 ro\n"
