# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules, in the order in which they run. Each can be read without the others."""

from xen2kvmd.domain import (
    boot,
    console,
    controllers,
    cpu,
    disks,
    emulator,
    extras,
    features,
    firmware,
    graphics,
    identity,
    input,  # noqa: A004
    memory,
    nics,
)
from xen2kvmd.rule import Rule
from xen2kvmd.xml import Element

RULES: tuple[Rule[Element], ...] = (
    # The running instance's leavings first: nothing below needs to know them.
    identity.no_running_state,
    identity.target_name,
    identity.target_uuid,
    boot.type_kvm,
    boot.no_bootloader,
    boot.no_bootloader_args,
    boot.os_hvm,
    boot.os_arch,
    firmware.machine_kvm,
    firmware.firmware_kvm,
    firmware.kernel_from_host,
    # Before the disks are renamed: it asks which names are still Xen's.
    firmware.kernel_cmdline,
    # After the kernels: a guest started by one needs no boot order.
    boot.boot_from_disk,
    features.acpi_and_apic,
    cpu.cpu_of_host,
    emulator.emulator_kvm,
    # Twins and volumes are told by the names that the disks have under Xen.
    disks.one_disk_once,
    disks.disk_driver_qemu,
    disks.disk_volumes,
    disks.disks_on_virtio,
    # Maps match MAC addresses, which nic_macs removes.
    nics.nic_links,
    nics.nic_macs,
    nics.nics_on_virtio,
    nics.no_nic_scripts,
    nics.no_nic_backend_names,
    console.no_xen_console,
    console.serial_console,
    console.agent_channel,
    input.input_on_ps2,
    graphics.a_screen,
    graphics.video_vga,
    input.usb_tablet,
    memory.balloon_virtio,
    extras.random_virtio,
    extras.panic_device,
    controllers.no_xen_bus,
    # After the disks have left them.
    controllers.no_idle_controllers,
    controllers.addresses_anew,
)
