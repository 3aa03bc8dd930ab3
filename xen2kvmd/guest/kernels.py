# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's kernels: which are there, which one starts, and whether they can use virtio."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import takewhile

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.bls import bls_entries
from xen2kvmd.guest.initrd_content import files_in
from xen2kvmd.guest.initrd_tools import makes_unified
from xen2kvmd.guest.kernel_header import SIZE, is_version, version_said
from xen2kvmd.guest.menus import image_of, readable_menu
from xen2kvmd.guest.programs import has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.guest.uki import unified_images
from xen2kvmd.model import Kernel

IMAGES = ("/boot/vmlinuz-*", "/boot/vmlinux-*", "/boot/kernel-*", "/boot/vmlinuz")
INITRDS = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}", "initrd-{}.img", "initramfs-{}")
NEEDED = ("virtio_pci", "virtio_blk", "virtio_net")
DISK = ("virtio_pci", "virtio_blk")
LISTERS = ("lsinitramfs", "lsinitrd", "lsinitcpio")


def find_kernels(appliance: Appliance) -> tuple[Kernel, ...]:
    """Return the kernels with modules, the one to start first.

    That is the boot menu's default, or if it has no virtio drivers, the newest that has them
    (guide 15.2.3, "Install the default kernel").
    """
    found = tuple(installed_kernels(appliance))
    if not found:
        return ()
    menu = readable_menu(appliance)
    default = menu.default if menu else None
    image = image_of(appliance, default) if default else ""
    path = default.path if default else ""  # that of kernel-install is linux for each version
    first = max(
        found,
        key=lambda one: (
            one.virtio,
            bool(path) and one.image.endswith(path),
            one.image.endswith(f"/{image}"),
            _age(one),
        ),
    )
    others = sorted((kernel for kernel in found if kernel != first), key=_age, reverse=True)
    return (_with_initrd(appliance, first), *others)


def initrd_lacks(appliance: Appliance, kernel: Kernel) -> tuple[str, ...] | None:
    """Return the drivers for virtio disks that neither a kernel nor its initrd has.

    None where nothing can read the initrd: then nobody knows.
    """
    wanted = [name for name in DISK if name not in _builtin(appliance, kernel.version)]
    if not (wanted and kernel.initrd):
        return tuple(wanted)
    listing = list_initrd(appliance, kernel.initrd)
    names = {name.replace("-", "_") for name in re.findall(r"([\w-]+)\.ko\b", listing)}
    return tuple(name for name in wanted if name not in names) if listing else None


def list_initrd(appliance: Appliance, path: str) -> str:
    """List an initrd by the guest's own tool, which can unpack what the guest packs; "" if none.

    One that fails, or finds nothing in it, may be left over from another way to build initrds. A
    unified image none of them is asked for: some print a heading, and nothing below it.
    """
    tools = () if path.lower().endswith(".efi") else filter(partial(has, appliance), LISTERS)
    for tool in tools:
        with suppress(Failed):
            if listing := appliance.output(tool, path):
                return listing
    return "\n".join(files_in(appliance, path))


def installed_kernels(tree: Tree) -> Iterator[Kernel]:
    """Yield the kernels that have an image and modules, each once, in no order of worth.

    What is in /boot without an initrd may have one where an entry of the menu says: sdbootutil of
    openSUSE and kernel-install put both on the EFI system partition. Without a menu a unified image
    starts, whatever is left in /boot; but where update-initramfs makes it, it is made of that.
    """
    found: dict[str, Kernel] = {}
    for kernel in (*_by_name(tree), *_by_entry(tree), *_by_header(tree), *_unified(tree)):
        known = found.get(kernel.version)
        if known is None or (kernel.initrd and not known.initrd):
            found[kernel.version] = kernel
    unified = {kernel.version: kernel for kernel in _unified(tree)}
    if unified and readable_menu(tree) is None and not makes_unified(tree):
        found |= unified
    yield from found.values()


