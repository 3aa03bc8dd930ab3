# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules for the guest's files, in the order in which they run.

Programs come last: what they write, no rule can see in a rehearsal.
"""

from xen2kvmd.guest import (
    agent,
    boot_code,
    bootloader,
    console,
    default_kernel,
    dracut,
    grub_device,
    grub_menu,
    initrd,
    initrd_arch_alpine,
    kernel_entry,
    kernel_install,
    kudzu,
    leftovers,
    lvm,
    modprobe,
    names_left,
    network,
    pygrub,
    selinux,
    space,
    storage,
    system,
    uefi,
    uki_rules,
)
from xen2kvmd.guest.tree import Tree
from xen2kvmd.rule import Rule

RULES: tuple[Rule[Tree], ...] = (
    system.one_root,
    system.writable_root,
    system.known_distribution,
    space.room_for_changes,
    initrd.kernel_with_virtio,
    grub_menu.grub_menu,
    pygrub.pygrub_arguments,
    kernel_entry.kernel_entry,
    uki_rules.unified_image_cmdline,
    default_kernel.default_kernel,
    default_kernel.default_kernel_package,
    storage.fstab,
    storage.mount_units,
    storage.crypttab,
    storage.resume_device,
    storage.mdadm_devices,
    lvm.lvm_devices,
    leftovers.xenfs,
    bootloader.device_map,
    grub_device.grub_install_device,
    bootloader.grub_defaults,
    bootloader.boot_menu,
    bootloader.lilo,
    console.kernel_console,
    leftovers.xen_arguments,
    # After all that changes arguments: it keeps them as they are then.
    kernel_install.kernel_install_cmdline,
    uki_rules.unified_images_left,
    leftovers.xen_programs,
    console.systemd_getty,
    console.inittab_getty,
    console.openrc_getty,
    console.upstart_getty,
    console.securetty,
    # First the stored names: nic_names goes by them.
    network.persistent_net_rules,
    network.nic_names,
    network.nic_drivers,
    network.cloud_init_network,
    kudzu.kudzu_off,
    initrd.initramfs_modules,
    initrd.suse_initrd_modules,
    dracut.dracut_drivers,
    initrd_arch_alpine.mkinitcpio_modules,
    initrd_arch_alpine.mkinitfs_features,
    modprobe.modprobe_aliases,
    modprobe.virtio_not_kept_off,
    uefi.uefi_fallback_loader,
    agent.agent_at_first_start,
    selinux.relabel,
    # After all that changes files.
    names_left.xen_names_left,
    # From here on programs of the guest run, on the files as they are now.
    agent.agent_enabled,
    initrd.initrd_anew,
    # After the initrds: a menu lists those that are there.
    bootloader.boot_menu_anew,
    # Last: grub-install reads device.map, and nothing may write the disk's first sectors after it.
    boot_code.bios_boot_code,
)
