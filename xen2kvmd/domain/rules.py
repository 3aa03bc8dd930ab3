# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules, in the order in which they run. Each can be read without the others."""

from xen2kvmd.domain import (
    boot,
    clock,
    console,
    controllers,
    cpu,
    disks,
    emulator,
    extras,
    features,
    firmware,
    graphics,
    host,
    identity,
    input,  # noqa: A004
    joined,
    leftovers,
    lifecycle,
    media,
    memory,
    nics,
)
from xen2kvmd.rule import Rule
from xen2kvmd.xml import Element

RULES: tuple[Rule[Element], ...] = (
    # What is no part of any guest goes first: nothing below needs to know it.
    identity.no_running_state,
    leftovers.nothing_unknown,
    leftovers.no_command_lines,
    leftovers.nothing_foreign,
    leftovers.no_seclabels,
    identity.target_name,
    identity.target_uuid,
    # Before all that goes by the names of disks: from here on the volumes are one disk.
    joined.volumes_joined,
    boot.type_kvm,
    boot.no_bootloader,
    boot.no_bootloader_args,
    boot.os_hvm,
    boot.os_arch,
    firmware.machine_kvm,
    firmware.firmware_kvm,
    firmware.kernel_from_host,
    # Before the arguments are renamed, and those before the disks are: only names that are still
    # Xen's are replaced.
    firmware.kernel_root,
    firmware.kernel_cmdline,
    # After the kernels: a guest started by one needs no boot order.
    boot.boot_from_disk,
    lifecycle.lifecycle_kvm,
    features.acpi_and_apic,
    features.no_xen_features,
    features.hyperv_enlightenments,
    clock.timers_kvm,
    clock.windows_timers,
    # The mode first: caches and features depend on it.
    cpu.cpu_of_host,
    cpu.cpu_features_emulated,
    cpu.cpu_copies_emulated,
    cpu.cpu_topology,
    cpu.cpu_caches,
    cpu.cpu_count,
    memory.no_memory_guarantee,
    memory.memory_hotplug,
    emulator.emulator_kvm,
    host.no_driver_domains,
    # Twins and volumes are told by the names that the disks have under Xen.
    disks.one_disk_once,
    disks.disk_driver_qemu,
    disks.disk_volumes,
    disks.disks_on_virtio,
    # What a disk may have depends on its bus under KVM.
    boot.boot_disk_first,
    media.removable_media,
    media.shared_disks,
    media.encrypted_disks,
    media.disk_details,
    media.writable_sata,
    # Maps match MAC addresses, which nic_macs removes.
    nics.nic_links,
    nics.nic_macs,
    nics.nics_on_virtio,
    nics.no_nic_scripts,
    nics.no_nic_backend_names,
    nics.no_nic_addresses,
    nics.nic_vlans,
    nics.nic_details,
    # Xen's console first: it may become the serial port.
    console.no_xen_console,
    console.serial_console,
    console.channels_on_virtio,
    console.agent_channel,
    input.input_on_ps2,
    # A screen is added after those that cannot be had are gone.
    graphics.graphics_kvm,
    graphics.graphics_access,
    graphics.a_screen,
    graphics.video_kvm,
    graphics.video_limits,
    console.spice_channels,
    input.usb_tablet,
    memory.balloon_virtio,
    extras.random_virtio,
    extras.panic_device,
    extras.sound_of_qemu,
    controllers.no_xen_bus,
    controllers.usb_of_qemu,
    controllers.scsi_of_qemu,
    # After the disks have left them.
    controllers.no_idle_controllers,
    controllers.addresses_anew,
    # Last, when all names and places are those of the target.
    host.host_placement,
    host.host_files,
    host.host_devices,
    host.tpm_state,
)
