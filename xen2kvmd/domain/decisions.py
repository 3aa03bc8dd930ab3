# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of every word of libvirt's schema: the table behind xen2kvm-domain-xml(7).

A path is that of an element ("devices/disk/serial") or an attribute ("devices/disk/@type"). "*" in
it stands for any name, "**" at its end for all that is inside; the first row that matches decides.
Children of <domain> and <devices> are
named one by one: a word that a new libvirt adds there has no row, and a test fails.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a word."""

    CARRIED = "carried"
    ADAPTED = "adapted"  # carried, in the form that KVM has for it
    DROPPED = "dropped"


@dataclass(frozen=True)
class Decision:
    """A row: paths, what becomes of them, the rules that do it.

    finding tells a person of the loss; "" where nothing is lost, and note says why.
    """

    path: str
    fate: Fate
    rules: tuple[str, ...] = ()
    finding: str = ""
    note: str = ""

    def matches(self, path: str) -> bool:
        inside = r"(/.*)?" if self.path.endswith("**") else ""
        names = re.escape(self.path.removesuffix("**")).replace(r"\*", "[^/]*")
        return re.fullmatch(names + inside, path) is not None


def decide(path: str) -> Decision | None:
    """Find the row for a path."""
    return next((row for row in DECISIONS if row.matches(path)), None)


def _carried(path: str, *rules: str, note: str = "") -> Decision:
    return Decision(path, Fate.CARRIED, rules, note=note)


def _adapted(path: str, *rules: str, note: str = "") -> Decision:
    return Decision(path, Fate.ADAPTED, rules, note=note)


def _dropped(path: str, rule: str, finding: str, note: str = "") -> Decision:
    return Decision(path, Fate.DROPPED, (rule,), finding, note)


_ELSEWHERE = "Xen's driver ignores it"
_ANEW = "libvirt makes it anew"

_GUEST = (
    _dropped("@id", "no_running_state", "", "the running instance's number"),
    _adapted("@type", "type_kvm"),
    _adapted("name", "target_name"),
    _adapted("uuid", "target_uuid"),
    _carried("genid"),
    _carried("title"),
    _carried("description"),
    _carried("metadata**"),
    _dropped("xen:commandline**", "no_command_lines", "command-line-dropped"),
    *(
        _dropped(f"qemu:{name}**", "no_command_lines", "command-line-dropped")
        for name in "commandline capabilities deprecation override".split()
    ),
    _dropped("lxc:namespace**", "no_command_lines", "command-line-dropped"),
    _dropped("bhyve:commandline**", "no_command_lines", "command-line-dropped"),
    _dropped("vmware:datacenterpath", "no_command_lines", "command-line-dropped"),
    _dropped("seclabel**", "no_seclabels", "", "a finding tells of a label set by hand"),
    _dropped("idmap**", "nothing_foreign", "foreign-dropped"),
    _dropped("keywrap**", "nothing_foreign", "foreign-dropped"),
    _dropped("launchSecurity**", "nothing_foreign", "foreign-dropped"),
)

_START = (
    _dropped("bootloader", "no_bootloader", "", "the firmware starts the guest's own"),
    _dropped("bootloader_args", "no_bootloader_args", "", "a finding tells of arguments"),
    _adapted("os/@firmware", "firmware_kvm"),
    _carried("os/firmware**"),
    _adapted("os/type", "os_hvm"),
    _adapted("os/type/@arch", "os_arch"),
    _adapted("os/type/@machine", "machine_kvm"),
    _dropped("os/loader**", "firmware_kvm", "", "libvirt chooses the firmware's file"),
    _dropped("os/nvram**", "firmware_kvm", "", "uefi-boot-entries tells of UEFI guests"),
    _adapted("os/kernel", "kernel_from_host"),
    _adapted("os/initrd", "kernel_from_host"),
    _adapted("os/cmdline", "kernel_from_host", "kernel_root", "kernel_cmdline"),
    _adapted("os/root", "kernel_root", note="on the kernel's command line"),
    _adapted("os/boot**", "boot_from_disk", "boot_disk_first"),
    *(
        _dropped(f"os/{name}**", "nothing_foreign", "foreign-dropped")
        for name in "init initarg initenv initdir inituser initgroup".split()
    ),
    _dropped("os/dtb", "nothing_foreign", "foreign-dropped"),
    _carried("os/acpi**", "host_files"),
    _carried("os/bootmenu**"),
    _carried("os/bios**"),
    _carried("os/smbios**"),
    _carried("os"),
    _adapted("on_poweroff", "lifecycle_kvm"),
    _adapted("on_reboot", "lifecycle_kvm"),
    _adapted("on_crash", "lifecycle_kvm"),
    _carried("on_lockfailure"),
    _carried("sysinfo**"),
)

_MEMORY = (
    _carried("memory**", note="with its unit"),
    _carried("memoryBacking**", "host_placement"),
    _carried("currentMemory**"),
    _dropped("memtune/min_guarantee**", "no_memory_guarantee", "memory-guarantee-dropped"),
    _carried("memtune**"),
    _adapted("maxMemory**", "memory_hotplug"),
    _carried("numatune**", "host_placement"),
    _carried("blkiotune**", "host_placement"),
    _carried("resource**", "host_placement"),
)

_CPU = (
    _carried("vcpu**", "host_placement", "cpu_count"),
    _carried("vcpus**"),
    _carried("cputune**", "host_placement"),
    _carried("iothreads"),
    _carried("iothreadids**"),
    _carried("defaultiothread**"),
    _carried("perf**"),
    _dropped("cpu/@match", "cpu_of_host", "", _ELSEWHERE),
    _dropped("cpu/@check", "cpu_of_host", "", _ELSEWHERE),
    _adapted("cpu/@*", "cpu_of_host"),
    _dropped("cpu/model**", "cpu_of_host", "", "cpu-model-dropped tells of a model"),
    _dropped("cpu/vendor", "cpu_of_host", "", _ELSEWHERE),
    _adapted("cpu/topology**", "cpu_topology"),
    _adapted("cpu/feature**", "cpu_features_emulated", "cpu_copies_emulated"),
    _adapted("cpu/cache**", "cpu_caches"),
    _carried("cpu/maxphysaddr**"),
    _carried("cpu/numa**"),
    _carried("cpu"),
    _adapted("features/acpi", "acpi_and_apic"),
    _adapted("features/apic**", "acpi_and_apic"),
    _adapted("features/viridian", "hyperv_enlightenments", note="as <hyperv>"),
    _adapted("features/hyperv**", "hyperv_enlightenments"),
    _dropped("features/hap**", "no_xen_features", "xen-feature-dropped"),
    _dropped("features/xen**", "no_xen_features", "xen-feature-dropped"),
    *(
        _dropped(f"features/{name}**", "nothing_foreign", "foreign-dropped")
        for name in "privnet capabilities gic hpt htm cfpc sbbc ibs ccf-assist nested-hv".split()
    ),
    *(
        _carried(f"features/{name}**")
        for name in "pae kvm pvspinlock pmu vmport vmcoreinfo smm ioapic msrs tcg".split()
    ),
    _carried("features"),
    _adapted("clock/timer**", "timers_kvm", "windows_timers"),
    _carried("clock**"),
    _carried("pm**"),
)

_DISKS = (
    _adapted("devices/disk/@type", "disk_volumes"),
    _adapted("devices/disk/@rawio", "disk_details"),
    _adapted("devices/disk/@sgio", "disk_details"),
    _adapted("devices/disk/driver**", "disk_driver_qemu", "disk_volumes", "disk_details"),
    _dropped("devices/disk/source/@index", "no_running_state", "", _ANEW),
    _dropped("devices/disk/*/source/@index", "no_running_state", "", _ANEW),
    _adapted("devices/disk/source/@startupPolicy", "removable_media"),
    _dropped("devices/disk/source/seclabel**", "no_seclabels", "", "as the domain's"),
    _dropped("devices/disk/*/source/seclabel**", "no_seclabels", "", "as the domain's"),
    _dropped("devices/disk/backenddomain**", "no_driver_domains", "driver-domain-dropped"),
    _adapted("devices/disk/source**", "disk_volumes", "removable_media"),
    _adapted("devices/disk/auth**", "disk_volumes", note="until the disk is copied"),
    _dropped("devices/disk/mirror**", "no_running_state", "", "a block job of the running guest"),
    _adapted("devices/disk/backingStore**", "disk_volumes", note="until the disk is copied"),
    _adapted("devices/disk/target/@dev", "disks_on_virtio"),
    _adapted("devices/disk/target/@bus", "disks_on_virtio"),
    _adapted("devices/disk/target/@*", "disk_details"),
    _adapted("devices/disk/wwn", "disk_details"),
    _adapted("devices/disk/vendor", "disk_details"),
    _adapted("devices/disk/product", "disk_details"),
    _adapted("devices/disk/geometry/@trans", "disk_details"),
    _adapted("devices/disk/encryption**", "encrypted_disks"),
    _adapted("devices/disk/readonly", "writable_sata"),
    _carried("devices/disk/shareable", "shared_disks"),
    _adapted("devices/disk/boot**", "boot_disk_first"),
)

_NICS = (
    _adapted("devices/interface/@type", "nic_links"),
    _adapted("devices/interface/source**", "nic_links", "host_devices"),
    _adapted("devices/interface/mac**", "nic_macs"),
    _adapted("devices/interface/model**", "nics_on_virtio"),
    _dropped("devices/interface/script**", "no_nic_scripts", "", "a finding tells of special ones"),
    _adapted("devices/interface/target**", "no_nic_backend_names"),
    _adapted("devices/interface/ip**", "no_nic_addresses"),
    _dropped("devices/interface/route**", "no_nic_addresses", "nic-address-dropped"),
    _dropped("devices/interface/guest**", "nothing_foreign", "foreign-dropped"),
    _dropped("devices/interface/backenddomain**", "no_driver_domains", "driver-domain-dropped"),
    _adapted("devices/interface/virtualport**", "nic_links"),
    _carried("devices/interface/vlan**", "nic_vlans"),
    _adapted("devices/interface/driver**", "nic_details", "host_devices"),
    _adapted("devices/interface/teaming**", "nic_details"),
    _carried("devices/interface/rom**", "host_files"),
)

_CHARACTER = (
    _dropped("devices/console/@tty", "no_running_state", "", _ANEW),
    _adapted("devices/console/target**", "no_xen_console"),
    _adapted("devices/console**", "no_xen_console", "no_running_state", "serial_console"),
    _adapted("devices/serial**", "no_running_state", "serial_console"),
    _adapted("devices/parallel**", "no_running_state"),
    _adapted("devices/channel/target**", "channels_on_virtio", "spice_channels"),
    _adapted("devices/channel**", "no_running_state", "spice_channels", "agent_channel"),
    _adapted("devices/redirdev**", "spice_channels"),
    _carried("devices/redirfilter**"),
    _adapted("devices/smartcard**", "spice_channels", "host_files"),
    _adapted("devices/graphics**", "graphics_kvm", "graphics_access", "a_screen"),
    _adapted("devices/video**", "video_kvm", "video_limits"),
    _adapted("devices/input**", "input_on_ps2", "usb_tablet"),
)

_EVERY_DEVICE = (
    _dropped("devices/*/address**", "addresses_anew", "", _ANEW),
    _dropped("devices/*/alias**", "no_running_state", "", "a name that begins with ua- is kept"),
)

_OTHER_DEVICES = (
    _adapted("devices/emulator", "emulator_kvm"),
    _adapted("devices/controller/@model", "usb_of_qemu", "scsi_of_qemu"),
    _adapted("devices/controller**", "no_xen_bus", "no_idle_controllers"),
    _adapted("devices/hostdev**", "host_devices", "nothing_foreign", "no_seclabels"),
    _adapted("devices/memballoon**", "balloon_virtio"),
    _adapted("devices/rng**", "random_virtio"),
    _adapted("devices/panic**", "panic_device"),
    _adapted("devices/sound**", "sound_of_qemu"),
    _adapted("devices/watchdog**", "nothing_foreign"),
    _carried("devices/tpm**", "tpm_state"),
    _carried("devices/filesystem**", "host_files"),
    _adapted("devices/memory**", "memory_hotplug"),
    _dropped("devices/nvram**", "nothing_foreign", "foreign-dropped"),
    _carried(
        "devices/disk**",
        "one_disk_once",
        "volumes_joined",
        note="an emulated disk and its PV twin become one; volumes without a table, partitions",
    ),
    _carried("devices/interface**"),
    _carried("devices/lease**"),
    _carried("devices/hub**"),
    _carried("devices/audio**"),
    _carried("devices/shmem**"),
    _carried("devices/iommu**"),
    _carried("devices/vsock**"),
    _carried("devices"),
)

SECTIONS: tuple[tuple[str, tuple[Decision, ...]], ...] = (
    ("The guest", _GUEST),
    ("How it starts and ends", _START),
    ("Memory and resources", _MEMORY),
    ("Processors, features, clock", _CPU),
    ("Every device", _EVERY_DEVICE),
    ("Disks", _DISKS),
    ("Network interfaces", _NICS),
    ("Consoles, displays, input", _CHARACTER),
    ("Other devices, and the rest of disks and interfaces", _OTHER_DEVICES),
)
DECISIONS = tuple(row for _, rows in SECTIONS for row in rows)
