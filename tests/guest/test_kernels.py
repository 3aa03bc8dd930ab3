# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels can use virtio and start without Xen."""

from pathlib import Path

import pytest

from xen2kvmd.guest.folder import Folder
from xen2kvmd.guest.kernels import installed_kernels

DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net")
BUILTIN = "".join(f"kernel/drivers/{name}.ko\n" for name in DRIVERS)


@pytest.mark.parametrize(
    ("version", "config", "virtio"),
    [
        ("3.0.101-108-default", "", True),
        ("6.1.0-13-amd64", "CONFIG_XEN=y\nCONFIG_XEN_PVHVM=y\n", True),
        ("2.6.32-5-xen-amd64", "CONFIG_XEN=y\n", True),  # Debian 6: starts anywhere
        ("5.10.0-xen", "CONFIG_XEN=y\n", True),  # a name is not all
        ("2.6.26-2-xen-amd64", "CONFIG_X86_64_XEN=y\n", False),
        ("3.0.101-108-xen", "CONFIG_X86_XEN=y\n", False),
        ("2.6.18-398.el5xen", "", False),
        ("4.9.0-xenU", "", False),
    ],
)
def test_kernel_that_starts_under_xen_only_cannot_be_used(
    version: str, config: str, tmp_path: Path, *, virtio: bool
) -> None:
    modules = tmp_path / "lib/modules" / version
    modules.mkdir(parents=True)
    (modules / "modules.builtin").write_text(BUILTIN)
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / f"vmlinuz-{version}").touch()
    if config:
        (boot / f"config-{version}").write_text(config)

    (kernel,) = installed_kernels(Folder(tmp_path))

    assert kernel.virtio is virtio