def _images(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield the images in /boot, and what of their names may be a version."""
    for pattern in IMAGES:
        for image in filter(tree.is_file, tree.glob(pattern)):
            yield image, re.sub(r"^/boot/(?:vmlinu[xz]|kernel)-?", "", image)


def _by_name(tree: Tree) -> Iterator[Kernel]:
    for image, version in _images(tree):
        if version and _has_modules(tree, version):
            yield _kernel(tree, version, image, _initrd(tree, version))


def _by_header(tree: Tree) -> Iterator[Kernel]:
    """Yield what has another name: vmlinuz-lts of Alpine, vmlinuz-linux of Arch."""
    for image, name in _images(tree):
        if _has_modules(tree, name):
            continue
        version = version_said(tree.head(image, SIZE))
        if version and _has_modules(tree, version):
            yield _kernel(tree, version, image, _initrd(tree, name) or _initrd(tree, version))


def _by_entry(tree: Tree) -> Iterator[Kernel]:
    for entry in bls_entries(tree):
        image = entry.file(tree, entry.linux)
        initrds = (entry.file(tree, path) for path in entry.initrds)
        names = (entry.version, *entry.linux.split("/"))
        version = next((name for name in names if _has_modules(tree, name)), "")
        if image and version:
            yield _kernel(tree, version, image, next(filter(None, initrds), ""))


def _unified(tree: Tree) -> Iterator[Kernel]:
    """Yield the kernels of unified images, which are their own initrd."""
    for image in unified_images(tree):
        if _has_modules(tree, image.version):
            yield _kernel(tree, image.version, image.path, image.path)


def _kernel(tree: Tree, version: str, image: str, initrd: str) -> Kernel:
    virtio = _has_virtio(tree, version) and not _only_for_xen(tree, version)
    return Kernel(version, image, initrd, virtio=virtio)


def _initrd(tree: Tree, name: str) -> str:
    candidates = (f"/boot/{pattern.format(name)}" for pattern in INITRDS if name)
    return next((path for path in candidates if tree.is_file(path)), "")


def _has_modules(tree: Tree, version: str) -> bool:
    return is_version(version) and tree.exists(f"/lib/modules/{version}")


def _has_virtio(tree: Tree, version: str) -> bool:
    modules = tree.glob(f"/lib/modules/{version}/kernel/drivers/*/virtio_*.ko*")
    have = {re.sub(r"\.ko.*", "", path.rpartition("/")[2]) for path in modules}
    return set(NEEDED) <= have | _builtin(tree, version)


def _only_for_xen(tree: Tree, version: str) -> bool:
    """Tell whether a kernel is of the old kind that starts on Xen's hypervisor and nowhere else.

    Such ones (kernel-xen of SLES and RHEL 5) were built with options that Linux itself never had;
    without a configuration their name must do. Linux' own CONFIG_XEN starts anywhere.
    """
    config = f"/boot/config-{version}"
    if tree.is_file(config):
        return bool(re.search(r"^CONFIG_X86(?:_64)?_XEN=y", tree.read(config), re.M))
    return bool(re.search(r"xen[0U]?$", version))


def _builtin(tree: Tree, version: str) -> frozenset[str]:
    path = f"/lib/modules/{version}/modules.builtin"
    if not tree.is_file(path):
        return frozenset()
    names = re.findall(r"([\w-]+)\.ko$", tree.read(path), re.MULTILINE)
    return frozenset(name.replace("-", "_") for name in names)


def _with_initrd(appliance: Appliance, kernel: Kernel) -> Kernel:
    return replace(kernel, initrd_virtio=not initrd_lacks(appliance, kernel))


def _age(kernel: Kernel) -> tuple[int, ...]:
    """Sort versions as numbers: 5.10 is newer than 5.9."""
    words = re.split(r"[.\-_+~]", kernel.version)
    return tuple(int(word) for word in takewhile(str.isdecimal, words))
